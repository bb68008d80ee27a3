"""Warnings before numbers: each appears where it should, and only there."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_liso.acquisition import Acquisition
from napari_liso.readers.checks import general_warnings, peak_in, window_warnings

LI6, LI7, LI6H = 6.015123 - 0.000549, 7.016003 - 0.000549, 6.015123 + 1.007825 - 0.000549


def spectrum(
    peaks: dict[float, int], fwhm: float = 0.004, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian peaks at masses, with so many counts, on a grid of 0.5 mu."""
    rng = np.random.default_rng(seed)
    edges = np.arange(5.5, 8.5, 0.0005)
    counts = np.zeros(len(edges) - 1, int)
    for mass, number in peaks.items():
        counts += np.histogram(rng.normal(mass, fwhm / 2.3548, number), edges)[0]
    return (edges[1:] + edges[:-1]) / 2, counts


def acquisition(peaks: dict[float, int], **arguments: Any) -> Acquisition:
    mass, counts = spectrum(peaks, **arguments)
    return Acquisition(
        counts=np.ones((1, 1, 4, 4), int),
        channels=("6Li",),
        masses=np.array([6.0]),
        pixel_size=(1e-6, 1e-6),
        spectrum_source=lambda: (mass, counts),
    )


def test_a_peak_is_measured() -> None:
    peak = peak_in(*spectrum({LI7: 100_000}), (6.99, 7.04))
    assert peak.counts == pytest.approx(100_000, rel=1e-3)
    assert peak.centre == pytest.approx(LI7, abs=2e-4)
    assert peak.fwhm == pytest.approx(0.004, rel=0.35)
    assert max(peak.edges) < 0.05


def test_too_few_counts_make_no_peak() -> None:
    peak = peak_in(*spectrum({LI7: 12}), (6.99, 7.04))
    assert peak.counts == 12
    assert np.isnan(peak.centre)


GOOD = {"6Li": (6.005, 6.024), "7Li": (7.008, 7.0195)}


def test_nothing_to_say_about_clean_peaks() -> None:
    # Resolution 7.0155 / 0.003 = 2300 and a window that ends before the hydride.
    acq = acquisition({LI6: 20_000, LI7: 200_000}, fwhm=0.003)
    assert window_warnings(acq, GOOD) == []


def test_an_empty_window() -> None:
    acq = acquisition({LI7: 1000})
    assert window_warnings(acq, {"6Li": (5.9, 6.1)}) == [
        "The window of 6Li, 5.9 to 6.1 u, holds no counts."
    ]


@pytest.mark.parametrize(
    ("window", "edges"),
    [
        ((6.0145, 6.03), ["6.0145"]),
        ((6.0, 6.0146), ["6.0146"]),
        ((6.0135, 6.0156), ["6.0135", "6.0156"]),
    ],
)
def test_a_window_that_cuts_its_peak(window: tuple[float, float], edges: list[str]) -> None:
    (warning,) = (
        w
        for w in window_warnings(acquisition({LI6: 5000}), {"6Li": window})
        if "inside a peak" in w
    )
    assert [edge for edge in ("6.0145", "6.0146", "6.0135", "6.0156") if edge in warning] == edges


@pytest.mark.parametrize(("ppm", "said"), [(40, False), (-40, False), (390, True), (-390, True)])
def test_a_peak_off_its_mass(ppm: float, said: bool) -> None:
    acq = acquisition({LI6 * (1 + ppm * 1e-6): 5000})
    found = [w for w in window_warnings(acq, {"6Li": (5.99, 6.04)}) if "theoretical" in w]
    assert len(found) == said
    if said:
        stated = float(found[0].split(" ppm")[0].split()[-1])
        assert stated == pytest.approx(ppm, abs=40)


