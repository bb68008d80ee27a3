"""Isotope ratio in the context menu of the layer list.

napari takes menu items of manifests for its menu bar only. The context menu is open to
items through app-model, whose application napari is; where that changes, the item is
missing and all else stays.
"""

from __future__ import annotations

from typing import Any

__all__ = ["on_activate", "open_ratio"]

_APP = "napari"
_MENU = "napari/layers/context"
_WHEN = "num_selected_image_layers >= 1"
_ID = "napari-liso.ratio_of_selected_layers"


def on_activate(context: Any) -> None:
    """Add the item once npe2 activates the plugin; it goes when the plugin is disabled."""
    from app_model import Action, Application
    from app_model.expressions import parse_expression
    from app_model.types import MenuRule

    app = Application.get_app(_APP)
    if app is None or _ID in app.commands:
        return
    action = Action(
        id=_ID,
        title="Isotope ratio (napari-liso)",
        tooltip="Open the Isotope ratio dock, with the two selected layers as the isotopes",
        callback=open_ratio,
        menus=[MenuRule(id=_MENU, group="7_napari_liso", when=parse_expression(_WHEN))],
    )
    context.register_disposable(app.register_action(action))


def open_ratio() -> None:
    """Open the dock in the present viewer; two selected layers of counts become its pair."""
    import napari

    viewer = napari.current_viewer()
    if viewer is not None:
        _, dock = viewer.window.add_plugin_dock_widget("napari-liso", "Isotope ratio")
        dock.ratio.take_selection()
