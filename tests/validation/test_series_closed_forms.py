"""The series model against textbook solutions (science: forms A to H), 1e-7 in the fraction."""

from __future__ import annotations

from collections.abc import Sequence

import closed_forms
import numpy as np
import pytest
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import expm
from scipy.optimize import brentq
from scipy.special import erfc, erfcx

from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.model import respond
from napari_liso.diffusion.series.plan import Period

FloatArray = NDArray[np.float64]

# Units of the tests: um and s.
D, K = 2.6, 0.014
X = np.linspace(0.1, 39.9, 200)


def series(
    thickness: ArrayLike,
    periods: Sequence[Period],
    diffusivity: ArrayLike,
    resistance: ArrayLike,
    x: FloatArray = X,
    order: int = 8,
) -> FloatArray:
    chain = Chain(np.asarray(thickness, dtype=float), periods, x, order)
    inverse = 1 / np.broadcast_to(np.asarray(diffusivity, dtype=float), (1, chain.layers))
    return respond(chain, inverse, np.array([resistance], dtype=float))[0]


@pytest.mark.parametrize("t", [0.5, 20.0, 200.0])
def test_half_space(t: float) -> None:
    found = series([np.inf], [Period(t)], D, [0.0])
    assert np.abs(found - closed_forms.half_space(X, D, t)).max() < 1e-7


@pytest.mark.parametrize("exchange", [0.01, 0.3, 30.0])
def test_half_space_with_surface_exchange(exchange: float) -> None:
    found = series([np.inf], [Period(60.0)], D, [1 / exchange])
    expected = closed_forms.half_space_exchange(X, D, exchange, 60.0)
    assert np.abs(found - expected).max() < 1e-7


@pytest.mark.parametrize("t", [1.0, 60.0, 600.0])
def test_slab(t: float) -> None:
    found = series([40.0], [Period(t)], D, [0.0])
    assert np.abs(found - closed_forms.slab(X, 40.0, D, t)).max() < 1e-7


@pytest.mark.parametrize("exchange", [0.01, 0.3, 3.0])
def test_slab_with_surface_exchange(exchange: float) -> None:
    found = series([40.0], [Period(60.0)], D, [1 / exchange])
    expected = closed_forms.slab_exchange(X, 40.0, D, exchange, 60.0)
    assert np.abs(found - expected).max() < 1e-7


@pytest.mark.parametrize(("k", "t"), [(K, 60.0), (K, 2000.0), (1.0, 60.0), (1e-3, 300.0)])
def test_two_grains(k: float, t: float) -> None:
    found = series([15.0, 25.0], [Period(t)], D, [0.0, 1 / k])
    expected = closed_forms.two_grains(X, 15.0, 25.0, D, k, t)
    assert np.abs(found - expected).max() < 1e-7


def test_high_order_is_exact_to_rounding() -> None:
    found = series([20.0, 20.0], [Period(60.0)], D, [0.0, 1 / K], order=14)
    assert np.abs(found - closed_forms.two_grains(X, 20.0, 20.0, D, K, 60.0)).max() < 1e-12


def test_two_grains_of_different_diffusivity() -> None:
    d1, d2, a, b, t = 2.6, 0.5, 15.0, 25.0, 40.0
    r1, r2 = np.sqrt(d1), np.sqrt(d2)

    def condition(beta: float) -> float:
        u, v = beta * a / r1, beta * b / r2
        left = (r1 * beta * np.cos(u) / K + np.sin(u)) * np.sin(v)
        return float(left - r1 / r2 * np.cos(u) * np.cos(v))

    grid = np.linspace(1e-9, 40 / np.sqrt(t), 60_000)
    values = np.array([condition(beta) for beta in grid])
    expected = np.ones_like(X)
    for i in np.flatnonzero(values[:-1] * values[1:] < 0):
        beta = brentq(condition, grid[i], grid[i + 1], xtol=1e-15)
        u, v = beta * a / r1, beta * b / r2
        far = r1 * np.cos(u) / (r2 * np.sin(v))
        shape = np.where(a > X, np.sin(beta * X / r1), far * np.cos(beta * (a + b - X) / r2))
        mean = (1 - np.cos(u)) * r1 / beta + far * np.sin(v) * r2 / beta
        norm = a / 2 - np.sin(2 * u) * r1 / (4 * beta)
        norm += far**2 * (b / 2 + np.sin(2 * v) * r2 / (4 * beta))
        expected = expected - mean / norm * shape * np.exp(-(beta**2) * t)
    found = series([a, b], [Period(t)], [d1, d2], [0.0, 1 / K])
    assert np.abs(found - expected).max() < 1e-7


