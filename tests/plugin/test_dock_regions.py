"""The regions step of the ratio dock: it follows what is drawn, and sets corrections."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication

from napari_liso.isotopes import natural_fraction
from napari_liso.plugin import layers as ly
from napari_liso.plugin.frames.behind import choose_frames
from napari_liso.plugin.regions.far_field import far_field_of
from napari_liso.plugin.selection import camera_of
from napari_liso.plugin.widgets.main import RatioDock
from napari_liso.plugin.widgets.regions import panel as regions
from napari_liso.plugin.widgets.regions.panel import RegionsPanel

from .conftest import (
    acquisition_of,
    add_boundaries,
    add_grains,
    add_map,
    grains_of_three,
    warned,
)

COUNTS = acquisition_of().counts.sum(axis=1)
SQUARE = np.array([[2, 3], [2, 13], [8, 13], [8, 3]]) - 0.5


def settle(qtbot: Any, panel: Any) -> None:
    """Wait until the table belongs to what is drawn."""
    qtbot.waitUntil(lambda: not panel.newest.pending and not panel.task.running, timeout=20_000)


@pytest.fixture
def dock(viewer: ViewerModel, qtbot: Any) -> RatioDock:
    add_map(viewer)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    next(step for step in dock.steps if step.title == "Regions").unfold()
    return dock


@pytest.fixture
def panel(dock: RatioDock) -> RegionsPanel:
    return dock.regions


@pytest.fixture
def drawn(panel: RegionsPanel, qtbot: Any) -> Any:
    """A layer with one square, 6 x 10 pixels."""
    panel.draw_button.click()
    layer: Any = panel.choice.current
    layer.add_polygons([SQUARE])
    settle(qtbot, panel)
    return layer


def texts(panel: RegionsPanel, column: int) -> list[str]:
    rows = panel.table.model()
    assert rows is not None
    return [rows.index(row, column).data() for row in range(rows.rowCount())]


def test_drawing_makes_a_row_of_exact_sums(panel: RegionsPanel, drawn: Any, qtbot: Any) -> None:
    assert drawn.mode == "add_polygon"
    assert ly.role_of(drawn) == "regions"
    row = panel.found.table.iloc[0]  # type: ignore[union-attr]
    a, b = (int(image[2:8, 3:13].sum()) for image in COUNTS)
    assert (row.counts_tracer, row.counts_other, row.pixels) == (a, b, 60)
    assert row.area == pytest.approx(60 * 0.25e-12)
    assert texts(panel, 0) == ["region 1"]
    assert texts(panel, 4) == [f"{a + b:,}"]
    assert texts(panel, 5) == ["15"]
    drawn.add_ellipses([SQUARE + 10])
    settle(qtbot, panel)
    assert texts(panel, 0) == ["region 1", "region 2"]
    drawn.data = [SQUARE + np.array([1, 0])]
    settle(qtbot, panel)
    assert panel.found.table["counts_tracer"].tolist() == [COUNTS[0][3:9, 3:13].sum()]  # type: ignore[union-attr]


def test_moving_the_layer_moves_the_region(panel: RegionsPanel, drawn: Any, qtbot: Any) -> None:
    drawn.translate = (0.5, 1.0)  # um: one pixel down, two to the right
    settle(qtbot, panel)
    assert panel.found.table["counts_other"].tolist() == [COUNTS[1][3:9, 5:15].sum()]  # type: ignore[union-attr]


def test_painting_and_undo_are_followed(viewer: Any, panel: RegionsPanel, qtbot: Any) -> None:
    add_grains(viewer)
    settle(qtbot, panel)
    labels = viewer.layers["Grains"]
    assert panel.choice.current == labels
    sums = [COUNTS[0][grains_of_three() == label].sum() for label in (1, 2, 3)]
    assert panel.found.table["counts_tracer"].tolist() == sums
    labels.data_setitem((np.array([0, 0]), np.array([0, 1])), 9)
    settle(qtbot, panel)
    assert panel.found.table.index.tolist() == [1, 2, 3, 9]
    assert panel.found.table.loc[9, "counts_tracer"] == COUNTS[0][0, :2].sum()
    labels.undo()
    settle(qtbot, panel)
    assert panel.found.table["counts_tracer"].tolist() == sums


def test_a_folded_step_works_nothing_out(viewer: Any, dock: RatioDock, qtbot: Any) -> None:
    step = next(step for step in dock.steps if step.title == "Regions")
    step.unfold(False)
    add_grains(viewer)
    settle(qtbot, dock.regions)
    assert dock.regions.found is None
    step.unfold()
    settle(qtbot, dock.regions)
    assert len(dock.regions.found.table) == 3


def test_what_is_missing_is_said(viewer: Any, panel: RegionsPanel, qtbot: Any) -> None:
    assert panel.status == "none yet"
    assert "there is no region" in panel.buttons.save_button.toolTip()
    assert not panel.buttons.save_button.isEnabled()
    assert "select a region" in panel.uses.background_button.toolTip()
    panel.draw_button.click()
    settle(qtbot, panel)
    assert "Nothing is drawn" in panel.message.text()
    viewer.layers.remove("7Li")
    assert not panel.draw_button.isEnabled()
    assert "Data" in panel.draw_button.toolTip()
    settle(qtbot, panel)
    assert panel.found is None


def test_layers_that_hold_no_regions_are_told(
    viewer: Any, panel: RegionsPanel, qtbot: Any
) -> None:
    viewer.add_labels(np.ones((3, 24, 30), int), name="stack")
    settle(qtbot, panel)
    assert "one plane" in panel.message.text()
    assert panel.found is None
    assert warned() == []


def test_boundaries_are_not_chosen_by_themselves(
    viewer: Any, panel: RegionsPanel, qtbot: Any
) -> None:
    add_boundaries(viewer)
    assert panel.choice.current is None
    panel.choice.choose(viewer.layers["Grain boundaries"])
    settle(qtbot, panel)
    assert len(panel.found.table) == 3


def test_a_row_selects_its_region_and_the_other_way_round(
    viewer: Any, panel: RegionsPanel, drawn: Any, qtbot: Any
) -> None:
    drawn.add_rectangles([SQUARE + 12])
    settle(qtbot, panel)
    panel.table.selectRow(0)
    assert drawn.selected_data == {0}
    assert drawn.mode == "select"
    assert viewer.layers.selection.active == drawn
    drawn.selected_data = {1}
    assert panel.table.selected == 2
    settle(qtbot, panel)
    assert panel.table.selected == 2
    add_grains(viewer)
    panel.choice.choose(viewer.layers["Grains"])
    settle(qtbot, panel)
    panel.table.selectRow(2)
    assert viewer.layers["Grains"].selected_label == 3
    viewer.layers["Grains"].selected_label = 2
    assert panel.table.selected == 2


def test_a_region_out_of_sight_is_brought_into_view(
    viewer: Any, panel: RegionsPanel, drawn: Any
) -> None:
    counts = viewer.layers["6Li"]
    counts.corner_pixels = np.array([[15, 15], [23, 29]])  # what a canvas would tell
    panel.table.selectRow(0)
    # the middle of pixels 2..7 and 3..12, of 0.5 um
    assert tuple(camera_of(viewer).center)[-2:] == pytest.approx((4.5 * 0.5, 7.5 * 0.5))


def test_sorting_is_by_numbers(panel: RegionsPanel, drawn: Any, qtbot: Any) -> None:
    drawn.add_rectangles([SQUARE * 2, np.array([[0, 0], [0, 2], [2, 2], [2, 0]])])
    settle(qtbot, panel)
    panel.table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    counts = [int(text.replace(",", "")) for text in texts(panel, 4)]
    assert counts == sorted(counts, reverse=True)
    assert len(str(counts[0])) > len(str(counts[-1]))
    panel.table.selectRow(0)
    assert panel.table.selected == 2


def test_the_scatter_is_judged_in_words(
    viewer: Any, panel: RegionsPanel, drawn: Any, qtbot: Any
) -> None:
    drawn.add_rectangles([np.array([[0, 0], [0, 1], [1, 1], [1, 0]]) + 19.5])  # one pixel
    settle(qtbot, panel)
    assert texts(panel, 3)[1] == "–"
    tooltip = panel.table.rows.index(1, 3).data(Qt.ItemDataRole.ToolTipRole)
    assert "Too few counts" in tooltip
    step = np.where(np.arange(30) < 8, 10, 80) * np.ones((24, 1), int)
    viewer.layers["6Li"].data = step
    settle(qtbot, panel)
    assert texts(panel, 3)[0].endswith("varies")
    assert "varies within region 1" in panel.message.text()


def test_names_are_edited_in_the_table(panel: RegionsPanel, drawn: Any, qtbot: Any) -> None:
    index = panel.table.rows.index(0, 0)
    assert panel.table.rows.flags(index) & Qt.ItemFlag.ItemIsEditable
    assert not panel.table.rows.flags(panel.table.rows.index(0, 1)) & Qt.ItemFlag.ItemIsEditable
    assert panel.table.rows.setData(index, " hole ")
    settle(qtbot, panel)
    assert drawn.features["name"].tolist() == ["hole"]
    assert texts(panel, 0) == ["hole"]
    assert not panel.table.rows.setData(panel.table.rows.index(0, 0), "  ")


def test_a_long_run_shows_how_far_it_is_and_can_be_stopped(
    panel: RegionsPanel, drawn: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = panel.found

    def endless(asked: Any, shapes: Any, report: Any) -> None:
        while True:
            report(0.3, "summing the counts")
            time.sleep(0.002)

    monkeypatch.setattr(regions, "work_out_regions", endless)
    drawn.add_rectangles([SQUARE])
    qtbot.waitUntil(lambda: not panel.working.isHidden(), timeout=20_000)
    assert panel.working.bar.value() == 30
    assert "summing the counts" in panel.working.bar.text()
    panel.working.cancel_button.click()
    settle(qtbot, panel)
    assert panel.working.isHidden()
    assert panel.message.text() == "Stopped."
    assert panel.found is before


# --- files --------------------------------------------------------------------------------------


def test_the_file_says_from_what_and_how(panel: RegionsPanel, drawn: Any, tmp_path: Path) -> None:
    panel.buttons.save(tmp_path / "r.csv")
    table = pd.read_csv(tmp_path / "r.csv", comment="#")
    assert table["counts_tracer"].tolist() == [COUNTS[0][2:8, 3:13].sum()]
    assert table["area_m2"].tolist() == pytest.approx([15e-12])
    lines = (tmp_path / "r.csv").read_text("utf-8").splitlines()
    facts: dict[str, Any] = {}
    for line in lines:
        if line.startswith("# "):
            facts.update(json.loads(line[2:]))
    assert (facts["tracer"], facts["other"], facts["drawn in"]) == ("6Li", "7Li", "Regions")
    assert facts["corrections"]["fractionation"]["value"] == 1.0
    assert facts["dead_time_corrected"] is False
    assert facts["pixel_size_m"] == pytest.approx([5e-7, 5e-7])
    assert "1 rows were written" in panel.message.text()


def test_frames_and_pulses_behind_the_counts_are_those_of_the_table(
    viewer: ViewerModel, qtbot: Any
) -> None:
    """Two of three frames, 200 pulses each: against the correction by its formula."""
    measured = replace(acquisition_of(frames=3), pulses=np.full((3, 1, 1), 200))
    for layer_data in ly.acquisition_layers(measured):
        ly.show(viewer, layer_data)
    choose_frames(viewer, measured, 1, 3)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    panel = dock.regions
    next(step for step in dock.steps if step.title == "Regions").unfold()
    viewer.add_labels(np.ones((24, 30), int), scale=(0.5, 0.5), units="um")
    settle(qtbot, panel)
    row = panel.found.table.iloc[0]
    used = np.asarray(measured.counts)[:, 1:]
    assert row.counts_tracer == used[0].sum()
    tracer, other = (-200 * np.log1p(-image / 200).sum() for image in used)
    assert row.ratio == pytest.approx(tracer / other, rel=2e-3)  # 0.667 without
    assert abs(row.ratio - used[0].sum() / used[1].sum()) > 0.01
    facts = panel.found.describe()
    assert facts["dead_time_corrected"] is True
    assert facts["frames_used"] == [1, 3]


def test_a_file_that_cannot_be_written_is_told(
    panel: RegionsPanel, drawn: Any, tmp_path: Path
) -> None:
    panel.buttons.save(tmp_path / "nowhere" / "r.csv")
    assert "nowhere" in panel.message.text()
    assert len(warned()) == 1


def test_copy(panel: RegionsPanel, drawn: Any) -> None:
    panel.buttons.copy_button.click()
    clipboard = QApplication.clipboard()
    assert clipboard is not None
    header, row = clipboard.text().strip().split("\n")
    assert header.split("\t")[:3] == ["region", "name", "fraction"]
    assert row.split("\t")[1] == "region 1"


# --- uses ---------------------------------------------------------------------------------------


def test_background_from_a_region_and_back(
    dock: RatioDock, panel: RegionsPanel, drawn: Any, qtbot: Any
) -> None:
    before = dock.context.corrections
    panel.table.selectRow(0)
    panel.uses.background_button.click()
    tracer, other = dock.context.corrections.background
    count = int(COUNTS[0][2:8, 3:13].sum())
    assert tracer.value == pytest.approx(count / 60)
    assert tracer.error == pytest.approx(np.sqrt(count + 1) / 60)
    assert other.value == pytest.approx(COUNTS[1][2:8, 3:13].sum() / 60)
    assert "region 1 in 'Regions'" in tracer.source
    settle(qtbot, panel)
    assert np.isnan(panel.found.table["fraction"].iloc[0])  # nothing is left of itself
    assert "6Li" in panel.message.text()
    assert panel.uses.undo_button.text() == "Undo background"
    panel.uses.undo_button.click()
    assert dock.context.corrections == before
    settle(qtbot, panel)
    assert np.isfinite(panel.found.table["fraction"].iloc[0])
    assert not panel.uses.undo_button.isEnabled()


def test_fractionation_from_a_reference_makes_the_reference_right(
    dock: RatioDock, panel: RegionsPanel, drawn: Any, qtbot: Any
) -> None:
    natural = natural_fraction("Li", 6, 7)
    assert natural is not None
    assert panel.uses.known.value() == pytest.approx(natural.value, abs=1e-6)
    panel.table.selectRow(0)
    panel.uses.known.setValue(0.5)
    panel.uses.known_error.setValue(0.0)
    panel.uses.reference_button.click()
    factor = dock.context.corrections.fractionation
    odds = COUNTS[0][2:8, 3:13].sum() / COUNTS[1][2:8, 3:13].sum()
    assert factor.value == pytest.approx(odds, rel=1e-6)  # odds of one half are 1
    settle(qtbot, panel)
    assert panel.found.table["fraction"].iloc[0] == pytest.approx(0.5)
    panel.uses.background_button.click()
    panel.uses.undo_button.click()
    assert dock.context.corrections.fractionation == factor
    panel.uses.undo_button.click()
    assert dock.context.corrections.fractionation.value == 1.0


def test_the_natural_fraction_keeps_its_source(panel: RegionsPanel, drawn: Any) -> None:
    assert panel.uses.reference == natural_fraction("Li", 6, 7)
    panel.uses.known.setValue(0.08)
    assert panel.uses.reference.source == "typed by hand"


def test_too_few_counts_for_a_reference_are_told(
    dock: RatioDock, panel: RegionsPanel, drawn: Any, viewer: Any, qtbot: Any
) -> None:
    viewer.layers["6Li"].data = np.zeros((24, 30), np.int64)
    settle(qtbot, panel)
    panel.table.selectRow(0)
    panel.uses.reference_button.click()
    assert "too few counts" in panel.message.text()
    assert dock.context.corrections.fractionation.value == 1.0


def test_the_far_field_is_kept_with_the_counts(
    viewer: Any, panel: RegionsPanel, drawn: Any
) -> None:
    panel.table.selectRow(0)
    panel.uses.far_button.click()
    kept = far_field_of(viewer.layers["6Li"])
    assert kept is not None
    a, b = (int(image[2:8, 3:13].sum()) for image in COUNTS)
    assert kept.value == pytest.approx(a / (a + b))
    # Clopper-Pearson is a little wider than the normal interval of so many counts
    assert kept.error == pytest.approx(np.sqrt(a * b / (a + b) ** 3), rel=0.05)
    assert "Regions" in kept.source
    panel.uses.undo_button.click()
    assert far_field_of(viewer.layers["6Li"]) is None


def test_a_region_outside_the_map_is_good_for_nothing(
    panel: RegionsPanel, drawn: Any, qtbot: Any
) -> None:
    drawn.data = [SQUARE + 200]
    settle(qtbot, panel)
    panel.table.selectRow(0)
    assert texts(panel, 1) == ["–"]
    assert "no pixel" in panel.uses.background_button.toolTip()
    assert not panel.uses.far_button.isEnabled()


def test_without_pixel_size_there_are_no_areas(viewer: ViewerModel, qtbot: Any) -> None:
    add_map(viewer, pixel_size=None)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    next(step for step in dock.steps if step.title == "Regions").unfold()
    viewer.add_labels(grains_of_three())
    settle(qtbot, dock.regions)
    assert texts(dock.regions, 5) == ["–"] * 3
    assert "pixel size is unknown" in dock.regions.message.text()
