"""One channel of lazy counts as a stack, and the progress of a reading."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import tifffile

from napari_liso.readers import _progress, read
from napari_liso.readers._lazy import ChannelStack, LazyCounts, channel_stack

CUBE = np.arange(2 * 4 * 3 * 5, dtype=np.uint16).reshape(2, 4, 3, 5)


def lazy() -> tuple[LazyCounts, list[tuple[int, int]]]:
    made: list[tuple[int, int]] = []

    def image(channel: int, frame: int) -> np.ndarray:
        made.append((channel, frame))
        return CUBE[channel, frame]

    return LazyCounts(CUBE.shape, CUBE.dtype, image), made


@pytest.mark.parametrize(
    "key",
    [
        2,
        -1,
        np.int64(1),
        slice(1, 3),
        (2, slice(None), 3),
        (slice(None), 1, slice(None, None, 2)),
        ...,
        (..., 2),
        (3, slice(0, 2), slice(1, 4)),
    ],
)
def test_a_stack_is_indexed_like_an_array(key: object) -> None:
    counts, _ = lazy()
    stack = channel_stack(counts, 1)
    assert isinstance(stack, ChannelStack)
    assert (stack.shape, stack.ndim, stack.dtype, len(stack)) == ((4, 3, 5), 3, np.uint16, 4)
    assert stack.size == 60
    assert stack.nbytes == 120
    np.testing.assert_array_equal(stack[key], CUBE[1][key])


def test_only_what_is_looked_at_is_made() -> None:
    counts, made = lazy()
    stack = channel_stack(counts, 1)
    assert made == []
    np.asarray(stack[3])
    assert made == [(1, 3)]


def test_the_sum_does_not_make_the_stack() -> None:
    counts, _ = lazy()
    stack = ChannelStack(counts, 0)
    np.testing.assert_array_equal(stack.frame_sum(), CUBE[0].sum(axis=0))
    np.testing.assert_array_equal(np.asarray(stack), CUBE[0])


def test_plain_counts_stay_plain() -> None:
    assert isinstance(channel_stack(CUBE, 1), np.ndarray)


def test_a_listener_hears_the_progress_and_may_stop_it() -> None:
    heard: list[float] = []
    _progress.report(0.1)  # nobody listens
    with _progress.listening(heard.append):
        _progress.report(0.5)
    _progress.report(0.9)
    assert heard == [0.5]

    def stop(done: float) -> None:
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"), _progress.listening(stop):
        _progress.report(0.5)
    _progress.report(0.9)


def test_any_reading_can_be_stopped(tmp_path: Path) -> None:
    """Whatever the format, its listener is asked before the first counts are there."""

    class Stop(Exception):
        pass

    def listener(done: float) -> None:
        raise Stop

    path = tmp_path / "map.tif"
    tifffile.imwrite(path, np.ones((2, 4, 5), np.uint16))
    with pytest.raises(Stop):
        read(path, progress=listener)
    assert read(path).counts.sum() == 40


def test_copies_are_the_same_and_pickles_are_refused_in_words() -> None:
    counts, made = lazy()
    assert copy.copy(counts) is counts
    stack = copy.deepcopy(channel_stack(counts, 1))  # as a viewer duplicates a layer
    np.testing.assert_array_equal(stack[2], CUBE[1, 2])
    assert made == [(1, 2)]
    with pytest.raises(TypeError, match=r"numpy\.asarray"):
        pickle.dumps(counts)


def test_counts_of_64_bits_without_a_sign_can_be_added_up() -> None:
    wide = CUBE.astype(np.uint64)
    counts = LazyCounts(wide.shape, wide.dtype, lambda channel, frame: wide[channel, frame])
    np.testing.assert_array_equal(counts.frame_sum(1, range(1, 3)), CUBE[1, 1:3].sum(axis=0))
