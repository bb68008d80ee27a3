"""Where the spectra of an imzML file lie on the image, and how large a pixel is.

The specification counts positions from 1 at the upper left, so row 0 is the top
and nothing is flipped. The terms "top down", "bottom up" and the like tell in
which order the instrument scanned, not which way the image is up.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers.imzml.terms import (
    COUNT_X,
    COUNT_Y,
    DIMENSION_X,
    DIMENSION_Y,
    PIXEL_X,
    PIXEL_Y,
    Header,
    Spectra,
    Term,
)

__all__ = ["Grid", "place_spectra", "settings_of"]

#: Units of length by accession (Unit Ontology), in m.
_METRES = {
    "UO:0000008": 1.0, "UO:0000015": 1e-2, "UO:0000016": 1e-3, "UO:0000017": 1e-6,
    "UO:0000018": 1e-9, "UO:0000019": 1e-10, "UO:0000020": 1e-12,
}  # fmt: skip
_NAMES = {
    COUNT_X: "max count of pixels x", COUNT_Y: "max count of pixels y",
    DIMENSION_X: "max dimension x", DIMENSION_Y: "max dimension y",
    PIXEL_X: "pixel size x", PIXEL_Y: "pixel size y",
}  # fmt: skip
#: Up to so many voxels and runs, the pixels without a spectrum are listed.
_LISTED_VOXELS = 2**22
_LISTED_RUNS = 2000


@dataclass(frozen=True, eq=False)
class Grid:
    """The image that the positions make.

    Parameters
    ----------
    shape
        (frame, y, x).
    frame, pixel
        Of each spectrum; the pixel as a flat number ``y * width + x``.
    z_positions
        Position z of each frame, ascending.
    origin
        (y, x) position of the pixel at row 0, column 0, as the file counts.
    pixel_size
        (y, x) in m, or None.
    pixel_size_source
        Which term it is from.
    """

    shape: tuple[int, int, int]
    frame: NDArray[np.int64]
    pixel: NDArray[np.int64]
    z_positions: NDArray[np.int64]
    origin: tuple[int, int]
    pixel_size: tuple[float, float] | None
    pixel_size_source: str | None
    warnings: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Number of voxels without a spectrum."""
        return math.prod(self.shape) - len(self.pixel)

    def missing_runs(self) -> list[list[int]] | None:
        """Return the voxels without a spectrum, or None where they are too many to list.

        Returns
        -------
        list of [frame, y, first x, one past the last x]
        """
        frames, height, width = self.shape
        if math.prod(self.shape) > _LISTED_VOXELS:
            return None
        present = np.zeros((frames * height, width + 2), np.int8)
        present[:, 1:-1] = 1
        row, column = np.divmod(self.frame * height * width + self.pixel, width)
        present[row, column + 1] = 0
        change = np.diff(present, axis=1)
        first, last = np.argwhere(change > 0), np.argwhere(change < 0)
        if len(first) > _LISTED_RUNS:
            return None
        return [
            [int(row // height), int(row % height), int(start), int(end)]
            for (row, start), (_, end) in zip(first, last, strict=True)
        ]


def settings_of(path: Path, header: Header) -> dict[str, Term]:
    """Return the one set of scan settings of a file.

    Raises
    ------
    FormatError
        If two statements differ in what they say of the image.
    """
    found: dict[str, Term] = {}
    for accession, term in (pair for settings in header.settings for pair in settings):
        if accession not in _NAMES:
            continue
        before = found.setdefault(accession, term)
        if not _same(before, term):
            raise FormatError(
                path,
                f"has scanSettings that contradict each other: {_NAMES[accession]} is "
                f"{before.value!r} ({before.unit}) and {term.value!r} ({term.unit}); which one "
                "these spectra were measured with is not stated",
            )
    return found


def _same(one: Term, other: Term) -> bool:
    if one == other:
        return True
    lengths = [_length(term) for term in (one, other)]
    if lengths[0] is not None and lengths[1] is not None:
        return math.isclose(lengths[0], lengths[1], rel_tol=1e-6)
    return one.unit == other.unit and (_number(one) is not None and _number(one) == _number(other))


def _number(term: Term | None) -> float | None:
    """Return a positive number, or None."""
    try:
        value = float("nan" if term is None else term.value)
    except ValueError:
        return None
    return value if 0 < value < math.inf else None


def _length(term: Term | None) -> float | None:
    """Return a length in m, or None where value or unit do not make one."""
    value = _number(term)
    if term is None or value is None or term.unit not in _METRES:
        return None
    length = value * _METRES[term.unit]
    return length if 0 < length < math.inf else None


def place_spectra(path: Path, header: Header, spectra: Spectra) -> Grid:
    """Work out the image from the positions and settings of a file.

    Parameters
    ----------
    path
        For messages.
    header, spectra
        The file's XML.

    Raises
    ------
    FormatError
        If positions are negative or occur twice, the image is too large, or the
        scan settings contradict each other.
    """
    settings = settings_of(path, header)
    warnings: list[str] = []
    x, y, z = spectra.position.T
    column, width, first_x = _axis(path, "x", x, settings.get(COUNT_X), warnings)
    row, height, first_y = _axis(path, "y", y, settings.get(COUNT_Y), warnings)
    _files.check_image_size(path, height, width)
    z_positions, frame = np.unique(z, return_inverse=True)
    frame = frame.reshape(-1)  # numpy 2.0 shaped it otherwise
    pixel = row * width + column
    order = np.lexsort((pixel, frame))
    twice = np.flatnonzero((np.diff(frame[order]) == 0) & (np.diff(pixel[order]) == 0))
    if len(twice):
        one, other = sorted(order[twice[0] : twice[0] + 2])
        raise FormatError(
            path,
            f"has several spectra at one position: {one + 1} and {other + 1} are both at "
            f"x {x[one]}, y {y[one]}, z {z[one]} ({len(twice)} such pairs). Which counts is not "
            "stated; export one spectrum a pixel, or scans as positions z",
        )
    if len(z_positions) > 1 and z_positions[-1] - z_positions[0] >= len(z_positions):
        warnings.append(
            f"The positions z from {z_positions[0]} to {z_positions[-1]} have gaps; the frames "
            f"are the {len(z_positions)} that occur."
        )
    size, source = _pixel_size(settings, warnings)
    if size is not None:
        _compare_dimensions(settings, (height, width), size, warnings)
    return Grid(
        shape=(len(z_positions), height, width),
        frame=frame,
        pixel=pixel,
        z_positions=z_positions,
        origin=(first_y, first_x),
        pixel_size=size,
        pixel_size_source=source,
        warnings=warnings,
    )


def _axis(
    path: Path, name: str, position: NDArray[np.int64], count: Term | None, warnings: list[str]
) -> tuple[NDArray[np.int64], int, int]:
    """Return (index of each spectrum, size, position of index 0) along x or y."""
    low, high = int(position.min()), int(position.max())
    if low < 0:
        raise FormatError(path, f"has a spectrum at {name} {low}; positions count from 1")
    number = _number(count)
    declared = int(number) if number is not None and number < 2**31 else None
    if count is not None and (declared is None or declared != number):
        raise FormatError(path, f"states {count.value!r} as its max count of pixels {name}")
    first = 1
    if low == 0:
        first = 0
        warnings.append(f"Positions {name} count from 0, not from 1 as they should.")
        if declared is not None and high >= declared:
            raise FormatError(
                path,
                f"has positions {name} from 0 to {high}, more than the {declared} that it "
                "declares: it is damaged",
            )
    if declared is None:
        return position - first, high - first + 1, first
    if high - first >= declared:
        if high - low < declared:
            first = low
            warnings.append(
                f"Positions {name} run from {low} to {high}, beyond the {declared} pixels that "
                f"the file declares; the image begins at {low}."
            )
        else:
            warnings.append(
                f"The file declares {declared} pixels along {name} but has spectra up to {high}; "
                "the image holds all of them. The file may be damaged."
            )
            declared = high - first + 1
    return position - first, declared, first


def _pixel_size(
    settings: dict[str, Term], warnings: list[str]
) -> tuple[tuple[float, float] | None, str | None]:
    """Return (y, x) in m and which term states it."""
    x, y = settings.get(PIXEL_X), settings.get(PIXEL_Y)
    if x is None and y is None:
        return None, None
    source = "pixel size x and y (IMS:1000046, IMS:1000047)"
    if y is None:
        # So the vocabulary defines it.
        y, source = x, "pixel size (IMS:1000046), which holds for y too"
    lengths = _length(y), _length(x)
    if lengths[0] is None or lengths[1] is None:
        said = " and ".join(
            f"{_NAMES[accession]} {settings[accession].value!r} "
            f"(unit {settings[accession].unit or 'not stated'})"
            for accession in (PIXEL_X, PIXEL_Y)
            if accession in settings
        )
        warnings.append(f"The file's pixel size was not used, as it is no length: {said}.")
        return None, None
    return (lengths[0], lengths[1]), source


def _compare_dimensions(
    settings: dict[str, Term],
    counts: tuple[int, int],
    size: tuple[float, float],
    warnings: list[str],
) -> None:
    """Warn where the image's stated dimension is not that of its pixels."""
    for accession, count, pixel in zip((DIMENSION_Y, DIMENSION_X), counts, size, strict=True):
        term = settings.get(accession)
        length = _length(term)
        if term is None or term.unit is None or length is None:
            continue
        # Dimensions are whole numbers of their unit.
        rounding = max(_METRES[term.unit], 0.01 * length)
        if abs(length - count * pixel) > rounding:
            warnings.append(
                f"The file's {_NAMES[accession]} of {length * 1e6:g} um contradicts its "
                f"{count} pixels of {pixel * 1e6:g} um ({count * pixel * 1e6:g} um). The pixel "
                "size was used; check it against the instrument's raster."
            )
