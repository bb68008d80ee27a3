"""Neighbouring fields in the viewer: placed by hand or stage, and put together."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel
from pytestqt.qtbot import QtBot
from qtpy.QtCore import Qt

from napari_liso.acquisition import Acquisition
from napari_liso.fields import STAGE_POSITION
from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.stitch import StitchDock, StitchPanel

PIXEL = 0.5e-6
WHOLE = np.random.default_rng(2).poisson(5, (2, 1, 20, 40)).astype(np.uint16)


def field(left: int, width: int, stage: bool = True) -> Acquisition:
    """A part of the map, all of its height."""
    metadata = {"path": str(Path("data") / f"field{left}.raw"), "counts_are": "raw"}
    if stage:
        # the stage's y grows upward, its x to the right; positions of centres
        metadata[STAGE_POSITION] = [-10 * PIXEL, (left + width / 2) * PIXEL]
    return Acquisition(
        WHOLE[..., left : left + width],
        ("6Li", "7Li"),
        np.array([6.0, 7.0]),
        (PIXEL, PIXEL),
        metadata=metadata,
    )


def open_fields(viewer: ViewerModel, *fields: Acquisition) -> None:
    for one in fields:
        for layer_data in ly.acquisition_layers(one):
            ly.add(viewer, layer_data)


@pytest.fixture
def panel(viewer: ViewerModel, qtbot: QtBot) -> Iterator[StitchPanel]:
    dock = StitchDock(viewer)  # kept until the test ends
    qtbot.addWidget(dock)
    yield dock.stitch
    dock.close()


def stitched(panel: StitchPanel, qtbot: QtBot) -> np.ndarray:
    with qtbot.waitSignal(panel.task.succeeded, timeout=10_000):
        qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    return np.asarray(panel.context.viewer.layers["6Li (stitched)"].data)


def test_by_the_stage(panel: StitchPanel, viewer: ViewerModel, qtbot: QtBot) -> None:
    open_fields(viewer, field(0, 25), field(20, 20))
    assert panel.table.rowCount() == 2
    assert panel.table.item(1, 0).text() == "field20.raw"
    qtbot.mouseClick(panel.stage_button, Qt.MouseButton.LeftButton)
    assert panel.table.item(1, 2).text() == "10"  # 20 pixels of 0.5 um
    expected = WHOLE[0, 0].astype(int)
    expected[:, 20:25] *= 2
    np.testing.assert_array_equal(stitched(panel, qtbot), expected)
    assert "100 pixels overlap, 0 are not covered" in panel.message.text()
    assert "Rounded" not in panel.message.text()
    assert not viewer.layers["6Li"].visible
    # what was made is not offered as a field again
    assert panel.table.rowCount() == 2


def test_by_hand(panel: StitchPanel, viewer: ViewerModel, qtbot: QtBot) -> None:
    open_fields(viewer, field(0, 20, stage=False), field(20, 20, stage=False))
    assert not panel.stage_button.isEnabled()
    assert "does not say where the stage was" in panel.stage_button.toolTip()
    panel.table.item(1, 2).setText("10")
    assert [tuple(layer.translate) for layer in viewer.layers] == [(0, 0)] * 2 + [(0, 10)] * 2
    # dragged on the map, the table follows
    viewer.layers[0].translate = (0, -1)
    assert panel.table.item(0, 2).text() == "-1"
    viewer.layers[0].translate = (0, 0)
    np.testing.assert_array_equal(stitched(panel, qtbot), WHOLE[0, 0])
    panel.table.item(1, 2).setText("far")
    assert "'far' is not a number" in panel.message.text()
    assert panel.table.item(1, 2).text() == "10"


def test_reversing_an_axis_moves_fields_that_the_stage_placed(
    panel: StitchPanel, viewer: ViewerModel, qtbot: QtBot
) -> None:
    open_fields(viewer, field(0, 20), field(20, 20))
    panel.reverse_x.setChecked(True)
    assert panel.table.item(1, 2).text() == "0"
    qtbot.mouseClick(panel.stage_button, Qt.MouseButton.LeftButton)
    assert (panel.table.item(0, 2).text(), panel.table.item(1, 2).text()) == ("10", "0")
    panel.reverse_x.setChecked(False)
    assert (panel.table.item(0, 2).text(), panel.table.item(1, 2).text()) == ("0", "10")


def test_a_field_left_out(panel: StitchPanel, viewer: ViewerModel) -> None:
    open_fields(viewer, field(0, 20), field(20, 20))
    assert panel.run_button.isEnabled()
    panel.table.item(0, 0).setCheckState(Qt.CheckState.Unchecked)
    assert not panel.run_button.isEnabled()
    assert "two fields or more" in panel.run_button.toolTip()
    # it stays left out when layers come and go
    open_fields(viewer, field(10, 20))
    assert panel.table.item(0, 0).checkState() == Qt.CheckState.Unchecked
    assert panel.run_button.isEnabled()


def test_turned_fields_are_refused(panel: StitchPanel, viewer: ViewerModel, qtbot: QtBot) -> None:
    open_fields(viewer, field(0, 20), field(20, 20))
    viewer.layers[2].rotate = 5
    qtbot.mouseClick(panel.run_button, Qt.MouseButton.LeftButton)
    assert "turned" in panel.message.text()


def test_without_a_pixel_size(panel: StitchPanel, viewer: ViewerModel) -> None:
    open_fields(viewer, *(replace(f, pixel_size=None) for f in (field(0, 20), field(20, 20))))
    assert not panel.run_button.isEnabled()
    assert "pixel size of field0.raw is not known" in panel.run_button.toolTip()


def test_an_empty_viewer(panel: StitchPanel) -> None:
    assert not panel.run_button.isEnabled()
    assert panel.status == "open two fields or more"
