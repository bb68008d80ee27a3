"""The keys of Label boundaries: one list for those that are bound and those that are shown."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_liso.plugin.widgets.labelling.tool_row import key_text

__all__ = ["KEYS", "MOUSE", "KeysHelp"]

#: Action -> keys. Chosen among those that neither images nor labels of napari use.
KEYS: dict[str, tuple[str, ...]] = {
    "select": ("S",),
    "draw": ("D",),
    "erase": ("W",),
    "move": ("G",),
    "merge": ("J",),
    "split": ("K",),
    "paint": ("T",),
    "next": ("N",),
    "previous": ("Shift+N",),
    "use": ("A",),
    "exclude": ("R",),
    "lock": ("H",),
    "delete": ("Delete",),
    "undo": ("Ctrl+Z",),
    "redo": ("Ctrl+Shift+Z",),
}
#: What the mouse does with Select, and what ends a line.
MOUSE = (
    ("Click", "select the boundary within 5 screen pixels"),
    ("Shift+click", "add one to the selection, or take it away"),
    ("Shift+drag", "add what lies in a box, by half at least"),
    ("Ctrl+drag", "add what lies in a lasso"),
    ("Space", "hold it to move the map with a tool in hand"),
    ("Enter", "end a line or the points, as a double click does"),
    ("Backspace", "take back the last point"),
    ("Esc", "give up the line; again: back to Select"),
)
_WORDS = {
    "select": "Select",
    "draw": "Draw a boundary through a grain",
    "erase": "Wipe out a boundary",
    "move": "Grab a piece of a boundary and move it",
    "merge": "Join grains",
    "split": "Knife: split a grain between points",
    "paint": "Paint grains with napari's brush",
    "next": "Next boundary",
    "previous": "Boundary before",
    "use": "Accept the selected boundaries",
    "exclude": "Reject: exclude them",
    "lock": "Hold: lock them, so that edits leave them alone",
    "delete": "Erase them",
    "undo": "Undo",
    "redo": "Redo",
}


class KeysHelp(QWidget):
    """Two columns: key, and what it does."""

    def __init__(self) -> None:
        super().__init__()
        grid = QGridLayout(self)
        grid.setContentsMargins(4, 0, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(1)
        grid.setColumnStretch(1, 1)
        rows = list(MOUSE)
        rows += [(key_text(keys[0]), _WORDS[name]) for name, keys in KEYS.items()]
        for number, (key, words) in enumerate(rows):
            name, meaning = QLabel(key), QLabel(words)
            font = name.font()
            font.setBold(True)
            name.setFont(font)
            name.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
            name.setSizePolicy(QSizePolicy.Policy.Maximum, QSizePolicy.Policy.Preferred)
            meaning.setWordWrap(True)
            meaning.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
            grid.addWidget(name, number, 0)
            grid.addWidget(meaning, number, 1)
