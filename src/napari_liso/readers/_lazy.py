"""Counts that are made when they are asked for, behind the face of an array.

A long measurement has more voxels than a computer has memory, yet a person looks
at one frame at a time. What is indexed is made, the rest is not.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

__all__ = ["ChannelStack", "LazyCounts", "as_counts", "channel_stack"]

#: Cubes up to this many bytes are handed out as plain arrays.
PLAIN_BYTES = 2**28
#: Images kept after they were made, so that a viewer may ask twice.
_KEPT_BYTES = 2**26


class LazyCounts:
    """Array of shape (channel, frame, y, x) whose images are made when indexed.

    Supports what an array needs for slicing and display: ``shape``, ``ndim``,
    ``dtype``, ``size``, indexing by integers, slices and an ellipsis, and
    conversion by ``numpy.asarray``.

    Parameters
    ----------
    shape
        (channel, frame, y, x).
    dtype
        Wide enough for every count.
    image
        Function of (channel, frame) that returns the (y, x) image.
    sums
        Images with all frames summed, shape (channel, y, x), where they are
        known already; else they are made on demand.
    """

    ndim = 4
    #: Whether images are read from a file when they are made.
    reads_file = True
    #: Is called before that, and may raise an exception.
    before_reading: Callable[[], None] | None = None

    def __init__(
        self,
        shape: tuple[int, int, int, int],
        dtype: DTypeLike,
        image: Callable[[int, int], NDArray[Any]],
        sums: NDArray[Any] | None = None,
    ) -> None:
        self.shape = shape
        self.dtype = np.dtype(dtype)
        self._make = image
        self._sums = sums
        self._kept: OrderedDict[tuple[int, int], NDArray[Any]] = OrderedDict()
        self._lock = Lock()

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

    def __copy__(self) -> LazyCounts:
        return self  # nothing in it can be changed

    def __deepcopy__(self, memo: dict[int, Any]) -> LazyCounts:
        return self

    def __reduce__(self) -> Any:
        raise TypeError(
            "lazy counts are made from their file and cannot be pickled; numpy.asarray makes them "
            "a plain array"
        )

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("lazy counts cannot become a plain array without a copy")
        full = self[...]
        return full if dtype is None else full.astype(dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        channel, frame, *image = _full_key(key)
        if isinstance(channel, slice):
            numbers = range(self.shape[0])[channel]
            if not len(numbers):
                return np.zeros(self.shape, self.dtype)[(channel, frame, *image)]
            return np.stack([self[(number, frame, *image)] for number in numbers])
        channel = range(self.shape[0])[channel]
        frames = range(self.shape[1])
        if isinstance(frame, slice):
            chosen = [self.image(channel, number)[tuple(image)] for number in frames[frame]]
            if chosen:
                return np.stack(chosen)
            return np.zeros(self.shape[1:], self.dtype)[(frame, *image)]
        return self.image(channel, frames[frame])[tuple(image)].copy()

    def image(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image; the array may be shared, so leave it as it is."""
        with self._lock:
            found = self._kept.get((channel, frame))
            if found is not None:
                self._kept.move_to_end((channel, frame))
                return found
        self._check_file()
        made = np.asarray(self._make(channel, frame), self.dtype)
        with self._lock:
            self._kept[channel, frame] = made
            while len(self._kept) > 1 and len(self._kept) * made.nbytes > _KEPT_BYTES:
                self._kept.popitem(last=False)
        return made

    def frame_sum(self, channel: int, frames: range) -> NDArray[Any]:
        """Return the (y, x) sum of some frames in 64 bits, one frame in memory at a time."""
        wide = np.int64 if self.dtype.kind in "iu" else np.float64
        if self._sums is not None and frames == range(self.shape[1]):
            return np.array(self._sums[channel], wide)
        self._check_file()
        total: NDArray[Any] = np.zeros(self.shape[2:], wide)
        for frame in frames:
            total += self._make(channel, frame).astype(wide, copy=False)
        return total

    def _check_file(self) -> None:
        if self.reads_file and self.before_reading is not None:
            self.before_reading()


class ChannelStack:
    """The (frame, y, x) stack of one channel of lazy counts, made when indexed.

    A viewer slices it frame by frame like an array.

    Parameters
    ----------
    counts
        Of all channels.
    channel
        Number of the one.
    """

    ndim = 3

    def __init__(self, counts: LazyCounts, channel: int) -> None:
        self._counts = counts
        self._channel = range(counts.shape[0])[channel]
        self.shape = counts.shape[1:]
        self.dtype = counts.dtype

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self) -> int:
        """Bytes of the full array, not those held."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("lazy counts cannot become a plain array without a copy")
        full = self[...]
        return full if dtype is None else full.astype(dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        rest = key if isinstance(key, tuple) else (key,)
        return self._counts[(self._channel, *rest)]

    def frame_sum(self) -> NDArray[Any]:
        """Return the (y, x) sum of all frames in 64 bits, without making the stack."""
        return self._counts.frame_sum(self._channel, range(self.shape[0]))


def channel_stack(counts: Any, channel: int) -> ChannelStack | NDArray[Any]:
    """Return the (frame, y, x) stack of one channel: lazy if the counts are lazy."""
    if isinstance(counts, LazyCounts):
        return ChannelStack(counts, channel)
    return np.asarray(counts[channel])


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


def as_counts(counts: LazyCounts) -> LazyCounts | NDArray[Any]:
    """Return a plain array where that is small, the lazy counts where it is not."""
    return np.asarray(counts) if counts.nbytes <= PLAIN_BYTES else counts
