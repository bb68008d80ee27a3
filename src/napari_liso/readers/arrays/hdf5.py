"""HDF5 files with arrays whose axes are named, as a script writes them in five lines.

::

    with h5py.File("map.h5", "w") as file:
        data = file.create_dataset("counts", data=counts, compression="gzip")
        data.attrs["axes"] = "cfyx"  # channel, frame, row, column
        data.attrs["channels"] = ["6Li", "7Li"]
        data.attrs["pixel_size_um"] = 0.3125

The convention is that of `named_arrays`. A file with several such arrays says in
its root attribute ``default`` which is meant.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files, _hdf5
from napari_liso.readers._chunked import Values, look_at_values
from napari_liso.readers._hdf5_outline import arrays_in, arrays_of, listing, outline
from napari_liso.readers._hdf5_outline import validate as list_file
from napari_liso.readers.arrays.named_arrays import (
    KINDS,
    NamedArray,
    acquisition_of,
    check,
    chosen,
)
from napari_liso.readers.arrays.peak_names import read_sidecar

__all__ = ["NAME", "outline", "read", "recognise", "validate", "why_not"]

NAME = "HDF5 array"

#: A file up to this size is searched for the words that a reader looks for.
_SEARCHED = 2**23
_WORDS = (b"axes", b"DIMENSION_LABELS", b"DIMENSION_LIST")


def recognise(path: Path) -> bool:
    """Whether a file holds an array with the axes of an image.

    Small files without the words are told by their bytes; for others a short-lived
    process looks, since the words may be anywhere.
    """
    if not _hdf5.is_hdf5(path):
        return False
    axes = _sidecar_axes(path)
    if path.stat().st_size <= _SEARCHED and axes is None:
        content = _files.head(path, _SEARCHED)
        if not any(word in content for word in _WORDS):
            return False
    try:
        return bool(arrays_in(path, axes)[0])
    except FormatError:
        return False


def _sidecar_axes(path: Path) -> str | None:
    try:
        return read_sidecar(path).axes
    except FormatError:
        return None  # is told when the file is read


def why_not(path: Path) -> str | None:
    """Say why an HDF5 file that no reader knows is not read, and what to do; None for others."""
    if path.is_dir() or not _hdf5.is_hdf5(path):
        return None
    try:
        found = listing(path)
    except FormatError as error:
        return error.reason
    unnamed = found["unnamed"]
    if not unnamed and found["elsewhere"]:
        return (
            f"is an HDF5 file whose array {found['elsewhere'][0]} is stored in another file; such "
            "files are not followed"
        )
    if not unnamed:
        return (
            "is an HDF5 file in no format known here and holds no array of two to five dimensions"
        )
    names = ", ".join(f"{array['name']} {tuple(array['shape'])}" for array in unnamed[:5])
    return (
        "is an HDF5 file in no format known here. If one of its arrays is an image of counts "
        f"({names}), name its axes in an attribute, such as axes = 'cfyx' (channel, frame, y, x)"
    )


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read an array of counts with named axes.

    Parameters
    ----------
    path
        The file.
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
        If the file is damaged, points outside, holds several arrays, negative
        whole numbers, or attributes that do not fit.
    ValueError
        If windows are given.
    """
    if windows is not None:
        raise ValueError(
            "an HDF5 array holds images of chosen peaks; it has no mass axis for windows"
        )
    sidecar = read_sidecar(path)
    metadata = _files.base_metadata(path, NAME)
    identity = _hdf5.identity(path)
    found = _hdf5.examine(
        path,
        __name__,
        (*identity, sidecar.axes),
        bytes_per_second=_hdf5.PACKED_BYTES_PER_SECOND,
    )
    array = NamedArray.from_json(found["array"])

    def part(selection: tuple[slice, ...]) -> NDArray[Any]:
        if _hdf5.identity(path) != identity:
            raise FormatError(path, "has changed since it was opened; open it again")
        with _hdf5.open_file(path) as file:
            return np.asarray(_dataset(file, array)[selection])

    values = Values(found["whole"], found["largest"])
    return acquisition_of(path, metadata, array, values, sidecar, part)


def validate(path: Path) -> dict[str, Any]:
    """Find the array to read and look at each of its values.

    Raises
    ------
    FormatError
        If something is missing, contradicts itself or cannot be read.
    """
    arrays, default = arrays_of(list_file(path), read_sidecar(path).axes)
    array = chosen(path, arrays, default)
    check(path, array)
    with _hdf5.open_file(path) as file:
        data = _dataset(file, array)
        chunks = array.chunks or (*(1,) * (data.ndim - 2), *array.shape[-2:])
        values = look_at_values(path, array.name, array.shape, chunks, data.__getitem__)
    return {"array": array.as_json(), "whole": values.whole, "largest": values.largest}


def _dataset(file: h5py.File, array: NamedArray) -> h5py.Dataset:
    """Return the dataset of an array, checked."""
    data = _hdf5.dataset(file, array.name.strip("/"), len(array.shape), KINDS)
    if data is None or data.shape != array.shape or data.dtype.str != array.dtype:
        raise FormatError(file.filename, f"{array.name} has changed since it was opened")
    return data
