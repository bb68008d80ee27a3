"""Raw events of ION-TOF's ITM files: scans, pixels and flight times of single ions.

The events of a scan are words of 32 bits in compressed leaves. Three marked words
name a pixel, x then y then its number; the words up to the next mark are the
flight times of the ions that came from it, in channels of 50 ps. The stream of a
scan may be cut into leaves anywhere.

Layout as published by O. Scholder with pySPM (Apache-2.0).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.readers._files import MAX_IMAGE_PIXELS
from napari_liso.readers._stream import BATCH
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.iontof.block_tree import BlockTree, Truncated
from napari_liso.readers.iontof.block_values import inflate_pieces

__all__ = ["ItmEvents", "Scans", "find_scans", "seen_size"]

_SCAN, _EVENTS = "   6", "  14"

_MARK = np.uint32(0x40000000)  # the smallest word with a mark
_X, _Y, _PIXEL = 0xC, 0xD, 0x1
#: Coordinates are the 28 low bits, pixel numbers the 30 low bits.
_COORDINATE = np.uint32(0x0FFFFFFF)
#: 1.7 ms in channels of 50 ps; no instrument waits so long for an ion.
_MAX_CHANNEL = 2**25
#: Compressed bytes of a leaf, and how far they may inflate. Streams of events
#: inflate about three times; a hundred times is an attack.
_MAX_LEAF = 2**28
_MAX_RATIO = 100
_SMALL_LEAF = 2**20

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Scans:
    """Where the events of each scan are.

    Parameters
    ----------
    numbers
        Of the scans, as the file counts them.
    leaves
        Byte offsets of the leaves of each scan, in order.
    cut
        Why scans at the end are missing, or None.
    """

    numbers: list[int]
    leaves: list[NDArray[np.int64]]
    cut: str | None = None


def find_scans(tree: BlockTree) -> Scans | None:
    """Index the raw data by scan, or return None where there are none.

    Raises
    ------
    FormatError
        If the list of raw data is damaged.
    """
    folder = tree.find("rawdata")
    if folder is None or not folder.is_directory:
        return None
    numbers: list[int] = []
    leaves: list[list[int]] = []
    cut = None
    try:
        for part in tree.parts(folder):
            for place in part.places(_SCAN, _EVENTS):
                name, offset = part.name(place), part.offset(place)
                if name == _SCAN:
                    numbers.append(part.id(place))
                    leaves.append([])
                elif not leaves:
                    raise tree.error("has events before the first scan", offset)
                else:
                    leaves[-1].append(offset)
    except Truncated as error:
        cut = error.reason
    if not any(leaves):
        if cut is not None:
            raise tree.error(cut)
        return None
    cut = _drop_what_is_cut_off(tree, numbers, leaves, cut)
    offsets = np.array([offset for scan in leaves for offset in scan], np.int64)
    if len(np.unique(offsets)) != len(offsets):
        raise tree.error("lists the same events twice")
    return Scans(numbers, [np.array(scan, np.int64) for scan in leaves], cut)


def _drop_what_is_cut_off(
    tree: BlockTree, numbers: list[int], leaves: list[list[int]], cut: str | None
) -> str | None:
    """Remove scans from the first one that is not whole; return what was wrong."""
    if cut is not None:
        # The list of blocks ends early: its last scan may lack some.
        del leaves[-1], numbers[-1]
    for scan, offsets in enumerate(leaves):
        if all(_is_whole(tree, offset) for offset in offsets):
            continue
        cut = "is truncated: the events of its last scans lie beyond its end"
        del leaves[scan:], numbers[scan:]
        break
    if not any(leaves):
        raise tree.error(cut or "holds no events")
    return cut


def _is_whole(tree: BlockTree, offset: int) -> bool:
    try:
        tree.block(offset, _EVENTS)
    except Truncated:
        return False
    return True


@dataclass(eq=False)
class ItmEvents:
    """Events of a file as `napari_liso.readers._stream` takes them.

    Parameters
    ----------
    path, size
        The file, and its bytes when it was opened.
    scans
        Where they are.
    height, width
        Of the image.
    calibration
        Of the channels.

    Attributes
    ----------
    pixels
        Pixels named in each scan that has been read.
    """

    path: str
    size: int
    scans: Scans
    height: int
    width: int
    calibration: MassCalibration
    pixels: dict[int, int] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frame, y, x)."""
        return len(self.scans.leaves), self.height, self.width

    def events(self, frame: int) -> Iterator[tuple[Integers, Integers]]:
        """Yield (channels, flat pixels with row 0 at the top) of a scan, about `BATCH` at a time.

        Raises
        ------
        FormatError
            If the stream is damaged, or the file changed since it was opened.
        """
        decoder = _Decoder(self.height, self.width)
        with BlockTree(self.path) as tree:
            if tree.size != self.size:
                raise tree.error("changed since it was opened")
            offset = 0
            try:
                for leaf, words in _words(tree, self.scans.leaves[frame]):
                    offset = leaf
                    yield decoder.decode(words)
                decoder.finish()
            except _Damaged as error:
                raise tree.error(str(error), offset) from error
        self.pixels[frame] = decoder.pixels


