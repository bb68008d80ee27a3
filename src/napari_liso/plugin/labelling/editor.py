"""Grains and boundaries as one document: every edit is one step that can be undone.

The grains layer holds the pixels, the boundaries layer what follows from them. An
edit is written into the grains through napari's own undo history, the boundaries are
updated where they changed, and ids, states and notes of the others survive. Painting
with napari's tools is followed in the same way.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import QObject, QTimer, Signal

from napari_liso.microstructure.update import find_patch
from napari_liso.plugin.features import boundary_features
from napari_liso.plugin.from_layers import boundaries_from_layer, fit_from_layer
from napari_liso.plugin.labelling.history import History, Outlines, Step
from napari_liso.plugin.labelling.pixels import changed_box, make_slice, plane_of, write_pixels
from napari_liso.plugin.layers.ebsd import with_ebsd
from napari_liso.plugin.records import EDITOR, OBJECT, PROVENANCE, role_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels, Layer

    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries, State
    from napari_liso.microstructure.editing import PixelEdit
    from napari_liso.microstructure.update import Patch

__all__ = ["BoundaryEditor", "editor_of"]

#: A stroke of the brush is followed so long after its end, ms.
_AFTER_STROKE = 20
#: Labels that came otherwise are followed when they have been the same for so long, ms.
_REST = 120

#: Of a boundary that had another outline when it was fitted; `Outlines` are 0 and above.
_NO_OUTLINE = -1

_GONE = (
    "The grains that these boundaries were found in are gone, so they cannot be edited. "
    "Choose a grains layer and find its boundaries."
)


class BoundaryEditor(QObject):
    """The grains of a layer and the boundaries between them, edited together.

    Use `editor_of`, which returns the same editor to all docks.

    Attributes
    ----------
    grains
        Labels layer of the grains; None when it is gone.
    layer
        Labels layer of the boundaries.
    """

    changed = Signal(object)  # Patch, or None if only states or notes; after edit, undo, redo
    history_changed = Signal()
    refused = Signal(str)  # why an edit was not done

    def __init__(self, viewer: ViewerModel, layer: Labels) -> None:
        super().__init__()
        self.viewer = viewer
        self.layer = layer
        self.grains: Labels | None = None
        self._history = History()
        self._writing = False
        self._strokes = 0
        self._outlines = Outlines()
        self._outlines_of: WeakKeyDictionary[Boundaries, dict[int, int]] = WeakKeyDictionary()
        self._fit: DiffusionFit | None = None
        self._fitted: dict[int, int] | None = None  # outlines of what was fitted
        self._last_id = 0  # that was ever given
        self._rest = QTimer(self)
        self._rest.setSingleShot(True)
        self._rest.timeout.connect(self.flush)
        self._boundaries = boundaries_from_layer(layer)
        known = layer.metadata[OBJECT].get("stale") or ()  # as of a session that was opened
        self._adopt(dict.fromkeys(known, _NO_OUTLINE))
        make_slice(layer)
        layer.events.metadata.connect(self._on_metadata)
        viewer.layers.events.removed.connect(self._on_removed)
        viewer.layers.events.inserted.connect(self._on_inserted)
        self._link()

    # --- what the docks ask for ---------------------------------------------------------------

    @property
    def boundaries(self) -> Boundaries:
        """The boundaries as they are now."""
        return self._boundaries

    @property
    def undo_text(self) -> str:
        """What undo would take back; ``""``: nothing."""
        return self._history.done[-1].what if self._history.done else ""

    @property
    def redo_text(self) -> str:
        """What redo would do again; ``""``: nothing."""
        return self._history.undone[-1].what if self._history.undone else ""

    @property
    def stale(self) -> frozenset[int]:
        """Ids of boundaries that are other ones than those that were fitted."""
        return frozenset() if self._fitted is None else self._outlines.differ_from(self._fitted)

    def apply(self, edit: PixelEdit, what: str) -> bool:
        """Edit the grains; the boundaries follow. One undo step.

        Parameters
        ----------
        edit
            New labels of some pixels.
        what
            The edit in words, for the undo button.

        Returns
        -------
        bool
            False if it was refused (`refused` says why) or changed nothing.
        """
        self.flush()
        if self.grains is None and not self._link():
            self.refused.emit(_GONE)
            return False
        assert self.grains is not None
        before = self._boundaries
        labels = edit.labels.astype(before.drawn.dtype)
        other = before.drawn.ravel()[edit.pixels] != labels
        if not other.any():
            return False
        pixels, labels = edit.pixels[other], labels[other]
        drawn = before.drawn.copy()
        drawn.ravel()[pixels] = labels
        patch = self._patch(drawn, _box_of(pixels, drawn.shape))
        if patch is None:
            return False
        self._write(pixels, labels)
        self._do(patch, what, strokes=1)
        return True

    def set_state(self, ids: int | Iterable[int], state: State) -> None:
        """Set the state of some boundaries. One undo step.

        Parameters
        ----------
        ids
            One id or several; removed ones are passed over.
        state
            ``"use"``, ``"exclude"`` or ``"locked"``.
        """
        self.flush()
        table = self._boundaries.table
        wanted = [int(i) for i in (ids if isinstance(ids, Iterable) else [ids])]
        wanted = [i for i in wanted if table["state"].get(i, "removed") not in ("removed", state)]
        if wanted:
            words = {"use": "Include", "exclude": "Exclude", "locked": "Lock"}[state]
            which = f"boundary {wanted[0]}" if len(wanted) == 1 else f"{len(wanted)} boundaries"
            self._set_table(self._boundaries.with_state(wanted, state).table, f"{words} {which}")

    def set_note(self, label: int, text: str) -> None:
        """Write a note on a boundary. One undo step."""
        self.flush()
        if self._boundaries.table["notes"].get(label) != text:
            table = self._boundaries.with_note(label, text).table
            self._set_table(table, f"Note on boundary {label}")

    def undo(self) -> None:
        """Take the last step back."""
        self.flush()
        if self._history.done:
            step = self._history.done.pop()
            self._history.undone.append(step)
            self._replay(step, back=True)

    def redo(self) -> None:
        """Do again what was taken back."""
        self.flush()
        if self._history.undone:
            step = self._history.undone.pop()
            self._history.done.append(step)
            self._replay(step, back=False)

    def flush(self) -> None:
        """Follow now what was painted into the grains since the last look."""
        if not isalive(self):
            return
        self._rest.stop()
        strokes, self._strokes = self._strokes, 0
        plane = None if self.grains is None else plane_of(self.grains)
        if self._writing or plane is None:
            return
        if plane.shape != self._boundaries.drawn.shape:
            self._unlink()
            self.refused.emit("The grains have another size now: find their boundaries anew.")
            return
        box = changed_box(self._boundaries.drawn, plane)
        if box is None:
            return
        patch = self._patch(plane, box)
        if patch is None:
            self._show_grains(strokes, back=True)
        else:
            self._do(patch, "Paint", strokes)

    def close(self) -> None:
        """Stop following the layers."""
        self._unlink()
        self.layer.events.metadata.disconnect(self._on_metadata)
        self.viewer.layers.events.removed.disconnect(self._on_removed)
        self.viewer.layers.events.inserted.disconnect(self._on_inserted)
        self.layer.metadata[OBJECT].pop(EDITOR, None)

    # --- one step ------------------------------------------------------------------------------

    def _patch(self, drawn: NDArray[Any], box: tuple[slice, slice]) -> Patch | None:
        """Return what other grains change, or say why they cannot be had."""
        fit = fit_from_layer(self.layer)
        fitted = 0 if fit is None else max(fit.table.index.tolist(), default=0)
        try:
            patch = find_patch(self._boundaries, drawn, box=box, above=max(self._last_id, fitted))
        except ValueError as error:
            self.refused.emit(f"Taken back: {error}")
            return None
        if patch is None:
            return None
        state = self._boundaries.table["state"]
        moved = np.concatenate([patch.changed, patch.removed])
        locked = [int(i) for i in moved if state[i] == "locked"]
        if locked:
            which = ", ".join(str(i) for i in sorted(locked)[:5])
            self.refused.emit(
                f"Taken back: it would change boundary {which}, which is locked. "
                "Unlock it first, or edit elsewhere."
            )
            return None
        return patch

    def _do(self, patch: Patch, what: str, strokes: int) -> None:
        """Take over a new geometry as one step."""
        self._last_id = max(self._last_id, *patch.added.tolist(), 0)
        outlines = self._outlines.renew(_touched(patch))
        self._history.push(Step(what, patch, strokes=strokes, outlines=outlines))
        self._boundaries = self._oriented(patch, patch.apply(self._boundaries))
        self._publish(patch)

    def _oriented(self, patch: Patch, boundaries: Boundaries) -> Boundaries:
        """Return boundaries with the misorientations of those that a patch changed."""
        ids = np.concatenate([patch.changed, patch.added, patch.renamed])
        return with_ebsd(self.grains, boundaries, ids)

    def _set_table(self, table: pd.DataFrame, what: str) -> None:
        """Take over a table with other states or notes."""
        self._history.push(Step(what, tables=(self._boundaries.table, table)))
        self._boundaries = replace(self._boundaries, table=table)
        self._publish(None)

    def _replay(self, step: Step, back: bool) -> None:
        """Undo or redo a step; the outcome is that of the step, whatever napari kept of it."""
        patch = step.patch
        if patch is not None:
            patch = patch.inverse() if back else patch
            self._boundaries = self._oriented(patch, patch.apply(self._boundaries))
            self._outlines.put(step.outlines[0 if back else 1])
            self._show_grains(step.strokes, back)
        elif step.tables is not None:
            table = step.tables[0 if back else 1]
            self._boundaries = replace(self._boundaries, table=table)
        self._publish(patch)

    def _show_grains(self, strokes: int, back: bool) -> None:
        """Bring the grains layer to the labels of the boundaries, by its own history first."""
        if self.grains is None:
            return
        self._writing = True
        try:
            for _ in range(strokes):
                if back:
                    self.grains.undo()
                else:
                    self.grains.redo()
        finally:
            self._writing = False
        plane = plane_of(self.grains)
        if plane is None or plane.shape != self._boundaries.drawn.shape:
            return
        pixels = np.flatnonzero(plane != self._boundaries.drawn)
        self._write(pixels, self._boundaries.drawn.ravel()[pixels])

    def _write(self, pixels: NDArray[np.int64], labels: NDArray[Any]) -> None:
        """Write into the grains layer without hearing of it."""
        assert self.grains is not None
        self._writing = True
        try:
            write_pixels(self.grains, pixels, labels)
        finally:
            self._writing = False

    # --- the layers --------------------------------------------------------------------------

    def _publish(self, patch: Patch | None) -> None:
        """Show the boundaries as they are now and tell the docks."""
        boundaries = self._boundaries
        self._outlines_of[boundaries] = self._outlines.numbers()
        if patch is not None:
            write_pixels(self.layer, patch.labels.index, patch.labels.after)
        fit, stale = fit_from_layer(self.layer), self.stale
        shared = self.layer.metadata[OBJECT]
        shared["boundaries"], shared["stale"] = boundaries, stale
        self._writing = True
        try:
            self.layer.features = boundary_features(boundaries, fit, stale)
            self.layer.metadata = dict(self.layer.metadata)  # tells whoever follows it
        finally:
            self._writing = False
        self.changed.emit(patch)
        self.history_changed.emit()

    def _show_labels(self) -> None:
        """Bring all pixels of the boundaries layer up to date."""
        shown = plane_of(self.layer)
        if shown is not None and shown.shape == self._boundaries.labels.shape:
            pixels = np.flatnonzero(shown != self._boundaries.labels)
            write_pixels(self.layer, pixels, self._boundaries.labels.ravel()[pixels])

    def _on_metadata(self, event: object = None) -> None:
        """Notice boundaries found anew, or a fit."""
        if isalive(self) and not self._writing and role_of(self.layer) == "boundaries":
            self._adopt()

    def _adopt(self, stale: Mapping[int, int] = MappingProxyType({})) -> None:
        """Take over the boundaries that the layer was given; `stale`: outlines to differ from."""
        given = boundaries_from_layer(self.layer)
        if given is not self._boundaries and given not in self._outlines_of:
            self._boundaries = given  # found anew
            self._history.clear()
            self._outlines, self._last_id = Outlines(), 0
            self._fit = self._fitted = None
            self._unlink()
            self._link()
        self._outlines_of.setdefault(given, self._outlines.numbers())
        fit = fit_from_layer(self.layer)
        if fit is not self._fit:  # of these boundaries, also if they were edited meanwhile
            self._fit = fit
            self._fitted = None if fit is None else {**self._outlines_of[given], **stale}
        self._last_id = max(self._last_id, *self._boundaries.table.index.tolist(), 0)
        if given is not self._boundaries:  # edited while the fit was running
            self._show_labels()
            self._publish(None)
        self.layer.metadata[OBJECT]["stale"] = self.stale
        self.history_changed.emit()

    def _link(self) -> bool:
        """Find the grains layer that the boundaries belong to; tell whether there is one."""
        named = self.layer.metadata.get(PROVENANCE, {}).get("sources", [])
        found: Labels | None = None
        for layer in reversed(self.viewer.layers):
            if layer is self.layer or layer.__class__.__name__ != "Labels":
                continue
            plane = None if role_of(layer) == "boundaries" else plane_of(cast("Labels", layer))
            if plane is None or plane.shape != self._boundaries.drawn.shape:
                continue
            if layer.name in named[:1] or np.array_equal(plane, self._boundaries.drawn):
                found = cast("Labels", layer)
                if layer.name in named[:1]:
                    break
        if found is None:
            return False
        self.grains = found
        make_slice(found)
        found.events.paint.connect(self._on_paint)
        found.events.set_data.connect(self._on_set_data)
        self._rest.start(_REST)  # it may have been painted since
        return True

    def _unlink(self) -> None:
        if self.grains is not None:
            self.grains.events.paint.disconnect(self._on_paint)
            self.grains.events.set_data.disconnect(self._on_set_data)
        self.grains, self._strokes = None, 0
        self._rest.stop()

    def _on_paint(self, event: object = None) -> None:
        """Count the strokes; what they painted is looked up when the hand rests."""
        if isalive(self) and not self._writing:
            self._strokes += 1
            self._rest.start(_AFTER_STROKE)

    def _on_set_data(self, event: object = None) -> None:
        """Notice labels that came otherwise: new data, or napari's own undo."""
        if isalive(self) and not self._writing and not self._strokes:
            self._rest.start(_REST)

    def _on_inserted(self, event: object = None) -> None:
        """Follow grains that came after their boundaries."""
        if isalive(self) and self.grains is None:
            self._link()

    def _on_removed(self, event: object = None) -> None:
        if not isalive(self):
            return
        if self.layer not in self.viewer.layers:
            self.close()
        elif self.grains is not None and self.grains not in self.viewer.layers:
            self._unlink()
            self._history.clear()
            self.history_changed.emit()


