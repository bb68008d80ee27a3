"""What happens to a layer in a viewer: updates in place, colour scales, colours of boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin import colours
from napari_liso.plugin.boundary_colours import (
    ColourScale,
    label_colormap,
    permeability_scale,
    scale_of,
    state_colours,
)
from napari_liso.plugin.boundary_values import QUANTITIES, STEPS, values_of
from napari_liso.plugin.from_layers import boundaries_from_layer, fit_from_layer
from napari_liso.plugin.placement import SPATIAL, Placement
from napari_liso.plugin.records import CORRECTIONS, EDITOR, OBJECT, PROVENANCE, role_of
from napari_liso.plugin.regions.far_field import FAR_FIELD

if TYPE_CHECKING:
    from napari.layers import Image, Labels, Layer

__all__ = [
    "Colouring",
    "choose_colour_mode",
    "colour_mode",
    "colour_modes",
    "colouring_of",
    "dress",
    "recolour_boundaries",
    "update",
]

_COLOUR_BY = "colour_by"
#: What a user chose for a boundaries layer, and keeps when boundaries are found anew.
_CHOSEN = (_COLOUR_BY, "columns", "result_columns")

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
    chosen = {key: before[key] for key in _CHOSEN if before.get(key)}
    arguments["metadata"][PROVENANCE].update(chosen)
    kept, new = layer.metadata.get(OBJECT), arguments["metadata"].get(OBJECT)
    if isinstance(kept, dict) and isinstance(new, dict):
        # views go on listening to the same selection; who finds the steps looks which still hold
        for key in ("selection", EDITOR, STEPS):
            if key in kept:
                new[key] = kept[key]
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


@dataclass(frozen=True, eq=False)
class Colouring:
    """How the boundaries of a layer are coloured.

    Parameters
    ----------
    mode
        ``"plain"``, ``"state"`` or a key of `QUANTITIES`.
    colours
        RGBA by id, (N + 1, 4), without the selection.
    scale
        From number to colour; None where there are no numbers.
    """

    mode: str
    colours: NDArray[np.float32]
    scale: ColourScale | None = None


def colour_modes(layer: Layer) -> list[str]:
    """Return what the boundaries of a layer can be coloured by."""
    values = values_of(layer)
    return ["plain", "state", *(key for key in QUANTITIES if key in values)]


def colour_mode(layer: Layer) -> str:
    """Return what the boundaries are coloured by: what was chosen, k after a fit, or nothing."""
    chosen = str(layer.metadata.get(PROVENANCE, {}).get(_COLOUR_BY, ""))
    if chosen in colour_modes(layer):
        return chosen
    return "plain" if fit_from_layer(layer) is None else "k"


def choose_colour_mode(layer: Layer, mode: str) -> None:
    """Colour the boundaries of a layer by something else; every dock that follows it is told."""
    record = {**layer.metadata.get(PROVENANCE, {}), _COLOUR_BY: mode}
    layer.metadata = {**layer.metadata, PROVENANCE: record}


def colouring_of(layer: Labels, image: Image | None = None) -> Colouring:
    """Return how the boundaries of a layer are coloured now.

    Parameters
    ----------
    layer
        The boundaries layer.
    image
        The log10 k layer, whose colormap and limits are then followed.
    """
    mode, values = colour_mode(layer), values_of(layer)
    boundaries = boundaries_from_layer(layer)
    size = 1 + (int(boundaries.table.index.max()) if len(boundaries.table) else 0)
    states = np.full(size, "removed", dtype=object)
    states[values.ids] = values["state"]
    fit = fit_from_layer(layer)
    if mode == "k" and fit is not None:
        stale = list(layer.metadata[OBJECT].get("stale") or ())
        table = fit.table.drop(index=stale, errors="ignore")
        log_k = colours.log_permeability(table, size)
        scale = permeability_scale(log_k, image)
        return Colouring(mode, state_colours(states, scale.colours(log_k)), scale)
    if mode in QUANTITIES:
        scale, numbers = scale_of(values, mode)
        shades = np.full((size, 4), np.nan, dtype=np.float32)
        shades[values.ids] = scale.colours(numbers)
        return Colouring(mode, state_colours(states, shades), scale)
    return Colouring(mode, state_colours(states, by_state=mode == "state"))


def recolour_boundaries(
    layer: Labels, selected: tuple[int, ...] = (), image: Image | None = None
) -> None:
    """Colour boundaries by state, a number and selection.

    Parameters
    ----------
    layer
        The boundaries layer.
    selected
        Ids to highlight.
    image
        The log10 k layer, whose colormap and limits are then followed.
    """
    colormap = label_colormap(colouring_of(layer, image).colours, selected)
    shown = layer.colormap
    if type(shown).__name__ == type(colormap).__name__ and np.array_equal(
        shown.colors, colormap.colors
    ):
        return  # a second dock: painting a large map anew takes a while
    layer.colormap = colormap
