"""Step 3: grains, the tools that edit them, and the boundaries as objects."""

from __future__ import annotations

from qtpy.QtWidgets import QHBoxLayout, QLabel, QWidget

from napari_liso.plugin.boundary_export import export_of
from napari_liso.plugin.boundary_steps import StepFinder
from napari_liso.plugin.boundary_values import steps_of
from napari_liso.plugin.context import Context
from napari_liso.plugin.selection import MapPicker
from napari_liso.plugin.widgets.boundary_extras import JunctionBox, RenumberButton
from napari_liso.plugin.widgets.boundary_filter import FilterBar
from napari_liso.plugin.widgets.boundary_legend import ColourBy
from napari_liso.plugin.widgets.boundary_table import BoundaryTable
from napari_liso.plugin.widgets.fold import Fold
from napari_liso.plugin.widgets.labelling.grains import GrainsPanel
from napari_liso.plugin.widgets.labelling.panel import EditPanel
from napari_liso.plugin.widgets.parts import Panel
from napari_liso.plugin.widgets.table_buttons import Exported, TableButtons

__all__ = ["BoundariesPanel", "BoundaryList"]

_COLUMNS = (
    "id", "grains", "length", "step", "k", "state", "sigma", "counts", "interval", "verdict",
    "misorientation", "angle", "curvature", "notes",
)  # fmt: skip
_AT_FIRST = ("id", "grains", "length", "step", "k", "state")
_HELP = "Click boundaries on the map, or rows; Shift adds."


class BoundaryList(Panel):
    """The boundaries of the chosen layer in a table; clicks on the map select in it.

    Attributes
    ----------
    picker
        Turns clicks on the map into a selection while this is shown.
    steps
        Finds the steps of the fraction for the table.
    colour_by, junctions, filter, table, buttons, renumber
        The parts.
    """

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.steps = StepFinder(context)  # first: the table shows what it keeps
        self.task = self.steps.task  # stopped when the dock goes
        self.help = QLabel(_HELP)
        self.help.setWordWrap(True)
        self.colour_by = ColourBy(context)
        self.table = BoundaryTable(context, _COLUMNS, _AT_FIRST, editable=True)
        self.filter = FilterBar(self.table)
        self.buttons = TableButtons(self.exported)
        self.buttons.said.connect(self.message.say)
        self.buttons.failed.connect(self.fail)
        self.junctions = JunctionBox(context)
        self.colour_by.row.addWidget(self.junctions)
        self.renumber = RenumberButton(context)
        self.renumber.said.connect(self.message.say)
        below = QHBoxLayout()
        below.addWidget(self.buttons, 2)
        below.addWidget(self.renumber, 1)
        self.column.addWidget(self.help)
        self.column.addWidget(self.colour_by)
        self.column.addWidget(self.filter)
        self.column.addWidget(self.table)
        self.column.addLayout(below)
        self.column.addWidget(self.message)
        self._parts: tuple[QWidget, ...] = (
            self.colour_by, self.filter, self.table, self.buttons, self.renumber,
        )  # fmt: skip
        self.picker = MapPicker(context.viewer, self)
        self.picker.follow(self)
        context.boundaries_changed.connect(self._on_boundaries)
        self.forget_when_changed(context.boundaries)
        self.steps.changed.connect(self._on_steps)
        self._on_boundaries()

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return "" if self.context.boundaries.current is not None else "not found yet"

    def order(self) -> list[int]:
        """Return the ids of the boundaries that the table shows, from top to bottom."""
        return self.table.ids()

    def exported(self) -> Exported | None:
        """Return the rows that the table shows as they are written, with all columns."""
        layer = self.context.boundaries.current
        if layer is None:
            return None
        return export_of(layer, self.table.ids(), self.table.rows.filter_text)

    def _on_boundaries(self) -> None:
        layer = self.context.boundaries.current
        self.picker.set_layer(layer)
        for widget in self._parts:
            widget.setVisible(layer is not None)
        self.buttons.allow("" if layer is not None else "find boundaries")
        self._on_steps()

    def _on_steps(self) -> None:
        """Say how the steps are coming along, where they are missing."""
        text = _HELP
        if self.context.boundaries.current is None:
            text = "No boundaries yet: see Grains."
        elif self.steps.busy and steps_of(self.context.boundaries.current) is None:
            text = "Finding the steps of the fraction …"
        elif self.steps.missing:
            text = f"{_HELP} Without steps: {self.steps.missing}."
        if text != self.help.text():
            # a label that appears gets its room at once, one that grows does not
            self.help.hide()
            self.help.setText(text)
            self.help.show()


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
