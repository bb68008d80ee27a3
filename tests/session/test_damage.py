"""Damaged, newer and hostile files get a clear error, in bounded memory, and are not touched."""

from __future__ import annotations

import hashlib
import io
import json
import random
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.session import Session

from .sessions import full_session, require_identical

_COMMENT = b"napari-liso session sha256:"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("whole") / "a.liso"
    return liso.save(path, full_session()).read_bytes()


def refused(path: Path, content: bytes) -> liso.FormatError:
    """Load what must not be loaded; return the error."""
    path.write_bytes(content)
    with pytest.raises(liso.FormatError) as caught:
        liso.load(path)
    assert path.read_bytes() == content
    return caught.value


def rewritten(
    whole: bytes,
    change: Callable[[dict[str, Any]], None] = lambda head: None,
    members: dict[str, bytes] | None = None,
    extra: tuple[tuple[str, bytes], ...] = (),
) -> bytes:
    """Return the file with another description or members, all its checksums made to fit."""
    made = io.BytesIO()
    members = members or {}
    with zipfile.ZipFile(io.BytesIO(whole)) as old, zipfile.ZipFile(made, "w", 8) as new:
        head = json.loads(old.read("session.json"))
        change(head)
        text = json.dumps(head).encode()
        for name in old.namelist():
            if name != "session.json":
                new.writestr(name, members.get(name, old.read(name)))
        new.writestr("session.json", text)
        for name, content in extra:
            new.writestr(name, content)
        new.comment = _COMMENT + hashlib.sha256(text).hexdigest().encode()
    return made.getvalue()


def test_the_rewriting_of_these_tests_is_no_damage(tmp_path: Path, whole: bytes) -> None:
    path = tmp_path / "a.liso"
    path.write_bytes(rewritten(whole))
    require_identical(full_session(), liso.load(path))


def test_a_newer_version_is_named(tmp_path: Path, whole: bytes) -> None:
    def newer(head: dict[str, Any]) -> None:
        head |= {"version": 7, "software": "napari-liso 9.0", "session": {"other": 1}}

    error = refused(tmp_path / "a.liso", rewritten(whole, newer))
    assert "version 7" in error.reason
    assert "napari-liso 9.0" in error.reason
    assert "Update" in error.reason


def test_a_flipped_bit_never_gives_another_session(tmp_path: Path, whole: bytes) -> None:
    truth = full_session()
    rng = random.Random(5)
    refusals = 0
    for _ in range(150):
        damaged = bytearray(whole)
        damaged[rng.randrange(len(whole))] ^= 1 << rng.randrange(8)
        path = tmp_path / "a.liso"
        path.write_bytes(damaged)
        try:
            found = liso.load(path)
        except liso.FormatError:
            refusals += 1
        else:  # it hit what says nothing, such as the time of a member
            require_identical(truth, found)
    assert refusals > 100


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path, whole: bytes) -> None:
    rng = random.Random(6)
    for size in [0, 1, 30, 57, len(whole) - 1, *(rng.randrange(len(whole)) for _ in range(30))]:
        refused(tmp_path / "a.liso", whole[:size])


def test_zeros_where_the_disk_lost_a_block_are_refused(tmp_path: Path, whole: bytes) -> None:
    start = len(whole) // 2
    error = refused(tmp_path / "a.liso", whole[:start] + bytes(4096) + whole[start + 4096 :])
    assert "damaged" in error.reason


@pytest.mark.parametrize(
    "content", [b"", b"text", b"PK\x03\x04 not really", b"\x89HDF\r\n\x1a\n" + bytes(99)]
)
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    assert "no file of a session" in refused(tmp_path / "a.liso", content).reason


def test_another_zip_is_refused(tmp_path: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("a.txt", "a")
    assert "no session" in refused(tmp_path / "a.liso", made.getvalue()).reason


# --- files whose checksums are right, but not what they say ------------------------------------


def _array_with(whole: bytes, shape: list[int]) -> str:
    """Return the name of the first array of some shape."""
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        records = json.loads(archive.read("session.json"))["arrays"]
    return next(f"arrays/{i}.npy" for i, r in enumerate(records) if r["shape"] == shape)


def test_arrays_that_do_not_fit_together_are_refused(tmp_path: Path, whole: bytes) -> None:
    def smaller(head: dict[str, Any]) -> None:
        record = head["arrays"][number]
        record |= {"shape": [2, 2], "sha256": hashlib.sha256(content.tobytes()).hexdigest()}

    name = _array_with(whole, [40, 50])
    number = int(name[7:-4])
    with zipfile.ZipFile(io.BytesIO(whole)) as archive:
        dtype = json.loads(archive.read("session.json"))["arrays"][number]["dtype"]
    content = np.ones((2, 2), dtype)
    stream = io.BytesIO()
    np.lib.format.write_array(stream, content, version=(2, 0))
    file = rewritten(whole, smaller, {name: stream.getvalue()})
    assert "fit" in refused(tmp_path / "a.liso", file).reason


@pytest.mark.parametrize(
    "shape", [[2**39], [10**6, 10**6], [2**20, 2**20, 2**20], [-1], [1.5], ["a"], [True], 3]
)
def test_huge_and_absurd_arrays_take_no_memory(tmp_path: Path, whole: bytes, shape: Any) -> None:
    def claim(head: dict[str, Any]) -> None:
        head["arrays"][0]["shape"] = shape

    file = rewritten(whole, claim)
    tracemalloc.start()
    refused(tmp_path / "a.liso", file)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, whole: bytes) -> None:
    # 1.5 GB of zeros in 1.5 MB: what deflate can do, and what no session is
    def claim(head: dict[str, Any]) -> None:
        for record in head["arrays"][:3]:
            record |= {"shape": [2**29], "dtype": "|u1"}

    tracemalloc.start()
    reason = refused(tmp_path / "a.liso", rewritten(whole, claim)).reason
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert "bytes in a file of" in reason
    assert peak < 64 * 2**20


