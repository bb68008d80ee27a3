"""Boundaries after an edit of the grains: what changed, and only that.

An edit of a few pixels changes a few boundaries. `find_patch` works out which, with
what follows from it, and `Patch.apply` puts it into the boundaries of the map; ids,
states and notes of all others stay. A patch can be turned around, which is undo.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_liso.microstructure.boundaries import MOST_IDS, Boundaries, describe
from napari_liso.microstructure.faces import (
    Faces,
    Traced,
    corners_of,
    splice_faces,
    take_faces,
    trace_faces,
)
from napari_liso.microstructure.junctions import meeting_pairs, tuples_of
from napari_liso.microstructure.lines import bridge_lines, reach_of_lines
from napari_liso.microstructure.matching import Match, match_pieces
from napari_liso.microstructure.ownership import owners_of, rescue
from napari_liso.microstructure.patch import Patch, Pixels, with_types_of

__all__ = ["Patch", "find_patch", "renumber"]

Ints = NDArray[np.int64]
Box = tuple[slice, slice]


def find_patch(
    before: Boundaries, drawn: ArrayLike, *, box: Box | None = None, above: int = 0
) -> Patch | None:
    """Find what other grains change in the boundaries.

    ``find_patch(b, drawn).apply(b)`` has the faces, lengths and normals of
    ``find_boundaries(drawn, b.pixel_size)``, but the ids survive: a boundary is
    recognised by its faces, whatever the labels of its grains. One that did not
    move keeps id, state and notes; one that changed keeps the id of the old one
    that it shares most faces with or, if it shares none, that of the only old
    one between the same grains; another one gets the next id above all that are
    in the table, and the state of the one that it was cut from; one that is
    gone stays as a row with state "removed" and no faces.

    Parameters
    ----------
    before
        Boundaries of the grains before.
    drawn
        Labels (y, x) after, as for `find_boundaries`.
    box
        Rows and columns outside of which `drawn` is the same as before; it is
        not looked at there. None: everywhere.
    above
        New ids are higher than this, too: such as the highest that an edit had given which
        was taken back.

    Returns
    -------
    Patch or None
        None if `drawn` is what it was.

    Raises
    ------
    ValueError
        If `drawn` is no label image of the same shape, if no grain is left, or
        if there are no ids left (65535; `renumber` frees those of removed ones).
    """
    pixels, dtype = _compare(before.drawn, np.asarray(drawn), box)
    if len(pixels) == 0:
        return None
    grains = _bridge(before, pixels)
    old, traced = _retrace(before, grains)
    match = match_pieces(old, before.table, traced, max(_last_id(before), above) + 1)
    if match.ids.max(initial=0) > MOST_IDS:
        raise ValueError(
            f"ids of boundaries end at {MOST_IDS} and this edit needs {match.ids.max()}: "
            "Renumber first, which frees the ids of removed boundaries"
        )
    # What is the same but for the labels of its grains counts as renamed.
    pair = before.table[["grain_a", "grain_b"]].reindex(match.ids).to_numpy()
    other_pair = (pair != traced.pairs).any(axis=1)
    touched = ~match.same | other_pair
    old = take_faces(old, ~np.isin(old.boundary, match.ids[~touched]))
    new = _with_ids(traced.faces, match.ids, touched)
    rows = _rows(before, traced, match, touched)
    faces = splice_faces(before.faces, old, new)
    rows = _with_neighbours(before, faces, old, new, rows)
    ids = match.ids
    return Patch(
        changed=np.sort(ids[~match.is_new & ~match.same]),
        added=np.sort(ids[match.is_new]),
        removed=match.lost,
        renamed=np.sort(ids[match.same & other_pair]),
        drawn=pixels,
        grains=grains,
        labels=_repaint(before, faces, old, new, rows),
        drawn_types=(before.drawn.dtype, dtype),
        faces=(old, new),
        rows=rows,
    )


def renumber(boundaries: Boundaries) -> tuple[Boundaries, dict[int, int]]:
    """Drop the rows of removed boundaries and number the others 1..N in their order.

    Returns
    -------
    boundaries
        With new ids everywhere.
    ids
        New id of each old one that is still there. Results kept by id must be
        carried over with it.
    """
    table = boundaries.table
    there = np.isin(table.index, boundaries.faces.boundary)
    kept = table[there | (table["state"] != "removed").to_numpy()].copy()
    new_id = np.zeros(_last_id(boundaries) + 1, dtype=np.int64)
    new_id[kept.index] = np.arange(1, len(kept) + 1)
    ids = dict(zip(kept.index.tolist(), range(1, len(kept) + 1), strict=True))
    kept.index = pd.RangeIndex(1, len(kept) + 1, name="id")
    kept["neighbours"] = _as_objects(
        [tuple(sorted(ids[j] for j in met if j in ids)) for met in kept["neighbours"]]
    )
    faces = replace(boundaries.faces, boundary=new_id[boundaries.faces.boundary].astype(np.int32))
    labels = new_id.astype(np.uint16)[boundaries.labels]
    return replace(boundaries, table=kept, faces=faces, labels=labels), ids


def _last_id(boundaries: Boundaries) -> int:
    """The highest id that is in the table, 0 without boundaries."""
    return int(boundaries.table.index.max()) if len(boundaries.table) else 0


def _compare(
    before: NDArray[np.integer[Any]], given: NDArray[Any], box: Box | None
) -> tuple[Pixels, np.dtype[Any]]:
    """Pixels whose labels differ, and the data type that the labels have afterwards."""
    if given.shape != before.shape:
        raise ValueError(
            f"the grains are {given.shape} now and were {before.shape}: find the boundaries anew"
        )
    if given.dtype.kind not in "iu":
        raise ValueError(f"grains must hold integer labels, got {given.dtype}")
    ny, nx = before.shape
    rows, columns = (
        range(n)[s] for s, n in zip(box or (slice(None), slice(None)), (ny, nx), strict=True)
    )
    if rows.step != 1 or columns.step != 1:
        raise ValueError("box must be two slices without a step")
    inside = slice(rows.start, rows.stop), slice(columns.start, columns.stop)
    old, new = before[inside], given[inside]
    y, x = np.nonzero(old != new)
    old, new = old[y, x], new[y, x]
    if len(y) and (new.min() < 0 or new.max() > np.iinfo(np.int32).max):
        wrong = new.min() if new.min() < 0 else new.max()
        raise ValueError(f"grain labels must lie between 0 and 2147483647, found {wrong}")
    dtype = before.dtype
    if len(y) and new.max() > np.iinfo(dtype).max:
        dtype = given.dtype  # a common type of signed and unsigned ones may be a float
    index = (y + rows.start) * nx + (x + columns.start)
    return Pixels(index.astype(np.int64), old, new.astype(dtype)), dtype


def _bridge(before: Boundaries, drawn: Pixels) -> Pixels:
    """Pixels of the grains, lines bridged, that differ."""
    ny, nx = before.grains.shape
    reach = reach_of_lines(before.pixel_size)
    y, x = np.divmod(drawn.index, nx)
    core = _around(y, x, reach, (ny, nx))
    window = _around(y, x, 2 * reach, (ny, nx))
    top, left = window[0].start, window[1].start
    labels = before.drawn[window].astype(np.int32)
    labels[y - top, x - left] = drawn.after
    if not labels.any() and not _other_grain(before, window):
        raise ValueError("there would be no grain left: every pixel of the label image is 0")
    bridged = bridge_lines(labels, before.pixel_size)
    inner = tuple(
        slice(c.start - w.start, c.stop - w.start) for c, w in zip(core, window, strict=True)
    )
    old, new = before.grains[core], bridged[inner]
    v, u = np.nonzero(old != new)
    index = (v + core[0].start) * nx + (u + core[1].start)
    return Pixels(index.astype(np.int64), old[v, u], new[v, u])


def _around(y: Ints, x: Ints, pad: int, shape: tuple[int, int]) -> Box:
    """Box of pixels with `pad` around them, inside the image."""
    rows, columns = (
        slice(max(int(at.min()) - pad, 0), min(int(at.max()) + pad + 1, n))
        for at, n in zip((y, x), shape, strict=True)
    )
    return rows, columns


def _other_grain(before: Boundaries, window: Box) -> bool:
    """Whether there is a grain outside of the window."""
    outside = before.drawn > 0
    outside[window] = False
    return bool(outside.any())


def _retrace(before: Boundaries, grains: Pixels) -> tuple[Faces, Traced]:
    """Boundaries that the changed pixels touch by a corner: faces before, traced anew after.

    A boundary hangs together by corners of pixels, so no other can change.
    """
    faces = before.faces
    ny, nx = before.grains.shape
    touched = np.zeros(_last_id(before) + 1, dtype=bool)
    touched[faces.boundary[_at_corners(faces, grains.index, nx)]] = True
    old = take_faces(faces, touched[faces.boundary])
    keep = ~(_among(old.first, grains.index) | _among(old.second, grains.index))
    first, axis = _faces_at(before, grains)
    first = np.concatenate([old.first[keep], first])
    axis = np.concatenate([old.axis[keep], axis])
    order = np.lexsort((first, axis))
    first, axis = first[order], axis[order]
    second = first + np.where(axis == 0, nx, 1)
    labels = _labels_after(before, grains, first), _labels_after(before, grains, second)
    return old, trace_faces(first, axis, labels, (ny, nx), before.pixel_size)


def _at_corners(faces: Faces, pixels: Ints, nx: int) -> Ints:
    """Faces (their indices) with an end at a corner of some of the pixels."""
    if len(pixels) == 0:
        return np.zeros(0, dtype=np.int64)
    y, x = np.divmod(pixels, nx)
    top = int(y.min())
    marked = np.zeros((int(y.max()) - top + 4, nx + 1), dtype=bool)
    for dy in (1, 2):
        for dx in (0, 1):
            marked[y - top + dy, x + dx] = True
    near = (faces.first >= (top - 1) * nx) & (faces.first < (int(y.max()) + 2) * nx)
    found = np.flatnonzero(near)
    start, end = corners_of(faces.first[found], faces.axis[found], nx)
    flat, offset = marked.ravel(), (top - 1) * (nx + 1)
    return found[flat[start - offset] | flat[end - offset]]


def _among(pixels: Ints, some: Ints) -> NDArray[np.bool_]:
    """Whether each pixel is among some (sorted) others."""
    if len(some) == 0:
        return np.zeros(len(pixels), dtype=bool)
    place = np.minimum(np.searchsorted(some, pixels), len(some) - 1)
    return some[place] == pixels


def _labels_after(before: Boundaries, grains: Pixels, pixels: Ints) -> NDArray[np.int32]:
    """Grains of some pixels after the change."""
    labels = before.grains.ravel()[pixels]
    other = _among(pixels, grains.index)
    labels[other] = grains.after[np.searchsorted(grains.index, pixels[other])]
    return labels


def _faces_at(before: Boundaries, grains: Pixels) -> tuple[Ints, NDArray[np.int8]]:
    """All faces (first, axis) of the changed pixels, after the change."""
    ny, nx = before.grains.shape
    pixels = grains.index
    y, x = np.divmod(pixels, nx)
    down = np.concatenate([pixels[y < ny - 1], pixels[y > 0] - nx])
    right = np.concatenate([pixels[x < nx - 1], pixels[x > 0] - 1])
    firsts, axes = [], []
    for axis, step, first in ((0, nx, np.unique(down)), (1, 1, np.unique(right))):
        here = _labels_after(before, grains, first)
        there = _labels_after(before, grains, first + step)
        first = first[(here != there) & (here > 0) & (there > 0)]
        firsts.append(first)
        axes.append(np.full(len(first), axis, dtype=np.int8))
    return np.concatenate(firsts), np.concatenate(axes)


def _with_ids(faces: Faces, ids: Ints, which: NDArray[np.bool_]) -> Faces:
    """Faces of some pieces, sorted by their ids."""
    mine = np.flatnonzero(which[faces.boundary - 1])
    boundary = ids[faces.boundary[mine] - 1].astype(np.int32)
    order = np.argsort(boundary, kind="stable")
    return replace(take_faces(faces, mine[order]), boundary=boundary[order])


def _rows(
    before: Boundaries, traced: Traced, match: Match, touched: NDArray[np.bool_]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of the table that differ, before and after."""
    table = before.table
    old_ids = np.sort(np.concatenate([match.ids[touched & ~match.is_new], match.lost]))
    old = table.loc[old_ids]
    new = describe(traced, before.pixel_size)
    new.index = pd.Index(match.ids, name="id")
    known = match.ids[~match.is_new]
    new.loc[known, ["state", "notes"]] = table.loc[known, ["state", "notes"]]
    states = table["state"]
    for i, parent in zip(match.ids[match.is_new], match.parent[match.is_new], strict=True):
        if parent and states[parent] != "removed":
            new.loc[i, "state"] = states[parent]
    gone = table.loc[match.lost].copy()
    gone["state"] = "removed"
    gone["length"] = 0.0
    gone[["normal_y", "normal_x", "normal_spread", "curvature"]] = np.nan
    gone["touches_edge"] = False
    gone["neighbours"] = _as_objects([()] * len(gone))
    new = pd.concat([new[touched], gone])
    return old, with_types_of(new.sort_index(), table)


