"""The mass scale of an open spectrum: the file's own, or one recalibrated with two peaks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.isotopes import ion_mass
from napari_liso.plugin.spectra.spectrum import SpectrumCurve
from napari_liso.readers.peaks import Recalibration
from napari_liso.readers.windows import observed_peak

__all__ = ["MassScale", "moved"]

Windows = dict[str, tuple[float, float]]

#: How far a peak may be from its theoretical mass and is still found by itself.
_SEARCH = 3e-3


class MassScale:
    """A spectrum and the recalibrations tried on it, the last one in use.

    Parameters
    ----------
    mass, counts
        The spectrum as its acquisition gives it.
    facts
        Metadata of the acquisition, which say the polarity and whether it was
        recalibrated already.
    """

    def __init__(self, mass: NDArray[Any], counts: NDArray[Any], facts: Mapping[str, Any]) -> None:
        former = _recalibration_in(facts)
        own = mass if former is None else former.to_old(mass)
        self._file = SpectrumCurve(own, counts, facts.get("polarity"))
        self._history: list[Recalibration | None] = [None] if former is None else [None, former]
        self.curve = self._shown()

    def _shown(self) -> SpectrumCurve:
        scale = self.current
        return self._file if scale is None else self._file.on_scale(scale.to_new(self._file.mass))

    @property
    def current(self) -> Recalibration | None:
        """The recalibration in use; None: the file's own scale."""
        return self._history[-1]

    @property
    def can_undo(self) -> bool:
        """Whether there is a former scale to go back to."""
        return len(self._history) > 1

    @property
    def recalibrate(self) -> dict[str, float] | None:
        """What `napari_liso.read` takes as ``recalibrate``, or None."""
        if self.current is None:
            return None
        return {name: round(seen, 6) for name, seen, _ in self.current.peaks}

    def seen_at(self, ion: str) -> float:
        """Return where an ion is seen on the present scale, u.

        Raises
        ------
        ValueError
            If its mass is not known, or no peak is near it.
        """
        if self.current is not None:
            for name, _, true in self.current.peaks:
                if name == ion:  # put there
                    return true
        near = ion_mass(ion, self.curve.polarity)
        mass, counts = self.curve.near({ion: (near, near)})
        return observed_peak(mass, counts, near, _SEARCH)

    def proposal(self, seen: Mapping[str, float]) -> Recalibration:
        """Return the recalibration that puts two peaks, seen on the present scale, right.

        Raises
        ------
        ValueError
            If they are not two known ions near their masses.
        """
        return Recalibration.from_peaks(
            {name: round(float(_on_file(self.current, mass)), 6) for name, mass in seen.items()},
            self.curve.polarity,
        )

    def shift_ppm(self, new: Recalibration, mass: float) -> float:
        """Return by how much `new` moves a mass of the present scale."""
        return float((new.to_new(_on_file(self.current, mass)) / mass - 1) * 1e6)

    def apply(self, new: Recalibration, windows: Windows) -> Windows:
        """Use a recalibration, and return the windows where they are on it."""
        shifted = moved(windows, self.current, new)
        self._history.append(new)
        self.curve = self._shown()
        return shifted

    def undo(self, windows: Windows) -> Windows:
        """Go back to the scale before, and return the windows where they are on it."""
        if not self.can_undo:
            return windows
        last = self._history.pop()
        self.curve = self._shown()
        return moved(windows, last, self.current)


def moved(windows: Windows, old: Recalibration | None, new: Recalibration | None) -> Windows:
    """Return windows of one scale on another; they hold the same counts."""

    def move(mass: float) -> float:
        on_file = _on_file(old, mass)
        return round(float(on_file if new is None else new.to_new(on_file)), 6)

    return {name: (move(low), move(high)) for name, (low, high) in windows.items()}


def _on_file(scale: Recalibration | None, mass: float) -> Any:
    return np.float64(mass) if scale is None else scale.to_old(mass)


def _recalibration_in(facts: Mapping[str, Any]) -> Recalibration | None:
    """Return the recalibration that an acquisition was read with."""
    kept = facts.get("recalibration")
    if not isinstance(kept, dict):
        return None
    return Recalibration.from_peaks(
        {p["ion"]: p["observed_u"] for p in kept["peaks"]}, facts.get("polarity")
    )
