"""Unsaved work is kept within seconds, survives a kill, and is offered again."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

import napari_liso as liso
from napari_liso.microstructure.editing import PixelEdit
from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.autosave import Autosave
from napari_liso.plugin.labelling.editor import BoundaryEditor, editor_of
from napari_liso.plugin.labelling.unsaved import edit_session, find_unsaved
from napari_liso.session import Session, save

from .conftest import PIXEL, add_boundaries, add_grains, add_map, fit_of, grains_of_three


@pytest.fixture
def editor(viewer: ViewerModel) -> BoundaryEditor:
    add_map(viewer)
    add_grains(viewer)
    add_boundaries(viewer)
    found = editor_of(viewer, viewer.layers["Grain boundaries"])
    assert found is not None
    return found


@pytest.fixture
def autosave(
    viewer: ViewerModel, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> Iterator[Autosave]:
    made = Autosave(viewer, tmp_path)
    made.attach(editor)
    yield made
    made.note_saved()
    made.close()


def merge(editor: BoundaryEditor, grain: int = 3, into: int = 2) -> None:
    pixels = np.flatnonzero(editor.boundaries.drawn == grain)
    assert editor.apply(PixelEdit(pixels, np.full(len(pixels), into, np.int32)), "Merge")


def kept(qtbot: Any, autosave: Autosave) -> None:
    """Wait until all changes are on the disk."""
    qtbot.waitUntil(lambda: autosave.kept == autosave.changes, timeout=30_000)


def crash(autosave: Autosave) -> None:
    """Leave the folder as a program that was killed does, but for its lock."""
    assert autosave._place is not None
    autosave._place.leave()


def test_an_edit_is_kept_and_opened_again(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    merge(editor)
    editor.set_state(1, "exclude")
    editor.set_note(1, "ß")
    assert autosave.unsaved
    kept(qtbot, autosave)
    crash(autosave)
    (unsaved,) = find_unsaved(tmp_path)
    there = int((editor.boundaries.table["state"] != "removed").sum())
    assert unsaved.boundaries == there
    assert unsaved.text.startswith("map.test, ")
    assert unsaved.text.endswith(", 1 boundary")
    assert unsaved.sentence.startswith("Changes that were not saved when napari ended unexpect")
    again = ViewerModel()
    unsaved.open(again)
    assert [layer.name for layer in again.layers] == ["6Li", "7Li", "Grains", "Grain boundaries"]
    layer = again.layers["Grain boundaries"]
    pd.testing.assert_frame_equal(ly.boundaries_from_layer(layer).table, editor.boundaries.table)
    assert np.array_equal(again.layers["Grains"].data, editor.grains.data)
    assert np.array_equal(layer.data, editor.boundaries.labels)
    assert layer.features["state"].tolist()[1:] == editor.boundaries.table["state"].tolist()


def test_later_edits_are_kept_without_writing_all_layers_again(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    editor.set_state(1, "exclude")
    kept(qtbot, autosave)
    (view,) = tmp_path.glob("*/view.liso")
    before = view.stat().st_mtime_ns
    merge(editor)
    kept(qtbot, autosave)
    assert view.stat().st_mtime_ns == before
    crash(autosave)
    again = ViewerModel()
    find_unsaved(tmp_path)[0].open(again)
    assert np.unique(again.layers["Grains"].data).tolist() == [1, 2]


def test_undo_is_kept_too(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    before = editor.boundaries.table.copy()
    merge(editor)
    kept(qtbot, autosave)
    editor.undo()
    kept(qtbot, autosave)
    crash(autosave)
    found = find_unsaved(tmp_path)[0].load().boundaries
    pd.testing.assert_frame_equal(found.table, before)


def test_a_new_fit_is_kept(
    autosave: Autosave, editor: BoundaryEditor, viewer: ViewerModel, tmp_path: Path, qtbot: Any
) -> None:
    placement = ly.Placement.of_layer(viewer.layers["6Li"])
    for layer_data in ly.fit_layers(fit_of(editor.boundaries), editor.boundaries, placement):
        ly.show(viewer, layer_data)
    kept(qtbot, autosave)
    crash(autosave)
    again = ViewerModel()
    find_unsaved(tmp_path)[0].open(again)
    assert ly.fit_from_layer(again.layers["Grain boundaries"]) is not None
    assert "log10 k (m/s)" in again.layers


def test_nothing_is_kept_of_a_viewer_that_was_only_looked_at(
    autosave: Autosave, tmp_path: Path, qtbot: Any
) -> None:
    qtbot.wait(50)
    autosave.close()
    assert list(tmp_path.iterdir()) == []


def test_saving_takes_the_copy_away(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    merge(editor)
    kept(qtbot, autosave)
    autosave.note_saved()
    assert not autosave.unsaved
    assert list(tmp_path.glob("*/*.liso")) == []
    autosave.close()
    assert list(tmp_path.iterdir()) == []


def test_saving_while_the_copy_is_written_takes_it_away(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    merge(editor)
    autosave._begin()
    assert autosave.task.running
    autosave.note_saved()
    qtbot.waitUntil(lambda: not autosave.task.running, timeout=30_000)
    assert list(tmp_path.glob("*/*.liso")) == []


def test_what_was_not_saved_at_the_end_is_offered_the_next_time(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path
) -> None:
    merge(editor)
    autosave.close()  # before the timer
    (unsaved,) = find_unsaved(tmp_path)
    pd.testing.assert_frame_equal(unsaved.load().boundaries.table, editor.boundaries.table)


def test_work_that_was_closed_unsaved_says_so_and_is_urgent_once(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path
) -> None:
    merge(editor)
    autosave.close()
    (unsaved,) = find_unsaved(tmp_path)
    assert unsaved.sentence.startswith("Changes that were not saved when napari was closed: ")
    assert unsaved.urgent
    unsaved.note_seen()
    unsaved.leave()
    (again,) = find_unsaved(tmp_path)  # it is still there
    assert not again.urgent
    again.leave()


def test_a_viewer_that_closes_keeps_what_it_had(
    viewer: ViewerModel, autosave: Autosave, editor: BoundaryEditor, tmp_path: Path
) -> None:
    merge(editor)
    viewer.layers.clear()  # as `Viewer.close` does
    autosave.close()
    (unsaved,) = find_unsaved(tmp_path)
    again = ViewerModel()
    unsaved.open(again)
    assert [layer.name for layer in again.layers] == ["6Li", "7Li", "Grains", "Grain boundaries"]
    assert np.unique(again.layers["Grains"].data).tolist() == [1, 2]


def test_a_viewer_that_closes_later_keeps_what_is_on_the_disk(
    viewer: ViewerModel, autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    merge(editor)
    kept(qtbot, autosave)
    viewer.layers.clear()
    kept(qtbot, autosave)
    autosave.close()
    (unsaved,) = find_unsaved(tmp_path)
    again = ViewerModel()
    unsaved.open(again)
    assert [layer.name for layer in again.layers] == ["6Li", "7Li", "Grains", "Grain boundaries"]


def test_a_viewer_that_is_let_go_keeps_its_last_change(tmp_path: Path, qtbot: Any) -> None:
    viewer = ViewerModel()
    add_map(viewer)
    add_grains(viewer)
    add_boundaries(viewer)
    editor = editor_of(viewer, viewer.layers["Grain boundaries"])
    assert editor is not None
    autosave = Autosave(viewer, tmp_path)
    autosave.attach(editor)
    merge(editor)
    gone = weakref.ref(viewer)
    expected = editor.boundaries.table
    del viewer, editor
    gc.collect()
    assert gone() is None
    assert autosave.ended
    assert not autosave._wait.isActive()
    (unsaved,) = find_unsaved(tmp_path)
    pd.testing.assert_frame_equal(unsaved.load().boundaries.table, expected)


def test_closing_waits_for_what_is_written_and_its_last_word_counts(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go = threading.Event(), threading.Event()

    def slow(path: Path, session: Session) -> Path:
        if threading.current_thread() is not threading.main_thread():
            began.set()
            assert go.wait(20)
        return save(path, session)

    monkeypatch.setattr("napari_liso.plugin.labelling.autosave.save", slow)
    editor.set_note(1, "old")
    autosave._begin()
    assert began.wait(20)
    editor.set_note(1, "new")
    threading.Timer(0.2, go.set).start()
    autosave.close()
    (unsaved,) = find_unsaved(tmp_path)
    assert unsaved.load().boundaries.table["notes"][1] == "new"


def test_a_thread_that_comes_late_does_not_write_over_newer_work(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path
) -> None:
    editor.set_note(1, "old")
    folder, job, number = autosave._own_folder(), autosave._edits(), autosave._writer.next()
    editor.set_note(1, "new")
    autosave.close()
    assert autosave._writer.write(folder, job, number) is None
    (unsaved,) = find_unsaved(tmp_path)
    assert unsaved.load().boundaries.table["notes"][1] == "new"


def test_a_layer_that_was_removed_takes_its_edits_along(
    viewer: ViewerModel, autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    other = ly.add(viewer, ly.grains_layer(grains_of_three().T.copy(), placement, "Others"))
    found = liso.find_boundaries(other.data, PIXEL)
    lines = ly.add(viewer, ly.boundaries_layer(found, placement, "Lines", sources=("Others",)))
    second = editor_of(viewer, lines)
    assert second is not None
    autosave.attach(second)
    merge(editor)
    second.set_note(1, "second")
    kept(qtbot, autosave)
    viewer.layers.remove("Grain boundaries")
    second.set_note(1, "last")
    kept(qtbot, autosave)
    crash(autosave)
    again = ViewerModel()
    find_unsaved(tmp_path)[0].open(again)
    assert "Grain boundaries" not in again.layers
    assert ly.boundaries_from_layer(again.layers["Lines"]).table["notes"][1] == "last"


def test_boundaries_found_anew_are_kept_once_there_are_edits(
    viewer: ViewerModel, autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    merge(editor)
    kept(qtbot, autosave)
    halves = np.ones((24, 30), np.int32)
    halves[:, 7:] = 2
    add_grains(viewer, halves)
    found = add_boundaries(viewer, halves)
    assert editor.boundaries is found
    autosave.close()
    (unsaved,) = find_unsaved(tmp_path)
    assert np.array_equal(unsaved.load().boundaries.drawn, halves)


def leave(folder: Path, boundaries: int = 1, name: str = "m.h5") -> Path:
    """Leave work of three grains, or one, as a program that was killed."""
    grains = grains_of_three() if boundaries else np.ones((24, 30), np.int32)
    place = folder / f"1-{len(list(folder.iterdir()))}"
    place.mkdir()
    found = liso.find_boundaries(grains, PIXEL)
    save(place / "edit-0.liso", edit_session(found, "Lines", "Grains", frozenset(), name))
    return place


def test_old_work_and_work_without_boundaries_is_taken_away(tmp_path: Path, qtbot: Any) -> None:
    old, empty, good = leave(tmp_path), leave(tmp_path, 0), leave(tmp_path)
    month = time.time() - 31 * 24 * 3600
    os.utime(old / "edit-0.liso", (month, month))
    (found,) = find_unsaved(tmp_path)
    assert found.place.path == good
    assert not old.exists()
    assert not empty.exists()
    found.leave()


def test_windows_do_not_take_each_others_work(
    autosave: Autosave, editor: BoundaryEditor, tmp_path: Path, qtbot: Any
) -> None:
    merge(editor)
    kept(qtbot, autosave)
    assert find_unsaved(tmp_path) == []  # its window is open
    crash(autosave)
    first, second = find_unsaved(tmp_path), find_unsaved(tmp_path)
    assert (len(first), len(second)) == (1, 0)  # offered by one window only
    first[0].leave()
    third = find_unsaved(tmp_path)
    third[0].discard()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_once(
    autosave: Autosave,
    editor: BoundaryEditor,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    def full(*args: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("napari_liso.plugin.labelling.autosave.save", full)
    told: list[str] = []
    autosave.failed.connect(told.append)
    for state in ("exclude", "use"):
        editor.set_state(1, state)
        autosave._begin()
        qtbot.waitUntil(lambda: not autosave.task.running, timeout=30_000)
    assert len(told) == 1
    assert "No space left" in told[0]
    assert autosave.unsaved


def test_a_copy_that_was_never_finished_is_no_offer(tmp_path: Path, qtbot: Any) -> None:
    (tmp_path / "1-a").mkdir()
    (tmp_path / "1-a" / ".edit-0.liso.77.part").write_bytes(b"half")
    assert find_unsaved(tmp_path) == []
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("how", ["thread", "edit"])
def test_a_script_that_ends_ends_its_thread_and_keeps_the_last_edit(
    how: str, tmp_path: Path
) -> None:
    environment = {
        **os.environ,
        "NAPARI_LISO_UNSAVED": str(tmp_path),
        "QT_QPA_PLATFORM": "offscreen",
    }
    program = Path(__file__).with_name("crashing.py")
    outcome = subprocess.run(
        [sys.executable, str(program), "--end", how],
        env=environment,
        capture_output=True,
        timeout=100,
        check=False,
    )
    assert outcome.returncode == 0, outcome.stderr.decode()
    assert outcome.stdout.split() == [b"begun", b"ended"][: 1 + (how == "thread")]
    found = find_unsaved(tmp_path)
    assert len(found) == (how == "edit")
    for one in found:
        assert not one.crashed
        assert one.load().boundaries.table["notes"].str.contains("β").sum() == 1


def test_a_program_that_is_killed_loses_nothing(tmp_path: Path, qtbot: Any) -> None:
    truth, folder = tmp_path / "truth.liso", tmp_path / "unsaved"
    environment = {
        **os.environ,
        "NAPARI_LISO_UNSAVED": str(folder),
        "QT_QPA_PLATFORM": "offscreen",
    }
    program = Path(__file__).with_name("crashing.py")
    with subprocess.Popen(
        [sys.executable, str(program), str(truth)], env=environment, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip() == b"kept"
        process.send_signal(signal.SIGKILL)
    (unsaved,) = find_unsaved(folder)
    viewer = ViewerModel()
    unsaved.open(viewer)
    expected = liso.load(truth)
    assert expected.boundaries is not None
    found = ly.boundaries_from_layer(viewer.layers["Grain boundaries"])
    pd.testing.assert_frame_equal(found.table, expected.boundaries.table, check_exact=True)
    assert {"use", "exclude", "locked", "removed"} == set(found.table["state"])
    assert np.array_equal(viewer.layers["Grains"].data, expected.grains)
    for name, values in vars(expected.boundaries.faces).items():
        assert np.array_equal(getattr(found.faces, name), values)
