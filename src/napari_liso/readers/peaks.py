"""What all formats with a mass axis share: windows by name and recalibration.

Two peaks of known ions decide both coefficients of a time-of-flight calibration
``sqrt(m) = slope * t + offset``. A wrong calibration and the right one are
therefore related by a straight line between the square roots of their masses,
whatever unit the file counts its times in (`Recalibration`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.acquisition import Acquisition, Spectrum
from napari_liso.isotopes import ion_mass, isotope_of
from napari_liso.readers._files import Windows, check_windows
from napari_liso.readers.checks import general_warnings, window_warnings
from napari_liso.readers.windows import observed_peak, observed_windows

__all__ = ["Recalibrate", "Recalibration", "WindowsOrNames", "propose_windows", "read_peaks"]

WindowsOrNames = Mapping[str, tuple[float, float]] | Sequence[str]
Recalibrate = Mapping[str, float] | Sequence[str]

#: Farther than this from one another, the two scales are not of one measurement.
_MAX_CHANGE = 0.1
#: How far peaks may be from their theoretical masses and are still looked for.
_SEARCH = 3e-3


@dataclass(frozen=True)
class Recalibration:
    """A new mass scale: ``sqrt(new) = slope * sqrt(old) + offset``.

    Parameters
    ----------
    slope, offset
        Of the line; offset in sqrt(u).
    peaks
        Name of each ion, its mass on the old scale and its theoretical mass, u.
    """

    slope: float
    offset: float
    peaks: tuple[tuple[str, float, float], ...] = ()

    @classmethod
    def from_peaks(
        cls, observed: Mapping[str, float], polarity: str | None = None
    ) -> Recalibration:
        """Return the scale on which two observed peaks are at their theoretical masses.

        Parameters
        ----------
        observed
            Name of each ion and the mass in u at which it is seen.
        polarity
            Of the ions, see `napari_liso.isotopes.ion_mass`.

        Raises
        ------
        ValueError
            If there are not two different ions of known mass, or the new scale
            would differ by more than a tenth.
        """
        if len(observed) != 2:
            raise ValueError(f"a recalibration takes two peaks, got {len(observed)}: {observed}")
        peaks = tuple(
            (name, float(seen), ion_mass(name, polarity)) for name, seen in observed.items()
        )
        if any(not (math.isfinite(seen) and seen > 0) for _, seen, _ in peaks):
            raise ValueError(f"observed masses must be positive numbers in u, got {observed}")
        a_old, b_old = (math.sqrt(seen) for _, seen, _ in peaks)
        a_new, b_new = (math.sqrt(true) for _, _, true in peaks)
        if a_old == b_old or a_new == b_new:
            raise ValueError(f"a recalibration takes two peaks at different masses: {observed}")
        slope = (b_new - a_new) / (b_old - a_old)
        if not abs(slope - 1) < _MAX_CHANGE:
            raise ValueError(
                f"the peaks {dict(observed)} would stretch the mass scale by {slope:.3g}; "
                "they are not these ions"
            )
        return cls(slope, a_new - slope * a_old, peaks)

    def to_new(self, mass: ArrayLike) -> NDArray[np.float64]:
        """Return masses in u on the new scale."""
        return _line(np.sqrt(np.asarray(mass, float)), self.slope, self.offset)

    def to_old(self, mass: ArrayLike) -> NDArray[np.float64]:
        """Return masses in u on the file's own scale."""
        root = np.sqrt(np.asarray(mass, float))
        return _line(root, 1 / self.slope, -self.offset / self.slope)

    def as_metadata(self) -> dict[str, Any]:
        """Return the recalibration as JSON-able facts."""
        return {
            "model": "sqrt(mass) = slope * sqrt(mass of the file's calibration) + offset",
            "slope": self.slope,
            "offset": self.offset,
            "peaks": [
                {"ion": name, "observed_u": seen, "theoretical_u": true}
                for name, seen, true in self.peaks
            ],
        }


def _line(root: NDArray[np.float64], slope: float, offset: float) -> NDArray[np.float64]:
    # A square would fold masses below zero back in.
    return np.maximum(slope * root + offset, 0.0) ** 2


