"""What happens to a layer in a viewer: updates in place, colour scales, colours of boundaries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_liso.plugin import colours
from napari_liso.plugin.from_layers import fit_from_layer
from napari_liso.plugin.placement import SPATIAL, Placement
from napari_liso.plugin.records import CORRECTIONS, OBJECT, PROVENANCE, role_of
from napari_liso.plugin.regions.far_field import FAR_FIELD

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

__all__ = ["dress", "recolour_boundaries", "update"]

_WITH_SCALE = ("fraction", "ratio", "half interval", "model", "residual", "permeability")


def update(layer: Any, data: Any, arguments: dict[str, Any]) -> None:
    """Give an existing layer new data, placement, features and metadata."""
    before = layer.metadata.get(PROVENANCE, {})
    if role_of(layer) == "grains" and layer.data.shape == data.shape:
        # through the undo history, so that Ctrl+Z brings back what was drawn
        _repaint(layer, data)
    else:
        layer.data = data
        layer.editable = role_of(layer) != "boundaries"  # new data made it editable
    Placement({k: arguments[k] for k in arguments if k in SPATIAL}).apply(layer)
    if "features" in arguments:
        layer.features = arguments["features"]
        layer.colormap = arguments["colormap"]
    limits = arguments.get("contrast_limits")
    if limits is not None:
        ours = before.get("contrast_limits")
        as_ours = ours is not None and np.allclose(ours, layer.contrast_limits)
        if as_ours and not np.array_equal(limits, layer.contrast_limits):
            layer.contrast_limits = limits
    arguments["metadata"][PROVENANCE]["dressed"] = before.get("dressed", False)
    kept, new = layer.metadata.get(OBJECT), arguments["metadata"].get(OBJECT)
    if isinstance(kept, dict) and isinstance(new, dict):
        new["selection"] = kept["selection"]  # views go on listening to the same one
    # what was given to these counts by hand outlives other data of theirs
    kept_too = {k: v for k, v in layer.metadata.items() if k in (CORRECTIONS, FAR_FIELD)}
    layer.metadata = {**kept_too, **arguments["metadata"]}


def _repaint(layer: Any, data: Any) -> None:
    """Give a Labels layer new data as one step of its undo history."""
    where = np.nonzero(layer.data != data)
    if not len(where[0]):
        return
    # napari repaints the slice on show, which a layer hidden from the start has never made
    visible, layer.visible = layer.visible, True
    layer.refresh()
    with layer.block_history():
        layer.data_setitem(where, data[where].astype(layer.data.dtype))
    layer.visible = visible


def dress(layer: Layer) -> None:
    """Set what a layer tuple cannot carry.

    The colour scale and its name appear in the canvas where they say something.
    Boundaries are derived from the grains, so painting into them is turned off.
    Done once a layer: what the user turns off stays off.
    """
    record = layer.metadata.get(PROVENANCE, {})
    if not record or record.get("dressed"):
        return
    record["dressed"] = True
    if role_of(layer) == "boundaries":
        layer.editable = False
    if role_of(layer) not in _WITH_SCALE or not hasattr(layer, "colorbar"):
        return
    layer.colorbar.size = (22, 180)
    layer.colorbar.visible = True
    if hasattr(layer, "name_overlay"):
        layer.name_overlay.position = layer.colorbar.position
        layer.name_overlay.visible = True


def recolour_boundaries(
    layer: Labels, selected: tuple[int, ...] = (), image: Image | None = None
) -> None:
    """Colour boundaries by state, fitted k and selection.

    Parameters
    ----------
    layer
        The boundaries layer.
    selected
        Ids to highlight.
    image
        The log10 k layer, whose colormap and limits are then followed.
    """
    fit = fit_from_layer(layer)
    log_k = None if fit is None else colours.log_permeability(fit.table, len(layer.features))
    states = layer.features["state"].to_numpy()
    layer.colormap = colours.boundary_colormap(states, log_k, selected, image)
