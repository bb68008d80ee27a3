"""Step 4: the experiment, and the fit of grain and boundary transport to the counts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QProgressBar,
    QPushButton,
    QWidget,
)

from napari_liso.diffusion.experiment import EDGES, Experiment, Stage
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.fit_input import corrections_in_words, fit_keywords
from napari_liso.plugin.regions.far_field import far_field_of
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.parts import MessageLine, Panel, enable, form, wide
from napari_liso.units import from_um, to_um

if TYPE_CHECKING:
    from napari.layers import Labels, Layer

    from napari_liso.counting.measured import Measured
    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["ExperimentForm", "FitPanel"]

_SECONDS = {"h": 3600.0, "min": 60.0, "s": 1.0}
_ZERO_CELSIUS = 273.15
_SECTIONS = {
    "bulk": (
        "Pellet (grains go deeper)",
        (
            "A section through a pellet: grains also exchange with hidden neighbours above and "
            "below. The result is corrected and widened for that."
        ),
    ),
    "columnar": (
        "Columnar, film, bicrystal",
        (
            "Every grain and boundary runs straight through the thickness, so the map shows all "
            "of the transport. Do not choose this for a pellet."
        ),
    ),
}
_CORRECTIONS_TIP = (
    "What lies between the ions of the sample and their counts enters the model that is held "
    "against the counts, standard errors included. It is set under Isotope fraction, "
    "Corrections: the same for the fraction and the fit."
)
_FIT_TIP = (
    "Fit the diffusivity of the grains and the permeability k of the boundaries to the counts. "
    "Runs in the background."
)


def _spin(
    value: float, low: float, high: float, decimals: int, tooltip: str, suffix: str = ""
) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(decimals)
    box.setRange(low, high)
    box.setValue(value)
    box.setSuffix(suffix)
    box.setToolTip(tooltip)
    box.setMinimumWidth(70)
    return wide(box)


def _beside(*widgets: QWidget) -> QHBoxLayout:
    row = QHBoxLayout()
    row.setContentsMargins(0, 0, 0, 0)
    row.addWidget(widgets[0], 1)
    for widget in widgets[1:]:
        row.addWidget(widget)
    return row


_BACKGROUND_TIP = "6Li / (6Li + 7Li) of the sample before the exchange; natural lithium is 0.0759"


class ExperimentForm(QWidget):
    """What was done to the sample, in the units of the laboratory."""

    def __init__(self) -> None:
        super().__init__()
        self.duration = _spin(1.0, 0.0001, 1e7, 4, "How long the 6Li source was in contact")
        self.duration_unit = QComboBox()
        self.duration_unit.addItems(list(_SECONDS))
        self.duration_unit.setToolTip("Unit of both durations: hours, minutes or seconds")
        self.anneal = _spin(
            0.0, 0.0, 1e7, 4, "How long the sample then stayed at the same temperature without "
            "source, in the same unit; 0 if it was quenched"
        )  # fmt: skip
        self.anneal.setSpecialValueText("none")
        self.temperature = _spin(25.0, -273.0, 5000.0, 2, "Temperature during the exchange")
        self.temperature_unit = QComboBox()
        self.temperature_unit.addItems(["°C", "K"])
        self.temperature_unit.setToolTip("Unit of the temperature")
        self.edge = wide(QComboBox())
        self.edge.addItems([f"{edge} edge" for edge in EDGES])
        self.edge.setToolTip("Edge of the map that touched the 6Li source")
        self.source = _spin(
            0.95, 0.0, 1.0, 4, "6Li / (6Li + 7Li) of the source, a number from 0 to 1"
        )
        self.background = _spin(0.0759, 0.0, 1.0, 4, _BACKGROUND_TIP)
        rows = form()
        rows.addRow("Exchange", _beside(self.duration, self.duration_unit))
        rows.addRow("Then anneal", self.anneal)
        rows.addRow("Temperature", _beside(self.temperature, self.temperature_unit))
        rows.addRow("Source at", self.edge)
        rows.addRow("Source ⁶Li fraction", self.source)
        rows.addRow("Before: ⁶Li fraction", self.background)
        self.setLayout(rows)

    def experiment(self) -> Experiment:
        """Return the experiment in SI.

        Raises
        ------
        ValueError
            If the entries contradict each other.
        """
        kelvin = self.temperature.value()
        if self.temperature_unit.currentText() != "K":
            kelvin += _ZERO_CELSIUS
        second = _SECONDS[self.duration_unit.currentText()]
        stages = [Stage(self.duration.value() * second, kelvin)]
        if self.anneal.value() > 0:
            stages.append(Stage(self.anneal.value() * second, kelvin, source=False))
        return Experiment(
            stages=stages,
            source=EDGES[self.edge.currentIndex()],
            source_fraction=self.source.value(),
            background_fraction=self.background.value(),
        )

    def fill(self, described: dict[str, Any]) -> None:
        """Take the values of `Experiment.describe`, as a simulated sample carries them."""
        stages = described["stages"]
        rest = sum(stage["duration"] for stage in stages[1:])
        durations = (stages[0]["duration"], rest)
        exact = [u for u, s in _SECONDS.items() if all((d / s * 1e4) % 1 == 0 for d in durations)]
        unit = exact[0] if exact else "s"  # the largest that loses no digit
        self.duration_unit.setCurrentText(unit)
        self.duration.setValue(durations[0] / _SECONDS[unit])
        self.anneal.setValue(rest / _SECONDS[unit])
        self.temperature_unit.setCurrentText("°C")
        self.temperature.setValue(stages[0]["temperature"] - _ZERO_CELSIUS)
        if described["source"] in EDGES:
            self.edge.setCurrentIndex(EDGES.index(described["source"]))
        self.source.setValue(described["source_fraction"])
        self.background.setValue(described["background_fraction"])

    def take_background(self, measured: Measured | None) -> None:
        """Take the fraction far from the source from its measurement; None: it is typed again."""
        self.background.setToolTip(_BACKGROUND_TIP)
        if measured is not None:
            self.background.setValue(measured.value)
            self.background.setToolTip(
                f"{_BACKGROUND_TIP}. Taken from {measured.source}: {measured.value:.4f} ± "
                f"{measured.error:.4f} (one standard error). The fit counts it as exact and warns "
                "where such an error would matter"
            )


@dataclass(frozen=True)
class _Request:
    """What a running fit was started with."""

    counts: tuple[Layer, Layer]
    layer: Labels
    boundaries: Boundaries


class FitPanel(Panel):
    """The experiment form, and a fit in the background with progress and Cancel."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.form = ExperimentForm()
        self.section = wide(QComboBox())
        self.explain = QLabel()
        self.explain.setWordWrap(True)
        for key, (title, _) in _SECTIONS.items():
            self.section.addItem(title, key)
        self.section.setToolTip("How the grains continue below the surface that was measured")
        self.section.currentIndexChanged.connect(self._on_section)
        self.psf = _spin(
            0.0, 0.0, 1000.0, 3, "Full width at half maximum of the ion beam's spot in µm; "
            "0 if it is well below a pixel", " µm"
        )  # fmt: skip
        self.which = wide(QComboBox())
        self.which.addItems(["all boundaries", "selected boundaries"])
        self.which.setToolTip(
            "all: every boundary has a k of its own. selected: the selected ones have. The others "
            "share one k; if they differ, that model does not fit: choose all boundaries"
        )
        self.corrections = MessageLine()
        self.run_button = QPushButton("Fit")
        self.run_button.clicked.connect(self.start)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setToolTip("Stop the fit; layers stay as they were")
        self.progress = QProgressBar()
        self.progress.setRange(0, 1000)
        self.progress.setTextVisible(False)
        self.progress.setMaximumHeight(14)
        self.doing = MessageLine()
        self._arrange()
        self.task = Task(self)
        self.task.progressed.connect(self._on_progress)
        self.task.succeeded.connect(self._on_result)
        self.task.failed.connect(self.fail)
        self.task.cancelled.connect(self._on_cancelled)
        self.task.running_changed.connect(self.refresh)
        self.cancel_button.clicked.connect(self.stop)
        self._request: _Request | None = None
        self._filled_from: Layer | None = None
        self._far_field: Measured | None = None
        for signal in (
            context.layers_changed,
            context.tracer.changed,
            context.other.changed,
            context.boundaries_changed,
            context.selection_changed,
        ):
            signal.connect(self.refresh)
        self.which.currentIndexChanged.connect(self.refresh)
        self.forget_when_changed(context.tracer, context.other, context.grains)
        context.outdated.connect(self.forget)
        for signal in (context.layers_changed, context.tracer.changed, context.other.changed):
            signal.connect(self._show_corrections)
        self._on_section()
        self._show_corrections()
        self.refresh()

    def _arrange(self) -> None:
        rows = form()
        rows.addRow("Section", self.section)
        rows.addRow(self.explain)
        rows.addRow("Beam width", self.psf)
        rows.addRow("Fit", self.which)
        buttons = QHBoxLayout()
        buttons.addWidget(self.run_button, 1)
        buttons.addWidget(self.cancel_button)
        self.column.addWidget(self.form)
        self.column.addLayout(rows)
        self.column.addWidget(self.corrections)
        self.column.addLayout(buttons)
        self.column.addWidget(self.progress)
        self.column.addWidget(self.doing)
        self.column.addWidget(self.message)
        self.explain.setAlignment(Qt.AlignmentFlag.AlignTop)

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        if self.task.running:
            return "running"
        return "" if self.context.current_fit() is not None else "not fitted yet"

    # --- state --------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Follow the context: say why the fit cannot start."""
        running = self.task.running
        enable(self.run_button, self._missing(), _FIT_TIP)
        self.cancel_button.setVisible(running)
        self.progress.setVisible(running)
        if not running:
            self.doing.say("")
        tracer = self.context.tracer.current
        if tracer is not None and tracer != self._filled_from:
            self._filled_from = tracer
            self._fill_from(tracer)
        measured = far_field_of(tracer)
        if measured != self._far_field:
            self._far_field = measured
            self.form.take_background(measured)

    def _missing(self) -> str:
        if self.task.running:
            return "a fit is running"
        if self.context.counts is None:
            return "choose the counts of two isotopes under Data"
        if self.context.boundaries.current is None:
            return "find boundaries first"
        selection = self.context.selection
        if self.which.currentIndex() == 1 and (selection is None or not selection.ids):
            return "select boundaries on the map or in the table"
        return ""

    def _fill_from(self, layer: Layer) -> None:
        """Take the experiment that a sample's counts carry, if they do."""
        record = layer.metadata.get(ly.PROVENANCE, {})
        if "experiment" not in record:
            return
        self.form.fill(record["experiment"])
        self.section.setCurrentIndex(self.section.findData(record["section"]))
        self.psf.setValue(to_um(record["psf_fwhm"]))

    def _on_section(self) -> None:
        self.explain.setText(_SECTIONS[self.section.currentData()][1])

    def _show_corrections(self) -> None:
        line, numbers = "", ""
        if self.context.counts is not None:
            line, numbers = corrections_in_words(*self.context.counts, self.context.corrections)
        self.corrections.say(line)
        self.corrections.setToolTip(f"{_CORRECTIONS_TIP}\n{numbers}".strip())

    # --- the fit ------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the fit in a thread, or say what is wrong with the input."""
        counts, layer = self.context.counts, self.context.boundaries.current
        if counts is None or layer is None:
            return
        self.message.say("")
        try:
            ly.require_same_shape(*counts, layer)
            n6, n7 = (ly.counts_from_layer(one) for one in counts)
            if not n6.any() or not n7.any():
                raise ValueError("one isotope has no counts at all: there is nothing to fit")
            pixel_size = ly.pixel_size_from_layer(counts[0])
            experiment = self.form.experiment()
            boundaries = ly.boundaries_from_layer(layer)
            corrections = fit_keywords(*counts, self.context.corrections)
        except ValueError as error:
            self.fail(error)
            return
        chosen = None
        if self.which.currentIndex() == 1 and self.context.selection is not None:
            chosen = list(self.context.selection.ids)
        self._request = _Request(counts, layer, boundaries)
        self._on_progress(0.0, "Starting …")
        self.task.start(
            _fit,
            n6,
            n7,
            boundaries,
            pixel_size=pixel_size,
            experiment=experiment,
            boundaries=chosen,
            section=self.section.currentData(),
            psf_fwhm=from_um(self.psf.value()),
            progress=self.task.report,
            **corrections,
        )

    def stop(self) -> None:
        """Ask the fit to stop."""
        self.doing.say("Stopping …")
        self.task.cancel()

    def _on_progress(self, done: float, message: str) -> None:
        self.progress.setValue(round(1000 * done))
        self.doing.say(message)

    def _on_cancelled(self) -> None:
        self.message.say("Cancelled; nothing was changed.")

    def _on_result(self, fit: DiffusionFit) -> None:
        request, viewer = self._request, self.context.viewer
        if request is None:
            return
        if request.layer not in viewer.layers:
            self.fail(ValueError("the boundaries layer was removed during the fit"))
            return
        if ly.boundaries_from_layer(request.layer) is not request.boundaries:
            self.fail(ValueError("the boundaries were changed during the fit; fit them again"))
            return
        shown = self.context.find("fraction")
        for layer_data in ly.fit_layers(
            fit,
            request.boundaries,
            ly.Placement.of_layer(request.counts[0]),
            name=request.layer.name,
            limits=None if shown is None else tuple(shown.contrast_limits),
            sources=[layer.name for layer in (*request.counts, request.layer)],
            grains=request.layer.metadata[ly.PROVENANCE].get("sources", []),
        ):
            ly.show(viewer, layer_data)
        self.context.mark_current(request.layer)
        viewer.layers.selection.active = request.layer
        verdicts = fit.table["verdict"].value_counts()
        self.message.say(
            f"Done: {verdicts.get('resolved', 0)} of {len(fit.table)} boundaries resolved. "
            "See Results."
        )


def _fit(*args: Any, **kwargs: Any) -> DiffusionFit:
    from napari_liso.diffusion.fit import fit_diffusion

    return fit_diffusion(*args, **kwargs)
