"""What a reader of a profile's numbers must know, in plain words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.series.given import GivenProfiles
from napari_liso.diffusion.series.problem import SeriesProblem

__all__ = [
    "degeneracies",
    "effective_bias",
    "fast_boundaries",
    "fast_words",
    "misfit",
    "polycrystal",
]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

#: Standard deviations by which a boundary must stand out, and bins of a grain it is held against.
_STANDS_OUT, _NEIGHBOURS = 4.0, 4
#: Correlation from which on two parameters are one.
_SAME = 0.97
#: Chi2 per degree of freedom, and correlation of neighbouring residuals in standard
#: deviations, above which the model is not that of the profile.
_POOR, _IN_A_ROW = 1.5, 3.5
#: sqrt(D_eff t)/d and by how much one error function overestimates D_eff, at k d/D = 0.1.
_ENOUGH, _TOO_FEW = 10.0, 2.0
_GRAINS, _BIAS = np.array([1.0, 2.0, 4.0, 10.0, 20.0]), np.array([1.0, 0.42, 0.20, 0.07, 0.04])


def fast_boundaries(given: GivenProfiles, psf_fwhm: float) -> BoolArray:
    """Boundaries with more 6Li on them than in both grains, (interfaces,).

    The first of the profiles is asked: counts of the bins on the boundary against
    those of up to four bins further into each grain.
    """
    n6, total = given.n6[0], given.total[0]
    reach = max(given.step, psf_fwhm) * (1 + 1e-9)
    sides = np.concatenate([[0.0], given.interfaces, [given.length]])
    result = np.zeros(given.interfaces.size, dtype=bool)
    for number, place in enumerate(given.interfaces):
        away = given.distance - place
        on = np.abs(away) < reach
        before = np.flatnonzero((away <= -reach) & (given.distance > sides[number]))
        behind = np.flatnonzero((away >= reach) & (given.distance < sides[number + 2]))
        groups = [on, before[-_NEIGHBOURS:], behind[:_NEIGHBOURS]]
        counts = np.array([[n6[g].sum(), total[g].sum()] for g in groups])
        if (counts[:, 1] <= 0).any():
            continue
        c = counts[:, 0] / counts[:, 1]
        variance = np.maximum(c * (1 - c), 1 / counts[:, 1]) / counts[:, 1]
        higher = 1 + int(np.argmax(c[1:]))
        z = (c[0] - c[higher]) / np.sqrt(variance[0] + variance[higher])
        result[number] = z > _STANDS_OUT
    return result


def fast_words(fast: BoolArray) -> list[str]:
    """Warning about fast boundaries."""
    if not fast.any():
        return []
    which = ", ".join(str(i + 1) for i in np.flatnonzero(fast))
    words = (
        f"Boundary {which} holds more 6Li than both of its grains: lithium runs along it "
        "faster than through the grains. This model has no such path: its k is not reported."
    )
    return [words]


def polycrystal(interfaces: int, structure: str) -> list[str]:
    """Warnings about a sample that is not one-dimensional."""
    if structure == "layers" or interfaces == 0:
        return []
    words = (
        "A series of grains takes all lithium to come straight through. Where neighbours "
        "beside the line differ, k of single boundaries is off by more than a factor 2 in "
        "19 % of cases in simulated 2-D samples and 38 % in 3-D. Use fit_diffusion for a map, "
        "or say structure='layers'."
    )
    if interfaces == 1:
        words = (
            "Two grains in a row are a model of a bicrystal. Inside a polycrystal lithium "
            "also comes around the boundary, and this k is too low, by a factor 7 in the "
            "median of simulated boundaries. Use fit_diffusion there, or say "
            "structure='layers'."
        )
    return [words]


def effective_bias(
    diffusivity: float, duration: float, grain_size: float | None
) -> tuple[float, list[str]]:
    """How much too high D_eff may be because of too few grains, and a warning about it.

    Parameters
    ----------
    diffusivity
        D_eff as fitted, m2/s.
    duration
        Effective time, s.
    grain_size
        m, or None if not known.

    Returns
    -------
    bias
        D_eff may be too high by this share; inf below two grains; 0 from ten on.
    warnings
    """
    if grain_size is None:
        unknown = (
            "How many grains the tracer went through is not known: give interfaces or "
            "grain_size. Below ten, D_eff of one error function is too high."
        )
        return 0.0, [unknown]
    apparent = float(np.sqrt(diffusivity * duration)) / grain_size
    grains, bias = apparent, 0.0
    for _ in range(30):  # the fitted depth is itself too large by the root of the bias
        bias = float(np.exp(np.interp(np.log(max(grains, 1e-6)), np.log(_GRAINS), np.log(_BIAS))))
        grains = apparent / np.sqrt(1 + bias)
    if grains >= _ENOUGH:
        return 0.0, []
    words = (
        f"The tracer went through about {grains:.2g} grains (sqrt(D_eff t) over the grain "
        f"size). Below ten one error function overestimates D_eff: by about {100 * bias:.0f} % "
        "where boundaries hold lithium back strongly (k d/D = 0.1). "
    )
    if grains < _TOO_FEW:
        return np.inf, [words + "With less than two grains D_eff has no meaning: no verdict."]
    return bias, [words + "The lower end of the interval is lowered by that."]


def degeneracies(problem: SeriesProblem, information: FloatArray) -> list[str]:
    """Fitted fractions and surface that the profile cannot tell from another parameter."""
    layout = problem.layout
    free = [c for c in (layout.source_column, layout.background_column) if c >= 0]
    if layout.face_group[0] >= 0:
        free.append(int(layout.face_group[0]))
    size = np.sqrt(np.maximum(np.diag(information), 1e-300))
    scaled = information / np.outer(size, size)
    covariance = np.linalg.inv(scaled + 1e-9 * np.eye(len(size)))
    spread = np.sqrt(np.diag(covariance))
    correlation = covariance / np.outer(spread, spread)
    words, said = [], set()
    for column in free:
        for other in range(layout.size):
            pair = frozenset((column, other))
            if other == column or pair in said or abs(correlation[column, other]) < _SAME:
                continue
            said.add(pair)
            words.append(
                f"The profile cannot tell the {layout.names[column]} from "
                f"{layout.names[other]} (correlation {correlation[column, other]:+.3f}): "
                "take one of them from elsewhere, such as the fraction of an area that the "
                "tracer has not reached."
            )
    return words


def misfit(residual: FloatArray, dispersion: float) -> str | None:
    """Words if the model is not that of the profile: residuals of bins in a row that agree."""
    r = residual[np.isfinite(residual)]
    if r.size < 8 or dispersion < _POOR:
        return None
    in_a_row = float((r[1:] * r[:-1]).sum() / (r**2).sum() * np.sqrt(r.size))
    if in_a_row < _IN_A_ROW:
        return None
    return (
        f"The model does not describe the profile (chi2/dof {dispersion:.1f}, and neighbouring "
        "bins deviate together): no verdict stands. Check the boundaries' places, the stages, "
        "the fractions of source and background, and whether D differs from grain to grain."
    )
