"""Counts summed over frames and pixels: the only way in which they are pooled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.dead_time import JOINED_PULSES, before_dead_time, is_saturated
from napari_liso.counting.intervals import row_blocks

__all__ = ["IonSums", "Sum", "bin_sum", "sum_ions", "window_sum"]

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]
_Pool = Callable[[NDArray[Any]], NDArray[Any]]

#: Above the first, floats skip whole numbers; above the second, sums would overflow.
_LIMIT_FLOAT, _LIMIT = 2**53, 2**56


@dataclass(frozen=True, eq=False)
class Sum:
    """Summed counts of one isotope.

    Parameters
    ----------
    counts
        As detected, whole numbers.
    corrected
        Ions and their variance after the dead-time correction; None where there is
        none: then the counts are Poisson's, with a variance equal to the mean.
    """

    counts: Counts
    corrected: tuple[Floats, Floats] | None = None

    @property
    def ions(self) -> Floats:
        """Ions after the dead-time correction, the counts as floats where there is none."""
        return self.counts.astype(np.float64) if self.corrected is None else self.corrected[0]

    @property
    def variance(self) -> Floats:
        """Variance of the ions."""
        return self.counts.astype(np.float64) if self.corrected is None else self.corrected[1]

    def part(self, block: Any) -> Sum:
        """Return the entries that an index chooses."""
        if self.corrected is None:
            return Sum(self.counts[block])
        ions, variance = self.corrected
        return Sum(self.counts[block], (ions[block], variance[block]))

    def pooled(self, pool: _Pool) -> Sum:
        """Return further sums of these."""
        counts = pool(self.counts)
        if self.corrected is None:
            return Sum(counts)
        ions, variance = (pool(part) for part in self.corrected)
        # Running sums of broken numbers leave rounding errors where there is nothing.
        nothing = counts == 0
        ions[nothing] = variance[nothing] = 0.0
        return Sum(counts, (ions, variance))


@dataclass(frozen=True, eq=False)
class IonSums:
    """Summed counts of a pair of isotopes.

    Parameters
    ----------
    tracer, other
        Sums of either isotope, arrays of one shape: (y, x) or (entries,).
    pixels
        Usable pixels behind each entry, int64; 0 where all are masked (saturated,
        or not measured). May be a read-only view.
    """

    tracer: Sum
    other: Sum
    pixels: Counts

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of every array."""
        return self.tracer.counts.shape

    @property
    def counts(self) -> Counts:
        """Detected counts of both isotopes."""
        return self.tracer.counts + self.other.counts

    def pooled(self, pool: _Pool) -> IonSums:
        """Return further sums of these by a function that sums an array."""
        return IonSums(self.tracer.pooled(pool), self.other.pooled(pool), pool(self.pixels))

    def binned(self, bin: int) -> IonSums:
        """Sum blocks of `bin` by `bin` pixels; those at the far edges may be smaller."""
        check_pixels("bin", bin)
        return self if bin == 1 else self.pooled(lambda image: bin_sum(image, int(bin)))

    def windowed(self, size: int) -> IonSums:
        """Sum a sliding square about each pixel, what of it is inside the image.

        Parameters
        ----------
        size
            Side of the square in pixels, odd. Neighbouring sums share counts, so
            that their errors are not independent.
        """
        check_window(size)
        return self if size == 1 else self.pooled(lambda image: window_sum(image, int(size)))

    def grouped(self, index: ArrayLike, size: int | None = None) -> IonSums:
        """Sum the pixels of each group, such as a region or a bin of distance.

        Parameters
        ----------
        index
            Group of each pixel, whole numbers of the shape of these sums; negative
            for pixels of none.
        size
            Number of groups; None: up to the largest index.

        Returns
        -------
        IonSums
            Of shape (size,).

        Raises
        ------
        ValueError
            If the shape differs, or an index is not whole or not below `size`.
        """
        groups = np.asarray(index)
        if groups.dtype.kind not in "iu":
            raise ValueError(f"groups must be whole numbers, got an array of {groups.dtype}")
        if groups.shape != self.shape:
            raise ValueError(f"groups have shape {groups.shape}, the counts {self.shape}")
        largest = int(groups.max()) if groups.size else -1
        length = largest + 1 if size is None else int(size)
        if largest >= length:
            raise ValueError(f"a pixel is of group {largest}, there are {length} groups")
        chosen = groups >= 0
        where = groups[chosen].astype(np.intp)

        def pool(image: NDArray[Any]) -> NDArray[Any]:
            if image.dtype.kind == "f":
                return np.bincount(where, image[chosen], minlength=length)[:length]
            total = np.zeros(length, dtype=np.int64)
            np.add.at(total, where, image[chosen])
            return total

        return self.pooled(pool)


