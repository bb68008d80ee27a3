"""Lithium-isotope SIMS maps: counts, grain boundaries, and the permeability of each boundary.

All names below are imported on first use, so that ``import napari_liso`` needs
neither a display nor the time that scipy takes to load.
"""

from __future__ import annotations

import importlib
from typing import Any

_PUBLIC = {
    "Acquisition": "acquisition",
    "FormatError": "errors",
    "read": "readers",
    "FractionMap": "counting.fraction",
    "isotope_fraction": "counting.fraction",
    "fraction_of": "counting.fraction",
    "RatioMap": "counting.ratio",
    "isotope_ratio": "counting.ratio",
    "ratio_of": "counting.ratio",
    "sum_ions": "counting.sums",
    "undo_dead_time": "counting.dead_time",
    "Measured": "counting.measured",
    "Corrections": "counting.corrections",
    "background_from_window": "counting.corrections",
    "background_from_region": "counting.corrections",
    "hydride_ratio_from_mass8": "counting.corrections",
    "fractionation_from_reference": "counting.corrections",
    "natural_fraction": "isotopes",
    "align": "counting.drift",
    "covered": "counting.drift",
    "find_drift": "counting.drift",
    "frame_course": "counting.frames",
    "check_counts": "counting.diagnostics",
    "reference_check": "counting.diagnostics",
    "band_profile": "counting.band",
    "region_table": "counting.regions",
    "fit_landmarks": "registration",
    "match_landmarks": "registration",
    "write_ome_tiff": "ome_tiff",
    "write_table": "tables",
    "Boundaries": "microstructure.boundaries",
    "find_boundaries": "microstructure.boundaries",
    "find_patch": "microstructure.update",
    "renumber": "microstructure.update",
    "segment_grains": "microstructure.grains",
    "read_ebsd": "readers.ebsd",
    "read_grains": "readers.grains",
    "grains_from_ebsd": "microstructure.ebsd",
    "misorientation_of": "microstructure.ebsd",
    "boundary_profile": "microstructure.profiles",
    "boundary_profiles": "microstructure.profiles",
    "Experiment": "diffusion.experiment",
    "Stage": "diffusion.experiment",
    "Estimate": "diffusion.results",
    "DiffusionFit": "diffusion.results",
    "fit_diffusion": "diffusion.fit",
    "ProfileFit": "diffusion.series.results",
    "fit_profile": "diffusion.series.fit",
    "fit_profiles": "diffusion.series.fit",
    "effective_diffusivity": "diffusion.conductivity",
    "boundary_resistance": "diffusion.conductivity",
    "apparent_diffusivity": "diffusion.transport.resistance",
    "atom_permeability": "diffusion.transport.resistance",
    "boundary_transport": "diffusion.transport.resistance",
    "haven_ratio_from_impedance": "diffusion.transport.resistance",
    "lithium_density": "diffusion.transport.resistance",
    "resistance_from_impedance": "diffusion.transport.resistance",
    "brick_layer_conductivity": "diffusion.conductivity",
    "brick_layer_diffusivity": "diffusion.transport.brick_layer",
    "nernst_einstein": "diffusion.conductivity",
    "CoefficientDraws": "diffusion.transport.draws",
    "Conduction": "diffusion.transport.prediction",
    "predict_network": "diffusion.transport.prediction",
    "heal_boundaries": "diffusion.transport.healing",
    "fit_arrhenius": "diffusion.transport.arrhenius",
    "effective_time": "diffusion.transport.thermal",
    "simulate": "simulation",
    "stitch": "fields",
    "Session": "session",
    "save": "session",
    "load": "session",
}

__all__ = sorted([*_PUBLIC, "__version__"])


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("napari-liso")
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
