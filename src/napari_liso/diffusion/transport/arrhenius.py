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
#: Probability of the scatter below which a straight line is doubted.
_DOUBT = 0.05


@dataclass(frozen=True, eq=False)
class _Line:
    """Likelihood of (ln X at the mean 1/T, E).

    Parameters
    ----------
    inverse
        1/(k_B T) - its mean, 1/eV, (points,).
    mean
        Mean of 1/(k_B T), 1/eV.
    value
        ln X, or the logarithm of the bound.
    down, up
        Standard deviations of ln X below and above.
    bound
        0 for a point, 1 for a lower, -1 for an upper bound.
    """

    inverse: FloatArray
    mean: float
    value: FloatArray
    down: FloatArray
    up: FloatArray
    bound: NDArray[np.int64]

    def loss(self, theta: FloatArray) -> tuple[float, FloatArray]:
        """Negative log-likelihood, and its gradient."""
        away = theta[0] - theta[1] * self.inverse - self.value
        width = np.where(away > 0, self.up, self.down)
        tail = OPEN * np.exp(2.0 * np.clip(-self.bound * away, -_FAR, _FAR))
        each = np.where(self.bound == 0, 0.5 * (away / width) ** 2, tail)
        slope = np.where(self.bound == 0, away / width**2, -2.0 * self.bound * tail)
        return float(each.sum()), np.array([slope.sum(), -(slope @ self.inverse)])

    def given(self, direction: FloatArray, level: float) -> tuple[float, float]:
        """Least loss where direction . theta = level, and its derivative by the level."""
        along = direction / (direction @ direction)
        across = np.array([-direction[1], direction[0]]) / np.hypot(*direction)

        def slope(w: float) -> float:
            return float(self.loss(level * along + w * across)[1] @ across)

        w = _rising_root(slope, -_MOST_LOG, _MOST_LOG)
        value, gradient = self.loss(level * along + w * across)
        return value, float(gradient @ along)

    def estimate(self, direction: FloatArray, most: float) -> tuple[float, float, float]:
        """Best value of direction . theta with the ends of its 95 % profile interval."""
        best = _rising_root(lambda level: self.given(direction, level)[1], -most, most)
        least = self.given(direction, best)[0]

        def fall(level: float) -> float:
            return self.given(direction, level)[0] - least - OPEN

        low = high = np.inf
        if fall(-most) > 0:
            low = -brentq(fall, -most, best, xtol=1e-10)
        if fall(most) > 0:
            high = brentq(fall, best, most, xtol=1e-10)
        return best, -low, high


def _rising_root(function: Callable[[float], float], low: float, high: float) -> float:
    """Zero of a rising function; the nearer end where it has none."""
    if function(low) >= 0:
        return low
    if function(high) <= 0:
        return high
    return float(brentq(function, low, high, xtol=1e-12))


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
    value, down, up, bound = [], [], [], []
    for t, c in zip(kelvin, coefficients, strict=True):
        if np.isinf(c.upper) or c.lower <= 0:
            value.append(np.log(c.lower if np.isinf(c.upper) else c.upper))
            bound.append(1 if np.isinf(c.upper) else -1)
            down.append(1.0)
            up.append(1.0)
            continue
        if not 0 < c.lower < c.value < c.upper:
            raise ValueError(
                f"the coefficient at {t:g} K has no interval around its value: {c.value} "
                f"({c.lower} to {c.upper})"
            )
        value.append(np.log(c.value))
        bound.append(0)
        down.append(np.log(c.value / c.lower) / NORMAL_95)
        up.append(np.log(c.upper / c.value) / NORMAL_95)
    kinds = set(bound)
    if kinds in ({1}, {-1}):
        raise ValueError(
            f"all coefficients are {'lower' if kinds == {1} else 'upper'} bounds: "
            "they say nothing of an activation energy"
        )
    inverse = 1.0 / (BOLTZMANN_EV * kelvin)
    mean = float(inverse.mean())
    return _Line(
        inverse - mean, mean, np.array(value), np.array(down), np.array(up), np.array(bound)
    )


def _energy(line: _Line) -> Estimate:
    value, low, high = line.estimate(np.array([0.0, 1.0]), _MOST_ENERGY)
    if np.isinf(low) or np.isinf(high):
        if np.isinf(low) and np.isinf(high):
            return Estimate(value, low, high, "unresolved")
        bound = low if np.isinf(high) else high
        return Estimate(bound, low, high, "lower_bound" if np.isinf(high) else "upper_bound")
    clear = low * high > 0 and max(low / high, high / low) <= RESOLVED_RATIO
    return Estimate(value, low, high, "resolved" if clear else "unresolved")


def _of_log(line: _Line, lever: float) -> Estimate:
    """X where ln X = theta_0 + lever * theta_1."""
    value, low, high = line.estimate(np.array([1.0, lever]), _MOST_LOG)
    lower, upper = (float(np.exp(min(end, 700.0))) for end in (low, high))
    upper = np.inf if np.isinf(high) else upper
    verdict = judge(lower, upper)
    best = {"lower_bound": lower, "upper_bound": upper}.get(verdict, float(np.exp(value)))
    return Estimate(best, lower, upper, verdict)


def _scatter(line: _Line) -> tuple[float, int]:
    """Chi2 of the points with two ends around the best line, and its degrees of freedom."""
    energy = line.estimate(np.array([0.0, 1.0]), _MOST_ENERGY)[0]
    best = line.estimate(np.array([1.0, 0.0]), _MOST_LOG)[0]
    points = line.bound == 0
    away = (best - energy * line.inverse - line.value)[points]
    width = np.where(away > 0, line.up[points], line.down[points])
    return float(((away / width) ** 2).sum()), int(points.sum()) - 2


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
    if (line.bound != 0).any():
        notes.append(f"{int((line.bound != 0).sum())} of the coefficients are bounds.")
    return tuple(notes)
