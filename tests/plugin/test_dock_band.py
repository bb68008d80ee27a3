"""The line profile step of the ratio dock: what is drawn is what is summed."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.main import RatioDock
from napari_liso.plugin.widgets.regions.band import BandPanel

from .conftest import PIXEL, acquisition_of, add_map, fit_of, grains_of_three, warned

COUNTS = acquisition_of().counts.sum(axis=1)
#: Along row 10, between centres: whole columns 5 to 14.
LINE = np.array([[10.0, 4.5], [10.0, 14.5]])


def settle(qtbot: Any, panel: Any) -> None:
    """Wait until the profile belongs to what is drawn."""
    qtbot.waitUntil(lambda: not panel.newest.pending and not panel.task.running, timeout=20_000)


@pytest.fixture
def docks(qtbot: Any) -> Callable[[ViewerModel], BandPanel]:
    """Open a dock and return its step; the dock lives as long as the test."""
    kept = []

    def opened(viewer: ViewerModel) -> BandPanel:
        dock = RatioDock(viewer)
        qtbot.addWidget(dock)
        kept.append(dock)
        next(step for step in dock.steps if step.title == "Line profile").unfold()
        return dock.band

    return opened


@pytest.fixture
def panel(viewer: ViewerModel, docks: Callable[[ViewerModel], BandPanel]) -> BandPanel:
    add_map(viewer)
    return docks(viewer)


@pytest.fixture
def drawn(panel: BandPanel, qtbot: Any) -> Any:
    """A layer with one line, 8 pixels wide."""
    panel.draw_button.click()
    layer: Any = panel.choice.current
    layer.add_lines([LINE], edge_width=layer.current_edge_width)
    settle(qtbot, panel)
    return layer


def test_a_line_is_summed_as_wide_as_it_is_drawn(panel: BandPanel, drawn: Any, qtbot: Any) -> None:
    assert ly.role_of(drawn) == "lines"
    assert drawn.mode == "add_line"
    assert panel.width.value() == 4.0  # um: 8 pixels of 0.5
    profile = panel.found.profile  # type: ignore[union-attr]
    # of centres on both edges of the band one side counts
    assert profile.pixels.tolist() == [8] * 10
    sums = {tuple(COUNTS[0][rows, 5:15].sum(axis=0)) for rows in (slice(6, 14), slice(7, 15))}
    assert tuple(profile.tracer) in sums
    np.testing.assert_allclose(profile.distance, (np.arange(10) + 0.5) * PIXEL)
    panel.width.setValue(1.5)
    assert drawn.edge_width[0] == pytest.approx(3.0)
    settle(qtbot, panel)
    assert panel.found.profile.tracer.tolist() == COUNTS[0][9:12, 5:15].sum(axis=0).tolist()  # type: ignore[union-attr]
    panel.step.setValue(2.5)
    settle(qtbot, panel)
    assert (
        panel.found.profile.tracer.tolist()
        == [  # type: ignore[union-attr]
            COUNTS[0][9:12, 5:10].sum(),
            COUNTS[0][9:12, 10:15].sum(),
        ]
    )


def test_a_width_set_in_napari_is_taken(panel: BandPanel, drawn: Any, qtbot: Any) -> None:
    drawn.selected_data = {0}
    drawn.current_edge_width = 5.0  # what its slider does
    settle(qtbot, panel)
    assert panel.width.value() == 2.5
    assert panel.found.profile.pixels.tolist() == [5] * 10  # type: ignore[union-attr]
    assert drawn.edge_width[0] == 5.0


def test_moving_a_line_is_followed(panel: BandPanel, drawn: Any, qtbot: Any) -> None:
    panel.width.setValue(0.5)
    drawn.data = [(LINE + np.array([3, 2]), "line")]
    settle(qtbot, panel)
    assert panel.found.profile.tracer.tolist() == COUNTS[0][13, 7:17].tolist()  # type: ignore[union-attr]
    drawn.translate = (0.5, 0.0)
    settle(qtbot, panel)
    assert panel.found.profile.tracer.tolist() == COUNTS[0][14, 7:17].tolist()  # type: ignore[union-attr]


def test_of_several_lines_the_selected_or_the_last_is_shown(
    panel: BandPanel, drawn: Any, qtbot: Any
) -> None:
    drawn.add_paths([np.array([[2.0, 2.0], [2.0, 8.0], [7.0, 8.0]])], edge_width=1)
    settle(qtbot, panel)
    assert "Line 2 of 2" in panel.message.text()
    assert panel.found.profile.length == pytest.approx(11 * PIXEL)  # type: ignore[union-attr]
    assert panel.width.value() == 0.5
    drawn.selected_data = {0}
    settle(qtbot, panel)
    assert "Line 1 of 2" in panel.message.text()
    assert panel.width.value() == 4.0


def test_oblong_pixels_have_bands_as_wide_as_they_look(
    viewer: ViewerModel, docks: Any, qtbot: Any
) -> None:
    """Pixels of 1 x 0.25 um: an edge of 2 is 2 um wide along a row, 0.5 um along a column."""
    add_map(viewer, pixel_size=(1e-6, 0.25e-6))
    panel = docks(viewer)
    panel.draw_button.click()
    layer: Any = panel.choice.current
    layer.add_lines([LINE], edge_width=2)
    settle(qtbot, panel)
    assert panel.width.value() == pytest.approx(2.0)
    layer.add_lines([LINE[:, ::-1]], edge_width=2)
    settle(qtbot, panel)
    assert panel.width.value() == pytest.approx(0.5)
    panel.width.setValue(1.0)
    assert layer.edge_width == pytest.approx([2.0, 4.0])


def test_without_a_pixel_size_lengths_are_pixels(
    viewer: ViewerModel, docks: Any, qtbot: Any
) -> None:
    add_map(viewer, pixel_size=None)
    panel = docks(viewer)
    assert panel.width.suffix() == " px"
    panel.draw_button.click()
    panel.choice.current.add_lines([LINE], edge_width=3)  # type: ignore[union-attr]
    settle(qtbot, panel)
    assert panel.width.value() == 3.0
    assert panel.found.profile.length == pytest.approx(10.0)  # type: ignore[union-attr]
    assert panel.plot.axes.get_xlabel() == "distance along the line (pixels)"


def test_the_plot_shows_each_point_with_its_error(panel: BandPanel, drawn: Any) -> None:
    profile = panel.found.profile  # type: ignore[union-attr]
    container = panel.plot.axes.containers[0]
    x, y = container[0].get_data()
    np.testing.assert_allclose(x, profile.distance * 1e6)
    np.testing.assert_allclose(y, profile.fraction)
    ends = np.array([segment[:, 1] for segment in container[2][0].get_segments()])
    np.testing.assert_allclose(ends, np.column_stack([profile.lower, profile.upper]))
    assert panel.plot.axes.get_xlabel() == "distance along the line (µm)"
    assert panel.plot.axes.get_ylabel() == "6Li fraction"


def test_the_model_of_a_fit_is_drawn(
    viewer: Any, panel: BandPanel, drawn: Any, qtbot: Any
) -> None:
    found = find_boundaries(grains_of_three(), PIXEL)
    placement = ly.Placement.of_pixel_size(found.pixel_size)
    ly.show(viewer, ly.boundaries_layer(found, placement, fit=fit_of(found)))
    settle(qtbot, panel)
    np.testing.assert_allclose(panel.found.profile.model, 0.4)  # type: ignore[union-attr]
    assert [line.get_label() for line in panel.plot.axes.lines].count("model") == 1


def test_the_file_says_from_what_and_how(panel: BandPanel, drawn: Any, tmp_path: Path) -> None:
    panel.buttons.save(tmp_path / "p.csv")
    table = pd.read_csv(tmp_path / "p.csv", comment="#")
    np.testing.assert_allclose(table["distance_m"], (np.arange(10) + 0.5) * PIXEL)
    facts: dict[str, Any] = {}
    for line in (tmp_path / "p.csv").read_text("utf-8").splitlines():
        if line.startswith("# "):
            facts.update(json.loads(line[2:]))
    assert facts["band_width_m"] == pytest.approx(8 * PIXEL)
    assert facts["path_pixels_y_x"] == LINE.tolist()
    assert facts["drawn in"] == "Profile lines"


def test_what_is_missing_is_said(viewer: Any, panel: BandPanel, qtbot: Any) -> None:
    assert panel.status == "none yet"
    assert "no profile" in panel.buttons.copy_button.toolTip()
    panel.draw_button.click()
    settle(qtbot, panel)
    assert panel.found is None
    layer: Any = panel.choice.current
    layer.add_lines([LINE + 500])
    settle(qtbot, panel)
    assert "outside the image" in panel.message.text()
    assert warned() == []
    layer.data = []
    settle(qtbot, panel)
    assert panel.found is None
    viewer.layers.remove("7Li")
    assert not panel.draw_button.isEnabled()


def test_regions_are_not_taken_for_lines(viewer: Any, panel: BandPanel, qtbot: Any) -> None:
    viewer.add_shapes([np.array([[2, 2], [2, 9], [9, 9]])], shape_type="polygon")
    settle(qtbot, panel)
    assert panel.choice.current is None
    viewer.add_shapes([LINE], shape_type="line", edge_width=3, scale=(0.5, 0.5), units="um")
    settle(qtbot, panel)
    assert panel.found.profile.pixels.tolist() == [3] * 10  # type: ignore[union-attr]
    panel.draw_button.click()  # not into a layer of somebody else
    assert ly.role_of(panel.choice.current) == "lines"
