"""The corrections of the isotope pair, in the order in which they are made."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QLabel, QVBoxLayout, QWidget

from napari_liso.counting.measured import Measured
from napari_liso.isotopes import ion_mass, isotope_of
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.frames.behind import frames_behind
from napari_liso.plugin.ratio.input import (
    counted_behind,
    counts_plane,
    pulses_in_words,
    why_no_dead_time,
)
from napari_liso.plugin.widgets.parts import MessageLine
from napari_liso.plugin.widgets.ratio.ask_layer import AskLayer
from napari_liso.plugin.widgets.ratio.measured_row import MeasuredRow

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.counting.corrections import Corrections

__all__ = ["CorrectionsForm", "why_no_hydride"]

_DEAD_TIME_TIP = (
    "At most one ion of a peak is counted a pulse. From the pulses that each pixel got in each "
    "frame, those that were missed are worked out before anything is summed; saturated pixels "
    "are left empty."
)
_ORDER_TIP = "Corrections are made in this order; each acts on what the one before leaves"
_BACKGROUND_TIP = (
    "Counts of {} a pixel, all chosen frames together, that are not ions of the peak: dark "
    "counts, tails of neighbours. Expected counts; never more is subtracted than was counted"
)
_HYDRIDE_TIP = (
    "LiH⁺ per Li⁺, a number: ⁶LiH⁺ is counted as ⁷Li unless the mass resolution is above 1010"
)
_ALPHA_TIP = (
    "Instrumental mass fractionation α, a number: the instrument multiplies the odds a/b by it. "
    "From a region of known isotope ratio on the same material and day: see Regions"
)


class CorrectionsForm(QWidget):
    """Edits `Context.corrections`; what other panels set there is shown here, too."""

    failed = Signal(object)  # ValueError

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.dead_time = QCheckBox("1  Dead time")
        self.dead_time.toggled.connect(self._on_dead_time)
        self.dead_time_note = MessageLine()
        self.background = (
            self._row("a", 0.0, (0.0, 1e6), 5, "", "Layer…"),
            self._row("b", 0.0, (0.0, 1e6), 5, "", "Layer…"),
        )
        self.hydride = self._row("h", 0.0, (0.0, 0.99), 6, _HYDRIDE_TIP, "Mass 8…")
        self.fractionation = self._row("α", 1.0, (0.01, 100.0), 6, _ALPHA_TIP)
        self.ask = AskLayer(self)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        for widget in (
            self.dead_time,
            self.dead_time_note,
            _heading("2  Background, counts a pixel"),
            *self.background,
            _heading("3  Hydride, LiH⁺ per Li⁺"),
            self.hydride,
            _heading("4  Mass fractionation"),
            self.fractionation,
        ):
            column.addWidget(widget)
        for number, row in enumerate(self.background):
            row.from_layer_asked.connect(
                self._ask_background_of_tracer if number == 0 else self._ask_background_of_other
            )
        self.hydride.from_layer_asked.connect(self._ask_mass8)
        for signal in (context.layers_changed, context.tracer.changed, context.other.changed):
            signal.connect(self.refresh)
        self.refresh()

    def _row(
        self, label: str, neutral: float, span: tuple[float, float], decimals: int, tip: str,
        button: str = "",
    ) -> MeasuredRow:  # fmt: skip
        row = MeasuredRow(label, neutral, span, decimals, tip, button)
        row.changed.connect(self._on_row)
        return row

    # --- following ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Show the corrections of the chosen pair, and what can be corrected of it."""
        counts = self.context.counts
        self.setEnabled(counts is not None)
        kept = self.context.corrections
        missing = "" if counts is None else why_no_dead_time(*counts)
        self.dead_time.blockSignals(True)
        self.dead_time.setChecked(kept.dead_time)
        self.dead_time.blockSignals(False)
        self.dead_time.setEnabled(not missing)
        self.dead_time.setToolTip(f"Not possible: {missing}" if missing else _DEAD_TIME_TIP)
        known = "" if counts is None or missing else pulses_in_words(counts[0])
        self.dead_time_note.say(_sentence(missing or known))
        names = ("a", "b") if counts is None else tuple(ly.channel_of(x) for x in counts)
        for row, name, measured in zip(self.background, names, kept.background, strict=True):
            row.label.setText(name if len(name) <= 8 else f"{name[:7]}…")
            for box in (row.label, row.value):
                box.setToolTip(_BACKGROUND_TIP.format(name))
            row.show_measured(measured)
            row.allow(
                "", "" if self._others() else "open an off-peak window as a layer, too",
                "Take it from a layer of an off-peak mass window near the peak",
            )  # fmt: skip
        self.hydride.show_measured(kept.hydride_ratio)
        self.hydride.allow(
            "" if counts is None else why_no_hydride(*names),
            "" if self._others() else "open mass 8 (⁷LiH) as a layer, too",
            "Take it from a layer of mass 8: ⁷LiH⁺ per ⁷Li⁺",
        )
        self.fractionation.show_measured(kept.fractionation)

    def in_words(self) -> str:
        """Return what is corrected for, in a few words."""
        kept, counts = self.context.corrections, self.context.counts
        words = []
        if kept.dead_time and counts is not None and not why_no_dead_time(*counts):
            words.append("dead time")
        if any(b.value > 0 for b in kept.background):
            words.append("background")
        if kept.hydride_ratio.value > 0:
            words.append("hydride")
        if kept.fractionation.value != 1:
            words.append("α")
        return ", ".join(words) or "none"

    def _others(self) -> list[Layer]:
        """Return the counts of the same map that are neither isotope."""
        counts = self.context.counts
        if counts is None:
            return []
        shape = tuple(counts[0].data.shape[-2:])
        return [
            layer
            for layer in self.context.tracer.candidates
            if layer not in counts and tuple(layer.data.shape[-2:]) == shape
        ]

    # --- what is set --------------------------------------------------------------------------

    def _on_dead_time(self, wanted: bool) -> None:
        self._set(replace(self.context.corrections, dead_time=wanted))

    def _on_row(self) -> None:
        rows = (*self.background, self.hydride, self.fractionation)
        first, second, hydride, alpha = (row.measured for row in rows)
        self._set(
            replace(
                self.context.corrections,
                background=(first, second),
                hydride_ratio=hydride,
                fractionation=alpha,
            )
        )

    def _set(self, corrections: Corrections) -> None:
        self.context.set_corrections(corrections)

    # --- from layers --------------------------------------------------------------------------

    def _ask_background_of_tracer(self) -> None:
        self._ask_background(0)

    def _ask_background_of_other(self) -> None:
        self._ask_background(1)

    def _ask_background(self, which: int) -> None:
        counts = self.context.counts
        if counts is None:
            return
        peak = counts[which]
        self.ask.put(
            f"Background of {ly.channel_of(peak)}",
            "Counts of a mass window beside the peak, where no ion of it arrives.",
            sorted(self._others(), key=_is_of_an_ion),
            lambda layer: self.background_from(layer, self.ask.width_ratio.value(), which),
            peak=peak,
        )

    def _ask_mass8(self) -> None:
        self.ask.put(
            "Hydride ratio",
            "Counts of mass 8, ⁷LiH⁺: their sum is divided by that of ⁷Li⁺.",
            sorted(self._others(), key=lambda layer: not _may_be_hydride(layer)),
            self.hydride_from,
        )

    def background_from(self, layer: Layer, width_ratio: float, which: int) -> None:
        """Take the background of an isotope from an off-peak layer.

        Parameters
        ----------
        layer
            Counts of an off-peak mass window.
        width_ratio
            Width of the peak's window over that of the off-peak one.
        which
            0: the tracer's, 1: the other isotope's.
        """
        from napari_liso.counting.corrections import background_from_window

        try:
            found = background_from_window(counts_plane(layer), width_ratio)
            _require_less_than_peak(found, layer, self.context.counts, which)
            both = list(self.context.corrections.background)
            both[which] = _from_layer(found, layer)
            self._set(replace(self.context.corrections, background=(both[0], both[1])))
        except ValueError as error:
            self.failed.emit(error)

    def hydride_from(self, layer: Layer) -> None:
        """Take the hydride ratio from a layer of mass 8."""
        from napari_liso.counting.corrections import hydride_ratio_from_mass8

        counts = self.context.counts
        if counts is None:
            return
        try:
            dead_time = self.context.corrections.dead_time
            pair = counted_behind(*counts, dead_time, ())
            n6, n7, n8 = pair.tracer, pair.other, frames_behind(layer)[0]
            if n8.shape != n7.shape:  # a layer of frames beside one of their sum
                n6, n7, n8 = (counts_plane(one) for one in (*counts, layer))
            pulses = pair.pulses if n8.shape == pair.other.shape else None
            off_peak = (*self.context.corrections.background, 0.0)
            found = hydride_ratio_from_mass8(n6, n7, n8, pulses, off_peak)
            self._set(replace(self.context.corrections, hydride_ratio=_from_layer(found, layer)))
        except ValueError as error:
            self.failed.emit(error)


