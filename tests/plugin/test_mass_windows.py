"""The dock of mass windows: what it proposes, counts, reads and keeps."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QApplication

from napari_liso.acquisition import Acquisition
from napari_liso.plugin import acquisitions
from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.main import MassWindowDock

from .conftest import finish
from .spectra import LI6, LI7, NA, FakeReading, event_acquisition, spectrum_of


@pytest.fixture
def reading(monkeypatch: pytest.MonkeyPatch) -> FakeReading:
    fake = FakeReading()
    monkeypatch.setattr("napari_liso.readers.read", fake)
    return fake


@pytest.fixture
def make_dock(viewer: ViewerModel, qtbot: Any) -> Callable[..., MassWindowDock]:
    def make(acquisition: Acquisition | None = None) -> MassWindowDock:
        if acquisition is not None:
            add(viewer, acquisition)
        dock = MassWindowDock(viewer)
        qtbot.addWidget(dock)
        return dock

    return make


def add(viewer: ViewerModel, acquisition: Acquisition) -> None:
    for layer_data in ly.acquisition_layers(acquisition):
        ly.add(viewer, layer_data)


def table_counts(dock: MassWindowDock) -> dict[str, int]:
    table = dock.windows.table
    return {
        table.item(row, 0).text(): int(table.item(row, 3).text().replace(",", ""))
        for row in range(len(dock.windows.windows()))
    }


# --- choosing ---


def test_a_file_opens_with_lithium_and_the_matrix_proposed(make_dock: Any) -> None:
    dock = make_dock(event_acquisition())
    windows = dock.windows.windows()
    assert list(windows)[:2] == ["6Li", "7Li"]
    assert {"23Na", "139La"} <= set(windows)
    assert table_counts(dock)["7Li"] == pytest.approx(36000, rel=0.15)
    low, high = dock.windows.view.range
    assert low < LI6 < LI7 < high < 10  # it looks at the pair
    assert dock.windows.message.text() == ""
    jumps = [button.text() for button in dock.windows.parts.jumps.buttons]
    assert jumps == ["all", *windows]


def test_counts_and_fraction_follow_a_dragged_edge(make_dock: Any) -> None:
    dock = make_dock(event_acquisition())
    mass, counts = spectrum_of()
    dock.windows.view.edge_dragged.emit("6Li", 5.99, LI6)
    expected = counts[(mass >= 5.99) & (mass < LI6)].sum()
    assert table_counts(dock)["6Li"] == expected
    n7 = table_counts(dock)["7Li"]
    assert f"6Li/(6Li+7Li) = {expected / (expected + n7):.4f}" in dock.windows.fraction.text()
    assert dock.windows.view.windows["6Li"] == pytest.approx((5.99, LI6), abs=1e-6)


def test_doubts_about_the_present_windows_are_told_after_a_pause(
    make_dock: Any, qtbot: Any
) -> None:
    dock = make_dock(event_acquisition())
    dock.windows.view.edge_dragged.emit("6Li", 5.99, LI6)
    qtbot.waitUntil(lambda: "window of 6Li ends inside a peak" in dock.windows.doubts.text())
    dock.windows.propose()
    qtbot.waitUntil(lambda: "ends inside a peak" not in dock.windows.doubts.text())


def test_windows_are_added_and_taken_away_in_the_spectrum(make_dock: Any) -> None:
    dock = make_dock(event_acquisition())
    dock.windows.view.wanted.emit(NA)
    assert dock.windows.table.selected() == "23Na (2)"
    dock.windows.view.removed.emit()
    assert "23Na (2)" not in dock.windows.windows()


def test_nothing_found_says_what_to_do(make_dock: Any) -> None:
    flat = (np.linspace(1.0, 200.0, 500), np.ones(500, np.int64))
    dock = make_dock(event_acquisition(spectrum=flat))
    assert dock.windows.windows() == {}
    assert "press Propose" in dock.windows.message.text()


def test_jumping_selects_and_shows_a_window(make_dock: Any) -> None:
    dock = make_dock(event_acquisition())
    next(b for b in dock.windows.parts.jumps.buttons if b.text() == "139La").click()
    low, high = dock.windows.view.range
    assert 138 < low < 138.9 < high < 140
    assert dock.windows.view.selected == "139La"
    dock.windows.parts.jumps.buttons[0].click()
    assert dock.windows.view.range[1] > 138.9
    assert dock.windows.view.range[0] < 1.01


def test_of_several_files_one_is_chosen(make_dock: Any, viewer: ViewerModel) -> None:
    dock = make_dock(event_acquisition("/data/one.test"))
    add(viewer, event_acquisition("/data/two.test", spectrum=spectrum_of({NA: 9000, LI7: 9000})))
    files = dock.windows.parts.files
    assert [files.itemText(i) for i in range(files.count())] == ["one.test", "two.test"]
    assert "139La" not in dock.windows.windows()  # the one opened last
    files.setCurrentIndex(0)
    files.activated.emit(0)
    assert "139La" in dock.windows.windows()
    del viewer.layers[0]
    assert "139La" not in dock.windows.windows()
    assert dock.windows.has_spectrum
    viewer.layers.clear()
    assert not dock.windows.has_spectrum
    assert "No open file" in dock.windows.hint.text()


# --- recalibration ---


def test_a_recalibration_is_shown_applied_undone_and_kept(
    make_dock: Any, viewer: ViewerModel, reading: FakeReading, qtbot: Any
) -> None:
    reading.spectrum = spectrum_of(stretch=1.0005)
    dock = make_dock(event_acquisition(spectrum=reading.spectrum))
    panel, box = dock.windows, dock.windows.parts.recalibration
    assert [ion.currentText() for ion in box.ions] == ["H", "7Li"]
    shifts = [int(text) for text in re.findall(r"([+-]\d+) ppm", box.preview.text())]
    assert shifts == pytest.approx([-500, -500, -500], abs=15)  # as well as peaks are placed
    before, counts = panel.windows(), table_counts(dock)
    box.apply_button.click()
    assert table_counts(dock) == counts
    assert panel.windows()["139La"][0] == pytest.approx(before["139La"][0] / 1.0005, rel=5e-5)
    assert box.preview.text() == "Both peaks are in place."
    panel.make_images()
    finish(qtbot, panel.task)
    (_, windows, recalibrate) = reading.calls[-1]
    assert windows == panel.windows()
    assert recalibrate == pytest.approx({"H": 1.007276 * 1.0005, "7Li": LI7 * 1.0005}, rel=2e-5)
    assert viewer.layers["7Li"].data.sum() == counts["7Li"]
    record = viewer.layers["7Li"].metadata["napari_liso"]["acquisition"]
    assert json.loads(json.dumps(record))["recalibration"]["peaks"][1]["ion"] == "7Li"
    box.undo_button.click()
    assert panel.windows()["139La"] == pytest.approx(before["139La"], abs=3e-6)
    assert not box.undo_button.isEnabled()


def test_a_peak_that_is_not_found_can_be_typed(make_dock: Any) -> None:
    dock = make_dock(event_acquisition(spectrum=spectrum_of(stretch=1.02)))
    box = dock.windows.parts.recalibration
    assert not box.apply_button.isEnabled()
    for place, ion, mass in zip(box.places, ("7Li", "Na"), (LI7 * 1.02, NA * 1.02), strict=True):
        box.ions[box.places.index(place)].setCurrentText(ion)
        place.setText(f"{mass:.5f}")
    box.places[0].textEdited.emit("")
    assert box.apply_button.isEnabled()
    box.apply_button.click()
    assert dock.windows.scale.seen_at("La") == pytest.approx(138.905814, rel=1e-4)


# --- images ---


def test_images_are_made_named_and_remembered(
    make_dock: Any, viewer: ViewerModel, reading: FakeReading, qtbot: Any
) -> None:
    dock = make_dock(event_acquisition())
    shown = table_counts(dock)
    dock.windows.make_images()
    assert not dock.windows.parts.running.isHidden()
    finish(qtbot, dock.windows.task)
    assert dock.windows.parts.running.isHidden()
    assert [layer.name for layer in viewer.layers] == ["total", *shown]
    assert {n: int(viewer.layers[n].data.sum()) for n in shown} == shown
    assert not viewer.layers["total"].visible
    record = viewer.layers["6Li"].metadata["napari_liso"]["acquisition"]
    assert {n: tuple(w) for n, w in record["windows"].items()} == dock.windows.windows()
    assert dock.windows.status == ""
    # again with another window: the same layers, no copies
    dock.windows.view.edge_dragged.emit("6Li", 5.99, LI6)
    dock.windows.make_images()
    finish(qtbot, dock.windows.task)
    assert len(viewer.layers) == 1 + len(shown)
    assert viewer.layers["6Li"].data.sum() == table_counts(dock)["6Li"] < shown["6Li"]


def test_images_of_another_file_are_left_alone(
    make_dock: Any, viewer: ViewerModel, reading: FakeReading, qtbot: Any
) -> None:
    dock = make_dock(event_acquisition("/data/one.test"))
    dock.windows.make_images()
    finish(qtbot, dock.windows.task)
    first = viewer.layers["6Li"].data.copy()
    add(viewer, event_acquisition("/data/two.test"))
    dock.windows.view.edge_dragged.emit("6Li", 5.99, LI6)
    dock.windows.make_images()
    finish(qtbot, dock.windows.task)
    assert reading.calls[-1][0] == "/data/two.test"
    assert np.array_equal(viewer.layers["6Li"].data, first)
    assert viewer.layers["6Li [1]"].data.sum() == table_counts(dock)["6Li"]


def test_frames_become_stacks_on_request(
    make_dock: Any, viewer: ViewerModel, reading: FakeReading, qtbot: Any
) -> None:
    dock = make_dock(event_acquisition())
    dock.windows.parts.frames.setChecked(True)
    dock.windows.make_images()
    finish(qtbot, dock.windows.task)
    stack = viewer.layers["7Li scans"]
    assert stack.data.shape == (3, 8, 9)
    assert stack.data[2].sum() == viewer.layers["7Li"].data.sum()
    assert tuple(stack.axis_labels) == ("scan", "y", "x")


def test_reading_can_be_cancelled(
    make_dock: Any, viewer: ViewerModel, reading: FakeReading, qtbot: Any
) -> None:
    started = threading.Event()

    def work(progress: Callable[[float], None]) -> None:
        for step in range(10_000):
            progress(step / 10_000)
            started.set()
            threading.Event().wait(0.01)

    reading.behave = work
    dock = make_dock(event_acquisition())
    dock.windows.make_images()
    qtbot.waitUntil(started.is_set)
    qtbot.waitUntil(lambda: dock.windows.parts.progress.maximum() == 100)
    assert not dock.windows.make_button.isEnabled()
    dock.windows.parts.cancel_button.click()
    finish(qtbot, dock.windows.task)
    assert "nothing was changed" in dock.windows.message.text()
    assert [layer.name for layer in viewer.layers] == ["total"]
    assert dock.windows.make_button.isEnabled()


def test_what_was_given_by_hand_survives_reading_again(
    make_dock: Any, viewer: ViewerModel, reading: FakeReading, qtbot: Any
) -> None:
    acquisition = event_acquisition()
    dock = make_dock(acquisition)
    acquisitions.give_pixel_size(viewer, acquisition, 0.25)
    acquisitions.give_pulses(viewer, acquisition, 12)
    dock.windows.make_images()
    finish(qtbot, dock.windows.task)
    made = ly.acquisition_from_layer(viewer.layers["7Li"])
    assert made.pixel_size == (2.5e-7, 2.5e-7)
    assert np.broadcast_to(made.pulses, made.counts.shape[1:]).sum() == 12 * 3 * 72
    assert ly.pixel_size_from_layer(viewer.layers["7Li"]) == (2.5e-7, 2.5e-7)


def test_a_dock_opened_later_finds_the_windows_again(
    make_dock: Any, viewer: ViewerModel, reading: FakeReading, qtbot: Any
) -> None:
    dock = make_dock(event_acquisition())
    dock.windows.parts.recalibration.apply_button.click()
    dock.windows.table.fill({"7Li": (7.0, 7.03)})
    dock.windows.make_images()
    finish(qtbot, dock.windows.task)
    again = make_dock()
    assert again.windows.windows() == {"7Li": (7.0, 7.03)}
    assert again.windows.scale.recalibrate == dock.windows.scale.recalibrate
    assert again.windows.status == ""


def test_the_script_is_copied(make_dock: Any) -> None:
    dock = make_dock(event_acquisition())
    dock.windows.table.fill({"7Li": (7.0, 7.03)})
    dock.windows.parts.copy_button.click()
    text = QApplication.clipboard().text()
    assert "'/data/run 1.test'" in text
    assert "'7Li': (7.0, 7.03)" in text
    compile(text, "script", "exec")


# --- files without an image ---


def test_a_spectrum_alone_gives_counts_and_a_fraction(make_dock: Any, viewer: ViewerModel) -> None:
    dock = make_dock(event_acquisition("/data/bare.txt", shape=(1, 1, 1)))
    (layer,) = viewer.layers
    assert layer.name == "bare"
    assert not layer.visible
    assert "no image" in dock.windows.hint.text()
    assert "6Li/(6Li+7Li) = 0.07" in dock.windows.fraction.text()
    assert dock.windows.parts.frames.isHidden()
    assert dock.context.tracer.candidates == []


def test_spectra_opened_as_one_show_their_totals(make_dock: Any) -> None:
    dock = make_dock(event_acquisition("/data/bare.txt", shape=(3, 1, 1)))
    (line,) = dock.windows.parts.profile.counts.axes.lines
    assert np.array_equal(line.get_ydata(), [0, 0, sum(spectrum_of()[1])])


def test_large_intensities_are_without_decimals(make_dock: Any) -> None:
    mass, counts = spectrum_of()
    dock = make_dock(event_acquisition(spectrum=(mass, counts * 1.0001)))
    shown = {
        name: dock.windows.table.item(row, 3).text()
        for row, name in enumerate(dock.windows.windows())
    }
    assert "." not in shown["7Li"]  # 36,000 of them
    assert "." in shown["6Li"]  # 3,000


def profile(frames: int = 6, dtype: type = np.int64) -> Acquisition:
    counts = np.arange(2 * frames).reshape(2, frames, 1, 1).astype(dtype)
    facts = {"path": "/data/depth.txt", "sputter_time_s": [2.0 * k for k in range(frames)]}
    return Acquisition(counts, ("6Li", "7Li"), np.array([6.0, 7.0]), metadata=facts)


def test_a_depth_profile_is_a_layer_and_a_plot(make_dock: Any, viewer: ViewerModel) -> None:
    dock = make_dock(profile())
    (layer,) = viewer.layers
    assert layer.visible
    assert layer.data.shape == (2, 6)
    assert layer.axis_labels == ("channel", "frame")
    box = dock.windows.parts.profile
    assert not box.isHidden()
    assert "6Li/(6Li+7Li) = 0.2273" in box.sums.text()  # 15 of 66
    (lines, line7) = box.counts.axes.lines
    assert np.array_equal(lines.get_ydata(), np.arange(6))
    assert np.array_equal(line7.get_xdata(), [0, 2, 4, 6, 8, 10])
    assert box.fraction.axes.lines[0].get_ydata()[-1] == pytest.approx(5 / 16)
    assert dock.windows.parts.view.isHidden()
    viewer.theme = "light"
    viewer.layers.clear()
    assert box.isHidden()


def test_corrected_intensities_say_that_the_interval_is_approximate(make_dock: Any) -> None:
    dock = make_dock(profile(dtype=np.float64))
    assert "as if these were counts" in dock.windows.parts.profile.sums.text()
