"""Columns of boundaries, their colours, and steps that outlive an edit elsewhere."""

from __future__ import annotations

import matplotlib
import numpy as np
import pytest
from napari.layers import Labels

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.profiles import boundary_steps
from napari_liso.microstructure.update import find_patch
from napari_liso.plugin import boundary_colours as bc
from napari_liso.plugin import layers as ly
from napari_liso.plugin.boundary_steps import carried
from napari_liso.plugin.boundary_values import (
    STEPS,
    StepsKnown,
    boundary_values,
    steps_of,
    values_of,
)
from napari_liso.plugin.features import boundary_features
from napari_liso.plugin.records import OBJECT
from napari_liso.plugin.showing import choose_colour_mode, colour_mode, colour_modes, colouring_of

from .conftest import PIXEL, fit_of, grains_of_three


def three() -> Boundaries:
    return find_boundaries(grains_of_three(), PIXEL)


def counts() -> tuple[np.ndarray, np.ndarray]:
    """100 counts a pixel; fractions 0.8, 0.3 and 0.6 in grains 1, 2 and 3."""
    n6 = np.array([0, 80, 30, 60])[grains_of_three()]
    return n6, 100 - n6


def layer_of(boundaries: Boundaries, **options: object) -> Labels:
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    data, arguments, _ = ly.boundaries_layer(boundaries, placement, **options)
    return Labels(data, **arguments)


def with_steps(boundaries: Boundaries) -> Labels:
    layer = layer_of(boundaries)
    steps = boundary_steps(boundaries, *counts())
    layer.metadata[OBJECT][STEPS] = StepsKnown(steps, boundaries, ("6Li", "7Li"))
    return layer


# --- columns ---


def test_columns_are_in_si_and_leave_removed_ones_out() -> None:
    found = three().with_state([3], "removed").with_state([2], "exclude").with_note(1, "pore")
    values = boundary_values(found)
    assert values.ids.tolist() == [1, 2]
    assert values["length"] == pytest.approx([6e-6, 6e-6])
    assert values["state"].tolist() == ["use", "exclude"]
    assert values["notes"].tolist() == ["pore", ""]
    assert values["angle"] == pytest.approx([0, 0])  # normals along x
    assert "step" not in values
    assert "k" not in values
    assert values.row_of(2) == 1
    assert values.row_of(3) == -1


def test_normals_turn_anticlockwise_on_the_screen() -> None:
    # y points down, so a normal (y, x) = (-1, 1) points to the upper right: 45 degrees
    y, x = np.mgrid[:40, :40]
    grains = np.where(x - y > 0, 2, 1)
    assert np.degrees(boundary_values(find_boundaries(grains, PIXEL))["angle"]) == pytest.approx(
        [45], abs=2
    )
    assert np.degrees(boundary_values(three())["angle"]) == pytest.approx([0, 0, 90])


def test_steps_have_their_sign_and_significance() -> None:
    steps = boundary_steps(three(), *counts())
    values = boundary_values(three(), steps=steps)
    assert values["step"] == pytest.approx([0.5, 0.2, -0.3])
    assert values["sigma"] == pytest.approx(
        np.abs(steps["step"].to_numpy()) / steps["step_se"].to_numpy()
    )
    assert values["counts"].tolist() == (steps["counts_a"] + steps["counts_b"]).tolist()


def test_k_is_the_bound_and_no_k_of_what_has_changed() -> None:
    fit = fit_of(three(), [1e-9, 2e-9, 4e-9])
    fit.table["verdict"] = ["upper_bound", "lower_bound", "unresolved"]
    fit.table["permeability_upper"] = [3e-9, np.inf, np.inf]
    fit.table["permeability_lower"] = [0.0, 1.5e-9, 0.0]
    values = boundary_values(three(), fit)
    assert values["k"].tolist() == [3e-9, 1.5e-9, 4e-9]
    assert values["verdict"].tolist() == ["upper bound", "lower bound", "unresolved"]
    field = values.fields()["k"]  # what the data say of k
    assert field.values.tolist()[:2] == [0.0, 1.5e-9]
    assert field.upper is not None
    assert field.upper.tolist()[:2] == [3e-9, np.inf]
    assert np.isnan(field.values[2])
    changed = boundary_values(three(), fit, frozenset([1]))
    assert np.isnan(changed["k"][0])
    assert changed["verdict"].tolist() == [None, "lower bound", "unresolved"]


def test_the_status_bar_has_notes_and_misorientation_only_where_they_are() -> None:
    found = three()
    assert "notes" not in boundary_features(found)
    found = found.with_note(2, "a pore")
    found.table["misorientation"] = np.deg2rad([10.0, 20.0, 60.0])
    features = boundary_features(found)
    assert features["notes"].tolist()[2] == "a pore"
    assert features["notes"].isna().tolist() == [True, True, False, True]
    assert features["misorientation_deg"].tolist()[1:] == [10, 20, 60]
    assert features["grain_b"].tolist()[1:] == [2, 3, 3]


# --- steps after an edit ---