@pytest.mark.parametrize(("polarity", "said"), [("negative", False), ("positive", True)])
def test_negative_ions_have_the_mass_of_negative_ions(polarity: str, said: bool) -> None:
    negative = 6.015123 + 0.000549  # 183 ppm above the positive ion
    acq = replace(acquisition({negative: 20_000}), metadata={"polarity": polarity})
    found = [w for w in window_warnings(acq, {"6Li": (6.0, 6.03)}) if "theoretical" in w]
    assert len(found) == said


@pytest.mark.parametrize(
    ("fwhm", "window", "said"),
    [
        (0.02, (6.98, 7.06), True),  # m/dm 350: one hill
        (0.004, (7.00, 7.03), True),  # resolved, but inside the window
        (0.003, (7.008, 7.0195), False),
    ],
)
def test_hydride_on_7li(fwhm: float, window: tuple[float, float], said: bool) -> None:
    acq = acquisition({LI7: 50_000}, fwhm=fwhm)
    found = [w for w in window_warnings(acq, {"7Li": window}) if "6LiH+" in w]
    assert len(found) == said
    assert not [w for w in window_warnings(acq, {"other": window}) if "6LiH+" in w]


@pytest.mark.parametrize(
    ("number", "step", "told"), [(50_000, 1, True), (60, 1, False), (50_000, 40, False)]
)
def test_a_resolution_is_told_only_where_it_is_seen(number: int, step: int, told: bool) -> None:
    """Not from a few ions, nor from bins (here of 20 mu) as wide as the peak."""
    mass, counts = spectrum({LI7: number}, fwhm=0.02)
    whole = len(mass) // step * step
    mass = mass[:whole].reshape(-1, step).mean(axis=1)
    counts = counts[:whole].reshape(-1, step).sum(axis=1)
    acq = replace(acquisition({}), spectrum_source=lambda: (mass, counts))
    (text,) = (w for w in window_warnings(acq, {"7Li": (6.95, 7.08)}) if "6LiH+" in w)
    assert ("has about" in text) == told
    if told:
        stated = float(text.split("has about ")[1].split(".")[0])
        assert stated == pytest.approx(7.0155 / 0.02, rel=0.3)


def counts_of(n6: int, n7: int, pulses: Any) -> Acquisition:
    counts = np.zeros((2, 3, 10, 10), int)
    counts[0], counts[1] = n6, n7
    return Acquisition(counts, ("6Li", "7Li"), np.array([6.0, 7.0]), (1e-6, 1e-6), pulses)


def test_saturation() -> None:
    assert general_warnings(counts_of(1, 5, np.full((1, 1, 1), 100))) == []
    (close,) = general_warnings(counts_of(1, 30, np.full((1, 1, 1), 100)))
    assert "7Li comes to 0.30 ions a pulse" in close
    (full,) = general_warnings(counts_of(1, 90, np.full((1, 1, 1), 100)))
    assert "7Li is saturated in 100 pixels" in full


def test_single_ions_of_single_pulses_are_no_saturation() -> None:
    """As in PHI's scattered rasters: one pulse a pixel and frame, 0 or 1 ions in it."""
    rng = np.random.default_rng(4)
    one = np.full((1, 1, 1), 1)

    def said(rate: float) -> list[str]:
        counts = rng.binomial(1, 1 - np.exp(-rate), (1, 1, 64, 64))
        return general_warnings(Acquisition(counts, ("7Li",), np.array([7.0]), (1e-6, 1e-6), one))

    assert said(0.02) == []
    (close,) = said(0.3)
    assert "too low without the dead-time correction" in close
    (full,) = said(5.0)
    assert "saturated in 4096 pixels" in full


def test_what_is_missing_is_said() -> None:
    unknown = Acquisition(np.ones((1, 1, 4, 4), int), ("a",), np.array([np.nan]))
    said = general_warnings(unknown)
    assert any("pixel size" in w for w in said)
    assert any("pulses" in w for w in said)
    # A spectrum alone has no pixels to speak of.
    spot = Acquisition(np.ones((1, 1, 1, 1), int), ("a",), np.array([np.nan]))
    assert general_warnings(spot) == []
