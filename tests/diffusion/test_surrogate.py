"""The likelihood's expansion: exact derivatives, true limits, and how far it may be trusted."""

from __future__ import annotations

from dataclasses import replace

import mosaics
import numpy as np
import pytest
from mosaics import PIXEL, D
from test_optimise import problem_of

from napari_liso.diffusion.optimise import Optimum, linearise, maximise, start_values
from napari_liso.diffusion.surrogate import Surrogate, build_surrogate


@pytest.fixture(scope="module")
def optimum() -> Optimum:
    problem = problem_of(mosaics.voronoi((40, 44), 6, 31, 0.3), 300.0, 32)
    return maximise(problem, start_values(problem))


@pytest.fixture(scope="module")
def surrogate(optimum: Optimum) -> Surrogate:
    return build_surrogate(optimum)


def test_value_and_slope_at_the_centre_are_those_of_the_likelihood(
    optimum: Optimum, surrogate: Surrogate
) -> None:
    level, gradient = surrogate.log_likelihood(surrogate.centre[:, None])
    assert level[0] == pytest.approx(0.0, abs=1e-12)
    free = replace(optimum.problem, sigma=np.inf)
    step = 1e-3
    for i in (0, 2, optimum.theta.size - 1):
        shift = step * np.eye(optimum.theta.size)[i]
        up, down = free.loss(optimum.theta + shift), free.loss(optimum.theta - shift)
        scale = np.sqrt(surrogate.information[i, i])
        assert -gradient[i, 0] == pytest.approx((up - down) / (2 * step), abs=0.02 * scale)


def test_gradient_is_the_slope_of_the_value(surrogate: Surrogate) -> None:
    rng = np.random.default_rng(33)
    theta = surrogate.centre[:, None] + rng.normal(0, 1, (surrogate.centre.size, 5))
    level, gradient = surrogate.log_likelihood(theta)
    step = 1e-5
    for i in range(surrogate.centre.size):
        shift = np.zeros_like(theta)
        shift[i] = step
        change = surrogate.log_likelihood(theta + shift)[0]
        change -= surrogate.log_likelihood(theta - shift)[0]
        np.testing.assert_allclose(gradient[i], change / (2 * step), rtol=1e-4, atol=1e-3)
    assert np.isfinite(level).all()


def test_limits_are_finite_and_approached(surrogate: Surrogate) -> None:
    """At k = 0, k = inf and D = inf; 1/D has no lower end."""
    for i in range(surrogate.centre.size - 1):
        for limit in (-np.inf, np.inf):
            at, near = surrogate.centre.copy(), surrogate.centre.copy()
            at[i] = limit
            near[i] += np.sign(limit) * 25.0
            ends = [surrogate.log_likelihood(t[:, None])[0][0] for t in (at, near)]
            assert np.isfinite(ends[0])
            assert ends[1] == pytest.approx(ends[0], rel=1e-6, abs=1e-6)
    at = surrogate.centre.copy()
    at[-1] = np.inf
    value, slope = surrogate.answer(at)
    assert value[-1] == pytest.approx(1.0)
    assert slope[-1] == pytest.approx(0.0)
    a = surrogate.saturation[0]
    closed, opened = surrogate.centre.copy(), surrogate.centre.copy()
    closed[0], opened[0] = -np.inf, np.inf
    assert surrogate.answer(closed)[0][0] == pytest.approx(-(1 + a))
    assert surrogate.answer(opened)[0][0] == pytest.approx((1 + a) / a)


def test_holds_within_a_few_standard_errors(optimum: Optimum, surrogate: Surrogate) -> None:
    """Along every parameter out to where the likelihood has fallen by about 4."""
    free = replace(optimum.problem, sigma=np.inf)
    base = free.loss(optimum.theta)
    for i in range(optimum.theta.size):
        size = min(2.8 / np.sqrt(surrogate.information[i, i]), 1.5)
        for sign in (-1, 1):
            theta = optimum.theta.copy()
            theta[i] += sign * size
            exact = base - free.loss(theta)
            ours = surrogate.log_likelihood(theta[:, None])[0][0]
            assert ours == pytest.approx(exact, abs=0.5 + 0.15 * abs(exact))


def test_early_uptake_of_a_flat_grain_is_linear_in_k() -> None:
    """k t << L: the far grain answers in proportion to k, so that nothing saturates
    and the expansion is the likelihood itself over any change of k that keeps it so."""
    k, cells = 2e-9, 12
    duration = 0.005 * cells * PIXEL / k
    problem = problem_of(mosaics.bar((cells, cells), k, duration, rows=40), 3e4, 34, np.inf)
    theta = np.array([np.log(k), np.log(D)])
    surrogate = build_surrogate(linearise(problem, theta))
    assert surrogate.saturation[0] < 0.03
    base = problem.loss(theta)
    for change in (-2.0, -0.5, 0.5):
        moved = theta + np.array([change, 0.0])
        exact = base - problem.loss(moved)
        ours = surrogate.log_likelihood(moved[:, None])[0][0]
        # Fisher information at the centre against the curvature on the way: the weights
        # n / (c (1 - c)) move by the few per cent that c does.
        assert ours == pytest.approx(exact, rel=0.06, abs=0.1)


def test_saturation_of_a_boundary_in_series_with_its_grain() -> None:
    """Quasi-steady flux through grain and boundary: t / (1/k + a/D + ...), r = length / D."""
    near, far = 20, 6
    found = []
    for biot in (0.3, 1.0, 3.0):
        k = biot * D / (near * PIXEL)
        # The near grain is steady long before the far one fills noticeably.
        duration = 0.5 * (near * PIXEL) ** 2 / D
        problem = problem_of(mosaics.bar((near, far), k, duration), 500.0, 35, np.inf)
        theta = np.array([np.log(k), np.log(D)])
        found.append(build_surrogate(linearise(problem, theta)).saturation[0])
    ratio = np.array(found) / [0.3, 1.0, 3.0]
    # a = k r with one r of the order of the grains' own resistance.
    assert (ratio > 0.2).all()
    assert (ratio < 5).all()
    np.testing.assert_allclose(ratio / ratio.mean(), 1.0, atol=0.35)
