"""Live-wire: the way between two points that follows the boundaries seen in an image."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.filters import sato
from skimage.graph import MCP_Geometric

__all__ = ["Edges", "LiveWire", "cost_of"]

Edges = Literal["steps", "dark", "bright"]

# Cost where an edge is as strong as any; 1 where there is none. Way along an
# edge may be so many times longer than across the plain.
_FLOOR = 0.03

# Edges as strong as the strongest hundredth of the image cost the least.
_STRONG = 99.0

# Less than this of the smoothing kernel on pixels with a value: there is no value.
_KNOWN = 0.05

# Half the side of the window in which all ways from the start are known, and
# how far from the start they are used, so that they may swing out a little.
_NEAR = 128
_NEAR_USED = 96

# Beyond, the way is first found on blocks of so many pixels, each up to a
# distance of so many blocks, then on pixels between places on that way.
_BLOCKS = (4, 16)
_STRIDE = 16


def cost_of(image: ArrayLike, edges: Edges = "steps", smoothing: float = 1.5) -> NDArray:
    """Return what a pixel of way costs: little on edges, 1 where there is none.

    The strength of an edge is the gradient (steps) or the ridge filter of Sato
    et al., Medical Image Analysis 2 (1998) 143 (lines), relative to the
    strongest hundredth of the image.

    Parameters
    ----------
    image
        (y, x), NaN where there is no value: there, the cost is 1.
    edges
        ``"steps"``: boundaries between areas of different value; ``"dark"`` or
        ``"bright"`` lines, as in a micrograph.
    smoothing
        Standard deviation in pixels of the smoothing; for lines about half
        their width.

    Returns
    -------
    ndarray
        float32 (y, x), in (0, 1].

    Raises
    ------
    ValueError
        If the image is not two-dimensional, has no value, or an option is out
        of range.
    """
    values = np.asarray(image)
    if values.ndim != 2 or min(values.shape) < 3:
        raise ValueError(f"the image must be (y, x) of 3 x 3 pixels or more, got {values.shape}")
    if edges not in get_args(Edges):
        raise ValueError(f"edges must be one of {', '.join(get_args(Edges))}, got {edges!r}")
    if not 0 < smoothing < np.inf:
        raise ValueError(f"smoothing must be positive (pixels), got {smoothing!r}")
    values = values.astype(np.float32)
    known = np.isfinite(values)
    if not known.any():
        raise ValueError("the image has no value in any pixel")
    # Large values, such as counts near 1e9, would lose their differences in float32.
    middle = np.float32(np.median(values[known]))
    values = np.where(known, values - middle, np.float32(0))
    if edges == "steps":
        strength, known = _steps(values, known, smoothing)
    else:
        strength, known = _lines(values, known, smoothing, edges)
    strong = float(np.percentile(strength[known], _STRONG)) if known.any() else 0.0
    if strong <= 0:
        strong = float(strength.max(initial=0.0, where=known))
    if strong <= 0:
        return np.ones(values.shape, dtype=np.float32)
    part = np.where(known, np.clip(strength / strong, 0, 1), 0).astype(np.float32)
    return (_FLOOR + (1 - _FLOOR) * (1 - part) ** 2).astype(np.float32)


def _smooth(
    values: NDArray[np.float32], known: NDArray[np.bool_], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Smoothed image, of the pixels with a value only, and where it has one."""
    smooth = ndimage.gaussian_filter(values, sigma)
    if known.all():
        return smooth, known
    weight = ndimage.gaussian_filter(known.astype(np.float32), sigma)
    enough = weight > _KNOWN
    return np.divide(smooth, weight, out=np.zeros_like(smooth), where=enough), enough


