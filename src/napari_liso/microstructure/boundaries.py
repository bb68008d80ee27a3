"""Grain boundaries as objects: id, pair of grains, geometry, state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_liso.microstructure.faces import Faces, Traced, face_lengths, find_faces
from napari_liso.microstructure.junctions import (
    find_junctions,
    find_surfaces,
    meeting_pairs,
    tuples_of,
)
from napari_liso.microstructure.lines import bridge_lines
from napari_liso.microstructure.ownership import paint

__all__ = ["Boundaries", "Faces", "State", "check_pixel_size", "find_boundaries"]

State = Literal["use", "exclude", "locked", "removed"]

MOST_IDS = int(np.iinfo(np.uint16).max)


@dataclass(frozen=True, eq=False)
class Boundaries:
    """The boundaries between the grains of a map.

    Made by `find_boundaries`. All arrays are (y, x), row 0 at the top.

    Parameters
    ----------
    grains
        int32 labels, 0 = pore or outside; one-pixel lines of zeros in `drawn`
        are given to the nearest grain.
    drawn
        The labels as they were given.
    pixel_size
        (y, x) in m.
    labels
        uint16: 0, or the id of the boundary. The pixels on both sides of a face
        carry the id, so a boundary is two pixels thick: easy to see and to
        click. A pixel that several boundaries touch belongs to the shortest of
        them, except where a boundary would be left without any.
    table
        One row a boundary, index = its id (1..N): ``grain_a`` < ``grain_b``;
        ``length`` in m, that of the smooth line, not of the pixel staircase;
        ``normal_y``, ``normal_x``, unit mean normal from a to b (NaN where the
        boundary closes on itself: a mean normal does not exist there);
        ``touches_edge``, whether it ends at the edge of the image; ``state``;
        ``normal_spread``, circular standard deviation of the local normals in
        rad, weighted with length (NaN where there is no mean normal);
        ``curvature``, mean absolute curvature of the smooth line in 1/m;
        ``neighbours``, tuple of the ids that it meets at junctions; ``notes``.
    faces
        Its pixel faces with their local normals.

    Notes
    -----
    The spread is sqrt(-2 ln R) with R the length of the mean normal (Mardia and
    Jupp, Directional Statistics, 2000, eq. 2.3.11). Pixels limit it: a straight
    line between the directions of the grid has up to 0.1 rad.

    Curvature is how far the line turns, to and fro, over its length, with the
    pixels smoothed away over 8 faces. Arcs and circles of 6 pixels radius or
    more are within 15 %. A straight line has up to 0.006 per pixel if it is 30
    pixels long and 0.004 if it is 100, so a radius above some 200 pixels is not
    told from none. Waves of 60 pixels are 10 % too flat, of 40 pixels 30 %. NaN
    where a boundary has less than 8 faces.
    """

    grains: NDArray[np.int32]
    drawn: NDArray[np.integer[Any]]
    pixel_size: tuple[float, float]
    labels: NDArray[np.uint16]
    table: pd.DataFrame
    faces: Faces

    def __len__(self) -> int:
        return len(self.table)

    @property
    def face_length(self) -> NDArray[np.float64]:
        """Length in m of every pixel face, (face,)."""
        return face_lengths(self.faces.axis, self.pixel_size)

    @cached_property
    def junctions(self) -> pd.DataFrame:
        """Points where boundaries end or meet, see `find_junctions`; found when first used."""
        return find_junctions(self)

    @cached_property
    def surfaces(self) -> pd.DataFrame:
        """Contacts of grains with pores, the outside and the image edge, see `find_surfaces`."""
        return find_surfaces(self)

    def with_state(self, ids: int | Iterable[int], state: State) -> Boundaries:
        """Return a copy in which some boundaries are in another state.

        Parameters
        ----------
        ids
            One id or several.
        state
            ``"use"``; ``"exclude"``: still a barrier, but its surroundings are
            not data; ``"locked"``: used, and edits must leave it alone;
            ``"removed"``: kept as a row only, so that ids never move.

        Raises
        ------
        ValueError
            For an id that does not exist, an unknown state, or a boundary that an
            edit removed: it has no faces any more, and undo alone brings them back.
        """
        if state not in get_args(State):
            raise ValueError(f"state must be one of {', '.join(get_args(State))}, got {state!r}")
        changed = self._with("state", ids, state)
        back = changed.table.index[changed.table["state"] != self.table["state"]]
        gone = back[~np.isin(back, self.faces.boundary)]
        if len(gone):
            raise ValueError(f"boundary {gone[0]} is removed: no pixel faces are left of it")
        return changed

    def with_note(self, ids: int | Iterable[int], text: str) -> Boundaries:
        """Return a copy in which some boundaries have another note.

        Parameters
        ----------
        ids
            One id or several.
        text
            The note; ``""`` for none.

        Raises
        ------
        ValueError
            For an id that does not exist.
        """
        return self._with("notes", ids, text)

    def _with(self, column: str, ids: int | Iterable[int], value: str) -> Boundaries:
        """Return a copy with another value in some rows of the table."""
        wanted = [int(i) for i in (ids if isinstance(ids, Iterable) else [ids])]
        unknown = sorted(set(wanted) - set(self.table.index))
        if unknown:
            raise ValueError(f"no boundary {unknown[0]}; {self.known_ids}")
        table = self.table.copy()
        table.loc[wanted, column] = value
        return replace(self, table=table)

    @property
    def known_ids(self) -> str:
        """Which ids there are, in words, for messages."""
        ids = self.table.index
        return f"ids run from {ids.min()} to {ids.max()}" if len(ids) else "there is none"


def find_boundaries(
    grains: ArrayLike, pixel_size: float | tuple[float, float] | None
) -> Boundaries:
    """Find every boundary between two grains.

    A boundary is one connected contact of two grains: the pixel faces
    (4-neighbour contacts) between the same two labels that hang together by
    corners of the pixel grid, be it a single face. Two grains that touch in two
    places have two boundaries. Ids are 1..N in the order of grain_a, grain_b
    and the first face in raster order.

    Zero lines of one pixel width between grains are bridged
    (`napari_liso.microstructure.lines.bridge_lines`); wider zeros are pores or
    the outside and have no boundary here.

    Parameters
    ----------
    grains
        Integer labels (y, x), 0 = no grain; they need not be consecutive, and
        a grain may consist of several pieces.
    pixel_size
        In m, a number or (y, x).

    Returns
    -------
    Boundaries
        Empty but complete if there is a single grain.

    Raises
    ------
    ValueError
        If `grains` is not a two-dimensional integer array of labels >= 0 with
        at least one grain, if the pixel size is missing or not positive, or if
        there are more than 65535 boundaries.

    Notes
    -----
    Length is the sum of face length / staircase factor (`Faces.staircase`), the
    length of the smooth line that the pixel faces stand for. Without it, a line
    at 45 degrees is 41 % too long.
    """
    size = check_pixel_size(pixel_size)
    drawn = check_labels(grains)
    filled = bridge_lines(drawn, size).astype(np.int32, copy=False)
    traced = find_faces(filled, size)
    count = len(traced.pairs)
    if count > MOST_IDS:
        raise ValueError(
            f"{count} boundaries are more than the {MOST_IDS} that a label image can hold; "
            "merge small grains or cut the map into parts"
        )
    table = describe(traced, size)
    faces = traced.faces
    pairs = meeting_pairs(faces, filled.shape[1])
    table["neighbours"] = tuples_of(pairs, table.index.to_numpy())
    length = table["length"].to_numpy()[faces.boundary - 1]
    labels = paint(faces.first, faces.second, faces.boundary, length, filled.shape)
    return Boundaries(filled, drawn, size, labels, table, faces)


def check_pixel_size(pixel_size: float | tuple[float, float] | None) -> tuple[float, float]:
    """Return the pixel size as (y, x) in m.

    Raises
    ------
    ValueError
        If it is missing, or not one or two positive finite numbers.
    """
    if pixel_size is None:
        raise ValueError(
            "the pixel size is unknown; set it (in m, one number or (y, x)), since "
            "lengths and permeabilities depend on it"
        )
    try:
        y, x = np.broadcast_to(np.asarray(pixel_size, dtype=np.float64), (2,)).tolist()
    except (TypeError, ValueError):
        raise ValueError(
            f"pixel_size must be a number or (y, x) in m, got {pixel_size!r}"
        ) from None
    if not (0 < y < np.inf and 0 < x < np.inf):
        raise ValueError(f"pixel_size must be positive and finite (m), got {pixel_size!r}")
    return y, x


def check_labels(grains: ArrayLike) -> NDArray[np.integer[Any]]:
    """Return a copy of the labels, or raise ValueError that says what is wrong."""
    # in C order, so that ravel() of it is a view and edits reach it
    labels = np.array(grains, order="C")
    if labels.ndim != 2:
        raise ValueError(f"grains must be a (y, x) label image, got shape {labels.shape}")
    if labels.dtype.kind not in "iu":
        hint = " (label a mask first, e.g. skimage.measure.label)" if labels.dtype == bool else ""
        raise ValueError(f"grains must hold integer labels, got {labels.dtype}{hint}")
    if labels.size == 0 or not labels.any():
        raise ValueError("there is no grain: every pixel of the label image is 0")
    if labels.min() < 0:
        raise ValueError(f"grain labels must not be negative, found {labels.min()}")
    if labels.max() > np.iinfo(np.int32).max:
        raise ValueError(f"grain labels must fit into 32 bits, found {labels.max()}")
    return labels


def describe(traced: Traced, pixel_size: tuple[float, float]) -> pd.DataFrame:
    """Return the table of boundaries 1..N, all in use, without neighbours.

    Parameters
    ----------
    traced
        The boundaries.
    pixel_size
        (y, x) in m.
    """
    faces, count = traced.faces, len(traced.pairs)
    row = faces.boundary - 1
    face_length = face_lengths(faces.axis, pixel_size) / faces.staircase
    length = np.bincount(row, face_length, minlength=count).astype(np.float64)
    normal = _mean_normals(traced, pixel_size)
    sums = [
        np.bincount(row, face_length * component, minlength=count)
        for component in (faces.normal_y, faces.normal_x)
    ]
    resultant = np.divide(np.hypot(*sums), length, out=np.ones(count), where=length > 0)
    spread = np.sqrt(-2 * np.log(np.clip(resultant, np.finfo(float).tiny, 1.0)))
    index = pd.RangeIndex(1, count + 1, name="id")
    nobody = np.empty(count, dtype=object)
    nobody[:] = [()] * count
    return pd.DataFrame(
        {
            "grain_a": traced.pairs[:, 0],
            "grain_b": traced.pairs[:, 1],
            "length": length,
            "normal_y": normal[0],
            "normal_x": normal[1],
            "touches_edge": traced.touches_edge,
            "state": pd.Series(["use"] * count, index=index, dtype="str"),
            "normal_spread": np.where(np.isnan(normal[0]), np.nan, spread),
            "curvature": traced.curvature,
            "neighbours": nobody,
            "notes": pd.Series([""] * count, index=index, dtype="str"),
        },
        index=index,
    )


def _mean_normals(traced: Traced, pixel_size: tuple[float, float]) -> NDArray[np.float64]:
    """Unit normals (2, boundary) from a to b of the chords; NaN for closed boundaries.

    The faces' own directions add up to the chord. They are counted in whole
    faces, so that a closed boundary gives exactly zero.
    """
    faces, count = traced.faces, len(traced.pairs)
    chord = np.empty((2, count))
    for axis, length in ((0, pixel_size[1]), (1, pixel_size[0])):
        mine = faces.axis == axis
        faces_net = np.bincount(faces.boundary[mine] - 1, traced.sign[mine], minlength=count)
        chord[axis] = np.rint(faces_net) * length
    norm = np.hypot(*chord)
    return np.divide(chord, norm, out=np.full_like(chord, np.nan), where=norm > 0)
