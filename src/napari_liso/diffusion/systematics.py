r"""Errors that all pixels have in common: those of the corrections of the counts.

A correction eta that is one standard error off moves the most likely parameters by
S = -H^-1 G, with H their Fisher information and G the mixed second derivative of the
loss (`Optimum.pulls`). The likelihood that includes this has the covariance
H^-1 + S S^T, hence the information

    H' = H - G (1 + E)^-1 G^T,    E = G^T H^-1 G,

and the same maximum: the correction is taken from its measurement and its error is
passed on; the misfit of the map does not get to choose another one. (The population of
the permeabilities does have a say: what would scatter them beyond it is less likely.)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari_liso.diffusion.optimise import Optimum

__all__ = [
    "centre_share",
    "expected_fall",
    "own_share",
    "parameter_shifts",
    "shifts",
    "warnings",
    "widened",
]

FloatArray = NDArray[np.float64]

#: Directions with less than this of the largest information are unknown.
_NOTHING = 1e-12
#: A correction's part in the variance of the mean ln k or ln D that deserves a word.
_NOTABLE = 0.2
_WORDS = {
    "hydride_ratio": "hydride ratio",
    "ln_fractionation": "mass fractionation",
    "background_6": "background of n6",
    "background_7": "background of n7",
}


def widened(
    score: FloatArray, information: FloatArray, pulls: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Score and information that include the errors of the corrections.

    Parameters
    ----------
    score, information
        Gradient of the log-likelihood and its Fisher information, (n,) and (n, n).
    pulls
        G, (n, corrections).
    """
    if pulls.shape[1] == 0:
        return score, information
    root, part = _whitened(information, pulls)
    size = np.eye(pulls.shape[1]) + part.T @ part
    # In whitened directions: 1 - A (1 + A^T A)^-1 A^T, never below zero.
    middle = np.eye(part.shape[0]) - part @ np.linalg.solve(size, part.T)
    result = root @ ((middle + middle.T) / 2) @ root.T
    inverse = np.linalg.pinv(root)
    held = pulls @ np.linalg.solve(size, part.T @ (inverse @ score))
    return score - held, (result + result.T) / 2


def _whitened(information: FloatArray, pulls: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Root R of the information, H = R R^T over the known directions, and A = R^-1 G."""
    values, vectors = np.linalg.eigh(information)
    known = values > _NOTHING * max(float(values[-1]), 1e-300)
    root = np.sqrt(values[known])
    vectors = vectors[:, known]
    return vectors * root, (vectors.T @ pulls) / root[:, None]


def expected_fall(optimum: Optimum) -> float:
    """Twice the mean fall of log-likelihood from the maximum to draws of the posterior.

    One a parameter, and what the errors of the corrections add.
    """
    number = float(optimum.theta.size)
    if optimum.pulls.shape[1] == 0:
        return number
    return number + float((_whitened(optimum.information, optimum.pulls)[1] ** 2).sum())


def parameter_shifts(optimum: Optimum) -> FloatArray:
    """Shift of ln k of each group and of ln D for a standard error of each correction.

    Returns
    -------
    ndarray
        (groups + 1, corrections), of the penalised maximum.
    """
    result: FloatArray = -optimum.covariance @ optimum.pulls
    return result


def own_share(optimum: Optimum, parameter: int) -> float:
    """Variance of a parameter without the errors of the corrections over that with them.

    A fall of log-likelihood d^2 / (2 v) becomes less by this factor.
    """
    precision = optimum.problem.precision()
    return _share(optimum.information, optimum.pulls, precision, parameter)


def centre_share(optimum: Optimum) -> float:
    """Like `own_share`, of one ln k for all boundaries, D fitted again."""
    groups = optimum.theta.size - 1
    shared = np.zeros((groups + 1, 2))
    shared[:-1, 0] = shared[-1, 1] = 1.0
    precision = shared.T @ optimum.problem.precision() @ shared
    return _share(shared.T @ optimum.information @ shared, shared.T @ optimum.pulls, precision, 0)


def _share(
    information: FloatArray, pulls: FloatArray, precision: FloatArray, parameter: int
) -> float:
    if pulls.shape[1] == 0:
        return 1.0
    _, with_them = widened(np.zeros(information.shape[0]), information, pulls)
    least = 1e-9 * np.eye(information.shape[0])
    alone, both = (
        np.linalg.inv(each + precision + least)[parameter, parameter]
        for each in (information, with_them)
    )
    return float(np.clip(alone / both, 0.0, 1.0))


def shifts(optimum: Optimum) -> dict[str, dict[str, float]]:
    """Shift of the mean ln k and of ln D for one standard error of each correction."""
    moved = parameter_shifts(optimum)
    names = [name for name, _ in _errors(optimum)]
    return {
        name: {"mean_ln_k": float(column[:-1].mean()), "ln_d": float(column[-1])}
        for name, column in zip(names, moved.T, strict=True)
    }


def warnings(optimum: Optimum, moved: dict[str, dict[str, float]]) -> list[str]:
    """Say so where the error of a correction weighs as much as the counts do."""
    if not moved:
        return []
    groups = optimum.theta.size - 1
    average = np.append(np.full(groups, 1.0 / groups), 0.0)
    scatter = {
        "mean_ln_k": float(np.sqrt(average @ optimum.covariance @ average)),
        "ln_d": float(np.sqrt(optimum.covariance[-1, -1])),
    }
    parts = []
    for name, change in moved.items():
        if any(change[key] ** 2 > _NOTABLE * scatter[key] ** 2 for key in scatter):
            error = dict(_errors(optimum))[name]
            parts.append(
                f"{_WORDS[name]} (+{error:.2g}): mean ln k {change['mean_ln_k']:+.2f}, "
                f"ln D {change['ln_d']:+.2f}"
            )
    if not parts:
        return []
    note = (
        "The corrections matter. One standard error of "
        + "; of ".join(parts)
        + f". (Statistical errors: {scatter['mean_ln_k']:.2f} and {scatter['ln_d']:.2f}.) "
        "The intervals include both."
    )
    return [note]


def _errors(optimum: Optimum) -> tuple[tuple[str, float], ...]:
    seen = optimum.problem.data.observation
    return () if seen is None else seen.errors
