"""Mass windows from the peaks that are there, not from where they should be.

A stale mass calibration moves peaks by hundreds of ppm. A window around the
theoretical mass then cuts a peak, and the isotopes unequally.

A spectrum may be given in bins as wide as its peaks, as exports often are. A bin
is inside a window or outside as a whole, so a window then holds every bin that
its peak touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["observed_peak", "observed_window", "observed_windows"]

_MIN_COUNTS = 20
#: Counts in the tallest bin, for a height known within about 15 %.
_TALLEST = 50
_FALL = 0.75
#: How far around a peak the grid of a spectrum is looked at, as a fraction.
_GRID_RANGE = 0.02
#: Steps of the grid that a window reaches from its peak at least: a peak that is
#: narrower than a bin has counts in at most one bin more, on either side.
_STEPS = 1.5

Floats = NDArray[np.float64]


def observed_window(
    mass: ArrayLike, counts: ArrayLike, near: float, search: float = 1e-3, level: float = 0.05
) -> tuple[float, float]:
    """Propose a window around the strongest peak near a theoretical mass.

    For the isotopes of one element use `observed_windows`, which gives them
    equal shares of their peaks.

    Parameters
    ----------
    mass, counts
        A spectrum, as `Acquisition.spectrum` returns it, ascending; bins without counts
        may be left out.
    near
        Theoretical mass in u.
    search
        How far the peak may be from there, as a fraction of `near`.
    level
        The window ends where the peak has fallen to this fraction of its
        height, or rises again to a neighbour.

    Returns
    -------
    tuple of float
        (low, high) in u.

    Raises
    ------
    ValueError
        If there are too few counts or no peak within the search range.
    """
    return observed_windows(mass, counts, {"the peak": near}, search, level)["the peak"]


def observed_peak(mass: ArrayLike, counts: ArrayLike, near: float, search: float = 1e-3) -> float:
    """Return the mass in u of the strongest peak near a theoretical mass.

    Parameters
    ----------
    mass, counts, near, search
        See `observed_window`.

    Raises
    ------
    ValueError
        If there are too few counts or no peak within the search range.
    """
    mass = np.asarray(mass, dtype=np.float64)
    counts = np.asarray(counts)
    return near * (1 + _Part.around(mass, counts, near, search).centre(f"near {near:g} u"))


def observed_windows(
    mass: ArrayLike,
    counts: ArrayLike,
    peaks: Mapping[str, float],
    search: float = 1e-3,
    level: float = 0.05,
) -> dict[str, tuple[float, float]]:
    """Propose windows for peaks of one shape, such as the isotopes of an element.

    Each window is centred on its own observed peak; all are equally wide in
    flight time, taken from all peaks together. The width of a peak in a
    time-of-flight instrument is mostly that of the primary pulse and the
    detector, the same for all isotopes, so that each window holds the same
    share of its peak. (Time is linear in the square root of the mass: a width in
    time is a relative width that falls with it.)

    Parameters
    ----------
    mass, counts, search, level
        See `observed_window`.
    peaks
        Name and theoretical mass in u of each peak.

    Returns
    -------
    dict
        (low, high) in u by name.

    Raises
    ------
    ValueError
        If one of them has too few counts or no peak within the search range.
    """
    mass = np.asarray(mass, dtype=np.float64)
    counts = np.asarray(counts)
    if mass.shape != counts.shape or mass.ndim != 1:
        raise ValueError(f"mass {mass.shape} and counts {counts.shape} must be equally long lists")
    if not (0 < search < 0.5 and 0 < level < 1):
        raise ValueError(f"search and level must be fractions, got {search} and {level}")
    centres: dict[str, float] = {}
    parts = []
    for name, near in peaks.items():
        part = _Part.around(mass, counts, near, search)
        centres[name] = near * (1 + part.centre(f"{name} near {near} u"))
        parts.append(_Part.around(mass, counts, centres[name], search))
    # Relative to their own centres and in time, the peaks of all isotopes lie on one another.
    lightest = min(centres.values())
    scales = [sqrt(centre / lightest) for centre in centres.values()]
    low, high = _edges([part.scaled(by) for part, by in zip(parts, scales, strict=True)], level)
    return {
        name: (centre * (1 + low / by), centre * (1 + high / by))
        for (name, centre), by in zip(centres.items(), scales, strict=True)
    }


def _cut(mass: Floats, counts: NDArray[Any], near: float, reach: float) -> tuple[Floats, Floats]:
    """Return (offset from a mass as a fraction of it, counts) within reach of it."""
    # Only this much is computed with: a long measurement has tens of millions of steps.
    first = np.searchsorted(mass, near * (1 - reach), "left")
    last = np.searchsorted(mass, near * (1 + reach), "right")
    return mass[first:last] / near - 1, counts[first:last].astype(np.float64)


@dataclass(frozen=True, eq=False)
class _Part:
    """The part of a spectrum around a mass.

    Parameters
    ----------
    offset, counts
        Relative to that mass, ascending, and the counts there.
    search
        How far the peak may be; a step of the grid more than was asked for.
    step
        Of the grid on which the spectrum is given; 0 where that is not known,
        since bins without counts are left out.
    """

    offset: Floats
    counts: Floats
    search: float
    step: float

    @classmethod
    def around(cls, mass: Floats, counts: NDArray[Any], near: float, search: float) -> _Part:
        step = _grid_step(*_cut(mass, counts, near, max(_GRID_RANGE, 4 * search)))
        search += step
        return cls(*_cut(mass, counts, near, 4 * search), search, step)

    def scaled(self, by: float) -> _Part:
        """Return the part with all its offsets multiplied."""
        return _Part(self.offset * by, self.counts, self.search * by, self.step * by)

    def centre(self, label: str) -> float:
        """Return the offset of the strongest peak within the search range."""
        search = self.search
        seen = self.counts[np.abs(self.offset) <= search].sum()
        if seen < _MIN_COUNTS:
            raise ValueError(
                f"{label}: {seen:.0f} counts within {search * 1e6:.0f} ppm are too few "
                f"to see a peak ({_MIN_COUNTS} are needed); give its window by hand"
            )
        grid, height = _histogram([self])
        allowed = np.flatnonzero(np.abs(grid) <= search)
        top = int(allowed[np.argmax(height[allowed])])
        # A peak has begun to fall before the range ends; the flank of another has not.
        falls = [height[allowed[0] : top + 1].min(), height[top : allowed[-1] + 1].min()]
        if max(falls) > _FALL * height[top]:
            raise ValueError(
                f"{label}: the counts still rise at the end of the search range of "
                f"{search * 1e6:.0f} ppm; no peak is within it"
            )
        low, high = _walk(grid, height, top, 0.5)
        core = (self.offset >= low - self.step) & (self.offset <= high + self.step)
        return float(np.average(self.offset[core], weights=self.counts[core]))

    def spread(self, edges: Floats) -> Floats:
        """Return a histogram in which the counts of each bin are spread over its width."""
        middles = (self.offset[1:] + self.offset[:-1]) / 2
        low = np.maximum(np.insert(middles, 0, -np.inf), self.offset - self.step)
        high = np.minimum(np.append(middles, np.inf), self.offset + self.step)
        running = np.concatenate([[0.0], np.cumsum(self.counts)])
        places = np.stack([low, high], axis=1).ravel()
        sums = np.stack([running[:-1], running[1:]], axis=1).ravel()
        return np.diff(np.interp(edges, places, sums))


def _grid_step(offset: Floats, counts: Floats) -> float:
    """Return the step of the grid that most of the counts are on, 0 where it is not known."""
    if len(offset) < 3:
        return 0.0
    steps = np.diff(offset)
    if counts.min() > 0 and steps.max() > 1.5 * steps.min():
        return 0.0  # bins without counts are left out
    widths = np.convolve(np.pad(steps, 1, mode="edge"), [0.5, 0.5], mode="valid")
    order = np.argsort(widths)
    running = np.cumsum(counts[order])
    return float(widths[order[min(np.searchsorted(running, running[-1] / 2), len(order) - 1)]])


def _edges(parts: list[_Part], level: float) -> tuple[float, float]:
    """Return the relative edges of peaks that are all centred on zero."""
    search, step = max(part.search for part in parts), max(part.step for part in parts)
    grid, height = _histogram(parts)
    top = int(np.argmax(np.where(np.abs(grid) <= search / 2, height, -1)))
    low, high = _walk(grid, height, top, level)
    return min(low - step / 2, -_STEPS * step), max(high + step / 2, _STEPS * step)


def _histogram(parts: list[_Part]) -> tuple[Floats, Floats]:
    """Return bin centres and smoothed heights, as fine as the counts and their grid allow."""
    search, step = max(part.search for part in parts), max(part.step for part in parts)
    for power in range(6, 1, -1):
        width = max(search / 2**power, step / 4)
        bins = 2 * round(4 * search / width) + 1
        edges = np.linspace(-bins * width / 2, bins * width / 2, bins + 1)
        if step > width / 4:
            height = np.sum([part.spread(edges) for part in parts], axis=0)
        else:
            height = np.sum(
                [np.histogram(part.offset, edges, weights=part.counts)[0] for part in parts],
                axis=0,
            )
        if height[np.abs(edges[:-1] + width / 2) <= search].max() >= _TALLEST:
            break
    return edges[:-1] + width / 2, np.convolve(height, [0.25, 0.5, 0.25], mode="same")


def _walk(grid: Floats, height: Floats, top: int, level: float) -> tuple[float, float]:
    """Walk from the top both ways to where the height falls to `level` of it."""
    return -_one_way(-grid[top::-1], height[top::-1], level), _one_way(
        grid[top:], height[top:], level
    )


def _one_way(grid: Floats, height: Floats, level: float) -> float:
    target = level * height[0]
    lowest = 0
    for place in range(1, len(grid)):
        if height[place] <= target:
            drop = height[place - 1] - height[place]
            part = (height[place - 1] - target) / drop
            return float(grid[place - 1] + part * (grid[place] - grid[place - 1]))
        if height[place] < height[lowest]:
            lowest = place
        # More than chance above the valley: another peak begins.
        elif height[place] > height[lowest] + 3 * np.sqrt(height[lowest] + 1):
            break
    return float(grid[lowest])
