"""Blocks of PHI's event streams: what is where, found without reading the events.

After the header a stream is a chain of blocks. Each begins with 16 bytes, of
which the first two are its kind and the last four the bytes that follow; what
is in between (a clock) is not needed. The chain has no index and no check sum,
so it is followed from the first block to the last, and whatever does not fit
into it is damage.
"""

from __future__ import annotations

import struct
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers.phi.header import ASCII_INFO_RECORD

__all__ = [
    "EVENTS",
    "KINDS",
    "MSMS_EVENTS",
    "OPAQUE",
    "RECORD",
    "Block",
    "Index",
    "index_blocks",
    "walk",
]

END = 0
EVENTS = 1
FRAME_END = 2
TILE = 6
MSMS_EVENTS = 8
OPAQUE = (12, 13)
KINDS = {
    END: "end of the stream",
    EVENTS: "events",
    FRAME_END: "end of a frame",
    TILE: "tile",
    MSMS_EVENTS: "events of the MS/MS channel",
    12: "opaque",
    13: "opaque",
    ASCII_INFO_RECORD: "appended text",
}
#: Bytes of an event.
RECORD = 8

_HEAD = struct.Struct("<H10xI")
_TILE = struct.Struct("<II")
#: Lengths that the kind decides, whatever the block's own length says.
_FIXED = {END: 0, FRAME_END: 0, TILE: _TILE.size}
#: Kinds are small numbers; anything else is not the beginning of a block.
_MAX_KIND = 63
_MAX_BLOCKS = 2**24
#: A block longer than this that does not fit into the file is a lie, not a loss.
_MAX_CUT_BLOCK = 2**24
_MAX_AFTER_END = 2**24
_MAX_TEXT = 2**22
_MAX_ALL_TEXT = 2**24
_MAX_TILE = 2**16
_PIECE = 2**18

Integers = NDArray[np.integer[Any]]


class Block(NamedTuple):
    """One block: its kind, the place of its content, bytes declared and bytes there."""

    kind: int
    place: int
    size: int
    there: int


def walk(path: Path, start: int) -> Iterator[Block]:
    """Follow the chain of blocks.

    Parameters
    ----------
    path
        The file.
    start
        Where the first block is.

    Yields
    ------
    Block
        The last one may be cut short: then `there` is less than `size`.

    Raises
    ------
    FormatError
        Where something other than a block is met.
    """
    total = path.stat().st_size
    piece, at, place = b"", 0, start
    with open(path, "rb", buffering=0) as file:
        for _ in range(_MAX_BLOCKS):
            if place + _HEAD.size > total:
                return
            if not at <= place <= at + len(piece) - _HEAD.size:
                file.seek(place)
                piece, at = file.read(_PIECE), place
                if len(piece) < _HEAD.size:
                    raise FormatError(path, "changed while it was read", place)
            kind, size = _HEAD.unpack_from(piece, place - at)
            if kind > _MAX_KIND:
                raise FormatError(
                    path,
                    f"is damaged: a block of kind {kind}, or a wrong length of the one before",
                    place,
                )
            place += _HEAD.size
            size = _FIXED.get(kind, size)
            there = min(size, total - place)
            if there < size and (size > _MAX_CUT_BLOCK or kind not in KINDS):
                raise FormatError(
                    path,
                    f"is damaged: a block claims {size} bytes, {total - place} are left",
                    place - _HEAD.size,
                )
            yield Block(kind, place, size, there)
            place += size
    raise FormatError(path, f"has more than {_MAX_BLOCKS} blocks")


@dataclass(frozen=True, eq=False)
class Index:
    """Where the events of a file are.

    Parameters
    ----------
    kind, place, records, frame, tile
        Of each block of events: its kind, the byte of its first event, how many
        are there, the frame, and the number of the tile in `tiles`.
    tiles
        (column, row) of each tile, from the lower left; one (0, 0) without a mosaic.
    frames
        Those of the tile that has most; begun ones count.
    open_frames
        Tiles whose last frame has counts but no end.
    texts
        Appended texts, in the order of the file.
    blocks
        Number and bytes of the blocks of each kind.
    cut
        Byte at which the file breaks off, or None where the stream has its end.
    overrun
        Place of a block of events that the file cuts short, or None.
    """

    kind: Integers
    place: Integers
    records: Integers
    frame: Integers
    tile: Integers
    tiles: list[tuple[int, int]]
    frames: int
    open_frames: int
    texts: list[bytes]
    blocks: dict[int, list[int]]
    cut: int | None
    overrun: int | None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        columns = (self.kind, self.place, self.records, self.frame, self.tile)
        return sum(column.nbytes for column in columns) + sum(map(len, self.texts))

    def of_kind(self, kind: int) -> int:
        """Return the number of events in blocks of a kind."""
        return int(self.records[self.kind == kind].sum())


