"""Regions that are drawn or painted in napari, as pixels of the counts beneath them.

What is in a layer is taken in two steps, so that the slow one can run in a thread:
`drawn_on` copies labels or outlines out of napari and works out where they lie on
the counts, `regions_of` finds the pixels.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.counting.band import band_pixels
from napari_liso.counting.regions import Regions

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "Drawn",
    "Mapping",
    "drawn_on",
    "feature_names",
    "is_region_layer",
    "is_shapes",
    "mapping_between",
    "regions_of",
]

Floats = NDArray[np.float64]

#: Layers nearer than this many pixels, at every corner, show the same pixels.
_SAME = 0.01
#: Features in which a name of each region may be, the first that is there.
_NAMES = ("name", "names", "label", "region")


def is_shapes(layer: Layer) -> bool:
    """Tell whether a layer holds shapes."""
    return layer.__class__.__name__ == "Shapes"


def is_region_layer(layer: Layer) -> bool:
    """Tell whether a layer may hold regions: labels or shapes."""
    return is_shapes(layer) or layer.__class__.__name__ == "Labels"


@dataclass(frozen=True, eq=False)
class Mapping:
    """Takes positions (n, 2), in pixels of one layer, to pixels of another."""

    matrix: Floats
    offset: Floats

    def __call__(self, points: NDArray[Any]) -> Floats:
        """Return the positions on the other layer."""
        return np.asarray(points, dtype=np.float64) @ self.matrix.T + self.offset

    @property
    def scale(self) -> float:
        """How much longer things are, the mean of both axes."""
        return float(np.sqrt(abs(np.linalg.det(self.matrix))))

    def keeps(self, shape: tuple[int, ...]) -> bool:
        """Tell whether every pixel of an image lies on its own number."""
        y, x = shape[-2] - 1.0, shape[-1] - 1.0
        corners = np.array([(0.0, 0.0), (0.0, x), (y, 0.0), (y, x)])
        return bool(np.abs(self(corners) - corners).max() < _SAME)


def mapping_between(source: Layer, target: Layer) -> Mapping:
    """Return where positions in the data of one layer are in the data of another.

    Through the world, as napari shows them: scale, translation, rotation, shear and
    affine of both count, and their units where both are lengths. Of layers with
    more axes the last two; the others are taken at 0.
    """
    factor = np.ones(2)
    pairs = list(zip(source.units[-2:], target.units[-2:], strict=True))
    if all(one.is_compatible_with(other) for one, other in pairs):
        factor = np.array([float((1.0 * one).to(other).magnitude) for one, other in pairs])
    points = []
    for place in ((0.0, 0.0), (1.0, 0.0), (0.0, 1.0)):
        world = source.data_to_world(np.array((*[0.0] * (source.ndim - 2), *place)))
        there = np.asarray(world)[-2:] * factor
        at = target.world_to_data(np.array((*[0.0] * (target.ndim - 2), *there)))
        points.append(np.asarray(at, dtype=np.float64)[-2:])
    origin, y, x = points
    return Mapping(np.column_stack([y - origin, x - origin]), origin)


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a layer holds, out of napari's reach: it may be read in any thread.

    Parameters
    ----------
    shape
        (y, x) of the counts.
    names
        By the number of the region, of those that have one.
    labels
        Of a Labels layer, else None.
    to_labels
        From pixels of the counts to those of the labels; None where they are the
        same.
    outlines
        Of a Shapes layer: its kind, vertices in pixels of the counts, and width of
        its edge in such pixels, one a shape.
    """

    shape: tuple[int, int]
    names: dict[int, str]
    labels: NDArray[Any] | None = None
    to_labels: Mapping | None = None
    outlines: tuple[tuple[str, Floats, float], ...] = ()

    @property
    def is_resampled(self) -> bool:
        """Whether labels on other pixels than the counts are looked up for each of these."""
        return self.to_labels is not None


def drawn_on(layer: Layer, counts: Layer) -> Drawn:
    """Take what is drawn in a Labels or Shapes layer, placed on a layer of counts.

    Raises
    ------
    ValueError
        If it is another kind of layer, or labels of several planes.
    """
    shape = (int(counts.data.shape[-2]), int(counts.data.shape[-1]))
    if is_shapes(layer):
        mapping = mapping_between(layer, counts)
        shapes: Any = layer
        outlines = tuple(
            (str(kind), mapping(np.asarray(vertices)[:, -2:]), float(width) * mapping.scale)
            for kind, vertices, width in zip(
                shapes.shape_type, shapes.data, shapes.edge_width, strict=True
            )
        )
        return Drawn(shape, feature_names(layer), outlines=outlines)
    if layer.__class__.__name__ != "Labels":
        raise ValueError(f"'{layer.name}' holds no regions: choose a Labels or a Shapes layer")
    data = np.asarray(layer.data)
    if int(np.prod(data.shape[:-2])) != 1:
        raise ValueError(
            f"'{layer.name}' has shape {data.shape}: regions are needed as one plane (y, x)"
        )
    labels = data.reshape(data.shape[-2:]).copy()
    to_labels = mapping_between(counts, layer)
    same = labels.shape == shape and to_labels.keeps(shape)
    return Drawn(shape, feature_names(layer), labels, None if same else to_labels)


