"""Frames behind layers of counts: chosen, shifted, undone, and read by whatever follows."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.acquisition import Acquisition
from napari_liso.counting.drift import AlignedStack
from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import give_pulses, pulses_behind, with_facts_of
from napari_liso.plugin.frames.behind import (
    choice_of,
    choose_frames,
    frame_facts,
    frames_behind,
    reset_frames,
    undo_frames,
)
from napari_liso.plugin.frames.choice import applied
from napari_liso.readers._lazy import LazyCounts

from .conftest import acquisition_of

SHIFTS = [(0, 0), (1, 0), (0, -2), (3, 1)]


def shifted(image: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Move an image pixel by pixel, the plain way."""
    out = np.zeros_like(image)
    for y in range(image.shape[0]):
        for x in range(image.shape[1]):
            if 0 <= y + dy < image.shape[0] and 0 <= x + dx < image.shape[1]:
                out[y + dy, x + dx] = image[y, x]
    return out


def of_four(**options: Any) -> Acquisition:
    return acquisition_of((6, 8), frames=4, **options)


def lazy(acquisition: Acquisition) -> Acquisition:
    counts = acquisition.counts
    made = LazyCounts(counts.shape, counts.dtype, lambda channel, frame: counts[channel, frame])
    return replace(acquisition, counts=made)


def add(viewer: ViewerModel, acquisition: Acquisition, frames: bool = False) -> Acquisition:
    for layer_data in ly.acquisition_layers(acquisition, frames):
        ly.show(viewer, layer_data)
    return acquisition


@pytest.mark.parametrize("make", [lambda a: a, lazy], ids=["plain", "lazy"])
def test_layers_hold_the_sum_of_the_chosen_shifted_frames(viewer: ViewerModel, make: Any) -> None:
    plain = of_four()
    acquisition = add(viewer, make(plain))
    choose_frames(viewer, acquisition, 1, 4, SHIFTS)
    for channel, name in enumerate(plain.channels):
        layer = viewer.layers[name]
        frames = [shifted(plain.counts[channel, f], *SHIFTS[f]) for f in (1, 2, 3)]
        assert np.array_equal(layer.data, np.sum(frames, axis=0))
        assert layer.data.dtype.kind == "i"
        stack, pulses = frames_behind(layer)
        assert np.array_equal(np.asarray(stack), frames)
        assert isinstance(stack, AlignedStack if make is lazy else np.ndarray)
        assert pulses is None
        assert np.array_equal(ly.counts_from_layer(layer), layer.data)
        record = json.loads(json.dumps(layer.metadata[ly.PROVENANCE]))
        assert record["frames_used"] == [1, 4]
        assert record["shifts"] == [list(pair) for pair in SHIFTS]
        assert frame_facts(layer)["frames_used"] == [1, 4]
    assert np.array_equal(acquisition["6Li"], plain.counts[0].sum(axis=0))  # itself unchanged


def test_undo_goes_back_and_forth_and_reset_takes_all(viewer: ViewerModel) -> None:
    acquisition = add(viewer, of_four())
    layer = viewer.layers["6Li"]
    everything = layer.data.copy()
    now = choose_frames(viewer, acquisition, 0, 2)
    first = layer.data.copy()
    now = choose_frames(viewer, now, 2, 4, SHIFTS)
    second = layer.data.copy()
    now = undo_frames(viewer, now)
    assert np.array_equal(layer.data, first)
    assert choice_of(now).stop == 2
    now = undo_frames(viewer, now)
    assert np.array_equal(layer.data, second)
    now = reset_frames(viewer, now)
    assert np.array_equal(layer.data, everything)
    assert frame_facts(layer) == {}
    assert "frames_used" not in layer.metadata[ly.PROVENANCE]
    undo_frames(viewer, now)
    assert np.array_equal(layer.data, second)


def test_without_a_choice_there_is_nothing_to_undo(viewer: ViewerModel) -> None:
    acquisition = add(viewer, of_four())
    with pytest.raises(ValueError, match="nothing to undo"):
        undo_frames(viewer, acquisition)


@pytest.mark.parametrize(
    ("start", "stop", "shifts", "message"),
    [
        (2, 2, None, "frames 3 to 2"),
        (0, 5, None, "there are 4"),
        (-1, 2, None, "cannot be used"),
        (0, 4, [(1, 1)], "4 frames need as many shifts"),
        (0, 4, np.full((4, 2), 0.5), "whole pixels"),
    ],
)
def test_impossible_choices_are_refused(
    viewer: ViewerModel, start: int, stop: int, shifts: Any, message: str
) -> None:
    acquisition = add(viewer, of_four())
    before = viewer.layers["6Li"].data.copy()
    with pytest.raises(ValueError, match=message):
        choose_frames(viewer, acquisition, start, stop, shifts)
    assert np.array_equal(viewer.layers["6Li"].data, before)


