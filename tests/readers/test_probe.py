"""What `napari-liso probe` tells about a file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile
from sims_h5_writer import write_archive

from napari_liso.cli import main
from napari_liso.readers.probe import probe


def test_an_archive(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    # mass = (0.4 t_us - 1.5)**2: 7Li at (2.6487 + 1.5) / 0.4 us = 10.3717 us
    times = np.rint(rng.normal(10_371_700, 2000, 300)).astype(int)
    cubes = {int(t): np.zeros((2, 3, 4), int) for t in times}
    for t in times:
        cubes[int(t)][1, 0, 2] += 1
    path = write_archive(tmp_path / "map.h5", cubes)
    lines = list(probe(path))
    text = "\n".join(lines)
    assert lines[0] == f"file: map.h5, {path.stat().st_size:,} bytes"
    assert "89 48 44 46" in lines[1]
    assert lines[2] == "format: SIMS-H5"
    for expected in (
        "2 frames of 3 x 4 pixels (rows x columns), raw",
        "pixel size: not in the file",  # 40 um cannot be 3 and 4 square pixels
        "polarity: negative",
        "stage_temperature_K: 163.15",
        "calibration slope: 0.4",
        "channel total: 300 counts",
        "m/z 7 300",
        "warning: The file does not state its pixel size.",
    ):
        assert expected in text, expected
    low, high = text.split("7Li: observed window ")[1].split(" u,")[0].split(" to ")
    assert float(low) < 7.0155 < float(high)


def test_a_stack_of_images(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, np.full((2, 4, 5), 3, np.uint16), metadata={"axes": "CYX"}, ome=True)
    text = "\n".join(probe(path))
    assert "1 frames of 4 x 5 pixels" in text
    assert text.count("60 counts") == 2


def test_what_was_not_counted_is_not_called_counts(shared_data: Path) -> None:
    text = "\n".join(probe(shared_data / "imzml" / "Example_Processed.imzML"))
    # the sum that pyimzml gives
    assert "channel total: intensity 1,450.299" in text
    assert not any(line.endswith("counts") for line in text.splitlines())
    assert str(shared_data) not in text


def test_what_is_no_measurement(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "notes.txt"
    path.write_bytes(b"to buy: \x1b[31mmilk")
    assert main(["probe", str(path)]) == 1
    out = capsys.readouterr().out
    assert "format: not recognised" in out
    assert "|to buy: .[31mmil|" in out
    assert "cannot be read:" in out
    assert "\x1b" not in out


def test_a_damaged_file_says_why(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write_archive(tmp_path / "cut.h5", {9_000_000: np.ones((1, 2, 2), int)})
    path.write_bytes(path.read_bytes()[:-300])
    assert main(["probe", str(path)]) == 1
    out = capsys.readouterr().out
    assert "format: SIMS-H5" in out
    assert "cannot be read: damaged or truncated" in out


def test_several_files_and_one_that_is_not_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.ones((4, 5), np.uint8))
    assert main(["probe", str(path), str(tmp_path / "b.tif")]) == 2
    captured = capsys.readouterr()
    assert "format: TIFF" in captured.out
    assert "b.tif: No such file" in captured.err


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "it is empty"), (b"hello", "docs/formats.md")]
)
def test_what_is_no_measurement_is_told_what_to_do(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = tmp_path / "text.raw"
    path.write_bytes(content)
    (last,) = [line for line in probe(path) if line.startswith("cannot be read:")]
    assert said in last


def test_a_file_beside_it_that_does_not_fit_is_named(tmp_path: Path) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, np.ones((2, 4, 5), np.uint16), photometric="minisblack")
    path.with_suffix(".json").write_text('{"channels": ["6Li", "7Li", "total"], "axes": "CYX"}')
    (last,) = [line for line in probe(path) if line.startswith("cannot be read:")]
    assert last.startswith("cannot be read: map.json: ")
