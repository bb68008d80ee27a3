"""Work is kept in the data folder of the user within seconds, to be offered after a crash."""

from __future__ import annotations

import atexit
import os
import secrets
import time
from pathlib import Path
from threading import RLock
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary, WeakSet, finalize, ref

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
    from qtpy.QtWidgets import QWidget

    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries
    from napari_liso.plugin.labelling.editor import BoundaryEditor

__all__ = ["Autosave", "autosave_of"]

#: From the first change to the beginning of its saving, ms.
_WAIT = 1000
#: Until saving is tried again where the disk did not take it, ms.
_RETRY = 30_000

#: Sessions by the names of their files; None: the file goes.
Job = dict[str, Session | None]


class Autosave(QObject):
    """Keeps a viewer's work; use `autosave_of`, which returns the same one to all docks.

    What is edited is written within two seconds, in a thread. All layers are written with
    the first change, and again when layers or results have come or gone. Of a viewer that
    was only looked at, nothing is written.

    Parameters
    ----------
    viewer
        Whose layers are kept. It is not kept alive: when it goes, this ends.
    folder
        For unsaved work; None: `unsaved_folder`.
    """

    saved = Signal()  # what is unsaved is on the disk, so that a crash loses nothing
    failed = Signal(str)  # why it is not; told once until it works again
    unsaved_changed = Signal(bool)  # whether there are changes that no session holds
    closed = Signal()

    def __init__(self, viewer: ViewerModel, folder: Path | None = None) -> None:
        super().__init__()
        self._viewer = ref(viewer)
        self.last_cost = 0.0  # time that the last saving took from the window, s
        self._folder = folder
        self._place: Place | None = None
        self._writer = _Writer()
        self.changes = 0  # that were noted so far
        self.kept = 0  # of these, how many are on the disk
        self._writing = 0
        # by the number of their file: editors, what they had at the last look, and its session
        self._editors: dict[int, ref[BoundaryEditor]] = {}
        self._objects: dict[int, tuple[Boundaries, DiffusionFit | None]] = {}
        self._documents: dict[int, Session] = {}
        self._unsaved = False
        self._edited = False
        self._view_changed = True
        self._removing = False
        self._last_view: Session | None = None  # before layers were removed
        self._told = False
        self._forget = False
        self.ended = False
        self._wait = QTimer(self)
        self._wait.setSingleShot(True)
        self._wait.timeout.connect(self._begin)
        self.task = Task(self)
        self.task.succeeded.connect(self._on_done)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removing.connect(self._on_removing)
        viewer.layers.events.removed.connect(self._on_layers)
        finalize(viewer, self.close).atexit = False  # it lives as long as its viewer
        application = QCoreApplication.instance()
        if application is not None:
            application.aboutToQuit.connect(self.close)
        _OPEN.add(self)

    @property
    def viewer(self) -> ViewerModel | None:
        """Whose work is kept; None when it has gone."""
        return self._viewer()

    @property
    def unsaved(self) -> bool:
        """Whether there are changes that no session of the user holds."""
        return self._unsaved

    def attach(self, editor: BoundaryEditor) -> None:
        """Keep what is edited here from now on."""
        if any(one() is editor for one in self._editors.values()):
            return
        number = max(self._editors, default=-1) + 1
        self._editors[number] = ref(editor)
        self._objects[number] = _objects_of(editor)
        editor.changed.connect(self._on_edit)
        editor.layer.events.metadata.connect(self._on_metadata)

    def watch(self, window: QWidget) -> None:
        """End with a window."""
        window.destroyed.connect(self.close)

    def touch(self) -> None:
        """Note a change that is worth keeping."""
        if self.ended:
            return
        self._note()
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
        self._last_view = None
        self._set_unsaved(False)
        if self.task.running:
            self._forget = True  # what is being written is of before
        elif self._place is not None:
            self._place.clear()

    def close(self, gone: object = None) -> None:
        """End; changes that were not saved stay and are offered the next time."""
        if self.ended:
            return
        self.ended = True
        _OPEN.discard(self)
        if isalive(self):
            self._wait.stop()
        if self._unsaved:
            # waits for a thread that writes; one that comes later finds newer files
            job = self._edits() | self._view()
            folder = self._own_folder() if job else None
            if folder is not None and self._writer.write(folder, job, self._writer.next()) is None:
                self.kept = self.changes
        if self._place is not None:
            if self._unsaved:
                self._place.leave(in_order=True)
            else:
                self._writer.stop()
                self._place.remove()
            self._place = None
        if isalive(self):
            self.closed.emit()

    # --- changes ------------------------------------------------------------------------------

    def _on_edit(self, patch: object = None) -> None:
        self.touch()

    def _on_layers(self, event: object = None) -> None:
        if isalive(self):
            self._view_changed = True
            if self._unsaved:
                self.touch()

    def _on_removing(self, event: object = None) -> None:
        """Hold on to what is not on the disk: a viewer that closes removes its layers first."""
        if isalive(self) and self._unsaved and not self._removing:
            self._removing = True
            viewer = self.viewer
            if self._view_changed and viewer is not None:
                self._last_view = session_of_viewer(viewer)

    def _on_metadata(self, event: object = None) -> None:
        """Notice a new result, and boundaries that were found anew once there are edits."""
        if not isalive(self):
            return
        before = dict(self._objects)
        self._note()
        for number, (boundaries, fit) in self._objects.items():
            had_boundaries, had_fit = before[number]
            if fit is not had_fit:
                self._view_changed = True
                self.touch()
            elif boundaries is not had_boundaries and self._unsaved:
                self._edited = True

    def _note(self) -> None:
        """Take what the editors have now, which is quick."""
        for number, editor in self._attached().items():
            self._objects[number] = _objects_of(editor)
            self._documents[number] = edit_session(
                editor.boundaries,
                editor.layer.name,
                None if editor.grains is None else editor.grains.name,
                editor.stale,
                self._name(),
            )

    def _attached(self) -> dict[int, BoundaryEditor]:
        """Return the editors whose layers are there, by the number of their file."""
        viewer = self.viewer
        present = set() if viewer is None else set(viewer.layers)
        there = {number: one() for number, one in self._editors.items()}
        return {
            number: one
            for number, one in there.items()
            if one is not None and isalive(one) and one.layer in present
        }

    def _set_unsaved(self, unsaved: bool) -> None:
        if unsaved != self._unsaved:
            self._unsaved = unsaved
            self.unsaved_changed.emit(unsaved)

    # --- saving -------------------------------------------------------------------------------

    def _begin(self) -> None:
        viewer = self.viewer
        if viewer is None or self.ended or self.task.running or not self._unsaved:
            return
        start = time.perf_counter()
        folder = self._own_folder()
        if folder is None:
            self._wait.start(_RETRY)
            return
        # edits first: they are what cannot be had again
        job = self._edits() or self._view()
        if len(viewer.layers):
            self._removing, self._last_view = False, None
        self.last_cost = time.perf_counter() - start
        if job:
            self.task.start(self._writer.write, folder, job, self._writer.next())

    def _edits(self) -> Job:
        """Return grains and boundaries that are to be written, if they were changed."""
        if not self._edited:
            return {}
        self._edited = False
        self._writing = self.changes
        viewer = self.viewer
        # the layers of an empty viewer went because it closes
        attached = self._attached() if viewer is not None and len(viewer.layers) else None
        job: Job = {}
        for number in list(self._documents):
            there = attached is None or number in attached
            job[f"edit-{number}.liso"] = self._documents[number] if there else None
            if not there:
                del self._documents[number]
        return job

    def _view(self) -> Job:
        """Return all layers, if some have come or gone since they were written."""
        if not self._view_changed:
            return {}
        self._view_changed = False
        viewer = self.viewer
        if viewer is not None and len(viewer.layers):
            return {VIEW: session_of_viewer(viewer)}
        return {} if self._last_view is None else {VIEW: self._last_view}

    def _own_folder(self) -> Path | None:
        """Return the folder of this viewer, made when it is first needed."""
        folder = unsaved_folder() if self._folder is None else self._folder
        while self._place is None:
            place = Place(folder / f"{os.getpid()}-{secrets.token_hex(4)}")
            try:
                place.path.mkdir(parents=True)
            except OSError as error:
                self._tell(error)
                return None
            if place.take():  # or another program took the empty folder for one that was left
                self._place = place
        return self._place.path

    def _name(self) -> str:
        """Return what the offer may call the work: the session, or the measurement."""
        viewer = self.viewer
        if viewer is None:
            return ""
        path = path_of(viewer)
        if path is not None:
            return path.name
        found = acquisitions_in(viewer)
        return file_name(found[-1]) if found else ""

    def _on_done(self, error: Exception | None) -> None:
        if self.ended:
            return
        if self._forget:
            self._forget = False
            if self._place is not None:
                self._place.clear()
            if not self._unsaved:
                return
            self._edited = self._view_changed = True  # what was just written has gone
        if error is None:
            self._told = False
            if self._edited:
                self._wait.start(_WAIT)
            else:
                self._begin()  # the view, if it is another one
            if not self.task.running and not self._view_changed:
                self.kept = self._writing
                self.saved.emit()
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


