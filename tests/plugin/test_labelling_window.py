"""Label boundaries in the real window: real mouse, real keys, and a line to be seen."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import QEvent, QPoint, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtWidgets import QApplication, QWidget

from napari_liso.plugin.selection import camera_of, selection_of

from .conftest import add_grains, add_map, finish, grains_of_three
from .test_napari import canvas_of, on_canvas, pytestmark  # noqa: F401

_LEFT = Qt.MouseButton.LeftButton
_PLAIN = Qt.KeyboardModifier.NoModifier


class Hand:
    """The left button on the canvas of a window; positions are pixels (y, x) of 0.5 um."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        self.viewer, self.qtbot = viewer, qtbot
        self.canvas: QWidget = canvas_of(viewer.window)

    def at(self, point: tuple[float, float]) -> QPoint:
        return on_canvas(self.viewer, self.canvas, (point[0] / 2, point[1] / 2))

    def click(self, point: tuple[float, float]) -> None:
        self.qtbot.mouseMove(self.canvas, self.at(point))
        self.qtbot.mouseClick(self.canvas, _LEFT, pos=self.at(point))

    def double_click(self, point: tuple[float, float]) -> None:
        self.click(point)
        self.qtbot.mouseDClick(self.canvas, _LEFT, pos=self.at(point))

    def hover(self, point: tuple[float, float]) -> None:
        self.qtbot.mouseMove(self.canvas, self.at(point))
        self.qtbot.wait(30)  # napari takes a move every 5 ms

    def press(self, point: tuple[float, float], modifiers: Any = _PLAIN) -> None:
        self.qtbot.mouseMove(self.canvas, self.at(point))
        self.qtbot.mousePress(self.canvas, _LEFT, modifiers, self.at(point))

    def drag(self, points: list[tuple[float, float]], modifiers: Any = _PLAIN) -> None:
        """Press, go along, and keep the button down."""
        self.press(points[0], modifiers)
        for start, end in pairwise(points):
            for share in np.linspace(0.1, 1.0, 10):
                y, x = np.array(start) + share * (np.array(end) - np.array(start))
                to = self.at((y, x))
                QApplication.sendEvent(
                    self.canvas,
                    QMouseEvent(
                        QEvent.Type.MouseMove,
                        QPointF(to),
                        QPointF(self.canvas.mapToGlobal(to)),
                        Qt.MouseButton.NoButton,
                        _LEFT,
                        modifiers,
                    ),
                )
                self.qtbot.wait(8)

    def release(self, point: tuple[float, float], modifiers: Any = _PLAIN) -> None:
        self.qtbot.mouseRelease(self.canvas, _LEFT, modifiers, self.at(point))

    def key(self, key: Any, modifiers: Any = _PLAIN) -> None:
        self.qtbot.keyClick(self.canvas, key, modifiers)


@pytest.fixture
def window(make_napari_viewer: Callable[..., Any], qtbot: Any) -> tuple[Any, Any, Hand]:
    """A viewer on the screen with three grains, the dock, and a hand."""
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 900)
    add_map(viewer)
    add_grains(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-liso", "Label boundaries")
    qtbot.waitUntil(lambda: "Grain boundaries" in viewer.layers, timeout=10_000)
    finish(qtbot, dock.grains.task)
    viewer.reset_view()
    qtbot.wait(300)
    return viewer, dock, Hand(viewer, qtbot)


def cyan(hand: Hand) -> int:
    """Count the pixels in the colour of a line that is being drawn."""
    image = hand.canvas.grab().toImage()
    colours = (
        image.pixelColor(x, y) for x in range(0, image.width(), 2) for y in range(0, 400, 5)
    )
    return sum(c.red() < 60 and c.green() > 180 and c.blue() > 200 for c in colours)


def test_draw_undo_erase_and_select_with_the_real_mouse(
    window: tuple[Any, Any, Hand], qtbot: Any
) -> None:
    viewer, dock, hand = window
    grains, layer = viewer.layers["Grains"], viewer.layers["Grain boundaries"]
    camera = camera_of(viewer)
    before, zoom = tuple(camera.center), camera.zoom
    viewer.layers.selection.active = viewer.layers["6Li"]

    hand.key(Qt.Key.Key_D)
    layers = len(viewer.layers)
    hand.click((5, 1))
    hand.hover((5, 8))
    hand.click((5, 9))
    hand.hover((6, 12))
    qtbot.wait(100)
    assert cyan(hand) > 10  # the line is on the screen, and no layer was made for it
    assert len(viewer.layers) == layers
    hand.key(Qt.Key.Key_Escape)
    qtbot.wait(100)
    assert cyan(hand) == 0
    assert np.array_equal(grains.data, grains_of_three())

    hand.drag([(5, 0), (5, 7), (5, 14)])
    hand.release((5, 14))
    assert len(np.unique(grains.data)) == 4
    hand.double_click((18, 20))  # zooms with Select only
    hand.key(Qt.Key.Key_Escape)
    assert (tuple(camera.center), camera.zoom) == (before, zoom)  # the map has not moved
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(grains.data, grains_of_three())

    hand.key(Qt.Key.Key_W)
    hand.click((11.5, 22))
    assert len(np.unique(grains.data)) == 2
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)

    hand.key(Qt.Key.Key_S)
    shift = Qt.KeyboardModifier.ShiftModifier
    hand.drag([(1, 11), (11, 18)], shift)
    qtbot.wait(50)
    assert cyan(hand) > 10
    hand.release((11, 18), shift)
    assert selection_of(layer).ids == (1,)
    hand.key(Qt.Key.Key_R)
    assert dock.context.current_boundaries().table["state"][1] == "exclude"
    assert tuple(camera.center) == before
    hand.drag([(18, 5), (14, 10)])  # with Select the map moves
    hand.release((14, 10))
    assert tuple(camera.center) != before


