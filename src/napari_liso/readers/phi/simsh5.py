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

import copy
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition, Spectrum
from napari_liso.errors import FormatError
from napari_liso.readers import _files, _hdf5, _hdf5_outline
from napari_liso.readers._lazy import LazyCounts, as_counts
from napari_liso.readers._progress import report
from napari_liso.readers.phi import header as phi
from napari_liso.readers.phi.occupied import EventCollector, EventCounts, add_to_cube
from napari_liso.readers.phi.simsh5_facts import Facts, read_facts

__all__ = ["NAME", "outline", "read", "recognise", "validate"]

NAME = "SIMS-H5"

_IDENTITY = b"tof-sims-sparse-hdf5"
#: Where the root attributes are: at the file's very beginning as written by PHI.
_IDENTITY_WITHIN = 2**22

_MAX_BINS = 2**27
_MAX_EVENTS = 2**33
_SLAB = 2**21  # events handled at a time
_DENSE = 2**28  # voxels, over all channels, that are counted in full

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
    unchanged = _files.Unchanged([path])
    metadata = _files.base_metadata(path, NAME)
    with _opened(path) as cube:
        facts = cube.facts
        ranges = _bin_ranges(cube, windows)
        counts = _collect(cube, list(ranges.values()))
    metadata |= copy.deepcopy(facts.metadata)
    metadata["warnings"] = [*facts.warnings, *phi.range_warnings(windows, facts.metadata)]

    def spectrum() -> Spectrum:
        unchanged()
        return _spectra.get(path, lambda: _spectrum(path))

    return Acquisition(
        counts=counts,
        channels=tuple(ranges),
        masses=np.array([sum(w) / 2 for w in windows.values()] if windows else [np.nan]),
        pixel_size=facts.pixel_size,
        pulses=None if facts.pulses is None else np.full((1, 1, 1), facts.pulses),
        metadata=metadata,
        spectrum_source=spectrum,
    )


