"""Checks: whether the counts support an isotope fraction, in plain words."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QApplication,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
)

from napari_liso import __version__
from napari_liso.counting.measured import Measured
from napari_liso.isotopes import isotope_of, natural_fraction
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.frames.behind import frames_behind
from napari_liso.plugin.frames.choice import choice_of
from napari_liso.plugin.frames.work import CheckRequest, check
from napari_liso.plugin.ratio.input import counts_key
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.checks.brightness_plot import BrightnessPlot
from napari_liso.plugin.widgets.checks.finding_list import MARKS, FindingList, summary_of
from napari_liso.plugin.widgets.parts import Panel, enable, form, wide
from napari_liso.plugin.widgets.regions.choice import RegionChoice, mask_of
from napari_liso.plugin.widgets.working import Working

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.counting.diagnostics import Checks

__all__ = ["ChecksPanel"]

_RUN_TIP = (
    "Check whether counts and fraction are steady over the frames, scatter as counting makes "
    "them, and do not depend on brightness; and whether a reference region reads what it should. "
    "The counts are checked as they were detected, of the frames in use."
)
_GRAINS_TIP = (
    "Compare bright and dark places within one grain only. Grains of other brightness and other "
    "fraction are then no alarm. Without grains, places are compared in squares of 8 pixels."
)
_REFERENCE_TIP = (
    "A place whose isotope fraction is known, such as one that the tracer has not reached. It is "
    "compared after the corrections that are set under Isotope fraction."
)
_NONE, _WHOLE, _REGION = range(3)


class ChecksPanel(Panel):
    """Run every check of the counts and tell what it found."""

    status_changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.checks: Checks | None = None
        self._checked: Hashable = None
        self._asked: Hashable = None
        self._sources: tuple[str, ...] = ()
        self._pair: tuple[str, ...] = ()
        self.grains = QCheckBox()
        self.grains.setToolTip(_GRAINS_TIP)
        self.grains.setChecked(True)
        self.reference = wide(QComboBox())
        self.reference.addItems(["none", "whole map", "a region"])
        self.reference.setToolTip(_REFERENCE_TIP)
        self.region = RegionChoice(
            context, "choose a layer", "Labels or Shapes layer with the reference region"
        )
        self.known, self.known_error = (_fraction_box(tip) for tip in (
            "Isotope fraction that the reference has: tracer / (tracer + other)",
            "Its standard error (one sigma)",
        ))  # fmt: skip
        self.run_button = QPushButton("Check the counts")
        self.run_button.clicked.connect(self.run)
        self.summary = QLabel()
        self.summary.setWordWrap(True)
        self.findings = FindingList()
        self.plot = BrightnessPlot(context.viewer)
        self.copy_button = QPushButton("Copy report")
        self.copy_button.clicked.connect(self.copy)
        self.task = Task(self)
        self.working = Working(self.task, _NothingWaits())  # type: ignore[arg-type]
        self._lay_out()
        self.task.succeeded.connect(self._on_checks)
        self.task.failed.connect(self.fail)
        self.task.cancelled.connect(self._on_cancelled)
        self.task.running_changed.connect(self.refresh)
        self.reference.currentIndexChanged.connect(self.refresh)
        self.region.changed.connect(self.refresh)
        self.known.valueChanged.connect(self.refresh)
        for signal in (
            context.layers_changed,
            context.tracer.changed,
            context.other.changed,
            context.grains.changed,
        ):
            signal.connect(self.refresh)
        self.refresh()

    def _lay_out(self) -> None:
        known = QHBoxLayout()
        known.addWidget(self.known, 1)
        known.addWidget(QLabel("±"))
        known.addWidget(self.known_error, 1)
        self.rows = form()
        self.rows.addRow("Reference", self.reference)
        self.rows.addRow("Region", self.region)
        self.rows.addRow("Fraction", known)
        self._known = known
        self.column.addWidget(self.grains)
        self.column.addLayout(self.rows)
        for widget in (
            self.run_button,
            self.working,
            self.message,
            self.summary,
            self.findings,
            self.plot,
            self.copy_button,
        ):
            self.column.addWidget(widget)
        for widget in (self.summary, self.plot, self.copy_button):
            widget.hide()
        self.copy_button.setToolTip(
            "Copy what was found, as text with its numbers, for a notebook"
        )

    @property
    def status(self) -> str:
        """What was found, in short."""
        if self.checks is None:
            return "not checked yet"
        if self._checked != self._key():
            return "outdated"
        return summary_of(self.checks.findings)

    # --- following ----------------------------------------------------------------------------

    def refresh(self) -> None:
        """Follow the context: what can be checked, and whether what is shown still holds."""
        if not isalive(self):
            return
        grains = self._grains()
        self.grains.setVisible(grains is not None)
        if grains is not None:
            self.grains.setText(f"Compare within the grains of '{grains.name}'")
        mode = self.reference.currentIndex()
        self.rows.setRowVisible(1, mode == _REGION)
        self.rows.setRowVisible(2, mode != _NONE)
        self._fill_known()
        missing = ""
        if self.task.running:
            missing = "checking"
        elif self.context.counts is None:
            missing = "choose the counts of two isotopes under Data"
        elif mode == _REGION and self.region.choice.current is None:
            missing = "choose the layer of the reference region"
        elif mode != _NONE and not self.known.value() > 0:
            missing = "type the fraction that the reference has"
        enable(self.run_button, missing, _RUN_TIP)
        if self.checks is not None:
            self._show_summary()

    def _grains(self) -> Layer | None:
        """Return the grains if they lie on the pixels of the counts."""
        grains, counts = self.context.grains.current, self.context.counts
        if grains is None or counts is None:
            return None
        same = tuple(grains.data.shape[-2:]) == tuple(counts[0].data.shape[-2:])
        return grains if same and int(np.prod(grains.data.shape[:-2])) == 1 else None

    def _fill_known(self) -> None:
        """Put the natural fraction of another pair into the boxes."""
        counts = self.context.counts
        pair = () if counts is None else tuple(ly.channel_of(layer) for layer in counts)
        if pair == self._pair:
            return
        self._pair = pair
        natural = _natural(pair)
        for box, value in (
            (self.known, 0.0 if natural is None else natural.value),
            (self.known_error, 0.0 if natural is None else natural.error),
        ):
            box.setValue(value)

    def _key(self) -> Hashable:
        return tuple(counts_key(layer) for layer in self.context.counts or ())

    # --- checking -----------------------------------------------------------------------------

    def run(self) -> None:
        """Check, in a thread."""
        if self.context.counts is None or self.task.running:
            return
        self.message.say("")
        try:
            request = self._request()
        except ValueError as error:
            self.fail(error)
            return
        self._asked = self._key()
        self.task.start(check, request, self.task.report)

    def _request(self) -> CheckRequest:
        counts = self.context.counts
        assert counts is not None
        tracer, other = counts
        if tracer == other:
            raise ValueError("both isotopes are the same layer; choose two")
        ly.require_same_shape(tracer, other)
        (n6, pulses), (n7, _) = frames_behind(tracer), frames_behind(other)
        if tuple(n6.shape) != tuple(n7.shape):
            raise ValueError(
                f"'{tracer.name}' has {n6.shape[0]} frames in use, '{other.name}' {n7.shape[0]}: "
                "choose the same frames of both"
            )
        mode = self.reference.currentIndex()
        drawn = self.region.drawn(tracer) if mode == _REGION else None
        label = self.region.label
        acquisition = ly.acquisition_from_layer(tracer)
        grains = self._grains() if self.grains.isChecked() else None
        labels = None if grains is None else _plane(grains)
        self._sources = (tracer.name, other.name)
        return CheckRequest(
            n6=n6,
            n7=n7,
            pulses=pulses,
            choice=None if acquisition is None else choice_of(acquisition),
            frames=n6.shape[0] if acquisition is None else int(acquisition.counts.shape[1]),
            labels=lambda: labels if labels is not None and labels.any() else None,
            reference=(
                None if mode == _NONE else Measured(self.known.value(), self.known_error.value())
            ),
            reference_mask=lambda: mask_of(drawn, label),
            corrections=self.context.corrections,
            names=(ly.channel_of(tracer), ly.channel_of(other)),
        )

    def _on_checks(self, checks: Checks) -> None:
        self.checks, self._checked = checks, self._asked
        self.findings.show_findings(checks.findings)
        self.plot.show_dependence(checks.dependence)
        self.copy_button.show()
        self.refresh()
        self.status_changed.emit()

    def _show_summary(self) -> None:
        """Say in one line what was found, and whether it still holds."""
        assert self.checks is not None
        text = f"<b>{summary_of(self.checks.findings)}</b>"
        if self._checked != self._key():
            sign, colour = MARKS["doubtful"]
            text += (
                f' <span style="color:{colour}">{sign}</span> Counts or frames have changed '
                "since: check again."
            )
        self.summary.setText(text)
        self.summary.show()

    def _on_cancelled(self) -> None:
        self.message.say("Stopped.")

    def report(self) -> str:
        """Return what was found as text."""
        if self.checks is None:
            return ""
        lines = [f"Checks of {' and '.join(self._sources)}, napari-liso {__version__}", ""]
        for finding in self.checks.findings:
            numbers = ""
            if np.isfinite(finding.value):
                numbers = f" [{finding.value:.6g}"
                if np.isfinite(finding.lower):
                    numbers += f", 95 %: {finding.lower:.6g} to {finding.upper:.6g}"
                numbers += "]"
            lines.append(f"{finding.verdict.upper()}  {finding.name}{numbers}: {finding.text}")
        return "\n".join(lines) + "\n"

    def copy(self) -> None:
        """Put the report on the clipboard."""
        clipboard = QApplication.clipboard()
        if clipboard is not None:
            clipboard.setText(self.report())
            self.message.say("Copied.")


class _NothingWaits:
    """Stands where a queue of requests could be."""

    def drop(self) -> None:
        """Do nothing."""


def _fraction_box(tooltip: str) -> QDoubleSpinBox:
    box = wide(QDoubleSpinBox())
    box.setRange(0.0, 1.0)
    box.setDecimals(5)
    box.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
    box.setSingleStep(0.001)
    box.setKeyboardTracking(False)
    box.setToolTip(tooltip)
    box.setMinimumWidth(70)
    return box


def _natural(pair: tuple[str, ...]) -> Measured | None:
    isotopes = [isotope_of(name) for name in pair]
    if len(isotopes) != 2 or isotopes[0] is None or isotopes[1] is None:
        return None
    if isotopes[0][0] != isotopes[1][0]:
        return None
    return natural_fraction(isotopes[0][0], isotopes[0][1], isotopes[1][1])


def _plane(grains: Layer) -> NDArray[np.integer]:
    data = np.asarray(grains.data)
    return data.reshape(data.shape[-2:]).copy()
