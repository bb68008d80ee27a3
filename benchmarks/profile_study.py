"""Coverage of the intervals of fit_profile on simulated profiles, regime by regime.

    python benchmarks/profile_study.py [profiles a regime]

Prints a Markdown table: share of the 95 % intervals of k and D that hold the
truth, of open ends, bias of ln k, time. Counts are drawn from the series model on
a finer grid of its own: intervals are judged, not the model.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

import napari_liso as liso
from napari_liso.counting.measured import Measured
from napari_liso.diffusion.series.bins import build_bins
from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.given import periods_of
from napari_liso.diffusion.series.model import respond

FloatArray = NDArray[np.float64]

D, GRAIN, STEP, SOURCE, BACKGROUND = 2.6e-12, 20e-6, 1e-6, 0.95, 0.0759


@dataclass(frozen=True)
class Regime:
    """One kind of experiment; `biot` is k d/D, inf for no barrier."""

    name: str
    biot: float
    counts: float
    grains: int = 2
    blur: float = 0.0
    contrast: Sequence[float] = (1.0,)
    anneal: float = 0.0
    scatter: float = 1.0
    background_error: float = 0.0
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def k(self) -> float:
        return self.biot * D / GRAIN

    @property
    def experiment(self) -> liso.Experiment:
        through = GRAIN**2 / D * (1 + 1 / self.biot)
        time_ = through * self.grains**2 / 4
        stages = [liso.Stage(time_)]
        if self.anneal:
            stages.append(liso.Stage(self.anneal * time_, source=False))
        return liso.Experiment(stages, source_fraction=SOURCE, background_fraction=BACKGROUND)

    @property
    def interfaces(self) -> FloatArray:
        return GRAIN * np.arange(1, self.grains)

    @property
    def distance(self) -> FloatArray:
        return (np.arange(round(self.grains * GRAIN / STEP)) + 0.5) * STEP

    def draw(self, number: int, seed: int = 0) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Counts of 6Li and 7Li, (profiles, bins)."""
        rng = np.random.default_rng(seed)
        length = self.grains * GRAIN
        # four bins of the truth make one of the data
        edges = np.linspace(0, length, 4 * self.distance.size + 1)
        bins = build_bins(edges, self.interfaces, length, self.blur)
        chain = Chain(np.full(self.grains, GRAIN), periods_of(self.experiment), bins.positions, 14)
        rho = np.full(self.grains, 1 / self.k)
        rho[0] = 0.0
        share = respond(chain, np.full((1, self.grains), 1 / D), rho[None])
        intensity = np.resize(np.asarray(self.contrast), self.grains)[None]
        c = bins.fraction(share, intensity)
        level = bins.weights @ intensity[0, bins.layer]
        lost = level.reshape(-1, 4).mean(axis=1) * self.counts
        mixed = (c * level).reshape(-1, 4).mean(axis=1) / level.reshape(-1, 4).mean(axis=1)
        background = BACKGROUND + self.background_error * rng.standard_normal((number, 1))
        fraction = background + (SOURCE - background) * mixed
        total = rng.poisson(np.broadcast_to(lost, fraction.shape))
        if self.scatter > 1:  # beta-binomial with that variance over the binomial one
            spread = (np.maximum(total, 2) - 1) / (self.scatter - 1) - 1
            fraction = rng.beta(fraction * spread, (1 - fraction) * spread)
        n6 = rng.binomial(total, fraction)
        return n6, total - n6


REGIMES = [
    Regime("flat grains", 0.003, 1000),
    Regime("flat grains, few counts", 0.03, 100),
    Regime("blocking", 0.1, 1000),
    Regime("comparable", 1.0, 100),
    Regime("comparable, many counts", 1.0, 3000),
    Regime("weak barrier", 10.0, 1000),
    Regime("no barrier", np.inf, 1000),
    Regime("five grains", 0.3, 1000, grains=5),
    Regime("five grains, each its D", 0.3, 3000, grains=5, options={"diffusivity": "per_grain"}),
    Regime("anneal without source", 0.3, 1000, anneal=0.5),
    Regime(
        "blur 1 um, intensities 1 : 3",
        0.3,
        2000,
        blur=1e-6,
        contrast=(1.0, 3.0),
        options={"psf_fwhm": 1e-6, "exclude": 0.0},
    ),
    Regime("scatter 2", 0.3, 1000, scatter=2.0),
    Regime(
        "background +-0.005",
        0.3,
        1000,
        background_error=0.005,
        options={"background_fraction": Measured(BACKGROUND, 0.005)},
    ),
    Regime("source fraction fitted", 0.3, 1000, options={"source_fraction": "fit"}),
]


def study(regime: Regime, number: int) -> str:
    """One row of the table."""
    n6, n7 = regime.draw(number)
    start = time.perf_counter()
    fit = liso.fit_profiles(
        regime.distance, n6, n7, regime.interfaces, regime.experiment, **regime.options
    )
    each = 1e3 * (time.perf_counter() - start) / number
    held_k = (fit.permeability_lower <= regime.k) & (fit.permeability_upper >= regime.k)
    held_d = (fit.diffusivity_lower <= D) & (fit.diffusivity_upper >= D)
    with np.errstate(divide="ignore", invalid="ignore"):
        bias = float(np.median(np.log(fit.permeability / regime.k)))
    return (
        f"| {regime.name} | {regime.biot:g} | {regime.counts:g} | {held_k.mean():.3f} "
        f"| {np.isinf(fit.permeability_upper).mean():.2f} | {held_d.mean():.3f} "
        f"| {np.isinf(fit.diffusivity_upper).mean():.2f} | {bias:+.3f} "
        f"| {(fit.barrier_statistic > 2.71).mean():.3f} | {each:.1f} |"
    )


if __name__ == "__main__":
    profiles = int(sys.argv[1]) if len(sys.argv) > 1 else 500
    print(
        "| regime | k d/D | counts a bin | k covers | k open above | D covers | D open above "
        "| bias of ln k | barrier at 5 % | ms a profile |"
    )
    print("|---" * 10 + "|")
    for one in REGIMES:
        print(study(one, profiles), flush=True)
