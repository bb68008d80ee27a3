"""Layers to draw regions and profile lines in, placed on the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_liso.plugin.placement import Placement
from napari_liso.plugin.records import PROVENANCE, provenance, result_name

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["LINES", "REGIONS", "line_layer", "name_new_regions", "regions_layer"]

REGIONS = "Regions"
LINES = "Profile lines"
#: Stands out on dark and light maps, and from grey for colour-blind eyes.
_COLOUR = "#ff9500"
_BAND = (1.0, 0.584, 0.0, 0.45)

LayerData = tuple[Any, dict[str, Any], str]


def regions_layer(counts: Layer) -> LayerData:
    """Shapes layer on some counts to draw regions in; their names are written beside them."""
    side = max(counts.data.shape[-2:])
    arguments = {
        "name": result_name(REGIONS, counts.name),
        "ndim": 2,
        "edge_color": _COLOUR,
        "face_color": "#ff950018",
        "edge_width": max(0.5, side / 300),
        "features": pd.DataFrame({"name": pd.Series([], dtype=object)}),
        "text": {"string": "{name}", "color": _COLOUR, "size": 10, "anchor": "upper_left"},
        "metadata": {PROVENANCE: provenance("regions", (counts.name,))},
        **Placement.of_layer(counts).arguments,
    }
    return None, arguments, "shapes"


def line_layer(counts: Layer, width_pixels: float) -> LayerData:
    """Shapes layer on some counts to draw lines in, as wide and translucent as their bands."""
    arguments = {
        "name": result_name(LINES, counts.name),
        "ndim": 2,
        "edge_color": [_BAND],
        "face_color": "transparent",
        "edge_width": width_pixels,
        "metadata": {PROVENANCE: provenance("lines", (counts.name,))},
        **Placement.of_layer(counts).arguments,
    }
    return None, arguments, "shapes"


def name_new_regions(layer: Layer) -> bool:
    """Give each shape without a name of its own the next free number; tell whether any had none.

    napari gives a new shape the name of the one that was selected or added last.
    """
    shapes: Any = layer
    if "name" not in shapes.features.columns:
        return False
    given = [n.strip() if isinstance(n, str) else "" for n in shapes.features["name"]]
    own = [n if n not in given[:i] else "" for i, n in enumerate(given)]
    if all(own):
        return False
    numbers = (f"region {number}" for number in range(1, 2 * len(own) + 1))
    free = (text for text in numbers if text not in set(own))
    filled = np.array([name or next(free) for name in own], dtype=object)
    shapes.features = shapes.features.assign(name=filled)
    return True
