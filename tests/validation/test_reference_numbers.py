"""Published coefficients of Li0.29La0.57TiO3 and what follows from them.

D and D_gb at 25 C: Hasegawa et al., J. Mater. Chem. A 12, 731 (2024). The other
columns were worked out by hand from the formulas of the brick-layer model and
of Nernst and Einstein, with n = 0.29/(3.87 A)^3 and T = 298 K.
"""

from __future__ import annotations

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.diffusion.conductivity import brick_layer_conductivity, nernst_einstein
from napari_liso.diffusion.transport.resistance import lithium_density, resistance_from_impedance
from napari_liso.units import (
    BOLTZMANN_EV,
    from_celsius,
    from_cm2_per_s,
    from_ohm_cm2,
    from_s_per_cm,
    to_cm2_per_s,
    to_ma_per_cm2,
    to_ohm_cm2,
    to_s_per_cm,
)

D_BULK = 2.6e-12
D_BOUNDARY = 1.4e-17
DENSITY = 5.0e27

# delta, k, D_eff at d = 1 / 5 / 20 um, R in ohm cm2
ROWS = [
    (1e-9, 1.4e-8, (1.39e-14, 6.8e-14, 2.5e-13), 22.9),
    (2e-9, 7.0e-9, (7.0e-15, 3.5e-14, 1.3e-13), 45.8),
    (5e-9, 2.8e-9, (2.8e-15, 1.4e-14, 5.5e-14), 114.0),
    (10e-9, 1.4e-9, (1.4e-15, 7.0e-15, 2.8e-14), 229.0),
]


@pytest.mark.parametrize(("delta", "k", "effective", "resistance"), ROWS)
def test_rows_of_lithium_lanthanum_titanate(
    delta: float, k: float, effective: tuple[float, ...], resistance: float
) -> None:
    assert D_BOUNDARY / delta == pytest.approx(k)
    for d, value in zip((1e-6, 5e-6, 20e-6), effective, strict=True):
        # Two digits are given: half a unit of the last one.
        assert liso.effective_diffusivity(D_BULK, k, d) == pytest.approx(value, rel=0.02)
    ours = to_ohm_cm2(liso.boundary_resistance(k, 298.0, DENSITY))
    assert ours == pytest.approx(resistance, rel=0.005)


# delta, D/k in m, d/k in s at d = 5 um
LENGTHS = [
    (1e-9, 186e-6, 357.0),
    (2e-9, 371e-6, 714.0),
    (5e-9, 929e-6, 1790.0),
    (1e-8, 1.86e-3, 3570.0),
]


@pytest.mark.parametrize(("delta", "length", "time"), LENGTHS)
def test_lengths_and_times_of_a_boundary(delta: float, length: float, time: float) -> None:
    """The grain that resists as much as the boundary, and the time to fill one of 5 um."""
    k = D_BOUNDARY / delta
    # In a series of grains of that size half of the resistance is the boundaries'.
    assert liso.effective_diffusivity(D_BULK, k, length) == pytest.approx(D_BULK / 2, rel=0.003)
    assert 5e-6 / k == pytest.approx(time, rel=0.003)
    # The apparent D_gb is that of the paper again.
    again = liso.apparent_diffusivity(k, delta)
    assert again.value.value == pytest.approx(D_BOUNDARY)


def test_published_ratio_and_units() -> None:
    assert from_cm2_per_s(2.6e-8) == pytest.approx(D_BULK)
    assert to_cm2_per_s(D_BOUNDARY) == pytest.approx(1.4e-13)
    assert np.log10(D_BULK / D_BOUNDARY) == pytest.approx(5.27, abs=0.005)


def test_lithium_density_of_the_cell() -> None:
    assert lithium_density(0.29, (3.87e-10) ** 3) == pytest.approx(DENSITY, rel=0.002)


