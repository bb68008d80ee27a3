"""Steps after an edit are found anew only beside it, and are those of a whole new search."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pandas as pd
import pytest
from napari.components import ViewerModel
from qtpy.compat import isalive

from napari_liso.microstructure import profiles
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.update import find_patch
from napari_liso.plugin import layers as ly
from napari_liso.plugin.boundary_steps import StepFinder, renewed
from napari_liso.plugin.boundary_values import StepsKnown, steps_of
from napari_liso.plugin.context import Context
from napari_liso.plugin.labelling.editor import BoundaryEditor, editor_of
from napari_liso.simulation import voronoi_grains

PIXELS = (0.4e-6, 0.7e-6)


def counts(shape: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    return rng.poisson(20, shape), rng.poisson(30, shape)


def edits(boundaries: Boundaries) -> list[np.ndarray]:
    """Grains after a stroke of a brush, a merge, a new grain, a pore, and all at once."""
    drawn = boundaries.drawn
    made = []
    faces = boundaries.faces
    for number in (3, 40, 77):
        y, x = divmod(int(faces.first[number * len(faces.first) // 100]), drawn.shape[1])
        stroke = drawn.copy()
        box = slice(max(y - 3, 0), y + 4), slice(max(x - 3, 0), x + 4)
        stroke[box] = drawn[y, x]
        made.append(stroke)
    one, other = boundaries.table.iloc[9][["grain_a", "grain_b"]]
    made.append(np.where(drawn == one, other, drawn))
    grain = drawn.copy()
    grain[50:56, 60:68] = drawn.max() + 1
    made.append(grain)
    pore = drawn.copy()
    pore[80:92, 30:41] = 0
    made.append(pore)
    # a pore that touches no boundary but takes pixels from one
    y, x = next(
        (y, x)
        for y in range(20, 120)
        for x in range(20, 140)
        if np.ptp(drawn[y - 2 : y + 3, x - 2 : x + 3]) == 0 < np.ptp(drawn[y, x - 4 : x + 5])
    )
    small = drawn.copy()
    small[y - 1 : y + 2, x - 1 : x + 2] = 0
    made.append(small)
    last = drawn.copy()
    last[:6, :6] = drawn[-1, -1]
    last[-6:, -6:] = drawn[0, 0]
    made.append(last)
    return made


@pytest.mark.parametrize("pixels", [PIXELS, PIXELS[::-1], (0.5e-6, 0.5e-6)])
def test_steps_beside_an_edit_are_those_of_a_whole_search(pixels: tuple[float, float]) -> None:
    before = find_boundaries(voronoi_grains((140, 160), 90, seed=4), pixels)
    n6, n7 = counts(before.grains.shape)
    known = StepsKnown(profiles.boundary_steps(before, n6, n7), before, ("a", "b"))
    fewest = len(before.table)
    for drawn in edits(before):
        patch = find_patch(before, drawn)
        assert patch is not None
        after = patch.apply(before)
        asked: list[int] = []

        def find(ids: Any, after: Boundaries = after, asked: list[int] = asked) -> pd.DataFrame:
            asked.extend(ids)
            return profiles.boundary_steps(after, n6, n7, ids=ids)

        found = renewed(known, after, find)
        pd.testing.assert_frame_equal(found, profiles.boundary_steps(after, n6, n7))
        fewest = min(fewest, len(asked))
    assert fewest < 20  # of 240


def document(viewer: ViewerModel) -> tuple[BoundaryEditor, StepFinder]:
    from napari_liso.acquisition import Acquisition

    grains = voronoi_grains((140, 160), 90, seed=4)
    n6, n7 = counts(grains.shape)
    acquisition = Acquisition(
        np.stack([n6, n7])[:, None], ("6Li", "7Li"), np.array([6.015, 7.016]), PIXELS
    )
    for layer_data in ly.acquisition_layers(acquisition):
        ly.add(viewer, layer_data)
    placement = ly.Placement.of_pixel_size(PIXELS)
    ly.add(viewer, ly.grains_layer(grains, placement))
    found = find_boundaries(grains, PIXELS)
    layer = ly.add(viewer, ly.boundaries_layer(found, placement, sources=("Grains",)))
    editor = editor_of(viewer, layer)
    assert editor is not None
    return editor, StepFinder(Context(viewer))


def ready(qtbot: Any, finder: StepFinder) -> None:
    qtbot.waitUntil(lambda: not finder.busy, timeout=20_000)


def test_after_an_edit_and_its_undo_the_table_has_all_steps_and_few_were_looked_for(
    viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    editor, finder = document(viewer)
    ready(qtbot, finder)
    asked: list[Any] = []
    search = profiles.boundary_steps

    def watched(*args: Any, ids: Any = None, **options: Any) -> pd.DataFrame:
        asked.append(ids)
        return search(*args, ids=ids, **options)

    monkeypatch.setattr(profiles, "boundary_steps", watched)
    n6, n7 = (np.asarray(viewer.layers[name].data) for name in ("6Li", "7Li"))
    grains = viewer.layers["Grains"]
    grains.brush_size = 6
    y, x = divmod(int(editor.boundaries.faces.first[400]), 160)
    grains.paint((y, x), int(grains.data[y, x]))
    editor.flush()
    for _ in range(2):
        ready(qtbot, finder)
        known = steps_of(editor.layer)
        assert known is not None
        assert known.complete
        pd.testing.assert_frame_equal(known.table, search(editor.boundaries, n6, n7))
        assert len(asked.pop()) < 25
        assert not asked
        editor.undo()


def test_a_search_stops_when_its_dock_goes(
    viewer: ViewerModel, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go, ended = threading.Event(), threading.Event(), threading.Event()
    whole = ly.counts_from_layer

    def slow(layer: Any) -> Any:
        if began.is_set():
            ended.set()  # it went on to the second image
        began.set()
        assert go.wait(20)
        return whole(layer)

    monkeypatch.setattr(ly, "counts_from_layer", slow)
    _, finder = document(viewer)
    context = finder.parent()
    qtbot.waitUntil(began.is_set, timeout=20_000)
    context.deleteLater()
    qtbot.waitUntil(lambda: not isalive(finder), timeout=20_000)
    go.set()
    assert not ended.wait(1.0)
