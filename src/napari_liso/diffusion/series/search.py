"""Binomial maximum likelihood of many profiles in lock step, and its profiles.

Levenberg-Marquardt on the Fisher information, with bounds. All profiles of a
batch are of one geometry, so each step is one call of the model for those that
still move.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.series.layout import Layout
from napari_liso.diffusion.series.problem import SeriesProblem

__all__ = ["Optima", "maximise"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

_LARGEST_STEP = 2.0
_MAX_ITERATIONS = 80
_MOST_DAMPING = 1e9
#: Keeps the curvature invertible where the data know nothing: s.d. 30 of a coordinate.
_TINY = 1e-3


@dataclass(frozen=True, eq=False)
class Optima:
    """Maxima of a batch; `information` is that of the data and priors, (fits, size, size)."""

    theta: FloatArray
    loss: FloatArray
    information: FloatArray


def maximise(
    problem: SeriesProblem,
    theta: FloatArray,
    free: BoolArray | None = None,
    tolerance: float = 1e-6,
) -> Optima:
    """Find the maximum of each profile near its start.

    Parameters
    ----------
    problem
        The profiles.
    theta
        Starts, (fits, size).
    free
        Coordinates that move, (fits, size); None for all.
    tolerance
        On the log-likelihood: a profile is done when its next step promises less.
    """
    layout = problem.layout
    theta = np.clip(theta, layout.low, layout.high)
    free = np.ones(theta.shape, dtype=bool) if free is None else free
    loss, down, curve = problem.linearise(theta)
    damping = np.full(problem.fits, 1e-3)
    rows = np.arange(problem.fits)
    for _ in range(_MAX_ITERATIONS):
        step, promised = _steps(
            layout, theta[rows], free[rows], down[rows], curve[rows], damping[rows]
        )
        more = promised > tolerance
        rows, step, promised = rows[more], step[more], promised[more]
        if rows.size == 0:
            break
        trial = np.clip(theta[rows] + step, layout.low, layout.high)
        new_loss, new_down, new_curve = problem.take(rows).linearise(trial)
        gain = loss[rows] - new_loss
        better = gain > 0
        damping[rows] *= np.where(gain > 0.1 * promised, 0.2, 8.0)
        moved = rows[better]
        theta[moved], loss[moved] = trial[better], new_loss[better]
        down[moved], curve[moved] = new_down[better], new_curve[better]
        rows = rows[damping[rows] < _MOST_DAMPING]
        damping = np.maximum(damping, 1e-9)
    return Optima(theta, loss, curve)


def _steps(
    layout: Layout,
    theta: FloatArray,
    free: BoolArray,
    down: FloatArray,
    curve: FloatArray,
    damping: FloatArray,
) -> tuple[FloatArray, FloatArray]:
    """Damped steps within the bounds, and the gain that the linear model promises."""
    stuck = ((theta <= layout.low) & (down < 0)) | ((theta >= layout.high) & (down > 0))
    moving = free & ~stuck
    slope = np.where(moving, down, 0.0)
    both = moving[:, :, None] & moving[:, None, :]
    part = np.where(both, curve, 0.0)
    diagonal = np.arange(layout.size)
    size = part[:, diagonal, diagonal]
    damped = part.copy()
    # A direction without curvature would ask for a step without end.
    damped[:, diagonal, diagonal] += (
        damping[:, None] * size + _TINY + np.abs(slope) / _LARGEST_STEP
    )
    damped[:, diagonal, diagonal] = np.where(moving, damped[:, diagonal, diagonal], 1.0)
    step = np.linalg.solve(damped, slope[..., None])[..., 0]
    outside = (theta + step < layout.low) | (theta + step > layout.high)
    if outside.any():
        # what meets a bound stops there, and the others know of it
        rows = outside.any(axis=1)
        to_bound = np.clip(theta + step, layout.low, layout.high) - theta
        held = np.where(outside[..., None], np.eye(layout.size), damped)
        right = np.where(outside, to_bound, slope)
        step[rows] = np.linalg.solve(held[rows], right[rows][..., None])[..., 0]
    largest = np.abs(step).max(axis=1, keepdims=True, initial=1e-300)
    step *= np.minimum(1.0, _LARGEST_STEP / largest)
    step = np.clip(theta + step, layout.low, layout.high) - theta
    bent = (step[:, None, :] @ part @ step[..., None])[:, 0, 0]
    return step, (slope * step).sum(axis=1) - 0.5 * bent
