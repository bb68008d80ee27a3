"""The block tree of ION-TOF's files: what is there is found, what lies is refused."""

from __future__ import annotations

import os
import pickle
import struct
import zlib
from pathlib import Path

import iontof_tree_writer as w
import numpy as np
import pytest
from hostile import bounded

from napari_liso.errors import FormatError
from napari_liso.readers.iontof import tree as iontof_tree
from napari_liso.readers.iontof.block_tree import BlockTree, Truncated
from napari_liso.readers.iontof.block_values import inflate_pieces, parse_property, value_text

SOURCE = Path(iontof_tree.__file__).parents[1]  # all readers


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tree.ita"


def patched(path: Path, at: int, value: bytes) -> Path:
    content = bytearray(path.read_bytes())
    content[at : at + len(value)] = value
    path.write_bytes(content)
    return path


def simple(path: Path) -> list[int]:
    """Root (0), folder a in three parts (1-3), its leaf x (4) and blocks b (5-), leaf y (last)."""
    return w.write(
        path,
        [
            w.Folder(
                "a",
                [
                    w.Leaf("x", w.u32(7)),
                    w.Folder("b", [w.Leaf("n", w.u32(0))], 4),
                    *(w.Leaf("b", w.f64(n / 2), n) for n in range(4)),
                ],
                part=2,
            ),
            w.Leaf("y", bytes(1000), packed=True),
        ],
    )


def test_paths(path: Path) -> None:
    simple(path)
    with BlockTree(path) as tree:
        assert tree.integer("a/x") == 7
        assert tree.integer("*/*") == 7
        assert tree.number("a/b[3]") == 1.5
        assert tree.number("a/b") == 0.0, "a bare name is number 0"
        assert tree.integer("a/b[4]/n") == 0
        for missing in ("b", "a/b[9]", "a/x/more", "y/z", "", "a/"):
            assert tree.find(missing) is None
        with pytest.raises(FormatError, match="too deep"):
            tree.find("a/" * 100)


def test_a_directory_in_parts_is_one(path: Path) -> None:
    simple(path)
    with BlockTree(path) as tree:
        folder = tree.find("a")
        assert folder is not None
        children = tree.children(folder)
        assert [children.name(n) for n in range(len(children))] == ["x", *"bbbbb"]
        assert [children.id(int(n)) for n in children.places("b")] == [4, 0, 1, 2, 3]
        assert children.find("b", 7) is None


def test_values_of_other_kinds_are_absent(path: Path) -> None:
    w.write(path, [w.Leaf("five", b"12345"), w.Leaf("nan", w.f64(np.nan)), w.Folder("d", [])])
    with BlockTree(path) as tree:
        assert tree.integer("five") is None
        assert tree.number("five") is None
        assert tree.number("nan") is None
        assert tree.integer("d") is None
        assert tree.setting("five") is None
        assert tree.setting("d") is None
        assert tree.text("five") == "12345"


def test_text() -> None:
    assert value_text("リチウム".encode("utf-16-le"), wide=True) == "リチウム"
    assert value_text(b"abcd") == "abcd"
    assert value_text("abcd".encode("utf-16-le")) == "abcd"
    assert value_text(b"abc", wide=True) == "abc"


def test_properties() -> None:
    found = parse_property(w.prop("A.B", -3, 2.5, "2.5 µm").value)
    assert found is not None
    assert (found.key, found.integer, found.number, found.text) == ("A.B", -3, 2.5, "2.5 µm")
    value = w.prop("A.B", -3, 2.5, "2.5 µm").value
    for cut in range(len(value)):
        assert parse_property(value[:cut]) is None
    assert parse_property(bytes(16) + b"\xff" * 4 + bytes(60)) is None


