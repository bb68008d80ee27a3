"""Cleaning a label image: holes filled, islands removed."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.segmentation import watershed

from napari_liso.microstructure.boundaries import check_pixel_size
from napari_liso.microstructure.edits import Collector, PixelEdit, check_grains
from napari_liso.microstructure.lines import LARGEST_JUNCTION, bridge_lines, reach_of_lines
from napari_liso.microstructure.pieces import FOUR, Box

__all__ = ["fill_holes", "remove_islands"]

Labels = NDArray[np.integer[Any]]

_EIGHT = np.ones((3, 3), dtype=bool)

# Drawn lines between an island and its neighbours lie so many pixels around it.
_NEAR = 6

# A hair more, so that an area of exactly n pixels is n pixels.
_ROUNDING = 1 + 1e-9


def fill_holes(
    grains: ArrayLike, max_area: float, pixel_size: float | tuple[float, float]
) -> PixelEdit:
    """Fill small enclosed zeros with the grain around them.

    A hole is a patch of zeros (by pixel sides) that does not reach the edge of
    the image. Between several grains, each of its pixels goes to the nearest.
    Lines of zeros that separate grains are no part of holes and stay.

    Parameters
    ----------
    grains
        Labels (y, x).
    max_area
        Holes up to this area in m2 are filled.
    pixel_size
        In m, a number or (y, x).

    Returns
    -------
    PixelEdit
        Empty if there is no such hole.

    Raises
    ------
    ValueError
        If the area or the pixel size is not positive.
    """
    labels = check_grains(grains)
    size = check_pixel_size(pixel_size)
    most = _pixels_in(max_area, size, labels.size)
    edit = Collector(labels)
    zero = labels == 0
    if not zero.any():
        return edit.done()
    lines = _separating(labels, zero)
    holes, count = ndimage.label(zero & ~lines, FOUR)
    area = np.bincount(holes.ravel(), minlength=count + 1)
    for side in (holes[0], holes[-1], holes[:, 0], holes[:, -1]):
        area[side] = most + 1
    area[0] = most + 1
    boxes = ndimage.find_objects(holes)
    for hole in np.flatnonzero(area <= most).tolist():
        box = _wider(boxes[hole - 1])
        mask = holes[box] == hole
        if _is_junction(mask, lines[box]):
            continue
        edit.put(*_filled(labels, box, mask, size))
    return edit.done()


def _filled(
    labels: Labels, box: Box, hole: NDArray[np.bool_], pixel_size: tuple[float, float]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Flat pixels of a hole and the labels that they get."""
    window = labels[box].astype(np.int64)
    ring = ndimage.binary_dilation(hole, FOUR) & ~hole & (window > 0)
    around = np.unique(window[ring])
    y, x = np.nonzero(hole)
    pixels = (y + box[0].start) * labels.shape[1] + x + box[1].start
    if len(around) == 0:
        return pixels[:0], pixels[:0]
    if len(around) == 1:
        return pixels, np.full(len(pixels), around[0])
    # A flood in the order of the distance: the nearest grain, and in one piece with it.
    markers = np.where(ring, np.searchsorted(around, window) + 1, 0)
    distance = ndimage.distance_transform_edt(hole, sampling=pixel_size)
    flooded = watershed(distance, markers, mask=hole | ring)
    return pixels, around[flooded[hole] - 1]


