"""EDAX TSL OIM text files (``.ang``), also as others write them.

A header of lines that begin with ``#``, then a line for each point, x running fastest:
phi1, Phi, phi2 (Bunge, rad), x, y (um), image quality, confidence index, phase, and more.
Newer headers name the columns. A point without a solution has the confidence index -1 and
angles of 4 pi. In files of one phase its number is often 0. On a ``HexGrid`` every other
row is moved by half a step. The crystal frame has x along a and z along c [1]_.

References
----------
.. [1] T. B. Britton et al., Materials Characterization 117 (2016) 113.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.microstructure.crystal import Phase, proper_group
from napari_liso.microstructure.ebsd import EbsdMap
from napari_liso.readers._files import base_metadata
from napari_liso.readers.ebsd.points import (
    Grid,
    check_grid,
    missing,
    number,
    places,
    read_points,
)
from napari_liso.readers.iontof.text_tables import HEAD_BYTES, encoding_of, head_lines
from napari_liso.units import from_um

__all__ = ["NAME", "read", "recognise"]

NAME = "EDAX TSL EBSD text"

#: EDAX's numbers of the Laue classes: rotations and, of monoclinic ones, their axis.
_SYMMETRY = {
    "1": "1", "22": "222", "4": "4", "42": "422", "3": "3", "32": "32", "6": "6", "62": "622",
    "23": "23", "43": "432",
}  # fmt: skip
_MONOCLINIC: dict[str, Literal["x", "y", "z"]] = {"2": "z", "20": "y", "21": "x"}
#: Longer headers are not read.
_MAX_HEADER = 2**22
_MAX_LINE = 2**16
_NAMES = ("phi1", "phi", "phi2", "x", "y", "iq", "ci", "phase")
#: Phi goes to pi; that of a point without a solution is 4 pi.
_LARGEST_PHI = np.pi + 1e-3


def recognise(path: Path) -> bool:
    """Whether the remarks that a text begins with are those of such a file."""
    with open(path, "rb") as file:
        if not file.read(4).lstrip(b"\xef\xbb\xbf").startswith(b"#"):
            return False
    lines = head_lines(path)
    keys = {words[0].rstrip(":") for words in (text.lstrip("# \t").split() for text in lines)
            if words}  # fmt: skip
    own = {"TEM_PIXperUM", "x-star", "XSTEP", "NCOLS_ODD", "GRID", "MaterialName", "Symmetry"}
    return len(keys & own) >= 2


@dataclass
class _Header:
    facts: dict[str, tuple[str, int]] = field(default_factory=dict)
    phases: dict[int, Phase] = field(default_factory=dict)
    columns: list[int] = field(default_factory=lambda: list(range(len(_NAMES))))
    lines: int = 0


def read(path: Path) -> EbsdMap:
    """Read a map; see `napari_liso.readers.ebsd.read_ebsd`."""
    header = _header(path)
    kind = header.facts.get("GRID", ("", 0))[0].lower()
    if kind not in ("sqrgrid", "hexgrid"):
        raise FormatError(path, f"its grid is {kind!r}; SqrGrid and HexGrid can be read")
    hexagonal = kind == "hexgrid"
    grid, in_row = _grid(path, header, hexagonal)
    expected = (grid.shape[0] + 1) // 2 * in_row[0] + grid.shape[0] // 2 * in_row[1]
    values = dict(
        zip(_NAMES, read_points(path, header.lines, header.columns, expected), strict=True)
    )
    phase = _phases(path, header, values)
    row, column, shift = _placed(path, grid, values, hexagonal)
    flat = row * grid.shape[1] + column
    if len(np.unique(flat)) < len(flat):
        raise FormatError(path, "has several points in one place")
    warnings = missing(path, expected, len(flat))
    ebsd = _map(path, header, grid, (row, column), values, phase, warnings)
    return _square(ebsd, shift, in_row) if hexagonal else ebsd


def _remarks(path: Path) -> Iterator[str]:
    """Yield the lines of the header, without their mark."""
    with open(path, "rb") as file:
        encoding = encoding_of(file.read(HEAD_BYTES))
    if encoding is None:
        raise FormatError(path, "is no text: it holds binary zeros")
    read = 0
    with open(path, encoding=encoding, errors="replace") as text:
        while (line := text.readline(_MAX_LINE)).startswith("#") or not line.strip():
            read += len(line)
            if not line:
                return
            if read > _MAX_HEADER:
                raise FormatError(path, f"its header is longer than {_MAX_HEADER} characters")
            yield line.lstrip("#").strip()


def _header(path: Path) -> _Header:
    """Read the header."""
    header = _Header()
    current: dict[str, tuple[str, int]] = {}
    number_now: int | None = None
    for at, text in enumerate(_remarks(path), start=1):
        header.lines = at
        key, value = _key_and_value(text)
        if key == "Phase":
            _finish(path, header, number_now, current)
            number_now, current = int(number(path, value, at, "the phase")), {}
        elif key == "GRID":
            _finish(path, header, number_now, current)
            number_now = None
        elif key == "COLUMN_HEADERS":
            header.columns = _columns(path, value, at)
        if key in ("MaterialName", "Symmetry", "PointGroupID"):
            current[key] = (value, at)
        elif key:
            header.facts.setdefault(key, (value, at))
    _finish(path, header, number_now, current)
    if not header.phases:
        raise FormatError(path, "its header declares no phase")
    return header


def _key_and_value(text: str) -> tuple[str, str]:
    words = text.split(None, 1)
    if not words:
        return "", ""
    return words[0].rstrip(":"), words[1].strip() if len(words) > 1 else ""


def _finish(
    path: Path, header: _Header, phase: int | None, facts: dict[str, tuple[str, int]]
) -> None:
    """Add the phase whose lines have all been read."""
    if phase is None:
        return
    if not 1 <= phase <= 250 or phase in header.phases:
        raise FormatError(path, f"its header declares phase {phase}, or declares it twice")
    code, line = facts.get("Symmetry", ("", 0))
    name = facts.get("MaterialName", ("", 0))[0] or f"phase {phase}"
    header.phases[phase] = _crystal(path, name, code, line)


def _crystal(path: Path, name: str, code: str, line: int) -> Phase:
    """Return a phase by EDAX's number of its Laue class, or a point group in its place."""
    if code in _MONOCLINIC:
        return Phase(name, "2", axis=_MONOCLINIC[code])
    if code in _SYMMETRY:
        return Phase(name, _SYMMETRY[code])
    try:
        return Phase(name, proper_group(code))
    except ValueError as error:
        where = f"line {line}: " if line else ""
        raise FormatError(
            path, f"{where}the symmetry of {name} is {code!r}, which is no Laue class"
        ) from error


