"""Writes PHI raw files (SmartSoft, WinCadence) from lists of ions, as the format is described.

Shares nothing with the reader: records are put together from the fields' widths,
and images are counted ion by ion.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

#: One ion: flight time in ps, x, y; from the lower left.
Ion = tuple[int, int, int]

HEADER = """SOFH
InstrumentModel: nanoTOF test
SoftwareVersion: SmartSoft-TOF V3
SpecBinSize: 0.12800
SecIonPolarity: -
TimePerFrameInS: 9.9
Mass/Time: 0.4
MassOffset: -1.5
ImagePixels: {pixels}
ScanWidthX: 40.00000
ScanWidthY: 40.00000
NoFrames: 99
Calibrated: no
HeaderSize: {size}
[Hot Cold Stage]
Temperature(C)=-110.0
[Acq Base]
Start Mass (amu)=0.5
End Mass (amu)=500.0
Estimated Cycle Period (us)=123.181
Frames=77
Mosaic Active=False
MSMS Active={msms}
[Mosaic Area]
Number Of Tiles X=5
[PHI LMIG]
Raster Size (um)=40.0
Raster Size Calibration=1.600, 1.550
[Cesium]
Raster Size (um)=1000.0
[Polarity]
Polarity=Negative (-) Ions
EOFH
"""


def header(pixels: int = 8, size: int = 2000, msms: str = "Inactive", text: str = HEADER) -> bytes:
    """The text header, padded to its size."""
    lines = text.format(pixels=pixels, size=size, msms=msms).replace("\n", "\r\n")
    return lines.encode("latin-1").ljust(size, b"\0")


def block(kind: int, payload: bytes = b"", size: int | None = None, clock: int = 53571) -> bytes:
    """A block: kind, ten bytes around a clock, length, payload."""
    length = len(payload) if size is None else size
    middle = b"\x07\0" + clock.to_bytes(4, "little") + b"\1\2\3\4"
    return kind.to_bytes(2, "little") + middle + length.to_bytes(4, "little") + payload


def records(ions: Iterable[Ion]) -> bytes:
    """Ions as records of 64 bits."""
    rows = np.array(list(ions), dtype=np.uint64).reshape(-1, 3)
    time, x, y = rows.T
    words = time + x * np.uint64(2**32) + y * np.uint64(2**43) + np.uint64(2**31)
    return words.astype("<u8").tobytes()


def events(ions: Sequence[Ion], in_block: int = 5, kind: int = 1) -> bytes:
    """Ions in blocks of a few."""
    return b"".join(
        block(kind, records(ions[first : first + in_block]))
        for first in range(0, len(ions), in_block)
    )


def frames(all_frames: Iterable[Sequence[Ion]], in_block: int = 5, kind: int = 1) -> bytes:
    """Frames one after the other, each with its end."""
    return b"".join(events(ions, in_block, kind) + block(2) for ions in all_frames)


def tile(column: int, row: int) -> bytes:
    """The beginning of a tile of a mosaic."""
    return block(6, column.to_bytes(4, "little") + row.to_bytes(4, "little"))


def appended(slope: float, offset: float, calibrated: str = "TRUE") -> bytes:
    """A recalibration as the instrument's software appends it."""
    text = (
        "AppendedBlockType: AsciiInfoBlock01\r\nBlockAppendedDate: 09/22/2025 15:38:35\r\n"
        f"AI_Calibrated: {calibrated}\r\nMass/Time: {slope}\r\nMassOffset: {offset}\r\n\x1a"
    ).encode()
    return block(14, text + (len(text) + 4).to_bytes(4, "little"))


def end() -> bytes:
    """The end of the stream."""
    return block(0)


def write(path: Path, *parts: bytes) -> Path:
    """Write a file from its parts."""
    path.write_bytes(b"".join(parts))
    return path


def rebuild(archive: Path, path: Path) -> Path:
    """Rebuild the raw file behind a SIMS-H5 archive, from what the archive keeps of it.

    The header and the opaque blocks are the instrument's own bytes; the events are
    sorted by pixel within each frame and cut into blocks of 512, as the archive does
    not keep their order.
    """
    import h5py
    import hdf5plugin  # noqa: F401 - registers the filters

    with h5py.File(archive) as file:
        start = file["raw_header"][...].tobytes()
        data = file["data/mass_csr"]
        time = np.repeat(
            data["mass_bin"][...].astype(np.int64), np.diff(data["indptr"][...].astype(np.int64))
        )
        cell, count = data["pixel_id"][...].astype(np.int64), data["count"][...].astype(int)
        frame_count, height, width = (int(n) for n in file["geometry"].attrs["row_shape"])
        blocks = file["raw_provenance/opaque_blocks"]
        tail = b"".join(
            block(int(blocks[name].attrs["record_type"]), blocks[name][...].tobytes())
            for name in sorted(blocks)
        )
    time, cell = np.repeat(time, count), np.repeat(cell, count)
    order = np.argsort(cell, kind="stable")
    time, cell = time[order], cell[order]
    parts = [start]
    for frame in range(frame_count):
        own = cell // (height * width) == frame
        inside = cell[own] % (height * width)
        ions = np.stack([time[own], inside % width, inside // width], axis=1)
        content = records(ions)
        parts += [block(1, content[at : at + 4096]) for at in range(0, len(content), 4096)]
        parts.append(block(2))
    return write(path, *parts, tail, end())


SLOPE, OFFSET = 0.4, -1.5  # of the header above
PIXELS = 8


def flight_time(mass: float, slope: float = SLOPE, offset: float = OFFSET) -> int:
    return round((np.sqrt(mass) - offset) / slope * 1e6)


LI6, LI7, NA = (flight_time(mass) for mass in (6.0146, 7.0155, 22.989))


def random_ions(seed: int, number: int, pixels: int = PIXELS) -> list[Ion]:
    rng = np.random.default_rng(seed)
    times = rng.choice([LI6, LI7, NA], number) + rng.integers(-900, 900, number)
    x, y = rng.integers(0, pixels, (2, number))
    return list(zip(times.tolist(), x.tolist(), y.tolist(), strict=True))


#: Three frames, the second of nothing.
FRAMES = [random_ions(seed, number) for seed, number in enumerate((60, 0, 43))]


def images(frames: list[list[Ion]], near: int | None, pixels: int = PIXELS) -> np.ndarray:
    """Count ions one by one, row 0 at the top."""
    cube = np.zeros((len(frames), pixels, pixels), int)
    for frame, ions in enumerate(frames):
        for time, x, y in ions:
            if near is None or abs(time - near) < 1000:
                cube[frame, pixels - 1 - y, x] += 1
    return cube