def editor_of(viewer: ViewerModel, layer: Layer | None) -> BoundaryEditor | None:
    """Return the editor of a boundaries layer, the same one to every caller.

    Parameters
    ----------
    viewer
        Whose layers they are.
    layer
        The boundaries layer.

    Returns
    -------
    BoundaryEditor or None
        None if there is no layer, or it shows no boundaries of ours.
    """
    if layer is None or role_of(layer) != "boundaries":
        return None
    if not isinstance(layer.metadata.get(OBJECT), dict) or layer not in viewer.layers:
        return None
    editor: BoundaryEditor | None = layer.metadata[OBJECT].get(EDITOR)
    if editor is None or not isalive(editor) or editor.layer.unique_id != layer.unique_id:
        editor = BoundaryEditor(viewer, cast("Labels", layer))
        layer.metadata[OBJECT][EDITOR] = editor  # so that it lives as long as its layer
    return editor


def _touched(patch: Patch) -> list[int]:
    return [int(i) for i in np.concatenate([patch.changed, patch.added, patch.removed])]


def _box_of(pixels: NDArray[np.int64], shape: tuple[int, ...]) -> tuple[slice, slice]:
    """Return the box of flat pixels of a (y, x) plane."""
    rows, columns = np.divmod(pixels, shape[-1])
    return (
        slice(int(rows.min()), int(rows.max()) + 1),
        slice(int(columns.min()), int(columns.max()) + 1),
    )
