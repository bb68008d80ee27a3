"""ION-TOF GRD: raw events that SurfaceLab's raw-data export writes (``.itm.grd``).

Records of five little-endian unsigned 32-bit numbers: scan, shot, x, y and
flight time, in the order of the scans. There is no header; what the numbers
mean is in ``.properties.txt`` beside the file. Written from published
descriptions of the columns and properties.

The file is read in pieces, never mapped as a whole: a mapped file that is cut
short by another program ends the process, a piece that is missing is an error.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._stream import BATCH
from napari_liso.readers.iontof import properties as table
from napari_liso.readers.iontof import raw_events as raw

__all__ = ["NAME", "companions", "outline", "read", "recognise"]

NAME = "ION-TOF GRD"

_SUFFIX = ".grd"
_RECORD = np.dtype("<u4")
_COLUMNS = 5
_BYTES = _COLUMNS * _RECORD.itemsize
_SCAN, _SHOT, _X, _Y, _TOF = range(_COLUMNS)
_SHOWN_RECORDS = 2048
_PROPERTIES_HEAD = 2**14


def recognise(path: Path) -> bool:
    """Whether a file holds raw events, or the properties of some.

    There is no magic number. The first records must be possible, and the file
    must have properties beside it or be called ``.grd``.
    """
    if _is_properties(path):
        return True
    if not _are_events(_files.head(path, _SHOWN_RECORDS * _BYTES)):
        return False
    return path.suffix.lower() == _SUFFIX or _properties_of(path) is not None


def _is_properties(path: Path) -> bool:
    if not path.name.lower().endswith(table.SUFFIX):
        return False
    return table.has_raster(_files.head(path, _PROPERTIES_HEAD))


def _are_events(start: bytes) -> bool:
    """Whether the first bytes can be records of events."""
    count = len(start) // _BYTES
    if count == 0:
        return False
    records = np.frombuffer(start, _RECORD, count * _COLUMNS).reshape(count, _COLUMNS)
    scans = records[:, _SCAN].astype(np.int64)
    steps = np.diff(scans)
    return bool(
        scans[0] < 2**16
        and np.all((steps >= 0) & (steps < 2**8))
        and records[:, [_X, _Y]].max() < table.MAX_RESOLUTION
        and np.median(records[:, _TOF]) > 0
        and records[:, _TOF].max() < 2**31
    )


def _properties_of(path: Path) -> Path | None:
    """Return the properties beside ``name.itm.grd``: named after it, with fewer suffixes."""
    names = [path.name, path.stem, Path(path.stem).stem]
    return _beside(path, [name + table.SUFFIX for name in names])


def _events_of(properties: Path) -> Path | None:
    base = properties.name[: -len(table.SUFFIX)]
    return _beside(properties, [base, base + _SUFFIX, base + ".itm" + _SUFFIX])


def _beside(path: Path, names: list[str]) -> Path | None:
    """Return the first of some files that is in the same folder, in any case of letters."""
    for name in names:
        if name.lower() != path.name.lower() and path.with_name(name).is_file():
            return path.with_name(name)
    there = {other.name.lower(): other for other in path.absolute().parent.iterdir()}
    for name in names:
        found = there.get(name.lower())
        if found is not None and found.name != path.name and found.is_file():
            return path.with_name(found.name)
    return None


def companions(path: Path) -> list[Path]:
    """Return the properties that are read along with events."""
    if _is_properties(path):
        return []
    found = _properties_of(path)
    return [] if found is None else [found]


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read ion images from raw events.

    Parameters
    ----------
    path
        The events, or their properties; the other file is found beside it.
    windows
        Name of each channel and its mass window in u, low edge included, high
        edge not. None makes one channel ``"total"`` of everything.

    Returns
    -------
    Acquisition
        A frame for each scan; row 0 is the top.

    Raises
    ------
    FormatError
        If the properties are missing, or one of the files is damaged.
    ValueError
        If a window is not a positive interval.
    """
    if _is_properties(path):
        events = _events_of(path)
        if events is None:
            raise FormatError(
                path,
                "holds the properties of raw events; the events "
                f"({path.name[: -len(table.SUFFIX)]}.itm.grd) are not beside it",
            )
        path = events
    facts, properties = _facts(path)
    size = path.stat().st_size
    if size == 0 or size % _BYTES:
        raise FormatError(
            path,
            f"is truncated or damaged: {size} bytes are no whole number of records of {_BYTES} "
            "bytes; copy or export it again",
            size - size % _BYTES,
        )
    first_scan, starts, shots = _frames(path, size // _BYTES)
    raw.check_frames(path, starts, facts.resolution)
    metadata = _files.base_metadata(path, NAME)
    early = raw.ends_early(shots, facts.resolution)
    metadata["warnings"] = [] if early is None else [early]
    metadata["properties_file"] = str(properties.absolute())
    source = raw.RawEvents(
        path,
        first_scan,
        starts,
        facts.resolution,
        facts.calibration,
        lambda first, end: _batches(path, first, end),
        _BYTES,
    )
    return raw.read_events(source, facts, windows, metadata)


def _facts(path: Path) -> tuple[table.Facts, Path]:
    properties = _properties_of(path)
    if properties is None:
        name = path.name.removesuffix(path.suffix)
        raise FormatError(
            path,
            "holds raw events, but nothing says what mass and pixel they have: put the file "
            f"{name}{table.SUFFIX}, which the raw-data export writes, beside it",
        )
    if properties.stat().st_size > table.MAX_BYTES:
        raise FormatError(properties, "is too large for a table of properties")
    return table.read_facts(properties, properties.read_bytes()), properties


def _frames(path: Path, count: int) -> tuple[int, list[int], list[int]]:
    """Return (first scan, first event of every scan and their number, last shot of every scan).

    The scans are in order, so where each begins is found by bisection; that they
    are in order is checked when the events are read.
    """
    with open(path, "rb", buffering=0) as file:

        def word(record: int, column: int) -> int:
            file.seek(record * _BYTES + column * _RECORD.itemsize)
            return int.from_bytes(file.read(_RECORD.itemsize), "little")

        first, last = word(0, _SCAN), word(count - 1, _SCAN)
        starts = [0]
        for scan in range(first + 1, first + raw.frames_between(path, first, last)):
            starts.append(
                bisect_left(range(count), scan, starts[-1], key=lambda event: word(event, _SCAN))
            )
        starts.append(count)
        shots = [word(end - 1, _SHOT) for start, end in pairwise(starts) if end > start]
    return first, starts, shots


def _batches(path: Path, first: int, end: int) -> Iterator[tuple[int, dict[str, NDArray[Any]]]]:
    with open(path, "rb") as file:
        file.seek(first * _BYTES)
        while first < end:
            records = np.fromfile(file, _RECORD, min(BATCH, end - first) * _COLUMNS)
            count = len(records) // _COLUMNS
            if count == 0:
                raise FormatError(path, "was cut short while it was read", first * _BYTES)
            columns = records[: count * _COLUMNS].reshape(count, _COLUMNS)
            yield (
                first,
                {
                    "scan": columns[:, _SCAN],
                    "x": columns[:, _X],
                    "y": columns[:, _Y],
                    "tof": np.ascontiguousarray(columns[:, _TOF]),
                },
            )
            first += count


def outline(path: Path) -> Iterator[str]:
    """Yield the properties, the first and the last event, and the scans."""
    if _is_properties(path):
        properties: Path | None = path
        events = _events_of(path)
    else:
        properties, events = _properties_of(path), path
    if properties is None:
        yield "no properties beside the events"
    else:
        yield f"{properties.name}:"
        yield from table.listed(_files.head(properties, table.MAX_BYTES))
    if events is None:
        yield "no events beside the properties"
        return
    count, rest = divmod(events.stat().st_size, _BYTES)
    yield f"{events.name}: {count} records of scan, shot, x, y, time; {rest} bytes more"
    for number in sorted({0, 1, max(count - 1, 0)} & set(range(count))):
        record = np.frombuffer(_files.head(events, _BYTES, number * _BYTES), _RECORD)
        yield f"  record {number}: {', '.join(map(str, record))}"
    if count:
        first, starts, _ = _frames(events, count)
        yield f"{len(starts) - 1} scans from number {first}"
