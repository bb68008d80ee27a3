"""From boundary to boundary: which one is next, and the camera to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_liso.plugin.labelling.frame import PixelFrame
from napari_liso.plugin.labelling.region_select import faces_of
from napari_liso.plugin.selection import camera_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["centre_on", "next_of"]


def next_of(order: Sequence[int], current: int | None, by: int) -> int | None:
    """Return the id that comes after (`by` = 1) or before (-1) the current one, round and round.

    Parameters
    ----------
    order
        The ids in the order of the table.
    current
        The id to go on from; None, or one that is not listed: begin.
    by
        1 or -1.
    """
    if not order:
        return None
    if current is None or current not in order:
        return order[0 if by > 0 else -1]
    return order[(list(order).index(current) + by) % len(order)]


def centre_on(viewer: ViewerModel, layer: Labels, boundaries: Boundaries, label: int) -> None:
    """Move the camera to the middle of a boundary that is not well in sight; the zoom stays.

    Parameters
    ----------
    viewer
        Whose camera it is.
    layer
        The boundaries layer.
    boundaries
        Those that it shows.
    label
        The boundary's id.
    """
    ends = faces_of(boundaries, label)
    if len(ends) == 0:
        return
    middles = ends.mean(axis=1)
    # the face nearest to the middle of all: on the boundary, even if it is bent
    at = middles[np.argmin(np.linalg.norm(middles - middles.mean(axis=0), axis=1))]
    first, last = np.asarray(layer.corner_pixels, dtype=float)[:, -2:]  # of the part that is seen
    margin = 0.1 * (last - first)
    low, high = ends.min(axis=(0, 1)), ends.max(axis=(0, 1))
    whole = np.array(layer.data.shape[-2:]) - 1
    # where the view ends with the map there is nothing beyond to be seen
    seen_low = np.where(first <= 0, -1.0, first + margin)
    seen_high = np.where(last >= whole, whole + 1.0, last - margin)
    if np.all(low >= seen_low) and np.all(high <= seen_high):
        return
    y, x = PixelFrame.of_layer(layer).to_world(at)
    camera = camera_of(viewer)
    camera.center = (*tuple(camera.center)[:-2], float(y), float(x))
