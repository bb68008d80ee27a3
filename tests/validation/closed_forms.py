"""Textbook solutions of 1-D tracer diffusion, theta = (c - background)/(source - background).

Crank, The Mathematics of Diffusion (1975), chapters 2 to 4; Carslaw & Jaeger,
Conduction of Heat in Solids (1959), chapters II and III (contact resistance).
Nothing here comes from the package.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import erfc, erfcx

FloatArray = NDArray[np.float64]


def half_space(x: FloatArray, diffusivity: float, t: float) -> FloatArray:
    """Fixed fraction at x = 0."""
    return erfc(x / (2 * np.sqrt(diffusivity * t)))


def half_space_exchange(
    x: FloatArray, diffusivity: float, exchange: float, t: float
) -> FloatArray:
    """Surface exchange at x = 0."""
    u = x / (2 * np.sqrt(diffusivity * t))
    w = u + exchange / diffusivity * np.sqrt(diffusivity * t)
    return erfc(u) - np.exp(-(u**2)) * erfcx(w)


def two_half_spaces(x: FloatArray, diffusivity: float, k: float, t: float) -> FloatArray:
    """Initially 1 at x < 0 and 0 at x > 0, contact conductance k at x = 0."""
    h = 2 * k / np.sqrt(diffusivity)
    z = np.abs(x) / (2 * np.sqrt(diffusivity * t))
    moved = (erfc(z) - np.exp(-(z**2)) * erfcx(z + h * np.sqrt(t))) / 2
    return np.where(x > 0, moved, 1 - moved)


def jump_of_two_half_spaces(diffusivity: float, k: float, t: float) -> float:
    """Difference across the contact."""
    return float(erfcx(2 * k / np.sqrt(diffusivity) * np.sqrt(t)))


def slab(x: FloatArray, length: float, diffusivity: float, t: float) -> FloatArray:
    """Fixed fraction at x = 0, no flux at x = length."""
    b = (2 * np.arange(200)[:, None] + 1) * np.pi / (2 * length)
    return 1 - 2 / length * (np.sin(b * x) / b * np.exp(-diffusivity * b**2 * t)).sum(axis=0)


def slab_exchange(
    x: FloatArray, length: float, diffusivity: float, exchange: float, t: float
) -> FloatArray:
    """Surface exchange at x = 0, no flux at x = length."""
    bi = exchange * length / diffusivity
    theta = np.ones_like(x)
    for n in range(60):
        beta = brentq(
            lambda b: b * np.sin(b) - bi * np.cos(b), n * np.pi, (n + 0.5) * np.pi, xtol=1e-14
        )
        theta = theta - (
            2
            * bi
            * np.cos(beta * (1 - x / length))
            / ((beta**2 + bi**2 + bi) * np.cos(beta))
            * np.exp(-(beta**2) * diffusivity * t / length**2)
        )
    return theta


def two_grains(
    x: FloatArray, a: float, b: float, diffusivity: float, k: float, t: float
) -> FloatArray:
    """Fixed fraction at 0, grain of length a, boundary k, grain of length b, no flux.

    Eigenfunctions sin(beta x) and B cos(beta (a + b - x)), with the flux of both
    sides equal and k times the jump.
    """
    length = a + b

    def condition(beta: float) -> float:
        u, v = beta * a, beta * b
        return float((diffusivity * beta * np.cos(u) / k + np.sin(u)) * np.sin(v)) - float(
            np.cos(u) * np.cos(v)
        )

    grid = np.linspace(1e-9, 80 * np.pi / length, 40_000)
    values = np.array([condition(beta) for beta in grid])
    theta = np.ones_like(x)
    for i in np.flatnonzero(values[:-1] * values[1:] < 0):
        beta = brentq(condition, grid[i], grid[i + 1], xtol=1e-12 / length)
        u, v = beta * a, beta * b
        far = np.cos(u) / np.sin(v)
        shape = np.where(x < a, np.sin(beta * x), far * np.cos(beta * (length - x)))
        mean = (1 - np.cos(u)) / beta + far * np.sin(v) / beta
        norm = a / 2 - np.sin(2 * u) / (4 * beta)
        norm += far**2 * (b / 2 + np.sin(2 * v) / (4 * beta))
        theta = theta - mean / norm * shape * np.exp(-(beta**2) * diffusivity * t)
    return theta
