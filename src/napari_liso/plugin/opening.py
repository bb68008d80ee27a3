"""What opening a file does in a window besides adding layers.

A file that holds spectra needs mass windows, so the dock for them opens with it.
A large file is read in the background, with progress and Cancel. Where there is
no window, as in a script or a test, none of this happens.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, QThread, QTimer

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import file_name, needs_windows
from napari_liso.plugin.layers.ebsd import EbsdReading, open_ebsd
from napari_liso.plugin.spectra.readings import LARGE_FILE, Reading, read_file
from napari_liso.plugin.tasks import Task

if TYPE_CHECKING:
    from napari.viewer import Viewer

    from napari_liso.acquisition import Acquisition
    from napari_liso.microstructure.ebsd import EbsdMap

__all__ = ["BackgroundReading", "follow_up", "open_ebsd_map", "read_in_background"]

PLUGIN = "napari-liso"
WINDOWS_DOCK = "Mass windows"

#: Bytes of a text from which on it is read in the background: about a second.
LARGE_TEXT = 20 * 2**20

_running: set[BackgroundReading] = set()


def read_in_background(wanted: Any, paths: list[str]) -> bool:
    """Begin to read large files in a thread; False where they are small or nobody would wait.

    Parameters
    ----------
    wanted
        As for `napari_liso.readers.read`.
    paths
        The same as a list.
    """
    return _behind(read_file, wanted, [Path(path) for path in paths], LARGE_FILE)


def open_ebsd_map(path: Path) -> list[ly.LayerData]:
    """Return the layers of an EBSD map; none where it is read in the background.

    Raises
    ------
    FormatError
        If it cannot be read truthfully.
    """
    if _behind(open_ebsd, path, [path], LARGE_TEXT):
        return []
    reading = open_ebsd(path)
    if _window() is not None:
        _tell(reading.ebsd)
    return reading.layers


def _behind(read: Callable[..., Any], wanted: Any, paths: list[Path], least: int) -> bool:
    """Begin to read in a thread; False where files have less bytes or nobody would wait."""
    viewer = _window()
    size = sum(map(_size, paths))
    # without an event loop (a script before napari.run) the caller needs the layers at once
    if viewer is None or size < least or QThread.currentThread().loopLevel() == 0:
        return False
    label = f"{paths[0].name} ({_readable(size)})"
    _running.add(BackgroundReading(viewer, read, wanted, label))
    return True


def follow_up(acquisition: Acquisition) -> None:
    """Once the layers are there, open the dock that the file needs, or tell its warnings."""
    viewer = _window()
    if viewer is not None:
        _FollowUp(viewer, acquisition)


class _FollowUp(QObject):
    """Waits until napari has added the layers that a reader returned."""

    def __init__(self, viewer: Viewer, acquisition: Acquisition) -> None:
        super().__init__(QCoreApplication.instance())
        self._viewer, self._acquisition = viewer, acquisition
        QTimer.singleShot(0, self._act)

    def _act(self) -> None:
        viewer, acquisition = _window(), self._acquisition
        self.deleteLater()
        if viewer is None or viewer is not self._viewer:
            return
        docks = _docks(viewer)
        if needs_windows(acquisition):
            if not any(hasattr(dock, "windows") for dock in docks):
                dock, _ = viewer.window.add_plugin_dock_widget(PLUGIN, WINDOWS_DOCK)
                dock.show()
        elif not any(hasattr(dock, "ratio") for dock in docks):
            # docks with the isotope ratio show the remarks on the counts they take
            _tell(acquisition)


def _tell(measured: Acquisition | EbsdMap) -> None:
    """Show the warnings of a file where no dock does."""
    from napari.utils.notifications import show_warning

    warnings = measured.metadata.get("warnings", ())
    if warnings:
        # napari shows the first line; the rest when the note is unfolded
        text = "\n• ".join(warnings)
        show_warning(f"{file_name(measured)}: {text}")


def _window() -> Viewer | None:
    """Return the viewer with a window that is open, or None."""
    from napari import current_viewer

    if QCoreApplication.instance() is None:
        return None
    return current_viewer()


def _docks(viewer: Viewer) -> list[Any]:
    """Return the docks of this plugin that are open."""
    from napari_liso.plugin.widgets.main import Dock

    inside = viewer.window.dock_widgets.values()
    return [one for one in inside if isinstance(one, Dock) and isalive(one) and one.isVisible()]


class BackgroundReading(QObject):
    """A file that is read in a thread while the window stays alive."""

    def __init__(self, viewer: Viewer, read: Callable[..., Any], wanted: Any, label: str) -> None:
        from napari.utils.notifications import show_info
        from napari.utils.progress import cancelable_progress

        super().__init__(QCoreApplication.instance())
        self._viewer = viewer
        self._label = label
        self.task = Task(self)
        self._bar = cancelable_progress(total=100, desc=f"Reading {label}")
        self.task.progressed.connect(self._on_progress)
        self.task.succeeded.connect(self._on_read)
        self.task.failed.connect(self._on_failed)
        self.task.running_changed.connect(self._on_running)
        show_info(f"Reading {label}. Progress and Cancel are under 'activity', bottom right.")
        self.task.start(read, wanted, self._report)

    def _report(self, done: float) -> None:
        """Tell the progress, in the thread; stops the reading if Cancel was pressed."""
        if self._bar.is_canceled:
            self.task.cancel()
        self.task.report(done)

    def _on_progress(self, done: float, message: str = "") -> None:
        self._bar.update(max(0, round(100 * done) - self._bar.n))

    def _on_read(self, reading: Reading | EbsdReading) -> None:
        if _window() is not self._viewer or self._bar.is_canceled:
            return
        for layer_data in reading.layers:
            ly.add(self._viewer, layer_data)
        if isinstance(reading, EbsdReading):
            _tell(reading.ebsd)
        else:
            follow_up(reading.acquisition)

    def _on_failed(self, error: Exception) -> None:
        from napari.utils.notifications import show_error

        show_error(f"napari-liso: {error}")

    def _on_running(self, running: bool) -> None:
        if not running:
            self._bar.close()
            _running.discard(self)
            self.deleteLater()


def _size(path: Path) -> int:
    """Return the bytes of a file, or of all files of a folder."""
    try:
        if path.is_dir():
            return sum(one.stat().st_size for one in path.rglob("*") if one.is_file())
        return path.stat().st_size
    except OSError:
        return 0


def _readable(size: int) -> str:
    return f"{size / 1e9:.1f} GB" if size >= 1e9 else f"{size / 1e6:.0f} MB"
