"""From permeability to what the impedance of a pellet is compared with."""

from __future__ import annotations

import numpy as np

from napari_liso.units import BOLTZMANN, ELEMENTARY_CHARGE

__all__ = [
    "boundary_resistance",
    "brick_layer_conductivity",
    "effective_diffusivity",
    "nernst_einstein",
]


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


def nernst_einstein(
    diffusivity: float, temperature: float, lithium_density: float, haven_ratio: float = 1.0
) -> float:
    """Conductivity from a tracer diffusivity, sigma = n e^2 D / (k_B T H).

    Parameters
    ----------
    diffusivity
        D of the isotope, m2/s.
    temperature
        K.
    lithium_density
        n of the mobile lithium, 1/m3.
    haven_ratio
        H of the material; 1 where it is not known, which makes sigma a lower value if H
        is below 1.

    Returns
    -------
    float
        S/m; a hundredth as much in S/cm.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    _positive(
        diffusivity=diffusivity,
        temperature=temperature,
        lithium_density=lithium_density,
        haven_ratio=haven_ratio,
    )
    charge = lithium_density * ELEMENTARY_CHARGE**2
    return charge * diffusivity / (BOLTZMANN * temperature * haven_ratio)


def brick_layer_conductivity(
    bulk: float, across: float, grain_size: float, width: float, along: float | None = None
) -> float:
    """Effective conductivity of cubic grains with boundaries on all faces (3-D brick layers).

    With the volume fraction phi = 3 delta/d of the boundaries, two thirds of them along
    the current and one third across it (Maier, Ber. Bunsenges. Phys. Chem. 90, 26, 1986):
    sigma = [s_b s_perp + 2/3 phi s_par s_perp] / [s_perp + 1/3 phi s_b]. For blocking
    boundaries it is the series form of `effective_diffusivity` with k = s_perp/delta.
    Diffusivities may be given instead of conductivities.

    Parameters
    ----------
    bulk
        Of the grains, S/m.
    across
        Of the boundary layer, across it, S/m.
    grain_size
        d, m.
    width
        delta of the layer, m; the formula holds for delta << d.
    along
        Of the layer along itself, S/m; None: as across.

    Raises
    ------
    ValueError
        If an argument is not positive, or the width exceeds a tenth of the grain size.
    """
    along = across if along is None else along
    _positive(bulk=bulk, across=across, grain_size=grain_size, width=width, along=along)
    if width > 0.1 * grain_size:
        raise ValueError(
            f"the brick-layer model needs boundaries much thinner than grains, got a width of "
            f"{width:g} m in grains of {grain_size:g} m"
        )
    fraction = 3.0 * width / grain_size
    above = bulk * across + 2.0 / 3.0 * fraction * along * across
    return above / (across + fraction * bulk / 3.0)


def _positive(**values: float) -> None:
    for name, value in values.items():
        if not value > 0 or np.isnan(value):
            raise ValueError(f"{name} must be positive, got {value}")
