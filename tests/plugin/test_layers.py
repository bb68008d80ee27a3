"""Objects to layers and back: nothing about place, units or counts is lost on the way."""

from __future__ import annotations

import json

import matplotlib
import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image, Labels, Layer

from napari_liso.acquisition import Acquisition
from napari_liso.counting.corrections import Corrections
from napari_liso.counting.fraction import isotope_fraction
from napari_liso.counting.measured import Measured
from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.plugin import colours
from napari_liso.plugin import layers as ly
from napari_liso.plugin.records import corrections_of, give_corrections
from napari_liso.plugin.regions.far_field import far_field_of, give_far_field

from .conftest import PIXEL, acquisition_of, fit_of, grains_of_three


def as_layer(layer_data: ly.LayerData) -> Layer:
    return Layer.create(*layer_data)


def tilted(data: np.ndarray) -> Image:
    """An image somewhere else, turned, stretched and with an affine on top."""
    affine = np.array([[1.0, 0.2, 5.0], [-0.1, 1.1, -3.0], [0, 0, 1]])
    return Image(
        data,
        scale=(0.5, 0.4),
        translate=(3.0, -7.0),
        rotate=30,
        shear=[0.2],
        affine=affine,
        units=("um", "um"),
        axis_labels=("y", "x"),
        name="source",
    )


# --- counts -----------------------------------------------------------------------------------


def test_channels_become_images_in_micrometres() -> None:
    acquisition = acquisition_of(frames=3, pixel_size=(0.5e-6, 0.25e-6))
    layers = [as_layer(d) for d in ly.acquisition_layers(acquisition)]
    assert [layer.name for layer in layers] == ["6Li", "7Li"]
    for layer, channel in zip(layers, acquisition.counts, strict=True):
        assert layer.data.dtype.kind in "iu"
        assert np.array_equal(layer.data, channel.sum(axis=0))
        assert tuple(layer.scale) == (0.5, 0.25)
        assert [str(unit) for unit in layer.units] == ["micrometer", "micrometer"]
        assert layer.axis_labels == ("y", "x")
        record = layer.metadata["napari_liso"]
        assert json.loads(json.dumps(record))["acquisition"]["path"] == "map.test"
    assert layers[0].metadata["napari_liso"]["channel"] == "6Li"


def test_frames_can_be_a_stack() -> None:
    acquisition = acquisition_of(frames=3)
    first = as_layer(ly.acquisition_layers(acquisition, frames=True)[0])
    assert first.data.shape == (3, 24, 30)
    assert tuple(first.axis_labels) == ("scan", "y", "x")
    assert [str(unit) for unit in first.units] == ["pixel", "micrometer", "micrometer"]
    assert np.array_equal(ly.counts_from_layer(first), acquisition["6Li"])
    assert ly.pixel_size_from_layer(first) == (PIXEL, PIXEL)


@pytest.mark.parametrize(("level", "expected"), [(0, 1.0), (500, 500.0)])
def test_contrast_of_counts_starts_at_zero_and_spans_one_count(
    level: int, expected: float
) -> None:
    counts = np.full((1, 1, 40, 40), level)
    counts[0, 0, 0, 0] = level + 10_000 if level else 0  # a hot pixel must not rule
    acquisition = Acquisition(counts, ("a",), np.array([np.nan]))
    (data,) = ly.acquisition_layers(acquisition)
    assert as_layer(data).contrast_limits == [0.0, pytest.approx(expected, rel=0.05)]


def test_counts_come_back_as_they_went() -> None:
    acquisition = acquisition_of()
    layer = as_layer(ly.acquisition_layers(acquisition)[0])
    counts = ly.counts_from_layer(layer)
    assert counts.dtype == np.int64
    assert np.array_equal(counts, acquisition["6Li"])
    assert ly.acquisition_from_layer(layer) is acquisition


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (np.full((3, 3), 0.5), "fractional"),
        (np.full((3, 3), np.nan), "fractional"),
        (np.full((3, 3), -1), "negative"),
    ],
)
def test_what_is_no_count_is_refused(data: np.ndarray, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        ly.counts_from_layer(Image(data, name="x"))


def test_colours_and_labels_are_no_counts() -> None:
    with pytest.raises(ValueError, match="not an image of counts"):
        ly.counts_from_layer(Image(np.zeros((4, 4, 3), np.uint8), rgb=True))
    with pytest.raises(ValueError, match="not an image of counts"):
        ly.counts_from_layer(Labels(np.zeros((4, 4), np.uint8)))


def test_whole_numbers_stored_as_floats_are_counts() -> None:
    assert ly.counts_from_layer(Image(np.full((3, 3), 2.0))).sum() == 18


# --- pixel size -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scale", "unit", "expected"),
    [
        ((0.5, 0.25), "um", (5e-7, 2.5e-7)),
        ((300, 300), "nm", (3e-7, 3e-7)),
        ((1, 1), "mm", (1e-3, 1e-3)),
    ],
)
def test_pixel_size_follows_the_unit(
    scale: tuple[float, float], unit: str, expected: tuple[float, float]
) -> None:
    layer = Image(np.zeros((4, 4)), scale=scale, units=(unit, unit))
    assert ly.pixel_size_from_layer(layer) == pytest.approx(expected, rel=1e-12)


