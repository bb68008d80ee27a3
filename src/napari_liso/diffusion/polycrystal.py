"""The 2-D polycrystal on the pixel grid: geometry, finite volumes, and the full solution.

Every pixel of a grain is a finite volume. Between two pixels of a grain the
conductance is D * face / h; across a boundary it is (face / A) * kappa with
kappa = 1 / (1/k + rho / D), where A (`Faces.staircase`, |n_y| + |n_x| of the local
normal) turns the length of the pixel staircase into that of the boundary, and
rho = h / A is the way through the grains between the two pixel centres. The
source acts on the outer face of the pixels at the source edge.

This module is the reference: `solve` integrates all pixels exactly in time by
shift-invert Lanczos (van den Eshof & Hochbruck, SIAM J. Sci. Comput. 27, 1438,
2006). The fit uses the projection of the same operator (`reduced`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import splu
from threadpoolctl import threadpool_limits

from napari_liso.diffusion.experiment import Experiment, Stage
from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["Polycrystal", "build_polycrystal", "present_boundaries", "solve"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Polycrystal:
    """Unknowns, faces and source of one map; independent of D and k.

    Unknowns are the pixels of grains, sorted by cell; a cell is a
    4-connected piece of a grain.

    Parameters
    ----------
    shape
        (y, x) of the map.
    area
        Of a pixel, m2.
    pixel
        Flat pixel index of each unknown, shape (n,).
    cell_start
        First unknown of each cell, with n at the end, shape (cells + 1,).
    cell_grain
        Grain label of each cell.
    inner
        Pairs of unknowns inside a cell, shape (faces, 2), and `inner_weight`
        = face length / distance (dimensionless).
    contact
        Pairs of unknowns across a boundary, shape (contacts, 2), with
        `contact_boundary` (row of the boundary, 0-based) and `contact_weight`
        = face length / A (m).
    rho
        Mean h / A of each boundary, m.
    source
        Unknowns at the source, `source_weight` = face length (m) and
        `source_rho` = half the pixel in the direction of the face (m, mean).
    surface_resistance
        1 / surface exchange coefficient, s/m; 0 for a fixed fraction.
    """

    shape: tuple[int, int]
    area: float
    pixel: IntArray
    cell_start: IntArray
    cell_grain: IntArray
    inner: IntArray
    inner_weight: FloatArray
    contact: IntArray
    contact_boundary: IntArray
    contact_weight: FloatArray
    rho: FloatArray
    source: IntArray
    source_weight: FloatArray
    source_rho: float
    surface_resistance: float

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return self.pixel.size

    @property
    def cells(self) -> int:
        """Number of cells."""
        return self.cell_grain.size

    @property
    def boundaries(self) -> int:
        """Number of boundaries."""
        return self.rho.size

    def cell_of_unknown(self) -> IntArray:
        """Cell of each unknown, shape (n,)."""
        return np.repeat(np.arange(self.cells), np.diff(self.cell_start))

    def to_image(self, values: FloatArray) -> FloatArray:
        """Put values of the unknowns on the map, NaN outside the grains."""
        image = np.full(self.shape[0] * self.shape[1], np.nan)
        image[self.pixel] = values
        return image.reshape(self.shape)

    def conductance(self, permeability: FloatArray, diffusivity: float) -> FloatArray:
        """kappa of each boundary in m/s: barrier and pixel halves in series."""
        return 1.0 / (1.0 / permeability + self.rho / diffusivity)

    def source_conductance(self, diffusivity: float) -> float:
        """kappa of the source face in m/s: surface exchange and half a pixel in series."""
        return 1.0 / (self.surface_resistance + self.source_rho / diffusivity)

    def inner_laplacian(self) -> sparse.csc_matrix:
        """Stiffness of the cells' interiors for D = 1, shape (n, n)."""
        return _laplacian(self.inner, self.inner_weight, self.size)

    def stiffness(
        self, permeability: FloatArray, diffusivity: float, with_source: bool
    ) -> sparse.csc_matrix:
        """Full stiffness, m2/s, shape (n, n)."""
        kappa = self.conductance(permeability, diffusivity)
        matrix = diffusivity * self.inner_laplacian() + _laplacian(
            self.contact, kappa[self.contact_boundary] * self.contact_weight, self.size
        )
        if with_source:
            sink = np.zeros(self.size)
            np.add.at(sink, self.source, self.source_conductance(diffusivity) * self.source_weight)
            matrix = matrix + sparse.diags(sink)
        return matrix.tocsc()


def _laplacian(pairs: IntArray, weight: FloatArray, size: int) -> sparse.csc_matrix:
    i, j = pairs[:, 0], pairs[:, 1]
    rows = np.concatenate([i, j, i, j])
    cols = np.concatenate([i, j, j, i])
    data = np.concatenate([weight, weight, -weight, -weight])
    return sparse.csc_matrix((data, (rows, cols)), shape=(size, size))


