"""What follows from a fit: does it hold, and what does it take?

Run: python benchmarks/after_fit_study.py [maps] [shapes | fits | lines]

shapes: effective diffusivity on the shapes of the grains against all pixels, as it is and
        with the five worst boundaries healed, and the times of both; Voronoi maps.
fits:   simulated columnar maps are fitted; coverage of the effective diffusivity of the
        network along x and y and of the gain of every boundary, how often the best
        boundary is among those named, and how many are named.
lines:  coverage of activation energies from five temperatures, 1/k measured with a normal
        error, so that the hot ones are often only bounded.
"""

from __future__ import annotations

import sys
import time

import numpy as np

import napari_liso as liso
from napari_liso.diffusion.transport.network import build_network
from napari_liso.diffusion.transport.reduced_network import reduce_network
from napari_liso.simulation import voronoi_grains
from napari_liso.units import BOLTZMANN_EV

DIFFUSIVITY = 2.6e-12  # m2/s
PIXEL = 0.5e-6  # m
ENERGY = 0.4  # eV


def mosaic(
    shape: tuple[int, int], grains: int, biot: float, spread: float, seed: int
) -> tuple[liso.Boundaries, np.ndarray, float]:
    """Boundaries, their k, and the size of a grain."""
    labels = voronoi_grains(shape, grains, seed=seed)
    boundaries = liso.find_boundaries(labels, PIXEL)
    size = float(np.sqrt(labels.size * PIXEL**2 / grains))
    rng = np.random.default_rng([seed, 1])
    pairs = [tuple(p) for p in boundaries.table[["grain_a", "grain_b"]].to_numpy().tolist()]
    of_pair = {
        p: biot * DIFFUSIVITY / size * np.exp(spread * rng.standard_normal()) for p in set(pairs)
    }
    return boundaries, np.array([of_pair[p] for p in pairs]), size


def shapes(maps: int) -> None:
    print("pixels, Biot: worst excess of D_eff; five healed; seconds: all pixels, basis, one draw")
    for pixels, grains in ((128, 30), (512, 70)):
        for biot in (0.02, 0.3, 3.0, 30.0):
            worst, healed, times = 0.0, 0.0, np.zeros(3)
            for seed in range(maps):
                boundaries, k, _ = mosaic((pixels, pixels), grains, biot, 0.8, seed)
                network = build_network(boundaries)
                clock = [time.perf_counter()]
                full = network.solve_full(k, DIFFUSIVITY)
                clock.append(time.perf_counter())
                reduced = reduce_network(network)
                clock.append(time.perf_counter())
                mine = reduced.solve(k, DIFFUSIVITY)
                clock.append(time.perf_counter())
                times += np.diff(clock) / maps
                worst = max(worst, mine.conductance / full.conductance - 1)
                k[np.argsort(-full.share)[:5]] = np.inf
                ratio = (
                    reduced.solve(k, DIFFUSIVITY).conductance
                    / network.solve_full(k, DIFFUSIVITY).conductance
                )
                healed = max(healed, ratio - 1)
            print(f"{pixels:5d} {biot:6.2f}  {worst:.1e}  {healed:.1e}  {np.round(times, 3)}")


def fits(maps: int) -> None:
    print("Biot, counts: maps, D_eff, gains, best named, named (median), median upper/lower")
    for biot, counts in ((0.05, 60.0), (0.5, 60.0)):
        held: list[list[bool]] = [[], [], []]
        named, widths = [], []
        for seed in range(100, 100 + maps):
            boundaries, k, size = mosaic((96, 96), 20, biot, 0.6, seed)
            pairs = boundaries.table[["grain_a", "grain_b"]].itertuples(index=False, name=None)
            duration = 1.5 * size**2 / (biot * DIFFUSIVITY) + 0.5 * size**2 / DIFFUSIVITY
            experiment = liso.Experiment([liso.Stage(duration)])
            counted = liso.simulate(
                boundaries,
                None,
                experiment,
                DIFFUSIVITY,
                dict(zip(pairs, k.tolist(), strict=True)),
                counts,
                seed=seed,
            )
            fit = liso.fit_diffusion(
                counted["6Li"],
                counted["7Li"],
                boundaries,
                experiment=experiment,
                section="columnar",
            )
            exact = liso.CoefficientDraws.exact(boundaries.table.index, k, DIFFUSIVITY)
            for direction in ("x", "y"):
                found = liso.predict_network(fit, boundaries, direction).diffusivity
                truth = liso.predict_network(exact, boundaries, direction).diffusivity.value
                held[0].append(found.lower <= truth <= found.upper)
                widths.append(found.upper / found.lower)
            healing = liso.heal_boundaries(fit, boundaries, most=1, draws=100)
            truly = liso.heal_boundaries(exact, boundaries, most=1).candidates
            mine = healing.candidates.loc[truly.index]
            gain = truly["gain"]
            held[1] += ((mine["gain_lower"] <= gain) & (gain <= mine["gain_upper"])).tolist()
            held[2].append(int(truly.index[0]) in healing.tied)
            named.append(len(healing.tied))
        rates = "  ".join(f"{np.mean(h):.1%} ({len(h)})" for h in held)
        print(
            f"{biot:5.2f} {counts:4.0f}  {maps}  {rates}  {np.median(named):.0f} of "
            f"{len(boundaries)}  {np.median(widths):.2f}",
            flush=True,
        )


def lines(maps: int) -> None:
    """Coverage over 20 * maps sets of five temperatures."""
    rng = np.random.default_rng(3)
    kelvin = np.array([270.0, 295.0, 320.0, 345.0, 370.0])
    truth = 1e-2 * np.exp(-ENERGY / (BOLTZMANN_EV * kelvin))
    sd = np.array([2.0, 0.4, 0.15, 0.15, 0.15]) / truth[2]
    held, bounded = [], []
    for _ in range(20 * maps):
        found = []
        for r, s in zip(1 / truth + sd * rng.standard_normal(5), sd, strict=True):
            worst = r + 1.96 * s if r > 0 else r + np.hypot(r, 1.96 * s)
            found.append(
                liso.Estimate(1 / worst, 1 / worst, np.inf, "lower_bound")
                if r < 1.96 * s
                else liso.Estimate(1 / r, 1 / worst, 1 / (r - 1.96 * s), "resolved")
            )
        if all(e.verdict == "lower_bound" for e in found):
            continue
        fit = liso.fit_arrhenius(kelvin, found)
        energy, at = fit.activation_energy, fit.at(320.0)
        held.append([energy.lower <= ENERGY <= energy.upper, at.lower <= truth[2] <= at.upper])
        bounded.append(sum(e.verdict == "lower_bound" for e in found))
    print(
        f"{len(held)} lines, {np.mean(bounded):.1f} of 5 points bounds: E "
        f"{np.mean(held, axis=0)[0]:.1%}, k at 320 K {np.mean(held, axis=0)[1]:.1%}"
    )


if __name__ == "__main__":
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 10
    chosen = sys.argv[2:] or ["shapes", "fits", "lines"]
    for name in chosen:
        {"shapes": shapes, "fits": fits, "lines": lines}[name](number)
