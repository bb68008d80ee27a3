"""Splitting, merging and erasing: which pixels change, and what they become."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.editing import (
    PixelEdit,
    erase_boundaries,
    merge_grains,
    split_by_points,
    split_grain,
)
from napari_liso.microstructure.paths import path_pixels

EIGHT = np.ones((3, 3))


def cells(seed: int, size: int = 60, count: int = 9) -> np.ndarray:
    """Grains 1..count around random points."""
    rng = np.random.default_rng(seed)
    points = rng.random((count, 2)) * size
    y, x = np.mgrid[:size, :size]
    away = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    return np.unique(away.argmin(axis=-1), return_inverse=True)[1].reshape(size, size) + 1


def with_lines(grains: np.ndarray) -> np.ndarray:
    """The same with one pixel of zeros between grains."""
    drawn = grains.copy()
    drawn[:-1][grains[:-1] != grains[1:]] = 0
    drawn[:, :-1][grains[:, :-1] != grains[:, 1:]] = 0
    return drawn


def pieces(mask: np.ndarray) -> int:
    return ndimage.label(mask, EIGHT)[1]


def halves(height: int = 30, width: int = 40) -> np.ndarray:
    grains = np.ones((height, width), dtype=np.int32)
    grains[:, width // 2 :] = 2
    return grains


# Paths


@given(
    st.lists(
        st.tuples(st.floats(-30, 30), st.floats(-30, 30)), min_size=2, max_size=8, unique=True
    )
)
def test_pixels_of_a_path_are_next_to_each_other_and_under_it(points):
    path = np.array(points)
    pixels = path_pixels(path)
    assert (np.abs(np.diff(pixels, axis=0)).sum(axis=1) == 1).all()
    np.testing.assert_array_equal(pixels[0], np.floor(path[0] + 0.5))
    np.testing.assert_array_equal(pixels[-1], np.floor(path[-1] + 0.5))
    a, b = path[:-1], path[1:]
    along = b - a
    square = np.maximum((along**2).sum(axis=1), 1e-300)
    part = np.clip(((pixels[:, None] - a) * along).sum(axis=2) / square, 0, 1)
    away = np.hypot(*np.moveaxis(pixels[:, None] - a - part[..., None] * along, -1, 0))
    assert away.min(axis=1).max() <= 1.1


# Splitting


def test_a_straight_line_splits_where_it_was_drawn():
    grains = np.full((20, 30), 5, dtype=np.uint16)
    split = split_grain(grains, [(-3.0, 12.0), (25.0, 12.0)]).applied_to(grains)
    assert split.dtype == np.uint16
    # One whole column of pixels goes to one side: the boundary is straight.
    assert (split == split[0]).all()
    edge = np.flatnonzero(np.diff(split[0].astype(int))) + 0.5
    assert len(edge) == 1
    assert abs(edge[0] - 12.0) <= 0.5
    assert split[0, 29] == 5  # the larger part
    assert split[0, 0] == 6


@pytest.mark.parametrize("angle", np.deg2rad([10, 27, 45, 63, 80, 135, 160]))
def test_the_new_boundary_runs_within_a_pixel_of_the_line(angle):
    grains = np.ones((61, 61), dtype=int)
    along = np.array([np.sin(angle), np.cos(angle)])
    split = split_grain(grains, np.array([30.2, 29.7]) + np.outer([-50, 50], along))
    faces = find_boundaries(split.applied_to(grains), 1.0).faces
    y, x = np.divmod(faces.first, 61)
    middle = np.stack([y + 0.5 * (faces.axis == 0), x + 0.5 * (faces.axis == 1)], axis=1)
    away = (middle - [30.2, 29.7]) @ [along[1], -along[0]]
    assert np.abs(away).max() <= 1.0
    assert abs(away.mean()) <= 0.6


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 30), st.integers(0, 2**32 - 1), st.booleans(), st.booleans())
def test_a_split_divides_only_what_it_crosses(seed, path_seed, drawn, line):
    grains = cells(seed)
    grains = with_lines(grains) if drawn else grains
    rng = np.random.default_rng(path_seed)
    ends = rng.uniform(-5, 65, (2, 2))
    steps = np.linspace(0, 1, 12)[:, None]
    path = ends[0] + steps * (ends[1] - ends[0]) + rng.normal(0, 1.5, (12, 2))
    try:
        edit = split_grain(grains, path, line=line)
    except ValueError:
        return
    split = edit.applied_to(grains)
    assert (np.diff(edit.pixels) > 0).all()
    new = np.setdiff1d(split[split > 0], grains)
    assert len(new) > 0
    np.testing.assert_array_equal(new, grains.max() + np.arange(1, len(new) + 1))
    restored = split.copy()
    for label in new:
        (old,) = np.unique(grains[split == label])
        assert old > 0
        assert np.count_nonzero(split == label) <= np.count_nonzero(split == old) + line * 99
        assert pieces(split == label) == 1
        restored[split == label] = old
    lines = (split == 0) & (grains != 0)
    assert line or not lines.any()
    restored[lines] = grains[lines]
    np.testing.assert_array_equal(restored, grains)
    for old in np.unique(grains[grains > 0]):
        assert pieces(split == old) <= pieces(grains == old) + line


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.floats(0, np.pi))
def test_merging_the_parts_restores_the_grain(seed, angle):
    grains = cells(seed)
    label = int(np.bincount(grains.ravel()).argmax())
    middle = np.argwhere(grains == label).mean(axis=0)
    along = 80 * np.array([np.sin(angle), np.cos(angle)])
    try:
        split = split_grain(grains, [middle - along, middle + along]).applied_to(grains)
    except ValueError:
        assume(False)
    parts = np.unique(split[grains == label])
    if len(parts) == 1:
        return
    merged = merge_grains(split, parts).applied_to(split)
    assert len(np.unique(merged[grains == label])) == 1
    np.testing.assert_array_equal(merged[grains != label], split[grains != label])


def test_ends_that_are_too_short_are_led_on_to_the_border():
    grains = halves()
    split = split_grain(grains, [(14.0, 3.0), (15.0, 16.0)]).applied_to(grains)
    assert set(np.unique(split[:, :20])) == {1, 3}
    np.testing.assert_array_equal(split[:, 20:], 2)
    with pytest.raises(ValueError, match=r"does not divide grain 1.*8 pixels"):
        split_grain(grains, [(14.0, 3.0), (15.0, 9.0)])
    far = split_grain(grains, [(14.0, 3.0), (15.0, 9.0)], reach=12).applied_to(grains)
    assert set(np.unique(far[:, :20])) == {1, 3}


def test_an_end_goes_straight_on_rather_than_sideways():
    grains = np.ones((24, 40), dtype=int)
    split = split_grain(grains, [(7.0, -2.0), (7.0, 33.0)]).applied_to(grains)
    # Straight ahead the border is 7 pixels away, sideways 8.
    assert split[3, 39] == split[3, 0] != split[20, 0] == split[20, 39]


def test_an_end_that_overshoots_leaves_the_neighbour_whole():
    grains = halves(30, 60)
    for end in (31.0, 33.0, 37.0, 40.0):
        split = split_grain(grains, [(3.0, -2.0), (6.0, end)]).applied_to(grains)
        np.testing.assert_array_equal(split[:, 30:], 2)


def test_one_line_splits_all_grains_that_it_crosses():
    grains = np.repeat(np.array([[1] * 10 + [2] * 10 + [3] * 10]), 20, axis=0)
    split = split_grain(grains, [(9.0, -1.0), (10.5, 31.0)]).applied_to(grains)
    assert len(np.unique(split)) == 6


def test_a_line_through_both_arms_of_a_grain_makes_three():
    grains = np.zeros((30, 30), dtype=int)
    grains[2:28, 2:28] = 1
    grains[2:20, 10:20] = 2
    split = split_grain(grains, [(10.0, 0.0), (10.0, 30.0)]).applied_to(grains)
    assert len(np.unique(split[grains == 1])) == 3
    assert len(np.unique(split[grains == 2])) == 2


def test_only_the_piece_under_the_line_is_split():
    grains = np.full((20, 40), 2)
    grains[:, :12] = grains[:, 28:] = 1
    split = split_grain(grains, [(10.0, -1.0), (10.0, 14.0)]).applied_to(grains)
    np.testing.assert_array_equal(split[:, 12:], grains[:, 12:])


def test_a_closed_line_cuts_out_a_grain():
    grains = np.ones((60, 60), dtype=int)
    turn = np.linspace(0, 2 * np.pi - 0.3, 50)
    split = split_grain(grains, 30 + 12 * np.stack([np.sin(turn), np.cos(turn)], axis=1))
    inner = split.applied_to(grains) == 2
    assert pieces(inner) == 1
    assert inner[30, 30]
    assert abs(inner.sum() - np.pi * 12**2) < np.pi * 2 * 12 * 0.7


def test_a_wobbly_line_leaves_no_specks():
    grains = np.ones((50, 80), dtype=int)
    rng = np.random.default_rng(3)
    for _ in range(30):
        x = np.linspace(-1, 80, 120)
        path = np.stack([25 + rng.normal(0, 1.2, 120), x + rng.normal(0, 1.2, 120)], axis=1)
        split = split_grain(grains, path).applied_to(grains)
        assert len(np.unique(split)) == 2
        for label in (1, 2):
            assert ndimage.label(split == label)[1] == 1


def test_a_line_along_the_border_does_not_shave_the_neighbour():
    grains = np.ones((60, 60), dtype=int)
    grains[30:] = 2
    path = [(10.0, -1.0), (31.0, 20.0), (31.5, 40.0), (12.0, 61.0)]
    split = split_grain(grains, path).applied_to(grains)
    np.testing.assert_array_equal(split[30:], 2)
    assert len(np.unique(split[:30])) >= 3


def test_a_small_grain_can_be_split():
    grains = np.ones((20, 20), dtype=int)
    grains[8:10, 8:14] = 2
    split = split_grain(grains, [(6.0, 11.0), (11.0, 11.0)]).applied_to(grains)
    assert len(np.unique(split[grains == 2])) == 2
    np.testing.assert_array_equal(split[grains == 1], 1)


def test_a_line_of_zeros_is_left_if_wanted():
    grains = np.ones((30, 30), dtype=int)
    split = split_grain(grains, [(-1.0, 5.0), (31.0, 20.0)], line=True).applied_to(grains)
    assert pieces(split > 0) == 2
    found = find_boundaries(split, 1.0)
    assert len(found) == 1
    assert found.table.at[1, "length"] == pytest.approx(30 * np.hypot(1, 15 / 32), rel=0.05)


def test_labels_that_do_not_fit_are_told():
    grains = np.ones((20, 20), dtype=np.uint16)
    grains[0, 0] = 65535
    with pytest.raises(ValueError, match=r"no label is left.*65535.*uint16"):
        split_grain(grains, [(10.0, -1.0), (10.0, 21.0)])
    wide = grains.astype(np.int64)
    wide[0, 0] = 2**31 - 1
    with pytest.raises(ValueError, match="no label is left"):
        split_by_points(wide, [(5.0, 5.0), (15.0, 15.0)])


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ([(1.0, 2.0)], "no length"),
        ([(1.0, 2.0), (1.0, 2.0)], "no length"),
        ([(1.0, np.nan), (1.0, 2.0)], "not finite"),
        ([1.0, 2.0], r"\(n, 2\)"),
        ([(-9.0, -9.0), (-9.0, 50.0)], "no grain"),
    ],
)
def test_paths_that_make_no_sense(path, message):
    with pytest.raises(ValueError, match=message):
        split_grain(halves(), path)


# Splitting by points


def test_points_share_a_grain_halfway_or_at_its_neck():
    box = np.ones((20, 41), dtype=int)
    split = split_by_points(box, [(10, 8), (10, 32)]).applied_to(box)
    assert np.flatnonzero(np.diff(split[10])) == pytest.approx(20, abs=1)
    y, x = np.mgrid[:60, :100]
    dumbbell = ((y - 30) ** 2 + (x - 30) ** 2 < 28**2) | ((y - 30) ** 2 + (x - 72) ** 2 < 18**2)
    grains = np.where(dumbbell, 7, 0)
    split = split_by_points(grains, [(30, 25), (30, 75)]).applied_to(grains)
    neck = (30**2 - 72**2 + 18**2 - 28**2) / (2 * (30 - 72))  # radical axis of both circles
    assert np.flatnonzero(np.diff(split[30, 10:85]))[0] + 10.5 == pytest.approx(neck, abs=2)
    np.testing.assert_array_equal(split[~dumbbell], 0)


def test_points_share_a_grain_along_a_relief():
    grains = np.ones((30, 50), dtype=np.int32)
    relief = np.exp(-((np.arange(50) - 37.0) ** 2) / 8) * np.ones((30, 1))
    split = split_by_points(grains, [(15, 5), (15, 45)], relief).applied_to(grains)
    edges = [np.flatnonzero(np.diff(row))[0] for row in split]
    assert np.abs(np.array(edges) + 0.5 - 37).max() <= 1


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(5.0, 5.0)], "at least two"),
        ([(5.0, 5.0), (5.2, 5.1)], "same pixel"),
        ([(5.0, 5.0), (5.0, 35.0)], "grains 1 and 2"),
        ([(5.0, 5.0), (5.0, 99.0)], "outside"),
    ],
)
def test_points_that_make_no_sense(points, message):
    with pytest.raises(ValueError, match=message):
        split_by_points(halves(), points)


# Merging and erasing


def test_the_largest_grain_keeps_its_label():
    grains = np.ones((20, 40), dtype=np.int64)
    grains[:, 12:33], grains[:, 33:] = 2, 3
    edit = merge_grains(grains, [3, 1, 2])
    assert set(edit.labels.tolist()) == {2}
    assert len(edit) == (grains != 2).sum()


def test_only_grains_that_touch_merge():
    grains = np.ones((20, 40), dtype=int)
    grains[:, 12:33], grains[:, 33:] = 2, 3
    with pytest.raises(ValueError, match="grains 1 and 3 do not touch"):
        merge_grains(grains, [1, 3])
    with pytest.raises(ValueError, match="no grain 8"):
        merge_grains(grains, [1, 8])
    with pytest.raises(ValueError, match="at least two"):
        merge_grains(grains, [1, 1])
    with pytest.raises(ValueError, match="0 is no grain"):
        merge_grains(grains, [0, 1])


def test_a_drawn_line_between_merged_grains_is_filled_and_others_stay():
    drawn = np.zeros((21, 21), dtype=int)
    drawn[:10, :10], drawn[:10, 11:], drawn[11:] = 1, 2, 3
    drawn[2:6, 2:6] = 0  # a pore
    merged = merge_grains(drawn, [1, 2]).applied_to(drawn)
    assert (merged[:9, 10] > 0).all()
    assert (merged[10] == 0).all()  # the line to grain 3
    assert (merged[2:6, 2:6] == 0).all()
    found = find_boundaries(merged, 1.0)
    assert len(found) == 1


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 40), st.data(), st.booleans())
def test_erasing_leaves_no_face_of_the_pairs(seed, data, drawn):
    grains = cells(seed)
    labels = with_lines(grains) if drawn else grains
    b = find_boundaries(labels, 1e-6)
    ids = data.draw(st.lists(st.sampled_from(list(b.table.index)), min_size=1, max_size=4))
    edit = erase_boundaries(b, ids)
    after = edit.applied_to(labels)
    touched = b.table.loc[ids, ["grain_a", "grain_b"]].to_numpy()
    others = ~np.isin(b.grains, touched)
    np.testing.assert_array_equal(after[others], labels[others])
    c = find_boundaries(after, 1e-6)
    # The partition, by brute force: a chain of pairs is one grain.
    name = {g: g for g in np.unique(b.grains)}
    for one, two in touched:
        old, new = name[two], name[one]
        name = {g: new if n == old else n for g, n in name.items()}
    kept = after > 0
    expected = np.vectorize(name.get)(b.grains)
    pairs = np.unique(np.stack([expected[kept], after[kept]], axis=1), axis=0)
    assert len(pairs) == len(np.unique(pairs[:, 0])) == len(np.unique(pairs[:, 1]))
    # No line is left between the merged grains, none is gone elsewhere.
    filled = (labels == 0) & (after > 0)
    assert np.isin(b.grains[filled], touched).all()
    merged = {frozenset(pair) for pair in touched.tolist()}
    for pair in c.table[["grain_a", "grain_b"]].itertuples(index=False):
        assert frozenset(pair) not in merged


def test_erasing_one_of_two_contacts_erases_both():
    grains = np.ones((30, 30), dtype=int)
    grains[:, 15:] = 2
    grains[10:20, 10:20] = 3
    b = find_boundaries(grains, 1.0)
    twice = b.table.query("grain_a == 1 and grain_b == 2").index
    assert len(twice) == 2
    after = erase_boundaries(b, int(twice[0])).applied_to(grains)
    assert len(find_boundaries(after, 1.0)) == 1


def test_boundaries_that_are_gone_cannot_be_erased():
    b = find_boundaries(halves(), 1.0)
    with pytest.raises(ValueError, match="no boundary 4"):
        erase_boundaries(b, 4)
    with pytest.raises(ValueError, match="removed already"):
        erase_boundaries(b.with_state(1, "removed"), [1])
    with pytest.raises(ValueError, match="at least one"):
        erase_boundaries(b, [])


def test_an_edit_copies():
    grains = np.asfortranarray(halves())
    edit = PixelEdit(np.array([0, 41]), np.array([7, 8], dtype=np.int32))
    after = edit.applied_to(grains)
    assert len(edit) == 2
    assert (after[0, 0], after[1, 1]) == (7, 8)
    assert grains[0, 0] == 1
