"""Whether the counts of a pixel scatter from frame to frame as counting alone makes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.finding import BAD, DOUBTFUL, GOOD, UNKNOWN, Finding
from napari_liso.counting.homogeneity import (
    ChiSquare,
    chi_square_moments,
    pooled_two_row_chi_square,
)
from napari_liso.counting.sums import bin_sum

__all__ = [
    "FrameDispersion",
    "dispersion_finding",
    "fraction_frame_finding",
    "frame_dispersion",
]

Floats = NDArray[np.float64]
Progress = Callable[[float, str], None]

#: Side in pixels of the blocks that are looked at besides single pixels.
BLOCK = 8
#: Scatter that differs by less than this share is of no consequence.
_TOLERANCE = 0.02
#: A scatter this many times what it should be makes intervals useless.
_SEVERE = 1.5
#: Variation beyond counting that is severe, too.
_LARGE = 0.1


@dataclass(frozen=True)
class FrameDispersion:
    """Chi-square of counts frame to frame, in pixels and in blocks.

    Parameters
    ----------
    pixels, blocks
        Of single pixels, and of squares of `BLOCK` pixels a side.
    dead_time_pixels, dead_time_blocks
        The ratio of chi-square to its mean that dead time would leave, at the
        pulses given; NaN where they are unknown.
    counts_per_pulse
        Mean over the counts; NaN where pulses are unknown.
    frames
        With counts.
    pixel_mean, block_mean
        Counts of a pixel and of a block in a frame, of those with counts.
    """

    pixels: ChiSquare
    blocks: ChiSquare
    dead_time_pixels: float
    dead_time_blocks: float
    counts_per_pulse: float
    frames: int
    pixel_mean: float
    block_mean: float


class _Table:
    """A table of counts, place by frame, of which only sums are kept."""

    def __init__(self) -> None:
        self.places: Floats | None = None
        self.squares: Floats | None = None
        self.columns: list[float] = []

    def add(self, image: Floats) -> None:
        total = float(image.sum())
        self.columns.append(total)
        if self.places is None or self.squares is None:
            self.places, self.squares = np.zeros(image.shape), np.zeros(image.shape)
        self.places += image
        if total > 0:
            self.squares += image**2 / total

    def mean(self) -> float:
        """Return the counts of a place that has any, all frames together."""
        if self.places is None or not self.places.any():
            return 0.0
        return float(self.places[self.places > 0].mean())

    def chi_square(self) -> ChiSquare:
        """Return Pearson's chi-square of independence of place and frame."""
        if self.places is None or self.squares is None:
            return ChiSquare(0.0, 0.0, 0.0)
        counted = self.places > 0
        total = float(self.places.sum())
        value = total * float((self.squares[counted] / self.places[counted]).sum()) - total
        return ChiSquare(value, *chi_square_moments(self.places[counted], self.columns))


def frame_dispersion(
    frames: Any,
    pulses: Any | None = None,
    mask: ArrayLike | None = None,
    progress: Progress | None = None,
) -> FrameDispersion:
    r"""Compare the scatter of counts from frame to frame with that of counting.

    Parameters
    ----------
    frames
        Counts of one channel, (frame, y, x), read frame by frame.
    pulses
        Primary-ion pulses behind each entry, broadcastable to `frames` or an
        array-like of their shape; None: unknown.
    mask
        (y, x), True in pixels to be used, such as those that every shifted frame
        reaches; None: all.
    progress
        Is told (share done, what is done) before each frame; may raise.

    Returns
    -------
    FrameDispersion
        Chi-square over its mean is 1 where there is nothing but counting.

    Raises
    ------
    ValueError
        If these are no stacks, or shapes differ.

    Notes
    -----
    Expected is rank one: a pixel's sum times a frame's sum over all counts,
    :math:`e_{xf} = R_x C_f / N`. A beam that gets brighter changes the :math:`C_f`
    only and does not count. With both kinds of sums given

    .. math:: X^2 = \sum_{xf} \frac{(n_{xf} - e_{xf})^2}{e_{xf}}
              = N \sum_x \frac{1}{R_x} \sum_f \frac{n_{xf}^2}{C_f} - N

    has a mean and a variance that are known exactly at any count
    (`chi_square_moments`); the frames are read once.

    *Dead time* makes scatter less. If a pulse counts one ion of a peak at most,
    the :math:`R_x` counts of a pixel lie in some of its M pulses without replacement:
    hypergeometric, whose variance is :math:`(M - R_x)/(M - 1)` times that of
    independent counts. Averaged over pixels with counts that is the ratio
    expected, :math:`1 - N/P` for many pulses; in a block, the mean weighted by counts.

    *Charging and drift* make it more, and over whole regions: counts of single
    pixels may be too few to show what blocks show.
    """
    stack = frames if hasattr(frames, "shape") else np.asarray(frames)
    if len(stack.shape) != 3:
        raise ValueError(f"frames must be (frame, y, x), got shape {tuple(stack.shape)}")
    shape = tuple(int(n) for n in stack.shape)
    region = np.ones(shape[1:], bool) if mask is None else np.asarray(mask, dtype=bool)
    if region.shape != shape[1:]:
        raise ValueError(f"the mask has shape {region.shape}, a frame {shape[1:]}")
    fine, coarse = _Table(), _Table()
    behind = None if pulses is None else np.zeros(shape[1:])
    every = _pulse_frames(pulses, shape)
    for number in range(shape[0]):
        if progress is not None:
            progress(number / shape[0], f"frame {number + 1} of {shape[0]}")
        image = np.where(region, np.asarray(stack[number]), 0).astype(np.float64)
        fine.add(image)
        coarse.add(bin_sum(image, BLOCK))
        if behind is not None and every is not None:
            behind += np.asarray(every[number])
    expected = _with_dead_time(fine.places, behind)
    counted = sum(total > 0 for total in fine.columns)
    chi_squares = fine.chi_square(), coarse.chi_square()
    means = (one.mean() / max(1, counted) for one in (fine, coarse))
    return FrameDispersion(*chi_squares, *expected, counted, *means)


