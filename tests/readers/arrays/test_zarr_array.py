"""Arrays with named axes in zarr: folders and zip files, versions 2 and 3, OME-Zarr."""

from __future__ import annotations

import json
import shutil
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hostile import EXAMPLES, damage, fuzz, outcome
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.readers import _chunked, recognise
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.arrays import zarr as zarr_array

zarr = pytest.importorskip("zarr", minversion="3")

SHAPE = (2, 3, 5, 7)
CHUNKS = (1, 2, 3, 7)

pytestmark = pytest.mark.usefixtures("examined_here")


@pytest.fixture
def counts() -> np.ndarray:
    """Channel, frame, y, x; no two planes are alike, no chunk is empty."""
    return (np.random.default_rng(3).poisson(2.0, SHAPE) + 1).astype(np.uint16)


def write(
    path: Path, data: np.ndarray, version: int = 3, axes: Any = "cfyx", **options: Any
) -> Path:
    attributes = {"axes": axes} if axes is not None else {}
    attributes |= options.pop("attributes", {})
    packed = path.name.endswith(".zip")
    store: Any = zarr.storage.ZipStore(str(path), mode="w") if packed else str(path)
    made = zarr.create_array(
        store,
        shape=data.shape,
        dtype=data.dtype,
        chunks=options.pop("chunks", CHUNKS[-data.ndim :]),
        zarr_format=version,
        attributes=attributes,
        **options,
    )
    made[...] = data
    if packed:
        store.close()
    return path


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("name", ["map.zarr", "map.zarr.zip"])
def test_a_few_lines_of_zarr(tmp_path: Path, counts: np.ndarray, version: int, name: str) -> None:
    attributes = {"channels": ["6Li", "7Li"], "pixel_size_um": [0.5, 0.25], "masses_u": [6, 7]}
    path = write(tmp_path / name, counts, version, attributes=attributes)
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts, counts)
    assert acq.counts.dtype == np.uint16
    assert acq.channels == ("6Li", "7Li")
    assert acq.pixel_size == pytest.approx((0.5e-6, 0.25e-6))
    np.testing.assert_array_equal(acq.masses, [6, 7])
    assert acq.metadata["counts_are"] == "raw"
    assert json.loads(json.dumps(acq.metadata)) == acq.metadata
    assert recognise(path) == "zarr array"
    again = liso.read(path)
    assert again.metadata["sha256"] == acq.metadata["sha256"]


def test_in_a_process_of_its_own(apart: None, tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "map.zarr", counts)
    np.testing.assert_array_equal(liso.read(path).counts, counts)


@pytest.mark.parametrize(
    "options",
    [
        {"dimension_names": ["c", "t", "y", "x"], "axes": None},
        {"attributes": {"_ARRAY_DIMENSIONS": ["c", "t", "y", "x"]}, "axes": None, "version": 2},
        {"chunks": (1, 1, 3, 4), "shards": (2, 3, 6, 8)},
        {"compressors": None},
        {"chunk_key_encoding": {"name": "v2", "separator": "."}},
        {"version": 2, "chunk_key_encoding": {"name": "v2", "separator": "/"}},
        {"axes": "yxcf", "transposed": (2, 3, 0, 1), "chunks": (5, 3, 1, 2)},
    ],
)
@pytest.mark.parametrize("lazy", [False, True])
def test_dialects(
    tmp_path: Path,
    counts: np.ndarray,
    options: dict[str, Any],
    lazy: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if lazy:
        monkeypatch.setattr(_chunked, "PLAIN_BYTES", 10)
    options = dict(options)
    order = options.pop("transposed", (0, 1, 2, 3))
    path = write(tmp_path / "map.zarr", counts.transpose(order), **options)
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts) == lazy
    np.testing.assert_array_equal(np.asarray(acq.counts), counts)
    np.testing.assert_array_equal(acq[acq.channels[0]], counts[0].sum(axis=0))


