"""Profiles of all boundaries at once, and the limits of angle, band and mask."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.distances import (
    distance_to_boundaries,
    nearest_faces,
    position_along,
)
from napari_liso.microstructure.profiles import (
    boundary_profile,
    boundary_profiles,
    boundary_steps,
)


def voronoi(n: int, count: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).random((count, 2)) * n
    y, x = np.mgrid[:n, :n]
    far = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    return far.argmin(axis=-1) + 1


def disc(radius: float, centre: tuple[float, float], reach: int) -> tuple[np.ndarray, np.ndarray]:
    """Grain 1 inside a circle and 2 outside, and the signed distance from it in pixels."""
    half = int(radius) + reach + 5
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    distance = np.hypot(y - centre[0], x - centre[1]) - radius
    return np.where(distance < 0, 1, 2), distance


def counts_of(shape: tuple[int, ...], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    n6, n7 = np.random.default_rng(seed).poisson(3, (2, *shape))
    return n6, n7


@pytest.fixture(scope="module")
def mosaic() -> Boundaries:
    return find_boundaries(voronoi(60, 14, 5), (1e-6, 0.7e-6))


def with_gaps() -> Boundaries:
    """Boundaries 1 and 7 between three columns; 4 was removed in between."""
    grains = np.repeat([[1] * 5 + [2] * 5 + [3] * 5], 4, axis=0)
    b = find_boundaries(grains, 1.0)
    lost = b.table.iloc[[0]].assign(length=0.0, state="removed")
    table = pd.concat([b.table.iloc[[0]], lost, b.table.iloc[[1]]])
    table.index = pd.Index([1, 4, 7], name="id")
    ids = np.array([0, 1, 7], dtype=np.int32)
    faces = replace(b.faces, boundary=ids[b.faces.boundary])
    return replace(b, table=table, faces=faces, labels=ids[b.labels].astype(np.uint16))


def test_all_profiles_against_a_loop_over_the_pixels(mosaic):
    n6, n7 = counts_of(mosaic.grains.shape)
    width, bins, leave_out = 1.5e-6, 4, 0.8e-6
    found = boundary_profiles(mosaic, n6, n7, bins * width, width, exclude=leave_out)
    distance, nearest = distance_to_boundaries(mosaic)
    want = {i: np.zeros((3, 2 * bins), dtype=int) for i in mosaic.table.index}
    for at in np.ndindex(mosaic.grains.shape):
        pair = mosaic.table.loc[nearest[at], ["grain_a", "grain_b"]].to_list()
        if mosaic.grains[at] not in pair or not leave_out < distance[at] <= bins * width:
            continue
        step = int(min(distance[at] / width + 1e-9, bins - 1))
        place = bins - 1 - step if mosaic.grains[at] == pair[0] else bins + step
        want[nearest[at]][:, place] += (n6[at], n7[at], 1)
    assert found.ids.tolist() == list(want)
    for row, i in enumerate(found.ids):
        np.testing.assert_array_equal(found.n6[row], want[i][0])
        np.testing.assert_array_equal(found.n7[row], want[i][1])
        np.testing.assert_array_equal(found.pixels[row], want[i][2])
    np.testing.assert_allclose(found.distance, (np.arange(-4, 4) + 0.5) * width)


def test_fractions_have_binomial_intervals_and_bins_without_counts_none(mosaic):
    n6, n7 = counts_of(mosaic.grains.shape)
    found = boundary_profiles(mosaic, n6, n7, 30e-6, confidence=0.9)
    full = found.pixels > 0
    total = (found.n6 + found.n7)[full]
    np.testing.assert_allclose(found.fraction[full], found.n6[full] / total)
    assert np.isnan(found.fraction[~full]).all()
    assert (~full).any()
    row, bins = np.argwhere(found.n6 + found.n7 > 100)[0]
    k, n = int(found.n6[row, bins]), int((found.n6 + found.n7)[row, bins])
    exact = stats.binomtest(k, n).proportion_ci(0.9, method="exact")
    assert found.lower[row, bins] == pytest.approx(exact.low, abs=5e-3)
    assert found.upper[row, bins] == pytest.approx(exact.high, abs=5e-3)


def test_one_profile_is_a_row_of_all(mosaic):
    n6, n7 = counts_of(mosaic.grains.shape)
    model = np.random.default_rng(1).random(n6.shape)
    found = boundary_profiles(mosaic, n6, n7, 4e-6, model=model, distances=nearest_faces(mosaic))
    assert len(found) == len(mosaic)
    for i in mosaic.table.index:
        one = boundary_profile(mosaic, i, n6, n7, 4e-6, model=model)
        row = found.of(i)
        for name in ("n6", "n7", "pixels", "fraction", "lower", "upper", "model"):
            np.testing.assert_allclose(getattr(one, name), getattr(row, name), err_msg=name)


def test_the_table_has_a_row_for_each_bin_with_pixels(mosaic):
    n6, n7 = counts_of(mosaic.grains.shape)
    found = boundary_profiles(mosaic, n6, n7, 5e-6)
    table = found.table()
    assert len(table) == (found.pixels > 0).sum()
    assert table["n6"].sum() == found.n6.sum()
    first = table[table["id"] == 1]
    np.testing.assert_allclose(first["distance"], found.distance[found.pixels[0] > 0])
    assert "model" not in table


def test_only_the_boundaries_asked_for_in_their_order(mosaic):
    n6, n7 = counts_of(mosaic.grains.shape)
    found = boundary_profiles(mosaic, n6, n7, 5e-6, ids=[9, 2])
    assert found.ids.tolist() == [9, 2]
    np.testing.assert_array_equal(found.n6[1], boundary_profiles(mosaic, n6, n7, 5e-6).of(2).n6)
    with pytest.raises(ValueError, match="no profile of boundary 1"):
        found.of(1)


def test_ids_may_have_gaps_and_removed_rows():
    b = with_gaps()
    n6 = np.tile(np.arange(15), (4, 1))
    n7 = np.ones_like(n6)
    found = boundary_profiles(b, n6, n7, 2.0)
    assert found.ids.tolist() == [1, 7]
    assert found.n6.tolist() == [[12, 16, 20, 24], [32, 36, 40, 44]]
    asked = boundary_profiles(b, n6, n7, 2.0, ids=[4])
    assert asked.pixels.sum() == 0
    assert np.isnan(asked.fraction).all()
    assert boundary_profile(b, 7, n6, n7, 2.0).n6.tolist() == [32, 36, 40, 44]
    steps = boundary_steps(b, n6, n7, max_distance=2.0)
    assert steps.index.tolist() == [1, 4, 7]
    assert steps.loc[1, "fraction_b"] == pytest.approx(6 / 7)
    assert steps.loc[7, "fraction_b"] == pytest.approx(11 / 12)
    assert np.isnan(steps.loc[4, "step"])
    assert steps.loc[4, "counts_a"] == 0


def test_a_map_without_boundaries_has_no_profiles():
    b = find_boundaries(np.ones((4, 4), dtype=int), 1.0)
    ones = np.ones((4, 4), dtype=int)
    found = boundary_profiles(b, ones, ones, 2.0, max_angle=0.3, band=(0, 1))
    assert len(found) == 0
    assert len(found.table()) == 0


@pytest.mark.parametrize("radius", [20, 40])
@pytest.mark.parametrize("ratio", [0.0054, 0.05])  # k / D per pixel; k = 0.014, D = 2.6 um
@pytest.mark.parametrize("centre", [(0.3, -0.1), (0.5, 0.5), (0.0, 0.0)])
def test_a_circle_gives_the_permeability_of_its_field(radius, ratio, centre):
    """The local relation k = D slope / jump without noise, from lines through the bins."""
    reach = 18
    grains, distance = disc(radius, centre, reach)
    jump = 0.2
    p = 0.6 - jump * ratio * distance - np.where(distance >= 0, jump, 0)
    n6 = np.rint(1e7 * p).astype(int)
    found = boundary_profile(find_boundaries(grains, 1.0), 1, n6, 10**7 - n6, reach)
    lines = []
    for side in (found.distance < 0, found.distance > 0):
        weight = np.sqrt(found.pixels[side])
        lines.append(np.polyfit(found.distance[side], found.fraction[side], 1, w=weight))
    slope = -(lines[0][0] + lines[1][0]) / 2
    bias = np.log(slope / (lines[0][1] - lines[1][1])) - np.log(ratio)
    assert abs(bias) < 0.02


def test_a_straight_line_across_a_circle_would_be_far_off():
    """What the distance bins are for: 10 pixels radius, a strip of 20 pixels."""
    grains, distance = disc(10, (0, 0), 12)
    n6 = np.where(distance < 0, 900, 100)
    b = find_boundaries(grains, 1.0)
    found = boundary_profile(b, 1, n6, 1000 - n6, 8)
    np.testing.assert_allclose(found.fraction, [0.9] * 8 + [0.1] * 8)
    strip = grains[:, abs(np.arange(len(grains)) - len(grains) // 2) < 10]
    mixed = (strip == 1).mean(axis=1)
    assert ((mixed > 0.1) & (mixed < 0.9)).sum() > 8


def corner() -> Boundaries:
    """Grain 2 fills a quarter; its boundary runs along row 40, then along column 40."""
    grains = np.ones((80, 80), dtype=int)
    grains[:40, :40] = 2
    return find_boundaries(grains, 1.0)


def test_an_angle_picks_the_pieces_that_face_one_way():
    b = corner()
    n6 = np.zeros((80, 80), dtype=int)
    n6[:40, 38:42] = 1  # beside the upright piece
    n7 = np.zeros_like(n6)
    n7[38:42, :30] = 1  # beside the level piece
    both = boundary_profile(b, 1, n6, n7, 2)
    assert both.n6.sum() > 100
    assert both.n7.sum() == 120
    upright = boundary_profile(b, 1, n6, n7, 2, max_angle=np.deg2rad(20), direction=(0, 3))
    assert upright.n7.sum() == 0
    assert upright.n6.sum() > 0.7 * both.n6.sum()
    turned = boundary_profile(b, 1, n6, n7, 2, max_angle=np.deg2rad(20), direction=(0, -1))
    assert turned.n6.sum() == upright.n6.sum()
    level = boundary_profile(b, 1, n6, n7, 2, max_angle=np.deg2rad(20), direction=(1, 0))
    assert level.n7.sum() == 120
    # the mean normal is at 45 degrees: only what is near the corner looks that way
    mean = boundary_profile(b, 1, n6, n7, 2, max_angle=np.deg2rad(30))
    assert mean.n7.sum() == 0
    assert 0 < mean.pixels.sum() < 0.3 * both.pixels.sum()


def test_the_angle_of_a_straight_boundary_leaves_out_nothing():
    y, x = np.mgrid[:60, :60]
    b = find_boundaries(np.where(y * 0.5 + x < 45, 1, 2), 1.0)
    n6, n7 = counts_of((60, 60))
    every = boundary_profile(b, 1, n6, n7, 10)
    near = boundary_profile(b, 1, n6, n7, 10, max_angle=np.deg2rad(12))
    assert near.n6.sum() > 0.97 * every.n6.sum()


def test_a_closed_boundary_has_no_mean_normal_but_can_be_cut_by_direction():
    grains, _ = disc(20, (0.2, 0.1), 10)
    b = find_boundaries(grains, 1.0)
    ones = np.ones(grains.shape, dtype=int)
    every = boundary_profile(b, 1, ones, ones, 5).pixels.sum()
    assert boundary_profile(b, 1, ones, ones, 5, max_angle=1.0).pixels.sum() == 0
    half = boundary_profile(b, 1, ones, ones, 5, max_angle=np.pi / 4, direction=(1, 0))
    assert half.pixels.sum() == pytest.approx(every / 2, rel=0.05)


def test_a_band_is_a_piece_along_the_boundary():
    grains = np.repeat([[1] * 6 + [2] * 6], 20, axis=0)
    n6 = np.repeat(np.arange(20)[:, None], 12, axis=1)
    n7 = np.ones_like(n6)
    b = find_boundaries(grains, 0.5e-6)
    upper = boundary_profile(b, 1, n6, n7, 1e-6, band=(0, 0.25))
    assert upper.n6.tolist() == [0 + 1 + 2 + 3 + 4] * 4
    assert upper.pixels.tolist() == [5] * 4
    middle = boundary_profile(b, 1, n6, n7, 1e-6, band=(0.25, 0.75))
    assert middle.n6.tolist() == [sum(range(5, 15))] * 4
    left = boundary_profile(find_boundaries(grains.T, 1.0), 1, n6.T, n7.T, 2, band=(0, 0.25))
    assert left.n6.tolist() == upper.n6.tolist()


def test_positions_run_along_the_boundary():
    y, x = np.mgrid[:50, :50]
    b = find_boundaries(np.where(y + x < 50, 1, 2), (1.0, 2.0))
    along = position_along(b)
    row, column = np.divmod(b.faces.first, 50)
    # from the upper right to the lower left corner
    np.testing.assert_allclose(along, (row + 50 - column) / 100, atol=0.03)
    assert along.min() > 0
    assert along.max() < 1
    faces = np.diff(np.sort(along)) * b.table.loc[1, "length"]
    assert faces.max() < 2.5


def test_positions_of_a_closed_boundary_go_both_ways_around():
    grains, _ = disc(20, (0, 0), 5)
    b = find_boundaries(grains, 1.0)
    along = position_along(b)
    middle = grains.shape[0] / 2
    y, x = np.divmod(b.faces.first, grains.shape[1])
    angle = np.arctan2(x - middle, middle - y)
    away = np.angle(np.exp(1j * (angle - angle[b.faces.first.argmin()])))
    np.testing.assert_allclose(along, np.abs(away) / np.pi, atol=0.05)


def test_a_mask_is_a_strip(mosaic):
    n6, n7 = counts_of(mosaic.grains.shape)
    strip = np.zeros(n6.shape, dtype=bool)
    strip[20:30] = True
    found = boundary_profiles(mosaic, n6, n7, 4e-6, where=strip)
    want = boundary_profiles(mosaic, n6 * strip, n7 * strip, 4e-6)
    np.testing.assert_array_equal(found.n6, want.n6)
    assert found.pixels.sum() < want.pixels.sum()


def test_limits_that_make_no_sense(mosaic):
    n6, n7 = counts_of(mosaic.grains.shape)
    for wrong, message in (
        ({"max_angle": 0.0}, "max_angle must be"),
        ({"max_angle": 1.0, "direction": (0, 0)}, "direction must be"),
        ({"direction": (0, 1)}, "direction needs max_angle"),
        ({"band": (0.5, 0.2)}, "band must be"),
        ({"band": (0.0, 1.5)}, "band must be"),
        ({"exclude": 9e-6}, "exclude < max_distance"),
        ({"where": n6[1:] > 0}, "where has shape"),
        ({"ids": [1, 1]}, "twice"),
        ({"ids": [1, 99]}, "no boundary 99"),
        ({"distances": (np.ones((2, 2)), np.ones((2, 2), int))}, r"distances have shape \(2, 2\)"),
    ):
        with pytest.raises(ValueError, match=message):
            boundary_profiles(mosaic, n6, n7, 5e-6, **wrong)
    plain = distance_to_boundaries(mosaic)
    with pytest.raises(ValueError, match="nearest_faces"):
        boundary_profiles(mosaic, n6, n7, 5e-6, band=(0, 0.5), distances=plain)
    by_face = boundary_profiles(mosaic, n6, n7, 5e-6, distances=nearest_faces(mosaic))
    by_id = boundary_profiles(mosaic, n6, n7, 5e-6, distances=plain)
    np.testing.assert_array_equal(by_face.n6, by_id.n6)