def _pulse_frames(pulses: Any | None, shape: tuple[int, ...]) -> Any | None:
    if pulses is None or tuple(getattr(pulses, "shape", ())) == shape:
        return pulses
    try:
        return np.broadcast_to(np.asarray(pulses), shape)
    except ValueError:
        raise ValueError(
            f"pulses of shape {np.shape(pulses)} do not fit frames of {shape}"
        ) from None


def _with_dead_time(places: Floats | None, pulses: Floats | None) -> tuple[float, float, float]:
    """Return the ratios that dead time leaves in pixels and blocks, and counts a pulse."""
    nothing = (float("nan"),) * 3
    if places is None or pulses is None or not places.any():
        return nothing
    counted = places > 0
    if np.any(places[counted] > pulses[counted]):
        return nothing  # several counts a pulse: the detector does not stop at the first
    left = np.where(counted, (pulses - places) / np.maximum(pulses - 1, 1), 0.0)
    weighted, sums = bin_sum(left * places, BLOCK), bin_sum(places, BLOCK)
    there = sums > 0
    full = float((places[counted] ** 2 / pulses[counted]).sum() / places.sum())
    return float(left[counted].mean()), float((weighted[there] / sums[there]).mean()), full


def dispersion_finding(
    found: FrameDispersion, channel: str = "", confidence: float = 0.95
) -> Finding:
    """Judge a `FrameDispersion`.

    Parameters
    ----------
    found
        Of one channel.
    channel
        Its name.
    confidence
        That counts without fault are called good. Both scales together: each is held
        against its range at half the error.

    Returns
    -------
    Finding
        `value` is chi-square over its mean, of pixels or of blocks, whichever is
        further off; good within 2 % of what it should be, too.
    """
    name = f"{channel} frame to frame".strip()
    name = name[:1].upper() + name[1:]
    if found.frames < 2:
        text = "There is one frame only: what does not repeat has no scatter. Open all frames."
        return Finding(name, UNKNOWN, text)
    each = 1 - (1 - confidence) / 2
    scales = [
        (found.pixels, found.dead_time_pixels, "pixel", found.pixel_mean),
        (found.blocks, found.dead_time_blocks, f"square of {BLOCK} pixels", found.block_mean),
    ]
    known = [scale for scale in scales if scale[0].known]
    if not known:
        return Finding(name, UNKNOWN, "There are too few counts to have a scatter.")
    judged = []
    for chi, dead, place, mean in known:
        low, high = chi.range(each)
        should = dead if np.isfinite(dead) else 1.0
        off = chi.ratio / should
        strength = (chi.ratio - should) / ((high - 1) if off > 1 else (1 - low))
        significant = abs(strength) > 1 and abs(off - 1) > _TOLERANCE
        # of the counts of such a place, beyond counting
        extra = float(np.sqrt(max(chi.ratio - should, 0.0) / mean))
        judged.append((significant, abs(strength), chi, should, place, (low, high), extra))
    significant, _, chi, should, place, (low, high), extra = max(judged, key=lambda j: j[:2])
    ratio = chi.ratio
    ends = (ratio - (high - 1), ratio + (1 - low))
    words = (
        f"{_short(ratio)} times that of counting ({100 * confidence:g} %: {_short(ends[0])} to "
        f"{_short(ends[1])})"
    )
    return Finding(
        name, *_judge(found, (ratio, should, extra), significant, place, words), ratio, *ends
    )


def _short(ratio: float) -> str:
    return f"{ratio:.3f}" if abs(ratio) < 10 else f"{ratio:,.0f}"