def test_two_half_spaces_with_a_contact() -> None:
    """The first stage fills the first grain behind a closed boundary; then the source goes."""
    a, d1, d2, k, t = 100.0, 2.6, 0.5, 0.05, 50.0
    fill = Period(1.0)
    run = Period(t, source=False, bulk=1e-7, boundary=1e12)
    x = np.linspace(a - 30, a + 30, 201)
    found = series([a, np.inf], [fill, run], [d1 * 1e7, d2 * 1e7], [0.0, 1e12 / k], x)
    h = k * (1 / np.sqrt(d1) + 1 / np.sqrt(d2))

    def moved(z: FloatArray, d: float) -> FloatArray:
        u = z / (2 * np.sqrt(d * t))
        return erfc(u) - np.exp(-(u**2)) * erfcx(u + h * np.sqrt(t))

    share = np.sqrt(d1) / (np.sqrt(d1) + np.sqrt(d2))
    z = np.abs(x - a)
    expected = np.where(x > a, share * moved(z, d2), 1 - (1 - share) * moved(z, d1))
    away = z > 0.01
    assert np.abs(found - expected)[away].max() < 2e-7
    sides = series(
        [a, np.inf], [fill, run], [d1 * 1e7, d2 * 1e7], [0.0, 1e12 / k],
        np.array([a - 1e-9, a + 1e-9]),
    )  # fmt: skip
    assert sides[0] - sides[1] == pytest.approx(erfcx(h * np.sqrt(t)), abs=2e-7)


def test_flat_grains_fill_exponentially() -> None:
    """Well mixed: one grain behind a boundary, and two grains that only exchange."""
    flat = 1e12
    t = 100.0
    found = series([1e-3, 20.0], [Period(t)], flat, [0.0, 1 / K])
    assert found[-1] == pytest.approx(1 - np.exp(-K * t / 20.0), abs=1e-7)
    fill = Period(1.0, boundary=1.0)
    run = Period(t, source=False, boundary=1e9)
    a, b = 15.0, 25.0
    both = series([a, b], [fill, run], flat, [0.0, 1e9 / K], np.array([5.0, 35.0]))
    assert both[0] - both[1] == pytest.approx(np.exp(-K * (1 / a + 1 / b) * t), abs=1e-6)


def test_quasi_steady_series() -> None:
    """Long since started, an almost endless far grain: equal flux through all in series."""
    thickness, d, k = [5.0, 8.0, 1e4], [2.6, 1.0, 1e7], [0.02, 0.1]
    x = np.array([0.0, 5 - 1e-9, 5 + 1e-9, 13 - 1e-9, 13 + 1e-9])
    c = series(thickness, [Period(3000.0)], d, [0.0, 1 / k[0], 1 / k[1]], x)
    flux = [d[0] * (c[0] - c[1]) / 5, k[0] * (c[1] - c[2]), d[1] * (c[2] - c[3]) / 8]
    flux.append(k[1] * (c[3] - c[4]))
    total = (c[0] - c[4]) / (5 / d[0] + 1 / k[0] + 8 / d[1] + 1 / k[1])
    np.testing.assert_allclose(flux, total, rtol=3e-3)


