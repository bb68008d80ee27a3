"""One correction: its value and standard error, where it is from, and the way back."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QDoubleSpinBox,
    QGridLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QWidget,
)

from napari_liso.counting.measured import Measured
from napari_liso.plugin.widgets.parts import MessageLine

__all__ = ["BY_HAND", "MeasuredRow"]

BY_HAND = "typed by hand"


class MeasuredRow(QWidget):
    """A value ± its standard error, with its source underneath.

    Parameters
    ----------
    label
        In front of the value.
    neutral
        Value that corrects nothing; the reset button goes back to it.
    span
        Lowest and highest value.
    decimals
        Of value and error.
    what
        For the tooltips: what it is, with its unit.
    from_layer
        Text of the button that takes it from a layer; "" for none.
    """

    changed = Signal(object)  # Measured
    from_layer_asked = Signal()

    def __init__(
        self,
        label: str,
        neutral: float,
        span: tuple[float, float],
        decimals: int,
        what: str,
        from_layer: str = "",
    ) -> None:
        super().__init__()
        self._neutral = Measured(neutral)
        self._shown = self._neutral
        self.label = QLabel(label)
        self.label.setToolTip(what)
        self.value = _spin(span, decimals, what)
        self.error = _spin((0.0, span[1]), decimals, f"Standard error (one sigma) of: {what}")
        self.layer_button = QToolButton()
        self.layer_button.setText(from_layer)
        self.layer_button.setVisible(bool(from_layer))
        self.layer_button.clicked.connect(self.from_layer_asked)
        self.reset_button = QToolButton()
        self.reset_button.setText("↺")
        self.reset_button.clicked.connect(self._on_reset)
        self.source = MessageLine()
        self.source.setToolTip("Where the value is from")
        self.reason = MessageLine()
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setHorizontalSpacing(4)
        grid.setVerticalSpacing(1)
        widgets = (self.label, self.value, QLabel("±"), self.error)
        for column, widget in enumerate((*widgets, self.layer_button, self.reset_button)):
            grid.addWidget(widget, 0, column)
        grid.addWidget(self.source, 1, 1, 1, 5)
        grid.addWidget(self.reason, 2, 1, 1, 5)
        grid.setColumnMinimumWidth(0, 34)
        grid.setColumnStretch(1, 3)
        grid.setColumnStretch(3, 2)
        for box in (self.value, self.error):
            box.valueChanged.connect(self._on_typed)
        self.show_measured(self._neutral)

    @property
    def measured(self) -> Measured:
        """What is shown."""
        return self._shown

    def show_measured(self, measured: Measured) -> None:
        """Show a value without telling that it changed."""
        self._shown = measured
        for box, number in ((self.value, measured.value), (self.error, measured.error)):
            box.blockSignals(True)
            box.setValue(number)
            box.blockSignals(False)
        self.source.say(measured.source)
        is_neutral = measured == self._neutral
        self.reset_button.setEnabled(not is_neutral)
        self.reset_button.setToolTip(
            "Nothing to reset: this correction is off"
            if is_neutral
            else f"Turn this correction off ({self._neutral.value:g})"
        )

    def allow(self, missing: str, layer_missing: str = "", layer_tip: str = "") -> None:
        """Enable the row, or say why it makes no sense here.

        Parameters
        ----------
        missing
            Reason why nothing can be corrected, or "".
        layer_missing
            Reason why it cannot be taken from a layer, or "".
        layer_tip
            Tooltip of the button for that, where it can.
        """
        self.reason.say(missing)
        for widget in (self.label, self.value, self.error):
            widget.setEnabled(not missing)
        why = missing or layer_missing
        self.layer_button.setEnabled(not why)
        self.layer_button.setToolTip(f"Not yet: {why}" if why else layer_tip)

    def _on_typed(self) -> None:
        self._take(Measured(self.value.value(), self.error.value(), BY_HAND))

    def _on_reset(self) -> None:
        self._take(self._neutral)

    def _take(self, measured: Measured) -> None:
        same = (measured.value, measured.error) == (self._neutral.value, self._neutral.error)
        self.show_measured(self._neutral if same else measured)
        self.changed.emit(self._shown)


def _spin(span: tuple[float, float], decimals: int, tooltip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(*span)
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
    box.setKeyboardTracking(False)
    box.setToolTip(tooltip)
    box.setMinimumWidth(56)
    box.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
    return box