def _judge(
    found: FrameDispersion,
    numbers: tuple[float, float, float],
    significant: bool,
    place: str,
    words: str,
) -> tuple[str, str]:
    """Return the verdict and its text; numbers are the ratio, what it should be, the excess."""
    ratio, should, extra = numbers
    dead = ""
    if np.isfinite(found.dead_time_pixels) and should < 1 - _TOLERANCE:
        dead = (
            f"{should:.2f} expected with dead time at {found.counts_per_pulse:.2g} counts a pulse"
        )
    text = f"The scatter of a {place} from frame to frame is {words}"
    if not significant:
        return GOOD, text + (f", as {dead}." if dead else ": nothing but counting.")
    if ratio > should:
        text += (
            f", more than {dead or 'it should be'}; besides counting it varies by "
            f"{100 * extra:.2g} %. The sample moved (find the drift), charged, or changed with "
            "depth. That harms the fraction only where the isotopes change differently, see below."
        )
        return (BAD if ratio / should > _SEVERE and extra > _LARGE else DOUBTFUL), text
    text += f", less than {dead or 'it should be'}. "
    if np.isfinite(found.dead_time_pixels):
        text += (
            "Dead time does not explain it: the counts may have been smoothed, interpolated, or "
            "corrected before they were saved, or the pulses are fewer than given."
        )
    else:
        text += (
            "Dead time does that: give the pulses under Data to correct for it. So does smoothing "
            "or interpolation before the counts were saved."
        )
    return (BAD if should / ratio > _SEVERE else DOUBTFUL), text


def fraction_frame_finding(
    n6: Any,
    n7: Any,
    mask: ArrayLike | None = None,
    confidence: float = 0.95,
    progress: Progress | None = None,
) -> Finding:
    r"""Judge whether the fraction of a pixel scatters from frame to frame as counting makes it.

    Parameters
    ----------
    n6, n7, mask, progress
        As for `napari_liso.counting.frames.frame_course`.
    confidence
        That counts without fault are called good.

    Returns
    -------
    Finding
        `value` is chi-square over its mean.

    Notes
    -----
    Given what a pixel has of both isotopes in a frame, its tracer counts are
    binomial, whatever the beam, the drift of the brightness, or charging do to both
    alike. Pearson's chi-square of one fraction over the frames is summed over the
    pixels (`pooled_two_row_chi_square`). It is what the intervals of the fraction
    rest on. Dead time of an isotope that is near its limit makes it less than 1.
    """
    name = "Fraction frame to frame"
    first, second = (a if hasattr(a, "shape") else np.asarray(a) for a in (n6, n7))
    if tuple(first.shape) != tuple(second.shape) or len(first.shape) != 3:
        raise ValueError(
            "n6 and n7 must be stacks (frame, y, x) of one shape, got "
            f"{tuple(first.shape)} and {tuple(second.shape)}"
        )
    frames, *image = (int(n) for n in first.shape)
    if frames < 2:
        text = "There is one frame only: what does not repeat has no scatter. Open all frames."
        return Finding(name, UNKNOWN, text)
    region = np.ones(image, bool) if mask is None else np.asarray(mask, dtype=bool)
    tracer, total, entries, squares, inverse = (np.zeros(int(region.sum())) for _ in range(5))
    for number in range(frames):
        if progress is not None:
            progress(number / frames, f"frame {number + 1} of {frames}")
        k, m = (np.asarray(a[number])[region].astype(np.float64) for a in (first, second))
        n = k + m
        there = n > 0
        tracer += k
        total += n
        entries += there
        inverse[there] += 1 / n[there]
        squares[there] += k[there] ** 2 / n[there]
    chi = pooled_two_row_chi_square(tracer, total, entries, squares, inverse)
    if not chi.known:
        return Finding(name, UNKNOWN, "There are too few counts in a pixel to have a scatter.")
    low, high = chi.range(confidence)
    ratio = chi.ratio
    ends = (ratio - (high - 1), ratio + (1 - low))
    text = (
        f"The fraction of a pixel scatters from frame to frame {_short(ratio)} times as counting "
        f"makes it ({100 * confidence:g} %: {_short(ends[0])} to {_short(ends[1])})"
    )
    if low <= ratio <= high or abs(ratio - 1) <= _TOLERANCE:
        return Finding(name, GOOD, text + ": its intervals hold.", ratio, *ends)
    severe = BAD if max(ratio, 1 / ratio) > _SEVERE else DOUBTFUL
    if ratio > 1:
        text += (
            f". Intervals of the fraction are too narrow by about {np.sqrt(ratio):.2f} times: the "
            "sample moved over places of other fractions, or its fraction changed under the beam."
        )
    else:
        text += ", as with dead time or with counts that were smoothed before they were saved."
    return Finding(name, severe, text, ratio, *ends)
