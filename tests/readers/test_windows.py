"""Windows follow the peaks that are there."""

from __future__ import annotations

import numpy as np
import pytest

from napari_liso.readers.windows import observed_window, observed_windows

RNG = np.random.default_rng(5)


def spectrum(*peaks: tuple[float, float, int]) -> tuple[np.ndarray, np.ndarray]:
    """Occupied bins of Gaussian peaks (mass, sigma, counts), as event formats give them."""
    events = np.concatenate([RNG.normal(m, s, n) for m, s, n in peaks])
    return np.unique(np.round(events, 6), return_counts=True)


@pytest.mark.parametrize("shift", [-4e-4, 0.0, 3.85e-4])
@pytest.mark.parametrize("sigma", [1e-4, 4e-4])
def test_the_window_moves_with_the_peak(shift: float, sigma: float) -> None:
    true = 7.016 * (1 + shift)
    low, high = observed_window(*spectrum((true, sigma * 7, 20_000)), near=7.016)
    assert (low + high) / 2 == pytest.approx(true, abs=0.3 * sigma * 7)
    # A Gaussian is at a twentieth of its height at 2.45 sigma.
    assert (high - low) / 2 == pytest.approx(2.45 * sigma * 7, rel=0.2)


def test_a_neighbour_ends_the_window() -> None:
    mass, counts = spectrum((7.016, 0.0008, 5000), (7.0229, 0.0015, 4000))
    low, high = observed_window(mass, counts, near=7.016, level=0.02)
    assert 7.018 < high < 7.0215
    assert 7.012 < low < 7.0145


def test_isotopes_get_windows_equally_wide_in_time() -> None:
    peaks = {"63": 62.929, "65": 64.927}
    mass, counts = spectrum((62.93, 0.008, 69_150), (64.928, 0.008 * (64.9 / 62.9) ** 0.5, 30_850))
    windows = observed_windows(mass, counts, peaks)
    widths = [np.sqrt(high) - np.sqrt(low) for low, high in windows.values()]
    assert widths[0] == pytest.approx(widths[1], rel=1e-3)
    n = {k: counts[(mass >= a) & (mass < b)].sum() for k, (a, b) in windows.items()}
    fraction = n["65"] / (n["63"] + n["65"])
    assert fraction == pytest.approx(0.3085, abs=2 * np.sqrt(0.3085 * 0.6915 / 8e4))


@pytest.mark.parametrize(
    ("power", "bias"),
    [
        (0.5, 0.004),  # peaks equally wide in time: what the windows suppose
        (1.0, 0.012),  # of equal resolution: they do not fit, and hardly matter
    ],
)
def test_the_windows_bias_no_isotope_fraction(power: float, bias: float) -> None:
    """The mean over spectra, each with a tail toward later times, against the ions put in."""
    ions, sigma = {6.0146: 8_000, 7.0155: 97_400}, 0.004
    ratios = []
    for _ in range(8):
        peaks = []
        for mass, number in ions.items():
            width = sigma * (mass / 7.0155) ** power
            peaks.append(RNG.normal(mass, width, number) + RNG.exponential(0.8 * width, number))
        mass, counts = np.unique(np.round(np.concatenate(peaks), 5), return_counts=True)
        windows = observed_windows(mass, counts, {"6Li": 6.0146, "7Li": 7.0155}, search=3e-3)
        found = [counts[(mass >= low) & (mass < high)].sum() for low, high in windows.values()]
        assert found[1] > 0.96 * ions[7.0155]
        ratios.append(found[0] / found[1] * ions[7.0155] / ions[6.0146])
    assert np.mean(ratios) == pytest.approx(1, abs=bias)


def test_too_few_counts_and_no_peak() -> None:
    with pytest.raises(ValueError, match=r"6Li near 6\.015 u: 3 counts"):
        observed_windows(*spectrum((6.015, 1e-4, 3)), {"6Li": 6.015})
    with pytest.raises(ValueError, match="still rise"):
        observed_window(*spectrum((7.016 * 1.0015, 0.003, 20_000)), near=7.016)


def test_what_is_no_spectrum() -> None:
    with pytest.raises(ValueError, match="equally long"):
        observed_window([1.0, 2.0], [1], near=1.0)
    with pytest.raises(ValueError, match="fractions"):
        observed_window([1.0], [1], near=1.0, level=2.0)


@pytest.mark.parametrize("phase", np.linspace(0, 1, 7).tolist())
@pytest.mark.parametrize("width", [0.01, 0.03, 0.06])
def test_bins_as_wide_as_the_peaks(phase: float, width: float) -> None:
    """Wherever the bins of an export begin, both windows hold all of their peaks."""
    edges = np.arange(5.5, 7.6, width) + phase * width
    counts = np.zeros(len(edges) - 1)
    for mass, number in ((6.0146, 1740), (7.0155, 20_000)):
        counts += np.histogram(RNG.normal(mass, 0.004, number), edges)[0]
    middle = (edges[1:] + edges[:-1]) / 2
    windows = observed_windows(middle, counts, {"6Li": 6.0146, "7Li": 7.0155}, search=3e-3)
    found = [counts[(middle >= low) & (middle < high)].sum() for low, high in windows.values()]
    assert found[0] / 1740 == pytest.approx(1, abs=0.03)
    assert found[1] / 20_000 == pytest.approx(1, abs=0.03)
    assert found[0] / 1740 == pytest.approx(found[1] / 20_000, abs=0.02)


def test_gaps_of_a_list_of_occupied_bins_are_no_wide_bins() -> None:
    """All ions of a peak in one bin, and others far from it: the window stays narrow."""
    mass = np.array([6.8, 7.0155, 7.12])
    low, high = observed_window(mass, [40, 5000, 30], near=7.0155)
    assert low < 7.0155 < high
    assert high - low < 0.004
