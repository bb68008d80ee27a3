"""The table of boundaries: sorted, filtered, edited, linked with the selection on the map."""

from __future__ import annotations

from itertools import pairwise
from typing import cast

import numpy as np
from qtpy.QtCore import (
    QEvent,
    QItemSelection,
    QItemSelectionModel,
    QModelIndex,
    QPoint,
    QSize,
    Qt,
    QTimer,
    Signal,
)
from qtpy.QtGui import QAction, QContextMenuEvent, QMouseEvent, QShowEvent
from qtpy.QtWidgets import QAbstractItemView, QApplication, QHeaderView, QMenu, QStyle, QTableView

from napari_liso.microstructure.boundaries import State
from napari_liso.plugin.boundary_values import values_of
from napari_liso.plugin.context import Context
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.labelling.navigate import centre_on
from napari_liso.plugin.records import PROVENANCE
from napari_liso.plugin.widgets.boundary_boxes import BoxDelegate
from napari_liso.plugin.widgets.boundary_cells import COLUMNS
from napari_liso.plugin.widgets.boundary_model import BoundaryModel
from napari_liso.plugin.widgets.labelling.icons import icon

__all__ = ["BoundaryTable"]

_STATES: dict[State, str] = {"use": "Accept", "exclude": "Exclude", "locked": "Lock"}
_ICON = 14
_ARROW = 12  # that shows what rows are sorted by
_ROWS = 11  # and the bar below; the header has two lines


