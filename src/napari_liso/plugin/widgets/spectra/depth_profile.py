"""A measurement without an image: its sums, and its course over the frames."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_liso.plugin import layers as ly
from napari_liso.plugin.spectra.window_text import fraction_lines, isotope_pairs
from napari_liso.plugin.widgets.canvas import ThemedCanvas
from napari_liso.plugin.widgets.parts import MessageLine
from napari_liso.plugin.widgets.profile_plot import ORANGE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from napari.components import ViewerModel
    from numpy.typing import NDArray

    from napari_liso.acquisition import Acquisition

__all__ = ["ProfileBox"]

_MAX_CURVES = 6


class ProfileBox(QWidget):
    """Sums of the channels and, for a depth profile, curves of counts and isotope fraction."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self._acquisition: Acquisition | None = None
        self.sums = MessageLine()
        self.counts = _Curves(viewer, self._draw_counts)
        self.fraction = _Curves(viewer, self._draw_fraction)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        for part in (self.sums, self.counts, self.fraction):
            column.addWidget(part)
        self.show_acquisition(None)

    def show_acquisition(self, acquisition: Acquisition | None) -> None:
        """Show an acquisition if it is one without an image, else nothing."""
        if acquisition is not None and ly.has_image(acquisition):
            acquisition = None
        self._acquisition = acquisition
        self.setVisible(acquisition is not None)
        frames = 0 if acquisition is None else acquisition.counts.shape[1]
        self.counts.setVisible(frames > 1)
        self.fraction.setVisible(frames > 1 and self._pair() is not None)
        if acquisition is None:
            self.sums.say("")
            return
        # with a spectrum they are in the table of windows
        self.sums.say("" if acquisition.spectrum_source is not None else self._sums_in_words())
        if frames > 1:
            self.counts.draw_again()
            self.fraction.draw_again()

    def _sums_in_words(self) -> str:
        """Return the sums of the strongest channels and the fractions of isotopes."""
        courses = self._courses()
        totals = dict(zip(self._channels(), courses.sum(axis=1).tolist(), strict=True))
        strongest = sorted(totals, key=lambda name: -totals[name])[:_MAX_CURVES]
        listed = ", ".join(f"{name} {totals[name]:,.0f}" for name in strongest)
        kind = "counts" if courses.dtype.kind in "iu" else "intensity"
        lines = [f"{len(totals)} channels; most {kind}: {listed}."]
        return "\n".join([*lines, *fraction_lines(totals, kind == "counts")[:3]])

    def _channels(self) -> list[str]:
        return [] if self._acquisition is None else list(self._acquisition.channels)

    def _courses(self) -> NDArray[Any]:
        """Return (channel, frame)."""
        if self._acquisition is None:
            return np.zeros((0, 0))
        return np.asarray(self._acquisition.counts)[:, :, 0, 0]

    def _pair(self) -> tuple[str, str] | None:
        pairs = isotope_pairs(self._channels())
        return pairs[0] if pairs else None

    def _x(self) -> tuple[NDArray[np.float64], str]:
        facts = {} if self._acquisition is None else self._acquisition.metadata
        frames = self._courses().shape[1]
        time = facts.get("sputter_time_s")
        if isinstance(time, list) and len(time) == frames:
            return np.asarray(time, float), "sputter time (s)"
        return np.arange(1.0, frames + 1), "frame"

    def _draw_counts(self, axes: Axes, ink: tuple[float, float, float]) -> None:
        if self._acquisition is None:
            return
        x, label = self._x()
        courses = self._courses()
        order = np.argsort(-courses.sum(axis=1), kind="stable")[: 1 + _MAX_CURVES]
        pair = self._pair() or ()
        first = [self._acquisition.channels.index(name) for name in pair]
        strongest = [i for i in order.tolist() if self._acquisition.channels[i] != "total"]
        for index in dict.fromkeys([*first, *strongest]) or order.tolist():  # else total alone
            name = self._acquisition.channels[index]
            axes.plot(x, courses[index], linewidth=1.2, label=name)
        axes.set_yscale("symlog", linthresh=1)
        axes.set_ylim(bottom=0)
        axes.set_xlabel(label)
        axes.set_ylabel("counts" if courses.dtype.kind in "iu" else "intensity")
        axes.legend(
            fontsize=7,
            frameon=False,
            labelcolor=ink,
            ncols=4,
            loc="lower center",
            bbox_to_anchor=(0.45, 1.0),
            columnspacing=1.0,
            handlelength=1.2,
        )

    def _draw_fraction(self, axes: Axes, ink: tuple[float, float, float]) -> None:
        from napari_liso.counting.fraction import isotope_fraction

        pair = self._pair()
        if self._acquisition is None or pair is None:
            return
        x, label = self._x()
        both = [self._courses()[self._acquisition.channels.index(name)] for name in pair]
        first, second = (np.rint(counts).astype(np.int64)[np.newaxis] for counts in both)
        result = isotope_fraction(first, second)
        value, low, high = (part[0] for part in (result.value, result.lower, result.upper))
        axes.fill_between(x, low, high, color=ORANGE, alpha=0.3, linewidth=0)
        axes.plot(x, value, color=ink, linewidth=1.2)
        axes.set_xlabel(label)
        axes.set_ylabel(f"{pair[0]} fraction, 95 %")


class _Curves(ThemedCanvas):
    """A canvas that draws by a function, again whenever the theme changes."""

    def __init__(self, viewer: ViewerModel, draw: object) -> None:
        self._draw = draw
        super().__init__(viewer, 190)

    def draw_again(self) -> None:
        """Draw the contents anew."""
        axes = self.clear()
        self._draw(axes, self.ink)  # type: ignore[operator]
        self.redraw()
