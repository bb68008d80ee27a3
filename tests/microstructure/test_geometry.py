"""Lengths and normals of boundaries against plane geometry."""

from __future__ import annotations

import numpy as np
import pytest

from napari_liso.microstructure.boundaries import find_boundaries


def half_planes(theta: float, offset: float, n: int, pixel: tuple[float, float]):
    """Two grains on both sides of a line whose normal (cos, sin) is (y, x)."""
    y, x = np.mgrid[:n, :n]
    y, x = (y - n / 2 + 0.5) * pixel[0], (x - n / 2 + 0.5) * pixel[1]
    return np.where(y * np.cos(theta) + x * np.sin(theta) < offset, 1, 2)


def clipped_length(theta: float, offset: float, height: float, width: float) -> float:
    """Length of the line inside a centred rectangle (Liang-Barsky)."""
    lower, upper = -np.inf, np.inf
    for start, step, half in (
        (offset * np.cos(theta), -np.sin(theta), height / 2),
        (offset * np.sin(theta), np.cos(theta), width / 2),
    ):
        if abs(step) > 1e-12:
            ends = sorted(((-half - start) / step, (half - start) / step))
            lower, upper = max(lower, ends[0]), min(upper, ends[1])
    return upper - lower


@pytest.mark.parametrize("degrees", [0, 2, 5, 10, 20, 30, 45, 60, 75, 90, 120, 150])
@pytest.mark.parametrize("pixel", [(1e-6, 1e-6), (1e-6, 0.5e-6)])
def test_length_of_a_straight_line(degrees, pixel):
    n, theta = 100, np.deg2rad(degrees)
    for offset in (-1.3, 0.2, 0.9):
        grains = half_planes(theta, offset * 1e-6, n, pixel)
        expected = clipped_length(theta, offset * 1e-6, n * pixel[0], n * pixel[1])
        b = find_boundaries(grains, pixel)
        assert len(b) == 1
        assert b.table.at[1, "length"] == pytest.approx(expected, rel=0.02)
        in_parts = np.bincount(b.faces.boundary, b.face_length / b.faces.staircase)
        assert in_parts[1] == pytest.approx(b.table.at[1, "length"])


@pytest.mark.parametrize("degrees", [0, 2, 5, 10, 20, 30, 45, 60, 75, 90, 120, 150])
@pytest.mark.parametrize("pixel", [(1.0, 1.0), (1.0, 0.5)])
def test_normals_of_a_straight_line(degrees, pixel):
    theta = np.deg2rad(degrees)
    b = find_boundaries(half_planes(theta, 0.2, 100, pixel), pixel)
    mean = b.table.loc[1, ["normal_y", "normal_x"]].astype(float)
    assert mean.tolist() == pytest.approx([np.cos(theta), np.sin(theta)], abs=0.02)
    cosine = b.faces.normal_y * np.cos(theta) + b.faces.normal_x * np.sin(theta)
    angle = np.rad2deg(np.arccos(np.clip(cosine, -1, 1)))
    assert angle.mean() < 4
    assert angle.max() < 15


@pytest.mark.parametrize("degrees", [0, 10, 20, 30, 45])
def test_staircase_is_the_ratio_of_pixel_faces_to_line(degrees):
    theta = np.deg2rad(degrees)
    b = find_boundaries(half_planes(theta, 0.2, 100, (1.0, 1.0)), 1.0)
    expected = np.cos(theta) + np.sin(theta)
    assert b.faces.staircase.mean() == pytest.approx(expected, rel=0.02)
    from_normals = np.abs(b.faces.normal_y) + np.abs(b.faces.normal_x)
    assert from_normals.mean() == pytest.approx(expected, rel=0.02)
    assert len(b.faces) / b.table.at[1, "length"] == pytest.approx(expected, rel=0.02)


@pytest.mark.parametrize("radius", [8, 10, 15, 25, 40])
@pytest.mark.parametrize("centre", [(0.0, 0.0), (0.31, -0.17), (0.5, 0.5)])
def test_circle(radius, centre):
    """Among them circles whose pixels end in tips (the centre on a pixel)."""
    y, x = np.mgrid[-50:51, -50:51]
    y, x = y - centre[0], x - centre[1]
    b = find_boundaries(np.where(y**2 + x**2 < radius**2, 1, 2), 1e-6)
    assert len(b) == 1
    assert b.table.at[1, "length"] == pytest.approx(2e-6 * np.pi * radius, rel=0.02)
    mid_y = (y.ravel()[b.faces.first] + y.ravel()[b.faces.second]) / 2
    mid_x = (x.ravel()[b.faces.first] + x.ravel()[b.faces.second]) / 2
    outward = (mid_y * b.faces.normal_y + mid_x * b.faces.normal_x) / np.hypot(mid_y, mid_x)
    assert np.rad2deg(np.arccos(np.clip(outward, -1, 1))).mean() < 4


def test_an_ellipse_of_pixels_that_is_a_circle_in_metres():
    y, x = np.mgrid[-40:41, -80:81]
    grains = np.where(y**2 + (x / 2) ** 2 < 30**2, 1, 2)
    b = find_boundaries(grains, (2e-6, 1e-6))
    assert b.table.at[1, "length"] == pytest.approx(2 * np.pi * 60e-6, rel=0.02)


@pytest.mark.parametrize("radius", [8, 12, 20])
def test_single_pixel_tips_make_a_boundary_no_longer(radius):
    y, x = np.mgrid[-30:31, -30:31]
    disc = y**2 + x**2 <= radius**2
    b = find_boundaries(np.where(disc, 1, 2), 1.0)
    same_area = np.sqrt(4 * np.pi * disc.sum())
    assert b.table.at[1, "length"] == pytest.approx(same_area, rel=0.01)


def test_a_ragged_line_is_hardly_longer_than_the_line():
    rng = np.random.default_rng(2)
    grains = np.ones((20, 200), dtype=int)
    grains[10:] = 2
    grains[9, rng.random(200) < 0.3] = 2
    grains[10, rng.random(200) < 0.3] = 1
    b = find_boundaries(grains, 1.0)
    main = b.table["length"].max()
    assert len(b.faces) > 350
    assert main == pytest.approx(200, rel=0.06)


def test_both_sides_of_a_thin_grain_keep_their_normals():
    grains = np.ones((30, 41), dtype=int)
    grains[15, 5:36] = 2  # one pixel thick, far thinner than the smoothing is long
    b = find_boundaries(grains, 1.0)
    assert len(b) == 1
    assert b.table.at[1, "length"] == pytest.approx(62, rel=0.05)
    y, x = np.divmod(b.faces.first, 41)
    top = (b.faces.axis == 0) & (y == 14) & (x > 12) & (x < 28)
    bottom = (b.faces.axis == 0) & (y == 15) & (x > 12) & (x < 28)
    assert b.faces.normal_y[top] == pytest.approx(1, abs=0.02)
    assert b.faces.normal_y[bottom] == pytest.approx(-1, abs=0.02)


def test_junctions_do_not_trim_or_bend_boundaries():
    grains = np.ones((60, 60), dtype=int)
    grains[:, 30:] = 2
    grains[40:] = 3
    b = find_boundaries(grains, 1.0)
    assert b.table["length"].tolist() == pytest.approx([40, 30, 30])
    assert b.faces.staircase == pytest.approx(1)
