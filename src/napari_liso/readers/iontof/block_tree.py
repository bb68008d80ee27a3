"""The block tree of ION-TOF's files (``ITStrF01``), read without trusting it.

A file is blocks that point at each other by byte offsets: directories, which may
be continued elsewhere, and leaves, plain or compressed. Any of the numbers may be
wrong, so each is held against the file's size before it is used, no chain is
followed twice, and nothing inflates beyond the size that is asked for. Values are
numbers and text only; Python objects in newer files are never looked at.

Layout as published by O. Scholder with pySPM (Apache-2.0).
"""

from __future__ import annotations

import math
import os
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from os import PathLike, fspath
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers.iontof.block_values import Property, name_text, parse_property, value_text

__all__ = ["COMPRESSED", "LEAF", "MAGIC", "Block", "BlockTree", "Children", "Truncated"]

MAGIC = b"ITStrF01"

LEAF, DIRECTORY, CONTINUATION, COMPRESSED = 0, 1, 3, 0x80
_KINDS = {LEAF: "leaf", DIRECTORY: "directory", CONTINUATION: "continued", COMPRESSED: "zlib leaf"}

_HEADER = struct.Struct("<B6I")
_HEADER_SIZE = 25  # which is also what the second field says
_LIST = struct.Struct("<2I25sQ")
_ENTRY = np.dtype(
    [
        ("kind", "u1"), ("name_at", "<u4"), ("name_size", "<u4"), ("id", "<u4"),
        ("has_data", "<u4"), ("size", "<u8"), ("offset", "<u8"),
    ]
)  # fmt: skip

#: Far above what instruments write, far below what memory holds.
_MAX_NAME = 1024
_MAX_CHILDREN = 2**22
_MAX_PARTS = 2**17
_MAX_NAMES = 2**16
_MAX_DEPTH = 32
_MAX_SMALL = 2**16


class Truncated(FormatError):
    """A file that ends before what it promises."""


_STEP = re.compile(r"(.*)\[(\d{1,10})\]$")


@dataclass(frozen=True)
class Block:
    """Where one block is and what its header says.

    Parameters
    ----------
    kind
        One of `LEAF`, `DIRECTORY`, `CONTINUATION`, `COMPRESSED`.
    name, id
        Blocks of one name in one directory differ by `id`.
    children
        Entries in this part of a directory.
    offset, start, size
        Bytes at which the block and its value begin, and the value's length.
    """

    kind: int
    name: str
    id: int
    children: int
    offset: int
    start: int
    size: int

    @property
    def is_directory(self) -> bool:
        """Whether its value is a list of other blocks."""
        return self.kind in (DIRECTORY, CONTINUATION)

    @property
    def kind_name(self) -> str:
        """What kind of block it is, in words."""
        return _KINDS[self.kind]


class Children:
    """The entries of a directory, in the order of the file.

    Parameters
    ----------
    names
        The different names.
    code
        Of each entry: which of the names it has.
    entries
        As stored.
    """

    def __init__(self, names: list[str], code: NDArray[Any], entries: NDArray[Any]) -> None:
        self.names = names
        self._code = code
        self._entries = entries

    def __len__(self) -> int:
        return len(self._entries)

    def name(self, place: int) -> str:
        """Return the name of an entry."""
        return self.names[self._code[place]]

    def id(self, place: int) -> int:
        """Return the number of an entry among those of its name."""
        return int(self._entries["id"][place])

    def offset(self, place: int) -> int:
        """Return where the block of an entry begins, as a number that arrays can hold."""
        return min(int(self._entries["offset"][place]), 2**62)

    def places(self, *names: str) -> NDArray[np.intp]:
        """Return the entries that have one of the names."""
        wanted = [code for code, name in enumerate(self.names) if name in names]
        return np.flatnonzero(np.isin(self._code, wanted))

    def find(self, name: str, number: int | None = None) -> int | None:
        """Return the entry of a name and number, of any number where that is None."""
        places = self.places(name)
        if number is not None:
            places = places[self._entries["id"][places] == number]
        return int(places[0]) if len(places) else None


