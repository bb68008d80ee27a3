"""A program of its own: it edits boundaries in a viewer and waits to be killed.

Run as ``python crashing.py TRUTH``; what it had last is written to TRUTH first.
"""

from __future__ import annotations

import sys
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
from napari_liso.plugin.labelling.editor import editor_of
from napari_liso.session import Session, save
from napari_liso.simulation import voronoi_grains

PIXEL = 0.4e-6


def main(truth: Path) -> None:
    application = QApplication.instance() or QApplication(sys.argv[:1])
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
    autosave = autosave_of(viewer)
    autosave.attach(editor)
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
    autosave.saved.connect(_ready)
    QTimer.singleShot(60_000, application.quit)
    application.exec()


def _ready() -> None:
    print("kept", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