def test_content_has_the_size_it_should(path: Path) -> None:
    w.write(path, [w.Leaf("p", bytes(400), packed=True), w.Leaf("raw", bytes(400))])
    with BlockTree(path) as tree:
        for name in ("p", "raw"):
            block = tree.find(name)
            assert block is not None
            assert tree.content(block, 400) == bytes(400)
        packed = tree.find("p")
        assert packed is not None
        with pytest.raises(FormatError, match="more than the 399"):
            tree.content(packed, 399)
        with pytest.raises(FormatError, match="400 of the 401"):
            tree.content(packed, 401)
        with pytest.raises(FormatError, match="cannot be inflated"):
            tree.content(block, 401)


def test_a_bomb_is_not_inflated(path: Path) -> None:
    bomb = w.bomb(2**30)
    assert len(bomb) < 2**20 + 2**17
    leaf = w.Leaf("p", b"", packed=True)
    leaf.value = bomb
    w.write(path, [leaf])
    with bounded(seconds=2, memory=2**27), BlockTree(path) as tree:
        block = tree.find("p")
        assert block is not None
        with pytest.raises(FormatError, match="more than the 1048576"):
            tree.content(block, 2**20)
        with pytest.raises(ValueError, match="inflate to more than"):
            list(inflate_pieces(bomb, 2**22, 2**24))


@pytest.mark.parametrize("size", [0, 1, 4096, 2**21 + 5])
@pytest.mark.parametrize("piece", [4096, 2**20])
def test_pieces(size: int, piece: int) -> None:
    raw = np.random.default_rng(size).integers(0, 4, size, np.uint8).tobytes()
    packed = zlib.compress(raw + os.urandom(0), 1)
    found = list(inflate_pieces(packed, piece, size))
    assert b"".join(found) == raw
    assert max(map(len, found), default=0) <= piece
    with pytest.raises(ValueError, match="cut short"):
        list(inflate_pieces(packed[:-1], piece, size))
    with pytest.raises(ValueError, match="damaged"):
        list(inflate_pieces(b"no stream of zlib", piece, size))


# -- headers that lie ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "field", "value", "match"),
    [
        (4, 0, b"\x07", "no block where one should begin"),
        (4, 1, w.u32(26), "no block where one should begin"),
        (4, 5, w.u32(2**32 - 1), "no block where one should begin"),
        (4, 5, w.u32(1000), "truncated"),
        (4, 17, w.u32(2**32 - 1), "truncated"),
        (4, 25, b"z", "here should be the block 'x'"),
        (1, 13, w.u32(2**32 - 1), "too large"),
        (1, 13, w.u32(3), "declares 3 entries|names in the directory"),
        (1, 17, w.u32(10), "declares 2 entries"),
    ],
)
def test_lying_headers(path: Path, block: int, field: int, value: bytes, match: str) -> None:
    offsets = simple(path)
    patched(path, offsets[block] + field, value)
    with BlockTree(path) as tree, pytest.raises(FormatError, match=match):
        tree.find("a/x")


@pytest.mark.parametrize(
    ("field", "value", "match"),
    [
        (1, w.u32(2**32 - 1), "names in the directory"),
        (5, w.u32(2**32 - 1), "names in the directory"),
        (25, w.u64(2**64 - 1), "truncated"),
        (25, w.u64(2**40), "truncated"),
        (25, w.u64(0), "truncated"),
        (25, w.u64(9), "no block"),
    ],
)
def test_lying_entries(path: Path, field: int, value: bytes, match: str) -> None:
    offsets = simple(path)
    entry = offsets[1] + 25 + 1 + 41
    patched(path, entry + field, value)
    with BlockTree(path) as tree, pytest.raises(FormatError, match=match):
        tree.find("a/x")


def next_of(offset: int, name: str) -> int:
    """Where the offset of the next part of a directory is."""
    return offset + 25 + len(name) + 33


@pytest.mark.parametrize(("part", "back_to"), [(1, 1), (2, 1), (2, 2), (3, 2)])
def test_continued_in_itself(path: Path, part: int, back_to: int) -> None:
    offsets = simple(path)
    patched(path, next_of(offsets[part], "a"), w.u64(offsets[back_to]))
    with bounded(seconds=2), BlockTree(path) as tree:
        with pytest.raises(FormatError, match="continued in itself"):
            tree.find("a/b")
        assert any("continued in itself" in line for line in iontof_tree.outline(path))