def feature_names(layer: Layer) -> dict[int, str]:
    """Return the names of regions in a layer's features, by the region's number.

    The number of a shape is its place from 1, that of a label in the column
    ``index`` or, as for napari itself, its row.
    """
    features = layer.features
    column = next((name for name in _NAMES if name in features.columns), None)
    if column is None:
        return {}
    numbers: Iterable[Any] = range(1, len(features) + 1)
    if not is_shapes(layer):
        numbers = features["index"] if "index" in features.columns else range(len(features))
    named = zip(numbers, features[column], strict=True)
    return {int(n): t.strip() for n, t in named if isinstance(t, str) and t.strip()}


def regions_of(drawn: Drawn) -> Regions:
    """Return the pixels of each region.

    A pixel of the counts belongs to a region if its centre does: to the label that
    lies there, to the polygon, rectangle or ellipse around it (where a polygon
    crosses itself, an even number of times around is outside), to the line or
    path that covers it with the width it is drawn in. A line thinner than a pixel
    takes those that it crosses. Labels may lie on other pixels than the counts: the
    label at the centre of each pixel of the counts is taken.
    """
    if drawn.labels is not None:
        labels = drawn.labels
        if drawn.to_labels is not None:
            labels = _looked_up(labels, drawn.to_labels, drawn.shape)
        found = Regions.of(labels)
    else:
        pixels = [_pixels_of(*outline, drawn.shape) for outline in drawn.outlines]
        rows = [np.full(len(pixel), row, np.int64) for row, pixel in enumerate(pixels)]
        numbers = tuple(range(1, len(pixels) + 1))
        nothing = [np.zeros(0, np.int64)]
        found = Regions(
            drawn.shape,
            np.concatenate(pixels or nothing),
            np.concatenate(rows or nothing),
            numbers,
            tuple(f"region {number}" for number in numbers),
        )
    names = [drawn.names.get(n, f"region {n}") for n in found.labels]
    return Regions.of(found, names)


def _looked_up(
    labels: NDArray[Any], mapping: Mapping, shape: tuple[int, int]
) -> NDArray[np.integer[Any]]:
    """Return the label at the centre of each pixel of the counts, 0 outside."""
    found = np.zeros(shape, labels.dtype)
    columns = np.arange(shape[1])
    for row in range(shape[0]):
        points = np.column_stack([np.full(shape[1], row), columns])
        # a hair off, so that a centre between two labels falls to one side by rule
        y, x = np.floor(mapping(points) + 0.5 - 1e-9).astype(np.int64).T
        inside = (y >= 0) & (y < labels.shape[0]) & (x >= 0) & (x < labels.shape[1])
        found[row, inside] = labels[y[inside], x[inside]]
    return found


def _pixels_of(
    kind: str, vertices: Floats, width: float, shape: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the pixels of one shape, counted row by row."""
    if kind in ("line", "path"):
        try:
            return band_pixels(shape, vertices, width, 1.0)[0]
        except ValueError:  # outside the image, or no longer than a point
            return np.zeros(0, np.int64)
    mask = _in_ellipse(vertices, shape) if kind == "ellipse" else _in_polygon(vertices, shape)
    return np.flatnonzero(mask)


def _in_polygon(vertices: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centre is in a polygon, row by row.

    A centre on a left or upper edge is inside, on a right or lower one outside, so
    that of two rectangles side by side no pixel is in both.
    """
    mask = np.zeros(shape, dtype=bool)
    vertices = np.round(vertices, 6)  # of a rotated layer they lie on centres but for rounding
    start, end = vertices, np.roll(vertices, -1, axis=0)
    low, high = np.minimum(start[:, 0], end[:, 0]), np.maximum(start[:, 0], end[:, 0])
    first = max(0, int(np.ceil(low.min())))
    for row in range(first, min(shape[0], int(np.ceil(high.max())))):
        crossed = (low <= row) & (row < high)
        (ya, xa), (yb, xb) = start[crossed].T, end[crossed].T
        places = np.sort(xa + (row - ya) * (xb - xa) / (yb - ya))
        columns = np.clip(np.ceil(places - 1e-9), 0, shape[1]).astype(np.int64)
        for left, right in columns.reshape(-1, 2):
            mask[row, left:right] = True
    return mask


def _in_ellipse(vertices: Floats, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels whose centre is in an ellipse, given by the corners around it."""
    middle = vertices.mean(axis=0)
    sides = np.column_stack([vertices[1] - vertices[0], vertices[3] - vertices[0]]) / 2
    mask = np.zeros(shape, dtype=bool)
    if abs(np.linalg.det(sides)) == 0:
        return mask
    low = np.clip(np.floor(vertices.min(axis=0)), 0, shape).astype(int)
    high = np.clip(np.ceil(vertices.max(axis=0)) + 1, 0, shape).astype(int)
    y, x = np.mgrid[low[0] : high[0], low[1] : high[1]]
    into = np.linalg.inv(sides)
    away = np.stack([y - middle[0], x - middle[1]])
    u, v = np.tensordot(into, away, axes=1)
    mask[low[0] : high[0], low[1] : high[1]] = u**2 + v**2 <= 1 + 1e-12
    return mask
