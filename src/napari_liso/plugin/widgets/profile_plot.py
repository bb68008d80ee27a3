"""The profile across the selected boundary: data with their intervals, and the model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.widgets.canvas import ThemedCanvas
from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari_liso.microstructure.profiles import Profile

__all__ = ["ProfilePlot"]

#: Half width of the profile, in pixels.
_REACH_PIXELS = 16


class ProfilePlot(ThemedCanvas):
    """Fraction against signed distance for the boundary that was selected last."""

    def __init__(self, context: Context) -> None:
        super().__init__(context.viewer)
        self._context = context
        context.selection_changed.connect(self.draw_again)
        context.tracer.changed.connect(self.draw_again)
        context.other.changed.connect(self.draw_again)
        self.draw_again()

    def draw_again(self) -> None:
        """Draw the profile of the current boundary, or say what is missing."""
        selection = self._context.selection
        if selection is None or selection.current is None:
            self.say("Select a boundary on the map\nor in the table to see its profile")
            return
        try:
            profile = self._profile(selection.current)
        except ValueError as error:
            self.say(str(error))
            return
        if profile is None:
            self.say("Choose the counts of both isotopes\nunder Data to see the profile")
            return
        self._draw(profile, selection.current)

    def _profile(self, label: int) -> Profile | None:
        from napari_liso.microstructure.profiles import boundary_profile

        counts, boundaries = self._context.counts, self._context.current_boundaries()
        layer = self._context.boundaries.current
        if counts is None or boundaries is None or layer is None:
            return None
        ly.require_same_shape(*counts, layer)
        n6, n7 = (ly.counts_from_layer(one) for one in counts)
        fit = self._context.current_fit()
        return boundary_profile(
            boundaries,
            label,
            n6,
            n7,
            max_distance=_REACH_PIXELS * max(boundaries.pixel_size),
            model=None if fit is None else fit.counted_fraction,
        )

    def _draw(self, profile: Profile, label: int) -> None:
        axes = self.clear()
        distance = np.asarray(profile.distance) / MICROMETRE
        errors = [profile.fraction - profile.lower, profile.upper - profile.fraction]
        axes.axvline(0.0, color=self.ink, linewidth=0.8, linestyle=":")
        axes.errorbar(
            distance,
            profile.fraction,
            yerr=np.maximum(errors, 0.0),
            fmt="o",
            markersize=3.5,
            color=self.ink,
            elinewidth=0.9,
            label="counts, 95 %",
        )
        if profile.model is not None:
            self._draw_model(distance, np.asarray(profile.model))
        row = self._context.current_boundaries().table.loc[label]  # type: ignore[union-attr]
        axes.set_title(f"Boundary {label}: grain {row['grain_a']} | grain {row['grain_b']}")
        axes.set_xlabel("distance from the boundary (µm)")
        axes.set_ylabel(f"{self._tracer()} fraction")
        axes.margins(x=0.03)
        legend = axes.legend(fontsize=8, frameon=False, labelcolor=self.ink)
        legend.set_in_layout(False)
        self.redraw()

    def _tracer(self) -> str:
        layer = self._context.tracer.current
        return "isotope" if layer is None else ly.channel_of(layer)

    def _draw_model(self, distance: np.ndarray, model: np.ndarray) -> None:
        """Draw the model as one line in each grain: it jumps at the boundary."""
        label: str | None = "model"
        for side in (distance < 0, distance > 0):
            known = side & np.isfinite(model)
            if known.any():
                self.axes.plot(
                    distance[known], model[known], color=ORANGE, linewidth=1.8, label=label
                )
                label = None


#: Stands out on dark and light themes, and from grey for colour-blind eyes.
ORANGE = "#ff9500"
