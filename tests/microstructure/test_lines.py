"""Zeros between grains: lines are bridged, pores stay."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from skimage.segmentation import watershed

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.lines import bridge_lines, reach_of_lines


def halves(n: int, slope: float) -> tuple[np.ndarray, np.ndarray]:
    """Two grains above and below a line through the middle, and the rows of the line."""
    x = np.arange(n)
    row = np.rint(n / 2 + slope * (x - n / 2)).astype(int)
    grains = np.where(np.arange(n)[:, None] < row[None, :], 1, 2)
    return grains, row


@pytest.mark.parametrize("slope", [0.0, 0.3, 0.7, 1.0])
@pytest.mark.parametrize("connectivity", [4, 8])
def test_a_drawn_line_is_bridged(slope, connectivity):
    grains, row = halves(40, slope)
    drawn = grains.copy()
    x = np.arange(40)
    drawn[row, x] = 0
    if connectivity == 4:  # one more pixel at every step of the line
        step = np.flatnonzero(np.diff(row))
        drawn[row[step], step + 1] = 0
    b = find_boundaries(drawn, 1e-6)
    assert len(b) == 1
    assert (b.grains > 0).all()
    whole = find_boundaries(grains, 1e-6)
    assert b.table.at[1, "length"] == pytest.approx(whole.table.at[1, "length"], rel=0.03)
    np.testing.assert_array_equal(b.drawn, drawn)
    kept = drawn > 0
    np.testing.assert_array_equal(b.grains[kept], drawn[kept])


@pytest.mark.parametrize("width", [2, 3, 5])
def test_wider_zeros_separate(width):
    drawn = np.ones((20, 20), dtype=int)
    drawn[:, 12:] = 2
    drawn[:, 8 : 8 + width] = 0
    drawn[:, 8 + width : 12] = 2
    b = find_boundaries(drawn, 1e-6)
    assert len(b) == 0
    np.testing.assert_array_equal(b.grains, drawn)


def test_wider_zeros_separate_in_a_single_row():
    assert len(find_boundaries(np.array([[1, 1, 0, 0, 2]]), 1.0)) == 0
    assert len(find_boundaries(np.array([[1, 1, 0, 2, 2]]), 1.0)) == 1


def test_a_cross_of_lines_gives_four_boundaries():
    drawn = np.zeros((9, 9), dtype=int)
    drawn[:4, :4], drawn[:4, 5:], drawn[5:, :4], drawn[5:, 5:] = 1, 2, 3, 4
    b = find_boundaries(drawn, 1.0)
    pairs = b.table[["grain_a", "grain_b"]].to_numpy().tolist()
    assert pairs == [[1, 2], [1, 3], [2, 4], [3, 4]]
    assert b.table["length"].sum() == pytest.approx(18)


def test_a_thick_junction_of_lines_is_line_but_the_same_blob_alone_is_a_pore():
    grains = np.ones((13, 13), dtype=int)
    grains[:, 7:] = 2
    lone = grains.copy()
    lone[6:8, 6:8] = 0
    b = find_boundaries(lone, 1.0)
    assert (b.grains == 0).sum() == 4
    assert len(b) == 2
    on_line = grains.copy()
    on_line[:, 6] = 0
    on_line[6:8, 6:8] = 0
    b = find_boundaries(on_line, 1.0)
    assert (b.grains > 0).all()
    assert len(b) == 1


def test_a_pore_at_the_end_of_a_line_keeps_its_shape_and_the_line_is_bridged_up_to_it():
    y, x = np.mgrid[:31, :31]
    drawn = np.where(x < 15, 1, 2)
    drawn[:, 15] = 0
    pore = (y - 15) ** 2 + (x - 15) ** 2 <= 25
    drawn[pore] = 0
    b = find_boundaries(drawn, 1.0)
    # The tips of the disc are single pixels: above and below they cannot be
    # told from the line, left and right they stay.
    pore[[10, 20], 15] = False
    np.testing.assert_array_equal(b.grains == 0, pore)
    assert len(b) == 2
    assert b.table["length"].tolist() == pytest.approx([11, 11])


def test_a_round_pore_between_grains_is_left_as_drawn():
    y, x = np.mgrid[:31, :31]
    drawn = np.where(x < 15, 1, 2)
    drawn[(y - 15) ** 2 + (x - 15) ** 2 <= 25] = 0
    np.testing.assert_array_equal(find_boundaries(drawn, 1.0).grains, drawn)


def test_watershed_lines_give_the_boundaries_of_the_watershed_without_lines():
    rng = np.random.default_rng(5)
    n = 160
    seeds = np.zeros((n, n), dtype=int)
    points = rng.integers(0, n, (25, 2))
    seeds[tuple(points.T)] = np.arange(1, 26)
    relief = ndimage.distance_transform_edt(seeds == 0)
    plain = find_boundaries(watershed(relief, seeds), 1.0)
    lined = find_boundaries(watershed(relief, seeds, watershed_line=True), 1.0)
    assert (lined.drawn == 0).any()
    assert (lined.grains > 0).all()

    def lengths(b):
        return b.table.groupby(["grain_a", "grain_b"])["length"].sum()

    one, two = lengths(plain), lengths(lined)
    long = one[one > 8]
    assert long.index.isin(two.index).all()
    # A line may shift by a pixel at each end.
    assert np.abs(two[long.index] - long).max() < 3.5
    assert two.sum() == pytest.approx(one.sum(), rel=0.02)


def test_the_nearest_grain_is_the_nearest_in_metres():
    drawn = np.array([[1, 1, 1], [3, 0, 3], [2, 2, 2]])
    assert find_boundaries(drawn, (1.0, 0.1)).grains[1, 1] == 3
    assert find_boundaries(drawn, (0.1, 1.0)).grains[1, 1] in (1, 2)


def test_a_line_along_the_rim_of_a_pore_is_line_for_eight_pixels_only():
    drawn = np.ones((20, 40), dtype=int)
    drawn[10:] = 2
    drawn[9, :] = 0
    drawn[10:13, 12:40] = 0  # below the line, so that it is the rim of this pore
    filled = find_boundaries(drawn, 1.0).grains
    assert (filled[9, :11] > 0).all()
    assert (filled[9, 12:] == 0).all()


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.1, 0.3, 0.5, 0.7]),
    st.sampled_from([(1.0, 1.0), (1e-6, 0.2e-6), (1.0, 3.0)]),
)
def test_a_window_gives_what_the_whole_image_gives(seed, zeros, pixel):
    """Any label image: lines, pores and what lies between, at any place of it."""
    rng = np.random.default_rng(seed)
    drawn = rng.integers(1, 4, (90, 90))
    texture = ndimage.gaussian_filter(rng.random((90, 90)), rng.choice([0.3, 0.7, 2.0]))
    drawn[texture < np.quantile(texture, zeros)] = 0
    whole = bridge_lines(drawn, pixel)
    reach = reach_of_lines(pixel)
    y, x = rng.integers(0, 80, 2)
    top, left = max(y - reach, 0), max(x - reach, 0)
    window = drawn[top : y + 10 + reach, left : x + 10 + reach]
    part = bridge_lines(window, pixel)[y - top :, x - left :][:10, :10]
    np.testing.assert_array_equal(part, whole[y : y + 10, x : x + 10])
