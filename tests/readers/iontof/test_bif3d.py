"""BIF3D, from files written by the one public layout."""

from __future__ import annotations

import itertools
import json
import os
from pathlib import Path

import bif_writer
import hostile
import numpy as np
import pytest
from hypothesis import given

import napari_liso as liso
from napari_liso.readers import recognise
from napari_liso.readers.iontof import bif3d

RNG = np.random.default_rng(12)
IMAGE = RNG.poisson(6.0, (5, 5)).astype(float)
WRITTEN = bif_writer.bif3d(IMAGE)


def write(folder: Path, image: np.ndarray | bytes, name: str = "map (7) - 7Li+.BIF3D") -> Path:
    path = folder / name
    path.write_bytes(image if isinstance(image, bytes) else bif_writer.bif3d(image))
    return path


def test_whole_numbers_are_counts(tmp_path: Path) -> None:
    path = write(tmp_path, IMAGE)
    assert recognise(path) == "ION-TOF BIF3D"
    acq = liso.read(path)
    assert acq.channels == ("7Li+",)
    np.testing.assert_array_equal(acq.counts, IMAGE[np.newaxis, np.newaxis])
    assert acq.counts.dtype.kind == "u"
    facts = acq.metadata
    assert facts["counts_are"] == "raw"
    assert "one public reader" in facts["experimental"]
    assert facts["peak_number"] == 7
    assert "as stored" in facts["origin"]
    assert acq.pixel_size is None
    assert acq.pulses is None
    assert len([text for text in facts["warnings"] if "which way up" in text]) == 1
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts
    with pytest.raises(ValueError, match="no mass axis"):
        liso.read(path, windows={"6Li": (5.9, 6.1)})


def test_the_same_as_the_public_reader(tmp_path: Path) -> None:
    tof = pytest.importorskip("pySPM.ToF")
    path = write(tmp_path, IMAGE)
    other = tof.BIF3D(os.fspath(tmp_path / "map")).getChannel(7)
    np.testing.assert_array_equal(liso.read(path).counts[0, 0], other)


def test_recognised_whatever_it_is_called(tmp_path: Path) -> None:
    path = write(tmp_path, IMAGE, "x.dat")
    assert recognise(path) == "ION-TOF BIF3D"
    assert liso.read(path).channels == ("x",)


def test_rows_and_columns(tmp_path: Path) -> None:
    image = RNG.poisson(3.0, (3, 7)).astype(float)
    acq = liso.read(write(tmp_path, image))
    np.testing.assert_array_equal(acq.counts[0, 0], image)
    assert any("not square" in text for text in acq.metadata["warnings"])


@pytest.mark.parametrize("value", [0.5, -1.0, 2.0**60])
def test_other_numbers_are_no_counts(tmp_path: Path, value: float) -> None:
    image = IMAGE.copy()
    image[2, 1] = value
    acq = bif3d.read(write(tmp_path, image))
    np.testing.assert_array_equal(acq.counts[0, 0], image)
    assert acq.counts.dtype == np.float64
    assert acq.metadata["counts_are"].startswith("not counts:")


def test_values_are_looked_at_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bif3d, "_PIECE", 7)
    image = IMAGE.copy()
    np.testing.assert_array_equal(liso.read(write(tmp_path, image)).counts[0, 0], image)
    image[4, 4] = 0.25
    acq = liso.read(write(tmp_path, image))
    np.testing.assert_array_equal(acq.counts[0, 0], image)
    assert acq.metadata["counts_are"].startswith("not counts:")


@pytest.mark.parametrize(
    ("name", "channel", "mass"),
    [
        ("map (7) - 7Li+.BIF3D", "7Li+", np.nan),
        ("map (3) - 26.00u.BIF3D", "m/z 26.00", 26.0),
        ("map (3).BIF3D", "peak 3", np.nan),
        ("map.BIF3D", "map", np.nan),
        ("a (1) b (12) - C2H3.bif3d", "C2H3", np.nan),
    ],
)
def test_names(tmp_path: Path, name: str, channel: str, mass: float) -> None:
    acq = liso.read(write(tmp_path, IMAGE, name))
    assert acq.channels == (channel,)
    np.testing.assert_array_equal(acq.masses, [mass])


