"""Boundaries found in a profile, one effective diffusivity, step and slope, bands of maps."""

from __future__ import annotations

import numpy as np
import pytest
from bicrystals import BACKGROUND, SOURCE, Bicrystal, draw, front
from numpy.typing import NDArray
from scipy.linalg import expm

import napari_liso as liso

FloatArray = NDArray[np.float64]

D, GRAIN, STEP = 2.6e-12, 20e-6, 1e-6


def chain(biot: float, grains: int, depth: float) -> tuple[FloatArray, FloatArray, float]:
    """Middles of the bins, fraction and time of grains in series (cells of half a bin).

    `depth` is sqrt(D_eff t) over the grain size.
    """
    cells = 2 * round(grains * GRAIN / STEP)
    cell, k = STEP / 2, biot * D / GRAIN
    time = (depth * GRAIN) ** 2 * (1 / D + 1 / (k * GRAIN))
    rho = np.full(cells - 1, cell / D)
    rho[round(GRAIN / cell) - 1 :: round(GRAIN / cell)] += 1 / k
    g = 1 / rho / cell
    a = np.diag(np.append(-g, 0) + np.append(0, -g)) + np.diag(g, 1) + np.diag(g, -1)
    a[0, 0] -= 2 * D / cell**2
    share = (1 - expm(a * time) @ np.ones(cells)).reshape(-1, 2).mean(axis=1)
    x = (np.arange(share.size) + 0.5) * STEP
    return x, BACKGROUND + (SOURCE - BACKGROUND) * share, float(time)


def experiment(time: float) -> liso.Experiment:
    return liso.Experiment(
        [liso.Stage(time)], source_fraction=SOURCE, background_fraction=BACKGROUND
    )


def test_boundaries_are_found() -> None:
    x, fraction, time = chain(0.2, 4, depth=2.0)
    n6, n7 = draw(fraction, np.full(x.size, 3000.0), seed=1)
    fit = liso.fit_profile(x, n6[0], n7[0], None, experiment(time), structure="layers")
    assert fit.table.position.to_numpy() == pytest.approx([20e-6, 40e-6, 60e-6], abs=1.1e-6)
    k = 0.2 * D / GRAIN
    assert (fit.table.permeability_lower < k).all()
    assert (fit.table.permeability_upper > k).all()
    assert "3 found" in fit.warnings[0]
    assert fit.provenance["interfaces_found"]


def test_no_boundary_is_found_where_there_is_none() -> None:
    x = (np.arange(50) + 0.5) * STEP
    found = 0
    for seed in range(8):
        n6, n7 = draw(front(x, D, 100.0), np.full(50, 2000.0), seed=seed)
        fit = liso.fit_profile(x, n6[0], n7[0], None, experiment(100.0), length=np.inf)
        found += len(fit.table)
    assert found <= 1
    assert len(fit.table) or "No boundary with a step was found" in fit.warnings[0]


def test_effective_diffusivity_of_a_half_space() -> None:
    x = (np.arange(50) + 0.5) * STEP
    n6, n7 = draw(front(x, D, 100.0), np.full(50, 2000.0), seed=1)
    options = {"model": "effective", "length": np.inf, "grain_size": 1e-6}
    fit = liso.fit_profile(x, n6[0], n7[0], None, experiment(100.0), **options)
    assert fit.diffusivity.lower < D < fit.diffusivity.upper
    assert fit.diffusivity.verdict == "resolved"
    assert fit.warnings == []
    assert len(fit.table) == 0


