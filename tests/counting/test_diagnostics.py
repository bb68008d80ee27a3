"""Checks of the counts: right false-alarm rates on clean counts, and faults are seen."""

from __future__ import annotations

import json
from itertools import product
from math import factorial, prod

import numpy as np
import pytest
from scipy import ndimage, stats

from napari_liso.counting.corrections import Corrections
from napari_liso.counting.diagnostics import (
    Finding,
    check_counts,
    dispersion_finding,
    fraction_frame_finding,
    frame_dispersion,
    intensity_dependence,
    intensity_finding,
    reference_check,
)
from napari_liso.counting.homogeneity import (
    chi_square_moments,
    pooled_two_row_chi_square,
    two_row_chi_square,
)
from napari_liso.counting.measured import Measured

SIDE = 64


def topography(rng: np.random.Generator, contrast: float = 0.4) -> np.ndarray:
    """Brightness of mean 1 that varies over a few pixels."""
    rough = ndimage.gaussian_filter(rng.normal(size=(SIDE, SIDE)), 2.0)
    image = np.exp(contrast * rough / rough.std())
    return image / image.mean()


def allowed(trials: int, chance: float = 0.05) -> tuple[float, float]:
    """Return the numbers of alarms that a test at 5 % keeps to in 999 of 1000 cases."""
    low, high = stats.binom.ppf([0.0005, 0.9995], trials, chance)
    return float(low), float(high)


# --- chi-square at few counts -----------------------------------------------------------------


def tables(rows: tuple[int, ...], columns: tuple[int, ...]):
    """Yield all tables of given sums."""
    cells = [range(min(rows[0], c) + 1) for c in columns]
    if len(rows) == 1:
        yield (columns,)
        return
    for first in product(*cells):
        if sum(first) == rows[0]:
            left = tuple(c - f for c, f in zip(columns, first, strict=True))
            for rest in tables(rows[1:], left):
                yield (first, *rest)


@pytest.mark.parametrize(
    ("rows", "columns"), [((1, 2, 3), (2, 4)), ((1, 1, 1, 2), (2, 2, 1)), ((3, 3), (1, 2, 3))]
)
def test_moments_are_those_of_every_table_weighed(rows, columns) -> None:
    total = sum(rows)
    expected = np.outer(rows, columns) / total
    values, chances = [], []
    for table in tables(rows, columns):
        values.append(((np.array(table) - expected) ** 2 / expected).sum())
        below = prod(factorial(n) for row in table for n in row)
        above = prod(factorial(n) for n in (*rows, *columns))
        chances.append(above / below / factorial(total))
    assert sum(chances) == pytest.approx(1)
    mean = np.dot(values, chances)
    variance = np.dot((values - mean) ** 2, chances)
    assert chi_square_moments(rows, columns) == pytest.approx((mean, variance))
    if len(columns) == 2:
        rest = np.array(rows)
        assert chi_square_moments(columns, rest) == pytest.approx((mean, variance))
    if len(rows) == 2:
        n = np.array(columns, float)
        inverse = np.array([(1 / n).sum()])
        pooled = pooled_two_row_chi_square(
            *(np.array([v]) for v in (rows[0], total, len(columns), 1.0)), inverse
        )
        assert (pooled.mean, pooled.variance) == pytest.approx((mean, variance))


def test_chi_square_of_fractions_is_that_of_scipy() -> None:
    k, n = np.array([5, 20, 0, 11]), np.array([30, 60, 0, 25])
    table = np.array([k, n - k])[:, [0, 1, 3]]
    expected = stats.chi2_contingency(table, correction=False)
    assert two_row_chi_square(k, n).value == pytest.approx(expected.statistic)
    assert two_row_chi_square(k, n).chance() == pytest.approx(expected.pvalue, rel=0.05)


# --- dispersion frame to frame ----------------------------------------------------------------


def test_chi_square_of_frames_is_that_of_the_table() -> None:
    rng = np.random.default_rng(4)
    frames = rng.poisson(2.0, (5, 8, 8))
    table = frames.reshape(5, -1)
    expected = stats.chi2_contingency(table[:, table.any(axis=0)], correction=False)
    found = frame_dispersion(frames)
    assert found.pixels.value == pytest.approx(expected.statistic)
    assert found.pixels.mean == pytest.approx(expected.dof, rel=0.02)
    mask = np.zeros((8, 8), bool)
    mask[2:, 3:] = True
    part = frames[:, 2:, 3:].reshape(5, -1)
    expected = stats.chi2_contingency(part[:, part.any(axis=0)], correction=False)
    assert frame_dispersion(frames, mask=mask).pixels.value == pytest.approx(expected.statistic)


