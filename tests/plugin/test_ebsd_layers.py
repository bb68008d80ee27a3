"""EBSD maps in napari: opened as grains, misorientations in the table, other grids."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ebsd_writer import ang, ctf
from napari.components import ViewerModel
from napari.layers import Image, Labels
from npe2 import PluginManager

from napari_liso.errors import FormatError
from napari_liso.microstructure.joining import merge_grains
from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.layers.ebsd import ebsd_of, grains_on_grid, with_ebsd
from napari_liso.plugin.reader import get_reader
from napari_liso.plugin.widgets.main import BoundaryDock

from .conftest import finish

STEP = 0.4  # um


def three_grains() -> np.ndarray:
    """Euler angles of three grains: 20 degrees from the first to the second, 50 to the third."""
    euler = np.zeros((16, 24, 3))
    euler[:8, 12:, 0] = np.deg2rad(20)
    euler[8:, 12:, 1] = np.deg2rad(40)
    return euler


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "map.ctf"
    euler = three_grains()
    file.write_text(ctf(euler, np.ones(euler.shape[:2], int), (STEP, STEP)), newline="")
    return file


@pytest.fixture
def opened(viewer: ViewerModel, path: Path) -> ViewerModel:
    PluginManager.instance().discover()
    viewer.open(str(path), plugin="napari-liso")
    return viewer


def test_a_map_opens_as_an_image_and_grains(opened: ViewerModel) -> None:
    image, grains = opened.layers
    assert image.name == "EBSD BC"
    assert ly.role_of(image) == "ebsd"
    assert grains.name == "Grains"
    assert isinstance(grains, Labels)
    for layer in (image, grains):
        np.testing.assert_allclose(layer.scale, (STEP, STEP))
        assert str(layer.units[0]) in ("micrometer", "um")
    assert np.unique(grains.data).tolist() == [1, 2, 3]
    record = grains.metadata[ly.PROVENANCE]
    assert record["threshold_deg"] == 5
    assert record["ebsd"]["format"].startswith("Oxford")
    assert len(record["ebsd"]["sha256"]) == 64
    assert ebsd_of(grains) is not None
    assert ebsd_of(image) is None


def test_an_ang_opens_too_and_other_files_are_left_alone(tmp_path: Path, path: Path) -> None:
    euler = three_grains()
    other = tmp_path / "map.ang"
    other.write_text(ang(euler, np.ones(euler.shape[:2], int), single=True))
    read = get_reader(str(other))
    assert read is not None
    assert [arguments["name"] for _, arguments, _ in read(str(other))] == ["EBSD IQ", "Grains"]
    table = tmp_path / "table.ang"
    table.write_text("1 2 3\n")
    assert get_reader(str(table)) is None


def test_a_map_without_patterns_says_so(tmp_path: Path) -> None:
    file = tmp_path / "empty.ctf"
    file.write_text(ctf(np.zeros((9, 9, 3)), np.zeros((9, 9), int)), newline="")
    read = get_reader(str(file))
    assert read is not None
    with pytest.raises(FormatError, match="no point of the EBSD map is indexed"):
        read(str(file))


def test_the_dock_finds_boundaries_with_their_misorientations(
    opened: ViewerModel, qtbot: Any
) -> None:
    dock = BoundaryDock(opened)
    qtbot.addWidget(dock)
    with qtbot.waitExposed(dock):
        dock.show()
    finish(qtbot, dock.grains.task)
    layer = dock.context.boundaries.current
    assert layer is not None
    angle = layer.features.set_index("index")["misorientation_deg"]
    assert np.isnan(angle[0])
    pairs = layer.features.set_index("index")[["grain_a", "grain_b"]]
    expected = {(1, 2): 20, (1, 3): 40, (2, 3): None}
    for label in (1, 2, 3):
        want = expected[tuple(int(v) for v in pairs.loc[label])]
        if want is not None:
            assert angle[label] == pytest.approx(want, abs=0.01)
    assert 40 < angle[3] < 50


def test_misorientations_follow_edits_and_undo(opened: ViewerModel) -> None:
    from napari_liso.microstructure.boundaries import find_boundaries

    grains = opened.layers["Grains"]
    found = with_ebsd(grains, find_boundaries(np.asarray(grains.data), 4e-7))
    layer = ly.add(
        opened, ly.boundaries_layer(found, ly.Placement.of_layer(grains), sources=["Grains"])
    )
    editor = editor_of(opened, layer)
    assert editor is not None
    before = editor.boundaries.table["misorientation"].copy()
    assert editor.apply(merge_grains(np.asarray(grains.data), [2, 3]), "Merge grains")
    table = editor.boundaries.table
    there = table["state"] != "removed"
    assert there.sum() == 1
    # eight rows of 20 degrees and eight of 40
    assert np.rad2deg(table.loc[there, "misorientation"].iloc[0]) == pytest.approx(30, abs=0.01)
    editor.undo()
    np.testing.assert_allclose(editor.boundaries.table["misorientation"], before)


def test_grains_onto_the_grid_of_the_map(opened: ViewerModel) -> None:
    """A finer grid, moved: each pixel against the point that is nearest to its centre."""
    grains = opened.layers["Grains"]
    image = opened.add_image(
        np.zeros((3, 40, 50)), scale=(1, 0.15, 0.2), translate=(0, 0.9, -0.7),
        units=("pixel", "um", "um"), name="7Li scans",
    )  # fmt: skip
    data, arguments, kind = grains_on_grid(grains, image)
    assert kind == "labels"
    assert data.shape == (40, 50)
    row = np.floor((np.arange(40) * 0.15 + 0.9) / STEP + 0.5).astype(int)
    column = np.floor((np.arange(50) * 0.2 - 0.7) / STEP + 0.5 + 1e-6).astype(int)
    inside = (row < 16)[:, None] & ((column >= 0) & (column < 24))[None]
    want = np.where(inside, grains.data[np.minimum(row, 15)[:, None], column.clip(0, 23)], 0)
    np.testing.assert_array_equal(data, want)
    assert arguments["name"] == "Grains on 7Li scans"
    np.testing.assert_allclose(arguments["scale"], (0.15, 0.2))
    np.testing.assert_allclose(arguments["translate"], (0.9, -0.7))
    layer = ly.add(opened, (data, arguments, kind))
    ebsd = ebsd_of(layer)
    assert ebsd is not None
    assert ebsd.shape == (40, 50)
    assert ebsd.pixel_size == pytest.approx((1.5e-7, 2e-7))
    np.testing.assert_array_equal(ebsd.phase > 0, want > 0)


def test_grains_that_were_turned_by_an_overlay(opened: ViewerModel) -> None:
    grains = opened.layers["Grains"]
    grains.affine = [[0, -1, 9.2], [1, 0, 0], [0, 0, 1]]  # a quarter turn, in um
    image = opened.add_image(np.zeros((24, 16)), scale=(STEP, STEP), units=("um", "um"))
    data, _, _ = grains_on_grid(grains, image)
    # y of the map = 9.2 - x of the grains, x of the map = y of the grains
    np.testing.assert_array_equal(data, np.rot90(np.asarray(opened.layers["Grains"].data)))


def test_any_labels_can_be_resampled_but_not_without_a_common_scale(viewer: ViewerModel) -> None:
    labels = viewer.add_labels(np.arange(1, 7).reshape(2, 3), scale=(2, 2))
    image = viewer.add_image(np.zeros((4, 6)), translate=(-0.5, -0.5))
    data, arguments, _ = grains_on_grid(labels, image, "Here")
    np.testing.assert_array_equal(data, np.repeat(np.repeat(labels.data, 2, 0), 2, 1))
    assert arguments["name"] == "Here"
    assert ly.OBJECT not in arguments["metadata"]
    image.translate = (100, 100)
    with pytest.raises(ValueError, match="do not overlap"):
        grains_on_grid(labels, image)
    known = Image(np.zeros((4, 6)), units=("um", "um"), name="map")
    with pytest.raises(ValueError, match="is not known"):
        grains_on_grid(labels, known)
