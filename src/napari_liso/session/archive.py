"""The file itself: a zip of plain arrays and one description, checked down to the last byte.

::

    mimetype          application/x-napari-liso-session, stored, always first
    arrays/0.npy      numpy arrays of numbers, stored or deflated; whole numbers as narrow as
                      their values allow (counts of int64 take a byte each)
    ...
    session.json      format, version, SHA-256 of every array, and the structure

The comment of the zip is the SHA-256 of ``session.json``. Nothing in a file is ever
executed, and names in it are compared, never used as paths.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.session.replacing import replace_whole

__all__ = ["VERSION", "is_session", "read_archive", "read_description", "write_archive"]

#: Of the format. Raised whenever a file could be misread by an older program: 2 has narrow
#: arrays and EBSD maps. Older files can be read.
VERSION = 2
_FORMAT = "napari-liso session"
_MIMETYPE = b"application/x-napari-liso-session"
_COMMENT = b"napari-liso session sha256:"
_DESCRIPTION = "session.json"

#: Of a description; that of 65,000 boundaries takes a tenth.
_LONGEST_DESCRIPTION = 64 * 2**20
#: Arrays may take so much memory, or so many times the size of the file, whichever is more.
#: Deflate alone would allow a thousand times: label images get there, but not whole sessions.
_ALWAYS = 2**30
_RATIO = 100
_CHUNK = 2**22
_HEADER = 2**16  # bytes that a .npy header may take
_KINDS = re.compile(r"[<>|][biufc](1|2|4|8|16)")
_WIDE = 2**16  # values from which on it pays to look how wide they need to be

_DAMAGED = "is damaged or cut short; open a copy or an older file. It was not changed"
#: What zipfile raises for damaged files, beside its own errors.
_BROKEN = (
    zipfile.BadZipFile, zlib.error, struct.error, EOFError, KeyError, IndexError, TypeError,
    ValueError, OverflowError, NotImplementedError, RuntimeError, RecursionError, MemoryError,
)  # fmt: skip


def is_session(path: Path) -> bool:
    """Tell by its first bytes whether a file is a session, whole or damaged."""
    try:
        with open(path, "rb") as stream:
            start = stream.read(38 + len(_MIMETYPE))
    except OSError:
        return False
    return (
        start.startswith(b"PK\x03\x04") and start[30:38] == b"mimetype" and start[38:] == _MIMETYPE
    )


# --- writing ----------------------------------------------------------------------------------


def write_archive(path: Path, content: dict[str, Any], arrays: Sequence[NDArray[Any]]) -> Path:
    """Write a session's file, whole or not at all.

    Parameters
    ----------
    path
        Of the file; one that is there is replaced.
    content
        JSON-able description, beside format and version.
    arrays
        Of numbers, which the description refers to by their place in this list.

    Raises
    ------
    ValueError
        If the description is too long for `read_archive`.
    OSError
        If the file cannot be written; one that was there is then as before.
    """

    def write(stream: IO[bytes]) -> None:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED, compresslevel=1) as archive:
            archive.writestr("mimetype", _MIMETYPE)
            large = sum(array.nbytes for array in arrays) > _ALWAYS
            records = [_write_array(archive, i, a, large) for i, a in enumerate(arrays)]
            head = {"format": _FORMAT, "version": VERSION, "arrays": records, **content}
            text = json.dumps(head, allow_nan=False, separators=(",", ":")).encode("ascii")
            if len(text) > _LONGEST_DESCRIPTION:
                raise ValueError(
                    f"a session's tables and settings are {len(text) / 1e6:.0f} MB of text, more "
                    f"than the {_LONGEST_DESCRIPTION / 1e6:.0f} MB that a file may hold: leave "
                    "out layers with large tables"
                )
            archive.compression = zipfile.ZIP_DEFLATED
            archive.writestr(_DESCRIPTION, text)
            archive.comment = _COMMENT + hashlib.sha256(text).hexdigest().encode()

    return replace_whole(path, write)


def _write_array(
    archive: zipfile.ZipFile, number: int, array: NDArray[Any], large: bool
) -> dict[str, Any]:
    """Write one array; return what identifies it."""
    fortran = array.flags.f_contiguous and not array.flags.c_contiguous
    plain = _narrow(np.asarray(array, order="F" if fortran else "C"))
    content = _bytes_of(plain)
    gain = _gain(content)
    whole_gain = gain * array.dtype.itemsize / plain.dtype.itemsize
    deflate = gain > 1.1 and not (large and whole_gain > _RATIO / 2)
    archive.compression = zipfile.ZIP_DEFLATED if deflate else zipfile.ZIP_STORED
    digest = hashlib.sha256()
    with archive.open(f"arrays/{number}.npy", "w", force_zip64=plain.nbytes > 2**30) as stream:
        header = np.lib.format.header_data_from_array_1_0(plain)
        np.lib.format.write_array_header_2_0(stream, header)
        for start in range(0, len(content), _CHUNK):
            piece = content[start : start + _CHUNK]
            digest.update(piece)
            stream.write(piece)
    return {
        "dtype": array.dtype.str,
        "stored": plain.dtype.str,
        "shape": list(plain.shape),
        "order": "F" if fortran else "C",
        "sha256": digest.hexdigest(),
    }


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """Return whole numbers in the narrowest type that holds them."""
    if array.dtype.kind not in "iu" or array.size < _WIDE:
        return array
    low, high = int(array.min()), int(array.max())
    for size in (1, 2, 4):
        kind = np.dtype(f"{'u' if low >= 0 else 'i'}{size}")
        if size >= array.dtype.itemsize:
            break
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return array.astype(kind)
    return array


def _bytes_of(array: NDArray[Any]) -> memoryview:
    """Return the memory of a contiguous array as flat bytes, without a copy."""
    flat = array.T if array.flags.f_contiguous and not array.flags.c_contiguous else array
    return flat.reshape(-1).view(np.uint8).data if flat.size else memoryview(b"")


def _gain(content: memoryview) -> float:
    """Return how many times smaller a sample of some bytes becomes."""
    if len(content) == 0:
        return 1.0
    size = 2**16
    starts = np.unique(np.linspace(0, max(len(content) - size, 0), 4).astype(int)).tolist()
    sample = b"".join(content[start : start + size] for start in starts)
    return len(sample) / len(zlib.compress(sample, 1))


# --- reading ----------------------------------------------------------------------------------


def read_archive(path: Path) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Return the description and the arrays of a session's file.

    Raises
    ------
    FormatError
        If the file is no session, is of a newer version, or is damaged in any way.
    OSError
        If it cannot be opened.
    """
    with _opened(path) as (archive, head, size):
        records = head["arrays"]
        shapes = [_check_record(record) for record in records]
        total = sum(count * kind.itemsize for _, kind, count in shapes)
        if total > max(_ALWAYS, _RATIO * size):
            raise ValueError(f"arrays of {total} bytes in a file of {size}")
        expected = ["mimetype", *(f"arrays/{i}.npy" for i in range(len(records))), _DESCRIPTION]
        if sorted(info.filename for info in archive.infolist()) != sorted(expected):
            raise ValueError("other members than listed")
        arrays = []
        for i, (record, (shape, kind, _)) in enumerate(zip(records, shapes, strict=True)):
            info = archive.getinfo(f"arrays/{i}.npy")
            arrays.append(_read_array(archive, info, record, shape, kind))
        return head, arrays


