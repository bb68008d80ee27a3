"""The course of counts and isotope fraction over the frames of a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from napari_liso.counting.finding import BAD, DOUBTFUL, GOOD, UNKNOWN, Finding
from napari_liso.counting.homogeneity import two_row_chi_square
from napari_liso.counting.intervals import clopper_pearson

__all__ = ["FrameCourse", "course_findings", "frame_course", "frames_to_drop"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Significance of the tests, and of the frames that are proposed to be dropped.
_ALPHA = 0.05
#: A change of all counts by this share is worth looking into, by the second one is bad.
_CHANGED, _COLLAPSED = 0.1, 0.5
#: First frames differ in total if they are off by so many usual deviations and this share.
_DEVIATIONS, _SHARE = 5.0, 0.03


@dataclass(frozen=True, eq=False)
class FrameCourse:
    """Counts and isotope fraction of each frame; all arrays (frame,).

    Parameters
    ----------
    tracer, other
        Counts of the two isotopes as detected.
    value, lower, upper
        Fraction tracer/(tracer + other) with its binomial interval; NaN, 0 and 1
        without counts.
    confidence
        Of the interval.
    """

    tracer: Counts
    other: Counts
    value: Floats
    lower: Floats
    upper: Floats
    confidence: float

    @property
    def total(self) -> Counts:
        """Counts of both isotopes."""
        return self.tracer + self.other


def frame_course(
    n6: Any,
    n7: Any,
    mask: ArrayLike | None = None,
    confidence: float = 0.95,
    progress: Callable[[float, str], None] | None = None,
) -> FrameCourse:
    """Sum each frame, or a region of it, and take its isotope fraction.

    Parameters
    ----------
    n6, n7
        Counts of the two isotopes, (frame, y, x); array-likes with ``shape``,
        ``dtype`` and ``[i]`` are read frame by frame.
    mask
        (y, x), True in the region; None: all pixels. Of shifted frames choose
        pixels that every frame reaches (`common_area`), or the counts of a frame
        fall with its shift.
    confidence
        Probability of the binomial (Clopper-Pearson) interval.
    progress
        Is told (share done, what is done) before each frame; may raise.

    Returns
    -------
    FrameCourse
        As detected, without corrections: they hardly change from frame to frame.

    Raises
    ------
    ValueError
        If shapes differ, the region is empty, or there are values that no counts
        have.
    """
    first, second = (a if hasattr(a, "shape") else np.asarray(a) for a in (n6, n7))
    if tuple(first.shape) != tuple(second.shape) or len(first.shape) != 3:
        raise ValueError(
            "n6 and n7 must be stacks (frame, y, x) of one shape, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, got {confidence}")
    region = np.ones(first.shape[1:], bool) if mask is None else np.asarray(mask, dtype=bool)
    if region.shape != tuple(first.shape[1:]):
        raise ValueError(f"the mask has shape {region.shape}, a frame {tuple(first.shape[1:])}")
    if not region.any():
        raise ValueError("the region holds no pixel that every frame reaches")
    frames = int(first.shape[0])
    sums = np.zeros((2, frames), np.int64)
    for number in range(frames):
        if progress is not None:
            progress(number / frames, f"frame {number + 1} of {frames}")
        for row, stack in enumerate((first, second)):
            sums[row, number] = _whole_sum(np.asarray(stack[number])[region])
    total = sums.sum(axis=0)
    lower, upper = clopper_pearson(sums[0], total, confidence)
    with np.errstate(invalid="ignore"):
        value = sums[0] / total
    return FrameCourse(sums[0], sums[1], value, lower, upper, confidence)


def _whole_sum(counts: NDArray[Any]) -> int:
    if counts.dtype.kind == "f" and not np.all(counts == np.rint(counts)):
        raise ValueError("frames hold values that are no whole numbers: use the counts themselves")
    if counts.size and counts.min() < 0:
        raise ValueError("frames hold negative counts")
    return int(counts.sum(dtype=np.int64 if counts.dtype.kind in "iub" else np.float64))


# --- what it tells ----------------------------------------------------------------------------


def frames_to_drop(course: FrameCourse) -> int:
    """Propose how many first frames to leave out: contaminated, or before equilibrium.

    Parameters
    ----------
    course
        As from `frame_course`.

    Returns
    -------
    int
        0 where the first frames are like the others; never more than half of them,
        nor so many that fewer than three are left to agree.

    Notes
    -----
    *Fraction.* The fewest first frames without which the rest has one fraction
    (chi-square at 5 %), if they themselves differ from the rest at 5 % over the
    number of choices. Where no rest has one fraction, dropping does not help: 0.

    *Counts.* First frames in a row whose total is off the median of the later half by
    more than 3 % and five times the usual deviation there: the larger of
    counting and of 1.48 times the median absolute deviation.
    """
    frames = len(course.total)
    most = min(frames // 2, frames - 3)
    if most < 1:
        return 0
    return max(_first_by_fraction(course, most), _first_by_total(course, most))


def _first_by_fraction(course: FrameCourse, most: int) -> int:
    k, n = course.tracer, course.total
    for first in range(most + 1):
        if two_row_chi_square(k[first:], n[first:]).chance() < _ALPHA:
            continue
        if first == 0:
            return 0
        parts = np.array([[a[:first].sum(), a[first:].sum()] for a in (k, n)])
        differs = two_row_chi_square(parts[0], parts[1]).chance() < _ALPHA / most
        return first if differs else 0
    return 0


def _first_by_total(course: FrameCourse, most: int) -> int:
    total = course.total.astype(np.float64)
    if most < 1:
        return 0
    late = total[most:]
    usual = float(np.median(late))
    spread = 1.4826 * float(np.median(np.abs(late - usual)))
    allowed = max(_DEVIATIONS * max(spread, np.sqrt(usual)), _SHARE * usual)
    off = np.abs(total[:most] - usual) > allowed
    return int(np.argmin(off)) if not off.all() else most


def course_findings(
    course: FrameCourse, frames: ArrayLike | None = None
) -> tuple[Finding, Finding]:
    r"""Judge whether fraction and counts stay what they are during the measurement.

    Parameters
    ----------
    course
        As from `frame_course`.
    frames
        Numbers of the frames as a person knows them; None: from 1 on.

    Returns
    -------
    tuple of Finding
        *Fraction over the frames*: `value` is its change from the first frame to the
        last along a straight line, with its 95 % interval. *Counts over the frames*:
        `value` is the relative standard deviation of a frame's counts, counting taken
        out.

    Notes
    -----
    Two tests of one fraction, each at 2.5 %: chi-square of the frames' counts given
    the frames' sums (`two_row_chi_square`), and the straight line through the fractions
    weighted by counts, whose slope has the standard error
    :math:`\sqrt{p(1-p)/\sum n (t-\bar t)^2}` (Cochran-Armitage), for a slow change
    that chi-square of many frames would miss.
    """
    counted = course.total > 0
    if counted.sum() < 2:
        text = (
            "There is one frame with counts only: nothing can change from frame to frame. Open "
            "the data with its frames to check them."
        )
        return tuple(Finding(name, UNKNOWN, text) for name in (_FRACTION, _COUNTS))  # type: ignore[return-value]
    return _fraction_finding(course, frames), _total_finding(course)


_FRACTION = "Fraction over the frames"
_COUNTS = "Counts over the frames"


def _fraction_finding(course: FrameCourse, frames: ArrayLike | None) -> Finding:
    k, n = course.tracer.astype(np.float64), course.total.astype(np.float64)
    share = k.sum() / n.sum()
    times = np.arange(len(n), dtype=np.float64)
    centred = times - (times * n).sum() / n.sum()
    lever = (n * centred**2).sum()
    change = float((centred * k).sum() / lever * times[-1])
    error = float(np.sqrt(share * (1 - share) / lever) * times[-1])
    ends = (change - 1.96 * error, change + 1.96 * error)
    if not 0 < share < 1:
        return Finding(_FRACTION, UNKNOWN, "There are counts of one isotope only.")
    trend = 2 * float(stats.norm.sf(abs(change) / error))
    chance = min(1.0, 2 * min(trend, two_row_chi_square(course.tracer, course.total).chance()))
    told = f"from the first frame to the last it changes by {change:+.4f} ({_to(*ends)})"
    if chance >= _ALPHA:
        text = f"Every frame has the same fraction within its counts; {told}."
        return Finding(_FRACTION, GOOD, text, change, *ends)
    text = (
        f"The fraction changes from frame to frame by more than counting does "
        f"({_chance(chance)}); {told}."
    )
    drop = frames_to_drop(course)
    numbers = np.arange(1, len(n) + 1) if frames is None else np.asarray(frames)
    if drop:
        which = (
            f"frame {numbers[0]}" if drop == 1 else f"frames {numbers[0]} to {numbers[drop - 1]}"
        )
        text += f" Without {which} the rest agrees: drop {'it' if drop == 1 else 'them'}."
    elif len(n) < 4:
        text += " There are too few frames to tell which of them is odd."
    else:
        text += (
            " Leaving out the first frames does not help: the sample changes under the beam, or "
            "with depth. Choose frames over which it is steady."
        )
    scatter = np.sqrt(np.average((course.value[n > 0] - share) ** 2, weights=n[n > 0]))
    severe = max(abs(change), scatter) > 0.1 * min(share, 1 - share)
    return Finding(_FRACTION, BAD if severe else DOUBTFUL, text, change, *ends)


def _total_finding(course: FrameCourse) -> Finding:
    n = course.total.astype(np.float64)
    mean = n.mean()
    relative = float(np.sqrt(max(n.var(ddof=1) - mean, 0.0)) / mean)
    span = float((n.max() - n.min()) / mean)
    told = f"a frame has {n.min():,.0f} to {n.max():,.0f} counts ({100 * span:.1f} % apart)"
    chance = float(stats.chi2.sf(((n - mean) ** 2 / mean).sum(), len(n) - 1))
    first = _first_by_total(course, min(len(n) // 2, len(n) - 3))
    text = f"The counts are steady: {told}."
    verdict = GOOD
    if chance < _ALPHA:
        text = (
            f"The counts change by {100 * relative:.1f} % from frame to frame, counting taken "
            f"out: {told}. The fraction does not mind as long as both isotopes change alike."
        )
        verdict = BAD if span > _COLLAPSED else DOUBTFUL if span > _CHANGED else GOOD
    if first and verdict != GOOD:
        which = "frame differs" if first == 1 else f"{first} frames differ"
        text += f" The first {which} most: think of contamination, and leave out what is odd."
    elif verdict != GOOD:
        text += " Think of charging, of a beam that drifts, or of sputtering through a layer."
    return Finding(_COUNTS, verdict, text, relative)


def _to(lower: float, upper: float) -> str:
    return f"95 %: {lower:+.4f} to {upper:+.4f}"


def _chance(chance: float) -> str:
    return f"chance {chance:.2g}" if chance >= 1e-4 else "chance below 0.0001"
