"""Pixel faces between grains: where they are, how they hang together, which way they look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse import csgraph

from napari_liso.microstructure.smoothing import (
    NORMAL_SMOOTHING,
    mean_curvature,
    smooth,
    stretch,
)

__all__ = [
    "Faces",
    "Traced",
    "corners_of",
    "face_lengths",
    "find_faces",
    "find_places",
    "splice_faces",
    "take_faces",
    "trace_faces",
]

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


@dataclass(frozen=True, eq=False)
class Traced:
    """Faces grouped into boundaries, numbered from 1.

    Parameters
    ----------
    faces
        All faces.
    sign
        (face,): +1 where `first` lies in grain_a, -1 where it lies in grain_b.
    pairs
        (boundary, 2): grain_a < grain_b of boundary 1, 2, ...
    touches_edge
        (boundary,): whether one of its corners lies on the edge of the image.
    curvature
        (boundary,): mean absolute curvature in 1/m.
    """

    faces: Faces
    sign: NDArray[np.int8]
    pairs: NDArray[np.int64]
    touches_edge: NDArray[np.bool_]
    curvature: NDArray[np.float64]


def find_faces(grains: NDArray[np.integer[Any]], pixel_size: tuple[float, float]) -> Traced:
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
    """
    ny, nx = grains.shape
    first, axis = find_places(grains)
    flat = grains.ravel()
    pair = flat[first], flat[first + np.where(axis == 0, nx, 1)]
    return trace_faces(first, axis, pair, (ny, nx), pixel_size)


def find_places(
    grains: NDArray[np.integer[Any]],
) -> tuple[NDArray[np.int64], NDArray[np.int8]]:
    """Return `first` and `axis` of all faces: those of axis 0 in raster order, then the others."""
    nx = grains.shape[1]
    below, beside = (
        np.flatnonzero((here != there) & (here != 0) & (there != 0))
        for here, there in ((grains[:-1], grains[1:]), (grains[:, :-1], grains[:, 1:]))
    )
    beside += beside // max(nx - 1, 1)  # from the nx - 1 columns of `here` to nx
    axis = np.repeat(np.array([0, 1], dtype=np.int8), [len(below), len(beside)])
    return np.concatenate([below, beside]), axis


def trace_faces(
    first: NDArray[np.int64],
    axis: NDArray[np.int8],
    labels: tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]],
    shape: tuple[int, int],
    pixel_size: tuple[float, float],
) -> Traced:
    """Group faces that are known already into boundaries.

    Every boundary comes out the same, to the last bit, whatever other
    boundaries are among the faces.

    Parameters
    ----------
    first, axis
        As in `Faces`: all of axis 0 in raster order, then all of axis 1.
    labels
        Of `first` and of `second`, which differ.
    shape, pixel_size
        (y, x) of the image, and in m.
    """
    contacts = _contacts(first, axis, labels, shape)
    links = _links(contacts)
    component = _number(contacts, links)
    order = np.lexsort((contacts.axis, contacts.first, component))
    vector, normal, staircase = _normals(contacts, links, pixel_size)
    length = face_lengths(axis, pixel_size) / staircase
    curvature = mean_curvature(vector, length, links, component, pixel_size)
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
        touches_edge[component[_on_edge(corner, shape)]] = True
    return Traced(faces, contacts.sign[order], pairs, touches_edge, curvature)


def _contacts(
    first: NDArray[np.int64],
    axis: NDArray[np.int8],
    labels: tuple[NDArray[np.integer[Any]], NDArray[np.integer[Any]]],
    shape: tuple[int, int],
) -> Contacts:
    """Faces with the grains and the corners that they join."""
    nx = shape[1]
    second = first + np.where(axis == 0, nx, 1)
    one, two = (side.astype(np.int64) for side in labels)
    # Labels fit into 32 bits, so one number keeps a pair and its order.
    key, pair = np.unique((np.minimum(one, two) << 32) | np.maximum(one, two), return_inverse=True)
    start, end = corners_of(first, axis, nx)
    return Contacts(
        first=first,
        second=second,
        axis=axis,
        start=start,
        end=end,
        pair=pair.reshape(-1),
        sign=np.where(one < two, 1, -1).astype(np.int8),
        pairs=np.stack([key >> 32, key & 0xFFFFFFFF], axis=1),
    )


def corners_of(
    first: NDArray[np.int64], axis: NDArray[np.int8], columns: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Ends of faces on the (ny + 1, nx + 1) grid of pixel corners, flat: left or upper one first.

    Parameters
    ----------
    first, axis
        As in `Faces`.
    columns
        nx, of pixels.
    """
    y, x = np.divmod(first, columns)
    end = (y + 1) * (columns + 1) + x + 1
    return end - np.where(axis == 0, 1, columns + 1), end


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
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Smoothed vectors and unit normals (face, 2) from grain_a to grain_b, staircase (face,).

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
    length = face_lengths(contacts.axis, pixel_size)
    width = NORMAL_SMOOTHING * stretch(pixel_size)
    own[np.arange(count), contacts.axis] = contacts.sign * length
    vector = smooth(own, links, width)
    norm = np.hypot(vector[:, 0], vector[:, 1])
    # A small closed loop cancels itself: its faces keep their own direction.
    lost = norm < 1e-3 * length
    normal = np.where(lost[:, None], own, vector) / np.where(lost, length, norm)[:, None]
    projected = np.einsum("fa,fa->f", own, normal)
    whole, flat = smooth(np.stack([length, projected], axis=1), links, width).T
    return vector, normal, whole / np.maximum(flat, whole / _STEEPEST)


def face_lengths(
    axis: NDArray[np.integer[Any]], pixel_size: tuple[float, float]
) -> NDArray[np.float64]:
    """Length in m of faces: one of axis 0 (between rows) is as long as a pixel is wide."""
    return np.where(axis == 0, pixel_size[1], pixel_size[0])


def _on_edge(corner: NDArray[np.int64], shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Whether flat corners of the (ny + 1, nx + 1) grid lie on the edge of the image."""
    ny, nx = shape
    y, x = np.divmod(corner, nx + 1)
    return (y == 0) | (y == ny) | (x == 0) | (x == nx)


def take_faces(faces: Faces, which: NDArray[np.bool_] | NDArray[np.int64]) -> Faces:
    """Return some faces, in the order of the index."""
    return Faces(**{name: values[which] for name, values in vars(faces).items()})


def splice_faces(faces: Faces, before: Faces, after: Faces) -> Faces:
    """Return the faces with those of some boundaries exchanged.

    Parameters
    ----------
    faces
        Of all boundaries, sorted.
    before
        All faces of the boundaries to take out.
    after
        Faces to put in, sorted; of these boundaries or of new ones.
    """
    ids = np.union1d(before.boundary, after.boundary)
    if len(ids) == 0:
        return faces
    start = np.searchsorted(faces.boundary, ids, "left").tolist()
    stop = np.searchsorted(faces.boundary, ids, "right").tolist()
    cut = np.searchsorted(after.boundary, ids, "right").tolist()
    arrays = {}
    for name, values in vars(faces).items():
        put = getattr(after, name)
        pieces = []
        done, put_done = 0, 0
        for a, b, c in zip(start, stop, cut, strict=True):
            pieces += [values[done:a], put[put_done:c]]
            done, put_done = b, c
        arrays[name] = np.concatenate([*pieces, values[done:]])
    return Faces(**arrays)
