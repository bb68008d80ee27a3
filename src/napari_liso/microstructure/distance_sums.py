"""Sums of images over the pixels beside boundaries, by distance from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.distances import STRIP, Distances, NearestFaces, Window

__all__ = ["MARGIN", "Bins", "DistanceSums", "sum_by_distance", "window_around"]

#: Distances are whole and half pixels but for rounding; the margin is for that.
MARGIN = 1e-9


@dataclass(frozen=True)
class Bins:
    """Distances from a boundary that are summed.

    Attributes
    ----------
    inner, outer
        From (exclusive) and to, in m.
    width
        Of a bin in m.
    """

    inner: float
    outer: float
    width: float

    @property
    def a_side(self) -> int:
        """How many there are on each side."""
        return int(np.ceil(self.outer / self.width - MARGIN))

    def place(self, distance: NDArray[np.float64], in_b: NDArray[np.bool_]) -> NDArray[np.intp]:
        """Return the bin of each pixel: those of grain_a from far to near, then grain_b's."""
        step = np.minimum((distance / self.width + MARGIN).astype(np.intp), self.a_side - 1)
        return np.where(in_b, self.a_side + step, self.a_side - 1 - step)


@dataclass(frozen=True, eq=False)
class DistanceSums:
    """Sums by boundary and bin, all (boundary, bin).

    Attributes
    ----------
    n6, n7
        Counts.
    pixels
        How many were summed.
    model
        Mean weighted with counts, NaN without any; None if there was no model.
    """

    n6: NDArray[np.int64]
    n7: NDArray[np.int64]
    pixels: NDArray[np.int64]
    model: NDArray[np.float64] | None


def sum_by_distance(
    boundaries: Boundaries,
    near: Distances | NearestFaces,
    rows: pd.DataFrame,
    images: list[NDArray[Any]],
    bins: Bins,
    *,
    window: Window | None = None,
    where: NDArray[Any] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> DistanceSums:
    """Sum images over the pixels of each boundary's two grains by distance from it.

    Parameters
    ----------
    boundaries
        Of the map.
    near
        Distances, of the window's shape.
    rows
        Of the table: the boundaries.
    images
        n6, n7 and perhaps a model, (y, x) of the whole map.
    bins
        The distances.
    window
        The part of the map to look at; None: all.
    where
        (y, x) of the whole map: pixels that count.
    allowed
        (face,): faces that count; needs distances that tell the face.
    """
    key_row = _row_of_key(boundaries, rows, isinstance(near, NearestFaces), allowed)
    pair = rows[["grain_a", "grain_b"]].to_numpy(dtype=np.int64)
    cut = window or (slice(None), slice(None))
    grains = boundaries.grains[cut]
    images = [image[cut] for image in images]
    mask = None if where is None else where[cut].astype(bool)
    sums = np.zeros((2 * len(images) - 1, len(pair) * 2 * bins.a_side))
    height = max(1, STRIP // max(grains.shape[1], 1))
    for start in range(0, grains.shape[0], height):
        strip = slice(start, start + height)
        distance, row = near[0][strip], key_row[near[1][strip]]
        here = (row >= 0) & (distance > bins.inner * (1 + MARGIN))
        here &= distance <= bins.outer * (1 + MARGIN)
        if mask is not None:
            here &= mask[strip]
        row, grain = row[here], grains[strip][here]
        in_b = grain == pair[row, 1]
        own = in_b | (grain == pair[row, 0])
        place = row * (2 * bins.a_side) + bins.place(distance[here], in_b)
        _add(sums, place[own], [image[strip][here][own] for image in images])
    n6, n7, pixels, *weighted = sums.reshape(len(sums), len(pair), 2 * bins.a_side)
    mean = None
    if weighted:
        weight, total = weighted
        mean = np.divide(total, weight, out=np.full(weight.shape, np.nan), where=weight > 0)
    # whole numbers are exact in 64-bit floats up to 2**53
    whole = [v.astype(np.int64) for v in (n6, n7, pixels)]
    return DistanceSums(whole[0], whole[1], whole[2], mean)


def _add(sums: NDArray[np.float64], place: NDArray[np.intp], values: list[NDArray[Any]]) -> None:
    """Add the pixels of a strip to the sums (n6, n7, pixels, weights, weighted model)."""
    size = sums.shape[1]
    n6, n7, *model = (v.astype(np.float64) for v in values)
    sums[0] += np.bincount(place, n6, minlength=size)
    sums[1] += np.bincount(place, n7, minlength=size)
    sums[2] += np.bincount(place, minlength=size)
    if model:
        known = np.isfinite(model[0])
        weight = (n6 + n7)[known]
        sums[3] += np.bincount(place[known], weight, minlength=size)
        sums[4] += np.bincount(place[known], weight * model[0][known], minlength=size)


def _row_of_key(
    boundaries: Boundaries,
    rows: pd.DataFrame,
    by_face: bool,
    allowed: NDArray[np.bool_] | None,
) -> NDArray[np.intp]:
    """Row of the boundary of each face, or of each id; -1 for those that do not count.

    The last entry is -1, too: it is what the index -1 of no face finds.
    """
    faces = boundaries.faces
    last = max(int(boundaries.table.index.max()) if len(boundaries.table) else 0, 0)
    row_of_id = np.full(last + 2, -1, dtype=np.intp)
    row_of_id[rows.index] = np.arange(len(rows))
    if not by_face:
        return row_of_id
    row = row_of_id[faces.boundary]
    if allowed is not None:
        row[~allowed] = -1
    return np.append(row, np.intp(-1))


def window_around(boundaries: Boundaries, rows: pd.DataFrame, reach: float) -> Window | None:
    """Rows and columns that hold all that is near some boundaries; None: nearly all.

    A pixel is within reach of its boundary, and a nearer face of another one is within
    reach of the pixel: twice the reach is all there is to see.
    """
    if len(rows) > max(1, len(boundaries) // 8):
        return None
    shape = boundaries.grains.shape
    mine = np.isin(boundaries.faces.boundary, rows.index)
    if not mine.any():
        return slice(0, 1), slice(0, 1)
    slices = []
    places = np.divmod(boundaries.faces.first[mine], shape[1])
    for place, length, size in zip(places, shape, boundaries.pixel_size, strict=True):
        far = int(min(2 * reach / size, length)) + 3
        start, stop = int(place.min()) - far, int(place.max()) + far + 2
        slices.append(slice(max(start, 0), min(stop, length)))
    return slices[0], slices[1]
