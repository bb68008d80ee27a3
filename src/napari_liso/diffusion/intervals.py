"""Intervals and verdicts from the posterior and from the likelihood alone.

A posterior always has finite ends, since the population closes them. Whether
the data do is asked of the likelihood alone: how far does its logarithm fall
from its best toward k = 0 and toward k = infinity (all other parameters fitted
again, with their population, the boundary in question taken out of it)? Where
it falls by less than 1.92 the end is open. Where corrections of the counts are not
exact, the falls on the model itself are lessened by what they add to the variance.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.optimise import Optimum, Problem, maximise
from napari_liso.diffusion.posterior import ALONE_SPREAD, Posterior
from napari_liso.diffusion.results import Estimate, Verdict
from napari_liso.diffusion.systematics import centre_share, own_share
from napari_liso.diffusion.tabulate import Tabulated

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


@dataclass(frozen=True)
class _Ends:
    """What the likelihood alone says of one ln k or ln D.

    `lower` and `upper`, where it has fallen by `OPEN`, are given only where the
    other end is open.
    """

    open_below: bool
    open_above: bool
    lower: float | None = None
    upper: float | None = None


def _boundary_ends(posterior: Posterior, parameter: int) -> _Ends:
    if posterior.tabulated is not None:
        return _tabulated_ends(posterior.tabulated, posterior.optimum, 0)
    profile = _Profile.of(posterior, parameter)
    start, level = profile.best()
    centre = float(start[parameter])
    open_below = bool(profile.at(-np.inf, start)[1] - level < OPEN)
    open_above = bool(profile.at(np.inf, start)[1] - level < OPEN)
    lower = upper = None
    if open_above and not open_below:
        lower = _crossing(profile, start, level, centre, -1.0)
    if open_below and not open_above:
        upper = _crossing(profile, start, level, centre, 1.0)
    return _Ends(open_below, open_above, lower, upper)


def _tabulated_ends(tabulated: Tabulated, optimum: Optimum, axis: int) -> _Ends:
    nodes, level = tabulated.profile(axis)
    level = level * own_share(optimum, axis)
    inside = np.flatnonzero(level > -OPEN)
    open_below, open_above = bool(inside[0] == 0), bool(inside[-1] == nodes.size - 1)
    lower = upper = None
    if open_above and not open_below:
        i = inside[0]
        lower = float(np.interp(-OPEN, level[[i - 1, i]], nodes[[i - 1, i]]))
    if open_below and not open_above:
        i = inside[-1]
        upper = float(np.interp(-OPEN, level[[i + 1, i]], nodes[[i + 1, i]]))
    return _Ends(open_below, open_above, lower, upper)


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
        Share of the population's variance of ln k that the data removed (of a
        single boundary: of a spread of `ALONE_SPREAD`).
    """
    several = posterior.ln_k.shape[0] > 1
    typical = float((posterior.spread**2).mean()) if several else ALONE_SPREAD**2
    estimates, information = [], []
    for parameter, draws in enumerate(posterior.ln_k):
        if progress is not None:
            progress()
        low, middle, high = np.quantile(draws, _LEVELS)
        share = float(np.clip(1.0 - draws.var() / typical, 0.0, 1.0))
        ends = _boundary_ends(posterior, parameter)
        if ends.lower is not None:
            low, high = min(low, ends.lower), np.inf
        if ends.upper is not None:
            low, high = -np.inf, max(high, ends.upper)
        lower, upper = float(np.exp(low)), float(np.exp(high))
        verdict: Verdict = (
            "unresolved" if ends.open_below and ends.open_above else judge(lower, upper, share)
        )
        estimates.append(Estimate(float(np.exp(middle)), lower, upper, verdict))
        information.append(share)
    return estimates, np.array(information)