@pytest.mark.parametrize(
    ("dtype", "factor", "expected"),
    [("f4", 1, "uint8"), ("f4", 1.01, "float32"), (">i4", 1, "uint8"), ("u8", 1, "uint64")],
)
def test_types(
    tmp_path: Path, counts: np.ndarray, dtype: str, factor: float, expected: str
) -> None:
    data = (counts * factor).astype(dtype)
    acq = liso.read(write(tmp_path / "map.zarr", data, 2))
    assert acq.counts.dtype == np.dtype(expected)
    np.testing.assert_array_equal(acq.counts, data)
    assert acq.metadata["counts_are"].startswith("not counts" if expected[0] == "f" else "raw")


def ome(path: Path, data: np.ndarray, version: int, **changes: Any) -> Path:
    """A multiscale image as OME-Zarr 0.4 and 0.5 have it."""
    root = zarr.open_group(str(path), mode="w", zarr_format=version)
    levels = {"0": data, "1": data[..., ::2, ::2]}
    for name, level in levels.items():
        made = root.create_array(name, shape=level.shape, dtype=level.dtype)
        made[...] = level
    units = {"t": "second", "c": None, "y": "nanometer", "x": "micrometer"}
    scale = {
        "axes": [{"name": n, **({"unit": u} if u else {})} for n, u in units.items()],
        "datasets": [
            {
                "path": name,
                "coordinateTransformations": [
                    {"type": "scale", "scale": [1, 1, 150 * f, 0.2 * f]},
                ],
            }
            for name, f in (("0", 1), ("1", 2))
        ],
        "coordinateTransformations": [{"type": "scale", "scale": [1.0, 1.0, 2.0, 2.0]}],
    } | changes
    content = {
        "multiscales": [scale],
        "omero": {"channels": [{"label": "6Li"}, {"label": "7Li"}]},
    }
    root.attrs.update(content if version == 2 else {"ome": {"version": "0.5", **content}})
    return path


@pytest.mark.parametrize("version", [2, 3])
def test_ome_zarr(tmp_path: Path, counts: np.ndarray, version: int) -> None:
    path = ome(tmp_path / "map.ome.zarr", counts.swapaxes(0, 1), version)
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts, counts)
    assert acq.channels == ("6Li", "7Li")
    assert acq.pixel_size == pytest.approx((0.3e-6, 0.4e-6))
    assert acq.metadata["pixel_size_source"] == "OME-Zarr scale"
    assert acq.metadata["names_from"] == "OME-Zarr channel labels"
    assert acq.metadata["array"] == "/0"


def test_ome_zarr_without_units_has_no_pixel_size(tmp_path: Path, counts: np.ndarray) -> None:
    path = ome(tmp_path / "map.zarr", counts.swapaxes(0, 1), 3, axes=["t", "c", "y", "x"])
    acq = liso.read(path)
    np.testing.assert_array_equal(acq.counts, counts)
    assert acq.pixel_size is None


@pytest.mark.parametrize("name", ["../0", "/etc", "a/../../b", "s3://x/y", "", 3, "..\\x"])
def test_ome_paths_out_of_the_store(tmp_path: Path, counts: np.ndarray, name: Any) -> None:
    path = ome(tmp_path / "map.zarr", counts.swapaxes(0, 1), 3, datasets=[{"path": name}])
    with pytest.raises(liso.FormatError, match="not inside"):
        liso.read(path)


def test_several_arrays_and_the_default(tmp_path: Path, counts: np.ndarray) -> None:
    path = tmp_path / "map.zarr"
    root = zarr.open_group(str(path), mode="w")
    for name in ("a", "b"):
        root.create_array(name, data=counts, attributes={"axes": "cfyx"})
    root.create_array("mask", data=counts[0])
    with pytest.raises(liso.FormatError, match="/a, /b"):
        liso.read(path)
    root.attrs["default"] = "b"
    assert liso.read(path).metadata["array"] == "/b"


def test_a_file_beside_it(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "map.zarr", counts, axes=None)
    assert recognise(path) is None
    (tmp_path / "map.json").write_text('{"channels": ["6Li", "7Li"], "axes": "CTYX"}')
    acq = liso.read(path)
    assert acq.channels == ("6Li", "7Li")
    np.testing.assert_array_equal(acq.counts, counts)


