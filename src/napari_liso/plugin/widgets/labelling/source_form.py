"""From what grains are segmented, and how."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QVBoxLayout, QWidget

from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.labelling.guide import is_guide
from napari_liso.plugin.records import PROVENANCE, role_of
from napari_liso.plugin.widgets.parts import LayerBox, form, wide
from napari_liso.units import MICROMETRE

__all__ = ["SourceForm"]

COUNTS, IMAGE, BOTH = "counts", "an image", "counts and image"
EDGES = {"dark lines": "dark", "bright lines": "bright", "steps in grey": "steps"}
_SOURCE_TIP = (
    "Counts: where the isotope fraction jumps. An image: lines or steps in a micrograph that lies "
    "over the map. Both: boundaries that either of them shows."
)
_IMAGE_TIP = "The micrograph; lay it over the map with Overlay microscope image"
_EDGES_TIP = "What boundaries look like in the image"
_SMALLEST_TIP = "Grains smaller than this join a neighbour. Automatic: 25 pixels"
_SENSITIVITY_TIP = (
    "How readily a step or a line is taken for a boundary. Lower: fewer, larger grains; 0.5 asks "
    "for twice the evidence that 1 does"
)
_BEAM_TIP = (
    "Full width at half maximum of the ion beam's spot in µm. Pixels that it mixes along a "
    "boundary are then not taken for grains. Sharp: well below a pixel"
)


class SourceForm(QWidget):
    """The choices for a segmentation.

    Attributes
    ----------
    image_choice
        The micrograph.
    sensitivity
        Of the segmentation.
    """

    changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._image_chosen = False
        self._told: dict[str, Any] = {}
        self.source_box = wide(QComboBox())
        self.source_box.addItems([COUNTS, IMAGE, BOTH])
        self.source_box.setToolTip(_SOURCE_TIP)
        self.image_choice = LayerChoice(is_guide, self)
        self.image_box = LayerBox(self.image_choice, "choose an image", _IMAGE_TIP)
        self.edges_box = wide(QComboBox())
        self.edges_box.addItems(list(EDGES))
        self.edges_box.setToolTip(_EDGES_TIP)
        self.smallest = wide(QDoubleSpinBox())
        self.smallest.setRange(0.0, 1e6)
        self.smallest.setDecimals(2)
        self.smallest.setSuffix(" µm²")
        self.smallest.setSpecialValueText("automatic")
        self.smallest.setToolTip(_SMALLEST_TIP)
        self.beam = wide(QDoubleSpinBox())
        self.beam.setRange(0.0, 1000.0)
        self.beam.setDecimals(3)
        self.beam.setSingleStep(0.1)
        self.beam.setSuffix(" µm")
        self.beam.setSpecialValueText("sharp")
        self.beam.setToolTip(_BEAM_TIP)
        self.sensitivity = wide(QDoubleSpinBox())
        self.sensitivity.setRange(0.1, 2.0)
        self.sensitivity.setSingleStep(0.1)
        self.sensitivity.setValue(1.0)
        self.sensitivity.setToolTip(_SENSITIVITY_TIP)
        self._lay_out()
        self.source_box.currentIndexChanged.connect(self._on_source)
        self.image_choice.changed.connect(self.changed)
        self.edges_box.currentIndexChanged.connect(self._on_edges)
        context.layers_changed.connect(self.refill)
        self.refill()
        self._on_source()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        rows = form()
        rows.addRow("Segment from", self.source_box)
        rows.addRow("Image", self.image_box)
        rows.addRow("Boundaries are", self.edges_box)
        fields = (self.image_box, self.edges_box)
        self._of_image = [*fields, *(rows.labelForField(field) for field in fields)]
        rows.addRow("Smallest grain", self.smallest)
        rows.addRow("Beam width", self.beam)
        self._of_counts = [self.beam, rows.labelForField(self.beam)]
        rows.addRow("Sensitivity", self.sensitivity)
        column.addLayout(rows)

    @property
    def from_counts(self) -> bool:
        """Whether counts are used."""
        return self.source_box.currentText() != IMAGE

    @property
    def from_image(self) -> bool:
        """Whether an image is used."""
        return self.source_box.currentText() != COUNTS

    @property
    def edges(self) -> str:
        """What boundaries look like in the image, as `segment_grains` names it."""
        return EDGES[self.edges_box.currentText()]

    @property
    def min_area(self) -> float | None:
        """Smallest grain in m2, None for automatic."""
        area = self.smallest.value()
        return area * MICROMETRE**2 if area > 0 else None

    @property
    def psf_fwhm(self) -> float:
        """Width of the beam in m."""
        return self.beam.value() * MICROMETRE if self.from_counts else 0.0

    @property
    def missing(self) -> str:
        """What a segmentation lacks, ``""`` if nothing."""
        if self.from_counts and self._context.counts is None:
            return "choose the counts of two isotopes under Data"
        if self.from_image and self.image_choice.current is None:
            return "choose an image, or open one with File > Open"
        if self.from_counts and self.from_image and self.edges == "steps":
            return "beside counts, boundaries in the image must be dark or bright lines"
        return ""

    def refill(self) -> None:
        """Follow the layers of the viewer."""
        counts = self._context.tracer.current
        told = {} if counts is None else counts.metadata.get(PROVENANCE, {})
        if told and told is not self._told and "psf_fwhm" in told:
            self.beam.setValue(float(told["psf_fwhm"]) / MICROMETRE)
        self._told = told
        self.image_choice.refill(list(self._context.viewer.layers))
        if self.image_choice.current is None:
            foreign = [x for x in self.image_choice.candidates if role_of(x) in ("", "overlay")]
            counts = (self._context.tracer.current, self._context.other.current)
            foreign = [x for x in foreign if x not in counts]
            if len(foreign) == 1:
                self.image_choice.choose(foreign[0])

    def _on_edges(self, index: int) -> None:
        self.changed.emit()

    def _on_source(self, index: int = 0) -> None:
        for widgets, shown in (
            (self._of_image, self.from_image),
            (self._of_counts, self.from_counts),
        ):
            for widget in widgets:
                if widget is not None:
                    widget.setVisible(shown)
        self.changed.emit()
