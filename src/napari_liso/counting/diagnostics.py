"""Do these counts support an isotope fraction? Every check, each with a plain verdict."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.corrections import Corrections
from napari_liso.counting.finding import BAD, DOUBTFUL, GOOD, UNKNOWN, Finding
from napari_liso.counting.fraction import fraction_of
from napari_liso.counting.frame_dispersion import (
    dispersion_finding,
    fraction_frame_finding,
    frame_dispersion,
)
from napari_liso.counting.frames import FrameCourse, course_findings, frame_course
from napari_liso.counting.intensity import (
    IntensityDependence,
    intensity_dependence,
    intensity_finding,
)
from napari_liso.counting.intervals import normal_deviations
from napari_liso.counting.measured import Measured, as_measured
from napari_liso.counting.sums import IonSums, sum_ions

__all__ = [
    "BAD",
    "DOUBTFUL",
    "GOOD",
    "UNKNOWN",
    "Checks",
    "Finding",
    "check_counts",
    "dispersion_finding",
    "fraction_frame_finding",
    "frame_dispersion",
    "intensity_dependence",
    "intensity_finding",
    "reference_check",
]

Progress = Callable[[float, str], None]

#: Odds that are off by more than this factor are not mass fractionation alone, which is a
#: few per cent for lithium.
_LARGEST_ALPHA = 1.2


def reference_check(
    n6: Any,
    n7: Any,
    reference: float | Measured,
    corrections: Corrections | None = None,
    pulses: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    confidence: float = 0.95,
) -> Finding:
    r"""Compare a region of known isotope fraction with what it should read.

    Parameters
    ----------
    n6, n7
        Counts of the two isotopes, (y, x) or (frame, y, x).
    reference
        Fraction that the region has, such as `isotopes.natural_fraction`.
    corrections
        That are made before, mass fractionation included; None: dead time alone.
    pulses
        As of `isotope_fraction`; None: unknown.
    mask
        (y, x), True in the region; None: the whole map.
    confidence
        Of the interval.

    Returns
    -------
    Finding
        `value` is :math:`\alpha`, the odds as they read over the odds as they should
        be, with its interval: 1 where they agree.

    Raises
    ------
    ValueError
        If the reference is no fraction, the region is empty, or counts are none.

    Notes
    -----
    The counts of the region are summed, corrected, and their fraction taken with its
    interval. With c the fraction and :math:`c_0` that of the reference,
    :math:`\ln\alpha = \operatorname{logit} c - \operatorname{logit} c_0`; the error of the
    reference, :math:`\sigma_0 / (c_0 (1 - c_0))` on that scale, is added in quadrature.
    """
    made = Corrections() if corrections is None else corrections
    sums = sum_ions(n6, n7, pulses if made.dead_time else None)
    return _reference_finding(_region_sums(sums, mask), as_measured(reference), made, confidence)


def _region_sums(sums: IonSums, mask: ArrayLike | None) -> IonSums:
    inside = np.ones(sums.shape, bool) if mask is None else np.asarray(mask, dtype=bool)
    if inside.shape != sums.shape:
        raise ValueError(f"the region has shape {inside.shape}, the counts {sums.shape}")
    if not inside.any():
        raise ValueError("the reference region is empty")
    return sums.grouped(np.where(inside, 0, -1), 1)


def _reference_finding(
    sums: IonSums, reference: Measured, corrections: Corrections, confidence: float
) -> Finding:
    name = "Reference region"
    if not 0 < reference.value < 1:
        raise ValueError(
            f"the reference must be a fraction between 0 and 1, got {reference.value}"
        )
    found = fraction_of(sums, **corrections.keywords, confidence=confidence)
    value, low, high = (float(a[0]) for a in (found.value, found.lower, found.upper))
    counts = int(found.counts[0])
    if not 0 < value < 1:
        text = f"The region has {counts:,} counts, too few of one isotope to compare."
        return Finding(name, UNKNOWN, text)
    expected = _logit(reference.value)
    middle = _logit(value)
    error = reference.error / (reference.value * (1 - reference.value))
    wide = normal_deviations(confidence) * error
    ends = (
        middle - np.hypot(middle - _logit(low), wide),
        middle + np.hypot(_logit(high) - middle, wide),
    )
    alpha, *interval = (float(np.exp(x - expected)) for x in (middle, *ends))
    reads = (
        f"The region reads {value:.4f} ({100 * confidence:g} %: {low:.4f} to {high:.4f}), "
        f"{counts:,} counts; it should be {reference.value:.4f}"
        + (f" ± {reference.error:.2g}" if reference.error else "")
    )
    told = f"α = {alpha:.3f} ({interval[0]:.3f} to {interval[1]:.3f})"
    numbers = (alpha, interval[0], interval[1])
    if interval[0] <= 1 <= interval[1]:
        if np.log(interval[1] / interval[0]) > 2 * np.log(_LARGEST_ALPHA):
            return Finding(name, UNKNOWN, f"{reads}: too few counts to tell, {told}.", *numbers)
        return Finding(name, GOOD, f"{reads}: they agree, {told}.", *numbers)
    if max(alpha, 1 / alpha) <= _LARGEST_ALPHA:
        text = (
            f"{reads}. The odds are {told} times what they should be. If dead time, background "
            "and hydride are corrected, that is the mass fractionation of the instrument: take it "
            "as the factor under Isotope fraction."
        )
        return Finding(name, DOUBTFUL, text, *numbers)
    text = (
        f"{reads}. The odds are {told} times what they should be, too much for mass "
        "fractionation. Is this the reference? Look at the mass windows, at dead time, and at "
        "interferences."
    )
    return Finding(name, BAD, text, *numbers)


def _logit(share: float) -> float:
    with np.errstate(divide="ignore"):
        return float(np.log(share) - np.log1p(-share))


# --- all together -----------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Checks:
    """What all checks of a pair of isotopes found.

    Parameters
    ----------
    findings
        In the order in which a person should read them.
    course
        Of the frames; None of a single one.
    dependence
        On brightness.
    """

    findings: tuple[Finding, ...]
    course: FrameCourse | None
    dependence: IntensityDependence


def check_counts(
    n6: Any,
    n7: Any,
    pulses: Any | None = None,
    *,
    mask: ArrayLike | None = None,
    labels: ArrayLike | None = None,
    reference: float | Measured | None = None,
    reference_mask: ArrayLike | None = None,
    corrections: Corrections | None = None,
    names: tuple[str, str] = ("6Li", "7Li"),
    first_frame: int = 1,
    progress: Progress | None = None,
) -> Checks:
    """Make every check of the counts of a pair of isotopes.

    Parameters
    ----------
    n6, n7
        Counts, (frame, y, x); array-likes are read frame by frame, several times.
    pulses
        Primary-ion pulses behind each entry, broadcastable to the counts; None:
        unknown.
    mask
        (y, x), pixels that every frame reaches; None: all.
    labels
        (y, x), grains in which places are compared; None: blocks.
    reference, reference_mask
        Fraction of a region, and that region (None: the whole map); without a
        reference there is no such check.
    corrections
        For the reference region.
    names
        Of the isotopes.
    first_frame
        Number of the first frame as a person counts.
    progress
        Is told (share done, what is done); may raise.

    Returns
    -------
    Checks
        With a finding a check.

    Raises
    ------
    ValueError
        As the single checks.
    """
    frames = int(n6.shape[0])
    steps = [0.0]

    def step(share: float) -> Progress | None:
        start = steps[0]
        steps[0] += share
        if progress is None:
            return None
        return lambda done, text: progress(min(1.0, start + share * done), text)

    findings: list[Finding] = []
    course = frame_course(n6, n7, mask, progress=step(0.2 if frames > 1 else 0.8))
    if frames > 1:
        numbers = np.arange(first_frame, first_frame + frames)
        findings += course_findings(course, numbers)
        for stack, name in ((n6, names[0]), (n7, names[1])):
            found = frame_dispersion(stack, pulses, mask, step(0.2))
            findings.append(dispersion_finding(found, name))
        findings.append(fraction_frame_finding(n6, n7, mask, progress=step(0.2)))
    else:
        text = (
            "There is one frame only, or all were summed before they were saved: drift, charging, "
            "contamination and the scatter of the counts cannot be seen. Open the data with its "
            "frames to check them."
        )
        findings.append(Finding("Frame to frame", UNKNOWN, text))
    tell = step(0.2)
    if tell is not None:
        tell(0.0, "bright and dark places")
    made = Corrections() if corrections is None else corrections
    sums = sum_ions(n6, n7, None)
    dependence = intensity_dependence(
        _inside(sums.tracer.counts, mask),
        _inside(sums.other.counts, mask),
        labels,
        None if pulses is None else _pulses_behind(pulses, n6.shape),
    )
    findings.append(intensity_finding(dependence))
    if reference is not None:
        if tell is not None:
            tell(0.5, "reference region")
        if pulses is not None and made.dead_time:
            sums = sum_ions(n6, n7, pulses)
        region = _region_sums(sums, reference_mask)
        findings.append(_reference_finding(region, as_measured(reference), made, 0.95))
    return Checks(tuple(findings), course if frames > 1 else None, dependence)


def _inside(counts: NDArray[np.int64], mask: ArrayLike | None) -> NDArray[np.int64]:
    return counts if mask is None else np.where(np.asarray(mask, dtype=bool), counts, 0)


def _pulses_behind(pulses: Any, shape: tuple[int, ...]) -> NDArray[Any]:
    """Return (y, x) of the pulses of all frames, read frame by frame."""
    total = getattr(pulses, "frame_sum", None)
    if total is not None:
        return np.asarray(total())
    every = np.broadcast_to(np.asarray(pulses), shape)
    return np.asarray(every.sum(axis=0))
