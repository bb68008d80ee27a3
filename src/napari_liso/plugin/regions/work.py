"""From counts and drawn regions or lines to tables and profiles, and to corrections.

Without Qt and without layers: it runs in a thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, replace
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso import __version__
from napari_liso.counting.corrections import (
    Corrections,
    background_from_region,
    fractionation_of,
)
from napari_liso.counting.intervals import normal_deviations
from napari_liso.counting.measured import Measured
from napari_liso.counting.regions import Regions, sums_of_pixels, table_of_regions
from napari_liso.plugin.ratio.work import Counted, sum_counted
from napari_liso.plugin.regions.pixels import Drawn, regions_of

if TYPE_CHECKING:
    from napari_liso.counting.band import BandProfile
    from napari_liso.counting.sums import IonSums

__all__ = [
    "CONFIDENCE",
    "Asked",
    "BandFound",
    "Line",
    "RegionsFound",
    "SumsKept",
    "background_of",
    "fraction_measured",
    "fractionation_by",
    "work_out_band",
    "work_out_regions",
]

#: Of all intervals in the tables and profiles.
CONFIDENCE = 0.95
#: Sums of larger maps are not kept for the next time: 16 bytes a pixel, 48 with dead time.
_LARGEST_KEPT = 2**23

Report = Callable[[float, str], None]


class SumsKept:
    """Sums of the counts that were asked for last, shared by the panels of a dock."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._key: Hashable = None
        self._sums: IonSums | None = None

    def of(self, counted: Counted, report: Report) -> IonSums:
        """Return the sums of some counts; any thread."""
        key = (counted.key, counted.pulses is not None)
        with self._lock:
            if self._sums is None or self._key != key:
                self._sums = None  # not both in memory
                sums, _ = sum_counted(counted, report)
                if sums.pixels.size > _LARGEST_KEPT:
                    return sums
                self._key, self._sums = key, sums
            return self._sums


@dataclass(frozen=True, eq=False)
class Asked:
    """What a table or profile is made from.

    Parameters
    ----------
    counted
        The counts of both isotopes.
    corrections
        Made to the sums.
    pixel_size
        (y, x) in m; None if unknown.
    sources
        Names of the layers: of both isotopes, and of what was drawn.
    kept
        Where sums are kept.
    frames
        Which frames were used and how they were shifted, in JSON-able words.
    """

    counted: Counted
    corrections: Corrections
    pixel_size: tuple[float, float] | None
    sources: tuple[str, str, str]
    kept: SumsKept
    frames: dict[str, Any]

    def describe(self, sums: IonSums) -> dict[str, Any]:
        """Return it, and what the sums are, in JSON-able words for the head of a file."""
        tracer, other, drawn = self.sources
        return {
            "software": f"napari-liso {__version__}",
            "tracer": tracer,
            "other": other,
            "drawn in": drawn,
            "pixel_size_m": None if self.pixel_size is None else list(self.pixel_size),
            "corrections": self.corrections.describe(),
            # not so where a layer was edited: then nothing is known of its pulses
            "dead_time_corrected": sums.tracer.corrected is not None,
            "confidence": CONFIDENCE,
            **self.frames,
        }


@dataclass(frozen=True, eq=False)
class RegionsFound:
    """The table of regions, and what is behind it."""

    asked: Asked
    regions: Regions
    sums: IonSums
    table: pd.DataFrame
    is_resampled: bool

    def describe(self) -> dict[str, Any]:
        """Return how it was made in JSON-able words, for the head of a file."""
        return {
            **self.asked.describe(self.sums),
            "labels_on_other_pixels": self.is_resampled,
        }


def work_out_regions(asked: Asked, drawn: Drawn, report: Report) -> RegionsFound:
    """Return the table of the regions that are drawn."""
    sums = asked.kept.of(asked.counted, report)
    report(0.7, "finding the pixels of the regions")
    regions = regions_of(drawn)
    report(0.8, "summing the regions")
    table = table_of_regions(
        sums, regions, asked.pixel_size, asked.corrections, confidence=CONFIDENCE
    )
    return RegionsFound(asked, regions, sums, table, drawn.is_resampled)


