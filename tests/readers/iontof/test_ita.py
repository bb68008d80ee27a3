"""Images and spectra of ION-TOF's ITA, ITS and ITAX files."""

from __future__ import annotations

import warnings
import zlib
from pathlib import Path
from typing import Any

import iontof_tree_writer as w
import numpy as np
import pytest
from ita_example import (
    CHANNELS,
    HEIGHT,
    K0,
    NAMES,
    SCANS,
    SF,
    WIDTH,
    cube,
    spectrum,
    tree,
    without_size,
)

from napari_liso import readers
from napari_liso.errors import FormatError
from napari_liso.readers import _lazy
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.iontof import tree as iontof_tree
from napari_liso.readers.pulses import pulses_from_facts


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "images.ita"


def test_images(path: Path) -> None:
    counts = cube()
    w.ita(path, counts)
    acq = readers.read(path)
    assert acq.channels == NAMES
    assert acq.counts.dtype == np.uint32
    np.testing.assert_array_equal(acq.counts, counts)
    np.testing.assert_array_equal(acq["7Li+"], counts[3].sum(axis=0))
    np.testing.assert_array_equal(acq.masses, [np.nan, np.nan, 6.0151, 7.016])
    assert acq.pixel_size == pytest.approx((50e-6 / WIDTH, 50e-6 / WIDTH))
    facts = acq.metadata
    assert facts["format"] == "ION-TOF ITA"
    assert facts["counts_are"] == "raw"
    assert facts["polarity"] == "positive"
    assert facts["frames"] == SCANS
    assert facts["mass_intervals"] == {"6Li+": [6.0, 6.05], "7Li+": [7.0, 7.05]}
    assert "flipped" in facts["origin"]
    assert "public" in facts["experimental"]
    with pytest.raises(ValueError, match="no spectrum"):
        acq.spectrum()


def test_as_pyspm(path: Path) -> None:
    pyspm = pytest.importorskip("pySPM")
    # Steps before mass zero are left out: it squares them to masses above zero.
    w.ita(path, cube(), np.concatenate([np.zeros(26), np.arange(1000)]))
    acq = iontof_tree.read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = pyspm.ITA(str(path))
        for channel in range(CHANNELS):
            for scan in range(SCANS):
                image = np.flipud(other.get_image(channel, scan))
                np.testing.assert_array_equal(acq.counts[channel, scan], image)
            total = np.flipud(other.get_added_image(channel))
            np.testing.assert_array_equal(acq[acq.channels[channel]], total)
        assert other.fov / other.sx == pytest.approx(acq.pixel_size[0])  # type: ignore[index]
        peaks = other.get_masses()
        mass, counts = other.get_spectrum(uncorrected=True)
    assert [peak["assign"] or peak["desc"] for peak in peaks] == list(acq.channels)
    # It lists steps without counts too.
    np.testing.assert_allclose(acq.spectrum()[0], mass[counts > 0])
    np.testing.assert_array_equal(acq.spectrum()[1], counts[counts > 0])


def test_windows_cannot_change_images(path: Path) -> None:
    w.ita(path, cube(), np.ones(2000))
    with pytest.raises(ValueError, match="ITM file"):
        readers.read(path, {"6Li": (5.9, 6.1)})


def test_images_by_serial_number(path: Path) -> None:
    counts = cube()
    serials = [f"{{SERIAL-{n}}}" for n in range(CHANNELS)]
    tree(path, w.serial_images(counts, serials))
    acq = iontof_tree.read(path)
    assert acq.channels == NAMES
    np.testing.assert_array_equal(acq.counts, counts)


def test_serial_numbers_as_pyspm(path: Path) -> None:
    pyspm = pytest.importorskip("pySPM")
    tree(
        path, w.serial_images(cube(), [f"{{SERIAL-{n}}}" for n in range(4)]), w.mass_scale(SF, K0)
    )
    acq = iontof_tree.read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        other = pyspm.ITA(str(path))
        image = other.get_sum_image_by_sn("{SERIAL-2}", [1], raw=True)
    np.testing.assert_array_equal(acq.counts[2, 1], np.flipud(image))


@pytest.mark.parametrize("stated", [True, False])
def test_sums_alone(path: Path, stated: bool) -> None:
    sums = cube().sum(axis=1)
    tree(path, w.image_stack(None, sums, pulses=70 if stated else 0))
    acq = iontof_tree.read(path)
    assert acq.counts.shape == (CHANNELS, 1, HEIGHT, WIDTH)
    np.testing.assert_array_equal(acq.counts[:, 0], sums)
    assert acq.pulses is not None
    assert acq.pulses.item() == (70 if stated else 3 * SCANS)
    assert acq.metadata["pulses_per_pixel_and_frame"] == acq.pulses.item()
    assert any("only their sum" in text for text in acq.metadata["warnings"])


