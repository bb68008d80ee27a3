"""BIF6 and PHI BIF, from files written by the public layouts."""

from __future__ import annotations

import json
from pathlib import Path

import bif_writer
import hostile
import numpy as np
import pytest
from bif_writer import NAN, TOTAL, Peak
from hypothesis import given
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.readers import _lazy, recognise
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.iontof import bif

RNG = np.random.default_rng(8)
PEAKS: list[Peak] = [
    TOTAL,
    (17, 6.0146, 5.98, 6.05),
    (3, 7.0155, 6.95, 7.07),
    (4, 27.98, 27.93, 28.02),
]
IMAGES = RNG.poisson(5.0, (4, 3, 5)).astype(np.uint32)
BIF6 = bif_writer.bif6(PEAKS, IMAGES)
PHI = bif_writer.phi(PEAKS, IMAGES)


def write(folder: Path, content: bytes, name: str = "map.bif") -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("order", bif_writer.ORDERS)
@pytest.mark.parametrize("extra", [b"", b"\1\0\0\0"])
def test_bif6(tmp_path: Path, order: str, extra: bytes) -> None:
    images = IMAGES.copy()
    images[2, 0, 0] = 4_000_000_000
    path = write(tmp_path, bif_writer.bif6(PEAKS, images, order, extra), "map.dat")
    assert recognise(path) == "BIF"
    acq = liso.read(path)
    assert acq.channels == ("total", "6Li", "7Li", "m/z 27.98")
    np.testing.assert_array_equal(acq.counts[:, 0], images[:, ::-1])
    assert acq.counts.dtype == np.uint32
    assert acq["7Li"][-1, 0] == 4_000_000_000
    np.testing.assert_allclose(acq.masses, [np.nan, 6.0146, 7.0155, 27.98], rtol=1e-6)
    facts = acq.metadata
    assert facts["order_of_masses_in_file"] == order
    assert facts["intervals_u"]["total"] is None
    assert facts["intervals_u"]["7Li"] == pytest.approx(
        {"lower": 6.95, "centre": 7.0155, "upper": 7.07}, rel=1e-6
    )
    assert facts["image_ids"] == {"total": 0, "6Li": 17, "7Li": 3, "m/z 27.98": 4}
    assert facts["polarity"] is None
    assert acq.pixel_size is None
    assert acq.pulses is None
    assert "rows turned" in facts["origin"]
    assert facts["counts_are"] == "raw"
    assert ("16 bytes" in facts["dialect"]) == bool(extra)
    assert len([text for text in facts["warnings"] if "which way up" in text]) == 1
    # Strict JSON has no NaN.
    assert json.loads(json.dumps(facts, allow_nan=False)) == facts


def test_phi_has_both_axes_turned(tmp_path: Path) -> None:
    path = write(tmp_path, PHI, "map")
    assert recognise(path) == "BIF"
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[:, 0], IMAGES[:, ::-1, ::-1])
    assert acq.counts.dtype == np.uint16
    assert acq.channels == ("total", "6Li", "7Li", "m/z 27.98")
    assert acq.metadata["order_of_masses_in_file"] == "lower, centre, upper"
    assert "rows and columns" in acq.metadata["origin"]
    assert "PHI" in acq.metadata["dialect"]


