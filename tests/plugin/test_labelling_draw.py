"""Lines, boxes and lassos, and where things are: plain geometry."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.plugin.labelling.draw import DrawnPath, smooth
from napari_liso.plugin.labelling.frame import Grid, PixelFrame, ScreenFrame, is_flat_view
from napari_liso.plugin.labelling.navigate import centre_on, next_of
from napari_liso.plugin.labelling.region_select import (
    boundaries_along,
    boundaries_in,
    faces_of,
    grains_along,
)
from napari_liso.plugin.selection import camera_of

from .conftest import PIXEL, add_boundaries, grains_of_three


def at(*point: float) -> np.ndarray:
    return np.array(point)


# --- lines ---


def test_smoothing_takes_the_tremor_and_keeps_the_way() -> None:
    x = np.linspace(0, 100, 201)
    trembling = np.stack([20 + 0.8 * np.sin(2 * np.pi * x / 2.5), x], axis=1)
    line = smooth(trembling, 8.0)
    assert np.abs(line[:, 0] - 20).max() < 0.25
    assert np.allclose(line[[0, -1]], trembling[[0, -1]])
    corner = np.array([[0.0, 0.0], [0.0, 40.0], [40.0, 40.0]])
    away = np.abs(smooth(corner, 4.0)[:, None] - corner[1]).max(axis=-1).min()
    assert away < 2.0  # a corner is cut by less than the width


def test_a_line_of_clicks_and_strokes() -> None:
    path = DrawnPath()
    path.click(at(0, 0))
    path.click(at(0, 5))
    path.click(at(0, 5))  # a second time: nothing
    path.press(at(0, 5))
    path.drag(at(3, 6))
    path.release()
    assert path.points().tolist() == [[0, 0], [0, 5], [3, 6]]
    assert not path.by_hand_only
    path.back()
    assert path.points().tolist() == [[0, 0], [0, 5]]


# --- regions ---


def test_half_of_a_boundary_must_lie_inside() -> None:
    # boundary 1 | 2 at x = 14.5, rows 0..11; 1 | 3 rows 12..23; 2 | 3 at y = 11.5, columns 15..29
    found = find_boundaries(grains_of_three(), PIXEL)
    box = np.array([[-1, 10], [-1, 20], [5.5, 20], [5.5, 10]])
    assert boundaries_in(found, box) == [1]  # 6 of 12 faces
    assert boundaries_in(found, box - [0.6, 0]) == []  # 5
    assert boundaries_in(found, np.array([[-1, -1], [-1, 40], [40, 40], [40, -1]])) == [1, 2, 3]
    assert boundaries_in(found, box[:2]) == []


def test_a_concave_lasso_leaves_out_what_is_in_its_notch() -> None:
    found = find_boundaries(grains_of_three(), PIXEL)
    around = [[-1, 10], [-1, 16], [25, 16], [25, 40], [26, 40], [26, 10]]
    assert boundaries_in(found, np.array(around)) == [1, 2]


def test_what_a_stroke_crosses_in_its_order() -> None:
    found = find_boundaries(grains_of_three(), PIXEL)
    stroke = [[20, 5], [20, 20], [5, 20]]
    assert boundaries_along(found, stroke) == [2, 3]
    assert grains_along(found.grains, stroke) == [1, 3, 2]
    assert boundaries_along(found, [[-50, -50], [-40, -60]]) == []


def test_faces_are_the_sides_between_the_pixels() -> None:
    found = find_boundaries(grains_of_three(), PIXEL)
    ends = faces_of(found, 1)
    assert ends.shape == (12, 2, 2)
    assert np.all(ends[..., 1] == 14.5)
    assert sorted({float(v) for v in ends[..., 0].ravel()}) == list(np.arange(-0.5, 12.0))


# --- next, previous, and the camera ---


@pytest.mark.parametrize(
    ("order", "current", "by", "expected"),
    [
        ([3, 1, 2], 1, 1, 2),
        ([3, 1, 2], 2, 1, 3),
        ([3, 1, 2], 3, -1, 2),
        ([3, 1, 2], None, 1, 3),
        ([3, 1, 2], 9, -1, 2),
        ([], 1, 1, None),
    ],
)
def test_the_next_boundary(
    order: list[int], current: int | None, by: int, expected: int | None
) -> None:
    assert next_of(order, current, by) == expected


def test_the_camera_goes_to_a_boundary_that_is_out_of_sight(viewer: ViewerModel) -> None:
    found = add_boundaries(viewer)
    layer = viewer.layers["Grain boundaries"]
    layer.corner_pixels = np.array([[0, 0], [6, 8]])
    camera = camera_of(viewer)
    camera.center = (1.0, 1.0)
    centre_on(viewer, layer, found, 3)
    # boundary 2 | 3 from x = 14.5 to 29.5 pixels of 0.5 um, at y = 11.5
    assert np.allclose(camera.center[-2:], (5.75, 11.0), atol=0.3)
    layer.corner_pixels = np.array([[0, 0], [23, 29]])
    centre_on(viewer, layer, found, 1)
    assert np.allclose(camera.center[-2:], (5.75, 11.0), atol=0.3)


# --- frames ---


def turned() -> Image:
    turn = np.deg2rad(30)
    return Image(
        np.zeros((10, 20)),
        scale=(0.5, 0.25),
        translate=(3, 4),
        rotate=[[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]],
    )


def test_pixels_to_world_and_back() -> None:
    layer = turned()
    frame = PixelFrame.of_layer(layer)
    points = np.array([[0.0, 0.0], [9, 19], [2.5, 7]])
    expected = [layer.data_to_world(tuple(point)) for point in points]
    assert np.allclose(frame.to_world(points), expected)
    assert np.allclose(frame.to_pixels(expected), points)
    assert frame.pixel == pytest.approx((0.5, 0.25))
    assert frame.beyond((9.4, 0)) == 0.0
    assert frame.beyond((12.5, 3)) == pytest.approx(3.0)


def test_an_image_on_the_pixels_of_a_map() -> None:
    """A ramp over x stays one, whatever pixels it is asked for on."""
    _, x = np.mgrid[:40, :60].astype(float)
    image = Image(x, scale=(0.25, 0.25), translate=(1, 2))
    target = Image(np.zeros((12, 15)), scale=(0.5, 0.5), translate=(2.0, 3.0))
    found = Grid.of_image(image).on(PixelFrame.of_layer(target))
    world = 3.0 + 0.5 * np.arange(15)
    inside = np.isfinite(found)
    assert np.allclose(found[2, 2:-2], ((world - 2) / 0.25)[2:-2], atol=0.02)
    assert inside.all()
    far = Image(np.zeros((12, 15)), scale=(0.5, 0.5), translate=(100.0, 3.0))
    assert np.isnan(Grid.of_image(image).on(PixelFrame.of_layer(far))).all()
    colour = Image(np.dstack([x, x, x]).astype(np.uint8), rgb=True)
    assert np.array_equal(Grid.of_image(colour).on(PixelFrame.of_layer(colour, (40, 60))), x)


def test_where_things_are_on_the_canvas(viewer: ViewerModel) -> None:
    camera = camera_of(viewer)
    camera.center, camera.zoom = (10.0, 20.0), 4.0
    # a canvas of 300 x 200: the centre of the camera is in its middle
    event = SimpleNamespace(pos=np.array([150 + 4 * 5, 100 - 4 * 3]), position=(7.0, 25.0))
    screen = ScreenFrame.of_event(viewer, event)
    assert np.allclose(screen.to_screen(viewer, (10.0, 20.0)), (100, 150))
    camera.center, camera.zoom = (12.0, 20.0), 8.0
    assert np.allclose(screen.to_screen(viewer, (12.0, 21.0)), (100, 158))


def test_only_planes_of_y_and_x_are_flat(viewer: ViewerModel) -> None:
    viewer.add_image(np.zeros((3, 4, 5)))
    assert is_flat_view(viewer)
    viewer.dims.order = (1, 0, 2)
    assert not is_flat_view(viewer)
    viewer.dims.order = (0, 1, 2)
    viewer.dims.ndisplay = 3
    assert not is_flat_view(viewer)
