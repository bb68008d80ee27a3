"""Intervals and verdicts of a bicrystal against brute force, and at the ends of what data tell."""

from __future__ import annotations

import mosaics
import numpy as np
import pytest
from mosaics import PIXEL, D, Mosaic
from numpy.typing import NDArray

import napari_liso as liso
from napari_liso.diffusion.intervals import judge

FloatArray = NDArray[np.float64]

CELLS, ROWS = 20, 20
LENGTH = CELLS * PIXEL


def bicrystal(biot: float, relative_time: float) -> Mosaic:
    """Two grains of 10 um behind the source; time in units of the bar's L^2/D."""
    duration = relative_time * (2 * LENGTH) ** 2 / D
    return mosaics.bar((CELLS, CELLS), biot * D / LENGTH, duration, rows=ROWS)


def fit(mosaic: Mosaic, counts: float, seed: int, section: str = "columnar") -> liso.DiffusionFit:
    n6, n7 = mosaic.measure(counts, seed)
    return liso.fit_diffusion(
        n6, n7, mosaic.boundaries, experiment=mosaic.experiment, section=section
    )


def brute_force(
    mosaic: Mosaic, counts: float, seed: int, ln_k: FloatArray, ln_d: FloatArray
) -> FloatArray:
    """Log-likelihood on a grid, of a 1-D finite-volume bar written here."""
    n6, n7 = mosaic.measure(counts, seed)
    keep = np.ones(2 * CELLS, dtype=bool)
    keep[CELLS - 1 : CELLS + 1] = False  # pixels that touch the boundary are no data
    six, seven = n6.sum(axis=0)[keep], n7.sum(axis=0)[keep]
    grid = np.empty((ln_k.size, ln_d.size))
    for i, k in enumerate(np.exp(ln_k)):
        for j, d in enumerate(np.exp(ln_d)):
            link = np.full(2 * CELLS - 1, d / PIXEL)
            link[CELLS - 1] = 1 / (1 / k + PIXEL / d)
            diagonal = np.append(link, 0.0) + np.append(0.0, link)
            diagonal[0] += d / (PIXEL / 2)
            operator = np.diag(diagonal) - np.diag(link, 1) - np.diag(link, -1)
            rate, mode = np.linalg.eigh(operator / PIXEL)
            decay = np.exp(-rate * mosaic.experiment.duration)
            left = mode @ (decay * mode.sum(axis=0))
            c = 0.95 - (0.95 - liso.Experiment([liso.Stage(1.0)]).background_fraction) * left
            c = np.clip(c[keep], 1e-9, 1 - 1e-9)
            grid[i, j] = (six * np.log(c) + seven * np.log1p(-c)).sum()
    return grid - grid.max()


@pytest.mark.parametrize(
    ("biot", "relative_time", "counts"), [(0.03, 8.0, 50.0), (0.5, 0.8, 100.0), (3.0, 0.5, 200.0)]
)
def test_bicrystal_equals_the_grid_posterior(
    biot: float, relative_time: float, counts: float
) -> None:
    """Flat prior on 1/D, all but flat on ln k: quantiles summed on a grid."""
    mosaic = bicrystal(biot, relative_time)
    found = fit(mosaic, counts, 51)
    row = found.table.loc[1]
    ends = np.log([row["permeability_lower"], row["permeability_upper"]])
    width = ends[1] - ends[0]
    ln_k = np.linspace(ends[0] - 1.5 * width, ends[1] + 1.5 * width, 61)
    if found.diffusivity.verdict == "resolved":
        sides = np.log([found.diffusivity.lower, found.diffusivity.upper])
        ln_d = np.linspace(2 * sides[0] - sides[1], 2 * sides[1] - sides[0], 61)
    else:
        ln_d = np.log(D) + np.linspace(-1.2, 3.5, 75)
    weight = np.exp(brute_force(mosaic, counts, 51, ln_k, ln_d) - ln_d[None, :])
    of_k = weight.sum(axis=1)
    quantiles = np.interp([0.025, 0.5, 0.975], np.cumsum(of_k) / of_k.sum(), ln_k)
    np.testing.assert_allclose(ends, quantiles[[0, 2]], atol=0.12 * width)
    assert np.log(row["permeability"]) == pytest.approx(quantiles[1], abs=0.12 * width)
    assert row["verdict"] == "resolved"
    of_d = weight.sum(axis=0)
    expected = np.interp([0.025, 0.975], np.cumsum(of_d) / of_d.sum(), ln_d)
    if found.diffusivity.verdict == "resolved":
        spread = expected[1] - expected[0]
        ours = np.log([found.diffusivity.lower, found.diffusivity.upper])
        np.testing.assert_allclose(ours, expected, atol=0.15 * spread)


@pytest.mark.parametrize(("relative_time", "seed"), [(2.6, 41), (2.6, 44), (1.0, 43), (0.3, 41)])
def test_boundary_without_resistance_gives_a_lower_bound(relative_time: float, seed: int) -> None:
    """Bi = 1e4: the likelihood stays high up to k = infinity."""
    mosaic = bicrystal(1e4, relative_time)
    row = fit(mosaic, 100.0, seed).table.loc[1]
    assert row["verdict"] == "lower_bound"
    assert row["permeability_upper"] == np.inf
    assert 0 < row["permeability_lower"] < mosaic.permeability[0]


