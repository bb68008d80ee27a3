"""Plots against the frame: counts and fraction, and shifts."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from matplotlib.widgets import SpanSelector
from numpy.typing import NDArray

from napari_liso.plugin.widgets.canvas import ThemedCanvas

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_liso.counting.frames import FrameCourse

__all__ = ["CoursePlot", "ShiftPlot"]

#: Colour-blind safe blue, orange and green of Okabe and Ito.
BLUE, ORANGE, GREEN = "#56b4e9", "#e69f00", "#009e73"


class CoursePlot(ThemedCanvas):
    """Total counts over the isotope fraction with its interval, frame by frame.

    Frames that are not used are shaded; dragging over the plot chooses others.
    """

    def __init__(self, viewer: ViewerModel, on_range: Callable[[int, int], None]) -> None:
        self._on_range = on_range
        self._both: tuple[Any, ...] = ()
        self._span: SpanSelector | None = None
        self._course: FrameCourse | None = None
        self._used = (0, 0)
        self._name = "fraction"
        self._hint = ""
        super().__init__(viewer, 250)
        self.figure.clear()
        self.upper, self.lower = self.figure.subplots(2, 1, sharex=True)
        self._both = (self.upper, self.lower)
        self.axes = self.lower
        self.setToolTip(
            "Counts of both isotopes and their fraction in every frame of the file, with the "
            "binomial 95 % interval. The frames in use are on the light ground. Drag from the "
            "first to the last frame to choose others."
        )

    def colour(self) -> None:
        """Colour both axes."""
        for axes in self._both or (self.axes,):
            self.axes = axes
            super().colour()

    def show_course(
        self, course: FrameCourse | None, used: tuple[int, int], name: str, hint: str = ""
    ) -> None:
        """Draw a course, or say why there is none.

        Parameters
        ----------
        course
            Of all frames.
        used
            Frames in use, counted from 0, the last not included.
        name
            Of the fraction.
        hint
            Instead of a plot.
        """
        self._course, self._used, self._name, self._hint = course, used, name, hint
        self.draw_again()

    def show_used(self, used: tuple[int, int]) -> None:
        """Shade other frames."""
        if used != self._used:
            self._used = used
            self.draw_again()

    def draw_again(self) -> None:
        """Draw the contents anew."""
        if not self._both:
            return
        for axes in self._both:
            axes.clear()
            axes.set_axis_on()
        if self._course is None or len(self._course.total) < 2:
            self.upper.set_axis_off()
            self.axes = self.lower
            self.say(self._hint)
            return
        course, frames = self._course, np.arange(1, len(self._course.total) + 1)
        dots = {"marker": "o", "markersize": 3} if len(frames) <= 60 else {}
        self.upper.plot(frames, course.total, color=BLUE, linewidth=1.2, **dots)
        self.upper.set_ylabel("counts")
        self.upper.ticklabel_format(axis="y", style="sci", scilimits=(-3, 4))
        self.upper.yaxis.get_offset_text().set(color=self.ink, fontsize=8)
        self.upper.tick_params(labelbottom=False)
        self.lower.fill_between(
            frames, course.lower, course.upper, color=ORANGE, alpha=0.35, linewidth=0
        )
        self.lower.plot(frames, course.value, color=ORANGE, linewidth=1.2, **dots)
        self.lower.set_ylabel(self._name)
        self.lower.set_xlabel("frame")
        self.lower.xaxis.set_major_locator(MaxNLocator(integer=True))
        self.lower.set_xlim(0.5, len(frames) + 0.5)
        for axes in self._both:
            axes.yaxis.set_major_locator(MaxNLocator(4))
            self._shade(axes, len(frames))
        self._span = SpanSelector(
            self.lower, self._on_span, "horizontal", props={"facecolor": self.ink, "alpha": 0.25}
        )
        self.redraw()
        self.axes = self.lower

    def _shade(self, axes: Any, frames: int) -> None:
        start, stop = self._used
        for low, high in ((0.5, start + 0.5), (stop + 0.5, frames + 0.5)):
            if high > low:
                axes.axvspan(low, high, color=self.ink, alpha=0.22, linewidth=0)

    def _on_span(self, low: float, high: float) -> None:
        if self._course is None or high - low < 0.3:
            return
        frames = len(self._course.total)
        first = int(np.clip(np.rint(low), 1, frames))
        last = int(np.clip(np.rint(high), first, frames))
        self._on_range(first, last)


class ShiftPlot(ThemedCanvas):
    """Shifts in pixels against the frame."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._shifts: NDArray[np.int64] = np.zeros((0, 2), np.int64)
        super().__init__(viewer, 120)
        self.setToolTip("By how many pixels each frame is moved down (dy) and to the right (dx)")

    def show_shifts(self, shifts: NDArray[np.int64]) -> None:
        """Draw shifts, (frame, 2)."""
        self._shifts = shifts
        self.draw_again()

    def draw_again(self) -> None:
        """Draw the contents anew."""
        axes = self.clear()
        if not len(self._shifts):
            return
        frames = np.arange(1, len(self._shifts) + 1)
        for column, name, colour, style in ((0, "dy", BLUE, "-"), (1, "dx", ORANGE, "--")):
            axes.step(
                frames, self._shifts[:, column], style, where="mid", color=colour, label=name
            )
        axes.set_xlabel("frame")
        axes.set_ylabel("shift (px)")
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(4, integer=True))
        axes.legend(fontsize=7, frameon=False, labelcolor=self.ink, ncols=2, loc="best")
        self.redraw()
