from __future__ import annotations

from napari.components import ViewerModel

from napari_liso.plugin.overlays import show_scale_bar


def test_scale_bar_is_shown_on_a_box() -> None:
    viewer = ViewerModel()
    bar = viewer.canvas.overlays.scale_bar if hasattr(viewer, "canvas") else viewer.scale_bar
    assert not bar.visible
    show_scale_bar(viewer)
    assert bar.visible
    assert bar.box