def test_lower_bound_is_that_of_the_profile() -> None:
    """Not only honest but useful: within a factor of a few of the likelihood's own bound."""
    mosaic = bicrystal(1e4, 0.8)
    row = fit(mosaic, 400.0, 52).table.loc[1]
    ln_k = np.log(D / LENGTH) + np.linspace(-2.0, 9.0, 34)
    ln_d = np.log(D) + np.linspace(-0.3, 1.0, 27)
    profile = brute_force(mosaic, 400.0, 52, ln_k, ln_d).max(axis=1)
    bound = ln_k[profile > profile.max() - 1.92].min()
    assert row["verdict"] == "lower_bound"
    assert bound - np.log(20) < np.log(row["permeability_lower"]) < bound + np.log(2)


@pytest.mark.parametrize("seed", [53, 54])
def test_boundary_that_nothing_crosses_gives_an_upper_bound(seed: int) -> None:
    mosaic = bicrystal(1e-6, 0.7)
    row = fit(mosaic, 100.0, seed).table.loc[1]
    assert row["verdict"] == "upper_bound"
    assert row["permeability_lower"] == 0
    # 1.96 s.d. of the far grain's fraction, in the flat-grain formula: the scale of the bound.
    counts = 100.0 * (CELLS - 1) * ROWS
    noise = np.sqrt(0.0759 * 0.9241 / counts) / (0.95 - 0.0759)
    scale = 1.96 * noise * LENGTH / mosaic.experiment.duration
    assert 0.2 * scale < row["permeability_upper"] < 4 * scale
    assert mosaic.permeability[0] < row["permeability_upper"]


def test_tracer_that_has_not_arrived_decides_nothing() -> None:
    """The front is still within the first grain: no end of k can be closed."""
    mosaic = bicrystal(1.0, 0.004)
    row = fit(mosaic, 100.0, 55).table.loc[1]
    assert row["verdict"] in ("unresolved", "upper_bound")
    assert row["permeability_upper"] > mosaic.permeability[0]
    assert row["permeability_lower"] < mosaic.permeability[0]


def test_flat_grains_give_a_lower_bound_of_the_diffusivity() -> None:
    """Bi = 0.003, the regime of LLTO: 97.5 % of the bounds lie below the truth."""
    below, bounds = [], []
    for seed in range(60, 66):
        mosaic = mosaics.bar((CELLS, CELLS), 0.003 * D / LENGTH, LENGTH**2 / (0.003 * D), rows=8)
        found = fit(mosaic, 40.0, seed)
        d = found.diffusivity
        assert d.verdict != "resolved"
        if d.verdict == "lower_bound":
            assert d.upper == np.inf
            assert d.value == d.lower
            assert any("lower bound" in note for note in found.warnings)
        bounds.append(d.verdict == "lower_bound")
        below.append(d.lower < D)
        row = found.table.loc[1]
        assert row["verdict"] == "resolved"
    # Six bounds at 97.5 %: more than one above the truth has a chance of 1 %. Flat grains
    # may also look curved by chance, at 5 %.
    assert sum(below) >= 5
    assert sum(bounds) >= 5


def test_front_in_the_first_grain_is_resolved_in_time() -> None:
    """Short times need shapes of moving fronts, on straight boundaries too."""
    n = 40
    duration = 0.03 * (2 * n * PIXEL) ** 2 / D
    mosaic = mosaics.bar((n, n), 2 * D / (n * PIXEL), duration, rows=ROWS)
    found = fit(mosaic, 300.0, 41)
    assert found.check() < 3e-3
    row = found.table.loc[1]
    assert row["permeability_lower"] < mosaic.permeability[0] < row["permeability_upper"]


def test_population_of_one_boundary_claims_nothing() -> None:
    """A single k tells where its population may be, but neither its spread nor its median."""
    mosaic = bicrystal(0.3, 1.0)
    found = fit(mosaic, 100.0, 56)
    centre, spread = found.population.centre, found.population.spread
    assert centre.verdict == "unresolved"
    assert centre.lower < found.table.loc[1, "permeability"] < centre.upper
    assert spread.verdict == "unresolved"
    assert spread.lower == 0


def test_bulk_section_of_one_boundary_is_not_resolved() -> None:
    mosaic = bicrystal(0.3, 1.0)
    found = fit(mosaic, 100.0, 56, section="bulk")
    row = found.table.loc[1]
    assert row["verdict"] == "unresolved"
    assert row["information"] < 0.3
    assert row["permeability_lower"] < mosaic.permeability[0] < row["permeability_upper"]
    assert found.population.centre.verdict == "unresolved"


@pytest.mark.parametrize(
    ("lower", "upper", "information", "verdict"),
    [
        (1.0, 4.0, 0.5, "resolved"),
        (1.0, 4.1, 0.9, "unresolved"),
        (1.0, 2.0, 0.49, "unresolved"),
        (1.0, np.inf, 0.0, "lower_bound"),
        (0.0, 1.0, 0.0, "upper_bound"),
        (0.0, np.inf, 1.0, "unresolved"),
    ],
)
def test_judge(lower: float, upper: float, information: float, verdict: str) -> None:
    assert judge(lower, upper, information) == verdict
