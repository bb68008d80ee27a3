"""The penalised maximum of the likelihood over all permeabilities and the diffusivity.

Parameters are ln k of each group of boundaries and ln D. The ln k come from a
normal population of spread sigma and unknown centre; with a flat prior on the
centre it integrates out to the penalty sum (ln k - mean)^2 / (2 sigma^2).
Levenberg-Marquardt on the Fisher information finds the maximum.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.likelihood import BinomialData, block_product
from napari_liso.diffusion.propagate import Evolution, evolve, sensitivity
from napari_liso.diffusion.reduced import ReducedModel

__all__ = ["Optimum", "Problem", "Scale", "linearise", "maximise", "start_values"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: ln k and ln D stay within this of the map's natural scales d/t and d2/t.
_REACH = np.log(1e7)
_LARGEST_STEP = 2.0
_MAX_ITERATIONS = 60
#: Keeps the curvature matrix invertible where the data do not know D at all
#: (a normal prior on ln D with this precision: s.d. 30, a factor e^30).
_TINY_PRECISION = 1e-3


@dataclass(frozen=True)
class Scale:
    """Natural scales of a map: grain size in m and duration in s."""

    grain_size: float
    duration: float

    @property
    def permeability(self) -> float:
        """d/t, m/s."""
        return self.grain_size / self.duration

    @property
    def diffusivity(self) -> float:
        """d2/t, m2/s."""
        return self.grain_size**2 / self.duration


@dataclass(frozen=True, eq=False)
class Problem:
    """All that the fit's objective needs.

    Parameters
    ----------
    model, data, experiment
        Reduced model, counts, stages.
    group
        Parameter of each boundary: boundaries of one group share their k.
    scale
        Natural scales; bounds of the search.
    sigma
        Spread of ln k of the population; inf for none.
    temper
        Likelihood exponent: 1 over the dispersion, at most 1.
    fixed
        Parameters that do not move.
    apart
        Group that the population does not hold, or None.
    """

    model: ReducedModel
    data: BinomialData
    experiment: Experiment
    group: IntArray
    scale: Scale
    sigma: float = np.inf
    temper: float = 1.0
    fixed: tuple[int, ...] = ()
    apart: int | None = None

    @property
    def groups(self) -> int:
        """Number of permeabilities."""
        return int(self.group.max()) + 1 if self.group.size else 0

    @property
    def departure(self) -> float:
        """Background minus source fraction."""
        return self.experiment.background_fraction - self.experiment.source_fraction

    def bounds(self) -> tuple[FloatArray, FloatArray]:
        """Smallest and largest parameters."""
        centre = np.full(self.groups + 1, np.log(self.scale.permeability))
        centre[-1] = np.log(self.scale.diffusivity)
        return centre - _REACH, centre + _REACH

    def run(self, theta: FloatArray) -> Evolution:
        """Reduced model at the parameters (ln k of each group, ln D)."""
        return evolve(
            self.model,
            self.experiment.stages,
            np.exp(theta[self.group]),
            float(np.exp(theta[-1])),
            self.departure,
        )

    def precision(self) -> FloatArray:
        """Second derivative of the penalty, (groups + 1, groups + 1)."""
        members = np.ones(self.groups)
        if self.apart is not None:
            members[self.apart] = 0.0
        matrix = np.zeros((self.groups + 1, self.groups + 1))
        if members.sum() > 1:
            spread = np.diag(members) - np.outer(members, members) / members.sum()
            matrix[:-1, :-1] = spread / self.sigma**2
        matrix[-1, -1] = _TINY_PRECISION
        return matrix

    def centred(self, theta: FloatArray) -> FloatArray:
        """Parameters with ln D counted from its natural scale, where its weak prior sits."""
        centred = theta.copy()
        centred[-1] -= np.log(self.scale.diffusivity)
        return centred

    def penalty(self, theta: FloatArray) -> float:
        """Minus the log of the population's density, up to a constant."""
        x = self.centred(theta)
        return 0.5 * float(x @ self.precision() @ x)

    def loss(self, theta: FloatArray) -> float:
        """Objective: tempered half deviance plus penalty."""
        fit = self.data.loss(self.model, self.run(theta).final)
        return self.temper * fit + self.penalty(theta)

    def jacobian(self, run: Evolution) -> FloatArray:
        """Derivative of the final coefficients by the parameters, (modes, groups + 1)."""
        by_boundary = sensitivity(run)
        result = np.zeros((self.model.modes, self.groups + 1))
        np.add.at(result.T, self.group, by_boundary[:, :-1].T)
        result[:, -1] = by_boundary[:, -1]
        return result


