"""What every reader does with a file before it looks at the content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from napari_liso.errors import FormatError

__all__ = [
    "HDF5_SIGNATURE",
    "MAX_IMAGE_PIXELS",
    "Windows",
    "base_metadata",
    "check_image_size",
    "check_windows",
    "head",
    "sha256",
]

#: First bytes of an HDF5 file.
HDF5_SIGNATURE = b"\x89HDF\r\n\x1a\n"

Windows = dict[str, tuple[float, float]]

#: Pixels that one image may have: 8192 x 8192. A declared size beyond this is a
#: damaged file, not a measurement, and is refused before anything is allocated.
MAX_IMAGE_PIXELS = 2**26


def head(path: str | PathLike[str], size: int, offset: int = 0) -> bytes:
    """Return `size` bytes at `offset`, fewer where the file ends."""
    with open(path, "rb") as file:
        file.seek(offset)
        return file.read(size)


def sha256(path: str | PathLike[str]) -> str:
    """Return the hexadecimal SHA-256 of a file, read in pieces."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


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
        except (TypeError, ValueError) as error:
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
