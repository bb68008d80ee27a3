"""Grains, and misorientations of boundaries, from the orientations that EBSD measures."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, sparse
from scipy.sparse import csgraph

from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.crystal import (
    Phase,
    bunge_angles,
    misorientation_angle,
    nearest_equivalents,
    quaternions,
)
from napari_liso.microstructure.resampling import resample_nearest

__all__ = [
    "MISORIENTATION",
    "EbsdMap",
    "grain_orientations",
    "grains_from_ebsd",
    "misorientation_of",
    "with_misorientation",
]

#: Column of `Boundaries.table` that `with_misorientation` adds, in rad.
MISORIENTATION = "misorientation"

_BLOCK = 2**18
_MARGIN = 1 + 1e-9


@dataclass(frozen=True, eq=False)
class EbsdMap:
    """Orientations on a grid of points; arrays (y, x), row 0 at the top.

    Attributes
    ----------
    phase
        int16: key into `phases`; 0 = not indexed.
    euler
        float32, (y, x, 3): Bunge's angles phi1, Phi, phi2 in rad, as in the file: turns
        about z, x' and z'' that bring the sample's axes onto the crystal's.
    phases
        The crystals by number, from 1.
    pixel_size
        (y, x) in m.
    images
        What else there is of each point, float32, by its name in the file, such as
        ``"BC"`` (band contrast) or ``"IQ"`` (image quality).
    metadata
        JSON-able: ``path``, ``format``, ``sha256``, ``warnings``, ...
    """

    phase: NDArray[np.int16]
    euler: NDArray[np.float32]
    phases: Mapping[int, Phase]
    pixel_size: tuple[float, float]
    images: Mapping[str, NDArray[np.float32]] = field(default_factory=dict)
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.phase.ndim != 2 or self.euler.shape != (*self.phase.shape, 3):
            raise ValueError(
                f"an EBSD map needs phase (y, x) and euler (y, x, 3), got {self.phase.shape} and "
                f"{self.euler.shape}"
            )
        unknown = sorted(set(np.unique(self.phase).tolist()) - {0, *self.phases})
        if unknown:
            raise ValueError(f"phase {unknown[0]} is in the map but not in its list of phases")

    @property
    def shape(self) -> tuple[int, int]:
        """(y, x)."""
        return self.phase.shape[0], self.phase.shape[1]

    def orientations(self, points: ArrayLike) -> NDArray[np.float64]:
        """Return unit quaternions (x, y, z, w), (n, 4), of points by flat index (n,)."""
        return quaternions(self.euler.reshape(-1, 3)[np.asarray(points)])

    def resampled(
        self, matrix: ArrayLike, shape: tuple[int, int], pixel_size: tuple[float, float]
    ) -> EbsdMap:
        """Return the map on another grid, by the nearest point; outside is not indexed.

        Misorientations stay what they are, whatever the turn: Euler angles are copied, so
        they still refer to the sample as it lay in the EBSD measurement.

        Parameters
        ----------
        matrix
            (3, 3), for columns (y, x, 1): from pixels of the new grid to those of this one
            (`napari_liso.microstructure.resampling.resample_nearest`).
        shape
            (y, x) of the new grid.
        pixel_size
            (y, x) of the new grid in m.
        """
        images = {n: resample_nearest(v, matrix, shape, np.nan) for n, v in self.images.items()}
        return replace(
            self,
            phase=resample_nearest(self.phase, matrix, shape),
            euler=resample_nearest(self.euler, matrix, shape),
            pixel_size=pixel_size,
            images=images,
        )


def grains_from_ebsd(
    ebsd: EbsdMap,
    threshold: float = float(np.deg2rad(5)),
    *,
    min_area: float = 0.0,
    max_gap: float = 0.0,
) -> NDArray[np.int32]:
    """Find the grains: points that hang together without a jump of orientation.

    Two neighbouring points (4 neighbours) of one phase are of one grain if their lattices
    are turned by less than the threshold against each other.

    Parameters
    ----------
    ebsd
        The map.
    threshold
        In rad.
    min_area
        In m2: smaller grains, often wrongly indexed points, go to the nearest grains.
        Those that touch none are left out.
    max_gap
        In m: points that are not indexed go to the nearest grain where they make a line or
        a spot of up to this width; wider ones are pores, and stay 0.

    Returns
    -------
    array
        int32 (y, x), 1..N in raster order; 0 where there is no grain.

    Raises
    ------
    ValueError
        If the threshold is not positive, or nothing is left.
    """
    if not 0 < threshold <= np.pi:
        raise ValueError(f"threshold must be between 0 and pi (rad), got {threshold:g}")
    if not (0 <= min_area < np.inf and 0 <= max_gap < np.inf):
        raise ValueError("min_area (m2) and max_gap (m) must not be negative")
    indexed = ebsd.phase > 0
    if not indexed.any():
        raise ValueError("no point of the EBSD map is indexed")
    links = []
    for one, other in _neighbours(ebsd.shape):
        alike = _misorientations(ebsd, one, other) < threshold  # NaN is not
        links.append(np.stack([one[alike], other[alike]]))
    here, there = np.concatenate(links, axis=1)
    count = indexed.size
    graph = sparse.coo_array((np.ones(len(here), dtype=bool), (here, there)), shape=(count, count))
    _, component = csgraph.connected_components(graph, directed=False)
    grains = np.where(indexed, component.reshape(ebsd.shape) + 1, 0)
    size = ebsd.pixel_size[0] * ebsd.pixel_size[1]
    area = np.bincount(grains.ravel()) * size
    small = indexed & (area < min_area * (1 - 1e-9))[grains]
    if small.all() or not (indexed & ~small).any():
        raise ValueError(f"no grain is as large as min_area, {min_area:g} m2")
    grains[small] = 0
    gaps = _gaps(grains == 0, small, max_gap, ebsd.pixel_size)
    if gaps.any():
        nearest = ndimage.distance_transform_edt(
            grains == 0, sampling=ebsd.pixel_size, return_distances=False, return_indices=True
        )
        grains[gaps] = grains[tuple(axis[gaps] for axis in nearest)]
    return _in_raster_order(grains)


def _neighbours(shape: tuple[int, int]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Flat indices of pixels, and of those below and to the right of them."""
    index = np.arange(shape[0] * shape[1], dtype=np.int64).reshape(shape)
    yield index[:-1].ravel(), index[1:].ravel()
    yield index[:, :-1].ravel(), index[:, 1:].ravel()


