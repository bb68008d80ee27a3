"""Pixel faces between grains: where they are, how they hang together, which way they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

__all__ = ["Faces", "find_faces"]

# Standard deviation of the smoothing of the normals, in faces along the
# boundary. Long enough to see the slope of a staircase, short enough to follow
# a circle of eight pixels radius. Oblong pixels make the steps of a staircase
# longer in faces, so it grows with the root of their aspect ratio.
_SMOOTHING = 4.0

# Largest staircase factor. Only hooks and combs of single pixels come near it.
_STEEPEST = 5.0


@dataclass(frozen=True, eq=False)
class Faces:
    """All pixel faces between two different grains, one entry a face.

    Sorted by boundary, within a boundary in raster order of `first`.

    Parameters
    ----------
    first, second
        Flat indices of the two pixels; `first` is above or left of `second`.
    axis
        0: `second` is below `first`; 1: `second` is right of `first`.
    boundary
        Id of the boundary that the face belongs to.
    normal_y, normal_x
        Local unit normal of the boundary in physical space, smoothed along the
        boundary, from its grain_a to its grain_b.
    staircase
        Length of pixel faces per length of the boundary they stand for, local:
        the length of the face divided by it adds up to the boundary's length.
        On a smooth boundary it is ``|normal_y| + |normal_x|``, between 1 (along
        the pixels) and sqrt(2) (at 45 degrees); more where the pixels are ragged.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    axis: NDArray[np.int8]
    boundary: NDArray[np.int32]
    normal_y: NDArray[np.float64]
    normal_x: NDArray[np.float64]
    staircase: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.first)


@dataclass(frozen=True, eq=False)
class Contacts:
    """Faces with the pair of grains and the corners of the pixel grid they join.

    Corners are counted on the (ny + 1, nx + 1) grid, flat. `start` is the left
    or upper end. `sign` is +1 where `first` lies in grain_a.
    """

    first: NDArray[np.int64]
    second: NDArray[np.int64]
    axis: NDArray[np.int8]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    pair: NDArray[np.int64]
    sign: NDArray[np.int8]
    pairs: NDArray[np.int64]


def find_faces(
    grains: NDArray[np.integer[Any]], pixel_size: tuple[float, float]
) -> tuple[Faces, NDArray[np.int64], NDArray[np.bool_]]:
    """Find the faces between grains and group them into boundaries.

    A boundary is a set of faces between the same two grains that hang together
    by corners of the pixel grid. Ids run from 1 in the order of grain_a,
    grain_b and the first face in raster order.

    Parameters
    ----------
    grains
        Labels (y, x), 0 = no grain.
    pixel_size
        (y, x) in m.

    Returns
    -------
    faces
        All faces.
    pairs
        (boundary, 2): grain_a < grain_b of boundary 1, 2, ...
    touches_edge
        (boundary,): whether one of its corners lies on the edge of the image.
    """
    contacts = _contacts(grains)
    links = _links(contacts)
    component = _number(contacts, links)
    order = np.lexsort((contacts.axis, contacts.first, component))
    normal, staircase = _normals(contacts, links, pixel_size)
    faces = Faces(
        first=contacts.first[order],
        second=contacts.second[order],
        axis=contacts.axis[order],
        boundary=(component[order] + 1).astype(np.int32),
        normal_y=normal[order, 0],
        normal_x=normal[order, 1],
        staircase=staircase[order],
    )
    count = int(component.max(initial=-1)) + 1
    pairs = np.zeros((count, 2), dtype=np.int64)
    pairs[component] = contacts.pairs[contacts.pair]
    touches_edge = np.zeros(count, dtype=bool)
    for corner in (contacts.start, contacts.end):
        touches_edge[component[_on_edge(corner, grains.shape)]] = True
    return faces, pairs, touches_edge


def _contacts(grains: NDArray[np.integer[Any]]) -> Contacts:
    """4-neighbour contacts of different non-zero labels, in raster order by axis."""
    ny, nx = grains.shape
    flat = grains.ravel()
    index = np.arange(ny * nx).reshape(ny, nx)
    found = []
    for before, step in ((index[:-1], nx), (index[:, :-1], 1)):
        here, there = flat[before], flat[before + step]
        found.append(before[(here != there) & (here != 0) & (there != 0)])
    first = np.concatenate(found)
    axis = np.repeat(np.array([0, 1], dtype=np.int8), [len(f) for f in found])
    second = first + np.where(axis == 0, nx, 1)
    one, two = flat[first].astype(np.int64), flat[second].astype(np.int64)
    pairs, pair = np.unique(
        np.stack([np.minimum(one, two), np.maximum(one, two)], axis=1),
        axis=0,
        return_inverse=True,
    )
    y, x = np.divmod(first, nx)
    end = (y + 1) * (nx + 1) + x + 1
    return Contacts(
        first=first,
        second=second,
        axis=axis,
        start=end - np.where(axis == 0, 1, nx + 1),
        end=end,
        pair=pair.reshape(-1),
        sign=np.where(one < two, 1, -1).astype(np.int8),
        pairs=pairs,
    )


