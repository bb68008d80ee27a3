"""SIMS-H5: against the independent `simsh5` package, and on written archives."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
from sims_h5_writer import write_archive

import napari_liso as liso
from napari_liso.readers import _hdf5, recognise
from napari_liso.readers.phi import simsh5
from napari_liso.readers.windows import observed_windows

COPPER = {"63Cu": 62.92960 - 0.00055, "65Cu": 64.92779 - 0.00055}  # ions: less an electron
NATURAL_65 = 0.3085
# Header and appended block of the real file, as written there.
STALE = (0.3798407, -1.5871250)
APPENDED = (0.379760, -1.586620)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    return shared_data / "simsh5" / "PowerCo-102-Pos-Cu_Grid.h5"


def bin_mass(time_bin: float, slope: float = 0.4, offset: float = -1.5) -> float:
    return (time_bin * 1e-6 * slope + offset) ** 2


def around(*bins: int) -> tuple[float, float]:
    """A mass window that holds these time bins and no others nearby."""
    return bin_mass(min(bins) - 0.5), bin_mass(max(bins) + 0.5)


@pytest.fixture
def cubes() -> dict[int, np.ndarray]:
    rng = np.random.default_rng(1)
    cubes = {b: rng.poisson(0.6, (3, 4, 4)) for b in (10_000_000, 10_000_050, 11_000_000)}
    cubes[10_000_050][1, 2, 3] = 700
    cubes[11_000_000][0, 0, 0] = 255
    return cubes


# --- the instrument's file ---------------------------------------------------


def test_total_equals_the_makers_own_reader(real: Path) -> None:
    maker = pytest.importorskip("simsh5")
    acq = liso.read(real)
    with maker.open_archive(real) as archive:
        expected = maker.total_ion_image(archive)
    assert acq.channels == ("total",)
    assert acq.counts.shape == (1, 6, 256, 256)
    assert acq.counts.dtype.kind == "u"
    # The maker's image has its origin at the lower left.
    np.testing.assert_array_equal(acq["total"], expected[::-1])
    assert acq["total"].sum() == 174_405


@pytest.mark.parametrize("window", [(22.9, 23.1), (38.9, 39.1), (62.5, 63.5), (132.8, 133.0)])
def test_windows_equal_the_makers_own_reader(real: Path, window: tuple[float, float]) -> None:
    maker = pytest.importorskip("simsh5")
    image = liso.read(real, windows={"peak": window})["peak"]
    # The other reader uses the stale calibration: give it the same flight times.
    times = [(np.sqrt(m) - APPENDED[1]) / APPENDED[0] for m in window]
    stale = [(t * STALE[0] + STALE[1]) ** 2 for t in times]
    with maker.open_archive(real) as archive:
        expected = maker.ion_image(archive, *stale)
    assert expected.sum() > 100
    np.testing.assert_array_equal(image, expected[::-1])


def test_copper_is_natural_on_the_observed_peaks(real: Path) -> None:
    windows = observed_windows(*liso.read(real).spectrum(), COPPER)
    acq = liso.read(real, windows=windows)
    n63, n65 = (int(acq[name].sum()) for name in ("63Cu", "65Cu"))
    fraction = n65 / (n63 + n65)
    error = np.sqrt(NATURAL_65 * (1 - NATURAL_65) / (n63 + n65))
    assert n63 + n65 > 3000
    assert abs(fraction - NATURAL_65) < 2 * error


def test_appended_calibration_wins_and_is_told(real: Path) -> None:
    acq = liso.read(real)
    used = acq.metadata["calibration"]
    assert (used["slope"], used["offset"]) == APPENDED
    assert "appended block of 09/22/2025 15:38:35" in used["source"]
    assert all((c["slope"], c["offset"]) == STALE for c in acq.metadata["calibration_superseded"])
    assert any("recalibrated" in w for w in acq.metadata["warnings"])
    # Caesium, the strongest line of the file, is where it belongs only with the newer one.
    mass, counts = acq.spectrum()
    near = np.abs(mass - 132.905) < 0.2
    strongest = np.median(np.repeat(mass[near], counts[near]))
    assert strongest == pytest.approx(132.90490, rel=30e-6)


def test_what_the_real_file_says(real: Path) -> None:
    acq = liso.read(real)
    assert acq.pixel_size == pytest.approx((80e-6 / 256, 80e-6 / 256))
    # 8.072765 s a frame / 123.181 us a pulse = 65536 +- 1 pulses for 256 x 256 pixels
    assert np.asarray(acq.pulses).tolist() == [[[1]]]
    assert not any("pulses" in w for w in acq.metadata["warnings"])
    facts = acq.metadata
    assert facts["polarity"] == "positive"
    assert facts["frames"] == 6
    assert facts["frames_in_header"] == "5"
    assert facts["stage_temperature_K"] == 273.15
    assert facts["primary_ion"] == "Bi3 +"
    assert facts["sha256"] == "ace486a97098cb528f5c57effec49edc79bdeefcd6ef0f18a0cc4b6ab440016f"
    assert json.loads(json.dumps(facts)) == facts
    mass, counts = acq.spectrum()
    assert counts.sum() == 174_405
    assert np.all(np.diff(mass) > 0)


def test_the_pulses_of_frames_that_were_added_up_are_not_known(real: Path, tmp_path: Path) -> None:
    summed = tmp_path / "summed.h5"
    summed.write_bytes(real.read_bytes())
    with h5py.File(summed, "r+") as file:
        file["geometry"].attrs["frames_summed"] = True
    acq = liso.read(summed)
    assert acq.pulses is None
    assert any("pulses" in w for w in acq.metadata["warnings"])


def test_recognised_by_content(real: Path, tmp_path: Path) -> None:
    renamed = tmp_path / "thing.raw"
    renamed.write_bytes(real.read_bytes())
    assert recognise(renamed) == "SIMS-H5"
    other = tmp_path / "other.h5"
    with h5py.File(other, "w") as file:
        file["x"] = [1]
    assert recognise(other) is None
    with pytest.raises(liso.FormatError, match="no format"):
        liso.read(other)


# --- written archives --------------------------------------------------------


@pytest.mark.parametrize("storage", [{}, {"compression": "gzip", "chunks": (7,)}])
def test_counts_frames_and_orientation(
    tmp_path: Path, cubes: dict[int, np.ndarray], storage: dict[str, object]
) -> None:
    if storage:
        cubes = cubes | {12_000_000 + i: cubes[11_000_000] for i in range(9)}
    path = write_archive(tmp_path / "a.h5", cubes, **storage)
    acq = liso.read(
        path,
        windows={"both": around(10_000_000, 10_000_050), "one": around(11_000_000)},
    )
    expected = [cubes[10_000_000] + cubes[10_000_050], cubes[11_000_000]]
    np.testing.assert_array_equal(acq.counts, np.array(expected)[:, :, ::-1])
    assert acq["both"].max() >= 700
    assert acq.masses == pytest.approx([bin_mass(10_000_025), bin_mass(11_000_000)], rel=1e-9)
    mass, counts = acq.spectrum()
    assert mass == pytest.approx([bin_mass(b) for b in sorted(cubes)])
    assert counts.tolist() == [int(cubes[b].sum()) for b in sorted(cubes)]


def test_ways_of_collecting_agree(
    tmp_path: Path, cubes: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many pieces, merged now and then, equal one dense count."""
    path = write_archive(tmp_path / "a.h5", cubes)
    dense = liso.read(path)
    monkeypatch.setattr(simsh5, "_DENSE", 0)
    monkeypatch.setattr(simsh5, "_SLAB", 5)
    sparse = liso.read(path)
    np.testing.assert_array_equal(dense.counts, sparse.counts)
    np.testing.assert_array_equal(dense.counts[0], sum(cubes.values())[:, ::-1])
    np.testing.assert_array_equal(sparse.spectrum()[1], dense.spectrum()[1])


