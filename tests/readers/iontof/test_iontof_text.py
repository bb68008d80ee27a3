"""ION-TOF text exports: spectra with lithium, depth profiles, voxels."""

from __future__ import annotations

import time
from pathlib import Path

import hostile
import iontof_text_writer as writer
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.errors import FormatError
from napari_liso.readers import recognise
from napari_liso.readers.iontof import text as iontof_text

RNG = np.random.default_rng(8)


def put(folder: Path, name: str, text: str, encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def fraction(acq: liso.Acquisition) -> tuple[float, float]:
    """6Li / (6Li + 7Li) and its standard error."""
    n6, n7 = float(acq["6Li"].sum()), float(acq["7Li"].sum())
    value = n6 / (n6 + n7)
    return value, float(np.sqrt(value * (1 - value) / (n6 + n7)))


# --- spectra ----------------------------------------------------------------------


def lithium(seed: int, size: int = 1200, n7: int = 20_000, shift: float = 0.0) -> np.ndarray:
    """Counts in bins of 200 channels of peaks of 6Li (fraction 0.08) and 7Li."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(0.02, size)
    for mass, number in ((6.0146, round(n7 * 0.08 / 0.92)), (7.0155, n7)):
        events = rng.normal(33000 * np.sqrt(mass * (1 + shift)) - 360, 25, number)
        np.add.at(counts, (events / 200).astype(int), 1)
    return counts


def test_whole_numbers_without_correction_are_counts(tmp_path: Path) -> None:
    counts = lithium(1)
    for deadtime in ("off", None):
        acq = liso.read(put(tmp_path, "a.txt", writer.spectrum(counts, deadtime=deadtime)))
        assert acq.counts.dtype.kind == "u"
        assert acq["total"].item() == counts.sum()
        assert acq.metadata["counts_are"] == "raw"
        assert acq.spectrum()[1].tolist() == counts.tolist()
    broken = counts + np.where(counts > 1000, 0.25, 0)
    acq = liso.read(put(tmp_path, "a.txt", writer.spectrum(broken, deadtime="off")))
    assert acq.counts.dtype.kind == "f"
    assert acq["total"].item() == pytest.approx(broken.sum())
    assert "not counts" in acq.metadata["counts_are"]


def test_windows_take_whole_bins(tmp_path: Path) -> None:
    counts = np.arange(1, 601)
    path = put(tmp_path, "a.txt", writer.spectrum(counts, deadtime="off"))
    mass = ((200 * np.arange(600) + 100 + 360) / 33000) ** 2
    low, high = round(mass[430], 6), round(mass[433], 6)
    acq = liso.read(path, windows={"a": (low, high), "b": (low + 1e-5, high + 1e-5)})
    # The low edge is inside, the high edge is not.
    assert acq.counts.ravel().tolist() == [431 + 432 + 433, 432 + 433 + 434]


@pytest.mark.parametrize("shift", np.linspace(-3e-3, 3e-3, 9).tolist())
def test_windows_are_found_wherever_the_bins_begin(tmp_path: Path, shift: float) -> None:
    """A peak that is narrower than a bin lies in one bin or across two."""
    path = put(tmp_path, "a.txt", writer.spectrum(lithium(2, shift=shift), deadtime="off"))
    value, error = fraction(liso.read(path, windows=["6Li", "7Li"]))
    assert value == pytest.approx(0.08, abs=3 * error)


def test_each_file_has_its_own_mass_axis(tmp_path: Path) -> None:
    first = put(tmp_path, "1.txt", writer.spectrum(lithium(3), deadtime="off"))
    other = np.zeros(1500, int)
    other[[560, 611]] = 7, 50  # the bins of 6.0146 and 7.0155 u on the other scale
    second = put(tmp_path, "2.txt", writer.spectrum(other, sf=45800.0, deadtime="off", k0=-100.0))
    masses = [((200 * n + 100 + 100) / 45800) ** 2 for n in (560, 611)]
    windows = {"6Li": (5.98, 6.05), "7Li": (6.97, 7.06)}
    inside = [
        low <= mass < high for mass, (low, high) in zip(masses, windows.values(), strict=True)
    ]
    acq = liso.read([first, second], windows=windows)
    alone = liso.read(first, windows=windows)
    assert acq.counts[:, 0].ravel().tolist() == alone.counts.ravel().tolist()
    expected = [7 * inside[0], 50 * inside[1]]
    assert acq.counts[:, 1].ravel().tolist() == expected
    assert acq.counts.dtype.kind == "u"
    mass, counts = acq.spectrum()
    assert np.all(np.diff(mass) > 0)
    assert counts.sum() == pytest.approx(lithium(3).sum() + 57)
    assert len(acq.metadata["files"]) == 2


def test_equal_axes_are_summed_as_they_are(tmp_path: Path) -> None:
    paths = [
        put(tmp_path, f"{n}.txt", writer.spectrum(lithium(n), deadtime="off")) for n in (1, 2)
    ]
    mass, counts = liso.read(paths).spectrum()
    np.testing.assert_array_equal(counts, lithium(1) + lithium(2))
    assert len(mass) == 1200


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = writer.spectrum(lithium(1), deadtime="off").replace("# B", "# Sample: ä\r\n# B")
    path = put(tmp_path, "a.txt", text, encoding)
    assert recognise(path) == "ION-TOF text"
    assert liso.read(path)["total"].item() == lithium(1).sum()


def test_channels_before_mass_zero(tmp_path: Path) -> None:
    text = writer.spectrum(
        [0] * 5 + lithium(1, 900).tolist(), k0=1000.0, sf=33000.0, deadtime="off"
    )
    acq = liso.read(put(tmp_path, "a.txt", text))
    assert np.all(np.diff(acq.spectrum()[0]) > 0)
    assert acq["total"].item() == lithium(1, 900).sum()


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("\r\n60100\t", "\r\n60100.x\t", "numbers"),
        ("\r\n60100\t", "\r\n59900\t", "order"),
        ("\r\n60100\t3.356668\t", "\r\n60100\t3.999999\t", "order"),
        ("\r\n60100\t", "\r\n60100\t1\t", "numbers"),
        ("\r\n60100\t3.356668\t", "\r\n60100\t", "numbers"),
        ("\r\n60100\t3.356668\t0", "\r\n60100\t3.356668\t-1", "negative"),
        ("\r\n60100\t3.356668\t0", "\r\n60100\t3.356668\tinf", "finite"),
        ("\r\n60100\t3.356668\t0", "\r\n60100\t3.356668\tnan", "numbers"),
        ("\r\n60100\t", "\r\n\0\0\t", "no text"),
        ("\r\n60100\t", "\r\n" + "1 " * 3000 + "\t", "no row"),
    ],
)
def test_damaged_spectra(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = writer.spectrum(np.where(np.arange(1200) == 300, 0, lithium(1)), deadtime="off")
    assert old in text
    with pytest.raises(FormatError, match=reason):
        iontof_text.read(put(tmp_path, "a.txt", text.replace(old, new)))


def test_masses_that_do_not_follow_from_channels(tmp_path: Path) -> None:
    lines = writer.spectrum(lithium(1)).split(writer.END)
    lines[500:] = [
        f"{line.split(chr(9))[0]}\t{5 + n * 0.01:.6f}\t1" for n, line in enumerate(lines[500:-1])
    ] + [""]
    with pytest.raises(FormatError, match=r"do not follow|order"):
        liso.read(put(tmp_path, "a.txt", writer.END.join(lines)))


# --- profiles ---------------------------------------------------------------------

NAMES = ["total", "^6Li+", "Li+", "^118SnI_3+", "Li+ / ( Sn+ )", "SnO+", "SnO+"]
MASSES = ["N/A", "6.0146", "7.0155", "498.6148", "N/A", "135.8971", "135.8971"]


def rows(steps: int = 6, ratio: str = "inf") -> list[list[object]]:
    return [[100 + n, 8 + n, 92, n, ratio, 1, 2] for n in range(steps)]


@pytest.mark.parametrize("kind", ["spectrum", "profile", "voxels"])
def test_numbers_whose_sum_does_not_fit(tmp_path: Path, kind: str) -> None:
    most = 2**53 - 2
    path = tmp_path / "run (7) - Li+.txt"
    content = {
        "spectrum": writer.spectrum([7] * 2000, deadtime="off").replace("\t7\r", f"\t{most}\r"),
        "profile": writer.profile(["Li+"], ["7.0"], [[most]] * 2000),
        "voxels": writer.voxels([[[7] * 16] * 16] * 8).replace(" 7\r", f" {most}\r"),
    }
    path.write_text(content[kind], newline="")
    with pytest.raises(FormatError, match="too large to add up"):
        liso.read(path)


def test_the_same_spectrum_twice_is_no_double_spectrum(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text(writer.spectrum([5] * 500), newline="")
    with pytest.raises(ValueError, match="given twice"):
        liso.read([path, tmp_path / "." / "a.txt"])


def test_profile(tmp_path: Path) -> None:
    path = put(tmp_path, "p.txt", writer.profile(NAMES, MASSES, rows()))
    assert recognise(path) == "ION-TOF text"
    acq = liso.read(path)
    assert acq.channels == (
        "total",
        "6Li",
        "7Li",
        "118SnI3",
        "SnO (135.8971 u)",
        "SnO (135.8971 u) #2",
    )
    assert acq.metadata["names_in_file"] == [n for n in NAMES if "/" not in n]
    np.testing.assert_array_equal(
        acq.masses, [np.nan, 6.0146, 7.0155, 498.6148, 135.8971, 135.8971]
    )
    assert acq.counts.dtype.kind == "u"
    assert acq.metadata["counts_are"] == "raw"
    np.testing.assert_array_equal(acq.counts[1, :, 0, 0], 8 + np.arange(6))
    assert acq.metadata["sputter_time_s"] == [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert acq.metadata["polarity"] == "positive"
    assert any("Li+ / ( Sn+ )" in text for text in acq.metadata["warnings"])


@pytest.mark.parametrize("value", ["inf", "-inf", "nan", "1.#INF", "-1.#IND", ""])
def test_a_column_that_is_not_finite_is_left_out_and_said(tmp_path: Path, value: str) -> None:
    table = rows()
    table[3][3] = value
    acq = liso.read(put(tmp_path, "p.txt", writer.profile(NAMES, MASSES, table)))
    assert "118SnI3" not in acq.channels
    assert "^118SnI_3+" in acq.metadata["columns_left_out"]


def test_smoothed_profile_is_no_counts(tmp_path: Path) -> None:
    text = writer.profile(NAMES, MASSES, rows(), smoothing="Enabled")
    acq = liso.read(put(tmp_path, "p.txt", text))
    assert acq.counts.dtype.kind == "f"
    assert acq.metadata["counts_are"] == "not counts: a smoothed profile"


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("\r\n3\t4.0", "\r\n4\t4.0", "not in a row"),
        ("\r\n3\t4.0", "\r\n3\t0.5", "ascending"),
        ("\r\n3\t4.0", "\r\n3\tinf", "ascending"),
        ("\r\n3\t4.0", "\r\n4.0", "cells"),
        ("\r\n3\t4.0", "\r\n3\t4.x", "number belongs"),
        ("\r\n3\t4.0", "\r\n3\t4_0", "number belongs"),
    ],
)
def test_damaged_profiles(tmp_path: Path, old: str, new: str, reason: str) -> None:
    text = writer.profile(NAMES, MASSES, rows())
    with pytest.raises(FormatError, match=reason):
        liso.read(put(tmp_path, "p.txt", text.replace(old, new)))


def test_profile_without_steps_or_intensities(tmp_path: Path) -> None:
    with pytest.raises(FormatError, match="no sputter step"):
        liso.read(put(tmp_path, "p.txt", writer.profile(NAMES, MASSES, [])))
    text = writer.profile(["Li+ / Sn+"], ["N/A"], [[1]])
    with pytest.raises(FormatError, match="no column of intensities"):
        liso.read(put(tmp_path, "p.txt", text))


# --- voxels -----------------------------------------------------------------------

CUBE = RNG.poisson(1.5, (3, 5, 7))  # scan, y from the bottom, x


@pytest.mark.parametrize("order", ["syx", "sxy", "xys"])
@pytest.mark.parametrize("remarks", [["# x y scan intensity"], ["# exported", "#"], []])
def test_voxels(tmp_path: Path, order: str, remarks: list[str]) -> None:
    text = writer.voxels(CUBE.tolist(), remarks, order=order)
    path = put(tmp_path, "run 3 (7) - ^6Li+.txt", text)
    assert recognise(path) == "ION-TOF text"
    acq = liso.read(path)
    assert acq.channels == ("6Li",)
    np.testing.assert_array_equal(acq.counts[0], CUBE[:, ::-1])
    assert acq.counts.dtype.kind == "u"
    assert acq.pixel_size is None
    assert "flipped vertically" in acq.metadata["origin"]
    assert not any("incomplete" in text for text in acq.metadata["warnings"])


def test_one_file_a_peak(tmp_path: Path) -> None:
    cubes = {"^6Li+": CUBE, "Li+": CUBE + 3, "26.00u": CUBE * 0}
    paths = [
        put(tmp_path, f"run 3 ({n}) - {name}.txt", writer.voxels(cube.tolist()))
        for n, (name, cube) in enumerate(cubes.items())
    ]
    acq = liso.read(paths)
    assert acq.channels == ("6Li", "7Li", "26.00u")
    np.testing.assert_array_equal(acq.masses, [np.nan, np.nan, 26.0])
    assert acq.metadata["names_in_file"] == list(cubes)
    assert acq.metadata["polarity"] == "positive"
    for channel, cube in enumerate(cubes.values()):
        np.testing.assert_array_equal(acq.counts[channel], cube[:, ::-1])
    assert len(acq.metadata["files"]) == 3


def test_names_without_the_pattern(tmp_path: Path) -> None:
    paths = [put(tmp_path, f"map_{n}.txt", writer.voxels(CUBE.tolist())) for n in ("6Li", "7Li")]
    assert liso.read(paths).channels == ("6Li", "7Li")
    remarks = ["# Peak: ^7Li+", "# x y scan intensity"]
    assert liso.read(put(tmp_path, "m.txt", writer.voxels(CUBE.tolist(), remarks))).channels == (
        "7Li",
    )


def test_a_single_image_and_its_field_of_view(tmp_path: Path) -> None:
    remarks = ["# Image Size: 7 x 5 pixels", "# Field of View: 35.0 x 25.0 µm²", "# x y intensity"]
    text = writer.voxels(CUBE[:1].tolist(), remarks, scans=False)
    for encoding in ("utf-8", "latin-1"):
        acq = liso.read(put(tmp_path, "image - Li+.txt", text, encoding))
        np.testing.assert_array_equal(acq.counts[0], CUBE[:1, ::-1])
        assert acq.pixel_size == pytest.approx((5e-6, 5e-6))


@pytest.mark.parametrize("side", ["9" * 400, "0." + "0" * 320 + "1", "0"])
def test_a_field_of_view_that_cannot_be(tmp_path: Path, side: str) -> None:
    remarks = [f"# Field of View: {side} um", "# x y intensity"]
    text = writer.voxels(CUBE[:1].tolist(), remarks, scans=False)
    acq = liso.read(put(tmp_path, "image - Li+.txt", text))
    assert acq.pixel_size is None
    np.testing.assert_array_equal(acq.counts[0], CUBE[:1, ::-1])


def test_only_voxels_with_counts(tmp_path: Path) -> None:
    sparse = np.where(CUBE > 2, CUBE, 0)
    other = np.zeros_like(CUBE)
    other[2, 4, 6] = 9
    paths = [
        put(tmp_path, f"a - {name}.txt", writer.voxels(cube.tolist(), zeros=False))
        for name, cube in {"^6Li+": sparse, "^7Li+": other}.items()
    ]
    acq = liso.read(paths)
    np.testing.assert_array_equal(acq.counts[0], sparse[:, ::-1])
    np.testing.assert_array_equal(acq.counts[1], other[:, ::-1])
    assert any("Only some voxels" in text for text in acq.metadata["warnings"])


def test_intensities_that_are_no_whole_numbers(tmp_path: Path) -> None:
    acq = liso.read(put(tmp_path, "a - Li+.txt", writer.voxels((CUBE * 1.25).tolist())))
    np.testing.assert_array_equal(acq.counts[0], CUBE[:, ::-1] * 1.25)
    assert "not counts" in acq.metadata["counts_are"]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("\r\n3 9 2 ", "\r\n3 9 0 ", "twice"),
        ("\r\n3 9 2 ", "\r\n3 9 1.5 ", "no whole numbers"),
        ("\r\n3 9 2 ", "\r\n3 9 70000 ", "0 to 65535"),
        ("\r\n3 9 2 ", "\r\n3 9 60000 ", "voxels of"),
        ("\r\n3 9 2 ", "\r\n-3 9 2 ", "no whole numbers"),
        ("\r\n3 9 2 ", "\r\n3 9 2 4 ", "numbers"),
        ("\r\n3 9 2 ", "\r\n3 9 2 -1", "negative"),
    ],
)
def test_damaged_voxels(tmp_path: Path, old: str, new: str, reason: str) -> None:
    # More rows than are looked at to tell what the file is.
    cube = RNG.poisson(1.0, (3, 30, 40))
    text = writer.voxels(cube.tolist(), order="syx")
    assert old in text
    path = put(tmp_path, "a - Li+.txt", text.replace(old, new))
    with hostile.bounded(), pytest.raises(FormatError, match=reason):
        iontof_text.read(path)


def test_files_that_do_not_belong_together(tmp_path: Path) -> None:
    one = put(tmp_path, "a - Li+.txt", writer.voxels(CUBE.tolist()))
    two = put(tmp_path, "a - Na+.txt", writer.voxels(CUBE[:2].tolist()))
    with pytest.raises(ValueError, match="do not belong"):
        liso.read([one, two])
    profile = put(tmp_path, "p.txt", writer.profile(NAMES, MASSES, rows()))
    with pytest.raises(ValueError, match="one acquisition"):
        liso.read([one, profile])
    with pytest.raises(ValueError, match="one acquisition"):
        liso.read([profile, put(tmp_path, "q.txt", writer.profile(NAMES, MASSES, rows()))])
    with pytest.raises(ValueError, match="no mass axis"):
        liso.read(one, windows={"6Li": (5.9, 6.1)})


def test_many_voxels_within_seconds(tmp_path: Path) -> None:
    cube = np.tile(np.arange(200) % 7, (10, 200, 1))
    rows = [
        f"{x} {y} {scan} {x % 7}" for scan in range(10) for y in range(200) for x in range(200)
    ]
    path = put(tmp_path, "big - Li+.txt", "\n".join([*rows, ""]))
    start = time.perf_counter()
    with hostile.bounded():
        acq = liso.read(path)
    # 4e5 lines; a pure Python parser takes longer than this for so many.
    assert time.perf_counter() - start < 5
    np.testing.assert_array_equal(acq.counts[0], cube)


# --- what is none, what is cut, what is damaged -----------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x,y,z\n1,2,3\n",
        "1 2 3 4\n5 6 7 8\n",
        "# values\n0 0 5\n1 0 6\n",
        "# x y height\n0 0 5\n1 0 6\n",
        "Channel Intensity\n1 2\n",
        "channel,m/z,intensity\n1,2,3\n",
        "# intensity\n0.5 0 1\n1.5 0 2\n",
        "# intensity\n0 0 1\n0 0 2\n",
        "# intensity of peaks\nm/z\tI\n7.0\t3\n",
        "#Data Point #\tTime\tIntensity\n1\t2\t3\n",
    ],
)
def test_other_texts_are_not_claimed(tmp_path: Path, text: str) -> None:
    assert not iontof_text.recognise(put(tmp_path, "table.txt", text))


def test_binaries_are_not_claimed(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    for content in (bytes(1000), RNG.bytes(70_000), b"# intensity\n\x01\x02\n", b"\xff\xfe\x00"):
        path.write_bytes(content)
        assert not iontof_text.recognise(path)


def test_a_huge_text_is_refused_at_once(tmp_path: Path) -> None:
    content = writer.spectrum(lithium(1, 5000)).encode()
    path = tmp_path / "a.txt"
    for size, reason in ((2**33, "bytes"), (2**25, "binary zeros")):
        path.write_bytes(content)
        with open(path, "r+b") as file:
            file.truncate(size)
        with hostile.bounded(5), pytest.raises(FormatError, match=reason):
            iontof_text.read(path)
    path.write_bytes(content + b"1" * 2**24)
    with hostile.bounded(5), pytest.raises(FormatError, match="no line"):
        iontof_text.read(path)


SAMPLES = {
    "s.txt": writer.spectrum(lithium(1, 450), deadtime="off"),
    "p.txt": writer.profile(NAMES, MASSES, rows(20)),
    "run - Li+.txt": writer.voxels(CUBE.tolist()),
}


@pytest.mark.parametrize("name", list(SAMPLES))
def test_cut(tmp_path: Path, name: str) -> None:
    """A cut inside a line is noticed; between lines, it shows in lists of voxels only."""
    content = SAMPLES[name].encode()
    path = tmp_path / name
    path.write_bytes(content)
    whole = iontof_text.read(path)
    rng = np.random.default_rng(1)
    cuts = {len(content) - 1, len(content) - 2, *rng.integers(1, len(content), 40).tolist()}
    if "run" in name:
        cuts |= {n + 1 for n, byte in enumerate(content) if byte == 10 and n > 300}
        cuts -= {
            cut
            for cut in cuts
            if content[:cut].endswith(
                (b"\n6 4 0 %d\r\n" % CUBE[0, 4, 6], b"\n6 4 1 %d\r\n" % CUBE[1, 4, 6])
            )
        }
    for cut in sorted(cuts):
        if "run" not in name and content[:cut].endswith((b"\n", b"\r")):
            continue
        path.write_bytes(content[:cut])
        hostile.assert_cut_is_noticed(iontof_text.read, path, whole, cut)


@pytest.mark.parametrize("name", list(SAMPLES))
@hostile.fuzz
@given(data=st.data())
def test_damage(tmp_path: Path, name: str, data: st.DataObject) -> None:
    path = tmp_path / name
    path.write_bytes(data.draw(hostile.damage(SAMPLES[name].encode())))
    iontof_text.recognise(path)
    hostile.outcome(iontof_text.read, path)


def test_outline(tmp_path: Path) -> None:
    text = "\n".join(iontof_text.outline(put(tmp_path, "s.txt", SAMPLES["s.txt"])))
    assert "spectrum" in text
    assert "450 bins" in text
    for name in ("p.txt", "run - Li+.txt"):
        assert list(iontof_text.outline(put(tmp_path, name, SAMPLES[name])))
