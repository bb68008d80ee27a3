"""Data to try the package on: a real measurement, and a simulated polycrystal with its truth."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.diffusion.experiment import NATURAL_FRACTION, Experiment, Stage
from napari_liso.diffusion.fit import fit_diffusion
from napari_liso.diffusion.results import DiffusionFit
from napari_liso.microstructure.boundaries import find_boundaries
from napari_liso.simulation import simulate, voronoi_grains

__all__ = ["copper_grid", "llto_polycrystal", "llto_polycrystal_fit"]

# Li0.29La0.57TiO3 at 25 C, Hasegawa et al., J. Mater. Chem. A 12, 731 (2024):
# D of the grains, and k = D_gb / delta with D_gb = 1.4e-17 m2/s over an assumed 1 nm.
_DIFFUSIVITY = 2.6e-12  # m2/s
_MEDIAN_PERMEABILITY = 1.4e-17 / 1e-9  # m/s
# Not from the paper: chosen for the sample.
_SPREAD = 0.6
_PIXEL = 0.4e-6  # m
_SHAPE = (192, 256)
_GRAINS = 24
_BLUR = 0.6e-6  # m
_COUNTS = 80.0
_SEED = 7


def copper_grid() -> Acquisition:
    """Count images of 63Cu and 65Cu on a copper grid, measured by a PHI nanoTOF II.

    No public 6Li/7Li map exists; this is an instrument's own data on which the
    isotope fraction can be tried: 65Cu/(63Cu + 65Cu) is 0.3085 in nature.

    Returns
    -------
    Acquisition
        Channels ``"63Cu"`` and ``"65Cu"``, six frames of 256 x 256 pixels.
        ``metadata["origin_of_data"]`` and ``metadata["licence"]`` say where it
        is from; ``metadata["windows"]`` which masses were counted.
    """
    source = files("napari_liso") / "data" / "copper_grid.npz"
    with source.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        y, x = archive["pixel_size"]
        return Acquisition(
            counts=archive["counts"],
            channels=tuple(str(name) for name in archive["channels"]),
            masses=archive["masses"],
            pixel_size=(float(y), float(x)),
            metadata=json.loads(str(archive["metadata"])),
        )


@lru_cache(maxsize=1)
def llto_polycrystal() -> tuple[Acquisition, NDArray[np.int32], Experiment]:
    """Simulated map of an LLTO polycrystal with columnar grains.

    D and the median k are the published ones of LLTO at 25 C; the spread of k
    over the boundaries, the grain size, the times and the counts are chosen.
    6Li enters from the left for 80 minutes into a sample of natural composition.

    Returns
    -------
    acquisition
        Channels "6Li" and "7Li"; ``metadata["truth"]`` holds every coefficient.
    grains
        Labels (y, x).
    experiment
        What was done to it.
    """
    grains = voronoi_grains(_SHAPE, _GRAINS, seed=_SEED)
    experiment = Experiment(
        stages=(Stage(duration=4800.0, temperature=298.15),),
        source="left",
        source_fraction=0.95,
        background_fraction=NATURAL_FRACTION,
    )
    rng = np.random.default_rng(_SEED)
    table = find_boundaries(grains, _PIXEL).table
    pairs = sorted({(int(a), int(b)) for a, b in table[["grain_a", "grain_b"]].to_numpy()})
    permeability = {
        pair: float(_MEDIAN_PERMEABILITY * np.exp(_SPREAD * rng.standard_normal()))
        for pair in pairs
    }
    # Grains of different orientation yield different numbers of ions.
    brightness = np.concatenate([[0.0], np.exp(0.2 * rng.standard_normal(grains.max()))])
    acquisition = simulate(
        grains,
        _PIXEL,
        experiment,
        _DIFFUSIVITY,
        permeability,
        _COUNTS * brightness[grains],
        psf_fwhm=_BLUR,
        seed=_SEED,
    )
    note = "Simulated, not measured: LLTO polycrystal with columnar grains."
    metadata = {**acquisition.metadata, "note": note}
    return replace(acquisition, metadata=metadata), grains, experiment


@lru_cache(maxsize=1)
def llto_polycrystal_fit() -> DiffusionFit:
    """Fit of `llto_polycrystal`, every boundary with a permeability of its own."""
    acquisition, grains, experiment = llto_polycrystal()
    return fit_diffusion(
        acquisition["6Li"],
        acquisition["7Li"],
        grains,
        pixel_size=acquisition.pixel_size,
        experiment=experiment,
        section="columnar",
        psf_fwhm=_BLUR,
    )
