"""TIFF and OME-TIFF stacks of counts.

What the planes are comes from OME metadata, ImageJ's, names of pages, or a file
beside the image (`peak_names.read_sidecar`). Whole-number pixels are counts;
anything else is kept as it is and said so.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._lazy import PLAIN_BYTES, LazyCounts
from napari_liso.readers.arrays.peak_names import Sidecar, names_in_file, ome_pixels, read_sidecar
from napari_liso.readers.arrays.tiff_chain import check_chain
from napari_liso.readers.arrays.tiff_outline import outline
from napari_liso.readers.arrays.tiff_planes import Planes, find_planes, joined_counts, lazy_counts
from napari_liso.units import from_um

__all__ = ["NAME", "outline", "read", "read_several", "recognise"]

NAME = "TIFF"

_MAGIC = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")
_MAX_BYTES = 2**34
#: Of a stack that can only be read as a whole.
_MAX_AT_ONCE = 2**29
_DEFLATE_RATIO = 1032  # no deflate stream inflates further
_METRES = {
    "m": 1.0, "cm": 1e-2, "mm": 1e-3, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "micron": 1e-6,
    "microns": 1e-6, "micrometer": 1e-6, "nm": 1e-9, "pm": 1e-12, "å": 1e-10, "angstrom": 1e-10,
}  # fmt: skip
#: Resolutions for paper and screens, in dots per inch: no statement on a sample.
_PRINT_RESOLUTIONS = (72.0, 96.0, 100.0, 150.0, 200.0, 300.0, 400.0, 600.0)
_CENTIMETRE = 3  # value of the tag ResolutionUnit

_DAMAGE = (
    tifffile.TiffFileError, struct.error, zlib.error, OSError, ValueError, TypeError, LookupError,
    AttributeError, ArithmeticError, AssertionError, EOFError, MemoryError, RuntimeError,
    SyntaxError,  # of XML
)  # fmt: skip


def recognise(path: Path) -> bool:
    """Whether a file is a TIFF or BigTIFF, by its first bytes."""
    return _files.head(path, 4) in _MAGIC


@dataclass(frozen=True, eq=False)
class _Stack:
    """An image as stored, with the facts that tell what its axes are."""

    data: NDArray[Any] | Planes
    axes: str
    names: tuple[str, ...]
    names_from: str | None
    pixel_size: tuple[float, float] | None
    pixel_size_source: str | None
    warnings: list[str]
    is_ome: bool


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read a stack of count images.

    Parameters
    ----------
    path
        The file. Channels are its C axis, or its pages where they have names;
        T and Z are frames.
    windows
        Must be None: images have no mass axis.

    Returns
    -------
    Acquisition
        Integer counts; float where the pixels are no whole numbers, and then
        ``metadata["counts_are"]`` says so. Large stacks are read
        when indexed.

    Raises
    ------
    FormatError
        If the file is damaged, holds colours or a mask, negative whole numbers,
        or does not fit the names beside it.
    ValueError
        If windows are given.
    """
    if windows is not None:
        raise ValueError("a TIFF holds images of chosen peaks; it has no mass axis for windows")
    metadata = _files.base_metadata(path, NAME)
    sidecar = read_sidecar(path)
    stack = _load(path, sidecar)
    channels, names, names_from = _name_channels(path, stack, sidecar)
    frames = [axis for axis in range(len(stack.axes) - 2) if axis != channels]
    order = [*([] if channels is None else [channels]), *frames]
    counts, counts_are = _arranged(path, stack.data, order, len(names))
    warnings = [*sidecar.warnings, *stack.warnings]
    if names_from is None:
        warnings.append("Nothing names the peaks in this file; they are called by their number.")
    metadata |= {
        "format": "OME-TIFF" if stack.is_ome else NAME,
        "counts_are": counts_are,
        "warnings": warnings,
        "axes": stack.axes,
        "frames": counts.shape[1],
        "names_from": names_from,
        "pixel_size_source": stack.pixel_size_source,
        "origin": "as stored, row 0 = top",
    }
    known = sidecar.masses or (None,) * len(names)
    return Acquisition(
        counts=counts,
        channels=names,
        masses=np.array([np.nan if mass is None else mass for mass in known]),
        pixel_size=stack.pixel_size,
        metadata=metadata,
    )