# E in eV, D at -110 C in m2/s, sqrt(4 D t) of an hour in m
COLD = [
    (0.30, 1.7e-16, 1.5e-6),
    (0.35, 3.3e-17, 0.69e-6),
    (0.40, 6.6e-18, 0.31e-6),
    (0.45, 1.3e-18, 0.14e-6),
]


@pytest.mark.parametrize(("energy", "cold", "way"), COLD)
def test_what_the_cold_stage_freezes(energy: float, cold: float, way: float) -> None:
    hour = liso.effective_time(
        [0.0, 3600.0], [from_celsius(-110.0)] * 2, energy, from_celsius(25.0)
    )
    # Two digits are given.
    assert D_BULK * hour.value / 3600 == pytest.approx(cold, rel=0.03)
    assert np.sqrt(4 * D_BULK * hour.value) == pytest.approx(way, rel=0.04)


@pytest.mark.parametrize("energy", [0.30, 0.35, 0.40, 0.45])
def test_boundaries_are_frozen_in_the_cold(energy: float) -> None:
    """A grain of 5 um behind k = 1.4e-8 m/s takes above 1500 h at -110 C (1 nm, the fastest)."""
    hour = liso.effective_time(
        [0.0, 3600.0], [from_celsius(-110.0)] * 2, energy, from_celsius(25.0)
    )
    assert 5e-6 / 1.4e-8 / hour.value > 1500


def test_conductivity_of_the_grains() -> None:
    """8.1e-4 S/cm / H, so that 1e-3 S/cm makes a Haven ratio of 0.81."""
    sigma = nernst_einstein(D_BULK, 298.0, DENSITY)
    assert to_s_per_cm(sigma) == pytest.approx(8.1e-4, rel=0.005)
    assert to_s_per_cm(nernst_einstein(D_BULK, 298.0, DENSITY, 0.81)) == pytest.approx(
        1e-3, rel=0.005
    )


def test_share_of_the_boundaries() -> None:
    """1/(1 + k d/D) of the resistance of the series."""
    for k, d in ((1.4e-8, 5e-6), (1.4e-9, 20e-6), (1e-6, 5e-6)):
        whole = 1 / liso.effective_diffusivity(D_BULK, k, d)
        assert 1 / (k * d) / whole == pytest.approx(1 / (1 + k * d / D_BULK))


def test_three_dimensional_bricks_reduce_to_the_series() -> None:
    for delta, k, _, _ in ROWS:
        for d in (1e-6, 5e-6, 20e-6):
            if delta > 0.005 * d:
                continue
            three = brick_layer_conductivity(D_BULK, D_BOUNDARY, d, delta)
            assert three == pytest.approx(liso.effective_diffusivity(D_BULK, k, d), rel=1e-3)


def test_three_dimensional_bricks_with_fast_boundaries() -> None:
    """Conducting boundaries work in parallel: sigma = s_b + 2/3 phi s_par."""
    three = brick_layer_conductivity(1.0, 1e6, 1e-6, 1e-9)
    assert three == pytest.approx(1.0 + 2 / 3 * 3e-3 * 1e6, rel=1e-3)
    along = brick_layer_conductivity(1.0, 1.0, 1e-6, 1e-9, along=100.0)
    assert along == pytest.approx((1 + 2 / 3 * 3e-3 * 100) / (1 + 1e-3))
    with pytest.raises(ValueError, match="thinner than grains"):
        brick_layer_conductivity(1.0, 1e-3, 1e-8, 2e-9)


def test_exchange_current() -> None:
    """i0 = e n k = k_B T / (e R): 1.1 mA/cm2 at k = 1.4e-8 m/s, 22.9 ohm cm2."""
    found = liso.boundary_transport(1.4e-8, 298.0, DENSITY)
    assert to_ma_per_cm2(found.exchange_current.value) == pytest.approx(1.1, rel=0.03)
    assert to_ohm_cm2(found.resistance.value) == pytest.approx(22.9, rel=0.005)
    thermal = BOLTZMANN_EV * 298.0
    assert found.exchange_current.value == pytest.approx(thermal / found.resistance.value)


