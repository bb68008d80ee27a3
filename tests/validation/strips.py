"""Bars of grains with straight boundaries: maps on which the 2-D model is 1-D."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

import napari_liso as liso
from napari_liso.diffusion.polycrystal import Polycrystal, build_polycrystal, solve
from napari_liso.diffusion.propagate import evolve
from napari_liso.diffusion.reduced import build_reduced

FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Strip:
    """Grains of so many pixels side by side, source at the left, three pixel rows.

    Fractions count from 0 (background) to 1 (source).
    """

    pieces: Sequence[int]
    pixel: float
    stages: Sequence[liso.Stage]
    exchange: float | None = None

    @property
    def experiment(self) -> liso.Experiment:
        return liso.Experiment(
            self.stages,
            source_fraction=1.0,
            background_fraction=0.0,
            surface_exchange=self.exchange,
        )

    @property
    def crystal(self) -> Polycrystal:
        labels = np.repeat(np.arange(1, len(self.pieces) + 1), self.pieces)
        found = liso.find_boundaries(np.tile(labels, (3, 1)), self.pixel)
        return build_polycrystal(found, self.experiment)

    @property
    def x(self) -> FloatArray:
        return (np.arange(sum(self.pieces)) + 0.5) * self.pixel

    def full(self, permeability: ArrayLike, diffusivity: float) -> FloatArray:
        """Profile of the full solver; the rows must agree."""
        crystal = self.crystal
        k = np.broadcast_to(np.asarray(permeability, dtype=float), (crystal.boundaries,))
        image = crystal.to_image(solve(crystal, self.experiment.stages, k, diffusivity, 0.0, 1.0))
        np.testing.assert_allclose(image - image[:1], 0.0, atol=1e-9)
        return image[0]

    def reduced(self, permeability: ArrayLike, diffusivity: float, level: int) -> FloatArray:
        """Profile of the reduced model."""
        crystal = self.crystal
        k = np.broadcast_to(np.asarray(permeability, dtype=float), (crystal.boundaries,))
        model = build_reduced(crystal, level, diffusivity * self.experiment.duration)
        run = evolve(model, self.experiment.stages, k, diffusivity, -1.0)
        return 1.0 + crystal.to_image(model.field(run.final))[0]
