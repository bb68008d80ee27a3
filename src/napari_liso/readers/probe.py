"""What a file is, in words, without opening a viewer: for bug reports.

Goes as far as it can: a file that cannot be read still shows its first bytes,
its blocks or headers, and why it was refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from os import PathLike, fspath
from pathlib import Path
from typing import Any

import numpy as np

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _hdf5, _hdf5_outline, module_for, read
from napari_liso.readers._files import head
from napari_liso.readers.peaks import propose_windows
from napari_liso.units import to_um

__all__ = ["probe"]

#: Facts with a line of their own, or places on a disk, which are nobody's business.
_SHOWN = {"format", "path", "ibd", "sha256", "warnings", "calibration", "counts_are"}
_LONG = 300
_MAX_CHANNELS = 40


def probe(path: str | PathLike[str]) -> Iterator[str]:
    """Describe a file line by line.

    Parameters
    ----------
    path
        The file; it is only read.

    Yields
    ------
    str
        First its bytes, then its blocks or headers, then what reading it gives;
        a line that begins with ``cannot be read:`` if it cannot be.

    Raises
    ------
    OSError
        If there is no such file, or it may not be read.
    """
    path = Path(fspath(path))
    size = path.stat().st_size
    yield f"file: {path.name}" + ("" if path.is_dir() else f", {size:,} bytes")
    if not path.is_dir():
        start = head(path, 16)
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in start)
        yield f"begins with: {start.hex(' ')}  |{text}|"
    module = module_for(path)
    yield f"format: {'not recognised' if module is None else module.NAME}"
    if module is None and not path.is_dir() and head(path, 8) == _hdf5.SIGNATURE:
        yield "It is an HDF5 file, but of no kind known here."
        outline: Any = _hdf5_outline.outline
    else:
        outline = getattr(module, "outline", None)
    if outline is not None:
        yield from _contents(path, outline)
    if module is None:
        yield f"cannot be read: {_why_unknown(path)}"
        return
    try:
        acquisition = read(path)
    except FormatError as error:
        place = "" if error.offset is None else f" at byte {error.offset}"
        # it may be a file beside this one, such as a map.json, that does not fit
        beside = "" if Path(error.path) == path else f"{Path(error.path).name}: "
        yield f"cannot be read: {beside}{error.reason}{place}"
        return
    except ValueError as error:
        yield f"cannot be read: {error}"
        return
    yield "read as:"
    for line in _summary(acquisition):
        yield f"  {line}"


def _why_unknown(path: Path) -> str:
    if not path.is_dir() and path.stat().st_size == 0:
        return "it is empty; copy it again from the instrument"
    return "its content is of no known format; export it in one that docs/formats.md lists"


def _contents(path: Path, outline: Any) -> Iterator[str]:
    yield "content:"
    try:
        for line in outline(path):
            yield f"  {line}"
    except (FormatError, ValueError) as error:
        yield f"  broken off: {getattr(error, 'reason', error)}"


def _summary(acquisition: Acquisition) -> Iterator[str]:
    """Describe an acquisition."""
    facts = acquisition.metadata
    frames, height, width = acquisition.counts.shape[1:]
    yield f"sha256: {facts.get('sha256')}"
    yield f"{frames} frames of {height} x {width} pixels (rows x columns), {facts['counts_are']}"
    size = acquisition.pixel_size
    if size is None:
        yield "pixel size: not in the file"
    else:
        yield f"pixel size: {to_um(size[0]):.5g} x {to_um(size[1]):.5g} um (rows x columns)"
    if acquisition.pulses is None:
        yield "primary pulses: not in the file"
    else:
        yield f"primary pulses a pixel and frame: up to {np.max(acquisition.pulses):g}"
    for name, value in facts.get("calibration", {}).items():
        yield f"calibration {name}: {value}"
    for name, value in facts.items():
        if name not in _SHOWN and value is not None:
            text = f"{value:.9g}" if isinstance(value, float) else str(value)
            yield f"{name}: {text if len(text) <= _LONG else text[:_LONG] + ' ...'}"
    for place, channel in enumerate(acquisition.channels[:_MAX_CHANNELS]):
        mass = acquisition.masses[place]
        at = "" if np.isnan(mass) else f" at {mass:.4f} u"
        yield f"channel {channel}{at}: {_amount(acquisition[channel].sum().item())}"
    if len(acquisition.channels) > _MAX_CHANNELS:
        yield f"... and {len(acquisition.channels) - _MAX_CHANNELS} more channels"
    if acquisition.spectrum_source is not None:
        yield from _peaks(acquisition)
    for warning in facts.get("warnings", ()):
        yield f"warning: {warning}"


def _amount(total: float) -> str:
    """Return a sum in words; what is no whole number was not counted."""
    return f"{total:,} counts" if isinstance(total, int) else f"intensity {total:,.7g}"


def _peaks(acquisition: Acquisition) -> Iterator[str]:
    """Describe the sum spectrum and the lithium in it."""
    mass, counts = acquisition.spectrum()
    if len(mass) == 0:
        yield "spectrum: empty"
        return
    yield f"spectrum: {len(mass):,} steps, {mass.min():.4f} to {mass.max():.4f} u"
    unit, member = np.unique(np.rint(mass).astype(np.int64), return_inverse=True)
    height = np.bincount(member, counts)
    strongest = np.argsort(height)[::-1][:8]
    yield "strongest: " + ", ".join(f"m/z {unit[i]} {height[i]:,.0f}" for i in strongest)
    for name in ("6Li", "7Li"):
        try:
            low, high = propose_windows(mass, counts, [name])[name]
        except ValueError as error:
            yield str(error)
        else:
            inside = counts[(mass >= low) & (mass < high)].sum()
            what = "counts" if inside.dtype.kind in "iu" else "intensity"
            yield f"{name}: observed window {low:.4f} to {high:.4f} u, {inside:,.0f} {what}"
