"""Which boundaries lie in a box or in a lasso."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["boundaries_along", "boundaries_in", "box_outline", "faces_of", "grains_along"]


def box_outline(corner: ArrayLike, other: ArrayLike) -> NDArray[np.float64]:
    """Return the corners (4, 2) of the box between two points (y, x)."""
    (y0, x0), (y1, x1) = np.asarray(corner, dtype=float), np.asarray(other, dtype=float)
    return np.array([[y0, x0], [y0, x1], [y1, x1], [y1, x0]])


def boundaries_in(boundaries: Boundaries, outline: ArrayLike) -> list[int]:
    """Return the ids of the boundaries of which half or more lies in an outline.

    Parameters
    ----------
    boundaries
        Of the map.
    outline
        Corners (n, 2) of a polygon, (y, x) in pixels.
    """
    corners = np.asarray(outline, dtype=np.float64)
    faces = boundaries.faces
    if len(corners) < 3 or len(faces.boundary) == 0:
        return []
    width = boundaries.labels.shape[1]
    pixels = np.stack([np.divmod(side, width) for side in (faces.first, faces.second)])
    places = pixels.mean(axis=0)  # (2, face): between the two pixels of a face
    low, high = corners.min(axis=0), corners.max(axis=0)
    near = np.all((places >= low[:, None]) & (places <= high[:, None]), axis=0)
    inside = np.zeros(len(near), dtype=bool)
    inside[near] = _in_polygon(places[:, near].T, corners)
    total = np.bincount(faces.boundary)
    share = np.bincount(faces.boundary[inside], minlength=len(total)) * 2 >= total
    return [int(i) for i in np.flatnonzero(share & (total > 0))]


def boundaries_along(boundaries: Boundaries, path: ArrayLike) -> list[int]:
    """Return the ids of the boundaries that a path crosses, in its order.

    Parameters
    ----------
    boundaries
        Of the map.
    path
        (n, 2), (y, x) in pixels.
    """
    pixels = _under(np.asarray(path, dtype=np.float64), boundaries.labels.shape)
    found = boundaries.labels[pixels[:, 0], pixels[:, 1]]
    return [int(i) for i in dict.fromkeys(found.tolist()) if i]


def faces_of(boundaries: Boundaries, label: int) -> NDArray[np.float64]:
    """Return the pixel faces of a boundary as lines (n, 2, 2): two ends (y, x) in pixels."""
    faces = boundaries.faces
    mine = faces.boundary == label
    width = boundaries.labels.shape[1]
    first, second = (np.stack(np.divmod(f[mine], width), 1) for f in (faces.first, faces.second))
    middle, across = (first + second) / 2, np.abs(second - first)[:, ::-1] / 2
    return np.stack([middle - across, middle + across], axis=1).astype(np.float64)


def _under(path: NDArray[np.float64], shape: tuple[int, ...]) -> NDArray[np.intp]:
    """Return the pixels (n, 2) that a path touches, those on the map."""
    steps = [path[:1]]
    for start, end in pairwise(path):
        count = max(1, int(np.ceil(2 * np.abs(end - start).max())))
        steps.append(start + (end - start) * (np.arange(1, count + 1) / count)[:, None])
    pixels = np.rint(np.concatenate(steps)).astype(np.intp)
    inside = np.all((pixels >= 0) & (pixels < np.array(shape)), axis=1)
    return pixels[inside]


def grains_along(grains: NDArray[Any], path: ArrayLike) -> list[int]:
    """Return the labels of the grains that a path runs over, in its order, without 0."""
    pixels = _under(np.asarray(path, dtype=np.float64), grains.shape)
    return [int(i) for i in dict.fromkeys(grains[pixels[:, 0], pixels[:, 1]].tolist()) if i]


def _in_polygon(points: NDArray[np.float64], corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tell which points (n, 2) lie in a polygon: an odd number of edges to one side."""
    inside = np.zeros(len(points), dtype=bool)
    y, x = points[:, 0], points[:, 1]
    for (y0, x0), (y1, x1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        spans = (y0 > y) != (y1 > y)
        inside ^= spans & (x < x0 + (y - y0) * (x1 - x0) / (y1 - y0))
    return inside
