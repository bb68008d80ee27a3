"""Oxford HKL Channel text files (``.ctf``), also as Bruker and others write them.

Tab-separated: a header of ``key<TAB>value`` lines, one line for each phase, one line of
column names, then a line for each point, x running fastest. Lengths in um, angles in
degrees, decimal point or comma. Phase 0 is a point without a solution. The Laue class of
a phase is a number from 1 to 11. The crystal frame has y along b and z along c, so x lies
along a* in hexagonal axes [1]_.

References
----------
.. [1] T. B. Britton et al., Materials Characterization 117 (2016) 113.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.microstructure.crystal import Phase
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
from napari_liso.readers.iontof.text_tables import head_lines
from napari_liso.units import from_um

__all__ = ["NAME", "read", "recognise"]

NAME = "Oxford HKL EBSD text"

#: Rotations of the Laue classes 1 to 11: -1, 2/m, mmm, 4/m, 4/mmm, -3, -3m, 6/m, 6/mmm,
#: m-3, m-3m.
_LAUE = ("1", "2", "222", "4", "422", "3", "32", "6", "622", "23", "432")
#: Trigonal space groups with twofold axes (or mirrors' normals) along a* instead of a.
_ALONG_A_STAR = frozenset({149, 151, 153, 157, 159, 162, 163})
_NEEDED = ("Phase", "X", "Y", "Euler1", "Euler2", "Euler3")
_IMAGES = ("BC", "MAD")
_MAX_PHASES = 250


def recognise(path: Path) -> bool:
    """Whether a file begins like one."""
    with open(path, "rb") as file:
        return file.read(32).lstrip(b"\xef\xbb\xbf").startswith(b"Channel Text File")


@dataclass(frozen=True)
class _Header:
    grid: Grid
    phases: dict[int, Phase]
    columns: list[str]
    lines: int
    facts: dict[str, str]


def read(path: Path) -> EbsdMap:
    """Read a map; see `napari_liso.readers.ebsd.read_ebsd`."""
    header = _header(path)
    names = [*_NEEDED, *(name for name in _IMAGES if name in header.columns)]
    columns = [header.columns.index(name) for name in names]
    expected = header.grid.shape[0] * header.grid.shape[1]
    values = dict(
        zip(names, read_points(path, header.lines, columns, expected, _decimal(path, header)),
            strict=True)
    )  # fmt: skip
    return _on_grid(path, header, values)


def _header(path: Path) -> _Header:
    """Read the header and the phases."""
    lines = head_lines(path)
    facts: dict[str, str] = {}
    where: dict[str, int] = {}
    for at, text in enumerate(lines):
        key, _, value = text.partition("\t")
        facts[key.strip()] = value.strip()
        where[key.strip()] = at + 1
        if key.strip() == "Phases":
            break
    else:
        raise FormatError(path, "its header has no line 'Phases'")
    absent = [key for key in ("XCells", "YCells", "XStep", "YStep") if key not in facts]
    if absent:
        raise FormatError(
            path, f"its header has no {absent[0]}: only maps on a grid can be read, not lists"
        )
    of = {
        key: number(path, facts[key], where[key], key)
        for key in ("XCells", "YCells", "XStep", "YStep", "Phases")
    }
    grid = check_grid(path, (of["YCells"], of["XCells"]), (of["YStep"], of["XStep"]))
    count = int(of["Phases"])
    first = where["Phases"]
    if not 1 <= count <= _MAX_PHASES or first + count >= len(lines):
        raise FormatError(path, f"line {first}: it declares {facts['Phases']} phases")
    phases = {n: _phase(path, lines[first + n - 1], first + n) for n in range(1, count + 1)}
    columns = lines[first + count].split()
    if any(name not in columns for name in _NEEDED):
        raise FormatError(
            path,
            f"line {first + count + 1} should name the columns, {', '.join(_NEEDED)} among them",
        )
    told = {k: v for k, v in facts.items() if k in ("Prj", "Author", "JobMode") and v}
    return _Header(grid, phases, columns, first + count + 1, told)


def _phase(path: Path, text: str, line: int) -> Phase:
    """Read the line of a phase: cell, angles, name, Laue class, space group, ..."""
    words = text.split("\t")
    if len(words) < 4:
        raise FormatError(path, f"line {line} is no phase: it has {len(words)} columns")
    laue = number(path, words[3], line, "the Laue class")
    if laue not in range(1, len(_LAUE) + 1):
        raise FormatError(path, f"line {line}: the Laue class is {words[3]!r}, not 1 to 11")
    group = _LAUE[int(laue) - 1]
    name = words[2].strip() or f"phase in line {line}"
    if group == "2":
        return Phase(name, group, axis="y")  # unique axis b
    if group == "32":
        space = words[4].strip() if len(words) > 4 else ""
        along_x = space.isdigit() and int(space) in _ALONG_A_STAR
        return Phase(name, group, turn=0.0 if along_x else np.pi / 6)
    return Phase(name, group)


def _decimal(path: Path, header: _Header) -> str:
    """Return the decimal mark of the points, by the first line of them."""
    lines = head_lines(path)
    return "," if header.lines < len(lines) and "," in lines[header.lines] else "."


def _on_grid(path: Path, header: _Header, values: dict[str, NDArray[np.float64]]) -> EbsdMap:
    """Put the points where they belong."""
    number_of = values["Phase"]
    row, column = places(path, header.grid, values["X"], values["Y"])
    if len(np.unique(row * header.grid.shape[1] + column)) < len(row):
        raise FormatError(path, "has several points in one place")
    wrong = (number_of < 0) | (number_of > len(header.phases)) | (number_of != np.rint(number_of))
    if wrong.any():
        at = int(np.argmax(wrong))
        raise FormatError(
            path,
            f"line {header.lines + at + 1}: phase {number_of[at]:g} is not one of the "
            f"{len(header.phases)} in its header",
        )
    phase = np.zeros(header.grid.shape, dtype=np.int16)
    euler = np.zeros((*header.grid.shape, 3), dtype=np.float32)
    phase[row, column] = number_of
    for axis in range(3):
        euler[row, column, axis] = np.deg2rad(values[f"Euler{axis + 1}"])
    images = {}
    for name in _IMAGES:
        if name in values:
            images[name] = np.full(header.grid.shape, np.nan, dtype=np.float32)
            images[name][row, column] = values[name]
    metadata: dict[str, Any] = base_metadata(path, NAME)
    del metadata["counts_are"]
    metadata |= {"header": header.facts, "warnings": missing(path, phase.size, len(row))}
    step_y, step_x = header.grid.step
    size = float(f"{from_um(step_y):.12g}"), float(f"{from_um(step_x):.12g}")
    return EbsdMap(phase, euler, header.phases, size, images, metadata)