def test_other_folders_and_zip_files(tmp_path: Path, counts: np.ndarray) -> None:
    write(tmp_path / "other.zarr", counts, axes=None)
    (tmp_path / "folder").mkdir()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("readme", "nothing")
    (tmp_path / "b.zip").write_bytes(b"PK\x03\x04 and then nothing")
    for name in ("other.zarr", "folder", "a.zip", "b.zip"):
        assert not zarr_array.recognise(tmp_path / name)
    with pytest.raises(liso.FormatError, match="name its axes"):
        liso.read(tmp_path / "other.zarr")
    with pytest.raises(liso.FormatError, match="is a folder"):
        liso.read(tmp_path / "folder")


def test_without_the_library(
    tmp_path: Path, counts: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = write(tmp_path / "map.zarr", counts)
    monkeypatch.setitem(__import__("sys").modules, "zarr", None)
    assert recognise(path) == "zarr array"
    with pytest.raises(liso.FormatError, match=r'pip install "napari-liso\[zarr\]"'):
        liso.read(path)


def test_windows_mean_nothing_here(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "map.zarr", counts)
    with pytest.raises(ValueError, match="no mass axis"):
        liso.read(path, windows={"6Li": (5.9, 6.1)})


def test_outline(tmp_path: Path, counts: np.ndarray) -> None:
    text = "\n".join(zarr_array.outline(ome(tmp_path / "map.zarr", counts, 3)))
    assert "/: zarr 3 group" in text
    assert "/0: zarr 3 array, <u2 (2, 3, 5, 7)" in text


# --- stores that must be refused, or said to be incomplete ----------------------


def test_chunks_that_are_missing_are_said(tmp_path: Path, counts: np.ndarray) -> None:
    path = write(tmp_path / "map.zarr", counts)
    (path / "c/1/1/0/0").unlink()
    acq = liso.read(path)
    expected = counts.copy()
    expected[1, 2:, :3] = 0
    np.testing.assert_array_equal(acq.counts, expected)
    assert any("1 of 8 chunks" in w and "incomplete" in w for w in acq.metadata["warnings"])


def test_empty_chunks_that_zarr_leaves_out(tmp_path: Path, counts: np.ndarray) -> None:
    counts[0] = 0
    acq = liso.read(write(tmp_path / "map.zarr", counts))
    np.testing.assert_array_equal(acq.counts, counts)
    assert acq.metadata["chunks_missing"] == 4


@pytest.mark.parametrize("change", ["remove", "write", "all"])
def test_a_store_that_changes_after_opening(
    tmp_path: Path, counts: np.ndarray, change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_chunked, "PLAIN_BYTES", 10)
    path = write(tmp_path / "map.zarr", counts, chunks=(1, 1, *counts.shape[2:]))
    acq = liso.read(path)
    chunk = max(one for one in path.rglob("*") if one.is_file() and one.name != "zarr.json")
    if change == "remove":
        chunk.unlink()  # zarr would read zeros
    elif change == "write":
        chunk.write_bytes(chunk.read_bytes() + b"\0")
    else:
        shutil.rmtree(path)
    with pytest.raises(liso.FormatError, match=r"has changed|any more"):
        acq.counts[-1, -1]
    with pytest.raises(liso.FormatError, match=r"has changed|any more"):
        acq[acq.channels[0]]


def meta(path: Path, **changes: Any) -> None:
    """Change the metadata of version 2."""
    file = path / ".zarray"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


def attributes(path: Path, **changes: Any) -> None:
    file = path / ".zattrs"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


BOMB = zlib.compress(bytes(2**26))
PICKLE = [{"id": "pickle", "protocol": 5}]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: shutil.rmtree(p / "0"), "none of its chunks|lacks|beyond"),
        (lambda p: meta(p, fill_value=7) or (p / "0/0/0/0").unlink(), "is no count"),
        (lambda p: meta(p, fill_value=None) or (p / "0/0/0/0").unlink(), "is no count"),
        (lambda p: meta(p, shape=[2, 3, 65536, 65536]), "65536 x 65536"),
        (lambda p: meta(p, shape=[2, 10**30, 5, 7]), "frames"),
        (lambda p: meta(p, shape=[2, 10**6, 5, 7]), "more than can be true"),
        (lambda p: meta(p, shape=[2, 2, 5, 7]), "beyond its shape"),
        (lambda p: meta(p, shape=[2, 3, 5]), "has the shape"),
        (lambda p: meta(p, shape=[2, 3, 5, -7]), "has the shape"),
        (lambda p: meta(p, shape=[2, 3, 5, 7.5]), "has the shape"),
        (lambda p: meta(p, chunks=[1, 2, 3, 0]), "has the shape"),
        (lambda p: meta(p, chunks=[1, 2, 2**14, 2**14]), "too large to inflate|beyond|damaged"),
        (lambda p: meta(p, chunks=[1, 2, 3, 10**40]), "too large to inflate"),
        (lambda p: meta(p, dtype="|O", filters=PICKLE), "no counts"),
        (lambda p: meta(p, dtype=[["a", "|O"]]), "no counts"),
        (lambda p: meta(p, filters=PICKLE), "packed by pickle"),
        (lambda p: meta(p, filters=5), "packed by 5"),
        (lambda p: meta(p, compressor={"id": ["zlib"]}), "packed by"),
        (lambda p: attributes(p, pixel_size_um=10**400), "pixel_size_um"),
        (lambda p: attributes(p, pixel_size_um=1e-320), "pixel_size_um"),
        (lambda p: attributes(p, masses_u=[10**400, 7]), "masses_u"),
        (lambda p: attributes(p, polarity=[]), "polarity"),
        (lambda p: meta(p, compressor={"id": "json2"}), "packed by json2"),
        (lambda p: meta(p, dtype="<u4"), "damaged"),
        (lambda p: (p / ".zarray").write_text("{"), "not JSON"),
        (lambda p: (p / ".zarray").write_text("[" * 10**5), "not JSON"),
        (lambda p: (p / ".zarray").write_text("[1]"), "no metadata"),
        (lambda p: (p / "0/0/0/0").write_bytes(b""), "damaged"),
        (lambda p: (p / "0/0/0/0").write_bytes(b"x" * 20), "damaged"),
        (lambda p: (p / "0/0/0/0").write_bytes(BOMB), "damaged"),
        (lambda p: (p / "0/0/0/0").write_bytes(bytes(10**6)), "more than it can"),
    ],
)
def test_damaged_metadata_and_chunks(
    tmp_path: Path, counts: np.ndarray, change: Any, message: str
) -> None:
    keys = {"name": "v2", "separator": "/"}
    packing = {"id": "zlib", "level": 1}
    path = write(tmp_path / "map.zarr", counts, 2, chunk_key_encoding=keys, compressors=packing)
    zarr_array.validate(path)
    change(path)
    if message.startswith("none of"):
        shutil.rmtree(path / "1")
    with pytest.raises(liso.FormatError, match=message) as caught:
        liso.read(path)
    assert caught.value.path == str(path)


