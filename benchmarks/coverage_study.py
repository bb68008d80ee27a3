"""Do 95 % intervals hold the truth? Simulated columnar maps, truth drawn from the population.

Run: python benchmarks/coverage_study.py [maps per regime] [corrections]

With the word "corrections": maps with dead time, hydride, fractionation and background,
fitted with them, with their values off by draws of their standard errors where those
are given, and (second line) without them.

Prints one row a regime: maps, boundaries, coverage of all intervals, of the
resolved ones and of the bounds, median |ln(k/k_true)| of the resolved ones,
coverage of D, of the population's centre and of its spread, and the mean error
of ln(centre). Grains, permeabilities and counts use streams of random numbers
of their own.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field, replace

import numpy as np

import napari_liso as liso
from napari_liso.counting.measured import Measured
from napari_liso.simulation import voronoi_grains

DIFFUSIVITY = 2.6e-12  # m2/s
PIXEL = 0.5e-6  # m
SHAPE = (128, 128)
GRAINS = 30
SPREAD = 0.5


@dataclass(frozen=True)
class Regime:
    biot: float
    counts: float
    stages: int = 1
    psf_fwhm: float = 0.0
    effects: dict = field(default_factory=dict)
    #: Standard errors of the effects, background of both isotopes alike.
    errors: dict = field(default_factory=dict)
    corrected: bool = True


REGIMES = (
    Regime(0.02, 40),
    Regime(0.05, 60),
    Regime(0.08, 60, stages=2),
    Regime(0.1, 60, psf_fwhm=1.2e-6),
    Regime(0.25, 100),
    Regime(1.0, 100),
    Regime(5.0, 100),
)

CORRECTED = (
    Regime(0.25, 100, effects={"pulses": 150}),
    Regime(0.25, 100, effects={"hydride_ratio": 0.1, "fractionation": 1.1}),
    Regime(0.25, 6, effects={"background": (3.0, 3.0)}),
    Regime(0.25, 60, effects={"pulses": 200, "hydride_ratio": 0.05, "background": (6.0, 3.0)}),
    Regime(
        0.25,
        100,
        effects={"hydride_ratio": 0.06, "fractionation": 1.05},
        errors={"hydride_ratio": 0.01, "fractionation": 0.02},
    ),
    Regime(0.25, 60, effects={"background": (6.0, 6.0)}, errors={"background": 0.5}),
)


def corrections_of(regime: Regime, seed: int) -> dict:
    """Keywords of the fit: the effects, off by draws of their standard errors."""
    if not regime.corrected:
        return {}
    rng = np.random.default_rng([seed, 3])

    def measured(value: float, error: float) -> Measured:
        return Measured(max(value + error * rng.standard_normal(), 1e-6), error)

    given = dict(regime.effects)
    for name, error in regime.errors.items():
        value = given[name]
        if name == "background":
            given[name] = tuple(measured(v, error) for v in value)
        else:
            given[name] = measured(value, error)
    return given


def experiment_for(regime: Regime, centre: float, size: float) -> liso.Experiment:
    """Long enough for the front to reach the middle of the map."""
    depth = 0.45 * SHAPE[1] * PIXEL
    effective = liso.effective_diffusivity(DIFFUSIVITY, centre, size)
    time = depth**2 / (2 * effective)
    if regime.stages == 1:
        stages = [liso.Stage(time)]
    else:
        stages = [liso.Stage(0.5 * time), liso.Stage(0.6 * time, source=False)]
    return liso.Experiment(stages, source="left", source_fraction=0.9)


def one_map(regime: Regime, seed: int) -> dict[str, np.ndarray]:
    """Simulate and fit one map; what is inside its interval."""
    grains = voronoi_grains(SHAPE, GRAINS, seed)
    size = np.sqrt(grains.size / GRAINS) * PIXEL
    centre = regime.biot * DIFFUSIVITY / size
    table = liso.find_boundaries(grains, PIXEL).table
    pairs = sorted({(int(a), int(b)) for a, b in table[["grain_a", "grain_b"]].to_numpy()})
    rng = np.random.default_rng(seed)
    truth = {p: float(centre * np.exp(SPREAD * rng.standard_normal())) for p in pairs}
    experiment = experiment_for(regime, centre, size)
    map_ = liso.simulate(
        grains, PIXEL, experiment, DIFFUSIVITY, truth, regime.counts, regime.psf_fwhm, seed,
        **regime.effects,
    )  # fmt: skip
    fit = liso.fit_diffusion(
        map_["6Li"],
        map_["7Li"],
        grains,
        pixel_size=PIXEL,
        experiment=experiment,
        section="columnar",
        psf_fwhm=regime.psf_fwhm,
        **corrections_of(regime, seed),
    )
    k = np.array([truth[a, b] for a, b in zip(fit.table.grain_a, fit.table.grain_b, strict=True)])
    inside = (fit.table.permeability_lower <= k) & (k <= fit.table.permeability_upper)
    resolved = (fit.table.verdict == "resolved").to_numpy()
    bound = fit.table.verdict.isin(["lower_bound", "upper_bound"]).to_numpy()
    population = fit.population
    return {
        "all": inside.to_numpy(),
        "resolved": inside[resolved].to_numpy(),
        "bounds": inside[bound].to_numpy(),
        "error": np.abs(np.log(fit.table.permeability / k))[resolved].to_numpy(),
        "D": np.array([fit.diffusivity.lower <= DIFFUSIVITY <= fit.diffusivity.upper]),
        "centre": np.array([population.centre.lower <= centre <= population.centre.upper]),
        "spread": np.array([population.spread.lower <= SPREAD <= population.spread.upper]),
        "bias": np.array([np.log(population.centre.value / centre)]),
    }


def main(maps: int, corrections: bool = False) -> None:
    print("Biot counts/px stages blur_um | maps boundaries | covered: all resolved bounds", end="")
    print(" | resolved: number, median error | D centre spread | bias of ln centre")
    regimes = REGIMES
    if corrections:
        regimes = tuple(r for c in CORRECTED for r in (c, replace(c, corrected=False)))
    for regime in regimes:
        rows = [one_map(regime, seed) for seed in range(maps)]
        pooled = {key: np.concatenate([row[key] for row in rows]) for key in rows[0]}
        share = {key: value.mean() for key, value in pooled.items()}
        print(
            f"{regime.biot:g} {regime.counts:g} {regime.stages} {regime.psf_fwhm * 1e6:g} | "
            f"{maps} {pooled['all'].size} | {share['all']:.3f} {share['resolved']:.3f} "
            f"{share['bounds']:.3f} | "
            f"{pooled['resolved'].size} {np.median(pooled['error']):.3f} | "
            f"{share['D']:.2f} {share['centre']:.2f} {share['spread']:.2f} | "
            f"{share['bias']:+.3f}"
            + (f" | {regime.effects} +- {regime.errors}" if regime.effects else "")
            + ("" if regime.corrected else " NOT corrected"),
            flush=True,
        )


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 16, "corrections" in sys.argv[2:])
