"""A program of its own: it edits boundaries in a viewer and waits to be killed.

Run as ``python crashing.py TRUTH``; what it had last is written to TRUTH first.
``python crashing.py --end thread`` ends while a thread works, ``--end edit`` right after an edit.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from napari.components import ViewerModel
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QApplication

from napari_liso.acquisition import Acquisition
from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.microstructure.editing import PixelEdit
from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.autosave import autosave_of
from napari_liso.plugin.labelling.editor import BoundaryEditor, editor_of
from napari_liso.plugin.tasks import Task
from napari_liso.session import Session, save
from napari_liso.simulation import voronoi_grains

PIXEL = 0.4e-6


def document() -> tuple[ViewerModel, BoundaryEditor]:
    viewer = ViewerModel()
    counts = np.random.default_rng(0).poisson(20, (2, 1, 96, 128))
    acquisition = Acquisition(
        counts, ("6Li", "7Li"), np.array([6.0, 7.0]), (PIXEL, PIXEL), metadata={"path": "m.h5"}
    )
    for layer_data in ly.acquisition_layers(acquisition):
        ly.add(viewer, layer_data)
    grains = voronoi_grains((96, 128), 30, seed=3)
    placement = ly.Placement.of_pixel_size((PIXEL, PIXEL))
    ly.add(viewer, ly.grains_layer(grains, placement))
    layer = ly.add(viewer, ly.boundaries_layer(find_boundaries(grains, PIXEL), placement))
    editor = editor_of(viewer, layer)
    assert editor is not None
    autosave_of(viewer).attach(editor)
    return viewer, editor


def main(truth: Path) -> None:
    application = QApplication.instance() or QApplication(sys.argv[:1])
    viewer, editor = document()
    # one edit on another: a grain becomes part of its neighbour, states and a note
    grain = int(editor.boundaries.table["grain_a"].iloc[5])
    other = int(editor.boundaries.table["grain_b"].iloc[5])
    pixels = np.flatnonzero(editor.boundaries.drawn == grain)
    assert editor.apply(PixelEdit(pixels, np.full(len(pixels), other, np.int32)), "Merge")
    there = editor.boundaries.table.query("state == 'use'").index
    editor.set_state(there[:3], "exclude")
    editor.set_state(there[3:5], "locked")
    editor.set_note(int(there[7]), "kink — schräg, β")
    save(truth, Session(grains=np.array(editor.grains.data), boundaries=editor.boundaries))
    autosave_of(viewer).saved.connect(_ready)
    QTimer.singleShot(60_000, application.quit)
    application.exec()


def _ready() -> None:
    print("kept", flush=True)


def _work() -> None:
    print("begun", flush=True)
    time.sleep(1.0)
    print("ended", flush=True)


if __name__ == "__main__":
    if sys.argv[1] == "--end":
        application = QApplication(sys.argv[:1])  # no loop of events: it ends at once
        if sys.argv[2] == "thread":
            task = Task()
            task.start(_work)
            time.sleep(0.2)
        else:
            viewer, editor = document()
            print("begun", flush=True)
            editor.set_note(1, "β")
    else:
        main(Path(sys.argv[1]))
