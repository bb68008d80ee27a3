"""Images that ION-TOF's software exported as text, one file a peak.

A row is a voxel: ``x  y  scan  intensity``, or ``x  y  intensity`` for a single
image, counted from 0. The peak's name is the last part of the file's name, as
in ``run 3 (7) - Cl-.txt``. Files list every voxel, or only those with counts.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers.iontof.text_names import mass_in_name, readable_names
from napari_liso.readers.iontof.text_tables import Lines, head_lines, read_numbers

__all__ = ["is_voxels", "read_voxels"]

_MAX_BYTES = 2**30
_MAX_ROWS = 2**27
_MAX_VOXELS = 2**29
#: A list of the voxels with counts may leave out this many for each of its own.
_MAX_LEFT_OUT = 4096
_SHOWN_ROWS = 2000
_NAME_IN_FILE_NAME = re.compile(r" - (?P<name>[^ ].*)$")
_NAME_IN_REMARK = re.compile(
    r"#\s*(?:peak|ion|assignment|mass interval)\s*[:=]\s*(\S.{0,99})$", re.I
)
_VIEW = re.compile(
    r"field of view[^\d]{0,20}(\d+(?:\.\d+)?)\s*(?:[x×*]\s*(\d+(?:\.\d+)?)\s*)?"
    r"(nm|um|µm|μm|mm)(?![a-z])",
    re.IGNORECASE,
)
_METRES = {"nm": 1e-9, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "mm": 1e-3}
_SIZE = re.compile(r"(\d{1,5})\s*[x×*]\s*(\d{1,5})\s*(?:px|pixel)", re.I)


@dataclass(frozen=True, eq=False)
class _Voxels:
    """What one file lists.

    Parameters
    ----------
    place
        (scan, y, x) of each voxel, shape (3, voxels).
    values
        The intensities.
    shape
        (frame, y, x) that the coordinates or a remark need.
    whole
        Whether every voxel is listed.
    """

    place: NDArray[Any]
    values: NDArray[Any]
    shape: tuple[int, int, int]
    whole: bool
    field_of_view: tuple[float, float] | None
    name: str
    warnings: list[str]


def is_voxels(path: Path, lines: Sequence[str]) -> bool:
    """Whether the beginning of a text is a list of voxels of an ION-TOF export.

    Columns of numbers are in many files. Here they count voxels from 0 in order,
    under a remark that names intensities, or in a file that is named as these are.
    """
    remarks = " ".join(line.lower() for line in lines[:50] if line.startswith("#"))
    columns = _columns(lines)
    if columns == 3:
        return "intensity" in remarks and re.search(r"\bx\b.*\by\b", remarks) is not None
    named = _NAME_IN_FILE_NAME.search(path.stem) is not None
    return columns == 4 and (named or "intensity" in remarks)


def _columns(lines: Sequence[str]) -> int:
    """Return how many columns the first rows have, 0 where they are no list of voxels."""
    rows = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    rows = rows[:_SHOWN_ROWS]
    width = len(rows[0]) if rows else 0
    if width not in (3, 4) or any(len(row) != width for row in rows):
        return 0
    if not all(cell.isascii() and cell.isdigit() for row in rows for cell in row[:-1]):
        return 0
    places = np.array([[float(cell) for cell in row[:-1]] for row in rows])
    try:
        [float(row[-1]) for row in rows]
    except ValueError:
        return 0
    steps = np.diff(places, axis=0)
    # Counted through in order, the first or the last coordinate fastest.
    for order in (steps, steps[:, ::-1], steps[:, [1, 0, *range(2, width - 1)]][:, ::-1]):
        leading = order[np.arange(len(order)), np.argmax(order != 0, axis=1)]
        if np.all(leading > 0):
            return width
    return 0


def read_voxels(paths: Sequence[Path], metadata: dict[str, Any]) -> Acquisition:
    """Read the peaks of one measurement, a file each.

    Parameters
    ----------
    paths
        Of the files.
    metadata
        To begin with.

    Raises
    ------
    FormatError
        If one is damaged.
    ValueError
        If they do not belong to one measurement.
    """
    parts = [_load(path) for path in paths]
    shape = _common_shape(paths, parts)
    views = {part.field_of_view for part in parts if part.field_of_view is not None}
    if len(views) > 1:
        raise ValueError(f"the files state different fields of view: {sorted(views)} m")
    images = [_image(path, part, shape) for path, part in zip(paths, parts, strict=True)]
    counts = np.concatenate(images)
    originals = _names(paths, parts)
    masses = [mass_in_name(name) for name in originals]
    channels, polarity = readable_names(originals, masses)
    view = views.pop() if views else None
    corrected = counts.dtype.kind == "f"
    warnings = [text for part in parts for text in part.warnings]
    if corrected:
        warnings.append("The intensities are no whole numbers: corrected ones, no raw counts.")
    metadata |= {
        "counts_are": "dead-time corrected, not counts: intensities that are no whole numbers"
        if corrected
        else "raw",
        "frames": shape[0],
        "polarity": polarity,
        "origin": "flipped vertically: y = 0 of the file is the bottom row, as ION-TOF counts",
        "pixel_size_source": None if view is None else "field of view in the file's remarks",
        "names_in_file": originals,
        "warnings": list(dict.fromkeys(warnings)),
    }
    if len(paths) > 1:
        metadata["files"] = [
            {"path": str(path.absolute()), "sha256": _files.sha256(path)} for path in paths
        ]
    return Acquisition(
        counts=counts,
        channels=channels,
        masses=np.array(masses),
        pixel_size=None if view is None else (view[0] / shape[1], view[1] / shape[2]),
        metadata=metadata,
    )


def _load(path: Path) -> _Voxels:
    head = head_lines(path)
    width = _columns(head)
    if width == 0:
        raise FormatError(path, "is no list of voxels: x, y, scan and intensity, in order")
    remarks = [line for line in head[:50] if line.startswith("#")]
    lines = Lines(path, _MAX_BYTES)
    places, values = [], []
    for block in read_numbers(lines, 0, width, _MAX_ROWS):
        place = block[:, :-1].T
        if np.any(place < 0) or np.any(place >= 2**16) or np.any(place != np.rint(place)):
            raise FormatError(path, "has coordinates that are no whole numbers from 0 to 65535")
        scan = place[2] if width == 4 else np.zeros(len(block))
        places.append(np.stack([scan, place[1], place[0]]).astype(np.uint16))
        values.append(_narrow(path, block[:, -1]))
    if not places:
        raise FormatError(path, "holds no voxel")
    place = np.concatenate(places, axis=1)
    shape = (int(place[0].max()) + 1, int(place[1].max()) + 1, int(place[2].max()) + 1)
    stated = [match for remark in remarks if (match := _SIZE.search(remark))]
    if stated:
        x, y = int(stated[0][1]), int(stated[0][2])
        if y < shape[1] or x < shape[2]:
            raise FormatError(path, f"states {x} x {y} pixels, but has voxels beyond them")
        shape = (shape[0], y, x)
    values_ = np.concatenate(values)
    warnings = []
    if lines.unfinished:
        warnings.append("The last line is truncated and was left out: the file is incomplete.")
    whole = place.shape[1] == shape[0] * shape[1] * shape[2]
    if not whole and not values_.all():
        warnings.append(
            "The file lists voxels without counts, but not all of them: it is incomplete or "
            "truncated."
        )
    return _Voxels(place, values_, shape, whole, _view(remarks), _remarked(remarks), warnings)


def _narrow(path: Path, values: NDArray[np.float64]) -> NDArray[Any]:
    if values.min() < 0:
        raise FormatError(path, f"has an intensity of {values.min():g}; none is negative")
    if np.any(values != np.rint(values)) or values.max() >= 2**53:
        return values
    return values.astype(np.min_scalar_type(int(values.max())))


def _common_shape(paths: Sequence[Path], parts: Sequence[_Voxels]) -> tuple[int, int, int]:
    """Return the (frame, y, x) that all files fit into."""
    frames, height, width = np.max([part.shape for part in parts], axis=0).tolist()
    shape = (frames, height, width)
    for path, part in zip(paths, parts, strict=True):
        if part.whole and part.shape != shape:
            raise ValueError(
                f"{path.name} has {part.shape[0]} scans of {part.shape[2]} x {part.shape[1]} "
                f"pixels, another file {frames} of {width} x {height}: these files do not belong "
                "to one measurement"
            )
        listed = part.place.shape[1]
        if frames * height * width > min(_MAX_VOXELS, _MAX_LEFT_OUT * listed):
            raise FormatError(
                path, f"lists {listed} voxels of {frames * height * width}: its coordinates are "
                "damaged, or it is too large"
            )  # fmt: skip
    _files.check_image_size(paths[0], height, width)
    if not all(part.whole for part in parts):
        parts[0].warnings.append(
            "Only some voxels are listed: the others have no counts, unless the file is "
            f"incomplete. The size of {width} x {height} pixels is that of the largest "
            "coordinates or of a remark."
        )
    return shape


def _image(path: Path, part: _Voxels, shape: tuple[int, int, int]) -> NDArray[Any]:
    """Return (1, frame, y, x) with row 0 at the top."""
    scan, y, x = part.place
    flat = scan.astype(np.int64)
    flat *= shape[1]
    flat += shape[1] - 1
    flat -= y
    flat *= shape[2]
    flat += x
    seen = np.zeros(shape[0] * shape[1] * shape[2], bool)
    seen[flat] = True
    if np.count_nonzero(seen) != len(flat):
        raise FormatError(path, "is damaged: it lists the same voxel twice")
    image = np.zeros(len(seen), part.values.dtype)
    image[flat] = part.values
    return image.reshape(1, *shape)


def _view(remarks: Sequence[str]) -> tuple[float, float] | None:
    """Return the (y, x) field of view in m where a remark states it with its unit."""
    for remark in remarks:
        found = _VIEW.search(remark)
        if found:
            x, factor = float(found[1]), _METRES[found[3].lower()]
            y = float(found[2]) if found[2] else x
            # Of a pixel, too, it must be a length.
            if all(1e-12 < side * factor < 1.0 for side in (x, y)):
                return y * factor, x * factor
    return None


def _remarked(remarks: Sequence[str]) -> str:
    names = [found[1].strip() for remark in remarks if (found := _NAME_IN_REMARK.match(remark))]
    return names[0] if names else ""


def _names(paths: Sequence[Path], parts: Sequence[_Voxels]) -> list[str]:
    """Return the peaks' names: the end of the file names, a remark, or what differs."""
    stems = [path.stem for path in paths]
    shared = commonprefix(stems) if len(stems) > 1 else ""  # noqa: RUF071 - of names
    cut = max(shared.rfind(separator) for separator in "_- ") + 1
    names = []
    for stem, part in zip(stems, parts, strict=True):
        found = _NAME_IN_FILE_NAME.search(stem)
        last = stem.rpartition(" - ")[2] if found else ""
        names.append((last or part.name or stem[cut:]).strip())
    return names
