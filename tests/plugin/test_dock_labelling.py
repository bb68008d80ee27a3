"""The dock Label boundaries: what its buttons and keys do, and what it says."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.modes import Tool
from napari_liso.plugin.selection import selection_of
from napari_liso.plugin.widgets.main import BoundaryDock

from .conftest import PIXEL, add_boundaries, add_grains, add_map, finish, grains_of_three, warned
from .mouse import Mouse
from .test_labelling_keys import press


@pytest.fixture
def bench(viewer: ViewerModel, qtbot: Any) -> BoundaryDock:
    """A dock on the screen, over a map without grains."""
    add_map(viewer)
    dock = BoundaryDock(viewer)
    qtbot.addWidget(dock)
    with qtbot.waitExposed(dock):
        dock.show()
    return dock


@pytest.fixture
def found(bench: BoundaryDock, viewer: ViewerModel, qtbot: Any) -> BoundaryDock:
    """With three grains, and their boundaries, which it has found by itself."""
    add_grains(viewer)
    finish(qtbot, bench.grains.task)
    return bench


def states(dock: BoundaryDock) -> list[str]:
    boundaries = dock.context.current_boundaries()
    assert boundaries is not None
    return [str(state) for state in boundaries.table["state"]]


def labels(viewer: ViewerModel) -> np.ndarray:
    return np.asarray(viewer.layers["Grains"].data)


def button(dock: BoundaryDock, name: str) -> Any:
    return {**dock.edit.tool_row.buttons, **dock.edit.action_row.buttons}[name]


# --- grains ---


def test_boundaries_of_opened_grains_are_found_by_themselves(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    assert not button(bench, "draw").isEnabled()
    assert "Not yet: find boundaries" in button(bench, "draw").toolTip()
    add_grains(viewer)
    finish(qtbot, bench.grains.task)
    assert "Grain boundaries" in viewer.layers
    assert bench.grains.message.text() == "3 boundaries, 20 µm in all."
    assert all(step.header.text().endswith("✓") for step in bench.steps)
    assert button(bench, "draw").isEnabled()


def test_labels_without_boundaries_are_left_in_peace(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    viewer.add_labels(np.ones((24, 30), int), scale=(0.5, 0.5), units=("um", "um"))
    finish(qtbot, bench.grains.task)
    assert bench.grains.message.text() == ""
    assert warned() == []
    assert [x.name for x in viewer.layers][2:] == ["Labels"]


def test_lines_divide_a_map_of_one_grain(bench: BoundaryDock, viewer: ViewerModel) -> None:
    bench.grains.begin_with_one_grain()
    assert np.unique(labels(viewer)).tolist() == [1]
    assert bench.edit.tools is not None
    assert bench.edit.tools.tool == Tool.DRAW
    assert button(bench, "draw").isChecked()
    mouse = Mouse(viewer)
    mouse.drag([(12, -1), (12, 10), (12, 31)])
    mouse.drag([(-1, 15), (5, 15), (12, 15)])
    assert len(np.unique(labels(viewer))) == 3
    assert bench.boundaries.table.model().rowCount() == 3


def test_boundaries_appear_while_grains_are_painted(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    bench.grains.add_empty_grains()
    layer = viewer.layers["Grains"]
    layer.data_setitem(np.nonzero(grains_of_three() == 1), 1)
    qtbot.wait(50)
    layer.data_setitem(np.nonzero(grains_of_three() > 1), 2)
    qtbot.waitUntil(lambda: "Grain boundaries" in viewer.layers, timeout=5000)
    assert layer.visible  # it is being painted
    assert viewer.layers.selection.active is layer
    layer.data_setitem(np.nonzero(grains_of_three() == 3), 3)
    qtbot.waitUntil(lambda: bench.boundaries.table.model().rowCount() == 3)


def test_choosing_other_grains_shows_their_boundaries(
    found: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    halves = np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1)
    other = ly.grains_layer(halves, ly.Placement.of_pixel_size((PIXEL, PIXEL)), "Halves [1]")
    ly.show(viewer, other)
    box = found.grains.grains
    box.setCurrentText("Halves [1]")
    box.activated.emit(box.currentIndex())
    finish(qtbot, found.grains.task)
    assert found.context.boundaries.current is viewer.layers["Grain boundaries [1]"]
    box.setCurrentText("Grains")
    box.activated.emit(box.currentIndex())
    assert found.context.boundaries.current is viewer.layers["Grain boundaries"]


def test_other_grains_leave_the_states_of_boundaries_alone(
    found: BoundaryDock, viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    selection_of(viewer.layers["Grain boundaries"]).select([2])
    found.edit.exclude()
    halves = np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1)
    monkeypatch.setattr("napari_liso.microstructure.grains.segment_grains", lambda **given: halves)
    for _ in range(2):  # the second proposal takes the place of the first
        found.grains.segment_grains()
        finish(qtbot, found.grains.task)
        assert [x.name for x in viewer.layers if ly.role_of(x) == "boundaries"] == [
            "Grain boundaries",
            "Grain boundaries [1]",
        ]
    first, second = (viewer.layers[f"Grain boundaries{mark}"] for mark in ("", " [1]"))
    assert found.context.boundaries.current is second
    assert (first.visible, second.visible) == (False, True)
    box = found.grains.grains
    box.setCurrentText("Grains")
    box.activated.emit(box.currentIndex())
    assert states(found) == ["use", "exclude", "use"]
    assert (first.visible, second.visible) == (True, False)


def test_a_proposal_with_a_locked_boundary_stays(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    for parts in (2, 3):
        strips = np.repeat([range(1, parts + 1)], 24, axis=0).repeat(30 // parts, axis=1)
        monkeypatch.setattr(
            "napari_liso.microstructure.grains.segment_grains", lambda _s=strips, **given: _s
        )
        bench.grains.segment_grains()
        finish(qtbot, bench.grains.task)
        qtbot.wait(300)  # whoever follows the grains has done so
        if parts == 2:
            selection_of(viewer.layers["Grain boundaries"]).select([1])
            bench.edit.lock()
    assert np.unique(labels(viewer)).tolist() == [1, 2]
    assert states(bench) == ["use", "use"]
    assert np.unique(np.asarray(bench.context.grains.current.data)).tolist() == [1, 2, 3]
    first = viewer.layers["Grain boundaries"]
    assert first.features["state"][1] == "locked"


@pytest.mark.parametrize(
    ("source", "given"),
    [
        ("counts", {"n6", "n7", "pixel_size", "sensitivity"}),
        ("an image", {"image", "edges", "pixel_size", "sensitivity"}),
        ("counts and image", {"n6", "n7", "image", "edges", "pixel_size", "sensitivity"}),
    ],
)
def test_what_grains_are_segmented_from(
    source: str,
    given: set[str],
    bench: BoundaryDock,
    viewer: ViewerModel,
    qtbot: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[dict[str, Any]] = []

    def segment(**arguments: Any) -> np.ndarray:
        asked.append(arguments)
        return grains_of_three()

    monkeypatch.setattr("napari_liso.microstructure.grains.segment_grains", segment)
    form = bench.grains.source
    form.source_box.setCurrentText(source)
    if source != "counts":
        assert not bench.grains.segment_button.isEnabled()
        assert "choose an image" in bench.grains.segment_button.toolTip()
        # twice as many pixels on the same area
        viewer.add_image(
            np.random.default_rng(0).random((48, 60)), scale=(0.25, 0.25), units=("um", "um")
        )
    form.edges_box.setCurrentText("bright lines")
    form.smallest.setValue(2.0)
    form.beam.setValue(1.2)
    bench.grains.segment_grains()
    finish(qtbot, bench.grains.task)
    (arguments,) = asked
    assert {k for k in arguments if k not in ("min_area", "progress", "psf_fwhm")} == given
    # the beam mixes counts, not the pixels of a micrograph
    assert arguments["psf_fwhm"] == pytest.approx(1.2e-6 if "n6" in given else 0.0)
    assert arguments["min_area"] == pytest.approx(2e-12)
    assert arguments["pixel_size"] == pytest.approx((PIXEL, PIXEL))
    if "image" in given:
        assert arguments["image"].shape == (24, 30)
        assert arguments["edges"] == "bright"
    assert "Grain boundaries" in viewer.layers


def test_the_beam_of_a_map_that_tells_it_is_filled_in(
    viewer: ViewerModel, bench: BoundaryDock
) -> None:
    record = dict(bench.context.tracer.current.metadata[ly.PROVENANCE])
    bench.context.tracer.current.metadata[ly.PROVENANCE] = {**record, "psf_fwhm": 0.8e-6}
    bench.grains.source.refill()
    assert bench.grains.source.beam.value() == pytest.approx(0.8)
    bench.grains.source.beam.setValue(0.3)
    bench.grains.source.refill()
    assert bench.grains.source.beam.value() == pytest.approx(0.3)


def test_counts_and_an_image_of_steps_do_not_go_together(
    bench: BoundaryDock, viewer: ViewerModel
) -> None:
    viewer.add_image(np.zeros((24, 30)), name="SEM", scale=(0.5, 0.5), units=("um", "um"))
    form = bench.grains.source
    form.source_box.setCurrentText("counts and image")
    assert bench.grains.segment_button.isEnabled()
    form.edges_box.setCurrentText("steps in grey")
    assert "must be dark or bright lines" in bench.grains.segment_button.toolTip()
    form.source_box.setCurrentText("an image")
    assert bench.grains.segment_button.isEnabled()


def test_a_cancelled_segmentation_changes_nothing(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()

    def segment(**arguments: Any) -> np.ndarray:
        go_on.wait(10)
        return grains_of_three()

    monkeypatch.setattr("napari_liso.microstructure.grains.segment_grains", segment)
    bench.grains.segment_grains()
    qtbot.waitUntil(bench.grains.working.isVisible, timeout=5000)
    assert not bench.grains.segment_button.isEnabled()
    bench.grains.working.cancel_button.click()
    go_on.set()
    finish(qtbot, bench.grains.task)
    assert [x.name for x in viewer.layers] == ["6Li", "7Li"]
    assert bench.grains.message.text() == ""
    assert bench.grains.segment_button.isEnabled()


# --- editing ---


def test_undo_says_what_it_takes_back(found: BoundaryDock, viewer: ViewerModel) -> None:
    assert not button(found, "undo").isEnabled()
    assert "there is nothing to undo" in button(found, "undo").toolTip()
    found.edit.choose("erase")
    Mouse(viewer).click((11.5, 22))
    assert found.boundaries.table.model().rowCount() == 1
    assert button(found, "undo").toolTip().startswith("Undo: Erase boundary 3")
    button(found, "undo").click()
    assert np.array_equal(labels(viewer), grains_of_three())
    assert found.boundaries.table.model().rowCount() == 3
    assert button(found, "redo").toolTip().startswith("Redo: Erase boundary 3")
    assert found.edit.message.text() == "Undone: Erase boundary 3."


def test_a_refused_edit_is_a_message_in_the_dock(found: BoundaryDock, viewer: ViewerModel) -> None:
    selection_of(viewer.layers["Grain boundaries"]).select([3])
    found.edit.lock()
    assert states(found) == ["use", "use", "locked"]
    found.edit.choose("erase")
    Mouse(viewer).click((11.5, 22))
    assert found.edit.message.text().startswith("⚠ ")
    assert "locked" in found.edit.message.text()
    found.edit.choose("split")
    Mouse(viewer).click((4, 4))
    Mouse(viewer).double_click((4, 20))
    assert "choose one grain" in found.edit.message.text()
    assert warned() == []
    assert np.array_equal(labels(viewer), grains_of_three())


def test_small_grains_and_holes_go(found: BoundaryDock, viewer: ViewerModel) -> None:
    layer = viewer.layers["Grains"]
    layer.data_setitem(np.nonzero(np.pad(np.ones((3, 3)), ((5, 16), (5, 22)))), 9)
    layer.data_setitem(np.nonzero(np.pad(np.ones((3, 3)), ((17, 4), (20, 7)))), 0)
    assert {0, 9} < set(np.unique(labels(viewer)).tolist())
    found.edit.clean.size_box.setValue(3.0)  # um2: a pixel has 0.25, the pieces 2.25
    found.edit.clean.remove_islands()
    found.edit.clean.fill_holes()
    assert np.array_equal(labels(viewer), grains_of_three())
    found.edit.undo()
    assert 0 in labels(viewer)
    found.edit.clean.remove_islands()
    assert found.edit.message.text().startswith("No grain, and no separate piece of one, is")


def test_the_states_and_steps_by_key(found: BoundaryDock, viewer: ViewerModel) -> None:
    layer = viewer.layers["Grain boundaries"]
    viewer.layers.selection.active = viewer.layers["6Li"]
    press(viewer, "R")
    assert "Select boundaries first" in found.edit.message.text()
    for key, expected in (("N", 1), ("N", 2), ("N", 3), ("N", 1), ("Shift+N", 3)):
        press(viewer, key)
        assert selection_of(layer).ids == (expected,)
    press(viewer, "R")
    assert states(found) == ["use", "use", "exclude"]
    press(viewer, "N")
    press(viewer, "H")
    assert states(found) == ["locked", "use", "exclude"]
    press(viewer, "A")
    assert states(found) == ["use", "use", "exclude"]
    press(viewer, "Ctrl+Z")
    press(viewer, "Ctrl+Z")
    press(viewer, "Ctrl+Z")
    assert states(found) == ["use", "use", "use"]
    press(viewer, "Ctrl+Shift+Z")
    assert states(found) == ["use", "use", "exclude"]
    press(viewer, "Delete")  # the selected one
    assert states(found)[0] == "removed"


def test_next_goes_down_the_table(found: BoundaryDock, viewer: ViewerModel) -> None:
    table = found.boundaries.table
    headers = [str(table.model().headerData(c, Qt.Orientation.Horizontal)) for c in range(3)]
    (column,) = (n for n, text in enumerate(headers) if text.startswith("length"))
    table.sortByColumn(column, Qt.SortOrder.DescendingOrder)
    seen = []
    for _ in range(3):
        press(viewer, "N")
        seen.append(selection_of(viewer.layers["Grain boundaries"]).current)
    assert seen[0] == 3  # 7.5 um, the others 6 um each
    assert sorted(seen) == [1, 2, 3]


def test_ctrl_z_takes_a_point_back_while_a_line_is_drawn(
    found: BoundaryDock, viewer: ViewerModel
) -> None:
    selection_of(viewer.layers["Grain boundaries"]).select([2])
    found.edit.exclude()
    found.edit.choose("draw")
    mouse = Mouse(viewer)
    mouse.click((12, 0))
    mouse.click((12, 6))
    press(viewer, "Ctrl+Z")
    assert found.edit.tools is not None
    assert found.edit.tools.sketch.dots.tolist() == [[12, 0]]
    press(viewer, "Ctrl+Z")
    assert not found.edit.tools.busy
    assert states(found) == ["use", "exclude", "use"]
    press(viewer, "Ctrl+Z")
    assert states(found) == ["use", "use", "use"]


def test_ctrl_z_is_the_editor_s_on_grains_and_boundaries(
    found: BoundaryDock, viewer: ViewerModel
) -> None:
    for name in ("Grains", "Grain boundaries", "7Li"):
        viewer.layers.selection.active = viewer.layers[name]
        selection_of(viewer.layers["Grain boundaries"]).select([2])
        found.edit.exclude()
        press(viewer, "Ctrl+Z")
        assert states(found) == ["use", "use", "use"]


def test_keys_are_given_back(found: BoundaryDock, viewer: ViewerModel, qtbot: Any) -> None:
    assert viewer.keymap
    second = BoundaryDock(viewer)
    qtbot.addWidget(second)
    with qtbot.waitExposed(second):
        second.show()
    press(viewer, "D")
    assert second.edit.tools is found.edit.tools  # one set of tools for both
    assert button(found, "draw").isChecked()
    found.hide()
    press(viewer, "Escape")
    assert found.edit.tools is not None
    assert found.edit.tools.tool == Tool.SELECT
    second.hide()
    assert viewer.keymap == {}
    assert all(layer.keymap == {} for layer in viewer.layers)


def test_a_folded_step_puts_its_tool_away(found: BoundaryDock, viewer: ViewerModel) -> None:
    found.edit.choose("draw")
    found.steps[2].unfold(False)
    assert found.edit.tools is not None
    assert found.edit.tools.tool == Tool.SELECT
    assert viewer.keymap == {}
    assert not Mouse(viewer).click((12, 0))


def test_removed_boundaries_end_the_tools(found: BoundaryDock, viewer: ViewerModel) -> None:
    found.edit.choose("draw")
    Mouse(viewer).click((12, 0))
    del viewer.layers["Grain boundaries"]
    assert found.edit.tools is None
    assert viewer.cursor.style == "standard"
    Mouse(viewer).click((12, 0))
    Mouse(viewer).double_click((12, 10))
    press(viewer, "Enter")
    press(viewer, "D")
    assert "Not yet" in found.edit.message.text()
    add_boundaries(viewer)
    assert found.edit.tools is not None


# --- the image that lines follow ---


def test_a_line_follows_the_chosen_image(
    found: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    grey = np.full((24, 30), 200.0, np.float32)
    grey[3, 2:12] = grey[3:15, 2] = grey[3:15, 12] = 20.0  # a dark arch from (14, 2) to (14, 12)
    viewer.add_image(grey, name="SEM", scale=(0.5, 0.5), units=("um", "um"))
    edit = found.edit
    edit.guide_box.setCurrentText("SEM")
    edit.guide_box.activated.emit(edit.guide_box.currentIndex())
    edit.edges_box.setCurrentText("dark lines")
    edit.choose("draw")
    qtbot.waitUntil(lambda: edit.guide.ready, timeout=5000)
    mouse = Mouse(viewer)
    mouse.click((14, 2))
    mouse.hover((14, 12))
    assert edit.tools is not None
    way = edit.tools.sketch.preview
    assert np.abs(way - [3, 7]).max(axis=1).min() <= 1.5  # over the top of the arch
    press(viewer, "Escape")
    edit.guide_box.setCurrentText("straight lines")
    edit.guide_box.activated.emit(0)
    assert not edit.edges_box.isEnabled()
    mouse.click((14, 2))
    mouse.hover((14, 12))
    assert edit.tools.sketch.preview.tolist() == [[14, 2], [14, 12]]


def test_what_lines_follow_unless_told(found: BoundaryDock, viewer: ViewerModel) -> None:
    assert found.edit.guide_box.currentText() == "6Li"
    assert found.edit.edges_box.currentText() == "steps"


def test_keys_do_not_reach_into_number_boxes(found: BoundaryDock, qtbot: Any) -> None:
    found.activateWindow()
    found.edit.clean.size_box.setFocus()
    qtbot.keyClick(found.edit.clean.size_box, Qt.Key.Key_R)
    qtbot.keyClick(found.edit.clean.size_box, Qt.Key.Key_D)
    assert found.edit.tools is not None
    assert found.edit.tools.tool == Tool.SELECT
