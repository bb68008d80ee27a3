"""Grains from EBSD in the dock: other limits, and onto the pixels of the counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ebsd_writer import ctf
from napari.components import ViewerModel
from npe2 import PluginManager

from napari_liso.plugin import layers as ly
from napari_liso.plugin.layers.ebsd import ebsd_of, lies_elsewhere
from napari_liso.plugin.widgets.main import BoundaryDock

from .conftest import add_map, finish

STEP = 0.4  # um


@pytest.fixture
def dock(viewer: ViewerModel, qtbot: Any, tmp_path: Path) -> BoundaryDock:
    """A map of 16 x 24 points whose right half is turned by 4 degrees but for 8 points: 30."""
    euler = np.zeros((16, 24, 3))
    euler[:, 12:, 0] = np.deg2rad(4)
    euler[4:6, 4:8, 0] = np.deg2rad(30)
    file = tmp_path / "map.ctf"
    file.write_text(ctf(euler, np.ones(euler.shape[:2], int), (STEP, STEP)), newline="")
    PluginManager.instance().discover()
    viewer.open(str(file), plugin="napari-liso")
    dock = BoundaryDock(viewer)
    qtbot.addWidget(dock)
    with qtbot.waitExposed(dock):
        dock.show()
    finish(qtbot, dock.grains.task)
    return dock


def test_the_limits_are_those_that_the_grains_were_found_with(dock: BoundaryDock) -> None:
    part = dock.grains.ebsd
    assert part.isVisible()
    assert part.threshold.value() == 5
    assert part.smallest.value() == pytest.approx(8 * STEP**2)
    assert not part.bring_button.isVisible()  # no counts to bring them to


def test_other_limits_find_other_grains(
    dock: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    before = np.array(viewer.layers["Grains"].data)
    assert np.unique(before).tolist() == [1, 2]  # 4 degrees do not count, 8 points do
    part = dock.grains.ebsd
    part.threshold.setValue(3)
    part.smallest.setValue(9 * STEP**2)
    part.find_button.click()
    finish(qtbot, dock.grains.task)
    made = viewer.layers["Grains (proposed)"]
    assert dock.context.grains.current is made
    halves = np.repeat([[1, 2]], 16, axis=0).repeat(12, axis=1)
    assert np.array_equal(made.data, halves)
    assert np.array_equal(viewer.layers["Grains"].data, before)
    record = made.metadata[ly.PROVENANCE]
    assert record["threshold_deg"] == 3
    assert record["min_area"] == pytest.approx(9 * (STEP * 1e-6) ** 2)
    assert record["sources"] == ["map.ctf"]
    layer = dock.context.boundaries.current
    assert layer is not None
    assert layer.features["misorientation_deg"][1] == pytest.approx(4, abs=0.01)
    # again, into the same proposal
    part.threshold.setValue(5)
    part.find_button.click()
    finish(qtbot, dock.grains.task)
    assert [x.name for x in viewer.layers].count("Grains (proposed)") == 1
    assert np.unique(made.data).tolist() == [1]
    assert dock.grains.message.text().startswith("1 grain proposed.")


def test_grains_are_brought_onto_the_counts(
    dock: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    """The EBSD image was laid 2 um to the right of the counts, in pixels of 0.5 um."""
    add_map(viewer)
    grains, counts = viewer.layers["Grains"], viewer.layers["6Li"]
    viewer.layers["EBSD BC"].affine = [[1, 0, 0], [0, 1, 2.0], [0, 0, 1]]
    part = dock.grains.ebsd
    assert part.bring_button.isVisible()
    dock.grains.find_boundaries()
    assert "press Onto the map's pixels" in dock.grains.message.text()
    part.bring_button.click()
    finish(qtbot, dock.grains.task)
    made = viewer.layers["Grains on 6Li"]
    assert made.data.shape == counts.data.shape[-2:] == (24, 30)
    row = np.floor(np.arange(24) * 0.5 / STEP + 0.5).astype(int)
    column = np.floor((np.arange(30) * 0.5 - 2.0) / STEP + 0.5 + 1e-6).astype(int)
    inside = (row < 16)[:, None] & ((column >= 0) & (column < 24))[None]
    source = np.asarray(grains.data)[np.minimum(row, 15)[:, None], column.clip(0, 23)]
    assert np.array_equal(made.data, np.where(inside, source, 0))
    assert not grains.visible
    names = [x.name for x in viewer.layers]
    assert names.index("EBSD BC") < names.index("Grain boundaries") < names.index("Grains on 6Li")
    assert not lies_elsewhere(made, counts)
    assert ebsd_of(made) is not None
    assert dock.context.grains.current is made
    layer = dock.context.boundaries.current
    assert layer is not None
    assert layer.data.shape == (24, 30)
    assert layer.features["misorientation_deg"][1] == pytest.approx(30, abs=0.01)
    assert not part.bring_button.isVisible()


def test_grids_of_equal_shape_may_lie_elsewhere(viewer: ViewerModel) -> None:
    where = {"units": ("um", "um")}
    counts = viewer.add_image(np.zeros((8, 9)), scale=(0.5, 0.5), **where)
    same = viewer.add_labels(np.ones((8, 9), int), scale=(0.5, 0.5), translate=(0.2, 0), **where)
    moved = viewer.add_labels(np.ones((8, 9), int), scale=(0.5, 0.5), translate=(0.6, 0), **where)
    wider = viewer.add_labels(np.ones((8, 9), int), scale=(0.55, 0.55), **where)
    drawn = viewer.add_labels(np.ones((8, 9), int))
    assert [lies_elsewhere(x, counts) for x in (same, moved, wider, drawn, None)] == [
        False, True, True, False, False,
    ]  # fmt: skip
