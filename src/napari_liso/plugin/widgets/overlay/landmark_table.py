"""The pairs of landmarks: which take part, and how far each is off."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

__all__ = ["LandmarkTable", "Row"]

#: Behind the worst pair, on dark and on light themes.
_WORST = QColor(255, 145, 0, 90)
_TIPS = (
    "Number of the pair, as on both images. Untick it to leave it out; click to select its points",
    "Distance between the landmark on the map and the one on the image, once placed ({unit})",
    "The same where this pair is left out of the fit ({unit}): far more telling for few pairs",
)


@dataclass(frozen=True)
class Row:
    """A pair, or a landmark without a partner.

    Attributes
    ----------
    number
        As shown on the images.
    kept
        Whether it takes part in the fit.
    residual, left_out
        In the table's unit; NaN where there is none.
    missing
        What the landmark lacks, ``""`` for a pair.
    """

    number: int
    kept: bool = True
    residual: float = np.nan
    left_out: float = np.nan
    missing: str = ""


class LandmarkTable(QTableWidget):
    """One row a pair."""

    ticked = Signal(int, bool)  # number of the pair, whether it takes part
    picked = Signal(object)  # numbers of the selected rows

    def __init__(self) -> None:
        super().__init__(0, 3)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        header = self.horizontalHeader()
        assert header is not None
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.ResizeToContents)
        rows = self.verticalHeader()
        assert rows is not None
        rows.hide()
        rows.setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.setMinimumHeight(5 * (self.fontMetrics().height() + 10))
        self._rows: tuple[Row, ...] = ()
        self._unit = ""
        self._filling = False
        self.itemChanged.connect(self._on_changed)
        self.itemSelectionChanged.connect(self._on_selection)
        self.fill((), "µm", False)

    def fill(self, rows: Sequence[Row], unit: str, telling: bool) -> None:
        """Show these rows.

        Parameters
        ----------
        rows
            In order.
        unit
            Of the distances.
        telling
            Whether the residuals say anything, so that one can be the worst.
        """
        if tuple(rows) == self._rows and unit == self._unit:
            return
        self._filling = True
        titles = ("pair", f"off by ({unit})", f"without it ({unit})")
        self.setHorizontalHeaderLabels(titles)
        for column, tip in enumerate(_TIPS):
            item = self.horizontalHeaderItem(column)
            if item is not None:
                item.setToolTip(tip.format(unit=unit))
        worst = _worst(rows) if telling else -1
        chosen = self.chosen()
        self.clearSpans()
        self.setRowCount(len(rows))
        for index, row in enumerate(rows):
            self._fill_row(index, row, index == worst)
        self._rows, self._unit = tuple(rows), unit
        self.clearSelection()
        for index, row in enumerate(rows):
            if row.number in chosen:
                self.selectRow(index)
        self._filling = False

    def _fill_row(self, index: int, row: Row, worst: bool) -> None:
        number = QTableWidgetItem(str(row.number))
        flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
        if not row.missing:
            number.setFlags(flags | Qt.ItemFlag.ItemIsUserCheckable)
            number.setCheckState(Qt.CheckState.Checked if row.kept else Qt.CheckState.Unchecked)
        else:
            number.setFlags(flags)
        texts = (row.missing, "") if row.missing else (_text(row.residual), _text(row.left_out))
        items = [number, *(QTableWidgetItem(text) for text in texts)]
        for column, item in enumerate(items):
            if column and not row.missing:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            if worst:
                item.setBackground(_WORST)
                item.setToolTip("The worst pair: check it on both images, or leave it out")
            self.setItem(index, column, item)
        if row.missing:
            self.setSpan(index, 1, 1, 2)

    def chosen(self) -> tuple[int, ...]:
        """Return the numbers of the selected rows."""
        found = {index.row() for index in self.selectedIndexes()}
        return tuple(self._rows[i].number for i in sorted(found) if i < len(self._rows))

    def _on_changed(self, item: QTableWidgetItem) -> None:
        if self._filling or item.column() or item.row() >= len(self._rows):
            return
        kept = item.checkState() == Qt.CheckState.Checked
        if kept != self._rows[item.row()].kept:
            self.ticked.emit(self._rows[item.row()].number, kept)

    def _on_selection(self) -> None:
        if not self._filling:
            self.picked.emit(self.chosen())


def _worst(rows: Sequence[Row]) -> int:
    """Return the row of the pair that the others predict worst, -1 if there is none."""
    values = [row.left_out if np.isfinite(row.left_out) else row.residual for row in rows]
    known = [i for i, v in enumerate(values) if np.isfinite(v) and rows[i].kept]
    return max(known, key=lambda i: values[i]) if known else -1


def _text(value: float) -> str:
    return f"{value:.3g}" if np.isfinite(value) else "–"
