"""Frames and drift in the dock: drafts, shifts, Apply and Undo, and the course over the frames."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from scipy import ndimage

from napari_liso.acquisition import Acquisition
from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.frames.panel import FramesPanel
from napari_liso.plugin.widgets.main import RatioDock

from .conftest import acquisition_of, add_grains, add_map, finish, warned

PATH = [(0, 0), (1, 0), (2, -1), (2, -2), (3, -2)]


def drifting(counts: float = 20.0) -> Acquisition:
    """6Li and 7Li of a sample that moves by `PATH`; the first frame has more 6Li."""
    rng = np.random.default_rng(3)
    image = ndimage.gaussian_filter(rng.normal(size=(72, 76)), 2.0)
    image = counts * np.exp(0.5 * image / image.std())
    frames = np.array([image[8 + y : 56 + y, 8 + x : 60 + x] for y, x in PATH])
    share = np.array([0.5, 0.3, 0.3, 0.3, 0.3])[:, None, None]
    stack = np.stack([rng.poisson(frames * share), rng.poisson(frames * (1 - share))])
    return replace(acquisition_of((48, 52), frames=5), counts=stack)


def add(viewer: ViewerModel, acquisition: Acquisition) -> Acquisition:
    for layer_data in ly.acquisition_layers(acquisition):
        ly.show(viewer, layer_data)
    return acquisition


@pytest.fixture
def panel(viewer: ViewerModel, qtbot: Any) -> FramesPanel:
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    dock.frames.dock = dock  # keep it alive
    return dock.frames


def show_course(panel: FramesPanel, qtbot: Any) -> None:
    panel.setVisible(True)
    qtbot.waitUntil(lambda: not panel.course.newest.pending, timeout=5000)
    finish(qtbot, panel.course.task)


def header(panel: FramesPanel) -> str:
    return next(s.header.text() for s in panel.dock.steps if s.panel is panel)


# --- choosing ---------------------------------------------------------------------------------


def test_frames_are_counted_as_a_person_counts(panel: FramesPanel, viewer, qtbot) -> None:
    acquisition = add(viewer, drifting())
    assert (panel.first.value(), panel.last.value(), panel.last.maximum()) == (1, 5, 5)
    assert panel.of.text() == "of 5"
    assert "this is in use" in panel.apply_button.toolTip()
    panel.first.setValue(2)
    panel.last.setValue(4)
    panel.apply()
    finish(qtbot, panel.task)
    assert np.array_equal(viewer.layers["6Li"].data, acquisition.counts[0, 1:4].sum(axis=0))
    assert np.array_equal(viewer.layers["7Li"].data, acquisition.counts[1, 1:4].sum(axis=0))
    assert panel.message.text() == "In use: frames 2 to 4 of 5."
    assert header(panel).endswith("2 to 4 of 5")


def test_nothing_changes_before_apply(panel: FramesPanel, viewer) -> None:
    add(viewer, drifting())
    before = viewer.layers["6Li"].data.copy()
    panel.first.setValue(3)
    panel.drop_first()
    assert panel.first.value() == 4
    assert np.array_equal(viewer.layers["6Li"].data, before)
    assert header(panel).endswith("all 5")


def test_the_first_frame_pushes_the_last(panel: FramesPanel, viewer) -> None:
    add(viewer, drifting())
    panel.last.setValue(2)
    panel.first.setValue(4)
    assert (panel.first.value(), panel.last.value()) == (4, 4)
    assert not panel.drop_button.isEnabled()
    panel.last.setValue(1)
    assert (panel.first.value(), panel.last.value()) == (1, 1)


def test_undo_steps_through_the_draft_and_then_takes_back_apply(panel, viewer, qtbot) -> None:
    add(viewer, drifting())
    everything = viewer.layers["6Li"].data.copy()
    assert not panel.undo_button.isEnabled()
    panel.first.setValue(2)
    panel.first.setValue(3)
    panel.undo()
    assert panel.first.value() == 2
    panel.apply()
    finish(qtbot, panel.task)
    panel.undo()
    finish(qtbot, panel.task)
    assert np.array_equal(viewer.layers["6Li"].data, everything)
    assert panel.first.value() == 1
    panel.first.setValue(4)
    panel.reset()
    finish(qtbot, panel.task)
    assert panel.first.value() == 1
    assert np.array_equal(viewer.layers["6Li"].data, everything)


# --- drift ------------------------------------------------------------------------------------


@pytest.mark.parametrize("channel", ["all ions together", "7Li"])
def test_drift_is_found_shown_and_applied(panel, viewer, qtbot, channel: str) -> None:
    acquisition = add(viewer, drifting())
    panel.channel.setCurrentText(channel)
    panel.find()
    finish(qtbot, panel.task)
    assert panel.draft.shifts == tuple(PATH)
    texts = [panel.table.item(4, column).text() for column in range(3)]
    assert texts == ["5", "+3", "−2"]
    assert "moved by up to 3 px" in panel.message.text()
    panel.apply()
    finish(qtbot, panel.task)
    whole = acquisition.counts[0].astype(int)
    # one pixel, by hand: where the sample of (20, 30) was in each frame
    at = sum(int(whole[f, 20 - y, 30 - x]) for f, (y, x) in enumerate(PATH))
    assert viewer.layers["6Li"].data[20, 30] == at
    assert header(panel).endswith("1 to 5 of 5, shifted")


def test_shifts_can_be_typed_and_nonsense_is_refused(panel, viewer) -> None:
    add(viewer, drifting())
    panel.table.item(1, 1).setText("-4")
    assert panel.draft.shifts == ((0, 0), (-4, 0), (0, 0), (0, 0), (0, 0))
    panel.table.item(1, 2).setText("half")
    assert "not a whole number" in panel.message.text()
    assert panel.table.item(1, 2).text() == "0"
    panel.undo()
    assert panel.draft.shifts is None
    assert panel.table.item(1, 1).text() == "0"


def test_frames_that_cannot_tell_are_marked(panel, viewer, qtbot) -> None:
    acquisition = drifting()
    acquisition.counts[:, 2] = 0
    add(viewer, acquisition)
    panel.find()
    finish(qtbot, panel.task)
    assert "unsure" in panel.table.item(2, 3).text()
    assert panel.table.item(1, 3).text() == ""
    assert "1 frame has too few counts" in panel.message.text()


def test_the_search_can_be_stopped(panel, viewer, qtbot) -> None:
    add(viewer, drifting())
    panel.find()
    panel.task.cancel()
    finish(qtbot, panel.task)
    qtbot.waitUntil(lambda: "Stopped" in panel.message.text(), timeout=5000)
    assert panel.draft.shifts is None
    assert panel.find_button.isEnabled()


# --- the course -------------------------------------------------------------------------------


def test_the_course_judges_the_frames_in_use_and_proposes_which_to_drop(
    panel, viewer, qtbot
) -> None:
    acquisition = add(viewer, drifting())
    show_course(panel, qtbot)
    course = panel.course.course
    assert course.tracer.tolist() == acquisition.counts[0].sum(axis=(1, 2)).tolist()
    texts = [label.text() for label in panel.course.findings._labels]
    assert "drop it" in texts[1]
    panel.drop_first()
    assert panel.first.value() == 2
    texts = [label.text() for label in panel.course.findings._labels]
    assert "Every frame has the same fraction" in texts[1]
    assert panel.course.plot._used == (1, 5)


def test_the_course_is_of_a_region_and_of_pixels_that_all_frames_reach(
    panel, viewer, qtbot
) -> None:
    acquisition = add(viewer, drifting())
    labels = np.zeros((48, 52), int)
    labels[10:20, 10:20], labels[30:40, 10:20] = 1, 2
    layer = viewer.add_labels(labels, name="places", scale=(0.5, 0.5))
    layer.units = ("um", "um")
    panel.course.region.choice.choose(layer)
    panel.course.region.region.setCurrentIndex(2)
    show_course(panel, qtbot)
    expected = acquisition.counts[0, :, 30:40, 10:20].sum(axis=(1, 2))
    assert panel.course.course.tracer.tolist() == expected.tolist()
    panel.course.region.choice.choose(None)
    panel.table.item(4, 1).setText("6")
    panel.apply()
    finish(qtbot, panel.task)
    show_course(panel, qtbot)
    expected = acquisition.counts[0, 0, 6:].sum()
    assert panel.course.course.tracer[0] == expected


def test_dragging_over_the_plot_chooses_frames(panel, viewer, qtbot) -> None:
    add(viewer, drifting())
    show_course(panel, qtbot)
    panel.course.plot._on_span(1.7, 4.2)
    assert (panel.first.value(), panel.last.value()) == (2, 4)
    panel.course.plot._on_span(3.0, 3.1)  # a click is no range
    assert (panel.first.value(), panel.last.value()) == (2, 4)


# --- what has no frames -----------------------------------------------------------------------


def test_one_frame_is_told(panel, viewer) -> None:
    add_map(viewer)
    assert "one frame only" in panel.hint.text()
    assert panel.body.isHidden()
    assert header(panel).endswith("one frame")


def test_stacks_of_others_have_a_course_but_no_choice(panel, viewer, qtbot) -> None:
    frames = drifting().counts
    for name, stack in zip(("6Li", "7Li"), frames, strict=True):
        viewer.add_image(stack, name=name)
    assert not panel.apply_button.isEnabled()
    assert "cannot be chosen" in panel.apply_button.toolTip()
    show_course(panel, qtbot)
    assert panel.course.course.tracer.tolist() == frames[0].sum(axis=(1, 2)).tolist()


def test_another_file_brings_its_own_frames(panel, viewer) -> None:
    add(viewer, drifting())
    panel.first.setValue(3)
    add_grains(viewer)
    assert panel.first.value() == 3  # other layers do not matter
    other = acquisition_of((24, 30), frames=2)
    other = replace(other, metadata={**other.metadata, "path": "other.test"})
    for data, arguments, kind in ly.acquisition_layers(other):
        ly.add(viewer, (data, {**arguments, "name": f"{arguments['name']} B"}, kind))
    panel.context.tracer.choose(viewer.layers["6Li B"])
    panel.context.other.choose(viewer.layers["7Li B"])
    assert (panel.first.value(), panel.last.value(), panel.last.maximum()) == (1, 2, 2)
    assert not warned()
