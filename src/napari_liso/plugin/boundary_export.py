"""The table of boundaries as it is written into a file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_liso import __version__
from napari_liso.plugin.boundary_values import steps_of, values_of
from napari_liso.plugin.from_layers import boundaries_from_layer, fit_from_layer
from napari_liso.plugin.records import PROVENANCE
from napari_liso.plugin.widgets.table_buttons import Exported

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["BOUNDARY_UNITS", "export_of"]

BOUNDARY_UNITS = {
    "length": "m",
    "k": "m_per_s",
    "k_lower": "m_per_s",
    "k_upper": "m_per_s",
    "misorientation": "rad",
    "angle": "rad",
    "spread": "rad",
    "curvature": "per_m",
}
_MEANINGS = {
    "step": "fraction beside the boundary in grain_a minus that in grain_b, raw counts",
    "step_se": "its standard error, binomial",
    "sigma": "|step| / step_se",
    "counts": "of both isotopes on both sides, that the step is of",
    "k": "posterior median, or the bound where the verdict is one",
    "angle": "of the mean normal, anticlockwise on the screen from the x axis, 0 to pi",
}


def export_of(layer: Layer, ids: Sequence[int], filter_text: str = "") -> Exported:
    """Return the rows of some boundaries with all that is known of them, in SI.

    Parameters
    ----------
    layer
        The boundaries layer.
    ids
        Of the rows, in their order.
    filter_text
        The filter that they matched, for the head of the file.
    """
    values = values_of(layer)
    rows = np.searchsorted(values.ids, np.asarray(ids, dtype=np.int64))
    index = pd.Index(values.ids[rows], name="id")
    table = pd.DataFrame({name: values[name][rows] for name in values.columns}, index=index)
    boundaries, fit, steps = boundaries_from_layer(layer), fit_from_layer(layer), steps_of(layer)
    edges = boundaries.table["touches_edge"].reindex(index)
    table.insert(3, "touches_edge", edges.to_numpy())
    facts: dict[str, Any] = {
        "software": f"napari-liso {__version__}",
        "layer": layer.name,
        "made": dict(layer.metadata.get(PROVENANCE, {})),
        "pixel_size_m": list(boundaries.pixel_size),
        "columns": {name: text for name, text in _MEANINGS.items() if name in table.columns},
    }
    if filter_text:
        facts["filter"] = filter_text
    if steps is not None:
        facts["steps_from"] = list(steps.sources)
    if fit is not None:
        facts["fit"] = fit.provenance
    units = {name: unit for name, unit in BOUNDARY_UNITS.items() if name in table.columns}
    return Exported(table, facts, units, "boundaries.csv")
