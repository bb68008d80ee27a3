"""Fill holes and Remove islands, below one size."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QDoubleSpinBox, QHBoxLayout, QPushButton, QWidget

from napari_liso.plugin.widgets.parts import enable
from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari_liso.plugin.labelling.bench import Bench

__all__ = ["CleanRow"]

_FILL_TIP = "Give pores that are enclosed and smaller than this to the grains around them"
_ISLANDS_TIP = "Give grains and separate pieces that are smaller than this to their neighbours"


class CleanRow(QWidget):
    """Two buttons, and the size below which they act.

    Attributes
    ----------
    bench
        What they act on; None while there are no boundaries.
    size_box
        Area in um2.
    """

    said = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.bench: Bench | None = None
        self.size_box = QDoubleSpinBox()
        self.size_box.setRange(0.01, 999.0)
        self.size_box.setPrefix("< ")
        self.size_box.setDecimals(2)
        self.size_box.setValue(1.0)
        self.size_box.setSuffix(" µm²")
        self.size_box.setToolTip("Area below which a hole is filled, or a grain is removed")
        self.fill_button = QPushButton("Fill holes")
        self.fill_button.clicked.connect(self.fill_holes)
        self.islands_button = QPushButton("Remove islands")
        self.islands_button.clicked.connect(self.remove_islands)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.fill_button, 1)
        row.addWidget(self.islands_button, 1)
        row.addWidget(self.size_box)

    def allow(self, missing: str) -> None:
        """Enable the buttons, or say what is missing."""
        enable(self.fill_button, missing, _FILL_TIP)
        enable(self.islands_button, missing, _ISLANDS_TIP)

    def fill_holes(self) -> None:
        """Fill small pores."""
        from napari_liso.microstructure.editing import fill_holes

        self._clean(fill_holes, "Fill holes", "No pore is enclosed by grains and")

    def remove_islands(self) -> None:
        """Remove small grains and separate pieces."""
        from napari_liso.microstructure.editing import remove_islands

        self._clean(remove_islands, "Remove islands", "No grain, and no separate piece of one, is")

    def _clean(self, function: Callable[..., Any], what: str, none: str) -> None:
        """Do it as one step, and say what came of it."""
        bench, size = self.bench, self.size_box.text().removeprefix("< ")
        if bench is None:
            return
        boundaries = bench.boundaries
        area = self.size_box.value() * MICROMETRE**2
        made: list[Any] = []

        def make() -> Any:
            made.append(function(boundaries.drawn, area, boundaries.pixel_size))
            return made[0]

        before = _there(boundaries)
        if bench.apply(make, f"{what} < {size}"):
            after = _there(bench.boundaries)
            self.said.emit(f"{what} < {size}: done, {after} boundaries (before: {before}).")
        elif made and not len(made[0].pixels):
            self.said.emit(f"{none} smaller than {size}.")


def _there(boundaries: Any) -> int:
    """Return how many boundaries are not removed."""
    return int((boundaries.table["state"] != "removed").sum())
