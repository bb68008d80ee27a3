"""Microscope image over the map: landmarks as layers, pairing, placing, undo, and the dock."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from npe2 import PluginManager
from skimage.io import imsave

from napari_liso.plugin import layers as ly
from napari_liso.plugin.overlay import landmarks as lm
from napari_liso.plugin.overlay import overlaid
from napari_liso.plugin.widgets.overlay.dock import OverlayDock

from .conftest import add_grains, add_map, warned

# of the map, in um; the sides of the triangles differ
ON_MAP = np.array([[1.0, 2.0], [2.0, 13.0], [10.5, 12.0], [9.0, 3.0]])
SCALE, DEGREES, SHIFT = 0.04, 30.0, np.array([-3.0, 5.0])  # um per pixel of the image


def pixel_of(places: np.ndarray) -> np.ndarray:
    """Where a place on the map (um) is on the image (px): turned, scaled and shifted back."""
    t = np.radians(DEGREES)
    y, x = ((places - SHIFT) / SCALE).T
    return np.column_stack([np.cos(t) * y - np.sin(t) * x, np.sin(t) * y + np.cos(t) * x])


def click(points: Any, places: np.ndarray) -> None:
    """Add points one by one, as clicks do."""
    for place in places:
        points.add(np.asarray(points.world_to_data(place)))


def open_dock(viewer: ViewerModel, qtbot: Any) -> Any:
    dock = OverlayDock(viewer)
    qtbot.addWidget(dock)
    dock.overlay.dock = dock  # which lives as long as its panel
    return dock.overlay


@pytest.fixture
def panel(viewer: ViewerModel, qtbot: Any) -> Any:
    add_map(viewer)
    viewer.add_image(np.zeros((400, 500), np.uint8), name="SEM")
    return open_dock(viewer, qtbot)


def click_all(panel: Any, order: tuple[int, ...] = (0, 1, 2, 3), off: float = 0.0) -> None:
    """Click all landmarks on both; those on the image in another order."""
    panel.landmarks.click_on_map()
    click(panel.landmarks.on_map(), ON_MAP)
    panel.landmarks.click_on_image()
    places = ON_MAP + off * np.array([[0, 1.0], [0, 0], [0, 0], [0, 0]])
    panel.landmarks.on_image().add(pixel_of(places)[list(order)])


class TestPlacing:
    def test_choices_are_guessed(self, panel: Any) -> None:
        assert panel.reference.current.name == "6Li"
        assert panel.image.current.name == "SEM"
        assert panel.status == "not placed yet"

    @pytest.mark.parametrize("order", [(0, 1, 2, 3), (2, 0, 3, 1)])
    def test_image_lies_where_the_landmarks_say(self, panel: Any, order: Any) -> None:
        click_all(panel, order)
        panel.place()
        image = panel.image.current
        # a pixel that was no landmark
        place = np.array([[6.0, 8.0]])
        assert image.data_to_world(pixel_of(place)[0]) == pytest.approx(place[0])
        assert {str(u) for u in image.units} == {"micrometer"}
        assert panel.context.viewer.layers.extent.units is not None
        assert "rms" in panel.landmarks.result.text()
        assert "0.04 µm" in panel.landmarks.result.text()
        assert panel.status == ""
        # the landmarks on the image moved with it, onto those on the map
        on_map, on_image = panel.landmarks.on_map(), panel.landmarks.on_image()
        assert lm.world(on_image, on_image.data) == pytest.approx(ON_MAP[list(order)])
        # and bear the numbers of their partners
        assert lm.numbers(on_map).tolist() == [1, 2, 3, 4]
        assert lm.numbers(on_image).tolist() == [i + 1 for i in order]
        assert ("another order" in panel.landmarks.advice.text()) == (order != (0, 1, 2, 3))

    def test_clicked_order_counts_where_it_is_asked_for(self, panel: Any) -> None:
        click_all(panel, (1, 0, 2, 3))
        panel.landmarks.any_order.setChecked(False)
        assert panel.landmarks.pairs.image == (0, 1, 2, 3)
        assert panel.landmarks.fit.rms > 1.0

    def test_scaled_image_layer(self, panel: Any) -> None:
        """An image with a scale and a shift of its own: the affine comes after them."""
        image = panel.image.current
        image.scale, image.translate = (5.0, 5.0), (100.0, -20.0)
        click_all(panel)
        panel.place()
        place = np.array([[6.0, 8.0]])
        assert image.data_to_world(pixel_of(place)[0]) == pytest.approx(place[0])
        assert tuple(image.scale) == (5.0, 5.0)
        assert "0.04 µm" in panel.landmarks.result.text()

    def test_placing_again_does_not_move_it(self, panel: Any) -> None:
        click_all(panel, off=0.3)
        panel.place()
        first = panel.image.current.affine.affine_matrix.copy()
        panel.place()
        assert panel.image.current.affine.affine_matrix == pytest.approx(first)

    def test_provenance_is_json(self, panel: Any) -> None:
        click_all(panel, (3, 1, 0, 2))
        panel.place()
        record = json.loads(json.dumps(panel.image.current.metadata[ly.PROVENANCE]))
        assert record["role"] == "overlay"
        placed = record["overlay"]
        assert placed["reference"] == "6Li"
        assert placed["kind"] == "similarity"
        assert placed["residual_unit"] == "um"
        assert placed["residuals"] == pytest.approx([0] * 4, abs=1e-9)
        assert np.array(placed["landmarks"]["map"]) == pytest.approx(ON_MAP)
        assert np.array(placed["landmarks"]["image_px"]) == pytest.approx(pixel_of(ON_MAP))
        assert np.array(placed["matrix"]).shape == (3, 3)

    def test_undo_and_redo_restore_affine_and_units(self, panel: Any) -> None:
        image = panel.image.current
        before = image.affine.affine_matrix.copy()
        click_all(panel)
        panel.place()
        placed = image.affine.affine_matrix.copy()
        panel.undo()
        assert image.affine.affine_matrix == pytest.approx(before)
        assert overlaid.record_of(image) is None
        panel.undo()  # the unit of the map, taken with the first landmark
        assert {str(u) for u in image.units} == {"pixel"}
        assert not panel.undo_button.isEnabled()
        panel.redo()
        panel.redo()
        assert image.affine.affine_matrix == pytest.approx(placed)
        assert {str(u) for u in image.units} == {"micrometer"}
        assert overlaid.record_of(image)["kind"] == "similarity"
        assert not panel.redo_button.isEnabled()

    def test_the_map_is_seen_through_an_image_that_was_placed(self, panel: Any) -> None:
        click_all(panel)
        panel.place()
        assert 0.3 < panel.image.current.opacity < 0.8
        assert panel.opacity.value() == round(100 * panel.image.current.opacity)
        panel.opacity.setValue(100)  # as the user wants it from now on
        panel.place()
        assert panel.image.current.opacity == 1

    def test_works_after_the_dock_was_closed(self, viewer: ViewerModel, qtbot: Any) -> None:
        add_map(viewer)
        viewer.add_image(np.zeros((400, 500), np.uint8), name="SEM")
        dock = OverlayDock(viewer)
        panel = dock.overlay
        click_all(panel)
        panel.place()
        image = panel.image.current
        dock.deleteLater()
        qtbot.wait(1)
        image.translate = (40.0, 0.0)  # moved while no dock is open
        other = open_dock(viewer, qtbot)
        assert other.image.current == image
        assert len(other.landmarks.on_image().data) == 4
        # the landmarks are on the image's pixels again
        assert tuple(other.landmarks.on_image().translate) == (40.0, 0.0)
        other.place()
        place = np.array([[6.0, 8.0]])
        assert image.data_to_world(pixel_of(place)[0]) == pytest.approx(place[0])
        assert other.undo_button.isEnabled()

    def test_map_of_unknown_pixel_size_is_measured_in_pixels(
        self, viewer: ViewerModel, qtbot: Any
    ) -> None:
        add_map(viewer, pixel_size=None)
        viewer.add_image(np.zeros((400, 500), np.uint8), name="SEM")
        panel = open_dock(viewer, qtbot)
        click_all(panel, off=0.5)
        assert " px" in panel.landmarks.result.text()
        panel.place()
        assert overlaid.record_of(panel.image.current)["residual_unit"] == "pixel of the map"

    def test_residuals_are_in_um_whatever_the_unit(self, panel: Any, viewer: ViewerModel) -> None:
        for layer in viewer.layers[:2]:  # the same map in nm
            layer.scale, layer.units = (500.0, 500.0), ("nm", "nm")
        panel.landmarks.click_on_map()
        click(panel.landmarks.on_map(), ON_MAP * 1e3)
        panel.landmarks.click_on_image()
        panel.landmarks.on_image().add(pixel_of(ON_MAP))
        assert "0.04 µm" in panel.landmarks.result.text()
        panel.place()
        assert panel.image.current.data_to_world(pixel_of(ON_MAP[:1])[0]) == pytest.approx(
            ON_MAP[0] * 1e3
        )


class TestPairs:
    def test_residuals_follow_the_points(self, panel: Any) -> None:
        click_all(panel)
        assert panel.landmarks.fit.rms == pytest.approx(0, abs=1e-9)
        points = panel.landmarks.on_map()
        moved = points.data.copy()
        moved[0] += 2.0  # pixels of 0.5 um
        points.data = moved
        assert panel.landmarks.fit.rms > 0.1

    def test_a_pair_can_be_left_out(self, panel: Any) -> None:
        click_all(panel, off=0.6)
        table = panel.landmarks.table
        worst = [r for r in range(4) if table.item(r, 1).toolTip()]
        assert worst == [0]
        from qtpy.QtCore import Qt

        table.item(0, 0).setCheckState(Qt.CheckState.Unchecked)
        assert panel.landmarks.fit.residuals == pytest.approx([0] * 3, abs=1e-9)
        assert not lm.used(panel.landmarks.on_map())[0]
        assert not lm.used(panel.landmarks.on_image())[0]
        assert table.item(0, 1).text() == "–"
        table.item(0, 0).setCheckState(Qt.CheckState.Checked)
        assert panel.landmarks.fit.redundancy == 4

    def test_a_point_added_after_one_is_left_out_is_used(self, panel: Any) -> None:
        click_all(panel)
        from qtpy.QtCore import Qt

        panel.landmarks.table.item(3, 0).setCheckState(Qt.CheckState.Unchecked)
        click(panel.landmarks.on_map(), np.array([[6.0, 7.0]]))
        assert lm.used(panel.landmarks.on_map()).tolist() == [True, True, True, False, True]

    def test_unequal_numbers_are_no_fit(self, panel: Any) -> None:
        click_all(panel)
        click(panel.landmarks.on_map(), np.array([[6.0, 7.0]]))
        assert panel.landmarks.fit is None
        assert "5 landmarks on the map and 4" in panel.landmarks.advice.text()
        assert not panel.place_button.isEnabled()
        assert "5 landmarks" in panel.place_button.toolTip()
        assert panel.landmarks.table.item(4, 1).text() == "click it on the image"

    def test_removing_a_row_removes_both(self, panel: Any) -> None:
        click_all(panel, (1, 0, 2, 3))
        panel.landmarks.table.selectRow(1)
        assert panel.landmarks.on_image().selected_data == {0}
        panel.landmarks.remove_pairs()
        assert lm.world(panel.landmarks.on_map(), panel.landmarks.on_map().data) == pytest.approx(
            ON_MAP[[0, 2, 3]]
        )
        assert panel.landmarks.on_image().data == pytest.approx(pixel_of(ON_MAP[[0, 2, 3]]))

    def test_mirrored_image(self, panel: Any) -> None:
        panel.landmarks.click_on_map()
        click(panel.landmarks.on_map(), ON_MAP)
        panel.landmarks.click_on_image()
        panel.landmarks.on_image().add(pixel_of(ON_MAP) * [1, -1])
        assert "tick Mirrored" in panel.landmarks.advice.text()
        panel.landmarks.mirrored.setChecked(True)
        assert panel.landmarks.fit.rms == pytest.approx(0, abs=1e-9)
        assert "mirrored" in panel.landmarks.result.text()

    def test_a_tilted_image_in_any_order(self, panel: Any) -> None:
        panel.landmarks.click_on_map()
        places = np.vstack([ON_MAP, [[6.0, 9.0]]])
        click(panel.landmarks.on_map(), places)
        panel.landmarks.on_image().add((pixel_of(places) * [0.5, 1])[[4, 1, 0, 3, 2]])
        panel.landmarks.kind_box.setCurrentIndex(1)
        assert panel.landmarks.pairs.image == (2, 1, 4, 3, 0)
        assert panel.landmarks.fit.rms == pytest.approx(0, abs=1e-9)
        assert "stretched 2.000 : 1" in panel.landmarks.result.text()

    def test_three_pairs_and_an_affine_say_nothing(self, panel: Any) -> None:
        panel.landmarks.kind_box.setCurrentIndex(1)
        panel.landmarks.click_on_map()
        click(panel.landmarks.on_map(), ON_MAP[:3])
        panel.landmarks.on_image().add(pixel_of(ON_MAP[[1, 0, 2]]))
        assert "no residual" in panel.landmarks.result.text()
        assert "zero whatever was clicked" in panel.landmarks.advice.text()
        assert "order of the clicks" in panel.landmarks.advice.text()
        assert panel.landmarks.pairs.image == (0, 1, 2)

    def test_a_line_is_refused_in_words(self, panel: Any) -> None:
        panel.landmarks.click_on_map()
        click(panel.landmarks.on_map(), np.array([[1.0, 1.0], [2.0, 2.0], [5.0, 5.0]]))
        panel.landmarks.on_image().add(pixel_of(ON_MAP[:3]))
        assert "on one line" in panel.landmarks.advice.text()
        assert not panel.place_button.isEnabled()


class TestLayers:
    def test_file_is_opened_beside_the_map(
        self, viewer: ViewerModel, qtbot: Any, tmp_path: Path
    ) -> None:
        PluginManager.instance().discover()  # napari's own reader
        add_map(viewer)
        add_grains(viewer)
        panel = open_dock(viewer, qtbot)
        imsave(tmp_path / "sem.png", np.zeros((120, 300, 3), np.uint8), check_contrast=False)
        panel.open_file(str(tmp_path / "sem.png"))
        assert warned() == []
        image = panel.image.current
        assert image.name == "sem"
        assert ly.role_of(image) == "overlay"
        assert [x.name for x in viewer.layers] == ["6Li", "7Li", "sem", "Grains"]
        assert viewer.layers.extent.units is not None
        # as high as the map (24 pixels of 0.5 um) and to the right of its 15 um
        top, bottom = image.data_to_world((-0.5, -0.5)), image.data_to_world((119.5, 299.5))
        assert (top[0], bottom[0]) == pytest.approx((-0.25, 11.75))
        assert bottom[1] - top[1] == pytest.approx(30.0)
        assert top[1] == pytest.approx(14.75 + 0.05 * 15)
        assert warned() == []

    def test_what_is_no_image_is_refused(self, panel: Any, viewer: Any, tmp_path: Path) -> None:
        PluginManager.instance().discover()
        before = len(viewer.layers)
        (tmp_path / "notes.png").write_text("no image")
        panel.open_file(str(tmp_path / "notes.png"))
        imsave(tmp_path / "stack.tif", np.zeros((5, 20, 30), np.uint8), check_contrast=False)
        panel.open_file(str(tmp_path / "stack.tif"))
        assert len(viewer.layers) == before
        assert "notes.png cannot be opened" in warned()[0]
        assert "Of a stack, save the plane" in warned()[1]

    def test_nothing_open(self, viewer: ViewerModel, qtbot: Any) -> None:
        panel = open_dock(viewer, qtbot)
        assert not panel.open_button.isEnabled()
        assert "open the map first" in panel.open_button.toolTip()
        assert panel.status == "no image yet"

    def test_landmarks_follow_what_they_mark(self, panel: Any) -> None:
        click_all(panel)
        image, reference = panel.image.current, panel.reference.current
        image.affine = np.diag([2.0, 3.0, 1.0])
        on_image = panel.landmarks.on_image()
        assert on_image.affine.affine_matrix == pytest.approx(image.affine.affine_matrix)
        ly.set_pixel_size(reference, 0.25)
        on_map = panel.landmarks.on_map()
        assert lm.world(on_map, on_map.data) == pytest.approx(ON_MAP / 2)

    def test_landmarks_removed_by_hand_are_made_anew(self, panel: Any, viewer: Any) -> None:
        click_all(panel)
        viewer.layers.remove(panel.landmarks.on_image())
        assert panel.landmarks.fit is None
        panel.landmarks.click_on_image()
        assert len(panel.landmarks.on_image().data) == 0
        assert viewer.layers.selection.active == panel.landmarks.on_image()
        assert str(panel.landmarks.on_image().mode) == "add"

    def test_counts_of_another_map_stay_counts(self, panel: Any, viewer: Any) -> None:
        """Any image may be the one that is moved; what it is stays what it is."""
        panel.image.choose(next(x for x in panel.image.candidates if x.name == "7Li"))
        sources = list(panel.image.current.metadata[ly.PROVENANCE]["sources"])
        click_all(panel)
        panel.place()
        record = panel.image.current.metadata[ly.PROVENANCE]
        assert (record["role"], record["sources"]) == ("counts", sources)
        assert record["overlay"]["reference"] == "6Li"

    def test_opacity_is_that_of_the_layer(self, panel: Any) -> None:
        panel.opacity.setValue(40)
        assert panel.image.current.opacity == pytest.approx(0.4)
        panel.image.current.opacity = 0.7
        assert panel.opacity.value() == 70
