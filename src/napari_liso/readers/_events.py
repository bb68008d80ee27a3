"""Counts held as events, shown as the images that they make.

One count in a cube of (frame, y, x) costs a few bytes here, an empty voxel
nothing; a long measurement thus opens without the memory of its full cube.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["ChannelEvents", "EventCounts", "as_counts", "merge_events"]

#: Cubes up to this many bytes are handed out as plain arrays.
_PLAIN_BYTES = 2**28

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


class EventCounts:
    """Array of shape (channel, frame, y, x) that is made from events when indexed.

    Supports what an array needs for slicing and display: ``shape``, ``ndim``,
    ``dtype``, ``size``, indexing by integers, slices and an ellipsis, and
    conversion by ``numpy.asarray``.

    Parameters
    ----------
    channels
        Events of each channel.
    shape
        (frame, y, x).
    """

    def __init__(self, channels: Sequence[ChannelEvents], shape: tuple[int, int, int]) -> None:
        self._channels = tuple(channels)
        self.shape = (len(self._channels), *shape)
        self.ndim = 4
        largest = max((int(c.count.max(initial=0)) for c in self._channels), default=0)
        self.dtype = np.min_scalar_type(largest)

    @property
    def size(self) -> int:
        """Number of voxels over all channels."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self) -> int:
        """Bytes of the full array, not those held."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("an array of events cannot become a plain array without a copy")
        full = self[...]
        return full if dtype is None else full.astype(dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        channel, frame, *image = _full_key(key)
        if isinstance(channel, slice):
            numbers = range(self.shape[0])[channel]
            if not len(numbers):
                return np.zeros(self.shape, self.dtype)[(channel, frame, *image)]
            return np.stack([self[(number, frame, *image)] for number in numbers])
        frames = range(self.shape[1])
        if isinstance(frame, slice):
            chosen = [self._image(channel, number)[tuple(image)] for number in frames[frame]]
            if chosen:
                return np.stack(chosen)
            return np.zeros(self.shape[1:], self.dtype)[(frame, *image)]
        return self._image(channel, frames[frame])[tuple(image)]

    def _image(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image."""
        events = self._channels[channel]
        height, width = self.shape[2:]
        start = frame * height * width
        low, high = np.searchsorted(events.voxel, [start, start + height * width])
        image = np.zeros(height * width, self.dtype)
        image[events.voxel[low:high].astype(np.int64) - start] = events.count[low:high]
        return image.reshape(height, width)


def _full_key(key: Any) -> list[int | slice]:
    """Spell out an index: four entries, each an integer or a slice."""
    parts = list(key) if isinstance(key, tuple) else [key]
    gaps = [place for place, part in enumerate(parts) if part is Ellipsis]
    if len(gaps) > 1 or len(parts) - len(gaps) > 4:
        raise IndexError(f"too many indices for (channel, frame, y, x): {key}")
    if not gaps:
        parts.append(Ellipsis)
    gap = gaps[0] if gaps else len(parts) - 1
    parts[gap : gap + 1] = [slice(None)] * (5 - len(parts))
    full: list[int | slice] = []
    for part in parts:
        if isinstance(part, slice):
            full.append(part)
        elif isinstance(part, (int, np.integer)) and not isinstance(part, bool):
            full.append(int(part))
        else:
            raise IndexError(
                f"counts of (channel, frame, y, x) take integers and slices, not {part!r}; "
                "make a plain array with numpy.asarray for more"
            )
    return full


def as_counts(counts: EventCounts) -> EventCounts | NDArray[Any]:
    """Return a plain array where that is small, the events where it is not."""
    return np.asarray(counts) if counts.nbytes <= _PLAIN_BYTES else counts
