"""A first segmentation into grains, for a person to edit."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage
from skimage.filters import sato, threshold_otsu
from skimage.measure import label
from skimage.morphology import h_maxima
from skimage.restoration import denoise_tv_chambolle
from skimage.segmentation import watershed

from napari_liso.microstructure.boundaries import check_pixel_size
from napari_liso.microstructure.merging import Field, Regions, merge_regions, refine_regions

__all__ = ["Edges", "segment_grains"]

Edges = Literal["steps", "dark", "bright"]

# Chosen on simulated diffusion maps of Voronoi grains at 3 to 100 counts a pixel;
# the result changes little within a factor of two of each.
_EVIDENCE_PER_FACE = 0.5
_EVIDENCE = 20.0
_STIFFNESS = 0.5
_DENOISING = 2.5  # weight of the total variation, in standard deviations of noise
_POOLED = 1500.0  # counts under the smoothing kernel

_SMALLEST = 25  # pixels, where min_area is not given


def segment_grains(
    image: ArrayLike | None = None,
    *,
    n6: ArrayLike | None = None,
    n7: ArrayLike | None = None,
    pixel_size: float | tuple[float, float] | None = None,
    min_area: float | None = None,
    smoothing: float | None = None,
    edges: Edges = "steps",
    sensitivity: float = 1.0,
) -> NDArray[np.int32]:
    """Divide a map into grains, from counts or from an image.

    With counts (`n6`, `n7`) the isotope fraction is taken as a plane in every
    grain that jumps at its boundaries; neighbouring regions are merged until the
    binomial likelihood says that they differ. Where neighbours have the same
    fraction (ahead of the tracer, or next to the source) no boundary can be
    seen. With an image, ``edges="steps"`` does the same with Gaussian noise
    (fraction images, orientation contrast); ``"dark"`` and ``"bright"`` look for
    boundary lines in a micrograph.

    Parameters
    ----------
    image
        (y, x), NaN where there is no value.
    n6, n7
        Counts (y, x), whole numbers; instead of `image`.
    pixel_size
        In m, a number or (y, x); needed for `min_area` and `smoothing`.
    min_area
        Smallest grain in m2; smaller ones join the neighbour with which they
        share the longest border. None = 25 pixels.
    smoothing
        Standard deviation in m of the smoothing that the search for edges
        starts from; for lines, half their width. None = by the number of
        counts, otherwise one pixel.
    edges
        What a boundary looks like in `image`; counts always have steps.
    sensitivity
        Above 1 for more and weaker boundaries, below 1 for fewer.

    Returns
    -------
    ndarray
        int32 labels (y, x), 1..N; every pixel belongs to a grain.

    Raises
    ------
    ValueError
        If there is not either an image or both counts, all counts are zero,
        the image holds no value, or a parameter is out of range.
    """
    field = _field(image, n6, n7)
    if edges not in get_args(Edges):
        raise ValueError(f"edges must be one of {', '.join(get_args(Edges))}, got {edges!r}")
    if not 0 < sensitivity < np.inf:
        raise ValueError(f"sensitivity must be positive, got {sensitivity!r}")
    if field.variance is None and edges != "steps":
        raise ValueError("counts have steps at boundaries; give lines as an image")
    smallest, sigma = _in_pixels(pixel_size, min_area, smoothing)
    if edges == "steps":
        regions = _by_steps(field, sigma, sensitivity)
    else:
        regions = _by_lines(field, sigma or 1.0, sensitivity, smallest, edges)
    return _tidy(regions, smallest)


def _field(image: ArrayLike | None, n6: ArrayLike | None, n7: ArrayLike | None) -> Field:
    """Check the input."""
    if (image is None) == (n6 is None) or (n6 is None) != (n7 is None):
        raise ValueError("give either an image, or the counts n6 and n7")
    if image is not None:
        values = np.asarray(image, dtype=np.float64)
        _check_shape("the image", values)
        known = np.isfinite(values)
        if not known.any():
            raise ValueError("the image holds no value")
        values = np.where(known, values, 0.0)
        return Field(known.astype(np.float64), values, _noise(values, known))
    six, seven = np.asarray(n6), np.asarray(n7)
    _check_shape("n6", six)
    if six.shape != seven.shape:
        raise ValueError(f"n6 has shape {six.shape}, n7 {seven.shape}")
    for name, counts in (("n6", six), ("n7", seven)):
        if counts.dtype.kind not in "iu" or counts.min() < 0:
            raise ValueError(f"{name} must hold whole counts >= 0")
    total = six.astype(np.float64) + seven
    if not total.any():
        raise ValueError("all counts are zero: there is nothing to segment")
    return Field(total, six.astype(np.float64))


def _check_shape(name: str, array: NDArray[Any]) -> None:
    if array.ndim != 2 or min(array.shape) < 4:
        raise ValueError(f"{name} must be (y, x), at least 4 x 4 pixels, got shape {array.shape}")


def _in_pixels(
    pixel_size: float | tuple[float, float] | None,
    min_area: float | None,
    smoothing: float | None,
) -> tuple[int, float | None]:
    """Smallest grain in pixels and standard deviation of the smoothing in pixels."""
    for name, value in (("min_area", min_area), ("smoothing", smoothing)):
        if value is not None and not 0 < value < np.inf:
            raise ValueError(f"{name} must be positive, got {value!r}")
    if pixel_size is None and min_area is None and smoothing is None:
        return _SMALLEST, None
    y, x = check_pixel_size(pixel_size)
    smallest = _SMALLEST if min_area is None else max(1, round(min_area / (y * x)))
    return smallest, None if smoothing is None else smoothing / np.sqrt(y * x)


def _noise(values: NDArray[np.float64], known: NDArray[np.bool_]) -> float:
    """Variance of the noise of single pixels, from second differences along the rows.

    Their median size does not see the few that straddle an edge; a plane has
    none. 1 - 2 1 has six times the variance of a pixel.
    """
    second = values[:, :-2] - 2 * values[:, 1:-1] + values[:, 2:]
    whole = known[:, :-2] & known[:, 1:-1] & known[:, 2:]
    size = np.median(np.abs(second[whole])) / 0.6745 if whole.any() else 0.0
    # An image without noise still has the rounding of its pixels.
    floor = 1e-6 * np.var(values[known]) + np.finfo(float).tiny
    return float(max(size**2 / 6, floor))


def _by_steps(field: Field, sigma: float | None, sensitivity: float) -> Regions:
    """Over-segment the denoised map, then merge and refine until the data say stop."""
    if sigma is None:
        mean = field.weight.mean()
        sigma = float(np.clip(np.sqrt(_POOLED / (4 * np.pi * mean)), 1.0, 3.0))
        sigma = sigma if field.variance is None else 1.0
    flat = _denoised(field, sigma)
    relief = ndimage.gaussian_gradient_magnitude(flat, 0.6)
    if np.ptp(relief) == 0:
        return np.zeros(relief.shape, dtype=np.int64)  # a constant map
    regions = watershed(relief).astype(np.int64) - 1
    evidence = _EVIDENCE / sensitivity
    for part in (0.5, 1.0):
        # Merging in two stages lets borders find their place in between.
        length = part * _EVIDENCE_PER_FACE / sensitivity
        regions = merge_regions(field, regions, length, evidence)
        regions = refine_regions(field, regions, _STIFFNESS)
    return regions


def _smooth(field: Field, sigma: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Smoothed value, that is sums over sums, and smoothed weight."""
    weight = ndimage.gaussian_filter(field.weight, sigma)
    response = ndimage.gaussian_filter(field.response, sigma)
    known = weight > 1e-6 * weight.max()
    value = np.divide(response, weight, out=np.full_like(weight, np.nan), where=known)
    if not known.all():
        nearest = ndimage.distance_transform_edt(
            ~known, return_distances=False, return_indices=True
        )
        value = value[tuple(nearest)]
    return value, weight


