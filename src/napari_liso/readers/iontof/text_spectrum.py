"""Spectra that ION-TOF's software exported as text: ``Channel  m/z  Intensity``.

A row is a bin of the time axis; its channel is the middle of the bin. The
intensities are mostly dead-time corrected, which the header says. Windows sum
whole bins of the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition, Spectrum
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.iontof.text_tables import Lines, head_lines, read_numbers

__all__ = ["CORRECTED", "header_rows", "load", "read_spectra"]

#: What intensities are that dead time was corrected in.
CORRECTED = "dead-time corrected, not counts: intensities that the instrument's software corrected"
_COLUMNS = ["channel", "m/z", "intensity"]
_MAX_BYTES = 2**29
_MAX_BINS = 2**24
_MAX_WHOLE = 2**53

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class SpectrumFile:
    """One exported spectrum.

    Parameters
    ----------
    path
        The file.
    mass, intensity
        Of every bin, ascending masses in u; integers where they are counts.
    edges
        Of the bins on the scale of the square root of mass, one more than bins.
    counts_are
        ``"raw"``, or what the intensities are.
    facts, warnings
        For the metadata.
    """

    path: Path
    mass: Floats
    intensity: NDArray[Any]
    edges: Floats
    counts_are: str
    facts: dict[str, Any]
    warnings: list[str]


def header_rows(lines: Sequence[str]) -> int | None:
    """Return how many lines come before the numbers of a spectrum; None for other texts."""
    for number, line in enumerate(lines[:50]):
        if line.startswith("#") or not line.strip():
            continue
        return number + 1 if line.lower().split() == _COLUMNS else None
    return None


def load(path: Path) -> SpectrumFile:
    """Read one spectrum.

    Raises
    ------
    FormatError
        If it is damaged or contradicts itself.
    """
    head = head_lines(path)
    skip = header_rows(head)
    if skip is None:
        raise FormatError(path, "has no line that names the columns Channel, m/z and Intensity")
    remarks = dict(_remarks(head[:skip]))
    lines = Lines(path, _MAX_BYTES)
    blocks = list(read_numbers(lines, skip, 3, _MAX_BINS))
    if sum(map(len, blocks)) < 2:
        raise FormatError(path, "holds no spectrum: fewer than two bins")
    channel, mass, intensity = np.concatenate(blocks).T
    warnings = []
    if lines.unfinished:
        warnings.append("The last line is truncated and was left out: the file is incomplete.")
    _check(path, channel, mass, intensity)
    # Channels before mass zero have no mass; a square folds them back in.
    start = _mass_zero(mass)
    if intensity[:start].any():
        warnings.append(f"{intensity[:start].sum():g} counts before mass zero were left out.")
    channel, mass, intensity = channel[start:], mass[start:], intensity[start:]
    calibration = _calibration(path, channel, mass)
    corrected = remarks.get("deadtime correction", "off").lower() not in ("off", "no", "false")
    whole = bool(np.all(intensity == np.rint(intensity)) and intensity.max() < _MAX_WHOLE)
    values: NDArray[Any] = intensity
    if whole and not corrected:
        values = intensity.astype(np.min_scalar_type(int(intensity.max())))
    else:
        warnings.append(
            "The intensities are dead-time corrected, no raw counts: isotope fractions of sums "
            "can be taken, intervals that rest on counts are approximate."
        )
    middle = (channel[1:] + channel[:-1]) / 2
    outer = [2 * channel[0] - middle[0], 2 * channel[-1] - middle[-1]]
    root = np.concatenate([outer[:1], middle, outer[1:]]) * calibration.slope
    edges = np.maximum.accumulate(np.maximum(root + calibration.offset, 0.0))
    facts = {
        "bins": len(mass),
        "channels_per_bin": float(np.median(np.diff(channel))),
        "calibration": calibration.as_metadata(),
        "header": remarks,
    }
    counts_are = "raw" if values.dtype.kind == "u" else CORRECTED
    return SpectrumFile(
        path,
        mass,
        values,
        edges,
        counts_are,
        facts,
        warnings,
    )


def _remarks(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield the (name, value) of lines such as ``# Deadtime Correction: on``."""
    for line in lines:
        found = re.match(r"#\s*([^:]{1,80}):\s*(.{0,200})", line)
        if found:
            yield found[1].strip().lower(), found[2].strip()


def _mass_zero(mass: Floats) -> int:
    """Return the bin from which on masses ascend."""
    return len(mass) - 1 - int(np.argmin(mass[::-1]))


