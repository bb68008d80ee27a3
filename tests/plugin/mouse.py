"""A mouse for a viewer model without a window: what napari does with its callbacks."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
from napari.components import ViewerModel

from napari_liso.plugin.selection import camera_of

Point = tuple[float, float]


class Mouse:
    """Sends events at pixels (y, x) of a map whose pixels are `pixel` um wide."""

    def __init__(self, viewer: ViewerModel, pixel: float = 0.5, zoom: float = 20.0) -> None:
        self.viewer, self.pixel = viewer, pixel
        camera_of(viewer).zoom = zoom
        #: Called once, halfway through a drag.
        self.during: Callable[[], object] | None = None

    def _event(self, kind: str, at: Point, modifiers: tuple[str, ...] = ()) -> SimpleNamespace:
        world = np.array(at, float) * self.pixel
        ahead = (0.0,) * (self.viewer.dims.ndim - 2)
        camera = camera_of(self.viewer)
        return SimpleNamespace(
            type=kind,
            button=1,
            # of a canvas of 400 x 400
            pos=((world - np.array(camera.center[-2:])) * camera.zoom + 200)[::-1],
            position=(*ahead, *world),
            modifiers=modifiers,
            handled=False,
            native=None,
        )

    def click(self, at: Point, *modifiers: str) -> bool:
        """Press and release; return whether the press was taken from the map."""
        return self.drag([at], *modifiers)

    def drag(self, points: list[Point], *modifiers: str) -> bool:
        """Press at the first point, move along the others, release at the last."""
        event = self._event("mouse_press", points[0], modifiers)
        running: list[Any] = []
        for callback in list(self.viewer.mouse_drag_callbacks):
            generator = callback(self.viewer, event)
            if hasattr(generator, "__next__") and next(generator, self) is not self:
                running.append(generator)
        taken = bool(event.handled)
        kinds = [("mouse_move", p) for p in points[1:]] + [("mouse_release", points[-1])]
        for number, (kind, point) in enumerate(kinds):
            if self.during is not None and 2 * number >= len(kinds):
                self.during, halfway = None, self.during
                halfway()
            event.__dict__.update(self._event(kind, point, modifiers).__dict__)
            running = [g for g in running if next(g, self) is not self]
        return taken

    def hover(self, at: Point) -> None:
        """Move with no button down."""
        for callback in list(self.viewer.mouse_move_callbacks):
            callback(self.viewer, self._event("mouse_move", at))

    def double_click(self, at: Point) -> None:
        """Click twice quickly: napari sends a press and release, then the second click."""
        self.click(at)
        for callback in list(self.viewer.mouse_double_click_callbacks):
            callback(self.viewer, self._event("mouse_double_click", at))