def read_several(paths: Sequence[Path], windows: _files.Windows | None = None) -> Acquisition:
    """Read several TIFFs of one measurement, one a peak, named by their file names.

    What all the names begin with, up to a space, ``_`` or ``-``, is left out:
    ``run1_6Li.tif`` and ``run1_7Li.tif`` give ``6Li`` and ``7Li``.

    Raises
    ------
    FormatError
        If one of them cannot be read.
    ValueError
        If one holds several peaks, or they differ in shape or pixel size.
    """
    parts = [read(path, windows) for path in paths]
    first = parts[0]
    for path, part in zip(paths, parts, strict=True):
        if len(part.channels) != 1:
            raise ValueError(f"{path.name} holds {len(part.channels)} peaks; give it alone")
        if part.counts.shape != first.counts.shape or part.pixel_size != first.pixel_size:
            raise ValueError(
                f"{path.name} is {part.counts.shape[1:]} with pixels of {part.pixel_size} m, but "
                f"{paths[0].name} is {first.counts.shape[1:]} with {first.pixel_size} m: these "
                "files do not belong to one measurement"
            )
    stems = [path.name.removesuffix(path.suffix).removesuffix(".ome") for path in paths]
    shared = commonprefix(stems)  # noqa: RUF071 - of names, not of folders
    cut = max(shared.rfind(separator) for separator in "_- ") + 1
    kinds = {str(part.metadata["counts_are"]) for part in parts}
    metadata = {
        **first.metadata,
        "counts_are": kinds.pop() if len(kinds) == 1 else "mixed: not all files hold counts",
        "names_from": "file names",
        "files": [{k: part.metadata[k] for k in ("path", "sha256")} for part in parts],
        "warnings": list(dict.fromkeys(w for part in parts for w in part.metadata["warnings"])),
    }
    return replace(
        first,
        counts=joined_counts([part.counts for part in parts]),
        channels=tuple(stem[cut:] for stem in stems),
        masses=np.concatenate([part.masses for part in parts]),
        metadata=metadata,
    )


@contextmanager
def _open(path: Path) -> Iterator[tifffile.TiffFile]:
    """Open for reading; whatever goes wrong inside becomes a `FormatError`."""
    check_chain(path)
    try:
        with tifffile.TiffFile(path) as file:
            yield file
    except FormatError:
        raise
    except _DAMAGE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        if "imagecodecs" in text:
            text += " (pip install imagecodecs, or save without compression)"
            raise FormatError(path, text) from error
        raise FormatError(path, f"damaged or truncated TIFF: {text}") from error


def _load(path: Path, sidecar: Sidecar) -> _Stack:
    with _open(path) as file:
        if len(file.series) != 1:
            raise FormatError(
                path, f"holds {len(file.series)} images of different kinds; save the counts alone"
            )
        series = file.series[0]
        warnings: list[str] = []
        stored_axes = _check_kind(path, series, warnings)
        _check_size(path, file, series)
        named = names_in_file(file)
        size, source = _pixel_size(file, warnings)
        if sidecar.pixel_size_um is not None and sidecar.path is not None:
            y, x = sidecar.pixel_size_um
            size, source = (from_um(y), from_um(x)), sidecar.path.name
        axes = sidecar.axes or stored_axes
        if len(axes) != len(series.shape) or axes[-2:] != "YX" or len(set(axes)) != len(axes):
            raise FormatError(path, f"its axes {axes} do not end in YX or do not fit its shape")
        data: NDArray[Any] | Planes | None = None
        if series.nbytes > PLAIN_BYTES:
            data = find_planes(path, file, series)
            if data is None and series.nbytes > _MAX_AT_ONCE:
                raise FormatError(
                    path,
                    "has planes that cannot be read one by one; save it uncompressed, a page for "
                    "each plane",
                )
        return _Stack(
            data=series.asarray() if data is None else data,
            axes=axes,
            names=named[1] if named else (),
            names_from=named[0] if named else None,
            pixel_size=size,
            pixel_size_source=source,
            warnings=warnings,
            is_ome=bool(file.is_ome),
        )


