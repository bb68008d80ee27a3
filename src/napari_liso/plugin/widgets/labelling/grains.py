"""Grains: segmented, drawn or opened; their boundaries are found along with them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QTimer, Signal
from qtpy.QtGui import QShowEvent
from qtpy.QtWidgets import QHBoxLayout, QPushButton

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.labelling.frame import Grid, PixelFrame
from napari_liso.plugin.labelling.segmenting import Found, Wanted, find, segment
from napari_liso.plugin.layers.ebsd import EbsdSearch, bring_onto, with_ebsd
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.labelling.ebsd_form import EbsdForm
from napari_liso.plugin.widgets.labelling.source_form import SourceForm
from napari_liso.plugin.widgets.parts import LayerBox, Panel, enable, form
from napari_liso.plugin.widgets.working import Working
from napari_liso.units import to_um

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["GrainsPanel"]

_PROPOSED = f"{ly.GRAINS} (proposed)"
_GRAINS_TIP = (
    "Labels layer in which every grain has a number of its own; 0 is not a grain. Label images "
    "and EBSD maps open with File > Open."
)
_SEGMENT_TIP = (
    "Propose grains, and find their boundaries; edit them with the tools under Edit. Grains that "
    "were drawn or opened are not touched."
)
_LINES_TIP = "Begin with the whole map as one grain, and draw the boundaries that divide it"
_EMPTY_TIP = "Add an empty Labels layer on the map to paint grains into, each with its own label"
_FIND_TIP = (
    "Find every contact of two grains and give it a number. Grains may touch, or be separated "
    "by a line of one pixel; wider gaps are pores."
)
_UNSEEN = "Where neighbours have the same fraction no method sees the boundary: check and edit. "
_ELSEWHERE = (
    "'{}' and '{}' differ in shape: lay one over the other, and press Onto the map's pixels"
)
#: Boundaries of grains that are being painted are found when the hand rests so long, ms.
_REST = 600


class GrainsPanel(Panel):
    """Get grains, by segmentation or by hand, and the boundaries between them.

    Attributes
    ----------
    task
        Segments, and finds boundaries.
    """

    drawing_wanted = Signal()  # a map of one grain waits for its first line

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.eager = False  # find the boundaries of grains that were opened, too
        self._sources: tuple[Any, ...] = ()
        self._quiet = False
        self._hide = True
        self._sensitivity = 0.5
        self._search: EbsdSearch | None = None  # of the grains that are being found
        self._painted: Labels | None = None
        self.task = Task(self)
        self.task.succeeded.connect(self._on_result)
        self.task.failed.connect(self._on_failed)
        self.task.cancelled.connect(self.forget)
        self.task.running_changed.connect(self.refresh)
        self._make_widgets()
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_REST)
        self._rest.timeout.connect(self._find_painted)
        for signal in (
            context.layers_changed,
            context.boundaries_changed,
            context.tracer.changed,
            context.other.changed,
            context.grains.changed,
            self.source.changed,
        ):
            signal.connect(self.refresh)
        context.grains.changed.connect(self._on_grains)
        self.forget_when_changed(context.tracer, context.other)
        self.refresh()

    def _make_widgets(self) -> None:
        self.grains = LayerBox(self.context.grains, "choose a layer", _GRAINS_TIP)
        self.grains.activated.connect(self._on_chosen)
        self.source = SourceForm(self.context)
        self.sensitivity = self.source.sensitivity
        self.segment_button = QPushButton("Segment")
        self.segment_button.clicked.connect(self.segment_grains)
        self.lines_button = QPushButton("Draw lines")
        self.lines_button.clicked.connect(self.begin_with_one_grain)
        self.draw_button = QPushButton("Paint grains")
        self.draw_button.clicked.connect(self.add_empty_grains)
        self.find_button = QPushButton("Find boundaries")
        self.find_button.clicked.connect(self.find_boundaries)
        self.ebsd = EbsdForm()
        self.ebsd.find_button.clicked.connect(self.find_ebsd_grains)
        self.ebsd.bring_button.clicked.connect(self.bring_onto_map)
        self.working = Working(self.task, Newest(self.task, self.find_boundaries, self))
        self.column.addWidget(self.source)
        buttons = QHBoxLayout()
        buttons.addWidget(self.segment_button, 2)
        buttons.addWidget(self.lines_button, 1)
        buttons.addWidget(self.draw_button, 1)
        self.column.addLayout(buttons)
        rows = form()
        chosen = QHBoxLayout()
        chosen.addWidget(self.grains, 1)
        chosen.addWidget(self.find_button)
        rows.addRow("Grains", chosen)
        self.column.addLayout(rows)
        self.column.addWidget(self.ebsd)
        self.column.addWidget(self.working)
        self.column.addWidget(self.message)

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        if self.context.grains.current is None:
            return "no grains yet"
        return "" if self.context.boundaries.current is not None else "boundaries not found yet"

    # --- state --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Follow the context: say why a button cannot be pressed."""
        busy = "computing" if self.task.running else ""
        enable(self.segment_button, busy or self.source.missing, _SEGMENT_TIP)
        nothing = (
            "" if self._ground() is not None else "choose counts under Data, or open an image"
        )
        enable(self.lines_button, busy or nothing, _LINES_TIP)
        enable(self.draw_button, nothing, _EMPTY_TIP)
        grains = self.context.grains.current
        enable(self.find_button, busy or ("" if grains else "choose a grains layer"), _FIND_TIP)
        self.ebsd.refresh(grains, self.context.tracer.current, busy)
        if self._painted != grains:
            if self._painted is not None:
                self._painted.events.paint.disconnect(self._on_paint)
            self._painted = grains
            if self._painted is not None:
                self._painted.events.paint.connect(self._on_paint)

    def _ground(self) -> Layer | None:
        """Return the layer on whose pixels grains are drawn."""
        context = self.context
        return context.tracer.current or context.other.current or self.source.image_choice.current

    def _boundaries_of(self, grains: Layer) -> Layer | None:
        """Return the boundaries that were found in a layer."""
        for layer in self.context.boundaries.candidates:
            sources = layer.metadata.get(ly.PROVENANCE, {}).get("sources", [])
            if sources[:1] == [grains.name]:
                return layer
        return None

    def _has_locked(self, grains: Layer) -> bool:
        """Tell whether a boundary of some grains is locked: no other grains in their place."""
        there = self._boundaries_of(grains)
        return there is not None and bool(
            (ly.boundaries_from_layer(there).table["state"] == "locked").any()
        )

    def _on_paint(self, event: object = None) -> None:
        """Find boundaries for the first time while grains are painted; an editor goes on."""
        grains = self.context.grains.current
        if isalive(self) and grains is not None and self._boundaries_of(grains) is None:
            self._rest.start()

    def _find_painted(self) -> None:
        if not self.task.running:
            self.find_boundaries(quiet=True)
            self._hide = False  # grains that are being painted stay in sight

    def _on_chosen(self, index: int) -> None:
        """Show the boundaries of grains that were chosen, or find them."""
        grains = self.context.grains.current
        if index == 0 or grains is None:
            return
        there = self._boundaries_of(grains)
        if there is not None:
            self._choose(there)
        elif not self.task.running:
            self.find_boundaries()

    def _on_grains(self) -> None:
        """Forget what was said of other grains; find boundaries where nothing is in doubt."""
        self.forget()
        if self.isVisible():
            self._find_by_itself()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Find the boundaries of grains that were there before."""
        super().showEvent(event)
        self._find_by_itself()

    def _find_by_itself(self) -> None:
        there = self.context.boundaries.current is not None
        if self.eager and self.context.grains.current is not None and not there:
            self.find_boundaries(quiet=True)

    # --- grains -------------------------------------------------------------------------------

    def segment_grains(self) -> None:
        """Propose grains, in a thread."""
        if self.source.missing or self.task.running:
            return
        self.message.say("")
        self._sensitivity = self.sensitivity.value()
        try:
            wanted = self._wanted()
        except ValueError as error:
            self.fail(error)
            return
        self._quiet, self._hide, self._search = False, True, None
        self.message.say("Segmenting …")
        self.task.start(segment, wanted, self.task.report)

    def _wanted(self) -> Wanted:
        """Return what is to be segmented, read from the layers."""
        counts, image = None, None
        pair = self.context.counts
        if self.source.from_counts and pair is not None:
            ly.require_same_shape(*pair)
            a, b = (ly.counts_from_layer(layer) for layer in pair)
            if not (a.any() and b.any()):
                raise ValueError("one isotope has no counts at all: there is nothing to segment")
            counts = a, b
        ground = self._ground()
        assert ground is not None
        self._sources = (ground,)
        if counts is not None and pair is not None:
            self._sources = pair
        picture = self.source.image_choice.current
        if self.source.from_image and picture is not None:
            image = Grid.of_image(picture)
            self._sources = (*self._sources, picture)
        size = ly.pixel_size_from_layer(ground) if ly.has_length_unit(ground) else None
        if self.source.min_area is not None and size is None:
            raise ValueError("the pixel size is not known, so 'Smallest grain' has no meaning")
        if self.source.psf_fwhm and size is None:
            raise ValueError("the pixel size is not known, so 'Beam width' has no meaning")
        return Wanted(
            counts,
            image,
            PixelFrame.of_layer(ground, tuple(ground.data.shape[-2:])),
            self.source.edges,
            size,
            self.source.min_area,
            self._sensitivity,
            self.source.psf_fwhm,
        )

    def find_ebsd_grains(self) -> None:
        """Find the grains of an EBSD map with other limits, in a thread."""
        search = self.ebsd.search
        if search is None or self.task.running:
            return
        self._quiet, self._hide, self._search = False, True, search
        self._sources = (search.layer,)
        self.message.say("Finding grains …")
        self.task.start(search.run, self.task.report)

    def bring_onto_map(self) -> None:
        """Copy the chosen grains onto the pixels of the counts, and find their boundaries."""
        grains, counts = self.context.grains.current, self.context.tracer.current
        if grains is None or counts is None or self.task.running:
            return
        try:
            layer = bring_onto(self.context.viewer, grains, counts)
        except ValueError as error:
            self.fail(error)
            return
        self.context.grains.choose(layer)
        if not self.task.running:
            self.find_boundaries()

    def add_empty_grains(self) -> None:
        """Add an empty grains layer on the counts, ready to paint."""
        layer = self._add_grains(0)
        if layer is None:
            return
        layer.mode = "polygon"
        self.context.viewer.layers.selection.active = layer
        self.message.say(
            "Draw each grain as a polygon (click its corners, double-click to close) and press M "
            "for the next label. Boundaries appear where two grains touch."
        )

    def begin_with_one_grain(self) -> None:
        """Make the whole map one grain, to be divided by lines."""
        from napari_liso.microstructure.boundaries import find_boundaries

        source = self._ground()
        if source is None or self.task.running:
            return
        try:
            size = ly.pixel_size_from_layer(source)
        except ValueError as error:
            self.fail(error)
            return
        layer = self._add_grains(1)
        assert layer is not None
        self._show(find_boundaries(np.asarray(layer.data), size), layer)
        self.message.say("The map is one grain now: draw the boundaries that divide it.")
        self.drawing_wanted.emit()

    def _add_grains(self, label: int) -> Layer | None:
        """Add a grains layer filled with one label."""
        source = self._ground()
        if source is None:
            return None
        plane = np.full(_plane_shape(source), label, np.uint16)
        made = ly.grains_layer(plane, ly.Placement.of_layer(source), sources=(source.name,))
        layer = ly.add(self.context.viewer, made)
        self.context.grains.choose(layer)
        return layer

    # --- boundaries ---------------------------------------------------------------------------

    def find_boundaries(self, _checked: bool = False, *, quiet: bool = False) -> None:
        """Find the boundaries of the chosen grains, in a thread.

        Parameters
        ----------
        quiet
            Say nothing where there are none yet: nobody has asked.
        """
        layer = self.context.grains.current
        if layer is None or self.task.running:
            return
        self.message.say("")
        try:
            grains = ly.grains_from_layer(layer)
            source = self.context.tracer.current
            if source is not None:
                if layer.data.shape[-2:] != source.data.shape[-2:]:
                    raise ValueError(_ELSEWHERE.format(layer.name, source.name))
                if not ly.has_length_unit(layer):  # drawn or imported without a unit
                    ly.Placement.of_layer(source).apply(layer)
            pixel_size = ly.pixel_size_from_layer(layer)
        except ValueError as error:
            if not quiet:
                self.fail(error)
            return
        self._quiet, self._hide = quiet, True
        self._sources = (layer,)
        self.task.start(find, grains, pixel_size)

    def _on_failed(self, error: Exception) -> None:
        if not self._quiet:
            self.fail(error)

    def _on_result(self, result: Found) -> None:
        text = ""
        layer = self._sources[0]
        if result.grains is not None:
            layer = self._propose(result.grains)
            count = len(np.unique(result.grains[result.grains > 0]))
            text = f"{count} {'grain' if count == 1 else 'grains'} proposed. "
            if self._search is None:
                text += _UNSEEN
        found = result.boundaries
        if found is not None and layer in self.context.viewer.layers:
            self._show(found, layer, self._hide)
            total = to_um(float(found.table["length"].sum()))
            text = f"{_count(len(found.table))}, {total:,.0f} µm in all. {text}"
        else:
            self.context.mark_outdated(self.context.boundaries.current)
        self.message.say(text.strip())

    def _show(self, found: Boundaries, grains: Layer, hide: bool = True) -> None:
        """Put boundaries into the viewer; the layer that is worked on stays that."""
        viewer = self.context.viewer
        active = viewer.layers.selection.active
        found = with_ebsd(grains, found)
        name = self._name_of_boundaries(grains)
        placement = ly.Placement.of_layer(grains)
        layer = ly.show(
            viewer, ly.boundaries_layer(found, placement, name, sources=(grains.name,))
        )
        if hide:
            grains.visible = False  # its colours would cover the map
        elif active is not None:
            viewer.layers.selection.active = active
        self._choose(layer)
        self.context.mark_outdated(layer)

    def _name_of_boundaries(self, grains: Layer) -> str:
        """Return a name that leaves the boundaries of other grains, and their states, alone."""
        there = self._boundaries_of(grains)
        if there is not None:
            return str(there.name)
        name = ly.result_name(ly.BOUNDARIES, grains.name)
        present = {layer.name: layer for layer in self.context.viewer.layers}
        number = 0
        while name in present:
            sources = present[name].metadata.get(ly.PROVENANCE, {}).get("sources", [])
            if not sources or sources[0] not in present:
                break  # nobody's any more
            number += 1
            name = f"{ly.BOUNDARIES} [{number}]"
        return name

    def _choose(self, layer: Layer) -> None:
        """Work on other boundaries; those before would lie over them."""
        before = self.context.boundaries.current
        if before is not None and before != layer:
            before.visible, layer.visible = False, True
        self.context.boundaries.choose(layer)

    def _propose(self, grains: NDArray[Any]) -> Layer:
        """Show segmented grains; those that were drawn or imported stay as they are."""
        viewer, names = self.context.viewer, [source.name for source in self._sources]
        taken = {layer.name for layer in viewer.layers if not ly.is_proposal(layer)}
        free = [name for name in (ly.GRAINS, _PROPOSED) if name not in taken]
        name = free[0] if free else _PROPOSED
        if self._search is not None:
            proposal = self._search.proposal(grains, name)
        else:
            proposal = ly.grains_layer(
                grains,
                ly.Placement.of_layer(self._sources[0]),
                name,
                sources=names,
                segmented=True,
                sensitivity=self._sensitivity,
                segmented_from=self.source.source_box.currentText(),
            )
        held = any(self._has_locked(old) for old in viewer.layers if old.name == name)
        layer = ly.show(viewer, proposal) if free and not held else ly.add(viewer, proposal)
        layer.visible = True
        self.context.grains.choose(layer)
        return layer


def _plane_shape(layer: Layer) -> tuple[int, int]:
    """Return (y, x) of a layer, colour apart."""
    shape = layer.data.shape[:2] if getattr(layer, "rgb", False) else layer.data.shape[-2:]
    return int(shape[0]), int(shape[1])


def _count(boundaries: int) -> str:
    return "1 boundary" if boundaries == 1 else f"{boundaries} boundaries"
