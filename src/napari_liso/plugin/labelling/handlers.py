"""What the left button of the mouse does on the map: one class for each tool."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin.labelling.bench import Bench, Handler, Sketch, Spot, near
from napari_liso.plugin.labelling.draw import DrawnPath
from napari_liso.plugin.labelling.region_select import (
    boundaries_along,
    boundaries_in,
    box_outline,
    grains_along,
)

__all__ = [
    "DrawHandler",
    "EraseHandler",
    "MergeHandler",
    "MoveHandler",
    "RegionHandler",
    "SplitHandler",
]

Points = NDArray[np.float64]

#: What a hand trembles when it draws, in screen pixels.
_TREMOR = 8.0
#: How far from the map a line may begin, in screen pixels.
_BESIDE = 40.0


class DrawHandler(Handler):
    """Draw a boundary through a grain, which it splits."""

    hint = "Click along the boundary, double-click to end; or draw it with the button held."
    cursor = "crosshair"

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self.path = DrawnPath()

    @property
    def busy(self) -> bool:
        """Whether a line was begun."""
        return self.path.begun

    def sketch(self) -> Sketch:
        """Return the line."""
        if not self.path.begun:
            return super().sketch()
        return Sketch(self.path.points(), self.path.preview, self.path.anchors)

    def click(self, spot: Spot) -> None:
        """Set a point."""
        if not self.path.begun:
            if not self._may_begin(spot):
                return
            self.path.wire = self.bench.wire()
        elif near(spot, self.path.anchors[-1]):
            return
        self.path.click(spot.pixel)

    def double_click(self, spot: Spot) -> None:
        """End the line; its last point was the first of the two clicks."""
        self.finish()

    def press(self, spot: Spot) -> None:
        """Begin to draw by hand."""
        if not self.path.begun:
            if not self._may_begin(spot):
                return
            self.path.wire = self.bench.wire()
        self.path.press(spot.pixel)

    def drag(self, spot: Spot) -> None:
        """Draw by hand."""
        self.path.drag(spot.pixel)

    def release(self, spot: Spot) -> None:
        """End a stroke; one that is the whole line is the boundary."""
        self.path.drag(spot.pixel)
        self.path.release(_TREMOR / max(spot.magnification))
        if self.path.by_hand_only:
            self.finish()
            self.cancel()  # no points to go on from

    def move(self, spot: Spot) -> None:
        """Show the way to the mouse."""
        self.path.move(spot.pixel)

    def finish(self) -> None:
        """Split the grain along the line; a line that does not split one stays."""
        points = self.path.points()
        if len(points) < 2 or self._commit(points):
            self.cancel()
        self.path.preview = np.empty((0, 2))

    def back(self) -> None:
        """Take back the last point."""
        self.path.back()

    def cancel(self) -> None:
        """Give up the line."""
        super().cancel()
        self.path = DrawnPath()

    def _may_begin(self, spot: Spot) -> bool:
        return spot.beside <= _BESIDE

    def _commit(self, points: Points) -> bool:
        from napari_liso.microstructure.editing import split_grain

        drawn = self.bench.boundaries.drawn
        return self.bench.apply(lambda: split_grain(drawn, points), "Draw boundary", select=True)


class MoveHandler(DrawHandler):
    """Draw a piece of a boundary anew."""

    hint = "Press on a boundary, draw how it runs, release on it again; or click, double-click."

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._target = 0

    def move(self, spot: Spot) -> None:
        """Mark the boundary that would be moved, or show the way to the mouse."""
        super().move(spot)
        if not self.path.begun:
            self._hover = self.bench.nearest(spot)

    def sketch(self) -> Sketch:
        """Return the line over the boundary that it replaces."""
        sketch = super().sketch()
        if not self.path.begun:
            return sketch
        marked = self._faces(self._target)
        return Sketch(sketch.line, sketch.preview, sketch.dots, marked=marked)

    def _may_begin(self, spot: Spot) -> bool:
        self._target = self.bench.nearest(spot)
        if not self._target:
            self.bench.warned.emit("Begin on a boundary: within 5 screen pixels of it.")
        return bool(self._target)

    def _commit(self, points: Points) -> bool:
        from napari_liso.microstructure.editing import redraw_boundary

        boundaries, label = self.bench.boundaries, self._target
        return self.bench.apply(
            lambda: redraw_boundary(boundaries, label, points), f"Move boundary {label}"
        )


class EraseHandler(Handler):
    """Click a boundary away: its two grains become one."""

    hint = "Click a boundary: its two grains become one. Drag across several."

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._stroke: list[Points] = []

    @property
    def busy(self) -> bool:
        """Whether a stroke is under way."""
        return bool(self._stroke)

    def sketch(self) -> Sketch:
        """Mark what would go."""
        if self._stroke:
            return Sketch(preview=np.array(self._stroke))
        return super().sketch()

    def move(self, spot: Spot) -> None:
        """Mark the boundary under the mouse."""
        self._hover = self.bench.nearest(spot)

    def click(self, spot: Spot) -> None:
        """Erase the boundary under the mouse."""
        label = self.bench.nearest(spot)
        if label:
            self.erase([label])

    def press(self, spot: Spot) -> None:
        """Begin a stroke across boundaries."""
        self._stroke = [spot.pixel]

    def drag(self, spot: Spot) -> None:
        """Go on with it."""
        if self._stroke:  # not given up meanwhile
            self._stroke.append(spot.pixel)

    def release(self, spot: Spot) -> None:
        """Erase all that was crossed."""
        stroke, self._stroke = self._stroke, []
        if not stroke:
            return
        crossed = boundaries_along(self.bench.boundaries, np.array([*stroke, spot.pixel]))
        if crossed:
            self.erase(crossed)

    def erase(self, ids: Sequence[int]) -> bool:
        """Erase some boundaries in one step."""
        from napari_liso.microstructure.editing import erase_boundaries

        self._hover = 0
        boundaries, wanted = self.bench.boundaries, list(ids)
        which = f"boundary {wanted[0]}" if len(wanted) == 1 else f"{len(wanted)} boundaries"
        return self.bench.apply(lambda: erase_boundaries(boundaries, wanted), f"Erase {which}")

    def cancel(self) -> None:
        """Give up a stroke."""
        super().cancel()
        self._stroke = []


class MergeHandler(Handler):
    """Make grains one."""

    hint = "Click two neighbouring grains, or drag across several: they become one."

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._first: Spot | None = None
        self._stroke: list[Points] = []

    @property
    def busy(self) -> bool:
        """Whether one grain was clicked, or a stroke is under way."""
        return self._first is not None or bool(self._stroke)

    def sketch(self) -> Sketch:
        """Show the clicked grain, or the stroke."""
        dots = np.empty((0, 2)) if self._first is None else self._first.pixel[None]
        line = np.array(self._stroke).reshape(-1, 2)
        return Sketch(preview=line, dots=dots)

    def click(self, spot: Spot) -> None:
        """Take the first grain, or merge it with the second."""
        if spot.beside > 0:
            return
        grain = self._grain(spot)
        if grain == 0:
            self.bench.warned.emit("There is no grain here.")
        elif self._first is None:
            self._first = spot
            self.bench.said.emit(f"Grain {grain}: now click its neighbour, or press Esc.")
        elif grain != self._grain(self._first):
            one = self._grain(self._first)
            self.cancel()
            self.merge([one, grain])

    def press(self, spot: Spot) -> None:
        """Begin a stroke across grains."""
        self._stroke = [spot.pixel]

    def drag(self, spot: Spot) -> None:
        """Go on with it."""
        if self._stroke:  # not given up meanwhile
            self._stroke.append(spot.pixel)

    def release(self, spot: Spot) -> None:
        """Merge all grains that were crossed."""
        stroke = self._stroke
        self.cancel()
        if not stroke:
            return
        crossed = grains_along(self.bench.boundaries.grains, np.array([*stroke, spot.pixel]))
        if len(crossed) > 1:
            self.merge(crossed)

    def merge(self, grains: Sequence[int]) -> bool:
        """Merge some grains in one step."""
        from napari_liso.microstructure.editing import merge_grains

        drawn, wanted = self.bench.boundaries.drawn, list(grains)
        which = f"{wanted[0]} and {wanted[1]}" if len(wanted) == 2 else f"({len(wanted)})"
        return self.bench.apply(lambda: merge_grains(drawn, wanted), f"Merge grains {which}")

    def cancel(self) -> None:
        """Forget the first grain."""
        super().cancel()
        self._first, self._stroke = None, []

    def _grain(self, spot: Spot) -> int:
        return int(self.bench.boundaries.grains[spot.whole])


class SplitHandler(Handler):
    """Divide a grain between clicked points."""

    hint = "Click a point in each part of a grain; double-click the last one to split."
    cursor = "crosshair"

    def __init__(self, bench: Bench) -> None:
        super().__init__(bench)
        self._spots: list[Spot] = []

    @property
    def busy(self) -> bool:
        """Whether points were clicked."""
        return bool(self._spots)

    def sketch(self) -> Sketch:
        """Show the points."""
        return Sketch(dots=np.array([spot.pixel for spot in self._spots]).reshape(-1, 2))

    def click(self, spot: Spot) -> None:
        """Set a point."""
        if spot.beside > 0 or (self._spots and near(spot, self._spots[-1].pixel)):
            return
        self._spots.append(spot)
        if len(self._spots) >= 2:
            self.bench.said.emit(f"{len(self._spots)} points: double-click or Enter splits.")

    def double_click(self, spot: Spot) -> None:
        """Set the last point and split."""
        self.click(spot)
        self.finish()

    def finish(self) -> None:
        """Split the grain."""
        from napari_liso.microstructure.editing import split_by_points

        if len(self._spots) < 2:
            self.bench.warned.emit("Click a point in each part of the grain: two or more.")
            return
        points = np.array([spot.pixel for spot in self._spots])
        drawn, relief = self.bench.boundaries.drawn, self.bench.relief()
        grain = int(drawn[self._spots[0].whole])
        self.cancel()
        self.bench.apply(
            lambda: split_by_points(drawn, points, relief), f"Split grain {grain}", select=True
        )

    def back(self) -> None:
        """Take back the last point."""
        self._spots = self._spots[:-1]

    def cancel(self) -> None:
        """Forget the points."""
        super().cancel()
        self._spots = []


class RegionHandler(Handler):
    """Select the boundaries in a box or in a lasso."""

    def __init__(self, bench: Bench, lasso: bool) -> None:
        super().__init__(bench)
        self._lasso = lasso
        self._stroke: list[Points] = []

    def sketch(self) -> Sketch:
        """Return the outline."""
        return Sketch(area=self._outline())

    def press(self, spot: Spot) -> None:
        """Begin the outline."""
        self._stroke = [spot.pixel]

    def drag(self, spot: Spot) -> None:
        """Go on with it."""
        if self._stroke:  # not given up meanwhile
            self._stroke.append(spot.pixel)

    def release(self, spot: Spot) -> None:
        """Add what lies in the outline to the selection."""
        self._stroke.append(spot.pixel)
        found = boundaries_in(self.bench.boundaries, self._outline())
        self.cancel()
        selection = self.bench.selection
        selection.select([*selection.ids, *found])
        self.bench.said.emit(f"{len(selection.ids)} boundaries selected.")

    def cancel(self) -> None:
        """Forget the outline."""
        super().cancel()
        self._stroke = []

    def _outline(self) -> Points:
        if len(self._stroke) < 2:
            return np.empty((0, 2))
        if self._lasso:
            return np.array(self._stroke)
        return box_outline(self._stroke[0], self._stroke[-1])
