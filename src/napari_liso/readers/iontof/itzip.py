"""ION-TOF ITZIP: raw events as columns in a zip archive.

The members ``.scans``, ``.shots`` and ``.tofs`` hold a little-endian unsigned
32-bit number for each event, ``.coords`` two (x and y), ``.properties.txt`` what
they mean (`grd`). Written from published descriptions.

A zip archive is read from the front. Columns are therefore streamed in step,
and the events of a measurement that is larger than its images may be are kept
in narrow arrays, as far as `_KEPT_BYTES` go; for frames beyond, the archive is
read again up to them.
"""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._stream import BATCH
from napari_liso.readers.iontof import properties as table
from napari_liso.readers.iontof import raw_events as raw

__all__ = ["NAME", "outline", "read", "recognise"]

NAME = "ION-TOF ITZIP"

_MAGIC = b"PK\x03\x04"
_SCANS, _SHOTS, _TOFS, _COORDS = ".scans", ".shots", ".tofs", ".coords"
#: Numbers for each event.
_WIDTHS = {_SCANS: 1, _SHOTS: 1, _TOFS: 1, _COORDS: 2}
_WORD = np.dtype("<u4")
#: Flight times are close to chance; what inflates further than this is a bomb.
_MAX_RATIO = 32
_ALWAYS_ALLOWED = 2**22  # bytes
_KEPT_BYTES = 2**29
_DAMAGE = (
    zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError, NotImplementedError,
    ValueError, KeyError, struct.error, OverflowError,
)  # fmt: skip

Columns = dict[str, NDArray[Any]]


def recognise(path: Path) -> bool:
    """Whether a file is a zip archive with the columns of raw events."""
    if _files.head(path, len(_MAGIC)) != _MAGIC:
        return False
    try:
        with zipfile.ZipFile(path) as archive:
            names = [name.lower() for name in archive.namelist()]
    except _DAMAGE:
        return False
    return all(any(name.endswith(suffix) for name in names) for suffix in (_TOFS, _COORDS))


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read ion images from the raw events in an archive.

    Parameters
    ----------
    path
        The archive.
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
        If it is damaged, encrypted, or not what its directory says.
    ValueError
        If a window is not a positive interval.
    """
    windows = _files.check_windows(windows)
    with _opened(path) as archive:
        members = _members(path, archive)
        content = _properties(path, archive)
    facts = table.read_facts(path, content)
    events = _check_sizes(path, members)
    stream = _Stream(path, members)
    first_scan, starts, shots = _frames(stream, events)
    raw.check_frames(path, starts, facts.resolution)
    metadata = _files.base_metadata(path, NAME)
    early = raw.ends_early(shots, facts.resolution)
    metadata["warnings"] = [] if early is None else [early]
    source = raw.RawEvents(
        path, first_scan, starts, facts.resolution, facts.calibration, stream.events
    )
    return raw.read_events(source, facts, windows, metadata)


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open for reading."""
    with _understood(path), zipfile.ZipFile(path) as archive:
        yield archive


@contextmanager
def _understood(path: Path) -> Iterator[None]:
    """Whatever goes wrong inside becomes a `FormatError`."""
    try:
        yield
    except FormatError:
        raise
    except _DAMAGE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(path, f"is a damaged or truncated archive: {text}") from error


