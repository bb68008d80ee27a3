"""Fit a profile from the source: grains in series, one effective D, or step and slope."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.measured import Measured
from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.intervals import judge
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.series import remarks
from napari_liso.diffusion.series.change_points import find_interfaces
from napari_liso.diffusion.series.given import (
    GivenProfiles,
    ProfileOptions,
    check_profiles,
    describe_corrections,
    set_up,
)
from napari_liso.diffusion.series.report import batch_of, profile_of
from napari_liso.diffusion.series.results import ProfileBatch, ProfileFit
from napari_liso.diffusion.series.solve import solve_problem
from napari_liso.diffusion.series.step_slope import step_and_slope

__all__ = ["fit_profile", "fit_profiles"]

FloatArray = NDArray[np.float64]
Model = Literal["series", "effective", "step-slope"]
Share = Literal["shared", "per_grain"]
Structure = Literal["polycrystal", "layers"]


def fit_profile(
    distance: ArrayLike,
    n6: ArrayLike,
    n7: ArrayLike,
    interfaces: ArrayLike | None,
    experiment: Experiment,
    *,
    model: Model = "series",
    diffusivity: Share = "shared",
    permeability: Literal["each", "shared"] = "each",
    structure: Structure = "polycrystal",
    length: float | None = None,
    exclude: float | None = None,
    psf_fwhm: float = 0.0,
    source_fraction: float | Measured | Literal["fit"] | None = None,
    background_fraction: float | Measured | Literal["fit"] | None = None,
    surface_exchange: Literal["fit"] | None = None,
    grain_size: float | None = None,
    window: float | None = None,
    pulses: ArrayLike | None = None,
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
    background: Sequence[ArrayLike | Measured] = (0.0, 0.0),
) -> ProfileFit:
    """Fit grains and boundaries in series to the counts of a profile from the source.

    In each grain dc/dt = D d2c/dx2, across a boundary the flux is k (c_a - c_b);
    counts of a bin are binomial with the model's fraction, averaged over the bin.
    Intervals are 95 % profile likelihood, widened where the counts scatter more
    than binomially.

    Parameters
    ----------
    distance
        Middles of the bins from the source face on, m, ascending.
    n6, n7
        Counts of each bin, integers: sums of whole pixels, as `band_profile` gives.
    interfaces
        Positions of the boundaries, m; None: found where the profile has steps.
    experiment
        Stages, fractions and surface exchange; its `source` is distance 0. D and k are
        those at the temperature of the first stage.
    model
        ``"series"``; ``"effective"``: one D_eff for the whole profile; ``"step-slope"``:
        D/k of each boundary from the step across it and the slope beside it, without
        time, source or background.
    diffusivity
        One D for all grains, or one each.
    permeability
        One k for each boundary, or one for all.
    structure
        ``"layers"``: the sample is one-dimensional (bicrystal, stack, columns across the
        whole width), which spares the warning that polycrystals are not.
    length
        Of the sample, m, its far end closed; None: the end of the last bin; inf: open.
    exclude
        Bins whose middle is closer than this to a boundary are no data, m; None: one bin.
    psf_fwhm
        Full width at half maximum of the beam's blur, m. It acts on the intensities of
        6Li and 7Li, which differ from grain to grain as the total counts do.
    source_fraction, background_fraction
        None: the experiment's, exact; a `Measured` with its standard error; or ``"fit"``.
    surface_exchange
        ``"fit"``: k_s is found too; None: that of the experiment.
    grain_size
        m, for the warning of ``"effective"`` where no interfaces are given.
    window
        Step-slope: bins so far from the boundary on each side, m; None:
        half of the smaller grain beside it.
    pulses, hydride_ratio, fractionation, background
        Corrections, as in `fit_diffusion`, for bins: pulses and background counts are those of
        all pixels of a bin. They are in the likelihood; their errors widen the intervals.

    Returns
    -------
    ProfileFit

    Raises
    ------
    ValueError
        If counts are not whole, positions do not fit to the profile, or an option is
        unknown.
    """
    _check_choices(model, diffusivity, permeability, structure)
    options = ProfileOptions(
        shared_d=diffusivity == "shared",
        shared_k=permeability == "shared",
        psf_fwhm=psf_fwhm,
        exclude=exclude,
        length=length,
        source_fraction=source_fraction,
        background_fraction=background_fraction,
        surface_exchange=surface_exchange,
        pulses=pulses,
        hydride_ratio=hydride_ratio,
        fractionation=fractionation,
        background=background,
    )
    _check_experiment(experiment)
    places: ArrayLike = () if interfaces is None else interfaces
    given = check_profiles(distance, n6, n7, places, options)
    if given.n6.shape[0] != 1:
        raise ValueError("n6 and n7 hold several profiles: use fit_profiles")
    if interfaces is None and model != "effective":
        places = find_interfaces(given, experiment, options)
        given = check_profiles(distance, n6, n7, places, options)
    corrected = describe_corrections(given, options)
    settings: dict[str, Any] = {
        "experiment": experiment.describe(),
        "model": model,
        "interfaces": [float(p) for p in given.interfaces],
        "interfaces_found": interfaces is None,
        "diffusivity": diffusivity,
        "permeability": permeability,
        "structure": structure,
        "length": given.length,
        "exclude": given.step if exclude is None else float(exclude),
        "psf_fwhm": float(psf_fwhm),
        "corrections": corrected,
        "version": version("napari-liso"),
    }
    if model == "step-slope":
        if corrected:
            raise ValueError(
                "step-slope takes no corrections: they change step and slope nearly alike"
            )
        return step_and_slope(given, experiment, settings, window=window, psf_fwhm=psf_fwhm)
    if model == "effective":
        return _effective(given, experiment, options, settings, grain_size)
    problem, every = set_up(given, experiment, options)
    solved = solve_problem(problem)
    fast = remarks.fast_boundaries(given, psf_fwhm)
    warnings = [
        *remarks.fast_words(fast),
        *remarks.polycrystal(given.interfaces.size, structure),
        *remarks.degeneracies(solved.problem, solved.optima.information[0]),
    ]
    if interfaces is None:
        warnings.insert(0, _found_words(given))
    return profile_of(given, solved, every, fast, warnings, settings)


def fit_profiles(
    distance: ArrayLike,
    n6: ArrayLike,
    n7: ArrayLike,
    interfaces: ArrayLike,
    experiment: Experiment,
    *,
    intervals: bool = True,
    diffusivity: Share = "shared",
    permeability: Literal["each", "shared"] = "each",
    length: float | None = None,
    exclude: float | None = None,
    psf_fwhm: float = 0.0,
    source_fraction: float | Measured | Literal["fit"] | None = None,
    background_fraction: float | Measured | Literal["fit"] | None = None,
    surface_exchange: Literal["fit"] | None = None,
    hydride_ratio: float | Measured = 0.0,
    fractionation: float | Measured = 1.0,
) -> ProfileBatch:
    """Fit many profiles of one geometry in lock step, as `fit_profile` does one.

    For bootstraps and simulations: a fit without intervals takes a fraction of a millisecond.

    Parameters
    ----------
    distance
        Middles of the bins, m, (bins,).
    n6, n7
        Counts, (fits, bins).
    interfaces
        Positions of the boundaries, m.
    intervals
        Whether to find the 95 % ends, which takes about ten times as long.
    experiment, diffusivity, permeability, length, exclude, psf_fwhm
        As `fit_profile`.
    source_fraction, background_fraction, surface_exchange
        As `fit_profile`.
    hydride_ratio, fractionation
        As `fit_profile`.

    Returns
    -------
    ProfileBatch
    """
    _check_choices("series", diffusivity, permeability, "layers")
    _check_experiment(experiment)
    options = ProfileOptions(
        shared_d=diffusivity == "shared",
        shared_k=permeability == "shared",
        psf_fwhm=psf_fwhm,
        exclude=exclude,
        length=length,
        source_fraction=source_fraction,
        background_fraction=background_fraction,
        surface_exchange=surface_exchange,
        hydride_ratio=hydride_ratio,
        fractionation=fractionation,
    )
    given = check_profiles(distance, n6, n7, interfaces, options)
    problem, every = set_up(given, experiment, options)
    return batch_of(given, solve_problem(problem, intervals), every)


def _effective(
    given: GivenProfiles,
    experiment: Experiment,
    options: ProfileOptions,
    settings: dict[str, Any],
    grain_size: float | None,
) -> ProfileFit:
    """One D_eff: the series model without boundaries."""
    grains = given.interfaces
    whole = check_profiles(given.distance, given.n6, given.total - given.n6, (), options)
    problem, every = set_up(whole, experiment, options)
    solved = solve_problem(problem)
    if grains.size:
        grain_size = float(np.diff(np.concatenate([[0.0], grains])).mean())
    fit = profile_of(whole, solved, every, np.zeros(0, dtype=bool), [], settings)
    assert isinstance(fit.diffusivity, Estimate)
    duration = problem.chain.effective_time
    bias, words = remarks.effective_bias(fit.diffusivity.value, duration, grain_size)
    fit.warnings.extend(words)
    fit.warnings.extend(remarks.degeneracies(solved.problem, solved.optima.information[0]))
    if bias == 0:
        return fit
    found = fit.diffusivity
    lower = found.lower / (1 + bias)
    verdict = judge(lower, found.upper) if np.isfinite(bias) else "unresolved"
    lowered = replace(found, lower=lower, verdict=verdict)
    grains_table = fit.grains.assign(diffusivity_lower=lower, verdict=verdict)
    return replace(fit, diffusivity=lowered, grains=grains_table)


def _found_words(given: GivenProfiles) -> str:
    number = given.interfaces.size
    if number == 0:
        return (
            "No boundary with a step was found in the profile; give interfaces if there are any."
        )
    listed = ", ".join(f"{1e6 * p:.3g}" for p in given.interfaces)
    return (
        f"Boundaries were looked for in the profile itself: {number} found, at {listed} µm. One "
        "without a step is not seen, and the k's do not contain the error of the places."
    )


def _check_choices(model: str, diffusivity: str, permeability: str, structure: str) -> None:
    for name, value, allowed in (
        ("model", model, ("series", "effective", "step-slope")),
        ("diffusivity", diffusivity, ("shared", "per_grain")),
        ("permeability", permeability, ("each", "shared")),
        ("structure", structure, ("polycrystal", "layers")),
    ):
        if value not in allowed:
            raise ValueError(f"{name} must be one of {allowed}, got {value!r}")


def _check_experiment(experiment: Experiment) -> None:
    for name in ("initial_fraction", "source_distance"):
        if getattr(experiment, name, None) is not None:
            raise ValueError(
                f"a profile cannot use {name} of the experiment: it starts at the source face, "
                "with the background everywhere"
            )
