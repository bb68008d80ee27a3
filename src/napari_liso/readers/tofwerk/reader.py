"""Tofwerk, TESCAN and Thermo FIB-SIMS: HDF5 files of the TofDAQ recorder.

Written from public descriptions of the layout: images of the peaks that were
chosen at the instrument (``/PeakData``), the sum spectrum and, in raw files, the
events of every pixel (``/FullSpectra``). A slice of a depth series is a frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files, _hdf5
from napari_liso.readers._chunked import Axes, Chunked, Values, chunked_counts, look_at_values
from napari_liso.readers._hdf5_outline import outline, root_attributes
from napari_liso.readers._stream import collect
from napari_liso.readers.tofwerk.events import MassScale, TofwerkEvents, meaning_of_events
from napari_liso.readers.tofwerk.facts import Facts, Peak, read_facts, read_peak_table

__all__ = ["NAME", "outline", "read", "recognise", "validate"]

NAME = "Tofwerk HDF5"

_WORD = "TofDAQ Version"
#: Where the word is looked for at either end of the file; else a process looks.
_WITHIN = 2**22
_PEAKS = "PeakData/PeakData"
_MAX_VALUES = 2**38
_AXES = Axes(y=1, x=2, channel=3, frames=(0,))


def recognise(path: Path) -> bool:
    """Whether a file is of the TofDAQ recorder, by the name of a root attribute."""
    if not _hdf5.is_hdf5(path):
        return False
    word, size = _WORD.encode(), path.stat().st_size
    if word in _files.head(path, _WITHIN) or word in _files.head(
        path, _WITHIN, max(0, size - _WITHIN)
    ):
        return True
    if size <= 2 * _WITHIN:
        return False
    try:
        return _WORD in root_attributes(path)
    except FormatError:
        return False


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read the images of the chosen peaks or, by mass window, the events.

    Parameters
    ----------
    path
        The file.
    windows
        Name of each channel and its mass window in u; needs the events of a raw
        file. None reads the images of the chosen peaks; one channel ``"total"``
        of all events where there are none.

    Returns
    -------
    Acquisition
        A frame for each slice in depth. The values of peak images are scaled by
        the signal of a single ion: ``metadata["counts_are"]`` says so unless all
        are whole numbers. Images are read when indexed.

    Raises
    ------
    FormatError
        If the file is damaged, incomplete or points outside.
    ValueError
        If windows are given and the file holds no events, or none whose meaning
        its own sum spectrum confirms.
    """
    windows = _files.check_windows(windows)
    metadata = _files.base_metadata(path, NAME)
    opened = _Opened(path, _files.Unchanged([path]))
    found = _hdf5.examine(path, __name__, bytes_per_second=_hdf5.PACKED_BYTES_PER_SECOND)
    with opened.file() as file:
        facts = read_facts(file)
        table = read_peak_table(file)
        scale = MassScale.read(file)
    metadata |= facts.metadata | (scale.metadata if scale is not None else {})
    metadata["warnings"] = [*facts.warnings, *(scale.warnings if scale is not None else ())]
    if windows is None and found["peaks"] is not None:
        return _peaks(opened, metadata, facts, table, found["peaks"], scale)
    return _events(opened, metadata, facts, table, found["events"], scale, windows)


def validate(path: Path) -> dict[str, Any]:
    """Read all of a file once and say what its values are.

    Raises
    ------
    FormatError
        If something is missing, contradicts itself or cannot be read.
    """
    with _hdf5.open_file(path) as file:
        read_facts(file)
        table = read_peak_table(file)
        scale = MassScale.read(file)
        if scale is not None:
            scale.spectrum(file)
        peaks = _look_at_peaks(file, table)
        events = meaning_of_events(file, scale)
    if peaks is None and events is None:
        raise FormatError(
            path, "holds neither images of peaks (/PeakData/PeakData) nor events; no map is in it"
        )
    return {"peaks": peaks, "events": events}


def _look_at_peaks(file: h5py.File, table: list[Peak]) -> dict[str, Any] | None:
    """Check the images of peaks against their table and look at every value."""
    path = file.filename
    data = _peak_data(file)
    if data is None:
        return None
    _files.check_image_size(path, *data.shape[1:3])
    if data.shape[3] != len(table) or data.shape[3] == 0:
        raise FormatError(
            path, f"/{_PEAKS} holds {data.shape[3]} peaks, its table names {len(table)}"
        )
    writes = _hdf5.written(data)
    if writes == 0:
        raise FormatError(path, f"/{_PEAKS} is incomplete: not one slice was written whole")
    shape = (writes, *data.shape[1:])
    chunks = data.chunks or (1, *data.shape[1:])
    values = look_at_values(path, f"/{_PEAKS}", shape, chunks, data.__getitem__)
    return {"writes": writes, "whole": values.whole, "largest": values.largest}


def _peak_data(file: h5py.File) -> h5py.Dataset | None:
    return _hdf5.dataset(file, _PEAKS, 4, kinds="uif", max_size=_MAX_VALUES, partial=True)


@dataclass(frozen=True)
class _Opened:
    """A file that is opened anew for each read, and must not change in between."""

    path: Path
    unchanged: _files.Unchanged

    def file(self) -> Any:
        """Open it for reading."""
        self.unchanged()
        return _hdf5.open_file(self.path)


