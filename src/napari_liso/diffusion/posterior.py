"""Joint posterior of all permeabilities, the diffusivity and the population.

The ln k are drawn from a normal population whose centre and spread are fitted
too: flat prior on the centre (over ten decades around the map's natural scale),
half-normal prior with scale 1 on the spread, and a flat prior on 1/D. Drawing
the population together with the boundaries puts its uncertainty into every
interval. The likelihood is the `surrogate`, expanded once at the penalised
maximum and again near the posterior mean found from there; how far it is from
the model at the draws is measured and reported (`Posterior.misfit`). A single
boundary has no population: its likelihood is tabulated exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.optimise import Optimum, Problem, linearise, maximise
from napari_liso.diffusion.sampler import Draws, sample
from napari_liso.diffusion.surrogate import Surrogate, build_surrogate
from napari_liso.diffusion.systematics import expected_fall, parameter_shifts
from napari_liso.diffusion.tabulate import Tabulated, tabulate

__all__ = ["ALONE_SPREAD", "Posterior", "find_posterior"]

FloatArray = NDArray[np.float64]

_SPREAD_SCALE = 1.0
_CENTRE_SD = 12.0  # of ln k around d/t: ten decades within two of them
_FIRST_SPREAD = 0.6
_LN_SPREAD_RANGE = (-12.0, 4.0)
#: Kept per chain: to find the posterior mean, and to report.
_ITERATIONS = (300, 1200)
#: Split R-hat above which the chains are run again, three times as long.
_AGREE = 1.1
#: Standard deviation around d/t of the ln k of a boundary without a population.
ALONE_SPREAD = 6.0
_ALONE_DRAWS = 20_000
#: Draws at which the model itself is run to test the surrogate.
_TESTED = 24


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
    misfit
        Median fall of the model's log-likelihood from the optimum to the draws, over
        what it should be: half a unit a parameter, and more where corrections are not exact.
    tabulated
        Exact likelihood of a single boundary, else None.
    """

    optimum: Optimum
    surrogate: Surrogate
    ln_k: FloatArray
    ln_d: FloatArray
    centre: FloatArray
    spread: FloatArray
    r_hat: float
    misfit: float
    tabulated: Tabulated | None = None

    @property
    def mean(self) -> FloatArray:
        """Posterior mean of (ln k, ln D)."""
        return np.append(self.ln_k.mean(axis=1), self.ln_d.mean())


