"""Colour by: what the boundaries are coloured by, and a legend that can be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent, QPalette, QPen
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QVBoxLayout, QWidget

from napari_liso.plugin.boundary_colours import EXCLUDED, LOCKED, OUTLINE, UNRESOLVED
from napari_liso.plugin.boundary_values import QUANTITIES
from napari_liso.plugin.context import Context
from napari_liso.plugin.showing import (
    Colouring,
    choose_colour_mode,
    colour_mode,
    colour_modes,
)
from napari_liso.plugin.widgets.parts import form

if TYPE_CHECKING:
    from napari_liso.plugin.boundary_colours import ColourScale

__all__ = ["ColourBy", "Legend"]

_WORDS = {
    "plain": "nothing: plain lines",
    "state": "state",
    "length": "length",
    "step": "step of the fraction",
    "sigma": "|step| / its error",
    "counts": "counts beside it",
    "k": "k of the fit",
    "misorientation": "misorientation",
    "angle": "direction of the normal",
    "spread": "spread of the normals",
    "curvature": "curvature",
}
_TIP = (
    "Colour of the boundaries on the map. The ends of the scale hold 96 % of the boundaries; what "
    "lies beyond has the colour of the end. Excluded boundaries are grey whatever is chosen."
)
_BAR = 12  # height in pixels
_SIDE = 14  # room beside the bar for half a number


Chip = tuple[str, tuple[float, ...]]


class Legend(QWidget):
    """Name and unit, a bar of colours with ticks, and what other colours stand for."""

    def __init__(self) -> None:
        super().__init__()
        self._colouring: Colouring | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setToolTip(_TIP)

    def show_colouring(self, colouring: Colouring | None) -> None:
        """Show other colours; None shows nothing."""
        before, self._colouring = self.sizeHint(), colouring
        if self.sizeHint() != before:
            self._make_room()
        self.update()

    def _make_room(self) -> None:
        """Lay out what the legend is in, as Qt does for a widget that appears."""
        self.updateGeometry()
        around = self.parentWidget()
        while around is not None and (layout := around.layout()) is not None:
            layout.activate()
            around = around.parentWidget()

    @property
    def scale(self) -> ColourScale | None:
        """The scale that is shown."""
        return None if self._colouring is None else self._colouring.scale

    @property
    def chips(self) -> list[Chip]:
        """Names of single colours: of the states, or of what is not on the scale."""
        colouring = self._colouring
        if colouring is None:
            return []
        if colouring.scale is not None:
            # only those that the map has
            grey = (("no value", UNRESOLVED), ("excluded", EXCLUDED))
            return [chip for chip in grey if np.isclose(colouring.colours, chip[1]).all(1).any()]
        locked = [("locked", LOCKED)] if colouring.mode == "state" else []
        return [("used", OUTLINE), *locked, ("excluded", EXCLUDED)]

    def sizeHint(self) -> QSize:
        """Return room for a scale, and for a line of single colours."""
        line = self.fontMetrics().height()
        scale = 0 if self.scale is None else 2 * line + _BAR + 10
        return QSize(300, scale + (line + 2 if self.chips else 0))

    def minimumSizeHint(self) -> QSize:
        """Return the least room."""
        return QSize(200, self.sizeHint().height())

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Paint the legend in the colours of the theme."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, False)
        ink = self.palette().color(QPalette.ColorRole.WindowText)
        painter.setPen(ink)
        if self.scale is not None:
            self._paint_scale(painter, self.scale, ink)
        painter.translate(0, self.height() - self.fontMetrics().height() - 2)
        x = 2.0 if self.scale is None else float(_SIDE)
        for text, colour in self.chips:
            x = self._paint_chip(painter, x, text, colour) + 14
        painter.end()

    def _paint_scale(self, painter: QPainter, scale: ColourScale, ink: QColor) -> None:
        line, width = self.fontMetrics().height(), self.width()
        title = self.fontMetrics().elidedText(
            scale.title, Qt.TextElideMode.ElideRight, width - _SIDE
        )
        left = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(_SIDE, 0, width - _SIDE, line), left, title)
        bar = QRectF(_SIDE, line + 3, width - 2 * _SIDE, _BAR)
        painter.drawImage(bar, _picture(scale))
        painter.setPen(QPen(ink, 1))
        painter.drawRect(bar.adjusted(-0.5, -0.5, 0, 0))
        self._paint_ticks(painter, scale, bar)

    def _paint_ticks(self, painter: QPainter, scale: ColourScale, bar: QRectF) -> None:
        """Paint ticks with their numbers; those that would touch are left out."""
        metrics, end = self.fontMetrics(), -1.0
        most = max(2, int(bar.width() / 62))
        for place, text in scale.ticks(most):
            x = bar.left() + place * bar.width()
            painter.drawLine(QPointF(x, bar.bottom()), QPointF(x, bar.bottom() + 4))
            width = metrics.horizontalAdvance(text)
            start = min(max(x - width / 2, 0.0), self.width() - width)
            if start > end:
                painter.drawText(QPointF(start, bar.bottom() + 5 + metrics.ascent()), text)
                end = start + width + 4

    def _paint_chip(
        self, painter: QPainter, x: float, text: str, colour: tuple[float, ...]
    ) -> float:
        """Paint a box of a colour and a word; return where it ends."""
        line = self.fontMetrics().height()
        box = QRectF(x, (line - _BAR) / 2 + 1, _BAR, _BAR - 1)
        painter.fillRect(box, QColor.fromRgbF(*colour))
        painter.drawRect(box.adjusted(0, 0, -1, -1))
        width = self.fontMetrics().horizontalAdvance(text)
        middle = Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter
        painter.drawText(QRectF(x + _BAR + 5, 0, width + 2, line), middle, text)
        return x + _BAR + 5 + width


class ColourBy(QWidget):
    """The choice of what boundaries are coloured by, with its legend.

    Attributes
    ----------
    box, legend
        Its two parts.
    row
        Where the box is, with room for what else is shown on the map.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._modes: list[str] = []
        self.box = QComboBox()
        self.box.setToolTip(_TIP)
        self.box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.box.setMinimumContentsLength(8)
        self.box.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.box.activated.connect(self._on_chosen)
        self.legend = Legend()
        rows = form()
        self.row = QHBoxLayout()
        self.row.addWidget(self.box, 1)
        rows.addRow("Colour by", self.row)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(rows)
        column.addWidget(self.legend)
        context.boundaries_changed.connect(self.refresh)
        context.scale_changed.connect(self._refresh_legend)
        self.refresh()

    def choose(self, mode: str) -> None:
        """Colour by something else: ``"plain"``, ``"state"`` or a key of `QUANTITIES`."""
        layer = self._context.boundaries.current
        if layer is not None:
            choose_colour_mode(layer, mode)

    def _on_chosen(self, place: int) -> None:
        self.choose(self._modes[place])

    def refresh(self) -> None:
        """Offer what is known of the boundaries, and show how they are coloured."""
        layer = self._context.boundaries.current
        modes = [] if layer is None else colour_modes(layer)
        if modes != self._modes:
            self._modes = modes
            self.box.clear()
            self.box.addItems([_WORDS.get(mode, mode) for mode in modes])
            for place, mode in enumerate(modes):
                tip = QUANTITIES[mode].title if mode in QUANTITIES else ""
                self.box.setItemData(place, tip, Qt.ItemDataRole.ToolTipRole)
        if layer is not None:
            self.box.setCurrentIndex(modes.index(colour_mode(layer)))
        self._refresh_legend()

    def _refresh_legend(self) -> None:
        self.legend.show_colouring(self._context.colouring())


def _picture(scale: ColourScale) -> QImage:
    """Return the colours of a scale as a picture of one line."""
    rgb = np.ascontiguousarray(np.rint(255 * scale.table[:, :3]).astype(np.uint8))
    return QImage(rgb.tobytes(), len(rgb), 1, 3 * len(rgb), QImage.Format.Format_RGB888).copy()
