"""A matplotlib canvas in the colours of napari's theme."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from matplotlib.backends.backend_qtagg import FigureCanvasQTAgg
from matplotlib.figure import Figure
from qtpy.compat import isalive
from qtpy.QtWidgets import QSizePolicy, QVBoxLayout, QWidget

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["ThemedCanvas"]

Colour = tuple[float, float, float]


class ThemedCanvas(QWidget):
    """One figure with one pair of axes, coloured like the widgets around it.

    Attributes
    ----------
    figure, axes
        Of matplotlib.
    ink, paper, accent
        RGB of text and lines, of the background, and of what stands out.
    """

    def __init__(self, viewer: ViewerModel, height: int = 240) -> None:
        super().__init__()
        self._viewer = viewer
        self.figure = Figure(layout="constrained")
        self.canvas = FigureCanvasQTAgg(self.figure)
        self.axes = self.figure.add_subplot()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.canvas)
        self.setFixedHeight(height)
        self.setMinimumWidth(200)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._read_theme()
        viewer.events.theme.connect(self._on_theme)

    def _read_theme(self) -> None:
        from napari.utils.theme import get_theme

        theme = get_theme(self._viewer.theme)
        self.ink, self.paper, self.accent = (
            _rgb(colour) for colour in (theme.text, theme.background, theme.current)
        )
        self.colour()

    def clear(self) -> Any:
        """Empty the axes, in the theme's colours, and return them."""
        self.axes.clear()
        self.axes.set_axis_on()
        self.colour()
        return self.axes

    def colour(self) -> None:
        """Colour figure, axes and text like the widgets around."""
        self.figure.set_facecolor(self.paper)
        self.axes.set_facecolor(self.paper)
        self.axes.tick_params(colors=self.ink, labelsize=8)
        for spine in self.axes.spines.values():
            spine.set_color(self.ink)
        for side in ("top", "right"):
            self.axes.spines[side].set_visible(False)
        for text in (self.axes.xaxis.label, self.axes.yaxis.label, self.axes.title):
            text.set_color(self.ink)
            text.set_fontsize(9)

    def redraw(self) -> None:
        """Show what was drawn."""
        self.colour()
        self.canvas.draw_idle()

    def say(self, text: str) -> None:
        """Show a sentence instead of a plot."""
        axes = self.clear()
        axes.set_axis_off()
        axes.text(
            0.5,
            0.5,
            text,
            ha="center",
            va="center",
            wrap=True,
            color=self.ink,
            fontsize=9,
            transform=axes.transAxes,
        )
        self.canvas.draw_idle()

    def draw_again(self) -> None:
        """Draw the contents anew; a canvas with contents of its own overrides this."""
        self.redraw()

    def _on_theme(self, event: object = None) -> None:
        if isalive(self):
            self._read_theme()
            self.draw_again()


def _rgb(colour: Any) -> Colour:
    """Return RGB in 0..1 of a napari theme colour."""
    r, g, b = (value / 255 for value in colour.as_rgb_tuple()[:3])
    return r, g, b
