"""The only place that turns objects into napari layers and back.

Every function ending in ``_layer`` or ``_layers`` is pure: it returns
(data, keyword arguments, layer type), which napari's reader and sample hooks
take as they are. `show` puts such a tuple into a viewer, or, when a layer of
that name and kind is there already, updates it in place. The functions ending
in ``_from_layer`` go the other way.

A layer's ``metadata["napari_liso"]`` says in JSON-able words what it is and how
it was made (`PROVENANCE`); ``metadata["napari_liso_object"]`` keeps the object
behind it (`OBJECT`), so that nothing has to be computed twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin import colours
from napari_liso.plugin.features import boundary_features
from napari_liso.plugin.placement import (
    SPATIAL,
    Placement,
    has_length_unit,
    pixel_size_from_layer,
    set_pixel_size,
)
from napari_liso.plugin.records import (
    OBJECT,
    PROVENANCE,
    channel_of,
    is_proposal,
    provenance,
    result_name,
    role_of,
)

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Labels, Layer

    from napari_liso.acquisition import Acquisition
    from napari_liso.counting.fraction import FractionMap
    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = [
    "BOUNDARIES",
    "GRAINS",
    "MODEL",
    "OBJECT",
    "PERMEABILITY",
    "PROVENANCE",
    "RESIDUAL",
    "Placement",
    "acquisition_from_layer",
    "acquisition_layers",
    "add",
    "boundaries_from_layer",
    "boundaries_layer",
    "channel_of",
    "counts_from_layer",
    "dress",
    "fit_from_layer",
    "fit_layers",
    "fraction_layer",
    "grains_from_layer",
    "grains_layer",
    "has_length_unit",
    "is_proposal",
    "pixel_size_from_layer",
    "provenance",
    "recolour_boundaries",
    "require_same_shape",
    "result_name",
    "role_of",
    "set_pixel_size",
    "show",
]

GRAINS = "Grains"
BOUNDARIES = "Grain boundaries"
PERMEABILITY = "log10 k (m/s)"
MODEL = "Model fraction"
RESIDUAL = "Residual (sigma)"

LayerData = tuple[Any, dict[str, Any], str]

_WITH_SCALE = ("fraction", "model", "residual", "permeability")


# --- objects to layers ------------------------------------------------------------------------


def acquisition_layers(acquisition: Acquisition, frames: bool = False) -> list[LayerData]:
    """One Image layer a channel.

    Parameters
    ----------
    acquisition
        What was read or simulated.
    frames
        False: all frames summed, (y, x). True: a (scan, y, x) stack each.
    """
    placement = Placement.of_pixel_size(acquisition.pixel_size)
    several = len(acquisition.channels) > 1
    layers: list[LayerData] = []
    for index, channel in enumerate(acquisition.channels):
        name = channel
        data: Any = acquisition[channel] if not frames else acquisition.counts[index]
        if frames:
            name = f"{channel} scans"
        preview = np.asarray(data if not frames else data[data.shape[0] // 2])
        mass = float(acquisition.masses[index])
        limits = colours.count_limits(preview)
        record = provenance(
            "scans" if frames else "counts",
            channel=channel,
            contrast_limits=list(limits),
            mass=mass if np.isfinite(mass) else None,
            frames=int(acquisition.counts.shape[1]),
            acquisition=acquisition.metadata,
        )
        arguments = {
            "name": name,
            "contrast_limits": limits,
            "colormap": "gray",
            "visible": index == 0 or not several,
            "metadata": {PROVENANCE: record, OBJECT: acquisition},
            **(placement.stacked("scan") if frames else placement).arguments,
        }
        layers.append((data, arguments, "image"))
    return layers


def fraction_layer(
    fraction: FractionMap,
    name: str,
    placement: Placement,
    *,
    bin: int = 1,
    limits: tuple[float, float] | None = None,
    sources: Iterable[str] = (),
    **parameters: Any,
) -> LayerData:
    """Image layer of an isotope fraction, float32, NaN without counts.

    Parameters
    ----------
    fraction
        With its interval and counts, kept in the layer's metadata.
    name
        Of the layer.
    placement
        Of the counts.
    bin
        Counts pixels per pixel of the fraction, along each axis.
    limits
        Colour limits, such as background and source; None: from the data.
    sources
        Names of the layers that it was made from.
    parameters
        Of the computation, for the provenance.
    """
    limits = colours.readable_limits(
        *(limits or colours.fraction_limits(fraction.value, fraction.counts))
    )
    record = provenance("fraction", sources, bin=bin, **parameters, contrast_limits=list(limits))
    arguments = {
        "name": name,
        "colormap": colours.FRACTION_COLORMAP,
        "contrast_limits": limits,
        "metadata": {PROVENANCE: record, OBJECT: fraction},
        **placement.binned(bin).arguments,
    }
    return fraction.value.astype(np.float32), arguments, "image"


def grains_layer(
    grains: NDArray[Any],
    placement: Placement,
    name: str = GRAINS,
    sources: Iterable[str] = (),
    **parameters: Any,
) -> LayerData:
    """Labels layer of grains; 0 is not a grain. Empty grains are there to be drawn into."""
    dtype = np.uint16 if grains.size == 0 or grains.max() <= np.iinfo(np.uint16).max else np.int32
    arguments = {
        "name": name,
        "opacity": 0.5,
        "metadata": {PROVENANCE: provenance("grains", sources, **parameters)},
        **placement.arguments,
    }
    return grains.astype(dtype), arguments, "labels"


def boundaries_layer(
    boundaries: Boundaries,
    placement: Placement,
    name: str = BOUNDARIES,
    *,
    fit: DiffusionFit | None = None,
    sources: Iterable[str] = (),
    **facts: Any,
) -> LayerData:
    """Labels layer of boundaries: one id each, dense, with a row of features for each id."""
    features = boundary_features(boundaries, fit)
    log_k = None if fit is None else colours.log_permeability(fit.table, len(features))
    arguments = {
        "name": name,
        "opacity": 1.0,
        "features": features,
        "colormap": colours.boundary_colormap(features["state"].to_numpy(), log_k),
        "metadata": {
            PROVENANCE: provenance("boundaries", sources, fitted=fit is not None, **facts),
            OBJECT: {"boundaries": boundaries, "fit": fit, "selection": None},
        },
        **placement.arguments,
    }
    return boundaries.labels.astype(np.uint16), arguments, "labels"


def fit_layers(
    fit: DiffusionFit,
    boundaries: Boundaries,
    placement: Placement,
    *,
    name: str = BOUNDARIES,
    limits: tuple[float, float] | None = None,
    sources: Iterable[str] = (),
) -> list[LayerData]:
    """Layers of a fit, bottom first: model, residual, log10 k image, boundaries.

    Parameters
    ----------
    fit
        The result.
    boundaries
        Those that were fitted.
    placement
        Of the counts.
    name
        Of the boundaries layer; the others carry its mark (`result_name`).
    limits
        Colour limits of the model: those of the measured fraction.
    sources
        Names of the layers that were fitted.
    """
    sources = list(sources)
    low, high = limits or colours.value_limits(fit.fraction)
    worst = colours.RESIDUAL_LIMIT
    size = 1 + (int(boundaries.table.index.max()) if len(boundaries.table) else 0)
    log_k = colours.log_permeability(fit.table, size)
    images = (
        ("model", MODEL, fit.fraction, colours.FRACTION_COLORMAP, (low, high)),
        ("residual", RESIDUAL, fit.residual, colours.RESIDUAL_COLORMAP, (-worst, worst)),
        (
            "permeability",
            PERMEABILITY,
            log_k[boundaries.labels],
            colours.PERMEABILITY_COLORMAP,
            colours.permeability_limits(log_k),
        ),
    )
    layers: list[LayerData] = []
    for role, base, data, colormap, clim in images:
        record = provenance(role, sources, contrast_limits=list(clim), fit=fit.provenance)
        arguments = {
            "name": result_name(base, name),
            "colormap": colormap,
            "contrast_limits": clim,
            "visible": role == "permeability",
            "metadata": {PROVENANCE: record},
            **placement.arguments,
        }
        layers.append((np.asarray(data, dtype=np.float32), arguments, "image"))
    layers.append(
        boundaries_layer(
            boundaries, placement, name, fit=fit, sources=sources, parameters=fit.provenance
        )
    )
    return layers


# --- into the viewer --------------------------------------------------------------------------


def show(viewer: ViewerModel, layer_data: LayerData) -> Layer:
    """Add a layer, or update the one of the same name, kind and role in place.

    An updated layer keeps what the user chose: visibility, opacity, colormap of
    images, and contrast limits where they were changed by hand.
    """
    data, arguments, kind = layer_data
    role = arguments["metadata"][PROVENANCE]["role"]
    for old in viewer.layers:
        # the class by name: seen from a dock widget, a layer is a proxy
        same_kind = old.__class__.__name__.lower() == kind and old.ndim == data.ndim
        same = old.name == arguments["name"] and role_of(old) == role
        if same and same_kind:
            _update(old, data, arguments)
            return old
    return add(viewer, layer_data)


def add(viewer: ViewerModel, layer_data: LayerData) -> Layer:
    """Add a layer, whatever is there; images go below grains and boundaries."""
    from napari.layers import Layer

    data, arguments, kind = layer_data
    lowest = [i for i, old in enumerate(viewer.layers) if role_of(old) in ("grains", "boundaries")]
    layer = viewer.add_layer(Layer.create(data, arguments, kind))
    if kind == "image" and lowest:  # an image must not cover the lines drawn over it
        viewer.layers.move(len(viewer.layers) - 1, lowest[0])
    dress(layer)
    return layer


def _update(layer: Any, data: Any, arguments: dict[str, Any]) -> None:
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
        if ours is not None and np.allclose(ours, layer.contrast_limits):
            layer.contrast_limits = limits
    arguments["metadata"][PROVENANCE]["dressed"] = before.get("dressed", False)
    kept, new = layer.metadata.get(OBJECT), arguments["metadata"].get(OBJECT)
    if isinstance(kept, dict) and isinstance(new, dict):
        new["selection"] = kept["selection"]  # views go on listening to the same one
    layer.metadata = arguments["metadata"]


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


# --- layers to objects ------------------------------------------------------------------------


def counts_from_layer(layer: Layer) -> NDArray[np.int64]:
    """Return the (y, x) counts of an image layer, leading axes summed.

    Raises
    ------
    ValueError
        If the layer is not an image of non-negative whole numbers.
    """
    if layer.__class__.__name__ != "Image" or cast("Image", layer).rgb or layer.ndim < 2:
        raise ValueError(f"'{layer.name}' is not an image of counts")
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
    """Return the acquisition that a counts layer shows, or None."""
    if role_of(layer) not in ("counts", "scans"):
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
