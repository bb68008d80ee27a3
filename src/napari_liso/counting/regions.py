"""Regions of a map: their isotope fraction, counts, area, and whether they are uniform."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.dispersion import fraction_dispersion

if TYPE_CHECKING:
    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.sums import IonSums

__all__ = ["REGION_UNITS", "Regions", "region_table", "sums_of_pixels", "table_of_regions"]

Integers = NDArray[np.int64]

#: Units of the columns of `region_table` that have one, for `write_table`.
REGION_UNITS = {"area": "m2"}


@dataclass(frozen=True, eq=False)
class Regions:
    """Which pixels belong to which region; a pixel may be in several, or none.

    Parameters
    ----------
    shape
        (y, x) of the image.
    pixel, row
        (n,) pairs: a pixel, counted row by row of the image, and the region it
        is in, 0 to the number of regions minus one.
    labels
        (region,), the number by which each is known.
    names
        (region,), what each is called.
    """

    shape: tuple[int, int]
    pixel: Integers
    row: Integers
    labels: tuple[int, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.labels)

    @classmethod
    def of(cls, regions: Regions | ArrayLike, names: Sequence[str] | None = None) -> Regions:
        """Return regions from labels or masks.

        Parameters
        ----------
        regions
            (y, x) labels, whole numbers, 0 for none; or (region, y, x) masks, bool,
            known by the numbers 1, 2, ...
        names
            One a region, in the order of their numbers. None: ``"region 5"``.

        Raises
        ------
        ValueError
            If it is neither, or there are more or fewer names than regions.
        """
        found = regions if isinstance(regions, Regions) else _from_array(np.asarray(regions))
        if names is None:
            return found
        if len(names) != len(found):
            raise ValueError(f"{len(names)} names are given for {len(found)} regions")
        called = tuple(str(name) for name in names)
        return cls(found.shape, found.pixel, found.row, found.labels, called)

    def mask(self, row: int) -> NDArray[np.bool_]:
        """Return (y, x), the pixels of one region."""
        mask = np.zeros(self.shape, dtype=bool)
        mask.ravel()[self.pixel[self.row == row]] = True
        return mask


def _from_array(array: NDArray[np.generic]) -> Regions:
    if array.dtype.kind == "b" and array.ndim == 3:
        row, *place = np.nonzero(array)
        labels = tuple(range(1, len(array) + 1))
        pixel = place[0] * array.shape[2] + place[1]
        shape = (int(array.shape[1]), int(array.shape[2]))
    elif array.dtype.kind in "iu" and array.ndim == 2:
        pixel = np.flatnonzero(array)
        known, row = np.unique(array.ravel()[pixel], return_inverse=True)
        labels = tuple(int(label) for label in known)
        shape = (int(array.shape[0]), int(array.shape[1]))
    else:
        raise ValueError(
            "regions must be labels (y, x) of whole numbers or masks (region, y, x) of bool, got "
            f"{array.dtype} of shape {array.shape}"
        )
    names = tuple(f"region {label}" for label in labels)
    return Regions(shape, pixel.astype(np.int64), row.astype(np.int64), labels, names)


def sums_of_pixels(sums: IonSums, pixel: Integers, group: Integers, size: int) -> IonSums:
    """Sum listed pixels by group; a pixel that is listed twice counts twice.

    Parameters
    ----------
    sums
        (y, x).
    pixel, group
        (n,), pixels counted row by row, and the group of each, 0 to `size` - 1.
    size
        Number of groups.
    """
    return sums.pooled(lambda image: image.ravel()[pixel]).grouped(group, size)


def region_table(
    n6: ArrayLike,
    n7: ArrayLike,
    regions: Regions | ArrayLike,
    pixel_size: float | tuple[float, float] | None = None,
    corrections: Corrections | None = None,
    pulses: ArrayLike | None = None,
    confidence: float = 0.95,
    names: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Isotope fraction of each region, from its summed counts.

    Parameters
    ----------
    n6, n7
        Counts of tracer and other isotope, (y, x) or (frame, y, x).
    regions
        Labels (y, x), 0 for none, or masks (region, y, x), which may overlap.
    pixel_size
        (y, x) or one number in m; None if unknown: areas are then NaN.
    corrections
        None: those of `Corrections()`.
    pulses
        Behind each count, as in `isotope_fraction`.
    confidence
        Of the intervals.
    names
        One a region, in the order of their numbers.

    Returns
    -------
    DataFrame
        Index ``region``, the label or the mask's number from 1; columns

        - ``name``;
        - ``fraction``, ``lower``, ``upper``: tracer / (tracer + other), corrected,
          with its interval; NaN without counts;
        - ``ratio``, ``ratio_lower``, ``ratio_upper``: tracer / other, corrected;
        - ``counts_tracer``, ``counts_other``, ``counts``: as detected;
        - ``pixels`` of the region and ``masked``, those of them that are saturated
          and enter no sum; ``area`` of all of them in m2;
        - ``dispersion``, ``dispersion_lower``, ``dispersion_upper``, ``spread`` and
          ``verdict``, see `Dispersion`.

    Raises
    ------
    ValueError
        If the regions have another shape than the counts, or a parameter is out of
        its range; for counts as `isotope_fraction`.
    """
    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.sums import sum_ions

    corrections = Corrections() if corrections is None else corrections
    sums = sum_ions(n6, n7, pulses if corrections.dead_time else None)
    found = Regions.of(regions, names)
    return table_of_regions(sums, found, pixel_size, corrections, confidence=confidence)


