"""Spectra that SurfaceLab's files store ready-made, of SurfaceLab 6 and 7.

Layout as published by O. Scholder with pySPM (Apache-2.0); two channels of the
converter make one step of a stored spectrum.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.readers._files import Windows
from napari_liso.readers._stream import tick_range
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.iontof.block_tree import Block, BlockTree
from napari_liso.readers.iontof.surfacelab_facts import SPECTRUM, mass_calibration

__all__ = ["StoredSpectrum", "find_spectrum"]

_COUNTS, _CORRECTED = f"{SPECTRUM}/IITFSpecArray/Data", f"{SPECTRUM}/IITFSpecArray/CorrectedData"
_VIEW = "CommonDataObjects/DataViewCollection/*"
_SEVEN = f"{_VIEW}/dataSource/simsDataCache/spectrum/correctedData"

_BINNING = 2
_MAX_STEPS = 2**23
#: Whole numbers beyond this are rounded in 32-bit floats.
_EXACT = 2**24


@dataclass(frozen=True, eq=False)
class StoredSpectrum:
    """A spectrum on the time grid of the file.

    Parameters
    ----------
    values
        Whole numbers where they are counts, else floats.
    calibration
        Of its steps.
    counts_are
        As in the metadata of an acquisition.
    rounded
        Whether the file is too coarse for some of its counts.
    """

    values: NDArray[Any]
    calibration: MassCalibration
    counts_are: str
    rounded: bool = False

    def spectrum(self) -> tuple[NDArray[np.float64], NDArray[Any]]:
        """Return (mass in u, counts) of the steps with counts."""
        filled = np.flatnonzero(self.values)
        return self.calibration.mass(filled), self.values[filled]

    def sums(self, windows: Windows | None) -> NDArray[Any]:
        """Return the counts in each window, or all of them; shape (channel,)."""
        if windows is None:
            return self.values.sum(keepdims=True)
        ranges = [tick_range(self.calibration, *window) for window in windows.values()]
        return np.array(
            [self.values[max(0, first) : max(0, end)].sum() for first, end in ranges],
            self.values.dtype,
        )


def find_spectrum(tree: BlockTree) -> StoredSpectrum | None:
    """Return the stored spectrum, counts rather than corrected ones; None without.

    Raises
    ------
    FormatError
        If it is damaged, or there is one without a mass scale.
    """
    for path, kind in ((_COUNTS, "<f4"), (_CORRECTED, "<f4"), (_SEVEN, "<f8")):
        block = tree.find(path)
        if block is None or block.is_directory or block.size == 0:
            continue
        raw = _unpacked(tree, block)
        if path == _SEVEN:
            kind = _kind_of(tree, block, len(raw))
        return _checked(tree, block, raw, kind, corrected=path != _COUNTS)
    return None


def _unpacked(tree: BlockTree, block: Block) -> bytes:
    """Return the value, inflated where it is compressed, whatever its block says."""
    most = 8 * _MAX_STEPS
    packed = tree.value(block, most)
    inflater = zlib.decompressobj()
    try:
        raw = inflater.decompress(packed, most + 1)
    except zlib.error as error:
        # No stream of zlib has another first byte; whether it is a spectrum, its length tells.
        if packed[:1] != b"x":
            return packed
        raise tree.error(f"its spectrum cannot be inflated: {error}", block.offset) from error
    if len(raw) > most or not inflater.eof:
        raise tree.error("its spectrum is cut short or too long", block.offset)
    return raw


def _kind_of(tree: BlockTree, block: Block, size: int) -> str:
    steps = tree.integer(f"{_VIEW}/sizeSpectrum")
    for kind in ("<f8", "<f4"):
        if steps is not None and size == steps * np.dtype(kind).itemsize:
            return kind
    raise tree.error(
        f"its spectrum should have {steps} steps, which do not fit its {size} bytes", block.offset
    )


def _checked(
    tree: BlockTree, block: Block, raw: bytes, kind: str, corrected: bool
) -> StoredSpectrum:
    calibration = mass_calibration(tree)
    if calibration is None:
        raise tree.error("has a spectrum but no mass scale (SF and K0)")
    if len(raw) % np.dtype(kind).itemsize:
        raise tree.error(f"its spectrum of {len(raw)} bytes is cut short", block.offset)
    values = np.frombuffer(raw, kind).astype(np.float64)
    if not np.all(np.isfinite(values)) or values.min(initial=0) < 0:
        raise tree.error("its spectrum holds negative or missing numbers", block.offset)
    calibration = replace(calibration, ticks_per_unit=1 / _BINNING)
    if corrected:
        return StoredSpectrum(
            values, calibration, "not counts: intensities after SurfaceLab's dead-time correction"
        )
    if values.sum() >= 2**53:
        raise tree.error("its spectrum holds numbers too large to add up", block.offset)
    if np.any(values != np.rint(values)):
        return StoredSpectrum(
            values, calibration, "not counts: intensities that are no whole numbers"
        )
    rounded = bool(values.max(initial=0) > _EXACT)
    return StoredSpectrum(values.astype(np.int64), calibration, "raw", rounded)
