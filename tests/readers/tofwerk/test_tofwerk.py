"""Tofwerk FIB-SIMS, on files written from the public layout by `tofwerk_writer`."""

from __future__ import annotations

import json
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hostile import EXAMPLES, assert_cut_is_noticed, bounded, damage, fuzz, outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from tofwerk_writer import (
    SAMPLES,
    peak_table,
    sample_of,
    write_common,
    write_opened,
    write_raw,
    write_spectra,
)

import napari_liso as liso
from napari_liso.readers import _chunked, _hdf5, recognise
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.tofwerk import reader as tofwerk

LABELS = ("nominal6", "nominal7", "6Li+", "7Li+")
MASSES = (6.0, 7.0, 6.0146, 7.0155)
SHAPE = (3, 4, 5)  # write, y, x

pytestmark = pytest.mark.usefixtures("examined_here")


@pytest.fixture
def peaks() -> np.ndarray:
    rng = np.random.default_rng(5)
    return (rng.poisson(3.0, (*SHAPE, 4)) * 0.93).astype(np.float32)


@pytest.fixture
def whole(peaks: np.ndarray) -> np.ndarray:
    return np.rint(peaks / 0.93).astype(np.float32)


def make_events(rng: np.random.Generator, clock: float = 1.0) -> np.ndarray:
    """Ions of lithium and sodium as time stamps of a clock of so many samples."""
    events = np.empty(SHAPE, object)
    for place in np.ndindex(SHAPE):
        masses = rng.choice([6.0151, 7.0160, 7.0160, 7.0160, 12.0], rng.integers(0, 9))
        jitter = rng.normal(0, 3, len(masses))
        times = [sample_of(m) + j for m, j in zip(masses, jitter, strict=True)]
        events[place] = np.floor(np.array(times) / clock).astype(np.uint16)
    return events


def histogram(events: np.ndarray, clock: float = 1.0) -> np.ndarray:
    every = np.concatenate(list(events.ravel())) * clock
    return np.bincount(every.astype(int), minlength=SAMPLES).astype(float)


def counted(events: np.ndarray, low: float, high: float, clock: float = 1.0) -> np.ndarray:
    """Count one by one what lies in a mass window."""
    cube = np.zeros(SHAPE, int)
    for place in np.ndindex(SHAPE):
        for time in events[place]:
            cube[place] += sample_of(low) <= time * clock < sample_of(high)
    return cube


# --- images of peaks ---------------------------------------------------------


@pytest.mark.parametrize(
    "chunks", [None, (1, 4, 5, 4), (1, 4, 5, 1), (2, 2, 3, 3), (3, 4, 5, 4), (3, 1, 1, 4)]
)
@pytest.mark.parametrize("lazy", [False, True])
def test_images_of_peaks(
    tmp_path: Path,
    peaks: np.ndarray,
    chunks: tuple[int, ...] | None,
    lazy: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = write_opened(tmp_path / "a.h5", peaks, LABELS, MASSES, chunks)
    if lazy:
        monkeypatch.setattr(_chunked, "PLAIN_BYTES", 10)
        monkeypatch.setattr(_chunked, "_BLOCK", 4 * 5 * 4 * 3)  # three images at a time
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts) == lazy
    assert acq.channels == ("6Li+", "7Li+")
    np.testing.assert_allclose(acq.masses, [6.0146, 7.0155], rtol=1e-6)
    expected = peaks.transpose(3, 0, 1, 2)[2:]
    np.testing.assert_array_equal(np.asarray(acq.counts), expected)
    np.testing.assert_array_equal(acq.counts[1, 2], expected[1, 2])
    np.testing.assert_allclose(acq["6Li+"], expected[0].sum(axis=0, dtype=float))
    np.testing.assert_allclose(acq["7Li+"], expected[1].sum(axis=0, dtype=float))
    part = acq.sum(frames=slice(1, 3))
    np.testing.assert_allclose(part["7Li+"], expected[1, 1:].sum(axis=0, dtype=float))


