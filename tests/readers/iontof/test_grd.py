"""ION-TOF GRD: events by scan, and the properties that say what they are."""

from __future__ import annotations

import json
import subprocess
import sys
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
from napari_liso.readers.iontof import grd

SIDE, SCANS = writer.RESOLUTION, 4
LI6, LI7 = writer.channel(6.015), writer.channel(7.0155)
WINDOWS = {"6Li": (5.98, 6.05), "7Li": (6.97, 7.06)}


def measurement(first: int = 0, seed: int = 3) -> tuple[list[writer.Event], np.ndarray]:
    """Events of four scans and, counted one by one, the cube (peak, scan, row from the top, x)."""
    rng = np.random.default_rng(seed)
    cube = np.zeros((3, SCANS, SIDE, SIDE), int)
    events = []
    for scan in range(SCANS):
        for shot in range(SIDE * SIDE * writer.SHOTS):
            pixel = shot // writer.SHOTS
            x, y = pixel % SIDE, pixel // SIDE
            for peak, (mass, rate) in enumerate(
                [(LI6, 0.1 + 0.2 * (y > 10)), (LI7, 0.6), (150000, 0.3)]
            ):
                if rng.random() < rate:
                    events.append((scan + first, shot, x, y, mass + int(rng.integers(-3, 4))))
                    cube[peak, scan, SIDE - 1 - y, x] += 1
    return events, cube


EVENTS, CUBE = measurement()


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("lazy", [False, True])
def test_counts(tmp_path: Path, first: int, lazy: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if lazy:
        monkeypatch.setattr(_stream, "PLAIN_BYTES", 10)
    events, cube = measurement(first)
    acq = liso.read(writer.write_grd(tmp_path, events), windows=WINDOWS)
    np.testing.assert_array_equal(np.asarray(acq.counts), cube[:2])
    np.testing.assert_array_equal(acq["6Li"], cube[0].sum(axis=0))
    np.testing.assert_array_equal(acq.counts[1, 2], cube[1, 2])
    assert acq.counts.dtype.kind == "u"
    assert acq.pixel_size == pytest.approx((4e-5 / 16, 4e-5 / 16))
    assert acq.pulses is not None
    assert np.broadcast_to(acq.pulses, (SCANS, SIDE, SIDE)).sum() == SCANS * SIDE**2 * 2
    assert acq.metadata["polarity"] == "positive"
    assert acq.metadata["end_mass_u"] == 900
    assert "flipped vertically" in acq.metadata["origin"]
    assert acq.metadata["calibration"]["slope"] == pytest.approx(1 / writer.SF)
    assert not any("truncated" in text for text in acq.metadata["warnings"])
    json.dumps(acq.metadata, allow_nan=False)


def test_everything_and_the_spectrum(tmp_path: Path) -> None:
    acq = liso.read(writer.write_grd(tmp_path, EVENTS))
    np.testing.assert_array_equal(acq["total"], CUBE.sum(axis=(0, 1)))
    mass, counts = acq.spectrum()
    times, number = np.unique([event[4] for event in EVENTS], return_counts=True)
    np.testing.assert_array_equal(counts, number)
    # by hand, from SF and K0
    np.testing.assert_allclose(mass, ((times + 360.0) / 33000.0) ** 2)


def test_windows_by_name(tmp_path: Path) -> None:
    acq = liso.read(writer.write_grd(tmp_path, EVENTS), windows=["6Li", "7Li"])
    np.testing.assert_array_equal(np.asarray(acq.counts), CUBE[:2])


@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode("utf-8-sig"),
        lambda text: text.encode("utf-16"),
        lambda text: text.encode("utf-16-le"),
        lambda text: text.encode("utf-16-be"),
        lambda text: text.encode("latin-1"),
        lambda text: text.encode("utf-8").replace(b"\t", b"\0\t\0"),
        lambda text: b"\xff\xfe" + text.encode("utf-16-le"),
        lambda text: text.replace("\t1\t", "\t").encode(),
        lambda text: text.upper().encode(),
        lambda text: text.replace("4e-05", "0,00004").encode(),
        lambda text: text.replace("\r\n", "\tm\r\n").encode(),
    ],
)
def test_properties_in_any_encoding(tmp_path: Path, encode: object) -> None:
    path = writer.write_grd(tmp_path, EVENTS, encode(writer.properties()))  # type: ignore[operator]
    acq = liso.read(path, windows=WINDOWS)
    np.testing.assert_array_equal(np.asarray(acq.counts), CUBE[:2])
    assert acq.pixel_size == pytest.approx((2.5e-6, 2.5e-6))
    assert acq.metadata["polarity"] == "positive"


