from __future__ import annotations

import numpy as np
import pandas as pd

from napari_liso.plugin.colours import log_permeability


def test_bounds_are_coloured_only_where_they_set_a_boundary_apart() -> None:
    table = pd.DataFrame(
        {
            "permeability": [1e-8, 2e-8, 1.1e-8, 1.2e-8, 1.3e-8, 1.4e-8],
            "permeability_lower": [9e-9, 1e-8, 1e-9, 5e-8, 0.0, 0.0],
            "permeability_upper": [2e-8, 3e-8, np.inf, np.inf, 3e-9, 4e-7],
            "verdict": ["resolved", "resolved"] + 2 * ["lower_bound"] + 2 * ["upper_bound"],
        },
        index=range(1, 7),
    )
    shades = log_permeability(table, 7)
    np.testing.assert_allclose(shades[[1, 2]], np.log10([1e-8, 2e-8]), rtol=1e-6)
    np.testing.assert_allclose(shades[[4, 5]], np.log10([5e-8, 3e-9]), rtol=1e-6)
    assert np.isnan(shades[[0, 3, 6]]).all()
