"""A first segmentation into grains, for a person to edit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from napari_liso.microstructure.boundaries import check_pixel_size
from napari_liso.microstructure.merging import Field
from napari_liso.microstructure.ridges import find_ridges, regions_between_lines
from napari_liso.microstructure.segmenting import combine_with_lines, join_small, search_grains

__all__ = ["Edges", "segment_grains"]

Edges = Literal["steps", "dark", "bright"]
Progress = Callable[[float, str], None]

_POOLED = 1500.0  # counts under the smoothing kernel
_STEEP = 1.5  # pixels: smoothing before the slope of the fraction is taken
_BLUR = 1.0  # pixels: how far a value may come from without a known blur
_MIXING = 1.5  # of the width of a blurred step: what weight its pixels lose
#: Full width at half maximum of a normal distribution, in standard deviations.
_FWHM = 2.0 * np.sqrt(2.0 * np.log(2.0))
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
    psf_fwhm: float = 0.0,
    progress: Progress | None = None,
) -> NDArray[np.int32]:
    """Divide a map into grains, from counts, from an image, or from both.

    With counts (`n6`, `n7`) the isotope fraction is taken as a plane in every
    grain that jumps at its boundaries; neighbouring regions are one until the
    binomial likelihood (to second order) says that they differ. Where neighbours
    have the same fraction (ahead of the tracer, or next to the source) no
    boundary can be seen. With an image, ``edges="steps"`` does the same with
    Gaussian noise (fraction images, orientation contrast); ``"dark"`` and
    ``"bright"`` look for boundary lines in a micrograph. With both, a micrograph
    on the pixels of the counts and ``"dark"`` or ``"bright"``, steps and lines
    speak together for a boundary, which then runs along its line.

    Parameters
    ----------
    image
        (y, x), NaN where there is no value.
    n6, n7
        Counts (y, x), whole numbers.
    pixel_size
        In m, a number or (y, x); needed for `min_area` and `smoothing`.
    min_area
        Smallest grain in m2; smaller ones join the neighbour with which they
        share the longest border. None = 25 pixels.
    smoothing
        Standard deviation in m of the smoothing before edges are searched; for
        lines, half their width. None = by the number of counts, otherwise one
        pixel.
    edges
        What a boundary looks like in `image`; counts always have steps.
    sensitivity
        Above 1 for more and weaker boundaries, below 1 for fewer.
    psf_fwhm
        Full width at half maximum of the beam's blur in m; needs `pixel_size`.
        Strips that the blur makes of a step are then no grains. 0 = sharp, or unknown.
    progress
        Called as progress(done from 0 to 1, what is being done). What it raises
        passes through, which cancels.

    Returns
    -------
    ndarray
        int32 labels (y, x), 1..N; every pixel belongs to a grain.

    Raises
    ------
    ValueError
        If there is neither an image nor both counts, all counts are zero, the
        image holds no value or another shape, an image of steps comes with
        counts, or a parameter is out of range.
    """
    if edges not in get_args(Edges):
        raise ValueError(f"edges must be one of {', '.join(get_args(Edges))}, got {edges!r}")
    if not 0 < sensitivity < np.inf:
        raise ValueError(f"sensitivity must be positive, got {sensitivity!r}")
    if (n6 is None) != (n7 is None) or (image is None and n6 is None):
        raise ValueError("give either an image, or the counts n6 and n7, or all three")
    if image is None and edges != "steps":
        raise ValueError("counts have steps at boundaries; give lines as an image")
    if image is not None and n6 is not None and edges == "steps":
        raise ValueError('an image beside counts must show lines: edges "dark" or "bright"')
    smallest, sigma = _in_pixels(pixel_size, min_area, smoothing)
    blur = _blur_in_pixels(psf_fwhm, pixel_size)
    # What is too small joins a neighbour in the end: until then it would spoil its plane.
    piece = min(smallest, _SMALLEST)
    counts = None if n6 is None or n7 is None else _checked_counts(n6, n7)
    picture = None if image is None else _checked_image(image)
    if counts is not None and picture is not None and picture.shape != counts[0].shape:
        raise ValueError(f"the image has shape {picture.shape}, the counts {counts[0].shape}")
    report = _silent if progress is None else progress
    report(0.0, "Looking for grains")
    if picture is not None and edges == "steps":
        regions = search_grains(
            _field_of_image(picture, blur), sensitivity, piece, sigma or 1.0, report=report
        )
    elif picture is not None:
        ridges = find_ridges(_filled(picture), sigma or 1.0, edges == "dark")
        regions = regions_between_lines(ridges, sensitivity, smallest)
        if counts is not None:
            field, width = _field_of_counts(*counts, blur)
            by_steps = search_grains(field, sensitivity, piece, width, report)
            regions = combine_with_lines(field, by_steps, regions, ridges, sensitivity, piece)
    elif counts is not None:
        field, width = _field_of_counts(*counts, blur)
        regions = search_grains(field, sensitivity, piece, sigma or width, report=report)
    grains = (join_small(regions, smallest) + 1).astype(np.int32)
    report(1.0, "Grains found")
    return grains


def _silent(done: float, message: str) -> None:
    """Report to nobody."""


def _checked_image(image: ArrayLike) -> NDArray[np.float64]:
    values = np.asarray(image, dtype=np.float64)
    _check_shape("the image", values)
    if not np.isfinite(values).any():
        raise ValueError("the image holds no value")
    return values


def _checked_counts(n6: ArrayLike, n7: ArrayLike) -> tuple[NDArray[Any], NDArray[Any]]:
    six, seven = np.asarray(n6), np.asarray(n7)
    _check_shape("n6", six)
    if six.shape != seven.shape:
        raise ValueError(f"n6 has shape {six.shape}, n7 {seven.shape}")
    for name, counts in (("n6", six), ("n7", seven)):
        if counts.dtype.kind not in "iu" or counts.min() < 0:
            raise ValueError(f"{name} must hold whole counts >= 0")
    if not (six.any() or seven.any()):
        raise ValueError("all counts are zero: there is nothing to segment")
    return six, seven


def _field_of_counts(n6: NDArray[Any], n7: NDArray[Any], blur: float) -> tuple[Field, float]:
    """Weights from the fraction around each pixel; width of the smoothing for edges."""
    six = n6.astype(np.float64)
    total = six + n7
    sigma = np.sqrt(_POOLED / (4 * np.pi * total.mean()))
    around = float(np.clip(sigma, 1.5, 12.0))
    # Half a count of each isotope under the kernel keeps p off 0 and 1.
    half = 0.5 / (4 * np.pi * around**2)
    p = (ndimage.gaussian_filter(six, around) + half) / (
        ndimage.gaussian_filter(total, around) + 2 * half
    )
    # Where the fraction is steep, pixels of a blurred beam hold a mixture of two grains.
    near = [ndimage.gaussian_filter(x, _STEEP) for x in (six, total)]
    rough = near[0] / np.maximum(near[1], 1e-3 * total.mean())
    far = _MIXING * np.hypot(blur, _STEEP) if blur else _BLUR
    pure = np.maximum(p * (1 - p), 0.01)
    variance = pure + total * (far * np.hypot(*np.gradient(rough))) ** 2
    field = Field(total / variance, six / variance, total / pure, counts=True, blur=blur)
    return field, float(np.clip(sigma, 1.0, 3.0))


def _field_of_image(values: NDArray[np.float64], blur: float) -> Field:
    known = np.isfinite(values)
    values = np.where(known, values, 0.0)
    # The mean would only cost digits.
    values = np.where(known, values - values[known].mean(), 0.0)
    weight = known / _noise(values, known)
    return Field(weight, weight * values, weight, blur=blur)


def _filled(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pixels without a value take the nearest one."""
    known = np.isfinite(values)
    if known.all():
        return values
    nearest = ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
    return values[tuple(nearest)]


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


def _blur_in_pixels(psf_fwhm: float, pixel_size: float | tuple[float, float] | None) -> float:
    """Standard deviation of the beam's blur in pixels."""
    if not 0 <= psf_fwhm < np.inf:
        raise ValueError(f"psf_fwhm must be 0 or more, in m, got {psf_fwhm!r}")
    if psf_fwhm == 0:
        return 0.0
    y, x = check_pixel_size(pixel_size)
    return float(psf_fwhm / _FWHM / np.sqrt(y * x))


def _noise(values: NDArray[np.float64], known: NDArray[np.bool_]) -> float:
    """Variance of the noise of single pixels, from second differences along the rows.

    Their median size does not see the few that straddle an edge; a plane has
    none. 1 - 2 1 has six times the variance of a pixel.
    """
    second = values[:, :-2] - 2 * values[:, 1:-1] + values[:, 2:]
    whole = known[:, :-2] & known[:, 1:-1] & known[:, 2:]
    size = np.median(np.abs(second[whole])) / 0.6745 if whole.any() else 0.0
    # An image without noise still has the rounding of its pixels.
    floor = 1e-6 * np.var(values[known])
    return float(max(size**2 / 6, floor)) or 1.0
