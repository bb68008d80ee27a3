"""Arrays with named axes in HDF5, as people write them with h5py."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hostile import EXAMPLES, assert_cut_is_noticed, damage, fuzz, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.readers import _chunked, _hdf5, recognise
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.arrays import hdf5 as hdf5_array

SHAPE = (2, 3, 5, 7)

pytestmark = pytest.mark.usefixtures("examined_here")


@pytest.fixture
def counts() -> np.ndarray:
    """Channel, frame, y, x; no two planes are alike."""
    return np.random.default_rng(3).poisson(2.0, SHAPE).astype(np.uint16)


def write(
    path: Path, data: np.ndarray, axes: Any, name: str = "counts", **attributes: Any
) -> Path:
    with h5py.File(path, "a") as file:
        made = file.create_dataset(name, data=data, chunks=True, compression="gzip")
        if axes is not None:
            made.attrs["axes"] = axes
        for key, value in attributes.items():
            made.attrs[key] = value
    return path


def test_five_lines_of_h5py(apart: None, tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "map.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("counts", data=counts, compression="gzip")
        data.attrs["axes"] = "cfyx"
        data.attrs["channels"] = ["6Li", "7Li"]
        data.attrs["pixel_size_um"] = 0.3125
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq.counts, counts)
    assert acq.counts.dtype == np.uint16
    assert acq.pixel_size == pytest.approx((0.3125e-6, 0.3125e-6))
    assert np.isnan(acq.masses).all()
    assert acq.metadata["counts_are"] == "raw"
    assert acq.metadata["frames"] == 3
    assert json.loads(json.dumps(acq.metadata)) == acq.metadata
    assert recognise(path) == "HDF5 array"


def test_everything_it_can_say(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(
        tmp_path / "map.h5",
        counts,
        ["Channel", "Scan", "Row", "Column"],
        channels=np.array([b"6Li", b"7Li"]),
        masses_u=[6.015, np.nan],
        pixel_size_um=[0.5, 0.25],
        polarity="Positive",
        pulses_per_pixel=40,
    )
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    assert acq.masses[0] == 6.015
    assert np.isnan(acq.masses[1])
    assert acq.pixel_size == pytest.approx((0.5e-6, 0.25e-6))
    assert acq.metadata["polarity"] == "positive"
    assert acq.sum().pulses.max() == 120


@pytest.mark.parametrize(
    ("axes", "order"),
    [
        ("cfyx", (0, 1, 2, 3)),
        ("CTYX", (0, 1, 2, 3)),
        ("czyx", (0, 1, 2, 3)),
        ("yxcf", (2, 3, 0, 1)),
        ("fxyc", (1, 3, 2, 0)),
        ("channel, frame, y, x", (0, 1, 2, 3)),
        (["x", "y", "peak", "depth"], (3, 2, 0, 1)),
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_axes_in_any_order(
    tmp_path: Path,
    counts: np.ndarray,
    axes: Any,
    order: tuple[int, ...],
    lazy: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if lazy:
        monkeypatch.setattr(_chunked, "PLAIN_BYTES", 10)
        monkeypatch.setattr(_chunked, "_BLOCK", 200)
    path = write(tmp_path / "map.h5", counts.transpose(order), axes)
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts) == lazy
    np.testing.assert_array_equal(np.asarray(acq.counts), counts)
    np.testing.assert_array_equal(acq[acq.channels[1]], counts[1].sum(axis=0))


@pytest.mark.parametrize(
    ("part", "axes", "shape"),
    [
        ((0, 0), "yx", (1, 1, 5, 7)),
        ((0,), "fyx", (1, 3, 5, 7)),
        ((slice(None), 0), "cyx", (2, 1, 5, 7)),
        ((), "tzyx", (1, 6, 5, 7)),
        ((None,), "tczyx", (2, 3, 5, 7)),
    ],
)
def test_fewer_and_more_axes(
    tmp_path: Path, counts: np.ndarray, part: Any, axes: str, shape: tuple[int, ...]
) -> None:
    acq = liso.read(write(tmp_path / "7Li.h5", counts[part], axes))
    np.testing.assert_array_equal(acq.counts, counts[part].reshape(shape))
    assert acq.channels == (("7Li",) if shape[0] == 1 else ("channel 1", "channel 2"))
    said = any("Nothing names the peaks" in w for w in acq.metadata["warnings"])
    assert said == (shape[0] > 1)


def test_dimension_labels_and_scales(tmp_path: Path, counts: np.ndarray) -> None:
    labelled, scaled = tmp_path / "labels.h5", tmp_path / "scales.nc"
    with h5py.File(labelled, "w") as file:
        data = file.create_dataset("a", data=counts)
        for axis, label in zip(data.dims, ("c", "t", "y", "x"), strict=True):
            axis.label = label
    with h5py.File(scaled, "w") as file:
        data = file.create_dataset("a", data=counts)
        for number, name in enumerate(("channel", "frame", "y", "x")):
            file[name] = np.arange(SHAPE[number])
            file[name].make_scale(name)
            data.dims[number].attach_scale(file[name])
    for path in (labelled, scaled):
        np.testing.assert_array_equal(liso.read(path).counts, counts)


def test_floats(tmp_path: Path, counts: np.ndarray) -> None:
    acq = liso.read(write(tmp_path / "a.h5", counts.astype("f8"), "cfyx"))
    assert acq.counts.dtype == np.uint8
    np.testing.assert_array_equal(acq.counts, counts)
    scaled = counts * np.float32(1.01)
    acq = liso.read(write(tmp_path / "b.h5", scaled, "cfyx"))
    assert acq.counts.dtype == np.float32
    assert acq.metadata["counts_are"].startswith("not counts")
    np.testing.assert_array_equal(acq.counts, scaled)
    acq = liso.read(write(tmp_path / "c.h5", counts.astype(">i4"), "cfyx"))
    assert acq.counts.dtype == np.uint8
    np.testing.assert_array_equal(acq.counts, counts)


def test_several_arrays(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "a.h5", counts, "cfyx", "run/first")
    write(path, counts + 1, "cfyx", "run/second")
    write(path, counts[0], None, "mask")
    with pytest.raises(liso.FormatError, match="/run/first, /run/second") as caught:
        liso.read(path)
    assert "default" in caught.value.reason
    for named in ("run/second", "/run/second"):
        with h5py.File(path, "r+") as file:
            file.attrs["default"] = named
        acq = liso.read(path)
        np.testing.assert_array_equal(acq.counts, counts + 1)
        assert acq.metadata["array"] == "/run/second"
    with h5py.File(path, "r+") as file:
        file.attrs["default"] = "mask"
    with pytest.raises(liso.FormatError, match="default 'mask' is no array"):
        liso.read(path)


def test_a_file_beside_it_wins(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "map.h5", counts, "cfyx", channels=["a", "b"], pixel_size_um=9.0)
    beside = {"channels": ["6Li", {"name": "7Li", "mass": 7.016}], "pixel_size_um": 0.4}
    (tmp_path / "map.json").write_text(json.dumps(beside))
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    assert acq.masses[1] == 7.016
    assert acq.pixel_size == pytest.approx((0.4e-6, 0.4e-6))
    assert acq.metadata["names_from"] == acq.metadata["pixel_size_source"] == "map.json"
    (tmp_path / "map.json").write_text('{"channels": ["a"]}')
    with pytest.raises(liso.FormatError, match="names 1 peaks"):
        liso.read(path)


def test_a_file_beside_it_names_the_axes(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "map.h5", counts.transpose(2, 3, 0, 1), None)
    assert recognise(path) is None
    (tmp_path / "map.json").write_text('{"channels": ["6Li", "7Li"], "axes": "YXCT"}')
    assert recognise(path) == "HDF5 array"
    np.testing.assert_array_equal(liso.read(path).counts, counts)


# --- files of others -----------------------------------------------------------


@pytest.mark.parametrize("axes", [None, "abcd", "energy", ["c", "f", "y"], "ccyx", 3.0, "cfzx"])
def test_other_files_are_not_claimed(tmp_path: Path, counts: np.ndarray, axes: Any) -> None:
    path = write(tmp_path / "a.h5", counts, axes)
    assert recognise(path) is None
    with pytest.raises(liso.FormatError, match="name its axes") as caught:
        liso.read(path)
    assert "/counts (2, 3, 5, 7)" in caught.value.reason


def test_arrays_that_cannot_be_counts_are_not_claimed(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        for name, data in {
            "complex": np.zeros((4, 5), complex),
            "texts": np.full((4, 5), b"axes"),
            "line": np.zeros(5),
        }.items():
            file[name] = data
            file[name].attrs["axes"] = "yx"
    assert recognise(path) is None
    with pytest.raises(liso.FormatError, match="two to five dimensions"):
        liso.read(path)


def test_a_file_of_another_kind_starts_no_process(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["entry"] = counts
    monkeypatch.setattr(_hdf5, "examine", lambda *a: pytest.fail("a process was started"))
    assert recognise(path) is None


def test_words_far_into_a_large_file(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "a.h5", counts, "cfyx")
    monkeypatch.setattr(hdf5_array, "_SEARCHED", 8)
    assert recognise(path) == "HDF5 array"


# --- files that must be refused ------------------------------------------------


def replace(file: h5py.File, shape: tuple[int, ...], **options: Any) -> None:
    del file["counts"]
    made = file.create_dataset("counts", shape, "u2", **options)
    made.attrs["axes"] = "cfyx"[-len(shape) :]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: replace(f, (2, 3, 5, 7)), "not there"),
        (lambda f: replace(f, (2, 3, 5, 7), chunks=(1, 1, 5, 7)), "0 of the 6 chunks"),
        (lambda f: replace(f, (2, 3, 65536, 65536), chunks=(1, 1, 99, 99)), "65536 x 65536"),
        (lambda f: replace(f, (2, 2**30, 64, 64), chunks=(1, 1, 64, 64)), "1073741824 frames"),
        (lambda f: replace(f, (2, 2**20, 512, 8192), chunks=(1, 1, 64, 64)), "more than can be"),
        (lambda f: replace(f, (2, 0, 5, 7)), "empty"),
        (
            lambda f: replace(f, (2, 64, 8192, 8192), chunks=(2, 64, 8192, 8192)),
            "too large to inflate",
        ),
        (
            lambda f: replace(f, (2, 3, 5, 7), external=[("/etc/hostname", 0, 420)]),
            "stored in another file",
        ),
        (lambda f: f["counts"].attrs.__setitem__("channels", ["a"]), "2 names"),
        (lambda f: f["counts"].attrs.__setitem__("channels", ["a", "a"]), "different names"),
        (lambda f: f["counts"].attrs.__setitem__("masses_u", [6.0]), "2 masses"),
        (lambda f: f["counts"].attrs.__setitem__("masses_u", [6.0, -7.0]), "2 masses"),
        (lambda f: f["counts"].attrs.__setitem__("pixel_size_um", 0), "pixel_size_um"),
        (lambda f: f["counts"].attrs.__setitem__("pixel_size_um", "0.3 um"), "pixel_size_um"),
        (lambda f: f["counts"].attrs.__setitem__("polarity", "both"), "polarity"),
        (lambda f: f["counts"].attrs.__setitem__("pulses_per_pixel", -4), "pulses_per_pixel"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, counts: np.ndarray, change: Any, message: str
) -> None:
    path = write(tmp_path / "a.h5", counts, "cfyx")
    hdf5_array.validate(path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(liso.FormatError, match=message) as caught:
        hdf5_array.validate(path)
    assert caught.value.path == str(path)


@pytest.mark.parametrize(("value", "message"), [(-1, "never negative"), (2**60, "as large")])
def test_numbers_that_are_no_counts(tmp_path: Path, value: int, message: str) -> None:
    path = write(tmp_path / "a.h5", np.full((4, 5), value, "i8"), "yx")
    with pytest.raises(liso.FormatError, match=message):
        liso.read(path)


def test_other_files_are_not_read(tmp_path: Path, counts: np.ndarray) -> None:
    secret = write(tmp_path / "secret.h5", counts, "cfyx")
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["external"] = h5py.ExternalLink(str(secret), "counts")
        file["soft"] = h5py.SoftLink("/external")
        layout = h5py.VirtualLayout(SHAPE, "u2")
        layout[:] = h5py.VirtualSource(str(secret), "counts", SHAPE)
        file.create_virtual_dataset("virtual", layout).attrs["axes"] = "cfyx"
    assert recognise(path) is None
    with pytest.raises(liso.FormatError, match="/virtual is stored in another file"):
        liso.read(path)
    text = "\n".join(hdf5_array.outline(path))
    assert f"link to 'counts' in the file '{secret}', not followed" in text
    assert "/virtual: virtual" in text


def test_groups_in_a_circle(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "a.h5", counts, "cfyx", "g/counts")
    with h5py.File(path, "r+") as file:
        file["g/up"] = file["/"]
        file["g/again"] = file["g"]
        file["same"] = file["g/counts"]
    np.testing.assert_array_equal(liso.read(path).counts, counts)


def test_windows_mean_nothing_here(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "a.h5", counts, "cfyx")
    with pytest.raises(ValueError, match="no mass axis"):
        liso.read(path, windows={"6Li": (5.9, 6.1)})


def test_truncation(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "a.h5", counts, "cfyx")
    whole, content = liso.read(path), path.read_bytes()
    cut = tmp_path / "cut.h5"
    for size in np.linspace(8, len(content) - 1, 12).astype(int):
        cut.write_bytes(content[:size])
        assert_cut_is_noticed(liso.read, cut, whole, int(size))
    with pytest.raises(liso.FormatError, match="damaged or truncated"):
        liso.read(cut)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    data = np.random.default_rng(3).poisson(2.0, SHAPE).astype(np.uint16)
    folder = tmp_path_factory.mktemp("hdf5")
    return write(folder / "a.h5", data, "cfyx", channels=["6Li", "7Li"]).read_bytes()


# Each example starts a process.
@settings(fuzz, max_examples=max(4, EXAMPLES // 15))
@given(st.data())
def test_damage(apart: None, tmp_path: Path, small: bytes, data: st.DataObject) -> None:
    path = tmp_path / "damaged.h5"
    path.write_bytes(data.draw(damage(small)))
    _hdf5._examined.clear()
    outcome(hdf5_array.read, path)


def test_numbers_whose_sum_does_not_fit(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = np.full((2**14, 2, 2), 2**48, np.uint64)
        file.create_dataset("counts", data=data, compression="gzip").attrs["axes"] = "fyx"
    with pytest.raises(liso.FormatError, match="too large to add up"):
        liso.read(path)
