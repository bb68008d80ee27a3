"""The likelihood around its maximum, in variables in which the map answers linearly.

In ln k the likelihood of a map is far from quadratic: boundaries that share a
grain trade their conductances along a curved ridge. The map itself answers
almost linearly to the conductance that a boundary and the grains beside it
present together,

    y = 1 / (1/k + r),

where r is the resistance of the grain interior as seen from the boundary: with
k r << 1 (flat grains) in proportion to k, with k r >> 1 not at all any more. r
is found for each boundary from the exact answer of the reduced model to changes
of its k (`along_boundary`). To the grain interior it answers linearly in 1/D.
With a linear answer the likelihood is quadratic in y, and its limits at k = 0,
k = infinity and D = infinity lie at finite y. Corrections of the counts that are
not exact widen it there (`systematics`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.likelihood import block_product
from napari_liso.diffusion.optimise import Optimum
from napari_liso.diffusion.propagate import along_boundary
from napari_liso.diffusion.systematics import widened

__all__ = ["Surrogate", "build_surrogate"]

FloatArray = NDArray[np.float64]

_PROBES = np.exp(np.array([-2.0, -1.0, 1.0, 2.0]))
_LEAST_SATURATED, _MOST_SATURATED = 1e-3, 1e3
_FAR = 60.0


@dataclass(frozen=True, eq=False)
class Surrogate:
    """Quadratic log-likelihood in saturating conductances and 1/D.

    Parameters
    ----------
    centre
        ln k of each group and ln D at the expansion point, (groups + 1,).
    saturation
        a = k r of each group there (dimensionless).
    score, information
        Gradient and Fisher information by (ln k, ln D) there.
    """

    centre: FloatArray
    saturation: FloatArray
    score: FloatArray
    information: FloatArray

    def answer(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Linear variables and their slopes.

        Parameters
        ----------
        theta
            ln k and ln D, (groups + 1,) or (groups + 1, n); -inf and inf allowed.

        Returns
        -------
        value
            (1 + a)(q - 1)/(1 + a q) with q = k/k0, and 1 - D0/D: zero at the
            centre, with slope 1.
        slope
            Derivative by ln k and ln D.
        """
        shape = (-1,) + (1,) * (theta.ndim - 1)
        # Beyond e^60 both variables sit at their limits; the clip keeps numbers finite.
        inverse = np.exp(np.clip(self.centre.reshape(shape) - theta, -_FAR, _FAR))
        a = self.saturation.reshape(shape)
        below = inverse[:-1]
        value, slope = np.empty_like(inverse), np.empty_like(inverse)
        # In terms of 1/q, which has its limits at finite numbers: q = infinity is 0.
        value[:-1] = (1 + a) * (1 - below) / (below + a)
        slope[:-1] = (1 + a) ** 2 / (below + a) * (below / (below + a))
        value[-1], slope[-1] = 1 - inverse[-1], inverse[-1]
        return value, slope

    def log_likelihood(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Log-likelihood, 0 at the centre, and its gradient by (ln k, ln D).

        Parameters
        ----------
        theta
            (groups + 1, n).
        """
        value, slope = self.answer(theta)
        pull = self.information @ value
        level = self.score @ value - 0.5 * (value * pull).sum(axis=0)
        return level, (self.score[:, None] - pull) * slope


def build_surrogate(optimum: Optimum) -> Surrogate:
    """Expand the likelihood at an optimum (or any other linearised point)."""
    problem = optimum.problem
    metric = block_product(problem.model, optimum.blocks, optimum.jacobian)
    saturation = np.full(problem.groups, _LEAST_SATURATED)
    for group in range(problem.groups):
        states = _line(optimum, group)
        change = states - optimum.run.final[:, None]
        size = metric[:, group] @ optimum.jacobian[:, group]
        if size <= 1e-12:
            continue
        answer = metric[:, group] @ change / size
        # answer = (q - 1)/(1 + u (q - 1)) with u = a/(1 + a), solved for u by least squares
        # over the probes: well conditioned for flat grains (u near 0) and open boundaries (1).
        left = answer * (_PROBES - 1)
        right = _PROBES - 1 - answer
        weight = 1.0 / (1.0 + _PROBES**2)
        u = (weight * left) @ right / max((weight * left) @ left, 1e-300)
        a = u / max(1.0 - u, 1e-300) if u > 0 else 0.0
        saturation[group] = np.clip(a, _LEAST_SATURATED, _MOST_SATURATED)
    score, information = widened(
        optimum.jacobian.T @ optimum.score, optimum.information, optimum.pulls
    )
    return Surrogate(
        centre=optimum.theta, saturation=saturation, score=score, information=information
    )


def _line(optimum: Optimum, group: int) -> FloatArray:
    """Final coefficients with one group's k multiplied by each probe, (modes, probes)."""
    problem, run = optimum.problem, optimum.run
    members = np.flatnonzero(problem.group == group)
    permeability = np.exp(optimum.theta[group]) * _PROBES
    if members.size == 1:
        rho = problem.model.crystal.rho[members[0]] / run.diffusivity
        return along_boundary(run, int(members[0]), 1.0 / (1.0 / permeability + rho))
    columns = []
    for value in np.log(permeability):
        theta = optimum.theta.copy()
        theta[group] = value
        columns.append(problem.run(theta).final)
    return np.column_stack(columns)
