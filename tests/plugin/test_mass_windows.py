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
from napari_liso.plugin.widgets.main import AllSteps, MassWindowDock
from napari_liso.readers._lazy import ChannelStack, LazyCounts

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


# --- facts that the file leaves open ---


def test_pulses_are_asked_for_with_a_proposal(viewer: ViewerModel, qtbot: Any) -> None:
    facts = {
        "pulse_rate_Hz": 7200.0,
        "time_per_frame_s": 0.1,
        "warnings": ["Odd."],
    }
    mass, counts = spectrum_of()
    windows = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}
    acquisition = event_acquisition(spectrum=(mass, counts), windows=windows, **facts)
    from napari_liso.readers.checks import general_warnings

    acquisition.metadata["warnings"] += general_warnings(acquisition)
    add(viewer, acquisition)
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    pulses = dock.data.pulses
    assert pulses.known.text() == "not in the file"
    assert pulses.box.value() == 10  # 7200 a second x 0.1 s / 72 pixels
    assert "7,200 pulses a second" in pulses.how.text()
    pulses.box.setValue(20)
    pulses.set_button.click()
    assert pulses.known.text() == "20 per pixel and frame"
    assert pulses.unknown.isHidden()
    for layer in viewer.layers:
        own = ly.acquisition_from_layer(layer)
        assert np.asarray(own.pulses).item() == 20
        record = layer.metadata["napari_liso"]["acquisition"]
        assert record["pulses_per_pixel_and_frame"] == 20
        assert record["pulses_source"] == "given by hand"
        assert not any("pulses each pixel" in text for text in record["warnings"])
        assert any("saturated" in text for text in record["warnings"])  # all in one pixel
        assert "Odd." in record["warnings"]
    pulses.change_button.click()
    pulses.box.setValue(10**6)
    pulses.set_button.click()
    warnings = ly.acquisition_from_layer(viewer.layers[0]).metadata["warnings"]
    assert not any("saturated" in text for text in warnings)


def test_known_pulses_correct_the_fraction_for_dead_time(viewer: ViewerModel, qtbot: Any) -> None:
    # 8 frames of 20 pulses: 40 and 72 of 160 pulses gave an ion
    counts = np.array([5, 9]).reshape(2, 1, 1, 1) * np.ones((2, 8, 3, 4), int)
    acquisition = Acquisition(
        counts, ("6Li", "7Li"), np.array([6.0, 7.0]), (1e-7, 1e-7), metadata={"path": "/d/a.x"}
    )
    add(viewer, acquisition)
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    assert dock.ratio.dead_time.isHidden()
    acquisitions.give_pulses(viewer, acquisition, 20)
    assert not dock.ratio.dead_time.isHidden()
    for corrected in (True, False):
        dock.ratio.dead_time.setChecked(corrected)
        dock.ratio.compute()
        finish(qtbot, dock.ratio.task)
        layer = viewer.layers["6Li fraction"]
        # ions that came: -P ln(1 - N / P)
        n6, n7 = (-160 * np.log1p(-n / 160) if corrected else n for n in (40, 72))
        assert layer.data == pytest.approx(n6 / (n6 + n7), rel=1e-5)
        assert f"Whole map: {n6 / (n6 + n7):.4f}" in dock.ratio.message.text()
        assert layer.metadata["napari_liso"]["dead_time_corrected"] == corrected


@pytest.mark.parametrize(("frames", "corrected"), [(2, False), (50, True)])
def test_a_pixel_of_a_few_pulses_is_not_corrected(
    viewer: ViewerModel, qtbot: Any, frames: int, corrected: bool
) -> None:
    """With one pulse a pixel and frame, as of PHI: 0.03 and 0.3 ions a pulse came."""
    rng = np.random.default_rng(6)
    seen = -np.expm1([-0.03, -0.3])
    counts = rng.binomial(1, seen.reshape(2, 1, 1, 1), (2, frames, 100, 100))
    add(
        viewer,
        Acquisition(
            counts,
            ("6Li", "7Li"),
            np.array([6.0, 7.0]),
            (1e-7, 1e-7),
            pulses=np.full((1, 1, 1), 1),
            metadata={"path": "/d/a.x"},
        ),
    )
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    assert dock.ratio.dead_time.isEnabled() == corrected
    assert corrected or "2 pulses a pixel are too few" in dock.ratio.dead_time.toolTip()
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    layer = viewer.layers["6Li fraction"]
    assert layer.metadata["napari_liso"]["dead_time_corrected"] == corrected
    text = dock.ratio.message.text()
    assert ("not corrected for dead time" in text) != corrected
    expected = 0.03 / 0.33 if corrected else seen[0] / seen.sum()
    assert float(text.split("Whole map: ")[1].split()[0]) == pytest.approx(expected, rel=0.03)
    assert np.isfinite(layer.data[counts.sum(axis=(0, 1)) > 0]).all()


