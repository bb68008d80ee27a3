"""From permeability to what the impedance of a pellet is compared with."""

from __future__ import annotations

import numpy as np

from napari_liso.units import BOLTZMANN, ELEMENTARY_CHARGE

__all__ = ["boundary_resistance", "effective_diffusivity"]


def effective_diffusivity(diffusivity: float, permeability: float, grain_size: float) -> float:
    """Long-range diffusivity of a series of grains and boundaries (brick layers).

    1/D_eff = 1/D + 1/(k d): per grain of size d the way through the grain and
    one boundary are in series.

    Parameters
    ----------
    diffusivity
        D of the grains, m2/s.
    permeability
        k of the boundaries, m/s; inf for none.
    grain_size
        d, m.

    Returns
    -------
    float
        D_eff, m2/s.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    _positive(diffusivity=diffusivity, permeability=permeability, grain_size=grain_size)
    return 1.0 / (1.0 / diffusivity + 1.0 / (permeability * grain_size))


def boundary_resistance(
    permeability: float, temperature: float, lithium_density: float, haven_ratio: float = 1.0
) -> float:
    """Area-specific resistance of a boundary.

    R = k_B T H / (n e^2 k): the Nernst-Einstein relation for the exchange of
    isotopes across the boundary, with the Haven ratio H of that process.

    Parameters
    ----------
    permeability
        k of the isotope, m/s.
    temperature
        At which k was measured, K.
    lithium_density
        n of the mobile lithium, 1/m3.
    haven_ratio
        H of the boundary; 1 where it is not known, which makes R an upper value
        if H is below 1.

    Returns
    -------
    float
        ohm m2; 1e4 times as much in ohm cm2.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    _positive(
        permeability=permeability,
        temperature=temperature,
        lithium_density=lithium_density,
        haven_ratio=haven_ratio,
    )
    exchange = lithium_density * ELEMENTARY_CHARGE**2 * permeability
    return BOLTZMANN * temperature * haven_ratio / exchange


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0 or np.isnan(value):
            raise ValueError(f"{name} must be positive, got {value}")
