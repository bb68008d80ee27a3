"""The analysed sample in a viewer, as a picture or to look around in.

``python -m napari_liso.plugin.screenshot OUT.png`` writes a picture of the whole
window, ``... --show`` opens the viewer and waits until it is closed.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import napari

__all__ = ["main", "open_analysed"]

_PLUGIN = "napari-liso"
_SAMPLE = "llto_polycrystal_analysed"
_DOCK = "Analyse isotope map"
#: Window of the picture in pixels, and how long it may settle in s.
_SIZE = (1680, 940)
_SETTLE = 1.5


def open_analysed() -> napari.Viewer:
    """Open a viewer with the analysed sample, the dock of all steps, and a boundary chosen."""
    import napari

    viewer = napari.Viewer(title="napari-liso")
    viewer.open_sample(_PLUGIN, _SAMPLE)
    _, dock = viewer.window.add_plugin_dock_widget(_PLUGIN, _DOCK)
    viewer.reset_view()
    # The profile of the boundary that is known to hold lithium back most; a lower bound may
    # stand above it in the table.
    fitted = dock.context.current_fit().table
    resolved = fitted[fitted["verdict"] == "resolved"]
    dock.context.selection.select([int(resolved["permeability"].idxmin())])
    return viewer


def main(arguments: Sequence[str] | None = None) -> int:
    """Write a picture, or show the viewer until it is closed.

    Returns
    -------
    int
        Exit code: 0, 1 if the map was not drawn, 2 for wrong usage.
    """
    given = list(sys.argv[1:] if arguments is None else arguments)
    if len(given) != 1:
        print("usage: python -m napari_liso.plugin.screenshot OUT.png | --show", file=sys.stderr)
        return 2
    viewer = open_analysed()
    if given[0] == "--show":
        import napari

        napari.run()
        return 0
    viewer.window.resize(*_SIZE)
    _settle()
    viewer.reset_view()
    # Leave the corners to the colour scales and the scale bar.
    scene = getattr(viewer, "scene", viewer)
    scene.camera.zoom *= 0.86
    _settle()
    drawn = float(viewer.screenshot(canvas_only=True, flash=False)[..., :3].std())
    viewer.screenshot(given[0], canvas_only=False, flash=False)
    viewer.close()
    if not np.isfinite(drawn) or drawn < 1.0:
        print("OpenGL does not draw: the canvas is empty", file=sys.stderr)
        return 1
    return 0


def _settle() -> None:
    """Let Qt lay out and draw."""
    from qtpy.QtWidgets import QApplication

    end = time.monotonic() + _SETTLE
    while time.monotonic() < end:
        QApplication.processEvents()
        time.sleep(0.02)


if __name__ == "__main__":
    sys.exit(main())
