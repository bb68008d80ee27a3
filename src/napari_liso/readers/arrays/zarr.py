"""Zarr stores (version 2 and 3, folders and zip files) with arrays whose axes are named.

::

    data = zarr.create_array("map.zarr", data=counts)
    data.attrs["axes"] = "cfyx"  # channel, frame, row, column
    data.attrs["channels"] = ["6Li", "7Li"]
    data.attrs["pixel_size_um"] = 0.3125

The convention is that of `named_arrays`; OME-Zarr and xarray's are understood too.
Values are decoded by the library `zarr`, the extra of that name.
"""

from __future__ import annotations

import hashlib
import importlib
import math
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files, _hdf5
from napari_liso.readers._chunked import Values, look_at_values, regions
from napari_liso.readers.arrays.named_arrays import (
    NamedArray,
    acquisition_of,
    axes_of,
    axis_names,
    check,
    chosen,
    texts,
)
from napari_liso.readers.arrays.ome_zarr import images
from napari_liso.readers.arrays.peak_names import Sidecar, read_sidecar
from napari_liso.readers.arrays.zarr_store import (
    ChunkFiles,
    FolderStore,
    Node,
    ZipStore,
    chunk_files,
    nodes,
    open_store,
)

__all__ = ["NAME", "outline", "read", "recognise", "validate", "why_not"]

NAME = "zarr array"

_MAX_CHUNK = 2**29
#: Arrays with more chunks than this have at least a hundredth of them stored.
_MANY_CHUNKS = 100_000
#: Up to this size, an array of which chunks are missing is looked at as a whole.
_LOOKED_AT = 2**32
_REGION = 2**23
#: Files up to so many are listed again for each image, to notice changes.
_LISTED_AGAIN = 2**14


def recognise(path: Path) -> bool:
    """Whether a folder or zip file is a zarr store with an image, by its metadata."""
    try:
        store = open_store(path)
        if store is None:
            return False
        found = nodes(store)
        return bool(images(store, found, _sidecar(path).axes) or _refused_images(found))
    except FormatError:
        # Damaged, but zarr by its name and content: told when it is read.
        return path.name.lower().endswith((".zarr", ".zarr.zip"))


def _refused_images(found: list[Node]) -> list[Node]:
    """Return the arrays that have the axes of an image and cannot be read."""
    refused = []
    for node in found if any(node.refused for node in found) else ():
        names = texts(node.attributes.get("axes")) or [""]
        count = len(names) if len(names) > 1 else len(names[0])
        if node.refused is not None and axes_of(axis_names(names, count)) is not None:
            refused.append(node)
    return refused


def why_not(path: Path) -> str | None:
    """Say why a zarr store that is no image is not read, and what to do; None for others."""
    try:
        store = open_store(path)
        found = nodes(store) if store is not None else []
    except FormatError as error:
        return error.reason
    if store is None:
        return None
    for node in found:
        if node.refused is not None:
            return f"is a zarr store whose array /{node.path} {node.refused}"
    names = ", ".join(f"/{node.path} {node.shape}" for node in found if node.shape is not None)
    return (
        "is a zarr store without an image of counts. If one of its arrays is one "
        f"({names[:200]}), name its axes in an attribute, such as axes = 'cfyx' "
        "(channel, frame, y, x)"
    )


def _sidecar(path: Path) -> Sidecar:
    try:
        return read_sidecar(path)
    except FormatError:
        return Sidecar()  # is told when the store is read


