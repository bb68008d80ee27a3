"""Smoothing along the chains of faces of boundaries, and the curvature of the smooth line."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

__all__ = ["NORMAL_SMOOTHING", "mean_curvature", "smooth", "stretch"]

#: Standard deviation of the smoothing of the normals, in faces along the
#: boundary. Long enough to see the slope of a staircase, short enough to follow
#: a circle of eight pixels radius. Oblong pixels make the steps of a staircase
#: longer in faces, so it grows with the root of their aspect ratio.
NORMAL_SMOOTHING = 4.0

# The same for curvature, where the steps of a staircase must be gone altogether;
# and the shortest boundary that has one, in faces.
_CURVATURE_SMOOTHING = 8.0
_SHORTEST_CURVE = 8


def smooth(
    values: NDArray[np.float64], links: NDArray[np.int64], width: float
) -> NDArray[np.float64]:
    """Smooth values (face, ...) along the boundaries by `width` faces; their sums stay.

    Along the chain of faces and not over a disc, so that the two sides of a
    thin grain do not mix. Metropolis weights: symmetric, 1/4 - 1/2 - 1/4 inside
    a chain, and each step adds half a face squared to the variance.
    """
    if len(links) == 0:
        return values
    count = len(values)
    degree = np.bincount(links.ravel(), minlength=count)
    weight = 0.5 / np.maximum(degree[links[:, 0]], degree[links[:, 1]])
    ends = links[:, 0], links[:, 1]
    move = sparse.coo_array(
        (np.tile(weight, 2), (np.concatenate(ends), np.concatenate(ends[::-1]))),
        shape=(count, count),
    ).tocsr()
    stay = 1.0 - np.bincount(links.ravel(), np.repeat(weight, 2), minlength=count)
    for _ in range(round(2 * width**2)):
        values = stay[:, None] * values + move @ values
    return values


def stretch(pixel_size: tuple[float, float]) -> float:
    """How much longer, in faces, smoothing must be for oblong pixels."""
    return min(float(np.sqrt(max(pixel_size) / min(pixel_size))), 3.0)


def mean_curvature(
    vector: NDArray[np.float64],
    length: NDArray[np.float64],
    links: NDArray[np.int64],
    component: NDArray[np.int64],
    pixel_size: tuple[float, float],
) -> NDArray[np.float64]:
    """Mean absolute curvature of each boundary in 1/m: how far it turns, to and fro, over how far.

    The further smoothed vectors turn too little at the ends of a boundary, where
    there is nothing beyond to smooth with. The way along the boundary, smoothed
    alike, is too short there by the same factor, so their ratio is right.

    Parameters
    ----------
    vector
        Of the faces, smoothed with `NORMAL_SMOOTHING` (face, 2).
    length
        Of the smooth line at each face (face,), m.
    links, component
        Which faces follow each other, and of which boundary they are.
    pixel_size
        (y, x) in m.
    """
    count = int(component.max(initial=-1)) + 1
    if count == 0:
        return np.zeros(0)
    size = np.bincount(component, minlength=count)
    link_of = component[links[:, 0]]
    is_closed = np.bincount(link_of, minlength=count) >= size
    way = _way_along(length, links, component, count)
    wide = stretch(pixel_size)
    further = np.sqrt(_CURVATURE_SMOOTHING**2 - NORMAL_SMOOTHING**2) * wide
    way = smooth(way[:, None], links, NORMAL_SMOOTHING * wide)
    smoothed = smooth(np.concatenate([vector, way], axis=1), links, further)
    one, two = smoothed[links[:, 0]], smoothed[links[:, 1]]
    across = one[:, 0] * two[:, 1] - one[:, 1] * two[:, 0]
    turn = np.abs(np.arctan2(across, (one[:, :2] * two[:, :2]).sum(axis=1)))
    turned = np.bincount(link_of, turn, minlength=count)
    passed = np.bincount(link_of, np.abs(one[:, 2] - two[:, 2]), minlength=count)
    passed[is_closed] = np.bincount(component, length, minlength=count)[is_closed]
    curved = (size >= _SHORTEST_CURVE) & (passed > 0)
    return np.divide(turned, passed, out=np.full(count, np.nan), where=curved)


def _way_along(
    length: NDArray[np.float64],
    links: NDArray[np.int64],
    component: NDArray[np.int64],
    count: int,
) -> NDArray[np.float64]:
    """Way in m from an end of the boundary to each face (face,); from anywhere if it is closed."""
    faces = len(component)
    degree = np.bincount(links.ravel(), minlength=faces)
    by = np.lexsort((degree, component))
    lead = by[np.searchsorted(component[by], np.arange(count))]
    # One more node, linked to an end of every boundary, is the root of a tree.
    edges = np.concatenate([links, np.stack([np.full(count, faces), lead], axis=1)])
    graph = sparse.coo_array(
        (np.ones(len(edges), dtype=np.int8), (edges[:, 0], edges[:, 1])),
        shape=(faces + 1, faces + 1),
    ).tocsr()
    _, parent = csgraph.breadth_first_order(graph, faces, directed=False)
    parent = parent.astype(np.int64)
    parent[faces] = faces
    padded = np.append(length, 0.0)
    way = (padded + padded[parent]) / 2
    way[[*lead, faces]] = 0.0
    # Each pass doubles how far up the tree the sum reaches.
    while (parent != faces).any():
        way += way[parent]
        parent = parent[parent]
    return way[:faces]