@pytest.mark.parametrize(
    ("peaks", "names"),
    [
        # Too wide to be one ion for sure.
        ([(1, 7.0, 6.0, 8.0), (2, 23.0, 22.5, 23.5)], ("m/z 7.00", "m/z 23.00")),
        # Both isotopes inside, or none.
        ([(1, 6.5, 5.9, 7.1), (2, 6.5, 6.4, 6.6)], ("m/z 6.5000 (image 1, id 1)", None)),
        # Names that are there twice get more digits.
        ([(1, 27.977, 27.97, 27.98), (2, 27.981, 27.98, 27.99)], ("m/z 27.9770", "m/z 27.9810")),
        ([(1, 7.01, 6.9, 7.03), (2, 7.02, 7.01, 7.1)], ("m/z 7.0100", "m/z 7.0200")),
        ([(1, 7.0, 6.6, 7.4), (1, 1.008, 0.9, 1.1)], ("7Li", "1H")),
        ([(0, 7.0, 6.6, 7.4), TOTAL], ("7Li", "total")),
    ],
)
def test_names(tmp_path: Path, peaks: list[Peak], names: tuple[str | None, ...]) -> None:
    acq = liso.read(write(tmp_path, bif_writer.bif6(peaks, IMAGES[:2])))
    assert len(set(acq.channels)) == 2
    for found, expected in zip(acq.channels, names, strict=True):
        assert expected is None or found == expected


def test_orders_that_differ_are_said(tmp_path: Path) -> None:
    one = bif_writer.bif6(PEAKS, IMAGES)
    other = bif_writer.bif6(PEAKS, IMAGES, "lower, centre, upper")
    block = 16 + 4 * 15
    mixed = one[: 12 + 2 * block] + other[12 + 2 * block :]
    acq = liso.read(write(tmp_path, mixed))
    assert acq.metadata["order_of_masses_in_file"] == "differs between images"
    np.testing.assert_allclose(acq.masses[1:], [6.0146, 7.0155, 27.98], rtol=1e-6)
    only_total = liso.read(write(tmp_path, bif_writer.bif6([TOTAL], IMAGES[:1])))
    assert only_total.metadata["order_of_masses_in_file"] is None


@pytest.mark.parametrize("content", [BIF6, PHI])
def test_large_files_are_read_image_by_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes
) -> None:
    path = write(tmp_path, content)
    whole = liso.read(path)
    monkeypatch.setattr(_lazy, "PLAIN_BYTES", 10)
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts)
    np.testing.assert_array_equal(acq.counts[2, 0], whole.counts[2, 0])
    np.testing.assert_array_equal(np.asarray(acq.counts), whole.counts)
    path.write_bytes(content[:-1])
    with pytest.raises(liso.FormatError, match="has changed"):
        acq.counts.frame_sum(3, range(1))


def test_no_mass_axis(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no mass axis"):
        liso.read(write(tmp_path, BIF6), windows={"6Li": (5.9, 6.1)})


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (BIF6[:12], "no known dialect"),
        (bif_writer.bif6([], IMAGES[:0], sizes=(0, 5, 3)), "no known dialect"),
        (bif_writer.bif6(PEAKS, IMAGES, sizes=(4, 0, 3)), "no known dialect"),
        (bif_writer.bif6(PEAKS, IMAGES[:, :0]), "0 x 5 pixels"),
        (bif_writer.bif6(PEAKS, IMAGES, sizes=(4, 65535, 65535)), "65535 x 65535"),
        (bif_writer.bif6(PEAKS, IMAGES, sizes=(4, 5, 4)), "truncated"),
        (BIF6 + b"\0", "no known dialect"),
        (bif_writer.bif6([(1, 5.0, NAN, 6.0)], IMAGES[:1]), "impossible"),
        (bif_writer.bif6([(1, NAN, NAN, NAN)], IMAGES[:1]), "impossible"),
        (bif_writer.bif6([(1, 5.0, -4.0, 6.0)], IMAGES[:1]), "impossible"),
        (bif_writer.bif6([(1, 5.0, 5.0, 5.0)], IMAGES[:1]), "impossible"),
        (bif_writer.bif6([(1, 5.0, 4.0, float("inf"))], IMAGES[:1]), "impossible"),
        (bif_writer.bif6([TOTAL, TOTAL], IMAGES[:2]), "several total"),
    ],
)
def test_impossible_files_are_refused(tmp_path: Path, content: bytes, reason: str) -> None:
    path = write(tmp_path, content)
    assert recognise(path) == "BIF"
    found = hostile.outcome(liso.read, path)
    assert isinstance(found, liso.FormatError)
    assert reason in found.reason
    _outline_lines(path)


