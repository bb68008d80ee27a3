"""Counts near boundaries, by distance from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_liso.counting.fraction import isotope_fraction
from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["Profile", "boundary_profile", "boundary_steps", "distance_to_boundaries"]

Distances = tuple[NDArray[np.float64], NDArray[np.int32]]


@dataclass(frozen=True, eq=False)
class Profile:
    """Counts by signed distance from one boundary; all arrays (bin,).

    Parameters
    ----------
    boundary
        Its id.
    distance
        Centre of each bin in m: negative in grain_a, positive in grain_b.
    n6, n7
        Sums of counts, whole pixels.
    fraction, lower, upper
        6Li / (6Li + 7Li) with its binomial interval; NaN without counts.
    model
        Mean of the model fraction over the same pixels, weighted with their
        counts, or None if there was no model.
    """

    boundary: int
    distance: NDArray[np.float64]
    n6: NDArray[np.int64]
    n7: NDArray[np.int64]
    fraction: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    model: NDArray[np.float64] | None = None


def distance_to_boundaries(boundaries: Boundaries) -> Distances:
    """Distance of every pixel from the nearest grain boundary, and which one it is.

    Measured from the centre of the pixel to the centre of the nearest pixel
    face (among the faces of the boundary pixel that is nearest by an exact
    Euclidean transform), in metres also for oblong pixels. A pixel that touches
    a boundary is half a pixel away. The centres of the faces lie along the
    boundary that the staircase stands for, at any angle: distances from slanted
    and curved boundaries are at most half a pixel off, on average 0.15 short.

    Parameters
    ----------
    boundaries
        Of the map.

    Returns
    -------
    distance
        (y, x) in m; inf where the map has no boundary.
    nearest
        (y, x) id of the nearest boundary, 0 where there is none. Pores get
        distances, too: look at ``boundaries.grains`` to leave them out.
    """
    shape = boundaries.grains.shape
    faces = boundaries.faces
    if len(faces) == 0:
        return np.full(shape, np.inf), np.zeros(shape, dtype=np.int32)
    touching = np.zeros(shape, dtype=bool)
    touching.ravel()[faces.first] = True
    touching.ravel()[faces.second] = True
    row, column = ndimage.distance_transform_edt(
        ~touching, sampling=boundaries.pixel_size, return_distances=False, return_indices=True
    )
    y = np.arange(shape[0])[:, None] - row
    x = np.arange(shape[1])[None, :] - column
    best = np.full(shape, np.inf)
    nearest = np.zeros(shape, dtype=np.int32)
    for pixel, axis, towards in (
        (faces.first, 0, 0.5),
        (faces.second, 0, -0.5),
        (faces.first, 1, 0.5),
        (faces.second, 1, -0.5),
    ):
        side = np.zeros(shape, dtype=np.int32)
        mine = faces.axis == axis
        side.ravel()[pixel[mine]] = faces.boundary[mine]
        there = side[row, column]
        dy, dx = (y - towards, x) if axis == 0 else (y, x - towards)
        squared = (dy * boundaries.pixel_size[0]) ** 2 + (dx * boundaries.pixel_size[1]) ** 2
        closer = (there > 0) & (squared < best)
        best[closer] = squared[closer]
        nearest[closer] = there[closer]
    return np.sqrt(best), nearest


def boundary_profile(
    boundaries: Boundaries,
    boundary_id: int,
    n6: ArrayLike,
    n7: ArrayLike,
    max_distance: float,
    bin_width: float | None = None,
    model: ArrayLike | None = None,
    *,
    confidence: float = 0.95,
    distances: Distances | None = None,
) -> Profile:
    """Sum counts by their distance from one boundary, whatever its shape.

    Whole pixels of the two grains for which this boundary is the nearest one;
    nothing is interpolated, and counts are summed before any ratio is formed.

    Parameters
    ----------
    boundaries
        Of the map.
    boundary_id
        Which boundary.
    n6, n7
        Counts (y, x), integers.
    max_distance
        How far to go on both sides, in m.
    bin_width
        In m; None = one pixel (its longer side).
    model
        Fraction (y, x) to average over the same pixels.
    confidence
        Of the interval of each bin.
    distances
        Result of `distance_to_boundaries`, to save its time when many
        boundaries of the same map are looked at.

    Raises
    ------
    ValueError
        For an unknown id, images of another shape, counts that are no
        integers, or distances that are not positive.
    """
    if boundary_id not in boundaries.table.index:
        raise ValueError(f"no boundary {boundary_id}; ids run from 1 to {len(boundaries)}")
    six, seven = _counts(boundaries, n6, n7)
    width = max(boundaries.pixel_size) if bin_width is None else bin_width
    if not (0 < max_distance < np.inf and 0 < width < np.inf):
        raise ValueError("max_distance and bin_width must be positive (m)")
    distance, nearest = distance_to_boundaries(boundaries) if distances is None else distances
    grain_a, grain_b = boundaries.table.loc[boundary_id, ["grain_a", "grain_b"]]
    here = (nearest == boundary_id) & (distance <= max_distance * (1 + 1e-9))
    here &= (boundaries.grains == grain_a) | (boundaries.grains == grain_b)
    in_b = boundaries.grains[here] == grain_b
    # Half-pixel distances sit in the middle of a bin; the margin is for those
    # that fall on an edge but for rounding.
    bins = int(np.ceil(max_distance / width - 1e-9))
    step = np.minimum((distance[here] / width + 1e-9).astype(np.intp), bins - 1)
    place = np.where(in_b, bins + step, bins - 1 - step)
    sum6, sum7 = (_sum(place, image[here], 2 * bins) for image in (six, seven))
    interval = isotope_fraction(sum6[None, :], sum7[None, :], confidence=confidence)
    return Profile(
        boundary=int(boundary_id),
        distance=np.asarray((np.arange(-bins, bins) + 0.5) * width, dtype=np.float64),
        n6=sum6,
        n7=sum7,
        fraction=interval.value[0],
        lower=interval.lower[0],
        upper=interval.upper[0],
        model=_mean_model(boundaries, model, here, place, (six + seven)[here], 2 * bins),
    )


def boundary_steps(
    boundaries: Boundaries,
    n6: ArrayLike,
    n7: ArrayLike,
    *,
    max_distance: float | None = None,
    exclude: float | None = None,
    distances: Distances | None = None,
) -> pd.DataFrame:
    """Step of the isotope fraction across every boundary, in one pass.

    Parameters
    ----------
    boundaries
        Of the map.
    n6, n7
        Counts (y, x), integers.
    max_distance
        How far from the boundary counts are taken, in m; None = four pixels
        beyond `exclude`. A longer reach has smaller errors, but in grains with
        a gradient it is no longer the step at the boundary.
    exclude
        How far from a boundary pixels are left out, in m, since they mix two
        grains; None = one pixel.
    distances
        Result of `distance_to_boundaries`, if it is there already.

    Returns
    -------
    DataFrame
        Index = id: ``fraction_a``, ``fraction_a_se``, ``fraction_b``,
        ``fraction_b_se``, ``step`` (a minus b), ``step_se``, ``counts_a``,
        ``counts_b``. NaN where a side has no counts, e.g. next to a grain that
        is thinner than `exclude` on both sides.

    Notes
    -----
    The standard error is binomial, sqrt(p (1 - p) / n) with p = (n6 + 1/2) /
    (n + 1), so that a side with only one isotope has an error, too.
    """
    six, seven = _counts(boundaries, n6, n7)
    pixel = max(boundaries.pixel_size)
    inner = pixel if exclude is None else exclude
    outer = inner + 4 * pixel if max_distance is None else max_distance
    if not (0 <= inner < outer):
        raise ValueError(f"need 0 <= exclude < max_distance (m), got {inner:g} and {outer:g}")
    distance, nearest = distance_to_boundaries(boundaries) if distances is None else distances
    ids = np.concatenate([[0], boundaries.table.index])
    grain_a, grain_b = (
        np.concatenate([[0], boundaries.table[name]])[nearest] for name in ("grain_a", "grain_b")
    )
    here = (nearest > 0) & (distance > inner) & (distance <= outer)
    in_a = here & (boundaries.grains == grain_a)
    in_b = here & (boundaries.grains == grain_b)
    columns: dict[str, NDArray[Any]] = {}
    for side, mask in (("a", in_a), ("b", in_b)):
        sum6, sum7 = (_sum(nearest[mask], image[mask], len(ids))[1:] for image in (six, seven))
        total = sum6 + sum7
        empty = np.where(total > 0, 1.0, np.nan)
        p = (sum6 + 0.5) / (total + 1)
        columns[f"fraction_{side}"] = empty * sum6 / np.maximum(total, 1)
        columns[f"fraction_{side}_se"] = empty * np.sqrt(p * (1 - p) / np.maximum(total, 1))
        columns[f"counts_{side}"] = total
    columns["step"] = columns["fraction_a"] - columns["fraction_b"]
    columns["step_se"] = np.hypot(columns["fraction_a_se"], columns["fraction_b_se"])
    order = ["fraction_a", "fraction_a_se", "fraction_b", "fraction_b_se", "step", "step_se"]
    order += ["counts_a", "counts_b"]
    return pd.DataFrame({name: columns[name] for name in order}, index=boundaries.table.index)


def _counts(
    boundaries: Boundaries, n6: ArrayLike, n7: ArrayLike
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Both count images as int64, checked against the grains."""
    images = []
    for name, given in (("n6", n6), ("n7", n7)):
        image = np.asarray(given)
        if image.shape != boundaries.grains.shape:
            raise ValueError(
                f"{name} has shape {image.shape}, the grains {boundaries.grains.shape}; "
                "they must show the same pixels"
            )
        if image.dtype.kind not in "iu":
            raise ValueError(f"{name} must hold whole counts, got {image.dtype}")
        images.append(image.astype(np.int64))
    return images[0], images[1]


def _sum(place: NDArray[Any], values: NDArray[Any], size: int) -> NDArray[np.int64]:
    """Sum integer values by place (exact below 2**53)."""
    return np.bincount(place, values, minlength=size).astype(np.int64)


def _mean_model(
    boundaries: Boundaries,
    model: ArrayLike | None,
    here: NDArray[np.bool_],
    place: NDArray[np.intp],
    weight: NDArray[np.int64],
    size: int,
) -> NDArray[np.float64] | None:
    """Mean of the model in each bin weighted with counts; NaN in a bin without any."""
    if model is None:
        return None
    image = np.asarray(model, dtype=np.float64)
    if image.shape != boundaries.grains.shape:
        raise ValueError(f"the model has shape {image.shape}, the grains {here.shape}")
    values = image[here]
    known = np.isfinite(values)
    total = np.bincount(place[known], weight[known], minlength=size)
    mean = np.bincount(place[known], weight[known] * values[known], minlength=size)
    return np.divide(mean, total, out=np.full(size, np.nan), where=total > 0)
