"""Label images, and the like, on another grid."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["resample_nearest"]

_BLOCK = 2**20


def resample_nearest(
    image: ArrayLike, matrix: ArrayLike, shape: tuple[int, int], outside: float = 0
) -> NDArray[Any]:
    """Take an image onto another grid, pixel by pixel from the nearest one; nothing is mixed.

    Parameters
    ----------
    image
        (y, x) or (y, x, ...): labels, phases, angles.
    matrix
        (3, 3), affine, for columns (y, x, 1): from pixels of the new grid to pixels of
        `image`. Whole numbers are the centres of pixels.
    shape
        (y, x) of the new grid.
    outside
        Where the image does not reach: more than half a pixel beyond its outermost centres.

    Returns
    -------
    array
        (y, x, ...) of the dtype of `image`.

    Raises
    ------
    ValueError
        If the matrix is no affine one that can be inverted.
    """
    source = np.asarray(image)
    affine = np.asarray(matrix, dtype=float)
    usable = affine.shape == (3, 3) and np.isfinite(affine).all()
    if not usable or not np.allclose(affine[2], (0, 0, 1)) or np.linalg.det(affine) == 0:
        raise ValueError("matrix must be a (3, 3) affine one, (y, x, 1) to (y, x, 1)")
    target = np.full((*shape, *source.shape[2:]), outside, dtype=source.dtype)
    height = max(1, _BLOCK // max(shape[1], 1))
    x = np.arange(shape[1], dtype=float)
    for start in range(0, shape[0], height):
        y = np.arange(start, min(start + height, shape[0]), dtype=float)[:, None]
        # a half goes up everywhere, so that a whole factor takes each pixel equally often
        row, column = (np.floor(a * y + b * x + c + 0.5 + 1e-9) for a, b, c in affine[:2])
        inside = (row >= 0) & (row < source.shape[0]) & (column >= 0) & (column < source.shape[1])
        at = row[inside].astype(np.intp), column[inside].astype(np.intp)
        target[start : start + height][inside] = source[at]
    return target
