"""The isotope fraction of each pixel, with an interval that is right at any count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import betaincinv, ndtri

__all__ = ["MAX_COUNTS_PER_PULSE", "FractionMap", "isotope_fraction"]

#: Above this many detected counts a pulse nearly every pulse is a count, and the
#: dead-time correction says more about noise than about ions: such pixels are masked.
MAX_COUNTS_PER_PULSE = 0.8

#: Pairs (n6, n) are looked up in a table up to this many entries, sorted beyond.
_TABLE = 2**24

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class FractionMap:
    """Isotope fraction n6/(n6 + n7) of every pixel or bin of pixels.

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


@dataclass(frozen=True, eq=False)
class _Pooled:
    """Sums over frames and bins, of one isotope.

    `counts` as detected; `ions` after the dead-time correction; `variance` of `ions`.
    """

    counts: Counts
    ions: Floats
    variance: Floats


def isotope_fraction(
    n6: ArrayLike,
    n7: ArrayLike,
    pulses: ArrayLike | None = None,
    hydride_ratio: float = 0.0,
    fractionation: float = 1.0,
    background: tuple[ArrayLike, ArrayLike] = (0.0, 0.0),
    confidence: float = 0.95,
    bin: int = 1,
    min_counts: int = 1,
) -> FractionMap:
    r"""Isotope fraction of each pixel with a confidence interval.

    Counts are pooled by summing, never by averaging ratios: a mean of pixel
    ratios is biased, the fraction of summed counts is not. Corrections are
    made in the order dead time, background, hydride, mass fractionation, and
    are for showing the fraction; a fit should have them in its likelihood.

    Parameters
    ----------
    n6, n7
        Counts of the two isotopes, (y, x) or (frame, y, x), whole numbers.
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

    Notes
    -----
    *Interval.* Given their sum, ``n6`` is binomial; the interval is that of
    Clopper and Pearson [1]_, which covers at least `confidence` at any count,
    with finite ends at ``n6 = 0`` and ``n7 = 0``. All further steps are
    monotone in the fraction and carry its ends along.

    *Dead time.* A peak gives at most one count a pulse, so ``N`` counts in
    ``P`` pulses come from :math:`\lambda = -P \ln(1 - N/P)` ions [2]_, entry by
    entry before anything is summed: the mean of a curved function is not the
    function of the mean. ``N`` is binomial in ``P``, hence
    :math:`\operatorname{var} \lambda = P (N/P) / (1 - N/P)`; the interval is
    widened on the logit scale by the ratio of this to Poisson statistics. A pixel
    with an entry above `MAX_COUNTS_PER_PULSE` is masked: it enters neither
    `counts` nor a bin, and its value is NaN. An entry of few pulses says little
    about its rate: of one pulse, every count would be masked. Sum frames before
    where the rate stays the same, and leave out the correction below about five
    pulses an entry, where it does more harm than good.

    *Background.* No more is subtracted than was counted: the value is the
    maximum-likelihood fraction of the signals
    :math:`\max(n_i - b_i, 0)`, and no interval shrinks because the background
    happened to be below its mean. The uncertainty of the total enters in
    quadrature. Nominal 95 % intervals then cover 95 % or more, but for about
    91 % where the background is several times a signal of a few counts. The
    value is NaN, the interval 0 to 1, where nothing is left.

    *Hydride.* ``n7 = n7' + h n6``, so ``c' = c / (1 - h c)``.

    *Fractionation.* ``logit c' = logit c - ln(alpha)``.

    References
    ----------
    .. [1] C. J. Clopper, E. S. Pearson, Biometrika 26 (1934) 404.
    .. [2] T. Stephan, J. Zehnpfenning, A. Benninghoven, J. Vac. Sci. Technol. A
       12 (1994) 405.

    Examples
    --------
    >>> f = isotope_fraction([[0, 3]], [[4, 1]])
    >>> f.value.tolist(), f.upper.round(3).tolist()
    ([[0.0, 0.75]], [[0.602, 0.994]])
    """
    first, second = _checked_counts(n6, "n6"), _checked_counts(n7, "n7")
    if first.shape != second.shape:
        raise ValueError(f"n6 {first.shape} and n7 {second.shape} must have the same shape")
    _check_parameters(hydride_ratio, fractionation, confidence, bin, min_counts)
    usable, pulse_array = _usable(first, second, pulses)
    light = _pool(first, pulse_array, usable, bin)
    heavy = _pool(second, pulse_array, usable, bin)
    counts = light.counts + heavy.counts
    enough = counts >= min_counts

    lower, upper = _clopper_pearson(light.counts, counts, confidence)
    if pulse_array is not None:
        lower, upper = _after_dead_time(lower, upper, light, heavy)
    with np.errstate(invalid="ignore"):
        share = light.ions / (light.ions + heavy.ions)
    expected = [_checked_background(b, name, usable.shape) for b, name in
                zip(background, ("n6", "n7"), strict=True)]  # fmt: skip
    if any(np.any(b) for b in expected):
        known = [_bin_sum(np.where(usable, b, 0.0), bin) for b in expected]
        share, lower, upper = _after_background(
            (share, lower, upper), light, heavy, known, float(ndtri(0.5 + confidence / 2))
        )
    parts = [share, lower, upper]
    if hydride_ratio != 0 or fractionation != 1:
        parts = [_after_factors(part, hydride_ratio, fractionation) for part in parts]
    for part in parts:
        part[~enough] = np.nan
    return FractionMap(parts[0], parts[1], parts[2], counts)


