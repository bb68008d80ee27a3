"""Activation energies: exact lines, least squares, open ends and coverage with bounds."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_liso as liso
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.transport.arrhenius import ArrheniusFit, fit_arrhenius
from napari_liso.diffusion.transport.thermal import effective_time

KB = 8.617333262e-5  # eV/K, CODATA 2018
Z = 1.959963984540054


def law(t: NDArray[np.float64] | float, energy: float, x0: float) -> NDArray[np.float64]:
    return np.asarray(x0 * np.exp(-energy / (KB * np.asarray(t))))


def point(value: float, sd: float, sd_up: float | None = None) -> Estimate:
    up = sd if sd_up is None else sd_up
    return Estimate(value, value * np.exp(-Z * sd), value * np.exp(Z * up), "resolved")


def test_a_line_without_scatter() -> None:
    t = np.array([250.0, 298.15, 350.0, 400.0])
    found = fit_arrhenius(t, [point(v, 0.1) for v in law(t, 0.37, 2e-3)])
    assert found.activation_energy.value == pytest.approx(0.37)
    assert found.prefactor.value == pytest.approx(2e-3, rel=1e-5)
    assert found.reference.value == pytest.approx(float(law(298.15, 0.37, 2e-3)))
    assert found.at(320.0).value == pytest.approx(float(law(320.0, 0.37, 2e-3)))
    assert found.chi2 == pytest.approx(0.0, abs=1e-8)
    assert found.degrees == 2
    assert found.notes == ()


def test_two_points_are_as_sure_as_their_errors() -> None:
    t, sd = np.array([280.0, 340.0]), (0.2, 0.1)
    found = fit_arrhenius(t, [point(v, s) for v, s in zip(law(t, 0.4, 1e-2), sd, strict=True)])
    lever = (1 / t[0] - 1 / t[1]) / KB
    half = Z * np.hypot(*sd) / lever
    e = found.activation_energy
    assert (e.value, e.lower, e.upper) == pytest.approx((0.4, 0.4 - half, 0.4 + half), rel=1e-4)
    assert e.verdict == "resolved"
    assert "cannot test it" in found.notes[0]
    # At a measured temperature the line is as sure as that point.
    assert found.at(280.0).upper == pytest.approx(float(law(280.0, 0.4, 1e-2)) * np.exp(Z * 0.2))


def test_against_weighted_least_squares() -> None:
    rng = np.random.default_rng(0)
    t = np.array([260.0, 290.0, 320.0, 350.0, 380.0])
    sd = np.array([0.3, 0.1, 0.2, 0.1, 0.4])
    y = np.log(law(t, 0.35, 1e-3)) + sd * rng.standard_normal(5)
    found = fit_arrhenius(t, [point(np.exp(v), s) for v, s in zip(y, sd, strict=True)])
    design = np.column_stack([np.ones(5), -1 / (KB * t)])
    covariance = np.linalg.inv(design.T @ (design / sd[:, None] ** 2))
    best = covariance @ design.T @ (y / sd**2)
    half = Z * np.sqrt(np.diag(covariance))
    e, x0 = found.activation_energy, found.prefactor
    assert (e.value, e.upper - e.value) == pytest.approx((best[1], half[1]), rel=5e-4)
    assert np.log([x0.lower, x0.value, x0.upper]) == pytest.approx(
        best[0] + half[0] * np.array([-1, 0, 1]), rel=1e-4
    )
    residual = (y - design @ best) / sd
    assert found.chi2 == pytest.approx(float((residual**2).sum()), rel=1e-4)


def test_sides_of_an_interval_count_each_for_itself() -> None:
    """The low end of E comes from the upper side of the hot point being wide or not."""
    t = np.array([280.0, 340.0])
    value = law(t, 0.4, 1e-2)
    exact = point(value[0], 1e-4)
    found = fit_arrhenius(t, [exact, point(value[1], 0.1, 0.4)])
    lever = (1 / t[0] - 1 / t[1]) / KB
    e = found.activation_energy
    assert e.upper - e.value == pytest.approx(Z * 0.4 / lever, rel=1e-3)
    assert e.value - e.lower == pytest.approx(Z * 0.1 / lever, rel=1e-3)


def test_a_bound_alone_leaves_an_end_open() -> None:
    t = np.array([280.0, 340.0])
    cold = point(1e-9, 0.05)
    hot = Estimate(5e-8, 2e-8, np.inf, "lower_bound")
    e = fit_arrhenius(t, [cold, hot]).activation_energy
    lever = (1 / t[0] - 1 / t[1]) / KB
    assert e.verdict == "lower_bound"
    assert e.upper == np.inf
    assert e.value == e.lower == pytest.approx(np.log(20) / lever, rel=0.02)
    low = Estimate(1e-10, 0.0, 2e-10, "upper_bound")
    e = fit_arrhenius(t, [low, point(1e-9, 0.05)]).activation_energy
    assert (e.verdict, e.upper) == ("lower_bound", np.inf)
    assert e.lower == pytest.approx(np.log(5) / lever, rel=0.03)
    e = fit_arrhenius(t, [Estimate(5e-9, 5e-9, np.inf, "lower_bound"), point(1e-8, 0.05)])
    assert e.activation_energy.verdict == "upper_bound"
    assert e.activation_energy.lower == -np.inf


def test_a_bound_that_agrees_does_not_pull() -> None:
    t = np.array([260.0, 300.0, 340.0])
    value = law(t, 0.4, 1e-2)
    points = [point(v, 0.1) for v in value[:2]]
    alone = fit_arrhenius(t[:2], points)
    bound = Estimate(value[2] / 50, value[2] / 50, np.inf, "lower_bound")
    both = fit_arrhenius(t, [*points, bound])
    assert both.activation_energy.value == pytest.approx(alone.activation_energy.value, abs=1e-3)
    assert both.activation_energy.upper == pytest.approx(alone.activation_energy.upper, abs=1e-3)
    # One that forbids the lower energies does.
    tight = Estimate(value[2] * 1.2, value[2] * 1.2, np.inf, "lower_bound")
    moved = fit_arrhenius(t, [*points, tight]).activation_energy
    assert moved.lower > alone.activation_energy.lower + 0.02
    assert any("bounds" in note for note in both.notes)


def test_bound_is_where_the_likelihood_has_fallen_by_1_92() -> None:
    """A point with hardly an error and a bound at it: E may go down to where 1.92 is reached."""
    t = np.array([280.0, 340.0])
    lever = (1 / t[0] - 1 / t[1]) / KB
    bound = Estimate(1e-8, 1e-8, np.inf, "lower_bound")
    e = fit_arrhenius(t, [point(1e-8, 1e-5), bound]).activation_energy
    assert e.lower * lever == pytest.approx(0.0, abs=1e-3)


def test_scatter_is_named() -> None:
    t = np.array([260.0, 300.0, 340.0, 380.0])
    value = law(t, 0.4, 1e-2) * np.array([1.0, 2.0, 0.5, 1.0])
    found = fit_arrhenius(t, [point(v, 0.1) for v in value])
    assert any("scatter" in note for note in found.notes)


def simulated(rng: np.random.Generator, energy: float, x0: float) -> ArrheniusFit | None:
    """Measure 1/k with a normal error at five temperatures, the hot ones only bounded."""
    t = np.array([270.0, 295.0, 320.0, 345.0, 370.0])
    resistance, sd = 1 / law(t, energy, x0), np.array([2.0, 0.4, 0.15, 0.15, 0.15])
    sd = sd * (1 / float(law(320.0, energy, x0)))
    seen = resistance + sd * rng.standard_normal(5)
    found = []
    for r, s in zip(seen, sd, strict=True):
        worst = r + Z * s if r > 0 else r + np.sqrt(r**2 + Z**2 * s**2)
        if r < Z * s:  # profile likelihood with 1/k >= 0
            found.append(Estimate(1 / worst, 1 / worst, np.inf, "lower_bound"))
        else:
            found.append(Estimate(1 / r, 1 / worst, 1 / (r - Z * s), "resolved"))
    if sum(e.verdict == "resolved" for e in found) < 2:
        return None
    return fit_arrhenius(t, found)


@pytest.mark.slow
def test_coverage_with_bounds() -> None:
    rng = np.random.default_rng(3)
    truth = 0.4, 1e-2
    fits = [f for f in (simulated(rng, *truth) for _ in range(300)) if f is not None]
    assert len(fits) > 250
    assert np.mean([any("bounds" in note for note in f.notes) for f in fits]) > 0.8
    energy = np.mean([f.activation_energy.lower < 0.4 < f.activation_energy.upper for f in fits])
    at_320 = np.mean([f.at(320.0).lower < law(320.0, *truth) < f.at(320.0).upper for f in fits])
    # Three standard errors of 300 are 3.8 %.
    assert 0.91 < energy < 0.99
    assert 0.91 < at_320 < 0.99


def test_coverage_of_points() -> None:
    rng = np.random.default_rng(4)
    t, sd = np.array([270.0, 300.0, 330.0]), np.array([0.3, 0.1, 0.2])
    value = law(t, 0.4, 1e-2)
    hits = []
    for _ in range(100):
        seen = value * np.exp(sd * rng.standard_normal(3))
        found = fit_arrhenius(t, [point(v, s) for v, s in zip(seen, sd, strict=True)])
        hits.append(found.activation_energy.lower < 0.4 < found.activation_energy.upper)
    assert np.mean(hits) > 0.88  # three standard errors of 100 below 95 %


@pytest.mark.parametrize(
    ("temperatures", "coefficients", "named"),
    [
        ([300.0], [point(1e-8, 0.1)], "two temperatures, got 1"),
        ([300.0, 300.0], [point(1e-8, 0.1)] * 2, "two temperatures, got 1"),
        ([300.0, 320.0], [point(1e-8, 0.1)], "one temperature for each"),
        ([300.0, -1.0], [point(1e-8, 0.1)] * 2, "positive kelvin"),
        ([300.0, 320.0], [Estimate(1e-8, 1e-8, 1e-8, "resolved")] * 2, "no interval"),
        ([300.0, 320.0], [Estimate(1e-8, 1e-8, np.inf, "lower_bound")] * 2, "lower bounds"),
        ([300.0, 320.0], [point(1e-8, 0.1), Estimate(1.0, 0.0, np.inf, "unresolved")], "got 1"),
    ],
)
def test_refuses(temperatures: list[float], coefficients: list[Estimate], named: str) -> None:
    with pytest.raises(ValueError, match=named):
        fit_arrhenius(temperatures, coefficients)


def test_unresolved_is_left_out_unless_asked_for() -> None:
    t = np.array([260.0, 300.0, 340.0])
    value = law(t, 0.4, 1e-2)
    odd = Estimate(value[2] * 3, value[2], value[2] * 9, "unresolved")
    rows = [point(value[0], 0.1), point(value[1], 0.1), odd]
    found = fit_arrhenius(t, rows)
    assert found.used.tolist() == [True, True, False]
    assert found.activation_energy.value == pytest.approx(0.4)
    assert "left out" in found.notes[0]
    assert fit_arrhenius(t, rows, use_unresolved=True).activation_energy.value > 0.405


def test_at_one_temperature_time_is_itself() -> None:
    found = effective_time([0.0, 3600.0], [298.15, 298.15], 0.4, 298.15)
    assert (found.value, found.lower, found.upper) == pytest.approx((3600.0,) * 3)
    hot = effective_time([0.0, 3600.0], [323.15, 323.15], 0.4, 298.15)
    assert hot.value == pytest.approx(3600 * np.exp(0.4 / KB * (1 / 298.15 - 1 / 323.15)))


@pytest.mark.parametrize("energy", [0.0, 0.3, 1.3])
def test_ramps_by_fine_sums(energy: float) -> None:
    """Heat from 298 to 573 K in 20 min, hold 2 h, quench to 163 K, warm up, by 2e6 steps."""
    time = np.array([0.0, 1200.0, 8400.0, 8400.0, 12000.0])
    kelvin = np.array([298.0, 573.0, 573.0, 163.0, 298.0])
    expected = 0.0
    for i in (0, 1, 3):
        s = (np.arange(500_000) + 0.5) / 500_000
        t = kelvin[i] + s * (kelvin[i + 1] - kelvin[i])
        rate = np.exp(-energy / KB * (1 / t - 1 / 298.15))
        expected += (time[i + 1] - time[i]) * rate.mean()
    assert effective_time(time, kelvin, energy, 298.15).value == pytest.approx(expected, rel=1e-8)


def test_grains_and_boundaries_have_times_of_their_own() -> None:
    history = ([0.0, 600.0, 4200.0], [298.15, 348.15, 348.15])
    bulk = effective_time(*history, 0.3, 298.15).value
    boundary = effective_time(*history, 0.45, 298.15).value
    assert boundary > 2 * bulk


def test_error_of_the_energy_is_in_the_time() -> None:
    hold = ([0.0, 100.0], [350.0, 350.0])
    lever = (1 / 298.15 - 1 / 350.0) / KB
    for energy in (
        liso.Measured(0.4, 0.02),
        Estimate(0.4, 0.4 - Z * 0.02, 0.4 + Z * 0.02, "resolved"),
    ):
        found = effective_time(*hold, energy, 298.15)
        assert found.value == pytest.approx(100 * np.exp(0.4 * lever))
        assert found.upper / found.value == pytest.approx(np.exp(Z * 0.02 * lever))
        assert found.value / found.lower == pytest.approx(np.exp(Z * 0.02 * lever))


def test_time_on_both_sides_of_the_reference_is_least_in_between() -> None:
    """An hour at 280 K and one at 320 K: t_eff(E) falls and rises again."""
    history = ([0.0, 3600.0, 3600.0, 7200.0], [280.0, 280.0, 320.0, 320.0])
    found = effective_time(*history, Estimate(0.0, -0.3, 0.3, "resolved"), 298.5)
    energies = np.linspace(-0.3, 0.3, 2001)
    t = np.array([280.0, 320.0])
    values = 3600 * np.exp(-energies[:, None] / KB * (1 / t - 1 / 298.5)).sum(axis=1)
    assert found.lower == pytest.approx(values.min(), rel=1e-3)
    assert found.upper == pytest.approx(values.max(), rel=1e-6)


@pytest.mark.parametrize(
    ("time", "kelvin", "energy", "named"),
    [
        ([0.0], [300.0], 0.4, "same length"),
        ([0.0, 1.0], [300.0], 0.4, "same length"),
        ([1.0, 0.0], [300.0, 300.0], 0.4, "rise"),
        ([0.0, 1.0], [300.0, 0.0], 0.4, "kelvin"),
        ([0.0, 1.0], [300.0, 310.0], np.nan, "activation energy"),
        ([0.0, 1.0], [300.0, 310.0], Estimate(0.4, 0.4, np.inf, "lower_bound"), "both ends"),
    ],
)
def test_effective_time_refuses(
    time: list[float], kelvin: list[float], energy: float | Estimate, named: str
) -> None:
    with pytest.raises(ValueError, match=named):
        effective_time(time, kelvin, energy, 298.15)
