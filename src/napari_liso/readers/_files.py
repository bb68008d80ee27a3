"""What every reader does with a file before it looks at the content."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from os import PathLike, fspath
from pathlib import Path
from threading import Lock
from typing import Any, Generic, TypeVar

import numpy as np

from napari_liso.errors import FormatError
from napari_liso.readers._progress import report

__all__ = [
    "HDF5_SIGNATURE",
    "MAX_IMAGE_PIXELS",
    "Remembered",
    "Unchanged",
    "Windows",
    "base_metadata",
    "check_image_size",
    "check_sum",
    "check_windows",
    "head",
    "identity",
    "sha256",
]

#: First bytes of an HDF5 file.
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

Windows = dict[str, tuple[float, float]]

_PIECE = 2**24  # bytes read at a time

#: Pixels that one image may have: 8192 x 8192. A declared size beyond this is a
#: damaged file, not a measurement, and is refused before anything is allocated.
MAX_IMAGE_PIXELS = 2**26


def head(path: str | PathLike[str], size: int, offset: int = 0) -> bytes:
    """Return `size` bytes at `offset`, fewer where the file ends.

    Raises
    ------
    OSError
        If it cannot be read, or is a pipe or a device.
    """
    status = os.stat(path)
    # Opening a pipe waits for whoever writes into it.
    if not stat.S_ISREG(status.st_mode):
        code = errno.EISDIR if stat.S_ISDIR(status.st_mode) else errno.EINVAL
        raise OSError(code, "is no file", fspath(path))
    if status.st_size == 0:
        return b""
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


#: Sums of counts are made in 64 bits with a sign.
_LARGEST_SUM = 2.0**63

Identity = tuple[Any, ...]
T = TypeVar("T")

#: A file that changed so recently may change again without a new time stamp.
_SETTLED_NS = 2_000_000_000


def identity(path: str | PathLike[str]) -> Identity:
    """Return what changes when a file does: path, number, size and time stamps."""
    status = os.stat(path)
    place = (os.path.realpath(path), status.st_dev, status.st_ino)
    return (*place, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


class Unchanged:
    """Called before a file is read again: refuses one that has changed or is gone.

    Parameters
    ----------
    paths
        As they are now; folders are left out.
    """

    def __init__(self, paths: Sequence[Path]) -> None:
        self._known = {path: identity(path) for path in paths if path.is_file()}

    def __call__(self) -> None:
        """Raise `FormatError` where a file is not what it was."""
        for path, known in self._known.items():
            try:
                same = identity(path) == known
            except OSError as error:
                reason = f"cannot be read any more: {error.strerror}"
                raise FormatError(path, reason) from error
            if not same:
                raise FormatError(path, "has changed since it was opened; open it again")


class Remembered(Generic[T]):
    """What was found in the files that were read last, as long as they do not change.

    Parameters
    ----------
    most
        Files to remember.
    most_bytes
        Memory that all of it may take, by `size`.
    size
        Function that returns the bytes of what was found.
    """

    def __init__(
        self, most: int, most_bytes: int = 2**20, size: Callable[[T], int] = lambda found: 0
    ) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._size = size
        self._found: OrderedDict[Identity, T] = OrderedDict()
        self._lock = Lock()

    def get(self, path: str | PathLike[str], find: Callable[[], T]) -> T:
        """Return what `find` found in this file, which is called where it is not known."""
        key = identity(path)
        with self._lock:
            if key in self._found:
                self._found.move_to_end(key)
                return self._found[key]
        found = find()
        settled = time.time_ns() - max(key[-2:]) > _SETTLED_NS
        if settled and identity(path) == key and self._size(found) <= self._most_bytes:
            with self._lock:
                self._found[key] = found
                while len(self._found) > self._most or (
                    sum(map(self._size, self._found.values())) > self._most_bytes
                ):
                    self._found.popitem(last=False)
        return found


_hashes: Remembered[str] = Remembered(1000)


def sha256(path: str | PathLike[str]) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces; once for each file."""
    return _hashes.get(path, lambda: _sha256(path))


def _sha256(path: str | PathLike[str]) -> str:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while piece := file.read(_PIECE):
            digest.update(piece)
            report(0.0)  # the images have not begun, but it can be cancelled
    return digest.hexdigest()


def base_metadata(path: Path, format_name: str) -> dict[str, Any]:
    """Return the metadata that every acquisition from a file carries."""
    return {
        "format": format_name,
        "path": str(path.absolute()),
        "sha256": sha256(path),
        "counts_are": "raw",
        "warnings": [],
    }


def check_image_size(path: str | PathLike[str], height: int, width: int) -> None:
    """Refuse images that are empty or larger than any instrument makes.

    Raises
    ------
    FormatError
        If the size is not between 1 and `MAX_IMAGE_PIXELS` pixels.
    """
    if height < 1 or width < 1 or height * width > MAX_IMAGE_PIXELS:
        raise FormatError(
            fspath(path),
            f"declares an image of {height} x {width} pixels; from 1 to {MAX_IMAGE_PIXELS} "
            "pixels can be read",
        )


def check_sum(path: str | PathLike[str], what: str, largest: float, values: int) -> None:
    """Refuse whole numbers whose sum may not fit 64 bits.

    Raises
    ------
    FormatError
        If `values` numbers, each up to `largest`, may come to more.
    """
    if float(largest) * values >= _LARGEST_SUM:
        raise FormatError(
            path, f"{what} holds numbers up to {largest:g}, too large to add up: no counts"
        )


def check_windows(windows: Mapping[str, tuple[float, float]] | None) -> Windows | None:
    """Return mass windows as floats, or None where none are given.

    Parameters
    ----------
    windows
        Name of each channel and its (low, high) mass in u.

    Raises
    ------
    ValueError
        If there are none in the mapping, or one is not a positive interval.
    """
    if windows is None:
        return None
    if not windows:
        raise ValueError("windows is empty; leave it out to read everything as one channel")
    checked: Windows = {}
    for name, window in windows.items():
        try:
            low, high = (float(edge) for edge in window)
        except (TypeError, ValueError, OverflowError) as error:
            raise ValueError(
                f"the window of {name!r} must be (low, high) in u, got {window!r}"
            ) from error
        if not (0 < low < high and np.isfinite(high)):
            raise ValueError(
                f"the window of {name!r} must have 0 < low < high in u, got {low:g} and {high:g}"
            )
        checked[str(name)] = (low, high)
    if len(checked) != len(windows):
        raise ValueError(f"channel names are not unique: {list(windows)}")
    return checked
