"""Ion images and spectra from streams of events, one pass over the file.

Formats that store ions one by one differ in how an event is packed, not in what
is done with it. A format's module brings an `EventSource`; here its events are
sorted into mass windows on the native grid of flight times, into images and
into the sum spectrum. Memory holds a batch of events and the images asked for,
never the file: frames of a long measurement are made again when looked at.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from napari_liso.readers._lazy import PLAIN_BYTES, LazyCounts
from napari_liso.readers._progress import report
from napari_liso.readers.calibration import MassCalibration

__all__ = ["BATCH", "EventSource", "Images", "TickHistogram", "collect"]

#: Events handled at a time, by convention of the sources.
BATCH = 2**20
#: Flight times up to here are counted in pages of all times, in 4 bytes each.
_DENSE_TICKS = 2**27
_PAGE = 2**22
#: No file has times beyond; edges of windows may be anywhere.
_FAR_TICK = 2.0**62
#: Entries that wait in sorted lists before they are put together.
_WAITING = 2**23

Integers = NDArray[np.integer[Any]]
Range = tuple[int, int]


class EventSource(Protocol):
    """Events of a file, in the order of its frames."""

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frame, y, x)."""

    @property
    def calibration(self) -> MassCalibration:
        """From the file's flight times to masses."""

    def events(self, frame: int) -> Iterator[tuple[Integers, Integers]]:
        """Yield the events of a frame in batches of about `BATCH` at most.

        A batch is (flight times in steps of the file, flat pixel numbers
        ``y * width + x`` with row 0 at the top), checked to be in range.

        Raises
        ------
        FormatError
            If the file is damaged here, or changed since it was opened.
        """


@dataclass(frozen=True, eq=False)
class Images:
    """What one pass over the events gives.

    Parameters
    ----------
    counts
        (channel, frame, y, x), plain where that is small.
    ticks, spectrum
        Occupied flight times, ascending, and the counts in each.
    """

    counts: LazyCounts | NDArray[Any]
    ticks: Integers
    spectrum: Integers


def collect(source: EventSource, windows: Sequence[tuple[float, float]] | None = None) -> Images:
    """Count events by window, frame and pixel, and by flight time.

    Parameters
    ----------
    source
        The events.
    windows
        (low, high) in u of each channel, low edge included, high edge not;
        None: one channel of everything. A step of the time grid belongs to a
        window as a whole.
    """
    ranges = [tick_range(source.calibration, *window) for window in windows or ()]
    channels: list[Range | None] = list(ranges) if windows is not None else [None]
    frames, height, width = source.shape
    sums = np.zeros((len(channels), height * width), np.int64)
    histogram = TickHistogram()
    largest = 0
    plain = math.prod(source.shape) * len(channels) <= PLAIN_BYTES
    kept: list[NDArray[Any]] | None = [] if plain else None
    kept_bytes = 0
    for frame in range(frames):
        image = np.zeros((len(channels), height * width), np.int64)
        for ticks, pixel in source.events(frame):
            report(frame / frames)
            histogram.add(ticks)
            for row, bounds in zip(image, channels, strict=True):
                _count(row, ticks, pixel, bounds)
        sums += image
        top = int(image.max(initial=0))
        largest = max(largest, top)
        if kept is not None:
            kept.append(image.astype(np.min_scalar_type(top)))
            kept_bytes += kept[-1].nbytes
            if kept_bytes > PLAIN_BYTES:
                kept = None
    dtype = np.min_scalar_type(largest)
    shape = (len(channels), frames, height, width)
    counts: LazyCounts | NDArray[Any]
    if kept is not None and math.prod(shape) * dtype.itemsize <= PLAIN_BYTES:
        counts = np.empty((len(channels), frames, height * width), dtype)
        for frame, image in enumerate(kept):
            counts[:, frame] = image
        counts = counts.reshape(shape)
    else:
        counts = LazyCounts(
            shape,
            dtype,
            lambda channel, frame: _image(source, channels[channel], frame),
            sums.reshape(len(channels), height, width),
        )
    return Images(counts, *histogram.result())


def tick_range(calibration: MassCalibration, low: float, high: float) -> Range:
    """Return the steps of the time grid (first, one past the last) in a mass window."""
    # An edge that is on a step but for rounding is on it.
    edges = (calibration.ticks(edge) - 1e-6 for edge in (low, high))
    first, end = (math.ceil(min(max(edge, -_FAR_TICK), _FAR_TICK)) for edge in edges)
    return first, end


def _count(
    image: NDArray[np.int64], ticks: Integers, pixel: Integers, bounds: Range | None
) -> None:
    """Add the events within `bounds` to a flat image."""
    if bounds is not None:
        pixel = pixel[(ticks >= bounds[0]) & (ticks < bounds[1])]
    if 4 * len(pixel) > len(image):
        image += np.bincount(pixel, minlength=len(image))
    elif len(pixel):
        place, count = np.unique(pixel, return_counts=True)
        image[place] += count