def test_facts_of_a_cold_stage(tmp_path: Path, cubes: dict[int, np.ndarray]) -> None:
    acq = liso.read(write_archive(tmp_path / "a.h5", cubes))
    assert acq.metadata["stage_temperature_K"] == pytest.approx(163.15)
    assert acq.metadata["polarity"] == "negative"
    # 40 um over 4 pixels; neither the other gun's raster nor the "calibration" count.
    assert acq.pixel_size == pytest.approx((10e-6, 10e-6))


def test_spatial_calibration_wins_over_the_header(
    tmp_path: Path, cubes: dict[int, np.ndarray]
) -> None:
    acq = liso.read(write_archive(tmp_path / "a.h5", cubes, pitch_um=2.5))
    assert acq.pixel_size == pytest.approx((2.5e-6, 2.5e-6))


def test_no_pixel_size_is_none(tmp_path: Path, cubes: dict[int, np.ndarray]) -> None:
    acq = liso.read(write_archive(tmp_path / "a.h5", cubes, header=None))
    assert acq.pixel_size is None
    assert any("pixel size" in w for w in acq.metadata["warnings"])


def test_window_edges_low_in_high_out(tmp_path: Path) -> None:
    cubes = {b: np.full((1, 2, 2), 1) for b in (128 * 80_000, 128 * 80_001)}
    archive = {b // 128: c for b, c in cubes.items()}
    path = write_archive(tmp_path / "a.h5", archive, width_ps=128, coefficients=(0.5, 0.0),
                         header=None)  # fmt: skip
    low, high = ((b * 1e-6 * 0.5) ** 2 for b in cubes)
    assert liso.read(path, windows={"x": (low, high)})["x"].sum() == 4
    mass, _ = liso.read(path).spectrum()
    assert mass == pytest.approx([low, high])


def test_mosaic_tiles_go_side_by_side(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    cube = rng.poisson(2.0, (3, 2, 4, 5))  # tile, frame, y, x
    where = [(0, 0), (1, 0), (1, 1)]  # column, row from the lower left
    path = write_archive(tmp_path / "m.h5", {9_000_000: cube}, mode="mosaic", tile_xy=where)
    acq = liso.read(path)
    upward = np.zeros((2, 8, 10), int)
    upward[:, :4, :5], upward[:, :4, 5:], upward[:, 4:, 5:] = cube
    np.testing.assert_array_equal(acq.counts[0], upward[:, ::-1])
    assert any("1 tiles" in w for w in acq.metadata["warnings"])


def test_depth_profile_cycles_are_frames(tmp_path: Path) -> None:
    cube = np.arange(2 * 3 * 2 * 2).reshape(2, 3, 2, 2)
    path = write_archive(
        tmp_path / "d.h5", {9_000_000: cube}, mode="depth_profile", sputter_time=[0.0, 5.0]
    )
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[0], cube.reshape(6, 2, 2)[:, ::-1])
    assert acq.metadata["sputter_time_s"] == [0.0, 5.0]
    assert acq.metadata["frames_per_cycle"] == 3


def block(slope: float, offset: float, calibrated: str = "TRUE") -> bytes:
    return (
        f"AppendedBlockType: AsciiInfoBlock01\r\nAI_Calibrated: {calibrated}\r\n"
        f"Mass/Time: {slope}\r\nMassOffset: {offset}\r\n"
    ).encode() + b"\x1a\x01\0\0"


def test_last_valid_appended_calibration_is_used(
    tmp_path: Path, cubes: dict[int, np.ndarray]
) -> None:
    blocks = [block(0.401, -1.51), block(0.402, -1.52), block(0.403, -1.53, "FALSE")]
    used = liso.read(write_archive(tmp_path / "a.h5", cubes, blocks=blocks)).metadata[
        "calibration"
    ]
    assert (used["slope"], used["offset"]) == (0.402, -1.52)


def test_without_a_block_the_archives_calibration_is_used(
    tmp_path: Path, cubes: dict[int, np.ndarray]
) -> None:
    facts = liso.read(write_archive(tmp_path / "a.h5", cubes)).metadata
    assert facts["calibration"]["source"] == "calibration/mass"
    assert facts["calibration_superseded"] == []


@pytest.mark.parametrize(
    ("windows", "message"),
    [
        ({}, "empty"),
        ({"a": (7.1, 6.9)}, "low < high"),
        ({"a": (0.0, 1.0)}, "low < high"),
        ({"a": (1.0, np.inf)}, "low < high"),
        ({"a": 7.0}, "must be"),
    ],
)
def test_windows_that_are_none(
    tmp_path: Path, cubes: dict[int, np.ndarray], windows: dict, message: str
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes)
    with pytest.raises(ValueError, match=message):
        liso.read(path, windows=windows)


def test_empty_window_is_zero_and_said(tmp_path: Path, cubes: dict[int, np.ndarray]) -> None:
    path = write_archive(tmp_path / "a.h5", cubes)
    acq = liso.read(path, windows={"none": (300.0, 301.0)})
    assert acq["none"].sum() == 0
    assert any("holds no counts" in w for w in acq.metadata["warnings"])


# --- files that must be refused ----------------------------------------------


def edited(path: Path, change: str) -> Path:
    """Apply Python statements to the open file ``f``."""
    with h5py.File(path, "r+") as file:
        exec(change, {"f": file, "np": np, "h5py": h5py})
    return path


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("del f['data/mass_csr/count']", "count is missing"),
        ("del f['geometry'].attrs['row_shape']", "row_shape is missing"),
        ("f['geometry'].attrs['row_shape'] = np.array([3, 4, 5])", "contradicts"),
        ("f['geometry'].attrs['row_shape'] = np.array([48])", "does not fit the mode"),
        (
            "f['geometry'].attrs['row_shape'] = np.array([1, 65536, 65535]);"
            "f['geometry'].attrs['row_count'] = 65536 * 65535",
            "65536 x 65535 pixels",
        ),
        ("f.attrs['acquisition_mode'] = 'movie'", "does not fit the mode"),
        ("f['data/mass_csr/indptr'][1] = 10**6", "index from mass"),
        ("f['data/mass_csr/mass_bin'][0] = 2**31", "ascending"),
        ("f['data/mass_csr/pixel_id'][3] = 48", "in pixel 48 of 48"),
        ("f['data/mass_csr/count'][3] += 1", "total_image"),
        ("f['data/mass_csr/pixel_id'][3] ^= 1", "total_image"),
        ("f['data/mass_csr/mass_bin'][0] -= 5000", "spectrum_mass_bin"),
        ("f['data/mass_csr/count_exceptions/nnz_index'][0] = 10**9", "above 255"),
        (
            "e = f['data/mass_csr/count_exceptions']; del e['value'];"
            "e['value'] = np.full(e['nnz_index'].shape, 2**63 + 5, 'u8')",
            "too large to add up",
        ),
        (
            "e = f['data/mass_csr/count_exceptions']; del e['value'], e['nnz_index'];"
            "e['value'] = np.array([700, 800], 'u4'); e['nnz_index'] = np.array([3, 3], 'u8')",
            "names a count twice",
        ),
        ("del f['calibration']; del f['raw_header']", "no mass calibration"),
        ("f['calibration/mass/coefficients'][0] = 0.5", "contradict"),
        ("f['calibration/mass/coefficients'][0] = np.nan", "contradict"),
        ("f['data/mass_csr'].attrs['mass_bin_width_ps'] = -1", "time bins"),
        ("f['raw_header'][0] = 65", "SOFH"),
        (
            "del f['data/mass_csr/count'];"
            "f['data/mass_csr'].create_dataset('count', (6*10**9,), 'u1', chunks=(10**6,))",
            "chunks it declares",
        ),
        (
            "del f['data/mass_csr/count'];"
            "f['data/mass_csr'].create_dataset('count', (6*10**9,), 'u1')",
            "that are not there",
        ),
        (
            "del f['data/mass_csr/count'];"
            "f['data/mass_csr'].create_dataset('count', (9*10**9,), 'u1', chunks=(10**6,))",
            "declares 9000000000 elements",
        ),
        (
            "del f['data/mass_csr/count'];"
            "f['data/mass_csr/count'] = h5py.ExternalLink('/etc/hostname', 'x')",
            "ExternalLink",
        ),
        (
            "f['d2'] = h5py.SoftLink('/data'); f.move('data', 'x'); f.move('d2', 'data')",
            "SoftLink",
        ),
        (
            "del f['data/mass_csr/count'];"
            "f['data/mass_csr'].create_dataset('count', (5,), 'u1', external='/etc/hostname')",
            "stored in another file",
        ),
        (
            "v = h5py.VirtualLayout((5,), 'u1');"
            "v[:] = h5py.VirtualSource('/etc/hostname', 'x', (5,));"
            "del f['data/mass_csr/count'];"
            "f['data/mass_csr'].create_virtual_dataset('count', v)",
            "stored in another file",
        ),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, cubes: dict[int, np.ndarray], change: str, message: str
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes)
    simsh5.validate(path)
    edited(path, change)
    with pytest.raises(liso.FormatError, match=message) as caught:
        simsh5.validate(path)
    assert caught.value.path == str(path)