def test_continued_in_a_leaf_or_nowhere(path: Path) -> None:
    offsets = simple(path)
    patched(path, next_of(offsets[1], "a"), w.u64(offsets[-1]))
    with BlockTree(path) as tree, pytest.raises(FormatError, match="continued in a leaf"):
        tree.find("a/b")
    patched(path, next_of(offsets[1], "a"), w.u64(2**50))
    with BlockTree(path) as tree, pytest.raises(Truncated):
        tree.find("a/b")


def test_forgiving_takes_what_is_cut_off_as_absent(path: Path) -> None:
    offsets = simple(path)
    path.write_bytes(path.read_bytes()[: offsets[-1] + 3])
    with BlockTree(path, forgiving=True) as tree:
        assert tree.find("y") is None
        assert "truncated" in str(tree.missing)
        assert tree.integer("a/x") == 7


def test_a_directory_in_itself(path: Path) -> None:
    offsets = simple(path)
    # The entry of folder b[4] leads back to its own directory, whose name is changed to fit.
    content = bytearray(path.read_bytes())
    content[offsets[1] + 25] = ord("b")
    entry = offsets[1] + 26 + 41 + 33
    content[entry + 25 : entry + 33] = w.u64(offsets[1])
    root_names = content.index(b"ay", offsets[0])
    content[root_names] = ord("b")
    path.write_bytes(content)
    with bounded(seconds=5), BlockTree(path) as tree:
        assert tree.integer("b/b[4]/b[4]/b[4]/x") == 7
        assert any("contains itself" in line for line in iontof_tree.outline(path))


