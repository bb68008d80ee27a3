"""Images out of arrays that are stored in chunks, each chunk inflated as rarely as can be.

How an array is cut into chunks is the writer's choice: often a chunk holds one
pixel block of every peak, or every frame. Reading one image then inflates the
others too. So what had to be inflated is kept until it has been looked at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers._files import check_sum
from napari_liso.readers._lazy import PLAIN_BYTES, LazyCounts
from napari_liso.readers._progress import report

__all__ = ["Axes", "Chunked", "Values", "chunked_counts", "look_at_values", "regions"]

#: Bytes of an array that are inflated and kept at a time.
_BLOCK = 2**27
#: Bytes of an array that are looked at in one go.
_REGION = 2**26
_SLAB = 2**21  # elements at a time, where temporary arrays are made
_SUMS = 2**28  # bytes of sum images kept
#: Counts above this are damage, and their sums would not fit 64 bits.
_LARGEST = 2**48

Read = Callable[[tuple[slice, ...]], NDArray[Any]]


@dataclass(frozen=True)
class Axes:
    """Which axis of an array is what.

    Parameters
    ----------
    y, x
        Axes of the image.
    channel
        Axis of the peaks, or None where there is one.
    frames
        Axes of the frames; with several, the last changes fastest.
    """

    y: int
    x: int
    channel: int | None = None
    frames: tuple[int, ...] = ()

    @property
    def leading(self) -> tuple[int, ...]:
        """The axes that choose an image: channel, then frames."""
        return (*(() if self.channel is None else (self.channel,)), *self.frames)

    def shape(self, stored: Sequence[int]) -> tuple[int, int, int, int]:
        """Return (channel, frame, y, x) of an array of the shape `stored`."""
        channels = 1 if self.channel is None else stored[self.channel]
        frames = math.prod(stored[axis] for axis in self.frames)
        return channels, frames, stored[self.y], stored[self.x]


@dataclass(frozen=True)
class Values:
    """What a look at every value of an array found.

    Parameters
    ----------
    whole
        Whether all are whole numbers, none negative.
    largest
        Of them.
    """

    whole: bool
    largest: float

    def dtype(self, stored: np.dtype[Any]) -> np.dtype[Any]:
        """Return the type that holds the values: unsigned for counts."""
        if not self.whole or stored.kind == "u":
            return stored.newbyteorder("=")
        return np.dtype(np.min_scalar_type(int(self.largest)))

    def counts_are(self, stored: np.dtype[Any]) -> str:
        """Return ``"raw"``, or what the values are instead of counts."""
        if self.whole:
            return "raw"
        return (
            f"not counts: {stored.newbyteorder('=')} values that are negative, missing or no "
            "whole numbers (corrected or scaled)"
        )


def regions(
    shape: Sequence[int], chunks: Sequence[int], limit: int
) -> Iterator[tuple[slice, ...]]:
    """Cut an array into pieces of whole chunks, of up to `limit` elements where chunks allow."""
    steps = [min(chunk, length) for chunk, length in zip(chunks, shape, strict=True)]
    for axis in reversed(range(len(shape))):
        others = math.prod(steps) // steps[axis]
        several = max(1, limit // max(1, others * steps[axis]))
        steps[axis] = min(shape[axis], steps[axis] * several)
    starts = [range(0, length, step) for length, step in zip(shape, steps, strict=True)]
    for corner in product(*starts):
        yield tuple(
            slice(start, min(start + step, length))
            for start, step, length in zip(corner, steps, shape, strict=True)
        )


def look_at_values(
    path: Any,
    name: str,
    shape: Sequence[int],
    chunks: Sequence[int],
    read: Read,
    parts: Iterator[tuple[slice, ...]] | None = None,
) -> Values:
    """Read every value of an array once.

    Parameters
    ----------
    path, name
        File, and the array in it, for messages.
    shape, chunks
        Of the array.
    read
        Returns a part of it.
    parts
        To be looked at, where not all of it is stored.

    Raises
    ------
    FormatError
        If a whole number is negative or far too large.
    """
    whole, largest = True, 0.0
    for region in regions(shape, chunks, _REGION // 8) if parts is None else parts:
        flat = read(region).ravel()
        for start in range(0, len(flat), _SLAB):
            part = flat[start : start + _SLAB]
            if part.dtype.kind == "f":
                with np.errstate(invalid="ignore"):
                    whole = whole and bool(
                        np.all((part == np.rint(part)) & (part >= 0) & (part <= _LARGEST))
                    )
            elif part.dtype.kind == "i" and part.min(initial=0) < 0:
                raise FormatError(path, f"{name} holds {part.min()}; counts are never negative")
            elif part.max(initial=0) > _LARGEST:
                raise FormatError(path, f"{name} holds {part.max()}; no count is as large")
            if whole:
                largest = max(largest, float(part.max(initial=0)))
    if whole:
        check_sum(path, name, largest, math.prod(shape))
    return Values(whole, largest if whole else math.nan)


class Chunked:
    """An array in a file, read image by image.

    Parameters
    ----------
    shape, chunks
        Of the array as stored; chunks None where it is stored in one piece.
    itemsize
        Bytes an element.
    axes
        What its axes are.
    read
        Returns a part of it, from a slice for each axis.
    """

    def __init__(
        self,
        shape: Sequence[int],
        chunks: Sequence[int] | None,
        itemsize: int,
        axes: Axes,
        read: Read,
    ) -> None:
        self.axes = axes
        self.shape = axes.shape(shape)
        self._stored = tuple(shape)
        self._read = read
        self._lengths = [shape[axis] for axis in axes.leading]
        self._chunks = [1 if chunks is None else chunks[axis] for axis in axes.leading]
        self._steps = self._fitting_steps(itemsize)
        self._lock = Lock()
        self._kept: tuple[tuple[tuple[int, int], ...], NDArray[Any]] | None = None

    def _fitting_steps(self, itemsize: int) -> list[int]:
        """Return how many entries of each leading axis are read together."""
        steps = [min(chunk, n) for chunk, n in zip(self._chunks, self._lengths, strict=True)]
        plane = self.shape[2] * self.shape[3] * itemsize
        # Frames are given up before channels: channels are looked at together.
        for place in reversed(range(len(steps))):
            others = math.prod(steps) // max(1, steps[place])
            steps[place] = max(1, min(steps[place], _BLOCK // max(1, plane * others)))
        return steps

    def channels_with(self, channel: int) -> range:
        """Return the channels that are inflated along with one."""
        if self.axes.channel is None:
            return range(1)
        return range(*self._bounds(0, channel))

    def _bounds(self, place: int, index: int) -> tuple[int, int]:
        """Return the part of a leading axis that is read along with an entry."""
        chunk, step, length = self._chunks[place], self._steps[place], self._lengths[place]
        begin = index // chunk * chunk
        start = begin + (index - begin) // step * step
        return start, min(start + step, begin + chunk, length)

    def image(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image; it may be a view of what is kept."""
        index = [] if self.axes.channel is None else [channel]
        rest = [self._stored[axis] for axis in self.axes.frames]
        index += [int(i) for i in np.unravel_index(frame, rest)] if rest else []
        bounds = tuple(self._bounds(place, i) for place, i in enumerate(index))
        with self._lock:
            if self._kept is None or self._kept[0] != bounds:
                self._kept = None  # before the next is made: one at a time in memory
                self._kept = (bounds, self._block(bounds))
            block = self._kept[1]
        inside = tuple(i - start for i, (start, _) in zip(index, bounds, strict=True))
        return np.asarray(block[inside])

    def _block(self, bounds: tuple[tuple[int, int], ...]) -> NDArray[Any]:
        """Read a block as (leading axes, y, x)."""
        selection = [slice(0, length) for length in self._stored]
        for axis, (start, stop) in zip(self.axes.leading, bounds, strict=True):
            selection[axis] = slice(start, stop)
        order = (*self.axes.leading, self.axes.y, self.axes.x)
        return np.ascontiguousarray(self._read(tuple(selection)).transpose(order))


