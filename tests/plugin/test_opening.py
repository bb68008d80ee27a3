"""Opening a file in a real window: the dock that it needs, a real mouse, large files."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from napari.utils.notifications import notification_manager
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtWidgets import QApplication

from napari_liso.plugin import opening, reader
from napari_liso.plugin.reader import get_reader, read_layers
from napari_liso.plugin.widgets.main import AllSteps

from .conftest import acquisition_of, finish, warned
from .spectra import FakeReading

needs_screen = pytest.mark.skipif(
    sys.platform.startswith("linux") and not os.environ.get("DISPLAY"),
    reason="needs a screen (xvfb-run, or pytest-xvfb)",
)

PLUGIN = "napari-liso"
DOCK = "Mass windows (napari-liso)"


@pytest.fixture
def archive(shared_data: Path) -> str:
    (path,) = (shared_data / "simsh5").glob("*.h5")
    return str(path)


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file that is taken for one of ours."""
    path = tmp_path / "run.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(1000))
    monkeypatch.setattr("napari_liso.readers.recognise", lambda path: "test")
    return path


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> FakeReading:
    fake = FakeReading()
    monkeypatch.setattr("napari_liso.readers.read", fake)
    return fake


def from_the_menu(function: Callable[[], object]) -> None:
    """Call something as a menu does: from inside the event loop."""
    QTimer.singleShot(0, function)


