"""From napari layers back to the objects that they show."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from napari_liso.counting.drift import AlignedStack
from napari_liso.plugin.records import OBJECT, role_of
from napari_liso.readers._lazy import ChannelStack

if TYPE_CHECKING:
    from napari.layers import Image, Layer

    from napari_liso.acquisition import Acquisition
    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = [
    "acquisition_from_layer",
    "boundaries_from_layer",
    "counts_from_layer",
    "fit_from_layer",
    "grains_from_layer",
    "require_same_shape",
]


def counts_from_layer(layer: Layer) -> NDArray[np.int64]:
    """Return the (y, x) counts of an image layer, leading axes summed.

    Raises
    ------
    ValueError
        If the layer is not an image of non-negative whole numbers.
    """
    if layer.__class__.__name__ != "Image" or cast("Image", layer).rgb or layer.ndim < 2:
        raise ValueError(f"'{layer.name}' is not an image of counts")
    if isinstance(layer.data, (ChannelStack, AlignedStack)):
        # frame by frame: the stack may be larger than memory, and holds counts only
        data = layer.data.frame_sum()
    else:
        data = np.asarray(layer.data[0] if cast("Image", layer).multiscale else layer.data)
    if data.dtype.kind == "f" and not (np.isfinite(data).all() and (data == np.rint(data)).all()):
        raise ValueError(
            f"'{layer.name}' holds fractional values, not counts: the statistics of an isotope "
            "fraction need the ions counted in every pixel"
        )
    if data.dtype.kind not in "iuf":
        raise ValueError(f"'{layer.name}' holds {data.dtype} values, not counts")
    if data.size and data.min() < 0:
        raise ValueError(f"'{layer.name}' holds negative values, which counts cannot be")
    whole = data.astype(np.int64)
    return whole.reshape(-1, *whole.shape[-2:]).sum(axis=0)


def acquisition_from_layer(layer: Layer) -> Acquisition | None:
    """Return the acquisition that a layer of counts shows, or None."""
    if role_of(layer) not in ("counts", "scans", "profile"):
        return None
    return cast("Acquisition | None", layer.metadata.get(OBJECT))


def grains_from_layer(layer: Layer) -> NDArray[np.int32]:
    """Return the (y, x) grain labels of a Labels layer.

    Raises
    ------
    ValueError
        If it is no Labels layer of one plane, or holds no grain at all.
    """
    if layer.__class__.__name__ != "Labels":
        raise ValueError(f"'{layer.name}' is not a Labels layer")
    data = np.asarray(layer.data)
    if int(np.prod(data.shape[:-2])) != 1:
        raise ValueError(
            f"'{layer.name}' has shape {data.shape}: grains are needed as one plane (y, x)"
        )
    grains = data.reshape(data.shape[-2:]).astype(np.int32)
    if not grains.any():
        raise ValueError(
            f"'{layer.name}' is empty: paint each grain with a label of its own, or press "
            "Segment from counts"
        )
    return grains


def boundaries_from_layer(layer: Layer) -> Boundaries:
    """Return the boundaries that a layer made by `boundaries_layer` shows.

    Raises
    ------
    ValueError
        If the layer is something else.
    """
    if role_of(layer) != "boundaries" or not isinstance(layer.metadata.get(OBJECT), dict):
        raise ValueError(f"'{layer.name}' holds no boundaries: press Find boundaries first")
    return cast("Boundaries", layer.metadata[OBJECT]["boundaries"])


def fit_from_layer(layer: Layer) -> DiffusionFit | None:
    """Return the fit that a boundaries layer shows, or None."""
    if role_of(layer) != "boundaries" or not isinstance(layer.metadata.get(OBJECT), dict):
        return None
    return cast("DiffusionFit | None", layer.metadata[OBJECT]["fit"])


def require_same_shape(*layers: Layer) -> None:
    """Raise ValueError unless all layers have as many pixels along y and x."""
    shapes = {layer.name: tuple(int(n) for n in layer.data.shape[-2:]) for layer in layers}
    if len(set(shapes.values())) > 1:
        listed = ", ".join(f"'{name}' {y} x {x}" for name, (y, x) in shapes.items())
        raise ValueError(f"the layers differ in shape (y x x): {listed}; choose layers of one map")
