"""Time evolution of the reduced model and its derivatives."""

from __future__ import annotations

import mosaics
import numpy as np
import pytest
from mosaics import D, Mosaic
from numpy.typing import NDArray

import napari_liso as liso
from napari_liso.diffusion.propagate import Evolution, along_boundary, evolve, sensitivity
from napari_liso.diffusion.reduced import ReducedModel, build_reduced

FloatArray = NDArray[np.float64]


@pytest.fixture(scope="module")
def mosaic() -> Mosaic:
    return mosaics.voronoi((40, 48), 8, 9, 0.5)


@pytest.fixture(scope="module")
def stages(mosaic: Mosaic) -> list[liso.Stage]:
    t = mosaic.experiment.duration
    return [liso.Stage(t), liso.Stage(0.4 * t, source=False), liso.Stage(0.1 * t)]


@pytest.fixture(scope="module")
def model(mosaic: Mosaic) -> ReducedModel:
    return build_reduced(mosaic.crystal, 1, 1e-10)


@pytest.fixture(scope="module")
def run(model: ReducedModel, mosaic: Mosaic, stages: list[liso.Stage]) -> Evolution:
    return evolve(model, stages, mosaic.permeability, D, -1.0)


def test_derivatives_are_those_of_finite_differences(
    model: ReducedModel, mosaic: Mosaic, stages: list[liso.Stage], run: Evolution
) -> None:
    count = mosaic.permeability.size
    theta = np.append(np.log(mosaic.permeability), np.log(D))

    def final(x: FloatArray) -> FloatArray:
        return evolve(model, stages, np.exp(x[:-1]), float(np.exp(x[-1])), -1.0).final

    step = 1e-4
    expected = np.column_stack(
        [
            (final(theta + step * e) - final(theta - step * e)) / (2 * step)
            for e in np.eye(count + 1)
        ]
    )
    ours = sensitivity(run)
    assert ours.shape == (model.modes, count + 1)
    np.testing.assert_allclose(ours, expected, atol=1e-6 * np.abs(expected).max())
    # Every column on its own scale too: weak boundaries count.
    scale = np.abs(expected).max(axis=0)
    assert (np.abs(ours - expected).max(axis=0) < 1e-4 * scale).all()


def test_derivatives_with_equal_eigenvalues() -> None:
    """Identical grains: the divided differences meet their limit."""
    twin = mosaics.bar((6, 6, 6, 6), 1e-7, 30.0, rows=6)
    model = build_reduced(twin.crystal, 0)
    stages = twin.experiment.stages
    ours = sensitivity(evolve(model, stages, twin.permeability, D, -1.0))
    step = 1e-4
    for i in range(3):
        up, down = twin.permeability.copy(), twin.permeability.copy()
        up[i] *= np.exp(step)
        down[i] *= np.exp(-step)
        change = evolve(model, stages, up, D, -1.0).final
        change = (change - evolve(model, stages, down, D, -1.0).final) / (2 * step)
        np.testing.assert_allclose(ours[:, i], change, atol=1e-6 * np.abs(change).max())


@pytest.mark.parametrize("boundary", [0, 4, 9])
def test_one_boundary_at_any_conductance(
    boundary: int, model: ReducedModel, mosaic: Mosaic, stages: list[liso.Stage], run: Evolution
) -> None:
    crystal = mosaic.crystal
    factors = np.array([1e-12, 1e-2, 1.0, 30.0, 1e12])
    rows, expected = [], []
    for factor in factors:
        k = mosaic.permeability.copy()
        k[boundary] *= factor
        rows.append(crystal.conductance(k, D)[boundary])
        expected.append(evolve(model, stages, k, D, -1.0).final)
    ours = along_boundary(run, boundary, np.append(rows, 0.0))
    size = np.abs(run.final).max()
    np.testing.assert_allclose(ours[:, :-1], np.column_stack(expected), atol=1e-6 * size)
    # 0 is allowed and is the limit of small ones.
    np.testing.assert_allclose(ours[:, -1], ours[:, 0], atol=1e-6 * size)
    assert np.abs(expected[-1] - expected[0]).max() > 1e-3 * size


def test_lithium_is_conserved_in_the_anneal(
    model: ReducedModel, mosaic: Mosaic, stages: list[liso.Stage], run: Evolution
) -> None:
    amounts = [model.field(x).mean() for x in run.departures]
    assert amounts[0] == pytest.approx(-1.0)
    assert amounts[1] > amounts[0] + 0.1
    assert amounts[2] == pytest.approx(amounts[1], abs=1e-9)
    assert amounts[3] > amounts[2] + 1e-4


def test_more_time_brings_more_lithium_to_every_grain(model: ReducedModel, mosaic: Mosaic) -> None:
    cell = model.crystal.cell_of_unknown()
    previous = np.full(model.crystal.cells, -1.0)
    for part in (0.1, 0.3, 1.0, 3.0):
        stage = liso.Stage(part * mosaic.experiment.duration)
        field = model.field(evolve(model, [stage], mosaic.permeability, D, -1.0).final)
        means = np.bincount(cell, field) / np.bincount(cell)
        assert (means > previous).all()
        previous = means
    assert previous.max() < 1e-6


def test_a_boundary_that_opens_fills_what_is_behind_it() -> None:
    """A bar: more k, more lithium in the last grain, at any k."""
    uptake = []
    for k in np.geomspace(1e-10, 1e-4, 13):
        bar = mosaics.bar((10, 10), float(k), 100.0)
        model = build_reduced(bar.crystal, 0)
        field = model.field(evolve(model, bar.experiment.stages, bar.permeability, D, -1.0).final)
        uptake.append(1 + bar.crystal.to_image(field)[:, 10:].mean())
    assert (np.diff(uptake) > 0).all()
    assert uptake[0] < 0.01
    assert uptake[-1] > 0.5


def test_scales(model: ReducedModel, mosaic: Mosaic, stages: list[liso.Stage]) -> None:
    """Twice as slow for twice as long is the same."""
    slow = [liso.Stage(2 * s.duration, source=s.source) for s in stages]
    one = evolve(model, stages, mosaic.permeability, D, -1.0).final
    two = evolve(model, slow, mosaic.permeability / 2, D / 2, -1.0).final
    np.testing.assert_allclose(one, two, rtol=1e-9, atol=1e-12 * np.abs(one).max())
