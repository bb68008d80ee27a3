"""The reduced model: a few shapes a grain instead of all its pixels.

Each cell (connected piece of a grain) is described by the constant and by the
responses of its interior to fluxes through its boundaries and its source face
(component-mode synthesis with attachment modes). These shapes depend on the
geometry alone, so one basis serves a whole fit. The Galerkin projection of the
finite-volume operator of `polycrystal` is

    dx/dt = -(D K0 + sum_b kappa_b B_b + kappa_s S) x

with an orthonormal basis (the mass matrix is the identity).

Levels of the basis, each containing the one below:

0. constant, and the steady response to a uniform flux through each boundary;
1. fluxes that vary linearly along the boundary, and the responses of uniform
   fluxes at the rates 1/t and 10/t, for fronts that still move;
2. both together;
3. quadratic fluxes, and the rate 100/t.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from napari_liso.diffusion.polycrystal import Polycrystal

__all__ = ["MAX_LEVEL", "ReducedModel", "build_reduced"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

MAX_LEVEL = 3
#: Degree of the fluxes along a boundary, by (rate * t, 0 = steady), for each level.
_LOADS: tuple[dict[float, int], ...] = (
    {0.0: 0},
    {0.0: 1, 1.0: 0, 10.0: 0},
    {0.0: 1, 1.0: 1, 10.0: 1},
    {0.0: 2, 1.0: 2, 10.0: 2, 100.0: 2},
)
#: Shapes that add less than this to those before them (relative) are dropped.
_DEPENDENT = 1e-6


@dataclass(frozen=True, eq=False)
class ReducedModel:
    """Projection of a `Polycrystal` on its shapes.

    Parameters
    ----------
    crystal
        The map.
    level
        Of the basis, 0 to `MAX_LEVEL`.
    shapes
        Per cell, values at its unknowns, (unknowns, modes), in 1/m, so that
        shapes^T shapes * pixel area = identity.
    mode_start
        First mode of each cell, with their number at the end.
    constant
        Coefficients of the field that is 1 everywhere, shape (modes,).
    interior
        K0, dense (modes, modes), block diagonal.
    source
        S, dense (modes, modes).
    coupling
        Per boundary (mode indices, factor): B = F F^T on these modes.
    """

    crystal: Polycrystal
    level: int
    shapes: list[FloatArray]
    mode_start: IntArray
    constant: FloatArray
    interior: FloatArray
    source: FloatArray
    coupling: list[tuple[IntArray, FloatArray]]

    @property
    def modes(self) -> int:
        """Number of modes."""
        return self.constant.size

    def field(self, coefficients: FloatArray) -> FloatArray:
        """Values at all unknowns, shape (n,)."""
        start = self.mode_start
        return np.concatenate(
            [
                shape @ coefficients[a:b]
                for shape, a, b in zip(self.shapes, start[:-1], start[1:], strict=True)
            ]
        )

    def stiffness(self, kappa: FloatArray, diffusivity: float, with_source: bool) -> FloatArray:
        """Reduced stiffness in 1/s, dense (modes, modes)."""
        matrix = diffusivity * self.interior
        for value, (modes, factor) in zip(kappa, self.coupling, strict=True):
            matrix[np.ix_(modes, modes)] += value * (factor @ factor.T)
        if with_source:
            matrix = matrix + self.crystal.source_conductance(diffusivity) * self.source
        return matrix

    def blocks(self) -> Iterator[tuple[int, slice, slice]]:
        """Yield (cell, its unknowns, its modes)."""
        unknowns, modes = self.crystal.cell_start, self.mode_start
        for cell in range(self.crystal.cells):
            yield (
                cell,
                slice(unknowns[cell], unknowns[cell + 1]),
                slice(modes[cell], modes[cell + 1]),
            )


def build_reduced(crystal: Polycrystal, level: int, diffusion_area: float = 0.0) -> ReducedModel:
    """Compute shapes and project the operator on them.

    Parameters
    ----------
    crystal
        The map.
    level
        See the module's text.
    diffusion_area
        D t in m2 at the current estimate, for levels above 0: it places their
        rates. Any value gives a valid (Galerkin) model; a good one a small one.

    Raises
    ------
    ValueError
        If the level does not exist or a level above 0 lacks `diffusion_area`.
    """
    if not 0 <= level <= MAX_LEVEL:
        raise ValueError(f"level must be 0 to {MAX_LEVEL}, got {level}")
    if level > 0 and not diffusion_area > 0:
        raise ValueError("levels above 0 need the diffusion area D t")
    laplacian = crystal.inner_laplacian()
    raw = [np.empty((size, 0)) for size in np.diff(crystal.cell_start)]
    for rate, degree in _LOADS[level].items():
        loads = _loads(crystal, degree)
        shift = rate / diffusion_area if rate else 0.0
        found = _responses(crystal, laplacian, loads, shift)
        raw = [np.column_stack(pair) for pair in zip(raw, found, strict=True)]
    shapes = [_orthonormal(columns, crystal.area) for columns in raw]
    start = np.concatenate([[0], np.cumsum([s.shape[1] for s in shapes])]).astype(np.int64)
    constant = np.zeros(start[-1])
    constant[start[:-1]] = np.sqrt(np.diff(crystal.cell_start) * crystal.area)
    interior = np.zeros((start[-1], start[-1]))
    for cell, shape in enumerate(shapes):
        unknowns = slice(crystal.cell_start[cell], crystal.cell_start[cell + 1])
        modes = slice(start[cell], start[cell + 1])
        interior[modes, modes] = shape.T @ (laplacian[unknowns, unknowns] @ shape)
    return ReducedModel(
        crystal=crystal,
        level=level,
        shapes=shapes,
        mode_start=start,
        constant=constant,
        interior=interior,
        source=_project_source(crystal, shapes, start),
        coupling=_project_contacts(crystal, shapes, start),
    )


def _loads(crystal: Polycrystal, degree: int) -> list[list[tuple[IntArray, FloatArray]]]:
    """Fluxes to respond to, per cell: (unknown within the cell, flux) of each load."""
    cell = crystal.cell_of_unknown()
    loads: list[list[tuple[IntArray, FloatArray]]] = [[] for _ in range(crystal.cells)]
    for side in (0, 1):
        unknown = crystal.contact[:, side]
        _add_loads(
            loads, crystal, cell, unknown, crystal.contact_boundary, crystal.contact_weight, degree
        )
    _add_loads(
        loads,
        crystal,
        cell,
        crystal.source,
        np.zeros(crystal.source.size, dtype=np.int64),
        crystal.source_weight,
        degree,
    )
    return loads


def _add_loads(
    loads: list[list[tuple[IntArray, FloatArray]]],
    crystal: Polycrystal,
    cell: IntArray,
    unknown: IntArray,
    facet: IntArray,
    weight: FloatArray,
    degree: int,
) -> None:
    """Append the loads of the facets, grouped by (cell, facet), one for each polynomial degree."""
    if unknown.size == 0:
        return
    width = crystal.shape[1]
    order = np.lexsort((facet, cell[unknown]))
    keys = np.column_stack([cell[unknown][order], facet[order]])
    cuts = np.flatnonzero((np.diff(keys, axis=0) != 0).any(axis=1)) + 1
    for group in np.split(order, cuts):
        members = unknown[group]
        home = int(cell[members[0]])
        local = members - crystal.cell_start[home]
        position = np.column_stack(np.divmod(crystal.pixel[members], width)).astype(float)
        position -= position.mean(axis=0)
        along = position @ np.linalg.svd(position, full_matrices=False)[2][0]
        reach = float(np.abs(along).max())
        loads[home].append((local, weight[group]))
        for power in range(1, degree + 1 if reach > 0 else 1):
            loads[home].append((local, weight[group] * (along / reach) ** power))


def _responses(
    crystal: Polycrystal,
    laplacian: sparse.csc_matrix,
    loads: list[list[tuple[IntArray, FloatArray]]],
    rate: float,
) -> list[FloatArray]:
    """Solve (L + rate * area) phi = load in every cell at once; one column array a cell.

    The cells do not touch in L, so load number i of all cells shares one
    right-hand side. At rate 0 the problem is singular: loads are balanced by a
    uniform sink and a tiny shift fixes the constant, which the basis has anyway.
    """
    columns = max((len(items) for items in loads), default=0)
    right = np.zeros((crystal.size, columns))
    for cell, items in enumerate(loads):
        first = crystal.cell_start[cell]
        for column, (local, flux) in enumerate(items):
            np.add.at(right[:, column], first + local, flux)
            if rate == 0:
                right[first : crystal.cell_start[cell + 1], column] -= flux.sum() / (
                    crystal.cell_start[cell + 1] - first
                )
    sizes = np.diff(crystal.cell_start)
    shift = np.repeat(1e-7 / sizes, sizes) if rate == 0 else rate * crystal.area
    factor = splu(
        (laplacian + sparse.diags(np.broadcast_to(shift, crystal.size))).tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
    solution = factor.solve(right)
    return [
        solution[crystal.cell_start[cell] : crystal.cell_start[cell + 1], : len(items)]
        for cell, items in enumerate(loads)
    ]


def _orthonormal(columns: FloatArray, area: float) -> FloatArray:
    """Orthonormal basis of the constant (first) and the columns, dependent ones dropped."""
    size = columns.shape[0]
    constant = np.full((size, 1), 1 / np.sqrt(size * area))
    rest = columns - columns.mean(axis=0)
    norms = np.linalg.norm(rest, axis=0)
    rest = rest[:, norms > 1e-12 * max(norms.max(initial=0.0), 1e-300)]
    if size == 1 or rest.shape[1] == 0:
        return constant
    rest = rest / np.linalg.norm(rest, axis=0)
    q, r, _ = linalg.qr(rest, mode="economic", pivoting=True)
    diagonal = np.abs(np.diag(r))
    keep = int((diagonal > _DEPENDENT * diagonal[0]).sum())
    keep = min(keep, size - 1)
    q = q[:, :keep] - q[:, :keep].mean(axis=0)
    return np.column_stack([constant, np.linalg.qr(q)[0] / np.sqrt(area)])


def _project_source(crystal: Polycrystal, shapes: list[FloatArray], start: IntArray) -> FloatArray:
    matrix = np.zeros((start[-1], start[-1]))
    cell = crystal.cell_of_unknown()[crystal.source]
    for home in np.unique(cell):
        here = cell == home
        rows = shapes[home][crystal.source[here] - crystal.cell_start[home]]
        modes = slice(start[home], start[home + 1])
        matrix[modes, modes] = rows.T @ (crystal.source_weight[here, None] * rows)
    return matrix


def _project_contacts(
    crystal: Polycrystal, shapes: list[FloatArray], start: IntArray
) -> list[tuple[IntArray, FloatArray]]:
    cell = crystal.cell_of_unknown()
    order = np.argsort(crystal.contact_boundary, kind="stable")
    ends = np.searchsorted(crystal.contact_boundary[order], np.arange(crystal.boundaries + 1))
    coupling = []
    for boundary in range(crystal.boundaries):
        faces = order[ends[boundary] : ends[boundary + 1]]
        pairs = crystal.contact[faces]
        homes = np.unique(cell[pairs])
        modes = np.concatenate([np.arange(start[h], start[h + 1]) for h in homes])
        offset = dict(
            zip(homes, np.cumsum([0, *(start[h + 1] - start[h] for h in homes)]), strict=False)
        )
        jump = np.zeros((len(faces), modes.size))
        for side, sign in ((0, 1.0), (1, -1.0)):
            for home in homes:
                here = np.flatnonzero(cell[pairs[:, side]] == home)
                local = pairs[here, side] - crystal.cell_start[home]
                columns = offset[home] + np.arange(shapes[home].shape[1])
                jump[np.ix_(here, columns)] += sign * shapes[home][local]
        jump *= np.sqrt(crystal.contact_weight[faces])[:, None]
        _, size, right = np.linalg.svd(jump, full_matrices=False)
        keep = size > 1e-7 * size[0]
        coupling.append((modes, right[keep].T * size[keep]))
    return coupling
