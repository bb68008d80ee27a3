"""What to make of the counts: the quantity, and how pixels are pooled."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QSpinBox,
    QToolButton,
    QWidget,
)

from napari_liso.isotopes import isotope_of
from napari_liso.plugin.ratio.work import QUANTITIES, RatioOptions
from napari_liso.plugin.widgets.parts import form, wide

__all__ = ["PoolingForm", "QuantityForm", "natural_ratio"]

_QUANTITY_TIP = (
    "Fraction a/(a+b): from 0 to 1, unbiased at any count; what the fit and most figures use.\n"
    "Ratio a/b: what isotope tables list.\n"
    "Delta: deviation of a/b from a reference ratio, in per mil."
)
_REFERENCE_TIP = (
    "Ratio a/b of the reference, a number. Filled in with that of the natural element where it "
    "is known; type that of your standard (L-SVEC: ⁶Li/⁷Li = 0.08215)"
)
_DIGITS = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")


class QuantityForm(QWidget):
    """Fraction, ratio or delta, of which isotope to which."""

    changed = Signal()
    swapped = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.formula = QLabel()
        # long names must not widen the dock
        self.formula.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.swap_button = QToolButton()
        self.swap_button.setText("⇄")
        self.swap_button.setToolTip("Swap the two isotopes: the other one becomes the tracer")
        self.swap_button.clicked.connect(self._on_swap)
        self.quantity = wide(QComboBox())
        for key, title in zip(QUANTITIES, ("Fraction", "Ratio", "Delta (‰)"), strict=True):
            self.quantity.addItem(title, key)
        self.quantity.setToolTip(_QUANTITY_TIP)
        self.quantity.currentIndexChanged.connect(self._on_quantity)
        self.reference = wide(QDoubleSpinBox())
        self.reference.setDecimals(7)
        self.reference.setRange(0.0, 1e6)
        self.reference.setSingleStep(0.0001)
        self.reference.setSpecialValueText("type it")
        self.reference.setKeyboardTracking(False)
        self.reference.setToolTip(_REFERENCE_TIP)
        self.reference.valueChanged.connect(self._on_reference)
        top = QHBoxLayout()
        top.addWidget(self.formula, 1)
        top.addWidget(self.swap_button)
        self.rows = form()
        self.rows.addRow("Each pixel", top)
        self.rows.addRow("Quantity", self.quantity)
        self.rows.addRow("Reference a/b", self.reference)
        self.setLayout(self.rows)
        self._names = ("", "")
        self._typed = False
        self._show_reference()

    @property
    def key(self) -> str:
        """The chosen one of `QUANTITIES`."""
        return str(self.quantity.currentData())

    def show_pair(self, tracer: str, other: str) -> None:
        """Follow the chosen isotopes; a new pair has another natural ratio."""
        if (tracer, other) != self._names:
            was_swap = (other, tracer) == self._names and self._typed
            self._names = (tracer, other)
            value = self.reference.value()
            if was_swap and value > 0:
                self._fill(1 / value)  # of the same standard, the other way round
            else:
                self._typed = False
                self._fill(natural_ratio(tracer, other) or 0.0)
        self._write_formula()

    def show_options(self, quantity: str, reference: float) -> None:
        """Show options without telling that they changed."""
        self.quantity.blockSignals(True)
        self.quantity.setCurrentIndex(QUANTITIES.index(quantity))
        self.quantity.blockSignals(False)
        if quantity == "delta" and reference > 0:
            self._fill(reference)
            self._typed = True
        self._show_reference()
        self._write_formula()

    def _fill(self, value: float) -> None:
        self.reference.blockSignals(True)
        self.reference.setValue(value)
        self.reference.blockSignals(False)

    def _write_formula(self) -> None:
        a, b = (_raised(name) for name in self._names)
        self.formula.setText(
            {
                "fraction": f"{a} / ({a} + {b})",
                "ratio": f"{a} / {b}",
                "delta": f"({a}/{b} / reference − 1) · 1000",
            }[self.key]
            if a and b
            else "choose both isotopes under Data"
        )
        self.formula.setToolTip(
            f"{self.formula.text()}: what each pixel shows; the isotopes are chosen under Data"
        )
        self.swap_button.setEnabled(bool(a and b))

    def _show_reference(self) -> None:
        needed = self.key == "delta"
        self.reference.setVisible(needed)
        label = self.rows.labelForField(self.reference)
        if label is not None:
            label.setVisible(needed)

    def _on_quantity(self) -> None:
        self._show_reference()
        self._write_formula()
        self.changed.emit()

    def _on_reference(self) -> None:
        self._typed = True
        self.changed.emit()

    def _on_swap(self) -> None:
        self.swapped.emit()


class PoolingForm(QWidget):
    """Pooling of pixels, the confidence of the interval, and the least counts."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.bin = _pixels(
            1, 256, 1,
            "Sum the counts of squares of this many pixels a side before the ratio is taken: "
            "coarser, but more certain. Ratios themselves are never averaged. Not along with a "
            "sliding window.",
        )  # fmt: skip
        self.window = _pixels(
            1, 99, 2,
            "Give each pixel the summed counts of the square of this many pixels a side around "
            "it, an odd number: smoother, but neighbours share counts and are no longer "
            "independent. For looking at, not for statistics. Instead of pooling.",
        )  # fmt: skip
        self.window.setSpecialValueText("off")
        self.confidence = wide(QDoubleSpinBox())
        self.confidence.setRange(50.0, 99.99)
        self.confidence.setDecimals(2)
        self.confidence.setValue(95.0)
        self.confidence.setSuffix(" %")
        self.confidence.setKeyboardTracking(False)
        self.confidence.setToolTip(
            "Confidence of the interval that each pixel gets, in percent. 68.27 % makes half of "
            "it the standard error."
        )
        self.min_counts = wide(QSpinBox())
        self.min_counts.setRange(1, 1_000_000)
        self.min_counts.setKeyboardTracking(False)
        self.min_counts.setToolTip(
            "Pixels with fewer counts of both isotopes together stay empty (NaN)"
        )
        rows = form()
        rows.addRow("Pool pixels", self.bin)
        rows.addRow("Sliding window", self.window)
        rows.addRow("Confidence", self.confidence)
        rows.addRow("Least counts", self.min_counts)
        self.setLayout(rows)
        self.bin.valueChanged.connect(self._on_bin)
        self.window.valueChanged.connect(self._on_window)
        for box in (self.confidence, self.min_counts):
            box.valueChanged.connect(self._on_changed)

    def _on_bin(self) -> None:
        if self.bin.value() > 1:
            self._turn_off(self.window)
        self._on_changed()

    def _on_window(self) -> None:
        if self.window.value() % 2 == 0:  # typed: the square must have a middle
            self.window.setValue(self.window.value() + 1)
            return
        if self.window.value() > 1:
            self._turn_off(self.bin)
        self._on_changed()

    def _turn_off(self, box: QSpinBox) -> None:
        """Pool in one way only."""
        box.blockSignals(True)
        box.setValue(1)
        box.blockSignals(False)

    def _on_changed(self) -> None:
        self.changed.emit()

    def options(self, quantity: str, reference: float) -> RatioOptions:
        """Return all options."""
        return RatioOptions(
            quantity=quantity,
            reference=reference if quantity == "delta" else 0.0,
            bin=self.bin.value(),
            window=self.window.value(),
            confidence=round(self.confidence.value() / 100, 6),
            min_counts=self.min_counts.value(),
        )

    def show_options(self, options: RatioOptions) -> None:
        """Show options without telling that they changed."""
        self.blockSignals(True)
        self.bin.setValue(options.bin)
        self.window.setValue(options.window)
        self.confidence.setValue(100 * options.confidence)
        self.min_counts.setValue(options.min_counts)
        self.blockSignals(False)

    def in_words(self) -> str:
        """Return what is set, in a few words."""
        words = [f"{self.confidence.value():g} %"]
        if self.bin.value() > 1:
            words.insert(0, f"{self.bin.value()} × {self.bin.value()} px")
        if self.window.value() > 1:
            words.insert(0, f"sliding {self.window.value()} px")
        if self.min_counts.value() > 1:
            words.append(f"≥ {self.min_counts.value()} counts")
        return ", ".join(words)


def natural_ratio(tracer: str, other: str) -> float | None:
    """Return the natural ratio a/b of two named isotopes of one element, or None."""
    first, second = isotope_of(tracer), isotope_of(other)
    if first is None or second is None or first[0] != second[0] or first == second:
        return None
    try:
        from napari_liso.isotopes import natural_fraction
    except ImportError:
        return None
    share = natural_fraction(first[0], first[1], second[1])
    return None if share is None else float(f"{share.value / (1 - share.value):.6g}")


def _raised(name: str) -> str:
    """Write an isotope with its mass number raised; other names as they are."""
    isotope = isotope_of(name)
    return name if isotope is None else f"{str(isotope[1]).translate(_DIGITS)}{isotope[0]}"


def _pixels(low: int, high: int, step: int, tooltip: str) -> QSpinBox:
    box = wide(QSpinBox())
    box.setRange(low, high)
    box.setSingleStep(step)
    box.setSuffix(" px")
    box.setKeyboardTracking(False)
    box.setToolTip(tooltip)
    return box
