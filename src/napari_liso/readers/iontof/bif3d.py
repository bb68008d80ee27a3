"""BIF3D of ION-TOF: one file a peak, such as ``map (7) - 7Li+.BIF3D``.

One public reader (pySPM) is all that is known of it: a header of 640 bytes, of
which two sizes at byte 32 are understood, then a number of 8 bytes a pixel. So
this is experimental, and says so.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files

__all__ = ["NAME", "outline", "read", "read_several", "recognise"]

NAME = "ION-TOF BIF3D"

_HEADER = 640
_SIZES_AT = 32
_MAX_SIDE = 8192
#: Without a magic number, images of fewer pixels a side are more likely something else.
_MIN_SIDE = 2
#: Values looked at in one piece, so that large files need little memory.
_PIECE = 2**20
#: Larger than any count, smaller than what other bytes give when they are read as numbers.
_LARGEST = 2.0**53
_SMALLEST = 1e-30
_FILE_NAME = re.compile(r"(?P<base>.*) \((?P<id>\d+)\)(?: - (?P<peak>.+))?$")
_NOT_VERIFIED = (
    "BIF3D is known from one public reader alone, and the file does not say which way up its "
    "images are: they are shown as stored, row 0 at the top. Check them against a known feature."
)
_NOT_SQUARE = (
    "The image is not square, and it is not known for sure which of its two sizes is the width: "
    "the first was taken."
)


@dataclass(frozen=True)
class _Peak:
    """What a file's name says: the measurement, the number and the name of the peak."""

    base: str
    number: int | None
    name: str
    mass: float


def recognise(path: Path) -> bool:
    """Whether a file is one: by exact arithmetic and numbers that can be counts.

    There is no magic number. Two sizes must give the file's size exactly, and
    the values must be finite and not negative.
    """
    try:
        height, width = _shape(path)
        if min(height, width) < _MIN_SIDE:
            return False
        values = np.fromfile(path, "<f8", min(height * width, _PIECE), offset=_HEADER)
    except FormatError:
        return False
    with np.errstate(invalid="ignore"):
        sane = (values == 0) | ((values > _SMALLEST) & (values < _LARGEST))
    return bool(sane.all())


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read the image of one peak, named by the file's name.

    The layout is that of the one public reader (pySPM).

    Parameters
    ----------
    path
        The file.
    windows
        Must be None: images have no mass axis.

    Returns
    -------
    Acquisition
        One channel and one frame. Integer counts where all values are whole
        numbers; else float, and ``metadata["counts_are"]`` says so.

    Raises
    ------
    FormatError
        If the size is not exactly what the header declares, or values are not finite.
    ValueError
        If windows are given.
    """
    if windows is not None:
        raise ValueError("a BIF3D file holds the image of one peak; it has no mass axis")
    height, width = _shape(path)
    image, counts_are = _image(path, height, width)
    peak = _peak(path)
    metadata = _files.base_metadata(path, NAME) | {
        "experimental": "the layout is known from one public reader alone",
        "counts_are": counts_are,
        "frames": 1,
        "polarity": None,
        "origin": "as stored, row 0 = top; the file does not say",
        "pixel_size_source": None,
        "names_from": "file name",
        "peak_number": peak.number,
    }
    metadata["warnings"].append(_NOT_VERIFIED)
    if height != width:
        metadata["warnings"].append(_NOT_SQUARE)
    return Acquisition(
        image[np.newaxis, np.newaxis], (peak.name,), np.array([peak.mass]), metadata=metadata
    )


def read_several(paths: Sequence[Path], windows: _files.Windows | None = None) -> Acquisition:
    """Read the files of one measurement, one a peak.

    Raises
    ------
    FormatError
        If one of them cannot be read.
    ValueError
        If they differ in shape or in the name of the measurement, or two are of
        one peak; or if windows are given.
    """
    peaks = [_peak(path) for path in paths]
    shapes = [_shape(path) for path in paths]
    for path, peak, shape in zip(paths, peaks, shapes, strict=True):
        if shape != shapes[0]:
            raise ValueError(
                f"{path.name} is {shape} pixels, but {paths[0].name} is {shapes[0]}: these files "
                "do not belong to one measurement"
            )
        numbered = peak.number is not None and peaks[0].number is not None
        if numbered and peak.base != peaks[0].base:
            raise ValueError(f"{path.name} and {paths[0].name} are of different measurements")
    names = [peak.name for peak in peaks]
    if len(set(names)) != len(names):
        names = [f"{peak.name} ({peak.number})" for peak in peaks]
    if len(set(names)) != len(names):
        raise ValueError(f"two of the files are of one peak: {', '.join(names)}")
    parts = [read(path, windows) for path in paths]
    kinds = {str(part.metadata["counts_are"]) for part in parts}
    metadata = {
        **parts[0].metadata,
        "counts_are": kinds.pop() if len(kinds) == 1 else "not counts: in some files, no integers",
        "peak_number": None,
        "peak_numbers": dict(zip(names, (peak.number for peak in peaks), strict=True)),
        "files": [{key: part.metadata[key] for key in ("path", "sha256")} for part in parts],
    }
    return replace(
        parts[0],
        counts=np.concatenate([part.counts for part in parts]),
        channels=tuple(names),
        masses=np.concatenate([part.masses for part in parts]),
        metadata=metadata,
    )


def outline(path: Path) -> Iterator[str]:
    """Yield the sizes and what is in the rest of the header, as far as it can be followed.

    Raises
    ------
    FormatError
        Where it cannot be followed further.
    """
    raw = _files.head(path, _HEADER)
    if len(raw) >= _SIZES_AT + 8:
        width, height = struct.unpack_from("<2I", raw, _SIZES_AT)
        yield f"sizes at byte {_SIZES_AT}: {width} x {height} (columns x rows)"
    for text in re.findall(rb"[ -~]{4,}", raw):
        yield f"text in the header: {text.decode('ascii')!r}"
    height, width = _shape(path)
    yield f"{height * width} values of 8 bytes from byte {_HEADER}"


def _peak(path: Path) -> _Peak:
    """Return what the file's name says, such as ``map (7) - 7Li+`` or ``map (3) - 26.00u``."""
    found = _FILE_NAME.match(path.stem)
    if not found:
        return _Peak(path.stem, None, path.stem, np.nan)
    number = int(found["id"])
    name = (found["peak"] or "").strip()
    mass = re.fullmatch(r"(\d{1,5}(?:\.\d+)?) ?u", name)
    if mass:
        return _Peak(found["base"], number, f"m/z {mass[1]}", float(mass[1]))
    return _Peak(found["base"], number, name or f"peak {number}", np.nan)


