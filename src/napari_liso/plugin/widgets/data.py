"""Step 1: which layers hold the counts, and how large their pixels are."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QLabel, QPushButton, QWidget

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.widgets.parts import LayerBox, MessageLine, Panel, form
from napari_liso.units import to_um

if TYPE_CHECKING:
    from napari_liso.plugin.widgets.main import Step
    from napari_liso.plugin.widgets.mass_windows import MassWindowsPanel

__all__ = ["DataPanel"]

_OPEN = (
    "No counts yet. Open a file (File > Open), drop one on the viewer, or try File > Open "
    "Sample > napari-liso."
)


class DataPanel(Panel):
    """Choose the counts of both isotopes; give the pixel size where the file does not."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
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
        self.notes.setToolTip("What the reader found out about this file")
        self.pixel = QLabel()
        self.pixel.setToolTip("Side lengths of a pixel, from the unit and scale of the layer")
        self.size_box = QDoubleSpinBox()
        self.size_box.setDecimals(4)
        self.size_box.setRange(0.0001, 10_000)
        self.size_box.setValue(1.0)
        self.size_box.setSuffix(" µm")
        self.size_box.setToolTip(
            "Side length of a pixel in µm: the width of the analysed area divided by the "
            "number of pixels across it"
        )
        self.set_button = QPushButton("Set")
        self.set_button.setToolTip("Give both counts layers, and grains drawn on them, this size")
        self.set_button.clicked.connect(self.apply_size)
        self.unknown = QWidget()
        row = QHBoxLayout(self.unknown)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.size_box, 1)
        row.addWidget(self.set_button)
        self._windows: Step | None = None
        rows = form()
        rows.addRow("Tracer isotope", self.tracer)
        rows.addRow("Other isotope", self.other)
        rows.addRow("Pixel size", self.pixel)
        rows.addRow("", self.unknown)
        self.column.addWidget(self.hint)
        self.column.addLayout(rows)
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
        self.column.insertWidget(1, step)
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

    def refresh(self) -> None:
        """Follow the chosen layers."""
        counts = self.context.counts
        self.hint.setVisible(not self.context.tracer.candidates)
        known = counts is not None and all(ly.has_length_unit(layer) for layer in counts)
        self.unknown.setVisible(counts is not None and not known)
        self.notes.say("\n".join(self._notes()))
        if counts is None:
            self.pixel.setText("–")
        elif known:
            y, x = (to_um(v) for v in ly.pixel_size_from_layer(counts[0]))
            self.pixel.setText(f"{y:.4g} × {x:.4g} µm")
        else:
            self.pixel.setText("not in the file: please type it")

    def _notes(self) -> list[str]:
        """Return what is to be known about the file behind the counts."""
        layer = self.context.tracer.current
        acquisition = None if layer is None else ly.acquisition_from_layer(layer)
        if acquisition is None:
            return []
        facts = acquisition.metadata
        note = [facts["note"]] if facts.get("note") else []
        return [*note, *(f"⚠ {text}" for text in facts.get("warnings", ()))]

    def apply_size(self) -> None:
        """Give the counts, and every layer of the same grid without a unit, the typed size."""
        counts = self.context.counts
        if counts is None:
            return
        shape = tuple(counts[0].data.shape[-2:])
        for layer in list(self.context.viewer.layers):
            same_grid = layer.ndim >= 2 and tuple(layer.data.shape[-2:]) == shape
            if layer in counts or (same_grid and not ly.has_length_unit(layer)):
                ly.set_pixel_size(layer, self.size_box.value())
        self.context.viewer.reset_view()
        self.refresh()
