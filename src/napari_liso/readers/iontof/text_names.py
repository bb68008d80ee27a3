"""Names of peaks as ION-TOF's software writes them, such as ``^118SnI_3-``."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np

from napari_liso.isotopes import ion_mass, isotope_of

__all__ = ["is_ratio", "mass_in_name", "readable_names"]

#: The isotope that is meant where an element has no number.
_MAIN_ISOTOPE = {
    "H": 1, "Li": 7, "B": 11, "C": 12, "N": 14, "O": 16, "Cl": 35, "K": 39, "Cu": 63,
}  # fmt: skip
_CHARGE = re.compile(r"(?<=[A-Za-z0-9)\]])[+-]$")
_ELEMENT = re.compile(r"[A-Z][a-z]?$")
_MASS = re.compile(r"(\d+(?:\.\d+)?) ?u$")
_MASS_TOLERANCE = 0.01  # u


def is_ratio(name: str) -> bool:
    """Whether a column is the ratio of two peaks, such as ``Sn+ / ( Pb+ )``."""
    return "/" in name


def mass_in_name(name: str) -> float:
    """Return the mass in u of a peak that is called by it, such as ``26.00u``; else NaN."""
    found = _MASS.match(name.strip())
    return float(found[1]) if found else np.nan


def readable_names(
    originals: Sequence[str], masses: Sequence[float]
) -> tuple[tuple[str, ...], str | None]:
    """Return (names without marks of type, polarity) of the peaks of one measurement.

    ``^6Li+`` and ``Li+`` become ``6Li`` and ``7Li``: the charge is the same for
    all peaks, and an element without a number is its main isotope. Elements
    keep their names where no other isotope of theirs is measured. Names that
    occur twice are told apart by their masses.

    Parameters
    ----------
    originals
        As in the file.
    masses
        Of the peaks in u; NaN where unknown.
    """
    names = [" ".join(name.replace("^", "").replace("_", "").split()) for name in originals]
    charges = {found[0] for name in names if (found := _CHARGE.search(name))}
    polarity = None
    if len(charges) == 1:
        polarity = "positive" if charges == {"+"} else "negative"
        names = [_CHARGE.sub("", name) for name in names]
    elements = {isotope[0] for name in names if (isotope := isotope_of(name))}
    names = [
        _main_isotope(name, mass) if name in elements else name
        for name, mass in zip(names, masses, strict=True)
    ]
    return _unique(names, masses), polarity


def _main_isotope(name: str, mass: float) -> str:
    """Put the mass number before an element, where that is sure."""
    if not _ELEMENT.match(name) or name not in _MAIN_ISOTOPE:
        return name
    isotope = f"{_MAIN_ISOTOPE[name]}{name}"
    if np.isfinite(mass) and abs(mass - ion_mass(isotope)) > _MASS_TOLERANCE:
        return name
    return isotope


def _unique(names: Sequence[str], masses: Sequence[float]) -> tuple[str, ...]:
    """Tell equal names apart by their masses, or else by number; empty ones get a number."""
    named = [name or f"peak {number}" for number, name in enumerate(names, start=1)]
    times = Counter(named)
    found = [
        f"{name} ({mass:.4f} u)" if times[name] > 1 and np.isfinite(mass) else name
        for name, mass in zip(named, masses, strict=True)
    ]
    taken: set[str] = set()
    unique = []
    for name in found:
        number, candidate = 1, name
        while candidate in taken:
            number += 1
            candidate = f"{name} #{number}"
        taken.add(candidate)
        unique.append(candidate)
    return tuple(unique)
