"""PHI raw: the event streams of SmartSoft-TOF (nanoTOF), and of WinCadence before it.

A text header (`phi`) is followed by blocks (`blocks`); each ion is a record
of 64 bits: bits 0-30 its flight time in ps, bit 31 set, 32-42 x and 43-53 y,
counted from the lower left, bits 58-63 clear. Layout after public descriptions
of the format (the open-source converter thyra, and the specification of PHI's
SIMS-H5 for what the archives keep of these files). WinCadence's files are said
to differ in the length of the header only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._stream import collect
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.phi import blocks as phi_blocks
from napari_liso.readers.phi import header as phi
from napari_liso.readers.phi.blocks import EVENTS, MSMS_EVENTS, Index, index_blocks
from napari_liso.readers.phi.events import MAX_RASTER, Events

__all__ = ["NAME", "outline", "read", "recognise"]

NAME = "PHI raw"

_MAGIC = b"SOFH"
_MAX_HEADER = 2**20
_WINCADENCE_HEADER = 4096
_APPENDED = b"AppendedBlockType"
#: Bytes that blocks of unknown purpose have at most in instrument files, with room.
_OPAQUE = 64

#: Of the files that were read last: new windows need no new walk through the blocks.
_indices: _files.Remembered[Index] = _files.Remembered(2, 2**27, lambda index: index.nbytes)


def recognise(path: Path) -> bool:
    """Whether a file begins as PHI's raw files do."""
    return _files.head(path, len(_MAGIC)) == _MAGIC


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read ion images from PHI's event stream.

    Parameters
    ----------
    path
        The file.
    windows
        Name of each channel and its mass window in u, low edge included, high
        edge not. None makes one channel ``"total"`` of everything.

    Returns
    -------
    Acquisition
        One frame for each raster that ended or began; frames are counted in the
        stream, the header's number is not believed. Tiles of a mosaic stand
        side by side. Row 0 is the top. ``pulses`` is set only where the header
        leaves no doubt, see `header.Header.pulses_per_pixel`.

    Raises
    ------
    FormatError
        If the file is damaged or contradicts itself. A stream without its end
        is read as far as it goes, with a warning.
    """
    metadata = _files.base_metadata(path, NAME)
    warnings: list[str] = metadata["warnings"]
    header, start = _read_header(path)
    pixels = _raster(path, header)
    index = _indices.get(path, lambda: index_blocks(path, start))
    calibration, superseded = _calibration(path, header, index, warnings)
    kind = _event_kind(path, header, index, warnings)
    source = Events(path, pixels, index, kind, calibration)
    _check_cut(path, source, index, warnings)
    images = collect(source, None if windows is None else list(windows.values()))
    metadata |= _facts(header, start, index, source)
    metadata |= {
        "calibration": calibration.as_metadata(),
        "calibration_superseded": [other.as_metadata() for other in superseded],
        **source.findings(warnings),
    }
    size = header.raster_size()
    metadata["pixel_size_source"] = None if size is None else "raster size in the header"
    warnings += _warnings(header, start, index, metadata)
    warnings += phi.range_warnings(windows, metadata)
    each = metadata.get("pulses_per_pixel_and_frame")
    known = each is not None and len(index.tiles) == 1 and not index.open_frames
    return Acquisition(
        counts=images.counts,
        channels=("total",) if windows is None else tuple(windows),
        masses=np.array([sum(w) / 2 for w in windows.values()] if windows else [np.nan]),
        pixel_size=None if size is None else (size[0] / pixels, size[1] / pixels),
        pulses=np.full((1, 1, 1), each) if known else None,
        metadata=metadata,
        spectrum_source=lambda: (calibration.mass(images.ticks), images.spectrum),
    )


def _read_header(path: Path) -> tuple[phi.Header, int]:
    """Return the header and where it ends."""
    raw = _files.head(path, _MAX_HEADER)
    end = raw.find(b"EOFH")
    if end < 0:
        raise FormatError(path, "is truncated: its header has no end (EOFH)", len(raw))
    try:
        header = phi.parse_header(raw[: end + 4])
    except ValueError as error:
        raise FormatError(path, str(error), 0) from error
    size = header.number("HeaderSize")
    if size is None or size != int(size) or not end + 4 <= size <= _MAX_HEADER:
        raise FormatError(path, f"states a HeaderSize of {header.text('HeaderSize')}", 0)
    if size > len(raw):
        raise FormatError(path, "is truncated: it ends within its header", len(raw))
    return header, int(size)


def _raster(path: Path, header: phi.Header) -> int:
    """Return the pixels of the raster in x and y."""
    pixels = header.number("ImagePixels")
    if pixels is None or pixels != int(pixels) or not 1 <= pixels <= MAX_RASTER:
        raise FormatError(path, f"states a raster of {header.text('ImagePixels')} pixels", 0)
    other = header.number("Raster Resolution", "Acq Base")
    if other is not None and other != pixels:
        raise FormatError(
            path, f"its header contradicts itself: {pixels:g} ImagePixels, raster of {other:g}", 0
        )
    return int(pixels)


def _calibration(
    path: Path, header: phi.Header, index: Index, warnings: list[str]
) -> tuple[MassCalibration, list[MassCalibration]]:
    written = header.calibration()
    return phi.choose_calibration(
        path,
        phi.appended_calibration(index.texts),
        [] if written is None else [written],
        warnings,
    )


def _event_kind(path: Path, header: phi.Header, index: Index, warnings: list[str]) -> int:
    """Return the kind of the blocks to read; with MS/MS, another one replaces the usual."""
    kind, other = (MSMS_EVENTS, EVENTS) if header.msms() else (EVENTS, MSMS_EVENTS)
    if not index.of_kind(kind) and index.of_kind(other):
        kind, other = other, kind
        warnings.append(
            f"The events are in blocks of kind {kind} ({phi_blocks.KINDS[kind]}), although the "
            f"header says that MS/MS was {'on' if header.msms() else 'off'}."
        )
    if not index.of_kind(kind):
        lost = "" if index.cut is None else "; it is truncated"
        raise FormatError(path, f"holds no events{lost}", index.cut)
    if index.of_kind(other):
        warnings.append(
            f"{index.of_kind(other)} events of another channel ({phi_blocks.KINDS[other]}) are "
            "in the file, which were not read."
        )
    return kind


def _check_cut(path: Path, source: Events, index: Index, warnings: list[str]) -> None:
    """Say that a stream ends early; refuse one whose last block only claims to be longer."""
    if index.cut is None:
        return
    if index.overrun is not None and source.damaged_after(index.overrun):
        raise FormatError(
            path,
            "is damaged: a block of events is longer than the file, and not all in it are events",
            index.overrun,
        )
    warnings.append(
        f"The file is truncated: it ends at byte {index.cut} without the end of the stream. What "
        "was measured afterwards is missing, the last frame may be incomplete, and a later mass "
        "calibration would be lost."
    )


def _facts(header: phi.Header, start: int, index: Index, source: Events) -> dict[str, Any]:
    facts: dict[str, Any] = {
        **header.facts(),
        "polarity": header.polarity(),
        "frames": source.shape[0],
        "frames_in_header": header.text("NoFrames"),
        "origin": "the file's row 0 is the bottom; images are flipped to row 0 = top",
        "header_bytes": start,
        "calibrated_in_header": header.text("Calibrated"),
        "msms": header.msms(),
        "truncated": index.cut is not None,
    }
    if len(index.tiles) > 1 or index.tiles != [(0, 0)]:
        facts["mosaic_tiles"] = list(source.grid)
    return facts


def _warnings(
    header: phi.Header, start: int, index: Index, metadata: dict[str, Any]
) -> Iterator[str]:
    """Say what is particular to this file."""
    if start == _WINCADENCE_HEADER or "wincadence" in (metadata.get("software") or "").lower():
        yield (
            "This seems to be a file of WinCadence, whose layout is known from public "
            "descriptions only; compare its total counts with the instrument's software."
        )
    if metadata["polarity"] is None:
        yield "The header does not say, or contradicts itself on, which polarity was measured."
    for kind, (number, size) in index.blocks.items():
        strange = kind in phi_blocks.OPAQUE and size > _OPAQUE * number
        if strange or kind not in phi_blocks.KINDS:
            yield f"{number} blocks of an unknown kind ({kind}, {size} bytes) were left out."
    if any(not text.startswith(_APPENDED) for text in index.texts):
        yield "A block that should be an appended text is none: the file may be damaged."
    if index.open_frames and index.cut is None:
        yield "The last frame has counts but no end: it may be incomplete."
    if "mosaic_tiles" in metadata:
        rows, columns = metadata["mosaic_tiles"]
        absent = rows * columns - len(index.tiles)
        if absent:
            yield f"{absent} tiles of the mosaic were not measured; they read zero."
    gun, scan = header.raster_size(), header.number("ScanWidthX")
    if gun is not None and scan is not None and abs(scan * 1e-6 / gun[1] - 1) > 0.01:
        yield (
            f"The header states two sizes of the raster: {gun[1] * 1e6:g} um for the ion gun, "
            f"which is used, and a scan of {scan:g} um."
        )


def outline(path: Path) -> Iterator[str]:
    """Yield the header's main lines and the blocks in words, as far as they can be followed.

    Raises
    ------
    FormatError
        Where the file cannot be followed further.
    """
    header, start = _read_header(path)
    yield f"header: {start} bytes, {sum(map(len, header.sections.values()))} entries"
    for key in _SHOWN:
        if header.text(key) is not None:
            yield f"  {key}: {header.text(key)}"
    for section, key in _SHOWN_IN:
        if header.text(key, section) is not None:
            yield f"  [{section}] {key}: {header.text(key, section)}"
    tally: dict[int, list[int]] = {}
    try:
        for block in phi_blocks.walk(path, start):
            counted = tally.setdefault(block.kind, [0, 0, 0])
            counted[0] += 1
            counted[1] += block.there
            counted[2] += block.there < block.size
    finally:
        for kind, (number, size, short) in sorted(tally.items()):
            name = phi_blocks.KINDS.get(kind, "unknown")
            yield f"blocks of kind {kind} ({name}): {number}, {size} bytes" + (
                ", the last cut short" if short else ""
            )
    index = _indices.get(path, lambda: index_blocks(path, start))
    yield f"frames: {index.frames} (header: {header.text('NoFrames')})"
    if index.tiles != [(0, 0)]:
        yield f"tiles: {len(index.tiles)}"
    for text in index.texts:
        yield "appended text: " + " | ".join(_printable(text))
    for calibration in (header.calibration(), phi.appended_calibration(index.texts)):
        if calibration is not None:
            yield (
                f"calibration ({calibration.source}): sqrt(m) = {calibration.slope:.9g} * t_us "
                f"{calibration.offset:+.9g}"
            )
    if index.cut is not None:
        yield f"odd: no end of the stream; the file ends at byte {index.cut}"
    if index.open_frames:
        yield "odd: counts after the last end of a frame"


_SHOWN = (
    "InstrumentModel", "RawFileFormatVersion", "SoftwareVersion", "DataType", "SecIonPolarity",
    "AcquisitionType", "ImagePixels", "ScanWidthX", "NoFrames", "TimePerFrameInS",
    "AcqPulseRate(kHz)", "Mass/Time", "MassOffset", "Calibrated", "HeaderSize",
)  # fmt: skip
_SHOWN_IN = (
    ("PHI LMIG", "Raster Size (um)"),
    ("Acq Base", "Raster Resolution"),
    ("Acq Base", "Raster Pattern"),
    ("Acq Base", "Estimated Cycle Period (us)"),
    ("Acq Base", "Mosaic Active"),
    ("Acq Base", "MSMS Active"),
    ("Hot Cold Stage", "Temperature(C)"),
)


def _printable(text: bytes) -> list[str]:
    lines = text[:1000].decode("latin-1").splitlines()
    return ["".join(c for c in line if c.isprintable()) for line in lines if line.strip("\0\x1a ")]
