"""Small simulated maps for the tests of the fit."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

import napari_liso as liso
from napari_liso.diffusion.polycrystal import Polycrystal, build_polycrystal
from napari_liso.simulation import voronoi_grains

D = 2.6e-12
PIXEL = 0.5e-6


@dataclass(frozen=True)
class Mosaic:
    """A map, what was done to it and what it is made of."""

    boundaries: liso.Boundaries
    experiment: liso.Experiment
    permeability: NDArray[np.float64]

    @property
    def crystal(self) -> Polycrystal:
        return build_polycrystal(self.boundaries, self.experiment)

    def measure(
        self, counts: float, seed: int, diffusivity: float = D
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        pairs = self.boundaries.table[["grain_a", "grain_b"]].to_numpy()
        k = {
            (int(a), int(b)): float(value)
            for (a, b), value in zip(pairs, self.permeability, strict=True)
        }
        found = liso.simulate(
            self.boundaries, None, self.experiment, diffusivity, k, counts, seed=seed
        )
        return found["6Li"], found["7Li"]


def voronoi(
    shape: tuple[int, int], grains: int, seed: int, biot: float, spread: float = 0.6
) -> Mosaic:
    """Voronoi grains of that Biot number, exposed until the middle of the map is half filled."""
    labels = voronoi_grains(shape, grains, seed=seed)
    found = liso.find_boundaries(labels, PIXEL)
    size = np.sqrt(labels.size * PIXEL**2 / grains)
    # A stream of its own: geometry and counts come from others.
    rng = np.random.default_rng([seed, 1])
    pairs = [tuple(p) for p in found.table[["grain_a", "grain_b"]].to_numpy().tolist()]
    of_pair = {p: biot * D / size * np.exp(spread * rng.standard_normal()) for p in set(pairs)}
    k = np.array([of_pair[p] for p in pairs])
    duration = 1.5 * size**2 / (biot * D) + 0.5 * size**2 / D
    experiment = liso.Experiment([liso.Stage(duration)])
    return Mosaic(found, experiment, k)


def bar(
    pieces: tuple[int, ...],
    permeability: float | tuple[float, ...],
    duration: float,
    rows: int = 8,
    pixel: float = PIXEL,
) -> Mosaic:
    """Grains of so many columns side by side, source at the left."""
    labels = np.tile(np.repeat(np.arange(1, len(pieces) + 1), pieces), (rows, 1))
    found = liso.find_boundaries(labels, pixel)
    k = np.broadcast_to(np.asarray(permeability, dtype=float), (len(pieces) - 1,)).copy()
    return Mosaic(found, liso.Experiment([liso.Stage(duration)]), k)
