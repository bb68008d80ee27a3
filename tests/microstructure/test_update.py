"""Boundaries after edits: the same as found anew, with ids that survive, and back again."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from alike import assert_identical, columns
from hypothesis import given, settings
from hypothesis import strategies as st

import napari_liso as liso
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.profiles import boundary_steps, distance_to_boundaries
from napari_liso.microstructure.update import Patch, find_patch, renumber
from napari_liso.simulation import voronoi_grains


def by_face(b: Boundaries) -> pd.DataFrame:
    """Everything about each face but the id, in an order that does not depend on ids."""
    columns = [c for c in b.table if c not in ("state", "notes", "neighbours")]
    rows = b.table.loc[b.faces.boundary, columns].reset_index(drop=True)
    own = pd.DataFrame(vars(b.faces)).drop(columns="boundary").add_prefix("face_")
    first = pd.Series(b.faces.boundary).groupby(b.faces.boundary).transform("idxmin")
    lead = own[["face_first", "face_axis"]].loc[first].reset_index(drop=True).add_suffix("_lead")
    return (
        pd.concat([rows, own, lead], axis=1)
        .sort_values(["face_axis", "face_first"])
        .reset_index(drop=True)
    )


def neighbours_by_faces(b: Boundaries) -> dict[tuple[int, int], set[tuple[int, int]]]:
    """Neighbours of each boundary, where a boundary is named by its first face."""
    _, lead = np.unique(b.faces.boundary, return_index=True)
    name = {int(b.faces.boundary[k]): (int(b.faces.first[k]), int(b.faces.axis[k])) for k in lead}
    met = b.table.loc[list(name), "neighbours"]
    assert all(list(ids) == sorted(set(ids)) for ids in b.table["neighbours"])
    return {name[i]: {name[j] for j in ids} for i, ids in met.items()}


def assert_as_found_anew(b: Boundaries) -> None:
    fresh = find_boundaries(b.drawn, b.pixel_size)
    np.testing.assert_array_equal(b.grains, fresh.grains)
    pd.testing.assert_frame_equal(by_face(b), by_face(fresh), check_exact=True)
    assert neighbours_by_faces(b) == neighbours_by_faces(fresh)
    there = b.table.index.isin(b.faces.boundary)
    assert there.sum() == len(fresh)
    gone = b.table[~there]
    assert (gone["state"] == "removed").all()
    assert (gone["length"] == 0).all()
    touching: dict[int, set[int]] = {}
    for pixels in (b.faces.first, b.faces.second):
        for p, i in zip(pixels.tolist(), b.faces.boundary.tolist(), strict=True):
            touching.setdefault(p, set()).add(i)
    shown = b.labels.ravel()
    assert set(np.flatnonzero(shown).tolist()) == set(touching)
    assert all(int(shown[p]) in ids for p, ids in touching.items())
    assert len(np.unique(shown)) == len(np.unique(fresh.labels))


@st.composite
def label_images(draw: st.DrawFn) -> np.ndarray:
    ny, nx = draw(st.integers(1, 24)), draw(st.integers(2, 24))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    block = draw(st.sampled_from([1, 2, 4, 8]))
    small = rng.integers(0, draw(st.integers(2, 8)), (ny // block + 1, nx // block + 1))
    grains = small.repeat(block, 0).repeat(block, 1)[:ny, :nx]
    grains[0, 0] = 1
    return grains.astype(draw(st.sampled_from([np.int32, np.uint16, np.uint8, np.int64])))


def edit(rng: np.random.Generator, drawn: np.ndarray) -> np.ndarray:
    """One random edit of a label image."""
    new = drawn.copy()
    ny, nx = drawn.shape
    y, x = np.mgrid[:ny, :nx]
    cy, cx = rng.integers(ny), rng.integers(nx)
    kind = rng.choice(["blob", "line", "relabel", "merge", "pixel", "erase", "split"])
    some = int(rng.choice(drawn.ravel()))
    if kind == "blob":
        new[(y - cy) ** 2 + (x - cx) ** 2 <= rng.integers(1, 30)] = rng.integers(0, 9)
    elif kind == "line":
        slope = rng.choice([-1, 0, 1])
        new[(y - cy == slope * (x - cx)) & (np.abs(x - cx) < rng.integers(1, nx + 1))] = 0
    elif kind == "relabel":
        new[drawn == some] = rng.integers(1, 200)
    elif kind == "merge":
        new[drawn == some] = rng.choice(drawn.ravel())
    elif kind == "pixel":
        new[cy, cx] = rng.integers(0, 9)
    elif kind == "erase":
        new[max(cy - 2, 0) : cy + 2, max(cx - 2, 0) : cx + 2] = 0
    else:
        new[(drawn == some) & (x >= cx)] = int(drawn.max()) % 200 + 1
    if not new.any():
        new[0, 0] = 1
    return new


@settings(max_examples=25, deadline=None)
@given(label_images(), st.integers(0, 2**32), st.sampled_from([1.0, (1.0, 0.5), (1e-6, 1.3e-6)]))
def test_a_chain_of_edits_gives_what_is_found_anew_and_can_be_undone(grains, seed, pixel):
    rng = np.random.default_rng(seed)
    b = find_boundaries(grains, pixel)
    states = rng.choice(["use", "exclude", "locked"], len(b)).astype(str)
    for i, state in zip(b.table.index, states, strict=True):
        b = b.with_state(i, state).with_note(i, f"note {i}")
    ever = set(b.table.index)
    undo = []
    for _ in range(5):
        drawn = edit(rng, b.drawn)
        patch = find_patch(b, drawn)
        if patch is None:
            np.testing.assert_array_equal(drawn, b.drawn)
            continue
        after = patch.apply(b)
        np.testing.assert_array_equal(after.drawn, drawn)
        assert after.drawn.dtype == b.drawn.dtype
        assert_as_found_anew(after)
        assert_identical(patch.inverse().apply(after), b)
        assert_identical(patch.inverse().inverse().apply(b), after)
        assert_ids(b, after, patch, ever)
        ever |= set(after.table.index)
        undo.append((b, patch))
        b = after
    for before, patch in reversed(undo):
        b = patch.inverse().apply(b)
        assert_identical(b, before)


@pytest.mark.parametrize("seed", range(5))
def test_local_edits_of_a_larger_map_with_drawn_lines_and_pores(seed):
    """Larger than any window that an update looks at."""
    rng = np.random.default_rng(seed)
    grains = voronoi_grains((150, 170), 30, seed=seed).astype(np.uint16)
    y, x = np.mgrid[:150, :170]
    other = np.zeros(grains.shape, dtype=bool)
    other[:-1] |= grains[:-1] != grains[1:]
    other[:, :-1] |= grains[:, :-1] != grains[:, 1:]
    if seed % 2:
        grains[other] = 0
    for cy, cx, radius in rng.integers(2, (150, 170, 9), (12, 3)):
        grains[np.hypot(y - cy, x - cx) < radius] = 0
    b = find_boundaries(grains, (1e-6, 0.7e-6))
    ever = set(b.table.index)
    for _ in range(5):
        cy, cx = rng.integers(150), rng.integers(170)
        box = (slice(max(cy - 9, 0), cy + 9), slice(max(cx - 12, 0), cx + 12))
        drawn = b.drawn.copy()
        drawn[box] = edit(rng, drawn[box])
        patch = find_patch(b, drawn, box=box)
        if patch is None:
            continue
        after = patch.apply(b)
        assert_as_found_anew(after)
        assert_ids(b, after, patch, ever)
        assert_identical(patch.inverse().apply(after), b)
        ever |= set(after.table.index)
        b = after


def faces_of(b: Boundaries) -> dict[int, frozenset[tuple[int, int]]]:
    faces: dict[int, set[tuple[int, int]]] = {}
    columns = (b.faces.boundary, b.faces.first, b.faces.axis)
    for i, f, a in zip(*(c.tolist() for c in columns), strict=True):
        faces.setdefault(i, set()).add((f, a))
    return {i: frozenset(f) for i, f in faces.items()}


def assert_ids(before: Boundaries, after: Boundaries, patch: Patch, ever: set[int]) -> None:
    """Ids as promised, from sets of faces, one boundary at a time."""
    old, new = faces_of(before), faces_of(after)
    assert after.table.index.is_unique
    assert set(before.table.index) <= set(after.table.index)
    assert not set(patch.added.tolist()) & ever
    assert set(patch.added.tolist()) == new.keys() - old.keys()
    assert set(patch.removed.tolist()) == old.keys() - new.keys()
    both = old.keys() & new.keys()
    assert set(patch.changed.tolist()) == {i for i in both if old[i] != new[i]}
    id_of = {f: i for i, f in old.items()}
    for i, f in new.items():
        if f in id_of:
            assert i == id_of[f]
        if i in old:
            for column in ("state", "notes"):
                assert after.table.at[i, column] == before.table.at[i, column]
        else:
            shared = {j: len(f & g) for j, g in old.items() if f & g}
            if shared:
                best = {
                    before.table.at[j, "state"]
                    for j in shared
                    if shared[j] == max(shared.values())
                }
                assert after.table.at[i, "state"] in best
    # Each old boundary lives on in one that it shares faces with, if there is any
    # that did not get the id of a better one.
    for i in patch.removed.tolist():
        for j, f in new.items():
            assert not (f & old[i]) or j in old


def test_splitting_a_grain_keeps_the_ids_of_boundaries_that_did_not_move():
    b = find_boundaries(columns(6, 6, 6), 1e-6).with_state(2, "locked").with_note(2, "mine")
    drawn = b.drawn.copy()
    drawn[:, 9:12] = 4  # the half of grain 2 next to grain 3
    patch = find_patch(b, drawn)
    assert [patch.changed.size, patch.removed.size] == [0, 0]
    assert patch.added.tolist() == [3]
    assert patch.renamed.tolist() == [2]
    after = patch.apply(b)
    pairs = after.table[["grain_a", "grain_b"]].to_numpy().tolist()
    assert pairs == [[1, 2], [3, 4], [2, 4]]
    assert after.table["state"].tolist() == ["use", "locked", "use"]
    assert after.table["notes"].tolist() == ["", "mine", ""]
    # Grain 3 is now grain_a of boundary 2, so its normal has turned around.
    assert after.table["normal_x"].tolist() == [1, -1, 1]


def test_a_boundary_cut_in_two_lives_on_in_its_longer_part_and_the_other_inherits_its_state():
    b = find_boundaries(columns(6, 6, rows=20), 1.0).with_state(1, "exclude").with_note(1, "old")
    drawn = b.drawn.copy()
    drawn[12:15, 4:8] = 3
    patch = find_patch(b, drawn)
    after = patch.apply(b)
    assert patch.changed.tolist() == [1]
    assert patch.added.tolist() == [2, 3, 4]
    first = after.faces.first[after.faces.boundary == 1] // 12
    assert first.tolist() == list(range(12))
    other = after.table.query("grain_a == 1 and grain_b == 2").drop(1)
    assert other["state"].tolist() == ["exclude"]
    assert after.table["notes"].tolist() == ["old", "", "", ""]
    assert after.table.query("grain_b == 3")["state"].tolist() == ["use", "use"]


def test_two_boundaries_that_become_one_keep_the_id_of_the_longer_and_a_row_of_the_other():
    grains = columns(6, 6, rows=20)
    grains[12:15, 4:8] = 3
    b = find_boundaries(grains, 1.0).with_note(2, "short")
    patch = find_patch(b, columns(6, 6, rows=20))
    assert patch.changed.tolist() == [1]
    assert patch.removed.tolist() == [2, 3, 4]
    after = patch.apply(b)
    assert after.table.at[1, "length"] == pytest.approx(20)
    gone = after.table.loc[[2, 3, 4]]
    assert gone["state"].tolist() == ["removed"] * 3
    assert gone["length"].tolist() == [0] * 3
    assert gone["neighbours"].tolist() == [()] * 3
    assert not gone["touches_edge"].any()
    assert gone[["normal_y", "normal_spread", "curvature"]].isna().all(axis=None)
    assert gone["notes"].tolist() == ["short", "", ""]
    assert gone[["grain_a", "grain_b"]].to_numpy().tolist() == [[1, 2], [1, 3], [2, 3]]
    assert len(after) == 4


def test_a_boundary_that_moved_off_its_faces_keeps_its_id():
    b = find_boundaries(columns(6, 6, 6), 1.0).with_state(1, "exclude")
    patch = find_patch(b, columns(9, 3, 6))
    assert patch.changed.tolist() == [1]
    assert [patch.added.size, patch.removed.size] == [0, 0]
    after = patch.apply(b)
    assert after.table["state"].tolist() == ["exclude", "use"]
    assert set(after.faces.first[after.faces.boundary == 1] % 18) == {8}


def test_ids_of_removed_boundaries_do_not_come_back():
    b = find_boundaries(columns(6, 6, 6), 1.0)
    merged = columns(6, 12)
    b = find_patch(b, merged).apply(b)
    assert b.table["state"].tolist() == ["use", "removed"]
    patch = find_patch(b, columns(6, 6, 6))
    assert patch.added.tolist() == [3]


def test_what_lies_outside_of_the_box_is_not_looked_at():
    b = find_boundaries(columns(6, 6), 1.0)
    drawn = b.drawn.copy()
    drawn[0, 0] = 7
    assert find_patch(b, drawn, box=(slice(4, 8), slice(None))) is None
    drawn[6, 6] = 1
    after = find_patch(b, drawn, box=(slice(4, 8), slice(None))).apply(b)
    assert after.drawn[0, 0] == 1
    assert after.drawn[6, 6] == 1


@pytest.mark.parametrize(
    ("drawn", "message"),
    [
        (columns(6, 7), r"\(8, 13\) now and were \(8, 12\)"),
        (columns(6, 6) * 1.5, "float64"),
        (columns(6, 6) - 2, "found -1"),
        (columns(6, 6) * 0, "no grain left"),
    ],
)
def test_bad_labels(drawn, message):
    b = find_boundaries(columns(6, 6), 1.0)
    with pytest.raises(ValueError, match=message):
        find_patch(b, drawn)


def test_when_the_ids_are_used_up_renumber_helps():
    b = find_boundaries(columns(6, 6), 1.0)
    rows = b.table.iloc[np.zeros(65535, dtype=int)]
    rows.index = pd.RangeIndex(1, 65536, name="id")
    rows.loc[2:, "state"] = "removed"
    full = Boundaries(b.grains, b.drawn, b.pixel_size, b.labels, rows, b.faces)
    drawn = b.drawn.copy()
    drawn[:4, :3] = 3
    with pytest.raises(ValueError, match="65536: Renumber first"):
        find_patch(full, drawn)
    fresh, ids = renumber(full)
    assert ids == {1: 1}
    assert find_patch(fresh, drawn).added.tolist() == [2]


def test_renumber_closes_the_gaps_everywhere():
    b = find_boundaries(columns(4, 4, 4, 4), 1.0).with_state(3, "locked").with_note(3, "x")
    b = find_patch(b, columns(4, 4, 4, 4) - (columns(4, 4, 4, 4) > 1)).apply(b)
    assert b.table["state"].tolist() == ["removed", "use", "locked"]
    fresh, ids = renumber(b)
    assert ids == {2: 1, 3: 2}
    assert fresh.table.index.tolist() == [1, 2]
    assert fresh.table["notes"].tolist() == ["", "x"]
    assert set(np.unique(fresh.labels)) == {0, 1, 2}
    assert_as_found_anew(fresh)
    pd.testing.assert_frame_equal(by_face(fresh), by_face(b))


def test_renumber_names_the_neighbours_anew():
    grains = voronoi_grains((40, 40), 8, seed=1).astype(np.int32)
    b = find_boundaries(grains, 1.0)
    one, two = b.table.loc[4, ["grain_a", "grain_b"]]
    b = find_patch(b, np.where(grains == two, one, grains)).apply(b)
    assert (b.table["state"] == "removed").any()
    fresh, _ = renumber(b)
    assert_as_found_anew(fresh)


def merged_map() -> tuple[Boundaries, Boundaries]:
    """A map in which a grain was split and merged again, and the same map found anew."""
    grains = voronoi_grains((40, 48), 7, seed=5).astype(np.int32)
    wrong = grains.copy()
    wrong[(grains == 1) & (np.arange(48) < np.nonzero(grains == 1)[1].mean())] = 20
    wrong[(grains == 4) & (np.arange(48) < np.nonzero(grains == 4)[1].mean())] = 21
    b = find_boundaries(wrong, 0.5e-6)
    b = find_patch(b, grains).apply(b)
    assert (b.table["state"] == "removed").sum() >= 2
    return b, find_boundaries(grains, 0.5e-6)


def same_ids(b: Boundaries, fresh: Boundaries) -> dict[int, int]:
    """Id in `fresh` of each boundary of `b`."""
    names = {f: i for i, f in faces_of(fresh).items()}
    return {i: names[f] for i, f in faces_of(b).items()}


def test_profiles_do_not_mind_rows_of_removed_boundaries():
    b, fresh = merged_map()
    ids = same_ids(b, fresh)
    rng = np.random.default_rng(0)
    n6, n7 = rng.poisson(20, (2, *b.grains.shape))
    steps = boundary_steps(b, n6, n7)
    pd.testing.assert_frame_equal(
        steps.loc[list(ids)].reset_index(drop=True),
        boundary_steps(fresh, n6, n7).loc[list(ids.values())].reset_index(drop=True),
    )
    gone = steps.drop(list(ids))
    assert (gone[["counts_a", "counts_b"]] == 0).all(axis=None)
    for one, two in zip(distance_to_boundaries(b), distance_to_boundaries(fresh), strict=True):
        if one.dtype.kind == "f":
            np.testing.assert_array_equal(one, two)


def test_a_fit_does_not_mind_rows_of_removed_boundaries():
    grains = columns(10, 10, 10, rows=12)
    wrong = grains.copy()
    wrong[:5, 3:10] = 4
    b = find_boundaries(wrong, 0.5e-6)
    b = find_patch(b, grains).apply(b)
    fresh, ids = renumber(b)
    assert len(ids) == 2 < len(b)
    experiment = liso.Experiment([liso.Stage(20.0)], source_fraction=0.9)
    counts = liso.simulate(fresh, None, experiment, 2.6e-12, 3e-8, 100.0, seed=3)
    one, two = (
        liso.fit_diffusion(
            counts["6Li"], counts["7Li"], found, experiment=experiment, section="columnar"
        ).table
        for found in (b, fresh)
    )
    assert one.index.tolist() == list(ids)
    assert two.index.tolist() == list(ids.values())
    pd.testing.assert_frame_equal(one.reset_index(drop=True), two.reset_index(drop=True))
