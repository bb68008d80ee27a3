"""Buttons that write a table as CSV or put it on the clipboard."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QFileDialog, QHBoxLayout, QPushButton, QWidget

from napari_liso.plugin.widgets.parts import enable
from napari_liso.tables import with_units, write_table

__all__ = ["Exported", "TableButtons"]

_SAVE_TIP = (
    "Write this table as CSV: units in the names of the columns, and at the top, in lines that "
    "begin with #, from what and how it was made"
)
_COPY_TIP = "Copy this table, to paste it into a spreadsheet"


@dataclass(frozen=True, eq=False)
class Exported:
    """A table to be written.

    Parameters
    ----------
    table
        With SI units.
    provenance
        JSON-able facts for the head of the file.
    units
        Of its columns, see `write_table`.
    name
        To suggest for the file.
    """

    table: pd.DataFrame
    provenance: dict[str, Any]
    units: dict[str, str]
    name: str


class TableButtons(QWidget):
    """Save CSV and Copy, for the table that `source` returns when one of them is pressed."""

    said = Signal(str)  # what was done
    failed = Signal(object)  # an OSError or ValueError

    def __init__(self, source: Callable[[], Exported | None]) -> None:
        super().__init__()
        self._source = source
        self.save_button = QPushButton("Save CSV …")
        self.save_button.clicked.connect(self.ask_and_save)
        self.copy_button = QPushButton("Copy")
        self.copy_button.clicked.connect(self.copy)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.save_button, 1)
        row.addWidget(self.copy_button, 1)

    def allow(self, missing: str) -> None:
        """Enable the buttons, or say why there is nothing to write."""
        enable(self.save_button, missing, _SAVE_TIP)
        enable(self.copy_button, missing, _COPY_TIP)

    def ask_and_save(self) -> None:
        """Ask for a file, and write the table into it."""
        made = self._source()
        if made is None:
            return
        dialog = QFileDialog(self, "Save the table", "", "Table (*.csv)")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        # so that the dialog itself asks before a file is replaced
        dialog.setDefaultSuffix("csv")
        dialog.selectFile(made.name)
        if dialog.exec():
            self.save(Path(dialog.selectedFiles()[0]))

    def save(self, path: Path) -> None:
        """Write the table into a file."""
        made = self._source()
        if made is None:
            return
        try:
            write_table(path, made.table, made.provenance, made.units)
        except (OSError, ValueError) as error:
            self.failed.emit(error)
        else:
            self.said.emit(f"{len(made.table)} rows were written to '{path.name}'.")

    def copy(self) -> None:
        """Put the table on the clipboard, columns separated by tabulators."""
        made, clipboard = self._source(), QApplication.clipboard()
        if made is not None and clipboard is not None:
            table = with_units(made.table, made.units)
            clipboard.setText(table.to_csv(sep="\t", lineterminator="\n"))
            self.said.emit(f"{len(table)} rows are on the clipboard.")
