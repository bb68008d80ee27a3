"""Spectra with traces of lithium and depth profiles, exported by an instrument's software."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.readers.iontof import text as iontof_text


@pytest.fixture
def folder(shared_data: Path) -> Path:
    return shared_data / "iontof_txt"


@pytest.fixture
def spectra(folder: Path) -> list[Path]:
    found = sorted(folder.glob("P_*.txt"))
    assert len(found) == 11
    return found


def fraction(acq: liso.Acquisition) -> tuple[float, float]:
    """6Li / (6Li + 7Li) and its standard error."""
    n6, n7 = float(acq["6Li"].sum()), float(acq["7Li"].sum())
    value = n6 / (n6 + n7)
    return value, float(np.sqrt(value * (1 - value) / (n6 + n7)))


def test_lithium_anchor(spectra: list[Path]) -> None:
    """Windows that are found give the isotope fraction of the summed spectra."""
    acq = liso.read(spectra, windows=["6Li", "7Li"])
    assert acq.counts.shape == (2, 11, 1, 1)
    assert 0.070 < fraction(acq)[0] < 0.085
    # Windows 5.98-6.05 and 6.97-7.06, which hold all of both peaks, give these sums.
    assert acq["6Li"].sum() == pytest.approx(10_403, rel=0.005)
    assert acq["7Li"].sum() == pytest.approx(123_215, rel=0.005)
    assert acq.metadata["counts_are"].startswith("dead-time corrected, not counts")
    assert any("dead-time corrected" in text for text in acq.metadata["warnings"])
    json.dumps(acq.metadata, allow_nan=False)


def test_every_spectrum_with_enough_lithium(spectra: list[Path]) -> None:
    enough = 0
    for path in spectra:
        acq = liso.read(path, windows={"6Li": (5.97, 6.06), "7Li": (6.955, 7.075)})
        by_hand = fraction(acq)
        if acq["6Li"].sum() < 40:
            with pytest.raises(ValueError, match="too few"):
                liso.read(path, windows=["6Li", "7Li"])
            continue
        enough += 1
        value, error = fraction(liso.read(path, windows=["6Li", "7Li"]))
        assert value == pytest.approx(by_hand[0], rel=0.02), path.name
        assert 0.070 - 2 * error < value < 0.085 + 2 * error, path.name
    assert enough == 9


@pytest.mark.parametrize("number", [2, 6])
def test_sums_of_some_spectra(spectra: list[Path], number: int) -> None:
    """Whichever spectra are summed, both windows hold the same share of their peaks."""
    rng = np.random.default_rng(number)
    for _ in range(2):
        chosen = [spectra[k] for k in rng.choice(11, number, replace=False)]
        whole = liso.read(chosen, windows={"6Li": (5.95, 6.1), "7Li": (6.95, 7.1)})
        if whole["6Li"].sum() < 100:
            continue
        found = liso.read(chosen, windows=["6Li", "7Li"])
        assert fraction(found)[0] == pytest.approx(fraction(whole)[0], rel=0.01)


def test_the_spectra_themselves(spectra: list[Path]) -> None:
    path = spectra[0]
    rows = [line.split("\t") for line in path.read_text().splitlines()[3:]]
    acq = liso.read(path)
    mass, intensity = acq.spectrum()
    np.testing.assert_array_equal(mass, [float(row[1]) for row in rows])
    np.testing.assert_array_equal(intensity, [float(row[2]) for row in rows])
    assert acq.counts.dtype.kind == "f"
    assert acq.counts.shape == (1, 1, 1, 1)
    assert acq["total"].item() == sum(float(row[2]) for row in rows)
    assert acq.metadata["channels_per_bin"] == 200
    summed = liso.read(spectra).spectrum()[1].sum()
    assert summed == pytest.approx(sum(liso.read(one)["total"].item() for one in spectra))


def test_depth_profiles(folder: Path) -> None:
    for path in sorted(folder.glob("I24*.txt")):
        lines = [line.split("\t") for line in path.read_text().splitlines()]
        rows = lines[4:]
        acq = liso.read(path)
        assert acq.counts.shape == (101, len(rows), 1, 1)
        assert acq.metadata["polarity"] == "positive"
        column = lines[1].index("^118Sn+")
        expected = [float(row[column]) for row in rows]
        np.testing.assert_array_equal(acq.counts[acq.channels.index("118Sn"), :, 0, 0], expected)
        assert acq.masses[acq.channels.index("118Sn")] == 117.8989
        assert acq.metadata["sputter_time_s"] == [float(row[1]) for row in rows]
        fluence = [1e4 * float(row[3]) for row in rows]
        assert acq.metadata["fluence_per_m2"] == pytest.approx(fluence)
        assert "SnO (135.9143 u)" in acq.channels
        assert "SnO (135.8979 u)" in acq.channels
        assert acq.metadata["names_in_file"][acq.channels.index("118Sn")] == "^118Sn+"
        assert "Sn+ / ( Pb+ )" in acq.metadata["columns_left_out"]
        assert np.isfinite(np.asarray(acq.counts)).all()
        assert acq.metadata["counts_are"].startswith("dead-time corrected, not counts")
        with pytest.raises(ValueError, match="no mass axis"):
            liso.read(path, windows={"6Li": (6, 7)})
        json.dumps(acq.metadata, allow_nan=False)


def test_nothing_else_in_the_folders_is_claimed(shared_data: Path, repository: Path) -> None:
    texts = [
        path
        for root in (shared_data, repository / "docs")
        for suffix in ("*.txt", "*.csv", "*.md", "*.json", "*LICENSE*")
        for path in root.rglob(suffix)
        if path.is_file() and path.parent.name != "iontof_txt"
    ]
    texts += [repository / "pyproject.toml", *shared_data.glob("iontof_txt/LICENSE*")]
    assert texts
    assert [path for path in texts if iontof_text.recognise(path)] == []
