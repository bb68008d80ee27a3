"""What a region is good for: background, reference of fractionation, fraction of the far field."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_liso.counting.measured import Measured
from napari_liso.isotopes import isotope_of, natural_fraction
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.regions.far_field import far_field_of, give_far_field
from napari_liso.plugin.regions.work import (
    RegionsFound,
    background_of,
    fraction_measured,
    fractionation_by,
)
from napari_liso.plugin.widgets.parts import enable, wide

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.counting.corrections import Corrections

__all__ = ["RegionUses"]

_BACKGROUND_TIP = (
    "A hole, the mount or another place without these isotopes: the counts a pixel that it has of "
    "both are taken off everywhere, with their error"
)
_REFERENCE_TIP = (
    "A place whose isotope fraction is known, such as one that the tracer has not reached: from "
    "it the factor by which the instrument changes the ratio is taken, and corrected everywhere"
)
_KNOWN_TIP = (
    "Known fraction tracer / (tracer + other) of the reference, and its standard error. To begin "
    "with that of nature, with its spread between materials."
)
_FAR_TIP = (
    "A place far from the source of the tracer: its fraction, as the table shows it, is kept with "
    "the counts as the background fraction of the fit"
)
_NATURE = "natural abundance"


@dataclass(frozen=True)
class _Step:
    """Something that was set, so that it can be taken back: on which layer, what, from what."""

    layer: Layer
    what: str
    before: Any


class RegionUses(QWidget):
    """Buttons that set corrections from the selected region, and take that back."""

    said = Signal(str)
    failed = Signal(object)

    def __init__(self, context: Context) -> None:
        super().__init__()
        self._context = context
        self._found: RegionsFound | None = None
        self._row = -1
        self._steps: list[_Step] = []
        self._natural: Measured | None = None
        self.background_button = wide(QPushButton("Use as background"))
        self.background_button.clicked.connect(self.use_as_background)
        self.known = _Fraction(_KNOWN_TIP)
        self.known_error = _Fraction(f"Standard error. {_KNOWN_TIP}")
        self.reference_button = wide(QPushButton("Use as fractionation reference"))
        self.reference_button.clicked.connect(self.use_as_reference)
        self.far_button = wide(QPushButton("Use as background fraction of the fit"))
        self.far_button.clicked.connect(self.use_as_far_field)
        self.undo_button = wide(QPushButton("Undo"))
        self.undo_button.clicked.connect(self.undo)
        label = QLabel("Known fraction")
        label.setToolTip(_KNOWN_TIP)
        known = QHBoxLayout()
        known.addWidget(label)
        known.addWidget(self.known, 3)
        known.addWidget(QLabel("±"))
        known.addWidget(self.known_error, 2)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(5)
        column.addWidget(self.background_button)
        column.addWidget(self.far_button)
        column.addLayout(known)
        column.addWidget(self.reference_button)
        column.addWidget(self.undo_button)
        context.tracer.changed.connect(self._on_pair)
        context.other.changed.connect(self._on_pair)
        context.layers_changed.connect(self.refresh)
        self.known.valueChanged.connect(self.refresh)
        self._on_pair()

    def show_region(self, found: RegionsFound | None, label: int | None) -> None:
        """Take the region that is selected in the table."""
        self._found = found
        known = found is not None and label in found.regions.labels
        self._row = found.regions.labels.index(label) if known and found and label else -1
        self.refresh()

    @property
    def reference(self) -> Measured:
        """The known fraction, with where it is from."""
        value, error = self.known.value(), self.known_error.value()
        natural = self._natural
        if natural is not None and (value, error) == _shown(natural):
            return natural
        return Measured(value, error, "typed by hand")

    def refresh(self) -> None:
        """Say why a button cannot be pressed, and what Undo would do."""
        missing = ""
        if self._found is None or self._row < 0:
            missing = "select a region in the table"
        elif self._found.table["pixels"].iloc[self._row] == 0:
            missing = "the region has no pixel on the map"
        enable(self.background_button, missing, _BACKGROUND_TIP)
        enable(self.far_button, missing, _FAR_TIP)
        unknown = "" if 0 < self.known.value() < 1 else "type the known fraction"
        enable(self.reference_button, missing or unknown, _REFERENCE_TIP)
        present = list(self._context.viewer.layers)
        self._steps = [step for step in self._steps if step.layer in present]
        last = self._last()
        words = (
            "" if last is None else f"Take back the {last.what.replace('_', ' ')} set here last"
        )
        enable(self.undo_button, "" if last else "nothing was set here", words)
        self.undo_button.setText(f"Undo {last.what.replace('_', ' ')}" if last else "Undo")

    def _on_pair(self) -> None:
        """Offer the fraction of nature for the isotopes that are chosen."""
        counts, self._natural = self._context.counts, None
        if counts is not None:
            isotopes = [isotope_of(ly.channel_of(layer)) for layer in counts]
            if isotopes[0] and isotopes[1] and isotopes[0][0] == isotopes[1][0]:
                element, tracer = isotopes[0]
                self._natural = natural_fraction(element, tracer, isotopes[1][1])
        value, error = (0.0, 0.0) if self._natural is None else _shown(self._natural)
        self.known.setValue(value)
        self.known_error.setValue(error)
        self.refresh()

    # --- uses ---------------------------------------------------------------------------------

    def use_as_background(self) -> None:
        """Take the counts of the selected region off everywhere."""
        if self._found is None:
            return
        try:
            made = background_of(self._found, self._row)
        except ValueError as error:
            self.failed.emit(error)
            return
        self._set("background", made)
        tracer, other = (f"{b.value:.3g} ± {b.error:.2g}" for b in made.background)
        names = self._names()
        self.said.emit(
            f"Background: {tracer} counts a pixel of {names[0]}, {other} of {names[1]}."
        )

    def use_as_reference(self) -> None:
        """Correct the mass fractionation that the selected region shows."""
        if self._found is None:
            return
        try:
            made = fractionation_by(self._found, self._row, self.reference)
        except ValueError as error:
            self.failed.emit(error)
            return
        self._set("fractionation", made)
        factor = made.fractionation
        self.said.emit(
            f"Mass fractionation: the instrument multiplies {'/'.join(self._names())} by "
            f"{factor.value:.4f} ± {factor.error:.4f}."
        )

    def use_as_far_field(self) -> None:
        """Keep the fraction of the selected region as the background fraction of the fit."""
        layer = self._context.tracer.current
        if self._found is None or layer is None:
            return
        try:
            made = fraction_measured(self._found, self._row)
        except ValueError as error:
            self.failed.emit(error)
            return
        self._steps.append(_Step(layer, "background_fraction", far_field_of(layer)))
        give_far_field(layer, made)
        self.said.emit(
            f"Background fraction of the fit: {made.value:.5f} ± {made.error:.5f}, kept with "
            f"'{layer.name}'."
        )
        self.refresh()

    def _set(self, what: str, made: Corrections) -> None:
        layer = self._context.tracer.current
        if layer is None:
            return
        now = self._context.corrections
        self._steps.append(_Step(layer, what, getattr(now, what)))
        # the others as they are now: they may have changed since the table was made
        self._context.set_corrections(replace(now, **{what: getattr(made, what)}))
        self.refresh()

    def undo(self) -> None:
        """Take back what was set here last, for the tracer that is chosen."""
        last = self._last()
        if last is None:
            return
        self._steps.remove(last)
        if last.what == "background_fraction":
            give_far_field(last.layer, last.before)
        else:
            restored = replace(self._context.corrections, **{last.what: last.before})
            self._context.set_corrections(restored)
        self.said.emit(f"The {last.what.replace('_', ' ')} is as it was before.")
        self.refresh()

    def _last(self) -> _Step | None:
        mine = [step for step in self._steps if step.layer == self._context.tracer.current]
        return mine[-1] if mine else None

    def _names(self) -> tuple[str, str]:
        counts = self._context.counts
        return ("", "") if counts is None else (ly.channel_of(counts[0]), ly.channel_of(counts[1]))


def _shown(measured: Measured) -> tuple[float, float]:
    """Return value and error as the boxes round them."""
    return round(measured.value, 6), round(measured.error, 6)


class _Fraction(QDoubleSpinBox):
    """A number from 0 to 1 without zeros at its end."""

    def __init__(self, tooltip: str) -> None:
        super().__init__()
        self.setDecimals(6)
        self.setRange(0.0, 1.0)
        self.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
        self.setToolTip(tooltip)
        self.setMinimumWidth(56)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)

    def textFromValue(self, value: float) -> str:
        """Return what the box shows."""
        return self.locale().toString(value, "g", 6)
