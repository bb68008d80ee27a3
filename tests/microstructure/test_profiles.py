"""Distances, profiles and steps against geometry and direct sums."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.profiles import (
    boundary_profile,
    boundary_steps,
    distance_to_boundaries,
)


def columns(split: int = 6, shape: tuple[int, int] = (4, 14)) -> np.ndarray:
    grains = np.ones(shape, dtype=int)
    grains[:, split:] = 2
    return grains


def voronoi(n: int, count: int, seed: int) -> np.ndarray:
    points = np.random.default_rng(seed).random((count, 2)) * n
    y, x = np.mgrid[:n, :n]
    far = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
    return far.argmin(axis=-1) + 1


@pytest.mark.parametrize("pixel", [(1.0, 1.0), (2.0, 0.5), (0.5e-6, 2e-6)])
def test_distance_from_a_straight_boundary_along_the_pixels(pixel):
    b = find_boundaries(columns(), pixel)
    distance, nearest = distance_to_boundaries(b)
    expected = np.abs(np.arange(14) + 0.5 - 6) * pixel[1]
    np.testing.assert_allclose(distance, np.tile(expected, (4, 1)))
    assert (nearest == 1).all()
    b = find_boundaries(columns().T, pixel)
    distance, _ = distance_to_boundaries(b)
    expected = np.abs(np.arange(14) + 0.5 - 6) * pixel[0]
    np.testing.assert_allclose(distance, np.tile(expected, (4, 1)).T)


def test_a_pixel_that_touches_a_boundary_is_half_a_pixel_away_and_others_further():
    b = find_boundaries(voronoi(40, 12, 1), 2.0)
    distance, _ = distance_to_boundaries(b)
    touching = np.zeros(b.grains.size, dtype=bool)
    touching[b.faces.first] = touching[b.faces.second] = True
    touching = touching.reshape(b.grains.shape)
    np.testing.assert_allclose(distance[touching], 1.0)
    assert distance[~touching].min() > 2.0


@pytest.mark.parametrize("degrees", [10, 20, 30, 45])
def test_distance_from_a_slanted_boundary(degrees):
    theta = np.deg2rad(degrees)
    y, x = np.mgrid[-40:40, -40:40] + 0.5
    true = y * np.cos(theta) + x * np.sin(theta) - 0.2
    distance, _ = distance_to_boundaries(find_boundaries(np.where(true < 0, 1, 2), 1.0))
    near = (np.abs(true) < 10) & (np.hypot(y, x) < 30)
    error = distance[near] - np.abs(true[near])
    assert np.abs(error).max() < 0.5
    assert abs(error.mean()) < 0.2


def test_distance_from_a_circle():
    y, x = np.mgrid[-40:41, -40:41]
    r = np.hypot(y - 0.3, x + 0.1)
    distance, _ = distance_to_boundaries(find_boundaries(np.where(r < 20, 1, 2), 1.0))
    near = np.abs(r - 20) < 12
    error = distance[near] - np.abs(r[near] - 20)
    assert np.abs(error).max() < 0.6
    assert abs(error.mean()) < 0.2


def test_nearest_boundary_against_all_face_centres():
    b = find_boundaries(voronoi(48, 15, 2), (1.0, 0.7))
    distance, nearest = distance_to_boundaries(b)
    y, x = np.divmod(b.faces.first, 48)
    centre_y = (y + 0.5 * (b.faces.axis == 0)) * 1.0
    centre_x = (x + 0.5 * (b.faces.axis == 1)) * 0.7
    at_y, at_x = np.mgrid[:48, :48]
    away = np.hypot(at_y[..., None] * 1.0 - centre_y, at_x[..., None] * 0.7 - centre_x)
    best = away.min(axis=-1)
    assert (distance >= best - 1e-9).all()
    assert (distance - best).max() < 0.3
    assert np.isclose(distance, best).mean() > 0.9
    assert (nearest == b.faces.boundary[away.argmin(axis=-1)]).mean() > 0.97


def test_no_boundary_is_infinitely_far():
    distance, nearest = distance_to_boundaries(find_boundaries(np.ones((3, 3), int), 1.0))
    assert np.isinf(distance).all()
    assert (nearest == 0).all()


def test_a_profile_sums_whole_pixels_on_both_sides():
    b = find_boundaries(columns(), 1e-6)
    n6 = np.tile(np.arange(14), (4, 1))
    n7 = np.full((4, 14), 10)
    profile = boundary_profile(b, 1, n6, n7, max_distance=4e-6)
    np.testing.assert_allclose(profile.distance, (np.arange(-4, 4) + 0.5) * 1e-6)
    assert profile.n6.tolist() == [4 * c for c in range(2, 10)]
    assert profile.n7.tolist() == [40] * 8
    expected = np.arange(2, 10) / np.arange(12, 20)
    np.testing.assert_allclose(profile.fraction, expected)
    assert profile.n6.dtype == np.int64
    assert profile.model is None
    assert profile.boundary == 1


@pytest.mark.parametrize("pixel", [1e-8, 2e-8, 7e-8, 1e-7, 1.4e-7])
@pytest.mark.parametrize("rows", [1, 2, 3])
def test_whole_rows_of_pixels_are_left_out_whatever_the_rounding(pixel, rows):
    grains = np.ones((4, 24), dtype=np.int32)
    grains[:, 12:] = 2
    b = find_boundaries(grains, pixel)
    ones = np.ones(grains.shape, dtype=np.int64)
    # the last row that is left out, as a person writes it: 1.5e-08 and not 1.5 * 1e-08
    exclude = float(f"{(rows - 0.5) * pixel:.6g}")
    outer = float(f"{(rows + 3.5) * pixel:.6g}")
    profile = boundary_profile(b, 1, ones, ones, outer, pixel, exclude=exclude)
    assert profile.pixels.sum() == 2 * 4 * 4
    steps = boundary_steps(b, ones, ones, exclude=exclude, max_distance=outer)
    assert steps.loc[1, ["counts_a", "counts_b"]].tolist() == [32, 32]


def test_profile_intervals_are_binomial_intervals_of_the_bin():
    b = find_boundaries(columns(), 1.0)
    n6, n7 = np.full((4, 14), 5), np.full((4, 14), 15)
    profile = boundary_profile(b, 1, n6, n7, max_distance=2)
    exact = stats.binomtest(20, 80).proportion_ci(0.95, method="wilson")
    assert profile.lower == pytest.approx(exact.low, abs=0.02)
    assert profile.upper == pytest.approx(exact.high, abs=0.02)
    assert (profile.lower < 0.25).all()
    narrow = boundary_profile(b, 1, n6, n7, max_distance=2, confidence=0.5)
    assert (narrow.upper - narrow.lower < profile.upper - profile.lower).all()


def test_the_sign_is_negative_in_grain_a_also_when_it_lies_to_the_right():
    grains = 3 - columns()
    n6 = (grains == 1).astype(int)
    profile = boundary_profile(find_boundaries(grains, 1.0), 1, n6, 1 - n6, max_distance=3)
    np.testing.assert_array_equal(profile.fraction, [1, 1, 1, 0, 0, 0])


def test_wider_bins_hold_the_sums_of_the_narrow_ones():
    b = find_boundaries(voronoi(40, 6, 3), 1.0)
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(3, (2, 40, 40))
    one = boundary_profile(b, 1, n6, n7, max_distance=8)
    two = boundary_profile(b, 1, n6, n7, max_distance=8, bin_width=2)
    assert two.n6.tolist() == one.n6.reshape(-1, 2).sum(axis=1).tolist()
    np.testing.assert_allclose(two.distance, one.distance.reshape(-1, 2).mean(axis=1))


def test_profiles_of_all_boundaries_share_out_the_counts():
    grains = voronoi(40, 10, 4)
    b = find_boundaries(grains, 1.0)
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(3, (2, 40, 40))
    _, nearest = distances = distance_to_boundaries(b)
    profiles = [
        boundary_profile(b, i, n6, n7, max_distance=100, distances=distances)
        for i in b.table.index
    ]
    pair = b.table.loc[nearest.ravel(), ["grain_a", "grain_b"]].to_numpy()
    own = (pair == grains.reshape(-1, 1)).any(axis=1).reshape(grains.shape)
    assert own.mean() > 0.99
    assert sum(p.n6.sum() for p in profiles) == n6[own].sum()
    assert sum(p.n7.sum() for p in profiles) == n7[own].sum()


def test_a_pore_has_no_data():
    grains = columns()
    grains[1:3, 1:5] = 0
    n6 = np.where(grains == 0, 1000, 1)
    profile = boundary_profile(find_boundaries(grains, 1.0), 1, n6, n6, max_distance=6)
    assert profile.n6.tolist() == [4, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 4]


def test_the_model_is_averaged_with_the_counts_as_weights():
    b = find_boundaries(columns(), 1.0)
    n6 = np.zeros((4, 14), dtype=int)
    n7 = np.zeros((4, 14), dtype=int)
    n7[:, 5] = [1, 2, 3, 4]
    model = np.zeros((4, 14))
    model[:, 5] = [0.1, 0.2, 0.3, 0.4]
    profile = boundary_profile(b, 1, n6, n7, max_distance=2, model=model)
    assert profile.model is not None
    assert profile.model[1] == pytest.approx((0.1 + 0.4 + 0.9 + 1.6) / 10)
    assert np.isnan(profile.model[0])
    assert np.isnan(profile.fraction[0])
    assert profile.fraction[1] == 0


def test_steps_are_a_minus_b_with_binomial_errors():
    grains = columns()
    n6 = np.where(grains == 1, 30, 10)
    n7 = np.where(grains == 1, 70, 90)
    table = boundary_steps(find_boundaries(grains, 1e-6), n6, n7)
    row = table.loc[1]
    assert row["fraction_a"] == pytest.approx(0.3)
    assert row["fraction_b"] == pytest.approx(0.1)
    assert row["step"] == pytest.approx(0.2)
    # Four columns of four pixels a side, the one that touches left out.
    assert row["counts_a"] == row["counts_b"] == 1600
    error = np.sqrt(0.3 * 0.7 / 1600 + 0.1 * 0.9 / 1600)
    assert row["step_se"] == pytest.approx(error, rel=0.01)


def test_step_errors_have_the_size_of_the_scatter():
    grains = columns(7)
    b = find_boundaries(grains, 1.0)
    rng = np.random.default_rng(1)
    p = np.where(grains == 1, 0.4, 0.2)
    pulls = []
    for _ in range(400):
        n = rng.poisson(2.0, grains.shape)
        n6 = rng.binomial(n, p)
        row = boundary_steps(b, n6, n - n6).loc[1]
        pulls.append((row["step"] - 0.2) / row["step_se"])
    assert abs(np.mean(pulls)) < 0.15
    assert 0.9 < np.std(pulls) < 1.1


def test_steps_of_one_isotope_alone_have_an_error():
    grains = columns()
    row = boundary_steps(find_boundaries(grains, 1.0), 0 * grains, 0 * grains + 1).loc[1]
    assert row["step"] == 0
    assert 0 < row["step_se"] < 0.2


def test_steps_say_nan_where_a_side_has_no_data():
    grains = np.array([[1, 1, 1, 2, 2, 3, 3, 3]] * 3)  # grain 2 is two pixels wide
    table = boundary_steps(find_boundaries(grains, 1.0), grains, grains)
    assert table["step"].isna().all()
    assert table.loc[1, "counts_b"] == 0
    assert table.loc[1, "fraction_a"] == 0.5
    with_all = boundary_steps(find_boundaries(grains, 1.0), grains, grains, exclude=0)
    assert with_all["step"].notna().all()


def test_steps_of_a_map_without_boundaries():
    grains = np.ones((3, 3), dtype=int)
    table = boundary_steps(find_boundaries(grains, 1.0), grains, grains)
    assert len(table) == 0
    assert "step_se" in table


def test_bad_input():
    b = find_boundaries(columns(), 1.0)
    counts = np.ones((4, 14), dtype=int)
    with pytest.raises(ValueError, match="no boundary 2"):
        boundary_profile(b, 2, counts, counts, 3)
    with pytest.raises(ValueError, match=r"n7 has shape \(3, 14\)"):
        boundary_profile(b, 1, counts, counts[1:], 3)
    with pytest.raises(ValueError, match="n6 must hold whole counts"):
        boundary_steps(b, counts * 0.5, counts)
    with pytest.raises(ValueError, match="positive"):
        boundary_profile(b, 1, counts, counts, 0)
    with pytest.raises(ValueError, match="positive"):
        boundary_profile(b, 1, counts, counts, 3, bin_width=-1.0)
    with pytest.raises(ValueError, match="model has shape"):
        boundary_profile(b, 1, counts, counts, 3, model=np.ones((2, 2)))
    with pytest.raises(ValueError, match="exclude < max_distance"):
        boundary_steps(b, counts, counts, max_distance=1.0, exclude=2.0)
