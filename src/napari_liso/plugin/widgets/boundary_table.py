"""The table of boundaries: a Qt model over a layer's features, linked with the selection."""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Any

import pandas as pd
from qtpy.QtCore import (
    QAbstractTableModel,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QSortFilterProxyModel,
    Qt,
)
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableView

from napari_liso.plugin.context import Context
from napari_liso.plugin.features import shown_permeability
from napari_liso.plugin.selection import camera_of
from napari_liso.plugin.widgets.parts import interval, scientific

__all__ = ["BoundaryModel", "BoundaryTable"]

#: key -> (header, tooltip)
_COLUMNS = {
    "id": ("id", "Number of the boundary: its label in the boundaries layer"),
    "grains": ("grains", "The two grains that meet here"),
    "length": ("length (µm)", "Length along the boundary in µm, not that of its staircase"),
    "state": ("state", "use: fitted; exclude: a barrier whose surroundings are not data"),
    "k": (
        "k (m/s)",
        (
            "Permeability k in m/s: flux of tracer = k × step of the fraction across it. "
            "Small k holds lithium back. > and < are bounds."
        ),
    ),
    "interval": ("95 % interval", "95 % interval of k in m/s; 0 or ∞ where it is open"),
    "verdict": (
        "verdict",
        (
            "resolved: the data decide k within a factor of about two. lower or upper bound: the "
            "data limit k from one side. unresolved: the data do not decide; the population does."
        ),
    ),
}
_ALL_ROLES = Qt.ItemDataRole
_WORDS = {"lower_bound": "lower bound", "upper_bound": "upper bound"}


class BoundaryModel(QAbstractTableModel):
    """Rows are the boundaries of a features frame (`boundary_features`) that are not removed."""

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__()
        self.columns = columns
        self._ids: list[int] = []
        # made once: Qt asks for every cell many times
        self._texts: list[list[str]] = []
        self._keys: list[list[Any]] = []

    def set_features(self, features: pd.DataFrame | None) -> None:
        """Show other boundaries; None shows nothing."""
        rows: list[dict[Hashable, Any]] = []
        if features is not None:
            there = (features["index"] > 0) & (features["state"] != "removed")
            rows = features[there].to_dict("records")
        self.beginResetModel()
        self._ids = [int(row["index"]) for row in rows]
        self._texts = [[_text(row, column) for column in self.columns] for row in rows]
        self._keys = [[_sort_key(row, column) for column in self.columns] for row in rows]
        self.endResetModel()

    def id_of(self, row: int) -> int:
        """Return the boundary's id in a row."""
        return self._ids[row]

    def row_of(self, label: int) -> int:
        """Return the row of a boundary's id, -1 if there is none."""
        return self._ids.index(label) if label in self._ids else -1

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of boundaries."""
        return 0 if parent is not None and parent.isValid() else len(self._ids)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _ALL_ROLES.DisplayRole
    ) -> Any:
        """Return a column's title with its unit, or what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        title, tooltip = _COLUMNS[self.columns[section]]
        texts: dict[int, str] = {_ALL_ROLES.DisplayRole: title, _ALL_ROLES.ToolTipRole: tooltip}
        return texts.get(role)

    def data(self, index: QModelIndex, role: int = _ALL_ROLES.DisplayRole) -> Any:
        """Return the text, sort key, tooltip or alignment of a cell."""
        if not index.isValid():
            return None
        text, column = self._texts[index.row()][index.column()], self.columns[index.column()]
        if role == _ALL_ROLES.DisplayRole:
            return text
        if role == _ALL_ROLES.UserRole:
            return self._keys[index.row()][index.column()]
        if role == _ALL_ROLES.ToolTipRole:
            return f"{_COLUMNS[column][0]}: {text}"
        if role == _ALL_ROLES.TextAlignmentRole:
            words = column in ("state", "verdict", "grains")
            side = Qt.AlignmentFlag.AlignLeft if words else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        return None


def _text(row: dict[Hashable, Any], column: str) -> str:
    """Return what a cell shows."""
    if column == "id":
        return str(int(row["index"]))
    if column == "grains":
        return f"{row['grain_a']} | {row['grain_b']}"
    if column == "length":
        return f"{row['length_um']:.2f}"
    if column == "state":
        return str(row["state"])
    verdict = row.get("verdict")
    if not isinstance(verdict, str):
        return "–"
    lower, upper = row["k_lower_m_per_s"], row["k_upper_m_per_s"]
    if column == "verdict":
        return _WORDS.get(verdict, verdict)
    if column == "interval":
        return interval(lower, upper)
    sign = {"lower_bound": "> ", "upper_bound": "< "}.get(verdict, "")
    return sign + scientific(shown_permeability(row["k_m_per_s"], lower, upper, verdict))


