"""Regions that are drawn or painted: their fraction, counts and dispersion, as they are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QLabel, QPushButton

from napari_liso.counting.dispersion import TOO_EVEN, VARIES
from napari_liso.counting.regions import REGION_UNITS
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.layers.regions import name_new_regions, regions_layer
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.regions.asked import asked_of
from napari_liso.plugin.regions.pixels import drawn_on, is_region_layer, is_shapes
from napari_liso.plugin.regions.work import RegionsFound, work_out_regions
from napari_liso.plugin.selection import camera_of
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.parts import LayerBox, enable, form
from napari_liso.plugin.widgets.regions.drawn import DrawnPanel
from napari_liso.plugin.widgets.regions.table import RegionTable
from napari_liso.plugin.widgets.regions.uses import RegionUses
from napari_liso.plugin.widgets.table_buttons import Exported, TableButtons
from napari_liso.plugin.widgets.working import Working

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["RegionsPanel"]

_DRAW_TIP = (
    "Add a Shapes layer on the map and draw: click the corners of a polygon, double-click to "
    "close it. Ellipses, rectangles and lines are among the layer's own tools."
)
_LAYER_TIP = (
    "Labels or Shapes layer with the regions. Labels may have other pixels than the counts: each "
    "pixel of the counts belongs to the label at its centre."
)
_HELP = "Follows what you draw. A row selects its region on the map."
#: After the last stroke or move of a corner.
_WAIT_MS = 200
_PLACES = ("scale", "translate", "rotate", "shear", "affine", "units")


class RegionsPanel(DrawnPanel):
    """Choose or draw regions, read their table, and use one as background or reference."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.choice = LayerChoice(_holds_regions, self)
        self.box = LayerBox(self.choice, "choose a layer", _LAYER_TIP)
        self.draw_button = QPushButton("Draw regions")
        self.draw_button.clicked.connect(self.draw)
        self.help = QLabel(_HELP)
        self.help.setWordWrap(True)
        self.table = RegionTable()
        self.buttons = TableButtons(self.exported)
        self.uses = RegionUses(context)
        self.uses_label = QLabel("The selected region")
        rows = form()
        rows.addRow("Regions", self.box)
        self.column.addLayout(rows)
        for widget in (self.draw_button, self.help, self.table, self.message, self.buttons):
            self.column.addWidget(widget)
        self.column.addWidget(self.uses_label)
        self.column.addWidget(self.uses)
        self.task = Task(self)
        self.newest = Newest(self.task, self._start, self, _WAIT_MS)
        self.working = Working(self.task, self.newest)
        self.column.insertWidget(self.column.indexOf(self.message), self.working)
        self.found: RegionsFound | None = None
        self._layer: Layer | None = None  # the one that is followed
        self._asked: Layer | None = None  # the one that is being worked out
        self._unnamed = False  # a shape was drawn to its end
        self._said = ""  # about the table, last
        self._connect()
        self.follow()

    def _connect(self) -> None:
        self.task.succeeded.connect(self._on_found)
        self.task.failed.connect(self._on_failed)
        self.task.cancelled.connect(self._on_cancelled)
        self.choice.changed.connect(self._on_choice)
        self.table.chosen.connect(self._on_row)
        self.table.selection_changed.connect(self._on_selection)
        self.table.rows.renamed.connect(self._on_renamed)
        for part in (self.buttons, self.uses):
            part.said.connect(self.message.say)
            part.failed.connect(self.fail)

    # --- following ----------------------------------------------------------------------------

    def first_choice(self, new: list[Layer]) -> Layer | None:
        """Return the newest layer made for regions, else one that is no boundaries."""
        ours = [layer for layer in new if ly.role_of(layer) == "regions"]
        usual = [layer for layer in new if ly.role_of(layer) != "boundaries"]
        return (ours or usual or [None])[-1]

    def _on_choice(self) -> None:
        """Follow another layer of regions."""
        if self._layer is not None:
            for name in _events_of(self._layer):
                getattr(self._layer.events, name).disconnect(self._on_drawn)
            for name in _selections_of(self._layer):
                getattr(self._layer.events, name).disconnect(self._on_selected_in_layer)
        self._layer = layer = self.choice.current
        if layer is not None:
            for name in _events_of(layer):
                getattr(layer.events, name).connect(self._on_drawn)
            for name in _selections_of(layer):
                getattr(layer.events, name).connect(self._on_selected_in_layer)
        self.message.say("")
        self._said = ""
        self._show(None)
        self.newest.ask()

    def _on_drawn(self, event: Any = None) -> None:
        if isalive(self):
            # not before: a shape that is being drawn must not be touched
            self._unnamed |= str(getattr(event, "action", "")) == "added"
            self.newest.ask()

    def refresh(self) -> None:
        """Say why a button cannot be pressed, and hide what has nothing to show."""
        counts = self.context.counts
        enable(self.draw_button, "" if counts else "choose counts under Data", _DRAW_TIP)
        there = self.found is not None and len(self.found.table) > 0
        self.buttons.allow("" if there else "there is no region yet")
        for part in (self.help, self.table, self.buttons, self.uses_label, self.uses):
            part.setVisible(there)

    # --- drawing ------------------------------------------------------------------------------

    def draw(self) -> None:
        """Add a layer to draw regions in, or take up the one that is there."""
        counts = self.context.counts
        if counts is None:
            return
        viewer = self.context.viewer
        layer: Any = self.choice.current
        if layer is None or ly.role_of(layer) != "regions":
            layer = ly.add(viewer, regions_layer(counts[0]))
            self.choice.choose(layer)
        layer.visible = True
        viewer.layers.selection.active = layer
        layer.mode = "add_polygon"
        self.message.say("Click the corners of a region on the map, double-click to close it.")

    # --- working out --------------------------------------------------------------------------

    def _start(self) -> None:
        """Start with what holds now."""
        self.newest.drop()
        layer = self.choice.current
        if layer is None or self.context.counts is None:
            self._show(None)
            return
        if self.isHidden():
            return  # folded: once it is unfolded
        if self._unnamed and ly.role_of(layer) == "regions" and name_new_regions(layer):
            self.newest.drop()  # it told of itself
        self._unnamed = False
        try:
            asked = asked_of(self.context, layer)
            drawn = drawn_on(layer, self.context.counts[0])
        except ValueError as error:
            self._on_failed(error)
            return
        self._asked = layer
        self.task.start(work_out_regions, asked, drawn, self.task.report)

    def _on_found(self, found: RegionsFound) -> None:
        layer = self.choice.current
        if layer is None or layer != self._asked:
            return  # another was chosen meanwhile
        self._show(found)
        note = " Its pixels are not those of the counts." if found.is_resampled else ""
        if len(found.table) == 0:
            empty = "Nothing is drawn in it yet." if is_shapes(layer) else "It is empty: paint."
            words = f"'{layer.name}': {empty}"
        else:
            words = _in_words(found) + note
        if words != self._said:  # else what a button has just done stays to be read
            self.message.say(words)
        self._said = words

    def _on_failed(self, error: Exception) -> None:
        """Tell in the dock alone: it may pass with the next stroke."""
        self._said = ""
        self._show(None)
        text = str(error)
        self.message.warn(text[:1].upper() + text[1:])

    def _on_cancelled(self) -> None:
        self._said = ""
        self.message.say("Stopped.")

    def _show(self, found: RegionsFound | None) -> None:
        self.found = found
        layer = self.choice.current
        self.table.rows.can_rename = layer is not None and is_shapes(layer)
        if found is None or layer is None:
            self.table.set_table(None, [])
        else:
            self.table.set_table(found.table, _colours(layer, found.regions.labels))
            self._on_selected_in_layer()
        self._on_selection()
        self.refresh()

    def exported(self) -> Exported | None:
        """Return the table as it is written."""
        if self.found is None:
            return None
        return Exported(self.found.table, self.found.describe(), REGION_UNITS, "regions.csv")

    # --- selection ----------------------------------------------------------------------------

    def _on_selection(self) -> None:
        self.uses.show_region(self.found, self.table.selected)

    def _on_row(self, label: int) -> None:
        """Select on the map what the user selected in the table."""
        layer: Any = self.choice.current
        if layer is None or layer not in self.context.viewer.layers:
            return
        layer.visible = True
        self.context.viewer.layers.selection.active = layer
        if is_shapes(layer):
            layer.mode = "select"  # a selection is drawn in this mode alone
            layer.selected_data = {label - 1}
        else:
            layer.selected_label = label
        self._bring_into_view(label)

    def _on_selected_in_layer(self, event: object = None) -> None:
        """Select in the table what was selected on the map."""
        layer: Any = self._layer
        if not isalive(self) or self.found is None or layer is None:
            return
        if is_shapes(layer):
            selected = sorted(layer.selected_data)
            if len(selected) == 1:
                self.table.select(selected[0] + 1)
        elif self.table.rows.row_of(int(layer.selected_label)) >= 0:
            self.table.select(int(layer.selected_label))

    def _bring_into_view(self, label: int) -> None:
        """Move the camera to a region that is out of sight; keep the zoom."""
        counts, found = self.context.counts, self.found
        if counts is None or found is None or label not in found.regions.labels:
            return
        pixels = found.regions.pixel[found.regions.row == found.regions.labels.index(label)]
        if len(pixels) == 0:
            return
        at = np.array(np.divmod(pixels, found.regions.shape[1])).mean(axis=1)
        first, last = counts[0].corner_pixels[:, -2:]  # of the part that is seen
        if np.all(first <= at) and np.all(at <= last):
            return
        place = (*[0.0] * (counts[0].ndim - 2), *at)
        camera = camera_of(self.context.viewer)
        camera.center = (*tuple(camera.center)[:-2], *counts[0].data_to_world(place)[-2:])

    def _on_renamed(self, label: int, name: str) -> None:
        layer: Any = self.choice.current
        if layer is None or not is_shapes(layer) or not 0 < label <= len(layer.features):
            return
        features = layer.features.copy()
        names = list(features["name"]) if "name" in features else [""] * len(features)
        names[label - 1] = name
        features["name"] = np.array(names, dtype=object)
        layer.features = features