class _Writer:
    """Writes sessions, one job after another, never an older one over a newer one."""

    def __init__(self) -> None:
        self._lock = RLock()  # the viewer may go, and all be closed, while its thread writes
        self._last = 0
        self._written: dict[str, int] = {}
        self._stopped = False

    def next(self) -> int:
        """Return the number of a new job."""
        self._last += 1
        return self._last

    def stop(self) -> None:
        """Wait for the job that is being written, and write no other."""
        with self._lock:
            self._stopped = True

    def write(self, folder: Path, job: Job, number: int) -> Exception | None:
        """Write the sessions of a job into a folder; return what went wrong."""
        with self._lock:
            try:
                for name, session in job.items():
                    if self._stopped or self._written.get(name, 0) > number:
                        continue
                    if session is None:
                        (folder / name).unlink(missing_ok=True)
                    else:
                        save(folder / name, session)
                    self._written[name] = number
            except (OSError, ValueError) as error:
                return error
        return None


def _objects_of(editor: BoundaryEditor) -> tuple[Boundaries, DiffusionFit | None]:
    return editor.boundaries, ly.fit_from_layer(editor.layer)


_OPEN: WeakSet[Autosave] = WeakSet()
_AUTOSAVES: WeakKeyDictionary[ViewerModel, Autosave] = WeakKeyDictionary()


def autosave_of(viewer: ViewerModel) -> Autosave:
    """Return the autosave of a viewer, the same one to every caller."""
    itself = getattr(viewer, "__wrapped__", viewer)
    found = _AUTOSAVES.get(itself)
    if found is None or found.ended:
        found = _AUTOSAVES[itself] = Autosave(itself)
    return found


def _close_all() -> None:
    """Keep what was changed last when a script ends without a loop of events that quits."""
    for one in list(_OPEN):
        one.close()


atexit.register(_close_all)
