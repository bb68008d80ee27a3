"""A part of a panel that folds away and says in its header what is set inside."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget

__all__ = ["Fold"]


class Fold(QWidget):
    """A title that shows or hides what is under it."""

    def __init__(self, title: str, tip: str, content: QWidget) -> None:
        super().__init__()
        self.title = title
        self._tip = tip
        self.content = content
        self.header = QToolButton()
        self.header.setText(title)
        self.header.setToolTip(tip)
        self.header.setCheckable(True)
        self.header.setAutoRaise(True)
        self.header.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.header.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.header.toggled.connect(self._on_toggled)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.header)
        column.addWidget(content)
        self._on_toggled(False)

    def say(self, summary: str) -> None:
        """Put what is set inside, in a few words, beside the title."""
        self.header.setText(f"{self.title}:  {summary}" if summary else self.title)
        self.header.setToolTip(f"{self._tip}\nNow: {summary}" if summary else self._tip)

    def unfold(self, unfolded: bool = True) -> None:
        """Show or hide what is under the title."""
        self.header.setChecked(unfolded)

    def _on_toggled(self, unfolded: bool) -> None:
        self.header.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self.content.setVisible(unfolded)
