"""What grains from EBSD need: limits of the search, and the way onto the map's pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QPushButton, QVBoxLayout, QWidget

from napari_liso.plugin.layers.ebsd import EbsdSearch, ebsd_of, lies_elsewhere
from napari_liso.plugin.records import PROVENANCE
from napari_liso.plugin.widgets.parts import enable, form, wide
from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["EbsdForm"]

_THRESHOLD_TIP = (
    "Neighbouring points whose lattices are turned by more than this against each other are of "
    "two grains; the symmetry of the crystal is taken into account"
)
_SMALLEST_TIP = (
    "Smaller grains, often wrongly indexed points, go to their neighbours. Lines without "
    "solutions up to 3 points wide are boundaries."
)
_FIND_TIP = (
    "Find the grains of the EBSD map with these limits, in a layer of their own; their "
    "boundaries get misorientations"
)
_BRING_TIP = (
    "Make a copy of these grains on the pixels of the counts, from where they lie in the world: "
    "each pixel takes the nearest grain. First lay the EBSD image over the map with Overlay "
    "microscope image; its grains go along."
)


class EbsdForm(QWidget):
    """Shown while grains are chosen that come from EBSD, or lie on another grid than the counts.

    Attributes
    ----------
    threshold
        In degrees.
    smallest
        In um2.
    find_button, bring_button
        To be connected.
    """

    def __init__(self) -> None:
        super().__init__()
        self._layer: Layer | None = None
        self.threshold = wide(QDoubleSpinBox())
        self.threshold.setRange(0.1, 60.0)
        self.threshold.setDecimals(1)
        self.threshold.setValue(5.0)
        self.threshold.setPrefix("> ")
        self.threshold.setSuffix("°")
        self.threshold.setToolTip(_THRESHOLD_TIP)
        self.smallest = wide(QDoubleSpinBox())
        self.smallest.setRange(0.0, 1e6)
        self.smallest.setDecimals(3)
        self.smallest.setSuffix(" µm²")
        self.smallest.setSpecialValueText("any")
        self.smallest.setToolTip(_SMALLEST_TIP)
        self.find_button = QPushButton("Find EBSD grains")
        self.bring_button = QPushButton("Onto the map's pixels")
        self.limits = QWidget()
        rows = form()
        rows.addRow("Misorientation", self.threshold)
        rows.addRow("Smallest grain", self.smallest)
        self.limits.setLayout(rows)
        buttons = QHBoxLayout()
        buttons.addWidget(self.find_button, 1)
        buttons.addWidget(self.bring_button, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.limits)
        column.addLayout(buttons)
        self.hide()

    @property
    def search(self) -> EbsdSearch | None:
        """What is to be found, or None without an EBSD map."""
        if ebsd_of(self._layer) is None or self._layer is None:
            return None
        area = self.smallest.value() * MICROMETRE**2
        return EbsdSearch(self._layer, self.threshold.value(), area)

    def refresh(self, grains: Layer | None, counts: Layer | None, busy: str) -> None:
        """Follow the chosen layers.

        Parameters
        ----------
        grains
            That are chosen.
        counts
            On whose pixels they should be.
        busy
            Why nothing can be begun now, ``""`` if something can.
        """
        mapped = ebsd_of(grains) is not None
        elsewhere = lies_elsewhere(grains, counts)
        if grains is not self._layer:
            self._layer = grains
            if mapped and grains is not None:
                record = grains.metadata[PROVENANCE]
                self.threshold.setValue(float(record.get("threshold_deg", 5.0)))
                self.smallest.setValue(float(record.get("min_area", 0.0)) / MICROMETRE**2)
        self.limits.setVisible(mapped)
        self.find_button.setVisible(mapped)
        self.bring_button.setVisible(elsewhere)
        enable(self.find_button, busy, _FIND_TIP)
        enable(self.bring_button, busy, _BRING_TIP)
        self.setVisible(mapped or elsewhere)
