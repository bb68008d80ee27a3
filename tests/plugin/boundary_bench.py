"""A dock on three grains with counts and boundaries, and how to read its table."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import Qt

from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.plugin import layers as ly
from napari_liso.plugin.widgets.main import BoundaryDock

from .conftest import PIXEL, fit_of, grains_of_three

ASCENDING, DESCENDING = Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder


def add_counts(viewer: ViewerModel, fractions: tuple[float, ...] = (0.8, 0.3, 0.6)) -> None:
    """100 counts a pixel, with a fraction for each of three grains."""
    n6 = np.rint(100 * np.array([0, *fractions])[grains_of_three()]).astype(int)
    placement = {"scale": (0.5, 0.5), "units": ("um", "um")}
    viewer.add_image(n6, name="6Li", **placement)
    viewer.add_image(100 - n6, name="7Li", **placement)


def add_found(viewer: ViewerModel, grains: np.ndarray | None = None) -> Any:
    """Grains and their boundaries."""
    grains = grains_of_three() if grains is None else grains
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    ly.show(viewer, ly.grains_layer(grains, placement))
    found = find_boundaries(grains, PIXEL)
    return ly.show(viewer, ly.boundaries_layer(found, placement, sources=["Grains"]))


def add_fit(viewer: ViewerModel, grains: np.ndarray | None = None) -> None:
    """A fit of these grains."""
    found = find_boundaries(grains_of_three() if grains is None else grains, PIXEL)
    for layer_data in ly.fit_layers(
        fit_of(found), found, ly.Placement.of_pixel_size((PIXEL,) * 2), sources=["Grains"]
    ):
        ly.show(viewer, layer_data)


def dock_on_three_grains(viewer: ViewerModel, qtbot: Any) -> BoundaryDock:
    """Label boundaries, once the steps are known."""
    add_counts(viewer)
    add_found(viewer)
    dock = BoundaryDock(viewer)
    qtbot.addWidget(dock)
    qtbot.waitUntil(lambda: not dock.boundaries.steps.busy, timeout=10_000)
    return dock


def column(dock: BoundaryDock, key: str) -> list[str]:
    """What a column of the table shows, from top to bottom."""
    model = dock.boundaries.table.rows
    place = model.columns.index(key)
    return [str(model.index(row, place).data()) for row in range(model.rowCount())]


def states(dock: BoundaryDock) -> list[str]:
    found = dock.context.current_boundaries()
    assert found is not None
    return found.table["state"].tolist()


def sort_by(dock: BoundaryDock, key: str, order: Qt.SortOrder = ASCENDING) -> None:
    table = dock.boundaries.table
    table.sortByColumn(table.rows.columns.index(key), order)