def test_a_description_that_is_a_bomb_is_refused(tmp_path: Path, whole: bytes) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", 8) as archive:
        archive.writestr("mimetype", b"application/x-napari-liso-session", 0)
        with archive.open("session.json", "w") as stream:
            for _ in range(70):
                stream.write(b" " * 2**20)
    tracemalloc.start()
    refused(tmp_path / "a.liso", made.getvalue())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 64 * 2**20


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/tmp/evil.txt", "arrays/../../x", "arrays/99.npy"]
)
def test_members_that_are_not_listed_are_refused(tmp_path: Path, whole: bytes, name: str) -> None:
    refused(tmp_path / "a.liso", rewritten(whole, extra=((name, b"x"),)))
    assert [one.name for one in tmp_path.iterdir()] == ["a.liso"]


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", ["session.json", "arrays/0.npy", "mimetype"])
def test_members_that_are_there_twice_are_refused(tmp_path: Path, whole: bytes, name: str) -> None:
    refused(tmp_path / "a.liso", rewritten(whole, extra=((name, b"{}"),)))


def test_pickles_are_not_opened(tmp_path: Path, whole: bytes) -> None:
    def as_objects(head: dict[str, Any]) -> None:
        head["arrays"][0]["dtype"] = "|O"

    stream = io.BytesIO()
    np.lib.format.write_array(stream, np.array([print], dtype=object), version=(2, 0))
    file = rewritten(whole, as_objects, {"arrays/0.npy": stream.getvalue()})
    refused(tmp_path / "a.liso", file)


@pytest.mark.parametrize(
    "session",
    [
        {"acquisition": {"$object": 99999}},
        {"acquisition": {"$object": -1}},
        {"grains": {"$array": 10**9}},
        {"grains": {"$array": "x"}},
        {"boundaries": 3},
        {"fits": {"a": None}},
        {"settings": []},
        {"unheard": 1},
        {"layers": {"$tuple": [1]}},
        {"settings": {"$unheard": 1}},
        {"settings": {"$small": ["O", [1], "00"]}},
        {"settings": {"$objects": ["<U500000000", [9], ["a"] * 9]}},
        [],
        None,
    ],
)
def test_descriptions_that_make_no_sense_are_refused(
    tmp_path: Path, whole: bytes, session: Any
) -> None:
    def other(head: dict[str, Any]) -> None:
        head["session"] = session

    refused(tmp_path / "a.liso", rewritten(whole, other))


@pytest.mark.parametrize(
    "packed",
    [
        {"type": "os.system", "fields": {}},
        {"type": "Stage", "fields": {"duration": -1.0}},
        {"type": "Stage", "fields": {"duration": 1.0, "more": 1}},
        {"type": "Boundaries", "fields": {}},
        {"type": "Faces", "fields": {}},
        {"type": "DataFrame"},
        {"type": "DataFrame", "index": {"name": None, "range": [0, 10**15, 1]}, "columns": []},
        {"type": "Experiment", "fields": {"stages": [{"$object": 0}]}},
        {},
        7,
    ],
)
def test_objects_that_make_no_sense_are_refused(tmp_path: Path, whole: bytes, packed: Any) -> None:
    def other(head: dict[str, Any]) -> None:
        head |= {"objects": [packed], "session": {"settings": {"a": {"$object": 0}}}}

    refused(tmp_path / "a.liso", rewritten(whole, other))


def test_deep_nesting_is_refused(tmp_path: Path, whole: bytes) -> None:
    made = io.BytesIO()
    text = b'{"a":' * 200_000
    with zipfile.ZipFile(made, "w", 8) as archive:
        archive.writestr("mimetype", b"application/x-napari-liso-session", 0)
        archive.writestr("session.json", text)
        archive.comment = _COMMENT + hashlib.sha256(text).hexdigest().encode()
    refused(tmp_path / "a.liso", made.getvalue())


def test_a_missing_file_is_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        liso.load(tmp_path / "none.liso")


def test_empty_session_is_not_confused_with_damage(tmp_path: Path) -> None:
    assert liso.load(liso.save(tmp_path / "a.liso", Session())).boundaries is None
