"""imzML: against pyimzml's spectra, pyimzml's own writer, and a separate writer."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from imzml_writer import (
    IDENTITY,
    TYPES,
    edit,
    write_imzml,
)

import napari_liso as liso
from napari_liso.readers import recognise
from napari_liso.readers.imzml import binary as imzml_binary
from napari_liso.readers.imzml import ibd as imzml_ibd
from napari_liso.readers.imzml import reader as imzml
from napari_liso.readers.imzml import tally as imzml_tally
from napari_liso.readers.imzml.tally import MassHistogram

LITHIUM = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}
EXAMPLES = ("Example_Continuous", "Example_Processed")


def oracle_spectra(path: Path) -> dict[tuple[int, int], tuple[np.ndarray, np.ndarray]]:
    """Spectra by (x, y) as pyimzml reads them."""
    module = pytest.importorskip("pyimzml.ImzMLParser")
    with module.ImzMLParser(str(path)) as parser:
        return {
            (x, y): tuple(np.array(a, np.float64) for a in parser.getspectrum(number))
            for number, (x, y, _) in enumerate(parser.coordinates)
        }


def by_hand(spectra: dict, window: tuple[float, float], shape: tuple[int, int]) -> np.ndarray:
    """Sum each spectrum's values in a window, one by one."""
    image = np.zeros(shape)
    for (x, y, *_), (mz, intensity) in spectra.items():
        for m, value in zip(mz, intensity, strict=True):
            if window[0] <= m < window[1]:
                image[y - 1, x - 1] += value
    return image


@pytest.fixture
def spectra() -> dict[tuple[int, int], tuple[list[float], list[float]]]:
    """Counts of a 4 x 3 image (width, height), each pixel with m/z values of its own."""
    rng = np.random.default_rng(5)
    found = {}
    for y in (1, 2, 3):
        for x in (1, 2, 3, 4):
            mz = np.sort(rng.choice(np.linspace(5.5, 7.5, 41), rng.integers(1, 9), replace=False))
            found[x, y] = (mz.tolist(), rng.integers(1, 50, len(mz)).tolist())
    found[2, 3] = ([], [])
    return found


# --- real files --------------------------------------------------------------


@pytest.mark.parametrize("name", EXAMPLES)
def test_real_files_equal_pyimzml_s_spectra(shared_data: Path, name: str) -> None:
    path = shared_data / "imzml" / f"{name}.imzML"
    expected = oracle_spectra(path)
    assert len(expected) == 9
    windows = {"a": (100.0, 300.0), "b": (400.0, 401.0), "c": (700.0, 799.0)}
    acq = liso.read(path, windows=windows)
    assert acq.counts.shape == (3, 1, 3, 3)
    for channel, window in windows.items():
        image = by_hand(expected, window, (3, 3))
        assert image.sum() > 0
        np.testing.assert_allclose(acq[channel], image, rtol=1e-12)
    total = liso.read(path)
    assert total.channels == ("total",)
    assert total["total"].sum() == pytest.approx(1450.3, abs=0.05)
    # The file's own total ion currents, pixel by pixel from the upper left.
    assert total["total"][0, 0] == pytest.approx(121.85039)
    assert total["total"][0, 1] == pytest.approx(182.31835)
    assert total["total"][2, 2] == pytest.approx(243.53951)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_the_real_files_say(shared_data: Path, name: str) -> None:
    path = shared_data / "imzml" / f"{name}.imzML"
    acq = liso.read(path)
    facts = acq.metadata
    assert acq.pixel_size == pytest.approx((100e-6, 100e-6))
    assert facts["polarity"] == "negative"
    assert facts["counts_are"].startswith("not counts:")
    assert acq.counts.dtype == np.float64
    assert facts["ibd_checksum"] == "SHA1 as stated"
    assert facts["storage_declared"] == name.partition("_")[2].lower()
    assert facts["frames"] == 1
    assert facts["software"] == ["Xcalibur 2.2", "TMC 1.1 beta"]
    assert acq.pulses is None
    assert facts["warnings"] == []
    assert json.loads(json.dumps(facts)) == facts


@pytest.mark.parametrize("name", EXAMPLES)
def test_sum_spectrum_of_the_real_files(shared_data: Path, name: str) -> None:
    path = shared_data / "imzml" / f"{name}.imzML"
    mass, intensity = liso.read(path).spectrum()
    every_mz, every_value = (
        np.concatenate(parts) for parts in zip(*oracle_spectra(path).values(), strict=True)
    )
    assert np.all(np.diff(mass) > 0)
    occupied = intensity > 0
    np.testing.assert_array_equal(mass[occupied], np.unique(every_mz[every_value > 0]))
    assert intensity.sum() == pytest.approx(every_value.sum())
    place = np.searchsorted(mass, every_mz[np.argmax(every_value)])
    same = every_mz == mass[place]
    assert intensity[place] == pytest.approx(every_value[same].sum())


