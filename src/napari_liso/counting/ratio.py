"""The ratio of two isotopes and its delta against a reference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.fraction import Background, FractionMap, fraction_of, isotope_fraction
from napari_liso.counting.intervals import normal_deviations, row_blocks
from napari_liso.counting.measured import Measured, as_measured
from napari_liso.counting.sums import IonSums

__all__ = ["RatioMap", "isotope_ratio", "ratio_of"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RatioMap:
    """Ratio a/b of two isotopes of every pixel or sum of pixels, or its delta.

    Parameters
    ----------
    value
        (y, x); NaN where there are too few counts, infinite where only a was seen.
    lower, upper
        (y, x), ends of the interval; the upper one is infinite where b was not seen.
    counts
        (y, x), detected counts of both isotopes behind the value.
    confidence
        Probability of the interval.
    unit
        ``""`` of a ratio, ``"‰"`` of a delta.
    """

    value: Floats
    lower: Floats
    upper: Floats
    counts: Counts
    confidence: float = 0.95
    unit: str = ""

    def delta(self, reference: float | Measured) -> RatioMap:
        r"""Return the deviation from a reference ratio in per mil.

        Parameters
        ----------
        reference
            Ratio a/b of the reference material.

        Returns
        -------
        RatioMap
            :math:`\delta = 1000\,(r/r_\text{ref} - 1)`, of the unit ‰.

        Raises
        ------
        ValueError
            If the reference is not positive, or this is a delta already.

        Notes
        -----
        :math:`\ln(r/r_\text{ref})` has the errors of both, which are independent.
        So each end of the interval goes away from the value, on the
        logarithmic scale, by the quadratic sum of what it was and of
        :math:`z\,\sigma_\text{ref}/r_\text{ref}`; where the value is 0 or
        infinite, the end that is open by the plain sum.
        """
        known = as_measured(reference)
        if self.unit:
            raise ValueError("this is a delta already; take it of the ratio")
        if not known.value > 0:
            raise ValueError(f"the reference must be a positive ratio, got {known.value}")
        by = normal_deviations(self.confidence) * known.error / known.value
        lower, upper = self.lower / known.value, self.upper / known.value
        if by > 0:
            with np.errstate(divide="ignore", invalid="ignore"):
                middle = np.log(self.value / known.value)
                inside = np.isfinite(middle)
                low, high = np.log(lower), np.log(upper)
                low = np.where(inside, middle - np.hypot(middle - low, by), low - by)
                high = np.where(inside, middle + np.hypot(high - middle, by), high + by)
                lower, upper = np.exp(low), np.exp(high)
        value, lower, upper = (
            1000 * (part - 1) for part in (self.value / known.value, lower, upper)
        )
        return replace(self, value=value, lower=lower, upper=upper, unit="‰")

    def inverse(self) -> RatioMap:
        """Return the ratio b/a, such as 7Li/6Li, in which lithium deltas are given.

        Raises
        ------
        ValueError
            If this is a delta.
        """
        if self.unit:
            raise ValueError("a delta has no inverse; take it of the inverse ratio")
        with np.errstate(divide="ignore"):
            value, lower, upper = (1 / part for part in (self.value, self.upper, self.lower))
        return replace(self, value=value, lower=lower, upper=upper)


def isotope_ratio(
    a: Any,
    b: Any,
    pulses: ArrayLike | None = None,
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    background: Background = (0.0, 0.0),
    confidence: float = 0.95,
    bin: int = 1,
    min_counts: int = 1,
    window: int = 1,
) -> RatioMap:
    """Ratio a/b of the summed counts of each pixel, with a confidence interval.

    Parameters
    ----------
    a, b
        Counts of the two isotopes, as `n6` and `n7` of `isotope_fraction`.
    pulses, hydride_ratio, fractionation, background, confidence, bin, min_counts, window
        As of `isotope_fraction`; the hydride is that of `a`, counted as `b`.

    Returns
    -------
    RatioMap
        Of shape (y, x), or less by `bin`.

    Raises
    ------
    ValueError
        As `isotope_fraction`.

    Notes
    -----
    The ratio is ``r = c/(1 - c)`` of the fraction ``c``, which grows with it: the
    interval of the fraction becomes that of the ratio and covers as often. Where
    b was not seen, the ratio is infinite, and so is the upper end.

    The expectation of a ratio of counts does not exist, as b may be 0, and where
    it is not, the mean of pixel ratios is high by about ``r/N_b``: 0.565 instead of
    0.429 at 5 counts a pixel. So do not average this over pixels: sum counts, by
    `bin`, `window` or regions, and take the ratio of the sums, which is biased by
    no more than ``r`` over all counts of b. The fraction has no such bias [1]_.

    References
    ----------
    .. [1] R. C. Ogliore, G. R. Huss, K. Nagashima, Nucl. Instrum. Methods B 269
       (2011) 1910.

    Examples
    --------
    >>> r = isotope_ratio([[3, 4]], [[4, 0]])
    >>> r.value.tolist(), r.lower.round(3).tolist(), r.upper.round(3).tolist()
    ([[0.75, inf]], [[0.11, 0.66]], [[4.433, inf]])
    """
    fraction = isotope_fraction(
        a,
        b,
        pulses=pulses,
        hydride_ratio=hydride_ratio,
        fractionation=fractionation,
        background=background,
        confidence=confidence,
        bin=bin,
        min_counts=min_counts,
        window=window,
    )
    return _ratio(fraction, confidence)


def ratio_of(
    sums: IonSums,
    *,
    background: Background = (0.0, 0.0),
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    confidence: float = 0.95,
    min_counts: int = 1,
) -> RatioMap:
    """Ratio of summed counts, such as those of regions; as `fraction_of`."""
    fraction = fraction_of(
        sums,
        background=background,
        hydride_ratio=hydride_ratio,
        fractionation=fractionation,
        confidence=confidence,
        min_counts=min_counts,
    )
    return _ratio(fraction, confidence)


def _ratio(fraction: FractionMap, confidence: float) -> RatioMap:
    """Turn fractions into ratios in place: a large map is not held twice."""
    parts = fraction.value, fraction.lower, fraction.upper
    for part in parts:
        for block in row_blocks(part.shape):
            with np.errstate(divide="ignore"):
                np.divide(part[block], 1 - part[block], out=part[block])
    return RatioMap(*parts, fraction.counts, confidence)
