"""Sums over the spectra of an imzML pair: by mass window, in all, and by mass.

One pass over the ``.ibd`` gives everything; memory holds a batch of values, one
number a spectrum and window, and the sum spectrum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers._progress import report
from napari_liso.readers.imzml.binary import Batch, batches
from napari_liso.readers.imzml.header import XML_SHARE
from napari_liso.readers.imzml.terms import Spectra

__all__ = ["MassHistogram", "Tally", "tally_spectra"]

#: Different masses kept in the sum spectrum; beyond, close ones are merged.
_MAX_MASSES = 2**22
#: Width in which masses are merged then, as a fraction of the mass; doubled as needed.
_FIRST_STEP = 2.5e-8
_PENDING = 2**21
#: Whole numbers up to here are exact in double precision.
_EXACT = 2.0**53

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Tally:
    """What one pass gives.

    Parameters
    ----------
    sums
        (channel, spectrum): intensity in each window, or in all.
    totals
        (spectrum,): intensity in all.
    mass, spectrum
        The sum over all spectra: ascending m/z values, and the intensity at each.
    merged
        Relative width in which m/z values were merged in `spectrum`; 0 where
        they are kept as they are.
    whole
        Whether every intensity of the file is a whole number, none negative.
    """

    sums: Floats
    totals: Floats
    mass: Floats
    spectrum: Floats
    merged: float
    whole: bool


def tally_spectra(
    ibd: Path, spectra: Spectra, windows: Sequence[tuple[float, float]] | None
) -> Tally:
    """Integrate mass windows over each spectrum's own m/z values.

    Parameters
    ----------
    ibd
        The binary file.
    spectra
        Whose arrays were found inside the file.
    windows
        (low, high) in u of each channel, low edge included, high edge not;
        None: one channel of everything.

    Raises
    ------
    FormatError
        If m/z values are negative or missing, intensities missing or beyond
        what can be added exactly, or compressed arrays damaged.
    """
    edges = list(windows or ())
    sums = np.zeros((len(edges), len(spectra)))
    totals = np.zeros(len(spectra))
    histogram = MassHistogram()
    axis: Floats | None = None
    along_axis: Floats | None = None
    whole = True
    for batch in batches(ibd, spectra):
        part = slice(batch.spectra.start, batch.spectra.stop)
        report(XML_SHARE + (1 - XML_SHARE) * batch.spectra.start / len(spectra))
        _check_values(ibd, batch)
        whole = whole and _is_whole(batch.intensity)
        if batch.shared:
            if axis is None or along_axis is None:
                axis = batch.mz.astype(np.float64)
                along_axis = np.zeros(len(axis))
            matrix = batch.intensity.reshape(len(batch.spectra), -1)
            totals[part] = matrix.sum(axis=1, dtype=np.float64)
            along_axis += matrix.sum(axis=0, dtype=np.float64)
            for row, (low, high) in zip(sums, edges, strict=True):
                inside = np.flatnonzero((axis >= low) & (axis < high))
                row[part] = matrix[:, inside].sum(axis=1, dtype=np.float64)
        else:
            _add(batch, edges, sums[:, part], totals[part], histogram)
    if axis is not None and along_axis is not None:
        histogram.add(axis, along_axis)
    mass, spectrum = histogram.result()
    if not np.isfinite(totals.sum()) or (whole and totals.sum() >= _EXACT):
        raise FormatError(ibd, "holds intensities too large to add up: it is damaged")
    return Tally(
        sums if windows is not None else totals[np.newaxis],
        totals,
        mass,
        spectrum,
        histogram.step,
        whole,
    )


def _add(
    batch: Batch,
    edges: list[tuple[float, float]],
    sums: Floats,
    totals: Floats,
    histogram: MassHistogram,
) -> None:
    """Add spectra that have m/z values of their own."""
    number = len(batch.spectra)
    mz = batch.mz.astype(np.float64, copy=False)
    intensity = batch.intensity.astype(np.float64)
    owner = np.repeat(np.arange(number, dtype=np.int32), batch.length)
    occupied = intensity != 0
    if not occupied.all():
        mz, intensity, owner = mz[occupied], intensity[occupied], owner[occupied]
    totals += np.bincount(owner, intensity, number)
    for row, (low, high) in zip(sums, edges, strict=True):
        inside = np.flatnonzero((mz >= low) & (mz < high))
        row += np.bincount(owner[inside], intensity[inside], number)
    histogram.add(mz, intensity)


def _check_values(ibd: Path, batch: Batch) -> None:
    where = f"in spectra {batch.spectra.start + 1} to {batch.spectra.stop}"
    # Comparisons with NaN are false.
    if len(batch.mz) and not (batch.mz.min() >= 0 and batch.mz.max() < 1e9):
        raise FormatError(ibd, f"has m/z values {where} that are negative, missing or immense")
    if len(batch.intensity):
        low, high = float(batch.intensity.min()), float(batch.intensity.max())
        # Whole numbers beyond cannot be added exactly; no detector makes them.
        if not (low > -_EXACT and high < _EXACT):
            raise FormatError(ibd, f"has intensities {where} that are missing or immense")


def _is_whole(intensity: NDArray[Any]) -> bool:
    if len(intensity) == 0:
        return True
    if intensity.min() < 0:
        return False
    return intensity.dtype.kind in "iu" or bool((intensity == np.rint(intensity)).all())


class MassHistogram:
    """Intensity by m/z, in bounded memory.

    Equal m/z values are added up. Where more than some four million different
    ones occur, those closer together than a small fraction of their mass are
    merged at their mean; that touches the sum spectrum only, never an image.
    """

    def __init__(self, limit: int = _MAX_MASSES) -> None:
        self.step = 0.0
        self._limit = limit
        self._mass: Floats = np.zeros(0)
        self._sum: Floats = np.zeros(0)
        self._waiting: list[tuple[Floats, Floats]] = []
        self._number = 0

    def add(self, mass: Floats, intensity: Floats) -> None:
        """Add values in any order."""
        self._waiting.append((mass, intensity))
        self._number += len(mass)
        if self._number > min(_PENDING, self._limit):
            self._merge()

    def result(self) -> tuple[Floats, Floats]:
        """Return (m/z ascending, intensity)."""
        self._merge()
        return self._mass, self._sum

    def _merge(self) -> None:
        mass = np.concatenate([self._mass, *(mass for mass, _ in self._waiting)])
        intensity = np.concatenate([self._sum, *(value for _, value in self._waiting)])
        self._waiting, self._number = [], 0
        if len(mass) == 0:
            return
        if not np.all(mass[1:] > mass[:-1]):
            order = np.argsort(mass, kind="stable")
            mass, intensity = mass[order], intensity[order]
            first = np.flatnonzero(np.concatenate([[True], mass[1:] != mass[:-1]]))
            mass, intensity = mass[first], np.add.reduceat(intensity, first)
        if self.step:
            mass, intensity = _merge_close(mass, intensity, self.step)
        while len(mass) > self._limit:
            self.step = 2 * self.step if self.step else _FIRST_STEP
            mass, intensity = _merge_close(mass, intensity, self.step)
        self._mass, self._sum = mass, intensity


def _merge_close(mass: Floats, intensity: Floats, step: float) -> tuple[Floats, Floats]:
    """Merge m/z values in steps of a fraction of their mass, each at its mean."""
    bins = np.floor(np.log(np.maximum(mass, 1e-3)) / step)
    first = np.flatnonzero(np.concatenate([[True], bins[1:] != bins[:-1]]))
    weight = np.abs(intensity)
    total = np.add.reduceat(weight, first)
    number = np.diff(np.append(first, len(mass)))
    plain = np.add.reduceat(mass, first) / number
    weighted = np.add.reduceat(mass * weight, first)
    centre = np.where(total > 0, weighted / np.where(total > 0, total, 1), plain)
    # Rounding must not carry a mean past its neighbours.
    centre = np.clip(centre, mass[first], mass[np.append(first[1:], len(mass)) - 1])
    return centre, np.add.reduceat(intensity, first)