def diffusivity_estimate(posterior: Posterior) -> Estimate:
    """Diffusivity of the grains in m2/s; as a bound its value is the bound.

    The ends are tested on the model itself, all permeabilities fitted again.
    """
    low, middle, high = np.quantile(posterior.ln_d, _LEVELS)
    if posterior.tabulated is not None:
        ends = _tabulated_ends(posterior.tabulated, posterior.optimum, 1)
    else:
        ends = _diffusivity_ends(posterior)
    if ends.open_below and ends.open_above:
        median = float(np.exp(middle))
        return Estimate(median, float(np.exp(low)), float(np.exp(high)), "unresolved")
    if ends.open_above:
        bound = float(np.exp(low if ends.lower is None else min(low, ends.lower)))
        return Estimate(bound, bound, np.inf, "lower_bound")
    if ends.open_below:
        bound = float(np.exp(high if ends.upper is None else max(high, ends.upper)))
        return Estimate(bound, 0.0, bound, "upper_bound")
    lower, upper = float(np.exp(low)), float(np.exp(high))
    return Estimate(float(np.exp(middle)), lower, upper, judge(lower, upper))


def _diffusivity_ends(posterior: Posterior) -> _Ends:
    optimum = posterior.optimum
    problem = replace(optimum.problem, fixed=(optimum.problem.groups,))
    falls = []
    share = own_share(optimum, optimum.problem.groups)
    for bound in problem.bounds():
        theta = optimum.theta.copy()
        theta[-1] = bound[-1]
        fall = maximise(problem, theta, tolerance=0.05).loss - optimum.loss
        falls.append(share * fall)
    open_below, open_above = falls[0] < OPEN, falls[1] < OPEN
    lower = None
    if open_above and not open_below:
        profile = _Profile.of(posterior, problem.groups)
        start, level = profile.best()
        lower = _crossing(profile, start, level, float(start[-1]), -1.0)
    return _Ends(open_below, open_above, lower)


def centre_estimate(posterior: Posterior) -> Estimate:
    """Median permeability of the population in m/s.

    An end is open where a map with all boundaries at that limit is not
    contradicted by the data (exact model, D fitted again); the other end is then
    where one permeability for all boundaries loses 1.92 of log-likelihood. Fewer
    than three permeabilities do not make a population: unresolved.
    """
    low, middle, high = (float(v) for v in np.exp(np.quantile(posterior.centre, _LEVELS)))
    optimum = posterior.optimum
    groups = optimum.problem.groups
    if groups < 3:
        return Estimate(middle, low, high, "unresolved")
    problem = replace(optimum.problem, fixed=tuple(range(groups)), sigma=np.inf)
    best = min(problem.loss(optimum.theta), problem.loss(_shared(optimum.theta)))
    share = centre_share(optimum)

    def fall(ln_k: float) -> float:
        theta = optimum.theta.copy()
        theta[:-1] = ln_k
        return share * (maximise(problem, theta, tolerance=0.05).loss - best)

    least, most = (float(bound[0]) for bound in problem.bounds())
    open_below, open_above = fall(least) < OPEN, fall(most) < OPEN
    if open_below and open_above:
        return Estimate(middle, low, high, "unresolved")
    start = float(optimum.theta[:-1].mean())
    if open_above:
        bound = float(np.exp(_bisect(fall, least, start)))
        return Estimate(bound, bound, np.inf, "lower_bound")
    if open_below:
        bound = float(np.exp(_bisect(fall, most, start)))
        return Estimate(bound, 0.0, bound, "upper_bound")
    return Estimate(middle, low, high, judge(low, high))


def _shared(theta: FloatArray) -> FloatArray:
    return np.append(np.full(theta.size - 1, theta[:-1].mean()), theta[-1])


def _bisect(fall: Callable[[float], float], outside: float, inside: float) -> float:
    """Last point, from outside in, at which the likelihood is ruled out, to 0.05."""
    while abs(outside - inside) > 0.05:
        middle = (outside + inside) / 2
        if fall(middle) > OPEN:
            outside = middle
        else:
            inside = middle
    return outside


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