@pytest.mark.parametrize(
    "name", ["run 1.itm.properties.txt", "RUN 1.Properties.TXT", "run 1.itm.grd.properties.txt"]
)
def test_properties_are_found_and_may_be_given_too(tmp_path: Path, name: str) -> None:
    path = writer.write_grd(tmp_path, EVENTS)
    properties = (tmp_path / "run 1.properties.txt").rename(tmp_path / name)
    assert grd.companions(path) == [properties]
    for given_ in ([path, properties], [properties, path], path, properties):
        assert recognise(given_) == "ION-TOF GRD"
        np.testing.assert_array_equal(liso.read(given_)["total"], CUBE.sum(axis=(0, 1)))


def test_a_file_alone_says_what_is_missing(tmp_path: Path) -> None:
    path = writer.write_grd(tmp_path, EVENTS)
    properties = tmp_path / "run 1.properties.txt"
    content = properties.read_bytes()
    properties.unlink()
    with pytest.raises(FormatError, match=r"run 1\.itm\.properties\.txt"):
        liso.read(path)
    path.unlink()
    properties.write_bytes(content)
    with pytest.raises(FormatError, match=r"run 1\.itm\.grd"):
        liso.read(properties)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SF": None}, "mass scale"),
        ({"K0": None}, "mass scale"),
        ({"SF": 0}, "no mass scale"),
        ({"SF": "nan"}, "mass scale"),
        ({"K0": "1e300"}, "no mass scale"),
        ({"Resolution": None}, "Resolution"),
        ({"Resolution": 0}, "resolution of 0"),
        ({"Resolution": 2**31}, "resolution of"),
        ({"Resolution": 15.5}, "resolution of 15.5"),
        ({"Resolution": 12}, "outside the raster of 12 x 12"),
    ],
)
def test_properties_that_cannot_be(tmp_path: Path, changes: dict, reason: str) -> None:
    path = writer.write_grd(tmp_path, EVENTS, writer.properties(**changes))
    with hostile.bounded(), pytest.raises(FormatError, match=reason):
        liso.read(path)


def test_what_is_not_stated_is_not_invented(tmp_path: Path) -> None:
    text = writer.properties(
        FieldOfView=500, ShotsPerPixel=None, Analyzer_Polarity_Switch=None, ScanNumber=None
    )
    acq = liso.read(writer.write_grd(tmp_path, EVENTS, text))
    assert acq.pixel_size is None
    assert acq.pulses is None
    assert acq.metadata["polarity"] is None
    assert any("500 m" in warning for warning in acq.metadata["warnings"])


