"""A bar that shows how far a computation is, and a button that stops it."""

from __future__ import annotations

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QPushButton, QWidget

from napari_liso.plugin.newest import Newest
from napari_liso.plugin.tasks import Task

__all__ = ["Working"]

#: How long a run may take before it is shown that it runs.
_PATIENCE_MS = 400


class Working(QWidget):
    """Hidden but while a task runs for longer than a moment."""

    def __init__(self, task: Task, newest: Newest) -> None:
        super().__init__()
        self._task, self._newest = task, newest
        self.bar = QProgressBar()
        self.bar.setRange(0, 100)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop; what is shown stays as it is until the next change")
        self.cancel_button.clicked.connect(self._on_cancel)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.bar, 1)
        row.addWidget(self.cancel_button)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE_MS)
        self._patience.timeout.connect(self._on_time)
        task.running_changed.connect(self._on_running)
        task.progressed.connect(self._on_progress)
        self.hide()

    def _on_running(self, running: bool) -> None:
        if running:
            self.bar.setValue(0)
            self.bar.setFormat("")
            self._patience.start()
        else:
            self._patience.stop()
            self.hide()

    def _on_time(self) -> None:
        self.setVisible(self._task.running)

    def _on_progress(self, done: float, text: str) -> None:
        self.bar.setValue(round(100 * done))
        self.bar.setFormat(f"{text} … %p %" if text else "%p %")

    def _on_cancel(self) -> None:
        self._newest.drop()
        self._task.cancel()
