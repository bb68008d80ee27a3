"""Activation energies from coefficients at several temperatures, bounds included.

ln X(T) = ln X0 - E/(k_B T). A point with two ends counts as normal in ln X with a width
for each side. A bound is no point: a lower bound b says that 1/X is not above 1/b, and
its likelihood, half-normal in 1/X (what a fit sees of a boundary without resistance),
falls by 1.92 at X = b, which is how this package defines a bound; an upper bound the
same in X. Both are flat where the coefficient is far on the allowed side. The negative
logarithm of all that is convex, so that maximum and profile are found by bisection.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from math import exp, hypot

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq
from scipy.stats import chi2

from napari_liso.diffusion.intervals import OPEN, RESOLVED_RATIO, judge
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.transport.propagation import NORMAL_95
from napari_liso.units import BOLTZMANN_EV

__all__ = ["ArrheniusFit", "fit_arrhenius"]

FloatArray = NDArray[np.float64]

#: Beyond these an end is open: eV, and in ln X.
_MOST_ENERGY = 10.0
_MOST_LOG = 500.0
_FAR = 40.0
_CLOSE = 1e-10
#: Probability of the scatter below which a straight line is doubted.
_DOUBT = 0.05


@dataclass(frozen=True)
class _Point:
    """One coefficient.

    Parameters
    ----------
    inverse
        1/(k_B T) - its mean over the points, 1/eV.
    value
        ln X, or the logarithm of the bound.
    down, up
        Standard deviations of ln X below and above.
    bound
        0 for a point, 1 for a lower, -1 for an upper bound.
    """

    inverse: float
    value: float
    down: float
    up: float
    bound: int

    def loss(self, ln_x: float) -> tuple[float, float]:
        """Negative log-likelihood of ln X, and its slope."""
        away = ln_x - self.value
        if self.bound == 0:
            scaled = away / (self.up if away > 0 else self.down)
            return 0.5 * scaled**2, scaled / (self.up if away > 0 else self.down)
        tail = OPEN * exp(2.0 * min(max(-self.bound * away, -_FAR), _FAR))
        return tail, -2.0 * self.bound * tail


@dataclass(frozen=True, eq=False)
class _Line:
    """Likelihood of (ln X at the mean 1/T, E).

    Parameters
    ----------
    points
        The coefficients.
    mean
        Mean of 1/(k_B T), 1/eV.
    """

    points: tuple[_Point, ...]
    mean: float

    def loss(self, ln_x: float, energy: float) -> tuple[float, float, float]:
        """Negative log-likelihood, and its slopes."""
        # Plain floats: arrays of a few numbers take ten times as long.
        total = by_ln_x = by_energy = 0.0
        for point in self.points:
            value, slope = point.loss(ln_x - energy * point.inverse)
            total += value
            by_ln_x += slope
            by_energy -= slope * point.inverse
        return total, by_ln_x, by_energy

    def given(self, direction: tuple[float, float], level: float) -> tuple[float, float]:
        """Least loss where direction . (ln X, E) = level, and its derivative by the level."""
        a, b = direction
        size = hypot(a, b)
        start = (level * a / size**2, level * b / size**2)

        def at(w: float) -> tuple[float, float, float]:
            return self.loss(start[0] - w * b / size, start[1] + w * a / size)

        def slope(w: float) -> float:
            _, by_ln_x, by_energy = at(w)
            return (a * by_energy - b * by_ln_x) / size

        value, by_ln_x, by_energy = at(_rising_root(slope, -_MOST_LOG, _MOST_LOG))
        return value, (a * by_ln_x + b * by_energy) / size**2

    def estimate(self, direction: tuple[float, float], most: float) -> tuple[float, float, float]:
        """Best value of direction . theta with the ends of its 95 % profile interval."""
        best = _rising_root(lambda level: self.given(direction, level)[1], -most, most)
        least = self.given(direction, best)[0]

        def fall(level: float) -> float:
            return self.given(direction, level)[0] - least - OPEN

        low, high = -np.inf, np.inf
        if fall(-most) > 0:
            low = float(brentq(fall, -most, best, xtol=_CLOSE))
        if fall(most) > 0:
            high = float(brentq(fall, best, most, xtol=_CLOSE))
        return best, low, high


def _rising_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Zero of a rising function; the nearer end where it has none."""
    if function(low) >= 0:
        return low
    if function(high) <= 0:
        return high
    return float(brentq(function, low, high, xtol=_CLOSE))


