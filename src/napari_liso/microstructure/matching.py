"""Which boundary after an edit is which boundary before it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.microstructure.faces import Faces, Traced

__all__ = ["Match", "match_pieces"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Match:
    """Ids of boundaries after an edit.

    Parameters
    ----------
    ids
        (piece,): id of each boundary after.
    parent
        (piece,): id of the old boundary with which it shares most faces, 0 if none.
    same
        (piece,): whether it has just the faces of the old boundary of its id.
    is_new
        (piece,): whether its id is new.
    lost
        Old ids that none has.
    """

    ids: Ints
    parent: Ints
    same: NDArray[np.bool_]
    is_new: NDArray[np.bool_]
    lost: Ints


def match_pieces(old: Faces, table: pd.DataFrame, new: Traced, next_id: int) -> Match:
    """Give ids to boundaries: by their faces, then by the pair of grains, then new ones.

    Parameters
    ----------
    old
        Faces of the boundaries before.
    table
        Before: ``grain_a`` and ``grain_b``.
    new
        Boundaries after, numbered 1..n.
    next_id
        The first free id.
    """
    count = len(new.pairs)
    old_ids, old_sizes = np.unique(old.boundary, return_counts=True)
    piece, old_id, shared = _overlaps(old, new.faces)
    ids = np.zeros(count, dtype=np.int64)
    parent = np.zeros(count, dtype=np.int64)
    taken: set[int] = set()
    for k in np.lexsort((piece, old_id, -shared)).tolist():
        p, o = int(piece[k]), int(old_id[k])
        parent[p] = parent[p] or o
        if ids[p] == 0 and o not in taken:
            ids[p] = o
            taken.add(o)
    _match_pairs(ids, parent, np.setdiff1d(old_ids, old_id), table, new.pairs)
    is_new = ids == 0
    ids[is_new] = next_id + np.arange(int(is_new.sum()))
    size_of = dict(zip(old_ids.tolist(), old_sizes.tolist(), strict=True))
    shared_with = {(p, o): n for p, o, n in zip(piece, old_id, shared, strict=True)}
    sizes = np.bincount(new.faces.boundary, minlength=count + 1)[1:]
    same = np.array(
        [
            shared_with.get((p, int(i)), 0) == sizes[p] == size_of.get(int(i))
            for p, i in enumerate(ids)
        ],
        dtype=bool,
    )
    lost = np.setdiff1d(old_ids, ids).astype(np.int64)
    return Match(ids, parent, same, is_new, lost)


def _overlaps(old: Faces, new: Faces) -> tuple[Ints, Ints, Ints]:
    """Pairs of a piece (from 0) and an old id with the number of faces that they share."""
    old_key = old.first * 2 + old.axis
    new_key = new.first * 2 + new.axis
    _, there, here = np.intersect1d(old_key, new_key, assume_unique=True, return_indices=True)
    both = (new.boundary[here].astype(np.int64) - 1 << 32) | old.boundary[there]
    key, shared = np.unique(both, return_counts=True)
    return key >> 32, key & 0xFFFFFFFF, shared.astype(np.int64)


def _match_pairs(
    ids: Ints, parent: Ints, free: Ints, table: pd.DataFrame, pairs: NDArray[np.int64]
) -> None:
    """Match what shares no face at all where one old and one new boundary have the same grains."""
    olds: dict[tuple[int, int], list[int]] = {}
    old_pairs = table.loc[free, ["grain_a", "grain_b"]].to_numpy()
    for o, (a, b) in zip(free.tolist(), old_pairs.tolist(), strict=True):
        olds.setdefault((a, b), []).append(o)
    news: dict[tuple[int, int], list[int]] = {}
    for p in np.flatnonzero(parent == 0).tolist():
        news.setdefault((int(pairs[p, 0]), int(pairs[p, 1])), []).append(p)
    for pair, found in olds.items():
        candidates = news.get(pair, [])
        if len(found) == len(candidates) == 1:
            ids[candidates[0]] = parent[candidates[0]] = found[0]
