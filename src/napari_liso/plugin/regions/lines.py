"""Lines that are drawn in napari, on the counts beneath them, and how wide they are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin.regions.pixels import mapping_between

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["DrawnLine", "line_on", "lines_in", "set_edge_width"]


@dataclass(frozen=True, eq=False)
class DrawnLine:
    """A line or path in a Shapes layer.

    Parameters
    ----------
    index
        Its place in the layer.
    path
        (vertex, 2), in pixels of the counts.
    edge_width
        As napari draws it, in pixels of its own layer.
    width_per_edge
        Width across the line, in m (pixels where `pixel_size` is unknown), of an
        edge one wide. Of a layer with oblong pixels it depends on the direction;
        of a bent path there, it is the mean along it.
    """

    index: int
    path: NDArray[np.float64]
    edge_width: float
    width_per_edge: float


def lines_in(layer: Layer) -> list[int]:
    """Return the places of the lines and paths of a Shapes layer that have a length."""
    shapes: Any = layer
    return [
        index
        for index, (kind, vertices) in enumerate(zip(shapes.shape_type, shapes.data, strict=True))
        if str(kind) in ("line", "path") and np.ptp(np.asarray(vertices), axis=0)[-2:].max() > 0
    ]


def line_on(
    layer: Layer, index: int, counts: Layer, pixel_size: tuple[float, float] | None
) -> DrawnLine:
    """Return a line of a Shapes layer as it lies on some counts."""
    shapes: Any = layer
    vertices = np.asarray(shapes.data[index], dtype=np.float64)[:, -2:]
    mapping = mapping_between(layer, counts)
    size = np.ones(2) if pixel_size is None else np.asarray(pixel_size)
    to_length = size[:, None] * mapping.matrix
    steps = np.diff(vertices, axis=0)
    lengths = np.hypot(*steps.T)
    steps, lengths = steps[lengths > 0], lengths[lengths > 0]
    # a strip of an edge's width keeps its area ratio while its length is stretched
    stretched = np.hypot(*(to_length @ (steps / lengths[:, None]).T))
    per_edge = abs(np.linalg.det(to_length)) * np.average(1 / stretched, weights=lengths)
    return DrawnLine(index, mapping(vertices), float(shapes.edge_width[index]), float(per_edge))


def set_edge_width(layer: Layer, index: int, width: float) -> None:
    """Draw a line in another width, and those that are drawn from now on."""
    shapes: Any = layer
    if not np.isclose(shapes.edge_width[index], width, rtol=1e-6):
        widths = [float(w) for w in shapes.edge_width]
        widths[index] = width
        shapes.edge_width = widths
    selected = set(shapes.selected_data)
    if selected <= {index} and not np.isclose(shapes.current_edge_width, width, rtol=1e-6):
        shapes.current_edge_width = width
