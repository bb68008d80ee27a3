"""The numbers in the ``.ibd`` of an imzML pair, in batches of a bounded size.

A batch is read as whole stretches of the file where its arrays lie close
together, as they do in the order in which instruments write them.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers.imzml.ibd import stored_bytes
from napari_liso.readers.imzml.terms import ArrayKind, Arrays, Spectra

__all__ = ["Batch", "batches"]

#: Values handled at a time.
_BATCH = 2**19
#: A stretch is read whole if it is not longer than so many times what is wanted of it.
_STRETCH = 8

Piece = bytes | memoryview


@dataclass(frozen=True, eq=False)
class Batch:
    """Consecutive spectra.

    Parameters
    ----------
    spectra
        Their numbers.
    length
        Values in each.
    mz, intensity
        The values of all, one spectrum after the other, as stored. Where
        `shared`, `mz` holds those of one spectrum, which are those of all.
    shared
        Whether all spectra of the file have the same m/z values.
    """

    spectra: range
    length: NDArray[np.int64]
    mz: NDArray[Any]
    intensity: NDArray[Any]
    shared: bool


def batches(ibd: Path, spectra: Spectra) -> Iterator[Batch]:
    """Read all spectra, a bounded number of values at a time.

    Parameters
    ----------
    ibd
        The file.
    spectra
        Whose arrays were found inside the file (`ibd.check_arrays`).

    Raises
    ------
    FormatError
        If an array does not inflate to what it should, or the file has changed.
    """
    with open(ibd, "rb") as file:
        mz = _Reader(ibd, file, spectra, spectra.mz)
        intensity = _Reader(ibd, file, spectra, spectra.intensity)
        axis = mz.read(range(1)) if spectra.share_axis else None
        for part in _parts(spectra):
            yield Batch(
                part,
                spectra.mz.length[part.start : part.stop],
                mz.read(part) if axis is None else axis,
                intensity.read(part),
                shared=axis is not None,
            )


def _parts(spectra: Spectra) -> Iterator[range]:
    """Divide the spectra into runs of one kind and a bounded number of values."""
    kind = spectra.mz.kind * len(spectra.kinds) + spectra.intensity.kind
    changes = (np.flatnonzero(np.diff(kind)) + 1).tolist()
    total = np.cumsum(spectra.mz.length)
    for start, stop in zip([0, *changes], [*changes, len(spectra)], strict=True):
        while start < stop:
            before = int(total[start - 1]) if start else 0
            end = int(np.searchsorted(total, before + _BATCH, side="right"))
            end = min(max(end, start + 1), stop)
            yield range(start, end)
            start = end


class _Reader:
    """Reads the arrays of one role."""

    def __init__(self, ibd: Path, file: BinaryIO, spectra: Spectra, arrays: Arrays) -> None:
        self._ibd, self._file, self._arrays, self._kinds = ibd, file, arrays, spectra.kinds
        self._held = stored_bytes(arrays, spectra)
        self._axis: tuple[tuple[int, int], bytes] | None = None

    def read(self, part: range) -> NDArray[Any]:
        """Return the values of consecutive spectra of one kind, one after the other."""
        chosen = slice(part.start, part.stop)
        kind = self._kinds[self._arrays.kind[part.start]]
        offset, held = self._arrays.offset[chosen].tolist(), self._held[chosen].tolist()
        pieces = self._pieces(offset, held)
        if kind.zlib:
            length = self._arrays.length[chosen].tolist()
            pieces = [
                self._inflate(kind, piece, *place)
                for piece, *place in zip(pieces, length, offset, strict=True)
            ]
        return np.frombuffer(b"".join(pieces), kind.dtype)

    def _pieces(self, offset: list[int], held: list[int]) -> list[Piece]:
        real = [(place, size) for place, size in zip(offset, held, strict=True) if size]
        if not real:
            return [b""] * len(held)
        low = min(place for place, _ in real)
        high = max(place + size for place, size in real)
        if high - low > _STRETCH * sum(held) + 2**16:
            return [
                self._bytes(place, size) if size else b""
                for place, size in zip(offset, held, strict=True)
            ]
        stretch = memoryview(self._bytes(low, high - low))
        return [
            stretch[place - low : place - low + size] if size else b""
            for place, size in zip(offset, held, strict=True)
        ]

    def _bytes(self, offset: int, size: int) -> bytes:
        self._file.seek(offset)
        read = self._file.read(size)
        if len(read) != size:
            raise FormatError(self._ibd, "became shorter while it was read", offset)
        return read

    def _inflate(self, kind: ArrayKind, piece: Piece, length: int, offset: int) -> bytes:
        """Inflate one array to exactly the size that its values need."""
        key = (offset, length)
        if self._axis is not None and self._axis[0] == key:
            return self._axis[1]
        size = length * np.dtype(kind.dtype).itemsize
        if size == 0:
            return b""
        stream = zlib.decompressobj()
        try:
            inflated = stream.decompress(piece, size + 1)
        except zlib.error as error:
            raise FormatError(
                self._ibd, f"is damaged: an array cannot be inflated ({error})", offset
            ) from None
        if len(inflated) != size or not stream.eof:
            raise FormatError(
                self._ibd,
                f"is damaged: an array of {length} values does not inflate to {size} bytes",
                offset,
            )
        self._axis = (key, inflated)
        return inflated