def _members(path: Path, archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """Return the columns by suffix; folders in their names mean nothing here."""
    found: dict[str, zipfile.ZipInfo] = {}
    for info in archive.infolist():
        suffix = next((s for s in _WIDTHS if info.filename.lower().endswith(s)), None)
        if suffix is None:
            continue
        if suffix in found:
            raise FormatError(path, f"holds several members {suffix}; which one is meant?")
        _check_member(path, info)
        found[suffix] = info
    missing = [suffix for suffix in _WIDTHS if suffix not in found]
    if missing:
        raise FormatError(path, f"lacks the column {', '.join(missing)}")
    return found


def _check_member(path: Path, info: zipfile.ZipInfo) -> None:
    if info.flag_bits & 1:
        raise FormatError(path, f"is encrypted ({info.filename}); unpack it and pack it anew")
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise FormatError(path, f"is packed by a method ({info.compress_type}) not read here")


def _properties(path: Path, archive: zipfile.ZipFile) -> bytes:
    infos = [info for info in archive.infolist() if info.filename.lower().endswith(table.SUFFIX)]
    if len(infos) != 1:
        raise FormatError(
            path, f"holds {len(infos)} members {table.SUFFIX}, which say what mass and "
            "pixel the events have; one is needed"
        )  # fmt: skip
    _check_member(path, infos[0])
    if infos[0].file_size > table.MAX_BYTES:
        raise FormatError(path, "its properties are too large")
    with archive.open(infos[0]) as file:
        return file.read(table.MAX_BYTES)


def _check_sizes(path: Path, members: dict[str, zipfile.ZipInfo]) -> int:
    """Return the number of events, which all columns must agree on."""
    tofs = members[_TOFS]
    events, rest = divmod(tofs.file_size, _WORD.itemsize)
    if events == 0 or rest:
        raise FormatError(path, f"its flight times take {tofs.file_size} bytes: no whole number")
    for suffix, width in _WIDTHS.items():
        size = members[suffix].file_size
        if size != width * tofs.file_size:
            raise FormatError(
                path,
                f"its columns differ in length: {suffix} has {size} bytes, but {events} events "
                f"need {width * tofs.file_size}",
            )
    if tofs.file_size > _ALWAYS_ALLOWED + _MAX_RATIO * tofs.compress_size:
        raise FormatError(
            path,
            f"declares {events} flight times in {tofs.compress_size} bytes, which no measurement "
            "can be packed into",
        )
    return events


@dataclass(eq=False)
class _Reader:
    """Columns that are being read, all at the same event."""

    stack: ExitStack
    files: dict[str, IO[bytes]]
    at: int = 0


class _Stream:
    """Reads columns in step from the front; goes on where it stopped where it can."""

    def __init__(self, path: Path, members: dict[str, zipfile.ZipInfo]) -> None:
        self._path = path
        self._members = members
        self._lock = Lock()
        self._waiting: _Reader | None = None
        self._kept: dict[int, list[tuple[int, Columns]]] = {}
        self._room = _KEPT_BYTES

    def columns(self, *suffixes: str) -> Iterator[tuple[int, Columns]]:
        """Yield (number of the first event, columns) of the whole archive."""
        with _understood(self._path), ExitStack() as stack:
            reader = self._open(stack, suffixes)
            while found := self._next(reader, BATCH):
                yield found

    def events(self, first: int, end: int) -> Iterator[tuple[int, Columns]]:
        """Yield (number of the first event, columns x, y and tof) of some events."""
        if first == end:
            return
        if first in self._kept:
            yield from self._kept[first]
            return
        batches: list[tuple[int, Columns]] = []
        for start, columns in self._read(first, end):
            size = sum(column.nbytes for column in columns.values())
            if self._room >= size:
                self._room -= size
                batches.append((start, columns))
            yield start, columns
        if sum(len(columns["tof"]) for _, columns in batches) == end - first:
            self._kept[first] = batches

    def _read(self, first: int, end: int) -> Iterator[tuple[int, Columns]]:
        with self._lock:
            reader, self._waiting = self._waiting, None
        with _understood(self._path):
            if reader is None or reader.at > first:
                if reader is not None:
                    reader.stack.close()
                reader = self._open(ExitStack(), (_TOFS, _COORDS))
            while reader.at < first:
                self._next(reader, min(BATCH, first - reader.at))
            while reader.at < end:
                start, columns = self._next(reader, min(BATCH, end - reader.at)) or (0, {})
                if not columns:
                    raise FormatError(self._path, "is truncated: its columns end early")
                coords = columns[_COORDS].reshape(-1, 2)
                if coords.max(initial=0) >= 2**16:
                    raise FormatError(self._path, "is damaged: an event is far outside the raster")
                narrow = coords.astype(np.uint16)
                yield start, {"tof": columns[_TOFS], "x": narrow[:, 0], "y": narrow[:, 1]}
        with self._lock:
            if self._waiting is None:
                self._waiting = reader
            else:
                reader.stack.close()

    def _open(self, stack: ExitStack, suffixes: tuple[str, ...]) -> _Reader:
        archive = stack.enter_context(zipfile.ZipFile(self._path))
        files = {s: stack.enter_context(archive.open(self._members[s])) for s in suffixes}
        return _Reader(stack, files)

    def _next(self, reader: _Reader, count: int) -> tuple[int, Columns] | None:
        """Read the next events, `count` at most; None at the end."""
        columns = {}
        for suffix, file in reader.files.items():
            wanted = count * _WIDTHS[suffix] * _WORD.itemsize
            columns[suffix] = np.frombuffer(file.read(wanted), np.uint8)
        lengths = {len(data) // (4 * _WIDTHS[suffix]) for suffix, data in columns.items()}
        if len(lengths) != 1 or any(len(data) % 4 for data in columns.values()):
            raise FormatError(self._path, "is truncated: its columns end at different events")
        (length,) = lengths
        if length == 0:
            return None
        start, reader.at = reader.at, reader.at + length
        return start, {suffix: data.view(_WORD) for suffix, data in columns.items()}


def _frames(stream: _Stream, events: int) -> tuple[int, list[int], list[int]]:
    """Return (first scan, first event of every scan and their number, last shot of every scan)."""
    path = stream._path
    first = last = -1
    starts: list[int] = []
    shots: list[int] = []
    shot = seen = 0
    for start, columns in stream.columns(_SCANS, _SHOTS):
        scans = columns[_SCANS].astype(np.int64)
        if first < 0:
            first = last = int(scans[0])
            starts.append(0)
        steps = np.diff(scans, prepend=last)
        if steps.min() < 0:
            raise FormatError(
                path, f"is damaged: scan numbers fall at event {start + int(np.argmin(steps))}"
            )
        raw.frames_between(path, first, int(scans[-1]))
        for place in np.flatnonzero(steps):
            shots.append(int(columns[_SHOTS][place - 1]) if place else shot)
            starts += [start + int(place)] * int(steps[place])
        last, shot = int(scans[-1]), int(columns[_SHOTS][-1])
        seen = start + len(scans)
    if seen != events:
        raise FormatError(path, f"is truncated: it holds {seen} of {events} events")
    return first, [*starts, events], [*shots, shot]


def outline(path: Path) -> Iterator[str]:
    """Yield the members and the properties."""
    with _opened(path) as archive:
        for info in archive.infolist()[:50]:
            packed = "encrypted, " if info.flag_bits & 1 else ""
            yield f"{info.filename[-100:]}: {packed}{info.file_size} bytes in {info.compress_size}"
        content = _properties(path, archive)
    yield from table.listed(content)
