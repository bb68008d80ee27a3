"""What the panels of frames and checks work out, in a thread: no Qt, no layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.counting.drift import common_area
from napari_liso.plugin.frames.choice import FrameChoice, chosen_sum

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition
    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.diagnostics import Checks
    from napari_liso.counting.frames import FrameCourse
    from napari_liso.counting.measured import Measured

__all__ = ["CheckRequest", "area_of", "check", "course_of", "part_of", "sum_all"]

Report = Callable[[float, str], None]
MaskMaker = Callable[[], NDArray[np.bool_] | None]


def sum_all(acquisitions: list[Acquisition], report: Report) -> list[list[Any]]:
    """Return the sums of the chosen frames, of every channel of every acquisition."""
    count = sum(len(one.channels) for one in acquisitions)
    sums: list[list[Any]] = []
    done = 0
    for one in acquisitions:
        sums.append([])
        for channel in range(len(one.channels)):
            sums[-1].append(chosen_sum(one, channel, _part(report, done / count, 1 / count)))
            done += 1
    return sums


def _part(report: Report, start: float, share: float) -> Report:
    """Return what reports a part of the work."""
    return lambda done, text: report(start + share * done, text)


def area_of(
    shape: tuple[int, ...],
    choice: FrameChoice | None,
    mask: NDArray[np.bool_] | None,
    chosen_only: bool,
) -> NDArray[np.bool_] | None:
    """Return the pixels of a region that every frame reaches; None for all pixels.

    Parameters
    ----------
    shape
        (frame, y, x) of all frames.
    choice
        With the shifts; None: none.
    mask
        (y, x), the region; None: the whole map.
    chosen_only
        Whether frames that are not used do not matter.

    Raises
    ------
    ValueError
        If no such pixel is left.
    """
    if choice is None or choice.shifts is None:
        return mask
    keep = choice.keep if chosen_only else None
    area = common_area(shape, choice.shifts, keep)
    if not chosen_only and not area.any():
        # frames that are left out may be far off
        area = common_area(shape, choice.shifts, choice.keep)
    area = area if mask is None else area & mask
    if not area.any():
        raise ValueError("the frames have no pixel of this region in common: check the shifts")
    return area


def course_of(
    n6: Any, n7: Any, choice: FrameChoice | None, make_mask: MaskMaker, report: Report
) -> FrameCourse:
    """Return the course over all frames, in the pixels of a region that they share."""
    from napari_liso.counting.frames import frame_course

    mask = area_of(tuple(n6.shape), choice, make_mask(), chosen_only=False)
    return frame_course(n6, n7, mask, progress=report)


def part_of(course: FrameCourse, start: int, stop: int) -> FrameCourse:
    """Return the course over some of its frames."""
    arrays = ("tracer", "other", "value", "lower", "upper")
    return replace(course, **{name: getattr(course, name)[start:stop] for name in arrays})


@dataclass(frozen=True, eq=False)
class CheckRequest:
    """Counts to be checked.

    Parameters
    ----------
    n6, n7, pulses
        Of the chosen frames, as from `frames_behind`.
    choice, frames
        Of the acquisition, and how many frames it has; None and 0 of other layers.
    labels
        Makes grains in which places are compared, or None.
    reference, reference_mask
        Fraction of the reference region or None, and what makes the region.
    corrections
        For the reference.
    names
        Of the isotopes.
    """

    n6: Any
    n7: Any
    pulses: Any | None
    choice: FrameChoice | None
    frames: int
    labels: Callable[[], NDArray[Any] | None]
    reference: Measured | None
    reference_mask: MaskMaker
    corrections: Corrections
    names: tuple[str, str]


def check(request: CheckRequest, report: Report) -> Checks:
    """Make every check."""
    from napari_liso.counting.diagnostics import check_counts

    choice = request.choice
    shape = (request.frames, *tuple(request.n6.shape[1:]))
    return check_counts(
        request.n6,
        request.n7,
        request.pulses,
        mask=area_of(shape, choice, None, chosen_only=True),
        labels=request.labels(),
        reference=request.reference,
        reference_mask=None if request.reference is None else request.reference_mask(),
        corrections=request.corrections,
        names=request.names,
        first_frame=1 if choice is None else choice.start + 1,
        progress=report,
    )
