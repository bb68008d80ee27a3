"""What a fit of a profile returns."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.diffusion.results import Estimate

__all__ = ["PROFILE_COLUMNS", "ProfileBatch", "ProfileFit"]

FloatArray = NDArray[np.float64]

#: Columns of `ProfileFit.table`; the index counts the boundaries from 1, from the source on.
PROFILE_COLUMNS = (
    "grain_a",
    "grain_b",
    "position",
    "permeability",
    "permeability_lower",
    "permeability_upper",
    "verdict",
    "step",
    "biot",
    "resistance",
    "resistance_lower",
    "resistance_upper",
    "barrier_statistic",
    "barrier_p",
    "fast",
)


@dataclass(frozen=True, eq=False)
class ProfileFit:
    """Result of `fit_profile`.

    Parameters
    ----------
    model
        ``"series"``, ``"effective"`` or ``"step-slope"``.
    table
        One row a boundary, `PROFILE_COLUMNS`: the grains on either side (1 touches
        the source), position (m), permeability with its 95 % ends (m/s; the bound
        itself where the verdict is a bound), step (fraction of the model before
        minus behind it), biot (k d/D with the mean size of the two grains),
        resistance 1/k with its ends (s/m), and the test for a barrier: twice the
        gain in log-likelihood over 1/k = 0 and its p value (0.5 chi2_0 + 0.5 chi2_1;
        5 % at 2.71). ``fast``: more 6Li on the boundary than in both grains, k not fitted.
        Step-slope: `fraction_step`, `slope` (1/m) and `length` = D/k with its ends (m).
        Effective: no rows.
    grains
        One row a grain: start, end (m), diffusivity with ends (m2/s), verdict.
    diffusivity
        D of the grains (m2/s), D_eff of the effective model; a tuple, one a grain,
        where each has its own; None for step-slope.
    source_fraction, background_fraction
        With their interval; equal ends where they were given as exact.
    surface_exchange
        k_s in m/s, or None for a fixed fraction.
    distance
        Middles of the bins, m.
    fraction, residual
        Model fraction of the counts of each bin, and (data - model) / sigma; NaN
        without counts (step-slope: also outside the bins used).
    used
        Bins that entered the likelihood.
    dispersion
        Pearson chi2 per degree of freedom.
    warnings
        What a reader of the numbers must know, in plain words.
    provenance
        JSON-able: experiment, settings, versions.
    """

    model: str
    table: pd.DataFrame
    grains: pd.DataFrame
    diffusivity: Estimate | tuple[Estimate, ...] | None
    source_fraction: Estimate
    background_fraction: Estimate
    surface_exchange: Estimate | None
    distance: FloatArray
    fraction: FloatArray
    residual: FloatArray
    used: NDArray[np.bool_]
    dispersion: float
    warnings: list[str]
    provenance: dict[str, Any] = field(repr=False)


@dataclass(frozen=True, eq=False)
class ProfileBatch:
    """Result of `fit_profiles`: arrays over the profiles.

    Parameters
    ----------
    permeability, permeability_lower, permeability_upper
        Maximum-likelihood k of each boundary and its 95 % ends, m/s, (fits,
        boundaries); inf where 1/k = 0 fits best.
    diffusivity, diffusivity_lower, diffusivity_upper
        Of each grain, m2/s, (fits, grains).
    barrier_statistic
        Twice the gain over 1/k = 0, (fits, boundaries).
    source_fraction, background_fraction
        (fits, 2 + 1): value, lower, upper.
    surface_exchange
        (fits, 3) in m/s; inf for a fixed fraction.
    dispersion, deviance
        (fits,).
    fraction
        Model fraction of the counts of all bins, (fits, bins).
    """

    permeability: FloatArray
    permeability_lower: FloatArray
    permeability_upper: FloatArray
    diffusivity: FloatArray
    diffusivity_lower: FloatArray
    diffusivity_upper: FloatArray
    barrier_statistic: FloatArray
    source_fraction: FloatArray
    background_fraction: FloatArray
    surface_exchange: FloatArray
    dispersion: FloatArray
    deviance: FloatArray
    fraction: FloatArray
