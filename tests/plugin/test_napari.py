"""The real window: the dock from the manifest, a real mouse, and something to see."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.utils.colormaps.standardize_color import transform_color
from qtpy.QtCore import QPoint, Qt
from qtpy.QtWidgets import QApplication, QWidget

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.plugin import colours
from napari_liso.plugin import layers as ly
from napari_liso.plugin.selection import camera_of, selection_of

from .conftest import PIXEL, FakeFit, add_boundaries, add_map, finish, fit_of, grains_of_three

pytestmark = pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"),
    reason="needs a screen (xvfb-run, or pytest-xvfb)",
)

NAME = "Analyse isotope map"


def canvas_of(window: Any) -> QWidget:
    """The widget that receives the mouse on the map."""
    inside = [w for top in QApplication.topLevelWidgets() for w in top.findChildren(QWidget)]
    return next(w for w in inside if "CanvasBackend" in type(w).__name__ and w.isVisible())


def on_canvas(viewer: Any, canvas: QWidget, world: tuple[float, float]) -> QPoint:
    """Where a world position (y, x) is on the canvas."""
    camera = camera_of(viewer)
    y, x = (np.array(world) - np.array(camera.center[-2:])) * camera.zoom
    return QPoint(round(canvas.width() / 2 + x), round(canvas.height() / 2 + y))


def test_from_the_manifest_to_a_clicked_boundary(
    make_napari_viewer: Callable[..., Any], fake_fit: FakeFit, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    _, dock = viewer.window.add_plugin_dock_widget("napari-liso", NAME)
    add_map(viewer)
    boundaries = add_boundaries(viewer)
    viewer.reset_view()
    qtbot.wait(300)
    canvas = canvas_of(viewer.window)
    layer = viewer.layers["Grain boundaries"]

    # four screen pixels beside the boundary of grains 2 and 3, whose pixels end at y = 6.25 um
    beside = 6.25 + 4 / camera_of(viewer).zoom
    qtbot.mouseMove(canvas, on_canvas(viewer, canvas, (beside, 11.0)))
    qtbot.mouseClick(
        canvas, Qt.MouseButton.LeftButton, pos=on_canvas(viewer, canvas, (beside, 11.0))
    )
    qtbot.waitUntil(lambda: selection_of(layer).ids == (3,))
    chosen = dock.boundaries.table.selectionModel().selectedRows()
    assert [index.data() for index in chosen] == ["3"]

    dock.fit.start()
    finish(qtbot, dock.fit.task)
    qtbot.wait(300)
    picture = viewer.screenshot(canvas_only=True, flash=False)
    seen = {tuple(pixel) for pixel in picture.reshape(-1, 4)[:, :3].tolist()}
    for colour in (colours.SELECTED, layer.colormap.map(1), layer.colormap.map(2)):
        expected = tuple(np.round(255 * transform_color(tuple(colour))[0, :3]).astype(int))
        assert min(np.abs(np.subtract(other, expected)).max() for other in seen) <= 3
    assert boundaries.table.index.size == 3

    # a closed dock no longer listens to the map
    viewer.window.remove_dock_widget(dock)
    qtbot.wait(100)
    before = selection_of(layer).ids
    qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=on_canvas(viewer, canvas, (2.0, 7.2)))
    qtbot.wait(100)
    assert selection_of(layer).ids == before


def test_docks_use_public_names_only(
    make_napari_viewer_proxy: Callable[..., Any], fake_fit: FakeFit, qtbot: Any, recwarn: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    add_map(viewer)
    add_boundaries(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-liso", NAME)
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    dock.fit.start()
    finish(qtbot, dock.fit.task)
    dock.results.table.selectRow(0)
    assert "log10 k (m/s)" in viewer.layers
    told = [str(w.message) for w in recwarn if "deprecated" in str(w.message).lower()]
    assert not [text for text in told if "Private attribute" in text or "scene" in text]


def test_hidden_grains_are_updated_where_the_window_never_drew_them(
    make_napari_viewer_proxy: Callable[..., Any],
) -> None:
    viewer = make_napari_viewer_proxy()
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    data, arguments, kind = ly.grains_layer(grains_of_three(), placement)
    layer = ly.show(viewer, (data, {**arguments, "visible": False}, kind))
    swapped = 4 - grains_of_three()
    assert ly.show(viewer, ly.grains_layer(swapped, placement)) == layer
    assert np.array_equal(layer.data, swapped)
    assert not layer.visible
    layer.undo()
    assert np.array_equal(layer.data, grains_of_three())


def test_a_fitted_map_answers_clicks_and_stays_where_it_is(
    make_napari_viewer: Callable[..., Any], qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    found = find_boundaries(grains_of_three(), PIXEL)
    placement = ly.Placement.of_pixel_size(found.pixel_size)
    for layer_data in ly.fit_layers(fit_of(found), found, placement):
        ly.show(viewer, layer_data)
    _, dock = viewer.window.add_plugin_dock_widget("napari-liso", NAME)
    viewer.reset_view()
    qtbot.wait(300)
    assert not dock.boundaries.isVisible()  # as the fit is there, its step is folded
    assert dock.results.isVisible()
    canvas = canvas_of(viewer.window)
    layer = viewer.layers["Grain boundaries"]

    def click(world: tuple[float, float]) -> None:
        at = on_canvas(viewer, canvas, world)
        qtbot.mouseMove(canvas, at)
        qtbot.mouseClick(canvas, Qt.MouseButton.LeftButton, pos=at)

    click((6.0, 11.0))
    qtbot.waitUntil(lambda: selection_of(layer).ids == (3,))
    for step in dock.steps:
        step.unfold(False)
    click((2.0, 7.2))
    qtbot.wait(100)
    assert selection_of(layer).ids == (3,)  # nothing of the selection is to be seen
    dock.steps[2].unfold()
    click((2.0, 7.2))
    qtbot.waitUntil(lambda: selection_of(layer).ids == (1,))

    centre = camera_of(viewer).center
    dock.results.table.selectRow(1)  # in sight
    assert camera_of(viewer).center == centre
    camera_of(viewer).zoom *= 8
    camera_of(viewer).center = (2.0, 2.0)
    qtbot.wait(300)
    dock.results.table.selectRow(0)
    assert np.allclose(camera_of(viewer).center[-1:], 7.25, atol=0.6)


def test_a_dock_that_is_closed_stops_its_fit(
    make_napari_viewer: Callable[..., Any], fake_fit: FakeFit, qtbot: Any
) -> None:
    started, go_on, stopped = threading.Event(), threading.Event(), threading.Event()

    def work(progress: Callable[[float, str], None]) -> None:
        started.set()
        go_on.wait(10)
        try:
            progress(0.5, "still there?")
        except BaseException:
            stopped.set()
            raise

    fake_fit.behave = work
    viewer = make_napari_viewer()
    add_map(viewer)
    add_boundaries(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-liso", NAME)
    dock.fit.start()
    qtbot.waitUntil(started.is_set)
    viewer.window.remove_dock_widget(dock)
    go_on.set()
    qtbot.waitUntil(stopped.is_set, timeout=20_000)
    qtbot.wait(100)  # an outcome would be delivered by now; the dock itself is deleted
    assert "log10 k (m/s)" not in viewer.layers
