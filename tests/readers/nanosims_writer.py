"""Writes NanoSIMS images from the public layout, field after field.

Shares nothing with the reader: what is written is whatever the layout has next,
with lengths checked section by section.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field

import numpy as np


@dataclass
class Row:
    """One row of the mass table."""

    label: str
    mass: float
    trolley: int
    atoms: int = 1
    charge: int = 0
    sign: str = ""
    frame_time: float | None = None


ROWS = [
    Row("6Li", 6.0151, 1),
    Row("7Li", 7.0160, 2),
    Row("12C 14N", 26.0031, 10, 2),
    Row("", 0.0, 8, 0),
]


@dataclass
class Image:
    """All that may be varied; counts are (frame, mass, y, x) in the dtype to be stored."""

    counts: np.ndarray
    rows: list[Row] = field(default_factory=lambda: list(ROWS))
    order: str = ">"
    version: int = 11
    kind: int = 27
    analysis: str = "IMAGE ACQUISITION"
    date: str = "25.03.11"
    time: str = "10:37"
    holds_data: int = 1
    raster_nm: int = 10240
    beam_raster_um: float | None = None
    working: tuple[int, int] | None = None  # height, width
    counting: tuple[int, int] | None = None
    lists: str = "P"
    pixel_time_us: int = 5000
    fields: int = 1
    detectors: dict[int, int] = field(default_factory=dict)  # by trolley: 0 EM, 1 FC
    dead_times_ns: tuple[int, ...] = (36, 44, 44, 44, 44)
    beams: bool = True
    frames_planned: int | None = None
    # What the image record says, where it is to differ from the truth.
    record: dict[str, int] = field(default_factory=dict)
    masses: int | None = None

    def pack(self, layout: str, *values: object) -> bytes:
        return struct.pack(self.order + layout, *values)

    def text(self, text: str, length: int) -> bytes:
        return text.encode("latin-1").ljust(length, b"\0")[:length]

    def write(self) -> bytes:
        body = [self._main(), self._masses(), self._lists(), self._frames()]
        if self.beams:
            body.append(self._beams())
        start = b"".join(body)
        head_size = 12 + len(start) + 84
        head = self.pack("iii", self.version, self.kind, head_size)
        dtype = self.counts.dtype.newbyteorder(self.order)
        return head + start + self._record() + self.counts.astype(dtype).tobytes()

    def _main(self) -> bytes:
        planes = self.counts.shape[0]
        planned = planes if self.frames_planned is None else self.frames_planned
        out = self.pack("iiii", 0, self.holds_data, -14552, -380)
        out += self.text(self.analysis, 32) + self.text("somebody", 16)
        out += self.pack("i", 5734) + bytes(12)
        out += self.text(self.date, 16) + self.text(self.time, 16)
        assert 12 + len(out) == 124
        out += self.text("", 16) + self.pack("iii", 1316, planned, 0)
        out += self.pack("hhhxxiii", 0, 0, 0, 0, 0, 0)
        out += bytes(76) + bytes(160)  # automatic calibration, reference signal
        return out

    def _masses(self) -> bytes:
        count = len(self.rows) if self.masses is None else self.masses
        out = self.pack("i", count) + bytes(4 * (60 if self.version >= 4108 else 10))
        height, width = self.counts.shape[2:]
        for row in self.rows:
            seconds = self.pixel_time_us * 1e-6 * height * width
            seconds = seconds if row.frame_time is None else row.frame_time
            one = self.pack("iidiidd", row.trolley, 0, row.mass, 0, 0, 0.0, seconds)
            one += self.pack("ii", 0, 0)
            one += self.pack("iiiic", 0, 0, row.atoms, row.charge, self.text(row.sign, 1))
            one += self.text(row.label, 64) + bytes(3) + bytes(60)
            assert len(one) == 192
            out += one
        return out

    def _lists(self) -> bytes:
        if not self.lists:
            return bytes(216)  # real-time images
        names = {"P": "Poly_list", "C": "Champs_list", "O": "Offset_list"}
        padding = bytes(40)
        return b"".join(
            padding + self.text(names[letter], 16) + self.pack("i", 0) + bytes(4)
            for letter in self.lists
        )

    def _frames(self) -> bytes:
        size = self.counts.shape[2:]
        height, width = self.working or size
        rows, columns = self.counting or size
        out = self.pack("iiiii", 8, 1, 0, 0, 0) + self.pack("ii", 0, 0)
        out += self.pack("ii", width, height)
        out += self.pack("iiii", 1, columns, 1, rows)  # scanning frame
        out += self.pack("iiii", 1, columns, 1, rows)  # counting frame, first and last
        out += self.pack("iiiii", 1, 1, 1, 0, 1) + self.pack("ii", 0, 0)
        out += self.pack("i", self.fields)
        assert len(out) == 100
        out += bytes(504) + bytes(948)
        for _ in range(self.fields):
            out += self.pack("iiiid", 1, 1070296, 0, self.pixel_time_us, 20.0)
            out += self.pack("iiiiii", 0, 25, 389, 1600, 190, 1) + bytes(8)
            for trolley in range(12):
                one = self.text("", 64) + self.pack("dd", 1.0, 350.0) + self.pack("ii", 0, 0)
                one += self.pack("i", self.detectors.get(trolley, 0))
                out += one.ljust(208 if self.version >= 4108 else 192, b"\0")
            out += bytes(12 * (48 if self.version >= 4108 else 24))
        return out

    def _beams(self) -> bytes:
        raster = self.raster_nm / 1000 if self.beam_raster_um is None else self.beam_raster_um
        out = self.text("Anal_param_nano", 16) + self.pack("ii", 4, 0) + bytes(8) + bytes(256)
        primary = self.text("Cs+", 8) + self.pack("iiii", 55700, 52400, 0, 0)
        primary += bytes(3 * 44) + bytes(4) + self.pack("dddd", raster, 12.9, -25.5, 8512.3)
        out += primary.ljust(552, b"\0")
        out += self.pack("d", -8004.1).ljust(192, b"\0")
        detectors = bytes(6 * 88) + bytes(72)
        for dead_time in self.dead_times_ns:
            detectors += self.pack("dii", 100.0, 0, dead_time)
        out += detectors.ljust(808, b"\0")
        return out + self.pack("i", 2306) + bytes(1240)

    def _record(self) -> bytes:
        planes, masses, height, width = self.counts.shape
        told = {
            "size": 84, "width": width, "height": height, "pixel": self.counts.dtype.itemsize,
            "masses": masses, "planes": planes, "raster": self.raster_nm,
        } | self.record  # fmt: skip
        out = self.pack("i", told["size"]) + self.pack("h", 1)
        for name in ("width", "height", "pixel", "masses", "planes"):
            out += self.pack("H", told[name])
        return out + self.pack("i", told["raster"]) + self.text("map_1.im", 64)
