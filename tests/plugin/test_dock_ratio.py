"""The ratio panel: quantities, layers, live updates, corrections, and its script."""

from __future__ import annotations

import json
import threading
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel
from scipy.stats import beta

from napari_liso.acquisition import Acquisition
from napari_liso.counting.hue_intensity import hue_intensity
from napari_liso.counting.measured import Measured
from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import give_pulses
from napari_liso.plugin.frames.behind import choose_frames
from napari_liso.plugin.ratio import work as ratio_work
from napari_liso.plugin.widgets.main import AllSteps, RatioDock
from napari_liso.plugin.widgets.ratio import panel as ratio
from napari_liso.plugin.widgets.ratio.panel import RatioPanel

from .conftest import acquisition_of, add_map, finish, warned

MAP, HALF = "6Li fraction", "6Li fraction, half interval"
COUNTS, HUE = "6Li fraction, counts", "6Li fraction, hue-intensity"


def settle(panel: RatioPanel, qtbot: Any) -> None:
    """Wait until nothing runs or waits to run."""
    qtbot.waitUntil(lambda: not (panel.task.running or panel.newest.pending), timeout=20_000)


@pytest.fixture
def ready(viewer: ViewerModel, qtbot: Any) -> RatioPanel:
    """The panel with a fraction made of counts."""
    add_map(viewer)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    dock.ratio.dock = dock  # stays as long as the panel
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    return dock.ratio


def counts_in(viewer: ViewerModel) -> tuple[np.ndarray, np.ndarray]:
    a, b = (np.asarray(viewer.layers[name].data, float) for name in ("6Li", "7Li"))
    return a, b


# --- quantities -------------------------------------------------------------------------------


def test_ratio_and_delta_of_the_pair(ready: RatioPanel, viewer: ViewerModel, qtbot: Any) -> None:
    a, b = counts_in(viewer)
    ready.parts.quantity.quantity.setCurrentIndex(1)
    settle(ready, qtbot)
    assert np.allclose(viewer.layers["6Li/7Li"].data, a / b)
    assert f"Whole map: {a.sum() / b.sum():.5g}" in ready.message.text()
    ready.parts.quantity.quantity.setCurrentIndex(2)
    # natural lithium, IUPAC 2009: 0.0759/0.9241
    assert ready.parts.quantity.reference.value() == pytest.approx(0.0759 / 0.9241, rel=1e-5)
    ready.parts.quantity.reference.setValue(0.5)
    settle(ready, qtbot)
    delta = viewer.layers["6Li/7Li delta (‰)"]
    assert np.allclose(delta.data, 1000 * (a / b / 0.5 - 1), rtol=1e-5)
    record = delta.metadata[ly.PROVENANCE]
    assert (record["quantity"], record["reference"]) == ("delta", 0.5)
    assert viewer.layers[MAP].data.shape == a.shape  # the fraction is still there
    assert [layer.name for layer in viewer.layers if layer.visible] == ["6Li", delta.name]
    ready.parts.extras["half interval"].setChecked(True)
    settle(ready, qtbot)
    half = viewer.layers[f"{delta.name}, half interval"].data.copy()
    ready.parts.quantity.quantity.setCurrentIndex(0)
    settle(ready, qtbot)
    assert [x.name for x in viewer.layers if x.visible] == ["6Li", MAP, HALF]
    # each is what its name says
    assert np.array_equal(viewer.layers[f"{delta.name}, half interval"].data, half)
    assert viewer.layers[HALF].data.max() < 0.2


