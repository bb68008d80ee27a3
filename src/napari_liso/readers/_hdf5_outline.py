"""What is in an HDF5 file: groups, datasets, attributes, and the arrays with named axes.

The walk goes along hard links only, each object once; links out of the file are
named, never followed. Everything here touches files from elsewhere and therefore
runs in the short-lived process of `_hdf5.examine`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_liso.errors import FormatError
from napari_liso.readers import _hdf5
from napari_liso.readers.arrays import named_arrays
from napari_liso.readers.arrays.named_arrays import NamedArray, axes_of, axis_names

__all__ = ["arrays_in", "arrays_of", "listing", "outline", "root_attributes", "validate"]

_MAX_OBJECTS = 5000
_MAX_LINES = 3000
_MAX_LINE = 200
_MAX_DEPTH = 32

Item = Any  # a group or dataset; h5py has no types


def outline(path: Path) -> Iterator[str]:
    """Describe an HDF5 file line by line, as far as it can be followed.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    str
        A line for each attribute, group, dataset and link.
    """
    try:
        yield from listing(path)["lines"]
    except FormatError as error:
        yield error.reason


def listing(path: Path) -> dict[str, Any]:
    """Return what `validate` finds, from a process of its own.

    Raises
    ------
    FormatError
        If the file cannot be opened or brings the HDF5 library down.
    """
    found: dict[str, Any] = _hdf5.examine(path, __name__)
    return found


def validate(path: Path) -> dict[str, Any]:
    """List a file: ``lines`` for people, ``arrays`` with the axes of an image, and others.

    Raises
    ------
    FormatError
        If the file cannot be opened.
    """
    lines: list[str] = []
    arrays: list[dict[str, Any]] = []
    unnamed: list[dict[str, Any]] = []
    elsewhere: list[str] = []
    with _hdf5.open_file(path) as file:
        for place, item, text in _walk(file):
            if len(lines) < _MAX_LINES:
                lines.append(_cut("  " * place.strip("/").count("/") + text))
            if item is None:
                continue
            if len(lines) < _MAX_LINES:
                indent = "  " * (place.strip("/").count("/") + (place != "/"))
                lines += [_cut(f"{indent}{line}") for line in _attributes(item)]
            if isinstance(item, h5py.Dataset):
                if _is_elsewhere(item):
                    elsewhere.append(place)
                found = _array(item, place)
                if found is not None:
                    named = axes_of(found.axes) is not None
                    (arrays if named else unnamed).append(found.as_json())
        if len(lines) >= _MAX_LINES:
            lines = [*lines[:_MAX_LINES], "... and more"]
        return {
            "lines": lines,
            "arrays": arrays[:200],
            "unnamed": unnamed[:200],
            "elsewhere": elsewhere[:200],
            "default": _plain(_readable(file, "default")),
            "root_attributes": [str(name) for name in list(file.attrs)[:1000]],
        }


def root_attributes(path: Path) -> list[str]:
    """Return the names of a file's root attributes.

    Raises
    ------
    FormatError
        As `listing`.
    """
    return list(listing(path)["root_attributes"])


def arrays_in(path: Path, axes: str | None = None) -> tuple[list[NamedArray], Any]:
    """Return (arrays with the axes of an image, the root attribute ``default``).

    Parameters
    ----------
    path
        The file.
    axes
        What a file beside it says of the axes of the one array that there is.

    Raises
    ------
    FormatError
        As `listing`.
    """
    return arrays_of(listing(path), axes)


def arrays_of(found: dict[str, Any], axes: str | None) -> tuple[list[NamedArray], Any]:
    """Return what `arrays_in` returns, from a listing."""
    arrays = [NamedArray.from_json(facts) for facts in found["arrays"]]
    if axes is not None:
        every = arrays + [NamedArray.from_json(facts) for facts in found["unnamed"]]
        fitting = [array for array in every if len(array.shape) == len(axes)]
        names = axis_names(axes, len(axes))
        if len(fitting) == 1 and names is not None and axes_of(names) is not None:
            facts = fitting[0].as_json() | {"axes": list(names)}
            arrays = [NamedArray.from_json(facts)]
    return arrays, found["default"]


def _walk(file: h5py.File) -> Iterator[tuple[str, Item | None, str]]:
    """Yield (path, object or None, description) of everything, depth first."""
    seen: set[Any] = set()
    waiting: list[tuple[str, Item]] = [("/", file)]
    while waiting:
        place, item = waiting.pop()
        address = h5py.h5o.get_info(item.id).addr
        if address in seen:
            yield place, None, f"{place}: another name of an object above"
            continue
        seen.add(address)
        if len(seen) > _MAX_OBJECTS:
            yield place, None, f"... more than {_MAX_OBJECTS} objects"
            return
        yield place, item, _describe(item, place)
        if not isinstance(item, h5py.Group):
            continue
        if place.count("/") > _MAX_DEPTH:
            yield place, None, f"{place}: deeper than is followed"
            continue
        inside: list[tuple[str, Item]] = []
        for number, name in enumerate(item):
            if number > _MAX_OBJECTS:
                break
            inner = f"{place.rstrip('/')}/{name}"
            found = _child(item, name)
            if isinstance(found, str):
                yield inner, None, f"{inner}: {found}"
            else:
                inside.append((inner, found))
        waiting += reversed(inside)


def _child(parent: h5py.Group, name: str) -> Item | str:
    """Return an object, or in words why it is not followed."""
    try:
        link = parent.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            return f"link to {link.path!r} in the file {link.filename!r}, not followed"
        if isinstance(link, h5py.SoftLink):
            return f"link to {link.path!r}, not followed"
        if not isinstance(link, h5py.HardLink):
            return "link of an unknown kind, not followed"
        found = parent[name]
    except _hdf5.DAMAGE as error:
        return f"damaged ({error})"
    return found if isinstance(found, (h5py.Group, h5py.Dataset)) else "a named type"


def _describe(item: Item, place: str) -> str:
    """Describe an object in one line."""
    if isinstance(item, h5py.Group):
        return f"{place.rstrip('/')}/"
    try:
        # First, since the shape of such a dataset may depend on the other files.
        if item.is_virtual:
            return f"{place}: virtual, its data are in other files, not followed"
        text = f"{place}: {item.dtype} {item.shape}"
        if item.external:
            names = ", ".join(repr(entry[0]) for entry in item.external[:5])
            return f"{text}, its data are in the file {names}, not followed"
        properties = item.id.get_create_plist()
        filters = [
            properties.get_filter(n)[3].decode("latin-1") or str(properties.get_filter(n)[0])
            for n in range(properties.get_nfilters())
        ]
        chunks = "" if item.chunks is None else f", chunks {item.chunks}"
        by = f", filters {' + '.join(filters)}" if filters else ""
        return f"{text}{chunks}{by}, {item.id.get_storage_size():,} bytes stored"
    except _hdf5.DAMAGE as error:
        return f"{place}: damaged ({error})"


def _is_elsewhere(item: h5py.Dataset) -> bool:
    try:
        return bool(item.is_virtual or item.external)
    except _hdf5.DAMAGE:
        return False


def _attributes(item: Item) -> Iterator[str]:
    """Describe attributes, cut short."""
    try:
        for number, name in enumerate(item.attrs):
            if number >= 100:
                yield "@... and more"
                return
            yield f"@{name} = {_plain(_readable(item, name))!r}"
    except _hdf5.DAMAGE as error:
        yield f"@ damaged ({error})"


def _readable(item: Item, name: str) -> Any:
    """Return an attribute, None where it is absent or cannot be read."""
    try:
        return _hdf5.attribute(item, name)
    except _hdf5.DAMAGE:
        return None


def _plain(value: Any) -> Any:
    """Return an attribute's value as JSON knows it, None where it is nothing such."""
    if isinstance(value, np.ndarray):
        if value.dtype.kind not in "uifbSOU" or value.size > 10_000:
            return None
        value = value.tolist()
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    if isinstance(value, np.generic):
        value = value.item()
    return value if isinstance(value, (str, int, float, bool)) else None


