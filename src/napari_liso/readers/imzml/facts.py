"""What the header and the numbers of an imzML pair come to, and what is doubtful about them."""

from __future__ import annotations

from typing import Any

import numpy as np

from napari_liso.readers.imzml.grid import Grid
from napari_liso.readers.imzml.tally import Tally
from napari_liso.readers.imzml.terms import CONTINUOUS, PRIMARY_ION, PROCESSED, Header, Spectra

__all__ = [
    "content_warnings", "facts", "header_warnings", "polarity", "storage", "type_name",
    "why_not_counts",
]  # fmt: skip

#: Units of intensity that are no counts, by accession.
_NOT_COUNTS = {
    "MS:1000132": "percent of the base peak",
    "MS:1000905": "percent of the base peak times 100",
    "MS:1000814": "counts per second",
}
_STORAGE = {CONTINUOUS: "continuous", PROCESSED: "processed"}
#: Facts that are told even where there is nothing to tell.
_ALWAYS = frozenset({"polarity", "pixel_size_source"})
#: Sums of single-precision values may be off by so much.
_TOTAL_TOLERANCE = 1e-3


def why_not_counts(spectra: Spectra, tally: Tally) -> str | None:
    """Return why intensities are no counts, or None where they are."""
    units = {spectra.kinds[kind].unit for kind in np.unique(spectra.intensity.kind)}
    for unit in units:
        if unit in _NOT_COUNTS:
            return f"not counts: the file states its intensities as {_NOT_COUNTS[unit]}"
    if not tally.whole:
        return (
            "not counts: intensities that are negative or no whole numbers (corrected, scaled "
            "or averaged)"
        )
    return None


def polarity(header: Header) -> str | None:
    """Return the polarity, or None where it is not stated or mixed."""
    return next(iter(header.polarities)) if len(header.polarities) == 1 else None


def storage(header: Header) -> str:
    """Return how the file says it stores m/z values."""
    said = [name for term, name in _STORAGE.items() if term in header.file_terms]
    return " and ".join(said) or "not stated"


def facts(header: Header, spectra: Spectra, grid: Grid, tally: Tally) -> dict[str, Any]:
    """Return what is worth keeping, JSON-able."""
    types = {
        role: sorted({type_name(spectra, int(kind)) for kind in np.unique(arrays.kind)})
        for role, arrays in (("m/z", spectra.mz), ("intensity", spectra.intensity))
    }
    primary = header.file_terms.get(PRIMARY_ION)
    found: dict[str, Any] = {
        "frames": grid.shape[0],
        "polarity": polarity(header),
        "origin": "positions count from the upper left: row 0 = top, nothing flipped; "
        f"row 0 is position y {grid.origin[0]}, column 0 is position x {grid.origin[1]}",
        "z_positions": grid.z_positions.tolist() if len(grid.z_positions) <= 4096 else None,
        "pixel_size_source": grid.pixel_size_source,
        "calibration": {"source": "m/z values as the exporting program wrote them"},
        "spectra": len(spectra),
        "values": int(spectra.mz.length.sum()),
        "storage": "one m/z axis for all spectra"
        if spectra.share_axis
        else "m/z values of each spectrum",
        "storage_declared": storage(header),
        "array_types": types,
        "pixels_without_spectrum": {"count": grid.missing, "runs": grid.missing_runs()},
        "software": header.software,
        "processing": header.processing,
        "acquired": header.acquired,
        "primary_ion": primary.value if primary is not None and primary.value else None,
    }
    if tally.merged:
        found["spectrum_merged_ppm"] = tally.merged * 1e6
    return {
        key: value for key, value in found.items() if value not in (None, []) or key in _ALWAYS
    }


def type_name(spectra: Spectra, kind: int) -> str:
    """Return a kind of array in words."""
    stored = spectra.kinds[kind]
    return f"{np.dtype(stored.dtype).name}{', zlib' if stored.zlib else ''}"


def header_warnings(header: Header, spectra: Spectra) -> list[str]:
    """Return what is doubtful about the XML."""
    found = []
    if header.forced_encoding is not None:
        found.append(
            "The .imzML is not in the encoding that it declares; it was read as ISO-8859-1."
        )
    if header.declared_spectra not in (None, len(spectra)):
        found.append(
            f"The file declares {header.declared_spectra} spectra and has {len(spectra)}: it may "
            "be incomplete."
        )
    if header.missing_groups:
        groups = ", ".join(sorted(header.missing_groups))
        found.append(f"The file refers to groups of parameters that it lacks: {groups}.")
    if len(header.polarities) > 1:
        found.append("The file holds spectra of both polarities; they are shown as one image.")
    return found


def content_warnings(spectra: Spectra, grid: Grid, tally: Tally) -> list[str]:
    """Return what is doubtful about the numbers."""
    found = []
    if grid.missing:
        total = grid.missing + len(spectra)
        found.append(
            f"{grid.missing} of {total} pixels have no spectrum and read zero: nothing was "
            "detected there, or nothing was measured; the file does not say which."
        )
    stated = spectra.total_current
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.abs(tally.totals - stated) > _TOTAL_TOLERANCE * np.abs(stated)
    if off.any():
        found.append(
            f"In {int(off.sum())} of {len(spectra)} spectra the intensities do not add up to the "
            "total ion current that the file states: it holds selected peaks or scaled values, or "
            "it is damaged."
        )
    return found
