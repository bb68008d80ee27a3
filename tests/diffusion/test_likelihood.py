"""The binomial likelihood: values from scipy, derivatives from differences and expectations."""

from __future__ import annotations

import mosaics
import numpy as np
import pytest
from mosaics import D
from numpy.typing import NDArray
from scipy.stats import binom

from napari_liso.diffusion.likelihood import BinomialData, block_product
from napari_liso.diffusion.propagate import evolve
from napari_liso.diffusion.reduced import ReducedModel, build_reduced

SOURCE, BACKGROUND = 0.95, 0.0759


@pytest.fixture(scope="module")
def state() -> tuple[ReducedModel, NDArray[np.float64], BinomialData]:
    mosaic = mosaics.voronoi((30, 36), 7, 11, 0.5)
    model = build_reduced(mosaic.crystal, 1, 1e-10)
    run = evolve(model, mosaic.experiment.stages, mosaic.permeability, D, BACKGROUND - SOURCE)
    n6, n7 = mosaic.measure(40.0, 12)
    used = np.ones(n6.shape, dtype=bool)
    used[:, 20:23] = False
    data = BinomialData.from_images(model, n6, n7, used, SOURCE)
    return model, run.final, data


def test_loss_is_that_of_the_binomial(
    state: tuple[ReducedModel, NDArray[np.float64], BinomialData],
) -> None:
    model, x, data = state
    c = data.fraction(model, x)
    np.testing.assert_allclose(c, SOURCE + model.field(x))
    n6, total = data.n6.astype(int), data.total.astype(int)
    has = total > 0
    at_model = binom.logpmf(n6[has], total[has], c[has])
    at_best = binom.logpmf(n6[has], total[has], n6[has] / total[has])
    assert data.loss(model, x) == pytest.approx(float((at_best - at_model).sum()), rel=1e-10)
    assert data.curvature(model, x).loss == pytest.approx(data.loss(model, x), rel=1e-12)


def test_pixels_that_are_not_used_carry_no_weight(
    state: tuple[ReducedModel, NDArray[np.float64], BinomialData],
) -> None:
    model, x, data = state
    image = model.crystal.to_image(data.total)
    assert (image[:, 20:23] == 0).all()
    assert image[:, :20].min() > 0
    losses = model.crystal.to_image(data.pixel_loss(data.fraction(model, x)))
    assert (losses[:, 20:23] == 0).all()
    assert losses.min() >= 0


def test_score_is_the_slope_of_the_loss(
    state: tuple[ReducedModel, NDArray[np.float64], BinomialData],
) -> None:
    model, x, data = state
    score = data.curvature(model, x).score
    step = 1e-4 * np.abs(x).max()
    for i in (0, 3, model.modes // 2, model.modes - 1):
        shift = np.zeros(model.modes)
        shift[i] = step
        slope = (data.loss(model, x + shift) - data.loss(model, x - shift)) / (2 * step)
        assert -score[i] == pytest.approx(slope, rel=1e-4, abs=1e-6 * np.abs(score).max())


def test_information_is_the_variance_of_the_score(
    state: tuple[ReducedModel, NDArray[np.float64], BinomialData],
) -> None:
    """Expectation over all counts that could have been: exact, by their probabilities."""
    model, x, _ = state
    c = SOURCE + model.field(x)
    total = np.full(c.size, 3.0)
    mean = np.zeros(c.size)
    square = np.zeros(c.size)
    for n6 in range(4):
        probability = binom.pmf(n6, 3, c)
        # d ln p/dc by differences of the probability itself.
        step = 1e-6
        change = binom.logpmf(n6, 3, c + step) - binom.logpmf(n6, 3, c - step)
        slope = change / (2 * step)
        mean += probability * slope
        square += probability * slope**2
    np.testing.assert_allclose(mean, 0.0, atol=1e-6 * square.max())
    ours = BinomialData(np.ones(c.size), total, SOURCE).curvature(model, x)
    for cell, unknowns, _ in model.blocks():
        shape = model.shapes[cell]
        expected = shape.T @ (square[unknowns, None] * shape)
        np.testing.assert_allclose(
            ours.blocks[cell], expected, rtol=1e-5, atol=1e-5 * expected.max()
        )


def test_block_product(state: tuple[ReducedModel, NDArray[np.float64], BinomialData]) -> None:
    model, x, data = state
    blocks = data.curvature(model, x).blocks
    dense = np.zeros((model.modes, model.modes))
    for cell, _, modes in model.blocks():
        dense[modes, modes] = blocks[cell]
    columns = np.random.default_rng(0).normal(size=(model.modes, 3))
    np.testing.assert_allclose(block_product(model, blocks, columns), dense @ columns)


def test_pearson_is_one_for_the_true_model_and_the_factor_of_excess_scatter() -> None:
    rng = np.random.default_rng([13, 1])
    total = np.full(20_000, 50.0)
    c = rng.uniform(0.1, 0.9, total.size)
    honest = BinomialData(rng.binomial(50, c).astype(float), total, 0.0)
    assert honest.pearson(c, 0) == pytest.approx(1.0, abs=4 * np.sqrt(2 / total.size))
    # Counts that come in pairs scatter twice as much.
    paired = BinomialData(2.0 * rng.binomial(25, c), total, 0.0)
    assert paired.pearson(c, 0) == pytest.approx(2.0, abs=8 * np.sqrt(2 / total.size))


def test_fractions_of_zero_and_one_stay_finite(
    state: tuple[ReducedModel, NDArray[np.float64], BinomialData],
) -> None:
    model, x, data = state
    for coefficients in (0 * x, 3 * x):
        curvature = data.curvature(model, coefficients)
        assert np.isfinite(curvature.loss)
        assert np.isfinite(curvature.score).all()
