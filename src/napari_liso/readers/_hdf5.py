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

__all__ = ["SIGNATURE", "attribute", "dataset", "examine", "group", "open_file"]

SIGNATURE = b"\x89HDF\r\n\x1a\n"

#: Bytes that one chunk may inflate to; chunks are inflated whole.
_MAX_CHUNK = 2**29
#: Address space of the examining process, where the system can limit it.
_EXAMINER_MEMORY = 3 * 2**30
#: The examination may take this long, plus a second for so many bytes; starting
#: the process and loading the libraries comes on top, slow on a cold disk.
_EXAMINER_SECONDS = 10.0
_EXAMINER_BYTES_PER_SECOND = 2e7
_START_SECONDS = 90.0

# All that h5py raises on files that are not what they say.
_DAMAGE = (
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
    except _DAMAGE as error:
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
    file: h5py.File, name: str, ndim: int = 1, kinds: str = "u", max_size: int | None = None
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
        Kinds of dtype that are expected, as in ``numpy.dtype.kind``.
    max_size
        Elements that it may have.

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
    if found.is_virtual or found.external:
        raise FormatError(path, f"/{name} is stored in another file; such files are not followed")
    if found.shape is None or found.ndim != ndim or found.dtype.kind not in kinds:
        raise FormatError(
            path, f"/{name} has {found.ndim} dimensions of {found.dtype}; {ndim} were expected"
        )
    if max_size is not None and found.size > max_size:
        raise FormatError(path, f"/{name} declares {found.size} elements, above {max_size}")
    _check_storage(path, name, found)
    return found


def _check_storage(path: str, name: str, found: h5py.Dataset) -> None:
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
    if found.id.get_num_chunks() != expected:
        raise FormatError(
            path, f"/{name} has {found.id.get_num_chunks()} of the {expected} chunks it declares"
        )


def attribute(holder: h5py.Group | h5py.Dataset, name: str) -> Any:
    """Return an attribute as a plain Python or numpy value, or None where absent."""
    if name not in holder.attrs:
        return None
    value = holder.attrs[name]
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return value.item() if isinstance(value, np.generic) else value


# Files found sound in this session, by what identifies their bytes.
_examined: set[tuple[str, int, int]] = set()


def examine(path: Path, module: str) -> None:
    """Run ``module.validate(path)`` in a short-lived process; once for each file.

    Parameters
    ----------
    path
        The file.
    module
        Name of the reader's module. Its ``validate`` reads everything that the
        reader will ever read.

    Raises
    ------
    FormatError
        If validation raises it, takes too long, needs too much memory, or
        brings the HDF5 library down.
    """
    status = path.stat()
    key = (str(path.resolve()), status.st_mtime_ns, status.st_size)
    if key in _examined:
        return
    if getattr(sys, "frozen", False) or not sys.executable:
        # No interpreter of our own to start: then a damaged file is this process's risk.
        importlib.import_module(module).validate(path)
    else:
        _examine_apart(path, module, status.st_size)
    _examined.add(key)


def _examine_apart(path: Path, module: str, size: int) -> None:
    limit = _EXAMINER_SECONDS + size / _EXAMINER_BYTES_PER_SECOND
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
    if done.returncode == 0:
        return
    try:
        finding = json.loads(done.stdout.decode("utf-8").splitlines()[-1])
    except (ValueError, IndexError):
        raise FormatError(
            path, f"damaged: the HDF5 library crashes or hangs on it (code {done.returncode})"
        ) from None
    raise FormatError(path, str(finding["reason"]), finding["offset"])


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
        validate(Path(path))
    except FormatError as error:
        print(json.dumps({"reason": error.reason, "offset": error.offset}))
        return 3
    return 0
