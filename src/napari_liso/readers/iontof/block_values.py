"""Values in the leaves of ION-TOF's block tree: numbers, text, properties, streams."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Property", "inflate_pieces", "name_text", "parse_property", "value_text"]

#: Compressed bytes handed to the inflater at a time.
_FEED = 2**20


@dataclass(frozen=True)
class Property:
    """One setting of the instrument: the same value as whole number, number and text."""

    key: str
    integer: int
    number: float
    text: str


def parse_property(value: bytes) -> Property | None:
    """Return a property from the value of its leaf, or None where it is not one."""
    key_at = 20
    if len(value) < key_at + 22:
        return None
    key_size = int.from_bytes(value[16:20], "little")
    numbers_at = key_at + key_size + 2
    text_at = numbers_at + 20
    if text_at > len(value):
        return None
    integer, number, text_size = struct.unpack_from("<qdI", value, numbers_at)
    if text_at + text_size > len(value):
        return None
    key, text = value[key_at : key_at + key_size], value[text_at : text_at + text_size]
    return Property(_wide(key), integer, number, _wide(text))


def inflate_pieces(packed: bytes, piece: int, limit: int) -> Iterator[bytes]:
    """Inflate a zlib stream piece by piece.

    Parameters
    ----------
    packed
        The whole stream.
    piece
        Bytes of each piece but the last.
    limit
        Bytes that all pieces may have together.

    Raises
    ------
    ValueError
        If the stream is damaged, cut short, or longer than `limit`.
    """
    inflater = zlib.decompressobj()
    total = 0
    try:
        for start in range(0, len(packed), _FEED):
            rest = packed[start : start + _FEED]
            while True:
                found = inflater.decompress(rest, piece)
                rest = inflater.unconsumed_tail
                total += len(found)
                if total > limit:
                    raise ValueError(f"{len(packed)} bytes inflate to more than {limit}")
                if found:
                    yield found
                if inflater.eof:
                    return
                # What fills a piece may have more behind it, even with no input left.
                if len(found) < piece and not rest:
                    break
    except zlib.error as error:
        raise ValueError(f"the compressed stream is damaged: {error}") from error
    raise ValueError("the compressed stream is cut short")


def value_text(value: bytes, wide: bool | None = None) -> str:
    """Return text: UTF-16 (`wide`), one byte a letter, or None for what it looks like."""
    if len(value) % 2:
        wide = False
    elif wide is None:
        wide = b"\0" in value or value.startswith(b"\xff\xfe")
    return _wide(value) if wide else value.decode("latin-1").strip("\0\ufeff ")


def name_text(raw: bytes) -> str:
    """Return a name; nearly all are ASCII, newer files have a micro sign in some."""
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _wide(raw: bytes) -> str:
    return raw.decode("utf-16-le", "replace").strip("\0\ufeff ")
