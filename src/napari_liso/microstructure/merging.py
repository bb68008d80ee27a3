"""Statistics of a segmentation: regions whose data do not differ are merged."""

from __future__ import annotations

import heapq
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

__all__ = [
    "SCALE",
    "SLOPE_PRECISION",
    "Field",
    "Regions",
    "explained_by_planes",
    "fit_planes",
    "merge_regions",
    "overlay",
    "renumber",
]

#: Length in pixels over which the signal of a grain may change by one standard
#: deviation of the prior, so that small regions do not chase noise with their planes.
SCALE = 15.0
SLOPE_PRECISION = 5.0

Regions = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Field:
    """The data of a map, as weights and weighted values.

    For counts the weight n / (p (1 - p)) has p from the surroundings of the
    pixel, not from itself: a pixel with a low fraction by chance would otherwise
    weigh more. -2 ln L is then a sum of squares to second order, and the same
    for counts and images.

    Parameters
    ----------
    weight
        (y, x): 1 over the variance of a pixel's value; 0 where there is none.
    response
        (y, x): value times weight.
    counts
        Values are fractions of counts.
    """

    weight: NDArray[np.float64]
    response: NDArray[np.float64]
    counts: bool = False

    def score(
        self, y: NDArray[Any], x: NDArray[Any], predicted: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """Log likelihood of pixels given predictions, without what does not depend on them."""
        return predicted * (self.response[y, x] - 0.5 * self.weight[y, x] * predicted)


@dataclass(frozen=True, eq=False)
class _Sums:
    """Sums over the pixels of each region that the fit of a plane (1, y, x) needs."""

    moments: NDArray[np.float64]
    response: NDArray[np.float64]

    @property
    def _regular(self) -> NDArray[np.float64]:
        # The tiny entry keeps regions without any weight solvable.
        return self.moments + np.diag([1e-9, SLOPE_PRECISION, SLOPE_PRECISION])

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


def overlay(one: Regions, other: Regions) -> Regions:
    """Labels 0..N-1 of the connected pieces that the borders of both leave."""
    both = one * (int(other.max()) + 1) + other
    return renumber(label(both + 1, connectivity=1).astype(np.int64))


def fit_planes(field: Field, regions: Regions) -> NDArray[np.float64]:
    """Coefficients (region, 3) of 1, y / SCALE, x / SCALE."""
    return _region_sums(field, regions).planes()


def explained_by_planes(field: Field, regions: Regions) -> NDArray[np.float64]:
    """2 ln L of each region under its plane, above that of a map of zeros."""
    return _region_sums(field, regions).explained()


def merge_regions(
    field: Field,
    regions: Regions,
    at_least: float,
    credit: NDArray[np.float64] | None = None,
) -> Regions:
    """Merge neighbouring regions while their data say that they may be one.

    The evidence for a boundary is the gain of 2 ln L by two planes instead of
    one, plus what an image of lines says. The pair with the least evidence per
    pixel face is merged first.

    Parameters
    ----------
    field
        The data.
    regions
        Labels 0..N-1 (y, x).
    at_least
        Evidence that a boundary must bring.
    credit
        (y, x): evidence in 2 ln L that a line at this pixel brings for each face
        of a boundary there; negative where a line is missing.

    Returns
    -------
    ndarray
        Labels, renumbered from 0.
    """
    sums = _region_sums(field, regions)
    moments, response = sums.moments, sums.response
    explained = sums.explained()
    borders = _borders(regions, len(explained), credit)
    version = np.zeros(len(explained), dtype=np.int64)
    parent = np.arange(len(explained))
    heap: list[tuple[float, int, int, int, int]] = []

    def candidates(a: int, others: list[int]) -> list[tuple[float, int, int, int, int]]:
        b = np.array(others, dtype=np.int64)
        both = _Sums(moments[a] + moments[b], response[a] + response[b])
        border = np.array([borders[a][other] for other in others])
        evidence = explained[a] + explained[b] - both.explained() + border[:, 1]
        order = evidence / border[:, 0]
        return [
            (order[i], a, others[i], version[a], version[others[i]])
            for i in np.nonzero(evidence < at_least)[0].tolist()
        ]

    for a in range(len(borders)):
        later = [b for b in borders[a] if b > a]
        if later:
            heap += candidates(a, later)
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
        if borders[a]:
            for entry in candidates(a, list(borders[a])):
                heapq.heappush(heap, entry)
    return renumber(_roots(parent)[regions])


def _region_sums(field: Field, regions: Regions) -> _Sums:
    count = int(regions.max()) + 1
    flat = regions.ravel()
    y, x = np.indices(regions.shape, dtype=np.float64).reshape(2, -1) / SCALE
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


def _borders(
    regions: Regions, count: int, credit: NDArray[np.float64] | None
) -> list[dict[int, tuple[float, float]]]:
    """For every region its neighbours, the pixel faces they share, and the credit of these."""
    codes, brought = [], []
    for here, there in (
        (np.s_[:-1], np.s_[1:]),
        (np.s_[:, :-1], np.s_[:, 1:]),
    ):
        differ = regions[here] != regions[there]
        a, b = regions[here][differ], regions[there][differ]
        codes.append(np.minimum(a, b) * count + np.maximum(a, b))
        if credit is not None:
            brought.append(np.maximum(credit[here], credit[there])[differ])
    code, place, length = np.unique(np.concatenate(codes), return_inverse=True, return_counts=True)
    total = (
        np.zeros(len(code))
        if credit is None
        else np.bincount(place, np.concatenate(brought), minlength=len(code))
    )
    borders: list[dict[int, tuple[float, float]]] = [{} for _ in range(count)]
    first, second = np.divmod(code, count)
    pairs = zip(first.tolist(), second.tolist(), length.tolist(), total.tolist(), strict=True)
    for a, b, faces, extra in pairs:
        borders[a][b] = borders[b][a] = (faces, extra)
    return borders


def _join(borders: list[dict[int, tuple[float, float]]], a: int, b: int) -> None:
    """Give the borders of region b to region a."""
    for other, (faces, credit) in borders[b].items():
        if other != a:
            del borders[other][b]
            old = borders[other].get(a, (0.0, 0.0))
            borders[a][other] = borders[other][a] = (old[0] + faces, old[1] + credit)
    del borders[a][b]
    borders[b] = {}


def _roots(parent: NDArray[np.int64]) -> NDArray[np.int64]:
    while (parent != parent[parent]).any():
        parent = parent[parent]
    return parent
