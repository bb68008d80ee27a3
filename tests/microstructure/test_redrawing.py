"""A piece of a boundary drawn anew: where it runs, and what stays."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.editing import redraw_boundary


def halves(height: int = 40, width: int = 60) -> np.ndarray:
    grains = np.ones((height, width), dtype=np.int32)
    grains[:, width // 2 :] = 2
    return grains


def cells(seed: int, size: int = 60, count: int = 8) -> np.ndarray:
    rng = np.random.default_rng(seed)
    points = rng.random((count, 2)) * size
    y, x = np.mgrid[:size, :size]
    away = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    return np.unique(away.argmin(axis=-1), return_inverse=True)[1].reshape(size, size) + 1


def ends_of(b, boundary):
    """Ends of a boundary in pixels: corners that only one of its faces has."""
    f = b.faces
    mine = f.boundary == boundary
    y, x = np.divmod(f.first[mine], b.grains.shape[1])
    flat = f.axis[mine] == 0  # between rows: the face runs along x
    ends = np.concatenate(
        [
            np.stack([y + 0.5, x + 0.5], axis=1),
            np.stack([np.where(flat, y + 0.5, y - 0.5), np.where(flat, x - 0.5, x + 0.5)], axis=1),
        ]
    )
    places, count = np.unique(ends, axis=0, return_counts=True)
    return places[count == 1]


def test_a_piece_runs_along_the_path_and_the_rest_stays():
    grains = halves()
    b = find_boundaries(grains, 1.0)
    path = [(10.0, 29.0), (20.0, 20.0), (30.0, 30.0)]
    after = redraw_boundary(b, 1, path).applied_to(grains)
    np.testing.assert_array_equal(after[:10], grains[:10])
    np.testing.assert_array_equal(after[31:], grains[31:])
    rows = np.arange(11, 30)
    drawn = np.interp(rows, [10, 20, 30], [29, 20, 30])
    edge = np.array([np.flatnonzero(np.diff(after[row]))[0] + 0.5 for row in rows])
    assert np.abs(edge - drawn).max() <= 1
    assert set(np.unique(after)) == {1, 2}


def test_a_path_over_the_boundary_moves_it_both_ways():
    grains = halves()
    b = find_boundaries(grains, 1.0)
    rows = np.arange(4, 37)
    columns = 29.5 + 8 * np.sin((rows - 4) / 32 * 2 * np.pi)
    after = redraw_boundary(b, 1, np.stack([rows, columns], axis=1)).applied_to(grains)
    edge = np.array([np.flatnonzero(np.diff(after[row]))[0] + 0.5 for row in rows[1:-1]])
    assert np.abs(edge - columns[1:-1]).max() <= 1.5
    forth = redraw_boundary(b, 1, np.stack([rows, columns], axis=1)[::-1]).applied_to(grains)
    np.testing.assert_array_equal(after, forth)


def test_drawing_it_back_restores_the_grains():
    grains = halves()
    after = redraw_boundary(
        find_boundaries(grains, 1.0), 1, [(8.0, 30.0), (20.0, 45.0), (32.0, 30.0)]
    ).applied_to(grains)
    back = redraw_boundary(find_boundaries(after, 1.0), 1, [(3.0, 29.5), (37.0, 29.5)])
    np.testing.assert_array_equal(back.applied_to(after), grains)


def test_a_bulge_of_a_closed_boundary():
    y, x = np.mgrid[:60, :60]
    radius = np.hypot(y - 30, x - 30)
    grains = np.where(radius < 12, 2, 1)
    b = find_boundaries(grains, 1.0)
    path = [(30.0, 42.0), (22.0, 50.0), (18.0, 30.0)]  # from the right round to the top
    after = redraw_boundary(b, 1, path).applied_to(grains)
    assert after[24, 46] == 2
    np.testing.assert_array_equal(after[31:], grains[31:])
    np.testing.assert_array_equal(after[:, :29], grains[:, :29])
    assert ndimage.label(after == 2)[1] == 1


def test_a_whole_closed_boundary():
    y, x = np.mgrid[:60, :60]
    grains = np.where(np.hypot(y - 30, x - 30) < 12, 2, 1)
    b = find_boundaries(grains, 1.0)
    turn = np.linspace(0, 2 * np.pi, 60)
    loop = 30 + 16 * np.stack([np.sin(turn), np.cos(turn)], axis=1)
    after = redraw_boundary(b, 1, loop).applied_to(grains)
    expected = np.hypot(y - 30, x - 30) < 16
    assert ((after == 2) != expected).sum() < 2 * np.pi * 16 * 0.5


def test_a_junction_moves_along_the_third_grain():
    grains = halves(40, 60)
    grains[:10] = 3  # the border of grain 3 is row 10; the junction is at column 30
    b = find_boundaries(grains, 1.0)
    which = int(b.table.query("grain_a == 1 and grain_b == 2").index[0])
    after = redraw_boundary(b, which, [(25.0, 29.5), (9.0, 45.5)]).applied_to(grains)
    np.testing.assert_array_equal(after[:10], 3)
    np.testing.assert_array_equal(after[26:], grains[26:])
    rows = np.arange(11, 24)
    edge = np.array([np.flatnonzero(np.diff(after[row]))[0] + 0.5 for row in rows])
    assert np.abs(edge - (29.5 + (25 - rows) * 1.0)).max() <= 1
    found = find_boundaries(after, 1.0)
    assert len(found) == 3


def test_a_junction_moves_along_a_curved_grain():
    y, x = np.mgrid[:60, :60]
    grains = np.where(x < 30, 1, 2)
    grains[np.hypot(y - 0, x - 30) < 20] = 3
    b = find_boundaries(grains, 1.0)
    which = int(b.table.query("grain_a == 1 and grain_b == 2").index[0])
    after = redraw_boundary(b, which, [(45.0, 29.5), (8.0, 47.0)]).applied_to(grains)
    np.testing.assert_array_equal(after == 3, grains == 3)
    for label in (1, 2):
        assert ndimage.label(after == label)[1] == 1
    # Between the old boundary and the path all belongs to grain 1 now.
    below = (y > 20) & (x >= 30) & ((x - 29.5) / (45 - y + 1e-9) < 17.5 / 37 - 0.05) & (y < 44)
    assert (after[below & (grains != 3)] == 1).all()


def test_an_end_at_the_edge_of_the_image_moves_along_it():
    grains = halves()
    b = find_boundaries(grains, 1.0)
    after = redraw_boundary(b, 1, [(20.0, 29.5), (-1.0, 40.0)]).applied_to(grains)
    assert np.flatnonzero(np.diff(after[0]))[0] + 0.5 == pytest.approx(39.5, abs=1.5)
    np.testing.assert_array_equal(after[21:], grains[21:])


def test_a_drawn_line_does_not_stay_behind():
    drawn = halves()
    drawn[:, 30] = 0
    b = find_boundaries(drawn, 1.0)
    after = redraw_boundary(b, 1, [(10.0, 30.0), (20.0, 20.0), (30.0, 30.0)]).applied_to(drawn)
    assert (after[12:29] > 0).all()
    np.testing.assert_array_equal(after[:9], drawn[:9])
    found = find_boundaries(after, 1.0)
    assert len(found) == 1
    assert len(np.unique(found.grains)) == 2


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 60), st.integers(0, 2**32 - 1), st.data())
def test_only_the_two_grains_change_and_stay_whole(seed, path_seed, data):
    grains = cells(seed)
    b = find_boundaries(grains, 1e-6)
    which = data.draw(st.sampled_from(list(b.table.index[b.table.length > 12e-6])))
    first, last = ends_of(b, which)[:2]
    rng = np.random.default_rng(path_seed)
    part = np.linspace(0.0, 1.0, 9)[:, None]
    bow = rng.uniform(-12, 12) * np.sin(np.pi * part)
    side = np.array([(last - first)[1], -(last - first)[0]]) / np.hypot(*(last - first))
    path = first + part * (last - first) + bow * side + rng.normal(0, 0.8, (9, 2))
    pair = b.table.loc[which, ["grain_a", "grain_b"]].to_list()
    try:
        after = redraw_boundary(b, which, path).applied_to(grains)
    except ValueError as error:
        assert "cut grain" in str(error) or "leaves nothing" in str(error)  # noqa: PT017
        return
    others = ~np.isin(grains, pair)
    np.testing.assert_array_equal(after[others], grains[others])
    assert np.isin(after[~others], pair).all()
    for grain in pair:
        before = ndimage.label(grains == grain)[1]
        assert ndimage.label(after == grain)[1] <= before


def test_edits_that_make_no_sense():
    grains = halves(80, 100)
    b = find_boundaries(grains, 1.0)
    with pytest.raises(ValueError, match=r"ends 45 pixels from boundary 1"):
        redraw_boundary(b, 1, [(40.0, 50.0), (40.0, 94.5), (40.0, 95.0 - 0.5)], reach=3)
    with pytest.raises(ValueError, match="runs there already"):
        redraw_boundary(b, 1, [(10.0, 49.5), (70.0, 49.5)])
    with pytest.raises(ValueError, match="no boundary 9"):
        redraw_boundary(b, 9, [(10.0, 49.5), (70.0, 49.5)])
    with pytest.raises(ValueError, match="cut grain 2 in two"):
        redraw_boundary(b, 1, [(38.0, 49.5), (38.0, 99.0), (42.0, 99.9), (42.0, 49.5)])


def test_the_largest_labels_do_not_overflow():
    names = np.array([0, 2**31 - 2, 2**31 - 1], dtype=np.int32)
    b, large = (find_boundaries(g, 1.0) for g in (halves(), names[halves()]))
    path = [(10.0, 29.0), (20.0, 20.0), (30.0, 30.0)]
    expected = redraw_boundary(b, 1, path).applied_to(halves())
    np.testing.assert_array_equal(
        redraw_boundary(large, 1, path).applied_to(large.drawn), names[expected]
    )


def test_a_grain_cannot_vanish():
    grains = halves()
    b = find_boundaries(grains, 1.0)
    with pytest.raises(ValueError, match="leaves nothing of grain 1"):
        redraw_boundary(b, 1, [(-1.0, 29.5), (-1.0, -1.0), (41.0, -1.0), (41.0, 29.5)])