def _check(path: Path, channel: Floats, mass: Floats, intensity: Floats) -> None:
    start = _mass_zero(mass)
    if np.any(np.diff(channel) <= 0) or np.any(np.diff(mass[start:]) < 0):
        raise FormatError(path, "is damaged: channels or masses are not in ascending order")
    if len(mass) - start < 2 or mass.min() < 0 or mass.max() > 1e6:
        raise FormatError(path, "is damaged: its masses are none")
    if intensity.min() < 0:
        raise FormatError(path, f"has an intensity of {intensity.min():g}; none is negative")
    if not intensity.sum() < _MAX_WHOLE:
        raise FormatError(path, "is damaged: its intensities are too large to add up")


def _calibration(path: Path, channel: Floats, mass: Floats) -> MassCalibration:
    """Return the scale on which the file's masses were worked out from its channels."""
    root = np.sqrt(mass)
    first = min(int(np.searchsorted(mass, 1.0)), len(mass) - 2)
    slope = (root[-1] - root[first]) / (channel[-1] - channel[first])
    offset = root[-1] - slope * channel[-1]
    # Half a bin: a mass that is so far off is in the wrong place of the file.
    step = np.gradient(channel)[first:]
    off = np.abs(root - (slope * channel + offset))[first:] > 0.5 * slope * step
    if not slope > 0 or off.any():
        raise FormatError(path, "is damaged: the masses do not follow from the channels")
    return MassCalibration(float(slope), float(offset), "the file's m/z of its channels")


def read_spectra(
    paths: Sequence[Path], windows: _files.Windows | None, metadata: dict[str, Any]
) -> Acquisition:
    """Read spectra, each a frame of 1 x 1 pixel.

    Parameters
    ----------
    paths
        Of the files.
    windows
        (low, high) in u by name; a bin belongs to a window whole, by its
        middle on the mass scale of its own file. None: one channel ``"total"``.
    metadata
        To begin with.
    """
    spectra = [load(path) for path in paths]
    first = spectra[0]
    kinds = {spectrum.counts_are for spectrum in spectra}
    frames = []
    for spectrum in spectra:
        mass = spectrum.mass
        chosen = [(mass >= low) & (mass < high) for low, high in (windows or {}).values()]
        frames.append([_sum(spectrum.intensity[inside]) for inside in chosen or [mass >= 0]])
    counts = np.array(frames).T[:, :, np.newaxis, np.newaxis]
    if counts.dtype.kind in "iu":
        counts = counts.astype(np.min_scalar_type(int(counts.max(initial=0))))
    metadata |= first.facts
    metadata |= {
        "counts_are": kinds.pop() if len(kinds) == 1 else f"{CORRECTED}, in some of the files",
        "frames": len(spectra),
        "polarity": None,
        "origin": "a spectrum, no image",
        "pixel_size_source": None,
        "warnings": list(dict.fromkeys(text for one in spectra for text in one.warnings)),
    }
    if len(spectra) > 1:
        metadata["files"] = [
            {"path": str(one.path.absolute()), "sha256": _files.sha256(one.path), **one.facts}
            for one in spectra
        ]
    return Acquisition(
        counts=counts,
        channels=tuple(windows or ["total"]),
        masses=np.array([sum(w) / 2 for w in windows.values()] if windows else [np.nan]),
        metadata=metadata,
        spectrum_source=lambda: _sum_spectrum(spectra),
    )


def _sum(values: NDArray[Any]) -> int | float:
    return int(values.sum(dtype=np.int64)) if values.dtype.kind in "iu" else float(values.sum())


def _sum_spectrum(spectra: Sequence[SpectrumFile]) -> Spectrum:
    """Return the sum of several spectra.

    Where their bins differ they are summed on the widest, continued as far as
    need be; a bin that lies across several is shared out by its width. (On the
    union of all bins, the spectrum would be a comb without a peak to be seen.)
    """
    first = spectra[0]
    if all(np.array_equal(one.mass, first.mass) for one in spectra):
        total = np.sum([one.intensity for one in spectra], axis=0)
        return cast(Spectrum, (first.mass, total))
    widest = max(spectra, key=lambda one: float(np.median(np.diff(one.edges))))
    edges, step = widest.edges, float(np.median(np.diff(widest.edges)))
    top = max(one.edges[-1] for one in spectra)
    if not (top - edges[-1]) / max(step, 1e-300) < _MAX_BINS:
        raise FormatError(widest.path, "has bins that do not fit those of the other spectra")
    more = int(np.ceil(max(0.0, (top - edges[-1]) / step)))
    edges = np.concatenate([[0.0], edges[1:], edges[-1] + step * np.arange(1, more + 1)])
    summed = np.zeros(len(edges) - 1)
    for one in spectra:
        running = np.concatenate([[0.0], np.cumsum(one.intensity, dtype=np.float64)])
        summed += np.diff(np.interp(edges, one.edges, running))
    mass = np.concatenate([widest.mass, ((edges[1:] + edges[:-1])[len(widest.mass) :] / 2) ** 2])
    return cast(Spectrum, (mass, summed))