def why_no_hydride(tracer: str, other: str) -> str:
    """Say why no hydride of the tracer is counted as the other isotope, "" where one is."""
    first, second = isotope_of(tracer), isotope_of(other)
    if first is None or second is None:
        return "the isotopes are not known from the names of the layers"
    if first[0] == second[0] and second[1] == first[1] + 1:
        return ""
    if first[0] == second[0] and first[1] == second[1] + 1:
        return f"the hydride of {other} falls on {tracer}: swap the isotopes to correct for it"
    return f"the hydride of {tracer} falls on mass {first[1] + 1}, not on {other}"


def _is_of_an_ion(layer: Layer) -> bool:
    """Tell whether a layer is named after an ion: then it is no off-peak window."""
    try:
        ion_mass(ly.channel_of(layer))
    except ValueError:
        return False
    return True


def _require_less_than_peak(
    background: Measured, layer: Layer, counts: tuple[Layer, Layer] | None, which: int
) -> None:
    """Refuse a background that is more than all that was counted: another peak, or electrons."""
    if counts is None:
        return
    peak = float(np.mean(counts_plane(counts[which])))
    if background.value > peak:
        raise ValueError(
            f"'{layer.name}' has {background.value:.4g} counts a pixel, '{counts[which].name}' "
            f"itself {peak:.4g}: it is no window beside the peak. Choose one where no ion arrives"
        )


def _may_be_hydride(layer: Layer) -> bool:
    mass = layer.metadata.get(ly.PROVENANCE, {}).get("mass")
    return "H" in ly.channel_of(layer) or (mass is not None and abs(mass - 8.023) < 0.1)


def _from_layer(measured: Measured, layer: Layer) -> Measured:
    """Name the layer in the source of what was estimated from it."""
    return replace(measured, source=f"layer '{layer.name}': {measured.source}")


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _heading(text: str) -> QLabel:
    label = QLabel(text)
    label.setToolTip(_ORDER_TIP)
    return label
