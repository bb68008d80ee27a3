"""SIMS-H5: the open sparse archive of PHI TOF-SIMS measurements.

Written from the published specification (``tof-sims-sparse-hdf5``, version 0.1,
by Physical Electronics). Counts are stored by flight time: for each occupied
time bin the pixels that recorded an ion in it. A mass window is therefore one
slice of the file, and only that slice is read.

The archive's own ``/calibration/mass`` is a copy of the instrument's header. If
the measurement was recalibrated, the newer coefficients survive only in the
appended block that the archive keeps verbatim; they are used (`phi`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files, _hdf5
from napari_liso.readers._events import ChannelEvents, EventCounts, merge_events
from napari_liso.readers._lazy import as_counts
from napari_liso.readers._progress import report
from napari_liso.readers._simsh5_facts import Facts, Geometry, read_facts

__all__ = ["NAME", "read", "recognise", "validate"]

NAME = "SIMS-H5"

_IDENTITY = b"tof-sims-sparse-hdf5"
#: Where the root attributes are: at the file's very beginning as written by PHI.
_IDENTITY_WITHIN = 2**22

_MAX_BINS = 2**27
_MAX_EVENTS = 2**33
_SLAB = 2**22  # events handled at a time
_DENSE = 2**25  # voxels of a cube that may be counted in full, where that is faster

Integers = NDArray[np.integer[Any]]


def recognise(path: Path) -> bool:
    """Whether a file is a SIMS-H5 archive, by its first bytes and without HDF5."""
    start = _files.head(path, _IDENTITY_WITHIN)
    return start.startswith(_hdf5.SIGNATURE) and _IDENTITY in start


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read ion images from a SIMS-H5 archive.

    Parameters
    ----------
    path
        The file.
    windows
        Name of each channel and its mass window in u, low edge included, high
        edge not. None makes one channel ``"total"`` of everything.

    Returns
    -------
    Acquisition
        One frame for each repeated raster; cycles of a depth profile are frames
        too, tiles of a mosaic stand side by side. Row 0 is the top.

    Raises
    ------
    FormatError
        If the file is damaged, incomplete, contradicts itself or points outside.
    ValueError
        If a window is not a positive interval.
    """
    windows = _files.check_windows(windows)
    metadata = _files.base_metadata(path, NAME)
    _hdf5.examine(path, __name__)
    with _hdf5.open_file(path) as file:
        cube = _Cube.open(file)
        facts = read_facts(file)
        ranges = _bin_ranges(cube, facts, windows)
        channels = [_collect(cube, facts.geometry, *bins) for bins in ranges.values()]
    counts = EventCounts(channels, facts.geometry.shape)
    metadata |= facts.metadata
    metadata["warnings"] = [*facts.warnings, *_range_warnings(windows, facts)]
    return Acquisition(
        counts=as_counts(counts),
        channels=tuple(ranges),
        masses=np.array([sum(w) / 2 for w in windows.values()] if windows else [np.nan]),
        pixel_size=facts.pixel_size,
        metadata=metadata,
        spectrum_source=lambda: _spectrum(path),
    )


def validate(path: Path) -> None:
    """Read all of a file and hold it against its own invariants and check sums.

    The archive's derived images and spectra are sums over the same events. A
    byte that changed on the disk changes one of the two and is noticed here.

    Raises
    ------
    FormatError
        If something is missing, contradicts itself or cannot be read.
    """
    with _hdf5.open_file(path) as file:
        facts = read_facts(file)
        cube = _Cube.open(file)
        rows = facts.geometry.row_count
        image = np.zeros(facts.geometry.tile, dtype=np.int64).ravel()
        for start, count in cube.slabs(0, cube.events):
            pixel = cube.pixel[start : start + len(count)]
            if pixel.max(initial=0) >= rows:
                raise FormatError(path, f"a count is in pixel {pixel.max()} of {rows}")
            image += np.bincount(pixel % image.size, count, image.size).astype(np.int64)
        _compare(file, "total_image", image.reshape(facts.geometry.tile))
        spectrum = cube.bin_sums()
        width = _hdf5.attribute(file["derived"], "ps_per_bin") if "derived" in file else None
        if width and spectrum.sum() != image.sum():
            raise FormatError(path, "the events do not add up; the index by mass is damaged")
        if width:
            coarse, member = np.unique(
                cube.mass_bin.astype(np.float64) * facts.bin_width // width, return_inverse=True
            )
            _compare(file, "spectrum_mass_bin", coarse)
            _compare(file, "spectrum_intensity", np.bincount(member, spectrum))


def _compare(file: h5py.File, name: str, computed: NDArray[Any]) -> None:
    """Hold a derived dataset, where there is one, against the events."""
    stored = _hdf5.dataset(file, f"derived/{name}", computed.ndim, kinds="uif", max_size=_MAX_BINS)
    if stored is not None and not np.array_equal(stored[...], computed):
        raise FormatError(
            file.filename,
            f"the counts differ from the file's own /derived/{name}: the file is damaged",
        )


