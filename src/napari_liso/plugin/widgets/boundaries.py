"""Step 3: grains, and the boundaries between them as objects that can be selected."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.selection import MapPicker
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.boundary_table import BoundaryTable
from napari_liso.plugin.widgets.parts import LayerBox, Panel, enable, form
from napari_liso.units import to_um

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["BoundariesPanel"]

_PROPOSED = f"{ly.GRAINS} (proposed)"
_SEGMENT_TIP = (
    "Propose grains from the counts of both isotopes; edit them with the paint tools. Grains that "
    "were drawn or opened are not touched."
)
_SENSITIVITY_TIP = "How readily a step is taken for a boundary: lower = fewer, larger grains"
_EMPTY_TIP = "Add an empty Labels layer on the map to paint grains into, each with its own label"
_FIND_TIP = (
    "Find every contact of two grains and give it a number. Grains may touch, or be separated "
    "by a line of one pixel; wider gaps are pores."
)
_HELP = "Click a boundary on the map or a row; Shift adds to the selection."


class BoundariesPanel(Panel):
    """Get grains, find their boundaries, and select them on the map or in the table."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.grains = LayerBox(
            context.grains,
            "choose a layer",
            "Labels layer in which every grain has a number of its own; 0 is not a grain",
        )
        self.segment_button = QPushButton("Segment from counts")
        self.segment_button.clicked.connect(self.segment_grains)
        self.sensitivity = QDoubleSpinBox()
        self.sensitivity.setRange(0.1, 2.0)
        self.sensitivity.setSingleStep(0.1)
        self.sensitivity.setValue(0.5)
        self.sensitivity.setToolTip(_SENSITIVITY_TIP)
        self.draw_button = QPushButton("Draw them")
        self.draw_button.clicked.connect(self.add_empty_grains)
        self.find_button = QPushButton("Find boundaries")
        self.find_button.clicked.connect(self.find_boundaries)
        self.help = QLabel(_HELP)
        self.help.setWordWrap(True)
        self.table = BoundaryTable(context, ("id", "grains", "length", "k", "verdict"))
        rows = form()
        rows.addRow("Grains", self.grains)
        proposal = QHBoxLayout()
        proposal.addWidget(self.segment_button, 1)
        label = QLabel("Sensitivity")
        label.setToolTip(_SENSITIVITY_TIP)
        proposal.addWidget(label)
        proposal.addWidget(self.sensitivity)
        self.column.addLayout(rows)
        self.column.addLayout(proposal)
        self.column.addWidget(self.draw_button)
        self.column.addWidget(self.find_button)
        self.column.addWidget(self.message)
        self.column.addWidget(self.help)
        self.column.addWidget(self.table)
        self.task = Task(self)
        self.task.succeeded.connect(self._on_result)
        self.task.failed.connect(self.fail)
        self.task.running_changed.connect(self.refresh)
        self.picker = MapPicker(context.viewer, self)
        self.picker.follow(self)
        self._sources: tuple[Any, ...] = ()
        self._sensitivity = self.sensitivity.value()
        self._painted: Labels | None = None
        for signal in (
            context.layers_changed,
            context.tracer.changed,
            context.other.changed,
            context.grains.changed,
        ):
            signal.connect(self.refresh)
        context.boundaries_changed.connect(self._on_boundaries)
        self._on_boundaries()
        self.forget_when_changed(context.tracer, context.other, context.grains)
        self.refresh()

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        if self.context.grains.current is None:
            return "no grains yet"
        return "" if self.context.boundaries.current is not None else "not found yet"

    # --- state --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Follow the context: say why a button cannot be pressed."""
        busy = "computing" if self.task.running else ""
        counts = "" if self.context.counts else "choose the counts of two isotopes under Data"
        enable(self.segment_button, busy or counts, _SEGMENT_TIP)
        any_counts = self.context.tracer.current or self.context.other.current
        enable(self.draw_button, "" if any_counts else "choose counts under Data", _EMPTY_TIP)
        grains = self.context.grains.current
        enable(self.find_button, busy or ("" if grains else "choose a grains layer"), _FIND_TIP)
        if self._painted != grains:
            if self._painted is not None:
                self._painted.events.paint.disconnect(self._on_paint)
            self._painted = grains
            if grains is not None:
                grains.events.paint.connect(self._on_paint)

    def _on_paint(self, event: object = None) -> None:
        if self.context.boundaries.current is not None:
            self.context.mark_outdated(self.context.boundaries.current)
            self.message.warn("The grains were edited: press Find boundaries again.")

    def _on_boundaries(self) -> None:
        layer = self.context.boundaries.current
        self.picker.set_layer(layer)
        self.help.setVisible(layer is not None)
        self.table.setVisible(layer is not None)

    # --- grains -------------------------------------------------------------------------------

    def segment_grains(self) -> None:
        """Propose grains from the counts, in a thread."""
        counts = self.context.counts
        if counts is None:
            return
        self.message.say("")
        try:
            ly.require_same_shape(*counts)
            a, b = (ly.counts_from_layer(layer) for layer in counts)
            if not (a.any() and b.any()):
                raise ValueError("one isotope has no counts at all: there is nothing to segment")
        except ValueError as error:
            self.fail(error)
            return
        self._sources = counts
        self.message.say("Segmenting …")
        self._sensitivity = self.sensitivity.value()
        self.task.start(_segment, a, b, self._sensitivity)

    def add_empty_grains(self) -> None:
        """Add an empty grains layer on the counts, ready to paint."""
        source = self.context.tracer.current or self.context.other.current
        if source is None:
            return
        blank = np.zeros(source.data.shape[-2:], np.uint16)
        placement = ly.Placement.of_layer(source)
        layer = ly.add(
            self.context.viewer, ly.grains_layer(blank, placement, sources=(source.name,))
        )
        self.context.grains.choose(layer)
        layer.mode = "polygon"
        self.context.viewer.layers.selection.active = layer
        self.message.say(
            "Draw each grain as a polygon (click its corners, double-click to close), press M "
            "for the next label, then Find boundaries."
        )

    # --- boundaries ---------------------------------------------------------------------------

    def find_boundaries(self) -> None:
        """Find the boundaries of the chosen grains, in a thread."""
        layer = self.context.grains.current
        if layer is None:
            return
        self.message.say("")
        try:
            grains = ly.grains_from_layer(layer)
            source = self.context.tracer.current
            if source is not None:
                ly.require_same_shape(source, layer)
                if not ly.has_length_unit(layer):  # drawn or imported without a unit
                    ly.Placement.of_layer(source).apply(layer)
            pixel_size = ly.pixel_size_from_layer(layer)
        except ValueError as error:
            self.fail(error)
            return
        self._sources = (layer,)
        self.task.start(_find, grains, pixel_size)

    def _on_result(self, result: NDArray[Any] | Boundaries) -> None:
        viewer, source = self.context.viewer, self._sources[0]
        if isinstance(result, np.ndarray):
            self._propose(result)
            return
        name = ly.result_name(ly.BOUNDARIES, source.name)
        layer = ly.show(
            viewer,
            ly.boundaries_layer(
                result, ly.Placement.of_layer(source), name, sources=(source.name,)
            ),
        )
        source.visible = False  # its colours would cover the map
        self.context.boundaries.choose(layer)
        self.context.mark_outdated(layer)
        total = to_um(float(result.table["length"].sum()))
        self.message.say(f"{len(result.table)} boundaries, {total:,.0f} µm in all.")

    def _propose(self, grains: NDArray[Any]) -> None:
        """Show segmented grains; those that were drawn or imported stay as they are."""
        viewer, names = self.context.viewer, [source.name for source in self._sources]
        taken = {layer.name for layer in viewer.layers if not ly.is_proposal(layer)}
        free = [name for name in (ly.GRAINS, _PROPOSED) if name not in taken]
        proposal = ly.grains_layer(
            grains,
            ly.Placement.of_layer(self._sources[0]),
            free[0] if free else _PROPOSED,
            sources=names,
            segmented=True,
            sensitivity=self._sensitivity,
        )
        layer = ly.show(viewer, proposal) if free else ly.add(viewer, proposal)
        layer.visible = True
        self.context.grains.choose(layer)
        self.context.mark_outdated(self.context.boundaries.current)
        self.message.say(
            f"{len(np.unique(grains[grains > 0]))} grains proposed. Where neighbours have the "
            "same fraction no method sees the boundary: check and edit, then Find boundaries."
        )


def _segment(a: NDArray[np.int64], b: NDArray[np.int64], sensitivity: float) -> NDArray[Any]:
    from napari_liso.microstructure.grains import segment_grains

    return segment_grains(n6=a, n7=b, sensitivity=sensitivity)


def _find(grains: NDArray[np.int32], pixel_size: tuple[float, float]) -> Boundaries:
    from napari_liso.microstructure.boundaries import find_boundaries

    if len(np.unique(grains[grains > 0])) < 2:
        raise ValueError("there is a single grain, so there is no boundary")
    found = find_boundaries(grains, pixel_size)
    if len(found.table) == 0:
        raise ValueError(
            "no two grains touch: they must share a side, or be separated by a line of one pixel"
        )
    return found