def test_pulses_are_not_asked_for_where_the_beam_has_none(viewer: ViewerModel, qtbot: Any) -> None:
    windows = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}
    add(viewer, event_acquisition(windows=windows, pulses_note="a continuous beam"))
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    assert dock.data.pulses.isHidden()


def test_a_wrong_pixel_size_can_be_changed(viewer: ViewerModel, qtbot: Any) -> None:
    windows = {"6Li": (5.9, 6.1), "7Li": (6.9, 7.1)}
    acquisition = event_acquisition(windows=windows)
    add(viewer, acquisition)
    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    size = dock.data.size
    for um in (0.5, 0.25):
        if um == 0.25:
            assert size.unknown.isHidden()
            size.change_button.click()
        assert not size.unknown.isHidden()
        size.size_box.setValue(um)
        size.set_button.click()
        assert f"{um:g} × {um:g} µm" in size.known.text()
        for layer in viewer.layers:
            assert tuple(layer.scale) == (um, um)
            own = ly.acquisition_from_layer(layer)
            assert own.pixel_size == pytest.approx((um * 1e-6, um * 1e-6))
            assert own.metadata["pixel_size_source"] == "given by hand"


def test_warnings_are_shown_once_a_file(viewer: ViewerModel, qtbot: Any) -> None:
    acquisition = event_acquisition("/data/odd.test", warnings=["It is odd.", "And old."])
    add(viewer, acquisition)
    dock = MassWindowDock(viewer)
    qtbot.addWidget(dock)
    box = dock.windows.parts.remarks
    assert not box.isHidden()
    assert box.title.text() == "⚠ 2 remarks on odd.test"
    assert box.text.text() == "It is odd.\n\nAnd old."
    assert not box.text.isHidden()
    box.read_button.click()
    assert box.text.isHidden()
    again = AllSteps(viewer)
    qtbot.addWidget(again)
    assert not again.data.remarks.isHidden()
    assert again.data.remarks.text.isHidden()  # it was read
    again.data.remarks.title.click()
    assert not again.data.remarks.text.isHidden()
    assert again.data.remarks.read_button.isHidden()
    assert viewer.layers[0].metadata["napari_liso"]["acquisition"]["warnings"]  # kept
    # what is new is shown again
    new = event_acquisition("/data/odd.test", warnings=["It is odd.", "Saturated."])
    add(viewer, new)
    assert not box.text.isHidden()


# --- lazy stacks in a viewer ---


def test_a_viewer_makes_only_the_frames_that_are_looked_at(viewer: ViewerModel) -> None:
    made: list[int] = []

    def image(channel: int, frame: int) -> np.ndarray:
        made.append(frame)
        return np.full((64, 64), frame, np.uint8)

    counts = LazyCounts((1, 200, 64, 64), np.uint8, image, np.zeros((1, 64, 64), np.int64))
    acquisition = Acquisition(counts, ("7Li",), np.array([7.0]), metadata={"path": "x"})
    (data,) = ly.acquisition_layers(acquisition, frames=True)
    layer = ly.add(viewer, data)
    assert isinstance(layer.data, ChannelStack)
    assert tuple(layer.contrast_limits) == (0, 100)  # from the middle frame
    for frame in (0, 7, 199):
        viewer.dims.set_current_step(0, frame)
        assert layer.get_value((frame, 3, 3)) == frame
    assert len(set(made)) <= 5
    assert np.array_equal(ly.counts_from_layer(layer), np.zeros((64, 64)))  # the known sums
    assert len(set(made)) <= 5
