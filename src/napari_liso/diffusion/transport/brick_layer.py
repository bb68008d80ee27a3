"""Brick layers with intervals: grains and boundaries in series."""

from __future__ import annotations

import numpy as np

from napari_liso.diffusion.intervals import judge
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.transport.propagation import Quantity, as_estimate, drawn

__all__ = ["brick_layer_diffusivity"]

_DRAWS = 20_000


def brick_layer_diffusivity(
    diffusivity: Quantity, permeability: Quantity, grain_size: Quantity, seed: int = 0
) -> Estimate:
    """Long-range diffusivity of grains and boundaries in series, with its interval.

    1/D_eff = 1/D + 1/(k d), see `napari_liso.effective_diffusivity`. Where D or k is only
    bounded, so may be the result: its open end is worked out with the bounded one at its
    limit.

    Parameters
    ----------
    diffusivity
        D of the grains, m2/s.
    permeability
        k of the boundaries, m/s; of unequal ones in series 1/mean(1/k) counts.
    grain_size
        d, mean distance between boundaries along the way, m.
    seed
        Of the draws: the same seed gives the same interval.

    Raises
    ------
    ValueError
        If an argument is not positive.
    """
    terms = [
        as_estimate(diffusivity, "diffusivity"),
        as_estimate(permeability, "permeability"),
        as_estimate(grain_size, "grain_size"),
    ]
    z = np.random.default_rng(seed).standard_normal((3, _DRAWS))
    d, k, size = (drawn(term, z[i]) for i, term in enumerate(terms))
    low, middle, high = np.quantile(1.0 / (1.0 / d + 1.0 / (k * size)), (0.025, 0.5, 0.975))
    grain, barrier = 1.0 / d, 1.0 / (k * size)
    if any(term.lower <= 0 for term in terms[:2]):
        low = 0.0
    if any(np.isinf(term.upper) for term in terms[:2]):
        left = [
            np.zeros(_DRAWS) if np.isinf(term.upper) else resistance
            for term, resistance in zip(terms[:2], (grain, barrier), strict=True)
        ]
        with np.errstate(divide="ignore"):
            high = max(high, np.quantile(1.0 / (left[0] + left[1]), 0.975, method="higher"))
    low, high = float(low), float(high)
    undecided = all(term.verdict == "unresolved" for term in terms[:2])
    return Estimate(float(middle), low, high, "unresolved" if undecided else judge(low, high))
