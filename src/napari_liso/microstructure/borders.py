"""Borders of regions move to where the data put them, and stay smooth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from napari_liso.microstructure.merging import SCALE, Field, Regions, fit_planes, renumber

__all__ = ["move_borders"]

_REACH = 2.5  # standard deviations of the kernel
_NEAR = 0.05  # of a kernel's mass must be a region's for a pixel to join it


def move_borders(
    field: Field, regions: Regions, width: float, stiffness: float, sweeps: int
) -> Regions:
    """Give every pixel to the region near it that is likeliest, short borders preferred.

    Threshold dynamics (Merriman, Bence and Osher 1994; for many regions Esedoglu
    and Otto 2015): a pixel goes to the region with the highest ln L under its
    plane plus `stiffness` times the share of the region in a normal kernel
    around the pixel. Unlike bonuses for like neighbours this has no preferred
    directions, and it sees further than one pixel.

    Parameters
    ----------
    field
        The data.
    regions
        Labels 0..N-1 (y, x).
    width
        Standard deviation of the kernel in pixels; corners are rounded by as much.
    stiffness
        In ln L.
    sweeps
        At most so many times over the map.

    Returns
    -------
    ndarray
        Labels, renumbered from 0; a region may have vanished or be in pieces.
    """
    labels = renumber(regions)
    pad = int(_REACH * width) + 1
    kernel = np.exp(-0.5 * (np.arange(-pad, pad + 1) / width) ** 2)
    kernel /= kernel.sum()
    for _ in range(sweeps):
        moved = _moved(field, labels, kernel, stiffness)
        changed = int((moved != labels).sum())
        labels = renumber(moved)
        if changed < 2e-4 * labels.size:
            break
    return labels


def _moved(
    field: Field, labels: Regions, kernel: NDArray[np.float64], stiffness: float
) -> Regions:
    """One sweep."""
    planes = fit_planes(field, labels).tolist()
    weight, response = field.weight.ravel(), field.response.ravel()
    best = np.full(labels.size, -np.inf)
    moved = labels.flatten()
    pad, columns = len(kernel) // 2, labels.shape[1]
    for k, box in enumerate(ndimage.find_objects(labels + 1)):
        grown = tuple(slice(max(s.start - pad, 0), s.stop + pad) for s in box)
        share = (labels[grown] == k).astype(np.float32)
        for axis in (0, 1):
            share = ndimage.correlate1d(share, kernel, axis=axis, mode="nearest")
        # Where a region has nearly all of the kernel, no other has enough to come in.
        y, x = np.nonzero((share > _NEAR) & (share < 1 - _NEAR))
        bonus = stiffness * share[y, x]
        y, x = y + grown[0].start, x + grown[1].start
        at = y * columns + x
        predicted = planes[k][0] + (planes[k][1] / SCALE) * y + (planes[k][2] / SCALE) * x
        score = bonus + predicted * (response[at] - 0.5 * weight[at] * predicted)
        better = score > best[at]
        at = at[better]
        best[at] = score[better]
        moved[at] = k
    return moved.reshape(labels.shape)