def test_haven_ratio_from_impedance() -> None:
    """Hot-pressed Li0.35La0.55TiO3 (ARL-TR-7401): 3.8e-5 S/cm and 2.42 um make 6.4 ohm cm2.

    With the k of 1 and 2 nm the Haven ratio is 0.28 and 0.14, delta x H = 0.28 nm; different
    samples, an order of magnitude only.
    """
    resistance = resistance_from_impedance(from_s_per_cm(3.8e-5), 2.42e-6)
    assert to_ohm_cm2(resistance.value) == pytest.approx(6.4, abs=0.05)
    for delta, haven in ((1e-9, 0.28), (2e-9, 0.14)):
        k = D_BOUNDARY / delta
        found = liso.haven_ratio_from_impedance(resistance, k, 298.0, DENSITY)
        assert found.value.value == pytest.approx(haven, abs=0.005)
        assert found.value.value * delta == pytest.approx(0.28e-9, abs=0.005e-9)
        again = liso.boundary_transport(k, 298.0, DENSITY, found.value)
        assert to_ohm_cm2(again.resistance.value) == pytest.approx(6.4, abs=0.05)
    assert from_ohm_cm2(6.4) == pytest.approx(resistance.value, rel=0.01)


def test_total_conductivity_of_that_pellet() -> None:
    """Lattice 1.5e-3 and boundaries 3.8e-5 S/cm in series: 3.7e-5 S/cm in total."""
    total = 1 / (1 / 1.5e-3 + 1 / 3.8e-5)
    assert total == pytest.approx(3.7e-5, rel=0.005)
    bulk, size, width = from_s_per_cm(1.5e-3), 2.42e-6, 1e-9
    specific = from_s_per_cm(3.8e-5) * width / size
    assert to_s_per_cm(brick_layer_conductivity(bulk, specific, size, width)) == pytest.approx(
        total, rel=0.002
    )


def test_slope_between_room_temperature_and_600_k() -> None:
    """QENS at 600 K, 6.8e-6 and 4.4e-6 cm2/s, with 2.6e-8 at 298 K: about 0.28 eV."""
    energies = []
    for hot, error in ((6.8e-6, 0.5e-6), (4.4e-6, 0.3e-6)):
        points = [
            liso.Estimate(
                from_cm2_per_s(v), from_cm2_per_s(v - 2 * s), from_cm2_per_s(v + 2 * s), "resolved"
            )
            for v, s in ((2.6e-8, 0.1e-8), (hot, error))
        ]
        energies.append(liso.fit_arrhenius([298.0, 600.0], points).activation_energy.value)
    assert np.mean(energies) == pytest.approx(0.28, abs=0.01)


def test_limits_of_the_series() -> None:
    assert liso.effective_diffusivity(D_BULK, np.inf, 5e-6) == pytest.approx(D_BULK)
    assert liso.effective_diffusivity(D_BULK, 1e-14, 5e-6) == pytest.approx(5e-20, rel=1e-6)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0.0, 1e-8, 1e-6), "diffusivity"),
        ((1e-12, -1e-8, 1e-6), "permeability"),
        ((1e-12, 1e-8, np.nan), "grain_size"),
    ],
)
def test_effective_diffusivity_refuses(arguments: tuple[float, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        liso.effective_diffusivity(*arguments)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ((0.0, 298.0, DENSITY), "permeability"),
        ((1e-8, -1.0, DENSITY), "temperature"),
        ((1e-8, 298.0, 0.0), "lithium_density"),
        ((1e-8, 298.0, DENSITY, 0.0), "haven_ratio"),
    ],
)
def test_boundary_resistance_refuses(arguments: tuple[float, ...], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        liso.boundary_resistance(*arguments)