def read_description(path: Path) -> dict[str, Any]:
    """Return the description alone; the errors are those of `read_archive`."""
    with _opened(path) as (_, head, _):
        return head


@contextmanager
def _opened(path: Path) -> Iterator[tuple[zipfile.ZipFile, dict[str, Any], int]]:
    """Open a file whose version can be read; turn all that damage does into `FormatError`."""
    with open(path, "rb") as stream:
        size = stream.seek(0, 2)
        stream.seek(0)
        try:
            with zipfile.ZipFile(stream) as archive:
                head = _head(path, archive, size)
                yield archive, head, size
        except FormatError:
            raise
        except _BROKEN as error:
            if not zipfile.is_zipfile(path) and not is_session(path):
                raise FormatError(path, "is no file of a session") from error
            raise FormatError(path, f"{_DAMAGED} ({_in_words(error)})") from error


def _in_words(error: BaseException) -> str:
    return str(error) or type(error).__name__


def _head(path: Path, archive: zipfile.ZipFile, size: int) -> dict[str, Any]:
    """Return the description, its format and version checked."""
    infos = archive.infolist()
    if len({info.filename for info in infos}) != len(infos):
        raise ValueError("a member is there twice")
    if sum(info.compress_size for info in infos) > size:
        raise ValueError("members overlap")
    if not any(info.filename == "mimetype" for info in infos):
        raise FormatError(path, "is a zip, but no session")
    if archive.read(_checked(archive.getinfo("mimetype"), 1000)) != _MIMETYPE:
        raise FormatError(path, "is a zip, but no session")
    text = archive.read(_checked(archive.getinfo(_DESCRIPTION), _LONGEST_DESCRIPTION))
    head = json.loads(text)
    if not isinstance(head, dict) or head.get("format") != _FORMAT:
        raise ValueError("the description is of another format")
    version = head.get("version")
    if isinstance(version, int) and version > VERSION:
        raise FormatError(
            path,
            f"is a session of format version {version}, written by {head.get('software', '?')}; "
            f"this program reads up to {VERSION}. Update napari-liso to open it. The file was "
            "not changed",
        )
    if version not in range(1, VERSION + 1):
        raise ValueError(f"the format version {version!r} does not exist")
    if archive.comment != _COMMENT + hashlib.sha256(text).hexdigest().encode():
        raise ValueError("the description is not the one that was written")
    if not isinstance(head.get("arrays"), list):
        raise ValueError("the list of arrays is missing")
    return head


