"""The isotope fraction: exact coverage, published numbers, and what must be NaN."""

from __future__ import annotations

from fractions import Fraction
from math import comb, exp
from typing import Any

import numpy as np
import pytest
from scipy import stats

import napari_liso as liso

PULSES = 10**9  # so many that rounding to whole counts does not matter


def one(n6: int, n7: int, **options: Any) -> float:
    """The fraction of a single pixel."""
    return float(liso.isotope_fraction([[n6]], [[n7]], **options).value[0, 0])


# --- the interval ------------------------------------------------------------


@pytest.mark.parametrize("trials", [1, 2, 3, 5, 8, 13, 30, 100, 300, 1000, 3000, 10_000])
def test_exact_coverage(trials: int) -> None:
    """Sums of binomial probabilities, no simulation."""
    n6 = np.arange(trials + 1)
    f = liso.isotope_fraction(n6[np.newaxis], (trials - n6)[np.newaxis])
    for fraction in np.linspace(0.02, 0.98, 97):
        inside = (f.lower[0] <= fraction) & (fraction <= f.upper[0])
        coverage = stats.binom.pmf(n6[inside], trials, fraction).sum()
        assert coverage >= 0.95 - 1e-12
        if trials >= 1000:
            assert coverage <= 0.975


@pytest.mark.parametrize("confidence", [0.6827, 0.9, 0.99])
def test_other_confidences(confidence: float) -> None:
    n6 = np.arange(51)
    f = liso.isotope_fraction(n6[np.newaxis], (50 - n6)[np.newaxis], confidence=confidence)
    for fraction in np.linspace(0.02, 0.98, 25):
        inside = (f.lower[0] <= fraction) & (fraction <= f.upper[0])
        assert stats.binom.pmf(n6[inside], 50, fraction).sum() >= confidence - 1e-12


def test_ends_are_where_the_tails_are_two_and_a_half_per_cent() -> None:
    f = liso.isotope_fraction([[3]], [[7]])

    def at_least(k: int, n: int, p: Fraction) -> float:
        return float(sum(comb(n, i) * p**i * (1 - p) ** (n - i) for i in range(k, n + 1)))

    lower, upper = Fraction(f.lower[0, 0]), Fraction(f.upper[0, 0])
    assert at_least(3, 10, lower) == pytest.approx(0.025, rel=1e-9)
    assert 1 - at_least(4, 10, upper) == pytest.approx(0.025, rel=1e-9)


def test_finite_and_honest_without_counts_of_one_isotope() -> None:
    f = liso.isotope_fraction([[0, 12]], [[12, 0]])
    # 0 of 12: upper end 1 - 0.025**(1/12).
    assert f.lower.tolist() == [[0.0, pytest.approx(0.025 ** (1 / 12))]]
    assert f.upper.tolist() == [[pytest.approx(1 - 0.025 ** (1 / 12)), 1.0]]
    assert f.value.tolist() == [[0.0, 1.0]]


def test_large_counts_take_the_other_path_to_the_same_numbers() -> None:
    n6 = np.array([[3, 3, 9_999_000, 0]])
    n7 = np.array([[7, 7, 20_000_000, 5]])
    f = liso.isotope_fraction(n6, n7)
    small = liso.isotope_fraction(n6[:, [0, 3]], n7[:, [0, 3]])
    np.testing.assert_array_equal(f.lower[:, [0, 3]], small.lower)
    np.testing.assert_array_equal(f.upper[:, [0, 1]], f.upper[:, [1, 0]])
    p, n = 9_999_000 / 29_999_000, 29_999_000
    half = 1.959964 * np.sqrt(p * (1 - p) / n)
    assert f.upper[0, 2] - p == pytest.approx(half, rel=1e-3)
    assert p - f.lower[0, 2] == pytest.approx(half, rel=1e-3)


# --- counts and pooling ------------------------------------------------------


