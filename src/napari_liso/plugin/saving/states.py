"""The state of a napari layer as plain values, and back into keyword arguments."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_liso.plugin.records import OBJECT

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["KINDS", "arguments_of", "keywords_of", "plain"]

_COMMON = (
    "name", "opacity", "blending", "visible", "scale", "translate", "rotate", "shear", "affine",
    "units", "axis_labels", "projection_mode",
)  # fmt: skip
#: What is kept of each kind of layer; others are not saved.
KINDS: dict[str, tuple[str, ...]] = {
    "image": (
        *_COMMON, "rgb", "contrast_limits", "gamma", "interpolation2d", "interpolation3d",
        "rendering", "iso_threshold", "attenuation",
    ),
    "labels": (*_COMMON, "features", "rendering"),
    "points": (
        *_COMMON, "ndim", "features", "text", "symbol", "size", "border_width",
        "border_width_is_relative", "border_color", "face_color", "shown", "antialiasing",
        "canvas_size_limits",
    ),
    "shapes": (
        *_COMMON, "ndim", "features", "text", "shape_type", "edge_width", "edge_color",
        "face_color", "z_index",
    ),
}  # fmt: skip

_COLORMAP = "colormap"
_METADATA = "metadata"
_CYCLIC = "by label"


class _Foreign(Exception):
    """A value that is no plain data."""


def arguments_of(layer: Layer, kind: str, state: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a layer looks like, as values that a file can hold.

    Parameters
    ----------
    layer
        The layer.
    kind
        One of `KINDS`.
    state
        Of `Layer.as_layer_data_tuple`.
    """
    arguments: dict[str, Any] = {}
    for key in KINDS[kind]:
        if key in state:
            try:
                arguments[key] = plain(state[key])
            except _Foreign:
                continue  # napari has a default for it
    colours = _colours(layer, kind)
    if colours is not None:
        arguments[_COLORMAP] = colours
    metadata = {}
    for key, value in layer.metadata.items():
        if key == OBJECT:
            continue
        try:
            metadata[str(key)] = plain(value)
        except _Foreign:
            continue  # another plugin's
    return {**arguments, _METADATA: metadata}


def plain(value: Any) -> Any:
    """Return a value in types of Python and numpy arrays of numbers.

    Raises
    ------
    Exception
        If it is something else.
    """
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, np.generic):
        return value.item() if value.dtype.kind in "biufcU" else plain(value.item())
    if isinstance(value, np.ndarray):
        if value.dtype.kind in "biufc":
            return np.array(value)  # a copy, and no subclass
        if value.ndim == 0:
            return plain(value.item())
        return [plain(one) for one in value.tolist()]
    if isinstance(value, pd.DataFrame):
        return _plain_table(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        made = [plain(one) for one in value]
        return tuple(made) if isinstance(value, tuple) else made
    if type(value).__name__ == "Unit":
        return str(value)
    raise _Foreign(type(value).__name__)


def _plain_table(table: pd.DataFrame) -> pd.DataFrame:
    """Return a copy whose columns a file can hold: what is no number or word becomes objects."""
    made = table.copy()
    for name in made.columns:
        kind = made[name].dtype
        held = isinstance(kind, pd.StringDtype) or (
            isinstance(kind, np.dtype) and kind.kind in "biufcO"
        )
        if not held:
            made[name] = made[name].astype(object)
    return made


def _colours(layer: Any, kind: str) -> Any:
    """Return a colormap as its name, or as its colours."""
    if kind == "image" and not layer.rgb:
        from napari.utils.colormaps import AVAILABLE_COLORMAPS

        colormap = layer.colormap
        if colormap.name in AVAILABLE_COLORMAPS:
            return str(colormap.name)
        return {
            "name": str(colormap.name),
            "colors": np.array(colormap.colors, dtype=float),
            "controls": np.array(colormap.controls, dtype=float),
            "interpolation": plain(colormap.interpolation),
        }
    if kind == "labels":
        chosen = getattr(layer.colormap, "color_dict", None)
        if chosen is not None:
            return [
                [None if key is None else int(key), np.array(colour, dtype=float)]
                for key, colour in chosen.items()
            ]
        # a list of colours by label, which begins again at its end
        return {_CYCLIC: np.array(layer.colormap.colors), "seed": float(layer.colormap.seed)}
    return None


def keywords_of(arguments: Mapping[str, Any], kind: str) -> dict[str, Any]:
    """Return the keyword arguments of a layer from what `arguments_of` made."""
    from napari.utils.colormaps import Colormap, CyclicLabelColormap, DirectLabelColormap

    keywords = {key: value for key, value in arguments.items() if key in (*KINDS[kind], _METADATA)}
    colours = arguments.get(_COLORMAP)
    if isinstance(colours, Mapping) and _CYCLIC in colours:
        keywords[_COLORMAP] = CyclicLabelColormap(
            colors=colours[_CYCLIC], seed=colours["seed"], background_value=0
        )
    elif isinstance(colours, Mapping):
        keywords[_COLORMAP] = Colormap(**colours)
    elif isinstance(colours, list):
        keywords[_COLORMAP] = DirectLabelColormap(color_dict=_color_dict(colours))
    elif colours is not None:
        keywords[_COLORMAP] = colours
    return keywords


def _color_dict(colours: list[Any]) -> Any:
    from collections import defaultdict

    known = {key: np.asarray(colour) for key, colour in colours}
    rest = known.setdefault(None, np.zeros(4))
    return defaultdict(lambda: rest, known)
