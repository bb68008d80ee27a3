"""Where boundaries meet and end: triple junctions, image edges, pores and the free surface."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import ndimage

from napari_liso.microstructure.faces import (
    Faces,
    corners_of,
    face_lengths,
    find_places,
    trace_faces,
)

if TYPE_CHECKING:
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["find_junctions", "find_surfaces", "meeting_pairs", "tuples_of"]

Ints = NDArray[np.int64]

_EIGHT = np.ones((3, 3), dtype=bool)


def meeting_pairs(faces: Faces, columns: int, corners: Ints | None = None) -> NDArray[np.int64]:
    """Return pairs (pair, 2) of ids of boundaries that share a corner of pixels, each way once.

    Parameters
    ----------
    faces
        Of the boundaries.
    columns
        nx, of pixels.
    corners
        Only meetings at these corners (flat, sorted); None = everywhere.
    """
    corner, boundary = _ends(faces, columns)
    if corners is not None and len(corners):
        place = np.minimum(np.searchsorted(corners, corner), len(corners) - 1)
        here = corners[place] == corner
        corner, boundary = corner[here], boundary[here]
    corner, boundary = _once(corner, boundary)
    pairs = []
    for apart in (1, 2, 3):  # four boundaries at most meet at a corner
        same = corner[apart:] == corner[:-apart]
        pairs.append(np.stack([boundary[:-apart][same], boundary[apart:][same]], axis=1))
    found = np.concatenate(pairs)
    key = _sorted_once(
        np.concatenate([found[:, 0] << 32 | found[:, 1], found[:, 1] << 32 | found[:, 0]])
    )
    return np.stack([key >> 32, key & 0xFFFFFFFF], axis=1)


def tuples_of(pairs: NDArray[np.int64], ids: Ints) -> NDArray[np.object_]:
    """Return for each id the tuple of its partners in sorted pairs (pair, 2)."""
    start = np.searchsorted(pairs[:, 0], ids, "left").tolist()
    stop = np.searchsorted(pairs[:, 0], ids, "right").tolist()
    partner = pairs[:, 1].tolist()
    tuples = np.empty(len(ids), dtype=object)
    for k, (a, b) in enumerate(zip(start, stop, strict=True)):
        tuples[k] = tuple(partner[a:b])
    return tuples


def find_junctions(boundaries: Boundaries) -> pd.DataFrame:
    """Find the points where boundaries end or meet.

    Returns
    -------
    DataFrame
        One row a point, in raster order: ``y``, ``x`` in pixels (0 = centre of
        the first pixel, so all are halves); ``kind``, see below; ``boundaries``,
        the ids that end or meet there.

    Notes
    -----
    Kinds: ``"triple"``: three grains meet.
    ``"quadruple or higher"``: boundaries come from all four sides of a corner of
    pixels; on the pixel grid that is also a pair of triple points less than a
    pixel apart. ``"image edge"``: a boundary leaves the image. ``"pore"``: it
    ends at zeros that grains enclose, a pore or a crack. ``"free surface"``: it
    ends at zeros that reach the image edge, the outside.
    """
    grains = boundaries.grains
    ny, nx = grains.shape
    corner, boundary = _once(*_ends(boundaries.faces, nx))
    lead = np.flatnonzero(np.diff(corner, prepend=-1))
    y, x = np.divmod(corner[lead], nx + 1)
    around = _around(grains, y, x)
    arms = (around != np.roll(around, 1, axis=0)).sum(axis=0)
    meeting = np.diff(np.append(lead, len(corner)))
    at_edge = (y == 0) | (y == ny) | (x == 0) | (x == nx)
    at_zero = ~at_edge & (around == 0).any(axis=0)
    outside = np.zeros(len(lead), dtype=bool)
    if at_zero.any():
        zeros, is_open = _zero_regions(grains)
        outside = at_zero & is_open[_around(zeros, y, x).max(axis=0)]
    kind = np.full(len(lead), "", dtype=object)
    kind[(meeting > 1) & (arms == 3)] = "triple"
    kind[(meeting > 1) & (arms == 4)] = "quadruple or higher"
    kind[at_zero] = "pore"
    kind[outside] = "free surface"
    kind[at_edge] = "image edge"
    named = np.flatnonzero(kind != "")
    at = np.stack([np.repeat(np.arange(len(lead)), meeting), boundary], axis=1)
    return pd.DataFrame(
        {
            "y": y[named] - 0.5,
            "x": x[named] - 0.5,
            "kind": pd.Series(kind[named], dtype="str"),
            "boundaries": tuples_of(at, named),
        }
    )


def find_surfaces(boundaries: Boundaries) -> pd.DataFrame:
    """Find where grains end without a neighbour.

    Returns
    -------
    DataFrame
        One row for each grain and what it touches: ``grain``; ``kind``,
        "image edge", "pore" (zeros that grains enclose, also a crack) or "free
        surface" (zeros that reach the image edge); ``region``, the number of
        the zero region (1.. in raster order, 0 for the image edge); ``length``
        in m, that of the smooth line, as of boundaries.
    """
    grains, (height, width) = boundaries.grains, boundaries.pixel_size
    zeros, is_open = _zero_regions(grains)
    rows: list[tuple[int, str, int, float]] = []
    at_edge: dict[int, float] = {}
    for edge, length in (
        (grains[0], width),
        (grains[-1], width),
        (grains[:, 0], height),
        (grains[:, -1], height),
    ):
        labels, count = np.unique(edge[edge > 0], return_counts=True)
        for label, n in zip(labels.tolist(), count.tolist(), strict=True):
            at_edge[label] = at_edge.get(label, 0.0) + n * length
    rows += [(label, "image edge", 0, length) for label, length in at_edge.items()]
    # Zero regions get numbers above all grains, so each is grain_b of its contacts.
    highest = int(grains.max())
    numbered = np.where(zeros > 0, highest + zeros.astype(np.int64), grains)
    first, axis = find_places(numbered)
    flat = numbered.ravel()
    here, there = flat[first], flat[first + np.where(axis == 0, grains.shape[1], 1)]
    surface = (here > highest) != (there > highest)
    traced = trace_faces(
        first[surface],
        axis[surface],
        (here[surface], there[surface]),
        (grains.shape[0], grains.shape[1]),
        boundaries.pixel_size,
    )
    faces = traced.faces
    length_of = face_lengths(faces.axis, boundaries.pixel_size) / faces.staircase
    of_piece = np.bincount(faces.boundary - 1, length_of, minlength=len(traced.pairs))
    contact, which = np.unique(traced.pairs, axis=0, return_inverse=True)
    total = np.bincount(which.reshape(-1), of_piece, minlength=len(contact))
    for (label, number), all_of_it in zip(contact.tolist(), total.tolist(), strict=True):
        region = number - highest
        kind = "free surface" if is_open[region] else "pore"
        rows.append((label, kind, region, all_of_it))
    table = pd.DataFrame(sorted(rows), columns=["grain", "kind", "region", "length"])
    return table.astype({"grain": "int64", "kind": "str", "region": "int64", "length": "float64"})


def _ends(faces: Faces, columns: int) -> tuple[Ints, Ints]:
    """Corners at the ends of all faces, with the boundary."""
    start, end = corners_of(faces.first, faces.axis, columns)
    return np.concatenate([start, end]), np.tile(faces.boundary.astype(np.int64), 2)


def _once(corner: Ints, boundary: Ints) -> tuple[Ints, Ints]:
    """Each corner and boundary once, sorted."""
    key = _sorted_once(corner << 17 | boundary)  # ids have 16 bits
    return key >> 17, key & 0x1FFFF


def _sorted_once(values: Ints) -> Ints:
    """Return the values sorted, each once; faster than the hashing of np.unique."""
    values = np.sort(values)
    return values[np.diff(values, prepend=-1) > 0]


def _around(image: NDArray[Any], y: Ints, x: Ints) -> NDArray[Any]:
    """Four pixels (4, corner) around corners of pixels, clockwise; 0 outside of the image."""
    ny, nx = image.shape
    around = np.zeros((4, len(y)), dtype=image.dtype)
    for k, (dy, dx) in enumerate(((-1, -1), (-1, 0), (0, 0), (0, -1))):
        v, u = y + dy, x + dx
        inside = (v >= 0) & (v < ny) & (u >= 0) & (u < nx)
        around[k, inside] = image[v[inside], u[inside]]
    return around


def _zero_regions(grains: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Zero regions (8-connected) numbered from 1, and whether each reaches the image edge."""
    zeros, count = ndimage.label(grains == 0, _EIGHT)
    is_open = np.zeros(count + 1, dtype=bool)
    for edge in (zeros[0], zeros[-1], zeros[:, 0], zeros[:, -1]):
        is_open[edge] = True
    is_open[0] = False
    return zeros, is_open
