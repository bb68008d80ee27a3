"""Points layers to click landmarks into, placed on the map and on the image laid over it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin.overlay.landmarks import NUMBER, ROLE, USED, Where, plane_shape
from napari_liso.plugin.placement import Placement
from napari_liso.plugin.records import PROVENANCE, provenance

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["landmarks_layer"]

#: Apart in hue and in lightness, and in neither of the maps' colormaps.
_COLOURS = {"map": "#00e5ff", "image": "#ff4dd2"}
_SYMBOLS = {"map": "disc", "image": "square"}
#: Of a symbol and its number on the screen, whatever the zoom.
_PIXELS = 14.0
_TEXT_SIZE = 12


def landmarks_layer(
    where: Where, image: Layer, marked: Layer
) -> tuple[NDArray[np.float64], dict[str, Any], str]:
    """Points layer without points yet.

    Parameters
    ----------
    where
        On the map, or on the image.
    image
        The image that is laid over the map; landmarks belong to it.
    marked
        What the points mark: the image, or a layer of the map. They lie as it does.
    """
    record = provenance(
        ROLE,
        [marked.name],
        on=where,
        image=image.name,
        image_id=str(image.unique_id),
        marked_id=str(marked.unique_id),
    )
    arguments = {
        "name": "Landmarks on map" if where == "map" else f"Landmarks on {image.name}",
        "features": {NUMBER: np.zeros(0, dtype=int), USED: np.zeros(0, dtype=bool)},
        "feature_defaults": {NUMBER: 1, USED: True},
        "text": {
            # blanks keep the number off the symbol, whatever the zoom
            "string": "  {number}" if where == "map" else "{number}  ",
            "size": _TEXT_SIZE,
            "color": _COLOURS[where],
            "anchor": "lower_left" if where == "map" else "upper_right",
        },
        "symbol": _SYMBOLS[where],
        "face_color": "transparent",  # what was clicked stays in sight
        "border_color": _COLOURS[where],
        "border_width": 0.06,
        "size": max(1.0, 0.03 * max(plane_shape(marked))),
        "canvas_size_limits": (_PIXELS, _PIXELS),
        "metadata": {PROVENANCE: record},
        **Placement.of_layer(marked).arguments,
    }
    return np.zeros((0, 2)), arguments, "points"
