"""A small dialog that asks from which layer something is to be taken."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.QtWidgets import (
    QComboBox,
    QDialog,
    QDialogButtonBox,
    QDoubleSpinBox,
    QLabel,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.parts import form, wide

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["AskLayer", "mass_window"]


class AskLayer(QDialog):
    """Layers to choose from and, for a background, the ratio of the window widths."""

    def __init__(self, parent: QWidget) -> None:
        super().__init__(parent)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.box = wide(QComboBox())
        self.box.setToolTip("Layer of counts of the same map")
        self.box.currentIndexChanged.connect(self._on_layer)
        self.width_ratio = wide(QDoubleSpinBox())
        self.width_ratio.setDecimals(4)
        self.width_ratio.setRange(0.0001, 10_000)
        self.width_ratio.setValue(1.0)
        self.width_ratio.setToolTip(
            "Width of the peak's mass window divided by the width of this one, a number"
        )
        self.how = QLabel()
        self.how.setWordWrap(True)
        self.rows = form()
        self.rows.addRow("Layer", self.box)
        self.rows.addRow("Width ratio", self.width_ratio)
        buttons = QDialogButtonBox(
            QDialogButtonBox.StandardButton.Ok | QDialogButtonBox.StandardButton.Cancel
        )
        buttons.accepted.connect(self.accept)
        buttons.rejected.connect(self.reject)
        column = QVBoxLayout(self)
        column.addWidget(self.text)
        column.addLayout(self.rows)
        column.addWidget(self.how)
        column.addWidget(buttons)
        self.setMinimumWidth(320)
        self.accepted.connect(self._on_accepted)
        self._layers: list[Layer] = []
        self._peak: Layer | None = None
        self._take: Callable[[Layer], None] | None = None

    def put(
        self,
        title: str,
        text: str,
        layers: list[Layer],
        take: Callable[[Layer], None],
        peak: Layer | None = None,
    ) -> None:
        """Ask; `take` is called with the layer when the user agrees.

        Parameters
        ----------
        title, text
            What is asked for.
        layers
            To choose from, the likeliest one first.
        take
            Receives the chosen one.
        peak
            Layer whose window is compared with the chosen one's; None asks for no ratio.
        """
        self.setWindowTitle(title)
        self.text.setText(text)
        self._layers, self._take, self._peak = layers, take, peak
        self.box.blockSignals(True)
        self.box.clear()
        self.box.addItems([layer.name for layer in layers])
        self.box.blockSignals(False)
        self.width_ratio.setVisible(peak is not None)
        label = self.rows.labelForField(self.width_ratio)
        if label is not None:
            label.setVisible(peak is not None)
        self._on_layer(0)
        self.open()

    def _on_layer(self, index: int) -> None:
        self.how.hide()
        if self._peak is None or not 0 <= index < len(self._layers):
            return
        peak, beside = mass_window(self._peak), mass_window(self._layers[index])
        if peak and beside:
            # a background is flat in flight time, which goes with the root of the mass
            first, second = (math.sqrt(high) - math.sqrt(low) for low, high in (peak, beside))
            self.width_ratio.setValue(first / second)
            self.how.setText(
                f"Widths in flight time, from the windows {peak[0]:.4f}–{peak[1]:.4f} and "
                f"{beside[0]:.4f}–{beside[1]:.4f} u."
            )
            self.how.show()

    def _on_accepted(self) -> None:
        index = self.box.currentIndex()
        if self._take is not None and 0 <= index < len(self._layers):
            self._take(self._layers[index])


def mass_window(layer: Layer) -> tuple[float, float] | None:
    """Return the mass window in u that a layer's counts are from, or None."""
    acquisition = ly.acquisition_from_layer(layer)
    windows = {} if acquisition is None else acquisition.metadata.get("windows") or {}
    window = windows.get(ly.channel_of(layer))
    return None if window is None else (float(window[0]), float(window[1]))
