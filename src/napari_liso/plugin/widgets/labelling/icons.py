"""Pictures on the buttons of the tools, drawn in the colour of the text."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import QPointF, QRectF, Qt
from qtpy.QtGui import QColor, QIcon, QPainter, QPainterPath, QPen, QPixmap, QPolygonF

__all__ = ["icon"]

_SIDE = 20
#: Drawn larger than shown, so that it is sharp on screens with small pixels.
_OVER = 3


def icon(name: str, ink: QColor) -> QIcon:
    """Return the picture of a tool.

    Parameters
    ----------
    name
        Of the tool or action.
    ink
        Colour of the lines.
    """
    made = QIcon()
    pale = QColor(ink)
    pale.setAlpha(80)
    for colour, mode in ((ink, QIcon.Mode.Normal), (pale, QIcon.Mode.Disabled)):
        pixmap = QPixmap(_SIDE * _OVER, _SIDE * _OVER)
        pixmap.fill(Qt.GlobalColor.transparent)
        painter = QPainter(pixmap)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.scale(_OVER, _OVER)
        _pen(painter, colour)
        _PICTURES[name](painter)
        painter.end()
        made.addPixmap(pixmap, mode)
    return made


def _pen(painter: QPainter, colour: QColor, width: float = 1.6, dashed: bool = False) -> None:
    pen = QPen(colour, width)
    pen.setCapStyle(Qt.PenCapStyle.RoundCap)
    pen.setJoinStyle(Qt.PenJoinStyle.RoundJoin)
    if dashed:
        pen.setStyle(Qt.PenStyle.DotLine)
    painter.setPen(pen)


def _lines(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.drawPolyline(QPolygonF([QPointF(*point) for point in points]))


def _filled(painter: QPainter, *points: tuple[float, float]) -> None:
    painter.setBrush(painter.pen().color())
    painter.drawPolygon(QPolygonF([QPointF(*point) for point in points]))
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _dot(painter: QPainter, x: float, y: float, r: float = 1.6) -> None:
    painter.setBrush(painter.pen().color())
    painter.drawEllipse(QPointF(x, y), r, r)
    painter.setBrush(Qt.BrushStyle.NoBrush)


def _curve(painter: QPainter, dashed: bool = False) -> None:
    path = QPainterPath(QPointF(2, 15))
    path.cubicTo(QPointF(7, 3), QPointF(12, 18), QPointF(18, 5))
    colour, width = painter.pen().color(), painter.pen().widthF()
    _pen(painter, colour, width, dashed)
    painter.drawPath(path)
    _pen(painter, colour, width)


def _select(p: QPainter) -> None:
    _filled(
        p, (5, 2.5), (5, 15.5), (8.4, 12.4), (10.6, 17.2), (12.6, 16.3), (10.4, 11.6), (15, 11)
    )


def _draw(p: QPainter) -> None:
    _curve(p)
    for x, y in ((2.5, 14.5), (9.8, 10.2), (17.5, 5.5)):
        _dot(p, x, y)


def _erase(p: QPainter) -> None:
    _curve(p, dashed=True)
    _lines(p, (11, 11), (17, 17))
    _lines(p, (17, 11), (11, 17))


def _move(p: QPainter) -> None:
    _lines(p, (2, 16), (18, 16))
    path = QPainterPath(QPointF(3, 15))
    path.quadTo(QPointF(10, -2), QPointF(17, 15))
    p.drawPath(path)
    _lines(p, (7.5, 11.5), (10, 9), (12.5, 11.5))


def _merge(p: QPainter) -> None:
    p.drawRoundedRect(QRectF(2, 4, 16, 12), 3, 3)
    _pen(p, p.pen().color(), 1.4, dashed=True)
    _lines(p, (10, 4.5), (10, 15.5))


def _split(p: QPainter) -> None:
    p.drawRoundedRect(QRectF(2, 4, 16, 12), 3, 3)
    _lines(p, (10, 4.5), (10, 15.5))
    _dot(p, 6, 10)
    _dot(p, 14, 10)


def _paint(p: QPainter) -> None:
    _lines(p, (17.5, 2.5), (10, 10.5))
    path = QPainterPath(QPointF(9.5, 9.5))
    path.cubicTo(QPointF(5, 9), QPointF(7, 15), QPointF(2.5, 17))
    path.cubicTo(QPointF(9, 18.5), QPointF(12, 15), QPointF(10.8, 11))
    path.closeSubpath()
    p.fillPath(path, p.pen().color())


def _turn(p: QPainter, back: bool) -> None:
    if not back:
        p.translate(_SIDE, 0)
        p.scale(-1, 1)
    path = QPainterPath(QPointF(4, 8))
    path.cubicTo(QPointF(14, 4), QPointF(19, 11), QPointF(13, 16))
    p.drawPath(path)
    _lines(p, (8.4, 3.6), (3.6, 8.1), (8.8, 11.6))


def _undo(p: QPainter) -> None:
    _turn(p, True)


def _redo(p: QPainter) -> None:
    _turn(p, False)


def _previous(p: QPainter) -> None:
    _lines(p, (12.5, 4), (6.5, 10), (12.5, 16))


def _next(p: QPainter) -> None:
    _lines(p, (7.5, 4), (13.5, 10), (7.5, 16))


def _use(p: QPainter) -> None:
    _lines(p, (3.5, 10.5), (8, 15), (16.5, 5))


def _exclude(p: QPainter) -> None:
    p.drawEllipse(QPointF(10, 10), 7, 7)
    _lines(p, (5.2, 14.8), (14.8, 5.2))


def _lock(p: QPainter) -> None:
    p.drawRoundedRect(QRectF(4.5, 9, 11, 8), 1.5, 1.5)
    path = QPainterPath(QPointF(6.8, 9))
    path.cubicTo(QPointF(6.4, 1.5), QPointF(13.6, 1.5), QPointF(13.2, 9))
    p.drawPath(path)
    _dot(p, 10, 13, 1.2)


_PICTURES: dict[str, Callable[[QPainter], None]] = {
    "select": _select,
    "draw": _draw,
    "erase": _erase,
    "move": _move,
    "merge": _merge,
    "split": _split,
    "paint": _paint,
    "undo": _undo,
    "redo": _redo,
    "previous": _previous,
    "next": _next,
    "use": _use,
    "exclude": _exclude,
    "lock": _lock,
}
