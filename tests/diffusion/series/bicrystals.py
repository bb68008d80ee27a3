"""Simulated profiles: fraction of a bicrystal from its eigenfunction series, binomial counts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import erfc

import napari_liso as liso

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

SOURCE, BACKGROUND = 0.95, 0.0759


@dataclass(frozen=True)
class Bicrystal:
    """Two equal grains; k d/D = `biot`, inf for no barrier."""

    biot: float = 0.3
    diffusivity: float = 2.6e-12
    grain: float = 20e-6
    bins: int = 40
    duration: float | None = None

    @property
    def k(self) -> float:
        return self.biot * self.diffusivity / self.grain

    @property
    def time(self) -> float:
        if self.duration is not None:
            return self.duration
        return self.grain**2 / self.diffusivity * (1 + 1 / self.biot)

    @property
    def experiment(self) -> liso.Experiment:
        return liso.Experiment(
            [liso.Stage(self.time)], source_fraction=SOURCE, background_fraction=BACKGROUND
        )

    @property
    def edges(self) -> FloatArray:
        return np.linspace(0, 2 * self.grain, self.bins + 1)

    @property
    def distance(self) -> FloatArray:
        return (self.edges[1:] + self.edges[:-1]) / 2

    def share(self, x: FloatArray) -> FloatArray:
        """Source's share of the lithium at x (Crank 1975; Carslaw & Jaeger 1959)."""
        tau = self.diffusivity * self.time / self.grain**2
        u = x / self.grain

        def condition(b: float) -> float:
            return float((b * np.cos(b) / self.biot + np.sin(b)) * np.sin(b) - np.cos(b) ** 2)

        grid = np.linspace(1e-6, max(6 / np.sqrt(tau), 12.0), 4000)
        values = np.array([condition(b) for b in grid])
        theta = np.ones_like(x)
        for i in np.flatnonzero(values[:-1] * values[1:] < 0):
            b = brentq(condition, grid[i], grid[i + 1], xtol=1e-13)
            far = np.cos(b) / np.sin(b)
            shape = np.where(u < 1, np.sin(b * u), far * np.cos(b * (2 - u)))
            mean = (1 - np.cos(b)) / b + far * np.sin(b) / b
            norm = 0.5 - np.sin(2 * b) / (4 * b) + far**2 * (0.5 + np.sin(2 * b) / (4 * b))
            theta = theta - mean / norm * shape * np.exp(-(b**2) * tau)
        return theta

    def fraction(self) -> FloatArray:
        """Mean over each bin, by ten points."""
        inner = (np.arange(10) + 0.5) / 10
        x = self.edges[:-1, None] + inner * np.diff(self.edges)[:, None]
        share = self.share(x.ravel()).reshape(x.shape).mean(axis=1)
        return BACKGROUND + (SOURCE - BACKGROUND) * share

    def counts(self, level: float, number: int = 1, seed: int = 0) -> tuple[IntArray, IntArray]:
        """Counts of 6Li and 7Li, (number, bins)."""
        return draw(self.fraction(), np.full(self.bins, level), number, seed)


def draw(
    fraction: FloatArray, level: FloatArray, number: int = 1, seed: int = 0
) -> tuple[IntArray, IntArray]:
    rng = np.random.default_rng(seed)
    total = rng.poisson(np.broadcast_to(level, (number, fraction.size)))
    n6 = rng.binomial(total, fraction)
    return n6, total - n6


def front(x: FloatArray, diffusivity: float, time: float) -> FloatArray:
    """Fraction of a half space with a fixed face."""
    return BACKGROUND + (SOURCE - BACKGROUND) * erfc(x / (2 * np.sqrt(diffusivity * time)))
