"""Layers that were saved as OME-TIFF by this plugin, as they were."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.ome_tiff import provenance_in
from napari_liso.plugin.records import PROVENANCE, provenance
from napari_liso.readers.arrays.tiff_chain import check_chain

__all__ = ["holds_saved_layers", "saved_layers"]

LayerData = tuple[Any, dict[str, Any], str]

#: Layers of these roles are measurements: `napari_liso.read` reads them with all they tell.
_COUNTS = ("counts", "scans")
_MOST_AXES = 3
_PLACE = ("scale", "translate", "rotate", "shear", "affine")
_WORDS = ("units", "axis_labels")


def holds_saved_layers(path: Path) -> bool:
    """Tell whether a TIFF holds layers that were saved here and are more than counts."""
    check_chain(path)  # tifffile would follow a chain that leads back for ever
    try:
        records = _records(path)
    except (ValueError, ElementTree.ParseError, tifffile.TiffFileError):
        return False
    # stacks along two axes are in the file, but not how many planes along each
    return all(_axes(record) <= _MOST_AXES for record in records) and any(
        _role(record) not in _COUNTS for record in records
    )


def saved_layers(path: Path) -> list[LayerData]:
    """Return the layers of a file for which `holds_saved_layers` is true.

    They come back with pixels, name, place, units and limits. What was behind them (the
    intervals of a fraction, the fit of boundaries) is not in such a file: their role
    is ``"saved"``, the former record is kept in it as ``"was"``.

    Raises
    ------
    FormatError
        If the file does not hold what its record says.
    """
    records = _records(path)
    pages = _pages(path, len(records))
    layers: list[LayerData] = []
    for record, data in zip(records, pages, strict=True):
        kind = record.get("type")
        if kind not in ("image", "labels"):
            raise FormatError(path, f"its record names a layer of the type {kind!r}")
        arguments = _arguments(path, record, data, kind)
        layers.append((data, arguments, str(kind)))
    return layers


def _records(path: Path) -> list[Mapping[str, Any]]:
    found = (provenance_in(path) or {}).get("layers")
    if not isinstance(found, list):
        return []
    return [record for record in found if isinstance(record, Mapping)]


def _axes(record: Mapping[str, Any]) -> int:
    scale = record.get("scale")
    return len(scale) if isinstance(scale, list) else 0


def _role(record: Mapping[str, Any]) -> str:
    made = record.get("made")
    return str(made.get("role", "")) if isinstance(made, Mapping) else ""


def _pages(path: Path, layers: int) -> list[NDArray[Any]]:
    """Return the pixels of each layer: (y, x), (frame, y, x) or (y, x, colour)."""
    with tifffile.TiffFile(path) as file:
        first, count = file.pages[0], len(file.pages)
        dtype = np.dtype(first.dtype)
        size = int(np.prod(first.shape, dtype=object)) * dtype.itemsize * count
        if layers == 0 or count % layers or size > path.stat().st_size:
            raise FormatError(path, f"holds {count} planes for {layers} layers, or cut ones")
        if any((page.shape, page.dtype) != (first.shape, first.dtype) for page in file.pages):
            raise FormatError(path, "holds planes of different shapes or types")
        planes = [page.asarray() for page in file.pages]
    each = count // layers
    if each == 1:
        return planes
    return [np.stack(planes[i * each : (i + 1) * each]) for i in range(layers)]


def _arguments(
    path: Path, record: Mapping[str, Any], data: NDArray[Any], kind: str
) -> dict[str, Any]:
    """Return the keyword arguments of a layer; numbers that are none are refused."""
    try:
        arguments: dict[str, Any] = {
            key: np.asarray(record[key], dtype=float) for key in _PLACE if key in record
        }
        if any(not np.isfinite(value).all() for value in arguments.values()):
            raise ValueError("a place that is not finite")
        arguments |= {key: tuple(map(str, record[key])) for key in _WORDS if key in record}
        if kind == "image":
            arguments["rgb"] = data.ndim > 2 and len(arguments["scale"]) == data.ndim - 1
            if "contrast_limits" in record and not arguments["rgb"]:
                low, high = (float(v) for v in record["contrast_limits"])
                arguments["contrast_limits"] = (low, high)
            if record.get("colormap") in _colormaps() and not arguments["rgb"]:
                arguments["colormap"] = record["colormap"]
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(path, f"its record of a layer makes no sense: {error}") from error
    made = record.get("made")
    kept = provenance("saved", was=made if isinstance(made, Mapping) else {}, path=str(path))
    return {
        **arguments,
        "name": str(record.get("name", path.name)),
        "metadata": {PROVENANCE: kept},
    }


def _colormaps() -> list[str]:
    from napari.utils.colormaps import AVAILABLE_COLORMAPS

    return list(AVAILABLE_COLORMAPS)