def _columns(path: Path, text: str, line: int) -> list[int]:
    """Positions of the columns that are needed, from their names in newer files."""
    names = [name.strip().lower() for name in text.split(",")]
    names = ["phase" if name.startswith("phase") else name for name in names]
    absent = [name for name in _NAMES if name not in names]
    if absent:
        raise FormatError(path, f"line {line} names no column {absent[0]}")
    return [names.index(name) for name in _NAMES]


def _grid(path: Path, header: _Header, hexagonal: bool) -> tuple[Grid, tuple[int, int]]:
    """Return the declared grid, and its points in the 1st, 3rd, ... and in the other rows."""
    keys = ("NROWS", "NCOLS_ODD", "NCOLS_EVEN", "YSTEP", "XSTEP")
    absent = [key for key in keys if key not in header.facts]
    if absent:
        raise FormatError(path, f"its header has no {absent[0]}")
    rows, odd, even, y, x = (number(path, *header.facts[key], key) for key in keys)
    if not hexagonal:
        odd = even = max(odd, even)
    in_row = [check_grid(path, (rows, columns), (y, x)).shape[1] for columns in (odd, even)]
    return check_grid(path, (rows, max(in_row)), (y, x)), (in_row[0], in_row[1])


def _phases(
    path: Path, header: _Header, values: dict[str, NDArray[np.float64]]
) -> NDArray[np.int16]:
    """Return the phase of each point, 0 where there is no solution."""
    found = values["phase"]
    if len(header.phases) == 1 and not (found > 0).any():
        found = np.full(len(found), float(next(iter(header.phases))))
    none = (values["ci"] < -1 + 1e-6) | (values["phi"] > _LARGEST_PHI)
    known = np.isin(found, [0, *header.phases]) | none
    if not known.all():
        at = int(np.argmin(known))
        raise FormatError(
            path,
            f"line {header.lines + at + 1}: phase {found[at]:g} is not one of those in its header",
        )
    return np.where(none, 0, found).astype(np.int16)


