"""Checks in the dock: what is found is shown, and told when it no longer holds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.acquisition import Acquisition
from napari_liso.plugin import layers as ly
from napari_liso.plugin.frames.behind import choose_frames
from napari_liso.plugin.widgets.checks.panel import ChecksPanel
from napari_liso.plugin.widgets.main import RatioDock

from .conftest import acquisition_of, finish, warned


def clean(fraction: Any = 0.0759, frames: int = 4, pulses: Any = None) -> Acquisition:
    rng = np.random.default_rng(1)
    bright = 40 * np.exp(0.3 * rng.normal(size=(48, 48))) * np.ones((frames, 1, 1))
    counts = np.stack([rng.poisson(bright * fraction), rng.poisson(bright * (1 - fraction))])
    return replace(acquisition_of((48, 48), frames=frames), counts=counts, pulses=pulses)


def add(viewer: ViewerModel, acquisition: Acquisition) -> Acquisition:
    for layer_data in ly.acquisition_layers(acquisition):
        ly.show(viewer, layer_data)
    return acquisition


@pytest.fixture
def panel(viewer: ViewerModel, qtbot: Any) -> ChecksPanel:
    dock = RatioDock(viewer)
    qtbot.addWidget(dock)
    dock.checks.dock = dock  # keep it alive
    return dock.checks


def run(panel: ChecksPanel, qtbot: Any) -> dict[str, str]:
    """Check, and return the verdicts by name."""
    panel.run()
    finish(qtbot, panel.task)
    return {finding.name: finding.verdict for finding in panel.checks.findings}


def header(panel: ChecksPanel) -> str:
    return next(s.header.text() for s in panel.dock.steps if s.panel is panel)


def test_without_counts_the_button_says_why(panel: ChecksPanel) -> None:
    assert not panel.run_button.isEnabled()
    assert "choose the counts" in panel.run_button.toolTip()
    assert header(panel).endswith("not checked yet")


def test_clean_counts_are_good(panel: ChecksPanel, viewer: ViewerModel, qtbot: Any) -> None:
    add(viewer, clean())
    assert panel.known.value() == pytest.approx(0.0759)
    panel.reference.setCurrentIndex(1)
    verdicts = run(panel, qtbot)
    assert set(verdicts.values()) == {"good"}
    assert len(verdicts) == 7
    assert header(panel).endswith("7 good")
    texts = [label.text() for label in panel.findings._labels]
    assert sum("✔" in text for text in texts) == 7
    assert not panel.plot.isHidden()
    report = panel.report()
    assert report.startswith("Checks of 6Li and 7Li")
    assert report.count("GOOD") == 7


def test_faults_are_marked_by_sign_and_word(panel, viewer, qtbot) -> None:
    add(viewer, clean(np.array([0.4, 0.1, 0.1, 0.1])[:, None, None]))
    verdicts = run(panel, qtbot)
    assert verdicts["Fraction over the frames"] == "bad"
    marks = [label for label in panel.findings._labels if "✖" in label.text()]
    assert marks
    assert marks[0].accessibleName().startswith("Bad")
    assert "drop it" in panel.report()


def test_findings_are_outdated_once_the_counts_change(panel, viewer, qtbot) -> None:
    acquisition = add(viewer, clean())
    run(panel, qtbot)
    choose_frames(viewer, acquisition, 1, 4)
    assert header(panel).endswith("outdated")
    assert "check again" in panel.summary.text()
    run(panel, qtbot)
    assert "check again" not in panel.summary.text()
    # of three frames, which are called by their own numbers
    assert len(panel.checks.course.total) == 3


def test_a_reference_region_is_compared(panel, viewer, qtbot) -> None:
    fraction = np.full((48, 48), 0.5)
    fraction[:20] = 0.0759
    add(viewer, clean(fraction))
    labels = np.zeros((48, 48), int)
    labels[2:18, 3:40], labels[30:40, 3:40] = 1, 2
    layer = viewer.add_labels(labels, name="places", scale=(0.5, 0.5))
    layer.units = ("um", "um")
    panel.reference.setCurrentIndex(2)
    panel.region.choice.choose(None)
    assert "choose the layer" in panel.run_button.toolTip()
    panel.region.choice.choose(layer)
    panel.region.region.setCurrentIndex(1)
    assert run(panel, qtbot)["Reference region"] == "good"
    panel.region.region.setCurrentIndex(2)
    assert run(panel, qtbot)["Reference region"] == "bad"


def test_the_reference_of_another_element_is_its_own(panel, viewer) -> None:
    acquisition = clean(0.3)
    add(viewer, replace(acquisition, channels=("65Cu", "63Cu")))
    assert panel.known.value() == pytest.approx(0.3085, abs=2e-4)


def test_grains_are_offered_where_they_fit(panel, viewer, qtbot) -> None:
    add(viewer, clean())
    assert panel.grains.isHidden()
    grains = np.ones((48, 48), np.int32)
    grains[:, 20:] = 2
    placement = ly.Placement.of_layer(viewer.layers["6Li"])
    ly.show(viewer, ly.grains_layer(grains, placement))
    assert not panel.grains.isHidden()
    assert "'Grains'" in panel.grains.text()
    assert run(panel, qtbot)["Fraction against brightness"] == "good"


def test_one_frame_and_wrong_pairs(panel, viewer, qtbot) -> None:
    add(viewer, clean(frames=1))
    verdicts = run(panel, qtbot)
    assert verdicts["Frame to frame"] == "unknown"
    panel.context.other.choose(viewer.layers["6Li"])
    panel.run()
    assert "same layer" in panel.message.text()
    assert len(warned()) == 1
