"""Sums of counts over frames, bins, windows and groups; memory and what is read."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

import napari_liso as liso


def frames(shape: tuple[int, ...] = (3, 7, 9), seed: int = 0) -> tuple[Any, Any]:
    rng = np.random.default_rng(seed)
    return rng.poisson(2.0, shape), rng.poisson(7.0, shape)


def sums_of(*counts: Any, **options: Any) -> Any:
    return liso.sum_ions(*counts, **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.uint64, np.float32])
def test_frames_are_summed_whatever_holds_them(dtype: Any) -> None:
    n6, n7 = frames()
    sums = sums_of(n6.astype(dtype), n7.astype(dtype))
    np.testing.assert_array_equal(sums.tracer.counts, n6.sum(0))
    np.testing.assert_array_equal(sums.other.counts, n7.sum(0))
    assert sums.counts.dtype == sums.tracer.counts.dtype == np.int64
    np.testing.assert_array_equal(sums.tracer.ions, sums.tracer.variance)
    assert sums.tracer.ions.dtype == np.float64
    assert np.all(sums.pixels == 1)
    assert sums.shape == (7, 9)


def test_sums_do_not_change_with_what_they_were_made_of() -> None:
    n6, n7 = (n[0].astype(np.int64) for n in frames())
    sums = sums_of(n6, n7)
    before = sums.tracer.counts.copy()
    n6 += 5
    np.testing.assert_array_equal(sums.tracer.counts, before)


class OneByOne:
    """A stack that lets nobody have more than one frame."""

    def __init__(self, frames: Any) -> None:
        self.frames, self.shape, self.dtype = frames, frames.shape, frames.dtype
        self.read = 0

    def __getitem__(self, key: Any) -> Any:
        assert isinstance(key, int)
        self.read += 1
        return self.frames[key]

    def __array__(self, *_: Any, **__: Any) -> Any:
        raise AssertionError("the whole stack was asked for")


@pytest.mark.parametrize("pulses", [None, 30, np.full((3, 7, 9), 30)])
def test_frames_are_read_one_by_one_and_once(pulses: Any) -> None:
    stacks = [OneByOne(n) for n in frames()]
    lazy, plain = sums_of(*stacks, pulses=pulses), sums_of(*frames(), pulses=pulses)
    np.testing.assert_array_equal(lazy.tracer.ions, plain.tracer.ions)
    assert [stack.read for stack in stacks] == [3, 3]


def test_pulses_are_read_one_by_one() -> None:
    pulses = np.full((3, 7, 9), 30)
    pulses[1, :, :4] = 0
    n6, n7 = (np.where(pulses > 0, n, 0) for n in frames())
    lazy = sums_of(n6, n7, pulses=OneByOne(pulses))
    plain = sums_of(n6, n7, pulses=pulses)
    np.testing.assert_array_equal(lazy.tracer.ions, plain.tracer.ions)
    np.testing.assert_array_equal(lazy.pixels, plain.pixels)


@pytest.mark.parametrize("dtype", [np.uint16, np.float32])
def test_no_copy_of_the_stack_is_made(dtype: Any) -> None:
    n6, n7 = (np.ones((64, 128, 128), dtype) for _ in range(2))
    tracemalloc.start()
    sums_of(n6, n7, pulses=30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # A dozen images of 8 bytes; the stack as float64 would be 64.
    assert peak < 20 * 128 * 128 * 8


# --- pooling -----------------------------------------------------------------


def test_bins_are_sums_of_blocks() -> None:
    n6, n7 = frames()
    sums = sums_of(n6, n7).binned(4)
    total = n6.sum(0)
    blocks = [[total[y : y + 4, x : x + 4].sum() for x in (0, 4, 8)] for y in (0, 4)]
    assert sums.tracer.counts.tolist() == blocks
    assert sums.pixels.tolist() == [[16, 16, 4], [12, 12, 3]]


@pytest.mark.parametrize("size", [1, 3, 5, 11])
@pytest.mark.parametrize("pulses", [None, 40])
def test_windows_are_sums_of_what_is_inside(size: int, pulses: int | None) -> None:
    n6, n7 = frames()
    n7[:, 2, 3] = 39  # saturated, and in no sum
    plain = sums_of(n6, n7, pulses=pulses)
    sums = plain.windowed(size)
    kernel = np.ones((size, size))
    for name in ("counts", "ions", "variance"):
        for isotope in ("tracer", "other"):
            image = getattr(getattr(plain, isotope), name)
            expected = ndimage.correlate(image.astype(float), kernel, mode="constant")
            found = getattr(getattr(sums, isotope), name)
            np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-9)
    usable = np.ones((7, 9))
    usable[2, 3] = pulses is None
    np.testing.assert_array_equal(sums.pixels, ndimage.correlate(usable, kernel, mode="constant"))


def test_a_window_leaves_no_rounding_where_nothing_was_counted() -> None:
    n6 = np.zeros((3, 40), int)
    n6[1, 5] = 7
    sums = sums_of(n6, 2 * n6, pulses=60).windowed(3)
    far = sums.counts == 0
    assert np.all(sums.tracer.ions[far] == 0)
    assert np.all(sums.tracer.variance[far] == 0)
    assert np.isnan(liso.fraction_of(sums).value[far]).all()


@pytest.mark.parametrize("pulses", [None, 40])
def test_groups_are_sums_of_their_pixels(pulses: int | None) -> None:
    n6, n7 = frames()
    plain = sums_of(n6, n7, pulses=pulses)
    index = np.random.default_rng(1).integers(-1, 4, (7, 9))
    index[index == 2] = -1
    sums = plain.grouped(index, 6)
    assert sums.shape == (6,)
    for group in range(6):
        inside = index == group
        assert sums.pixels[group] == inside.sum()
        assert sums.other.counts[group] == n7.sum(0)[inside].sum()
        assert sums.other.ions[group] == pytest.approx(plain.other.ions[inside].sum())
        assert sums.other.variance[group] == pytest.approx(plain.other.variance[inside].sum())
    assert plain.grouped(index).shape == (4,)
    f = liso.fraction_of(sums)
    assert np.isnan(f.value).tolist() == [False, False, True, False, True, True]


def test_groups_add_up_beyond_what_a_float_can_count() -> None:
    big = np.array([[2**53, 1, 1]])
    sums = sums_of(big, big).grouped(np.zeros((1, 3), int))
    assert sums.tracer.counts[0] == 2**53 + 2


def test_a_sum_of_regions_is_that_of_the_fraction_of_sums() -> None:
    """Not the mean of the pixels' fractions."""
    n6, n7 = np.array([[1, 0], [30, 2]]), np.array([[0, 5], [10, 3]])
    f = liso.fraction_of(sums_of(n6, n7).grouped(np.array([[0, 0], [0, 1]])))
    assert f.value.tolist() == [31 / 46, 0.4]
    assert f.counts.tolist() == [46, 5]


