"""imzML: where pixels lie, how large they are, and which have no spectrum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from imzml_writer import MICROMETRE, MILLIMETRE, NANOMETRE, edit, scan_settings, write_imzml

import napari_liso as liso

LITHIUM = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}


def with_settings(tmp_path: Path, *settings: str, **options: object) -> liso.Acquisition:
    spectra = {(x, y): ([6.0], [x + 10 * y]) for y in (1, 2) for x in (1, 2, 3, 4)}
    return liso.read(write_imzml(tmp_path / "a.imzML", spectra, settings=settings, **options))


def odd_in(acq: liso.Acquisition, *words: str) -> bool:
    return any(all(word in text for word in words) for text in acq.metadata["warnings"])


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("4406.25", NANOMETRE),
        ("4.40625", MICROMETRE),
        ("0.00440625", MILLIMETRE),
        ("4.40625e-6", "UO:0000008"),
    ],
)
def test_units_of_the_pixel_size(tmp_path: Path, value: str, unit: str) -> None:
    acq = with_settings(tmp_path, scan_settings(4, 2, (value, value), unit))
    assert acq.pixel_size == pytest.approx((4.40625e-6, 4.40625e-6))


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    acq = with_settings(tmp_path, scan_settings(4, 2, (3, 5)))
    assert acq.pixel_size == pytest.approx((5e-6, 3e-6))


def test_one_pixel_size_holds_for_both(tmp_path: Path) -> None:
    """As the vocabulary defines the term."""
    acq = with_settings(tmp_path, scan_settings(4, 2, (3, None)))
    assert acq.pixel_size == pytest.approx((3e-6, 3e-6))
    assert "holds for y too" in acq.metadata["pixel_size_source"]


@pytest.mark.parametrize(
    ("value", "unit"),
    [
        ("3", None),
        ("3", "UO:0000082"),
        ("0", MICROMETRE),
        ("1e-320", MICROMETRE),
        ("nan", MICROMETRE),
        ("", MICROMETRE),
    ],
)
def test_a_pixel_size_that_is_no_length_is_not_used(
    tmp_path: Path, value: str, unit: str | None
) -> None:
    acq = with_settings(tmp_path, scan_settings(4, 2, (value, value), unit))
    assert acq.pixel_size is None
    assert odd_in(acq, "pixel size was not used")


@pytest.mark.parametrize(
    ("dimension", "odd"), [((15, 9), True), ((17, 9), False), ((18, 8), False)]
)
def test_dimensions_that_contradict_the_pixel_size(
    tmp_path: Path, dimension: tuple[int, int], odd: bool
) -> None:
    """4 pixels of 4.406 um are 17.6 um; ION-TOF exports say 15."""
    acq = with_settings(tmp_path, scan_settings(4, 2, (4.40625, 4.40625), dimension=dimension))
    assert odd_in(acq, "max dimension x", "contradicts") == odd
    assert not odd_in(acq, "max dimension y")
    assert acq.pixel_size == pytest.approx((4.40625e-6, 4.40625e-6))


def test_scan_settings_that_differ_are_refused(tmp_path: Path) -> None:
    with pytest.raises(liso.FormatError, match=r"pixel size x is '2' .* and '3'"):
        with_settings(tmp_path, scan_settings(4, 2, (2, 2)), scan_settings(4, 2, (3, 2)))
    with pytest.raises(liso.FormatError, match="max count of pixels y"):
        with_settings(tmp_path, scan_settings(4, 2), scan_settings(4, 3))


def test_scan_settings_that_agree_are_not(tmp_path: Path) -> None:
    acq = with_settings(
        tmp_path,
        scan_settings(4, 2, (2, 2)),
        scan_settings(4, 2, (2000, 2000), NANOMETRE, identity="s2"),
        scan_settings(None, None, None, identity="s3"),
    )
    assert acq.pixel_size == pytest.approx((2e-6, 2e-6))


def test_sparse_pixels_are_marked(tmp_path: Path) -> None:
    spectra = {(1, 1): ([6.0], [3]), (4, 1): ([6.0], [4]), (2, 3): ([], [])}
    acq = liso.read(write_imzml(tmp_path / "a.imzML", spectra, settings=[scan_settings(4, 4)]))
    expected = np.zeros((4, 4), int)
    expected[0, 0], expected[0, 3] = 3, 4
    np.testing.assert_array_equal(acq["total"], expected)
    missing = acq.metadata["pixels_without_spectrum"]
    # A spectrum without values is one: there nothing was detected.
    assert missing["count"] == 13
    assert missing["runs"] == [
        [0, 0, 1, 3], [0, 1, 0, 4], [0, 2, 0, 1], [0, 2, 2, 4], [0, 3, 0, 4],
    ]  # fmt: skip
    assert odd_in(acq, "13 of 16 pixels have no spectrum")


def test_without_a_declared_size_the_positions_make_the_image(tmp_path: Path) -> None:
    acq = with_settings(tmp_path, scan_settings(None, None))
    assert acq.counts.shape == (1, 1, 2, 4)
    np.testing.assert_array_equal(acq["total"], [[11, 12, 13, 14], [21, 22, 23, 24]])


def test_positions_from_zero_do_not_wrap(tmp_path: Path) -> None:
    spectra = {(x, y): ([6.0], [1 + x + 10 * y]) for y in (0, 1) for x in (0, 1, 2)}
    acq = liso.read(write_imzml(tmp_path / "a.imzML", spectra, settings=[scan_settings(3, 2)]))
    np.testing.assert_array_equal(acq["total"], [[1, 2, 3], [11, 12, 13]])
    assert odd_in(acq, "Positions x count from 0")
    with pytest.raises(liso.FormatError, match="from 0 to 2, more than the 2"):
        liso.read(write_imzml(tmp_path / "a.imzML", spectra, settings=[scan_settings(2, 2)]))


def test_a_cut_out_region_keeps_its_size(tmp_path: Path) -> None:
    spectra = {(x, y): ([6.0], [x]) for y in (300, 301) for x in (101, 102, 103)}
    acq = liso.read(write_imzml(tmp_path / "a.imzML", spectra, settings=[scan_settings(3, 2)]))
    np.testing.assert_array_equal(acq["total"], [[101, 102, 103]] * 2)
    assert odd_in(acq, "begins at 101")
    assert "position y 300, column 0 is position x 101" in acq.metadata["origin"]


def test_more_positions_than_declared_are_all_shown(tmp_path: Path) -> None:
    acq = with_settings(tmp_path, scan_settings(2, 2))
    assert acq.counts.shape == (1, 1, 2, 4)
    assert odd_in(acq, "declares 2 pixels along x")


def test_positions_z_are_frames(tmp_path: Path) -> None:
    spectra = {
        (x, y, z): ([6.0, 7.0], [x + 10 * y, z]) for z in (1, 2, 4) for y in (1, 2) for x in (1, 2)
    }
    del spectra[2, 2, 4]
    acq = liso.read(write_imzml(tmp_path / "a.imzML", spectra), windows=LITHIUM)
    assert acq.counts.shape == (2, 3, 2, 2)
    assert acq.metadata["z_positions"] == [1, 2, 4]
    assert odd_in(acq, "positions z", "gaps")
    np.testing.assert_array_equal(acq.counts[0, 0], [[11, 12], [21, 22]])
    np.testing.assert_array_equal(acq.counts[1, 2], [[4, 4], [4, 0]])
    np.testing.assert_array_equal(acq["7Li"], [[7, 7], [7, 3]])
    np.testing.assert_array_equal(acq.sum(frames=slice(1, 3))["7Li"], [[6, 6], [6, 2]])


def test_two_spectra_at_one_position_are_refused(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML", {(1, 1): ([6.0], [3]), (2, 1): ([6.0], [4])})
    edit(path, ('name="position x" value="2"', 'name="position x" value="1"'))
    with pytest.raises(liso.FormatError, match=r"1 and 2 are both at x 1, y 1"):
        liso.read(path)
