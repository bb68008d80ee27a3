"""Neighbouring fields of one sample: placed on the map, and put together."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QCheckBox,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
)

from napari_liso.fields import STAGE_POSITION, stage_corners, stitch
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.frames.choice import applied
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.main import Dock
from napari_liso.plugin.widgets.parts import Panel, enable
from napari_liso.units import from_um, to_um

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_liso.acquisition import Acquisition

__all__ = ["Field", "StitchDock", "StitchPanel", "fields_in"]

_HEADERS = ("field", "y (µm)", "x (µm)")
_EXPLAIN = (
    "Open neighbouring fields of one sample, place them, and put their counts together. Fields "
    "move by whole pixels; where they overlap, counts add up."
)
_TABLE_TIP = (
    "Upper left corner of each field in µm, y downward: type it, or drag the field's layer on "
    "the map (transform mode). Untick a field to leave it out."
)
_STAGE_TIP = (
    "Move every field to where its file says that the stage was. Files do not say which way the "
    "stage counts: check that the seams fit, else reverse an axis."
)
_RUN_TIP = "Add one layer a channel with the counts of all ticked fields"


@dataclass(frozen=True, eq=False)
class Field:
    """An open acquisition and the layers that show it."""

    acquisition: Acquisition
    layers: tuple[Layer, ...]

    @property
    def name(self) -> str:
        """The file's name, or that of its first layer."""
        path = self.acquisition.metadata.get("path")
        return Path(path).name if path else str(self.layers[0].name)

    @property
    def corner(self) -> tuple[float, float]:
        """(y, x) of the upper left corner in µm."""
        y, x = (float(v) for v in self.layers[0].translate[-2:])
        return y, x

    def move(self, corner: tuple[float, float]) -> None:
        """Put all its layers at (y, x) in µm."""
        for layer in self.layers:
            layer.translate = (*layer.translate[:-2], *corner)

    def placed(self) -> Acquisition:
        """Return the acquisition with the pixel size and the frames that its layers have.

        Raises
        ------
        ValueError
            If the pixel size is unknown, or the layer is turned or sheared.
        """
        layer = self.layers[0]
        turned = not np.allclose(np.asarray(layer.rotate)[-2:, -2:], np.eye(2))
        if turned or not np.allclose(
            np.asarray(layer.affine.affine_matrix), np.eye(layer.ndim + 1)
        ):
            raise ValueError(
                f"'{layer.name}' is turned or transformed; fields can only be shifted, since "
                "counts are not interpolated"
            )
        return replace(applied(self.acquisition), pixel_size=ly.pixel_size_from_layer(layer))


def fields_in(viewer: ViewerModel) -> list[Field]:
    """Return the acquisitions that are open as images of counts, in the order of the layers."""
    found: dict[int, list[Layer]] = {}
    acquisitions: dict[int, Acquisition] = {}
    for layer in viewer.layers:
        acquisition = ly.acquisition_from_layer(layer)
        if (
            acquisition is None
            or ly.role_of(layer) != "counts"
            or max(acquisition.counts.shape[2:]) == 1
            or "fields" in acquisition.metadata
        ):
            continue
        found.setdefault(id(acquisition), []).append(layer)
        acquisitions[id(acquisition)] = acquisition
    return [Field(acquisitions[key], tuple(layers)) for key, layers in found.items()]


