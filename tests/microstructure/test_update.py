"""Boundaries after edits: the same as found anew, with ids that survive, and back again."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.microstructure.update import find_patch

ARRAYS = ("grains", "drawn", "labels")


def assert_identical(one: Boundaries, two: Boundaries) -> None:
    for name in ARRAYS:
        a, b = getattr(one, name), getattr(two, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    for name, a in vars(one.faces).items():
        b = getattr(two.faces, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)
    pd.testing.assert_frame_equal(one.table, two.table, check_index_type=True)
    assert one.pixel_size == two.pixel_size


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


@settings(max_examples=150, deadline=None)
@given(label_images(), st.integers(0, 2**32), st.sampled_from([1.0, (1.0, 0.5), (1e-6, 1.3e-6)]))
def test_a_chain_of_edits_gives_what_is_found_anew_and_can_be_undone(grains, seed, pixel):
    rng = np.random.default_rng(seed)
    b = find_boundaries(grains, pixel)
    states = rng.choice(["use", "exclude", "locked"], len(b)).astype(str)
    for i, state in zip(b.table.index, states, strict=True):
        b = b.with_state(i, state)
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


def faces_of(b: Boundaries) -> dict[int, frozenset[tuple[int, int]]]:
    faces: dict[int, set[tuple[int, int]]] = {}
    columns = (b.faces.boundary, b.faces.first, b.faces.axis)
    for i, f, a in zip(*(c.tolist() for c in columns), strict=True):
        faces.setdefault(i, set()).add((f, a))
    return {i: frozenset(f) for i, f in faces.items()}


def assert_ids(before: Boundaries, after: Boundaries, patch, ever: set[int]) -> None:
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
            assert after.table.at[i, "state"] == before.table.at[i, "state"]
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