def meta_3(path: Path, **changes: Any) -> None:
    file = path / "zarr.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"codecs": [{"name": "vlen-utf8"}]}, "packed by vlen-utf8"),
        ({"codecs": [{"name": "numcodecs.pickle"}]}, "packed by numcodecs.pickle"),
        ({"codecs": [{"name": "sharding_indexed"}]}, "does not say how it is packed"),
        ({"codecs": 3}, "does not say"),
        ({"data_type": "string"}, "no counts"),
        ({"data_type": {"name": "structured"}}, "no counts"),
        ({"chunk_grid": {"name": "rectangular"}}, "has the shape"),
        ({"storage_transformers": [{"name": "remote"}]}, "in a way that is not read"),
        ({"chunk_key_encoding": {"name": "https"}}, "in a way that is not read"),
    ],
)
def test_metadata_of_version_3(
    tmp_path: Path, counts: np.ndarray, changes: dict[str, Any], message: str
) -> None:
    path = write(tmp_path / "map.zarr", counts)
    meta_3(path, **changes)
    with pytest.raises(liso.FormatError, match=message):
        liso.read(path)


@pytest.mark.parametrize("what", ["chunk", "folder", "metadata", "inside"])
def test_links_are_not_followed(tmp_path: Path, counts: np.ndarray, what: str) -> None:
    secret = write(tmp_path / "secret.zarr", counts + 1)
    path = write(tmp_path / "map.zarr", counts)
    place = {"chunk": "c/0/0/0/0", "folder": "c/0", "metadata": "zarr.json", "inside": "c/0/0/0/0"}
    target = path / place[what]
    if target.is_dir():
        shutil.rmtree(target)
    else:
        target.unlink()
    target.symlink_to((path / "c/1/0/0/0") if what == "inside" else secret / place[what])
    with pytest.raises(liso.FormatError, match="link"):
        liso.read(path)
    # The store itself may be reached by a link.
    shutil.rmtree(path)
    path.symlink_to(secret)
    np.testing.assert_array_equal(liso.read(path).counts, counts + 1)


