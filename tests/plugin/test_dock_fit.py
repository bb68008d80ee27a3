"""The fit: its input in SI, its results, and everything that can go wrong meanwhile."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.counting.corrections import Corrections
from napari_liso.counting.measured import Measured
from napari_liso.diffusion.results import Estimate, Population
from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import give_pulses
from napari_liso.plugin.regions.far_field import give_far_field
from napari_liso.plugin.widgets.main import AllSteps
from napari_liso.plugin.widgets.parts import format_estimate, interval, scientific
from napari_liso.plugin.widgets.results import summary

from .conftest import (
    PIXEL,
    FakeFit,
    add_boundaries,
    add_grains,
    add_map,
    finish,
    fit_of,
    grains_of_three,
    snapshot,
    warned,
)

# --- the fit ---


@pytest.fixture
def ready(dock: AllSteps, viewer: ViewerModel, fake_fit: FakeFit) -> AllSteps:
    add_map(viewer)
    add_boundaries(viewer)
    return dock


def test_a_measured_far_field_is_the_fraction_before(
    ready: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    form = ready.fit.form
    give_far_field(viewer.layers["6Li"], Measured(0.0812, 0.0004, "region 2 of 'Labels'"))
    assert form.background.value() == pytest.approx(0.0812)
    assert "region 2 of 'Labels'" in form.background.toolTip()
    assert "0.0004" in form.background.toolTip()
    form.background.setValue(0.08)  # typed by hand: the same measurement does not come back
    viewer.layers["6Li"].scale = (2, 2)
    assert form.background.value() == pytest.approx(0.08)
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    assert fake_fit.calls[-1]["experiment"].background_fraction == pytest.approx(0.08)
    give_far_field(viewer.layers["6Li"], None)
    assert "region 2" not in form.background.toolTip()


def test_the_fit_gets_the_experiment_in_si(ready: AllSteps, fake_fit: FakeFit, qtbot) -> None:
    form = ready.fit.form
    form.duration.setValue(2)
    form.duration_unit.setCurrentText("h")
    form.anneal.setValue(0.5)
    form.temperature.setValue(60)
    form.edge.setCurrentText("top edge")
    form.source.setValue(0.9)
    form.background.setValue(0.08)
    ready.fit.section.setCurrentIndex(1)
    ready.fit.psf.setValue(1.2)
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    (call,) = fake_fit.calls
    experiment = call["experiment"]
    assert [(s.duration, s.source) for s in experiment.stages] == [(7200, True), (1800, False)]
    assert experiment.temperature == pytest.approx(333.15)
    assert (experiment.source, experiment.source_fraction) == ("top", 0.9)
    assert experiment.background_fraction == 0.08
    assert call["pixel_size"] == (0.5e-6, 0.5e-6)
    assert call["psf_fwhm"] == pytest.approx(1.2e-6)
    assert call["section"] == "columnar"
    assert call["boundaries"] is None
    assert call["n6"].dtype == np.int64
    assert len(call["grains"]) == 3


def test_kelvin_are_kelvin_and_seconds_seconds(ready: AllSteps) -> None:
    ready.fit.form.temperature_unit.setCurrentText("K")
    ready.fit.form.temperature.setValue(300)
    ready.fit.form.duration_unit.setCurrentText("s")
    ready.fit.form.duration.setValue(90)
    (stage,) = ready.fit.form.experiment().stages
    assert (stage.duration, stage.temperature) == (90, 300)


def test_a_described_experiment_fills_the_form(ready: AllSteps) -> None:
    form = ready.fit.form
    form.duration.setValue(3)
    form.anneal.setValue(1.5)
    form.edge.setCurrentText("bottom edge")
    described = form.experiment().describe()
    form.duration.setValue(1)
    form.anneal.setValue(0)
    form.edge.setCurrentText("left edge")
    form.fill(described)
    assert form.experiment().describe() == described


def test_a_fit_leaves_layers_table_and_words(ready: AllSteps, viewer: ViewerModel, qtbot) -> None:
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    assert [layer.name for layer in viewer.layers] == [
        "6Li", "7Li", "Model fraction", "Residual (sigma)", "log10 k (m/s)", "Grain boundaries",
    ]  # fmt: skip
    results = ready.results
    assert results.lines["Boundaries"].text() == "3: 2 resolved, 1 that the data leave open"
    assert results.lines["D of the grains"].text() == "2.6 (2.4–2.9)×10⁻¹² m²/s"
    assert results.lines["Median k"].text() == "3.0 (2.0–4.0)×10⁻⁸ m/s"
    assert "tracer has not reached 2 grains" in results.warnings.text()
    table = results.table.model()
    first = [table.index(0, c).data() for c in range(4)]
    assert first == ["1", "1.0×10⁻⁸", "0.67–1.5×10⁻⁸", "resolved"]
    features = viewer.layers["Grain boundaries"].features
    assert features["k_m_per_s"][2] == pytest.approx(1e-7)
    assert list(features["verdict"][1:]) == ["resolved", "resolved", "unresolved"]
    assert all(step.status == "" for step in (ready.fit, results))


def test_a_second_fit_updates_in_place(ready: AllSteps, viewer: ViewerModel, qtbot) -> None:
    ready.context.selection.select([2])
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    before = list(viewer.layers)
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    assert list(viewer.layers) == before
    assert ready.context.selection.ids == (2,)
    # the dock still listens to it
    ready.context.selection.select([3])
    assert ready.results.plot.axes.get_title() == "Boundary 3: grain 2 | grain 3"


def test_selected_boundaries_only(ready: AllSteps, fake_fit: FakeFit, qtbot) -> None:
    ready.fit.which.setCurrentIndex(1)
    assert "select boundaries" in ready.fit.run_button.toolTip()
    ready.context.selection.select([3, 1])
    assert ready.fit.run_button.isEnabled()
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    assert fake_fit.calls[0]["boundaries"] == [3, 1]


def test_cancel_changes_nothing(
    ready: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def wait(progress: Any) -> None:
        progress(0.1, "working")
        started.set()
        go_on.wait(10)

    fake_fit.behave = wait
    before = snapshot(viewer)
    ready.fit.start()
    qtbot.waitUntil(started.is_set)
    qtbot.waitUntil(lambda: ready.fit.progress.value() == 100)
    assert ready.fit.doing.text() == "working"
    assert not ready.fit.run_button.isEnabled()
    ready.fit.cancel_button.click()
    go_on.set()
    finish(qtbot, ready.fit.task)
    assert "nothing was changed" in ready.fit.message.text()
    assert snapshot(viewer) == before
    assert ready.fit.run_button.isEnabled()
    assert ready.fit.cancel_button.isHidden()


def test_an_error_of_the_fit_is_shown(
    ready: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    def refuse(progress: Any) -> None:
        raise ValueError("the source edge touches no grain")

    fake_fit.behave = refuse
    before = snapshot(viewer)
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    assert "source edge touches no grain" in ready.fit.message.text()
    assert len(warned()) == 1
    assert snapshot(viewer) == before


@pytest.mark.parametrize("what", ["layer removed", "boundaries changed"])
def test_what_happens_during_a_fit_leaves_no_traceback(
    what: str, ready: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    started, go_on = threading.Event(), threading.Event()

    def wait(progress: Any) -> None:
        started.set()
        go_on.wait(10)

    fake_fit.behave = wait
    ready.fit.start()
    qtbot.waitUntil(started.is_set)
    if what == "layer removed":
        del viewer.layers["Grain boundaries"]
    else:
        add_boundaries(viewer, np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1))
    go_on.set()
    finish(qtbot, ready.fit.task)
    assert "during the fit" in ready.fit.message.text()
    assert "log10 k (m/s)" not in viewer.layers


def test_a_dock_deleted_during_a_fit_stops_it(
    viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    started, go_on, stopped = threading.Event(), threading.Event(), threading.Event()

    def wait(progress: Any) -> None:
        started.set()
        go_on.wait(10)
        try:
            progress(0.3, "still there?")
        except BaseException:
            stopped.set()
            raise

    fake_fit.behave = wait
    add_map(viewer)
    add_boundaries(viewer)
    dock = AllSteps(viewer)
    dock.fit.start()
    qtbot.waitUntil(started.is_set)
    dock.deleteLater()
    qtbot.wait(50)
    go_on.set()
    qtbot.waitUntil(stopped.is_set)
    qtbot.wait(100)
    assert "log10 k (m/s)" not in viewer.layers
    add_map(viewer, frames=2)  # the deleted dock's listeners stay silent


def test_boundaries_go_on_belonging_to_their_grains(
    ready: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    add_grains(viewer)
    ready.boundaries.find_boundaries()
    finish(qtbot, ready.boundaries.task)
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    names = [layer.name for layer in viewer.layers]
    ready.boundaries.find_boundaries()
    finish(qtbot, ready.boundaries.task)
    assert [layer.name for layer in viewer.layers] == names  # not another layer of boundaries


@pytest.mark.parametrize("what", ["found again", "painted", "segmented"])
def test_results_of_former_grains_are_put_away(
    what: str, ready: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    add_grains(viewer)
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    viewer.layers["Model fraction"].visible = True
    assert ready.fit.message.text().startswith("Done")
    if what == "painted":
        viewer.layers["Grains"].data_setitem((np.array([3]), np.array([3])), 9)
        qtbot.waitUntil(lambda: not viewer.layers["log10 k (m/s)"].visible)
    elif what == "segmented":
        ready.boundaries.segment_grains()
    else:
        ready.boundaries.find_boundaries()
    finish(qtbot, ready.boundaries.task)
    images = [viewer.layers[n] for n in ("log10 k (m/s)", "Model fraction", "Residual (sigma)")]
    assert [image.visible for image in images] == [False, False, False]
    assert ready.fit.message.text() == ""
    # a new fit brings back what was seen
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    assert [image.visible for image in images] == [True, True, False]


@pytest.mark.parametrize("which", ["tracer", "other", "grains"])
def test_messages_about_former_layers_go(which: str, ready: AllSteps, viewer: ViewerModel) -> None:
    add_grains(viewer)
    messages = [ready.fit.message, ready.boundaries.message]
    if which != "grains":
        messages.append(ready.ratio.message)
    for message in messages:
        message.say("about the former layer")
    getattr(ready.context, which).choose(None)
    assert [message.text() for message in messages] == [""] * len(messages)


def test_contradicting_entries_are_refused(ready: AllSteps, fake_fit: FakeFit) -> None:
    ready.fit.form.source.setValue(0.3)
    ready.fit.form.background.setValue(0.3)
    ready.fit.start()
    assert "nothing to see" in ready.fit.message.text()
    assert not fake_fit.calls


def test_map_and_boundaries_of_different_shapes_are_refused(
    dock: AllSteps, viewer: ViewerModel, fake_fit: FakeFit
) -> None:
    add_map(viewer, shape=(20, 30))
    add_boundaries(viewer)
    before = snapshot(viewer)
    dock.fit.start()
    assert "differ in shape" in dock.fit.message.text()
    assert snapshot(viewer) == before
    dock.context.selection.select([1])  # the plot says it, too, and draws nothing
    assert "differ in shape" in dock.results.plot.axes.texts[0].get_text()


def test_colours_of_boundaries_follow_the_scale(
    ready: AllSteps, viewer: ViewerModel, qtbot
) -> None:
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    image, labels = viewer.layers["log10 k (m/s)"], viewer.layers["Grain boundaries"]
    image.colormap = "gray"
    image.contrast_limits = (-9.0, -7.0)
    assert np.allclose(labels.colormap.map(1), (0.5, 0.5, 0.5, 1), atol=0.01)  # 10^-8 m/s
    assert np.allclose(labels.colormap.map(2), (1, 1, 1, 1), atol=0.01)  # 10^-7 m/s


# --- numbers in words ---


def test_numbers_are_written_as_people_read_them() -> None:
    assert scientific(1.44e-8) == "1.4×10⁻⁸"
    assert scientific(0) == "0"
    assert scientific(np.inf) == "∞"
    assert interval(2.3e-8, 5.4e-8) == "2.3–5.4×10⁻⁸"
    assert interval(7e-9, 1.3e-8) == "0.70–1.3×10⁻⁸"
    assert interval(0, 2e-7) == "0 – 2.0×10⁻⁷"
    assert format_estimate(3e-9, 2e-9, np.inf, "lower_bound") == "above 2.0×10⁻⁹"
    assert format_estimate(3e-9, 0, 4e-9, "upper_bound") == "below 4.0×10⁻⁹"


def test_the_power_of_ten_is_that_of_the_rounded_number() -> None:
    assert format_estimate(9.97e-11, 9.8e-11, 1.02e-10, "resolved") == "1.0 (0.98–1.0)×10⁻¹⁰"
    assert interval(5.1e-9, 9.97e-9) == "0.51–1.0×10⁻⁸"


def test_ends_far_apart_have_powers_of_their_own() -> None:
    text = format_estimate(3e-9, 2e-11, 4e-8, "unresolved")
    assert text == "3.0×10⁻⁹ (2.0×10⁻¹¹ – 4.0×10⁻⁸)"


@pytest.mark.parametrize(
    ("verdict", "text"),
    [
        ("resolved", "0.80 (0.60–1.45)"),
        ("upper_bound", "below 1.45"),
        ("lower_bound", "above 0.60"),
        ("unresolved", "0.80 (0.60–1.45) (not resolved)"),
    ],
)
def test_the_spread_says_what_the_data_say(verdict: str, text: str) -> None:
    found = find_boundaries(grains_of_three(), PIXEL)
    fit = fit_of(found)
    population = Population(fit.population.centre, Estimate(0.8, 0.6, 1.45, verdict))
    assert summary(replace(fit, population=population))["Spread of ln k"] == text


def test_bounds_are_ordered_and_coloured_by_the_bound(dock: AllSteps, viewer: ViewerModel) -> None:
    found = find_boundaries(grains_of_three(), PIXEL)
    fit = fit_of(found, [1e-9, 2e-9, 4e-9])
    fit.table["verdict"] = ["upper_bound", "resolved", "lower_bound"]
    fit.table["permeability_lower"] = [0.0, 1e-9, 1.5e-9]
    fit.table["permeability_upper"] = [3e-9, 4e-9, np.inf]
    for layer_data in ly.fit_layers(fit, found, ly.Placement.of_pixel_size(found.pixel_size)):
        ly.show(viewer, layer_data)
    table = dock.results.table.model()
    shown = [table.index(r, 1).data() for r in range(3)]
    # What may be as fast as it likes comes last.
    assert shown == ["2.0×10⁻⁹", "< 3.0×10⁻⁹", "> 1.5×10⁻⁹"]
    image = viewer.layers["log10 k (m/s)"].data
    assert np.allclose(image[found.labels == 2], np.log10(2e-9), atol=1e-4)
    # Neither bound sets its boundary apart from the resolved one.
    assert np.isnan(image[found.labels == 1]).all()
    assert np.isnan(image[found.labels == 3]).all()


# --- corrections of the counts ---


def test_corrections_and_pulses_go_into_the_fit(
    dock: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    add_map(viewer, frames=3)
    add_boundaries(viewer)
    give_pulses(viewer, ly.acquisition_from_layer(viewer.layers["6Li"]), 500)
    hydride = Measured(0.02, 0.005, "mass 8")
    dock.context.set_corrections(
        Corrections(
            hydride_ratio=hydride,
            fractionation=Measured(1.05),
            background=(Measured(0.5), Measured(2.0, 0.1)),
        )
    )
    assert dock.fit.corrections.text() == (
        "Corrections, in the model: dead time, background, hydride, fractionation"
    )
    assert dock.fit.corrections.toolTip().splitlines()[1:] == [
        "Dead time: from 1,500 pulses a pixel, all frames together.",
        "Background, counts a pixel: 6Li 0.5, 7Li 2 ± 0.1.",
        "Hydride: 0.02 ± 0.005.",
        "Fractionation: 1.05.",
    ]
    dock.fit.start()
    finish(qtbot, dock.fit.task)
    (call,) = fake_fit.calls
    assert call["hydride_ratio"] == hydride
    assert call["fractionation"] == Measured(1.05)
    assert call["background"] == (Measured(0.5), Measured(2.0, 0.1))
    # of three frames, as the counts are their sum
    assert call["pulses"].shape == call["n6"].shape
    assert (call["pulses"] == 1500).all()


def test_dead_time_is_left_out_where_it_is_switched_off_or_pulses_are_unknown(
    ready: AllSteps, viewer: ViewerModel, fake_fit: FakeFit, qtbot
) -> None:
    assert ready.fit.corrections.text() == "Corrections of the counts: none"
    give_pulses(viewer, ly.acquisition_from_layer(viewer.layers["6Li"]), 500)
    assert "dead time" in ready.fit.corrections.text()
    ready.context.set_corrections(Corrections(dead_time=False))
    assert ready.fit.corrections.text() == "Corrections of the counts: none"
    ready.fit.start()
    finish(qtbot, ready.fit.task)
    (call,) = fake_fit.calls
    assert call["pulses"] is None
    assert call["hydride_ratio"] == Measured(0.0)
    ready.context.tracer.choose(None)
    assert ready.fit.corrections.text() == ""


def test_the_profile_holds_counts_against_what_they_should_show(
    dock: AllSteps, viewer: ViewerModel
) -> None:
    found = find_boundaries(grains_of_three(), PIXEL)
    fit = replace(fit_of(found), counted=np.full((24, 30), 0.37))
    add_map(viewer)
    for layer_data in ly.fit_layers(fit, found, ly.Placement.of_pixel_size(found.pixel_size)):
        ly.show(viewer, layer_data)
    dock.context.selection.select([1])
    lines = [x for x in dock.results.plot.axes.get_lines() if x.get_label() == "model"]
    assert len(lines) == 1
    np.testing.assert_allclose(lines[0].get_ydata(), 0.37)