@pytest.mark.parametrize("mean", [0.05, 1.0, 20.0])
def test_counting_alone_is_good_whatever_the_beam_does(mean: float) -> None:
    outside, verdicts = 0, []
    for seed in range(150):
        rng = np.random.default_rng(seed)
        beam = rng.uniform(0.5, 1.5, (6, 1, 1))
        found = frame_dispersion(rng.poisson(mean * beam * topography(rng)[:32, :32]))
        low, high = found.pixels.range(0.95)
        outside += not low <= found.pixels.ratio <= high
        verdicts.append(dispersion_finding(found).verdict)
    low, high = allowed(150)
    assert low <= outside <= high
    assert verdicts.count("good") >= 150 - high


def with_dead_time(rng: np.random.Generator, pulses: int, ions: float, frames: int) -> np.ndarray:
    return rng.binomial(pulses, -np.expm1(-ions * topography(rng)), (frames, SIDE, SIDE))


@pytest.mark.parametrize("pulses", [1, 20])
def test_dead_time_makes_scatter_less_by_what_is_left_of_the_pulses(pulses: int) -> None:
    rng = np.random.default_rng(2)
    frames = with_dead_time(rng, pulses, 0.3, 8)
    found = frame_dispersion(frames, pulses)
    sums = frames.sum(axis=0)
    # of M pulses R counted: without replacement, (M - R) / (M - 1)
    left = (8 * pulses - sums[sums > 0]) / (8 * pulses - 1)
    assert found.dead_time_pixels == pytest.approx(left.mean())
    assert found.pixels.ratio == pytest.approx(left.mean(), abs=0.03)
    if pulses > 10:
        assert found.dead_time_pixels == pytest.approx(1 - frames.mean() / pulses, abs=0.02)
    known, unknown = dispersion_finding(found), dispersion_finding(frame_dispersion(frames))
    assert known.verdict == "good"
    assert "dead time" in known.text
    assert unknown.verdict in ("doubtful", "bad")
    assert "Dead time does that" in unknown.text
    assert unknown.upper < 1


def test_smoothed_counts_are_not_taken_for_dead_time() -> None:
    rng = np.random.default_rng(0)
    frames = np.rint(
        ndimage.uniform_filter(rng.poisson(9.0, (8, 32, 32)).astype(float), (0, 3, 3))
    )
    finding = dispersion_finding(frame_dispersion(frames.astype(int), 1000))
    assert finding.verdict == "bad"
    assert "smoothed" in finding.text


