"""Ends of profile-likelihood intervals of a batch of profiles, open ones included."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.intervals import OPEN
from napari_liso.diffusion.series.problem import SeriesProblem
from napari_liso.diffusion.series.search import Optima, maximise

__all__ = ["Ends", "find_ends"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: On the log-likelihood, of fits with one parameter held.
_TOLERANCE = 1e-4
#: On the square root of twice the fall (the threshold is 1.96).
_CLOSE = 0.01
_MAX_ITERATIONS = 30
#: Longest first step.
_FIRST = 1.5
#: A bound that fits better than the optimum by this much means that the search stopped early.
_BETTER = 1e-3


@dataclass(frozen=True, eq=False)
class Ends:
    """95 % intervals of values: 1/D, 1/k, fractions; all arrays (fits, columns, 2).

    Parameters
    ----------
    value
        Lower and upper end. Of 1/D and 1/k 0 and inf where open.
    fall
        How far the log-likelihood falls from its best to the lowest and the
        largest value, all other parameters fitted again.
    """

    value: FloatArray
    fall: FloatArray


@dataclass(frozen=True, eq=False)
class _Entries:
    """Every fit, column and side as an entry of one batch."""

    problem: SeriesProblem
    row: IntArray
    column: IntArray
    side: IntArray

    @classmethod
    def of(cls, problem: SeriesProblem, columns: IntArray) -> _Entries:
        grid = np.meshgrid(np.arange(problem.fits), columns, [0, 1], indexing="ij")
        row, column, side = (part.ravel() for part in grid)
        return cls(problem, row, column, side)

    def fit(
        self, which: IntArray, value: FloatArray, start: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Coordinates and loss with one held at a value, all others fitted."""
        theta = start.copy()
        entries = np.arange(which.size)
        theta[entries, self.column[which]] = value
        free = np.ones(theta.shape, dtype=bool)
        free[entries, self.column[which]] = False
        found = maximise(self.problem.take(self.row[which]), theta, free, _TOLERANCE)
        return found.theta, found.loss


def find_ends(problem: SeriesProblem, optima: Optima, columns: IntArray) -> tuple[Optima, Ends]:
    """Intervals of some coordinates.

    Parameters
    ----------
    problem, optima
        Profiles and their maxima.
    columns
        Coordinates whose intervals are wanted.

    Returns
    -------
    optima
        As given, or better where an end turned out to fit better.
    ends
        An end is open where the log-likelihood falls by less than 1.92 toward it.
    """
    columns = np.asarray(columns, dtype=np.intp)
    layout = problem.layout
    entries = _Entries.of(problem, columns)
    every = np.arange(entries.row.size)
    bound = np.where(entries.side == 0, layout.low[entries.column], layout.high[entries.column])
    at_bound, loss = entries.fit(every, bound, optima.theta[entries.row])
    optima = _improved(problem, optima, entries, at_bound, loss)
    fall = np.maximum(loss - optima.loss[entries.row], 0.0)
    linear = np.isnan(layout.scale[entries.column])
    opened = np.where(entries.side == 0, 0.0, np.where(linear, 1.0, np.inf))
    result = np.where(fall < OPEN, opened, np.nan)
    closed = np.flatnonzero(fall >= OPEN)
    if closed.size:
        coordinate = _crossings(entries, optima, closed, bound[closed], fall[closed])
        theta = optima.theta[entries.row[closed]].copy()
        theta[np.arange(closed.size), entries.column[closed]] = coordinate
        values = layout.values(theta)
        result[closed] = values[np.arange(closed.size), entries.column[closed]]
    shape = (problem.fits, columns.size, 2)
    return optima, Ends(result.reshape(shape), fall.reshape(shape))


def _improved(
    problem: SeriesProblem,
    optima: Optima,
    entries: _Entries,
    theta: FloatArray,
    loss: FloatArray,
) -> Optima:
    """Search again from a bound that beats the optimum."""
    rows = np.unique(entries.row[loss < optima.loss[entries.row] - _BETTER])
    if rows.size == 0:
        return optima
    start = np.empty((rows.size, theta.shape[1]))
    for i, row in enumerate(rows):
        mine = np.flatnonzero(entries.row == row)
        start[i] = theta[mine[np.argmin(loss[mine])]]
    found = maximise(problem.take(rows), start)
    new = replace(
        optima,
        theta=optima.theta.copy(),
        loss=optima.loss.copy(),
        information=optima.information.copy(),
    )
    new.theta[rows], new.loss[rows] = found.theta, found.loss
    new.information[rows] = found.information
    return new


def _crossings(
    entries: _Entries, optima: Optima, which: IntArray, bound: FloatArray, fall: FloatArray
) -> FloatArray:
    """Coordinates at which the log-likelihood has fallen by `OPEN`.

    The root of twice the fall grows about linearly with the distance from the
    best: false position on it, kept inside a bracket.
    """
    row, column = entries.row[which], entries.column[which]
    best = optima.theta[row, column]
    goal = np.sqrt(2 * OPEN)
    covariance = np.linalg.pinv(optima.information, hermitian=True)
    sd = np.sqrt(np.maximum(covariance[row, column, column], 1e-12))
    near, far = np.zeros(which.size), bound - best
    at_near, at_far = np.zeros(which.size), np.sqrt(2 * fall)
    away = np.sign(far) * np.minimum(np.minimum(goal * sd, _FIRST), 0.5 * np.abs(far))
    # where the fits start: from the last that was inside, since far out all is flat
    state = optima.theta[row].copy()
    left = np.arange(which.size)
    for _ in range(_MAX_ITERATIONS):
        theta, loss = entries.fit(which[left], best[left] + away[left], state[left])
        level = np.sqrt(2 * np.maximum(loss - optima.loss[row[left]], 0.0))
        below = level < goal
        inside, outside = left[below], left[~below]
        near[inside], at_near[inside], state[inside] = away[inside], level[below], theta[below]
        far[outside], at_far[outside] = away[outside], level[~below]
        left = left[np.abs(level - goal) > _CLOSE]
        if left.size == 0:
            break
        share = (goal - at_near[left]) / np.maximum(at_far[left] - at_near[left], 1e-12)
        away[left] = near[left] + np.clip(share, 0.05, 0.95) * (far[left] - near[left])
    result: FloatArray = best + away
    return result
