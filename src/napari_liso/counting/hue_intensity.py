"""A picture of a ratio that says how much it is worth: hue is the value, brightness the counts."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["HUES", "brightest", "hue_colours", "hue_intensity"]

#: What the hue may run through, from the lower to the upper limit.
HUES = ("spectrum", "blue-orange")

#: OKLab: from linear sRGB to cone responses, and from their cube roots to (L, a, b).
_CONES = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
#: Lightness of every hue at full brightness: there the gamut of a screen is wide all around.
_LIGHTNESS = 0.74
#: Hue angles in degrees: blue over cyan, green and yellow to red; blue, and orange.
_SPECTRUM = (265.0, 25.0)
_BLUE, _ORANGE = 262.0, 68.0
_MOST_CHROMA = 0.16
_LEVELS = 256

Floats = NDArray[np.float64]


def hue_intensity(
    value: ArrayLike,
    counts: ArrayLike,
    limits: tuple[float, float],
    top: float | None = None,
    gamma: float = 1.0,
    hues: str = "spectrum",
) -> NDArray[np.uint8]:
    r"""Colours of a map of ratios in which pixels without counts do not shout.

    Parameters
    ----------
    value
        Fraction, ratio or delta, any shape; beyond the limits it takes the hue of
        the nearer one, where it is NaN the pixel is black.
    counts
        Counts behind each value, of the same shape.
    limits
        Values of the first and of the last hue.
    top
        Counts at which a pixel has full brightness; None: `brightest`.
    gamma
        Exponent of the brightness; below 1 lifts pixels of few counts.
    hues
        ``"spectrum"``: blue, cyan, green, yellow, red. ``"blue-orange"``: through
        grey, for eyes that do not tell red from green.

    Returns
    -------
    numpy.ndarray
        RGB of shape ``(*value.shape, 3)``, uint8 sRGB.

    Raises
    ------
    ValueError
        If shapes differ, counts are negative, or a parameter is out of its range.

    Notes
    -----
    All hues have the same lightness in OKLab [1]_ and follow each other in equal
    steps of its distance, so that equal differences of the value look equal and
    no hue seems to hold more counts than another. Brightness
    :math:`v = \min(N / N_\mathrm{top}, 1)^\gamma` shrinks (L, a, b) toward black.
    OKLab being linear in cube roots of light, this multiplies the light by
    :math:`v^3`: hue and saturation stay, and no colour leaves the screen's gamut.

    References
    ----------
    .. [1] B. Ottosson, "A perceptual color space for image processing" (2020),
       https://bottosson.github.io/posts/oklab/

    Examples
    --------
    >>> hue_intensity([0.1, 0.9, np.nan], [50, 50, 0], (0.1, 0.9), top=50).tolist()
    [[129, 168, 255], [255, 126, 119], [0, 0, 0]]
    """
    values, number = np.asarray(value, dtype=np.float64), np.asarray(counts)
    if values.shape != number.shape:
        raise ValueError(f"value {values.shape} and counts {number.shape} must have one shape")
    low, high = (float(limit) for limit in limits)
    if not (np.isfinite(low) and np.isfinite(high) and low < high):
        raise ValueError(f"limits must be two numbers, the lower one first, got {limits}")
    if not 0 < gamma < np.inf:
        raise ValueError(f"gamma must be a positive number, got {gamma}")
    if number.size and not number.min() >= 0:
        raise ValueError("counts must be numbers, not negative")
    full = brightest(number) if top is None else float(top)
    if not 0 < full < np.inf:
        raise ValueError(f"top must be a positive number of counts, got {top}")
    known = ~np.isnan(values)  # an infinite ratio is beyond the limits, but is one
    place = np.where(known, (values - low) / (high - low), 0.0)
    bright = np.minimum(np.where(known, number, 0) / full, 1.0)
    if gamma != 1:
        bright **= gamma
    row = np.rint(np.clip(place, 0.0, 1.0) * (_LEVELS - 1)).astype(np.intp)
    column = np.rint(bright * (_LEVELS - 1)).astype(np.intp)
    return _table(hues).reshape(-1, 3)[row * _LEVELS + column]


def hue_colours(hues: str = "spectrum") -> NDArray[np.uint8]:
    """Return the hues at full brightness, (256, 3) uint8 sRGB, as a scale or colormap."""
    return _table(hues)[:, -1].copy()


def brightest(counts: ArrayLike) -> float:
    """Return the counts at which a map should have full brightness.

    The 90th percentile of the pixels with counts: a few hot pixels do not darken the rest.
    """
    number = np.asarray(counts)
    stride = max(1, number.size // 1_000_000)
    some = number.ravel()[::stride]
    some = some[some > 0]
    return max(1.0, float(np.percentile(some, 90))) if some.size else 1.0


@lru_cache(maxsize=len(HUES))
def _table(hues: str) -> NDArray[np.uint8]:
    """Return the colour of every value and brightness, (256, 256, 3)."""
    if hues not in HUES:
        raise ValueError(f"hues must be one of {', '.join(HUES)}, got {hues!r}")
    if hues == "spectrum":
        angle = np.linspace(*_SPECTRUM, 1441)
        widest = np.interp(angle[::-1], angle[::-8], _gamut(angle[::-8]))[::-1]
        chroma = np.minimum(_smooth(np.minimum(widest, _MOST_CHROMA)), widest)
    else:
        ends = _gamut(np.array([_BLUE, _ORANGE])).min()
        chroma = np.abs(np.linspace(-1.0, 1.0, 1441)) * min(ends, _MOST_CHROMA)
        angle = np.repeat([_BLUE, _ORANGE], [720, 721])
    turn = np.radians(angle)
    path = np.stack([chroma * np.cos(turn), chroma * np.sin(turn)], axis=-1)
    # in equal steps of perceived difference, which at one lightness is length in (a, b)
    length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(path, axis=0).T))])
    steps = np.linspace(0.0, length[-1], _LEVELS)
    a, b = (np.interp(steps, length, path[:, axis]) for axis in (0, 1))
    light = np.clip(_linear_rgb(np.stack([np.full(_LEVELS, _LIGHTNESS), a, b], axis=-1)), 0, 1)
    bright = np.linspace(0.0, 1.0, _LEVELS)[:, np.newaxis]
    table = np.rint(255 * _encoded(light[:, np.newaxis] * bright**3)).astype(np.uint8)
    table.setflags(write=False)
    return table


def _gamut(angle: Floats) -> Floats:
    """Return the largest chroma that a screen shows at each hue angle in degrees."""
    chroma = np.linspace(0.0, 0.3, 1501)[:, np.newaxis]
    turn = np.radians(angle)
    lab = [np.full_like(chroma * turn, _LIGHTNESS), chroma * np.cos(turn), chroma * np.sin(turn)]
    light = _linear_rgb(np.stack(lab, axis=-1))
    outside = np.any((light < 0) | (light > 1), axis=-1)
    return np.asarray(chroma[np.argmax(outside, axis=0) - 1, 0])


def _smooth(chroma: Floats, width: int = 181) -> Floats:
    """Round off the corners of the gamut, which would show as bands."""
    return np.convolve(np.pad(chroma, width // 2, "edge"), np.full(width, 1 / width), "valid")


def _linear_rgb(lab: Floats) -> Floats:
    cones: Floats = (lab @ np.linalg.inv(_LAB).T) ** 3
    return cones @ np.linalg.inv(_CONES).T


def _encoded(light: Floats) -> Floats:
    """Return the sRGB transfer function (IEC 61966-2-1) of linear light."""
    bent = 1.055 * np.power(np.maximum(light, 0.0031308), 1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, bent)
