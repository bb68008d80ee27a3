"""The line above the table of boundaries: a filter in words, and how many rows match."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtGui import QAction
from qtpy.QtWidgets import (
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QMenu,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin.widgets.boundary_table import BoundaryTable
from napari_liso.plugin.widgets.parts import MessageLine

__all__ = ["EXAMPLES", "FilterBar"]

#: Words for the menu, filter, column that it asks about.
EXAMPLES: tuple[tuple[str, str, str], ...] = (
    ("Clear steps", "step > 3 sigma", "step"),
    ("No step to be seen", "step < 2 sigma", "step"),
    ("Few counts", "counts < 1000", "counts"),
    ("Short ones", "length < 1 um", "length"),
    ("Excluded", "state = exclude", "state"),
    ("Locked", "state = locked", "state"),
    ("k is known", "verdict = resolved", "verdict"),
    ("k is small", "k < 1e-9", "k"),
    ("High misorientation", "misorientation > 15 deg", "misorientation"),
    ("With a note", 'notes != ""', "notes"),
    ("Short and still used", "length < 1 um and not state = exclude", "length"),
)
_WAIT_MS = 200
_TIP = """\
<p>Shows only the boundaries that match. Examples:</p>
<table cellpadding="2">
<tr><td><code>step &gt; 3 sigma</code></td><td>its size, in units of its error</td></tr>
<tr><td><code>|step| &gt; 0.05</code></td><td>whatever its sign</td></tr>
<tr><td><code>length &lt; 2 um</code></td><td>without a unit: that of the table</td></tr>
<tr><td><code>grain = 12</code></td><td>one of the two grains</td></tr>
<tr><td><code>state = exclude</code></td><td>or use, locked</td></tr>
<tr><td><code>k &lt; 1e-9</code></td><td>where the data say so</td></tr>
<tr><td><code>verdict = lower bound</code></td><td></td></tr>
<tr><td><code>notes has pore</code></td><td></td></tr>
</table>
<p>Join them with <b>and</b>, <b>or</b>, <b>not</b> and parentheses.</p>
<p>Columns: %s</p>"""


class FilterBar(QWidget):
    """A filter line for a table, what it leaves over, and buttons for that.

    Attributes
    ----------
    line
        The filter.
    count
        How many rows there are.
    select_button
        Selects all of them.
    """

    def __init__(self, table: BoundaryTable) -> None:
        super().__init__()
        self._table = table
        self._columns: list[str] = []
        self.line = QLineEdit()
        self.line.setPlaceholderText("Filter: step > 3 sigma")
        self.line.setClearButtonEnabled(True)
        self.line.textEdited.connect(self._on_typed)
        self.line.returnPressed.connect(self.apply)
        self.examples = QPushButton("Examples")
        self.examples.setToolTip("Ready filters")
        self.menu = QMenu(self)
        self.menu.triggered.connect(self._on_example)
        self.menu.aboutToShow.connect(self._fill_menu)
        self.examples.clicked.connect(self._on_examples)
        self.count = QLabel()
        self.count.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Preferred)
        self.select_button = QPushButton("Select shown")
        self.select_button.setToolTip(
            "Select every boundary in the table, to accept, exclude or lock them together"
        )
        self.select_button.clicked.connect(table.select_shown)
        self.columns_button = QPushButton("Columns")
        self.columns_button.setToolTip("Choose columns, as a right click on a title does")
        self.columns_button.clicked.connect(self._on_columns)
        self.message = MessageLine()
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(_WAIT_MS)
        self._timer.timeout.connect(self.apply)
        self._lay_out()
        table.rows.shown_changed.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        above = QHBoxLayout()
        above.addWidget(self.line, 1)
        above.addWidget(self.examples)
        below = QHBoxLayout()
        below.addWidget(self.count, 1)
        below.addWidget(self.select_button)
        below.addWidget(self.columns_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(above)
        column.addWidget(self.message)
        column.addLayout(below)

    def set_filter(self, text: str) -> None:
        """Show the rows that match a filter."""
        self.line.setText(text)
        self.apply()

    def apply(self) -> None:
        """Apply what is written; what cannot be read is said, and changes nothing."""
        self._timer.stop()
        try:
            self._table.rows.set_filter(self.line.text())
        except ValueError as error:
            self._complain(str(error))
        else:
            self._table.scrollToTop()
            self.refresh()

    def _on_typed(self, text: str) -> None:
        self._timer.start()

    def refresh(self) -> None:
        """Say how many rows there are."""
        rows = self._table.rows
        shown, total = rows.rowCount(), rows.total
        if rows.filter_error:
            self._complain(rows.filter_error)
        elif self.line.text().strip() == rows.filter_text:  # not one that cannot be read
            self.message.say("")
        number = f"{shown:,} of {total:,}" if rows.filter_text else f"{total:,}"
        self.count.setText(f"{number} {'boundary' if total == 1 else 'boundaries'}")
        self.select_button.setEnabled(shown > 0)
        columns = [] if rows.values is None else list(rows.values.fields())
        if columns != self._columns or not self.line.toolTip():
            self._columns = columns
            self.line.setToolTip(_TIP % ", ".join(columns))

    def _complain(self, text: str) -> None:
        self.message.warn(text[:1].upper() + text[1:])

    def _on_examples(self) -> None:
        below = self.examples.rect().bottomLeft()
        self.menu.popup(self.examples.mapToGlobal(below))

    def _fill_menu(self) -> None:
        self.menu.clear()
        for words, text, needs in EXAMPLES:
            if needs in self._columns:
                action = self.menu.addAction(f"{words}:  {text}")
                if action is not None:
                    action.setData(text)
        self.menu.addSeparator()
        everything = self.menu.addAction("All boundaries")
        if everything is not None:
            everything.setData("")

    def _on_example(self, action: QAction) -> None:
        self.set_filter(str(action.data()))

    def _on_columns(self) -> None:
        below = self.columns_button.rect().bottomLeft()
        self._table.columns_menu().popup(self.columns_button.mapToGlobal(below))
