"""Counts near boundaries, by distance from them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.fraction import isotope_fraction
from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.distance_sums import (
    MARGIN,
    Bins,
    sum_by_distance,
    window_around,
)
from napari_liso.microstructure.distances import (
    Distances,
    NearestFaces,
    Window,
    distance_to_boundaries,
    nearest_faces,
    position_along,
)

__all__ = [
    "Profile",
    "Profiles",
    "boundary_profile",
    "boundary_profiles",
    "boundary_steps",
    "distance_to_boundaries",
]


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
    pixels
        How many were summed.
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
    pixels: NDArray[np.int64]
    model: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class Profiles:
    """Profiles of several boundaries over the same distances; arrays (boundary, bin).

    Parameters
    ----------
    ids
        (boundary,) in the order of the rows.
    distance
        (bin,) centre of each bin in m: negative in grain_a, positive in grain_b.
    n6, n7, fraction, lower, upper, pixels, model
        As of a `Profile`.
    """

    ids: NDArray[np.int64]
    distance: NDArray[np.float64]
    n6: NDArray[np.int64]
    n7: NDArray[np.int64]
    fraction: NDArray[np.float64]
    lower: NDArray[np.float64]
    upper: NDArray[np.float64]
    pixels: NDArray[np.int64]
    model: NDArray[np.float64] | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def of(self, boundary_id: int) -> Profile:
        """Return the profile of one boundary.

        Raises
        ------
        ValueError
            If there is none of this boundary.
        """
        found = np.flatnonzero(self.ids == boundary_id)
        if len(found) == 0:
            raise ValueError(f"there is no profile of boundary {boundary_id}")
        row = int(found[0])
        columns = {name: getattr(self, name)[row] for name in _COLUMNS}
        if self.model is not None:
            columns["model"] = self.model[row]
        return Profile(boundary=int(boundary_id), distance=self.distance, **columns)

    def table(self) -> pd.DataFrame:
        """Return one row a bin that has pixels: ``id``, ``distance`` in m, and the columns.

        ``n6``, ``n7``, ``fraction``, ``lower``, ``upper``, ``pixels``, and ``model`` if
        there was one.
        """
        row, bins = np.nonzero(self.pixels)
        columns: dict[str, NDArray[Any]] = {"id": self.ids[row], "distance": self.distance[bins]}
        columns |= {name: getattr(self, name)[row, bins] for name in _COLUMNS}
        if self.model is not None:
            columns["model"] = self.model[row, bins]
        return pd.DataFrame(columns)


_COLUMNS = ("n6", "n7", "fraction", "lower", "upper", "pixels")


def boundary_profiles(
    boundaries: Boundaries,
    n6: ArrayLike,
    n7: ArrayLike,
    max_distance: float,
    bin_width: float | None = None,
    *,
    ids: Iterable[int] | None = None,
    exclude: float = 0.0,
    max_angle: float | None = None,
    direction: tuple[float, float] | None = None,
    band: tuple[float, float] | None = None,
    where: ArrayLike | None = None,
    model: ArrayLike | None = None,
    confidence: float = 0.95,
    distances: Distances | NearestFaces | None = None,
) -> Profiles:
    """Sum counts by their distance from each boundary, whatever its shape, in one pass.

    Whole pixels of the two grains for which this boundary is the nearest one;
    nothing is interpolated, and counts are summed before any ratio is formed.
    A curved boundary needs no straight line: distances follow its shape. Where only
    some of it is wanted, an angle picks the pieces that face one way, a band a piece
    along it, and a mask whatever else.

    Parameters
    ----------
    boundaries
        Of the map.
    n6, n7
        Counts (y, x), integers.
    max_distance
        How far to go on both sides, in m.
    bin_width
        In m; None = one pixel (its longer side).
    ids
        Which boundaries; None: all but those that are removed.
    exclude
        How far from a boundary pixels are left out, in m, since they mix two grains.
    max_angle
        In rad: only pixels whose nearest face looks (its local normal) at most so far away
        from `direction`. None: all.
    direction
        (y, x) of a normal, of any length and sign. None: the mean normal of each boundary.
        A boundary that closes on itself has none, so nothing of it is within any angle.
    band
        (from, to) as shares of the boundary's length, 0 to 1, such as (0.1, 0.9) to
        stay away from the triple junctions: only pixels whose nearest face lies there
        (`napari_liso.microstructure.distances.position_along`).
    where
        (y, x) bool: only these pixels, such as a strip across the boundary.
    model
        Fraction (y, x) to average over the same pixels.
    confidence
        Of the interval of each bin.
    distances
        Result of `nearest_faces` (or, without angle and band, `distance_to_boundaries`),
        to save its time when the same map is looked at again.

    Returns
    -------
    Profiles
        A row for each boundary asked for, in the order of the ids; empty rows for those
        that have no pixels left.

    Raises
    ------
    ValueError
        For an unknown id, images of another shape, counts that are no
        integers, or distances, angles and bands that make no sense.
    """
    width = max(boundaries.pixel_size) if bin_width is None else bin_width
    if not (0 < max_distance < np.inf and 0 < width < np.inf):
        raise ValueError("max_distance and bin_width must be positive (m)")
    if not 0 <= exclude < max_distance:
        raise ValueError(
            f"need 0 <= exclude < max_distance (m), got {exclude:g} and {max_distance:g}"
        )
    rows = _rows(boundaries, ids)
    images = [_image(boundaries, name, v) for name, v in (("n6", n6), ("n7", n7))]
    if model is not None:
        images.append(_image(boundaries, "model", model, whole=False))
    mask = None if where is None else _image(boundaries, "where", where, whole=False)
    window = None if distances is not None else window_around(boundaries, rows, max_distance)
    limited = _limited(boundaries, max_angle, direction, band)
    near = _near(boundaries, distances, window, limited is not None)
    bins = Bins(exclude, max_distance, width)
    sums = sum_by_distance(
        boundaries, near, rows, images, bins, window=window, where=mask, allowed=limited
    )
    value, lower, upper = _intervals(sums.n6, sums.n7, confidence)
    return Profiles(
        ids=rows.index.to_numpy(dtype=np.int64),
        distance=np.asarray(
            (np.arange(-bins.a_side, bins.a_side) + 0.5) * width, dtype=np.float64
        ),
        n6=sums.n6,
        n7=sums.n7,
        fraction=value,
        lower=lower,
        upper=upper,
        pixels=sums.pixels,
        model=sums.model,
    )


def boundary_profile(
    boundaries: Boundaries,
    boundary_id: int,
    n6: ArrayLike,
    n7: ArrayLike,
    max_distance: float,
    bin_width: float | None = None,
    model: ArrayLike | None = None,
    **limits: Any,
) -> Profile:
    """Sum counts by their distance from one boundary, whatever its shape.

    The row of `boundary_profiles` for one boundary. Only its surroundings are looked
    at, so this takes milliseconds also on a large map.

    Parameters
    ----------
    boundaries
        Of the map.
    boundary_id
        Which boundary.
    n6, n7, max_distance, bin_width, model
        As of `boundary_profiles`.
    limits
        The other arguments of `boundary_profiles`: ``exclude``, ``max_angle``,
        ``direction``, ``band``, ``where``, ``confidence``, ``distances``.

    Raises
    ------
    ValueError
        As `boundary_profiles`.
    """
    found = boundary_profiles(
        boundaries, n6, n7, max_distance, bin_width, ids=[boundary_id], model=model, **limits
    )
    return found.of(boundary_id)


def boundary_steps(
    boundaries: Boundaries,
    n6: ArrayLike,
    n7: ArrayLike,
    *,
    ids: Iterable[int] | None = None,
    max_distance: float | None = None,
    exclude: float | None = None,
    distances: Distances | NearestFaces | None = None,
) -> pd.DataFrame:
    """Step of the isotope fraction across every boundary, in one pass.

    Parameters
    ----------
    boundaries
        Of the map.
    n6, n7
        Counts (y, x), integers.
    ids
        Which boundaries; None = all.
    max_distance
        How far from the boundary counts are taken, in m; None = four pixels
        beyond `exclude`. A longer reach has smaller errors, but in grains with
        a gradient it is no longer the step at the boundary.
    exclude
        How far from a boundary pixels are left out, in m, since they mix two
        grains; None = one pixel.
    distances
        Result of `nearest_faces` or `distance_to_boundaries`, if it is there already.

    Returns
    -------
    DataFrame
        Index = id: ``fraction_a``, ``fraction_a_se``, ``fraction_b``,
        ``fraction_b_se``, ``step`` (a minus b), ``step_se``, ``counts_a``,
        ``counts_b``. NaN where a side has no counts, e.g. next to a grain that
        is thinner than `exclude` on both sides, or of a removed boundary.

    Notes
    -----
    The standard error is binomial, sqrt(p (1 - p) / n) with p = (n6 + 1/2) /
    (n + 1), so that a side with only one isotope has an error, too.
    """
    images = [_image(boundaries, name, v) for name, v in (("n6", n6), ("n7", n7))]
    pixel = max(boundaries.pixel_size)
    inner = pixel if exclude is None else exclude
    outer = inner + 4 * pixel if max_distance is None else max_distance
    if not (0 <= inner < outer):
        raise ValueError(f"need 0 <= exclude < max_distance (m), got {inner:g} and {outer:g}")
    rows = boundaries.table if ids is None else _rows(boundaries, ids)
    window = None if distances is not None else window_around(boundaries, rows, outer)
    near = _near(boundaries, distances, window, False)
    # the two sides are the two bins of a profile that are as wide as its reach
    bins = Bins(inner, outer, outer)
    sums = sum_by_distance(boundaries, near, rows, images, bins, window=window)
    total = sums.n6 + sums.n7
    empty = np.where(total > 0, 1.0, np.nan)
    p = (sums.n6 + 0.5) / (total + 1)
    value = empty * sums.n6 / np.maximum(total, 1)
    error = empty * np.sqrt(p * (1 - p) / np.maximum(total, 1))
    columns = {
        "fraction_a": value[:, 0],
        "fraction_a_se": error[:, 0],
        "fraction_b": value[:, 1],
        "fraction_b_se": error[:, 1],
        "step": value[:, 0] - value[:, 1],
        "step_se": np.hypot(error[:, 0], error[:, 1]),
        "counts_a": total[:, 0],
        "counts_b": total[:, 1],
    }
    return pd.DataFrame(columns, index=rows.index)


def _intervals(
    n6: NDArray[np.int64], n7: NDArray[np.int64], confidence: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Fraction and the ends of its interval, also of no boundaries at all."""
    if n6.size == 0:
        return np.zeros(n6.shape), np.zeros(n6.shape), np.zeros(n6.shape)
    found = isotope_fraction(n6, n7, confidence=confidence)
    return found.value, found.lower, found.upper


