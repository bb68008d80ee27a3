"""EBSD maps as text: what was written comes back, and what is wrong is said by its line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ebsd_writer import ang, ctf, hex_ang
from hostile import bounded, damage, fuzz
from hypothesis import given
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.errors import FormatError
from napari_liso.microstructure.ebsd import EbsdMap, grains_from_ebsd
from napari_liso.readers.ebsd import is_ebsd, read_ebsd

RNG = np.random.default_rng(0)
EULER = RNG.random((5, 7, 3)) * (2 * np.pi, np.pi, 2 * np.pi)
PHASE = RNG.integers(0, 3, (5, 7))


def written(folder: Path, text: str, name: str = "map.txt") -> Path:
    path = folder / name
    path.write_bytes(text.encode("latin-1"))
    return path


@pytest.mark.parametrize("named", [False, True])
def test_ang_comes_back(tmp_path, named):
    text = ang(EULER, PHASE, symmetry=("43", "62"), named=named)
    ebsd = read_ebsd(written(tmp_path, text))
    np.testing.assert_array_equal(ebsd.phase, PHASE)
    known = PHASE > 0
    np.testing.assert_allclose(ebsd.euler[known], EULER[known], atol=1e-5)
    assert ebsd.pixel_size == (0.25e-6, 0.25e-6)
    assert [p.group for p in ebsd.phases.values()] == ["432", "622"]
    assert ebsd.phases[2].name == "Crystal 2"
    np.testing.assert_array_equal(ebsd.images["IQ"], np.arange(35).reshape(5, 7))
    assert ebsd.metadata["warnings"] == []
    assert ebsd.metadata["header"] == {"OPERATOR": "somebody"}


def test_the_only_phase_of_an_ang_may_be_written_as_0(tmp_path):
    phase = (PHASE > 0).astype(int)
    ebsd = read_ebsd(written(tmp_path, ang(EULER, phase, single=True)))
    np.testing.assert_array_equal(ebsd.phase, phase)


@pytest.mark.parametrize("decimal", [".", ","])
def test_ctf_comes_back(tmp_path, decimal):
    text = ctf(EULER, PHASE, (0.5, 0.25), ((11, 221), (9, 194)), decimal)
    ebsd = read_ebsd(written(tmp_path, text))
    np.testing.assert_array_equal(ebsd.phase, PHASE)
    known = PHASE > 0
    np.testing.assert_allclose(ebsd.euler[known], EULER[known], atol=1e-5)
    assert ebsd.pixel_size == (0.5e-6, 0.25e-6)
    assert [p.group for p in ebsd.phases.values()] == ["432", "622"]
    np.testing.assert_array_equal(ebsd.images["BC"], np.arange(35).reshape(5, 7))
    assert ebsd.metadata["header"]["JobMode"] == "Grid"


def test_symmetries_of_both_formats(tmp_path):
    one = np.ones((2, 2), int)
    laue = ["1", "2", "222", "4", "422", "3", "32", "6", "622", "23", "432"]
    for number, group in enumerate(laue, start=1):
        ebsd = read_ebsd(written(tmp_path, ctf(EULER[:2, :2], one, laue=((number, 0),))))
        assert ebsd.phases[1].group == group
    codes = {"1": "1", "2": "2", "20": "2", "22": "222", "4": "4", "42": "422", "3": "3",
             "32": "32", "6": "6", "62": "622", "23": "23", "43": "432",
             "m-3m": "432"}  # fmt: skip
    for code, group in codes.items():
        ebsd = read_ebsd(written(tmp_path, ang(EULER[:2, :2], one, symmetry=(code,))))
        assert ebsd.phases[1].group == group
    assert read_ebsd(written(tmp_path, ang(EULER[:2, :2], one, symmetry=("20",)))).phases[
        1
    ].axis == "y"  # fmt: skip


def test_the_twofold_axes_of_trigonal_crystals(tmp_path):
    """Along a; Oxford's x axis is along a*, EDAX's along a."""
    one = np.ones((2, 2), int)
    turn = {
        space: read_ebsd(written(tmp_path, ctf(EULER[:2, :2], one, laue=((7, space),))))
        .phases[1]
        .turn
        for space in (167, 162)
    }
    assert turn == {167: pytest.approx(np.pi / 6), 162: 0}
    assert (
        read_ebsd(written(tmp_path, ang(EULER[:2, :2], one, symmetry=("32",)))).phases[1].turn == 0
    )


def test_a_hexagonal_grid_is_resampled_by_the_nearest_point(tmp_path):
    def euler_at(y: float, x: float) -> tuple[float, float, float]:
        return (0.0, 0.0, 0.0) if x < 5.05 + 0.3 * y else (0.5, 0.0, 0.0)

    ebsd = read_ebsd(written(tmp_path, hex_ang(euler_at, columns=41, rows=40)))
    side = 0.25 * np.sqrt(np.sqrt(3) / 2)
    assert ebsd.pixel_size == pytest.approx((side * 1e-6, side * 1e-6))
    assert ebsd.phase.shape == (37, 44)
    assert (ebsd.phase > 0).all()
    assert "hexagonal" in ebsd.metadata["warnings"][0]
    y, x = np.mgrid[:37, :44] * side
    away = x - 5.05 - 0.3 * y
    sure = np.abs(away) > 0.25
    np.testing.assert_array_equal((ebsd.euler[..., 0] > 0)[sure], (away > 0)[sure])
    # brute force: the nearest of all points
    points = np.array(
        [((c + 0.5 * (r % 2)) * 0.25, r * 0.25 * np.sqrt(3) / 2) for r in range(40) for c in
         range(41 - r % 2)]
    )  # fmt: skip
    for at in ((0, 0), (5, 20), (17, 23), (36, 43), (20, 43)):
        far = np.hypot(points[:, 0] - x[at], points[:, 1] - y[at])
        want = euler_at(*points[far.argmin()][::-1])[0]
        assert ebsd.euler[at][0] == want


def test_grains_of_a_written_map(tmp_path):
    euler = np.zeros((6, 10, 3))
    euler[:, 5:, 0] = np.deg2rad(30)
    grains = grains_from_ebsd(read_ebsd(written(tmp_path, ctf(euler, np.ones((6, 10), int)))))
    np.testing.assert_array_equal(grains, np.repeat([[1] * 5 + [2] * 5], 6, axis=0))


def test_a_map_that_was_cut_short_says_so(tmp_path):
    whole = ctf(EULER, PHASE, laue=((11, 0), (11, 0)))
    lines = whole.split("\r\n")
    ebsd = read_ebsd(written(tmp_path, "\r\n".join(lines[:-8])))
    assert "holds 28 of the 35 points" in ebsd.metadata["warnings"][0]
    np.testing.assert_array_equal(ebsd.phase[:4], PHASE[:4])
    assert (ebsd.phase[4] == 0).all()


def test_no_line_end_at_the_end(tmp_path):
    ebsd = read_ebsd(written(tmp_path, ang(EULER, PHASE, symmetry=("43", "43")).rstrip("\n")))
    np.testing.assert_array_equal(ebsd.phase, PHASE)


def edit(text: str, line: int, old: str, new: str) -> str:
    lines = text.split("\r\n")
    assert old in lines[line - 1]
    lines[line - 1] = lines[line - 1].replace(old, new, 1)
    return "\r\n".join(lines)


@pytest.mark.parametrize(
    ("line", "old", "new", "message"),
    [
        (5, "7", "seven", "line 5: XCells is 'seven'"),
        (5, "7", "1000000", "declares 5 x 1e.06 points, which|bytes cannot hold"),
        (5, "7", "-7", "declares 5 x -7 points"),
        (5, "XCells", "Cells", "no XCells"),
        (7, "0.5", "0", "steps of 0 and 0.5 um"),
        (7, "0.5", "0.4", "no grid of 7 points"),
        (13, "2", "300", "declares 300 phases"),
        (14, "\t11\t", "\t12\t", "line 14: the Laue class is '12'"),
        (16, "Euler2", "Angle", "line 16 should name the columns"),
        (20, "\t8\t", "\tx\t", "line 20: 'x' is not a number"),
        (20, "\t8\t", "\t", "line 20 has 10 numbers"),
        (21, "\t8\t", "\tnan\t", "line 21: 'nan' is not a number"),
    ],
)
def test_what_is_wrong_is_said_by_its_line(tmp_path, line, old, new, message):
    text = ctf(EULER, PHASE, laue=((11, 0), (11, 0)))
    with pytest.raises(FormatError, match=message):
        read_ebsd(written(tmp_path, edit(text, line, old, new)))


def test_more_points_or_phases_than_declared(tmp_path):
    text = ctf(EULER, PHASE, laue=((11, 0), (11, 0)))
    last = text.split("\r\n")[-2]
    with pytest.raises(FormatError, match="more than the 35 points"):
        read_ebsd(written(tmp_path, text + last + "\r\n"))
    with pytest.raises(FormatError, match=r"line \d+: phase 2 is not one of the 1"):
        read_ebsd(written(tmp_path, ctf(EULER, PHASE)))
    lines = text.split("\r\n")
    lines[20] = lines[19]
    with pytest.raises(FormatError, match="several points in one place"):
        read_ebsd(written(tmp_path, "\r\n".join(lines)))


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("SqrGrid", "Other", "its grid is 'other'"),
        ("# NROWS: 5\n", "", "no NROWS"),
        (
            "# Symmetry              43",
            "# Symmetry   99",
            "line 7: the symmetry of Crystal 1 is '99'",
        ),
        ("# Phase 1", "# Phase one", "line 4: the phase is 'one'"),
        ("# Phase 1", "# Nothing", "no phase"),
    ],
)
def test_headers_of_ang_that_make_no_sense(tmp_path, old, new, message):
    text = ang(EULER, (PHASE > 0).astype(int))
    assert old in text
    with pytest.raises(FormatError, match=message):
        read_ebsd(written(tmp_path, text.replace(old, new)))


def test_what_is_an_ebsd_map(tmp_path):
    one = np.ones((2, 2), int)
    path = written(tmp_path, ctf(EULER[:2, :2], one))
    assert is_ebsd(path)
    assert is_ebsd(written(tmp_path, ang(EULER[:2, :2], one), "b"))
    other = written(tmp_path, "# a table\n1 2 3\n", "c")
    assert not is_ebsd(other)
    assert not is_ebsd(tmp_path)
    assert not is_ebsd(tmp_path / "none")
    with pytest.raises(FormatError, match="no EBSD map"):
        read_ebsd(other)
    with pytest.raises(FileNotFoundError):
        read_ebsd(tmp_path / "none")
    with pytest.raises(FormatError, match="read_ebsd"):
        liso.read(path)
    assert isinstance(liso.read_ebsd(path), EbsdMap)


@pytest.mark.parametrize("text", [ang(EULER, PHASE, symmetry=("43", "62")),
                                  ctf(EULER, PHASE, laue=((11, 0), (9, 0))),
                                  hex_ang(lambda y, x: (x % 3, 0.1, 0.2), 6, 6)],
                         ids=["ang", "ctf", "hexagonal"])  # fmt: skip
def test_damaged_files_are_refused_or_read(tmp_path, text):
    path = tmp_path / "map.txt"

    @fuzz
    @given(damage(text.encode("latin-1")))
    def check(content: bytes) -> None:
        path.write_bytes(content)
        with bounded():
            try:
                ebsd = read_ebsd(path)
            except FormatError:
                pass
            else:
                assert np.isfinite(ebsd.euler).all()
                assert set(np.unique(ebsd.phase)) <= {0, *ebsd.phases}

    check()


@fuzz
@given(st.binary(max_size=300))
def test_any_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(b"Channel Text File\n" + content)
    with bounded(), pytest.raises(FormatError):
        read_ebsd(path)
