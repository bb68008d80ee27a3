"""The one place where SI meets the units that people read.

Inside the science everything is SI (m, s, m2/s, m/s, K). These factors and
functions are for the edges: files, tables, labels and widgets.
"""

from __future__ import annotations

__all__ = [
    "BOLTZMANN",
    "BOLTZMANN_EV",
    "ELEMENTARY_CHARGE",
    "MICROMETRE",
    "NANOMETRE",
    "ZERO_CELSIUS",
    "from_celsius",
    "from_cm2_per_s",
    "from_ohm_cm2",
    "from_s_per_cm",
    "from_um",
    "to_cm2_per_s",
    "to_ma_per_cm2",
    "to_ohm_cm2",
    "to_s_per_cm",
    "to_um",
]

MICROMETRE = 1e-6  #: m
NANOMETRE = 1e-9  #: m
BOLTZMANN = 1.380649e-23  #: J/K, exact (SI 2019)
ELEMENTARY_CHARGE = 1.602176634e-19  #: C, exact (SI 2019)
BOLTZMANN_EV = BOLTZMANN / ELEMENTARY_CHARGE  #: eV/K
ZERO_CELSIUS = 273.15  #: K, exact


def to_um(length: float) -> float:
    """Metres to micrometres."""
    return length / MICROMETRE


def from_um(length: float) -> float:
    """Micrometres to metres."""
    return length * MICROMETRE


def to_cm2_per_s(diffusivity: float) -> float:
    """Diffusivity from m2/s to cm2/s."""
    return diffusivity * 1e4


def from_cm2_per_s(diffusivity: float) -> float:
    """Diffusivity from cm2/s to m2/s."""
    return diffusivity * 1e-4


def to_ohm_cm2(resistance: float) -> float:
    """Area-specific resistance from ohm m2 to ohm cm2."""
    return resistance * 1e4


def from_ohm_cm2(resistance: float) -> float:
    """Area-specific resistance from ohm cm2 to ohm m2."""
    return resistance * 1e-4


def to_s_per_cm(conductivity: float) -> float:
    """Conductivity from S/m to S/cm."""
    return conductivity * 1e-2


def from_s_per_cm(conductivity: float) -> float:
    """Conductivity from S/cm to S/m."""
    return conductivity * 1e2


def to_ma_per_cm2(current_density: float) -> float:
    """Current density from A/m2 to mA/cm2."""
    return current_density * 0.1


def from_celsius(temperature: float) -> float:
    """Temperature from degrees Celsius to K."""
    return temperature + ZERO_CELSIUS
