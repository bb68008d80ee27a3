"""What a spectrum itself proposes: its strongest peaks, and ions to recalibrate with.

The matrix of a sample is seen in its strongest peaks, whatever they are. Ions
that solid electrolytes and their surroundings give are called by their names.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.isotopes import ion_mass, isotope_of
from napari_liso.readers._files import Windows
from napari_liso.readers.windows import observed_peak, observed_window, observed_windows

__all__ = ["KNOWN_IONS", "matrix_windows", "name_of_peak", "recalibration_ions"]

#: Positive ions of solid electrolytes, electrodes, substrates and the usual dirt.
KNOWN_IONS = (
    "1H", "12C", "23Na", "24Mg", "27Al", "28Si", "31P", "32S", "39K", "40Ca", "48Ti", "51V",
    "52Cr", "55Mn", "56Fe", "59Co", "58Ni", "63Cu", "65Cu", "69Ga", "71Ga", "74Ge", "88Sr", "89Y",
    "90Zr", "93Nb", "115In", "133Cs", "138Ba", "139La", "181Ta", "197Au", "209Bi",
)  # fmt: skip
_LITHIUM = ("6Li", "7Li")

#: Width of the bins in which peaks are looked for, relative to the mass: coarse
#: enough that a peak is a few bins wide, fine enough to part neighbours.
_BIN = 5e-4
#: Peaks this close, relative to the mass, are one.
_APART = 4e-3
#: Part of the spectrum that tells what a peak and the grid are like, relative to the mass.
_AROUND = 0.02
_MIN_COUNTS = 100
#: A known ion goes before an unknown peak up to this many times as strong: the
#: hydrocarbons on every surface are no matrix.
_PREFERENCE = 4.0
#: Two of these, in the order of preference, decide a mass scale.
_SCALE_IONS = ("H", "7Li", "Na", "C", "K", "Al", "Cs")

Floats = NDArray[np.float64]


def name_of_peak(mass: float, tolerance: float = 1e-3) -> str:
    """Name a peak after the ion of solid electrolytes that it may be.

    Parameters
    ----------
    mass
        Of the observed peak, u.
    tolerance
        Greatest distance from an ion's mass, as a fraction.

    Returns
    -------
    str
        Such as ``"139La"``, or ``"m/z 45.1"`` where no such ion is near.
    """
    masses = np.array([ion_mass(name) for name in KNOWN_IONS])
    nearest = int(np.argmin(np.abs(masses - mass)))
    if abs(masses[nearest] / mass - 1) <= tolerance:
        return KNOWN_IONS[nearest]
    return f"m/z {mass:.1f}"


def matrix_windows(
    mass: ArrayLike, counts: ArrayLike, number: int = 3, exclude: Sequence[str] = _LITHIUM
) -> Windows:
    """Propose windows around the strongest peaks of a spectrum.

    Parameters
    ----------
    mass, counts
        A spectrum, as `Acquisition.spectrum` returns it.
    number
        Of peaks at most.
    exclude
        Ions that are not asked for here.

    Returns
    -------
    dict
        (low, high) in u by name, the strongest first, known ions before others;
        empty where no peak stands out.
    """
    mass, counts = np.asarray(mass, np.float64), np.asarray(counts, np.float64)
    centres, strength = _peaks(mass, counts)
    apart_from = [ion_mass(name) for name in exclude]
    known = np.array([name_of_peak(centre) in KNOWN_IONS for centre in centres], bool)
    rank = np.where(known, _PREFERENCE, 1.0) * strength
    found: Windows = {}
    for near in centres[np.argsort(-rank, kind="stable")]:
        if len(found) == number:
            break
        if any(abs(near / other - 1) < _APART for other in apart_from):
            continue
        try:
            first, last = np.searchsorted(mass, [near * (1 - _AROUND), near * (1 + _AROUND)])
            low, high = observed_window(mass[first:last], counts[first:last], near)
        except ValueError:  # a hump without a top
            continue
        apart_from.append(near)
        name = name_of_peak((low + high) / 2)
        if name in found:
            name = f"m/z {(low + high) / 2:.2f}"
        found[name] = (float(low), float(high))
    return found | _equal_shares(mass, counts, found)


def _equal_shares(mass: Floats, counts: Floats, windows: Windows) -> Windows:
    """Return windows of isotopes of one element that hold equal shares of their peaks."""
    groups: dict[str, list[str]] = {}
    for name in windows:
        isotope = isotope_of(name)
        if isotope is not None:
            groups.setdefault(isotope[0], []).append(name)
    better: Windows = {}
    for names in groups.values():
        if len(names) > 1:
            peaks = {name: sum(windows[name]) / 2 for name in names}
            near = np.zeros(len(mass), bool)
            for middle in peaks.values():
                near |= np.abs(mass / middle - 1) <= _AROUND
            better |= observed_windows(mass[near], counts[near], peaks)
    return better


def _peaks(mass: Floats, counts: Floats) -> tuple[Floats, Floats]:
    """Return mass and counts above the surroundings of every local maximum."""
    usable = mass > 0.5
    mass, counts = mass[usable], counts[usable]
    if len(mass) < 3:
        return np.zeros(0), np.zeros(0)
    bins = ((np.log(mass) - np.log(mass[0])) / _BIN).astype(np.int64)
    height = np.bincount(bins, counts)
    smooth = np.convolve(height, np.ones(3), mode="same")
    inner = smooth[1:-1]
    tops = 1 + np.flatnonzero((inner > smooth[:-2]) & (inner >= smooth[2:]))
    reach = round(_APART / _BIN)
    padded = np.pad(smooth, reach)
    # A peak is what rises above the flanks on both of its sides.
    around = np.maximum(padded[tops], padded[tops + 2 * reach])
    strength = smooth[tops] - around
    strong = (strength >= _MIN_COUNTS) & (strength > 0.5 * smooth[tops])
    tops = tops[strong]
    # The mean of the bins around the top; the middle of a bin would do, too.
    weights = np.stack([height[tops - 1], height[tops], height[np.minimum(tops + 1, bins[-1])]])
    shift = (weights[2] - weights[0]) / weights.sum(axis=0)
    centres = mass[0] * np.exp((tops + 0.5 + shift) * _BIN)
    return centres, strength[strong]


def recalibration_ions(mass: ArrayLike, counts: ArrayLike) -> tuple[str, ...]:
    """Return the two ions, of those that are seen, that a mass scale is best decided with.

    Hydrogen, lithium and sodium come first: they are in every spectrum, light,
    and have no neighbours. Fewer than two where the spectrum does not show them.
    """
    mass, counts = np.asarray(mass, np.float64), np.asarray(counts, np.float64)
    seen: list[str] = []
    for name in _SCALE_IONS:
        near = ion_mass(name)
        first, last = np.searchsorted(mass, [near * (1 - _AROUND), near * (1 + _AROUND)])
        try:
            observed_peak(mass[first:last], counts[first:last], near, 3e-3)
        except ValueError:
            continue
        seen.append(name)
        if len(seen) == 2:
            break
    return tuple(seen)