def test_pulses_follow_the_frames_to_where_they_lie(viewer: ViewerModel) -> None:
    acquisition = add(viewer, of_four())
    give_pulses(viewer, acquisition, 50)
    layer = viewer.layers["6Li"]
    assert (pulses_behind(layer) == 200).all()
    choose_frames(viewer, ly.acquisition_from_layer(layer), 1, 4)
    assert (pulses_behind(layer) == 150).all()
    _, pulses = frames_behind(layer)
    assert pulses.shape == (3, 6, 8)
    assert (pulses == 50).all()
    choose_frames(viewer, ly.acquisition_from_layer(layer), 1, 4, SHIFTS)
    expected = [shifted(np.full((6, 8), 50), *SHIFTS[f]) for f in (1, 2, 3)]
    assert np.array_equal(np.asarray(frames_behind(layer)[1]), expected)
    assert np.array_equal(pulses_behind(layer), np.sum(expected, axis=0))


@pytest.mark.parametrize("pulses", [np.array([[[3]], [[4]], [[5]], [[6]]]), np.arange(48) + 1])
def test_pulses_that_differ_are_summed_over_chosen_frames(pulses: np.ndarray) -> None:
    pulses = pulses.reshape(-1, 1, 1) if pulses.ndim == 3 else pulses.reshape(1, 6, 8)
    acquisition = replace(of_four(), pulses=pulses)
    viewer = ViewerModel()
    add(viewer, acquisition)
    choose_frames(viewer, acquisition, 1, 3)
    every = np.broadcast_to(pulses, (4, 6, 8))
    assert np.array_equal(pulses_behind(viewer.layers["7Li"]), every[1:3].sum(axis=0))


def test_colour_limits_set_by_hand_stay(viewer: ViewerModel) -> None:
    acquisition = add(viewer, of_four())
    viewer.layers["6Li"].contrast_limits = (5, 33)
    before = viewer.layers["7Li"].contrast_limits
    choose_frames(viewer, acquisition, 0, 1)
    assert tuple(viewer.layers["6Li"].contrast_limits) == (5, 33)
    assert viewer.layers["7Li"].contrast_limits[1] < before[1] / 2


def test_stacks_show_the_chosen_frames_under_their_numbers(viewer: ViewerModel) -> None:
    plain = of_four()
    acquisition = add(viewer, lazy(plain), frames=True)
    layer = viewer.layers["6Li scans"]
    choose_frames(viewer, acquisition, 2, 4, SHIFTS)
    assert layer.data.shape == (2, 6, 8)
    assert np.array_equal(layer.data[1], shifted(plain.counts[0, 3], *SHIFTS[3]))
    assert layer.translate[0] == 2
    assert np.array_equal(
        ly.counts_from_layer(layer),
        shifted(plain.counts[0, 2], *SHIFTS[2]) + shifted(plain.counts[0, 3], *SHIFTS[3]),
    )
    undo_frames(viewer, ly.acquisition_from_layer(layer))
    assert layer.data.shape == (4, 6, 8)
    assert layer.translate[0] == 0


def test_a_choice_survives_reading_the_file_again(viewer: ViewerModel) -> None:
    former = choose_frames(viewer, add(viewer, of_four()), 1, 4, SHIFTS)
    again = with_facts_of(of_four(), former)
    data, arguments, _ = ly.acquisition_layers(again)[0]
    assert np.array_equal(data, viewer.layers["6Li"].data)
    assert arguments["metadata"][ly.PROVENANCE]["frames_used"] == [1, 4]
    # a reading with another number of frames cannot take it
    assert "frames_used" not in with_facts_of(of_four().sum(), former).metadata


def test_images_that_are_not_ours_are_taken_as_they_are(viewer: ViewerModel) -> None:
    flat = viewer.add_image(np.arange(12).reshape(3, 4), name="flat")
    deep = viewer.add_image(np.arange(24).reshape(2, 3, 4), name="deep")
    assert frames_behind(flat)[0].shape == (1, 3, 4)
    assert np.array_equal(frames_behind(deep)[0], deep.data)
    assert frames_behind(deep)[1] is None
    with pytest.raises(ValueError, match="not an image"):
        frames_behind(viewer.add_labels(np.ones((3, 4), int)))


@pytest.mark.parametrize("make", [lambda a: a, lazy], ids=["plain", "lazy"])
def test_a_choice_can_be_made_the_measurement_itself(viewer: ViewerModel, make: Any) -> None:
    acquisition = replace(make(of_four()), pulses=np.full((1, 1, 1), 9))
    chosen = choose_frames(viewer, add(viewer, acquisition), 1, 4, SHIFTS)
    made = applied(chosen)
    layer = viewer.layers["7Li"]
    assert made.counts.shape == (2, 3, 6, 8)
    assert np.array_equal(made["7Li"], layer.data)
    assert np.array_equal(np.asarray(made.pulses).sum(axis=0), pulses_behind(layer))
    assert choice_of(made).takes_all(3)  # it cannot be made twice
    assert made.metadata["frames_applied"]["frames_used"] == [1, 4]
    assert applied(acquisition) is acquisition
