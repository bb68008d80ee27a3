"""Binomial maximum likelihood of many profiles in lock step, and its profiles.

Levenberg-Marquardt on the Fisher information, with bounds. All profiles of a
batch are of one geometry, so each step is one call of the model for those that
still move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from napari_liso.diffusion.series.bins import Bins
from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.layout import Layout
from napari_liso.diffusion.series.model import respond, respond_with_slopes

__all__ = ["Optima", "SeriesProblem", "maximise"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

#: Fractions are kept this far from 0 and 1, where one count would decide everything.
_EDGE = 1e-9
_LARGEST_STEP = 2.0
_MAX_ITERATIONS = 80
_MOST_DAMPING = 1e9
#: Keeps the curvature invertible where the data know nothing: s.d. 30 of a coordinate.
_TINY = 1e-3
#: Points times nodes of one call of the model: more does not fit the caches.
_CHUNK = 60_000


@dataclass(frozen=True, eq=False)
class SeriesProblem:
    """Counts of profiles of one geometry, and the model.

    Parameters
    ----------
    chain, bins
        Model at the points, and from there to the bins.
    layout
        Parameters.
    n6, total
        6Li and 6Li + 7Li counts, (fits, bins).
    intensity
        Relative total intensity of each grain, (fits, layers); None where no bin
        mixes two grains.
    temper
        Exponent of the likelihood of each fit: 1 over the dispersion, at most 1.
    saturated
        Log-likelihood of the counts with a fraction of their own a bin, (fits,).
    """

    chain: Chain
    bins: Bins
    layout: Layout
    n6: FloatArray
    total: FloatArray
    intensity: FloatArray | None
    temper: FloatArray
    saturated: FloatArray

    @classmethod
    def of(
        cls,
        chain: Chain,
        bins: Bins,
        layout: Layout,
        n6: FloatArray,
        total: FloatArray,
        intensity: FloatArray | None,
    ) -> SeriesProblem:
        """Set up, with a plain binomial likelihood."""
        share = np.divide(n6, total, out=np.zeros_like(n6), where=total > 0)
        saturated = (xlogy(n6, share) + xlogy(total - n6, 1 - share)).sum(axis=1)
        return cls(chain, bins, layout, n6, total, intensity, np.ones(len(n6)), saturated)

    @property
    def fits(self) -> int:
        """Number of profiles."""
        return int(self.n6.shape[0])

    def take(self, rows: IntArray | BoolArray) -> SeriesProblem:
        """The same for some of the profiles; a row may come up more than once."""
        return replace(
            self,
            n6=self.n6[rows],
            total=self.total[rows],
            intensity=None if self.intensity is None else self.intensity[rows],
            temper=self.temper[rows],
            saturated=self.saturated[rows],
        )

    def fraction(self, theta: FloatArray) -> FloatArray:
        """Model fraction of the bins, (fits, bins)."""
        values = self.layout.values(theta)
        points = respond(self.chain, self.layout.inverse_d(values), self.layout.resistance(values))
        source, background = self.layout.fractions(values)
        return background + (source - background) * self.bins.fraction(points, self.intensity)

    def fraction_and_slopes(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`fraction` and its derivatives by the coordinates, (fits, size, bins)."""
        layout = self.layout
        values = layout.values(theta)
        points, by_values = respond_with_slopes(
            self.chain, layout.inverse_d(values), layout.resistance(values), layout.groups
        )
        source, background = layout.fractions(values)
        share = self.bins.fraction(points, self.intensity)
        slopes = self.bins.fraction(by_values, self.intensity)
        slopes *= ((source - background) * layout.by_coordinate(theta))[:, :, None]
        if layout.source_column >= 0:
            slopes[:, layout.source_column] = share
        if layout.background_column >= 0:
            slopes[:, layout.background_column] = 1.0 - share
        return background + (source - background) * share, slopes

    def loss(self, theta: FloatArray) -> FloatArray:
        """Tempered half deviance plus what the priors of the fractions add, (fits,)."""
        return self._loss_at(self.fraction(theta), theta)

    def _loss_at(self, fraction: FloatArray, theta: FloatArray) -> FloatArray:
        return self.temper * self.deviance(fraction) / 2 + self._penalty(theta)

    def deviance(self, fraction: FloatArray) -> FloatArray:
        """Of the counts, (fits,)."""
        c = np.clip(fraction, _EDGE, 1 - _EDGE)
        n7 = self.total - self.n6
        likelihood = (self.n6 * np.log(c) + n7 * np.log1p(-c)).sum(axis=1)
        result: FloatArray = 2 * (self.saturated - likelihood)
        return result

    def best_of(self, theta: FloatArray) -> IntArray:
        """Number of the point, of (points, size), that fits each profile best."""
        if self.intensity is None:
            c = np.clip(self.fraction(theta), _EDGE, 1 - _EDGE)
            likelihood = self.n6 @ np.log(c).T + (self.total - self.n6) @ np.log1p(-c).T
            return likelihood.argmax(axis=1)
        each = [self.deviance(self.fraction(np.tile(point, (self.fits, 1)))) for point in theta]
        return np.argmin(each, axis=0)

    def _penalty(self, theta: FloatArray) -> FloatArray:
        centre, precision = self.layout.prior()
        penalty: FloatArray = 0.5 * ((theta - centre) ** 2 * precision).sum(axis=1)
        return penalty

    def linearise(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Loss (fits,), its downhill slope (fits, size), Fisher information and priors."""
        size = max(1, _CHUNK // (self.chain.positions.size * self.chain.order))
        if theta.shape[0] > size:
            starts = range(0, theta.shape[0], size)
            parts = [
                self.take(np.arange(a, min(a + size, theta.shape[0]))).linearise(
                    theta[a : a + size]
                )
                for a in starts
            ]
            loss, down, curve = (np.concatenate(p) for p in zip(*parts, strict=True))
            return loss, down, curve
        fraction, slopes = self.fraction_and_slopes(theta)
        c = np.clip(fraction, _EDGE, 1 - _EDGE)
        centre, precision = self.layout.prior()
        variance = c * (1 - c)
        residual = self.temper[:, None] * (self.n6 - self.total * c) / variance
        weight = self.temper[:, None] * self.total / variance
        down = (slopes @ residual[..., None])[..., 0] - precision * (theta - centre)
        curve = (slopes * weight[:, None, :]) @ np.swapaxes(slopes, 1, 2)
        curve[:, np.arange(self.layout.size), np.arange(self.layout.size)] += precision
        return self._loss_at(fraction, theta), down, curve

    def dispersion(self, theta: FloatArray) -> FloatArray:
        """Pearson chi2 per degree of freedom of the bins that have counts, (fits,)."""
        c = np.clip(self.fraction(theta), _EDGE, 1 - _EDGE)
        has = self.total > 0
        expected = np.where(has, self.total * c * (1 - c), 1.0)
        chi2 = np.where(has, (self.n6 - self.total * c) ** 2 / expected, 0.0).sum(axis=1)
        freedom = has.sum(axis=1) - self.layout.size
        return np.where(freedom > 0, chi2 / np.maximum(freedom, 1), 1.0)


@dataclass(frozen=True, eq=False)
class Optima:
    """Maxima of a batch; `information` is that of the data and priors, (fits, size, size)."""

    theta: FloatArray
    loss: FloatArray
    information: FloatArray


def maximise(
    problem: SeriesProblem,
    theta: FloatArray,
    free: BoolArray | None = None,
    tolerance: float = 1e-6,
) -> Optima:
    """Find the maximum of each profile near its start.

    Parameters
    ----------
    problem
        The profiles.
    theta
        Starts, (fits, size).
    free
        Coordinates that move, (fits, size); None for all.
    tolerance
        On the log-likelihood: a profile is done when its next step promises less.
    """
    layout = problem.layout
    theta = np.clip(theta, layout.low, layout.high)
    free = np.ones(theta.shape, dtype=bool) if free is None else free
    loss, down, curve = problem.linearise(theta)
    damping = np.full(problem.fits, 1e-3)
    rows = np.arange(problem.fits)
    for _ in range(_MAX_ITERATIONS):
        step, promised = _steps(
            layout, theta[rows], free[rows], down[rows], curve[rows], damping[rows]
        )
        more = promised > tolerance
        rows, step, promised = rows[more], step[more], promised[more]
        if rows.size == 0:
            break
        trial = np.clip(theta[rows] + step, layout.low, layout.high)
        new_loss, new_down, new_curve = problem.take(rows).linearise(trial)
        gain = loss[rows] - new_loss
        better = gain > 0
        damping[rows] *= np.where(gain > 0.1 * promised, 0.2, 8.0)
        moved = rows[better]
        theta[moved], loss[moved] = trial[better], new_loss[better]
        down[moved], curve[moved] = new_down[better], new_curve[better]
        rows = rows[damping[rows] < _MOST_DAMPING]
        damping = np.maximum(damping, 1e-9)
    return Optima(theta, loss, curve)


def _steps(
    layout: Layout,
    theta: FloatArray,
    free: BoolArray,
    down: FloatArray,
    curve: FloatArray,
    damping: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Damped steps within the bounds, and the gain that the linear model promises."""
    stuck = ((theta <= layout.low) & (down < 0)) | ((theta >= layout.high) & (down > 0))
    moving = free & ~stuck
    slope = np.where(moving, down, 0.0)
    both = moving[:, :, None] & moving[:, None, :]
    part = np.where(both, curve, 0.0)
    diagonal = np.arange(layout.size)
    size = part[:, diagonal, diagonal]
    damped = part.copy()
    # A direction without curvature would ask for a step without end.
    damped[:, diagonal, diagonal] += (
        damping[:, None] * size + _TINY + np.abs(slope) / _LARGEST_STEP
    )
    damped[:, diagonal, diagonal] = np.where(moving, damped[:, diagonal, diagonal], 1.0)
    step = np.linalg.solve(damped, slope[..., None])[..., 0]
    outside = (theta + step < layout.low) | (theta + step > layout.high)
    if outside.any():
        # what meets a bound stops there, and the others know of it
        rows = outside.any(axis=1)
        to_bound = np.clip(theta + step, layout.low, layout.high) - theta
        held = np.where(outside[..., None], np.eye(layout.size), damped)
        right = np.where(outside, to_bound, slope)
        step[rows] = np.linalg.solve(held[rows], right[rows][..., None])[..., 0]
    largest = np.abs(step).max(axis=1, keepdims=True, initial=1e-300)
    step *= np.minimum(1.0, _LARGEST_STEP / largest)
    step = np.clip(theta + step, layout.low, layout.high) - theta
    bent = (step[:, None, :] @ part @ step[..., None])[:, 0, 0]
    return step, (slope * step).sum(axis=1) - 0.5 * bent
