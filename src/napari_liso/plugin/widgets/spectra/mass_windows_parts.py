"""The controls of the mass windows panel, and how they lie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin.spectra.windows_proposed import MATRIX
from napari_liso.plugin.widgets.fold import Fold
from napari_liso.plugin.widgets.parts import MessageLine
from napari_liso.plugin.widgets.remarks import RemarksBox
from napari_liso.plugin.widgets.spectra.depth_profile import ProfileBox
from napari_liso.plugin.widgets.spectra.recalibration import RecalibrationBox
from napari_liso.plugin.widgets.spectra.spectrum_view import SpectrumView
from napari_liso.plugin.widgets.spectra.window_table import WindowTable

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["Jumps", "Parts"]

_NO_FILE = (
    "No open file holds a spectrum. Open one of an event format, such as PHI .raw, SIMS-H5 or "
    "ION-TOF .grd."
)
_CHOOSE = (
    "The file holds whole spectra: choose the peaks to make images of. Double-click a peak to "
    "add it."
)
_NO_IMAGE = "The file holds a spectrum, no image: the table has the counts in each window."
_PROFILE = "The file holds a depth profile of chosen peaks: no image, no mass axis."
_NAME_TIP = (
    "Ions or masses in u, separated by commas: 6Li, 7Li or 22.99. The word matrix stands for the "
    "strongest other peaks."
)
_FRAMES_TIP = (
    "Also add each peak as a stack of its scans, one after the other; a long measurement is read "
    "scan by scan as you move the slider"
)


class Jumps(QWidget):
    """Buttons that go to a window each, and one for the whole spectrum."""

    jumped = Signal(str)  # name of a window; "" is the whole spectrum

    _COLUMNS = 6

    def __init__(self) -> None:
        super().__init__()
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 0, 0)
        self._grid.setSpacing(3)
        self.buttons: list[QToolButton] = []
        self._names: list[str] = ["?"]
        self.show_names([])

    def show_names(self, names: list[str]) -> None:
        """Have a button for each of these windows."""
        if names == self._names:
            return
        self._names = list(names)
        for button in self.buttons:
            self._grid.removeWidget(button)
            button.hide()  # it is deleted only once the event loop comes round
            button.deleteLater()
        self.buttons = []
        for place, name in enumerate(["", *names]):
            button = QToolButton()
            button.setText(name or "all")
            button.setToolTip(f"Look at {name}" if name else "Look at the whole spectrum")
            button.setProperty("window_name", name)
            button.clicked.connect(self._on_clicked)
            self._grid.addWidget(button, place // self._COLUMNS, place % self._COLUMNS)
            self.buttons.append(button)
        self._grid.setColumnStretch(self._COLUMNS, 1)

    def _on_clicked(self) -> None:
        sender = self.sender()
        if sender is not None:
            self.jumped.emit(str(sender.property("window_name")))


class Parts:
    """All controls of the panel."""

    def __init__(self, viewer: ViewerModel) -> None:
        self.remarks = RemarksBox()
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.files = QComboBox()
        self.files.setToolTip("Which of the open files")
        self.files.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.names = QLineEdit(f"6Li, 7Li, {MATRIX}")
        self.names.setToolTip(_NAME_TIP)
        self.propose_button = QPushButton("Propose")
        self.view = SpectrumView(viewer)
        self.jumps = Jumps()
        self.log = QCheckBox("log")
        self.log.setChecked(True)
        self.log.setToolTip("Counts on a logarithmic axis")
        self.remove_button = QPushButton("Remove")
        self.remove_button.setToolTip("Take the selected windows out of the table")
        self.table = WindowTable()
        self.fraction = MessageLine()
        self.fraction.setToolTip(
            "Isotope fraction of the counts in the windows, with the interval that chance allows. "
            "Dead time, background and hydride (6LiH on 7Li) are in it as they are in the counts."
        )
        self.doubts = MessageLine()
        self.recalibration = RecalibrationBox()
        self.recalibrate = Fold(
            "Recalibrate",
            "Put the mass axis right with two peaks whose ions are known",
            self.recalibration,
        )
        self.frames = QCheckBox("Frames as a stack, too")
        self.frames.setToolTip(_FRAMES_TIP)
        self.make_button = QPushButton("Make images")
        self.copy_button = QPushButton("Copy as Python")
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop reading; nothing is changed")
        self.profile = ProfileBox(viewer)
        self.with_spectrum: list[QWidget] = []
        self.with_images: list[QWidget] = []

    def arrange(self, column: QVBoxLayout, message: QWidget) -> None:
        """Put everything into a column."""
        peaks = _row(QLabel("Peaks"), (self.names, 1), self.propose_button)
        looks = _row((self.jumps, 1), self.log)
        buttons = _row((self.make_button, 1), self.copy_button)
        self.running = _row((self.progress, 1), self.cancel_button)
        self.choice = _row(self.frames, (QWidget(), 1), self.remove_button)
        self.with_spectrum = [peaks, self.view, looks, self.table, self.recalibrate, buttons]
        self.with_images = [self.frames, self.make_button]
        for widget in (
            self.remarks,
            self.hint,
            self.files,
            peaks,
            self.view,
            looks,
            self.table,
            self.fraction,
            self.doubts,
            self.choice,
            self.recalibrate,
            buttons,
            self.running,
            self.profile,
            message,
        ):
            column.addWidget(widget)
        self.show_running(False)

    def show_for(self, there: bool, spectrum: bool, image: bool) -> None:
        """Show the controls that there is a use for."""
        for widget in (*self.with_spectrum, self.choice):
            widget.setVisible(there and spectrum)
        self.frames.setVisible(image)
        self.make_button.setText("Make images" if image else "Keep these windows")
        if not there:
            self.hint.setText(_NO_FILE)
        elif not spectrum:
            self.hint.setText(_PROFILE)
        else:
            self.hint.setText(_CHOOSE if image else _NO_IMAGE)

    def show_running(self, running: bool) -> None:
        """Show progress and Cancel while a file is read."""
        self.progress.setRange(0, 0)  # busy, until the first share is told
        self.running.setVisible(running)

    def show_files(self, names: list[str], chosen: int) -> None:
        """Show which files can be chosen, where there are several."""
        self.files.clear()
        self.files.addItems(names)
        self.files.setCurrentIndex(chosen)
        self.files.setVisible(len(names) > 1)


def _row(*widgets: QWidget | tuple[QWidget, int]) -> QWidget:
    """Put widgets beside each other; a pair is a widget and its share of the free room."""
    holder = QWidget()
    row = QHBoxLayout(holder)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(6)
    for entry in widgets:
        widget, stretch = entry if isinstance(entry, tuple) else (entry, 0)
        row.addWidget(widget, stretch)
    return holder