def test_what_validation_finds_stops_the_reader(
    tmp_path: Path, cubes: dict[int, np.ndarray]
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes)
    liso.read(path)
    edited(path, "f['data/mass_csr/count'][3] += 1")
    with pytest.raises(liso.FormatError, match="total_image") as caught:
        liso.read(path)
    assert caught.value.path == str(path)


def test_missing_filter_names_the_extra(
    tmp_path: Path, cubes: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes, compression="gzip", chunks=(3,))
    monkeypatch.setattr(_hdf5.h5py.h5z, "filter_avail", lambda code: False)
    with pytest.raises(liso.FormatError, match=r'pip install "napari-liso\[simsh5\]"'):
        simsh5.validate(path)


def test_reads_without_hdf5plugin_where_not_needed(
    tmp_path: Path, cubes: dict[int, np.ndarray], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_archive(tmp_path / "a.h5", cubes, compression="gzip", chunks=(3,))
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    assert liso.read(path)["total"].sum() == sum(int(c.sum()) for c in cubes.values())


def test_every_truncation_is_refused(real: Path, tmp_path: Path) -> None:
    whole = real.read_bytes()
    cut = tmp_path / "cut.h5"
    for size in np.linspace(0, len(whole) - 1, 9).astype(int):
        cut.write_bytes(whole[:size])
        with pytest.raises(liso.FormatError):
            liso.read(cut)


@pytest.mark.slow
@pytest.mark.parametrize(("place", "bits"), [(582_337, 1), (2384, 128)])
def test_what_brings_hdf5_down_is_refused(
    real: Path, tmp_path: Path, place: int, bits: int
) -> None:
    """A byte in a compressed chunk crashes HDF5 1.14, one in an attribute hangs it."""
    damaged = bytearray(real.read_bytes())
    damaged[place] ^= bits
    path = tmp_path / "damaged.h5"
    path.write_bytes(damaged)
    with pytest.raises(liso.FormatError, match="damaged"):
        liso.read(path)


@pytest.mark.slow
def test_flipped_bytes_never_change_counts_unnoticed(real: Path, tmp_path: Path) -> None:
    """An error, or the same counts at the same masses; never a crash or a hang."""
    whole = bytearray(real.read_bytes())
    windows = {name: (mass - 0.05, mass + 0.05) for name, mass in COPPER.items()}
    reference = np.asarray(liso.read(real, windows).counts).sum(axis=1)
    rng = np.random.default_rng(7)
    # Half in the first 4 KiB, where the structure is.
    places = [*rng.integers(0, 4096, 20), *rng.integers(4096, len(whole), 20)]
    refused = 0
    for number, place in enumerate(places):
        damaged = whole.copy()
        damaged[place] ^= int(rng.integers(1, 256))
        path = tmp_path / f"{number}.h5"
        path.write_bytes(damaged)
        try:
            acq = liso.read(path, windows)
        except liso.FormatError:
            refused += 1
        else:
            assert acq.counts.shape == (2, 6, 256, 256)
            np.testing.assert_array_equal(np.asarray(acq.counts).sum(axis=1), reference)
            assert acq.pixel_size == pytest.approx((80e-6 / 256, 80e-6 / 256))
        path.unlink()
    assert refused > 10
