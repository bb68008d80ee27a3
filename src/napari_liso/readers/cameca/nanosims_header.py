"""Headers of Cameca NanoSIMS files: what the instrument says about itself.

The maker publishes no description. The layout is as the public reader ``sims``
(2.0.2) and the OpenMIMS project found it: fixed fields, a table of the masses,
sections behind markers such as ``Anal_param_nano``, and at the very end 84 bytes
that say how the images are stored. Those 84 bytes and the mass table are needed;
whatever else cannot be made out is left out.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from napari_liso.units import from_um

__all__ = [
    "FILE_TYPES", "IMAGE", "Head", "ImageRecord", "Instrument", "Species", "identify",
    "image_record", "instrument", "mass_table",
]  # fmt: skip

IMAGE = 27
#: What the maker's software writes, by the number in the header.
FILE_TYPES = {
    21: "a depth profile", 22: "a line scan", 25: "an E0S/E0W scan", 26: "an isotope (spot) file",
    27: "an image", 29: "a grain-mode image", 31: "a mass or beam-centering scan",
    32: "a pulse-height scan", 34: "a tools scan", 35: "a beam-stability trace",
    39: "a line-scan image", 40: "a beam-control line scan", 41: "a stage-scan image",
}  # fmt: skip

_MAX_HEADER = 2**24
_IMAGE_RECORD = 84
_HEAD = 124
# In headers of images: mask, automatic calibration and reference signal lie before it.
_MASS_COUNT = 408
_MAX_MASSES = 60
#: From this version on the header has 60 rather than 10 places for masses, and longer trolleys.
_LONG_VERSION = 4108
_ENTRY = 192
_SPECIES_OF_LISTS = 144
_TROLLEYS = 12
_SE_TROLLEY = 8
_DATE = re.compile(r"(\d{1,2})\.(\d{1,2})\.(\d{2}|\d{4})$")
_TIME = re.compile(r"(\d{1,2}):(\d{2})$")


@dataclass(frozen=True)
class Head:
    """The first bytes: what kind of file this is.

    Parameters
    ----------
    order
        ``"<"`` or ``">"``, as `struct` writes it.
    version, kind, size
        Of the header; kind as in `FILE_TYPES`, size in bytes.
    holds_data
        False for files that are a header alone.
    analysis
        Such as ``"IMAGE ACQUISITION"``.
    acquired
        ISO 8601, or None where not stated.
    position
        Of the stage (x, y, z) as stored.
    """

    order: str
    version: int
    kind: int
    size: int
    holds_data: bool
    analysis: str
    acquired: str | None
    position: tuple[int, int, int]


@dataclass(frozen=True)
class ImageRecord:
    """How the images are stored; raster in nm as in the file."""

    width: int
    height: int
    bytes_per_pixel: int
    masses: int
    planes: int
    raster: int
    name: str


@dataclass(frozen=True)
class Species:
    """One row of the mass table.

    Parameters
    ----------
    label
        As stored, such as ``"12C 14N"``; empty for secondary electrons.
    mass
        Where the detector stands, u; NaN for what is no ion.
    charge
        ``"+"``, ``"-"``, or empty where not stated.
    trolley
        Number of the detector's carriage, as in the file.
    frame_time
        Counting time of one frame, s.
    """

    label: str
    mass: float
    charge: str
    trolley: int
    frame_time: float

    @property
    def is_electrons(self) -> bool:
        """Whether this is the image of secondary electrons, not of an ion."""
        if not math.isnan(self.mass):
            return False
        return self.trolley == _SE_TROLLEY or self.label.upper() in ("", "SE", "ESI")


@dataclass(frozen=True)
class Instrument:
    """What else the header tells; None or empty where it could not be made out.

    Parameters
    ----------
    working_frame, scanning_frame, counting_frame
        (height, width) in pixels.
    raster
        Width of the working frame, m.
    pixel_times
        Dwell time of one pixel in each magnetic field that was used, s.
    detectors
        ``"EM"`` or ``"FC"`` by trolley.
    dead_times
        Of the electron multipliers by trolley, s.
    facts
        JSON-able, for the metadata.
    """

    working_frame: tuple[int, int] | None = None
    scanning_frame: tuple[int, int] | None = None
    counting_frame: tuple[int, int] | None = None
    raster: float | None = None
    pixel_times: tuple[float, ...] = ()
    detectors: dict[int, str] = field(default_factory=dict)
    dead_times: dict[int, float] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def identify(raw: bytes) -> Head | None:
    """Read the first bytes of a file, or return None if they are of no Cameca file.

    There is no magic number: version, type and size must be possible in one byte
    order, and the text fields must be text.
    """
    if len(raw) < _HEAD:
        return None
    for order in "<>":
        version, kind, size = struct.unpack_from(f"{order}3i", raw)
        if kind in FILE_TYPES and 0 < version < 2**16 and _HEAD < size <= _MAX_HEADER:
            break
    else:
        return None
    _, holds_data, x, y, analysis, _, z, date, time = struct.unpack_from(
        f"{order}4i 32s 16s i 12x 16s 16s", raw, 12
    )
    texts = [_plain_text(part) for part in (analysis, date, time)]
    if None in texts or not texts[0]:
        return None
    acquired = _acquired(str(texts[1]), str(texts[2]))
    return Head(order, version, kind, size, bool(holds_data), str(texts[0]), acquired, (x, y, z))


def _text(raw: bytes) -> str:
    """Return text up to its first NUL; what follows is left over from earlier use."""
    return raw.split(b"\0", 1)[0].decode("latin-1").strip()


def _plain_text(raw: bytes) -> str | None:
    """Return text, or None where the bytes are no ASCII text."""
    text = _text(raw)
    return text if text.isascii() and (text.isprintable() or not text) else None


def _acquired(date: str, time: str) -> str | None:
    """Return day and minute in ISO 8601; years of two digits are of 1969 to 2068."""
    day, minute = _DATE.match(date), _TIME.match(time)
    if not day:
        return None
    year = int(day[3])
    if year < 100:
        year += 1900 if year >= 69 else 2000
    text = f"{year:04d}-{int(day[2]):02d}-{int(day[1]):02d}"
    return f"{text}T{int(minute[1]):02d}:{minute[2]}" if minute else text


def image_record(raw: bytes, head: Head) -> ImageRecord:
    """Read the 84 bytes at the end of the header.

    Raises
    ------
    ValueError
        If they are not there, or do not say that they are 84.
    """
    start = head.size - _IMAGE_RECORD
    if len(raw) < head.size or start < _HEAD:
        raise ValueError(f"is truncated: it ends inside its header of {head.size} bytes")
    size, _, width, height, pixel, masses, planes, raster, name = struct.unpack_from(
        f"{head.order}i h 5H i 64s", raw, start
    )
    if size != _IMAGE_RECORD:
        raise ValueError(f"its header does not end in an image record (length {size}, not 84)")
    return ImageRecord(width, height, pixel, masses, planes, raster, _text(name))


def mass_table(raw: bytes, head: Head) -> tuple[int, list[Species] | None, int]:
    """Read the mass table of an image's header.

    Parameters
    ----------
    raw, head
        All of the header, and what `identify` found.

    Returns
    -------
    tuple
        How many masses there are, their rows (None if they make no sense), and
        where the table ends.
    """
    (count,) = struct.unpack_from(f"{head.order}i", raw, _MASS_COUNT)
    if not 0 < count <= _MAX_MASSES:
        return count, None, _MASS_COUNT + 4
    places = 60 if head.version >= _LONG_VERSION else 10
    start = _MASS_COUNT + 4 + 4 * places
    end = start + count * _ENTRY
    if end > len(raw):
        return count, None, start
    rows = [_species(raw, head.order, start + row * _ENTRY) for row in range(count)]
    found = [row for row in rows if row is not None]
    return count, found if len(found) == count else None, end


def _species(raw: bytes, order: str, at: int) -> Species | None:
    """Read one row, or return None if it makes no sense."""
    trolley, _, mass, _, _, _, frame_time = struct.unpack_from(f"{order}2i d 2i 2d", raw, at)
    numeric, number, elements, charges, charge, label = struct.unpack_from(
        f"{order}4i c 64s", raw, at + 48
    )
    text = _text(label)
    sensible = 0 <= mass < 1e4 and 0 <= frame_time < 1e7 and -1 <= trolley < 64
    if not sensible or not (text.isprintable() or not text) or not 0 <= elements < 64:
        return None
    if numeric and not text:
        text = str(number)
    sign = _text(charge) if charges else ""
    mass = mass if mass > 0 else math.nan
    return Species(text, mass, sign if sign in ("+", "-") else "", trolley, frame_time)


def instrument(raw: bytes, head: Head, table_end: int) -> Instrument:
    """Read frames, raster, dwell times, detectors and beam; what is not found stays empty."""
    found = Instrument()
    for read in (_frames_and_fields, _beams_and_detectors):
        try:
            found = read(raw, head, table_end, found)
        except struct.error:
            continue  # the header ends before this section does
    return found


def _frames_and_fields(raw: bytes, head: Head, table_end: int, known: Instrument) -> Instrument:
    """Read the section with frame sizes, and the magnetic fields behind it."""
    order = head.order
    marks = [raw.rfind(mark) for mark in (b"Poly_list\0", b"Champs_list\0", b"Offset_list\0")]
    if max(marks) < 0:
        start = table_end + 216  # real-time images have no lists
    else:
        (length,) = struct.unpack_from(f"{order}i", raw, max(marks) + 16)
        if (length and max(marks) != marks[0]) or not 0 <= length < 1000:
            return known  # lists other than of species have never been seen filled
        start = max(marks) + 24 + length * _SPECIES_OF_LISTS
    values = struct.unpack_from(f"{order}25i", raw, start)
    working, scanning = (values[8], values[7]), (values[12], values[10])
    counting = (values[16] - values[15] + 1, values[14] - values[13] + 1)
    fields = values[24]
    if not all(0 < side < 2**16 for side in (*working, *scanning, *counting)) or not (
        0 <= fields < 100
    ):
        return known
    times, detectors = [], {}
    at = start + 604 + 948
    trolley, pulse_heights = (208, 48) if head.version >= _LONG_VERSION else (192, 24)
    for _ in range(fields):
        enabled, _, _, pixel_time = struct.unpack_from(f"{order}4i", raw, at)
        for number in range(_TROLLEYS):
            (kind,) = struct.unpack_from(f"{order}i", raw, at + 56 + number * trolley + 88)
            if enabled and kind in (0, 1):
                detectors[number] = "FC" if kind else "EM"
        if enabled and pixel_time > 0:
            times.append(pixel_time * 1e-6)
        at += 56 + _TROLLEYS * (trolley + pulse_heights)
    return Instrument(
        working, scanning, counting, known.raster, tuple(times), detectors, known.dead_times,
        known.facts,
    )  # fmt: skip


def _beams_and_detectors(raw: bytes, head: Head, _: int, known: Instrument) -> Instrument:
    """Read the beams and the multipliers behind the marker ``Anal_param_nano``."""
    order = head.order
    mark = raw.find(b"Anal_param_nano\0")
    if mark < 0:
        return known
    (version,) = struct.unpack_from(f"{order}i", raw, mark + 16)
    beam = mark + 288
    source, begin, end = struct.unpack_from(f"{order}8s 2i", raw, beam)
    (raster,) = struct.unpack_from(f"{order}d", raw, beam + 160)
    (extraction,) = struct.unpack_from(f"{order}d", raw, beam + 552)
    facts: dict[str, Any] = {}
    if _plain_text(source):
        facts["primary_ion"] = _plain_text(source)
        facts["primary_current_as_stored"] = [begin, end]
    if math.isfinite(extraction) and abs(extraction) < 1e5:
        facts["E0W_as_stored"] = extraction
    dead_times = {}
    for trolley, at in _multipliers(raw, order, mark, version):
        efficiency, _, dead_time = struct.unpack_from(f"{order}d 2i", raw, at)
        if 0 < dead_time < 1000 and 0 <= efficiency <= 200:
            dead_times[trolley] = dead_time * 1e-9
    return Instrument(
        known.working_frame, known.scanning_frame, known.counting_frame,
        from_um(raster) if 0 < raster < 1e4 else None,
        known.pixel_times, known.detectors, dead_times, facts,
    )  # fmt: skip


def _multipliers(raw: bytes, order: str, mark: int, version: int) -> Iterator[tuple[int, int]]:
    """Yield (trolley, place) of the yield and dead time of each electron multiplier."""
    # Behind the beams: slits of the cups and of detectors 1 to 5 (88 bytes each), 72 more.
    first = mark + 288 + 552 + 192 + 6 * 88 + 72
    for number in range(5):
        yield number + 1, first + 16 * number
    second = raw.find(b"Anal_param_nano_bis\0")
    if version >= 5 and second >= 0:
        # Detectors 6 and 7 of the larger instrument stand on trolleys 10 and 11.
        yield 10, second + 24 + 88
        yield 11, second + 24 + 88 + 16 + 88
