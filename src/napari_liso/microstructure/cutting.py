"""Straight cuts: regions are divided by the lines along which their data jump most."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

from napari_liso.microstructure.merging import SCALE, Field, Regions, explained

__all__ = ["cut_regions"]

_ORIENTATIONS = 16
_LEVELS = 24  # a map of 1024 x 1024 pixels has no more; what is left is cut no further

_Float = NDArray[np.float64]
_Index = NDArray[np.int64]


def cut_regions(
    field: Field,
    regions: Regions,
    at_least: float,
    smallest: int,
    report: Callable[[float], None] | None = None,
    levels: int = _LEVELS,
) -> Regions:
    """Divide regions by straight lines until no line gains enough.

    Every region is cut along the line (16 directions, offsets of one pixel) for
    which two planes gain most in 2 ln L over one, and its parts are cut again.
    Grains are nearly convex polygons, so that whole sides of them are weighed at
    once: a step too small to be seen pixel by pixel is found, and borders cannot
    wind along the noise. There are too many cuts in the end, since each goes
    right through its region: merge them.

    Parameters
    ----------
    field
        The data.
    regions
        Labels 0..N-1 (y, x).
    at_least
        Gain in 2 ln L that a cut must bring.
    smallest
        Pixels that must be left on either side.
    report
        Called with the part that is done, 0 to 0.3.
    levels
        How often the parts are cut again.

    Returns
    -------
    ndarray
        Labels of connected regions, numbered from 0.
    """
    labels = regions.astype(np.int64, copy=True)
    active = np.arange(int(labels.max()) + 1)
    for level in range(levels):
        if report is not None:
            report(0.3 * level / levels)
        active = _cut_once(field, labels, active, at_least, smallest)
        if len(active) == 0:
            break
    return label(labels + 1, connectivity=1).astype(np.int64) - 1


def _cut_once(
    field: Field, labels: Regions, active: _Index, at_least: float, smallest: int
) -> _Index:
    """Cut the active regions in place; return the labels of their parts."""
    flat = labels.reshape(-1)
    count = int(flat.max()) + 1
    number = np.full(count, -1, dtype=np.int64)  # of the active regions
    number[active] = np.arange(len(active))
    pixels = np.nonzero(number[flat] >= 0)[0]
    region = number[flat[pixels]]
    y, x = (axis.astype(np.float64) for axis in np.divmod(pixels, labels.shape[1]))
    size = np.bincount(region, minlength=len(active))
    y -= (np.bincount(region, y) / size)[region]
    x -= (np.bincount(region, x) / size)[region]
    weight, response = field.weight.reshape(-1)[pixels], field.response.reshape(-1)[pixels]
    near_y, near_x = y / SCALE, x / SCALE
    sums = [
        np.ones_like(y),
        *(weight * by for by in (1.0, near_y, near_x, near_y**2, near_y * near_x, near_x**2)),
        *(response * by for by in (1.0, near_y, near_x)),
    ]
    best = np.full(len(active), -np.inf)
    angle, offset = np.zeros(len(active)), np.zeros(len(active))
    for turn in np.arange(_ORIENTATIONS) * np.pi / _ORIENTATIONS:
        position = np.rint(y * np.sin(turn) + x * np.cos(turn)).astype(np.int64)
        gain, where = _best_offset(region, position, sums, len(active), smallest)
        better = gain > best
        best[better], angle[better], offset[better] = gain[better], turn, where[better]
    cut = best > at_least
    new = np.full(len(active), -1, dtype=np.int64)
    new[cut] = count + np.arange(int(cut.sum()))
    position = np.rint(y * np.sin(angle[region]) + x * np.cos(angle[region])).astype(np.int64)
    beyond = cut[region] & (position > offset[region])
    flat[pixels[beyond]] = new[region[beyond]]
    return np.concatenate([active[cut], new[cut]])


def _best_offset(
    region: _Index, position: _Index, sums: list[_Float], count: int, smallest: int
) -> tuple[_Float, _Float]:
    """Gain of the best line of one direction in every region, and its position."""
    low = np.full(count, np.iinfo(np.int64).max)
    high = np.full(count, np.iinfo(np.int64).min)
    np.minimum.at(low, region, position)
    np.maximum.at(high, region, position)
    start = np.concatenate([[0], np.cumsum(high - low + 1)])
    bin_ = start[region] + position - low[region]
    owner = np.repeat(np.arange(count), high - low + 1)
    below, above, whole = [], [], []
    for values in sums:
        running = np.concatenate([[0.0], np.cumsum(np.bincount(bin_, values, start[-1]))])
        total = running[start[1:]] - running[start[:-1]]
        part = running[1:] - running[start[:-1]][owner]
        below.append(part)
        above.append(total[owner] - part)
        whole.append(total)
    gain = explained(below[1:]) + explained(above[1:]) - explained(whole[1:])[owner]
    gain[(below[0] < smallest - 0.5) | (above[0] < smallest - 0.5)] = -np.inf
    best = np.maximum.reduceat(gain, start[:-1])
    at = np.nonzero(gain == best[owner])[0]
    first = np.full(count, -1, dtype=np.int64)
    first[owner[at[::-1]]] = at[::-1]
    return best, (first - start[:-1] + low).astype(np.float64)
