"""Readers: one module a file format, chosen by what is in the file.

A format's module has ``NAME``, ``recognise(path) -> bool``, which looks at bytes
and raises nothing but `OSError`, and ``read(path, windows) -> Acquisition``.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError

__all__ = ["read", "recognise"]

AnyPath = str | PathLike[str]

# In the order in which they are asked; each is imported when its turn comes.
_MODULES = ("simsh5", "tiff")


def _module_for(path: Path) -> str | None:
    for name in _MODULES:
        if importlib.import_module(f"{__name__}.{name}").recognise(path):
            return f"{__name__}.{name}"
    return None


def _paths(path: AnyPath | Sequence[AnyPath]) -> list[Path]:
    several = [path] if isinstance(path, (str, PathLike)) else list(path)
    return [Path(fspath(one)) for one in several]


def recognise(path: AnyPath | Sequence[AnyPath]) -> str | None:
    """Return the name of a file's format, or None where no reader knows it.

    Parameters
    ----------
    path
        A file, or several that make up one measurement.

    Returns
    -------
    str or None
        Such as ``"SIMS-H5"`` or ``"TIFF"``, found in the content. Never raises;
        an unreadable file is an unknown one.
    """
    try:
        paths = _paths(path)
        modules = {_module_for(one) for one in paths if one.is_file()}
        if len(modules) != 1 or not all(one.is_file() for one in paths):
            return None
        (module,) = modules
        return None if module is None else str(importlib.import_module(module).NAME)
    except (OSError, TypeError, ValueError):
        return None


def read(
    path: AnyPath | Sequence[AnyPath], windows: dict[str, tuple[float, float]] | None = None
) -> Acquisition:
    """Read a measurement.

    Parameters
    ----------
    path
        A file, or several that make up one acquisition: TIFF images, one a
        peak, named by their file names.
    windows
        For formats with a mass axis: name of each channel and its (low, high)
        mass in u. None reads everything as one channel, ``"total"``.

    Returns
    -------
    Acquisition
        Counts of shape (channel, frame, y, x), row 0 at the top.

    Raises
    ------
    FormatError
        If no reader knows the file, or it cannot be read truthfully.
    FileNotFoundError
        If there is no such file.
    ValueError
        If windows are not intervals, or the format has no mass axis; or if
        several files do not make up one acquisition.

    Examples
    --------
    >>> acq = read("map.h5", windows={"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)})  # doctest: +SKIP
    """
    paths = _paths(path)
    if not paths:
        raise ValueError("no file was given")
    modules = [_module_of(one) for one in paths]
    if len(paths) == 1:
        return importlib.import_module(modules[0]).read(paths[0], windows)
    tiff = f"{__name__}.tiff"
    if any(module != tiff for module in modules):
        raise ValueError(
            f"{len(paths)} files were given; several files make up one acquisition only as TIFF "
            "images, one a peak"
        )
    return importlib.import_module(tiff).read_peaks(paths, windows)


def _module_of(path: Path) -> str:
    if path.is_dir():
        raise FormatError(path, "is a folder, not a file")
    if path.stat().st_size == 0:
        raise FormatError(path, "is empty")
    module = _module_for(path)
    if module is None:
        raise FormatError(path, "is in no format that can be read (SIMS-H5, TIFF, OME-TIFF)")
    return module
