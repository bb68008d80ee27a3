"""The button that saves a session, and the offer of unsaved work."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QFileDialog

import napari_liso as liso
from napari_liso.microstructure.editing import PixelEdit
from napari_liso.plugin.context import Context
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.widgets.save_session import SaveSessionButton, UnsavedOffer

from .conftest import add_boundaries, add_grains, add_map, finish


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
    autosave._place.release()


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