# --- written files -----------------------------------------------------------

VARIANTS = {
    "plain": {},
    "zlib": {"compress": True},
    "inline terms": {"inline": True},
    "inline and zlib": {"inline": True, "compress": True},
    "namespace prefix": {"prefix": "ns0:"},
    "names misspelt": {"misspelt": True},
    "UTF-8": {"encoding": "UTF-8", "newline": "\n"},
    "UTF-16": {"encoding": "UTF-16"},
    "windows-1252": {"encoding": "windows-1252"},
    "MD5": {"checksum": "md5"},
    "no check sum": {"checksum": None, "total_current": False},
    "GUID byte order": {"identity": bytes.fromhex("33221100554477668899aabbccddeeff")},
    "bare UUID": {"stated_identity": IDENTITY.hex()},
    "DOCTYPE without entities": {"doctype": "<!DOCTYPE mzML>"},
}


@pytest.mark.parametrize("options", VARIANTS.values(), ids=VARIANTS.keys())
def test_counts_and_orientation(tmp_path: Path, spectra: dict, options: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra, **options)
    acq = liso.read(path, windows=LITHIUM)
    assert recognise(path) == "imzML"
    assert acq.counts.dtype.kind == "u"
    assert acq.metadata["counts_are"] == "raw"
    for name, window in LITHIUM.items():
        np.testing.assert_array_equal(acq[name], by_hand(spectra, window, (3, 4)))
    assert acq.metadata["polarity"] == "positive"
    assert acq.pixel_size == pytest.approx((2e-6, 2e-6))
    assert imzml.read(path).metadata["warnings"] == []
    mass, counts = acq.spectrum()
    assert counts.dtype.kind == "i"
    every = np.concatenate([mz for mz, _ in spectra.values()])
    np.testing.assert_array_equal(mass, np.unique(every))
    assert counts.sum() == sum(sum(values) for _, values in spectra.values())