def test_swapping_the_isotopes_turns_the_map_round(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    a, b = counts_in(viewer)
    assert ready.parts.quantity.formula.text() == "⁶Li / (⁶Li + ⁷Li)"
    ready.parts.quantity.swap_button.click()
    assert ready.parts.quantity.formula.text() == "⁷Li / (⁷Li + ⁶Li)"
    assert ready.parts.quantity.reference.value() == pytest.approx(0.9241 / 0.0759, rel=1e-5)
    ready.compute()
    settle(ready, qtbot)
    assert np.allclose(viewer.layers["7Li fraction"].data, b / (a + b))
    assert np.allclose(viewer.layers[MAP].data, a / (a + b))


def test_delta_without_a_known_reference_asks_for_it(viewer: ViewerModel, qtbot: Any) -> None:
    add_map(viewer, names=("light", "heavy"))
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    dock.context.tracer.choose(viewer.layers["light"])
    dock.context.other.choose(viewer.layers["heavy"])
    dock.ratio.parts.quantity.quantity.setCurrentIndex(2)
    dock.ratio.compute()
    settle(dock.ratio, qtbot)
    assert "type it beside the quantity" in dock.ratio.message.text()
    assert len(viewer.layers) == 2


def test_two_selected_layers_become_the_pair(viewer: ViewerModel, qtbot: Any) -> None:
    for name in ("one", "6Li", "7Li", "two"):
        viewer.add_image(np.ones((4, 5), int), name=name)
    viewer.layers.selection = {viewer.layers["two"], viewer.layers["one"]}
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    assert [x.name for x in dock.context.counts] == ["one", "two"]  # as they lie
    viewer.layers.selection = {viewer.layers["7Li"], viewer.layers["6Li"]}
    dock.ratio.take_selection()
    assert [x.name for x in dock.context.counts] == ["6Li", "7Li"]  # by their names
    viewer.layers.selection = {viewer.layers["one"]}
    dock.ratio.take_selection()
    assert [x.name for x in dock.context.counts] == ["6Li", "7Li"]


# --- layers -----------------------------------------------------------------------------------


def test_accompanying_layers_come_and_go(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    a, b = counts_in(viewer)
    for box in ready.parts.extras.values():
        box.setChecked(True)
    settle(ready, qtbot)
    layers = {name: viewer.layers[name] for name in (MAP, HALF, COUNTS, HUE)}
    assert np.array_equal(layers[COUNTS].data, a + b)
    # Clopper and Pearson's interval is between quantiles of beta distributions
    ends = beta.ppf(0.975, a + 1, b) - beta.ppf(0.025, a, b + 1)
    assert np.allclose(layers[HALF].data, ends / 2, rtol=1e-5)
    expected = hue_intensity(a / (a + b), a + b, tuple(layers[MAP].contrast_limits))
    assert layers[HUE].rgb
    assert np.array_equal(layers[HUE].data, expected)
    for layer in layers.values():
        assert layer.units == viewer.layers["6Li"].units
        assert np.allclose(layer.scale, 0.5)
        record = layer.metadata[ly.PROVENANCE]
        assert record["sources"] == ["6Li", "7Li"]
        assert record["corrections"]["hydride_ratio"]["value"] == 0
        json.dumps(record)
    ready.parts.extras["half interval"].setChecked(False)
    assert HALF not in viewer.layers
    ready.bin.setValue(2)
    settle(ready, qtbot)
    assert HALF not in viewer.layers
    for name in (MAP, COUNTS, HUE):
        assert viewer.layers[name] is layers[name]
        assert layers[name].data.shape[:2] == (12, 15)
        assert np.allclose(layers[name].scale, 1.0)
    assert layers[COUNTS].data.sum() == (a + b).sum()


def test_a_layer_deleted_by_hand_does_not_come_back(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    ready.parts.extras["hue-intensity"].setChecked(True)
    settle(ready, qtbot)
    del viewer.layers[HUE]
    assert not ready.parts.extras["hue-intensity"].isChecked()
    ready.bin.setValue(2)
    settle(ready, qtbot)
    assert HUE not in viewer.layers
    del viewer.layers[MAP]
    ready.bin.setValue(3)
    settle(ready, qtbot)
    assert [layer.name for layer in viewer.layers] == ["6Li", "7Li"]


def test_a_layer_of_the_user_with_such_a_name_is_left_alone(
    viewer: ViewerModel, qtbot: Any
) -> None:
    add_map(viewer)
    own = viewer.add_image(np.zeros((24, 30)), name=HUE)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    box = dock.ratio.parts.extras["hue-intensity"]
    box.setChecked(True)
    dock.ratio.compute()
    settle(dock.ratio, qtbot)
    dock.ratio.bin.setValue(2)
    settle(dock.ratio, qtbot)
    assert len(viewer.layers) == 5  # two isotopes, the user's, the map, its view
    box.setChecked(False)
    assert own in viewer.layers
    assert not own.data.any()
    assert len(viewer.layers) == 4


def test_hues_follow_the_contrast_limits_of_the_map(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    a, b = counts_in(viewer)
    ready.parts.extras["hue-intensity"].setChecked(True)
    settle(ready, qtbot)
    viewer.layers[MAP].contrast_limits = (0.2, 0.5)
    settle(ready, qtbot)
    picture = viewer.layers[HUE].data
    assert np.array_equal(picture, hue_intensity(a / (a + b), a + b, (0.2, 0.5)))
    ready.parts.hue.top.setValue(300)
    ready.parts.hue.hues.setCurrentIndex(1)
    settle(ready, qtbot)
    expected = hue_intensity(a / (a + b), a + b, (0.2, 0.5), top=300, hues="blue-orange")
    assert np.array_equal(viewer.layers[HUE].data, expected)
    assert viewer.layers[HUE].metadata[ly.PROVENANCE]["hue"] == {
        "limits": [0.2, 0.5], "full_brightness_counts": 300, "automatic_brightness": False,
        "gamma": 1.0, "hues": "blue-orange",
    }  # fmt: skip
    ready.bin.setValue(2)
    settle(ready, qtbot)
    assert viewer.layers[MAP].contrast_limits == [0.2, 0.5]
    legend = ready.parts.hue.legend.axes
    assert legend.get_images()[0].get_extent() == [0.2, 0.5, 0, 300]
    assert (legend.get_xlabel(), legend.get_ylabel()) == (MAP, "counts")


# --- live -------------------------------------------------------------------------------------


def test_the_newest_of_many_changes_is_shown(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    starts: list[int] = []
    ready.task.running_changed.connect(lambda running: starts.append(running))
    for size in (2, 3, 4, 5, 6):
        ready.bin.setValue(size)
    settle(ready, qtbot)
    assert viewer.layers[MAP].data.shape == (4, 5)
    assert sum(starts) == 1  # not once for each
    ready.live.setChecked(False)
    ready.bin.setValue(1)
    settle(ready, qtbot)
    assert viewer.layers[MAP].data.shape == (4, 5)
    ready.live.setChecked(True)
    settle(ready, qtbot)
    assert viewer.layers[MAP].data.shape == (24, 30)


def test_a_change_during_a_run_is_made_after_it(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on = threading.Event()
    shapes = []

    def slow(counted: Any, options: Any, *rest: Any) -> Any:
        shapes.append(options.bin)
        go_on.wait(10)
        return ratio_work.work_out(counted, options, *rest)

    monkeypatch.setattr(ratio, "work_out", slow)
    ready.bin.setValue(2)
    ready.compute()
    for size in (3, 4):
        ready.bin.setValue(size)
        qtbot.wait(80)
    assert ready.newest.pending
    go_on.set()
    settle(ready, qtbot)
    assert viewer.layers[MAP].data.shape == (6, 8)
    assert shapes == [2, 4]


def test_a_long_run_can_be_stopped(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = threading.Event()

    def endless(*arguments: Any) -> Any:
        started.set()
        while True:
            arguments[-1](0.5, "summing the counts")

    monkeypatch.setattr(ratio, "work_out", endless)
    before = viewer.layers[MAP].data.copy()
    ready.compute()
    assert ready.run_button.isEnabled()  # does not flicker in a short run
    qtbot.waitUntil(lambda: not ready.parts.running.isHidden(), timeout=5000)
    assert not ready.run_button.isEnabled()
    ready.parts.cancel_button.click()
    settle(ready, qtbot)
    assert ready.parts.running.isHidden()
    assert ready.message.text() == "Stopped; nothing was changed."
    assert np.array_equal(viewer.layers[MAP].data, before)


def test_nothing_is_made_before_the_button_is_pressed(viewer: ViewerModel, qtbot: Any) -> None:
    add_map(viewer)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    dock.ratio.bin.setValue(2)
    dock.ratio.parts.extras["hue-intensity"].setChecked(True)
    settle(dock.ratio, qtbot)
    assert len(viewer.layers) == 2


def test_the_map_follows_counts_frames_and_pulses(viewer: ViewerModel, qtbot: Any) -> None:
    acquisition = acquisition_of((6, 8), frames=4)
    for layer_data in ly.acquisition_layers(acquisition):
        ly.add(viewer, layer_data)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    dock.ratio.compute()
    settle(dock.ratio, qtbot)
    counts = acquisition.counts.astype(float)
    choose_frames(viewer, acquisition, 1, 3)
    settle(dock.ratio, qtbot)
    a, b = counts[:, 1:3].sum(axis=1)
    assert np.allclose(viewer.layers[MAP].data, a / (a + b))
    assert viewer.layers[MAP].metadata[ly.PROVENANCE]["frames_used"] == [1, 3]
    give_pulses(viewer, ly.acquisition_from_layer(viewer.layers["6Li"]), 5000)
    settle(dock.ratio, qtbot)
    a, b = (-5000 * np.log1p(-counts[i, 1:3] / 5000) for i in (0, 1))
    a, b = a.sum(axis=0), b.sum(axis=0)
    assert np.allclose(viewer.layers[MAP].data, a / (a + b), rtol=1e-5)
    assert "corrected for dead time" in dock.ratio.message.text()
    # an image cleaned by hand is taken as it is: nothing is known of its pulses
    cleaned = np.asarray(viewer.layers["6Li"].data).copy()
    cleaned[:3] = 0
    viewer.layers["6Li"].data = cleaned
    settle(dock.ratio, qtbot)
    other = viewer.layers["7Li"].data
    assert np.allclose(viewer.layers[MAP].data, cleaned / (cleaned + other))
    assert "'6Li' was changed by hand" in dock.ratio.message.text()
    assert not viewer.layers[MAP].metadata[ly.PROVENANCE]["dead_time_corrected"]


def test_errors_while_changing_something_stay_in_the_dock(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    before = viewer.layers[MAP].data.copy()
    viewer.layers["6Li"].data = np.full((24, 30), 0.5)
    settle(ready, qtbot)
    assert "'6Li' holds fractional values" in ready.message.text()
    assert "export them again" in ready.message.text()
    assert not warned()
    assert np.array_equal(viewer.layers[MAP].data, before)
    ready.compute()
    settle(ready, qtbot)
    assert len(warned()) == 1


def test_two_docks_show_the_same_options(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    second = AllSteps(viewer)
    qtbot.addWidget(second)
    ready.bin.setValue(3)
    settle(ready, qtbot)
    assert second.ratio.bin.value() == 3
    second.ratio.confidence.setValue(90)
    settle(second.ratio, qtbot)
    settle(ready, qtbot)
    assert ready.confidence.value() == 90
    assert viewer.layers[MAP].metadata[ly.PROVENANCE]["confidence"] == 0.9
    assert len(viewer.layers) == 3
    ready.parts.hue.gamma.setValue(0.5)
    ready.parts.extras["hue-intensity"].setChecked(True)
    settle(ready, qtbot)
    assert second.ratio.parts.extras["hue-intensity"].isChecked()
    assert second.ratio.parts.hue.gamma.value() == 0.5
    third = RatioDock(viewer)
    qtbot.addWidget(third)
    assert (third.ratio.bin.value(), third.ratio.confidence.value()) == (3, 90)
    assert third.ratio.parts.extras["hue-intensity"].isChecked()
    assert "3 × 3 px" in third.ratio.parts.options.header.text()


def test_a_sliding_window_has_a_middle(ready: RatioPanel, viewer: ViewerModel, qtbot: Any) -> None:
    a, b = counts_in(viewer)
    ready.bin.setValue(2)
    ready.parts.pooling.window.setValue(2)
    assert ready.parts.pooling.window.value() == 3
    assert ready.bin.value() == 1  # one or the other
    settle(ready, qtbot)
    expected = a[4:7, 7:10].sum() / (a + b)[4:7, 7:10].sum()
    assert viewer.layers[MAP].data[5, 8] == pytest.approx(expected)


# --- corrections ------------------------------------------------------------------------------


def test_corrections_are_made_in_their_order(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    form = ready.parts.corrections
    form.background[0].value.setValue(5.0)
    form.background[1].value.setValue(2.0)
    form.hydride.value.setValue(0.05)
    form.fractionation.value.setValue(1.05)
    settle(ready, qtbot)
    a, b = counts_in(viewer)
    a, b = a - 5, b - 2
    odds = a / (b - 0.05 * a) / 1.05
    assert np.allclose(viewer.layers[MAP].data, odds / (1 + odds), rtol=1e-5)
    kept = ready.context.corrections
    assert kept.fractionation == Measured(1.05, 0.0, "typed by hand")
    assert kept.background[0].source == "typed by hand"
    text = ready.message.text()
    assert "corrected for background, hydride and mass fractionation, not for dead time" in text
    assert ready.parts.corrected.header.text() == "Corrections:  background, hydride, α"
    for fold in (ready.parts.options, ready.parts.corrected):
        fold.unfold()
    ready.parts.extras["hue-intensity"].setChecked(True)
    assert ready.dock.widget().minimumSizeHint().width() <= 350
    form.hydride.reset_button.click()
    settle(ready, qtbot)
    assert ready.context.corrections.hydride_ratio == Measured(0.0)
    assert not form.hydride.reset_button.isEnabled()
    odds = a / b / 1.05
    assert np.allclose(viewer.layers[MAP].data, odds / (1 + odds), rtol=1e-5)


def test_corrections_set_elsewhere_are_shown_with_their_source(
    ready: RatioPanel, viewer: ViewerModel, qtbot: Any
) -> None:
    from dataclasses import replace

    alpha = Measured(1.02, 0.004, "region 3 of 'Labels'")
    ready.context.set_corrections(replace(ready.context.corrections, fractionation=alpha))
    row = ready.parts.corrections.fractionation
    assert (row.value.value(), row.error.value()) == (1.02, 0.004)
    assert row.source.text() == "region 3 of 'Labels'"
    settle(ready, qtbot)
    record = viewer.layers[MAP].metadata[ly.PROVENANCE]["corrections"]
    assert record["fractionation"] == alpha.describe()


def with_eight() -> Acquisition:
    """Masses 6, 7, 8 and a window between, the same in every pixel."""
    numbers = np.array([100, 1000, 20, 3]).reshape(4, 1, 1, 1)
    return Acquisition(
        np.broadcast_to(numbers, (4, 2, 10, 10)).astype(np.int64),
        ("6Li", "7Li", "7LiH", "off peak"),
        np.array([6.015, 7.016, 8.024, 6.5]),
        (1e-7, 1e-7),
        metadata={
            "path": "/d/a.x",
            "windows": {"6Li": [6.0, 6.04], "7Li": [7.0, 7.04], "off peak": [6.4, 6.6]},
        },
    )


def test_background_and_hydride_are_taken_from_layers(viewer: ViewerModel, qtbot: Any) -> None:
    for layer_data in ly.acquisition_layers(with_eight()):
        ly.add(viewer, layer_data)
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    form = dock.ratio.parts.corrections
    form.background[0].layer_button.click()
    assert [form.ask.box.itemText(i) for i in range(form.ask.box.count())] == ["off peak", "7LiH"]
    # widths in flight time, which goes with the root of the mass
    widths = (6.04**0.5 - 6.0**0.5) / (6.6**0.5 - 6.4**0.5)
    assert form.ask.width_ratio.value() == pytest.approx(widths, abs=1e-4)
    form.ask.width_ratio.setValue(0.25)
    form.ask.accept()
    first = dock.context.corrections.background[0]
    assert first.value == pytest.approx(0.25 * 6)  # 2 frames of 3
    assert first.error == pytest.approx(0.25 * np.sqrt(600) / 100, rel=2e-3)  # of 100 pixels
    assert first.source.startswith("layer 'off peak'")
    assert form.background[0].source.text() == first.source
    form.hydride.layer_button.click()
    assert form.ask.box.currentText() == "7LiH"
    assert form.ask.width_ratio.isHidden()
    form.ask.accept()
    # h = N8 / N7', N7' = N7 - h N6; 1.5 of the 200 N6 are background:
    # 198.5 h^2 - 2000 h + 40 = 0
    expected = (2000 - np.sqrt(2000**2 - 4 * 198.5 * 40)) / (2 * 198.5)
    assert dock.context.corrections.hydride_ratio.value == pytest.approx(expected)


def test_what_cannot_be_corrected_says_why(viewer: ViewerModel, qtbot: Any) -> None:
    add_map(viewer, names=("63Cu", "65Cu"))
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    form = dock.ratio.parts.corrections
    assert not form.hydride.value.isEnabled()
    assert form.hydride.reason.text() == "the hydride of 65Cu falls on mass 66, not on 63Cu"
    assert not form.hydride.layer_button.isEnabled()
    assert not form.dead_time.isEnabled()
    assert "give them under Data" in form.dead_time_note.text()
    assert "open an off-peak window" in form.background[0].layer_button.toolTip()
