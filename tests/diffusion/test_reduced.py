"""The reduced model against the full one, of which it is the projection."""

from __future__ import annotations

import mosaics
import numpy as np
import pytest
from mosaics import D, Mosaic

import napari_liso as liso
from napari_liso.diffusion.polycrystal import solve
from napari_liso.diffusion.propagate import evolve
from napari_liso.diffusion.reduced import MAX_LEVEL, ReducedModel, build_reduced


def errors(mosaic: Mosaic, level: int) -> tuple[float, float]:
    """(rms, largest) difference of the fraction, source minus background = 1."""
    crystal, duration = mosaic.crystal, mosaic.experiment.duration
    stages = [liso.Stage(duration), liso.Stage(0.3 * duration, source=False)]
    full = solve(crystal, stages, mosaic.permeability, D, 0.0, 1.0)
    model = build_reduced(crystal, level, D * duration)
    run = evolve(model, stages, mosaic.permeability, D, -1.0)
    difference = 1.0 + model.field(run.final) - full
    return float(np.sqrt((difference**2).mean())), float(np.abs(difference).max())


@pytest.mark.parametrize(
    ("biot", "level", "rms"), [(0.01, 0, 5e-5), (0.1, 0, 5e-4), (1.0, 2, 1e-4), (10.0, 3, 3e-4)]
)
def test_follows_the_full_model(biot: float, level: int, rms: float) -> None:
    found, largest = errors(mosaics.voronoi((56, 64), 12, 6, biot), level)
    assert found < rms
    assert largest < 15 * rms


def test_every_level_is_better_than_the_one_below() -> None:
    mosaic = mosaics.voronoi((56, 64), 12, 7, 1.0)
    found = [errors(mosaic, level)[0] for level in range(MAX_LEVEL + 1)]
    assert (np.diff(found) < 0).all()
    assert found[-1] < found[0] / 20


@pytest.fixture(scope="module")
def model() -> ReducedModel:
    return build_reduced(mosaics.voronoi((40, 48), 8, 8, 0.3).crystal, 1, 1e-10)


def test_constant_is_in_the_basis(model: ReducedModel) -> None:
    np.testing.assert_allclose(model.field(model.constant), 1.0, atol=1e-10)


def test_basis_is_orthonormal_within_each_cell(model: ReducedModel) -> None:
    for cell, unknowns, modes in model.blocks():
        shape = model.shapes[cell]
        assert shape.shape == (unknowns.stop - unknowns.start, modes.stop - modes.start)
        gram = shape.T @ shape * model.crystal.area
        np.testing.assert_allclose(gram, np.eye(shape.shape[1]), atol=1e-9)
    assert modes.stop == model.modes


def test_stiffness_is_the_projection_of_the_full_one(model: ReducedModel) -> None:
    crystal = model.crystal
    k = np.geomspace(1e-9, 1e-5, crystal.boundaries)
    columns = np.column_stack([model.field(unit) for unit in np.eye(model.modes)])
    for source in (True, False):
        full = columns.T @ (crystal.stiffness(k, D, source) @ columns)
        ours = model.stiffness(crystal.conductance(k, D), D, source)
        np.testing.assert_allclose(ours, full, atol=1e-6 * np.abs(full).max())


def test_single_pixels_are_grains_too() -> None:
    grains = np.ones((6, 6), dtype=int)
    grains[2, 2] = 2
    grains[2, 3] = 3
    grains[0, 5] = 4
    experiment = liso.Experiment([liso.Stage(10.0)])
    found = liso.find_boundaries(grains, mosaics.PIXEL)
    crystal = Mosaic(found, experiment, np.ones(len(found))).crystal
    k = np.full(crystal.boundaries, 1e-7)
    full = solve(crystal, experiment.stages, k, D, 0.0, 1.0)
    tiny = build_reduced(crystal, 3, D * 10.0)
    run = evolve(tiny, experiment.stages, k, D, -1.0)
    np.testing.assert_allclose(1 + tiny.field(run.final), full, atol=2e-3)


@pytest.mark.parametrize("level", [-1, MAX_LEVEL + 1])
def test_unknown_levels_are_refused(model: ReducedModel, level: int) -> None:
    with pytest.raises(ValueError, match="level"):
        build_reduced(model.crystal, level, 1e-10)


def test_moving_fronts_need_the_diffusion_area(model: ReducedModel) -> None:
    with pytest.raises(ValueError, match="diffusion area"):
        build_reduced(model.crystal, 2)
