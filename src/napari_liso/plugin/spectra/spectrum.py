"""A spectrum as it is looked at: counts between any two masses, and curves of a few points.

A spectrum on its native time grid has up to tens of millions of occupied bins.
Counts in a window come from a running sum; a curve is drawn from bins that are
as fine as the screen, down to the native ones, or, seen from afar, from the
tallest bin behind each screen pixel, so that no peak is lost.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["SpectrumCurve", "tick_values"]

Floats = NDArray[np.float64]

#: m/dm of the coarsest bins: several of them make up a peak.
_COARSE = 6000.0
_MAX_COARSE_BINS = 2**21
_MIN_STEP = 1e-9  # sqrt(u)


class SpectrumCurve:
    """A spectrum with a running sum.

    Parameters
    ----------
    mass
        Ascending, u; bins without counts may be left out.
    counts
        In each bin.
    polarity
        ``"positive"`` or ``"negative"``, of the ions; None where unknown.
    """

    def __init__(self, mass: ArrayLike, counts: ArrayLike, polarity: str | None = None) -> None:
        self.polarity = polarity
        self.mass: Floats = np.asarray(mass, np.float64)
        self.counts: NDArray[Any] = np.asarray(counts)
        if self.mass.ndim != 1 or self.mass.shape != self.counts.shape:
            raise ValueError("mass and counts must be equally long lists")
        self._root = np.sqrt(np.maximum(self.mass, 0.0))
        wide = np.int64 if self.counts.dtype.kind in "iu" else np.float64
        self._sum: NDArray[Any] = np.zeros(len(self.mass) + 1, wide)
        np.cumsum(self.counts, out=self._sum[1:], dtype=wide)
        self._step = _grid_step(self._root)
        self._coarse = self._coarse_step()
        self._far = self._histogram(*self.limits, self._coarse)

    @property
    def are_counts(self) -> bool:
        """Whether the spectrum holds whole numbers."""
        return self._sum.dtype.kind == "i"

    @property
    def limits(self) -> tuple[float, float]:
        """Lowest and highest mass, u."""
        if len(self.mass) == 0:
            return 0.0, 100.0
        low, high = float(self.mass[0]), float(self.mass[-1])
        return (low, high) if high > low else (low, low + 1.0)

    def counts_in(self, low: float, high: float) -> float:
        """Return the counts in a window, low edge included, high edge not."""
        first, last = np.searchsorted(self.mass, (low, high))
        return self._sum[max(first, last)].item() - self._sum[first].item()

    def near(self, windows: dict[str, tuple[float, float]]) -> tuple[Floats, NDArray[Any]]:
        """Return the part of the spectrum in and around windows."""
        keep = np.zeros(len(self.mass), bool)
        for low, high in windows.values():
            first, last = np.searchsorted(self.mass, (0.98 * low, 1.02 * high))
            keep[first:last] = True
        return self.mass[keep], self.counts[keep]

    def on_scale(self, mass: Floats) -> SpectrumCurve:
        """Return the same counts at other masses."""
        return SpectrumCurve(mass, self.counts, self.polarity)

    # --- curves -------------------------------------------------------------------------------

    def curve(self, low: float, high: float, pixels: int) -> tuple[Floats, Floats]:
        """Return the steps of a curve: edges in u, and the height between each two.

        Parameters
        ----------
        low, high
            Range that is looked at, u.
        pixels
            Screen pixels across it.

        Returns
        -------
        tuple
            Edges of shape (n + 1,) and heights of shape (n,), n at most about
            four times `pixels`.
        """
        low = max(low, 1e-6)
        middle = math.sqrt(max((low + high) / 2, 1e-6))
        step = (high - low) / max(pixels, 1) / (2 * middle)
        # powers of two of the native bin, so that bins keep their places while zooming
        step = self._step * 2.0 ** max(0, round(math.log2(max(step / self._step, 1e-12))))
        if step < self._coarse:
            return self._histogram(low, high, step)
        edges, heights = self._far
        first = max(0, int(np.searchsorted(edges, low)) - 1)
        last = min(len(heights), int(np.searchsorted(edges, high)) + 1)
        edges, heights = edges[first : last + 1], heights[first:last]
        return _tallest(edges, heights, low, high, pixels)

    def _histogram(self, low: float, high: float, step: float) -> tuple[Floats, Floats]:
        """Return edges in u and the counts between them, on the grid of `step` in sqrt(u)."""
        start = float(self._root[0]) - self._step / 2 if len(self._root) else 0.0
        first = math.floor((math.sqrt(low) - start) / step)
        last = math.ceil((math.sqrt(high) - start) / step) + 1
        edges = start + step * np.arange(first, last + 1)
        sums = self._sum[np.searchsorted(self._root, edges)]
        return np.maximum(edges, 0.0) ** 2, np.diff(sums).astype(np.float64)

    def _coarse_step(self) -> float:
        if len(self.mass) == 0:
            return 1.0
        strongest = float(self._root[int(np.argmax(self.counts))])
        step = max(strongest, 1.0) / (2 * _COARSE)
        span = float(self._root[-1] - self._root[0])
        step = max(step, span / _MAX_COARSE_BINS, self._step)
        return self._step * 2.0 ** math.ceil(math.log2(step / self._step))


def _grid_step(root: Floats) -> float:
    """Return the distance of neighbouring bins in sqrt(u): time-of-flight bins are even there."""
    if len(root) < 2:
        return 1e-3
    apart = np.diff(root)
    apart = apart[apart > _MIN_STEP]
    if len(apart) == 0:
        return 1e-3
    smallest = float(apart.min())
    span = float(root[-1] - root[0])
    return span / max(1, round(span / smallest))


def _tallest(
    edges: Floats, heights: Floats, low: float, high: float, pixels: int
) -> tuple[Floats, Floats]:
    """Keep the tallest of the bins that share a screen pixel."""
    if len(heights) <= 2 * pixels:
        return edges, heights
    column = np.floor((edges[:-1] - low) / (high - low) * pixels).astype(np.int64)
    starts = np.flatnonzero(np.concatenate([[True], column[1:] != column[:-1]]))
    return np.append(edges[starts], edges[-1]), np.maximum.reduceat(heights, starts)


def tick_values(low: float, high: float, number: int) -> list[float]:
    """Return about `number` round values between two limits."""
    span = high - low
    if not (span > 0 and number > 0):
        return []
    rough = span / number
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough * 0.999)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [float(f"{n * step:.12g}") for n in range(first, last + 1)]