def test_what_a_file_says(apart: None, tmp_path: Path, peaks: np.ndarray) -> None:
    path = write_opened(tmp_path / "a.h5", peaks, LABELS, MASSES)
    acq = liso.read(path)
    # 0.02 mm over five columns.
    assert acq.pixel_size == pytest.approx((4e-6, 4e-6))
    assert acq.pulses is None
    facts = acq.metadata
    assert facts["format"] == "Tofwerk HDF5"
    assert facts["counts_are"].startswith("not counts: float32")
    assert (facts["polarity"], facts["frames"]) == ("positive", 3)
    assert facts["software"] == "1.2.100"
    assert facts["beam_energy_V"] == 30_000
    assert [peak["label"] for peak in facts["peaks"]] == ["6Li+", "7Li+"]
    assert [peak["label"] for peak in facts["peaks_hidden"]] == ["nominal6", "nominal7"]
    assert facts["peaks"][1]["upper_u"] == pytest.approx(7.2155)
    assert "which row is the top" in facts["origin"]
    assert json.loads(json.dumps(facts)) == facts
    mass, counts = acq.spectrum()
    strongest = mass[np.argsort(counts)[-4:]]
    assert sorted(np.rint(strongest)) == [6, 6, 7, 7]
    assert counts.sum() == pytest.approx(peaks.sum(), rel=1e-4)
    assert recognise(path) == "Tofwerk HDF5"


def test_whole_numbers_are_counts(tmp_path: Path, whole: np.ndarray) -> None:
    acq = liso.read(write_opened(tmp_path / "a.h5", whole, LABELS, MASSES))
    assert acq.counts.dtype == np.uint8
    assert acq.metadata["counts_are"] == "raw"
    np.testing.assert_array_equal(acq.counts, whole.transpose(3, 0, 1, 2)[2:])
    # One value that is none, in a peak that is not even shown, decides.
    whole[2, 3, 4, 0] += 0.5
    acq = liso.read(write_opened(tmp_path / "b.h5", whole, LABELS, MASSES))
    assert acq.counts.dtype == np.float32
    assert acq.metadata["counts_are"].startswith("not counts")


def test_bins_of_a_mass_unit_where_there_is_nothing_else(
    tmp_path: Path, whole: np.ndarray
) -> None:
    labels = ("nominal6", "nominal7", "Nominal8", "nominal8")
    acq = liso.read(write_opened(tmp_path / "a.h5", whole, labels, (6, 7, 8, 8)))
    assert acq.channels == labels
    assert acq.metadata["peaks_hidden"] == []


def test_labels_that_name_nothing(tmp_path: Path, whole: np.ndarray) -> None:
    acq = liso.read(write_opened(tmp_path / "a.h5", whole, ("Li", "", "Li", "Li"), (6, 12, 7, 7)))
    assert acq.channels == ("Li (6.0000 u)", "12 u", "Li (7.0000 u)", "Li (7.0000 u) [4]")


def test_negative_polarity_and_no_field_of_view(tmp_path: Path, whole: np.ndarray) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    with h5py.File(path, "r+") as file:
        file.attrs["IonMode"] = "Negative"
        del file["FIBParams"].attrs["ViewField"]
    acq = liso.read(path)
    assert acq.metadata["polarity"] == "negative"
    assert acq.pixel_size is None
    assert acq.metadata["pixel_size_source"] is None
    assert any("pixel size" in w for w in acq.metadata["warnings"])


@pytest.mark.parametrize("view", [1e-323, -1.0, 1e300])
def test_a_field_of_view_that_cannot_be(tmp_path: Path, whole: np.ndarray, view: float) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    with h5py.File(path, "r+") as file:
        file["FIBParams"].attrs["ViewField"] = view
    acq = liso.read(path)
    assert acq.pixel_size is None
    assert any("which was not used" in w for w in acq.metadata["warnings"])


def test_rows_and_columns_exchanged_is_said(tmp_path: Path, whole: np.ndarray) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    with h5py.File(path, "r+") as file:
        file.attrs["NbrSegments"] = 5
    assert any("exchanged" in w for w in liso.read(path).metadata["warnings"])


def test_windows_need_events(tmp_path: Path, whole: np.ndarray) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    with pytest.raises(ValueError, match="no events"):
        liso.read(path, windows={"6Li": (5.9, 6.1)})


