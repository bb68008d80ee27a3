"""Frames shifted by whole pixels, and shifts found at few counts."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from napari_liso.counting.drift import (
    AlignedStack,
    align,
    common_area,
    covered,
    find_drift,
    measure_drift,
)


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


# --- finding ----------------------------------------------------------------------------------


def texture(side: int = 160) -> np.ndarray:
    """Brightness of mean 1 with structure of a few pixels, which knows nothing of frames."""
    rng = np.random.default_rng(11)
    image = ndimage.gaussian_filter(rng.normal(size=(side, side)), 3.0)
    image = np.exp(0.5 * image / image.std())
    return image / image.mean()


def wander(
    path: list[tuple[int, int]], counts: float, side: int = 96, seed: int = 0
) -> np.ndarray:
    """Frames cut out of a texture at places that move by the path."""
    rng, image = np.random.default_rng(seed), texture()
    return np.stack(
        [rng.poisson(counts * image[32 + y : 32 + y + side, 32 + x : 32 + x + side])
         for y, x in path]
    )  # fmt: skip


PATH = [(0, 0), (1, 0), (1, -2), (3, -2), (3, -3), (4, -3), (9, 5), (9, 6), (8, 6), (8, 8)]


@pytest.mark.parametrize("counts", [1.0, 10.0])
def test_drift_is_found_to_the_pixel(counts: float) -> None:
    frames = wander(PATH, counts)
    found = find_drift(frames)
    assert found.dtype.kind == "i"
    assert found.tolist() == [list(pair) for pair in PATH]
    # brought into register: every frame shows the same place
    area = common_area(frames.shape, found)
    mean = align(frames, found)[:, area].astype(float)
    independent = np.corrcoef(mean[:5].sum(axis=0), mean[5:].sum(axis=0))[0, 1]
    assert independent > np.corrcoef(frames[:5].sum(0).ravel(), frames[5:].sum(0).ravel())[0, 1]


def test_without_drift_noise_moves_no_frame() -> None:
    assert not find_drift(wander([(0, 0)] * 8, 0.5)).any()


def test_a_brighter_beam_is_no_drift() -> None:
    frames = wander(PATH, 3.0)
    frames[::2] *= 7
    assert find_drift(frames).tolist() == [list(pair) for pair in PATH]


def test_empty_and_noisy_frames_stay_between_their_neighbours() -> None:
    path = [(n, -2 * n) for n in range(9)]
    frames = wander(path, 3.0)
    frames[4] = 0
    # a frame of a few counts anywhere, which agrees with any shift
    frames[6] = 0
    frames[6, [3, 50, 80], [70, 10, 33]] = 1
    result = measure_drift(frames)
    assert result.sure.tolist() == [n not in (4, 6) for n in range(9)]
    assert result.shifts.tolist() == [list(pair) for pair in path]


def test_the_reference_frame_stays() -> None:
    frames = wander(PATH, 5.0)
    found = find_drift(frames, reference=5)
    assert found.tolist() == (np.array(PATH) - PATH[5]).tolist()


def test_shifts_keep_within_the_limit() -> None:
    found = find_drift(wander([(0, 0), (0, 0), (20, 0)], 5.0), max_shift=6)
    assert np.abs(found).max() <= 6


def test_frames_of_nothing_have_no_drift() -> None:
    result = measure_drift(np.zeros((3, 16, 16), int))
    assert not result.shifts.any()
    assert not result.sure[1:].any()
    assert find_drift(np.ones((1, 16, 16), int)).tolist() == [[0, 0]]


def test_the_search_reads_frame_by_frame_and_can_be_stopped() -> None:
    source = Lazy(wander(PATH[:3], 3.0))
    seen: list[float] = []
    found = find_drift(source, progress=lambda done, text: seen.append(done))
    assert found.tolist() == [list(pair) for pair in PATH[:3]]
    assert seen == sorted(seen)
    assert max(seen) < 1

    def stop(done: float, text: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        find_drift(source, progress=stop)


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (np.ones((16, 16), int), {}, "frames were summed"),
        (np.ones((2, 16, 16), int), {"max_shift": 0}, "max_shift must be"),
        (np.ones((2, 16, 16), int), {"reference": 2}, "no frame 2"),
        (np.ones((2, 16, 16), complex), {}, "must be counts"),
    ],
)
def test_drift_of_something_else_is_refused(
    frames: np.ndarray, options: dict, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        find_drift(frames, **options)
