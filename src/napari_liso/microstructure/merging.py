"""Statistics of a segmentation: regions whose data do not differ are merged."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["Field", "merge_regions", "refine_regions", "renumber"]

# Length in pixels over which the signal of a grain may change by one standard
# deviation of the prior (0.2 for a fraction), so that small regions do not
# chase noise with their planes.
_SCALE = 15.0
_SLOPE_PRECISION = 5.0

Regions = NDArray[np.int64]
_AROUND = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if (dy, dx) != (0, 0)]


@dataclass(frozen=True, eq=False)
class Field:
    """The data of a map, as weights and weighted values.

    Parameters
    ----------
    weight
        (y, x): all counts of a pixel; for images 1, or 0 where there is no value.
    response
        (y, x): 6Li counts; for images the value times the weight.
    variance
        Of one value of weight 1; None for counts: binomial, p (1 - p).
    """

    weight: NDArray[np.float64]
    response: NDArray[np.float64]
    variance: float | None = None

    def spread(self, weight: NDArray[Any], response: NDArray[Any]) -> NDArray[np.float64] | float:
        """Variance of a unit of weight where the sums are these."""
        if self.variance is not None:
            return self.variance
        p = (response + 0.5) / (weight + 1.0)
        return np.asarray(p * (1.0 - p), dtype=np.float64)

    def score(
        self, y: NDArray[Any], x: NDArray[Any], predicted: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log likelihood (..., pixel) of pixels given predictions of their value."""
        weight, response = self.weight[y, x], self.response[y, x]
        if self.variance is not None:
            value = np.divide(response, weight, out=np.zeros_like(weight), where=weight > 0)
            return -0.5 * weight * (value - predicted) ** 2 / self.variance
        p = np.clip(predicted, 0.002, 0.998)
        return response * np.log(p) + (weight - response) * np.log1p(-p)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over the pixels of each region that the fit of a plane (1, y, x) needs."""

    moments: NDArray[np.float64]
    response: NDArray[np.float64]

    @property
    def _regular(self) -> NDArray[np.float64]:
        # The tiny entry keeps regions without any weight solvable.
        return self.moments + np.diag([1e-9, _SLOPE_PRECISION, _SLOPE_PRECISION])

    def planes(self) -> NDArray[np.float64]:
        """Coefficients (region, 3)."""
        planes = np.linalg.solve(self._regular, self.response[..., None])[..., 0]
        return np.asarray(planes, dtype=np.float64)

    def explained(self) -> NDArray[np.float64]:
        """Weighted sum of squares (region,) that the planes account for."""
        return np.asarray((self.planes() * self.response).sum(axis=-1), dtype=np.float64)


def renumber(regions: NDArray[np.integer[Any]]) -> Regions:
    """Labels 0..N-1 in the order of the old ones."""
    return np.unique(regions, return_inverse=True)[1].reshape(regions.shape)


def merge_regions(field: Field, regions: Regions, per_length: float, at_least: float) -> Regions:
    """Merge neighbouring regions while their data say that they may be one.

    The evidence for a boundary is the gain of 2 ln L by two planes instead of
    one (second order in the differences). Noise draws long and winding
    boundaries easily, so a boundary must earn `per_length` for each of its pixel
    faces (the length term of Mumford and Shah), and `at_least` altogether, since
    three parameters are fitted. The pair with the least evidence per length is
    merged first.

    Parameters
    ----------
    field
        The data.
    regions
        Labels 0..N-1 (y, x).
    per_length
        Evidence that every pixel face of a boundary must bring.
    at_least
        Evidence that a boundary must bring altogether.

    Returns
    -------
    ndarray
        Labels, renumbered from 0.
    """
    sums = _region_sums(field, regions)
    moments, response = sums.moments, sums.response
    explained = sums.explained()
    borders = _borders(regions, len(explained))
    version = np.zeros(len(explained), dtype=np.int64)
    parent = np.arange(len(explained))
    heap: list[tuple[float, int, int, int, int]] = []

    def push(a: int, others: list[int]) -> None:
        b = np.array(others, dtype=np.int64)
        both = _Sums(moments[a] + moments[b], response[a] + response[b])
        spread = field.spread(both.moments[:, 0, 0], both.response[:, 0])
        gain = (explained[a] + explained[b] - both.explained()) / spread
        for one, other in zip(gain.tolist(), others, strict=True):
            length = borders[a][other]
            if one < max(at_least, per_length * length):
                heap.append((one / length, a, other, version[a], version[other]))

    for a in range(len(borders)):
        later = [b for b in borders[a] if b > a]
        if later:
            push(a, later)
    heapq.heapify(heap)
    while heap:
        _, a, b, version_a, version_b = heapq.heappop(heap)
        if version[a] != version_a or version[b] != version_b:
            continue
        parent[b] = a
        moments[a] += moments[b]
        response[a] += response[b]
        explained[a] = _Sums(moments[a], response[a]).explained()
        version[a] += 1
        version[b] = -1
        _join(borders, a, b)
        start = len(heap)
        if borders[a]:
            push(a, list(borders[a]))
        added = heap[start:]
        del heap[start:]
        for entry in added:
            heapq.heappush(heap, entry)
    return renumber(_roots(parent)[regions])


def refine_regions(field: Field, regions: Regions, stiffness: float, sweeps: int = 12) -> Regions:
    """Move the borders of regions to where the likelihood puts them.

    Iterated conditional modes: a pixel next to another region joins the region
    of its neighbourhood under whose plane it is most probable, with a bonus of
    `stiffness` in ln L for each like neighbour (diagonal ones count 0.7).

    Parameters
    ----------
    field
        The data.
    regions
        Labels 0..N-1 (y, x).
    stiffness
        Bonus for a like neighbour, in ln L.
    sweeps
        At most so many times over the map.

    Returns
    -------
    ndarray
        Labels, renumbered from 0; a region may have vanished.
    """
    planes = _region_sums(field, regions).planes()
    labels = regions.copy()
    shape = labels.shape
    row, column = np.indices(shape)
    colour = 2 * (row % 2) + column % 2  # pixels of one colour do not touch
    bonus = np.array([stiffness / np.hypot(*step) for step in _AROUND])
    for _ in range(sweeps):
        changed = 0
        for which in range(4):
            padded = np.pad(labels, 1, mode="edge")
            y, x = np.nonzero(_mixed(padded) & (colour == which))
            around = np.stack([padded[y + 1 + dy, x + 1 + dx] for dy, dx in _AROUND])
            choice = np.concatenate([labels[None, y, x], around])
            plane = planes[choice]
            at = plane[..., 0] + (plane[..., 1] * y + plane[..., 2] * x) / _SCALE
            total = field.score(y, x, at)
            for like, gain in zip(around, bonus, strict=True):
                total += gain * (choice == like)
            best = choice[total.argmax(axis=0), np.arange(len(y))]
            changed += int((best != labels[y, x]).sum())
            labels[y, x] = best
        if changed == 0:
            break
    return renumber(labels)


def _mixed(padded: Regions) -> NDArray[np.bool_]:
    """Pixels of the unpadded image that have a neighbour (of eight) with another label."""
    inner = padded[1:-1, 1:-1]
    mixed = np.zeros(inner.shape, dtype=bool)
    for dy, dx in _AROUND:
        mixed |= (
            padded[1 + dy : 1 + dy + inner.shape[0], 1 + dx : 1 + dx + inner.shape[1]] != inner
        )
    return mixed


def _region_sums(field: Field, regions: Regions) -> _Sums:
    count = int(regions.max()) + 1
    flat = regions.ravel()
    y, x = np.indices(regions.shape, dtype=np.float64).reshape(2, -1) / _SCALE
    basis = [np.ones_like(y), y, x]
    weight, value = field.weight.ravel(), field.response.ravel()
    moments = np.empty((count, 3, 3))
    response = np.empty((count, 3))
    for i in range(3):
        response[:, i] = np.bincount(flat, value * basis[i], minlength=count)
        for j in range(i + 1):
            sums = np.bincount(flat, weight * basis[i] * basis[j], minlength=count)
            moments[:, i, j] = moments[:, j, i] = sums
    return _Sums(moments, response)


def _borders(regions: Regions, count: int) -> list[dict[int, int]]:
    """For every region its neighbours and how many pixel faces they share."""
    codes = []
    for here, there in ((regions[:-1], regions[1:]), (regions[:, :-1], regions[:, 1:])):
        differ = here != there
        a, b = here[differ], there[differ]
        codes.append(np.minimum(a, b) * count + np.maximum(a, b))
    code, length = np.unique(np.concatenate(codes), return_counts=True)
    borders: list[dict[int, int]] = [{} for _ in range(count)]
    first, second = np.divmod(code, count)
    for a, b, faces in zip(first.tolist(), second.tolist(), length.tolist(), strict=True):
        borders[a][b] = borders[b][a] = faces
    return borders


def _join(borders: list[dict[int, int]], a: int, b: int) -> None:
    """Give the borders of region b to region a."""
    for other, faces in borders[b].items():
        if other != a:
            del borders[other][b]
            borders[a][other] = borders[other][a] = borders[other].get(a, 0) + faces
    del borders[a][b]
    borders[b] = {}


def _roots(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    while (parent != parent[parent]).any():
        parent = parent[parent]
    return parent