def test_the_table_has_the_keys_and_space_lends_the_mouse(
    window: tuple[Any, Any, Hand], qtbot: Any
) -> None:
    viewer, dock, hand = window
    layer = viewer.layers["Grain boundaries"]
    dock.activateWindow()
    qtbot.waitUntil(lambda: QApplication.activeWindow() is not None)
    table = dock.boundaries.table
    table.setFocus()
    table.selectRow(1)
    qtbot.keyClick(table, Qt.Key.Key_H)
    assert dock.context.current_boundaries().table["state"][2] == "locked"
    qtbot.keyClick(table, Qt.Key.Key_N)
    assert selection_of(layer).ids == (3,)
    qtbot.keyClick(table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert dock.context.current_boundaries().table["state"][2] == "use"

    camera = camera_of(viewer)
    before = tuple(camera.center)
    hand.key(Qt.Key.Key_W)
    qtbot.keyPress(hand.canvas, Qt.Key.Key_Space)
    hand.drag([(18, 5), (14, 10)])
    hand.release((14, 10))
    qtbot.keyRelease(hand.canvas, Qt.Key.Key_Space)
    assert tuple(camera.center) != before
    assert np.array_equal(viewer.layers["Grains"].data, grains_of_three())


def test_the_brush_is_followed_and_undone(window: tuple[Any, Any, Hand], qtbot: Any) -> None:
    viewer, dock, hand = window
    grains = viewer.layers["Grains"]
    hand.key(Qt.Key.Key_T)
    assert grains.visible
    grains.selected_label, grains.brush_size = 3, 3
    hand.drag([(14, 22), (6, 22)])
    hand.release((6, 22))
    assert grains.data[8, 22] == 3
    length = dock.context.current_boundaries().table["length"][3]
    qtbot.waitUntil(lambda: dock.edit.tools.editor.undo_text == "Paint", timeout=2000)
    assert dock.context.current_boundaries().table["length"][3] > length
    hand.key(Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert np.array_equal(grains.data, grains_of_three())
    assert dock.context.current_boundaries().table["length"][3] == pytest.approx(length)
    viewer.window.remove_dock_widget(dock)
    qtbot.wait(100)
    assert grains.mode == "pan_zoom"
    assert viewer.keymap == {}


def test_the_dock_uses_public_names_only(
    make_napari_viewer_proxy: Callable[..., Any], qtbot: Any, recwarn: Any
) -> None:
    viewer = make_napari_viewer_proxy()
    add_map(viewer)
    add_grains(viewer)
    _, dock = viewer.window.add_plugin_dock_widget("napari-liso", "Label boundaries")
    dock.grains.find_boundaries()
    finish(qtbot, dock.grains.task)
    for tool in ("draw", "erase", "paint", "select"):
        dock.edit.tools.switch(True)
        dock.edit.choose(tool)
    dock.edit.next()
    dock.edit.exclude()
    dock.edit.erase_selected()
    dock.edit.undo()
    assert np.array_equal(viewer.layers["Grains"].data, grains_of_three())
    told = [str(w.message) for w in recwarn if "deprecated" in str(w.message).lower()]
    assert not [text for text in told if "Private attribute" in text or "scene" in text]