def test_nan_where_there_are_too_few_counts() -> None:
    n6, n7 = np.array([[0, 1, 2]]), np.array([[0, 1, 3]])
    f = liso.isotope_fraction(n6, n7)
    assert np.isnan([f.value[0, 0], f.lower[0, 0], f.upper[0, 0]]).all()
    assert np.isfinite(f.value[0, 1:]).all()
    f = liso.isotope_fraction(n6, n7, min_counts=3)
    assert np.isnan(f.value).tolist() == [[True, True, False]]
    assert np.isnan(f.upper).tolist() == [[True, True, False]]
    assert f.counts.tolist() == [[0, 2, 5]]


def test_frames_are_summed() -> None:
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(0.4, (9, 4, 5)), rng.poisson(1.5, (9, 4, 5))
    frames, summed = liso.isotope_fraction(n6, n7), liso.isotope_fraction(n6.sum(0), n7.sum(0))
    for name in ("value", "lower", "upper", "counts"):
        np.testing.assert_array_equal(getattr(frames, name), getattr(summed, name))


def test_bins_sum_counts_and_lose_none() -> None:
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(1.0, (5, 7)), rng.poisson(2.0, (5, 7))
    f = liso.isotope_fraction(n6, n7, bin=3)
    assert f.value.shape == (2, 3)
    assert f.counts.sum() == n6.sum() + n7.sum()
    for row in range(2):
        for column in range(3):
            block = np.s_[3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            k, n = n6[block].sum(), n6[block].sum() + n7[block].sum()
            assert f.counts[row, column] == n
            assert f.value[row, column] == k / n


def test_windows_sum_counts_about_each_pixel() -> None:
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(1.0, (2, 5, 7)), rng.poisson(2.0, (2, 5, 7))
    background = rng.uniform(0, 0.3, (5, 7))
    f = liso.isotope_fraction(n6, n7, window=3, background=(background, 0.1))
    assert f.value.shape == (5, 7)
    for y, x in ((0, 0), (2, 3), (4, 6), (0, 4)):
        block = np.s_[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2]
        k, m = n6.sum(0)[block].sum(), n7.sum(0)[block].sum()
        s6, s7 = k - background[block].sum(), m - 0.1 * background[block].size
        assert f.counts[y, x] == k + m
        assert f.value[y, x] == pytest.approx(s6 / (s6 + s7))


def test_counts_of_few_pairs_and_of_many_are_worked_out_alike() -> None:
    """With one background a pixel each pair of counts is looked up, with an array it is not."""
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(3.0, (40, 50)), rng.poisson(9.0, (40, 50))
    options: dict[str, Any] = {"hydride_ratio": 0.02, "fractionation": liso.Measured(1.1, 0.05)}
    for bin in (1, 3):
        table = liso.isotope_fraction(n6, n7, background=(0.5, 1.0), bin=bin, **options)
        each = liso.isotope_fraction(
            n6, n7, background=(np.full((40, 50), 0.5), np.ones((40, 50))), bin=bin, **options
        )
        for name in ("value", "lower", "upper", "counts"):
            np.testing.assert_allclose(getattr(table, name), getattr(each, name), rtol=1e-12)


def test_pooled_fraction_is_unbiased_at_few_counts() -> None:
    """Poisson counts of mean 2 a pixel, enumerated; a mean of ratios would be 26 % high."""
    fraction, mean = 0.3, 2.0
    k = np.arange(25)
    weight = np.outer(stats.poisson.pmf(k, mean * fraction),
                      stats.poisson.pmf(k, mean * (1 - fraction)))  # fmt: skip
    n6, n7 = np.meshgrid(k, k, indexing="ij")
    f = liso.isotope_fraction(n6, n7)
    seen = np.isfinite(f.value)
    expected = np.sum(weight[seen] * f.value[seen]) / weight[seen].sum()
    assert expected == pytest.approx(fraction, abs=1e-9)


# --- dead time ---------------------------------------------------------------


def detected(ions_per_pulse: float) -> int:
    return round(PULSES * (1 - exp(-ions_per_pulse)))


@pytest.mark.parametrize(
    ("fraction", "lithium_per_pulse", "reads"),
    [
        (0.0759, 0.05, 0.0774),
        (0.0759, 0.1, 0.0789),
        (0.0759, 0.5, 0.0914),
        (0.0759, 1.0, 0.1081),
        (0.9, 0.1, 0.8964),
    ],
)
def test_dead_time(fraction: float, lithium_per_pulse: float, reads: float) -> None:
    n6 = detected(fraction * lithium_per_pulse)
    n7 = detected((1 - fraction) * lithium_per_pulse)
    assert one(n6, n7) == pytest.approx(reads, abs=6e-5)
    assert one(n6, n7, pulses=PULSES) == pytest.approx(fraction, abs=1e-8)


def test_dead_time_is_corrected_before_summing() -> None:
    """Frames of 0.2 and 0.8 ions a pulse: corrected after summing they give 0.456, not 0.5."""
    n7 = np.array([detected(0.2), detected(0.8)]).reshape(2, 1, 1)
    n6 = np.array([detected(0.05)] * 2).reshape(2, 1, 1)
    f = liso.isotope_fraction(n6, n7, pulses=PULSES)
    assert f.value[0, 0] == pytest.approx(0.05 / 0.55, abs=1e-8)
    pooled = liso.isotope_fraction(n6.reshape(1, 2), n7.reshape(1, 2), pulses=PULSES, bin=2)
    assert pooled.value[0, 0] == pytest.approx(0.05 / 0.55, abs=1e-8)
    late = -np.log1p(-n7.sum() / (2 * PULSES))
    assert late == pytest.approx(0.456, abs=5e-4)


def test_saturated_pixels_are_masked_and_leave_bins() -> None:
    n6 = np.array([[[10, 10], [1, 1]], [[10, 10], [1, 1]]])
    n7 = np.array([[[80, 80], [9, 9]], [[81, 80], [9, 9]]])
    f = liso.isotope_fraction(n6, n7, pulses=100)
    assert np.isnan(f.value).tolist() == [[True, False], [False, False]]
    assert f.counts.tolist() == [[0, 180], [20, 20]]
    assert liso.isotope_fraction(n6, n7, pulses=100, bin=2).counts.tolist() == [[220]]


def test_where_nothing_was_measured_there_were_no_pulses() -> None:
    """As between the fields of a stitched map."""
    pulses = [[100, 0], [100, 100]]
    n6, n7 = np.array([[10, 0], [10, 10]]), np.array([[30, 0], [30, 30]])
    f = liso.isotope_fraction(n6, n7, pulses=pulses)
    assert np.isnan(f.value).tolist() == [[False, True], [False, False]]
    whole = liso.isotope_fraction(n6, n7, pulses=pulses, bin=2)
    ions = [sum(1 / j for j in range(101 - n, 101)) for n in (10, 30)]
    assert whole.value.item() == pytest.approx(ions[0] / sum(ions), rel=1e-12)
    assert whole.value.item() == pytest.approx(np.log(0.9) / np.log(0.9 * 0.7), rel=1e-3)


@pytest.mark.parametrize("pulses", [20, 200, 2000])
@pytest.mark.parametrize("fraction", [0.0759, 0.5])
def test_coverage_with_dead_time(pulses: int, fraction: float) -> None:
    """Enumerated binomial counts of both isotopes, one lithium a pulse."""
    rates = [1 - exp(-fraction), 1 - exp(-(1 - fraction))]
    ranges = [
        np.arange(stats.binom.ppf(1e-8, pulses, q), stats.binom.isf(1e-8, pulses, q) + 1)
        for q in rates
    ]
    weight = np.outer(*(stats.binom.pmf(k, pulses, q) for k, q in zip(ranges, rates, strict=True)))
    n6, n7 = np.meshgrid(*ranges, indexing="ij")
    f = liso.isotope_fraction(n6, n7, pulses=pulses)
    seen = np.isfinite(f.value)
    inside = seen & (f.lower <= fraction) & (fraction <= f.upper)
    assert 0.95 <= weight[inside].sum() / weight[seen].sum() <= 0.995


# --- background, hydride, fractionation --------------------------------------


def test_background_is_taken_off_each_isotope() -> None:
    assert one(300, 800, background=(100, 200)) == pytest.approx(200 / 800)
    f = liso.isotope_fraction([[30, 30]], [[80, 80]], background=(5.0, 10.0), bin=2)
    assert f.value[0, 0] == pytest.approx(50 / 190)
    by_pixel = liso.isotope_fraction([[30, 30]], [[80, 80]], background=([[5, 0]], [[0, 40]]))
    assert by_pixel.value == pytest.approx(np.array([[25 / 105, 30 / 70]]))


@pytest.mark.parametrize("n6", range(12))
def test_background_never_makes_a_fraction_negative(n6: int) -> None:
    f = liso.isotope_fraction([[n6]], [[50]], background=(6.0, 1.0))
    plain = liso.isotope_fraction([[n6]], [[50]])
    assert 0 <= f.lower[0, 0] <= f.value[0, 0] <= f.upper[0, 0] <= 1
    if n6 <= 6:
        assert f.value[0, 0] == 0
        # What was not counted excludes nothing: as wide as without a background.
        assert f.upper[0, 0] > 0.5 * (plain.upper[0, 0] - plain.value[0, 0])


def test_nothing_above_background_says_nothing() -> None:
    f = liso.isotope_fraction([[2]], [[3]], background=(2.0, 4.0))
    assert np.isnan(f.value[0, 0])
    assert (f.lower[0, 0], f.upper[0, 0]) == (0.0, 1.0)


@pytest.mark.parametrize("background", [0.5, None, (1.0,), (1.0, 2.0, 3.0)])
def test_backgrounds_that_are_not_two(background: Any) -> None:
    with pytest.raises(ValueError, match="two numbers"):
        liso.isotope_fraction([[1]], [[1]], background=background)


def test_a_confidence_next_to_one_leaves_finite_ends() -> None:
    f = liso.isotope_fraction(
        [[3, 5]], [[7, 0]], confidence=np.nextafter(1, 0), background=(0.1, 0.1)
    )
    assert np.all((f.lower >= 0) & (f.lower <= f.value) & (f.value <= f.upper) & (f.upper <= 1))


@pytest.mark.parametrize("signal", [0.5, 3, 20, 200, 2000])
@pytest.mark.parametrize("fraction", [0.0759, 0.95])
@pytest.mark.parametrize("background", [(1, 1), (2, 20), (20, 0), (0, 100)])
def test_coverage_with_background(
    signal: float, fraction: float, background: tuple[float, float]
) -> None:
    """Enumerated Poisson counts of both isotopes, also where the background is most of them."""
    means = [signal * fraction + background[0], signal * (1 - fraction) + background[1]]
    ranges = [np.arange(stats.poisson.ppf(1e-7, m), stats.poisson.isf(1e-7, m) + 1) for m in means]
    weight = np.outer(*(stats.poisson.pmf(k, m) for k, m in zip(ranges, means, strict=True)))
    n6, n7 = np.meshgrid(*ranges, indexing="ij")
    f = liso.isotope_fraction(n6, n7, background=background)
    seen = f.counts > 0
    inside = seen & (f.lower <= fraction) & (fraction <= f.upper)
    assert weight[inside].sum() / weight[seen].sum() >= 0.95


@pytest.mark.parametrize(("ratio", "reads"), [(0.01, 0.941), (0.05, 0.907)])
def test_hydride(ratio: float, reads: float) -> None:
    n6, n7 = 95_000_000, 5_000_000
    observed = n7 + round(ratio * n6)
    assert one(n6, observed) == pytest.approx(reads, abs=5e-4)
    assert one(n6, observed, hydride_ratio=ratio) == pytest.approx(0.95, abs=1e-8)


@pytest.mark.parametrize(("true", "reads"), [(0.0759, 0.0794), (0.5, 0.512)])
def test_fractionation(true: float, reads: float) -> None:
    n6, n7 = round(1e9 * true * 1.05), round(1e9 * (1 - true))
    assert one(n6, n7) == pytest.approx(reads, abs=3e-4)
    assert one(n6, n7, fractionation=1.05) == pytest.approx(true, abs=1e-8)


def test_all_corrections_undo_a_measurement_in_their_order() -> None:
    true6, true7 = 3e7, 9e7
    ions6 = true6 * 1.04
    ions7 = true7 + 0.02 * ions6
    seen = [PULSES * -np.expm1(-(n + b) / PULSES) for n, b in ((ions6, 1e6), (ions7, 2e6))]
    n6, n7 = (round(n) for n in seen)
    value = one(n6, n7, pulses=PULSES, background=(1e6, 2e6), hydride_ratio=0.02,
                fractionation=1.04)  # fmt: skip
    assert value == pytest.approx(0.25, abs=1e-7)
    assert one(n6, n7) != pytest.approx(0.25, abs=1e-3)


def test_the_interval_goes_through_the_corrections() -> None:
    plain = liso.isotope_fraction([[40]], [[60]])
    f = liso.isotope_fraction([[40]], [[60]], hydride_ratio=0.05, fractionation=1.1)

    def corrected(c: float) -> float:
        c = c / (1 - 0.05 * c)
        return c / (c + 1.1 * (1 - c))

    assert f.lower[0, 0] == pytest.approx(corrected(plain.lower[0, 0]))
    assert f.upper[0, 0] == pytest.approx(corrected(plain.upper[0, 0]))


# --- what is refused ---------------------------------------------------------


@pytest.mark.parametrize(
    ("n6", "n7", "options", "message"),
    [
        ([[1, 2]], [[1]], {}, "same shape"),
        ([1, 2], [1, 2], {}, r"\(y, x\)"),
        ([[1.5]], [[1.0]], {}, "no whole numbers"),
        ([[np.nan]], [[1.0]], {}, "no whole numbers"),
        ([[1]], [[-1]], {}, "negative"),
        ([["a"]], [[1]], {}, "must be counts"),
        (np.zeros((0, 4)), np.zeros((0, 4)), {}, "empty"),
        ([[1]], [[1]], {"pulses": 0}, "pulses must be positive"),
        ([[0]], [[0]], {"pulses": -1}, "pulses must be positive"),
        ([[1]], [[1]], {"pulses": [1, 2, 3]}, "pulses has shape"),
        ([[1]], [[1]], {"hydride_ratio": -0.1}, "hydride_ratio"),
        ([[1]], [[1]], {"fractionation": 0}, "fractionation"),
        ([[1]], [[1]], {"background": (-1, 0)}, "background of n6"),
        ([[1]], [[1]], {"background": (0, [1, 2])}, "background of n7"),
        ([[1]], [[1]], {"confidence": 1.0}, "confidence"),
        ([[1]], [[1]], {"bin": 0}, "bin"),
        ([[1]], [[1]], {"min_counts": 0}, "min_counts"),
        ([[1]], [[1]], {"window": 4}, "window must be an odd number"),
        ([[1]], [[1]], {"window": 3, "bin": 2}, "bin or window"),
        ([[1]], [[1]], {"background": (1, 2, 3)}, "background must be two"),
        ([[1]], [[1]], {"background": (liso.Measured(-1.0), 0)}, "background of n6"),
    ],
)
def test_what_is_refused(n6: Any, n7: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        liso.isotope_fraction(n6, n7, **options)


def test_whole_floats_and_unsigned_counts_are_counts() -> None:
    assert one(3.0, 7.0) == 0.3
    f = liso.isotope_fraction(np.array([[200]], np.uint8), np.array([[200]], np.uint8))
    assert f.counts[0, 0] == 400
