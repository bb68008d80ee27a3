"""Regions whose data jump at their borders: several tries, the likeliest is kept."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage.measure import label
from skimage.restoration import denoise_tv_chambolle
from skimage.segmentation import watershed

from napari_liso.microstructure.borders import move_borders
from napari_liso.microstructure.cutting import cut_regions
from napari_liso.microstructure.merging import (
    Field,
    Regions,
    explained_by_planes,
    merge_regions,
    overlay,
    renumber,
)
from napari_liso.microstructure.ridges import Ridges, line_credit, snap_to_ridges
from napari_liso.microstructure.strips import without_strips

__all__ = ["combine_with_lines", "join_small", "search_grains"]

# Chosen on simulated diffusion maps of Voronoi grains at 5 to 100 counts a pixel
# (benchmarks/segmentation_study.py); none of them is critical within a factor of 1.3.
_EVIDENCE = 25.0  # 2 ln L for a boundary: 5 standard errors, since many places were tried
_FIRST_CUTS = 8.0  # too many on purpose
_STAGES = (0.3, 0.6, 1.0)  # of the evidence: borders find their place in between
_LATER = (1.0,)  # the same once there are grains
_WIDTH, _STIFFNESS = 2.0, 24.0
_SWEEPS = 4
_BLOCK = 2  # pixels of the first cuts
_DENOISING = 2.5  # weight of the total variation, in standard deviations of noise
_TRIES = ("edges", "halves", "cuts")

Report = Callable[[float, str], None]


def search_grains(
    field: Field,
    sensitivity: float,
    smallest: int,
    width: float,
    report: Report | None = None,
) -> Regions:
    """Find the regions with the highest likelihood, less a price for each of them.

    Regions come from straight cuts, then from watersheds laid over the best
    regions so far, and from cuts of these; each time neighbours are merged and
    borders moved in turns. What has the highest 2 ln L minus the price is kept.

    Parameters
    ----------
    field
        The data.
    sensitivity
        Divides the evidence that a boundary must bring.
    smallest
        Pixels of the smallest grain.
    width
        Standard deviation in pixels of the smoothing before edges are searched.
    report
        Called as report(done from 0 to 1, what is being done).

    Returns
    -------
    ndarray
        Labels from 0 of connected regions.
    """
    price = _EVIDENCE / sensitivity
    total = len(_TRIES) + 1.0

    def tell(step: int) -> Callable[[float], None]:
        def inner(done: float) -> None:
            if report is not None:
                report(
                    (step + min(done, 1.0)) / total,
                    f"Looking for grains, {step + 1} of {len(_TRIES) + 1}",
                )

        return inner

    tried = _first_cuts(field, smallest, tell(0))
    best = _settle(field, tried, price, smallest, _STAGES, tell(0))
    value = _value(field, best, price)
    for step, kind in enumerate(_TRIES, start=1):
        tell(step)(0.0)
        if kind == "halves":
            tried = cut_regions(field, best, -np.inf, smallest, levels=1)
        elif kind == "cuts":
            tried = cut_regions(field, best, 0.5 * price, smallest, levels=2)
        else:
            tried = overlay(best, _basins(field, width))
        tried = _settle(field, tried, price, smallest, _LATER, tell(step))
        now = _value(field, tried, price)
        if now > value:
            best, value = tried, now
    return best


def combine_with_lines(
    field: Field,
    regions: Regions,
    between: Regions,
    ridges: Ridges,
    sensitivity: float,
    smallest: int,
) -> Regions:
    """Grains by steps and by lines at once.

    The borders of both are laid over each other and stay where the likelihood
    of the counts and the evidence of the lines together say so.

    Parameters
    ----------
    field
        The counts.
    regions
        Labels from 0, found by steps.
    between
        Labels from 0, found between lines.
    ridges
        The lines.
    sensitivity
        Divides the evidence that a boundary must bring.
    smallest
        Pixels of the smallest grain.

    Returns
    -------
    ndarray
        Labels from 0; borders run along the lines that are near them.
    """
    regions = snap_to_ridges(regions, ridges)
    both = overlay(regions, snap_to_ridges(between, ridges))
    price = _EVIDENCE / sensitivity
    both = join_small(without_strips(field, join_small(both, smallest), price), smallest)
    credit = line_credit(ridges, sensitivity, smallest, regions)
    return snap_to_ridges(merge_regions(field, both, price, credit), ridges)


def _first_cuts(field: Field, smallest: int, tell: Callable[[float], None]) -> Regions:
    """Cut the whole map, on blocks of pixels to save time: borders move later."""
    height, width = field.weight.shape
    weight, response, plain = map(_in_blocks, (field.weight, field.response, field.plain))
    coarse = Field(weight, response, plain, field.counts)
    empty = np.zeros(weight.shape, dtype=np.int64)
    regions = cut_regions(coarse, empty, _FIRST_CUTS, max(1, smallest // _BLOCK**2), tell)
    return regions.repeat(_BLOCK, axis=0).repeat(_BLOCK, axis=1)[:height, :width]


def _in_blocks(image: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sums over blocks of pixels, the last ones of a row or column in part empty."""
    missing = [(0, -size % _BLOCK) for size in image.shape]
    height, width = (size + end for size, (_, end) in zip(image.shape, missing, strict=True))
    blocks = np.pad(image, missing).reshape(height // _BLOCK, _BLOCK, width // _BLOCK, _BLOCK)
    return np.asarray(blocks.sum(axis=(1, 3)), dtype=np.float64)


def _settle(
    field: Field,
    regions: Regions,
    price: float,
    smallest: int,
    stages: tuple[float, ...],
    tell: Callable[[float], None],
) -> Regions:
    """Merge and move borders in turns."""
    for part in stages:
        tell(0.3 + 0.6 * part)
        regions = merge_regions(field, regions, part * price)
        regions = move_borders(field, regions, _WIDTH, _STIFFNESS, _SWEEPS)
        regions = without_strips(field, regions, part * price)
    return merge_regions(field, join_small(regions, smallest), price)


def _value(field: Field, regions: Regions, price: float) -> float:
    """2 ln L, up to a constant, minus the price of the regions."""
    explained = explained_by_planes(field, regions)
    return float(explained.sum()) - price * len(explained)


def _basins(field: Field, width: float) -> Regions:
    """Watershed of the gradient of the map without most of its noise (total variation)."""
    weight = ndimage.gaussian_filter(field.weight, width)
    known = weight > 1e-6 * weight.max()
    value = np.divide(
        ndimage.gaussian_filter(field.response, width),
        weight,
        out=np.zeros_like(weight),
        where=known,
    )
    if not known.all():
        nearest = ndimage.distance_transform_edt(
            ~known, return_distances=False, return_indices=True
        )
        value = value[tuple(nearest)]
    kernel = np.sqrt(4 * np.pi) * width
    if field.counts:
        # asin(sqrt(p)) of a binomial fraction has the variance 1 / (4 n) at any p.
        value = np.clip(value, 0.0, 1.0)
        weight = 4 * weight * value * (1 - value)
        value = np.arcsin(np.sqrt(value))
    noise = 1 / np.sqrt(np.median(weight[known])) / kernel
    # The weight of skimage's functional is relative to the range of the data.
    flat = denoise_tv_chambolle(value, weight=_DENOISING * noise, eps=2e-4, max_num_iter=300)
    relief = ndimage.gaussian_gradient_magnitude(flat, 0.6)
    if np.ptp(relief) == 0:
        return np.zeros(relief.shape, dtype=np.int64)
    basins: Regions = watershed(relief).astype(np.int64) - 1
    return basins


def join_small(regions: Regions, smallest: int) -> Regions:
    """Split regions into connected ones and join small ones to a neighbour; labels from 0.

    The host is the neighbour with which a piece shares the longest border.
    """
    pieces = label(regions + 1, connectivity=1).astype(np.int64)
    size = np.bincount(pieces.ravel())
    boxes = ndimage.find_objects(pieces)
    for piece in np.argsort(size, kind="stable").tolist():
        if not 0 < size[piece] < smallest:
            continue
        box = _grown(boxes[piece - 1])
        part = pieces[box]
        near = _across_faces(part, piece)
        if len(near) == 0:
            continue  # it fills the map
        host = int(np.bincount(near).argmax())
        part[part == piece] = host
        size[host] += size[piece]
        size[piece] = 0
        boxes[host - 1] = tuple(
            slice(min(a.start, b.start), max(a.stop, b.stop))
            for a, b in zip(boxes[host - 1], boxes[piece - 1], strict=True)
        )
    return renumber(pieces)


def _grown(box: tuple[slice, ...]) -> tuple[slice, ...]:
    """One pixel more on every side (numpy clips the far ones)."""
    return tuple(slice(max(s.start - 1, 0), s.stop + 1) for s in box)


def _across_faces(part: NDArray[np.int64], piece: int) -> NDArray[np.int64]:
    """Labels on the other side of each pixel face of a piece."""
    near = []
    for here, there in ((part[1:], part[:-1]), (part[:, 1:], part[:, :-1])):
        near += [
            there[(here == piece) & (there != piece)],
            here[(there == piece) & (here != piece)],
        ]
    return np.concatenate(near)
