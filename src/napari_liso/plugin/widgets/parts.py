"""Small parts that the panels share: layer boxes, message lines, panels, number formats."""

from __future__ import annotations

import math
from typing import TypeVar

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.features import shown_permeability

__all__ = [
    "LayerBox",
    "MessageLine",
    "Panel",
    "enable",
    "form",
    "format_estimate",
    "interval",
    "plain_estimate",
    "scientific",
    "wide",
]


W = TypeVar("W", bound=QWidget)


class LayerBox(QComboBox):
    """A combo box over a `LayerChoice`."""

    def __init__(self, choice: LayerChoice, hint: str, tooltip: str) -> None:
        super().__init__()
        self._choice = choice
        self._hint = hint
        self.setToolTip(tooltip)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        self.setMinimumContentsLength(8)
        choice.candidates_changed.connect(self._refill)
        choice.changed.connect(self._refill)
        self.activated.connect(self._on_activated)
        self._refill()

    def _refill(self) -> None:
        self.blockSignals(True)
        self.clear()
        self.addItem(self._hint)
        self.addItems([layer.name for layer in self._choice.candidates])
        current = self._choice.current
        found = current is not None and current in self._choice.candidates
        self.setCurrentIndex(1 + self._choice.candidates.index(current) if found else 0)
        self.blockSignals(False)

    def _on_activated(self, index: int) -> None:
        self._choice.choose(self._choice.candidates[index - 1] if index > 0 else None)


class MessageLine(QLabel):
    """One line that says what happened or what is missing; hidden while there is nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.setWordWrap(True)
        self.setTextFormat(Qt.TextFormat.PlainText)
        self.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.hide()

    def say(self, text: str) -> None:
        """Show a message, or nothing."""
        self.setText(text)
        self.setVisible(bool(text))

    def warn(self, text: str) -> None:
        """Show a message that needs attention."""
        self.say(f"⚠ {text}")


class Panel(QWidget):
    """A step of the work: controls over a context, with a message line.

    Attributes
    ----------
    context
        The layers that the panel works on.
    message
        What happened last.
    """

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.message = MessageLine()
        self.column = QVBoxLayout(self)
        self.column.setContentsMargins(2, 2, 2, 2)
        self.column.setSpacing(6)

    def forget_when_changed(self, *choices: LayerChoice) -> None:
        """Let the message go once another layer is chosen: it was about the former one."""
        for choice in choices:
            choice.changed.connect(self.forget)

    def forget(self) -> None:
        """Say nothing any more."""
        self.message.say("")

    def fail(self, error: Exception) -> None:
        """Tell about something that the user can put right; nothing else changes."""
        from napari.utils.notifications import show_warning

        text = str(error)
        self.message.warn(text[:1].upper() + text[1:])
        show_warning(f"napari-liso: {text}")


def form() -> QFormLayout:
    """Return a form layout that fits a narrow dock."""
    layout = QFormLayout()
    layout.setContentsMargins(0, 0, 0, 0)
    layout.setHorizontalSpacing(8)
    layout.setVerticalSpacing(5)
    layout.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow)
    layout.setLabelAlignment(Qt.AlignmentFlag.AlignLeft)
    return layout


def wide(widget: W) -> W:
    """Let a widget take the width that there is."""
    widget.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
    return widget


def enable(button: QPushButton, missing: str, tooltip: str) -> None:
    """Enable a button, or disable it with the reason as its tooltip."""
    button.setEnabled(not missing)
    button.setToolTip(f"Not yet: {missing}" if missing else tooltip)


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def scientific(value: float, digits: int = 2) -> str:
    """Write a number as ``1.4×10⁻⁸``; 0 and infinity as ``0`` and ``∞``."""
    if value == 0 or not math.isfinite(value):
        return "0" if value == 0 else ("–" if math.isnan(value) else "∞")
    mantissa, power = f"{value:.{digits - 1}e}".split("e")
    return f"{mantissa}{_power(int(power))}"


def format_estimate(value: float, lower: float, upper: float, verdict: str) -> str:
    """Write a value with its 95 % interval, ``2.6 (2.4–2.9)×10⁻¹²``, or its bound."""
    if verdict in ("lower_bound", "upper_bound"):
        bound = shown_permeability(value, lower, upper, verdict)
        return f"{'above' if verdict == 'lower_bound' else 'below'} {scientific(bound)}"
    if value > 0 and _is_narrow(lower, upper):
        power = _exponent(value)
        ends = "–".join(_mantissa(end / 10.0**power) for end in (lower, upper))
        return f"{value / 10.0**power:.1f} ({ends}){_power(power)}"
    return f"{scientific(value)} ({interval(lower, upper)})"


def plain_estimate(value: float, lower: float, upper: float, verdict: str) -> str:
    """Write a number near one with its 95 % interval, ``0.80 (0.60–1.10)``, or its bound."""
    if verdict == "lower_bound":
        return f"above {lower:.2f}"
    if verdict == "upper_bound":
        return f"below {upper:.2f}"
    return f"{value:.2f} ({lower:.2f}–{upper:.2f})"


def interval(lower: float, upper: float) -> str:
    """Write an interval, in one power of ten where its ends are near: ``2.3–5.4×10⁻⁸``."""
    if _is_narrow(lower, upper):
        power = _exponent(upper)
        ends = "–".join(_mantissa(end / 10.0**power) for end in (lower, upper))
        return f"{ends}{_power(power)}"
    return f"{scientific(lower)} – {scientific(upper)}"


def _is_narrow(lower: float, upper: float) -> bool:
    """Tell whether one power of ten does for both ends."""
    return lower > 0 and math.isfinite(upper) and upper / lower <= 100


def _exponent(value: float) -> int:
    """Return the power of ten of a number as it is written with two digits."""
    return int(f"{value:.1e}".split("e")[1])


def _mantissa(value: float) -> str:
    """Write two digits, the zero after the point included: ``3.0``, ``0.98``, ``12``."""
    return f"{value:.2f}" if value < 0.995 else f"{value:.1f}" if value < 9.95 else f"{value:.0f}"


def _power(exponent: int) -> str:
    return f"×10{str(exponent).translate(_SUPERSCRIPT)}"
