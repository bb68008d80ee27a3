"""PHI raw: written files, and one rebuilt from an archive of an instrument's measurement."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import phi_raw_writer as writer
import pytest
from phi_raw_writer import FRAMES, LI6, LI7, OFFSET, PIXELS, SLOPE, images, random_ions

import napari_liso as liso
from napari_liso.readers import _files, _stream, recognise
from napari_liso.readers.phi import blocks as phi_blocks
from napari_liso.readers.phi import events as phi_events
from napari_liso.readers.phi import raw as phi_raw

WINDOWS = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}


def with_blocks(path: Path, *blocks: bytes) -> Path:
    return writer.write(path, writer.header(), writer.frames(FRAMES), *blocks, writer.end())


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return writer.write(tmp_path / "a.raw", writer.header(), writer.frames(FRAMES), writer.end())


# --- rebuilt from an archive of the instrument's file -------------------------


@pytest.fixture(scope="module")
def archive(shared_data: Path) -> Path:
    pytest.importorskip("hdf5plugin")
    return shared_data / "simsh5" / "PowerCo-102-Pos-Cu_Grid.h5"


@pytest.fixture(scope="module")
def rebuilt(archive: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return writer.rebuild(archive, tmp_path_factory.mktemp("rebuilt") / "rebuilt.raw")


def test_rebuilt_total_is_the_maker_s_image(rebuilt: Path, archive: Path) -> None:
    import h5py

    acq = liso.read(rebuilt)
    with h5py.File(archive) as file:
        expected = file["derived/total_image"][...]
    assert acq.counts.shape == (1, 6, 256, 256)
    np.testing.assert_array_equal(acq["total"], expected[::-1])
    assert acq["total"].sum() == 174_405


@pytest.mark.parametrize("window", [(22.9, 23.1), (62.5, 63.5), (132.8, 133.0)])
def test_rebuilt_windows_are_those_of_the_archive(
    rebuilt: Path, archive: Path, window: tuple[float, float]
) -> None:
    ours = liso.read(rebuilt, windows={"peak": window})
    of_archive = liso.read(archive, windows={"peak": window})
    np.testing.assert_array_equal(ours.counts, of_archive.counts)
    assert ours["peak"].sum() > 100
    for one, other in zip(ours.spectrum(), of_archive.spectrum(), strict=True):
        np.testing.assert_array_equal(one, other)
    maker = pytest.importorskip("simsh5")
    # The maker's reader uses the stale calibration: give it the same flight times.
    stale = [((np.sqrt(m) + 1.586620) / 0.379760 * 0.3798407 - 1.5871250) ** 2 for m in window]
    with maker.open_archive(archive) as opened:
        np.testing.assert_array_equal(ours["peak"], maker.ion_image(opened, *stale)[::-1])


def test_rebuilt_facts(rebuilt: Path) -> None:
    acq = liso.read(rebuilt)
    facts = acq.metadata
    assert (facts["calibration"]["slope"], facts["calibration"]["offset"]) == (0.379760, -1.586620)
    assert "appended block of 09/22/2025 15:38:35" in facts["calibration"]["source"]
    assert [c["slope"] for c in facts["calibration_superseded"]] == [0.3798407]
    assert any("recalibrated" in text and "+391 ppm" in text for text in facts["warnings"])
    assert acq.pixel_size == pytest.approx((80e-6 / 256, 80e-6 / 256))
    assert facts["frames"] == 6
    assert facts["frames_in_header"] == "5"
    assert facts["polarity"] == "positive"
    assert facts["stage_temperature_K"] == 273.15
    assert facts["time_per_frame_s"] == 8.072765
    assert facts["pulse_rate_Hz"] == 8122.8
    assert facts["records"] == 174_405
    assert json.loads(json.dumps(facts)) == facts


def test_rebuilt_pulses_agree_with_the_ions(rebuilt: Path) -> None:
    """One pulse a pixel and frame: a peak is hardly ever seen twice in one of them."""
    acq = liso.read(rebuilt, windows={"Cs": (132.8, 133.0)})
    assert np.broadcast_to(acq.pulses, acq.counts.shape[1:]).max() == 1
    caesium = np.asarray(acq.counts[0]).astype(int)
    # Pairs of ions in one pixel and frame, against those in different frames of one pixel.
    pairs = (caesium * (caesium - 1)).sum()
    across = (caesium.sum(axis=0) ** 2 - (caesium**2).sum(axis=0)).sum()
    assert pairs < 0.02 * across / (len(caesium) - 1)


def test_rebuilt_outline(rebuilt: Path) -> None:
    text = "\n".join(phi_raw.outline(rebuilt))
    for part in (
        "SmartSoft-TOF V3.6.0.29", "frames: 6 (header: 5)", "Calibrated: no", "0.37976",
        "blocks of kind 2 (end of a frame): 6", "Raster Size (um): 80.0",
    ):  # fmt: skip
        assert part in text
    assert "odd" not in text


# --- written files -------------------------------------------------------------


def test_counts_frames_and_orientation(plain: Path) -> None:
    acq = liso.read(plain, windows=WINDOWS)
    assert acq.channels == ("6Li", "7Li")
    assert acq.counts.shape == (2, 3, PIXELS, PIXELS)
    assert acq.counts.dtype.kind == "u"
    np.testing.assert_array_equal(acq.counts[0], images(FRAMES, LI6))
    np.testing.assert_array_equal(acq.counts[1], images(FRAMES, LI7))
    np.testing.assert_array_equal(liso.read(plain).counts[0], images(FRAMES, None))
    assert "truncated" not in " ".join(acq.metadata["warnings"])


def test_a_single_ion_is_where_it_was(tmp_path: Path) -> None:
    path = writer.write(
        tmp_path / "a.raw", writer.header(), writer.frames([[(LI7, 6, 1)]]), writer.end()
    )
    image = liso.read(path)["total"]
    assert image[PIXELS - 1 - 1, 6] == 1  # second row from the bottom, seventh column
    assert image.sum() == 1


def test_what_the_header_says(plain: Path) -> None:
    acq = liso.read(plain)
    facts = acq.metadata
    assert acq.pixel_size == pytest.approx((5e-6, 5e-6))  # 40 um, uncalibrated, over 8 pixels
    assert facts["stage_temperature_K"] == pytest.approx(163.15)
    assert facts["polarity"] == "negative"
    assert facts["frames"] == 3
    assert facts["frames_in_header"] == "99"
    assert facts["calibration"]["source"] == "header"
    assert facts["truncated"] is False
    assert recognise(plain) == "PHI raw"


def test_spectrum_is_on_the_grid_of_flight_times(plain: Path) -> None:
    mass, counts = liso.read(plain).spectrum()
    times, number = np.unique([t for ions in FRAMES for t, _, _ in ions], return_counts=True)
    assert mass == pytest.approx((times * 1e-6 * SLOPE + OFFSET) ** 2)
    np.testing.assert_array_equal(counts, number)


@pytest.mark.parametrize("polarity", ["+", "-"])
def test_polarity(tmp_path: Path, polarity: str) -> None:
    name = {"+": "Positive", "-": "Negative"}[polarity]
    text = writer.HEADER.replace("SecIonPolarity: -", f"SecIonPolarity: {polarity}")
    agreeing = text.replace("Polarity=Negative (-)", f"Polarity={name} ({polarity})")
    ions = writer.frames(FRAMES)
    path = writer.write(tmp_path / "a.raw", writer.header(text=agreeing), ions, writer.end())
    assert liso.read(path).metadata["polarity"] == name.lower()
    other = agreeing.replace(f"Polarity={name}", f"Polarity={'PN'[polarity == '+']}")
    path = writer.write(tmp_path / "b.raw", writer.header(text=other), ions, writer.end())
    acq = liso.read(path)
    assert acq.metadata["polarity"] is None
    assert any("polarity" in text for text in acq.metadata["warnings"])


def test_last_valid_appended_calibration_is_used(tmp_path: Path) -> None:
    path = with_blocks(
        tmp_path / "a.raw",
        writer.appended(0.401, -1.51),
        writer.block(12, b"\4\0\0\0"),
        writer.appended(0.402, -1.52),
        writer.appended(0.403, -1.53, "FALSE"),
    )
    acq = liso.read(path, windows={"7Li": (6.9, 7.2)})
    used = acq.metadata["calibration"]
    assert (used["slope"], used["offset"]) == (0.402, -1.52)
    assert any("recalibrated" in text for text in acq.metadata["warnings"])
    mass, _ = acq.spectrum()
    assert mass.min() == pytest.approx(
        (min(t for ions in FRAMES for t, _, _ in ions) * 0.402e-6 - 1.52) ** 2
    )


def test_a_calibration_that_contradicts_the_header_is_refused(tmp_path: Path) -> None:
    path = with_blocks(tmp_path / "a.raw", writer.appended(0.5, -1.5))
    with pytest.raises(liso.FormatError, match="contradict each other"):
        liso.read(path)


@pytest.mark.parametrize("order", ["tile by tile", "frame by frame", "one end for all tiles"])
def test_tiles_of_a_mosaic_go_side_by_side(tmp_path: Path, order: str) -> None:
    places = [(0, 0), (1, 0), (1, 1)]
    ions = {(t, f): random_ions(10 * t + f, 30) for t in range(3) for f in range(2)}
    parts = []
    if order == "tile by tile":
        for t, place in enumerate(places):
            parts += [writer.tile(*place), writer.frames([ions[t, f] for f in range(2)])]
    else:
        each = order == "frame by frame"
        for f in range(2):
            for t, place in enumerate(places):
                parts += [writer.tile(*place), writer.events(ions[t, f])]
                parts += [writer.block(2)] * each
            parts += [writer.block(2)] * (not each)
    path = writer.write(tmp_path / "m.raw", writer.header(), *parts, writer.end())
    acq = liso.read(path)
    expected = np.zeros((2, 16, 16), int)
    for t, (column, row) in enumerate(places):
        top, left = 8 * (1 - row), 8 * column
        tile = images([ions[t, 0], ions[t, 1]], None)
        expected[:, top : top + 8, left : left + 8] = tile
    np.testing.assert_array_equal(acq.counts[0], expected)
    assert acq.metadata["mosaic_tiles"] == [2, 2]
    assert any("1 tiles" in text for text in acq.metadata["warnings"])
    assert acq.pixel_size == pytest.approx((5e-6, 5e-6))
    assert acq.pulses is None


@pytest.mark.parametrize("header_says", ["Active", "Inactive"])
def test_msms_events_replace_the_others(tmp_path: Path, header_says: str) -> None:
    path = writer.write(
        tmp_path / "a.raw", writer.header(msms=header_says), writer.frames(FRAMES, kind=8),
        writer.end(),
    )  # fmt: skip
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[0], images(FRAMES, None))
    said = [text for text in acq.metadata["warnings"] if "MS/MS" in text]
    assert len(said) == (header_says == "Inactive")


@pytest.mark.parametrize("msms", [False, True])
def test_the_other_channel_of_msms_is_told_not_mixed_in(tmp_path: Path, msms: bool) -> None:
    other = random_ions(5, 20)
    parts = [writer.events(other, kind=1 if msms else 8)]
    parts.append(writer.frames(FRAMES, kind=8 if msms else 1))
    says = "Active" if msms else "Inactive"
    path = writer.write(tmp_path / "a.raw", writer.header(msms=says), *parts, writer.end())
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[0], images(FRAMES, None))
    assert any("20 events of another channel" in text for text in acq.metadata["warnings"])


def test_invalid_records_are_counted_not_shown(tmp_path: Path) -> None:
    good = [random_ions(1, 3000)]
    word = writer.records([(LI7, 3, 3)])
    empty = (
        (int.from_bytes(word, "little") & ~(1 << 31)).to_bytes(8, "little")  # bit 31 off
        + b"\xad" * 8
        + b"\xad" * 4 + b"\0" * 4
    )  # fmt: skip
    damaged = (int.from_bytes(word, "little") | 1 << 58).to_bytes(8, "little")
    outside = writer.records([(LI7, PIXELS, 3), (LI7, 3, PIXELS)])
    path = writer.write(
        tmp_path / "a.raw", writer.header(), writer.block(1, empty + damaged + outside),
        writer.frames(good, 512), writer.end(),
    )  # fmt: skip
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[0], images(good, None))
    facts = acq.metadata
    assert facts["records"] == 3006
    assert facts["records_invalid"] == 3
    assert facts["records_damaged"] == 1
    assert facts["records_outside_raster"] == 2
    assert any("1 records are damaged and 2 lie outside" in text for text in facts["warnings"])


@pytest.mark.parametrize("word", [1 << 63 | 1 << 31, 1 << 31 | 9 << 32, 5])
def test_too_many_records_that_are_no_ions_are_damage(tmp_path: Path, word: int) -> None:
    wrong = writer.block(1, 15 * word.to_bytes(8, "little"))
    path = writer.write(
        tmp_path / "a.raw", writer.header(), wrong, writer.frames(FRAMES), writer.end()
    )
    with pytest.raises(liso.FormatError, match="is damaged: of 118 records"):
        liso.read(path)


# TimePerFrameInS over the period of 123.181 us and 64 pixels: pulses a pixel.
@pytest.mark.parametrize(
    ("each", "msms", "expected"),
    [
        (1, "Inactive", 1), (3, "Inactive", 3), (1.004, "Inactive", None),
        (1.125, "Inactive", None), (0.3, "Inactive", None), (3, "Active", None),
    ],
)  # fmt: skip
def test_pulses_only_where_nothing_is_left_for_the_way_back(
    tmp_path: Path, each: float, msms: str, expected: int | None
) -> None:
    text = writer.HEADER.replace("InS: 9.9", f"InS: {each * PIXELS**2 * 123.181e-6:.6f}")
    kind = 8 if msms == "Active" else 1
    path = writer.write(
        tmp_path / "a.raw", writer.header(text=text, msms=msms), writer.frames(FRAMES, kind=kind),
        writer.end(),
    )  # fmt: skip
    acq = liso.read(path)
    if expected is None:
        assert acq.pulses is None
        assert acq.metadata["time_per_frame_s"] > 0
    else:
        assert np.broadcast_to(acq.pulses, acq.counts.shape[1:]).tolist() == (
            np.full(acq.counts.shape[1:], expected).tolist()
        )


def test_wincadence_has_a_shorter_header_and_a_warning(tmp_path: Path) -> None:
    text = writer.HEADER.replace("SmartSoft-TOF V3", "WinCadence 4.4")
    path = writer.write(
        tmp_path / "a.raw", writer.header(size=4096, text=text), writer.frames(FRAMES),
        writer.end(),
    )  # fmt: skip
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[0], images(FRAMES, None))
    assert any("WinCadence" in text for text in acq.metadata["warnings"])


def test_lengths_of_blocks_without_content_do_not_matter(tmp_path: Path) -> None:
    """Readers of instrument files found that these are not to be believed."""
    parts = [writer.events(FRAMES[0]), writer.block(2, size=77), writer.end()]
    acq = liso.read(writer.write(tmp_path / "a.raw", writer.header(), *parts))
    np.testing.assert_array_equal(acq.counts[0], images(FRAMES[:1], None))


def test_unknown_blocks_are_left_out_and_told(tmp_path: Path) -> None:
    acq = liso.read(with_blocks(tmp_path / "a.raw", writer.block(21, b"x" * 40)))
    np.testing.assert_array_equal(acq.counts[0], images(FRAMES, None))
    assert any("unknown kind (21, 40 bytes)" in text for text in acq.metadata["warnings"])


@pytest.mark.parametrize(("kind", "message"), [(12, "unknown kind (12"), (14, "should be")])
def test_events_under_a_wrong_kind_are_not_lost_without_a_word(
    tmp_path: Path, kind: int, message: str
) -> None:
    acq = liso.read(with_blocks(tmp_path / "a.raw", writer.events(FRAMES[0], 60, kind)))
    assert any(message in text for text in acq.metadata["warnings"])


def test_counts_after_the_last_end_are_a_frame(tmp_path: Path) -> None:
    acq = liso.read(with_blocks(tmp_path / "a.raw", writer.events(FRAMES[0])))
    assert acq.metadata["frames"] == 4
    np.testing.assert_array_equal(acq.counts[0], images([*FRAMES, FRAMES[0]], None))
    assert any("incomplete" in text for text in acq.metadata["warnings"])
    assert acq.pulses is None


def test_blocks_of_any_size_and_lazy_frames(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small pieces, long blocks and frames that are made again give the same counts."""
    monkeypatch.setattr(phi_events, "BATCH", 7)
    monkeypatch.setattr(phi_blocks, "_PIECE", 40)
    monkeypatch.setattr(_stream, "PLAIN_BYTES", 10)
    parts = [writer.frames(FRAMES[:1], 3), writer.frames(FRAMES[1:], 41)]
    path = writer.write(tmp_path / "a.raw", writer.header(), *parts, writer.end())
    acq = liso.read(path, windows=WINDOWS)
    assert not isinstance(acq.counts, np.ndarray)
    for _ in range(2):
        np.testing.assert_array_equal(acq.counts[1], images(FRAMES, LI7))
    np.testing.assert_array_equal(acq["6Li"], images(FRAMES, LI6).sum(axis=0))
    assert acq.metadata["records"] == sum(map(len, FRAMES))


