"""Which boundaries are selected: one object, to which the map, tables and plots listen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_liso.plugin.records import OBJECT

if TYPE_CHECKING:
    from collections.abc import Generator

    from napari.components import ViewerModel
    from napari.layers import Labels

__all__ = ["BoundarySelection", "MapPicker", "camera_of", "nearest_label", "selection_of"]

#: Reach of a click around the cursor, in screen pixels.
REACH = 5.0


class BoundarySelection(QObject):
    """The selected boundary ids in the order of selection."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._ids: tuple[int, ...] = ()

    @property
    def ids(self) -> tuple[int, ...]:
        """Selected ids; the last one is the current one."""
        return self._ids

    @property
    def current(self) -> int | None:
        """The boundary selected last, whose profile is shown."""
        return self._ids[-1] if self._ids else None

    def select(self, ids: Iterable[int]) -> None:
        """Select these ids and no others."""
        new = tuple(dict.fromkeys(int(i) for i in ids))
        if new != self._ids:
            self._ids = new
            self.changed.emit()

    def toggle(self, label: int) -> None:
        """Add an id, or take it away if it is selected."""
        kept = tuple(i for i in self._ids if i != label)
        self.select(kept if label in self._ids else (*kept, label))


def selection_of(layer: Labels) -> BoundarySelection:
    """Return the selection that belongs to a boundaries layer, the same one for every caller."""
    shared = layer.metadata[OBJECT]
    if shared.get("selection") is None:
        shared["selection"] = BoundarySelection()
    return cast("BoundarySelection", shared["selection"])


def camera_of(viewer: ViewerModel) -> Any:
    """Return the camera, under its name in napari 0.9 or the older one."""
    return getattr(viewer, "scene", viewer).camera


def nearest_label(
    labels: NDArray[Any],
    position: tuple[float, float],
    magnification: tuple[float, float],
    reach: float = REACH,
) -> int:
    """Return the nonzero label nearest to a point, 0 if none is within reach.

    Parameters
    ----------
    labels
        (y, x).
    position
        (y, x) in pixels of `labels`, pixel centres at whole numbers.
    magnification
        Screen pixels per pixel of `labels` along y and x.
    reach
        Largest distance on the screen from the point to the edge of a pixel
        of the label, in screen pixels.
    """
    window = []
    for centre, zoom, size in zip(position, magnification, labels.shape, strict=True):
        half = min(reach / max(zoom, 1e-9), 1000.0) + 1.0
        window.append(slice(max(0, int(centre - half)), max(0, min(size, int(centre + half) + 2))))
    part = labels[window[0], window[1]]
    rows, columns = np.nonzero(part)
    if len(rows) == 0:
        return 0
    away = np.zeros(len(rows))
    for index, axis in ((rows, 0), (columns, 1)):
        offset = np.abs(index + window[axis].start - position[axis]) - 0.5
        away += (np.maximum(offset, 0.0) * magnification[axis]) ** 2
    best = int(np.argmin(away))
    return int(part[rows[best], columns[best]]) if away[best] <= reach**2 else 0


class MapPicker(QObject):
    """Turns clicks on the map into a selection while it is switched on.

    A click selects the nearest boundary within `REACH` screen pixels, with
    Shift it adds or takes away, and a click elsewhere on the map selects
    nothing. Drags, and layers in another mode than pan and zoom, are left
    alone.
    """

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._layer: Labels | None = None
        self._on = False
        self._seen: list[QObject] = []

    def follow(self, *widgets: QWidget) -> None:
        """Be switched on whenever one of these is shown."""
        for widget in widgets:
            widget.installEventFilter(self)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice that a followed widget was shown or hidden."""
        if watched is not None and event is not None:
            if event.type() == QEvent.Type.Show and watched not in self._seen:
                self._seen.append(watched)
                self.switch(True)
            elif event.type() == QEvent.Type.Hide and watched in self._seen:
                self._seen.remove(watched)
                self.switch(bool(self._seen))
        return False

    def set_layer(self, layer: Labels | None) -> None:
        """Choose the boundaries layer that is clicked on."""
        self._layer = layer

    def switch(self, on: bool) -> None:
        """Listen to the viewer's mouse, or stop."""
        if on == self._on:
            return
        self._on = on
        callbacks = self._viewer.mouse_drag_callbacks
        if on:
            callbacks.append(self.on_mouse)
        elif self.on_mouse in callbacks:
            callbacks.remove(self.on_mouse)

    def on_mouse(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Follow one press of the mouse to its release (napari's protocol)."""
        if event.button != 1 or event.handled or self._busy_elsewhere():
            return  # not a click, or one that a tool has taken
        start = np.asarray(event.pos, dtype=float)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos, dtype=float) - start).max() > 3:
                return
            yield
        # a second dock would see the same click: the first one marks it
        if not event.handled:
            event.handled = True
            self.pick(event.position, "Shift" in event.modifiers)

    def _busy_elsewhere(self) -> bool:
        """Tell whether a click means something else to napari now."""
        active = self._viewer.layers.selection.active
        return active is not None and str(active.mode) != "pan_zoom"

    def pick(self, position: tuple[float, ...], add: bool = False) -> int:
        """Select the boundary at a world position; return its id, 0 for none."""
        layer = self._layer
        if layer is None or not layer.visible or layer not in self._viewer.layers:
            return 0
        y, x = (float(v) for v in np.asarray(layer.world_to_data(position))[-2:])
        height, width = layer.data.shape[-2:]
        margin = 0.5
        if not (-margin <= y <= height - margin and -margin <= x <= width - margin):
            return 0
        zoom = float(camera_of(self._viewer).zoom)
        scale = np.asarray(layer.scale, dtype=float)[-2:] * zoom
        found = nearest_label(np.asarray(layer.data), (y, x), (scale[0], scale[1]))
        selection = selection_of(layer)
        if found and add:
            selection.toggle(found)
        elif found or not add:
            selection.select([found] if found else [])
        return found
