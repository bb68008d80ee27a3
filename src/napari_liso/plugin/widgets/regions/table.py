"""The table of regions: fraction, interval, dispersion, counts and area, sortable."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelectionModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
    Signal,
)
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_liso.counting.dispersion import TOO_EVEN, TOO_FEW, VARIES
from napari_liso.units import MICROMETRE

__all__ = ["RegionModel", "RegionTable"]

#: key -> (header, tooltip)
_COLUMNS = {
    "name": ("region", "What the region is called. Double-click renames a drawn shape."),
    "fraction": (
        "fraction",
        "Tracer / (tracer + other) of the summed counts, corrected; – without counts",
    ),
    "interval": ("95 % interval", "95 % interval of the fraction, from the counts"),
    "dispersion": (
        "scatter",
        (
            "Chi-square of the fraction from pixel to pixel, a degree of freedom. Near 1: the "
            "pixels scatter as counting makes them, with one fraction in the whole region. "
            "Above: it varies. Below: the counts are not independent ions."
        ),
    ),
    "counts": ("counts", "Ions counted of both isotopes"),
    "area": ("area (µm²)", "Area of the region on the map in µm²"),
}
_KEYS = tuple(_COLUMNS)
_ROLE = Qt.ItemDataRole
_ROWS = (3, 7)  # least and most that are shown at once


class RegionModel(QAbstractTableModel):
    """Rows are those of `region_table`; a name may be edited where `can_rename` is set."""

    renamed = Signal(int, str)  # the region's number, its new name

    def __init__(self) -> None:
        super().__init__()
        self.can_rename = False
        self._labels: list[int] = []
        self._cells: list[dict[str, tuple[str, Any, str]]] = []
        self._colours: list[QColor | None] = []

    def set_table(self, table: pd.DataFrame | None, colours: list[QColor | None]) -> None:
        """Show another table; None shows nothing."""
        rows = [] if table is None else table.to_dict("records")
        self.beginResetModel()
        self._labels = [] if table is None else [int(label) for label in table.index]
        self._cells = [_cells(row) for row in rows]
        self._colours = colours
        self.endResetModel()

    def label_of(self, row: int) -> int:
        """Return the number of the region in a row."""
        return self._labels[row]

    def row_of(self, label: int) -> int:
        """Return the row of a region, -1 if there is none."""
        return self._labels.index(label) if label in self._labels else -1

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of regions."""
        return 0 if parent is not None and parent.isValid() else len(self._labels)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_KEYS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _ROLE.DisplayRole
    ) -> Any:
        """Return a column's title with its unit, or what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(_KEYS):
            return None
        title, tooltip = _COLUMNS[_KEYS[section]]
        texts: dict[int, str] = {_ROLE.DisplayRole: title, _ROLE.ToolTipRole: tooltip}
        return texts.get(role)

    def data(self, index: QModelIndex, role: int = _ROLE.DisplayRole) -> Any:
        """Return the text, sort key, tooltip, colour or alignment of a cell."""
        if not index.isValid():
            return None
        key = _KEYS[index.column()]
        text, order, tooltip = self._cells[index.row()][key]
        if role == _ROLE.DecorationRole and key == "name":
            return self._colours[index.row()]
        if role == _ROLE.TextAlignmentRole:
            side = Qt.AlignmentFlag.AlignLeft if key == "name" else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        values: dict[int, Any] = {
            _ROLE.DisplayRole: text,
            _ROLE.EditRole: text,
            _ROLE.UserRole: order,
            _ROLE.ToolTipRole: tooltip,
        }
        return values.get(role)

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let names of shapes be edited."""
        flags = super().flags(index)
        if self.can_rename and index.isValid() and _KEYS[index.column()] == "name":
            flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(self, index: QModelIndex, value: Any, role: int = _ROLE.EditRole) -> bool:
        """Tell that a region was given another name; the layer keeps it."""
        name = str(value).strip()
        if role != _ROLE.EditRole or not name or name == self._cells[index.row()]["name"][0]:
            return False
        self.renamed.emit(self._labels[index.row()], name)
        return True


