"""Pearson's chi-square of a table of counts, right where the counts are few."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

__all__ = [
    "ChiSquare",
    "chi_square_moments",
    "pooled_two_row_chi_square",
    "two_row_chi_square",
    "two_row_moments",
]

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class ChiSquare:
    """A chi-square with the mean and variance that it has if the counts are independent.

    Parameters
    ----------
    value, mean, variance
        Given the sums of rows and columns.
    """

    value: float
    mean: float
    variance: float

    @property
    def ratio(self) -> float:
        """Value over mean: 1 on average where there is nothing but counting."""
        return self.value / self.mean if self.mean > 0 else float("nan")

    @property
    def known(self) -> bool:
        """Whether it can vary at all."""
        return self.mean > 0 and self.variance > 1e-9 * self.mean**2

    def range(self, confidence: float) -> tuple[float, float]:
        """Return where `ratio` lies with this probability: quantiles of a gamma distribution."""
        if not self.known:
            return float("nan"), float("nan")
        shape = self.mean**2 / self.variance
        tail = (1 - confidence) / 2
        low, high = (float(q) for q in stats.gamma.ppf([tail, 1 - tail], shape, scale=1 / shape))
        return low, high

    def chance(self) -> float:
        """Return the probability of a value as large as this or larger."""
        if not self.known:
            return 1.0
        shape, scale = self.mean**2 / self.variance, self.variance / self.mean
        return float(stats.gamma.sf(self.value, shape, scale=scale))


def chi_square_moments(rows: ArrayLike, columns: ArrayLike) -> tuple[float, float]:
    r"""Mean and variance of chi-square of a table of independent counts with given sums.

    Parameters
    ----------
    rows, columns
        Sums of the rows and of the columns; zeros are left out.

    Returns
    -------
    mean, variance
        0 where there are fewer than four counts, or one row or column.

    Notes
    -----
    With all sums given, counts that are Poisson with a mean of a row's factor times a
    column's are hypergeometric. With N counts in all, r rows and c columns [1]_, [2]_,

    .. math::
        E &= N (r-1)(c-1) / (N-1) \\
        V &= \frac{2N}{N-3} (v_1 - w_1)(v_2 - w_2) + \frac{N^2}{N-1} w_1 w_2

    with :math:`v_1 = (r-1)(N-r)/(N-1)`, :math:`w_1 = (\sum N/R_i - r^2)/(N-2)` and
    likewise for the columns. For many counts a cell V is 2E, the variance of
    chi-square. Where most rows hold one count V is far below: a single count lies
    in some column and has no scatter to show.

    References
    ----------
    .. [1] J. B. S. Haldane, Biometrika 31 (1940) 346.
    .. [2] R. B. Dawson, Biometrika 41 (1954) 280.
    """
    sums = [np.asarray(s, dtype=np.float64).ravel() for s in (rows, columns)]
    first, second = (s[s > 0] for s in sums)
    total = float(first.sum())
    if total < 4 or len(first) < 2 or len(second) < 2:
        return 0.0, 0.0
    v1, w1 = _terms(first, total)
    v2, w2 = _terms(second, total)
    mean = total * (len(first) - 1) * (len(second) - 1) / (total - 1)
    variance = 2 * total / (total - 3) * (v1 - w1) * (v2 - w2) + total**2 / (total - 1) * w1 * w2
    return mean, max(variance, 0.0)


def _terms(sums: NDArray[np.float64], total: float) -> tuple[float, float]:
    size = len(sums)
    freedom = (size - 1) * (total - size) / (total - 1)
    return freedom, (float((total / sums).sum()) - size**2) / (total - 2)


def two_row_moments(
    columns: Floats, tracer: Floats, total: Floats, inverse: Floats
) -> tuple[Floats, Floats]:
    """Mean and variance (`chi_square_moments`) of many tables of two rows, all (table,).

    Parameters
    ----------
    columns
        Number of columns with counts.
    tracer, total
        Counts of one row, and of both.
    inverse
        Sum over the columns of one over their counts.
    """
    mean = total * (columns - 1) / (total - 1)
    cells = (columns - 1) * (total - columns) / (total - 1)
    uneven = (total * inverse - columns**2) / (total - 2)
    isotopes = (total - 2) / (total - 1)
    odds = (total / tracer + total / (total - tracer) - 4) / (total - 2)
    product = 2 * total / (total - 3) * (cells - uneven) * (isotopes - odds)
    return mean, np.maximum(product + total**2 / (total - 1) * uneven * odds, 0.0)


def two_row_chi_square(tracer: NDArray[Any], total: NDArray[Any]) -> ChiSquare:
    """Return the chi-square of equal fractions of a list of counts, such as one a frame.

    Parameters
    ----------
    tracer, total
        Counts of one isotope and of both, one-dimensional.
    """
    counted = total > 0
    k, n = tracer[counted].astype(np.float64), total[counted].astype(np.float64)
    tracers, everything = k.sum(), n.sum()
    if not 0 < tracers < everything:
        return ChiSquare(0.0, 0.0, 0.0)
    share = tracers / everything
    value = float(((k - n * share) ** 2 / n).sum() / (share * (1 - share)))
    mean, variance = chi_square_moments([tracers, everything - tracers], n)
    return ChiSquare(value, mean, variance)


def pooled_two_row_chi_square(
    tracer: NDArray[Any],
    total: NDArray[Any],
    entries: NDArray[Any],
    squares: NDArray[Any],
    inverse: NDArray[Any],
) -> ChiSquare:
    """Return the sum of the chi-squares of many tables of two rows, such as one a pixel.

    Parameters
    ----------
    tracer, total
        (table,), sum of one isotope, and of both.
    entries
        (table,), number of columns with counts.
    squares, inverse
        (table,), sums over these columns of k^2/n and of 1/n.

    Notes
    -----
    Mean and variance are those of `chi_square_moments`, table by table. Tables of one
    column, of one isotope, or of fewer than four counts have no scatter and are left
    out.
    """
    use = (total > 3) & (entries > 1) & (tracer > 0) & (tracer < total)
    k, n, m, square, inv = (
        np.asarray(a, dtype=np.float64)[use] for a in (tracer, total, entries, squares, inverse)
    )
    if not len(k):
        return ChiSquare(0.0, 0.0, 0.0)
    value = n**2 / (k * (n - k)) * (square - k**2 / n)
    mean, variance = two_row_moments(m, k, n, inv)
    return ChiSquare(float(value.sum()), float(mean.sum()), float(variance.sum()))
