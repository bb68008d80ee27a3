"""Boundary lines of a micrograph: where they run and what they say about a boundary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.filters import sato, threshold_otsu
from skimage.morphology import h_maxima
from skimage.segmentation import watershed

from napari_liso.microstructure.merging import Regions

__all__ = [
    "Ridges",
    "find_ridges",
    "line_credit",
    "regions_between_lines",
    "snap_to_ridges",
]

# Evidence in 2 ln L that a face on a clear line brings: a boundary of 7 pixels that lies
# on a line needs no step. What one without a line costs depends on how many lines are there.
_ON_LINE = 4.0
_PIECE = 4.0  # faces without a line that speak as one
_COMPLETE = 0.95  # no micrograph is taken to show more of the boundaries
_NOISE = 2.4  # medians of the height: 1 % of the pixels of white noise are above
_REACH = 3  # pixels that a border may move to reach its line


@dataclass(frozen=True, eq=False)
class Ridges:
    """How much each pixel looks like part of a line.

    Parameters
    ----------
    height
        (y, x) response of the ridge filter, 0 or more.
    threshold
        Height from which on it is a line (Otsu, but above the noise); inf if all is flat.
    """

    height: NDArray[np.float64]
    threshold: float


def find_ridges(image: NDArray[np.float64], sigma: float, dark: bool) -> Ridges:
    """Look for lines `sigma` pixels wide to either side of their middle (Sato et al. 1998)."""
    value = ndimage.gaussian_filter(image, 0.5)
    height = sato(value, sigmas=[sigma, 1.5 * sigma], black_ridges=dark)
    height = ndimage.gaussian_filter(height, 0.75 * sigma)
    if np.ptp(height) == 0:
        return Ridges(height, np.inf)
    # Where there are few lines or none Otsu's threshold divides the noise.
    noise = _NOISE * float(np.median(height[height > 0]))
    return Ridges(height, max(float(threshold_otsu(height)), noise))


def regions_between_lines(ridges: Ridges, sensitivity: float, smallest: int) -> Regions:
    """Watershed from the places that are furthest from all lines, labels from 0.

    The distance from the lines closes gaps: a line with a missing piece still
    has a waist there.
    """
    lines = _lines(ridges, sensitivity, smallest)
    if not lines.any():
        return np.zeros(lines.shape, dtype=np.int64)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(~lines), 1.0)
    seeds, _ = ndimage.label(h_maxima(depth, 1.0 / sensitivity), np.ones((3, 3)))
    relief = ridges.height / ridges.height.max() - depth / depth.max()
    regions: Regions = watershed(relief, seeds).astype(np.int64) - 1
    return regions


def line_credit(
    ridges: Ridges, sensitivity: float, smallest: int, regions: Regions
) -> NDArray[np.float64]:
    """Evidence in 2 ln L (y, x) for each face of a boundary that runs here.

    Parameters
    ----------
    ridges
        The lines.
    sensitivity
        As in `regions_between_lines`.
    smallest
        Pixels of the smallest speck that is a line.
    regions
        Found without the lines: the share of their borders that lies on lines says
        how much a missing line means.

    Returns
    -------
    ndarray
        Positive near a line, negative elsewhere.
    """
    lines = _lines(ridges, sensitivity, smallest)
    if not lines.any():
        return np.zeros(lines.shape)
    # Borders found by steps are off by a pixel or two.
    near = ndimage.binary_dilation(lines, np.ones((3, 3)))
    border = ~_inside(regions)
    share = float(near[border].mean()) if border.any() else 0.0
    by_chance = float(near.mean())
    shown = np.clip((share - by_chance) / max(1 - by_chance, 1e-9), 0.0, _COMPLETE)
    return np.where(near, _ON_LINE, 2 * np.log1p(-shown) / _PIECE)


def snap_to_ridges(regions: Regions, ridges: Ridges) -> Regions:
    """Let borders run along the lines that are within a few pixels of them."""
    if not np.isfinite(ridges.threshold):
        return regions
    inner = _inside(regions)
    depth = ndimage.distance_transform_edt(inner) if not inner.all() else np.inf
    # A region too thin to have a core keeps its deepest pixels.
    deepest = ndimage.maximum(
        depth * np.ones(regions.shape), regions, np.arange(regions.max() + 1)
    )
    core = depth >= np.minimum(_REACH, np.asarray(deepest))[regions]
    # Away from lines the relief is flat: borders stay, they do not follow the noise.
    height = ridges.height / ridges.threshold
    relief = np.where(height > 1, np.minimum(height, 3), 0.0)
    snapped: Regions = watershed(relief, np.where(core, regions + 1, 0)).astype(np.int64) - 1
    return snapped


def _inside(regions: Regions) -> NDArray[np.bool_]:
    """Pixels whose four neighbours are of the same region."""
    inner = np.ones(regions.shape, dtype=bool)
    for axis in (0, 1):
        edge = np.diff(regions, axis=axis) != 0
        inner &= ~np.pad(edge, [(0, int(axis == 0)), (0, int(axis == 1))])
        inner &= ~np.pad(edge, [(int(axis == 0), 0), (int(axis == 1), 0)])
    return inner


def _lines(ridges: Ridges, sensitivity: float, smallest: int) -> NDArray[np.bool_]:
    """Pixels of lines; specks of noise are none."""
    lines = ridges.height > ridges.threshold / sensitivity
    pieces, _ = ndimage.label(lines, np.ones((3, 3)))
    size = np.bincount(pieces.ravel())
    size[0] = 0
    found: NDArray[Any] = (size >= smallest)[pieces]
    return found
