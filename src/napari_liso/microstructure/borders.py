"""Borders of regions move to where the data put them, and stay smooth."""

from __future__ import annotations

import numpy as np
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
    for _ in range(sweeps):
        planes = fit_planes(field, labels)
        best = np.full(labels.shape, -np.inf)
        moved = labels.copy()
        for k, box in enumerate(ndimage.find_objects(labels + 1)):
            grown = tuple(slice(max(s.start - pad, 0), s.stop + pad) for s in box)
            share = ndimage.gaussian_filter(
                (labels[grown] == k).astype(np.float64), width, mode="nearest", truncate=_REACH
            )
            y, x = np.nonzero(share > _NEAR)
            bonus = stiffness * share[y, x]
            y, x = y + grown[0].start, x + grown[1].start
            predicted = planes[k, 0] + (planes[k, 1] * y + planes[k, 2] * x) / SCALE
            score = bonus + field.score(y, x, predicted)
            better = score > best[y, x]
            y, x = y[better], x[better]
            best[y, x] = score[better]
            moved[y, x] = k
        changed = int((moved != labels).sum())
        labels = renumber(moved)
        if changed < 2e-4 * labels.size:
            break
    return labels