def present_boundaries(boundaries: Boundaries) -> IntArray:
    """Ids of the boundaries that are there (state not "removed"), increasing."""
    table = boundaries.table
    return np.sort(table.index[table["state"] != "removed"].to_numpy(dtype=np.int64))


def build_polycrystal(boundaries: Boundaries, experiment: Experiment) -> Polycrystal:
    """Collect the geometry of a map and its source.

    Parameters
    ----------
    boundaries
        Grains and their boundaries; number i here is entry i of
        `present_boundaries`.
    experiment
        Only its source (edge or mask) and surface exchange are used.

    Raises
    ------
    ValueError
        If there is no grain, or the source touches none.
    """
    grains = np.asarray(boundaries.grains)
    height, width = boundaries.pixel_size
    if not (grains > 0).any():
        raise ValueError("the grains image is empty: label at least one grain")
    order, unknown, cell_start, cell_grain = _number_unknowns(grains)
    inner, inner_weight = _inner_faces(grains, unknown, height, width)

    faces = boundaries.faces
    ids = present_boundaries(boundaries)
    gone = np.setdiff1d(faces.boundary, ids)
    if gone.size:
        raise ValueError(
            f"boundary {int(gone[0])} is removed, but its grains are still two: "
            "merge them and find the boundaries again"
        )
    face_row = np.searchsorted(ids, faces.boundary)
    flat = unknown.ravel()
    stretch = faces.staircase
    length = np.where(faces.axis == 0, width, height)
    distance = np.where(faces.axis == 0, height, width)
    weight = length / stretch
    total = np.bincount(face_row, weight, minlength=ids.size)
    way = np.bincount(face_row, weight * distance / stretch, minlength=ids.size)
    rho = np.divide(way, total, out=np.full(ids.size, min(height, width)), where=total > 0)

    source, source_weight, source_half = _source_faces(grains, unknown, experiment, height, width)
    exchange = experiment.surface_exchange
    return Polycrystal(
        shape=(grains.shape[0], grains.shape[1]),
        area=height * width,
        pixel=order,
        cell_start=cell_start,
        cell_grain=cell_grain,
        inner=inner,
        inner_weight=inner_weight,
        contact=np.column_stack([flat[faces.first], flat[faces.second]]).astype(np.int64),
        contact_boundary=face_row,
        contact_weight=weight,
        rho=rho,
        source=source,
        source_weight=source_weight,
        source_rho=float(np.average(source_half, weights=source_weight)),
        surface_resistance=0.0 if exchange is None else 1.0 / exchange,
    )


def _number_unknowns(
    grains: NDArray[np.integer],
) -> tuple[IntArray, IntArray, IntArray, IntArray]:
    """Sort the pixels of grains by cell: (flat pixels, unknown image, cell starts, cell grain)."""
    height, width = grains.shape
    ids = np.arange(height * width).reshape(height, width)
    same_x = (grains[:, 1:] == grains[:, :-1]) & (grains[:, 1:] > 0)
    same_y = (grains[1:] == grains[:-1]) & (grains[1:] > 0)
    i = np.concatenate([ids[:, :-1][same_x], ids[:-1][same_y]])
    j = np.concatenate([ids[:, 1:][same_x], ids[1:][same_y]])
    links = sparse.coo_matrix((np.ones(i.size, bool), (i, j)), shape=(ids.size, ids.size))
    _, component = connected_components(links, directed=False)
    inside = np.flatnonzero(grains.ravel() > 0)
    _, cell = np.unique(component[inside], return_inverse=True)
    by_cell = np.argsort(cell, kind="stable")
    order = inside[by_cell]
    counts = np.bincount(cell)
    start = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    unknown = np.full(ids.size, -1, dtype=np.int64)
    unknown[order] = np.arange(order.size)
    grain = grains.ravel()[order[start[:-1]]].astype(np.int64)
    return order.astype(np.int64), unknown.reshape(height, width), start, grain


def _inner_faces(
    grains: NDArray[np.integer], unknown: IntArray, height: float, width: float
) -> tuple[IntArray, FloatArray]:
    same_x = (grains[:, 1:] == grains[:, :-1]) & (grains[:, 1:] > 0)
    same_y = (grains[1:] == grains[:-1]) & (grains[1:] > 0)
    pairs_x = np.column_stack([unknown[:, :-1][same_x], unknown[:, 1:][same_x]])
    pairs_y = np.column_stack([unknown[:-1][same_y], unknown[1:][same_y]])
    weight = np.concatenate(
        [np.full(len(pairs_x), height / width), np.full(len(pairs_y), width / height)]
    )
    return np.concatenate([pairs_x, pairs_y]), weight


