"""What is in a zarr store, a folder or a zip file, without the zarr library.

Metadata are JSON and read here, within bounds and never outside the store; the
library is only asked for the values of an array that has been checked.
"""

from __future__ import annotations

import json
import math
import os
import re
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from napari_liso.errors import FormatError
from napari_liso.readers import _files

__all__ = ["FolderStore", "Node", "Store", "ZipStore", "chunk_files", "nodes", "open_store"]

_MAX_JSON = 2**24
_MAX_NODES = 2000
_MAX_FILES = 2**20
_METADATA = ("zarr.json", ".zarray", ".zgroup", ".zattrs", ".zmetadata")
_ZIP = b"PK\x03\x04"

_DTYPE_2 = re.compile(r"[<>|][uif][1248]")
_DTYPES_3 = {
    **{f"uint{8 * n}": f"<u{n}" for n in (1, 2, 4, 8)},
    **{f"int{8 * n}": f"<i{n}" for n in (1, 2, 4, 8)},
    **{f"float{8 * n}": f"<f{n}" for n in (2, 4, 8)},
}
#: What may pack chunks; above all nothing that unpickles.
_CODECS = frozenset(
    {
        "adler32", "blosc", "bz2", "crc32", "crc32c", "delta", "fletcher32", "gzip", "lz4",
        "lzma", "shuffle", "zlib", "zstd",
    }
)  # fmt: skip
_CODECS_3 = frozenset({"bytes", "transpose", "gzip", "zstd", "blosc", "crc32c"})
_KEY_2 = re.compile(r"\d+(?:[./]\d+)*")
_KEY_3 = re.compile(r"c((?:[./]\d+)+)")


@dataclass(frozen=True)
class Node:
    """An array or a group.

    Parameters
    ----------
    path
        In the store, without slashes at the ends; ``""`` is the root.
    version
        2 or 3, of the zarr format.
    attributes
        As stored.
    shape, chunks, dtype, fill
        Of an array that can be counts; shape None for groups and other arrays.
    inner
        Chunks that are packed one by one, smaller than `chunks` where sharded.
    refused
        Why an array cannot be read, or None.
    dimensions
        ``dimension_names`` of version 3.
    """

    path: str
    version: int
    attributes: dict[str, Any]
    shape: tuple[int, ...] | None = None
    chunks: tuple[int, ...] = ()
    inner: tuple[int, ...] = ()
    dtype: str = ""
    fill: Any = None
    refused: str | None = None
    dimensions: list[Any] | None = field(default=None)


class Store(Protocol):
    """Files by key, such as ``counts/.zarray``."""

    path: Path

    def read(self, key: str) -> bytes | None:
        """Return a small file, None where there is none."""

    def children(self, group: str) -> list[str]:
        """Return the names of the folders in a group."""

    def files(self, array: str) -> Iterator[tuple[str, int, int]]:
        """Yield (key below the array, bytes, time of change in ns) of every file."""


class FolderStore:
    """A store that is a folder; symbolic links out of it are refused."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._root = path.resolve()

    def _inside(self, path: str | Path) -> Path:
        resolved = Path(path).resolve()
        if not resolved.is_relative_to(self._root):
            raise FormatError(
                self.path,
                f"{Path(path).name} in it is a link out of the folder, which is not followed",
            )
        return resolved

    def read(self, key: str) -> bytes | None:
        """Return a small file, None where there is none."""
        path = self._root / key
        if not path.is_file():
            return None
        path = self._inside(path)
        if path.stat().st_size > _MAX_JSON:
            raise FormatError(self.path, f"its {key} is larger than metadata may be")
        return path.read_bytes()

    def children(self, group: str) -> list[str]:
        """Return the names of the folders in a group."""
        found = []
        with (
            suppress(NotADirectoryError, FileNotFoundError),
            os.scandir(self._root / group) as all_,
        ):
            for number, entry in enumerate(all_):
                if number > _MAX_FILES:
                    break
                # Folders behind links are no part of the store.
                if entry.is_dir(follow_symlinks=False):
                    found.append(entry.name)
        return sorted(found)

    def files(self, array: str) -> Iterator[tuple[str, int, int]]:
        """Yield (key below the array, bytes, time of change in ns) of every file."""
        top = self._root / array
        waiting, seen = [self._inside(top)], 0
        while waiting:
            folder = waiting.pop()
            with os.scandir(folder) as entries:
                for entry in entries:
                    seen += 1
                    if seen > _MAX_FILES:
                        raise FormatError(self.path, f"holds more than {_MAX_FILES} files")
                    if entry.is_symlink():
                        self._inside(entry.path)
                        raise FormatError(
                            self.path, f"{entry.name} in it is a link; links are not followed"
                        )
                    if entry.is_dir():
                        waiting.append(Path(entry.path))
                        continue
                    status = entry.stat(follow_symlinks=False)
                    key = Path(entry.path).relative_to(top).as_posix()
                    yield key, status.st_size, status.st_mtime_ns


class ZipStore:
    """A store in a zip file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            with zipfile.ZipFile(path) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError, EOFError) as error:
            raise FormatError(path, f"damaged or truncated zip file: {error}") from error
        if len(entries) > _MAX_FILES:
            raise FormatError(path, f"holds more than {_MAX_FILES} files")
        self._sizes = {entry.filename: entry.file_size for entry in entries}
        if len(self._sizes) != len(entries):
            raise FormatError(path, "holds two files of one name")
        if any(entry.flag_bits & 1 for entry in entries):
            raise FormatError(path, "is encrypted")

    def read(self, key: str) -> bytes | None:
        """Return a small file, None where there is none."""
        if key not in self._sizes:
            return None
        if self._sizes[key] > _MAX_JSON:
            raise FormatError(self.path, f"its {key} is larger than metadata may be")
        try:
            with zipfile.ZipFile(self.path) as archive, archive.open(key) as file:
                return file.read(_MAX_JSON + 1)
        except Exception as error:
            raise FormatError(self.path, f"its {key} is damaged: {error}") from error

    def children(self, group: str) -> list[str]:
        """Return the names of the folders in a group."""
        start = f"{group}/" if group else ""
        rest = (key[len(start) :] for key in self._sizes if key.startswith(start))
        return sorted({part.split("/")[0] for part in rest if "/" in part})

    def files(self, array: str) -> Iterator[tuple[str, int, int]]:
        """Yield (key below the array, bytes, time of change in ns) of every file."""
        start = f"{array}/" if array else ""
        for key, size in self._sizes.items():
            if key.startswith(start) and not key.endswith("/"):
                yield key[len(start) :], size, 0


