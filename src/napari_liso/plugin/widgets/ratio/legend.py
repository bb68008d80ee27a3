"""The two-dimensional legend of the hue-intensity view."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import MaxNLocator

from napari_liso.counting.hue_intensity import hue_intensity
from napari_liso.plugin.widgets.canvas import ThemedCanvas

if TYPE_CHECKING:
    from napari.components import ViewerModel

    from napari_liso.plugin.ratio.work import HueOptions

__all__ = ["HueLegend"]

#: Colours along each axis of the picture.
_ACROSS, _UP = 200, 80


class HueLegend(ThemedCanvas):
    """Colour against value (across) and counts (up)."""

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__(viewer, height=120)
        self.setToolTip(
            "Colours of the hue-intensity view: the value across, the counts behind it upwards. "
            "What lies beyond the limits has the colour of the edge."
        )
        self._hue: HueOptions | None = None
        self._name = ""
        self.draw_again()

    def show_hue(self, hue: HueOptions | None, name: str) -> None:
        """Show the colours of a view, or nothing.

        Parameters
        ----------
        hue
            Without None inside: as the view was made.
        name
            Of the value, for its axis.
        """
        if (hue, name) != (self._hue, self._name):
            self._hue, self._name = hue, name
            self.draw_again()

    def draw_again(self) -> None:
        """Draw the legend."""
        if self._hue is None or self._hue.limits is None or self._hue.top is None:
            self.say("The legend appears with the view")
            return
        axes = self.clear()
        (low, high), top = self._hue.limits, self._hue.top
        value, counts = np.meshgrid(np.linspace(low, high, _ACROSS), np.linspace(0, top, _UP))
        picture = hue_intensity(
            value, counts, (low, high), top=top, gamma=self._hue.gamma, hues=self._hue.hues
        )
        axes.imshow(
            picture, origin="lower", aspect="auto", extent=(low, high, 0, top),
            interpolation="bilinear",
        )  # fmt: skip
        axes.set_xlabel(self._name)
        axes.set_ylabel("counts")
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.xaxis.set_major_locator(MaxNLocator(6))
        self.redraw()