def test_too_many_children(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    w.write(path, [w.Folder("d", [w.Leaf("x", b"", n) for n in range(50)], part=1)])
    with BlockTree(path) as tree:
        assert tree.find("d/x[49]") is not None
    for limit in ("_MAX_CHILDREN", "_MAX_PARTS"):
        with monkeypatch.context() as patch, BlockTree(path) as tree:
            patch.setattr(f"napari_liso.readers.iontof.block_tree.{limit}", 20)
            with pytest.raises(FormatError, match="too large"):
                tree.find("d/x")
    w.write(path, [w.Folder("d", [w.Leaf(f"x{n}", b"") for n in range(50)])])
    monkeypatch.setattr("napari_liso.readers.iontof.block_tree._MAX_NAMES", 20)
    with BlockTree(path) as tree, pytest.raises(FormatError, match="too many names"):
        tree.find("d/x0")


def test_other_files(path: Path) -> None:
    path.write_bytes(b"ITStrF02" + bytes(100))
    assert not iontof_tree.recognise(path)
    with pytest.raises(FormatError, match="ITStrF01"):
        BlockTree(path)
    path.write_bytes(b"ITStrF01")
    assert iontof_tree.recognise(path)
    with pytest.raises(FormatError, match="truncated"):
        iontof_tree.read(path)


def test_names_in_either_encoding(path: Path) -> None:
    w.write(path, [w.Leaf("µ", w.u32(1))])
    with BlockTree(path) as tree:
        assert tree.integer("µ") == 1
    content = path.read_bytes().replace("µ".encode(), b"\xb5\xe9")
    path.write_bytes(content)
    with BlockTree(path) as tree:
        assert tree.integer("µé") == 1


# -- the outline ----------------------------------------------------------------------------


def test_outline(path: Path) -> None:
    w.write(
        path,
        [
            w.settings(4, 8),
            w.Folder("d", [w.Leaf("text", w.utf16("Bonjour")), w.Leaf("k0", w.f64(-361.5))]),
            w.Leaf("scan", w.u32(12)),
            w.Leaf("image", bytes(4000), packed=True),
            w.Folder("many", [w.Leaf("m", b"", n) for n in range(500)]),
            w.Leaf("pickle", pickle.dumps("secret")),
            w.Leaf("bad\x1b[31m", b"\1\2\3"),
        ],
    )
    text = "\n".join(iontof_tree.outline(path))
    for part in (
        "Registration.Raster.FieldOfView = 0, 5e-05, '50 um'",
        "'Bonjour'",
        "k0[0] leaf, 8 bytes",
        "-361.5",
        "scan[0] leaf, 4 bytes",
        ": 12",
        "image[0] zlib leaf",
        "many[0] directory, 500 entries",
        "and 497 more of m",
        "not looked at",
        "01 02 03",
    ):
        assert part in text
    assert "secret" not in text
    assert "\x1b" not in text


def test_outline_is_bounded(path: Path) -> None:
    deep: w.Leaf | w.Folder = w.Leaf("x", b"")
    for _ in range(60):
        deep = w.Folder("d", [deep])
    wide = [w.Folder(f"n{n}", [w.Leaf(f"m{m}", b"") for m in range(100)]) for n in range(190)]
    w.write(path, [deep, *wide])
    with bounded(seconds=8):
        lines = list(iontof_tree.outline(path))
    assert len(lines) <= 3001
    assert any("deeper" in line for line in lines)


def test_outline_of_every_cut(path: Path) -> None:
    offsets = simple(path)
    whole = path.read_bytes()
    for cut in [*offsets[1:], *range(8, len(whole), 37)]:
        path.write_bytes(whole[:cut])
        lines = list(iontof_tree.outline(path))
        assert lines
        assert any("!" in line for line in lines)


def test_outline_without_a_root_goes_block_by_block(path: Path) -> None:
    offsets = simple(path)
    patched(path, offsets[0] + 25 + 4 + 41 + 1, w.u32(2**31))
    text = "\n".join(iontof_tree.outline(path))
    assert "one behind the other" in text
    assert "x[0] leaf, 4 bytes" in text
    assert "y[0] zlib leaf" in text


def test_outline_after_any_flip(path: Path) -> None:
    simple(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(3)
    with bounded():
        for place in rng.integers(8, len(whole), 400):
            damaged = bytearray(whole)
            damaged[place] ^= 1 << int(rng.integers(8))
            path.write_bytes(damaged)
            assert len(list(iontof_tree.outline(path))) < 500


# -- nothing runs -----------------------------------------------------------------------------


class Payload:
    """Touches a file when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[object, ...]]:
        return (open, (str(self.marker), "w"))


def test_a_payload_does_not_run(tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    payload = pickle.dumps(Payload(marker))
    pickle.loads(payload).close()
    assert marker.exists(), "the payload would run"
    marker.unlink()
    path = tmp_path / "crafted.itax"
    w.surfacelab7(path, np.ones(10), packed=False, pickle=payload)
    assert iontof_tree.read(path).counts.sum() == 10
    assert "not looked at" in "\n".join(iontof_tree.outline(path))
    w.surfacelab7(path, None, packed=False, pickle=payload)
    with pytest.raises(FormatError, match="BIF6"):
        iontof_tree.read(path)
    assert not marker.exists()


def test_nothing_here_could_run_it() -> None:
    modules = list(SOURCE.rglob("*.py"))
    assert len(modules) > 50
    for module in modules:
        text = module.read_text()
        for word in ("import pickle", "marshal", "eval(", "exec(", "__import__", "np.load"):
            assert word not in text, f"{module.name}: {word}"


def test_headers_are_as_published(path: Path) -> None:
    """By hand: type, 25, length of the name, number, entries, length twice, name, value."""
    w.write(path, [w.Leaf("ab", b"xyz", 5)])
    leaf = struct.pack("<BIIIIII", 0, 25, 2, 5, 0, 3, 3) + b"abxyz"
    assert path.read_bytes().endswith(leaf)
