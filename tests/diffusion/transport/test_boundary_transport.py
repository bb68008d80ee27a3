"""Resistance, Haven ratio and exchange current with the errors of what they come from."""

from __future__ import annotations

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.transport.brick_layer import brick_layer_diffusivity
from napari_liso.diffusion.transport.propagation import as_estimate, drawn, power_product
from napari_liso.diffusion.transport.resistance import (
    apparent_diffusivity,
    atom_permeability,
    boundary_transport,
    haven_ratio_from_impedance,
    lithium_density,
    resistance_from_impedance,
)

KB, E = 1.380649e-23, 1.602176634e-19
N = 5.0e27


def within(value: float, factor: float) -> Estimate:
    return Estimate(value, value / factor, value * factor, "resolved")


def test_errors_multiply_in_quadrature() -> None:
    k, haven = within(1.4e-8, 1.5), within(0.3, 1.8)
    found = boundary_transport(k, 298.0, N, haven)
    expected = KB * 298.0 * 0.3 / (N * E**2 * 1.4e-8)
    factor = np.exp(np.hypot(np.log(1.5), np.log(1.8)))
    assert found.resistance.value == pytest.approx(expected)
    assert found.resistance.lower == pytest.approx(expected / factor)
    assert found.resistance.upper == pytest.approx(expected * factor)
    current = KB * 298.0 / (E * expected)
    assert found.exchange_current.value == pytest.approx(current)
    assert found.exchange_current.upper == pytest.approx(current * factor)
    assert found.haven_ratio == haven
    assert found.notes == ()


def test_sides_stay_apart() -> None:
    k = Estimate(1e-8, 0.9e-8, 3e-8, "resolved")
    found = boundary_transport(k, 298.0, N).resistance
    assert found.upper / found.value == pytest.approx(1 / 0.9)
    assert found.value / found.lower == pytest.approx(3.0)


def test_interval_by_simulation() -> None:
    """n known to 5 %, H to 20 %, k to 15 %: 95 % of products of drawn factors are inside."""
    n, h = liso.Measured(N, 0.05 * N), liso.Measured(0.5, 0.1)
    k = within(1e-8, np.exp(1.96 * 0.15))
    found = boundary_transport(k, liso.Measured(298.0, 1.0), n, h).resistance
    rng = np.random.default_rng(0)
    t, nn, hh = (
        m + s * rng.standard_normal(200_000) for m, s in ((298, 1), (N, 0.05 * N), (0.5, 0.1))
    )
    kk = 1e-8 * np.exp(0.15 * rng.standard_normal(t.size))
    r = KB * t * hh / (nn * E**2 * kk)
    inside = (r > found.lower) & (r < found.upper)
    assert inside.mean() == pytest.approx(0.95, abs=0.01)


@pytest.mark.parametrize(
    ("k", "verdict"),
    [
        (Estimate(5e-8, 2e-8, np.inf, "lower_bound"), "upper_bound"),
        (Estimate(1e-9, 0.0, 2e-8, "upper_bound"), "lower_bound"),
    ],
)
def test_bound_of_the_permeability_bounds_the_resistance(k: Estimate, verdict: str) -> None:
    found = boundary_transport(k, 298.0, N)
    at_bound = KB * 298.0 / (N * E**2 * 2e-8)
    assert found.resistance.verdict == verdict
    assert found.resistance.value == pytest.approx(at_bound)  # not the median of the table
    assert (found.resistance.lower, found.resistance.upper) == pytest.approx(
        (0.0, at_bound) if verdict == "upper_bound" else (at_bound, np.inf)
    )
    opposite = {"upper_bound": "lower_bound", "lower_bound": "upper_bound"}[verdict]
    assert found.exchange_current.verdict == opposite


def test_unresolved_stays_so() -> None:
    k = Estimate(1e-8, 0.9e-8, 1.1e-8, "unresolved")
    assert boundary_transport(k, 298.0, N).resistance.verdict == "unresolved"
    assert apparent_diffusivity(k, 1e-9).value.verdict == "unresolved"


def test_haven_ratio_of_one_is_an_assumption() -> None:
    assert "Haven ratio of 1" in boundary_transport(1e-8, 298.0, N).notes[0]
    assert boundary_transport(1e-8, 298.0, N, liso.Measured(1.0, 0.1)).notes == ()
    assert "above 1" in boundary_transport(1e-8, 298.0, N, within(3.0, 1.1)).notes[0]


def test_haven_ratio_goes_there_and_back() -> None:
    k = within(1.4e-8, 1.3)
    seen = boundary_transport(1.4e-8, 298.0, N, 0.28).resistance.value
    found = haven_ratio_from_impedance(liso.Measured(seen, 0.1 * seen), k, 298.0, N)
    assert found.value.value == pytest.approx(0.28)
    factor = np.exp(np.hypot(np.log(1.3), 1.96 * 0.1))
    assert found.value.upper == pytest.approx(0.28 * factor, rel=1e-4)
    assert found.notes == ()
    assert "above 1" in haven_ratio_from_impedance(8 * seen, k, 298.0, N).notes[0]


