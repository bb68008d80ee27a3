"""Hamiltonian Monte Carlo for a log density with a gradient, many chains at once.

Leapfrog trajectories of random length in coordinates whitened by a given
covariance (Neal, Handbook of Markov Chain Monte Carlo, chapter 5, 2011); the
step follows the acceptance during the warm-up only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solve_triangular

__all__ = ["Draws", "sample"]

FloatArray = NDArray[np.float64]
LogDensity = Callable[[FloatArray], tuple[FloatArray, FloatArray]]

_TARGET = 0.8
#: Most leapfrog steps of a trajectory.
_LONGEST = 30
#: Whitened coordinates and slopes beyond these belong to lost trajectories.
_LOST, _STEEPEST = 1e3, 1e9


@dataclass(frozen=True, eq=False)
class Draws:
    """Samples of a density.

    Parameters
    ----------
    values
        Shape (dimensions, iterations, chains).
    acceptance
        Mean acceptance probability after the warm-up.
    """

    values: FloatArray
    acceptance: float

    @property
    def flat(self) -> FloatArray:
        """All draws, (dimensions, iterations * chains)."""
        return self.values.reshape(self.values.shape[0], -1)

    def worst_r_hat(self) -> float:
        """Largest split potential scale reduction (Gelman et al., BDA3, section 11.4)."""
        half = self.values.shape[1] // 2
        split = np.concatenate([self.values[:, :half], self.values[:, half : 2 * half]], axis=2)
        within = split.var(axis=1, ddof=1).mean(axis=1)
        between = split.mean(axis=1).var(axis=1, ddof=1)
        return float(np.sqrt((half - 1) / half + between / np.maximum(within, 1e-300)).max())


def sample(
    log_density: LogDensity,
    centre: FloatArray,
    covariance: FloatArray,
    rng: np.random.Generator,
    *,
    chains: int = 12,
    warm_up: int = 150,
    iterations: int = 300,
    refresh: Callable[[FloatArray, np.random.Generator], FloatArray] | None = None,
    progress: Callable[[], None] | None = None,
) -> Draws:
    """Draw from a density.

    Parameters
    ----------
    log_density
        Takes (dimensions, chains), gives the log density (chains,) and its
        gradient (dimensions, chains).
    centre, covariance
        Rough location and covariance; they set the scale, not the answer.
    rng
        Source of randomness.
    chains, warm_up, iterations
        Number of chains, of iterations dropped and kept.
    refresh
        A second transition that leaves the density as it is, (dimensions,
        chains) to the same, done after every trajectory.
    progress
        Called every iteration; may raise to abort.
    """
    root = np.linalg.cholesky(covariance)
    dimension = centre.size

    def whitened(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        # A trajectory that flies off overflows; it is rejected below.
        with np.errstate(over="ignore", invalid="ignore"):
            level, slope = log_density(centre[:, None] + root @ np.clip(z, -_LOST, _LOST))
            pull = root.T @ np.clip(np.nan_to_num(slope), -_STEEPEST, _STEEPEST)
        return np.where(np.isfinite(level), level, -np.inf), np.asarray(pull, dtype=np.float64)

    step = 0.7 * dimension**-0.25
    z = 0.5 * rng.standard_normal((dimension, chains))
    level, slope = whitened(z)
    kept = np.empty((dimension, iterations, chains))
    accepted = 0.0
    for iteration in range(warm_up + iterations):
        if progress is not None:
            progress()
        momentum = rng.standard_normal(z.shape)
        energy = level - 0.5 * (momentum**2).sum(axis=0)
        length = int(rng.integers(1, int(np.clip(round(3.0 / step), 2, _LONGEST)) + 1))
        size = step * rng.uniform(0.8, 1.2)
        position, pull = z, slope
        for _ in range(length):
            momentum = momentum + 0.5 * size * pull
            position = position + size * momentum
            new_level, pull = whitened(position)
            momentum = momentum + 0.5 * size * pull
        change = new_level - 0.5 * (momentum**2).sum(axis=0) - energy
        probability = np.exp(np.minimum(np.nan_to_num(change, nan=-np.inf), 0.0))
        take = rng.random(chains) < probability
        z = np.where(take, position, z)
        level = np.where(take, new_level, level)
        slope = np.where(take, pull, slope)
        if refresh is not None:
            moved = refresh(centre[:, None] + root @ z, rng)
            z = solve_triangular(root, moved - centre[:, None], lower=True)
            level, slope = whitened(z)
        if iteration < warm_up:
            step *= np.exp((float(probability.mean()) - _TARGET) / np.sqrt(iteration + 4.0))
        else:
            kept[:, iteration - warm_up] = centre[:, None] + root @ z
            accepted += float(probability.mean()) / iterations
    return Draws(kept, accepted)
