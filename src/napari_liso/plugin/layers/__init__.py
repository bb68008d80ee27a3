"""The only place that turns objects into napari layers and back.

Every function ending in ``_layer`` or ``_layers`` is pure: it returns
(data, keyword arguments, layer type), which napari's reader and sample hooks
take as they are; those of the Isotope ratio dock, of regions and of landmarks are in
the modules of this folder. `show` puts such a tuple into a viewer, or, when a layer of
that name and kind is there already, updates it in place. The functions ending in
``_from_layer`` go the other way.

A layer's ``metadata["napari_liso"]`` says in JSON-able words what it is and how
it was made (`PROVENANCE`); ``metadata["napari_liso_object"]`` keeps the object
behind it (`OBJECT`), so that nothing has to be computed twice.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin import colours
from napari_liso.plugin.features import boundary_features
from napari_liso.plugin.frames.choice import choice_facts, chosen_stack, chosen_sum
from napari_liso.plugin.from_layers import (
    acquisition_from_layer,
    boundaries_from_layer,
    counts_from_layer,
    fit_from_layer,
    grains_from_layer,
    require_same_shape,
)
from napari_liso.plugin.placement import (
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
from napari_liso.plugin.showing import dress, recolour_boundaries, update

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

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
    "has_image",
    "has_length_unit",
    "is_proposal",
    "made",
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


# --- objects to layers ------------------------------------------------------------------------


def acquisition_layers(acquisition: Acquisition, frames: bool = False) -> list[LayerData]:
    """One Image layer a channel; of a measurement without an image, one layer of its profile.

    Parameters
    ----------
    acquisition
        What was read or simulated.
    frames
        False: the chosen frames summed, (y, x). True: a (scan, y, x) stack of them
        each, lazy if the counts are.
    """
    if not has_image(acquisition):
        return [_profile_layer(acquisition)]
    placement = Placement.of_pixel_size(acquisition.pixel_size)
    layers: list[LayerData] = []
    for index, channel in enumerate(acquisition.channels):
        data: Any = chosen_stack(acquisition, index) if frames else chosen_sum(acquisition, index)
        preview = data
        if frames:
            # lazy counts stay so: napari then makes the frame that is looked at
            preview = np.asarray(data[data.shape[0] // 2])
        limits = colours.count_limits(preview)
        record = _count_record("scans" if frames else "counts", acquisition, index, limits)
        arguments = {
            "name": f"{channel} scans" if frames else channel,
            "contrast_limits": limits,
            "colormap": "gray",
            "visible": index == 0,
            "metadata": {PROVENANCE: record, OBJECT: acquisition},
            **(placement.stacked("scan") if frames else placement).arguments,
        }
        layers.append((data, arguments, "image"))
    return layers


def _count_record(
    role: str, acquisition: Acquisition, index: int, limits: tuple[float, float]
) -> dict[str, Any]:
    """Return the provenance of a channel's layer."""
    mass = float(acquisition.masses[index])
    return provenance(
        role,
        channel=acquisition.channels[index],
        contrast_limits=list(limits),
        mass=mass if np.isfinite(mass) else None,
        frames=int(acquisition.counts.shape[1]),
        **choice_facts(acquisition),
        acquisition=acquisition.metadata,
    )


def has_image(acquisition: Acquisition) -> bool:
    """Tell whether a measurement has more than one pixel."""
    return max(acquisition.counts.shape[2:]) > 1


def _profile_layer(acquisition: Acquisition) -> LayerData:
    """Image layer of a measurement of one pixel: a row a channel, a column a frame."""
    profile = np.asarray(acquisition.counts)[:, :, 0, 0]
    channels, frames = profile.shape
    limits = colours.count_limits(profile)
    record = _count_record("profile", acquisition, 0, limits)
    arguments = {
        "name": Path(str(acquisition.metadata.get("path", "profile"))).stem,
        "contrast_limits": limits,
        "gamma": 0.4,  # channels differ by orders of magnitude
        "colormap": "viridis",
        "visible": frames > 1,  # a spectrum's one number is nothing to look at
        "scale": (max(1.0, frames / (3 * channels)), 1.0),
        "units": ("pixel", "pixel"),
        "axis_labels": ("channel", "frame"),
        "metadata": {PROVENANCE: record, OBJECT: acquisition},
    }
    return profile, arguments, "image"


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
    grains: Iterable[str] = (),
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
    grains
        Name of the layer that the boundaries were found in: they go on belonging to it.
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
            boundaries, placement, name, fit=fit, sources=grains, parameters=fit.provenance
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
            update(old, data, arguments)
            return old
    return add(viewer, layer_data)


def made(layer_data: LayerData) -> Layer:
    """Return the layer of a tuple, as napari makes it from what a reader returns."""
    from napari.layers import Layer

    return Layer.create(*layer_data)


def add(viewer: ViewerModel, layer_data: LayerData) -> Layer:
    """Add a layer, whatever is there; images go below grains and boundaries."""
    kind = layer_data[2]
    lowest = [i for i, old in enumerate(viewer.layers) if role_of(old) in ("grains", "boundaries")]
    layer = viewer.add_layer(made(layer_data))
    if kind == "image" and lowest:  # an image must not cover the lines drawn over it
        viewer.layers.move(len(viewer.layers) - 1, lowest[0])
    dress(layer)
    return layer