def _checked_counts(counts: ArrayLike, name: str) -> Counts:
    """Return counts as integers of shape (frame, y, x)."""
    array = np.asarray(counts)
    if array.dtype.kind not in "uif":
        raise ValueError(f"{name} must be counts, got an array of {array.dtype}")
    if array.ndim not in (2, 3):
        raise ValueError(f"{name} must be (y, x) or (frame, y, x), got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} is empty: shape {array.shape}")
    # NaN equals nothing, an infinity is beyond any count.
    if array.dtype.kind == "f" and not np.all((array == np.rint(array)) & (array < 2**53)):
        raise ValueError(
            f"{name} holds values that are no whole numbers: corrected or scaled intensities "
            "have no counting statistics; use the counts themselves"
        )
    if array.dtype.kind != "u" and array.min() < 0:
        raise ValueError(f"{name} holds negative counts ({array.min()})")
    array = array.astype(np.int64, copy=False)
    return array if array.ndim == 3 else array[np.newaxis]


def _check_parameters(
    hydride_ratio: float, fractionation: float, confidence: float, bin: int, min_counts: int
) -> None:
    if not 0 <= hydride_ratio < 1:
        raise ValueError(f"hydride_ratio must be from 0 to below 1, got {hydride_ratio}")
    if not 0 < fractionation < np.inf:
        raise ValueError(f"fractionation must be a positive factor, got {fractionation}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    if bin != int(bin) or bin < 1:
        raise ValueError(f"bin must be a whole number of pixels, at least 1, got {bin}")
    if not min_counts >= 1:
        raise ValueError(f"min_counts must be at least 1, got {min_counts}")


def _checked_background(background: ArrayLike, name: str, shape: tuple[int, ...]) -> Floats:
    array = np.asarray(background, dtype=np.float64)
    if not np.all((array >= 0) & np.isfinite(array)):
        raise ValueError(f"the background of {name} must be counts of at least 0")
    try:
        return np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(
            f"the background of {name} has shape {array.shape}, the image {shape}"
        ) from None


def _usable(
    first: Counts, second: Counts, pulses: ArrayLike | None
) -> tuple[NDArray[np.bool_], Floats | None]:
    """Return (y, x) of the points that are not saturated, and pulses (frame, y, x)."""
    if pulses is None:
        return np.ones(first.shape[1:], dtype=bool), None
    array = np.asarray(pulses, dtype=np.float64)
    if not np.all((array >= 0) & np.isfinite(array)):
        raise ValueError("pulses must be positive numbers")
    try:
        array = np.broadcast_to(array, first.shape)
    except ValueError:
        raise ValueError(
            f"pulses has shape {array.shape}, which does not fit counts of (frame, y, x) "
            f"{first.shape}"
        ) from None
    highest = np.maximum(first, second)
    if np.any(highest[array == 0]):
        raise ValueError("pulses must be positive wherever there are counts")
    return np.all(highest <= MAX_COUNTS_PER_PULSE * array, axis=0), array


def _bin_sum(image: NDArray[Any], bin: int) -> NDArray[Any]:
    """Sum blocks of an image; those at the far edges may be smaller."""
    if bin == 1:
        return image
    rows = np.add.reduceat(image, np.arange(0, image.shape[0], bin), axis=0)
    return np.add.reduceat(rows, np.arange(0, image.shape[1], bin), axis=1)


def _pool(counts: Counts, pulses: Floats | None, usable: NDArray[np.bool_], bin: int) -> _Pooled:
    total = counts.sum(axis=0) if len(counts) > 1 else counts[0]
    if not usable.all():
        total = np.where(usable, total, 0)
    total = _bin_sum(total, bin)
    if pulses is None:
        ions = total.astype(np.float64)
        return _Pooled(total, ions, ions)
    full = np.divide(counts, pulses, out=np.zeros(counts.shape), where=usable & (pulses > 0))
    ions = _bin_sum((-pulses * np.log1p(-full)).sum(axis=0), bin)
    variance = _bin_sum((pulses * full / (1 - full)).sum(axis=0), bin)
    return _Pooled(total, ions, variance)


def _clopper_pearson(
    successes: Counts, trials: Counts, confidence: float
) -> tuple[Floats, Floats]:
    """Return the interval of a binomial probability; 0 to 1 where there are no trials.

    Evaluated once for each pair that occurs: a map has far fewer than pixels.
    """
    largest = int(trials.max())
    if (largest + 1) * (largest + 2) // 2 <= _TABLE:
        # Row n of a triangle begins at n (n + 1) / 2.
        place = trials * (trials + 1) // 2 + successes
        occurs = np.zeros((largest + 1) * (largest + 2) // 2, dtype=bool)
        occurs[place] = True
        pair = np.flatnonzero(occurs)
        n = ((np.sqrt(8.0 * pair + 1) - 1) // 2).astype(np.int64)
        k = pair - n * (n + 1) // 2
        rank = np.zeros(len(occurs), dtype=np.intp)
        rank[pair] = np.arange(len(pair))
        inverse = rank[place]
    else:
        pairs, inverse = np.unique(
            np.stack([successes.ravel(), trials.ravel()]), axis=1, return_inverse=True
        )
        k, n = pairs
        inverse = inverse.reshape(trials.shape)
    tail = (1 - confidence) / 2
    with np.errstate(invalid="ignore"):
        lower = np.where(k > 0, betaincinv(np.maximum(k, 1), n - k + 1, tail), 0.0)
        upper = np.where(k < n, betaincinv(k + 1, np.maximum(n - k, 1), 1 - tail), 1.0)
    return lower[inverse], upper[inverse]


def _after_dead_time(
    lower: Floats, upper: Floats, light: _Pooled, heavy: _Pooled
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
    light: _Pooled,
    heavy: _Pooled,
    background: list[Floats],
    deviations: float,
) -> tuple[Floats, Floats, Floats]:
    """Carry (value, lower, upper) from shares of all ions to shares of the signal."""
    b6 = np.minimum(background[0], light.ions)
    b7 = np.minimum(background[1], heavy.ions)
    total = light.ions + heavy.ions
    signal = total - b6 - b7
    with np.errstate(divide="ignore", invalid="ignore"):
        value, lower, upper = ((part * total - b6) / signal for part in parts)
        spread = (b6 - parts[0] * (b6 + b7)) / signal**2
        extra = deviations * np.sqrt(light.variance + heavy.variance) * np.abs(spread)
        lower = np.clip(value - np.hypot(value - lower, extra), 0.0, 1.0)
        upper = np.clip(value + np.hypot(upper - value, extra), 0.0, 1.0)
    nothing = signal <= 1e-9 * total
    return (
        np.where(nothing, np.nan, np.clip(value, 0.0, 1.0)),
        np.where(nothing, 0.0, lower),
        np.where(nothing, 1.0, upper),
    )


def _after_factors(fraction: Floats, hydride_ratio: float, fractionation: float) -> Floats:
    """Undo hydride and mass fractionation; both keep 0, neither leaves 0 to 1."""
    without_hydride = np.minimum(fraction / (1 - hydride_ratio * fraction), 1.0)
    return without_hydride / (without_hydride + fractionation * (1 - without_hydride))