def _rows(boundaries: Boundaries, ids: Iterable[int] | None) -> pd.DataFrame:
    """Rows of the table of some boundaries, or of all that are not removed."""
    table = boundaries.table
    if ids is None:
        return table[table["state"] != "removed"]
    wanted = np.atleast_1d(np.asarray([int(i) for i in ids], dtype=np.int64))
    unknown = wanted[~np.isin(wanted, table.index)]
    if len(unknown):
        raise ValueError(f"no boundary {unknown[0]}; {boundaries.known_ids}")
    if len(np.unique(wanted)) < len(wanted):
        raise ValueError("a boundary is given twice in ids")
    return table.loc[wanted]


def _image(
    boundaries: Boundaries, name: str, given: ArrayLike, whole: bool = True
) -> NDArray[Any]:
    """Return an image that shows the pixels of the map, or raise ValueError."""
    image = np.asarray(given)
    shape = boundaries.grains.shape
    if image.shape != shape:
        raise ValueError(
            f"{name} has shape {image.shape}, the grains {shape}; they must show the same pixels"
        )
    if whole and image.dtype.kind not in "iu":
        raise ValueError(f"{name} must hold whole counts, got {image.dtype}")
    return image


def _limited(
    boundaries: Boundaries,
    max_angle: float | None,
    direction: tuple[float, float] | None,
    band: tuple[float, float] | None,
) -> NDArray[np.bool_] | None:
    """Which faces are within the angle and the band, (face,); None: all of them."""
    if max_angle is None and direction is not None:
        raise ValueError("direction needs max_angle, the angle (rad) up to which normals count")
    if max_angle is None and band is None:
        return None
    allowed = np.ones(len(boundaries.faces), dtype=bool)
    if max_angle is not None:
        if not 0 < max_angle <= np.pi:
            raise ValueError(f"max_angle must be between 0 and pi (rad), got {max_angle:g}")
        # NaN, the mean normal of a closed boundary, is never near
        allowed &= _cosine(boundaries, direction) >= np.cos(max_angle) - MARGIN
    if band is not None:
        low, high = band
        if not 0 <= low < high <= 1:
            raise ValueError(f"band must be two shares 0 <= from < to <= 1, got {band}")
        along = position_along(boundaries)
        allowed &= (along >= low) & (along <= high)
    return allowed


