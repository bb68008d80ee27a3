"""Names and masses of the peaks of a TIFF: from its metadata or a file beside it."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import tifffile

from napari_liso.errors import FormatError
from napari_liso.units import from_um

__all__ = ["Sidecar", "names_in_file", "ome_pixels", "read_sidecar"]

_NAME_COLUMNS = ("name", "peak", "channel", "ion")
_MASS_COLUMNS = ("mass", "mass_u", "m/z", "mz")
_MAX_SIDECAR = 2**24
_MAX_NAME = 100
# What ImageJ puts before the name in the labels of a hyperstack: "c:1/2 t:1/3 - 6Li".
_HYPERSTACK_PREFIX = re.compile(r"^(?:[czt]:\d+/\d+ ?)+(?:- )?")


@dataclass(frozen=True)
class Sidecar:
    """What a file beside the TIFF says; it wins over the TIFF's own metadata.

    Parameters
    ----------
    path
        The file, or None where there is none.
    names, masses
        Of the peaks, in order; masses in u, None where not given.
    axes
        Such as ``"CTYX"``, or None.
    pixel_size_um
        (y, x), or None.
    warnings
        Files that looked like one but are none.
    """

    path: Path | None = None
    names: tuple[str, ...] = ()
    masses: tuple[float | None, ...] = ()
    axes: str | None = None
    pixel_size_um: tuple[float, float] | None = None
    warnings: tuple[str, ...] = field(default=())


def read_sidecar(path: Path) -> Sidecar:
    """Read ``map.json`` or ``map.csv`` beside ``map.tif`` (or ``map.tif.json``), if there is one.

    JSON: ``{"channels": ["6Li", {"name": "7Li", "mass": 7.016}], "axes": "CYX",
    "pixel_size_um": 0.3}``, all but ``channels`` optional. CSV: a header with a
    column ``name`` and optionally ``mass``, a row for each peak.

    Raises
    ------
    FormatError
        If it is meant as one and cannot be understood.
    """
    stem = path.name.removesuffix(path.suffix).removesuffix(".ome")
    warnings: list[str] = []
    for suffix, parse in ((".json", _from_json), (".csv", _from_csv)):
        for candidate in dict.fromkeys((path.name + suffix, stem + suffix)):
            beside = path.with_name(candidate)
            if not beside.is_file() or _is_table_of_results(beside):
                continue
            found = parse(beside)
            if found is not None:
                return found
            warnings.append(f"{beside.name} beside the file names no peaks and was not used.")
    return Sidecar(warnings=tuple(warnings))


def _is_table_of_results(path: Path) -> bool:
    """Tell whether a CSV was written by `write_table`: results, no list of peaks."""
    if path.suffix != ".csv":
        return False
    with path.open("rb") as file:
        return file.read(3) == b"# {"


def _text(path: Path) -> str:
    if path.stat().st_size > _MAX_SIDECAR:
        raise FormatError(
            path, f"is larger than the {_MAX_SIDECAR} bytes a list of peaks may have"
        )
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError(path, "is not UTF-8 text", error.start) from error


def _from_json(path: Path) -> Sidecar | None:
    try:
        content = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise FormatError(path, f"is not JSON: {error}") from error
    if not isinstance(content, dict) or "channels" not in content:
        return None
    channels = content["channels"]
    if not isinstance(channels, list) or not channels:
        raise FormatError(path, '"channels" must be a list of names')
    names, masses = [], []
    for channel in channels:
        entry = channel if isinstance(channel, dict) else {"name": channel}
        names.append(entry.get("name"))
        masses.append(entry.get("mass"))
    size = content.get("pixel_size_um")
    axes = content.get("axes")
    if axes is not None and not isinstance(axes, str):
        raise FormatError(path, f'"axes" must be text such as "CYX", not {axes!r}')
    return Sidecar(
        path,
        _checked_names(path, names),
        tuple(_checked_mass(path, mass) for mass in masses),
        None if axes is None else axes.upper(),
        None if size is None else _checked_size(path, size),
    )


def _from_csv(path: Path) -> Sidecar | None:
    text = _text(path)
    rows = [row for row in csv.reader(io.StringIO(text)) if row and not row[0].startswith("#")]
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    columns = [header.index(name) for name in _NAME_COLUMNS if name in header]
    if not columns:
        return None
    mass_columns = [header.index(name) for name in _MASS_COLUMNS if name in header]
    if any(len(row) < len(header) for row in rows[1:]) or len(rows) < 2:
        raise FormatError(path, "needs a row for each peak, with as many cells as the header")
    names = [row[columns[0]] for row in rows[1:]]
    masses = [row[mass_columns[0]].strip() or None for row in rows[1:]] if mass_columns else None
    return Sidecar(
        path,
        _checked_names(path, names),
        tuple(_checked_mass(path, mass) for mass in masses or [None] * len(names)),
    )


def _checked_names(path: Path, names: Sequence[Any]) -> tuple[str, ...]:
    if not all(isinstance(name, str) and name.strip() for name in names):
        raise FormatError(path, f"every peak needs a name, got {list(names)}")
    stripped = tuple(name.strip() for name in names)
    if len(set(stripped)) != len(stripped):
        raise FormatError(path, f"the names of the peaks are not unique: {stripped}")
    return stripped


def _checked_mass(path: Path, mass: Any) -> float | None:
    if mass is None:
        return None
    try:
        value = float(mass)
    except (TypeError, ValueError, OverflowError):
        value = -1.0
    if not 0 < value < 1e6:
        raise FormatError(path, f"a mass must be a positive number in u, got {mass!r}")
    return value


def _checked_size(path: Path, size: Any) -> tuple[float, float]:
    both = size if isinstance(size, list) else [size, size]
    try:
        y, x = (float(value) for value in both)
    except (TypeError, ValueError, OverflowError):
        y = x = -1.0
    if not (from_um(y) > 0 and y < 1e6 and from_um(x) > 0 and x < 1e6):
        raise FormatError(
            path, f'"pixel_size_um" must be a positive number or [y, x], got {size!r}'
        )
    return y, x


def ome_pixels(file: tifffile.TiffFile) -> ElementTree.Element | None:
    """Return the ``Pixels`` element of the first image of OME metadata, or None."""
    if not file.is_ome or file.ome_metadata is None:
        return None
    try:
        root = ElementTree.fromstring(file.ome_metadata)
    except ElementTree.ParseError:
        return None
    return root.find(".//{*}Image/{*}Pixels")


def names_in_file(file: tifffile.TiffFile) -> tuple[str, tuple[str, ...]] | None:
    """Return (where from, names) where the TIFF itself names its channels or pages.

    Names that are empty or not unique name nothing and are passed over.
    """
    # The description of a single page is more often a remark than a name.
    described = file.pages if len(file.pages) > 1 else ()
    for source, names in (
        ("OME channel names", _ome_names(file)),
        ("ImageJ labels", _imagej_names(file)),
        ("metadata", _shaped_names(file)),
        ("page names", [_tag(page, "PageName") for page in file.pages]),
        (
            "page descriptions",
            [_tag(page, "ImageDescription") for page in described],
        ),
    ):
        cleaned = tuple(_clean(name) for name in names)
        if cleaned and all(cleaned) and len(set(cleaned)) == len(cleaned):
            return source, cleaned
    return None


def _clean(name: Any) -> str:
    """Return a name of one short line; anything else is no name."""
    lines = str(name or "").strip().splitlines()
    text = _HYPERSTACK_PREFIX.sub("", lines[0].strip()).strip() if lines else ""
    is_metadata = text.startswith(("<", "{", "ImageJ="))
    return "" if is_metadata or len(text) > _MAX_NAME or len(lines) > 2 else text


def _ome_names(file: tifffile.TiffFile) -> list[str | None]:
    pixels = ome_pixels(file)
    return [] if pixels is None else [c.get("Name") for c in pixels.findall("{*}Channel")]


def _imagej_names(file: tifffile.TiffFile) -> list[Any]:
    labels = (file.imagej_metadata or {}).get("Labels", [])
    if not isinstance(labels, (list, tuple)):
        labels = [labels]
    channels = int((file.imagej_metadata or {}).get("channels", 0) or 0)
    # Labels go by page, and the channel changes fastest from page to page.
    return list(labels[:channels]) if 0 < channels < len(labels) else list(labels)


def _shaped_names(file: tifffile.TiffFile) -> list[Any]:
    """Names in the JSON description that tifffile and scikit-image write."""
    for metadata in file.shaped_metadata or ():
        for value in (metadata.get("Channel"), metadata):
            if isinstance(value, dict):
                for key in ("Name", "channels", "Labels"):
                    if isinstance(value.get(key), list):
                        return list(value[key])
    return []


def _tag(page: Any, name: str) -> str | None:
    value = page.aspage().tags.valueof(name)
    return value if isinstance(value, str) else None