def open_store(path: Path) -> FolderStore | ZipStore | None:
    """Return the store at a path, None where there is none.

    Raises
    ------
    FormatError
        If it is a damaged one.
    """
    if path.is_dir():
        names = ("zarr.json", ".zarray", ".zgroup")
        return FolderStore(path) if any((path / name).is_file() for name in names) else None
    if _files.head(path, len(_ZIP)) != _ZIP:
        return None
    try:
        store = ZipStore(path)
    except FormatError:
        if path.name.lower().endswith((".zarr", ".zarr.zip")):
            raise
        return None  # some other zip file
    return store if any(store.read(n) for n in ("zarr.json", ".zarray", ".zgroup")) else None


def nodes(store: Store) -> list[Node]:
    """Return all arrays and groups of a store, as far as groups lead to them.

    Raises
    ------
    FormatError
        If metadata are damaged or lead out of the store.
    """
    found: list[Node] = []
    waiting = [""]
    while waiting:
        place = waiting.pop()
        node = _node(store, place)
        if node is None:
            continue
        found.append(node)
        if len(found) > _MAX_NODES:
            raise FormatError(store.path, f"holds more than {_MAX_NODES} arrays and groups")
        if node.shape is None and node.refused is None:
            inside = [f"{place}/{name}".lstrip("/") for name in store.children(place)]
            waiting += reversed(inside)
    return found


def _json(store: Store, key: str) -> dict[str, Any] | None:
    content = store.read(key)
    if content is None:
        return None
    try:
        found = json.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise FormatError(store.path, f"its {key} is not JSON: {error}") from error
    if not isinstance(found, dict):
        raise FormatError(store.path, f"its {key} holds no metadata")
    return found


def _node(store: Store, place: str) -> Node | None:
    base = f"{place}/" if place else ""
    new = _json(store, f"{base}zarr.json")
    if new is not None:
        attributes = _mapping(new.get("attributes"))
        if new.get("node_type") == "array":
            return _array_3(place, new, attributes)
        return Node(place, 3, attributes)
    old = _json(store, f"{base}.zarray")
    attributes = _json(store, f"{base}.zattrs") or {}
    if old is not None:
        return _array_2(place, old, attributes)
    if _json(store, f"{base}.zgroup") is not None:
        return Node(place, 2, attributes)
    return None


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _lengths(value: Any) -> tuple[int, ...] | None:
    """Return a shape, None where it is none."""
    if not isinstance(value, list) or not all(type(n) is int and n >= 0 for n in value):
        return None
    return tuple(value)


def _array_2(place: str, meta: Mapping[str, Any], attributes: dict[str, Any]) -> Node:
    shape, chunks = _lengths(meta.get("shape")), _lengths(meta.get("chunks"))
    dtype = meta.get("dtype")
    filters = meta.get("filters") or []
    packing = [meta.get("compressor"), *(filters if isinstance(filters, list) else [filters])]
    refused = None
    names = [p.get("id") if isinstance(p, dict) else p for p in packing if p is not None]
    bad = [name for name in names if not isinstance(name, str) or name not in _CODECS]
    if shape is None or chunks is None or len(shape) != len(chunks) or 0 in chunks:
        refused = f"has the shape {meta.get('shape')} in chunks of {meta.get('chunks')}"
    elif not isinstance(dtype, str) or not _DTYPE_2.fullmatch(dtype):
        refused = f"has values of the type {str(dtype)[:80]}, which are no counts"
    elif bad:
        refused = f"is packed by {str(bad[0])[:80]}, which is not read"
    if refused is not None or shape is None or chunks is None:
        return Node(place, 2, attributes, refused=refused)
    return Node(
        place, 2, attributes, shape, chunks, chunks, str(dtype), meta.get("fill_value")
    )  # fmt: skip


