"""Exact coverage of the interval: sums of binomial probabilities at the worst fractions."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import special, stats

import napari_liso as liso
from napari_liso.counting.intervals import clopper_pearson

# All sizes at first, then some, among them those of the table's end and of 1e5.
TRIALS = [*range(1, 31), 49, 50, 77, 100, 145, 277, 486, 562, 1000, 1001, 1999,
          2894, 2895, 2896, 5003, 10_000, 100_000]  # fmt: skip


def worst_and_best(trials: int) -> tuple[float, float]:
    """Lowest and highest chance to hold a fraction of 0.02 to 0.98.

    It jumps at the ends of the intervals and has no extremum elsewhere but next to
    them, so these are all that matter.
    """
    k = np.arange(trials + 1)
    f = liso.isotope_fraction(k[np.newaxis], (trials - k)[np.newaxis])
    lower, upper = f.lower[0], f.upper[0]
    assert np.all(np.diff(lower) > 0)
    assert np.all(np.diff(upper) > 0)
    ends = [lower, upper, np.nextafter(lower, 0), np.nextafter(upper, 1), [0.02, 0.98]]
    at = np.concatenate(ends)
    at = at[(at >= 0.02) & (at <= 0.98)]
    first = np.searchsorted(upper, at, side="left")
    last = np.searchsorted(lower, at, side="right") - 1
    held = stats.binom.cdf(last, trials, at) - stats.binom.cdf(first - 1, trials, at)
    return held.min(), held.max()


@pytest.mark.parametrize("trials", TRIALS)
def test_coverage_at_the_worst_fractions(trials: int) -> None:
    lowest, highest = worst_and_best(trials)
    assert lowest >= 0.95 - 1e-9  # 0.94 is demanded
    if trials >= 1000:
        assert highest <= 0.97  # 0.975 is demanded


@pytest.mark.parametrize(
    ("k", "n"),
    [(0, 2890), (3, 10), (3, 5000), (299, 20_000), (300, 20_000), (5000, 10_000),
     (10**6, 10**8), (10**8 - 5, 10**8)],
)  # fmt: skip
@pytest.mark.parametrize("confidence", [0.6827, 0.95, 0.999])
def test_ends_are_quantiles_of_beta_distributions(k: int, n: int, confidence: float) -> None:
    lower, upper = clopper_pearson(np.array([k, n]), np.array([n, n]), confidence)
    tail = (1 - confidence) / 2
    low = stats.beta.ppf(tail, k, n - k + 1) if k else 0.0
    high = stats.beta.isf(tail, k + 1, n - k)
    width = high - low
    # Tables and the exact function to rounding; the closed form errs outward only.
    closed = n > 3000 and 300 <= k <= n - 300
    assert -1e-12 <= (low - lower[0]) / width <= (2e-4 if closed else 1e-9)
    assert -1e-12 <= (upper[0] - high) / width <= (2e-4 if closed else 1e-9)
    assert upper[1] == 1.0


def test_the_closed_form_joins_the_exact_one() -> None:
    """Beside counts that are too many for a table, small ones are as in a table."""
    k, n = np.array([[2, 250, 900, 40_000]]), np.array([[9, 2000, 2500, 90_000]])
    beside = clopper_pearson(k, n)
    alone = clopper_pearson(k[:, :3], n[:, :3])
    width = alone[1] - alone[0]
    for one, other in zip(beside, alone, strict=True):
        assert np.all(np.abs(one[:, :3] - other) <= 1e-4 * width)
    exact = special.betaincinv(40_000, 50_001, 0.025)
    assert beside[0][0, 3] == pytest.approx(exact, rel=1e-6)


def test_counts_beyond_what_is_sorted_as_pairs() -> None:
    k, n = np.array([1, 1]), np.array([2**27, 2**40])
    lower, upper = clopper_pearson(k, n)
    # Poisson limit: 0.0253 to 5.5716 for one count.
    np.testing.assert_allclose(lower * n, 0.025318, rtol=1e-4)
    np.testing.assert_allclose(upper * n, 5.571643, rtol=1e-5)


def test_no_trials_no_knowledge() -> None:
    lower, upper = clopper_pearson(np.zeros((0, 3), int), np.zeros((0, 3), int))
    assert lower.shape == upper.shape == (0, 3)
    lower, upper = clopper_pearson(np.array([0]), np.array([0]))
    assert (lower[0], upper[0]) == (0.0, 1.0)
