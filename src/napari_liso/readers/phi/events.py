"""Events of PHI's streams, decoded in batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._stream import BATCH
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.phi.blocks import RECORD, Index

__all__ = ["MAX_RASTER", "Events"]

#: Pixels that x and y of a record can tell apart.
MAX_RASTER = 2**11
#: Memory that a writer had not filled; the low half of such a record.
_UNWRITTEN = 0xADADADAD
_VALID = np.uint32(1 << 31)
_DAMAGED = np.uint32(1 << 26)  # and above: bits 58-63 of the record
_TIME = np.uint32((1 << 31) - 1)
_PLACE = np.uint32(MAX_RASTER - 1)
#: Real files hold a few records that are no ions (0.35 % in one). Beyond these
#: shares of the records a file is worth a warning, or is damaged.
_MANY_EMPTY = 0.01
_TOO_MANY_EMPTY = 0.1
_TOO_MANY_DAMAGED = 0.01
#: Frames of nothing: beyond so many voxels, fewer events than one in so many are damage.
_LARGE_CUBE = 2**28
_EMPTY_CUBE = 2**12

Integers = NDArray[np.integer[Any]]


@dataclass(eq=False)
class Events:
    """Events of the stream by frame; an `_stream.EventSource`.

    Parameters
    ----------
    path
        The file.
    pixels
        Of the raster, in x and y.
    index
        Of all blocks.
    kind
        Of the blocks to read.
    calibration
        From ps to u.
    """

    path: Path
    pixels: int
    index: Index
    kind: int
    calibration: MassCalibration
    shape: tuple[int, int, int] = field(init=False)
    grid: tuple[int, int] = field(init=False)
    #: Records without an ion, damaged, outside the raster and in all, by frame.
    _tally: dict[int, NDArray[np.int64]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        index, pixels = self.index, self.pixels
        columns, rows = (max(places) + 1 for places in zip(*index.tiles, strict=True))
        self.grid = rows, columns
        self.shape = max(index.frames, 1), rows * pixels, columns * pixels
        _files.check_image_size(self.path, *self.shape[1:])
        events = index.of_kind(self.kind)
        voxels = self.shape[0] * self.shape[1] * self.shape[2]
        if voxels > _LARGE_CUBE and events < voxels // _EMPTY_CUBE:
            raise FormatError(
                self.path, f"is damaged: {events} events in {self.shape[0]} frames of "
                f"{self.shape[1]} x {self.shape[2]} pixels",
            )  # fmt: skip
        chosen = np.flatnonzero(index.kind == self.kind)
        # Frames in order, within each the order of the file.
        self._order = chosen[np.argsort(index.frame[chosen], kind="stable")]
        self._first = np.searchsorted(index.frame[self._order], np.arange(self.shape[0] + 1))

    def events(self, frame: int) -> Iterator[tuple[Integers, Integers]]:
        """Yield (flight times in ps, flat pixel numbers) of a frame in batches."""
        tally = np.zeros(4, np.int64)
        spans = self._order[self._first[frame] : self._first[frame + 1]]
        with open(self.path, "rb", buffering=0) as file:
            for tile, words in self._pieces(file, spans):
                yield self._decode(words, tile, tally)
        self._tally[frame] = tally

    def _pieces(self, file: Any, spans: Integers) -> Iterator[tuple[int, NDArray[np.uint32]]]:
        """Yield (tile, records (n, 2)): neighbouring blocks together, long ones in parts."""
        places, records = self.index.place[spans], self.index.records[spans]
        tiles = self.index.tile[spans]
        region = places // (BATCH * RECORD)
        new = (np.diff(region) != 0) | (np.diff(tiles) != 0)
        edges = [0, *(np.flatnonzero(new) + 1), len(spans)]
        for low, high in pairwise(edges):
            if high == low:
                continue
            start, stop = int(places[low]), int(places[high - 1])
            if high - low > 1 and records[high - 1] <= BATCH:
                content = self._content(file, start, stop + int(records[high - 1]) * RECORD)
                parts = [
                    np.frombuffer(content, "<u4", 2 * count, place - start)
                    for place, count in zip(
                        places[low:high].tolist(), records[low:high].tolist(), strict=True
                    )
                ]
                yield int(tiles[low]), np.concatenate(parts).reshape(-1, 2)
                continue
            for number in range(low, high):
                place, left = int(places[number]), int(records[number])
                while left:
                    count = min(left, BATCH)
                    content = self._content(file, place, place + count * RECORD)
                    yield int(tiles[number]), np.frombuffer(content, "<u4").reshape(-1, 2)
                    place, left = place + count * RECORD, left - count

    def _content(self, file: Any, start: int, stop: int) -> bytearray:
        content = bytearray(stop - start)
        file.seek(start)
        view, got = memoryview(content), 0
        while got < len(content):
            count = file.readinto(view[got:])
            if not count:
                raise FormatError(self.path, "changed while it was read", start + got)
            got += count
        return content

    def _decode(
        self, words: NDArray[np.uint32], tile: int, tally: NDArray[np.int64]
    ) -> tuple[Integers, Integers]:
        low, high = words[:, 0], words[:, 1]
        # Whole pixel numbers fit into 32 bits; in place, since this is most of the work.
        y = high >> np.uint32(11)
        y &= _PLACE
        x = high & _PLACE
        tally[3] += len(words)
        sound = (
            low.min(initial=_VALID) >= _VALID
            and high.max(initial=0) < _DAMAGED
            and max(x.max(initial=0), y.max(initial=0)) < self.pixels
            and not (low == _UNWRITTEN).any()
        )
        if not sound:
            empty = (low < _VALID) | (low == _UNWRITTEN)
            damaged = (high >= _DAMAGED) & ~empty
            outside = ((x >= self.pixels) | (y >= self.pixels)) & ~empty & ~damaged
            tally[:3] += [empty.sum(), damaged.sum(), outside.sum()]
            good = ~(empty | damaged | outside)
            low, x, y = low[good], x[good], y[good]
        column, row = self.index.tiles[tile]
        _, height, width = self.shape
        pixel = y.view(np.int32)
        pixel *= -width
        pixel += x.view(np.int32)
        pixel += (height - 1 - row * self.pixels) * width + column * self.pixels
        return low & _TIME, pixel

    def damaged_after(self, place: int) -> bool:
        """Whether the block at `place` holds records that are neither ions nor unwritten."""
        number = int(np.searchsorted(self.index.place, place))
        if number == len(self.index.place) or self.index.place[number] != place:
            return False
        tally = np.zeros(4, np.int64)
        with open(self.path, "rb", buffering=0) as file:
            for tile, words in self._pieces(file, np.array([number])):
                written = words[words[:, 0] != _UNWRITTEN]
                self._decode(written, tile, tally)
        return bool(tally[:3].any())

    def findings(self, warnings: list[str]) -> dict[str, Any]:
        """Return what was found among the records, after all were read.

        Raises
        ------
        FormatError
            If too many of them are no ions.
        """
        empty, damaged, outside, records = (
            int(n) for n in sum(self._tally.values(), np.zeros(4, np.int64))
        )
        if damaged + outside > _TOO_MANY_DAMAGED * records or empty > _TOO_MANY_EMPTY * records:
            raise FormatError(
                self.path,
                f"is damaged: of {records} records {empty} are empty, {damaged} damaged, and "
                f"{outside} outside the raster of {self.pixels} pixels",
            )
        if damaged or outside:
            warnings.append(
                f"{damaged} records are damaged and {outside} lie outside the raster, of "
                f"{records}; they were left out."
            )
        if empty > _MANY_EMPTY * records:
            warnings.append(
                f"{empty} of {records} records are marked invalid, more than usual; they were "
                "left out."
            )
        return {
            "records": records,
            "records_invalid": empty,
            "records_damaged": damaged,
            "records_outside_raster": outside,
        }