def test_a_refusal_names_the_dialects(tmp_path: Path) -> None:
    with pytest.raises(liso.FormatError, match=r"316 bytes as BIF6.*320 bytes as BIF6"):
        liso.read(write(tmp_path, BIF6[:-1]))


def test_two_dialects_at_once_are_refused_unless_the_content_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phi = bif._DIALECTS[-1]
    # For two images of the same size, but the masses are one byte off.
    shifted = bif._Dialect("shifted", b"", 4, 3, 2, (False, False), "none")
    same = bif._Dialect("twin", b"", 6, 2, 2, (False, False), "none")
    path = write(tmp_path, bif_writer.phi(PEAKS[1:3], IMAGES[1:3]))
    monkeypatch.setattr(bif, "_DIALECTS", (phi, shifted))
    assert "PHI" in liso.read(path).metadata["dialect"]
    monkeypatch.setattr(bif, "_DIALECTS", (phi, same))
    with pytest.raises(liso.FormatError, match="BIF \\(PHI\\) and twin equally well"):
        liso.read(path)


def _outline_lines(path: Path) -> list[str]:
    lines = []
    try:
        for line in bif.outline(path):
            lines.append(line)
    except liso.FormatError as error:
        lines.append(error.reason)
    return lines


def test_outline(tmp_path: Path) -> None:
    lines = _outline_lines(write(tmp_path, BIF6))
    assert "dialect: BIF6 (ION-TOF)" in lines
    assert "image 3: 7.0155, 6.95, 7.07" in lines
    assert any("the file has 316" in line for line in lines)


@pytest.mark.parametrize("content", [BIF6, PHI], ids=["BIF6", "PHI"])
def test_every_cut(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    whole = liso.read(path)
    for cut in range(len(content)):
        path.write_bytes(content[:cut])
        hostile.assert_cut_is_noticed(liso.read, path, whole, cut)


def _others() -> dict[str, bytes]:
    rng = np.random.default_rng(4)
    header = np.array([4, 5, 3], "<u2").tobytes()
    size = len(PHI) - 6
    masses = bytearray(PHI)
    masses[8:12] = np.float32(1e20).tobytes()
    return {
        "zeros": bytes(400),
        "ones": b"\xff" * 400,
        "noise": rng.bytes(4000),
        "noise of the right size": header + rng.bytes(size),
        "zeros of the right size": header + bytes(size),
        "counts of the right size": header + rng.poisson(9, size // 2).astype("<u2").tobytes(),
        "floats of the right size": header + rng.normal(0, 1, size // 4).astype("<f4").tobytes(),
        "text of the right size": header + (b"6.94 7.01 7.07\n" * 40)[:size],
        "one mass wrong": bytes(masses),
        "one byte more": PHI + b"\0",
        "one pixel": bif_writer.phi(PEAKS[1:2], IMAGES[:1, :1, :1]),
        "a line": bif_writer.phi(PEAKS[1:2], IMAGES[:1, :1]),
        "a raw stack": np.array([4, 5, 3], "<u2").tobytes() + IMAGES.astype("<u2").tobytes(),
        "short": b"\1\0\1\0\1\0",
    }


@pytest.mark.parametrize("name", _others())
def test_what_is_not_one_is_not_claimed(tmp_path: Path, name: str) -> None:
    path = write(tmp_path, _others()[name])
    assert not bif.recognise(path)


@hostile.fuzz
@given(content=st.one_of(hostile.damage(BIF6), hostile.damage(PHI)))
def test_damage(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, content)
    for read in (liso.read, bif.read):
        found = hostile.outcome(read, path)
        if isinstance(found, liso.Acquisition):
            # Without a check sum, changed counts cannot be told; a lost or added byte can.
            assert len(content) in (len(BIF6), len(PHI))
    _outline_lines(path)
