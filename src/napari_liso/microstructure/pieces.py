"""Connected pieces of grains in a label image, found and divided locally."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

__all__ = ["FOUR", "Box", "by_size", "divide", "flood", "pieces_at", "tidy_parts", "window_around"]

Box = tuple[slice, slice]

FOUR = ndimage.generate_binary_structure(2, 1)
_EIGHT = np.ones((3, 3), dtype=bool)

# A part with less than a block of 3 x 3 pixels is a crumb of an unsteady hand,
# unless it is so large a part of the grain.
_BLOCK = 3
_SHARE = 0.25


def window_around(pixels: NDArray[np.int64], pad: int, shape: tuple[int, ...]) -> Box:
    """Return the box around pixels (n, 2) and `pad` more on each side, within the image."""
    low = np.maximum(pixels.min(axis=0) - pad, 0).tolist()
    high = np.minimum(pixels.max(axis=0) + pad + 1, shape).tolist()
    return slice(low[0], high[0]), slice(low[1], high[1])


def pieces_at(
    grains: NDArray[np.integer[Any]], seeds: NDArray[np.int64]
) -> Iterator[tuple[Box, NDArray[np.bool_]]]:
    """Yield the connected pieces (by sides or corners) of one grain that hold some pixels.

    The window grows from the seeds until the pieces end in it, so that the cost
    is that of the pieces and not of the image.

    Parameters
    ----------
    grains
        Labels (y, x).
    seeds
        Pixels (n, 2) of one label.

    Yields
    ------
    box, mask
        Window of the image, the same for all pieces, and the pixels of the
        piece in it.
    """
    label = grains[seeds[0, 0], seeds[0, 1]]
    box = window_around(seeds, 16, grains.shape)
    while True:
        found, _ = ndimage.label(grains[box] == label, _EIGHT)
        mine = np.unique(found[seeds[:, 0] - box[0].start, seeds[:, 1] - box[1].start])
        open_ = [bool(np.isin(side, mine).any()) for side in _sides(found)]
        larger = _grown(box, open_, grains.shape)
        if larger == box:
            break
        box = larger
    for piece in mine.tolist():
        yield box, found == piece


def _sides(window: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Top, bottom, left and right row or column."""
    return window[0], window[-1], window[:, 0], window[:, -1]


def _grown(box: Box, where: list[bool], shape: tuple[int, ...]) -> Box:
    """Grow a box by its own size on some of its sides, within the image."""
    edges = []
    for axis in (0, 1):
        start, stop = box[axis].start, box[axis].stop
        more = stop - start
        before, after = where[2 * axis : 2 * axis + 2]
        edges.append(
            slice(
                max(start - more, 0) if before else start,
                min(stop + more, shape[axis]) if after else stop,
            )
        )
    return edges[0], edges[1]


def divide(
    piece: NDArray[np.bool_], barrier: NDArray[np.bool_], smallest: int
) -> NDArray[np.int32] | None:
    """Divide a piece along a barrier; the pixels of the barrier go to the sides.

    Parameters
    ----------
    piece
        Mask (y, x).
    barrier
        Mask (y, x) of a line that hangs together by pixel sides.
    smallest
        Parts of fewer pixels, or without a block of 3 x 3 pixels, go to their
        neighbours, unless they are a quarter of the piece.

    Returns
    -------
    ndarray or None
        0 outside the piece, 1 in the largest part, 2, ...; None if the barrier
        does not separate anything.
    """
    found, count = ndimage.label(piece & ~barrier, _EIGHT)
    if count < 2:
        return None
    size = np.bincount(found.ravel(), minlength=count + 1)
    size[0] = 0
    solid = np.zeros(count + 1, dtype=bool)
    solid[found[ndimage.binary_erosion(found > 0, np.ones((_BLOCK, _BLOCK)))]] = True
    counts = (solid & (size >= smallest)) | (size >= _SHARE * piece.sum())
    counts[0] = False
    kept = np.flatnonzero(counts)
    if len(kept) < 2:
        return None
    rank = np.zeros(count + 1, dtype=np.int32)
    rank[kept[np.argsort(-size[kept], kind="stable")]] = np.arange(1, len(kept) + 1)
    parts = rank[found]
    flood(parts, piece)
    return by_size(tidy_parts(parts, smallest))


def by_size(parts: NDArray[np.int32]) -> NDArray[np.int32]:
    """Number parts 1, 2, ... anew, the largest first; 0 stays."""
    size = np.bincount(parts.ravel())
    size[0] = 0
    rank = np.zeros(len(size), dtype=np.int32)
    order = np.argsort(-size, kind="stable")[: np.count_nonzero(size)]
    rank[order] = np.arange(1, len(order) + 1)
    return rank[parts]


def flood(parts: NDArray[np.int32], mask: NDArray[np.bool_]) -> None:
    """Grow the parts into the rest of the mask, in place, a pixel a round.

    A pixel between two parts goes to the one with the smaller number, so that a
    straight line goes to one side as a whole. Growth is by sides of pixels, by
    corners only where nothing else is left. What no part reaches stays 0.
    """
    padded = np.pad(parts, 1)
    rows, columns = padded.shape
    flat = padded.ravel()
    left = np.flatnonzero(np.pad(mask & (parts == 0), 1))
    sides = np.array([-columns, -1, 1, columns])
    corners = np.array([-columns - 1, -columns + 1, columns - 1, columns + 1])
    nobody = np.iinfo(np.int32).max
    while len(left):
        for offsets in (sides, corners):
            near = flat[left[:, None] + offsets]
            best = np.where(near > 0, near, nobody).min(axis=1)
            reached = best < nobody
            if reached.any():
                break
        else:
            break
        flat[left[reached]] = best[reached]
        left = left[~reached]
    parts[:] = padded[1 : rows - 1, 1 : columns - 1]


def tidy_parts(parts: NDArray[np.int32], smallest: int) -> NDArray[np.int32]:
    """Give crumbs that hang on their part by a corner at most to the part next to them.

    Parameters
    ----------
    parts
        0 = outside, 1, 2, ...
    smallest
        Separate bits of at least so many pixels stay.
    """
    crumbs = []
    for part in range(1, int(parts.max()) + 1):
        bits, count = ndimage.label(parts == part, FOUR)
        if count < 2:
            continue
        size = np.bincount(bits.ravel())
        size[0] = 0
        size[size.argmax()] = smallest
        crumbs += [(bits == bit, part) for bit in np.flatnonzero((size > 0) & (size < smallest))]
    tidy = parts.copy()
    for crumb, part in crumbs:
        near = ndimage.binary_dilation(crumb, FOUR) & ~crumb
        others = tidy[near]
        others = others[(others != 0) & (others != part)]
        if len(others):
            tidy[crumb] = np.bincount(others).argmax()
    return tidy
