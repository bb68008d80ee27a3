"""Patches: small, to be applied and taken back, and refused where they do not fit."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from alike import assert_identical, columns

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.update import find_patch
from napari_liso.simulation import voronoi_grains


def test_labels_that_need_more_bits_widen_the_type_and_shrink_it_again():
    b = find_boundaries(columns(6, 6).astype(np.uint8), 1.0)
    drawn = b.drawn.astype(np.int32)
    drawn[:4] = 300
    patch = find_patch(b, drawn)
    after = patch.apply(b)
    assert after.drawn.dtype == np.int32
    np.testing.assert_array_equal(after.drawn, drawn)
    assert_identical(patch.inverse().apply(after), b)


def test_a_patch_of_another_state_is_refused():
    b = find_boundaries(columns(6, 6), 1.0)
    patch = find_patch(b, columns(5, 7))
    with pytest.raises(ValueError, match="does not fit"):
        patch.inverse().apply(b)
    with pytest.raises(ValueError, match="larger map"):
        patch.apply(find_boundaries(columns(1, 1, rows=1), 1.0))


def test_a_patch_is_refused_where_a_later_one_changed_the_same_boundary_elsewhere():
    b = find_boundaries(columns(6, 6), 1.0)
    drawn = columns(6, 6)
    drawn[0, 5] = 2
    first = find_patch(b, drawn)
    drawn = drawn.copy()
    drawn[7, 5] = 2
    second = find_patch(first.apply(b), drawn)
    after = second.apply(first.apply(b))
    with pytest.raises(ValueError, match="the last one first"):
        first.inverse().apply(after)
    assert_identical(first.inverse().apply(second.inverse().apply(after)), b)


def test_labels_in_column_order_are_edited_too():
    b = find_boundaries(np.asfortranarray(columns(6, 6)), 1.0)
    after = find_patch(b, columns(5, 7)).apply(b)
    np.testing.assert_array_equal(after.drawn, columns(5, 7))


def test_signed_labels_become_unsigned_and_never_floats():
    b = find_boundaries(columns(6, 6).astype(np.int16), 1.0)
    drawn = b.drawn.astype(np.uint64)
    drawn[:4] = 40_000
    patch = find_patch(b, drawn)
    assert patch.apply(b).drawn.dtype.kind in "iu"
    np.testing.assert_array_equal(patch.apply(b).drawn, drawn)
    assert_identical(patch.inverse().apply(patch.apply(b)), b)


def test_a_removed_boundary_does_not_come_back_as_a_state():
    b = find_boundaries(columns(6, 6), 1.0)
    gone = find_patch(b, columns(12)).apply(b)
    assert gone.with_state(1, "removed").table["state"].tolist() == ["removed"]
    with pytest.raises(ValueError, match="boundary 1 is removed"):
        gone.with_state(1, "use")


def test_a_patch_holds_only_what_changed():
    b = find_boundaries(voronoi_grains((300, 300), 60, seed=2).astype(np.uint16), 1.0)
    drawn = b.drawn.copy()
    y, x = np.divmod(b.faces.first[len(b.faces) // 2], 300)
    box = (slice(y - 2, y + 3), slice(x - 2, x + 3))
    drawn[box] = drawn[y, x]
    patch = find_patch(b, drawn, box=box)
    assert patch.nbytes < 30_000 < b.grains.nbytes / 10
    whole = find_patch(b, drawn)
    assert_identical(patch.apply(b), whole.apply(b))
    np.testing.assert_array_equal(patch.apply(b).drawn, drawn)


def test_pixels_that_change_no_boundary_are_kept_all_the_same():
    """The width of a drawn line, the inside of a pore: the next edit starts from there."""
    grains = columns(6, 6)
    grains[:, 6] = 0
    b = find_boundaries(grains, 1.0)
    assert find_patch(b, grains) is None
    patch = find_patch(b, columns(7, 5))  # where the line was given to grain 1
    assert [patch.changed.size, patch.added.size, patch.removed.size] == [0, 0, 0]
    np.testing.assert_array_equal(patch.apply(b).drawn, columns(7, 5))


@pytest.mark.parametrize("own", [[5, 6], [True, False], [0.5, 0.25], ["x", "y"]])
def test_a_column_of_ones_own_has_no_value_for_new_boundaries_and_comes_back(own):
    b = find_boundaries(columns(6, 6, 6), 1.0)
    b = replace(b, table=b.table.assign(own=own))
    drawn = columns(6, 6, 6)
    drawn[3:5, 5:8] = 4
    patch = find_patch(b, drawn)
    after = patch.apply(b)
    assert after.table.at[2, "own"] == own[1]
    assert after.table.loc[patch.added, "own"].isna().all()
    assert_identical(patch.inverse().apply(after), b)
