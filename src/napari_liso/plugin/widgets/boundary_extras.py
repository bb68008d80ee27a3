"""Junctions on the map, and boundaries numbered anew."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from qtpy.compat import isalive
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QPushButton

from napari_liso.plugin.boundary_numbers import can_renumber, renumber_layer
from napari_liso.plugin.context import Context
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.layers.junctions import find_layer, show_junctions
from napari_liso.plugin.widgets.parts import enable

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["JunctionBox", "RenumberButton"]

_JUNCTIONS_TIP = (
    "Show in a Points layer where boundaries meet or end: orange discs are triple junctions, "
    "yellow diamonds meetings of four or more, grey discs ends at the image edge, blue squares "
    "ends at a pore, green triangles ends at the free surface"
)
_RENUMBER_TIP = (
    "Drop the rows of removed boundaries and number the others from 1 without gaps. States, "
    "notes and the fit go along. It cannot be undone, nor can the edits before it: save the "
    "session first if in doubt."
)
#: Edits come one after the other: wait until the hand rests, ms.
_WAIT_MS = 200


class JunctionBox(QCheckBox):
    """Shows and hides the junctions of the context's boundaries."""

    def __init__(self, context: Context) -> None:
        super().__init__("Junctions")
        self._context = context
        self._shown: Boundaries | None = None
        self._layer: Layer | None = None  # the boundaries that were followed last
        self.setToolTip(_JUNCTIONS_TIP)
        self.clicked.connect(self._on_clicked)
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.setInterval(_WAIT_MS)
        self._rest.timeout.connect(self._renew)
        context.boundaries_changed.connect(self.refresh)
        context.layers_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Follow the layers; junctions of boundaries that were edited are found again soon."""
        layer = self._context.boundaries.current
        found = None if layer is None else find_layer(self._context.viewer, layer)
        if layer is not self._layer:
            before = None if self._layer is None else find_layer(self._context.viewer, self._layer)
            if before is not None:  # they would lie on lines that are others
                before.visible = False
            if found is not None:
                found.visible = True
            self._layer = layer
        there = found is not None
        self.setChecked(there)
        if there and self._context.current_boundaries() is not self._shown:
            self._rest.start()

    def _on_clicked(self, wanted: bool) -> None:
        layer = self._context.boundaries.current
        if layer is None:
            return
        if wanted:
            self._show()
            return
        shown = find_layer(self._context.viewer, layer)
        if shown is not None:
            self._context.viewer.layers.remove(shown)

    def _renew(self) -> None:
        layer = self._context.boundaries.current
        if isalive(self) and layer is not None and find_layer(self._context.viewer, layer):
            self._show()

    def _show(self) -> None:
        layer, boundaries = self._context.boundaries.current, self._context.current_boundaries()
        if layer is not None and boundaries is not None:
            self._shown = boundaries  # first: a new layer is heard of at once
            show_junctions(self._context.viewer, layer, boundaries)


class RenumberButton(QPushButton):
    """Numbers the context's boundaries anew."""

    said = Signal(str)

    def __init__(self, context: Context) -> None:
        super().__init__("Renumber")
        self._context = context
        self.clicked.connect(self.renumber)
        context.boundaries_changed.connect(self.refresh)
        self.refresh()

    def refresh(self) -> None:
        """Say whether there is anything to do."""
        layer = self._context.boundaries.current
        missing = "find boundaries"
        if layer is not None:
            missing = "" if can_renumber(cast("Labels", layer)) else "no boundary was removed"
        enable(self, missing, _RENUMBER_TIP)

    def renumber(self) -> None:
        """Do it; what was painted a moment ago is followed first."""
        viewer, layer = self._context.viewer, self._context.boundaries.current
        editor = editor_of(viewer, layer)
        if layer is None or editor is None:
            return
        editor.flush()
        count = len(renumber_layer(viewer, cast("Labels", layer)))
        self.said.emit(f"Boundaries have the numbers 1 to {count} now.")
