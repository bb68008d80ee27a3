"""What is to be known before a number is believed: peaks, windows, saturation.

Each finding is a sentence for ``metadata["warnings"]``, which the viewer shows
once and every layer keeps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.isotopes import ion_mass, isotope_of
from napari_liso.readers._files import Windows

__all__ = ["LIH_MASS", "Peak", "general_warnings", "peak_in", "window_warnings"]

#: 6LiH+: the atomic masses of 6Li and 1H less an electron, u (AME2020).
LIH_MASS = 6.0151229 + 1.0078250 - 0.0005486
#: Resolution m/dm that separates 6LiH+ (7.0224 u) from 7Li+ (7.0155 u).
_LIH_RESOLUTION = 1010
#: An edge this high, relative to the peak, cuts it; windows proposed here end at 0.05.
_CUT = 0.3
_OFF_PPM = 100.0
_FEW = 30
_FOR_A_WIDTH = 150
#: Detected ions a pulse: above the first no correction exists, above the second
#: the natural fraction of 6Li reads 4 % too high without one.
_SATURATED = 0.8
_DEAD_TIME = 0.1
#: Fewer pulses do not tell the rate of a pixel: a single ion in one pulse is no
#: saturation. So many are brought together from neighbouring pixels.
_ENOUGH_PULSES = 50


@dataclass(frozen=True)
class Peak:
    """The shape of what a mass window holds.

    Parameters
    ----------
    counts
        Inside the window.
    centre, fwhm
        Of the tallest peak, u; NaN where there are too few counts to see one.
    edges
        Heights at the low and the high edge, relative to the tallest.
    step
        Distance of the spectrum's bins, u; where a peak is, is not known better.
    """

    counts: float
    centre: float
    fwhm: float
    edges: tuple[float, float]
    step: float = 0.0


def peak_in(mass: ArrayLike, counts: ArrayLike, window: tuple[float, float]) -> Peak:
    """Measure the peak inside a window.

    Parameters
    ----------
    mass, counts
        A spectrum, ascending masses in u.
    window
        (low, high) in u.
    """
    low, high = window
    mass, counts = np.asarray(mass, np.float64), np.asarray(counts)
    first, last = np.searchsorted(mass, [low, high])
    # Only now into another type: a long measurement has tens of millions of steps.
    inside, weight = mass[first:last], counts[first:last].astype(np.float64)
    total = float(weight.sum())
    if total < _FEW or len(inside) < 3:
        return Peak(total, np.nan, np.nan, (0.0, 0.0))
    middle, height = _heights(inside, weight, window)
    top = int(np.argmax(height))
    left, right = top, top
    while left > 0 and height[left - 1] > height[top] / 2:
        left -= 1
    while right < len(height) - 1 and height[right + 1] > height[top] / 2:
        right += 1
    width = (high - low) / len(height)
    fwhm = (right - left + 1) * width
    centre = float(np.average(middle[left : right + 1], weights=height[left : right + 1]))
    for _ in range(3):  # the bins are coarse: settle on the counts themselves
        near = np.abs(inside - centre) <= fwhm
        centre = float(np.average(inside[near], weights=weight[near])) if near.any() else centre
    rim = max(1, len(height) // 12)
    # Three standard deviations of chance in favour of the window.
    relative = [
        max(0.0, float(part.mean() - 3 * np.sqrt(part.mean() / rim))) / float(height[top])
        for part in (height[:rim], height[-rim:])
    ]
    step = float(np.median(np.diff(inside)))
    return Peak(total, centre, fwhm, (relative[0], relative[1]), step)


def _heights(
    mass: NDArray[np.float64], counts: NDArray[np.float64], window: tuple[float, float]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return (mass, counts) in bins as fine as the counts and the spectrum's own grid allow."""
    bins = int(min(counts.sum() / 25, len(mass) / 3, 80))
    if bins < 6:
        return mass, counts
    height, edges = np.histogram(mass, bins, window, weights=counts)
    return (edges[1:] + edges[:-1]) / 2, height


def window_warnings(acquisition: Acquisition, windows: Windows) -> list[str]:
    """Return what is doubtful about mass windows and the peaks in them.

    Parameters
    ----------
    acquisition
        Read with these windows.
    windows
        (low, high) in u by name, on the acquisition's mass scale.
    """
    mass, counts = acquisition.spectrum()
    found = []
    for name, window in windows.items():
        peak = peak_in(mass, counts, window)
        if peak.counts == 0:
            found.append(
                f"The window of {name}, {window[0]:g} to {window[1]:g} u, holds no counts."
            )
            continue
        found += _edge_warnings(name, window, peak)
        found += _mass_warnings(name, peak, acquisition.metadata.get("polarity"))
        found += _hydride_warnings(name, window, peak)
    return found