# --- what a region is good for ------------------------------------------------------------------


def background_of(found: RegionsFound, row: int) -> Corrections:
    """Return the corrections with the counts of a region as the background of both isotopes.

    Raises
    ------
    ValueError
        If the region has no pixel.
    """
    place = _where(found, row)
    mask = found.regions.mask(row) & (found.sums.pixels > 0)
    if not mask.any():
        raise ValueError(f"{place} has no pixel on the map")
    tracer, other = (
        _from(background_from_region(sum_.counts, mask), place)
        for sum_ in (found.sums.tracer, found.sums.other)
    )
    return replace(found.asked.corrections, background=(tracer, other))


def fractionation_by(found: RegionsFound, row: int, reference: Measured) -> Corrections:
    """Return the corrections with the mass fractionation that a region of known fraction shows.

    Raises
    ------
    ValueError
        If the region has too few counts.
    """
    chosen = found.regions.row == row
    sums = sums_of_pixels(
        found.sums, found.regions.pixel[chosen], np.zeros(int(chosen.sum()), np.int64), 1
    )
    factor = fractionation_of(sums, reference, found.asked.corrections)
    return replace(found.asked.corrections, fractionation=_from(factor, _where(found, row)))


def fraction_measured(found: RegionsFound, row: int) -> Measured:
    """Return the corrected fraction of a region with its standard error.

    Raises
    ------
    ValueError
        If the region has no fraction.
    """
    line, place = found.table.iloc[row], _where(found, row)
    if not np.isfinite(line["fraction"]):
        raise ValueError(f"{place} has no counts left")
    error = (line["upper"] - line["lower"]) / (2 * normal_deviations(CONFIDENCE))
    return Measured(float(line["fraction"]), float(error), f"{place}, {line['counts']:,} counts")


def _where(found: RegionsFound, row: int) -> str:
    return f"{found.regions.names[row]} in '{found.asked.sources[2]}'"


def _from(measured: Measured, place: str) -> Measured:
    return replace(measured, source=f"{place}: {measured.source}")


# --- lines --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Line:
    """A line on the counts.

    Parameters
    ----------
    path
        (vertex, 2), in pixels of the counts.
    width
        Of the band, in m, or in pixels where their size is unknown.
    step
        Along the line, in the same unit; None: one pixel.
    model
        Fraction (y, x) of a fit of these counts, or None.
    """

    path: NDArray[np.float64]
    width: float
    step: float | None = None
    model: NDArray[np.float64] | None = None


@dataclass(frozen=True, eq=False)
class BandFound:
    """The profile along a line; lengths in m, or in pixels where their size is unknown."""

    asked: Asked
    line: Line
    sums: IonSums
    profile: BandProfile

    def describe(self) -> dict[str, Any]:
        """Return how it was made in JSON-able words, for the head of a file."""
        unit = "pixels" if self.asked.pixel_size is None else "m"
        return {
            **self.asked.describe(self.sums),
            "path_pixels_y_x": np.round(self.line.path, 3),
            f"band_width_{unit}": self.profile.width,
            f"step_{unit}": self.profile.step,
            f"length_{unit}": self.profile.length,
        }


def work_out_band(asked: Asked, line: Line, report: Report) -> BandFound:
    """Return the profile along a line."""
    from napari_liso.counting.band import band_of

    sums = asked.kept.of(asked.counted, report)
    report(0.7, "summing along the line")
    size = asked.pixel_size or (1.0, 1.0)
    profile = band_of(
        sums,
        line.path * np.asarray(size),
        line.width,
        size,
        line.step,
        corrections=asked.corrections,
        confidence=CONFIDENCE,
        model=line.model,
    )
    return BandFound(asked, line, sums, profile)
