"""Grains, boundaries and the one selection that map, tables and plot share."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.plugin import layers as ly
from napari_liso.plugin.selection import camera_of, selection_of
from napari_liso.plugin.widgets.main import AllSteps, BoundaryDock

from .conftest import (
    FakeFit,
    add_boundaries,
    add_grains,
    add_map,
    finish,
    grains_of_three,
    snapshot,
    warned,
)

# --- grains and boundaries ---


def test_boundaries_are_found_listed_and_updated(
    dock: AllSteps, viewer: ViewerModel, qtbot
) -> None:
    add_map(viewer)
    add_grains(viewer)
    dock.boundaries.find_boundaries()
    finish(qtbot, dock.boundaries.task)
    layer = viewer.layers["Grain boundaries"]
    table = dock.boundaries.table.model()
    assert table.rowCount() == 3
    texts = [[table.index(r, c).data() for c in range(3)] for r in range(3)]
    assert texts == [["1", "1 | 2", "6.00"], ["2", "1 | 3", "6.00"], ["3", "2 | 3", "7.50"]]
    assert not viewer.layers["Grains"].visible
    # grain 3 loses a corner to a new grain, which touches grains 2 and 3
    viewer.layers["Grains"].data_setitem((np.full(5, 12), np.arange(25, 30)), 4)
    qtbot.waitUntil(lambda: dock.boundaries.table.model().rowCount() == 5)  # they follow
    dock.boundaries.find_boundaries()
    finish(qtbot, dock.boundaries.task)
    assert viewer.layers["Grain boundaries"] is layer
    assert dock.boundaries.message.text().startswith("5 boundaries")


@pytest.mark.parametrize(
    ("grains", "reason"),
    [
        (np.ones((24, 30), int), "single grain"),
        (np.zeros((24, 30), int), "is empty"),
        (np.repeat([[1, 0, 0, 0, 0, 2]], 24, axis=0).repeat(5, axis=1), "no two grains touch"),
        (np.ones((20, 30), int), "differ in shape"),
        (np.ones((2, 24, 30), int), "one plane"),
    ],
)
def test_grains_without_boundaries_are_refused(
    grains: np.ndarray, reason: str, dock: AllSteps, viewer: ViewerModel, qtbot
) -> None:
    add_map(viewer)
    scale = (1,) * (grains.ndim - 2) + (0.5, 0.5)
    unit = ("pixel",) * (grains.ndim - 2) + ("um", "um")
    viewer.add_labels(grains, name="Grains", scale=scale, units=unit)
    before = snapshot(viewer)
    dock.boundaries.find_boundaries()
    finish(qtbot, dock.boundaries.task)
    assert reason in dock.boundaries.message.text().lower()
    assert len(warned()) == 1
    assert snapshot(viewer) == before


def test_a_boundary_of_one_pixel_goes_all_the_way(
    dock: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    add_map(viewer)
    grains = np.zeros((24, 30), int)
    grains[:, :12] = 1
    grains[:, 18:] = 2
    grains[10, 12:15], grains[10, 15:18] = 1, 2
    add_grains(viewer, grains)
    dock.boundaries.find_boundaries()
    finish(qtbot, dock.boundaries.task)
    assert dock.boundaries.table.model().rowCount() == 1
    dock.context.selection.select([1])
    assert dock.results.plot.axes.get_title() == "Boundary 1: grain 1 | grain 2"
    dock.fit.start()
    finish(qtbot, dock.fit.task)
    assert "1 of 1 boundaries resolved" in dock.fit.message.text()


def test_grains_can_be_drawn(dock: AllSteps, viewer: ViewerModel) -> None:
    add_map(viewer)
    dock.boundaries.add_empty_grains()
    layer = viewer.layers["Grains"]
    assert layer.data.shape == (24, 30)
    assert layer.mode == "polygon"
    assert ly.pixel_size_from_layer(layer) == ly.pixel_size_from_layer(viewer.layers["6Li"])
    dock.boundaries.add_empty_grains()
    assert [x.name for x in viewer.layers][-2:] == ["Grains", "Grains [1]"]


def add_halves(viewer: ViewerModel) -> None:
    """Counts of two grains, 24 x 30 pixels: fraction 0.9 on the left and 0.1 on the right."""
    half = np.repeat([[90, 10]], 24, axis=0).repeat(15, axis=1)
    placement = {"scale": (0.5, 0.5), "units": ("um", "um")}
    rng = np.random.default_rng(0)
    viewer.add_image(rng.poisson(half * 5), name="6Li", **placement)
    viewer.add_image(rng.poisson(500 - half * 5), name="7Li", **placement)


def test_segmentation_is_a_proposal_to_edit(dock: AllSteps, viewer: ViewerModel, qtbot) -> None:
    add_halves(viewer)
    dock.boundaries.segment_grains()
    finish(qtbot, dock.boundaries.task)
    grains = viewer.layers["Grains"].data
    assert grains.shape == (24, 30)
    assert grains[12, 5] != grains[12, 25]
    assert "grains proposed" in dock.boundaries.message.text()
    dock.boundaries.segment_grains()  # its own proposal is updated in place
    finish(qtbot, dock.boundaries.task)
    assert [x.name for x in viewer.layers] == ["6Li", "7Li", "Grains", "Grain boundaries"]


def test_boundaries_come_with_the_segmentation(dock: AllSteps, viewer: ViewerModel, qtbot) -> None:
    add_halves(viewer)
    dock.boundaries.segment_grains()
    finish(qtbot, dock.boundaries.task)
    assert dock.boundaries.message.text().startswith("1 boundary, 12 µm in all.")
    assert dock.context.current_boundaries().table["length"].tolist() == pytest.approx([12e-6])
    assert not viewer.layers["Grains"].visible


def test_segmentation_leaves_grains_of_others_alone(
    dock: AllSteps, viewer: ViewerModel, qtbot
) -> None:
    add_halves(viewer)
    add_grains(viewer)
    before = snapshot(viewer)
    for _ in range(2):
        dock.boundaries.segment_grains()
        finish(qtbot, dock.boundaries.task)
        assert snapshot(viewer)[:3] == before
        names = [x.name for x in viewer.layers][3:]
        assert names == ["Grains (proposed)", "Grain boundaries"]
        assert dock.context.grains.current == viewer.layers["Grains (proposed)"]
        assert dock.boundaries.grains.currentText() == "Grains (proposed)"


def test_sensitivity_reaches_the_segmentation(
    dock: AllSteps, viewer: ViewerModel, qtbot, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = []

    def segment(**arguments: Any) -> np.ndarray:
        given.append(arguments["sensitivity"])
        return grains_of_three()

    monkeypatch.setattr("napari_liso.microstructure.grains.segment_grains", segment)
    add_halves(viewer)
    for value in (None, 1.5):
        if value is not None:
            dock.boundaries.sensitivity.setValue(value)
        dock.boundaries.segment_grains()
        finish(qtbot, dock.boundaries.task)
    assert given == [1.0, 1.5]


# --- one selection ---


def test_table_map_and_plot_share_one_selection(
    dock: AllSteps, viewer: ViewerModel, qtbot
) -> None:
    add_map(viewer)
    add_boundaries(viewer)
    layer = viewer.layers["Grain boundaries"]
    layer.corner_pixels = np.array([[0, 0], [3, 3]])  # the user has zoomed in
    table = dock.boundaries.table
    table.selectRow(1)
    assert selection_of(layer).ids == (2,)
    # boundary 1 | 3 is at x = 7.5 um between y = 6 and 12 um
    assert np.allclose(camera_of(viewer).center[-2:], (9.0, 7.25), atol=0.6)
    assert dock.results.plot.axes.get_title() == "Boundary 2: grain 1 | grain 3"
    selection_of(layer).select([3, 1])
    rows = [index.row() for index in table.selectionModel().selectedRows()]
    assert sorted(rows) == [0, 2]
    assert [index.row() for index in dock.results.table.selectionModel().selectedRows()]
    assert dock.results.plot.axes.get_title() == "Boundary 1: grain 1 | grain 2"


def test_a_second_dock_shares_the_selection(dock: AllSteps, viewer: ViewerModel, qtbot) -> None:
    add_map(viewer)
    add_boundaries(viewer)
    second = BoundaryDock(viewer)
    qtbot.addWidget(second)
    second.boundaries.table.selectRow(2)
    assert dock.context.selection.ids == (3,)


def test_fewer_boundaries_drop_what_no_longer_exists(dock: AllSteps, viewer: ViewerModel) -> None:
    add_boundaries(viewer)
    dock.context.selection.select([1, 3])
    add_boundaries(viewer, np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1))
    assert dock.context.selection.ids == (1,)
    assert dock.boundaries.table.model().rowCount() == 1


def test_a_profile_shows_counts_of_both_sides(dock: AllSteps, viewer: ViewerModel) -> None:
    left = np.repeat([[80, 20]], 24, axis=0).repeat(15, axis=1)
    placement = {"scale": (0.5, 0.5), "units": ("um", "um")}
    viewer.add_image(left, name="6Li", **placement)
    viewer.add_image(100 - left, name="7Li", **placement)
    add_boundaries(viewer, np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1))
    dock.context.selection.select([1])
    data = dock.results.plot.axes.containers[0].lines[0]
    distance, fraction = data.get_xdata(), data.get_ydata()
    there = np.isfinite(fraction)
    assert np.allclose(fraction[there & (distance < 0)], 0.8)
    assert np.allclose(fraction[there & (distance > 0)], 0.2)
    assert distance[there].min() == pytest.approx(-7.25, abs=0.5)  # um