def test_pixel_size_includes_the_affine() -> None:
    turn = np.deg2rad(30)
    twice = 2 * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    affine = np.eye(3)
    affine[:2, :2] = twice
    layer = Image(np.zeros((4, 4)), scale=(0.5, 0.5), units=("um", "um"), affine=affine)
    assert ly.pixel_size_from_layer(layer) == pytest.approx((1e-6, 1e-6), rel=1e-9)


def test_a_pixel_size_that_is_not_known_is_not_guessed() -> None:
    (data, _) = ly.acquisition_layers(acquisition_of(pixel_size=None))
    layer = as_layer(data)
    assert [str(unit) for unit in layer.units] == ["pixel", "pixel"]
    with pytest.raises(ValueError, match="pixel size of '6Li' is not known"):
        ly.pixel_size_from_layer(layer)
    ly.set_pixel_size(layer, 0.3)
    assert ly.pixel_size_from_layer(layer) == pytest.approx((3e-7, 3e-7))


# --- results lie where their source lies --------------------------------------------------------


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_a_pooled_fraction_lies_over_its_pixels(factor: int) -> None:
    counts = np.arange(36).reshape(6, 6) + 5
    source = tilted(counts)
    fraction = isotope_fraction(counts, counts, bin=factor)
    layer = as_layer(ly.fraction_layer(fraction, "f", ly.Placement.of_layer(source), bin=factor))
    assert layer.data.shape == (6 // factor, 6 // factor)
    assert layer.data.dtype == np.float32
    inside = [(y, x) for y in range(factor, 2 * factor) for x in range(factor)]
    centre = np.mean([source.data_to_world(at) for at in inside], axis=0)
    assert np.allclose(layer.data_to_world((1, 0)), centre)
    assert layer.units == source.units


def test_results_lie_where_the_counts_lie() -> None:
    source = tilted(np.ones((24, 30), int))
    boundaries = find_boundaries(grains_of_three(), PIXEL)
    viewer = ViewerModel()
    viewer.add_layer(source)
    for data in ly.fit_layers(fit_of(boundaries), boundaries, ly.Placement.of_layer(source)):
        ly.show(viewer, data)
    assert [layer.name for layer in viewer.layers] == [
        "source", "Model fraction", "Residual (sigma)", "log10 k (m/s)", "Grain boundaries",
    ]  # fmt: skip
    for layer in viewer.layers:
        for corner in ((0, 0), (23, 0), (5, 29)):
            assert np.allclose(layer.data_to_world(corner), source.data_to_world(corner))
        assert layer.units == source.units
    # napari drops all units as soon as one layer disagrees
    assert viewer.layers.extent.units == source.units


def test_a_stack_gives_its_last_two_axes() -> None:
    plane = tilted(np.ones((6, 6), int))
    affine = np.eye(4)
    affine[1:, 1:] = plane.affine.affine_matrix
    turn = np.eye(3)
    turn[1:, 1:] = plane.rotate
    stack = Image(
        np.ones((3, 6, 6), int),
        scale=(1, *plane.scale),
        translate=(0, *plane.translate),
        rotate=turn,
        shear=[0, 0, 0.2],
        affine=affine,
        units=("pixel", "um", "um"),
    )
    copy = Image(np.ones((6, 6)), **ly.Placement.of_layer(stack).arguments)
    assert np.allclose(copy.data_to_world((2, 5)), plane.data_to_world((2, 5)))


# --- boundaries -------------------------------------------------------------------------------


def test_boundaries_keep_napari_s_contract_for_features() -> None:
    boundaries = find_boundaries(grains_of_three(), PIXEL)
    layer = as_layer(ly.boundaries_layer(boundaries, ly.Placement.of_pixel_size((PIXEL, PIXEL))))
    assert layer.data.dtype == np.uint16
    assert sorted(np.unique(layer.data)) == list(range(len(layer.features)))
    assert list(layer.features["index"]) == [0, 1, 2, 3]
    row = layer.features.iloc[2]
    assert (row["grain_a"], row["grain_b"]) == (1, 3)
    assert row["length_um"] == pytest.approx(12 * 0.5)
    assert np.isnan(layer.features["length_um"][0])
    assert ly.boundaries_from_layer(layer) is boundaries
    assert ly.fit_from_layer(layer) is None


def test_fitted_boundaries_take_the_colour_of_log_k() -> None:
    boundaries = find_boundaries(grains_of_three(), PIXEL)
    fit = fit_of(boundaries, [1e-9, 1e-7, 1e-8])
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    *_, image_data, labels_data = ly.fit_layers(fit, boundaries, placement)
    image, labels = as_layer(image_data), as_layer(labels_data)
    assert image.contrast_limits == [pytest.approx(-8.96), pytest.approx(-7.04)]
    scale = matplotlib.colormaps["cool_r"]
    # the ends of the scale hold 96 %, so that the two lie at its ends
    assert np.allclose(labels.colormap.map(1), scale(0.0), atol=0.01)
    assert np.allclose(labels.colormap.map(2), scale(1.0), atol=0.01)
    assert np.allclose(labels.colormap.map(3), colours.UNRESOLVED)
    assert labels.colormap.map(0)[3] == 0
    assert image.data[labels.data == 1][0] == pytest.approx(-9)
    assert np.isnan(image.data[labels.data == 3]).all()
    assert np.isnan(image.data[labels.data == 0]).all()


def test_a_selected_boundary_stands_out() -> None:
    boundaries = find_boundaries(grains_of_three(), PIXEL)
    layer = as_layer(ly.boundaries_layer(boundaries, ly.Placement.of_pixel_size((PIXEL, PIXEL))))
    ly.recolour_boundaries(layer, (2,))
    assert np.allclose(layer.colormap.map(2), colours.SELECTED)
    assert np.allclose(layer.colormap.map(1), colours.OUTLINE)


def test_residual_colours_are_symmetric() -> None:
    boundaries = find_boundaries(grains_of_three(), PIXEL)
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    residual = as_layer(ly.fit_layers(fit_of(boundaries), boundaries, placement)[1])
    low, high = residual.contrast_limits
    assert low == -high


def test_grains_are_checked() -> None:
    with pytest.raises(ValueError, match="is empty"):
        ly.grains_from_layer(Labels(np.zeros((5, 5), int), name="x"))
    with pytest.raises(ValueError, match="one plane"):
        ly.grains_from_layer(Labels(np.ones((2, 5, 5), int), name="x"))
    with pytest.raises(ValueError, match="not a Labels layer"):
        ly.grains_from_layer(Image(np.ones((5, 5))))
    with pytest.raises(ValueError, match="press Find boundaries"):
        ly.boundaries_from_layer(Labels(np.ones((5, 5), int)))


# --- colour limits ------------------------------------------------------------------------------


def test_fraction_limits_ignore_nearly_empty_pixels() -> None:
    value = np.concatenate([np.linspace(0.1, 0.7, 1000), [0.0, 1.0] * 20])
    counts = np.concatenate([np.full(1000, 500), np.ones(40)])
    low, high = colours.fraction_limits(value, counts)
    assert low == pytest.approx(0.103, abs=0.003)
    assert high == pytest.approx(0.697, abs=0.003)


def test_a_scale_over_nearly_everything_is_labelled_zero_to_one() -> None:
    assert colours.readable_limits(0.0759, 0.95) == (0.0, 1.0)
    assert colours.readable_limits(0.3, 0.3) == pytest.approx((0.25, 0.35))


def test_fraction_limits_of_nothing_are_those_of_a_fraction() -> None:
    assert colours.fraction_limits(np.full(4, np.nan), np.zeros(4)) == (0.0, 1.0)


# --- in the viewer ------------------------------------------------------------------------------


def fraction_data(offset: int = 0, limits: tuple[float, float] | None = None) -> ly.LayerData:
    counts = np.full((6, 6), 50)
    counts[0] += offset
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    fraction = isotope_fraction(counts, np.full((6, 6), 50))
    return ly.fraction_layer(fraction, "6Li fraction", placement, limits=limits)


def test_a_result_is_updated_in_place(viewer: ViewerModel) -> None:
    layer = ly.show(viewer, fraction_data())
    layer.colormap = "viridis"
    layer.opacity = 0.5
    again = ly.show(viewer, fraction_data(offset=40, limits=(0.2, 0.8)))
    assert again is layer
    assert len(viewer.layers) == 1
    assert layer.data[0, 0] == pytest.approx(90 / 140)
    assert layer.colormap.name == "viridis"
    assert layer.opacity == 0.5
    assert layer.contrast_limits == [0.2, 0.8]


def test_limits_set_by_hand_are_kept(viewer: ViewerModel) -> None:
    layer = ly.show(viewer, fraction_data())
    layer.contrast_limits = (0.3, 0.6)
    ly.show(viewer, fraction_data(offset=40))
    assert layer.contrast_limits == [0.3, 0.6]


def test_counts_read_again_take_their_new_limits(viewer: ViewerModel) -> None:
    for frames in (1, 10):
        for data in ly.acquisition_layers(acquisition_of(frames=frames)):
            ly.show(viewer, data)
    assert len(viewer.layers) == 2
    assert 400 < viewer.layers["6Li"].contrast_limits[1] < 500  # 40 a frame


def test_a_layer_of_the_user_is_never_overwritten(viewer: ViewerModel) -> None:
    own = viewer.add_image(np.zeros((6, 6)), name="6Li fraction")
    made = ly.show(viewer, fraction_data())
    assert made is not own
    assert made.name == "6Li fraction [1]"
    assert not own.data.any()


def test_segmenting_again_can_be_undone(viewer: ViewerModel) -> None:
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    drawn = grains_of_three()
    layer = ly.show(viewer, ly.grains_layer(drawn, placement))
    ly.show(viewer, ly.grains_layer(drawn + 5, placement))
    assert np.array_equal(layer.data, drawn + 5)
    layer.undo()
    assert np.array_equal(layer.data, drawn)


def test_images_go_below_lines(viewer: ViewerModel) -> None:
    boundaries = find_boundaries(grains_of_three(), PIXEL)
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    ly.show(viewer, ly.boundaries_layer(boundaries, placement))
    ly.show(viewer, fraction_data())
    assert [layer.name for layer in viewer.layers] == ["6Li fraction", "Grain boundaries"]


def test_corrections_and_far_field_outlive_an_update_of_their_counts(viewer: ViewerModel) -> None:
    (first, _) = ly.acquisition_layers(acquisition_of())
    layer = ly.show(viewer, first)
    given = Corrections(hydride_ratio=Measured(0.01, 0.002, "by hand"))
    give_corrections(layer, given)
    give_far_field(layer, Measured(0.08))
    assert ly.show(viewer, ly.acquisition_layers(acquisition_of())[0]) is layer
    assert corrections_of(layer) == given
    assert far_field_of(layer) == Measured(0.08)


def test_boundaries_cannot_be_painted_even_when_updated(viewer: ViewerModel) -> None:
    boundaries = find_boundaries(grains_of_three(), PIXEL)
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    layer = ly.show(viewer, ly.boundaries_layer(boundaries, placement))
    assert not layer.editable
    ly.show(viewer, ly.boundaries_layer(boundaries, placement, fit=fit_of(boundaries)))
    assert not layer.editable


def test_a_colour_scale_is_shown_until_it_is_turned_off(viewer: ViewerModel) -> None:
    layer = ly.show(viewer, fraction_data())
    assert layer.colorbar.visible
    assert layer.name_overlay.visible
    layer.colorbar.visible = False
    ly.dress(layer)
    ly.show(viewer, fraction_data())
    assert not layer.colorbar.visible


@pytest.mark.parametrize(
    ("source", "name"), [("Grains", "Grain boundaries"), ("6Li [2]", "Grain boundaries [2]")]
)
def test_results_carry_the_mark_of_their_source(source: str, name: str) -> None:
    assert ly.result_name("Grain boundaries", source) == name


def test_shapes_that_differ_are_named() -> None:
    a, b = Image(np.zeros((4, 5)), name="a"), Image(np.zeros((2, 4, 6)), name="b")
    with pytest.raises(ValueError, match=r"'a' 4 x 5, 'b' 4 x 6"):
        ly.require_same_shape(a, b)
    ly.require_same_shape(a, Image(np.zeros((7, 4, 5)), name="c"))
