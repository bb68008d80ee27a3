"""ITA files that are cut, damaged or lie, and damage of any kind."""

from __future__ import annotations

import zlib
from pathlib import Path

import iontof_tree_writer as w
import numpy as np
import pytest
from hostile import EXAMPLES, assert_cut_is_noticed, bounded, damage, fuzz, outcome
from hypothesis import given
from hypothesis import strategies as st
from ita_example import CHANNELS, HEIGHT, SCANS, WIDTH, cube, spectrum, tree, without_size

from napari_liso.errors import FormatError
from napari_liso.readers.iontof import tree as iontof_tree


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "images.ita"


def warned(path: Path, *words: str) -> bool:
    texts = iontof_tree.read(path).metadata["warnings"]
    return any(all(word in text for word in words) for text in texts)


def test_a_scan_that_is_missing(path: Path) -> None:
    stack = w.image_stack(cube(), None)
    (reduced,) = stack.content
    assert isinstance(reduced, w.Folder)
    scans = reduced.content[0]
    assert isinstance(scans, w.Folder)
    image = scans.content[6]
    assert isinstance(image, w.Folder)
    del image.content[3]
    tree(path, stack)
    with pytest.raises(FormatError, match=r"incomplete: scan 3.*6Li"):
        iontof_tree.read(path)


def test_fewer_scans_than_stated(path: Path) -> None:
    counts = cube()[:, :3]
    tree(path, without_size(w.image_stack(counts, None)))
    assert warned(path, "incomplete", "5 scans", "3 are")


def test_scans_that_do_not_add_up(path: Path) -> None:
    sums = cube().sum(axis=1)
    sums[2] += 1
    tree(path, w.image_stack(cube(), sums))
    assert warned(path, "6Li+", str(int(sums[2].sum())))
    w.ita(path, cube())
    assert not warned(path, "add up")


def test_drift_in_the_file_is_told(path: Path) -> None:
    for shift, told in ((0, False), (-4, True)):
        stack = w.image_stack(cube(), None)
        (reduced,) = stack.content
        assert isinstance(reduced, w.Folder)
        scans = reduced.content[0]
        assert isinstance(scans, w.Folder)
        raw = np.full((SCANS, 2), shift, "<i4").tobytes()
        leaf = w.Leaf("ImageStack.ShiftCoordinates", raw, packed=True)
        scans.content.append(w.Folder("ShiftCoordinates", [leaf]))
        tree(path, stack)
        assert warned(path, "drift", "4 pixels") == told


@pytest.mark.parametrize("size", [0, 4 * HEIGHT * WIDTH - 1, 4 * HEIGHT * WIDTH + 1, None])
@pytest.mark.parametrize("kind", [0, 0x80])
def test_images_of_another_size(path: Path, size: int | None, kind: int) -> None:
    stack = w.image_stack(cube(), None)
    (reduced,) = stack.content
    assert isinstance(reduced, w.Folder)
    image = reduced.content[0].content[5].content[2]  # type: ignore[union-attr]
    assert isinstance(image, w.Leaf)
    image.value = w.bomb(2**30) if size is None else zlib.compress(bytes(size))
    image.kind = kind
    tree(path, stack)
    with bounded(seconds=3, memory=2**28):
        found = outcome(iontof_tree.read, path)
    assert isinstance(found, FormatError)
    assert "that it should" in found.reason or "were expected" in found.reason


def test_one_image_for_two_scans(path: Path) -> None:
    stack = w.image_stack(cube(), None)
    (reduced,) = stack.content
    assert isinstance(reduced, w.Folder)
    images = reduced.content[0].content[5].content  # type: ignore[union-attr]
    original = images[1]
    content_of = w.Folder("Image", images, 1)
    assert isinstance(original, w.Leaf)
    tree(path, stack)
    content = bytearray(path.read_bytes())
    # The second entry of this list is made to point at the block of the first.
    first = content.index(w.u64(original.at))
    second = content.index(w.u64(images[2].at))
    content[second : second + 8] = content[first : first + 8]
    path.write_bytes(content)
    assert len(content_of.content) == SCANS
    with pytest.raises(FormatError, match="twice"):
        iontof_tree.read(path)


@pytest.mark.parametrize("size", [0, 1, 2**16, 2**31 - 1])
def test_sizes_that_lie(path: Path, size: int) -> None:
    w.ita(path, cube())
    content = path.read_bytes()
    for axis in (b"Image.XSize", b"Image.YSize"):
        place = content.index(axis + (b"\7" if axis[6:7] == b"X" else b"\6") + bytes(3)) + len(
            axis
        )
        content = content[:place] + w.u32(size) + content[place + 4 :]
    path.write_bytes(content)
    found = outcome(iontof_tree.read, path)
    assert isinstance(found, FormatError)


def test_nothing_that_can_be_read(path: Path) -> None:
    w.write(path, [w.settings(1, 8), w.Leaf("x", b"")])
    with pytest.raises(FormatError, match="neither raw events nor images nor a spectrum"):
        iontof_tree.read(path)


def test_every_cut_is_noticed(path: Path) -> None:
    offsets = w.ita(path, cube(), spectrum())
    whole = iontof_tree.read(path)
    content = path.read_bytes()
    rng = np.random.default_rng(7)
    for cut in [*offsets[1::2], *rng.integers(0, len(content), 40)]:
        path.write_bytes(content[:cut])
        assert_cut_is_noticed(iontof_tree.read, path, whole, int(cut))


CONTENT: dict[str, bytes] = {}


@fuzz
@given(data=st.data(), kind=st.sampled_from(["ita", "itax", "serial"]))
def test_fuzz(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, kind: str) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzz" / "images.ita"
    if not CONTENT:
        path.parent.mkdir(exist_ok=True)
        w.ita(path, cube(), spectrum())
        CONTENT["ita"] = path.read_bytes()
        w.surfacelab7(path, spectrum(), packed=True, pickle=b"\x80\x04N.")
        CONTENT["itax"] = path.read_bytes()
        tree(path, w.serial_images(cube(), [f"{{SERIAL-{n}}}" for n in range(CHANNELS)]))
        CONTENT["serial"] = path.read_bytes()
    path.write_bytes(data.draw(damage(CONTENT[kind])))
    outcome(iontof_tree.read, path)


def test_fuzz_flips_never_change_counts_in_silence(path: Path) -> None:
    """Images carry check sums, their sums are stored beside them."""
    w.ita(path, cube()[:, :2])
    whole = path.read_bytes()
    expected = iontof_tree.read(path)
    rng = np.random.default_rng(9)
    for place in rng.integers(8, len(whole), 2 * EXAMPLES):
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        found = outcome(iontof_tree.read, path)
        if isinstance(found, FormatError) or np.array_equal(found.counts, expected.counts):
            continue
        assert len(found.metadata["warnings"]) > len(expected.metadata["warnings"])
