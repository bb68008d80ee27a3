"""The file whose spectrum a dock shows: one of those that are open, and its mass scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Signal

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import acquisitions_in, needs_windows, same_file
from napari_liso.plugin.spectra.mass_scale import MassScale
from napari_liso.plugin.spectra.readings import LARGE_FILE
from napari_liso.plugin.tasks import Task

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition, Spectrum
    from napari_liso.plugin.context import Context

__all__ = ["OpenSpectrum"]


class OpenSpectrum(QObject):
    """Follows the files in a viewer that hold a spectrum, or a depth profile.

    Attributes
    ----------
    files
        An acquisition each, the one opened last at the end.
    current
        The chosen one.
    scale
        Its spectrum, once it was read.
    """

    taken = Signal()  # another file, or none
    told = Signal()  # something new is known about the same file
    ready = Signal()  # its spectrum was read
    failed = Signal(object)

    def __init__(self, context: Context, parent: QObject) -> None:
        super().__init__(parent)
        self._context = context
        self.files: list[Acquisition] = []
        self.current: Acquisition | None = None
        self.scale: MassScale | None = None
        self.task = Task(self)
        self.task.succeeded.connect(self._on_spectrum)
        self.task.failed.connect(self.failed)
        context.layers_changed.connect(self.refresh)

    def refresh(self) -> None:
        """Look which files are open; one that is new is chosen."""
        found = [a for a in acquisitions_in(self._context.viewer) if needs_windows(a)]
        new = any(not any(same_file(a, old) for old in self.files) for a in found)
        fewer = len(found) < len(self.files)
        self.files = found
        same = [a for a in found if self.current is not None and same_file(a, self.current)]
        if new or not same:
            self._take(found[-1] if found else None)
        elif self.current is not same[0] or fewer:
            self.current = same[0]
            self.told.emit()

    def choose(self, index: int) -> None:
        """Choose one of the files."""
        if 0 <= index < len(self.files):
            self._take(self.files[index])

    @property
    def index(self) -> int:
        """Place of the chosen file in the list, -1 where there is none."""
        places = [i for i, a in enumerate(self.files) if a is self.current]
        return places[0] if places else -1

    @property
    def has_image(self) -> bool:
        """Whether the chosen file has more than one pixel."""
        return self.current is not None and ly.has_image(self.current)

    @property
    def has_spectrum(self) -> bool:
        """Whether the chosen file has a mass axis."""
        return self.current is not None and self.current.spectrum_source is not None

    def accept(self, acquisition: Acquisition) -> None:
        """Take another reading of the chosen file."""
        self.current = acquisition
        self.told.emit()

    def _take(self, acquisition: Acquisition | None) -> None:
        if acquisition is None and self.current is None:
            return
        self.current, self.scale = acquisition, None
        self.taken.emit()
        if acquisition is None or acquisition.spectrum_source is None:
            return
        if _size(acquisition) > LARGE_FILE and not self.task.running:
            self.task.start(lambda: (acquisition, acquisition.spectrum()))
            return
        try:
            self._on_spectrum((acquisition, acquisition.spectrum()))
        except (ValueError, OSError) as error:
            self.failed.emit(error)

    def _on_spectrum(self, result: tuple[Acquisition, Spectrum]) -> None:
        acquisition, spectrum = result
        if self.current is not None and same_file(acquisition, self.current):
            self.scale = MassScale(*spectrum, acquisition.metadata)
            self.ready.emit()


def _size(acquisition: Acquisition) -> int:
    try:
        return Path(str(acquisition.metadata.get("path", ""))).stat().st_size
    except OSError:
        return 0
