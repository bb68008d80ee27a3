"""From maxima and ends to tables, estimates and verdicts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.stats import chi2

from napari_liso.diffusion.intervals import judge
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.series import remarks
from napari_liso.diffusion.series.given import GivenProfiles, Whole
from napari_liso.diffusion.series.layout import FractionRule
from napari_liso.diffusion.series.model import respond
from napari_liso.diffusion.series.results import PROFILE_COLUMNS, ProfileBatch, ProfileFit
from napari_liso.diffusion.series.solve import Solved

__all__ = ["batch_of", "profile_of", "residual_of"]

FloatArray = NDArray[np.float64]

#: Pearson chi2 per degree of freedom that deserves a word.
_SCATTER = 1.5


def batch_of(given: GivenProfiles, solved: Solved, whole: Whole) -> ProfileBatch:
    """Arrays of a batch."""
    layout = solved.problem.layout
    values = layout.values(solved.optima.theta)
    none = np.full((len(values), layout.asked, 2), np.nan)
    ends, fall = (none, none) if solved.ends is None else (solved.ends.value, solved.ends.fall)
    faces, grains = layout.face_group[1:], layout.layer_group
    with np.errstate(divide="ignore"):
        inverse, inverse_ends = 1.0 / values, 1.0 / ends
    fraction = _all_bins(solved, whole)
    return ProfileBatch(
        permeability=inverse[:, faces],
        permeability_lower=inverse_ends[:, faces, 1],
        permeability_upper=inverse_ends[:, faces, 0],
        diffusivity=inverse[:, grains],
        diffusivity_lower=inverse_ends[:, grains, 1],
        diffusivity_upper=inverse_ends[:, grains, 0],
        barrier_statistic=2 * fall[:, faces, 0],
        source_fraction=_fractions(values, ends, layout.source_column, layout.source),
        background_fraction=_fractions(values, ends, layout.background_column, layout.background),
        surface_exchange=_surface(solved, values, ends),
        dispersion=solved.dispersion,
        deviance=solved.problem.deviance(fraction[:, given.used]),
        fraction=fraction,
    )


def _fractions(
    values: FloatArray, ends: FloatArray, column: int, rule: FractionRule
) -> FloatArray:
    """Value, lower and upper end, (fits, 3)."""
    if column < 0:
        return np.full((len(values), 3), rule.value)
    return np.column_stack([values[:, column], ends[:, column]])


def _surface(solved: Solved, values: FloatArray, ends: FloatArray) -> FloatArray:
    """k_s with its ends, (fits, 3); inf for a fixed fraction."""
    layout = solved.problem.layout
    column = int(layout.face_group[0])
    with np.errstate(divide="ignore"):
        if column < 0:
            return np.full((len(values), 3), 1.0 / np.float64(layout.fixed_surface))
        return 1.0 / np.column_stack([values[:, column], ends[:, column, ::-1]])


def _all_bins(solved: Solved, whole: Whole) -> FloatArray:
    """Fraction of the counts of all bins, those near boundaries included, (fits, bins)."""
    problem = solved.problem
    chain = problem.chain.at(whole.bins.positions)
    every = replace(problem, chain=chain, bins=whole.bins, seen=whole.seen)
    return every.fraction(solved.optima.theta)


def residual_of(given: GivenProfiles, fraction: FloatArray, whole: Whole) -> FloatArray:
    """(data - model) / sigma of the first profile; NaN without counts."""
    n6, total = given.n6[0], given.total[0]
    variance = total * fraction * (1 - fraction)
    if whole.seen is not None and whole.seen.scatter is not None:
        variance = variance * whole.seen.scatter
    sigma = np.sqrt(np.maximum(variance, 1e-12))
    return np.where(total > 0, (n6 - total * fraction) / sigma, np.nan)


def profile_of(
    given: GivenProfiles,
    solved: Solved,
    whole: Whole,
    fast: NDArray[np.bool_],
    warnings: list[str],
    settings: dict[str, Any],
) -> ProfileFit:
    """Result of one profile."""
    batch = batch_of(given, solved, whole)
    residual = residual_of(given, batch.fraction[0], whole)
    dispersion = float(batch.dispersion[0])
    warnings = list(warnings)
    poor = None
    if settings["model"] == "series":  # one D_eff does not follow the steps, nor should it
        poor = remarks.misfit(residual[given.used], dispersion)
    if poor is not None:
        warnings.insert(0, poor)
    elif dispersion > _SCATTER:
        warnings.append(
            f"Counts scatter {dispersion:.1f} times as much as counting does (chi2/dof); "
            "intervals are widened by the root of that."
        )
    if solved.problem.chain.order < 8:
        error = 2e-6 if solved.problem.chain.order == 6 else 2e-4
        warnings.append(f"Many stages of similar length: the model is exact to {error:g} only.")
    layout = solved.problem.layout
    trusted = poor is None
    estimates = tuple(
        _estimate(ends, trusted)
        for ends in zip(
            batch.diffusivity[0],
            batch.diffusivity_lower[0],
            batch.diffusivity_upper[0],
            strict=True,
        )
    )
    shared = layout.layer_group.max() == 0
    has_surface = layout.face_group[0] >= 0 or layout.fixed_surface > 0
    return ProfileFit(
        model=settings["model"],
        table=_table(given, solved, batch, fast, trusted),
        grains=_grains(given, estimates),
        diffusivity=estimates[0] if shared else estimates,
        source_fraction=_estimate(batch.source_fraction[0], trusted),
        background_fraction=_estimate(batch.background_fraction[0], trusted),
        surface_exchange=_estimate(batch.surface_exchange[0], trusted) if has_surface else None,
        distance=given.distance,
        fraction=batch.fraction[0],
        residual=residual,
        used=given.used,
        dispersion=dispersion,
        warnings=warnings,
        provenance=settings,
    )


def _estimate(ends: Iterable[float], trusted: bool) -> Estimate:
    """From value, lower and upper end, with the verdict; as a bound the value is the bound."""
    value, lower, upper = (float(end) for end in ends)
    verdict = judge(lower, upper)
    if verdict == "lower_bound":
        value = lower
    if verdict == "upper_bound":
        value = upper
    return Estimate(value, lower, upper, verdict if trusted else "unresolved")


def _grains(given: GivenProfiles, estimates: tuple[Estimate, ...]) -> pd.DataFrame:
    ends = np.concatenate([[0.0], given.interfaces, [given.length]])
    columns = {
        "start": ends[:-1],
        "end": ends[1:],
        "diffusivity": [d.value for d in estimates],
        "diffusivity_lower": [d.lower for d in estimates],
        "diffusivity_upper": [d.upper for d in estimates],
        "verdict": [d.verdict for d in estimates],
    }
    return pd.DataFrame(columns, index=pd.RangeIndex(1, len(estimates) + 1, name="grain"))


def _table(
    given: GivenProfiles,
    solved: Solved,
    batch: ProfileBatch,
    fast: NDArray[np.bool_],
    trusted: bool,
) -> pd.DataFrame:
    steps = _steps(solved, given)
    sizes = np.diff(
        np.concatenate([[0.0], given.interfaces, [min(given.length, given.edges[-1])]])
    )
    rows = []
    for i, position in enumerate(given.interfaces):
        k = _estimate(
            (
                batch.permeability[0, i],
                batch.permeability_lower[0, i],
                batch.permeability_upper[0, i],
            ),
            trusted,
        )
        if fast[i]:
            k = Estimate(np.inf, 0.0, np.inf, "unresolved")
        statistic = float(batch.barrier_statistic[0, i])
        p = 0.5 * float(chi2.sf(statistic, 1)) if statistic > 0 else 1.0
        d = batch.diffusivity[0, i : i + 2].mean()
        # k d / D; two infinities are no barrier between flat grains: infinite
        biot = 0.0 if np.isinf(d) and np.isfinite(k.value) else k.value * sizes[i : i + 2].mean()
        biot = biot / d if np.isfinite(d) else biot
        with np.errstate(divide="ignore"):
            rho, low, high = 1.0 / np.array([k.value, k.upper, k.lower])
        own = (i + 1, i + 2, position, k.value, k.lower, k.upper, k.verdict)
        rows.append((*own, steps[i], biot, rho, low, high, statistic, p, bool(fast[i])))
    index = pd.RangeIndex(1, len(rows) + 1, name="boundary")
    table = pd.DataFrame(rows, columns=list(PROFILE_COLUMNS), index=index)
    # an empty table has the types of any other
    kinds = {"grain_a": int, "grain_b": int, "verdict": object, "fast": bool}
    return table.astype({name: kinds.get(name, float) for name in PROFILE_COLUMNS})


def _steps(solved: Solved, given: GivenProfiles) -> FloatArray:
    """Fraction just before minus just behind each boundary, of the sample."""
    if given.interfaces.size == 0:
        return np.zeros(0)
    problem = solved.problem
    places = np.sort(
        np.concatenate([given.interfaces * (1 - 1e-9), given.interfaces * (1 + 1e-9)])
    )
    chain = problem.chain.at(places)
    layout = problem.layout
    values = layout.values(solved.optima.theta[:1])
    share = respond(chain, layout.inverse_d(values), layout.resistance(values))[0]
    source, background = layout.fractions(values)
    steps: FloatArray = float(source[0, 0] - background[0, 0]) * (share[0::2] - share[1::2])
    return steps
