"""Layers of the ratio dock beside the fraction: ratios, their intervals, counts, and colours.

Pure like the functions of `layers`: each returns (data, keyword arguments, layer type).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin import colours
from napari_liso.plugin.placement import Placement
from napari_liso.plugin.ratio.work import HueOptions, weighted_limits
from napari_liso.plugin.records import OBJECT, PROVENANCE, provenance

if TYPE_CHECKING:
    from napari_liso.counting.fraction import FractionMap
    from napari_liso.counting.ratio import RatioMap

__all__ = [
    "COUNTS",
    "HALF_INTERVAL",
    "HUE_INTENSITY",
    "RATIO",
    "half_interval_layer",
    "hue_intensity_layer",
    "pair_counts_layer",
    "ratio_layer",
]

LayerData = tuple[Any, dict[str, Any], str]

#: Roles of these layers.
RATIO = "ratio"
HALF_INTERVAL = "half interval"
COUNTS = "counts behind a fraction"
HUE_INTENSITY = "hue-intensity"

_UNCERTAINTY_COLORMAP = "viridis"
_COUNTS_COLORMAP = "gray"


def ratio_layer(
    ratio: RatioMap,
    name: str,
    placement: Placement,
    *,
    bin: int = 1,
    limits: tuple[float, float] | None = None,
    sources: Iterable[str] = (),
    **parameters: Any,
) -> LayerData:
    """Image layer of an isotope ratio or its delta in per mil, float32, NaN without counts.

    Parameters
    ----------
    ratio
        With its interval and counts, kept in the layer's metadata.
    name
        Of the layer.
    placement
        Of the counts.
    bin
        Counts pixels per pixel of the ratio, along each axis.
    limits
        Colour limits; None: from the data.
    sources
        Names of the layers that it was made from.
    parameters
        Of the computation, for the provenance.
    """
    limits = limits or weighted_limits(ratio.value, ratio.counts)
    data = np.where(np.isfinite(ratio.value), ratio.value, np.nan)  # no 7Li at all: no number
    record = provenance(RATIO, sources, bin=bin, **parameters, contrast_limits=list(limits))
    shift = 1000.0 if parameters.get("quantity") == "delta" else 0.0
    made = _image(
        data.astype(np.float32), name, placement.binned(bin), record, limits,
        colours.FRACTION_COLORMAP, ratio,
    )  # fmt: skip
    made[1]["gamma"] = _gamma(data, limits, shift)
    return made


def half_interval_layer(
    values: FractionMap | RatioMap,
    name: str,
    placement: Placement,
    *,
    bin: int = 1,
    limits: tuple[float, float] | None = None,
    sources: Iterable[str] = (),
    **parameters: Any,
) -> LayerData:
    """Image layer of half the width of the interval of each pixel, in the units of the value.

    `limits` are those of the map: where most pixels are known better, the colours end at their
    span, beyond which a pixel tells nothing.
    """
    with np.errstate(invalid="ignore"):
        half = (values.upper - values.lower) / 2
    half = np.where(np.isfinite(half), half, np.nan)
    known = half[np.isfinite(half)]
    top = float(np.percentile(known[:: max(1, known.size // 200_000)], 99)) if known.size else 1.0
    span = top if limits is None else limits[1] - limits[0]
    if known.size and np.median(known) < span / 2:
        top = min(top, span)
    ends = (0.0, top if top > 0 else 1.0)
    record = provenance(HALF_INTERVAL, sources, bin=bin, **parameters, contrast_limits=list(ends))
    return _image(
        half.astype(np.float32), name, placement.binned(bin), record, ends, _UNCERTAINTY_COLORMAP
    )


def pair_counts_layer(
    counts: NDArray[np.int64],
    name: str,
    placement: Placement,
    *,
    bin: int = 1,
    sources: Iterable[str] = (),
    **parameters: Any,
) -> LayerData:
    """Image layer of the detected counts of both isotopes behind each value."""
    limits = colours.count_limits(counts)
    record = provenance(COUNTS, sources, bin=bin, **parameters, contrast_limits=list(limits))
    return _image(counts, name, placement.binned(bin), record, limits, _COUNTS_COLORMAP)


def hue_intensity_layer(
    picture: NDArray[np.uint8],
    hue: HueOptions,
    name: str,
    placement: Placement,
    *,
    bin: int = 1,
    sources: Iterable[str] = (),
    automatic_top: bool = False,
    **parameters: Any,
) -> LayerData:
    """RGB Image layer whose hue is the value and whose brightness the counts.

    Parameters
    ----------
    picture
        (y, x, 3) uint8, of `napari_liso.counting.hue_intensity.hue_intensity`.
    hue
        Limits, full brightness, gamma and hues that it was made with.
    name, placement, bin, sources, parameters
        As for `ratio_layer`.
    automatic_top
        Whether the full brightness was chosen from the map, not by the user.
    """
    record = provenance(
        HUE_INTENSITY,
        sources,
        bin=bin,
        **parameters,
        hue={
            "limits": None if hue.limits is None else list(hue.limits),
            "full_brightness_counts": hue.top,
            "automatic_brightness": automatic_top,
            "gamma": hue.gamma,
            "hues": hue.hues,
        },
    )
    arguments = {
        "name": name,
        "rgb": True,
        "metadata": {PROVENANCE: record},
        **placement.binned(bin).arguments,
    }
    return picture, arguments, "image"


def _gamma(values: NDArray[np.float64], limits: tuple[float, float], shift: float) -> float:
    """Return the gamma of a map: below 1 where ratios of 1 : 30 would leave most of it dark.

    The layer's own setting, which the colour scale on the canvas shows. `shift` makes
    values proportional to the ratio.
    """
    low, high = limits
    finite = values[np.isfinite(values)]
    if not finite.size or high + shift <= 30 * max(low + shift, 0.0):
        return 1.0
    middle = (float(np.median(finite[:: max(1, finite.size // 200_000)])) - low) / (high - low)
    if not 0 < middle < 0.1:
        return 1.0
    return float(np.clip(np.log(0.4) / np.log(middle), 0.2, 1.0))


def _image(
    data: NDArray[Any],
    name: str,
    placement: Placement,
    record: dict[str, Any],
    limits: tuple[float, float],
    colormap: str,
    behind: object | None = None,
) -> LayerData:
    metadata = {PROVENANCE: record} if behind is None else {PROVENANCE: record, OBJECT: behind}
    arguments = {
        "name": name,
        "colormap": colormap,
        "contrast_limits": limits,
        "metadata": metadata,
        **placement.arguments,
    }
    return data, arguments, "image"
