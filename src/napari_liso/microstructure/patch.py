"""The difference between two states of the boundaries, to apply and to take back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import DTypeLike, NDArray

from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.faces import Faces, splice_faces

__all__ = ["Patch", "Pixels", "with_types_of"]

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pixels:
    """Some pixels of an image (flat indices, sorted) before and after."""

    index: Ints
    before: NDArray[Any]
    after: NDArray[Any]

    def __len__(self) -> int:
        return len(self.index)

    @property
    def nbytes(self) -> int:
        """Memory in bytes."""
        return self.index.nbytes + self.before.nbytes + self.after.nbytes

    def inverse(self) -> Pixels:
        """Return the way back."""
        return Pixels(self.index, self.after, self.before)

    def put(self, image: NDArray[Any], dtype: DTypeLike | None = None) -> NDArray[Any]:
        """Return the image as it is after; the same array if nothing changed."""
        dtype = image.dtype if dtype is None else np.dtype(dtype)
        if len(self) == 0 and dtype == image.dtype:
            return image
        new = image.astype(dtype)
        new.ravel()[self.index] = self.after
        return new


@dataclass(frozen=True, eq=False)
class Patch:
    """The difference between two `Boundaries`.

    Made by `find_patch`. It holds only what changed, so it is small after a
    local edit.

    Parameters
    ----------
    changed
        Ids of boundaries that are there before and after, with other faces.
    added, removed
        Ids that are new, and ids that lost all their faces.
    renamed
        Ids of boundaries with the same faces between grains of other labels.
    drawn, grains, labels
        What changed in the images of the same names.
    drawn_types
        Data type of ``drawn`` before and after.
    faces
        All faces of these boundaries, before and after.
    rows
        Rows of the table that differ, before and after.
    """

    changed: Ints
    added: Ints
    removed: Ints
    renamed: Ints
    drawn: Pixels
    grains: Pixels
    labels: Pixels
    drawn_types: tuple[np.dtype[Any], np.dtype[Any]]
    faces: tuple[Faces, Faces]
    rows: tuple[pd.DataFrame, pd.DataFrame]

    @property
    def nbytes(self) -> int:
        """Memory in bytes, roughly."""
        pixels = sum(p.nbytes for p in (self.drawn, self.grains, self.labels))
        faces = sum(array.nbytes for side in self.faces for array in vars(side).values())
        return pixels + faces + sum(int(rows.memory_usage().sum()) for rows in self.rows)

    def inverse(self) -> Patch:
        """Return the patch that leads back."""
        return Patch(
            changed=self.changed,
            added=self.removed,
            removed=self.added,
            renamed=self.renamed,
            drawn=self.drawn.inverse(),
            grains=self.grains.inverse(),
            labels=self.labels.inverse(),
            drawn_types=self.drawn_types[::-1],
            faces=self.faces[::-1],
            rows=self.rows[::-1],
        )

    def apply(self, boundaries: Boundaries) -> Boundaries:
        """Return the boundaries after the change; `boundaries` stay as they are.

        Parameters
        ----------
        boundaries
            Those that the patch was made from (for an inverse: those that it led
            to). States and notes of boundaries that it does not touch are free.

        Raises
        ------
        ValueError
            If they are other ones.
        """
        for name in ("drawn", "grains", "labels"):
            image, pixels = getattr(boundaries, name), getattr(self, name)
            if len(pixels) and pixels.index[-1] >= image.size:
                raise ValueError(f"the patch is of a larger map than {image.shape}")
            if not np.array_equal(image.ravel()[pixels.index], pixels.before):
                raise ValueError(
                    f"the patch does not fit: {name} differ from those that it was made from"
                )
        if not self._has_faces_of(boundaries.faces):
            raise ValueError(
                "the patch does not fit: another edit changed the same boundaries elsewhere; "
                "take edits back in the order of undo, the last one first"
            )
        return replace(
            boundaries,
            grains=self.grains.put(boundaries.grains),
            drawn=self.drawn.put(boundaries.drawn, self.drawn_types[1]),
            labels=self.labels.put(boundaries.labels),
            table=_splice_table(boundaries.table, *self.rows),
            faces=splice_faces(boundaries.faces, *self.faces),
        )

    def _has_faces_of(self, faces: Faces) -> bool:
        """Whether the boundaries that change have just the faces that the patch takes out."""
        before, after = self.faces
        ids = np.union1d(before.boundary, after.boundary)
        start = np.searchsorted(faces.boundary, ids, "left").tolist()
        stop = np.searchsorted(faces.boundary, ids, "right").tolist()
        none = np.zeros(0, dtype=np.int64)
        there = np.concatenate([none, *map(np.arange, start, stop)])
        return all(
            np.array_equal(getattr(faces, name)[there], getattr(before, name))
            for name in ("boundary", "first", "axis")
        )


def with_types_of(rows: pd.DataFrame, others: pd.DataFrame) -> pd.DataFrame:
    """Return rows of the table with the data types of others, where they can hold the values.

    A column that somebody added has no values for new boundaries, which whole numbers
    and bools cannot say.
    """
    types = {
        name: kind
        for name, kind in others.dtypes.items()
        if kind.kind not in "iub" or rows[name].notna().all()
    }
    return rows.astype(types)


def _splice_table(table: pd.DataFrame, before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Return the table with some rows exchanged, sorted by id."""
    if len(before) == len(after) == 0:
        return table
    new = pd.concat([table.drop(index=before.index), after]).sort_index()
    new = with_types_of(new, after if len(after) else table)
    if len(new) and new.index[0] == 1 and new.index[-1] == len(new):
        new.index = pd.RangeIndex(1, len(new) + 1)
    elif len(new) == 0:
        new.index = pd.RangeIndex(1, 1)
    new.index.name = "id"
    return new
