"""How well grains are found from counts alone, and how well they could be.

Run: python benchmarks/segmentation_study.py [maps per regime] [folder of maps] [large map]

The third number is the size in pixels of a square map whose CPU time is measured first.

The adjusted Rand index (ARI, Hubert and Arabie 1985) compares two partitions: 1 the
same, 0 by chance. It is taken over the pixels of grains whose true mean fraction is
more than 0.02 above the background. Columns:

true      found against the true grains
oracle    the oracle against the true grains: it knows where the boundaries run, and
          only joins neighbours, the weakest first, while their counts differ by less
          than 20 in 2 ln L (planes in both grains): what no method can see
found     found against the oracle's grains (those that can be told apart)
again     the oracle's grains of new counts against those of these counts: how far the
          last column can go
clear     found against true on grains that differ from every neighbour by 5 standard
          errors or more (expected from the true fractions; borders of 6 faces or more),
          and how many these are
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np
from coverage_study import DIFFUSIVITY, PIXEL, Regime, experiment_for
from numpy.typing import NDArray
from scipy import ndimage

import napari_liso as liso
from napari_liso.diffusion.polycrystal import build_polycrystal, present_boundaries, solve
from napari_liso.simulation import voronoi_grains

BACKGROUND, REACHED = 0.0759, 0.02
MERGED, CLEAR = 20.0, 25.0
SHAPE, GRAINS, SPREAD = (160, 160), 26, 0.7
REGIMES = (
    Regime(0.02, 40),
    Regime(0.05, 20),
    Regime(0.08, 60, stages=2),
    Regime(0.1, 60, psf_fwhm=1.2e-6),
    Regime(0.25, 100),
    Regime(1.0, 100),
    Regime(0.02, 5),
    Regime(0.25, 10),
)
Array = NDArray[np.float64]
Map = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], Array]


def rand_index(one: NDArray[np.int64], two: NDArray[np.int64]) -> float:
    """Adjusted Rand index of two labellings of the same pixels."""
    a, b = (np.unique(x, return_inverse=True)[1].ravel() for x in (one, two))
    table = np.bincount(a * (b.max() + 1) + b, minlength=(a.max() + 1) * (b.max() + 1))
    table = table.reshape(a.max() + 1, b.max() + 1).astype(float)

    def pairs(n: Array) -> float:
        return float((n * (n - 1) / 2).sum())

    rows, columns = pairs(table.sum(1)), pairs(table.sum(0))
    chance = rows * columns / pairs(np.array([a.size], dtype=float))
    most = (rows + columns) / 2
    return 1.0 if most == chance else (pairs(table) - chance) / (most - chance)


def simulated(regime: Regime, seed: int) -> Map:
    """Counts, true grains and true fraction of one map."""
    grains = voronoi_grains(SHAPE, GRAINS, seed)
    size = np.sqrt(grains.size / GRAINS) * PIXEL
    centre = regime.biot * DIFFUSIVITY / size
    boundaries = liso.find_boundaries(grains, PIXEL)
    rows = boundaries.table.loc[present_boundaries(boundaries), ["grain_a", "grain_b"]].to_numpy()
    pairs = [(int(a), int(b)) for a, b in rows]
    rng = np.random.default_rng([seed, 77])
    truth = {p: float(centre * np.exp(SPREAD * rng.standard_normal())) for p in sorted(set(pairs))}
    experiment = experiment_for(regime, centre, size)
    counted = liso.simulate(
        grains, PIXEL, experiment, DIFFUSIVITY, truth, regime.counts, regime.psf_fwhm, seed
    )
    crystal = build_polycrystal(boundaries, experiment)
    values = solve(
        crystal,
        experiment.stages,
        np.array([truth[p] for p in pairs]),
        DIFFUSIVITY,
        experiment.background_fraction,
        experiment.source_fraction,
    )
    n6, n7 = (np.asarray(counted[name]).squeeze() for name in ("6Li", "7Li"))
    return n6, n7, grains.astype(np.int64), crystal.to_image(values)


class Oracle:
    """Sums over the true grains for the comparison of planes (1, y, x)."""

    def __init__(self, grains: NDArray[np.int64], total: Array, six: Array) -> None:
        self.labels = np.unique(grains, return_inverse=True)[1].reshape(grains.shape)
        count = int(self.labels.max()) + 1
        y, x = np.indices(grains.shape).reshape(2, -1) / grains.shape[0] - 0.5
        basis = np.stack([np.ones_like(y), y, x], axis=1)
        self.moments = np.zeros((count, 3, 3))
        self.response = np.zeros((count, 3))
        np.add.at(
            self.moments,
            self.labels.ravel(),
            total.reshape(-1, 1, 1) * basis[:, :, None] * basis[:, None, :],
        )
        np.add.at(self.response, self.labels.ravel(), six.reshape(-1, 1) * basis)
        self.faces: dict[tuple[int, int], int] = {}
        for here, there in (
            (self.labels[1:], self.labels[:-1]),
            (self.labels[:, 1:], self.labels[:, :-1]),
        ):
            differ = here != there
            for pair in zip(here[differ].tolist(), there[differ].tolist(), strict=True):
                key = (min(pair), max(pair))
                self.faces[key] = self.faces.get(key, 0) + 1

    def _explained(self, moments: Array, response: Array) -> float:
        return float(response @ np.linalg.lstsq(moments, response, rcond=1e-12)[0])

    def evidence(self, a: int, b: int) -> float:
        """Gain in 2 ln L by two planes over one."""
        moments = self.moments[a] + self.moments[b]
        response = self.response[a] + self.response[b]
        p = response[0] / moments[0, 0]
        gain = -self._explained(moments, response)
        for one in (a, b):
            gain += self._explained(self.moments[one], self.response[one])
        return gain / (p * (1 - p))

    def step(self, a: int, b: int) -> float:
        """Gain in 2 ln L by a step over one plane: the square of step over standard error."""
        moments, response = np.zeros((4, 4)), np.zeros(4)
        moments[:3, :3] = self.moments[a] + self.moments[b]
        moments[3, :3] = moments[:3, 3] = self.moments[a][0]
        moments[3, 3] = self.moments[a][0, 0]
        response[:3], response[3] = self.response[a] + self.response[b], self.response[a][0]
        p = response[0] / moments[0, 0]
        gain = self._explained(moments, response)
        return (gain - self._explained(moments[:3, :3], response[:3])) / (p * (1 - p))

    def clear(self) -> NDArray[np.bool_]:
        """Pixels of grains with no weak boundary."""
        good = np.ones(len(self.moments), dtype=bool)
        for (a, b), faces in self.faces.items():
            if faces >= 6 and self.step(a, b) < CLEAR:
                good[[a, b]] = False
        return good[self.labels]

    def merged(self) -> NDArray[np.int64]:
        """Join neighbours, the weakest evidence first."""
        root = np.arange(len(self.moments))
        evidence = {pair: self.evidence(*pair) for pair in self.faces}
        while evidence:
            (a, b), weakest = min(evidence.items(), key=lambda item: item[1])
            if weakest >= MERGED:
                break
            self.moments[a] += self.moments[b]
            self.response[a] += self.response[b]
            root[root == b] = a
            near = {n for pair in evidence if a in pair or b in pair for n in pair} - {a, b}
            evidence = {p: e for p, e in evidence.items() if a not in p and b not in p}
            evidence |= {(min(a, n), max(a, n)): self.evidence(a, n) for n in near}
        return root[self.labels]


def judge(map_: Map, pixel_size: float, psf_fwhm: float) -> list[float]:
    """One row of the table; lengths in m."""
    n6, n7, grains, fraction = map_
    six = n6.astype(float)
    total = six + n7
    start = time.process_time()
    found = liso.segment_grains(n6=n6, n7=n7, pixel_size=pixel_size, psf_fwhm=psf_fwhm)
    seconds = time.process_time() - start
    found = found.astype(np.int64)
    labels, number = np.unique(grains, return_inverse=True)
    mean = ndimage.mean(fraction, grains, labels)[number].reshape(grains.shape)
    reached = mean > BACKGROUND + REACHED
    oracle = Oracle(grains, total, six).merged()
    rng = np.random.default_rng(1)
    new = rng.poisson(total.mean(), grains.shape)
    again = Oracle(grains, new.astype(float), rng.binomial(new, fraction).astype(float)).merged()
    even = np.full(grains.shape, total.mean())
    clear = reached & Oracle(grains, even, even * fraction).clear()
    several = len(np.unique(grains[clear])) > 1
    return [
        rand_index(grains[reached], found[reached]),
        rand_index(grains[reached], oracle[reached]),
        rand_index(oracle[reached], found[reached]),
        rand_index(oracle[reached], again[reached]),
        rand_index(grains[clear], found[clear]) if several else np.nan,
        len(np.unique(grains[clear])),
        len(np.unique(grains)),
        len(np.unique(oracle)),
        found.max(),
        seconds,
    ]


HEADS = (
    "true", "oracle", "found", "again", "clear", "(grains)",
    "n true", "n oracle", "n found", "CPU s",
)  # fmt: skip


def show(name: str, rows: list[list[float]]) -> None:
    """Print the mean of some rows."""
    clear = [row[4] for row in rows if np.isfinite(row[4])]
    mean = np.mean([row[:4] + row[5:] for row in rows], axis=0)
    values = [*mean[:4], np.mean(clear) if clear else np.nan]
    line = "  ".join(f"{v:8.3f}" for v in values) + "  " + "  ".join(f"{v:8.1f}" for v in mean[4:])
    print(f"{name:24}  {line}", flush=True)


def large(size: int) -> None:
    """CPU time on a large map of flat grains."""
    grains = voronoi_grains((size, size), size**2 // 1500, 3)
    rng = np.random.default_rng(5)
    level = rng.uniform(0.1, 0.8, int(grains.max()) + 1)
    counts = rng.poisson(40, grains.shape)
    six = rng.binomial(counts, level[grains])
    start = time.process_time()
    liso.segment_grains(n6=six, n7=counts - six)
    print(f"{size} x {size} pixels: {time.process_time() - start:.1f} s of CPU time", flush=True)


def main() -> None:
    """Print the table."""
    if len(sys.argv) > 3:
        large(int(sys.argv[3]))
    print(f"{'map':24}  " + "  ".join(f"{head:>8}" for head in HEADS))
    if len(sys.argv) > 2:
        for path in sorted(Path(sys.argv[2]).glob("*.npz")):
            with np.load(path) as data:
                map_ = tuple(
                    data[k].astype(t)
                    for k, t in (
                        ("n6", int),
                        ("n7", int),
                        ("grains", int),
                        ("true_fraction", float),
                    )
                )
                lengths = float(data["pixel_size"]), float(data["psf_fwhm"])
            show(path.stem, [judge(map_, *lengths)])
    every = []
    for place, regime in enumerate(REGIMES):
        rows = [
            judge(simulated(regime, 400 + 100 * place + seed), PIXEL, regime.psf_fwhm)
            for seed in range(int(sys.argv[1]) if len(sys.argv) > 1 else 4)
        ]
        every += rows
        blur = ", blurred" if regime.psf_fwhm else ""
        stages = ", 2 stages" if regime.stages == 2 else ""
        show(f"Biot {regime.biot}, {regime.counts:g} counts{blur}{stages}", rows)
    show("all simulated", every)


if __name__ == "__main__":
    main()