@contextmanager
def _opened(path: Path) -> Iterator[_Cube]:
    """Open a sound file; what is not events is read only once while it does not change."""
    _hdf5.examine(path, __name__)
    with _hdf5.open_file(path) as file:
        yield _Cube.open(file, _indices.get(path, lambda: _Index.read(file)))


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
        cube = _Cube.open(file, _Index.read(file))
        facts = cube.facts
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
            times = cube.parts.mass_bin.astype(np.float64) * facts.bin_width
            coarse, member = np.unique(times // width, return_inverse=True)
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
class _Index:
    """All but the events: `mass_bin` (bins,), `index` (bins + 1,), counts above 255, facts."""

    facts: Facts
    mass_bin: Integers
    index: Integers
    exception_index: Integers
    exception_value: Integers

    @classmethod
    def read(cls, file: h5py.File) -> _Index:
        """Read what says where the events are, and check how its parts fit together."""
        facts = read_facts(file)
        base, path = "data/mass_csr", file.filename
        mass_bin = _required(file, f"{base}/mass_bin", _MAX_BINS)[...]
        events = _required(file, f"{base}/pixel_id", _MAX_EVENTS).size
        index = _read_index(_required(file, f"{base}/indptr", _MAX_BINS + 1), events)
        if len(index) != len(mass_bin) + 1:
            raise FormatError(path, "the lengths of its data do not fit together")
        if index[0] != 0 or index[-1] != events or np.any(index[1:] < index[:-1]):
            raise FormatError(path, "the index from mass to events is damaged")
        if np.any(mass_bin[1:] <= mass_bin[:-1]):
            raise FormatError(path, "the time bins are not in ascending order")
        where = value = np.zeros(0, dtype=np.int64)
        if _hdf5.group(file, f"{base}/count_exceptions") is not None:
            where = _required(file, f"{base}/count_exceptions/nnz_index", events)[...]
            value = _required(file, f"{base}/count_exceptions/value", events)[...]
            if len(where) != len(value) or where.max(initial=0) >= max(events, 1):
                raise FormatError(path, "the list of counts above 255 is damaged")
            _files.check_sum(path, "the list of counts above 255", value.max(initial=0), events)
            where, value = where.astype(np.int64), value.astype(np.int64)
            order = np.argsort(where, kind="stable")
            where, value = where[order], value[order]
            if np.any(where[1:] == where[:-1]):
                raise FormatError(path, "the list of counts above 255 names a count twice")
        return cls(facts, mass_bin, index, where, value)

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        arrays = (self.mass_bin, self.index, self.exception_index, self.exception_value)
        return sum(array.nbytes for array in arrays)


def _read_index(stored: h5py.Dataset, events: int) -> Integers:
    """Read the index from mass to events in as few bits as it needs."""
    index: Integers = np.empty(stored.size, np.int32 if events < 2**31 else np.int64)
    for start in range(0, len(index), _SLAB):
        piece = stored[start : start + _SLAB]
        if len(piece) and piece.max() > events:
            raise FormatError(stored.file.filename, "the index from mass to events is damaged")
        index[start : start + _SLAB] = piece
    return index


@dataclass(frozen=True, eq=False)
class _Cube:
    """The events of an open file, indexed by time bin; they are read when asked for."""

    parts: _Index
    pixel: h5py.Dataset
    count: h5py.Dataset

    @classmethod
    def open(cls, file: h5py.File, parts: _Index) -> _Cube:
        """Find the events that an index belongs to."""
        pixel = _required(file, "data/mass_csr/pixel_id", _MAX_EVENTS)
        count = _required(file, "data/mass_csr/count", _MAX_EVENTS)
        if not pixel.size == count.size == parts.index[-1]:
            raise FormatError(file.filename, "the lengths of its data do not fit together")
        return cls(parts, pixel, count)

    @property
    def facts(self) -> Facts:
        """All that is known besides the counts."""
        return self.parts.facts

    @property
    def events(self) -> int:
        """Number of stored (bin, pixel) cells."""
        return int(self.pixel.size)

    def slabs(self, start: int, stop: int) -> Iterator[tuple[int, Integers]]:
        """Yield (number of the first event, counts) piece by piece for events start..stop."""
        chunk = max((d.chunks[0] for d in (self.pixel, self.count) if d.chunks), default=1)
        step = max(_SLAB, chunk)
        where, value = self.parts.exception_index, self.parts.exception_value
        # On the grid of chunks, so that none is inflated twice.
        edges = [start, *range((start // step + 1) * step, stop, step), stop]
        for low, high in pairwise(edges):
            report((low - start) / max(stop - start, 1))
            count = self.count[low:high].astype(np.int64)
            first, last = np.searchsorted(where, [low, high])
            count[where[first:last] - low] = value[first:last]
            yield low, count

    def bin_sums(self) -> NDArray[np.int64]:
        """Return the counts in every occupied time bin, shape (bins,)."""
        index = self.parts.index
        sums = np.zeros(len(index) - 1, dtype=np.int64)
        for start, count in self.slabs(0, self.events):
            running = np.concatenate([[0], np.cumsum(count)])
            # The bins that have events in this piece.
            first = int(np.searchsorted(index, np.array(start, index.dtype), "right")) - 1
            last = int(np.searchsorted(index, np.array(start + len(count), index.dtype)))
            edges = np.clip(index[first : last + 1].astype(np.int64) - start, 0, len(count))
            sums[first:last] += running[edges[1:]] - running[edges[:-1]]
        return sums


# What was read of the files that were opened last.
_indices: _files.Remembered[_Index] = _files.Remembered(4, 2**27, lambda parts: parts.nbytes)
_spectra: _files.Remembered[Spectrum] = _files.Remembered(
    4, 2**27, lambda spectrum: sum(array.nbytes for array in spectrum)
)


def _required(file: h5py.File, name: str, max_size: int) -> h5py.Dataset:
    found = _hdf5.dataset(file, name, max_size=max_size)
    if found is None:
        raise FormatError(file.filename, f"/{name} is missing")
    return found


def _bin_ranges(cube: _Cube, windows: _files.Windows | None) -> dict[str, tuple[int, int]]:
    """Return the range of events of each channel."""
    if windows is None:
        return {"total": (0, cube.events)}
    parts, facts = cube.parts, cube.facts
    ranges = {}
    for name, window in windows.items():
        edges = [facts.calibration.ticks(mass) / facts.bin_width for mass in window]
        low, high = np.searchsorted(parts.mass_bin, edges)
        ranges[name] = (int(parts.index[low]), int(parts.index[high]))
    return ranges


def _collect(cube: _Cube, ranges: list[tuple[int, int]]) -> LazyCounts | NDArray[Any]:
    """Place events on the images, row 0 at the top: in full where that is small."""
    geometry = cube.facts.geometry
    voxels = math.prod(geometry.shape)
    if voxels * len(ranges) <= _DENSE:
        cubes = []
        for start, stop in ranges:
            full: Integers = np.zeros(voxels, np.uint8)
            for voxel, count in _pieces(cube, start, stop):
                full = add_to_cube(full, voxel, count)
            cubes.append(full.reshape(geometry.shape))
        return np.stack(cubes) if len(cubes) > 1 else cubes[0][np.newaxis]
    channels = []
    for start, stop in ranges:
        collector = EventCollector(voxels)
        for voxel, count in _pieces(cube, start, stop):
            collector.add(voxel, count)
        channels.append(collector.result())
    return as_counts(EventCounts(channels, geometry.shape))


def _pieces(cube: _Cube, start: int, stop: int) -> Iterator[tuple[Integers, Integers]]:
    """Yield (voxels, counts) of events start..stop."""
    for first, count in cube.slabs(start, stop):
        yield cube.facts.geometry.voxels(cube.pixel[first : first + len(count)]), count


def _spectrum(path: Path) -> Spectrum:
    """Return (mass in u, counts) of the occupied time bins; both may be shared, so fixed."""
    with _opened(path) as cube:
        times = cube.parts.mass_bin.astype(np.float64) * cube.facts.bin_width
        spectrum = cube.facts.calibration.mass(times), cube.bin_sums()
    for array in spectrum:
        array.flags.writeable = False
    return spectrum


def outline(path: Path) -> Iterator[str]:
    """Yield what an archive holds, and what it says of its mass scale, line by line.

    Raises
    ------
    FormatError
        If the file is damaged; whatever can be listed has been by then.
    """
    yield from _hdf5_outline.outline(path)
    with _opened(path) as cube:
        facts, parts = cube.facts, cube.parts
        yield (
            f"{cube.events} cells of {len(parts.mass_bin)} time bins ({facts.bin_width:g} ps), "
            f"{len(parts.exception_index)} counts above 255"
        )
        yield f"{facts.geometry.mode} of {facts.geometry.row_shape}, images {facts.geometry.shape}"
        used = facts.calibration
        yield f"calibration ({used.source}): sqrt(m) = {used.slope:.9g} * t_us {used.offset:+.9g}"
        for other in facts.metadata["calibration_superseded"]:
            yield (
                f"superseded ({other['source']}): sqrt(m) = {other['slope']:.9g} * t_us "
                f"{other['offset']:+.9g}"
            )
        for warning in facts.warnings:
            yield f"odd: {warning}"
