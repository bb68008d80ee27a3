"""Zeros in a label image: drawn lines between grains, or pores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["bridge_lines"]

_EIGHT = np.ones((3, 3), dtype=bool)

# A watershed line is two pixels wide where two floods meet at the same step,
# mostly 2 x 2, now and then 2 x 3 or 2 x 4 pixels, where lines meet.
_LARGEST_JUNCTION = 8


def bridge_lines(grains: NDArray[np.integer[Any]], pixel_size: tuple[float, float]) -> NDArray:
    """Give the pixels of one-pixel zero lines to the nearest grain.

    People draw boundaries in ImageJ, and watershed leaves them, as lines of
    zeros one pixel wide (8- or 4-connected). The grains on both sides touch
    there. Zeros that are wider are pores or the outside and stay zero. In
    detail, a zero pixel belongs to a line unless it is

    - in a 2 x 2 block of zeros; but small thick places in a line (no 3 x 3
      block, at most 8 pixels, at least two line ends attached) are line;
    - a spur of a pore: a thin part that reaches one pixel out of it.

    Parameters
    ----------
    grains
        Labels (y, x), 0 = no grain.
    pixel_size
        (y, x) in m; the nearest grain is the nearest one in metres.

    Returns
    -------
    ndarray
        New array, dtype of `grains`.
    """
    zero = grains == 0
    if not zero.any() or zero.all():
        return grains.copy()
    pore = _pores(zero)
    nearest = ndimage.distance_transform_edt(
        zero, sampling=pixel_size, return_distances=False, return_indices=True
    )
    filled = grains[tuple(nearest)]
    filled[pore] = 0
    return filled


def _pores(zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of the zeros that are no line."""
    wide = _open(zero, 2)
    blobs, count = ndimage.label(wide, _EIGHT)
    if count == 0:
        return wide
    thin = zero & ~wide
    junction = np.bincount(blobs.ravel(), minlength=count + 1) <= _LARGEST_JUNCTION
    junction &= np.bincount(blobs[_open(zero, 3)], minlength=count + 1) == 0
    junction &= _attached(blobs, thin) >= 2
    junction[0] = False
    pore = wide & ~junction[blobs]
    # What is left of the thin parts beyond the neighbours of a pore decides
    # whether they are lines that end at the pore or only its ragged outline.
    thin = zero & ~pore
    parts, part_count = ndimage.label(thin, _EIGHT)
    near = ndimage.binary_dilation(pore, _EIGHT)
    goes_on = np.bincount(parts[~near], minlength=part_count + 1) > 0
    return pore | (thin & ~goes_on[parts])


def _open(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Pixels of the size x size blocks that lie in the mask.

    Where the image is narrower than a block, it counts as continued.
    """
    blocks = tuple(min(size, n) for n in mask.shape)
    return ndimage.binary_opening(mask, np.ones(blocks, dtype=bool))


def _attached(blobs: NDArray[np.integer[Any]], thin: NDArray[np.bool_]) -> NDArray[np.intp]:
    """How many separate groups of thin pixels touch each blob (8 neighbours)."""
    rim = thin & ndimage.binary_dilation(blobs > 0, _EIGHT)
    groups, group_count = ndimage.label(rim, _EIGHT)
    padded = np.pad(blobs, 1)
    y, x = np.nonzero(rim)
    around = np.stack([padded[y + dy, x + dx] for dy in range(3) for dx in range(3)])
    pairs = np.unique(around.astype(np.int64) * (group_count + 1) + groups[rim])
    return np.bincount(pairs // (group_count + 1), minlength=int(blobs.max()) + 1)
