"""Sets of coefficients that a fit allows, for what follows from all of them together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.diffusion.results import DiffusionFit, Estimate
from napari_liso.diffusion.transport.propagation import NORMAL_95, drawn

__all__ = ["CoefficientDraws"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]
BoolArray = NDArray[np.bool_]

_COLUMNS = ["permeability", "permeability_lower", "permeability_upper", "verdict"]


@dataclass(frozen=True, eq=False)
class CoefficientDraws:
    """Draws of all permeabilities and of the diffusivity.

    Parameters
    ----------
    ids
        Of the boundaries, increasing.
    permeability
        m/s, (boundaries, draws).
    diffusivity
        m2/s, (draws,).
    open_below, open_above
        Boundaries of which the data allow k = 0, k = infinity, (boundaries,).
    diffusivity_open
        Whether the data allow D = infinity.
    leaning
        Whether boundaries with an open end were drawn from a population that the data
        determine; else what follows from them has open ends, too.
    trusted
        False where the fit gave no verdict at all.
    notes
        How they were drawn, in plain words.
    """

    ids: IntArray
    permeability: FloatArray
    diffusivity: FloatArray
    open_below: BoolArray
    open_above: BoolArray
    diffusivity_open: bool = False
    leaning: bool = False
    trusted: bool = True
    notes: tuple[str, ...] = ()

    @property
    def centre(self) -> tuple[FloatArray, float]:
        """Medians of every k and of D."""
        return np.median(self.permeability, axis=1), float(np.median(self.diffusivity))

    @classmethod
    def exact(
        cls, ids: ArrayLike, permeability: ArrayLike, diffusivity: float
    ) -> CoefficientDraws:
        """Known coefficients: a single draw.

        Parameters
        ----------
        ids
            Of the boundaries.
        permeability
            m/s, one for all or one each.
        diffusivity
            m2/s.
        """
        index = np.asarray(ids, dtype=np.int64)
        k = np.broadcast_to(np.asarray(permeability, dtype=np.float64), index.shape)
        closed = np.zeros(index.size, dtype=bool)
        return cls(index, k[:, None].copy(), np.array([float(diffusivity)]), closed, closed)

    @classmethod
    def from_fit(cls, fit: DiffusionFit, number: int = 200, seed: int = 0) -> CoefficientDraws:
        """Draw from the intervals of a fit.

        A table tells of each boundary alone. Of how they move together it tells two
        things, which are kept: rows that share one k get the same draw, and the error of
        the population's centre is common to all that lean on it, by 1 - information (all
        of it in a section). What boundaries of one grain trade among each other is lost,
        which makes the intervals of a sum rather too wide.

        A bound is drawn from what the population makes of it: normal around the median of
        the table, with the spread times sqrt(1 - information). `open_below` and
        `open_above` remember that the data do not close that end. One or two boundaries
        have no population; of them see `drawn`.

        Parameters
        ----------
        fit
            Of a map.
        number
            Of draws.
        seed
            The same seed gives the same draws.
        """
        table = fit.table
        estimates = [Estimate(*row) for row in table[_COLUMNS].itertuples(index=False, name=None)]
        rng = np.random.default_rng(seed)
        # One column a distinct row: boundaries that share a k have the same numbers.
        keys = table[_COLUMNS[:3]].to_numpy(dtype=np.float64)
        _, first, group = np.unique(keys, axis=0, return_index=True, return_inverse=True)
        own = rng.standard_normal((first.size, number))
        common = rng.standard_normal(number)
        left = 1.0 - table["information"].to_numpy(dtype=np.float64)
        lean = left if fit.section == "columnar" else np.ones(len(table))
        centre_sd = _ln_sd(fit.population.centre)
        k = np.empty((len(table), number))
        closing = fit.population.spread.value * np.sqrt(left) if first.size > 2 else None
        for row, (found, mine) in enumerate(zip(estimates, group.ravel(), strict=True)):
            estimate = found if closing is None else _closed(found, float(closing[row]))
            sd = _ln_sd(estimate)
            share = min(lean[row] * centre_sd / sd, 1.0) if sd > 0 else 0.0
            k[row] = drawn(estimate, np.sqrt(1 - share**2) * own[mine] + share * common)
        d = drawn(fit.diffusivity, rng.standard_normal(number))
        verdicts = {e.verdict for e in (*estimates, fit.diffusivity, fit.population.centre)}
        return cls(
            ids=table.index.to_numpy(dtype=np.int64),
            permeability=k,
            diffusivity=d,
            open_below=np.array([e.lower <= 0 for e in estimates], dtype=bool),
            open_above=np.array([np.isinf(e.upper) for e in estimates], dtype=bool),
            diffusivity_open=bool(np.isinf(fit.diffusivity.upper)),
            leaning=closing is not None and fit.population.centre.verdict == "resolved",
            trusted=verdicts != {"unresolved"},
            notes=(_FROM_TABLE,),
        )


_FROM_TABLE = (
    "Drawn from the intervals of the table: what the boundaries of one grain trade among each "
    "other is not in them."
)


def _closed(estimate: Estimate, sd: float) -> Estimate:
    """Close an open end by the posterior's standard deviation of the logarithm."""
    if estimate.lower > 0 and np.isfinite(estimate.upper):
        return estimate
    factor = float(np.exp(NORMAL_95 * sd))
    return replace(estimate, lower=estimate.value / factor, upper=estimate.value * factor)


def _ln_sd(estimate: Estimate) -> float:
    """Mean standard deviation of the logarithm; of a bound that of a half-normal, about 1."""
    if estimate.lower > 0 and np.isfinite(estimate.upper):
        return float(np.log(estimate.upper / estimate.lower)) / (2 * NORMAL_95)
    return 1.0
