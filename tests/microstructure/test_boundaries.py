"""Boundaries on hand-drawn and random label images: identity, ownership, state, errors."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_liso.microstructure.boundaries import find_boundaries


def draw(text: str) -> np.ndarray:
    """Label image from rows of digits; a dot is 0."""
    rows = [row.strip() for row in text.split()]
    return np.array([[0 if c == "." else int(c) for c in row] for row in rows])


def contacts(grains: np.ndarray) -> set[tuple[int, int]]:
    """Flat pixel pairs of all 4-neighbour contacts of two grains, one at a time."""
    ny, nx = grains.shape
    found = set()
    for y in range(ny):
        for x in range(nx):
            for v, u in ((y + 1, x), (y, x + 1)):
                if v < ny and u < nx:
                    a, b = grains[y, x], grains[v, u]
                    if a != b and a and b:
                        found.add((y * nx + x, v * nx + u))
    return found


labels_with_zero = hnp.arrays(
    np.int16, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 5)
).filter(np.any)


def test_three_grains_give_three_boundaries_in_order():
    b = find_boundaries(draw("1122 1122 3333"), 1e-6)
    assert b.table.index.tolist() == [1, 2, 3]
    assert b.table.index.name == "id"
    assert b.table[["grain_a", "grain_b"]].to_numpy().tolist() == [[1, 2], [1, 3], [2, 3]]
    assert b.table["length"].tolist() == pytest.approx([2e-6, 2e-6, 2e-6])
    assert b.table[["normal_y", "normal_x"]].to_numpy() == pytest.approx(
        np.array([[0, 1], [1, 0], [1, 0]])
    )
    assert b.table["touches_edge"].tolist() == [True, True, True]
    assert b.table["state"].tolist() == ["use"] * 3
    assert len(b.faces) == 6
    assert b.labels.dtype == np.uint16
    assert b.grains.dtype == np.int32


def test_faces_name_their_pixels_and_axis():
    faces = find_boundaries(draw("12 12"), 1.0).faces
    assert faces.first.tolist() == [0, 2]
    assert faces.second.tolist() == [1, 3]
    assert faces.axis.tolist() == [1, 1]
    faces = find_boundaries(draw("11 22"), 1.0).faces
    assert faces.first.tolist() == [0, 1]
    assert faces.second.tolist() == [2, 3]
    assert faces.axis.tolist() == [0, 0]


def test_normals_point_from_a_to_b_wherever_b_lies():
    for text, normal in (("12", (0, 1)), ("21", (0, -1)), ("1 2", (1, 0)), ("2 1", (-1, 0))):
        b = find_boundaries(draw(text), 1.0)
        assert (b.table.at[1, "normal_y"], b.table.at[1, "normal_x"]) == normal
        assert (b.faces.normal_y[0], b.faces.normal_x[0]) == normal


def test_a_pair_that_touches_twice_has_two_boundaries_numbered_from_the_top():
    b = find_boundaries(draw("1122 1332 1332 1122"), 1.0)
    pairs = b.table[["grain_a", "grain_b"]].to_numpy().tolist()
    assert pairs == [[1, 2], [1, 2], [1, 3], [2, 3]]
    side_by_side = b.faces.axis == 1
    ids = dict(zip(b.faces.first[side_by_side], b.faces.boundary[side_by_side], strict=True))
    assert ids[1] == 1  # in the first row
    assert ids[13] == 2  # in the last row


def test_a_checkerboard_corner_joins_faces_of_a_pair_but_not_of_two_pairs():
    b = find_boundaries(draw("12 21"), 1.0)
    assert len(b) == 1
    assert len(b.faces) == 4
    b = find_boundaries(draw("12 31"), 1.0)
    assert b.table[["grain_a", "grain_b"]].to_numpy().tolist() == [[1, 2], [1, 3]]


def test_faces_that_only_share_a_pixel_but_no_corner_are_two_boundaries():
    # A strip of grain 1, one pixel wide, between two parts of grain 2.
    b = find_boundaries(draw("212 212 212"), 1.0)
    assert len(b) == 2
    assert b.table["length"].tolist() == pytest.approx([3, 3])
    assert b.table["normal_x"].tolist() == pytest.approx([-1, 1])


def test_a_boundary_of_one_face():
    b = find_boundaries(draw("11133 11233 11222"), 2.0)
    pair = b.table[(b.table.grain_a == 1) & (b.table.grain_b == 3)]
    assert pair["length"].tolist() == [2.0]
    assert (b.labels == pair.index[0]).any()
    assert pair["touches_edge"].tolist() == [True]


def test_touches_edge_is_about_the_line_and_not_about_the_grains():
    b = find_boundaries(draw("11111 11211 11111"), 1.0)
    assert b.table["touches_edge"].tolist() == [False]
    b = find_boundaries(draw("11211 11111 11111"), 1.0)
    assert b.table["touches_edge"].tolist() == [True]
    b = find_boundaries(draw("1111 1223 1223 1111"), 1.0)
    edge = {(r.grain_a, r.grain_b): r.touches_edge for r in b.table.itertuples()}
    assert edge == {(1, 2): False, (1, 3): True, (2, 3): False}


def test_a_grain_of_one_pixel_is_surrounded_by_one_closed_boundary():
    b = find_boundaries(draw("111 121 111"), 1.0)
    assert len(b) == 1
    assert len(b.faces) == 4
    assert np.isnan(b.table.at[1, "normal_y"])
    assert np.isnan(b.table.at[1, "normal_x"])
    outward = {(-1, 0), (1, 0), (0, -1), (0, 1)}
    normals = zip(np.sign(b.faces.normal_y), np.sign(b.faces.normal_x), strict=True)
    assert np.hypot(b.faces.normal_y, b.faces.normal_x) == pytest.approx(1)
    assert len({*normals}) == len(outward)


def test_labels_need_not_be_consecutive_and_may_have_several_pieces():
    b = find_boundaries(draw("171 171").astype(np.uint8) * 30, 1.0)
    assert b.table[["grain_a", "grain_b"]].to_numpy().tolist() == [[30, 210], [30, 210]]


def test_a_single_grain_gives_an_empty_but_complete_result():
    empty = find_boundaries(np.full((3, 4), 7), 1.0)
    full = find_boundaries(draw("12"), 1.0)
    assert len(empty) == 0
    assert len(empty.faces) == 0
    assert empty.labels.shape == (3, 4)
    assert not empty.labels.any()
    pd.testing.assert_series_equal(empty.table.dtypes, full.table.dtypes)
    assert empty.table.index.name == full.table.index.name
    for name in ("first", "second", "axis", "boundary", "normal_y", "normal_x"):
        assert getattr(empty.faces, name).dtype == getattr(full.faces, name).dtype


def test_contested_pixels_go_to_the_shorter_boundary():
    b = find_boundaries(draw("1111222 1111222 3333333"), 1.0)
    short = b.table["length"].idxmin()
    assert b.table.loc[short, ["grain_a", "grain_b"]].tolist() == [1, 2]
    assert (b.labels[:2, 3:5] == short).all()
    assert b.labels[2, 3] == b.table.query("grain_a == 1 and grain_b == 3").index[0]


def test_a_boundary_is_two_pixels_thick():
    b = find_boundaries(draw("111222 111222"), 1.0)
    assert b.labels.tolist() == [[0, 0, 1, 1, 0, 0]] * 2


@pytest.mark.parametrize("shape", [(2, 2), (2, 3), (2, 4), (1, 9)])
def test_every_boundary_owns_a_pixel_even_where_all_are_contested(shape):
    """Each pixel its own grain: one-face boundaries, 2 x 2: four of them on four pixels."""
    grains = np.arange(1, np.prod(shape) + 1).reshape(shape)
    b = find_boundaries(grains, 1.0)
    possible = min(len(b), grains.size)
    assert len(np.setdiff1d(np.unique(b.labels), [0])) == possible
    b_rescaled = find_boundaries(grains, (1.0, 3.0))
    assert len(np.setdiff1d(np.unique(b_rescaled.labels), [0])) == possible


def test_a_pixel_moves_along_when_a_neighbour_needs_one():
    # The faces 2|3 and 3|4 of one pixel each lie between others that are as short.
    grains = draw("1111111 1123411 1111111")
    b = find_boundaries(grains, 1.0)
    assert set(np.unique(b.labels)) == {0, *b.table.index}


@settings(max_examples=200, deadline=None)
@given(labels_with_zero)
def test_every_contact_belongs_to_exactly_one_boundary(grains):
    b = find_boundaries(grains, (2.0, 1.0))
    faces = b.faces
    listed = list(zip(faces.first.tolist(), faces.second.tolist(), strict=True))
    assert len(listed) == len(set(listed))
    assert set(listed) == contacts(b.grains)
    assert b.table.index.tolist() == list(range(1, len(b) + 1))
    assert set(faces.boundary.tolist()) == set(b.table.index)
    flat = b.grains.ravel()
    pair = b.table.loc[faces.boundary, ["grain_a", "grain_b"]].to_numpy()
    assert (pair[:, 0] < pair[:, 1]).all()
    here = np.sort(np.stack([flat[faces.first], flat[faces.second]], axis=1), axis=1)
    np.testing.assert_array_equal(here, pair)
    assert (np.diff(faces.boundary) >= 0).all()


@settings(max_examples=200, deadline=None)
@given(labels_with_zero)
def test_labels_lie_on_their_boundary_and_none_is_without_a_pixel(grains):
    b = find_boundaries(grains, 1.0)
    touching: dict[int, set[int]] = {}
    for pixels in (b.faces.first, b.faces.second):
        for p, i in zip(pixels.tolist(), b.faces.boundary.tolist(), strict=True):
            touching.setdefault(p, set()).add(i)
    for p, i in enumerate(b.labels.ravel().tolist()):
        assert (i in touching[p]) if p in touching else i == 0
    # Hall's condition for the whole and for every pixel's worth of it: with no
    # more boundaries than touched pixels around them, everybody gets one.
    owned = set(np.unique(b.labels)) - {0}
    missing = set(b.table.index) - owned
    for i in missing:
        mine = {p for p, ids in touching.items() if i in ids}
        assert all(len(touching[p]) > 1 for p in mine)
        assert all((b.labels.ravel() == b.labels.ravel()[p]).sum() == 1 for p in mine)


@settings(max_examples=100, deadline=None)
@given(labels_with_zero, st.permutations(range(1, 6)))
def test_renaming_grains_changes_no_geometry(grains, names):
    renamed = np.array([0, *names])[grains]
    one, two = find_boundaries(grains, 1.0), find_boundaries(renamed, 1.0)
    np.testing.assert_array_equal(np.array([0, *names])[one.grains], two.grains)
    assert len(one) == len(two)

    def by_face(b):
        length = b.table["length"].to_numpy()[b.faces.boundary - 1]
        flat = b.grains.ravel()
        sign = np.where(flat[b.faces.first] < flat[b.faces.second], 1, -1)
        order = np.lexsort((b.faces.axis, b.faces.first))
        return np.stack(
            [length, b.faces.normal_y * sign, b.faces.normal_x * sign, b.faces.axis], axis=1
        )[order]

    np.testing.assert_allclose(by_face(one), by_face(two), atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(labels_with_zero)
def test_table_normals_are_unit_or_nan_on_closed_boundaries(grains):
    b = find_boundaries(grains, (1.0, 0.5))
    norm = np.hypot(b.table["normal_y"], b.table["normal_x"]).to_numpy()
    assert np.all(np.isnan(norm) | np.isclose(norm, 1))
    assert np.hypot(b.faces.normal_y, b.faces.normal_x) == pytest.approx(1)
    assert (b.table["length"] > 0).all()


def test_the_result_does_not_follow_later_edits_of_the_input():
    grains = draw("12 12")
    b = find_boundaries(grains, 1.0)
    grains[:] = 1
    assert b.drawn.tolist() == [[1, 2], [1, 2]]
    assert b.grains.tolist() == [[1, 2], [1, 2]]


def test_states():
    b = find_boundaries(draw("123 123"), 1.0)
    one = b.with_state(2, "exclude").with_state([1], "locked")
    assert one.table["state"].tolist() == ["locked", "exclude"]
    assert b.table["state"].tolist() == ["use", "use"]
    assert one.labels is b.labels
    assert b.with_state(np.array([1, 2]), "removed").table["state"].tolist() == ["removed"] * 2
    assert b.with_state([], "exclude").table["state"].tolist() == ["use", "use"]
    with pytest.raises(ValueError, match="no boundary 3"):
        b.with_state([1, 3], "exclude")
    with pytest.raises(ValueError, match="'gone'"):
        b.with_state(1, "gone")


def test_notes():
    b = find_boundaries(draw("123 123"), 1.0)
    assert b.table["notes"].tolist() == ["", ""]
    noted = b.with_note(2, "a twin").with_note([1], "x")
    assert noted.table["notes"].tolist() == ["x", "a twin"]
    assert b.table["notes"].tolist() == ["", ""]
    with pytest.raises(ValueError, match="no boundary 9; ids run from 1 to 2"):
        b.with_note(9, "x")


@pytest.mark.parametrize(
    ("grains", "message"),
    [
        (np.ones((2, 2)), "float64"),
        (np.ones((2, 2), dtype=bool), "label a mask first"),
        (np.array([[1, -1]]), "negative"),
        (np.ones((2, 2, 2), dtype=int), r"shape \(2, 2, 2\)"),
        (np.ones(4, dtype=int), r"\(y, x\)"),
        (np.zeros((4, 4), dtype=int), "no grain"),
        (np.zeros((0, 4), dtype=int), "no grain"),
        (np.array([[1, 2**40]]), "32 bits"),
    ],
)
def test_bad_labels(grains, message):
    with pytest.raises(ValueError, match=message):
        find_boundaries(grains, 1.0)


@pytest.mark.parametrize("size", [0, -1.0, np.nan, np.inf, (1.0, 0.0), (1, 2, 3), "1 um"])
def test_bad_pixel_size(size):
    with pytest.raises(ValueError, match="pixel_size"):
        find_boundaries(draw("12"), size)


def test_a_missing_pixel_size_says_what_to_do():
    with pytest.raises(ValueError, match="set it"):
        find_boundaries(draw("12"), None)


def test_more_boundaries_than_labels():
    grains = np.arange(1, 200 * 200 + 1).reshape(200, 200)
    with pytest.raises(ValueError, match="79600 boundaries"):
        find_boundaries(grains, 1.0)
