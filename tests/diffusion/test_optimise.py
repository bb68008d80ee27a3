"""The penalised maximum: against a general-purpose optimiser, and its own promises."""

from __future__ import annotations

from dataclasses import replace

import mosaics
import numpy as np
import pytest
from mosaics import D, Mosaic
from scipy.optimize import minimize

from napari_liso.diffusion.likelihood import BinomialData
from napari_liso.diffusion.optimise import Problem, Scale, linearise, maximise, start_values
from napari_liso.diffusion.reduced import build_reduced


def problem_of(mosaic: Mosaic, counts: float, seed: int, sigma: float = 0.6) -> Problem:
    crystal = mosaic.crystal
    model = build_reduced(crystal, 0)
    n6, n7 = mosaic.measure(counts, seed)
    used = np.ones(n6.shape, dtype=bool)
    size = float(np.sqrt(crystal.size * crystal.area / crystal.cells))
    return Problem(
        model=model,
        data=BinomialData.from_images(model, n6, n7, used, mosaic.experiment.source_fraction),
        experiment=mosaic.experiment,
        group=np.arange(crystal.boundaries),
        scale=Scale(size, mosaic.experiment.duration),
        sigma=sigma,
    )


@pytest.fixture(scope="module")
def mosaic() -> Mosaic:
    return mosaics.voronoi((40, 44), 6, 21, 0.3)


@pytest.fixture(scope="module")
def problem(mosaic: Mosaic) -> Problem:
    return problem_of(mosaic, 300.0, 22)


def test_maximum_is_that_of_a_general_optimiser(problem: Problem) -> None:
    optimum = maximise(problem, start_values(problem), tolerance=1e-6)
    other = minimize(
        problem.loss,
        optimum.theta + 0.2,
        method="L-BFGS-B",
        options={"maxiter": 300, "ftol": 1e-13},
    )
    assert optimum.loss <= other.fun + 1e-3
    sd = np.sqrt(np.diag(optimum.covariance))
    assert (np.abs(optimum.theta - other.x) < 0.1 * sd).all()


def test_maximum_is_found_from_far_away(problem: Problem) -> None:
    best = maximise(problem, start_values(problem), tolerance=1e-5)
    for shift in (-1.5, 1.5):
        again = maximise(problem, best.theta + shift, tolerance=1e-5)
        assert again.loss == pytest.approx(best.loss, abs=0.05)


def test_truth_is_within_the_errors(problem: Problem, mosaic: Mosaic) -> None:
    optimum = maximise(problem, start_values(problem))
    truth = np.append(np.log(mosaic.permeability), np.log(D))
    away = (optimum.theta - truth) / np.sqrt(np.diag(optimum.covariance))
    # As many squared standard errors as parameters, within the 0.1 % tails of chi2.
    assert 0.15 * truth.size < (away**2).sum() < 2.6 * truth.size


def test_information_is_the_curvature_of_the_expected_loss(mosaic: Mosaic) -> None:
    """With counts that equal their expectation, Fisher information is the Hessian."""
    problem = problem_of(mosaic, 300.0, 22, sigma=np.inf)
    theta = np.append(np.log(mosaic.permeability), np.log(D))
    run = problem.run(theta)
    c = problem.data.fraction(problem.model, run.final)
    total = np.full(c.size, 200.0)
    exact = replace(problem, data=BinomialData(total * c, total, problem.data.source_fraction))
    point = linearise(exact, theta)
    assert point.loss == pytest.approx(exact.penalty(theta), abs=1e-6)
    np.testing.assert_allclose(point.score, 0.0, atol=1e-5)
    step = 1e-2
    for i in (0, 3, theta.size - 1):
        shift = step * np.eye(theta.size)[i]
        above, below = exact.loss(theta + shift), exact.loss(theta - shift)
        curvature = (above + below - 2 * exact.loss(theta)) / step**2
        known = point.information[i, i] + exact.precision()[i, i]
        assert curvature == pytest.approx(known, rel=0.01)


def test_slope_of_the_objective(problem: Problem) -> None:
    theta = start_values(problem) + 0.1
    point = linearise(problem, theta)
    slope = -(point.jacobian.T @ point.score) + problem.precision() @ problem.centred(theta)
    step = 1e-4
    for i in (1, theta.size - 1):
        shift = step * np.eye(theta.size)[i]
        change = (problem.loss(theta + shift) - problem.loss(theta - shift)) / (2 * step)
        assert slope[i] == pytest.approx(change, rel=1e-3, abs=1e-2)


def test_population_penalty() -> None:
    """Sum of squares about the mean over 2 sigma^2; the one that stands apart is free."""
    problem = problem_of(mosaics.bar((4, 4, 4, 4), 1e-7, 10.0, rows=4), 5.0, 23, sigma=0.5)
    ln_k = np.array([-16.0, -17.0, -19.0])
    theta = np.append(ln_k, np.log(problem.scale.diffusivity))
    expected = ((ln_k - ln_k.mean()) ** 2).sum() / (2 * 0.25)
    assert problem.penalty(theta) == pytest.approx(expected)
    others = ln_k[[0, 2]]
    apart = ((others - others.mean()) ** 2).sum() / (2 * 0.25)
    assert replace(problem, apart=1).penalty(theta) == pytest.approx(apart)
    assert replace(problem, sigma=np.inf).penalty(theta) == pytest.approx(0.0)


def test_without_data_all_boundaries_agree() -> None:
    problem = problem_of(mosaics.bar((4, 4, 4, 4), 1e-7, 10.0, rows=4), 5.0, 23, sigma=0.3)
    nothing = np.zeros(problem.data.total.size)
    empty = replace(problem, data=BinomialData(nothing, nothing, 0.95))
    start = np.append([-16.0, -15.5, -16.5], np.log(problem.scale.diffusivity))
    optimum = maximise(empty, start, tolerance=1e-9)
    np.testing.assert_allclose(optimum.theta[:-1], -16.0, atol=0.01)


def test_fixed_parameters_stay(problem: Problem) -> None:
    start = start_values(problem)
    optimum = maximise(replace(problem, fixed=(0, problem.groups)), start)
    assert optimum.theta[0] == start[0]
    assert optimum.theta[-1] == start[-1]
    assert optimum.theta[1] != start[1]


def test_groups_share_their_permeability(mosaic: Mosaic) -> None:
    problem = problem_of(mosaic, 300.0, 22)
    group = np.arange(problem.groups) % 2
    shared = replace(problem, group=group)
    theta = np.array([-16.0, -17.0, np.log(D)])
    np.testing.assert_allclose(shared.run(theta).permeability, np.exp(theta[group]))
    single = linearise(problem, np.append(theta[group], theta[-1])).jacobian
    ours = linearise(shared, theta).jacobian
    for g in (0, 1):
        np.testing.assert_allclose(ours[:, g], single[:, :-1][:, group == g].sum(axis=1))


def test_temper_scales_the_data_only(problem: Problem) -> None:
    theta = start_values(problem)
    half = replace(problem, temper=0.5)
    data = problem.loss(theta) - problem.penalty(theta)
    assert half.loss(theta) == pytest.approx(0.5 * data + problem.penalty(theta))
    np.testing.assert_allclose(
        linearise(half, theta).information, 0.5 * linearise(problem, theta).information
    )


def test_progress_may_abort(problem: Problem) -> None:
    def stop() -> None:
        raise InterruptedError

    with pytest.raises(InterruptedError):
        maximise(problem, start_values(problem), progress=stop)
    with pytest.raises(InterruptedError):
        start_values(problem, progress=stop)