class BoundaryTable(QTableView):
    """The context's boundaries in rows; the selected rows are the selected boundaries.

    Parameters
    ----------
    context
        Whose boundaries they are.
    columns
        Keys of `COLUMNS`, from left to right; those that a user can ask for.
    at_first
        Those of them that are shown until the user chooses others; columns whose
        numbers are not known are not shown then. None: all.
    editable
        Whether states and notes can be changed here.
    """

    columns_changed = Signal()

    def __init__(
        self,
        context: Context,
        columns: tuple[str, ...],
        at_first: tuple[str, ...] | None = None,
        editable: bool = False,
    ) -> None:
        super().__init__()
        self._context = context
        self._columns = columns
        self._at_first = columns if at_first is None else at_first
        self._record = "columns" if editable else "result_columns"
        self._syncing = False
        self._fitting = False
        self._by_hand: set[int] = set()  # columns that the user made wider or narrower
        self.rows = BoundaryModel(columns)
        self.rows.editable = editable
        self.setModel(self.rows)
        self.setSortingEnabled(True)
        first = columns.index("k") if columns[1] == "k" else 0
        self.sortByColumn(first, Qt.SortOrder.AscendingOrder)
        self._dress()
        self.rows.state_wanted.connect(self._on_box)
        self.rows.note_wanted.connect(self._on_note)
        self.rows.shown_changed.connect(self._on_shown)
        self.selectionModel().selectionChanged.connect(self._on_rows)
        context.boundaries_changed.connect(self.refresh)
        context.selection_changed.connect(self._on_selection)
        self.refresh()

    def _dress(self) -> None:
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        triggers = QAbstractItemView.EditTrigger
        self.setEditTriggers(
            triggers.DoubleClicked if self.rows.editable else triggers.NoEditTriggers
        )
        self.setItemDelegateForColumn(0, BoxDelegate(self))
        self.setWordWrap(False)
        self.setHorizontalScrollMode(QAbstractItemView.ScrollMode.ScrollPerPixel)
        self.verticalHeader().hide()
        line = self.fontMetrics().height() + 8
        self.verticalHeader().setDefaultSectionSize(line)
        self.verticalHeader().setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        header = self.horizontalHeader()
        header.setStretchLastSection(True)
        header.setMinimumSectionSize(24)
        header.setHighlightSections(False)
        header.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        header.customContextMenuRequested.connect(self._on_header_menu)
        header.sectionResized.connect(self._on_resized)
        header.sortIndicatorChanged.connect(self.scrollToTop)
        self.setIconSize(QSize(_ICON, _ICON))
        self.setFixedHeight(_ROWS * line)

    # --- contents -----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Read the boundaries layer again."""
        layer = self._context.boundaries.current
        top = self.verticalScrollBar().value()
        self._syncing = True  # a reset model has no selection: not the user's doing
        self.rows.set_values(None if layer is None else values_of(layer))
        self._syncing = False
        self._show_columns()
        self.verticalScrollBar().setValue(top)

    def _on_shown(self) -> None:
        """Select again what is selected, in other rows."""
        self._fit_widths()
        self._mark_selection()

    def ids(self) -> list[int]:
        """Return the ids of the rows, from top to bottom."""
        return self.rows.shown_ids

    # --- columns ------------------------------------------------------------------------------

    @property
    def shown_columns(self) -> list[str]:
        """Keys of the columns that are shown."""
        return [c for place, c in enumerate(self._columns) if not self.isColumnHidden(place)]

    @property
    def _chosen(self) -> list[str] | None:
        """Columns that the user chose, kept with the boundaries layer; None: none yet."""
        layer = self._context.boundaries.current
        record = {} if layer is None else layer.metadata.get(PROVENANCE, {})
        kept = record.get(self._record)
        return [key for key in self._columns if key in kept] if isinstance(kept, list) else None

    def _choose(self, keys: list[str] | None) -> None:
        """Keep a choice of columns with the layer; every dock that follows it is told."""
        layer = self._context.boundaries.current
        if layer is None:
            return
        record = {k: v for k, v in layer.metadata[PROVENANCE].items() if k != self._record}
        if keys is not None:
            record[self._record] = keys
        layer.metadata = {**layer.metadata, PROVENANCE: record}

    def show_column(self, key: str, shown: bool = True) -> None:
        """Show or hide a column, from now on whatever is known; the layer remembers it."""
        now = self._chosen
        now = self.shown_columns if now is None else now
        self._choose([c for c in self._columns if (shown if c == key else c in now)])

    def show_default_columns(self) -> None:
        """Show the columns that are shown at first."""
        self._choose(None)

    def _show_columns(self) -> None:
        """Hide the columns that were not asked for."""
        chosen = self._chosen
        if chosen is None:
            values = self.rows.values
            wanted = {
                key
                for key in self._at_first
                if not COLUMNS[key].needs or (values is not None and COLUMNS[key].needs in values)
            }
            if "step" in wanted and self.rows.editable:
                wanted.discard("state")  # box and lock say it, and a dock is narrow
        else:
            wanted = set(chosen)
        for place, key in enumerate(self._columns):
            hidden = key not in wanted and not (key == "id" and place == 0)
            if hidden != self.isColumnHidden(place):
                self.setColumnHidden(place, hidden)
        self._fit_widths()
        self.columns_changed.emit()

    def columns_menu(self) -> QMenu:
        """Return a menu in which columns are chosen."""
        menu = QMenu(self)
        menu.setToolTipsVisible(True)
        for key in self._columns[1:]:
            action = QAction(COLUMNS[key].title, menu)
            action.setCheckable(True)
            action.setChecked(key in self.shown_columns)
            action.setData(key)
            action.setToolTip(COLUMNS[key].tooltip)
            menu.addAction(action)
        menu.addSeparator()
        menu.addAction("Usual columns")
        menu.triggered.connect(self._on_column_action)
        return menu

    def _on_column_action(self, action: QAction) -> None:
        if action.data() is None:
            self.show_default_columns()
        else:
            self.show_column(action.data(), action.isChecked())

    def _on_header_menu(self, at: QPoint) -> None:
        self.columns_menu().popup(self.horizontalHeader().mapToGlobal(at))

    def _on_resized(self, place: int, before: int, after: int) -> None:
        """Leave a column as wide as the user drags it."""
        if not self._fitting and QApplication.mouseButtons() & Qt.MouseButton.LeftButton:
            self._by_hand.add(place)

    def _fit_widths(self) -> None:
        """Make every column as wide as its longest text, so that no number is cut."""
        self._fitting = True
        metrics, header = self.fontMetrics(), self.horizontalHeader()
        style = self.style()
        box = 0
        if self.rows.editable and style is not None:
            box = style.pixelMetric(QStyle.PixelMetric.PM_IndicatorWidth, None, self) + 6
        for place, key in enumerate(self._columns):
            if self.isColumnHidden(place) or place in self._by_hand:
                continue
            texts = self.rows.long_texts(place)
            width = max((metrics.horizontalAdvance(text) for text in texts), default=0) + 10
            if key == "id":
                width += box
            if key == "notes":
                width = min(max(width, 140), 260)  # room to write
            title = str(self.rows.headerData(place, Qt.Orientation.Horizontal)).split("\n")
            named = max(metrics.horizontalAdvance(line) for line in title) + 8
            if header.sortIndicatorSection() == place:
                named += 2 * _ARROW  # on the right of a title that stays in the middle
            header.resizeSection(place, max(width, named))
        self._fitting = False

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event is not None and event.type() in (
            QEvent.Type.PaletteChange,
            QEvent.Type.StyleChange,
        ):
            self._draw_icon()

    def _draw_icon(self) -> None:
        self.rows.lock_icon = icon("lock", self.palette().color(self.foregroundRole()))

    # --- selection ----------------------------------------------------------------------------

    def selected_ids(self) -> list[int]:
        """Return the ids of the selected rows."""
        spans = self.selectionModel().selection()
        rows = {row for span in spans for row in range(span.top(), span.bottom() + 1)}
        return self.rows.ids_of(sorted(rows))

    def select_shown(self) -> None:
        """Select every boundary that the table shows, and no other."""
        if self._context.selection is not None:
            self._context.selection.select(self.rows.shown_ids)

    def _on_rows(self) -> None:
        """Tell the rows that the user selected; show a single one on the map."""
        selection = self._context.selection
        if self._syncing or selection is None:
            return
        ids = self.selected_ids()
        chosen, before = set(ids), set(selection.ids)
        current = self.currentIndex()
        last = self.rows.id_of(current.row()) if current.isValid() else None
        added = sorted((i for i in ids if i not in before), key=lambda i: i == last)
        selection.select([*(i for i in selection.ids if i in chosen), *added])
        if len(ids) == 1:
            self._centre_on(ids[0])

    def _on_selection(self) -> None:
        """Show the selection that the map or another table made."""
        self._mark_selection()
        selection = self._context.selection
        row = -1 if selection is None or not selection.ids else self._row_of(selection.ids[-1])
        if row >= 0:
            self.scrollTo(self.rows.index(row, 0))

    def _row_of(self, label: int) -> int:
        return self.rows.row_of(label)

    def _mark_selection(self) -> None:
        selection = self._context.selection
        ids = () if selection is None else selection.ids
        rows = self.rows.rows_of(ids)
        if self.rows.ids_of(rows) == self.selected_ids():
            return
        wanted, last = QItemSelection(), self.rows.columnCount() - 1
        breaks = [-1, *np.flatnonzero(np.diff(rows) > 1).tolist(), len(rows) - 1]
        if rows:
            for before, end in pairwise(breaks):
                top, bottom = rows[before + 1], rows[end]
                wanted.select(self.rows.index(top, 0), self.rows.index(bottom, last))
        self._syncing = True
        flags = QItemSelectionModel.SelectionFlag
        self.selectionModel().select(wanted, flags.ClearAndSelect)
        if ids:
            row = self._row_of(ids[-1])
            if row >= 0:  # where Shift and the arrows go on from
                self.selectionModel().setCurrentIndex(self.rows.index(row, 0), flags.NoUpdate)
        self._syncing = False

    def showEvent(self, event: QShowEvent | None) -> None:
        """Scroll to what was selected while the table was hidden."""
        super().showEvent(event)
        self._draw_icon()
        self._on_selection()

    def _centre_on(self, label: int) -> None:
        """Move the camera to a boundary that is out of sight; keep the zoom."""
        layer, boundaries = self._context.boundaries.current, self._context.current_boundaries()
        if layer is not None and boundaries is not None:
            centre_on(self._context.viewer, layer, boundaries, label)

    # --- states and notes ---------------------------------------------------------------------

    def set_state(self, ids: list[int], state: State) -> None:
        """Set the state of some boundaries, as one step that can be undone."""
        editor = editor_of(self._context.viewer, self._context.boundaries.current)
        if editor is not None and ids:
            editor.set_state(ids, state)

    def _on_box(self, label: int, state: str) -> None:
        chosen = self.selected_ids()
        boundaries = self._context.current_boundaries()
        if label not in chosen or boundaries is None:
            chosen = [label]
        else:  # the locked ones among them stay so
            states = boundaries.table["state"]
            chosen = [i for i in chosen if states[i] != "locked"]
        self.set_state(chosen, cast("State", state))

    def _on_note(self, label: int, text: str) -> None:
        editor = editor_of(self._context.viewer, self._context.boundaries.current)
        if editor is not None:
            editor.set_note(label, text)

    def contextMenuEvent(self, event: QContextMenuEvent | None) -> None:
        """Offer what can be done with the selected rows."""
        if event is None or not self.rows.editable:
            return
        menu = self.rows_menu()
        if not menu.isEmpty():
            menu.popup(event.globalPos())

    def rows_menu(self) -> QMenu:
        """Return a menu of what can be done with the selected rows."""
        menu, ids = QMenu(self), self.selected_ids()
        if ids:
            which = f"boundary {ids[0]}" if len(ids) == 1 else f"{len(ids)} boundaries"
            for state, word in _STATES.items():
                menu.addAction(f"{word} {which}").setData(state)
            if len(ids) == 1 and "notes" in self._columns:
                menu.addSeparator()
                menu.addAction("Write a note …").setData("note")
        menu.triggered.connect(self._on_row_action)
        return menu

    def _on_row_action(self, action: QAction) -> None:
        if action.data() == "note":
            QTimer.singleShot(0, self.write_note)
        else:
            self.set_state(self.selected_ids(), action.data())

    def write_note(self) -> None:
        """Open the note of the selected boundary for writing."""
        ids = self.selected_ids()
        if len(ids) == 1 and "notes" in self._columns:
            self.show_column("notes")
            index = self.rows.index(self.rows.row_of(ids[0]), self._columns.index("notes"))
            self.scrollTo(index)
            self.edit(index)

    def selectionCommand(
        self, index: QModelIndex, event: QEvent | None = None
    ) -> QItemSelectionModel.SelectionFlag:
        """Leave the selection alone when a box is clicked."""
        if isinstance(event, QMouseEvent) and self._is_box(index, event.pos()):
            return QItemSelectionModel.SelectionFlag.NoUpdate
        return super().selectionCommand(index, event)

    def _is_box(self, index: QModelIndex, at: QPoint) -> bool:
        """Tell whether a place in the table is that of the box of a row."""
        if not index.isValid() or not self.rows.has_box(index):
            return False
        style = self.style()
        width = 16 if style is None else style.pixelMetric(QStyle.PixelMetric.PM_IndicatorWidth)
        return at.x() <= self.visualRect(index).left() + width + 6
