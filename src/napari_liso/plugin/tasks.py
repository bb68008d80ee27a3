"""Work in another thread, with progress, cancel and errors that the dock can show."""

from __future__ import annotations

import atexit
import contextlib
from collections.abc import Callable
from functools import cache
from typing import Any

from qtpy.QtCore import QObject, Signal

__all__ = ["Cancelled", "Task"]

#: How long a program that ends waits for its threads, ms; a file that is written takes seconds.
_PATIENCE = 60_000


class Cancelled(Exception):
    """Raised inside a computation whose user pressed Cancel."""


class Task(QObject):
    """One computation at a time in a napari worker thread.

    Signals arrive in the main thread: only there may layers be touched.
    """

    progressed = Signal(float, str)
    succeeded = Signal(object)
    failed = Signal(object)  # a ValueError: something that the user can put right
    cancelled = Signal()
    running_changed = Signal(bool)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._worker: Any = None
        self._abort = False

    @property
    def running(self) -> bool:
        """True from `start` until the outcome has been delivered."""
        return self._worker is not None

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        """Call ``function(*args, **kwargs)`` in a thread.

        Raises
        ------
        RuntimeError
            If something is running already.
        """
        from napari.qt.threading import create_worker

        if self.running:
            raise RuntimeError("a computation is running already")
        _end_before_python()
        self._abort = False
        self._worker = create_worker(_attempt, function, args, kwargs, _start_thread=False)
        self._worker.returned.connect(self._on_returned)
        self._worker.finished.connect(self._on_finished)
        self.running_changed.emit(True)
        self._worker.start()

    def cancel(self) -> None:
        """Ask the computation to stop at its next report of progress."""
        self._abort = True

    def report(self, done: float, message: str = "") -> None:
        """Report progress from inside the computation (any thread).

        Parameters
        ----------
        done
            0 to 1.
        message
            What is being done.

        Raises
        ------
        Cancelled
            If the user or the closing application asked to stop.
        """
        worker = self._worker
        if self._abort or worker is None or worker.abort_requested:
            raise Cancelled
        try:
            self.progressed.emit(float(done), message)
        except RuntimeError as gone:  # the dock was deleted meanwhile
            raise Cancelled from gone

    def _on_returned(self, outcome: tuple[str, Any]) -> None:
        kind, value = outcome
        # free before the outcome is told, so that a listener may start the next one
        self._on_finished()
        if kind == "done" and not self._abort:
            self.succeeded.emit(value)
        elif kind == "failed":
            self.failed.emit(value)
        else:
            self.cancelled.emit()

    def _on_finished(self) -> None:
        if self._worker is not None:
            self._worker = None
            self.running_changed.emit(False)


@cache  # once in a program
def _end_before_python() -> None:
    """Let no thread outlive Python: what it would tell has gone then, and Qt aborts."""
    atexit.register(_end_threads)


def _end_threads() -> None:
    from napari.qt.threading import WorkerBase

    with contextlib.suppress(RuntimeError):  # after so long, let it go
        WorkerBase.await_workers(_PATIENCE)


def _attempt(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[str, Any]:
    """Return the outcome as a pair; errors that are bugs go on to napari's notification."""
    try:
        return "done", function(*args, **kwargs)
    except Cancelled:
        return "cancelled", None
    except ValueError as error:
        return "failed", error
