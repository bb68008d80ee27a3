"""Counts that stay in their own file: they come back the same, or not at all and say so."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sims_h5_writer import write_archive

import napari_liso as liso
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.phi import simsh5
from napari_liso.session import Session

WINDOWS = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}


@pytest.fixture
def cubes() -> dict[int, np.ndarray]:
    """Counts by time bin, (frame, y, x); sqrt(m) = 0.4 t - 1.5, t in us."""
    rng = np.random.default_rng(4)
    bins = [round((np.sqrt(mass) + 1.5) / 0.4 * 1e6) for mass in (6.0, 6.02, 7.0, 7.03)]
    return {one: rng.poisson(3, (4, 12, 16)).astype(np.int64) for one in bins}


@pytest.fixture
def measurement(
    tmp_path: Path, cubes: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> liso.Acquisition:
    """Read frame by frame, as large files are."""
    monkeypatch.setattr(simsh5, "_DENSE", 0)
    monkeypatch.setattr(simsh5, "as_counts", lambda counts: counts)
    folder = tmp_path / "raw"
    folder.mkdir()
    path = write_archive(folder / "map.h5", cubes, pitch_um=0.5)
    found = liso.read(path, WINDOWS)
    assert isinstance(found.counts, LazyCounts)
    return found


@pytest.fixture
def saved(tmp_path: Path, measurement: liso.Acquisition) -> Path:
    return liso.save(tmp_path / "a.liso", Session(measurement))


def truth(cubes: dict[int, np.ndarray]) -> np.ndarray:
    first, second, third, fourth = (cubes[b] for b in sorted(cubes))
    return np.stack([first + second, third + fourth])[:, :, ::-1]  # the file counts rows upward


def test_frames_are_read_from_the_file(saved: Path, cubes: dict[int, np.ndarray]) -> None:
    session = liso.load(saved)
    assert session.missing == []
    assert np.array_equal(np.asarray(session.acquisition.counts), truth(cubes))
    assert session.acquisition.counts.dtype.kind == "u"


def test_the_session_holds_sums_not_frames(
    saved: Path, measurement: liso.Acquisition, cubes: dict[int, np.ndarray]
) -> None:
    Path(measurement.metadata["path"]).unlink()
    session = liso.load(saved)
    for i, name in enumerate(("6Li", "7Li")):
        assert np.array_equal(session.acquisition[name], truth(cubes)[i].sum(axis=0))
    assert "map.h5 cannot be found" in session.missing[0]
    with pytest.raises(FileNotFoundError, match="Give its new place"):
        np.asarray(session.acquisition.counts)


def test_the_spectrum_is_read_from_the_file(saved: Path, measurement: liso.Acquisition) -> None:
    mass, counts = liso.load(saved).acquisition.spectrum()
    expected = measurement.spectrum()
    assert np.array_equal(mass, expected[0])
    assert np.array_equal(counts, expected[1])


@pytest.mark.parametrize("how", ["folder", "file", "mapping by path", "mapping by name", "beside"])
def test_a_file_that_moved_is_found(
    how: str,
    tmp_path: Path,
    saved: Path,
    measurement: liso.Acquisition,
    cubes: dict[int, np.ndarray],
) -> None:
    old = Path(measurement.metadata["path"])
    new = tmp_path / ("map.h5" if how == "beside" else "other/map.h5")
    new.parent.mkdir(exist_ok=True)
    old.rename(new)
    sources = {
        "folder": new.parent,
        "file": new,
        "mapping by path": {str(old): new},
        "mapping by name": {"map.h5": str(new)},
        "beside": None,
    }[how]
    session = liso.load(saved, sources)
    assert session.missing == []
    assert session.acquisition.metadata["path"] == str(new)
    assert np.array_equal(np.asarray(session.acquisition.counts), truth(cubes))


def test_another_file_in_its_place_is_refused(
    saved: Path, measurement: liso.Acquisition, cubes: dict[int, np.ndarray]
) -> None:
    path = Path(measurement.metadata["path"])
    other = {key: cube[::-1] for key, cube in cubes.items()}  # of the same sums
    write_archive(path, other, pitch_um=0.5)
    session = liso.load(saved)
    with pytest.raises(liso.FormatError, match="SHA-256 differs"):
        np.asarray(session.acquisition.counts)
    with pytest.raises(liso.FormatError, match="SHA-256 differs"):
        session.acquisition.spectrum()


def test_a_loaded_session_can_be_saved_again(
    tmp_path: Path, saved: Path, cubes: dict[int, np.ndarray]
) -> None:
    again = liso.load(liso.save(tmp_path / "b.liso", liso.load(saved)))
    assert np.array_equal(np.asarray(again.acquisition.counts), truth(cubes))


def test_recalibrated_windows_are_read_again(
    tmp_path: Path, measurement: liso.Acquisition
) -> None:
    path = measurement.metadata["path"]
    seen = {"6Li": 6.01, "7Li": 7.014}
    found = liso.read(path, {"7Li": (6.95, 7.05)}, recalibrate=seen)
    again = liso.load(liso.save(tmp_path / "b.liso", Session(found))).acquisition
    assert np.array_equal(np.asarray(again.counts), np.asarray(found.counts))
    assert np.array_equal(again.spectrum()[0], found.spectrum()[0])


def test_counts_of_no_file_are_embedded(tmp_path: Path) -> None:
    cube = np.random.default_rng(0).integers(0, 9, (1, 3, 4, 5))
    lazy = LazyCounts(cube.shape, np.int64, lambda channel, frame: cube[channel, frame])
    session = Session(liso.Acquisition(lazy, ("a",), np.array([1.0])))
    path = liso.save(tmp_path / "a.liso", session)
    assert np.array_equal(liso.load(path).acquisition.counts, cube)


def test_too_many_counts_of_no_file_are_refused(tmp_path: Path) -> None:
    lazy = LazyCounts((1, 2000, 2000, 2000), np.int64, lambda channel, frame: np.zeros(1))
    with pytest.raises(ValueError, match="sum frames first"):
        liso.save(tmp_path / "a.liso", Session(liso.Acquisition(lazy, ("a",), np.array([1.0]))))
