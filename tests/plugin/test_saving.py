"""A viewer becomes a session, and a session the same viewer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Layer
from napari.utils.colormaps import Colormap, DirectLabelColormap
from npe2 import PluginManager
from qtpy.QtCore import QTimer

import napari_liso as liso
from napari_liso.counting.corrections import Corrections
from napari_liso.counting.measured import Measured
from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.crystal import Phase
from napari_liso.microstructure.ebsd import EbsdMap
from napari_liso.microstructure.editing import split_grain
from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.layers.ebsd import ebsd_layers, with_ebsd
from napari_liso.plugin.records import corrections_of, give_corrections
from napari_liso.plugin.sample_data import simulated_polycrystal
from napari_liso.plugin.saving import layers_of, opening, restore, session_of_viewer
from napari_liso.plugin.saving.opening import open_into
from napari_liso.plugin.saving.views import path_of
from napari_liso.plugin.selection import camera_of, selection_of
from napari_liso.session import Session

from .conftest import (
    PIXEL,
    acquisition_of,
    add_boundaries,
    add_grains,
    add_map,
    fit_of,
    grains_of_three,
)

#: What a layer looks like; both sides are asked in the same words.
_STATE = (
    "name", "visible", "opacity", "blending", "scale", "translate", "rotate", "shear", "units",
    "axis_labels", "contrast_limits", "gamma", "rgb", "shape_type", "edge_width", "symbol",
)  # fmt: skip


def state_of(layer: Any) -> dict[str, Any]:
    _, state, kind = layer.as_layer_data_tuple()
    seen = {key: repr(state[key]) for key in _STATE if key in state}
    seen |= {"kind": kind, "affine": np.asarray(state["affine"]).tolist()}
    if kind == "image" and not layer.rgb:
        seen["colours"] = np.asarray(layer.colormap.colors).tolist()
    for name in ("edge_color", "face_color", "border_color"):
        if name in state:
            seen[name] = np.asarray(state[name]).tolist()
    return seen


def require_same_layers(one: ViewerModel, other: ViewerModel) -> None:
    assert [layer.name for layer in one.layers] == [layer.name for layer in other.layers]
    for a, b in zip(one.layers, other.layers, strict=True):
        assert state_of(a) == state_of(b)
        if a.__class__.__name__ == "Shapes":
            assert all(np.array_equal(p, q) for p, q in zip(a.data, b.data, strict=True))
        else:
            here, there = np.asarray(a.data), np.asarray(b.data)
            assert here.dtype == there.dtype
            assert np.array_equal(here, there, equal_nan=here.dtype.kind == "f")
        if hasattr(a, "features"):
            assert a.features.equals(b.features)


def through_a_file(viewer: ViewerModel, tmp_path: Path) -> ViewerModel:
    again = ViewerModel()
    restore(again, liso.load(liso.save(tmp_path / "a.liso", session_of_viewer(viewer))))
    return again


def test_layers_come_back_as_they_were(viewer: ViewerModel, tmp_path: Path) -> None:
    add_map(viewer)
    add_grains(viewer)
    boundaries = add_boundaries(viewer)
    placement = ly.Placement.of_layer(viewer.layers["6Li"])
    fraction = liso.isotope_fraction(viewer.layers["6Li"].data, viewer.layers["7Li"].data)
    ly.show(viewer, ly.fraction_layer(fraction, "6Li fraction", placement))
    for layer_data in ly.fit_layers(fit_of(boundaries), boundaries, placement):
        ly.show(viewer, layer_data)
    viewer.layers["Residual (sigma)"].visible = True
    viewer.layers["Model fraction"].colormap = "magma"
    viewer.layers["6Li"].colormap = Colormap([[0, 0, 0], [0.2, 0.5, 1]], name="mine")
    viewer.layers["6Li"].contrast_limits = (3, 17.5)
    viewer.layers["6Li"].gamma = 0.7
    viewer.layers["7Li"].affine = [[0.9, 0.1, 3.0], [-0.1, 0.9, -2.0], [0, 0, 1]]
    viewer.layers.move(0, 3)
    again = through_a_file(viewer, tmp_path)
    require_same_layers(viewer, again)
    shown, was = (ly.fit_from_layer(v.layers["Grain boundaries"]) for v in (again, viewer))
    assert shown.table.equals(was.table)
    ids = np.arange(4, dtype=np.uint16)
    colours = [v.layers["Grain boundaries"].colormap.map(ids) for v in (again, viewer)]
    assert np.allclose(*colours)


def test_drawings_of_the_user_come_back(viewer: ViewerModel, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    viewer.add_image(rng.integers(0, 255, (8, 9, 3), dtype=np.uint8), rgb=True, name="microscope")
    colours = DirectLabelColormap(color_dict={None: "red", 1: "blue", 0: "transparent"})
    viewer.add_labels(rng.integers(0, 3, (8, 9)), colormap=colours, name="painted")
    viewer.add_shapes(
        [np.array([[0, 0], [0, 5], [5, 5.5]]), np.array([[1, 1], [2, 2]])],
        shape_type=["polygon", "line"],
        features={"name": ["a", "ß"]},
        text={"string": "{name}", "size": 10, "color": "#ff9500"},
        edge_color=["red", "#00ff0080"],
        edge_width=[1, 2.5],
    )
    viewer.add_points([[1, 2], [3, 4]], features={"number": [1, 2]}, symbol=["square", "disc"])
    again = through_a_file(viewer, tmp_path)
    require_same_layers(viewer, again)
    assert again.layers["Shapes"].text.values.tolist() == ["a", "ß"]
    assert np.allclose(again.layers["painted"].colormap.map(1), [0, 0, 1, 1])


def test_stacks_of_frames_are_made_of_the_counts(viewer: ViewerModel, tmp_path: Path) -> None:
    for layer_data in ly.acquisition_layers(acquisition_of(frames=5), frames=True):
        ly.show(viewer, layer_data)
    again = through_a_file(viewer, tmp_path)
    require_same_layers(viewer, again)
    behind = [ly.acquisition_from_layer(layer) for layer in again.layers]
    assert behind[0] is behind[1]


def test_the_session_holds_the_parts_for_scripts(viewer: ViewerModel) -> None:
    add_map(viewer)
    add_grains(viewer)
    boundaries = add_boundaries(viewer)
    give_corrections(viewer.layers["7Li"], Corrections(hydride_ratio=Measured(0.02)))
    session = session_of_viewer(viewer)
    assert session.acquisition is ly.acquisition_from_layer(viewer.layers["6Li"])
    assert session.boundaries is boundaries
    assert np.array_equal(session.grains, viewer.layers["Grains"].data)
    assert session.corrections.hydride_ratio.value == 0.02
    assert session.provenance["versions"]["napari"]


def test_corrections_and_selection_come_back(viewer: ViewerModel, tmp_path: Path) -> None:
    add_map(viewer)
    add_boundaries(viewer)
    give_corrections(viewer.layers["6Li"], Corrections(hydride_ratio=Measured(0.02)))
    selection_of(viewer.layers["Grain boundaries"]).select([2, 1])
    again = through_a_file(viewer, tmp_path)
    assert corrections_of(again.layers["6Li"]).hydride_ratio.value == 0.02
    assert selection_of(again.layers["Grain boundaries"]).ids == (2, 1)


def test_camera_and_active_layer_come_back_into_an_empty_viewer(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    add_map(viewer)
    camera_of(viewer).center, camera_of(viewer).zoom = (0.0, 3.5, 4.5), 7.25
    viewer.layers.selection.active = viewer.layers["6Li"]
    again = through_a_file(viewer, tmp_path)
    assert tuple(camera_of(again).center)[-2:] == (3.5, 4.5)
    assert camera_of(again).zoom == 7.25
    assert again.layers.selection.active.name == "6Li"


def test_opening_beside_other_layers_leaves_them_alone(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    add_map(viewer)
    path = liso.save(tmp_path / "a.liso", session_of_viewer(viewer))
    camera_of(viewer).zoom = 3.0
    names = [layer.name for layer in open_into(viewer, path)]
    assert names == ["6Li [1]", "7Li [1]"]
    assert camera_of(viewer).zoom == 3.0


def test_painting_after_opening_does_not_reach_the_boundaries(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    add_grains(viewer)
    add_boundaries(viewer)
    again = through_a_file(viewer, tmp_path)
    before = ly.boundaries_from_layer(again.layers["Grain boundaries"]).drawn.copy()
    again.layers["Grains"].data[:5] = 9
    after = ly.boundaries_from_layer(again.layers["Grain boundaries"]).drawn
    assert np.array_equal(before, after)


def test_painting_while_it_is_saved_does_not_reach_the_session(viewer: ViewerModel) -> None:
    add_grains(viewer)
    viewer.add_points([[1.0, 2.0]])
    session = session_of_viewer(viewer)
    viewer.layers["Grains"].data[:] = 1
    viewer.layers["Points"].data[:] = 0
    assert len(np.unique(session.grains)) == 3
    assert session.layers[1].data.tolist() == [[1.0, 2.0]]


def test_a_session_of_a_script_shows_its_parts(viewer: ViewerModel) -> None:
    acquisition = acquisition_of()
    grains = np.repeat([1, 2], 15)[None, :].repeat(24, 0)
    boundaries = liso.find_boundaries(grains, PIXEL)
    session = Session(acquisition, boundaries=boundaries, fits={"a": fit_of(boundaries)})
    names = [layer.name for layer in restore(viewer, session)]
    assert {"6Li", "7Li", "Grains", "Grain boundaries", "Model fraction"} <= set(names)
    assert restore(ViewerModel(), Session()) == []


def test_the_form_of_the_fit_is_filled_as_it_was(viewer: ViewerModel, tmp_path: Path) -> None:
    for layer_data in simulated_polycrystal():
        viewer.add_layer(Layer.create(*layer_data))
    again = through_a_file(viewer, tmp_path)
    record = again.layers["6Li"].metadata[ly.PROVENANCE]
    assert record["experiment"]["stages"][0]["duration"] == 4800.0
    assert record["section"] == "columnar"
    assert session_of_viewer(viewer).experiment.duration == 4800.0


def test_kinds_that_are_not_saved_are_named(viewer: ViewerModel) -> None:
    viewer.add_vectors(np.zeros((1, 2, 2)), name="arrows")
    session = session_of_viewer(viewer)
    assert session.layers == ()
    assert session.provenance["left_out"] == ["arrows"]


def test_metadata_of_other_plugins_do_no_harm(viewer: ViewerModel, tmp_path: Path) -> None:
    viewer.add_image(np.zeros((4, 5)), metadata={"theirs": object(), "plain": {"a": 1}})
    assert through_a_file(viewer, tmp_path).layers[0].metadata == {"plain": {"a": 1}}


# --- File > Open and Save -----------------------------------------------------------------------


@pytest.fixture
def installed() -> None:
    PluginManager.instance().discover()


@pytest.mark.usefixtures("installed")
def test_file_open_shows_the_same_layers(viewer: ViewerModel, tmp_path: Path) -> None:
    add_map(viewer)
    add_grains(viewer)
    add_boundaries(viewer)
    path = liso.save(tmp_path / "a.LISO", session_of_viewer(viewer))
    again = ViewerModel()
    again.open(str(path), plugin="napari-liso")
    require_same_layers(viewer, again)


@pytest.mark.usefixtures("installed")
def test_file_open_names_what_is_wrong(tmp_path: Path) -> None:
    path = tmp_path / "a.liso"
    path.write_bytes(b"PK\x03\x04 and not much more")
    with pytest.raises(liso.FormatError, match="no file of a session"):
        ViewerModel().open(str(path), plugin="napari-liso")


@pytest.mark.usefixtures("installed")
def test_file_save_writes_a_session(viewer: ViewerModel, tmp_path: Path) -> None:
    add_map(viewer)
    add_grains(viewer)
    add_boundaries(viewer)
    viewer.layers.save(str(tmp_path / "a.liso"), plugin="napari-liso")
    again = ViewerModel()
    open_into(again, tmp_path / "a.liso")
    require_same_layers(viewer, again)


def test_layers_that_fit_nothing_are_refused_before_any_is_added(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    add_map(viewer)
    session = session_of_viewer(viewer)
    session.layers[1].arguments["contrast_limits"] = "none"
    path = liso.save(tmp_path / "a.liso", session)
    again = ViewerModel()
    with pytest.raises(ValueError):
        open_into(again, path)
    assert len(again.layers) == 0
    assert layers_of(session)


def test_a_large_session_is_read_in_the_background(
    viewer: ViewerModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    add_map(viewer)
    add_boundaries(viewer)
    path = liso.save(tmp_path / "a.liso", session_of_viewer(viewer))
    again = ViewerModel()
    monkeypatch.setattr("napari.current_viewer", lambda: again)
    monkeypatch.setattr(opening, "LARGE_FILE", 1)
    told: list[Any] = []
    # from within an event loop, as File > Open does it
    QTimer.singleShot(0, lambda: told.append(opening.session_layers(path)))
    qtbot.waitUntil(lambda: len(again.layers) == 3, timeout=30_000)
    assert told == [[(None,)]]
    require_same_layers(viewer, again)
    assert path_of(again) == path


def test_misorientations_come_back_and_go_on_being_measured(
    viewer: ViewerModel, tmp_path: Path
) -> None:
    grains = grains_of_three()
    euler = np.zeros((*grains.shape, 3), np.float32)
    euler[grains == 2, 0] = np.deg2rad(20)  # from 1 to 2, and 30 on to 3, all about z
    euler[grains == 3, 0] = np.deg2rad(50)
    one = np.ones(grains.shape, np.int16)
    ebsd = EbsdMap(one, euler, {1: Phase("triclinic", "1")}, (PIXEL, PIXEL))
    for layer_data in ebsd_layers(ebsd, grains):
        ly.add(viewer, layer_data)
    found = with_ebsd(viewer.layers["Grains"], find_boundaries(grains, PIXEL))
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    ly.add(viewer, ly.boundaries_layer(found, placement, sources=("Grains",)))
    again = through_a_file(viewer, tmp_path)
    layer = again.layers["Grain boundaries"]
    angles = ly.boundaries_from_layer(layer).table["misorientation"]
    np.testing.assert_allclose(np.rad2deg(angles), [20, 50, 30], atol=1e-3)
    assert layer.features["misorientation_deg"].tolist()[1:] == [20, 50, 30]
    editor = editor_of(again, layer)
    assert editor is not None
    assert editor.apply(split_grain(again.layers["Grains"].data, [(0, 7), (23, 7)]), "Split")
    angles = editor.boundaries.table["misorientation"]
    np.testing.assert_allclose(np.rad2deg(angles), [20, 50, 30, 0], atol=1e-3)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64])
def test_grains_keep_their_type_and_are_not_copied_in_the_window(
    viewer: ViewerModel, kind: Any, tmp_path: Path
) -> None:
    viewer.add_labels(grains_of_three().astype(kind), name="mine")
    found = add_boundaries(viewer)
    add_map(viewer)
    session = session_of_viewer(viewer)
    assert not any(
        isinstance(one.data, np.ndarray) and one.data is not found.drawn for one in session.layers
    )
    again = through_a_file(viewer, tmp_path)
    require_same_layers(viewer, again)
    straight = ViewerModel()
    restore(straight, session)  # never written
    require_same_layers(viewer, straight)
