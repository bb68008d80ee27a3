"""Neighbouring fields of view of one sample, put together by whole pixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.readers._files import MAX_IMAGE_PIXELS
from napari_liso.readers._lazy import LazyCounts, as_counts
from napari_liso.units import to_um

__all__ = ["STAGE_POSITION", "stage_corners", "stitch"]

#: Key of ``metadata``: (y, x) of the image's centre on the stage in m.
STAGE_POSITION = "stage_position_m"
#: Relative difference that two pixel sizes may have and are still the same.
_SAME = 1e-3
#: Relative difference of the widths of two mass windows that is worth a word.
_SAME_WIDTH = 0.02

Point = tuple[float, float]


def stage_corners(
    acquisitions: Sequence[Acquisition], reversed_axes: tuple[bool, bool] = (False, False)
) -> list[Point]:
    """Return where the stage says each field's upper left corner is.

    Parameters
    ----------
    acquisitions
        With their stage positions in the metadata.
    reversed_axes
        (y, x): True where the stage counts the other way. By default its y grows
        toward the top of the image and its x toward the right, as in PHI's
        mosaics; files do not say.

    Returns
    -------
    list of tuple
        (y, x) in m, y downward and x to the right.

    Raises
    ------
    ValueError
        If a field has no stage position or no pixel size.
    """
    corners = []
    signs = (1.0 if reversed_axes[0] else -1.0, -1.0 if reversed_axes[1] else 1.0)
    for number, field in enumerate(acquisitions):
        stage = field.metadata.get(STAGE_POSITION)
        if stage is None:
            raise ValueError(f"{_name(field, number)} does not say where the stage was")
        size = _pixel_size(field, number)
        extent = [n * side for n, side in zip(field.counts.shape[2:], size, strict=True)]
        y, x = (
            sign * float(centre) - length / 2
            for sign, centre, length in zip(signs, stage, extent, strict=True)
        )
        corners.append((y, x))
    return corners


def stitch(
    acquisitions: Sequence[Acquisition],
    corners: Sequence[Point] | None = None,
    reversed_axes: tuple[bool, bool] = (False, False),
) -> Acquisition:
    """Put neighbouring fields together into one acquisition.

    Fields are moved by whole pixels: counts are never interpolated. Where fields
    overlap, their counts add up, and so do their pulses. Pixels that no field
    covers hold no counts.

    Parameters
    ----------
    acquisitions
        Two or more, with equal channels and pixel size.
    corners
        (y, x) of each field's upper left corner in m, y downward. None: from
        the stage positions in the files (`stage_corners`).
    reversed_axes
        See `stage_corners`; not used where corners are given.

    Returns
    -------
    Acquisition
        With the frames of the fields where all have as many, else with all
        frames summed. ``metadata["fields"]`` says where each field is and
        ``metadata["placed_to_px"]`` how far from its stated place at most.

    Raises
    ------
    ValueError
        If fields do not fit together, hold no counts, or are too far apart for
        one image.
    """
    fields = list(acquisitions)
    _check_alike(fields)
    placed = stage_corners(fields, reversed_axes) if corners is None else list(corners)
    if len(placed) != len(fields):
        raise ValueError(f"{len(placed)} corners were given for {len(fields)} fields")
    pixel_size = _pixel_size(fields[0], 0)
    places, rounding = _whole_pixels(placed, pixel_size)
    shape = _canvas_shape(fields, places)
    if len({field.counts.shape[1] for field in fields}) > 1:
        fields = [field.sum() for field in fields]
    warnings = [
        *_other_windows(fields),
        *(w for f in fields for w in f.metadata.get("warnings", ())),
    ]
    return Acquisition(
        counts=_counts(fields, places, shape),
        channels=fields[0].channels,
        masses=fields[0].masses,
        pixel_size=pixel_size,
        pulses=_pulses(fields, places, shape),
        metadata={
            **_common(fields),
            **_placement_facts(fields, places, shape),
            "fields_placed_by": "stage positions" if corners is None else "hand",
            "placed_to_px": rounding,
            "warnings": list(dict.fromkeys(warnings)),
        },
    )


def _canvas_shape(fields: list[Acquisition], places: list[tuple[int, int]]) -> tuple[int, int]:
    """Return the (y, x) size of the image that holds all fields."""
    ends = [
        [start + length for start, length in zip(place, field.counts.shape[2:], strict=True)]
        for field, place in zip(fields, places, strict=True)
    ]
    height, width = (max(end[axis] for end in ends) for axis in (0, 1))
    if height * width > MAX_IMAGE_PIXELS:
        raise ValueError(
            f"the fields would make an image of {height} x {width} pixels; up to "
            f"{MAX_IMAGE_PIXELS} can be handled. Are their positions right?"
        )
    return height, width


def _counts(
    fields: list[Acquisition], places: list[tuple[int, int]], shape: tuple[int, int]
) -> LazyCounts | NDArray[Any]:
    """Return the counts of all fields, wide enough for the sum where they overlap."""
    largest = sum(int(np.iinfo(field.counts.dtype).max) for field in fields)
    dtype = np.min_scalar_type(min(largest, np.iinfo(np.int64).max))

    def image(channel: int, frame: int) -> NDArray[Any]:
        parts = (np.asarray(field.counts[channel, frame]) for field in fields)
        return np.asarray(_canvas(parts, places, shape, dtype))

    frames = fields[0].counts.shape[1]
    return as_counts(LazyCounts((len(fields[0].channels), frames, *shape), dtype, image))


def _name(field: Acquisition, number: int) -> str:
    return str(field.metadata.get("path") or f"field {number + 1}")


def _pixel_size(field: Acquisition, number: int) -> Point:
    if field.pixel_size is None:
        raise ValueError(f"{_name(field, number)} has no pixel size; give it before stitching")
    return field.pixel_size


def _check_alike(fields: list[Acquisition]) -> None:
    """Refuse what cannot be one measurement."""
    if len(fields) < 2:
        raise ValueError(f"stitching takes two fields or more, got {len(fields)}")
    first = fields[0]
    for number, field in enumerate(fields):
        if np.dtype(field.counts.dtype).kind not in "iu":
            raise ValueError(f"{_name(field, number)} holds no counts; intensities do not add up")
        if field.channels != first.channels:
            raise ValueError(
                f"{_name(field, number)} has the channels {', '.join(field.channels)}, the first "
                f"field {', '.join(first.channels)}: read all with the same windows"
            )
        ours, other = (_pixel_size(field, number), _pixel_size(first, 0))
        if any(abs(a / b - 1) > _SAME for a, b in zip(ours, other, strict=True)):
            raise ValueError(
                f"{_name(field, number)} has pixels of {to_um(ours[0]):.4g} um, the first field "
                f"of {to_um(other[0]):.4g} um; fields of different scale are not put together"
            )


def _other_windows(fields: list[Acquisition]) -> list[str]:
    """Say where fields were read with windows of other widths: their counts then differ."""
    found = []
    first = fields[0].metadata.get("windows") or {}
    for number, field in enumerate(fields[1:], 1):
        for name, (low, high) in (field.metadata.get("windows") or {}).items():
            if name not in first:
                continue
            ratio = (high / low - 1) / (first[name][1] / first[name][0] - 1)
            if abs(ratio - 1) > _SAME_WIDTH:
                found.append(
                    f"The window of {name} is {ratio:.2f} times as wide in "
                    f"{_name(field, number)} as in the first field, so that a part of the step "
                    "between them may be of the windows: read all with the same windows."
                )
    return found


def _whole_pixels(corners: list[Point], size: Point) -> tuple[list[tuple[int, int]], float]:
    """Return (top, left) of each field in pixels and the largest rounding in pixels."""
    exact = np.asarray(corners, np.float64).reshape(-1, 2) / size
    if not np.isfinite(exact).all():
        raise ValueError(f"corners must be finite metres, got {corners}")
    exact -= exact.min(axis=0)
    whole = np.rint(exact).astype(np.int64)
    rounding = float(np.abs(exact - whole).max())
    return [(int(top), int(left)) for top, left in whole], rounding


def _canvas(parts: Any, places: list[tuple[int, int]], shape: tuple[int, int], dtype: Any) -> Any:
    """Add images up on one canvas."""
    canvas = np.zeros(shape, dtype)
    for part, (top, left) in zip(parts, places, strict=True):
        canvas[top : top + part.shape[0], left : left + part.shape[1]] += part.astype(dtype)
    return canvas


def _placement_facts(
    fields: list[Acquisition],
    places: list[tuple[int, int]],
    shape: tuple[int, int],
) -> dict[str, Any]:
    """Return where each field is and what the fields leave open or share."""
    shapes = [field.counts.shape[2:] for field in fields]
    coverage = _canvas((np.ones(s, np.uint8) for s in shapes), places, shape, np.uint16)
    return {
        "fields": [
            {
                "path": field.metadata.get("path"),
                "sha256": field.metadata.get("sha256"),
                "top_px": int(top),
                "left_px": int(left),
                "height_px": int(size[0]),
                "width_px": int(size[1]),
            }
            for field, (top, left), size in zip(fields, places, shapes, strict=True)
        ],
        "uncovered_pixels": int(np.count_nonzero(coverage == 0)),
        "overlap_pixels": int(np.count_nonzero(coverage > 1)),
    }


def _pulses(
    fields: list[Acquisition], places: list[tuple[int, int]], shape: tuple[int, int]
) -> NDArray[Any] | None:
    """Return the pulses of the canvas, shape (1 or frame, y, x), or None where one is unknown."""
    known = []
    for field in fields:
        if field.pulses is None:
            return None
        pulses = np.asarray(field.pulses)
        pulses = pulses.reshape((1,) * (3 - pulses.ndim) + pulses.shape)
        known.append(np.broadcast_to(pulses, (len(pulses), *field.counts.shape[2:])))
    frames = max(len(pulses) for pulses in known)
    every = [np.broadcast_to(pulses, (frames, *pulses.shape[1:])) for pulses in known]
    dtype = np.result_type(*every)
    return np.stack(
        [_canvas((p[frame] for p in every), places, shape, dtype) for frame in range(frames)]
    )


def _common(fields: list[Acquisition]) -> dict[str, Any]:
    """Return the facts that all fields share, but for those of single files."""
    own = {"path", "sha256", "warnings", STAGE_POSITION}
    first = fields[0].metadata
    return {
        key: value
        for key, value in first.items()
        if key not in own and all(field.metadata.get(key) == value for field in fields)
    } | {"counts_are": "raw"}
