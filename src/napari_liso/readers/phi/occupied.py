"""Counts held as events, shown as the images that they make.

One count in a cube of (frame, y, x) costs a few bytes here, an empty voxel
nothing; a long measurement thus opens without the memory of its full cube.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from napari_liso.readers._lazy import LazyCounts

__all__ = ["ChannelEvents", "EventCollector", "EventCounts", "add_to_cube", "merge_events"]

#: Parts of a cube that are put together one after the other, to need little memory.
_PARTS = 64
_FEW = 2**16

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class ChannelEvents:
    """Occupied voxels of one channel.

    Parameters
    ----------
    voxel
        Flat C-order index into (frame, y, x), strictly ascending; in 32 bits
        where that is enough.
    count
        Counts in each, at least 1; in as few bits as they need.
    """

    voxel: Integers
    count: Integers


def merge_events(voxel: Integers, count: Integers) -> ChannelEvents:
    """Sort events by voxel and add up those that share one."""
    voxel = _narrow(voxel, np.uint32)
    if np.any(voxel[1:] < voxel[:-1]):
        voxel, count = _sorted(voxel, count)
    if len(voxel) == 0:
        return ChannelEvents(voxel, count.astype(np.uint8))
    first = np.flatnonzero(np.concatenate([[True], voxel[1:] != voxel[:-1]]))
    total = np.add.reduceat(count, first, dtype=np.int64)
    occupied = total > 0
    return ChannelEvents(voxel[first][occupied], _narrow(total[occupied]))


def _sorted(voxel: Integers, count: Integers) -> tuple[Integers, Integers]:
    """Return events in the order of their voxels."""
    bits = int(count.max(initial=0)).bit_length()
    if int(voxel.max(initial=0)).bit_length() + bits > 64:
        order = np.argsort(voxel, kind="stable")
        return voxel[order], count[order]
    # Sorting both in one number takes a fraction of the time of sorting indices.
    key = voxel.astype(np.uint64)
    key <<= np.uint64(bits)
    key |= count.astype(np.uint64)
    key.sort()
    count = (key & np.uint64((1 << bits) - 1)).astype(np.int64)
    key >>= np.uint64(bits)
    return key.astype(voxel.dtype), count


def _narrow(values: Integers, least: DTypeLike = np.uint8) -> Integers:
    """Return whole numbers, none negative, in as few bits as they need, but not below `least`."""
    dtype = np.promote_types(np.min_scalar_type(int(values.max(initial=0))), least)
    return values.astype(dtype, copy=False)


def add_to_cube(cube: Integers, voxel: Integers, count: Integers) -> Integers:
    """Add events to a flat cube of counts; returns it, or a wider one where counts outgrow it."""
    place: Integers
    if 4 * len(voxel) > len(cube):
        added = np.bincount(voxel, count, len(cube))
        place = np.flatnonzero(added)
        total = cube[place] + added[place].astype(np.int64)
    else:
        events = merge_events(voxel, count)
        place = events.voxel
        total = cube[place] + events.count.astype(np.int64)
    wider = np.min_scalar_type(int(total.max(initial=0)))
    if wider.itemsize > cube.dtype.itemsize:
        cube = cube.astype(wider)
    cube[place] = total
    return cube


class EventCollector:
    """Puts events together by voxel, in about the memory of the occupied ones.

    Parameters
    ----------
    voxels
        Of the whole cube.
    """

    def __init__(self, voxels: int) -> None:
        self._edges = np.array([voxels * part // _PARTS for part in range(1, _PARTS)])
        empty = merge_events(np.zeros(0, np.uint32), np.zeros(0, np.uint8))
        self._parts: list[list[ChannelEvents]] = [[empty] for _ in range(_PARTS)]
        self._waiting = [0] * _PARTS

    def add(self, voxel: Integers, count: Integers) -> None:
        """Add events in any order; voxels may occur again."""
        events = merge_events(voxel, count)
        cuts = [0, *_places(events.voxel, self._edges).tolist(), len(events.voxel)]
        for part, (low, high) in enumerate(pairwise(cuts)):
            if high == low:
                continue
            # Copies, so that nothing keeps all the events of this call.
            piece = ChannelEvents(events.voxel[low:high].copy(), events.count[low:high].copy())
            self._parts[part].append(piece)
            self._waiting[part] += high - low
            if self._waiting[part] > max(_FEW, len(self._parts[part][0].voxel)):
                self._settle(part)

    def _settle(self, part: int) -> None:
        pieces = self._parts[part]
        self._parts[part] = [
            merge_events(
                np.concatenate([piece.voxel for piece in pieces]),
                np.concatenate([piece.count for piece in pieces]),
            )
        ]
        self._waiting[part] = 0

    def result(self) -> list[ChannelEvents]:
        """Return the events in parts, one after the other; the collector is empty afterwards."""
        for part in range(_PARTS):
            self._settle(part)
        parts = [part[0] for part in self._parts if len(part[0].voxel)]
        self._parts = []
        return parts


class EventCounts(LazyCounts):
    """Array of shape (channel, frame, y, x) that is made from events when indexed.

    Parameters
    ----------
    channels
        Events of each channel, or a list of parts that share no voxel.
    shape
        (frame, y, x).
    """

    reads_file = False

    def __init__(
        self,
        channels: Sequence[ChannelEvents | Sequence[ChannelEvents]],
        shape: tuple[int, int, int],
    ) -> None:
        self._channels = tuple(
            (channel,) if isinstance(channel, ChannelEvents) else tuple(channel)
            for channel in channels
        )
        frames, height, width = shape
        starts = np.arange(frames + 1) * (height * width)
        self._frames = [[_places(p.voxel, starts) for p in parts] for parts in self._channels]
        counts = (part.count for parts in self._channels for part in parts)
        largest = max((int(count.max(initial=0)) for count in counts), default=0)
        super().__init__(
            (len(self._channels), *shape), np.min_scalar_type(largest), self._from_events
        )

    def _from_events(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image."""
        height, width = self.shape[2:]
        image = np.zeros(height * width, self.dtype)
        for part, places in zip(self._channels[channel], self._frames[channel], strict=True):
            low, high = places[frame : frame + 2]
            if high > low:
                place = part.voxel[low:high].astype(np.int64) - frame * height * width
                image[place] = part.count[low:high]
        return image.reshape(height, width)


def _places(ascending: Integers, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the first places of a sorted list that are not below some values."""
    # In its own type: another one would widen a copy of the whole list.
    fits = values <= np.iinfo(ascending.dtype).max
    found = np.full(len(values), len(ascending), np.int64)
    found[fits] = np.searchsorted(ascending, values[fits].astype(ascending.dtype))
    return found
