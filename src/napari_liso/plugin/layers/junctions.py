"""Junctions of boundaries as a Points layer: where three meet, and where one ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.plugin import layers as ly
from napari_liso.plugin.records import PROVENANCE, provenance, result_name, role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer, Points

    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["JUNCTIONS", "ROLE", "find_layer", "junctions_layer", "show_junctions"]

JUNCTIONS = "Junctions"
ROLE = "junctions"
#: Kind -> symbol and colour. Apart in shape and in lightness, and from the boundaries' colours.
_LOOKS = {
    "triple": ("disc", "#ff9500"),
    "quadruple or higher": ("diamond", "#ffe14d"),
    "image edge": ("disc", "#8a8a8a"),
    "pore": ("square", "#4da6ff"),
    "free surface": ("triangle_up", "#2fd08c"),
}
#: Of a symbol on the screen, whatever the zoom.
_PIXELS = 10.0


def junctions_layer(
    boundaries: Boundaries, placement: ly.Placement, name: str = JUNCTIONS, source: str = ""
) -> ly.LayerData:
    """Points layer of `Boundaries.junctions`, a symbol for each kind.

    Parameters
    ----------
    boundaries
        Whose junctions.
    placement
        Of the layer that shows them.
    name
        Of the new layer.
    source
        Name of the boundaries layer.
    """
    points, features, looks = _contents(boundaries)
    arguments = {
        "name": name,
        "ndim": 2,
        "features": features,
        **looks,
        "border_color": "black",
        "border_width": 0.08,
        "size": max(1.0, 0.01 * max(boundaries.grains.shape)),
        "canvas_size_limits": (_PIXELS, _PIXELS),
        "metadata": {PROVENANCE: provenance(ROLE, [source] if source else [])},
        **placement.arguments,
    }
    return points, arguments, "points"


def find_layer(viewer: ViewerModel, boundaries: Layer) -> Points | None:
    """Return the layer that shows the junctions of a boundaries layer, or None."""
    for layer in viewer.layers:
        if role_of(layer) == ROLE and layer.metadata[PROVENANCE]["sources"] == [boundaries.name]:
            return layer
    return None


def show_junctions(viewer: ViewerModel, layer: Layer, boundaries: Boundaries) -> Points:
    """Show the junctions of a boundaries layer, or bring those that are shown up to date.

    The layer that is worked on stays that.

    Parameters
    ----------
    viewer
        Where.
    layer
        The boundaries layer.
    boundaries
        As it shows them.
    """
    shown = find_layer(viewer, layer)
    if shown is None:
        active = viewer.layers.selection.active
        made = junctions_layer(
            boundaries,
            ly.Placement.of_layer(layer),
            result_name(JUNCTIONS, layer.name),
            layer.name,
        )
        shown = ly.add(viewer, made)
        shown.editable = False  # they follow from the boundaries
        if active is not None:
            viewer.layers.selection.active = active
        return shown
    points, features, looks = _contents(boundaries)
    shown.selected_data = set()
    shown.data = points
    shown.features = features
    shown.symbol, shown.face_color = looks["symbol"], looks["face_color"]
    ly.Placement.of_layer(layer).apply(shown)
    return shown


def _contents(
    boundaries: Boundaries,
) -> tuple[NDArray[np.float64], pd.DataFrame, dict[str, Any]]:
    """Return places (n, 2), what is told of each, and how each looks."""
    table = boundaries.junctions
    features = pd.DataFrame(
        {
            "kind": table["kind"].astype(str),
            "boundaries": [", ".join(str(i) for i in ids) for ids in table["boundaries"]],
        }
    )
    looks = {
        "symbol": [_LOOKS[kind][0] for kind in table["kind"]] or "disc",
        "face_color": [_LOOKS[kind][1] for kind in table["kind"]] or "transparent",
    }
    return table[["y", "x"]].to_numpy(dtype=float), features, looks
