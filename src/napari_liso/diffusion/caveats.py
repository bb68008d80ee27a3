"""What a reader of the numbers must know, and when no verdict stands."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from napari_liso.diffusion.likelihood import block_product
from napari_liso.diffusion.posterior import Posterior
from napari_liso.diffusion.results import Estimate

__all__ = ["doubts", "fraction_sensitivity", "fraction_warning", "unresolve"]

#: Split R-hat of chains that disagree, and fall of the model's likelihood at the draws
#: (1 where the surrogate is exact) beyond which the posterior is not to be trusted. On
#: simulated maps of 100 to 4,000 counts a pixel the fall is 0.6 to 20 and the intervals
#: hold; where the surrogate failed it was above 20, mostly far above.
_DISAGREE = 1.3
_MISFIT = 30.0
#: Side in pixels of the blocks in which a misfit adds up and noise does not, and the
#: chi2 of the blocks over that of the pixels beyond which it is a misfit.
_BLOCK = 8
_NO_FIT = 1.5
#: Gain of log-likelihood over a map at background that is a signal.
_SIGNAL = 3.0
_BACKGROUND_STEP, _SOURCE_STEP = 0.001, 0.01


def doubts(posterior: Posterior, dispersion: float) -> list[str]:
    """Reasons why no verdict of this fit stands; empty if there are none.

    Parameters
    ----------
    posterior
        Of the fit.
    dispersion
        Pearson chi2 per degree of freedom.
    """
    problem = posterior.optimum.problem
    found = []
    blocks = _block_dispersion(posterior) / max(dispersion, 1.0)
    if blocks > _NO_FIT:
        found.append(
            f"The model does not describe these counts (chi2 of {_BLOCK} x {_BLOCK} pixels is "
            f"{blocks:.1f} times what their noise allows): look at "
            "the residual, then at grains, source edge, times and fractions. No value and no "
            "bound is given."
        )
    if posterior.r_hat > _DISAGREE or posterior.misfit > _MISFIT:
        found.append(
            f"The posterior could not be drawn reliably (R-hat {posterior.r_hat:.2f}, misfit "
            f"{posterior.misfit:.1f}): intervals are rough, no value and no bound is given."
        )
    data = replace(problem, sigma=np.inf)
    background = np.full(problem.data.total.size, problem.experiment.background_fraction)
    empty = problem.temper * float(problem.data.pixel_loss(background).sum())
    if empty - data.loss(posterior.optimum.theta) < _SIGNAL:
        found.append(
            "No 6Li above the background was found: the tracer has not arrived, or the source "
            "edge or the background fraction is wrong. No value and no bound is given."
        )
    return found


def _block_dispersion(posterior: Posterior) -> float:
    """Pearson chi2 of blocks of pixels per block; lowered to 1 by what chance explains."""
    optimum = posterior.optimum
    problem, crystal = optimum.problem, optimum.problem.model.crystal
    data = problem.data
    c = data.fraction(problem.model, optimum.run.final)
    row, column = np.divmod(crystal.pixel, crystal.shape[1])
    block = row // _BLOCK * (crystal.shape[1] // _BLOCK + 1) + column // _BLOCK
    excess = np.bincount(block, data.n6 - data.total * data.counted(c))
    variance = np.bincount(block, data.variance(c, block=True))
    counted = variance > 0
    chi2 = float((excess[counted] ** 2 / variance[counted]).mean())
    return chi2 / (1.0 + 3.0 * np.sqrt(2.0 / counted.sum()))


def unresolve(estimate: Estimate) -> Estimate:
    """Take back every verdict: neither a value nor a bound stands."""
    return replace(estimate, verdict="unresolved")


def fraction_sensitivity(posterior: Posterior) -> dict[str, float]:
    """Shift of the mean ln k for a small error of the two given fractions.

    Linear response of the penalised maximum: the parameters move so that the
    model's fraction stays where the counts hold it.

    Returns
    -------
    dict
        ``"background"`` for +0.001 of the background fraction, ``"source"`` for
        +0.01 of the source fraction.
    """
    optimum = posterior.optimum
    problem, model = optimum.problem, optimum.problem.model
    share = optimum.run.final / problem.departure
    shifts = {}
    for name, change in (
        ("background", _BACKGROUND_STEP * share),
        ("source", _SOURCE_STEP * (model.constant - share)),
    ):
        pull = block_product(model, optimum.blocks, change[:, None])[:, 0]
        moved = -optimum.covariance @ (optimum.jacobian.T @ pull)
        shifts[name] = float(moved[:-1].mean())
    return shifts


def fraction_warning(posterior: Posterior, shifts: dict[str, float]) -> list[str]:
    """Say so where an error of a given fraction weighs as much as the counts do."""
    scatter = float(posterior.centre.std())
    if max(abs(shift) for shift in shifts.values()) < scatter:
        return []
    note = (
        f"The given fractions matter: the mean ln k moves by {shifts['background']:+.2f} for "
        f"+{_BACKGROUND_STEP} in the background and by {shifts['source']:+.2f} for "
        f"+{_SOURCE_STEP} in the source fraction (its statistical error is {scatter:.2f}). "
        "Measure both on reference areas; the intervals take them as exact."
    )
    return [note]