def _misorientations(
    ebsd: EbsdMap, one: NDArray[np.int64], other: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Angle in rad between points, NaN for two phases or where one is not indexed."""
    phase = ebsd.phase.ravel()
    angle = np.full(len(one), np.nan)
    for number, crystal in ebsd.phases.items():
        both = np.flatnonzero((phase[one] == number) & (phase[other] == number))
        operators = crystal.operators()
        for start in range(0, len(both), _BLOCK):
            piece = both[start : start + _BLOCK]
            a, b = (ebsd.orientations(points[piece]) for points in (one, other))
            angle[piece] = misorientation_angle(a, b, operators)
    return angle


def _gaps(
    empty: NDArray[np.bool_],
    small: NDArray[np.bool_],
    max_gap: float,
    pixel_size: tuple[float, float],
) -> NDArray[np.bool_]:
    """Pixels without a grain that are to be given to one: small grains and narrow gaps.

    Pores are what a disc of the gap's width fits into (an opening); the rest is a gap. A
    small grain amid a pore is part of it.
    """
    fill = _beside(small, ~empty)
    if max_gap == 0:
        return fill
    radius = max_gap / 2
    # a disc of whole pixels is an odd number of them wide; with a pair for each, an even one
    pair = np.ones([1 + int(max_gap / size * _MARGIN) % 2 for size in pixel_size], dtype=bool)
    depth = ndimage.distance_transform_edt(
        ndimage.binary_erosion(empty, pair), sampling=pixel_size
    )
    inside = depth > radius * _MARGIN
    if not inside.any():
        return empty
    reach = ndimage.distance_transform_edt(~inside, sampling=pixel_size)
    wide = ndimage.binary_dilation(reach <= radius * _MARGIN, pair)
    return np.asarray(fill | (empty & ~wide))


def _beside(small: NDArray[np.bool_], grains: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Which small pieces touch a grain."""
    piece, count = ndimage.label(small)
    touched = np.zeros(count + 1, dtype=bool)
    touched[piece[small & ndimage.binary_dilation(grains)]] = True
    return np.asarray(touched[piece] & small)


def _in_raster_order(grains: NDArray[Any]) -> NDArray[np.int32]:
    """Number labels from 1 in the order of their first pixels; 0 stays."""
    labels, first, inverse = np.unique(grains, return_index=True, return_inverse=True)
    order = np.argsort(np.where(labels == 0, -1, first))
    number = np.empty(len(labels), dtype=np.int32)
    number[order] = np.arange(len(labels)) + (labels[0] != 0)
    return number[inverse].reshape(grains.shape)


def grain_orientations(ebsd: EbsdMap, grains: ArrayLike) -> pd.DataFrame:
    """Mean orientation of each grain.

    Parameters
    ----------
    ebsd
        The map.
    grains
        Labels (y, x) on the same grid.

    Returns
    -------
    DataFrame
        Index = label: ``phase``, that of most of its points; ``phi1``, ``Phi``, ``phi2``
        in rad, of the mean; ``spread``, the mean misorientation of its points to it, in
        rad; ``points`` that were averaged. Grains without an indexed point are not there.

    Notes
    -----
    The mean is the eigenvector to the largest eigenvalue of the sum of the quaternions'
    outer products [1]_, each taken as the equivalent that is nearest to one of the grain.

    References
    ----------
    .. [1] F. L. Markley et al., J. Guid. Control Dyn. 30 (2007) 1193.
    """
    labels = _same_grid(ebsd, grains).ravel()
    phase = ebsd.phase.ravel()
    at = np.flatnonzero((labels > 0) & (phase > 0))
    names, grain = np.unique(labels[at], return_inverse=True)
    most = max(ebsd.phases, default=0) + 1
    tally = np.bincount(grain * most + phase[at], minlength=len(names) * most)
    main = tally.reshape(len(names), most).argmax(axis=1) if len(names) else np.zeros(0, int)
    own = phase[at] == main[grain]
    at, grain = at[own], grain[own]
    quaternion = ebsd.orientations(at)
    mean = np.zeros((len(names), 4))
    spread = np.zeros(len(names))
    _, first = np.unique(grain, return_index=True)
    for number, crystal in ebsd.phases.items():
        mine = main[grain] == number
        if not mine.any():
            continue
        operators = crystal.operators()
        found = nearest_equivalents(quaternion[mine], quaternion[first[grain[mine]]], operators)
        mean_of = _mean_quaternions(found, grain[mine], len(names))
        mean[main == number] = mean_of[main == number]
        angle = misorientation_angle(quaternion[mine], mean_of[grain[mine]], operators)
        spread += np.bincount(grain[mine], angle, minlength=len(names))
    points = np.bincount(grain, minlength=len(names))
    columns: dict[str, NDArray[Any]] = {"phase": main}
    columns |= zip(("phi1", "Phi", "phi2"), bunge_angles(mean).T, strict=True)
    columns |= {"spread": spread / points, "points": points}
    return pd.DataFrame(columns, index=pd.Index(names, name="grain"))


def _mean_quaternions(
    quaternion: NDArray[np.float64], group: NDArray[np.intp], count: int
) -> NDArray[np.float64]:
    """Mean of unit quaternions by group, (group, 4); any unit vector for an empty one."""
    outer = np.zeros((count, 4, 4))
    for i in range(4):
        for j in range(4):
            product = quaternion[:, i] * quaternion[:, j]
            outer[:, i, j] = np.bincount(group, product, minlength=count)
    return np.asarray(np.linalg.eigh(outer)[1][:, :, -1])


def misorientation_of(
    boundaries: Boundaries, ebsd: EbsdMap, ids: Iterable[int] | None = None
) -> pd.Series:
    """Misorientation angle of each boundary, in rad.

    The mean over the pairs of points that its faces part. Where no pair is indexed on both
    sides, as beside lines that were drawn or filled, it is that of the grains' mean
    orientations.

    Parameters
    ----------
    boundaries
        On the grid of the map; resample one of them where it is not
        (`EbsdMap.resampled`).
    ebsd
        The map.
    ids
        Which boundaries; None: all.

    Returns
    -------
    Series
        ``"misorientation"``, index = id. NaN between two phases, where nothing is
        indexed, and for removed boundaries.

    Raises
    ------
    ValueError
        If the grids differ.
    """
    grains = _same_grid(ebsd, boundaries.grains)
    faces, index = boundaries.faces, boundaries.table.index
    mine: slice | NDArray[np.intp] = slice(None)
    if ids is not None:
        index = index.intersection([int(i) for i in ids]).rename("id")
        mine = np.flatnonzero(np.isin(faces.boundary, index))
    angle = _misorientations(ebsd, faces.first[mine], faces.second[mine])
    known = np.isfinite(angle)
    row = index.get_indexer(pd.Index(faces.boundary[mine][known]))
    number = np.bincount(row, minlength=len(index))
    total = np.bincount(row, angle[known], minlength=len(index))
    empty = np.full(len(index), np.nan)
    found = pd.Series(
        np.divide(total, number, out=empty, where=number > 0), index=index, name=MISORIENTATION
    )
    without = found.index[(number == 0) & index.isin(faces.boundary[mine])]
    if len(without):
        found[without] = _between_means(boundaries.table.loc[without], ebsd, grains)
    return found


def _between_means(rows: pd.DataFrame, ebsd: EbsdMap, grains: NDArray[Any]) -> NDArray[np.float64]:
    """Misorientation of the mean orientations of pairs of grains, NaN between two phases."""
    pairs = rows[["grain_a", "grain_b"]]
    wanted = np.where(np.isin(grains, np.unique(pairs)), grains, 0)
    means = grain_orientations(ebsd, wanted)
    one, other = (means.reindex(pairs[name]) for name in pairs)
    angles = [
        quaternions(side[["phi1", "Phi", "phi2"]].fillna(0.0).to_numpy()) for side in (one, other)
    ]
    result = np.full(len(pairs), np.nan)
    for number, crystal in ebsd.phases.items():
        both = (one["phase"].to_numpy() == number) & (other["phase"].to_numpy() == number)
        a, b = (quaternion[both] for quaternion in angles)
        result[both] = misorientation_angle(a, b, crystal.operators())
    return result


def with_misorientation(
    boundaries: Boundaries, ebsd: EbsdMap, ids: Iterable[int] | None = None
) -> Boundaries:
    """Return a copy whose table has the column ``misorientation``, in rad.

    Parameters
    ----------
    boundaries, ebsd
        As of `misorientation_of`.
    ids
        Which boundaries have changed, where the table has the column already; None: all.
    """
    known = boundaries.table.get(MISORIENTATION)
    found = misorientation_of(boundaries, ebsd, None if known is None else ids)
    if known is not None and ids is not None:
        column = known.copy()
        column[found.index] = found
        found = column
    return replace(boundaries, table=boundaries.table.assign(**{MISORIENTATION: found}))


def _same_grid(ebsd: EbsdMap, grains: ArrayLike) -> NDArray[Any]:
    """Return labels on the grid of the map, or raise ValueError."""
    labels = np.asarray(grains)
    if labels.shape != ebsd.shape:
        raise ValueError(
            f"the grains have shape {labels.shape}, the EBSD map {ebsd.shape}; resample one of "
            "them onto the grid of the other"
        )
    return labels
