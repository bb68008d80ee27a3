"""The controls of the ratio panel, and where they stand."""

from __future__ import annotations

from qtpy.QtCore import QObject, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin.context import Context
from napari_liso.plugin.layers.ratio import COUNTS, HALF_INTERVAL, HUE_INTENSITY
from napari_liso.plugin.widgets.fold import Fold
from napari_liso.plugin.widgets.ratio.corrections import CorrectionsForm
from napari_liso.plugin.widgets.ratio.hue_form import HueForm
from napari_liso.plugin.widgets.ratio.options import PoolingForm, QuantityForm

__all__ = ["RatioParts"]

_EXTRAS = {
    HALF_INTERVAL: (
        "Half interval",
        (
            "Also a layer of half the width of each pixel's interval, in the units of the value; "
            "its standard error where the confidence is 68.27 %"
        ),
    ),
    COUNTS: ("Counts", "Also a layer of the counts of both isotopes behind each value"),
    HUE_INTENSITY: (
        "Hue-intensity",
        (
            "Also a view whose hue is the value and whose brightness the counts: pixels without "
            "counts are black instead of shouting"
        ),
    ),
}


class RatioParts(QObject):
    """All controls of the panel.

    Attributes
    ----------
    extras
        Check boxes of the layers besides the map, by role.
    """

    extra_toggled = Signal(str, bool)

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.quantity = QuantityForm()
        self.pooling = PoolingForm()
        self.options = Fold(
            "Options", "Pooling of pixels, confidence of the interval, least counts", self.pooling
        )
        self.corrections = CorrectionsForm(context)
        self.corrected = Fold(
            "Corrections",
            "Dead time, background, hydride and mass fractionation, in this order",
            self.corrections,
        )
        self.extras: dict[str, QCheckBox] = {}
        for role, (title, tip) in _EXTRAS.items():
            self.extras[role] = QCheckBox(title)
            self.extras[role].setToolTip(tip)
        self.extras[HALF_INTERVAL].toggled.connect(self._on_half_interval)
        self.extras[COUNTS].toggled.connect(self._on_counts)
        self.extras[HUE_INTENSITY].toggled.connect(self._on_hue)
        self.hue = HueForm(context.viewer)
        self.hue.hide()
        self.run_button = QPushButton("Make isotope fraction")
        self.live = QCheckBox("Live")
        self.live.setChecked(True)
        self.live.setToolTip(
            "Once the map is there, bring it up to date with every change of an option, a "
            "correction, the frames or the counts"
        )
        self.script_button = QPushButton("Copy as Python")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop computing; nothing is changed")

    def arrange(self, column: QVBoxLayout, message: QWidget) -> None:
        """Put everything into a column."""
        extras = _row(QLabel("Also:"), *self.extras.values(), stretch=False)
        buttons = _row(self.run_button, self.live, self.script_button)
        self.running = _row(self.progress, self.cancel_button)
        for widget in (
            self.quantity,
            self.options,
            self.corrected,
            extras,
            self.hue,
            buttons,
            self.running,
            message,
        ):
            column.addWidget(widget)
        self.show_running(False)

    def say_summaries(self) -> None:
        """Say in the headers what is set under them, and on the button what it makes."""
        self.options.say(self.pooling.in_words())
        self.corrected.say(self.corrections.in_words())
        what = {"fraction": "isotope fraction", "ratio": "isotope ratio", "delta": "delta map"}
        self.run_button.setText(f"Make {what[self.quantity.key]}")

    def show_running(self, running: bool) -> None:
        """Show progress and Cancel during a run that takes its time."""
        if running:
            self.progress.setRange(0, 0)  # busy, until the first share is told
        self.running.setVisible(running)

    def show_progress(self, done: float, what: str) -> None:
        """Show how far a run is."""
        self.progress.setRange(0, 100)
        self.progress.setValue(round(100 * done))
        self.progress.setToolTip(what)

    def check_extra(self, role: str, checked: bool) -> None:
        """Tick or clear the box of a layer without anything being made or removed."""
        box = self.extras[role]
        box.blockSignals(True)
        box.setChecked(checked)
        box.blockSignals(False)
        if role == HUE_INTENSITY:
            self.hue.setVisible(checked)

    def _on_half_interval(self, wanted: bool) -> None:
        self.extra_toggled.emit(HALF_INTERVAL, wanted)

    def _on_counts(self, wanted: bool) -> None:
        self.extra_toggled.emit(COUNTS, wanted)

    def _on_hue(self, wanted: bool) -> None:
        self.hue.setVisible(wanted)
        self.extra_toggled.emit(HUE_INTENSITY, wanted)


def _row(first: QWidget, *others: QWidget, stretch: bool = True) -> QWidget:
    """Put widgets beside each other; the first one takes the free room if it is to."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(6)
    row.addWidget(first, int(stretch))
    for widget in others:
        row.addWidget(widget)
    if not stretch:
        row.addStretch(1)
    return holder