def sum_ions(n6: Any, n7: Any, pulses: ArrayLike | None = None) -> IonSums:
    r"""Sum the frames of a pair of isotopes, corrected for dead time where it can be.

    Parameters
    ----------
    n6, n7
        Counts of the two isotopes, (y, x) or (frame, y, x), whole numbers. An
        array-like with ``shape``, ``dtype`` and indexing is read frame by frame.
    pulses
        Primary-ion pulses behind each entry of the counts, broadcastable to
        their shape; 0 where nothing was measured. None leaves out the dead-time
        correction.

    Returns
    -------
    IonSums
        Of shape (y, x). Saturated pixels (`is_saturated`) and those without
        pulses hold 0.

    Raises
    ------
    ValueError
        If counts are negative or not whole, shapes differ, or there are counts
        without pulses.

    Notes
    -----
    Dead time is corrected entry by entry before anything is summed
    (`before_dead_time`), as the mean of a curved function is not the function
    of the mean: 0.2 and 0.8 ions a pulse together read as 0.456, not as 0.5.

    Of an entry of one pulse nothing can be corrected: it is 0 or 1. Where an
    entry has fewer than `JOINED_PULSES` pulses, consecutive frames of the pixel are
    joined until they have as many, before the correction. That takes the rate
    as steady over these few frames: if it differs by a relative :math:`\epsilon`
    among them, ions are too few by about :math:`\mu\epsilon^2/2` of themselves.
    """
    light, heavy = _Stack(n6, "n6"), _Stack(n7, "n7")
    if light.given != heavy.given:
        raise ValueError(f"n6 {light.given} and n7 {heavy.given} must have the same shape")
    if pulses is None:
        return IonSums(
            Sum(light.total()), Sum(heavy.total()), np.broadcast_to(np.int64(1), light.image)
        )
    return _without_dead_time(light, heavy, _Pulses(pulses, light))


class _Stack:
    """Counts as (frame, y, x), checked and made integers when a frame is asked for."""

    def __init__(self, counts: Any, name: str) -> None:
        _refuse_masked(counts, name)
        is_array = all(hasattr(counts, a) for a in ("shape", "dtype", "__getitem__"))
        self.counts = counts if is_array else np.asarray(counts)
        self.name = name
        self.given = tuple(int(n) for n in self.counts.shape)
        self.dtype = np.dtype(self.counts.dtype)
        if self.dtype.kind not in "uif":
            raise ValueError(f"{name} must be counts, got an array of {self.dtype}")
        if len(self.given) not in (2, 3):
            raise ValueError(f"{name} must be (y, x) or (frame, y, x), got shape {self.given}")
        if 0 in self.given:
            raise ValueError(f"{name} is empty: shape {self.given}")
        self.frames = self.given[0] if len(self.given) == 3 else 1
        self.image = self.given[-2:]

    def frame(self, number: int) -> NDArray[Any]:
        """Return one image of whole numbers, not to be changed."""
        array = np.asarray(self.counts[number] if len(self.given) == 3 else self.counts[...])
        if array.shape != self.image:
            raise ValueError(
                f"frame {number} of {self.name} has shape {array.shape} instead of {self.image}"
            )
        if array.dtype.kind == "f":
            return _whole(array, self.name)
        if array.dtype.kind != "u" and array.min() < 0:
            raise ValueError(f"{self.name} holds negative counts ({array.min()})")
        if array.dtype.itemsize == 8 and array.max() >= _LIMIT:
            raise ValueError(f"{self.name} holds {array.max()}, which is no number of ions")
        return array

    def total(self) -> Counts:
        """Return the sum of the frames, read one at a time."""
        total = self.frame(0).astype(np.int64)
        for number in range(1, self.frames):
            np.add(total, self.frame(number), out=total, casting="unsafe")
        return total