class _ChunkedCounts(LazyCounts):
    """Counts whose channels are summed together where they are inflated together."""

    def __init__(self, source: Chunked, channels: Sequence[int], dtype: np.dtype[Any]) -> None:
        self._source = source
        self._numbers = list(channels)
        shape = (len(self._numbers), *source.shape[1:])

        def image(channel: int, frame: int) -> NDArray[Any]:
            # A copy: a view would keep the whole block in memory.
            return source.image(self._numbers[channel], frame).astype(dtype)

        super().__init__(shape, dtype, image)
        self._totals: dict[int, NDArray[Any]] = {}

    def frame_sum(self, channel: int, frames: range) -> NDArray[Any]:
        """Return the (y, x) sum of some frames in 64 bits."""
        if frames != range(self.shape[1]):
            return super().frame_sum(channel, frames)
        if channel not in self._totals:
            self._check_file()
            together = self._source.channels_with(self._numbers[channel])
            group = [n for n, number in enumerate(self._numbers) if number in together]
            fit = max(1, _SUMS // (8 * self.shape[2] * self.shape[3]))
            group = [channel, *(n for n in group if n != channel)][:fit]
            wide = np.int64 if self.dtype.kind in "iu" else np.float64
            totals = {n: np.zeros(self.shape[2:], wide) for n in group}
            for frame in frames:
                report(frame / len(frames))
                for n, total in totals.items():
                    total += self._source.image(self._numbers[n], frame).astype(wide)
            self._totals = totals
        return np.array(self._totals[channel])


def chunked_counts(
    source: Chunked, dtype: np.dtype[Any], channels: Sequence[int] | None = None
) -> LazyCounts | NDArray[Any]:
    """Return counts (channel, frame, y, x): a plain array where small, else lazy.

    Parameters
    ----------
    source
        Where images come from.
    dtype
        Of the counts.
    channels
        Numbers of the channels to take; None takes all.
    """
    counts = _ChunkedCounts(
        source, range(source.shape[0]) if channels is None else channels, dtype
    )
    if counts.nbytes > PLAIN_BYTES:
        return counts
    plain = np.empty(counts.shape, dtype)
    # Together what is inflated together.
    groups: dict[range, list[int]] = {}
    for n, number in enumerate(counts._numbers):
        groups.setdefault(source.channels_with(number), []).append(n)
    for group in groups.values():
        for frame in range(counts.shape[1]):
            report(frame / counts.shape[1])
            for n in group:
                plain[n, frame] = source.image(counts._numbers[n], frame)
    return plain
