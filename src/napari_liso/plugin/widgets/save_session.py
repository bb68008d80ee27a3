"""Saving a session from a dock, and the quiet offer of work that was not saved."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING
from weakref import finalize, ref

from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QFrame,
    QHBoxLayout,
    QLabel,
    QMainWindow,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin.acquisitions import acquisitions_in
from napari_liso.plugin.context import Context
from napari_liso.plugin.labelling.autosave import autosave_of
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.labelling.unsaved import Unsaved, find_unsaved
from napari_liso.plugin.saving import restore, session_of_viewer
from napari_liso.plugin.saving.views import path_of, remember_path
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.parts import MessageLine
from napari_liso.session import SUFFIX, Session, save

if TYPE_CHECKING:
    from napari_liso.plugin.labelling.autosave import Autosave

__all__ = ["SaveSessionButton", "UnsavedOffer"]

#: napari has Ctrl+S for the selected layers and Ctrl+Alt+S for all of them.
_KEY = "Ctrl+Shift+S"
_TIP = (
    "Save counts, grains, boundaries, settings and results in one file, which File > Open "
    "shows again as it is now"
)


class SaveSessionButton(QWidget):
    """Save session, and Save as once there is a file; says when and where it was saved.

    The first time it asks for a file, then it saves into the same one. Ctrl+Shift+S does
    the same anywhere in the window while the button is shown; napari's own keys for saving
    stay what they are. It also keeps what is edited for the case of a crash (`autosave`).

    Parameters
    ----------
    context
        The layers that the dock works on.
    """

    saved = Signal(object)  # Path

    def __init__(self, context: Context) -> None:
        super().__init__()
        self.context = context
        self.autosave: Autosave = autosave_of(context.viewer)
        self.button = QPushButton()
        self.button.clicked.connect(self.save)
        self.shortcut = QShortcut(QKeySequence(_KEY), self)
        for pressed in (self.shortcut.activated, self.shortcut.activatedAmbiguously):
            pressed.connect(self.save)  # the second one: another dock has the button, too
        self.save_as_button = QPushButton("Save as …")
        self.save_as_button.setToolTip("Save the session in another file")
        self.save_as_button.clicked.connect(self.save_as)
        self.status = QLabel()
        self.status.setTextFormat(Qt.TextFormat.PlainText)
        self.status.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred)
        self.status.setEnabled(False)  # grey: an aside
        self.message = MessageLine()
        row = QHBoxLayout()
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(8)
        row.addWidget(self.button)
        row.addWidget(self.save_as_button)
        row.addWidget(self.status, 1)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addLayout(row)
        column.addWidget(self.message)
        self.task = Task(self)
        self.task.succeeded.connect(self._on_done)
        self.task.running_changed.connect(self.refresh)
        # weakly: what holds its window holds the whole viewer after it has closed
        self._watched: ref[QWidget] | None = None
        self._when = ""
        self._changes = 0
        self.autosave.unsaved_changed.connect(self._on_unsaved)
        self.autosave.failed.connect(self.message.warn)
        self.autosave.saved.connect(self._on_kept)
        context.boundaries_changed.connect(self._attach)
        context.layers_changed.connect(self.refresh)
        self._attach()
        self.refresh()

    def showEvent(self, event: QShowEvent | None) -> None:
        """Let the autosave end with the window that this is in."""
        super().showEvent(event)
        window: QWidget | None = self
        while window is not None and not isinstance(window, QMainWindow):
            window = window.parentWidget()
        if window is not None and (self._watched is None or self._watched() is not window):
            self._watched = ref(window)
            self.autosave.watch(window)

    def refresh(self) -> None:
        """Say what the button does, and when it was last done."""
        path = path_of(self.context.viewer)
        self.button.setText("Save session" if path is not None else "Save session …")
        self.save_as_button.setVisible(path is not None)
        for button in (self.button, self.save_as_button):
            button.setEnabled(not self.task.running)
        where = "" if path is None else f"\nInto {path}"
        key = self.shortcut.key().toString(QKeySequence.SequenceFormat.NativeText)
        self.button.setToolTip(f"{_TIP} ({key}){where}")
        if self.task.running:
            self.status.setText("Saving …")
        elif self.autosave.unsaved:
            self.status.setText(f"Changed since {self._when}" if self._when else "Not saved yet")
        else:
            self.status.setText(f"Saved {self._when}" if self._when else "")
        self.status.setToolTip("" if path is None else f"In {path}")

    def save(self) -> None:
        """Save into the file that is known, or ask for one."""
        path = path_of(self.context.viewer)
        if path is None:
            self.save_as()
        else:
            self.save_into(path)

    def save_as(self) -> None:
        """Ask for a file, and save into it."""
        dialog = QFileDialog(self, "Save the session", "", f"Session (*{SUFFIX})")
        dialog.setAcceptMode(QFileDialog.AcceptMode.AcceptSave)
        # so that the dialog itself asks before a file is replaced
        dialog.setDefaultSuffix(SUFFIX[1:])
        dialog.selectFile(str(self._suggestion()))
        if dialog.exec():
            self.save_into(Path(dialog.selectedFiles()[0]))

    def save_into(self, path: Path) -> None:
        """Save into a file, in a thread."""
        if self.task.running:
            return
        self.message.say("")
        self._flush()
        self._changes = self.autosave.changes
        self.task.start(_save, path, session_of_viewer(self.context.viewer, self.context))

    def _suggestion(self) -> Path:
        """Return a name for the file: the former one, or beside the measurement."""
        path = path_of(self.context.viewer)
        if path is not None:
            return path
        for acquisition in reversed(acquisitions_in(self.context.viewer)):
            source = acquisition.metadata.get("path")
            if isinstance(source, str):
                beside = Path(source).with_suffix(SUFFIX)
                return beside if beside.parent.is_dir() else Path(beside.name)
        return Path(f"map{SUFFIX}")

    def _flush(self) -> None:
        """Let the boundaries follow a stroke of the brush that was just made."""
        editor = editor_of(self.context.viewer, self.context.boundaries.current)
        if editor is not None:
            editor.flush()

    def _attach(self) -> None:
        editor = editor_of(self.context.viewer, self.context.boundaries.current)
        if editor is not None:
            self.autosave.attach(editor)

    def _on_done(self, outcome: Path | Exception) -> None:
        if isinstance(outcome, Exception):
            self.message.warn(f"Not saved: {outcome}")
            self.refresh()
            return
        remember_path(self.context.viewer, outcome)
        self._when = datetime.now().strftime("%H:%M")
        if self._changes == self.autosave.changes:  # none came while it was written
            self.autosave.note_saved()
        self.refresh()
        self.saved.emit(outcome)

    def _on_unsaved(self, unsaved: bool) -> None:
        self.refresh()

    def _on_kept(self) -> None:
        self.message.say("")


def _save(path: Path, session: Session) -> Path | Exception:
    try:
        return save(path, session)
    except (OSError, ValueError) as error:
        return error


class UnsavedOffer(QFrame):
    """A line about work that was not saved, with a list, Open and Discard; else hidden.

    What a crash left behind is offered until it is opened or discarded; what was closed
    without saving is offered once.

    Parameters
    ----------
    context
        Of the dock that it is shown in.
    folder
        Where unsaved work is; None: that of the user.
    """

    opened = Signal()

    def __init__(self, context: Context, folder: Path | None = None) -> None:
        super().__init__()
        self.context = context
        self._found: list[Unsaved] = find_unsaved(folder)
        if not any(one.urgent for one in self._found):
            for one in self._found:
                one.leave()
            self._found = []
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.label = QLabel()
        self.label.setWordWrap(True)
        self.label.setTextFormat(Qt.TextFormat.PlainText)
        self.list = QComboBox()
        self.list.setToolTip("What to open or discard")
        self.list.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.list.currentIndexChanged.connect(self._on_chosen)
        self.open_button = QPushButton("Open")
        self.open_button.clicked.connect(self.open)
        self.discard_button = QPushButton("Discard")
        self.discard_button.setToolTip("Delete this unsaved work. It cannot be had back")
        self.discard_button.clicked.connect(self.discard)
        row = QHBoxLayout()
        row.addStretch()
        row.addWidget(self.open_button)
        row.addWidget(self.discard_button)
        column = QVBoxLayout(self)
        column.setContentsMargins(6, 4, 6, 4)
        column.addWidget(self.label)
        column.addWidget(self.list)
        column.addLayout(row)
        self.task = Task(self)
        self.task.succeeded.connect(self._on_loaded)
        self.task.running_changed.connect(self._on_chosen)
        self.destroyed.connect(_Leaver(self._found))
        finalize(self, _leave, self._found)
        self._refresh()

    @property
    def current(self) -> Unsaved | None:
        """The work that is chosen, or None: there is none, or all of it."""
        number = self.list.currentIndex()
        return self._found[number] if 0 <= number < len(self._found) else None

    def showEvent(self, event: QShowEvent | None) -> None:
        """Note what was offered."""
        super().showEvent(event)
        for one in self._found:
            one.note_seen()

    def open(self) -> None:
        """Open what is chosen; its copy is deleted once this viewer keeps it."""
        if self.current is not None and not self.task.running:
            self.task.start(_load, self.current)

    def _on_loaded(self, outcome: tuple[Unsaved, Session | Exception]) -> None:
        unsaved, session = outcome
        try:
            if isinstance(session, Exception):
                raise session
            restore(self.context.viewer, session)
        except (OSError, ValueError, KeyError, TypeError) as error:
            self.label.setText(f"⚠ It cannot be opened: {error}")
            return
        self._found.remove(unsaved)
        self._refresh()
        _Successor(autosave_of(self.context.viewer), unsaved)
        self.opened.emit()

    def discard(self) -> None:
        """Delete what is chosen."""
        for one in list(self._found) if self.current is None else [self.current]:
            self._found.remove(one)
            one.discard()
        self._refresh()

    def _refresh(self) -> None:
        many = len(self._found)
        self.list.clear()
        self.list.addItems([one.text for one in self._found])
        if many > 1:
            self.list.addItem(f"All {many}")
        self.list.setVisible(many > 1)
        self.setVisible(many > 0)
        if many == 1:
            self.label.setText(self._found[0].sentence)
        elif many:
            self.label.setText(f"Changes of {many} maps were not saved:")

    def _on_chosen(self, *_: object) -> None:
        """Say what the buttons do, and allow what can be done."""
        one, busy = self.current, self.task.running
        why = "Choose one of them" if one is None else one.sentence
        self.open_button.setToolTip("Opening …" if busy else f"Open these layers. {why}")
        self.open_button.setEnabled(one is not None and not busy)
        self.discard_button.setEnabled(not busy)
        self.list.setEnabled(not busy)


def _load(unsaved: Unsaved) -> tuple[Unsaved, Session | Exception]:
    try:
        return unsaved, unsaved.load()
    except (OSError, ValueError) as error:
        return unsaved, error


class _Leaver:
    """Unlocks the work that was not decided on when an offer goes."""

    def __init__(self, found: list[Unsaved]) -> None:
        self._found = found

    def __call__(self, gone: object = None) -> None:
        # Python may have cleared this object when it collected the offer: that unlocks, too.
        for one in vars(self).get("_found", ()):
            one.leave()


def _leave(found: list[Unsaved]) -> None:
    for one in found:
        one.leave()


class _Successor:
    """Deletes the old copy of some work when this viewer has kept or saved it itself."""

    def __init__(self, autosave: Autosave, unsaved: Unsaved) -> None:
        self._autosave, self._unsaved = autosave, unsaved
        autosave.saved.connect(self._on_kept)
        autosave.unsaved_changed.connect(self._on_unsaved)
        autosave.closed.connect(self._on_closed)
        autosave.touch()
        self._needed = autosave.changes
        _waiting.append(self)

    def _on_kept(self) -> None:
        if self._autosave.kept >= self._needed:
            self._end(keep=False)

    def _on_unsaved(self, unsaved: bool) -> None:
        if not unsaved:
            self._end(keep=False)

    def _on_closed(self) -> None:
        """Leave the old copy where it is unless the new one is there."""
        self._end(keep=self._autosave.kept < self._needed)

    def _end(self, keep: bool) -> None:
        if isalive(self._autosave):
            self._autosave.saved.disconnect(self._on_kept)
            self._autosave.unsaved_changed.disconnect(self._on_unsaved)
            self._autosave.closed.disconnect(self._on_closed)
        if keep:
            self._unsaved.leave()
        else:
            self._unsaved.discard()
        _waiting.remove(self)


_waiting: list[_Successor] = []