def _check_kind(path: Path, series: tifffile.TiffPageSeries, warnings: list[str]) -> str:
    """Refuse what is not one number a pixel; return the axes."""
    page = series.keyframe
    if page.dtype is None or page.dtype.kind not in "uif":
        raise FormatError(path, f"has pixels of type {page.dtype}, which are no counts")
    if page.samplesperpixel == 1 and page.photometric in (
        tifffile.PHOTOMETRIC.MINISBLACK,
        tifffile.PHOTOMETRIC.MINISWHITE,
    ):
        return series.axes
    # Some writers call three or four planes colours when they are told nothing.
    if (
        page.planarconfig == tifffile.PLANARCONFIG.SEPARATE
        and page.dtype.itemsize > 1
        and page.photometric != tifffile.PHOTOMETRIC.PALETTE
    ):
        warnings.append("The planes are marked as colours; they were read as pages of counts.")
        return series.axes.replace("S", "Q")
    raise FormatError(path, "is a colour image, not counts; export the counts themselves")


def _check_size(path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries) -> None:
    """Refuse pages that lie beyond the file's end and sizes that cannot be true."""
    available = path.stat().st_size
    _files.check_image_size(path, *series.shape[-2:])
    declared = int(np.prod(series.shape, dtype=object)) * series.dtype.itemsize
    contiguous_end = 0 if series.dataoffset is None else series.dataoffset + declared
    if declared > min(_MAX_BYTES, _DEFLATE_RATIO * available) or contiguous_end > available:
        raise FormatError(path, f"declares {declared} bytes of pixels, more than it holds")
    for page in series.pages:
        if page is None:
            raise FormatError(path, "lacks a plane that it declares")
        if page.parent is not file:
            raise FormatError(path, "is spread over several files; save it as one")
        for offset, size in zip(page.dataoffsets, page.databytecounts, strict=True):
            if offset + size > available or size == 0:
                raise FormatError(path, "is truncated: its pixels end before they should", offset)
        if page.compression == 1 and sum(page.databytecounts) < (
            np.prod(page.shape, dtype=object) * series.dtype.itemsize
        ):
            raise FormatError(path, "is truncated: a plane holds fewer bytes than its pixels need")


def _arranged(
    path: Path, data: NDArray[Any] | Planes, order: list[int], channels: int
) -> tuple[NDArray[Any] | LazyCounts, str]:
    """Return (counts (channel, frame, y, x), what they are)."""
    if isinstance(data, Planes):
        values = data.values()
        return lazy_counts(data, order, channels, values), values.counts_are(data.dtype)
    counts, counts_are = _as_counts(path, data)
    counts = counts.transpose([*order, *range(counts.ndim)[-2:]])
    counts = counts.reshape(channels, -1, *counts.shape[-2:])
    return np.ascontiguousarray(counts), counts_are


def _as_counts(path: Path, data: NDArray[Any]) -> tuple[NDArray[Any], str]:
    """Return pixels as unsigned counts where they are whole numbers."""
    if data.dtype.kind == "i" and data.min(initial=0) < 0:
        raise FormatError(path, f"has pixels of {data.min()}; counts are never negative")
    if data.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = bool(np.all((data == np.rint(data)) & (data >= 0) & (data < 2**53)))
        if not whole:
            return data, (
                f"not counts: {data.dtype} values that are negative, missing or no whole numbers "
                "(corrected or scaled)"
            )
    largest = int(data.max(initial=0))
    unsigned = data.dtype.newbyteorder("=") if data.dtype.kind == "u" else None
    return data.astype(unsigned or np.min_scalar_type(largest), copy=False), "raw"


