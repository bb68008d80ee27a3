"""Points of an EBSD map: rows of numbers in a text, and their places on a grid."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers._files import MAX_IMAGE_PIXELS
from napari_liso.readers._progress import report
from napari_liso.readers.iontof.text_tables import Lines

__all__ = ["MAX_BYTES", "Grid", "check_grid", "missing", "number", "places", "read_points"]

#: A map of 8192 x 8192 points of 120 characters each.
MAX_BYTES = 2**33
#: A row of numbers is shorter than this many characters.
_MAX_ROW = 2**12
#: Fewest characters that a point takes: eight numbers and what parts them.
_LEAST_ROW = 16
#: Of a step, by which a point may be off its place: coordinates are rounded in the file.
_OFF = 0.26


@dataclass(frozen=True)
class Grid:
    """The grid that a header declares.

    Attributes
    ----------
    shape
        (y, x) in points.
    step
        (y, x) in um.
    """

    shape: tuple[int, int]
    step: tuple[float, float]


def number(path: Path, text: str, line: int, what: str) -> float:
    """Return a finite number of a header, decimal point or comma, or raise `FormatError`."""
    try:
        value = float(text.strip().replace(",", "."))
    except ValueError:
        value = np.nan
    if not np.isfinite(value):
        raise FormatError(path, f"line {line}: {what} is {text.strip()[:40]!r}, not a number")
    return value


def check_grid(path: Path, shape: tuple[float, float], step: tuple[float, float]) -> Grid:
    """Return the declared grid, or raise `FormatError` where it cannot be in the file."""
    ny, nx = (int(n) if float(n).is_integer() else 0 for n in shape)
    if ny < 1 or nx < 1 or ny * nx > MAX_IMAGE_PIXELS:
        raise FormatError(
            path,
            f"its header declares {shape[0]:g} x {shape[1]:g} points; from 1 to "
            f"{MAX_IMAGE_PIXELS} can be read",
        )
    if not (0 < step[0] < 1e6 and 0 < step[1] < 1e6):
        raise FormatError(
            path, f"its header declares steps of {step[1]:g} and {step[0]:g} um between points"
        )
    return Grid((ny, nx), step)


def read_points(
    path: Path, skip: int, columns: Sequence[int], expected: int, decimal: str = "."
) -> list[NDArray[np.float64]]:
    """Read columns of numbers.

    Parameters
    ----------
    path
        The text.
    skip
        Lines of its header.
    columns
        Positions of those that are wanted, from 0.
    expected
        Points that the header declares.
    decimal
        Of the numbers.

    Returns
    -------
    list of arrays
        (point,) float64 each, in the order asked for.

    Raises
    ------
    FormatError
        For a line that is no row of such numbers, with its number; for more points than
        were declared; if the file is too small for what its header declares.
    """
    lines = Lines(path, MAX_BYTES)
    size = path.stat().st_size
    if expected * _LEAST_ROW > size:
        raise FormatError(
            path, f"its header declares {expected} points, which {size} bytes cannot hold"
        )
    found: list[NDArray[np.float64]] = []
    done, line = 0, skip
    for block in lines.blocks(skip):
        table = _numbers(path, block, line, columns, decimal)
        line += block.count("\n")
        done += len(table)
        if done > expected:
            raise FormatError(path, f"has more than the {expected} points its header declares")
        found.append(table)
        report(0.9 * done / expected)
    if lines.unfinished:
        found.append(_numbers(path, lines.unfinished, line, columns, decimal))
        done += len(found[-1])
        if done > expected:
            raise FormatError(path, f"has more than the {expected} points its header declares")
    if done == 0:
        raise FormatError(path, "has a header but no points")
    return [np.concatenate([table[:, i] for table in found]) for i in range(len(columns))]


def _numbers(
    path: Path, block: str, line: int, columns: Sequence[int], decimal: str
) -> NDArray[np.float64]:
    """Return the wanted columns (row, column) of some whole lines; `line` are before them."""
    try:
        if max(map(len, block.split("\n"))) > _MAX_ROW:
            raise ValueError("a line is too long")
        table = pd.read_csv(
            io.StringIO(block), sep=r"\s+", header=None, dtype=np.float64, comment="#",
            decimal=decimal, quoting=csv.QUOTE_NONE, na_filter=False, engine="c",
        ).to_numpy()[:, list(columns)]  # fmt: skip
        if not np.isfinite(table).all():
            raise ValueError("not finite")
        return table
    except pd.errors.EmptyDataError:
        return np.zeros((0, len(columns)))
    except (ValueError, IndexError, OverflowError) as error:
        raise FormatError(path, _what_is_wrong(block, line, columns, decimal)) from error


def _what_is_wrong(block: str, line: int, columns: Sequence[int], decimal: str) -> str:
    """Say which line is no row of numbers, and why."""
    usual = None
    for index, text in enumerate(block.split("\n"), start=line + 1):
        words = text.split("#")[0].replace(decimal, ".").split()
        if not words:
            continue
        if len(words) <= max(columns):
            return f"line {index} has {len(words)} numbers; {max(columns) + 1} or more are needed"
        usual = len(words) if usual is None else usual
        if len(words) != usual:
            return f"line {index} has {len(words)} numbers, those before it {usual}"
        for word in words:
            try:
                good = bool(np.isfinite(float(word)))
            except ValueError:
                good = False
            if not good:
                return f"line {index}: {word[:40]!r} is not a number"
    return f"the {block.count(chr(10))} lines after line {line} are no table of numbers"


def places(
    path: Path, grid: Grid, x: NDArray[np.float64], y: NDArray[np.float64]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each point on a grid, from its coordinates in um.

    Raises
    ------
    FormatError
        If points do not lie on the grid that the header declares.
    """
    found = []
    for name, at, step, size in (("y", y, grid.step[0], grid.shape[0]),
                                 ("x", x, grid.step[1], grid.shape[1])):  # fmt: skip
        exact = (at - at.min()) / step
        index = np.rint(exact)
        off = np.abs(exact - index) > _OFF
        # rounded coordinates drift from a rounded step, but never by points
        if off.any() or index.max() >= size:
            raise FormatError(
                path,
                f"the {name} coordinates of its points go from {at.min():g} to {at.max():g} um, "
                f"which is no grid of {size} points {step:g} um apart as its header declares",
            )
        found.append(index.astype(np.intp))
    return found[0], found[1]


def missing(path: Path, declared: int, present: int) -> list[str]:
    """Say that some of the declared points are not there; nothing where all are."""
    if present == declared:
        return []
    said = (
        f"{path.name} holds {present} of the {declared} points that its header declares: it is "
        "incomplete, perhaps cut short. The others count as not indexed."
    )
    return [said]
