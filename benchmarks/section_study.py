"""What a 2-D fit makes of a section of a 3-D polycrystal with flat grains.

Run: python benchmarks/section_study.py [samples] [spread of ln k]

Poisson-Voronoi grains in a box, exchange through all their true face areas, the
middle section taken as a map of 1e4 counts a grain. Front depths of 2 to 5 grains.
Prints for each sample the shift of ln k in the 2-D fit (population centre of the
posterior, mean at the joint maximum), and whether the corrected intervals hold.
"""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

import napari_liso as liso
from napari_liso.diffusion.section import SECTION_SHIFT

BOX = (60, 84, 108)
GRAINS = 315
MEDIAN = 1.4e-8  # m/s
VOXEL = 0.5e-6  # m
SOURCE, BACKGROUND = 0.9, 0.0759
COUNTS_A_GRAIN = 1e4


def exchange(
    labels: NDArray[np.int64], centres: NDArray[np.float64]
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Touching pairs of grains and their face area in m2 (staircase corrected)."""
    keys, areas = [], []
    for axis in range(3):
        moved = np.moveaxis(labels, axis, 0)
        a, b = moved[:-1].ravel(), moved[1:].ravel()
        a, b = a[a != b], b[a != b]
        normal = centres[a] - centres[b]
        normal /= np.linalg.norm(normal, axis=1)[:, None]
        keys.append(np.minimum(a, b) * GRAINS + np.maximum(a, b))
        areas.append(1.0 / np.abs(normal).sum(axis=1))
    pairs, index = np.unique(np.concatenate(keys), return_inverse=True)
    area = np.bincount(index, np.concatenate(areas)) * VOXEL**2
    return pairs // GRAINS, pairs % GRAINS, area


def one_sample(seed: int, spread: float) -> tuple[float, float, bool]:
    """(shift at the joint maximum, share of boundaries covered, centre covered)."""
    geometry, draw, count = (
        np.random.default_rng(s) for s in np.random.SeedSequence(seed).spawn(3)
    )
    centres = geometry.uniform(0, 1, (GRAINS, 3)) * BOX
    voxels = np.indices(BOX).reshape(3, -1).T + 0.5
    labels = cKDTree(centres).query(voxels)[1].reshape(BOX)
    i, j, area = exchange(labels, centres)
    k = MEDIAN * np.exp(spread * draw.standard_normal(i.size))
    volume = np.bincount(labels.ravel(), minlength=GRAINS) * VOXEL**3
    size = (np.prod(BOX) / GRAINS) ** (1 / 3) * VOXEL
    front = 2 + seed % 4
    time = (front * size) ** 2 / (2 * MEDIAN * size)
    network = np.zeros((GRAINS, GRAINS))
    for rows, columns, sign in ((i, i, 1), (j, j, 1), (i, j, -1), (j, i, -1)):
        np.add.at(network, (rows, columns), sign * k * area)
    free = np.setdiff1d(np.arange(GRAINS), labels[:, :, 0])
    root = np.sqrt(volume[free])
    rate, mode = np.linalg.eigh(network[np.ix_(free, free)] / np.outer(root, root))
    filled = np.ones(GRAINS)
    filled[free] = 1 - mode @ (np.exp(-rate * time) * (mode.T @ root)) / root
    fraction = BACKGROUND + (SOURCE - BACKGROUND) * filled

    section = labels[BOX[0] // 2]
    names, grains = np.unique(section, return_inverse=True)
    grains = grains.reshape(section.shape) + 1
    total = COUNTS_A_GRAIN * names.size / section.size
    n6 = count.poisson(total * fraction[section])
    n7 = count.poisson(total * (1 - fraction[section]))
    fit = liso.fit_diffusion(
        n6,
        n7,
        grains,
        pixel_size=VOXEL,
        experiment=liso.Experiment([liso.Stage(float(time))], "left", SOURCE, BACKGROUND),
        section="bulk",
        exclude=0.0,
    )
    known = {(int(a), int(b)): float(v) for a, b, v in zip(i, j, k, strict=True)}
    table = fit.table
    pairs = np.sort(names[table[["grain_a", "grain_b"]].to_numpy() - 1], axis=1)
    truth = np.array([known[int(a), int(b)] for a, b in pairs])
    inside = (table.permeability_lower <= truth) & (truth <= table.permeability_upper)
    centre = fit.population.centre
    shift = float(np.log(centre.value / MEDIAN)) + SECTION_SHIFT
    return shift, float(inside.mean()), centre.lower <= MEDIAN <= centre.upper


def main(samples: int, spread: float) -> None:
    rows = []
    for seed in range(samples):
        rows.append(one_sample(seed, spread))
        print(f"{seed}: shift {rows[-1][0]:+.3f}, covered {rows[-1][1]:.3f}", flush=True)
    shift, inside, centre = np.array(rows, dtype=float).T
    print(
        f"shift {shift.mean():+.3f} +- {shift.std(ddof=1):.3f} (s.d.); "
        f"boundaries covered {inside.mean():.3f}; centre covered {centre.mean():.2f}"
    )


if __name__ == "__main__":
    main(
        int(sys.argv[1]) if len(sys.argv) > 1 else 8,
        float(sys.argv[2]) if len(sys.argv) > 2 else 0.8,
    )