def test_word_far_from_both_ends(
    tmp_path: Path, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    monkeypatch.setattr(tofwerk, "_WITHIN", 8)
    assert tofwerk.recognise(path)
    with h5py.File(path, "r+") as file:
        del file.attrs["TofDAQ Version"]
    assert not tofwerk.recognise(path)


@pytest.mark.slow
def test_a_gigabyte_of_peaks_is_not_held_in_memory(apart: None, tmp_path: Path) -> None:
    writes, pixels, peaks = 100, 256, 40
    image = np.zeros((pixels, pixels, peaks), np.float32)
    image[3, 4, 30:] = np.arange(10) + 0.5
    packed = zlib.compress(image.tobytes(), 1)
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        write_common(file, writes, pixels)
        write_spectra(file, np.ones(60))
        group = file.create_group("PeakData")
        shape = (writes, pixels, pixels, peaks)
        data = group.create_dataset("PeakData", shape, "f4", chunks=(1, *shape[1:]), compression=1)
        for write in range(writes):
            data.id.write_direct_chunk((write, 0, 0, 0), packed)
        labels = [f"nominal{n}" if n < 28 else f"peak {n}" for n in range(peaks)]
        group["PeakTable"] = peak_table(labels, np.arange(1.0, peaks + 1))
    with bounded(60, 2**28):  # a quarter of it
        acq = liso.read(path)
        frame = acq.counts[6, 50]
        total = acq["peak 39"]
    assert isinstance(acq.counts, LazyCounts)
    assert frame[3, 4] == frame.sum() == 4.5
    assert total[3, 4] == total.sum() == 950


# --- events ------------------------------------------------------------------


@pytest.mark.parametrize("clock", [1.0, 2.0, 0.5])
def test_events_by_window(tmp_path: Path, clock: float) -> None:
    events = make_events(np.random.default_rng(1), clock)
    spectrum = histogram(events, clock) * 0.7  # scaled by the signal of one ion
    path = write_raw(tmp_path / "a.h5", events, spectrum, clock * 1e-9)
    windows = {"6Li": (5.95, 6.08), "7Li": (6.95, 7.08)}
    acq = liso.read(path, windows=windows)
    assert acq.counts.dtype.kind == "u"
    assert acq.metadata["counts_are"] == "raw"
    assert acq.metadata["frames"] == 3
    assert acq.pixel_size == pytest.approx((4e-6, 4e-6))
    for channel, window in enumerate(windows.values()):
        expected = counted(events, *window, clock)
        assert expected.sum() > 20
        np.testing.assert_array_equal(acq.counts[channel], expected)
    mass, counts = acq.spectrum()
    assert counts.sum() == sum(len(e) for e in events.ravel())
    assert np.rint(np.average(mass[mass < 6.5], weights=counts[mass < 6.5])) == 6
    assert acq.metadata["events_agree_with_spectrum"] > 0.99
    total = liso.read(path)
    assert total.channels == ("total",)
    lengths = np.vectorize(len, otypes=[int])(events)
    np.testing.assert_array_equal(total["total"], lengths.sum(axis=0))


def test_events_by_name_after_the_observed_peaks(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    events = np.empty(SHAPE, object)
    for place in np.ndindex(SHAPE):
        events[place] = np.rint(
            np.concatenate(
                [rng.normal(sample_of(6.0146), 2, 12), rng.normal(sample_of(7.0155), 2, 40)]
            )
        ).astype(np.uint16)
    path = write_raw(tmp_path / "a.h5", events, histogram(events))
    acq = liso.read(path, windows=["6Li", "7Li"])
    # Windows that are proposed hold nearly all of a peak.
    assert acq["6Li"].sum() == pytest.approx(12 * 60, rel=0.15)
    assert acq["7Li"].sum() == pytest.approx(40 * 60, rel=0.15)


def test_a_mass_axis_without_a_formula(tmp_path: Path) -> None:
    events = make_events(np.random.default_rng(1))
    path = write_raw(tmp_path / "a.h5", events, histogram(events))
    with h5py.File(path, "r+") as file:
        file["FullSpectra"].attrs["MassCalibMode"] = 2
    window = (6.95, 7.08)
    acq = liso.read(path, windows={"7Li": window})
    np.testing.assert_array_equal(acq.counts[0], counted(events, *window))
    assert acq.metadata["calibration"]["model"] == "mass of every sample"
    with h5py.File(path, "r+") as file:
        file["FullSpectra"].attrs["MassCalibMode"] = 0
        file["FullSpectra"].attrs["MassCalibration p1"] = 3100.0
    acq = liso.read(path, windows={"7Li": window})
    np.testing.assert_array_equal(acq.counts[0], counted(events, *window))
    assert any("axis was used" in " ".join(w.split()) for w in acq.metadata["warnings"])


@pytest.mark.parametrize("case", ["no spectrum", "another spectrum", "flat"])
def test_events_that_nothing_confirms_get_no_masses(tmp_path: Path, case: str) -> None:
    events = make_events(np.random.default_rng(1))
    spectrum = {
        "no spectrum": None,
        "another spectrum": np.roll(histogram(events), 3000),
        "flat": np.ones(SAMPLES),
    }[case]
    path = write_raw(tmp_path / "a.h5", events, spectrum)
    with pytest.raises(ValueError, match="not possible"):
        liso.read(path, windows={"7Li": (6.9, 7.1)})
    acq = liso.read(path)
    assert acq["total"].sum() == sum(len(e) for e in events.ravel())
    assert any("have no masses" in w for w in acq.metadata["warnings"])
    with pytest.raises(ValueError, match="no spectrum"):
        acq.spectrum()


def test_events_wider_than_time_stamps_are_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        write_common(file, 1, 2)
        write_spectra(file, np.ones(100))
        kind = h5py.vlen_dtype(np.uint32)
        lists = file["FullSpectra"].create_dataset("EventList", (1, 1, 2), kind)
        lists[0, 0, 0] = lists[0, 0, 1] = np.arange(3)
    with pytest.raises(liso.FormatError, match="nor events"):
        liso.read(path)


# --- files that must be refused, or said to be incomplete ---------------------


@pytest.mark.parametrize("written", [1, 2])
def test_a_measurement_that_was_broken_off(
    tmp_path: Path, whole: np.ndarray, written: int
) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    with h5py.File(path, "r+") as file:
        del file["PeakData/PeakData"]
        data = file["PeakData"].create_dataset("PeakData", whole.shape, "f4", chunks=(1, 2, 5, 4))
        data[:written] = whole[:written]
        data[written, :2] = whole[written, :2]
    acq = liso.read(path)
    assert any(f"incomplete: {written} of 3" in w for w in acq.metadata["warnings"])
    np.testing.assert_array_equal(acq.counts, whole.transpose(3, 0, 1, 2)[2:, :written])


def hole(file: h5py.File, name: str, shape: tuple[int, ...], **options: Any) -> None:
    parent, _, last = name.rpartition("/")
    del file[name]
    file[parent].create_dataset(last, shape, "f4", **options)


def elsewhere(file: h5py.File, name: str) -> None:
    shape = file[name].shape
    layout = h5py.VirtualLayout(shape, "f4")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", shape)
    parent, _, last = name.rpartition("/")
    del file[name]
    file[parent].create_virtual_dataset(last, layout)


PEAKS = "PeakData/PeakData"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f: hole(f, PEAKS, (3, 4, 5, 4), chunks=(1, 4, 5, 4)), "not one slice"),
        (lambda f: hole(f, PEAKS, (3, 4, 5, 4)), "not there"),
        (lambda f: hole(f, PEAKS, (3, 4, 5, 3), chunks=(1, 4, 5, 3)), "holds 3 peaks"),
        (lambda f: hole(f, PEAKS, (3, 65536, 65536, 4), chunks=(1, 64, 64, 4)), "65536 x 65536"),
        (lambda f: hole(f, PEAKS, (2**31, 64, 64, 4), chunks=(1, 64, 64, 4)), "elements, above"),
        (lambda f: hole(f, PEAKS, (3, 0, 5, 4)), "image of 0 x 5"),
        (
            lambda f: hole(f, PEAKS, (3, 4096, 4096, 4), chunks=(3, 4096, 4096, 4)),
            "too large to inflate",
        ),
        (lambda f: elsewhere(f, PEAKS), "stored in another file"),
        (
            lambda f: hole(f, PEAKS, (3, 4, 5, 4), external=[("/etc/hostname", 0, 960)]),
            "stored in another file",
        ),
        (
            lambda f: (
                f["PeakData"].pop("PeakData"),
                f["PeakData"].__setitem__("PeakData", h5py.ExternalLink("/etc/hostname", "x")),
            ),
            "ExternalLink",
        ),
        (lambda f: f["PeakData"].pop("PeakTable"), "its table names 0"),
        (lambda f: f.pop("PeakData"), "no map"),
        (lambda f: f["FullSpectra/MassAxis"].__setitem__(9000, 0.0), "do not ascend"),
        (lambda f: f["FullSpectra/MassAxis"].__setitem__(9000, np.nan), "damaged"),
        (lambda f: f["FullSpectra/SumSpectrum"].__setitem__(9, np.inf), "does not fit"),
    ],
)
def test_contradictions_are_refused(
    tmp_path: Path, whole: np.ndarray, change: Any, message: str
) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    tofwerk.validate(path)
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(liso.FormatError, match=message) as caught:
        tofwerk.validate(path)
    assert caught.value.path == str(path)