def _shape(path: Path) -> tuple[int, int]:
    """Return (height, width); refuse sizes that do not give the file's size exactly."""
    raw = _files.head(path, _HEADER)
    size = path.stat().st_size
    if len(raw) < _HEADER:
        raise FormatError(path, f"is truncated: its header has {_HEADER} bytes", len(raw))
    width, height = struct.unpack_from("<2I", raw, _SIZES_AT)
    if not (0 < width <= _MAX_SIDE and 0 < height <= _MAX_SIDE):
        raise FormatError(path, f"declares {width} x {height} pixels", _SIZES_AT)
    _files.check_image_size(path, height, width)
    expected = _HEADER + 8 * width * height
    if size != expected:
        raise FormatError(
            path,
            f"has {size} bytes where an image of {width} x {height} pixels takes {expected}: "
            "truncated, or of another kind",
            _SIZES_AT,
        )
    return height, width


def _image(path: Path, height: int, width: int) -> tuple[NDArray[Any], str]:
    """Return the image, as unsigned counts where all values are whole, and what they are."""
    largest, whole = 0.0, True
    for values in _pieces(path, height * width):
        if not np.isfinite(values).all():
            raise FormatError(path, "is damaged: some of its values are no finite numbers")
        largest = max(largest, float(values.max()))
        whole = whole and bool(np.all((values == np.rint(values)) & (values >= 0)))
    whole = whole and largest < _LARGEST
    dtype = np.min_scalar_type(int(largest)) if whole else np.dtype(np.float64)
    image = np.empty(height * width, dtype)
    place = 0
    for values in _pieces(path, height * width):
        image[place : place + len(values)] = values
        place += len(values)
    counts_are = "raw" if whole else "not counts: values that are negative or no whole numbers"
    return image.reshape(height, width), counts_are


def _pieces(path: Path, count: int) -> Iterator[NDArray[np.float64]]:
    for start in range(0, count, _PIECE):
        wanted = min(_PIECE, count - start)
        values = np.fromfile(path, "<f8", wanted, offset=_HEADER + 8 * start)
        if len(values) != wanted:
            raise FormatError(path, "was cut short while it was read", _HEADER + 8 * start)
        yield values
