"""Damages files and holds readers to their promise.

The promise: whatever the bytes, a reader raises `FormatError` or returns counts,
within `SECONDS` and `MEMORY`; and a file that was cut short is never read as if
it were whole.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError

SECONDS = 10
MEMORY = 2**30

#: Examples of each fuzz test in the suite; `make fuzz` raises it.
EXAMPLES = int(os.environ.get("LISO_FUZZ", "60"))

#: The same damage in every run, unless more than the suite's share is asked for.
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize=EXAMPLES <= 60,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

Reader = Callable[[Path], Acquisition]


class _Late(BaseException):
    """Not an `Exception`, so that no reader swallows it."""


@contextmanager
def bounded(seconds: float = SECONDS, memory: int = MEMORY) -> Iterator[None]:
    """Fail if the block takes longer, or allocates more, than it may."""

    def ring(signum: int, frame: object) -> None:
        raise _Late(f"took longer than {seconds} s")

    if not hasattr(signal, "setitimer"):
        yield  # Windows: the promise is kept on the systems that can measure it
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    used = _address_space()
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        if used is not None:
            resource.setrlimit(resource.RLIMIT_AS, (used + memory, hard))
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def _address_space() -> int | None:
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
    except OSError:
        return None  # macOS has no such file
    return pages * os.sysconf("SC_PAGE_SIZE")


def outcome(read: Reader, path: Path) -> Acquisition | FormatError:
    """Read within bounds; anything but counts or a `FormatError` is a failure.

    All counts are looked at, so that a lazy reader cannot hide behind laziness.
    """
    with bounded():
        try:
            acquisition = read(path)
            for channel in acquisition.channels:
                image = acquisition[channel]
                assert image.shape == tuple(acquisition.counts.shape[2:])
                assert image.dtype.kind == "f" or image.min(initial=0) >= 0
        except FormatError as error:
            found = error
        else:
            return acquisition
    assert Path(found.path).parent == path.parent
    assert found.reason
    return found


def assert_cut_is_noticed(read: Reader, path: Path, whole: Acquisition, cut: int) -> None:
    """A file cut at `cut` is refused, or equal to the whole, or says that it is incomplete."""
    found = outcome(read, path)
    if isinstance(found, FormatError):
        return
    same = found.counts.shape == whole.counts.shape and all(
        np.array_equal(found[name], whole[name]) for name in whole.channels
    )
    said = any(
        word in text for text in found.metadata["warnings"] for word in ("truncated", "incomplete")
    )
    assert same or said, f"cut at byte {cut}: other counts without a word"


def damage(content: bytes) -> st.SearchStrategy[bytes]:
    """Flip, overwrite, remove, repeat or insert bytes; early ones more often, as headers are."""
    size = len(content)
    place = st.one_of(
        st.integers(0, size - 1), st.integers(0, min(size, 512) - 1), st.just(size - 1)
    )
    word = st.sampled_from(
        [b"\0\0\0\0", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\1\0\0\0"]
    )
    patch = st.one_of(st.binary(min_size=1, max_size=8), word, word.map(lambda w: w + w))

    def overwrite(where: int, what: bytes) -> bytes:
        return content[:where] + what + content[where + len(what) :]

    def flip(where: int, bit: int) -> bytes:
        return overwrite(where, bytes([content[where] ^ (1 << bit)]))

    def remove(where: int, length: int) -> bytes:
        return content[:where] + content[where + length :]

    def repeat(where: int, length: int) -> bytes:
        return content[: where + length] + content[where:]

    return st.one_of(
        st.builds(flip, place, st.integers(0, 7)),
        st.builds(overwrite, place, patch),
        st.builds(remove, place, st.integers(1, 64)),
        st.builds(repeat, place, st.integers(1, 64)),
        place.map(lambda where: content[:where]),
    )
