"""Step 2: from counts of two isotopes to the isotope fraction, with its interval."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtWidgets import QCheckBox, QDoubleSpinBox, QPushButton, QSpinBox

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import pulses_behind
from napari_liso.plugin.context import Context
from napari_liso.plugin.overlays import show_scale_bar
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.parts import Panel, enable, form, wide

if TYPE_CHECKING:
    from napari_liso.counting.fraction import FractionMap

__all__ = ["RatioPanel"]

_RUN_TIP = (
    "Make the fraction tracer / (tracer + other) of every pixel, or update it. Pixels without "
    "counts are empty (NaN), not zero."
)
_DEAD_TIME_TIP = (
    "At most one ion of a peak is counted a pulse. From the pulses that each pixel got, those "
    "that were missed are worked out; saturated pixels are left empty. It acts on this map only: "
    "the fit uses the counts as they were detected."
)
#: A pixel of fewer pulses, all frames together, counts all or nothing too often: its
#: correction would put the fraction further off than none.
_MIN_PULSES = 5


class RatioPanel(Panel):
    """Choose pooling and confidence, and make the fraction layer."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.bin = wide(QSpinBox())
        self.bin.setRange(1, 256)
        self.bin.setSuffix(" px")
        self.bin.setToolTip(
            "Sum the counts of squares of this many pixels a side before the fraction is taken: "
            "coarser, but more certain. Fractions themselves are never averaged."
        )
        self.confidence = wide(QDoubleSpinBox())
        self.confidence.setRange(50.0, 99.99)
        self.confidence.setDecimals(2)
        self.confidence.setValue(95.0)
        self.confidence.setSuffix(" %")
        self.confidence.setToolTip(
            "Confidence of the binomial interval that each pixel gets, in percent"
        )
        self.dead_time = QCheckBox("Correct for dead time")
        self.dead_time.setChecked(True)
        self.dead_time.setToolTip(_DEAD_TIME_TIP)
        self.run_button = QPushButton("Make isotope fraction")
        self.run_button.clicked.connect(self.compute)
        rows = form()
        rows.addRow("Pool pixels", self.bin)
        rows.addRow("Confidence", self.confidence)
        self.column.addLayout(rows)
        self.column.addWidget(self.dead_time)
        self.column.addWidget(self.run_button)
        self.column.addWidget(self.message)
        self.task = Task(self)
        self.task.succeeded.connect(self._on_result)
        self.task.failed.connect(self.fail)
        self.task.running_changed.connect(self.refresh)
        for signal in (
            context.layers_changed,
            context.tracer.changed,
            context.other.changed,
        ):
            signal.connect(self.refresh)
        self._request: dict[str, Any] = {}
        self.forget_when_changed(context.tracer, context.other)
        self.refresh()

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return "" if self.context.find("fraction") is not None else "not made yet"

    def refresh(self) -> None:
        """Follow the context: say why the button cannot be pressed."""
        missing = ""
        if self.task.running:
            missing = "computing"
        elif self.context.counts is None:
            missing = "choose the counts of two isotopes under Data"
        enable(self.run_button, missing, _RUN_TIP)
        pulses = self._pulses()
        self.dead_time.setVisible(pulses is not None)
        enable(self.dead_time, _too_few(pulses), _DEAD_TIME_TIP)

    def _pulses(self) -> NDArray[Any] | None:
        """Return the pulses behind each pixel, all frames together; None where unknown."""
        counts = self.context.counts
        if counts is None:
            return None
        pulses = [pulses_behind(layer) for layer in counts]
        if pulses[0] is None or pulses[1] is None or not np.array_equal(pulses[0], pulses[1]):
            return None
        return pulses[0]

    def compute(self) -> None:
        """Compute the fraction in a thread."""
        counts = self.context.counts
        if counts is None:
            return
        tracer, other = counts
        self.message.say("")
        try:
            if tracer == other:
                raise ValueError("both isotopes are the same layer; choose two")
            ly.require_same_shape(tracer, other)
            a, b = ly.counts_from_layer(tracer), ly.counts_from_layer(other)
            if not (a.any() or b.any()):
                raise ValueError("every count is zero: there is nothing to take a fraction of")
        except ValueError as error:
            self.fail(error)
            return
        pulses = self._pulses()
        if not self.dead_time.isChecked() or _too_few(pulses):
            pulses = None
        self._request = {
            "tracer": tracer,
            "other": other.name,
            "bin": self.bin.value(),
            "confidence": self.confidence.value() / 100,
            "dead_time_corrected": pulses is not None,
        }
        self.task.start(
            _fractions, a, b, pulses, self._request["bin"], self._request["confidence"]
        )

    def _on_result(self, result: tuple[FractionMap, FractionMap]) -> None:
        fraction, total = result
        tracer, factor = self._request["tracer"], self._request["bin"]
        confidence = self._request["confidence"]
        if self.context.find("fraction") is None:
            show_scale_bar(self.context.viewer)
        layer = ly.show(
            self.context.viewer,
            ly.fraction_layer(
                fraction,
                ly.result_name(f"{ly.channel_of(tracer)} fraction", tracer.name),
                ly.Placement.of_layer(tracer),
                bin=factor,
                sources=(tracer.name, self._request["other"]),
                confidence=confidence,
                dead_time_corrected=self._request["dead_time_corrected"],
            ),
        )
        value, low, high = (float(a.item()) for a in (total.value, total.lower, total.upper))
        text = (
            f"'{layer.name}' is ready. Whole map: {value:.4f} "
            f"({100 * confidence:g}\u00a0%: {low:.4f} to {high:.4f}), "
            f"{int(total.counts.item()):,} counts, "
            f"{'' if self._request['dead_time_corrected'] else 'not '}corrected for dead time."
        )
        empty = float(np.mean(np.isnan(fraction.value)))
        self.message.say(text + (f" {empty:.1%} of the pixels are empty." if empty else ""))
        self.refresh()


def _too_few(pulses: NDArray[Any] | None) -> str:
    """Say why pulses do not suffice for a correction of each pixel, ``""`` where they do."""
    if pulses is None:
        return ""
    usual = float(np.median(pulses[pulses > 0])) if np.any(pulses) else 0.0
    if usual >= _MIN_PULSES:
        return ""
    return f"{usual:g} pulses a pixel are too few to correct it; {_MIN_PULSES} or more are needed"


def _fractions(
    a: NDArray[np.int64],
    b: NDArray[np.int64],
    pulses: NDArray[Any] | None,
    factor: int,
    confidence: float,
) -> tuple[FractionMap, FractionMap]:
    """Return the fraction of every pixel and that of the whole map."""
    from napari_liso.counting.fraction import isotope_fraction

    return (
        isotope_fraction(a, b, pulses, bin=factor, confidence=confidence),
        isotope_fraction(a, b, pulses, bin=max(a.shape), confidence=confidence),
    )