def _refuse_masked(array: Any, name: str) -> None:
    """Refuse a mask that would be lost: what it hides would be counted."""
    if isinstance(array, np.ma.MaskedArray) and np.ma.is_masked(array):
        raise ValueError(
            f"{name} is a masked array: fill what it hides with 0 in both isotopes "
            "(n.filled(0)), or give 0 pulses there"
        )


def _whole(array: NDArray[Any], name: str) -> Counts:
    """Return floats as integers if they are, without a float copy of them all."""
    counts = np.empty(array.shape, np.int64)
    for block in row_blocks(array.shape):
        part = array[block].astype(np.float64, copy=False)
        # NaN equals nothing, an infinity is beyond any count.
        if not np.all((part == np.rint(part)) & (np.abs(part) < _LIMIT_FLOAT)):
            raise ValueError(
                f"{name} holds values that are no whole numbers: corrected or scaled intensities "
                "have no counting statistics; use the counts themselves. They may have been "
                "corrected for dead time on export: undo_dead_time then finds the counts, given "
                "the pulses"
            )
        if part.min() < 0:
            raise ValueError(f"{name} holds negative counts ({part.min()})")
        counts[block] = part
    return counts


class _Pulses:
    """Pulses behind each frame of a stack, made floats when a frame is asked for.

    A frame is (y, x), or (1, 1) if all pixels have as many.
    """

    def __init__(self, pulses: Any, stack: _Stack) -> None:
        _refuse_masked(pulses, "pulses")
        shape = (stack.frames, *stack.image)
        is_lazy = all(hasattr(pulses, a) for a in ("shape", "dtype", "__getitem__"))
        self.array = pulses if is_lazy and tuple(pulses.shape) == shape else np.asarray(pulses)
        given = tuple(int(n) for n in self.array.shape)
        if np.dtype(self.array.dtype).kind not in "uif":
            raise ValueError("pulses must be positive numbers")
        try:
            if np.broadcast_shapes(given, shape) != shape:
                raise ValueError
        except ValueError:
            raise ValueError(
                f"pulses has shape {given}, which does not fit counts of (frame, y, x) {shape}"
            ) from None
        if given != shape:
            even = int(np.prod(given)) == 1 or given[-2:] == (1, 1)
            image = (1, 1) if even else stack.image
            array = self.array.reshape((1,) * (3 - len(given)) + given)
            self.array = np.broadcast_to(array, (array.shape[0], *image))
        self.frames = stack.frames

    def frame(self, number: int) -> Floats:
        """Return the pulses of one frame."""
        array = np.asarray(self.array[number if self.array.shape[0] > 1 else 0], np.float64)
        if not np.all((array >= 0) & np.isfinite(array)):
            raise ValueError("pulses must be positive numbers")
        return array

    def total(self) -> Floats:
        """Return the sum of the frames, read one at a time."""
        if self.array.shape[0] == 1:
            return self.frame(0) * self.frames
        total = self.frame(0).copy()
        for number in range(1, self.frames):
            total += self.frame(number)
        return total


