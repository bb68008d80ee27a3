"""The image that a drawn boundary follows, made ready in another thread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, cast

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_liso.plugin.labelling.frame import Grid, PixelFrame
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.records import role_of
from napari_liso.plugin.tasks import Task

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from napari_liso.microstructure.livewire import LiveWire

__all__ = ["Edges", "Guide", "default_edges", "is_guide"]

Edges = Literal["steps", "dark", "bright"]

_NO_GUIDES = ("profile", "model", "residual", "permeability", "scans")


def is_guide(layer: Layer) -> bool:
    """Tell whether boundaries may be looked for in a layer: an image of one plane."""
    if layer.__class__.__name__ != "Image" or role_of(layer) in _NO_GUIDES:
        return False
    return layer.ndim == 2 and min(layer.data.shape[:2]) > 2


def default_edges(layer: Layer | None) -> Edges:
    """Return what boundaries look like in an image: steps in maps, dark lines in micrographs."""
    ours = layer is not None and role_of(layer) not in ("", "overlay")
    return "steps" if layer is None or ours or layer.dtype.kind == "f" else "dark"


class Guide(QObject):
    """Keeps the cost of a way along an image, on the pixels of the map.

    Attributes
    ----------
    task
        The computation.
    """

    changed = Signal()  # ready, or gone
    failed = Signal(str)

    def __init__(self, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self._image: Image | None = None
        self._map: Layer | None = None
        self._edges: Edges = "steps"
        self._cost: NDArray[np.float32] | None = None
        self._wire: LiveWire | None = None
        self.task = Task(self)
        self.task.failed.connect(self._on_failed)
        self.task.succeeded.connect(self._on_cost)
        self._newest = Newest(self.task, self._start, self)

    @property
    def ready(self) -> bool:
        """Whether a line would follow the image now."""
        return self._cost is not None

    def set(self, image: Layer | None, grid: Layer | None, edges: Edges) -> None:
        """Follow an image, on the pixels of a map; None follows nothing."""
        if image == self._image and grid == self._map and edges == self._edges:
            return
        for emitter in self._emitters():
            emitter.disconnect(self._on_image)
        self._image, self._map, self._edges = cast("Image", image), grid, edges
        for emitter in self._emitters():
            emitter.connect(self._on_image)
        self._ask()

    def wire(self) -> LiveWire | None:
        """Return what finds ways along the image; None: there is no image, or not yet."""
        from napari_liso.microstructure.livewire import LiveWire

        if self._cost is None:
            return None
        if self._wire is None:
            self._wire = LiveWire(self._cost)
        return self._wire

    def relief(self) -> NDArray[Any] | None:
        """Return an image that is high on the lines of the guide, (y, x); None without lines.

        Steps are no relief: in noise each point would keep a hollow of its own.
        """
        return None if self._cost is None or self._edges == "steps" else 1.0 - self._cost

    def _emitters(self) -> list[Any]:
        image = self._image
        if image is None:
            return []
        events = image.events
        return [events.data, events.affine, events.scale, events.translate]

    def _on_image(self, event: object = None) -> None:
        if isalive(self):
            self._ask()

    def _ask(self) -> None:
        """Forget the former image; ask for the way along this one."""
        self._cost = self._wire = None
        self._newest.drop()
        if self.task.running:
            self.task.cancel()
        if self._image is not None and self._map is not None:
            self._newest.ask()
        self.changed.emit()

    def _start(self) -> None:
        if self._image is not None and self._map is not None:
            source = Grid.of_image(self._image)
            self.task.start(_cost, source, PixelFrame.of_layer(self._map), self._edges)

    def _on_cost(self, cost: NDArray[np.float32]) -> None:
        self._cost = cost
        self.changed.emit()

    def _on_failed(self, error: Exception) -> None:
        self.failed.emit(f"This image cannot be followed: {error}")


def _cost(source: Grid, frame: PixelFrame, edges: Edges) -> NDArray[np.float32]:
    from napari_liso.microstructure.livewire import cost_of

    return np.asarray(cost_of(source.on(frame), edges=edges), dtype=np.float32)
