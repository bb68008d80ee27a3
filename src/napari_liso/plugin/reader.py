"""File > Open: files that `napari_liso.readers` recognises by their content."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from os import PathLike, fspath
from pathlib import Path as FilePath
from typing import Any

from napari_liso.isotopes import isotope_of

__all__ = ["get_reader", "read_layers"]

Path = str | PathLike[str]
LayerData = tuple[Any, ...]

#: What napari takes as: it was opened, and there is no layer for you to add.
NOTHING_TO_ADD: list[LayerData] = [(None,)]
#: Two files of one measurement opened within this time were dropped together, s.
_TOGETHER = 5.0

_last_opened: dict[FilePath, tuple[FilePath, float]] = {}


def get_reader(path: Path | Sequence[Path]) -> Callable[[Any], list[LayerData]] | None:
    """Return a function that reads `path`, or None if it is not for us.

    Never raises. Ordinary TIFF files are left to napari: one is claimed only if
    its pages, or the files' names, say which peaks they are.

    Parameters
    ----------
    path
        A file, or several that make up one acquisition.
    """
    from napari_liso.plugin.saving.opening import holds_session
    from napari_liso.readers import recognise

    try:
        paths = _as_list(path)
        if not paths:
            return None
        if holds_session(paths) or _is_ebsd(paths):
            return read_layers
        found = recognise(paths if len(paths) > 1 else paths[0])
        if found is None:
            return None
        if "ZARR" in found.upper():
            return read_layers if _has_peaks(paths, _names_in_zarr) else None
        if "TIFF" in found.upper():
            ours = _is_saved(paths) or _has_peaks(paths, _names_in_tiff)
            return read_layers if ours else None
        return read_layers
    except Exception:  # noqa: BLE001 - a hook must not raise, and damaged files raise anything
        return None


def read_layers(path: Path | Sequence[Path]) -> list[LayerData]:
    """Read `path` into layers, one a channel.

    In a window, what follows the layers is done once they are there, and large
    files are read in the background (`opening`).

    Raises
    ------
    FormatError
        If the file cannot be read truthfully.
    """
    from napari_liso.plugin import opening
    from napari_liso.plugin.layers import acquisition_layers
    from napari_liso.plugin.layers.written import saved_layers
    from napari_liso.plugin.saving.opening import holds_session, session_layers
    from napari_liso.readers import read

    paths = _as_list(path)
    if holds_session(paths):
        return session_layers(FilePath(paths[0]))
    if _is_ebsd(paths):
        return opening.open_ebsd_map(FilePath(paths[0])) or NOTHING_TO_ADD
    if len(paths) == 1 and _came_with_another(FilePath(paths[0])):
        return NOTHING_TO_ADD
    if _is_saved(paths):
        return list(saved_layers(FilePath(paths[0])))
    wanted = paths if len(paths) > 1 else paths[0]
    if opening.read_in_background(wanted, paths):
        _note_companions(FilePath(paths[0]), None)
        return NOTHING_TO_ADD
    acquisition = read(wanted)
    if len(paths) == 1:
        _note_companions(FilePath(paths[0]), acquisition.metadata.get("path"))
    opening.follow_up(acquisition)
    return list(acquisition_layers(acquisition))


def _as_list(path: Path | Sequence[Path]) -> list[str]:
    try:
        return [fspath(path)] if isinstance(path, (str, PathLike)) else [fspath(p) for p in path]
    except TypeError:
        return []


def _is_ebsd(paths: list[str]) -> bool:
    """Tell whether this is one EBSD map."""
    from napari_liso.readers.ebsd import is_ebsd

    return len(paths) == 1 and is_ebsd(paths[0])


def _is_saved(paths: list[str]) -> bool:
    """Tell whether this is one OME-TIFF of layers that File > Save wrote."""
    from napari_liso.plugin.layers.written import holds_saved_layers

    if len(paths) != 1 or not paths[0].lower().endswith((".tif", ".tiff")):
        return False
    return holds_saved_layers(FilePath(paths[0]))


def _came_with_another(path: FilePath) -> bool:
    """Tell whether a file's companion, such as the ``.ibd`` of an ``.imzML``, was just opened.

    napari opens files that are dropped together one by one; each of the two
    stands for the whole measurement.
    """
    own = path.resolve()
    by, when = _last_opened.get(own, (own, 0.0))
    return by != own and time.monotonic() - when < _TOGETHER


def _note_companions(path: FilePath, measured: object) -> None:
    """Remember which files were read along with one: its companions, and what it stands for."""
    from napari_liso.readers import module_for

    module = module_for(path)
    companions = getattr(module, "companions", None)
    others = [] if companions is None else list(companions(path))
    if isinstance(measured, str):
        others.append(FilePath(measured))
    own = path.resolve()
    for other in {one.resolve() for one in others} - {own}:
        _last_opened[other] = (own, time.monotonic())


def _has_peaks(paths: list[str], names_in: Callable[[FilePath], Iterable[str]]) -> bool:
    """Tell whether files that may hold anything say that they are isotope maps."""
    from napari_liso.readers.arrays.peak_names import read_sidecar

    if len(paths) > 1:
        return all(_names_isotope(FilePath(path)) for path in paths)
    path = FilePath(paths[0])
    if read_sidecar(path).names or _names_isotope(path):
        return True
    return sum(isotope_of(name) is not None for name in names_in(path)) >= 2


def _names_in_tiff(path: FilePath) -> Iterable[str]:
    """Return the names of the peaks in a TIFF."""
    import tifffile

    from napari_liso.readers.arrays.peak_names import names_in_file
    from napari_liso.readers.arrays.tiff_chain import check_chain

    check_chain(path)  # tifffile would follow a chain that leads back for ever
    with tifffile.TiffFile(path) as file:
        found = names_in_file(file)
    return found[1] if found else ()


def _names_in_zarr(path: FilePath) -> list[str]:
    """Return the names of all channels in a zarr store."""
    from napari_liso.readers.arrays.named_arrays import texts
    from napari_liso.readers.arrays.ome_zarr import images
    from napari_liso.readers.arrays.zarr_store import nodes, open_store

    store = open_store(path)
    arrays = [] if store is None else images(store, nodes(store))
    return [name for array in arrays for name in texts(array.attributes.get("channels")) or ()]


def _names_isotope(path: FilePath) -> bool:
    """Tell whether a word of a file's name is an isotope, mass number first."""
    words = path.name.split(".")[0].replace("-", "_").replace(" ", "_").split("_")
    return any(word[:1].isdigit() and isotope_of(word) is not None for word in words)
