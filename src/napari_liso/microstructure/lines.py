"""Zeros in a label image: drawn lines between grains, or pores."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["LARGEST_JUNCTION", "bridge_lines", "reach_of_lines"]

_EIGHT = np.ones((3, 3), dtype=bool)

#: A watershed line is two pixels wide where two floods meet at the same step,
#: mostly 2 x 2, now and then 2 x 3 or 2 x 4 pixels, where lines meet.
LARGEST_JUNCTION = 8

# A line may run so many pixels along the rim of a pore.
_LONGEST_RIM = 8

# What a zero pixel is follows from the zeros at most so many pixels away: along
# the rim to the last pixel of a line, from there to a pore, to the end of the
# blob that decides whether it is one, and to the line ends at that blob.
_REACH = _LONGEST_RIM + 2 + LARGEST_JUNCTION + 4

# Line pixels have a grain at most so many pixels away, of the longer side.
_FARTHEST_GRAIN = 4
_FARTHEST_COLUMN = 32


def reach_of_lines(pixel_size: tuple[float, float]) -> int:
    """Return how far, in pixels, a change of the labels can change the bridged labels.

    Parameters
    ----------
    pixel_size
        (y, x) in m; it matters if pixels are oblong.
    """
    return max(_REACH, *(1 + n for n in _search_range(pixel_size)))


def bridge_lines(grains: NDArray[np.integer[Any]], pixel_size: tuple[float, float]) -> NDArray:
    """Give the pixels of one-pixel zero lines to the nearest grain.

    People draw boundaries in ImageJ, and watershed leaves them, as lines of
    zeros one pixel wide (8- or 4-connected). The grains on both sides touch
    there. Zeros that are wider are pores or the outside and stay zero. In
    detail, a zero pixel belongs to a line unless it is

    - in a 2 x 2 block of zeros; but small thick places in a line (no 3 x 3
      block, at most 8 pixels, at least two line ends attached) are line;
    - a spur of a pore: a thin part that reaches one pixel out of it, or what
      runs on along a pore for more than 8 pixels.

    All this is local: a window that reaches `reach_of_lines` pixels beyond some
    pixels gives the same result for them as the whole image.

    Parameters
    ----------
    grains
        Labels (y, x), 0 = no grain.
    pixel_size
        (y, x) in m; the nearest grain is the nearest one in metres. Of several
        the left one, then the upper one.

    Returns
    -------
    ndarray
        New array, dtype of `grains`.
    """
    zero = grains == 0
    if not zero.any() or zero.all():
        return grains.copy()
    filled = grains.copy()
    _fill(filled, np.flatnonzero(zero & ~_pores(zero)), pixel_size)
    return filled


def _fill(
    grains: NDArray[np.integer[Any]], line: NDArray[np.int64], pixel_size: tuple[float, float]
) -> None:
    """Give line pixels (flat) the label of the nearest grain, in place."""
    ny, nx = grains.shape
    far_y, far_x = _search_range(pixel_size)
    dy, dx = (d.ravel() for d in np.mgrid[-far_y : far_y + 1, -far_x : far_x + 1])
    squared = (dy * pixel_size[0]) ** 2 + (dx * pixel_size[1]) ** 2
    y, x = np.divmod(line, nx)
    labels = np.zeros(len(line), dtype=grains.dtype)
    left = np.arange(len(line))
    for step in np.lexsort((dy, dx, squared))[1:]:
        if len(left) == 0:
            break
        v, u = y[left] + dy[step], x[left] + dx[step]
        inside = (v >= 0) & (v < ny) & (u >= 0) & (u < nx)
        labels[left[inside]] = grains[v[inside], u[inside]]
        left = left[labels[left] == 0]
    grains.ravel()[line] = labels


def _search_range(pixel_size: tuple[float, float]) -> tuple[int, int]:
    """How far to look for the nearest grain along y and x, in pixels."""
    longest = _FARTHEST_GRAIN * max(pixel_size)
    far_y, far_x = (min(int(np.ceil(longest / size)), _FARTHEST_COLUMN) for size in pixel_size)
    return far_y, far_x


def _pores(zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Mask of the zeros that are no line."""
    wide = _open(zero, 2)
    blobs, count = ndimage.label(wide, _EIGHT)
    if count == 0:
        return wide
    thin = zero & ~wide
    junction = np.bincount(blobs.ravel(), minlength=count + 1) <= LARGEST_JUNCTION
    junction &= np.bincount(blobs[_open(zero, 3)], minlength=count + 1) == 0
    junction[0] = False
    junction &= _attached(blobs, junction, thin) >= 2
    pore = wide & ~junction[blobs]
    # What is left of the thin parts beyond the neighbours of a pore decides
    # whether they are lines that end at the pore or only its ragged outline.
    thin = zero & ~pore
    if not pore.any():
        return pore
    near = ndimage.binary_dilation(pore, _EIGHT)
    line = ndimage.binary_dilation(thin & ~near, _EIGHT, iterations=_LONGEST_RIM, mask=thin)
    return pore | (thin & ~line)


def _open(mask: NDArray[np.bool_], size: int) -> NDArray[np.bool_]:
    """Pixels of the size x size blocks that lie in the mask.

    Where the image is narrower than a block, it counts as continued.
    """
    blocks = tuple(min(size, n) for n in mask.shape)
    return ndimage.binary_opening(mask, np.ones(blocks, dtype=bool))


def _attached(
    blobs: NDArray[np.integer[Any]], small: NDArray[np.bool_], thin: NDArray[np.bool_]
) -> NDArray[np.intp]:
    """How many separate groups of thin pixels touch each small blob (8 neighbours)."""
    groups = np.zeros(len(small), dtype=np.intp)
    boxes = ndimage.find_objects(np.where(small[blobs], blobs, 0))
    near = ndimage.binary_dilation(thin, _EIGHT)
    small = small & (np.bincount(blobs[near], minlength=len(small)) > 0)
    for blob in np.flatnonzero(small):
        box = tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in boxes[blob - 1])
        mine = ndimage.binary_dilation(blobs[box] == blob, _EIGHT)
        groups[blob] = ndimage.label(thin[box] & mine, _EIGHT)[1]
    return groups