def _steps(
    values: NDArray[np.float32], known: NDArray[np.bool_], sigma: float
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Magnitude of the gradient, and where it is known."""
    smooth, known = _smooth(values, known, sigma)
    gradient = np.hypot(*np.gradient(smooth))
    if known.all():
        return gradient, known
    # Differences to pixels without value mean nothing.
    return gradient, ndimage.binary_erosion(known, border_value=1)


def _lines(
    values: NDArray[np.float32], known: NDArray[np.bool_], sigma: float, edges: Edges
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Ridge filter, and where it is known."""
    if known.all():
        filled = values
    else:
        nearest = ndimage.distance_transform_edt(
            ~known, return_distances=False, return_indices=True
        )
        filled = values[tuple(nearest)]
    ridge = sato(filled, sigmas=[sigma], black_ridges=edges == "dark", mode="reflect")
    return ridge.astype(np.float32), known


class LiveWire:
    """Cheapest ways from a starting point, fast enough to follow the mouse.

    The way is the cheapest of all 8-connected ones; a step costs its length
    times the mean cost of its two pixels. Up to 96 pixels from the start it is
    found in a window of 128 pixels around the start, once for all goals.
    Farther away it is found on blocks of pixels first, then pixel by pixel
    along that way; it may then differ a little from the cheapest. The same
    start and goal always give the same way.

    Parameters
    ----------
    cost
        (y, x), positive, such as from `cost_of`.

    Raises
    ------
    ValueError
        If the cost is not a two-dimensional array of positive finite numbers.
    """

    def __init__(self, cost: ArrayLike) -> None:
        self._cost = np.asarray(cost)
        if self._cost.ndim != 2 or self._cost.size == 0:
            raise ValueError(f"cost must be (y, x), got shape {self._cost.shape}")
        if not (self._cost.min() > 0 and self._cost.max() < np.inf):
            raise ValueError("cost must be positive and finite in every pixel")
        # Now rather than while the mouse moves; small images never ask for them.
        self._coarse = {
            block: _in_blocks(self._cost, block)
            for block in _BLOCKS
            if max(self._cost.shape) > _NEAR_USED + 1
        }
        self._start: tuple[int, int] | None = None
        self._trees: dict[int, _Tree] = {}
        self._pieces: dict[tuple[tuple[int, int], tuple[int, int]], NDArray[np.int64]] = {}

    def start(self, point: ArrayLike) -> None:
        """Begin all further ways at a point (y, x), moved into the image."""
        start = self._pixel(point)
        if start != self._start:
            self._start, self._trees, self._pieces = start, {}, {}

    def path_to(self, point: ArrayLike) -> NDArray[np.float64]:
        """Return the way to a point.

        Parameters
        ----------
        point
            (y, x) in pixels; moved into the image.

        Returns
        -------
        ndarray
            (n, 2) pixels from the start to the point, each next to the last by
            a side or corner.

        Raises
        ------
        ValueError
            If there is no start yet.
        """
        if self._start is None:
            raise ValueError("the way has no start yet; call start first")
        goal = self._pixel(point)
        if _distance(self._start, goal) <= _NEAR_USED:
            tree = self._tree(1, self._cost, self._start, _NEAR)
            return tree.way(goal).astype(np.float64)
        return self._far(goal).astype(np.float64)

    def _pixel(self, point: ArrayLike) -> tuple[int, int]:
        y, x = np.asarray(point, dtype=np.float64).tolist()
        if not (np.isfinite(y) and np.isfinite(x)):
            raise ValueError(f"a point must be two finite numbers (y, x), got {point!r}")
        ny, nx = self._cost.shape
        return min(max(int(np.floor(y + 0.5)), 0), ny - 1), min(
            max(int(np.floor(x + 0.5)), 0), nx - 1
        )

    def _tree(self, block: int, cost: NDArray[Any], start: tuple[int, int], radius: int) -> _Tree:
        if block not in self._trees:
            self._trees[block] = _Tree(cost, start, radius)
        return self._trees[block]

    def _far(self, goal: tuple[int, int]) -> NDArray[np.int64]:
        """Way on blocks, then on pixels between places on it."""
        assert self._start is not None
        far = _distance(self._start, goal)
        block = next((b for b in _BLOCKS if far <= b * _NEAR_USED), _BLOCKS[-1])
        coarse = self._coarse[block]
        begin = self._start[0] // block, self._start[1] // block
        end = goal[0] // block, goal[1] // block
        # The largest blocks cover the whole image.
        radius = _NEAR if block != _BLOCKS[-1] else max(coarse.shape)
        blocks = self._tree(block, coarse, begin, radius).way(end)
        stops = [self._start]
        stride = max(1, _STRIDE * _BLOCKS[0] // block)
        for y, x in blocks[stride : -max(stride // 2, 1) : stride].tolist():
            part = self._cost[y * block : (y + 1) * block, x * block : (x + 1) * block]
            best = divmod(int(part.argmin()), part.shape[1])
            stops.append((y * block + best[0], x * block + best[1]))
        stops.append(goal)
        # A stop may lie beside the best way. The middles between stops lie on it.
        middles = [self._piece(a, b, block) for a, b in pairwise(stops)]
        stops = [stops[0], *(_middle(way) for way in middles), stops[-1]]
        ways = [self._piece(a, b, block) for a, b in pairwise(stops)]
        return _without_loops(np.concatenate([ways[0], *(way[1:] for way in ways[1:])]))

    def _piece(
        self, start: tuple[int, int], goal: tuple[int, int], block: int
    ) -> NDArray[np.int64]:
        """Way between two places near each other, kept for the next move of the mouse."""
        if (start, goal) not in self._pieces:
            pad = block + _STRIDE
            low = [max(min(a, b) - pad, 0) for a, b in zip(start, goal, strict=True)]
            high = [max(a, b) + pad + 1 for a, b in zip(start, goal, strict=True)]
            window = self._cost[low[0] : high[0], low[1] : high[1]]
            ways = MCP_Geometric(window)
            inside = goal[0] - low[0], goal[1] - low[1]
            ways.find_costs([(start[0] - low[0], start[1] - low[1])], [inside])
            self._pieces[start, goal] = np.array(ways.traceback(inside), dtype=np.int64) + low
        return self._pieces[start, goal]


def _in_blocks(cost: NDArray[Any], block: int) -> NDArray[np.float64]:
    """Harmonic means of the cost in blocks, so that a thin edge is still seen in them."""
    ny, nx = cost.shape
    rows, columns = np.arange(0, ny, block), np.arange(0, nx, block)
    # Strip by strip, which is far quicker than the whole at once.
    strips = [(1 / cost[y : y + block]).sum(axis=0, dtype=np.float64) for y in rows]
    ease = np.add.reduceat(np.array(strips), columns, axis=1)
    return np.outer(np.diff(rows, append=ny), np.diff(columns, append=nx)) / ease


class _Tree:
    """Cheapest ways from a start to all places in a window around it."""

    def __init__(self, cost: NDArray[Any], start: tuple[int, int], radius: int) -> None:
        self._low = max(start[0] - radius, 0), max(start[1] - radius, 0)
        window = cost[self._low[0] : start[0] + radius + 1, self._low[1] : start[1] + radius + 1]
        self._ways = MCP_Geometric(window)
        self._ways.find_costs([(start[0] - self._low[0], start[1] - self._low[1])])

    def way(self, goal: tuple[int, int]) -> NDArray[np.int64]:
        """Places (n, 2) from the start to the goal."""
        inside = goal[0] - self._low[0], goal[1] - self._low[1]
        return np.array(self._ways.traceback(inside), dtype=np.int64) + self._low


def _distance(one: tuple[int, int], two: tuple[int, int]) -> int:
    """Larger one of the distances along y and x."""
    return max(abs(one[0] - two[0]), abs(one[1] - two[1]))


def _middle(way: NDArray[np.int64]) -> tuple[int, int]:
    """The place halfway."""
    y, x = way[len(way) // 2].tolist()
    return y, x


def _without_loops(way: NDArray[np.int64]) -> NDArray[np.int64]:
    """Leave out what lies between two visits of the same pixel."""
    seen: dict[tuple[int, int], int] = {}
    kept: list[tuple[int, int]] = []
    for place in map(tuple, way.tolist()):
        if place in seen:
            for dropped in kept[seen[place] + 1 :]:
                del seen[dropped]
            del kept[seen[place] + 1 :]
        else:
            seen[place] = len(kept)
            kept.append(place)
    return np.array(kept, dtype=np.int64)
