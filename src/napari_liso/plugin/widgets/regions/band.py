"""The profile along a line that is drawn on the map, with error bars from the counts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtWidgets import QDoubleSpinBox, QPushButton

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.layers.regions import line_layer
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.regions.asked import asked_of, pixel_size_of
from napari_liso.plugin.regions.lines import DrawnLine, line_on, lines_in, set_edge_width
from napari_liso.plugin.regions.pixels import is_shapes
from napari_liso.plugin.regions.work import BandFound, Line, work_out_band
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.canvas import ThemedCanvas
from napari_liso.plugin.widgets.parts import LayerBox, enable, form, wide
from napari_liso.plugin.widgets.profile_plot import ORANGE
from napari_liso.plugin.widgets.regions.drawn import DrawnPanel
from napari_liso.plugin.widgets.table_buttons import Exported, TableButtons
from napari_liso.plugin.widgets.working import Working
from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["BandPanel", "BandPlot"]

_DRAW_TIP = (
    "Draw a line on the map: press the mouse where the profile begins, release where it ends. Its "
    "width on the map is that of the band whose counts are summed."
)
_LAYER_TIP = (
    "Shapes layer with lines or paths. Of several the selected one is used, else the one drawn "
    "last; its first point is the distance 0."
)
_WIDTH_TIP = (
    "Width of the band across the line: every pixel whose centre is in it is summed, whole. Less "
    "than a pixel: the pixels that the line itself crosses."
)
_STEP_TIP = (
    "Length along the line of which the counts are summed into one point: longer steps have "
    "smaller errors. Points share no counts."
)
#: Of a new line, in pixels of the counts.
_NEW_WIDTH = 8.0
_WAIT_MS = 120
_EVENTS = ("data", "set_data", "highlight", "scale", "translate", "rotate", "shear", "affine",
           "units")  # fmt: skip


class BandPlot(ThemedCanvas):
    """Fraction against the distance along a line."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.viewer, height=230)
        self._context = context
        self._found: BandFound | None = None

    def show_profile(self, found: BandFound | None) -> None:
        """Draw a profile, or nothing."""
        self._found = found
        self.draw_again()

    def draw_again(self) -> None:
        """Draw the profile in the theme's colours."""
        found = self._found
        if found is None:
            self.say("Draw a line on the map\nto see the fraction along it")
            return
        axes, profile = self.clear(), found.profile
        unit = MICROMETRE if found.asked.pixel_size is not None else 1.0
        known = np.isfinite(profile.fraction)
        place, value = profile.distance[known] / unit, profile.fraction[known]
        errors = [value - profile.lower[known], profile.upper[known] - value]
        many = len(place) > 80
        axes.errorbar(
            place,
            value,
            yerr=np.maximum(errors, 0.0),
            fmt="o",
            markersize=2 if many else 3.5,
            color=self.ink,
            elinewidth=0.6 if many else 0.9,
            label="counts, 95 %",
        )
        if profile.model is not None:
            axes.plot(
                profile.distance / unit, profile.model, color=ORANGE, linewidth=1.8, label="model"
            )
            legend = axes.legend(fontsize=8, frameon=False, labelcolor=self.ink)
            legend.set_in_layout(False)
        name = "µm" if found.asked.pixel_size is not None else "pixels"
        tracer = self._context.tracer.current
        axes.set_xlabel(f"distance along the line ({name})")
        axes.set_ylabel(f"{'isotope' if tracer is None else ly.channel_of(tracer)} fraction")
        axes.set_xlim(-0.02 * profile.length / unit, 1.02 * profile.length / unit)
        self.redraw()


