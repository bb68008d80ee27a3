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
        order = np.argsort(voxel, kind="stable")
        voxel, count = voxel[order], count[order]
    if len(voxel) == 0:
        return ChannelEvents(voxel, count.astype(np.uint8))
    first = np.flatnonzero(np.concatenate([[True], voxel[1:] != voxel[:-1]]))
    total = np.add.reduceat(count, first, dtype=np.int64)
    occupied = total > 0
    return ChannelEvents(voxel[first][occupied], _narrow(total[occupied]))


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
        self._edges = [voxels * part // _PARTS for part in range(1, _PARTS)]
        empty = merge_events(np.zeros(0, np.uint32), np.zeros(0, np.uint8))
        self._parts: list[list[ChannelEvents]] = [[empty] for _ in range(_PARTS)]
        self._waiting = [0] * _PARTS

    def add(self, voxel: Integers, count: Integers) -> None:
        """Add events in any order; voxels may occur again."""
        events = merge_events(voxel, count)
        places = [_place(events.voxel, edge) for edge in self._edges]
        cuts = [0, *places, len(events.voxel)]
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

    def result(self) -> ChannelEvents:
        """Return the events; the collector is empty afterwards."""
        for part in range(_PARTS):
            self._settle(part)
        pieces = [part[0] for part in self._parts]
        self._parts = [[] for _ in range(_PARTS)]
        total = sum(len(piece.voxel) for piece in pieces)
        voxel = np.empty(total, np.result_type(*(piece.voxel for piece in pieces)))
        count = np.empty(total, np.result_type(*(piece.count for piece in pieces)))
        end = total
        while pieces:
            piece = pieces.pop()  # each is let go when it has its place
            start = end - len(piece.voxel)
            voxel[start:end], count[start:end] = piece.voxel, piece.count
            end = start
        return ChannelEvents(voxel, count)


class EventCounts(LazyCounts):
    """Array of shape (channel, frame, y, x) that is made from events when indexed.

    Parameters
    ----------
    channels
        Events of each channel.
    shape
        (frame, y, x).
    """

    def __init__(self, channels: Sequence[ChannelEvents], shape: tuple[int, int, int]) -> None:
        self._channels = tuple(channels)
        frames, height, width = shape
        self._frames = [
            [_place(events.voxel, frame * height * width) for frame in range(frames + 1)]
            for events in self._channels
        ]
        largest = max((int(c.count.max(initial=0)) for c in self._channels), default=0)
        super().__init__(
            (len(self._channels), *shape), np.min_scalar_type(largest), self._from_events
        )

    def _from_events(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image."""
        events = self._channels[channel]
        height, width = self.shape[2:]
        low, high = self._frames[channel][frame : frame + 2]
        image = np.zeros(height * width, self.dtype)
        place = events.voxel[low:high].astype(np.int64) - frame * height * width
        image[place] = events.count[low:high]
        return image.reshape(height, width)


def _place(ascending: Integers, value: int) -> int:
    """Return the first place of a sorted list that is not below a value."""
    # In its own type: another one would widen a copy of the whole list.
    if value > np.iinfo(ascending.dtype).max:
        return len(ascending)
    return int(np.searchsorted(ascending, np.array(value, ascending.dtype)))
