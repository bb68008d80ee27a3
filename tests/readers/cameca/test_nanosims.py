"""NanoSIMS images: against the reader ``sims`` and against files written from the layout."""

from __future__ import annotations

import dataclasses
import gzip
import json
import warnings
from pathlib import Path
from typing import Any

import hostile
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nanosims_writer import ROWS, Image, Row

import napari_liso as liso
from napari_liso.readers import _lazy, recognise
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.cameca import nanosims

RNG = np.random.default_rng(5)
COUNTS = RNG.poisson(4.0, (3, 4, 6, 6)).astype(np.uint16)


@pytest.fixture
def real(shared_data: Path) -> Path:
    """An image from an instrument."""
    return shared_data / "nanosims" / "image sun.im"


def write(folder: Path, name: str = "map.im", **varied: Any) -> Path:
    path = folder / name
    image = Image(**{"counts": COUNTS, **varied})
    path.write_bytes(image.write())
    return path


def by_sims(path: Path) -> Any:
    sims = pytest.importorskip("sims")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return sims.SIMS(str(path))


def test_the_instrument_s_file_as_sims_reads_it(real: Path) -> None:
    other = by_sims(real)
    acq = liso.read(real)
    np.testing.assert_array_equal(acq.counts, other.data.values)
    assert acq.counts.dtype == np.uint16
    assert acq.channels == ("12C", "16O", "18O", "12C14N", "12C15N", "SE")
    np.testing.assert_allclose(acq.masses[:5], other.header["mass list"][:5])
    assert np.isnan(acq.masses[5])
    for name, theirs in zip(acq.channels, other.data.values, strict=True):
        assert acq[name].sum() == theirs.sum(dtype=np.int64)
    assert acq.pixel_size == pytest.approx((7.011e-6 / 256, 7.011e-6 / 256))
    assert acq.pulses is None
    facts = acq.metadata
    detector = other.header["Detectors"]["Detector 1"]
    assert facts["dead_time_s"]["12C"] == pytest.approx(detector["em deadtime"] * 1e-9)
    assert facts["dwell_time_s"]["12C"] == other.header["BFields"][0]["time per pixel"]
    assert facts["frame_time_s"]["SE"] == 655.36
    assert facts["acquired"] == "2011-03-25T10:37"
    assert facts["primary_ion"] == "Cs+"
    assert facts["byte_order"] == "big"
    assert facts["polarity"] is None
    assert "opposite" in facts["polarity_note"]
    assert "continuous" in facts["pulses_note"]
    assert "as stored" in facts["origin"]
    assert "SE" not in facts["dead_time_s"]
    assert json.loads(json.dumps(facts)) == facts
    assert recognise(real) == "Cameca NanoSIMS"
    assert any("12C was dead" in text for text in facts["warnings"])
    with pytest.raises(ValueError, match="no spectrum"):
        acq.spectrum()
    with pytest.raises(ValueError, match="no mass axis"):
        liso.read(real, windows={"6Li": (5.9, 6.1)})


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("version", [11, 4108])
@pytest.mark.parametrize(
    ("dtype", "lists", "analysis"),
    [
        (np.uint16, "P", "IMAGE ACQUISITION"),
        (np.uint32, "PCO", "IMAGE ACQUISITION"),
        (np.uint16, "COP", "IMAGE ACQUISITION"),
        (np.uint32, "", "IMAGE RTI"),
    ],
)
def test_every_layout(
    tmp_path: Path, order: str, version: int, dtype: type, lists: str, analysis: str
) -> None:
    counts = COUNTS.astype(dtype)
    if dtype == np.uint32:
        counts[0, 0, 0, 0] = 3_000_000_000
    path = write(
        tmp_path, counts=counts, order=order, version=version, lists=lists, analysis=analysis
    )
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li", "12C14N", "SE")
    np.testing.assert_array_equal(acq.counts, counts.swapaxes(0, 1))
    np.testing.assert_array_equal(acq.counts, by_sims(path).data.values)
    assert acq.counts.dtype == dtype
    assert acq.counts.dtype.isnative
    assert acq["6Li"].sum() == counts[:, 0].sum(dtype=np.int64)
    np.testing.assert_allclose(acq.masses, [6.0151, 7.016, 26.0031, np.nan])
    assert acq.pixel_size == pytest.approx((10.24e-6 / 6, 10.24e-6 / 6))
    assert acq.metadata["dwell_time_s"] == pytest.approx(dict.fromkeys(acq.channels, 0.005))
    assert acq.metadata["dead_time_s"] == pytest.approx({"6Li": 36e-9, "7Li": 44e-9})
    assert acq.metadata["byte_order"] == {"<": "little", ">": "big"}[order]
    assert acq.metadata["frames"] == 3


