"""What the dock asks for where a file leaves it open, and lazy stacks in a viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.acquisition import Acquisition
from napari_liso.plugin import acquisitions
from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.main import AllSteps, MassWindowDock
from napari_liso.readers._lazy import ChannelStack, LazyCounts

from .conftest import finish
from .spectra import event_acquisition, spectrum_of


def add(viewer: ViewerModel, acquisition: Acquisition) -> None:
    for layer_data in ly.acquisition_layers(acquisition):
        ly.add(viewer, layer_data)


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
    assert not dock.ratio.dead_time.isEnabled()
    assert "give them under Data" in dock.ratio.dead_time.toolTip()
    acquisitions.give_pulses(viewer, acquisition, 20)
    assert dock.ratio.dead_time.isEnabled()
    for corrected in (True, False):
        dock.ratio.dead_time.setChecked(corrected)
        assert dock.context.corrections.dead_time == corrected
        dock.ratio.compute()
        finish(qtbot, dock.ratio.task)
        layer = viewer.layers["6Li fraction"]
        # ions that came, frame by frame, of 20 pulses each: 20 (1/20 + 1/19 + ...)
        ions = {n: 8 * 20 * sum(1 / (20 - i) for i in range(n)) for n in (5, 9)}
        n6, n7 = (ions[n] if corrected else 8 * n for n in (5, 9))
        assert layer.data == pytest.approx(n6 / (n6 + n7), rel=1e-5)
        assert f"Whole map: {n6 / (n6 + n7):.4f}" in dock.ratio.message.text()
        assert layer.metadata["napari_liso"]["dead_time_corrected"] == corrected


@pytest.mark.parametrize("frames", [1, 50])
def test_one_pulse_a_pixel_is_not_corrected(viewer: ViewerModel, qtbot: Any, frames: int) -> None:
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
    corrected = frames > 1
    assert dock.ratio.dead_time.isEnabled() == corrected
    assert corrected or "one pulse a pixel" in dock.ratio.dead_time.toolTip()
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    layer = viewer.layers["6Li fraction"]
    assert layer.metadata["napari_liso"]["dead_time_corrected"] == corrected
    text = dock.ratio.message.text()
    assert ("not corrected for dead time" in text) != corrected
    expected = 0.03 / 0.33 if corrected else seen[0] / seen.sum()
    # 300 ions of 6Li in the one frame: 6 % of them by chance
    error = 0.03 if corrected else 0.2
    assert float(text.split("Whole map: ")[1].split()[0]) == pytest.approx(expected, rel=error)
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
