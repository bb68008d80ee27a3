"""The Qt model behind the table of boundaries: what its cells say, sorted and filtered."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, QModelIndex, Qt, Signal
from qtpy.QtGui import QColor, QIcon

from napari_liso.microstructure.filtering import find_rows
from napari_liso.plugin.boundary_values import BoundaryValues
from napari_liso.plugin.widgets.boundary_cells import COLUMNS, cell_text, numbers_of, sort_keys

__all__ = ["BoundaryModel"]

_ROLE = Qt.ItemDataRole
_GREY = QColor(150, 150, 150)

Rows = NDArray[np.intp]


class BoundaryModel(QAbstractTableModel):
    """Rows are the boundaries that are not removed and match the filter, in sorted order.

    Texts are made when they are asked for, and rows are sorted as arrays, so that
    tens of thousands of boundaries cost as little as a few.

    Attributes
    ----------
    columns
        Keys of `COLUMNS`.
    editable
        Whether there are boxes for the state, and notes can be written.
    filter_error
        Why the filter is not applied: it asks for what is not known now.
    lock_icon
        Marks the ids of locked boundaries.
    """

    state_wanted = Signal(int, str)  # id, state: the box of a row was clicked
    note_wanted = Signal(int, str)  # id, text
    shown_changed = Signal()  # other rows, or another order

    def __init__(self, columns: tuple[str, ...]) -> None:
        super().__init__()
        self.columns = columns
        self.editable = False
        self.filter_error = ""
        self.lock_icon: QIcon | None = None
        self._values: BoundaryValues | None = None
        self._order: Rows = np.empty(0, dtype=np.intp)  # all rows of the values, sorted
        self._shown = self._order  # those that match
        self._filter = ""
        self._sort = ("id", False)  # and whether it descends

    # --- which rows ---------------------------------------------------------------------------

    @property
    def values(self) -> BoundaryValues | None:
        """Of all boundaries, the hidden ones too."""
        return self._values

    @property
    def filter_text(self) -> str:
        """The filter that rows match."""
        return self._filter

    @property
    def shown_ids(self) -> list[int]:
        """Ids of the rows, from top to bottom."""
        return [] if self._values is None else [int(i) for i in self._values.ids[self._shown]]

    @property
    def total(self) -> int:
        """How many boundaries there are without the filter."""
        return 0 if self._values is None else len(self._values)

    def set_values(self, values: BoundaryValues | None) -> None:
        """Show other boundaries; None shows nothing."""
        before, self._values = self._values, values
        if values is None:
            self._order = np.empty(0, dtype=np.intp)
        elif before is None or not self._is_sorted_as(before, values):
            self._order = self._sorted(values)
        self._show()

    def set_filter(self, text: str) -> None:
        """Show the rows that match.

        Raises
        ------
        ValueError
            If the filter cannot be read (`find_rows`); the former one stays.
        """
        if self._values is not None:
            find_rows(text, self._values.fields())
        self._filter = text.strip()
        self._show()

    def sort(self, column: int, order: Qt.SortOrder = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; -1 sorts by id. Rows without a value are the last ones."""
        key = self.columns[column] if 0 <= column < len(self.columns) else "id"
        self._sort = (key, order == Qt.SortOrder.DescendingOrder)
        if self._values is not None:
            self._order = self._sorted(self._values)
        self._show()

    def _show(self) -> None:
        shown = self._order
        self.filter_error = ""
        if self._filter and self._values is not None:
            try:
                shown = shown[find_rows(self._filter, self._values.fields())[shown]]
            except ValueError as error:
                self.filter_error = str(error)
        if len(shown) and np.array_equal(shown, self._shown):
            last = self.index(len(shown) - 1, len(self.columns) - 1)
            self.dataChanged.emit(self.index(0, 0), last)
        else:
            self.beginResetModel()
            self._shown = shown
            self.endResetModel()
        self.shown_changed.emit()

    def _sorted(self, values: BoundaryValues) -> Rows:
        keys = sort_keys(values, self._sort[0])
        if self._sort[1]:
            keys = [-key for key in keys]
        # NaN is sorted last either way
        return np.lexsort([values.ids, *reversed(keys)])

    def _is_sorted_as(self, before: BoundaryValues, values: BoundaryValues) -> bool:
        """Tell whether the order of the rows may stay."""
        if not np.array_equal(before.ids, values.ids):
            return False
        if self._sort[0] in ("state", "notes"):
            return True  # a row that was changed in the table does not jump away
        old, new = (sort_keys(one, self._sort[0]) for one in (before, values))
        return len(old) == len(new) and all(
            np.array_equal(a, b, equal_nan=True) for a, b in zip(old, new, strict=True)
        )

    # --- rows and ids -------------------------------------------------------------------------

    def id_of(self, row: int) -> int:
        """Return the boundary's id in a row."""
        assert self._values is not None
        return int(self._values.ids[self._shown[row]])

    def ids_of(self, rows: list[int]) -> list[int]:
        """Return the ids in some rows."""
        return [] if self._values is None else self._values.ids[self._shown[rows]].tolist()

    def row_of(self, label: int) -> int:
        """Return the row of a boundary's id, -1 if there is none, or it is filtered out."""
        rows = self.rows_of([label])
        return rows[0] if rows else -1

    def rows_of(self, labels: Sequence[int]) -> list[int]:
        """Return the rows of those of some boundaries that are shown, ascending."""
        if self._values is None or not len(labels):
            return []
        return np.flatnonzero(np.isin(self._values.ids[self._shown], labels)).tolist()

    # --- what Qt asks for ---------------------------------------------------------------------

    def rowCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of boundaries."""
        return 0 if parent is not None and parent.isValid() else len(self._shown)

    def columnCount(self, parent: QModelIndex | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(self.columns)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = _ROLE.DisplayRole
    ) -> Any:
        """Return a column's title with its unit, or what it means."""
        if orientation != Qt.Orientation.Horizontal or section >= len(self.columns):
            return None
        column = COLUMNS[self.columns[section]]
        texts: dict[int, str] = {
            _ROLE.DisplayRole: column.title.replace(" (", "\n("),  # narrow: units below
            _ROLE.ToolTipRole: column.tooltip,
        }
        return texts.get(role)

    def data(self, index: QModelIndex, role: int = _ROLE.DisplayRole) -> Any:
        """Return the text, tooltip, colour, box or alignment of a cell."""
        if not index.isValid() or self._values is None or index.row() >= len(self._shown):
            return None
        key, row = self.columns[index.column()], int(self._shown[index.row()])
        if role in (_ROLE.DisplayRole, _ROLE.EditRole):
            return cell_text(self._values, row, key)
        if role == _ROLE.ToolTipRole:
            return f"{COLUMNS[key].title}: {cell_text(self._values, row, key)}"
        if role == _ROLE.TextAlignmentRole:
            words = COLUMNS[key].words
            side = Qt.AlignmentFlag.AlignLeft if words else Qt.AlignmentFlag.AlignRight
            return side | Qt.AlignmentFlag.AlignVCenter
        state = self._values["state"][row]
        excluded = state == "exclude"
        if role == _ROLE.DecorationRole and key == "id" and state == "locked":
            return self.lock_icon  # in the place of the box
        if role == _ROLE.ForegroundRole and excluded:
            return _GREY
        if role == _ROLE.CheckStateRole and self.has_box(index):
            return Qt.CheckState.Unchecked if excluded else Qt.CheckState.Checked
        return None

    def has_box(self, index: QModelIndex) -> bool:
        """Tell whether there is a box for the state in a cell; locked rows have a lock there."""
        if not self.editable or self._values is None or self.columns[index.column()] != "id":
            return False
        return bool(self._values["state"][self._shown[index.row()]] != "locked")

    def flags(self, index: QModelIndex) -> Qt.ItemFlag:
        """Let boxes be clicked and notes be written."""
        flags = super().flags(index)
        if self.editable and index.isValid():
            if self.has_box(index):
                flags |= Qt.ItemFlag.ItemIsUserCheckable
            elif self.columns[index.column()] == "notes":
                flags |= Qt.ItemFlag.ItemIsEditable
        return flags

    def setData(self, index: QModelIndex, value: Any, role: int = _ROLE.EditRole) -> bool:
        """Ask for another state or note; the layer keeps them."""
        if not index.isValid() or self._values is None:
            return False
        label = self.id_of(index.row())
        if role == _ROLE.CheckStateRole and self.has_box(index):
            on = value in (Qt.CheckState.Checked, Qt.CheckState.Checked.value)
            self.state_wanted.emit(label, "use" if on else "exclude")
            return True
        if role == _ROLE.EditRole and self.columns[index.column()] == "notes":
            self.note_wanted.emit(label, str(value).strip())
            return True
        return False

    def long_texts(self, column: int) -> list[str]:
        """Return texts of a column among which the widest one is, without making them all."""
        values = self._values
        if values is None or len(self._shown) == 0:
            return []
        key = self.columns[column]
        rows = set(self._shown[:40].tolist())
        for number in numbers_of(values, key):
            known = np.flatnonzero(np.isfinite(number))
            if len(known):
                size = np.abs(number[known])
                ends = (number[known].argmin(), size.argmax(), size.argmin())
                rows.update(int(known[end]) for end in ends)
        if key in ("state", "verdict") and key in values:
            words = values[key].astype(str)
            rows.update(np.unique(words, return_index=True)[1].tolist())
        return [cell_text(values, row, key) for row in rows]
