"""Fit the permeability of every boundary of a map, and the diffusivity of its grains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from threadpoolctl import threadpool_limits

from napari_liso.counting.measured import Measured
from napari_liso.diffusion import caveats, intervals, systematics
from napari_liso.diffusion.data import FitInput, check_input
from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.full_model import FullModel
from napari_liso.diffusion.likelihood import BinomialData
from napari_liso.diffusion.optimise import Optimum, Problem, Scale, maximise, start_values
from napari_liso.diffusion.polycrystal import Polycrystal, build_polycrystal
from napari_liso.diffusion.posterior import Posterior, find_posterior
from napari_liso.diffusion.propagate import evolve
from napari_liso.diffusion.reduced import MAX_LEVEL, ReducedModel, build_reduced
from napari_liso.diffusion.results import TABLE_COLUMNS, DiffusionFit, Estimate, Population
from napari_liso.diffusion.section import (
    SectionResult,
    correct_few,
    correct_section,
    keep_open_end,
)
from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["fit_diffusion"]

FloatArray = NDArray[np.float64]
Section = Literal["bulk", "columnar"]
Progress = Callable[[float, str], None]

#: Threads of the linear algebra: its matrices are small, and more threads wait for each
#: other (measured: 3 to 10 times slower on a busy machine, never faster below 500 modes).
_THREADS = 1
#: Largest rms error of the fraction that the reduced model may make, and the largest
#: error in terms of the counts: chi2 of the difference, a parameter.
_TOLERANCE = 1e-3
_CHI2_TOLERANCE = 0.25
#: Pearson chi2 per degree of freedom that deserves a word.
_POOR = 1.2


def fit_diffusion(
    n6: ArrayLike,
    n7: ArrayLike,
    grains: ArrayLike | Boundaries,
    *,
    pixel_size: float | tuple[float, float] | None = None,
    experiment: Experiment,
    boundaries: Sequence[int] | None = None,
    section: Section = "bulk",
    psf_fwhm: float = 0.0,
    exclude: float | None = None,
    progress: Progress | None = None,
    seed: int = 0,
    pulses: ArrayLike | None = None,
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    background: Sequence[ArrayLike | Measured] = (0.0, 0.0),
) -> DiffusionFit:
    """Fit the permeability of every boundary to the counts of a map.

    In grain g the fraction c obeys dc/dt = D laplacian(c); across a boundary the
    flux is k (c_a - c_b). N6 of a pixel is binomial in N6 + N7 with the model's
    fraction. The permeabilities come from a log-normal population that is fitted
    with them; all intervals are 95 %.

    Parameters
    ----------
    n6, n7
        Counts of 6Li and 7Li, (y, x), integers.
    grains
        Labels (y, x), 0 = not a grain, or the result of `find_boundaries` with
        the states of its boundaries ("exclude": still a barrier, with the shared
        k, but the pixels nearest to it are not data).
    pixel_size
        m, or (y, x) in m. May be left out where `grains` is a `Boundaries`.
    experiment
        Stages, source and background.
    boundaries
        None: every boundary has a k of its own. Ids: these have, the others
        share one k.
    section
        ``"bulk"``: the map is a section through a 3-D polycrystal such as a
        pellet, whose hidden grains exchange lithium with the visible ones.
        ``"columnar"``: the grains go straight through (columnar films, thin
        films, bicrystals) and the 2-D model is exact.
    psf_fwhm
        Full width at half maximum of the beam's blur, m.
    exclude
        Distance from a boundary within which pixels are not data, m. None: one
        pixel plus `psf_fwhm`.
    progress
        Called as progress(done from 0 to 1, what is being done). What it raises
        ends the fit.
    seed
        Of the posterior draws: the same seed gives the same numbers.
    pulses
        Primary-ion pulses behind each pixel, all frames together: a number or (y, x), 0
        where nothing was measured. None: no dead time. The rate is taken to be the same
        in all frames. Pixels with more than 0.8 counts of a peak a pulse are no data.
    hydride_ratio
        6LiH+ per 6Li+, which is counted as 7Li.
    fractionation
        Factor by which the instrument multiplies the odds n6/n7.
    background
        Expected background counts of (n6, n7) in a pixel, all frames together; each a
        number or (y, x).

    The last four say what lies between the sample and its counts. They enter the
    likelihood (see `observation`); the counts stay as they were counted. Each factor
    and each background may be a `Measured` with its standard error: it is common to all
    pixels, and the intervals include it. `source_fraction` and `background_fraction` of
    the experiment are those of the sample, not those that are counted.

    Returns
    -------
    DiffusionFit
        See there. `fraction`, `residual`, `step` and `biot` belong to the most
        probable parameters; the table's permeabilities are posterior medians.

    Raises
    ------
    ValueError
        If the input does not allow a fit; the message says what to change.
    """
    report = _Reporter(progress)
    report(0.0, "Finding boundaries")
    given = check_input(
        n6,
        n7,
        grains,
        pixel_size,
        experiment,
        boundaries,
        section,
        psf_fwhm,
        exclude,
        {
            "pulses": pulses,
            "hydride_ratio": hydride_ratio,
            "fractionation": fractionation,
            "background": background,
        },
    )
    with threadpool_limits(_THREADS, user_api="blas"):
        return _fit(given, experiment, section, seed, report)


def _fit(
    given: FitInput, experiment: Experiment, section: Section, seed: int, report: _Reporter
) -> DiffusionFit:
    """Fit checked input."""
    crystal = build_polycrystal(given.boundaries, experiment)
    report(0.05, "Building the model")
    problem, theta, warnings = _start(given, crystal, experiment, report)
    report(0.4, "Drawing the posterior")
    posterior = find_posterior(problem, theta, seed, report.tick)
    report(0.75, "Finding intervals")
    estimates, information = intervals.boundary_estimates(posterior, report.tick)
    diffusivity = intervals.diffusivity_estimate(posterior)
    population = Population(
        intervals.centre_estimate(posterior), intervals.spread_estimate(posterior)
    )
    if section == "bulk":
        corrected = _for_section(posterior, information, population.centre)
        population, estimates = corrected.population, corrected.estimates
        information = corrected.information
    report(0.97, "Writing the result")
    optimum = posterior.optimum
    dispersion = problem.data.pearson(
        problem.data.fraction(problem.model, optimum.run.final), optimum.theta.size
    )
    reasons = caveats.doubts(posterior, dispersion)
    if reasons:
        estimates = [caveats.unresolve(e) for e in estimates]
        diffusivity = caveats.unresolve(diffusivity)
        population = Population(
            caveats.unresolve(population.centre), caveats.unresolve(population.spread)
        )
    result = _result(
        given,
        problem.model,
        posterior,
        estimates,
        information,
        diffusivity,
        population,
        dispersion,
    )
    shifts = caveats.fraction_sensitivity(posterior)
    warnings += reasons + caveats.fraction_warning(posterior, shifts)
    corrections = systematics.shifts(posterior.optimum)
    warnings += systematics.warnings(posterior.optimum, corrections)
    warnings += _warnings(given, dispersion, diffusivity, section)
    report(1.0, "Done")
    return replace(
        result,
        section=section,
        warnings=warnings,
        provenance={
            **_provenance(given, experiment, section, problem, posterior, seed),
            "shift_of_ln_k_per_0.001_background": shifts["background"],
            "shift_of_ln_k_per_0.01_source": shifts["source"],
            "corrections": given.given.describe(),
            "saturated_pixels": int(given.saturated.sum()),
            "shifts_per_standard_error": corrections,
        },
    )


def _for_section(
    posterior: Posterior, information: FloatArray, flat_centre: Estimate
) -> SectionResult:
    """Correct for the hidden grains of a section."""
    means = posterior.ln_k.mean(axis=1)
    if means.size < 3:
        return correct_few(means, posterior.ln_k.var(axis=1))
    result = correct_section(
        means,
        information,
        float(posterior.optimum.theta[:-1].mean()),
        posterior.centre,
        posterior.spread,
    )
    return keep_open_end(result, flat_centre)


class _Reporter:
    """Progress of a fit: phases by hand, and small ticks within them."""

    def __init__(self, progress: Progress | None) -> None:
        self._progress = progress
        self._done = 0.0
        self._message = ""

    def __call__(self, done: float, message: str) -> None:
        self._done, self._message = max(done, self._done), message
        if self._progress is not None:
            self._progress(self._done, message)

    def tick(self) -> None:
        """Creep forward, and let the caller cancel."""
        self(self._done + 0.0003 * (0.97 - self._done), self._message)


def _start(
    given: FitInput, crystal: Polycrystal, experiment: Experiment, report: _Reporter
) -> tuple[Problem, FloatArray, list[str]]:
    """Maximum on a basis that is good enough: (problem with that basis, parameters, warnings)."""
    grain_size = float(np.sqrt(crystal.size * crystal.area / crystal.cells))
    scale = Scale(grain_size, experiment.duration)
    model = build_reduced(crystal, 0)
    problem = Problem(
        model=model,
        data=_data(given, model, experiment),
        experiment=experiment,
        group=given.group,
        scale=scale,
        sigma=0.6 if given.group.max() > 0 else np.inf,
    )
    report(0.1, "Looking for start values")
    theta = start_values(problem, report.tick)
    report(0.2, "Fitting")
    optimum = maximise(problem, theta, report.tick)
    warnings: list[str] = []
    for level in range(1, MAX_LEVEL + 1):
        report(0.2 + 0.05 * level, "Checking the model")
        finer = build_reduced(crystal, level, np.exp(optimum.theta[-1]) * experiment.duration)
        rms, chi2 = _difference(optimum, finer)
        if rms < _TOLERANCE and chi2 < _CHI2_TOLERANCE * optimum.theta.size:
            break
        problem = replace(problem, model=finer, data=_data(given, finer, experiment))
        optimum = maximise(problem, optimum.theta, report.tick)
        if level == MAX_LEVEL and rms > _TOLERANCE:
            warnings.append(
                "The fronts are steeper than the model resolves: "
                f"its fraction may be off by {rms:.1g}."
            )
    dispersion = problem.data.pearson(
        problem.data.fraction(problem.model, optimum.run.final), optimum.theta.size
    )
    problem = replace(problem, temper=1.0 / max(dispersion, 1.0))
    return problem, optimum.theta, warnings


def _data(given: FitInput, model: ReducedModel, experiment: Experiment) -> BinomialData:
    return BinomialData.from_images(
        model, given.n6, given.n7, given.used, experiment.source_fraction, given.observation
    )


def _difference(optimum: Optimum, finer: ReducedModel) -> tuple[float, float]:
    """Rms difference of the fraction between two bases over the data, and its chi2."""
    problem = optimum.problem
    run = evolve(
        finer,
        problem.experiment.stages,
        optimum.run.permeability,
        optimum.run.diffusivity,
        problem.departure,
    )
    coarse = problem.data.fraction(problem.model, optimum.run.final)
    change = finer.field(run.final) - (coarse - problem.data.source_fraction)
    information = problem.data.information(np.clip(coarse, 1e-3, 1 - 1e-3))
    chi2 = float((information * change**2).sum())
    return float(np.sqrt((change**2)[problem.data.total > 0].mean())), chi2


def _result(
    given: FitInput,
    model: ReducedModel,
    posterior: Posterior,
    estimates: list[Estimate],
    information: FloatArray,
    diffusivity: Estimate,
    population: Population,
    dispersion: float,
) -> DiffusionFit:
    """Result but for what `_fit` adds: section, warnings, provenance."""
    optimum = posterior.optimum
    problem, crystal = optimum.problem, model.crystal
    values = problem.data.fraction(model, optimum.run.final)
    fraction = crystal.to_image(values)
    counted, residual = _residual(given, fraction)
    experiment = problem.experiment
    permeability, best_d = optimum.run.permeability, optimum.run.diffusivity

    return DiffusionFit(
        table=_table(given, crystal, values, estimates, information, permeability, best_d),
        diffusivity=diffusivity,
        population=population,
        fraction=fraction,
        residual=residual,
        used=given.used,
        dispersion=dispersion,
        section="columnar",
        warnings=[],
        provenance={},
        full_fraction=FullModel(given.boundaries, experiment, permeability, best_d),
        counted=None if given.observation is None else counted,
    )


def _residual(given: FitInput, fraction: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Fraction that the counts should show, and (data - model) / sigma, (y, x)."""
    seen, counted, scatter = given.observation, fraction, None
    if seen is not None:
        counted = seen.take(slice(None)).fraction(fraction.ravel()).reshape(fraction.shape)
        scatter = seen.scatter
    total = (given.n6 + given.n7).astype(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = total * counted * (1 - counted)
        sigma = np.sqrt(variance if scatter is None else variance * scatter)
        known = (total > 0) & ~given.saturated
        residual = np.where(known, (given.n6 - total * counted) / sigma, np.nan)
    return counted, residual


def _table(
    given: FitInput,
    crystal: Polycrystal,
    values: FloatArray,
    estimates: list[Estimate],
    information: FloatArray,
    permeability: FloatArray,
    diffusivity: float,
) -> pd.DataFrame:
    """One row a boundary; see `TABLE_COLUMNS`."""
    rows = given.boundaries.table.loc[given.ids, ["grain_a", "grain_b"]]
    cell = crystal.cell_of_unknown()
    first, second = crystal.contact[:, 0], crystal.contact[:, 1]
    in_a = crystal.cell_grain[cell[first]] == rows["grain_a"].to_numpy()[crystal.contact_boundary]
    jump = np.where(in_a, 1.0, -1.0) * (values[first] - values[second])
    weight = np.bincount(crystal.contact_boundary, crystal.contact_weight)
    step = np.bincount(crystal.contact_boundary, jump * crystal.contact_weight) / weight
    # From the difference of two pixels to that across the barrier alone: flux / k.
    step *= crystal.conductance(permeability, diffusivity) / permeability
    mine = [estimates[g] for g in given.group]
    k = np.array([e.value for e in mine])
    grain = np.bincount(crystal.cell_grain, np.diff(crystal.cell_start) * crystal.area)
    size = np.sqrt(grain[rows.to_numpy(dtype=np.int64)]).mean(axis=1)
    table = rows.assign(
        permeability=k,
        permeability_lower=[e.lower for e in mine],
        permeability_upper=[e.upper for e in mine],
        verdict=[e.verdict for e in mine],
        information=information[given.group],
        step=step,
        biot=k * size / diffusivity,
        resistance=1.0 / k,
    )
    return table[list(TABLE_COLUMNS)]


def _warnings(
    given: FitInput, dispersion: float, diffusivity: Estimate, section: Section
) -> list[str]:
    notes = list(given.notes)
    if section == "bulk":
        notes.append(
            "A section shows about half of each grain's boundaries. The population is corrected "
            "for that; a single boundary keeps little more than the population's value. "
            "Choose 'columnar' only where grains go straight through."
        )
        notes.append(
            "The diffusivity is that of the 2-D model; exchange with hidden grains can bias it."
        )
    if dispersion > _POOR:
        notes.append(
            f"The counts scatter more than the model allows (chi2/dof {dispersion:.2f}): "
            "look at the residual. Intervals are widened accordingly."
        )
    if diffusivity.verdict == "lower_bound":
        notes.append("The grains are flat within the noise: the diffusivity is a lower bound.")
    return notes


def _provenance(
    given: FitInput,
    experiment: Experiment,
    section: Section,
    problem: Problem,
    posterior: Posterior,
    seed: int,
) -> dict[str, Any]:
    return {
        "napari_liso": version("napari-liso"),
        "experiment": experiment.describe(),
        "section": section,
        "psf_fwhm_m": given.psf_fwhm,
        "exclude_m": given.exclude,
        "pixel_size_m": list(given.boundaries.pixel_size),
        "pixels_used": int(given.used.sum()),
        "boundaries_of_their_own": int(given.group.max()) + 1 - int(given.shares),
        "basis_level": problem.model.level,
        "modes": problem.model.modes,
        "likelihood_exponent": problem.temper,
        "r_hat": posterior.r_hat,
        "surrogate_misfit": posterior.misfit,
        "seed": seed,
    }
