"""Counts along a line: whole pixels of a band, summed by their distance along it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.sums import IonSums

__all__ = ["BandProfile", "band_of", "band_pixels", "band_profile"]

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

#: Pieces of a path are handled in boxes of so many pixels or widths a side.
_PIECE = 32
#: Of a pixel: centres this near an edge of the band are on the edge but for rounding.
_ROUNDING = 1e-9
#: Steps beyond this many are a mistake in the unit of `step`.
_MOST_STEPS = 1_000_000


@dataclass(frozen=True, eq=False)
class BandProfile:
    """Counts by the distance along a path; all arrays (step,).

    Parameters
    ----------
    distance
        From the start of the path to the middle of each step, in m.
    tracer, other
        Sums of counts as detected, whole pixels.
    fraction, lower, upper
        Isotope fraction, corrected, with its interval; NaN without counts.
    pixels
        Summed in each step; 0 where the path is outside the image.
    step, width, length
        In m: of a step along the path, of the band across it, and of the path.
    model
        Mean of a model fraction over the same pixels, weighted with their
        counts, or None if there was no model.
    """

    distance: Floats
    tracer: Integers
    other: Integers
    fraction: Floats
    lower: Floats
    upper: Floats
    pixels: Integers
    step: float
    width: float
    length: float
    model: Floats | None = None

    def table(self) -> pd.DataFrame:
        """Return the arrays as columns; ``distance`` is in m."""
        columns: dict[str, NDArray[Any]] = {
            "distance": self.distance,
            "fraction": self.fraction,
            "lower": self.lower,
            "upper": self.upper,
            "counts_tracer": self.tracer,
            "counts_other": self.other,
            "pixels": self.pixels,
        }
        if self.model is not None:
            columns["model"] = self.model
        return pd.DataFrame(columns, index=pd.RangeIndex(len(self.distance), name="step"))


def band_profile(
    n6: ArrayLike,
    n7: ArrayLike,
    path: ArrayLike,
    width: float,
    pixel_size: float | tuple[float, float],
    step: float | None = None,
    corrections: Corrections | None = None,
    pulses: ArrayLike | None = None,
    confidence: float = 0.95,
    model: ArrayLike | None = None,
) -> BandProfile:
    """Sum counts along a line or polyline, and take their fraction step by step.

    Whole pixels, each counted once; nothing is interpolated, and counts are
    summed before any ratio is formed. Neighbouring steps thus share no ion, and
    their error bars are independent.

    Parameters
    ----------
    n6, n7
        Counts of tracer and other isotope, (y, x) or (frame, y, x).
    path
        (vertex, 2), (y, x) in m, two vertices or more. The centre of the first
        pixel is at (0, 0), that of pixel (i, j) at i and j pixel sizes from there.
    width
        Of the band across the path, in m. Less than a pixel's shorter side,
        0 included: the pixels that the path itself crosses.
    pixel_size
        (y, x) or one number, in m.
    step
        Along the path, in m; None: a pixel's longer side. The last step ends
        with the path and may be shorter.
    corrections
        None: those of `Corrections()`.
    pulses
        Behind each count, as in `isotope_fraction`.
    confidence
        Of the interval of each step.
    model
        Fraction (y, x) to average over the same pixels.

    Raises
    ------
    ValueError
        If the path has no length or no pixel of the image in its band, or a
        parameter is out of its range; for counts as `isotope_fraction`.

    Notes
    -----
    A pixel belongs to the band if its centre is within half the width of the
    path. Where it is near several segments the nearest counts, and where that is
    a bend, the distance along is that of the vertex: bends are rounded on their
    outer side, the two ends are cut square. A centre exactly on an edge
    belongs to one side only, so that a band of two pixels along a row of
    centres has two rows, not three; one exactly at the end of the path belongs to
    the last step.
    """
    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.sums import sum_ions

    corrections = Corrections() if corrections is None else corrections
    sums = sum_ions(n6, n7, pulses if corrections.dead_time else None)
    return band_of(
        sums, path, width, pixel_size, step, corrections, confidence=confidence, model=model
    )


def band_of(
    sums: IonSums,
    path: ArrayLike,
    width: float,
    pixel_size: float | tuple[float, float],
    step: float | None = None,
    corrections: Corrections | None = None,
    *,
    confidence: float = 0.95,
    model: ArrayLike | None = None,
) -> BandProfile:
    """Return the profile of a band in sums of counts; see `band_profile`."""
    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.fraction import fraction_of
    from napari_liso.counting.regions import sums_of_pixels

    corrections = Corrections() if corrections is None else corrections
    size = _sides(pixel_size)
    vertices = _vertices(path)
    length = float(np.hypot(*np.diff(vertices, axis=0).T).sum())
    step = max(size) if step is None else float(step)
    if not 0 < step < np.inf:
        raise ValueError(f"step must be a positive length in m, got {step}")
    if length / step > _MOST_STEPS:
        raise ValueError(
            f"{length / step:.3g} steps of {step:g} m are too many: choose longer ones"
        )
    shape = sums.pixels.shape
    pixel, along = band_pixels(shape, vertices, width, size)
    steps = max(1, int(np.ceil(length / step - _ROUNDING)))
    slack = _ROUNDING * min(size) / step
    place = np.clip(np.floor(along / step + slack).astype(np.int64), 0, steps - 1)
    summed = sums_of_pixels(sums, pixel, place, steps)
    found = fraction_of(summed, **corrections.keywords, confidence=confidence)
    edges = np.minimum(np.arange(steps + 1) * step, length)
    return BandProfile(
        distance=(edges[:-1] + edges[1:]) / 2,
        tracer=summed.tracer.counts,
        other=summed.other.counts,
        fraction=found.value,
        lower=found.lower,
        upper=found.upper,
        pixels=summed.pixels,
        step=step,
        width=float(width),
        length=length,
        model=_mean_model(model, sums, pixel, place, steps),
    )


def band_pixels(
    shape: tuple[int, ...],
    path: ArrayLike,
    width: float,
    pixel_size: float | tuple[float, float],
) -> tuple[Integers, Floats]:
    """Return the pixels of a band and where along it they are.

    Parameters
    ----------
    shape
        (y, x) of the image.
    path, width, pixel_size
        As in `band_profile`.

    Returns
    -------
    pixel
        (n,), row by row: y times the pixels of a row plus x; each once.
    along
        (n,), distance from the start of the path, in m.

    Raises
    ------
    ValueError
        As `band_profile`.
    """
    size = np.asarray(_sides(pixel_size))
    vertices = _vertices(path)
    if not 0 <= width < np.inf:
        raise ValueError(f"width must be a length in m, 0 or more, got {width}")
    found = [
        _of_piece(shape, piece, width, size)
        for piece in _pieces(vertices, _PIECE * max(*size, width))
    ]
    pixel, away, along = (np.concatenate(parts) for parts in zip(*found, strict=True))
    if len(pixel) == 0:
        raise ValueError(_why_empty(shape, vertices, width, size))
    # of several pieces the nearest; at the same distance the first on the path
    order = np.lexsort((along, np.round(away / min(size), 9), pixel))
    pixel, along = pixel[order], along[order]
    first = np.concatenate([[True], pixel[1:] != pixel[:-1]])
    return pixel[first], along[first]


@dataclass(frozen=True)
class _Piece:
    """A straight piece of a path: where it starts (m, and along the path), and where it goes."""

    start: Floats
    direction: Floats
    length: float
    before: float
    is_first: bool
    is_last: bool


def _pieces(vertices: Floats, longest: float) -> list[_Piece]:
    """Cut segments so that the box around each piece holds few pixels beside the band."""
    steps = np.diff(vertices, axis=0)
    lengths = np.hypot(steps[:, 0], steps[:, 1])
    before = np.concatenate([[0.0], np.cumsum(lengths)])
    pieces = []
    for segment, (step, length) in enumerate(zip(steps, lengths, strict=True)):
        parts = max(1, int(np.ceil(length / longest)))
        for part in range(parts):
            pieces.append(
                _Piece(
                    start=vertices[segment] + step * part / parts,
                    direction=step / length,
                    length=float(length / parts),
                    before=float(before[segment] + length * part / parts),
                    is_first=segment == 0 and part == 0,
                    is_last=segment == len(steps) - 1 and part == parts - 1,
                )
            )
    return pieces


def _of_piece(
    shape: tuple[int, ...], piece: _Piece, width: float, size: Floats
) -> tuple[Integers, Floats, Floats]:
    """Return pixel, distance from the piece, and distance along the path."""
    half = width / 2
    if width < min(size) * (1 - _ROUNDING):  # what the line crosses: a pixel's own width
        half = float(np.abs(piece.direction[::-1]) @ size) / 2
    ends = np.stack([piece.start, piece.start + piece.length * piece.direction])
    low = np.maximum(np.ceil((ends.min(axis=0) - half) / size - _ROUNDING), 0).astype(np.int64)
    high = np.floor((ends.max(axis=0) + half) / size + _ROUNDING).astype(np.int64)
    high = np.minimum(high, np.asarray(shape) - 1)
    if np.any(high < low):
        return np.zeros(0, np.int64), np.zeros(0), np.zeros(0)
    y = (np.arange(low[0], high[0] + 1) * size[0] - piece.start[0])[:, None]
    x = (np.arange(low[1], high[1] + 1) * size[1] - piece.start[1])[None, :]
    dy, dx = piece.direction
    along, across = y * dy + x * dx, x * dy - y * dx
    slack = _ROUNDING * min(size)
    within = (across >= -half - slack) & (across < half - slack)
    before, beyond = along < -slack, along > piece.length + slack
    within &= ~(before | beyond)
    away = np.abs(across)
    # beyond a bend it is the vertex that is nearest, and it is round
    for outside, end, is_end in (
        (before, 0.0, piece.is_first),
        (beyond, piece.length, piece.is_last),
    ):
        if not is_end:
            radius = np.hypot(along - end, across)
            within |= outside & (radius < half - slack)
            away = np.where(outside, radius, away)
    row, column = np.nonzero(within)
    pixel = (row + low[0]) * shape[1] + column + low[1]
    return pixel, away[within], piece.before + np.clip(along[within], 0.0, piece.length)


def _why_empty(shape: tuple[int, ...], vertices: Floats, width: float, size: Floats) -> str:
    """Say why no pixel is in a band."""
    high = (np.asarray(shape) - 0.5) * size
    inside = np.all((vertices >= -size / 2) & (vertices <= high), axis=1)
    if inside.any():
        return (
            f"no pixel has its centre in a band of {width:g} m: pixels are {size[0]:g} m high and "
            f"{size[1]:g} m wide; make the band as wide as that"
        )
    return "the path lies outside the image: none of its pixels is in the band"


def _sides(pixel_size: float | tuple[float, float]) -> tuple[float, float]:
    sides = np.broadcast_to(np.asarray(pixel_size, dtype=np.float64), (2,))
    if not np.all((sides > 0) & np.isfinite(sides)):
        raise ValueError(f"pixel_size must be positive lengths in m, got {pixel_size}")
    return float(sides[0]), float(sides[1])


def _vertices(path: ArrayLike) -> Floats:
    """Return the vertices of a path, those that repeat the one before left out."""
    vertices = np.asarray(path, dtype=np.float64)
    if vertices.ndim != 2 or vertices.shape[1] != 2:
        raise ValueError(f"path must be vertices (n, 2), (y, x) in m, got shape {vertices.shape}")
    if not np.isfinite(vertices).all():
        raise ValueError("path must be finite positions in m")
    moved = np.concatenate([[True], np.any(vertices[1:] != vertices[:-1], axis=1)])
    vertices = vertices[moved[: len(vertices)]]
    if len(vertices) < 2:
        raise ValueError("a path needs two vertices or more at different places")
    return vertices


def _mean_model(
    model: ArrayLike | None, sums: IonSums, pixel: Integers, place: Integers, steps: int
) -> Floats | None:
    """Mean of the model in each step weighted with counts; NaN in a step without any."""
    if model is None:
        return None
    image = np.asarray(model, dtype=np.float64)
    if image.shape != sums.pixels.shape:
        raise ValueError(f"the model has shape {image.shape}, the counts {sums.pixels.shape}")
    weight = (sums.tracer.counts + sums.other.counts).ravel()[pixel].astype(np.float64)
    value = image.ravel()[pixel]
    known = np.isfinite(value)
    total = np.bincount(place[known], weight[known], minlength=steps)
    mean = np.bincount(place[known], weight[known] * value[known], minlength=steps)
    return np.divide(mean, total, out=np.full(steps, np.nan), where=total > 0)
