"""Curvature and spread of normals against arcs, waves and lines."""

from __future__ import annotations

import numpy as np
import pytest

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries


def disc(radius: float, centre: tuple[float, float] = (0.2, -0.3), half: int = 60):
    """Label 1 in a circle around `centre` (from the middle pixel), 2 outside."""
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    return np.where((y - centre[0]) ** 2 + (x - centre[1]) ** 2 < radius**2, 1, 2)


def longest(b: Boundaries):
    return b.table.loc[b.table["length"].idxmax()]


@pytest.mark.parametrize("radius", [6, 8, 12, 20, 40])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.31, -0.17), (0.5, 0.5)])
def test_curvature_of_a_circle(radius, centre):
    b = find_boundaries(disc(radius, centre), 1e-6)
    assert b.table.at[1, "curvature"] == pytest.approx(1e6 / radius, rel=0.05)


@pytest.mark.parametrize("radius", [6, 8, 12, 20, 40])
@pytest.mark.parametrize("part", ["half", "quarter"])
def test_curvature_of_an_open_arc(radius, part):
    """Its ends must not look straighter than the rest."""
    grains = disc(radius)[60:]
    b = find_boundaries(grains if part == "half" else grains[:, 60:], 1e-6)
    assert b.table.at[1, "curvature"] == pytest.approx(1e6 / radius, rel=0.15)


def test_curvature_of_a_circle_on_oblong_pixels():
    y, x = np.mgrid[-40:41, -80:81]
    b = find_boundaries(np.where(y**2 + (x / 2) ** 2 < 30**2, 1, 2), (2e-6, 1e-6))
    assert b.table.at[1, "curvature"] == pytest.approx(1 / 60e-6, rel=0.05)


@pytest.mark.parametrize(("n", "most"), [(30, 0.0075), (100, 0.0045)])
def test_a_straight_line_is_straight_at_any_angle(n, most):
    y, x = np.mgrid[:n, :n] - n / 2 + 0.5
    for theta in np.deg2rad(np.arange(0, 180, 3)):
        b = find_boundaries(np.where(y * np.cos(theta) + x * np.sin(theta) < 0.2, 1, 2), 1.0)
        assert longest(b)["curvature"] < most
        assert longest(b)["normal_spread"] < 0.1


def test_a_line_along_the_pixels_has_no_curvature_and_no_spread():
    b = find_boundaries(np.repeat([[1, 2]], 40, axis=0).repeat(5, axis=1), 1.0)
    assert b.table.at[1, "curvature"] == pytest.approx(0, abs=1e-12)
    assert b.table.at[1, "normal_spread"] == pytest.approx(0, abs=1e-6)


def test_curvature_counts_turns_to_and_fro():
    """A sine wave: the mean of abs(y'') / (1 + y'^2) over the length of the line."""
    period, height = 100, 10
    y, x = np.mgrid[:60, :300]
    b = find_boundaries(np.where(y < 30 + height * np.sin(2 * np.pi * x / period), 1, 2), 1.0)
    k = 2 * np.pi / period
    t = np.linspace(0, 3 * period, 30_000)
    slope = height * k * np.cos(k * t)
    turn = height * k**2 * np.abs(np.sin(k * t)) / (1 + slope**2)
    expected = turn.mean() / np.sqrt(1 + slope**2).mean()
    assert b.table.at[1, "curvature"] == pytest.approx(expected, rel=0.05)
    ends = 2 * np.arctan(height * k) / (period / 2)  # were it a signed mean, it would be ~0
    assert b.table.at[1, "curvature"] > 0.5 * ends


def test_turning_a_map_does_not_change_curvature_and_spread():
    grains = disc(17)[50:, 40:]
    one = find_boundaries(grains, 1.0).table.loc[1]
    for turned in (grains.T, grains[::-1], np.rot90(grains)):
        two = find_boundaries(turned, 1.0).table.loc[1]
        assert two["curvature"] == pytest.approx(one["curvature"], rel=1e-6)
        assert two["normal_spread"] == pytest.approx(one["normal_spread"], rel=1e-6)


@pytest.mark.parametrize("radius", [20, 40])
def test_spread_of_the_normals_of_a_half_circle(radius):
    """Directions uniform over half a turn: their resultant is 2 / pi."""
    b = find_boundaries(disc(radius)[60:], 1e-6)
    expected = np.sqrt(-2 * np.log(2 / np.pi))
    assert b.table.at[1, "normal_spread"] == pytest.approx(expected, rel=0.06)


def test_spread_of_two_straight_parts_at_a_right_angle():
    """Two directions, half of the length each: resultant 1 / sqrt(2)."""
    grains = np.ones((100, 100), dtype=int)
    grains[50:, 50:] = 2
    b = find_boundaries(grains, 1.0)
    assert b.table.at[1, "normal_spread"] == pytest.approx(np.sqrt(np.log(2)), rel=0.05)


def test_a_closed_boundary_has_curvature_but_no_spread_and_a_tiny_one_has_neither():
    table = find_boundaries(disc(10), 1.0).table
    assert np.isnan(table.at[1, "normal_spread"])
    assert table.at[1, "curvature"] > 0
    tiny = find_boundaries(np.array([[1, 1, 1], [1, 2, 1], [1, 1, 1]]), 1.0).table
    assert np.isnan(tiny.at[1, "curvature"])
