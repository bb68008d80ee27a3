"""Readers: one module a file format, chosen by what is in the file.

A format's module has

``NAME``
    What the format is called, such as ``"SIMS-H5"``.
``recognise(path) -> bool``
    Looks at bytes, never at the suffix alone; raises nothing but `OSError`.
``read(path, windows) -> Acquisition``
    The counts. For formats with a mass axis the acquisition has a
    ``spectrum_source``, and `windows` is None or (low, high) in u by name. Where
    there is a spectrum to look at but no windows can be put into it, the metadata
    say ``images_of_chosen_peaks``.

and, where the format needs them,

``read_several(paths, windows) -> Acquisition``
    Files that make up one measurement, such as one file a peak.
``companions(path) -> list of Path``
    Files that are read along with `path`, so that both may be dropped together.
``outline(path) -> iterator of str``
    Blocks or headers in words, for `probe`; as far as a damaged file can be followed.
``why_not(path) -> str or None``
    Of a file that no module recognises: why this format does not read it either.

What holds for all formats is done once, after the module: windows by name,
recalibration, and the warnings before numbers (`peaks`, `checks`).
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from os import PathLike, fspath
from pathlib import Path
from types import ModuleType

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers._files import Unchanged, check_sum
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers._progress import Listener, listening
from napari_liso.readers.peaks import Recalibrate, WindowsOrNames, read_peaks

__all__ = ["read", "recognise"]

AnyPath = str | PathLike[str]

# In the order in which they are asked, those with a magic number first; each is
# imported when its turn comes.
_MODULES = (
    "phi.simsh5",
    "tofwerk.reader",
    "arrays.hdf5",
    "arrays.zarr",
    "phi.raw",
    "iontof.tree",
    "arrays.tiff",
    "imzml.reader",
    "cameca.nanosims",
    "iontof.bif",
    "iontof.bif3d",
    "iontof.itzip",
    "iontof.text",
    "iontof.grd",
)
#: Those that read folders too; no other is asked about one.
_FOLDERS: frozenset[str] = frozenset({"arrays.zarr"})
#: Those that can say of a file why they do not read it.
_EXPLAIN = ("arrays.hdf5", "arrays.zarr", "imzml.reader", "ebsd")


def module_for(path: Path) -> ModuleType | None:
    """Return the module that reads a file, or None where none does."""
    folder = path.is_dir()
    # Pipes and devices are not opened: that may wait for ever.
    if not folder and not (path.is_file() and path.stat().st_size):
        return None
    for name in _MODULES:
        if folder and name not in _FOLDERS:
            continue
        module = importlib.import_module(f"{__name__}.{name}")
        if module.recognise(path):
            return module
    return None


def _paths(path: AnyPath | Sequence[AnyPath]) -> list[Path]:
    several = [path] if isinstance(path, (str, PathLike)) else list(path)
    return [Path(fspath(one)) for one in several]


def _without_companions(paths: list[Path]) -> list[Path]:
    """Leave out files that another one brings along, such as the ``.ibd`` of an ``.imzML``."""
    if len(paths) < 2:
        return paths
    brought = set()
    for path in paths:
        module = module_for(path)
        if module is not None and hasattr(module, "companions"):
            brought |= {other.resolve() for other in module.companions(path)} - {path.resolve()}
    return [path for path in paths if path.resolve() not in brought] or paths


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
        modules = {module_for(one) for one in _without_companions(_paths(path))}
        if len(modules) != 1:
            return None
        (module,) = modules
        return None if module is None else str(module.NAME)
    except (OSError, TypeError, ValueError):
        return None


def read(
    path: AnyPath | Sequence[AnyPath],
    windows: WindowsOrNames | None = None,
    recalibrate: Recalibrate | None = None,
    progress: Listener | None = None,
) -> Acquisition:
    """Read a measurement.

    Parameters
    ----------
    path
        A file, or several that make up one acquisition, such as one file a peak.
    windows
        For formats with a mass axis: name of each channel and its (low, high)
        mass in u, low edge included, high edge not. Or names of ions alone,
        such as ``["6Li", "7Li"]``: windows are then put around the observed
        peaks. None reads everything as one channel, ``"total"``.
    recalibrate
        For formats with a mass axis: two ions, such as ``["H", "7Li"]`` or
        ``["7Li", "Na"]``, whose observed peaks are moved to their theoretical
        masses before anything else; or a mapping of each to the mass in u at
        which it is seen on the file's own scale.
    progress
        Is called with the share that is done, 0 to 1, of each pass over the
        events; an exception that it raises stops the reading.

    Returns
    -------
    Acquisition
        Counts of shape (channel, frame, y, x), row 0 at the top. Whatever is
        doubtful is in ``metadata["warnings"]``.

    Raises
    ------
    FormatError
        If no reader knows the file, or it cannot be read truthfully.
    FileNotFoundError
        If there is no such file.
    ValueError
        If windows are not intervals, a peak is not found, or the format has no
        mass axis; or if several files do not make up one acquisition.

    Examples
    --------
    >>> acq = read("map.h5", windows={"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)})  # doctest: +SKIP
    >>> acq = read("map.h5", windows=["6Li", "7Li"], recalibrate=["H", "7Li"])  # doctest: +SKIP
    """
    paths = _paths(path)
    if not paths:
        raise ValueError("no file was given")
    for one in paths:
        _check_exists(one)
    paths = _without_companions(paths)
    modules = [_module_of(one) for one in paths]
    module = modules[0]
    unchanged = Unchanged(paths)
    if len(paths) == 1:
        with listening(progress):
            found = read_peaks(lambda chosen: module.read(paths[0], chosen), windows, recalibrate)
        return _checked(paths[0], found, unchanged)
    if any(other is not module for other in modules) or not hasattr(module, "read_several"):
        kinds = ", ".join(dict.fromkeys(str(other.NAME) for other in modules))
        raise ValueError(
            f"{len(paths)} files ({kinds}) were given, which do not make up one acquisition; "
            "open them one by one"
        )
    if len({one.resolve() for one in paths}) < len(paths):
        raise ValueError("a file was given twice; its counts would be there twice")
    with listening(progress):
        found = read_peaks(lambda chosen: module.read_several(paths, chosen), windows, recalibrate)
    return _checked(paths[0], found, unchanged)


def _checked(path: Path, found: Acquisition, unchanged: Unchanged) -> Acquisition:
    """Refuse counts whose sums do not fit 64 bits; let lazy ones watch their files."""
    counts = found.counts
    if isinstance(counts, LazyCounts):
        counts.before_reading = unchanged
    elif counts.dtype.kind in "iu" and counts.dtype.itemsize == 8:
        check_sum(path, "the file", float(counts.max(initial=0)), counts.size)
    return found


def _check_exists(path: Path) -> None:
    size = path.stat().st_size
    if path.is_dir():
        return
    if not path.is_file():
        raise FormatError(path, "is a pipe or a device, not a file")
    if size == 0:
        raise FormatError(path, "is empty")


def _module_of(path: Path) -> ModuleType:
    module = module_for(path)
    for name in _EXPLAIN if module is None else ():
        reason = importlib.import_module(f"{__name__}.{name}").why_not(path)
        if reason is not None:
            raise FormatError(path, reason)
    if module is None and path.is_dir():
        raise FormatError(path, "is a folder, not a file")
    if module is None:
        raise FormatError(
            path,
            "is in no format that can be read; the documentation lists them. Most instruments' "
            "software can export TIFF or imzML",
        )
    return module
