"""Cheapest ways, against Dijkstra's algorithm of scipy on the whole image."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from napari_liso.microstructure.livewire import LiveWire, cost_of


def price(cost: np.ndarray, way: np.ndarray) -> float:
    way = way.astype(int)
    value = cost[way[:, 0], way[:, 1]]
    return float((np.hypot(*np.diff(way, axis=0).T) * (value[1:] + value[:-1]) / 2).sum())


def cheapest(cost: np.ndarray, start: tuple[int, int]) -> np.ndarray:
    """Price of the cheapest way to every pixel."""
    ny, nx = cost.shape
    number = np.arange(ny * nx).reshape(ny, nx)
    one, two, weight = [], [], []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = slice(0, ny - dy), slice(max(-dx, 0), nx - max(dx, 0))
        there = slice(dy, ny), slice(max(dx, 0), nx - max(-dx, 0))
        one.append(number[here].ravel())
        two.append(number[there].ravel())
        weight.append((np.hypot(dy, dx) * (cost[here] + cost[there]) / 2).ravel())
    graph = sparse.coo_array(
        (np.concatenate(weight), (np.concatenate(one), np.concatenate(two))),
        shape=(ny * nx, ny * nx),
    ).tocsr()
    return csgraph.dijkstra(graph, directed=False, indices=number[start]).reshape(ny, nx)


def check_way(way: np.ndarray, start: tuple[int, int], goal: tuple[int, int]) -> None:
    assert tuple(way[0]) == start
    assert tuple(way[-1]) == goal
    assert (np.abs(np.diff(way, axis=0)).max(axis=1) == 1).all()


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(2, 40), st.integers(2, 40))
def test_the_way_is_the_cheapest(seed, ny, nx):
    rng = np.random.default_rng(seed)
    cost = rng.uniform(0.01, 1, (ny, nx))
    start = int(rng.integers(ny)), int(rng.integers(nx))
    wire = LiveWire(cost)
    wire.start(start)
    best = cheapest(cost, start)
    for _ in range(5):
        goal = int(rng.integers(ny)), int(rng.integers(nx))
        way = wire.path_to(goal)
        check_way(way, start, goal)
        assert price(cost, way) == pytest.approx(best[goal], rel=1e-9, abs=1e-12)


@pytest.fixture(scope="module")
def cell_cost() -> np.ndarray:
    """Cost of a noisy map of cells, 600 x 500."""
    rng = np.random.default_rng(1)
    points = rng.random((120, 2)) * [600, 500]
    y, x = np.mgrid[:600, :500].astype(np.float32)
    nearest = np.full((600, 500), np.inf)
    cell = np.zeros((600, 500), dtype=int)
    for k, (py, px) in enumerate(points):
        away = (y - py) ** 2 + (x - px) ** 2
        cell[away < nearest] = k
        nearest = np.minimum(nearest, away)
    return cost_of(rng.random(120)[cell] + rng.normal(0, 0.05, cell.shape))


def test_far_ways_are_nearly_the_cheapest(cell_cost):
    start = (30, 40)
    wire = LiveWire(cell_cost)
    wire.start(start)
    best = cheapest(cell_cost.astype(float), start)
    excess, straight = [], []
    for goal in [(590, 490), (300, 480), (560, 30), (200, 200), (130, 60), (420, 333)]:
        way = wire.path_to(goal)
        check_way(way, start, goal)
        assert len(np.unique(way, axis=0)) == len(way)
        excess.append(price(cell_cost, way) / best[goal])
        line = np.rint(np.linspace(start, goal, 2000)).astype(int)
        line = line[np.r_[True, (np.diff(line, axis=0) != 0).any(axis=1)]]
        straight.append(price(cell_cost, line) / best[goal])
    assert max(excess) <= 1.3
    assert np.mean(excess) <= 1.1
    assert np.mean(straight) > 1.8  # so the bars above mean something


def test_the_same_way_whatever_was_asked_before(cell_cost):
    first, second = LiveWire(cell_cost), LiveWire(cell_cost)
    first.start((300, 250))
    second.start((10, 10))
    second.path_to((500, 400))
    second.start((300, 250))
    for goal in [(590, 10), (310, 255), (20, 480), (300, 250), (390, 300)]:
        second.path_to(goal)
    for goal in [(300, 250), (280, 333), (590, 480), (500, 20)]:
        np.testing.assert_array_equal(first.path_to(goal), second.path_to(goal))


def test_points_beside_the_image_are_moved_into_it():
    wire = LiveWire(np.ones((10, 12)))
    wire.start((-5.0, 3.4))
    way = wire.path_to((4.0, 99.0))
    check_way(way, (0, 3), (4, 11))
    assert wire.path_to((0.2, 3.0)).tolist() == [[0, 3]]


def test_a_way_needs_a_start_and_a_cost():
    with pytest.raises(ValueError, match="no start"):
        LiveWire(np.ones((5, 5))).path_to((1, 1))
    for bad in (np.zeros((5, 5)), np.full((5, 5), np.nan), np.ones(5)):
        with pytest.raises(ValueError, match="cost must be"):
            LiveWire(bad)


def wavy(size: int = 80) -> tuple[np.ndarray, np.ndarray]:
    x = np.arange(size)
    return 40 + 8 * np.sin(x / 12), np.mgrid[:size, :size][0]


@pytest.mark.parametrize("edges", ["steps", "dark", "bright"])
@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_the_way_follows_what_is_there(edges, offset):
    row, y = wavy()
    rng = np.random.default_rng(0)
    line = np.exp(-((y - row) ** 2) / 4)
    image = {"steps": 1.0 * (y > row), "dark": -line, "bright": line}[edges]
    cost = cost_of(image + rng.normal(0, 0.1, image.shape) + offset, edges)
    assert cost.dtype == np.float32
    assert cost.min() > 0
    assert cost.max() <= 1
    wire = LiveWire(cost)
    wire.start((round(row[2]), 2))
    way = wire.path_to((round(row[77]), 77))
    assert np.abs(way[:, 0] - row[way[:, 1].astype(int)]).max() <= 2.5
    assert np.abs(way[:, 0] - row[way[:, 1].astype(int)]).mean() <= 0.8


@pytest.mark.parametrize("edges", ["steps", "dark", "bright"])
def test_missing_values_are_no_edges(edges):
    rng = np.random.default_rng(0)
    image = 50 + rng.normal(0, 1, (80, 80))
    image[:, 40:] += 100  # far above anything that a hole may look like
    image[20:50, 8:28] = np.nan
    image[60, 60] = np.nan
    cost = cost_of(image, edges)
    assert np.isfinite(cost).all()
    assert (cost[25:45, 13:23] == 1).all()
    rim = ndimage.binary_dilation(np.isnan(image), iterations=4) & (np.arange(80) < 34)
    if edges == "steps":
        assert cost[rim].min() > 0.8
        assert cost[10:70, 38:42].min(axis=1).max() < 0.1


def test_images_without_edges_or_values():
    assert (cost_of(np.full((10, 10), 3.0)) == 1).all()
    assert (cost_of(np.full((10, 10), 3), "dark") == 1).all()
    with pytest.raises(ValueError, match="no value"):
        cost_of(np.full((10, 10), np.nan))
    with pytest.raises(ValueError, match="steps, dark, bright"):
        cost_of(np.ones((10, 10)), "lines")
    with pytest.raises(ValueError, match="smoothing"):
        cost_of(np.ones((10, 10)), smoothing=0)
    with pytest.raises(ValueError, match=r"\(y, x\)"):
        cost_of(np.ones(10))
