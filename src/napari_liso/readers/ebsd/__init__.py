"""EBSD maps as text: EDAX TSL (``.ang``) and Oxford HKL (``.ctf``).

They are orientations, not counts, so `napari_liso.read` does not read them.
"""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path

from napari_liso.errors import FormatError
from napari_liso.microstructure.ebsd import EbsdMap
from napari_liso.readers.ebsd import ang, ctf

__all__ = ["is_ebsd", "read_ebsd", "why_not"]

AnyPath = str | PathLike[str]

_MODULES = (ctf, ang)


def is_ebsd(path: AnyPath) -> bool:
    """Tell by its first lines whether a file is an EBSD map. Never raises."""
    try:
        file = Path(fspath(path))
        return file.is_file() and any(module.recognise(file) for module in _MODULES)
    except (OSError, TypeError, ValueError):
        return False


def read_ebsd(path: AnyPath) -> EbsdMap:
    """Read an EBSD map.

    Parameters
    ----------
    path
        ``.ang`` (EDAX TSL OIM) or ``.ctf`` (Oxford HKL Channel); the content decides.

    Returns
    -------
    EbsdMap
        On its own grid of points. A hexagonal ``.ang`` is resampled onto square pixels of
        the same area, each with the orientation of the nearest point. Whatever is doubtful
        is in ``metadata["warnings"]``.

    Raises
    ------
    FormatError
        If it is neither, or cannot be read truthfully; with the number of the line.
    FileNotFoundError
        If there is no such file.

    Examples
    --------
    >>> ebsd = read_ebsd("map.ctf")  # doctest: +SKIP
    >>> grains = grains_from_ebsd(ebsd, np.deg2rad(5))  # doctest: +SKIP
    """
    file = Path(fspath(path))
    file.stat()
    if not file.is_file():
        raise FormatError(file, "is not a file")
    for module in _MODULES:
        if module.recognise(file):
            return module.read(file)
    raise FormatError(file, "is no EBSD map as .ang (EDAX) or .ctf (Oxford) text")


def why_not(path: Path) -> str | None:
    """Return why `napari_liso.read` does not read an EBSD map; None for other files."""
    if not is_ebsd(path):
        return None
    return (
        "is an EBSD map, which has orientations and no counts: read it with "
        "napari_liso.read_ebsd, or open it in napari"
    )
