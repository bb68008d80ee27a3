"""Exact time integration of the reduced model, and how the result moves with k and D.

With the stiffness K = V diag(rates) V^T of a stage, the departure from the
source fraction goes from u to V exp(-rates t) V^T u. The derivative of a matrix
exponential follows from the same eigenvectors (Daleckii & Krein 1965; Najfeld
& Havel, Adv. Appl. Math. 16, 321, 1995): entry (i, j) of V^T dK V is multiplied
by the divided difference of exp(-rate t).

A change of one boundary alone is an update of low rank, so its effect at any
size is a rational function of the unchanged model (`along_boundary`): the
exponential is replaced by its Caratheodory-Fejer (CRAM) approximation, whose
resolvents follow from the Woodbury identity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.experiment import Stage
from napari_liso.diffusion.reduced import ReducedModel

__all__ = ["Evolution", "along_boundary", "evolve", "sensitivity"]

FloatArray = NDArray[np.float64]

# Near-best rational approximation of exp on the negative axis, order 8 (error 3e-8):
# exp(z) = Re sum residue / (z - pole). Carpenter, Ruttan & Varga 1984; Trefethen et al. 2006.
_POLES = np.array(
    [
        3.2209452451180125 + 1.1936196054221206j,
        2.292249147887982 + 3.600771496085447j,
        0.2694909874430078 + 6.082032592715811j,
        -3.4085395013620245 + 8.77303456442925j,
    ]
)
_RESIDUES = np.array(
    [
        -3.6635434214753566 - 19.051216261145864j,
        4.872481466138163 + 7.433511282253848j,
        -1.2651761075491392 - 0.8878462054808117j,
        0.05625951432850368 + 0.023154769140942486j,
    ]
)


@dataclass(frozen=True, eq=False)
class Evolution:
    """The stages of one model run.

    Parameters
    ----------
    model, stages
        What was run.
    permeability, diffusivity
        k of each boundary (m/s) and D (m2/s).
    start
        Coefficients of the departure from the source fraction at first.
    rates, vectors
        Eigenvalues (1/s) and eigenvectors of each stage's stiffness.
    departures
        Coefficients at the start of each stage, and at the end of the last.
    """

    model: ReducedModel
    stages: tuple[Stage, ...]
    permeability: FloatArray
    diffusivity: float
    rates: list[FloatArray]
    vectors: list[FloatArray]
    departures: list[FloatArray]

    @property
    def final(self) -> FloatArray:
        """Coefficients of the departure at the end, shape (modes,)."""
        return self.departures[-1]


def evolve(
    model: ReducedModel,
    stages: Sequence[Stage],
    permeability: FloatArray,
    diffusivity: float,
    departure: float,
) -> Evolution:
    """Run the reduced model through all stages.

    Parameters
    ----------
    model
        Reduced model.
    stages
        Durations in s, with and without source.
    permeability, diffusivity
        k of each boundary (m/s), D (m2/s).
    departure
        Background minus source fraction: the departure at first, everywhere.
    """
    kappa = model.crystal.conductance(permeability, diffusivity)
    solved: dict[bool, tuple[FloatArray, FloatArray]] = {}
    rates, vectors, departures = [], [], [departure * model.constant]
    for stage in stages:
        if stage.source not in solved:
            matrix = model.stiffness(kappa, diffusivity, stage.source)
            found, modes = np.linalg.eigh(matrix)
            solved[stage.source] = (np.clip(found, 0.0, None), modes)
        rate, mode = solved[stage.source]
        rates.append(rate)
        vectors.append(mode)
        departures.append(mode @ (np.exp(-rate * stage.duration) * (departures[-1] @ mode)))
    return Evolution(model, tuple(stages), permeability, diffusivity, rates, vectors, departures)


def sensitivity(run: Evolution) -> FloatArray:
    """Derivative of the final coefficients.

    Returns
    -------
    ndarray
        Shape (modes, boundaries + 1): by ln k of each boundary, last by ln D.
    """
    crystal = run.model.crystal
    kappa = crystal.conductance(run.permeability, run.diffusivity)
    by_ln_k = kappa**2 / run.permeability
    by_ln_d = kappa**2 * crystal.rho / run.diffusivity
    result = np.zeros((run.model.modes, crystal.boundaries + 1))
    for i, stage in enumerate(run.stages):
        rate, mode = run.rates[i], run.vectors[i]
        decay = np.exp(-rate * stage.duration)
        if i > 0:
            result = mode @ (decay[:, None] * (mode.T @ result))
        z = run.departures[i] @ mode
        divided = _divided_differences(rate, stage.duration)
        result[:, :-1] -= mode @ (_by_conductance(run.model, mode, divided, z) * by_ln_k[None, :])
        full = _stiffness_by_ln_d(run, by_ln_d, stage.source)
        result[:, -1] -= mode @ ((divided * (mode.T @ full @ mode)) @ z)
    return result


def _divided_differences(rate: FloatArray, duration: float) -> FloatArray:
    """(exp(-r_j t) - exp(-r_i t)) / (r_i - r_j), with its limit on the diagonal."""
    low = np.minimum(rate[:, None], rate[None, :]) * duration
    gap = np.abs(rate[:, None] - rate[None, :]) * duration
    small = gap < 1e-8
    safe = np.where(small, 1.0, gap)
    ratio = np.where(small, 1.0 - gap / 2, -np.expm1(-safe) / safe)
    result: FloatArray = duration * np.exp(-low) * ratio
    return result


def _by_conductance(
    model: ReducedModel, mode: FloatArray, divided: FloatArray, z: FloatArray
) -> FloatArray:
    """Effect of d kappa of each boundary in the eigenbasis, shape (modes, boundaries)."""
    factors = [mode[modes].T @ factor for modes, factor in model.coupling]
    if not factors:
        return np.zeros((model.modes, 0))
    widths = [f.shape[1] for f in factors]
    stacked = np.concatenate(factors, axis=1)
    moved = stacked * (divided @ (stacked * z[:, None]))
    starts = np.concatenate([[0], np.cumsum(widths)[:-1]])
    return np.add.reduceat(moved, starts, axis=1)


def _stiffness_by_ln_d(run: Evolution, by_ln_d: FloatArray, with_source: bool) -> FloatArray:
    model = run.model
    matrix = run.diffusivity * model.interior
    for value, (modes, factor) in zip(by_ln_d, model.coupling, strict=True):
        matrix[np.ix_(modes, modes)] += value * (factor @ factor.T)
    if with_source:
        crystal = model.crystal
        kappa = crystal.source_conductance(run.diffusivity)
        matrix = matrix + kappa**2 * crystal.source_rho / run.diffusivity * model.source
    return matrix


def along_boundary(run: Evolution, boundary: int, kappa: FloatArray) -> FloatArray:
    """Final coefficients when one boundary's conductance takes other values.

    Parameters
    ----------
    run
        Evolution at the present k and D.
    boundary
        Row of the boundary.
    kappa
        Its conductances to try, m/s, shape (values,); 0 is allowed.

    Returns
    -------
    ndarray
        Shape (modes, values).
    """
    present = float(run.model.crystal.conductance(run.permeability, run.diffusivity)[boundary])
    change = np.asarray(kappa, dtype=float) - present
    modes, factor = run.model.coupling[boundary]
    state = np.repeat(run.departures[0][:, None], change.size, axis=1)
    for i, stage in enumerate(run.stages):
        mode = run.vectors[i]
        z = mode.T @ state
        g = mode[modes].T @ factor
        moved = np.zeros_like(z)
        for pole, residue in zip(_POLES, _RESIDUES, strict=True):
            resolvent = 1.0 / (run.rates[i] * stage.duration + pole)
            rz = resolvent[:, None] * z
            rg = resolvent[:, None] * g
            inner = g.T @ rg
            drive = g.T @ rz
            system = (
                np.eye(inner.shape[0])[None]
                + (change * stage.duration)[:, None, None] * inner[None]
            )
            answer = np.linalg.solve(system, drive.T[:, :, None])[:, :, 0]
            moved -= (residue * (rz - rg @ (answer * (change * stage.duration)[:, None]).T)).real
        state = mode @ moved
    return state
