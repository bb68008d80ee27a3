"""Counts held as events, shown as the images that they make.

One count in a cube of (frame, y, x) costs a few bytes here, an empty voxel
nothing; a long measurement thus opens without the memory of its full cube.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.readers._lazy import LazyCounts

__all__ = ["ChannelEvents", "EventCounts", "merge_events"]

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class ChannelEvents:
    """Occupied voxels of one channel.

    Parameters
    ----------
    voxel
        Flat C-order index into (frame, y, x), strictly ascending.
    count
        Counts in each, at least 1.
    """

    voxel: Integers
    count: Integers


def merge_events(voxel: Integers, count: Integers) -> ChannelEvents:
    """Sort events by voxel and add up those that share one."""
    order = np.argsort(voxel, kind="stable")
    voxel, count = voxel[order], count[order].astype(np.int64)
    if len(voxel) == 0:
        return ChannelEvents(voxel, count)
    first = np.flatnonzero(np.concatenate([[True], voxel[1:] != voxel[:-1]]))
    total = np.add.reduceat(count, first)
    occupied = total > 0
    return ChannelEvents(voxel[first][occupied], total[occupied])


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
        largest = max((int(c.count.max(initial=0)) for c in self._channels), default=0)
        super().__init__(
            (len(self._channels), *shape), np.min_scalar_type(largest), self._from_events
        )

    def _from_events(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image."""
        events = self._channels[channel]
        height, width = self.shape[2:]
        start = frame * height * width
        low, high = np.searchsorted(events.voxel, [start, start + height * width])
        image = np.zeros(height * width, self.dtype)
        image[events.voxel[low:high].astype(np.int64) - start] = events.count[low:high]
        return image.reshape(height, width)
