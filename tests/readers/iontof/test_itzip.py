"""ION-TOF ITZIP: the same events as columns in an archive."""

from __future__ import annotations

import io
import json
import struct
import zipfile
from pathlib import Path

import hostile
import iontof_raw_writer as writer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.errors import FormatError
from napari_liso.readers import _stream, recognise
from napari_liso.readers.iontof import itzip

SIDE = writer.RESOLUTION
LI6, LI7 = writer.channel(6.015), writer.channel(7.0155)
WINDOWS = {"6Li": (5.98, 6.05), "7Li": (6.97, 7.06)}


def measurement() -> tuple[list[writer.Event], np.ndarray]:
    """Events of four scans, one without any, and the cube (peak, scan, row from the top, x)."""
    rng = np.random.default_rng(4)
    cube = np.zeros((2, 4, SIDE, SIDE), int)
    events = []
    for scan in (0, 1, 3):
        for shot in range(2 * SIDE * SIDE):
            y, x = divmod(shot // 2, SIDE)
            for peak, (time, rate) in enumerate([(LI6, 0.1 + 0.3 * (x > 12)), (LI7, 0.5)]):
                if rng.random() < rate:
                    events.append((scan, shot, x, y, time + int(rng.integers(-3, 4))))
                    cube[peak, scan, SIDE - 1 - y, x] += 1
    return events, cube


EVENTS, CUBE = measurement()


def write(folder: Path, content: bytes) -> Path:
    path = folder / "run 1.itzip"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
@pytest.mark.parametrize("batch", [7, 100, 2**20])
@pytest.mark.parametrize("kept", [0, 3000, 2**29])
def test_counts(
    tmp_path: Path, method: int, batch: int, kept: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(itzip, "BATCH", batch)
    monkeypatch.setattr(itzip, "_KEPT_BYTES", kept)
    monkeypatch.setattr(_stream, "PLAIN_BYTES", 10)
    path = write(tmp_path, writer.itzip(EVENTS, method=method))
    assert recognise(path) == "ION-TOF ITZIP"
    acq = liso.read(path, windows=WINDOWS)
    for frame in (3, 0, 2, 1, 3):  # there and back, as with a slider
        np.testing.assert_array_equal(acq.counts[:, frame], CUBE[:, frame])
    np.testing.assert_array_equal(np.asarray(acq.counts), CUBE)
    np.testing.assert_array_equal(acq["7Li"], CUBE[1].sum(axis=0))


def test_what_is_known(tmp_path: Path) -> None:
    acq = liso.read(write(tmp_path, writer.itzip(EVENTS)), windows=["6Li", "7Li"])
    np.testing.assert_array_equal(np.asarray(acq.counts), CUBE)
    assert acq.pixel_size == pytest.approx((2.5e-6, 2.5e-6))
    assert acq.pulses is not None
    assert acq.pulses.ravel().tolist() == [2]
    assert acq.metadata["polarity"] == "positive"
    assert "flipped vertically" in acq.metadata["origin"]
    json.dumps(acq.metadata, allow_nan=False)
    mass, counts = acq.spectrum()
    times, number = np.unique([event[4] for event in EVENTS], return_counts=True)
    np.testing.assert_array_equal(counts, number)
    np.testing.assert_allclose(mass, ((times + 360.0) / 33000.0) ** 2)


def test_the_same_events_as_grd(tmp_path: Path) -> None:
    zipped = liso.read(write(tmp_path, writer.itzip(EVENTS)))
    plain = liso.read(writer.write_grd(tmp_path, EVENTS))
    np.testing.assert_array_equal(np.asarray(zipped.counts), np.asarray(plain.counts))
    assert zipped.pixel_size == plain.pixel_size


def test_paths_of_members_mean_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    content = writer.itzip(EVENTS, prefix="../../etc/run")
    acq = liso.read(write(folder, content), windows=WINDOWS)
    np.testing.assert_array_equal(np.asarray(acq.counts), CUBE)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["in", "run 1.itzip"]


@pytest.mark.parametrize("suffix", [".scans", ".shots", ".properties.txt"])
def test_a_missing_member(tmp_path: Path, suffix: str) -> None:
    with pytest.raises(FormatError, match=suffix.replace(".", r"\.")):
        liso.read(write(tmp_path, writer.itzip(EVENTS, without=suffix)))


def test_other_archives_are_not_claimed(tmp_path: Path) -> None:
    for suffix in (".tofs", ".coords"):
        assert not itzip.recognise(write(tmp_path, writer.itzip(EVENTS, without=suffix)))
    assert not itzip.recognise(write(tmp_path, b"PK\x03\x04" + bytes(100)))
    assert not itzip.recognise(write(tmp_path, b"SOFH"))


def archive(**members: bytes) -> bytes:
    """An archive with whole properties and the given columns."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in members.items():
            file.writestr(f"a.{name}", content)
        file.writestr("a.properties.txt", writer.properties())
    return buffer.getvalue()


def column(*numbers: int) -> bytes:
    return struct.pack(f"<{len(numbers)}I", *numbers)


COLUMNS = {
    "scans": column(0, 0, 1), "shots": column(1, 2, 1), "tofs": column(9, 8, 7),
    "coords": column(0, 0, 1, 1, 2, 2),
}  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"scans": column(0, 0)}, "differ in length"),
        ({"shots": column(0, 0)}, "differ in length"),
        ({"coords": column(0, 0, 0, 0)}, "differ in length"),
        ({"tofs": b"\1\0\0\0\2", "scans": b"\1\0\0\0\2"}, "no whole number"),
        ({"scans": b"", "shots": b"", "tofs": b"", "coords": b""}, "no whole number"),
        ({"scans": column(0, 1, 0)}, "scan numbers fall"),
        ({"scans": column(0, 0, 2**31)}, "too many"),
        ({"scans": column(0, 0, 60_000)}, "3 events in 2"),
        ({"coords": column(0, 0, 1, SIDE, 2, 2)}, "outside the raster"),
        ({"coords": column(0, 0, 2**16, 1, 2, 2)}, "outside the raster"),
    ],
)
def test_columns_that_do_not_fit(tmp_path: Path, changes: dict, reason: str) -> None:
    path = write(tmp_path, archive(**(COLUMNS | changes)))
    with hostile.bounded(), pytest.raises(FormatError, match=reason):
        liso.read(path)


def test_two_measurements_in_one_archive(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(tmp_path, archive(**COLUMNS)), "a") as file:
        file.writestr("b.tofs", column(1, 2, 3))
    with pytest.raises(FormatError, match="several members"):
        liso.read(tmp_path / "run 1.itzip")


def test_a_bomb(tmp_path: Path) -> None:
    zeros = bytes(12_000_000)
    content = archive(scans=zeros, shots=zeros, tofs=zeros, coords=zeros + zeros)
    path = write(tmp_path, content)
    assert path.stat().st_size < 100_000
    with hostile.bounded(), pytest.raises(FormatError, match="no measurement"):
        liso.read(path)


def directory_entry(content: bytes, name: bytes) -> int:
    """Where the entry of a member in the central directory begins."""
    return content.rindex(b"PK\x01\x02", 0, content.rindex(name))


def test_lying_sizes(tmp_path: Path) -> None:
    """The directory says that the flight times are longer, or shorter, than they are."""
    content = writer.itzip(EVENTS)
    for size in (4 * len(EVENTS) + 4, 4 * len(EVENTS) - 4, 2**30):
        changed = bytearray(content)
        for name, width in ((b".tofs", 1), (b".scans", 1), (b".shots", 1), (b".coords", 2)):
            struct.pack_into("<I", changed, directory_entry(content, name) + 24, width * size)
        path = write(tmp_path, bytes(changed))
        with hostile.bounded(), pytest.raises(FormatError):
            liso.read(path)


def test_encrypted_and_other_methods(tmp_path: Path) -> None:
    content = writer.itzip(EVENTS)
    encrypted = bytearray(content)
    encrypted[directory_entry(content, b".tofs") + 8] |= 1
    with pytest.raises(FormatError, match="encrypted"):
        liso.read(write(tmp_path, bytes(encrypted)))
    path = write(tmp_path, writer.itzip(EVENTS, method=zipfile.ZIP_BZIP2))
    with pytest.raises(FormatError, match="method"):
        liso.read(path)


def test_a_changed_byte_of_a_column_is_noticed(tmp_path: Path) -> None:
    content = writer.itzip(EVENTS, method=zipfile.ZIP_STORED)
    for name, value in ((b".tofs", LI7), (b".scans", 0)):
        changed = bytearray(content)
        place = content.index(column(value), content.index(name)) + 80
        changed[place] ^= 1
        path = write(tmp_path, bytes(changed))
        with pytest.raises(FormatError):
            liso.read(path)


def test_cut(tmp_path: Path) -> None:
    content = writer.itzip(EVENTS)
    path = write(tmp_path, content)
    whole = itzip.read(path)
    rng = np.random.default_rng(1)
    for cut in [0, 1, 4, len(content) - 1, *rng.integers(5, len(content), 30).tolist()]:
        path.write_bytes(content[:cut])
        hostile.assert_cut_is_noticed(itzip.read, path, whole, cut)


@hostile.fuzz
@given(data=st.data())
def test_damage(tmp_path: Path, data: st.DataObject) -> None:
    path = write(tmp_path, data.draw(hostile.damage(writer.itzip(EVENTS[:300]))))
    hostile.outcome(itzip.read, path)


def test_outline(tmp_path: Path) -> None:
    text = "\n".join(itzip.outline(write(tmp_path, writer.itzip(EVENTS))))
    assert f"run 1.itm.tofs: {4 * len(EVENTS)} bytes" in text
    assert "Context.MassScale.SF = 1 | 33000.0" in text