def test_one_pixel_is_where_it_was_stored(tmp_path: Path) -> None:
    counts = np.zeros((2, 4, 6, 6), np.uint16)
    counts[1, 1, 0, 5] = 7  # second frame, 7Li, top right
    acq = liso.read(write(tmp_path, counts=counts))
    assert np.argwhere(acq.counts).tolist() == [[1, 1, 0, 5]]


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_large_files_are_read_plane_by_plane(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dtype: type
) -> None:
    path = write(tmp_path, counts=COUNTS.astype(dtype))
    whole = liso.read(path)
    monkeypatch.setattr(_lazy, "PLAIN_BYTES", 10)
    monkeypatch.setattr(nanosims, "_BLOCK", 600)  # two frames of three at a time
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts)
    np.testing.assert_array_equal(acq.counts[2, 1], COUNTS[1, 2])
    np.testing.assert_array_equal(np.asarray(acq.counts), whole.counts)
    for name in acq.channels:
        np.testing.assert_array_equal(acq[name], whole[name])
    np.testing.assert_array_equal(
        acq.sum(frames=slice(1, 3)).counts[1, 0], COUNTS[1:, 1].sum(axis=0)
    )
    assert acq.metadata["warnings"] == whole.metadata["warnings"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(liso.FormatError, match="has changed"):
        acq.counts.frame_sum(3, range(2, 3))


def test_names(tmp_path: Path) -> None:
    rows = [Row("7Li", 7.0, 1), Row("7Li", 7.1, 2), Row("", 30.97, 3), Row("SE", 0.0, 8, 0)]
    acq = liso.read(write(tmp_path, rows=rows))
    assert acq.channels == ("7Li", "7Li (2)", "m/z 30.97", "SE")


def test_a_mass_table_that_makes_no_sense_gives_numbers(tmp_path: Path) -> None:
    rows = [*ROWS[:3], Row("x", float("nan"), 4)]
    acq = liso.read(write(tmp_path, rows=rows))
    assert acq.channels == ("mass 1", "mass 2", "mass 3", "mass 4")
    assert np.isnan(acq.masses).all()
    assert any("mass table" in text for text in acq.metadata["warnings"])
    np.testing.assert_array_equal(acq.counts, COUNTS.swapaxes(0, 1))


@pytest.mark.parametrize(("sign", "polarity"), [("+", "positive"), ("-", "negative")])
def test_polarity_only_where_charges_are_stated(tmp_path: Path, sign: str, polarity: str) -> None:
    rows = [dataclasses.replace(row, charge=1, sign=sign) for row in ROWS[:3]]
    acq = liso.read(write(tmp_path, rows=[*rows, ROWS[3]]))
    assert acq.metadata["polarity"] == polarity
    mixed = [rows[0], *ROWS[1:]]
    assert liso.read(write(tmp_path, rows=mixed)).metadata["polarity"] is None


def test_pixel_sizes(tmp_path: Path) -> None:
    counts = np.ones((1, 4, 4, 8), np.uint16)
    # Part of a square frame of 16: the raster of 8 um is that of the part, the beam's of all.
    part = write(tmp_path, counts=counts, working=(16, 16), raster_nm=8000, beam_raster_um=16.0)
    assert liso.read(part).pixel_size == pytest.approx((1e-6, 1e-6))
    # The raster is that of the whole frame: two readings, so none.
    for varied in (
        {"working": (16, 16), "raster_nm": 16000},
        {"raster_nm": 8000},
        {"raster_nm": 8000, "beams": False},
    ):
        acq = liso.read(write(tmp_path, counts=counts, **varied))
        assert acq.pixel_size is None
        assert any("raster" in text for text in acq.metadata["warnings"])
    # Only the image record has a raster: enough for a square image.
    alone = liso.read(write(tmp_path, raster_nm=6000, beams=False))
    assert alone.pixel_size == pytest.approx((1e-6, 1e-6))
    assert liso.read(write(tmp_path, raster_nm=0)).pixel_size is None
    assert liso.read(write(tmp_path, raster_nm=-5)).pixel_size is None


def test_several_magnetic_fields_have_dwell_times_of_their_own(tmp_path: Path) -> None:
    rows = [dataclasses.replace(row, frame_time=0.36 * (n + 1)) for n, row in enumerate(ROWS)]
    acq = liso.read(write(tmp_path, rows=rows, fields=2))
    assert acq.metadata["dwell_time_s"] == pytest.approx(
        {"6Li": 0.01, "7Li": 0.02, "12C14N": 0.03, "SE": 0.04}
    )


def test_faraday_cups_are_no_counters(tmp_path: Path) -> None:
    acq = liso.read(write(tmp_path, detectors={2: 1}))
    assert acq.metadata["detectors"]["7Li"] == "FC"
    assert "7Li" not in acq.metadata["dead_time_s"]
    assert any("7Li came from a Faraday cup" in text for text in acq.metadata["warnings"])


def test_counts_at_the_limit_and_empty_last_frames_are_said(tmp_path: Path) -> None:
    counts = COUNTS.copy()
    counts[0, 1, 2, 3] = 65535
    counts[2] = 0
    found = liso.read(write(tmp_path, counts=counts)).metadata["warnings"]
    assert any(text.startswith("7Li reaches 65535") for text in found)
    assert any("last 1 of 3 frames" in text and "incomplete" in text for text in found)
    whole = liso.read(write(tmp_path)).metadata["warnings"]
    assert not any("reaches" in text or "incomplete" in text for text in whole)


@pytest.mark.parametrize(
    ("kind", "what"), [(29, "grain"), (39, "line"), (26, "isotope"), (41, "")]
)
def test_other_files_of_the_instrument_are_named(tmp_path: Path, kind: int, what: str) -> None:
    path = write(tmp_path, kind=kind)
    assert recognise(path) == "Cameca NanoSIMS"
    with pytest.raises(liso.FormatError, match=f"{what}.*not a plain image"):
        liso.read(path)
    assert any(f"type {kind}" in line for line in nanosims.outline(path))


@pytest.mark.parametrize(
    ("varied", "reason"),
    [
        ({"record": {"width": 65535, "height": 65535}}, "65535 x 65535"),
        ({"record": {"width": 0}}, "6 x 0 pixels"),
        ({"record": {"height": 0}}, "0 x 6 pixels"),
        ({"record": {"planes": 0}}, "0 frames"),
        ({"record": {"masses": 0}, "masses": 0}, "0 masses"),
        ({"masses": -1}, "-1 masses"),
        ({"masses": 2**31 - 1}, "masses in one place"),
        ({"record": {"masses": 3}}, "4 masses"),
        ({"record": {"pixel": 8}}, "8 bytes"),
        ({"record": {"pixel": 1}}, "1 bytes"),
        ({"record": {"planes": 2}}, "holds 864 bytes"),
        ({"record": {"width": 7}}, "truncated"),
        ({"record": {"planes": 65535}}, "truncated"),
        ({"record": {"size": 85}}, "image record"),
        ({"holds_data": 0}, "header alone"),
    ],
)
def test_impossible_headers_are_refused(
    tmp_path: Path, varied: dict[str, Any], reason: str
) -> None:
    path = write(tmp_path, **varied)
    found = hostile.outcome(liso.read, path)
    assert isinstance(found, liso.FormatError)
    assert reason in found.reason
    list(_outline_lines(path))


def _outline_lines(path: Path) -> list[str]:
    lines = []
    try:
        for line in nanosims.outline(path):
            lines.append(line)
    except liso.FormatError as error:
        lines.append(error.reason)
    return lines


def test_cut_at_every_boundary(tmp_path: Path) -> None:
    path = write(tmp_path)
    content = path.read_bytes()
    whole = liso.read(path)
    head = len(content) - COUNTS.nbytes
    planes = range(head, len(content), 6 * 6 * 2)
    sections = [0, 3, 12, 124, 408, 452, 452 + 192, head - 84, head - 1]
    for cut in [*sections, *planes, *(place + 1 for place in planes), len(content) - 1]:
        path.write_bytes(content[:cut])
        hostile.assert_cut_is_noticed(liso.read, path, whole, cut)
        list(_outline_lines(path))


def test_a_measurement_that_broke_off_keeps_its_whole_frames(tmp_path: Path) -> None:
    path = write(tmp_path)
    path.write_bytes(path.read_bytes()[:-10])
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts, COUNTS[:2].swapaxes(0, 1))
    assert any("incomplete: 2 whole frames of 3" in text for text in acq.metadata["warnings"])


