"""Shifts between frames of few counts: the drift of the sample during a measurement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import fft, ndimage

__all__ = ["Drift", "find_drift", "measure_drift"]

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]

#: Scale in pixels of the drift from one frame to the next that is taken as usual. Its
#: distribution has heavy tails: a jump of 50 pixels costs 13 in ln L.
_USUAL_STEP = 0.7
#: Rounds at most; two or three do.
_ROUNDS = 4
#: No pixel of the smoothed reference is taken for darker than this share of the mean.
_DARKEST = 0.1
#: Pixels at the edge of what was seen that are left out.
_EDGE = 2
#: Shifts are held against each other up to so many pixels around the best one, so often.
_NEAR, _LOCAL_STEPS = 2, 8
#: Shifts with less of the largest overlap are not considered.
_LEAST_OVERLAP = 0.25
#: A frame is sure of its shift if so much of the probability is within a pixel of it.
_SURE = 0.95


@dataclass(frozen=True, eq=False)
class Drift:
    """Shifts that bring frames into register.

    Parameters
    ----------
    shifts
        Whole pixels (dy, dx) by which each frame has to be moved, int (frame, 2).
    sure
        (frame,), whether the frame itself tells its shift; those that do not
        have one between those of their neighbours.
    """

    shifts: NDArray[np.int64]
    sure: NDArray[np.bool_]


def find_drift(
    frames: Any,
    max_shift: int | None = None,
    reference: int = 0,
    progress: Progress | None = None,
) -> NDArray[np.int64]:
    """Find by how many whole pixels each frame has to be moved.

    Parameters
    ----------
    frames, max_shift, reference, progress
        As for `measure_drift`, which tells of each frame whether it is sure, too.

    Returns
    -------
    array of int
        (frame, 2), (dy, dx) in pixels, as `align` takes them; 0 for `reference`.
    """
    return measure_drift(frames, max_shift, reference, progress).shifts


def measure_drift(
    frames: Any,
    max_shift: int | None = None,
    reference: int = 0,
    progress: Progress | None = None,
) -> Drift:
    r"""Find by how many whole pixels each frame has to be moved, and how surely.

    Parameters
    ----------
    frames
        Counts of one channel, (frame, y, x), an array or an array-like that is read
        frame by frame. Choose a channel that is bright and does not change with
        depth, such as a matrix ion or all ions together.
    max_shift
        Largest shift in pixels along either axis; None: a quarter of the shorter
        side of the image.
    reference
        Number of the frame that stays where it is.
    progress
        Is told (share done, what is done) before each frame; may raise.

    Returns
    -------
    Drift
        Shifts and whether each is sure.

    Raises
    ------
    ValueError
        If `frames` are no frames of counts, or a parameter is out of its range.

    Notes
    -----
    Phase correlation divides every spatial frequency by its amplitude, noise
    included, and takes the border of the image for a feature that never moves: of
    frames of ten counts a pixel it gets fewer than one in five right. Here each
    frame is laid over the sum of the *other* frames, aligned, and the shift is the
    one of the largest likelihood: given its total N, a frame's counts n are
    multinomial with the rates u of the reference,

    .. math:: \ln L(s) = \sum_x n(x) \ln u(x+s) - N \ln \sum_x u(x+s),

    which is a cross-correlation with the logarithm of the reference and is
    evaluated for all shifts at once by Fourier transformation. A beam that gets
    brighter does not matter. Sums go over the pixels that overlap: all shifts are
    compared by the likelihood scaled to the whole frame, and those next to the best
    one by the same pixels, as else a shift that drops a dull rim would win.

    *Reference.* u is smoothed by a Wiener filter, whose gain at each spatial
    frequency is the share of the power above that of Poisson noise, so that many
    counts give a sharp reference and few a coarse one.

    *Plausibility.* The prior probability of a shift falls off with its distance r
    from that of each neighbouring frame as :math:`(1 + r^2/\tau^2)^{-3/2}`, with
    :math:`\tau` 0.7 pixels: a shift of one pixel that only noise speaks for is not
    made, and the evidence that a jump needs is small beside that of a real one.
    Where less than 95 % of the posterior probability is within two pixels of the
    best shift, as for an empty frame, the frame takes the shift that is interpolated
    between its sure neighbours, to the nearest pixel.

    *Accuracy.* In simulated maps of grains of 40 pixels under a beam 3.5 pixels
    wide (``benchmarks/drift_study.py``, 228 shifts each) 192 x 192 pixels of 3
    counts a frame give every shift to the pixel; of 1 count, 2 are off by one pixel.
    128 x 128 pixels of 10 counts give every shift, of 1 or 3 counts none is off by
    more than one pixel. At best the error is
    :math:`(\sum (\partial u)^2 n / u)^{-1/2}` pixels, 0.2 for 128 x 128 of 1 count.

    The first round goes through the frames in their order, the next ones repeat with
    the sum of all others until no shift changes.
    """
    images = _checked(frames)
    count, shape = int(images.shape[0]), tuple(int(n) for n in images.shape[1:])
    limit = max(1, min(shape) // 4) if max_shift is None else int(max_shift)
    if not 1 <= limit < max(shape):
        raise ValueError(f"max_shift must be from 1 to below the image's side, got {max_shift}")
    if not -count <= reference < count:
        raise ValueError(f"there is no frame {reference} among {count}")
    search = _Search(images, (shape[0], shape[1]), limit, progress)
    search.first_round()
    for number in range(1, _ROUNDS):
        if not search.next_round(number):
            break
    shifts = _between(search.shifts, search.sure)
    return Drift(shifts - shifts[reference], search.sure)


class _Search:
    """Shifts as found so far, and the sum of the frames that lie at them.

    The sum's canvas is larger than a frame by `limit` pixels on each side.
    """

    def __init__(
        self, frames: Any, shape: tuple[int, int], limit: int, progress: Progress | None
    ) -> None:
        self.frames, self.shape, self.limit = frames, shape, limit
        self.count = int(frames.shape[0])
        self.progress = progress
        self.shifts = np.zeros((self.count, 2), np.int64)
        self.sure = np.ones(self.count, dtype=bool)
        canvas = (shape[0] + 2 * limit, shape[1] + 2 * limit)
        self.transformed = tuple(fft.next_fast_len(n, real=True) for n in canvas)
        self.counts, self.expected = np.zeros(canvas), np.zeros(canvas)
        self.rings = _rings(self.transformed)

    def first_round(self) -> None:
        """Lay each frame over the sum of those before it."""
        for number in range(self.count):
            frame = self.read(number, 0)
            if number:
                before = self.shifts[number - 1 : number]
                self.shifts[number], self.sure[number] = self.place(frame, before)
            self.add(frame, self.shifts[number], 1)

    def next_round(self, round_number: int) -> bool:
        """Lay each frame over the sum of all others; tell whether a shift changed."""
        changed = False
        for number in range(self.count):
            frame = self.read(number, round_number)
            self.add(frame, self.shifts[number], -1)
            beside = self.shifts[[n for n in (number - 1, number + 1) if 0 <= n < self.count]]
            found, self.sure[number] = self.place(frame, beside)
            changed |= bool(np.any(found != self.shifts[number]))
            self.shifts[number] = found
            self.add(frame, found, 1)
        return changed

    def read(self, number: int, round_number: int) -> Floats:
        """Return a frame, and tell how far the search is."""
        if self.progress is not None:
            # rounds usually end after the third
            done = min(0.99, (round_number + number / self.count) / 3)
            self.progress(done, f"frame {number + 1} of {self.count}, round {round_number + 1}")
        return np.asarray(self.frames[number], dtype=np.float64)

    def add(self, frame: Floats, shift: NDArray[np.int64], sign: int) -> None:
        """Put a frame into the sum, or take it out."""
        rows, columns = (
            slice(self.limit + int(moved), self.limit + int(moved) + length)
            for moved, length in zip(shift, self.shape, strict=True)
        )
        self.counts[rows, columns] += sign * frame
        self.expected[rows, columns] += sign * frame.mean()

    def place(self, frame: Floats, beside: NDArray[np.int64]) -> tuple[NDArray[np.int64], bool]:
        """Return the most probable shift of a frame, and whether the frame is sure of it."""
        reference = self.reference()
        if reference is None or not frame.any():
            return beside[0] if len(beside) else np.zeros(2, np.int64), False
        steps = np.arange(-self.limit, self.limit + 1)
        prior = np.zeros((len(steps), len(steps)))
        for y, x in beside.tolist():
            square = (steps[:, None] - y) ** 2 + (steps[None, :] - x) ** 2
            prior -= 1.5 * np.log1p(square / _USUAL_STEP**2)
        posterior = reference.likelihood(frame) + prior
        best = _peak(posterior)
        chance = np.exp(posterior - posterior[best])
        sure = bool(chance[_around(best, len(steps))].sum() >= _SURE * chance.sum())
        for _ in range(_LOCAL_STEPS):
            near = _around(best, len(steps))
            local = reference.local_likelihood(frame, near)
            moved = _peak(local + prior[near])
            former, best = best, (near[0].start + moved[0], near[1].start + moved[1])
            if best == former:
                break
        return np.array([steps[best[0]], steps[best[1]]]), sure

    def reference(self) -> _Reference | None:
        """Return what has been seen so far, smoothed; None before the first count."""
        total = self.counts.sum()
        if total <= 0:
            return None
        seen = self.expected > 1e-9
        spectrum = fft.rfft2(self.counts - self.expected, self.transformed)
        power = ndimage.mean(np.abs(spectrum) ** 2, self.rings, np.arange(self.rings.max() + 1))
        gain = np.clip(1 - total / np.maximum(power, 1e-9 * total), 0.0, None)
        gain[0] = 1.0  # the mean is taken out already
        gain = np.minimum.accumulate(gain)  # details fade, they do not come back
        smooth = fft.irfft2(spectrum * gain[self.rings], self.transformed)
        rate = np.ones_like(self.counts)
        smooth = smooth[: rate.shape[0], : rate.shape[1]]
        rate[seen] += smooth[seen] / self.expected[seen]
        # what lies beyond the edge has been smoothed into it
        known = ndimage.binary_erosion(seen, iterations=_EDGE)
        return _Reference(np.maximum(rate, _DARKEST), known, self.transformed, self.limit)


class _Reference:
    """Rates, where they are known, and the likelihood of a frame that lies over them."""

    def __init__(
        self, rate: Floats, known: NDArray[np.bool_], transformed: tuple[int, ...], limit: int
    ) -> None:
        self.known, self.transformed, self.limit = known, transformed, limit
        self.rate = np.where(known, rate, 0.0)
        self.weights = np.where(known, np.log(rate), 0.0)

    def likelihood(self, frame: Floats) -> Floats:
        """Return ln L of all shifts, each scaled from its overlap to the whole frame."""
        size = 2 * self.limit + 1
        spectrum = np.conj(fft.rfft2(frame, self.transformed))

        def overlaid(image: Floats) -> Floats:
            product = fft.rfft2(image, self.transformed) * spectrum
            return np.asarray(fft.irfft2(product, self.transformed)[:size, :size])

        counts = np.maximum(overlaid(self.known.astype(np.float64)), 0.0)
        area = _boxes(self.known.astype(np.float64), frame.shape, size)
        rates = _boxes(self.rate, frame.shape, size)
        full = float(area.max())
        if full < 1:
            return np.zeros((size, size))
        enough = area >= _LEAST_OVERLAP * full
        safe = np.where(enough, area, 1.0)
        mean = np.where(enough, rates, 1.0) / safe
        gained = overlaid(self.weights) - counts * np.log(mean)
        return np.where(enough, gained * full / safe, -np.inf)

    def local_likelihood(self, frame: Floats, near: tuple[slice, slice]) -> Floats:
        """Return ln L of some shifts from the pixels that all of them find in the reference."""
        rows, columns = (range(part.start, part.stop) for part in near)
        corners = [(y, x) for y in rows for x in columns]

        def laid(image: NDArray[Any], corner: tuple[int, int]) -> NDArray[Any]:
            return image[
                tuple(slice(at, at + n) for at, n in zip(corner, frame.shape, strict=True))
            ]

        used = np.ones(frame.shape, dtype=bool)
        for corner in corners:
            used &= laid(self.known, corner)
        if not used.any():
            return np.zeros((len(rows), len(columns)))
        # cut to what is used, so that sums take no longer than they must
        part = tuple(slice(at.min(), at.max() + 1) for at in np.nonzero(used))
        used = used[part]
        counts, weight = frame[part] * used, used.astype(np.float64)
        total = counts.sum()
        values = [
            np.einsum("ij,ij->", counts, laid(self.weights, corner)[part])
            - total * np.log(np.einsum("ij,ij->", weight, laid(self.rate, corner)[part]))
            for corner in corners
        ]
        return np.reshape(values, (len(rows), len(columns)))


def _peak(surface: Floats) -> tuple[int, int]:
    y, x = np.unravel_index(int(np.argmax(surface)), surface.shape)
    return int(y), int(x)


def _around(best: tuple[int, int], size: int) -> tuple[slice, slice]:
    y, x = (slice(max(0, at - _NEAR), min(size, at + _NEAR + 1)) for at in best)
    return y, x


def _boxes(image: Floats, box: tuple[int, ...], size: int) -> Floats:
    """Return the sums of an image in a box at all shifts, (size, size)."""
    sums = np.pad(image, ((1, 0), (1, 0))).cumsum(axis=0).cumsum(axis=1)
    y, x = box
    return np.asarray(
        sums[y : y + size, x : x + size]
        - sums[:size, x : x + size]
        - sums[y : y + size, :size]
        + sums[:size, :size]
    )


def _rings(shape: tuple[int, ...]) -> NDArray[np.int64]:
    """Return the number of the ring of spatial frequencies of each entry of a transform."""
    y = np.fft.fftfreq(shape[0])[:, None]
    x = np.fft.rfftfreq(shape[1])[None, :]
    return np.rint(np.hypot(y, x) * min(shape)).astype(np.int64)


def _between(shifts: NDArray[np.int64], sure: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Give frames that are not sure the shift between those of their sure neighbours."""
    if sure.all() or not sure.any():
        return shifts
    numbers = np.arange(len(shifts))
    known = np.flatnonzero(sure)
    filled = [np.rint(np.interp(numbers, known, shifts[known, axis])) for axis in (0, 1)]
    return np.stack(filled, axis=1).astype(np.int64)


def _checked(frames: Any) -> Any:
    images = frames if hasattr(frames, "shape") else np.asarray(frames)
    if len(images.shape) != 3:
        raise ValueError(
            f"frames must be (frame, y, x), got shape {tuple(images.shape)}: a map whose frames "
            "were summed has no drift to be found"
        )
    if min(images.shape) < 1 or max(images.shape[1:]) < 2:
        raise ValueError(f"frames of shape {tuple(images.shape)} hold no image to be moved")
    if np.dtype(images.dtype).kind not in "iuf":
        raise ValueError(f"frames must be counts, got {images.dtype}")
    return images
