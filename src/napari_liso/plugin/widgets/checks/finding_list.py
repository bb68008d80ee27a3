"""Findings as a list: a mark, a name, and what was found in plain words."""

from __future__ import annotations

from collections.abc import Iterable

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_liso.counting.finding import BAD, DOUBTFUL, GOOD, UNKNOWN, Finding

__all__ = ["MARKS", "FindingList", "summary_of"]

#: Sign and colour of each verdict: the sign says it without the colour, too.
MARKS = {
    GOOD: ("✔", "#2fae6b"),
    DOUBTFUL: ("⚠", "#e69f00"),
    BAD: ("✖", "#e0524d"),
    UNKNOWN: ("?", "#8f98a3"),
}
_WORDS = {
    GOOD: "Good",
    DOUBTFUL: "Doubtful: look into it",
    BAD: "Bad: results would be wrong",
    UNKNOWN: "Unknown: the data cannot tell",
}


class FindingList(QWidget):
    """One row a finding; text can be selected."""

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setHorizontalSpacing(6)
        self._grid.setVerticalSpacing(6)
        self._grid.setColumnStretch(1, 1)
        self._labels: list[QLabel] = []
        self.hide()

    def show_findings(self, findings: Iterable[Finding], names: bool = True) -> None:
        """Show findings in place of those before; `names` puts what was looked at in front."""
        for label in self._labels:
            label.setParent(None)
            label.deleteLater()
        self._labels = []
        for row, finding in enumerate(findings):
            sign, colour = MARKS[finding.verdict]
            mark = QLabel(f'<span style="color:{colour}; font-size:15px"><b>{sign}</b></span>')
            mark.setToolTip(_WORDS[finding.verdict])
            mark.setAccessibleName(_WORDS[finding.verdict])
            mark.setFixedWidth(18)
            mark.setAlignment(Qt.AlignmentFlag.AlignTop | Qt.AlignmentFlag.AlignHCenter)
            text = QLabel()
            text.setTextFormat(Qt.TextFormat.RichText)
            escaped = _escaped(finding.text)
            text.setText(f"<b>{_escaped(finding.name)}.</b> {escaped}" if names else escaped)
            text.setWordWrap(True)
            text.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            text.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            self._grid.addWidget(mark, row, 0)
            self._grid.addWidget(text, row, 1)
            self._labels += [mark, text]
        self.setVisible(bool(self._labels))


def summary_of(findings: Iterable[Finding]) -> str:
    """Count the verdicts in words: ``5 good, 1 doubtful``."""
    verdicts = [finding.verdict for finding in findings]
    order = (BAD, DOUBTFUL, UNKNOWN, GOOD)
    return ", ".join(f"{verdicts.count(v)} {v}" for v in order if v in verdicts)


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;")
