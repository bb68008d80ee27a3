"""Arrays with named axes, in HDF5 and zarr: one convention that takes five lines to write.

An array of two to five dimensions is an image of counts if its axes are named:

``axes``
    Attribute: a letter for each axis, such as ``"cfyx"``, or a list of names.
    ``c`` (channel, peak, ion) chooses the peak, ``f`` (frame, scan, cycle), ``t``
    (time) and ``z`` (depth, slice, layer) are frames, ``y`` (row) and ``x`` (column) the image,
    row 0 at the top; in any order. In its stead: HDF5's dimension labels, zarr's
    ``dimension_names``, xarray's ``_ARRAY_DIMENSIONS``, OME-Zarr's axes.
``channels``
    Names of the peaks, such as ``["6Li", "7Li"]``.
``masses_u``
    Their masses in u, NaN where unknown.
``pixel_size_um``
    A number, or [y, x].
``polarity``, ``pulses_per_pixel``
    ``"positive"`` or ``"negative"``; primary-ion pulses of a pixel in one frame.

All but the axes may be left out. A JSON or CSV file beside the data says the same
and wins, as for TIFF.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers._chunked import Axes, Chunked, Read, Values, chunked_counts
from napari_liso.readers.arrays.peak_names import Sidecar
from napari_liso.units import from_um

__all__ = [
    "ATTRIBUTES",
    "KINDS",
    "MAX_DIMENSIONS",
    "MIN_DIMENSIONS",
    "NamedArray",
    "acquisition_of",
    "axes_of",
    "axis_names",
    "check",
    "chosen",
    "texts",
]

#: Attributes of the convention, apart from the axes.
ATTRIBUTES = ("channels", "masses_u", "pixel_size_um", "polarity", "pulses_per_pixel")
#: Kinds of dtype that can be counts.
KINDS = "uif"
MIN_DIMENSIONS, MAX_DIMENSIONS = 2, 5
_MAX_BYTES = 2**42
_MAX_FRAMES = 2**20
_MAX_CHANNELS = 2**16

_MEANING = {
    "c": "c", "channel": "c", "channels": "c", "peak": "c", "peaks": "c", "ion": "c",
    "ions": "c", "species": "c",
    "f": "f", "frame": "f", "frames": "f", "scan": "f", "scans": "f", "cycle": "f",
    "cycles": "f", "t": "f", "time": "f", "z": "f", "depth": "f", "slice": "f", "slices": "f",
    "layer": "f", "layers": "f", "plane": "f", "planes": "f",
    "y": "y", "row": "y", "rows": "y", "x": "x", "column": "x", "columns": "x",
}  # fmt: skip


@dataclass(frozen=True)
class NamedArray:
    """An array with named axes and what it says of itself.

    Parameters
    ----------
    name
        Where it is in its file.
    shape, chunks
        As stored; chunks None where it is in one piece.
    dtype
        As numpy writes it.
    axes
        Name of each axis.
    attributes
        Of the convention (`ATTRIBUTES`), JSON-able, unchecked.
    sources
        Where facts are from that another standard states, by attribute.
    """

    name: str
    shape: tuple[int, ...]
    chunks: tuple[int, ...] | None
    dtype: str
    axes: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """Return the array as JSON knows it."""
        return asdict(self)

    @classmethod
    def from_json(cls, facts: Mapping[str, Any]) -> NamedArray:
        """Return the array that `as_json` described."""
        chunks = facts["chunks"]
        return cls(
            facts["name"],
            tuple(facts["shape"]),
            None if chunks is None else tuple(chunks),
            facts["dtype"],
            tuple(facts["axes"]),
            dict(facts["attributes"]),
            dict(facts["sources"]),
        )


def texts(value: Any) -> list[str] | None:
    """Return texts as they come out of attributes as a list of str, None if they are none."""
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, (str, bytes)):
        value = [value]
    if not isinstance(value, (list, tuple)):
        return None
    found = [v.decode("utf-8", "replace") if isinstance(v, bytes) else v for v in value]
    return found if all(isinstance(v, str) for v in found) else None


def axis_names(value: Any, ndim: int) -> tuple[str, ...] | None:
    """Return the name of each axis from an attribute such as ``"cfyx"``, or None."""
    found = texts(value)
    if found is not None and len(found) == 1 and ndim > 1:
        text = found[0].strip()
        for separator in (",", " "):
            if separator in text:
                found = [part.strip() for part in text.split(separator) if part.strip()]
                break
        else:
            found = list(text)
    if found is None or len(found) != ndim:
        return None
    return tuple(name.strip().lower() for name in found)


def axes_of(names: Sequence[str] | None) -> Axes | None:
    """Return what named axes are, or None where they are not those of an image."""
    if names is None or not MIN_DIMENSIONS <= len(names) <= MAX_DIMENSIONS:
        return None
    meant = [_MEANING.get(name.strip().lower(), "?") for name in names]
    if "?" in meant or meant.count("y") != 1 or meant.count("x") != 1 or meant.count("c") > 1:
        return None
    return Axes(
        y=meant.index("y"),
        x=meant.index("x"),
        channel=meant.index("c") if "c" in meant else None,
        frames=tuple(axis for axis, letter in enumerate(meant) if letter == "f"),
    )


def chosen(path: Path, arrays: Sequence[NamedArray], default: Any) -> NamedArray:
    """Return the one array to read.

    Parameters
    ----------
    path
        Of the file.
    arrays
        All that could be read.
    default
        What the file's root attribute ``default`` says.

    Raises
    ------
    FormatError
        If there is none, or several and none is named.
    """
    wanted = texts(default)
    if wanted is not None and len(wanted) == 1:
        name = wanted[0].strip("/")
        for array in arrays:
            if array.name.strip("/") == name:
                return array
        raise FormatError(path, f"its default {name!r} is no array with the axes of an image")
    if not arrays:
        raise FormatError(path, "holds no array that names the axes of an image")
    if len(arrays) > 1:
        names = ", ".join(array.name for array in arrays[:20])
        raise FormatError(
            path,
            f"holds {len(arrays)} images of counts: {names}. Name the one to read in an "
            'attribute "default" of the file, or save it alone',
        )
    return arrays[0]


def check(path: Path, array: NamedArray) -> Axes:
    """Refuse sizes and attributes that no measurement has.

    Raises
    ------
    FormatError
        If the array or what it says of itself cannot be true.
    """
    axes = axes_of(array.axes)
    if axes is None:
        raise FormatError(path, f"{array.name} has axes {array.axes}, which are no image's")
    shape = axes.shape(array.shape)
    _files.check_image_size(path, *shape[2:])
    if shape[1] > _MAX_FRAMES or shape[0] > _MAX_CHANNELS:
        raise FormatError(path, f"{array.name} declares {shape[0]} peaks in {shape[1]} frames")
    if 0 in array.shape:
        raise FormatError(path, f"{array.name} is empty: its shape is {array.shape}")
    declared = math.prod(array.shape) * np.dtype(array.dtype).itemsize
    if declared > _MAX_BYTES:
        raise FormatError(path, f"{array.name} declares {declared} bytes, more than can be true")
    _Facts.read(path, array, shape[0])
    return axes


@dataclass(frozen=True)
class _Facts:
    """The attributes of an array, checked."""

    names: tuple[str, ...] | None
    masses: tuple[float, ...] | None
    pixel_size: tuple[float, float] | None
    polarity: str | None
    pulses: float | None

    @classmethod
    def read(cls, path: Path, array: NamedArray, channels: int) -> _Facts:
        """Check every attribute that is there."""

        def wrong(attribute: str, what: str) -> FormatError:
            return FormatError(path, f'attribute "{attribute}" of {array.name} must be {what}')

        given = array.attributes
        names: list[str] | None = None
        if given.get("channels") is not None:
            names = texts(given["channels"])
            if names is not None and len(names) == 1 and channels > 1:
                names = names[0].split(",")
            names = None if names is None else [name.strip() for name in names]
            if names is None or len(names) != channels or not all(names):
                raise wrong("channels", f"{channels} names")
            if len(set(names)) != channels:
                raise wrong("channels", f"{channels} different names, got {names}")
        masses = _numbers(given.get("masses_u"))
        if given.get("masses_u") is not None and (
            masses is None or len(masses) != channels or any(m <= 0 or m > 1e6 for m in masses)
        ):
            raise wrong("masses_u", f"{channels} masses in u, NaN where unknown")
        size = _numbers(given.get("pixel_size_um"))
        if given.get("pixel_size_um") is not None and (
            size is None
            or len(size) not in (1, 2)
            or not all(from_um(s) > 0 and s < 1e6 for s in size)
        ):
            raise wrong("pixel_size_um", "a positive number, or [y, x]")
        pulses = _numbers(given.get("pulses_per_pixel"))
        if given.get("pulses_per_pixel") is not None and (
            pulses is None or len(pulses) != 1 or not 0 < pulses[0] < 1e15
        ):
            raise wrong("pulses_per_pixel", "a positive number")
        polarity = texts(given.get("polarity"))
        if given.get("polarity") is not None and (
            not polarity or polarity[0].lower() not in ("positive", "negative")
        ):
            raise wrong("polarity", '"positive" or "negative"')
        return cls(
            None if names is None else tuple(names),
            None if masses is None else tuple(masses),
            None if size is None else (from_um(size[0]), from_um(size[-1])),
            None if polarity is None else polarity[0].lower(),
            None if pulses is None else pulses[0],
        )


def _numbers(value: Any) -> list[float] | None:
    """Return numbers as they come out of attributes as a list, None if they are none."""
    many = value if isinstance(value, (list, tuple)) else [value]
    try:
        # JSON has no NaN; None is what is written in its stead.
        return [math.nan if v is None and many is value else float(v) for v in many]
    except (TypeError, ValueError, OverflowError):
        return None


def acquisition_of(
    path: Path,
    metadata: dict[str, Any],
    array: NamedArray,
    values: Values,
    sidecar: Sidecar,
    read: Read,
) -> Acquisition:
    """Make an acquisition of an array.

    Parameters
    ----------
    path
        Of the file.
    metadata
        To be added to.
    array
        What is read.
    values
        What its values are.
    sidecar
        What a file beside it says.
    read
        Returns a part of the array.

    Raises
    ------
    FormatError
        If the names beside the file do not fit.
    """
    axes = check(path, array)
    stored = np.dtype(array.dtype)
    source = Chunked(array.shape, array.chunks, stored.itemsize, axes, read)
    channels, frames = source.shape[:2]
    facts = _Facts.read(path, array, channels)
    names, names_from = _names(path, array, facts, sidecar, channels)
    masses, size = facts.masses, facts.pixel_size
    size_from: str | None = array.sources.get("pixel_size_um", f"{array.name}: pixel_size_um")
    if any(mass is not None for mass in sidecar.masses):
        masses = tuple(np.nan if mass is None else mass for mass in sidecar.masses)
    if sidecar.path is not None and sidecar.pixel_size_um is not None:
        y, x = sidecar.pixel_size_um
        size, size_from = (from_um(y), from_um(x)), sidecar.path.name
    warnings = [*metadata["warnings"], *sidecar.warnings]
    if names_from is None:
        warnings.append("Nothing names the peaks in this file; they are called by their number.")
    metadata |= {
        "counts_are": values.counts_are(stored),
        "warnings": warnings,
        "array": array.name,
        "axes": list(array.axes),
        "frames": frames,
        "polarity": facts.polarity,
        "names_from": names_from,
        "pixel_size_source": None if size is None else size_from,
        "origin": "as stored, row 0 = top",
    }
    return Acquisition(
        counts=chunked_counts(source, values.dtype(stored)),
        channels=names,
        masses=np.array(masses if masses is not None else [np.nan] * channels),
        pixel_size=size,
        pulses=None if facts.pulses is None else np.full((1, 1, 1), facts.pulses),
        metadata=metadata,
    )


def _names(
    path: Path, array: NamedArray, facts: _Facts, sidecar: Sidecar, channels: int
) -> tuple[tuple[str, ...], str | None]:
    """Return (names of the channels, where they are from or None)."""
    if sidecar.path is not None:
        if len(sidecar.names) != channels:
            raise FormatError(
                sidecar.path,
                f"names {len(sidecar.names)} peaks, but {array.name} holds {channels}",
            )
        return sidecar.names, sidecar.path.name
    if facts.names is not None:
        return facts.names, array.sources.get("channels", f"{array.name}: channels")
    if channels == 1:
        return (path.name.removesuffix(path.suffix).removesuffix(".ome"),), "file name"
    return tuple(f"channel {number + 1}" for number in range(channels)), None