def _array_3(place: str, meta: Mapping[str, Any], attributes: dict[str, Any]) -> Node:
    shape = _lengths(meta.get("shape"))
    grid, keys = _mapping(meta.get("chunk_grid")), _mapping(meta.get("chunk_key_encoding"))
    chunks = _lengths(_mapping(grid.get("configuration")).get("chunk_shape"))
    kind = meta.get("data_type")
    dtype = _DTYPES_3.get(kind) if isinstance(kind, str) else None
    inner, refused = _codecs_3(meta.get("codecs"))
    if shape is None or chunks is None or len(shape) != len(chunks) or 0 in chunks:
        refused = f"has the shape {meta.get('shape')} in chunks of {chunks}"
    elif inner is not None and (len(inner) != len(shape) or 0 in inner):
        refused = f"has shards of {inner}"
    elif dtype is None:
        refused = f"has values of the type {str(kind)[:80]}, which are no counts"
    elif grid.get("name") != "regular" or keys.get("name") not in ("default", "v2"):
        refused = "is cut into chunks in a way that is not read"
    elif meta.get("storage_transformers"):
        refused = "is stored in a way that is not read"
    if refused is not None or shape is None or chunks is None or dtype is None:
        return Node(place, 3, attributes, refused=refused)
    names = meta.get("dimension_names")
    return Node(
        place, 3, attributes, shape, chunks, inner or chunks, dtype, meta.get("fill_value"),
        dimensions=names if isinstance(names, list) else None,
    )  # fmt: skip


def _codecs_3(codecs: Any, depth: int = 0) -> tuple[tuple[int, ...] | None, str | None]:
    """Return (inner chunks where sharded, why the codecs are refused)."""
    if not isinstance(codecs, list) or depth > 2:
        return None, "does not say how it is packed"
    inner = None
    for codec in codecs:
        name = _mapping(codec).get("name")
        if name == "sharding_indexed":
            given = _mapping(codec["configuration"]) if "configuration" in codec else {}
            inner = _lengths(given.get("chunk_shape"))
            deeper, refused = _codecs_3(given.get("codecs"), depth + 1)
            index = given.get("index_codecs")
            refused = refused or (None if index is None else _codecs_3(index, depth + 1)[1])
            if refused or inner is None:
                return None, refused or "has shards of unknown size"
            inner = deeper or inner
        elif not isinstance(name, str) or (
            name not in _CODECS_3 and name.removeprefix("numcodecs.") not in _CODECS
        ):
            return None, f"is packed by {str(name)[:80]}, which is not read"
    return inner, None


@dataclass(frozen=True)
class ChunkFiles:
    """The files of an array's chunks.

    Parameters
    ----------
    places
        Index of each stored chunk.
    expected
        Chunks that the shape asks for.
    size
        Bytes of all of them.
    print
        Names, sizes and times of all files.
    """

    places: list[tuple[int, ...]]
    expected: int
    size: int
    print: tuple[tuple[str, int, int], ...]


def chunk_files(store: Store, node: Node, largest: int) -> ChunkFiles:
    """List an array's chunks.

    Parameters
    ----------
    store, node
        The array.
    largest
        Bytes that one file may have.

    Raises
    ------
    FormatError
        If a file lies beyond the array's shape, is too large or a link.
    """
    assert node.shape is not None
    grid = [-(-length // chunk) for length, chunk in zip(node.shape, node.chunks, strict=True)]
    places, size, files = [], 0, []
    for key, bytes_, changed in store.files(node.path):
        files.append((key, bytes_, changed))
        size += bytes_
        match = _KEY_3.fullmatch(key) if node.version == 3 else None
        text = match[1].lstrip("./") if match else key
        if key.rpartition("/")[2] in _METADATA or not _KEY_2.fullmatch(text):
            continue
        if len(text) > 200:
            raise FormatError(store.path, f"holds a file of the name {key[:80]}")
        place = tuple(int(part) for part in re.split(r"[./]", text))
        if len(place) != len(grid) or any(p >= n for p, n in zip(place, grid, strict=True)):
            raise FormatError(
                store.path,
                f"/{node.path} holds the chunk {key}, beyond its shape of {node.shape}: its "
                "metadata are damaged",
            )
        if bytes_ > largest:
            raise FormatError(
                store.path, f"the chunk {key} of /{node.path} has {bytes_} bytes, more than it can"
            )
        places.append(place)
    return ChunkFiles(sorted(places), math.prod(grid), size, tuple(sorted(files)))
