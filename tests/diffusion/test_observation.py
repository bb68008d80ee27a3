"""From the fraction of the sample to that of the counts: published numbers, closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, nchypergeom_fisher

from napari_liso.counting.measured import Measured
from napari_liso.diffusion.corrections import check_corrections
from napari_liso.diffusion.likelihood import BinomialData
from napari_liso.diffusion.observation import Observation, observe

ONE = np.ones(1)
GRAINS = np.ones((30, 30), dtype=np.int32)
ALL = np.ones((30, 30), dtype=bool)


def in_one(ions: float, pulses: float | None = None, b6: float = 0.0, b7: float = 0.0):
    """Of one pixel, its intensity known."""
    return Observation(
        background=(b6 * ONE, b7 * ONE),
        ions=(ions + b6 + b7) * ONE,
        pulses=None if pulses is None else pulses * ONE,
    )


def seen(given: dict, n6: np.ndarray, n7: np.ndarray, grains: np.ndarray = GRAINS):
    found = observe(check_corrections(n6.shape, **given), n6, n7, grains, grains > 0)
    assert found is not None
    return found


# --- the fraction ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rate", "read"), [(0.05, 0.0774), (0.1, 0.0789), (0.5, 0.0914), (1.0, 0.1081)]
)
def test_dead_time_of_natural_lithium(rate: float, read: float) -> None:
    """Natural 0.0759 at so many Li a pulse (science.md 4.4)."""
    found = in_one(rate * 1000, 1000).fraction(np.array([0.0759]))
    assert found[0] == pytest.approx(read, abs=5e-5)


def test_dead_time_of_enriched_lithium_has_the_other_sign() -> None:
    assert in_one(10, 100).fraction(np.array([0.9]))[0] == pytest.approx(0.8964, abs=5e-5)


@pytest.mark.parametrize(
    ("c", "h", "read"), [(0.95, 0.01, 0.941), (0.95, 0.05, 0.907), (0.076, 0.05, 0.0757)]
)
def test_hydride(c: float, h: float, read: float) -> None:
    """From science.md 4.5; the last is the closed form: negligible."""
    assert Observation(hydride_ratio=h).fraction(c * ONE)[0] == pytest.approx(read, abs=5e-4)


@pytest.mark.parametrize(("c", "read"), [(0.0759, 0.0794), (0.5, 0.512)])
def test_fractionation(c: float, read: float) -> None:
    """From science.md 4.6: 1.05 on the odds."""
    assert Observation(fractionation=1.05).fraction(c * ONE)[0] == pytest.approx(read, abs=3e-4)


def test_background_by_hand() -> None:
    # 20 ions at 0.3 are 6 and 14; 2 and 8 on top: 8 of 30.
    assert in_one(20, None, 2, 8).fraction(np.array([0.3]))[0] == pytest.approx(8 / 30)
    # Nothing but background says nothing of the sample.
    empty = in_one(0, None, 2, 8)
    q, slope = empty.fraction_and_slope(np.array([0.3]))
    assert (q[0], slope[0]) == (pytest.approx(0.2), pytest.approx(0.0, abs=1e-8))


def test_order_of_the_steps_by_hand() -> None:
    # c = 0.5: odds 2 -> 2/3; hydride 0.1: 0.6667 / 1.06667 = 0.625; 40 ions: 25 and 15;
    # background 5 and 1: 30 and 16; 50 pulses.
    found = Observation(
        hydride_ratio=0.1,
        fractionation=2.0,
        background=(5 * ONE, ONE),
        ions=46 * ONE,
        pulses=50 * ONE,
    )
    hit = 1 - np.exp(-np.array([30, 16]) / 50)
    assert found.fraction(np.array([0.5]))[0] == pytest.approx(hit[0] / hit.sum(), rel=1e-12)


def test_many_pulses_are_no_dead_time() -> None:
    c = np.array([0.01, 0.3, 0.98])
    three = np.ones(3)
    slow = Observation(background=(three, 2 * three), ions=30 * three, pulses=1e9 * three)
    fast = Observation(background=(three, 2 * three), ions=30 * three)
    for one, other in zip(slow.fraction_and_slope(c), fast.fraction_and_slope(c), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6)


@pytest.mark.parametrize("pulses", [None, 40.0])
def test_slope_and_answers_are_those_of_differences(pulses: float | None) -> None:
    c = np.array([1e-4, 0.0759, 0.4, 0.93, 1 - 1e-4])
    each = np.ones(c.size)
    errors = (
        ("hydride_ratio", 1e-4), ("ln_fractionation", 2e-4),
        ("background_6", 3e-4), ("background_7", 4e-4),
    )  # fmt: skip

    def at(h: float = 0.03, alpha: float = 1.2, b6: float = 1.5, b7: float = 4.0) -> Observation:
        return Observation(
            h, alpha, (b6 * each, b7 * each), 25 * each,
            None if pulses is None else pulses * each, errors=errors,
        )  # fmt: skip

    q, slope = at().fraction_and_slope(c)
    np.testing.assert_allclose(q, at().fraction(c))
    step = 1e-6
    by_c = (at().fraction(c + step) - at().fraction(c - step)) / (2 * step)
    np.testing.assert_allclose(slope, by_c, rtol=1e-6)
    # More background at the same number of ions: less of them is lithium.
    moved = [
        at(h=0.0301).fraction(c), at(alpha=1.2 * np.exp(2e-4)).fraction(c),
        at(b6=1.5003).fraction(c), at(b7=4.0004).fraction(c),
    ]  # fmt: skip
    np.testing.assert_allclose(at().answers(c), np.transpose(moved) - q[:, None], rtol=2e-3)


# --- what is given ---------------------------------------------------------------------


def test_nothing_given_is_nothing() -> None:
    n = np.full(GRAINS.shape, 5)
    exact = {"hydride_ratio": Measured(0.0), "fractionation": 1, "background": (0, np.zeros(()))}
    for given in ({}, exact):
        checked = check_corrections(n.shape, **given)
        assert checked.is_identity
        assert checked.describe() is None
        assert observe(checked, n, n, GRAINS, ALL) is None


def test_errors_of_what_was_measured() -> None:
    given = check_corrections(
        (3, 4),
        hydride_ratio=Measured(0.0, 0.01, "mass 8"),
        fractionation=Measured(1.1, 0.022),
        background=(np.ones((3, 4)), Measured(2.0, 0.3)),
    )
    assert [name for name, _ in given.errors] == [
        "hydride_ratio", "ln_fractionation", "background_7",
    ]  # fmt: skip
    assert [e for _, e in given.errors] == pytest.approx([0.01, 0.02, 0.3])
    record = given.describe()
    assert record["hydride_ratio"] == {"value": 0.0, "error": 0.01, "source": "mass 8"}
    assert [b["value"] for b in record["background"]] == [1.0, 2.0]
    # An error alone is a correction, too: of an interval.
    assert not check_corrections((3, 4), hydride_ratio=Measured(0.0, 0.01)).is_identity


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"hydride_ratio": -0.1}, "hydride_ratio"),
        ({"hydride_ratio": 1.0}, "hydride_ratio"),
        ({"fractionation": 0.0}, "fractionation"),
        ({"background": (-1, 0)}, "background of n6"),
        ({"background": (0, np.full((3, 4), np.nan))}, "background of n7"),
        ({"background": (0, np.zeros((4, 3)))}, "one number"),
        ({"background": (0, 0, 0)}, "two"),
        ({"pulses": -5}, "pulses"),
        ({"pulses": np.ones((4, 3))}, "the map"),
        ({"pulses": np.ones((2, 3, 4))}, "sum over the frames"),
    ],
)
def test_what_cannot_be_is_refused(given: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        check_corrections((3, 4), **given)


# --- intensity, scatter, weight ----------------------------------------------------------


def test_intensity_is_that_of_the_own_grain_with_its_empty_pixels() -> None:
    """Two grains of unequal brightness, mean 1 and 6 counts: no mixing, zeros counted."""
    rng = np.random.default_rng(1)
    grains = np.ones((40, 40), dtype=np.int32)
    grains[:, 20:] = 2
    mean = np.where(grains == 1, 1.0, 6.0)
    n6, n7 = rng.poisson(0.4 * mean), rng.poisson(0.6 * mean)
    found = seen({"background": (0.1, 0.2)}, n6, n7, grains)
    assert found.ions is not None
    for grain, value in ((1, 1.0), (2, 6.0)):
        ions = found.ions[grains == grain]
        assert ions.mean() == pytest.approx(value, rel=0.1)
        # 400 counts or more of lithium behind each: 5 %, so none is off by a quarter.
        assert np.abs(ions / value - 1).max() < 0.25


def test_many_counts_speak_for_themselves() -> None:
    """No neighbour is asked where a pixel has counts enough: edges stay sharp."""
    n6 = np.full((30, 30), 600)
    n6[:, 15:] = 6000
    found = seen({"pulses": 20_000}, n6, n6)
    assert found.ions is not None
    np.testing.assert_allclose(found.ions[:, :15], -2 * 20_000 * np.log1p(-0.03))
    np.testing.assert_allclose(found.ions[:, 15:], -2 * 20_000 * np.log1p(-0.3))


def test_pulses_differ_from_pixel_to_pixel() -> None:
    """The rate is what neighbours share; pixels not measured say nothing."""
    pulses = np.full((30, 30), 100)
    pulses[::2] = 300
    pulses[5] = 0
    n = pulses // 10
    found = seen({"pulses": pulses}, n, n)
    assert found.ions is not None
    np.testing.assert_allclose(found.ions, -2 * pulses * np.log1p(-0.1), rtol=1e-9)


def test_weight_and_scatter_are_one_where_only_factors_differ() -> None:
    n = np.full(GRAINS.shape, 50)
    found = seen({"hydride_ratio": 0.1, "fractionation": 1.2}, n, n)
    assert found.weight is None
    assert found.scatter is None
    assert found.ions is None


def test_weight_is_the_price_of_an_unknown_intensity() -> None:
    """Information on p with S unknown: S^2 / ((1-p)^2 mu6 + p^2 mu7) (from the score
    (1-p)(N6-b6) - p(N7-b7), which has the mean zero whatever S is)."""
    s, p, b6, b7 = 400.0, 0.25, 300.0, 60.0
    n6, n7 = np.full(GRAINS.shape, int(s * p + b6)), np.full(GRAINS.shape, int(s * (1 - p) + b7))
    found = seen({"background": (b6, b7)}, n6, n7).take(slice(None))
    data = BinomialData(n6.ravel() * 1.0, (n6 + n7).ravel() * 1.0, 0.0, found)
    expected = s**2 / ((1 - p) ** 2 * n6[0, 0] + p**2 * n7[0, 0])
    np.testing.assert_allclose(data.information(np.full(n6.size, p)), expected, rtol=1e-6)


def test_information_with_dead_time_is_that_of_two_binomials() -> None:
    """At equal rates the intensity has no price: sum over N of both peaks of (d ln P/dp)^2."""
    pulses, rate, p = 30, 0.5, 0.5

    def hit(share: float) -> float:
        return 1 - np.exp(-2 * rate * share)

    n = np.arange(pulses + 1)
    step = 1e-6
    info = 0.0
    for sign in (1, -1):
        pmf = binom.pmf(n, pulses, hit(p))
        slope = binom.logpmf(n, pulses, hit(p + sign * step)) - binom.logpmf(
            n, pulses, hit(p - sign * step)
        )
        info += float(pmf @ (slope / (2 * step)) ** 2)
    counted = pulses * hit(p)
    found = Observation(
        ions=2 * pulses * rate * ONE, pulses=pulses * ONE,
        weight=ONE / (1 - hit(p)), scatter=(1 - hit(p)) * ONE,
    )  # fmt: skip
    data = BinomialData(counted * ONE, 2 * counted * ONE, 0.0, found)
    assert data.information(p * ONE)[0] == pytest.approx(info, rel=1e-6)
    # ... and that weight is what `observe` finds from such counts
    n6 = np.random.default_rng(2).binomial(pulses, hit(p), (2, 30, 30))
    weight = seen({"pulses": pulses}, n6[0], n6[1]).weight
    assert weight is not None
    assert weight.mean() == pytest.approx(1 / (1 - hit(p)), rel=0.02)


def test_scatter_is_that_of_counts_with_dead_time() -> None:
    """Given both counts together, those of one are Fisher's hypergeometric: at equal
    rates exactly, N q (1-q) (2P - N)/(2P - 1)."""
    pulses, hit = 200, 1 - np.exp(-0.6)
    n6 = np.random.default_rng(3).binomial(pulses, hit, (2, 30, 30))
    scatter = seen({"pulses": pulses}, n6[0], n6[1]).scatter
    assert scatter is not None
    total = round(2 * pulses * hit)
    exact = nchypergeom_fisher.var(2 * pulses, pulses, total, 1.0) / (total / 4)
    assert scatter.mean() == pytest.approx(exact, rel=0.02)


# --- estimates ---------------------------------------------------------------------------


def best(data: BinomialData) -> tuple[float, float]:
    """Fraction common to all pixels and its standard error, by Newton steps."""
    c = 0.4
    for _ in range(30):
        score, information = data._slopes(np.full(data.total.size, c))
        c = float(np.clip(c + score.sum() / information.sum(), 0.005, 0.995))
    return c, float(information.sum()) ** -0.5


@pytest.mark.parametrize(
    ("ions", "b6", "b7", "pulses", "c"),
    [(2.0, 1.0, 1.0, None, 0.3), (1.0, 0.5, 1.5, None, 0.0759), (12.0, 1.0, 3.0, 20, 0.3)],
)
def test_few_counts_with_background_have_no_bias_and_the_scatter_that_is_told(
    ions: float, b6: float, b7: float, pulses: int | None, c: float
) -> None:
    """Most pixels have fewer counts than their background: S = N - b would be clipped.
    The brightness varies smoothly by half up and down."""
    rng = np.random.default_rng(4)
    brightness = ions * (1 + 0.5 * np.sin(np.arange(30) / 4))[:, None] * np.ones(30)
    mean6, mean7 = brightness * c + b6, brightness * (1 - c) + b7
    found, naive, chi2, told = [], [], [], 0.0
    for _ in range(60):
        if pulses is None:
            n6, n7 = rng.poisson(mean6), rng.poisson(mean7)
        else:
            n6 = rng.binomial(pulses, -np.expm1(-mean6 / pulses))
            n7 = rng.binomial(pulses, -np.expm1(-mean7 / pulses))
        given = {"background": (b6, b7), "pulses": pulses}
        data = BinomialData(
            n6.ravel() * 1.0, (n6 + n7).ravel() * 1.0, 0.0, seen(given, n6, n7).take(slice(None))
        )
        estimate, told = best(data)
        found.append(estimate)
        chi2.append(data.pearson(np.full(n6.size, estimate), 1))
        naive.append(n6.sum() / (n6 + n7).sum())
    error = np.std(found) / np.sqrt(60)
    assert abs(np.mean(found) - c) < 3.5 * error
    assert abs(np.mean(naive) - c) > 10 * error
    # 60 estimates tell their scatter to 9 %.
    assert np.std(found) == pytest.approx(told, rel=0.33)
    assert np.mean(chi2) == pytest.approx(1.0, abs=0.03)