@dataclass(frozen=True, eq=False)
class _Cube:
    """The events of an open file, indexed by time bin.

    `mass_bin` (bins,) and `index` (bins + 1,) are in memory; the rest is not.
    """

    mass_bin: Integers
    index: Integers
    pixel: h5py.Dataset
    count: h5py.Dataset
    exception_index: Integers
    exception_value: Integers

    @classmethod
    def open(cls, file: h5py.File) -> _Cube:
        """Open the primary data and check how its parts fit together."""
        base, path = "data/mass_csr", file.filename
        mass_bin = _required(file, f"{base}/mass_bin", _MAX_BINS)[...]
        index = _required(file, f"{base}/indptr", _MAX_BINS + 1)[...].astype(np.int64)
        pixel = _required(file, f"{base}/pixel_id", _MAX_EVENTS)
        count = _required(file, f"{base}/count", _MAX_EVENTS)
        events = pixel.size
        if len(index) != len(mass_bin) + 1 or count.size != events:
            raise FormatError(path, "the lengths of its data do not fit together")
        if index[0] != 0 or index[-1] != events or np.any(np.diff(index) < 0):
            raise FormatError(path, "the index from mass to events is damaged")
        if np.any(mass_bin[1:] <= mass_bin[:-1]):
            raise FormatError(path, "the time bins are not in ascending order")
        where = value = np.zeros(0, dtype=np.int64)
        if _hdf5.group(file, f"{base}/count_exceptions") is not None:
            where = _required(file, f"{base}/count_exceptions/nnz_index", events)[...]
            value = _required(file, f"{base}/count_exceptions/value", events)[...]
            where, value = where.astype(np.int64), value.astype(np.int64)
            if len(where) != len(value) or np.any((where < 0) | (where >= events)):
                raise FormatError(path, "the list of counts above 255 is damaged")
            order = np.argsort(where, kind="stable")
            where, value = where[order], value[order]
        return cls(mass_bin, index, pixel, count, where, value)

    @property
    def events(self) -> int:
        """Number of stored (bin, pixel) cells."""
        return int(self.pixel.size)

    def slabs(self, start: int, stop: int) -> Iterator[tuple[int, Integers]]:
        """Yield (number of the first event, counts) piece by piece for events start..stop."""
        chunk = max((d.chunks[0] for d in (self.pixel, self.count) if d.chunks), default=1)
        step = max(_SLAB, chunk)
        # On the grid of chunks, so that none is inflated twice.
        edges = [start, *range((start // step + 1) * step, stop, step), stop]
        for low, high in pairwise(edges):
            report((low - start) / max(1, stop - start))
            count = self.count[low:high].astype(np.int64)
            first, last = np.searchsorted(self.exception_index, [low, high])
            count[self.exception_index[first:last] - low] = self.exception_value[first:last]
            yield low, count

    def bin_sums(self) -> NDArray[np.int64]:
        """Return the counts in every occupied time bin, shape (bins,)."""
        sums = np.zeros(len(self.mass_bin), dtype=np.int64)
        for start, count in self.slabs(0, self.events):
            running = np.concatenate([[0], np.cumsum(count)])
            edges = np.clip(self.index - start, 0, len(count))
            sums += running[edges[1:]] - running[edges[:-1]]
        return sums


def _required(file: h5py.File, name: str, max_size: int) -> h5py.Dataset:
    found = _hdf5.dataset(file, name, max_size=max_size)
    if found is None:
        raise FormatError(file.filename, f"/{name} is missing")
    return found


def _bin_ranges(
    cube: _Cube, facts: Facts, windows: _files.Windows | None
) -> dict[str, tuple[int, int]]:
    """Return the range of events of each channel."""
    if windows is None:
        return {"total": (0, cube.events)}
    ranges = {}
    for name, window in windows.items():
        edges = [facts.calibration.ticks(mass) / facts.bin_width for mass in window]
        low, high = np.searchsorted(cube.mass_bin, edges)
        ranges[name] = (int(cube.index[low]), int(cube.index[high]))
    return ranges


def _collect(cube: _Cube, geometry: Geometry, start: int, stop: int) -> ChannelEvents:
    """Place events on the image, row 0 at the top."""
    pieces = (
        (geometry.voxels(cube.pixel[first : first + len(count)]), count)
        for first, count in cube.slabs(start, stop)
    )
    voxels = geometry.shape[0] * geometry.shape[1] * geometry.shape[2]
    if voxels <= _DENSE and stop - start > voxels // 8:
        cube_of_counts = np.zeros(voxels, dtype=np.int64)
        for voxel, count in pieces:
            cube_of_counts += np.bincount(voxel, count, voxels).astype(np.int64)
        occupied = np.flatnonzero(cube_of_counts)
        return ChannelEvents(occupied, cube_of_counts[occupied])
    waiting = [merge_events(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))]
    for voxel, count in pieces:
        waiting.append(merge_events(voxel, count))
        # Merging now and then keeps the memory at the occupied voxels, not the events.
        if sum(len(part.voxel) for part in waiting[1:]) > max(4 * _SLAB, len(waiting[0].voxel)):
            waiting = [_merged(waiting)]
    return _merged(waiting)


def _merged(parts: list[ChannelEvents]) -> ChannelEvents:
    return merge_events(
        np.concatenate([part.voxel for part in parts]),
        np.concatenate([part.count for part in parts]),
    )


def _range_warnings(windows: _files.Windows | None, facts: Facts) -> list[str]:
    """Say which windows lie where nothing was recorded."""
    start, end = facts.metadata.get("start_mass_u"), facts.metadata.get("end_mass_u")
    return [
        f"The window of {name} reaches out of the recorded masses, {start} to {end} u."
        for name, (low, high) in (windows or {}).items()
        if (start is not None and low < start) or (end is not None and high > end)
    ]


def _spectrum(path: Path) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return (mass in u, counts) of the occupied time bins."""
    with _hdf5.open_file(path) as file:
        cube, facts = _Cube.open(file), read_facts(file)
        times = cube.mass_bin.astype(np.float64) * facts.bin_width
        return facts.calibration.mass(times), cube.bin_sums()
