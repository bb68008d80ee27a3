"""Whether the isotope fraction depends on how bright a place is, as it must not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from napari_liso.counting.finding import BAD, DOUBTFUL, GOOD, UNKNOWN, Finding
from napari_liso.counting.sums import window_sum

__all__ = ["IntensityDependence", "intensity_dependence", "intensity_finding"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Side in pixels of the strata, and of the clusters in strata.
BLOCK = 8
_CLUSTER = 4
#: Strata whose fraction is less even than so many by chance are left out.
_EVEN = 0.95
#: Of the plot.
_BINS = 9
#: Fewer clusters cannot tell how much chance there is among them.
_FEWEST_CLUSTERS = 8
#: A slope that cannot be told from this much a doubling is unknown.
_BLIND = 0.2
#: What dead time gives is predicted to this share of itself.
_ROUGH = 0.3
#: A change of the odds by this share over the range of brightness is of no consequence, by
#: the second one it is bad.
_SMALL, _SEVERE = 0.02, 0.15


@dataclass(frozen=True, eq=False)
class IntensityDependence:
    """Change of the fraction with the brightness of a place relative to its surroundings.

    Parameters
    ----------
    slope, error
        Change of the logit of the fraction per doubling of the brightness, and its
        standard error over clusters; NaN where nothing can be told.
    clusters
        That the error comes from.
    span
        Doublings between the 5th and the 95th percentile of the counts.
    dead_time
        Slope that dead time would give at the pulses given; NaN where unknown.
    doublings, difference, difference_error
        (bin,), for a plot: brightness relative to the surroundings in doublings, and
        the difference of the logit of the fraction from that of the surroundings
        with its standard error.
    """

    slope: float
    error: float
    clusters: int
    span: float
    dead_time: float
    doublings: Floats
    difference: Floats
    difference_error: Floats

    def interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return the ends of the slope's interval (Student's t over the clusters)."""
        wide = float(stats.t.ppf(0.5 + confidence / 2, max(1, self.clusters - 1))) * self.error
        return self.slope - wide, self.slope + wide


