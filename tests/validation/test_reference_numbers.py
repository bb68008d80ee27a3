"""Published coefficients of Li0.29La0.57TiO3 and what follows from them.

D and D_gb at 25 C: Hasegawa et al., J. Mater. Chem. A 12, 731 (2024). The other
columns were worked out by hand from the formulas of the brick-layer model and
of Nernst and Einstein, with n = 0.29/(3.87 A)^3 and T = 298 K.
"""

from __future__ import annotations

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.units import to_ohm_cm2

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


def test_exchange_current() -> None:
    """i0 = e n k = k_B T / (e R): 1.1 mA/cm2 at k = 1.4e-8 m/s."""
    resistance = liso.boundary_resistance(1.4e-8, 298.0, DENSITY)
    current = 1.380649e-23 * 298.0 / 1.602176634e-19 / resistance
    assert current / 10 == pytest.approx(1.1e0, rel=0.03)  # A/m2 to mA/cm2


def test_haven_ratio_from_impedance() -> None:
    """6.4 ohm cm2 by impedance and the k of 1 nm make a Haven ratio of about 0.28."""
    full = to_ohm_cm2(liso.boundary_resistance(1.4e-8, 298.0, DENSITY))
    haven = 6.4 / full
    assert haven == pytest.approx(0.28, abs=0.005)
    again = liso.boundary_resistance(1.4e-8, 298.0, DENSITY, haven_ratio=haven)
    assert to_ohm_cm2(again) == pytest.approx(6.4)


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