def test_zip_files_that_lie(tmp_path: Path, counts: np.ndarray) -> None:
    whole = write(tmp_path / "whole.zarr.zip", counts)
    content = whole.read_bytes()
    cut = tmp_path / "cut.zarr.zip"
    for size in np.linspace(4, len(content) - 1, 8).astype(int):
        cut.write_bytes(content[:size])
        with pytest.raises(liso.FormatError):
            liso.read(cut)
    with zipfile.ZipFile(whole) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    bomb = tmp_path / "bomb.zarr.zip"
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, bytes(2**27) if name.endswith("c/0/0/0/0") else data)
    with pytest.raises(liso.FormatError, match="more than it can"):
        liso.read(bomb)
    large = tmp_path / "large.zarr.zip"
    with zipfile.ZipFile(large, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("zarr.json", b" " * 2**25)
    with pytest.raises(liso.FormatError, match="larger than metadata"):
        liso.read(large)


def test_huge_and_nearly_empty(tmp_path: Path) -> None:
    """What is not stored is neither looked at nor allocated."""
    path = tmp_path / "map.zarr"
    made = zarr.create_array(
        str(path), shape=(200, 2048, 4096), dtype="u4", chunks=(1, 1024, 1024),
        attributes={"axes": "fyx"},
    )  # fmt: skip
    for frame in range(8):
        made[frame, :9, :9] = 2
    acq = liso.read(path)
    assert acq.counts.nbytes > 2**32
    np.testing.assert_array_equal(acq.counts[0, 3, :9, :9], 2)
    assert acq.counts[0, 3].sum() == 162


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    data = (np.random.default_rng(3).poisson(2.0, SHAPE) + 1).astype(np.uint16)
    folder = tmp_path_factory.mktemp("zarr")
    write(folder / "a.zarr", data, 2, attributes={"channels": ["6Li", "7Li"]})
    write(folder / "a.zarr.zip", data)
    return folder


# In this process, so that what fails is seen; libraries for chunks are bounded by their sizes.
@settings(fuzz)
@given(st.data())
def test_damage(tmp_path: Path, small: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.zarr"
    shutil.rmtree(path, ignore_errors=True)
    shutil.copytree(small / "a.zarr", path)
    files = sorted(f.relative_to(path).as_posix() for f in path.rglob("*") if f.is_file())
    chosen = data.draw(st.sampled_from([".zarray", ".zattrs", *files]))
    (path / chosen).write_bytes(data.draw(damage((path / chosen).read_bytes())))
    outcome(zarr_array.read, path)


@settings(fuzz, max_examples=max(20, EXAMPLES // 2))
@given(st.data())
def test_damaged_zip(tmp_path: Path, small: Path, data: st.DataObject) -> None:
    path = tmp_path / "a.zarr.zip"
    path.write_bytes(data.draw(damage((small / "a.zarr.zip").read_bytes())))
    outcome(zarr_array.read, path)
