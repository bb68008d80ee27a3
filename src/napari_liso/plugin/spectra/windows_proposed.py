"""Windows for what is typed, or for what lies under the mouse."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from napari_liso.isotopes import ion_mass, isotope_of
from napari_liso.plugin.spectra.spectrum import SpectrumCurve
from napari_liso.readers.checks import window_warnings
from napari_liso.readers.peaks import propose_windows
from napari_liso.readers.proposals import matrix_windows, name_of_peak
from napari_liso.readers.windows import observed_window

if TYPE_CHECKING:
    from napari_liso.acquisition import Acquisition

__all__ = ["MATRIX", "doubts_about", "proposed_windows", "window_at"]

Windows = dict[str, tuple[float, float]]

#: Stands for the strongest peaks that were not asked for by name.
MATRIX = "matrix"
_SEARCH = 1e-3


def proposed_windows(curve: SpectrumCurve, names: Sequence[str], partly: bool = False) -> Windows:
    """Return windows around the observed peaks of ions, and of the matrix where that is asked.

    Parameters
    ----------
    curve
        The spectrum.
    names
        Ions, masses as text, or `MATRIX`.
    partly
        Leave out peaks that are not there; else they are an error.

    Raises
    ------
    ValueError
        If a peak is not there, or a mass is not known.
    """
    ions = [name for name in names if name != MATRIX]
    windows: Windows = {}
    for group in _by_element(ions):
        masses = {name: (ion_mass(name, curve.polarity),) * 2 for name in group}
        try:
            windows |= propose_windows(*curve.near(masses), group, polarity=curve.polarity)
        except ValueError:
            if not partly:
                raise
            windows |= _those_there(curve, group)
    if MATRIX in names:
        windows |= matrix_windows(curve.mass, curve.counts, exclude=[*ions, "6Li", "7Li"])
    return {n: (round(float(a), 6), round(float(b), 6)) for n, (a, b) in windows.items()}


def _by_element(names: Sequence[str]) -> list[list[str]]:
    """Return names in groups whose windows must hold equal shares of their peaks."""
    groups: dict[str, list[str]] = {}
    for name in names:
        isotope = isotope_of(name)
        groups.setdefault(name if isotope is None else isotope[0], []).append(name)
    return list(groups.values())


def _those_there(curve: SpectrumCurve, names: Sequence[str]) -> Windows:
    found: Windows = {}
    for name in names:
        mass = ion_mass(name, curve.polarity)
        try:
            near = curve.near({name: (mass, mass)})
            found |= propose_windows(*near, [name], polarity=curve.polarity)
        except ValueError:
            continue
    return found


def window_at(
    curve: SpectrumCurve, mass: float, half_width: float
) -> tuple[str, tuple[float, float]]:
    """Return name and window of the peak at a mass, or of the bare place where none is.

    Parameters
    ----------
    curve
        The spectrum.
    mass
        Where, u.
    half_width
        Of the window where there is no peak, u.
    """
    near = curve.near({"": (mass, mass)})
    try:
        low, high = observed_window(*near, mass, max(_SEARCH, half_width / mass))
    except ValueError:
        low, high = mass - half_width, mass + half_width
    low = max(low, 1e-6)
    middle = (low + high) / 2
    lithium = [n for n in ("6Li", "7Li") if np.isclose(ion_mass(n), middle, rtol=3e-3)]
    name = lithium[0] if lithium else name_of_peak(middle)
    return name, (round(float(low), 6), round(float(high), 6))


def doubts_about(acquisition: Acquisition, curve: SpectrumCurve, windows: Windows) -> list[str]:
    """Return what is doubtful about windows and is not among the file's warnings already."""
    if not windows:
        return []
    near = curve.near(windows)  # that is all it takes, and fast
    found = window_warnings(replace(acquisition, spectrum_source=lambda: near), windows)
    told = acquisition.metadata.get("warnings", ())
    return [text for text in found if text not in told]
