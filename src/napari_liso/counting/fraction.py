"""The isotope fraction of each pixel, with an interval that is right at any count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from napari_liso.counting.dead_time import MAX_COUNTS_PER_PULSE
from napari_liso.counting.intervals import (
    Pairs,
    clopper_pearson,
    normal_deviations,
    row_blocks,
)
from napari_liso.counting.measured import Measured, as_measured
from napari_liso.counting.sums import (
    IonSums,
    Sum,
    bin_sum,
    check_pixels,
    check_window,
    sum_ions,
    window_sum,
)

__all__ = ["MAX_COUNTS_PER_PULSE", "FractionMap", "fraction_of", "isotope_fraction"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
Background = Sequence[ArrayLike | Measured]


@dataclass(frozen=True, eq=False)
class FractionMap:
    """Isotope fraction n6/(n6 + n7) of every pixel or sum of pixels.

    Parameters
    ----------
    value
        (y, x); NaN where there are too few counts to say anything.
    lower, upper
        (y, x), ends of the interval, within 0 to 1; NaN where `counts` are too few.
    counts
        (y, x), detected counts of both isotopes behind the value.
    """

    value: Floats
    lower: Floats
    upper: Floats
    counts: Counts


def isotope_fraction(
    n6: Any,
    n7: Any,
    pulses: ArrayLike | None = None,
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    background: Background = (0.0, 0.0),
    confidence: float = 0.95,
    bin: int = 1,
    min_counts: int = 1,
    window: int = 1,
) -> FractionMap:
    r"""Isotope fraction of each pixel with a confidence interval.

    Counts are pooled by summing, never by averaging ratios: a mean of pixel
    ratios is biased, the fraction of summed counts is not. Corrections are
    made in the order dead time, background, hydride, mass fractionation, and
    are for showing the fraction; a fit should have them in its likelihood.

    Parameters
    ----------
    n6, n7
        Counts of the two isotopes, (y, x) or (frame, y, x), whole numbers. An
        array-like with ``shape``, ``dtype`` and indexing is read frame by frame.
    pulses
        Primary-ion pulses behind each entry of the counts, broadcastable to
        their shape; 0 where nothing was measured. None leaves out the dead-time
        correction.
    hydride_ratio
        6LiH+ per 6Li+ (equal to 7LiH+ per 7Li+), which is counted as 7Li.
    fractionation
        Factor by which the instrument multiplies the odds n6/n7.
    background
        Expected background counts of (n6, n7) in a pixel, all frames together;
        numbers, or arrays broadcastable to (y, x).
    confidence
        Probability of the interval.
    bin
        Pixels, in y and in x, that are summed into one; blocks at the lower and
        right edge may be smaller.
    min_counts
        Below so many counts, at least 1, the result is NaN.
    window
        Side, in pixels and odd, of the square about each pixel over which counts
        are summed; neighbouring values then share counts. Not along with `bin`.

    Returns
    -------
    FractionMap
        Of shape (y, x), or less by `bin`.

    Raises
    ------
    ValueError
        If counts are negative or not whole (corrected or scaled intensities
        have no counting statistics), shapes differ, or a parameter is out of
        its range.

    See Also
    --------
    fraction_of : the same of sums over regions or along a line.

    Notes
    -----
    *Interval.* Given their sum, ``n6`` is binomial; the interval is that of
    Clopper and Pearson (`clopper_pearson`), which covers at least `confidence`
    at any count, with finite ends at ``n6 = 0`` and ``n7 = 0``. All further
    steps are monotone in the fraction and carry its ends along.

    *Dead time.* Ions are estimated from the counts of each entry before anything
    is summed (`sum_ions`, `before_dead_time`). The interval is widened on the
    logit scale by the ratio of their variance to Poisson statistics. A pixel with
    more counts of one isotope a pulse than `MAX_COUNTS_PER_PULSE`, in all its frames
    together (from 10 pulses on) or in one of them (from 50 pulses a frame on; of fewer
    that happens by chance), is masked (`is_saturated`): it enters neither `counts` nor
    a sum, and its value is NaN.

    *Background.* No more is subtracted than was counted: the value is the
    maximum-likelihood fraction of the signals
    :math:`\max(n_i - b_i, 0)`, and no interval shrinks because the background
    happened to be below its mean. With the share ``p`` of ``n6`` in the total
    :math:`n = n_6 + n_7` it is :math:`c = p + (p b - b_6)/(n - b)`,
    :math:`b = b_6 + b_7`. So the uncertainty of the total, too, enters in quadrature:
    as far as either end goes while the signal :math:`n - b` goes up or down by
    :math:`z\sigma`; to 0 or 1 where it may be none at all. A derivative at the value
    would not do: of a signal of 3, 7.6 % 6Li, with a background of 100 at n6 alone, it
    covers 77 %. Nominal 95 % intervals of a known background cover 95 % or more
    (enumerated for signals of 0.5 to 300 and backgrounds up to 300 counts). The
    value is NaN, the interval 0 to 1, where nothing is left.

    *Hydride.* ``n7 = n7' + h n6``, so ``n7' = n7 - h n6`` and
    ``c' = c / (1 - h c)``. No more is taken off than was counted: above
    ``c = 1/(1 + h)`` the value is 1, and the lower end is shifted by the excess.

    *Fractionation.* ``n6/n7 = alpha n6'/n7'``, so
    ``logit c' = logit c - ln(alpha)``.

    *Errors of the corrections*, given as `Measured`, are common to all pixels:
    they widen every interval and do not average away. With the signal
    :math:`S = S_6 + S_7` of `p` pixels, an error of the background moves the
    fraction by :math:`\partial c/\partial b_6 = -p(1-c)/S` and
    :math:`\partial c/\partial b_7 = p\,c/S`; to the side to which the signal is smaller,
    by as much as it then moves. The odds after hydride are
    ``o' = o/(1 - h o)``, so :math:`\partial\ln o'/\partial h = o'`: an error of
    ``h`` matters where 6Li dominates. An error of ``alpha`` moves
    ``ln o'`` by itself, :math:`\partial\ln o'/\partial\ln\alpha = -1`. That of ``h`` is
    carried exactly, by its own ends. They are independent of the counts, so each end
    of the interval is put where

    .. math:: |L' - L| = \sqrt{(L_\text{counts} - L)^2 + z^2\sigma_h^2 + z^2\sigma_\alpha^2},

    on the logit scale about the value ``L``. Where the value is 0 or 1, there is no
    middle: the one end that is open moves by the whole error, which is more than
    quadrature would give.

    Examples
    --------
    >>> f = isotope_fraction([[0, 3]], [[4, 1]])
    >>> f.value.tolist(), f.upper.round(3).tolist()
    ([[0.0, 0.75]], [[0.602, 0.994]])
    """
    settings = _checked(hydride_ratio, fractionation, confidence, min_counts)
    check_pixels("bin", bin)
    check_window(window)
    if bin > 1 and window > 1:
        raise ValueError("choose bin or window, not both")
    sums = sum_ions(n6, n7, pulses)
    known = _checked_background(background, sums)
    if bin > 1 or window > 1:

        def pool(image: NDArray[Any]) -> NDArray[Any]:
            return bin_sum(image, int(bin)) if bin > 1 else window_sum(image, int(window))

        sums, known = sums.pooled(pool), [b.pooled(pool) for b in known]
    return _fraction(sums, known, settings)


def fraction_of(
    sums: IonSums,
    *,
    background: Background = (0.0, 0.0),
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    confidence: float = 0.95,
    min_counts: int = 1,
) -> FractionMap:
    """Isotope fraction of summed counts, such as those of regions.

    Parameters
    ----------
    sums
        From `sum_ions`, of any shape.
    background
        Expected background counts of (tracer, other) *in a pixel*, all frames
        together: each is multiplied by the number of usable pixels. An array must
        be broadcastable to the sums.
    hydride_ratio, fractionation, confidence, min_counts
        As of `isotope_fraction`, which also tells how all is done.

    Returns
    -------
    FractionMap
        Of the shape of the sums.

    Raises
    ------
    ValueError
        If a parameter is out of its range.
    """
    settings = _checked(hydride_ratio, fractionation, confidence, min_counts)
    return _fraction(sums, _checked_background(background, sums), settings)


@dataclass(frozen=True)
class _Settings:
    hydride: Measured
    fractionation: Measured
    confidence: float
    min_counts: int

    @property
    def deviations(self) -> float:
        return normal_deviations(self.confidence)

    @property
    def has_factors(self) -> bool:
        h, alpha = self.hydride, self.fractionation
        return (h.value, h.error, alpha.value, alpha.error) != (0, 0, 1, 0)


def _checked(
    hydride_ratio: float | Measured,
    fractionation: float | Measured,
    confidence: float,
    min_counts: int,
) -> _Settings:
    hydride, factor = (_as_measured(hydride_ratio, "hydride_ratio"),
                       _as_measured(fractionation, "fractionation"))  # fmt: skip
    if not 0 <= hydride.value < 1:
        raise ValueError(f"hydride_ratio must be from 0 to below 1, got {hydride.value}")
    if not factor.value > 0:
        raise ValueError(f"fractionation must be a positive factor, got {factor.value}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    if not min_counts >= 1:
        raise ValueError(f"min_counts must be at least 1, got {min_counts}")
    return _Settings(hydride, factor, confidence, min_counts)


def _as_measured(value: float | Measured, name: str) -> Measured:
    try:
        return as_measured(value)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


@dataclass(frozen=True)
class _Known:
    """Background counts behind every entry, with a standard error common to all pixels."""

    mean: float  # a pixel, where it is the same in all
    totals: Floats | None  # of every entry, where it is not
    error: float  # a pixel

    def __bool__(self) -> bool:
        return self.mean > 0 or self.error > 0 or self.totals is not None

    def expected(self, entries: Any, pixels: Counts) -> Floats:
        each = self.mean * pixels if self.totals is None else self.totals[entries]
        return np.asarray(each, dtype=np.float64)

    def pooled(self, pool: Callable[[NDArray[Any]], NDArray[Any]]) -> _Known:
        """Return it for pooled sums."""
        return self if self.totals is None else replace(self, totals=pool(self.totals))


def _checked_background(background: Background, sums: IonSums) -> list[_Known]:
    try:
        two = len(background) == 2
    except TypeError:
        two = False
    if not two:
        raise ValueError("background must be two numbers, of n6 and of n7")
    return [_known(each, name, sums) for each, name in zip(background, ("n6", "n7"), strict=True)]


def _known(background: ArrayLike | Measured, name: str, sums: IonSums) -> _Known:
    if isinstance(background, Measured):
        if background.value < 0:
            raise ValueError(f"the background of {name} must be counts of at least 0")
        return _Known(background.value, None, background.error)
    array = np.asarray(background, dtype=np.float64)
    if not np.all((array >= 0) & np.isfinite(array)):
        raise ValueError(f"the background of {name} must be counts of at least 0")
    if array.ndim == 0:
        return _Known(float(array), None, 0.0)
    try:
        return _Known(0.0, np.broadcast_to(array, sums.shape) * sums.pixels, 0.0)
    except ValueError:
        raise ValueError(
            f"the background of {name} has shape {array.shape}, the image {sums.shape}"
        ) from None


def _fraction(sums: IonSums, known: list[_Known], settings: _Settings) -> FractionMap:
    """Return value and interval.

    Where they depend on nothing but the two counts, each pair of counts is worked
    out once: a map has far fewer pairs than pixels.
    """
    counts = sums.counts
    pixels = sums.pixels.flat[0] if sums.pixels.size else 0
    if (
        sums.tracer.corrected is None
        and all(each.totals is None for each in known)
        and (not any(known) or np.all(sums.pixels == pixels))
    ):
        pairs = Pairs.of(sums.tracer.counts, counts)
        if pairs is not None:
            light, heavy = pairs.successes, pairs.trials - pairs.successes
            once = IonSums(Sum(light), Sum(heavy), np.full_like(light, pixels))
            parts = _parts(once, pairs.trials, known, settings)
            value, lower, upper = (pairs.spread(part) for part in parts)
            return FractionMap(value, lower, upper, counts)
    value, lower, upper = _parts(sums, counts, known, settings)
    return FractionMap(value, lower, upper, counts)


def _parts(
    sums: IonSums, counts: Counts, known: list[_Known], settings: _Settings
) -> tuple[Floats, Floats, Floats]:
    """Return (value, lower, upper), worked out in blocks so that temporary arrays stay small."""
    lower, upper = clopper_pearson(sums.tracer.counts, counts, settings.confidence)
    value = np.empty(counts.shape)
    for block in row_blocks(counts.shape):
        light, heavy = sums.tracer.part(block), sums.other.part(block)
        ions = light.ions
        with np.errstate(invalid="ignore"):
            share = ions / (ions + heavy.ions)
        low, high = lower[block], upper[block]
        if light.corrected is not None:
            low, high = _after_dead_time(low, high, light, heavy)
        parts = share, low, high
        if any(known):
            pixels = sums.pixels[block]
            expected = [b.expected(block, pixels) for b in known]
            errors: list[Floats] = [np.asarray(b.error * pixels) for b in known]
            parts = _after_background(parts, light, heavy, expected, errors, settings.deviations)
        if settings.has_factors:
            parts = _after_factors(parts, settings)
        too_few = counts[block] < settings.min_counts
        for part, whole in zip(parts, (value, lower, upper), strict=True):
            part[too_few] = np.nan
            whole[block] = part
    return value, lower, upper


def _after_dead_time(
    lower: Floats, upper: Floats, light: Sum, heavy: Sum
) -> tuple[Floats, Floats]:
    """Carry the ends from shares of counts to shares of ions."""
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = np.where(light.counts > 0, light.ions / light.counts, 1.0) / np.where(
            heavy.counts > 0, heavy.ions / heavy.counts, 1.0
        )
        odds = light.ions / heavy.ions
        relative = light.variance / light.ions**2 + heavy.variance / heavy.ions**2
        widening = np.sqrt(relative / (1 / light.counts + 1 / heavy.counts))
        ends = []
        for end in (lower, upper):
            moved = end / (1 - end) * gain
            # Both isotopes seen: stretch about the value; else there is no middle.
            stretched = odds * (moved / odds) ** widening
            moved = np.where((light.counts > 0) & (heavy.counts > 0), stretched, moved)
            ends.append(np.where(np.isinf(moved), 1.0, moved / (1 + moved)))
    return ends[0], ends[1]


def _after_background(
    parts: tuple[Floats, Floats, Floats],
    light: Sum,
    heavy: Sum,
    expected: list[Floats],
    errors: list[Floats],
    deviations: float,
) -> tuple[Floats, Floats, Floats]:
    """Carry (value, lower, upper) from shares of all ions to shares of the signal."""
    b6 = np.minimum(expected[0], light.ions)
    b7 = np.minimum(expected[1], heavy.ions)
    total, both = light.ions + heavy.ions, b6 + b7
    signal = total - both
    of_total = light.variance + heavy.variance
    with np.errstate(divide="ignore", invalid="ignore"):
        value, lower, upper = ((part * total - b6) / signal for part in parts)
        value = np.clip(value, 0.0, 1.0)
        reach = deviations * np.sqrt(of_total)
        least, most = np.maximum(signal - reach, 0.0), signal + reach
        # More background, of n6 or n7 and to lower or raise c, leaves a smaller signal.
        from6, from7 = ((1 - value) * deviations * errors[0], value * deviations * errors[1])
        left6, left7 = (np.maximum(signal - deviations * e, 0.0) for e in errors)

        def extra(share: Floats, sign: int) -> Floats:
            middle = reach * (b6 - parts[0] * both) / signal**2
            push = sign * (share * both - b6)
            far = np.where(push > 0, push * (1 / least - 1 / signal),
                           push * (1 / most - 1 / signal))  # fmt: skip
            of6 = _over(from6, left6 if sign < 0 else signal)
            of7 = _over(from7, left7 if sign > 0 else signal)
            return np.sqrt(np.maximum(middle**2, far**2) + of6**2 + of7**2)

        lower = np.clip(value - _quadratic(value - lower, extra(parts[1], -1)), 0.0, 1.0)
        upper = np.clip(value + _quadratic(upper - value, extra(parts[2], 1)), 0.0, 1.0)
    nothing = signal <= 1e-9 * total
    return (
        np.where(nothing, np.nan, value),
        np.where(nothing, 0.0, lower),
        np.where(nothing, 1.0, upper),
    )


def _over(part: Floats, whole: Floats) -> Floats:
    """Return part / whole, infinite where nothing may be left, 0 where there is no part."""
    return np.where(part == 0, 0.0, part / whole)


def _after_factors(
    parts: tuple[Floats, Floats, Floats], settings: _Settings
) -> tuple[Floats, Floats, Floats]:
    """Undo hydride and mass fractionation and widen the interval by their errors."""
    h, alpha = settings.hydride.value, settings.fractionation.value
    share, first, last = parts
    # Hydride alone leaves 1/(1 + h): what is beyond shifts the end and shrinks nothing.
    first = np.maximum(first - np.fmax(share - 1 / (1 + h), 0.0), 0.0)
    parts = share, first, last
    value, lower, upper = (_without_factors(part, h, alpha) for part in parts)
    if settings.hydride.error == 0 and settings.fractionation.error == 0:
        return value, lower, upper
    z = settings.deviations
    of_hydride, of_factor = z * settings.hydride.error, z * settings.fractionation.error / alpha
    with np.errstate(divide="ignore", invalid="ignore"):
        middle, low, high = (np.log(part / (1 - part)) for part in (value, lower, upper))
        inside = (value > 0) & (value < 1)
        # About the value where it is a middle, else from the end itself.
        fall = _quadratic(_moved(np.where(inside, share, first), h, -of_hydride), of_factor)
        rise = _quadratic(_moved(np.where(inside, share, last), h, of_hydride), of_factor)
        low = np.where(inside, middle - _quadratic(middle - low, fall), low - fall)
        high = np.where(inside, middle + _quadratic(high - middle, rise), high + rise)
    # An end at 0 or 1 stays there, whatever is not a number on the logit scale.
    return (
        value,
        np.where(lower > 0, expit(low), lower),
        np.where(upper < 1, expit(high), upper),
    )


def _without_factors(fraction: Floats, hydride_ratio: float, fractionation: float) -> Floats:
    """Undo hydride and mass fractionation; both keep 0, neither leaves 0 to 1."""
    without_hydride = np.minimum(fraction / (1 - hydride_ratio * fraction), 1.0)
    return without_hydride / (without_hydride + fractionation * (1 - without_hydride))


def _moved(fraction: Floats, hydride_ratio: float, by: float) -> Floats:
    """Return how far the logit moves where the hydride ratio is off by so much, positive.

    No hydride ratio is below 0; one that leaves no 7Li moves it to infinity.
    """
    other = max(hydride_ratio + by, 0.0)
    if other == hydride_ratio:
        return np.zeros_like(fraction)
    left = 1 - fraction - hydride_ratio * fraction
    left_then = 1 - fraction - other * fraction
    return np.where(left_then > 0, np.abs(np.log(left / left_then)), np.inf)


def _quadratic(first: Floats, second: Floats | float) -> Floats:
    """Return the quadratic sum; `numpy.hypot` takes three times as long."""
    return np.sqrt(np.square(first) + np.square(second))
