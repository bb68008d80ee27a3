"""Images of counts in a zarr store: by the convention of `named_arrays`, xarray or OME-Zarr."""

from __future__ import annotations

import math
from typing import Any

from napari_liso.errors import FormatError
from napari_liso.readers.arrays.named_arrays import ATTRIBUTES, NamedArray, axes_of, axis_names
from napari_liso.readers.arrays.zarr_store import Node, Store

__all__ = ["images"]

_MICROMETRES = {
    "angstrom": 1e-4, "nanometer": 1e-3, "nm": 1e-3, "micrometer": 1.0, "micron": 1.0, "um": 1.0,
    "µm": 1.0, "μm": 1.0, "millimeter": 1e3, "mm": 1e3, "centimeter": 1e4, "cm": 1e4,
    "meter": 1e6, "m": 1e6,
}  # fmt: skip


def images(store: Store, found: list[Node], axes: str | None = None) -> list[NamedArray]:
    """Return the arrays that have the axes of an image.

    Parameters
    ----------
    store
        For messages.
    found
        All arrays and groups of it.
    axes
        What a file beside it says of the axes, for a store of one array.

    Raises
    ------
    FormatError
        If OME metadata lead out of the store.
    """
    arrays = {node.path: node for node in found if node.shape is not None}
    stated: dict[str, NamedArray] = {}
    lower: set[str] = set()
    for group in found:
        if group.shape is None:
            _of_multiscales(store, group, arrays, stated, lower)
    for path, node in arrays.items():
        # Smaller copies, and masks of segmentations, are no further counts.
        if path in lower or "labels" in path.split("/")[:-1]:
            continue
        own = _named(node, _own_axes(node), {}, {})
        if axes_of(own.axes) is not None and path not in stated:
            stated[path] = own
    if axes is not None:
        every = [node for path, node in arrays.items() if path not in lower]
        fitting = [node for node in every if len(node.shape or ()) == len(axes)]
        names = axis_names(axes, len(axes))
        if len(fitting) == 1 and axes_of(names) is not None:
            old = stated.get(fitting[0].path)
            extra = (old.attributes, old.sources) if old is not None else ({}, {})
            stated = {fitting[0].path: _named(fitting[0], names, *extra)}
    return [stated[path] for path in sorted(stated)]


def _own_axes(node: Node) -> tuple[str, ...] | None:
    """Return the axes that an array states itself."""
    ndim = len(node.shape or ())
    for value in (
        node.attributes.get("axes"),
        node.dimensions,
        node.attributes.get("_ARRAY_DIMENSIONS"),
    ):
        names = axis_names(value, ndim)
        if axes_of(names) is not None:
            return names
    return None


def _named(
    node: Node,
    axes: tuple[str, ...] | None,
    attributes: dict[str, Any],
    sources: dict[str, str],
) -> NamedArray:
    """Return an array with its own attributes before those given."""
    own = {name: node.attributes[name] for name in ATTRIBUTES if name in node.attributes}
    kept = {name: source for name, source in sources.items() if name not in own}
    return NamedArray(
        f"/{node.path}",
        node.shape or (),
        node.inner,
        node.dtype,
        axes or (),
        attributes | own,
        kept,
    )


def _of_multiscales(
    store: Store,
    group: Node,
    arrays: dict[str, Node],
    stated: dict[str, NamedArray],
    lower: set[str],
) -> None:
    """Add the image of a group's OME metadata."""
    ome = group.attributes.get("ome", group.attributes)
    scales = ome.get("multiscales") if isinstance(ome, dict) else None
    if not isinstance(scales, list):
        return
    for scale in scales:
        datasets = scale.get("datasets") if isinstance(scale, dict) else None
        if not isinstance(datasets, list) or not datasets:
            continue
        paths = [_path(store, group, entry) for entry in datasets]
        lower |= set(paths[1:])
        node = arrays.get(paths[0])
        if node is None or "labels" in paths[0].split("/")[:-1]:
            continue
        axes = scale.get("axes")
        entries = axes if isinstance(axes, list) else list("tczyx")  # of versions before 0.3
        names = axis_names(
            [e.get("name") if isinstance(e, dict) else e for e in entries], len(node.shape or ())
        )
        if axes_of(names) is None:
            continue
        facts: dict[str, Any] = {}
        sources: dict[str, str] = {}
        size = _pixel_size(entries, scale, datasets[0], names or ())
        if size is not None:
            facts["pixel_size_um"], sources["pixel_size_um"] = size, "OME-Zarr scale"
        labels = _labels(ome, group.attributes)
        # Names that do not fit name nothing: viewers write them by default.
        axis = axes_of(names)
        count = 1 if axis is None or axis.channel is None else (node.shape or ())[axis.channel]
        if len(labels) == count and all(labels) and len(set(labels)) == count:
            facts["channels"], sources["channels"] = labels, "OME-Zarr channel labels"
        stated[paths[0]] = _named(node, names, facts, sources)


def _path(store: Store, group: Node, entry: Any) -> str:
    """Return the path of an array that OME metadata name, inside the store."""
    path = entry.get("path") if isinstance(entry, dict) else None
    parts = path.split("/") if isinstance(path, str) else [".."]
    if any(part in ("", ".", "..") or "\\" in part or ":" in part for part in parts):
        raise FormatError(
            store.path, f"its OME metadata name an array at {path!r}, which is not inside"
        )
    return "/".join([*([group.path] if group.path else []), *parts])


def _labels(ome: dict[str, Any], attributes: dict[str, Any]) -> list[str]:
    """Return the labels of the channels, empty where not all have one."""
    omero = ome.get("omero", attributes.get("omero"))
    channels = omero.get("channels") if isinstance(omero, dict) else None
    if not isinstance(channels, list):
        return []
    labels = [channel.get("label") if isinstance(channel, dict) else None for channel in channels]
    return [str(label).strip() if isinstance(label, str) else "" for label in labels]


def _pixel_size(
    axes: list[Any], scale: dict[str, Any], dataset: Any, names: tuple[str, ...]
) -> list[float] | None:
    """Return [y, x] in um, None where there is no unit."""
    factors = [1.0] * len(names)
    stated = False
    for holder in (scale, dataset):
        given = holder.get("coordinateTransformations") if isinstance(holder, dict) else None
        for change in given if isinstance(given, list) else []:
            vector = change.get("scale") if isinstance(change, dict) else None
            if not isinstance(vector, list) or len(vector) != len(names):
                continue
            if not all(isinstance(v, (int, float)) for v in vector):
                return None
            try:
                factors = [old * float(v) for old, v in zip(factors, vector, strict=True)]
            except OverflowError:
                return None
            stated = True
    found = axes_of(names)
    if not stated or found is None:
        return None
    size = []
    for axis in (found.y, found.x):
        entry = axes[axis]
        unit = entry.get("unit") if isinstance(entry, dict) else None
        um = _MICROMETRES.get(unit.strip().lower()) if isinstance(unit, str) else None
        if um is None:
            return None
        size.append(factors[axis] * um)
    return size if all(math.isfinite(s) and 0 < s < 1e6 for s in size) else None