def intensity_dependence(
    n6: ArrayLike,
    n7: ArrayLike,
    labels: ArrayLike | None = None,
    pulses: ArrayLike | None = None,
    block: int = BLOCK,
) -> IntensityDependence:
    r"""Test whether brighter places have another isotope fraction than their surroundings.

    Parameters
    ----------
    n6, n7
        Counts of the two isotopes, (y, x).
    labels
        (y, x), such as grains: places are compared within one label only; 0 is left
        out. None: within blocks, whatever lies in them.
    pulses
        Primary-ion pulses behind each pixel, broadcastable to (y, x); None: unknown.
    block
        Side in pixels of the blocks in which places are compared.

    Returns
    -------
    IntensityDependence
        As detected: a dead time that is corrected elsewhere shows here.

    Raises
    ------
    ValueError
        If shapes differ or there are no counts.

    Notes
    -----
    Given the counts n of a pixel, its tracer counts k are binomial, so k carries no
    information about n unless the fraction p does. In a stratum (a block, or its part
    in one label) the fraction is taken as a plane of the two coordinates, and z is the
    logarithm to base 2 of the counts, summed over a few pixels around where they are
    few. With :math:`\tilde z` the part of z that a plane does not explain (weighted by
    n), the score of the slope at zero is

    .. math:: U_b = \sum_{i \in b} \tilde z_i k_i
              = \sum_{i \in b} \tilde z_i (k_i - n_i p_i),

    whose mean is zero exactly for any plane of fractions, however steep, and whatever
    the brightness is. One step of scoring gives the slope
    :math:`\beta = \sum U_b / \sum I_b`, with the information
    :math:`I_b = \bar p_b (1 - \bar p_b) \sum n_i \tilde z_i^2`, and

    .. math:: \operatorname{var} \beta = \frac{G}{G-1}
              \sum_g \Big(\sum_{b \in g} (U_b - \beta I_b)\Big)^2 / \big(\sum I_b\big)^2

    over G clusters of neighbouring strata, not from counting: what fractions do
    inside of strata besides a plane, such as steps at boundaries, is then part of the
    error instead of an alarm, as long as clusters are many. Without labels, strata are
    left out in which the fraction is not a plane and a slope on z: chi-square of squares
    of 2 pixels at 5 %, in units of what is usual for the better quarter of the strata.
    Most are boundaries between grains, which may differ in brightness and in fraction.
    What is left of a fit to z is independent of the score, so this raises no alarm.
    False alarms at 5 % (``benchmarks/diagnostics_study.py``): 3 to 8 % on even maps,
    gradients and labelled grains, up to 13 % on grains of widely differing fractions
    without labels.

    *Dead time* of one count a pulse turns the odds :math:`\lambda_6/\lambda_7` into
    :math:`(1-e^{-\lambda_6})/(1-e^{-\lambda_7})`, whose logarithm changes with that of
    the ions by :math:`f_6 - f_7` with :math:`f = \lambda/(e^\lambda - 1)`, while the
    logarithm of the counts changes by :math:`p f_6 + (1-p) f_7`; their ratio times ln 2 is
    the slope a doubling. Where z varies by
    counting, not by brightness, the slope is :math:`q_7 - q_6`, with q the counts a
    pulse: at one brightness :math:`\operatorname{cov}(k - pn, n) = n p (1-p) (q_7 - q_6)`,
    as both isotopes are binomial in the pulses. The two are weighted by their shares
    in :math:`\sum n \tilde z^2`, of which counting has 1 a pixel (over the pixels that
    z is summed from).
    """
    k, m = (np.asarray(a) for a in (n6, n7))
    if k.shape != m.shape or k.ndim != 2:
        raise ValueError(f"n6 and n7 must be (y, x) of one shape, got {k.shape} and {m.shape}")
    total = (k + m).astype(np.int64)
    if not total.any():
        raise ValueError("there are no counts")
    inside = np.ones(k.shape, bool) if labels is None else np.asarray(labels) > 0
    if inside.shape != k.shape:
        raise ValueError(f"labels have shape {inside.shape}, the counts {k.shape}")
    use = inside & (total > 0)
    bright, pooled = _brightness(total)
    strata, clusters = _strata(k.shape, labels, int(block))
    data = _Pixels(
        k[use].astype(np.float64),
        total[use].astype(np.float64),
        np.log2(bright[use]),
        [w.astype(np.float64) for w in np.nonzero(use)],
    )
    slopes = _Strata(data, strata[use], clusters[use], trim=labels is None)
    dead = float("nan")
    if pulses is not None:
        behind = np.broadcast_to(np.asarray(pulses, dtype=np.float64), k.shape)[use]
        dead = _dead_time_slope(slopes, bright[use], behind, pooled)
    return slopes.result(dead)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Tracer counts, counts of both, log2 of the brightness, and [y, x]; (pixel,)."""

    k: Floats
    n: Floats
    z: Floats
    place: list[Floats]


class _Strata:
    """The regression on brightness inside strata."""

    def __init__(self, data: _Pixels, stratum: Counts, cluster: Counts, trim: bool) -> None:
        _, self.index = np.unique(stratum, return_inverse=True)
        self.data = data
        self.size = int(self.index.max()) + 1 if len(self.index) else 0
        self.cluster = cluster
        counts = self.sum(data.n)
        self.shares = self.sum(data.k) / counts
        # p (1 - p) of the stratum, without the bias of few counts
        self.chance = self.shares * (1 - self.shares) * counts / np.maximum(counts - 1, 1)
        plane = _Planes(self)
        self.z = data.z - plane.through(data.n * data.z)
        self.score = data.k * self.z
        self.information = self.chance[self.index] * data.n * self.z**2
        if trim and self.size:
            left = ~self._uneven(plane)[self.index]
            self.score *= left
            self.information *= left

    def sum(self, values: Floats) -> Floats:
        """Return the sums of the strata."""
        return np.bincount(self.index, values, minlength=self.size).astype(np.float64)

    def _uneven(self, plane: _Planes) -> NDArray[np.bool_]:
        """Tell in which strata the fraction is no plane and slope on brightness."""
        data = self.data
        lever = self.sum(data.n * self.z**2)
        slope = np.divide(self.sum(self.score), lever, out=np.zeros(self.size), where=lever > 0)
        left = data.k - data.n * (plane.through(data.k) + slope[self.index] * self.z)
        y, x = (p.astype(np.int64) // 2 for p in data.place)
        _, cell = np.unique((self.index * (y.max() + 1) + y) * (x.max() + 1) + x,
                            return_inverse=True)  # fmt: skip
        home = np.zeros(int(cell.max()) + 1, np.int64)
        home[cell] = self.index
        counts, residual = np.bincount(cell, data.n), np.bincount(cell, left)
        chance = self.chance[home]
        square = np.where(chance > 0, residual**2 / np.maximum(counts * chance, 1e-300), 0.0)
        value = np.bincount(home, square, minlength=self.size)
        freedom = np.maximum(np.bincount(home, minlength=self.size) - 4, 1)
        # many counts see every unevenness: held against what is usual on this map
        usual, by_chance = value / freedom, stats.chi2.ppf(0.25, freedom) / freedom
        scale = max(1.0, float(np.quantile(usual, 0.25) / np.quantile(by_chance, 0.25)))
        return np.asarray(value > scale * stats.chi2.ppf(_EVEN, freedom))

    def result(self, dead: float) -> IntensityDependence:
        """Return the slope and what a plot needs."""
        _, cluster = np.unique(self.cluster, return_inverse=True)
        scores = np.bincount(cluster, self.score)
        information = np.bincount(cluster, self.information)
        told = information > 0
        scores, information = scores[told], information[told]
        count, full = len(scores), float(information.sum())
        bins = self._bins()
        kept = self.information > 0
        span = _spread(self.z[kept], self.data.n[kept])
        if count < _FEWEST_CLUSTERS or full <= 0:
            return IntensityDependence(np.nan, np.nan, count, span, dead, *bins)
        slope = float(scores.sum()) / full
        residual = ((scores - slope * information) ** 2).sum() * count / (count - 1)
        error = float(np.sqrt(residual)) / full
        return IntensityDependence(slope, error, count, span, dead, *bins)

    def _bins(self) -> tuple[Floats, Floats, Floats]:
        """Return brightness, difference of the logit and its error in bins of equal counts."""
        kept = self.information > 0
        k, n, z = self.data.k[kept], self.data.n[kept], self.z[kept]
        order = np.argsort(z, kind="stable")
        reached = np.cumsum(n[order])
        index = np.empty(len(order), int)
        if len(order):
            index[order] = np.minimum((_BINS * reached / reached[-1]).astype(int), _BINS - 1)
        p = self.shares[self.index[kept]]
        weight = np.bincount(index, n * p * (1 - p), minlength=_BINS)
        excess = np.bincount(index, k - n * p, minlength=_BINS)
        counts = np.bincount(index, n, minlength=_BINS)
        middle = np.bincount(index, n * z, minlength=_BINS)
        there = weight > 0
        weight = weight[there]
        return middle[there] / counts[there], excess[there] / weight, 1 / np.sqrt(weight)


class _Planes:
    """Regressions on a plane of the two coordinates, weighted by counts, one a stratum."""

    def __init__(self, strata: _Strata) -> None:
        self.strata = strata
        data = strata.data
        pixels = strata.sum(np.ones(len(data.n)))
        middle = [(strata.sum(p) / pixels)[strata.index] for p in data.place]
        self.terms = [np.ones(len(data.n)), *(p - c for p, c in zip(data.place, middle,
                                                                   strict=True))]  # fmt: skip
        size = len(self.terms)
        normal = np.empty((strata.size, size, size))
        for i, first in enumerate(self.terms):
            for j, second in enumerate(self.terms):
                normal[:, i, j] = strata.sum(data.n * first * second)
        self.inverse = np.linalg.pinv(normal, 1e-9, hermitian=True)

    def through(self, weighted: Floats) -> Floats:
        """Return the plane through values that are given times their counts; (pixel,)."""
        right = np.stack([self.strata.sum(weighted * term) for term in self.terms], axis=1)
        slopes = np.einsum("bij,bj->bi", self.inverse, right)[self.strata.index]
        return np.asarray(sum(slopes[:, i] * term for i, term in enumerate(self.terms)))


def _brightness(total: Counts) -> tuple[Floats, int]:
    """Return counts a pixel, of a few pixels around where they are few, and how many these are."""
    usual = float(np.median(total[total > 0]))
    side = 1 if usual >= 10 else 3 if usual >= 2 else 5
    if side == 1:
        return total.astype(np.float64), 1
    pixels = window_sum(np.ones(total.shape, np.int64), side)
    return np.asarray(window_sum(total, side) / pixels), side**2


def _strata(shape: tuple[int, ...], labels: ArrayLike | None, block: int) -> tuple[Counts, Counts]:
    """Return the numbers of stratum and cluster of each pixel."""
    y, x = (np.arange(n) // block for n in shape)
    across = int(x[-1]) + 1
    stratum = y[:, None] * across + x[None, :]
    blocks = (int(y[-1]) + 1) * across
    # small maps have smaller clusters, so that there are some
    side = int(np.clip(np.sqrt(blocks / 36), 1, _CLUSTER))
    cluster = (y // side)[:, None] * across + (x // side)[None, :]
    if labels is not None:
        names = np.asarray(labels).astype(np.int64)
        stratum = stratum * (int(names.max()) + 1) + names
    return stratum, cluster


def _spread(z: Floats, weight: Floats) -> float:
    """Return the distance of the 5th to the 95th percentile, weighted."""
    if not len(z):
        return 0.0
    order = np.argsort(z)
    reached = np.cumsum(weight[order])
    low, high = np.searchsorted(reached, np.array([0.05, 0.95]) * reached[-1])
    return float(z[order][min(high, len(z) - 1)] - z[order][low])


def _dead_time_slope(strata: _Strata, bright: Floats, pulses: Floats, pooled: int) -> float:
    """Return the slope that dead time gives, weighted like the one that is measured."""
    share, weight = strata.shares[strata.index], strata.information
    told = (pulses > 0) & (weight > 0)
    if not told.any():
        return float("nan")
    rate, share, weight = bright[told] / pulses[told], share[told], weight[told]
    kept = []
    for part in (share, 1 - share):
        ions = np.maximum(-np.log1p(-np.minimum(rate * part, 0.99)), 1e-12)
        kept.append(ions / np.expm1(ions))
    by_brightness = (kept[0] - kept[1]) / (share * kept[0] + (1 - share) * kept[1])
    by_counting = rate * (1 - 2 * share)
    varied = float((strata.data.n * strata.z**2)[told].sum()) * np.log(2) ** 2
    counting = min(1.0, int(told.sum()) / pooled / varied)
    slopes = counting * by_counting + (1 - counting) * by_brightness
    return float((slopes * weight).sum() / weight.sum() * np.log(2))


def intensity_finding(found: IntensityDependence, confidence: float = 0.95) -> Finding:
    """Judge an `IntensityDependence`.

    Parameters
    ----------
    found
        The slope.
    confidence
        That counts without fault are called good.

    Returns
    -------
    Finding
        `value` is the change of the logit of the fraction a doubling of brightness.
        Good, too, where the odds change by less than 2 % over the range of
        brightness there is.
    """
    name = "Fraction against brightness"
    if not np.isfinite(found.slope):
        text = (
            "The map is too small, or its brightness too even, to compare bright and dark places."
        )
        return Finding(name, UNKNOWN, text)
    low, high = found.interval(confidence)
    numbers = (found.slope, low, high)
    told = (
        f"{100 * np.expm1(found.slope):+.1f} % of the odds per doubling of brightness "
        f"({100 * confidence:g} %: {100 * np.expm1(low):+.1f} to {100 * np.expm1(high):+.1f})"
    )
    dead = ""
    if np.isfinite(found.dead_time) and abs(found.dead_time) > 0.005:
        dead = f" Dead time would give {100 * np.expm1(found.dead_time):+.1f} %"
    if low <= 0 <= high:
        if (high - low) / 2 > _BLIND:
            text = f"Too few counts to tell: {told}.{dead + '.' if dead else ''}"
            return Finding(name, UNKNOWN, text, *numbers)
        return Finding(name, GOOD, f"Bright and dark places agree: {told}.", *numbers)
    effect = abs(found.slope) * found.span
    over = f"; {100 * effect:.1f} % over the brightness that there is around a place"
    if effect < _SMALL:
        text = f"The fraction hardly depends on brightness: {told}{over}."
        return Finding(name, GOOD, text, *numbers)
    text = f"The fraction depends on brightness: {told}{over}."
    if dead and abs(found.slope - found.dead_time) <= (high - low) / 2 + _ROUGH * abs(
        found.dead_time
    ):
        text += f"{dead}, which explains it: correct for dead time."
    elif dead:
        text += f"{dead}, which does not explain it."
    else:
        text += (
            " Think of dead time in bright places (give the pulses under Data), of a background "
            "in dark ones, or of an interference that differs between them."
        )
    return Finding(name, BAD if effect > _SEVERE else DOUBTFUL, text, *numbers)
