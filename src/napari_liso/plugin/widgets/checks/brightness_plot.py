"""The fraction of bright and dark places, for a look at what its check found."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_liso.plugin.widgets.canvas import ThemedCanvas
from napari_liso.plugin.widgets.frames.course_plot import BLUE, ORANGE

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_liso.counting.intensity import IntensityDependence

__all__ = ["BrightnessPlot"]


class BrightnessPlot(ThemedCanvas):
    """Difference of the odds from those around, against the brightness relative to it."""

    def __init__(self, viewer: ViewerModel) -> None:
        self._found: IntensityDependence | None = None
        super().__init__(viewer, 170)
        self.setToolTip(
            "Places that are brighter (right) or darker (left) than their surroundings, and by "
            "how much their isotope odds differ from those around, with standard errors. Level: "
            "the fraction does not depend on brightness. Line: the slope that was found; dashed: "
            "what dead time would give, where the pulses are known."
        )

    def show_dependence(self, found: IntensityDependence | None) -> None:
        """Draw what was found; hidden where there is nothing to see."""
        self._found = found
        self.setVisible(found is not None and len(found.doublings) > 1)
        self.draw_again()

    def draw_again(self) -> None:
        """Draw the contents anew."""
        axes = self.clear()
        found = self._found
        if found is None or len(found.doublings) < 2:
            return
        x, y = 2**found.doublings, 100 * np.expm1(found.difference)
        axes.errorbar(
            x, y, 100 * found.difference_error, fmt="o", color=ORANGE, markersize=4, linewidth=1.2
        )
        line = np.linspace(found.doublings.min(), found.doublings.max(), 50)
        axes.axhline(0, color=self.ink, linewidth=0.8, alpha=0.5)
        for slope, style in ((found.slope, "-"), (found.dead_time, "--")):
            if np.isfinite(slope):
                axes.plot(2**line, 100 * np.expm1(slope * line), style, color=BLUE, linewidth=1.2)
        axes.set_xscale("log", base=2)
        ticks = np.array([0.25, 0.5, 0.7, 0.8, 0.9, 1, 1.1, 1.25, 1.5, 2, 3, 4])
        inside = ticks[(ticks > 0.9 * x.min()) & (ticks < 1.1 * x.max())]
        axes.set_xticks(inside[:: max(1, len(inside) // 5)])
        axes.minorticks_off()
        axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.set_xlabel("brightness relative to surroundings")
        axes.set_ylabel("odds differ by (%)")
        self.redraw()