def table_of_regions(
    sums: IonSums,
    regions: Regions | ArrayLike,
    pixel_size: float | tuple[float, float] | None = None,
    corrections: Corrections | None = None,
    *,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return the table of regions in sums of counts; see `region_table`."""
    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.fraction import fraction_of

    corrections = Corrections() if corrections is None else corrections
    found = Regions.of(regions)
    if found.shape != sums.shape:
        raise ValueError(
            f"the regions have shape {found.shape}, the counts {sums.shape}; they must show the "
            "same pixels"
        )
    size = len(found)
    area = np.nan if pixel_size is None else _area(pixel_size)
    summed = sums_of_pixels(sums, found.pixel, found.row, size)
    interval = fraction_of(summed, **corrections.keywords, confidence=confidence)
    every = np.bincount(found.row, minlength=size)
    tracer, both = (image.ravel()[found.pixel] for image in (sums.tracer.counts, sums.counts))
    scatter = fraction_dispersion(tracer, both, found.row, size, confidence)
    with np.errstate(divide="ignore"):
        # odds rise with the fraction, so that they carry its interval along
        ratio, low, high = (f / (1 - f) for f in (interval.value, interval.lower, interval.upper))
    columns = {
        "name": np.array(found.names, dtype=object),
        "fraction": interval.value,
        "lower": interval.lower,
        "upper": interval.upper,
        "ratio": ratio,
        "ratio_lower": low,
        "ratio_upper": high,
        "counts_tracer": summed.tracer.counts,
        "counts_other": summed.other.counts,
        "counts": summed.counts,
        "pixels": every,
        "masked": every - summed.pixels,
        "area": every * area,
        "dispersion": scatter.value,
        "dispersion_lower": scatter.lower,
        "dispersion_upper": scatter.upper,
        "spread": scatter.spread,
        "verdict": scatter.verdict.astype(object),
    }
    return pd.DataFrame(columns, index=pd.Index(found.labels, name="region", dtype=np.int64))


def _area(pixel_size: float | tuple[float, float]) -> float:
    sides = np.broadcast_to(np.asarray(pixel_size, dtype=np.float64), (2,))
    if not np.all((sides > 0) & np.isfinite(sides)):
        raise ValueError(f"pixel_size must be positive lengths in m, got {pixel_size}")
    return float(sides[0] * sides[1])
