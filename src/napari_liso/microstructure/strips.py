"""Narrow regions: a blurred step looks like a strip whose value lies between two grains."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_liso.microstructure.merging import SCALE, Field, Regions, fit_planes, renumber

__all__ = ["without_strips"]

_STRIP = 3.0  # pixels: half the width of what may be a strip without blur
_BLURS = 2.5  # the same in standard deviations of the blur
_SPLITS = np.linspace(-1.0, 1.0, 5)  # of the half width, about the middle
_SHARP = 0.5  # pixels: a border through a pixel mixes as much
_REACH = 3.0  # standard deviations of the kernel

_Float = NDArray[np.float64]


def without_strips(field: Field, regions: Regions, price: float) -> Regions:
    """Give narrow regions to their neighbours unless their data say that they are grains.

    What blur makes of the neighbours alone, with their border anywhere in the
    strip, is compared with what it makes of them and a strip of its own level.

    Parameters
    ----------
    field
        The data; `field.blur` is the standard deviation of the blur in pixels.
    regions
        Labels 0..N-1 (y, x).
    price
        Gain in 2 ln L that a strip must bring.

    Returns
    -------
    ndarray
        Labels, renumbered from 0; regions may be in pieces.
    """
    half = _half_widths(regions)
    thin = half <= max(_STRIP, _BLURS * field.blur)
    if not thin.any() or thin.all():
        return regions
    labels = regions.copy()
    planes = fit_planes(field, regions)
    size = np.bincount(regions.ravel())
    boxes = ndimage.find_objects(regions + 1)
    pad = int(_REACH * max(field.blur, _SHARP)) + 2
    for strip in np.nonzero(thin)[0][np.argsort(size[thin], kind="stable")].tolist():
        box = tuple(slice(max(s.start - pad, 0), s.stop + pad) for s in boxes[strip])
        _judge(field, labels, planes, strip, box, float(half[strip]), price)
    return renumber(labels)


def _half_widths(regions: Regions) -> _Float:
    """Distance in pixels from the border of the deepest pixel of each region."""
    edge = np.zeros(regions.shape, dtype=bool)
    for axis in (0, 1):
        differ = np.diff(regions, axis=axis) != 0
        edge |= np.pad(differ, [(0, int(axis == 0)), (0, int(axis == 1))])
        edge |= np.pad(differ, [(int(axis == 0), 0), (int(axis == 1), 0)])
    count = int(regions.max()) + 1
    if not edge.any():
        return np.full(count, np.inf)
    depth = 1 + ndimage.distance_transform_edt(~edge)
    return np.asarray(ndimage.maximum(depth, regions, np.arange(count)), dtype=np.float64)


def _judge(
    field: Field,
    labels: Regions,
    planes: _Float,
    strip: int,
    box: tuple[slice, ...],
    half: float,
    price: float,
) -> None:
    """Share a strip out to its neighbours, in place, where they explain its data."""
    part = labels[box]
    mine = part == strip
    others = np.unique(part[ndimage.binary_dilation(mine) & ~mine])
    if len(others) == 0:
        return  # it fills the map, or has been shared out
    y, x = np.indices(part.shape, dtype=np.float64)
    y, x = (y + box[0].start) / SCALE, (x + box[1].start) / SCALE
    weight = field.plain[box]
    response = field.value[box] * weight
    blur = max(field.blur, _SHARP)

    def image(of: Regions) -> _Float:
        return planes[of, 0] + planes[of, 1] * y + planes[of, 2] * x

    def blurred(sharp: _Float) -> _Float:
        return np.asarray(ndimage.gaussian_filter(sharp, blur, mode="nearest", truncate=_REACH))

    def likelihood(seen: _Float) -> float:
        return float((seen * (2 * response - weight * seen)).sum())

    share = blurred(mine.astype(np.float64))
    rest = blurred(np.where(mine, 0.0, image(part)))
    level = (share * (response - weight * rest)).sum() / ((weight * share**2).sum() + 1e-9)
    middle = np.array([1.0, y[mine].mean(), x[mine].mean()])
    above = others[planes[others] @ middle > level]
    best, value = part, -np.inf
    for to in _ways_to_share(part, mine, others, above, half):
        tried = np.where(mine, to, part)
        now = likelihood(blurred(image(tried)))
        if now > value:
            best, value = tried, now
    if likelihood(rest + level * share) - value < price:
        part[mine] = best[mine]


def _ways_to_share(
    part: Regions,
    mine: NDArray[np.bool_],
    others: NDArray[np.int64],
    above: NDArray[np.int64],
    half: float,
) -> Iterator[Regions]:
    """Labels for the pixels of a strip, its border at several places between two sides.

    Each side (neighbours whose values are above that of the strip, and the rest)
    takes its pixels by the nearest region.
    """
    upper = np.isin(part, above)
    lower = np.isin(part, others) & ~upper & ~mine
    if not upper.any() or not lower.any():
        yield _nearest(part, upper | lower)[0]  # it lies between no two
        return
    (high, to_high), (low, to_low) = _nearest(part, upper), _nearest(part, lower)
    for shift in 2 * half * _SPLITS:
        yield np.where(to_high - to_low < shift, high, low)


def _nearest(part: Regions, side: NDArray[np.bool_]) -> tuple[Regions, _Float]:
    """Label of the nearest pixel of a side, and how far it is."""
    away, index = ndimage.distance_transform_edt(~side, return_indices=True)
    return part[tuple(index)], away
