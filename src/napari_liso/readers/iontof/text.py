"""ION-TOF text exports: spectra, depth profiles, and images as lists of voxels.

Written from files of the instrument's software (SurfaceLab 7) for spectra and
profiles, and from the published descriptions of the columns for voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers.iontof.text_profile import find_header, read_profile
from napari_liso.readers.iontof.text_spectrum import header_rows, load, read_spectra
from napari_liso.readers.iontof.text_tables import check_size, head_lines
from napari_liso.readers.iontof.text_voxels import is_voxels, read_voxels

__all__ = ["NAME", "outline", "read", "read_several", "recognise"]

NAME = "ION-TOF text"

_MAX_BYTES = 2**30
_SHOWN_LINES = 8
_SHOWN_CHARACTERS = 160


def recognise(path: Path) -> bool:
    """Whether a file is one of the exports, by its first lines."""
    return _kind(path) is not None


def _kind(path: Path) -> str | None:
    lines = head_lines(path)
    if header_rows(lines) is not None:
        return "spectrum"
    if find_header(lines) is not None:
        return "depth profile"
    return "image" if is_voxels(path, lines) else None


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read one text export.

    Parameters
    ----------
    path
        A spectrum (one frame of 1 x 1 pixel), a depth profile (peaks are
        channels, sputter steps frames of 1 x 1 pixel), or the voxels of a peak.
    windows
        Name of each channel and its mass window in u, for spectra: whole bins
        of the file whose middle is inside.

    Returns
    -------
    Acquisition
        Integer counts where the file has whole numbers and does not say that
        dead time was corrected; else floats, and ``metadata["counts_are"]`` and
        a warning say so.

    Raises
    ------
    FormatError
        If the file is damaged.
    ValueError
        If windows are given for a profile or an image.
    """
    return read_several([path], windows)


def read_several(paths: Sequence[Path], windows: _files.Windows | None = None) -> Acquisition:
    """Read several exports of one kind.

    Spectra become frames of 1 x 1 pixel, each with its own mass axis for the
    windows; images one channel each.

    Raises
    ------
    FormatError
        If one of them is damaged.
    ValueError
        If they do not make up one acquisition.
    """
    windows = _files.check_windows(windows)
    for path in paths:
        check_size(path, _MAX_BYTES)
    kinds = [_kind(path) for path in paths]
    kind = kinds[0]
    if kind is None:
        raise FormatError(paths[0], "is no text export of ION-TOF's software")
    if any(other != kind for other in kinds) or (kind == "depth profile" and len(paths) > 1):
        raise ValueError(
            f"{len(paths)} files ({', '.join(dict.fromkeys(map(str, kinds)))}) do not make up one "
            "acquisition; open them one by one"
        )
    metadata = _files.base_metadata(paths[0], f"{NAME}, {kind}")
    if kind == "spectrum":
        return read_spectra(paths, windows, metadata)
    if windows is not None:
        raise ValueError(f"an ION-TOF {kind} holds chosen peaks; it has no mass axis for windows")
    if kind == "image":
        return read_voxels(paths, metadata)
    return read_profile(paths[0], metadata)


def outline(path: Path) -> Iterator[str]:
    """Yield what the file is and its first lines, cut short."""
    yield f"{_kind(path) or 'unknown'}"
    for line in head_lines(path)[:_SHOWN_LINES]:
        shown = line.replace("\t", " | ")
        yield shown if len(shown) <= _SHOWN_CHARACTERS else f"{shown[:_SHOWN_CHARACTERS]} ..."
    if _kind(path) == "spectrum":
        spectrum = load(path)
        yield (
            f"{len(spectrum.mass)} bins from {spectrum.mass[0]:.4f} to {spectrum.mass[-1]:.4f} u, "
            f"sum {spectrum.intensity.sum():g}"
        )
