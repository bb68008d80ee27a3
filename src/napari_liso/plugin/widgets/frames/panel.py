"""Frames and drift: which frames are used, shifted by how much, and whether they are steady."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSpinBox,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import same_file
from napari_liso.plugin.context import Context
from napari_liso.plugin.frames.behind import TogetherStack, made_choice, show_choice
from napari_liso.plugin.frames.choice import FrameChoice, choice_before, choice_of
from napari_liso.plugin.frames.work import sum_all
from napari_liso.plugin.ratio.input import counts_key
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.fold import Fold
from napari_liso.plugin.widgets.frames.course_box import CourseBox
from napari_liso.plugin.widgets.frames.course_plot import ShiftPlot
from napari_liso.plugin.widgets.frames.shift_table import ShiftTable
from napari_liso.plugin.widgets.parts import Panel, enable, form, wide
from napari_liso.plugin.widgets.working import Working
from napari_liso.readers._lazy import channel_stack

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition
    from napari_liso.counting.drift import Drift

__all__ = ["FramesPanel"]

_TOGETHER = "all ions together"
_FIND_TIP = (
    "Find by how many whole pixels the sample moved from frame to frame, from the likelihood of "
    "each frame over the sum of the others. Counts are never interpolated. Nothing is changed "
    "before you press Apply."
)
_CHANNEL_TIP = (
    "Counts that the drift is found from: all ions together, or a channel that is bright and does "
    "not change with depth, such as a matrix ion"
)
_APPLY_TIP = (
    "Use these frames with these shifts in all layers of this file; fraction, regions, boundaries "
    "and fit then take them. Where a shifted frame does not reach, it has no counts and no pulses."
)
_RESET_TIP = "Use all frames again, as they were measured"
_UNDO_TIP = "Take back the last change; after Apply, go back to the frames that were used before"
_NO_FILE = "the frames of this layer cannot be chosen: open the file itself with napari-liso"


class FramesPanel(Panel):
    """Choose frames, find and edit their shifts, and see counts and fraction over the frames."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.draft = FrameChoice(0, 1)
        self._history: list[FrameChoice] = []
        self._sure: NDArray[np.bool_] | None = None
        self._applied: FrameChoice | None = None  # what the layers had when last looked at
        self._counts_shown: Any = None
        self._filling = False
        self._unfolded = False
        self._seen: Hashable = None
        self._pending: list[Acquisition] = []
        self.hint = QLabel()
        self.hint.setWordWrap(True)
        self.column.addWidget(self.hint)
        self.body = QWidget()
        self._make_controls()
        self.course = CourseBox(context, self._on_plot_range)
        self.task = Task(self)
        self._lay_out()
        self._connect()
        self.refresh()

    def _make_controls(self) -> None:
        self.first, self.last = QSpinBox(), QSpinBox()
        for box, what in ((self.first, "First"), (self.last, "Last")):
            box.setToolTip(f"{what} frame that is used; frames are counted from 1")
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._on_range)
        self.of = QLabel()
        self.drop_button = QPushButton("Drop the first")
        self.drop_button.clicked.connect(self.drop_first)
        self.channel = wide(QComboBox())
        self.channel.setToolTip(_CHANNEL_TIP)
        self.channel.setMinimumContentsLength(8)
        self.find_button = QPushButton("Find drift")
        self.find_button.clicked.connect(self.find)
        self.table = ShiftTable()
        self.table.edited.connect(self._on_shift)
        self.table.refused.connect(self.message.warn)
        self.shift_plot = ShiftPlot(self.context.viewer)
        self.apply_button = QPushButton("Apply")
        self.apply_button.clicked.connect(self.apply)
        self.reset_button = QPushButton("Reset")
        self.reset_button.clicked.connect(self.reset)
        self.undo_button = QPushButton("Undo")
        self.undo_button.clicked.connect(self.undo)

    def _lay_out(self) -> None:
        inside = QVBoxLayout(self.body)
        inside.setContentsMargins(0, 0, 0, 0)
        inside.setSpacing(6)
        frames = QHBoxLayout()
        for widget in (self.first, QLabel("to"), self.last, self.of):
            frames.addWidget(widget, 0 if isinstance(widget, QLabel) else 1)
        first = QHBoxLayout()
        first.addWidget(self.drop_button)
        first.addStretch(1)
        drift = QHBoxLayout()
        drift.addWidget(self.channel, 1)
        drift.addWidget(self.find_button)
        rows = form()
        rows.addRow("Frames", frames)
        rows.addRow("", first)
        rows.addRow("Drift of", drift)
        inside.addLayout(rows)
        shifts = QWidget()
        column = QVBoxLayout(shifts)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(self.shift_plot)
        column.addWidget(self.table)
        self.shifts = Fold("Shifts", "Shift of every frame, to look at and to edit", shifts)
        inside.addWidget(self.shifts)
        buttons = QHBoxLayout()
        for button in (self.apply_button, self.reset_button, self.undo_button):
            buttons.addWidget(button, 1)
        inside.addLayout(buttons)
        self.working = Working(self.task, _NothingWaits())  # type: ignore[arg-type]
        inside.addWidget(self.working)
        inside.addWidget(self.message)
        inside.addWidget(self.course)
        self.column.addWidget(self.body)

    def _connect(self) -> None:
        context = self.context
        self.task.succeeded.connect(self._on_done)
        self.task.failed.connect(self.fail)
        self.task.cancelled.connect(self._on_cancelled)
        self.task.running_changed.connect(self._refresh_buttons)
        self.course.changed.connect(self._refresh_buttons)
        self.course.region.changed.connect(self._ask_course)
        for signal in (context.layers_changed, context.tracer.changed, context.other.changed):
            signal.connect(self.refresh)
        self.forget_when_changed(context.tracer)

    def setVisible(self, visible: bool) -> None:
        """Draw what changed while the step was folded."""
        super().setVisible(visible)
        self._unfolded = visible
        if hasattr(self, "course"):
            self._ask_course()

    def _ask_course(self) -> None:
        if self._unfolded:
            self.course.newest.ask()

    # --- what there is ------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """Which frames are used."""
        acquisition = self.acquisition()
        if acquisition is None:
            return "choose counts" if self.context.counts is None else ""
        frames = int(acquisition.counts.shape[1])
        if frames == 1:
            return "one frame"
        choice = choice_of(acquisition)
        if choice.takes_all(frames):
            return f"all {frames}"
        # a header has to fit a narrow dock
        shifted = ", shifted" if choice.shifts is not None else ""
        return f"{choice.start + 1} to {choice.stop} of {frames}{shifted}"

    def acquisition(self) -> Acquisition | None:
        """Return the measurement behind the tracer's layer, or None."""
        layer = self.context.tracer.current
        found = None if layer is None else ly.acquisition_from_layer(layer)
        return found if found is not None and ly.has_image(found) else None

    def _acquisitions(self) -> list[Acquisition]:
        """Return those of both isotopes, which may be files of their own."""
        found: list[Acquisition] = []
        for layer in self.context.counts or ():
            one = ly.acquisition_from_layer(layer)
            if one is not None and not any(same_file(one, other) for other in found):
                found.append(one)
        return found or [one for one in (self.acquisition(),) if one is not None]

    def refresh(self) -> None:
        """Follow the chosen layers and what was done to their frames elsewhere."""
        if not isalive(self):
            return
        acquisition = self.acquisition()
        frames = 0 if acquisition is None else int(acquisition.counts.shape[1])
        self.hint.setText(self._hint(acquisition, frames))
        self.hint.setVisible(bool(self.hint.text()))
        self.body.setVisible(frames > 1 or self._has_stack())
        if acquisition is not None and frames > 1:
            applied = choice_of(acquisition)
            another = acquisition.counts is not self._counts_shown
            if another or applied != self._applied:
                self._counts_shown, self._applied = acquisition.counts, applied
                self._history = [] if another else self._history
                self._sure = None if another else self._sure
                self._take(applied)
            if another:
                self._fill_channels(acquisition)
        else:
            self._counts_shown = self._applied = None
            self.course.show_used(None)
        self._refresh_buttons()
        seen = tuple(counts_key(layer) for layer in self.context.counts or ())
        if seen != self._seen:
            self._seen = seen
            self._ask_course()

    def _hint(self, acquisition: Acquisition | None, frames: int) -> str:
        if self.context.tracer.current is None:
            return "Choose the counts of two isotopes under Data."
        if acquisition is None:
            return "" if self._has_stack() else "This layer holds one image: no frames to choose."
        if frames == 1:
            return (
                "This measurement has one frame only, or its frames were summed before it was "
                "saved: there is nothing to choose, and drift within it cannot be seen."
            )
        return ""

    def _has_stack(self) -> bool:
        layer = self.context.tracer.current
        return layer is not None and layer.ndim == 3 and layer.data.shape[0] > 1

    def _fill_channels(self, acquisition: Acquisition) -> None:
        before = self.channel.currentText()
        self.channel.clear()
        self.channel.addItem(_TOGETHER)
        self.channel.addItems(list(acquisition.channels))
        self.channel.setCurrentIndex(max(0, self.channel.findText(before)))

    # --- the draft ----------------------------------------------------------------------------

    def _take(self, draft: FrameChoice) -> None:
        """Show a choice in the controls."""
        acquisition = self.acquisition()
        frames = 1 if acquisition is None else int(acquisition.counts.shape[1])
        self.draft = draft
        self._filling = True
        for box, value in ((self.first, draft.start + 1), (self.last, draft.stop)):
            box.setRange(1, frames)
            box.setValue(value)
        self.of.setText(f"of {frames}")
        shifts = (
            np.zeros((frames, 2), np.int64) if draft.shifts is None else np.array(draft.shifts)
        )
        self.table.show_shifts(shifts, self._notes(frames))
        self.shift_plot.show_shifts(shifts)
        self.shifts.say(
            "none"
            if draft.shifts is None
            else (
                f"dy {shifts[:, 0].min()} to {shifts[:, 0].max()}, "
                f"dx {shifts[:, 1].min()} to {shifts[:, 1].max()} px"
            ).replace("-", "\u2212")
        )
        self._filling = False
        self.course.show_used((draft.start, draft.stop))
        self._refresh_buttons()

    def _notes(self, frames: int) -> list[str]:
        if self._sure is None or len(self._sure) != frames:
            return [""] * frames
        return ["" if sure else "unsure: from its neighbours" for sure in self._sure]

    def _change(self, draft: FrameChoice) -> None:
        """Put another choice in the controls, which Undo can take back."""
        if draft != self.draft:
            self._history.append(self.draft)
            self._take(draft)

    def _on_range(self) -> None:
        if self._filling:
            return
        first, last = self.first.value(), self.last.value()
        if first > last:  # the box that was moved pushes the other
            first, last = (first, first) if self.sender() is self.first else (last, last)
        self._change(FrameChoice(first - 1, last, self.draft.shifts))

    def _on_plot_range(self, first: int, last: int) -> None:
        if self.acquisition() is not None and not self.task.running:
            self._change(FrameChoice(first - 1, last, self.draft.shifts))

    def _on_shift(self, frame: int, dy: int, dx: int) -> None:
        count = self.table.rowCount()
        shifts = np.zeros((count, 2), np.int64)
        if self.draft.shifts is not None:
            shifts = np.array(self.draft.shifts)
        shifts[frame] = dy, dx
        if self._sure is not None and frame < len(self._sure):
            self._sure[frame] = True
        self.message.say("")
        self._change(FrameChoice.of(self.draft.start, self.draft.stop, shifts))

    def drop_first(self) -> None:
        """Leave out the first frames: as many as differ from the rest, or one."""
        start = min(self.draft.start + max(1, self.course.proposed()), self.draft.stop - 1)
        self._change(FrameChoice(start, self.draft.stop, self.draft.shifts))

    # --- buttons ------------------------------------------------------------------------------

    def _refresh_buttons(self) -> None:
        acquisition = self.acquisition()
        missing = "working" if self.task.running else ""
        if acquisition is None:
            missing = _NO_FILE
        enable(self.find_button, missing, _FIND_TIP)
        drafted = acquisition is not None and self.draft != choice_of(acquisition)
        enable(self.apply_button, missing or ("" if drafted else "this is in use"), _APPLY_TIP)
        whole = acquisition is not None and choice_of(acquisition).takes_all(
            acquisition.counts.shape[1]
        )
        nothing = "all frames are used as measured" if whole and not drafted else ""
        enable(self.reset_button, missing or nothing, _RESET_TIP)
        can_undo = bool(self._history and drafted) or (
            acquisition is not None and choice_before(acquisition) is not None
        )
        enable(self.undo_button, missing or ("" if can_undo else "nothing was changed"), _UNDO_TIP)
        proposed = self.course.proposed() if acquisition is not None else 0
        self.drop_button.setText(
            f"Drop the first {proposed}" if proposed > 1 else "Drop the first"
        )
        only = "only one frame is left" if self.draft.stop - self.draft.start < 2 else ""
        tip = "Leave out the first frame in use; press Apply then"
        if proposed:
            tip = "These first frames differ from the rest by more than counting; press Apply then"
        enable(self.drop_button, missing or only, tip)
        for box in (self.first, self.last, self.channel, self.table):
            box.setEnabled(not missing)

    def find(self) -> None:
        """Find the drift, in a thread."""
        acquisition = self.acquisition()
        if acquisition is None or self.task.running:
            return
        place = self.channel.currentIndex() - 1
        stack: Any = TogetherStack(acquisition)
        if place >= 0:
            stack = channel_stack(acquisition.counts, place)
        self.message.say("Looking for drift …")
        self.task.start(_find, stack, self.draft.start, self.task.report)

    def apply(self) -> None:
        """Use the draft in every layer of the file, in a thread."""
        self._use([(one, self.draft) for one in self._acquisitions()])

    def reset(self) -> None:
        """Use all frames as measured."""
        frames = [(one, FrameChoice(0, one.counts.shape[1])) for one in self._acquisitions()]
        self._use(frames)

    def undo(self) -> None:
        """Take back the last change of the draft or, where it is in use, the last Apply."""
        acquisition = self.acquisition()
        if acquisition is None:
            return
        if self._history and self.draft != choice_of(acquisition):
            self._take(self._history.pop())
            return
        before = [(one, choice_before(one)) for one in self._acquisitions()]
        self._use([(one, choice) for one, choice in before if choice is not None])

    def _use(self, choices: list[tuple[Acquisition, FrameChoice]]) -> None:
        if self.task.running or not choices:
            return
        if all(choice == choice_of(one) for one, choice in choices):  # the draft alone differs
            self._change(choices[0][1])
            return
        try:
            self._pending = [made_choice(one, choice) for one, choice in choices]
        except ValueError as error:
            self.fail(error)
            return
        self.message.say("")
        self.task.start(sum_all, self._pending, self.task.report)

    def _on_done(self, result: Any) -> None:
        if isinstance(result, list):
            self._on_summed(result)
        else:
            self._on_drift(result)
        self._refresh_buttons()

    def _on_summed(self, sums: list[list[Any]]) -> None:
        self._history = []
        for one, part in zip(self._pending, sums, strict=True):
            show_choice(self.context.viewer, one, part)
        acquisition = self.acquisition()
        if acquisition is not None:
            frames = int(acquisition.counts.shape[1])
            words = choice_of(acquisition).in_words(frames) or f"all {frames} frames as measured"
            self.message.say(f"In use: {words}.")

    def _on_drift(self, drift: Drift) -> None:
        self._sure = drift.sure.copy()
        shifts = drift.shifts
        self._change(FrameChoice.of(self.draft.start, self.draft.stop, shifts))
        self.table.show_shifts(shifts, self._notes(len(shifts)))
        unsure = int((~drift.sure).sum())
        if not shifts.any():
            text = "No frame moved by a whole pixel."
        else:
            text = (
                f"The sample moved by up to {int(np.abs(shifts).max())} px. Look at the shifts, "
                "then press Apply."
            )
            self.shifts.unfold()
        if unsure:
            which = "1 frame has" if unsure == 1 else f"{unsure} frames have"
            text += f" {which} too few counts to tell: put between the others."
        self.message.say(text)

    def _on_cancelled(self) -> None:
        self.message.say("Stopped; nothing was changed.")


class _NothingWaits:
    """Stands where a queue of requests could be."""

    def drop(self) -> None:
        """Do nothing."""


def _find(stack: Any, reference: int, report: Any) -> Drift:
    from napari_liso.counting.drift import measure_drift

    return measure_drift(stack, reference=reference, progress=report)
