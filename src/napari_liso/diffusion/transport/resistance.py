"""One boundary in the words of impedance: resistance, Haven ratio, exchange current.

Isotopes exchange across a boundary by J = k (c_a - c_b). Under a voltage the same
jumps carry charge, faster by 1/H: the Haven ratio H of the boundary is below 1 where
ions move in step. With n mobile lithium ions a volume the area-specific resistance is
R = k_B T H / (n e^2 k) and the exchange current i0 = e n k / H = k_B T / (e R).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from napari_liso.counting.measured import Measured
from napari_liso.diffusion.conductivity import boundary_resistance
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.transport.propagation import Quantity, as_estimate, power_product
from napari_liso.units import BOLTZMANN, ELEMENTARY_CHARGE, NANOMETRE

__all__ = [
    "ApparentDiffusivity",
    "AtomPermeability",
    "BoundaryTransport",
    "HavenRatio",
    "apparent_diffusivity",
    "atom_permeability",
    "boundary_transport",
    "haven_ratio_from_impedance",
    "lithium_density",
    "resistance_from_impedance",
]


@dataclass(frozen=True)
class ApparentDiffusivity:
    """D_gb = k delta / s, which never stands without its delta and s.

    Parameters
    ----------
    value
        m2/s.
    width
        The assumed delta, m. A map says nothing of it: its blur is a hundred to a
        thousand times as wide.
    density_ratio
        The assumed s: lithium density of the boundary over that of the grain.
    """

    value: Estimate
    width: float
    density_ratio: float

    def __str__(self) -> str:
        e = self.value
        return (
            f"k x delta / s = {e.value:.2e} m2/s ({e.lower:.2e} to {e.upper:.2e}) for an assumed "
            f"delta of {self.width / NANOMETRE:g} nm and s = {self.density_ratio:g}"
        )


@dataclass(frozen=True)
class BoundaryTransport:
    """What a permeability means for charge, with all that was assumed.

    Parameters
    ----------
    resistance
        Area-specific, ohm m2 (1e4 times as much in ohm cm2).
    exchange_current
        A/m2 (a tenth as much in mA/cm2).
    permeability
        k of the isotope, m/s.
    temperature
        K.
    lithium_density
        Of the mobile lithium, 1/m3.
    haven_ratio
        Of the boundary.
    notes
        In plain words.
    """

    resistance: Estimate
    exchange_current: Estimate
    permeability: Estimate
    temperature: Estimate
    lithium_density: Estimate
    haven_ratio: Estimate
    notes: tuple[str, ...] = ()


def boundary_transport(
    permeability: Quantity,
    temperature: float | Measured,
    lithium_density: float | Measured,
    haven_ratio: Quantity = 1.0,
) -> BoundaryTransport:
    """Resistance and exchange current of a boundary, errors included.

    Parameters
    ----------
    permeability
        k of the isotope, m/s.
    temperature
        At which k was measured, K.
    lithium_density
        n of the mobile lithium, 1/m3 (see `lithium_density`).
    haven_ratio
        H of the boundary. A bare 1 stands for "not known".

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    k = as_estimate(permeability, "permeability")
    t = as_estimate(temperature, "temperature")
    n = as_estimate(lithium_density, "lithium_density")
    h = as_estimate(haven_ratio, "haven_ratio")
    notes = []
    if not isinstance(haven_ratio, (Measured, Estimate)) and haven_ratio == 1.0:
        notes.append(
            "For a Haven ratio of 1: if that of the boundary is smaller, the resistance is lower "
            "and the exchange current higher in proportion."
        )
    elif h.lower > 1:
        notes.append(_ABOVE_ONE)
    unit = boundary_resistance(1.0, 1.0, 1.0)
    terms = [(t, 1.0, "temperature"), (h, 1.0, "haven_ratio")]
    below = [(n, -1.0, "lithium_density"), (k, -1.0, "permeability")]
    current = [(n, 1.0, "lithium_density"), (k, 1.0, "permeability"), (h, -1.0, "haven_ratio")]
    return BoundaryTransport(
        resistance=power_product(unit, *terms, *below, decided_by=k),
        exchange_current=power_product(ELEMENTARY_CHARGE, *current, decided_by=k),
        permeability=k,
        temperature=t,
        lithium_density=n,
        haven_ratio=h,
        notes=tuple(notes),
    )


_ABOVE_ONE = (
    "The Haven ratio is above 1: the impedance and the map do not see the same boundary, or the "
    "lithium density, the grain size or the time is off."
)


@dataclass(frozen=True)
class HavenRatio:
    """Haven ratio of a boundary and what it was worked out from.

    Parameters
    ----------
    value
        Dimensionless.
    resistance
        By impedance, ohm m2.
    permeability
        By isotopes, m/s.
    temperature, lithium_density
        K and 1/m3.
    notes
        In plain words.
    """

    value: Estimate
    resistance: Estimate
    permeability: Estimate
    temperature: Estimate
    lithium_density: Estimate
    notes: tuple[str, ...] = field(default=())