class BlockTree:
    """An open file.

    Parameters
    ----------
    path
        The file; it is only read.
    forgiving
        Whether `find` takes a block that lies beyond the file's end as absent; why
        is then in `missing`.

    Raises
    ------
    FormatError
        If it does not begin like one.
    """

    def __init__(self, path: str | PathLike[str], forgiving: bool = False) -> None:
        self.path = fspath(path)
        self.forgiving = forgiving
        self.missing: str | None = None
        self._file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed by `close`
        self.size = os.fstat(self._file.fileno()).st_size
        self._lists: dict[int, Children] = {}
        if self.bytes_at(0, len(MAGIC)) != MAGIC:
            self.close()
            raise FormatError(path, "does not begin with ITStrF01")

    def __enter__(self) -> BlockTree:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def root(self) -> Block:
        """The directory that everything is in."""
        return self.block(len(MAGIC))

    def error(self, reason: str, offset: int | None = None) -> FormatError:
        """Return the error to raise for this file."""
        return FormatError(self.path, reason, offset)

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Return bytes of the file, fewer where it ends."""
        self._file.seek(offset)
        return self._file.read(size)

    # -- blocks ----------------------------------------------------------------------

    def block(self, offset: int, name: str | None = None) -> Block:
        """Read the header of a block.

        Parameters
        ----------
        offset
            Where it begins.
        name
            What it must be called, as its directory says; None: anything.

        Raises
        ------
        FormatError
            If there is none, it is not whole, or it is called otherwise.
        """
        if not len(MAGIC) <= offset <= self.size - _HEADER_SIZE:
            raise Truncated(
                self.path,
                f"is truncated: a block at byte {offset} lies outside its {self.size} bytes",
            )
        head = self.bytes_at(offset, _HEADER_SIZE + 64)
        kind, header_size, name_size, number, children, size, _ = _HEADER.unpack_from(head)
        if kind not in _KINDS or header_size != _HEADER_SIZE or name_size > _MAX_NAME:
            raise self.error("there is no block where one should begin", offset)
        start = offset + _HEADER_SIZE + name_size
        if start + size > self.size:
            raise Truncated(
                self.path,
                f"is truncated: a block of {size} bytes begins here, {max(0, self.size - start)} "
                "are left",
                offset,
            )
        raw = head[_HEADER_SIZE : _HEADER_SIZE + name_size]
        if len(raw) < name_size:
            raw = self.bytes_at(offset + _HEADER_SIZE, name_size)
        found = Block(kind, name_text(raw), number, children, offset, start, size)
        if name is not None and found.name != name:
            raise self.error(f"here should be the block {name!r}, not {found.name!r}", offset)
        return found

    def find(self, path: str, inside: Block | None = None) -> Block | None:
        """Return the block at a path, or None where there is none.

        Parameters
        ----------
        path
            Names between slashes; ``name[3]`` is the one with that number, a bare
            name is number 0 or else the first of that name, ``*`` is the first entry.
        inside
            Directory to start from; None: the root.

        Raises
        ------
        FormatError
            If a directory on the way is damaged.
        """
        try:
            return self._find(path, inside)
        except Truncated as error:
            if not self.forgiving:
                raise
            self.missing = error.reason
            return None

    def _find(self, path: str, inside: Block | None) -> Block | None:
        steps = path.split("/")
        if len(steps) > _MAX_DEPTH:
            raise self.error(f"the path {path} is too deep")
        here = self.root if inside is None else inside
        for step in steps:
            if not here.is_directory:
                return None
            children = self.children(here)
            place = _choose(children, step)
            if place is None:
                return None
            here = self.block(children.offset(place), children.name(place))
        return here

    def child(self, children: Children, place: int) -> Block:
        """Return the block of an entry."""
        return self.block(children.offset(place), children.name(place))

    # -- directories -----------------------------------------------------------------

    def children(self, directory: Block) -> Children:
        """Return all entries of a directory, its continuations included.

        Raises
        ------
        FormatError
            If a part of it is missing, damaged, there twice, or too large.
        """
        found = self._lists.get(directory.offset)
        if found is None:
            found = _joined(list(self.parts(directory)))
            if len(found.names) > _MAX_NAMES:
                raise self.error(
                    f"the directory {directory.name!r} has too many names", directory.offset
                )
            if len(self._lists) >= 64:
                self._lists.pop(next(iter(self._lists)))
            self._lists[directory.offset] = found
        return found

    def parts(self, directory: Block) -> Iterator[Children]:
        """Yield the entries of a directory part by part, as far as it is whole.

        Raises
        ------
        FormatError
            At the first part that is missing, damaged, there twice, or too many.
        """
        if not directory.is_directory:
            raise self.error(f"{directory.name!r} is no directory", directory.offset)
        seen: set[int] = set()
        total = 0
        part = directory
        while True:
            seen.add(part.offset)
            total += part.children
            if total > _MAX_CHILDREN or len(seen) > _MAX_PARTS:
                raise self.error(f"the directory {directory.name!r} is too large", part.offset)
            entries, following = self._part(part)
            yield entries
            if following == 0:
                return
            if following in seen:
                raise self.error(
                    f"the directory {directory.name!r} is continued in itself", part.offset
                )
            part = self.block(following)
            if not part.is_directory:
                raise self.error(
                    f"the directory {directory.name!r} is continued in a leaf", part.offset
                )

    def _part(self, part: Block) -> tuple[Children, int]:
        """Return the entries of one part of a directory, and where the next one begins."""
        needed = _LIST.size + _ENTRY.itemsize * part.children
        if part.size < needed or part.children > _MAX_CHILDREN:
            raise self.error(
                f"the directory {part.name!r} declares {part.children} entries, more than its "
                f"{part.size} bytes hold",
                part.offset,
            )
        value = self.bytes_at(part.start, needed)
        *_, following = _LIST.unpack_from(value)
        entries = np.frombuffer(value, _ENTRY, part.children, _LIST.size)
        end = entries["name_at"].astype(np.int64) + entries["name_size"]
        if np.any(entries["name_size"] > _MAX_NAME) or np.any(end > part.size):
            raise self.error(f"the names in the directory {part.name!r} are damaged", part.offset)
        where = entries["name_at"].astype(np.uint64) << np.uint64(32) | entries["name_size"]
        distinct, code = np.unique(where, return_inverse=True)
        if len(distinct) > _MAX_NAMES:
            raise self.error(f"the directory {part.name!r} has too many names", part.offset)
        places = [(int(pair) >> 32, int(pair) & 0xFFFFFFFF) for pair in distinct]
        names = [name_text(self.bytes_at(part.start + at, size)) for at, size in places]
        return Children(names, code.reshape(-1), entries), int(following)

    # -- values ----------------------------------------------------------------------

    def value(self, block: Block, limit: int = _MAX_SMALL) -> bytes:
        """Return the value of a leaf as stored.

        Raises
        ------
        FormatError
            If it is no leaf, or longer than `limit`.
        """
        if block.is_directory:
            raise self.error(f"{block.name!r} is a directory, not a value", block.offset)
        if block.size > limit:
            raise self.error(
                f"{block.name!r} has {block.size} bytes, at most {limit} were expected",
                block.offset,
            )
        found = self.bytes_at(block.start, block.size)
        if len(found) != block.size:
            raise Truncated(self.path, "is truncated, or changed while it was read", block.offset)
        return found

    def content(self, block: Block, size: int) -> bytes:
        """Return a value of exactly `size` bytes, inflated where it is compressed.

        Raises
        ------
        FormatError
            If the stream is damaged or holds fewer or more bytes.
        """
        packed = self.value(block, size + size // 64 + 1024)
        if block.kind != COMPRESSED and block.size == size:
            return packed
        inflater = zlib.decompressobj()
        try:
            found = inflater.decompress(packed, size + 1)
        except zlib.error as error:
            raise self.error(
                f"{block.name!r} cannot be inflated: {error}", block.offset
            ) from error
        if len(found) != size or not inflater.eof:
            much = "more than" if len(found) > size else f"{len(found)} of"
            raise self.error(
                f"{block.name!r} holds {much} the {size} bytes that it should", block.offset
            )
        return found

    def integer(self, path: str, inside: Block | None = None) -> int | None:
        """Return a whole number of 4 or 8 bytes, or None where there is none."""
        raw = self._small(path, inside, (4, 8))
        return None if raw is None else int.from_bytes(raw, "little", signed=True)

    def number(self, path: str, inside: Block | None = None) -> float | None:
        """Return a finite number of 8 bytes, or None where there is none."""
        raw = self._small(path, inside, (8,))
        found = math.nan if raw is None else float(np.frombuffer(raw, "<f8")[0])
        return found if math.isfinite(found) else None

    def text(self, path: str, inside: Block | None = None, wide: bool | None = None) -> str | None:
        """Return text, or None where there is none; `wide` as for `value_text`."""
        raw = self._small(path, inside, None)
        return None if raw is None else value_text(raw, wide)

    def setting(self, path: str, inside: Block | None = None) -> Property | None:
        """Return a property of the instrument, or None where it is absent or not one."""
        block = self.find(path, inside)
        if block is None or block.is_directory or block.size > _MAX_SMALL:
            return None
        return parse_property(self.value(block))

    def _small(
        self, path: str, inside: Block | None, sizes: tuple[int, ...] | None
    ) -> bytes | None:
        block = self.find(path, inside)
        if block is None or block.kind != LEAF or block.size > _MAX_SMALL:
            return None
        return self.value(block) if sizes is None or block.size in sizes else None


def _joined(parts: list[Children]) -> Children:
    if len(parts) == 1:
        return parts[0]
    names = list(dict.fromkeys(name for part in parts for name in part.names))
    number = {name: code for code, name in enumerate(names)}
    codes = [
        np.array([number[name] for name in part.names], np.intp)[part._code] for part in parts
    ]
    return Children(names, np.concatenate(codes), np.concatenate([p._entries for p in parts]))


def _choose(children: Children, step: str) -> int | None:
    """Return the entry that a step of a path means."""
    if step == "*":
        return 0 if len(children) else None
    numbered = _STEP.match(step)
    if numbered:
        return children.find(numbered[1], int(numbered[2]))
    place = children.find(step, 0)
    return children.find(step) if place is None else place
