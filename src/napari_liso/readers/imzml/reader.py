"""imzML: an XML file (``.imzML``) and a binary file (``.ibd``) with one spectrum a pixel.

Written from the public imzML 1.1 schema and vocabulary. Continuous files (one
m/z axis for all spectra) and processed ones (each spectrum its own), stored
plainly or zlib-compressed. Ion images are sums of a spectrum's own values in a
mass window; nothing is interpolated or put on a common axis.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._lazy import LazyCounts, as_counts
from napari_liso.readers.imzml.facts import (
    content_warnings,
    facts,
    header_warnings,
    why_not_counts,
)
from napari_liso.readers.imzml.grid import Grid, place_spectra
from napari_liso.readers.imzml.header import parse_header
from napari_liso.readers.imzml.ibd import check_arrays, find_ibd, identify
from napari_liso.readers.imzml.outline import outline_of
from napari_liso.readers.imzml.tally import tally_spectra
from napari_liso.readers.imzml.terms import Header

__all__ = ["NAME", "companions", "outline", "read", "recognise", "why_not"]

NAME = "imzML"

_HEAD = 2**18
#: The last header, by the digest of its file; not kept where it takes above some 50 MB.
_parsed: dict[str, Header] = {}
_KEPT_SPECTRA = 2**19
_ROOT = re.compile(r"<(?:[\w.-]+:)?(?:indexed)?mzML[\s>]")
_IMAGING_TERM = re.compile(r"accession\s*=\s*[\"']IMS:\d{7}[\"']")


def recognise(path: Path) -> bool:
    """Whether a file is an imzML, by its first bytes; or the ``.ibd`` beside one."""
    return _is_imzml(path) or _xml_beside(path) is not None


def why_not(path: Path) -> str | None:
    """Say what an ``.ibd`` without its header lacks; None for other files."""
    if path.is_dir() or path.suffix.lower() != ".ibd":
        return None
    return f"holds the values of an imzML file; put its header, {path.stem}.imzML, beside it"


def _is_imzml(path: Path) -> bool:
    start = _files.head(path, _HEAD)
    text = start.decode(
        "utf-16" if start[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1", "ignore"
    )
    return _ROOT.search(text) is not None and _IMAGING_TERM.search(text) is not None


def _xml_beside(path: Path) -> Path | None:
    """Return the imzML beside an ``.ibd``, which has no mark of its own but its name."""
    if path.suffix.lower() != ".ibd" or not path.is_file():
        return None
    wanted = path.with_suffix(".imzML").name.casefold()
    for other in path.parent.iterdir():
        if other.name.casefold() == wanted and other.is_file() and _is_imzml(other):
            return other
    return None


def companions(path: Path) -> list[Path]:
    """Return the ``.ibd`` that is read along with an ``.imzML``."""
    if not _is_imzml(path):
        return []
    try:
        return [find_ibd(path)]
    except FormatError:
        return []


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read ion images from an imzML pair.

    Parameters
    ----------
    path
        The ``.imzML``, or the ``.ibd`` beside it.
    windows
        Name of each channel and its mass window in u, low edge included, high
        edge not. None makes one channel ``"total"`` of everything.

    Returns
    -------
    Acquisition
        One frame for each position z. Row 0 is the top, as imzML counts.
        Counts where every intensity of the file is a whole number; float, and
        ``metadata["counts_are"]`` says so, where not. Pixels without a spectrum
        read zero and are counted and listed in the metadata.

    Raises
    ------
    FormatError
        If one of the two files is damaged, missing, of another measurement, or
        contradicts itself.
    ValueError
        If a window is not a positive interval.
    """
    windows = _files.check_windows(windows)
    path = path if _is_imzml(path) else _xml_beside(path) or path
    metadata = _files.base_metadata(path, NAME)
    header = _header(path, metadata["sha256"])
    spectra = header.spectra
    if spectra is None or len(spectra) == 0:
        raise FormatError(path, "holds no spectrum")
    ibd = find_ibd(path)
    grid = place_spectra(path, header, spectra)
    check_arrays(path, ibd, spectra)
    identity, doubts = identify(path, ibd, header)
    tally = tally_spectra(ibd, spectra, None if windows is None else list(windows.values()))
    not_counts = why_not_counts(spectra, tally)
    metadata |= identity | facts(header, spectra, grid, tally)
    metadata["counts_are"] = "raw" if not_counts is None else not_counts
    metadata["warnings"] = [
        *doubts,
        *header_warnings(header, spectra),
        *grid.warnings,
        *content_warnings(spectra, grid, tally),
    ]
    values = [_smallest(row) if not_counts is None else row for row in tally.sums]
    mass = tally.mass
    spectrum: Any = tally.spectrum.astype(np.int64) if not_counts is None else tally.spectrum
    return Acquisition(
        counts=as_counts(_PlacedCounts(grid, values)),
        channels=tuple(windows) if windows is not None else ("total",),
        masses=np.array([sum(w) / 2 for w in windows.values()] if windows else [np.nan]),
        pixel_size=grid.pixel_size,
        metadata=metadata,
        spectrum_source=lambda: (mass, spectrum),
    )


def _header(path: Path, sha256: str) -> Header:
    """Parse the XML, or return what it was found to say just before.

    Windows by name take two readings, and most of the time goes into the XML.
    """
    found = _parsed.get(sha256)
    if found is None:
        found = parse_header(path)
        _parsed.clear()
        if found.spectra is not None and len(found.spectra) <= _KEPT_SPECTRA:
            _parsed[sha256] = found
    return found


class _PlacedCounts(LazyCounts):
    """One number a spectrum, put on the image when it is indexed."""

    reads_file = False

    def __init__(self, grid: Grid, values: Sequence[NDArray[Any]]) -> None:
        order = np.argsort(grid.frame, kind="stable")
        self._frame, self._pixel = grid.frame[order], grid.pixel[order]
        self._values = [row[order] for row in values]
        super().__init__((len(values), *grid.shape), np.result_type(*values), self._place)

    def _place(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image."""
        first, last = np.searchsorted(self._frame, [frame, frame + 1])
        image = np.zeros(self.shape[2] * self.shape[3], self.dtype)
        image[self._pixel[first:last]] = self._values[channel][first:last]
        return image.reshape(self.shape[2:])

    def frame_sum(self, channel: int, frames: range) -> NDArray[Any]:
        """Return the (y, x) sum of some frames in 64 bits, at the cost of their spectra alone."""
        wide = np.int64 if self.dtype.kind in "iu" else np.float64
        image = np.zeros(self.shape[2] * self.shape[3], wide)
        chosen = np.isin(self._frame, np.asarray(frames))
        np.add.at(image, self._pixel[chosen], self._values[channel][chosen].astype(wide))
        return image.reshape(self.shape[2:])


def _smallest(sums: NDArray[np.float64]) -> NDArray[Any]:
    return sums.astype(np.min_scalar_type(int(sums.max(initial=0))))


def outline(path: Path) -> Iterator[str]:
    """Describe an imzML pair in words, for bug reports, as far as it can be followed.

    Parameters
    ----------
    path
        The ``.imzML``, or the ``.ibd`` beside it.

    Yields
    ------
    str
        A line about the header, the settings, the arrays, the ``.ibd``, and
        each thing that is odd.
    """
    return outline_of(path if _is_imzml(path) else _xml_beside(path) or path)
