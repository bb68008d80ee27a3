"""Events and mass scale of Tofwerk files, and what an event's number means.

Raw files list, for each pixel, a 16-bit number for every ion. Public descriptions
call it a time stamp of the digitizer's clock, and a sample's index is the time
over the sampling interval; whether the two run at one rate is the instrument's.
It is not taken on trust: the histogram of the events must have the shape of the
file's own sum spectrum, else they are not given masses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any

import h5py
import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.errors import FormatError
from napari_liso.readers import _files, _hdf5
from napari_liso.readers._stream import BATCH
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.tofwerk.facts import number

__all__ = ["EVENTS", "MassScale", "TofwerkEvents", "meaning_of_events"]

EVENTS = "FullSpectra/EventList"
_AXIS = "FullSpectra/MassAxis"
_SPECTRUM = "FullSpectra/SumSpectrum"
_MAX_SAMPLES = 2**24
_MAX_PIXELS = 2**34
_TICKS = 2**16
#: Pixels whose lists of events are read at a time.
_BAND = 2**14
#: Least correlation of events and sum spectrum at which they are the same.
_AGREEMENT = 0.95
#: Samples that are taken together for it, so that a shift by a sample is no matter.
_TOGETHER = 8

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class _Table(MassCalibration):
    """A calibration by the mass of every sample, where no formula is known."""

    masses: NDArray[np.float64] = field(default_factory=lambda: np.zeros(1))

    def is_sensible(self) -> bool:
        """Whether masses ascend."""
        return bool(np.all(np.diff(self.masses) >= 0))

    def mass(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """Return the mass in u at a flight time in steps of the file."""
        sample = np.asarray(ticks, np.float64) / self.ticks_per_unit
        return np.interp(sample, np.arange(len(self.masses)), self.masses)

    def ticks(self, mass: float) -> float:
        """Return the flight time in steps of the file at a mass in u."""
        samples = np.arange(len(self.masses))
        # Before mass zero the scale is flat.
        start = int(np.searchsorted(self.masses, 0.0, side="right"))
        start = max(0, start - 1)
        found = np.interp(
            mass, self.masses[start:], samples[start:], right=float(len(self.masses))
        )
        return float(found) * self.ticks_per_unit

    def as_metadata(self) -> dict[str, Any]:
        """Return the calibration as JSON-able facts."""
        return {"model": "mass of every sample", "source": self.source}


@dataclass(frozen=True)
class MassScale:
    """The mass of every sample of the spectrum.

    Parameters
    ----------
    masses
        (samples,) in u, ascending; 0 before mass zero.
    formula
        (p1, p2) of ``sample = p1 sqrt(mass) + p2`` where it gives these masses.
    has_spectrum
        Whether there is a sum spectrum on this scale.
    samples_per_clock
        Of the digitizer, or None where not stated.
    metadata, warnings
        For the provenance.
    """

    masses: NDArray[np.float64]
    formula: tuple[float, float] | None
    has_spectrum: bool
    samples_per_clock: float | None
    metadata: dict[str, Any] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, file: h5py.File) -> MassScale | None:
        """Return the scale of an open file, None where it has none.

        Raises
        ------
        FormatError
            If the mass axis is damaged.
        """
        spectra = _hdf5.group(file, "FullSpectra")
        if spectra is None:
            return None
        path = file.filename
        axis = _hdf5.dataset(file, _AXIS, 1, kinds="f", max_size=_MAX_SAMPLES)
        stored = _hdf5.dataset(file, _SPECTRUM, 1, kinds="uif", max_size=_MAX_SAMPLES)
        formula = _formula(spectra)
        warnings = []
        if axis is not None and axis.size > 1:
            masses = _ascending(path, axis[...].astype(np.float64))
            if formula is not None and not _is_formula_of(formula, masses):
                warnings.append(
                    "The file's mass axis is not that of its calibration coefficients; the axis "
                    "was used."
                )
                formula = None
        elif formula is not None and stored is not None and stored.size > 1:
            masses = _masses_of(formula, stored.size)
        else:
            return None
        clock, sample = (
            number(_hdf5.attribute(spectra, name)) for name in ("ClockPeriod", "SampleInterval")
        )
        per_clock = clock / sample if clock and sample and clock > 0 and sample > 0 else None
        scale = cls(masses, formula, stored is not None, per_clock, {}, warnings)
        scale.metadata["calibration"] = scale.calibration(1.0).as_metadata()
        return scale

    def calibration(self, samples_per_tick: float) -> MassCalibration:
        """Return the calibration of times that are so many samples each."""
        if self.formula is not None:
            p1, p2 = self.formula
            source = "coefficients of /FullSpectra"
            return MassCalibration(1 / p1, -p2 / p1, source, 1 / samples_per_tick, "samples")
        return _Table(
            math.nan, math.nan, "/" + _AXIS, 1 / samples_per_tick, "samples", self.masses
        )

    def spectrum(self, file: h5py.File) -> NDArray[np.float64] | None:
        """Return the stored sum spectrum, (samples,), None where there is none.

        Raises
        ------
        FormatError
            If it does not fit the mass axis.
        """
        stored = _hdf5.dataset(file, _SPECTRUM, 1, kinds="uif", max_size=_MAX_SAMPLES)
        if stored is None:
            return None
        values = stored[...].astype(np.float64)
        if len(values) != len(self.masses) or not np.all(np.isfinite(values)):
            raise FormatError(
                file.filename,
                f"its sum spectrum of {len(values)} samples does not fit the mass axis of "
                f"{len(self.masses)}, or holds no numbers",
            )
        return values


def _formula(spectra: h5py.Group) -> tuple[float, float] | None:
    """Return (p1, p2) where the calibration is ``sample = p1 sqrt(mass) + p2``."""
    names = ("MassCalibMode", "MassCalibration mode")
    modes = [number(_hdf5.attribute(spectra, name)) for name in names]
    if any(mode not in (None, 0.0) for mode in modes):
        return None
    p1, p2 = (number(_hdf5.attribute(spectra, f"MassCalibration {p}")) for p in ("p1", "p2"))
    if p1 is None or p2 is None or not 0 < p1 < 1e9 or abs(p2) > 1e9:
        return None
    return p1, p2


def _masses_of(formula: tuple[float, float], samples: int) -> NDArray[np.float64]:
    p1, p2 = formula
    return np.maximum((np.arange(samples) - p2) / p1, 0.0) ** 2


def _is_formula_of(formula: tuple[float, float], masses: NDArray[np.float64]) -> bool:
    expected = _masses_of(formula, len(masses))
    heavy = masses > 0.5
    return bool(heavy.any() and np.allclose(masses[heavy], expected[heavy], rtol=2e-6, atol=1e-6))


def _ascending(path: str, masses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return masses that ascend; what a square folds back below mass zero becomes 0."""
    if not np.all(np.isfinite(masses)):
        raise FormatError(path, f"/{_AXIS} is damaged: it holds no numbers")
    lowest = int(np.argmin(masses))
    masses = masses.copy()
    masses[:lowest] = 0.0
    masses = np.maximum(masses, 0.0)
    if np.any(np.diff(masses) < 0) or np.any(np.diff(masses[lowest:]) <= 0):
        raise FormatError(path, f"/{_AXIS} is damaged: its masses do not ascend")
    return masses


