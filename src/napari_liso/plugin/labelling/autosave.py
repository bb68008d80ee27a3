"""Work is kept in the data folder of the user within seconds, to be offered after a crash."""

from __future__ import annotations

import os
import secrets
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.compat import isalive
from qtpy.QtCore import QCoreApplication, QObject, QTimer, Signal

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import acquisitions_in, file_name
from napari_liso.plugin.labelling.unsaved import VIEW, Place, edit_session, unsaved_folder
from napari_liso.plugin.saving import session_of_viewer
from napari_liso.plugin.saving.views import path_of
from napari_liso.plugin.tasks import Task
from napari_liso.session import Session, save

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_liso.plugin.labelling.editor import BoundaryEditor

__all__ = ["Autosave", "autosave_of"]

#: From the first change to the beginning of its saving, ms.
_WAIT = 1500
#: Until saving is tried again where the disk did not take it, ms.
_RETRY = 30_000

Job = list[tuple[Path, Session]]


class Autosave(QObject):
    """Keeps a viewer's work; use `autosave_of`, which returns the same one to all docks.

    What is edited is written within two seconds, in a thread. All layers are written with
    the first change, and again when layers or results have come or gone.

    Parameters
    ----------
    viewer
        Whose layers are kept.
    folder
        For unsaved work; None: `unsaved_folder`.
    """

    saved = Signal()  # what is unsaved is on the disk, so that a crash loses nothing
    failed = Signal(str)  # why it is not; told once until it works again
    unsaved_changed = Signal(bool)  # whether there are changes that no session holds

    def __init__(self, viewer: ViewerModel, folder: Path | None = None) -> None:
        super().__init__(QCoreApplication.instance())
        self.viewer = viewer
        self.last_cost = 0.0  # time that the last saving took from the window, s
        self._folder = folder
        self._place: Place | None = None
        self.changes = 0  # that were noted so far
        self.kept = 0  # of these, how many are on the disk
        self._writing = 0
        self._editors: list[BoundaryEditor] = []
        self._fits: dict[str, Any] = {}
        self._unsaved = False
        self._edited = False
        self._view_changed = True
        self._told = False
        self._forget = False
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.timeout.connect(self._begin)
        self.task = Task(self)
        self.task.succeeded.connect(self._on_done)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)

    @property
    def unsaved(self) -> bool:
        """Whether there are changes that no session of the user holds."""
        return self._unsaved

    def attach(self, editor: BoundaryEditor) -> None:
        """Keep what is edited here from now on."""
        if editor in self._editors:
            return
        self._editors = [one for one in self._editors if isalive(one)] + [editor]
        editor.changed.connect(self._on_edit)
        editor.layer.events.metadata.connect(self._on_metadata)
        self._fits[editor.layer.name] = ly.fit_from_layer(editor.layer)

    def touch(self) -> None:
        """Note a change that is worth keeping."""
        self.changes += 1
        self._edited = True
        self._set_unsaved(True)
        if not self._wait.isActive() and not self.task.running:
            self._wait.start(_WAIT)

    def note_saved(self) -> None:
        """Forget what was kept: the user has saved all of it just now."""
        self._wait.stop()
        self._edited = False
        self._view_changed = True
        self._set_unsaved(False)
        if self.task.running:
            self._forget = True  # what is being written is of before
        elif self._place is not None:
            self._place.clear()

    def close(self) -> None:
        """End; changes that were not saved stay and are offered the next time."""
        if not isalive(self):
            return
        self._wait.stop()
        if self._unsaved and (self._edited or self._view_changed):
            _write([*self._edits(), *self._view()])
        if self._place is not None:
            if self._unsaved:
                self._place.release()
            else:
                self._place.remove()
            self._place = None

    # --- changes ------------------------------------------------------------------------------

    def _on_edit(self, patch: object = None) -> None:
        self.touch()

    def _on_layers(self, event: object = None) -> None:
        if isalive(self):
            self._view_changed = True
            if self._unsaved:
                self.touch()

    def _on_metadata(self, event: object = None) -> None:
        """Notice a new result."""
        if not isalive(self):
            return
        for editor in self._attached():
            name, fit = editor.layer.name, ly.fit_from_layer(editor.layer)
            if fit is not self._fits.get(name):
                self._fits[name] = fit
                self._view_changed = True
                self.touch()

    def _attached(self) -> list[BoundaryEditor]:
        """Return the editors whose layers are there."""
        present = set(self.viewer.layers)
        return [one for one in self._editors if isalive(one) and one.layer in present]

    def _set_unsaved(self, unsaved: bool) -> None:
        if unsaved != self._unsaved:
            self._unsaved = unsaved
            self.unsaved_changed.emit(unsaved)

    # --- saving -------------------------------------------------------------------------------

    def _begin(self) -> None:
        if self.task.running or not self._unsaved:
            return
        start = time.perf_counter()
        # edits first: they are what cannot be had again
        job = self._edits() or self._view()
        self.last_cost = time.perf_counter() - start
        if job:
            self.task.start(_write, job)

    def _edits(self) -> Job:
        """Return grains and boundaries that are to be written, if they were changed."""
        folder = self._own_folder()
        if folder is None or not self._edited:
            return []
        self._edited = False
        self._writing = self.changes
        name = self._name()
        job = []
        for number, editor in enumerate(self._attached()):
            grains = None if editor.grains is None else editor.grains.name
            session = edit_session(
                editor.boundaries, editor.layer.name, grains, editor.stale, name
            )
            job.append((folder / f"edit-{number}.liso", session))
        return job

    def _view(self) -> Job:
        """Return all layers, if some have come or gone since they were written."""
        folder = self._own_folder()
        if folder is None or not self._view_changed:
            return []
        self._view_changed = False
        return [(folder / VIEW, session_of_viewer(self.viewer))]

    def _own_folder(self) -> Path | None:
        """Return the folder of this viewer, made when it is first needed."""
        if self._place is None:
            folder = unsaved_folder() if self._folder is None else self._folder
            path = folder / f"{os.getpid()}-{secrets.token_hex(4)}"
            try:
                path.mkdir(parents=True)
            except OSError as error:
                self._tell(error)
                return None
            self._place = Place(path)
            self._place.take()
        return self._place.path

    def _name(self) -> str:
        """Return what the offer may call the work: the session, or the measurement."""
        path = path_of(self.viewer)
        if path is not None:
            return path.name
        found = acquisitions_in(self.viewer)
        return file_name(found[-1]) if found else ""

    def _on_done(self, error: Exception | None) -> None:
        if self._forget:
            self._forget = False
            if self._place is not None:
                self._place.clear()
            if not self._unsaved:
                return
        if error is None:
            self._told = False
            if self._view_changed and not self._edited:
                self._begin()
                return
            if not self._view_changed:
                self.kept = self._writing
                self.saved.emit()
            if self._edited:
                self._wait.start(_WAIT)
            return
        self._edited = self._view_changed = True
        self._tell(error)
        self._wait.start(_RETRY)

    def _tell(self, error: Exception) -> None:
        if not self._told:
            self._told = True
            self.failed.emit(
                f"Unsaved work cannot be kept for the case of a crash ({error}). Save a session."
            )


def _write(job: Job) -> Exception | None:
    """Write sessions; return what went wrong."""
    try:
        for path, session in job:
            save(path, session)
    except (OSError, ValueError) as error:
        return error
    return None


_AUTOSAVES: dict[int, Autosave] = {}


def autosave_of(viewer: ViewerModel) -> Autosave:
    """Return the autosave of a viewer, the same one to every caller."""
    itself = getattr(viewer, "__wrapped__", viewer)
    found = _AUTOSAVES.get(id(itself))
    if found is None or not isalive(found) or found.viewer is not itself:
        found = _AUTOSAVES[id(itself)] = Autosave(itself)
    return found
