"""Colour limits and colours of the layers: what is shown, never what is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.plugin.features import shown_permeability

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = [
    "EXCLUDED",
    "OUTLINE",
    "SELECTED",
    "UNRESOLVED",
    "boundary_colormap",
    "boundary_colours",
    "count_limits",
    "fraction_limits",
    "log_permeability",
    "permeability_limits",
    "readable_limits",
    "value_limits",
]

FRACTION_COLORMAP = "inferno"
#: Readable on every part of `FRACTION_COLORMAP`, safe for colour-blind eyes;
#: reversed so that a boundary that holds lithium back is the one that shouts.
PERMEABILITY_COLORMAP = "cool_r"
RESIDUAL_COLORMAP = "RdBu_r"
RESIDUAL_LIMIT = 4.0

OUTLINE = (1.0, 1.0, 1.0, 0.75)
SELECTED = (0.2, 1.0, 0.2, 1.0)
UNRESOLVED = (0.62, 0.62, 0.62, 1.0)
EXCLUDED = (0.62, 0.62, 0.62, 0.35)


def count_limits(counts: NDArray[Any]) -> tuple[float, float]:
    """Return 0 and the 99.9 percentile of counts, which is at least 1."""
    stride = max(1, int(np.sqrt(counts.size / 1_000_000)))
    top = float(np.percentile(counts[..., ::stride, ::stride], 99.9)) if counts.size else 1.0
    return 0.0, max(1.0, top)


def value_limits(fraction: NDArray[Any]) -> tuple[float, float]:
    """Return the extremes of a fraction without noise, never the same number twice."""
    finite = fraction[np.isfinite(fraction)]
    if finite.size == 0:
        return 0.0, 1.0
    return readable_limits(float(finite.min()), float(finite.max()))


def readable_limits(low: float, high: float) -> tuple[float, float]:
    """Return limits of a fraction whose colour scale can be read.

    They are 0.01 apart or more. Where they span nearly everything they are 0
    and 1: napari would label a scale from 0.08 to 0.95 with 0.5 alone.
    """
    if high - low > 0.8:
        return 0.0, 1.0
    if high - low < 0.01:
        low, high = low - 0.05, high + 0.05
    return max(0.0, low), min(1.0, high)


def fraction_limits(value: NDArray[Any], counts: NDArray[Any]) -> tuple[float, float]:
    """Return the 0.5 and 99.5 percentile of a fraction, every ion counting once.

    Weighting by counts keeps nearly empty pixels, whose fraction is 0 or 1 by
    chance, from setting the colours.
    """
    good = np.isfinite(value) & (counts > 0)
    if not good.any():
        return 0.0, 1.0
    order = np.argsort(value[good])
    values = value[good][order]
    weight = np.cumsum(counts[good][order], dtype=float)
    low, high = values[np.searchsorted(weight, (0.005 * weight[-1], 0.995 * weight[-1]))]
    return readable_limits(float(low), float(high))


def log_permeability(table: pd.DataFrame, size: int) -> NDArray[np.float32]:
    """Return log10 of k (m/s) by boundary id, shape (size,); NaN where the data do not say.

    A bound counts where it sets the boundary apart: an upper bound below, or a
    lower bound above, the middle of the resolved ones. A boundary that is merely not
    slower than something slow would otherwise look slow.
    """
    values = np.full(size, np.nan, dtype=np.float32)
    columns = ("permeability", "permeability_lower", "permeability_upper", "verdict")
    rows = zip(*(table[column] for column in columns), strict=True)
    k = np.array([shown_permeability(*row) for row in rows], dtype=float)
    known = (table["verdict"].to_numpy() != "unresolved") & np.isfinite(k) & (k > 0)
    verdict = table["verdict"].to_numpy()
    if (verdict == "resolved").any():
        middle = float(np.median(k[verdict == "resolved"]))
        known &= ~((verdict == "lower_bound") & (k < middle))
        known &= ~((verdict == "upper_bound") & (k > middle))
    ids = table.index.to_numpy()
    known &= (ids > 0) & (ids < size)
    values[ids[known]] = np.log10(k[known])
    return values


def permeability_limits(log_k: NDArray[Any]) -> tuple[float, float]:
    """Return limits of log10 k that hold 96 % of the boundaries, half a decade or more."""
    finite = log_k[np.isfinite(log_k)]
    if finite.size == 0:
        return -10.0, -6.0
    low, high = (float(v) for v in np.percentile(finite, (2, 98)))
    short = max(0.0, 0.5 - (high - low)) / 2
    return low - short, high + short


def boundary_colours(
    states: NDArray[Any],
    shades: NDArray[Any] | None = None,
    selected: tuple[int, ...] = (),
) -> dict[int | None, Any]:
    """Return the colour of every boundary id for a direct labels colormap.

    Parameters
    ----------
    states
        State by id, shape (N + 1,); entry 0 is the background.
    shades
        Fitted colour by id, RGBA of shape (N + 1, 4), NaN where the data leave
        k open; None before a fit.
    selected
        Ids drawn in the colour of the selection.
    """
    colours: dict[int | None, Any] = {None: (0.0, 0.0, 0.0, 0.0), 0: (0.0, 0.0, 0.0, 0.0)}
    for label in range(1, len(states)):
        if states[label] in ("exclude", "removed"):
            colours[label] = EXCLUDED
        elif shades is None:
            colours[label] = OUTLINE
        else:
            shade = shades[label]
            colours[label] = tuple(shade) if np.isfinite(shade).all() else UNRESOLVED
    for label in selected:
        if label in colours:
            colours[label] = SELECTED
    return colours


def boundary_colormap(
    states: NDArray[Any],
    log_k: NDArray[Any] | None = None,
    selected: tuple[int, ...] = (),
    image: Image | None = None,
) -> Any:
    """Return the direct colormap of a boundaries layer, in the colours of `image` if given."""
    from napari.utils.colormaps import DirectLabelColormap, ensure_colormap

    shades = None
    if log_k is not None:
        if image is None:
            colormap = ensure_colormap(PERMEABILITY_COLORMAP)
            low, high = permeability_limits(log_k)
        else:
            colormap, (low, high) = image.colormap, image.contrast_limits
        shades = np.full((len(states), 4), np.nan)
        known = np.isfinite(log_k)
        span = max(high - low, 1e-9)
        shades[known] = colormap.map(np.clip((log_k[known] - low) / span, 0, 1))
    return DirectLabelColormap(color_dict=boundary_colours(states, shades, selected))
