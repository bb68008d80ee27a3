"""From counts to the maps of the ratio dock, in stages of which only the stale ones are redone.

Pure functions without Qt and without layers: they run in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.counting.corrections import Corrections
from napari_liso.counting.hue_intensity import brightest, hue_intensity
from napari_liso.plugin import colours

if TYPE_CHECKING:
    from napari_liso.counting.fraction import FractionMap
    from napari_liso.counting.ratio import RatioMap
    from napari_liso.counting.sums import IonSums

__all__ = [
    "QUANTITIES",
    "Counted",
    "HueOptions",
    "RatioOptions",
    "RatioResult",
    "ratio_limits",
    "sum_counted",
    "weighted_limits",
    "work_out",
]

#: What can be made of a (tracer) and b (other): a / (a + b), a / b, and its deviation in per mil.
QUANTITIES = ("fraction", "ratio", "delta")
#: Sums of larger maps are not kept for the next run: 48 bytes a pixel.
_LARGEST_KEPT = 2**22

Report = Callable[[float, str], None]


@dataclass(frozen=True)
class RatioOptions:
    """What to make of the counts.

    Parameters
    ----------
    quantity
        One of `QUANTITIES`.
    reference
        Ratio a/b that delta is the deviation from.
    bin, window
        Pixels a side whose counts are summed into one, and around each one.
    confidence
        Of the interval.
    min_counts
        Pixels with fewer stay empty.
    """

    quantity: str = "fraction"
    reference: float = 0.0
    bin: int = 1
    window: int = 1
    confidence: float = 0.95
    min_counts: int = 1

    def describe(self) -> dict[str, Any]:
        """Return them in JSON-able words; the reference only where it matters."""
        words = asdict(self)
        if self.quantity != "delta":
            del words["reference"]
        return words

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RatioOptions:
        """Return the options in the provenance of a layer, the usual ones where it is silent."""
        return cls(**{k: record[k] for k in asdict(cls()) if k in record})


@dataclass(frozen=True)
class HueOptions:
    """How to colour the hue-intensity view; None means chosen from the map."""

    limits: tuple[float, float] | None = None
    top: float | None = None
    gamma: float = 1.0
    hues: str = "spectrum"


@dataclass(frozen=True, eq=False)
class Counted:
    """Counts of both isotopes.

    Parameters
    ----------
    tracer, other
        (y, x) or (frame, y, x), arrays or lazy stacks.
    pulses
        Behind each entry, or None where unknown.
    key
        Equal as long as the counts and pulses are.
    names
        Of their layers.
    planes
        (y, x) image of each layer, None where it need not be the sum of the frames.
    """

    tracer: Any
    other: Any
    pulses: Any | None
    key: Hashable
    names: tuple[str, str] = ("n6", "n7")
    planes: tuple[NDArray[Any] | None, NDArray[Any] | None] = (None, None)


@dataclass(frozen=True, eq=False)
class RatioResult:
    """What was made of the counts, and what it was made with.

    Parameters
    ----------
    map, whole
        The quantity of every pixel, and of the map as a whole.
    limits
        Colour limits of the map's values.
    picture, hue
        Hue-intensity view, (y, x, 3) uint8, and its options without None; or None.
    sums, sums_key, map_key
        Kept for the next run.
    dead_time_corrected
        Whether pulses were known and used.
    edited
        Names of layers whose image was changed by hand: it was taken instead of the frames.
    """

    options: RatioOptions
    corrections: Corrections
    map: FractionMap | RatioMap
    whole: FractionMap | RatioMap
    limits: tuple[float, float]
    picture: NDArray[np.uint8] | None
    hue: HueOptions | None
    sums: IonSums | None
    sums_key: Hashable
    map_key: Hashable
    dead_time_corrected: bool = False
    edited: tuple[str, ...] = ()


def work_out(
    counted: Counted,
    options: RatioOptions,
    corrections: Corrections,
    hue: HueOptions | None,
    former: RatioResult | None,
    report: Report,
) -> RatioResult:
    """Return the maps, of `former` what still holds.

    Parameters
    ----------
    counted
        The counts; pulses of None leave out the correction for dead time.
    options, corrections
        What to make of them.
    hue
        None: no hue-intensity view.
    former
        Result of an earlier run.
    report
        Is told (share done, what is done); stops the work where it raises.

    Raises
    ------
    ValueError
        If there are no counts at all, or a parameter is out of its range.
    """
    sums_key = (counted.key, counted.pulses is not None)
    map_key = (sums_key, options, replace(corrections, dead_time=False))
    if former is None or former.map_key != map_key:
        report(0.0, "summing the counts")
        kept = former if former is not None and former.sums_key == sums_key else None
        if kept is None or kept.sums is None:
            sums, edited = sum_counted(counted, report)
        else:
            sums, edited = kept.sums, kept.edited
        report(0.6, "taking the ratio of every pixel")
        values, whole = _maps(sums, options, corrections)
        made = RatioResult(
            options=options,
            corrections=corrections,
            map=values,
            whole=whole,
            limits=_limits(values, options),
            picture=None,
            hue=None,
            sums=sums if sums.counts.size <= _LARGEST_KEPT else None,
            sums_key=sums_key,
            map_key=map_key,
            dead_time_corrected=counted.pulses is not None and not edited,
            edited=edited,
        )
    else:
        made = replace(former, corrections=corrections)
    return made if hue is None else _coloured(made, hue, report)


def sum_counted(counted: Counted, report: Report) -> tuple[IonSums, tuple[str, ...]]:
    """Sum the frames; return the sums and which layers no longer show what was measured.

    A lazy stack tells how far it is, and can be stopped. An image that the user
    changed (cut out, cleaned) is taken as it is: then nothing is known of its pulses.
    """
    from napari_liso.counting.sums import sum_ions

    stacks = [counted.tracer, counted.other]
    for stack, name in zip(stacks, counted.names, strict=True):
        _require_counts(stack, name)
    if any(not isinstance(stack, np.ndarray) for stack in stacks):
        tell = _Progress(sum(len(stack) for stack in stacks), report)
        stacks = [_Told(stack, tell) for stack in stacks]
    sums = sum_ions(stacks[0], stacks[1], counted.pulses)
    usable = sums.pixels > 0
    edited = tuple(
        name
        for name, plane, of in zip(
            counted.names, counted.planes, (sums.tracer, sums.other), strict=True
        )
        if plane is not None and not np.array_equal(of.counts[usable], plane[usable])
    )
    if edited:
        report(0.6, "summing the counts")
        images = [
            np.asarray(part.counts if plane is None else plane)
            for plane, part in zip(counted.planes, (sums.tracer, sums.other), strict=True)
        ]
        for image, name in zip(images, counted.names, strict=True):
            _require_counts(image, name)
        sums = sum_ions(images[0], images[1])
    if not (sums.tracer.counts.any() or sums.other.counts.any()):
        raise ValueError("every count is zero: there is nothing to take a ratio of")
    return sums, edited


def _require_counts(stack: Any, name: str) -> None:
    """Refuse what was corrected already, in words that say what to do."""
    if not isinstance(stack, np.ndarray):
        return  # looked at frame by frame when it is summed
    if stack.dtype.kind == "f" and not np.all(np.isfinite(stack) & (stack == np.rint(stack))):
        raise ValueError(
            f"'{name}' holds fractional values, not counts: it looks corrected (dead time, "
            "normalised) or smoothed already. The interval of a fraction needs the ions counted "
            "in every pixel: open the raw counts, or export them again without corrections"
        )
    if stack.dtype.kind not in "uif":
        raise ValueError(f"'{name}' holds {stack.dtype} values, not counts")
    if stack.size and stack.min() < 0:
        raise ValueError(f"'{name}' holds negative values, which counts cannot be")


def _maps(sums: IonSums, options: RatioOptions, corrections: Corrections) -> tuple[Any, Any]:
    """Return the quantity of every pixel and of the whole map."""
    from napari_liso.counting.fraction import fraction_of
    from napari_liso.counting.ratio import ratio_of

    pooled = sums.binned(options.bin) if options.bin > 1 else sums
    pooled = pooled.windowed(options.window) if options.window > 1 else pooled
    everything = sums.binned(max(sums.shape))
    take: Any = fraction_of if options.quantity == "fraction" else ratio_of
    keywords = {**corrections.keywords, "confidence": options.confidence}
    made = (
        take(pooled, **keywords, min_counts=options.min_counts),
        take(everything, **keywords),
    )
    if options.quantity != "delta":
        return made
    if not options.reference > 0:
        raise ValueError("delta needs the ratio of the reference: type it beside the quantity")
    return made[0].delta(options.reference), made[1].delta(options.reference)


def _limits(values: FractionMap | RatioMap, options: RatioOptions) -> tuple[float, float]:
    """Return colour limits for a map."""
    if options.quantity == "fraction":
        limits = colours.fraction_limits(values.value, values.counts)
        return colours.readable_limits(*limits)
    if options.quantity == "ratio":
        return ratio_limits(values.value, values.counts)
    reference = options.reference
    low, high = ratio_limits((values.value / 1000 + 1) * reference, values.counts)
    return 1000 * (low / reference - 1), 1000 * (high / reference - 1)


def weighted_limits(values: NDArray[Any], counts: NDArray[Any]) -> tuple[float, float]:
    """Return the 0.5 and 99.5 percentile of values, every ion counting once; never one number."""
    ends = _percentiles(values, counts, (0.005, 0.995))
    return (0.0, 1.0) if ends is None else _apart(*ends)


def ratio_limits(ratio: NDArray[Any], counts: NDArray[Any]) -> tuple[float, float]:
    """Return colour limits of a ratio a/b that pixels of few b do not set.

    Where b is one or two counts, a/b is anything: of an enriched grain the
    percentiles of single pixels are many times its ratio. The limits are those
    of squares of pixels whose b are added; single pixels widen them only as far
    as one ion in twenty.

    Parameters
    ----------
    ratio
        (y, x), NaN without counts.
    counts
        a + b of each pixel.
    """
    narrow = _percentiles(ratio, counts, (0.25, 0.75))
    full = _percentiles(ratio, counts, (0.005, 0.995))
    known = np.isfinite(ratio) & (counts > 0) & (ratio > -1)
    below = np.where(known, counts / (1 + np.where(known, ratio, 0.0)), 0.0)  # b
    above = np.where(known, counts - below, 0.0)
    if narrow is None or full is None or not below.any():
        return 0.0, 1.0
    # a hundred counts or so of the rarer one
    rare = float(np.minimum(above.mean(), below.mean()))
    side = int(np.clip(np.ceil(np.sqrt(100 / max(rare, 1e-9))), 1, max(1, min(ratio.shape) // 8)))
    a, b = (_added(part, side) for part in (above, below))
    with np.errstate(divide="ignore", invalid="ignore"):
        squares = _percentiles(a / b, a + b, (0.005, 0.995)) or narrow
    return _apart(
        min(narrow[0], max(full[0], squares[0])), max(narrow[1], min(full[1], squares[1]))
    )


def _added(values: NDArray[Any], side: int) -> NDArray[Any]:
    """Return the sums of squares of pixels; what is left at the end is left out."""
    y, x = (length // side for length in values.shape)
    return values[: y * side, : x * side].reshape(y, side, x, side).sum(axis=(1, 3))


def _percentiles(
    values: NDArray[Any], counts: NDArray[Any], shares: tuple[float, float]
) -> tuple[float, float] | None:
    """Return two percentiles of values, every ion counting once; None without any."""
    good = np.isfinite(values) & (counts > 0)
    if not good.any():
        return None
    order = np.argsort(values[good])
    ranked, weight = values[good][order], np.cumsum(counts[good][order], dtype=float)
    low, high = ranked[np.searchsorted(weight, np.array(shares) * weight[-1])]
    return float(low), float(high)


def _apart(low: float, high: float) -> tuple[float, float]:
    """Return limits that are no single number."""
    least = 0.02 * max(abs(low), abs(high)) or 1.0
    short = max(0.0, least - (high - low)) / 2
    return low - short, high + short


def _coloured(made: RatioResult, hue: HueOptions, report: Report) -> RatioResult:
    """Return a result with its hue-intensity view."""
    resolved = replace(
        hue,
        limits=hue.limits or made.limits,
        top=hue.top or brightest(made.map.counts),
    )
    if made.picture is not None and made.hue == resolved:
        return made
    report(0.9, "colouring")
    assert resolved.limits is not None
    picture = hue_intensity(
        made.map.value,
        made.map.counts,
        resolved.limits,
        top=resolved.top,
        gamma=resolved.gamma,
        hues=resolved.hues,
    )
    return replace(made, picture=picture, hue=resolved)


@dataclass
class _Progress:
    """Counts the frames that were read."""

    count: int
    report: Report
    done: int = 0

    def one_more(self) -> None:
        self.done += 1
        self.report(0.6 * min(1.0, self.done / max(1, self.count)), "summing the counts")


class _Told:
    """A lazy stack that tells of each frame which is read from it."""

    def __init__(self, stack: Any, progress: _Progress) -> None:
        self._stack = stack
        self._progress = progress
        self.shape, self.dtype, self.ndim = stack.shape, stack.dtype, len(stack.shape)

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Any:
        self._progress.one_more()
        return self._stack[index]
