"""How long a step of napari's slider takes on frames that are read from an event file.

    tools/with-screen.sh .venv/bin/python benchmarks/slider_study.py [GB]     (default 0.5)

Writes a PHI .raw of that size, 1024 x 1024 pixels and 200 frames, reads the
windows of 6Li and 7Li, and moves the slider of a real window over frames not
seen before; the same with a plain array of the same numbers for comparison.
"""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

import napari
import numpy as np
from large_file_study import FRAMES, write_phi
from qtpy.QtWidgets import QApplication

import napari_liso as liso
from napari_liso.plugin.layers import acquisition_layers

WINDOWS = {"6Li": (5.99, 6.04), "7Li": (6.98, 7.05)}


def steps(viewer: napari.Viewer) -> list[float]:
    """Return the milliseconds of each step, drawing included."""
    taken = []
    for frame in range(5, FRAMES, 9):
        start = time.perf_counter()
        viewer.dims.set_current_step(0, frame)
        QApplication.processEvents()
        viewer.screenshot(canvas_only=True, flash=False)
        taken.append(1e3 * (time.perf_counter() - start))
    return taken


def main() -> None:
    size = int(float(sys.argv[1] if len(sys.argv) > 1 else 0.5) * 1e9)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "map.raw"
        write_phi(path, size)
        acquisition = liso.read(path, windows=WINDOWS)
        (lithium,) = acquisition_layers(acquisition, frames=True)[1:]
        plain = (np.asarray(acquisition.counts[1]), lithium[1], lithium[2])
        print(f"{size / 1e9:g} GB; steps in ms: median, worst")
        for name, layer in (("read from the file", lithium), ("plain array", plain)):
            viewer = napari.Viewer()
            data, arguments, _ = layer
            viewer.add_image(data, **{**arguments, "visible": True})
            QApplication.processEvents()
            taken = steps(viewer)
            print(f"{name:20} {np.median(taken):6.0f} {max(taken):6.0f}")
            viewer.close()


if __name__ == "__main__":
    main()