def test_a_hole_in_the_middle_is_refused(tmp_path: Path, whole: np.ndarray) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    with h5py.File(path, "r+") as file:
        hole(file, PEAKS, whole.shape, chunks=(1, 4, 5, 4))
        file[PEAKS][0] = whole[0]
        file[PEAKS][2] = whole[2]
    with pytest.raises(liso.FormatError, match="in the middle"):
        tofwerk.validate(path)


@pytest.mark.slow
def test_one_list_of_events_for_every_pixel(apart: None, tmp_path: Path) -> None:
    """A heap object that thousands of pixels refer to would fill the memory."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        write_common(file, 1, 64)
        lists = file.create_group("FullSpectra").create_dataset(
            "EventList", (1, 128, 128), h5py.vlen_dtype(np.uint16), chunks=(1, 128, 128)
        )
        lists[0, 0, 0] = np.zeros(2**20, np.uint16)
    content = bytearray(path.read_bytes())
    with h5py.File(path, "r") as file:
        start = file["FullSpectra/EventList"].id.get_chunk_info(0).byte_offset
    content[start : start + 16 * 128 * 128] = content[start : start + 16] * (128 * 128)
    path.write_bytes(content)
    with pytest.raises(liso.FormatError):
        liso.read(path)


def test_changed_after_it_was_opened(
    tmp_path: Path, whole: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES)
    monkeypatch.setattr(_chunked, "PLAIN_BYTES", 10)
    acq = liso.read(path)
    with h5py.File(path, "r+") as file:
        file[PEAKS][...] = 7
        file["more"] = np.zeros(99)
    with pytest.raises(liso.FormatError, match="changed"):
        acq["6Li+"]


def test_truncation(tmp_path: Path, whole: np.ndarray) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES, (1, 4, 5, 4))
    read = liso.read(path)
    content = path.read_bytes()
    cut = tmp_path / "cut.h5"
    for size in np.linspace(8, len(content) - 1, 6).astype(int):
        cut.write_bytes(content[:size])
        assert_cut_is_noticed(liso.read, cut, read, int(size))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    rng = np.random.default_rng(3)
    whole = rng.poisson(3.0, (*SHAPE, 4)).astype(np.float32)
    path = tmp_path_factory.mktemp("tofwerk") / "a.h5"
    with h5py.File(path, "w") as file:
        write_common(file, SHAPE[0], SHAPE[1])
        write_spectra(file, np.ones(60))
        group = file.create_group("PeakData")
        group.create_dataset("PeakData", data=whole, chunks=(1, 4, 5, 4), compression="gzip")
        group["PeakTable"] = peak_table(LABELS, MASSES)
    return path.read_bytes()


# Each example starts a process.
@settings(fuzz, max_examples=max(4, EXAMPLES // 15))
@given(st.data())
def test_damage(apart: None, tmp_path: Path, small: bytes, data: st.DataObject) -> None:
    path = tmp_path / "damaged.h5"
    path.write_bytes(data.draw(damage(small)))
    _hdf5._examined.clear()
    outcome(tofwerk.read, path)


def test_outline_names_links_and_does_not_follow(tmp_path: Path, whole: np.ndarray) -> None:
    path = write_opened(tmp_path / "a.h5", whole, LABELS, MASSES, (1, 4, 5, 4))
    with h5py.File(path, "r+") as file:
        file["out"] = h5py.ExternalLink("/etc/hostname", "x")
        file["again"] = file["PeakData"]
        elsewhere(file, "FullSpectra/SumSpectrum")
    text = "\n".join(tofwerk.outline(path))
    assert "float32 (3, 4, 5, 4), chunks (1, 4, 5, 4)" in text
    assert "'/etc/hostname', not followed" in text
    assert "/FullSpectra/SumSpectrum: virtual" in text
    assert "another name" in text
    assert "@TofDAQ Version = '1.2.100'" in text