def _edge_warnings(name: str, window: tuple[float, float], peak: Peak) -> list[str]:
    heights = zip(window, peak.edges, strict=True)
    cut = " and ".join(f"{edge:.4f} u" for edge, height in heights if height > _CUT)
    if not cut:
        return []
    text = (
        f"The window of {name} ends inside a peak (at {cut}): part of it is lost. "
        "Put the window around the observed peak."
    )
    return [text]


def _mass_warnings(name: str, peak: Peak, polarity: str | None) -> list[str]:
    try:
        theory = ion_mass(name, polarity)
    except ValueError:
        return []
    offset = (peak.centre / theory - 1) * 1e6
    chance = 3 * peak.fwhm / 2.355 / np.sqrt(max(peak.counts, 1)) / theory * 1e6
    chance += peak.step / 2 / theory * 1e6
    if not abs(offset) > max(_OFF_PPM, chance):
        return []
    text = (
        f"The peak in the window of {name} is at {peak.centre:.4f} u, {offset:+.0f} ppm off its "
        f"theoretical mass of {theory:.4f} u: the mass calibration is off, or it is another ion."
    )
    return [text]


def _hydride_warnings(name: str, window: tuple[float, float], peak: Peak) -> list[str]:
    if isotope_of(name) != ("Li", 7) or not np.isfinite(peak.fwhm):
        return []
    # The hydride is off by what the peak of 7Li is off.
    hydride = LIH_MASS * peak.centre / ion_mass("7Li")
    resolution = peak.centre / peak.fwhm
    if hydride - peak.fwhm / 2 >= window[1] and resolution >= _LIH_RESOLUTION:
        return []
    if hydride >= window[1] + peak.fwhm:
        return []
    # The width of a few ions, or of a bin, is not that of the peak.
    told = peak.counts >= _FOR_A_WIDTH and peak.fwhm > 2 * peak.step
    seen = f"the peak of 7Li has about {resolution:.0f}" if told else "which is not seen here"
    text = (
        f"6LiH+ ({LIH_MASS:.4f} u) is not separated from 7Li+: that takes a resolution m/dm of "
        f"{_LIH_RESOLUTION}, {seen}. Hydride of enriched grains is counted as 7Li; check mass 8 "
        "(7LiH+)."
    )
    return [text]


def general_warnings(acquisition: Acquisition) -> list[str]:
    """Return what is missing or doubtful in any acquisition, whatever its format."""
    found = []
    is_image = max(acquisition.counts.shape[2:]) > 1
    if acquisition.pixel_size is None and is_image:
        found.append("The file does not state its pixel size.")
    are_counts = np.dtype(acquisition.counts.dtype).kind in "iu"
    if acquisition.pulses is None:
        pulsed = acquisition.metadata.get("primary_beam") != "continuous"
        if are_counts and is_image and pulsed:
            found.append(
                "The file does not say how many primary-ion pulses each pixel got, so dead time "
                "cannot be corrected until that number is given."
            )
        return found
    return found + (_saturation_warnings(acquisition) if are_counts else [])


def _saturation_warnings(acquisition: Acquisition) -> list[str]:
    """Compare the ions of each pixel with its pulses, one ion of a peak a pulse at most."""
    pulses = np.asarray(acquisition.pulses, float)
    pulses = np.broadcast_to(pulses, acquisition.counts.shape[1:]).sum(axis=0)
    measured = pulses > 0
    if not measured.any():
        return []
    side = int(np.ceil(np.sqrt(_ENOUGH_PULSES / np.median(pulses[measured]))))
    pulses, pixels = _blocks(pulses, side), _blocks(measured.astype(int), side)
    found = []
    for name in acquisition.channels:
        if name == "total":
            continue
        with np.errstate(divide="ignore", invalid="ignore"):
            per_pulse = np.where(pulses > 0, _blocks(acquisition[name], side) / pulses, 0.0)
        saturated = int(pixels[per_pulse > _SATURATED].sum())
        if saturated:
            found.append(
                f"{name} is saturated in {saturated} pixels (more than {_SATURATED} ions a "
                "pulse): they carry no intensity and are masked."
            )
        elif np.quantile(per_pulse, 0.99) > _DEAD_TIME:
            found.append(
                f"{name} comes to {np.quantile(per_pulse, 0.99):.2f} ions a pulse: its counts "
                "are too low without the dead-time correction."
            )
    return found


def _blocks(image: NDArray[Any], side: int) -> NDArray[Any]:
    """Sum squares of so many pixels a side; those at the far edges may be smaller."""
    rows, columns = (np.arange(0, n, max(1, side)) for n in image.shape)
    return np.add.reduceat(np.add.reduceat(image, rows, axis=0), columns, axis=1)
