"""The tools of the mouse on a map of three grains, with events as napari sends them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.labelling.modes import MouseTools, Tool, tools_of
from napari_liso.plugin.selection import camera_of, selection_of

from .conftest import add_boundaries, add_grains, add_map, grains_of_three
from .mouse import Mouse


@pytest.fixture
def tools(viewer: ViewerModel, qtbot: Any) -> MouseTools:
    """Tools on grain 1 on the left half, 2 and 3 above each other on the right."""
    add_map(viewer)
    add_grains(viewer)
    add_boundaries(viewer)
    editor = editor_of(viewer, viewer.layers["Grain boundaries"])
    assert editor is not None
    tools = tools_of(editor)
    tools.switch(True)
    return tools


@pytest.fixture
def mouse(viewer: ViewerModel, tools: MouseTools) -> Mouse:
    return Mouse(viewer)


@pytest.fixture
def told(tools: MouseTools) -> list[str]:
    said: list[str] = []
    tools.bench.warned.connect(said.append)
    tools.editor.refused.connect(said.append)
    return said


def grains(viewer: ViewerModel) -> np.ndarray:
    return np.asarray(viewer.layers["Grains"].data)


def ids(viewer: ViewerModel) -> tuple[int, ...]:
    return selection_of(viewer.layers["Grain boundaries"]).ids


def sizes(viewer: ViewerModel) -> list[int]:
    return sorted(np.unique(grains(viewer), return_counts=True)[1].tolist())


def test_hidden_grains_are_edited_wherever_the_viewer_has_been(
    viewer: ViewerModel, tools: MouseTools, mouse: Mouse
) -> None:
    """napari empties the slice of a hidden layer when the dims move: a larger image is opened."""
    for name in ("Grains", "Grain boundaries"):
        viewer.layers[name].visible = False
    viewer.add_image(np.zeros((60, 90)), scale=(0.5, 0.5), units=("um", "um"))
    viewer.dims.set_point(0, 3.0)
    tools.choose(Tool.ERASE)
    mouse.click((11.5, 22))
    assert sizes(viewer) == [360, 360]
    tools.editor.undo()
    assert np.array_equal(grains(viewer), grains_of_three())
    assert not viewer.layers["Grains"].visible


# --- drawing ---


def test_clicks_and_a_double_click_draw_a_boundary(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    tools.choose(Tool.DRAW)
    assert mouse.click((12, 0))
    mouse.hover((12, 8))
    assert np.allclose(tools.sketch.line, [[12, 0]])
    assert np.allclose(tools.sketch.preview, [[12, 0], [12, 8]])
    assert tools.busy
    mouse.double_click((12, 14))
    assert not tools.busy
    assert tools.sketch.empty
    # grain 1 was 24 rows of 15 pixels; the line takes a side of row 12
    assert len(np.unique(grains(viewer))) == 4
    assert grains(viewer)[0, 0] != grains(viewer)[23, 0]
    assert sizes(viewer)[-2:] in ([180, 180], [180, 195], [165, 195])
    (new,) = ids(viewer)
    table = tools.editor.boundaries.table
    assert table["length"][new] == pytest.approx(15 * 0.5e-6, rel=0.05)
    assert tools.editor.undo_text == "Draw boundary"
    tools.editor.undo()
    assert np.array_equal(grains(viewer), grains_of_three())


def test_a_stroke_draws_a_boundary_and_the_map_stays(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    tools.choose(Tool.DRAW)
    camera = camera_of(viewer)
    seen: list[bool] = []
    tools.sketch_changed.connect(lambda: seen.append(camera.mouse_pan))
    assert mouse.drag([(12, 0), (12, 5), (12, 10), (12, 14)])
    assert len(np.unique(grains(viewer))) == 4
    assert False in seen  # while the button was down
    assert camera.mouse_pan  # and given back


def test_a_stroke_from_beside_the_map(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    tools.choose(Tool.DRAW)
    mouse.drag([(12, -2), (12, 5), (12, 16)])  # 20 screen pixels beside it
    assert len(np.unique(grains(viewer))) == 4


def test_far_from_the_map_nothing_begins(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel, told: list[str]
) -> None:
    for tool in Tool:
        tools.choose(tool)
        mouse.click((-40, -40))
        mouse.drag([(-40, -40), (-40, -60)])
        mouse.double_click((-40, -40))
        assert not tools.busy
        tools.cancel()
    assert np.array_equal(grains(viewer), grains_of_three())


def test_backspace_and_escape_take_points_back(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    tools.choose(Tool.DRAW)
    for x in (0, 5, 10):
        mouse.click((12, x))
    tools.back()
    assert np.allclose(tools.sketch.dots, [[12, 0], [12, 5]])
    tools.escape()
    assert not tools.busy
    assert tools.tool == Tool.DRAW
    tools.escape()
    assert tools.tool == Tool.SELECT
    assert np.array_equal(grains(viewer), grains_of_three())


def test_a_line_that_divides_nothing_says_so_and_can_go_on(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel, told: list[str]
) -> None:
    # the map is too small for a line that ends far from every border
    viewer.layers["Grains"].data = np.ones((24, 30), np.uint16)
    tools.choose(Tool.DRAW)
    mouse.click((12, 10))
    mouse.double_click((12, 20))
    assert len(told) == 1
    assert "does not divide" in told[0]
    assert tools.busy
    mouse.click((12, 29))
    tools.back()
    tools.back()
    tools.back()
    assert not tools.busy


def test_the_line_follows_the_wire(tools: MouseTools, mouse: Mouse) -> None:
    class Detour:
        def start(self, point: np.ndarray) -> None:
            self.first = point

        def path_to(self, point: np.ndarray) -> np.ndarray:
            return np.array([self.first, [3.0, 7.0], point])

    tools.bench.wire = Detour
    tools.choose(Tool.DRAW)
    mouse.click((12, 0))
    mouse.hover((12, 8))
    assert [3.0, 7.0] in tools.sketch.preview.tolist()
    mouse.click((12, 9))
    assert tools.sketch.line.tolist() == [[12, 0], [3, 7], [12, 9]]


# --- the other tools ---


def test_erase_marks_and_merges(tools: MouseTools, mouse: Mouse, viewer: ViewerModel) -> None:
    tools.choose(Tool.ERASE)
    mouse.hover((11.5, 22))
    # boundary 2 | 3 has 15 faces of one pixel at y = 11.5
    assert tools.sketch.marked.shape == (15, 2, 2)
    assert np.allclose(tools.sketch.marked[..., 0], 11.5)
    mouse.hover((3, 3))
    assert tools.sketch.empty
    mouse.click((11.5, 22))
    assert sizes(viewer) == [360, 360]
    assert tools.editor.undo_text == "Erase boundary 3"


def test_erase_by_a_stroke_across(tools: MouseTools, mouse: Mouse, viewer: ViewerModel) -> None:
    tools.choose(Tool.ERASE)
    assert mouse.drag([(5, 10), (5, 20), (17, 22)])
    assert sizes(viewer) == [720]
    tools.editor.undo()
    assert np.array_equal(grains(viewer), grains_of_three())


@pytest.mark.parametrize("tool", [Tool.ERASE, Tool.MERGE, Tool.DRAW])
def test_a_stroke_that_is_given_up_does_nothing(
    tool: Tool, tools: MouseTools, mouse: Mouse, viewer: ViewerModel, told: list[str]
) -> None:
    tools.choose(tool)
    mouse.during = tools.escape  # with the button still down
    mouse.drag([(5, 0), (5, 10), (5, 20), (17, 22)])
    assert np.array_equal(grains(viewer), grains_of_three())
    assert tools.tool == tool
    mouse.during = lambda: tools.choose(Tool.SELECT)
    mouse.drag([(5, 0), (5, 10), (5, 20), (17, 22)])
    assert np.array_equal(grains(viewer), grains_of_three())
    assert told == []


def test_two_quick_clicks_erase_two_boundaries(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    tools.choose(Tool.ERASE)
    mouse.click((11.5, 22))
    for callback in viewer.mouse_double_click_callbacks:
        callback(viewer, mouse._event("mouse_double_click", (5, 14.5)))
    assert sizes(viewer) == [720]


def test_merge_by_two_clicks_or_a_stroke(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    tools.choose(Tool.MERGE)
    mouse.click((5, 20))
    assert tools.busy
    mouse.click((20, 20))
    assert sizes(viewer) == [360, 360]
    tools.editor.undo()
    mouse.drag([(5, 5), (5, 20), (20, 20)])
    assert sizes(viewer) == [720]


def test_split_between_points(tools: MouseTools, mouse: Mouse, viewer: ViewerModel) -> None:
    tools.choose(Tool.SPLIT)
    mouse.click((4, 7))
    assert tools.sketch.dots.tolist() == [[4, 7]]
    mouse.double_click((19, 7))
    found = grains(viewer)
    assert found[4, 7] != found[19, 7]
    # halfway between the two points, to a row
    rows = np.flatnonzero(np.diff(found[:, 7].astype(int)))
    assert len(rows) == 1
    assert abs(rows[0] - 11) <= 1
    assert len(ids(viewer)) >= 1


def test_points_in_two_grains_are_refused(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel, told: list[str]
) -> None:
    tools.choose(Tool.SPLIT)
    mouse.click((4, 7))
    mouse.double_click((4, 20))
    assert len(told) == 1
    assert "choose one grain" in told[0]
    assert np.array_equal(grains(viewer), grains_of_three())


def test_move_needs_a_boundary_to_begin_on(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel, told: list[str]
) -> None:
    tools.choose(Tool.MOVE)
    mouse.drag([(5, 5), (6, 6), (7, 7)])
    assert len(told) == 1
    assert "Begin on a boundary" in told[0]
    assert not tools.busy


def test_move_takes_the_boundary_along(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    tools.choose(Tool.MOVE)
    # boundary 2 | 3 at y = 11.5: its middle goes down to row 16
    mouse.drag([(11.5, 18), (16, 19), (16, 25), (11.5, 27)])
    found = grains(viewer)
    assert found[14, 22] == found[5, 22]
    assert found[18, 22] == found[20, 22] != found[5, 22]
    assert set(np.unique(found)) == {1, 2, 3}
    assert tools.editor.undo_text == "Move boundary 3"
    assert tools.editor.boundaries.table["state"][3] == "use"


def test_a_locked_boundary_is_left_alone(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel, told: list[str]
) -> None:
    tools.editor.set_state([3], "locked")
    tools.choose(Tool.ERASE)
    mouse.click((11.5, 22))
    assert np.array_equal(grains(viewer), grains_of_three())
    assert len(told) == 1
    assert "locked" in told[0]


# --- selecting ---


def test_shift_and_drag_selects_in_a_box(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    selection_of(viewer.layers["Grain boundaries"]).select([3])
    # boundary 1 | 2 at x = 14.5, rows 0 to 11: 8 of 12 faces; of 2 | 3 it has 5 of 15
    assert not mouse.drag([(4, 10), (12, 20)], "Shift")
    assert ids(viewer) == (3, 1)
    mouse.drag([(8, 10), (12, 20)], "Shift")  # 4 of 12 faces, 5 of 15
    assert ids(viewer) == (3, 1)


def test_ctrl_and_drag_selects_in_a_lasso(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    mouse.drag([(9, 16), (9, 29), (13, 29), (14, 16), (9, 16)], "Control")
    assert ids(viewer) == (3,)


def test_select_leaves_the_button_to_the_map(tools: MouseTools, mouse: Mouse) -> None:
    assert not mouse.drag([(4, 4), (12, 12)])


# --- what is not theirs ---


def test_everything_is_given_back(tools: MouseTools, viewer: ViewerModel) -> None:
    tools.switch(False)
    before = (
        list(viewer.mouse_drag_callbacks),
        list(viewer.mouse_move_callbacks),
        list(viewer.mouse_double_click_callbacks),
        dict(viewer.keymap),
        viewer.cursor.style,
    )
    tools.switch(True)
    tools.choose(Tool.DRAW)
    assert viewer.cursor.style == "crosshair"
    assert viewer.mouse_double_click_callbacks != before[2]
    tools.switch(False)
    after = (
        list(viewer.mouse_drag_callbacks),
        list(viewer.mouse_move_callbacks),
        list(viewer.mouse_double_click_callbacks),
        dict(viewer.keymap),
        viewer.cursor.style,
    )
    assert after == before
    assert tools.tool == Tool.SELECT


def test_no_layer_is_added_while_drawing(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    before = list(viewer.layers)
    tools.choose(Tool.DRAW)
    mouse.click((12, 0))
    mouse.hover((12, 8))
    assert list(viewer.layers) == before


def test_a_stack_among_the_layers_does_no_harm(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    viewer.add_image(
        np.zeros((2, 3, 24, 30)), scale=(1, 1, 0.5, 0.5), units=("pixel", "pixel", "um", "um")
    )
    tools.choose(Tool.DRAW)
    mouse.click((12, 0))
    mouse.double_click((12, 14))
    assert len(np.unique(grains(viewer))) == 4


def test_other_views_of_a_stack_are_left_alone(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    viewer.add_image(np.zeros((3, 24, 30)), scale=(1, 0.5, 0.5), units=("pixel", "um", "um"))
    tools.choose(Tool.DRAW)
    viewer.dims.order = (1, 0, 2)  # (z, x) is on show
    mouse.click((12, 0))
    assert not tools.busy


def test_a_layer_that_is_drawn_into_rests_when_a_tool_is_taken(
    tools: MouseTools, mouse: Mouse, viewer: ViewerModel
) -> None:
    points = viewer.add_points(scale=(0.5, 0.5), units=("um", "um"))
    points.mode = "add"
    tools.choose(Tool.ERASE)
    assert points.mode == "pan_zoom"
    points.mode = "add"  # and takes over when it is wanted again
    mouse.click((11.5, 22))
    assert np.array_equal(grains(viewer), grains_of_three())


def test_paint_is_napari_s_brush(tools: MouseTools, mouse: Mouse, viewer: ViewerModel) -> None:
    layer = viewer.layers["Grains"]
    layer.visible = False
    tools.choose(Tool.PAINT)
    assert (layer.mode, layer.visible) == ("paint", True)
    assert viewer.layers.selection.active is layer
    assert not mouse.click((11.5, 22))
    tools.choose(Tool.SELECT)
    assert (layer.mode, layer.visible) == ("pan_zoom", False)
    layer.visible = True
    layer.mode = "fill"  # with napari's own button
    assert tools.tool == Tool.PAINT
    layer.mode = "pan_zoom"
    assert tools.tool == Tool.SELECT
