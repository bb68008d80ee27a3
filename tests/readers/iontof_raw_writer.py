"""Writes raw events and their properties as ION-TOF's export is described to write them."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Iterable
from pathlib import Path

Event = tuple[int, int, int, int, int]  # scan, shot, x, y, tof

SF, K0 = 33000.0, -360.0
RESOLUTION, FIELD, SHOTS = 16, 4e-5, 2


def channel(mass: float) -> int:
    """Flight time, in channels, of a mass: mass = ((channel - K0) / SF)**2."""
    return round(SF * mass**0.5 + K0)


def properties(**changes: object) -> str:
    """The table of properties; a value of None leaves the line out."""
    values: dict[str, object] = {
        "Context.MassScale.SF": SF,
        "Context.MassScale.K0": K0,
        "Registration.Raster.Resolution": RESOLUTION,
        "Registration.Raster.FieldOfView": FIELD,
        "Registration.Raster.ShotsPerPixel": SHOTS,
        "Instrument.Analyzer_Polarity_Switch": "Positive",
        "Measurement.ScanNumber": 4,
        "Measurement.UpperMass": 900,
    }
    names = {name.rpartition(".")[2]: name for name in values}
    values |= {names.get(name, name): value for name, value in changes.items()}
    lines = [f"{name}\t1\t{value}" for name, value in values.items() if value is not None]
    return "\r\n".join(["Comment\t1\tLLZO, ä", *lines, ""])


def grd(events: Iterable[Event]) -> bytes:
    return b"".join(struct.pack("<IIIII", *event) for event in events)


def write_grd(folder: Path, events: Iterable[Event], text: str | bytes | None = None) -> Path:
    path = folder / "run 1.itm.grd"
    path.write_bytes(grd(events))
    text = properties() if text is None else text
    content = text.encode("utf-8") if isinstance(text, str) else text
    (folder / "run 1.properties.txt").write_bytes(content)
    return path


def itzip(
    events: Iterable[Event],
    text: str | None = None,
    method: int = zipfile.ZIP_DEFLATED,
    prefix: str = "data/run 1.itm",
    without: str = "",
) -> bytes:
    events = list(events)
    columns = {
        ".scans": [[event[0]] for event in events],
        ".shots": [[event[1]] for event in events],
        ".tofs": [[event[4]] for event in events],
        ".coords": [[event[2], event[3]] for event in events],
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for suffix, rows in columns.items():
            content = b"".join(struct.pack(f"<{len(row)}I", *row) for row in rows)
            if suffix != without:
                archive.writestr(prefix + suffix, content)
        if without != ".properties.txt":
            archive.writestr(prefix + ".properties.txt", properties() if text is None else text)
    return buffer.getvalue()