def test_background_of_a_region_is_that_of_its_usable_pixels() -> None:
    n6, n7 = np.array([[30, 30, 10]]), np.array([[80, 80, 90]])
    sums = sums_of(n6, n7, pulses=1e9).grouped(np.zeros((1, 3), int))
    masked = sums_of(n6, n7, pulses=[1e9, 1e9, 100]).grouped(np.zeros((1, 3), int))
    assert liso.fraction_of(sums, background=(5, 10)).value[0] == pytest.approx(55 / 275)
    assert liso.fraction_of(masked, background=(5, 10)).value[0] == pytest.approx(50 / 190)
    assert masked.pixels.tolist() == [2]


# --- what is refused ---------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "size", "message"),
    [
        (np.zeros((7, 9)), None, "whole numbers"),
        (np.zeros((7, 8), int), None, "groups have shape"),
        (np.full((7, 9), 4), 4, "of group 4"),
    ],
)
def test_groups_that_are_none(index: Any, size: int | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        sums_of(*frames()).grouped(index, size)


@pytest.mark.parametrize("size", [0, 2, 3.5, -1])
def test_windows_without_a_middle(size: float) -> None:
    with pytest.raises(ValueError, match="window must be"):
        sums_of(*frames()).windowed(size)  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint64, np.int16])
def test_groups_may_be_labels_of_any_integers(dtype: Any) -> None:
    sums = liso.sum_ions([[1, 2], [4, 8]], [[0, 0], [0, 1]])
    assert sums.grouped(np.array([[0, 1], [1, 0]], dtype)).counts.tolist() == [10, 6]


@pytest.mark.parametrize(
    "n", [np.array([[2**62]]), np.array([[2**63 + 5]], np.uint64), np.full((3, 1, 1), 2**62)]
)
def test_numbers_that_would_overflow_are_refused(n: Any) -> None:
    with pytest.raises(ValueError, match="no number of ions"):
        liso.sum_ions(np.ones_like(n), n)
    assert liso.sum_ions([[2**52]], [[2**52]]).counts.item() == 2**53


def test_what_a_mask_hides_is_not_counted_behind_ones_back() -> None:
    n = np.array([[3, 5]])
    masked = np.ma.array(n, mask=[[True, False]])
    for arguments in ((masked, n), (n, masked[None]), (n, n, masked)):
        with pytest.raises(ValueError, match="masked array"):
            liso.sum_ions(*arguments)
    assert liso.sum_ions(np.ma.array(n), n).counts.tolist() == [[6, 10]]


class Indexed:
    """Shape, dtype and indexing, and nothing else."""

    def __init__(self, array: Any, shape: Any = None) -> None:
        self.array, self.dtype = array, array.dtype
        self.shape = array.shape if shape is None else shape

    def __getitem__(self, index: Any) -> Any:
        return self.array[index]


def test_an_image_is_read_by_its_index_too() -> None:
    n = np.array([[3, 5], [1, 2]])
    assert liso.sum_ions(Indexed(n), Indexed(n)).counts.tolist() == (2 * n).tolist()


def test_a_frame_of_another_shape_is_no_frame() -> None:
    n = np.ones((2, 1, 3), int)
    with pytest.raises(ValueError, match=r"frame 0 of n6 has shape \(1, 3\) instead of \(4, 3\)"):
        liso.sum_ions(Indexed(n, (2, 4, 3)), np.ones((2, 4, 3), int))


def test_counts_without_pulses_in_a_frame_are_refused() -> None:
    n6, n7 = frames()
    pulses = np.full(n6.shape, 50)
    pulses[1, 2, 3] = 0
    n6[1, 2, 3] = 1
    with pytest.raises(ValueError, match="wherever there are counts"):
        sums_of(n6, n7, pulses=pulses)
    n6[1, 2, 3] = n7[1, 2, 3] = 0
    assert sums_of(n6, n7, pulses=pulses).pixels[2, 3] == 1


def test_a_bad_frame_is_found_wherever_it_is() -> None:
    n6, n7 = (n.astype(float) for n in frames())
    n7[2, 6, 8] = 0.5
    with pytest.raises(ValueError, match="n7 holds values that are no whole numbers"):
        sums_of(n6, n7)
    n7[2, 6, 8] = -1
    with pytest.raises(ValueError, match="n7 holds negative"):
        sums_of(n6, n7)