@pytest.mark.parametrize(("depth", "bias"), [(1.0, 1.05), (2.0, 0.39)])
def test_effective_diffusivity_of_few_grains_is_too_high(depth: float, bias: float) -> None:
    """The table of the bias of one error function, k d/D = 0.1; the interval allows for it."""
    grains = int(5 * depth) + 3
    x, fraction, time = chain(0.1, grains, depth)
    places = GRAIN * np.arange(1, grains)
    n6, n7 = draw(fraction, np.full(x.size, 3000.0), seed=1)
    fit = liso.fit_profile(x, n6[0], n7[0], places, experiment(time), model="effective")
    truth = liso.effective_diffusivity(D, 0.1 * D / GRAIN, GRAIN)
    assert any("Below ten" in w for w in fit.warnings)
    assert 0.5 * bias < fit.diffusivity.value / truth - 1 < 1.3 * bias
    assert fit.diffusivity.lower < truth
    if depth < 2:
        assert fit.diffusivity.verdict == "unresolved"
        assert fit.diffusivity.lower == 0


def test_grain_size_is_asked_for() -> None:
    x = (np.arange(50) + 0.5) * STEP
    n6, n7 = draw(front(x, D, 100.0), np.full(50, 2000.0), seed=1)
    fit = liso.fit_profile(x, n6[0], n7[0], None, experiment(100.0), model="effective")
    assert any("give interfaces or grain_size" in w for w in fit.warnings)


@pytest.mark.parametrize("biot", [0.3, 2.0])
def test_step_and_slope_give_d_over_k(biot: float) -> None:
    """Quasi-steady bicrystal: 95 % intervals of 100 profiles, and no bias beyond 10 %."""
    sample = Bicrystal(biot, bins=80)
    n6, n7 = sample.counts(3000.0, 100, seed=2)
    found = []
    for i in range(100):
        fit = liso.fit_profile(
            sample.distance, n6[i], n7[i], [sample.grain], sample.experiment, model="step-slope"
        )
        found.append(fit.table.loc[1, ["length", "length_lower", "length_upper"]].to_numpy())
    value, low, high = np.array(found, dtype=float).T
    truth = sample.diffusivity / sample.k
    held = ((low <= truth) & (truth <= high)).mean()
    assert held > 0.95 - 0.065
    assert np.median(value) == pytest.approx(truth, rel=0.1)
    assert fit.diffusivity is None


def test_step_and_slope_know_what_they_do_not_know() -> None:
    flat = Bicrystal(0.003)
    n6, n7 = flat.counts(1000.0, seed=2)
    args = (flat.distance, n6[0], n7[0], [flat.grain], flat.experiment)
    row = liso.fit_profile(*args, model="step-slope").table.loc[1]
    assert row.verdict == "lower_bound"
    assert row.length == row.length_lower < flat.diffusivity / flat.k
    assert np.isinf(row.length_upper)
    none = Bicrystal(300.0)
    n6, n7 = none.counts(1000.0, seed=2)
    args = (none.distance, n6[0], n7[0], [none.grain], none.experiment)
    row = liso.fit_profile(*args, model="step-slope").table.loc[1]
    assert row.length_lower == 0
    assert row.length_upper > none.diffusivity / none.k
    with pytest.raises(ValueError, match="does not blur"):
        liso.fit_profile(*args, model="step-slope", psf_fwhm=3e-6)


def test_band_of_a_map_is_a_profile() -> None:
    """Columns of a simulated bar, summed by band_profile, fitted as a series."""
    pixel, k, d = 0.5e-6, 4e-8, 2.6e-12
    grains = np.repeat([1, 2], 40)[None].repeat(30, axis=0)
    given = experiment(400.0)
    acquisition = liso.simulate(grains, pixel, given, d, k, 60.0, seed=3)
    # the centre of the first pixel is half a pixel behind the face
    path = [[7.25e-6, -pixel / 2], [7.25e-6, 79.5 * pixel]]
    band = liso.band_profile(acquisition["6Li"], acquisition["7Li"], path, 15e-6, pixel)
    fit = liso.fit_profile(
        band.distance, band.tracer, band.other, [20e-6], given, structure="layers"
    )
    assert fit.table.permeability_lower[1] < k < fit.table.permeability_upper[1]
    assert fit.diffusivity.lower < d < fit.diffusivity.upper
    assert fit.table.verdict[1] == "resolved"
    assert fit.warnings == []
