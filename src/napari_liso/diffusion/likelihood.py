"""Binomial likelihood of the counts, projected on the shapes of the reduced model.

Given N = N6 + N7, the 6Li counts of a pixel are binomial with the model's
fraction c; the local intensity cancels. Score and Fisher information with
respect to c are (N6 - N c) / (c (1 - c)) and N / (c (1 - c)). Shapes live in
one cell each, so the Fisher information of the coefficients is block-diagonal
and no Jacobian over pixels is ever formed.

What the instrument does to the fraction (`observation`) comes in between: the
counts are then held against q(c), and the derivatives follow by the chain rule.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from napari_liso.diffusion.observation import Observation
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
    observation
        From the fraction of the sample to that of the counts; None where they are the same.
    """

    n6: FloatArray
    total: FloatArray
    source_fraction: float
    observation: Observation | None = None

    @classmethod
    def from_images(
        cls,
        model: ReducedModel,
        n6: NDArray[np.integer],
        n7: NDArray[np.integer],
        used: NDArray[np.bool_],
        source_fraction: float,
        observation: Observation | None = None,
    ) -> BinomialData:
        """Collect the counts of the pixels in `used`, all images (y, x)."""
        pixel = model.crystal.pixel
        keep = used.ravel()[pixel]
        six = np.where(keep, n6.ravel()[pixel].astype(np.float64), 0.0)
        seven = np.where(keep, n7.ravel()[pixel].astype(np.float64), 0.0)
        seen = None if observation is None else observation.take(pixel)
        return cls(six, six + seven, source_fraction, seen)

    def fraction(self, model: ReducedModel, coefficients: FloatArray) -> FloatArray:
        """Model fraction of each unknown."""
        return self.source_fraction + model.field(coefficients)

    def counted(self, fraction: FloatArray) -> FloatArray:
        """Fraction that the counts of each unknown should show."""
        c = np.clip(fraction, _EDGE, 1 - _EDGE)
        return c if self.observation is None else self._answer(c)[0]

    def _answer(self, c: FloatArray) -> tuple[FloatArray, FloatArray | None]:
        """Fraction of the counts, and its derivative by that of the sample (None for 1)."""
        if self.observation is None:
            return c, None
        q, slope = self.observation.fraction_and_slope(c)
        return np.clip(q, _EDGE, 1 - _EDGE), slope

    @property
    def _weight(self) -> FloatArray | None:
        return None if self.observation is None else self.observation.weight

    def variance(self, fraction: FloatArray, *, block: bool = False) -> FloatArray:
        """Variance of ``n6 - total * counted`` of each unknown.

        Parameters
        ----------
        fraction
            Of the sample.
        block
            Of an unknown in a sum over many: the intensities, which are means over
            neighbours, then vary with the counts.
        """
        q = self.counted(fraction)
        binomial = self.total * q * (1 - q)
        seen = self.observation
        if seen is None or seen.scatter is None or seen.weight is None:
            return binomial
        return binomial / seen.weight if block else binomial * seen.scatter

    def pixel_loss(self, fraction: FloatArray) -> FloatArray:
        """Half the deviance of each unknown."""
        q = self.counted(fraction)
        n6, total = self.n6, self.total
        n7 = total - n6
        share = np.divide(n6, total, out=np.zeros_like(q), where=total > 0)
        best = xlogy(n6, share) + xlogy(n7, 1 - share)
        result: FloatArray = best - n6 * np.log(q) - n7 * np.log1p(-q)
        return result if self._weight is None else result * self._weight

    def loss(self, model: ReducedModel, coefficients: FloatArray) -> float:
        """Half the deviance."""
        return float(self.pixel_loss(self.fraction(model, coefficients)).sum())

    def information(self, fraction: FloatArray) -> FloatArray:
        """Fisher information of each unknown on its fraction."""
        return self._slopes(np.clip(fraction, _EDGE, 1 - _EDGE))[1]

    def _slopes(self, c: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Score and Fisher information of each unknown with respect to its fraction."""
        q, slope = self._answer(c)
        information = self.total / (q * (1 - q))
        score = (self.n6 - self.total * q) / (q * (1 - q))
        if slope is not None:
            score, information = score * slope, information * slope**2
        if self._weight is not None:
            score, information = score * self._weight, information * self._weight
        return score, information

    def curvature(self, model: ReducedModel, coefficients: FloatArray) -> Curvature:
        """Loss, score and expected information at the coefficients."""
        c = np.clip(self.fraction(model, coefficients), _EDGE, 1 - _EDGE)
        residual, weight = self._slopes(c)
        score = np.empty(model.modes)
        blocks = []
        for cell, unknowns, modes in model.blocks():
            shape = model.shapes[cell]
            score[modes] = shape.T @ residual[unknowns]
            blocks.append(shape.T @ (weight[unknowns, None] * shape))
        return Curvature(float(self.pixel_loss(c).sum()), score, blocks)

    def pulls(self, model: ReducedModel, coefficients: FloatArray) -> FloatArray:
        """Mixed second derivative of the loss by coefficients and corrections.

        Returns
        -------
        ndarray
            (modes, corrections that are not exact): each by its standard error.
        """
        if self.observation is None or not self.observation.errors:
            return np.zeros((model.modes, 0))
        c = np.clip(self.fraction(model, coefficients), _EDGE, 1 - _EDGE)
        q, slope = self.observation.fraction_and_slope(c)
        q = np.clip(q, _EDGE, 1 - _EDGE)
        weight = self.total * slope / (q * (1 - q))
        if self._weight is not None:
            weight = weight * self._weight
        pull = weight[:, None] * self.observation.answers(c)
        result = np.empty((model.modes, pull.shape[1]))
        for cell, unknowns, modes in model.blocks():
            result[modes] = model.shapes[cell].T @ pull[unknowns]
        return result

    def pearson(self, fraction: FloatArray, parameters: int) -> float:
        """Pearson chi2 per degree of freedom of the unknowns that have counts."""
        q = self.counted(fraction)
        has = self.total > 0
        chi2 = (self.n6 - self.total * q)[has] ** 2 / self.variance(fraction)[has]
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
