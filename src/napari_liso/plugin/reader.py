"""File > Open: files that `napari_liso.readers` recognises by their content."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from os import PathLike, fspath
from pathlib import Path as FilePath
from typing import Any

from napari_liso.isotopes import isotope_of

__all__ = ["get_reader"]

Path = str | PathLike[str]
LayerData = tuple[Any, dict[str, Any], str]


def get_reader(path: Path | Sequence[Path]) -> Callable[[Any], list[LayerData]] | None:
    """Return a function that reads `path`, or None if it is not for us.

    Never raises. Ordinary TIFF files are left to napari: one is claimed only if
    its pages, or the files' names, say which peaks they are.

    Parameters
    ----------
    path
        A file, or several that make up one acquisition.
    """
    from napari_liso.readers import recognise

    paths = _as_list(path)
    if not paths:
        return None
    found = recognise(paths if len(paths) > 1 else paths[0])
    if found is None or ("TIFF" in found.upper() and not _has_peaks(paths)):
        return None
    return read_layers


def read_layers(path: Path | Sequence[Path]) -> list[LayerData]:
    """Read `path` into layers, one a channel.

    Raises
    ------
    FormatError
        If the file cannot be read truthfully.
    """
    from napari_liso.plugin.layers import acquisition_layers
    from napari_liso.readers import read

    paths = _as_list(path)
    return acquisition_layers(read(paths if len(paths) > 1 else paths[0]))


def _as_list(path: Path | Sequence[Path]) -> list[str]:
    try:
        return [fspath(path)] if isinstance(path, (str, PathLike)) else [fspath(p) for p in path]
    except TypeError:
        return []


def _has_peaks(paths: list[str]) -> bool:
    """Tell whether TIFF files say that they are isotope maps; any doubt means no."""
    import tifffile

    from napari_liso.readers._peak_names import names_in_file, read_sidecar

    if len(paths) > 1:
        return all(_names_isotope(FilePath(path)) for path in paths)
    path = FilePath(paths[0])
    try:
        if read_sidecar(path).names:
            return True
        with tifffile.TiffFile(path) as file:
            found = names_in_file(file)
    except Exception:  # noqa: BLE001 - a hook must not raise, and tifffile raises anything
        return False
    names = found[1] if found else ()
    return _names_isotope(path) or sum(isotope_of(n) is not None for n in names) >= 2


def _names_isotope(path: FilePath) -> bool:
    """Tell whether a word of a file's name is an isotope, mass number first."""
    words = path.name.split(".")[0].replace("-", "_").replace(" ", "_").split("_")
    return any(word[:1].isdigit() and isotope_of(word) is not None for word in words)