def _denoised(field: Field, sigma: float) -> NDArray[np.float64]:
    """Map of even noise without most of it, its edges kept (total variation).

    asin(sqrt(p)) of a binomial fraction has the variance 1 / (4 n) at any p.
    """
    value, weight = _smooth(field, sigma)
    kernel = np.sqrt(4 * np.pi) * sigma
    if field.variance is None:
        value = np.arcsin(np.sqrt(np.clip(value, 0.0, 1.0)))
        noise = 0.5 / np.sqrt(np.median(weight) + 0.5) / kernel
    else:
        noise = np.sqrt(field.variance) / kernel
    # The weight of skimage's functional is relative to the range of the data.
    return denoise_tv_chambolle(value, weight=_DENOISING * noise, max_num_iter=300, eps=1e-5)


def _by_lines(
    field: Field, sigma: float, sensitivity: float, smallest: int, edges: Edges
) -> Regions:
    """Watershed from the places that are furthest from all lines.

    Lines are where a ridge filter is high (Otsu's threshold). The distance from
    them closes gaps: a line with a missing piece still has a waist there.
    """
    value, _ = _smooth(field, 0.5)
    ridge = sato(value, sigmas=[sigma, 1.5 * sigma], black_ridges=edges == "dark")
    ridge = ndimage.gaussian_filter(ridge, 0.75 * sigma)
    if np.ptp(ridge) == 0:
        return np.zeros(ridge.shape, dtype=np.int64)
    lines = ridge > threshold_otsu(ridge) / sensitivity
    pieces, _ = ndimage.label(lines, np.ones((3, 3)))
    size = np.bincount(pieces.ravel())
    size[0] = 0
    lines = (size >= smallest)[pieces]  # specks of noise are not lines
    if not lines.any():
        return np.zeros(ridge.shape, dtype=np.int64)
    depth = ndimage.gaussian_filter(ndimage.distance_transform_edt(~lines), 1.0)
    seeds, _ = ndimage.label(h_maxima(depth, 1.0 / sensitivity), np.ones((3, 3)))
    relief = ridge / ridge.max() - depth / depth.max()
    return watershed(relief, seeds).astype(np.int64) - 1


def _tidy(regions: Regions, smallest: int) -> NDArray[np.int32]:
    """Split regions into connected grains, join small ones to a neighbour, number them."""
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
    return (np.unique(pieces, return_inverse=True)[1].reshape(pieces.shape) + 1).astype(np.int32)


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