def test_the_size_may_stand_elsewhere(path: Path) -> None:
    counts = cube()
    tree(path, without_size(w.image_stack(counts, None)))
    np.testing.assert_array_equal(iontof_tree.read(path).counts, counts)


def test_pulses(path: Path) -> None:
    w.ita(path, cube())
    acq = iontof_tree.read(path)
    assert acq.pulses is not None
    assert np.broadcast_to(acq.pulses, acq.counts.shape[1:]).max() == 3
    # Images of another size than the raster: nobody says how many pulses a pixel is.
    w.write(
        path,
        [
            w.si_image(2 * HEIGHT, 2 * WIDTH),
            w.at_path("filterdata/TofCorrection", w.image_stack(cube(), None)),
            w.intervals(),
            w.settings(SCANS, 2 * WIDTH),
        ],
    )
    acq = iontof_tree.read(path)
    assert acq.pulses is None
    assert pulses_from_facts(acq.metadata, acq.counts.shape) is None  # nor is it proposed
    assert any("pulses of each are not known" in text for text in acq.metadata["warnings"])


def test_names(path: Path) -> None:
    peaks = w.intervals(
        [
            ("lithium", "Li+", (6.9, 7.0, 7.1)),
            ("リチウム6", "", (5.9, 6.0, 6.1)),
            ("", "", (22.9, 22.99, 23.1)),
            ("", "Li+", (1, 2, 3)),
        ]
    )
    tree(path, w.image_stack(cube(), None), peaks=peaks)
    assert iontof_tree.read(path).channels == ("Li+", "リチウム6", "22.99u", "Li+ (2)")


def test_peaks_that_nothing_names(path: Path) -> None:
    tree(path, w.image_stack(cube(), None), peaks=w.Folder("MassIntervalList", []))
    acq = iontof_tree.read(path)
    assert acq.channels == tuple(f"image {n}" for n in range(CHANNELS))
    assert np.isnan(acq.masses).all()


def test_a_peak_that_was_added_later(path: Path) -> None:
    """Its image says by a serial number which peak it is of, not by its own number."""
    stack = w.image_stack(cube(), None)
    (reduced,) = stack.content
    assert isinstance(reduced, w.Folder)
    scans = reduced.content[0]
    assert isinstance(scans, w.Folder)
    image = scans.content[4 + 1]
    assert isinstance(image, w.Folder)
    image.content.append(w.Leaf("Image.MassIntervalSN", b"{SERIAL-9}"))
    peaks = w.intervals()
    peaks.content.append(w.interval(4, 9, "", "Na+", (22.9, 22.99, 23.1), "{SERIAL-9}"))
    tree(path, stack, peaks=peaks)
    assert iontof_tree.read(path).channels == ("total", "Na+", "6Li+", "7Li+")


