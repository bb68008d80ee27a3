"""Writes files in the layout of Tofwerk's recorder, from public descriptions of it.

Shares nothing with the reader: names, types and formulas are spelt out again here.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

P1, P2 = 3000.0, 150.0  # sample = P1 sqrt(mass) + P2
SAMPLES = 12_000


def sample_of(mass: float) -> float:
    return P1 * np.sqrt(mass) + P2


def mass_axis(samples: int = SAMPLES) -> np.ndarray:
    # As a plain square: below mass zero it folds back.
    return ((np.arange(samples) - P2) / P1) ** 2


def write_common(file: h5py.File, writes: int, rows: int, mode: str = "positive") -> None:
    file.attrs["TofDAQ Version"] = np.bytes_(b"1.2.100")
    file.attrs["NbrWrites"] = np.array([writes], "i4")
    file.attrs["NbrSegments"] = np.array([rows], "i4")
    file.attrs["IonMode"] = np.bytes_(mode.encode())
    beam = file.create_group("FIBParams")
    beam.attrs["ViewField"] = np.array([0.02], "f8")  # mm
    beam.attrs["Voltage"] = 30_000.0


def write_spectra(
    file: h5py.File, spectrum: np.ndarray, clock: float = 1e-9, interval: float = 1e-9
) -> h5py.Group:
    group = file.require_group("FullSpectra")
    group["MassAxis"] = mass_axis(len(spectrum)).astype("f4")
    group["SumSpectrum"] = spectrum.astype("f8")
    group.attrs["MassCalibMode"] = np.array([0], "i4")
    group.attrs["MassCalibration p1"] = P1
    group.attrs["MassCalibration p2"] = P2
    group.attrs["ClockPeriod"] = clock
    group.attrs["SampleInterval"] = interval
    return group


def peak_table(labels: Sequence[str], masses: Sequence[float]) -> np.ndarray:
    kind = [
        ("label", "S64"),
        ("mass", "f4"),
        ("lower integration limit", "f4"),
        ("upper integration limit", "f4"),
    ]
    rows = [(n.encode(), m, m - 0.2, m + 0.2) for n, m in zip(labels, masses, strict=True)]
    return np.array(rows, kind)


def write_opened(
    path: Path,
    peaks: np.ndarray,
    labels: Sequence[str],
    masses: Sequence[float],
    chunks: tuple[int, ...] | None = None,
    **options: Any,
) -> Path:
    """A file with images of peaks, (write, y, x, peak)."""
    with h5py.File(path, "w") as file:
        write_common(file, peaks.shape[0], peaks.shape[1])
        spectrum = np.zeros(SAMPLES)
        for n, mass in enumerate(masses):
            spectrum[round(sample_of(mass))] += float(peaks[..., n].sum())
        write_spectra(file, spectrum)
        group = file.create_group("PeakData")
        group.create_dataset("PeakData", data=peaks, chunks=chunks, **options)
        group["PeakTable"] = peak_table(labels, masses)
    return path


def write_raw(
    path: Path,
    events: np.ndarray,
    spectrum: np.ndarray | None,
    clock: float = 1e-9,
    interval: float = 1e-9,
    chunks: tuple[int, ...] | None = (1, 4, 5),
) -> Path:
    """A file with lists of events, an object array (write, y, x) of arrays."""
    with h5py.File(path, "w") as file:
        write_common(file, events.shape[0], events.shape[1])
        group = file.create_group("FullSpectra")
        lists = group.create_dataset(
            "EventList", events.shape, h5py.vlen_dtype(np.uint16), chunks=chunks
        )
        for place in np.ndindex(events.shape):
            lists[place] = events[place]
        if spectrum is not None:
            write_spectra(file, spectrum, clock, interval)
    return path
