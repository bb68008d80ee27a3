"""Step 3: grains, the tools that edit them, and the boundaries as objects."""

from __future__ import annotations

from qtpy.QtCore import QSortFilterProxyModel
from qtpy.QtWidgets import QLabel

from napari_liso.plugin.context import Context
from napari_liso.plugin.selection import MapPicker
from napari_liso.plugin.widgets.boundary_table import BoundaryTable
from napari_liso.plugin.widgets.fold import Fold
from napari_liso.plugin.widgets.labelling.grains import GrainsPanel
from napari_liso.plugin.widgets.labelling.panel import EditPanel
from napari_liso.plugin.widgets.parts import Panel

__all__ = ["BoundariesPanel", "BoundaryList"]

_HELP = "Click a boundary on the map or a row; Shift adds to the selection."


class BoundaryList(Panel):
    """The boundaries of the chosen layer in a table; clicks on the map select in it.

    Attributes
    ----------
    picker
        Turns clicks on the map into a selection while this is shown.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.help = QLabel(_HELP)
        self.help.setWordWrap(True)
        self.table = BoundaryTable(context, ("id", "grains", "length", "k", "verdict"))
        self.column.addWidget(self.help)
        self.column.addWidget(self.table)
        self.picker = MapPicker(context.viewer, self)
        self.picker.follow(self)
        context.boundaries_changed.connect(self._on_boundaries)
        self._on_boundaries()

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return "" if self.context.boundaries.current is not None else "not found yet"

    def order(self) -> list[int]:
        """Return the ids of the boundaries that the table shows, from top to bottom."""
        model = self.table.model()
        if not isinstance(model, QSortFilterProxyModel):
            return []
        rows = (model.mapToSource(model.index(row, 0)).row() for row in range(model.rowCount()))
        return [self.table.rows.id_of(row) for row in rows]

    def _on_boundaries(self) -> None:
        layer = self.context.boundaries.current
        self.picker.set_layer(layer)
        self.help.setText(_HELP if layer is not None else "No boundaries yet: see Grains.")
        self.table.setVisible(layer is not None)


class BoundariesPanel(Panel):
    """All of that in one step: grains, tools under a fold, and the table.

    Attributes
    ----------
    grains_part, edit, list
        The three parts.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.grains_part = GrainsPanel(context)
        self.edit = EditPanel(context)
        self.list = BoundaryList(context)
        self.edit.order = self.list.order
        self.tools = Fold("Edit", "Draw, erase, move, merge and split on the map", self.edit)
        for part in (self.grains_part, self.tools, self.list):
            self.column.addWidget(part)
        self.message = self.grains_part.message
        self.task = self.grains_part.task
        self.grains = self.grains_part.grains
        self.segment_button = self.grains_part.segment_button
        self.sensitivity = self.grains_part.sensitivity
        self.draw_button = self.grains_part.draw_button
        self.find_button = self.grains_part.find_button
        self.table, self.picker = self.list.table, self.list.picker
        self.grains_part.drawing_wanted.connect(self._on_drawing_wanted)

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return self.grains_part.status

    def segment_grains(self) -> None:
        """Propose grains, in a thread."""
        self.grains_part.segment_grains()

    def find_boundaries(self) -> None:
        """Find the boundaries of the chosen grains, in a thread."""
        self.grains_part.find_boundaries()

    def add_empty_grains(self) -> None:
        """Add an empty grains layer on the counts, ready to paint."""
        self.grains_part.add_empty_grains()

    def _on_drawing_wanted(self) -> None:
        self.tools.unfold()
        self.edit.choose("draw")
