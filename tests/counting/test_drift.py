"""Frames shifted by whole pixels, and shifts found at few counts."""

from __future__ import annotations

import numpy as np
import pytest

from napari_liso.counting.drift import AlignedStack, align, common_area, covered


class Lazy:
    """An array-like that is read frame by frame."""

    def __init__(self, array: np.ndarray) -> None:
        self.array, self.shape, self.dtype = array, array.shape, array.dtype
        self.read: list[int] = []

    def __getitem__(self, number: int) -> np.ndarray:
        self.read.append(number)
        return self.array[number]


def counts(frames: int = 3, shape: tuple[int, int] = (5, 7)) -> np.ndarray:
    return np.random.default_rng(3).poisson(4.0, (frames, *shape)).astype(np.uint16)


def by_padding(frame: np.ndarray, dy: int, dx: int) -> np.ndarray:
    """Shift by cutting a window out of a frame with wide margins of zeros."""
    y, x = frame.shape
    wide = np.pad(frame, ((y, y), (x, x)))
    top, left = y - int(np.clip(dy, -y, y)), x - int(np.clip(dx, -x, x))
    return wide[top : top + y, left : left + x]


# --- shifting ---------------------------------------------------------------------------------

MOVES = [(0, 0), (2, -3), (-1, 4), (5, 0), (0, -7), (-40, 3), (4, 6)]


@pytest.mark.parametrize("move", MOVES)
def test_counts_move_bit_by_bit_and_nothing_is_made_up(move: tuple[int, int]) -> None:
    frames = counts()
    shifts = [(0, 0), move, (1, 1)]
    made = align(frames, shifts)
    assert made.dtype == np.uint16
    for number, pair in enumerate(shifts):
        assert np.array_equal(made[number], by_padding(frames[number], *pair))


def test_lazy_frames_stay_lazy_and_give_the_same() -> None:
    frames, shifts = counts(), [(1, 0), (0, -2), (-1, 3)]
    plain, source = align(frames, shifts), Lazy(frames)
    stack = align(source, shifts)
    assert isinstance(stack, AlignedStack)
    assert source.read == []
    assert np.array_equal(stack[1], plain[1])
    assert source.read == [1]
    assert (stack.shape, stack.dtype, len(stack)) == (plain.shape, plain.dtype, 3)
    assert np.array_equal(np.asarray(stack), plain)
    assert np.array_equal(stack.frame_sum(), plain.sum(axis=0, dtype=np.int64))
    for key in (np.s_[-1], np.s_[1:], np.s_[..., 2], np.s_[0, 1:3, ::2], np.s_[::-1, 2]):
        assert np.array_equal(stack[key], plain[key])
    with pytest.raises(IndexError):
        stack[3]


def test_sums_of_frames_do_not_overflow() -> None:
    frames = np.full((300, 1, 2), 255, np.uint8)
    assert align(Lazy(frames), np.zeros((300, 2), int), slice(1, None)).frame_sum().tolist() == [
        [299 * 255] * 2
    ]


def test_some_frames_are_kept() -> None:
    frames = counts(4)
    shifts = [(0, 0), (1, 2), (0, 0), (-1, 0)]
    for source in (frames, Lazy(frames)):
        kept = align(source, shifts, slice(1, 4, 2))
        assert kept.shape == (2, 5, 7)
        assert np.array_equal(kept[0], by_padding(frames[1], 1, 2))
        assert np.array_equal(kept[1], by_padding(frames[3], -1, 0))
    with pytest.raises(ValueError, match="none of the 4"):
        align(frames, None, slice(4, 4))


@pytest.mark.parametrize(
    ("shifts", "message"),
    [
        ([(0, 0)], "3 frames need 3"),
        (np.full((3, 2), 0.5), "never interpolated"),
        (np.full((3, 2), np.nan), "never interpolated"),
    ],
)
def test_shifts_are_pairs_of_whole_pixels(shifts: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        align(counts(), shifts)


def test_pulses_are_nought_where_a_frame_does_not_reach() -> None:
    shifts = [(0, 0), (2, -3), (-1, 0)]
    made = covered((3, 5, 7), shifts, np.array([[[10]], [[20]], [[30]]]))
    for number, pair in enumerate(shifts):
        ones = np.full((5, 7), 10 * (number + 1))
        assert np.array_equal(made[number], by_padding(ones, *pair))
    assert covered((3, 5, 7), None, 10).shape == (3, 5, 7)
    with pytest.raises(ValueError, match="do not fit"):
        covered((3, 5, 7), None, np.ones((2, 5, 7)))


def test_the_common_area_is_what_all_frames_cover() -> None:
    shifts = [(0, 0), (2, -3), (-1, 1)]
    ones = covered((3, 5, 7), shifts, 1)
    assert np.array_equal(common_area((3, 5, 7), shifts), (ones > 0).all(axis=0))
    assert np.array_equal(common_area((3, 5, 7), shifts, slice(0, 2)), (ones[:2] > 0).all(axis=0))
    assert not common_area((2, 5, 7), [(0, 0), (9, 0)]).any()
