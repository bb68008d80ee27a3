"""The likelihood of one permeability and one diffusivity, tabulated from the model itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from napari_liso.diffusion.optimise import Optimum

__all__ = ["Tabulated", "tabulate"]

FloatArray = NDArray[np.float64]

#: Nodes of an axis: within six standard errors of the maximum, and over its whole range.
_NEAR, _WIDE = 25, 23
_DENSE = 401


@dataclass(frozen=True, eq=False)
class Tabulated:
    """Log-likelihood on a grid of ln k and ln D, 0 at its best.

    Parameters
    ----------
    ln_k, ln_d
        Nodes, increasing; the first and last stand for the limits 0 and infinity.
    level
        (ln_k, ln_d).
    """

    ln_k: FloatArray
    ln_d: FloatArray
    level: FloatArray

    def profile(self, axis: int) -> tuple[FloatArray, FloatArray]:
        """Nodes of ln k (axis 0) or ln D (1), and the best over the other at each."""
        return (self.ln_k, self.ln_d)[axis], self.level.max(axis=1 - axis)

    def draw(
        self,
        log_prior: Callable[[FloatArray, FloatArray], FloatArray],
        number: int,
        rng: np.random.Generator,
    ) -> tuple[FloatArray, FloatArray]:
        """Draw (ln k, ln D) from the likelihood times a prior density in ln k and ln D."""
        axes = [_refine(nodes) for nodes in (self.ln_k, self.ln_d)]
        k, d = np.meshgrid(*axes, indexing="ij")
        level = RegularGridInterpolator((self.ln_k, self.ln_d), self.level)((k, d))
        level = level + log_prior(k, d)
        weight = np.exp(level - level.max()) * np.outer(*(np.gradient(axis) for axis in axes))
        picked = rng.choice(weight.size, number, p=weight.ravel() / weight.sum())
        return k.ravel()[picked], d.ravel()[picked]


def tabulate(optimum: Optimum, progress: Callable[[], None] | None = None) -> Tabulated:
    """Run the model on a grid around its maximum and out to the limits.

    Parameters
    ----------
    optimum
        Maximum of a problem with one permeability.
    progress
        Called once a row; may raise to abort.

    Raises
    ------
    ValueError
        If the problem has more than one permeability.
    """
    problem = replace(optimum.problem, sigma=np.inf)
    if problem.groups != 1:
        raise ValueError(f"one permeability can be tabulated, got {problem.groups}")
    curve = np.diag(optimum.information) + 1e-2
    axes = []
    for centre, width, low, high in zip(
        optimum.theta, 1.0 / np.sqrt(curve), *problem.bounds(), strict=True
    ):
        near = centre + width * np.linspace(-6.0, 6.0, _NEAR)
        wide = np.linspace(low, high, _WIDE)
        axes.append(np.unique(np.concatenate([near[(near > low) & (near < high)], wide])))
    level = np.empty((axes[0].size, axes[1].size))
    for row, ln_k in enumerate(axes[0]):
        if progress is not None:
            progress()
        level[row] = [-problem.loss(np.array([ln_k, ln_d])) for ln_d in axes[1]]
    return Tabulated(axes[0], axes[1], level - level.max())


def _refine(nodes: FloatArray) -> FloatArray:
    """More points between nodes, as many in each gap."""
    return np.interp(np.linspace(0, nodes.size - 1, _DENSE), np.arange(nodes.size), nodes)
