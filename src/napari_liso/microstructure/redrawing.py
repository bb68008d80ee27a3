"""A piece of a boundary drawn anew."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph
from skimage.draw import polygon2mask
from skimage.graph import MCP_Geometric

from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.edits import Collector, PixelEdit
from napari_liso.microstructure.faces import corners_of
from napari_liso.microstructure.joining import check_ids
from napari_liso.microstructure.paths import check_path
from napari_liso.microstructure.pieces import FOUR, Box, pieces_at, window_around

__all__ = ["redraw_boundary"]

Points = NDArray[np.float64]
Mask = NDArray[np.bool_]

_EIGHT = np.ones((3, 3), dtype=bool)

# A path that runs through pixel centres passes them all on the same side.
_NUDGE = np.array([1.3e-4, 2.7e-4])

# An end as near to another grain as to the boundary is meant to be on the boundary.
_FAVOUR = 3.0

# Bits that are cut off a grain go to the other one up to this share of it.
_SHARE = 0.25


@dataclass(frozen=True, eq=False)
class _Chain:
    """The faces of one boundary as a graph of corners of the pixel grid.

    Corners have places (corner, 2) in pixels, (-0.5, -0.5) is that of the image.
    """

    place: Points
    edges: NDArray[np.int64]
    faces: NDArray[np.int64]

    @property
    def ends(self) -> NDArray[np.int64]:
        """Corners where the boundary ends."""
        return np.flatnonzero(np.bincount(self.edges.ravel(), minlength=len(self.place)) == 1)

    def routes(self, start: int, goal: int) -> list[NDArray[np.int64]]:
        """Return the shortest way from corner to corner, and the one round the other side."""
        if start == goal:
            around = self._around(start)
            return [np.array([start]), *([] if around is None else [around])]
        first = self._route(start, goal, np.ones(len(self.edges), dtype=bool))
        if first is None:
            return []
        second = self._route(start, goal, ~self.on(first))
        return [first] if second is None else [first, second]

    def on(self, route: NDArray[np.int64]) -> Mask:
        """Which edges a way uses."""
        used = {frozenset(pair) for pair in pairwise(route.tolist())}
        return np.array([frozenset(edge) in used for edge in self.edges.tolist()], dtype=bool)

    def _around(self, start: int) -> NDArray[np.int64] | None:
        """All around a closed boundary, back to the start."""
        at = np.flatnonzero((self.edges == start).any(axis=1))
        if len(at) < 2:
            return None
        left = np.ones(len(self.edges), dtype=bool)
        left[at[0]] = False
        neighbour = int(self.edges[at[0]].sum()) - start
        way = self._route(neighbour, start, left)
        return None if way is None else np.concatenate([[start], way])

    def _route(self, start: int, goal: int, usable: Mask) -> NDArray[np.int64] | None:
        one, two = self.edges[usable].T
        size = len(self.place)
        graph = sparse.coo_array((np.ones(len(one)), (one, two)), shape=(size, size)).tocsr()
        _, before = csgraph.breadth_first_order(graph, start, directed=False)
        if goal != start and before[goal] < 0:
            return None
        way = [goal]
        while way[-1] != start:
            way.append(int(before[way[-1]]))
        return np.array(way[::-1])


def redraw_boundary(
    boundaries: Boundaries, boundary: int, path: ArrayLike, *, reach: float = 30.0
) -> PixelEdit:
    """Let a piece of a boundary run along a drawn path.

    The path begins and ends near the boundary; the piece between these places
    is replaced. The pixels between the old piece and the path change from one
    of the two grains to the other; all other grains stay as they are, even
    where the path runs over them. If an end of the path lies at another grain,
    a pore or the edge of the image rather than at the boundary, the end of the
    boundary (its junction) moves there. Of the two ways around a closed
    boundary the one is replaced that changes fewer pixels.

    Crumbs that the path cuts off one of the grains go to the other. Drawn zeros
    along the old piece are filled, except next to another grain; along the path
    the grains touch.

    Parameters
    ----------
    boundaries
        Of the map.
    boundary
        Id.
    path
        Points (n, 2), (y, x) in pixels, pixel centres at whole numbers.
    reach
        How far, in pixels, the ends of the path may be from the boundary, or
        from where the other grains begin.

    Returns
    -------
    PixelEdit
        Pixels of `boundaries.drawn`.

    Raises
    ------
    ValueError
        If there is no such boundary, an end of the path is too far from it,
        nothing changes, or the path would cut one of the grains in two.
    """
    (boundary,) = check_ids(boundaries, boundary)
    shape = boundaries.grains.shape
    line = np.clip(check_path(path), -2.0, np.array(shape) + 1.0)
    chain = _chain(boundaries, boundary)
    row = boundaries.table.loc[[boundary], ["grain_a", "grain_b"]]
    pair = tuple(row.to_numpy(dtype=np.int64)[0].tolist())
    box = _window(boundaries, chain, line)
    grains = boundaries.grains[box]
    both = (grains == pair[0]) | (grains == pair[1])
    origin = np.array([box[0].start, box[1].start])
    best: tuple[Mask, NDArray[np.int64]] | None = None
    for outline, route in _outlines(chain, line, origin, both, reach, boundary):
        # The window begins half a pixel before its first pixel's centre.
        flip = polygon2mask(both.shape, outline - origin) & both
        if best is None or flip.sum() < best[0].sum():
            best = flip, route
    if best is None:
        raise ValueError(
            f"the ends of the line lie at different parts of boundary {boundary}; "
            "draw it from the boundary to the boundary"
        )
    flip, route = best
    new = np.where(flip, np.where(grains == pair[0], pair[1], pair[0]), grains)
    new = new.astype(np.int32)
    new = _without_crumbs(grains, new, pair)
    drawn = boundaries.drawn[box]
    edit = Collector(boundaries.drawn)
    owned = (drawn > 0) | _old_line(boundaries, chain, route, flip, box, pair)
    for grain in pair:
        edit.put_window(box, both & owned & (new == grain), grain)
    done = edit.done()
    if len(done) == 0:
        raise ValueError(f"boundary {boundary} runs there already")
    return done


def _chain(boundaries: Boundaries, boundary: int) -> _Chain:
    """The boundary as a graph."""
    faces = boundaries.faces
    start = int(np.searchsorted(faces.boundary, boundary, "left"))
    stop = int(np.searchsorted(faces.boundary, boundary, "right"))
    columns = boundaries.grains.shape[1]
    ends = np.stack(corners_of(faces.first[start:stop], faces.axis[start:stop], columns), axis=1)
    corner, edges = np.unique(ends, return_inverse=True)
    place = np.stack(np.divmod(corner, columns + 1), axis=1) - 0.5
    return _Chain(place, edges.reshape(ends.shape), np.arange(start, stop))


def _window(boundaries: Boundaries, chain: _Chain, line: Points) -> Box:
    """Window of the pieces of both grains that lie at the boundary, and of the path."""
    grains = boundaries.grains
    faces = boundaries.faces
    pixels = np.stack(
        np.divmod(
            np.concatenate([faces.first[chain.faces], faces.second[chain.faces]]), grains.shape[1]
        ),
        axis=1,
    )
    label = grains[pixels[:, 0], pixels[:, 1]]
    inside = np.clip(np.rint(line).astype(np.int64), 0, np.array(grains.shape) - 1)
    corners = [[inside.min(axis=0), inside.max(axis=0)]]
    for grain in np.unique(label):
        for box, _ in pieces_at(grains, pixels[label == grain]):
            corners.append([np.array([s.start for s in box]), np.array([s.stop - 1 for s in box])])
    return window_around(np.concatenate(corners), 2, grains.shape)


def _outlines(
    chain: _Chain, line: Points, origin: NDArray[np.int64], both: Mask, reach: float, boundary: int
) -> list[tuple[Points, NDArray[np.int64]]]:
    """Closed outlines of what the path and a piece of the boundary enclose, with that piece."""
    found: list[tuple[Points, NDArray[np.int64]]] = []
    options = [_attach(chain, end, origin, both, reach, boundary) for end in (line[0], line[-1])]
    cheapest = np.inf
    for one, way_one in options[0]:
        for two, way_two in options[1]:
            moved = len(way_one) > 0, len(way_two) > 0
            if one == two and all(moved) and len(chain.ends) > 1:
                continue  # both ends of the path would move the same end of the boundary
            cost = len(way_one) + len(way_two)
            routes = chain.routes(one, two)
            if cost > cheapest or not routes:
                continue
            if cost < cheapest:
                found, cheapest = [], cost
            for route in routes:
                outline = [line + _NUDGE, way_two, chain.place[route[::-1]], way_one[::-1]]
                found.append((np.concatenate(outline), route))
    return found


def _attach(
    chain: _Chain, end: Points, origin: NDArray[np.int64], both: Mask, reach: float, boundary: int
) -> list[tuple[int, Points]]:
    """Corners of the boundary that an end of the path may stand for, with the way there.

    The way is empty where the path is at the boundary itself. Otherwise it runs
    from the path to an end of the boundary over pixels of other grains only.
    """
    away = np.hypot(*(chain.place - end).T)
    others = np.pad(~both, 1, constant_values=True)
    shift = origin - 1
    y, x = np.nonzero(others)
    gap = np.hypot(y + shift[0] - end[0], x + shift[1] - end[1])
    if min(away.min(), gap.min()) > reach:
        raise ValueError(
            f"the line ends {away.min():.0f} pixels from boundary {boundary}; begin and end it "
            "at the boundary, or where other grains begin"
        )
    near = int(away.argmin())
    if away[near] <= gap.min() + _FAVOUR or len(chain.ends) == 0:
        if away[near] > reach:
            raise ValueError(f"the line ends {away[near]:.0f} pixels from boundary {boundary}")
        return [(near, np.empty((0, 2)))]
    start = int(gap.argmin())
    ways = MCP_Geometric(np.where(others, 1.0, np.inf))
    cost, _ = ways.find_costs([(y[start], x[start])])
    options = []
    for corner in chain.ends.tolist():
        low = np.floor(chain.place[corner]).astype(np.int64) - shift
        around = low + np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
        price = cost[around[:, 0], around[:, 1]]
        if np.isfinite(price.min()):
            goal = around[price.argmin()]
            options.append((corner, np.array(ways.traceback(goal), dtype=np.float64) + shift))
    return options or [(near, np.empty((0, 2)))]


def _without_crumbs(
    old: NDArray[np.int32], new: NDArray[np.int32], pair: tuple[int, ...]
) -> NDArray[np.int32]:
    """Give bits that were cut off a grain to the other one, or raise ValueError if large."""
    result = new
    for _ in range(3):
        changed = False
        for grain, other in (pair, pair[::-1]):
            bits, count = ndimage.label(result == grain, FOUR)
            size = np.bincount(bits.ravel(), minlength=count + 1)
            size[0] = 0
            if count == 0:
                raise ValueError(f"the line leaves nothing of grain {grain}; merge the grains")
            near = ndimage.binary_dilation(result != old, FOUR)
            touched = np.unique(bits[near & (bits > 0)])
            loose = touched[touched != size.argmax()]
            beside = ndimage.binary_dilation(result == other, FOUR)
            loose = loose[np.isin(loose, bits[beside])]
            before = ndimage.label(old == grain, FOUR)[0]
            for bit in loose.tolist():
                if _was_separate(bits == bit, before):
                    continue
                if size[bit] > _SHARE * size.max():
                    raise ValueError(
                        f"the line would cut grain {grain} in two; split it, then merge the part"
                    )
                result = np.where(bits == bit, other, result)
                changed = True
        if not changed:
            break
    return result


def _was_separate(bit: Mask, before: NDArray[np.int32]) -> bool:
    """Whether a bit held a whole piece of its own before the edit."""
    pieces = np.unique(before[bit])
    pieces = pieces[pieces > 0]
    return len(pieces) > 0 and bool(np.isin(before[~bit], pieces).sum() == 0)


def _old_line(
    boundaries: Boundaries,
    chain: _Chain,
    route: NDArray[np.int64],
    flip: Mask,
    box: Box,
    pair: tuple[int, ...],
) -> Mask:
    """Drawn zeros that the boundary leaves behind and that touch no other grain."""
    drawn = boundaries.drawn[box]
    zero = (drawn == 0) & (boundaries.grains[box] > 0)
    if not zero.any():
        return zero
    faces, columns = boundaries.faces, boundaries.grains.shape[1]
    mine = chain.faces[chain.on(route)]
    old = flip.copy()
    for pixels in (faces.first[mine], faces.second[mine]):
        y, x = np.divmod(pixels, columns)
        old[y - box[0].start, x - box[1].start] = True
    others = (drawn > 0) & ~np.isin(drawn, pair)
    return zero & ndimage.binary_dilation(old, _EIGHT) & ~ndimage.binary_dilation(others, _EIGHT)