def test_apparent_diffusivity_carries_its_width() -> None:
    found = apparent_diffusivity(within(1.4e-8, 2.0), 2e-9, 0.5)
    assert found.value.value == pytest.approx(1.4e-8 * 2e-9 / 0.5)
    assert found.value.upper == pytest.approx(2 * 1.4e-8 * 2e-9 / 0.5)
    assert (found.width, found.density_ratio) == (2e-9, 0.5)
    assert "assumed delta of 2 nm" in str(found)
    assert "s = 0.5" in str(found)


def test_interface_of_two_phases() -> None:
    """A 1-D chain of atoms: the flux of atoms is one, the fraction's differs by the densities."""
    n_a, n_b, k_a = 5e27, 2e28, 4e-9
    found = atom_permeability(k_a, n_a, n_b, 298.0, 0.5)
    assert found.value.value == pytest.approx(n_a * k_a)
    assert found.permeability_a.value == pytest.approx(k_a)
    # n_a k_a (c_a - c_b) leaves a and enters b: d(c_b L_b)/dt = (n_a k_a / n_b)(c_a - c_b).
    assert found.permeability_b.value == pytest.approx(k_a * n_a / n_b)
    assert found.resistance is not None
    assert found.resistance.value == pytest.approx(KB * 298.0 * 0.5 / (E**2 * n_a * k_a))
    assert found.resistance.value == pytest.approx(
        boundary_transport(k_a, 298.0, n_a, 0.5).resistance.value
    )
    same = atom_permeability(within(k_a, 1.2), n_a)
    assert same.resistance is None
    assert same.permeability_b == same.permeability_a


def test_brick_layer_covers() -> None:
    rng = np.random.default_rng(1)
    hits = 0
    for _ in range(300):
        d, k, size = 2.6e-12, 1e-7 * np.exp(rng.standard_normal()), 5e-6
        seen_d, seen_k = (
            d * np.exp(0.1 * rng.standard_normal()),
            k * np.exp(0.3 * rng.standard_normal()),
        )
        found = brick_layer_diffusivity(
            within(seen_d, np.exp(0.196)), within(seen_k, np.exp(1.96 * 0.3)), size
        )
        hits += found.lower <= liso.effective_diffusivity(d, k, size) <= found.upper
    assert 0.92 < hits / 300 < 0.98


def test_brick_layer_of_bounds() -> None:
    flat = Estimate(1e-11, 1e-11, np.inf, "lower_bound")
    tight = within(1e-8, 1.0 + 1e-9)
    found = brick_layer_diffusivity(flat, tight, 5e-6)
    assert found.upper == pytest.approx(5e-14, rel=1e-6)  # grains without resistance
    free = Estimate(1e-6, 1e-6, np.inf, "lower_bound")
    assert brick_layer_diffusivity(flat, free, 5e-6).upper == np.inf
    closed = Estimate(1e-9, 0.0, 1e-9, "upper_bound")
    assert brick_layer_diffusivity(tight, closed, 5e-6).lower == 0.0


def test_draws_of_an_interval() -> None:
    z = np.random.default_rng(2).standard_normal(100_000)
    draws = drawn(Estimate(1.0, 0.5, 4.0, "resolved"), z)
    np.testing.assert_allclose(np.quantile(draws, [0.025, 0.5, 0.975]), [0.5, 1.0, 4.0], rtol=0.03)
    above = drawn(Estimate(9.0, 2.0, np.inf, "lower_bound"), z)
    assert (above > 2.0).mean() == pytest.approx(0.95, abs=0.005)
    below = drawn(Estimate(1.0, 0.0, 2.0, "upper_bound"), z)
    assert (below < 2.0).mean() == pytest.approx(0.95, abs=0.005)
    with pytest.raises(ValueError, match="two open ends"):
        drawn(Estimate(1.0, 0.0, np.inf, "unresolved"), z)


def test_power_of_a_quantity() -> None:
    found = power_product(2.0, (within(3.0, 1.1), -2.0, "a"))
    assert found.value == pytest.approx(2 / 9)
    assert found.upper == pytest.approx(2 / 9 * 1.1**2)


def test_relative_error_stays_positive() -> None:
    found = as_estimate(liso.Measured(0.2, 0.2), "haven_ratio")
    assert 0 < found.lower < 0.2 < found.upper


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: boundary_transport(0.0, 298.0, N), "permeability"),
        (lambda: boundary_transport(1e-8, -1.0, N), "temperature"),
        (lambda: boundary_transport(1e-8, 298.0, np.inf), "lithium_density"),
        (lambda: boundary_transport(1e-8, 298.0, N, 0.0), "haven_ratio"),
        (lambda: boundary_transport(Estimate(3.0, 4.0, 5.0, "resolved"), 298.0, N), "interval"),
        (lambda: resistance_from_impedance(1e-3, 0.0), "grain_size"),
        (lambda: apparent_diffusivity(1e-8, -1e-9), "width"),
        (lambda: lithium_density(0.29, 0.0), "cell_volume"),
        (lambda: atom_permeability(1e-8, N, 0.0), "density_beyond"),
    ],
)
def test_refuses(call: object, named: str) -> None:
    assert callable(call)
    with pytest.raises(ValueError, match=named):
        call()
