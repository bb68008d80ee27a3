"""The blocks of an ION-TOF file in words, for bug reports.

Goes as far as a damaged file can be followed, and shows no more than a person
reads: names, kinds, lengths and small values, never images or events.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from os import PathLike

import numpy as np

from napari_liso.errors import FormatError
from napari_liso.readers.iontof.block_tree import COMPRESSED, MAGIC, Block, BlockTree
from napari_liso.readers.iontof.block_values import parse_property, value_text

__all__ = ["outline_lines"]

_MAX_DEPTH = 12
_MAX_LINES = 3000
#: Entries shown of one name, and of one directory.
_SAME_NAME = 3
_ENTRIES = 200
_SHOWN = 60
#: Python objects, which are not looked at, not even as bytes.
_OPAQUE = frozenset({"pickle"})


def outline_lines(path: str | PathLike[str]) -> Iterator[str]:
    """Yield one line a block, indented by depth.

    Parameters
    ----------
    path
        The file; whatever is damaged in it is said in its place.
    """
    with BlockTree(path) as tree:
        for number, line in enumerate(_root(tree)):
            if number >= _MAX_LINES:
                yield "... and more"
                return
            yield line


def _root(tree: BlockTree) -> Iterator[str]:
    try:
        root = tree.root
    except FormatError as error:
        yield f"! {error.reason}"
        return
    yield _line(tree, root)
    followed = False
    for line in _inside(tree, root, 1, {root.offset}):
        followed |= not line.lstrip().startswith("!")
        yield line
    if not followed:
        yield "The root cannot be followed; blocks one behind the other:"
        yield from _one_by_one(tree)


def _inside(tree: BlockTree, directory: Block, depth: int, above: set[int]) -> Iterator[str]:
    """Yield what is in a directory."""
    if not directory.is_directory:
        return
    indent = "  " * depth
    shown = 0
    seen: Counter[str] = Counter()
    left: Counter[str] = Counter()
    try:
        for part in tree.parts(directory):
            for place in range(min(len(part), _MAX_LINES)):
                name = part.name(place)
                seen[name] += 1
                if seen[name] > _SAME_NAME or shown >= _ENTRIES:
                    left[name] += 1
                    continue
                shown += 1
                yield from _entry(tree, part.offset(place), name, part.id(place), depth, above)
            if len(part) > _MAX_LINES:
                left["(others)"] += len(part) - _MAX_LINES
    except FormatError as error:
        yield f"{indent}! {error.reason}{_at(error.offset)}"
    for name, number in left.most_common(20):
        yield f"{indent}... and {number} more of {_clean(name)}"


def _entry(
    tree: BlockTree, offset: int, name: str, number: int, depth: int, above: set[int]
) -> Iterator[str]:
    indent = "  " * depth
    try:
        block = tree.block(offset, name)
    except FormatError as error:
        yield f"{indent}{_clean(name)}[{number}] ! {error.reason}{_at(error.offset)}"
        return
    yield indent + _line(tree, block, number)
    if block.is_directory:
        if offset in above:
            yield f"{indent}  ! contains itself"
        elif depth >= _MAX_DEPTH:
            yield f"{indent}  ... deeper"
        else:
            yield from _inside(tree, block, depth + 1, above | {offset})


def _one_by_one(tree: BlockTree) -> Iterator[str]:
    """Yield blocks in the order of the file, which is how they are mostly written."""
    offset = len(MAGIC)
    for _ in range(_ENTRIES):
        if offset >= tree.size:
            return
        try:
            block = tree.block(offset)
            yield "  " + _line(tree, block)
        except FormatError as error:
            yield f"  ! {error.reason}{_at(error.offset)}"
            return
        offset = block.start + block.size


def _line(tree: BlockTree, block: Block, number: int | None = None) -> str:
    number = block.id if number is None else number
    text = f"{_clean(block.name)}[{number}] {block.kind_name}, "
    if block.is_directory:
        return f"{text}{block.children} entries at byte {block.offset}"
    text += f"{block.size} bytes at byte {block.offset}"
    if block.name in _OPAQUE:
        return f"{text}: not looked at"
    value = _value(tree, block)
    return f"{text}: {value}" if value else text


def _value(tree: BlockTree, block: Block) -> str:
    """Return a small value as the numbers or text that it may be."""
    if block.kind == COMPRESSED or block.size == 0:
        return ""
    if block.size > 4096:
        return tree.bytes_at(block.start, 8).hex(" ") + " ..."
    raw = tree.value(block)
    found = parse_property(raw)
    if found is not None and found.key:
        return f"{_clean(found.key)} = {found.integer}, {found.number:.9g}, {_clean(found.text)!r}"
    if block.size in (1, 2, 4):
        return str(int.from_bytes(raw, "little"))
    text = value_text(raw)
    if text.isprintable() and text and (block.size > 8 or len(text) == block.size // 2):
        return repr(_clean(text))
    if block.size == 8:
        whole, number = int.from_bytes(raw, "little", signed=True), struct.unpack("<d", raw)[0]
        return f"{number:.9g}" if np.isfinite(number) and abs(number) > 1e-30 else str(whole)
    return raw[:16].hex(" ") + (" ..." if block.size > 16 else "")


def _clean(text: str) -> str:
    """Return text that cannot disturb a terminal, shortened."""
    short = text if len(text) <= _SHOWN else text[:_SHOWN] + "..."
    return "".join(letter if letter.isprintable() else "?" for letter in short)


def _at(offset: int | None) -> str:
    return "" if offset is None else f" at byte {offset}"
