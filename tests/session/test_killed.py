"""Whatever happens in the middle of a save, the old file or the new one is there, whole."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.session import Session, replacing

from .sessions import full_session, require_identical


def small(seed: int) -> Session:
    rng = np.random.default_rng(seed)
    return Session(grains=rng.integers(0, 9, (300, 300)), settings={"which": seed})


@contextlib.contextmanager
def saving_process(path: Path, sessions: list[Session]) -> Iterator[int]:
    """A process that saves one session after the other, for ever."""
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            while True:
                for session in sessions:
                    liso.save(path, session)
        os._exit(1)
    yield pid


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_killed_at_any_time_leaves_a_whole_file(tmp_path: Path) -> None:
    path = tmp_path / "a.liso"
    sessions = [small(1), small(2)]
    liso.save(path, sessions[0])
    begin = time.perf_counter()
    liso.save(path, sessions[0])
    both = 2 * (time.perf_counter() - begin)
    rng = random.Random(1)
    seen: set[int] = set()
    tries = 0
    while tries < 40 or (seen != {1, 2} and tries < 300):
        tries += 1
        with saving_process(path, sessions) as pid:
            time.sleep(rng.uniform(0.0, 2 * both))  # twice: the machine has other work, too
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        found = liso.load(path)
        which = found.settings["which"]
        seen.add(which)
        require_identical(found, sessions[which - 1])
    assert seen == {1, 2}
    leftovers = [one.name for one in tmp_path.iterdir() if one != path]
    assert leftovers, "no kill hit a save: the test tests nothing"
    assert all(name.startswith(".a.liso.") for name in leftovers)


class Fault(Exception):
    pass


class Failing:
    """A file that fails, as a full disk does, after so many bytes."""

    def __init__(self, stream: Any, room: int) -> None:
        self._stream, self._room = stream, room

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        if size > self._room:
            self._stream.write(memoryview(content).cast("B")[: self._room])
            raise OSError(28, "No space left on device")
        self._room -= size
        return int(self._stream.write(content))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


def refuse(path: Path, session: Session, before: bytes, error: type[BaseException]) -> None:
    """Fail to save: the old file is as it was, and nothing lies beside it."""
    with pytest.raises(error):
        liso.save(path, session)
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]


def test_a_full_disk_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = liso.save(tmp_path / "a.liso", full_session(1))
    before = path.read_bytes()
    real = replacing.replace_whole
    for room in np.linspace(0, len(before) - 1, 25).astype(int).tolist():

        def failing(target: Path, write: Callable[[Any], None], room: int = room) -> Path:
            return real(target, lambda stream: write(Failing(stream, room)))

        monkeypatch.setattr("napari_liso.session.archive.replace_whole", failing)
        refuse(path, full_session(1), before, OSError)
    monkeypatch.undo()
    require_identical(full_session(1), liso.load(path))


@pytest.mark.parametrize("call", ["fsync", "replace"])
@pytest.mark.parametrize("error", [OSError, Fault, KeyboardInterrupt])
def test_a_fault_of_the_last_calls_leaves_the_old_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str, error: type[BaseException]
) -> None:
    path = liso.save(tmp_path / "a.liso", small(1))

    def fail(*args: Any) -> None:
        raise error

    monkeypatch.setattr(f"napari_liso.session.replacing.os.{call}", fail)
    refuse(path, small(2), path.read_bytes(), error)


def test_the_disk_has_the_file_before_it_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    for name in ("fsync", "replace"):
        real = getattr(os, name)

        def noted(*args: Any, name: str = name, real: Any = real) -> None:
            calls.append(name)
            real(*args)

        monkeypatch.setattr(f"napari_liso.session.replacing.os.{name}", noted)
    liso.save(tmp_path / "a.liso", small(1))
    assert calls[:2] == ["fsync", "replace"]


def test_what_killed_programs_left_is_taken_away_later(tmp_path: Path) -> None:
    path = tmp_path / "a.liso"
    old, new, other = (
        tmp_path / name for name in (".a.liso.1.part", ".a.liso.2.part", ".b.liso.1.part")
    )
    for one in (old, new, other):
        one.write_bytes(b"x")
    for one in (old, other):
        os.utime(one, (time.time() - 7200,) * 2)
    liso.save(path, Session())
    assert not old.exists()
    assert new.exists()
    assert other.exists()


@pytest.mark.skipif(os.name == "nt", reason="links and modes of POSIX")
def test_links_are_followed_and_modes_kept(tmp_path: Path) -> None:
    path = liso.save(tmp_path / "a.liso", small(1))
    path.chmod(0o640)
    link = tmp_path / "link.liso"
    link.symlink_to(path)
    liso.save(link, small(2))
    assert link.is_symlink()
    assert path.stat().st_mode & 0o777 == 0o640
    assert liso.load(path).settings["which"] == 2
