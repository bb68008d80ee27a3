"""The network of a map on the shapes of its grains: for many sets of coefficients.

The shapes are those of `reduced` (the constant, and the steady answer to a uniform flux
through each boundary). The conductance is never below that of all pixels, since it
minimises the same dissipation over fewer fields. What it becomes when one boundary is
healed (k = infinity) is a low-rank update (Woodbury).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.sparse.linalg import SuperLU

from napari_liso.diffusion.reduced import ReducedModel, build_reduced
from napari_liso.diffusion.transport.network import Flow, Network, factorise, flow_of

__all__ = ["ReducedNetwork", "reduce_network"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Columns of a block of right-hand sides: bounds the memory.
_BLOCK = 512


@dataclass(frozen=True, eq=False)
class ReducedNetwork:
    """A network on the shapes of its cells.

    Parameters
    ----------
    network, model
        What it stands for.
    cell
        Cell of each mode.
    rows, columns
        Row of each entry of the stiffness and first entry of each column (CSC).
    entries
        How they depend on kappa of each contact and on D, (entries, contacts + 1).
    """

    network: Network
    model: ReducedModel
    cell: IntArray
    rows: IntArray
    columns: IntArray
    entries: sparse.csr_matrix

    def solve(self, permeability: FloatArray, diffusivity: float) -> Flow:
        """Solve for one set of coefficients (k of 0 and inf allowed)."""
        return self._solve(permeability, diffusivity)[0]

    def _solve(
        self, permeability: FloatArray, diffusivity: float
    ) -> tuple[Flow, SuperLU, IntArray]:
        network = self.network
        data = self.entries @ np.append(network.kappa(permeability, diffusivity), diffusivity)
        shape = (self.model.modes, self.model.modes)
        matrix = sparse.csc_matrix((data, self.rows, self.columns), shape=shape)
        inside = network.reached(permeability)[self.cell] & (self.cell < network.crystal.cells - 2)
        free = np.flatnonzero(inside)
        x = np.zeros(self.model.modes)
        x[-2] = self.model.constant[-2]
        pull = -(matrix @ x)[free]
        # Without islands only the electrodes, the last two, are held: slices are cheap.
        whole = free.size == x.size - 2
        factor = factorise(matrix[:-2, :-2] if whole else matrix[free][:, free])
        x[free] = factor.solve(pull)
        jumps, owner = self._jumps
        energy = np.zeros(network.crystal.boundaries)
        np.add.at(energy, owner, (jumps @ x) ** 2)
        interior = float(x @ (self._interior @ x))
        flow = flow_of(network, permeability, diffusivity, energy, interior, x)
        return flow, factor, free

    @cached_property
    def _jumps(self) -> tuple[sparse.csr_matrix, IntArray]:
        """Coefficients to the jumps across all contacts, and the contact of each jump."""
        rows, columns, values, owner = [], [], [], []
        done = 0
        for number, (modes, shape) in enumerate(self.model.coupling):
            count = shape.shape[1]
            rows.append(np.repeat(np.arange(done, done + count), modes.size))
            columns.append(np.tile(modes, count))
            values.append(shape.T.ravel())
            owner.append(np.full(count, number))
            done += count
        place = (np.concatenate(rows), np.concatenate(columns))
        jumps = sparse.csr_matrix((np.concatenate(values), place), (done, self.model.modes))
        return jumps, np.concatenate(owner)

    @cached_property
    def _interior(self) -> sparse.csr_matrix:
        return sparse.csr_matrix(self.model.interior)

    def healed_one_by_one(
        self, permeability: FloatArray, diffusivity: float
    ) -> tuple[Flow, FloatArray]:
        """Solve, and find the conductance if one boundary alone had no barrier.

        Returns
        -------
        Flow
            As it is.
        ndarray
            Conductance with each boundary healed, m2/s, (boundaries,).
        """
        flow, factor, free = self._solve(permeability, diffusivity)
        position = np.full(self.model.modes, -1, dtype=np.int64)
        position[free] = np.arange(free.size)
        change = diffusivity / self.network.crystal.rho - self.network.kappa(
            permeability, diffusivity
        )
        healed = np.full(self.network.boundaries, flow.conductance)
        waiting: list[int] = []
        columns = 0
        for boundary in range(self.network.boundaries):
            modes, shape = self.model.coupling[boundary]
            if (position[modes] < 0).any() or not change[boundary] > 0:
                continue
            waiting.append(boundary)
            columns += shape.shape[1]
            if columns >= _BLOCK:
                self._heal(waiting, flow, factor, position, change, healed)
                waiting, columns = [], 0
        if waiting:
            self._heal(waiting, flow, factor, position, change, healed)
        return flow, healed

    def _heal(
        self,
        waiting: list[int],
        flow: Flow,
        factor: SuperLU,
        position: IntArray,
        change: FloatArray,
        healed: FloatArray,
    ) -> None:
        """Low-rank updates: G + j^T (1/change + F^T K^-1 F)^-1 j with the jump j = F^T x."""
        ends = np.cumsum([0, *(self.model.coupling[b][1].shape[1] for b in waiting)])
        right = np.zeros((int((position >= 0).sum()), int(ends[-1])))
        for start, boundary in zip(ends, waiting, strict=False):
            modes, shape = self.model.coupling[boundary]
            right[position[modes], start : start + shape.shape[1]] = shape
        answer = factor.solve(right)
        for start, boundary in zip(ends, waiting, strict=False):
            modes, shape = self.model.coupling[boundary]
            inner = shape.T @ answer[position[modes], start : start + shape.shape[1]]
            inner[np.diag_indices(len(inner))] += 1.0 / change[boundary]
            jump = shape.T @ flow.values[modes]
            healed[boundary] += jump @ np.linalg.solve(inner, jump)


def reduce_network(network: Network) -> ReducedNetwork:
    """Project a network on the steady shapes of its cells.

    These are exact where the flux is uniform along each boundary. On Voronoi maps the
    effective diffusivity is within 0.5 % at any Biot number from 0.02 to 30.
    """
    crystal = network.crystal
    model = build_reduced(crystal, 0)
    parts = [(modes, shape @ shape.T) for modes, shape in model.coupling]
    owner = [np.full(block.size, number) for number, (_, block) in enumerate(parts)]
    for _, _, modes in model.blocks():
        block = model.interior[modes, modes]
        parts.append((np.arange(modes.start, modes.stop), block))
        owner.append(np.full(block.size, crystal.boundaries))
    place = np.concatenate([(m[None, :] * model.modes + m[:, None]).ravel() for m, _ in parts])
    values = np.concatenate([block.ravel() for _, block in parts])
    used, entry = np.unique(place, return_inverse=True)
    column, row = np.divmod(used, model.modes)
    ends = np.searchsorted(column, np.arange(model.modes + 1))
    return ReducedNetwork(
        network=network,
        model=model,
        cell=np.repeat(np.arange(crystal.cells), np.diff(model.mode_start)),
        rows=row,
        columns=ends.astype(np.int64),
        entries=sparse.csr_matrix(
            (values, (entry, np.concatenate(owner))), shape=(used.size, crystal.boundaries + 1)
        ),
    )
