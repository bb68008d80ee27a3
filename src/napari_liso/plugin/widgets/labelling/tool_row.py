"""Rows of small buttons with a picture and a word under it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QColor, QKeySequence, QPainter, QPaintEvent, QPen
from qtpy.QtWidgets import QButtonGroup, QHBoxLayout, QSizePolicy, QToolButton, QWidget

from napari_liso.plugin.widgets.labelling.icons import icon

__all__ = ["Button", "ButtonRow", "key_text"]

#: The colour of the line that a tool draws on the map.
_CHOSEN = QColor(0, 190, 215)


@dataclass(frozen=True)
class Button:
    """What a button is.

    Parameters
    ----------
    name
        Of the tool or action, and of its picture.
    word
        Under the picture.
    tip
        What it does.
    key
        That does the same, as Qt writes it; ``""``: none.
    """

    name: str
    word: str
    tip: str
    key: str = ""


class _Button(QToolButton):
    """A button that shows clearly that it is the chosen one."""

    def paintEvent(self, event: QPaintEvent | None) -> None:
        """Lay the colour of what is chosen over it, thin enough to read through."""
        super().paintEvent(event)
        if self.isChecked() and self.isEnabled():
            painter = QPainter(self)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(QPen(_CHOSEN, 1.5))
            painter.setBrush(QColor(_CHOSEN.red(), _CHOSEN.green(), _CHOSEN.blue(), 70))
            painter.drawRoundedRect(self.rect().adjusted(1, 1, -2, -2), 4, 4)
            painter.end()


class ButtonRow(QWidget):
    """Buttons beside each other, as wide as the dock; either tools or actions.

    Attributes
    ----------
    buttons
        By name.
    """

    pressed = Signal(str)

    def __init__(self, specs: Sequence[Button], tools: bool = False) -> None:
        super().__init__()
        self._specs = {spec.name: spec for spec in specs}
        self.buttons: dict[str, QToolButton] = {}
        self._names: dict[int, str] = {}
        self._group = QButtonGroup(self)
        self._group.setExclusive(tools)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(2)
        for number, spec in enumerate(specs):
            button = _Button()
            button.setAutoRaise(True)
            button.setText(spec.word)
            button.setCheckable(tools)
            button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextUnderIcon)
            button.setIconSize(QSize(20, 20))
            button.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
            button.setMinimumWidth(30)
            # the keys go on acting on the map
            button.setFocusPolicy(Qt.FocusPolicy.NoFocus)
            self.buttons[spec.name] = button
            self._names[number] = spec.name
            self._group.addButton(button, number)
            # long words get the room that short ones leave
            row.addWidget(button, 30 + self.fontMetrics().horizontalAdvance(spec.word))
            self.allow(spec.name, "")
        self._group.idClicked.connect(self._on_clicked)
        self._draw_icons()

    def allow(self, name: str, missing: str, tip: str = "") -> None:
        """Enable a button, or disable it and say why; `tip` instead of its own words."""
        spec, button = self._specs[name], self.buttons[name]
        if button.isEnabled() == bool(missing):
            button.setEnabled(not missing)
            self._draw_icon(name)
        key = f"  [{key_text(spec.key)}]" if spec.key else ""
        words = f"{tip or spec.tip}{key}"
        button.setToolTip(f"Not yet: {missing}\n{words}" if missing else words)

    def check(self, name: str) -> None:
        """Show a tool as the chosen one."""
        self.buttons[name].setChecked(True)

    def changeEvent(self, event: QEvent | None) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        kinds = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        if event is not None and event.type() in kinds:
            self._draw_icons()

    def showEvent(self, event: object) -> None:
        """Take the colours that the window has given by now."""
        super().showEvent(event)
        self._draw_icons()

    def _draw_icons(self) -> None:
        for name in self.buttons:
            self._draw_icon(name)

    def _draw_icon(self, name: str) -> None:
        button = self.buttons[name]
        button.ensurePolished()
        # the theme's colour of an enabled button is known only while it is one
        ink = self.palette().color(self.foregroundRole())
        button.setIcon(icon(name, ink))

    def _on_clicked(self, number: int) -> None:
        self.pressed.emit(self._names[number])


def key_text(key: str) -> str:
    """Return a key as this computer writes it."""
    return QKeySequence(key).toString(QKeySequence.SequenceFormat.NativeText)
