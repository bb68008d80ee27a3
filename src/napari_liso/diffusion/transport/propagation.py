"""Products of quantities that each have an interval.

Everything here is positive and spans decades, so errors are those of the
logarithm. The two sides of an interval are added in quadrature, each for itself: exact
for log-normal errors and where one error outweighs the others, which is the rule (that of
k); with several lopsided errors of the same size the result is somewhat too lopsided
(Barlow, arXiv physics/0401042). An open end stays open.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_liso.counting.measured import Measured
from napari_liso.diffusion.intervals import judge
from napari_liso.diffusion.results import Estimate

__all__ = ["NORMAL_95", "Quantity", "as_estimate", "drawn", "power_product", "quantile_estimate"]

FloatArray = NDArray[np.float64]

#: Half width of a 95 % interval in standard deviations.
NORMAL_95 = 1.959963984540054

#: A plain number is exact, a `Measured` has a standard error, an `Estimate` an interval.
Quantity = float | Measured | Estimate


def as_estimate(quantity: Quantity, name: str) -> Estimate:
    """Return a positive quantity with its 95 % interval.

    Parameters
    ----------
    quantity
        A number (exact), a `Measured` or an `Estimate`. A relative standard error e of a
        `Measured` becomes a factor exp(1.96 e): for small e the usual +/- 1.96 standard
        errors, for large e an interval that stays positive.
    name
        For the message.

    Raises
    ------
    ValueError
        If the value is not positive, or does not lie in its interval.
    """
    if isinstance(quantity, Estimate):
        # A bound has its own end as the value; a table's may be the posterior median.
        if not (quantity.value > 0 and 0 <= quantity.lower <= quantity.value <= quantity.upper):
            raise ValueError(
                f"{name} must be positive and lie in its interval, got {quantity.value} "
                f"({quantity.lower} to {quantity.upper})"
            )
        return quantity
    value = float(quantity)
    if not 0 < value < np.inf:
        raise ValueError(f"{name} must be positive and finite, got {value}")
    error = quantity.error if isinstance(quantity, Measured) else 0.0
    factor = float(np.exp(NORMAL_95 * error / value))
    return Estimate(value, value / factor, value * factor, "resolved")


def power_product(
    factor: float, *terms: tuple[Quantity, float, str], decided_by: Quantity | None = None
) -> Estimate:
    """Return factor * prod quantity^power with its 95 % interval.

    Parameters
    ----------
    factor
        Exact, positive.
    terms
        (quantity, power, name), independent of each other.
    decided_by
        The quantity whose verdict the result inherits where that is ``unresolved``.

    Returns
    -------
    Estimate
        Where an end is open the closed one is the combination of the closed ends, and the
        value is that end, as everywhere for a bound.
    """
    centre, down, up = float(np.log(factor)), 0.0, 0.0
    for quantity, power, name in terms:
        found = _at_its_bound(as_estimate(quantity, name))
        below = np.log(found.value / found.lower) if found.lower > 0 else np.inf
        above = np.log(found.upper / found.value)
        if power < 0:
            below, above = above, below
        centre += power * float(np.log(found.value))
        down = float(np.hypot(down, abs(power) * below))
        up = float(np.hypot(up, abs(power) * above))
    return _settled(centre, down, up, decided_by)


def _at_its_bound(estimate: Estimate) -> Estimate:
    """A bounded quantity by its bound: the value of a table leans on the population."""
    if estimate.verdict == "lower_bound":
        return Estimate(estimate.lower, estimate.lower, estimate.upper, estimate.verdict)
    if estimate.verdict == "upper_bound":
        return Estimate(estimate.upper, estimate.lower, estimate.upper, estimate.verdict)
    return estimate


def _settled(centre: float, down: float, up: float, decided_by: Quantity | None) -> Estimate:
    lower = float(np.exp(centre - down))
    upper = float(np.exp(centre + up))
    verdict = judge(lower, upper)
    value = {"lower_bound": lower, "upper_bound": upper}.get(verdict, float(np.exp(centre)))
    if isinstance(decided_by, Estimate) and decided_by.verdict == "unresolved":
        verdict = "unresolved"
    return Estimate(value, lower, upper, verdict)


def drawn(estimate: Estimate, z: FloatArray) -> FloatArray:
    """Turn standard normal numbers into draws of a quantity.

    Parameters
    ----------
    estimate
        Closed intervals: its logarithm is normal, with a width for each side. A lower
        bound b: 1/x is half-normal with the 95 % point 1/b, the likelihood that such a
        bound stands for under a flat prior on 1/x >= 0. An upper bound: the same of x.
    z
        Standard normal, any shape.

    Raises
    ------
    ValueError
        If both ends are open.
    """
    below, above = estimate.lower <= 0, bool(np.isinf(estimate.upper))
    if below and above:
        raise ValueError("a quantity with two open ends cannot be drawn")
    if above:
        return NORMAL_95 * estimate.lower / np.maximum(np.abs(z), 1e-9)
    if below:
        return estimate.upper / NORMAL_95 * np.maximum(np.abs(z), 1e-9)
    down = np.log(estimate.value / estimate.lower) / NORMAL_95
    up = np.log(estimate.upper / estimate.value) / NORMAL_95
    draws: FloatArray = estimate.value * np.exp(np.where(z > 0, up, down) * z)
    return draws


def quantile_estimate(draws: FloatArray, trusted: bool = True) -> Estimate:
    """Median and 95 % interval of draws."""
    low, middle, high = (float(v) for v in np.quantile(draws, (0.025, 0.5, 0.975)))
    return Estimate(middle, low, high, judge(low, high) if trusted else "unresolved")
