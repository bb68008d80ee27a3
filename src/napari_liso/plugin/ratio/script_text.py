"""A Python script that makes the same isotope map as the dock, from the file, without napari."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_liso import __version__
from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import BY_HAND, paths_of
from napari_liso.plugin.frames.behind import frame_facts
from napari_liso.plugin.frames.choice import FRAMES_USED, SHIFTS

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.measured import Measured
    from napari_liso.plugin.ratio.work import RatioOptions

__all__ = ["CountsSource", "ratio_script", "source_of"]


_MISSING = "# The file is not there any more: say where it is."


@dataclass(frozen=True)
class CountsSource:
    """Where the counts of a layer are from.

    Parameters
    ----------
    name, channel
        Of the layer, and of the channel that it shows.
    path
        What to read: a path, several, or None where no file is behind the layer.
    windows, recalibrate
        As for `napari_liso.read`; empty where it was read without.
    pulses
        Primary-ion pulses per pixel and frame that were given by hand, or None.
    frames
        ``frames_used`` and ``shifts`` as the provenance has them; empty for all
        frames as measured.
    """

    name: str
    channel: str
    path: Any = None
    windows: Mapping[str, Iterable[float]] = field(default_factory=dict)
    recalibrate: Mapping[str, float] = field(default_factory=dict)
    pulses: int | None = None
    frames: Mapping[str, Any] = field(default_factory=dict)


def source_of(layer: Layer) -> CountsSource:
    """Return where the counts of a layer are from."""
    acquisition = ly.acquisition_from_layer(layer)
    channel = ly.channel_of(layer)
    if acquisition is None:
        return CountsSource(layer.name, channel)
    facts = acquisition.metadata
    if facts.get("path") is None:
        return CountsSource(layer.name, channel, frames=frame_facts(layer))
    kept = facts.get("recalibration")
    peaks = kept["peaks"] if isinstance(kept, dict) else ()
    by_hand = facts.get("pulses_source") == BY_HAND
    return CountsSource(
        layer.name,
        channel,
        paths_of(acquisition),
        {name: tuple(window) for name, window in (facts.get("windows") or {}).items()},
        {peak["ion"]: peak["observed_u"] for peak in peaks},
        int(facts["pulses_per_pixel_and_frame"]) if by_hand else None,
        frame_facts(layer),
    )


def ratio_script(
    tracer: CountsSource,
    other: CountsSource,
    options: RatioOptions,
    corrections: Corrections,
    dead_time: bool,
) -> str:
    """Return the script, whose ``result`` is what the layer shows.

    Parameters
    ----------
    tracer, other
        Where the counts are from.
    options
        What is made of them.
    corrections
        Of background, hydride and fractionation.
    dead_time
        Whether dead time was corrected, from the pulses in the file or given by hand.
    """
    function = "isotope_fraction" if options.quantity == "fraction" else "isotope_ratio"
    module = "fraction" if options.quantity == "fraction" else "ratio"
    counts = _counts(tracer, other, dead_time)
    parts = [
        f"# {tracer.channel} and {other.channel}, as shown by napari-liso {__version__}.",
        *_imports(module, function, counts, corrections),
        "",
        *counts,
        "",
        *_call(function, options, corrections, dead_time),
    ]
    if options.quantity == "delta":
        parts.append(
            f"result = result.delta({options.reference!r})  # per mil, against this ratio"
        )
    parts += [
        "print(result.value)  # (y, x); its interval: result.lower, result.upper; result.counts",
        "",
    ]
    return "\n".join(parts)


def _imports(module: str, function: str, counts: list[str], corrections: Corrections) -> list[str]:
    """Return the imports that the lines which get the counts need, and those of the call."""
    used = "\n".join(counts)
    lines = ["import numpy as np", ""] if "np." in used else []
    if "liso." in used:
        lines.append("import napari_liso as liso")
    if "align(" in used:
        names = "align, covered" if "covered(" in used else "align"
        lines.append(f"from napari_liso.counting.drift import {names}")
    lines.append(f"from napari_liso.counting.{module} import {function}")
    if _corrected(corrections):
        lines.append("from napari_liso.counting.measured import Measured")
    return lines


def _counts(tracer: CountsSource, other: CountsSource, dead_time: bool) -> list[str]:
    """Return the lines that get the counts ``a`` and ``b``, and ``pulses`` if needed."""
    if tracer.path is None or other.path is None:
        return _placeholder(tracer, other, dead_time)
    together = _reading(tracer) == _reading(other)
    lines = [_MISSING] if any(_is_missing(source) for source in (tracer, other)) else []
    lines.append(f"acquisition = {_reading(tracer)}")
    lines += _channel("a", "acquisition", tracer, dead_time)
    if together:
        lines += _channel("b", "acquisition", other, dead_time)
    else:
        lines += [f"second = {_reading(other)}", *_channel("b", "second", other, dead_time)]
    return lines + (_pulses(tracer) if dead_time else [])


def _placeholder(tracer: CountsSource, other: CountsSource, dead_time: bool) -> list[str]:
    """Return lines that the user has to complete: no file is behind a layer."""
    lines = ["# No file is behind these layers. Save their counts with numpy.save and say where:"]
    for variable, source in (("a", tracer), ("b", other)):
        file = f"{source.channel}.npy".replace("/", "_")
        lines.append(f"{variable} = np.load({file!r})  # counts of the layer {source.name!r}")
    if dead_time:
        lines.append("pulses = np.load('pulses.npy')  # behind each of these counts")
    return lines


def _is_missing(source: CountsSource) -> bool:
    """Tell whether a file is not where it was said to be, as that of a sample."""
    paths = [source.path] if isinstance(source.path, str) else list(source.path)
    return not all(Path(str(one)).exists() for one in paths)


def _reading(source: CountsSource) -> str:
    """Return the call that reads a file."""
    path = source.path
    paths = str(path) if isinstance(path, str) else [str(one) for one in path]
    if not source.windows and not source.recalibrate:
        return f"liso.read({paths!r})"
    lines = ["liso.read(", f"    {paths!r},"]
    if source.windows:
        lines.append("    windows={")
        for name, window in source.windows.items():
            lines.append(f"        {name!r}: {tuple(float(v) for v in window)!r},")
        lines.append("    },")
    if source.recalibrate:
        lines.append(f"    recalibrate={dict(source.recalibrate)!r},")
    return "\n".join([*lines, ")"])


def _channel(variable: str, acquisition: str, source: CountsSource, dead_time: bool) -> list[str]:
    """Return the lines that take the counts of a channel, frame by frame where it matters."""
    channel = repr(source.channel)
    if not source.frames and not dead_time:
        return [f"{variable} = {acquisition}[{channel}]  # (y, x), frames summed"]
    stack = f"{acquisition}.counts[{acquisition}.channels.index({channel})]"
    if source.frames.get(SHIFTS):
        return [
            *_frames(source),
            f"{variable} = align({stack}, shifts, frames)",
        ]
    if source.frames:
        return [*_frames(source), f"{variable} = {stack}[frames]  # (frame, y, x)"]
    return [f"{variable} = {stack}  # (frame, y, x)"]


def _frames(source: CountsSource) -> list[str]:
    start, stop = source.frames[FRAMES_USED]
    lines = [f"frames = slice({start}, {stop})  # counted from 0"]
    if source.frames.get(SHIFTS):
        pairs = [tuple(pair) for pair in source.frames[SHIFTS]]
        lines.append(f"shifts = {pairs!r}  # (dy, dx) of every frame of the file, in pixels")
    return lines


def _pulses(source: CountsSource) -> list[str]:
    """Return the lines that say how many pulses are behind each entry of the counts."""
    given = "acquisition.pulses" if source.pulses is None else repr(source.pulses)
    if not source.frames:
        return [f"pulses = {given}  # per pixel and frame"]
    if source.frames.get(SHIFTS):
        return [
            "shape = acquisition.counts.shape[1:]",
            f"pulses = np.broadcast_to({given}, shape)[frames]",
            "pulses = covered(a.shape, shifts[frames], pulses)  # 0 where a frame does not reach",
        ]
    if source.pulses is not None:
        return [f"pulses = {given}  # per pixel and frame, given by hand"]
    return [f"pulses = np.broadcast_to({given}, acquisition.counts.shape[1:])[frames]"]


def _call(
    function: str, options: RatioOptions, corrections: Corrections, dead_time: bool
) -> list[str]:
    lines = [f"result = {function}(", "    a,", "    b,"]
    if dead_time:
        lines.append("    pulses,")
    if any(not _is_neutral(b, 0.0) for b in corrections.background):
        first, second = (_written(b) for b in corrections.background)
        lines += ["    background=(", f"        {first},", f"        {second},", "    ),"]
    if not _is_neutral(corrections.hydride_ratio, 0.0):
        lines.append(f"    hydride_ratio={_written(corrections.hydride_ratio)},")
    if not _is_neutral(corrections.fractionation, 1.0):
        lines.append(f"    fractionation={_written(corrections.fractionation)},")
    lines.append(f"    confidence={options.confidence!r},")
    for name, usual in (("bin", 1), ("window", 1), ("min_counts", 1)):
        if getattr(options, name) != usual:
            lines.append(f"    {name}={getattr(options, name)!r},")
    return [*lines, ")"]


def _written(measured: Measured) -> str:
    return f"Measured({measured.value!r}, {measured.error!r}, {measured.source!r})"


def _is_neutral(measured: Measured, value: float) -> bool:
    return measured.value == value and measured.error == 0


def _corrected(corrections: Corrections) -> bool:
    return not (
        all(_is_neutral(b, 0.0) for b in corrections.background)
        and _is_neutral(corrections.hydride_ratio, 0.0)
        and _is_neutral(corrections.fractionation, 1.0)
    )
