"""What the panels of regions and lines ask for: the counts of a dock with their corrections."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from napari_liso.plugin import layers as ly
from napari_liso.plugin.frames.behind import frame_facts
from napari_liso.plugin.ratio.input import counted_behind, counts_key
from napari_liso.plugin.regions.work import Asked, SumsKept

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.plugin.context import Context

__all__ = ["asked_of", "pixel_size_of", "signature_of"]

_KEPT: WeakKeyDictionary[Context, SumsKept] = WeakKeyDictionary()


def asked_of(context: Context, drawn: Layer) -> Asked:
    """Return what is asked for with the chosen counts and a layer that is drawn on them.

    Raises
    ------
    ValueError
        If counts are missing or do not belong together.
    """
    counts = context.counts
    if counts is None:
        raise ValueError("choose the counts of two isotopes under Data")
    tracer, other = counts
    corrections = context.corrections
    key = (counts_key(tracer), counts_key(other))
    return Asked(
        counted=counted_behind(tracer, other, corrections.dead_time, key),
        corrections=corrections,
        pixel_size=pixel_size_of(tracer),
        sources=(tracer.name, other.name, drawn.name),
        kept=_KEPT.setdefault(context, SumsKept()),
        frames=frame_facts(tracer),
    )


def pixel_size_of(counts: Layer) -> tuple[float, float] | None:
    """Return the (y, x) pixel size of counts in m, None where it is unknown."""
    return ly.pixel_size_from_layer(counts) if ly.has_length_unit(counts) else None


def signature_of(context: Context) -> Hashable:
    """Return what differs as soon as the counts, their place or their corrections do."""
    counts = context.counts
    if counts is None:
        return None
    tracer = counts[0]
    corners = ((0.0,) * tracer.ndim, (1.0,) * tracer.ndim)
    place = tuple(tuple(float(v) for v in tracer.data_to_world(c)) for c in corners)
    keys = tuple(counts_key(layer) for layer in counts)
    return (keys, place, tuple(str(unit) for unit in tracer.units), context.corrections)
