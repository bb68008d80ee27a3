"""Joining grains: merge them, or erase the boundaries between them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse
from scipy.sparse import csgraph

from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.edits import (
    LARGEST_LABEL,
    Collector,
    PixelEdit,
    check_grains,
)
from napari_liso.microstructure.lines import bridge_lines, reach_of_lines
from napari_liso.microstructure.pieces import window_around

__all__ = ["check_ids", "erase_boundaries", "merge_grains"]

Labels = NDArray[np.integer[Any]]
Pixels = NDArray[np.int64]


def merge_grains(grains: ArrayLike, labels: Iterable[int]) -> PixelEdit:
    """Merge grains that touch, in a chain at least, into one; the largest keeps its label.

    Grains with a drawn line of zeros between them touch; the line is filled,
    except where another grain lies at it. Pores stay.

    Parameters
    ----------
    grains
        Labels (y, x).
    labels
        Two or more.

    Returns
    -------
    PixelEdit

    Raises
    ------
    ValueError
        If there are fewer than two, a label does not exist, or they do not
        touch.
    """
    drawn = check_grains(grains)
    wanted = sorted({int(label) for label in labels})
    if len(wanted) < 2:
        raise ValueError("choose at least two grains to merge")
    if wanted[0] <= 0:
        raise ValueError("0 is no grain; use 'fill holes' to close pores")
    pixels = pixels_of(drawn, wanted)
    found, size = np.unique(drawn.ravel()[pixels], return_counts=True)
    missing = sorted(set(wanted) - set(found.tolist()))
    if missing:
        raise ValueError(f"there is no grain {missing[0]}")
    places = np.stack(np.divmod(pixels, drawn.shape[1]), axis=1)
    box = window_around(places, 1 + reach_of_lines((1.0, 1.0)), drawn.shape)
    window = drawn[box]
    bridged = bridge_lines(window, (1.0, 1.0))
    groups = _groups(_contacts(bridged, found), len(found))
    if groups.max() > 0:
        one, other = found[0], found[np.flatnonzero(groups)[0]]
        raise ValueError(f"grains {one} and {other} do not touch; only neighbours can be merged")
    edit = Collector(drawn)
    keep = int(found[size.argmax()])
    edit.put(pixels, keep)
    edit.put_window(box, line_between(window, bridged, found), keep)
    return edit.done()


def erase_boundaries(boundaries: Boundaries, ids: int | Iterable[int]) -> PixelEdit:
    """Merge the grains on both sides of each boundary.

    A chain of boundaries merges all its grains into one. Two grains that touch
    in several places become one even if only one of these boundaries is erased,
    so the others go, too. Drawn zeros between the grains are filled, except
    where another grain lies at them; pores stay. The largest grain of each
    group keeps its label.

    Parameters
    ----------
    boundaries
        Of the map.
    ids
        One or several.

    Returns
    -------
    PixelEdit
        Pixels of `boundaries.drawn`.

    Raises
    ------
    ValueError
        If there is none, or one does not exist (any more).
    """
    wanted = check_ids(boundaries, ids)
    pairs = boundaries.table.loc[wanted, ["grain_a", "grain_b"]].to_numpy(dtype=np.int64)
    found, index = np.unique(pairs, return_inverse=True)
    groups = _groups(index.reshape(pairs.shape), len(found))
    drawn = boundaries.drawn
    pixels = pixels_of(boundaries.grains, found.tolist())
    owner = np.searchsorted(found, boundaries.grains.ravel()[pixels])
    size = np.bincount(owner, drawn.ravel()[pixels] > 0, minlength=len(found))
    edit = Collector(drawn)
    for group in range(int(groups.max()) + 1):
        members = np.flatnonzero(groups == group)
        keep = int(found[members[size[members].argmax()]])
        mine = pixels[np.isin(owner, members)]
        box = window_around(np.stack(np.divmod(mine, drawn.shape[1]), axis=1), 3, drawn.shape)
        edit.put(mine[drawn.ravel()[mine] > 0], keep)
        line = line_between(drawn[box], boundaries.grains[box], found[members])
        edit.put_window(box, line, keep)
    return edit.done()


def check_ids(boundaries: Boundaries, ids: int | Iterable[int]) -> list[int]:
    """Ids as a list, or ValueError if one is unknown or removed."""
    wanted = [int(i) for i in (ids if isinstance(ids, Iterable) else [ids])]
    if not wanted:
        raise ValueError("choose at least one boundary")
    for boundary in wanted:
        if boundary not in boundaries.table.index:
            raise ValueError(f"no boundary {boundary}; {boundaries.known_ids}")
        if boundaries.table.at[boundary, "state"] == "removed":
            raise ValueError(f"boundary {boundary} is removed already")
    return wanted


def pixels_of(labels: Labels, wanted: list[int]) -> Pixels:
    """Flat indices of all pixels of some labels, sorted."""
    if len(wanted) <= 4:
        mask = labels == wanted[0]
        for label in wanted[1:]:
            mask |= labels == label
    else:
        chosen = np.zeros(max(int(labels.max()), *wanted) + 1, dtype=bool)
        chosen[wanted] = True
        mask = chosen[labels]
    return np.flatnonzero(mask)


def _contacts(labels: Labels, wanted: Labels) -> NDArray[np.int64]:
    """Pairs (n, 2) of places in `wanted` (sorted) whose grains share a pixel side."""
    pairs = []
    for here, there in ((labels[:-1], labels[1:]), (labels[:, :-1], labels[:, 1:])):
        place = np.nonzero(here != there)
        pairs.append(np.stack([here[place], there[place]], axis=1))
    both = np.concatenate(pairs)
    both = both[np.isin(both, wanted).all(axis=1)]
    return np.searchsorted(wanted, np.unique(both, axis=0))


def _groups(pairs: NDArray[np.integer[Any]], count: int) -> NDArray[np.int32]:
    """Group 0, 1, ... of each of `count` things of which some pairs hang together."""
    graph = sparse.coo_array(
        (np.ones(len(pairs), dtype=bool), (pairs[:, 0], pairs[:, 1])), shape=(count, count)
    )
    return csgraph.connected_components(graph, directed=False)[1]


def line_between(window: Labels, bridged: Labels, wanted: Labels) -> NDArray[np.bool_]:
    """Pixels of drawn lines that only separate some grains from each other.

    Those with two of the grains within two pixels and no other next to them.
    """
    line = (window == 0) & (bridged > 0)
    y, x = np.nonzero(line)
    between = np.zeros(window.shape, dtype=bool)
    if len(y) == 0:
        return between
    near = np.pad(window, 2)
    place = np.zeros((len(y), 25), dtype=np.int64)
    for k, (dy, dx) in enumerate(np.ndindex(5, 5)):
        place[:, k] = near[y + dy, x + dx]
    mine = np.isin(place, wanted)
    ring = np.array([max(abs(dy - 2), abs(dx - 2)) <= 1 for dy, dx in np.ndindex(5, 5)])
    alone = ~((place > 0) & ~mine & ring).any(axis=1)
    high = np.where(mine, place, 0).max(axis=1)
    low = np.where(mine, place, LARGEST_LABEL + 1).min(axis=1)
    chosen = alone & (low < high)
    between[y[chosen], x[chosen]] = True
    return between