class StitchPanel(Panel):
    """A table of the open fields, their places, and a button that puts them together."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.hint = QLabel(_EXPLAIN)
        self.hint.setWordWrap(True)
        self.table = QTableWidget(0, len(_HEADERS))
        self.table.setHorizontalHeaderLabels(_HEADERS)
        self.table.setToolTip(_TABLE_TIP)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self.table.setMinimumHeight(6 * (self.fontMetrics().height() + 12))
        self.stage_button = QPushButton("Place by stage")
        self.stage_button.clicked.connect(self.place_by_stage)
        self.reverse_y = QCheckBox("y reversed")
        self.reverse_y.setToolTip("Tick if the stage's y grows toward the bottom of the image")
        self.reverse_x = QCheckBox("x reversed")
        self.reverse_x.setToolTip("Tick if the stage's x grows toward the left of the image")
        for box in (self.reverse_y, self.reverse_x):
            box.toggled.connect(self._on_reversed)
        self.run_button = QPushButton("Stitch fields")
        self.run_button.clicked.connect(self.run)
        row = QHBoxLayout()
        row.addWidget(self.stage_button, 1)
        row.addWidget(self.reverse_y)
        row.addWidget(self.reverse_x)
        for widget in (self.hint, self.table):
            self.column.addWidget(widget)
        self.column.addLayout(row)
        self.column.addWidget(self.run_button)
        self.column.addWidget(self.message)
        self.task = Task(self)
        self.task.succeeded.connect(self._on_result)
        self.task.failed.connect(self.fail)
        self.task.running_changed.connect(self._refresh_buttons)
        self.table.itemChanged.connect(self._on_edited)
        self._fields: list[Field] = []
        self._left_out: set[int] = set()
        self._by_stage = False
        self._filling = False
        context.layers_changed.connect(self.refresh)
        self.refresh()

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return "" if len(self.chosen()) > 1 else "open two fields or more"

    def refresh(self) -> None:
        """Follow the layers of the viewer and their places."""
        # By their own ids: seen from a dock, the same layer is another proxy each time.
        followed = {layer.unique_id for field in self._fields for layer in field.layers}
        self._fields = fields_in(self.context.viewer)
        for field in self._fields:
            for layer in field.layers:
                if layer.unique_id not in followed:
                    layer.events.translate.connect(self._on_moved)
        self._fill()

    def _fill(self) -> None:
        self._filling = True
        self.table.setRowCount(len(self._fields))
        for row, field in enumerate(self._fields):
            names = [field.name, *(f"{v:.4g}" for v in field.corner)]
            for column, text in enumerate(names):
                item = QTableWidgetItem(text)
                if column == 0:
                    item.setFlags(
                        Qt.ItemFlag.ItemIsEnabled
                        | Qt.ItemFlag.ItemIsSelectable
                        | Qt.ItemFlag.ItemIsUserCheckable
                    )
                    out = id(field.acquisition) in self._left_out
                    item.setCheckState(Qt.CheckState.Unchecked if out else Qt.CheckState.Checked)
                    item.setToolTip(str(field.acquisition.metadata.get("path", "")))
                else:
                    item.setTextAlignment(
                        Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter
                    )
                self.table.setItem(row, column, item)
        self._filling = False
        self._refresh_buttons()

    def chosen(self) -> list[Field]:
        """Return the ticked fields."""
        return [f for f in self._fields if id(f.acquisition) not in self._left_out]

    def _refresh_buttons(self) -> None:
        fields = self.chosen()
        few = "open (and tick) two fields or more" if len(fields) < 2 else ""
        unknown = [f.name for f in fields if not ly.has_length_unit(f.layers[0])]
        size = f"the pixel size of {unknown[0]} is not known" if unknown else ""
        no_stage = [f.name for f in fields if STAGE_POSITION not in f.acquisition.metadata]
        stage = f"{no_stage[0]} does not say where the stage was" if no_stage else ""
        running = "stitching" if self.task.running else ""
        enable(self.stage_button, few or size or stage, _STAGE_TIP)
        enable(self.run_button, running or few or size, _RUN_TIP)

    def _on_moved(self, event: Any = None) -> None:
        if not self._filling:
            self._fill()

    def _on_edited(self, item: QTableWidgetItem) -> None:
        if self._filling or item.row() >= len(self._fields):
            return
        field = self._fields[item.row()]
        if item.column() == 0:
            key = id(field.acquisition)
            ticked = item.checkState() == Qt.CheckState.Checked
            (self._left_out.discard if ticked else self._left_out.add)(key)
            self._refresh_buttons()
            return
        try:
            value = float(item.text())
        except ValueError:
            self.message.warn(f"'{item.text()}' is not a number of µm.")
        else:
            self.message.say("")
            y, x = field.corner
            self._by_stage = False
            field.move((value, x) if item.column() == 1 else (y, value))
        self._fill()

    def _on_reversed(self) -> None:
        if self._by_stage:
            self.place_by_stage()

    def place_by_stage(self) -> None:
        """Move the ticked fields to where the stage was."""
        fields = self.chosen()
        reverse = (self.reverse_y.isChecked(), self.reverse_x.isChecked())
        try:
            corners = np.array(stage_corners([f.placed() for f in fields], reverse))
        except ValueError as error:
            self.fail(error)
            return
        for field, (y, x) in zip(fields, corners - corners.min(axis=0), strict=True):
            field.move((to_um(float(y)), to_um(float(x))))
        self._by_stage = True
        self.context.viewer.reset_view()
        self.message.say("Placed by the stage. Check that the seams fit.")

    def run(self) -> None:
        """Put the ticked fields together, in a thread."""
        try:
            fields = [field.placed() for field in self.chosen()]
        except ValueError as error:
            self.fail(error)
            return
        corners = [(from_um(y), from_um(x)) for y, x in (f.corner for f in self.chosen())]
        self.message.say("Stitching …")
        self.task.start(stitch, fields, corners)

    def _on_result(self, whole: Acquisition) -> None:
        top = np.min([field.corner for field in self.chosen()], axis=0)
        for data, arguments, kind in ly.acquisition_layers(whole):
            arguments["name"] = f"{arguments['name']} (stitched)"
            arguments["translate"] = tuple(float(v) for v in top)
            ly.show(self.context.viewer, (data, arguments, kind))
        for field in self.chosen():
            for layer in field.layers:
                layer.visible = False
        facts = whole.metadata
        height, width = whole.counts.shape[2:]
        text = (
            f"{len(facts['fields'])} fields make {height} × {width} pixels; "
            f"{facts['overlap_pixels']:,} pixels overlap, {facts['uncovered_pixels']:,} are not "
            "covered."
        )
        if facts["placed_to_px"] >= 0.005:
            text += f" Rounded to whole pixels by up to {facts['placed_to_px']:.2f} px."
        self.message.say(text)


class StitchDock(Dock):
    """Neighbouring fields on their own."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.stitch = StitchPanel(self.context)
        self.add_step("Stitch fields", self.stitch)
        self.follow()
