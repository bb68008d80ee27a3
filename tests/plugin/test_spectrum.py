"""The spectrum as it is looked at: counts, curves, scales, words. No widgets."""

from __future__ import annotations

import time

import numpy as np
import pytest

from napari_liso.plugin.spectra.mass_scale import MassScale, moved
from napari_liso.plugin.spectra.spectrum import SpectrumCurve, tick_values
from napari_liso.plugin.spectra.window_text import fraction_lines, isotope_pairs, python_call
from napari_liso.plugin.spectra.windows_proposed import proposed_windows, window_at
from napari_liso.readers.peaks import Recalibration

from .spectra import LA, LI6, LI7, NA, SLOPE, spectrum_of

# --- counts and curves ---


def test_counts_in_a_window_include_the_low_edge_only() -> None:
    curve = SpectrumCurve([1.0, 2.0, 3.0, 4.0], [1, 10, 100, 1000])
    assert curve.counts_in(2.0, 4.0) == 110
    assert curve.counts_in(0.0, 99.0) == 1111
    assert curve.counts_in(3.5, 2.0) == 0
    assert isinstance(curve.counts_in(2.0, 4.0), int)


def test_negative_ions_are_looked_for_and_put_where_negative_ions_are() -> None:
    """H- is 1090 ppm above H+."""
    hydrogen, chlorine = 1.0078250 + 0.0005486, 34.9688527 + 0.0005486
    mass, counts = spectrum_of({hydrogen: 5000, chlorine: 5000})
    scale = MassScale(mass, counts, {"polarity": "negative"})
    new = scale.proposal({ion: scale.seen_at(ion) for ion in ("H", "Cl")})
    assert new.slope == pytest.approx(1, abs=2e-5)
    assert abs(scale.shift_ppm(new, hydrogen)) < 50
    scale.apply(new, {})
    assert scale.curve.polarity == "negative"
    (low, high) = proposed_windows(scale.curve, ["H"])["H"]
    assert low < hydrogen < high


def test_corrected_intensities_stay_what_they_are() -> None:
    curve = SpectrumCurve([1.0, 2.0], [0.25, 0.5])
    assert not curve.are_counts
    assert curve.counts_in(0, 9) == 0.75


@pytest.mark.parametrize("limits", [(0.5, 200.0), (6.9, 7.1), (7.012, 7.019), (138.0, 140.0)])
def test_a_curve_shows_every_count_once(limits: tuple[float, float]) -> None:
    mass, counts = spectrum_of()
    curve = SpectrumCurve(mass, counts)
    edges, heights = curve.curve(*limits, 300)
    assert np.all(np.diff(edges) > 0)
    assert len(edges) == len(heights) + 1
    assert len(heights) <= 4 * 300
    if limits[1] - limits[0] < 1:  # near enough that bins are shown, not the tallest of several
        assert heights.sum() == curve.counts_in(edges[0], edges[-1])


def test_far_off_no_peak_is_lost() -> None:
    mass, counts = spectrum_of({LI7: 500, 100.0: 3, LA: 800})
    edges, heights = SpectrumCurve(mass, counts).curve(0.0, 2000.0, 200)
    seen = [(edges[i] + edges[i + 1]) / 2 for i in np.flatnonzero(heights)]
    for peak in (LI7, 100.0, LA):
        assert min(abs(one - peak) for one in seen) < 2000 / 200


def test_near_by_the_native_bins_are_shown() -> None:
    mass, counts = spectrum_of()
    curve = SpectrumCurve(mass, counts)
    native = 2 * np.sqrt(LI7) * SLOPE
    edges, heights = curve.curve(LI7 - 20 * native, LI7 + 20 * native, 400)
    assert np.allclose(np.diff(edges), native, rtol=1e-3)
    for edge, height in zip(edges, heights, strict=False):
        inside = (mass > edge) & (mass < edge + native)
        assert height == counts[inside].sum()


def test_ten_million_bins_are_drawn_in_time_for_the_eye() -> None:
    rng = np.random.default_rng(0)
    ticks = np.cumsum(rng.integers(1, 4, 10_000_000))
    curve = SpectrumCurve((1e-6 * ticks) ** 2, rng.integers(1, 5, len(ticks)))
    low, high = curve.limits
    spent = []
    for share in (1.0, 0.1, 1e-2, 1e-4, 1e-6):
        start = time.perf_counter()
        curve.curve(low + (high - low) * 0.3, low + (high - low) * (0.3 + 0.7 * share), 800)
        curve.counts_in(low + 1, high - 1)
        spent.append(time.perf_counter() - start)
    assert max(spent) < 0.05


@pytest.mark.parametrize("mass", [[], [5.0], [5.0, 5.0]])
def test_spectra_of_next_to_nothing_are_drawn(mass: list[float]) -> None:
    curve = SpectrumCurve(mass, [1] * len(mass))
    _, heights = curve.curve(*curve.limits, 100)
    assert np.isfinite(heights).all()
    assert curve.counts_in(0, 10) == len(mass)


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [(0, 10, [0, 2, 4, 6, 8, 10]), (6.98, 7.03, [6.98, 6.99, 7.0, 7.01, 7.02, 7.03]), (3, 3, [])],
)
def test_ticks_are_round(low: float, high: float, expected: list[float]) -> None:
    assert tick_values(low, high, 5) == pytest.approx(expected)


# --- proposals ---