def _placed(
    path: Path, grid: Grid, values: dict[str, NDArray[np.float64]], hexagonal: bool
) -> tuple[NDArray[np.intp], NDArray[np.intp], int]:
    """Row and column of each point; which rows are moved by half a step: 0 even, 1 odd."""
    if not hexagonal:
        return *places(path, grid, values["x"], values["y"]), 0
    row, _ = places(path, replace(grid, shape=(grid.shape[0], 1)),
                    np.zeros_like(values["x"]), values["y"])  # fmt: skip
    x, half = values["x"], grid.step[1] / 2
    first = [x[row % 2 == side].min(initial=np.inf) for side in (0, 1)]
    shift = int(first[0] <= first[1])
    moved = x - half * (row % 2 == shift)
    _, column = places(path, grid, moved, values["y"])
    return row, column, shift


def _map(
    path: Path,
    header: _Header,
    grid: Grid,
    at: tuple[NDArray[np.intp], NDArray[np.intp]],
    values: dict[str, NDArray[np.float64]],
    phase: NDArray[np.int16],
    warnings: list[str],
) -> EbsdMap:
    """Put the points where they belong."""
    phases = np.zeros(grid.shape, dtype=np.int16)
    phases[at] = phase
    euler = np.zeros((*grid.shape, 3), dtype=np.float32)
    for axis, name in enumerate(("phi1", "phi", "phi2")):
        euler[(*at, axis)] = np.where(phase > 0, values[name], 0.0)
    images = {}
    for name in ("iq", "ci"):
        images[name.upper()] = np.full(grid.shape, np.nan, dtype=np.float32)
        images[name.upper()][at] = values[name]
    metadata: dict[str, Any] = base_metadata(path, NAME)
    del metadata["counts_are"]
    told = {k: header.facts[k][0] for k in ("OPERATOR", "SAMPLEID", "SCANID") if k in header.facts}
    metadata |= {"header": {k: v for k, v in told.items() if v}, "warnings": warnings}
    y, x = (float(f"{from_um(step):.12g}") for step in grid.step)
    return EbsdMap(phases, euler, header.phases, (y, x), images, metadata)


def _square(ebsd: EbsdMap, shift: int, in_row: tuple[int, int]) -> EbsdMap:
    """Resample a hexagonal grid onto square pixels of the area of its cells."""
    dy, dx = ebsd.pixel_size
    side = float(np.sqrt(dy * dx))
    shape = tuple(max(1, round(n * d / side)) for n, d in zip(ebsd.shape, (dy, dx), strict=True))
    row, column = _nearest_points(ebsd, shift, in_row, (shape[0], shape[1]), side)
    said = (
        f"The points lie on a hexagonal grid. They were resampled onto square pixels of "
        f"{side * 1e6:.4g} um, the area of its cells, each with what the nearest point has."
    )
    metadata = dict(ebsd.metadata)
    metadata["warnings"] = [*metadata["warnings"], said]
    return replace(
        ebsd,
        phase=ebsd.phase[row, column],
        euler=ebsd.euler[row, column],
        images={name: image[row, column] for name, image in ebsd.images.items()},
        pixel_size=(float(f"{side:.12g}"),) * 2,
        metadata=metadata,
    )


def _nearest_points(
    ebsd: EbsdMap, shift: int, in_row: tuple[int, int], shape: tuple[int, int], side: float
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the point that is nearest to each pixel: in the row above or below."""
    dy, dx = ebsd.pixel_size
    y = np.arange(shape[0])[:, None] * side
    x = np.arange(shape[1])[None, :] * side
    best = np.full(shape, np.inf)
    found = np.zeros((2, *shape), dtype=np.intp)
    above = np.floor(y / dy)
    for row in (above, above + 1):
        line = np.clip(row, 0, ebsd.shape[0] - 1).astype(np.intp)
        offset = dx / 2 * (line % 2 == shift)
        last = np.where(line % 2 == 0, *in_row) - 1
        column = np.clip(np.rint((x - offset) / dx), 0, last).astype(np.intp)
        squared = (y - line * dy) ** 2 + (x - offset - column * dx) ** 2
        closer = squared < best * (1 - 1e-9)
        best[closer] = squared[closer]
        found[0][closer] = np.broadcast_to(line, shape)[closer]
        found[1][closer] = column[closer]
    return found[0], found[1]
