"""What a user of the ratio dock and its neighbours met: colours, swaps, messages, docks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.components import ViewerModel

from napari_liso.acquisition import Acquisition
from napari_liso.counting.measured import Measured
from napari_liso.counting.ratio import isotope_ratio
from napari_liso.plugin import layers as ly
from napari_liso.plugin.layers.ratio import ratio_layer
from napari_liso.plugin.placement import Placement
from napari_liso.plugin.ratio.work import ratio_limits, weighted_limits
from napari_liso.plugin.widgets.main import RatioDock

from .conftest import add_map, warned


def settle(dock: RatioDock, qtbot: Any) -> None:
    """Wait until no step runs or waits to run."""
    steps = (dock.ratio, dock.regions)
    qtbot.waitUntil(
        lambda: not any(s.task.running or s.newest.pending for s in steps), timeout=20_000
    )


@pytest.fixture
def dock(viewer: ViewerModel, qtbot: Any) -> RatioDock:
    """The dock with a fraction made of counts."""
    add_map(viewer)
    made = RatioDock(viewer)
    qtbot.addWidget(made)
    made.ratio.compute()
    settle(made, qtbot)
    return made


# --- colours ----------------------------------------------------------------------------------


def enriched() -> tuple[np.ndarray, np.ndarray]:
    """Counts of 60 ions a pixel: a third of the map of 95 %, the rest of natural lithium."""
    rng = np.random.default_rng(5)
    share = np.where(np.arange(90) < 30, 0.95, 0.0759) * np.ones((60, 1))
    n6 = rng.binomial(60, share)
    return n6, 60 - n6


def test_limits_of_a_ratio_are_not_set_by_pixels_of_one_count() -> None:
    made = isotope_ratio(*enriched())
    low, high = ratio_limits(made.value, made.counts)
    assert 0.03 < low < 0.0759 / 0.9241  # the noise of single pixels, not zero
    # 19 is the ratio of the grain; 59 that of a pixel with one count of 7Li
    assert 19 < high < 30
    assert weighted_limits(made.value, made.counts)[1] == pytest.approx(59)


def test_limits_of_a_ratio_keep_a_small_enriched_grain() -> None:
    n6 = np.full((64, 64), 100)
    n6[:8, :8] = 5000  # one pixel in sixty-four
    low, high = ratio_limits(n6 / 1000, n6 + 1000)
    assert (low, high) == (pytest.approx(0.1), pytest.approx(5.0))


def test_limits_without_counts() -> None:
    assert ratio_limits(np.full((9, 9), np.nan), np.zeros((9, 9))) == (0.0, 1.0)
    few = isotope_ratio(np.eye(9, dtype=int), np.zeros((9, 9), int))  # no 7Li at all
    low, high = ratio_limits(few.value, few.counts)
    assert low < high


def test_gamma_lifts_a_map_of_many_magnitudes_only() -> None:
    n6, n7 = enriched()
    placement = Placement.of_pixel_size((1e-6, 1e-6))
    for made, quantity in (
        (isotope_ratio(n6, n7), "ratio"),
        (isotope_ratio(n6, n7).delta(0.0821), "delta"),
    ):
        low, high = (0.05, 25.0) if quantity == "ratio" else (-390.0, 303_000.0)
        arguments = ratio_layer(
            made, "x", placement, limits=(low, high), quantity=quantity
        )[1]  # fmt: skip
        middle = (np.nanmedian(made.value) - low) / (high - low)
        assert middle ** arguments["gamma"] == pytest.approx(0.4, abs=0.15)
        assert arguments["gamma"] >= 0.2
    natural = isotope_ratio(n6[:, 30:], n7[:, 30:]).delta(0.0821)
    assert ratio_layer(natural, "x", placement, quantity="delta")[1]["gamma"] == 1.0


# --- swapping ---------------------------------------------------------------------------------


def test_a_swap_makes_the_map_and_turns_the_corrections(
    dock: RatioDock, viewer: ViewerModel, qtbot: Any
) -> None:
    context = dock.context
    before = context.corrections.__class__(
        background=(Measured(0.5, 0.1), Measured(0.25)),
        hydride_ratio=0.02,
        fractionation=Measured(1.25, 0.05),
    )
    context.set_corrections(before)
    settle(dock, qtbot)
    first = viewer.layers["6Li fraction"].data.copy()
    dock.ratio.parts.quantity.swap_button.click()
    settle(dock, qtbot)
    turned = context.corrections
    assert turned.background == (Measured(0.25), Measured(0.5, 0.1))
    assert turned.hydride_ratio.value == 0  # 7LiH falls on mass 8
    assert turned.fractionation.value == pytest.approx(0.8)
    assert turned.fractionation.error == pytest.approx(0.05 / 1.25**2)
    assert viewer.layers["7Li fraction"].visible
    assert not viewer.layers["6Li fraction"].visible
    dock.ratio.parts.quantity.swap_button.click()
    settle(dock, qtbot)
    assert context.corrections.hydride_ratio == before.hydride_ratio
    assert viewer.layers["6Li fraction"].visible
    assert not viewer.layers["7Li fraction"].visible
    assert np.allclose(viewer.layers["6Li fraction"].data, first, equal_nan=True)


def test_a_swap_keeps_the_quantity(dock: RatioDock, viewer: ViewerModel, qtbot: Any) -> None:
    form = dock.ratio.parts.quantity
    for index in (2, 0):  # the topmost map is then not the one in sight
        form.quantity.setCurrentIndex(index)
        settle(dock, qtbot)
    for name in ("7Li fraction", "6Li fraction"):
        form.swap_button.click()
        settle(dock, qtbot)
        assert form.key == "fraction"
        maps = [x.name for x in viewer.layers if x.visible and ly.role_of(x) != "counts"]
        assert maps == [name]


# --- messages and mistakes --------------------------------------------------------------------


def test_what_a_region_was_used_for_stays_to_be_read(
    dock: RatioDock, viewer: ViewerModel, qtbot: Any
) -> None:
    regions = dock.regions
    dock.steps[-2].unfold()
    regions.draw()
    layer: Any = regions.choice.current
    layer.add_rectangles([np.array([[1, 1], [1, 4], [4, 4], [4, 1]])])
    settle(dock, qtbot)
    regions.table.selectRow(0)
    regions.uses.background_button.click()
    settle(dock, qtbot)
    regions.newest.ask()  # as another change of the map does
    settle(dock, qtbot)
    assert regions.message.text().startswith("Background:")
    layer.add_rectangles([np.array([[6, 1], [6, 4], [9, 4], [9, 1]])])
    settle(dock, qtbot)
    assert regions.message.text().startswith("2 regions")


def test_a_layer_brighter_than_the_peak_is_no_background(viewer: ViewerModel, qtbot: Any) -> None:
    numbers = np.array([10, 100, 50]).reshape(3, 1, 1, 1)
    counts = np.broadcast_to(numbers, (3, 1, 8, 8)).astype(np.int64)
    acquisition = Acquisition(
        counts, ("6Li", "7Li", "SE"), np.array([6.0, 7.0, 0.0]), (1e-7, 1e-7)
    )
    for layer_data in ly.acquisition_layers(acquisition):
        ly.add(viewer, layer_data)
    made = RatioDock(viewer)
    qtbot.addWidget(made)
    form = made.ratio.parts.corrections
    form.background_from(viewer.layers["SE"], 1.0, 0)
    assert "no window beside the peak" in warned()[-1]
    assert made.context.corrections.background[0].value == 0
    form.background_from(viewer.layers["SE"], 1.0, 1)
    assert made.context.corrections.background[1].value == 50


# --- docks ------------------------------------------------------------------------------------


def test_a_dock_taken_out_of_the_window_follows_no_more(viewer: ViewerModel, qtbot: Any) -> None:
    from qtpy.compat import isalive
    from qtpy.QtWidgets import QVBoxLayout, QWidget

    dock = RatioDock(viewer)
    window = QWidget()
    qtbot.addWidget(window)
    QVBoxLayout(window).addWidget(dock)
    dock.setParent(None)
    qtbot.waitUntil(lambda: not isalive(dock), timeout=5_000)


def test_a_long_formula_does_not_widen_the_dock(dock: RatioDock) -> None:
    form = dock.ratio.parts.quantity
    narrow = form.minimumSizeHint().width()
    form.show_pair("12C14N of a long name", "12C15N of a long name")
    assert form.minimumSizeHint().width() <= narrow + 40