def haven_ratio_from_impedance(
    resistance: Quantity,
    permeability: Quantity,
    temperature: float | Measured,
    lithium_density: float | Measured,
) -> HavenRatio:
    """Haven ratio of a boundary from its resistance: H = R n e^2 k / (k_B T).

    Both must be of the same pellet and temperature; the resistance of one boundary
    comes from `resistance_from_impedance`.

    Parameters
    ----------
    resistance
        Area-specific, of one boundary, ohm m2.
    permeability
        k of the isotope, m/s; of many boundaries the one that belongs to their mean
        resistance, 1/mean(1/k), not the median.
    temperature
        K.
    lithium_density
        1/m3.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    r = as_estimate(resistance, "resistance")
    k = as_estimate(permeability, "permeability")
    t = as_estimate(temperature, "temperature")
    n = as_estimate(lithium_density, "lithium_density")
    value = power_product(
        1.0 / boundary_resistance(1.0, 1.0, 1.0),
        (r, 1.0, "resistance"),
        (n, 1.0, "lithium_density"),
        (k, 1.0, "permeability"),
        (t, -1.0, "temperature"),
        decided_by=k,
    )
    notes = (_ABOVE_ONE,) if value.lower > 1 else ()
    return HavenRatio(value, r, k, t, n, notes)


def resistance_from_impedance(conductivity: Quantity, grain_size: Quantity) -> Estimate:
    """Resistance of one boundary from the apparent grain-boundary conductivity of a pellet.

    R = d / sigma_gb,app with sigma_gb,app = L/(R_gb A) from the arc of the boundaries: a
    current crosses L/d boundaries in series. The width of the boundary does not enter.
    The specific conductivity sigma_gb,app delta/d does contain it: do not compare that.

    Parameters
    ----------
    conductivity
        sigma_gb,app, S/m.
    grain_size
        Mean distance between boundaries along the current, m.

    Returns
    -------
    Estimate
        ohm m2.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    return power_product(
        1.0, (grain_size, 1.0, "grain_size"), (conductivity, -1.0, "conductivity")
    )


def apparent_diffusivity(
    permeability: Quantity, width: float, density_ratio: float = 1.0
) -> ApparentDiffusivity:
    """D_gb that a layer of an assumed width would need to have: k delta / s.

    Parameters
    ----------
    permeability
        k, m/s.
    width
        delta, m.
    density_ratio
        s, lithium density of the layer over that of the grain.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    value = power_product(
        1.0,
        (permeability, 1.0, "permeability"),
        (width, 1.0, "width"),
        (density_ratio, -1.0, "density_ratio"),
        decided_by=permeability,
    )
    return ApparentDiffusivity(value, width, density_ratio)


def lithium_density(lithium_per_cell: float, cell_volume: float) -> float:
    """Lithium density in 1/m3.

    Parameters
    ----------
    lithium_per_cell
        Mobile lithium ions in a unit cell (0.29 in Li0.29La0.57TiO3).
    cell_volume
        m3 ((3.87e-10 m)^3 there).

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    return power_product(
        1.0, (lithium_per_cell, 1.0, "lithium_per_cell"), (cell_volume, -1.0, "cell_volume")
    ).value


@dataclass(frozen=True)
class AtomPermeability:
    """An interface between two phases with different lithium densities.

    What is common to both sides is the flux in atoms, J = P (c_a - c_b). Seen from a
    phase with n atoms a volume it looks like a permeability k = P / n.

    Parameters
    ----------
    value
        P, 1/(m2 s).
    permeability_a, permeability_b
        k as seen from either side, m/s.
    resistance
        k_B T H / (e^2 P), ohm m2; None where no temperature was given.
    """

    value: Estimate
    permeability_a: Estimate
    permeability_b: Estimate
    resistance: Estimate | None


def atom_permeability(
    permeability: Quantity,
    density: float | Measured,
    density_beyond: float | Measured | None = None,
    temperature: float | Measured | None = None,
    haven_ratio: Quantity = 1.0,
) -> AtomPermeability:
    """Permeability of an interface in atoms, P = n k.

    The fit of a map takes one lithium density for the whole map. Between an electrode
    and an electrolyte it is not the fraction's flux that is continuous but that of the
    atoms, -n D dc/dx; k of such a boundary depends on the side it is written for.

    Parameters
    ----------
    permeability
        k written for the phase with `density`, m/s.
    density
        Lithium density there, 1/m3.
    density_beyond
        On the other side; None for the same.
    temperature, haven_ratio
        For the resistance.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    beyond = density if density_beyond is None else density_beyond
    k, n = (permeability, 1.0, "permeability"), (density, 1.0, "density")
    resistance = None
    if temperature is not None:
        resistance = power_product(
            BOLTZMANN / ELEMENTARY_CHARGE**2,
            (temperature, 1.0, "temperature"),
            (haven_ratio, 1.0, "haven_ratio"),
            (density, -1.0, "density"),
            (permeability, -1.0, "permeability"),
            decided_by=permeability,
        )
    seen_beyond = (
        power_product(1.0, k, decided_by=permeability)
        if density_beyond is None
        else power_product(1.0, k, n, (beyond, -1.0, "density_beyond"), decided_by=permeability)
    )
    return AtomPermeability(
        value=power_product(1.0, k, n, decided_by=permeability),
        permeability_a=power_product(1.0, k, decided_by=permeability),
        permeability_b=seen_beyond,
        resistance=resistance,
    )
