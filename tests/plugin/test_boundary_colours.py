"""Colours of boundaries in a dock: by a number, with a legend, and after a session."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

import napari_liso as liso
from napari_liso.plugin import boundary_colours as bc
from napari_liso.plugin.saving import restore, session_of_viewer
from napari_liso.plugin.showing import colour_mode
from napari_liso.plugin.widgets.main import AllSteps, BoundaryDock

from .boundary_bench import add_fit, add_found, dock_on_three_grains


@pytest.fixture
def bench(viewer: ViewerModel, qtbot: Any) -> BoundaryDock:
    return dock_on_three_grains(viewer, qtbot)


def test_colour_by_a_number_with_a_legend(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    second = AllSteps(viewer)
    qtbot.addWidget(second)
    layer = viewer.layers["Grain boundaries"]
    part = bench.boundaries.colour_by
    assert part.box.currentText() == "nothing: plain lines"
    place = part.box.findText("step of the fraction")
    part.box.setCurrentIndex(place)
    part.box.activated.emit(place)
    assert colour_mode(layer) == "step"
    assert second.boundaries.list.colour_by.box.currentText() == "step of the fraction"
    scale = part.legend.scale
    assert scale is not None
    assert "step" in scale.title
    expected = scale.colours(np.array([0.5, 0.2, -0.3]))
    assert np.allclose(layer.colormap.map(np.array([1, 2, 3], np.uint16)), expected)
    bench.boundaries.table.set_state([2], "exclude")
    assert np.allclose(layer.colormap.map(2), bc.EXCLUDED)
    bench.context.selection.select([1])
    assert np.allclose(layer.colormap.map(1), bc.SELECTED)
    add_found(viewer)  # found anew: the choice stays
    assert colour_mode(layer) in ("step", "plain")
    qtbot.waitUntil(lambda: colour_mode(layer) == "step", timeout=10_000)


def test_k_follows_the_colours_of_its_image(dock: AllSteps, viewer: ViewerModel) -> None:
    add_fit(viewer)
    legend = dock.boundaries.list.colour_by.legend
    image = viewer.layers["log10 k (m/s)"]
    assert legend.scale is not None
    assert (legend.scale.low, legend.scale.high) == pytest.approx(tuple(image.contrast_limits))
    image.contrast_limits = (-12, -6)
    assert (legend.scale.low, legend.scale.high) == (-12, -6)
    layer = viewer.layers["Grain boundaries"]
    assert np.allclose(layer.colormap.map(1), image.colormap.map((-8 + 12) / 6), atol=0.01)


def test_the_legend_is_painted_in_its_colours(bench: BoundaryDock, qtbot: Any) -> None:
    bench.boundaries.colour_by.choose("length")
    bench.resize(380, 700)
    with qtbot.waitExposed(bench):
        bench.show()
    legend = bench.boundaries.colour_by.legend
    picture = legend.grab().toImage()
    row = legend.fontMetrics().height() + 9
    ends = [picture.pixelColor(x, row) for x in (17, picture.width() - 18)]
    for colour, (r, g, b) in zip(ends, ((0, 255, 255), (255, 0, 255)), strict=True):
        assert (
            np.abs(np.subtract((colour.red(), colour.green(), colour.blue()), (r, g, b))).max()
            < 15
        )


def test_the_legend_names_the_greys_that_the_map_has(bench: BoundaryDock) -> None:
    legend = bench.boundaries.colour_by.legend
    assert [text for text, _ in legend.chips] == ["used", "excluded"]
    bench.boundaries.colour_by.choose("length")
    assert legend.chips == []
    bench.boundaries.table.set_state([2], "exclude")
    assert legend.chips == [("excluded", bc.EXCLUDED)]


def test_the_legend_makes_room_for_itself(bench: BoundaryDock, qtbot: Any) -> None:
    """What is below moves with it, and nothing lies over anything else."""
    part = bench.boundaries
    bench.resize(380, 700)
    with qtbot.waitExposed(bench):
        bench.show()
    part.message.say("Written.")
    for mode in ("length", "plain", "step", "state"):
        part.colour_by.choose(mode)
        qtbot.wait(100)
        legend = part.colour_by.legend
        assert legend.height() == legend.sizeHint().height()
        assert part.table.geometry().bottom() < part.buttons.geometry().top()
        assert part.buttons.geometry().bottom() < part.message.geometry().top()


def test_excluded_ones_are_seen_on_grey_maps() -> None:
    """Over any grey they differ from it by 0.1 in a channel, and from what has no value."""
    red, green, blue, alpha = bc.EXCLUDED
    for grey in np.linspace(0, 1, 21):
        mixed = alpha * np.array([red, green, blue]) + (1 - alpha) * grey
        assert np.abs(mixed - grey).max() > 0.1
        assert np.abs(mixed - bc.UNRESOLVED[:3]).max() > 0.1


def test_the_colours_come_back_with_a_session(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any, tmp_path: Path
) -> None:
    bench.boundaries.colour_by.choose("step")
    shown = viewer.layers["Grain boundaries"].colormap.map(np.arange(4, dtype=np.uint16))
    again = ViewerModel()
    restore(again, liso.load(liso.save(tmp_path / "a.liso", session_of_viewer(viewer))))
    dock = BoundaryDock(again)
    qtbot.addWidget(dock)
    layer = again.layers["Grain boundaries"]
    qtbot.waitUntil(lambda: colour_mode(layer) == "step", timeout=10_000)
    qtbot.waitUntil(lambda: not dock.boundaries.steps.busy)
    assert np.allclose(layer.colormap.map(np.arange(4, dtype=np.uint16)), shown)
