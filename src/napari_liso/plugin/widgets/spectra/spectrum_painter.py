"""How a spectrum is drawn: axes, steps, shaded windows and what is under the cursor."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QFont, QFontMetricsF, QPainter, QPen, QPolygonF

from napari_liso.plugin.spectra.spectrum import tick_values
from napari_liso.plugin.widgets.profile_plot import ORANGE

if TYPE_CHECKING:
    from qtpy.QtWidgets import QWidget

    from napari_liso.plugin.spectra.spectrum import SpectrumCurve

__all__ = ["Frame", "SpectrumPainter"]

_LEFT, _RIGHT, _TOP, _BOTTOM = 44, 10, 20, 34
_SUPERSCRIPT = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
#: Bottom of the logarithmic axis, in counts.
_FLOOR = 0.5


@dataclass(frozen=True)
class Frame:
    """Screen places of masses.

    Attributes
    ----------
    width, height
        Of the widget, in screen pixels.
    range
        Masses at the left and right end, u.
    """

    width: int
    height: int
    range: tuple[float, float]

    @property
    def plot_width(self) -> float:
        """Pixels across the axes."""
        return max(1.0, self.width - _LEFT - _RIGHT)

    @property
    def area(self) -> QRectF:
        """The area inside the axes."""
        return QRectF(_LEFT, _TOP, self.plot_width, max(1.0, self.height - _TOP - _BOTTOM))

    def x(self, mass: float) -> float:
        """Return the screen place of a mass."""
        low, high = self.range
        return _LEFT + (mass - low) / (high - low) * self.plot_width

    def mass(self, x: float) -> float:
        """Return the mass at a screen place."""
        low, high = self.range
        return low + (x - _LEFT) / self.plot_width * (high - low)


class SpectrumPainter:
    """Draws in the colours of a napari theme."""

    def __init__(self) -> None:
        self.ink, self.paper = QColor("white"), QColor("black")

    def take_theme(self, name: str) -> None:
        """Take the colours of a theme."""
        from napari.utils.theme import get_theme

        theme = get_theme(name)
        self.ink = QColor(*theme.text.as_rgb_tuple()[:3])
        self.paper = QColor(*theme.background.as_rgb_tuple()[:3])

    def paint(
        self,
        widget: QWidget,
        frame: Frame,
        curve: SpectrumCurve | None,
        windows: dict[str, tuple[float, float]],
        selected: str,
        log: bool,
        cursor: float | None,
    ) -> None:
        """Draw everything."""
        painter = QPainter(widget)
        font = QFont(widget.font())
        font.setPointSizeF(8.0)
        painter.setFont(font)
        painter.fillRect(widget.rect(), self.paper)
        if curve is not None:
            edges, heights = curve.curve(*frame.range, round(frame.plot_width))
            scale = _Scale(frame.area, float(heights.max(initial=1.0)), log)
            self._draw_windows(painter, frame, windows, selected)
            self._draw_steps(painter, frame, scale, edges, heights)
            self._draw_axes(painter, frame, scale, "counts" if curve.are_counts else "intensity")
            self._draw_names(painter, frame, windows, selected)
            if cursor is not None:
                self._draw_cursor(painter, frame, cursor)
        painter.end()

    def _draw_windows(
        self,
        painter: QPainter,
        frame: Frame,
        windows: dict[str, tuple[float, float]],
        selected: str,
    ) -> None:
        area = frame.area
        painter.save()
        painter.setClipRect(area)
        for name, (low, high) in windows.items():
            left, right = _bounded(frame, low), _bounded(frame, high)
            colour = QColor(ORANGE)
            colour.setAlphaF(0.45 if name == selected else 0.25)
            painter.fillRect(QRectF(left, area.top(), right - left, area.height()), colour)
            colour.setAlphaF(1.0)
            painter.setPen(QPen(colour, 2.0 if name == selected else 1.2))
            for x in (left, right):
                painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.restore()

    def _draw_steps(
        self, painter: QPainter, frame: Frame, scale: _Scale, edges: Any, heights: Any
    ) -> None:
        if len(heights) == 0:
            return
        area = frame.area
        x = np.repeat(_LEFT + (edges - frame.range[0]) * _per_u(frame), 2)[1:-1]
        y = np.repeat(scale.y(heights), 2)
        x = np.clip(x, area.left() - 2, area.right() + 2)
        points = [QPointF(*point) for point in zip(x.tolist(), y.tolist(), strict=True)]
        painter.save()
        painter.setClipRect(area.adjusted(0, -1, 0, 1))
        below = QColor(self.ink)
        below.setAlphaF(0.22)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(below)
        floor = area.bottom()
        closed = [QPointF(points[0].x(), floor), *points, QPointF(points[-1].x(), floor)]
        painter.drawPolygon(QPolygonF(closed))
        painter.setPen(QPen(self.ink, 1.0))
        painter.drawPolyline(QPolygonF(points))
        painter.restore()

    def _draw_axes(self, painter: QPainter, frame: Frame, scale: _Scale, kind: str) -> None:
        area, metrics = frame.area, QFontMetricsF(painter.font())
        painter.setPen(QPen(self.ink, 1.0))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.drawLine(area.bottomLeft(), area.topLeft())
        last = -1e9
        widest = metrics.horizontalAdvance(_mass_text(frame.range[1], frame.range))
        for mass in tick_values(*frame.range, max(2, int(frame.plot_width / (widest + 24)))):
            x, text = frame.x(mass), _mass_text(mass, frame.range)
            wide = metrics.horizontalAdvance(text)
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 3))
            left = min(x - wide / 2, frame.width - wide - 1)
            if left > last:
                painter.drawText(QPointF(left, area.bottom() + 5 + metrics.ascent()), text)
                last = left + wide + 6
        for value, text in scale.ticks():
            y = float(scale.y(np.array([value]))[0])
            painter.drawLine(QPointF(area.left() - 3, y), QPointF(area.left(), y))
            wide = metrics.horizontalAdvance(text)
            place = QPointF(area.left() - 6 - wide, y + metrics.ascent() / 2 - 1)
            painter.drawText(place, text)
        painter.drawText(
            QRectF(area.left(), frame.height - metrics.height() - 1, area.width(), 20),
            int(Qt.AlignmentFlag.AlignHCenter | Qt.AlignmentFlag.AlignTop),
            "mass (u)",
        )
        painter.drawText(QPointF(2, metrics.ascent() + 2), kind)

    def _draw_names(
        self,
        painter: QPainter,
        frame: Frame,
        windows: dict[str, tuple[float, float]],
        selected: str,
    ) -> None:
        """Write the names above their windows, those that have room; the selected one first."""
        area, metrics = frame.area, QFontMetricsF(painter.font())
        start = 8 + metrics.horizontalAdvance("intensity")  # beside the name of the axis
        taken: list[tuple[float, float]] = []
        for name in sorted(windows, key=lambda one: one != selected):
            low, high = windows[name]
            middle = frame.x((low + high) / 2)
            wide = metrics.horizontalAdvance(name)
            left = max(start, middle - wide / 2)
            right = left + wide
            if not area.left() <= middle <= area.right():
                continue
            if any(left < other_right + 4 and right > other for other, other_right in taken):
                continue
            taken.append((left, right))
            font = QFont(painter.font())
            font.setBold(name == selected)
            painter.save()
            painter.setFont(font)
            painter.setPen(self.ink)
            painter.drawText(QPointF(left, metrics.ascent() + 2), name)
            painter.restore()

    def _draw_cursor(self, painter: QPainter, frame: Frame, cursor: float) -> None:
        area, metrics = frame.area, QFontMetricsF(painter.font())
        if not frame.range[0] <= cursor <= frame.range[1]:
            return
        text = f"{_mass_text(cursor, frame.range, 1)} u"
        wide = metrics.horizontalAdvance(text)
        box = QRectF(area.right() - wide - 8, area.top() + 1, wide + 8, metrics.height() + 2)
        paper = QColor(self.paper)
        paper.setAlphaF(0.8)
        painter.fillRect(box, paper)
        painter.setPen(self.ink)
        painter.drawText(box, int(Qt.AlignmentFlag.AlignCenter), text)


class _Scale:
    """The axis of counts."""

    def __init__(self, area: QRectF, top: float, log: bool) -> None:
        self._area, self._log = area, log
        self._top = max(top, 1.0) * (1.6 if log else 1.08)

    def y(self, counts: Any) -> Any:
        """Return screen places of counts."""
        if self._log:
            share = np.log(np.maximum(counts, _FLOOR) / _FLOOR) / math.log(self._top / _FLOOR)
        else:
            share = np.asarray(counts) / self._top
        return self._area.bottom() - share * self._area.height()

    def ticks(self) -> list[tuple[float, str]]:
        """Return round counts and how they are written."""
        if not self._log:
            return [(value, _count_text(value)) for value in tick_values(0.0, self._top, 4)]
        decades = range(math.floor(math.log10(self._top)) + 1)
        skip = 1 + len(decades) // 7
        return [(10.0**n, _power_text(n)) for n in decades if n % skip == 0]


def _bounded(frame: Frame, mass: float) -> float:
    """Return a screen place that no painter chokes on."""
    return min(max(frame.x(mass), -1e4), 1e4 + frame.width)


def _per_u(frame: Frame) -> float:
    return frame.plot_width / (frame.range[1] - frame.range[0])


def _mass_text(mass: float, limits: tuple[float, float], more: int = 0) -> str:
    """Write a mass with the digits that the range lets one see."""
    digits = max(0, math.ceil(-math.log10((limits[1] - limits[0]) / 8)))
    return f"{mass:.{min(6, digits + more)}f}"


def _count_text(value: float) -> str:
    for limit, unit in ((1e6, "M"), (1e3, "k")):
        if value >= limit:
            return f"{value / limit:g}{unit}"
    return f"{value:g}"


def _power_text(power: int) -> str:
    return str(10**power) if power < 3 else f"10{str(power).translate(_SUPERSCRIPT)}"
