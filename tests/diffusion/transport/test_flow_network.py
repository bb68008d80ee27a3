"""The steady network against closed forms, a resistor network of its own, and duality."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_liso as liso
from napari_liso.diffusion.transport.network import Network, build_network
from napari_liso.diffusion.transport.reduced_network import reduce_network
from napari_liso.simulation import voronoi_grains

FloatArray = NDArray[np.float64]
D = 2.6e-12
PIXEL = 0.5e-6


def bar(pieces: tuple[int, ...], rows: int = 4) -> NDArray[np.int64]:
    return np.tile(np.repeat(np.arange(1, len(pieces) + 1), pieces), (rows, 1))


def network(
    labels: NDArray[np.integer],
    direction: Literal["x", "y"] = "x",
    pixel: float | tuple[float, float] = PIXEL,
) -> Network:
    return build_network(liso.find_boundaries(labels, pixel), direction)


def effective(net: Network, k: FloatArray | float, d: float = D) -> tuple[float, float]:
    """Of all pixels, and of the shapes."""
    every = np.broadcast_to(np.asarray(k, dtype=float), (net.boundaries,)).copy()
    return (
        net.effective(net.solve_full(every, d).conductance),
        net.effective(reduce_network(net).solve(every, d).conductance),
    )


@pytest.mark.parametrize("direction", ["x", "y"])
@pytest.mark.parametrize("pixel", [PIXEL, (0.3e-6, 0.7e-6)])
def test_grains_in_series(
    direction: Literal["x", "y"], pixel: float | tuple[float, float]
) -> None:
    labels, k = bar((5, 9, 3)), np.array([2e-8, 5e-7])
    if direction == "y":
        labels = labels.T
    step = np.broadcast_to(pixel, 2)[1 if direction == "x" else 0]
    length = 17 * step
    expected = length / (length / D + (1 / k).sum())
    assert effective(network(labels, direction, pixel), k) == pytest.approx((expected,) * 2)


def test_boundaries_along_the_flow_do_not_count() -> None:
    assert effective(network(bar((5, 9, 3)), "y"), 1e-9) == pytest.approx((D, D))


def test_columns_in_parallel_with_a_pore_between() -> None:
    upper, lower = bar((8, 8), 3), bar((4, 6, 6), 5) + 2
    labels = np.vstack([upper, np.zeros((2, 16), dtype=int), lower])
    k = np.array([1e-8, 3e-8, 2e-7])
    length = 16 * PIXEL
    conductances = [
        3 * PIXEL / (length / D + 1 / k[0]),
        5 * PIXEL / (length / D + (1 / k[1:]).sum()),
    ]
    expected = sum(conductances) * length / (10 * PIXEL)  # pores are part of the width
    assert effective(network(labels), k) == pytest.approx((expected,) * 2)


def resistors(
    boundaries: liso.Boundaries, k: FloatArray, d: float
) -> tuple[float, NDArray[np.float64]]:
    """Conductance from left to right by a dense nodal analysis, pixel by pixel."""
    grains = boundaries.grains
    h = boundaries.pixel_size
    ny, nx = grains.shape
    of_face = {}
    faces = boundaries.faces
    for a, axis, b, stretch in zip(
        faces.first, faces.axis, faces.boundary, faces.staircase, strict=True
    ):
        of_face[int(a), int(axis)] = (int(b) - 1, float(stretch))
    nodes = ny * nx
    left, right = nodes, nodes + 1
    g = np.zeros((nodes + 2, nodes + 2))

    def join(a: int, b: int, value: float) -> None:
        g[[a, b], [a, b]] += value
        g[[a, b], [b, a]] -= value

    for y in range(ny):
        for x in range(nx):
            here = y * nx + x
            for axis, beyond in ((0, here + nx), (1, here + 1)):
                if (axis == 0 and y == ny - 1) or (axis == 1 and x == nx - 1):
                    continue
                face, way = (h[1], h[0]) if axis == 0 else (h[0], h[1])
                resistance = way / d
                if (here, axis) in of_face:
                    boundary, stretch = of_face[here, axis]
                    resistance += stretch / k[boundary]
                join(here, beyond, face / resistance)
        join(y * nx, left, h[0] * d / (h[1] / 2))
        join(y * nx + nx - 1, right, h[0] * d / (h[1] / 2))
    free = np.arange(nodes)
    potential = np.linalg.solve(g[np.ix_(free, free)], -g[free, left])
    whole = np.concatenate([potential, [1.0, 0.0]])
    return float(whole @ g @ whole), potential.reshape(ny, nx)


@pytest.mark.parametrize("pixel", [PIXEL, (0.4e-6, 0.5e-6)])
def test_all_pixels_against_a_resistor_network(pixel: float | tuple[float, float]) -> None:
    boundaries = liso.find_boundaries(voronoi_grains((14, 17), 6, seed=2), pixel)
    k = np.random.default_rng(0).lognormal(np.log(2e-7), 1.0, len(boundaries))
    expected, potential = resistors(boundaries, k, D)
    net = build_network(boundaries)
    flow = net.solve_full(k, D)
    # rho is the mean of h/A over a boundary's faces: with square pixels nearly the same.
    assert flow.conductance == pytest.approx(expected, rel=2e-3)
    np.testing.assert_allclose(net.image(flow.values), potential, atol=5e-3)


@pytest.mark.parametrize("biot", [0.02, 0.3, 3.0, 30.0])
def test_shapes_against_all_pixels(biot: float) -> None:
    net = network(voronoi_grains((72, 80), 14, seed=5))
    k = np.random.default_rng(1).lognormal(np.log(biot * D / 9e-6), 0.8, net.boundaries)
    full, shapes = net.solve_full(k, D), reduce_network(net).solve(k, D)
    excess = shapes.conductance / full.conductance - 1
    assert -1e-9 < excess < 8e-3  # the same dissipation, least over fewer fields
    np.testing.assert_allclose(shapes.share, full.share, atol=3e-3)


@pytest.mark.parametrize("solver", ["full", "shapes"])
def test_shares_are_derivatives(solver: str) -> None:
    net = network(voronoi_grains((30, 36), 8, seed=3))
    solve = net.solve_full if solver == "full" else reduce_network(net).solve
    k = np.random.default_rng(2).lognormal(np.log(2e-7), 0.8, net.boundaries)
    flow = solve(k, D)
    step = 1e-4
    for b in range(net.boundaries):
        up, down = k.copy(), k.copy()
        up[b], down[b] = k[b] * np.exp(step), k[b] * np.exp(-step)
        slope = np.log(solve(up, D).conductance / solve(down, D).conductance) / (2 * step)
        assert flow.share[b] == pytest.approx(slope, abs=1e-6)
    up_d, down_d = (solve(k, D * np.exp(s)).conductance for s in (step, -step))
    assert flow.share_of_grains == pytest.approx(np.log(up_d / down_d) / (2 * step), abs=1e-6)


@pytest.mark.parametrize("seed", range(3))
def test_between_straight_flow_and_no_barrier(seed: int) -> None:
    """Thomson: uniform flux dissipates at least as much. Dirichlet: no barrier, no less flow."""
    boundaries = liso.find_boundaries(voronoi_grains((40, 40), 9, seed=seed), PIXEL)
    k = np.random.default_rng(seed).lognormal(np.log(5e-8), 1.0, len(boundaries))
    faces = boundaries.faces
    along = faces.axis == 1
    barriers = (faces.staircase[along] / k[faces.boundary[along] - 1]).sum() / 40
    length = 40 * PIXEL
    full, _ = effective(build_network(boundaries), k)
    assert length / (length / D + barriers) < full < D


def blocks(rows: int, columns: int, side: int = 4) -> NDArray[np.int64]:
    return np.kron(np.arange(1, rows * columns + 1).reshape(rows, columns), np.ones((side,) * 2))


def test_planar_duality() -> None:
    """Keller 1964: conductance across a planar network times that of its dual is one.

    Flat square grains of side a are the nodes; a boundary is a bond of conductance k a.
    The dual of M x N grains crossed along x are (M + 1) x (N - 1) grains crossed along y,
    each bond crossed by one of the inverse conductance.
    """
    m, n, side = 3, 5, 4
    rng = np.random.default_rng(7)
    across = rng.lognormal(0.0, 1.0, (m, n - 1))  # bonds along x of the first
    beside = rng.lognormal(0.0, 1.0, (m - 1, n - 2))  # bonds along y between inner columns
    a = side * PIXEL
    flat = 1e9  # D, so that grains are flat

    def conductance(
        labels: NDArray[np.float64],
        direction: Literal["x", "y"],
        bonds: dict[tuple[int, int], float],
    ) -> float:
        boundaries = liso.find_boundaries(labels.astype(int), PIXEL)
        pairs = boundaries.table[["grain_a", "grain_b"]].itertuples(index=False, name=None)
        k = np.array([bonds.get(pair, 1.0) / a for pair in pairs])
        return build_network(boundaries, direction).solve_full(k, flat).conductance

    first = {}
    for i in range(m):
        for j in range(n - 1):
            first[i * n + j + 1, i * n + j + 2] = across[i, j]
    for i in range(m - 1):
        for j in range(n - 2):
            first[i * n + j + 2, (i + 1) * n + j + 2] = beside[i, j]
    second, width = {}, n - 1
    for i in range(m):
        for j in range(n - 1):
            second[i * width + j + 1, (i + 1) * width + j + 1] = 1 / across[i, j]
    for i in range(m - 1):
        for j in range(n - 2):
            row = (i + 1) * width + j
            second[row + 1, row + 2] = 1 / beside[i, j]
    product = conductance(blocks(m, n), "x", first) * conductance(
        blocks(m + 1, n - 1), "y", second
    )
    assert product == pytest.approx(1.0, rel=1e-6)


def test_one_grain_healed_by_a_low_rank_update() -> None:
    net = network(voronoi_grains((30, 36), 8, seed=3))
    reduced = reduce_network(net)
    k = np.random.default_rng(2).lognormal(np.log(2e-8), 0.8, net.boundaries)
    flow, healed = reduced.healed_one_by_one(k, D)
    assert flow.conductance == pytest.approx(reduced.solve(k, D).conductance)
    for b in range(net.boundaries):
        changed = k.copy()
        changed[b] = np.inf
        assert healed[b] == pytest.approx(reduced.solve(changed, D).conductance, rel=1e-9)


def test_closed_boundaries_and_islands() -> None:
    labels = bar((5, 9, 5), 12)
    labels[4:9, 7:12] = 0
    labels[6, 9] = 9  # an island in a pore
    net = network(labels)
    assert effective(net, np.array([1e-8, 2e-8]))[0] > 0
    full, shapes = effective(net, np.array([0.0, 2e-8]))
    assert full == pytest.approx(0.0, abs=1e-25)
    assert shapes == pytest.approx(0.0, abs=1e-25)
    image = net.image(net.solve_full(np.array([1e-8, 2e-8]), D).values)
    assert np.isnan(image[labels == 0]).all()
    assert (np.diff(image[0]) < 0).all()


def test_straight_on() -> None:
    net = network(np.vstack([bar((8, 8), 3), bar((4, 6, 6), 1) + 2]))
    k = np.full(net.boundaries, 1e-8)
    crossings = (3 * 1 + 1 * 2) / 4
    assert net.straight(k, D) == pytest.approx(1 / (1 / D + crossings / 1e-8 / (16 * PIXEL)))
    assert net.straight(np.full(net.boundaries, np.inf), D) == pytest.approx(D)


def test_refuses() -> None:
    boundaries = liso.find_boundaries(bar((4, 4)), PIXEL)
    with pytest.raises(ValueError, match="direction must be"):
        build_network(boundaries, "z")  # type: ignore[arg-type]
    labels = bar((4, 4))
    labels[:, :2] = 0
    with pytest.raises(ValueError, match="left edge"):
        network(labels)