def finite_volumes(
    thickness: Sequence[float],
    diffusivity: Sequence[float],
    permeability: Sequence[float],
    exchange: float,
    periods: Sequence[Period],
    cells: int,
) -> tuple[FloatArray, FloatArray]:
    """Cell means by matrix exponentials: second order in space, exact in time."""
    h = np.concatenate([np.full(cells, length / cells) for length in thickness])
    u = np.zeros(h.size)
    for period in periods:
        d = np.repeat(diffusivity, cells) * period.bulk
        rho = h[:-1] / (2 * d[:-1]) + h[1:] / (2 * d[1:])
        rho[cells - 1 :: cells] += 1 / (np.array(permeability) * period.boundary)
        a = np.zeros((h.size + 1, h.size + 1))
        i = np.arange(h.size - 1)
        a[i, i] -= 1 / rho / h[:-1]
        a[i, i + 1] += 1 / rho / h[:-1]
        a[i + 1, i + 1] -= 1 / rho / h[1:]
        a[i + 1, i] += 1 / rho / h[1:]
        if period.source:
            first = 1 / (h[0] / (2 * d[0]) + 1 / (exchange * period.surface)) / h[0]
            a[0, 0] -= first
            a[0, -1] += first
        u = (expm(a * period.duration) @ np.append(u, 1.0))[:-1]
    return np.cumsum(h) - h / 2, u


@pytest.mark.parametrize(
    "periods",
    [
        [Period(40.0), Period(40.0, source=False)],
        [Period(40.0), Period(400.0, source=False, bulk=0.3, boundary=0.1)],
        [
            Period(40.0),
            Period(40.0, source=False),
            Period(25.0, True, 2.0, 3.0, 1.5),
            Period(10.0, False, 0.5, 0.2),
        ],
    ],
    ids=["equal", "anneal", "four"],
)
def test_stages_against_finite_volumes(periods: list[Period]) -> None:
    sample = ([8.0, 12.0, 20.0], [2.6, 1.0, 4.0], [0.05, 0.2], 0.4, periods)
    _, coarse = finite_volumes(*sample, cells=40)
    _, middle = finite_volumes(*sample, cells=120)
    # Both grids have the middles of the coarse cells: extrapolate the second order away.
    x, _ = finite_volumes(*sample, cells=40)
    expected = (9 * middle[1::3] - coarse) / 8
    found = series(sample[0], periods, sample[1], [1 / 0.4, 1 / 0.05, 1 / 0.2], x)
    assert np.abs(found - expected).max() < 1e-6


@pytest.mark.parametrize(("parts", "tolerance"), [(2, 1e-7), (5, 1e-7), (8, 1e-4)])
def test_a_stage_in_equal_parts_is_the_stage(parts: int, tolerance: float) -> None:
    """Parts differ by one part in 1e9, so that they are not joined beforehand."""
    sample = ([8.0, 12.0, 20.0], [2.6, 1.0, 4.0], [2.5, 20.0, 5.0])
    whole = series(sample[0], [Period(120.0)], *sample[1:], order=14)
    pieces = [Period(120.0 / parts, boundary=1 + 1e-9 * i) for i in range(parts)]
    assert np.abs(series(sample[0], pieces, *sample[1:]) - whole).max() < tolerance


def test_too_many_equal_stages_are_refused() -> None:
    pieces = [Period(1.0, boundary=1 + 1e-9 * i) for i in range(40)]
    with pytest.raises(ValueError, match="40 stages of such similar length"):
        series([20.0, 20.0], pieces, D, [0.0, 1 / K])


def test_thick_layers_do_not_overflow() -> None:
    found = series([1e4, 1e4], [Period(1.0)], 1e-4, [0.0, 1e3], np.array([0.0, 1e-2, 5e3, 1.5e4]))
    expected = closed_forms.half_space(np.array([0.0, 1e-2]), 1e-4, 1.0)
    np.testing.assert_allclose(found, [*expected, 0.0, 0.0], atol=1e-7)
