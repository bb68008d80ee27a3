"""Errors that a caller can act on."""

from __future__ import annotations

from os import PathLike, fspath

__all__ = ["FormatError"]


class FormatError(ValueError):
    """A file that cannot be read truthfully.

    Parameters
    ----------
    path
        The file.
    reason
        What is wrong with it and, where there is a way out, what to do.
    offset
        Byte offset of the place, or None where there is no single place.

    Attributes
    ----------
    path, reason, offset
        As given; `path` as a string.
    """

    def __init__(self, path: str | PathLike[str], reason: str, offset: int | None = None) -> None:
        self.path = fspath(path)
        self.reason = reason
        self.offset = offset
        place = "" if offset is None else f" at byte {offset}"
        super().__init__(f"{self.path}{place}: {reason}")
