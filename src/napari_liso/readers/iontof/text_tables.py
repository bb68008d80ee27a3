"""Text files of instruments: their encoding, and their numbers in bounded pieces."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.errors import FormatError

__all__ = [
    "HEAD_BYTES",
    "Lines",
    "check_size",
    "decode",
    "encoding_of",
    "head_lines",
    "read_numbers",
]

#: Of a file's beginning, from which its kind is told.
HEAD_BYTES = 2**16
#: Longer than this many characters is no line of a table, and no row of a few numbers.
_MAX_LINE = 2**20
_MAX_ROW = 2**12
_BLOCK = 2**22  # characters that are turned into numbers at a time

#: What tables never contain; 1a ends some texts of old programs.
_BINARY = re.compile("[\x00-\x08\x0b\x0e-\x19\x1b-\x1f]")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def encoding_of(start: bytes) -> str | None:
    """Return the encoding of a text by its first bytes, or None where they are no text.

    Parameters
    ----------
    start
        The first bytes, a few hundred at least.
    """
    for mark, encoding in _MARKS:
        if start.startswith(mark):
            return encoding
    if b"\0" in start:
        # UTF-16 without its mark: every other byte of plain text is zero.
        high, low = start[0::2], start[1::2]
        for zeros, text, encoding in ((low, high, "utf-16-le"), (high, low, "utf-16-be")):
            if zeros.count(0) > 0.9 * len(zeros) and text.count(0) == 0:
                return encoding
        return None
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return "latin-1"
    return "utf-8"


def decode(content: bytes) -> str:
    """Decode a whole small text leniently; stray NULs and marks are dropped."""
    encoding = encoding_of(content[:HEAD_BYTES])
    if encoding is None:
        encoding = "latin-1" if b"\xff" in content else "utf-8"
    text = content.decode(encoding, errors="replace")
    return text.replace("\0", "").replace("\ufeff", "")


def head_lines(path: Path) -> list[str]:
    """Return the whole lines of a text file's beginning; none where it is no text."""
    with open(path, "rb") as file:
        start = file.read(HEAD_BYTES)
    encoding = encoding_of(start)
    if encoding is None:
        return []
    text = start.decode(encoding, errors="replace")
    if _BINARY.search(text):
        return []
    lines = re.split("\r\n|\r|\n", text)
    return lines if len(start) < HEAD_BYTES else lines[:-1]


def check_size(path: Path, max_bytes: int) -> None:
    """Refuse a text that is larger than any export.

    Raises
    ------
    FormatError
        If it has more bytes.
    """
    size = path.stat().st_size
    if size > max_bytes:
        raise FormatError(path, f"has {size} bytes; such a text may have {max_bytes} at most")


class Lines:
    """A text file in blocks of whole lines.

    Parameters
    ----------
    path
        The file.
    max_bytes
        That it may have.

    Attributes
    ----------
    unfinished
        The last line where it has no end, known once the blocks are through.

    Raises
    ------
    FormatError
        If it is too large or no text.
    """

    def __init__(self, path: Path, max_bytes: int) -> None:
        self.path = path
        self.unfinished = ""
        check_size(path, max_bytes)
        with open(path, "rb") as file:
            start = file.read(HEAD_BYTES)
        encoding = encoding_of(start)
        if encoding is None:
            raise FormatError(path, "is no text: it holds binary zeros")
        self.encoding = encoding

    def blocks(self, skip: int) -> Iterator[str]:
        """Yield whole lines in blocks, without the first `skip` lines."""
        self.unfinished = ""
        try:
            with open(self.path, encoding=self.encoding) as file:
                for _ in range(skip):
                    file.readline(_MAX_LINE)
                rest = ""
                while piece := file.read(_BLOCK):
                    rest += piece
                    end = rest.rfind("\n") + 1
                    if "\0" in rest:
                        raise FormatError(self.path, "is no text: it holds binary zeros")
                    if len(rest) - end > _MAX_LINE:
                        raise FormatError(self.path, "has a line that is no line of a table")
                    if end:
                        yield rest[:end]
                    rest = rest[end:]
        except UnicodeError as error:
            raise FormatError(self.path, f"is damaged: no {self.encoding} text") from error
        self.unfinished = rest.strip("\x1a \t")


def read_numbers(
    lines: Lines, skip: int, columns: int, max_rows: int
) -> Iterator[NDArray[np.float64]]:
    """Yield the rows of a table of numbers, shape (rows, columns), in blocks.

    Parameters
    ----------
    lines
        The file; its numbers are parted by blanks, lines that begin with ``#``
        are remarks.
    skip
        Lines of its header.
    columns
        That every row must have.
    max_rows
        That the table may have.

    Raises
    ------
    FormatError
        If a row has other columns or something else than numbers.
    """
    done = 0
    for block in lines.blocks(skip):
        if max(map(len, block.split("\n"))) > _MAX_ROW:
            raise FormatError(lines.path, f"has a line after row {done} that is no row of numbers")
        try:
            table = pd.read_csv(
                io.StringIO(block), sep=r"\s+", header=None, dtype=np.float64, comment="#",
                quoting=csv.QUOTE_NONE, na_filter=False, engine="c",
            ).to_numpy()  # fmt: skip
        except pd.errors.EmptyDataError:
            continue
        except (ValueError, OverflowError) as error:  # the parser's own errors are such, too
            reason = " ".join(str(error).split())
            raise FormatError(
                lines.path, f"has something else than numbers after row {done}: {reason}"
            ) from error
        if table.shape[1] != columns:
            raise FormatError(
                lines.path,
                f"has a row of {table.shape[1]} columns after row {done}; {columns} were expected",
            )
        if not np.isfinite(table).all():
            raise FormatError(lines.path, f"has numbers that are not finite after row {done}")
        done += len(table)
        if done > max_rows:
            raise FormatError(lines.path, f"has more than the {max_rows} rows it may have")
        yield table
