"""Intervals and verdicts from the posterior and from the likelihood alone.

A posterior always has finite ends, since the population closes them. Whether
the data do is asked of the likelihood alone: how far does its logarithm fall
from its best toward k = 0 and toward k = infinity (all other parameters fitted
again, with their population, the boundary in question taken out of it)? Where
it falls by less than 1.92 the end is open.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.optimise import Problem, maximise
from napari_liso.diffusion.posterior import Posterior
from napari_liso.diffusion.results import Estimate, Verdict

__all__ = [
    "OPEN",
    "boundary_estimates",
    "centre_estimate",
    "diffusivity_estimate",
    "judge",
    "spread_estimate",
]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: Half of 3.84, the 95 % point of chi2 with one degree of freedom.
OPEN = 1.92
RESOLVED_RATIO = 4.0
RESOLVED_INFORMATION = 0.5
_LEVELS = (0.025, 0.5, 0.975)
#: Parameters that may relax when one is moved: those most entangled with it.
_NEIGHBOURS = 60


def judge(lower: float, upper: float, information: float = 1.0) -> Verdict:
    """Verdict on a 95 % interval.

    ``lower_bound`` or ``upper_bound`` where the other end is open (inf or 0);
    ``resolved`` where both ends are closed, upper/lower is at most 4 and at
    least half of the information comes from the data; else ``unresolved``.
    """
    if lower > 0 and np.isinf(upper):
        return "lower_bound"
    if lower <= 0 and np.isfinite(upper):
        return "upper_bound"
    if lower > 0 and upper <= RESOLVED_RATIO * lower and information >= RESOLVED_INFORMATION:
        return "resolved"
    return "unresolved"


@dataclass(frozen=True, eq=False)
class _Profile:
    """Likelihood of one parameter on the surrogate, the entangled others fitted again."""

    posterior: Posterior
    problem: Problem
    parameter: int
    others: IntArray

    @classmethod
    def of(cls, posterior: Posterior, parameter: int) -> _Profile:
        problem = posterior.optimum.problem
        if parameter < problem.groups:
            problem = replace(problem, apart=parameter)
        information = posterior.surrogate.information
        size = np.sqrt(np.maximum(np.diag(information), 1e-12))
        entangled = np.abs(information[parameter]) / size
        entangled[parameter] = -1.0
        order = np.argsort(-entangled, kind="stable")
        others = np.sort(order[: min(_NEIGHBOURS, entangled.size - 1)])
        return cls(posterior, problem, parameter, others)

    def objective(self, theta: FloatArray) -> float:
        level, _ = self.posterior.surrogate.log_likelihood(theta[:, None])
        x = self._finite(theta)
        return float(0.5 * x @ self.problem.precision() @ x - level[0])

    def _finite(self, theta: FloatArray) -> FloatArray:
        x = self.problem.centred(theta)
        x[self.parameter] = 0.0 if np.isinf(x[self.parameter]) else x[self.parameter]
        return x

    def fit(self, theta: FloatArray, free: IntArray) -> tuple[FloatArray, float]:
        """Minimise the objective over some parameters (damped Gauss-Newton)."""
        surrogate = self.posterior.surrogate
        precision = self.problem.precision()
        inner = surrogate.information[np.ix_(free, free)]
        damping = 1e-3
        value = self.objective(theta)
        for _ in range(40):
            _, gradient = surrogate.log_likelihood(theta[:, None])
            _, slope = surrogate.answer(theta)
            down = gradient[free, 0] - (precision @ self._finite(theta))[free]
            curve = slope[free, None] * inner * slope[None, free]
            curve += precision[np.ix_(free, free)]
            curve[np.diag_indices(free.size)] += damping * (np.diag(curve) + 1e-6)
            step = np.linalg.solve(curve, down)
            step *= min(1.0, 2.0 / max(float(np.abs(step).max(initial=0.0)), 1e-300))
            trial = theta.copy()
            trial[free] += step
            found = self.objective(trial)
            if found < value:
                gain, theta, value = value - found, trial, found
                damping = max(damping / 5, 1e-6)
                if gain < 1e-3:
                    break
            else:
                damping *= 10
                if damping > 1e6:
                    break
        return theta, value

    def best(self) -> tuple[FloatArray, float]:
        """Maximum of the likelihood, the parameter itself free."""
        start = self.posterior.surrogate.centre.copy()
        return self.fit(start, np.append(self.others, self.parameter))

    def at(self, value: float, start: FloatArray) -> tuple[FloatArray, float]:
        """Fit with the parameter held at a value (-inf and inf are its limits)."""
        theta = start.copy()
        theta[self.parameter] = value
        return self.fit(theta, self.others)


def _likelihood_ends(
    posterior: Posterior, parameter: int
) -> tuple[bool, bool, float | None, float | None]:
    """Which ends are open, and where the likelihood alone has fallen by `OPEN`.

    Returns
    -------
    (open_below, open_above, lower, upper)
        `lower` and `upper` are logarithms, given only where the other end is open.
    """
    profile = _Profile.of(posterior, parameter)
    start, level = profile.best()
    centre = float(start[parameter])
    known_d = parameter == profile.problem.groups
    # 1/D has no lower end: D = 0 answers without limit.
    below = np.inf if known_d else profile.at(-np.inf, start)[1] - level
    above = profile.at(np.inf, start)[1] - level
    open_below, open_above = bool(below < OPEN), bool(above < OPEN)
    lower = upper = None
    if open_above and not open_below:
        lower = _crossing(profile, start, level, centre, -1.0)
    if open_below and not open_above:
        upper = _crossing(profile, start, level, centre, 1.0)
    return open_below, open_above, lower, upper


def _crossing(
    profile: _Profile, start: FloatArray, level: float, centre: float, direction: float
) -> float:
    """Point where the log-likelihood has fallen by `OPEN`, to 2 %."""
    near, far = 0.0, 0.5
    state = start
    for _ in range(7):
        state, found = profile.at(centre + direction * far, state)
        if found - level > OPEN:
            break
        near, far = far, far * 2
    while far - near > 0.02:
        middle = (near + far) / 2
        state, found = profile.at(centre + direction * middle, state)
        near, far = (near, middle) if found - level > OPEN else (middle, far)
    return centre + direction * far


def boundary_estimates(
    posterior: Posterior, progress: Callable[[], None] | None = None
) -> tuple[list[Estimate], FloatArray]:
    """Permeability of each group.

    Parameters
    ----------
    posterior
        Draws and likelihood.
    progress
        Called once a group; may raise to abort.

    Returns
    -------
    estimates
        In m/s; the value is the posterior median. Where one end is open the
        other is the wider of the posterior's 2.5 % quantile and the point where
        the likelihood alone has fallen by 1.92. Where both are open the
        posterior's interval stays and the verdict is ``unresolved``.
    information
        Share of the population's variance of ln k that the data removed.
    """
    typical = float((posterior.spread**2).mean())
    several = posterior.ln_k.shape[0] > 1
    estimates, information = [], []
    for parameter, draws in enumerate(posterior.ln_k):
        if progress is not None:
            progress()
        low, middle, high = np.quantile(draws, _LEVELS)
        share = float(np.clip(1.0 - draws.var() / typical, 0.0, 1.0)) if several else 1.0
        open_below, open_above, lower, upper = _likelihood_ends(posterior, parameter)
        if lower is not None:
            low, high = min(low, lower), np.inf
        if upper is not None:
            low, high = -np.inf, max(high, upper)
        ends = float(np.exp(low)), float(np.exp(high))
        verdict: Verdict = "unresolved" if open_below and open_above else judge(*ends, share)
        estimates.append(Estimate(float(np.exp(middle)), *ends, verdict))
        information.append(share)
    return estimates, np.array(information)


def diffusivity_estimate(posterior: Posterior) -> Estimate:
    """Diffusivity of the grains in m2/s; as a lower bound its value is the bound."""
    low, middle, high = np.quantile(posterior.ln_d, _LEVELS)
    _, open_above, lower, _ = _likelihood_ends(posterior, posterior.ln_k.shape[0])
    if open_above:
        low = low if lower is None else min(low, lower)
        bound = float(np.exp(low))
        return Estimate(bound, bound, np.inf, "lower_bound")
    ends = float(np.exp(low)), float(np.exp(high))
    return Estimate(float(np.exp(middle)), *ends, judge(*ends))


def centre_estimate(posterior: Posterior) -> Estimate:
    """Median permeability of the population in m/s.

    An end is open where a map with all boundaries at that limit is not
    contradicted by the data (exact model, D fitted again).
    """
    low, middle, high = np.quantile(posterior.centre, _LEVELS)
    optimum = posterior.optimum
    problem = replace(optimum.problem, fixed=tuple(range(optimum.problem.groups)), sigma=np.inf)
    least, most = problem.bounds()
    best = problem.loss(optimum.theta)
    ends = [low, high]
    falls = []
    for bound in (least, most):
        theta = optimum.theta.copy()
        theta[:-1] = bound[:-1]
        falls.append(maximise(problem, theta, tolerance=0.05).loss - best)
    if falls[0] < OPEN <= falls[1]:
        ends[0] = -np.inf
    elif falls[1] < OPEN <= falls[0]:
        ends[1] = np.inf
    lower, upper = float(np.exp(ends[0])), float(np.exp(ends[1]))
    verdict: Verdict = "unresolved" if max(falls) < OPEN else judge(lower, upper)
    value = {"lower_bound": lower, "upper_bound": upper}.get(verdict, float(np.exp(middle)))
    return Estimate(value, lower, upper, verdict)


def spread_estimate(posterior: Posterior) -> Estimate:
    """Standard deviation of ln k over the population (dimensionless).

    The lower end is open (0) where equal permeabilities are not contradicted:
    the posterior density at the smallest spreads is above exp(-1.92) of its peak.
    """
    low, middle, high = (float(v) for v in np.quantile(posterior.spread, _LEVELS))
    if posterior.ln_k.shape[0] < 3:
        # Two permeabilities tell of their spread what the prior tells.
        return Estimate(middle, 0.0, high, "unresolved")
    edges = np.linspace(0.0, float(posterior.spread.max()), 31)
    density, _ = np.histogram(posterior.spread, edges)
    if density[0] > np.exp(-OPEN) * density.max():
        return Estimate(high, 0.0, high, "upper_bound")
    return Estimate(middle, low, high, judge(low, high))