def _holds_regions(layer: Layer) -> bool:
    return is_region_layer(layer) and ly.role_of(layer) != "lines"


def _events_of(layer: Layer) -> tuple[str, ...]:
    """Return the events that tell of another drawing; undo tells by ``set_data`` alone."""
    kind = ("edge_width",) if is_shapes(layer) else ("paint",)
    return ("data", "set_data", "features", *kind, *_PLACES)


def _selections_of(layer: Layer) -> tuple[str, ...]:
    return ("highlight",) if is_shapes(layer) else ("selected_label",)


def _colours(layer: Any, labels: tuple[int, ...]) -> list[QColor | None]:
    """Return the colour of each region on the map."""
    if is_shapes(layer):
        colours = [layer.edge_color[label - 1] for label in labels if label <= layer.nshapes]
    else:
        colours = [layer.get_color(label) for label in labels]
    shown = [None if c is None else QColor.fromRgbF(*(float(v) for v in c[:3])) for c in colours]
    return [*shown, *[None] * (len(labels) - len(shown))]


def _in_words(found: RegionsFound) -> str:
    """Say in a line what the table shows."""
    table = found.table
    count = len(table)
    text = f"{count} region{'' if count == 1 else 's'}, {int(table['counts'].sum()):,} counts."
    varying = [str(name) for name in table["name"][table["verdict"] == VARIES]]
    even = [str(name) for name in table["name"][table["verdict"] == TOO_EVEN]]
    if varying:
        text += f" The fraction varies within {_listed(varying)}."
    if even:
        text += f" Counts scatter too little in {_listed(even)}."
    if found.asked.pixel_size is None:
        text += " The pixel size is unknown: give it under Data to have areas."
    return text


def _listed(names: list[str]) -> str:
    return (
        ", ".join(names)
        if len(names) <= 3
        else f"{', '.join(names[:2])} and {len(names) - 2} more"
    )
