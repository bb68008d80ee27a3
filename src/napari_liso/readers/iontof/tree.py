"""ION-TOF's ITM, ITA and ITS files of SurfaceLab 6, and what is known of SurfaceLab 7's.

All are one tree of blocks (``ITStrF01``). Raw events (ITM) are sorted into mass
windows; images of chosen peaks (ITA) are shown as they are; a spectrum alone (ITS)
is one pixel. How SurfaceLab 7 stores images is not known in public, its raw events
and spectrum are read where they are stored as before. Layout as published by
O. Scholder with pySPM (Apache-2.0). Python objects that newer files carry are
never decoded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._lazy import LazyCounts, as_counts
from napari_liso.readers._stream import collect
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.iontof.block_outline import outline_lines
from napari_liso.readers.iontof.block_tree import MAGIC, BlockTree
from napari_liso.readers.iontof.ita_images import (
    ImageStack,
    find_images,
    shifts_warning,
    sum_warnings,
)
from napari_liso.readers.iontof.itm_events import ItmEvents, Scans, find_scans, seen_size
from napari_liso.readers.iontof.surfacelab_facts import (
    EXPERIMENTAL,
    EXPORT,
    MassInterval,
    flight_spread,
    general_facts,
    mass_calibration,
    mass_intervals,
    pixel_size,
    raster_size,
    shots_per_pixel,
    stated_scans,
)
from napari_liso.readers.iontof.surfacelab_spectrum import StoredSpectrum, find_spectrum

__all__ = ["NAME", "outline", "read", "recognise"]

NAME = "ION-TOF ITM/ITA/ITS"

#: Steps of raw flight times, s.
_CHANNEL = 50e-12
_LITHIUM = 7.0155  # u, of 7Li+
#: A peak that is moved by more than this fraction of its mass within the field.
_SMEARED = 5e-4

_FLIPPED = "rows flipped: row 0 of the file is the bottom"


def recognise(path: Path) -> bool:
    """Whether a file is a tree of ION-TOF's blocks, by its first bytes."""
    return _files.head(path, len(MAGIC)) == MAGIC


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read raw events, images of peaks, or a spectrum, whichever the file holds.

    Parameters
    ----------
    path
        The file.
    windows
        For raw events and spectra: (low, high) in u by name, low edge included,
        high edge not. None makes one channel ``"total"``. Files of images have the
        peaks that were chosen in SurfaceLab.

    Returns
    -------
    Acquisition
        One frame a scan, row 0 at the top; a spectrum alone is one pixel.

    Raises
    ------
    FormatError
        If the file is damaged, or holds only what is not known how to read; the
        message then says what to export.
    ValueError
        If windows are given for images.
    """
    metadata = _files.base_metadata(path, NAME)
    metadata["experimental"] = EXPERIMENTAL
    metadata["warnings"].append(EXPERIMENTAL)
    with BlockTree(path, forgiving=True) as tree:
        scans = find_scans(tree)
        if scans is not None:
            return _read_events(tree, scans, windows, metadata)
        # What is not an unfinished measurement has no reason to be cut short.
        if tree.missing is not None:
            raise tree.error(tree.missing)
        tree.forgiving = False
        metadata |= general_facts(tree)
        stack = find_images(tree)
        if stack is not None:
            if windows is not None:
                raise ValueError(
                    "an ITA file holds images of chosen peaks, which windows cannot change; "
                    "open the ITM file of the measurement, which has all ions"
                )
            return _read_images(tree, stack, metadata)
        spectrum = find_spectrum(tree)
        if spectrum is not None:
            return _read_spectrum(tree, spectrum, windows, metadata)
        if tree.find("CommonDataObjects") is not None:
            raise tree.error(
                "is of SurfaceLab 7, whose images and events are stored in a way that is not "
                f"public, and holds no spectrum: {EXPORT}"
            )
    raise tree.error(f"holds neither raw events nor images nor a spectrum; {EXPORT}")


def outline(path: Path) -> Iterator[str]:
    """Yield the blocks of a file in words, as far as they can be followed.

    Parameters
    ----------
    path
        The file; it may be damaged, or hold nothing that can be read.
    """
    return outline_lines(path)


def _read_events(
    tree: BlockTree, scans: Scans, windows: _files.Windows | None, metadata: dict[str, Any]
) -> Acquisition:
    warnings: list[str] = metadata["warnings"]
    metadata |= general_facts(tree)
    calibration = mass_calibration(tree)
    if calibration is None:
        raise tree.error(tree.missing or "has no mass scale (SF and K0)")
    shape = raster_size(tree)
    if shape is None:
        shape = seen_size(tree, scans)
        warnings.append(
            f"The file does not state the size of its images: {shape[0]} x {shape[1]} pixels are "
            "what its events name."
        )
    _files.check_image_size(tree.path, *shape)
    size, source = pixel_size(tree, shape[1], warnings)
    shots = shots_per_pixel(tree)
    intervals = _described(mass_intervals(tree))
    events = ItmEvents(tree.path, tree.size, scans, *shape, calibration)
    images = collect(events, None if windows is None else list(windows.values()))
    warnings += _what_is_missing(tree, scans, events)
    warnings += _spread_warning(tree, calibration)
    metadata |= {
        "format": "ION-TOF ITM",
        "frames": len(scans.leaves),
        "pulses_per_pixel_and_frame": shots,
        "scan_numbers": [scans.numbers[0], scans.numbers[-1]],
        "origin": _FLIPPED,
        "pixel_size_source": source,
        "calibration": calibration.as_metadata(),
        "mass_intervals": intervals,
    }
    return Acquisition(
        counts=images.counts,
        channels=("total",) if windows is None else tuple(windows),
        masses=np.array([np.nan] if windows is None else [sum(w) / 2 for w in windows.values()]),
        pixel_size=size,
        pulses=None if shots is None else np.full((1, 1, 1), shots),
        metadata=metadata,
        spectrum_source=lambda: (calibration.mass(images.ticks), images.spectrum),
    )


def _spread_warning(tree: BlockTree, calibration: MassCalibration) -> list[str]:
    """Say how far a peak of raw events is smeared by the flight of the primary ions."""
    spread = flight_spread(tree)
    if spread is None:
        return []
    lithium = calibration.ticks(_LITHIUM)
    later = calibration.mass(lithium + spread / _CHANNEL).item()
    if not later - _LITHIUM > _SMEARED * _LITHIUM:
        return []
    text = (
        f"Across this wide field primary ions arrive up to {spread * 1e9:.2g} ns apart, which "
        f"moves 7Li by up to {later - _LITHIUM:.2g} u between its edges and is not corrected: "
        "choose windows that hold the whole peak."
    )
    return [text]


def _what_is_missing(tree: BlockTree, scans: Scans, events: ItmEvents) -> list[str]:
    """Say which scans are not there or not whole."""
    found = []
    count = len(scans.leaves)
    cut = scans.cut or tree.missing
    if cut is not None:
        found.append(f"The file {cut}. The {count} scans that are whole were read.")
    stated = stated_scans(tree)
    if stated is not None and stated > count and cut is None:
        found.append(
            f"The measurement is incomplete: it should have {stated} scans, {count} are in the "
            "file."
        )
    first = scans.numbers[0]
    if scans.numbers != list(range(first, first + count)):
        found.append("The scans are not numbered one by one: the measurement may be incomplete.")
    # Broken off while it was measured: all scans but the last reached every pixel.
    whole = events.height * events.width
    last = events.pixels[count - 1]
    if last < whole and count > 1 and all(events.pixels[n] >= whole for n in range(count - 1)):
        found.append(
            f"The last scan is incomplete: {last} of {whole} pixels were reached. Leave it out "
            "where it matters."
        )
    return found


def _read_images(tree: BlockTree, stack: ImageStack, metadata: dict[str, Any]) -> Acquisition:
    warnings: list[str] = metadata["warnings"]
    warnings += stack.warnings
    height, width = stack.shape
    size, source = pixel_size(tree, width, warnings)
    channels = _names(stack.intervals)
    frames = stack.leaves.shape[1]
    lazy = LazyCounts((len(channels), frames, height, width), np.uint32, stack.image)
    counts = as_counts(lazy)
    if isinstance(counts, np.ndarray) and not stack.summed:
        warnings += sum_warnings(tree, stack, counts)
    warnings += shifts_warning(tree)
    calibration = mass_calibration(tree)
    spectrum = None
    if calibration is not None:
        try:
            spectrum = find_spectrum(tree)
        except FormatError as error:
            warnings.append(f"The spectrum in the file could not be read: {error.reason}.")
    if stack.summed:
        warnings.append("The file keeps no single scans, only their sum: one frame.")
    pulses = _pulses(tree, stack, warnings)
    metadata |= {
        "format": "ION-TOF ITA",
        "frames": frames,
        "pulses_per_pixel_and_frame": pulses,
        "frames_are": "the sum of all scans" if stack.summed else "scans",
        "scans": stated_scans(tree),
        "origin": _FLIPPED,
        "pixel_size_source": source,
        "mass_intervals": _described(stack.intervals),
        "images_of_chosen_peaks": True,
    }
    if calibration is not None:
        metadata["calibration"] = calibration.as_metadata()
    if spectrum is not None:
        metadata["spectrum_is"] = spectrum.counts_are
    return Acquisition(
        counts=counts,
        channels=channels,
        masses=np.array([np.nan if i.is_sum else i.centre for i in stack.intervals]),
        pixel_size=size,
        pulses=None if pulses is None else np.full((1, 1, 1), pulses),
        metadata=metadata,
        spectrum_source=None if spectrum is None else spectrum.spectrum,
    )


def _pulses(tree: BlockTree, stack: ImageStack, warnings: list[str]) -> int | None:
    """Return the pulses behind each pixel of a frame, which may be the sum of all scans."""
    shots = shots_per_pixel(tree)
    raster = raster_size(tree)
    if raster is not None and raster != stack.shape:
        warnings.append(
            f"The images are {stack.shape[0]} x {stack.shape[1]} pixels of a raster of "
            f"{raster[0]} x {raster[1]}: the pulses of each are not known."
        )
        return None
    pulses = shots
    if stack.summed:
        scans = stated_scans(tree)
        pulses = stack.pulses or (None if shots is None or scans is None else shots * scans)
    return None if pulses is None or pulses < 1 else pulses


def _read_spectrum(
    tree: BlockTree,
    spectrum: StoredSpectrum,
    windows: _files.Windows | None,
    metadata: dict[str, Any],
) -> Acquisition:
    warnings: list[str] = metadata["warnings"]
    if tree.find("CommonDataObjects") is not None:
        metadata["format"] = "ION-TOF SurfaceLab 7"
        warnings.append(
            "The images of a SurfaceLab 7 file are stored in a way that is not public and were "
            f"not read, only its spectrum: {EXPORT}."
        )
    else:
        metadata["format"] = "ION-TOF ITS"
        warnings.append("The file holds a spectrum and no images: it is shown as one pixel.")
    if spectrum.counts_are != "raw":
        warnings.append(f"The spectrum is {spectrum.counts_are}.")
    if spectrum.rounded:
        warnings.append("Some counts of the spectrum are too large for the file and are rounded.")
    sums = spectrum.sums(windows)
    metadata |= {
        "counts_are": spectrum.counts_are,
        "frames": 1,
        "origin": "one pixel",
        "calibration": spectrum.calibration.as_metadata(),
        "mass_intervals": _described(mass_intervals(tree)),
    }
    return Acquisition(
        counts=sums.reshape(-1, 1, 1, 1),
        channels=("total",) if windows is None else tuple(windows),
        masses=np.array([np.nan] if windows is None else [sum(w) / 2 for w in windows.values()]),
        metadata=metadata,
        spectrum_source=spectrum.spectrum,
    )


def _names(intervals: tuple[MassInterval, ...]) -> tuple[str, ...]:
    """Return unique names of channels."""
    names: dict[str, None] = {}
    used: Counter[str] = Counter()
    for interval in intervals:
        name = interval.name or f"peak {interval.number}"
        used[name] += 1
        while used[name] > 1 and f"{name} ({used[name]})" in names:
            used[name] += 1
        names[name if used[name] == 1 and name not in names else f"{name} ({used[name]})"] = None
    return tuple(names)


def _described(intervals: Any) -> dict[str, list[float]]:
    """Return the mass intervals of real peaks, u, JSON-able."""
    return {
        name: [interval.lower, interval.upper]
        for name, interval in zip(_names(tuple(intervals)), intervals, strict=True)
        if interval.upper > interval.lower >= 0 and not interval.is_sum
    }
