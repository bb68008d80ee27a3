"""Frames that lie beside each other because the sample moved, brought back by whole pixels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from napari_liso.counting.drift_search import Drift, find_drift, measure_drift

__all__ = [
    "AlignedStack",
    "Drift",
    "align",
    "common_area",
    "covered",
    "find_drift",
    "measure_drift",
]

#: Pulses of shifted frames up to this many bytes are a plain array.
_PLAIN_BYTES = 2**26

Shifts = NDArray[np.int64]


class AlignedStack:
    """Frames shifted by whole pixels, made when indexed: no copy of the stack is kept.

    Supports what an array needs for slicing and display: ``shape``, ``ndim``,
    ``dtype``, ``size``, ``len``, indexing by integers, slices and an ellipsis,
    and conversion by ``numpy.asarray``.

    Parameters
    ----------
    frames
        (frame, y, x), an array or an array-like that is read frame by frame.
    shifts
        (frame, 2), of every frame of `frames`.
    chosen
        Numbers of the frames that the stack is made of.
    """

    ndim = 3

    def __init__(self, frames: Any, shifts: Shifts, chosen: range) -> None:
        self._frames = frames
        self._shifts = shifts
        self._chosen = chosen
        self.shape = (len(chosen), *(int(n) for n in frames.shape[1:]))
        self.dtype = np.dtype(frames.dtype)

    @property
    def size(self) -> int:
        """Number of voxels."""
        return int(np.prod(self.shape, dtype=object))

    @property
    def nbytes(self) -> int:
        """Bytes of the full array; none of them are held."""
        return self.size * self.dtype.itemsize

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> NDArray[Any]:
        if copy is False:
            raise ValueError("shifted frames cannot become a plain array without a copy")
        full = self[:]
        return full if dtype is None else full.astype(dtype)

    def __getitem__(self, key: Any) -> NDArray[Any]:
        first, *rest = _full_key(key)
        numbers = self._chosen[first]
        if isinstance(numbers, range):
            made = np.zeros((len(numbers), *self.shape[1:]), self.dtype)
            for place, number in enumerate(numbers):
                self._paste(number, made[place])
            return made[(slice(None), *rest)]
        image = np.zeros(self.shape[1:], self.dtype)
        self._paste(numbers, image)
        return image[tuple(rest)]

    def frame_sum(self) -> NDArray[Any]:
        """Return the (y, x) sum of all frames in 64 bits, one frame in memory at a time."""
        total = np.zeros(self.shape[1:], np.int64 if self.dtype.kind in "iub" else np.float64)
        for number in self._chosen:
            self._paste(number, total)
        return total

    def _paste(self, number: int, image: NDArray[Any]) -> None:
        """Add a frame to an image, at its place."""
        to, of = _overlap(self.shape[1:], self._shifts[number])
        part = np.asarray(self._frames[number])[of]
        np.add(image[to], part, out=image[to], casting="unsafe")


def align(frames: Any, shifts: ArrayLike | None, keep: slice | None = None) -> Any:
    """Shift frames by whole pixels; counts stay what they are.

    Parameters
    ----------
    frames
        (frame, y, x), an array or an array-like with ``shape``, ``dtype`` and
        ``[i]``.
    shifts
        Whole pixels (dy, dx) by which each frame is moved, (frame, 2), as from
        `find_drift`; None: none.
    keep
        The frames of the result; None: all.

    Returns
    -------
    array or AlignedStack
        (frame, y, x), of the same dtype: ``result[f, y, x]`` is
        ``frames[f, y - dy, x - dx]``, and 0 where the frame does not reach
        (`covered` tells where). A plain array for a plain array, which may be a
        view of it; else made when it is indexed.

    Raises
    ------
    ValueError
        If the shifts are not whole numbers, one pair a frame, or no frame is kept.

    Examples
    --------
    >>> align(np.array([[[1, 2], [3, 4]]]), [(0, 1)]).tolist()
    [[[0, 1], [0, 3]]]
    """
    if not hasattr(frames, "shape"):
        frames = np.asarray(frames)
    if len(frames.shape) != 3:
        raise ValueError(f"frames must be (frame, y, x), got shape {tuple(frames.shape)}")
    count = int(frames.shape[0])
    chosen = range(count)[slice(None) if keep is None else keep]
    if not len(chosen):
        raise ValueError(f"{keep} keeps none of the {count} frames")
    moved = _checked_shifts(shifts, count)
    if isinstance(frames, np.ndarray):
        if not moved[chosen].any():
            return frames[chosen.start : chosen.stop : chosen.step]
        return AlignedStack(frames, moved, chosen)[:]
    if len(chosen) == count and chosen.step == 1 and not moved.any():
        return frames
    return AlignedStack(frames, moved, chosen)


def covered(shape: tuple[int, int, int], shifts: ArrayLike | None, pulses: ArrayLike) -> Any:
    """Pulses behind every entry of shifted frames: 0 where a frame does not reach.

    Parameters
    ----------
    shape
        (frame, y, x) of the frames.
    shifts
        As for `align`.
    pulses
        Primary-ion pulses, broadcastable to `shape`.

    Returns
    -------
    array or AlignedStack
        Of `shape`; large ones are made when they are indexed, and without shifts
        it is a read-only view.

    Raises
    ------
    ValueError
        If the pulses do not fit the shape, or the shifts are no pairs of whole
        numbers.
    """
    array = np.asarray(pulses)
    try:
        every = np.broadcast_to(array, shape)
    except ValueError:
        raise ValueError(f"pulses of shape {array.shape} do not fit frames of {shape}") from None
    moved = _checked_shifts(shifts, shape[0])
    if not moved.any():
        return every
    stack = AlignedStack(every, moved, range(shape[0]))
    return stack if stack.nbytes > _PLAIN_BYTES else stack[:]


def common_area(
    shape: tuple[int, ...], shifts: ArrayLike | None, keep: slice | None = None
) -> NDArray[np.bool_]:
    """Return (y, x) of the pixels that every kept frame reaches; shape and shifts of all."""
    moved = _checked_shifts(shifts, shape[0])[slice(None) if keep is None else keep]
    inside = np.zeros(shape[1:], dtype=bool)
    low, high = (np.zeros(2, np.int64),) * 2
    if len(moved):
        low, high = moved.max(axis=0).clip(min=0), moved.min(axis=0).clip(max=0)
    rows, columns = (slice(int(a), max(0, n + int(b))) for a, b, n in
                     zip(low, high, shape[1:], strict=True))  # fmt: skip
    inside[rows, columns] = True
    return inside


def _overlap(
    image: tuple[int, ...], shift: NDArray[np.int64]
) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return where a shifted frame lies in the image, and which part of the frame that is."""
    to, of = [], []
    for length, moved in zip(image, shift.tolist(), strict=True):
        start, stop = min(length, max(0, moved)), max(0, min(length, length + moved))
        stop = max(start, stop)
        to.append(slice(start, stop))
        of.append(slice(start - moved, stop - moved) if stop > start else slice(0, 0))
    return tuple(to), tuple(of)


def _checked_shifts(shifts: ArrayLike | None, count: int) -> Shifts:
    if shifts is None:
        return np.zeros((count, 2), np.int64)
    array = np.asarray(shifts)
    if array.shape != (count, 2):
        raise ValueError(
            f"{count} frames need {count} shifts (dy, dx), got an array of shape {array.shape}"
        )
    if array.dtype.kind not in "iu":
        if array.dtype.kind != "f" or not np.all(array == np.rint(array)):
            raise ValueError("shifts must be whole pixels: counts are never interpolated")
        array = array.astype(np.int64)
    return array.astype(np.int64, copy=False)


def _full_key(key: Any) -> list[Any]:
    """Spell out an index of (frame, y, x)."""
    parts = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in [part for part in parts if not isinstance(part, np.ndarray)]:
        gap = next(i for i, part in enumerate(parts) if part is Ellipsis)
        parts[gap : gap + 1] = [slice(None)] * (4 - len(parts))
    if len(parts) > 3:
        raise IndexError(f"too many indices for (frame, y, x): {key}")
    if not isinstance(parts[0], (int, np.integer, slice)):
        raise IndexError(f"frames take integers and slices, not {parts[0]!r}")
    return parts
