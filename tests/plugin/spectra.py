"""Spectra with known peaks, and acquisitions made of them, for the tests of mass windows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from napari_liso.acquisition import Acquisition

#: Slope of the time-of-flight axis: mass = (SLOPE * tick) ** 2.
SLOPE = 1e-5
#: Ion masses in u, AME2020 less an electron.
H, LI6, LI7, NA, LA = 1.007276, 6.014574, 7.015455, 22.989221, 138.905814
PEAKS = {H: 5000, LI6: 3000, LI7: 36000, NA: 4000, LA: 9000}


def spectrum_of(
    peaks: Mapping[float, int] = PEAKS, stretch: float = 1.0, resolution: float = 4000.0
) -> tuple[np.ndarray, np.ndarray]:
    """Occupied bins of a spectrum; `stretch` multiplies every mass, like a stale calibration."""
    rng = np.random.default_rng(3)
    sigma = 1 / 2.355 / resolution
    mass = np.concatenate([m * (1 + sigma * rng.standard_normal(n)) for m, n in peaks.items()])
    ticks = np.rint(np.sqrt(mass * stretch) / SLOPE).astype(np.int64)
    occupied, counts = np.unique(ticks, return_counts=True)
    return (SLOPE * occupied) ** 2, counts.astype(np.int64)


def event_acquisition(
    path: str = "/data/run 1.test",
    shape: tuple[int, int, int] = (3, 8, 9),
    spectrum: tuple[np.ndarray, np.ndarray] | None = None,
    windows: Mapping[str, tuple[float, float]] | None = None,
    **facts: Any,
) -> Acquisition:
    """What a reader returns of an event file: ``total``, or a channel for each window."""
    mass, counts = spectrum_of() if spectrum is None else spectrum
    bounds = {"total": (0.0, 1e9)} if windows is None else dict(windows)
    frames, height, width = shape
    cube = np.zeros((len(bounds), frames, height, width), np.int64)
    for channel, (low, high) in zip(cube, bounds.values(), strict=True):
        # all in one pixel and the last frame: sums are easy to follow
        channel[-1, 0, -1] = counts[(mass >= low) & (mass < high)].sum()
    metadata = {"format": "test", "path": path, "counts_are": "raw", "warnings": [], **facts}
    if windows is not None:
        metadata["windows"] = {name: list(window) for name, window in windows.items()}
    return Acquisition(
        cube,
        tuple(bounds),
        np.array([sum(b) / 2 for b in bounds.values()]) if windows else np.array([np.nan]),
        metadata=metadata,
        spectrum_source=lambda: (mass, counts),
    )


@dataclass
class FakeReading:
    """Stands for `napari_liso.readers.read`; remembers what it was called with."""

    spectrum: tuple[np.ndarray, np.ndarray] | None = None
    calls: list[tuple[Any, Any, Any]] = field(default_factory=list)
    behave: Any = None

    def __call__(
        self, path: Any, windows: Any = None, recalibrate: Any = None, progress: Any = None
    ) -> Acquisition:
        self.calls.append((path, windows, recalibrate))
        if self.behave is not None:
            self.behave(progress)
        facts = {}
        spectrum = spectrum_of() if self.spectrum is None else self.spectrum
        if recalibrate is not None:
            from napari_liso.readers.peaks import Recalibration

            scale = Recalibration.from_peaks(recalibrate)
            spectrum = (scale.to_new(spectrum[0]), spectrum[1])
            facts["recalibration"] = scale.as_metadata()
        return event_acquisition(str(path), spectrum=spectrum, windows=windows, **facts)