class BandPanel(DrawnPanel):
    """Draw a line, choose the width of its band, and see the fraction along it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.choice = LayerChoice(is_shapes, self)
        self.box = LayerBox(self.choice, "choose a layer", _LAYER_TIP)
        self.draw_button = QPushButton("Draw a line")
        self.draw_button.clicked.connect(self.draw)
        self.width = _spin(_WIDTH_TIP)
        self.width.setValue(1.0)
        self.step = _spin(_STEP_TIP)
        self.step.setSpecialValueText("one pixel")
        self.plot = BandPlot(context)
        self.buttons = TableButtons(self.exported)
        rows = form()
        rows.addRow("Lines", self.box)
        self.column.addLayout(rows)
        self.column.addWidget(self.draw_button)
        more = form()
        more.addRow("Width", self.width)
        more.addRow("Step", self.step)
        self.column.addLayout(more)
        for widget in (self.plot, self.message, self.buttons):
            self.column.addWidget(widget)
        self.task = Task(self)
        self.newest = Newest(self.task, self._start, self, _WAIT_MS)
        self.working = Working(self.task, self.newest)
        self.column.insertWidget(self.column.indexOf(self.message), self.working)
        self.found: BandFound | None = None
        self._layer: Layer | None = None  # the one that is followed
        self._asked: Layer | None = None  # the one that is being worked out
        self._index = -1  # the line that is shown
        self._setting = False  # an edge's width, or the box's, is changed from here
        self._connect()
        self.follow()

    def _connect(self) -> None:
        self.task.succeeded.connect(self._on_found)
        self.task.failed.connect(self._on_failed)
        self.task.cancelled.connect(self._on_cancelled)
        self.choice.changed.connect(self._on_choice)
        self.width.valueChanged.connect(self._on_width)
        self.step.valueChanged.connect(self.newest.ask)
        self.buttons.said.connect(self.message.say)
        self.buttons.failed.connect(self.fail)
        self.context.boundaries_changed.connect(self.newest.ask)  # a model came or went

    # --- following ----------------------------------------------------------------------------

    def first_choice(self, new: list[Layer]) -> Layer | None:
        """Return the newest layer made for lines, else one that holds lines."""
        usable = [layer for layer in new if ly.role_of(layer) == "lines" or lines_in(layer)]
        ours = [layer for layer in usable if ly.role_of(layer) == "lines"]
        return (ours or usable or [None])[-1]

    def on_other_counts(self) -> None:
        """Follow the unit of length of the counts."""
        self._show_unit()

    def _on_choice(self) -> None:
        """Follow another layer of lines."""
        if self._layer is not None:
            for name in _EVENTS:
                getattr(self._layer.events, name).disconnect(self._on_drawn)
            self._layer.events.edge_width.disconnect(self._on_edge_width)
        self._layer = layer = self.choice.current
        if layer is not None:
            for name in _EVENTS:
                getattr(layer.events, name).connect(self._on_drawn)
            layer.events.edge_width.connect(self._on_edge_width)
        self._index = -1
        self.message.say("")
        self._show(None)
        self.newest.ask()

    def _on_drawn(self, event: Any = None) -> None:
        if not isalive(self) or self._layer is None:
            return
        # highlights come with every move of the mouse
        if getattr(event, "type", "") != "highlight" or self._line_index() != self._index:
            self.newest.ask()

    def _line_index(self) -> int:
        """Return which line is looked at: the selected one, else the last; -1 if none."""
        layer: Any = self.choice.current
        lines = [] if layer is None else lines_in(layer)
        selected = [index for index in lines if index in layer.selected_data] if lines else []
        return (selected or lines or [-1])[-1]

    def _line(self) -> DrawnLine | None:
        layer, counts = self.choice.current, self.context.counts
        index = self._line_index()
        if layer is None or counts is None or index < 0:
            return None
        return line_on(layer, index, counts[0], pixel_size_of(counts[0]))

    @property
    def _unit(self) -> float:
        """What the boxes count in: um in m, or pixels."""
        counts = self.context.counts
        return MICROMETRE if counts and pixel_size_of(counts[0]) is not None else 1.0

    def _show_unit(self) -> None:
        suffix = " µm" if self._unit != 1.0 else " px"
        for box in (self.width, self.step):
            box.setSuffix(suffix)

    def refresh(self) -> None:
        """Say why a button cannot be pressed."""
        counts = self.context.counts
        enable(self.draw_button, "" if counts else "choose counts under Data", _DRAW_TIP)
        self.buttons.allow("" if self.found is not None else "there is no profile yet")
        for part in (self.plot, self.buttons):
            part.setVisible(self.choice.current is not None)

    # --- drawing ------------------------------------------------------------------------------

    def draw(self) -> None:
        """Add a layer to draw lines in, or take up the one that is there."""
        counts = self.context.counts
        if counts is None:
            return
        viewer = self.context.viewer
        layer: Any = self.choice.current
        if layer is None or ly.role_of(layer) != "lines":
            layer = ly.add(viewer, line_layer(counts[0], _NEW_WIDTH))
            self.choice.choose(layer)
        layer.visible = True
        viewer.layers.selection.active = layer
        layer.selected_data = set()
        layer.mode = "add_line"
        self.message.say("Press the mouse where the profile begins, release where it ends.")

    def _on_width(self) -> None:
        """Draw the line as wide as its band."""
        line, layer = self._line(), self.choice.current
        if line is None or layer is None or self._setting:
            return
        self._setting = True
        set_edge_width(layer, line.index, self.width.value() * self._unit / line.width_per_edge)
        self._setting = False
        self.newest.ask()

    def _on_edge_width(self, event: object = None) -> None:
        """Take a width that was set in napari's own controls."""
        if isalive(self) and not self._setting:
            self.newest.ask()

    # --- working out --------------------------------------------------------------------------

    def _start(self) -> None:
        """Start with what holds now."""
        self.newest.drop()
        if self.isHidden():
            return  # folded: once it is unfolded
        line, layer, counts = self._line(), self.choice.current, self.context.counts
        if line is None or layer is None or counts is None:
            self._show(None)
            return
        self._index, self._asked = line.index, layer
        self._take_width(line)
        try:
            asked = asked_of(self.context, layer)
        except ValueError as error:
            self._on_failed(error)
            return
        step = self.step.value() * self._unit or None
        width = line.edge_width * line.width_per_edge
        drawn = Line(line.path, width, step, self._model(counts[0]))
        self.task.start(work_out_band, asked, drawn, self.task.report)

    def _take_width(self, line: DrawnLine) -> None:
        """Show the width of the line in the box."""
        shown = line.edge_width * line.width_per_edge / self._unit
        if abs(shown - self.width.value()) > 0.6 * 10.0 ** -self.width.decimals():
            self._setting = True
            self.width.setValue(shown)
            self._setting = False

    def _model(self, counts: Layer) -> Any:
        """Return the fraction of a fit of this map, if there is one."""
        fit = self.context.current_fit()
        if fit is None or fit.fraction.shape != tuple(counts.data.shape[-2:]):
            return None
        return np.asarray(fit.fraction, dtype=np.float64)

    def _on_found(self, found: BandFound) -> None:
        if self.choice.current is None or self.choice.current != self._asked:
            return  # another was chosen meanwhile
        self._show(found)
        self.message.say(self._in_words(found))

    def _on_failed(self, error: Exception) -> None:
        """Tell in the dock alone: it may pass with the next move of the line."""
        self._show(None)
        text = str(error)
        self.message.warn(text[:1].upper() + text[1:])

    def _on_cancelled(self) -> None:
        self.message.say("Stopped.")

    def _show(self, found: BandFound | None) -> None:
        self.found = found
        self.plot.show_profile(found)
        self.refresh()

    def _in_words(self, found: BandFound) -> str:
        profile, unit = found.profile, self._unit
        name = "µm" if unit != 1.0 else "pixels"
        total = int((profile.tracer + profile.other).sum())
        text = (
            f"{profile.length / unit:.4g} {name} long, {int(profile.pixels.sum()):,} pixels, "
            f"{total:,} counts."
        )
        layer = self.choice.current
        lines = [] if layer is None else lines_in(layer)
        if len(lines) > 1 and self._index in lines:
            text = f"Line {lines.index(self._index) + 1} of {len(lines)}: {text}"
        return text

    def exported(self) -> Exported | None:
        """Return the profile as it is written."""
        if self.found is None:
            return None
        unit = "pixels" if self.found.asked.pixel_size is None else "m"
        return Exported(
            self.found.profile.table(), self.found.describe(), {"distance": unit}, "profile.csv"
        )


def _spin(tooltip: str) -> QDoubleSpinBox:
    box = QDoubleSpinBox()
    box.setDecimals(3)
    box.setRange(0.0, 100_000.0)
    box.setSingleStep(0.5)
    box.setStepType(QDoubleSpinBox.StepType.AdaptiveDecimalStepType)
    box.setSuffix(" µm")
    box.setToolTip(tooltip)
    return wide(box)
