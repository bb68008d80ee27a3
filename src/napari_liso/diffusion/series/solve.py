"""From counts of a batch of profiles to maxima and intervals."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.series.ends import Ends, find_ends
from napari_liso.diffusion.series.layout import Layout, build_layout, expand
from napari_liso.diffusion.series.problem import SeriesProblem
from napari_liso.diffusion.series.search import Optima, maximise

__all__ = ["Solved", "find_maxima", "solve_problem"]

FloatArray = NDArray[np.float64]

#: Tried values of 1/D and 1/k for all grains and boundaries, times t/d2 and t/d.
_GRID_D = 10.0 ** np.arange(-2.5, 3.1, 0.5)
_GRID_K = np.concatenate([[0.0], 10.0 ** np.arange(-2.0, 3.1, 0.5)])
#: Values of 1/k_s for the face of the source, where that is fitted.
_GRID_SURFACE = np.array([0.0, 0.1, 1.0, 10.0])


@dataclass(frozen=True, eq=False)
class Solved:
    """Maxima of a batch with their intervals.

    Parameters
    ----------
    problem
        With the likelihood tempered by the dispersion.
    optima
        Maxima.
    dispersion
        Pearson chi2 per degree of freedom, (fits,).
    ends
        Of all coordinates but those of corrections; None where not asked for.
    """

    problem: SeriesProblem
    optima: Optima
    dispersion: FloatArray
    ends: Ends | None


def solve_problem(problem: SeriesProblem, intervals: bool = True) -> Solved:
    """Fit every profile of the batch."""
    optima = find_maxima(problem)
    dispersion = problem.dispersion(optima.theta)
    temper = 1.0 / np.maximum(dispersion, 1.0)
    problem = replace(problem, temper=temper)
    if problem.layout.prior()[1].any():
        optima = maximise(problem, optima.theta)
    else:  # the maximum is where it was
        information = optima.information * temper[:, None, None]
        optima = replace(optima, loss=optima.loss * temper, information=information)
    ends = None
    if intervals:
        optima, ends = find_ends(problem, optima, np.arange(problem.layout.asked))
    return Solved(problem, optima, dispersion, ends)


def find_maxima(problem: SeriesProblem) -> Optima:
    """Scan one D and one k for all grains, refine the best, then free every parameter."""
    narrow = _shared_layout(problem)
    simple = replace(problem, layout=narrow)
    if narrow.size == problem.layout.size:
        return maximise(problem, expand(_scan(simple), narrow, problem.layout))
    found = maximise(simple, _scan(simple), tolerance=1e-3)
    return maximise(problem, expand(found.theta, narrow, problem.layout))


def _shared_layout(problem: SeriesProblem) -> Layout:
    layout = problem.layout
    # the natural scales of a fit with one D are those of all grains together
    thickness = problem.chain.seen(float(problem.bins.positions[-1]))
    return build_layout(
        thickness,
        problem.chain.effective_time,
        source=layout.source,
        background=layout.background,
        surface=1.0 / layout.fixed_surface if layout.fixed_surface > 0 else None,
        fit_surface=layout.face_group[0] >= 0,
        shared_d=True,
        shared_k=True,
        corrections=layout.corrections,
    )


def _scan(problem: SeriesProblem) -> FloatArray:
    """Best of a grid for each profile, (fits, size)."""
    layout = problem.layout
    natural = layout.natural
    axes = [np.array([1.0])] * layout.size
    axes[0] = _GRID_D * natural[0]
    if layout.layer_group.size > 1:
        axes[1] = _GRID_K * natural[1]
    if layout.face_group[0] >= 0:
        axes[layout.face_group[0]] = _GRID_SURFACE * natural[layout.face_group[0]]
    for column, rule in (
        (layout.source_column, layout.source),
        (layout.background_column, layout.background),
    ):
        if column >= 0:
            axes[column] = np.array([rule.value])
    for column in range(layout.asked, layout.size):
        axes[column] = np.zeros(1)
    grid = np.stack([g.ravel() for g in np.meshgrid(*axes, indexing="ij")], axis=-1)
    theta = layout.coordinates(grid)
    return theta[problem.best_of(theta)]