def _event_list(file: h5py.File) -> h5py.Dataset | None:
    """Return the events (write, y, x) as lists, None where there are none that are known."""
    data = _hdf5.dataset(file, EVENTS, 3, kinds="O", max_size=_MAX_PIXELS, partial=True)
    if data is None or np.dtype(h5py.check_vlen_dtype(data.dtype)) != np.uint16:
        return None  # wider numbers pack pulse heights too
    return data


def _bands(data: h5py.Dataset, write: int) -> Iterator[tuple[Integers, Integers]]:
    """Yield (events, flat pixel of each) of one slice, some rows at a time."""
    _, height, width = data.shape
    step = max(1, _BAND // width)
    for row in range(0, height, step):
        lists = data[write, row : row + step].ravel()
        lengths = np.fromiter((len(events) for events in lists), np.int64, len(lists))
        if lengths.sum() == 0:
            continue
        pixel = np.repeat(np.arange(len(lists)) + row * width, lengths)
        yield np.concatenate(list(lists)), pixel


def meaning_of_events(file: h5py.File, scale: MassScale | None) -> dict[str, Any] | None:
    """Count the events of a file and find out what their numbers mean.

    Returns
    -------
    dict or None
        ``shape`` (write, y, x), ``events``, ``samples_per_tick`` (None where the
        meaning is not confirmed, and then ``reason``), ``agreement`` with the sum
        spectrum, ``beyond`` the end of it; None where there are no events.

    Raises
    ------
    FormatError
        If they are damaged.
    """
    data = _event_list(file)
    if data is None:
        return None
    _files.check_image_size(file.filename, *data.shape[1:])
    writes = _hdf5.written(data)
    if writes == 0:
        raise FormatError(file.filename, f"/{EVENTS} is incomplete: not one slice is whole")
    histogram = np.zeros(_TICKS, np.int64)
    for write in range(writes):
        for events, _ in _bands(data, write):
            histogram += np.bincount(events, minlength=_TICKS)
    found: dict[str, Any] = {
        "shape": [writes, *(int(n) for n in data.shape[1:])],
        "stored": int(data.shape[0]),
        "events": int(histogram.sum()),
        "samples_per_tick": None,
        "agreement": None,
        "beyond": 0,
        "reason": None,
    }
    spectrum = None if scale is None else scale.spectrum(file)
    if scale is None or spectrum is None:
        found["reason"] = "the file has no mass axis with a sum spectrum to hold them against"
        return found
    rates = dict.fromkeys([1.0, scale.samples_per_clock or 1.0])
    agreements = {rate: _agreement(histogram, rate, spectrum) for rate in rates}
    best = max(agreements, key=lambda rate: agreements[rate])
    found["agreement"] = agreements[best]
    if agreements[best] < _AGREEMENT and histogram.any():
        found["reason"] = (
            "the events do not add up to the file's own sum spectrum "
            f"(correlation {agreements[best]:.2f}), so what their numbers mean is not known"
        )
        return found
    found["samples_per_tick"] = best
    found["beyond"] = int(histogram[math.ceil(len(spectrum) / best) :].sum())
    return found


def _agreement(histogram: Integers, rate: float, spectrum: NDArray[np.float64]) -> float:
    """Return the correlation of events, `rate` samples each, with a spectrum."""
    sample = np.floor(np.arange(_TICKS) * rate)
    inside = sample < len(spectrum)
    counts = np.bincount(sample[inside].astype(np.int64), histogram[inside], len(spectrum))
    together = max(1, min(max(_TOGETHER, math.ceil(4 * rate)), len(spectrum) // 20))
    starts = np.arange(0, len(spectrum), together)
    a, b = (np.add.reduceat(values, starts) for values in (counts, spectrum))
    if a.std() == 0 or b.std() == 0:
        return 0.0
    return float(np.corrcoef(a, b)[0, 1])


class TofwerkEvents:
    """The events of a raw file, a frame for each slice."""

    def __init__(
        self,
        opened: Callable[[], AbstractContextManager[h5py.File]],
        shape: tuple[int, int, int],
        calibration: MassCalibration | None,
    ) -> None:
        self._opened = opened
        self.shape = shape
        self._calibration = calibration

    @property
    def calibration(self) -> MassCalibration:
        """From the file's numbers to masses."""
        if self._calibration is None:
            raise ValueError("these events have no masses")
        return self._calibration

    def events(self, frame: int) -> Iterator[tuple[Integers, Integers]]:
        """Yield (number, flat pixel) of the events of a slice."""
        with self._opened() as file:
            data = _event_list(file)
            if data is None or data.shape[1:] != self.shape[1:]:
                raise FormatError(file.filename, f"/{EVENTS} has changed")
            for events, pixel in _bands(data, frame):
                for start in range(0, len(events), BATCH):
                    yield events[start : start + BATCH], pixel[start : start + BATCH]
