"""Where boundaries meet and end, on label images drawn by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_liso.microstructure.boundaries import find_boundaries


def draw(text: str) -> np.ndarray:
    """Label image from rows of digits; a dot is 0."""
    rows = [row.strip() for row in text.split()]
    return np.array([[0 if c == "." else int(c) for c in row] for row in rows])


def points(table: pd.DataFrame, kind: str) -> list[tuple[float, float, tuple[int, ...]]]:
    some = table[table["kind"] == kind]
    return list(zip(some["y"], some["x"], some["boundaries"], strict=True))


def test_a_triple_junction_and_the_ends_at_the_image_edge():
    b = find_boundaries(draw("1122 1122 3333"), 1e-6)
    assert points(b.junctions, "triple") == [(1.5, 1.5, (1, 2, 3))]
    assert points(b.junctions, "image edge") == [
        (-0.5, 1.5, (1,)),
        (1.5, -0.5, (2,)),
        (1.5, 3.5, (3,)),
    ]
    assert len(b.junctions) == 4
    assert b.table["neighbours"].tolist() == [(2, 3), (1, 3), (1, 2)]


def test_four_grains_at_a_corner():
    b = find_boundaries(draw("12 34"), 1.0)
    assert points(b.junctions, "quadruple or higher") == [(0.5, 0.5, (1, 2, 3, 4))]
    assert b.table["neighbours"].tolist() == [(2, 3, 4), (1, 3, 4), (1, 2, 4), (1, 2, 3)]


def test_a_checkerboard_of_two_grains_is_no_junction():
    b = find_boundaries(draw("1111 1221 1112 1111"), 1.0)
    kinds = set(b.junctions["kind"])
    assert kinds == {"image edge"}
    assert b.table["neighbours"].tolist() == [()]


def test_two_boundaries_that_touch_at_a_corner_meet_there():
    b = find_boundaries(draw("12 31"), 1.0)
    assert points(b.junctions, "quadruple or higher") == [(0.5, 0.5, (1, 2))]
    assert b.table["neighbours"].tolist() == [(2,), (1,)]


PORE = "111222 111222 11..22 11..22 111222 111222"
CRACK = "111222 111222 11..22 11..22 11..22 11..22"


def test_boundaries_end_at_a_pore():
    b = find_boundaries(draw(PORE), 1.0)
    assert points(b.junctions, "pore") == [(1.5, 2.5, (1,)), (3.5, 2.5, (2,))]
    assert points(b.junctions, "image edge") == [(-0.5, 2.5, (1,)), (5.5, 2.5, (2,))]
    assert len(b.junctions) == 4
    # They have the same grains but do not meet.
    assert b.table["neighbours"].tolist() == [(), ()]


def test_zeros_that_reach_the_image_edge_are_the_free_surface():
    b = find_boundaries(draw(CRACK), 1.0)
    assert points(b.junctions, "free surface") == [(1.5, 2.5, (1,))]
    assert points(b.junctions, "pore") == []


def test_zeros_that_touch_by_a_corner_are_one_region():
    text = "11111111 11..1111 11..1111 1111..11 2222..22 222222.. 222222.. 22222222"
    b = find_boundaries(draw(text), 1.0)
    assert set(b.surfaces.query("region > 0")["kind"]) == {"free surface"}
    assert set(b.surfaces["region"]) == {0, 1}


def test_surfaces_by_name():
    b = find_boundaries(draw(PORE), (2.0, 1.0))
    table = b.surfaces.set_index(["grain", "kind"])
    assert table.at[(1, "image edge"), "length"] == pytest.approx(6 * 2 + 2 * 3)
    assert table.at[(2, "image edge"), "length"] == pytest.approx(6 * 2 + 2 * 3)
    assert table.at[(1, "image edge"), "region"] == 0
    assert table.at[(1, "pore"), "region"] == 1
    assert set(b.surfaces["kind"]) == {"image edge", "pore"}
    crack = find_boundaries(draw(CRACK), 1.0).surfaces
    assert set(crack["kind"]) == {"image edge", "free surface"}


@pytest.mark.parametrize("radius", [8, 15, 25])
def test_the_outline_of_a_round_pore_has_no_staircase(radius):
    y, x = np.mgrid[-40:41, -40:41]
    grains = np.ones((81, 81), dtype=int)
    grains[np.hypot(y - 0.2, x + 0.3) < radius] = 0
    table = find_boundaries(grains, 1e-6).surfaces.set_index("kind")
    assert table.at["pore", "length"] == pytest.approx(2e-6 * np.pi * radius, rel=0.02)
    assert table.at["image edge", "length"] == pytest.approx(4 * 81e-6)


def test_a_slanted_free_surface_has_its_true_length():
    y, x = np.mgrid[:100, :100]
    grains = np.where(x > 20 + 0.5 * y, 1, 0)
    table = find_boundaries(grains, 1.0).surfaces.set_index("kind")
    assert table.at["free surface", "length"] == pytest.approx(np.hypot(100, 50), rel=0.02)


def test_one_grain_alone_and_lines_are_no_zero_region():
    b = find_boundaries(draw("777 777"), 1.0)
    assert len(b.junctions) == 0
    assert list(b.junctions.columns) == ["y", "x", "kind", "boundaries"]
    assert b.surfaces.to_numpy().tolist() == [[7, "image edge", 0, 10.0]]
    lined = find_boundaries(draw("11.22 11.22 11.22"), 1.0)
    assert set(lined.junctions["kind"]) == {"image edge"}
    assert set(lined.surfaces["kind"]) == {"image edge"}


def test_every_end_of_a_boundary_has_a_name():
    """A random map with pores: corners where a boundary has one face or three."""
    rng = np.random.default_rng(4)
    grains = rng.integers(0, 5, (12, 12)).repeat(4, 0).repeat(4, 1)
    b = find_boundaries(grains, 1.0)
    named = {
        (y + 0.5, x + 0.5, i)
        for y, x, ids in zip(*(b.junctions[c] for c in ("y", "x", "boundaries")), strict=True)
        for i in ids
    }
    ends: dict[tuple[float, float, int], int] = {}
    faces = b.faces
    for first, axis, i in zip(faces.first, faces.axis, faces.boundary, strict=True):
        y, x = divmod(int(first), 48)
        corners = ((y + 1, x), (y + 1, x + 1)) if axis == 0 else ((y, x + 1), (y + 1, x + 1))
        for corner in corners:
            ends[*corner, int(i)] = ends.get((*corner, int(i)), 0) + 1
    assert {end for end, faces_there in ends.items() if faces_there % 2} <= named
    assert set(b.junctions["kind"]) >= {"triple", "image edge", "pore", "free surface"}
