"""An imzML pair in words, for bug reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers.imzml.facts import header_warnings, polarity, storage, type_name
from napari_liso.readers.imzml.grid import place_spectra
from napari_liso.readers.imzml.header import scan_header
from napari_liso.readers.imzml.ibd import check_arrays, find_ibd, identify
from napari_liso.readers.imzml.terms import UUID, Header, Spectra

__all__ = ["outline_of"]


def outline_of(path: Path) -> Iterator[str]:
    """Yield lines about an ``.imzML`` and its ``.ibd``, as far as they can be followed."""
    header, error = scan_header(path)
    yield f"{path.name}: {path.stat().st_size} bytes of XML"
    yield f"declared storage: {storage(header)}; polarity: {polarity(header) or 'not stated'}"
    for label, values in (("software", header.software), ("processing", header.processing)):
        if values:
            yield f"{label}: {'; '.join(values)}"
    for number, settings in enumerate(header.settings[:10], 1):
        terms = ", ".join(f"{a} = {t.value!r} ({t.unit or 'no unit'})" for a, t in settings[:20])
        yield f"scanSettings {number}: {terms or 'nothing about the image'}"
    spectra = header.spectra
    if spectra is not None and len(spectra):
        yield from _outline_spectra(header, spectra)
    if error is not None:
        yield f"odd: {error.reason} (byte {error.offset})"
    yield from _outline_ibd(path, header, whole=error is None)


def _outline_spectra(header: Header, spectra: Spectra) -> Iterator[str]:
    declared = "an unknown number" if header.declared_spectra is None else header.declared_spectra
    yield f"spectra: {len(spectra)} of {declared} declared"
    for axis, values in zip("xyz", spectra.position.T, strict=True):
        yield f"position {axis}: {values.min()} to {values.max()}"
    for role, arrays in (("m/z", spectra.mz), ("intensity", spectra.intensity)):
        kinds = "; ".join(type_name(spectra, int(kind)) for kind in np.unique(arrays.kind))
        yield (
            f"{role} arrays: {kinds}; {arrays.length.min()} to {arrays.length.max()} values, "
            f"{int(arrays.length.sum())} in all, offsets {arrays.offset.min()} to "
            f"{arrays.offset.max()}"
        )
    yield f"one m/z array for all spectra: {'yes' if spectra.share_axis else 'no'}"


def _outline_ibd(path: Path, header: Header, whole: bool) -> Iterator[str]:
    stated = header.file_terms.get(UUID)
    yield f"UUID in the XML: {'none' if stated is None else stated.value[:60]}"
    try:
        ibd = find_ibd(path)
    except FormatError as error:
        yield f"odd: {error.reason}"
        return
    start = _files.head(ibd, 16)
    yield f"{ibd.name}: {ibd.stat().st_size} bytes, begins with {start.hex()}"
    spectra = header.spectra
    if not whole or spectra is None or not len(spectra):
        return
    try:
        identity, doubts = identify(path, ibd, header)
        yield f"check sum: {identity['ibd_checksum']}"
    except FormatError as error:
        doubts = [error.reason]
    try:
        check_arrays(path, ibd, spectra)
        grid = place_spectra(path, header, spectra)
        doubts += grid.warnings
        yield f"image: {grid.shape} (frame, y, x), {grid.missing} pixels without a spectrum"
        yield f"pixel size (y, x): {grid.pixel_size} m, from {grid.pixel_size_source}"
    except FormatError as error:
        doubts.append(error.reason)
    for doubt in [*doubts, *header_warnings(header, spectra)]:
        yield f"odd: {doubt}"