def _sort_key(row: dict[Hashable, Any], column: str) -> Any:
    """Return what a cell is sorted by: numbers as numbers, k without an upper end last."""
    if column in ("k", "interval"):
        if row.get("verdict") == "lower_bound" or not isinstance(row.get("verdict"), str):
            return math.inf
        k, lower, upper = (float(row[f"k{end}_m_per_s"]) for end in ("", "_lower", "_upper"))
        value = shown_permeability(k, lower, upper, str(row["verdict"]))
        return math.inf if math.isnan(value) else value
    if column == "id":
        return int(row["index"])
    if column == "grains":
        return float(row["grain_a"] + row["grain_b"] / 1e6)
    return float(row["length_um"]) if column == "length" else _text(row, column)


class BoundaryTable(QTableView):
    """A sortable table of the context's boundaries; its selection is the boundaries' own."""

    def __init__(self, context: Context, columns: tuple[str, ...]) -> None:
        super().__init__()
        self._context = context
        self._syncing = False
        self.rows = BoundaryModel(columns)
        self._sorted = QSortFilterProxyModel(self)
        self._sorted.setSourceModel(self.rows)
        self._sorted.setSortRole(_ALL_ROLES.UserRole)
        self.setModel(self._sorted)
        self._columns = columns
        self.setSortingEnabled(True)
        first = columns.index("k") if columns[1] == "k" else 0
        self.sortByColumn(first, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.setWordWrap(False)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setResizeContentsPrecision(50)  # rows that are measured, of thousands
        header.setStretchLastSection(True)
        self.setFixedHeight(8 * (self.fontMetrics().height() + 8))
        self.selectionModel().selectionChanged.connect(self._on_rows)
        context.boundaries_changed.connect(self.refresh)
        context.selection_changed.connect(self._on_selection)
        self.refresh()

    def refresh(self) -> None:
        """Read the boundaries layer again."""
        layer = self._context.boundaries.current
        self._syncing = True  # a reset model has no selection: not the user's doing
        self.rows.set_features(None if layer is None else layer.features)
        self._syncing = False
        fitted = self._context.current_fit() is not None
        for place, column in enumerate(self._columns):
            later = column in ("k", "interval", "verdict")
            hidden = later != fitted and (later or column == "state")
            if hidden != self.isColumnHidden(place):
                self.setColumnHidden(place, hidden)
        self._on_selection()

    def _on_rows(self) -> None:
        """Tell the rows that the user selected; show a single one on the map."""
        selection = self._context.selection
        if self._syncing or selection is None:
            return
        rows = [self._sorted.mapToSource(i).row() for i in self.selectionModel().selectedRows()]
        ids = [self.rows.id_of(row) for row in rows]
        kept = [i for i in selection.ids if i in ids]
        selection.select([*kept, *(i for i in ids if i not in kept)])
        if len(ids) == 1:
            self._centre_on(ids[0])

    def _on_selection(self) -> None:
        """Show the selection that the map or another table made."""
        selection = self._context.selection
        ids = () if selection is None else selection.ids
        last = self._sorted.columnCount() - 1
        wanted = QItemSelection()
        current = QModelIndex()
        for label in ids:
            row = self.rows.row_of(label)
            if row >= 0:
                current = self._sorted.mapFromSource(self.rows.index(row, 0))
                end = self._sorted.index(current.row(), last)
                wanted.select(current, end)
        self._syncing = True
        self.selectionModel().select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        if current.isValid():
            self.scrollTo(current)
        self._syncing = False

    def showEvent(self, event: QShowEvent | None) -> None:
        """Scroll to what was selected while the table was hidden."""
        super().showEvent(event)
        self._on_selection()

    def _centre_on(self, label: int) -> None:
        """Move the camera to the middle of a boundary that is out of sight; keep the zoom."""
        layer = self._context.boundaries.current
        boundaries = self._context.current_boundaries()
        if layer is None or boundaries is None:
            return
        rows, columns = (boundaries.labels == label).nonzero()
        if len(rows) == 0:
            return
        middle = len(rows) // 2
        order = rows.argsort() if rows.std() > columns.std() else columns.argsort()
        at = order[middle]
        first, last = layer.corner_pixels[:, -2:]  # of the part that is seen
        if first[0] <= rows[at] <= last[0] and first[1] <= columns[at] <= last[1]:
            return
        y, x = layer.data_to_world((float(rows[at]), float(columns[at])))[-2:]
        camera = camera_of(self._context.viewer)
        camera.center = (*tuple(camera.center)[:-2], y, x)