def _as_objects(values: list[Any]) -> NDArray[np.object_]:
    """One-dimensional array of objects, even if they are tuples."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _with_neighbours(
    before: Boundaries,
    faces: Faces,
    old: Faces,
    new: Faces,
    rows: tuple[pd.DataFrame, pd.DataFrame],
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows with the neighbours of the new boundaries, and rows of those that they meet."""
    nx = before.grains.shape[1]
    corners = np.unique(
        np.concatenate([c for side in (old, new) for c in corners_of(side.first, side.axis, nx)])
    )
    pairs = meeting_pairs(_faces_near(faces, old, new, nx), nx, corners)
    mine = np.unique(new.boundary)
    was, now = rows
    here = now.index.isin(mine)
    now.loc[here, "neighbours"] = tuples_of(pairs, now.index[here].to_numpy())
    # The others keep their neighbours but for those of the patch.
    gone = set(old.boundary.tolist()) | set(mine.tolist())
    met = pairs[np.isin(pairs[:, 0], mine)]
    lost_by = [j for ids in was["neighbours"] for j in ids]
    others = np.setdiff1d(np.union1d(met[:, 1], np.array(lost_by, dtype=np.int64)), list(gone))
    others = others[~np.isin(others, now.index)]
    theirs = before.table.loc[others]
    met = met[np.lexsort((met[:, 0], met[:, 1]))][:, ::-1]
    added = tuples_of(met, others)
    after = _as_objects(
        [
            tuple(sorted({*had} - gone | {*more}))
            for had, more in zip(theirs["neighbours"], added, strict=True)
        ]
    )
    differ = np.array(
        [a != b for a, b in zip(theirs["neighbours"], after, strict=True)], dtype=bool
    )
    theirs = theirs[differ]
    changed = theirs.assign(neighbours=after[differ])
    return pd.concat([was, theirs]).sort_index(), pd.concat([now, changed]).sort_index()