@dataclass(frozen=True, eq=False)
class Optimum:
    """A maximum and what is needed to work around it.

    Parameters
    ----------
    problem, theta, run
        The objective, its maximum, the model there.
    loss
        Value of the objective (tempered half deviance plus penalty).
    jacobian
        Of the final coefficients, (modes, groups + 1).
    blocks
        Fisher information of the coefficients per cell, tempered.
    score
        Of the coefficients, tempered, shape (modes,).
    information
        Fisher information of the parameters from the data alone.
    covariance
        Inverse of information plus the penalty's precision.
    pulls
        Mixed second derivative of the loss by the parameters and by each correction
        that is not exact, for its standard error, tempered: (groups + 1, corrections).
    """

    problem: Problem
    theta: FloatArray
    run: Evolution
    loss: float
    jacobian: FloatArray
    blocks: list[FloatArray]
    score: FloatArray
    information: FloatArray
    covariance: FloatArray
    pulls: FloatArray

    @property
    def log_determinant(self) -> float:
        """Of the posterior precision."""
        return float(np.linalg.slogdet(self.information + self.problem.precision())[1])


def maximise(
    problem: Problem,
    theta: FloatArray,
    progress: Callable[[], None] | None = None,
    tolerance: float = 3e-3,
) -> Optimum:
    """Find the maximum near `theta`.

    Parameters
    ----------
    problem
        The objective.
    theta
        Start, shape (groups + 1,).
    progress
        Called once an iteration; may raise to abort.
    tolerance
        On the objective: stop when the next step promises less.
    """
    low, high = problem.bounds()
    theta = np.clip(np.asarray(theta, dtype=float), low, high)
    free = np.setdiff1d(np.arange(theta.size), problem.fixed)
    damping = 1e-3
    point = linearise(problem, theta)
    for _ in range(_MAX_ITERATIONS):
        if progress is not None:
            progress()
        precision = problem.precision()
        slope = point.jacobian.T @ point.score - precision @ problem.centred(point.theta)
        curve = point.information + precision
        moving = free[
            ~(
                ((point.theta[free] <= low[free]) & (slope[free] < 0))
                | ((point.theta[free] >= high[free]) & (slope[free] > 0))
            )
        ]
        if moving.size == 0:
            break
        part = curve[np.ix_(moving, moving)]
        promised = 0.0
        for _ in range(12):
            damped = part + damping * np.diag(np.diag(part) + 1e-8)
            # A direction without curvature would ask for a step without end, and scaling
            # that down would hold all others back. This fades with the slope.
            damped += np.diag(np.abs(slope[moving]) / _LARGEST_STEP)
            step = np.linalg.solve(damped, slope[moving])
            step *= min(1.0, _LARGEST_STEP / max(float(np.abs(step).max()), 1e-300))
            promised = float(slope[moving] @ step - 0.5 * step @ part @ step)
            trial = point.theta.copy()
            trial[moving] += step
            trial[-1] = point.theta[-1] + _diffusivity_step(trial[-1] - point.theta[-1])
            trial = np.clip(trial, low, high)
            gain = point.loss - problem.loss(trial)
            if promised < tolerance or gain > 0.1 * promised:
                break
            damping *= 8.0
        if promised < tolerance:
            break
        if gain <= 0:
            break
        damping = max(damping / 5.0, 1e-7)
        point = linearise(problem, trial)
    return point


def _diffusivity_step(step: float) -> float:
    """Step in ln D that moves 1/D as far as the linear step would.

    The map answers linearly to 1/D: without this, steps in ln D overshoot to and
    fro where the data hardly know D.
    """
    return float(np.clip(-np.log1p(-min(step, 0.9)), -_LARGEST_STEP, _LARGEST_STEP))


def linearise(problem: Problem, theta: FloatArray) -> Optimum:
    """Model, score and curvature at any parameters (`Optimum` if they are one)."""
    run = problem.run(theta)
    curvature = problem.data.curvature(problem.model, run.final)
    jacobian = problem.jacobian(run)
    blocks = [problem.temper * block for block in curvature.blocks]
    information = jacobian.T @ block_product(problem.model, blocks, jacobian)
    information = (information + information.T) / 2
    covariance: FloatArray = np.linalg.pinv(
        information + problem.precision(), hermitian=True
    ).astype(np.float64)
    return Optimum(
        problem=problem,
        theta=theta,
        run=run,
        loss=problem.temper * curvature.loss + problem.penalty(theta),
        jacobian=jacobian,
        blocks=blocks,
        score=problem.temper * curvature.score,
        information=information,
        covariance=covariance,
        pulls=problem.temper * jacobian.T @ problem.data.pulls(problem.model, run.final),
    )


def start_values(problem: Problem, progress: Callable[[], None] | None = None) -> FloatArray:
    """Scan one k and one D for all grains on their natural scales, and refine the best.

    Returns
    -------
    ndarray
        Start for `maximise`, shape (groups + 1,).
    """
    shared = replace(problem, group=np.zeros_like(problem.group), sigma=np.inf)
    best, found = np.inf, np.zeros(2)
    for ln_d in np.log(problem.scale.diffusivity) + np.log([0.01, 0.3, 10.0, 300.0]):
        for ln_k in np.log(problem.scale.permeability) + np.log(10.0) * np.arange(-2, 4):
            if progress is not None:
                progress()
            loss = shared.loss(np.array([ln_k, ln_d]))
            if loss < best:
                best, found = loss, np.array([ln_k, ln_d])
    refined = maximise(shared, found, progress)
    theta = np.full(problem.groups + 1, refined.theta[0])
    theta[-1] = refined.theta[-1]
    return theta
