"""What dead time took from the counts of one peak."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import digamma, zeta

__all__ = [
    "JOINED_PULSES",
    "MAX_COUNTS_PER_PULSE",
    "before_dead_time",
    "is_saturated",
    "undo_dead_time",
]

#: Above this many detected counts a pulse nearly every pulse is a count, and the
#: dead-time correction says more about noise than about ions: such pixels are masked.
MAX_COUNTS_PER_PULSE = 0.8

#: Entries of fewer pulses are joined with those of the next frames.
JOINED_PULSES = 20

#: A pixel of fewer pulses than this, all frames together, is never masked, and one
#: of its entries below the second number only if every pulse was a count: there a high
#: share is often chance.
_TELLING_PIXEL, _TELLING_ENTRY = 10, 50

#: Up to this many pulses the sums of the estimator come from a table.
_TABLE = 4096

Floats = NDArray[np.float64]


def before_dead_time(counts: ArrayLike, pulses: ArrayLike) -> tuple[Floats, Floats]:
    r"""Ions behind the counts of one peak, and their variance.

    Parameters
    ----------
    counts
        Detected counts of one peak, at most one a pulse.
    pulses
        Primary-ion pulses behind each, broadcastable to them; 0 where nothing was
        measured.

    Returns
    -------
    ions, variance
        Expected ions in all the pulses together and the variance of this
        estimate. Nonsense where there are more counts than pulses.

    Notes
    -----
    Ions arrive at random, :math:`\mu` a pulse, and the first one of a peak
    blinds the detector to the rest of it. A pulse then gives a count with the
    probability :math:`p = 1 - e^{-\mu}`, and the ions of ``P`` pulses are
    :math:`\lambda = P\mu = -P \ln(1-p)`. Putting ``p = N/P`` [1]_ is biased
    where pulses are few, as a mean of logarithms is not the logarithm of the
    mean: of 6 pulses and 0.5 ions a pulse it is infinite in 4 of 1000 cases.
    The estimate here is

    .. math:: \hat\lambda = P\,(H_P - H_{P-N}) = P \sum_{j=P-N+1}^{P} 1/j,

    with the harmonic numbers :math:`H_n = 1 + 1/2 + \dots + 1/n`: as if of the
    pulses that have not counted yet one after the other did (Nelson and Aalen
    [2]_). For ``N`` binomial of ``P`` and ``p`` its mean is

    .. math:: E\,\hat\lambda = P \sum_{k=1}^{P} p^k/k,

    which is the series of :math:`-P\ln(1-p)`, broken off after ``P`` terms. *Proof.*
    With ``g(P) = E(H_P - H_{P-N})``, split ``N`` of ``P + 1`` pulses by the last
    pulse, which counts (``p``) or not: ``H_P - H_{P-N}`` grows by ``1/(P+1)`` or by
    ``1/(P+1) - 1/(P+1-N)``. So ``g(P+1) - g(P) = 1/(P+1) - (1-p) E 1/(P+1-N)``, and
    :math:`E\,1/(P+1-N) = (1-p^{P+1}) / ((P+1)(1-p))`, whence the difference is
    :math:`p^{P+1}/(P+1)`. ∎  Twenty pulses leave a bias of 0.0003 % at
    ``p = 0.6`` and of 0.12 % at 0.8.

    The variance is that of the same sum,
    :math:`P^2 \sum 1/j^2 = P^2 (\psi_1(P-N+1) - \psi_1(P+1))`, which for many pulses
    is :math:`P\,(N/P)/(1 - N/P)`, as from differentiating the logarithm.

    References
    ----------
    .. [1] T. Stephan, J. Zehnpfenning, A. Benninghoven, J. Vac. Sci. Technol. A
       12 (1994) 405.
    .. [2] O. Aalen, Ann. Statist. 6 (1978) 701.
    """
    n = np.asarray(counts)
    p = np.asarray(pulses, dtype=np.float64)
    if p.size == 0 or n.size == 0:
        empty = np.zeros(np.broadcast_shapes(n.shape, p.shape))
        return empty, empty.copy()
    if p.max() > _TABLE:
        return _by_expansion(n, p)
    if np.all(p == np.rint(p)):
        if p.size == 1 and n.size > 1:
            each = _by_table(np.arange(int(p.item()) + 1), p.reshape(1))
            return each[0].take(n, mode="clip"), each[1].take(n, mode="clip")
        return _by_table(n, p)
    left = np.maximum(p - n, 0.0)
    ions = p * (digamma(p + 1) - digamma(left + 1))
    return ions, p**2 * np.maximum(zeta(2, left + 1) - zeta(2, p + 1), 0.0)


def _by_table(counts: NDArray[Any], pulses: Floats) -> tuple[Floats, Floats]:
    place = pulses.astype(np.int64)
    left = np.maximum(place - counts, 0)
    j = np.arange(1, int(place.max()) + 1, dtype=np.float64)
    first = np.concatenate([[0.0], np.cumsum(1 / j)])
    second = np.concatenate([[0.0], np.cumsum(1 / j**2)])
    return (
        pulses * (first[place] - first[left]),
        pulses**2 * (second[place] - second[left]),
    )


def _by_expansion(counts: NDArray[Any], pulses: Floats) -> tuple[Floats, Floats]:
    """Expansions of both sums in 1/(n + 1/2); off by 1e-7 at most from 20 pulses left on."""
    left = np.maximum(pulses - counts, 0.0) + 0.5
    seen, all_ = np.minimum(counts, pulses), pulses + 0.5
    ions = pulses * (np.log1p(seen / left) + (all_**-2.0 - left**-2.0) / 24)
    variance = pulses**2 * (seen / (left * all_) - (left**-3.0 - all_**-3.0) / 12)
    return ions, np.maximum(variance, 0.0)


def is_saturated(highest: NDArray[Any], pulses: Floats, *, frames: bool) -> NDArray[np.bool_]:
    """Tell where detected counts say that dead time has taken too much to correct.

    Parameters
    ----------
    highest
        Counts of the peak that has more.
    pulses
        Behind them.
    frames
        Whether these are all frames of a pixel together, or one entry.

    Notes
    -----
    Leaving out what is above `MAX_COUNTS_PER_PULSE` by chance leaves a selection
    that is too low. Of one entry of 20 pulses, 0.6 counts each, 1.6 % are above 0.8,
    and with 100 frames four pixels of five would have such an entry; what is left of
    entries reads 1.7 % low, at 0.7 counts a pulse 7 %. Of 50 pulses it is 0.08 %
    of the entries and 0.07 % of the ions at 0.6, 4 % and 2 % at 0.7 (binomial sums).
    So an entry masks its pixel from 50 pulses on; one of `JOINED_PULSES` to 49 only
    if every pulse was a count, which says nothing of how many ions there were: of
    20 pulses and 0.7 counts each that happens to 8 entries in 10,000.

    The pixel as a whole is held against the limit from 10 pulses on: of 10 pulses
    and 0.5 ions a pulse (0.39 counts) that leaves 0.3 % less. More counts than pulses
    cannot be and mask always.
    """
    above = highest > MAX_COUNTS_PER_PULSE * pulses
    telling = pulses >= (_TELLING_PIXEL if frames else _TELLING_ENTRY)
    full = (highest == pulses) & (pulses >= JOINED_PULSES)
    return (above & telling) | full | (highest > pulses)


def undo_dead_time(
    corrected: ArrayLike, pulses: ArrayLike, tolerance: float = 0.01
) -> NDArray[np.int64]:
    r"""Detected counts of one peak from intensities that were corrected for dead time.

    Parameters
    ----------
    corrected
        Corrected intensities :math:`x = -P \ln(1 - N/P)`, each of the pulses it was
        corrected for: of one pixel and frame, or of a pixel if the correction was
        made after its frames were summed.
    pulses
        Primary-ion pulses behind each, broadcastable to them.
    tolerance
        By so many counts the result may be off whole numbers, at most 0.1.

    Returns
    -------
    array of int64
        :math:`N = P (1 - e^{-x/P})`, rounded.

    Raises
    ------
    ValueError
        If they come out not whole, so that something else was done to them or
        the pulses are others; or if there are negative or infinite ones.
    """
    x = np.asarray(corrected, dtype=np.float64)
    p = np.asarray(pulses, dtype=np.float64)
    if not 0 < tolerance <= 0.1:
        raise ValueError(f"tolerance must be above 0 and at most 0.1 counts, got {tolerance}")
    if not np.all(np.isfinite(x) & (x >= 0)):
        raise ValueError("corrected intensities must be finite and not negative")
    if not np.all(np.isfinite(p) & (p >= 0)):
        raise ValueError("pulses must be positive numbers")
    try:
        p = np.broadcast_to(p, x.shape)
    except ValueError:
        raise ValueError(
            f"pulses has shape {p.shape}, the corrected intensities {x.shape}"
        ) from None
    if np.any(x[p == 0] > 0):
        raise ValueError("pulses must be positive wherever there are counts")
    with np.errstate(invalid="ignore", divide="ignore"):
        counts = np.where(p > 0, -p * np.expm1(-x / p), 0.0)
    whole = np.rint(counts)
    off = np.abs(counts - whole)
    if np.any(off > tolerance):
        worst = np.unravel_index(int(np.argmax(off)), off.shape)
        raise ValueError(
            f"these are no counts corrected for the dead time of {p[worst]:g} pulses: "
            f"{x[worst]:.6g} would be {counts[worst]:.4f} counts, which is not whole, and so for "
            f"{np.mean(off > tolerance):.1%} of all. Either the pulses are others (those of one "
            "pixel and frame are needed, if it was corrected frame by frame), or they were scaled "
            "or summed afterwards"
        )
    return whole.astype(np.int64)
