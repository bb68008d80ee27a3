"""What a fit returns: estimates with an interval and a verdict, never bare numbers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

__all__ = ["TABLE_COLUMNS", "DiffusionFit", "Estimate", "Population", "Verdict"]

Verdict = Literal["resolved", "lower_bound", "upper_bound", "unresolved"]

#: Columns of `DiffusionFit.table`; the index is the boundary's id.
TABLE_COLUMNS = (
    "grain_a",
    "grain_b",
    "permeability",
    "permeability_lower",
    "permeability_upper",
    "verdict",
    "information",
    "step",
    "biot",
    "resistance",
)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval.

    Parameters
    ----------
    value
        Point estimate. Of a diffusivity or a population that is only bounded it is
        the bound; of a single boundary it stays the posterior median, which leans
        on the population: report the bound instead.
    lower, upper
        Ends of the 95 % interval; 0 or inf where it is open.
    verdict
        ``resolved``, ``lower_bound``, ``upper_bound`` or ``unresolved``.
    """

    value: float
    lower: float
    upper: float
    verdict: Verdict


@dataclass(frozen=True)
class Population:
    """The log-normal population that the boundaries' permeabilities come from.

    Parameters
    ----------
    centre
        Median permeability in m/s.
    spread
        Standard deviation of ln k (dimensionless).
    """

    centre: Estimate
    spread: Estimate


@dataclass(frozen=True, eq=False)
class DiffusionFit:
    """Result of `fit_diffusion`.

    Parameters
    ----------
    table
        One row a boundary, index = its id, columns `TABLE_COLUMNS`:
        permeability (posterior median) and its 95 % ends in m/s (0 or inf where
        open: then the closed end is the answer), verdict,
        information (share of the population's variance of ln k that the data
        removed, 0 to 1), step (fraction in `grain_a` minus `grain_b` at the
        boundary), biot (k d/D), resistance (1/k, s/m).
    diffusivity
        Tracer diffusivity of the grain interior, m2/s.
    population
        Centre (m/s) and spread (sd of ln k) of the permeabilities.
    fraction
        Model fraction of the sample, (y, x); NaN outside the grains.
    residual
        (data - model) / sigma of the counts, (y, x); NaN where there are none or too
        many a pulse.
    used
        Bool (y, x): pixels that entered the likelihood.
    dispersion
        Pearson chi2 per degree of freedom of these pixels.
    section
        ``"columnar"`` or ``"bulk"``.
    warnings
        What a reader of the numbers must know, in plain words.
    provenance
        JSON-able: experiment, settings, corrections, versions.
    counted
        Model fraction of the counts, (y, x): with what the instrument does to it. None
        where that is nothing.
    """

    table: pd.DataFrame
    diffusivity: Estimate
    population: Population
    fraction: NDArray[np.float64]
    residual: NDArray[np.float64]
    used: NDArray[np.bool_]
    dispersion: float
    section: Literal["columnar", "bulk"]
    warnings: list[str]
    provenance: dict[str, Any]
    full_fraction: Callable[[], NDArray[np.float64]] = field(repr=False)
    counted: NDArray[np.float64] | None = None

    @property
    def counted_fraction(self) -> NDArray[np.float64]:
        """Fraction that the counts should show, (y, x): to hold counts against."""
        return self.fraction if self.counted is None else self.counted

    def check(self) -> float:
        """Solve the full model at the optimum and compare.

        Returns
        -------
        float
            Largest difference of the fraction between the full finite-volume
            model and `fraction`, over all pixels of the grains.
        """
        full = self.full_fraction()
        return float(np.nanmax(np.abs(full - self.fraction)))
