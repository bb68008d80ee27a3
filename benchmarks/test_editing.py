"""Edits of a map of 4096 x 4096 pixels with 5,000 grains, and the live-wire on it.

Each edit is reported as time on the whole map. The live-wire is measured over a
movement of the mouse away from the start: the first way, the slowest one and the
median, in ms.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.editing import (
    erase_boundaries,
    fill_holes,
    merge_grains,
    redraw_boundary,
    remove_islands,
    split_by_points,
    split_grain,
)
from napari_liso.microstructure.faces import corners_of
from napari_liso.microstructure.livewire import LiveWire, cost_of

PIXEL = 0.5e-6
SIDE, GRAINS = 4096, 5000

Labels = NDArray[np.int32]


def cells(side: int, count: int) -> Labels:
    rng = np.random.default_rng(0)
    tree = cKDTree(rng.random((count, 2)) * side)
    x = np.arange(side)
    rows = [tree.query(np.stack([np.full(side, y), x], axis=1))[1] + 1 for y in range(side)]
    return np.array(rows, dtype=np.int32)


@pytest.fixture(scope="module")
def touching() -> Boundaries:
    return find_boundaries(cells(SIDE, GRAINS), PIXEL)


@pytest.fixture(scope="module")
def lined() -> Boundaries:
    grains = cells(SIDE, GRAINS)
    drawn = grains.copy()
    drawn[:-1][grains[:-1] != grains[1:]] = 0
    drawn[:, :-1][grains[:, :-1] != grains[:, 1:]] = 0
    return find_boundaries(drawn, PIXEL)


@pytest.fixture(params=["touching", "lined"])
def case(request: pytest.FixtureRequest) -> Boundaries:
    return request.getfixturevalue(request.param)


def long_one(boundaries: Boundaries) -> int:
    return int(boundaries.table["length"].nlargest(20).index[-1])


def bow(boundaries: Boundaries, boundary: int) -> NDArray[np.float64]:
    """From end to end of a boundary, a seventh of its length beside it."""
    faces, columns = boundaries.faces, boundaries.grains.shape[1]
    mine = faces.boundary == boundary
    ends = np.concatenate(corners_of(faces.first[mine], faces.axis[mine], columns))
    corner, count = np.unique(ends, return_counts=True)
    first, last = np.stack(np.divmod(corner[count == 1][:2], columns + 1), axis=1) - 0.5
    along = last - first
    return np.array([first, (first + last) / 2 + 0.14 * along[::-1] * [1, -1], last])


def test_split(benchmark: Any, case: Boundaries) -> None:
    benchmark(lambda: split_grain(case.drawn, [(1960.0, 1990.0), (2040.0, 2030.0)]))


def test_split_of_many(benchmark: Any, case: Boundaries) -> None:
    edit = benchmark(lambda: split_grain(case.drawn, [(1000.0, 1000.0), (1500.0, 1800.0)]))
    benchmark.extra_info["pixels"] = len(edit)


def test_split_by_points(benchmark: Any, case: Boundaries) -> None:
    y, x = np.nonzero(case.drawn == 1000)
    points = [(y[len(y) * k // 4], x[len(y) * k // 4]) for k in (1, 3)]
    benchmark(lambda: split_by_points(case.drawn, points))


def test_merge(benchmark: Any, case: Boundaries) -> None:
    pair = case.table.loc[long_one(case), ["grain_a", "grain_b"]].to_list()
    benchmark(lambda: merge_grains(case.drawn, pair))


def test_erase_one(benchmark: Any, case: Boundaries) -> None:
    benchmark(lambda: erase_boundaries(case, long_one(case)))


def test_erase_twenty(benchmark: Any, case: Boundaries) -> None:
    ids = case.table["length"].nlargest(20).index.to_list()
    benchmark.pedantic(lambda: erase_boundaries(case, ids), rounds=5)


def test_redraw(benchmark: Any, case: Boundaries) -> None:
    boundary = long_one(case)
    path = bow(case, boundary)
    benchmark(lambda: redraw_boundary(case, boundary, path))


def patches(label: int) -> list[tuple[slice, slice, int]]:
    where = np.random.default_rng(1).integers(2, SIDE - 8, (3000, 2)).tolist()
    return [
        (slice(y, y + 4), slice(x, x + 4), label * (GRAINS + 1 + k))
        for k, (y, x) in enumerate(where)
    ]


def test_fill_holes(benchmark: Any, case: Boundaries) -> None:
    drawn = case.drawn.copy()
    for y, x, label in patches(0):
        drawn[y, x] = label
    edit = benchmark.pedantic(lambda: fill_holes(drawn, 5e-12, PIXEL), rounds=2)
    benchmark.extra_info["pixels"] = len(edit)


def test_remove_islands(benchmark: Any, case: Boundaries) -> None:
    drawn = case.drawn.copy()
    for y, x, label in patches(1):
        drawn[y, x] = label
    edit = benchmark.pedantic(lambda: remove_islands(drawn, 5e-12, PIXEL), rounds=2)
    benchmark.extra_info["pixels"] = len(edit)


@pytest.mark.parametrize("side", [256, 1024, 4096])
def test_live_wire(benchmark: Any, side: int) -> None:
    rng = np.random.default_rng(2)
    grains = cells(side, max(GRAINS * side**2 // SIDE**2, 8))
    image = rng.random(grains.max() + 1)[grains] + rng.normal(0, 0.1, grains.shape)
    begin = time.perf_counter()
    cost = cost_of(image)
    benchmark.extra_info["cost_of_s"] = round(time.perf_counter() - begin, 2)
    begin = time.perf_counter()
    wire = LiveWire(cost)
    benchmark.extra_info["once_per_image_ms"] = round(1e3 * (time.perf_counter() - begin))
    start = side // 8
    wire.start((start, start))
    before = 0
    for limit in (96, 384, side * 3 // 4):
        if limit <= before:
            continue
        times = []
        for away in np.linspace(before + 1, min(limit, side * 3 // 4), 60):
            begin = time.perf_counter()
            wire.path_to((start + away, start + 0.8 * away))
            times.append(1e3 * (time.perf_counter() - begin))
        first, slowest, median = times[0], max(times[1:]), np.median(times)
        benchmark.extra_info[f"ms_to_{limit}_px"] = (
            f"first {first:.1f}, slowest {slowest:.1f}, median {median:.1f}"
        )
        before = limit
    goal = start + side // 2
    benchmark(lambda: wire.path_to((goal, goal)))
