"""Windows by name and recalibration, whatever the format."""

from __future__ import annotations

import numpy as np
import pytest

from napari_liso.acquisition import Acquisition
from napari_liso.readers.peaks import Recalibration, propose_windows, read_peaks

# AME2020 less an electron, by hand.
H, LI6, LI7, NA = 1.0072765, 6.0145743, 7.0154549, 22.9892207
SHIFT = 900e-6  # of the file's calibration
RNG = np.random.default_rng(3)


def on_file(mass: float) -> float:
    """Where a stale calibration shows a mass: sqrt(m) is stretched and shifted."""
    return float(((1 + SHIFT / 2) * np.sqrt(mass) - 0.0005) ** 2)


def make_file() -> tuple[np.ndarray, np.ndarray]:
    masses = []
    for mass, number in ((H, 30_000), (LI6, 8_000), (LI7, 90_000), (NA, 20_000)):
        masses.append(RNG.normal(on_file(mass), mass / 4000, number))
    return np.unique(np.round(np.concatenate(masses), 5), return_counts=True)


FILE = make_file()
asked: list[object] = []


def reader(windows: dict[str, tuple[float, float]] | None) -> Acquisition:
    """One pixel; a format's module in small."""
    asked.append(windows)
    mass, counts = FILE
    chosen = windows or {"total": (0, np.inf)}
    sums = [counts[(mass >= low) & (mass < high)].sum() for low, high in chosen.values()]
    return Acquisition(
        np.array(sums).reshape(-1, 1, 1, 1),
        tuple(chosen),
        np.full(len(chosen), np.nan),
        metadata={"warnings": ["of the format"]},
        spectrum_source=lambda: FILE,
    )


def test_windows_by_name_hold_equal_shares_of_their_peaks() -> None:
    acq = read_peaks(reader, ["6Li", "7Li"], None)
    assert acq.channels == ("6Li", "7Li")
    n6, n7 = (int(acq[name].sum()) for name in acq.channels)
    assert n6 / (n6 + n7) == pytest.approx(8 / 98, rel=0.02)
    assert n7 > 0.8 * 90_000
    assert acq.metadata["windows_from"] == "observed peaks"
    low, high = acq.metadata["windows"]["7Li"]
    assert low < on_file(LI7) < high
    assert acq.masses[1] == pytest.approx(on_file(LI7), rel=1e-3)
    said = acq.metadata["warnings"]
    assert said[0] == "of the format"
    assert any("ppm off" in w for w in said)


def test_given_windows_are_passed_on() -> None:
    asked.clear()
    acq = read_peaks(reader, {"7Li": (7.0, 7.05)}, None)
    assert asked == [{"7Li": (7.0, 7.05)}]
    assert acq.metadata["windows"] == {"7Li": [7.0, 7.05]}
    assert acq.metadata["windows_from"] == "given"


@pytest.mark.parametrize(
    "ions", [["H", "7Li"], ["7Li", "Na"], {"H": on_file(H), "Na": on_file(NA)}]
)
def test_two_peaks_set_the_mass_scale_right(ions: object) -> None:
    window = {"7Li": (LI7 - 0.004, LI7 + 0.004)}
    acq = read_peaks(reader, window, ions)
    assert acq["7Li"].sum() > 0.96 * 90_000
    assert read_peaks(reader, window, None)["7Li"].sum() < 0.7 * 90_000
    mass, counts = acq.spectrum()
    for true in (H, LI6, LI7, NA):
        near = np.abs(mass / true - 1) < 5e-3
        assert np.average(mass[near], weights=counts[near]) == pytest.approx(true, rel=4e-5)
    assert not any("ppm off" in w for w in acq.metadata["warnings"])
    assert acq.metadata["recalibration"]["peaks"][0]["ion"] == next(iter(ions))
    assert acq.metadata["windows"] == {"7Li": list(window["7Li"])}


def test_the_mass_scale_of_negative_ions() -> None:
    """H- and Cl- are 1090 and 31 ppm above H+ and Cl+."""
    hydrogen, chlorine = 1.0078250 + 0.0005486, 34.9688527 + 0.0005486
    masses = [RNG.normal(m * 1.0005, m / 9000, 5000) for m in (hydrogen, chlorine)]
    mass, counts = np.unique(np.round(np.concatenate(masses), 5), return_counts=True)
    negative = Acquisition(
        np.ones((1, 1, 1, 1), int),
        ("total",),
        np.array([np.nan]),
        metadata={"polarity": "negative"},
        spectrum_source=lambda: (mass, counts),
    )
    moved, _ = read_peaks(lambda _: negative, None, ["H", "Cl"]).spectrum()
    for true in (hydrogen, chlorine):
        near = np.abs(moved / true - 1) < 3e-3
        assert np.average(moved[near], weights=counts[near]) == pytest.approx(true, rel=2e-5)


def test_recalibrated_and_found_by_name() -> None:
    acq = read_peaks(reader, ["7Li"], ["H", "Na"])
    assert acq.masses[0] == pytest.approx(LI7, rel=1e-3)
    total = read_peaks(reader, None, ["H", "Na"])
    assert total.channels == ("total",)
    assert "recalibration" in total.metadata


def test_there_and_back() -> None:
    scale = Recalibration.from_peaks({"H": on_file(H), "Na": on_file(NA)})
    masses = np.array([1.0, 6.0, 7.0, 180.0])
    np.testing.assert_allclose(scale.to_new(scale.to_old(masses)), masses, rtol=1e-12)
    assert scale.to_new(on_file(NA)) == pytest.approx(NA, rel=1e-6)


@pytest.mark.parametrize(
    ("ions", "message"),
    [
        ({"H": 1.0}, "two peaks"),
        (["H", "7Li", "Na"], "two peaks"),
        ({"H": 1.0, "Quartz": 60.0}, "not known"),
        (["H", "Quartz"], "no peak of Quartz"),
        ({"H": 1.0, "1H": 1.0}, "different masses"),
        ({"H": 1.0, "Na": -1.0}, "positive"),
        ({"H": 1.0, "Na": 40.0}, "stretch"),
        (["H", "Cs"], "no peak of Cs"),
    ],
)
def test_what_is_no_recalibration(ions: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_peaks(reader, None, ions)


def test_names_that_are_not_there() -> None:
    with pytest.raises(ValueError, match="Cs near"):
        propose_windows(*FILE, ["Cs"])
    with pytest.raises(ValueError, match="not known"):
        propose_windows(*FILE, ["Quartz"])


def test_channels_named_by_number() -> None:
    acq = read_peaks(reader, {"0": (6.9, 7.1), "1": (5.9, 6.1)}, None)
    assert acq.channels == ("0", "1")


def test_a_window_beyond_any_number() -> None:
    with pytest.raises(ValueError, match=r"must be \(low, high\)"):
        read_peaks(reader, {"a": (1, 10**400)}, None)