def test_drift_and_charging_make_scatter_more() -> None:
    rng = np.random.default_rng(3)
    image = 10 * topography(rng)
    moved = np.array([rng.poisson(np.roll(image, n // 2, axis=0)) for n in range(8)])
    finding = dispersion_finding(frame_dispersion(moved), "7Li")
    assert finding.verdict in ("doubtful", "bad")
    assert finding.lower > 1
    assert "moved" in finding.text
    assert finding.name == "7Li frame to frame"
    # a region that darkens slowly: too little in a pixel, plain in blocks
    fade = np.linspace(1.5, 0.7, 8)[:, None, None] ** np.linspace(-1, 1, SIDE)
    found = frame_dispersion(rng.poisson(0.5 * np.ones((8, SIDE, SIDE)) * fade))
    low, high = found.pixels.range(0.95)
    assert low < found.pixels.ratio < high
    finding = dispersion_finding(found)
    assert finding.verdict != "good"
    assert "square of 8 pixels" in finding.text


def test_one_frame_has_no_scatter() -> None:
    one = np.ones((1, 8, 8), int)
    assert dispersion_finding(frame_dispersion(one)).verdict == "unknown"
    assert fraction_frame_finding(one, one).verdict == "unknown"
    nothing = np.zeros((3, 8, 8), int)
    assert dispersion_finding(frame_dispersion(nothing)).verdict == "unknown"


def test_the_fraction_does_not_mind_what_both_isotopes_do() -> None:
    rng = np.random.default_rng(5)
    image = 6 * topography(rng)
    rates = np.array([np.roll(image, n, axis=1) for n in range(8)])
    n6, n7 = rng.poisson(rates * 0.3), rng.poisson(rates * 0.7)
    assert dispersion_finding(frame_dispersion(n7)).verdict != "good"
    assert fraction_frame_finding(n6, n7).verdict == "good"
    share = np.linspace(0.1, 0.9, SIDE) * np.ones((SIDE, 1))
    shares = np.array([np.roll(share, 4 * n, axis=1) for n in range(8)])
    n6, n7 = rng.poisson(rates * shares), rng.poisson(rates * (1 - shares))
    finding = fraction_frame_finding(n6, n7)
    assert finding.verdict in ("doubtful", "bad")
    assert finding.lower > 1


@pytest.mark.parametrize("mean", [1.0, 10.0])
def test_false_alarms_of_the_fraction_frame_to_frame(mean: float) -> None:
    outside = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        n6, n7 = rng.poisson(0.1 * mean, (6, 24, 24)), rng.poisson(0.9 * mean, (6, 24, 24))
        finding = fraction_frame_finding(n6, n7)
        outside += not finding.lower <= 1 <= finding.upper
    low, high = allowed(150)
    assert low <= outside <= high


# --- fraction against brightness --------------------------------------------------------------


def alarms(share: np.ndarray, counts: float, labels: np.ndarray | None = None) -> int:
    """Return how many of 150 clean maps are called dependent on brightness."""
    count = 0
    for seed in range(150):
        rng = np.random.default_rng(seed)
        bright = counts * topography(rng)
        n6, n7 = rng.poisson(bright * share), rng.poisson(bright * (1 - share))
        low, high = intensity_dependence(n6, n7, labels).interval()
        count += not low <= 0 <= high
    return count


STEEP = 0.08 + 0.84 * np.linspace(0, 1, SIDE) * np.ones((SIDE, 1))


@pytest.mark.parametrize("share", [np.full((SIDE, SIDE), 0.0759), STEEP], ids=["even", "steep"])
@pytest.mark.parametrize("counts", [1.0, 30.0])
def test_a_real_change_of_the_fraction_is_no_alarm(share: np.ndarray, counts: float) -> None:
    low, high = allowed(150)
    assert low <= alarms(share, counts) <= high


def test_grains_of_other_brightness_and_fraction_are_no_alarm() -> None:
    share = np.full((SIDE, SIDE), 0.2)
    share[:, 27:] = 0.8
    share[40:, 27:] = 0.5
    grains = np.searchsorted([0.3, 0.6], share) + 1
    assert alarms(share, 30.0, grains) <= allowed(150)[1]


@pytest.mark.parametrize("slope", [-0.2, 0.2])
def test_the_slope_is_that_of_the_logit_per_doubling(slope: float) -> None:
    rng = np.random.default_rng(8)
    bright = topography(rng)
    share = 1 / (1 + np.exp(0.5 - slope * np.log2(bright)))
    n6, n7 = rng.poisson(2000 * bright * share), rng.poisson(2000 * bright * (1 - share))
    found = intensity_dependence(n6, n7)
    low, high = found.interval()
    assert low < slope < high
    assert found.slope == pytest.approx(slope, rel=0.05)
    # the points of the plot lie on the same line
    fitted = np.polyfit(found.doublings, found.difference, 1)[0]
    assert fitted == pytest.approx(slope, rel=0.2)
    finding = intensity_finding(found)
    assert finding.verdict == "bad"
    assert f"{100 * np.expm1(slope):+.0f}"[:3] in finding.text


@pytest.mark.parametrize("fraction", [0.0759, 0.95])
def test_dead_time_at_a_third_of_a_count_a_pulse_is_seen_and_explained(fraction: float) -> None:
    seen = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        ions = 0.3 * topography(rng)
        n6, n7 = (rng.binomial(400, -np.expm1(-ions * part)) for part in (fraction, 1 - fraction))
        finding = intensity_finding(intensity_dependence(n6, n7, pulses=400))
        seen += finding.verdict in ("doubtful", "bad") and "explains it" in finding.text
        assert (finding.value > 0) == (fraction < 0.5)
    assert seen >= 9


def test_the_slope_of_dead_time_is_a_finite_difference_of_the_odds() -> None:
    rng = np.random.default_rng(1)
    ions, c, pulses = 0.3 * topography(rng, 0.1), 0.0759, 10**6
    n6, n7 = (rng.binomial(pulses, -np.expm1(-ions * part)) for part in (c, 1 - c))
    found = intensity_dependence(n6, n7, pulses=pulses)

    def logit_and_counts(x: float) -> np.ndarray:
        first, second = (-np.expm1(-x * part) for part in (c, 1 - c))
        return np.array([np.log(first / second), np.log2(first + second)])

    step = logit_and_counts(0.301) - logit_and_counts(0.299)
    assert found.dead_time == pytest.approx(step[0] / step[1], rel=0.03)
    assert found.slope == pytest.approx(step[0] / step[1], rel=0.05)


def test_a_small_or_empty_map_is_unknown() -> None:
    rng = np.random.default_rng(1)
    few = rng.poisson(3.0, (2, 8, 8))
    assert intensity_finding(intensity_dependence(*few)).verdict == "unknown"
    sparse = rng.poisson(0.02, (2, SIDE, SIDE))
    assert intensity_finding(intensity_dependence(*sparse)).verdict == "unknown"
    with pytest.raises(ValueError, match="no counts"):
        intensity_dependence(np.zeros((8, 8), int), np.zeros((8, 8), int))
    with pytest.raises(ValueError, match="labels have shape"):
        intensity_dependence(*few, labels=np.ones((4, 4), int))


# --- reference --------------------------------------------------------------------------------


def test_a_reference_that_agrees_is_good() -> None:
    finding = reference_check([[759]], [[9241]], Measured(0.0759, 0.0002))
    assert finding.verdict == "good"
    assert finding.value == pytest.approx(1.0)
    exact = stats.binomtest(759, 10_000).proportion_ci(0.95, "exact")
    # half-widths on the logit scale, with that of the reference in quadrature
    logit = lambda p: np.log(p / (1 - p))  # noqa: E731
    own = logit(exact.high) - logit(0.0759)
    known = stats.norm.ppf(0.975) * 0.0002 / (0.0759 * (1 - 0.0759))
    assert np.log(finding.upper) == pytest.approx(np.hypot(own, known), rel=1e-3)


def test_a_reference_off_by_mass_fractionation_tells_the_factor() -> None:
    # science.md 4.6: 1.05 moves 0.0759 to 0.0794
    n = 1_000_000
    finding = reference_check([[79_409]], [[n - 79_409]], 0.0759)
    assert finding.verdict == "doubtful"
    assert finding.value == pytest.approx(1.05, abs=0.001)
    assert finding.lower < 1.05 < finding.upper
    assert "0.0794" in finding.text
    made = Corrections(fractionation=Measured(1.05))
    assert reference_check([[79_409]], [[n - 79_409]], 0.0759, made).verdict == "good"


def test_a_reference_that_is_none_is_bad_and_few_counts_are_unknown() -> None:
    assert reference_check([[500]], [[500]], 0.0759).verdict == "bad"
    assert reference_check([[1]], [[9]], 0.0759).verdict == "unknown"
    assert reference_check([[0]], [[9]], 0.0759).verdict == "unknown"


def test_only_the_region_is_compared_after_dead_time() -> None:
    # science.md 4.4: 0.0759 reads 0.0914 at half an ion a pulse
    pulses = 10**6
    counts = [round(pulses * -np.expm1(-0.5 * part)) for part in (0.0759, 1 - 0.0759)]
    n6, n7 = (np.array([[count, 7]]) for count in counts)
    mask = [[True, False]]
    assert reference_check(n6, n7, 0.0759, mask=mask).value > 1.2
    assert reference_check(n6, n7, 0.0759, mask=mask, pulses=pulses).verdict == "good"
    with pytest.raises(ValueError, match="is empty"):
        reference_check(n6, n7, 0.0759, mask=[[False, False]])
    with pytest.raises(ValueError, match="between 0 and 1"):
        reference_check(n6, n7, 0.0)


# --- all together -----------------------------------------------------------------------------


def test_all_checks_of_clean_counts_are_good_and_json_able() -> None:
    rng = np.random.default_rng(0)
    bright = 4 * topography(rng) * np.ones((6, 1, 1))
    n6, n7 = rng.poisson(bright * 0.0759), rng.poisson(bright * (1 - 0.0759))
    told: list[float] = []
    checks = check_counts(n6, n7, reference=0.0759, progress=lambda done, text: told.append(done))
    assert [f.verdict for f in checks.findings] == ["good"] * 7
    assert told == sorted(told)
    assert max(told) <= 1
    assert json.loads(json.dumps([f.describe() for f in checks.findings]))[0]["verdict"] == "good"
    assert checks.course is not None
    alone = check_counts(n6[:1], n7[:1])
    assert [f.verdict for f in alone.findings] == ["unknown", "good"]
    assert "one frame only" in alone.findings[0].text
    assert alone.course is None


def test_a_finding_has_one_of_four_verdicts() -> None:
    with pytest.raises(ValueError, match="no verdict"):
        Finding("x", "fine", "y")


def test_a_large_map_in_strips_gives_what_it_gives_at_once(monkeypatch) -> None:
    from napari_liso.counting import intensity

    rng = np.random.default_rng(6)
    bright = 5 * topography(rng)
    n6, n7 = rng.poisson(bright * STEEP), rng.poisson(bright * (1 - STEEP))
    grains = np.searchsorted([0.3, 0.6], STEEP) + 1
    whole = intensity_dependence(n6, n7, grains, pulses=50)
    monkeypatch.setattr(intensity, "_STRIP", 1)
    strips = intensity_dependence(n6, n7, grains, pulses=50)
    assert strips.clusters == whole.clusters
    for name in ("slope", "error", "dead_time"):
        assert getattr(strips, name) == pytest.approx(getattr(whole, name), rel=0.02, abs=1e-3)
    assert (strips.slope, strips.error) == pytest.approx((whole.slope, whole.error))