def _separating(labels: Labels, zero: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Zeros of lines one pixel wide with different grains next to them."""
    lines = zero.copy()
    # Not in a block of 2 x 2; far quicker than a binary opening.
    block = zero[:-1, :-1] & zero[1:, :-1] & zero[:-1, 1:] & zero[1:, 1:]
    for y, x in np.ndindex(2, 2):
        ny, nx = block.shape
        lines[y : y + ny, x : x + nx] &= ~block
    y, x = np.nonzero(lines)
    near = np.pad(labels, 1)
    high = np.zeros(len(y), dtype=np.int64)
    low = np.full(len(y), np.iinfo(np.int64).max)
    for dy, dx in np.ndindex(3, 3):
        there = near[y + dy, x + dx].astype(np.int64)
        high = np.maximum(high, there)
        low = np.where(there > 0, np.minimum(low, there), low)
    lines[y, x] = low < high
    return lines


def _is_junction(hole: NDArray[np.bool_], lines: NDArray[np.bool_]) -> bool:
    """Whether a hole is only a thick place where drawn lines meet, as in `bridge_lines`."""
    if hole.sum() > LARGEST_JUNCTION or ndimage.binary_erosion(hole, _EIGHT).any():
        return False
    return int(ndimage.label(lines & ndimage.binary_dilation(hole, _EIGHT), _EIGHT)[1]) >= 2


def remove_islands(
    grains: ArrayLike, max_area: float, pixel_size: float | tuple[float, float]
) -> PixelEdit:
    """Give small pieces to the neighbour with which they share the longest border.

    A piece hangs together by pixel sides; it is a whole grain, or a separate bit
    of one. The smallest go first, so that several small ones may grow together
    into one that is large enough. A piece with zeros all around becomes zero,
    unless a drawn line separates it from a grain: then it joins that grain,
    and the line with it.

    Parameters
    ----------
    grains
        Labels (y, x).
    max_area
        Pieces up to this area in m2 are removed.
    pixel_size
        In m, a number or (y, x).

    Returns
    -------
    PixelEdit
        Empty if there is no such piece.

    Raises
    ------
    ValueError
        If the area or the pixel size is not positive, or nothing would be left.
    """
    labels = check_grains(grains)
    size = check_pixel_size(pixel_size)
    most = _pixels_in(max_area, size, labels.size)
    pieces = label(labels, background=0, connectivity=1)
    area = np.bincount(pieces.ravel())
    area[0] = 0
    small = np.flatnonzero((area > 0) & (area <= most))
    edit = Collector(labels)
    if len(small) == 0:
        return edit.done()
    if len(small) == np.count_nonzero(area):
        raise ValueError("every grain is that small; choose a smaller area")
    islands = _Islands(labels, pieces, area, small, size)
    for piece in small[np.argsort(area[small], kind="stable")].tolist():
        if 0 < islands.area[piece] <= most:
            islands.remove(piece)
    islands.collect(edit)
    return edit.done()


class _Islands:
    """Pieces on their way into others.

    `host` leads from a piece to the one that it joined; borders are kept as
    lengths to neighbours, so that no pixel is looked at twice.
    """

    def __init__(
        self,
        labels: Labels,
        pieces: NDArray[np.integer[Any]],
        area: NDArray[np.int64],
        small: NDArray[np.int64],
        pixel_size: tuple[float, float],
    ) -> None:
        self.labels, self.pieces, self.area = labels, pieces, area
        self.pixel_size = pixel_size
        # Drawn lines count as contact.
        self.bridged = _bridged_near(pieces, small, pixel_size)
        self.borders = _borders(self.bridged, pixel_size)
        self.host = np.arange(len(area))

    def remove(self, piece: int) -> None:
        """Let a piece join its neighbour."""
        near = self.borders.pop(piece, {})
        if not near:
            self.host[piece] = 0
            self.area[piece] = 0
            return
        longest = max(near.values()) * (1 - 1e-9)
        goal = min(other for other, length in near.items() if length >= longest)
        for other, length in near.items():
            theirs = self.borders[other]
            del theirs[piece]
            if other != goal:
                theirs[goal] = theirs.get(goal, 0.0) + length
                mine = self.borders[goal]
                mine[other] = mine.get(other, 0.0) + length
        self.host[piece] = goal
        self.area[goal] += self.area[piece]
        self.area[piece] = 0

    def collect(self, edit: Collector) -> None:
        """Put the pixels of all that moved into an edit, and lines that separate nothing now."""
        final = self.host
        while (final != final[final]).any():
            final = final[final]
        name = np.zeros(len(final), dtype=np.int64)
        flat = self.pieces.ravel()
        name[flat] = self.labels.ravel()
        moved = final != np.arange(len(final))
        pixels = np.flatnonzero(moved[flat])
        edit.put(pixels, name[final[flat[pixels]]])
        if self.bridged is self.pieces:
            return
        line = np.flatnonzero((self.pieces == 0) & (self.bridged > 0))
        y, x = np.divmod(line, self.labels.shape[1])
        near = np.pad(self.pieces, 1)
        around = np.stack([near[y + dy, x + dx] for dy, dx in np.ndindex(3, 3)], axis=1)
        now = np.where(around > 0, name[final[around]], 0)
        one = now.max(axis=1)
        alike = ((now == 0) | (now == one[:, None])).all(axis=1) & (one > 0)
        crossed = (moved[around] & (around > 0)).any(axis=1)
        edit.put(line[alike & crossed], one[alike & crossed])


def _bridged_near(
    pieces: NDArray[np.integer[Any]], small: NDArray[np.int64], pixel_size: tuple[float, float]
) -> NDArray[np.integer[Any]]:
    """Pieces with drawn lines bridged, around some small pieces at least."""
    zero = pieces == 0
    if not zero.any():
        return pieces
    boxes = ndimage.find_objects(pieces)
    reach = reach_of_lines(pixel_size)
    areas: list[tuple[Box, Box]] = []
    for piece in small.tolist():
        inner = _spread(boxes[piece - 1], _NEAR, pieces.shape)
        if zero[inner].any():
            areas.append((inner, _spread(inner, reach, pieces.shape)))
    if sum(zero[outer].size for _, outer in areas) > pieces.size:
        return bridge_lines(pieces, pixel_size)
    bridged = pieces.copy()
    for inner, outer in areas:
        window = bridge_lines(pieces[outer], pixel_size)
        y, x = (
            slice(i.start - o.start, i.stop - o.start) for i, o in zip(inner, outer, strict=True)
        )
        bridged[inner] = window[y, x]
    return bridged


def _spread(box: tuple[slice, ...], pad: int, shape: tuple[int, ...]) -> Box:
    """A box and some pixels more on each side, within the image."""
    y, x = (
        slice(max(s.start - pad, 0), min(s.stop + pad, n)) for s, n in zip(box, shape, strict=True)
    )
    return y, x


def _borders(
    pieces: NDArray[np.integer[Any]], pixel_size: tuple[float, float]
) -> dict[int, dict[int, float]]:
    """Length in m of pixel faces between each piece and its neighbours."""
    keys, lengths = [], []
    pairs = ((pieces[:-1], pieces[1:]), (pieces[:, :-1], pieces[:, 1:]))
    for length, (here, there) in zip(pixel_size[::-1], pairs, strict=True):
        place = np.nonzero((here != there) & (here > 0) & (there > 0))
        one, two = here[place].astype(np.int64), there[place].astype(np.int64)
        key, count = np.unique(
            (np.minimum(one, two) << 32) | np.maximum(one, two), return_counts=True
        )
        keys.append(key)
        lengths.append(count * length)
    borders: dict[int, dict[int, float]] = {}
    both = zip(np.concatenate(keys).tolist(), np.concatenate(lengths).tolist(), strict=True)
    for key_, length_ in both:
        one_, two_ = key_ >> 32, key_ & 0xFFFFFFFF
        for a, b in ((one_, two_), (two_, one_)):
            mine = borders.setdefault(a, {})
            mine[b] = mine.get(b, 0.0) + length_
    return borders


def _pixels_in(area: float, pixel_size: tuple[float, float], most: int) -> int:
    """Whole pixels in an area, not more than `most`."""
    if not 0 < area < np.inf:
        raise ValueError(f"max_area must be positive (m2), got {area!r}")
    return int(min(area / (pixel_size[0] * pixel_size[1]) * _ROUNDING, most))


def _wider(box: tuple[slice, ...]) -> Box:
    """One pixel more on every side; a hole never lies at the edge of the image."""
    y, x = (slice(s.start - 1, s.stop + 1) for s in box)
    return y, x
