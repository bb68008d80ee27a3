"""Statistics of a segmentation: regions whose data do not differ are merged."""

from __future__ import annotations

import heapq
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from skimage.measure import label

__all__ = [
    "SCALE",
    "Field",
    "Regions",
    "explained",
    "explained_by_planes",
    "fit_planes",
    "merge_regions",
    "overlay",
    "renumber",
]

#: Length in pixels over which the signal of a grain may change by one standard
#: deviation of the prior, so that small regions do not chase noise with their planes.
SCALE = 15.0
_SLOPE_PRECISION = 5.0

Regions = NDArray[np.int64]
_Number = TypeVar("_Number", float, NDArray[np.float64])


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
    plain
        (y, x): the weight that counting alone gives; `weight` is less where
        pixels hold a mixture of grains.
    counts
        Values are fractions of counts.
    blur
        Standard deviation of the beam's blur in pixels, 0 where it is not known.
    """

    weight: NDArray[np.float64]
    response: NDArray[np.float64]
    plain: NDArray[np.float64]
    counts: bool = False
    blur: float = 0.0

    @cached_property
    def value(self) -> NDArray[np.float64]:
        """Values of the pixels, 0 where there is none."""
        return np.divide(
            self.response, self.weight, out=np.zeros_like(self.weight), where=self.weight > 0
        )

    @cached_property
    def running(self) -> NDArray[np.float64]:
        """Sums of weight * (1, x, xx) and response * (1, x) from the left (5, y, x + 1)."""
        x = np.arange(self.weight.shape[1]) / SCALE
        height, width = self.weight.shape
        running = np.zeros((5, height, width + 1))
        for out, values in zip(
            running,
            (self.weight, self.weight * x, self.weight * x**2, self.response, self.response * x),
            strict=True,
        ):
            np.cumsum(values, axis=1, out=out[:, 1:])
        return running


def explained(sums: Sequence[_Number]) -> _Number:
    """Weighted sum of squares that a plane accounts for, by elimination of the constant.

    Parameters
    ----------
    sums
        Nine numbers or arrays: sums of weight times 1, y, x, yy, yx, xx, and of
        response times 1, y, x, from any origin, y and x divided by `SCALE`.

    Returns
    -------
    float or ndarray
        2 ln L above that of zeros, the prior of the slopes included.
    """
    one, y, x, yy, yx, xx, value, value_y, value_x = sums
    one = one + 1e-9  # a region without any weight stays solvable
    a = yy + _SLOPE_PRECISION - y * y / one
    b = yx - y * x / one
    c = xx + _SLOPE_PRECISION - x * x / one
    u, v = value_y - y * value / one, value_x - x * value / one
    slopes = (c * u * u - 2 * b * u * v + a * v * v) / (a * c - b * b)
    return value * value / one + slopes


def renumber(regions: NDArray[np.integer[Any]]) -> Regions:
    """Labels 0..N-1 in the order of the old ones, which are 0 or more."""
    there = np.bincount(regions.ravel()) > 0
    new: Regions = np.cumsum(there, dtype=np.int64)[regions] - 1
    return new


def overlay(one: Regions, other: Regions) -> Regions:
    """Labels 0..N-1 of the connected pieces that the borders of both leave."""
    both = one * (int(other.max()) + 1) + other
    return label(both + 1, connectivity=1).astype(np.int64) - 1


def fit_planes(field: Field, regions: Regions) -> NDArray[np.float64]:
    """Coefficients (region, 3) of 1, y / SCALE, x / SCALE."""
    one, y, x, yy, yx, xx, value, value_y, value_x = _region_sums(field, regions)
    one = one + 1e-9
    a, b = yy + _SLOPE_PRECISION - y * y / one, yx - y * x / one
    c = xx + _SLOPE_PRECISION - x * x / one
    u, v = value_y - y * value / one, value_x - x * value / one
    slope_y, slope_x = np.array([c * u - b * v, a * v - b * u]) / (a * c - b * b)
    return np.stack([(value - y * slope_y - x * slope_x) / one, slope_y, slope_x], axis=1)


def explained_by_planes(field: Field, regions: Regions) -> NDArray[np.float64]:
    """2 ln L of each region under its plane, above that of a map of zeros."""
    return explained(list(_region_sums(field, regions)))


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
    table = _region_sums(field, regions)
    one, two, faces, brought = _borders(regions, table.shape[1], credit)
    alone = explained(list(table))
    gain = alone[one] + alone[two] - explained(list(table[:, one] + table[:, two])) + brought
    pairs = zip(one.tolist(), two.tolist(), faces.tolist(), brought.tolist(), strict=True)
    borders: list[dict[int, tuple[float, float]]] = [{} for _ in alone]
    for a, b, length, extra in pairs:
        borders[a][b] = borders[b][a] = (length, extra)
    weak = np.nonzero(gain < at_least)[0]
    # Entries are (order, region, region, versions of both); a version of -1 is gone.
    heap = [
        (order, a, b, 0, 0)
        for order, a, b in zip(
            (gain / faces)[weak].tolist(), one[weak].tolist(), two[weak].tolist(), strict=True
        )
    ]
    heapq.heapify(heap)
    sums, value = [tuple(column) for column in table.T.tolist()], alone.tolist()
    version, parent = [0] * len(value), np.arange(len(value))
    while heap:
        _, a, b, version_a, version_b = heapq.heappop(heap)
        if version[a] != version_a or version[b] != version_b:
            continue
        parent[b] = a
        sums[a] = _added(sums[a], sums[b])
        value[a] = explained(sums[a])
        version[a] += 1
        version[b] = -1
        _join(borders, a, b)
        for other, (length, extra) in borders[a].items():
            both = explained(_added(sums[a], sums[other]))
            evidence = value[a] + value[other] - both + extra
            if evidence < at_least:
                entry = (evidence / length, a, other, version[a], version[other])
                heapq.heappush(heap, entry)
    return renumber(_roots(parent)[regions])


def _added(one: tuple[float, ...], two: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(map(operator.add, one, two))


def _region_sums(field: Field, regions: Regions) -> NDArray[np.float64]:
    """Sums (9, region) as `explained` wants them, from running sums at the ends of runs."""
    height, width = regions.shape
    first = np.ones((height, width), dtype=bool)
    first[:, 1:] = regions[:, 1:] != regions[:, :-1]
    start = np.flatnonzero(first)
    region = regions.ravel()[start]
    row = start // width
    # Rows of the running sums are longer by one.
    left = start + row
    right = np.append(start[1:], height * width) + row
    flat = field.running.reshape(5, -1)
    w, wx, wxx, r, rx = flat[:, right] - flat[:, left]
    y = row / SCALE
    count = int(regions.max()) + 1
    return np.stack(
        [
            np.bincount(region, values, minlength=count)
            for values in (w, w * y, wx, w * y**2, wx * y, wxx, r, r * y, rx)
        ]
    )


def _borders(
    regions: Regions, count: int, credit: NDArray[np.float64] | None
) -> tuple[Regions, Regions, Regions, NDArray[np.float64]]:
    """Pairs of neighbours, the pixel faces they share, and the credit of these."""
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
    total = np.zeros(len(code))
    if credit is not None:
        total += np.bincount(place, np.concatenate(brought), minlength=len(code))
    first, second = np.divmod(code, count)
    return first, second, length, total


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
