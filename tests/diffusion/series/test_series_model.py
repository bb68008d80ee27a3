"""Derivatives, batches, stages and quadrature of the series model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from napari_liso.diffusion.series.bins import bin_edges, build_bins
from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.cram import rational_exponential
from napari_liso.diffusion.series.model import Groups, respond, respond_with_slopes
from napari_liso.diffusion.series.plan import Period, plan_stages

FloatArray = NDArray[np.float64]

X = np.linspace(0.05, 39.95, 61)
ONE = [Period(40.0)]
FOUR = [
    Period(40.0),
    Period(40.0, source=False),
    Period(25.0, True, 2.0, 3.0, 1.5),
    Period(10.0, False, 0.5, 0.2),
]


@pytest.mark.parametrize("order", [4, 8, 14])
def test_rational_exponential(order: int) -> None:
    z = -np.concatenate([[0.0], np.logspace(-6, 6, 3000)])
    found = rational_exponential(order)
    value = (found.residues / (z[:, None] - found.poles)).sum(axis=1).real
    # Cody, Meinardus & Varga 1969: the best error falls as 9.28903^-order
    assert np.abs(value - np.exp(z)).max() < 3 * 9.28903**-order


@pytest.mark.parametrize("order", [3, 0, 16])
def test_rational_exponential_refuses(order: int) -> None:
    with pytest.raises(ValueError, match="even number from 2 to 14"):
        rational_exponential(order)


@pytest.mark.parametrize("periods", [ONE, FOUR], ids=["one", "four"])
@pytest.mark.parametrize(
    ("inverse_d", "resistance"),
    [
        ([1 / 2.6, 1.0, 0.25], [2.5, 20.0, 5.0]),
        ([0.3, 0.3, 0.3], [0.1, 1e3, 0.2]),
        ([1e-2, 3e-3, 2e-2], [2.5, 20.0, 5.0]),
        ([30.0, 20.0, 40.0], [1.0, 20.0, 5.0]),
    ],
    ids=["mixed", "blocked", "flat", "slow"],
)
def test_slopes_are_those_of_differences(
    periods: list[Period], inverse_d: list[float], resistance: list[float]
) -> None:
    chain = Chain(np.array([8.0, 12.0, 20.0]), periods, X)
    point = np.array(inverse_d + resistance)
    groups = Groups(np.arange(3), np.arange(3, 6), 6)
    value, slopes = respond_with_slopes(chain, point[None, :3], point[None, 3:], groups)
    np.testing.assert_allclose(value, respond(chain, point[None, :3], point[None, 3:]), atol=1e-12)
    for i in range(6):
        h = 0.02 * point[i]

        def at(by: float, number: int = i) -> FloatArray:
            moved = point.copy()
            moved[number] += by
            return respond(chain, moved[None, :3], moved[None, 3:])[0]

        differences = (
            45 * (at(h) - at(-h)) - 9 * (at(2 * h) - at(-2 * h)) + at(3 * h) - at(-3 * h)
        ) / (60 * h)
        scale = np.abs(slopes[0, i]).max() + 1e-4 / point[i]
        assert np.abs(differences - slopes[0, i]).max() < 1e-6 * scale


def test_slopes_at_no_barrier_and_flat_grains() -> None:
    """1/k = 0 and 1/D = 0 are points like any other: one-sided differences."""
    chain = Chain(np.array([8.0, 12.0, 20.0]), [Period(40.0)], X, 14)
    groups = Groups(np.array([0, 1, 2]), np.array([-1, 3, 4]), 5)
    inverse = np.array([[0.0, 0.0, 0.2]])
    rho = np.array([[3.0, 0.0, 5.0]])
    _, slopes = respond_with_slopes(chain, inverse, rho, groups)
    zero = respond(chain, inverse, rho)[0]
    h = 1e-4
    for column, (array, place) in {0: (0, 0), 1: (0, 1), 3: (1, 1)}.items():
        both = []
        for times in (1, 2):
            moved = [inverse.copy(), rho.copy()]
            moved[array][0, place] += times * h
            both.append(respond(chain, *moved)[0])
        differences = (4 * both[0] - both[1] - 3 * zero) / (2 * h)
        np.testing.assert_allclose(slopes[0, column], differences, atol=2e-6)


def test_shared_parameters_add_up() -> None:
    chain = Chain(np.array([8.0, 12.0, 20.0]), FOUR, X)
    inverse, rho = np.full((1, 3), 0.5), np.array([[1.0, 20.0, 20.0]])
    own = Groups(np.arange(3), np.array([-1, 3, 4]), 5)
    shared = Groups(np.zeros(3, int), np.array([-1, 1, 1]), 2)
    _, each = respond_with_slopes(chain, inverse, rho, own)
    _, two = respond_with_slopes(chain, inverse, rho, shared)
    np.testing.assert_allclose(two[:, 0], each[:, :3].sum(axis=1), atol=1e-10)
    np.testing.assert_allclose(two[:, 1], each[:, 3:].sum(axis=1), atol=1e-10)


def test_batch_is_the_fits_one_by_one() -> None:
    rng = np.random.default_rng(0)
    chain = Chain(np.array([8.0, 12.0, 20.0]), FOUR, X)
    inverse, rho = rng.lognormal(size=(7, 3)), rng.lognormal(size=(7, 3))
    together = respond(chain, inverse, rho)
    alone = [respond(chain, g[None], r[None])[0] for g, r in zip(inverse, rho, strict=True)]
    np.testing.assert_allclose(together, alone, atol=1e-12)


def test_stages_that_change_nothing() -> None:
    inverse, rho = np.full((1, 2), 0.5), np.array([[0.0, 20.0]])

    def at(periods: list[Period]) -> FloatArray:
        return respond(Chain(np.array([15.0, 25.0]), periods, X), inverse, rho)[0]

    alone = at([Period(40.0)])
    np.testing.assert_allclose(at([Period(9.0, source=False), Period(40.0)]), alone, atol=1e-12)
    np.testing.assert_allclose(at([Period(15.0), Period(25.0)]), alone, atol=1e-12)
    frozen = Period(1e5, source=False, bulk=1e-12, boundary=1e-12)
    np.testing.assert_allclose(at([Period(40.0), frozen]), alone, atol=1e-7)


def test_an_anneal_keeps_the_lithium() -> None:
    """No flux leaves: the mean stays, and after long the fraction is even."""
    inverse, rho = np.full((1, 2), 0.5), np.array([[0.0, 20.0]])
    edges = np.linspace(0, 40, 401)
    x = (edges[1:] + edges[:-1]) / 2
    chain = Chain(np.array([15.0, 25.0]), [Period(40.0)], x)
    before = respond(chain, inverse, rho)[0]
    annealed = replace(chain, periods=[Period(40.0), Period(300.0, source=False)])
    assert respond(annealed, inverse, rho)[0].mean() == pytest.approx(before.mean(), abs=1e-4)
    long = replace(chain, periods=[Period(40.0), Period(1e6, source=False)])
    np.testing.assert_allclose(respond(long, inverse, rho)[0], before.mean(), atol=1e-4)


def test_many_similar_stages_lower_the_order() -> None:
    stages = [Period(1.0, boundary=1 + 0.1 * (i % 2)) for i in range(7)]
    assert plan_stages(stages)[1] < 8
    assert plan_stages(stages[:4])[1] == 8
    with pytest.raises(ValueError, match="no 6Li ever entered"):
        plan_stages([Period(1.0, source=False)])


def test_bins_average_exactly_what_is_nearly_straight() -> None:
    edges = np.array([0.0, 1.0, 1.5, 4.0, 6.0])
    bins = build_bins(edges, np.array([2.0]), 6.0)
    cubic = bins.fraction(bins.positions[None] ** 3, None)[0]
    expected = (edges[1:] ** 4 - edges[:-1] ** 4) / 4 / np.diff(edges)
    np.testing.assert_allclose(cubic, expected, rtol=1e-12)


def test_blur_acts_on_intensities() -> None:
    """A step in the fraction at a step of intensity: the closed form of two blurred edges."""
    from scipy.special import ndtr

    fwhm = 1.0
    sigma = fwhm / 2.3548200450309493
    edges = np.linspace(0, 20, 401)
    bins = build_bins(edges, np.array([10.0]), 20.0, fwhm)
    c = np.where(bins.layer == 0, 0.8, 0.2)[None]
    found = bins.fraction(c, np.array([[1.0, 3.0]]))[0]
    x = (edges[1:] + edges[:-1]) / 2
    left, right = ndtr((10 - x) / sigma), ndtr((x - 10) / sigma)
    expected = (0.8 * left + 0.2 * 3 * right) / (left + 3 * right)
    inside = (x > 3) & (x < 17)
    np.testing.assert_allclose(found[inside], expected[inside], atol=2e-4)


def test_intensities_from_total_counts() -> None:
    bins = build_bins(np.linspace(0, 20, 41), np.array([10.0]), 20.0, 1.0)
    truth = np.array([[200.0, 900.0]])
    total = truth[:, bins.layer] @ bins.weights.T
    np.testing.assert_allclose(bins.intensities(total, 2), truth, rtol=1e-6)


@pytest.mark.parametrize(
    ("distance", "words"),
    [
        ([0.5, 1.5], "three bins"),
        ([0.5, 0.4, 1.5], "ascend"),
        ([-0.5, 0.5, 1.5], "before the source face"),
        ([0.5, np.nan, 1.5], "ascend"),
    ],
)
def test_bins_that_make_no_sense(distance: list[float], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        bin_edges(np.array(distance))
