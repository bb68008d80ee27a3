"""The button that saves a session, and the offer of unsaved work."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import QDockWidget, QFileDialog, QLineEdit, QMainWindow

import napari_liso as liso
from napari_liso.microstructure.editing import PixelEdit
from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.labelling.unsaved import edit_session, find_unsaved
from napari_liso.plugin.saving.views import remember_path
from napari_liso.plugin.showing import choose_colour_mode
from napari_liso.plugin.widgets.save_session import SaveSessionButton, UnsavedOffer
from napari_liso.session import save

from .conftest import PIXEL, add_boundaries, add_grains, add_map, finish, fit_of, grains_of_three


@pytest.fixture(autouse=True)
def unsaved_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NAPARI_LISO_UNSAVED", str(tmp_path / "unsaved"))
    return tmp_path / "unsaved"


@pytest.fixture
def button(viewer: ViewerModel, qtbot: Any) -> Iterator[SaveSessionButton]:
    add_map(viewer)
    add_grains(viewer)
    add_boundaries(viewer)
    made = SaveSessionButton(Context(viewer))
    qtbot.addWidget(made)
    yield made
    end(made)


def end(button: SaveSessionButton) -> None:
    """Let nothing be kept into the folder of the next test."""
    button.autosave.note_saved()
    button.autosave.close()


def exclude(button: SaveSessionButton, number: int = 1) -> None:
    viewer = button.context.viewer
    editor = editor_of(viewer, viewer.layers["Grain boundaries"])
    assert editor is not None
    editor.set_state(number, "exclude")


def test_it_asks_once_and_then_knows(
    button: SaveSessionButton, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, qtbot: Any
) -> None:
    asked = []

    def answer(dialog: QFileDialog) -> bool:
        asked.append(dialog.selectedFiles()[0])
        return True

    monkeypatch.setattr(QFileDialog, "exec", answer)
    monkeypatch.chdir(tmp_path)
    assert button.button.text() == "Save session …"
    button.button.click()
    finish(qtbot, button.task)
    assert [Path(one).name for one in asked] == ["map.liso"]
    assert button.button.text() == "Save session"
    assert "map.liso" in button.status.toolTip()
    exclude(button)
    assert button.status.text().startswith("Changed since")
    button.button.click()
    finish(qtbot, button.task)
    assert len(asked) == 1
    assert button.status.text().startswith("Saved")
    saved = liso.load(tmp_path / "map.liso")
    assert saved.boundaries is not None
    assert saved.boundaries.table["state"][1] == "exclude"


def test_what_cannot_be_saved_is_told(
    button: SaveSessionButton, tmp_path: Path, qtbot: Any
) -> None:
    button.save_into(tmp_path / "no folder" / "a.liso")
    finish(qtbot, button.task)
    assert button.message.text().startswith("⚠ Not saved:")
    assert button.button.text() == "Save session …"


def test_changes_while_it_is_written_stay_unsaved(
    button: SaveSessionButton, tmp_path: Path, qtbot: Any
) -> None:
    exclude(button)
    button.save_into(tmp_path / "a.liso")
    exclude(button, 2)
    finish(qtbot, button.task)
    assert button.autosave.unsaved
    assert button.status.text().startswith("Changed since")


def test_a_stroke_of_the_brush_is_saved_at_once(
    button: SaveSessionButton, viewer: ViewerModel, tmp_path: Path, qtbot: Any
) -> None:
    grains = viewer.layers["Grains"]
    pixels = np.nonzero(grains.data == 3)
    grains.data_setitem(pixels, np.full(len(pixels[0]), 2, grains.data.dtype))
    button.save_into(tmp_path / "a.liso")
    finish(qtbot, button.task)
    saved = liso.load(tmp_path / "a.liso")
    assert saved.boundaries is not None
    assert np.array_equal(saved.boundaries.drawn, grains.data)


def test_there_is_no_offer_where_nothing_was_left(viewer: ViewerModel, qtbot: Any) -> None:
    offer = UnsavedOffer(Context(viewer))
    qtbot.addWidget(offer)
    assert offer.isHidden()


def leave_work(button: SaveSessionButton, qtbot: Any) -> None:
    """Edit, and end as after a crash."""
    viewer = button.context.viewer
    editor = editor_of(viewer, viewer.layers["Grain boundaries"])
    assert editor is not None
    pixels = np.flatnonzero(editor.boundaries.drawn == 3)
    editor.apply(PixelEdit(pixels, np.full(len(pixels), 2, np.int32)), "Merge")
    autosave = button.autosave
    qtbot.waitUntil(lambda: autosave.kept == autosave.changes, timeout=30_000)
    assert autosave._place is not None
    autosave._place.leave()


def test_left_work_is_offered_opened_and_passed_on(
    button: SaveSessionButton, unsaved_folder: Path, qtbot: Any
) -> None:
    leave_work(button, qtbot)
    (old,) = unsaved_folder.iterdir()
    viewer = ViewerModel()
    context = Context(viewer)
    offer = UnsavedOffer(context)
    qtbot.addWidget(offer)
    assert not offer.isHidden()
    assert "1 boundary" in offer.label.text()
    mine = SaveSessionButton(context)
    qtbot.addWidget(mine)
    with qtbot.waitSignal(offer.opened, timeout=30_000):
        offer.open_button.click()
    assert offer.isHidden()
    assert np.unique(viewer.layers["Grains"].data).tolist() == [1, 2]
    assert mine.status.text() == "Not saved yet"
    # the old copy goes when this window has one of its own
    assert old.exists()
    qtbot.waitUntil(lambda: not old.exists(), timeout=30_000)
    assert len(list(unsaved_folder.glob("*/edit-0.liso"))) == 1
    end(mine)


def test_left_work_is_discarded(
    button: SaveSessionButton, viewer: ViewerModel, unsaved_folder: Path, qtbot: Any
) -> None:
    leave_work(button, qtbot)
    offer = UnsavedOffer(Context(viewer))
    qtbot.addWidget(offer)
    offer.discard_button.click()
    assert offer.isHidden()
    assert list(unsaved_folder.iterdir()) == []


def offer_of(viewer: ViewerModel, qtbot: Any) -> UnsavedOffer:
    offer = UnsavedOffer(Context(viewer))
    qtbot.addWidget(offer)
    return offer


def test_a_map_that_was_only_looked_at_leaves_nothing(
    button: SaveSessionButton, unsaved_folder: Path, qtbot: Any
) -> None:
    viewer = button.context.viewer
    boundaries = ly.boundaries_from_layer(viewer.layers["Grain boundaries"])
    placement = ly.Placement.of_layer(viewer.layers["6Li"])
    viewer.layers.clear()
    # as a sample, or a session that was opened, comes with a fit
    add_map(viewer)
    add_grains(viewer)
    for layer_data in ly.fit_layers(fit_of(boundaries), boundaries, placement):
        viewer.add_layer(ly.made(layer_data))
    viewer.layers["Grain boundaries"].name = "Lines"
    choose_colour_mode(viewer.layers["Lines"], "state")
    qtbot.wait(300)  # editors look whether something was painted
    assert button.context.current_fit() is not None
    assert not button.autosave.unsaved
    button.autosave.close()
    assert not unsaved_folder.exists() or list(unsaved_folder.iterdir()) == []


def test_work_that_was_closed_is_offered_once(
    button: SaveSessionButton, viewer: ViewerModel, unsaved_folder: Path, qtbot: Any
) -> None:
    exclude(button)
    button.autosave.close()
    offer = offer_of(viewer, qtbot)
    assert "when napari was closed: map.test, " in offer.label.text()
    assert "3 boundaries" in offer.label.text()
    offer.show()
    offer.close()
    offer.deleteLater()
    qtbot.waitUntil(lambda: not isalive(offer))
    assert offer_of(viewer, qtbot).isHidden()
    assert len(list(unsaved_folder.glob("*/edit-0.liso"))) == 1  # nothing is lost


def test_what_was_not_decided_after_a_crash_is_offered_again(
    button: SaveSessionButton, viewer: ViewerModel, qtbot: Any
) -> None:
    leave_work(button, qtbot)
    offer = offer_of(viewer, qtbot)
    offer.show()
    offer.deleteLater()
    qtbot.waitUntil(lambda: not isalive(offer))
    again = offer_of(viewer, qtbot)
    assert not again.isHidden()
    again.discard()


def test_several_are_one_line_with_a_list(
    viewer: ViewerModel, unsaved_folder: Path, qtbot: Any
) -> None:
    for number in range(3):
        place = unsaved_folder / f"1-{number}"
        place.mkdir(parents=True)
        found = liso.find_boundaries(grains_of_three(), PIXEL)
        save(place / "edit-0.liso", edit_session(found, "L", "G", frozenset(), f"{number}.h5"))
        os.utime(place / "edit-0.liso", (time.time() - 60 * number,) * 2)
    offer = offer_of(viewer, qtbot)
    assert offer.label.text() == "Changes of 3 maps were not saved:"
    listed = [offer.list.itemText(i) for i in range(offer.list.count())]
    assert [text.split(",")[0] for text in listed] == ["0.h5", "1.h5", "2.h5", "All 3"]
    offer.list.setCurrentIndex(1)
    offer.discard_button.click()
    assert sorted(one.name for one in unsaved_folder.iterdir()) == ["1-0", "1-2"]
    offer.list.setCurrentIndex(2)
    assert not offer.open_button.isEnabled()
    offer.discard_button.click()
    assert offer.isHidden()
    assert list(unsaved_folder.iterdir()) == []


def test_damaged_work_is_told_and_stays(
    viewer: ViewerModel, unsaved_folder: Path, qtbot: Any
) -> None:
    place = unsaved_folder / "1-0"
    place.mkdir(parents=True)
    found = liso.find_boundaries(grains_of_three(), PIXEL)
    save(place / "edit-0.liso", edit_session(found, "L", "G", frozenset(), "m.h5"))
    (place / "view.liso").write_bytes((place / "edit-0.liso").read_bytes()[:-300])
    offer = offer_of(viewer, qtbot)
    offer.open_button.click()
    finish(qtbot, offer.task)
    assert offer.label.text().startswith("⚠ It cannot be opened:")
    assert len(viewer.layers) == 0
    assert (place / "edit-0.liso").exists()


def test_the_key_saves_anywhere_in_the_window_while_the_button_is_shown(
    button: SaveSessionButton, tmp_path: Path, qtbot: Any
) -> None:
    window = QMainWindow()
    qtbot.addWidget(window)
    window.setCentralWidget(QLineEdit())
    dock = QDockWidget()
    dock.setWidget(button)
    window.addDockWidget(Qt.DockWidgetArea.RightDockWidgetArea, dock)
    window.show()
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    window.centralWidget().setFocus()
    remember_path(button.context.viewer, tmp_path / "a.liso")
    both = Qt.KeyboardModifier.ControlModifier | Qt.KeyboardModifier.ShiftModifier
    with qtbot.waitSignal(button.saved, timeout=20_000):
        qtbot.keyClick(window.centralWidget(), Qt.Key.Key_S, both)
    assert "Ctrl+Shift+S" in button.button.toolTip()
    dock.hide()
    (tmp_path / "a.liso").unlink()
    qtbot.keyClick(window.centralWidget(), Qt.Key.Key_S, both)
    assert not button.task.running
    button.setParent(None)  # nobody else holds the window, and the button would go with it


def test_the_autosave_ends_with_its_window(button: SaveSessionButton, qtbot: Any) -> None:
    window = QMainWindow()
    window.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
    window.setCentralWidget(SaveSessionButton(button.context))
    window.show()
    exclude(button)
    autosave = button.autosave
    assert autosave._wait.isActive()
    window.close()
    qtbot.waitUntil(lambda: autosave.ended)
    assert not autosave._wait.isActive()
    found = find_unsaved()
    assert len(found) == 1
    found[0].discard()
