"""What ION-TOF's files say about a measurement, in SurfaceLab 6 and 7."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_liso.isotopes import ion_mass
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.iontof.block_tree import Block, BlockTree
from napari_liso.readers.iontof.block_values import Property

__all__ = [
    "EXPERIMENTAL",
    "EXPORT",
    "MassInterval",
    "field_of_view",
    "flight_spread",
    "general_facts",
    "mass_calibration",
    "mass_intervals",
    "pixel_size",
    "property_of",
    "raster_size",
    "shots_per_pixel",
    "stated_scans",
    "whole",
]

REDUCED = "filterdata/TofCorrection/ImageStack/Reduced Data"
SPECTRUM = "filterdata/TofCorrection/Spectrum/Reduced Data"

EXPERIMENTAL = (
    "The layout of ION-TOF's ITA, ITM and ITS files is known from public descriptions only; this "
    "reader has not been tried on a file from an instrument. Compare the counts with SurfaceLab, "
    "and please send the developers a file."
)
EXPORT = (
    "export the images in SurfaceLab (File > Export) as BIF6 or imzML, or the raw data as GRD, "
    "and open those"
)

#: Where properties are, the state at the end of the measurement first.
_PROPERTIES = ("propend", "propstart", "CommonDataObjects/DataViewCollection/*/properties")
_INTERVALS = (
    "MassIntervalList",
    "Options/massintervals",
    "Measurement Options/massintervals",
    "CommonDataObjects/MeasurementOptions/massintervals",
    "CommonDataObjects/MeasurementOptions/*/massintervals",
)
_MAX_INTERVALS = 10_000
#: Sizes of a pixel, m, beyond which a field of view is damage.
_PIXELS = (1e-11, 1e-2)
_MAX_SHOTS = 10**6
_ELEMENTARY_CHARGE = 1.602176634e-19  # C
_DALTON = 1.66053906660e-27  # kg


@dataclass(frozen=True)
class MassInterval:
    """A peak as chosen in SurfaceLab.

    Parameters
    ----------
    number, serial
        By which its images are found, in older and in newer files.
    name
        Its assignment, else its description, else its mass.
    lower, centre, upper
        u; NaN where not stated.
    """

    number: int
    serial: str
    name: str
    lower: float
    centre: float
    upper: float

    @property
    def is_sum(self) -> bool:
        """Whether it is what all or all other ions make together, no peak."""
        return self.name.lower() in ("total", "sum of rest", "rest", "")


def property_of(tree: BlockTree, key: str) -> Property | None:
    """Return a property of the instrument, or None where it is not stated."""
    for folder in _PROPERTIES:
        found = tree.setting(f"{folder}/{key}")
        if found is not None:
            return found
    return None


def whole(tree: BlockTree, key: str, limit: int) -> int | None:
    """Return a property as a whole number from 1 to `limit`, or None."""
    found = property_of(tree, key)
    return found.integer if found is not None and 1 <= found.integer <= limit else None


def shots_per_pixel(tree: BlockTree) -> int | None:
    """Return the primary pulses that a pixel gets in one scan, or None."""
    return whole(tree, "Registration.Raster.ShotsPerPixel", _MAX_SHOTS)


def stated_scans(tree: BlockTree) -> int | None:
    """Return how many scans the file says it has, or None."""
    for path in (f"{REDUCED}/NumberOfScans", f"{REDUCED}/ImageStackScans/Image.NumberOfScans"):
        scans = tree.integer(path)
        if scans is not None and scans > 0:
            return scans
    return whole(tree, "Measurement.ScanNumber", 2**31)


def raster_size(tree: BlockTree) -> tuple[int, int] | None:
    """Return the (y, x) pixels of the raster, or None where not stated."""
    y, x = (tree.integer(f"Meta/SI Image/res_{axis}") for axis in "yx")
    if y is not None and x is not None and y > 0 and x > 0:
        return y, x
    side = whole(tree, "Registration.Raster.Resolution", 2**31)
    return None if side is None else (side, side)


def field_of_view(tree: BlockTree) -> tuple[float, str] | None:
    """Return the width of the raster in m, and where that is stated."""
    width = tree.number("Meta/SI Image/fieldofview")
    if width is not None and width > 0:
        return width, "Meta/SI Image/fieldofview"
    found = property_of(tree, "Registration.Raster.FieldOfView")
    if found is not None and math.isfinite(found.number) and found.number > 0:
        return found.number, "Registration.Raster.FieldOfView"
    return None


def pixel_size(
    tree: BlockTree, width: int, warnings: list[str]
) -> tuple[tuple[float, float] | None, str | None]:
    """Return the (y, x) pixel size in m and where it is from; pixels are square."""
    found = field_of_view(tree)
    if found is None:
        return None, None
    size = found[0] / width
    if not _PIXELS[0] <= size <= _PIXELS[1]:
        warnings.append(f"The field of view of {found[0]:.3g} m cannot be and was not used.")
        return None, None
    return (size, size), f"{found[1]} over {width} pixels"


def mass_calibration(tree: BlockTree) -> MassCalibration | None:
    """Return the mass scale of the unbinned channels, or None where there is no sensible one."""
    places = (f"{SPECTRUM}/IMassScaleSFK0", "MassScale", "CommonDataObjects/SIMSDataSet/MassScale")
    for place in places:
        sf, k0 = tree.number(f"{place}/sf"), tree.number(f"{place}/k0")
        if sf is not None and k0 is not None and sf > 0:
            return MassCalibration.from_sf_k0(sf, k0, place)
    settings = [property_of(tree, f"Context.MassScale.{name}") for name in ("SF", "K0")]
    if settings[0] is not None and settings[1] is not None:
        sf, k0 = settings[0].number, settings[1].number
        if math.isfinite(sf) and math.isfinite(k0) and sf > 0:
            return MassCalibration.from_sf_k0(sf, k0, "Context.MassScale")
    return None


def flight_spread(tree: BlockTree) -> float | None:
    """Return by how many s primary ions reach one edge of the field later than the other.

    They come in at 45 degrees, so that the far edge is hit later; flight times of
    raw events start when the pulse does. None where gun or field are not stated.
    """
    species = property_of(tree, "Instrument.PrimaryGun.Species")
    energy = property_of(tree, "Instrument.PrimaryGun.Energy")
    view = field_of_view(tree)
    if species is None or energy is None or view is None or not energy.number > 0:
        return None
    try:
        mass = ion_mass(species.text.rstrip("+"))
    except ValueError:
        return None
    charge = max(1, species.text.count("+"))
    speed = math.sqrt(2 * charge * energy.number * _ELEMENTARY_CHARGE / (mass * _DALTON))
    return math.sqrt(0.5) * view[0] / speed


def mass_intervals(tree: BlockTree) -> list[MassInterval]:
    """Return the peaks chosen in SurfaceLab, from the first list that has any."""
    for path in _INTERVALS:
        folder = tree.find(path)
        if folder is not None and folder.is_directory:
            found = list(_intervals(tree, folder, 0))
            if found:
                return found
    return []


def _intervals(tree: BlockTree, folder: Block, depth: int) -> Iterator[MassInterval]:
    children = tree.children(folder)
    places = children.places("mi", "mig")
    if len(places) > _MAX_INTERVALS:
        raise tree.error(f"has {len(places)} mass intervals", folder.offset)
    for place in places:
        block = tree.child(children, int(place))
        if not block.is_directory:
            continue
        if block.name == "mi":
            yield _interval(tree, block)
        elif depth < 3:  # groups, in groups at most
            yield from _intervals(tree, block, depth + 1)


def _interval(tree: BlockTree, block: Block) -> MassInterval:
    masses = [tree.number(f"{which}mass", block) for which in "lcu"]
    lower, centre, upper = (math.nan if mass is None else mass for mass in masses)
    texts = [tree.text(name, block, wide=True) or "" for name in ("assign", "desc", "SN")]
    number = tree.integer("id", block)
    name = texts[0] or texts[1] or (f"{centre:.2f}u" if centre > 0 else "")
    return MassInterval(
        block.id if number is None else number, texts[2], name, lower, centre, upper
    )


def general_facts(tree: BlockTree) -> dict[str, Any]:
    """Return what is worth keeping about a measurement, SI, JSON-able."""
    polarity = None
    for key in ("Instrument.Analyzer_Polarity_Switch", "Instrument.Analyzer.Polarity"):
        setting = property_of(tree, key)
        if setting is not None and polarity is None:
            polarity = {"p": "positive", "+": "positive", "n": "negative", "-": "negative"}.get(
                setting.text[:1].lower()
            )
    texts = {
        "acquired": "Analysis.Timestamp",
        "sample": "User.SampleName",
        "description": "Analysis.Description",
        "primary_ion": "Instrument.PrimaryGun.Species",
        "sputter_ion": "Instrument.SputterGun.Species",
        "raster_mode": "Registration.Raster.Mode",
    }
    numbers = {
        "beam_energy_V": "Instrument.PrimaryGun.Energy",
        "sputter_energy_V": "Instrument.SputterGun.Energy",
        "sputter_time_s": "Analysis.SputterTime",
        "cycle_time_s": "Measurement.CycleTime",
        "channel_width_s": "Registration.TimeResolution",
        "end_mass_u": "Measurement.UpperMass",
    }
    facts: dict[str, Any] = {"polarity": polarity}
    for name, key in texts.items():
        setting = property_of(tree, key)
        if setting is not None and setting.text:
            facts[name] = setting.text[:200]
    for name, key in numbers.items():
        setting = property_of(tree, key)
        if setting is not None and np.isfinite(setting.number) and setting.number > 0:
            facts[name] = setting.number
    view = field_of_view(tree)
    if view is not None:
        facts["field_of_view_m"] = view[0]
    shots = shots_per_pixel(tree)
    if shots is not None:
        facts["shots_per_pixel_and_scan"] = shots
    return facts
