"""A file that is replaced whole or not at all, whatever happens in between."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

__all__ = ["replace_whole"]

_PART = ".part"
#: Unfinished files of a program that was killed are taken away when they are so old, s.
_STALE = 3600.0


def replace_whole(path: Path, write: Callable[[IO[bytes]], None]) -> Path:
    """Write a file beside `path`, make sure that the disk has it, then put it in its place.

    Parameters
    ----------
    path
        Of the file. Where it is a link, what it leads to is replaced.
    write
        Writes into the open file.

    Returns
    -------
    Path
        Of the file, links followed.

    Raises
    ------
    OSError
        If that fails, as on a full disk; a file that was there is then as before.
        Whatever `write` raises goes the same way.
    """
    path = path.resolve()
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file in it")
    if path.exists() and not os.access(path, os.W_OK):
        raise PermissionError(f"{path} is write-protected: save under another name")
    prefix = f".{path.name[:40]}."
    part = path.with_name(f"{prefix}{secrets.token_hex(6)}{_PART}")
    try:
        with open(part, "xb") as stream:
            write(stream)
            stream.flush()
            os.fsync(stream.fileno())
        if path.exists():
            with contextlib.suppress(OSError):
                part.chmod(path.stat().st_mode & 0o7777)
        os.replace(part, path)
    except BaseException:
        with contextlib.suppress(OSError):
            part.unlink()
        raise
    _sync_folder(path.parent)
    _tidy(path.parent, prefix)
    return path


def _sync_folder(folder: Path) -> None:
    """Make sure that the disk knows the file by its new name, where systems have such a call."""
    if os.name == "nt":
        return
    with contextlib.suppress(OSError):
        number = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _tidy(folder: Path, prefix: str) -> None:
    """Take away what killed programs left unfinished, long ago."""
    with contextlib.suppress(OSError):
        for one in folder.iterdir():
            if one.name.startswith(prefix) and one.name.endswith(_PART):
                with contextlib.suppress(OSError):
                    if time.time() - one.stat().st_mtime > _STALE:
                        one.unlink()
