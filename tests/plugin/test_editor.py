"""Edits of grains and boundaries: one undo step each, consistent after any sequence of them."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from napari.components import ViewerModel
from napari.layers import Labels

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.editing import (
    PixelEdit,
    erase_boundaries,
    fill_holes,
    merge_grains,
    split_grain,
)
from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.editor import BoundaryEditor, editor_of
from napari_liso.plugin.labelling.modes import tools_of
from napari_liso.plugin.saving import layers_of, session_of_viewer

from .conftest import PIXEL, fit_of, grains_of_three

Faces = frozenset[tuple[int, int]]


def document(grains: np.ndarray) -> tuple[ViewerModel, Labels, Labels, BoundaryEditor]:
    """A viewer with a grains layer, the boundaries layer and the editor of both."""
    viewer = ViewerModel()
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    painted = ly.add(viewer, ly.grains_layer(grains.astype(np.uint16), placement))
    found = find_boundaries(painted.data, PIXEL)
    layer = ly.add(viewer, ly.boundaries_layer(found, placement, sources=(painted.name,)))
    editor = editor_of(viewer, layer)
    assert editor is not None
    return viewer, painted, layer, editor


def outlines(boundaries: Boundaries) -> dict[int, Faces]:
    """The pixel faces of every boundary, by id."""
    faces = boundaries.faces
    rows = zip(faces.boundary.tolist(), faces.first.tolist(), faces.second.tolist(), strict=True)
    found: dict[int, set[tuple[int, int]]] = {}
    for label, first, second in rows:
        found.setdefault(label, set()).add((first, second))
    return {label: frozenset(pairs) for label, pairs in found.items()}


def same_table(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    try:
        pd.testing.assert_frame_equal(one, other)
    except AssertionError:
        return False
    return True


# --- single steps -----------------------------------------------------------------------------


@pytest.mark.usefixtures("qapp")
def test_split_is_one_step_that_restores_everything() -> None:
    _, painted, layer, editor = document(grains_of_three())
    before, drawn = editor.boundaries, painted.data.copy()
    assert editor.apply(split_grain(drawn, [(0, 7), (23, 7)]), "Split grain 1")
    assert sorted(np.unique(painted.data)) == [1, 2, 3, 4]
    assert editor.undo_text == "Split grain 1"
    assert set(layer.features["index"]) == {0, 1, 2, 3, 4}
    editor.undo()
    assert np.array_equal(painted.data, drawn)
    assert same_table(editor.boundaries.table, before.table)
    assert np.array_equal(layer.data, before.labels)
    assert (editor.undo_text, editor.redo_text) == ("", "Split grain 1")
    editor.redo()
    assert sorted(np.unique(painted.data)) == [1, 2, 3, 4]


@pytest.mark.usefixtures("qapp")
def test_state_and_note_are_steps_of_their_own() -> None:
    _, _, _, editor = document(grains_of_three())
    editor.set_state([1, 2], "exclude")
    editor.set_note(1, "crack?")
    table = editor.boundaries.table
    assert list(table["state"]) == ["exclude", "exclude", "use"]
    assert table["notes"][1] == "crack?"
    editor.undo()
    assert editor.boundaries.table["notes"][1] == ""
    assert editor.boundaries.table["state"][1] == "exclude"
    editor.undo()
    assert list(editor.boundaries.table["state"]) == ["use"] * 3


@pytest.mark.usefixtures("qapp")
def test_stroke_of_the_brush_is_followed_and_undone() -> None:
    _, painted, layer, editor = document(grains_of_three())
    drawn = painted.data.copy()
    painted.brush_size = 5
    painted.paint((6, 15), 2)
    assert len(painted.data[painted.data != drawn])
    editor.flush()
    assert outlines(editor.boundaries).keys() == outlines(find_boundaries(drawn, PIXEL)).keys()
    assert np.array_equal(layer.data, editor.boundaries.labels)
    assert np.array_equal(editor.boundaries.drawn, painted.data)
    editor.undo()
    assert np.array_equal(painted.data, drawn)


@pytest.mark.usefixtures("qapp")
def test_stroke_is_followed_without_being_asked(qtbot: Any) -> None:
    _, painted, _, editor = document(grains_of_three())
    with qtbot.waitSignal(editor.changed, timeout=5000):
        painted.paint((6, 15), 2)
    assert np.array_equal(editor.boundaries.drawn, painted.data)


@pytest.mark.usefixtures("qapp")
def test_undo_of_napari_itself_is_followed() -> None:
    _, painted, _, editor = document(grains_of_three())
    drawn = painted.data.copy()
    painted.paint((6, 15), 2)
    editor.flush()
    painted.undo()  # not through the dock
    editor.flush()
    assert np.array_equal(editor.boundaries.drawn, drawn)


@pytest.mark.usefixtures("qapp")
@pytest.mark.parametrize("by", ["brush", "tool"])
def test_locked_boundary_is_left_alone(by: str) -> None:
    _, painted, _, editor = document(grains_of_three())
    drawn = painted.data.copy()
    said: list[str] = []
    editor.refused.connect(said.append)
    editor.set_state(1, "locked")
    if by == "brush":
        painted.paint((6, 15), 1)
        editor.flush()
    else:
        assert not editor.apply(merge_grains(drawn, [1, 2]), "Merge")
    assert np.array_equal(painted.data, drawn)
    assert np.array_equal(editor.boundaries.drawn, drawn)
    assert len(said) == 1
    assert "boundary 1" in said[0]
    assert "locked" in said[0]
    assert editor.undo_text == "Lock boundary 1"


@pytest.mark.usefixtures("qapp")
def test_erasing_every_grain_is_taken_back() -> None:
    _, painted, _, editor = document(grains_of_three())
    said: list[str] = []
    editor.refused.connect(said.append)
    size = painted.data.size
    nothing = PixelEdit(np.arange(size, dtype=np.int64), np.zeros(size, np.int32))
    assert not editor.apply(nothing, "Erase all")
    assert painted.data.all()
    assert said


@pytest.mark.usefixtures("qapp")
def test_changed_boundaries_lose_their_permeability_until_undo() -> None:
    _, painted, layer, editor = document(grains_of_three())
    shared = layer.metadata[ly.OBJECT]
    shared["fit"] = fit_of(editor.boundaries)
    layer.metadata = dict(layer.metadata)
    assert editor.stale == frozenset()
    painted.paint((2, 15), 2)  # far from the junction at row 12
    editor.flush()
    assert editor.stale == {1}
    k = layer.features["k_m_per_s"]
    assert np.isnan(k[1])
    assert np.isfinite(k[[2, 3]]).all()
    editor.undo()
    assert editor.stale == frozenset()
    assert np.isfinite(layer.features["k_m_per_s"][[1, 2, 3]]).all()


@pytest.mark.usefixtures("qapp")
def test_boundaries_without_their_grains_say_so() -> None:
    viewer, painted, _, editor = document(grains_of_three())
    edit = merge_grains(painted.data, [1, 2])
    viewer.layers.remove(painted)
    said: list[str] = []
    editor.refused.connect(said.append)
    assert not editor.apply(edit, "Merge")
    assert said
    assert "gone" in said[0]


@pytest.mark.usefixtures("qapp")
def test_every_caller_gets_the_same_editor() -> None:
    viewer, painted, layer, editor = document(grains_of_three())
    assert editor_of(viewer, layer) is editor
    assert editor_of(viewer, painted) is None
    viewer.layers.remove(layer)
    assert editor_of(viewer, layer) is None


@pytest.mark.usefixtures("qapp")
def test_an_id_that_was_given_is_never_given_again() -> None:
    _, painted, _, editor = document(grains_of_three())
    assert editor.apply(split_grain(painted.data, [(0, 7), (23, 7)]), "Split")
    assert set(editor.boundaries.table.index) == {1, 2, 3, 4}
    editor.undo()
    assert editor.apply(split_grain(painted.data, [(0, 4), (23, 4)]), "Split")
    assert set(editor.boundaries.table.index) == {1, 2, 3, 5}
    editor.undo()
    assert editor.apply(split_grain(painted.data, [(0, 7), (23, 7)]), "Split")
    assert set(editor.boundaries.table.index) == {1, 2, 3, 6}


@pytest.mark.usefixtures("qapp")
def test_an_id_that_has_a_result_is_not_given_to_another_boundary() -> None:
    viewer, painted, layer, editor = document(grains_of_three())
    assert editor.apply(split_grain(painted.data, [(0, 7), (23, 7)]), "Split")
    layer.metadata[ly.OBJECT]["fit"] = fit_of(editor.boundaries)
    layer.metadata = dict(layer.metadata)
    editor.undo()
    reopened = layers_of(session_of_viewer(viewer))
    again = ViewerModel()
    for layer_data in reopened:
        again.add_layer(ly.made(layer_data))
    other = editor_of(again, again.layers[layer.name])
    assert other is not None
    assert other.stale == {4}
    assert other.apply(split_grain(painted.data, [(0, 4), (23, 4)]), "Split")
    assert set(other.boundaries.table.index) == {1, 2, 3, 5}


@pytest.mark.usefixtures("qapp")
def test_what_no_longer_holds_is_still_known_after_other_changes_and_in_a_session() -> None:
    viewer, painted, layer, editor = document(grains_of_three())
    layer.metadata[ly.OBJECT]["fit"] = fit_of(editor.boundaries)
    layer.metadata = dict(layer.metadata)
    painted.paint((2, 15), 2)
    editor.flush()
    assert editor.stale == {1}
    layer.metadata = dict(layer.metadata)  # as by a choice of colours
    assert editor.stale == {1}
    again = ViewerModel()
    for layer_data in layers_of(session_of_viewer(viewer)):
        again.add_layer(ly.made(layer_data))
    other = editor_of(again, again.layers[layer.name])
    assert other is not None
    assert other.stale == {1}
    assert again.layers[layer.name].metadata[ly.OBJECT]["stale"] == {1}


@pytest.mark.usefixtures("qapp")
def test_a_fit_of_boundaries_as_they_were_does_not_bring_their_pixels_back() -> None:
    viewer, painted, layer, editor = document(grains_of_three())
    fitted = editor.boundaries
    assert editor.apply(split_grain(painted.data, [(0, 7), (23, 7)]), "Split")
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    for layer_data in ly.fit_layers(fit_of(fitted), fitted, placement):
        ly.show(viewer, layer_data)
    assert editor_of(viewer, layer) is editor
    assert np.array_equal(layer.data, editor.boundaries.labels)
    assert 4 in layer.data
    editor.undo()
    assert np.array_equal(layer.data, fitted.labels)


@pytest.mark.usefixtures("qapp")
def test_an_editor_goes_with_its_viewer() -> None:
    viewer, painted, layer, editor = document(grains_of_three())
    painted.paint((2, 15), 2)
    editor.flush()
    tools_of(editor)
    gone = [weakref.ref(one) for one in (viewer, layer, editor)]
    del viewer, painted, layer, editor
    gc.collect()
    assert [one() for one in gone] == [None] * 3


# --- any sequence of edits --------------------------------------------------------------------


class Editing(RuleBasedStateMachine):
    """Random edits against a model that keeps whole copies of every state."""

    def __init__(self) -> None:
        super().__init__()
        rng = np.random.default_rng(3)
        y, x = np.indices((20, 24))
        seeds = rng.uniform(0, 1, (6, 2)) * (20, 24)
        away = [(y - a) ** 2 + (x - b) ** 2 for a, b in seeds]
        grains = (np.argmin(away, axis=0) + 1).astype(np.uint16)
        _, self.painted, self.layer, self.editor = document(grains)
        self.past: list[tuple[np.ndarray, pd.DataFrame]] = []
        self.future: list[tuple[np.ndarray, pd.DataFrame]] = []
        self.ever: set[int] = set(self.editor.boundaries.table.index)

    def state(self) -> tuple[np.ndarray, pd.DataFrame]:
        return self.painted.data.copy(), self.editor.boundaries.table.copy()

    def edited(self, before: tuple[np.ndarray, pd.DataFrame], outline: dict[int, Faces]) -> None:
        """Note what an edit did; boundaries that did not move keep id and state."""
        same = np.array_equal(before[0], self.painted.data)
        table = self.editor.boundaries.table
        if same and same_table(before[1], table):
            return
        self.past.append(before)
        self.future.clear()
        if same:
            return
        now = outlines(self.editor.boundaries)
        for label, faces in outline.items():
            if faces in now.values():
                assert now[label] == faces
                assert table["state"][label] == before[1]["state"][label]
        new = set(table.index) - set(before[1].index)
        assert not new & self.ever  # nor one that an undone edit had given
        self.ever |= new

    def apply(self, edit: PixelEdit) -> None:
        before, outline = self.state(), outlines(self.editor.boundaries)
        self.editor.apply(edit, "edit")
        self.edited(before, outline)

    @rule(ends=st.tuples(*[st.integers(0, 19), st.integers(0, 23)] * 2))
    def split(self, ends: tuple[int, int, int, int]) -> None:
        path = np.array([ends[:2], ends[2:]], dtype=float)
        try:
            edit = split_grain(self.painted.data, path)
        except ValueError:
            return  # the line crosses no grain
        self.apply(edit)

    @rule(pick=st.integers(0, 1000))
    def erase(self, pick: int) -> None:
        ids = list(outlines(self.editor.boundaries))
        if len(np.unique(self.painted.data)) > 2 and ids:
            self.apply(erase_boundaries(self.editor.boundaries, [ids[pick % len(ids)]]))

    @rule(place=st.tuples(st.integers(0, 19), st.integers(0, 23)), label=st.integers(0, 8))
    def paint(self, place: tuple[int, int], label: int) -> None:
        before, outline = self.state(), outlines(self.editor.boundaries)
        self.painted.brush_size = 4
        self.painted.paint(place, label)
        self.editor.flush()
        self.edited(before, outline)

    @rule(place=st.tuples(st.integers(0, 19), st.integers(0, 23)), label=st.integers(1, 8))
    def fill(self, place: tuple[int, int], label: int) -> None:
        before, outline = self.state(), outlines(self.editor.boundaries)
        self.painted.fill(place, label)
        self.editor.flush()
        self.edited(before, outline)

    @rule()
    def close_holes(self) -> None:
        self.apply(fill_holes(self.painted.data, 1e-10, PIXEL))

    @rule(pick=st.integers(0, 1000), state=st.sampled_from(["use", "exclude", "locked"]))
    def mark(self, pick: int, state: Any) -> None:
        before, outline = self.state(), outlines(self.editor.boundaries)
        if outline:
            self.editor.set_state([list(outline)[pick % len(outline)]], state)
            self.edited(before, outline)

    @rule(pick=st.integers(0, 1000), text=st.text(max_size=5))
    def note(self, pick: int, text: str) -> None:
        before, outline = self.state(), outlines(self.editor.boundaries)
        if outline:
            self.editor.set_note(list(outline)[pick % len(outline)], text)
            self.edited(before, outline)

    @precondition(lambda self: self.past)
    @rule()
    def undo(self) -> None:
        self.future.append(self.state())
        drawn, table = self.past.pop()
        self.editor.undo()
        assert np.array_equal(self.painted.data, drawn)
        assert same_table(self.editor.boundaries.table, table)

    @precondition(lambda self: self.future)
    @rule()
    def redo(self) -> None:
        self.past.append(self.state())
        drawn, table = self.future.pop()
        self.editor.redo()
        assert np.array_equal(self.painted.data, drawn)
        assert same_table(self.editor.boundaries.table, table)

    @invariant()
    def consistent(self) -> None:
        boundaries = self.editor.boundaries
        assert np.array_equal(boundaries.drawn, self.painted.data)
        assert np.array_equal(boundaries.labels, self.layer.data)
        fresh = find_boundaries(self.painted.data, PIXEL)
        assert set(outlines(boundaries).values()) == set(outlines(fresh).values())
        there = boundaries.table["state"] != "removed"
        assert set(boundaries.table.index[there]) == set(outlines(boundaries))
        assert bool(self.past) == bool(self.editor.undo_text)
        assert bool(self.future) == bool(self.editor.redo_text)


@pytest.mark.usefixtures("qapp")
def test_any_sequence_of_edits_keeps_grains_and_boundaries_consistent() -> None:
    from hypothesis.stateful import run_state_machine_as_test

    run_state_machine_as_test(
        Editing,
        settings=settings(
            max_examples=20,  # times 50 steps: a thousand edits
            stateful_step_count=50,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