def test_first_row_is_the_top_whatever_the_order_of_scanning(tmp_path: Path) -> None:
    counts = {(1, 1): 1, (2, 1): 2, (1, 2): 3, (2, 2): 4}
    backwards = {at: ([6.0], [n]) for at, n in reversed(counts.items())}
    acq = liso.read(write_imzml(tmp_path / "a.imzML", backwards))  # "bottom up" in its settings
    np.testing.assert_array_equal(acq["total"], [[1, 2], [3, 4]])
    assert "row 0 = top" in acq.metadata["origin"]


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("batch", [2**19, 7])
def test_continuous(
    tmp_path: Path, compress: bool, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(imzml_binary, "_BATCH", batch)
    rng = np.random.default_rng(3)
    axis = [5.5, 6.0, 6.015, 6.5, 7.0, 7.016]
    spectra = {(x, y): (axis, rng.poisson(3, 6).tolist()) for y in (1, 2) for x in (1, 2, 3)}
    path = write_imzml(tmp_path / "a.imzML", spectra, continuous=True, compress=compress)
    acq = liso.read(path, windows={"one": (6.0, 6.015), "two": (6.0, 7.0)})
    np.testing.assert_array_equal(acq["one"], by_hand(spectra, (6.0, 6.015), (2, 3)))
    np.testing.assert_array_equal(acq["two"], by_hand(spectra, (6.0, 7.0), (2, 3)))
    mass, counts = acq.spectrum()
    np.testing.assert_array_equal(mass, axis)  # also where nothing was counted
    np.testing.assert_array_equal(counts, np.sum([v for _, v in spectra.values()], axis=0))
    assert acq.metadata["storage_declared"] == "continuous"


@pytest.mark.parametrize("batch", [1, 10])
def test_batches_do_not_matter(
    tmp_path: Path, spectra: dict, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra)
    whole = liso.read(path, windows=LITHIUM)
    monkeypatch.setattr(imzml_binary, "_BATCH", batch)
    monkeypatch.setattr(imzml_tally, "_PENDING", 3)
    monkeypatch.setattr(imzml_binary, "_STRETCH", 0)
    parts = liso.read(path, windows=LITHIUM)
    np.testing.assert_array_equal(parts.counts, whole.counts)
    np.testing.assert_array_equal(parts.spectrum(), whole.spectrum())


@pytest.mark.parametrize("mz_type", ["float32", "float64", "int32", "int64"])
@pytest.mark.parametrize("intensity_type", TYPES)
def test_number_types(tmp_path: Path, mz_type: str, intensity_type: str) -> None:
    spectra = {(1, 1): ([6, 7], [3, 70_000]), (2, 1): ([7], [255])}
    path = write_imzml(
        tmp_path / "a.imzML", spectra, mz_type=mz_type, intensity_type=intensity_type
    )
    acq = liso.read(path, windows=LITHIUM)
    np.testing.assert_array_equal(acq.counts[:, 0, 0], [[3, 0], [70_000, 255]])
    assert acq.counts.dtype.kind == "u"


def test_window_edges(tmp_path: Path) -> None:
    spectra = {(1, 1): ([5.9, 6.0, 6.1], [1, 10, 100])}
    path = write_imzml(tmp_path / "a.imzML", spectra)
    assert liso.read(path, windows={"6Li": (5.9, 6.1)})["6Li"].item() == 11


def test_no_leak_from_one_isotope_into_the_other(tmp_path: Path) -> None:
    """A pixel with 7Li alone has no 6Li; pyimzml's own ion image puts it there."""
    spectra = {(1, 1): ([7.016], [10]), (2, 1): ([6.015, 7.016], [3, 20]), (3, 1): ([6.015], [5])}
    path = write_imzml(tmp_path / "a.imzML", spectra)
    acq = liso.read(path, windows=LITHIUM)
    np.testing.assert_array_equal(acq["6Li"], [[0, 3, 5]])
    np.testing.assert_array_equal(acq["7Li"], [[10, 20, 0]])
    module = pytest.importorskip("pyimzml.ImzMLParser")
    with module.ImzMLParser(str(path)) as parser:
        leaky = module.getionimage(parser, 6.0, tol=0.1)
    assert leaky[0, 0] == 10  # why it is no oracle for images


def test_unsorted_and_repeated_masses(tmp_path: Path) -> None:
    spectra = {(1, 1): ([7.0, 6.0, 7.0, 6.0], [1, 2, 3, 4]), (2, 1): ([6.0], [8])}
    acq = liso.read(write_imzml(tmp_path / "a.imzML", spectra), windows=LITHIUM)
    np.testing.assert_array_equal(acq.counts[:, 0, 0], [[6, 8], [4, 0]])
    mass, counts = acq.spectrum()
    assert mass.tolist() == [6.0, 7.0]
    assert counts.tolist() == [14, 4]


@pytest.mark.parametrize("mode", ["continuous", "processed", "auto"])
@pytest.mark.parametrize("compressed", [False, True])
def test_files_of_pyimzml_s_writer(tmp_path: Path, mode: str, compressed: bool) -> None:
    writer = pytest.importorskip("pyimzml.ImzMLWriter")
    compression = pytest.importorskip("pyimzml.compression")
    rng = np.random.default_rng(8)
    axis = np.linspace(5.5, 7.5, 30)
    expected = np.zeros((2, 4, 5), int)
    how = compression.ZlibCompression() if compressed else compression.NoCompression()
    with writer.ImzMLWriter(
        str(tmp_path / "a.imzML"),
        mode=mode,
        intensity_compression=how,
        mz_compression=how,
        polarity="positive",
    ) as file:
        for y in range(4):
            for x in range(5):
                counts = rng.poisson(2, 30)
                own = slice(None) if mode == "continuous" else slice(rng.integers(0, 5), None)
                file.addSpectrum(axis[own], counts[own], (x + 1, y + 1))
                for channel, (low, high) in enumerate(LITHIUM.values()):
                    inside = (axis[own] >= low) & (axis[own] < high)
                    expected[channel, y, x] = counts[own][inside].sum()
    acq = liso.read(tmp_path / "a.imzML", windows=LITHIUM)
    np.testing.assert_array_equal(acq.counts[:, 0], expected)
    assert acq.metadata["polarity"] == "positive"
    assert acq.pixel_size is None  # that writer states none
    assert acq.metadata["ibd_checksum"] == "SHA1 as stated"


def test_windows_by_name_and_recalibration(tmp_path: Path) -> None:
    """The observed peaks of a file whose masses are 300 ppm high."""
    rng = np.random.default_rng(2)
    grid = np.arange(5.9, 7.2, 1e-3)
    shift = 1 + 300e-6
    peaks = [(m * shift, n) for m, n in ((6.01457, 40), (7.01545, 400))]
    mean = sum(n * np.exp(-0.5 * ((grid - m) / 2e-3) ** 2) for m, n in peaks)
    spectra = {(x, y): (grid.tolist(), rng.poisson(mean).tolist()) for x in (1, 2) for y in (1, 2)}
    path = write_imzml(tmp_path / "a.imzML", spectra)
    acq = liso.read(path, windows=["6Li", "7Li"], recalibrate=["6Li", "7Li"])
    assert acq.masses == pytest.approx([6.01457, 7.01545], rel=50e-6)
    share = acq["6Li"].sum() / (acq["6Li"].sum() + acq["7Li"].sum())
    assert share == pytest.approx(1 / 11, rel=0.05)


# --- what intensities are ----------------------------------------------------


@pytest.mark.parametrize("value", [0.5, -1.0])
def test_intensities_that_are_no_counts(tmp_path: Path, value: float) -> None:
    """Said for every window, also for one where the values happen to be whole."""
    spectra = {(1, 1): ([6.0, 7.0], [4.0, value])}
    path = write_imzml(tmp_path / "a.imzML", spectra)
    acq = liso.read(path, windows={"6Li": (5.9, 6.1)})
    assert acq.metadata["counts_are"].startswith("not counts:")
    assert acq.counts.dtype == np.float64
    assert liso.read(path)["total"].item() == 4 + value


def test_percentages_are_no_counts(tmp_path: Path) -> None:
    path = write_imzml(tmp_path / "a.imzML", {(1, 1): ([6.0], [4])}, intensity_unit="MS:1000132")
    acq = liso.read(path)
    assert "percent" in acq.metadata["counts_are"]
    assert acq.counts.dtype.kind == "f"


def test_intensities_left_out_by_the_exporter_are_told(tmp_path: Path, spectra: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", {(1, 1): ([6.0], [4]), (2, 1): ([6.0], [5])})
    edit(path, ('value="4.0"', 'value="9.0"'))
    assert any("In 1 of 2 spectra" in text for text in liso.read(path).metadata["warnings"])


def odd_in(acq: liso.Acquisition, *words: str) -> bool:
    return any(all(word in text for word in words) for text in acq.metadata["warnings"])


# --- two files, one measurement ----------------------------------------------


@pytest.mark.parametrize("name", ["a.ibd", "a.IBD", "A.Ibd"])
def test_the_ibd_is_found_whatever_its_letter_case(
    tmp_path: Path, spectra: dict, name: str
) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra)
    ibd = path.with_suffix(".ibd").rename(tmp_path / name)
    (tmp_path / "other.ibd").write_bytes(b"other")
    assert imzml.companions(path) == [ibd]
    total = sum(sum(values) for _, values in spectra.values())
    for given in (path, ibd, [path, ibd], [ibd, path]):
        assert recognise(given) == "imzML"
        assert liso.read(given)["total"].sum() == total


def test_without_its_ibd(tmp_path: Path, spectra: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra)
    path.with_suffix(".ibd").unlink()
    assert imzml.companions(path) == []
    with pytest.raises(liso.FormatError, match=r"a\.ibd, is not beside it; put both"):
        liso.read(path)


def test_two_files_that_could_be_its_ibd(tmp_path: Path, spectra: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra)
    content = path.with_suffix(".ibd").read_bytes()
    path.with_suffix(".ibd").unlink()
    for name in ("A.ibd", "a.IBD"):
        (tmp_path / name).write_bytes(content)
    if len(list(tmp_path.iterdir())) < 3:
        pytest.skip("names differ in letter case only, which this disk does not tell apart")
    with pytest.raises(liso.FormatError, match=r"A\.ibd and a\.IBD"):
        liso.read(path)


def test_an_ibd_of_another_measurement_is_refused(tmp_path: Path, spectra: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra, checksum=None)
    other = write_imzml(tmp_path / "b.imzML", spectra, identity=bytes(range(16)), checksum=None)
    shutil.copy(other.with_suffix(".ibd"), path.with_suffix(".ibd"))
    with pytest.raises(liso.FormatError, match="belongs to another") as caught:
        liso.read(path)
    assert caught.value.path.endswith("a.ibd")


def test_a_changed_ibd_is_refused_by_its_check_sum(tmp_path: Path, spectra: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra)
    content = bytearray(path.with_suffix(".ibd").read_bytes())
    content[-2] ^= 1
    path.with_suffix(".ibd").write_bytes(content)
    with pytest.raises(liso.FormatError, match="changed or damaged"):
        liso.read(path)


def test_check_sums_of_large_files_are_not_compared_and_that_is_told(
    tmp_path: Path, spectra: dict, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra)
    monkeypatch.setattr(imzml_ibd, "DIGEST_BYTES", 100)
    facts = liso.read(path).metadata
    assert facts["ibd_checksum"].startswith("not compared")
    assert "ibd_sha256" not in facts


def test_no_identifier_is_told(tmp_path: Path, spectra: dict) -> None:
    acq = liso.read(write_imzml(tmp_path / "a.imzML", spectra, stated_identity=None))
    assert odd_in(acq, "no identifier")


def test_not_an_image(tmp_path: Path, spectra: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra)
    plain = tmp_path / "plain.mzML"
    plain.write_text(path.read_bytes().decode("latin-1").replace("IMS:", "MS:"), "latin-1")
    assert recognise(plain) is None
    (tmp_path / "lonely.ibd").write_bytes(bytes(100))
    assert recognise(tmp_path / "lonely.ibd") is None
    with pytest.raises(liso.FormatError, match=r"lonely\.imzML, beside it"):
        liso.read(tmp_path / "lonely.ibd")


@pytest.mark.parametrize("declared", ["UTF-8", "ANSI", "utf-7", "rot13"])
def test_a_wrong_declaration_of_the_encoding(tmp_path: Path, spectra: dict, declared: str) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra, declared_encoding=declared)
    acq = liso.read(path, windows=LITHIUM)
    np.testing.assert_array_equal(acq["7Li"], by_hand(spectra, LITHIUM["7Li"], (3, 4)))
    assert odd_in(acq, "encoding")


