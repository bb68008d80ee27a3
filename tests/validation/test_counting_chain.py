"""From ions to a fraction and back: a detector simulated pulse by pulse, all of it measured."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import napari_liso as liso
from napari_liso import Corrections

PULSES, FRAMES, SIZE = 12, 12, 40
ALPHA, HYDRIDE = 1.06, 0.03
OFF_PEAK = 2.0  # its window is twice as wide as that of a peak
BACKGROUND = 0.004  # ions a pulse under either peak


def detected(rng: np.random.Generator, per_pulse: Any) -> Any:
    """Ions of every pulse, of which the detector sees the first; summed over the pulses."""
    arrivals = rng.poisson(per_pulse, (PULSES, FRAMES, SIZE, SIZE))
    return (arrivals > 0).sum(axis=0)


def measure(fraction: float, seed: int) -> dict[str, Any]:
    """Counts of masses 6, 7 and 8 and of a window beside a peak, of a sample."""
    rng = np.random.default_rng(seed)
    # Topography and a beam that fades, which the fraction does not depend on.
    light = rng.uniform(0.3, 0.9, (SIZE, SIZE)) * np.linspace(1, 0.7, FRAMES)[:, None, None]
    odds = ALPHA * fraction / (1 - fraction)
    six, seven = light * odds / (1 + odds), light / (1 + odds)
    return {
        "n6": detected(rng, six + BACKGROUND),
        "n7": detected(rng, seven + HYDRIDE * six + BACKGROUND),
        "n8": detected(rng, HYDRIDE * seven),
        "off_peak": detected(rng, OFF_PEAK * np.full((SIZE, SIZE), BACKGROUND)),
    }


@pytest.fixture(scope="module")
def corrections() -> Corrections:
    """All of them from a sample of natural lithium, none of them told."""
    natural = measure(0.0759, 1)
    background = liso.background_from_window(natural["off_peak"], 1 / OFF_PEAK)
    hydride = liso.hydride_ratio_from_mass8(
        natural["n6"], natural["n7"], natural["n8"], pulses=PULSES
    )
    made = Corrections(background=(background, background), hydride_ratio=hydride)
    factor = liso.fractionation_from_reference(
        natural["n6"], natural["n7"], 0.0759, made, pulses=PULSES
    )
    return Corrections(background=made.background, hydride_ratio=hydride, fractionation=factor)


def test_what_is_measured_is_what_was_simulated(corrections: Corrections) -> None:
    for found, truth in (
        (corrections.background[0], BACKGROUND * PULSES * FRAMES),
        (corrections.hydride_ratio, HYDRIDE),
        (corrections.fractionation, ALPHA),
    ):
        assert found.value == pytest.approx(truth, abs=3.5 * found.error)
        assert found.error < 0.05 * truth


@pytest.mark.parametrize("fraction", [0.0759, 0.5, 0.92])
def test_the_fraction_of_the_sample_comes_back(corrections: Corrections, fraction: float) -> None:
    counts = measure(fraction, int(1e4 * fraction))
    n6, n7 = counts["n6"], counts["n7"]
    whole = liso.isotope_fraction(
        n6, n7, PULSES, bin=SIZE, confidence=0.999, **corrections.keywords
    )
    assert whole.lower[0, 0] < fraction < whole.upper[0, 0]
    assert whole.upper[0, 0] - whole.lower[0, 0] < 0.03
    # Without them it is off, but for 0.5, where they happen to make up for each other.
    plain = liso.isotope_fraction(n6, n7, bin=SIZE, confidence=0.999)
    assert fraction == 0.5 or not plain.lower[0, 0] < fraction < plain.upper[0, 0]


@pytest.mark.parametrize("fraction", [0.0759, 0.5, 0.92])
def test_pixels_are_covered(corrections: Corrections, fraction: float) -> None:
    counts = measure(fraction, int(1e4 * fraction))
    f = liso.isotope_fraction(counts["n6"], counts["n7"], PULSES, **corrections.keywords)
    seen = np.isfinite(f.value)
    assert seen.mean() > 0.99
    inside = np.mean((f.lower <= fraction)[seen] & (f.upper >= fraction)[seen])
    assert inside >= 0.95 - 3 * np.sqrt(0.95 * 0.05 / SIZE**2)
