"""What one section of a 3-D polycrystal can tell, and what it cannot.

Nearly half of a grain's boundary area lies below and above the section. A 2-D
model of the section lets all lithium pass through the boundaries that are seen,
so its permeabilities come out too high, and their order is hardly that of the
true ones. The constants below come from simulated 3-D Voronoi polycrystals
with flat grains, front depths of 2 to 5 grains and a spread of ln k of 0.8.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.results import Estimate, Population

__all__ = [
    "SECTION_ERROR",
    "SECTION_SHIFT",
    "SECTION_SHIFT_SD",
    "SectionResult",
    "correct_section",
]

FloatArray = NDArray[np.float64]

#: Mean ln k at the maximum of the 2-D fit of a section minus that of the sample, for
#: spreads of 0 to 0.8 ...
SECTION_SHIFT = 0.35
#: ... its standard deviation over samples and spreads ...
SECTION_SHIFT_SD = 0.12
#: ... and the error of a single boundary's ln k, as a standard deviation.
SECTION_ERROR = 1.6

_NORMAL = 1.959964


@dataclass(frozen=True, eq=False)
class SectionResult:
    """Corrected population and boundaries of a section.

    Parameters
    ----------
    population
        Centre corrected and widened; the spread is an upper bound, since even
        equal permeabilities look spread in a section.
    estimates
        One a boundary, m/s.
    information
        What the section leaves of each boundary's information, at most about a
        quarter.
    """

    population: Population
    estimates: list[Estimate]
    information: FloatArray


def correct_section(
    ln_k: FloatArray,
    information: FloatArray,
    joint_mode: float,
    centre: FloatArray,
    spread: FloatArray,
) -> SectionResult:
    """Correct the 2-D fit of a section for the grains that it does not show.

    With I the information of the 2-D fit on a boundary and sigma the fitted
    spread, the boundary's own likelihood has the variance sigma^2 (1 - I)/I; the
    section adds `SECTION_ERROR`^2. What is left of it is weighed against the
    population, whose centre is shifted by `SECTION_SHIFT`.

    Parameters
    ----------
    ln_k
        Posterior mean of ln k (m/s) of each boundary in the 2-D fit.
    information
        Share of the population's variance that the data removed, each.
    joint_mode
        Mean of ln k at the penalised maximum, to which `SECTION_SHIFT` belongs: the
        posterior mean lies about 0.1 lower.
    centre, spread
        Draws of the centre and spread of ln k.
    """
    sigma = float(np.sqrt((spread**2).mean()))
    fitted = float(centre.mean())
    ln_centre = joint_mode - SECTION_SHIFT
    centre_variance = float(centre.var()) + SECTION_SHIFT_SD**2
    share = np.clip(information, 1e-9, 1.0)
    own = sigma**2 * (1 - share) / share
    weight = sigma**2 / (sigma**2 + own + SECTION_ERROR**2)
    best = ln_centre + weight * (ln_k - fitted) / share
    sd = np.sqrt(sigma**2 * (1 - weight) + centre_variance)
    estimates = [
        Estimate(
            float(np.exp(m)),
            float(np.exp(m - _NORMAL * s)),
            float(np.exp(m + _NORMAL * s)),
            "unresolved",
        )
        for m, s in zip(best, sd, strict=True)
    ]
    half = _NORMAL * np.sqrt(centre_variance)
    ends = float(np.exp(ln_centre - half)), float(np.exp(ln_centre + half))
    widest = float(np.quantile(spread, 0.975))
    population = Population(
        centre=Estimate(
            float(np.exp(ln_centre)), *ends, "resolved" if ends[1] <= 4 * ends[0] else "unresolved"
        ),
        spread=Estimate(widest, 0.0, widest, "upper_bound"),
    )
    return SectionResult(population, estimates, weight)
