"""Large TIFF stacks, plane by plane instead of as a whole.

Where the pixels of a plane lie in one piece, as they nearly always do without
compression, a plane is one read from the file. (Not a memory map: that of a file
that somebody shortens brings the whole process down.) Compressed planes are
unpacked one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._chunked import Values, look_at_values
from napari_liso.readers._lazy import LazyCounts

__all__ = ["Planes", "find_planes", "joined_counts", "lazy_counts"]


@dataclass(frozen=True, eq=False)
class Planes:
    """Where the planes of a stack are in its file.

    Parameters
    ----------
    path, identity
        The file, and what changes when it does.
    shape
        Of the stack, (y, x) last.
    dtype
        As stored, with its byte order.
    offsets
        Byte offset of each plane, in the order of the leading axes.
    pages
        The library's pages by plane, where they are compressed.
    """

    path: Path
    identity: tuple[Any, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    offsets: NDArray[np.int64]
    pages: tuple[Any, ...] | None = None
    _lock: Any = field(default_factory=Lock, repr=False)

    def plane(self, number: int) -> NDArray[Any]:
        """Read one (y, x) plane."""
        if _files.identity(self.path) != self.identity:
            raise FormatError(self.path, "has changed since it was opened; open it again")
        if self.pages is not None:
            return self._unpacked(self.pages[number])
        offset, pixels = int(self.offsets[number]), math.prod(self.shape[-2:])
        values = np.fromfile(self.path, self.dtype, pixels, offset=offset)
        if len(values) != pixels:
            raise FormatError(self.path, "is truncated: a plane ends early", offset)
        return values.reshape(self.shape[-2:])

    def _unpacked(self, page: Any) -> NDArray[Any]:
        """Return a compressed plane."""
        file = page.parent.filehandle
        try:
            with self._lock:
                if file.closed:
                    file.open()
                try:
                    values = page.asarray(maxworkers=1)
                finally:
                    file.close()
        except Exception as error:  # the library raises anything on damaged files
            text = " ".join(str(error).split()) or type(error).__name__
            raise FormatError(self.path, f"a plane cannot be unpacked: {text}") from error
        if values.shape != self.shape[-2:]:
            raise FormatError(self.path, f"a plane unpacks to {values.shape} pixels")
        return np.asarray(values)

    def values(self) -> Values:
        """Look at all pixels, where their type does not say that they are counts."""
        if self.dtype.kind == "u" and self.dtype.itemsize < 8:
            return Values(True, math.nan)
        shape = (len(self.offsets), *self.shape[-2:])

        def read(selection: tuple[slice, ...]) -> NDArray[Any]:
            return np.stack([self.plane(n) for n in range(shape[0])[selection[0]]])

        return look_at_values(self.path, "the image", shape, (1, *shape[1:]), read)


def find_planes(
    path: Path, file: tifffile.TiffFile, series: tifffile.TiffPageSeries
) -> Planes | None:
    """Return where the planes are, None where they cannot be read one by one.

    Parameters
    ----------
    path, file, series
        The image, its sizes checked already.
    """
    page = series.keyframe
    if page.dtype is None:
        return None
    shape = tuple(int(n) for n in series.shape)
    size = math.prod(shape[-2:]) * page.dtype.itemsize
    count = math.prod(shape[:-2])
    if not page.is_memmappable:
        if len(series.pages) != count or page.shape != shape[-2:]:
            return None
        pages = tuple(series.pages)
        offsets = np.zeros(count, np.int64)
        return Planes(path, _files.identity(path), shape, np.dtype(page.dtype), offsets, pages)
    if series.dataoffset is not None:
        offsets = series.dataoffset + size * np.arange(count, dtype=np.int64)
    else:
        if len(series.pages) != count:
            return None
        starts = [_start(one, size) for one in series.pages]
        if any(start is None for start in starts):
            return None
        offsets = np.array(starts, np.int64)
    dtype = np.dtype(page.dtype).newbyteorder(file.byteorder)
    return Planes(path, _files.identity(path), shape, dtype, offsets)


def _start(page: Any, size: int) -> int | None:
    """Return the offset of a page of `size` bytes in one piece, else None."""
    if page is None or not page.dataoffsets:
        return None
    place = int(page.dataoffsets[0])
    end = place
    for offset, count in zip(page.dataoffsets, page.databytecounts, strict=True):
        if offset != end:
            return None
        end += count
    return place if end - place >= size else None


def lazy_counts(planes: Planes, order: Sequence[int], channels: int, values: Values) -> LazyCounts:
    """Return counts (channel, frame, y, x) whose images are read when indexed.

    Parameters
    ----------
    planes
        Where the images are.
    order
        The leading axes, that of the channels first.
    channels
        How many there are.
    values
        What the pixels are.
    """
    leading = planes.shape[:-2]
    table = np.arange(len(planes.offsets)).reshape(leading).transpose(order)
    table = table.reshape(channels, -1)
    dtype = values.dtype(planes.dtype)
    height, width = planes.shape[-2:]
    return LazyCounts(
        (channels, table.shape[1], height, width),
        dtype,
        lambda channel, frame: planes.plane(int(table[channel, frame])).astype(dtype),
    )


def joined_counts(parts: Sequence[Any]) -> LazyCounts | NDArray[Any]:
    """Join counts of one channel each."""
    if not any(isinstance(part, LazyCounts) for part in parts):
        return np.concatenate(parts)
    dtype = np.result_type(*(part.dtype for part in parts))
    shape = (len(parts), *parts[0].shape[1:])
    return LazyCounts(shape, dtype, lambda channel, frame: parts[channel][0, frame])
