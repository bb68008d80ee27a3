"""EBSD maps as layers: their grains, an image to find one's way by, and other grids."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.microstructure.ebsd import EbsdMap, grains_from_ebsd, with_misorientation
from napari_liso.microstructure.resampling import resample_nearest
from napari_liso.plugin.placement import Placement, has_length_unit, pixel_size_from_layer
from napari_liso.plugin.records import OBJECT, PROVENANCE, provenance, role_of
from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_liso.microstructure.boundaries import Boundaries
    from napari_liso.plugin.labelling.segmenting import Found

__all__ = [
    "ROLE",
    "EbsdReading",
    "EbsdSearch",
    "bring_onto",
    "ebsd_layers",
    "ebsd_of",
    "grains_on_grid",
    "lies_elsewhere",
    "open_ebsd",
    "with_ebsd",
]

LayerData = tuple[Any, dict[str, Any], str]

#: Of the image of band contrast, or image quality.
ROLE = "ebsd"

#: Neighbours turned by more are two grains, in degrees.
_THRESHOLD = 5.0
#: Grains of fewer points are wrong solutions.
_POINTS = 8
#: Lines without solutions up to so many points wide are boundaries.
_GAP = 3
#: Pixels of two grids that are no further apart are the same.
_SAME = 0.5
#: Share of the points that are darker, or lighter, than the limits of the image.
_TAIL = 0.5


@dataclass(frozen=True, eq=False)
class EbsdReading:
    """An EBSD map, and its layers ready to be shown."""

    ebsd: EbsdMap
    layers: list[LayerData]


def open_ebsd(path: Path, report: Callable[[float], None] = lambda done: None) -> EbsdReading:
    """Read an EBSD map and find its grains.

    Parameters
    ----------
    path
        ``.ang`` or ``.ctf``.
    report
        Is called with the share that is done.

    Raises
    ------
    FormatError
        If it cannot be read, or has no grain.
    """
    from napari_liso.readers._progress import listening
    from napari_liso.readers.ebsd import read_ebsd

    with listening(report):
        ebsd = read_ebsd(path)
    report(0.9)
    y, x = ebsd.pixel_size
    settings = {"min_area": _POINTS * y * x, "max_gap": _GAP * max(y, x)}
    try:
        if ebsd.phase.size < _POINTS**2:
            settings = {}
        grains = grains_from_ebsd(ebsd, float(np.deg2rad(_THRESHOLD)), **settings)
    except ValueError as error:
        raise FormatError(path, f"has no grains: {error}") from error
    layers = ebsd_layers(ebsd, grains, threshold_deg=_THRESHOLD, **settings)
    return EbsdReading(ebsd, layers)


def ebsd_layers(ebsd: EbsdMap, grains: NDArray[np.int32], **parameters: Any) -> list[LayerData]:
    """Image layer of the band contrast, or image quality, and Labels layer of the grains.

    Parameters
    ----------
    ebsd
        The map; kept with the grains, so that their boundaries get misorientations.
    grains
        On its grid.
    parameters
        Of the search for grains, for the provenance.
    """
    from napari_liso.plugin.layers import GRAINS, grains_layer

    placement = Placement.of_pixel_size(ebsd.pixel_size)
    file = Path(str(ebsd.metadata.get("path", "EBSD"))).name
    layers: list[LayerData] = []
    for name in ("BC", "IQ"):
        if name in ebsd.images:
            layers.append(_image(ebsd, name, placement, file))
    record = {k: v for k, v in ebsd.metadata.items() if k != "header"}
    layer = grains_layer(grains, placement, GRAINS, sources=(file,), ebsd=record, **parameters)
    layer[1]["metadata"][OBJECT] = {"ebsd": ebsd}
    return [*layers, layer]


@dataclass(frozen=True, eq=False)
class EbsdSearch:
    """Grains to be found anew in an EBSD map that is kept with a layer.

    Parameters
    ----------
    layer
        The grains that there are.
    threshold_deg
        Neighbours turned by more are two grains, degrees.
    min_area
        Smaller grains go to their neighbours, m2.
    """

    layer: Layer
    threshold_deg: float
    min_area: float

    @property
    def parameters(self) -> dict[str, float]:
        """Of the search, for the provenance."""
        ebsd = ebsd_of(self.layer)
        gap = 0.0 if ebsd is None else _GAP * max(ebsd.pixel_size)
        return {
            "threshold_deg": self.threshold_deg, "min_area": self.min_area, "max_gap": gap,
        }  # fmt: skip

    def run(self, report: Callable[[float, str], None]) -> Found:
        """Find the grains, and their boundaries where there are two.

        Raises
        ------
        ValueError
            If nothing is left.
        """
        from napari_liso.plugin.labelling.segmenting import Found, find

        ebsd = ebsd_of(self.layer)
        if ebsd is None:
            raise ValueError(f"no EBSD map is kept with '{self.layer.name}'")
        limits = {k: v for k, v in self.parameters.items() if k != "threshold_deg"}
        report(0.0, "Finding grains")
        grains = grains_from_ebsd(ebsd, float(np.deg2rad(self.threshold_deg)), **limits)
        report(0.7, "Finding boundaries")
        try:
            return Found(grains, find(grains, ebsd.pixel_size).boundaries)
        except ValueError:  # a single grain
            return Found(grains, None)

    def proposal(self, grains: NDArray[Any], name: str) -> LayerData:
        """Return the layer of what was found, where the former grains are."""
        from napari_liso.plugin.layers import grains_layer

        record = self.layer.metadata[PROVENANCE]
        made = grains_layer(
            grains,
            Placement.of_layer(self.layer),
            name,
            sources=record.get("sources", ()),
            ebsd=record.get("ebsd"),
            segmented=True,
            segmented_from="EBSD",
            **self.parameters,
        )
        made[1]["metadata"][OBJECT] = {"ebsd": ebsd_of(self.layer)}
        return made


def bring_onto(viewer: ViewerModel, grains: Layer, counts: Layer) -> Layer:
    """Copy grains onto the pixels of counts, as a new layer; the former ones are hidden.

    EBSD grains lie as the image of their file does, which landmarks may have moved. That
    image goes below grains and boundaries.

    Raises
    ------
    ValueError
        As `grains_on_grid`.
    """
    from napari_liso.plugin.layers import add

    layers = viewer.layers
    image = _image_of(grains, layers)
    if image is not None:
        Placement.of_layer(image).apply(grains)
    made = grains_on_grid(grains, counts)
    if image is not None:
        lines = [layer for layer in layers if role_of(layer) in ("grains", "boundaries")]
        lowest = min(layers.index(layer) for layer in lines)
        if layers.index(image) > lowest:
            layers.move(layers.index(image), lowest)
    layer = add(viewer, made)
    grains.visible = False
    return layer


def _image_of(grains: Layer, layers: Iterable[Layer]) -> Layer | None:
    """Return the image that was opened along with EBSD grains, or None."""
    sources = grains.metadata.get(PROVENANCE, {}).get("sources")
    for image in layers:
        ours = role_of(image) == ROLE and image.metadata[PROVENANCE]["sources"] == sources
        if ours and image.data.shape[-2:] == grains.data.shape[-2:]:
            return image
    return None


def _image(ebsd: EbsdMap, name: str, placement: Placement, file: str) -> LayerData:
    image = ebsd.images[name]
    known = image[np.isfinite(image)]
    low, high = np.percentile(known, (_TAIL, 100 - _TAIL)) if known.size else (0.0, 1.0)
    arguments = {
        "name": f"EBSD {name}",
        "colormap": "gray",
        "contrast_limits": (float(low), float(max(high, low + 1e-6))),
        "metadata": {PROVENANCE: provenance(ROLE, (file,), image=name)},
        **placement.arguments,
    }
    return image, arguments, "image"


def ebsd_of(layer: Layer | None) -> EbsdMap | None:
    """Return the EBSD map kept with a layer of grains, on the grid of the layer; or None."""
    if layer is None or role_of(layer) != "grains":
        return None
    kept = layer.metadata.get(OBJECT)
    found = kept.get("ebsd") if isinstance(kept, dict) else None
    if found is None or found.shape != tuple(layer.data.shape[-2:]):
        return None
    return found


def with_ebsd(
    layer: Layer | None, boundaries: Boundaries, ids: Iterable[int] | None = None
) -> Boundaries:
    """Return boundaries with the column ``misorientation``, if their grains are from EBSD.

    Parameters
    ----------
    layer
        Of the grains.
    boundaries
        Of these grains.
    ids
        Which of them have changed; None: all.
    """
    ebsd = ebsd_of(layer)
    if ebsd is None or ebsd.shape != boundaries.grains.shape:
        return boundaries
    return with_misorientation(boundaries, ebsd, ids)


def grains_on_grid(grains: Layer, reference: Layer, name: str | None = None) -> LayerData:
    """Labels layer of grains on the pixels of another layer, where both lie in the world.

    Each pixel takes the label of the nearest pixel of the grains; those that they do not
    reach are 0. An EBSD map kept with the grains goes along.

    Parameters
    ----------
    grains
        Any Labels layer; where it lies is up to its placement, such as an overlay by
        landmarks.
    reference
        An image of the map.
    name
        Of the new layer; None: that of the grains, with the reference's behind it.

    Raises
    ------
    ValueError
        If one has a pixel size and the other has none, or they do not overlap.
    """
    from napari_liso.plugin.from_layers import grains_from_layer
    from napari_liso.plugin.layers import grains_layer

    matrix = _pixels_to_pixels(reference, grains)
    shape = (int(reference.data.shape[-2]), int(reference.data.shape[-1]))
    if getattr(reference, "rgb", False):
        shape = (int(reference.data.shape[-3]), int(reference.data.shape[-2]))
    found = resample_nearest(grains_from_layer(grains), matrix, shape)
    if not found.any():
        raise ValueError(
            f"'{grains.name}' and '{reference.name}' do not overlap; lay one over the other first"
        )
    data, arguments, kind = grains_layer(
        found,
        Placement.of_layer(reference),
        name or f"{grains.name} on {reference.name}",
        sources=(grains.name, reference.name),
        resampled="nearest pixel",
        matrix=matrix.tolist(),
    )
    ebsd = ebsd_of(grains)
    if ebsd is not None:
        # the pixel size is that of the EBSD map where the map's is unknown
        known = has_length_unit(reference)
        size = pixel_size_from_layer(reference) if known else ebsd.pixel_size
        arguments["metadata"][OBJECT] = {"ebsd": ebsd.resampled(matrix, shape, size)}
    return data, arguments, kind


def lies_elsewhere(grains: Layer | None, counts: Layer | None) -> bool:
    """Tell whether grains are on other pixels than the counts, so that they must be brought."""
    if grains is None or counts is None:
        return False
    if tuple(grains.data.shape[-2:]) != tuple(counts.data.shape[-2:]):
        return True
    if not (has_length_unit(grains) and has_length_unit(counts)):
        return False  # drawn or imported without a unit: they are taken to lie on the counts
    ny, nx = counts.data.shape[-2:]
    corners = np.array([(0, 0, 1), (0, nx - 1, 1), (ny - 1, 0, 1)], dtype=float)
    there = corners @ _pixels_to_pixels(counts, grains).T
    return bool(np.abs(there - corners).max() > _SAME)


def _pixels_to_pixels(start: Layer, end: Layer) -> NDArray[np.float64]:
    """Return the affine (3, 3) from (y, x, 1) in pixels of one layer to those of another."""
    lengths = [has_length_unit(layer) for layer in (start, end)]
    if lengths[0] != lengths[1]:
        without = end if lengths[0] else start
        raise ValueError(f"the pixel size of '{without.name}' is not known; give it first")
    factor = np.ones(2)
    if all(lengths):
        metres = [
            [float((1.0 * unit).to("m").magnitude) / MICROMETRE for unit in layer.units[-2:]]
            for layer in (start, end)
        ]
        factor = np.divide(metres[0], metres[1])
    corners = np.array([(0.0, 0.0), (1.0, 0.0), (0.0, 1.0)])
    there = []
    for corner in corners:
        world = np.asarray(start.data_to_world((*np.zeros(start.ndim - 2), *corner)))[-2:]
        full = (*np.zeros(end.ndim - 2), *(world * factor))
        there.append(np.asarray(end.world_to_data(full))[-2:])
    origin, down, right = there
    matrix = np.eye(3)
    matrix[:2] = np.stack([down - origin, right - origin, origin], axis=1)
    # rounded where only floating point speaks, so that edges of pixels stay edges
    return np.asarray(np.round(matrix, 9))
