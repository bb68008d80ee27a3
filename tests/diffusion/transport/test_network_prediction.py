"""Effective values with intervals: closed forms of a bar, open ends, coverage."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

import napari_liso as liso
from napari_liso.diffusion.results import DiffusionFit, Estimate, Population
from napari_liso.diffusion.transport.draws import CoefficientDraws
from napari_liso.diffusion.transport.prediction import Conduction, predict_network
from napari_liso.simulation import voronoi_grains

D = 2.6e-12
PIXEL = 0.5e-6
BOLTZMANN, CHARGE = 1.380649e-23, 1.602176634e-19


def bar(*pieces: int) -> liso.Boundaries:
    labels = np.tile(np.repeat(np.arange(1, len(pieces) + 1), pieces), (3, 1))
    return liso.find_boundaries(labels, PIXEL)


def series(boundaries: liso.Boundaries, k: NDArray[np.float64], d: float = D) -> float:
    length = boundaries.grains.shape[1] * PIXEL
    with np.errstate(divide="ignore"):
        return float(length / (length / d + (1 / k).sum()))


def fit_of(
    boundaries: liso.Boundaries,
    rows: list[Estimate],
    diffusivity: Estimate,
    centre: Estimate | None = None,
    section: str = "columnar",
) -> DiffusionFit:
    """A fit of which only the estimates matter."""
    table = boundaries.table[["grain_a", "grain_b"]].assign(
        permeability=[e.value for e in rows],
        permeability_lower=[e.lower for e in rows],
        permeability_upper=[e.upper for e in rows],
        verdict=[e.verdict for e in rows],
        information=1.0,
    )
    nothing = np.zeros(boundaries.grains.shape)
    return DiffusionFit(
        table=table,
        diffusivity=diffusivity,
        population=Population(
            centre or Estimate(1.0, 0.99, 1.01, "resolved"), Estimate(1.0, 0.5, 2.0, "resolved")
        ),
        fraction=nothing,
        residual=nothing,
        used=nothing > 0,
        dispersion=1.0,
        section=section,  # type: ignore[arg-type]
        warnings=[],
        provenance={},
        full_fraction=lambda: nothing,
    )


def normal(value: float, sd: float) -> Estimate:
    factor = np.exp(1.96 * sd)
    return Estimate(value, value / factor, value * factor, "resolved")


NARROW = normal(D, 1e-6)


def test_known_coefficients_give_the_series() -> None:
    boundaries, k = bar(6, 8, 4), np.array([2e-8, 5e-7])
    found = predict_network(CoefficientDraws.exact([1, 2], k, D), boundaries)
    whole = series(boundaries, k)
    for estimate in (found.diffusivity, found.brick_layer):
        assert estimate.value == pytest.approx(whole)
        assert (estimate.lower, estimate.upper) == pytest.approx((whole, whole))
    length = 18 * PIXEL
    np.testing.assert_allclose(found.table["share"], 1 / k * whole / length)
    np.testing.assert_allclose(found.table["brick_layer_share"], 1 / k * whole / length)
    assert found.share_of_grains.value == pytest.approx(whole / D)
    assert abs(found.model_error) < 1e-6
    assert found.fraction[0, 0] == pytest.approx(1 - whole / D * 0.25e-6 / length)
    assert any("columnar" in w for w in found.warnings)
    assert any("exact" in w for w in found.warnings)


def test_conductivity_takes_each_haven_ratio_to_its_own() -> None:
    boundaries, k = bar(6, 8, 4), np.array([2e-8, 5e-7])
    draws = CoefficientDraws.exact([1, 2], k, D)
    found = predict_network(draws, boundaries, conduction=Conduction(298.0, 5e27, 0.8, 0.25))
    expected = 5e27 * CHARGE**2 / (BOLTZMANN * 298.0) * series(boundaries, k / 0.25, D / 0.8)
    assert found.conductivity is not None
    assert found.conductivity.value == pytest.approx(expected)
    assert found.assumptions["haven_ratio_boundary"] == pytest.approx([0.25] * 3)
    assert found.diffusivity.value == pytest.approx(series(boundaries, k))  # isotopes have none


def test_error_of_the_haven_ratio_is_in_the_conductivity() -> None:
    boundaries = bar(6, 8)
    fit = fit_of(boundaries, [normal(1e-9, 1e-6)], NARROW)
    haven = liso.Measured(0.3, 0.03)
    found = predict_network(
        fit, boundaries, conduction=Conduction(298.0, 5e27, 1.0, haven), draws=3000
    )
    assert found.conductivity is not None
    # Only the barrier resists here, so that sigma goes as 1/H: 10 % either way.
    ratio = found.conductivity.upper / found.conductivity.lower
    assert ratio == pytest.approx(np.exp(2 * 1.96 * 0.1), rel=0.15)


def test_lower_bound_opens_toward_no_barrier() -> None:
    boundaries = bar(6, 8, 4)
    bounded = Estimate(9e-7, 4e-7, np.inf, "lower_bound")
    found = predict_network(
        fit_of(boundaries, [bounded, normal(1e-7, 1e-6)], NARROW), boundaries, draws=200
    )
    best = series(boundaries, np.array([np.inf, 1e-7]))
    worst = series(boundaries, np.array([4e-7, 1e-7]))
    assert found.diffusivity.upper == pytest.approx(best, rel=1e-5)
    assert found.diffusivity.lower == pytest.approx(worst, rel=0.1)
    assert any("1 of 2" in w for w in found.warnings)


def test_upper_bound_makes_an_upper_bound() -> None:
    boundaries = bar(6, 8, 4)
    bounded = Estimate(1e-9, 0.0, 2e-9, "upper_bound")
    found = predict_network(fit_of(boundaries, [bounded, normal(1e-7, 0.1)], NARROW), boundaries)
    assert found.diffusivity.lower == 0.0
    assert found.diffusivity.verdict == "upper_bound"
    assert found.diffusivity.upper < 1.05 * series(boundaries, np.array([2e-9, 1e-7]))


def test_flat_grains_and_barriers_that_may_be_none_leave_the_end_open() -> None:
    boundaries = bar(6, 8, 4)
    flat = Estimate(1e-11, 1e-11, np.inf, "lower_bound")
    closed = predict_network(
        fit_of(boundaries, [normal(1e-8, 1e-6), normal(1e-7, 1e-6)], flat), boundaries
    )
    # Grains without resistance leave the barriers.
    assert closed.diffusivity.upper == pytest.approx(9e-6 / (1e8 + 1e7), rel=1e-3)
    free = Estimate(9e-7, 4e-7, np.inf, "lower_bound")
    opened = predict_network(fit_of(boundaries, [free, free], flat), boundaries)
    assert opened.diffusivity.upper == np.inf
    assert opened.diffusivity.verdict == "lower_bound"


def test_no_verdict_of_the_fit_none_here() -> None:
    boundaries = bar(6, 8)
    rows = [replace(normal(1e-8, 0.2), verdict="unresolved")]
    nothing = replace(NARROW, verdict="unresolved")
    found = predict_network(fit_of(boundaries, rows, nothing, nothing), boundaries)
    assert found.diffusivity.verdict == "unresolved"
    assert any("no verdict" in w for w in found.warnings)


def test_shared_permeability_is_drawn_once() -> None:
    boundaries = bar(6, 8, 4, 5)
    one = normal(1e-8, 0.5)
    draws = CoefficientDraws.from_fit(fit_of(boundaries, [one, one, one], NARROW), 500)
    np.testing.assert_array_equal(draws.permeability[0], draws.permeability[1])
    np.testing.assert_array_equal(draws.permeability[0], draws.permeability[2])


def test_error_of_the_centre_is_common_in_a_section() -> None:
    """ln k = centre + own: variances 0.3^2 and 0.4^2, so a correlation of 0.36."""
    boundaries = bar(6, 8, 4)
    rows = [normal(1e-8, 0.5), normal(1.1e-8, 0.5)]
    centre = normal(1e-8, 0.3)
    fit = fit_of(boundaries, rows, NARROW, centre, section="bulk")
    ln_k = np.log(CoefficientDraws.from_fit(fit, 20000).permeability)
    assert np.corrcoef(ln_k)[0, 1] == pytest.approx(0.36, abs=0.03)
    np.testing.assert_allclose(ln_k.std(axis=1), 0.5, rtol=0.03)
    columnar = fit_of(boundaries, rows, NARROW, centre)  # information 1: nothing leans on it
    ln_k = np.log(CoefficientDraws.from_fit(columnar, 20000).permeability)
    assert np.corrcoef(ln_k)[0, 1] == pytest.approx(0.0, abs=0.03)


@pytest.mark.slow
def test_interval_covers() -> None:
    """200 maps, k known with errors of 10 to 60 %: the truth in 95 % of the intervals."""
    boundaries = liso.find_boundaries(voronoi_grains((24, 24), 7, seed=4), PIXEL)
    rng = np.random.default_rng(5)
    n = len(boundaries)
    hits = []
    for _ in range(200):
        truth = rng.lognormal(np.log(1e-7), 0.6, n)
        d = D * np.exp(0.2 * rng.standard_normal())
        sd = rng.uniform(0.1, 0.6, n)
        rows = [
            normal(k * np.exp(s * rng.standard_normal()), s)
            for k, s in zip(truth, sd, strict=True)
        ]
        fit = fit_of(boundaries, rows, normal(d * np.exp(0.1 * rng.standard_normal()), 0.1))
        found = predict_network(fit, boundaries, draws=60, seed=int(rng.integers(1 << 30)))
        exact = predict_network(CoefficientDraws.exact(range(1, n + 1), truth, d), boundaries)
        hits.append(found.diffusivity.lower <= exact.diffusivity.value <= found.diffusivity.upper)
    # 60 draws hold 93.5 %; three standard errors of 200 either way.
    assert 0.88 < np.mean(hits) < 0.985


def test_bounds_lean_on_a_population_that_is_known() -> None:
    """Posterior of a bounded k: median of the table, spread * sqrt(1 - information)."""
    boundaries = bar(6, 8, 4, 5)
    bounded = Estimate(2e-7, 0.5e-7, np.inf, "lower_bound")
    rows = [normal(1e-8, 1e-6), bounded, normal(3e-8, 1e-6)]
    fit = fit_of(boundaries, rows, NARROW, normal(3e-8, 1e-6))
    fit.table["information"] = [1.0, 0.19, 1.0]
    draws = CoefficientDraws.from_fit(fit, 4000)
    assert draws.leaning
    ln_k = np.log(draws.permeability[1])
    assert ln_k.mean() == pytest.approx(np.log(2e-7), abs=0.05)
    assert ln_k.std() == pytest.approx(0.9, rel=0.05)
    found = predict_network(fit, boundaries, draws=200)
    free = series(boundaries, np.array([1e-8, np.inf, 3e-8]))
    assert found.diffusivity.upper < free
    assert found.unaided.upper == pytest.approx(free, rel=1e-4)
    assert found.unaided.lower == found.diffusivity.lower
    assert any("lean on the population" in w for w in found.warnings)
    # A centre that is itself a bound closes nothing.
    alone = fit_of(boundaries, rows, NARROW, Estimate(1e-8, 1e-8, np.inf, "lower_bound"))
    assert not CoefficientDraws.from_fit(alone).leaning
    opened = predict_network(alone, boundaries, draws=100).diffusivity
    assert opened.upper == pytest.approx(free, rel=1e-4)


def test_a_real_fit() -> None:
    labels = np.tile(np.repeat([1, 2, 3], 16), (12, 1))
    boundaries = liso.find_boundaries(labels, PIXEL)
    k = {(1, 2): 1e-7, (2, 3): 2e-7}
    experiment = liso.Experiment([liso.Stage(120.0)])
    counted = liso.simulate(boundaries, None, experiment, D, k, 300.0, seed=1)
    fit = liso.fit_diffusion(
        counted["6Li"], counted["7Li"], boundaries, experiment=experiment, section="columnar"
    )
    found = predict_network(fit, boundaries)
    truth = series(boundaries, np.array([1e-7, 2e-7]))
    assert found.diffusivity.lower < truth < found.diffusivity.upper
    assert found.diffusivity.upper < 3 * found.diffusivity.lower
    assert any("table" in w for w in found.warnings)


def test_refuses() -> None:
    boundaries = bar(6, 8, 4)
    with pytest.raises(ValueError, match="boundaries that were fitted"):
        predict_network(CoefficientDraws.exact([1], 1e-8, D), boundaries)
    labels = np.ones((4, 12), dtype=int)
    labels[:, 5:8] = 0
    cut = liso.find_boundaries(labels, PIXEL)
    with pytest.raises(ValueError, match="cut the map in two"):
        predict_network(CoefficientDraws.exact([], 1e-8, D), cut)


def test_progress_can_stop_it() -> None:
    def stop(done: float, message: str) -> None:
        if done > 0.3:
            raise InterruptedError(message)

    boundaries = bar(6, 8)
    fit = fit_of(boundaries, [normal(1e-8, 0.2)], NARROW)
    with pytest.raises(InterruptedError):
        predict_network(fit, boundaries, progress=stop)


def test_the_table_has_the_ids_of_the_map() -> None:
    boundaries = bar(6, 8, 4)
    found = predict_network(CoefficientDraws.exact([1, 2], 1e-8, D), boundaries)
    assert found.table.index.equals(pd.Index([1, 2], name="id"))
