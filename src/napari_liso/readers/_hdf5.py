"""HDF5 files from elsewhere, opened without trusting them.

HDF5 can point outside itself: external links, external storage and virtual
datasets make a harmless-looking file read others on the same disk. It can
declare sizes that are not there. And on damaged files the native library may
crash or hang. So: nothing is followed out of the file, sizes are checked before
anything is allocated, and a file is examined once in a short-lived process of
its own before this one reads it (`examine`).
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from napari_liso.errors import FormatError
from napari_liso.readers import _files

__all__ = [
    "DAMAGE",
    "PACKED_BYTES_PER_SECOND",
    "SIGNATURE",
    "attribute",
    "check_dataset",
    "dataset",
    "examine",
    "group",
    "identity",
    "is_hdf5",
    "open_file",
    "written",
]

SIGNATURE = _files.HDF5_SIGNATURE

#: Bytes that one chunk may inflate to; chunks are inflated whole.
_MAX_CHUNK = 2**29
#: Elements that an attribute may have; attributes are read whole.
_MAX_ATTRIBUTE = 2**20
#: Address space of the examining process, where the system can limit it.
_EXAMINER_MEMORY = 3 * 2**30
#: The examination may take this long, plus a second for so many bytes; starting
#: the process and loading the libraries comes on top, slow on a cold disk.
_EXAMINER_SECONDS = 10.0
_EXAMINER_BYTES_PER_SECOND = 2e7
PACKED_BYTES_PER_SECOND = 1e6  #: the same for files that may be packed a hundredfold
_START_SECONDS = 90.0
_REFUSED = 3  # exit code of the examining process for a file that is not sound

#: All that h5py raises on files that are not what they say.
DAMAGE = (
    OSError, KeyError, RuntimeError, ValueError, TypeError, OverflowError, IndexError,
    AttributeError, MemoryError, NotImplementedError,
)  # fmt: skip


@contextmanager
def open_file(path: str | PathLike[str]) -> Iterator[h5py.File]:
    """Open for reading; whatever goes wrong inside becomes a `FormatError`."""
    # Only files with special compression need it: see `dataset`.
    with suppress(ImportError):
        importlib.import_module("hdf5plugin")
    try:
        # Chunks larger than the cache are inflated again for every slice.
        with h5py.File(path, "r", rdcc_nbytes=2**26) as file:
            yield file
    except FormatError:
        raise
    except DAMAGE as error:
        text = " ".join(str(error).split()) or type(error).__name__
        raise FormatError(path, f"damaged or truncated HDF5 file: {text}") from error


def _follow(file: h5py.File, name: str) -> h5py.Group | h5py.Dataset | None:
    """Walk to an object by hard links only; None where it does not exist."""
    place: h5py.Group | h5py.Dataset = file
    for part in name.strip("/").split("/"):
        if not isinstance(place, h5py.Group):
            return None
        link = place.get(part, getlink=True)
        if link is None:
            return None
        if not isinstance(link, h5py.HardLink):
            raise FormatError(
                file.filename,
                f"{place.name.rstrip('/')}/{part} is a link to somewhere else "
                f"({type(link).__name__}); such files are not followed",
            )
        place = place[part]
    return place


def group(file: h5py.File, name: str) -> h5py.Group | None:
    """Return a group, or None where it does not exist."""
    found = _follow(file, name)
    if found is not None and not isinstance(found, h5py.Group):
        raise FormatError(file.filename, f"/{name} is not a group")
    return found


def dataset(
    file: h5py.File,
    name: str,
    ndim: int = 1,
    kinds: str = "u",
    max_size: int | None = None,
    partial: bool = False,
) -> h5py.Dataset | None:
    """Return a dataset whose bytes are all in this file, or None where it does not exist.

    Parameters
    ----------
    file
        The open file.
    name
        Path inside the file.
    ndim
        Dimensions that it must have.
    kinds
        Kinds of dtype that are expected, as in ``numpy.dtype.kind``; ``"O"`` are
        whole numbers in lists of any length, ``"V"`` are records.
    max_size
        Elements that it may have.
    partial
        Whether chunks may be missing at its end (`written`).

    Raises
    ------
    FormatError
        If it is stored elsewhere, not written in full, of another type, too
        large, or compressed by a filter that is not installed.
    """
    found = _follow(file, name)
    if found is None:
        return None
    path = file.filename
    if not isinstance(found, h5py.Dataset):
        raise FormatError(path, f"/{name} is not a dataset")
    check_dataset(path, found)
    if found.shape is None or found.ndim != ndim or not _is_of(found.dtype, kinds):
        raise FormatError(
            path, f"/{name} has {found.ndim} dimensions of {found.dtype}; {ndim} were expected"
        )
    if max_size is not None and found.size > max_size:
        raise FormatError(path, f"/{name} declares {found.size} elements, above {max_size}")
    _check_storage(path, name, found, partial)
    return found


def check_dataset(path: str, found: h5py.Dataset) -> None:
    """Refuse a dataset that is stored elsewhere.

    Raises
    ------
    FormatError
        If its bytes are in another file.
    """
    if found.is_virtual or found.external:
        raise FormatError(
            path, f"{found.name} is stored in another file; such files are not followed"
        )


def _is_of(dtype: np.dtype[Any], kinds: str) -> bool:
    """Whether a dtype is of an expected kind, and is no reference or other object."""
    if dtype.kind not in kinds:
        return False
    if dtype.kind == "O":
        base = h5py.check_vlen_dtype(dtype)
        return base is not None and np.dtype(base).kind in "ui"
    if dtype.kind == "V":
        parts = [dtype[name] for name in dtype.names or ()]
        return bool(parts) and all(
            part.kind in "uifS" or h5py.check_string_dtype(part) is not None for part in parts
        )
    return True


def _check_storage(path: str, name: str, found: h5py.Dataset, partial: bool) -> None:
    """Refuse data that are declared but not there, or that cannot be inflated."""
    properties = found.id.get_create_plist()
    for index in range(properties.get_nfilters()):
        code, _, _, label = properties.get_filter(index)
        if not h5py.h5z.filter_avail(code):
            raise FormatError(
                path,
                f"/{name} is compressed by the HDF5 filter {code} ({label.decode('latin-1')}), "
                'which is not installed: pip install "napari-liso[simsh5]"',
            )
    if found.chunks is None:
        if found.id.get_storage_size() < found.nbytes:
            raise FormatError(path, f"/{name} declares {found.nbytes} bytes that are not there")
        return
    if np.prod(found.chunks, dtype=float) * found.dtype.itemsize > _MAX_CHUNK:
        raise FormatError(path, f"/{name} has chunks of {found.chunks}, too large to inflate")
    pairs = zip(found.shape, found.chunks, strict=True)
    expected = int(np.prod([-(-length // chunk) for length, chunk in pairs], dtype=object))
    if found.id.get_num_chunks() > expected or (
        found.id.get_num_chunks() < expected and not partial
    ):
        raise FormatError(
            path, f"/{name} has {found.id.get_num_chunks()} of the {expected} chunks it declares"
        )


def written(found: h5py.Dataset) -> int:
    """Return how many entries of the first axis are stored, counted from its start.

    A measurement that was broken off lacks chunks at its end.

    Raises
    ------
    FormatError
        If chunks are missing elsewhere.
    """
    if found.chunks is None or found.size == 0:
        return int(found.shape[0])
    pairs = list(zip(found.shape, found.chunks, strict=True))
    each = int(np.prod([-(-length // chunk) for length, chunk in pairs[1:]], dtype=object))
    stored = found.id.get_num_chunks()
    rows, rest = divmod(stored, each)
    if stored == each * -(-pairs[0][0] // pairs[0][1]):
        return int(found.shape[0])
    # A row of chunks that has begun is left out, the rows before it must be whole.
    places: list[int] = []
    if hasattr(found.id, "chunk_iter"):
        found.id.chunk_iter(lambda chunk: places.append(chunk.chunk_offset[0]))
    else:  # of HDF5 before 1.12.3: slower with every chunk
        places += [found.id.get_chunk_info(n).chunk_offset[0] for n in range(stored)]
    if any(place >= (rows + bool(rest)) * pairs[0][1] for place in places) or (
        sum(place < rows * pairs[0][1] for place in places) != rows * each
    ):
        raise FormatError(
            found.file.filename, f"{found.name} lacks chunks in the middle of its data"
        )
    return int(rows * pairs[0][1])


def is_hdf5(path: Path) -> bool:
    """Whether a file begins as HDF5 files do."""
    return _files.head(path, len(SIGNATURE)) == SIGNATURE


def attribute(holder: h5py.Group | h5py.Dataset, name: str) -> Any:
    """Return an attribute as a plain Python or numpy value, or None where absent."""
    if name not in holder.attrs:
        return None
    if np.prod(holder.attrs.get_id(name).shape or (), dtype=object) > _MAX_ATTRIBUTE:
        raise FormatError(holder.file.filename, f"the attribute {name} is too large")
    value = holder.attrs[name]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value


Identity = tuple[Any, ...]

# What was found in files that are sound, by what identifies module and bytes.
_examined: dict[Identity, Any] = {}


#: What changes when a file does.
identity = _files.identity


def examine(
    path: Path,
    module: str,
    key: Identity | None = None,
    size: int | None = None,
    bytes_per_second: float = _EXAMINER_BYTES_PER_SECOND,
) -> Any:
    """Run ``module.validate(path)`` in a short-lived process; once for each file.

    Parameters
    ----------
    path
        The file.
    module
        Name of the reader's module. Its ``validate`` reads everything that the
        reader will ever read.
    key, size
        Identity and bytes of what is examined where that is not one file.
    bytes_per_second
        How fast it is read on a slow machine. Images of few counts pack a hundredfold.

    Returns
    -------
    object
        What ``validate`` returned, by way of JSON.

    Raises
    ------
    FormatError
        If validation raises it, takes too long, needs too much memory, or
        brings the HDF5 library down.
    """
    key = (module, *(identity(path) if key is None else key))
    if key not in _examined:
        if getattr(sys, "frozen", False) or not sys.executable:
            # No interpreter of our own to start: then a damaged file is this process's risk.
            found = importlib.import_module(module).validate(path)
        else:
            size = path.stat().st_size if size is None else size
            found = _examine_apart(path, module, _EXAMINER_SECONDS + size / bytes_per_second)
        _examined[key] = found
    return _examined[key]


def _examine_apart(path: Path, module: str, limit: float) -> Any:
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(entry for entry in sys.path if entry)
    environment["OPENBLAS_NUM_THREADS"] = "1"  # each thread would reserve address space
    command = [
        sys.executable,
        "-c",
        "import sys; from napari_liso.readers._hdf5 import _examiner; sys.exit(_examiner())",
        module,
        fspath(path.absolute()),
        str(limit),
    ]
    try:
        done = subprocess.run(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_START_SECONDS + limit,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise FormatError(path, "could not be examined: no answer from HDF5") from None
    try:
        finding = json.loads(done.stdout.decode("utf-8").splitlines()[-1])
    except (ValueError, IndexError):
        finding = None
    if done.returncode == 0 and finding is not None:
        return finding["found"]
    if done.returncode == _REFUSED and finding is not None:
        raise FormatError(path, str(finding["reason"]), finding["offset"])
    raise FormatError(
        path, f"damaged: the library that reads it crashes or hangs (code {done.returncode})"
    )


def _examiner() -> int:
    """Validate the file named on the command line; what `examine` starts."""
    module, path, limit = sys.argv[1:4]
    validate = importlib.import_module(module).validate
    # The watchdog needs no cooperation from a library that hangs.
    faulthandler.dump_traceback_later(float(limit), exit=True)
    try:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (_EXAMINER_MEMORY, _EXAMINER_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass  # Windows has no such limits, macOS refuses some
    try:
        found = validate(Path(path))
    except FormatError as error:
        print(json.dumps({"reason": error.reason, "offset": error.offset}))
        return _REFUSED
    except MemoryError:
        print(json.dumps({"reason": "needs more memory than a file may", "offset": None}))
        return _REFUSED
    print(json.dumps({"found": found}))
    return 0