@dataclass(frozen=True, eq=False)
class ArrheniusFit:
    """A straight line through ln X against 1/T.

    Parameters
    ----------
    activation_energy
        E in eV; ``resolved`` where its interval excludes 0 and upper/lower is at most 4.
    prefactor
        X0, in the unit of X. It lies far outside the measured range: E and X0 go up and
        down together.
    reference
        X at `reference_temperature`.
    reference_temperature
        K.
    chi2, degrees
        Scatter of the points with two ends around the line, and its degrees of freedom
        (0 or less: the line cannot be tested).
    used
        Which of the coefficients entered.
    notes
        In plain words.
    """

    activation_energy: Estimate
    prefactor: Estimate
    reference: Estimate
    reference_temperature: float
    chi2: float
    degrees: int
    used: NDArray[np.bool_]
    notes: tuple[str, ...]
    _line: _Line = field(repr=False)

    def at(self, temperature: float) -> Estimate:
        """X at another temperature, with the 95 % profile interval.

        Parameters
        ----------
        temperature
            K.

        Raises
        ------
        ValueError
            If it is not positive.
        """
        if not 0 < temperature < np.inf:
            raise ValueError(f"temperature must be positive kelvin, got {temperature}")
        return _of_log(self._line, self._line.mean - 1.0 / (BOLTZMANN_EV * temperature))


def fit_arrhenius(
    temperatures: ArrayLike,
    coefficients: Sequence[Estimate],
    *,
    reference_temperature: float = 298.15,
    use_unresolved: bool = False,
) -> ArrheniusFit:
    """Fit activation energy and prefactor to k or D at several temperatures.

    Parameters
    ----------
    temperatures
        K, (points,).
    coefficients
        k (m/s) or D (m2/s) at each, with their 95 % intervals; bounds enter as bounds.
    reference_temperature
        At which `ArrheniusFit.reference` is given, K.
    use_unresolved
        Whether to take the intervals of ``unresolved`` coefficients as measured. They may
        rest on the population instead of the data, so they are left out by default.

    Raises
    ------
    ValueError
        If the numbers do not belong together, a coefficient has no width, fewer than two
        distinct temperatures are left, or all of them are bounds of one kind.

    Notes
    -----
    With two temperatures the interval comes from the errors of the two coefficients
    alone. Errors that all temperatures share (the time scale, lithium density, the grain
    shape) cancel in E and go into X0.
    """
    kelvin = np.asarray(temperatures, dtype=np.float64)
    if kelvin.ndim != 1 or kelvin.size != len(coefficients):
        raise ValueError(
            f"one temperature for each coefficient is needed, got {kelvin.size} and "
            f"{len(coefficients)}"
        )
    if not ((kelvin > 0) & np.isfinite(kelvin)).all():
        raise ValueError("temperatures must be positive kelvin")
    if not 0 < reference_temperature < np.inf:
        raise ValueError(f"reference_temperature must be positive, got {reference_temperature}")
    used = np.array([_is_used(c, use_unresolved) for c in coefficients], dtype=bool)
    left = np.unique(kelvin[used])
    if left.size < 2:
        raise ValueError(
            f"an activation energy needs at least two temperatures, got {left.size} with a value "
            "or a bound"
        )
    line = _line_of(kelvin[used], [c for c, u in zip(coefficients, used, strict=True) if u])
    energy = _energy(line)
    scatter, degrees = _scatter(line)
    return ArrheniusFit(
        activation_energy=energy,
        prefactor=_of_log(line, line.mean),
        reference=_of_log(line, line.mean - 1.0 / (BOLTZMANN_EV * reference_temperature)),
        reference_temperature=reference_temperature,
        chi2=scatter,
        degrees=degrees,
        used=used,
        notes=_notes(line, used, scatter, degrees),
        _line=line,
    )


