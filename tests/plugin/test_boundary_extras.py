"""Junctions as points, and boundaries numbered anew."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.editing import merge_grains
from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.plugin.selection import selection_of
from napari_liso.plugin.widgets.main import BoundaryDock

from .boundary_bench import add_fit, add_found, column, dock_on_three_grains, states
from .conftest import PIXEL


@pytest.fixture
def bench(viewer: ViewerModel, qtbot: Any) -> BoundaryDock:
    return dock_on_three_grains(viewer, qtbot)


def merge(dock: BoundaryDock, *grains: int) -> None:
    """Make grains one, as an edit."""
    viewer, layer = dock.context.viewer, dock.context.boundaries.current
    editor = editor_of(viewer, layer)
    assert editor is not None
    drawn = editor.boundaries.drawn
    assert editor.apply(merge_grains(drawn, grains), "Merge")


# --- junctions ---


def test_junctions_are_points_of_a_kind(bench: BoundaryDock, viewer: ViewerModel) -> None:
    """Grain 1 is the left half, 2 and 3 the quarters on the right: a T, ending at three edges."""
    active = viewer.layers.selection.active
    box = bench.boundaries.junctions
    assert not box.isChecked()
    box.click()
    layer = viewer.layers["Junctions"]
    assert viewer.layers.selection.active is active
    found = dict(zip(layer.features["kind"], layer.data.tolist(), strict=True))
    assert found["triple"] == [11.5, 14.5]
    ends = layer.data[(layer.features["kind"] == "image edge").to_numpy()].tolist()
    assert sorted(ends) == [[-0.5, 14.5], [11.5, 29.5], [23.5, 14.5]]
    assert layer.features["boundaries"][layer.features["kind"] == "triple"].item() == "1, 2, 3"
    # in the world where the boundaries are
    at = layer.data_to_world(found["triple"])
    assert np.allclose(at, (11.5 * 0.5, 14.5 * 0.5))
    assert str(layer.units[0]) in ("micrometer", "um")
    box.click()
    assert "Junctions" not in viewer.layers


def test_junctions_follow_edits_and_their_layer(
    bench: BoundaryDock, viewer: ViewerModel, qtbot: Any
) -> None:
    box = bench.boundaries.junctions
    box.click()
    merge(bench, 2, 3)
    layer = viewer.layers["Junctions"]
    qtbot.waitUntil(lambda: len(layer.data) == 2, timeout=3000)  # one line, from edge to edge
    assert set(layer.features["kind"]) == {"image edge"}
    viewer.layers.remove(layer)
    assert not box.isChecked()
    box.click()
    second = BoundaryDock(viewer)
    qtbot.addWidget(second)
    assert second.boundaries.junctions.isChecked()


def test_junctions_of_other_boundaries_are_hidden(
    bench: BoundaryDock, viewer: ViewerModel
) -> None:
    bench.boundaries.junctions.click()
    halves = np.repeat([[1, 2]], 24, axis=0).repeat(15, axis=1)
    found = find_boundaries(halves, PIXEL)
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    other = ly.add(viewer, ly.boundaries_layer(found, placement, "Grain boundaries [1]"))
    bench.context.boundaries.choose(other)
    assert not viewer.layers["Junctions"].visible
    assert not bench.boundaries.junctions.isChecked()
    bench.boundaries.junctions.click()
    assert len(viewer.layers["Junctions [1]"].data) == 2
    bench.context.boundaries.choose(viewer.layers["Grain boundaries"])
    assert [viewer.layers[f"Junctions{mark}"].visible for mark in ("", " [1]")] == [True, False]


# --- numbers ---


def test_renumbering_drops_what_was_removed(bench: BoundaryDock, viewer: ViewerModel) -> None:
    button = bench.boundaries.renumber
    assert not button.isEnabled()
    assert "no boundary was removed" in button.toolTip()
    table = bench.boundaries.table
    table.set_state([3], "exclude")
    merge(bench, 1, 2)  # boundary 1 goes; 2 and 3 are of the grains 1 and 3 now
    before = bench.context.current_boundaries()
    assert before is not None
    left = before.table[before.table["state"] != "removed"]
    assert button.isEnabled()
    assert "cannot be undone" in button.toolTip()
    selection_of(viewer.layers["Grain boundaries"]).select([int(left.index[-1])])
    button.click()
    after = bench.context.current_boundaries()
    assert after is not None
    assert after.table.index.tolist() == list(range(1, len(left) + 1))
    same = ["grain_a", "grain_b", "length", "state"]
    assert after.table[same].to_numpy().tolist() == left[same].to_numpy().tolist()
    assert column(bench, "id") == [str(i) for i in after.table.index]
    assert selection_of(viewer.layers["Grain boundaries"]).ids == (len(left),)
    layer = viewer.layers["Grain boundaries"]
    assert np.unique(layer.data).tolist() == [0, *after.table.index]
    assert not button.isEnabled()
    assert bench.boundaries.message.text() == f"Boundaries have the numbers 1 to {len(left)} now."


def test_the_fit_goes_along_but_for_what_has_changed(
    viewer: ViewerModel, qtbot: Any, bench: BoundaryDock
) -> None:
    """Four strips; the first two become one: 1 | 2 goes, 2 | 3 is another one, 3 | 4 stays."""
    strips = np.repeat(np.repeat([[1, 2, 3, 4]], 24, axis=0), [7, 8, 7, 8], axis=1)
    viewer.layers.clear()
    add_found(viewer, strips)
    add_fit(viewer, strips)
    fit = ly.fit_from_layer(viewer.layers["Grain boundaries"])
    assert fit is not None
    k = fit.table["permeability"].to_dict()
    merge(bench, 1, 2)
    stale = viewer.layers["Grain boundaries"].metadata[ly.OBJECT]["stale"]
    bench.boundaries.renumber.click()
    now = ly.fit_from_layer(viewer.layers["Grain boundaries"])
    assert now is not None
    found = bench.context.current_boundaries()
    assert found is not None
    pairs = found.table[["grain_a", "grain_b"]].to_numpy().tolist()
    last = pairs.index([3, 4]) + 1
    assert now.table["permeability"].to_dict()[last] == k[3]
    assert len(now.table) == 3 - len(set(stale) | {1})
    features = viewer.layers["Grain boundaries"].features
    assert features["k_m_per_s"][last] == k[3]
    assert viewer.layers["Grain boundaries"].metadata[ly.OBJECT]["fit"] is now
    assert pd.notna(features["verdict"][last])


def test_edits_go_on_after_renumbering(bench: BoundaryDock, viewer: ViewerModel) -> None:
    merge(bench, 2, 3)
    bench.boundaries.renumber.click()
    editor = editor_of(viewer, bench.context.boundaries.current)
    assert editor is not None
    assert editor.undo_text == ""
    bench.boundaries.table.set_state([1], "locked")
    assert states(bench) == ["locked"]
    editor.undo()
    assert states(bench) == ["use"]
