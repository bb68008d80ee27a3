"""Which boundary a pixel shows: the label image of the boundaries."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["owners_of", "paint", "rescue"]

Ints = NDArray[np.int64]


def paint(
    first: Ints,
    second: Ints,
    boundary: NDArray[np.int32],
    length: NDArray[np.float64],
    shape: tuple[int, ...],
) -> NDArray[np.uint16]:
    """Label image of the boundaries: shorter ones on top, none without a pixel if possible.

    Parameters
    ----------
    first, second, boundary
        As in `Faces`.
    length
        Of the boundary of each face, (face,).
    shape
        (y, x) of the image.
    """
    labels = np.zeros(shape[0] * shape[1], dtype=np.uint16)
    pixels, owners = owners_of(
        np.concatenate([first, second]), np.tile(boundary, 2), np.tile(length, 2)
    )
    labels[pixels] = owners
    rescue(labels, first, second, boundary)
    return labels.reshape(shape)


def owners_of(
    pixel: Ints, boundary: NDArray[np.int32], length: NDArray[np.float64]
) -> tuple[Ints, NDArray[np.int32]]:
    """Return each pixel once, sorted, with the shortest boundary (then lowest id) that touches it.

    Parameters
    ----------
    pixel, boundary, length
        One entry a touch: the pixel, the id, and the length of that boundary.
    """
    order = np.lexsort((boundary, length, pixel))
    pixel = pixel[order]
    lead = np.ones(len(pixel), dtype=bool)
    lead[1:] = pixel[1:] != pixel[:-1]
    return pixel[lead], boundary[order][lead]


def rescue(
    labels: NDArray[np.uint16], first: Ints, second: Ints, boundary: NDArray[np.int32]
) -> list[int]:
    """Give a pixel to boundaries that own none, in place.

    A boundary without a pixel takes one from a boundary that has several. If
    all around it have one each, they shift: one gives way and takes a pixel of
    the next, along the shortest such chain (an augmenting path, so all get a
    pixel unless there are more boundaries than pixels in some corner of the map).

    Parameters
    ----------
    labels
        Flat label image of the boundaries.
    first, second, boundary
        As in `Faces`, of all boundaries.

    Returns
    -------
    list of int
        Flat indices of the pixels that changed hands.
    """
    if len(boundary) == 0:
        return []
    start = np.concatenate([[0], np.flatnonzero(boundary[1:] != boundary[:-1]) + 1])
    ids = boundary[start]
    owns = np.logical_or.reduceat(labels[first] == boundary, start)
    rest = np.flatnonzero(np.repeat(~owns, np.diff(np.append(start, len(boundary)))))
    owned = boundary[rest][labels[second[rest]] == boundary[rest]]
    starved = np.setdiff1d(ids[~owns], owned)
    if len(starved) == 0:
        return []
    stop = np.append(start[1:], len(boundary))
    where = {int(i): slice(a, b) for i, a, b in zip(ids, start, stop, strict=True)}

    def pixels_of(i: int) -> list[int]:
        here = where[i]
        return sorted({*first[here].tolist(), *second[here].tolist()})

    return [p for i in starved.tolist() for p in _shift(labels, i, pixels_of)]


def _shift(
    labels: NDArray[np.uint16], starved: int, pixels_of: Callable[[int], list[int]]
) -> list[int]:
    """Find the nearest pixel that can be spared, hand pixels on to `starved`, and list them."""
    came_from: dict[int, tuple[int, int]] = {}  # pixel: who would take it, pixel it gives up
    queue = deque((p, starved, -1) for p in pixels_of(starved))
    seen = {starved}
    while queue:
        pixel, taker, given = queue.popleft()
        if pixel in came_from:
            continue
        came_from[pixel] = (taker, given)
        owner = int(labels[pixel])
        mine = [p for p in pixels_of(owner) if labels[p] == owner]
        if len(mine) != 1:
            moved = []
            while pixel >= 0:
                moved.append(pixel)
                labels[pixel], pixel = came_from[pixel]
            return moved
        if owner not in seen:
            seen.add(owner)
            queue.extend((p, owner, pixel) for p in pixels_of(owner) if p != pixel)
    return []