def _links(contacts: Contacts) -> NDArray[np.int64]:
    """Pairs (link, 2) of faces of the same grains that follow each other at a corner.

    Two faces at most meet at a corner, or four in a checkerboard a b / b a. The
    arms of a corner are then taken in the order left, up, right, down, so that
    every link goes around one pixel and both faces look into or out of it.
    """
    count = len(contacts.first)
    # At its start (left or upper end) a face is the right or the down arm.
    arm = np.concatenate([np.where(contacts.axis == 0, 2, 3), np.where(contacts.axis == 0, 0, 1)])
    face = np.tile(np.arange(count), 2)
    corner = np.concatenate([contacts.start, contacts.end])
    pair = np.tile(contacts.pair, 2)
    order = np.lexsort((arm, corner, pair))
    corner, pair, face = corner[order], pair[order], face[order]
    same = (corner[1:] == corner[:-1]) & (pair[1:] == pair[:-1])
    return np.stack([face[:-1][same], face[1:][same]], axis=1)


def _number(contacts: Contacts, links: NDArray[np.int64]) -> NDArray[np.int64]:
    """Component of each face, numbered from 0 by pair, then by first face in raster order."""
    count = len(contacts.first)
    if count == 0:
        return np.zeros(0, dtype=np.int64)
    graph = sparse.coo_array(
        (np.ones(len(links), dtype=np.int8), (links[:, 0], links[:, 1])), shape=(count, count)
    )
    _, component = csgraph.connected_components(graph, directed=False)
    order = np.lexsort((contacts.axis, contacts.first))
    _, earliest = np.unique(component[order], return_index=True)
    lead = order[earliest]
    rank = np.empty(len(lead), dtype=np.int64)
    by = np.lexsort((contacts.axis[lead], contacts.first[lead], contacts.pair[lead]))
    rank[by] = np.arange(len(lead))
    return rank[component]


def _normals(
    contacts: Contacts, links: NDArray[np.int64], pixel_size: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Unit normals (face, 2) from grain_a to grain_b, and staircase factors (face,).

    The vector of a face is its length times its direction from a to b. The sum
    of such vectors over a piece of boundary is the normal of the chord times
    its length whatever staircase joins its ends, so the smoothed vectors turn
    with the boundary and know nothing of the pixels. For the same reason the
    length of a piece is the sum of the vectors projected on the normals: a bump
    of one pixel adds nothing, while dividing each face by abs(n_y) + abs(n_x)
    makes a ragged line up to 40 % too long.
    """
    count = len(contacts.first)
    own = np.zeros((count, 2))
    length = _face_lengths(contacts.axis, pixel_size)
    width = _SMOOTHING * min(np.sqrt(max(pixel_size) / min(pixel_size)), 3.0)
    own[np.arange(count), contacts.axis] = contacts.sign * length
    vector = _smooth(own, links, width)
    norm = np.hypot(vector[:, 0], vector[:, 1])
    # A small closed loop cancels itself: its faces keep their own direction.
    lost = norm < 1e-3 * length
    vector = np.where(lost[:, None], own, vector)
    normal = vector / np.where(lost, length, norm)[:, None]
    projected = np.einsum("fa,fa->f", own, normal)
    smooth = _smooth(np.stack([length, projected], axis=1), links, width)
    return normal, smooth[:, 0] / np.maximum(smooth[:, 1], smooth[:, 0] / _STEEPEST)


def _smooth(
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


def _face_lengths(
    axis: NDArray[np.integer[Any]], pixel_size: tuple[float, float]
) -> NDArray[np.float64]:
    """Length in m of faces: one of axis 0 (between rows) is as long as a pixel is wide."""
    return np.where(axis == 0, pixel_size[1], pixel_size[0])


def _on_edge(corner: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether flat corners of the (ny + 1, nx + 1) grid lie on the edge of the image."""
    ny, nx = shape
    y, x = np.divmod(corner, nx + 1)
    return (y == 0) | (y == ny) | (x == 0) | (x == nx)
