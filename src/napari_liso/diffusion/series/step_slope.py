"""D/k of one boundary from the step across it and the slope beside it.

The flux through the boundary is k times the step, and D times the slope in
either grain next to it: D/k = step/slope, a length. It needs no time, no source
and no background, one D on both sides, and neighbours that the tracer has reached.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.diffusion.experiment import Experiment
from napari_liso.diffusion.intervals import judge
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.series.given import GivenProfiles
from napari_liso.diffusion.series.remarks import fast_boundaries, fast_words
from napari_liso.diffusion.series.results import ProfileFit

__all__ = ["step_and_slope"]

FloatArray = NDArray[np.float64]

_EDGE = 1e-6
_ITERATIONS = 25
#: 95 % point of chi2 with one degree of freedom.
_CHI2 = 3.841458820694124
#: Error of D/k from the curvature of real profiles: at most 4 % in bicrystals with k d/D
#: from 0.1 to 5. Intervals are widened by it.
_CURVATURE = 1.05


def step_and_slope(
    given: GivenProfiles,
    experiment: Experiment,
    settings: dict[str, Any],
    *,
    window: float | None,
    psf_fwhm: float,
) -> ProfileFit:
    """Fit step and slope of the bins around each boundary, equally far on both sides."""
    if given.interfaces.size == 0:
        raise ValueError("step-slope needs a boundary: give interfaces")
    if psf_fwhm > 0 and settings["exclude"] < psf_fwhm:
        raise ValueError(
            "step-slope does not blur: leave bins within psf_fwhm of the boundary out with exclude"
        )
    sides = np.concatenate([[0.0], given.interfaces, [min(given.length, given.edges[-1])]])
    fraction = np.full(given.distance.size, np.nan)
    used = np.zeros(given.distance.size, dtype=bool)
    fast = fast_boundaries(given, psf_fwhm)
    rows, chi2, freedom = [], 0.0, 0
    for number, position in enumerate(given.interfaces):
        smaller = float(np.diff(sides[number : number + 3]).min())
        reach = smaller / 2 if window is None else min(window, smaller)
        x = given.distance - position
        near = given.used & (np.abs(x) < reach) & (given.total[0] > 0)
        if min((near & (x < 0)).sum(), (near & (x > 0)).sum()) < 3:
            raise ValueError(
                f"boundary {number + 1} has fewer than three bins on one side: use finer bins or "
                "a longer window"
            )
        fit = _Curve(x[near], given.n6[0, near], given.total[0, near])
        fraction[near], used[near] = fit.fraction, True
        chi2, freedom = chi2 + fit.chi2, freedom + max(near.sum() - fit.parameters, 0)
        rows.append((number + 1, number + 2, position, *_row(fit, bool(fast[number]))))
    n6, total = given.n6[0], given.total[0]
    sigma = np.sqrt(np.maximum(total * fraction * (1 - fraction), 1e-12))
    names = ["grain_a", "grain_b", "position", "fraction_step", "slope", "length"]
    names += ["length_lower", "length_upper", "verdict", "fast"]
    source, background = (
        float(f) for f in (experiment.source_fraction, experiment.background_fraction)
    )
    return ProfileFit(
        model="step-slope",
        table=pd.DataFrame(
            rows, columns=names, index=pd.RangeIndex(1, len(rows) + 1, name="boundary")
        ),
        grains=pd.DataFrame({"start": sides[:-1], "end": sides[1:]}),
        diffusivity=None,
        source_fraction=Estimate(source, source, source, "resolved"),
        background_fraction=Estimate(background, background, background, "resolved"),
        surface_exchange=None,
        distance=given.distance,
        fraction=fraction,
        residual=(n6 - total * fraction) / sigma,
        used=used,
        dispersion=chi2 / freedom if freedom else 1.0,
        warnings=fast_words(fast),
        provenance=settings,
    )


class _Curve:
    """Maximum of the binomial likelihood for two parallel lines with a step between them.

    Curvature is about even about the boundary, step and slope are odd: it hardly
    enters as long as both sides are equally long (`_CURVATURE`).
    """

    def __init__(self, x: FloatArray, n6: FloatArray, total: FloatArray) -> None:
        scale = float(np.abs(x).max())
        u = x / scale
        behind = x > 0
        design = np.stack([np.ones_like(u), -behind.astype(float), -u], axis=1)
        mean = n6.sum() / total.sum()
        weight = total / max(mean * (1 - mean), _EDGE)
        beta = np.zeros(design.shape[1])
        for _ in range(_ITERATIONS):
            normal = design.T @ (weight[:, None] * design)
            new = np.linalg.lstsq(normal, design.T @ (weight * n6 / total), rcond=None)[0]
            c = np.clip(design @ new, _EDGE, 1 - _EDGE)
            weight = total / (c * (1 - c))
            if np.abs(new - beta).max() < 1e-10:
                break
            beta = new
        self.fraction = c
        self.parameters = design.shape[1]
        self.chi2 = float(((n6 - total * c) ** 2 * weight / total**2).sum())
        freedom = max(x.size - self.parameters, 1)
        widened = max(1.0, self.chi2 / freedom)
        covariance = np.linalg.pinv(design.T @ (weight[:, None] * design)) * widened
        scales = np.array([1.0, 1.0 / scale])
        self.step, self.slope = (float(v) for v in new[1:3] * scales)
        self.covariance = covariance[1:3, 1:3] * np.outer(scales, scales)


def _row(fit: _Curve, fast: bool) -> tuple[Any, ...]:
    lower, upper = _ratio_interval(fit.step, fit.slope, fit.covariance)
    lower, upper = lower / _CURVATURE, upper * _CURVATURE
    verdict = "unresolved" if fast else judge(lower, upper)
    value = fit.step / fit.slope if fit.slope != 0 else np.inf
    value = float(np.clip(value, lower, upper)) if fit.step * fit.slope > 0 else lower
    if verdict == "lower_bound":
        value = lower
    if verdict == "upper_bound":
        value = upper
    return fit.step, fit.slope, value, lower, upper, verdict, fast


def _ratio_interval(step: float, slope: float, covariance: FloatArray) -> tuple[float, float]:
    """Lengths >= 0 that the step and the slope allow together (Fieller), 0 and inf where open.

    A length l is allowed where (step - l slope)^2 <= 3.84 var(step - l slope).
    """
    a = slope**2 - _CHI2 * covariance[1, 1]
    b = step * slope - _CHI2 * covariance[0, 1]
    c = step**2 - _CHI2 * covariance[0, 0]
    root = b**2 - a * c
    if a > 0:
        if root < 0:
            return 0.0, np.inf
        low, high = (b - np.sqrt(root)) / a, (b + np.sqrt(root)) / a
        # A step against the slope is no barrier's: nothing is known then.
        return (max(0.0, float(low)), float(high)) if high > 0 else (0.0, np.inf)
    if root < 0:
        return 0.0, np.inf
    # Slope compatible with none: allowed outside of the two roots; the part that is positive
    # and reaches infinity starts at the larger root.
    high = (b - np.sqrt(root)) / a
    return (float(high), np.inf) if high > 0 and c > 0 else (0.0, np.inf)
