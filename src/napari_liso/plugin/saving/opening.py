"""File > Open of a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, QThread, QTimer

from napari_liso.errors import FormatError
from napari_liso.plugin.layers import made
from napari_liso.plugin.saving import LayerData, layers_of
from napari_liso.plugin.saving.views import finish, remember_path
from napari_liso.plugin.spectra.readings import LARGE_FILE
from napari_liso.plugin.tasks import Task
from napari_liso.session import SUFFIX, Session, is_session, load

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["holds_session", "open_into", "session_layers"]

#: What napari takes as: it was opened, and there is no layer for you to add.
_NOTHING: list[LayerData] = [(None,)]  # type: ignore[list-item]


def holds_session(paths: list[str]) -> bool:
    """Tell whether this is one session: by its suffix, so that a damaged one is told about."""
    return len(paths) == 1 and (paths[0].lower().endswith(SUFFIX) or is_session(Path(paths[0])))


def session_layers(path: Path) -> list[LayerData]:
    """Return the layers of a session; what layers cannot carry follows when they are there.

    Raises
    ------
    FormatError
        If it is damaged, from a newer version, or no session.
    """
    if _read_in_background(path):
        return _NOTHING
    session = load(path)
    layers = _layers(path, session)
    if QCoreApplication.instance() is not None:
        _FollowUp(session, path, len(layers))
    return layers or _NOTHING


def open_into(viewer: ViewerModel, path: Path) -> list[Layer]:
    """Open a session in a viewer, now.

    Raises
    ------
    FormatError, OSError
        As `napari_liso.session.load`; nothing is added then.
    """
    return _put(viewer, path, load(path))


def _put(viewer: ViewerModel, path: Path, session: Session) -> list[Layer]:
    """Put a session into a viewer, all of it or nothing."""
    ready = [made(one) for one in _layers(path, session)]
    was_empty = not len(viewer.layers)
    added = [viewer.add_layer(layer) for layer in ready]
    finish(viewer, session, added, was_empty)
    if was_empty:
        remember_path(viewer, path)
    _tell_missing(path, session)
    return added


def _layers(path: Path, session: Session) -> list[LayerData]:
    try:
        return layers_of(session)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(path, f"is damaged: its layers do not fit together ({error})") from error


class _FollowUp(QObject):
    """Waits until napari has added the layers that a reader returned."""

    def __init__(self, session: Session, path: Path, count: int) -> None:
        from napari import current_viewer

        super().__init__(QCoreApplication.instance())
        self._viewer = current_viewer()
        self._session, self._path, self._count = session, path, count
        self._there = 0 if self._viewer is None else len(self._viewer.layers)
        QTimer.singleShot(0, self._act)

    def _act(self) -> None:
        viewer = self._viewer
        self.deleteLater()
        if viewer is None or len(viewer.layers) != self._there + self._count:
            return
        was_empty = self._there == 0
        finish(viewer, self._session, list(viewer.layers[self._there :]), was_empty)
        if was_empty:
            remember_path(viewer, self._path)
        _tell_missing(self._path, self._session)


def _tell_missing(path: Path, session: Session) -> None:
    """Tell which files of counts are not where they were."""
    missing = session.missing
    if missing:
        from napari.utils.notifications import show_warning

        text = "\n".join(missing)
        show_warning(f"{path.name}: the sums of the counts are here, their frames are not: {text}")


_running: set[_InBackground] = set()


def _read_in_background(path: Path) -> bool:
    """Begin to read a large session in a thread; False where it is small or nobody would wait."""
    if QCoreApplication.instance() is None or QThread.currentThread().loopLevel() == 0:
        return False
    from napari import current_viewer

    viewer = current_viewer()
    if viewer is None or not path.is_file() or path.stat().st_size < LARGE_FILE:
        return False
    _running.add(_InBackground(viewer, path))
    return True


class _InBackground(QObject):
    """A large session that is read in a thread while the window stays alive."""

    def __init__(self, viewer: ViewerModel, path: Path) -> None:
        from napari.utils.progress import progress

        super().__init__(QCoreApplication.instance())
        self._viewer, self._path = viewer, path
        self._bar = progress(total=0, desc=f"Opening {path.name}")
        self.task = Task(self)
        self.task.succeeded.connect(self._on_read)
        self.task.failed.connect(self._on_failed)
        self.task.running_changed.connect(self._on_running)
        self.task.start(load, path)

    def _on_read(self, session: Session) -> None:
        try:
            _put(self._viewer, self._path, session)
        except ValueError as error:
            self._on_failed(error)

    def _on_failed(self, error: Exception) -> None:
        from napari.utils.notifications import show_error

        show_error(f"napari-liso: {error}")

    def _on_running(self, running: bool) -> None:
        if not running:
            QTimer.singleShot(0, self._end)  # the outcome is told after this

    def _end(self) -> None:
        self._bar.close()
        _running.discard(self)
        self.deleteLater()
