"""Hamiltonian Monte Carlo on densities whose moments are known."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import digamma, polygamma

from napari_liso.diffusion.sampler import Draws, sample

FloatArray = NDArray[np.float64]


def test_gaussian_with_a_wrong_guess_of_its_shape() -> None:
    """Moments of a correlated normal distribution, from a start that fits it badly."""
    mean = np.array([1.0, -2.0, 0.5, 30.0])
    root = np.array([[1, 0, 0, 0], [0.9, 0.4, 0, 0], [0, 0.3, 2.0, 0], [1, 1, 1, 0.5]])
    covariance = root @ root.T
    precision = np.linalg.inv(covariance)

    def density(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        away = z - mean[:, None]
        return -0.5 * (away * (precision @ away)).sum(axis=0), -precision @ away

    draws = sample(
        density,
        np.array([0.0, 0.0, 0.0, 28.0]),
        np.diag([2.0, 0.5, 3.0, 4.0]),
        np.random.default_rng(1),
        iterations=1500,
    )
    flat = draws.flat
    assert flat.shape == (4, 1500 * 12)
    assert draws.worst_r_hat() < 1.05
    assert 0.6 < draws.acceptance <= 1.0
    sd = np.sqrt(np.diag(covariance))
    np.testing.assert_allclose(flat.mean(axis=1), mean, atol=0.1 * sd.max())
    assert (np.abs(flat.mean(axis=1) - mean) < 0.08 * sd).all()
    correlation = np.corrcoef(flat)
    np.testing.assert_allclose(correlation, covariance / np.outer(sd, sd), atol=0.06)
    np.testing.assert_allclose(flat.std(axis=1), sd, rtol=0.06)


@pytest.mark.parametrize("shape", [0.7, 3.0])
def test_skew_density(shape: float) -> None:
    """Logarithms of gamma variates: mean digamma, variance trigamma, skew quantiles."""

    def density(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        return (shape * z - np.exp(z)).sum(axis=0), shape - np.exp(z)

    draws = sample(density, np.zeros(3), np.eye(3), np.random.default_rng(2), iterations=1500)
    assert draws.worst_r_hat() < 1.05
    for row in draws.flat:
        sd = np.sqrt(polygamma(1, shape))
        assert row.mean() == pytest.approx(digamma(shape), abs=0.06 * sd)
        assert row.std() == pytest.approx(sd, rel=0.06)
    skewness = ((draws.flat - digamma(shape)) ** 3).mean() / sd**3
    assert skewness == pytest.approx(polygamma(2, shape) / sd**3, rel=0.3)


def test_the_same_seed_gives_the_same_draws() -> None:
    def density(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        return -0.5 * (z**2).sum(axis=0), -z

    def run(seed: int) -> FloatArray:
        return sample(
            density, np.zeros(2), np.eye(2), np.random.default_rng(seed), iterations=20
        ).values

    np.testing.assert_array_equal(run(3), run(3))
    assert not np.array_equal(run(3), run(4))


def test_density_with_a_wall() -> None:
    """Where the density is zero or its slope infinite no draw may end up."""

    def density(z: FloatArray) -> tuple[FloatArray, FloatArray]:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.log(z[0]) - z[0], (1 / z - 1)

    draws = sample(density, np.array([1.0]), np.eye(1), np.random.default_rng(5), iterations=1500)
    assert (draws.flat > 0).all()
    assert draws.flat.mean() == pytest.approx(2.0, abs=0.1)


def test_progress_is_called_every_iteration_and_may_abort() -> None:
    calls = 0

    def stop() -> None:
        nonlocal calls
        calls += 1
        if calls == 7:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(
            lambda z: (-0.5 * (z**2).sum(axis=0), -z),
            np.zeros(2),
            np.eye(2),
            np.random.default_rng(0),
            progress=stop,
        )
    assert calls == 7


def test_r_hat_sees_chains_that_disagree_or_drift() -> None:
    rng = np.random.default_rng(6)
    values = rng.standard_normal((2, 400, 12))
    assert Draws(values, 0.8).worst_r_hat() < 1.02
    apart = values.copy()
    apart[1, :, :6] += 2.0
    # Between-chain variance 1.09 on top of 1: sqrt(2.09).
    assert Draws(apart, 0.8).worst_r_hat() == pytest.approx(np.sqrt(1 + 12 / 11), abs=0.08)
    drifting = values + np.linspace(-2, 2, 400)[None, :, None]
    assert Draws(drifting, 0.8).worst_r_hat() > 1.2
