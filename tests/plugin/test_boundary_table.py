"""The table of boundaries in a dock: steps, sorting, filter, states, notes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QLineEdit

import napari_liso as liso
from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.profiles import boundary_steps
from napari_liso.plugin.boundary_values import boundary_values, steps_of
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.saving import restore, session_of_viewer
from napari_liso.plugin.widgets.boundary_cells import cell_text
from napari_liso.plugin.widgets.boundary_model import BoundaryModel
from napari_liso.plugin.widgets.main import BoundaryDock

from .boundary_bench import (
    ASCENDING,
    DESCENDING,
    add_fit,
    add_found,
    column,
    dock_on_three_grains,
    sort_by,
    states,
)
from .conftest import PIXEL, warned


@pytest.fixture
def bench(viewer: ViewerModel, qtbot: Any) -> BoundaryDock:
    return dock_on_three_grains(viewer, qtbot)


# --- steps ---


def test_steps_appear_with_the_counts(bench: BoundaryDock) -> None:
    found = bench.context.current_boundaries()
    assert found is not None
    known = steps_of(bench.context.boundaries.current)
    assert known is not None
    assert known.sources == ("6Li", "7Li")
    assert known.table["step"].tolist() == pytest.approx([0.5, 0.2, -0.3])
    shown = [text.split("\u2009±\u2009") for text in column(bench, "step")]
    assert [float(step.replace("−", "-")) for step, _ in shown] == pytest.approx(
        [0.5, 0.2, -0.3], abs=5e-3
    )
    assert [float(error) for _, error in shown] == pytest.approx(
        known.table["step_se"].tolist(), rel=0.5
    )
    assert "step" in bench.boundaries.table.shown_columns
    assert "k" not in bench.boundaries.table.shown_columns


def test_steps_follow_edits_and_other_counts(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    viewer.layers["Grains"].data_setitem((np.full(5, 12), np.arange(25, 30)), 2)
    editor = editor_of(viewer, bench.context.boundaries.current)
    assert editor is not None
    editor.flush()
    assert "step" in bench.boundaries.table.shown_columns  # no flicker
    qtbot.waitUntil(lambda: bench.boundaries.steps.busy)
    qtbot.waitUntil(lambda: not bench.boundaries.steps.busy, timeout=10_000)
    known = steps_of(bench.context.boundaries.current)
    assert known is not None
    assert known.complete
    found = bench.context.current_boundaries()
    assert found is not None
    n6, n7 = viewer.layers["6Li"].data, viewer.layers["7Li"].data
    pd.testing.assert_frame_equal(known.table, boundary_steps(found, n6, n7))

    other = viewer.layers["6Li"].data
    viewer.add_image(other, name="again", scale=(0.5, 0.5), units=("um", "um"))
    bench.context.other.choose(viewer.layers["again"])
    qtbot.waitUntil(lambda: not bench.boundaries.steps.busy, timeout=10_000)
    known = steps_of(bench.context.boundaries.current)
    assert known is not None
    assert known.sources == ("6Li", "again")
    assert known.table["step"].abs().max() == 0  # the same counts twice: 1/2 everywhere


def test_without_counts_it_says_what_is_missing(viewer: ViewerModel, qtbot: Any) -> None:
    add_found(viewer)
    dock = BoundaryDock(viewer)
    qtbot.addWidget(dock)
    assert "choose the counts of both isotopes" in dock.boundaries.help.text()
    assert "step" not in dock.boundaries.table.shown_columns
    viewer.add_image(np.ones((5, 6), int), name="6Li", scale=(1, 1), units=("um", "um"))
    viewer.add_image(np.ones((5, 6), int), name="7Li", scale=(1, 1), units=("um", "um"))
    qtbot.waitUntil(lambda: "are not 24 x 30 pixels" in dock.boundaries.help.text())
    assert not dock.boundaries.steps.busy


def test_two_docks_with_other_counts_do_not_take_turns(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    second = BoundaryDock(viewer)
    qtbot.addWidget(second)
    assert not second.boundaries.steps.busy  # they are there already
    assert "step" in second.boundaries.table.shown_columns
    second.context.tracer.choose(viewer.layers["7Li"])
    second.context.other.choose(viewer.layers["6Li"])
    docks = (bench, second)
    qtbot.waitUntil(lambda: not any(d.boundaries.steps.busy for d in docks), timeout=10_000)
    qtbot.wait(500)
    assert not any(d.boundaries.steps.busy for d in docks)
    known = steps_of(bench.context.boundaries.current)
    assert known is not None
    assert known.sources == ("7Li", "6Li")
    assert known.table["step"].tolist() == pytest.approx([-0.5, -0.2, 0.3])


# --- sorting and filter ---


def test_every_column_sorts(bench: BoundaryDock) -> None:
    sort_by(bench, "step")
    assert column(bench, "id") == ["3", "2", "1"]
    sort_by(bench, "step", DESCENDING)
    assert column(bench, "id") == ["1", "2", "3"]
    sort_by(bench, "length", DESCENDING)
    assert column(bench, "id")[0] == "3"
    sort_by(bench, "grains", DESCENDING)
    assert column(bench, "grains") == ["2 | 3", "1 | 3", "1 | 2"]
    bench.boundaries.table.set_state([2], "exclude")
    sort_by(bench, "state")
    assert column(bench, "id") == ["2", "1", "3"]
    assert bench.boundaries.order() == [2, 1, 3]
    bench.boundaries.table.set_state([3], "exclude")  # a row does not jump away
    assert bench.boundaries.order() == [2, 1, 3]


@pytest.mark.parametrize("order", [ASCENDING, DESCENDING])
def test_numbers_sort_as_numbers_and_none_comes_last(order: Qt.SortOrder) -> None:
    found = find_boundaries(np.arange(1, 13)[None, :].repeat(3, axis=0), PIXEL)
    steps = boundary_steps(found, np.ones((3, 12), int), np.ones((3, 12), int))
    rng = np.random.default_rng(2)
    steps["step"], steps["step_se"] = rng.normal(size=11), 0.1
    steps.loc[4, "step"] = np.nan
    model = BoundaryModel(("id", "step", "sigma"))
    model.set_values(boundary_values(found, steps=steps))
    for place, number in ((1, steps["step"]), (2, steps["step"].abs())):
        model.sort(place, order)
        expected = number.sort_values(ascending=order == ASCENDING, na_position="last")
        assert model.shown_ids == expected.index.tolist()


def test_a_filter_leaves_rows_over_and_selects_them(bench: BoundaryDock, qtbot: Any) -> None:
    bar = bench.boundaries.filter
    assert bar.count.text() == "3 boundaries"
    qtbot.keyClicks(bar.line, "step < 0 or length < 7 um and grain = 3")
    qtbot.waitUntil(lambda: bar.count.text() == "2 of 3 boundaries")
    assert column(bench, "id") == ["2", "3"]
    bar.select_button.click()
    assert bench.context.selection.ids == (2, 3)
    bench.edit.exclude()
    assert states(bench) == ["use", "exclude", "exclude"]
    bar.set_filter("state = use")
    assert column(bench, "id") == ["1"]
    assert bench.context.selection.ids == (2, 3)  # hidden rows stay selected on the map
    bench.boundaries.table.set_state([1], "exclude")
    assert column(bench, "id") == []
    assert bar.count.text() == "0 of 3 boundaries"
    bar.set_filter("")
    assert column(bench, "id") == ["1", "2", "3"]
    assert [i.data() for i in bench.boundaries.table.selectionModel().selectedRows()] == ["2", "3"]


def test_a_filter_that_cannot_be_read_is_said_and_changes_nothing(bench: BoundaryDock) -> None:
    bar = bench.boundaries.filter
    bar.set_filter("length > 7")
    bar.set_filter("lenght > 7")
    assert "no column 'lenght' (perhaps length)" in bar.message.text()
    assert column(bench, "id") == ["3"]
    assert warned() == []  # while one types
    bench.boundaries.colour_by.choose("length")
    assert bar.message.text()
    bar.set_filter("length > 7 um")
    assert not bar.message.text()


def test_examples_are_those_that_work_here(bench: BoundaryDock, viewer: ViewerModel) -> None:
    bar = bench.boundaries.filter
    bar.menu.aboutToShow.emit()
    ready = [action.data() for action in bar.menu.actions() if action.data() is not None]
    assert "step > 3 sigma" in ready
    assert "verdict = resolved" not in ready
    for text in ready:
        bar.set_filter(text)
        assert not bar.message.text(), text
    add_fit(viewer)
    bar.menu.aboutToShow.emit()
    action = next(a for a in bar.menu.actions() if a.data() == "verdict = resolved")
    action.trigger()
    assert column(bench, "id") == ["1", "2"]


def test_a_filter_of_what_is_gone_shows_everything(
    bench: BoundaryDock, viewer: ViewerModel
) -> None:
    bench.boundaries.filter.set_filter("step > 0")
    assert column(bench, "id") == ["1", "2"]
    halves = np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1)
    bench.context.tracer.choose(None)
    add_found(viewer, halves)
    assert column(bench, "id") == ["1"]
    assert "no column 'step'" in bench.boundaries.filter.message.text()


# --- states and notes ---


def box_of(dock: BoundaryDock, row: int) -> Any:
    return dock.boundaries.table.rows.index(row, 0).data(Qt.ItemDataRole.CheckStateRole)


def click_box(dock: BoundaryDock, qtbot: Any, row: int) -> None:
    table = dock.boundaries.table
    cell = table.visualRect(table.rows.index(row, 0))
    at = QPoint(cell.left() + 9, cell.center().y())
    qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, pos=at)


def test_a_box_excludes_as_a_step_that_can_be_undone(bench: BoundaryDock, qtbot: Any) -> None:
    bench.show()
    bench.context.selection.select([3])
    click_box(bench, qtbot, 0)
    assert states(bench) == ["exclude", "use", "use"]
    assert box_of(bench, 0) == Qt.CheckState.Unchecked
    assert bench.context.selection.ids == (3,)  # as it was
    editor = editor_of(bench.context.viewer, bench.context.boundaries.current)
    assert editor is not None
    assert editor.undo_text == "Exclude boundary 1"
    editor.undo()
    assert states(bench) == ["use", "use", "use"]
    assert box_of(bench, 0) == Qt.CheckState.Checked


def test_a_box_among_selected_rows_is_for_all_but_the_locked(
    bench: BoundaryDock, qtbot: Any
) -> None:
    bench.show()
    bench.boundaries.table.set_state([2], "locked")
    assert box_of(bench, 1) is None
    bench.context.selection.select([1, 2, 3])
    click_box(bench, qtbot, 0)
    assert states(bench) == ["exclude", "locked", "exclude"]
    assert bench.context.selection.ids == (1, 2, 3)
    click_box(bench, qtbot, 2)
    assert states(bench) == ["use", "locked", "use"]


def test_the_menu_of_rows_sets_states_and_opens_a_note(bench: BoundaryDock, qtbot: Any) -> None:
    bench.show()
    table = bench.boundaries.table
    assert table.rows_menu().isEmpty()
    bench.context.selection.select([1, 3])
    actions = table.rows_menu().actions()
    assert [a.text() for a in actions] == [
        "Accept 2 boundaries", "Exclude 2 boundaries", "Lock 2 boundaries",
    ]  # fmt: skip
    actions[2].trigger()
    assert states(bench) == ["locked", "use", "locked"]
    bench.context.selection.select([2])
    table.rows_menu().actions()[-1].trigger()
    qtbot.waitUntil(lambda: table.viewport().findChild(QLineEdit) is not None)
    assert "notes" in table.shown_columns
    line = table.viewport().findChild(QLineEdit)
    qtbot.keyClicks(line, "a pore, here")
    qtbot.keyClick(line, Qt.Key.Key_Return)
    qtbot.waitUntil(lambda: column(bench, "notes") == ["", "a pore, here", ""])
    found = bench.context.current_boundaries()
    assert found is not None
    assert found.table["notes"].tolist() == ["", "a pore, here", ""]
    bench.boundaries.filter.set_filter("notes has PORE")
    assert column(bench, "id") == ["2"]


# --- columns, selection ---


def test_columns_are_chosen_and_what_is_known_comes_by_itself(
    bench: BoundaryDock, viewer: ViewerModel
) -> None:
    table = bench.boundaries.table
    assert table.shown_columns == ["id", "grains", "length", "step"]
    add_fit(viewer)
    assert table.shown_columns == ["id", "grains", "length", "step", "k"]
    menu = table.columns_menu()
    next(a for a in menu.actions() if a.data() == "verdict").trigger()
    next(a for a in menu.actions() if a.data() == "grains").trigger()
    assert table.shown_columns == ["id", "length", "step", "k", "verdict"]
    add_found(viewer)  # without a fit
    assert table.shown_columns == ["id", "length", "step", "k", "verdict"]
    assert column(bench, "verdict") == ["–"] * 3
    table.columns_menu().actions()[-1].trigger()
    assert table.shown_columns[:3] == ["id", "grains", "length"]


def test_the_choice_of_columns_is_kept_with_the_boundaries(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any, tmp_path: Path
) -> None:
    wanted = ["id", "length", "curvature"]
    for key in ("grains", "step"):
        bench.boundaries.table.show_column(key, False)
    bench.boundaries.table.show_column("curvature")
    assert bench.boundaries.table.shown_columns == wanted
    second = BoundaryDock(viewer)
    qtbot.addWidget(second)
    assert second.boundaries.table.shown_columns == wanted
    restored = ViewerModel()
    restore(restored, liso.load(liso.save(tmp_path / "a.liso", session_of_viewer(viewer))))
    again = BoundaryDock(restored)
    qtbot.addWidget(again)
    assert again.boundaries.table.shown_columns == wanted


def test_no_number_is_cut(bench: BoundaryDock) -> None:
    table = bench.boundaries.table
    for key in ("sigma", "counts", "angle", "curvature", "state", "interval"):
        table.show_column(key)
    table.set_state([2], "exclude")  # a longer word than before
    metrics = table.fontMetrics()
    for place, key in enumerate(table.rows.columns):
        if key in table.shown_columns:
            widest = max(metrics.horizontalAdvance(text) for text in column(bench, key))
            assert table.columnWidth(place) > widest


def test_rows_are_selected_with_shift_and_ctrl(bench: BoundaryDock, qtbot: Any) -> None:
    bench.show()
    table, selection = bench.boundaries.table, bench.context.selection

    def click(row: int, modifier: Any = Qt.KeyboardModifier.NoModifier) -> None:
        at = table.visualRect(table.rows.index(row, 2)).center()
        qtbot.mouseClick(table.viewport(), Qt.MouseButton.LeftButton, modifier, at)

    click(0)
    assert selection.ids == (1,)
    click(2, Qt.KeyboardModifier.ShiftModifier)
    assert set(selection.ids) == {1, 2, 3}
    assert selection.current == 3
    click(1, Qt.KeyboardModifier.ControlModifier)
    assert selection.ids == (1, 3)
    sort_by(bench, "id", DESCENDING)
    assert [i.data() for i in table.selectionModel().selectedRows()] == ["3", "1"]
    assert selection.ids == (1, 3)


def test_thousands_of_rows_make_the_texts_that_are_seen(
    bench: BoundaryDock, monkeypatch: pytest.MonkeyPatch
) -> None:
    grains = np.arange(1, 3601).reshape(60, 60).repeat(3, axis=0).repeat(3, axis=1)
    values = boundary_values(find_boundaries(grains, PIXEL))
    assert len(values) == 2 * 60 * 59
    made: list[int] = []

    def counted(*given: Any) -> str:
        made.append(given[1])
        return cell_text(*given)

    bench.show()
    module = "napari_liso.plugin.widgets.boundary_model.cell_text"
    monkeypatch.setattr(module, counted)
    rows = bench.boundaries.table.rows
    rows.set_values(values)
    sort_by(bench, "length", DESCENDING)
    rows.set_filter("id > 100")
    assert rows.rowCount() == len(values) - 100
    assert 0 < len(made) < 3000
