"""The joint posterior of boundaries and population."""

from __future__ import annotations

from dataclasses import replace

import mosaics
import numpy as np
import pytest
from mosaics import D
from test_optimise import problem_of

from napari_liso.diffusion.likelihood import BinomialData
from napari_liso.diffusion.optimise import Problem, start_values
from napari_liso.diffusion.posterior import Posterior, find_posterior


@pytest.fixture(scope="module")
def precise() -> tuple[Problem, Posterior, np.ndarray]:
    """Five flat grains in a row and many counts: every k is known by itself."""
    truth = np.array([1.0, 3.0, 0.6, 1.8]) * 1e-8
    bar = mosaics.bar((8, 8, 8, 8, 8), tuple(truth), 1500.0, rows=30)
    problem = problem_of(bar, 2000.0, 71)
    return problem, find_posterior(problem, start_values(problem), seed=3), truth


def test_precise_boundaries_are_found(
    precise: tuple[Problem, Posterior, np.ndarray],
) -> None:
    _, posterior, truth = precise
    sd = posterior.ln_k.std(axis=1)
    assert (sd < 0.1).all()
    assert (np.abs(posterior.ln_k.mean(axis=1) - np.log(truth)) < 3.5 * sd).all()
    assert posterior.r_hat < 1.1


def test_population_is_that_of_its_members(
    precise: tuple[Problem, Posterior, np.ndarray],
) -> None:
    """Members known exactly: the posterior of (centre, spread) summed on a grid."""
    _, posterior, _ = precise
    members = posterior.ln_k.mean(axis=1)
    centre = np.linspace(members.mean() - 5, members.mean() + 5, 401)[:, None]
    spread = np.linspace(0.01, 4, 400)[None, :]
    squares = ((members[:, None, None] - centre) ** 2).sum(axis=0)
    log = -members.size * np.log(spread) - squares / (2 * spread**2) - spread**2 / 2
    weight = np.exp(log - log.max())
    weight /= weight.sum()
    mean_centre = float((weight * centre).sum())
    sd_centre = float(np.sqrt((weight * (centre - mean_centre) ** 2).sum()))
    mean_spread = float((weight * spread).sum())
    assert posterior.centre.mean() == pytest.approx(mean_centre, abs=0.2 * sd_centre)
    assert posterior.centre.std() == pytest.approx(sd_centre, rel=0.25)
    assert posterior.spread.mean() == pytest.approx(mean_spread, rel=0.15)


def test_a_boundary_without_data_has_the_population() -> None:
    """Three well known members, and one behind which nothing was counted."""
    bar = mosaics.bar((8, 8, 8, 8, 8), (1e-8, 2e-8, 1.5e-8, 1e-8), 1500.0, rows=30)
    problem = problem_of(bar, 2000.0, 72)
    model = problem.model
    unseen = model.crystal.cell_of_unknown() == model.crystal.cells - 1
    data = problem.data
    hidden = BinomialData(
        np.where(unseen, 0.0, data.n6), np.where(unseen, 0.0, data.total), data.source_fraction
    )
    # The last k still acts on the fourth grain, but weakly beside its own spread.
    posterior = find_posterior(replace(problem, data=hidden), start_values(problem), seed=4)
    sd = posterior.ln_k.std(axis=1)
    assert sd[3] > 5 * sd[0]
    assert posterior.ln_k[3].mean() == pytest.approx(
        posterior.centre.mean(), abs=1.5 * posterior.spread.mean()
    )


def test_the_same_seed_gives_the_same_draws(
    precise: tuple[Problem, Posterior, np.ndarray],
) -> None:
    problem, posterior, _ = precise
    again = find_posterior(problem, start_values(problem), seed=3)
    np.testing.assert_array_equal(again.ln_k, posterior.ln_k)
    other = find_posterior(problem, start_values(problem), seed=5)
    assert not np.array_equal(other.ln_k, posterior.ln_k)


def test_expansion_point_is_one_that_the_data_allow() -> None:
    """A boundary that is open upward: its mean must not drag the expansion off the likelihood."""
    cells = 20
    duration = (2 * cells * mosaics.PIXEL) ** 2 / D
    bar = mosaics.bar((cells, cells), 1e4 * D / (cells * mosaics.PIXEL), duration, rows=20)
    problem = problem_of(bar, 100.0, 43, np.inf)
    posterior = find_posterior(problem, start_values(problem))
    at = problem.loss(posterior.surrogate.centre)
    assert at - problem.loss(posterior.optimum.theta) < 5.0
