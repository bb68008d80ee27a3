"""What enters a ratio: the counts behind two layers, their pulses, and where they are from."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.isotopes import guess_pair
from napari_liso.plugin import layers as ly
from napari_liso.plugin.frames.behind import frames_behind
from napari_liso.plugin.frames.choice import choice_of
from napari_liso.plugin.ratio.work import Counted
from napari_liso.plugin.records import CORRECTIONS

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.layers import Layer

    from napari_liso.acquisition import Acquisition
    from napari_liso.counting.corrections import Corrections

__all__ = [
    "counted_behind",
    "counts_key",
    "counts_plane",
    "ordered_pair",
    "pulses_in_words",
    "turned_round",
    "why_no_dead_time",
]


def counted_behind(tracer: Layer, other: Layer, dead_time: bool, key: Hashable) -> Counted:
    """Return the counts of two layers, their frames chosen and shifted.

    Parameters
    ----------
    tracer, other
        Layers of counts of one map.
    dead_time
        Whether pulses, where known, are to correct them.
    key
        Of these counts; see `counts_key`.

    Raises
    ------
    ValueError
        If a layer holds no counts, or they do not belong together.
    """
    if tracer == other:
        raise ValueError("both isotopes are the same layer; choose two")
    ly.require_same_shape(tracer, other)
    (first, pulses), (second, _) = frames_behind(tracer), frames_behind(other)
    if tuple(first.shape) != tuple(second.shape):
        # one layer of frames and one of their sum: only the sums can be compared
        first, second, pulses = counts_plane(tracer), counts_plane(other), None
    if why_no_dead_time(tracer, other) or not dead_time:
        pulses = None
    return Counted(
        first, second, pulses, key, (tracer.name, other.name), (_plane(tracer), _plane(other))
    )


def _plane(layer: Layer) -> NDArray[Any] | None:
    """Return the image of a layer that stands for frames, if it is an array."""
    is_sum = ly.role_of(layer) == "counts" and isinstance(layer.data, np.ndarray)
    return layer.data if is_sum else None


def counts_plane(layer: Layer) -> NDArray[np.int64]:
    """Return the (y, x) counts of a layer, the chosen and shifted frames summed."""
    stack, _ = frames_behind(layer)
    if len(stack.shape) == 2:
        return np.asarray(stack).astype(np.int64)
    total = np.zeros(tuple(stack.shape[-2:]), np.int64)
    for frame in range(stack.shape[0]):
        total += np.asarray(stack[frame]).astype(np.int64)
    return total


def turned_round(corrections: Corrections, kept: Corrections) -> Corrections:
    """Return the corrections of a pair for the same pair the other way round.

    Parameters
    ----------
    corrections
        Of a to b: each keeps its background, and the instrument multiplies b/a by 1/alpha.
    kept
        Those of b to a so far. The hydride is taken from these: that of a falls on b or on
        none, never the other way.
    """
    alpha = corrections.fractionation
    if alpha.value != 1 or alpha.error:
        alpha = replace(alpha, value=1 / alpha.value, error=alpha.error / alpha.value**2)
    first, second = corrections.background
    return replace(
        corrections,
        background=(second, first),
        hydride_ratio=kept.hydride_ratio,
        fractionation=alpha,
    )


def counts_key(layer: Layer) -> Hashable:
    """Return what differs as soon as other counts or pulses are behind a layer.

    Pixels that are changed in place are not noticed; napari tells of new data.
    """
    kept = {
        k: repr(v)
        for k, v in layer.metadata.items()
        if k.startswith(ly.PROVENANCE) and k not in (ly.PROVENANCE, ly.OBJECT, CORRECTIONS)
    }
    behind = layer.metadata.get(ly.OBJECT)
    return (layer.name, _Same(layer.data), _Same(behind), tuple(sorted(kept.items())))


class _Same:
    """Equal to another of these if both stand for one object, which is kept alive for that."""

    def __init__(self, it: object) -> None:
        # what a dock gets of a viewer is a new proxy every time
        self._it = getattr(it, "__wrapped__", it)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._it is other._it

    def __hash__(self) -> int:
        return id(self._it)


def why_no_dead_time(tracer: Layer, other: Layer) -> str:
    """Say why the counts cannot be corrected for dead time, "" where they can."""
    both = [ly.acquisition_from_layer(layer) for layer in (tracer, other)]
    first, second = both
    if first is None or second is None:
        return "the layer does not say from how many pulses its counts are"
    if first.pulses is None or second.pulses is None:
        note = first.metadata.get("pulses_note") or second.metadata.get("pulses_note")
        if note:
            return str(note)
        return "the pulses behind a pixel are not known: give them under Data"
    if first is not second and not np.array_equal(first.pulses, second.pulses):
        return "the isotopes were measured with different pulses"
    if _pulses_a_pixel(first) < 2:
        return "one pulse a pixel: a count says nothing about ions that were missed"
    return ""


def pulses_in_words(layer: Layer) -> str:
    """Say how many pulses are behind a pixel."""
    acquisition = ly.acquisition_from_layer(layer)
    if acquisition is None or acquisition.pulses is None:
        return ""
    return f"from {_pulses_a_pixel(acquisition):,.4g} pulses a pixel, all frames together"


def _pulses_a_pixel(acquisition: Acquisition) -> float:
    """Return the usual number of pulses of a pixel, all frames together."""
    pulses = np.asarray(acquisition.pulses)
    choice = choice_of(acquisition)
    pulses = pulses.reshape((1,) * (3 - pulses.ndim) + pulses.shape)
    # one number for all frames is multiplied, not repeated in memory
    times = choice.stop - choice.start
    total = pulses.sum(0) * times if len(pulses) == 1 else pulses[choice.keep].sum(0)
    return float(np.median(total[total > 0])) if np.any(total) else 0.0


def ordered_pair(layers: list[Any]) -> tuple[Any, Any] | None:
    """Return (tracer, other) of two layers: by their names, else as they lie; None if not two."""
    if len(layers) != 2:
        return None
    guessed = guess_pair([ly.channel_of(layer) for layer in layers])
    first, second = (0, 1) if guessed is None else guessed
    return layers[first], layers[second]
