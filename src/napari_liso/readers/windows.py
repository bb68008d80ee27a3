"""Mass windows from the peaks that are there, not from where they should be.

A stale mass calibration moves peaks by hundreds of ppm. A window around the
theoretical mass then cuts a peak, and the isotopes unequally.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["observed_peak", "observed_window", "observed_windows"]

_MIN_COUNTS = 20
#: Counts in the tallest bin, for a height known within about 15 %.
_TALLEST = 50
_FALL = 0.75

Floats = NDArray[np.float64]


def observed_window(
    mass: ArrayLike, counts: ArrayLike, near: float, search: float = 1e-3, level: float = 0.2
) -> tuple[float, float]:
    """Propose a window around the strongest peak near a theoretical mass.

    For the isotopes of one element use `observed_windows`, which gives them
    equal shares of their peaks.

    Parameters
    ----------
    mass, counts
        A spectrum, as `Acquisition.spectrum` returns it; bins without counts
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
    counts = np.asarray(counts, dtype=np.float64)
    offset = mass / near - 1
    inside = np.abs(offset) <= 4 * search
    return near * (1 + _centre(offset[inside], counts[inside], search, f"near {near:g} u"))


def observed_windows(
    mass: ArrayLike,
    counts: ArrayLike,
    peaks: Mapping[str, float],
    search: float = 1e-3,
    level: float = 0.2,
) -> dict[str, tuple[float, float]]:
    """Propose windows for peaks of one shape, such as the isotopes of an element.

    Each window is centred on its own observed peak; their relative widths are
    the same, taken from all peaks together. Isotopes have the same peak shape
    in a time-of-flight instrument, so each window holds the same share and the
    isotope fraction is not biased by tails. The edges are on the flanks, where
    a small shift in either matters little.

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
    counts = np.asarray(counts, dtype=np.float64)
    if mass.shape != counts.shape or mass.ndim != 1:
        raise ValueError(f"mass {mass.shape} and counts {counts.shape} must be equally long lists")
    if not (0 < search < 0.5 and 0 < level < 1):
        raise ValueError(f"search and level must be fractions, got {search} and {level}")
    centres, offsets, weights = {}, [], []
    for name, near in peaks.items():
        offset = mass / near - 1
        inside = np.abs(offset) <= 4 * search
        centre = _centre(offset[inside], counts[inside], search, f"{name} near {near} u")
        centres[name] = near * (1 + centre)
        offsets.append(mass[inside] / centres[name] - 1)
        weights.append(counts[inside])
    low, high = _edges(np.concatenate(offsets), np.concatenate(weights), search, level)
    return {name: (centre * (1 + low), centre * (1 + high)) for name, centre in centres.items()}


def _centre(offset: Floats, counts: Floats, search: float, label: str) -> float:
    """Return the relative offset of the strongest peak within the search range."""
    near = np.abs(offset) <= search
    if counts[near].sum() < _MIN_COUNTS:
        raise ValueError(
            f"{label}: {counts[near].sum():.0f} counts within {search * 1e6:.0f} ppm are too few "
            f"to see a peak ({_MIN_COUNTS} are needed); give its window by hand"
        )
    grid, height = _histogram(offset, counts, search)
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
    core = (offset >= low) & (offset <= high)
    return float(np.average(offset[core], weights=counts[core]))


def _edges(offset: Floats, counts: Floats, search: float, level: float) -> tuple[float, float]:
    """Return the relative edges of a peak that is centred on zero."""
    grid, height = _histogram(offset, counts, search)
    top = int(np.argmax(np.where(np.abs(grid) <= search / 2, height, -1)))
    return _walk(grid, height, top, level)


def _histogram(offset: Floats, counts: Floats, search: float) -> tuple[Floats, Floats]:
    """Return bin centres and smoothed heights, as fine as the counts allow."""
    for power in range(6, 1, -1):
        width = search / 2**power
        bins = 2 * round(4 * search / width) + 1
        half = bins * width / 2
        height, edges = np.histogram(offset, bins, (-half, half), weights=counts)
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
