"""Grains from what is there: counts, a micrograph, or both; and the boundaries at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin.labelling.frame import Grid, PixelFrame

if TYPE_CHECKING:
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["Found", "Wanted", "find", "segment"]


@dataclass(frozen=True, eq=False)
class Wanted:
    """What to segment, and how.

    Parameters
    ----------
    counts
        Of both isotopes (y, x); None: from the image alone.
    image
        A micrograph; None: from the counts alone.
    frame
        Pixels of the map.
    edges
        What boundaries look like in the image.
    pixel_size
        (y, x) in m; None if unknown.
    min_area
        Smallest grain in m2; None: as the counts allow.
    sensitivity
        Of `napari_liso.microstructure.grains.segment_grains`.
    psf_fwhm
        Width of the beam in m, 0 for a sharp one.
    """

    counts: tuple[NDArray[np.int64], NDArray[np.int64]] | None
    image: Grid | None
    frame: PixelFrame
    edges: str
    pixel_size: tuple[float, float] | None
    min_area: float | None
    sensitivity: float
    psf_fwhm: float = 0.0


@dataclass(frozen=True, eq=False)
class Found:
    """Grains, and the boundaries between them.

    Parameters
    ----------
    grains
        Labels (y, x); None if they were there before.
    boundaries
        None where there are none, or the pixel size is unknown.
    """

    grains: NDArray[Any] | None
    boundaries: Boundaries | None


def segment(wanted: Wanted, report: Callable[[float, str], None]) -> Found:
    """Propose grains, and find their boundaries.

    Parameters
    ----------
    wanted
        What to segment.
    report
        Told how far it is, 0 to 1; may raise to stop.

    Raises
    ------
    ValueError
        If there is nothing to segment.
    """
    from napari_liso.microstructure.grains import segment_grains

    given: dict[str, Any] = {"sensitivity": wanted.sensitivity}
    if wanted.counts is not None:
        given["n6"], given["n7"] = wanted.counts
    if wanted.image is not None:
        given["image"], given["edges"] = wanted.image.on(wanted.frame), wanted.edges
    if wanted.min_area is not None:
        given["min_area"] = wanted.min_area
    if wanted.pixel_size is not None:
        given["pixel_size"], given["psf_fwhm"] = wanted.pixel_size, wanted.psf_fwhm

    def progress(done: float, text: str) -> None:
        report(0.8 * done, text)

    grains = segment_grains(**given, progress=progress)
    report(0.8, "Finding boundaries")
    try:
        found = None if wanted.pixel_size is None else find(grains, wanted.pixel_size).boundaries
    except ValueError:  # a single grain: a proposal, too
        found = None
    report(1.0, "")
    return Found(grains, found)


def find(grains: NDArray[Any], pixel_size: tuple[float, float]) -> Found:
    """Find the boundaries of grains.

    Raises
    ------
    ValueError
        If there are none, in words that say what grains need.
    """
    from napari_liso.microstructure.boundaries import find_boundaries

    if len(np.unique(grains[grains > 0])) < 2:
        raise ValueError("there is a single grain, so there is no boundary")
    found = find_boundaries(grains, pixel_size)
    if len(found.table) == 0:
        raise ValueError(
            "no two grains touch: they must share a side, or be separated by a line of one pixel"
        )
    return Found(None, found)