@dataclass
class _Builder:
    """Takes blocks in the order of the file."""

    path: Path
    kind: array[int] = field(default_factory=lambda: array("B"))
    place: array[int] = field(default_factory=lambda: array("q"))
    records: array[int] = field(default_factory=lambda: array("q"))
    frame: array[int] = field(default_factory=lambda: array("i"))
    tile: array[int] = field(default_factory=lambda: array("i"))
    tiles: dict[tuple[int, int], int] = field(default_factory=dict)
    texts: list[bytes] = field(default_factory=list)
    blocks: dict[int, list[int]] = field(default_factory=dict)
    #: Frames that ended, by tile, and tiles with counts since then.
    ended: list[int] = field(default_factory=list)
    pending: set[int] = field(default_factory=set)
    current: int = -1

    def _use(self, tile: tuple[int, int]) -> None:
        self.current = self.tiles.setdefault(tile, len(self.tiles))
        if self.current == len(self.ended):
            self.ended.append(0)

    def events(self, block: Block) -> None:
        if block.size % RECORD:
            raise FormatError(
                self.path,
                f"is damaged: {block.size} bytes of events are no whole number of them",
                block.place,
            )
        if self.current < 0:
            self._use((0, 0))
        if block.there >= RECORD:
            self.kind.append(block.kind)
            self.place.append(block.place)
            self.records.append(block.there // RECORD)
            self.frame.append(self.ended[self.current])
            self.tile.append(self.current)
            self.pending.add(self.current)

    def frame_end(self) -> None:
        # Whether a tile is measured frame by frame, or each frame tile by tile, is
        # not written down: a frame ends for all that were measured since the last end.
        if self.current < 0:
            self._use((0, 0))
        for tile in self.pending | {self.current}:
            self.ended[tile] += 1
        self.pending.clear()

    def tile_begins(self, block: Block) -> None:
        if block.there < block.size:
            return
        column, row = _TILE.unpack(_content(self.path, block))
        if max(column, row) >= _MAX_TILE:
            raise FormatError(
                self.path, f"is damaged: tile {column}, {row} of a mosaic", block.place
            )
        self._use((column, row))

    def text(self, block: Block) -> None:
        if block.size > _MAX_TEXT or sum(map(len, self.texts)) > _MAX_ALL_TEXT:
            raise FormatError(self.path, f"has {block.size} bytes of appended text", block.place)
        if block.there == block.size:
            self.texts.append(_content(self.path, block))


def _content(path: Path, block: Block) -> bytes:
    with open(path, "rb") as file:
        file.seek(block.place)
        content = file.read(block.size)
    if len(content) < block.size:
        raise FormatError(path, "changed while it was read", block.place)
    return content


def index_blocks(path: Path, start: int) -> Index:
    """Find the events, frames, tiles and appended texts of a stream.

    Parameters
    ----------
    path
        The file.
    start
        Where the first block is.

    Raises
    ------
    FormatError
        If the chain of blocks is broken, or goes on after its end.
    """
    build = _Builder(path)
    total = path.stat().st_size
    place, ended, short, overrun = start, False, False, None
    for block in walk(path, start):
        tally = build.blocks.setdefault(block.kind, [0, 0])
        tally[0] += 1
        tally[1] += block.there
        if ended and block.kind in (EVENTS, MSMS_EVENTS, FRAME_END, TILE):
            raise FormatError(path, "is damaged: events follow the end of the stream", block.place)
        if block.kind in (EVENTS, MSMS_EVENTS):
            build.events(block)
            overrun = block.place if block.there < block.size else None
        elif block.kind == FRAME_END:
            build.frame_end()
        elif block.kind == TILE:
            build.tile_begins(block)
        elif block.kind == ASCII_INFO_RECORD:
            build.text(block)
        elif block.kind == END and not ended:
            ended = True
            if total - block.place > _MAX_AFTER_END:
                raise FormatError(
                    path, f"goes on for {total - block.place} bytes after its end", block.place
                )
        place, short = block.place + block.there, block.there < block.size
    begun = [n + (tile in build.pending) for tile, n in enumerate(build.ended)]
    return Index(
        kind=np.asarray(build.kind),
        place=np.asarray(build.place),
        records=np.asarray(build.records),
        frame=np.asarray(build.frame),
        tile=np.asarray(build.tile),
        tiles=list(build.tiles),
        frames=max(begun, default=0),
        open_frames=len(build.pending),
        texts=build.texts,
        blocks=build.blocks,
        cut=None if ended and not short and place == total else place,
        overrun=overrun,
    )
