"""What a spectrum proposes: strong peaks by name, and ions to recalibrate with."""

from __future__ import annotations

import numpy as np
import pytest

from napari_liso.readers.proposals import matrix_windows, name_of_peak, recalibration_ions

# Ion masses in u: AME2020 less an electron
LI6, LI7, NA, LA = 6.014574, 7.015455, 22.989221, 138.905814


def spectrum(peaks: dict[float, int], noise: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Gaussian peaks of resolution 4000 on a grid that is even in the square root."""
    rng = np.random.default_rng(1)
    parts = [m * (1 + rng.standard_normal(n) / 9420) for m, n in peaks.items()]
    parts.append(rng.uniform(1, 200, noise))
    ticks, counts = np.unique(
        np.rint(np.sqrt(np.concatenate(parts)) / 1e-5).astype(int), return_counts=True
    )
    return (1e-5 * ticks) ** 2, counts


@pytest.mark.parametrize(
    ("mass", "name"),
    [
        (22.9892, "23Na"),
        (26.981, "27Al"),
        (27.9764, "28Si"),
        (38.963, "39K"),
        (47.9474, "48Ti"),
        (89.904, "90Zr"),
        (138.95, "139La"),  # 300 ppm off
        (45.1, "m/z 45.1"),
        (139.3, "m/z 139.3"),
    ],
)
def test_peaks_are_named_after_ions_of_electrolytes(mass: float, name: str) -> None:
    assert name_of_peak(mass) == name


def test_the_strongest_peaks_but_lithium_are_the_matrix() -> None:
    peaks = {LI6: 8000, LI7: 90000, NA: 700, 89.90415: 5000, LA: 9000, 45.1: 3000}
    windows = matrix_windows(*spectrum(peaks, noise=20000), number=3)
    assert list(windows) == ["139La", "90Zr", "m/z 45.1"]
    for mass, (low, high) in zip((LA, 89.90415, 45.1), windows.values(), strict=True):
        assert low < mass < high
        assert high - low < 1e-3 * mass


def test_known_ions_go_before_hydrocarbons_somewhat_stronger() -> None:
    peaks = {43.0542: 9000, 41.0386: 8000, 55.0542: 7000, LA: 4000, NA: 500}
    assert list(matrix_windows(*spectrum(peaks), number=2)) == ["139La", "m/z 43.1"]


def test_peaks_of_a_stale_calibration_are_found_where_they_are() -> None:
    mass, counts = spectrum({LI7: 9000, LA: 9000})
    (window,) = matrix_windows(mass * 1.0006, counts).values()
    assert window[0] < LA * 1.0006 < window[1]
    assert not window[0] < LA < window[1]


def test_isotopes_of_the_matrix_have_equal_shares_of_their_peaks() -> None:
    # tails: a tenth of each peak is an exponential to higher masses
    rng = np.random.default_rng(5)
    parts = []
    for mass, number in ((62.929048, 69150), (64.927241, 30850)):
        offset = rng.standard_normal(number) / 9420
        offset[: number // 10] += rng.exponential(6e-4, number // 10)
        parts.append(mass * (1 + offset))
    ticks, counts = np.unique(
        np.rint(np.sqrt(np.concatenate(parts)) / 1e-5).astype(int), return_counts=True
    )
    mass = (1e-5 * ticks) ** 2
    windows = matrix_windows(mass, counts)
    n63, n65 = (
        counts[(mass >= low) & (mass < high)].sum()
        for low, high in (windows["63Cu"], windows["65Cu"])
    )
    assert n65 / (n63 + n65) == pytest.approx(0.3085, abs=0.003)


@pytest.mark.parametrize("peaks", [{}, {LI7: 5000}, {NA: 30}])
def test_nothing_is_proposed_where_nothing_stands_out(peaks: dict[float, int]) -> None:
    assert matrix_windows(*spectrum(peaks, noise=3000)) == {}


def test_an_empty_spectrum_proposes_nothing() -> None:
    assert matrix_windows([], []) == {}
    assert recalibration_ions([], []) == ()


@pytest.mark.parametrize(
    ("peaks", "ions"),
    [
        ({1.007276: 900, LI7: 900, NA: 900}, ("H", "7Li")),
        ({LI7: 900, NA: 900, LA: 900}, ("7Li", "Na")),
        ({NA: 900, LA: 900}, ("Na",)),
    ],
)
def test_ions_to_recalibrate_with_are_those_that_are_seen(
    peaks: dict[float, int], ions: tuple[str, ...]
) -> None:
    mass, counts = spectrum(peaks)
    assert recalibration_ions(mass * 1.001, counts) == ions