def _without_dead_time(light: _Stack, heavy: _Stack, pulses: _Pulses) -> IonSums:
    """Correct frame by frame, frames of few pulses joined, and sum."""
    in_all = pulses.total()
    left = in_all.copy()  # pulses of frames to come, of each pixel
    open_pulses = np.zeros_like(left)
    saturated = np.zeros(light.image, dtype=bool)
    running = [_Running(light), _Running(heavy)]
    for number in range(light.frames):
        beneath = pulses.frame(number)
        left -= beneath
        open_pulses += beneath
        for one in running:
            one.add(number, beneath == 0)
        # What is left over at the end would be an entry of few pulses again.
        full = (open_pulses >= JOINED_PULSES) & (left >= JOINED_PULSES)
        ready = np.ones_like(full) if number == light.frames - 1 else full
        if not ready.any():
            continue
        highest = np.maximum(running[0].open, running[1].open)
        saturated |= ready & is_saturated(highest, open_pulses, frames=False)
        for one in running:
            one.close(ready, open_pulses)
        open_pulses[ready] = 0
    highest = np.maximum(running[0].counts, running[1].counts)
    saturated |= is_saturated(highest, in_all, frames=True)
    usable = ~saturated & (in_all > 0)
    tracer, other = (one.result(usable) for one in running)
    return IonSums(tracer, other, usable.astype(np.int64))


class _Running:
    """Sums of one isotope while its frames are read."""

    def __init__(self, stack: _Stack) -> None:
        self.stack = stack
        self.counts = np.zeros(stack.image, np.int64)
        self.open = np.zeros(stack.image, np.int64)  # of the frames not yet corrected
        self.ions, self.variance = np.zeros(stack.image), np.zeros(stack.image)

    def add(self, number: int, unmeasured: NDArray[np.bool_]) -> None:
        """Read a frame."""
        frame = self.stack.frame(number)
        if unmeasured.any() and np.any(frame[np.broadcast_to(unmeasured, frame.shape)]):
            raise ValueError("pulses must be positive wherever there are counts")
        np.add(self.counts, frame, out=self.counts, casting="unsafe")
        np.add(self.open, frame, out=self.open, casting="unsafe")

    def close(self, ready: NDArray[np.bool_], pulses: Floats) -> None:
        """Correct the frames that are open, where they are ready."""
        everywhere = bool(ready.all())
        for block in row_blocks(self.open.shape):
            counts = self.open[block]
            if not everywhere:
                counts = counts * ready[block]
            ions, variance = before_dead_time(
                counts, pulses if len(pulses) == 1 else pulses[block]
            )
            self.ions[block] += ions
            self.variance[block] += variance
            self.open[block] -= counts

    def result(self, usable: NDArray[np.bool_]) -> Sum:
        """Return the sums, 0 where the pixel is not usable."""
        if not usable.all():
            for array in (self.counts, self.ions, self.variance):
                array[~usable] = 0
        return Sum(self.counts, (self.ions, self.variance))


def check_pixels(name: str, number: float) -> None:
    """Refuse what is no number of pixels."""
    if not (1 <= number < np.inf and number == int(number)):
        raise ValueError(f"{name} must be a whole number of pixels, at least 1, got {number}")


def check_window(size: float) -> None:
    """Refuse windows that have no middle pixel."""
    check_pixels("window", size)
    if size % 2 == 0:
        raise ValueError(
            f"window must be an odd number of pixels, so that a pixel is in its middle, got {size}"
        )


def bin_sum(image: NDArray[Any], bin: int) -> NDArray[Any]:
    """Sum blocks of an image (y, x); those at the far edges may be smaller."""
    if bin == 1:
        return image
    rows = np.add.reduceat(image, np.arange(0, image.shape[0], bin), axis=0)
    return np.add.reduceat(rows, np.arange(0, image.shape[1], bin), axis=1)


def window_sum(image: NDArray[Any], size: int) -> NDArray[Any]:
    """Sum a sliding square of an image (y, x), what of it is inside."""
    for axis in (0, 1):
        length = image.shape[axis]
        padding = [(0, 0), (0, 0)]
        padding[axis] = (1, 0)
        # The first element of the running sum is nothing, so that differences are windows.
        running = np.pad(np.cumsum(image, axis=axis), padding)
        middle = np.arange(length)
        first = np.maximum(middle - size // 2, 0)
        last = np.minimum(middle + size // 2 + 1, length)
        image = running.take(last, axis=axis) - running.take(first, axis=axis)
    return image