def propose_windows(
    mass: ArrayLike,
    counts: ArrayLike,
    names: Sequence[str],
    search: float = _SEARCH,
    polarity: str | None = None,
) -> Windows:
    """Propose windows around the observed peaks of named ions.

    Isotopes of one element get windows equally wide in flight time, so that each holds
    the same share of its peak.

    Parameters
    ----------
    mass, counts
        A spectrum, as `Acquisition.spectrum` returns it.
    names
        Such as ``["6Li", "7Li", "Na"]``, or masses in u as text.
    search
        How far each peak may be from its theoretical mass, as a fraction.
    polarity
        Of the ions, see `napari_liso.isotopes.ion_mass`.

    Returns
    -------
    dict
        (low, high) in u by name.

    Raises
    ------
    ValueError
        If a name is no ion of known mass, or no peak is seen there.
    """
    groups: dict[str, dict[str, float]] = {}
    for name in names:
        isotope = isotope_of(name)
        group = groups.setdefault(name if isotope is None else isotope[0], {})
        group[name] = ion_mass(name, polarity)
    found: Windows = {}
    for peaks in groups.values():
        found |= observed_windows(mass, counts, peaks, search)
    return {name: found[name] for name in names}


def read_peaks(
    read: Callable[[Windows | None], Acquisition],
    windows: WindowsOrNames | None,
    recalibrate: Recalibrate | None,
) -> Acquisition:
    """Read with windows by name or on a new scale, and say what is doubtful.

    Parameters
    ----------
    read
        The format's reader, for windows on the file's own mass scale.
    windows, recalibrate
        As for `napari_liso.readers.read`.
    """
    names = None
    chosen: Windows | None = None
    if windows is None or isinstance(windows, Mapping):
        chosen = check_windows(windows)
    else:
        names = [windows] if isinstance(windows, str) else [str(name) for name in windows]
    scale = None
    whole = None
    if names is not None or recalibrate is not None:
        whole = read(None)
        spectrum = whole.spectrum()
        polarity = whole.metadata.get("polarity")
        if recalibrate is not None:
            seen = _observed(spectrum, recalibrate, polarity)
            scale = Recalibration.from_peaks(seen, polarity)
            spectrum = (scale.to_new(spectrum[0]), spectrum[1])
        if names is not None:
            chosen = check_windows(propose_windows(*spectrum, names, polarity=polarity))
    if scale is not None and chosen is not None:
        on_file = {
            name: (float(scale.to_old(low)), float(scale.to_old(high)))
            for name, (low, high) in chosen.items()
        }
        acquisition = read(on_file)
    elif whole is not None and chosen is None:
        acquisition = whole
    else:
        acquisition = read(chosen)
    return _described(acquisition, chosen, names is not None, scale)


def _observed(spectrum: Spectrum, ions: Recalibrate, polarity: str | None) -> Mapping[str, float]:
    """Return where two ions are seen, from the spectrum where only their names are given."""
    if isinstance(ions, Mapping):
        return ions
    found = {}
    for name in ions:
        try:
            found[name] = observed_peak(*spectrum, ion_mass(name, polarity), _SEARCH)
        except ValueError as error:
            raise ValueError(f"no peak of {name} to recalibrate with: {error}") from error
    return found


def _described(
    acquisition: Acquisition,
    windows: Windows | None,
    found_by_name: bool,
    scale: Recalibration | None,
) -> Acquisition:
    """Add the windows, the new scale and the warnings to what was read."""
    metadata = dict(acquisition.metadata)
    source = acquisition.spectrum_source
    if scale is not None and source is not None:
        own_spectrum, to_new = source, scale.to_new

        def source() -> Spectrum:
            mass, counts = own_spectrum()
            return to_new(mass), counts

        metadata["recalibration"] = scale.as_metadata()
    masses = acquisition.masses
    if windows is not None:
        metadata["windows"] = {name: list(window) for name, window in windows.items()}
        metadata["windows_from"] = "observed peaks" if found_by_name else "given"
        masses = np.array([sum(windows[name]) / 2 for name in acquisition.channels])
    described = replace(acquisition, masses=masses, metadata=metadata, spectrum_source=source)
    metadata["warnings"] = [
        *metadata.get("warnings", ()),
        *(window_warnings(described, windows) if windows is not None else ()),
        *general_warnings(described),
    ]
    return described
