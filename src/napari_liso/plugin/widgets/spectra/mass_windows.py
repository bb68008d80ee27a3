"""Choose mass windows in the spectrum of a file, and make an image of each."""

from __future__ import annotations

from typing import TYPE_CHECKING

from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QApplication

from napari_liso.isotopes import ion_mass
from napari_liso.plugin.acquisitions import file_name, paths_of
from napari_liso.plugin.context import Context
from napari_liso.plugin.spectra.mass_scale import MassScale
from napari_liso.plugin.spectra.open_spectrum import OpenSpectrum
from napari_liso.plugin.spectra.readings import Reading, read_windows, show_reading
from napari_liso.plugin.spectra.window_text import fraction_lines, isotope_pairs, python_call
from napari_liso.plugin.spectra.windows_proposed import (
    MATRIX,
    doubts_about,
    proposed_windows,
    window_at,
)
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.parts import Panel, enable
from napari_liso.plugin.widgets.spectra.mass_windows_parts import Parts

if TYPE_CHECKING:
    from napari_liso.readers.peaks import Recalibration

__all__ = ["MassWindowsPanel"]

Windows = dict[str, tuple[float, float]]

#: Intensities from here on are shown without decimals: the column is narrow.
_MANY = 1e4
#: Pause after the last change before the windows are examined, ms.
_PAUSE = 150

_NOTHING_FOUND = (
    "No peak of these ions was found. Type others, or masses in u, and press Propose; or "
    "double-click a peak in the spectrum."
)


