"""Corrections with errors, and how each correction is measured."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from scipy import optimize, stats

import napari_liso as liso
from napari_liso import Corrections, Measured

NORMAL = 1.959964


def ends(n6: int, n7: int, **options: Any) -> tuple[float, float, float]:
    f = liso.isotope_fraction([[n6]], [[n7]], **options)
    return f.lower[0, 0], f.value[0, 0], f.upper[0, 0]


def logit(c: float) -> float:
    return np.log(c / (1 - c))


# --- errors in the interval --------------------------------------------------


def test_an_error_of_the_factor_is_that_of_the_logit() -> None:
    """1 % of alpha at a million counts a side: 0.0049 of 0.5, counts add 0.0007."""
    low, value, high = ends(10**6, 10**6, fractionation=Measured(1.0, 0.01))
    expected = NORMAL * np.hypot(0.01, np.sqrt(2e-6))
    assert logit(high) == pytest.approx(expected, rel=1e-3)
    assert logit(low) == pytest.approx(-expected, rel=1e-3)
    assert value == 0.5


def test_an_error_of_the_hydride_ratio_counts_where_6li_dominates() -> None:
    """d logit/dh is the odds: 19 at 0.95, 0.0821 at 0.0759; h known to 0.001."""
    for c in (0.95, 0.0759):
        odds = c / (1 - c)
        n6 = round(1e13 * c)
        n7 = round(1e13 * (1 - c) + 0.02 * n6)
        low, value, high = ends(n6, n7, hydride_ratio=Measured(0.02, 0.001))
        assert value == pytest.approx(c, abs=1e-8)
        assert logit(high) - logit(value) == pytest.approx(NORMAL * 0.001 * odds, rel=0.05)
        assert logit(value) - logit(low) == pytest.approx(NORMAL * 0.001 * odds, rel=0.05)


def test_an_error_of_the_background_is_common_to_all_pixels() -> None:
    """It is as large of a region as of a pixel: 100 of 1000 signals, known to 10."""
    n6, n7 = np.full((50, 50), 200), np.full((50, 50), 900)
    exact = liso.isotope_fraction(n6, n7, background=(100, 0), bin=50)
    f = liso.isotope_fraction(n6, n7, background=(Measured(100, 10), 0), bin=50)
    shift = NORMAL * 10 * 0.9 / 1000  # (1 - c)/S a count
    statistical = exact.upper[0, 0] - exact.value[0, 0]
    assert f.value[0, 0] == pytest.approx(0.1)
    assert f.upper[0, 0] - 0.1 == pytest.approx(np.hypot(shift, statistical), rel=1e-6)
    of7 = liso.isotope_fraction(n6, n7, background=(100, Measured(0, 10)), bin=50)
    shift = 100 / (1000 - NORMAL * 10) - 0.1  # c/S a count, and S is less then
    assert of7.upper[0, 0] - 0.1 == pytest.approx(np.hypot(shift, statistical), rel=1e-6)


def test_coverage_of_a_small_signal_on_a_background_that_is_not_sure() -> None:
    """10 ions, 95 % 6Li, on 50 +- 20 counts at mass 7: derivatives at the value cover 81 %."""
    rng = np.random.default_rng(7)
    held = seen = 0
    for _ in range(300):
        n6, n7 = rng.poisson(9.5, (1, 20)), rng.poisson(50.5, (1, 20))
        drawn = Measured(max(rng.normal(50, 20), 0.0), 20)
        f = liso.isotope_fraction(n6, n7, background=(0.0, drawn))
        held += np.sum((f.lower <= 0.95) & (f.upper >= 0.95))
        seen += np.sum(f.counts > 0)
    assert held / seen >= 0.95 - 3 * 0.0126


def test_without_a_middle_the_open_end_moves_by_the_whole_error() -> None:
    plain = ends(0, 30)
    low, value, high = ends(0, 30, fractionation=Measured(1.0, 0.05))
    assert (low, value) == (0.0, 0.0)
    assert logit(high) - logit(plain[2]) == pytest.approx(NORMAL * 0.05)
    plain = ends(30, 0, hydride_ratio=0.01)
    low, value, high = ends(30, 0, hydride_ratio=Measured(0.01, 0.002))
    assert (value, high) == (1.0, 1.0)
    # 0 counted where 0.3 are hydride: the end of 30 of 30 less the excess over 1/1.01.
    seen = 0.025 ** (1 / 30) - (1 - 1 / 1.01)
    assert plain[0] == pytest.approx(seen / (1 - 0.01 * seen))
    ratio = 0.01 - NORMAL * 0.002
    assert low == pytest.approx(seen / (1 - ratio * seen), rel=1e-6)
    assert low < plain[0]


def test_a_hydride_ratio_that_may_leave_no_7li_leaves_the_upper_end_open() -> None:
    low, value, high = ends(9000, 100, hydride_ratio=Measured(0.01, 0.005))
    assert high == 1.0
    assert 0.98 < low < value < 1


def test_more_hydride_than_was_counted_makes_no_interval_shrink() -> None:
    """180 of 100 counts: as if 180 had been counted, which were all hydride."""
    for ratio in (0.02, Measured(0.02, 0.001)):
        low, value, high = ends(9000, 100, hydride_ratio=ratio)
        assert (value, high) == (1.0, 1.0)
        # 180 counts may stand for 155 to 208, 28 of them 7Li; 100 for 20 more.
        assert 1 - 40 / 9000 < low < 1 - 15 / 9000
    assert (
        ends(9000, 100, hydride_ratio=Measured(0.02, 0.001))[0]
        < ends(9000, 100, hydride_ratio=0.02)[0]
    )


@pytest.mark.parametrize("error", [0.0, 0.01])
def test_nothing_above_background_says_nothing_whatever_comes_after(error: float) -> None:
    low, value, high = ends(
        2, 3, background=(2, 4), hydride_ratio=Measured(0.02, error), fractionation=1.1
    )
    assert np.isnan(value)
    assert (low, high) == (0.0, 1.0)


def test_an_error_of_zero_changes_nothing() -> None:
    options: dict[str, Any] = {"hydride_ratio": 0.02, "fractionation": 1.03}
    exact = {name: Measured(value) for name, value in options.items()}
    assert ends(40, 60, **options) == ends(40, 60, **exact)
    background = (Measured(3.0), Measured(0.0))
    assert ends(40, 60, background=(3.0, 0.0)) == ends(40, 60, background=background)


@pytest.mark.parametrize("fraction", [0.0759, 0.5, 0.95])
@pytest.mark.parametrize("lithium", [20, 500, 50_000])
@pytest.mark.parametrize("all_of_them", [False, True])
def test_coverage_with_corrections_that_are_not_sure(
    fraction: float, lithium: float, all_of_them: bool
) -> None:
    """The corrections of each of 3000 measurements are drawn from their errors."""
    rng = np.random.default_rng((int(lithium), int(1e4 * fraction), all_of_them))
    h, alpha, share = (0.02, 0.003), (1.03, 0.02), ((0.05, 0.01) if all_of_them else (0.0, 0.0))
    odds = fraction / (1 - fraction) * alpha[0]
    six, seven = lithium * odds / (1 + odds), lithium / (1 + odds)
    b, error = share[0] * lithium, share[1] * lithium
    held = seen = 0
    for _ in range(300):
        n6, n7 = rng.poisson(six + b, (1, 10)), rng.poisson(seven + h[0] * six + b, (1, 10))
        drawn = [max(rng.normal(b, error), 0.0) for _ in range(2)]
        f = liso.isotope_fraction(
            n6,
            n7,
            hydride_ratio=Measured(max(rng.normal(*h), 0.0), h[1]),
            fractionation=Measured(rng.normal(*alpha), alpha[1]),
            background=(Measured(drawn[0], error), Measured(drawn[1], error)),
        )
        held += np.sum((f.lower <= fraction) & (fraction <= f.upper))
        seen += np.sum(f.counts > 0)
    # 300 draws of the corrections: where they dominate, one standard error is 1.3 %.
    assert held / seen >= 0.95 - 3 * 0.0126


def test_coverage_at_zero_counts_of_the_tracer() -> None:
    """Enumerated: fractions of 1 % at 30 counts are mostly seen as none."""
    n6 = np.arange(31)
    weight = stats.binom.pmf(n6, 30, 0.01 * 1.05 / (0.01 * 1.05 + 0.99))
    held = 0.0
    quantiles = stats.norm.ppf((np.arange(200) + 0.5) / 200)
    for q in quantiles:
        f = liso.isotope_fraction(
            n6[None], 30 - n6[None], fractionation=Measured(1.05 * (1 + 0.1 * q), 0.105)
        )
        held += weight[((f.lower <= 0.01) & (f.upper >= 0.01))[0]].sum() / len(quantiles)
    assert held >= 0.95


# --- reference numbers of science.md 4 ---------------------------------------


@pytest.mark.parametrize(
    ("fraction", "ratio", "reads"),
    [(0.95, 0.01, 0.941), (0.95, 0.05, 0.907), (0.076, 0.05, 0.076)],
)
def test_hydride_reads(fraction: float, ratio: float, reads: float) -> None:
    six, seven = 1e9 * fraction, 1e9 * (1 - fraction)
    n6, n7 = round(six), round(seven + ratio * six)
    assert ends(n6, n7)[1] == pytest.approx(reads, abs=5e-4)
    assert ends(n6, n7, hydride_ratio=ratio)[1] == pytest.approx(fraction, abs=1e-8)


# --- measuring them ----------------------------------------------------------


def counts_of(h: float, six: float, seven: float, seed: int, shape: tuple[int, int]) -> list[Any]:
    """6, 7 and 8 of a place with so many 6Li and 7Li ions a pixel."""
    rng = np.random.default_rng(seed)
    return [rng.poisson(mean, shape) for mean in (six, seven + h * six, h * seven)]


def test_hydride_ratio_solves_the_two_equations() -> None:
    n6, n7, n8 = 3000, 9050, 150
    found = liso.hydride_ratio_from_mass8([[n6]], [[n7]], [[n8]])
    # N8 = h (N7 - h N6), solved by bisection.
    root = optimize.brentq(lambda h: h * (n7 - h * n6) - n8, 0, n7 / n6 / 2, xtol=1e-15)
    assert found.value == pytest.approx(root, rel=1e-12)
    # And its error by moving each count by one.
    moved = [
        liso.hydride_ratio_from_mass8([[n6 + a]], [[n7 + b]], [[n8 + c]]).value - found.value
        for a, b, c in np.eye(3, dtype=int)
    ]
    variance = sum(d**2 * n for d, n in zip(moved, (n6, n7, n8), strict=True))
    assert found.error == pytest.approx(np.sqrt(variance), rel=5e-3)


@pytest.mark.parametrize("six", [10.0, 60.0, 110.0])
def test_hydride_ratio_and_its_error(six: float) -> None:
    """Over 300 measurements the errors are as large as the scatter."""
    found = [
        liso.hydride_ratio_from_mass8(*counts_of(0.03, six, 120.0, seed, (8, 8)))
        for seed in range(300)
    ]
    pulls = [(m.value - 0.03) / m.error for m in found]
    assert np.mean(pulls) == pytest.approx(0, abs=3 / np.sqrt(300))
    assert np.std(pulls) == pytest.approx(1, abs=3 / np.sqrt(600))


def test_background_at_mass_8_is_no_hydride() -> None:
    """1e6 7Li, h = 1 %, of 100 pixels: 10 background counts a pixel at mass 8 read as 1.1 %."""
    n6, n7, n8 = (np.full((10, 10), n) for n in (0, 10_000, 110))
    assert liso.hydride_ratio_from_mass8(n6, n7, n8).value == pytest.approx(0.011)
    found = liso.hydride_ratio_from_mass8(n6, n7, n8, background=(0, 0, 10))
    assert found.value == pytest.approx(0.01)
    assert found.error == pytest.approx(np.sqrt(11_000 + 0.01**2 * 1e6) / 1e6, rel=1e-6)
    unsure = liso.hydride_ratio_from_mass8(n6, n7, n8, background=(0, 0, Measured(10, 1)))
    assert unsure.error == pytest.approx(np.hypot(found.error, 100 / 1e6), rel=1e-3)
    # 200 of 10,200 counts of mass 7 are no lithium
    high = np.full((10, 10), 10_200)
    of7 = liso.hydride_ratio_from_mass8(n6, high, n8, background=(0, 200, 10))
    assert of7.value == pytest.approx(0.01)


def test_saturated_7li_reads_as_hydride_without_the_pulses() -> None:
    pulses = 10**7
    ions = 0.05 * pulses, 0.6 * pulses + 0.02 * 0.05 * pulses, 0.02 * 0.6 * pulses
    n6, n7, n8 = ([[round(-pulses * np.expm1(-n / pulses))]] for n in ions)
    assert liso.hydride_ratio_from_mass8(n6, n7, n8, pulses=pulses).value == pytest.approx(
        0.02, rel=1e-5
    )
    assert liso.hydride_ratio_from_mass8(n6, n7, n8).value > 0.025


def test_no_hydride_is_not_sure_to_be_none() -> None:
    found = liso.hydride_ratio_from_mass8([[100]], [[1000]], [[0]])
    assert found.value == 0
    assert found.error == pytest.approx(1e-3, rel=1e-6)


@pytest.mark.parametrize(
    ("n6", "n7", "n8"),
    [(95_000, 5100, 50), (95_000, 5000, 300), (10, 5, 0), (0, 0, 0), (1000, 2000, 1000)],
)
def test_where_mass_8_does_not_tell(n6: int, n7: int, n8: int) -> None:
    with pytest.raises(ValueError, match="does not tell"):
        liso.hydride_ratio_from_mass8([[n6]], [[n7]], [[n8]])


def test_mass_8_that_is_no_hydride() -> None:
    with pytest.raises(ValueError, match="no hydride of 7Li"):
        liso.hydride_ratio_from_mass8([[0]], [[1000]], [[1500]])
    with pytest.raises(ValueError, match="n8"):
        liso.hydride_ratio_from_mass8([[5]], [[1000]], [[1, 2]])


def test_factor_of_a_natural_reference() -> None:
    """Odds of 0.0759 times 1.05, on 4 million counts."""
    odds = 1.05 * 0.0759 / 0.9241
    n6, n7 = round(4e6 * odds / (1 + odds)), round(4e6 / (1 + odds))
    assert n6 / (n6 + n7) == pytest.approx(0.0794, abs=1e-4)  # science.md 4.6
    exact = liso.fractionation_from_reference([[n6]], [[n7]], 0.0759)
    assert exact.value == pytest.approx(1.05, rel=1e-5)
    assert exact.error == pytest.approx(1.05 * np.sqrt(1 / n6 + 1 / n7), rel=1e-5)
    natural = liso.natural_fraction("Li", 6, 7)
    unsure = liso.fractionation_from_reference([[n6]], [[n7]], natural)
    of_reference = 1.05 * 0.0004 / (0.0759 * 0.9241)
    assert unsure.error == pytest.approx(np.hypot(exact.error, of_reference), rel=1e-5)
    applied = liso.isotope_fraction([[n6]], [[n7]], fractionation=unsure)
    assert applied.value[0, 0] == pytest.approx(0.0759, rel=1e-9)


def test_factor_is_what_the_others_leave() -> None:
    """Made from ions by fractionation, hydride, background and dead time, and back."""
    pulses, pixels = 10**7, 3
    six, seven = 0.1 * pulses * 0.96, 0.3 * pulses
    ions = [six + 2e4, seven + 0.04 * six + 5e4]
    n6, n7 = ([[round(-pulses * np.expm1(-n / pulses))] * pixels] for n in ions)
    corrections = Corrections(
        background=(Measured(2e4, 300.0), Measured(5e4)),
        hydride_ratio=Measured(0.04, 0.002),
        fractionation=Measured(7.0),  # not used: it is what is sought
    )
    found = liso.fractionation_from_reference(n6, n7, 0.25, corrections, pulses=pulses)
    assert found.value == pytest.approx(0.96, rel=1e-6)
    # ln alpha = ln S6 - ln(S7 - h S6); errors by hand: of b6, of h, of the counts.
    of_b6 = 300 * (1 / six + 0.04 / seven)
    of_h = 0.002 * six / seven
    poisson = [pulses * np.expm1(n / pulses) for n in ions]  # variance of the ions
    of_counts = np.sqrt(
        ((1 / six + 0.04 / seven) ** 2 * poisson[0] + poisson[1] / seven**2) / pixels
    )
    expected = 0.96 * np.sqrt(of_b6**2 + of_h**2 + of_counts**2)
    assert found.error == pytest.approx(expected, rel=1e-3)
    without = Corrections(
        dead_time=False, background=corrections.background, hydride_ratio=Measured(0.04)
    )
    late = liso.fractionation_from_reference(n6, n7, 0.25, without, pulses=pulses)
    assert late.value > 1.05


@pytest.mark.parametrize(
    ("n6", "n7", "reference", "message"),
    [
        (0, 500, 0.0759, "too few counts of the tracer"),
        (5, 500, 0.0759, "too few counts of the tracer"),
        (500, 3, 0.5, "too few counts of the other isotope"),
        (500, 500, 0.0, "between 0 and 1"),
        (500, 500, 7.59, "between 0 and 1"),
    ],
)
def test_references_that_tell_nothing(n6: int, n7: int, reference: float, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        liso.fractionation_from_reference([[n6]], [[n7]], reference)


def test_a_reference_below_its_background() -> None:
    corrections = Corrections(background=(Measured(450.0), Measured(0.0)))
    with pytest.raises(ValueError, match=r"50.0 are left .* error of 22.4"):
        liso.fractionation_from_reference([[500]], [[9000]], 0.0759, corrections)


def test_background_from_a_window_beside_the_peak() -> None:
    """240 counts in 16 pixels and 2 frames, a window half as wide: 7.5 +- 0.484 a pixel."""
    off_peak = np.zeros((2, 4, 4), int)
    off_peak[0], off_peak[1, 0] = 10, 20
    found = liso.background_from_window(off_peak, 0.5)
    assert found.value == 7.5
    assert found.error == pytest.approx(0.5 * np.sqrt(241) / 16)
    nothing = liso.background_from_window(np.zeros((4, 4), int), 0.5)
    assert (nothing.value, nothing.error) == (0.0, 0.5 / 16)
    for ratio in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match="width_ratio"):
            liso.background_from_window(off_peak, ratio)


@pytest.mark.parametrize("expected", [1, 3, 5, 15, 20, 50])
def test_the_error_of_a_background_holds_at_few_counts(expected: float) -> None:
    """Enumerated; the root of the counts alone holds 80 % at 3, 87 % at 5."""
    counts = np.arange(250)
    found = [liso.background_from_window([[n]]) for n in counts]
    held = [abs(b.value - expected) <= NORMAL * b.error for b in found]
    assert stats.poisson.pmf(counts, expected)[held].sum() >= 0.945


def test_background_from_a_region_without_lithium() -> None:
    n = np.array([[4, 2, 900], [3, 0, 700]])
    mask = np.array([[True, True, False], [True, True, False]])
    found = liso.background_from_region(n, mask)
    assert (found.value, found.error) == (2.25, np.sqrt(10) / 4)
    assert liso.background_from_region(np.stack([n, n]), mask).value == 4.5
    for bad, message in (
        (mask[:, :2], "must be bool of shape"),
        (mask.astype(int), "must be bool"),
        (np.zeros_like(mask), "no pixel"),
    ):
        with pytest.raises(ValueError, match=message):
            liso.background_from_region(n, bad)


# --- the object --------------------------------------------------------------


def test_numbers_of_any_kind_are_taken_as_plain_ones() -> None:
    """Errors from numpy made the background crash, and float32 no JSON."""
    b = Measured(np.float64(3.0), np.float64(1.0))
    plain = liso.isotope_fraction([[40]], [[60]], background=(Measured(3.0, 1.0), 0.0))
    f = liso.isotope_fraction([[40]], [[60]], background=(b, 0.0))
    assert (f.lower, f.upper) == (plain.lower, plain.upper)
    record = Measured(np.float32(0.5), np.int64(1)).describe()
    assert json.loads(json.dumps(record)) == {"value": 0.5, "error": 1.0, "source": ""}
    made = Corrections(background=(3, 0.5), hydride_ratio=0.25, fractionation=np.float32(1.5))
    assert made == Corrections(
        background=(Measured(3.0), Measured(0.5)),
        hydride_ratio=Measured(0.25),
        fractionation=Measured(1.5),
    )


@pytest.mark.parametrize("value", [None, "many", [1.0, 2.0], np.array([1.0, 2.0]), 1j])
def test_what_is_no_single_number(value: Any) -> None:
    for make in (
        lambda: Measured(value),
        lambda: Corrections(hydride_ratio=value),
        lambda: liso.isotope_fraction([[1]], [[1]], fractionation=value),
    ):
        with pytest.raises(ValueError, match="a single number is needed"):
            make()


def test_corrections_survive_a_record() -> None:
    made = Corrections(
        dead_time=False,
        background=(Measured(1.5, 0.1, "off-peak"), Measured(0.0)),
        hydride_ratio=Measured(0.02, 0.001),
        fractionation=Measured(1.03, 0.01, "reference"),
    )
    assert Corrections.from_record(made.describe()) == made
    f = liso.isotope_fraction([[40]], [[60]], **made.keywords)
    by_hand = (40 - 1.5) / (60 - 0.02 * (40 - 1.5)) / 1.03
    assert f.value[0, 0] == pytest.approx(by_hand / (1 + by_hand))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hydride_ratio": Measured(1.0)}, "hydride_ratio"),
        ({"hydride_ratio": Measured(-0.1)}, "hydride_ratio"),
        ({"fractionation": Measured(0.0)}, "fractionation"),
        ({"background": (Measured(-1.0), Measured(0.0))}, "background"),
    ],
)
def test_what_is_no_correction(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Corrections(**options)
    with pytest.raises(ValueError, match=message):
        liso.isotope_fraction([[1]], [[1]], **options)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_no_number(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Measured(value)
    with pytest.raises(ValueError, match="hydride_ratio"):
        liso.isotope_fraction([[1]], [[1]], hydride_ratio=value)
    with pytest.raises(ValueError, match="standard error"):
        Measured(1.0, value)
    with pytest.raises(ValueError, match="standard error"):
        Measured(1.0, -0.1)