def test_polarities(tmp_path: Path, spectra: dict) -> None:
    path = write_imzml(tmp_path / "a.imzML", spectra, polarity=None)
    assert liso.read(path).metadata["polarity"] is None
    path = write_imzml(tmp_path / "a.imzML", spectra, inline=True, polarity="negative")
    assert liso.read(path).metadata["polarity"] == "negative"
    text = path.read_text("latin-1").replace("MS:1000129", "MS:1000130", 1)
    path.write_text(text, "latin-1")
    acq = liso.read(path)
    assert acq.metadata["polarity"] is None
    assert odd_in(acq, "both polarities")


def test_outline(tmp_path: Path, spectra: dict) -> None:
    spectra = {at: spectra[at] for at in spectra if at != (1, 1)}
    path = write_imzml(tmp_path / "a.imzML", spectra)
    text = "\n".join(imzml.outline(path))
    for word in (
        "spectra: 11 of 11",
        "m/z arrays: float64",
        "intensity arrays: float32",
        IDENTITY.hex(),
        "SHA1 as stated",
        "(1, 3, 4)",
        "1 pixels without a spectrum",
        "IMS:1000046 = '2.0' (UO:0000017)",
        "polarity: positive",
    ):
        assert word in text
    assert "odd:" not in text
    ibd = path.with_suffix(".ibd")
    ibd.write_bytes(ibd.read_bytes()[:-9])
    assert "odd:" in "\n".join(imzml.outline(path))
    ibd.unlink()
    path.write_bytes(path.read_bytes()[:-900])
    damaged = "\n".join(imzml.outline(path))
    assert "not well formed" in damaged
    assert "is not beside it" in damaged
    assert "spectra: 10 of 11" in damaged


