"""The chain of pages in a TIFF, walked once before a library follows it."""

from __future__ import annotations

import struct
from pathlib import Path

from napari_liso.errors import FormatError

__all__ = ["check_chain"]

_MAX_PAGES = 100_000


def check_chain(path: Path) -> None:
    """Refuse a chain of pages that leads back to itself, or has no end.

    A chain that leads out of the file ends there; what the pages hold is left to
    who reads them.

    Parameters
    ----------
    path
        A TIFF or BigTIFF, by its first bytes.

    Raises
    ------
    FormatError
        If a page comes a second time, or there are more than a stack has.
    """
    with open(path, "rb") as file:
        start = file.read(16)
        order = "<" if start[:2] == b"II" else ">"
        big = start[2:4] in (b"+\0", b"\0+")
        place_kind, count_kind, entry = ("Q", "Q", 20) if big else ("I", "H", 12)
        place_size, count_size = struct.calcsize(place_kind), struct.calcsize("<" + count_kind)
        where = start[8:16] if big else start[4:8]
        seen: set[int] = set()
        while len(where) == place_size:
            (place,) = struct.unpack(order + place_kind, where)
            if place == 0:
                return
            if place in seen:
                raise FormatError(path, "is damaged: its pages lead back to an earlier one", place)
            seen.add(place)
            if len(seen) > _MAX_PAGES:
                raise FormatError(path, f"has more than {_MAX_PAGES} pages")
            try:
                file.seek(place)
                head = file.read(count_size)
                if len(head) < count_size:
                    return
                (count,) = struct.unpack(order + count_kind, head)
                file.seek(place + count_size + entry * count)
            except (OSError, OverflowError, ValueError):
                return  # farther than any file
            where = file.read(place_size)
