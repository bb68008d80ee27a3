"""Recalibrate a spectrum with two peaks whose ions are known."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QWidget,
)

from napari_liso.plugin.spectra.mass_scale import MassScale
from napari_liso.plugin.widgets.parts import MessageLine, enable, wide
from napari_liso.readers.peaks import Recalibration
from napari_liso.readers.proposals import recalibration_ions

__all__ = ["RecalibrationBox"]

_IONS = ("H", "6Li", "7Li", "C", "Na", "Al", "Si", "K", "Ti", "Cs", "La")
_DEFAULT = ("7Li", "Na")
_FAR = 100.0  # u, where a shift is told besides that of the peaks


class RecalibrationBox(QWidget):
    """Two ions, where they are seen, and what moving them to their masses would change."""

    applied = Signal(object)  # a Recalibration
    undone = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._scale: MassScale | None = None
        self._proposal: Recalibration | None = None
        self.ions, self.places = [], []
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setVerticalSpacing(4)
        for column, text in enumerate(("ion", "seen at (u)")):
            grid.addWidget(QLabel(text), 0, column)
        for row in range(2):
            ion = wide(QComboBox())
            ion.setEditable(True)
            ion.addItems(_IONS)
            ion.setToolTip("Ion of this peak, such as H, 7Li or Na; its mass is known")
            ion.currentTextChanged.connect(self._on_ion)
            place = QLineEdit()
            place.setToolTip(
                "Where its peak is on the present scale, in u. Found within 0.3 % of the ion's "
                "mass; type it if the scale is further off."
            )
            place.textEdited.connect(self._preview)
            grid.addWidget(ion, row + 1, 0)
            grid.addWidget(place, row + 1, 1)
            self.ions.append(ion)
            self.places.append(place)
        self.preview = MessageLine()
        self.apply_button = QPushButton("Apply")
        self.apply_button.clicked.connect(self._on_apply)
        self.undo_button = QPushButton("Undo")
        self.undo_button.clicked.connect(self.undone)
        buttons = QHBoxLayout()
        buttons.addWidget(self.apply_button, 1)
        buttons.addWidget(self.undo_button, 1)
        grid.addWidget(self.preview, 3, 0, 1, 2)
        grid.addLayout(buttons, 4, 0, 1, 2)
        self._refresh_buttons("there is no spectrum")

    def follow(self, scale: MassScale | None) -> None:
        """Work on another spectrum, or on one whose scale has changed."""
        new = scale is not self._scale
        self._scale = scale
        if new and scale is not None:
            seen = recalibration_ions(scale.curve.mass, scale.curve.counts)
            names = seen if len(seen) == 2 else _DEFAULT
            for ion, name in zip(self.ions, names, strict=True):
                ion.blockSignals(True)
                ion.setCurrentText(name)
                ion.blockSignals(False)
        self._find()

    def _on_ion(self, text: str = "") -> None:
        self._find()

    def _find(self) -> None:
        """Look for the peaks of both ions."""
        for ion, place in zip(self.ions, self.places, strict=True):
            text = ""
            if self._scale is not None:
                try:
                    text = f"{self._scale.seen_at(ion.currentText()):.6f}"
                except ValueError:
                    text = ""
            place.setText(text)
            place.setPlaceholderText("no peak found")
        self._preview()

    def _preview(self, text: str = "") -> None:
        """Say what would change, before anything does."""
        self._proposal = None
        missing = ""
        if self._scale is None:
            missing = "there is no spectrum"
        else:
            try:
                seen = {
                    ion.currentText().strip(): float(place.text())
                    for ion, place in zip(self.ions, self.places, strict=True)
                }
                self._proposal = self._scale.proposal(seen)
            except ValueError as error:
                unplaced = any(not place.text().strip() for place in self.places)
                missing = "say where both peaks are" if unplaced else str(error)
            else:
                places = {**seen, "100 u": _FAR}
                shifts = {name: self._shift(mass) for name, mass in places.items()}
                listed = ", ".join(f"{name}: {ppm:+d} ppm" for name, ppm in shifts.items())
                moves = f"Would move {listed}."
                self.preview.say(moves if any(shifts.values()) else "Both peaks are in place.")
        if missing:
            self.preview.say(missing[:1].upper() + missing[1:] + ".")
        self._refresh_buttons(missing)

    def _shift(self, mass: float) -> int:
        if self._scale is None or self._proposal is None:
            return 0
        return round(self._scale.shift_ppm(self._proposal, mass))

    def _refresh_buttons(self, missing: str) -> None:
        enable(
            self.apply_button,
            missing,
            "Move the mass axis, and the windows with it, so that both peaks are at the masses "
            "of their ions. The images are read with it, and the record keeps it.",
        )
        former = self._scale is not None and self._scale.can_undo
        enable(
            self.undo_button, "" if former else "nothing was applied", "Back to the scale before"
        )

    def _on_apply(self) -> None:
        if self._proposal is not None:
            self.applied.emit(self._proposal)