def _cells(row: dict[Any, Any]) -> dict[str, tuple[str, Any, str]]:
    """Return (text, sort key, tooltip) of each cell of a region."""
    value, low, high = row["fraction"], row["lower"], row["upper"]
    known = math.isfinite(value)
    digits = _digits(high - low)
    interval = f"{low:.{digits}f}–{high:.{digits}f}" if math.isfinite(low) else "–"
    ratio = row["ratio"]
    counted = (
        f"{row['counts_tracer']:,} of the tracer, {row['counts_other']:,} of the other isotope"
    )
    masked = f"; {row['masked']:,} of them saturated and left out" if row["masked"] else ""
    scatter = row["dispersion"]
    area = row["area"] / MICROMETRE**2
    # a number near 1 that says nothing would be read as "uniform"
    shown = "–" if row["verdict"] == TOO_FEW else f"{scatter:.2f}"
    if row["verdict"] in (VARIES, TOO_EVEN):
        shown += f" {row['verdict']}"
    return {
        "name": (row["name"], row["name"].casefold(), row["name"]),
        "fraction": (
            f"{value:.{digits}f}" if known else "–",
            value if known else math.inf,
            f"tracer / other = {ratio:.4g}" if known else "No counts are left here",
        ),
        "interval": (interval, high - low if known else math.inf, f"tracer fraction {interval}"),
        "dispersion": (shown, scatter if math.isfinite(scatter) else -1.0, _scatter_words(row)),
        "counts": (f"{row['counts']:,}", int(row["counts"]), counted),
        "area": (
            f"{area:.4g}" if math.isfinite(area) else "–",
            area if math.isfinite(area) else int(row["pixels"]),
            f"{row['pixels']:,} pixels{masked}",
        ),
    }


def _digits(width: float) -> int:
    """Return the digits after the point that show an interval to two figures."""
    if not 0 < width < 1:
        return 3
    return int(min(8, max(2, 1 - math.floor(math.log10(width)))))


def _scatter_words(row: dict[Any, Any]) -> str:
    """Say what the dispersion of a region means."""
    verdict = row["verdict"]
    if verdict == TOO_FEW:
        return "Too few counts or pixels to tell whether the fraction is the same everywhere here"
    span = f"{row['dispersion_lower']:.2f} to {row['dispersion_upper']:.2f}"
    expected = f"{span} is expected of one fraction (95 %)"
    if verdict == VARIES:
        return (
            f"{expected}. The fraction varies within the region, by a standard deviation of "
            f"{row['spread']:.2g} beyond counting."
        )
    if verdict == TOO_EVEN:
        return (
            f"{expected}. The counts scatter less than independent ions do: dead time, or counts "
            "that were smoothed or scaled."
        )
    return f"{expected}: no sign that the fraction varies here"


class RegionTable(QTableView):
    """A sortable table of which one row can be selected."""

    chosen = Signal(int)  # the number of the region whose row the user selected
    selection_changed = Signal()  # by whomever

    def __init__(self) -> None:
        super().__init__()
        self._syncing = False
        self.rows = RegionModel()
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.rows)
        self._sorted.setSortRole(_ROLE.UserRole)
        self.setModel(self._sorted)
        self.setSortingEnabled(True)
        self.sortByColumn(-1, Qt.SortOrder.AscendingOrder)  # as they were drawn
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.SingleSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.DoubleClicked)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(50)
        header.setStretchLastSection(True)
        self._fit_height()
        self.selectionModel().selectionChanged.connect(self._on_selection)

    @property
    def selected(self) -> int | None:
        """The number of the selected region."""
        rows = self.selectionModel().selectedRows()
        return self.rows.label_of(self._sorted.mapToSource(rows[0]).row()) if rows else None

    def set_table(self, table: pd.DataFrame | None, colours: list[QColor | None]) -> None:
        """Show another table; the region that was selected stays so."""
        before = self.selected
        self._syncing = True  # a reset model has no selection: not the user's doing
        self.rows.set_table(table, colours)
        self._syncing = False
        self._fit_height()
        self.select(before)

    def _fit_height(self) -> None:
        rows = min(max(self.rows.rowCount(), _ROWS[0]), _ROWS[1])
        # and the header, and a bar below
        self.setFixedHeight((rows + 2) * (self.fontMetrics().height() + 8))

    def select(self, label: int | None) -> None:
        """Select the row of a region, or none, without telling `chosen`."""
        if label is not None and label == self.selected:
            return
        row = -1 if label is None else self.rows.row_of(label)
        self._syncing = True
        if row < 0:
            self.clearSelection()
        else:
            index = self._sorted.mapFromSource(self.rows.index(row, 0))
            flags = QItemSelectionModel.SelectionFlag
            self.selectionModel().select(index, flags.ClearAndSelect | flags.Rows)
            self.scrollTo(index)
        self._syncing = False
        self.selection_changed.emit()

    def _on_selection(self) -> None:
        if self._syncing:
            return
        self.selection_changed.emit()
        selected = self.selected
        if selected is not None:
            self.chosen.emit(selected)