def _image(source: EventSource, bounds: Range | None, frame: int) -> NDArray[np.int64]:
    """Return the (y, x) image of one frame."""
    _, height, width = source.shape
    image = np.zeros(height * width, np.int64)
    for ticks, pixel in source.events(frame):
        _count(image, ticks, pixel, bounds)
    return image.reshape(height, width)


class TickHistogram:
    """Counts by flight time, in memory that is bounded by the events or the times."""

    def __init__(self) -> None:
        #: Counts of `_PAGE` times each, where there are any, by number of the page.
        self._pages: dict[int, NDArray[np.uint32]] = {}
        #: Times and counts in each, sorted lists that wait to be put together.
        self._waiting: list[tuple[Integers, Integers]] = []
        self._waiting_size = 0

    def add(self, ticks: Integers) -> None:
        """Count a batch of flight times, none negative."""
        if len(ticks) == 0:
            return
        top = int(ticks.max())
        if top < 4 * len(ticks) and top < _PAGE:
            self._page(0)[: top + 1] += np.bincount(ticks).astype(np.uint32)
            return
        self._waiting.append(_runs(np.sort(ticks)))
        self._waiting_size += len(self._waiting[-1][0])
        if self._waiting_size > _WAITING:
            self._settle()

    def _page(self, number: int) -> NDArray[np.uint32]:
        if number not in self._pages:
            self._pages[number] = np.zeros(_PAGE, np.uint32)
        return self._pages[number]

    def _settle(self) -> None:
        """Put what waits into pages, or together where times are too long for them."""
        if max(int(place[-1]) for place, _ in self._waiting) >= _DENSE_TICKS:
            self._waiting = [_merged(self._waiting)]
            # Only what comes on top is to be merged again.
            self._waiting_size = 0
            return
        for place, count in self._waiting:
            numbers = range(int(place[0]) // _PAGE, int(place[-1]) // _PAGE + 1)
            cuts = np.searchsorted(place, np.array(numbers[1:]) * _PAGE)
            for number, low, high in zip(numbers, [0, *cuts], [*cuts, len(place)], strict=True):
                if high > low:
                    self._page(number)[place[low:high] - number * _PAGE] += count[low:high].astype(
                        np.uint32
                    )
        self._waiting, self._waiting_size = [], 0

    def result(self) -> tuple[Integers, Integers]:
        """Return (occupied flight times, ascending, and the counts in each).

        Both are signed and no wider than needed: a long measurement occupies tens
        of millions of steps. The histogram is empty afterwards.
        """
        size = sum(int(np.count_nonzero(page)) for page in self._pages.values())
        times: Integers = np.empty(size, np.int32)
        counts: Integers = np.empty(size, np.int32)
        end = 0
        for number in sorted(self._pages):
            page = self._pages.pop(number)
            occupied = np.flatnonzero(page)
            start, end = end, end + len(occupied)
            times[start:end] = occupied + number * _PAGE
            found = page[occupied]
            if len(found) and found.max() >= 2**31:
                counts = counts.astype(np.int64)
            counts[start:end] = found
        if not self._waiting:
            return times, counts
        waiting, self._waiting = self._waiting, []
        return _merged([(times, counts), *waiting])


def _joined(parts: list[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    """Return lists of times and counts end to end."""
    if not parts:
        return np.zeros(0, np.int32), np.zeros(0, np.int32)
    times, counts = zip(*parts, strict=True)
    return np.concatenate(times), np.concatenate(counts)


def _merged(parts: list[tuple[Integers, Integers]]) -> tuple[Integers, Integers]:
    """Return one list of times, ascending, with the counts of all parts."""
    times, counts = _joined([(_narrow(time), _narrow(count)) for time, count in parts])
    order = np.argsort(times, kind="stable")
    times, counts = times[order], counts[order]
    starts = _starts(times)
    return times[starts], _narrow(np.add.reduceat(counts, starts, dtype=np.int64))


def _narrow(values: Integers) -> Integers:
    """Return whole numbers in 32 bits where they fit."""
    fits = len(values) == 0 or int(values.max()) < 2**31
    return values.astype(np.int32 if fits else np.int64, copy=False)


def _runs(ascending: Integers) -> tuple[Integers, Integers]:
    """Return the values of a sorted array and how often each occurs."""
    starts = _starts(ascending)
    return ascending[starts], _narrow(np.diff(np.append(starts, len(ascending))))


def _starts(ascending: Integers) -> NDArray[np.intp]:
    """Return where each run of equal values in a sorted array begins."""
    return np.flatnonzero(np.concatenate([[True], ascending[1:] != ascending[:-1]]))
