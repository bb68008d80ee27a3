"""What stands between counted ions and the isotope fraction of the sample.

The corrections of a pair of isotopes, and how each of them is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import exp, log, log1p, sqrt
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from napari_liso.counting.measured import Measured, as_measured
from napari_liso.counting.sums import IonSums, Sum, sum_ions

__all__ = [
    "Corrections",
    "background_from_region",
    "background_from_window",
    "fractionation_from_reference",
    "fractionation_of",
    "hydride_ratio_from_mass8",
]

_NONE = Measured(0.0)
_UNITY = Measured(1.0)

#: What a correction is worked out from must be above 0 by so many standard deviations.
_CLEAR = 3.0


@dataclass(frozen=True)
class Corrections:
    """The corrections of a pair of isotopes, made in this order.

    Parameters
    ----------
    dead_time
        Whether to correct for dead time where the pulses are known.
    background
        Expected background counts a pixel, all frames together, of tracer and
        other isotope.
    hydride_ratio
        6LiH+ per 6Li+ (equal to 7LiH+ per 7Li+), which is counted as 7Li.
    fractionation
        Factor by which the instrument multiplies the odds tracer/other.

    Plain numbers are taken as exact.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    dead_time: bool = True
    background: tuple[Measured, Measured] = (_NONE, _NONE)
    hydride_ratio: Measured = _NONE
    fractionation: Measured = _UNITY

    def __post_init__(self) -> None:
        try:
            tracer, other = self.background
        except (TypeError, ValueError):
            raise ValueError("background must be two numbers, of tracer and other") from None
        object.__setattr__(self, "background", (as_measured(tracer), as_measured(other)))
        for name in ("hydride_ratio", "fractionation"):
            object.__setattr__(self, name, as_measured(getattr(self, name)))
        if not 0 <= self.hydride_ratio.value < 1:
            raise ValueError(
                f"hydride_ratio must be from 0 to below 1, got {self.hydride_ratio.value}"
            )
        if not 0 < self.fractionation.value < np.inf:
            raise ValueError(
                f"fractionation must be a positive factor, got {self.fractionation.value}"
            )
        if any(b.value < 0 for b in self.background):
            raise ValueError("a background cannot be negative counts")

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords for `isotope_fraction` and its kin, but for the pulses."""
        return {
            "background": self.background,
            "hydride_ratio": self.hydride_ratio,
            "fractionation": self.fractionation,
        }

    def describe(self) -> dict[str, Any]:
        """Return them in JSON-able words."""
        return {
            "dead_time": self.dead_time,
            "background": [b.describe() for b in self.background],
            "hydride_ratio": self.hydride_ratio.describe(),
            "fractionation": self.fractionation.describe(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Corrections:
        """Return the corrections that `describe` wrote."""
        tracer, other = (Measured(**b) for b in record["background"])
        return cls(
            dead_time=bool(record["dead_time"]),
            background=(tracer, other),
            hydride_ratio=Measured(**record["hydride_ratio"]),
            fractionation=Measured(**record["fractionation"]),
        )


def background_from_window(off_peak: Any, width_ratio: float = 1.0) -> Measured:
    r"""Background under a peak from the counts beside it.

    Parameters
    ----------
    off_peak
        Counts, (y, x) or (frame, y, x), of a mass window without a peak.
    width_ratio
        Width of the peak's window over that of this one. The background of a
        time-of-flight spectrum is flat in flight time, so take both widths in it;
        for windows that are close together the ratio of the widths in mass is the
        same.

    Returns
    -------
    Measured
        Expected background counts a pixel, all frames together.

    Raises
    ------
    ValueError
        If the counts are not counts, or the ratio is not positive.

    Notes
    -----
    ``B`` counts in ``p`` pixels are a sample of Poisson's distribution, hence
    :math:`b = w B / p` with :math:`\sigma_b = w \sqrt{B + 1} / p`, the standard
    deviation of a mean of which ``B`` is known (a gamma distribution). The root of ``B``
    alone is too small where ``B`` happens to be low, and nothing where it is 0: of 3 or
    5 expected counts, 1.96 of it either side hold 80 and 87 %, of this one 95 and 96 %.
    """
    if not 0 < width_ratio < np.inf:
        raise ValueError(f"width_ratio must be a positive number, got {width_ratio}")
    sums = sum_ions(off_peak, off_peak)
    count, pixels = int(sums.tracer.counts.sum()), sums.tracer.counts.size
    return Measured(
        width_ratio * count / pixels,
        width_ratio * sqrt(count + 1) / pixels,
        f"{count:,} off-peak counts times {width_ratio:.4g}",
    )


def background_from_region(n: Any, mask: ArrayLike) -> Measured:
    """Background of a peak from a place where the sample has none of its element.

    Parameters
    ----------
    n
        Counts of the peak, (y, x) or (frame, y, x).
    mask
        Pixels of that place, bool of shape (y, x).

    Returns
    -------
    Measured
        Expected background counts a pixel, all frames together, with the error as
        of `background_from_window`.

    Raises
    ------
    ValueError
        If the mask has another shape or no pixel.
    """
    total = sum_ions(n, n).tracer.counts
    chosen = np.asarray(mask)
    if chosen.dtype != bool or chosen.shape != total.shape:
        raise ValueError(
            f"the mask must be bool of shape {total.shape}, got {chosen.dtype} of {chosen.shape}"
        )
    pixels = int(chosen.sum())
    if pixels == 0:
        raise ValueError("the region has no pixel")
    count = int(total[chosen].sum())
    return Measured(
        count / pixels, sqrt(count + 1) / pixels, f"{count:,} counts in {pixels:,} pixels"
    )


def hydride_ratio_from_mass8(
    n6: Any,
    n7: Any,
    n8: Any,
    pulses: ArrayLike | None = None,
    background: tuple[float | Measured, float | Measured, float | Measured] = (0.0, 0.0, 0.0),
) -> Measured:
    r"""Hydride ratio from the counts of mass 8, which is 7LiH+.

    Parameters
    ----------
    n6, n7, n8
        Counts of the masses 6, 7 and 8, (y, x) or (frame, y, x), of a place where
        the hydride ratio is the same; the isotope fraction may vary in it.
    pulses
        As of `isotope_fraction`: without them, 7Li that saturates reads as hydride.
    background
        Expected background counts a pixel, all frames together, of the three masses.

    Returns
    -------
    Measured
        6LiH+ per 6Li+, equal to 7LiH+ per 7Li+.

    Raises
    ------
    ValueError
        If the counts are too few or mere background, or 6Li dominates so far that
        mass 8 does not tell how much of mass 7 is hydride.

    Notes
    -----
    With the ratio ``h`` and ``N7'`` ions of 7Li+, mass 7 is
    ``N7 = N7' + h N6`` and mass 8 is ``N8 = h N7'``. So

    .. math:: F(h) = h^2 N_6 - h N_7 + N_8 = 0, \quad
              h = \frac{2 N_8}{N_7 + s}, \quad s = \sqrt{N_7^2 - 4 N_6 N_8}.

    Of the two solutions it is the smaller one as long as
    ``s = N7' - h N6`` is positive: more 7Li than 6LiH. Where ``s`` is not clearly
    so, both solutions are possible and nothing is returned. Derivatives are
    :math:`\partial h/\partial N_i = -(\partial F/\partial N_i)/(\partial F/\partial h)`
    with :math:`\partial F/\partial h = -s`, so for Poisson counts

    .. math:: \sigma_h^2 = (h^4 N_6 + h^2 N_7 + N_8) / s^2.

    A background is taken off the sums, its variance and error are added to theirs. What
    else is at mass 8, such as 6LiH2+, makes ``h`` too high.
    ``h`` is high where ``N7`` is low by chance, so an error of ``h`` from the same counts
    adds to theirs and not in quadrature as it would from others: take it where 6Li is
    rare, where that is nothing, or from many more counts than those it corrects.
    """
    pair, eight = sum_ions(n6, n7, pulses), sum_ions(n8, n8, pulses)
    if pair.shape != eight.shape:
        raise ValueError(f"n8 {eight.shape} must have the shape of n6 and n7 {pair.shape}")
    usable = (pair.pixels > 0) & (eight.pixels > 0)
    sums = (pair.tracer, pair.other, eight.tracer)
    pixels = float(usable.sum())
    (six, v6), (seven, v7), (hydride, v8) = (
        _without(b, pixels, float(s.ions[usable].sum()), float(s.variance[usable].sum()))
        for s, b in zip(sums, (as_measured(b) for b in background), strict=True)
    )
    v8 = max(v8, 1.0)  # none was seen: one might have been
    squared = seven**2 - 4 * six * hydride
    unsure = sqrt(4 * seven**2 * v7 + 16 * hydride**2 * v6 + 16 * six**2 * v8)
    if not squared > _CLEAR * unsure:
        raise ValueError(
            f"mass 8 does not tell the hydride here: {six:,.0f} ions of mass 6, {seven:,.0f} of "
            f"mass 7, {hydride:,.0f} of mass 8. Take a place with more 7Li, such as one that the "
            "tracer has not reached"
        )
    s = sqrt(squared)
    h = 2 * hydride / (seven + s)
    if h >= 1:
        raise ValueError(f"mass 8 would make the hydride ratio {h:.3g}: it is no hydride of 7Li")
    error = sqrt(h**4 * v6 + h**2 * v7 + v8) / s
    return Measured(h, error, f"mass 8, {hydride:,.0f} counts")


def _without(
    background: Measured, pixels: float, ions: float, variance: float
) -> tuple[float, float]:
    """Return (ions without background, not below zero; their variance)."""
    if background.value < 0:
        raise ValueError("a background cannot be negative counts")
    left = max(ions - background.value * pixels, 0.0)
    return left, variance + (background.error * pixels) ** 2


def fractionation_from_reference(
    n6: Any,
    n7: Any,
    reference: float | Measured,
    corrections: Corrections | None = None,
    pulses: ArrayLike | None = None,
) -> Measured:
    """Mass fractionation from counts of a reference of known isotope fraction.

    Parameters
    ----------
    n6, n7
        Counts of the reference, (y, x) or (frame, y, x).
    reference
        Its isotope fraction n6/(n6 + n7), such as `isotopes.natural_fraction`.
    corrections
        The others, which are made before; their fractionation is not used.
    pulses
        As of `isotope_fraction`.

    Returns
    -------
    Measured
        Factor by which the instrument multiplies the odds n6/n7.

    Raises
    ------
    ValueError
        As `fractionation_of`.
    """
    made = Corrections() if corrections is None else corrections
    sums = sum_ions(n6, n7, pulses if made.dead_time else None)
    return fractionation_of(sums, reference, made)


def fractionation_of(
    sums: IonSums, reference: float | Measured, corrections: Corrections | None = None
) -> Measured:
    r"""Mass fractionation from summed counts of a reference.

    Parameters
    ----------
    sums
        From `sum_ions`; all entries are taken together.
    reference, corrections
        As of `fractionation_from_reference`; dead time is in the sums.

    Returns
    -------
    Measured
        Factor by which the instrument multiplies the odds n6/n7.

    Raises
    ------
    ValueError
        If the reference is not between 0 and 1, or what is left of either isotope
        after the corrections is not above 0 by three standard deviations.

    Notes
    -----
    The signals are :math:`S_i = \lambda_i - p\,b_i` of ``p`` pixels. With hydride
    taken off, :math:`S_7' = S_7 - h S_6`, the logarithm of the factor is

    .. math:: \ln\alpha = \ln S_6 - \ln S_7' - \operatorname{logit} c_\text{ref}

    and, as all errors are independent of each other,

    .. math:: \sigma_{\ln\alpha}^2 = \Big(\frac{1}{S_6} + \frac{h}{S_7'}\Big)^2
              (\sigma_{\lambda 6}^2 + p^2\sigma_{b6}^2)
              + \frac{\sigma_{\lambda 7}^2 + p^2\sigma_{b7}^2}{S_7'^2}
              + \Big(\frac{S_6}{S_7'}\Big)^2 \sigma_h^2
              + \frac{\sigma_\text{ref}^2}{c_\text{ref}^2 (1-c_\text{ref})^2}.

    A fraction that is then corrected with this factor and with the same background
    and hydride ratio takes their errors for independent of that of the factor. They
    move both the same way and cancel in part, so its interval is too wide, not too
    narrow.
    """
    known = as_measured(reference)
    if not 0 < known.value < 1:
        raise ValueError(
            f"the reference must be an isotope fraction between 0 and 1, got {known.value}"
        )
    made = Corrections() if corrections is None else corrections
    pixels = int(sums.pixels.sum())
    (six, v6), (seven, v7) = (
        _signal(one, pixels, background)
        for one, background in zip((sums.tracer, sums.other), made.background, strict=True)
    )
    h = made.hydride_ratio
    left = seven - h.value * six
    v_left = v7 + h.value**2 * v6 + (h.error * six) ** 2
    for name, signal, variance in (("tracer", six, v6), ("other isotope", left, v_left)):
        if not signal > _CLEAR * sqrt(variance):
            raise ValueError(
                f"the reference has too few counts of the {name}: {signal:,.1f} are left after "
                f"background and hydride, with a standard error of {sqrt(variance):,.1f}"
            )
    logit = log(known.value) - log1p(-known.value)
    variance = (
        (1 / six + h.value / left) ** 2 * v6
        + v7 / left**2
        + (six / left * h.error) ** 2
        + (known.error / (known.value * (1 - known.value))) ** 2
    )
    alpha = exp(log(six) - log(left) - logit)
    total = int(sums.counts.sum())
    return Measured(
        alpha, alpha * sqrt(variance), f"reference of {known.value:.4g}, {total:,} counts"
    )


def _signal(one: Sum, pixels: int, background: Measured) -> tuple[float, float]:
    """Return summed ions less background, and the variance of that."""
    signal = float(one.ions.sum()) - pixels * background.value
    return signal, float(one.variance.sum()) + (pixels * background.error) ** 2
