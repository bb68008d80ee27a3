"""The shifts of frames as a table that can be edited."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

__all__ = ["ShiftTable"]

_HEADERS = ("frame", "dy (px)", "dx (px)", "")
_TIPS = (
    "Frame, counted from 1",
    "Whole pixels by which the frame is moved down; type another",
    "Whole pixels by which the frame is moved to the right; type another",
    "Whether the frame itself tells its shift",
)
#: Rows that are shown without scrolling.
_ROWS = 8


class ShiftTable(QTableWidget):
    """One row a frame; dy and dx can be typed."""

    edited = Signal(int, int, int)  # frame counted from 0, dy, dx
    refused = Signal(str)

    def __init__(self) -> None:
        super().__init__(0, len(_HEADERS))
        self.setHorizontalHeaderLabels(_HEADERS)
        for column, tip in enumerate(_TIPS):
            item = self.horizontalHeaderItem(column)
            if item is not None:
                item.setToolTip(tip)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(3, QHeaderView.ResizeMode.Stretch)
        rows = self.verticalHeader()
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        self._shifts: NDArray[np.int64] = np.zeros((0, 2), np.int64)
        self._filling = False
        self.itemChanged.connect(self._on_changed)

    def show_shifts(self, shifts: NDArray[np.int64], notes: Sequence[str]) -> None:
        """Show shifts, (frame, 2), and a note on each."""
        self._filling = True
        self._shifts = shifts
        self.setRowCount(len(shifts))
        for row, (pair, note) in enumerate(zip(shifts.tolist(), notes, strict=True)):
            for column, text in enumerate(
                (str(row + 1), _signed(pair[0]), _signed(pair[1]), note)
            ):
                item = QTableWidgetItem(text)
                if column in (0, 3):
                    item.setFlags(Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable)
                if column < 3:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.setItem(row, column, item)
        self._filling = False
        self._fit_height()

    def _fit_height(self) -> None:
        """Be as high as the rows, up to some."""
        rows = min(max(self.rowCount(), 2), _ROWS)
        row = self.verticalHeader().defaultSectionSize()
        self.setFixedHeight(rows * row + self.horizontalHeader().sizeHint().height() + 4)

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if self._filling or item.column() not in (1, 2):
            return
        row, axis = item.row(), item.column() - 1
        pair = self._shifts[row].tolist()
        try:
            pair[axis] = int(item.text().replace("\u2212", "-"))
        except ValueError:
            self.refused.emit(f"'{item.text()}' is not a whole number of pixels.")
            self._filling = True
            item.setText(_signed(pair[axis]))
            self._filling = False
            return
        self.edited.emit(row, *pair)


def _signed(number: int) -> str:
    return f"{number:+d}".replace("-", "\u2212") if number else "0"
