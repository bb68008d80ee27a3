"""Ratio of sums and delta: intervals, what was not seen, and never a mean of ratios."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

import napari_liso as liso
from napari_liso import Measured


def test_the_interval_is_that_of_clopper_and_pearson_as_odds() -> None:
    r = liso.isotope_ratio([[3, 400]], [[7, 900]])
    for place, (a, b) in enumerate(((3, 7), (400, 900))):
        low, high = stats.beta.ppf(0.025, a, b + 1), stats.beta.isf(0.025, a + 1, b)
        assert r.value[0, place] == pytest.approx(a / b)
        assert r.lower[0, place] == pytest.approx(low / (1 - low))
        assert r.upper[0, place] == pytest.approx(high / (1 - high))
    assert r.counts.tolist() == [[10, 1300]]
    assert r.unit == ""


def test_what_was_not_seen() -> None:
    r = liso.isotope_ratio([[0, 9, 0]], [[9, 0, 0]])
    assert r.value[0, :2].tolist() == [0.0, np.inf]
    assert r.lower[0, 0] == 0
    assert r.upper[0, 1] == np.inf
    tail = 0.025 ** (1 / 9)  # as of 0 of 9
    assert r.upper[0, 0] == pytest.approx((1 - tail) / tail)
    assert r.lower[0, 1] == pytest.approx(tail / (1 - tail))
    assert np.isnan([part[0, 2] for part in (r.value, r.lower, r.upper)]).all()


def test_a_ratio_of_sums_is_not_the_mean_of_ratios() -> None:
    """Five counts a pixel of a ratio of 0.4286: the mean of ratios is 0.565 (science.md 4.2)."""
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(1.5, (400, 400)), rng.poisson(3.5, (400, 400))
    whole = liso.isotope_ratio(n6, n7, bin=400)
    assert whole.value[0, 0] == n6.sum() / n7.sum()
    assert whole.lower[0, 0] < 0.3 / 0.7 < whole.upper[0, 0]
    each = liso.isotope_ratio(n6, n7).value
    assert np.mean(each[np.isfinite(each)]) == pytest.approx(0.565, abs=0.005)


def test_corrections_are_those_of_the_fraction() -> None:
    """Made from 200 and 800 ions: 1.05 of fractionation, 0.03 of hydride, 10 and 40 beside."""
    six = 200 * 1.05
    counts = [[round(1e5 * (six + 10))]], [[round(1e5 * (800 + 0.03 * six + 40))]]
    r = liso.isotope_ratio(*counts, hydride_ratio=0.03, fractionation=1.05, background=(1e6, 4e6))
    assert r.value[0, 0] == pytest.approx(0.25, rel=1e-6)
    windows = liso.isotope_ratio(np.full((5, 5), 10), np.full((5, 5), 20), window=3)
    assert windows.counts[2, 2] == 270
    groups = liso.ratio_of(liso.sum_ions([[1, 2]], [[4, 8]]).grouped(np.array([[0, 0]])))
    assert groups.value.tolist() == [0.25]


def test_delta_of_the_lithium_standard() -> None:
    """L-SVEC, 6Li/7Li 0.08215: delta 7Li of a sample of 0.0790 is 39.9 per mil."""
    r = liso.isotope_ratio([[79_000]], [[1_000_000]]).inverse()
    d = r.delta(1 / 0.08215)
    assert d.value[0, 0] == pytest.approx(1000 * (0.08215 / 0.0790 - 1))
    assert d.unit == "‰"
    assert d.lower[0, 0] < d.value[0, 0] < d.upper[0, 0]
    half = 1.96 * 1000 * (0.08215 / 0.0790) * np.sqrt(1 / 79_000 + 1 / 1_000_000)
    assert d.upper[0, 0] - d.value[0, 0] == pytest.approx(half, rel=0.01)


def test_inverse_swaps_the_ends() -> None:
    r = liso.isotope_ratio([[3, 0]], [[7, 5]])
    other = liso.isotope_ratio([[7, 5]], [[3, 0]])
    inverse = r.inverse()
    for name in ("value", "lower", "upper"):
        np.testing.assert_allclose(getattr(inverse, name), getattr(other, name), rtol=1e-12)


def test_an_unsure_reference_widens_the_delta() -> None:
    r = liso.isotope_ratio([[10**8, 0, 50]], [[10**9, 50, 0]], confidence=0.6827)
    exact, unsure = r.delta(0.1), r.delta(Measured(0.1, 0.001))
    # One per cent of reference error is ten per mil; the counts add 0.1.
    assert unsure.upper[0, 0] == pytest.approx(10.05, abs=0.05)
    assert unsure.lower[0, 0] == pytest.approx(-9.95, abs=0.05)
    assert unsure.value[0, 0] == exact.value[0, 0] == pytest.approx(0, abs=1e-9)
    assert unsure.value[0, 1] == unsure.lower[0, 1] == -1000
    assert unsure.upper[0, 1] + 1000 == pytest.approx((exact.upper[0, 1] + 1000) * np.exp(0.01),
                                                      rel=1e-4)  # fmt: skip
    assert unsure.upper[0, 2] == np.inf
    assert unsure.lower[0, 2] < exact.lower[0, 2]


@pytest.mark.parametrize("reference", [0.0, -1.0, Measured(0.0, 0.1)])
def test_references_that_are_no_ratios(reference: Any) -> None:
    with pytest.raises(ValueError, match="positive ratio"):
        liso.isotope_ratio([[1]], [[1]]).delta(reference)


def test_a_delta_is_the_end() -> None:
    d = liso.isotope_ratio([[1]], [[1]]).delta(0.1)
    with pytest.raises(ValueError, match="delta already"):
        d.delta(0.1)
    with pytest.raises(ValueError, match="no inverse"):
        d.inverse()
