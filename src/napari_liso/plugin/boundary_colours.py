"""Colours of boundaries: by state, by a number on a scale, and as napari takes them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from napari_liso.plugin.boundary_values import QUANTITIES, BoundaryValues, Quantity

if TYPE_CHECKING:
    from napari.layers import Image

__all__ = [
    "EXCLUDED",
    "LOCKED",
    "OUTLINE",
    "PERMEABILITY_COLORMAP",
    "SELECTED",
    "UNRESOLVED",
    "ColourScale",
    "label_colormap",
    "permeability_limits",
    "permeability_scale",
    "scale_of",
    "state_colours",
]

#: Readable on every part of the fraction's colours, safe for colour-blind eyes;
#: reversed so that a boundary that holds lithium back is the one that shouts.
PERMEABILITY_COLORMAP = "cool_r"

OUTLINE = (1.0, 1.0, 1.0, 0.75)
SELECTED = (0.2, 1.0, 0.2, 1.0)
UNRESOLVED = (0.62, 0.62, 0.62, 1.0)
#: A little blue: seen on grey maps, too.
EXCLUDED = (0.4, 0.5, 0.64, 0.85)
LOCKED = (1.0, 0.8, 0.1, 1.0)

# RGB at equal distances. Blue and yellow stay apart for all kinds of colour-blind eyes,
# and the steps of brightness for those who see none.
_ANCHORS: dict[str, tuple[tuple[float, float, float], ...]] = {
    "linear": ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0)),
    "log": ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0)),
    "signed": ((0.0, 0.45, 1.0), (0.45, 0.72, 1.0), (0.93, 0.93, 0.93), (1.0, 0.86, 0.4),
               (1.0, 0.72, 0.0)),
    "round": ((0.95, 0.95, 0.95), (0.1, 0.6, 1.0), (0.62, 0.3, 0.85), (1.0, 0.72, 0.0),
              (0.95, 0.95, 0.95)),
}  # fmt: skip
_SHARE = (2, 98)  # percentiles that the scale spans


@dataclass(frozen=True, eq=False)
class ColourScale:
    """From a number to a colour.

    Parameters
    ----------
    title
        Of the numbers, with their unit.
    low, high
        Ends, in the unit that is shown; log10 of that on a logarithmic scale.
    table
        RGBA (256, 4) from the low to the high end.
    log
        Whether the scale is logarithmic.
    """

    title: str
    low: float
    high: float
    table: NDArray[np.float64]
    log: bool = False

    def colours(self, numbers: NDArray[Any]) -> NDArray[np.float32]:
        """Return RGBA (..., 4) of numbers as `low` and `high` are given; NaN for NaN."""
        known = np.isfinite(numbers)
        place = (np.where(known, numbers, self.low) - self.low) / max(self.high - self.low, 1e-12)
        index = np.rint(np.clip(place, 0, 1) * (len(self.table) - 1)).astype(np.intp)
        made = self.table[index].astype(np.float32)
        made[~known] = np.nan
        return made

    def ticks(self, most: int = 5) -> list[tuple[float, str]]:
        """Return places from 0 to 1 along the scale, and what stands there."""
        span = max(self.high - self.low, 1e-12)
        if self.log:
            values, texts = _log_ticks(self.low, self.high, most)
        else:
            locator = MaxNLocator(most, steps=[1, 2, 2.5, 3, 5, 10])
            values = [float(v) for v in locator.tick_values(self.low, self.high)]
            if self.low == 0 and np.isclose(self.high, 180.0):
                values = [0.0, 45.0, 90.0, 135.0, 180.0]
            digits = _digits(values)
            texts = [f"{v:.{digits}f}".replace("-", "−") for v in values]
        places = [((v - self.low) / span, text) for v, text in zip(values, texts, strict=True)]
        return [(place, text) for place, text in places if -1e-6 <= place <= 1 + 1e-6]


def scale_of(values: BoundaryValues, key: str) -> tuple[ColourScale, NDArray[np.float64]]:
    """Return the scale of a quantity, and the numbers (row,) that it takes.

    Its ends hold 96 % of the boundaries that are not excluded; where signs matter, zero
    is in the middle.

    Parameters
    ----------
    values
        Of the boundaries.
    key
        One of `QUANTITIES` that the values have.
    """
    quantity = QUANTITIES[key]
    numbers = values[key] / quantity.size
    log = quantity.scale == "log"
    if log:
        positive = np.isfinite(numbers) & (numbers > 0)
        numbers = np.log10(numbers, out=np.full(len(numbers), np.nan), where=positive)
    shown = numbers[np.isfinite(numbers) & (values["state"] != "exclude")]
    low, high = _limits(shown, quantity)
    table = _table(_ANCHORS[quantity.scale])
    return ColourScale(quantity.title, low, high, table, log), numbers


def permeability_scale(log_k: NDArray[Any], image: Image | None = None) -> ColourScale:
    """Return the scale of log10 k (m/s): that of the log10 k layer if there is one.

    Parameters
    ----------
    log_k
        log10 of k (m/s); NaN where the data leave it open.
    image
        The log10 k layer.
    """
    title = QUANTITIES["k"].title
    if image is None:
        low, high = permeability_limits(log_k)
        return ColourScale(title, low, high, _table(_ANCHORS["log"])[::-1], True)
    low, high = (float(v) for v in image.contrast_limits)
    shades = np.asarray(image.colormap.map(np.linspace(0, 1, 256)), dtype=np.float64)
    return ColourScale(title, low, high, shades, True)


def permeability_limits(log_k: NDArray[Any]) -> tuple[float, float]:
    """Return limits of log10 k that hold 96 % of the boundaries, half a decade or more."""
    finite = log_k[np.isfinite(log_k)]
    if finite.size == 0:
        return -10.0, -6.0
    low, high = (float(v) for v in np.percentile(finite, _SHARE))
    return _widened(low, high, 0.5)


def state_colours(
    states: NDArray[Any], shades: NDArray[Any] | None = None, by_state: bool = False
) -> NDArray[np.float32]:
    """Return the colour of every boundary id, RGBA (N + 1, 4).

    Parameters
    ----------
    states
        State by id, (N + 1,); entry 0 is the background.
    shades
        Colour by id, (N + 1, 4), NaN where there is no value; None: one colour for all.
    by_state
        Whether locked ones have a colour of their own.
    """
    colours = np.empty((len(states), 4), dtype=np.float32)
    if shades is None:
        colours[:] = OUTLINE
    else:
        known = np.isfinite(shades).all(axis=1)
        colours[:] = np.where(known[:, None], shades, UNRESOLVED)
    if by_state:
        colours[states == "locked"] = LOCKED
    colours[states == "exclude"] = EXCLUDED
    colours[states == "removed"] = 0.0
    colours[0] = 0.0
    return colours


def label_colormap(colours: NDArray[Any], selected: Sequence[int] = ()) -> Any:
    """Return a colormap of napari that gives each label its row of RGBA colours.

    A cycle of as many colours as there are labels: napari turns it into a texture in
    arrays, two hundred times faster than a dictionary of 15,000 colours.
    """
    from napari.utils.colormaps import CyclicLabelColormap

    colours = np.array(colours, dtype=np.float32)
    chosen = np.asarray(selected, dtype=np.int64)
    colours[chosen[(chosen > 0) & (chosen < len(colours))]] = SELECTED
    if len(colours) < 2:  # a cycle has one colour beside the background's
        colours = np.zeros((2, 4), dtype=np.float32)
    return CyclicLabelColormap(colors=colours)


def _limits(shown: NDArray[np.float64], quantity: Quantity) -> tuple[float, float]:
    if quantity.scale == "round":
        return 0.0, float(np.pi / quantity.size)
    if shown.size == 0:
        return (-1.0, 1.0) if quantity.scale == "signed" else (0.0, 1.0)
    if quantity.scale == "signed":
        top = max(float(np.percentile(np.abs(shown), _SHARE[1])), 1e-3)
        return -top, top
    low, high = (float(v) for v in np.percentile(shown, _SHARE))
    least = 0.5 if quantity.scale == "log" else max(1e-9, 0.02 * abs(high))
    return _widened(low, high, least)


def _widened(low: float, high: float, least: float) -> tuple[float, float]:
    """Return limits that are no nearer to each other than `least`."""
    short = max(0.0, least - (high - low)) / 2
    return low - short, high + short


def _table(anchors: tuple[tuple[float, float, float], ...]) -> NDArray[np.float64]:
    """Return RGBA (256, 4) between colours at equal distances."""
    at, known = np.linspace(0, 1, 256), np.linspace(0, 1, len(anchors))
    parts = [np.interp(at, known, [anchor[c] for anchor in anchors]) for c in range(3)]
    return np.stack([*parts, np.ones(256)], axis=1)


def _digits(values: Sequence[float]) -> int:
    """Return the digits after the point that equally spaced numbers need."""
    for digits in range(6):
        if np.allclose(np.round(values, digits), values, rtol=0, atol=1e-9):
            return digits
    return 6


_FINE = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9)
_LEADING: tuple[tuple[float, ...], ...] = (_FINE, (1, 2, 3, 5), (1, 2, 5), (1, 3), (1,))


def _log_ticks(low: float, high: float, most: int) -> tuple[list[float], list[str]]:
    """Return log10 of round numbers between two ends, and the numbers as text."""
    for leading in _LEADING:
        powers = np.arange(np.floor(low), np.ceil(high) + 1)
        pairs = [(power + np.log10(m), m, int(power)) for power in powers for m in leading]
        inside = [p for p in pairs if low - 1e-6 <= p[0] <= high + 1e-6]
        if len(inside) <= most + 1:
            break
    else:
        inside = inside[:: int(np.ceil(len(inside) / most))]
    return [p[0] for p in inside], [_power_text(m, power) for _, m, power in inside]


_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def _power_text(leading: float, power: int) -> str:
    """Write ``200`` or ``2×10⁻⁸``."""
    if -2 <= power <= 3:
        return f"{leading * 10.0**power:g}"
    text = f"10{str(power).translate(_SUPERSCRIPT)}"
    return text if leading == 1 else f"{leading}×{text}"
