"""Speed of the diffusion engine: the reduced model and the fit against the full solution."""

from __future__ import annotations

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.diffusion.polycrystal import Polycrystal, build_polycrystal, solve
from napari_liso.diffusion.propagate import evolve, sensitivity
from napari_liso.diffusion.reduced import build_reduced
from napari_liso.simulation import voronoi_grains

D, K, PIXEL = 2.6e-12, 1.4e-8, 0.4e-6


@pytest.fixture(scope="module", params=[(256, 24), (512, 70)], ids=["256px", "512px"])
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, liso.Experiment, Polycrystal]:
    side, number = request.param
    grains = voronoi_grains((side, side), number, seed=3)
    size = side / np.sqrt(number) * PIXEL
    depth = 0.45 * side * PIXEL
    time = depth**2 / (2 * liso.effective_diffusivity(D, K, size))
    experiment = liso.Experiment([liso.Stage(float(time))], source_fraction=0.9)
    return grains, experiment, build_polycrystal(liso.find_boundaries(grains, PIXEL), experiment)


def test_full_solution(benchmark, case) -> None:
    _, experiment, crystal = case
    k = np.full(crystal.boundaries, K)
    benchmark.pedantic(solve, (crystal, experiment.stages, k, D, 0.0759, 0.9), rounds=3)


def test_basis(benchmark, case) -> None:
    _, _, crystal = case
    benchmark.pedantic(build_reduced, (crystal, 0), rounds=3)


def test_reduced_solution(benchmark, case) -> None:
    _, experiment, crystal = case
    model = build_reduced(crystal, 0)
    k = np.full(crystal.boundaries, K)
    run = benchmark(lambda: evolve(model, experiment.stages, k, D, -0.8))
    full = solve(crystal, experiment.stages, k, D, 0.8, 0.0)
    error = model.field(run.final) + full
    benchmark.extra_info["rms_error_of_fraction"] = float(np.sqrt((error**2).mean()))


def test_reduced_derivatives(benchmark, case) -> None:
    _, experiment, crystal = case
    model = build_reduced(crystal, 0)
    run = evolve(model, experiment.stages, np.full(crystal.boundaries, K), D, -0.8)
    benchmark(sensitivity, run)


def test_whole_fit(benchmark, case) -> None:
    grains, experiment, crystal = case
    map_ = liso.simulate(grains, PIXEL, experiment, D, K, 60.0, seed=5)
    fit = benchmark.pedantic(
        lambda: liso.fit_diffusion(
            map_["6Li"],
            map_["7Li"],
            grains,
            pixel_size=PIXEL,
            experiment=experiment,
            section="columnar",
        ),
        rounds=1,
    )
    benchmark.extra_info["boundaries"] = crystal.boundaries
    benchmark.extra_info["modes"] = fit.provenance["modes"]
