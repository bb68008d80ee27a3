"""Step 2: from counts of two isotopes to their fraction or ratio, with its interval."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_liso.counting.corrections import Corrections
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.frames.behind import frame_facts
from napari_liso.plugin.layers.ratio import HUE_INTENSITY, RATIO
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.overlays import show_scale_bar
from napari_liso.plugin.ratio.input import (
    counted_behind,
    counts_key,
    ordered_pair,
    turned_round,
)
from napari_liso.plugin.ratio.script_text import ratio_script, source_of
from napari_liso.plugin.ratio.shown import (
    RatioLayers,
    hue_of,
    limits_by_hand,
    map_name,
    options_of,
)
from napari_liso.plugin.ratio.words import result_in_words
from napari_liso.plugin.ratio.work import RatioOptions, RatioResult, work_out
from napari_liso.plugin.records import corrections_of
from napari_liso.plugin.tasks import Task
from napari_liso.plugin.widgets.parts import Panel, enable
from napari_liso.plugin.widgets.ratio.parts import RatioParts

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["RatioPanel"]

_RUN_TIP = (
    "Make the map of every pixel, or update it. Pixels without counts are empty (NaN), not zero."
)
_SCRIPT_TIP = "Copy a script that makes the same map from the file, without a viewer"
#: How long a run may take before it is shown that it runs.
_PATIENCE_MS = 300


@dataclass(frozen=True, eq=False)
class _Request:
    """What a run was started with."""

    tracer: Layer
    other: Layer
    options: RatioOptions
    corrections: Corrections
    by_hand: bool


class RatioPanel(Panel):
    """Choose what to make of the counts; once it is there, it follows every change."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.parts = RatioParts(context)
        self.bin, self.confidence = self.parts.pooling.bin, self.parts.pooling.confidence
        self.dead_time = self.parts.corrections.dead_time
        self.run_button, self.live = self.parts.run_button, self.parts.live
        self.parts.arrange(self.column, self.message)
        self.layers = RatioLayers(context.viewer)
        self.task = Task(self)
        self.newest = Newest(self.task, self._start, self)
        self._patience = QTimer(self)
        self._patience.setSingleShot(True)
        self._patience.setInterval(_PATIENCE_MS)
        self._patience.timeout.connect(self._show_running)
        self._request: _Request | None = None
        self._result: RatioResult | None = None
        self._by_hand = False
        self._showing = False
        self._version = 0  # of the data of the chosen layers
        self._seen: tuple[Hashable, ...] = ()
        self._adopted: RatioOptions | None = None
        self._followed: list[Layer] = []
        self._map: Layer | None = None
        self._connect()
        self.take_selection()
        self._on_pair()

    def _connect(self) -> None:
        parts, context = self.parts, self.context
        parts.quantity.changed.connect(self._on_option)
        parts.quantity.swapped.connect(self._on_swap)
        parts.pooling.changed.connect(self._on_option)
        parts.hue.changed.connect(self._on_option)
        parts.extra_toggled.connect(self._on_extra)
        parts.corrections.failed.connect(self.fail)
        parts.live.toggled.connect(self._on_live)
        parts.run_button.clicked.connect(self.compute)
        parts.script_button.clicked.connect(self.copy_script)
        parts.cancel_button.clicked.connect(self._on_cancel)
        self.task.succeeded.connect(self._on_result)
        self.task.failed.connect(self._on_failed)
        self.task.cancelled.connect(self._on_cancelled)
        self.task.progressed.connect(parts.show_progress)
        self.task.running_changed.connect(self._on_running)
        context.layers_changed.connect(self._on_layers)
        for choice in (context.tracer, context.other):
            choice.changed.connect(self._on_pair)
            choice.candidates_changed.connect(self.refresh)
        self.forget_when_changed(context.tracer, context.other)

    # --- what is there ------------------------------------------------------------------------

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        made = self.context.find("fraction") or self.context.find(RATIO)
        return "" if made is not None else "not made yet"

    def options(self) -> RatioOptions:
        """Return what is chosen."""
        form = self.parts.quantity
        return self.parts.pooling.options(form.key, form.reference.value())

    def map_layer(self) -> Layer | None:
        """Return the map of the chosen pair and quantity, if it was made."""
        counts = self.context.counts
        return None if counts is None else self.layers.find(*counts, self.parts.quantity.key)

    def _counts_key(self) -> tuple[Hashable, ...]:
        """Return what differs as soon as the counts do."""
        return (*(counts_key(layer) for layer in self.context.counts or ()), self._version)

    def _signature(self) -> tuple[Hashable, ...]:
        """Return what differs as soon as the map would, but for the options."""
        return (self._counts_key(), self.context.corrections)

    def refresh(self) -> None:
        """Follow the context: say why a button cannot be pressed."""
        counts = self.context.counts
        missing = "choose the counts of two isotopes under Data" if counts is None else ""
        busy = self.task.running and not self._patience.isActive()
        enable(self.run_button, missing or ("computing" if busy else ""), _RUN_TIP)
        there = missing or ("" if self.map_layer() is not None else "make the map first")
        enable(self.parts.script_button, there, _SCRIPT_TIP)
        names = ("", "") if counts is None else tuple(ly.channel_of(layer) for layer in counts)
        self.parts.quantity.show_pair(names[0], names[1])
        self.parts.say_summaries()

    # --- following ----------------------------------------------------------------------------

    def _on_pair(self) -> None:
        self.newest.drop()
        self.layers.forget()
        self._result, self._adopted = None, None
        for layer in self._followed:
            layer.events.data.disconnect(self._on_data)
        self._followed = list(dict.fromkeys(self.context.counts or ()))
        for layer in self._followed:
            layer.events.data.connect(self._on_data)
        self.refresh()
        self._adopt()
        self._seen = self._signature()

    def _on_layers(self) -> None:
        """Take up what other docks, files and corrections changed."""
        if self._showing:
            return
        self._adopt()
        self.refresh()
        signature = self._signature()
        if signature != self._seen:
            self._seen = signature
            self._follow()

    def _on_data(self, event: object = None) -> None:
        if isalive(self):
            self._version += 1
            self._on_layers()

    def _adopt(self) -> None:
        """Show what the map was made with, where another dock or a sample made it."""
        counts = self.context.counts
        if counts is None:
            self._follow_limits(None)
            return
        layer = self.layers.find(*counts, self.parts.quantity.key if self._adopted else None)
        self._follow_limits(layer)
        for role, box in self.parts.extras.items():
            extra = self.layers.extra(role, layer)
            gone = self.layers.notice_gone(role, self.parts.quantity.key)
            if role == HUE_INTENSITY and extra is not None and not box.isChecked():
                self.parts.hue.show_options(hue_of(extra))
            if gone or extra is not None:
                self.parts.check_extra(role, not gone)
        if layer is not None and (options := options_of(layer)) != self._adopted:
            self._adopted = options
            self.parts.quantity.show_options(options.quantity, options.reference)
            self.parts.pooling.show_options(options)
            self.parts.say_summaries()

    def _follow_limits(self, layer: Layer | None) -> None:
        """Let the hues follow the contrast limits of the map."""
        if layer == self._map:
            return
        if self._map is not None:
            self._map.events.contrast_limits.disconnect(self._on_limits)
        self._map = layer
        if layer is not None:
            layer.events.contrast_limits.connect(self._on_limits)

    def _on_limits(self, event: object = None) -> None:
        if not isalive(self) or self._map is None:
            return
        shown = None if self._result is None else self._result.hue
        limits = tuple(float(v) for v in self._map.contrast_limits)
        # napari tells of limits that are set to what they were, as every update does
        if (
            shown is not None
            and shown.limits is not None
            and not np.allclose(limits, shown.limits)
        ):
            self._follow()

    def _follow(self) -> None:
        """Make the map anew, if it was made before and is to be kept up to date."""
        if self.live.isChecked() and self.map_layer() is not None:
            self.newest.ask()

    def _on_option(self) -> None:
        self.parts.say_summaries()
        counts = self.context.counts
        # another quantity of a pair that has a map is made at once, too
        if self.live.isChecked() and counts and self.layers.find(*counts) is not None:
            self.newest.ask()
        self.refresh()

    def _on_extra(self, role: str, wanted: bool) -> None:
        if wanted:
            self._on_option()
        else:
            self.layers.remove(role, self.map_layer())
            self.parts.say_summaries()

    def _on_live(self, live: bool) -> None:
        if live:
            self._follow()

    def take_selection(self) -> None:
        """Take two selected layers of counts as the isotopes, the tracer by its name."""
        selected = self.context.viewer.layers.selection
        chosen = [one for one in self.context.tracer.candidates if one in selected]
        pair = ordered_pair(chosen)
        if pair is not None:
            self.context.tracer.choose(pair[0])
            self.context.other.choose(pair[1])

    def _on_swap(self) -> None:
        counts = self.context.counts
        if counts is None:
            return
        tracer, other = counts
        made, options = self.map_layer() is not None, self.options()
        corrections = turned_round(self.context.corrections, corrections_of(other))
        self.context.tracer.choose(other)
        self.context.other.choose(tracer)
        self.context.set_corrections(corrections)
        # not what another map of that pair was made with
        self.parts.quantity.show_options(options.quantity, 0.0)
        self.parts.pooling.show_options(options)
        self.refresh()
        if made and self.live.isChecked():
            self.layers.put_away(tracer, other)
            self.newest.ask()

    # --- running ------------------------------------------------------------------------------

    def compute(self) -> None:
        """Compute the map in a thread."""
        self._by_hand = True
        self.message.say("")
        if self.task.running:
            self.newest.ask()
        else:
            self._start()

    def _start(self) -> None:
        """Start with what holds now."""
        self.newest.drop()
        by_hand, self._by_hand = self._by_hand, False
        counts = self.context.counts
        if counts is None:
            return
        corrections, options = self.context.corrections, self.options()
        self._seen = self._signature()
        try:
            counted = counted_behind(*counts, corrections.dead_time, self._counts_key())
        except ValueError as error:
            self._tell(error, by_hand)
            return
        hue = None
        if self.parts.extras[HUE_INTENSITY].isChecked():
            hue = self.parts.hue.options(limits_by_hand(self.map_layer()))
        self._request = _Request(*counts, options, corrections, by_hand)
        self._patience.start()
        self.task.start(
            work_out, counted, options, corrections, hue, self._result, self.task.report
        )

    def _on_running(self, running: bool) -> None:
        if not running:
            self._patience.stop()
            self.parts.show_running(False)
        self.refresh()

    def _show_running(self) -> None:
        self.parts.show_running(self.task.running)
        self.refresh()

    def _on_cancel(self) -> None:
        self.newest.drop()
        self.task.cancel()

    def _on_cancelled(self) -> None:
        self.message.say("Stopped; nothing was changed.")

    def _on_failed(self, error: Exception) -> None:
        self._tell(error, self._request is None or self._request.by_hand)

    def _tell(self, error: Exception, by_hand: bool) -> None:
        """Tell about an error; while typing only in the dock."""
        if by_hand:
            self.fail(error)
        else:
            text = str(error)
            self.message.warn(text[:1].upper() + text[1:])

    def _on_result(self, result: RatioResult) -> None:
        request = self._request
        present = self.context.viewer.layers
        if request is None or request.tracer not in present or request.other not in present:
            return
        if self.context.counts != (request.tracer, request.other):
            return  # another pair was chosen meanwhile
        self._result = result
        if self.status:
            show_scale_bar(self.context.viewer)
        self._adopted = request.options
        self._showing = True  # half of it shown says nothing about what was chosen
        try:
            layer = self.layers.show(
                result,
                request.tracer,
                request.other,
                [role for role, box in self.parts.extras.items() if box.isChecked()],
                self._facts(request, result),
                automatic_top=self.parts.hue.top.value() == 0,
            )
        finally:
            self._showing = False
        self._follow_limits(layer)
        names = (ly.channel_of(request.tracer), ly.channel_of(request.other))
        self.parts.hue.legend.show_hue(result.hue, map_name(request.options.quantity, *names))
        self.message.say(result_in_words(layer.name, result))
        self.refresh()

    def _facts(self, request: _Request, result: RatioResult) -> dict[str, Any]:
        """Return what the provenance says besides the options."""
        facts = {
            "dead_time_corrected": result.dead_time_corrected,
            "corrections": request.corrections.describe(),
            **frame_facts(request.tracer),
        }
        return {**facts, "changed_by_hand": list(result.edited)} if result.edited else facts

    # --- the script ---------------------------------------------------------------------------

    def copy_script(self) -> None:
        """Copy a script that makes the same map."""
        clipboard = QApplication.clipboard()
        text = self.script()
        if text and clipboard is not None:
            clipboard.setText(text)
            self.message.say("Copied: a script that makes this map.")

    def script(self) -> str:
        """Return a script that makes the map of the chosen pair, "" if there is none."""
        counts, layer = self.context.counts, self.map_layer()
        if counts is None or layer is None:
            return ""
        record = layer.metadata[ly.PROVENANCE]
        sources = [source_of(one) for one in counts]
        if record.get("changed_by_hand"):  # what the file holds is not what is shown
            sources = [replace(source, path=None) for source in sources]
        return ratio_script(
            sources[0],
            sources[1],
            options_of(layer),
            Corrections.from_record(record["corrections"])
            if "corrections" in record
            else Corrections(),
            bool(record.get("dead_time_corrected", False)),
        )
