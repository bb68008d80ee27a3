"""Steady flow through a mapped microstructure, from one edge of the map to the other.

The fraction is 1 on one edge and 0 on the opposite one, the other two are closed. The
operator is that of `polycrystal`: conductance D face/h inside a grain, face/(A/k + h/D)
across a boundary. Each electrode is one unknown of its own, joined to the pixels along
its edge by half a pixel of grain. With G the flux for a unit difference over a map of
length L and width W, the effective diffusivity is G L / W.

How G moves with each coefficient is exact: the share of the dissipation. These shares
(of every barrier and of the grains) add up to 1, because 1/G doubles when all 1/k and
1/D do.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.csgraph import connected_components
from scipy.sparse.linalg import SuperLU, splu

from napari_liso.diffusion.experiment import Edge, Experiment, Stage
from napari_liso.diffusion.polycrystal import (
    Polycrystal,
    build_polycrystal,
    present_boundaries,
)
from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["Direction", "Flow", "Network", "build_network", "factorise", "flow_of"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
Direction = Literal["x", "y"]


@dataclass(frozen=True, eq=False)
class Network:
    """A map between two electrodes.

    Parameters
    ----------
    crystal
        The map with two more cells of one unknown each, the electrodes (the last two),
        and one more "boundary" for each contact of a cell with an electrode.
    ids
        Ids of the boundaries, the first `ids.size` of the crystal.
    direction
        ``"x"``: left to right; ``"y"``: top to bottom.
    length, width
        Between the electrodes, and across, m.
    crossings
        Straight lines along the direction that cross each boundary, as a share of all
        lines of pixels (more than 1 if they cross it several times), (boundaries,).
    """

    crystal: Polycrystal
    ids: IntArray
    direction: Direction
    length: float
    width: float
    crossings: FloatArray

    @property
    def boundaries(self) -> int:
        """Number of boundaries, electrodes left out."""
        return self.ids.size

    def all_permeabilities(self, permeability: FloatArray) -> FloatArray:
        """k of all contacts: an electrode has no barrier."""
        electrodes = np.full(self.crystal.boundaries - self.boundaries, np.inf)
        return np.concatenate([permeability, electrodes])

    def effective(self, conductance: float) -> float:
        """Effective diffusivity in m2/s of a conductance in m2/s."""
        return conductance * self.length / self.width

    def image(self, values: FloatArray) -> FloatArray:
        """Put values of all unknowns on the map, NaN outside the grains, (y, x)."""
        whole = np.full(self.crystal.shape[0] * self.crystal.shape[1], np.nan)
        whole[self.crystal.pixel[:-2]] = values[:-2]
        return whole.reshape(self.crystal.shape)

    def straight(self, permeability: FloatArray, diffusivity: float) -> float:
        """Effective diffusivity if lithium went straight on: the brick layer of this map.

        1/D_eff = 1/D + (1/L) sum_b crossings_b / k_b.
        """
        met = self.crossings > 0
        with np.errstate(divide="ignore"):
            barriers = (self.crossings[met] / permeability[met]).sum()
            return float(1.0 / (1.0 / np.float64(diffusivity) + barriers / self.length))

    def kappa(self, permeability: FloatArray, diffusivity: float) -> FloatArray:
        """Conductance of all contacts in m/s; k of 0 and inf allowed."""
        with np.errstate(divide="ignore"):
            return self.crystal.conductance(self.all_permeabilities(permeability), diffusivity)

    @cached_property
    def _links(self) -> IntArray:
        """Cells on the two sides of every boundary, and its number, (links, 3)."""
        cells = self.crystal.cell_of_unknown()[self.crystal.contact]
        links = np.column_stack([cells, self.crystal.contact_boundary])
        return np.unique(links, axis=0).astype(np.int64)

    def parts(self, passing: NDArray[np.bool_]) -> IntArray:
        """Connected part of each cell if only some of the boundaries pass, (cells,)."""
        return self._whole if passing.all() else self._parts(passing)

    def _parts(self, passing: NDArray[np.bool_]) -> IntArray:
        electrodes = np.ones(self.crystal.boundaries - self.boundaries, dtype=bool)
        a, b, number = self._links.T
        here = np.append(passing, electrodes)[number]
        cells = self.crystal.cells
        graph = sparse.coo_matrix((np.ones(here.sum()), (a[here], b[here])), shape=(cells, cells))
        part: IntArray = connected_components(graph, directed=False)[1].astype(np.int64)
        return part

    def joined(self, passing: NDArray[np.bool_]) -> bool:
        """Whether a way leads from one electrode to the other."""
        part = self.parts(passing)
        return bool(part[-1] == part[-2])

    def reached(self, permeability: FloatArray) -> NDArray[np.bool_]:
        """Cells that an electrode reaches: the others are islands, (cells,)."""
        part = self.parts(permeability > 0)
        return np.isin(part, part[-2:])

    @cached_property
    def _whole(self) -> IntArray:
        """Parts where every boundary passes."""
        return self._parts(np.ones(self.boundaries, dtype=bool))

    def solve_full(self, permeability: FloatArray, diffusivity: float) -> Flow:
        """Solve all pixels.

        Parameters
        ----------
        permeability
            k of each boundary, m/s; 0 and inf allowed.
        diffusivity
            m2/s.
        """
        crystal = self.crystal
        with np.errstate(divide="ignore"):
            matrix = crystal.stiffness(self.all_permeabilities(permeability), diffusivity, False)
        cell = crystal.cell_of_unknown()
        free = np.flatnonzero(self.reached(permeability)[cell] & (cell < crystal.cells - 2))
        values = np.zeros(crystal.size)
        values[crystal.size - 2] = 1.0
        pull = -(matrix @ values)[free]
        values[free] = factorise(matrix[free][:, free]).solve(pull)
        first, second = crystal.contact.T
        jump = (values[first] - values[second]) ** 2 * crystal.contact_weight
        energy = np.zeros(crystal.boundaries)
        np.add.at(energy, crystal.contact_boundary, jump)
        inside = (values[crystal.inner[:, 0]] - values[crystal.inner[:, 1]]) ** 2
        interior = float(inside @ crystal.inner_weight)
        return flow_of(self, permeability, diffusivity, energy, interior, values)


@dataclass(frozen=True, eq=False)
class Flow:
    """One solution of a network.

    Parameters
    ----------
    conductance
        Flux for a unit difference, for a unit depth, m2/s.
    share
        Of the dissipation, and so of the effective resistance, in each barrier,
        (boundaries,).
    share_of_grains
        In the grains.
    values
        Fraction of the unknowns (full) or coefficients (reduced), electrodes last.
    """

    conductance: float
    share: FloatArray
    share_of_grains: float
    values: FloatArray


def flow_of(
    network: Network,
    permeability: FloatArray,
    diffusivity: float,
    energy: FloatArray,
    interior: float,
    values: FloatArray,
) -> Flow:
    """Collect a solution.

    Parameters
    ----------
    network, permeability, diffusivity
        What was solved.
    energy
        Sum of face/A (difference across it)^2 of each contact, electrodes last.
    interior
        The same of the faces inside grains, with face/h.
    values
        See `Flow`.
    """
    kappa = network.kappa(permeability, diffusivity)
    power = kappa * energy
    conductance = float(power.sum() + diffusivity * interior)
    if not network.joined(permeability > 0):
        return Flow(0.0, np.zeros(network.boundaries), 0.0, values)
    # Of the way between two pixel centres only 1/k is the barrier.
    mine = kappa[: network.boundaries]
    barrier = np.divide(mine, permeability, out=np.zeros(mine.size), where=permeability > 0)
    share = barrier * power[: network.boundaries] / conductance
    return Flow(conductance, share, float(1.0 - share.sum()), values)


def build_network(boundaries: Boundaries, direction: Direction = "x") -> Network:
    """Put a map between two electrodes.

    Parameters
    ----------
    boundaries
        Grains and their boundaries.
    direction
        ``"x"``: left to right; ``"y"``: top to bottom.

    Raises
    ------
    ValueError
        If the direction is another, or no grain touches one of the two edges.
    """
    if direction not in ("x", "y"):
        raise ValueError(f"direction must be 'x' or 'y', got {direction!r}")
    grains = np.asarray(boundaries.grains)
    axis = 1 if direction == "x" else 0
    names = ("left", "right") if direction == "x" else ("top", "bottom")
    for name, edge in zip(names, (0, -1), strict=True):
        if not (grains.take(edge, axis=axis) > 0).any():
            raise ValueError(
                f"no grain touches the {name} edge of the map: crop the map to the sample, or "
                "take the other direction"
            )
    first: Edge = "left" if direction == "x" else "top"
    crystal = build_polycrystal(boundaries, Experiment([Stage(1.0)], source=first))
    ids = present_boundaries(boundaries)
    size = boundaries.pixel_size
    faces = boundaries.faces
    lines = grains.shape[1 - axis]
    along = faces.axis == axis
    row = np.searchsorted(ids, faces.boundary[along])
    return Network(
        crystal=_with_electrodes(crystal, axis, size),
        ids=ids,
        direction=direction,
        length=grains.shape[axis] * size[axis],
        width=lines * size[1 - axis],
        crossings=np.bincount(row, minlength=ids.size) / lines,
    )


def _with_electrodes(crystal: Polycrystal, axis: int, size: tuple[float, float]) -> Polycrystal:
    """Add one unknown an electrode, and one "boundary" for each cell that it touches."""
    place = np.stack(np.divmod(crystal.pixel, crystal.shape[1]))[axis]
    cell = crystal.cell_of_unknown()
    pairs, facets, rho = [], [], []
    number = crystal.boundaries
    for offset, edge in enumerate((0, crystal.shape[axis] - 1)):
        touching = np.flatnonzero(place == edge)
        cells, facet = np.unique(cell[touching], return_inverse=True)
        pairs.append(np.column_stack([touching, np.full(touching.size, crystal.size + offset)]))
        facets.append(number + facet)
        rho.append(np.full(cells.size, size[axis] / 2))
        number += cells.size
    contacts = np.concatenate(pairs).astype(np.int64)
    return replace(
        crystal,
        pixel=np.append(crystal.pixel, crystal.pixel[[0, -1]]),
        cell_start=np.append(crystal.cell_start, crystal.size + np.array([1, 2])),
        cell_grain=np.append(crystal.cell_grain, [0, 0]),
        contact=np.concatenate([crystal.contact, contacts]),
        contact_boundary=np.concatenate([crystal.contact_boundary, *facets]).astype(np.int64),
        contact_weight=np.append(crystal.contact_weight, np.full(len(contacts), size[1 - axis])),
        rho=np.concatenate([crystal.rho, *rho]),
        # There is no source here, but a crystal must have one: it rests in an electrode.
        source=np.array([crystal.size]),
        source_weight=np.ones(1),
    )


def factorise(matrix: sparse.spmatrix) -> SuperLU:
    """Factorise a symmetric positive definite matrix."""
    return splu(
        matrix.tocsc(),
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        options={"SymmetricMode": True},
    )