def test_random_cuts_of_the_instrument_s_file(real: Path, tmp_path: Path) -> None:
    content = real.read_bytes()
    whole = liso.read(real)
    path = tmp_path / "cut.im"
    plane = 256 * 256 * 2
    boundaries = [len(content) - n * plane for n in range(1, 13)]
    cuts = [*boundaries, *np.random.default_rng(1).integers(0, len(content), 12)]
    for cut in cuts:
        path.write_bytes(content[: int(cut)])
        hostile.assert_cut_is_noticed(liso.read, path, whole, int(cut))


def test_what_is_not_one_is_not_claimed(tmp_path: Path) -> None:
    path = write(tmp_path)
    packed = tmp_path / "map.im.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    rng = np.random.default_rng(2)
    others = [
        bytes(4000),
        b"\xff" * 4000,
        rng.bytes(4000),
        np.full(1000, 27, "<i4").tobytes(),
        np.full(1000, 27, ">i4").tobytes(),
        b"BM" + bytes(2000),
        b"plain text, 27 lines\n" * 200,
        path.read_bytes()[:100],
    ]
    assert not nanosims.recognise(packed)
    for number, content in enumerate(others):
        other = tmp_path / f"{number}.im"
        other.write_bytes(content)
        assert not nanosims.recognise(other)


WRITTEN = Image(COUNTS).write()


@hostile.fuzz
@given(content=hostile.damage(WRITTEN))
def test_damage(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.im"
    path.write_bytes(content)
    hostile.outcome(liso.read, path)
    _outline_lines(path)


@hostile.fuzz
@given(start=st.integers(404, 1300), patch=st.binary(min_size=1, max_size=16))
def test_damage_to_the_tables(tmp_path: Path, start: int, patch: bytes) -> None:
    path = tmp_path / "damaged.im"
    path.write_bytes(WRITTEN[:start] + patch + WRITTEN[start + len(patch) :])
    found = hostile.outcome(nanosims.read, path)
    if isinstance(found, liso.Acquisition):
        np.testing.assert_array_equal(found.counts, COUNTS.swapaxes(0, 1))
