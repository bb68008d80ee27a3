"""SIMS-H5: large cubes, what is remembered of a file, outlines, and damaged bytes."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from hostile import EXAMPLES, bounded, damage, fuzz
from hypothesis import given, settings
from hypothesis import strategies as st
from sims_h5_writer import write_archive

import napari_liso as liso
from napari_liso.readers import _files
from napari_liso.readers.phi import occupied as events
from napari_liso.readers.phi import simsh5

BLOCK = (
    b"AppendedBlockType: AsciiInfoBlock01\r\nAI_Calibrated: TRUE\r\n"
    b"Mass/Time: 0.401\r\nMassOffset: -1.51\r\n\x1a\x01\0\0"
)


def around(*bins: int) -> tuple[float, float]:
    """A mass window that holds these time bins and no others nearby."""
    low, high = ((time * 1e-6 * 0.4 - 1.5) ** 2 for time in (min(bins) - 0.5, max(bins) + 0.5))
    return low, high


@pytest.fixture
def cubes() -> dict[int, np.ndarray]:
    rng = np.random.default_rng(1)
    return {b: rng.poisson(0.6, (3, 4, 4)) for b in (10_000_000, 10_000_050, 11_000_000)}


@pytest.mark.parametrize("mode", ["image_2d", "mosaic", "depth_profile"])
def test_cubes_too_large_for_memory_are_events(
    tmp_path: Path, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every mode, kept as events of few bytes and shown frame by frame."""
    rng = np.random.default_rng(8)
    leading = {"image_2d": (6,)}.get(mode, (2, 3))
    cubes = {9_000_000 + i: rng.poisson(0.7, (*leading, 4, 5)) for i in range(4)}
    cubes[9_000_001].flat[7] = 300
    path = write_archive(tmp_path / "a.h5", cubes, mode=mode, tile_xy=[(0, 0), (1, 0)])
    dense = liso.read(path)
    monkeypatch.setattr(simsh5, "_DENSE", 0)
    monkeypatch.setattr(simsh5, "_SLAB", 7)
    monkeypatch.setattr(events, "_FEW", 3)
    monkeypatch.setattr(simsh5, "as_counts", lambda counts: counts)
    sparse = liso.read(path)
    assert isinstance(sparse.counts, events.EventCounts)
    np.testing.assert_array_equal(sparse.counts, dense.counts)
    upward = sum(cubes.values())
    if mode == "mosaic":
        expected = np.concatenate([upward[0], upward[1]], axis=-1)
    else:
        expected = upward.reshape(6, 4, 5)
    np.testing.assert_array_equal(dense.counts[0], expected[:, ::-1])
    (parts,) = sparse.counts._channels
    assert {part.voxel.dtype for part in parts} == {np.dtype(np.uint32)}
    assert {part.count.dtype for part in parts} == {np.dtype(np.uint8), np.dtype(np.uint16)}


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files that were just written are remembered as if they were old."""
    monkeypatch.setattr(_files, "_SETTLED_NS", -(10**18))


def test_what_was_read_is_remembered(
    tmp_path: Path, cubes: dict[int, np.ndarray], settled: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes)
    first = liso.read(path, windows={"x": around(11_000_000)})
    spectrum = first.spectrum()
    first.metadata["calibration"]["slope"] = 0.0  # one's own copy

    def again(*arguments: object) -> None:
        raise AssertionError("this was read already")

    monkeypatch.setattr(simsh5, "read_facts", again)
    monkeypatch.setattr(simsh5, "_spectrum", again)
    monkeypatch.setattr(_files, "_sha256", again)
    second = liso.read(path, windows={"x": around(10_000_000, 10_000_050)})
    both = cubes[10_000_000] + cubes[10_000_050]
    np.testing.assert_array_equal(second.counts[0], both[:, ::-1])
    assert second.metadata["sha256"] == first.metadata["sha256"]
    assert second.metadata["calibration"]["slope"] == 0.4
    for one, other in zip(spectrum, second.spectrum(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_changed_file_is_read_anew(
    tmp_path: Path, cubes: dict[int, np.ndarray], settled: None
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes)
    before = liso.read(path)
    more = {time: cube + 1 for time, cube in cubes.items()}
    write_archive(path, more)
    after = liso.read(path)
    np.testing.assert_array_equal(after.counts[0], sum(more.values())[:, ::-1])
    assert after.spectrum()[1].sum() == sum(int(c.sum()) for c in more.values())
    assert after.metadata["sha256"] != before.metadata["sha256"]


def test_a_file_written_just_now_is_not_remembered(tmp_path: Path) -> None:
    """It may be written again before the clock of the file system moves on."""
    path = tmp_path / "a"
    path.write_bytes(b"one")
    found: _files.Remembered[bytes] = _files.Remembered(2)
    assert found.get(path, path.read_bytes) == b"one"
    assert found.get(path, lambda: b"two") == b"two"


def test_outline(shared_data: Path) -> None:
    real = shared_data / "simsh5" / "PowerCo-102-Pos-Cu_Grid.h5"
    text = "\n".join(simsh5.outline(real))
    for part in (
        "mass_csr", "pixel_id", "174403 cells of 94242 time bins", "image_2d of (6, 256, 256)",
        "calibration (appended block of 09/22/2025 15:38:35): sqrt(m) = 0.37976 * t_us -1.58662",
        "superseded (header): sqrt(m) = 0.3798407", "odd: The mass scale was recalibrated",
    ):  # fmt: skip
        assert part in text


def test_outline_of_a_damaged_file_lists_and_says_why(
    tmp_path: Path, cubes: dict[int, np.ndarray]
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes)
    with h5py.File(path, "r+") as file:
        file["data/mass_csr/indptr"][1] = 10**6
    lines: list[str] = []

    def follow() -> None:
        for line in simsh5.outline(path):
            lines.append(line)

    with pytest.raises(liso.FormatError, match="index from mass"):
        follow()
    assert any("indptr" in line for line in lines)


@settings(fuzz, max_examples=max(4, EXAMPLES // 15))  # each starts a process
@given(data=st.data())
def test_damaged_bytes(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    """An error, or the counts that were written; a hang is ended by the examination."""
    folder = tmp_path_factory.getbasetemp()
    cubes = {b: np.random.default_rng(b).poisson(2.0, (2, 6, 5)) for b in (9_000_000, 9_500_000)}
    whole = write_archive(folder / "simsh5_whole.h5", cubes, blocks=[BLOCK])
    path = folder / "simsh5_fuzz.h5"
    path.write_bytes(data.draw(damage(whole.read_bytes())))
    if not simsh5.recognise(path):
        return
    with bounded(seconds=60):
        try:
            acq = simsh5.read(path)
        except liso.FormatError:
            return
    np.testing.assert_array_equal(acq["total"], sum(cubes.values()).sum(axis=0)[::-1])