def test_other_files_are_not_claimed(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    contents = {
        "noise.grd": rng.bytes(4000),
        "zeros.grd": bytes(4000),
        "text.grd": b"x,y,z,a,b\n" * 400,
        "surfer.grd": b"DSBB" + rng.bytes(3996),
        "counts.raw": np.arange(1000, dtype="<u4").tobytes(),
        "image.bin": rng.poisson(3, 5000).astype("<u2").tobytes(),
        "note.properties.txt": b"name\tvalue\nResolution\t16\n",
    }
    for name, content in contents.items():
        path = tmp_path / name
        path.write_bytes(content)
        assert not grd.recognise(path), name
    # Events without the suffix, and without properties, could be anything.
    path = tmp_path / "events.bin"
    path.write_bytes(writer.grd(EVENTS))
    assert not grd.recognise(path)
    (tmp_path / "events.properties.txt").write_text(writer.properties())
    assert recognise(path) == "ION-TOF GRD"


def test_scans_without_events_are_empty_frames(tmp_path: Path) -> None:
    events = [event for event in EVENTS if event[0] != 1]
    acq = liso.read(writer.write_grd(tmp_path, events))
    assert acq.counts.shape[1] == SCANS
    assert acq.counts[0, 1].sum() == 0
    np.testing.assert_array_equal(acq.counts[0, 3], CUBE.sum(axis=0)[3])


@pytest.mark.parametrize("place", [5, 700, -3])
def test_scans_out_of_order(tmp_path: Path, place: int) -> None:
    events = list(EVENTS)
    scan = events[place][0]
    events[place] = ((scan + 2) % SCANS, *events[place][1:])
    with pytest.raises(FormatError, match="order"):
        liso.read(writer.write_grd(tmp_path, events))


def test_reversed_and_absurd_scans(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="order"):
        grd.read(writer.write_grd(tmp_path, EVENTS[::-1]))
    for scan in (5000, 2**31):
        events = [*EVENTS, (scan, 0, 0, 0, 5)]
        with hostile.bounded(), pytest.raises(FormatError, match="damaged"):
            liso.read(writer.write_grd(tmp_path, events))
    many = [(scan, 0, 0, 0, 77) for scan in range(20_000)]
    text = writer.properties(Resolution=4096)
    with hostile.bounded(), pytest.raises(FormatError, match="20000 scans"):
        liso.read(writer.write_grd(tmp_path, many, text))


def test_few_events_on_a_large_raster(tmp_path: Path) -> None:
    path = writer.write_grd(tmp_path, EVENTS, writer.properties(Resolution=4096))
    with hostile.bounded():
        acq = liso.read(path)
        assert acq["total"].sum() == len(EVENTS)


def test_cut_in_a_record_and_in_the_last_scan(tmp_path: Path) -> None:
    path = writer.write_grd(tmp_path, EVENTS)
    whole, content = grd.read(path), path.read_bytes()
    rng = np.random.default_rng(1)
    cuts = {0, 1, 19, 20, 21, len(content) - 1, *rng.integers(1, len(content) - 2000, 30).tolist()}
    ends = np.flatnonzero(np.diff([event[0] for event in EVENTS])) + 1
    for cut in sorted(cuts | {20 * int(end) for end in ends}):
        path.write_bytes(content[:cut])
        hostile.assert_cut_is_noticed(grd.read, path, whole, cut)


def test_a_scan_that_ends_early_is_told(tmp_path: Path) -> None:
    text = writer.properties(ScanNumber=None)
    cut = [event for event in EVENTS if event[0] < 3 or event[1] < 200]
    acq = liso.read(writer.write_grd(tmp_path, cut, text))
    assert any("truncated" in warning for warning in acq.metadata["warnings"])
    # Shots that are counted anew in every pixel tell nothing.
    anew = [(scan, shot % 2, x, y, tof) for scan, shot, x, y, tof in EVENTS]
    acq = liso.read(writer.write_grd(tmp_path, anew, text))
    assert not any("truncated" in warning for warning in acq.metadata["warnings"])


def test_a_file_that_shrinks_while_it_is_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_stream, "PLAIN_BYTES", 10)
    path = writer.write_grd(tmp_path, EVENTS)
    acq = liso.read(path)
    path.write_bytes(path.read_bytes()[: 20 * 1000])
    with pytest.raises(FormatError, match="has changed"):
        acq.counts[0, 3]


@hostile.fuzz
@given(data=st.data())
def test_damage(tmp_path: Path, data: st.DataObject) -> None:
    path = writer.write_grd(tmp_path, EVENTS[:400])
    path.write_bytes(data.draw(hostile.damage(path.read_bytes())))
    hostile.outcome(grd.read, path)


@hostile.fuzz
@given(data=st.data())
def test_damaged_properties(tmp_path: Path, data: st.DataObject) -> None:
    path = writer.write_grd(tmp_path, EVENTS[:400])
    properties = tmp_path / "run 1.properties.txt"
    properties.write_bytes(data.draw(hostile.damage(properties.read_bytes())))
    hostile.outcome(grd.read, path)


def test_outline(tmp_path: Path) -> None:
    path = writer.write_grd(tmp_path, EVENTS)
    for one in (path, tmp_path / "run 1.properties.txt"):
        text = "\n".join(grd.outline(one))
        assert "Context.MassScale.SF = 1 | 33000.0" in text
        assert f"{len(EVENTS)} records" in text
        assert "4 scans from number 0" in text


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory as Linux tells it")
def test_memory_of_a_large_file(tmp_path: Path) -> None:
    """Peak memory does not grow with the file: 200 MB are read within 150 MB."""
    rng = np.random.default_rng(2)
    block = np.empty((1_000_000, 5), "<u4")
    block[:, 1] = np.arange(len(block)) % 512
    block[:, 2:4] = rng.integers(0, SIDE, (len(block), 2))
    block[:, 4] = rng.integers(LI6 - 3, LI6 + 4, len(block))
    path = writer.write_grd(tmp_path, [], writer.properties(ScanNumber=10))
    with open(path, "wb") as file:
        for scan in range(10):
            block[:, 0] = scan
            file.write(block.tobytes())
    script = (
        "import resource, sys, napari_liso as liso\n"
        "from napari_liso.readers import _stream\n"
        "from napari_liso.readers.iontof import grd\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "acq = liso.read(sys.argv[1], windows={'6Li': (5.9, 6.1)})\n"
        "print(int(acq['6Li'].sum()),\n"
        "      resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    run = subprocess.run(
        [sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True
    )
    total, kilobytes = map(int, run.stdout.split())
    path.unlink()
    assert total == 10_000_000
    assert kilobytes < 150_000
