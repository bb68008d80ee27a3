"""Choose mass windows in the spectrum of an event file, and make an image of each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QWidget,
)

from napari_liso.isotopes import ion_mass
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.canvas import ThemedCanvas
from napari_liso.plugin.widgets.parts import Panel, enable
from napari_liso.plugin.widgets.profile_plot import ORANGE

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition

__all__ = ["MassWindowsPanel"]

_NAME_TIP = "Isotopes or masses in u, separated by commas: 6Li, 7Li or 22.99"
_HEADERS = ("name", "from (u)", "to (u)", "counts")


class MassWindowsPanel(Panel):
    """Spectrum with the windows shaded, their table, and a button that makes the images."""

    available = Signal(bool)  # whether there is a spectrum
    made = Signal()  # images were added

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.names = QLineEdit("6Li, 7Li")
        self.names.setToolTip(_NAME_TIP)
        self.names.returnPressed.connect(self.propose)
        self.propose_button = QPushButton("Propose")
        self.propose_button.clicked.connect(self.propose)
        self.plot = ThemedCanvas(context.viewer, 190)
        self.table = QTableWidget(0, len(_HEADERS))
        self.make_button = QPushButton("Make images")
        self.make_button.clicked.connect(self.make_images)
        self._arrange()
        self.task = Task(self)
        self.task.succeeded.connect(self._on_images)
        self.task.failed.connect(self.fail)
        self.task.running_changed.connect(self._refresh_buttons)
        self._acquisition: Acquisition | None = None
        self._spectrum: tuple[NDArray[Any], NDArray[Any]] | None = None
        self._filling = False
        self._made = False
        self.table.itemChanged.connect(self._on_edited)
        self.table.itemSelectionChanged.connect(self._draw)
        context.layers_changed.connect(self.refresh)
        self.refresh()

    def _arrange(self) -> None:
        self.table.setHorizontalHeaderLabels(_HEADERS)
        self.table.setToolTip(
            "Edges of each mass window in u; edit them by double-clicking. The low edge is "
            "included, the high edge is not."
        )
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.Stretch)
        self.table.verticalHeader().hide()
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setFixedHeight(5 * (self.fontMetrics().height() + 12))
        self.peaks = QWidget()
        row = QHBoxLayout(self.peaks)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(QLabel("Peaks"))
        row.addWidget(self.names, 1)
        row.addWidget(self.propose_button)
        self.column.addWidget(self.hint)
        for widget in (self.peaks, self.plot, self.table, self.make_button, self.message):
            self.column.addWidget(widget)

    # --- the acquisition ----------------------------------------------------------------------

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        if self._acquisition is None:
            return "no spectrum"
        return "" if self._made else "choose the peaks"

    @property
    def has_spectrum(self) -> bool:
        """Whether an open file holds a spectrum."""
        return self._acquisition is not None

    def refresh(self) -> None:
        """Take the spectrum of the acquisition opened last that has one."""
        found = None
        for layer in self.context.viewer.layers:
            acquisition = ly.acquisition_from_layer(layer)
            if acquisition is not None and acquisition.spectrum_source is not None:
                found = acquisition
        if found is not None and self._acquisition is not None and _same(found, self._acquisition):
            return
        self._acquisition, self._spectrum = found, None
        there = found is not None
        for part in (self.plot, self.table, self.make_button):
            part.setVisible(there)
        self.peaks.setVisible(there)
        self.hint.setText(
            "The file holds whole spectra: choose the peaks to make images of."
            if there
            else "No open file holds a spectrum. Open one of an event format, such as SIMS-H5."
        )
        self.available.emit(there)
        if found is not None:
            self._read_spectrum(found)
        self._refresh_buttons()

    def _read_spectrum(self, acquisition: Acquisition) -> None:
        try:
            mass, counts = acquisition.spectrum()
        except (ValueError, OSError) as error:
            self.fail(error)
            return
        self._spectrum = (np.asarray(mass), np.asarray(counts))
        self.propose(quiet=True)
        self._draw()

    def _refresh_buttons(self) -> None:
        missing = ""
        if self.task.running:
            missing = "reading"
        elif not self.windows():
            missing = "give at least one window with from < to"
        enable(
            self.make_button, missing, "Read the counts inside each window and add a layer of each"
        )
        spectrum = "" if self._spectrum is not None else "there is no spectrum"
        enable(
            self.propose_button,
            spectrum,
            "Find the peaks nearest to these masses and put windows around what is there",
        )

    # --- the windows --------------------------------------------------------------------------

    def propose(self, quiet: bool = False) -> None:
        """Put windows around the observed peaks nearest to the typed isotopes.

        Parameters
        ----------
        quiet
            Say nothing if there is no such peak: the user has not asked yet.
        """
        from napari_liso.readers.windows import observed_windows

        if self._spectrum is None:
            return
        self.message.say("")
        names = [name.strip() for name in self.names.text().split(",") if name.strip()]
        try:
            peaks = {name: ion_mass(name) for name in names}
            windows = observed_windows(*self._spectrum, peaks)
        except ValueError as error:
            if quiet is True:
                self._fill({})
            else:
                self.fail(error)
            return
        self._fill(windows)

    def _fill(self, windows: dict[str, tuple[float, float]]) -> None:
        self._filling = True
        self.table.setRowCount(0)
        for name, (low, high) in windows.items():
            self._add_row(name, f"{low:.4f}", f"{high:.4f}")
        self._add_row("", "", "")  # to type another one
        self._filling = False
        self._on_edited()

    def _add_row(self, *texts: str) -> None:
        row = self.table.rowCount()
        self.table.insertRow(row)
        for column, text in enumerate((*texts, "")):
            item = QTableWidgetItem(text)
            if column:
                item.setTextAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            if column == len(_HEADERS) - 1:
                item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
            self.table.setItem(row, column, item)

    def _text(self, row: int, column: int) -> str:
        item = self.table.item(row, column)
        return "" if item is None else item.text().strip()

    def windows(self) -> dict[str, tuple[float, float]]:
        """Return the complete rows of the table: name and (low, high) in u."""
        found = {}
        for row in range(self.table.rowCount()):
            texts = [self._text(row, column) for column in range(3)]
            try:
                low, high = float(texts[1]), float(texts[2])
            except ValueError:
                continue
            if texts[0] and 0 < low < high:
                found[texts[0]] = (low, high)
        return found

    def _on_edited(self, item: object = None) -> None:
        if self._filling:
            return
        self._filling = True
        windows = self.windows()
        for row in range(self.table.rowCount()):
            window = windows.get(self._text(row, 0))
            text = "" if window is None else f"{self._counts_in(window):,}"
            item_of_counts = self.table.item(row, 3)
            if item_of_counts is not None:
                item_of_counts.setText(text)
        last = self.table.rowCount() - 1
        if last < 0 or self._text(last, 0):
            self._add_row("", "", "")
        self._filling = False
        self._refresh_buttons()
        self._draw()

    def _counts_in(self, window: tuple[float, float]) -> int:
        if self._spectrum is None:
            return 0
        mass, counts = self._spectrum
        return int(counts[(mass >= window[0]) & (mass < window[1])].sum())

    # --- the plot -----------------------------------------------------------------------------

    def _draw(self) -> None:
        if self._spectrum is None:
            return
        windows = self.windows()
        axes = self.plot.clear()
        mass, counts = self._spectrum
        low, high = self._view(windows, mass)
        inside = (mass >= low) & (mass <= high)
        bins = 600
        height, edges = np.histogram(mass[inside], bins, (low, high), weights=counts[inside])
        axes.stairs(height, edges, color=self.plot.ink, linewidth=0.9)
        for name, (start, end) in windows.items():
            axes.axvspan(start, end, color=ORANGE, alpha=0.35, linewidth=0)
            if low < (start + end) / 2 < high:
                axes.annotate(
                    name,
                    ((start + end) / 2, 1.0),
                    xycoords=("data", "axes fraction"),
                    ha="center",
                    va="bottom",
                    color=self.plot.ink,
                    fontsize=8,
                )
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(0, max(2.0, 1.5 * height.max()))
        axes.set_xlim(low, high)
        axes.set_xlabel("mass (u)")
        axes.set_ylabel("counts")
        self.plot.redraw()

    def _view(
        self, windows: dict[str, tuple[float, float]], mass: NDArray[Any]
    ) -> tuple[float, float]:
        """Return the mass range shown: the selected window, all windows, or everything."""
        row = self.table.currentRow()
        name = self._text(row, 0) if row >= 0 else ""
        if name in windows and self.table.selectedItems():
            low, high = windows[name]
            margin = 3 * (high - low)
            return low - margin, high + margin
        if windows:
            edges = np.array(list(windows.values()))
            margin = max(0.3, 0.15 * float(np.ptp(edges)))
            return float(edges.min()) - margin, float(edges.max()) + margin
        return float(mass.min(initial=0.0)), float(mass.max(initial=100.0))

    # --- the images ---------------------------------------------------------------------------

    def make_images(self) -> None:
        """Read the counts in every window, in a thread."""
        windows = self.windows()
        if self._acquisition is None or not windows:
            return
        self.message.say("Reading …")
        self.task.start(_read, self._acquisition.metadata["path"], windows)

    def _on_images(self, acquisition: Acquisition) -> None:
        total = [layer for layer in self.context.viewer.layers if _is_total(layer)]
        for layer_data in ly.acquisition_layers(acquisition):
            ly.show(self.context.viewer, layer_data)
        for layer in total:
            layer.visible = False
        made = ", ".join(f"{name} {acquisition[name].sum():,}" for name in acquisition.channels)
        self.message.say(f"Images made (counts): {made}.")
        self._made = True
        self.made.emit()


def _same(one: Acquisition, other: Acquisition) -> bool:
    return one is other or one.metadata.get("path") == other.metadata.get("path")


def _is_total(layer: Any) -> bool:
    return layer.metadata.get(ly.PROVENANCE, {}).get("channel") == "total"


def _read(path: Any, windows: dict[str, tuple[float, float]]) -> Acquisition:
    from napari_liso.readers import read

    return read(path, windows)
