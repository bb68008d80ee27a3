"""Joint posterior of all permeabilities, the diffusivity and the population.

The ln k are drawn from a normal population whose centre and spread are fitted
too: flat prior on the centre (over ten decades around the map's natural scale),
half-normal prior with scale 1 on the spread, and a flat prior on 1/D. Drawing
the population together with the boundaries puts its uncertainty into every
interval. The likelihood is the `surrogate`, expanded once at the penalised
maximum and again at the posterior mean found from there.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.optimise import Optimum, Problem, linearise, maximise
from napari_liso.diffusion.sampler import Draws, sample
from napari_liso.diffusion.surrogate import Surrogate, build_surrogate

__all__ = ["Posterior", "find_posterior"]

FloatArray = NDArray[np.float64]

_SPREAD_SCALE = 1.0
_CENTRE_SD = 12.0  # of ln k around d/t: ten decades within two of them
_FIRST_SPREAD = 0.6
#: Kept per chain: to find the posterior mean, and to report.
_ITERATIONS = (120, 1200)
#: One boundary alone has no population; its ln k may lie anywhere within this of d/t.
_ALONE_SPREAD = 6.0


@dataclass(frozen=True, eq=False)
class Posterior:
    """Draws of the posterior and what they came from.

    Parameters
    ----------
    optimum
        Penalised maximum at the typical spread.
    surrogate
        Likelihood around the posterior mean.
    ln_k
        (groups, draws).
    ln_d, centre, spread
        ln D, centre and standard deviation of ln k, (draws,).
    r_hat
        Worst split R-hat of the chains; near 1 when they agree.
    """

    optimum: Optimum
    surrogate: Surrogate
    ln_k: FloatArray
    ln_d: FloatArray
    centre: FloatArray
    spread: FloatArray
    r_hat: float

    @property
    def mean(self) -> FloatArray:
        """Posterior mean of (ln k, ln D)."""
        return np.append(self.ln_k.mean(axis=1), self.ln_d.mean())


@dataclass(frozen=True, eq=False)
class _Hierarchy:
    """Log density of (xi, ln D - ln D0, centre, ln spread), with ln k = centre + spread xi."""

    surrogate: Surrogate
    ln_scale: float
    spread_known: bool

    def unpack(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Theta (groups + 1, n), spread (n,), xi (groups, n)."""
        spread = np.exp(np.clip(z[-1], -12.0, 4.0))
        if self.spread_known:
            spread = np.full_like(spread, _ALONE_SPREAD)
        ln_k = z[-2] + spread * z[:-3]
        theta = np.concatenate([ln_k, (z[-3] + self.surrogate.centre[-1])[None]])
        return theta, spread, z[:-3]

    def log_density(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        theta, spread, xi = self.unpack(z)
        level, by_theta = self.surrogate.log_likelihood(theta)
        away = (z[-2] - self.ln_scale) / _CENTRE_SD
        level = level - 0.5 * (xi**2).sum(axis=0) - 0.5 * away**2 - z[-3]
        gradient = np.empty_like(z)
        gradient[:-3] = by_theta[:-1] * spread - xi
        gradient[-3] = by_theta[-1] - 1.0  # flat in 1/D
        gradient[-2] = by_theta[:-1].sum(axis=0) - away / _CENTRE_SD
        if self.spread_known:
            # The centre and ln k of one boundary are one number: pin the centre.
            pinned = (z[-2] - self.ln_scale) / 0.01
            level = level - 0.5 * pinned**2 - 0.5 * z[-1] ** 2
            gradient[-2] -= pinned / 0.01
            gradient[-1] = -z[-1]
        else:
            level = level - 0.5 * (spread / _SPREAD_SCALE) ** 2 + z[-1]
            gradient[-1] = (
                (by_theta[:-1] * spread * xi).sum(axis=0) - (spread / _SPREAD_SCALE) ** 2 + 1.0
            )
        return level, gradient

    def covariance(self, z: FloatArray) -> FloatArray:
        """Inverse of the expected curvature at z, (dimension, dimension)."""
        theta, spread, xi = (part[..., 0] for part in self.unpack(z[:, None]))
        _, slope = self.surrogate.answer(theta)
        groups = xi.size
        chain = np.zeros((groups + 1, z.size))
        chain[:groups, :groups] = np.eye(groups) * spread
        chain[:groups, -2] = 1.0
        chain[groups, -3] = 1.0
        if not self.spread_known:
            chain[:groups, -1] = spread * xi
        scaled = slope[:, None] * chain
        curve = scaled.T @ self.surrogate.information @ scaled
        prior = np.ones(z.size)
        prior[-3] = 1e-2
        prior[-2] = 1e4 if self.spread_known else 1 / _CENTRE_SD**2
        prior[-1] = 1.0 if self.spread_known else 2 * float(spread) ** 2 + 0.1
        result: FloatArray = np.linalg.inv(curve + np.diag(prior)).astype(np.float64)
        return (result + result.T) / 2


def find_posterior(
    problem: Problem,
    theta: FloatArray,
    seed: int = 0,
    progress: Callable[[], None] | None = None,
) -> Posterior:
    """Maximise, expand and draw.

    Parameters
    ----------
    problem
        Its `sigma` is ignored: the spread is found.
    theta
        Start, (groups + 1,).
    seed
        Of the chains: the same seed gives the same result.
    progress
        Called once an iteration; may raise to abort.
    """
    rng = np.random.default_rng(seed)
    alone = problem.groups < 2
    spread = _ALONE_SPREAD if alone else _FIRST_SPREAD
    optimum = maximise(replace(problem, sigma=spread), theta, progress)
    point = optimum
    for iterations in _ITERATIONS:
        surrogate = build_surrogate(point)
        draws, hierarchy = _draw(surrogate, problem, spread, rng, iterations, progress)
        ln_theta, spreads, _ = hierarchy.unpack(draws.flat)
        spread = float(np.sqrt((spreads**2).mean()))
        low, high = problem.bounds()
        if iterations != _ITERATIONS[-1]:
            mean = np.clip(ln_theta.mean(axis=1), low, high)
            optimum = maximise(replace(problem, sigma=spread), optimum.theta, progress)
            # Where the data leave D open its mean runs away: stay at the maximum.
            mean[-1] = optimum.theta[-1]
            point = linearise(replace(problem, sigma=spread), mean)
    return Posterior(
        optimum=optimum,
        surrogate=surrogate,
        ln_k=ln_theta[:-1],
        ln_d=ln_theta[-1],
        centre=draws.flat[-2],
        spread=spreads,
        r_hat=draws.worst_r_hat(),
    )


def _draw(
    surrogate: Surrogate,
    problem: Problem,
    spread: float,
    rng: np.random.Generator,
    iterations: int,
    progress: Callable[[], None] | None,
) -> tuple[Draws, _Hierarchy]:
    ln_scale = float(np.log(problem.scale.permeability))
    alone = problem.groups < 2
    hierarchy = _Hierarchy(surrogate, ln_scale, alone)
    centre = ln_scale if alone else float(surrogate.centre[:-1].mean())
    ln_spread = 0.0 if alone else np.log(spread)
    start = np.concatenate([(surrogate.centre[:-1] - centre) / spread, [0.0, centre, ln_spread]])
    covariance = hierarchy.covariance(start)
    draws = sample(
        hierarchy.log_density, start, covariance, rng, iterations=iterations, progress=progress
    )
    return draws, hierarchy
