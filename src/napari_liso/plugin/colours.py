"""Colour limits and colours of the layers: what is shown, never what is computed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.plugin.boundary_colours import (
    EXCLUDED,
    OUTLINE,
    PERMEABILITY_COLORMAP,
    SELECTED,
    UNRESOLVED,
    label_colormap,
    permeability_limits,
    permeability_scale,
    state_colours,
)
from napari_liso.plugin.features import shown_permeabilities

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = [
    "EXCLUDED",
    "OUTLINE",
    "PERMEABILITY_COLORMAP",
    "SELECTED",
    "UNRESOLVED",
    "boundary_colormap",
    "count_limits",
    "fraction_limits",
    "log_permeability",
    "permeability_limits",
    "readable_limits",
    "value_limits",
]

FRACTION_COLORMAP = "inferno"
RESIDUAL_COLORMAP = "RdBu_r"
RESIDUAL_LIMIT = 4.0


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
    rows = (table[column] for column in columns)
    k = shown_permeabilities(*(row.to_numpy() for row in rows))
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


def boundary_colormap(
    states: NDArray[Any],
    log_k: NDArray[Any] | None = None,
    selected: tuple[int, ...] = (),
    image: Image | None = None,
) -> Any:
    """Return the colormap of a boundaries layer, in the colours of `image` if given.

    Parameters
    ----------
    states
        State by id, shape (N + 1,); entry 0 is the background.
    log_k
        log10 of k (m/s) by id, NaN where the data leave it open; None before a fit.
    selected
        Ids drawn in the colour of the selection.
    image
        The log10 k layer.
    """
    shades = None if log_k is None else permeability_scale(log_k, image).colours(log_k)
    return label_colormap(state_colours(states, shades), selected)