def _name_channels(
    path: Path, stack: _Stack, sidecar: Sidecar
) -> tuple[int | None, tuple[str, ...], str | None]:
    """Return (axis of the channels or None, their names, where the names are from)."""
    shape, axes = stack.data.shape[:-2], stack.axes[:-2]
    names, source = stack.names, stack.names_from
    if sidecar.names and sidecar.path is not None:
        names, source = sidecar.names, sidecar.path.name
    axis = axes.index("C") if "C" in axes else None
    if axis is None and (len(names) > 1 or sidecar.names):
        # Unspecific pages (Q, I) before slices and times: whichever has as many.
        ranked = sorted(range(len(axes)), key=lambda a: "QIZT".find(axes[a]) % 5)
        axis = next((a for a in ranked if shape[a] == len(names)), None)
    count = 1 if axis is None else shape[axis]
    if len(names) != count and sidecar.names:
        raise FormatError(
            sidecar.path or path,
            f"names {len(names)} peaks, but {path.name} has planes {shape} ({axes})",
        )
    if len(names) == count:
        return axis, names, source
    if axis is None:
        axis = next((a for a in range(len(axes)) if axes[a] in "QI"), None)
    if axis is None:
        return None, (path.name.removesuffix(path.suffix).removesuffix(".ome"),), "file name"
    return axis, tuple(f"page {number + 1}" for number in range(shape[axis])), None


def _pixel_size(
    file: tifffile.TiffFile, warnings: list[str]
) -> tuple[tuple[float, float] | None, str | None]:
    """Return (y, x) in m and where it is from, only where a unit is stated."""
    pixels = ome_pixels(file)
    if pixels is not None:
        # The OME schema makes um the unit where a size comes without one.
        size = tuple(
            _in_metres(pixels.get(f"PhysicalSize{a}"), pixels.get(f"PhysicalSize{a}Unit", "um"))
            for a in "YX"
        )
        return ((size[0], size[1]), "OME PhysicalSize") if size[0] and size[1] else (None, None)
    tags = file.pages.first.tags
    per_unit = [_ratio(tags.valueof(name)) for name in ("YResolution", "XResolution")]
    if not all(per_unit):
        return None, None
    lengths = [1 / value for value in per_unit if value]
    unit = (file.imagej_metadata or {}).get("unit")
    if unit:
        y, x = (_in_metres(length, str(unit)) for length in lengths)
        return ((y, x), "ImageJ's unit and resolution") if y and x else (None, None)
    stated = tags.valueof("ResolutionUnit")
    if stated == _CENTIMETRE and not file.is_imagej:
        dots_per_inch = 2.54 / lengths[1]
        if all(abs(dots_per_inch / r - 1) > 0.005 for r in _PRINT_RESOLUTIONS):
            return (lengths[0] * 1e-2, lengths[1] * 1e-2), "TIFF resolution per centimetre"
    if stated in (2, _CENTIMETRE) and not file.is_imagej:
        warnings.append("The file's resolution is one for printing and was not used.")
    return None, None


def _ratio(value: Any) -> float | None:
    """Return a TIFF rational as a positive number, else None."""
    if not isinstance(value, tuple) or len(value) != 2 or not value[0] or not value[1]:
        return None
    return float(value[0] / value[1])


def _in_metres(value: Any, unit: str) -> float | None:
    """Return a length in m, or None where value or unit do not make one."""
    # ImageJ writes the micro sign as an escape in plain text.
    factor = _METRES.get(unit.replace("\\u00B5", "µ").strip().lower())
    try:
        length = float(value) * (factor or 0.0)
    except (TypeError, ValueError):
        return None
    return length if 0 < length < np.inf else None
