"""What is drawn over the canvas."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from napari.components import ViewerModel

__all__ = ["show_scale_bar"]


def show_scale_bar(viewer: ViewerModel) -> None:
    """Show napari's scale bar, in white on a box that stands out from any map."""
    canvas = getattr(viewer, "canvas", None)
    # napari 0.8 has it on the viewer itself.
    bar = viewer.scale_bar if canvas is None else canvas.overlays.scale_bar
    bar.visible = True
    bar.box = True