def test_blocks_are_walked_through_once(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_files, "_SETTLED_NS", -(10**18))  # as if it were an old file
    first = liso.read(plain)
    monkeypatch.setattr(phi_raw, "index_blocks", None)
    again = liso.read(plain, windows=WINDOWS)
    np.testing.assert_array_equal(again.counts[1], images(FRAMES, LI7))
    assert again.metadata["records"] == first.metadata["records"]
    monkeypatch.undo()
    content = plain.read_bytes()
    plain.write_bytes(content + writer.appended(0.401, -1.51))
    assert liso.read(plain).metadata["calibration"]["slope"] == 0.401


# --- another reader -----------------------------------------------------------


def test_as_another_reader_decodes_it(rebuilt: Path) -> None:
    """thyra (MIT) needs Python 3.12 and many packages; where it is, it must agree."""
    thyra = pytest.importorskip("thyra.readers.phi", reason="thyra is not installed")
    header = thyra.parse_phi_header(rebuilt)
    index = thyra.scan_blocks(rebuilt, header)
    acq = liso.read(rebuilt)
    image = np.zeros((256, 256), int)
    times = []
    for x, y, time in thyra.iter_event_batches(rebuilt, index):
        np.add.at(image, (y, x), 1)
        times.append(time)
    np.testing.assert_array_equal(acq["total"], image[::-1])
    assert acq.counts.shape[1] == index.n_frames
    calibration = acq.metadata["calibration"]
    assert (calibration["slope"], calibration["offset"]) == index.appended_calibration()
    occupied, number = np.unique(np.concatenate(times), return_counts=True)
    mass, counts = acq.spectrum()
    np.testing.assert_array_equal(counts, number)
    root = occupied * 1e-6 * calibration["slope"] + calibration["offset"]
    np.testing.assert_allclose(mass, np.maximum(root, 0) ** 2, atol=1e-9)