def _faces_near(faces: Faces, old: Faces, new: Faces, nx: int) -> Faces:
    """Faces in the rows of some others, and one more row on both sides."""
    first = np.concatenate([old.first, new.first])
    if len(first) == 0:
        return new
    top, bottom = int(first.min()) // nx - 1, int(first.max()) // nx + 2
    return take_faces(faces, (faces.first >= top * nx) & (faces.first < (bottom + 1) * nx))


def _repaint(
    before: Boundaries,
    faces: Faces,
    old: Faces,
    new: Faces,
    rows: tuple[pd.DataFrame, pd.DataFrame],
) -> Pixels:
    """Pixels of the label image of the boundaries that differ."""
    shape = before.labels.shape
    pixels = np.unique(np.concatenate([old.first, old.second, new.first, new.second]))
    length = np.zeros(max(_last_id(before), int(rows[1].index.max()) if len(rows[1]) else 0) + 1)
    length[before.table.index] = before.table["length"]
    length[rows[1].index] = rows[1]["length"]
    here = np.zeros(shape[0] * shape[1], dtype=bool)
    here[pixels] = True
    first, second = here[faces.first], here[faces.second]
    boundary = np.concatenate([faces.boundary[first], faces.boundary[second]])
    touching = np.concatenate([faces.first[first], faces.second[second]])
    owned, owners = owners_of(touching, boundary, length[boundary])
    labels = before.labels.ravel().copy()
    labels[pixels] = 0
    labels[owned] = owners
    moved = rescue(labels, faces.first, faces.second, faces.boundary)
    if moved:
        pixels = np.union1d(pixels, np.array(moved, dtype=np.int64))
    was, now = before.labels.ravel()[pixels], labels[pixels]
    other = was != now
    return Pixels(pixels[other], was[other], now[other])