def _peaks(
    opened: _Opened,
    metadata: dict[str, Any],
    facts: Facts,
    table: list[Peak],
    found: dict[str, Any],
    scale: MassScale | None,
) -> Acquisition:
    """Make an acquisition of the images of the chosen peaks."""
    with opened.file() as file:
        data = _peak_data(file)
        assert data is not None  # examined
        stored, chunks, dtype = data.shape, data.chunks, data.dtype
    shape = (found["writes"], *stored[1:])

    def part(selection: tuple[slice, ...]) -> NDArray[Any]:
        with opened.file() as file:
            values = _peak_data(file)
            assert values is not None
            return np.asarray(values[selection])

    values = Values(found["whole"], found["largest"])
    # Bins of one mass unit each are made for every file; they hide what was chosen.
    shown = [n for n, peak in enumerate(table) if not peak.nominal] or list(range(len(table)))
    hidden = [peak for n, peak in enumerate(table) if n not in set(shown)]
    _tell_missing(metadata, found["writes"], stored[0])
    _check_rows(metadata, stored)
    metadata |= {
        "counts_are": _kind(values, dtype),
        "frames": shape[0],
        "peaks": [table[n].as_metadata() for n in shown],
        "peaks_hidden": [peak.as_metadata() for peak in hidden],
        "images_of_chosen_peaks": found.get("samples_per_tick") is None or scale is None,
    }
    source = Chunked(shape, chunks, dtype.itemsize, _AXES, part)
    size = facts.pixel_size(stored[2])
    metadata["pixel_size_source"] = None if size is None else "FIBParams ViewField over columns"
    return Acquisition(
        counts=chunked_counts(source, values.dtype(dtype), shown),
        channels=_unique([table[n] for n in shown]),
        masses=np.array([table[n].mass for n in shown]),
        pixel_size=size,
        metadata=metadata,
        spectrum_source=_stored_spectrum(opened, scale),
    )


def _kind(values: Values, dtype: np.dtype[Any]) -> str:
    if values.whole:
        return "raw"
    return f"not counts: {dtype.newbyteorder('=')} signals scaled by that of a single ion"


def _tell_missing(metadata: dict[str, Any], writes: int, stored: int) -> None:
    if writes < stored:
        metadata["warnings"].append(
            f"The file is incomplete: {writes} of {stored} slices were written."
        )


def _check_rows(metadata: dict[str, Any], stored: tuple[int, ...]) -> None:
    """Say where the file's own numbers of rows and writes differ from its data."""
    rows, writes = metadata.get("segments"), metadata.get("writes")
    if rows is not None and stored[1] != rows and stored[2] == rows:
        metadata["warnings"].append(
            f"The file states {rows} rows, but its images are {stored[1]} x {stored[2]}: rows and "
            "columns may be exchanged."
        )
    elif (rows is not None and stored[1] != rows) or (writes is not None and stored[0] != writes):
        metadata["warnings"].append(
            f"The file states {writes} slices of {rows} rows, it holds {stored[0]} of {stored[1]}."
        )


def _events(
    opened: _Opened,
    metadata: dict[str, Any],
    facts: Facts,
    table: list[Peak],
    found: dict[str, Any] | None,
    scale: MassScale | None,
    windows: _files.Windows | None,
) -> Acquisition:
    """Make an acquisition of the events."""
    if found is None:
        raise ValueError(
            f"{opened.path.name} holds images of peaks chosen at the instrument and no events; "
            "mass windows need a raw file (with /FullSpectra/EventList)"
        )
    if windows is not None and (found["samples_per_tick"] is None or scale is None):
        raise ValueError(
            f"{opened.path.name}: mass windows on its events are not possible: {found['reason']}"
        )
    shape = (found["shape"][0], found["shape"][1], found["shape"][2])
    calibrated = scale is not None and found["samples_per_tick"] is not None
    source = TofwerkEvents(
        opened.file,
        shape,
        scale.calibration(found["samples_per_tick"]) if scale and calibrated else None,
    )
    images = collect(source, None if windows is None else list(windows.values()))
    _tell_missing(metadata, shape[0], found["stored"])
    _check_rows(metadata, (found["stored"], *shape[1:]))
    size = facts.pixel_size(shape[2])
    metadata |= {
        "frames": shape[0],
        "peaks": [peak.as_metadata() for peak in table],
        "events": found["events"],
        "events_agree_with_spectrum": found["agreement"],
        "pixel_size_source": None if size is None else "FIBParams ViewField over columns",
    }
    if not calibrated:
        metadata["warnings"].append(f"The events have no masses: {found['reason']}.")
    elif found["beyond"]:
        metadata["warnings"].append(f"{found['beyond']} events lie beyond the mass axis.")
    spectrum = None
    if calibrated:

        def spectrum() -> tuple[NDArray[np.float64], NDArray[Any]]:
            return source.calibration.mass(images.ticks), images.spectrum

    return Acquisition(
        counts=images.counts,
        channels=("total",) if windows is None else tuple(windows),
        masses=np.array([sum(w) / 2 for w in windows.values()] if windows else [np.nan]),
        pixel_size=size,
        metadata=metadata,
        spectrum_source=spectrum,
    )


def _stored_spectrum(opened: _Opened, scale: MassScale | None) -> Any:
    """Return a function that reads the sum spectrum, None where the file has none."""
    if scale is None or not scale.has_spectrum:
        return None

    def spectrum() -> tuple[NDArray[np.float64], NDArray[Any]]:
        with opened.file() as file:
            found = scale.spectrum(file)
        assert found is not None
        return scale.masses, found

    return spectrum


def _unique(peaks: list[Peak]) -> tuple[str, ...]:
    """Return a name for each peak, told apart by mass and number where labels are not."""
    labels = [peak.label or f"{peak.mass:.4g} u" for peak in peaks]
    names: list[str] = []
    for number, label in enumerate(labels):
        name = label
        if labels.count(label) > 1:
            name = f"{label} ({peaks[number].mass:.4f} u)"
        while name in names:
            name = f"{name} [{number + 1}]"
        names.append(name)
    return tuple(names)
