"""Steps of the isotope fraction across boundaries, kept up to date in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_liso.plugin import layers as ly
from napari_liso.plugin.boundary_values import STEPS, StepsKnown
from napari_liso.plugin.context import Context
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.ratio.input import counts_key
from napari_liso.plugin.records import OBJECT
from napari_liso.plugin.tasks import Task

if TYPE_CHECKING:
    from collections.abc import Hashable

    from napari.layers import Layer

    from napari_liso.microstructure.boundaries import Boundaries, Faces

__all__ = ["StepFinder", "carried", "renewed"]

#: Edits come one after the other: wait until the hand rests, ms.
_WAIT_MS = 350
#: What a boundary that moved does not keep.
_SHAPE = ["grain_a", "grain_b", "length", "normal_y", "normal_x"]
#: How far from a boundary counts are summed for its step, in pixels (`boundary_steps`).
_REACH = 5
_NO_COUNTS = "choose the counts of both isotopes under Data"


@dataclass(frozen=True, eq=False)
class _Job:
    layer: Layer
    boundaries: Boundaries
    counts: tuple[Layer, Layer]
    wanted: Hashable


class StepFinder(QObject):
    """Finds the steps across the boundaries of a dock's layer, in a thread.

    They are kept with the layer (`steps_of`), so that every dock and the colours of the
    map have the same. They are looked for when counts are chosen. After an edit, those of
    the boundaries that it changed or came near are looked for anew; the others stay.

    Attributes
    ----------
    missing
        Why there are no steps, ``""`` if nothing is in the way.
    """

    changed = Signal()  # busy or not, missing or not

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._context = context
        self._job: _Job | None = None
        self._wanted: Hashable = None  # what was asked for last, whatever came of it
        self._found: Hashable = None  # the counts that this one found steps of
        self._base: StepsKnown | None = None  # all of them, of whatever edit ago
        self.missing = ""
        self.task = Task(self)
        self.task.succeeded.connect(self._on_found)
        self.task.failed.connect(self._on_failed)
        self.task.running_changed.connect(self._on_running)
        self._newest = Newest(self.task, self._start, self, _WAIT_MS)
        context.boundaries_changed.connect(self._follow)
        context.layers_changed.connect(self._follow)
        context.tracer.changed.connect(self._on_counts)
        context.other.changed.connect(self._on_counts)
        self._follow()

    @property
    def busy(self) -> bool:
        """Whether steps are being looked for, or soon will be."""
        return self.task.running or self._newest.pending

    def _on_counts(self) -> None:
        """Look anew: other counts were chosen."""
        known = self._carry()
        counts = self._context.counts
        if known is not None and counts is not None and known.sources != _names(counts):
            self._store(StepsKnown(known.table.iloc[:0], known.boundaries, known.sources, False))
        self._follow()

    def _carry(self) -> StepsKnown | None:
        """Return the steps that the layer keeps, after an edit those that it left alone."""
        layer, boundaries = self._context.boundaries.current, self._context.current_boundaries()
        if layer is None or boundaries is None:
            return None
        known: StepsKnown | None = layer.metadata[OBJECT].get(STEPS)
        if known is not None and known.boundaries.faces is not boundaries.faces:
            known = carried(known, boundaries)
            if not len(known.table) and self._context.counts is None:
                known = None  # and there will be no others
            self._store(known)
        return known

    def _store(self, known: StepsKnown | None) -> None:
        layer = self._context.boundaries.current
        if layer is not None:
            layer.metadata[OBJECT][STEPS] = known

    def _follow(self) -> None:
        """Ask for the steps if they are not known, or are of other boundaries or counts."""
        if not isalive(self):
            return
        known = self._carry()
        counts, boundaries = self._context.counts, self._context.current_boundaries()
        missing = "" if counts is not None or known is not None else _NO_COUNTS
        if counts is None or boundaries is None:
            self._newest.drop()
        else:
            keys = tuple(counts_key(one) for one in counts)
            wanted = (id(boundaries.faces), keys)
            # steps that another dock found, of whatever counts, are good: they do not take turns
            fresh = known is not None and known.complete
            fresh = fresh and (self._found is None or self._found == keys)
            if not fresh and wanted != self._wanted:
                self._wanted = wanted
                self._newest.ask()
            elif wanted == self._wanted:
                missing = self.missing
        self.missing = missing
        self.changed.emit()

    def _start(self) -> None:
        layer, boundaries = self._context.boundaries.current, self._context.current_boundaries()
        counts = self._context.counts
        if layer is None or boundaries is None or counts is None:
            return
        self._job = _Job(layer, boundaries, counts, self._wanted)
        keys = tuple(counts_key(one) for one in counts)
        base = self._base if self._found == keys else None
        self.task.start(_find, base, boundaries, counts, self.task.report)

    def _on_found(self, found: StepsKnown) -> None:
        job, layer = self._job, self._context.boundaries.current
        if job is None or layer is None or layer != job.layer:
            return
        self.missing = ""
        self._found = tuple(counts_key(one) for one in job.counts)
        self._base = found
        self._store(found)
        self._carry()
        layer.metadata = dict(layer.metadata)  # tells whoever follows it

    def _on_failed(self, error: ValueError) -> None:
        self.missing = str(error)
        self.changed.emit()

    def _on_running(self, running: bool) -> None:
        if isalive(self):
            self.changed.emit()


def carried(known: StepsKnown, boundaries: Boundaries) -> StepsKnown:
    """Return the steps of the boundaries that are what they were before an edit.

    Parameters
    ----------
    known
        Steps before the edit.
    boundaries
        After it.
    """
    same = _same(known.boundaries, boundaries).intersection(known.table.index)
    return StepsKnown(known.table.loc[same], boundaries, known.sources, False)


def renewed(
    known: StepsKnown,
    boundaries: Boundaries,
    find: Callable[[NDArray[np.int64]], pd.DataFrame],
) -> pd.DataFrame:
    """Return the steps of all boundaries after an edit, those beside it found anew.

    Parameters
    ----------
    known
        All steps before the edit.
    boundaries
        After it.
    find
        Returns the steps of some ids.
    """
    ids = _affected(known.boundaries, boundaries)
    table = known.table.reindex(boundaries.table.index)
    if len(ids):
        found = find(ids)
        table.loc[found.index] = found
        whole = known.table.dtypes.to_dict()
        table = table.astype(whole)
    return table


def _same(before: Boundaries, after: Boundaries) -> pd.Index[int]:
    """Return the ids of the boundaries that are what and where they were."""
    old, new = _shapes(before), _shapes(after)
    both = old.index.intersection(new.index)
    one, other = (shapes.loc[both].to_numpy() for shapes in (old, new))
    return both[((one == other) | (np.isnan(one) & np.isnan(other))).all(axis=1)]


def _affected(before: Boundaries, after: Boundaries) -> NDArray[np.int64]:
    """Return the ids whose steps an edit may have changed.

    Those of boundaries that are other ones now, and of those whose pixels may be others: a
    pixel belongs to the nearest boundary, which an edit changes within twice the reach.
    """
    mine = after.table.index.difference(_same(before, after)).to_numpy(dtype=np.int64)
    at = np.flatnonzero(before.grains != after.grains)
    if len(at) == 0:
        return mine
    width, sides = after.grains.shape[1], after.pixel_size
    near = np.ones(len(after.faces.first), dtype=bool)
    places = zip(np.divmod(at, width), np.divmod(after.faces.first, width), sides, strict=True)
    for place, there, side in places:
        far = int(np.ceil(2 * _REACH * max(sides) / side)) + 2
        near &= (there >= place.min() - far) & (there <= place.max() + far)
    return np.union1d(mine, after.faces.boundary[near]).astype(np.int64)


def _shapes(boundaries: Boundaries) -> pd.DataFrame:
    """Return numbers by id that tell whether a boundary is what and where it was."""
    known = _SHAPES.get(boundaries.faces)
    if known is None:
        known = _SHAPES[boundaries.faces] = _find_shapes(boundaries)
    return known


#: Of the boundaries before an edit they are known: they were those after the last one.
_SHAPES: WeakKeyDictionary[Faces, pd.DataFrame] = WeakKeyDictionary()


def _find_shapes(boundaries: Boundaries) -> pd.DataFrame:
    faces, index = boundaries.faces, boundaries.table.index
    shapes = boundaries.table[_SHAPE].astype(np.float64)
    size = 1 + (int(index.max()) if len(index) else 0)
    place = np.bincount(faces.boundary, faces.first, minlength=size)
    return shapes.assign(place=place[index.to_numpy()])


def _names(counts: tuple[Layer, Layer]) -> tuple[str, str]:
    return counts[0].name, counts[1].name


def _find(
    base: StepsKnown | None,
    boundaries: Boundaries,
    counts: tuple[Layer, Layer],
    report: Callable[[float, str], None],
) -> StepsKnown:
    """Find the steps, in a thread; those beside the edits since `base`, if it is there."""
    from napari_liso.microstructure.profiles import boundary_steps

    for layer in counts:
        if tuple(layer.data.shape[-2:]) != boundaries.grains.shape:
            raise ValueError(
                f"the counts in '{layer.name}' are not {boundaries.grains.shape[0]} x "
                f"{boundaries.grains.shape[1]} pixels as the boundaries are"
            )
    images: list[NDArray[np.int64]] = []
    for layer in counts:
        report(0.1 + 0.1 * len(images), "")  # raises if the dock has gone
        images.append(ly.counts_from_layer(layer))
    report(0.3, "")

    def find(ids: NDArray[np.int64] | None) -> pd.DataFrame:
        return boundary_steps(boundaries, images[0], images[1], ids=ids)

    table = find(None) if base is None else renewed(base, boundaries, find)
    return StepsKnown(table, boundaries, _names(counts))
