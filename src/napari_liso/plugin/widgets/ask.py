"""Questions about a measurement that its file leaves open: pixel size and pulses."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QDoubleSpinBox,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QWidget,
)

from napari_liso.plugin.widgets.parts import MessageLine, wide

__all__ = ["AskPixelSize", "AskPulses"]


class AskPixelSize(QWidget):
    """The pixel size, or a box to type it where it is unknown or wrong."""

    given = Signal(float)  # um

    def __init__(self) -> None:
        super().__init__()
        self.known = QLabel()
        self.known.setToolTip("Side lengths of a pixel, from the unit and scale of the layer")
        self.change_button = QPushButton("Change")
        self.change_button.setToolTip("Give another pixel size, if this one is wrong")
        self.change_button.clicked.connect(self._on_change)
        self.size_box = wide(QDoubleSpinBox())
        self.size_box.setDecimals(4)
        self.size_box.setRange(0.0001, 10_000)
        self.size_box.setValue(1.0)
        self.size_box.setSuffix(" µm")
        self.size_box.setToolTip(
            "Side length of a pixel in µm: the width of the analysed area divided by the "
            "number of pixels across it"
        )
        self.set_button = QPushButton("Set")
        self.set_button.setToolTip("Give both counts layers, and grains drawn on them, this size")
        self.set_button.clicked.connect(self._on_set)
        self.unknown = QWidget()
        row = QHBoxLayout(self.unknown)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.size_box, 1)
        row.addWidget(self.set_button)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.known, 0, 0)
        grid.addWidget(self.change_button, 0, 1)
        grid.addWidget(self.unknown, 1, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        self.show_size(None, False)

    def show_size(self, size: tuple[float, float] | None, asked: bool) -> None:
        """Show a size (y, x) in um, or ask for it.

        Parameters
        ----------
        size
            None where it is unknown.
        asked
            Whether there is something that needs it.
        """
        self.unknown.setVisible(asked and size is None)
        self.change_button.setVisible(size is not None)
        if size is not None:
            y, x = size
            self.known.setText(f"{y:.4g} × {x:.4g} µm")
            self.size_box.setValue(x)
        else:
            self.known.setText("not in the file: please type it" if asked else "–")

    def _on_change(self) -> None:
        self.unknown.setVisible(self.unknown.isHidden())

    def _on_set(self) -> None:
        self.given.emit(self.size_box.value())


class AskPulses(QWidget):
    """The primary pulses per pixel and frame, or a box to type them with a proposal."""

    given = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.known = QLabel()
        self.change_button = QPushButton("Change")
        self.change_button.setToolTip("Give another number of pulses, if this one is wrong")
        self.change_button.clicked.connect(self._on_change)
        self.box = wide(QSpinBox())
        self.box.setRange(1, 10_000_000)
        self.box.setGroupSeparatorShown(True)
        self.box.setToolTip(
            "Primary-ion pulses that each pixel got in each frame (scan): the shots per pixel of "
            "the measurement's settings. No more than one ion of a peak is counted a pulse, so "
            "the number tells how many were missed (dead time)."
        )
        self.set_button = QPushButton("Set")
        self.set_button.setToolTip("Keep this number with every layer of the file")
        self.set_button.clicked.connect(self._on_set)
        self.how = MessageLine()
        self.unknown = QWidget()
        row = QHBoxLayout(self.unknown)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 1)
        row.addWidget(self.set_button)
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(self.known, 0, 0)
        grid.addWidget(self.change_button, 0, 1)
        grid.addWidget(self.unknown, 1, 0, 1, 2)
        grid.addWidget(self.how, 2, 0, 1, 2)
        grid.setColumnStretch(0, 1)
        self._of = ""

    def show_pulses(self, of: str, known: str, proposal: tuple[int, str] | None) -> None:
        """Show what is known, or ask with a proposal.

        Parameters
        ----------
        of
            The file, so that a proposal does not overwrite what is being typed.
        known
            The number in words, ``""`` where it is unknown.
        proposal
            A number and how it comes about.
        """
        new = of != self._of
        self._of = of
        self.change_button.setVisible(bool(known))
        self.known.setText(known or "not in the file")
        if known and not new:
            self.unknown.setVisible(False)
        elif new or not known:
            self.unknown.setVisible(not known)
        if new:
            self.box.setValue(1 if proposal is None else proposal[0])
        self.how.say("" if known or proposal is None else f"Proposed: {proposal[1]}.")

    def _on_change(self) -> None:
        self.unknown.setVisible(self.unknown.isHidden())

    def _on_set(self) -> None:
        self.given.emit(self.box.value())
