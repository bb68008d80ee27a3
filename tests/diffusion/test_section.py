"""The correction for grains that a section does not show, recomputed by hand.

The formulas and constants come from simulated 3-D polycrystals: a centre too
high by 0.35 +- 0.12 in ln k, an error of 1.6 on the ln k of every boundary.
"""

from __future__ import annotations

import numpy as np
import pytest

from napari_liso.diffusion.section import correct_section

# Two-point draws have the mean and variance that one wants, exactly.
CENTRE = np.array([-18.0 - 0.1, -18.0 + 0.1])
SPREAD = np.array([0.8, 0.8])
MODE = -18.0


def test_numbers_worked_out_by_hand() -> None:
    """Sigma 0.8, I = 0.5: v = 0.64; w = 0.64/(0.64 + 0.64 + 2.56) = 1/6."""
    result = correct_section(np.array([-17.0]), np.array([0.5]), MODE, CENTRE, SPREAD)
    assert result.information[0] == pytest.approx(1 / 6)
    # ln k = -18 - 0.35 + (1/6) (1.0)/0.5; variance = 0.64 * 5/6 + 0.01 + 0.0144
    ln_k, sd = -18.35 + 1 / 3, np.sqrt(0.64 * 5 / 6 + 0.01 + 0.0144)
    (estimate,) = result.estimates
    assert np.log(estimate.value) == pytest.approx(ln_k)
    assert np.log(estimate.lower) == pytest.approx(ln_k - 1.959964 * sd)
    assert np.log(estimate.upper) == pytest.approx(ln_k + 1.959964 * sd)


def test_another_set_of_numbers() -> None:
    """Sigma 0.5, I = 0.9 and 0.1, spreads that differ between draws."""
    spread = np.sqrt(np.array([0.25 - 0.09, 0.25 + 0.09]))  # mean square 0.25
    result = correct_section(np.array([-16.0, -19.0]), np.array([0.9, 0.1]), MODE, CENTRE, spread)
    for i, (fit, share) in enumerate([(-16.0, 0.9), (-19.0, 0.1)]):
        v = 0.25 * (1 - share) / share
        w = 0.25 / (0.25 + v + 2.56)
        assert result.information[i] == pytest.approx(w)
        ln_k = -18.35 + w * (fit + 18.0) / share
        sd = np.sqrt(0.25 * (1 - w) + 0.01 + 0.0144)
        assert np.log(result.estimates[i].value) == pytest.approx(ln_k)
        assert np.log(result.estimates[i].upper) == pytest.approx(ln_k + 1.959964 * sd)


def test_population_is_moved_and_widened() -> None:
    result = correct_section(np.array([-18.0]), np.array([0.5]), MODE, CENTRE, SPREAD)
    centre = result.population.centre
    assert np.log(centre.value) == pytest.approx(-18.35)
    half = 1.959964 * np.sqrt(0.01 + 0.12**2)
    assert np.log(centre.upper / centre.value) == pytest.approx(half)
    assert np.log(centre.value / centre.lower) == pytest.approx(half)
    assert centre.verdict == "resolved"


def test_shift_counts_from_the_joint_maximum() -> None:
    """The constant was measured on maxima, which lie above the posterior mean."""
    at = [
        correct_section(np.array([-18.0]), np.array([0.5]), mode, CENTRE, SPREAD)
        for mode in (MODE, MODE + 0.1)
    ]
    moved = np.log(at[1].population.centre.value / at[0].population.centre.value)
    assert moved == pytest.approx(0.1)


def test_spread_is_an_upper_bound_only() -> None:
    spread = np.linspace(0.5, 0.9, 1001)
    result = correct_section(
        np.array([-18.0]), np.array([0.5]), MODE, np.full(1001, -18.0), spread
    )
    found = result.population.spread
    assert found.verdict == "upper_bound"
    assert found.lower == 0
    assert found.upper == pytest.approx(0.89, abs=1e-3)


@pytest.mark.parametrize("sigma", [0.2, 0.8, 0.95])
def test_nothing_is_resolved_and_little_is_left(sigma: float) -> None:
    share = np.linspace(0.0, 1.0, 21)
    result = correct_section(
        np.linspace(-20, -16, 21), share, MODE, CENTRE, np.array([sigma, sigma])
    )
    assert {e.verdict for e in result.estimates} == {"unresolved"}
    assert result.information.max() <= sigma**2 / (sigma**2 + 1.6**2) + 1e-12 < 0.27
    assert (np.diff(result.information) > 0).all()
    for e in result.estimates:
        assert 0 < e.lower < e.value < e.upper < np.inf


def test_no_information_leaves_the_population() -> None:
    result = correct_section(np.array([-18.0]), np.array([0.0]), MODE, CENTRE, SPREAD)
    (estimate,) = result.estimates
    assert np.log(estimate.value) == pytest.approx(-18.35, abs=1e-6)
    sd = np.sqrt(0.64 + 0.01 + 0.0144)
    assert np.log(estimate.upper / estimate.value) == pytest.approx(1.959964 * sd, rel=1e-6)


def test_order_is_kept_and_deviations_shrink() -> None:
    ln_k = np.array([-19.0, -18.0, -17.0])
    result = correct_section(ln_k, np.full(3, 0.6), MODE, CENTRE, SPREAD)
    values = np.log([e.value for e in result.estimates])
    assert (np.diff(values) > 0).all()
    assert (np.diff(values) < 0.5).all()
