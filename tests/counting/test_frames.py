"""The course over the frames: sums, intervals, verdicts, and which first frames to drop."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_liso.counting.frames import course_findings, frame_course, frames_to_drop


def course_of(n6: list[int], n7: list[int]):
    """A course of given counts, in one pixel."""
    return frame_course(*(np.array(n).reshape(-1, 1, 1) for n in (n6, n7)))


def drawn(fractions: np.ndarray, counts: float | np.ndarray, seed: int = 0):
    """A course of Poisson counts, of 16 pixels."""
    rng = np.random.default_rng(seed)
    ions = np.broadcast_to(np.asarray(counts) / 16, fractions.shape)[:, None, None]
    shape = (len(fractions), 4, 4)
    first = rng.poisson(np.broadcast_to(ions * fractions[:, None, None], shape))
    second = rng.poisson(np.broadcast_to(ions * (1 - fractions[:, None, None]), shape))
    return frame_course(first, second)


class Lazy:
    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype

    def __getitem__(self, number: int) -> np.ndarray:
        assert isinstance(number, int)  # never the whole stack
        return self.array[number]


# --- sums -------------------------------------------------------------------------------------


def test_frames_are_summed_in_the_region_with_binomial_intervals() -> None:
    rng = np.random.default_rng(1)
    n6, n7 = rng.poisson(1.0, (3, 6, 7)), rng.poisson(3.0, (3, 6, 7))
    mask = np.zeros((6, 7), bool)
    mask[1:4, 2:] = True
    told: list[float] = []
    for first, second in ((n6, n7), (Lazy(n6), Lazy(n7))):
        course = frame_course(first, second, mask, 0.9, lambda done, text: told.append(done))
        assert course.tracer.tolist() == [int(f[1:4, 2:].sum()) for f in n6]
        assert course.other.tolist() == [int(f[1:4, 2:].sum()) for f in n7]
        for k, n, value, low, high in zip(
            course.tracer, course.total, course.value, course.lower, course.upper, strict=True
        ):
            exact = stats.binomtest(int(k), int(n)).proportion_ci(0.9, "exact")
            assert value == pytest.approx(k / n)
            assert (low, high) == pytest.approx((exact.low, exact.high), rel=1e-6)
    assert told == pytest.approx([0, 1 / 3, 2 / 3] * 2)


def test_a_frame_without_counts_has_no_fraction() -> None:
    course = course_of([0, 3], [0, 1])
    assert np.isnan(course.value[0])
    assert (course.lower[0], course.upper[0]) == (0, 1)
    assert course.value[1] == 0.75


@pytest.mark.parametrize(
    ("n6", "n7", "mask", "message"),
    [
        (np.ones((2, 3, 4)), np.ones((2, 4, 3)), None, "one shape"),
        (np.ones((3, 4)), np.ones((3, 4)), None, "frame, y, x"),
        (np.full((2, 3, 4), 0.5), np.ones((2, 3, 4)), None, "whole numbers"),
        (np.full((2, 3, 4), -1), np.ones((2, 3, 4)), None, "negative"),
        (np.ones((2, 3, 4)), np.ones((2, 3, 4)), np.zeros((3, 4), bool), "no pixel"),
        (np.ones((2, 3, 4)), np.ones((2, 3, 4)), np.ones((2, 2), bool), "mask has shape"),
    ],
)
def test_what_is_no_course_is_refused(n6, n7, mask, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        frame_course(n6, n7, mask)


# --- verdicts ---------------------------------------------------------------------------------


def test_a_steady_measurement_is_good() -> None:
    fraction, counts = course_findings(drawn(np.full(20, 0.3), 5000.0))
    assert (fraction.verdict, counts.verdict) == ("good", "good")
    assert fraction.lower < 0 < fraction.upper
    assert frames_to_drop(drawn(np.full(20, 0.3), 5000.0)) == 0


@pytest.mark.parametrize("counts", [30.0, 5000.0])
def test_false_alarms_of_the_fraction_are_as_rare_as_promised(counts: float) -> None:
    verdicts = [
        course_findings(drawn(np.full(12, 0.1), counts, seed))[0].verdict for seed in range(400)
    ]
    alarms = 400 - verdicts.count("good")
    low, high = stats.binom.ppf([0.0005, 0.9995], 400, 0.05)
    assert alarms <= high
    assert alarms >= low / 2  # two tests together may be below


def test_the_change_is_that_of_a_straight_line() -> None:
    # weighted least squares of the frames' fractions, done by numpy
    course = drawn(np.linspace(0.3, 0.34, 9), np.linspace(2e4, 4e4, 9))
    slope = np.polyfit(np.arange(9), course.value, 1, w=np.sqrt(course.total))[0]
    finding = course_findings(course)[0]
    assert finding.value == pytest.approx(8 * slope)
    assert finding.verdict in ("doubtful", "bad")
    assert finding.lower < 0.04 < finding.upper
    # error of a slope of binomial fractions
    n, t = course.total, np.arange(9)
    p = course.tracer.sum() / n.sum()
    error = 8 * np.sqrt(p * (1 - p) / (n * (t - np.average(t, weights=n)) ** 2).sum())
    assert finding.upper - finding.value == pytest.approx(1.96 * error)


def test_contaminated_first_frames_are_proposed_to_be_dropped() -> None:
    fractions = np.full(15, 0.3)
    fractions[:2] = 0.4, 0.35
    course = drawn(fractions, 2e4)
    assert frames_to_drop(course) == 2
    finding = course_findings(course, np.arange(4, 19))[0]
    assert finding.verdict in ("doubtful", "bad")
    assert "frames 4 to 5" in finding.text


def test_a_change_that_goes_on_is_not_mended_by_dropping() -> None:
    course = drawn(np.linspace(0.3, 0.5, 15), 2e4)
    assert frames_to_drop(course) == 0
    finding = course_findings(course)[0]
    assert finding.verdict == "bad"
    assert "does not help" in finding.text


def test_first_frames_of_other_brightness_are_proposed_to_be_dropped() -> None:
    counts = np.full(12, 2e4)
    counts[:3] = 5e4, 4e4, 2.6e4
    course = drawn(np.full(12, 0.3), counts)
    assert frames_to_drop(course) == 3
    fraction, total = course_findings(course)
    assert fraction.verdict == "good"
    assert total.verdict == "bad"
    assert "first 3 frames differ" in total.text


def test_a_beam_that_fades_is_told_but_leaves_the_fraction_good() -> None:
    fraction, total = course_findings(drawn(np.full(10, 0.3), np.linspace(2e4, 1.7e4, 10)))
    assert fraction.verdict == "good"
    assert total.verdict == "doubtful"
    # standard deviation of a line from 20 to 17: 3 / sqrt(12) times sqrt(n + 1 over n - 1)
    assert total.value == pytest.approx(3 / np.sqrt(12) * np.sqrt(11 / 9) / 18.5, rel=0.05)


def test_one_frame_tells_nothing() -> None:
    for finding in course_findings(course_of([10], [30])):
        assert finding.verdict == "unknown"
        assert "one frame" in finding.text
    assert frames_to_drop(course_of([10], [30])) == 0
    assert frames_to_drop(course_of([10, 500, 10], [30, 3, 30])) == 0
