"""The spectrum in a dock: zoom, pan, and mass windows whose edges are dragged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QPointF, QSize, Qt, Signal
from qtpy.QtWidgets import QSizePolicy, QWidget

from napari_liso.plugin.widgets.spectra.spectrum_painter import Frame, SpectrumPainter

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from qtpy.QtGui import QKeyEvent, QMouseEvent, QPaintEvent, QWheelEvent

    from napari_liso.plugin.spectra.spectrum import SpectrumCurve

__all__ = ["SpectrumView"]

Windows = dict[str, tuple[float, float]]

#: Reach of the mouse around an edge, in screen pixels.
_REACH = 5
_ZOOM = 1.25
_NARROWEST = 1e-6  # u


class SpectrumView(QWidget):
    """Counts against mass with shaded windows.

    The wheel zooms about the cursor, a drag pans, a drag of an edge moves it, and
    a double click asks for a window there.
    """

    edge_dragged = Signal(str, float, float)  # name, low, high: while the mouse moves
    picked = Signal(str)  # a window was clicked
    wanted = Signal(float)  # a window is wanted at this mass
    removed = Signal()  # Delete was pressed

    def __init__(self, viewer: ViewerModel, height: int = 200) -> None:
        super().__init__()
        self._viewer = viewer
        self.painter = SpectrumPainter()
        self.curve: SpectrumCurve | None = None
        self.windows: Windows = {}
        self.selected = ""
        self.range = (0.0, 100.0)
        self.log = True
        self._edge: tuple[str, int] | None = None  # that is dragged: window, 0 low or 1 high
        self._grip = 0.0  # from the cursor to the edge, u
        self._pan: tuple[float, tuple[float, float]] | None = None
        self._pressed = 0.0
        self._cursor: float | None = None
        self._last_range: tuple[float, float] | None = None
        self.setMinimumSize(200, height)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccessibleName("Mass spectrum with windows")
        self.setToolTip(
            "Wheel: zoom. Drag: move along. Drag an edge of a window: change it. Double-click: "
            "add a window there. Keys: arrows, + and −, Home, Delete."
        )
        self._read_theme()
        viewer.events.theme.connect(self._on_theme)

    def sizeHint(self) -> QSize:
        """Return the size that fits a dock."""
        return QSize(340, self.minimumHeight())

    # --- what is shown ------------------------------------------------------------------------

    def show_curve(self, curve: SpectrumCurve | None) -> None:
        """Show another spectrum, all of it."""
        self.curve = curve
        if curve is not None:
            self.show_all()

    def show_windows(self, windows: Windows, selected: str = "") -> None:
        """Shade these windows."""
        self.windows, self.selected = dict(windows), selected
        self.update()

    def look_at(self, low: float, high: float) -> None:
        """Show a range of masses, u."""
        if high - low < _NARROWEST:
            middle = (low + high) / 2
            low, high = middle - _NARROWEST / 2, middle + _NARROWEST / 2
        self.range = (float(low), float(high))
        self.update()

    def show_all(self) -> None:
        """Show the whole spectrum."""
        if self.curve is not None:
            low, high = self.curve.limits
            margin = 0.01 * (high - low)
            self.look_at(max(0.0, low - margin), high + margin)

    def show_all_windows(self) -> None:
        """Show all windows, or the whole spectrum where there are none."""
        if not self.windows:
            self.show_all()
            return
        low = min(low for low, _ in self.windows.values())
        high = max(high for _, high in self.windows.values())
        margin = max(0.08 * (high - low), 2 * max(b - a for a, b in self.windows.values()))
        self.look_at(low - margin, high + margin)

    def jump_to(self, name: str) -> None:
        """Show one window and what is beside it."""
        if name in self.windows:
            low, high = self.windows[name]
            margin = 1.8 * (high - low)
            self.look_at(low - margin, high + margin)

    def zoom(self, factor: float, about: float | None = None) -> None:
        """Show a range `factor` times as narrow, about a mass in u (None: the middle)."""
        low, high = self.range
        about = (low + high) / 2 if about is None else about
        narrow = (about - (about - low) / factor, about + (high - about) / factor)
        if self.curve is not None:
            first, last = self.curve.limits
            span = last - first
            if narrow[1] - narrow[0] > 1.2 * span:
                self.show_all()
                return
        if narrow[1] - narrow[0] > _NARROWEST:
            self.look_at(*narrow)

    def set_log(self, log: bool) -> None:
        """Draw counts on a logarithmic or a linear axis."""
        self.log = bool(log)
        self.update()

    # --- where things are ---------------------------------------------------------------------

    def frame(self) -> Frame:
        """Return the geometry of the axes at this size and range."""
        return Frame(self.width(), self.height(), self.range)

    def edge_at(self, x: float) -> tuple[str, int] | None:
        """Return the window edge near a screen position; the selected window's goes first."""
        frame = self.frame()
        best: tuple[float, tuple[str, int]] | None = None
        for name, edges in self.windows.items():
            for side, mass in enumerate(edges):
                distance = abs(frame.x(mass) - x) - (1.5 if name == self.selected else 0.0)
                # edges on one spot: the outer one is taken, so that a window can be widened
                outward = x >= frame.x(mass) if side else x <= frame.x(mass)
                distance -= 0.5 if outward else 0.0
                if distance <= _REACH and (best is None or distance < best[0]):
                    best = (distance, (name, side))
        return None if best is None else best[1]

    def window_at(self, x: float) -> str:
        """Return the narrowest window at a screen position, or ``""``."""
        mass = self.frame().mass(x)
        hits = [n for n, (low, high) in self.windows.items() if low <= mass <= high]
        return min(hits, key=lambda n: self.windows[n][1] - self.windows[n][0], default="")

    # --- mouse and keys -----------------------------------------------------------------------

    def wheelEvent(self, event: QWheelEvent | None) -> None:
        """Zoom about the cursor; a sideways wheel pans."""
        if event is None or self.curve is None:
            return
        angle = event.angleDelta()
        if abs(angle.x()) > abs(angle.y()):
            span = self.range[1] - self.range[0]
            self._move_by(-angle.x() / 1200 * span)
        else:
            self.zoom(_ZOOM ** (angle.y() / 120), self.frame().mass(_x(event.position())))
        event.accept()

    def mousePressEvent(self, event: QMouseEvent | None) -> None:
        """Take hold of an edge, or of the axis."""
        if event is None or self.curve is None or event.button() != Qt.MouseButton.LeftButton:
            return
        x = _x(event.position())
        self._pressed = x
        self._edge = self.edge_at(x)
        if self._edge is not None:
            name, side = self._edge
            self._grip = self.windows[name][side] - self.frame().mass(x)
            self.picked.emit(name)
        else:
            self._pan = (x, self.range)

    def mouseMoveEvent(self, event: QMouseEvent | None) -> None:
        """Move what is held; else say what is under the cursor."""
        if event is None or self.curve is None:
            return
        x = _x(event.position())
        self._cursor = self.frame().mass(x)
        if self._edge is not None:
            self._drag_edge(x)
        elif self._pan is not None:
            start, (low, high) = self._pan
            shift = (start - x) * (high - low) / self.frame().plot_width
            self.look_at(low + shift, high + shift)
        else:
            near = self.edge_at(x) is not None
            shape = Qt.CursorShape.SizeHorCursor if near else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)
        self.update()

    def _drag_edge(self, x: float) -> None:
        if self._edge is None or self._edge[0] not in self.windows:
            return
        name, side = self._edge
        edges = list(self.windows[name])
        frame = self.frame()
        # never past the other edge: a window stays at least a screen pixel wide
        least = min((frame.mass(1) - frame.mass(0)), edges[1] - edges[0])
        mass = frame.mass(x) + self._grip
        edges[side] = max(mass, edges[0] + least) if side else min(mass, edges[1] - least)
        if edges[0] > 0:
            self.edge_dragged.emit(name, edges[0], edges[1])

    def mouseReleaseEvent(self, event: QMouseEvent | None) -> None:
        """Let go; a click without a drag picks the window under it."""
        if event is None:
            return
        x = _x(event.position())
        if self._edge is None and abs(x - self._pressed) < 3 and self.window_at(x):
            self.picked.emit(self.window_at(x))
        self._edge = self._pan = None
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent | None) -> None:
        """Ask for a window at this mass."""
        if event is not None and self.curve is not None:
            self._edge = self._pan = None
            self.wanted.emit(self.frame().mass(_x(event.position())))

    def leaveEvent(self, event: object) -> None:
        """Forget the cursor."""
        self._cursor = None
        self.update()

    def keyPressEvent(self, event: QKeyEvent | None) -> None:
        """Zoom and move by keys."""
        if event is None:
            return
        key, step = event.key(), 0.1 * (self.range[1] - self.range[0])
        if key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Up):
            self.zoom(_ZOOM)
        elif key in (Qt.Key.Key_Minus, Qt.Key.Key_Down):
            self.zoom(1 / _ZOOM)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            self._move_by(step if key == Qt.Key.Key_Right else -step)
        elif key == Qt.Key.Key_Home:
            self.show_all()
        elif key in (Qt.Key.Key_Delete, Qt.Key.Key_Backspace):
            self.removed.emit()
        else:
            super().keyPressEvent(event)

    def _move_by(self, shift: float) -> None:
        self.look_at(self.range[0] + shift, self.range[1] + shift)

    # --- painting -----------------------------------------------------------------------------

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Draw the spectrum."""
        held = None if self._edge is None else self._edge[0]
        self.painter.paint(
            self,
            self.frame(),
            self.curve,
            self.windows,
            self.selected or held or "",
            log=self.log,
            cursor=self._cursor,
        )

    def _read_theme(self) -> None:
        self.painter.take_theme(self._viewer.theme)
        self.update()

    def _on_theme(self, event: object = None) -> None:
        if isalive(self):
            self._read_theme()


def _x(position: QPointF) -> float:
    return float(position.x())