@needs_screen
def test_a_file_of_spectra_brings_its_dock_and_an_edge_is_dragged(
    make_napari_viewer: Callable[..., Any], archive: str, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.window.resize(1400, 950)
    viewer.open(archive, plugin=PLUGIN)
    qtbot.waitUntil(lambda: DOCK in viewer.window.dock_widgets)
    dock = viewer.window.dock_widgets[DOCK]
    panel, view = dock.windows, dock.windows.view
    qtbot.waitUntil(lambda: view.isVisible() and view.width() > 250)
    qtbot.wait(200)
    assert "63Cu" in panel.windows()

    view.jump_to("63Cu")
    before = panel.windows()["63Cu"]
    shown = panel.table.item(list(panel.windows()).index("63Cu"), 3)
    counts = int(shown.text().replace(",", ""))
    start = QPoint(round(view.frame().x(before[1])), 80)
    qtbot.mouseMove(view, start)
    assert view.cursor().shape() == Qt.CursorShape.SizeHorCursor
    qtbot.mousePress(view, Qt.MouseButton.LeftButton, pos=start)
    qtbot.mouseMove(view, start + QPoint(20, 3))
    QApplication.processEvents()
    halfway = panel.windows()["63Cu"]
    assert before[1] < halfway[1]
    qtbot.mouseMove(view, start + QPoint(40, 0))
    qtbot.mouseRelease(view, Qt.MouseButton.LeftButton, pos=start + QPoint(40, 0))
    after = panel.windows()["63Cu"]
    assert after[0] == before[0]
    assert after[1] > halfway[1]
    mass, native = panel.scale.curve.mass, panel.scale.curve.counts
    expected = int(native[(mass >= after[0]) & (mass < after[1])].sum())
    assert int(shown.text().replace(",", "")) == expected > counts

    panel.make_images()
    finish(qtbot, panel.task)
    assert viewer.layers["63Cu"].data.sum() == expected
    kept = viewer.layers["63Cu"].metadata["napari_liso"]["acquisition"]["windows"]["63Cu"]
    assert tuple(kept) == after

    # a second file finds the dock that is there
    viewer.open(archive, plugin=PLUGIN)
    qtbot.wait(200)
    assert len(viewer.window.dock_widgets) == 1


@needs_screen
def test_the_dock_of_all_steps_is_enough(
    make_napari_viewer_proxy: Callable[..., Any], file: Path, reading: FakeReading, qtbot: Any
) -> None:
    viewer = make_napari_viewer_proxy(show=True)
    viewer.window.add_plugin_dock_widget(PLUGIN, "Analyse isotope map")
    viewer.open(str(file), plugin=PLUGIN)
    qtbot.wait(300)
    (dock,) = viewer.window.dock_widgets.values()
    assert isinstance(dock, AllSteps)
    assert dock.windows.has_spectrum


@needs_screen
def test_a_closed_dock_opens_again_with_the_next_file(
    make_napari_viewer: Callable[..., Any], file: Path, reading: FakeReading, qtbot: Any
) -> None:
    viewer = make_napari_viewer(show=True)
    viewer.open(str(file), plugin=PLUGIN)
    qtbot.waitUntil(lambda: DOCK in viewer.window.dock_widgets)
    viewer.window.remove_dock_widget(viewer.window.dock_widgets[DOCK])
    qtbot.wait(100)
    assert DOCK not in viewer.window.dock_widgets
    viewer.open(str(file), plugin=PLUGIN)
    qtbot.waitUntil(lambda: DOCK in viewer.window.dock_widgets)


@needs_screen
@pytest.mark.parametrize("other_dock", [None, "Mass windows"])
def test_images_bring_no_dock_but_their_warnings(
    other_dock: str | None,
    make_napari_viewer: Callable[..., Any],
    file: Path,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    acquisition = acquisition_of()
    acquisition.metadata["warnings"] = ["It is odd."]
    monkeypatch.setattr("napari_liso.readers.read", lambda path: acquisition)
    viewer = make_napari_viewer(show=True)
    if other_dock is not None:  # it is about files with spectra
        viewer.window.add_plugin_dock_widget(PLUGIN, other_dock)
    before = list(viewer.window.dock_widgets)
    viewer.open(str(file), plugin=PLUGIN)
    qtbot.waitUntil(lambda: bool(warned()))
    assert "map.test" in warned()[0]
    assert "It is odd." in warned()[0]
    assert list(viewer.window.dock_widgets) == before


def test_without_a_window_nothing_but_layers(
    viewer: ViewerModel, file: Path, reading: FakeReading, qtbot: Any
) -> None:
    viewer.open(str(file), plugin=PLUGIN)
    qtbot.wait(50)
    assert [layer.name for layer in viewer.layers] == ["total"]
    assert not QApplication.topLevelWidgets() or DOCK not in [
        w.windowTitle() for w in QApplication.topLevelWidgets()
    ]


# --- large files ---


@needs_screen
def test_a_large_file_is_read_while_the_window_lives(
    make_napari_viewer: Callable[..., Any],
    file: Path,
    reading: FakeReading,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    monkeypatch.setattr(opening, "LARGE_FILE", 500)
    threads, go_on = [], threading.Event()

    def work(progress: Callable[[float], None]) -> None:
        threads.append(threading.current_thread())
        progress(0.4)
        go_on.wait(10)

    reading.behave = work
    viewer = make_napari_viewer(show=True)
    from_the_menu(lambda: viewer.open(str(file), plugin=PLUGIN))
    qtbot.waitUntil(lambda: bool(threads))
    assert threads[0] is not threading.main_thread()
    assert len(viewer.layers) == 0
    (running,) = opening._running
    qtbot.waitUntil(lambda: running._bar.n == pytest.approx(40))
    go_on.set()
    qtbot.waitUntil(lambda: "total" in viewer.layers)
    qtbot.waitUntil(lambda: DOCK in viewer.window.dock_widgets)
    assert not opening._running


@needs_screen
def test_reading_a_large_file_can_be_cancelled_and_may_fail(
    make_napari_viewer: Callable[..., Any],
    file: Path,
    reading: FakeReading,
    monkeypatch: pytest.MonkeyPatch,
    qtbot: Any,
) -> None:
    monkeypatch.setattr(opening, "LARGE_FILE", 500)

    def endless(progress: Callable[[float], None]) -> None:
        while True:
            progress(0.4)
            threading.Event().wait(0.01)

    reading.behave = endless
    viewer = make_napari_viewer(show=True)
    from_the_menu(lambda: viewer.open(str(file), plugin=PLUGIN))
    qtbot.waitUntil(lambda: bool(opening._running))
    (running,) = opening._running
    running._bar.cancel()
    qtbot.waitUntil(lambda: not opening._running)
    assert len(viewer.layers) == 0

    def broken(progress: Callable[[float], None]) -> None:
        raise ValueError("the file is broken in the middle")

    reading.behave = broken
    from_the_menu(lambda: viewer.open(str(file), plugin=PLUGIN))
    qtbot.waitUntil(
        lambda: any("broken in the middle" in str(n.message) for n in notification_manager.records)
    )
    assert len(viewer.layers) == 0


@needs_screen
def test_a_script_gets_the_layers_of_a_large_file_at_once(
    make_napari_viewer: Callable[..., Any],
    file: Path,
    reading: FakeReading,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(opening, "LARGE_FILE", 500)
    viewer = make_napari_viewer()
    assert [layer.name for layer in viewer.open(str(file), plugin=PLUGIN)] == ["total"]


# --- what is ours ---


class Pairs:
    """A format of two files, each of which stands for both."""

    NAME = "pair"

    @staticmethod
    def companions(path: Path) -> list[Path]:
        return [path.with_suffix(".one"), path.with_suffix(".two")]


def test_two_files_of_one_measurement_open_once(
    tmp_path: Path, reading: FakeReading, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / "a.one", tmp_path / "a.two"]
    monkeypatch.setattr("napari_liso.readers.module_for", lambda path: Pairs)
    monkeypatch.setattr(reader, "_last_opened", {})
    clock = [100.0]
    monkeypatch.setattr(reader.time, "monotonic", lambda: clock[0])
    assert len(read_layers(paths[0])[0]) == 3
    assert read_layers(paths[1]) == [(None,)]  # dropped together
    clock[0] += 60
    assert len(read_layers(paths[1])[0]) == 3  # opened on purpose
    assert read_layers(paths[0]) == [(None,)]
    assert len(reading.calls) == 2
    clock[0] += 60
    for _ in range(2):
        assert len(read_layers(paths[0])[0]) == 3  # the same file twice is twice


def test_a_file_that_stands_for_another_opens_it_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    main, side = tmp_path / "a.main", tmp_path / "a.side"

    class OneWay:
        @staticmethod
        def companions(path: Path) -> list[Path]:
            return [side] if path == main else []

    monkeypatch.setattr("napari_liso.readers.module_for", lambda path: OneWay)
    monkeypatch.setattr(reader, "_last_opened", {})
    acquisition = acquisition_of()
    acquisition.metadata["path"] = str(main)
    monkeypatch.setattr("napari_liso.readers.read", lambda path: acquisition)
    assert len(read_layers(side)) == 2
    assert read_layers(main) == [(None,)]


@pytest.mark.parametrize(
    ("channels", "ours"), [(["6Li", "7Li"], True), (["DAPI", "GFP"], False), (None, False)]
)
def test_zarr_stores_are_ours_if_they_name_isotopes(
    tmp_path: Path, channels: list[str] | None, ours: bool
) -> None:
    zarr = pytest.importorskip("zarr")
    store = zarr.create_array(tmp_path / "a.zarr", data=np.ones((2, 1, 4, 5), np.uint16))
    store.attrs["axes"] = "cfyx"
    if channels:
        store.attrs["channels"] = channels
    found = get_reader(tmp_path / "a.zarr")
    assert (found is not None) == ours
    if found is not None:
        assert [arguments["name"] for _, arguments, _ in found(tmp_path / "a.zarr")] == channels


@pytest.mark.parametrize("error", [KeyError("x"), RuntimeError("y"), MemoryError(), OSError()])
def test_the_hook_swallows_what_damaged_files_raise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(path: object) -> str:
        raise error

    monkeypatch.setattr("napari_liso.readers.recognise", fail)
    assert get_reader(str(tmp_path / "x.h5")) is None


@pytest.mark.parametrize(
    "name",
    ["A.H5", "a.hdf5", "b.raw", "B.RAW", "c.bif6", "c.BIF3D", "d.itm.grd", "e.ITZIP", "f.ita",
     "f.itm", "f.its", "f.itax", "f.itmx", "g.txt", "h.imzML", "h.ibd", "i.im", "j.ome.tif"],
)  # fmt: skip
def test_napari_asks_us_about_every_format(
    viewer: ViewerModel, file: Path, reading: FakeReading, name: str
) -> None:
    other = file.with_name(name)
    file.rename(other)
    if name.endswith("tif"):  # claimed only with peak names
        other.with_name(name + ".csv").write_text("name\n6Li\n")
    viewer.open(str(other), plugin=PLUGIN)
    assert len(viewer.layers) == 1
    assert np.asarray(viewer.layers[0].data).sum() > 0
