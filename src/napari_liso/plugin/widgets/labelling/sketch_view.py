"""The line that is being drawn, over the canvas: no layer, so nothing to save or to remove."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QLineF, QObject, QPointF, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QWidget

from napari_liso.plugin.selection import camera_of

if TYPE_CHECKING:
    from napari_liso.plugin.labelling.modes import MouseTools

__all__ = ["SketchView"]

_LINE = QColor(0, 229, 255)
_MARK = QColor(255, 90, 60)
_HALO = QColor(0, 0, 0, 150)


class SketchView(QObject):
    """Shows what a tool draws, on the canvas of the window that a dock is in.

    Parameters
    ----------
    tools
        Whose sketch it is.
    dock
        A widget in the window.
    """

    def __init__(self, tools: MouseTools, dock: QWidget) -> None:
        super().__init__(dock)
        self._tools = tools
        self._dock = dock
        self._sheet: _Sheet | None = None
        tools.sketch_changed.connect(self._on_sketch)
        camera = camera_of(tools.viewer)
        camera.events.zoom.connect(self._on_camera)
        camera.events.center.connect(self._on_camera)

    def close(self) -> None:
        """Take the sheet off the canvas."""
        if isalive(self._tools):
            self._tools.sketch_changed.disconnect(self._on_sketch)
        if self._sheet is not None and isalive(self._sheet):
            self._sheet.hide()
            self._sheet.deleteLater()
        self._sheet = None

    def _on_camera(self, event: object = None) -> None:
        if isalive(self) and self._sheet is not None and isalive(self._sheet):
            self._sheet.update()

    def _on_sketch(self) -> None:
        if not isalive(self) or not isalive(self._dock):
            return
        sheet = self._sheet if self._sheet is not None and isalive(self._sheet) else None
        if self._tools.sketch.empty:
            if sheet is not None:
                sheet.hide()
            return
        canvas = _canvas_near(self._dock)
        if canvas is None:
            return
        if sheet is None or sheet.parentWidget() is not canvas:
            self._sheet = sheet = _Sheet(self._tools, canvas)
        sheet.cover()


class _Sheet(QWidget):
    """A glass pane over the canvas: the mouse goes through it."""

    def __init__(self, tools: MouseTools, canvas: QWidget) -> None:
        super().__init__(canvas)
        self._tools = tools
        self._size = np.zeros(2)
        self.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAttribute(Qt.WidgetAttribute.WA_NoSystemBackground)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)

    def cover(self) -> None:
        """Lie over the canvas as it is now, and draw."""
        canvas = self.parentWidget()
        if canvas is not None:
            self.setGeometry(canvas.rect())
            self._size = np.array([canvas.height(), canvas.width()], dtype=float)
        if not self.isVisible():
            self.show()
            self.raise_()
        self.update()

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the sketch."""
        if not isalive(self._tools) or self._tools.screen is None:
            return
        sketch = self._tools.sketch
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        if len(sketch.marked):
            ends = self._on_screen(sketch.marked.reshape(-1, 2)).reshape(-1, 2, 2)
            lines = [QLineF(x0, y0, x1, y1) for (y0, x0), (y1, x1) in ends.tolist()]
            for pen in (QPen(_HALO, 6.0), QPen(_MARK, 3.0)):
                pen.setCapStyle(Qt.PenCapStyle.RoundCap)
                painter.setPen(pen)
                painter.drawLines(lines)
        self._draw_line(painter, sketch.line, False)
        self._draw_line(painter, sketch.preview, True)
        if len(sketch.area):
            closed = np.concatenate([sketch.area, sketch.area[:1]])
            self._draw_line(painter, closed, True)
        painter.setPen(QPen(_HALO, 1.5))
        painter.setBrush(_LINE)
        for y, x in self._on_screen(sketch.dots).tolist():
            painter.drawEllipse(QPointF(x, y), 4.0, 4.0)
        painter.end()

    def _draw_line(self, painter: QPainter, points: NDArray[np.float64], dashed: bool) -> None:
        if len(points) < 2:
            return
        polygon = QPolygonF([QPointF(x, y) for y, x in self._on_screen(points).tolist()])
        pen = QPen(_LINE, 2.0)
        if dashed:
            pen.setDashPattern([4.0, 2.0])
        for brush in (QPen(_HALO, 4.5), pen):
            brush.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
            painter.setPen(brush)
            painter.drawPolyline(polygon)

    def _on_screen(self, pixels: NDArray[np.float64]) -> NDArray[np.float64]:
        screen = self._tools.screen
        if screen is None or len(pixels) == 0:
            return np.empty((0, 2))
        world = self._tools.frame().to_world(pixels)
        # a window that has grown since has the map still in its middle
        grown = (np.array([self.height(), self.width()]) - self._size) / 2
        return screen.to_screen(self._tools.viewer, world) + grown


def _canvas_near(dock: QWidget) -> QWidget | None:
    """Return the canvas in the window that a dock belongs to, docked or floating."""
    top = dock.window()
    while top is not None and top.parentWidget() is not None:
        top = top.parentWidget().window()
    if top is None:
        return None
    inside = [w for w in top.findChildren(QWidget) if "CanvasBackend" in type(w).__name__]
    return next((canvas for canvas in inside if canvas.isVisible()), None)
