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
#: Pixels that are worked on at once.
_STRIP = 2**20
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
    gradients and labelled grains; up to 13 % on fronts a few pixels wide and on grains
    of widely differing fractions without labels.

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
    bright, pooled = _brightness(total)
    behind = None
    if pulses is not None:
        behind = np.broadcast_to(np.asarray(pulses, dtype=np.float64), k.shape)
    grid = _Grid.of(k.shape, int(block))
    names = None if labels is None else np.asarray(labels).astype(np.int64)
    parts: list[_Part] = []
    for rows in grid.strips():
        use = inside[rows] & (total[rows] > 0)
        if not use.any():
            continue
        stratum, cluster = grid.numbers(rows, names)
        data = _Pixels(
            k[rows][use].astype(np.float64),
            total[rows][use].astype(np.float64),
            np.log2(bright[rows][use]),
            [w.astype(np.float64) for w in np.nonzero(use)],
        )
        strata = _Strata(data, stratum[use], trim=labels is None)
        dead = (0.0, 0.0)
        if behind is not None:
            dead = _dead_time_slope(strata, bright[rows][use], behind[rows][use], pooled)
        edges = parts[0].edges if parts else None
        parts.append(strata.part(cluster[use], dead, edges))
    return _together(parts)


@dataclass(frozen=True, eq=False)
class _Pixels:
    """Tracer counts, counts of both, log2 of the brightness, and [y, x]; (pixel,)."""

    k: Floats
    n: Floats
    z: Floats
    place: list[Floats]


class _Strata:
    """The regression on brightness inside strata."""

    def __init__(self, data: _Pixels, stratum: Counts, trim: bool) -> None:
        self.index, self.size = _dense(stratum)
        self.data = data
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
        cell, cells = _dense((self.index * (y.max() + 1) + y) * (x.max() + 1) + x)
        home = np.zeros(cells, np.int64)
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

    def part(self, cluster: Counts, dead: tuple[float, float], edges: Floats | None) -> _Part:
        """Return the sums that are put together with those of other strips."""
        number, size = _dense(cluster)
        scores, information = (
            np.bincount(number, values, minlength=size).astype(np.float64)
            for values in (self.score, self.information)
        )
        told = information > 0
        kept = self.information > 0
        k, n, z = self.data.k[kept], self.data.n[kept], self.z[kept]
        quantiles = _quantiles(z, n)
        edges = quantiles[1:-1] if edges is None else edges
        p = self.shares[self.index[kept]]
        index = np.searchsorted(edges, z)
        bins = [
            np.bincount(index, weight, minlength=_BINS)
            for weight in (n * p * (1 - p), k - n * p, n, n * z)
        ]
        return _Part(scores[told], information[told], dead, edges, quantiles, np.array(bins))


@dataclass(frozen=True, eq=False)
class _Part:
    """What one strip of the map contributes.

    Scores and information (cluster,); the sum of slopes by dead time times their
    weights, and of the weights; edges of the bins; 5th and 95th percentile of z first
    and last among the quantiles; and for each bin its weight, excess, counts, and
    counts times z.
    """

    scores: Floats
    information: Floats
    dead: tuple[float, float]
    edges: Floats
    quantiles: Floats
    bins: Floats


def _together(parts: list[_Part]) -> IntensityDependence:
    """Return the slope of all strips, and what a plot needs."""
    if not parts:
        nothing = np.zeros(0)
        return IntensityDependence(np.nan, np.nan, 0, 0.0, np.nan, nothing, nothing, nothing)
    weight, excess, counts, moment = np.sum([part.bins for part in parts], axis=0)
    there = weight > 0
    bins = (
        moment[there] / counts[there],
        excess[there] / weight[there],
        1 / np.sqrt(weight[there]),
    )
    slopes, weights = np.sum([part.dead for part in parts], axis=0)
    dead = float(slopes / weights) if weights > 0 else float("nan")
    span = float(np.median([part.quantiles[-1] - part.quantiles[0] for part in parts]))
    scores = np.concatenate([part.scores for part in parts])
    information = np.concatenate([part.information for part in parts])
    count, full = len(scores), float(information.sum())
    if count < _FEWEST_CLUSTERS or full <= 0:
        return IntensityDependence(np.nan, np.nan, count, span, dead, *bins)
    slope = float(scores.sum()) / full
    residual = ((scores - slope * information) ** 2).sum() * count / (count - 1)
    error = float(np.sqrt(residual)) / full
    return IntensityDependence(slope, error, count, span, dead, *bins)


def _quantiles(z: Floats, weight: Floats) -> Floats:
    """Return the 5th percentile, the inner edges of bins of equal weight, and the 95th."""
    shares = np.array([0.05, *(np.arange(1, _BINS) / _BINS), 0.95])
    if not len(z):
        return np.zeros(len(shares))
    order = np.argsort(z)
    reached = np.cumsum(weight[order])
    at = np.searchsorted(reached, shares * reached[-1])
    return np.asarray(z[order][np.minimum(at, len(z) - 1)])


def _dense(numbers: Counts) -> tuple[Counts, int]:
    """Return numbers from 0 on without gaps, in the same order, and how many there are."""
    largest = int(numbers.max(initial=-1))
    if largest > 8 * len(numbers) + 1024:
        known, index = np.unique(numbers, return_inverse=True)
        return np.asarray(index, dtype=np.int64), len(known)
    occurs = np.zeros(largest + 1, dtype=bool)
    occurs[numbers] = True
    rank = np.cumsum(occurs) - 1
    return rank[numbers], int(occurs.sum())


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


@dataclass(frozen=True)
class _Grid:
    """Blocks of pixels, and clusters of blocks, over an image."""

    shape: tuple[int, int]
    block: int
    side: int  # of a cluster, in blocks

    @classmethod
    def of(cls, shape: tuple[int, ...], block: int) -> _Grid:
        blocks = int(np.prod([-(-n // block) for n in shape]))
        # small maps have smaller clusters, so that there are some
        side = int(np.clip(np.sqrt(blocks / 36), 1, _CLUSTER))
        return cls((int(shape[0]), int(shape[1])), block, side)

    def strips(self) -> list[slice]:
        """Return rows that hold whole clusters, so that memory for each is small."""
        tall = self.block * self.side
        rows = max(1, _STRIP // (self.shape[1] * tall)) * tall
        return [slice(top, top + rows) for top in range(0, self.shape[0], rows)]

    def numbers(self, rows: slice, labels: Counts | None) -> tuple[Counts, Counts]:
        """Return the numbers of stratum and cluster of each pixel of some rows."""
        y = np.arange(*rows.indices(self.shape[0])) // self.block
        x = np.arange(self.shape[1]) // self.block
        across = int(x[-1]) + 1
        stratum = (y - y[0])[:, None] * across + x[None, :]
        cluster = (y // self.side)[:, None] * across + (x // self.side)[None, :]
        if labels is not None:
            part = labels[rows]
            stratum = stratum * (int(part.max()) + 1) + part
        return stratum, cluster


def _dead_time_slope(
    strata: _Strata, bright: Floats, pulses: Floats, pooled: int
) -> tuple[float, float]:
    """Return the slope that dead time gives times its weight, and that weight."""
    share, weight = strata.shares[strata.index], strata.information
    told = (pulses > 0) & (weight > 0)
    if not told.any():
        return 0.0, 0.0
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
    return float((slopes * weight).sum() * np.log(2)), float(weight.sum())


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
