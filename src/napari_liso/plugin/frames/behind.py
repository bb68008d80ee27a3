"""Frames behind layers of counts: which are used, shifted by how much, and how that is changed.

Whatever reads counts from a layer then reads those of the chosen frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import ArrayLike

from napari_liso.counting.drift import align
from napari_liso.plugin import colours
from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import layers_of
from napari_liso.plugin.frames.choice import (
    FRAMES_USED,
    SHIFTS,
    FrameChoice,
    Report,
    choice_before,
    choice_facts,
    choice_of,
    chosen_pulses,
    chosen_stack,
    chosen_sum,
    with_choice,
)
from napari_liso.readers._lazy import channel_stack

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_liso.acquisition import Acquisition

__all__ = [
    "FrameChoice",
    "TogetherStack",
    "choice_before",
    "choice_of",
    "choose_frames",
    "every_frame_behind",
    "frame_facts",
    "frames_behind",
    "made_choice",
    "reset_frames",
    "show_choice",
    "summed",
    "undo_frames",
]


def frames_behind(layer: Layer) -> tuple[Any, Any | None]:
    """Return the counts that a layer stands for, frame by frame, and their pulses.

    Parameters
    ----------
    layer
        Counts of an acquisition, or any image of counts, (y, x) or a stack.

    Returns
    -------
    stack
        (frame, y, x), an array or a lazy array-like with ``shape``, ``dtype`` and
        ``[i]``: the chosen frames, shifted.
    pulses
        Primary-ion pulses behind each entry, of the shape of `stack`, 0 where a
        shifted frame does not reach; None where unknown.

    Raises
    ------
    ValueError
        If the layer is no image.
    """
    acquisition = ly.acquisition_from_layer(layer)
    if acquisition is not None and ly.has_image(acquisition):
        place = _place(layer, acquisition)
        same = tuple(layer.data.shape[-2:]) == tuple(acquisition.counts.shape[2:])
        if place is not None and same:
            return chosen_stack(acquisition, place), chosen_pulses(acquisition)
    if layer.__class__.__name__ != "Image" or cast("Image", layer).rgb or layer.ndim < 2:
        raise ValueError(f"'{layer.name}' is not an image of counts")
    data = layer.data[0] if cast("Image", layer).multiscale else layer.data
    if len(data.shape) == 3:
        return data, None
    image = np.asarray(data)
    return image.reshape(-1, *image.shape[-2:]), None


def every_frame_behind(layer: Layer) -> Any:
    """Return (frame, y, x) of all frames of a layer's file, also of those not used; shifted.

    Raises
    ------
    ValueError
        If the layer is no image.
    """
    acquisition = ly.acquisition_from_layer(layer)
    place = None if acquisition is None else _place(layer, acquisition)
    if acquisition is None or place is None or not ly.has_image(acquisition):
        return frames_behind(layer)[0]
    shifts = choice_of(acquisition).shifts
    return align(channel_stack(acquisition.counts, place), shifts)


class TogetherStack:
    """All channels of an acquisition added up, (frame, y, x), made when indexed."""

    def __init__(self, acquisition: Acquisition) -> None:
        self._counts = acquisition.counts
        self.shape = tuple(int(n) for n in acquisition.counts.shape[1:])
        kind = np.dtype(acquisition.counts.dtype).kind
        self.dtype = np.dtype(np.int64 if kind in "iu" else np.float64)

    def __getitem__(self, frame: int) -> Any:
        total = np.zeros(self.shape[1:], self.dtype)
        for channel in range(self._counts.shape[0]):
            total += self._counts[channel, frame]
        return total


def frame_facts(layer: Layer) -> dict[str, Any]:
    """Return which frames a layer of counts stands for, in JSON-able words for a provenance.

    ``frames_used`` [start, stop) counted from 0, and ``shifts`` [dy, dx] of
    every frame of the file or None; empty where all frames are used as measured.
    """
    acquisition = ly.acquisition_from_layer(layer)
    return {} if acquisition is None else choice_facts(acquisition)


# --- choosing ---------------------------------------------------------------------------------


def choose_frames(
    viewer: ViewerModel,
    acquisition: Acquisition,
    start: int,
    stop: int,
    shifts: ArrayLike | None = None,
) -> Acquisition:
    """Use some frames of a measurement, shifted, in all layers of its counts.

    Parameters
    ----------
    viewer
        With the layers.
    acquisition
        The measurement.
    start, stop
        Frames counted from 0, `stop` not included.
    shifts
        Whole pixels (dy, dx) of every frame of the file, (frame, 2); None: none.

    Returns
    -------
    Acquisition
        As its layers have it now.

    Raises
    ------
    ValueError
        If there are no such frames or shifts.
    """
    chosen = made_choice(acquisition, FrameChoice.of(start, stop, shifts))
    show_choice(viewer, chosen, summed(chosen))
    return chosen


def reset_frames(viewer: ViewerModel, acquisition: Acquisition) -> Acquisition:
    """Use all frames as they were measured."""
    return choose_frames(viewer, acquisition, 0, int(acquisition.counts.shape[1]))


def undo_frames(viewer: ViewerModel, acquisition: Acquisition) -> Acquisition:
    """Go back to the choice before the last one; once more comes forth again."""
    before = choice_before(acquisition)
    if before is None:
        raise ValueError("no frames were chosen yet: there is nothing to undo")
    return choose_frames(viewer, acquisition, before.start, before.stop, before.shifts)


def made_choice(acquisition: Acquisition, choice: FrameChoice) -> Acquisition:
    """Return an acquisition with a new choice, which Undo can take back; any thread."""
    return with_choice(acquisition, choice, choice_of(acquisition))


def summed(acquisition: Acquisition, report: Report | None = None) -> list[Any]:
    """Return the (y, x) sums of the chosen frames, one a channel; any thread."""
    count = len(acquisition.channels)

    def part(channel: int) -> Report | None:
        if report is None:
            return None
        return lambda done, text: report((channel + done) / count, text)

    return [chosen_sum(acquisition, channel, part(channel)) for channel in range(count)]


def show_choice(viewer: ViewerModel, acquisition: Acquisition, sums: list[Any]) -> None:
    """Put sums of the chosen frames into every layer of a measurement's counts.

    Parameters
    ----------
    viewer
        With the layers.
    acquisition
        With its choice of frames (`made_choice`).
    sums
        As `summed` returns them.
    """
    choice, before = choice_of(acquisition), choice_before(acquisition)
    frames = acquisition.counts.shape[1]
    for layer in layers_of(viewer, acquisition):
        own = ly.acquisition_from_layer(layer)
        if own is None or ly.role_of(layer) == "profile" or own.counts.shape[1] != frames:
            continue
        place = _place(layer, own)
        if place is None:
            continue
        mine = own.counts is acquisition.counts and own.channels == acquisition.channels
        now = with_choice(own, choice, before)
        if ly.role_of(layer) == "scans":
            stack = chosen_stack(now, place)
            limits = _take(layer, stack, np.asarray(stack[len(stack) // 2]))
            # so that the slider goes on naming frames as the file counts them
            layer.translate = (choice.start * layer.scale[0], *layer.translate[1:])
        else:
            total = sums[place] if mine else chosen_sum(now, place)
            limits = _take(layer, total, total)
        kept = {
            key: value
            for key, value in layer.metadata[ly.PROVENANCE].items()
            if key not in (FRAMES_USED, SHIFTS)
        }
        record = {**kept, **limits, **choice_facts(now), "acquisition": now.metadata}
        # last, so that whoever follows the metadata finds the new counts
        layer.metadata = {**layer.metadata, ly.PROVENANCE: record, ly.OBJECT: now}


def _take(layer: Any, data: Any, preview: Any) -> dict[str, Any]:
    """Give a layer new data, and new limits of its colours unless they were set by hand."""
    ours = layer.metadata[ly.PROVENANCE].get("contrast_limits")
    untouched = ours is not None and np.allclose(ours, layer.contrast_limits)
    layer.data = data
    if not untouched:
        return {}
    limits = colours.count_limits(preview)
    layer.contrast_limits = limits
    return {"contrast_limits": list(limits)}


def _place(layer: Layer, acquisition: Acquisition) -> int | None:
    """Return the number of the channel that a layer shows, None where it is not of these."""
    channel = layer.metadata[ly.PROVENANCE].get("channel")
    return acquisition.channels.index(channel) if channel in acquisition.channels else None
