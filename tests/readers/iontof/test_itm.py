"""Raw events of ION-TOF's ITM files: every ion in its scan, pixel and window."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import iontof_tree_writer as w
import numpy as np
import pytest
from hostile import EXAMPLES, assert_cut_is_noticed, bounded, damage, fuzz, outcome
from hypothesis import given
from hypothesis import strategies as st

from napari_liso import readers
from napari_liso.errors import FormatError
from napari_liso.readers import _stream
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.iontof import tree as iontof_tree

SF, K0 = 1000.0, 50.0
# mass = ((channel - 50) / 1000)**2: channel 2499 is 5.9976 u, 2500 is 6.0025 u
TIMES = np.concatenate([np.arange(2480, 2520), np.arange(2680, 2720)])
SCANS, HEIGHT, WIDTH = 4, 5, 7
WINDOWS = {"6Li": (6.0, 6.05), "7Li": (6.95, 7.05)}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "events.itm"


def measurement(seed: int = 1) -> tuple[list[np.ndarray], np.ndarray, np.ndarray, np.ndarray]:
    return w.random_scans(seed, SCANS, HEIGHT, WIDTH, TIMES)


def by_hand(
    frame: np.ndarray, pixel: np.ndarray, time: np.ndarray, low: float, high: float
) -> np.ndarray:
    """The cube of one window, ion by ion."""
    cube = np.zeros((SCANS, HEIGHT * WIDTH), int)
    for f, p, t in zip(frame, pixel, time, strict=True):
        if low <= ((t - K0) / SF) ** 2 < high:
            cube[f, p] += 1
    return cube.reshape(SCANS, HEIGHT, WIDTH)


@pytest.mark.parametrize("leaf", [1, 2, 5, 17, 1000, 10**9])
def test_counts_wherever_the_stream_is_cut(path: Path, leaf: int) -> None:
    words, *ions = measurement()
    w.itm(path, words, HEIGHT, WIDTH, leaf=leaf)
    acq = iontof_tree.read(path, WINDOWS)
    assert acq.channels == ("6Li", "7Li")
    for name, window in WINDOWS.items():
        expected = by_hand(*ions, *window)
        assert expected.sum() > 20
        np.testing.assert_array_equal(acq.counts[acq.channels.index(name)], expected)
    mass, counts = acq.spectrum()
    times, number = np.unique(ions[2], return_counts=True)
    np.testing.assert_allclose(mass, ((times - K0) / SF) ** 2)
    np.testing.assert_array_equal(counts, number)


def test_all_ions_make_one_channel(path: Path) -> None:
    words, *ions = measurement()
    w.itm(path, words, HEIGHT, WIDTH)
    acq = iontof_tree.read(path)
    assert acq.channels == ("total",)
    assert np.isnan(acq.masses[0])
    np.testing.assert_array_equal(acq.counts[0], by_hand(*ions, 0, np.inf))


def test_row_0_is_the_top_and_the_last_pixel_is_there(path: Path) -> None:
    # Written from the bottom left; the last pixel of the scan is the top right.
    ions: list[list[list[int]]] = [[[], [], [2500, 2501, 2502]], [[2500], [], [2500, 2500]]]
    w.itm(path, [w.scan_words(ions), w.scan_words([[[], [], [2600]], [[], [], []]])], 2, 3)
    acq = iontof_tree.read(path)
    np.testing.assert_array_equal(acq.counts[0], [[[0, 0, 3], [1, 0, 2]], [[0, 0, 1], [0, 0, 0]]])
    assert "flipped" in acq.metadata["origin"]


def test_a_pixel_that_is_visited_twice_adds_up(path: Path) -> None:
    words = w.pixel_words(2, 2, 1, 0, [2500, 2500]) + w.pixel_words(2, 2, 0, 0, [])
    words += w.pixel_words(2, 2, 1, 0, [2501])
    w.itm(path, [np.array(words)], 2, 2)
    np.testing.assert_array_equal(iontof_tree.read(path).counts[0, 0], [[0, 0], [0, 3]])


def test_facts(path: Path) -> None:
    w.itm(path, measurement()[0], HEIGHT, WIDTH)
    acq = readers.read(path, WINDOWS)
    assert acq.pixel_size == pytest.approx((50e-6 / WIDTH, 50e-6 / WIDTH))
    assert acq.pulses is not None
    assert (
        np.broadcast_to(acq.pulses, acq.counts.shape[1:]).tolist()
        == np.full((SCANS, HEIGHT, WIDTH), 3).tolist()
    )
    facts = acq.metadata
    assert facts["format"] == "ION-TOF ITM"
    assert facts["counts_are"] == "raw"
    assert facts["polarity"] == "positive"
    assert facts["frames"] == SCANS
    assert facts["primary_ion"] == "Bi3++"
    assert facts["beam_energy_V"] == 30000.0
    assert facts["cycle_time_s"] == pytest.approx(1e-4)
    assert facts["channel_width_s"] == pytest.approx(50e-12)
    assert facts["mass_intervals"] == {"6Li+": [6.0, 6.05], "7Li+": [7.0, 7.05]}
    assert facts["calibration"]["slope"] == pytest.approx(1 / SF)
    assert facts["calibration"]["offset"] == pytest.approx(-K0 / SF)
    assert "not been tried on a file from an instrument" in facts["experimental"]
    assert any("send" in text for text in facts["warnings"])
    assert not any("incomplete" in text for text in facts["warnings"])
    assert readers.recognise(path) == "ION-TOF ITM/ITA/ITS"


@pytest.mark.parametrize(("text", "polarity"), [("Negative", "negative"), ("?", None)])
def test_polarity_and_unknown_pulses(path: Path, text: str, polarity: str | None) -> None:
    scans = measurement()[0]
    w.write(
        path,
        [
            w.mass_scale(SF, K0),
            w.settings(SCANS, 8, shots=None, polarity=text, fov=-1.0),
            w.raw_data(scans),
        ],
    )
    acq = iontof_tree.read(path)
    assert acq.metadata["polarity"] == polarity
    assert acq.pulses is None
    assert acq.pixel_size is None
    assert acq.counts.shape == (1, SCANS, 8, 8), "the raster of the settings is square"


def test_a_wide_field_smears_peaks(path: Path) -> None:
    """By hand for 60 keV Bi3++: 626.94 u fly 1.359e5 m/s; 500 um at 45 degrees take 2.60 ns."""
    for fov, told in ((500e-6, True), (20e-6, False)):
        w.write(
            path,
            [
                w.mass_scale(33_000.0, -361.0),
                w.settings(SCANS, 7, fov=fov),
                w.raw_data(measurement()[0]),
            ],
        )
        texts = [t for t in iontof_tree.read(path).metadata["warnings"] if "primary ions" in t]
        assert bool(texts) == told
        # 52 channels of 50 ps at 2 sqrt(7.0155) / 33000 u each
        assert not told or ("2.6 ns" in texts[0] and "0.0084 u" in texts[0])


def test_an_impossible_field_of_view_is_not_used(path: Path) -> None:
    w.write(path, [w.mass_scale(SF, K0), w.si_image(5, 7, fov=1e9), w.raw_data(measurement()[0])])
    acq = iontof_tree.read(path)
    assert acq.pixel_size is None
    assert any("cannot be" in text for text in acq.metadata["warnings"])


def test_a_newer_file_without_the_size_of_its_image(path: Path) -> None:
    """SurfaceLab 7: the same events, but other places and fewer settings."""
    words, *ions = measurement()
    peaks = w.Folder("massintervals", [w.Folder("mig", list(w.intervals().content))])
    w.write(path, [w.mass_scale(SF, K0), w.Folder("Options", [peaks]), w.raw_data(words, 50)])
    acq = iontof_tree.read(path)
    np.testing.assert_array_equal(acq.counts[0], by_hand(*ions, 0, np.inf))
    assert any("does not state the size" in text for text in acq.metadata["warnings"])
    assert acq.metadata["mass_intervals"]["7Li+"] == [7.0, 7.05]


def test_frames_are_made_when_they_are_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words, *ions = measurement()
    w.itm(path, words, HEIGHT, WIDTH, leaf=11)
    monkeypatch.setattr(_stream, "PLAIN_BYTES", 10)
    acq = iontof_tree.read(path, WINDOWS)
    assert isinstance(acq.counts, LazyCounts)
    expected = by_hand(*ions, *WINDOWS["7Li"])
    np.testing.assert_array_equal(acq.counts[1, 2], expected[2])
    np.testing.assert_array_equal(acq["7Li"], expected.sum(axis=0))
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="changed since"):
        acq.counts[0, 0]


def test_batches_of_any_size(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words, *ions = measurement()
    w.itm(path, words, HEIGHT, WIDTH, leaf=29)
    for batch in (1, 3, 50):
        monkeypatch.setattr("napari_liso.readers.iontof.itm_events.BATCH", batch)
        acq = iontof_tree.read(path)
        np.testing.assert_array_equal(acq.counts[0], by_hand(*ions, 0, np.inf))


# -- what another reader makes of the same files ----------------------------------------------


def open_with_pyspm(path: Path) -> Any:
    pyspm = pytest.importorskip("pySPM")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pyspm.ITM(str(path))


def test_as_pyspm(path: Path) -> None:
    w.itm(path, measurement()[0], HEIGHT, WIDTH, leaf=23)
    acq = iontof_tree.read(path)
    other = open_with_pyspm(path)
    assert (other.size["pixels"]["x"], other.size["pixels"]["y"]) == (WIDTH, HEIGHT)
    assert other.polarity.lower() == acq.metadata["polarity"]
    assert other.spp == 3
    mass, counts = other.get_raw_spectrum(FOVcorr=False, deadTimeCorr=False)
    ours = dict(zip(np.round(acq.spectrum()[0], 9), acq.spectrum()[1], strict=True))
    theirs = {np.round(mass[t], 9): counts[t] for t in np.flatnonzero(counts)}
    assert ours == theirs
    for scan in range(SCANS):
        raw = other.get_raw_data(scan)
        image = np.zeros((HEIGHT, WIDTH), int)
        for (x, y), ions in raw.items():
            image[HEIGHT - 1 - y, x] = len(ions)
        assert (WIDTH - 1, HEIGHT - 1) not in raw, "it drops the last pixel of a scan"
        image[0, -1] = acq.counts[0, scan, 0, -1]
        np.testing.assert_array_equal(acq.counts[0, scan], image)


# -- what is not whole --------------------------------------------------------------------------


def test_fewer_scans_than_stated(path: Path) -> None:
    scans = measurement()[0]
    w.write(
        path,
        [
            w.si_image(HEIGHT, WIDTH),
            w.mass_scale(SF, K0),
            w.settings(9, 7),
            w.raw_data(scans, end=False),
        ],
    )
    assert any("incomplete" in t and "9" in t for t in iontof_tree.read(path).metadata["warnings"])


def test_a_scan_that_was_broken_off(path: Path) -> None:
    scans, *ions = measurement()
    last = np.flatnonzero(scans[-1] >> 28 == 0xC)[20]
    scans[-1] = scans[-1][:last]
    w.itm(path, scans, HEIGHT, WIDTH)
    acq = iontof_tree.read(path)
    assert any("20 of 35 pixels" in text for text in acq.metadata["warnings"])
    np.testing.assert_array_equal(acq.counts[0, :-1], by_hand(*ions, 0, np.inf)[:-1])


def test_a_missing_scan_is_told(path: Path) -> None:
    folder = w.raw_data(measurement()[0], part=100)
    folder.content = [item for item in folder.content if (item.name, item.number) != ("   6", 1)]
    w.write(path, [w.mass_scale(SF, K0), w.si_image(HEIGHT, WIDTH), folder])
    assert any("incomplete" in text for text in iontof_tree.read(path).metadata["warnings"])


def test_every_cut_is_noticed(path: Path) -> None:
    offsets = w.itm(path, measurement()[0], HEIGHT, WIDTH, leaf=120)
    whole = iontof_tree.read(path)
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    for cut in [*offsets[1:], *rng.integers(0, len(content), 30)]:
        path.write_bytes(content[:cut])
        assert_cut_is_noticed(iontof_tree.read, path, whole, int(cut))


def test_a_cut_leaves_whole_scans_alone(path: Path) -> None:
    words, *ions = measurement()
    w.write(
        path,
        [
            w.mass_scale(SF, K0),
            w.settings(SCANS, 7, where="propstart"),
            w.si_image(HEIGHT, WIDTH),
            w.raw_data(words, leaf=50, part=10**9),
        ],
    )
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * 0.93)])
    acq = iontof_tree.read(path)
    frames = acq.counts.shape[1]
    assert 0 < frames < SCANS
    np.testing.assert_array_equal(acq.counts[0], by_hand(*ions, 0, np.inf)[:frames])
    assert any("truncated" in text for text in acq.metadata["warnings"])


# -- what lies ------------------------------------------------------------------------------------


def pixel(x: int = 0, y: int = 0) -> list[int]:
    return w.pixel_words(2, 2, x, y, [])


@pytest.mark.parametrize(
    ("words", "match"),
    [
        ([2500, *pixel()], "before the first pixel"),
        ([*pixel(), 2500, 0xC0000000], "end inside the name"),
        ([*pixel(), 2500, 0xC0000000, 0xD0000000], "end inside the name"),
        ([0xC0000000, 0xD0000000, 2500], "not named by three words"),
        ([0xC0000000, 2500, 0xD0000000, 0x40000000], "not named by three words"),
        ([0xD0000000, 0xC0000000, 0x40000000], "unknown kind"),
        ([*pixel(), *[0xE0000001] * 3], "unknown kind"),
        ([0xC0000000, 0xD0000000, 0x80000000], "unknown kind"),
        (pixel(2, 0), "outside the image"),
        (pixel(0, 2), "outside the image"),
        (pixel(2**28 - 1, 2**28 - 1), "outside the image"),
        ([*pixel(), 2**30 - 1], "flight time"),
    ],
)
def test_streams_that_are_none(path: Path, words: list[int], match: str) -> None:
    w.itm(path, [np.array(words)], 2, 2)
    found = outcome(iontof_tree.read, path)
    assert isinstance(found, FormatError)
    assert match in found.reason
    assert found.offset is not None


def folder_with(*leaves: w.Leaf) -> list[w.Leaf | w.Folder]:
    return [w.mass_scale(SF, K0), w.si_image(2, 2), w.Folder("rawdata", leaves)]


def test_leaves_that_are_none(path: Path) -> None:
    start = w.Leaf("   6", w.u32(0))
    good = w.Leaf("  14", np.array(pixel(), "<u4").tobytes(), packed=True)
    odd = w.Leaf("  14", np.array(pixel(), "<u4").tobytes() + b"\0", 1, packed=True)
    bare = w.Leaf("  14", b"no stream", 1)
    huge = w.Leaf("  14", b"", 1, packed=True)
    huge.value = w.bomb(2**30)
    for leaves, match in (
        ((good, start), "before the first scan"),
        ((start, good, odd), "whole number of words"),
        ((start, good, bare), "damaged"),
        ((start, good, huge), "inflate to more than"),
    ):
        w.write(path, folder_with(*leaves))
        with bounded():
            found = outcome(iontof_tree.read, path)
        assert isinstance(found, FormatError)
        assert match in found.reason


def test_the_same_events_twice(path: Path) -> None:
    leaf = w.Leaf("  14", np.array(pixel(), "<u4").tobytes(), packed=True)
    w.write(path, folder_with(w.Leaf("   6", w.u32(0)), leaf, leaf))
    with pytest.raises(FormatError, match="twice"):
        iontof_tree.read(path)


@pytest.mark.parametrize(("height", "width"), [(0, 7), (2**16, 2**16), (2**31 - 1, 1)])
def test_sizes_that_cannot_be(path: Path, height: int, width: int) -> None:
    w.itm(path, measurement()[0], HEIGHT, WIDTH)
    content = path.read_bytes()
    for name, value in (("res_y", height), ("res_x", width)):
        place = content.index(name.encode(), content.index(b"res_x\x07\0\0\0")) + 5
        content = content[:place] + w.u32(value) + content[place + 4 :]
    path.write_bytes(content)
    found = outcome(iontof_tree.read, path)
    # Without a size of its own the image has that of the settings, 7 x 7.
    assert isinstance(found, FormatError) or found.counts.shape[2:] == (7, 7)
    assert isinstance(found, FormatError) == (height > 0)


@pytest.mark.parametrize("scale", [(0.0, 1.0), (-5.0, 1.0), (np.nan, 1.0), (1.0, np.inf)])
def test_no_sensible_mass_scale(path: Path, scale: tuple[float, float]) -> None:
    w.write(path, [w.mass_scale(*scale), w.si_image(HEIGHT, WIDTH), w.raw_data(measurement()[0])])
    with pytest.raises(FormatError, match="mass scale"):
        iontof_tree.read(path)


def test_no_events(path: Path) -> None:
    w.write(path, [w.mass_scale(SF, K0), w.Folder("rawdata", [w.Leaf("   6", w.u32(0))])])
    with pytest.raises(FormatError, match="neither raw events"):
        iontof_tree.read(path)


CONTENT: list[bytes] = []


@fuzz
@given(data=st.data())
def test_fuzz(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz" / "events.itm"
    if not CONTENT:
        path.parent.mkdir(exist_ok=True)
        w.itm(path, measurement()[0], HEIGHT, WIDTH, leaf=150)
        CONTENT.append(path.read_bytes())
    path.write_bytes(data.draw(damage(CONTENT[0])))
    outcome(lambda file: iontof_tree.read(file, WINDOWS), path)


def test_fuzz_flips_never_change_counts_in_silence(path: Path) -> None:
    """The streams carry check sums; what is not in them is the size, the scans and the scale."""
    w.itm(path, w.random_scans(1, 2, 3, 4, TIMES)[0], 3, 4)
    whole = path.read_bytes()
    expected = iontof_tree.read(path).counts
    rng = np.random.default_rng(9)
    changed = 0
    for place in rng.integers(8, len(whole), 2 * EXAMPLES):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        found = outcome(iontof_tree.read, path)
        if isinstance(found, FormatError) or any(
            word in t for t in found.metadata["warnings"] for word in ("incomplete", "truncated")
        ):
            continue
        same = found.counts.shape == expected.shape and np.array_equal(found.counts, expected)
        changed += not same
    assert changed <= EXAMPLES // 60, "a damaged size of the image or name of a block at most"
