"""Table and colours of 15,000 boundaries: what each answer to a click costs.

`extra_info` of the colours tells how much a colormap made of a dictionary, which napari
also takes, would cost.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from qtpy.QtCore import Qt
from scipy.spatial import cKDTree

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.profiles import boundary_steps
from napari_liso.plugin.boundary_colours import label_colormap, scale_of, state_colours
from napari_liso.plugin.boundary_steps import carried
from napari_liso.plugin.boundary_values import BoundaryValues, StepsKnown, boundary_values
from napari_liso.plugin.features import boundary_features
from napari_liso.plugin.widgets.boundary_model import BoundaryModel

SIDE, GRAINS, PIXEL = 1024, 5050, 0.2e-6
COLUMNS = ("id", "grains", "length", "step", "k", "state", "notes")


@pytest.fixture(scope="module")
def found() -> Boundaries:
    rng = np.random.default_rng(0)
    tree = cKDTree(rng.random((GRAINS, 2)) * SIDE)
    x = np.arange(SIDE)
    rows = [tree.query(np.stack([np.full(SIDE, y), x], axis=1))[1] + 1 for y in range(SIDE)]
    return find_boundaries(np.array(rows, dtype=np.int32), PIXEL)


@pytest.fixture(scope="module")
def steps(found: Boundaries) -> StepsKnown:
    rng = np.random.default_rng(1)
    fraction = rng.random(GRAINS + 1)[found.grains]
    table = boundary_steps(found, rng.binomial(40, fraction), rng.binomial(40, 1 - fraction))
    return StepsKnown(table, found, ("6Li", "7Li"))


@pytest.fixture(scope="module")
def values(found: Boundaries, steps: StepsKnown) -> BoundaryValues:
    return boundary_values(found, steps=steps.table)


@pytest.fixture
def model(values: BoundaryValues, qapp: Any) -> BoundaryModel:
    made = BoundaryModel(COLUMNS)
    made.set_values(values)
    return made


def test_values(benchmark: Any, found: Boundaries, steps: StepsKnown) -> None:
    made = benchmark(lambda: boundary_values(found, steps=steps.table))
    benchmark.extra_info["boundaries"] = len(made)


def test_features(benchmark: Any, found: Boundaries) -> None:
    benchmark(lambda: boundary_features(found))


def test_steps_that_outlive_an_edit(benchmark: Any, found: Boundaries, steps: StepsKnown) -> None:
    benchmark(lambda: carried(steps, found))


def test_refresh_after_a_state(benchmark: Any, found: Boundaries, model: BoundaryModel) -> None:
    other = [boundary_values(found.with_state([i], "exclude")) for i in (1, 2)]

    def refresh() -> None:
        other.reverse()
        model.set_values(other[0])

    benchmark(refresh)


@pytest.mark.parametrize("key", COLUMNS)
def test_sort(benchmark: Any, model: BoundaryModel, key: str) -> None:
    orders = [Qt.SortOrder.AscendingOrder, Qt.SortOrder.DescendingOrder]

    def sort() -> None:
        orders.reverse()
        model.sort(COLUMNS.index(key), orders[0])

    benchmark(sort)


def test_filter(benchmark: Any, model: BoundaryModel) -> None:
    texts = ["step > 3 sigma and length < 3 um", "not state = exclude and (grain = 7 or id < 99)"]

    def show() -> None:
        texts.reverse()
        model.set_filter(texts[0])

    benchmark(show)


def test_colours(benchmark: Any, values: BoundaryValues) -> None:
    from napari.utils.colormaps import DirectLabelColormap

    states = np.append(["use"], values["state"]).astype(object)
    every = np.arange(2**16, dtype=np.uint16)

    def colour() -> Any:
        scale, numbers = scale_of(values, "step")
        shades = np.append(np.full((1, 4), np.nan), scale.colours(numbers), axis=0)
        colormap = label_colormap(state_colours(states, shades), [5])
        colormap.map(every)  # what napari puts into a texture
        return colormap

    colormap = benchmark(colour)
    begun = time.perf_counter()
    rows = dict(enumerate(colormap.colors))
    DirectLabelColormap(color_dict={**rows, None: np.zeros(4)}).map(every)
    benchmark.extra_info["dictionary_ms"] = round(1e3 * (time.perf_counter() - begun))