def _source_faces(
    grains: NDArray[np.integer],
    unknown: IntArray,
    experiment: Experiment,
    height: float,
    width: float,
) -> tuple[IntArray, FloatArray, FloatArray]:
    """Outer faces at the source: (unknown, face length, half pixel across the face)."""
    chosen: list[IntArray] = []
    lengths: list[FloatArray] = []
    halves: list[FloatArray] = []
    for name, shift, length, half in (
        ("left", (0, -1), height, width / 2),
        ("right", (0, 1), height, width / 2),
        ("top", (-1, 0), width, height / 2),
        ("bottom", (1, 0), width, height / 2),
    ):
        facing = _facing_source(grains, experiment, name, shift)
        found = unknown[facing]
        chosen.append(found)
        lengths.append(np.full(found.size, length))
        halves.append(np.full(found.size, half))
    source = np.concatenate(chosen)
    if source.size == 0:
        where = (
            f"the {experiment.source} edge"
            if isinstance(experiment.source, str)
            else "the source mask"
        )
        raise ValueError(f"no grain touches {where}: choose the edge that met the 6Li source")
    return source, np.concatenate(lengths), np.concatenate(halves)


def _facing_source(
    grains: NDArray[np.integer], experiment: Experiment, edge: str, shift: tuple[int, int]
) -> NDArray[np.bool_]:
    """Pixels of grains whose face toward `shift` is a source face."""
    y, x = np.indices(grains.shape)
    border = {
        "left": x == 0,
        "right": x == grains.shape[1] - 1,
        "top": y == 0,
        "bottom": y == grains.shape[0] - 1,
    }[edge]
    if isinstance(experiment.source, str):
        return border & (grains > 0) if edge == experiment.source else np.zeros_like(border)
    mask = np.asarray(experiment.source, dtype=bool)
    if mask.shape != grains.shape:
        raise ValueError(f"the source mask is {mask.shape}, the grains are {grains.shape}")
    mask = mask & (grains > 0)
    padded = np.pad(grains, 1, constant_values=-1)
    beyond = padded[y + 1 + shift[0], x + 1 + shift[1]]
    # A corner pixel of a masked edge has a second outer face that is no source: an image
    # border counts where the mask runs along it.
    pair = np.ones((2, 1) if shift[0] == 0 else (1, 2), dtype=bool)
    runs = ndimage.binary_opening(np.pad(mask, 1), pair)[1:-1, 1:-1]
    return mask & ((beyond == 0) | (border & runs))


def solve(
    crystal: Polycrystal,
    stages: Sequence[Stage],
    permeability: FloatArray,
    diffusivity: float,
    start: float,
    source: float,
    tolerance: float = 1e-7,
) -> FloatArray:
    """Solve the full finite-volume model.

    Parameters
    ----------
    crystal
        The map.
    stages
        Durations in s, with and without source.
    permeability
        k of each boundary, m/s, shape (boundaries,).
    diffusivity
        D of the grains, m2/s.
    start, source
        Fraction of the sample at first, and of the source.
    tolerance
        On the fraction, of the integration in time.

    Returns
    -------
    ndarray
        Fraction of each unknown, shape (n,).
    """
    departure = np.full(crystal.size, start - source)
    # The factorisation gains nothing from BLAS threads, and loses much on a busy machine.
    with threadpool_limits(1, user_api="blas"):
        for stage in stages:
            matrix = crystal.stiffness(permeability, diffusivity, stage.source) / crystal.area
            departure = _expm_lanczos(matrix.tocsc(), stage.duration, departure, tolerance)
    return source + departure


def _expm_lanczos(
    matrix: sparse.csc_matrix, duration: float, vector: FloatArray, tolerance: float
) -> FloatArray:
    """exp(-t A) v for symmetric A >= 0, by Lanczos on (I + t/10 A)^-1."""
    shift = duration / 10.0
    factor = splu(
        (sparse.identity(matrix.shape[0], format="csc") + shift * matrix).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    norm = float(np.linalg.norm(vector))
    if norm == 0:
        return vector.copy()
    basis = [vector / norm]
    images: list[FloatArray] = []
    previous = None
    for step in range(1, 81):
        images.append(factor.solve(basis[-1]))
        space = np.array(basis)
        projected = space @ np.array(images).T
        mu, modes = np.linalg.eigh((projected + projected.T) / 2)
        rate = (1.0 / np.clip(mu, 1e-14, None) - 1.0) / shift
        current = norm * ((modes * np.exp(-np.clip(rate, 0, None) * duration)) @ modes[0])
        if previous is not None and step % 3 == 0:
            change = current.copy()
            change[: previous.size] -= previous
            if np.abs(space.T @ change).max() < tolerance:
                return current @ space
        if step % 3 == 0:
            previous = current
        rest = images[-1] - space.T @ (space @ images[-1])
        rest -= space.T @ (space @ rest)
        size = float(np.linalg.norm(rest))
        if size < 1e-13:
            return current @ space
        basis.append(rest / size)
    raise RuntimeError("the time integration of the full model did not converge")
