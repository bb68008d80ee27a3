"""What the tools of the mouse share: where it is, what is drawn over the map, edits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QObject, Signal

from napari_liso.plugin.labelling.draw import Wire
from napari_liso.plugin.labelling.region_select import faces_of
from napari_liso.plugin.selection import BoundarySelection, nearest_label, selection_of

if TYPE_CHECKING:
    from napari_liso.microstructure.boundaries import Boundaries
    from napari_liso.microstructure.editing import PixelEdit
    from napari_liso.plugin.labelling.editor import BoundaryEditor

__all__ = ["Bench", "Handler", "Sketch", "Spot", "near"]

Points = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Spot:
    """Where the mouse is.

    Parameters
    ----------
    pixel
        (y, x) in pixels of the map, moved onto it.
    beside
        How far outside the map, in screen pixels; 0 inside.
    magnification
        Screen pixels per pixel of the map, (y, x).
    """

    pixel: Points
    beside: float = 0.0
    magnification: tuple[float, float] = (1.0, 1.0)

    @property
    def whole(self) -> tuple[int, int]:
        """The pixel itself."""
        y, x = np.rint(self.pixel).astype(int).tolist()
        return y, x


@dataclass(frozen=True, eq=False)
class Sketch:
    """What is drawn over the map while a tool works, in pixels of the map (y, x).

    Parameters
    ----------
    line, preview
        The line as it is set, and on to the mouse, (n, 2).
    dots
        Points that were set, (n, 2).
    area
        Corners of a box or lasso, (n, 2).
    marked
        Faces of the boundary that a click would take, (n, 2, 2).
    """

    line: Points = field(default_factory=lambda: np.empty((0, 2)))
    preview: Points = field(default_factory=lambda: np.empty((0, 2)))
    dots: Points = field(default_factory=lambda: np.empty((0, 2)))
    area: Points = field(default_factory=lambda: np.empty((0, 2)))
    marked: Points = field(default_factory=lambda: np.empty((0, 2, 2)))

    @property
    def empty(self) -> bool:
        """Whether there is nothing to draw."""
        parts = (self.line, self.preview, self.dots, self.area, self.marked)
        return not any(len(part) for part in parts)


class Bench(QObject):
    """What all tools work with: the boundaries, the guide, and a voice."""

    said = Signal(str)
    warned = Signal(str)

    def __init__(self, editor: BoundaryEditor) -> None:
        super().__init__()
        self.editor = editor
        self.wire: Callable[[], Wire | None] = _no_wire
        self.relief: Callable[[], NDArray[Any] | None] = _no_wire
        self._patch: Any = None
        editor.changed.connect(self._on_changed)

    @property
    def boundaries(self) -> Boundaries:
        """As they are now, what was painted a moment ago included."""
        self.editor.flush()
        return self.editor.boundaries

    @property
    def selection(self) -> BoundarySelection:
        """Of the boundaries."""
        return selection_of(self.editor.layer)

    def nearest(self, spot: Spot) -> int:
        """Return the boundary within reach of the mouse, 0 for none."""
        if spot.beside > 0:
            return 0
        y, x = spot.pixel
        at = float(y), float(x)
        return nearest_label(self.editor.boundaries.labels, at, spot.magnification)

    def apply(self, make: Callable[[], PixelEdit], what: str, select: bool = False) -> bool:
        """Do an edit, or say why it cannot be done.

        Parameters
        ----------
        make
            Returns the edit; a ValueError is told to the user.
        what
            For the undo button.
        select
            Whether to select the boundary that the edit made.
        """
        try:
            edit = make()
        except ValueError as error:
            text = str(error)
            self.warned.emit(f"{text[:1].upper()}{text[1:]}.")
            return False
        self._patch = None
        before = self.editor.boundaries.drawn.ravel()[edit.pixels]
        done = self.editor.apply(edit, what)
        if done:
            self.said.emit("")
            if select and self._patch is not None:
                # not the pieces of neighbours that were cut in two
                parts = np.union1d(before, edit.labels)
                pairs = self.editor.boundaries.table.loc[self._patch.added]
                inside = pairs[["grain_a", "grain_b"]].isin(parts).all(axis=1)
                self.selection.select(inside.index[inside])
        return bool(done)

    def _on_changed(self, patch: Any) -> None:
        self._patch = patch


def _no_wire() -> None:
    return None


class Handler:
    """One tool: what clicks and drags mean. Positions are those of the map."""

    #: What to do, for the message line.
    hint = ""
    cursor = "pointing"

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self._hover = 0
        self._known: tuple[Any, Points] = (None, np.empty((0, 2, 2)))

    @property
    def busy(self) -> bool:
        """Whether something was begun that Enter ends and Esc gives up."""
        return False

    def sketch(self) -> Sketch:
        """Return what is to be drawn over the map."""
        return Sketch(marked=self._faces(self._hover)) if self._hover else Sketch()

    def _faces(self, label: int) -> Points:
        """Return the faces of a boundary; asked for at every move of the mouse."""
        key = (self.bench.editor.boundaries, label)
        if self._known[0] != key:
            self._known = (key, faces_of(*key))
        return self._known[1]

    def click(self, spot: Spot) -> None:
        """Take a click."""

    def double_click(self, spot: Spot) -> None:
        """Take the second click of two quick ones."""
        self.click(spot)

    def press(self, spot: Spot) -> None:
        """Begin a drag."""

    def drag(self, spot: Spot) -> None:
        """Go on with a drag."""

    def release(self, spot: Spot) -> None:
        """End a drag."""

    def move(self, spot: Spot) -> None:
        """Follow the mouse while no button is down."""

    def finish(self) -> None:
        """End what was begun."""

    def back(self) -> None:
        """Take back the last point."""

    def cancel(self) -> None:
        """Give up what was begun."""
        self._hover = 0


def near(spot: Spot, pixel: Points, reach: float = 4.0) -> bool:
    """Tell whether a spot is that of another click, the hand's tremor apart."""
    away = np.abs(spot.pixel - pixel) * np.array(spot.magnification)
    return bool(away.max() <= reach)
