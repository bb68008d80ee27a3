"""PHI raw: files that are cut, damaged or lie, and damage of any kind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import phi_raw_writer as writer
import pytest
from hostile import assert_cut_is_noticed, damage, fuzz, outcome
from hypothesis import given
from hypothesis import strategies as st
from phi_raw_writer import FRAMES, LI7, OFFSET, SLOPE, images

import napari_liso as liso
from napari_liso.readers import _stream
from napari_liso.readers.phi import blocks as phi_blocks
from napari_liso.readers.phi import raw as phi_raw


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return writer.write(tmp_path / "a.raw", writer.header(), writer.frames(FRAMES), writer.end())


def test_cut_at_every_boundary_and_in_between(tmp_path: Path) -> None:
    parts = [
        writer.header(size=1400), writer.frames(FRAMES), writer.block(12, b"\4\0\0\0"),
        writer.appended(0.401, -1.51), writer.end(), writer.appended(0.402, -1.5),
    ]  # fmt: skip
    content = b"".join(parts)
    path = tmp_path / "a.raw"
    path.write_bytes(content)
    whole = phi_raw.read(path)
    assert whole.metadata["calibration"]["slope"] == 0.402
    rng = np.random.default_rng(3)
    boundaries = [0, 4, 700, 1399, 1400]
    place = 1400
    for block in phi_blocks.walk(path, 1400):
        boundaries += [block.place - 16, block.place - 9, block.place, block.place + 4]
        place = block.place + block.size
    assert place == len(content)
    cuts = {*boundaries, *rng.integers(0, len(content), 60).tolist()} - {len(content)}
    # There the stream is whole; only what was appended to it is not there.
    whole_too = len(content) - len(parts[-1])
    cut_path = tmp_path / "cut.raw"
    for cut in sorted(min(cut, len(content) - 1) for cut in cuts):
        cut_path.write_bytes(content[:cut])
        assert_cut_is_noticed(phi_raw.read, cut_path, whole, cut)
        if 1400 + 16 + 8 <= cut != whole_too:
            # A measurement that was broken off is worth having.
            assert any("truncated" in text for text in phi_raw.read(cut_path).metadata["warnings"])


def test_whole_events_before_a_cut_are_kept(tmp_path: Path) -> None:
    content = writer.header() + writer.events(FRAMES[0], 60)
    path = tmp_path / "cut.raw"
    path.write_bytes(content[: -8 * 20 - 3])
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[0], images([FRAMES[0][:39]], None))
    assert acq.metadata["truncated"] is True
    assert acq.pulses is None


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (writer.block(1, writer.records(FRAMES[0])[:-4]), "no whole number"),
        (writer.block(1, b"", size=2**32 - 8), "claims 4294967288 bytes"),
        (writer.block(14, b"AI", size=2**31), "claims 2147483648 bytes"),
        (writer.block(33, b"", size=2000), "claims 2000 bytes"),
        (writer.block(999), "kind 999"),
        (writer.block(1, writer.records(FRAMES[0]), size=16), "is damaged"),
        (writer.block(1, writer.records(FRAMES[0]), size=480 + 16 * 5), "is damaged"),
        # Claims more than the file has, and takes the headers of what follows for events.
        (writer.block(1, writer.records(FRAMES[0]), size=2**20), "longer than the file"),
        (writer.tile(70_000, 0), "tile 70000"),
        (writer.tile(9000, 9000), "pixels"),
        (writer.end(), "events follow the end"),
        (writer.block(14, b"x" * 2**22 + b"x"), "of appended text"),
    ],
)
def test_lies_are_refused(tmp_path: Path, bad: bytes, message: str) -> None:
    path = writer.write(
        tmp_path / "a.raw", writer.header(), bad, writer.frames(FRAMES), writer.end()
    )
    found = outcome(phi_raw.read, path)
    assert isinstance(found, liso.FormatError)
    assert message in found.reason


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("SOFH", "SOFX"), "SOFH"),
        (("EOFH", "EOF"), "no end"),
        (("HeaderSize: 2000", "HeaderSize: 20"), "HeaderSize of 20"),
        (("HeaderSize: 2000", "HeaderSize: 1e300"), "HeaderSize of 1e300"),
        (("HeaderSize: 2000", "HeaderSize: 99999"), "within its header"),
        (("HeaderSize: 2000", "Header: 2000"), "HeaderSize of None"),
        (("HeaderSize: 2000", "HeaderSize: 1700"), "is damaged|no events"),
        (("ImagePixels: 8", "ImagePixels: 0"), "raster of 0"),
        (("ImagePixels: 8", "ImagePixels: 4096"), "raster of 4096"),
        (("ImagePixels: 8", "ImagePixels: 8.5"), "raster of 8.5"),
        (("ImagePixels: 8", "ImagePixels: 4"), "outside the raster of 4"),
        (("Frames=77", "Raster Resolution=16"), "contradicts itself"),
        (("Mass/Time: 0.4", "Mass/Time: 0"), "calibration"),
        (("Mass/Time: 0.4", "Mass: 0.4"), "no mass calibration"),
    ],
)
def test_headers_that_cannot_be_true(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    raw = writer.header().replace(*(text.encode() for text in change)).ljust(2000, b"\0")[:2000]
    path = writer.write(tmp_path / "a.raw", raw, writer.frames(FRAMES), writer.end())
    with pytest.raises(liso.FormatError, match=message):
        phi_raw.read(path)


@pytest.mark.parametrize(
    "change",
    [
        ("Mass/Time: 0.4", "Mass/Time: 1e-320"),
        ("MassOffset: -1.5", "MassOffset: 1e308"),
        ("MassOffset: -1.5", "MassOffset: -1e308"),
        ("Raster Size (um)=40.0", "Raster Size (um)=1e-320"),
    ],
)
@pytest.mark.parametrize("window", [(6.0, 7.0), (1e-300, 1e300)])
def test_numbers_at_the_end_of_their_range(
    tmp_path: Path, change: tuple[str, str], window: tuple[float, float]
) -> None:
    raw = writer.header().replace(*(text.encode() for text in change)).ljust(2000, b"\0")[:2000]
    path = writer.write(tmp_path / "a.raw", raw, writer.frames(FRAMES), writer.end())
    found = outcome(lambda one: liso.read(one, windows={"a": window}), path)
    assert isinstance(found, liso.FormatError) or found.pixel_size == pytest.approx((5e-6, 5e-6))


def test_many_frames_of_nothing_are_refused_at_once(tmp_path: Path) -> None:
    ions = writer.block(1, writer.records([(LI7, 0, 0)]))
    path = writer.write(
        tmp_path / "a.raw", writer.header(pixels=2048), (ions + writer.block(2)) * 5000,
        writer.end(),
    )  # fmt: skip
    found = outcome(phi_raw.read, path)
    assert isinstance(found, liso.FormatError)
    assert "5000 events in 5000 frames" in found.reason


def test_a_file_of_empty_blocks(tmp_path: Path) -> None:
    path = writer.write(tmp_path / "a.raw", writer.header(), writer.block(12) * 100_000)
    found = outcome(phi_raw.read, path)
    assert isinstance(found, liso.FormatError)
    assert "no events" in found.reason


def test_a_file_that_shrinks_after_opening_is_noticed(
    plain: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stream, "PLAIN_BYTES", 10)
    acq = liso.read(plain)
    plain.write_bytes(plain.read_bytes()[:2100])
    with pytest.raises(liso.FormatError, match="has changed"):
        acq.counts[0, 2]


def test_outline_of_a_damaged_file_goes_as_far_as_it_can(tmp_path: Path) -> None:
    path = writer.write(
        tmp_path / "a.raw", writer.header(), writer.events(FRAMES[0]), writer.block(999)
    )
    lines: list[str] = []

    def follow() -> None:
        for line in phi_raw.outline(path):
            lines.append(line)

    with pytest.raises(liso.FormatError, match="kind 999"):
        follow()
    assert any("blocks of kind 1 (events): 12" in line for line in lines)


CONTENT = b"".join(
    [
        writer.header(size=1400), writer.tile(0, 0), writer.frames(FRAMES),
        writer.appended(0.401, -1.51), writer.end(),
    ]
)  # fmt: skip


@fuzz
@given(content=damage(CONTENT))
def test_damaged_bytes(content: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "phi_fuzz.raw"
    path.write_bytes(content)
    found = outcome(phi_raw.read, path)
    if not isinstance(found, liso.FormatError):
        total = int(found["total"].sum())
        told = found.metadata["records_invalid"] + found.metadata["warnings"].__len__()
        assert total == sum(map(len, FRAMES)) or told


@fuzz
@given(window=st.tuples(st.floats(0.5, 30), st.floats(0.01, 20)))
def test_any_window_counts_what_is_in_it(
    window: tuple[float, float], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "phi_windows.raw"
    if not path.exists():
        path.write_bytes(CONTENT.replace(b"AI_Calibrated: TRUE", b"AI_Calibrated: NONE"))
    low, high = window[0], window[0] + window[1]
    acq = phi_raw.read(path, {"x": (low, high)})
    masses = [(t * 1e-6 * SLOPE + OFFSET) ** 2 for ions in FRAMES for t, _, _ in ions]
    assert acq["x"].sum() == sum(low <= mass < high for mass in masses)
