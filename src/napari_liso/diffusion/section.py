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
    "correct_few",
    "correct_section",
    "keep_open_end",
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
    estimates = _estimates(best, sd)
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


def correct_few(ln_k: FloatArray, variance: FloatArray) -> SectionResult:
    """Correct one or two boundaries, which have no population to lean on.

    Parameters
    ----------
    ln_k, variance
        Posterior mean and variance of each ln k (m/s) in the 2-D fit.

    Returns
    -------
    SectionResult
        Each ln k lower by `SECTION_SHIFT`, its variance larger by that of the
        shift and of a single boundary; nothing is known of the population.
    """
    sd = np.sqrt(variance + SECTION_ERROR**2 + SECTION_SHIFT_SD**2)
    estimates = _estimates(ln_k - SECTION_SHIFT, sd)
    centre = Estimate(
        float(np.exp((ln_k - SECTION_SHIFT).mean())),
        min(e.lower for e in estimates),
        max(e.upper for e in estimates),
        "unresolved",
    )
    population = Population(centre, Estimate(1.0, 0.0, float("inf"), "unresolved"))
    return SectionResult(population, estimates, np.zeros(ln_k.size))


def keep_open_end(result: SectionResult, flat: Estimate) -> SectionResult:
    """Carry an end that the 2-D fit leaves open over into the corrected result.

    Parameters
    ----------
    result
        Corrected as if both ends were closed.
    flat
        Population centre of the 2-D fit. Where it is a bound, the corrected centre
        and every boundary are bounds, too, moved and widened by the section.
    """
    if flat.verdict not in ("lower_bound", "upper_bound"):
        return result
    below = flat.verdict == "lower_bound"
    sign = -1.0 if below else 1.0
    bound = flat.value * np.exp(-SECTION_SHIFT + sign * _NORMAL * SECTION_SHIFT_SD)
    single = bound * np.exp(sign * _NORMAL * SECTION_ERROR)

    def one_sided(value: float, end: float) -> Estimate:
        if below:
            return Estimate(value, end, float("inf"), "lower_bound")
        return Estimate(value, 0.0, end, "upper_bound")

    estimates = [
        one_sided(e.value, float(min(e.lower, single) if below else max(e.upper, single)))
        for e in result.estimates
    ]
    population = Population(one_sided(float(bound), float(bound)), result.population.spread)
    return SectionResult(population, estimates, result.information)


def _estimates(ln_k: FloatArray, sd: FloatArray) -> list[Estimate]:
    """Normal 95 % intervals in ln k; a section resolves none."""
    ends = np.exp([ln_k, ln_k - _NORMAL * sd, ln_k + _NORMAL * sd])
    return [Estimate(float(k), float(a), float(b), "unresolved") for k, a, b in ends.T]