@dataclass(frozen=True, eq=False)
class _Hierarchy:
    """Log density of (x, ln D - ln D0, centre, ln spread).

    x is ln k itself where the data tell more of it than the population does, and
    (ln k - centre) / spread elsewhere: each of the two keeps the coordinates nearly
    independent where the other would tie them (Betancourt & Girolami 2015).
    """

    surrogate: Surrogate
    ln_scale: float
    informed: NDArray[np.bool_]

    def unpack(self, z: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Theta (groups + 1, n), spread (n,), (ln k - centre) / spread (groups, n)."""
        spread = np.exp(np.clip(z[-1], *_LN_SPREAD_RANGE))
        known = self.informed[:, None]
        ln_k = np.where(known, z[:-3], z[-2] + spread * z[:-3])
        xi = np.where(known, (z[:-3] - z[-2]) / spread, z[:-3])
        theta = np.concatenate([ln_k, (z[-3] + self.surrogate.centre[-1])[None]])
        return theta, spread, xi

    def pack(
        self, ln_k: FloatArray, ln_d: FloatArray, centre: FloatArray, spread: FloatArray
    ) -> FloatArray:
        """Coordinates of points: ln_k (groups, n), ln D - ln D0, centre and spread (n,)."""
        x = np.where(self.informed[:, None], ln_k, (ln_k - centre) / spread)
        return np.concatenate([x, ln_d[None], centre[None], np.log(spread)[None]])

    def log_density(self, z: FloatArray) -> tuple[FloatArray, FloatArray]:
        theta, spread, xi = self.unpack(z)
        known = self.informed[:, None]
        level, by_theta = self.surrogate.log_likelihood(theta)
        away = (z[-2] - self.ln_scale) / _CENTRE_SD
        level = level - 0.5 * (xi**2).sum(axis=0) - self.informed.sum() * np.log(spread)
        level = level - 0.5 * away**2 - z[-3] - 0.5 * (spread / _SPREAD_SCALE) ** 2 + z[-1]
        gradient = np.empty_like(z)
        gradient[:-3] = np.where(known, by_theta[:-1] - xi / spread, by_theta[:-1] * spread - xi)
        gradient[-3] = by_theta[-1] - 1.0  # flat in 1/D
        by_centre = np.where(known, xi / spread, by_theta[:-1])
        gradient[-2] = by_centre.sum(axis=0) - away / _CENTRE_SD
        by_spread = np.where(known, xi**2 - 1.0, by_theta[:-1] * spread * xi)
        gradient[-1] = by_spread.sum(axis=0) - (spread / _SPREAD_SCALE) ** 2 + 1.0
        return level, gradient

    def refresh(self, z: FloatArray, rng: np.random.Generator) -> FloatArray:
        """Draw centre and spread anew for the ln k as they are (Gibbs step).

        Trajectories move slowly in the spread. Given the ln k, the centre is
        normal; the spread squared is inverse gamma under a flat prior on the
        spread, which a Metropolis step turns into the half-normal one.
        """
        theta, spread, _ = self.unpack(z)
        ln_k = theta[:-1]
        number = ln_k.shape[0]
        precision = number / spread**2 + 1.0 / _CENTRE_SD**2
        mean = (ln_k.sum(axis=0) / spread**2 + self.ln_scale / _CENTRE_SD**2) / precision
        centre = mean + rng.standard_normal(spread.size) / np.sqrt(precision)
        squares = ((ln_k - centre) ** 2).sum(axis=0)
        new = np.sqrt(squares / 2 / rng.gamma((number - 1) / 2, size=spread.size))
        ratio = np.exp(np.minimum((spread**2 - new**2) / 2 / _SPREAD_SCALE**2, 0.0))
        low, high = np.exp(_LN_SPREAD_RANGE)
        take = (rng.random(spread.size) < ratio) & (new > low) & (new < high)
        return self.pack(ln_k, z[-3], centre, np.where(take, new, spread))

    def covariance(self, z: FloatArray) -> FloatArray:
        """Inverse of the expected curvature at z, (dimension, dimension)."""
        theta, spread, xi = (part[..., 0] for part in self.unpack(z[:, None]))
        _, slope = self.surrogate.answer(theta)
        groups, known = xi.size, self.informed
        chain = np.zeros((groups + 1, z.size))
        chain[:groups, :groups] = np.diag(np.where(known, 1.0, spread))
        chain[:groups, -2] = np.where(known, 0.0, 1.0)
        chain[:groups, -1] = np.where(known, 0.0, spread * xi)
        chain[groups, -3] = 1.0
        scaled = slope[:, None] * chain
        curve = scaled.T @ self.surrogate.information @ scaled
        prior = np.diag(np.append(np.where(known, 1 / spread**2, 1.0), [1.0, 0.0, 0.0]))
        prior[:groups, -2] = prior[-2, :groups] = np.where(known, -1 / spread**2, 0.0)
        prior[-2, -2] = known.sum() / spread**2 + 1 / _CENTRE_SD**2
        prior[-1, -1] = 2 * known.sum() + 2 * float(spread) ** 2 + 0.1
        result: FloatArray = np.linalg.inv(curve + prior).astype(np.float64)
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
    if problem.groups < 2:
        return _one_boundary(problem, theta, rng, progress)
    spread = _FIRST_SPREAD
    optimum = maximise(replace(problem, sigma=spread), theta, progress)
    point = optimum
    for iterations in _ITERATIONS:
        surrogate = build_surrogate(point)
        draws, hierarchy = _draw(point, surrogate, spread, rng, iterations, progress)
        if iterations == _ITERATIONS[-1] and draws.worst_r_hat() > _AGREE:
            draws, hierarchy = _draw(point, surrogate, spread, rng, 3 * iterations, progress)
        ln_theta, spreads, _ = hierarchy.unpack(draws.flat)
        spread = float(np.sqrt((spreads**2).mean()))
        low, high = problem.bounds()
        if iterations != _ITERATIONS[-1]:
            mean = np.clip(ln_theta.mean(axis=1), low, high)
            optimum = maximise(replace(problem, sigma=spread), optimum.theta, progress)
            # Where the data leave D open its mean runs away: stay at the maximum.
            mean[-1] = optimum.theta[-1]
            point = _between(replace(problem, sigma=spread), optimum, mean)
    tested = ln_theta[:, rng.choice(ln_theta.shape[1], _TESTED, replace=False)]
    return Posterior(
        optimum=optimum,
        surrogate=surrogate,
        ln_k=ln_theta[:-1],
        ln_d=ln_theta[-1],
        centre=draws.flat[-2],
        spread=spreads,
        r_hat=draws.worst_r_hat(),
        misfit=_misfit(problem, optimum, np.clip(tested, low[:, None], high[:, None])),
    )


def _between(problem: Problem, optimum: Optimum, mean: FloatArray) -> Optimum:
    """Expansion point: the mean, or as far toward it as the likelihood still holds.

    Where the data leave a direction open its mean is the prior's, which may be
    hundreds of units of log-likelihood away from all that the data allow.
    """
    data = replace(problem, sigma=np.inf)
    limit = data.loss(optimum.theta) + max(2.0, 0.5 * problem.groups)
    for part in 0.5 ** np.arange(7):
        theta = optimum.theta + part * (mean - optimum.theta)
        if data.loss(theta) <= limit:
            return linearise(problem, theta)
    return optimum


def _misfit(problem: Problem, optimum: Optimum, draws: FloatArray) -> float:
    """How much worse the model fits at the draws than draws of its posterior should."""
    data = replace(problem, sigma=np.inf)
    best = data.loss(optimum.theta)
    falls = [data.loss(theta) - best for theta in draws.T]
    return float(np.median(falls)) / (0.5 * expected_fall(optimum))


def _one_boundary(
    problem: Problem,
    theta: FloatArray,
    rng: np.random.Generator,
    progress: Callable[[], None] | None,
) -> Posterior:
    """Posterior of one k and D; of its population it tells what the priors leave."""
    optimum = maximise(replace(problem, sigma=np.inf), theta, progress)
    exact = tabulate(optimum, progress)
    ln_scale = float(np.log(problem.scale.permeability))
    ln_k, ln_d = exact.draw(
        lambda k, d: -d - 0.5 * ((k - ln_scale) / ALONE_SPREAD) ** 2, _ALONE_DRAWS, rng
    )
    shifts = parameter_shifts(optimum)
    if shifts.size:
        moved = shifts @ rng.standard_normal((shifts.shape[1], _ALONE_DRAWS))
        ln_k, ln_d = ln_k + moved[0], ln_d + moved[1]
    spread = _SPREAD_SCALE * np.abs(rng.standard_normal(_ALONE_DRAWS))
    return Posterior(
        optimum=optimum,
        surrogate=build_surrogate(optimum),
        ln_k=ln_k[None],
        ln_d=ln_d,
        centre=ln_k + spread * rng.standard_normal(_ALONE_DRAWS),
        spread=spread,
        r_hat=1.0,
        misfit=1.0,
        tabulated=exact,
    )


def _draw(
    point: Optimum,
    surrogate: Surrogate,
    spread: float,
    rng: np.random.Generator,
    iterations: int,
    progress: Callable[[], None] | None,
) -> tuple[Draws, _Hierarchy]:
    informed = np.diag(point.covariance)[:-1] < 0.5 * spread**2
    ln_scale = float(np.log(point.problem.scale.permeability))
    hierarchy = _Hierarchy(surrogate, ln_scale, informed)
    ln_k = surrogate.centre[:-1, None]
    start = hierarchy.pack(ln_k, np.zeros(1), ln_k.mean(axis=0), np.array([spread]))[:, 0]
    draws = sample(
        hierarchy.log_density,
        start,
        hierarchy.covariance(start),
        rng,
        iterations=iterations,
        refresh=hierarchy.refresh,
        progress=progress,
    )
    return draws, hierarchy
