"""How the hue-intensity view is coloured, with its legend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QDoubleSpinBox, QVBoxLayout, QWidget

from napari_liso.counting.hue_intensity import HUES
from napari_liso.plugin.ratio.work import HueOptions
from napari_liso.plugin.widgets.parts import form, wide
from napari_liso.plugin.widgets.ratio.legend import HueLegend

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["HueForm"]

_TITLES = {"spectrum": "Blue to red", "blue-orange": "Blue to orange (colour-blind)"}


class HueForm(QWidget):
    """Hues, full brightness and gamma; the limits are those of the map's layer."""

    changed = Signal()

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.hues = wide(QComboBox())
        self.hues.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.hues.setMinimumContentsLength(8)
        for key in HUES:
            self.hues.addItem(_TITLES[key], key)
        self.hues.setToolTip(
            "Colours of low and high values, all of the same lightness. Which values these are "
            "follows the contrast limits of the map's layer."
        )
        self.top = wide(QDoubleSpinBox())
        self.top.setRange(0.0, 1e9)
        self.top.setDecimals(0)
        self.top.setSpecialValueText("automatic")
        self.top.setSuffix(" counts")
        self.top.setKeyboardTracking(False)
        self.top.setToolTip(
            "Counts of both isotopes at which a pixel is fully bright. Automatic: nine of ten "
            "pixels with counts are darker."
        )
        self.gamma = wide(QDoubleSpinBox())
        self.gamma.setRange(0.1, 3.0)
        self.gamma.setSingleStep(0.1)
        self.gamma.setDecimals(2)
        self.gamma.setValue(1.0)
        self.gamma.setToolTip("Exponent of the brightness; below 1 lifts pixels of few counts")
        self.legend = HueLegend(viewer)
        rows = form()
        rows.addRow("Hues", self.hues)
        rows.addRow("Fully bright at", self.top)
        rows.addRow("Gamma", self.gamma)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addLayout(rows)
        column.addWidget(self.legend)
        self.hues.currentIndexChanged.connect(self._on_changed)
        self.top.valueChanged.connect(self._on_changed)
        self.gamma.valueChanged.connect(self._on_changed)

    def options(self, limits: tuple[float, float] | None) -> HueOptions:
        """Return what is chosen, with the limits of the map's layer."""
        return HueOptions(
            limits=limits,
            top=self.top.value() or None,
            gamma=self.gamma.value(),
            hues=str(self.hues.currentData()),
        )

    def show_options(self, options: HueOptions) -> None:
        """Show options without telling that they changed."""
        self.blockSignals(True)
        self.hues.setCurrentIndex(HUES.index(options.hues))
        self.top.setValue(options.top or 0.0)
        self.gamma.setValue(options.gamma)
        self.blockSignals(False)

    def _on_changed(self) -> None:
        self.changed.emit()