def _array(item: h5py.Dataset, place: str) -> NamedArray | None:
    """Return what a dataset says of itself, None where it cannot be an image."""
    try:
        if (
            item.is_virtual
            or item.shape is None
            or not named_arrays.MIN_DIMENSIONS <= item.ndim <= named_arrays.MAX_DIMENSIONS
            or item.dtype.kind not in named_arrays.KINDS
        ):
            return None
        names = axis_names(_readable(item, "axes"), item.ndim)
        if axes_of(names) is None:
            labels = axis_names(_plain(_readable(item, "DIMENSION_LABELS")), item.ndim)
            names = labels if axes_of(labels) is not None else _scale_names(item) or names
        given = {name: _plain(_readable(item, name)) for name in named_arrays.ATTRIBUTES}
        return NamedArray(
            place,
            tuple(int(n) for n in item.shape),
            None if item.chunks is None else tuple(int(n) for n in item.chunks),
            item.dtype.str,
            names or (),
            {name: value for name, value in given.items() if value is not None},
        )
    except _hdf5.DAMAGE:
        return None


def _scale_names(item: h5py.Dataset) -> tuple[str, ...] | None:
    """Return the names of the dimension scales, as netCDF-4 files have them."""
    if "DIMENSION_LIST" not in item.attrs:
        return None
    names = [str(axis[0].name).rpartition("/")[2] if len(axis) else "" for axis in item.dims]
    return tuple(name.lower() for name in names)


def _cut(text: str) -> str:
    text = " ".join(text.split("\n")).replace("\r", " ")
    return text if len(text) <= _MAX_LINE else text[:_MAX_LINE] + " ..."