def _is_used(coefficient: Estimate, use_unresolved: bool) -> bool:
    """Whether a coefficient says anything."""
    if coefficient.lower <= 0 and np.isinf(coefficient.upper):
        return False
    return use_unresolved or coefficient.verdict != "unresolved"


def _line_of(kelvin: FloatArray, coefficients: Sequence[Estimate]) -> _Line:
    inverse = 1.0 / (BOLTZMANN_EV * kelvin)
    mean = float(inverse.mean())
    points = tuple(
        _point(float(i - mean), float(t), c)
        for i, t, c in zip(inverse, kelvin, coefficients, strict=True)
    )
    kinds = {point.bound for point in points}
    if kinds in ({1}, {-1}):
        raise ValueError(
            f"all coefficients are {'lower' if kinds == {1} else 'upper'} bounds: "
            "they say nothing of an activation energy"
        )
    return _Line(points, mean)


def _point(inverse: float, kelvin: float, c: Estimate) -> _Point:
    if np.isinf(c.upper):
        return _Point(inverse, float(np.log(c.lower)), 1.0, 1.0, 1)
    if c.lower <= 0:
        return _Point(inverse, float(np.log(c.upper)), 1.0, 1.0, -1)
    if not c.lower < c.value < c.upper:
        raise ValueError(
            f"the coefficient at {kelvin:g} K has no interval around its value: {c.value} "
            f"({c.lower} to {c.upper})"
        )
    down, up = np.log(c.value / c.lower) / NORMAL_95, np.log(c.upper / c.value) / NORMAL_95
    return _Point(inverse, float(np.log(c.value)), float(down), float(up), 0)


def _energy(line: _Line) -> Estimate:
    value, low, high = line.estimate((0.0, 1.0), _MOST_ENERGY)
    if np.isinf(low) or np.isinf(high):
        if np.isinf(low) and np.isinf(high):
            return Estimate(value, low, high, "unresolved")
        bound = low if np.isinf(high) else high
        return Estimate(bound, low, high, "lower_bound" if np.isinf(high) else "upper_bound")
    clear = low * high > 0 and max(low / high, high / low) <= RESOLVED_RATIO
    return Estimate(value, low, high, "resolved" if clear else "unresolved")


def _of_log(line: _Line, lever: float) -> Estimate:
    """X where ln X = theta_0 + lever * theta_1."""
    value, low, high = line.estimate((1.0, lever), _MOST_LOG)
    lower, upper = (float(np.exp(min(end, 700.0))) for end in (low, high))
    upper = np.inf if np.isinf(high) else upper
    verdict = judge(lower, upper)
    best = {"lower_bound": lower, "upper_bound": upper}.get(verdict, float(np.exp(value)))
    return Estimate(best, lower, upper, verdict)


def _scatter(line: _Line) -> tuple[float, int]:
    """Chi2 of the points with two ends around the best line, and its degrees of freedom."""
    energy = line.estimate((0.0, 1.0), _MOST_ENERGY)[0]
    best = line.estimate((1.0, 0.0), _MOST_LOG)[0]
    free = [p for p in line.points if p.bound == 0]
    return sum(2 * p.loss(best - energy * p.inverse)[0] for p in free), len(free) - 2


def _notes(line: _Line, used: NDArray[np.bool_], scatter: float, degrees: int) -> tuple[str, ...]:
    notes = []
    out = int((~used).sum())
    if out:
        notes.append(f"{out} of {used.size} coefficients are unresolved and were left out.")
    if degrees < 1:
        notes.append(
            "Two values make a line and cannot test it: the interval comes from their errors "
            "alone."
        )
    elif chi2.sf(scatter, degrees) < _DOUBT:
        notes.append(
            f"The values scatter around the line more than their errors allow (chi2 {scatter:.1f} "
            f"for {degrees} degrees of freedom): the intervals take the line as given."
        )
    bounds = sum(point.bound != 0 for point in line.points)
    if bounds:
        notes.append(f"{bounds} of the coefficients are bounds.")
    return tuple(notes)
