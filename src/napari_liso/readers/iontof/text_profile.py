"""Depth profiles that ION-TOF's software exported as text, one row a sputter step.

Lines that begin with ``#`` name the peaks, their masses and the columns; the
first columns are time, dose and fluence, the others intensities. Columns of
ratios of peaks are no counts and are left out.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers.iontof.text_names import is_ratio, readable_names
from napari_liso.readers.iontof.text_tables import Lines, head_lines

__all__ = ["find_header", "read_profile"]

_MAX_BYTES = 2**26
_INTENSITY = "intensity"
_SMOOTHED = re.compile(r"profile smoothing is (?!dis)", re.IGNORECASE)
#: What Windows programs write for numbers that are none.
_NO_NUMBERS = {"1.#INF": "inf", "-1.#INF": "-inf", "1.#QNAN": "nan", "-1.#IND": "nan"}
#: Name in the metadata, and factor to SI, of the columns before the intensities.
_FACTS = {
    "sputter time (s)": ("sputter_time_s", 1.0),
    "dose (ions)": ("dose_ions", 1.0),
    "fluence (ions/cm^2)": ("fluence_per_m2", 1e4),
}
_CORRECTED = (
    "dead-time corrected, not counts: intensities that are no whole numbers, as the instrument's "
    "software corrected or averaged them"
)

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class _Header:
    """The lines before the numbers.

    Parameters
    ----------
    rows
        How many lines they are.
    columns, names, masses
        What is in each column, the peak's name and its mass as written.
    remarks
        The other lines.
    """

    rows: int
    columns: list[str]
    names: list[str]
    masses: list[str]
    remarks: list[str]


def find_header(lines: Sequence[str]) -> _Header | None:
    """Return the header of a depth profile, or None for other texts."""
    marked: list[str] = []
    for line in lines:
        if not line.startswith("#"):
            break
        marked.append(line)
    tables = [(number, _cells(line)) for number, line in enumerate(marked) if "\t" in line]
    if not tables:
        return None
    last, columns = tables[-1]
    lowered = [column.lower() for column in columns]
    if last != len(marked) - 1 or _INTENSITY not in lowered or "sputter time (s)" not in lowered:
        return None
    rows = [cells for _, cells in tables[:-1] if len(cells) == len(columns)]
    if len(rows) != len(tables) - 1 or len(rows) < 1:
        return None
    masses = rows[1] if len(rows) > 1 else [""] * len(columns)
    remarks = [line.lstrip("# ").strip() for line in marked if "\t" not in line]
    return _Header(len(marked), lowered, rows[0], masses, remarks)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.lstrip("#").rstrip("\r\n").split("\t")]


def read_profile(path: Path, metadata: dict[str, Any]) -> Acquisition:
    """Read a depth profile: peaks are channels, sputter steps frames of 1 x 1 pixel.

    Parameters
    ----------
    path
        The file.
    metadata
        To begin with.

    Raises
    ------
    FormatError
        If it is damaged or holds no intensities.
    """
    header = find_header(head_lines(path))
    if header is None:
        raise FormatError(path, "has no header of a depth profile")
    warnings: list[str] = []
    table = _table(path, header, warnings)
    kept: list[int] = []
    left_out: list[int] = []
    for place, (column, name) in enumerate(zip(header.columns, header.names, strict=True)):
        if column != _INTENSITY:
            continue
        # Infinite: a peak divided by another that was not there.
        fit = not is_ratio(name) and bool(np.isfinite(table[:, place]).all())
        (kept if fit else left_out).append(place)
    if not kept:
        raise FormatError(path, "holds no column of intensities")
    if left_out:
        names = ", ".join(header.names[place] for place in left_out)
        warnings.append(f"Ratios of peaks and other columns without counts were left out: {names}")
    originals = [header.names[place] for place in kept]
    masses = [_mass(header.masses[place]) for place in kept]
    channels, polarity = readable_names(originals, masses)
    smoothed = any(_SMOOTHED.match(remark) for remark in header.remarks)
    values, counts_are = _as_counts(np.take(table, kept, axis=1), smoothed, warnings)
    metadata |= {
        "counts_are": counts_are,
        "frames": len(table),
        "polarity": polarity,
        "origin": "a depth profile, no image",
        "pixel_size_source": None,
        "names_in_file": originals,
        "columns_left_out": [header.names[place] for place in left_out],
        "header": header.remarks,
        "warnings": warnings,
    }
    for column, (fact, factor) in _FACTS.items():
        if column in header.columns:
            series = table[:, header.columns.index(column)] * factor
            metadata[fact] = [float(value) if np.isfinite(value) else None for value in series]
    return Acquisition(
        counts=values.T[:, :, np.newaxis, np.newaxis].copy(),
        channels=channels,
        masses=np.array(masses),
        metadata=metadata,
    )


def _table(path: Path, header: _Header, warnings: list[str]) -> Floats:
    """Return the numbers, shape (steps, columns); a column without a name is empty."""
    lines = Lines(path, _MAX_BYTES)
    width = len(header.columns)
    rows: list[list[float]] = []
    for block in lines.blocks(header.rows):
        for line in block.split("\n"):
            if not line.strip():
                continue
            cells = line.split("\t")
            if len(cells) != width:
                raise FormatError(
                    path,
                    f"has {len(cells)} cells in the row after step {len(rows)}; the header has "
                    f"{width}",
                )
            rows.append([_number(path, cell) for cell in cells])
    if lines.unfinished:
        warnings.append("The last line is truncated and was left out: the file is incomplete.")
    if not rows:
        raise FormatError(path, "holds no sputter step")
    table = np.array(rows, float)
    if "data point #" in header.columns:
        points = table[:, header.columns.index("data point #")]
        if not np.array_equal(points, points[0] + np.arange(len(points))):
            raise FormatError(path, "is damaged or incomplete: its data points are not in a row")
    times = table[:, header.columns.index("sputter time (s)")]
    if np.any(np.diff(times) < 0) or not np.isfinite(times).all():
        raise FormatError(path, "is damaged: its sputter times are not in ascending order")
    return table


def _number(path: Path, cell: str) -> float:
    text = _NO_NUMBERS.get(cell.strip(), cell.strip())
    if not text:
        return np.nan
    try:
        if "_" in text:
            raise ValueError
        return float(text)
    except ValueError:
        raise FormatError(path, f"has {cell[:40]!r} where a number belongs") from None


def _mass(text: str) -> float:
    """Return a mass in u; sums and ratios of peaks have none."""
    try:
        mass = float(text)
    except ValueError:
        return np.nan
    return mass if 0 < mass < 1e6 else np.nan


def _as_counts(values: Floats, smoothed: bool, warnings: list[str]) -> tuple[NDArray[Any], str]:
    """Return integers where the intensities are whole numbers."""
    if values.min() < 0:
        warnings.append("Some intensities are negative: a background was subtracted in this file.")
    whole = bool(np.all(values == np.rint(values)) and values.min() >= 0 and values.max() < 2**53)
    if whole and not smoothed:
        return values.astype(np.min_scalar_type(int(values.max()))), "raw"
    if smoothed:
        warnings.append("The instrument's software smoothed the profile: no counts are left.")
        return values, "not counts: a smoothed profile"
    warnings.append(
        "The intensities are dead-time corrected, no raw counts: isotope fractions can be taken, "
        "intervals that rest on counts are approximate."
    )
    return values, _CORRECTED
