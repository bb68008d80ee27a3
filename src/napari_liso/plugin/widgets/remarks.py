"""What a reader found doubtful about a file: shown once, then folded away."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QLabel, QPushButton, QSizePolicy, QToolButton, QVBoxLayout

from napari_liso.plugin.acquisitions import file_name

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition

__all__ = ["RemarksBox"]

#: Files and the remarks on them that were read in this session of napari.
_read: set[tuple[str, str]] = set()


class RemarksBox(QFrame):
    """Warnings of a file, open until read once; a click on the title opens them again."""

    def __init__(self) -> None:
        super().__init__()
        self._path = ""
        self.warnings: list[str] = []
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.title = QToolButton()
        self.title.setAutoRaise(True)
        self.title.setCheckable(True)
        self.title.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.title.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.title.setToolTip("What is to be known about this file before a number is believed")
        self.title.toggled.connect(self._on_toggled)
        self.text = QLabel()
        self.text.setWordWrap(True)
        self.text.setTextFormat(Qt.TextFormat.PlainText)
        self.text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.read_button = QPushButton("Understood")
        self.read_button.setToolTip("Fold this away; the record of every layer keeps it")
        self.read_button.clicked.connect(self.mark_read)
        column = QVBoxLayout(self)
        column.setContentsMargins(4, 4, 4, 4)
        column.setSpacing(4)
        for part in (self.title, self.text, self.read_button):
            column.addWidget(part)
        self.show_acquisition(None)

    def show_acquisition(self, acquisition: Acquisition | None) -> None:
        """Show the warnings of a file; those that were read stay folded."""
        warnings = [] if acquisition is None else list(acquisition.metadata.get("warnings", ()))
        path = "" if acquisition is None else str(acquisition.metadata.get("path", ""))
        if (path, warnings) == (self._path, self.warnings) and warnings:
            return
        self._path, self.warnings = path, warnings
        self.setVisible(bool(warnings))
        if not warnings or acquisition is None:
            return
        number = "1 remark" if len(warnings) == 1 else f"{len(warnings)} remarks"
        self.title.setText(f"⚠ {number} on {file_name(acquisition)}")
        self.text.setText("\n\n".join(warnings))
        self._unfold(any((path, warning) not in _read for warning in warnings))

    def mark_read(self) -> None:
        """Fold the warnings away until there are others."""
        _read.update((self._path, warning) for warning in self.warnings)
        self._unfold(False)

    def _unfold(self, unfolded: bool) -> None:
        self.title.setChecked(unfolded)
        self._on_toggled(unfolded)

    def _on_toggled(self, unfolded: bool) -> None:
        self.title.setArrowType(Qt.ArrowType.DownArrow if unfolded else Qt.ArrowType.RightArrow)
        self.text.setVisible(unfolded)
        unread = any((self._path, warning) not in _read for warning in self.warnings)
        self.read_button.setVisible(unfolded and unread)