def test_lithium_and_the_matrix_are_proposed_where_they_are_seen() -> None:
    stretch = 1.0006  # 600 ppm: further off than a peak is wide
    curve = SpectrumCurve(*spectrum_of(stretch=stretch))
    windows = proposed_windows(curve, ["6Li", "7Li", "matrix"])
    assert list(windows)[:2] == ["6Li", "7Li"]
    assert {"23Na", "139La"} <= set(windows)
    for name, mass in (("6Li", LI6), ("7Li", LI7), ("139La", LA)):
        low, high = windows[name]
        assert low < mass * stretch < high
    n6, n7 = (curve.counts_in(*windows[name]) for name in ("6Li", "7Li"))
    assert n6 / (n6 + n7) == pytest.approx(3000 / 39000, abs=0.002)


def test_what_is_not_there_is_left_out_or_told() -> None:
    curve = SpectrumCurve(*spectrum_of({LI7: 5000, NA: 5000}))
    assert list(proposed_windows(curve, ["6Li", "7Li"], partly=True)) == ["7Li"]
    with pytest.raises(ValueError, match="6Li"):
        proposed_windows(curve, ["6Li", "7Li"])


def test_a_window_is_put_around_the_peak_under_the_mouse() -> None:
    curve = SpectrumCurve(*spectrum_of())
    name, (low, high) = window_at(curve, LA + 0.02, 0.05)
    assert name == "139La"
    assert low < LA < high
    name, (low, high) = window_at(curve, 50.0, 0.05)
    assert (name, low, high) == ("m/z 50.0", 49.95, 50.05)


# --- the mass scale ---


def test_two_peaks_put_the_scale_right_and_windows_move_along() -> None:
    # sqrt(m) = 1.0002 sqrt(true) + 0.0004: slope and offset are both off
    true_mass, counts = spectrum_of()
    stale = (1.0002 * np.sqrt(true_mass) + 0.0004) ** 2
    scale = MassScale(stale, counts, {})
    seen = {ion: scale.seen_at(ion) for ion in ("H", "Na")}
    new = scale.proposal(seen)
    assert scale.shift_ppm(new, seen["Na"]) == pytest.approx((NA / seen["Na"] - 1) * 1e6, abs=0.2)
    windows = {"7Li": (LI7 * 1.0004, LI7 * 1.0014)}
    before = scale.curve.counts_in(*windows["7Li"])
    shifted = scale.apply(new, windows)
    assert scale.seen_at("7Li") == pytest.approx(LI7, rel=20e-6)
    assert scale.seen_at("La") == pytest.approx(LA, rel=20e-6)
    assert scale.curve.counts_in(*shifted["7Li"]) == before
    assert scale.recalibrate == pytest.approx(seen, abs=1e-6)
    assert scale.undo(shifted)["7Li"] == pytest.approx(windows["7Li"], abs=2e-6)
    assert scale.recalibrate is None
    assert not scale.can_undo
    np.testing.assert_array_equal(scale.curve.mass, stale)


def test_a_scale_that_was_recalibrated_when_read_can_be_put_back() -> None:
    mass, counts = spectrum_of(stretch=1.0005)
    known = Recalibration.from_peaks({"7Li": LI7 * 1.0005, "Na": NA * 1.0005})
    scale = MassScale(known.to_new(mass), counts, {"recalibration": known.as_metadata()})
    assert scale.recalibrate is not None
    assert scale.seen_at("La") == pytest.approx(LA, rel=20e-6)
    scale.undo({})
    assert scale.recalibrate is None
    np.testing.assert_allclose(scale.curve.mass, mass, rtol=1e-12)


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        ({"7Li": 7.0, "7Li+": 7.0}, "different masses"),
        ({"7Li": 7.0, "Quartz": 60.0}, "not known"),
        ({"H": 7.0, "7Li": 23.0}, "not these ions"),
    ],
)
def test_peaks_that_cannot_be_these_ions_are_refused(seen: dict[str, float], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        MassScale(*spectrum_of(), {}).proposal(seen)


def test_windows_stay_where_the_scale_does() -> None:
    assert moved({"a": (1.5, 2.5)}, None, None) == {"a": (1.5, 2.5)}


# --- words ---


def test_pairs_begin_with_lithium_and_its_rarer_isotope() -> None:
    names = ["63Cu", "7Li", "65Cu", "139La", "6Li"]
    assert isotope_pairs(names) == [("6Li", "7Li"), ("65Cu", "63Cu")]


def test_the_fraction_comes_with_its_interval() -> None:
    # Clopper and Pearson for 3 of 10, as tabulated: 0.0667 to 0.6525
    (line,) = fraction_lines({"6Li": 3, "7Li": 7, "Na": 5})
    assert line.replace("\u00a0", " ") == "6Li/(6Li+7Li) = 0.3000 (95 %: 0.0667–0.6525)"
    (line,) = fraction_lines({"6Li": 3.2, "7Li": 6.9}, are_counts=False)
    assert "as if these were counts" in line
    assert fraction_lines({"6Li": 0, "7Li": 0}) == []


def test_the_script_does_what_the_dock_does() -> None:
    text = python_call(
        "/data/run 1.h5", {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}, {"H": 1.0074, "7Li": 7.0161}
    )
    seen = {}

    class Liso:
        @staticmethod
        def read(path: object, **options: object) -> str:
            seen.update(path=path, **options)
            return "read"

    exec(text.replace("import napari_liso as liso", ""), {"liso": Liso})
    assert seen == {
        "path": "/data/run 1.h5",
        "windows": {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)},
        "recalibrate": {"H": 1.0074, "7Li": 7.0161},
    }
    assert "['a.x', 'b.x']" in python_call(["a.x", "b.x"], {})
