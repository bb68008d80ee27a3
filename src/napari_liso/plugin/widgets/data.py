"""Step 1: which layers hold the counts, and what their file leaves open."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtWidgets import QLabel

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import acquisitions_in, give_pixel_size, give_pulses
from napari_liso.plugin.context import Context
from napari_liso.plugin.widgets.ask import AskPixelSize, AskPulses
from napari_liso.plugin.widgets.parts import LayerBox, MessageLine, Panel, form
from napari_liso.plugin.widgets.remarks import RemarksBox
from napari_liso.readers.pulses import pulses_from_facts
from napari_liso.units import to_um

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition
    from napari_liso.plugin.widgets.main import Step
    from napari_liso.plugin.widgets.spectra.mass_windows import MassWindowsPanel

__all__ = ["DataPanel"]

_OPEN = (
    "No counts yet. Open a file (File > Open), drop one on the viewer, or try File > Open "
    "Sample > napari-liso."
)


class DataPanel(Panel):
    """Choose the counts of both isotopes; give pixel size and pulses where the file does not."""

    def __init__(self, context: Context, remarks: bool = True) -> None:
        super().__init__(context)
        self._with_remarks = remarks
        self.hint = QLabel(_OPEN)
        self.hint.setWordWrap(True)
        self.tracer = LayerBox(
            context.tracer,
            "choose a layer",
            "Counts of the isotope that was introduced, 6Li: the fraction is "
            "tracer / (tracer + other)",
        )
        self.other = LayerBox(
            context.other, "choose a layer", "Counts of the other isotope of the element, 7Li"
        )
        self.notes = MessageLine()
        self.notes.setToolTip("What this data is")
        self.remarks = RemarksBox()
        self.size = AskPixelSize()
        self.size.given.connect(self._on_size)
        self.pulses = AskPulses()
        self.pulses.given.connect(self._on_pulses)
        self._windows: Step | None = None
        self.rows = form()
        self.rows.addRow("Tracer isotope", self.tracer)
        self.rows.addRow("Other isotope", self.other)
        self.rows.addRow("Pixel size", self.size)
        self.rows.addRow("Pulses", self.pulses)
        self.column.addWidget(self.hint)
        self.column.addWidget(self.remarks)
        self.column.addLayout(self.rows)
        self.column.addWidget(self.notes)
        self.column.addWidget(self.message)
        for signal in (
            context.layers_changed,
            context.tracer.changed,
            context.other.changed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def add_windows(self, step: Step, panel: MassWindowsPanel) -> None:
        """Show the choice of mass windows here whenever a file holds a spectrum."""
        self.column.insertWidget(2, step)
        self._windows = step
        step.setVisible(panel.has_spectrum)
        panel.available.connect(step.setVisible)
        panel.available.connect(step.refresh)
        panel.made.connect(step.refresh)
        panel.made.connect(self._fold_windows)

    def _fold_windows(self) -> None:
        if self._windows is not None:
            self._windows.unfold(False)

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        counts = self.context.counts
        if counts is None:
            return "choose counts"
        return "" if all(ly.has_length_unit(layer) for layer in counts) else "pixel size?"

    # --- following ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Follow the chosen layers."""
        counts = self.context.counts
        acquisition = self._acquisition()
        self.hint.setVisible(not self.context.tracer.candidates and acquisition is None)
        note = "" if acquisition is None else acquisition.metadata.get("note")
        self.notes.say(str(note or ""))
        if self._with_remarks:
            self.remarks.show_acquisition(acquisition)
        known = counts is not None and all(ly.has_length_unit(layer) for layer in counts)
        size = None
        if counts is not None and known:
            y, x = (to_um(v) for v in ly.pixel_size_from_layer(counts[0]))
            size = (y, x)
        self.size.show_size(size, counts is not None)
        self._refresh_pulses(acquisition)

    def _acquisition(self) -> Acquisition | None:
        """Return the measurement of the chosen counts, else the one opened last."""
        layer = self.context.tracer.current
        if layer is not None:
            return ly.acquisition_from_layer(layer)
        found = acquisitions_in(self.context.viewer)
        return found[-1] if found else None

    def _refresh_pulses(self, acquisition: Acquisition | None) -> None:
        """Ask for the pulses where they matter: counts of a pulsed beam, an image of them."""
        asked = (
            self.context.counts is not None
            and acquisition is not None
            and ly.has_image(acquisition)
            and "path" in acquisition.metadata
            and "pulses_note" not in acquisition.metadata  # says why there are none
            and np.dtype(acquisition.counts.dtype).kind in "iu"
        )
        self.pulses.setVisible(asked)
        label = self.rows.labelForField(self.pulses)
        if label is not None:
            label.setVisible(asked)
        if asked and acquisition is not None:
            self.pulses.show_pulses(
                str(acquisition.metadata["path"]),
                _pulses_in_words(acquisition),
                pulses_from_facts(acquisition.metadata, tuple(acquisition.counts.shape)),
            )

    # --- what is given ------------------------------------------------------------------------

    def _on_size(self, size_um: float) -> None:
        """Give the counts, and every layer of the same grid without a unit, the typed size."""
        counts = self.context.counts
        if counts is None:
            return
        shape = tuple(counts[0].data.shape[-2:])
        former = [tuple(layer.scale[-2:]) for layer in counts if ly.has_length_unit(layer)]
        for layer in list(self.context.viewer.layers):
            same_grid = layer.ndim >= 2 and tuple(layer.data.shape[-2:]) == shape
            # of the same map: of no size yet, or of the size that is being corrected
            mistaken = tuple(layer.scale[-2:]) in former and ly.role_of(layer) != ""
            if layer in counts or (same_grid and (not ly.has_length_unit(layer) or mistaken)):
                ly.set_pixel_size(layer, size_um)
        for layer in counts:
            acquisition = ly.acquisition_from_layer(layer)
            if acquisition is not None:
                give_pixel_size(self.context.viewer, acquisition, size_um)
        self.context.mark_outdated(self.context.boundaries.current)  # fitted with another size
        self.context.viewer.reset_view()
        self.refresh()

    def _on_pulses(self, pulses: int) -> None:
        """Keep the pulses with every layer of the file."""
        acquisition = self._acquisition()
        if acquisition is not None:
            give_pulses(self.context.viewer, acquisition, pulses)
            self.refresh()


def _pulses_in_words(acquisition: Acquisition) -> str:
    """Return the pulses per pixel and frame as they are told, ``""`` where unknown."""
    if acquisition.pulses is None:
        return ""
    pulses = np.asarray(acquisition.pulses, float)
    low, high = float(pulses.min()), float(pulses.max())
    number = f"{low:,.4g}" if low == high else f"{low:,.4g} to {high:,.4g}"
    return f"{number} per pixel and frame"
