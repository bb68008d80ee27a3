"""The full finite-volume model at the optimum of a fit, to hold the fit's own model against."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.polycrystal import build_polycrystal, solve
from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["FullModel"]


@dataclass(frozen=True, eq=False)
class FullModel:
    """A call builds and solves the model anew, which takes seconds on a large map.

    Parameters
    ----------
    boundaries
        Grains and boundaries that were fitted.
    experiment
        What was done to the sample.
    permeability
        Of each boundary that is there, in the order of `present_boundaries`, at the
        optimum, m/s.
    diffusivity
        At the optimum, m2/s.
    """

    boundaries: Boundaries
    experiment: Experiment
    permeability: NDArray[np.float64]
    diffusivity: float

    def __call__(self) -> NDArray[np.float64]:
        """Return the fraction of the sample, (y, x); NaN outside the grains."""
        crystal = build_polycrystal(self.boundaries, self.experiment)
        fraction = solve(
            crystal,
            self.experiment.stages,
            self.permeability,
            self.diffusivity,
            self.experiment.background_fraction,
            self.experiment.source_fraction,
        )
        return crystal.to_image(fraction)