# --- the sum spectrum in bounded memory --------------------------------------


def test_close_masses_are_merged_only_beyond_the_limit() -> None:
    rng = np.random.default_rng(4)
    mass = rng.uniform(6.0, 7.0, 5000)
    counts = rng.integers(1, 9, 5000).astype(float)
    exact, bounded = MassHistogram(), MassHistogram(limit=500)
    for part in np.array_split(np.arange(5000), 20):
        exact.add(mass[part], counts[part])
        bounded.add(mass[part], counts[part])
    order = np.argsort(mass)
    np.testing.assert_array_equal(exact.result()[0], mass[order])
    np.testing.assert_array_equal(exact.result()[1], counts[order])
    assert exact.step == 0
    merged, sums = bounded.result()
    assert len(merged) <= 500
    assert np.all(np.diff(merged) > 0)
    assert sums.sum() == counts.sum()
    assert bounded.step > 0
    # Any window holds the same counts but for what is within a step of its edges.
    for low, high in ((6.2, 6.4), (6.9, 6.95)):
        inside = sums[(merged >= low) & (merged < high)].sum()
        rim = 1 + bounded.step
        least = counts[(mass >= low * rim) & (mass < high / rim)].sum()
        most = counts[(mass >= low / rim) & (mass < high * rim)].sum()
        assert least <= inside <= most
