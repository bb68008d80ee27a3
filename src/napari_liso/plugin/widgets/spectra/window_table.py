"""The table of mass windows: names, edges and counts."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

__all__ = ["WindowTable"]

Windows = dict[str, tuple[float, float]]

_HEADERS = ("name", "from (u)", "to (u)", "counts")
_COUNTS = len(_HEADERS) - 1
_ROWS = 5
_EXACT = Qt.ItemDataRole.UserRole


class WindowTable(QTableWidget):
    """Windows as rows that can be typed into; an empty row at the end takes the next one.

    Edges are kept to a millionth of u, whatever the text shows.
    """

    edited = Signal()  # by hand or by `fill` and its kin
    chosen = Signal(str)  # the row of this window was selected

    def __init__(self) -> None:
        super().__init__(0, len(_HEADERS))
        self._filling = False
        self.counter: Callable[[tuple[float, float]], str] = lambda window: ""
        self.setHorizontalHeaderLabels(_HEADERS)
        self.setToolTip(
            "Edges of each mass window in u; edit them by double-clicking, or drag them in the "
            "spectrum. The low edge is included, the high edge is not."
        )
        header = self.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.verticalHeader().hide()
        self.verticalHeader().setDefaultSectionSize(self.fontMetrics().height() + 8)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setFixedHeight((_ROWS + 1) * (self.fontMetrics().height() + 8) + 6)
        self.itemChanged.connect(self._on_item)
        self.itemSelectionChanged.connect(self._on_selection)

    # --- windows ------------------------------------------------------------------------------

    def windows(self) -> Windows:
        """Return the complete rows: name and (low, high) in u."""
        found: Windows = {}
        for row in range(self.rowCount()):
            window = self._window(row)
            if self._text(row, 0) and window is not None:
                found[self._text(row, 0)] = window
        return found

    def fill(self, windows: Windows) -> None:
        """Show these windows and no others."""
        self._filling = True
        self.setRowCount(0)
        for name, window in windows.items():
            self._append(name, window)
        self._filling = False
        self._tidy()

    def add(self, name: str, window: tuple[float, float]) -> None:
        """Add a window at the end; a name that is taken gets a number."""
        taken, unique, number = self.windows(), name, 2
        while unique in taken:
            unique, number = f"{name} ({number})", number + 1
        self.fill({**taken, unique: window})
        self.select(unique)

    def set_edges(self, name: str, low: float, high: float) -> None:
        """Move the edges of a window."""
        row = self._row_of(name)
        if row is None:
            return
        self._filling = True
        for column, edge in ((1, low), (2, high)):
            self._set_edge(row, column, edge)
        self._filling = False
        self._tidy()

    def remove_selected(self) -> None:
        """Take the selected windows away."""
        rows = {index.row() for index in self.selectedIndexes()}
        gone = {self._text(row, 0) for row in rows}
        if gone:
            self.fill({n: window for n, window in self.windows().items() if n not in gone})

    # --- selection ----------------------------------------------------------------------------

    def selected(self) -> str:
        """Return the name of the selected window, or ``""``."""
        name = self._text(self.currentRow(), 0) if self.selectedItems() else ""
        return name if name in self.windows() else ""

    def select(self, name: str) -> None:
        """Select the row of a window."""
        row = self._row_of(name)
        if row is not None and self.selected() != name:
            self.selectRow(row)

    # --- rows ---------------------------------------------------------------------------------

    def _append(self, name: str = "", window: tuple[float, float] | None = None) -> None:
        row = self.rowCount()
        self.insertRow(row)
        for column in range(len(_HEADERS)):
            item = QTableWidgetItem(name if column == 0 else "")
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            if column == _COUNTS:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.setItem(row, column, item)
        if window is not None:
            for column, edge in zip((1, 2), window, strict=True):
                self._set_edge(row, column, edge)

    def _set_edge(self, row: int, column: int, edge: float) -> None:
        item = self.item(row, column)
        if item is not None:
            item.setData(_EXACT, round(float(edge), 6))
            item.setText(f"{edge:.4f}")

    def _text(self, row: int, column: int) -> str:
        item = self.item(row, column) if row >= 0 else None
        return "" if item is None else item.text().strip()

    def _window(self, row: int) -> tuple[float, float] | None:
        edges = []
        for column in (1, 2):
            item = self.item(row, column)
            exact = None if item is None else item.data(_EXACT)
            if not isinstance(exact, float):
                return None
            edges.append(exact)
        low, high = edges
        return (low, high) if 0 < low < high < float("inf") else None

    def _row_of(self, name: str) -> int | None:
        rows = (row for row in range(self.rowCount()) if self._text(row, 0) == name)
        return next(rows, None)

    def _on_item(self, item: QTableWidgetItem) -> None:
        if self._filling:
            return
        if item.column() in (1, 2):
            self._filling = True
            try:
                item.setData(_EXACT, round(float(item.text()), 6))
            except ValueError:
                item.setData(_EXACT, None)
            self._filling = False
        self._tidy()

    def _tidy(self) -> None:
        """Show the counts, and keep an empty row at the end."""
        self._filling = True
        for row in range(self.rowCount()):
            window, item = self._window(row), self.item(row, _COUNTS)
            known = window is not None and bool(self._text(row, 0))
            if item is not None:
                item.setText(self.counter(window) if known and window is not None else "")
        last = self.rowCount() - 1
        if last < 0 or any(self._text(last, column) for column in range(_COUNTS)):
            self._append()
        self._filling = False
        self.edited.emit()

    def _on_selection(self) -> None:
        if not self._filling:
            self.chosen.emit(self.selected())