def test_images_are_made_when_they_are_looked_at(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = cube()
    w.ita(path, counts)
    monkeypatch.setattr(_lazy, "PLAIN_BYTES", 10)
    acq = iontof_tree.read(path)
    assert isinstance(acq.counts, LazyCounts)
    np.testing.assert_array_equal(acq.counts[2, 3], counts[2, 3])
    np.testing.assert_array_equal(acq["6Li+"], counts[2].sum(axis=0))
    with path.open("ab") as file:
        file.write(b"more")
    with pytest.raises(FormatError, match="changed since"):
        acq.counts[0, 0]


# -- spectra ------------------------------------------------------------------------------------


def test_the_spectrum_of_images(path: Path) -> None:
    w.ita(path, cube(), spectrum())
    acq = iontof_tree.read(path)
    mass, counts = acq.spectrum()
    np.testing.assert_array_equal(counts, [3, 10, 100, 20, 4, 50])
    assert counts.dtype == np.int64
    assert mass[2] == pytest.approx(((2 * 1275 - K0) / SF) ** 2)
    assert acq.metadata["images_of_chosen_peaks"]


def its(path: Path, counts: np.ndarray | None, corrected: np.ndarray) -> Path:
    folder = w.Folder("TofCorrection", [w.spectrum_folder(SF, K0, counts, corrected)])
    w.write(path, [w.Folder("filterdata", [folder]), w.settings(1, 128)])
    return path


def test_a_spectrum_alone_is_one_pixel(path: Path) -> None:
    its(path, spectrum(), spectrum() * 1.01)
    acq = readers.read(path, {"a": (6.2, 6.3), "b": (6.9, 7.1)})
    # By hand: 6.2 u is channel 2539.98 and 6.3 u channel 2559.98, so steps 1270 to 1279.
    assert acq.counts.tolist() == [[[[137]]], [[[50]]]]
    assert acq.counts.dtype.kind == "i"
    assert acq.metadata["counts_are"] == "raw"
    assert acq.metadata["format"] == "ION-TOF ITS"
    assert readers.read(path)["total"].tolist() == [[187]]


def test_corrected_intensities_are_no_counts(path: Path) -> None:
    its(path, None, spectrum() * 1.5)
    acq = readers.read(path, {"a": (6.2, 6.3)})
    assert acq["a"].item() == pytest.approx(137 * 1.5)
    assert acq.counts.dtype.kind == "f"
    assert acq.metadata["counts_are"].startswith("not counts:")
    assert any("not counts" in text for text in acq.metadata["warnings"])


def test_counts_whose_sum_does_not_fit(path: Path) -> None:
    absurd = np.full(8192, 2.0**52)
    its(path, absurd, absurd)
    with pytest.raises(FormatError, match="too large to add up"):
        iontof_tree.read(path)


def test_counts_that_the_file_rounded(path: Path) -> None:
    big = spectrum()
    big[1275] = 2**25 + 1
    its(path, big, big)
    assert any("rounded" in text for text in iontof_tree.read(path).metadata["warnings"])


@pytest.mark.parametrize("value", [np.nan, -1.0, np.inf])
def test_spectra_that_are_none(path: Path, value: float) -> None:
    bad = spectrum().astype(float)
    bad[7] = value
    its(path, bad, bad)
    with pytest.raises(FormatError, match="negative or missing"):
        iontof_tree.read(path)
    # Images do not suffer from it.
    w.ita(path, cube(), bad)
    acq = iontof_tree.read(path)
    assert acq.counts.shape[0] == CHANNELS
    assert any("spectrum in the file could not be read" in t for t in acq.metadata["warnings"])


# -- SurfaceLab 7 ---------------------------------------------------------------------------------


@pytest.mark.parametrize("packed", [True, False])
def test_surfacelab_7(path: Path, packed: bool) -> None:
    w.surfacelab7(path, spectrum() * 1.25, packed)
    acq = readers.read(path, {"a": (6.2, 6.3)})
    assert acq["a"].item() == pytest.approx(137 * 1.25)
    assert acq.counts.shape == (1, 1, 1, 1)
    mass, counts = acq.spectrum()
    assert mass[2] == pytest.approx(((2 * 1275 - K0) / SF) ** 2)
    assert counts[2] == 125.0
    facts = acq.metadata
    assert facts["polarity"] == "negative"
    assert facts["field_of_view_m"] == pytest.approx(5e-4)
    assert facts["acquired"] == "Tue Mar 24 10:11:12 2026"
    assert facts["counts_are"].startswith("not counts:")
    assert facts["mass_intervals"] == {"7Li-": [6.9, 7.1]}
    assert any("images" in text and "BIF6" in text for text in facts["warnings"])


def test_surfacelab_7_without_a_spectrum(path: Path) -> None:
    w.surfacelab7(path, None, packed=False)
    with pytest.raises(FormatError, match=r"SurfaceLab 7.*BIF6 or imzML.*GRD"):
        iontof_tree.read(path)


def test_a_spectrum_of_another_length(path: Path) -> None:
    w.surfacelab7(path, spectrum(), packed=False)
    content = path.read_bytes()
    place = content.index(b"sizeSpectrum\xd0\7\0\0") + len("sizeSpectrum")
    path.write_bytes(content[:place] + w.u32(1999) + content[place + 4 :])
    with pytest.raises(FormatError, match="1999 steps"):
        iontof_tree.read(path)


def test_other_arrays() -> None:
    """What the writer writes is upside down, as the files are."""
    stack = w.image_stack(np.arange(6).reshape(1, 1, 2, 3), None)
    leaf: Any = stack.content[0].content[0].content[4].content[0]  # type: ignore[union-attr]
    assert np.frombuffer(zlib.decompress(leaf.value), "<u4").tolist() == [3, 4, 5, 0, 1, 2]