def test_steps_of_untouched_boundaries_outlive_an_edit() -> None:
    drawn = np.repeat([1, 2, 3], [10, 15, 15])[None, :].repeat(24, axis=0)
    before = find_boundaries(drawn, PIXEL)
    drawn[:, 23:25] = 3  # boundary 2 moves, as long and as straight as before
    patch = find_patch(before, drawn)
    assert patch is not None
    n6 = np.full(drawn.shape, 5)
    steps = boundary_steps(before, n6, n6)
    known = carried(StepsKnown(steps, before, ("a", "b")), patch.apply(before))
    assert known.table.index.tolist() == [1]
    assert not known.complete
    again = carried(StepsKnown(steps, before, ("a", "b")), before.with_state([1], "exclude"))
    assert again.table.index.tolist() == [1, 2]


def test_steps_of_other_boundaries_are_not_shown() -> None:
    layer = with_steps(three())
    assert "step" in values_of(layer)
    layer.metadata[OBJECT]["boundaries"] = three().with_state([1], "exclude")
    assert steps_of(layer) is None
    assert "step" not in values_of(layer)


# --- colours ---


def test_what_a_layer_can_be_coloured_by() -> None:
    layer = layer_of(three())
    assert colour_modes(layer) == ["plain", "state", "length", "angle", "spread", "curvature"]
    assert colour_mode(layer) == "plain"
    assert set(colour_modes(with_steps(three()))) >= {"step", "sigma", "counts"}
    fitted = layer_of(three(), fit=fit_of(three()))
    assert colour_mode(fitted) == "k"
    choose_colour_mode(fitted, "length")
    assert colour_mode(fitted) == "length"
    choose_colour_mode(fitted, "misorientation")  # not known here
    assert colour_mode(fitted) == "k"


def test_steps_are_coloured_by_sign_around_zero() -> None:
    layer = with_steps(three().with_state([2], "exclude"))
    choose_colour_mode(layer, "step")
    ly.recolour_boundaries(layer, (1,))
    shown = layer.colormap.map(np.arange(4, dtype=np.uint16))
    assert shown[0][3] == 0
    assert np.allclose(shown[1], bc.SELECTED)
    assert np.allclose(shown[2], bc.EXCLUDED)
    red, _, blue, _ = shown[3]  # -0.3: towards the blue end
    assert blue > red
    scale = colouring_of(layer).scale
    assert scale is not None
    assert scale.low == -scale.high
    assert np.ptp(scale.colours(np.array([0.0]))[0, :3]) < 0.05  # no hue
    assert ("0.0" in [text for _, text in scale.ticks()]) or (0.5, "0") in scale.ticks()


def test_locked_ones_have_a_colour_among_states() -> None:
    layer = layer_of(three().with_state([1], "locked").with_state([3], "removed"))
    choose_colour_mode(layer, "state")
    colours = colouring_of(layer).colours
    assert np.allclose(colours[1], bc.LOCKED)
    assert np.allclose(colours[2], bc.OUTLINE)
    assert (colours[[0, 3]] == 0).all()


def test_k_keeps_the_colours_of_its_scale_and_stale_ones_are_grey() -> None:
    layer = layer_of(three(), fit=fit_of(three(), [1e-9, 1e-7, 1e-8]))
    assert np.allclose(colouring_of(layer).colours[1], matplotlib.colormaps["cool_r"](0.0))
    layer.metadata[OBJECT]["stale"] = frozenset([1])
    assert np.allclose(colouring_of(layer).colours[1], bc.UNRESOLVED)


def test_colours_reach_every_one_of_65535_labels() -> None:
    rng = np.random.default_rng(3)
    colours = rng.random((65536, 4)).astype(np.float32)
    colours[0] = 0
    layer = Labels(np.arange(65536, dtype=np.uint16).reshape(256, 256))
    layer.colormap = bc.label_colormap(colours, (7, 65535, 70000))
    colours[[7, 65535]] = bc.SELECTED
    shown = layer.colormap.map(np.arange(65536, dtype=np.uint16))
    assert np.allclose(shown, colours, atol=1e-6)
    # and where there is none at all
    assert (bc.label_colormap(np.zeros((1, 4))).map(np.array([0, 1], np.uint16)) == 0).all()


@pytest.mark.parametrize(
    ("low", "high", "log", "texts"),
    [
        (-9.3, -7.1, True, {"10⁻⁹", "10⁻⁸"}),
        (-8.2, -7.9, True, {"8×10⁻⁹", "10⁻⁸"}),
        (1.0, 3.0, True, {"10", "100", "1000"}),
        (-0.12, 0.12, False, {"−0.10", "0.00", "0.10"}),
        (0.0, 180.0, False, {"0", "45", "90", "135", "180"}),
    ],
)
def test_ticks_are_round_and_where_they_belong(
    low: float, high: float, log: bool, texts: set[str]
) -> None:
    scale = bc.ColourScale("x", low, high, np.ones((256, 4)), log)
    ticks = scale.ticks()
    assert texts <= {text for _, text in ticks}
    assert 2 <= len(ticks) <= 7
    if not log:
        for place, text in ticks:
            assert low + place * (high - low) == pytest.approx(float(text.replace("−", "-")))


def test_a_scale_holds_its_numbers_without_the_excluded() -> None:
    found = three().with_state([1], "exclude")
    found.table["length"] = [1.0, 2e-6, 3e-6]
    scale, numbers = bc.scale_of(boundary_values(found), "length")
    assert numbers.tolist() == pytest.approx([1e6, 2, 3])
    assert 2 <= scale.low < scale.high <= 3
