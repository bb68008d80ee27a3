"""Counts, isotope fraction and mass windows: what the dock makes, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.main import AllSteps, BoundaryDock, MassWindowDock, RatioDock

from .conftest import (
    add_boundaries,
    add_map,
    finish,
    snapshot,
    warned,
)

# --- choosing layers ---


def test_isotopes_are_chosen_by_name(dock: AllSteps, viewer: ViewerModel) -> None:
    viewer.add_image(np.ones((24, 30), int), name="SEM")
    add_map(viewer, names=("63Cu", "65Cu"))
    assert dock.context.tracer.current == viewer.layers["65Cu"]
    assert dock.context.other.current == viewer.layers["63Cu"]
    assert dock.data.tracer.currentText() == "65Cu"


def test_boxes_follow_names_and_removal(dock: AllSteps, viewer: ViewerModel) -> None:
    add_map(viewer)
    viewer.layers["6Li"].name = "tracer of sample 4"
    assert dock.data.tracer.currentText() == "tracer of sample 4"
    assert dock.ratio.run_button.isEnabled()
    del viewer.layers["tracer of sample 4"]
    assert dock.data.tracer.currentText() == "choose a layer"
    assert not dock.ratio.run_button.isEnabled()
    assert "choose the counts" in dock.ratio.run_button.toolTip()


def test_a_choice_by_hand_is_kept(dock: AllSteps, viewer: ViewerModel) -> None:
    add_map(viewer)
    other = viewer.add_image(np.ones((24, 30), int), name="my counts")
    dock.data.tracer.setCurrentText("my counts")
    dock.data.tracer.activated.emit(dock.data.tracer.currentIndex())
    viewer.add_image(np.ones((24, 30), int), name="another")
    assert dock.context.tracer.current == other


def test_without_layers_the_dock_says_what_to_do(dock: AllSteps) -> None:
    assert not dock.data.hint.isHidden()
    assert "Open Sample" in dock.data.hint.text()
    for button in (
        dock.ratio.run_button,
        dock.boundaries.segment_button,
        dock.boundaries.draw_button,
        dock.boundaries.find_button,
        dock.fit.run_button,
    ):
        assert not button.isEnabled()
        assert button.toolTip().startswith("Not yet: ")
    assert [step.header.text().split("   ")[1] for step in dock.steps] == [
        "– choose counts",
        "– not made yet",
        "– no grains yet",
        "– not fitted yet",
        "– nothing yet",
    ]


@pytest.mark.parametrize("kind", [AllSteps, RatioDock, BoundaryDock, MassWindowDock])
def test_every_dock_fits_a_small_screen(kind: type, viewer: ViewerModel, qtbot) -> None:
    add_map(viewer)
    add_boundaries(viewer)
    dock = kind(viewer)
    qtbot.addWidget(dock)
    for step in dock.steps:
        step.unfold()
    assert dock.minimumWidth() <= 350
    assert dock.widget().minimumSizeHint().width() <= 350


# --- isotope fraction ---


def test_the_fraction_is_made_and_updated(dock: AllSteps, viewer: ViewerModel, qtbot) -> None:
    add_map(viewer)
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    layer = viewer.layers["6Li fraction"]
    n6, n7 = (viewer.layers[name].data.astype(float) for name in ("6Li", "7Li"))
    assert np.allclose(layer.data, n6 / (n6 + n7))
    whole = n6.sum() / (n6 + n7).sum()
    assert f"Whole map: {whole:.4f}" in dock.ratio.message.text()
    dock.ratio.bin.setValue(3)
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    assert viewer.layers["6Li fraction"] is layer
    assert layer.data.shape == (8, 10)
    assert np.allclose(layer.scale, 1.5)
    fraction = layer.metadata[ly.OBJECT]
    assert (fraction.lower < fraction.value).all()


def test_counts_of_different_shapes_are_refused(dock: AllSteps, viewer: ViewerModel) -> None:
    add_map(viewer)
    small = viewer.add_image(np.ones((20, 30), int), name="small")
    dock.context.other.choose(small)
    before = snapshot(viewer)
    dock.ratio.compute()
    assert "'6Li' 24 x 30, 'small' 20 x 30" in dock.ratio.message.text()
    assert len(warned()) == 1
    assert snapshot(viewer) == before


def test_counts_that_are_all_zero_are_refused(dock: AllSteps, viewer: ViewerModel, qtbot) -> None:
    for name in ("6Li", "7Li"):
        viewer.add_image(np.zeros((24, 30), int), name=name)
    add_boundaries(viewer)
    before = snapshot(viewer)
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    assert "every count is zero" in dock.ratio.message.text().lower()
    dock.boundaries.segment_grains()
    assert "no counts at all" in dock.boundaries.message.text()
    dock.fit.start()
    assert "no counts at all" in dock.fit.message.text()
    assert snapshot(viewer) == before


def test_fractional_values_are_refused(dock: AllSteps, viewer: ViewerModel, qtbot) -> None:
    viewer.add_image(np.full((24, 30), 0.4), name="6Li")
    viewer.add_image(np.full((24, 30), 0.6), name="7Li")
    dock.ratio.compute()
    finish(qtbot, dock.ratio.task)
    assert "fractional values, not counts" in dock.ratio.message.text()
    assert len(viewer.layers) == 2


def test_one_layer_cannot_be_both_isotopes(dock: AllSteps, viewer: ViewerModel) -> None:
    add_map(viewer)
    dock.context.other.choose(viewer.layers["6Li"])
    dock.ratio.compute()
    assert "same layer" in dock.ratio.message.text()


# --- pixel size ---


def test_a_missing_pixel_size_is_asked_for(dock: AllSteps, viewer: ViewerModel, qtbot) -> None:
    add_map(viewer, pixel_size=None)
    grains = viewer.add_labels(np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1), name="Grains")
    assert not dock.data.size.unknown.isHidden()
    assert dock.data.status == "pixel size?"
    before = snapshot(viewer)
    dock.boundaries.find_boundaries()
    assert "type it in um" in dock.boundaries.message.text()
    assert snapshot(viewer) == before
    dock.data.size.size_box.setValue(0.25)
    dock.data.size.set_button.click()
    assert dock.data.size.unknown.isHidden()
    assert "0.25 × 0.25 µm" in dock.data.size.known.text()
    for layer in (*dock.context.counts, grains):
        assert ly.pixel_size_from_layer(layer) == pytest.approx((2.5e-7, 2.5e-7))
    dock.boundaries.find_boundaries()
    finish(qtbot, dock.boundaries.task)
    assert viewer.layers["Grain boundaries"].features["length_um"][1] == pytest.approx(24 * 0.25)


def test_grains_without_a_unit_take_their_place_from_the_counts(
    dock: AllSteps, viewer: ViewerModel, qtbot
) -> None:
    add_map(viewer)
    viewer.layers["6Li"].translate = (3, 4)
    drawn = viewer.add_labels(np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1))
    dock.context.grains.choose(drawn)
    dock.boundaries.find_boundaries()
    finish(qtbot, dock.boundaries.task)
    assert tuple(viewer.layers["Grain boundaries"].translate) == (3, 4)
    assert viewer.layers.extent.units[0] == viewer.layers["6Li"].units[0]


# --- mass windows ---


@pytest.fixture
def archive(shared_data: Path) -> str:
    (path,) = (shared_data / "simsh5").glob("*.h5")
    return str(path)


def test_windows_are_proposed_on_the_observed_peaks(
    archive: str, viewer: ViewerModel, qtbot
) -> None:
    from napari_liso.plugin.reader import read_layers

    dock = AllSteps(viewer)
    qtbot.addWidget(dock)
    for data in read_layers(archive):
        ly.show(viewer, data)
    panel = dock.windows
    proposed = set(panel.windows())  # next to no lithium in this sample: the matrix it is
    assert {"63Cu", "65Cu"} < proposed
    assert "6Li" not in proposed
    assert panel.message.text() == ""
    panel.names.setText("63Cu, 65Cu")
    panel.propose_button.click()
    windows = panel.windows()
    assert windows["63Cu"][0] < 62.929 < windows["63Cu"][1]
    panel.make_images()
    finish(qtbot, panel.task)
    heavy, light = (int(viewer.layers[name].data.sum()) for name in ("65Cu", "63Cu"))
    error = np.sqrt(0.3085 * 0.6915 / (heavy + light))
    assert abs(heavy / (heavy + light) - 0.3085) < 2 * error
    assert not viewer.layers["total"].visible
    assert dock.context.tracer.current == viewer.layers["65Cu"]


def test_unknown_peaks_and_empty_windows_are_told(
    archive: str, viewer: ViewerModel, qtbot
) -> None:
    from napari_liso.plugin.reader import read_layers

    dock = MassWindowDock(viewer)
    qtbot.addWidget(dock)
    assert "No open file holds a spectrum" in dock.windows.hint.text()
    for data in read_layers(archive):
        ly.show(viewer, data)
    dock.windows.names.setText("quartz")
    dock.windows.propose_button.click()
    assert "mass of 'quartz' is not known" in dock.windows.message.text()
    before = dock.windows.windows()
    dock.windows.names.setText("6Li, 7Li")
    dock.windows.propose_button.click()
    assert "too few" in dock.windows.message.text()
    assert dock.windows.windows() == before
    dock.windows.table.fill({})
    assert not dock.windows.make_button.isEnabled()


def test_windows_can_be_typed(archive: str, viewer: ViewerModel, qtbot) -> None:
    from napari_liso.plugin.reader import read_layers

    dock = MassWindowDock(viewer)
    qtbot.addWidget(dock)
    for data in read_layers(archive):
        ly.show(viewer, data)
    table = dock.windows.table
    table.fill({})
    for column, text in enumerate(("Cs", "132.5", "133.5")):
        table.item(0, column).setText(text)
    assert dock.windows.windows() == {"Cs": (132.5, 133.5)}
    assert table.rowCount() == 2  # a row to type the next one
    shown = int(table.item(0, 3).text().replace(",", ""))
    dock.windows.make_images()
    finish(qtbot, dock.windows.task)
    assert viewer.layers["Cs"].data.sum() == shown > 1000
    table.item(0, 1).setText("140")  # from > to
    assert dock.windows.windows() == {}
    assert not dock.windows.make_button.isEnabled()