def _checked(info: zipfile.ZipInfo, largest: int) -> zipfile.ZipInfo:
    """Return a member that may be read into memory."""
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError(f"{info.filename} is compressed in an unknown way")
    if info.flag_bits & 1:
        raise ValueError(f"{info.filename} is encrypted")
    if info.file_size > largest:
        raise ValueError(f"{info.filename} has {info.file_size} bytes")
    return info


def _check_record(record: Any) -> tuple[tuple[int, ...], np.dtype[Any], int]:
    """Return shape, data type and number of values of a listed array."""
    name, shape = record["dtype"], record["shape"]
    if not _KINDS.fullmatch(name):
        raise ValueError(f"arrays of the type {name!r}")
    if not _KINDS.fullmatch(record.get("stored", name)):
        raise ValueError(f"arrays stored as {record['stored']!r}")
    if len(shape) > 32 or any(type(n) is not int or not 0 <= n < 2**40 for n in shape):
        raise ValueError(f"an array of the shape {shape}")
    return tuple(shape), np.dtype(name), math.prod(shape)


def _read_array(
    archive: zipfile.ZipFile,
    info: zipfile.ZipInfo,
    record: dict[str, Any],
    shape: tuple[int, ...],
    kind: np.dtype[Any],
) -> NDArray[Any]:
    """Return one array; its shape was checked against what a file of this size may hold."""
    stored = np.dtype(record.get("stored", kind))
    with archive.open(_checked(info, 2**62)) as stream:
        # the .npy header is for other programs: what it says, the description says too
        start = stream.read(12)
        length = int.from_bytes(start[8:], "little")
        if start[:8] != b"\x93NUMPY\x02\x00" or length > _HEADER:
            raise ValueError(f"{info.filename} is no array of this format")
        stream.read(length)
        if info.file_size != len(start) + length + math.prod(shape) * stored.itemsize:
            raise ValueError(f"{info.filename} has another size than listed")
        array: NDArray[Any] = np.empty(shape, stored, order=record["order"])
        content = _bytes_of(array)
        digest = hashlib.sha256()
        done = 0
        while done < len(content):
            piece = content[done : done + _CHUNK]
            count = stream.readinto(piece)  # type: ignore[attr-defined]
            if not count:
                raise ValueError(f"{info.filename} ends early")
            digest.update(piece[:count])
            done += count
        if stream.read(1):  # at the end, zipfile holds the content against its checksum, too
            raise ValueError(f"{info.filename} goes on after its end")
    if digest.hexdigest() != record["sha256"]:
        raise ValueError(f"{info.filename} is not what was written")
    return array.astype(kind, copy=False)
