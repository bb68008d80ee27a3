"""Ions behind counts that dead time took from: sums over the binomial distribution."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import stats

import napari_liso as liso
from napari_liso.counting.dead_time import before_dead_time, is_saturated


def moments(pulses: int, rate: float) -> tuple[float, float, float]:
    """Mean and variance of the estimate and the mean of its variance, enumerated."""
    n = np.arange(pulses + 1)
    weight = stats.binom.pmf(n, pulses, -np.expm1(-rate))
    ions, variance = before_dead_time(n, pulses)
    mean = weight @ ions
    return mean, weight @ (ions - mean) ** 2, weight @ variance


@pytest.mark.parametrize("pulses", [1, 2, 3, 6, 20, 100, 5000])
@pytest.mark.parametrize("rate", [0.1, 0.5, 1.0])
def test_mean_is_the_series_of_the_logarithm_broken_off(pulses: int, rate: float) -> None:
    p = -np.expm1(-rate)
    series = sum(p**k / k for k in range(1, pulses + 1))
    assert moments(pulses, rate)[0] == pytest.approx(pulses * series, rel=1e-9)


def test_half_an_ion_a_pulse_in_six_pulses_is_not_biased() -> None:
    """The logarithm would be infinite in 0.37 % of all pixels."""
    mean = moments(6, 0.5)[0]
    assert mean == pytest.approx(3.0, rel=1e-3)


@pytest.mark.parametrize(
    ("pulses", "rate", "off"),
    [(6, 0.5, 0.02), (20, 0.7, 1e-3), (100, 0.7, 1e-6), (5000, 1.0, 1e-6), (5000, 0.01, 1e-6)],
)
def test_variance_is_that_of_the_estimate(pulses: int, rate: float, off: float) -> None:
    _, variance, mean_variance = moments(pulses, rate)
    assert mean_variance == pytest.approx(variance, rel=off)


def test_many_pulses_are_the_logarithm() -> None:
    n = np.array([0, 1, 1000, 500_000, 800_000])
    ions, variance = before_dead_time(n, 10**6)
    p = n / 1e6
    np.testing.assert_allclose(ions, -1e6 * np.log1p(-p), rtol=1e-5)
    np.testing.assert_allclose(variance, 1e6 * p / (1 - p), rtol=1e-5)


def test_hand_sums_whatever_the_way() -> None:
    """5 pulses, 3 counts: 5 (1/3 + 1/4 + 1/5); the tables and expansions agree."""
    ions, variance = before_dead_time([[3, 0, 5]], 5)
    assert ions[0, 0] == pytest.approx(5 * (1 / 3 + 1 / 4 + 1 / 5))
    assert variance[0, 0] == pytest.approx(25 * (1 / 9 + 1 / 16 + 1 / 25))
    assert ions[0, 1] == variance[0, 1] == 0
    assert ions[0, 2] == pytest.approx(5 * (1 + 1 / 2 + 1 / 3 + 1 / 4 + 1 / 5))
    for pulses in (5.0, np.array([5.0, 5.0]), np.array([5.0, 4097.0]), np.array([5.0, 2.5])):
        several = before_dead_time(np.full(np.shape(pulses), 3), pulses)
        assert several[0].flat[0] == pytest.approx(ions[0, 0], rel=2e-3)
        assert several[1].flat[0] == pytest.approx(variance[0, 0], rel=2e-2)
    for total in (4096, 4097):
        exact = total * np.sum(1 / np.arange(total - 2999, total + 1))
        assert before_dead_time(3000, total)[0] == pytest.approx(exact, rel=1e-12)
    assert before_dead_time(np.zeros((0, 2)), 5)[0].shape == (0, 2)


# --- frames ------------------------------------------------------------------


def counted(rates: tuple[float, float], pulses: int, frames: int, pixels: int) -> list[Any]:
    rng = np.random.default_rng((pulses, frames))
    return [rng.binomial(pulses, -np.expm1(-r), (frames, 1, pixels)) for r in rates]


@pytest.mark.parametrize(
    ("pulses", "frames"), [(1, 200), (1, 37), (3, 30), (6, 1), (6, 40), (9, 1)]
)
def test_few_pulses_a_frame_are_corrected(pulses: int, frames: int) -> None:
    """0.05 and 0.5 ions a pulse; without a correction 0.1103 instead of 0.0909."""
    n6, n7 = counted((0.05, 0.5), pulses, frames, 400_000 // (pulses * frames))
    sums = liso.sum_ions(n6, n7, pulses)
    assert np.all(sums.pixels == 1)
    ions = sums.other.ions.sum()
    assert ions == pytest.approx(0.5 * pulses * n7[:, 0].size, rel=0.01)
    # The spread from pixel to pixel is what the variance says.
    spread = sums.other.ions.var(ddof=1) / sums.other.variance.mean()
    assert spread == pytest.approx(1.0, abs=5 * np.sqrt(2 / n7.shape[2]))
    whole = liso.fraction_of(sums.grouped(np.zeros(sums.shape, int)), confidence=0.999)
    assert whole.lower[0] < 0.05 / 0.55 < whole.upper[0]


def test_frames_of_one_pulse_are_joined_and_no_ion_is_masked() -> None:
    """40 frames of one pulse make two entries of 20, 41 make 20 and 21."""
    for frames, entries in ((19, (19,)), (40, (20, 20)), (41, (20, 21)), (60, (20, 20, 20))):
        n7 = np.ones((frames, 1, 1), int)
        n7[::2] = 0
        n6 = np.zeros_like(n7)
        edges = np.cumsum((0, *entries))
        parts = [n7[a:b].sum() for a, b in pairwise(edges)]
        ions = sum(p * sum(1 / j for j in range(p - n + 1, p + 1))
                   for p, n in zip(entries, parts, strict=True))  # fmt: skip
        sums = liso.sum_ions(n6, n7, 1)
        assert sums.other.counts[0, 0] == frames // 2
        assert sums.other.ions[0, 0] == pytest.approx(ions)
    one = liso.isotope_fraction([[1, 0]], [[0, 1]], pulses=1)
    assert one.value.tolist() == [[1.0, 0.0]]


def test_pulses_by_frame_and_by_pixel_are_the_same_as_one_number() -> None:
    n6, n7 = counted((0.1, 0.6), 30, 4, 50)
    one = liso.isotope_fraction(n6, n7, pulses=30)
    for pulses in ([30] * 50, np.full((4, 1, 1), 30), np.full(n6.shape, 30.0), [[[30]]]):
        other = liso.isotope_fraction(n6, n7, pulses=pulses)
        for name in ("value", "lower", "upper", "counts"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12)


def test_entries_that_exceed_the_limit_by_chance_mask_few() -> None:
    """20 pulses of 0.7 counts each: of 100 frames some are above 0.8 in every pixel.

    All 20 are counts in 0.08 % of the entries, so in 7.7 % of the pixels.
    """
    n6, n7 = counted((0.1, -np.log(0.3)), 20, 100, 300)
    assert np.mean(np.any(n7 > 16, axis=0)) > 0.99
    sums = liso.sum_ions(n6, n7, 20)
    np.testing.assert_array_equal(sums.pixels == 0, np.any(n7 == 20, axis=0))
    assert np.mean(sums.pixels) > 0.9
    ions = sums.other.ions[sums.pixels == 1]
    assert ions.mean() == pytest.approx(-np.log(0.3) * 2000, rel=0.01)


@pytest.mark.parametrize(
    ("counts", "pulses", "frames", "masked"),
    [
        (80, 100, False, False), (81, 100, False, True), (40, 50, False, False),
        (41, 50, False, True), (48, 49, False, False), (49, 49, False, True),
        (19, 20, False, False), (20, 20, False, True), (19, 19, False, False),
        (100, 99, False, True), (9, 10, True, True), (8, 10, True, False),
        (9, 9, True, False), (10, 9, True, True), (0, 0, True, False),
    ],
)  # fmt: skip
def test_what_is_saturated(counts: int, pulses: float, frames: bool, masked: bool) -> None:
    assert is_saturated(np.array([counts]), np.array([pulses]), frames=frames).item() == masked


@pytest.mark.parametrize(("pulses", "high"), [(20, 20), (49, 49), (50, 41), (50, 50), (100, 81)])
def test_one_saturated_frame_masks_its_pixel(pulses: int, high: int) -> None:
    """However few counts are in the other two frames."""
    n7 = np.array([2, high, 2]).reshape(3, 1, 1) * [[1, 0]] + [[0, 2]]
    f = liso.isotope_fraction(np.ones_like(n7), n7, pulses=pulses)
    assert np.isnan(f.value).tolist() == [[True, False]]
    assert f.counts.tolist() == [[0, 9]]


@pytest.mark.parametrize(
    ("pulses", "rate", "left_out", "reads_low"),
    [
        (20, 0.7, 0.107, 0.072), (20, 0.6, 0.016, 0.0167), (50, 0.7, 0.040, 0.0192),
        (50, 0.6, 0.00076, 0.00066), (10, 0.3935, 0.0015, 0.0044),
    ],
)  # fmt: skip
def test_what_leaving_out_chance_would_cost(
    pulses: int, rate: float, left_out: float, reads_low: float
) -> None:
    """The numbers that the limits are chosen by, enumerated."""
    n = np.arange(pulses + 1)
    weight = stats.binom.pmf(n, pulses, rate)
    keep = n <= 0.8 * pulses
    ions = before_dead_time(n, pulses)[0]
    assert 1 - weight[keep].sum() == pytest.approx(left_out, rel=0.05)
    kept = weight[keep] @ ions[keep] / weight[keep].sum()
    assert 1 - kept / (-pulses * np.log(1 - rate)) == pytest.approx(reads_low, rel=0.05)


@pytest.mark.parametrize(("pulses", "frames"), [(1, 60), (6, 1), (6, 30), (50, 1), (50, 8)])
@pytest.mark.parametrize("rate", [0.1, 0.4, 0.7])
def test_coverage(pulses: int, frames: int, rate: float) -> None:
    """Detected counts a pulse of the more abundant isotope from 0.1 to 0.7."""
    ions = -np.log1p(-rate)
    n6, n7 = counted((0.25 * ions, ions), pulses, frames, 8000)
    f = liso.isotope_fraction(n6, n7, pulses=pulses)
    seen = np.isfinite(f.value)
    inside = np.mean((f.lower <= 0.2)[seen] & (f.upper >= 0.2)[seen])
    assert inside >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 8000)


# --- back to counts ----------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_counts_are_recovered(dtype: Any) -> None:
    rng = np.random.default_rng(5)
    pulses = rng.integers(40, 300, (30, 20))
    counts = rng.binomial(pulses, 0.4)
    corrected = (-pulses * np.log1p(-counts / pulses)).astype(dtype)
    recovered = liso.undo_dead_time(corrected, pulses)
    assert recovered.dtype == np.int64
    np.testing.assert_array_equal(recovered, counts)


def test_where_there_were_no_pulses_there_is_nothing() -> None:
    assert liso.undo_dead_time([0.0, -4 * np.log(0.5)], [0, 4]).tolist() == [0, 2]


@pytest.mark.parametrize(
    ("corrected", "pulses", "options", "message"),
    [
        ([0.0, 3.3], 100, {}, "3.2.* counts, which is not whole, and so for 50.0%"),
        ([-1.0], 100, {}, "not negative"),
        ([np.inf], 100, {}, "finite"),
        ([1.0], -1, {}, "pulses must be positive"),
        ([1.0], 0, {}, "pulses must be positive wherever"),
        ([1.0], [1, 2, 3], {}, "pulses has shape"),
        ([1.0], 100, {"tolerance": 0.4}, "tolerance"),
    ],
)
def test_what_was_never_counts(
    corrected: Any, pulses: Any, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        liso.undo_dead_time(corrected, pulses, **options)


def test_corrected_data_are_recognised() -> None:
    corrected = [[-100 * np.log1p(-0.3)]]
    with pytest.raises(ValueError, match=r"corrected for dead time on export: undo_dead_time"):
        liso.isotope_fraction(corrected, corrected)
    n = liso.undo_dead_time(corrected, 100)
    assert liso.isotope_fraction(n, n, pulses=100).value[0, 0] == 0.5
