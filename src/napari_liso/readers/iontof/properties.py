"""Properties of ION-TOF's raw events: raster, mass scale, polarity.

A table of ``name <tab> ... <tab> value`` (``.properties.txt``) that the raw-data
export writes beside the events.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from napari_liso.errors import FormatError
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.iontof.text_tables import decode

__all__ = ["MAX_BYTES", "MAX_RESOLUTION", "SUFFIX", "Facts", "has_raster", "listed", "read_facts"]

SUFFIX = ".properties.txt"
MAX_BYTES = 2**22
#: Pixels along a side; ION-TOF's largest rasters are 2048.
MAX_RESOLUTION = 4096
#: A field of view, m, from a few pixels of a fine beam to a whole sample holder.
_FIELDS = (1e-8, 0.5)
_LISTED = ("context.massscale", "registration.", "measurement.")


@dataclass(frozen=True)
class Facts:
    """What the properties say about the events.

    Parameters
    ----------
    resolution
        Pixels along each side of the square raster.
    calibration
        From flight times to masses.
    field_of_view
        In m, or None.
    shots_per_pixel
        In a scan, or None.
    scans
        Announced, or None.
    metadata, warnings
        What else is worth keeping.
    """

    resolution: int
    calibration: MassCalibration
    field_of_view: float | None
    shots_per_pixel: int | None
    scans: int | None
    metadata: dict[str, Any]
    warnings: list[str]


class _Properties:
    """Values by name, in upper or lower case."""

    def __init__(self, rows: dict[str, list[str]]) -> None:
        self._rows = {name.lower(): cells for name, cells in rows.items()}

    def cells(self, name: str) -> list[str]:
        return self._rows.get(name.lower(), [])

    def number(self, name: str) -> float | None:
        """Return the value, the second cell after the name, or the only one, as a number."""
        cell = next(iter(self.cells(name)[1::-1]), "")
        if cell.count(",") == 1 and "." not in cell:
            cell = cell.replace(",", ".")
        try:
            value = float(cell)
        except ValueError:
            return None
        return value if math.isfinite(value) and "_" not in cell else None


def parse(content: bytes) -> dict[str, list[str]]:
    """Return the cells after each name of a table of properties.

    Parameters
    ----------
    content
        Lines of ``name <tab> ... <tab> value`` in UTF-8, UTF-16 or with stray
        NULs, with or without a byte-order mark.
    """
    rows: dict[str, list[str]] = {}
    for line in decode(content).splitlines():
        name, *cells = (cell.strip().strip('"') for cell in line.split("\t"))
        if name and cells:
            rows.setdefault(name, cells)
    return rows


def has_raster(content: bytes) -> bool:
    """Whether a text is a table of properties of raw events, by its first bytes."""
    text = decode(content).lower()
    return "\t" in text and ("registration.raster." in text or "context.massscale." in text)


def read_facts(path: Path, content: bytes) -> Facts:
    """Return what the properties say.

    Parameters
    ----------
    path
        For messages.
    content
        The bytes of the table.

    Raises
    ------
    FormatError
        If resolution or mass scale are missing or cannot be.
    """
    rows = parse(content)
    properties = _Properties(rows)
    warnings: list[str] = []
    sf = properties.number("Context.MassScale.SF")
    k0 = properties.number("Context.MassScale.K0")
    size = properties.number("Registration.Raster.Resolution")
    if sf is None or k0 is None:
        raise FormatError(
            path,
            "its properties do not state the mass scale (Context.MassScale.SF and .K0); export "
            "the raw data again with its properties",
        )
    if not (1 <= sf <= 1e12 and abs(k0) <= 1e12):
        raise FormatError(path, f"its properties state SF {sf:g} and K0 {k0:g}: no mass scale")
    if size is None:
        raise FormatError(path, "its properties do not state Registration.Raster.Resolution")
    if not (1 <= size <= MAX_RESOLUTION and size == int(size)):
        raise FormatError(
            path,
            f"its properties state a resolution of {size:g}; from 1 to {MAX_RESOLUTION} pixels "
            "can be read",
        )
    view = properties.number("Registration.Raster.FieldOfView")
    if view is not None and not _FIELDS[0] <= view <= _FIELDS[1]:
        warnings.append(f"A field of view of {view:g} m cannot be true and was not used.")
        view = None
    metadata: dict[str, Any] = {
        "polarity": _polarity(properties),
        "end_mass_u": properties.number("Measurement.UpperMass"),
        "properties": {
            name: cells[-1][:200]
            for name, cells in list(rows.items())[:2000]
            if name.lower().startswith(("context.", "registration.", "measurement."))
        },
    }
    return Facts(
        int(size),
        MassCalibration.from_sf_k0(sf, k0, "Context.MassScale of the properties"),
        view,
        _whole(properties.number("Registration.Raster.ShotsPerPixel")),
        _whole(properties.number("Measurement.ScanNumber")),
        metadata,
        warnings,
    )


def _whole(value: float | None) -> int | None:
    """Return a positive whole number, or None where there is none."""
    return int(value) if value is not None and 1 <= value < 2**31 and value == int(value) else None


def _polarity(properties: _Properties) -> str | None:
    for name in ("Instrument.Analyzer_Polarity_Switch", "Instrument.Analyzer.Polarity"):
        for cell in properties.cells(name):
            for polarity in ("positive", "negative"):
                if cell.lower().startswith(polarity[:3]):
                    return polarity
    return None


def listed(content: bytes) -> list[str]:
    """Return the properties that matter, a line each, for people."""
    return [
        f"  {name} = {' | '.join(cells)[:100]}"
        for name, cells in parse(content).items()
        if name.lower().startswith(_LISTED)
    ]
