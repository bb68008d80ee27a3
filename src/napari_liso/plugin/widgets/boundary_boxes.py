"""Boxes in the table of boundaries that can be seen in every theme."""

from __future__ import annotations

from qtpy.QtCore import QModelIndex, QRect, Qt
from qtpy.QtGui import QColor, QPainter, QPalette
from qtpy.QtWidgets import QStyle, QStyledItemDelegate, QStyleOptionViewItem

__all__ = ["BoxDelegate"]


class BoxDelegate(QStyledItemDelegate):
    """Draws a frame around each check box: the dark theme's is as dark as the table."""

    def paint(
        self, painter: QPainter | None, option: QStyleOptionViewItem, index: QModelIndex
    ) -> None:
        """Paint the cell, and the frame over it."""
        super().paint(painter, option, index)
        if painter is None or index.data(Qt.ItemDataRole.CheckStateRole) is None:
            return
        cell = QStyleOptionViewItem(option)
        self.initStyleOption(cell, index)
        style = None if cell.widget is None else cell.widget.style()
        if style is None:
            return
        box = style.subElementRect(
            QStyle.SubElement.SE_ItemViewItemCheckIndicator, cell, cell.widget
        )
        ink = QColor(cell.palette.color(QPalette.ColorRole.Text))
        ink.setAlpha(140)
        painter.save()
        painter.setPen(ink)
        painter.drawRect(QRect(box).adjusted(0, 0, -1, -1))
        painter.restore()