class _Damaged(ValueError):
    """Words that make no stream of events; the message says why."""


class _Decoder:
    """From words to ions; keeps the pixel, and a mark that is cut, from batch to batch."""

    def __init__(self, height: int, width: int) -> None:
        self._height, self._width = height, width
        self._pixel: int | None = None
        self._rest: NDArray[np.uint32] = np.zeros(0, np.uint32)
        self.pixels = 0

    def decode(self, words: NDArray[np.uint32]) -> tuple[Integers, Integers]:
        """Return (channels, flat pixels) of the ions in a batch of words."""
        if len(self._rest):
            words = np.concatenate([self._rest, words])
        marks = np.flatnonzero(words >= _MARK)
        # A mark that is not whole waits for the next batch.
        waiting = len(marks) % 3
        if waiting:
            start = int(marks[-waiting])
            if start + waiting != len(words):
                raise _Damaged("a pixel in the events is not named by three words")
            words, self._rest, marks = words[:start], words[start:], marks[:-waiting]
        else:
            self._rest = words[:0]
        channels = words[words < _MARK]
        if channels.max(initial=0) >= _MAX_CHANNEL:
            raise _Damaged(f"an ion has the flight time {channels.max()} channels")
        first = marks[::3]
        pixel = self._named(words, marks)
        before = int(first[0]) if len(first) else len(words)
        if before:
            if self._pixel is None:
                raise _Damaged("events come before the first pixel")
            pixel = np.concatenate([[self._pixel], pixel])
            ions = np.diff(np.concatenate([[-3], first, [len(words)]])) - 3
        else:
            ions = np.diff(np.append(first, len(words))) - 3
        if len(pixel):
            self._pixel = int(pixel[-1])
        return channels, np.repeat(pixel, ions)

    def _named(self, words: NDArray[np.uint32], marks: NDArray[np.intp]) -> NDArray[np.int64]:
        """Return the flat pixels that the marks name."""
        first, second, third = marks[::3], marks[1::3], marks[2::3]
        if np.any(second != first + 1) or np.any(third != first + 2):
            raise _Damaged("a pixel in the events is not named by three words")
        x, y, number = words[first], words[second], words[third]
        if np.any(x >> 28 != _X) or np.any(y >> 28 != _Y) or np.any(number >> 30 != _PIXEL):
            raise _Damaged("the events hold words of an unknown kind")
        x, y = x & _COORDINATE, y & _COORDINATE
        if x.max(initial=0) >= self._width or y.max(initial=0) >= self._height:
            raise _Damaged(
                f"a pixel of the events, x {x.max()} or y {y.max()}, lies outside the image of "
                f"{self._height} x {self._width} pixels"
            )
        self.pixels += len(first)
        # Row 0 of the file is the bottom.
        return (self._height - 1 - y.astype(np.int64)) * self._width + x

    def finish(self) -> None:
        """Check that no mark is left half read."""
        if len(self._rest):
            raise _Damaged("the events of a scan end inside the name of a pixel")


def _words(tree: BlockTree, leaves: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.uint32]]]:
    """Yield (offset of the leaf, words) of a scan in batches of about `BATCH` words."""
    waiting: list[bytes] = []
    size = 0
    offset = 0
    for offset in leaves.tolist():
        leaf = tree.block(offset, _EVENTS)
        packed = tree.value(leaf, _MAX_LEAF)
        limit = max(_SMALL_LEAF, _MAX_RATIO * len(packed))
        length = 0
        try:
            for piece in inflate_pieces(packed, 4 * BATCH, limit):
                length += len(piece)
                waiting.append(piece)
                size += len(piece)
                if size >= 4 * BATCH and length % 4 == 0:
                    yield offset, np.frombuffer(b"".join(waiting), "<u4")
                    waiting, size = [], 0
        except ValueError as error:
            raise tree.error(str(error), offset) from error
        if length % 4:
            raise tree.error(f"{length} bytes of events are no whole number of words", offset)
    if waiting:
        yield offset, np.frombuffer(b"".join(waiting), "<u4")


def seen_size(tree: BlockTree, scans: Scans) -> tuple[int, int]:
    """Return the (y, x) size of the smallest image that has all pixels of the events.

    Raises
    ------
    FormatError
        If the stream is damaged, or names no pixel or one that cannot be.
    """
    height = width = 0
    for leaves in scans.leaves:
        for _, words in _words(tree, leaves):
            kind = words >> 28
            x, y = (words[kind == mark] & _COORDINATE for mark in (_X, _Y))
            width = max(width, int(x.max()) + 1 if len(x) else 0)
            height = max(height, int(y.max()) + 1 if len(y) else 0)
    if height * width == 0 or height * width > MAX_IMAGE_PIXELS:
        raise tree.error(f"names pixels of an image of {height} x {width} pixels")
    return height, width
