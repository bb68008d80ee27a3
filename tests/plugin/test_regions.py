"""Regions drawn in napari, as pixels of the counts: placement, shapes, labels, names."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.path import Path
from napari.components import ViewerModel

from napari_liso.plugin import layers as ly
from napari_liso.plugin.layers.regions import line_layer, name_new_regions, regions_layer
from napari_liso.plugin.regions.pixels import drawn_on, mapping_between, regions_of

SHAPE = (40, 60)
PLACED = {"scale": (0.5, 0.5), "translate": (3.0, -2.0), "rotate": 20.0, "units": ("um", "um")}
ELLIPSE = [[5.2, 10.3], [5.2, 40.7], [25.9, 40.7], [25.9, 10.3]]


@pytest.fixture
def counts(viewer: ViewerModel) -> Any:
    return viewer.add_image(np.ones(SHAPE, np.uint16), name="6Li", **PLACED)


def on(layer: Any, counts: Any) -> Any:
    return regions_of(drawn_on(layer, counts))


def centres(shape: tuple[int, int] = SHAPE) -> np.ndarray:
    return np.indices(shape).reshape(2, -1).T


def drawn(viewer: ViewerModel, counts: Any, vertices: Any, kind: str, **options: Any) -> Any:
    placement = ly.Placement.of_layer(counts).arguments
    return viewer.add_shapes([np.array(vertices)], shape_type=kind, **{**placement, **options})


def test_a_polygon_is_the_pixels_whose_centres_are_in_it(viewer: Any, counts: Any) -> None:
    vertices = np.array([[3.3, 5.1], [30.2, 12.7], [22.4, 50.6], [16.1, 28.3]])
    found = on(drawn(viewer, counts, vertices, "polygon"), counts)
    inside = Path(vertices).contains_points(centres()).reshape(SHAPE)
    assert inside.sum() > 300
    np.testing.assert_array_equal(found.mask(0), inside)


def test_rectangles_side_by_side_share_no_pixel(viewer: Any, counts: Any) -> None:
    """Edges through centres: [2, 10) and [10, 20), by hand."""
    left = [[5, 2], [5, 10], [15, 10], [15, 2]]
    right = [[5, 10], [5, 20], [15, 20], [15, 10]]
    layer = drawn(viewer, counts, left, "rectangle")
    layer.add_rectangles([np.array(right)])
    found = on(layer, counts)
    assert (found.row == 0).sum() == 80
    assert (found.row == 1).sum() == 100
    assert not (found.mask(0) & found.mask(1)).any()
    assert found.mask(0)[5:15, 2:10].all()


def test_an_ellipse(viewer: Any, counts: Any) -> None:
    found = on(drawn(viewer, counts, ELLIPSE, "ellipse"), counts)
    y, x = np.indices(SHAPE)
    inside = ((y - 15.55) / 10.35) ** 2 + ((x - 25.5) / 15.2) ** 2 <= 1
    np.testing.assert_array_equal(found.mask(0), inside)


@pytest.mark.parametrize("kind", ["polygon", "ellipse", "rectangle"])
def test_napari_s_own_masks_differ_on_edges_only(viewer: Any, counts: Any, kind: str) -> None:
    layer = drawn(viewer, counts, ELLIPSE, kind)
    theirs = layer.to_masks(SHAPE)[0]
    ours = on(layer, counts).mask(0)
    differ = ours ^ theirs
    core = ours[1:-1, 1:-1] & ours[:-2, 1:-1] & ours[2:, 1:-1] & ours[1:-1, 2:] & ours[1:-1, :-2]
    assert not (differ[1:-1, 1:-1] & core).any()
    assert differ.sum() < 0.1 * ours.sum()


def test_a_path_is_the_pixels_that_it_covers(viewer: Any, counts: Any) -> None:
    layer = drawn(viewer, counts, [[10, 5], [10, 30], [30, 30]], "path", edge_width=3)
    mask = on(layer, counts).mask(0)
    assert mask[9:12, 5:30].all()
    assert mask[11:31, 29:31].all()
    assert not mask[13, :28].any()
    layer.edge_width = 0.1
    assert on(layer, counts).mask(0)[10, 5:31].all()
    assert on(layer, counts).mask(0).sum() == 26 + 20


@pytest.mark.parametrize(
    "other",
    [
        {"scale": (0.25, 0.1), "units": ("um", "um")},
        {"affine": [[0.8, -0.3, 4.0], [0.5, 1.1, -6.0], [0, 0, 1]], "units": ("um", "um")},
        {"scale": (500.0, 500.0), "rotate": -35.0, "units": ("nm", "nm")},
    ],
    ids=["scaled", "affine", "another unit"],
)
def test_shapes_lie_where_napari_shows_them(
    viewer: Any, counts: Any, other: dict[str, Any]
) -> None:
    """The same polygon in the world, given in the pixels of a layer placed otherwise."""
    vertices = np.array([[3.3, 5.1], [30.2, 12.7], [22.4, 50.6], [16.1, 28.3]])
    layer = viewer.add_shapes(ndim=2, **other)
    factor = 1000.0 if other["units"][0] == "nm" else 1.0
    world = [np.asarray(counts.data_to_world(v)) * factor for v in vertices]
    layer.add_polygons([np.array([layer.world_to_data(w) for w in world])])
    inside = Path(vertices).contains_points(centres()).reshape(SHAPE)
    np.testing.assert_array_equal(on(layer, counts).mask(0), inside)


def test_pixels_and_lengths_are_taken_as_napari_does_as_they_are(viewer: Any) -> None:
    counts = viewer.add_image(np.ones(SHAPE, np.uint16), scale=(2, 2), units=("um", "um"))
    layer = viewer.add_shapes(ndim=2, scale=(1, 1), units=("pixel", "pixel"))
    np.testing.assert_allclose(mapping_between(layer, counts)(np.array([[4.0, 6.0]])), [[2, 3]])


def test_what_is_outside_the_map_is_a_region_without_pixels(viewer: Any, counts: Any) -> None:
    layer = drawn(viewer, counts, [[-9, -9], [-9, -5], [-5, -5], [-5, -9]], "polygon")
    layer.add_lines([np.array([[90.0, 90.0], [95.0, 99.0]])])
    layer.add_ellipses([np.array([[80.0, 80], [80, 90], [90, 90], [90, 80]])])
    found = on(layer, counts)
    assert len(found) == 3
    assert len(found.pixel) == 0
    assert len(on(viewer.add_shapes(ndim=2), counts)) == 0


def test_counts_in_frames_and_shapes_of_three_axes(viewer: Any) -> None:
    frames = viewer.add_image(
        np.ones((5, *SHAPE), np.uint16), scale=(1, 0.5, 0.5), translate=(2, 1, 1)
    )
    flat = viewer.add_shapes(
        [np.array([[3, 3], [3, 6], [6, 6], [6, 3]]) * 0.5 + 1], shape_type="polygon"
    )
    assert on(flat, frames).mask(0)[3:6, 3:6].all()
    deep = viewer.add_shapes(
        [np.array([[2, 3, 3], [2, 3, 6], [2, 6, 6], [2, 6, 3]])],
        shape_type="polygon", scale=(1, 0.5, 0.5), translate=(0, 1, 1),
    )  # fmt: skip
    np.testing.assert_array_equal(on(deep, frames).pixel, on(flat, frames).pixel)


def test_labels_on_the_same_pixels_are_taken_as_they_are(viewer: Any, counts: Any) -> None:
    data = np.random.default_rng(0).integers(0, 4, SHAPE)
    layer = viewer.add_labels(data, **PLACED)
    taken = drawn_on(layer, counts)
    assert not taken.is_resampled
    found = regions_of(taken)
    assert found.labels == (1, 2, 3)
    for row, label in enumerate(found.labels):
        np.testing.assert_array_equal(found.mask(row), data == label)
    data[:] = 0  # painting goes on while a thread works
    assert len(regions_of(taken)) == 3


def test_labels_on_other_pixels_are_looked_up_at_the_centres(viewer: Any) -> None:
    """Labels of half the size and moved, against a look-up of each pixel in napari."""
    counts = viewer.add_image(np.ones(SHAPE, np.uint16), **PLACED)
    data = np.random.default_rng(0).integers(0, 9, (70, 80)).astype(np.uint8)
    layer = viewer.add_labels(
        data, scale=(0.27, 0.23), translate=(4, -3), rotate=50, units=("um", "um")
    )
    taken = drawn_on(layer, counts)
    assert taken.is_resampled
    found = regions_of(taken)
    mine = np.zeros(SHAPE, int)
    for row, label in enumerate(found.labels):
        mine[found.mask(row)] = label
    for place in np.random.default_rng(1).integers(0, SHAPE, (300, 2)):
        theirs = layer.get_value(counts.data_to_world(place), world=True)
        assert mine[tuple(place)] == (theirs or 0)
    assert (mine > 0).sum() > 200


def test_what_holds_no_regions_is_refused(viewer: Any, counts: Any) -> None:
    with pytest.raises(ValueError, match="Labels or a Shapes layer"):
        drawn_on(counts, counts)
    with pytest.raises(ValueError, match="one plane"):
        drawn_on(viewer.add_labels(np.ones((3, *SHAPE), int)), counts)


def test_names_from_features(viewer: Any, counts: Any) -> None:
    layer = drawn(viewer, counts, [[3, 3], [3, 6], [6, 6]], "polygon")
    layer.add_polygons([np.array([[13, 3], [13, 6], [16, 6]])])
    assert on(layer, counts).names == ("region 1", "region 2")
    layer.features = pd.DataFrame({"name": ["hole", None]})
    assert on(layer, counts).names == ("hole", "region 2")
    labels = viewer.add_labels(np.full(SHAPE, 5), **PLACED)
    labels.features = pd.DataFrame({"index": [0, 5], "name": ["none", "mount"]})
    assert on(labels, counts).names == ("mount",)


def test_layers_to_draw_in_lie_on_the_counts(viewer: Any, counts: Any) -> None:
    for data in (regions_layer(counts), line_layer(counts, 4.0)):
        layer = ly.add(viewer, data)
        mapping = mapping_between(layer, counts)
        assert mapping.keeps(SHAPE)
        assert layer.units == counts.units
        assert layer.metadata["napari_liso"]["sources"] == ["6Li"]
    assert layer.current_edge_width == 4.0


def test_new_regions_get_free_names(viewer: Any, counts: Any) -> None:
    layer = ly.add(viewer, regions_layer(counts))
    square = np.array([[3, 3], [3, 6], [6, 6], [6, 3]])
    layer.add_polygons([square])
    layer.add_rectangles([square + 9])
    assert name_new_regions(layer)
    assert layer.features["name"].tolist() == ["region 1", "region 2"]
    layer.selected_data = {0}
    layer.remove_selected()
    layer.selected_data = {0}
    layer.add_ellipses([square + 20])
    layer.add_ellipses([square + 30])
    assert name_new_regions(layer)
    assert layer.features["name"].tolist() == ["region 2", "region 1", "region 3"]
    assert not name_new_regions(layer)
    layer.features = pd.DataFrame({"name": ["hole", "mount", "hole"]})
    assert name_new_regions(layer)
    assert on(layer, counts).names == ("hole", "mount", "region 1")
    assert not name_new_regions(drawn(viewer, counts, square, "polygon"))
