"""Binomial likelihood of the counts, projected on the shapes of the reduced model.

Given N = N6 + N7, the 6Li counts of a pixel are binomial with the model's
fraction c; the local intensity cancels. Score and Fisher information with
respect to c are (N6 - N c) / (c (1 - c)) and N / (c (1 - c)). Shapes live in
one cell each, so the Fisher information of the coefficients is block-diagonal
and no Jacobian over pixels is ever formed.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from napari_liso.diffusion.reduced import ReducedModel

__all__ = ["BinomialData", "Curvature"]

FloatArray = NDArray[np.float64]

#: Fractions are kept this far from 0 and 1, where one count would decide everything.
_EDGE = 1e-6


@dataclass(frozen=True, eq=False)
class Curvature:
    """Loss, score and Fisher information in terms of the coefficients.

    Parameters
    ----------
    loss
        Half the deviance: minus the log-likelihood, less that of the saturated model.
    score
        Derivative of the log-likelihood, shape (modes,).
    blocks
        Fisher information of each cell, (modes of the cell, same).
    """

    loss: float
    score: FloatArray
    blocks: list[FloatArray]


@dataclass(frozen=True, eq=False)
class BinomialData:
    """Counts of the unknowns of a map; zero counts carry no weight.

    Parameters
    ----------
    n6, total
        6Li counts and 6Li + 7Li counts of the unknowns, in their order; zero
        where a pixel is no data.
    source_fraction
        Fraction from which the coefficients count.
    """

    n6: FloatArray
    total: FloatArray
    source_fraction: float

    @classmethod
    def from_images(
        cls,
        model: ReducedModel,
        n6: NDArray[np.integer],
        n7: NDArray[np.integer],
        used: NDArray[np.bool_],
        source_fraction: float,
    ) -> BinomialData:
        """Collect the counts of the pixels in `used`, all images (y, x)."""
        pixel = model.crystal.pixel
        keep = used.ravel()[pixel]
        six = np.where(keep, n6.ravel()[pixel].astype(np.float64), 0.0)
        seven = np.where(keep, n7.ravel()[pixel].astype(np.float64), 0.0)
        return cls(six, six + seven, source_fraction)

    def fraction(self, model: ReducedModel, coefficients: FloatArray) -> FloatArray:
        """Model fraction of each unknown."""
        return self.source_fraction + model.field(coefficients)

    def pixel_loss(self, fraction: FloatArray, part: slice = slice(None)) -> FloatArray:
        """Half the deviance of each unknown (or of a part of them)."""
        c = np.clip(fraction, _EDGE, 1 - _EDGE)
        n6, total = self.n6[part], self.total[part]
        n7 = total - n6
        share = np.divide(n6, total, out=np.zeros_like(c), where=total > 0)
        best = xlogy(n6, share) + xlogy(n7, 1 - share)
        result: FloatArray = best - n6 * np.log(c) - n7 * np.log1p(-c)
        return result

    def loss(self, model: ReducedModel, coefficients: FloatArray) -> float:
        """Half the deviance."""
        return float(self.pixel_loss(self.fraction(model, coefficients)).sum())

    def curvature(self, model: ReducedModel, coefficients: FloatArray) -> Curvature:
        """Loss, score and expected information at the coefficients."""
        c = np.clip(self.fraction(model, coefficients), _EDGE, 1 - _EDGE)
        weight = self.total / (c * (1 - c))
        residual = (self.n6 - self.total * c) / (c * (1 - c))
        score = np.empty(model.modes)
        blocks = []
        for cell, unknowns, modes in model.blocks():
            shape = model.shapes[cell]
            score[modes] = shape.T @ residual[unknowns]
            blocks.append(shape.T @ (weight[unknowns, None] * shape))
        return Curvature(float(self.pixel_loss(c).sum()), score, blocks)

    def pearson(self, fraction: FloatArray, parameters: int) -> float:
        """Pearson chi2 per degree of freedom of the unknowns that have counts."""
        c = np.clip(fraction, _EDGE, 1 - _EDGE)
        has = self.total > 0
        chi2 = (self.n6 - self.total * c)[has] ** 2 / (self.total * c * (1 - c))[has]
        freedom = int(has.sum()) - parameters
        return float(chi2.sum() / freedom) if freedom > 0 else 1.0


def block_product(
    model: ReducedModel, blocks: list[FloatArray], columns: FloatArray
) -> FloatArray:
    """Block-diagonal matrix times columns, shape (modes, columns)."""
    result = np.empty_like(columns)
    for cell, _, modes in model.blocks():
        result[modes] = blocks[cell] @ columns[modes]
    return result