def outline(path: Path) -> Iterator[str]:
    """Describe groups and arrays line by line.

    Parameters
    ----------
    path
        The store.

    Yields
    ------
    str
        A line for each group, array and attribute.
    """
    store = open_store(path)
    for node in nodes(store) if store is not None else ():
        if node.refused is not None:
            yield f"/{node.path}: zarr {node.version} array that {node.refused}"
        elif node.shape is None:
            yield f"/{node.path}: zarr {node.version} group"
        else:
            yield (
                f"/{node.path}: zarr {node.version} array, {node.dtype} {node.shape}, chunks "
                f"{node.chunks}, fill value {node.fill}, dimensions {node.dimensions}"
            )
        for name, value in list(node.attributes.items())[:50]:
            text = f"  @{name} = {value!r}"
            yield text if len(text) <= 200 else f"{text[:200]} ..."


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read an array of counts with named axes.

    Parameters
    ----------
    path
        The folder or zip file.
    windows
        Must be None: images have no mass axis.

    Returns
    -------
    Acquisition
        Integer counts; float where the values are no whole numbers, and then
        ``metadata["counts_are"]`` says so. Large arrays are read when indexed.

    Raises
    ------
    FormatError
        If the store is damaged, leads outside, holds several arrays, negative
        whole numbers, attributes that do not fit, or ``zarr`` is not installed.
    ValueError
        If windows are given.
    """
    if windows is not None:
        raise ValueError(
            "a zarr array holds images of chosen peaks; it has no mass axis for windows"
        )
    _library(path)
    sidecar = read_sidecar(path)
    store, node, array, files = _find(path, sidecar.axes)
    listed = hashlib.sha256(repr(files.print).encode()).hexdigest()
    identity: tuple[Any, ...] = (str(path.resolve()), sidecar.axes, node.path, listed)
    if not path.is_dir():
        identity = (*identity, *_hdf5.identity(path))
    found = _hdf5.examine(path, __name__, identity, files.size, _hdf5.PACKED_BYTES_PER_SECOND)
    metadata = _metadata(path, store, node, files)
    missing = files.expected - len(files.places)
    if missing:
        metadata["chunks_missing"] = missing
        metadata["warnings"].append(
            f"{missing} of {files.expected} chunks are not stored and stand for zero counts, as "
            "zarr leaves out empty ones; if the copy was broken off, it is incomplete."
        )

    def part(selection: tuple[slice, ...]) -> NDArray[Any]:
        _check_unchanged(store, node, files)
        return _part(store, node, selection)

    values = Values(found["whole"], found["largest"])
    return acquisition_of(path, metadata, array, values, sidecar, part)


def _check_unchanged(store: FolderStore | ZipStore, node: Node, files: ChunkFiles) -> None:
    """Refuse a store that has changed; a chunk that is gone would read as zeros."""
    if isinstance(store, ZipStore) or len(files.print) > _LISTED_AGAIN:
        return
    try:
        same = tuple(sorted(store.files(node.path))) == files.print
    except OSError as error:
        reason = f"/{node.path} cannot be read any more: {error.strerror}"
        raise FormatError(store.path, reason) from error
    if not same:
        raise FormatError(store.path, f"/{node.path} has changed since it was opened")


def validate(path: Path) -> dict[str, Any]:
    """Look at each value of the array to read.

    Raises
    ------
    FormatError
        If something is missing, contradicts itself or cannot be read.
    """
    store, node, array, files = _find(path, read_sidecar(path).axes)

    def part(selection: tuple[slice, ...]) -> NDArray[Any]:
        return _part(store, node, selection)

    values = look_at_values(
        path, array.name, array.shape, node.inner, part, _stored_regions(node, files)
    )
    return {"whole": values.whole, "largest": values.largest}


def _find(
    path: Path, axes: str | None
) -> tuple[FolderStore | ZipStore, Node, NamedArray, ChunkFiles]:
    """Return the store, the array to read in it and its files, all checked."""
    store = open_store(path)
    if store is None:
        raise FormatError(path, "is no zarr store")
    found = nodes(store)
    arrays = images(store, found, axes)
    for node in _refused_images(found) if not arrays else ():
        raise FormatError(path, f"its array /{node.path} {node.refused}")
    root = found[0].attributes if found else {}
    array = chosen(path, arrays, root.get("default"))
    check(path, array)
    node = next(n for n in found if f"/{n.path}" == array.name)
    size = np.dtype(node.dtype).itemsize
    inner, outer = (math.prod(chunks) * size for chunks in (node.inner, node.chunks))
    if inner > _MAX_CHUNK or (node.inner == node.chunks and outer > _MAX_CHUNK):
        raise FormatError(path, f"{array.name} has chunks of {node.chunks}, too large to inflate")
    files = chunk_files(store, node, 2 * outer + 2**16)
    stored = len(files.places)
    if stored == 0:
        raise FormatError(path, f"{array.name} is declared, but none of its chunks is there")
    if stored > files.expected:
        raise FormatError(path, f"{array.name} holds chunks twice")
    if files.expected > _MANY_CHUNKS and stored * 100 < files.expected:
        raise FormatError(
            path,
            f"{array.name} declares {files.expected} chunks, of which {stored} are there: more "
            "than can be true",
        )
    if stored < files.expected and (node.fill != 0 or isinstance(node.fill, bool)):
        raise FormatError(
            path,
            f"{array.name} lacks {files.expected - stored} of {files.expected} chunks, and what "
            f"stands in their place ({node.fill}) is no count",
        )
    return store, node, array, files


def _stored_regions(node: Node, files: ChunkFiles) -> Iterator[tuple[slice, ...]] | None:
    """Yield the parts that are stored, None where all of the array is to be looked at."""
    assert node.shape is not None
    declared = math.prod(node.shape) * np.dtype(node.dtype).itemsize
    if len(files.places) == files.expected or declared <= _LOOKED_AT:
        return None
    return _regions_of_chunks(node, files)


def _regions_of_chunks(node: Node, files: ChunkFiles) -> Iterator[tuple[slice, ...]]:
    assert node.shape is not None
    for place in files.places:
        starts = [p * chunk for p, chunk in zip(place, node.chunks, strict=True)]
        lengths = [
            min(chunk, n - start)
            for chunk, n, start in zip(node.chunks, node.shape, starts, strict=True)
        ]
        for region in regions(lengths, node.inner, _REGION):
            yield tuple(
                slice(part.start + start, part.stop + start)
                for part, start in zip(region, starts, strict=True)
            )


def _metadata(
    path: Path, store: FolderStore | ZipStore, node: Node, files: ChunkFiles
) -> dict[str, Any]:
    """Return the metadata that every acquisition has; of a folder, with the hash of its files."""
    if isinstance(store, ZipStore):
        return _files.base_metadata(path, NAME) | {"zarr_format": node.version}
    digest = hashlib.sha256()
    folder = path.resolve() / node.path
    for key, _, _ in files.print:
        digest.update(f"{key}\0{_files.sha256(folder / key)}\n".encode())
    return {
        "format": NAME,
        "path": str(path.absolute()),
        "sha256": digest.hexdigest(),
        "sha256_of": "names and SHA-256 of the array's files, in order of their names",
        "counts_are": "raw",
        "warnings": [],
        "zarr_format": node.version,
    }


def _library(path: Path) -> Any:
    """Return the module `zarr`.

    Raises
    ------
    FormatError
        If it is not installed.
    """
    try:
        return importlib.import_module("zarr")
    except ImportError as error:
        raise FormatError(
            path, 'zarr is read by a library of its own: pip install "napari-liso[zarr]"'
        ) from error


def _part(store: FolderStore | ZipStore, node: Node, selection: tuple[slice, ...]) -> NDArray[Any]:
    """Decode a part of an array."""
    zarr = _library(store.path)
    root = str(store.path.resolve())
    try:
        if isinstance(store, ZipStore):
            opened = zarr.storage.ZipStore(root, mode="r")
        elif hasattr(zarr.storage, "LocalStore"):
            opened = zarr.storage.LocalStore(root, read_only=True)
        else:
            opened = zarr.storage.DirectoryStore(root)  # of the library's version 2
        with closing(opened):
            array = zarr.open_array(opened, path=node.path, mode="r", zarr_format=node.version)
            kinds = [np.dtype(d).newbyteorder("=") for d in (array.dtype, node.dtype)]
            if tuple(array.shape) != node.shape or kinds[0] != kinds[1]:
                raise FormatError(store.path, f"/{node.path} has changed since it was opened")
            return np.asarray(array[selection], kinds[1])
    except FormatError:
        raise
    except Exception as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(store.path, f"/{node.path} is damaged: {text}") from error
