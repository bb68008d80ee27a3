"""Do 95 % intervals contain the truth in about 95 % of the cases? Simulated columnar maps."""

from __future__ import annotations

import mosaics
import numpy as np
import pytest
from mosaics import D
from scipy.stats import binom

import napari_liso as liso

# Chances of a wrong alarm, all told.
ALARM = 1e-3


@pytest.mark.parametrize("biot", [0.05, 0.5])
def test_pooled_coverage(biot: float) -> None:
    """Geometry, permeabilities and counts come from streams of their own."""
    inside, resolved, errors, of_d = [], 0, [], []
    for seed in range(300, 304):
        mosaic = mosaics.voronoi((60, 60), 9, seed, biot)
        n6, n7 = mosaic.measure(100.0, 7000 + seed)
        fit = liso.fit_diffusion(
            n6, n7, mosaic.boundaries, experiment=mosaic.experiment, section="columnar"
        )
        table, truth = fit.table, mosaic.permeability
        inside += (
            (table["permeability_lower"] <= truth) & (truth <= table["permeability_upper"])
        ).tolist()
        sure = (table["verdict"] == "resolved").to_numpy()
        resolved += int(sure.sum())
        errors += np.abs(np.log(table["permeability"] / truth))[sure].tolist()
        d = fit.diffusivity
        if d.verdict == "lower_bound":
            of_d.append(d.lower < D)
        else:
            of_d.append(abs(np.log(d.value / D)) < 4 * np.log(d.upper / d.lower) / 3.92)
    # Boundaries of a map share their population and grains: as good as half as many.
    number = len(inside)
    least = binom.ppf(ALARM, number // 2, 0.94) / (number // 2)
    assert number > 60
    assert np.mean(inside) >= least
    assert resolved > 10
    assert np.median(errors) < 0.25
    assert all(of_d)