def _cosine(boundaries: Boundaries, direction: tuple[float, float] | None) -> NDArray[np.float64]:
    """Cosine of the angle between each face's local normal and the wanted one, (face,)."""
    faces = boundaries.faces
    if direction is None:
        mean = boundaries.table[["normal_y", "normal_x"]]
        row = mean.index.get_indexer(pd.Index(faces.boundary))
        y, x = mean.to_numpy(dtype=float)[row].T
        return np.asarray(faces.normal_y * y + faces.normal_x * x)
    y, x = (float(v) for v in direction)
    norm = np.hypot(y, x)
    if not 0 < norm < np.inf:
        raise ValueError(f"direction must be a vector (y, x) other than zero, got {direction}")
    # which grain is a and which b is chance, and so is the sign
    return np.asarray(np.abs(faces.normal_y * y + faces.normal_x * x) / norm)


def _near(
    boundaries: Boundaries,
    given: Distances | NearestFaces | None,
    window: Window | None,
    by_face: bool,
) -> Distances | NearestFaces:
    """Return the distances that were given if they fit, or measure them."""
    if given is None:
        return nearest_faces(boundaries, window)
    if by_face and not isinstance(given, NearestFaces):
        raise ValueError(
            "an angle or a band needs distances=nearest_faces(boundaries), which tells the face "
            "and not only the boundary"
        )
    if given[0].shape != boundaries.grains.shape:
        raise ValueError(
            f"the distances have shape {given[0].shape}, the grains {boundaries.grains.shape}"
        )
    return given
