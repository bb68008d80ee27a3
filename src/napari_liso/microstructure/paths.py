"""Drawn paths as pixels."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["check_path", "path_pixels"]

# Points of a path are looked at so closely, in pixels.
_STEP = 0.25


def check_path(path: ArrayLike, what: str = "the line") -> NDArray[np.float64]:
    """Return the points (n, 2) of a path in pixels, without repeated ones.

    Raises
    ------
    ValueError
        If it is not (n, 2), not finite, or has fewer than two different points.
    """
    points = np.asarray(path, dtype=np.float64)
    if points.ndim != 2 or points.shape[1] != 2:
        raise ValueError(f"{what} must be points (n, 2) of (y, x), got shape {points.shape}")
    if not np.isfinite(points).all():
        raise ValueError(f"{what} has points that are not finite")
    moved = np.ones(len(points), dtype=bool)
    moved[1:] = (np.diff(points, axis=0) != 0).any(axis=1)
    points = points[moved]
    if len(points) < 2:
        raise ValueError(f"{what} has no length; draw it from one place to another")
    return points


def path_pixels(path: NDArray[np.float64]) -> NDArray[np.int64]:
    """Pixels (m, 2) that a path runs through, each one next to the last by a side.

    So no grain, not even one that hangs together by corners, slips through. A
    step over a corner goes by the pixel that is nearer to the path.

    Parameters
    ----------
    path
        Points (n, 2) in pixels, any distance apart; pixel (i, j) has its centre
        at (i, j).
    """
    step = np.diff(path, axis=0)
    count = np.maximum(np.ceil(np.abs(step).max(axis=1) / _STEP).astype(int), 1)
    segment = np.repeat(np.arange(len(step)), count)
    part = np.arange(len(segment)) - np.repeat(np.cumsum(count) - count, count)
    dense = path[segment] + step[segment] * (part / count[segment])[:, None]
    dense = np.concatenate([dense, path[-1:]])
    pixels = np.floor(dense + 0.5).astype(np.int64)
    moved = np.ones(len(pixels), dtype=bool)
    moved[1:] = (np.diff(pixels, axis=0) != 0).any(axis=1)
    last = np.flatnonzero(moved)
    pixels = pixels[moved]
    corner = np.flatnonzero((np.diff(pixels, axis=0) != 0).all(axis=1))
    if len(corner) == 0:
        return pixels
    middle = (dense[last[corner + 1] - 1] + dense[last[corner + 1]]) / 2
    one = np.stack([pixels[corner, 0], pixels[corner + 1, 1]], axis=1)
    two = np.stack([pixels[corner + 1, 0], pixels[corner, 1]], axis=1)
    nearer = ((one - middle) ** 2).sum(axis=1) <= ((two - middle) ** 2).sum(axis=1)
    return np.insert(pixels, corner + 1, np.where(nearer[:, None], one, two), axis=0)
