"""Answers to questions that come faster than they can be worked out: the newest one counts."""

from __future__ import annotations

from collections.abc import Callable

from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer

from napari_liso.plugin.tasks import Task

__all__ = ["Newest"]

#: Long enough that a dragged spin box asks once, too short to be noticed.
_WAIT_MS = 40


class Newest(QObject):
    """Starts a `Task` a moment after the last request; never two at a time.

    A request while the task runs is kept and started when it has ended, so that
    what is shown at the end always belongs to the last request.
    """

    def __init__(
        self, task: Task, start: Callable[[], None], parent: QObject, wait_ms: int = _WAIT_MS
    ) -> None:
        super().__init__(parent)
        self._task = task
        self._start = start
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(wait_ms)
        self._timer.timeout.connect(self._on_time)
        task.running_changed.connect(self._on_running)
        self._waiting = False

    @property
    def pending(self) -> bool:
        """True while a request has not been started."""
        return self._waiting or self._timer.isActive()

    def ask(self) -> None:
        """Request a run with what holds when its turn comes."""
        self._timer.start()

    def drop(self) -> None:
        """Forget a request that has not been started."""
        self._timer.stop()
        self._waiting = False

    def _on_time(self) -> None:
        if not isalive(self):
            return
        if self._task.running:
            self._waiting = True
        else:
            self._waiting = False
            self._start()

    def _on_running(self, running: bool) -> None:
        if not running and self._waiting and isalive(self):
            QTimer.singleShot(0, self._on_time)  # once the former outcome has been told
