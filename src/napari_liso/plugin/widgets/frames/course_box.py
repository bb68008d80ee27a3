"""Counts and fraction over the frames, in the whole map or a region, with a verdict."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_liso.counting.frames import FrameCourse, course_findings, frames_to_drop
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.frames.behind import every_frame_behind
from napari_liso.plugin.frames.choice import choice_of
from napari_liso.plugin.frames.work import course_of, part_of
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.checks.finding_list import FindingList
from napari_liso.plugin.widgets.frames.course_plot import CoursePlot
from napari_liso.plugin.widgets.parts import form
from napari_liso.plugin.widgets.regions.choice import RegionChoice, mask_of
from napari_liso.plugin.widgets.working import Working

__all__ = ["CourseBox"]

#: After the last change of what is shown.
_WAIT_MS = 150


class CourseBox(QWidget):
    """Works out the course in a thread whenever it is asked for.

    Attributes
    ----------
    course
        Over all frames of the file, or None.
    """

    changed = Signal()

    def __init__(self, context: Context, on_range: Callable[[int, int], None]) -> None:
        super().__init__()
        self._context = context
        self.course: FrameCourse | None = None
        self._used: tuple[int, int] | None = None
        self.region = RegionChoice(
            context,
            "whole map",
            "Where counts and fraction are followed over the frames: the whole map, or a region "
            "of a Labels or Shapes layer. Only pixels that every frame reaches count.",
        )
        self.plot = CoursePlot(context.viewer, on_range)
        self.findings = FindingList()
        self.task = Task(self)
        self.newest = Newest(self.task, self._start, self, _WAIT_MS)
        self.working = Working(self.task, self.newest)
        rows = form()
        rows.addRow("Steady in", self.region)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        column.addLayout(rows)
        for widget in (self.plot, self.working, self.findings):
            column.addWidget(widget)
        self.task.succeeded.connect(self._on_course)
        self.task.failed.connect(self._on_failed)

    def show_used(self, used: tuple[int, int] | None) -> None:
        """Shade frames other than [start, stop) and judge these; None: all are in use."""
        self._used = used
        if self.course is not None:
            self.plot.show_used(self._range())
            self._judge()

    def proposed(self) -> int:
        """Return how many of the first frames in use had better be left out."""
        return 0 if self.course is None else frames_to_drop(part_of(self.course, *self._range()))

    def _range(self) -> tuple[int, int]:
        frames = 0 if self.course is None else len(self.course.total)
        start, stop = self._used or (0, frames)
        return min(start, frames), min(stop, frames)

    def _start(self) -> None:
        counts = self._context.counts
        if counts is None or counts[0] == counts[1]:
            self._show_none("Choose the counts of two isotopes under Data")
            return
        try:
            ly.require_same_shape(*counts)
            n6, n7 = (every_frame_behind(layer) for layer in counts)
            if len(n6.shape) != 3 or n6.shape[0] < 2:
                self._show_none("One frame: nothing can change")
                return
            drawn, label = self.region.drawn(counts[0]), self.region.label
        except ValueError as error:
            self._on_failed(error)
            return
        acquisition = ly.acquisition_from_layer(counts[0])
        choice = None if acquisition is None else choice_of(acquisition)
        self.task.start(course_of, n6, n7, choice, lambda: mask_of(drawn, label), self.task.report)

    def _on_course(self, course: FrameCourse) -> None:
        self.course = course
        tracer = self._context.tracer.current
        name = "fraction" if tracer is None else f"{ly.channel_of(tracer)} fraction"
        self.plot.show_course(course, self._range(), name)
        self._judge()
        self.changed.emit()

    def _on_failed(self, error: Exception) -> None:
        text = str(error)
        self._show_none(text[:1].upper() + text[1:])

    def _show_none(self, text: str) -> None:
        self.course = None
        self.plot.show_course(None, (0, 0), "", text)
        self.findings.show_findings(())
        self.changed.emit()

    def _judge(self) -> None:
        """Judge the frames in use."""
        start, stop = self._range()
        if self.course is None or stop - start < 2:
            self.findings.show_findings(())
            return
        part = part_of(self.course, start, stop)
        self.findings.show_findings(course_findings(part, np.arange(start + 1, stop + 1)))