def test_several_files_are_one_measurement(tmp_path: Path) -> None:
    six = write(tmp_path, IMAGE, "map (1) - 6Li.BIF3D")
    seven = write(tmp_path, IMAGE * 1000, "map (2) - 7Li.BIF3D")
    acq = liso.read([six, seven])
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq["6Li"], IMAGE)
    np.testing.assert_array_equal(acq["7Li"], IMAGE * 1000)
    assert acq.counts.shape == (2, 1, 5, 5)
    assert acq.counts.dtype.kind == "u"
    assert [file["path"] for file in acq.metadata["files"]] == [str(six), str(seven)]
    assert acq.metadata["peak_numbers"] == {"6Li": 1, "7Li": 2}
    assert json.loads(json.dumps(acq.metadata)) == acq.metadata
    assert len([text for text in acq.metadata["warnings"] if "which way up" in text]) == 1
    half = write(tmp_path, IMAGE / 2, "map (3) - X.BIF3D")
    assert liso.read([six, half]).metadata["counts_are"].startswith("not counts:")
    # The same name twice: then the numbers tell them apart.
    again = write(tmp_path, IMAGE, "map (9) - 6Li.BIF3D")
    assert liso.read([six, again]).channels == ("6Li (1)", "6Li (9)")
    with pytest.raises(ValueError, match="given twice"):
        liso.read([six, six])
    with pytest.raises(ValueError, match="of one peak"):
        bif3d.read_several([six, six])


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    first = write(tmp_path, IMAGE, "map (1) - 6Li.BIF3D")
    smaller = write(tmp_path, IMAGE[:4, :4], "map (2) - 7Li.BIF3D")
    other = write(tmp_path, IMAGE, "other (2) - 7Li.BIF3D")
    with pytest.raises(ValueError, match="do not belong to one measurement"):
        liso.read([first, smaller])
    with pytest.raises(ValueError, match="different measurements"):
        liso.read([first, other])


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (bif_writer.bif3d(IMAGE, sizes=(0, 5)), "0 x 5 pixels"),
        (bif_writer.bif3d(IMAGE, sizes=(65535, 65535)), "65535 x 65535"),
        (bif_writer.bif3d(IMAGE, sizes=(2**32 - 1, 5)), "4294967295 x 5"),
        (bif_writer.bif3d(IMAGE, sizes=(8192, 8192)), "truncated"),
        (bif_writer.bif3d(IMAGE, sizes=(5, 4)), "takes 800"),
        (WRITTEN[:-1], "truncated"),
        (WRITTEN + bytes(8), "of another kind"),
        (WRITTEN[:300], "640 bytes"),
        (bif_writer.bif3d(np.full((5, 5), np.nan)), "finite"),
        (bif_writer.bif3d(np.full((5, 5), np.inf)), "finite"),
    ],
)
def test_impossible_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = write(tmp_path, content)
    assert not bif3d.recognise(path)
    found = hostile.outcome(bif3d.read, path)
    assert isinstance(found, liso.FormatError)
    assert reason in found.reason
    _outline_lines(path)


def _outline_lines(path: Path) -> list[str]:
    lines = []
    try:
        for line in bif3d.outline(path):
            lines.append(line)
    except liso.FormatError as error:
        lines.append(error.reason)
    return lines


def test_outline(tmp_path: Path) -> None:
    lines = _outline_lines(write(tmp_path, bif_writer.bif3d(IMAGE, note=b"\0\0made by hand\0")))
    assert "sizes at byte 32: 5 x 5 (columns x rows)" in lines
    assert "text in the header: 'made by hand'" in lines


def test_every_cut(tmp_path: Path) -> None:
    path = write(tmp_path, WRITTEN)
    whole = liso.read(path)
    for cut in itertools.chain(range(0, 640, 32), range(640, len(WRITTEN))):
        path.write_bytes(WRITTEN[:cut])
        hostile.assert_cut_is_noticed(bif3d.read, path, whole, cut)


def _others() -> dict[str, bytes]:
    rng = np.random.default_rng(4)
    head = WRITTEN[:640]
    return {
        "zeros": bytes(840),
        "noise": rng.bytes(4000),
        "noise of the right size": head + rng.bytes(200),
        "integers of the right size": head + rng.poisson(9, 50).astype("<u4").tobytes(),
        "floats of 4 bytes": head + rng.uniform(1, 2, 50).astype("<f4").tobytes()[::-1],
        "negative": head + np.full(25, -2.0).tobytes(),
        "text": head + b"6.94 7.01 " * 20,
        "one pixel": bif_writer.bif3d(IMAGE[:1, :1]),
        "a line": bif_writer.bif3d(IMAGE[:1]),
    }


@pytest.mark.parametrize("name", _others())
def test_what_is_not_one_is_not_claimed(tmp_path: Path, name: str) -> None:
    assert not bif3d.recognise(write(tmp_path, _others()[name]))


@hostile.fuzz
@given(content=hostile.damage(WRITTEN))
def test_damage(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    for read in (liso.read, bif3d.read):
        found = hostile.outcome(read, path)
        if isinstance(found, liso.Acquisition):
            assert len(content) == len(WRITTEN)
    _outline_lines(path)