class MassWindowsPanel(Panel):
    """Spectrum with windows to drag, their table, and a button that makes the images."""

    available = Signal(bool)  # whether there is a spectrum
    made = Signal()  # images were added

    def __init__(self, context: Context, remarks: bool = False) -> None:
        super().__init__(context)
        self._with_remarks = remarks
        self.parts = parts = Parts(context.viewer)
        self.hint, self.names = parts.hint, parts.names
        self.table, self.view = parts.table, parts.view
        self.propose_button, self.make_button = parts.propose_button, parts.make_button
        self.fraction, self.doubts = parts.fraction, parts.doubts
        parts.arrange(self.column, self.message)
        self.task = Task(self)
        self.open = OpenSpectrum(context, self)
        self.spectrum_task = self.open.task
        self._made = False
        self._pause = QTimer(self)
        self._pause.setSingleShot(True)
        self._pause.setInterval(_PAUSE)
        self.table.counter = self._count_text
        self._connect()
        self._on_taken()
        self.open.refresh()

    def _connect(self) -> None:
        parts = self.parts
        self.open.taken.connect(self._on_taken)
        self.open.told.connect(self._show_facts)
        self.open.ready.connect(self._on_spectrum)
        self.open.failed.connect(self.fail)
        parts.files.activated.connect(self.open.choose)
        parts.names.returnPressed.connect(self.propose)
        parts.propose_button.clicked.connect(self.propose)
        parts.make_button.clicked.connect(self.make_images)
        parts.cancel_button.clicked.connect(self.task.cancel)
        parts.copy_button.clicked.connect(self.copy_script)
        parts.remove_button.clicked.connect(self.table.remove_selected)
        parts.log.toggled.connect(self.view.set_log)
        parts.jumps.jumped.connect(self._jump)
        parts.recalibration.applied.connect(self._recalibrate)
        parts.recalibration.undone.connect(self._undo)
        self.view.edge_dragged.connect(self.table.set_edges)
        self.view.picked.connect(self.table.select)
        self.view.wanted.connect(self.add_window)
        self.view.removed.connect(self.table.remove_selected)
        self.table.edited.connect(self._on_windows)
        self.table.chosen.connect(self._on_chosen)
        self._pause.timeout.connect(self._examine)
        self.task.succeeded.connect(self._on_images)
        self.task.failed.connect(self.fail)
        self.task.cancelled.connect(self._on_cancelled)
        self.task.progressed.connect(self._on_progress)
        self.task.running_changed.connect(self._refresh_buttons)

    # --- the file -----------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        if self.open.current is None:
            return "no spectrum"
        return "" if self._made or not self.open.has_image else "choose the peaks"

    @property
    def has_spectrum(self) -> bool:
        """Whether an open file holds a spectrum, or a depth profile."""
        return self.open.current is not None

    @property
    def scale(self) -> MassScale | None:
        """The spectrum and its mass scale, once it was read."""
        return self.open.scale

    def _on_taken(self) -> None:
        """Show another file, or none."""
        acquisition = self.open.current
        self._made = acquisition is not None and "windows" in acquisition.metadata
        for line in (self.message, self.fraction, self.doubts):
            line.say("")
        self.parts.show_for(acquisition is not None, self.open.has_spectrum, self.open.has_image)
        self._show_facts()
        self.table.fill({})
        if self.open.has_spectrum:
            self.message.say("Reading the spectrum …")
        self.available.emit(acquisition is not None)

    def _show_facts(self) -> None:
        acquisition = self.open.current
        self.parts.show_files([file_name(a) for a in self.open.files], self.open.index)
        self.parts.profile.show_acquisition(acquisition)
        if self._with_remarks:
            self.parts.remarks.show_acquisition(acquisition)

    def _on_spectrum(self) -> None:
        if self.scale is None or self.open.current is None:
            return
        self.message.say("")
        self.parts.recalibration.follow(self.scale)
        self.view.show_curve(self.scale.curve)
        kept = self.open.current.metadata.get("windows")
        if kept:
            self.table.fill({name: (low, high) for name, (low, high) in kept.items()})
        else:
            self.propose(quiet=True)
        self._look()

    def _refresh_buttons(self) -> None:
        missing = ""
        if self.task.running:
            missing = "reading"
        elif not self.windows():
            missing = "give at least one window with from < to"
        enable(
            self.make_button, missing, "Read the counts inside each window and add a layer of each"
        )
        enable(
            self.parts.copy_button,
            "" if self.windows() else "there are no windows",
            "Copy the lines of a script that read the file with these windows",
        )
        enable(
            self.propose_button,
            "" if self.scale is not None else "there is no spectrum",
            "Find the peaks nearest to these masses and put windows around what is there",
        )
        self.parts.show_running(self.task.running)

    # --- the windows --------------------------------------------------------------------------

    def windows(self) -> Windows:
        """Return the windows: name and (low, high) in u."""
        return self.table.windows()

    def propose(self, quiet: bool = False) -> None:
        """Put windows around the observed peaks of the typed ions, and of the matrix.

        Parameters
        ----------
        quiet
            Propose what is there and say nothing of the rest: the user has not asked yet.
        """
        if self.scale is None:
            return
        self.message.say("")
        names = [name.strip() for name in self.names.text().split(",") if name.strip()]
        try:
            for name in names:
                if name != MATRIX:
                    ion_mass(name)
            windows = proposed_windows(self.scale.curve, names, partly=quiet is True)
        except ValueError as error:
            self.fail(error)
            return
        self.table.fill(windows)
        if not windows:
            self.message.say(_NOTHING_FOUND)
        if quiet is not True:
            self._look()

    def add_window(self, mass: float) -> None:
        """Add a window around the peak at a mass, or around the place where none is."""
        if self.scale is not None:
            low, high = self.view.range
            self.table.add(*window_at(self.scale.curve, mass, (high - low) / 50))

    def _count_text(self, window: tuple[float, float]) -> str:
        if self.scale is None:
            return ""
        counts = self.scale.curve.counts_in(*window)
        whole = counts == round(counts) or counts >= _MANY
        return f"{counts:,.0f}" if whole else f"{counts:,.1f}"

    def _on_windows(self) -> None:
        """Follow a change: at once what can be drawn and counted, the rest after a pause."""
        windows = self.windows()
        self.view.show_windows(windows, self.table.selected())
        self.parts.jumps.show_names(list(windows))
        if self.scale is not None:
            curve = self.scale.curve
            sums = {name: curve.counts_in(*window) for name, window in windows.items()}
            self.fraction.say("\n".join(fraction_lines(sums, curve.are_counts)))
            self._pause.start()
        self._refresh_buttons()

    def _on_chosen(self, name: str) -> None:
        self.view.show_windows(self.windows(), name)
        low, high = self.view.range
        window = self.windows().get(name)
        if window is not None and not (low <= window[0] and window[1] <= high):
            self.view.jump_to(name)

    def _jump(self, name: str) -> None:
        if name:
            self.view.jump_to(name)
            self.table.select(name)
        else:
            self.view.show_all()

    def _look(self) -> None:
        """Look at the windows of the first pair of isotopes, else at all windows."""
        windows = self.windows()
        pairs = isotope_pairs(list(windows))
        self.view.windows = {n: windows[n] for n in pairs[0]} if pairs else windows
        self.view.show_all_windows()
        self.view.show_windows(windows, self.table.selected())

    def _examine(self) -> None:
        """Say what is doubtful about the windows."""
        if self.open.current is not None and self.scale is not None:
            found = doubts_about(self.open.current, self.scale.curve, self.windows())
            self.doubts.say("\n".join(f"⚠ {text}" for text in found))

    # --- the mass scale -----------------------------------------------------------------------

    def _recalibrate(self, new: Recalibration) -> None:
        if self.scale is not None:
            self._on_scale(self.scale.apply(new, self.windows()))

    def _undo(self) -> None:
        if self.scale is not None:
            self._on_scale(self.scale.undo(self.windows()))

    def _on_scale(self, windows: Windows) -> None:
        if self.scale is None:
            return
        self.view.curve = self.scale.curve
        self.table.fill(windows)
        self.parts.recalibration.follow(self.scale)
        self._look()

    # --- the images ---------------------------------------------------------------------------

    def copy_script(self) -> None:
        """Copy the call that reads the file with these windows."""
        clipboard = QApplication.clipboard()
        if self.open.current is not None and clipboard is not None:
            clipboard.setText(self.script())
            self.message.say("Copied: a script that reads the file with these windows.")

    def script(self) -> str:
        """Return the call that reads the file with these windows."""
        if self.open.current is None:
            return ""
        recalibrate = None if self.scale is None else self.scale.recalibrate
        return python_call(paths_of(self.open.current), self.windows(), recalibrate)

    def make_images(self) -> None:
        """Read the counts in every window, in a thread."""
        windows = self.windows()
        if self.open.current is None or self.scale is None or not windows or self.task.running:
            return
        self.message.say("Reading …")
        self.task.start(
            read_windows,
            self.open.current,
            windows,
            self.scale.recalibrate,
            self.parts.frames.isChecked(),
            self.task.report,
        )

    def _on_progress(self, done: float, message: str = "") -> None:
        self.parts.progress.setRange(0, 100)
        self.parts.progress.setValue(round(100 * done))

    def _on_cancelled(self) -> None:
        self.message.say("Stopped; nothing was changed.")

    def _on_images(self, reading: Reading) -> None:
        self.open.accept(reading.acquisition)
        show_reading(self.context.viewer, reading)
        made = ", ".join(f"{name} {counts:,.0f}" for name, counts in reading.sums().items())
        kept = "Kept: the layer now holds what is in these windows."
        self.message.say(f"Images made (counts): {made}." if self.open.has_image else kept)
        self._made = True
        self._pause.start()
        self.made.emit()
