"""Dispersion of the fraction in a region: exact moments, false alarms, and what it finds."""

from __future__ import annotations

import itertools
from math import comb

import numpy as np
import pytest
from scipy import stats

from napari_liso.counting.dispersion import fraction_dispersion
from napari_liso.counting.homogeneity import two_row_moments


def by_enumeration(totals: list[int], tracers: int) -> tuple[float, float]:
    """Mean and variance of Pearson's chi-square over every table with these margins."""
    p = tracers / sum(totals)
    values, weights = [], []
    for counts in itertools.product(*(range(n + 1) for n in totals)):
        if sum(counts) == tracers:
            expected = [n * p for n in totals]
            cells = zip(counts, expected, strict=True)
            values.append(sum((k - e) ** 2 / (e * (1 - p)) for k, e in cells))
            weights.append(
                float(np.prod([comb(n, k) for n, k in zip(totals, counts, strict=True)]))
            )
    mean = np.average(values, weights=weights)
    return float(mean), float(np.average((np.array(values) - mean) ** 2, weights=weights))


@pytest.mark.parametrize(
    ("totals", "tracers"),
    [([1, 2, 3], 2), ([4, 2, 3, 1], 3), ([1, 1, 1, 1], 2), ([5, 5], 3), ([2, 2, 2, 7], 6)],
)
def test_mean_and_variance_are_those_of_all_tables(totals: list[int], tracers: int) -> None:
    n = np.array(totals, dtype=float)
    sums = (np.array([x]) for x in (len(n), tracers, n.sum(), (1 / n).sum()))
    mean, variance = two_row_moments(*sums)
    expected = by_enumeration(totals, tracers)
    np.testing.assert_allclose([mean[0], variance[0]], expected, atol=1e-12)


def test_value_is_pearson_s_chi_square_a_degree_of_freedom() -> None:
    n, k = np.array([50, 70, 0, 90]), np.array([10, 30, 0, 20])
    table = np.stack([k, n - k])[:, n > 0]
    chi2 = stats.chi2_contingency(table, correction=False).statistic
    assert fraction_dispersion(k, n, [0, 0, 0, 0], 1).value[0] == pytest.approx(chi2 / 2)


@pytest.mark.parametrize("counts", [1.5, 4.0, 30.0])
@pytest.mark.parametrize("fraction", [0.0759, 0.5, 0.95])
def test_uniform_regions_are_called_so(counts: float, fraction: float) -> None:
    """Quantiles of chi-square would call none of 500 at 1.5 counts a pixel and one half."""
    rng = np.random.default_rng(11)
    regions, pixels = 500, 400
    group = np.repeat(np.arange(regions), pixels)
    n = rng.poisson(counts, regions * pixels)
    verdict = fraction_dispersion(rng.binomial(n, fraction), n, group, regions).verdict
    judged = verdict != "too few counts"
    assert judged.mean() > 0.75
    # 2.5 % each by design; 6 % is 5 standard deviations above, and none is 3.6 below
    for alarm in ("varies", "too even"):
        assert 1 <= (verdict == alarm).sum() <= 0.06 * regions


def test_a_region_of_two_fractions_varies_by_their_difference() -> None:
    """Half of the pixels 0.2, half 0.4: a standard deviation of 0.1."""
    rng = np.random.default_rng(12)
    n = rng.poisson(50, 4000)
    k = rng.binomial(n, np.where(np.arange(4000) % 2, 0.2, 0.4))
    found = fraction_dispersion(k, n, np.zeros(4000, int), 1)
    assert found.verdict[0] == "varies"
    assert found.spread[0] == pytest.approx(0.1, rel=0.05)
    # Var f = tau2 (1 - 1/n) + p q / n, of which p q / n is one degree of freedom's
    assert found.value[0] == pytest.approx(1 + 0.1**2 * 49 / (0.3 * 0.7), rel=0.1)


def test_counts_that_scatter_too_little_are_too_even() -> None:
    n = np.full(900, 40)
    found = fraction_dispersion(np.full(900, 12), n, np.zeros(900, int), 1)
    assert found.verdict[0] == "too even"
    assert (found.value[0], found.spread[0]) == (0.0, 0.0)


@pytest.mark.parametrize(
    ("tracer", "total"),
    [
        ([3, 0, 0], [5, 0, 0]),  # one pixel with counts
        ([0, 0, 0], [50, 60, 70]),  # one isotope alone
        ([50, 60, 70], [50, 60, 70]),
        ([1, 0, 1] * 100, [1, 1, 1] * 100),  # one count each cannot vary
        ([1, 0, 2], [2, 1, 3]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_too_few_counts_give_no_verdict(tracer: list[int], total: list[int]) -> None:
    found = fraction_dispersion(tracer, total, np.zeros(len(tracer), int), 1)
    assert found.verdict[0] == "too few counts"


def test_groups_are_apart_and_an_empty_one_is_no_number() -> None:
    n = np.array([50, 60, 500, 600])
    k = np.array([10, 15, 100, 300])
    both = fraction_dispersion(k, n, [0, 0, 2, 2], 3)
    alone = [fraction_dispersion(k[i], n[i], [0, 0], 1) for i in (slice(2), slice(2, 4))]
    np.testing.assert_allclose(both.value[[0, 2]], [one.value[0] for one in alone])
    assert both.verdict.tolist() == ["uniform", "too few counts", "varies"]
    assert np.isnan([both.value[1], both.lower[1], both.spread[1]]).all()


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="equally long"):
        fraction_dispersion([1], [2, 3], [0, 0], 1)
    with pytest.raises(ValueError, match="from 0 to the total"):
        fraction_dispersion([4], [3], [0], 1)
    with pytest.raises(ValueError, match="confidence"):
        fraction_dispersion([1], [3], [0], 1, confidence=95)
