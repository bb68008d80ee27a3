"""Large TIFF stacks plane by plane; outlines, and damage of every kind."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hostile import bounded, damage, fuzz, outcome
from hypothesis import given
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.arrays import tiff

# --- large stacks, plane by plane ----------------------------------------------


def write_stack(path: Path, counts: np.ndarray, layout: str) -> None:
    """Channel, frame, y, x in one of the ways that leave planes in one piece."""
    frames = counts.swapaxes(0, 1)
    labels = ["6Li", "7Li"]
    if layout == "ome":
        metadata: dict[str, Any] = {"axes": "TCYX", "Channel": {"Name": labels}}
        tifffile.imwrite(path, frames, metadata=metadata, ome=True)
    elif layout == "imagej":
        metadata = {"axes": "TCYX", "Labels": labels * len(frames)}
        tifffile.imwrite(path, frames, imagej=True, metadata=metadata)
    else:
        options: dict[str, Any] = {"photometric": "minisblack", "rowsperstrip": 2}
        big, separate = layout == "bigtiff", layout != "together"
        with tifffile.TiffWriter(path, bigtiff=big, byteorder=">" if separate else "<") as writer:
            if not separate:
                writer.write(counts, **options)
            for image in counts.reshape(-1, *counts.shape[2:]) if separate else ():
                writer.write(image, contiguous=False, metadata=None, **options)
        beside = {"channels": labels, **({} if separate else {"axes": "CTYX"})}
        path.with_suffix(".json").write_text(json.dumps(beside))


@pytest.mark.parametrize("layout", ["ome", "imagej", "together"])
@pytest.mark.parametrize("dtype", ["u2", "i2", "f4"])
def test_large_stacks_are_read_when_indexed(
    tmp_path: Path,
    counts: np.ndarray,
    layout: str,
    dtype: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = tmp_path / "a.tif"
    if layout == "imagej" and dtype == "i2":
        dtype = "u2"  # ImageJ has no signed numbers of 16 bits
    write_stack(path, counts.astype(dtype), layout)
    small = liso.read(path)
    monkeypatch.setattr(tiff, "PLAIN_BYTES", 10)
    acq = liso.read(path)
    assert isinstance(small.counts, np.ndarray)
    assert isinstance(acq.counts, LazyCounts)
    assert acq.counts.dtype == small.counts.dtype
    assert acq.counts.dtype.kind == "u"
    assert acq.channels == small.channels == ("6Li", "7Li")
    assert acq.metadata == small.metadata
    np.testing.assert_array_equal(np.asarray(acq.counts), counts)
    np.testing.assert_array_equal(acq["7Li"], counts[1].sum(axis=0))


@pytest.mark.parametrize("layout", ["separate", "bigtiff"])
def test_pages_that_lie_apart(
    tmp_path: Path, counts: np.ndarray, layout: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    write_stack(path, counts[:, :1], layout)
    monkeypatch.setattr(tiff, "PLAIN_BYTES", 10)
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts)
    np.testing.assert_array_equal(np.asarray(acq.counts), counts[:, :1])


def test_large_stacks_of_no_counts(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tiff, "PLAIN_BYTES", 10)
    path = tmp_path / "a.tif"
    scaled = counts[0] * np.float32(1.01)
    tifffile.imwrite(path, scaled, photometric="minisblack")
    acq = liso.read(path)
    assert acq.counts.dtype == np.float32
    assert acq.metadata["counts_are"].startswith("not counts")
    np.testing.assert_array_equal(acq.counts[:, :].reshape(3, 5, 7), scaled)
    tifffile.imwrite(path, counts[0].astype(np.int16) - 1, photometric="minisblack")
    with pytest.raises(liso.FormatError, match="never negative"):
        liso.read(path)


def test_large_files_of_one_measurement(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "run_6Li.tif", tmp_path / "run_7Li.tif"]
    for path, frames in zip(paths, counts, strict=True):
        tifffile.imwrite(path, frames, imagej=True, metadata={"axes": "TYX"})
    monkeypatch.setattr(tiff, "PLAIN_BYTES", 10)
    acq = liso.read(paths)
    assert isinstance(acq.counts, LazyCounts)
    np.testing.assert_array_equal(np.asarray(acq.counts), counts)
    acq = liso.read(paths)
    paths[0].write_bytes(paths[0].read_bytes()[:-40])
    with pytest.raises(liso.FormatError, match="has changed"):
        acq["6Li"]


def test_two_hundred_megapixels_are_not_held_in_memory(tmp_path: Path) -> None:
    path = tmp_path / "large.tif"
    shape = (200, 1024, 1024)
    stack = tifffile.memmap(path, shape=shape, dtype=np.uint16, metadata={"axes": "TYX"})
    stack[137, 5, 6] = 9
    del stack
    with bounded(60, 2**27):  # a third of the pixels
        acq = liso.read(path)
        acq.counts[0, 0]
        start = time.perf_counter()
        image = acq.counts[0, 137]
        took = time.perf_counter() - start
        total = acq["large"]
    assert acq.counts.shape == (1, *shape)
    assert image[5, 6] == image.sum() == total.sum() == 9
    assert took < 0.1


# --- for bug reports ------------------------------------------------------------


def test_outline(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, counts, metadata={"axes": "CTYX"})
    lines = list(tiff.outline(path))
    assert lines[0].startswith("TIFF, little-endian, 6 pages, kinds: ome")
    assert "image 1: uint16 (2, 3, 5, 7) CTYX (ome), in one piece from" in lines[1]
    assert any(line.startswith("  ImageDescription = <?xml") for line in lines)
    assert sum(line.startswith("page ") for line in lines) == 6
    assert all(len(line) < 300 for line in lines)
    content = path.read_bytes()
    for size in (0, 7, 100, len(content) // 2):
        path.write_bytes(content[:size])
        assert list(tiff.outline(path))


@pytest.mark.parametrize("bigtiff", [False, True])
@pytest.mark.parametrize("byteorder", ["<", ">"])
@pytest.mark.parametrize("back", [0, 1, 2])
def test_pages_in_a_circle(
    tmp_path: Path, counts: np.ndarray, bigtiff: bool, byteorder: str, back: int
) -> None:
    path = tmp_path / "a.tif"
    options: dict[str, Any] = {"bigtiff": bigtiff, "byteorder": byteorder}
    tifffile.imwrite(path, counts[0], photometric="minisblack", metadata=None, **options)
    assert liso.read(path).counts.shape == (3, 1, 5, 7)
    with tifffile.TiffFile(path) as file:
        offsets = [page.offset for page in file.pages]
        tags, size = len(file.pages[2].tags), 8 if bigtiff else 4
    place = offsets[2] + (8 + 20 * tags if bigtiff else 2 + 12 * tags)
    content = bytearray(path.read_bytes())
    order = "little" if byteorder == "<" else "big"
    content[place : place + size] = offsets[back].to_bytes(size, order)
    path.write_bytes(content)
    with bounded(), pytest.raises(liso.FormatError, match="lead back") as caught:
        liso.read(path)
    assert caught.value.offset == offsets[back]
    assert "lead back" in " ".join(tiff.outline(path))


# --- damage ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def small_files(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    counts = np.random.default_rng(3).poisson(2.0, (2, 3, 5, 7)).astype(np.uint16)
    folder = tmp_path_factory.mktemp("tiff")
    write_stack(folder / "ome.tif", counts, "ome")
    write_stack(folder / "imagej.tif", counts, "imagej")
    tifffile.imwrite(folder / "zlib.tif", counts[0], photometric="minisblack", compression="zlib")
    return [(folder / f"{name}.tif").read_bytes() for name in ("ome", "imagej", "zlib")]


@pytest.mark.parametrize("lazy", [False, True])
@fuzz
@given(data=st.data())
def test_damage(tmp_path: Path, small_files: list[bytes], lazy: bool, data: st.DataObject) -> None:
    path = tmp_path / "damaged.tif"
    path.write_bytes(data.draw(st.sampled_from(small_files).flatmap(damage)))
    with pytest.MonkeyPatch.context() as patch:
        if lazy:
            patch.setattr(tiff, "PLAIN_BYTES", 10)
        outcome(tiff.read, path)
    list(tiff.outline(path))
