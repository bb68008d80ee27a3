"""TIFF and OME-TIFF: what writers in the wild store comes back as it was."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import tifffile

import napari_liso as liso
from napari_liso.readers import recognise


def test_ome_with_names_frames_and_size(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.ome.tif"
    metadata = {
        "axes": "TCYX",
        "Channel": {"Name": ["6Li", "7Li"]},
        "PhysicalSizeX": 312.5,
        "PhysicalSizeXUnit": "nm",
        "PhysicalSizeY": 0.4,
        "PhysicalSizeYUnit": "µm",
    }
    tifffile.imwrite(path, counts.swapaxes(0, 1), metadata=metadata)
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq.counts, counts)
    assert acq.counts.dtype == np.uint16
    assert acq.pixel_size == pytest.approx((0.4e-6, 312.5e-9))
    assert acq.metadata["format"] == "OME-TIFF"
    assert acq.metadata["counts_are"] == "raw"
    assert np.isnan(acq.masses).all()
    assert json.loads(json.dumps(acq.metadata)) == acq.metadata
    assert recognise(path) == "TIFF"


def test_ome_slices_and_times_are_frames(tmp_path: Path) -> None:
    stack = np.arange(2 * 2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 2, 3, 4, 5)
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, stack, metadata={"axes": "TCZYX", "Channel": {"Name": ["a", "b"]}})
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts, stack.swapaxes(0, 1).reshape(2, 6, 4, 5))
    assert acq.pixel_size is None


@pytest.mark.parametrize("unit", ["um", "micron", "\\u00B5m"])
def test_imagej_hyperstack_labels_and_unit(tmp_path: Path, counts: np.ndarray, unit: str) -> None:
    path = tmp_path / "a.tif"
    labels = [f"c:{c + 1}/2 t:{t + 1}/3 - {('6Li', '7Li')[c]}" for t in range(3) for c in range(2)]
    tifffile.imwrite(
        path,
        counts.swapaxes(0, 1),
        imagej=True,
        resolution=(2.5, 4.0),
        metadata={"axes": "TCYX", "Labels": labels, "unit": unit},
    )
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq.counts, counts)
    assert acq.pixel_size == pytest.approx((0.25e-6, 0.4e-6))


def test_imagej_slices_named_by_labels_are_peaks(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, counts[:, 0], imagej=True, metadata={"axes": "ZYX", "Labels": ["6Li", "7Li"]}
    )
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq.counts, counts[:, :1])
    assert acq.pixel_size is None


@pytest.mark.parametrize("tag", ["PageName", "description"])
def test_pages_with_names(tmp_path: Path, counts: np.ndarray, tag: str) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for name, image in zip(("6Li", "7Li"), counts[:, 0], strict=True):
            named: dict[str, Any] = (
                {"extratags": [(285, 2, 0, name, True)]} if tag == "PageName" else
                {"description": name}
            )  # fmt: skip
            writer.write(image, metadata=None, contiguous=False, **named)
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq.counts, counts[:, :1])


def test_pages_without_names_are_numbered_and_said(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts[:, 0], metadata=None, photometric="minisblack")
    acq = liso.read(path)
    assert acq.channels == ("page 1", "page 2")
    assert any("names the peaks" in w for w in acq.metadata["warnings"])
    np.testing.assert_array_equal(acq.counts, counts[:, :1])


def test_a_table_of_results_beside_the_map_is_no_list_of_peaks(
    tmp_path: Path, counts: np.ndarray
) -> None:
    path = tmp_path / "side.ome.tif"
    named = {"axes": "CYX", "Channel": {"Name": ["6Li", "7Li"]}}
    tifffile.imwrite(path, counts[:, 0], ome=True, photometric="minisblack", metadata=named)
    table = pd.DataFrame({"name": ["pore", "grain", "rim"], "counts": [1, 2, 3]})
    liso.write_table(tmp_path / "side.csv", table, {"software": "napari-liso"})
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    assert not any("side.csv" in warning for warning in acq.metadata["warnings"])


def test_one_image_is_called_as_the_file(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "7Li.tif"
    tifffile.imwrite(path, counts[0, 0])
    assert liso.read(path).channels == ("7Li",)


def test_json_beside_the_file_wins(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "map.ome.tif"
    tifffile.imwrite(path, counts[:, 0], metadata={"axes": "CYX", "Channel": {"Name": ["x", "y"]}})
    beside = {"channels": ["6Li", {"name": "7Li", "mass": 7.016}], "pixel_size_um": [0.5, 0.4]}
    (tmp_path / "map.json").write_text(json.dumps(beside))
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    assert np.isnan(acq.masses[0])
    assert acq.masses[1] == 7.016
    assert acq.pixel_size == pytest.approx((0.5e-6, 0.4e-6))
    assert acq.metadata["names_from"] == acq.metadata["pixel_size_source"] == "map.json"


def test_json_may_tell_the_axes(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, counts, metadata=None, photometric="minisblack")
    beside = {"channels": ["6Li", "7Li"], "axes": "CTYX"}
    flat = counts.reshape(6, 5, 7)
    (tmp_path / "map.tif.json").write_text(json.dumps(beside))
    with tifffile.TiffFile(path) as file:
        shape = file.series[0].shape
    if shape == flat.shape:
        with pytest.raises(liso.FormatError, match="axes CTYX"):
            liso.read(path)
    tifffile.imwrite(path, counts, photometric="minisblack")
    np.testing.assert_array_equal(liso.read(path).counts, counts)


def test_csv_beside_the_file(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, counts[:, 0], photometric="minisblack")
    (tmp_path / "map.csv").write_text("# peaks\nName,Mass,note\n6Li,6.015,\n7Li,,main\n")
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    assert acq.masses[0] == 6.015
    assert np.isnan(acq.masses[1])


def test_results_table_beside_the_file_is_no_list_of_peaks(
    tmp_path: Path, counts: np.ndarray
) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, counts[:, 0], photometric="minisblack")
    (tmp_path / "map.csv").write_text("area,mean\n1,2\n")
    acq = liso.read(path)
    assert acq.channels == ("page 1", "page 2")
    assert any("map.csv" in w for w in acq.metadata["warnings"])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("map.json", '{"channels": ["a", "b", "c"]}', "names 3 peaks"),
        ("map.json", '{"channels": ["a", "a"]}', "not unique"),
        ("map.json", '{"channels": ["a", ""]}', "needs a name"),
        ("map.json", '{"channels": "ab"}', "list of names"),
        ("map.json", '{"channels": ["a", {"name": "b", "mass": -1}]}', "positive number in u"),
        ("map.json", '{"channels": ["a", "b"], "pixel_size_um": 0}', "pixel_size_um"),
        ("map.json", '{"channels": ["a", "b"], "pixel_size_um": 1e-320}', "pixel_size_um"),
        ("map.json", f'{{"channels": ["a", "b"], "pixel_size_um": 1{"0" * 400}}}', "pixel_size"),
        ("map.json", f'{{"channels": [{{"name": "a", "mass": 1{"0" * 400}}}]}}', "a mass must"),
        ("map.json", '{"channels": ["a", "b"', "not JSON"),
        ("map.csv", "name,mass\na,1\nb\n", "as many cells"),
        ("map.csv", "name\na\nb\nc\n", "names 3 peaks"),
    ],
)
def test_lists_of_peaks_that_do_not_fit(
    tmp_path: Path, counts: np.ndarray, name: str, text: str, message: str
) -> None:
    path = tmp_path / "map.tif"
    tifffile.imwrite(path, counts[:, 0], photometric="minisblack")
    (tmp_path / name).write_text(text)
    with pytest.raises(liso.FormatError, match=message) as caught:
        liso.read(path)
    assert caught.value.path == str(tmp_path / name)


@pytest.mark.parametrize(
    ("resolution", "unit", "expected"),
    [
        ((20_000.0, 10_000.0), "CENTIMETER", (1e-6, 0.5e-6)),
        ((20_000.0, 10_000.0), "NONE", None),
        ((72.0, 72.0), "INCH", None),
        ((300 / 2.54, 300 / 2.54), "CENTIMETER", None),
    ],
)
def test_resolution_tags(
    tmp_path: Path,
    counts: np.ndarray,
    resolution: tuple[float, float],
    unit: str,
    expected: tuple[float, float] | None,
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts[0, 0], resolution=resolution, resolutionunit=unit)
    size = liso.read(path).pixel_size
    assert size == (None if expected is None else pytest.approx(expected))


def test_whole_floats_are_counts_and_others_are_kept_and_named(
    tmp_path: Path, counts: np.ndarray
) -> None:
    whole, scaled = tmp_path / "whole.tif", tmp_path / "scaled.tif"
    for path, factor in ((whole, 1), (scaled, np.float32(1.01))):
        image = counts[0].astype(np.float32) * factor
        tifffile.imwrite(path, image, photometric="minisblack")
    acq = liso.read(whole)
    assert acq.counts.dtype.kind == "u"
    np.testing.assert_array_equal(acq.counts.reshape(3, 5, 7), counts[0])
    acq = liso.read(scaled)
    assert acq.counts.dtype == np.float32
    assert acq.metadata["counts_are"].startswith("not counts")
    np.testing.assert_array_equal(acq.counts.reshape(3, 5, 7), counts[0] * np.float32(1.01))


@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("bigtiff", [False, True])
def test_dialects(
    tmp_path: Path, counts: np.ndarray, byteorder: str, compression: str | None, bigtiff: bool
) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"compression": compression, "bigtiff": bigtiff}
    tifffile.imwrite(path, counts[0], photometric="minisblack", byteorder=byteorder, **options)
    acq = liso.read(path)
    assert acq.counts.dtype == np.dtype(np.uint16)
    np.testing.assert_array_equal(acq.counts.reshape(3, 5, 7), counts[0])


@pytest.mark.filterwarnings("ignore::DeprecationWarning:tifffile")
def test_three_planes_called_colours_by_the_writer(tmp_path: Path, counts: np.ndarray) -> None:
    """What ``tifffile.imwrite`` makes of an array (3, y, x) when told nothing."""
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts[0], photometric="rgb", planarconfig="separate")
    (tmp_path / "a.json").write_text('{"channels": ["6Li", "7Li", "total"]}')
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts[:, 0], counts[0])
    assert any("colour" in w for w in acq.metadata["warnings"])


def test_signed_counts_and_negative_ones(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts[0, 0].astype(np.int32))
    assert liso.read(path).counts.dtype == np.uint8
    tifffile.imwrite(path, counts[0, 0].astype(np.int32) - 1)
    with pytest.raises(liso.FormatError, match="never negative"):
        liso.read(path)


def test_several_files_are_one_measurement(tmp_path: Path, counts: np.ndarray) -> None:
    paths = [tmp_path / f"run 3_{name}.tif" for name in ("6Li", "7Li")]
    for path, image in zip(paths, counts[:, 0], strict=True):
        tifffile.imwrite(path, image)
    acq = liso.read(paths)
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq.counts, counts[:, :1])
    assert [Path(f["path"]) for f in acq.metadata["files"]] == paths
    tifffile.imwrite(paths[1], counts[0, 0, 1:])
    with pytest.raises(ValueError, match="do not belong to one measurement"):
        liso.read(paths)


def test_several_files_of_other_formats(tmp_path: Path, counts: np.ndarray) -> None:
    from sims_h5_writer import write_archive

    path = write_archive(tmp_path / "a.h5", {9_000_000: np.ones((1, 2, 2), int)})
    with pytest.raises(ValueError, match="do not make up one"):
        liso.read([path, path])


def test_windows_mean_nothing_here(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, counts[0, 0])
    with pytest.raises(ValueError, match="no mass axis"):
        liso.read(path, windows={"6Li": (5.9, 6.1)})
    with pytest.raises(ValueError, match="no spectrum"):
        liso.read(path).spectrum()


# --- files that must be refused ----------------------------------------------


def test_colours_masks_and_complex_numbers(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5, 3), np.uint8), photometric="rgb")
    with pytest.raises(liso.FormatError, match="colour"):
        liso.read(path)
    tifffile.imwrite(path, np.zeros((4, 5), bool))
    with pytest.raises(liso.FormatError, match="no counts"):
        liso.read(path)
    tifffile.imwrite(path, np.zeros((4, 5), np.complex64))
    with pytest.raises(liso.FormatError, match="no counts"):
        liso.read(path)


def test_images_of_different_sizes(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        writer.write(np.zeros((4, 5), np.uint16))
        writer.write(np.zeros((4, 6), np.uint16))
    with pytest.raises(liso.FormatError, match="2 images of different kinds"):
        liso.read(path)


def test_every_truncation_is_refused(tmp_path: Path, counts: np.ndarray) -> None:
    for compression in (None, "zlib"):
        whole = tmp_path / "whole.tif"
        with tifffile.TiffWriter(whole) as writer:
            for image in counts[0]:
                writer.write(np.tile(image, (9, 9)), contiguous=False, compression=compression)
        content = whole.read_bytes()
        cut = tmp_path / "cut.tif"
        for size in np.linspace(0, len(content) - 2, 40).astype(int):
            cut.write_bytes(content[:size])
            with pytest.raises(liso.FormatError):
                liso.read(cut)


def test_declared_sizes_that_are_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.zeros((4, 5), np.uint16))
    for width in (6, 60_000, 2**31 - 1):
        with tifffile.TiffFile(path, mode="r+") as file:
            file.pages[0].tags["ImageWidth"].overwrite(width)
        with pytest.raises(liso.FormatError):
            liso.read(path)


def test_flipped_bytes_raise_only_format_errors(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, counts, metadata={"axes": "CTYX", "Channel": {"Name": ["6Li", "7Li"]}})
    whole = bytearray(path.read_bytes())
    rng = np.random.default_rng(11)
    refused = 0
    for place in rng.integers(0, len(whole), 150):
        damaged = whole.copy()
        damaged[place] ^= int(rng.integers(1, 256))
        path.write_bytes(damaged)
        try:
            acq = liso.read(path)
        except liso.FormatError:
            refused += 1
        else:
            assert acq.counts.ndim == 4
    assert refused > 10


def test_missing_file_folder_empty_file_and_foreign_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        liso.read(tmp_path / "nothing.tif")
    with pytest.raises(liso.FormatError, match="folder"):
        liso.read(tmp_path)
    empty = tmp_path / "empty.tif"
    empty.touch()
    with pytest.raises(liso.FormatError, match="empty"):
        liso.read(str(empty))
    foreign = tmp_path / "foreign.tif"
    foreign.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    with pytest.raises(liso.FormatError, match="no format"):
        liso.read([foreign])
    with pytest.raises(ValueError, match="no file"):
        liso.read([])
    for path in (tmp_path, tmp_path / "nothing.tif", empty, foreign, [], None, 3, "a\0b"):
        assert recognise(path) is None
