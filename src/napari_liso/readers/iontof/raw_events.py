"""ION-TOF raw events: what GRD files and ITZIP archives have in common.

An event is a scan, a shot, a place (x, y) and a flight time, each an unsigned
32-bit number. Size of the raster, mass scale and field of view are in a table
of properties beside the events (``.properties.txt``).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._stream import collect
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.iontof.properties import Facts

__all__ = ["RawEvents", "check_frames", "ends_early", "frames_between", "read_events"]

_MAX_FRAMES = 2**16
#: Voxels that a measurement may have without events, and with each of them.
_EMPTY_VOXELS = 2**30
_VOXELS_PER_EVENT = 1024
_ENDS_EARLY = 0.9

Integers = NDArray[np.integer[Any]]


class Batch(Protocol):
    """Reads events; the first to be read and one past the last are given."""

    def __call__(self, first: int, end: int) -> Iterator[tuple[int, dict[str, Integers]]]:
        """Yield (number of the first event, columns) in batches."""


def check_frames(path: Path, starts: Sequence[int], resolution: int) -> None:
    """Refuse scan numbers that no measurement has.

    Parameters
    ----------
    path
        For messages.
    starts
        Number of the first event of every frame, and of events in all.
    resolution
        Pixels along a side.

    Raises
    ------
    FormatError
        If scans are missing by far, or there are too many for the events.
    """
    frames = len(starts) - 1
    with_events = int(np.count_nonzero(np.diff(starts)))
    if frames > 2 * with_events + 16 or frames * resolution**2 > (
        _EMPTY_VOXELS + _VOXELS_PER_EVENT * starts[-1]
    ):
        raise FormatError(
            path,
            f"is damaged: {starts[-1]} events in {with_events} of {frames} scans of "
            f"{resolution} x {resolution} pixels",
        )


def frames_between(path: Path, first: int, last: int) -> int:
    """Return the number of scans from the first to the last, checked.

    Raises
    ------
    FormatError
        If they are not in order or too many.
    """
    if last < first or last - first >= _MAX_FRAMES:
        raise FormatError(
            path,
            f"is damaged: its scans go from {first} to {last}, not in ascending order or too many",
        )
    return last - first + 1


@dataclass(frozen=True, eq=False)
class RawEvents:
    """An `EventSource` over columns of raw events.

    Parameters
    ----------
    path
        For messages.
    first_scan
        Number of the scan that is frame 0.
    starts
        Number of the first event of every frame, and of events in all.
    resolution
        Pixels along each side.
    calibration
        From flight times to masses.
    batches
        Reads events with the columns x, y, tof and, where it is not checked
        already, scan.
    record
        Bytes an event, for the place in messages; 0 where there is no such place.
    """

    path: Path
    first_scan: int
    starts: Sequence[int]
    resolution: int
    calibration: MassCalibration
    batches: Batch
    record: int = 0

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frame, y, x)."""
        return len(self.starts) - 1, self.resolution, self.resolution

    def events(self, frame: int) -> Iterator[tuple[Integers, Integers]]:
        """Yield (flight times, flat pixel numbers with row 0 at the top)."""
        side = self.resolution
        for start, columns in self.batches(self.starts[frame], self.starts[frame + 1]):
            scan, x, y = columns.get("scan"), columns["x"], columns["y"]
            if scan is not None and np.any(scan != self.first_scan + frame):
                self._refuse("its scans are not in ascending order", scan != scan[0], start)
            if len(x) and (x.max() >= side or y.max() >= side):
                self._refuse(
                    f"an event is outside the raster of {side} x {side} pixels",
                    (x >= side) | (y >= side),
                    start,
                )
            yield columns["tof"], (side - 1 - y.astype(np.intp)) * side + x

    def _refuse(self, reason: str, where: NDArray[np.bool_], start: int) -> None:
        event = start + int(np.argmax(where))
        raise FormatError(
            self.path, f"is damaged: {reason}", self.record * event if self.record else None
        )


def read_events(
    events: RawEvents, facts: Facts, windows: _files.Windows | None, metadata: dict[str, Any]
) -> Acquisition:
    """Count the events and describe them.

    Parameters
    ----------
    events, facts
        Of the file.
    windows
        (low, high) in u by name; None: one channel ``"total"``.
    metadata
        To begin with; its warnings are kept.
    """
    windows = _files.check_windows(windows)
    images = collect(events, None if windows is None else list(windows.values()))
    calibration = events.calibration
    frames, side, _ = events.shape
    warnings = [*metadata["warnings"], *facts.warnings]
    if facts.scans is not None and frames != facts.scans:
        few = "; the file is incomplete, or the measurement was stopped" * (frames < facts.scans)
        warnings.append(
            f"The properties announce {facts.scans} scans, the events are of {frames}{few}."
        )
    elif events.first_scan > 1:
        warnings.append(f"The first scan is number {events.first_scan}: the file is incomplete.")
    metadata |= facts.metadata
    metadata |= {
        "frames": frames,
        "first_scan": events.first_scan,
        "events": events.starts[-1],
        "field_of_view_m": facts.field_of_view,
        "pulses_per_pixel_and_frame": facts.shots_per_pixel,
        "calibration": calibration.as_metadata(),
        "origin": "flipped vertically: y = 0 of the file is the bottom row, as ION-TOF counts",
        "pixel_size_source": None
        if facts.field_of_view is None
        else "FieldOfView and Resolution of the properties",
        "warnings": warnings,
    }
    pixel = None if facts.field_of_view is None else facts.field_of_view / side
    shots = facts.shots_per_pixel
    return Acquisition(
        counts=images.counts,
        channels=tuple(windows or ["total"]),
        masses=np.array([sum(w) / 2 for w in windows.values()] if windows else [np.nan]),
        pixel_size=None if pixel is None else (pixel, pixel),
        pulses=None if shots is None else np.full((1, 1, 1), shots),
        metadata=metadata,
        spectrum_source=lambda: (calibration.mass(images.ticks), images.spectrum),
    )


def ends_early(last_shots: Sequence[int], resolution: int) -> str | None:
    """Return a warning where the last scan ends before its end.

    Parameters
    ----------
    last_shots
        Shot of the last event of every scan.
    resolution
        Pixels along a side. Shots that are counted anew in every pixel say nothing.
    """
    if len(last_shots) < 2:
        return None
    usual = float(np.median(last_shots[:-1]))
    if usual < resolution**2 / 2 or last_shots[-1] >= _ENDS_EARLY * usual:
        return None
    return (
        f"The last scan ends at shot {last_shots[-1]}, the others at about {usual:.0f}: the file "
        "is truncated, or the measurement was stopped."
    )
