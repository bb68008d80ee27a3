"""Counts of profiles, the model, and the likelihood that holds one against the other."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

from napari_liso.diffusion.observation import Observation
from napari_liso.diffusion.series.bins import Bins
from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.layout import Layout
from napari_liso.diffusion.series.model import respond, respond_with_slopes

__all__ = ["SeriesProblem"]

FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]
IntArray = NDArray[np.intp]

#: Fractions are kept this far from 0 and 1, where one count would decide everything.
_EDGE = 1e-9
#: Points times nodes of one call of the model: more does not fit the caches.
_CHUNK = 60_000


@dataclass(frozen=True, eq=False)
class SeriesProblem:
    """Counts of profiles of one geometry, and the model.

    Parameters
    ----------
    chain, bins
        Model at the points, and from there to the bins.
    layout
        Parameters.
    n6, total
        6Li and 6Li + 7Li counts, (fits, bins).
    intensity
        Relative total intensity of each grain, (fits, layers); None where no bin
        mixes two grains.
    temper
        Exponent of the likelihood of each fit: 1 over the dispersion, at most 1.
    saturated
        Log-likelihood of the counts with a fraction of their own a bin, (fits,).
    seen
        From the fraction of the sample to that of the counts, an entry a bin; None
        where they are the same.
    """

    chain: Chain
    bins: Bins
    layout: Layout
    n6: FloatArray
    total: FloatArray
    intensity: FloatArray | None
    temper: FloatArray
    saturated: FloatArray
    seen: Observation | None = None

    @classmethod
    def of(
        cls,
        chain: Chain,
        bins: Bins,
        layout: Layout,
        n6: FloatArray,
        total: FloatArray,
        intensity: FloatArray | None,
        seen: Observation | None = None,
    ) -> SeriesProblem:
        """Set up, with no dispersion yet."""
        share = np.divide(n6, total, out=np.zeros_like(n6), where=total > 0)
        best = xlogy(n6, share) + xlogy(total - n6, 1 - share)
        saturated = (best * _weight(seen)).sum(axis=1)
        temper = np.ones(len(n6))
        return cls(chain, bins, layout, n6, total, intensity, temper, saturated, seen)

    @property
    def fits(self) -> int:
        """Number of profiles."""
        return int(self.n6.shape[0])

    def take(self, rows: IntArray | BoolArray) -> SeriesProblem:
        """The same for some of the profiles; a row may come up more than once."""
        return replace(
            self,
            n6=self.n6[rows],
            total=self.total[rows],
            intensity=None if self.intensity is None else self.intensity[rows],
            temper=self.temper[rows],
            saturated=self.saturated[rows],
        )

    def fraction(self, theta: FloatArray) -> FloatArray:
        """Model fraction of the counts of the bins, (fits, bins)."""
        values = self.layout.values(theta)
        points = respond(self.chain, self.layout.inverse_d(values), self.layout.resistance(values))
        source, background = self.layout.fractions(values)
        c = background + (source - background) * self.bins.fraction(points, self.intensity)
        seen = self._seen(theta)
        return c if seen is None else seen.fraction(np.clip(c, _EDGE, 1 - _EDGE))

    def fraction_and_slopes(self, theta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """`fraction` and its derivatives by the coordinates, (fits, size, bins)."""
        layout = self.layout
        values = layout.values(theta)
        points, by_values = respond_with_slopes(
            self.chain, layout.inverse_d(values), layout.resistance(values), layout.groups
        )
        source, background = layout.fractions(values)
        share = self.bins.fraction(points, self.intensity)
        slopes = self.bins.fraction(by_values, self.intensity)
        slopes *= ((source - background) * layout.by_coordinate(theta))[:, :, None]
        if layout.source_column >= 0:
            slopes[:, layout.source_column] = share
        if layout.background_column >= 0:
            slopes[:, layout.background_column] = 1.0 - share
        c = background + (source - background) * share
        seen = self._seen(theta)
        if seen is None:
            return c, slopes
        c = np.clip(c, _EDGE, 1 - _EDGE)
        q, by_c = seen.fraction_and_slope(c)
        slopes *= by_c[:, None]
        if layout.corrections:
            answers = seen.answers(c).reshape(len(c), len(layout.corrections), -1)
            slopes[:, -len(layout.corrections) :] = answers
        return q, slopes

    def _seen(self, theta: FloatArray) -> Observation | None:
        """What is seen, with corrections that are not exact where their coordinates are."""
        if self.seen is None or not self.layout.corrections:
            return self.seen
        off = theta[:, -len(self.layout.corrections) :, None]
        # (fits, 1) each: a fraction of a bin then has the correction of its fit
        shift: dict[str, Any] = {
            name: off[:, i] * error for i, (name, error) in enumerate(self.seen.errors)
        }
        background = self.seen.background
        if "background_6" in shift or "background_7" in shift:
            b6, b7 = background or (np.zeros(()), np.zeros(()))
            background = (b6 + shift.get("background_6", 0), b7 + shift.get("background_7", 0))
        factor: Any = np.exp(shift.get("ln_fractionation", 0))
        return replace(
            self.seen,
            hydride_ratio=self.seen.hydride_ratio + shift.get("hydride_ratio", 0),
            fractionation=self.seen.fractionation * factor,
            background=background,
        )

    def loss(self, theta: FloatArray) -> FloatArray:
        """Tempered half deviance plus what the priors add, (fits,)."""
        return self._loss_at(self.fraction(theta), theta)

    def _loss_at(self, fraction: FloatArray, theta: FloatArray) -> FloatArray:
        return self.temper * self.deviance(fraction) / 2 + self._penalty(theta)

    def deviance(self, fraction: FloatArray) -> FloatArray:
        """Of the counts, (fits,)."""
        c = np.clip(fraction, _EDGE, 1 - _EDGE)
        n7 = self.total - self.n6
        likelihood = (self.n6 * np.log(c) + n7 * np.log1p(-c)) * _weight(self.seen)
        result: FloatArray = 2 * (self.saturated - likelihood.sum(axis=1))
        return result

    def best_of(self, theta: FloatArray) -> IntArray:
        """Number of the point, of (points, size), that fits each profile best."""
        if self.intensity is None:
            c = np.clip(self.fraction(theta), _EDGE, 1 - _EDGE)
            six, seven = (n * _weight(self.seen) for n in (self.n6, self.total - self.n6))
            likelihood = six @ np.log(c).T + seven @ np.log1p(-c).T
            return likelihood.argmax(axis=1)
        each = [self.deviance(self.fraction(np.tile(point, (self.fits, 1)))) for point in theta]
        return np.argmin(each, axis=0)

    def _penalty(self, theta: FloatArray) -> FloatArray:
        centre, precision = self.layout.prior()
        penalty: FloatArray = 0.5 * ((theta - centre) ** 2 * precision).sum(axis=1)
        return penalty

    def linearise(self, theta: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Loss (fits,), its downhill slope (fits, size), Fisher information and priors."""
        size = max(1, _CHUNK // (self.chain.positions.size * self.chain.order))
        if theta.shape[0] > size:
            starts = range(0, theta.shape[0], size)
            parts = [
                self.take(np.arange(a, min(a + size, theta.shape[0]))).linearise(
                    theta[a : a + size]
                )
                for a in starts
            ]
            loss, down, curve = (np.concatenate(p) for p in zip(*parts, strict=True))
            return loss, down, curve
        fraction, slopes = self.fraction_and_slopes(theta)
        c = np.clip(fraction, _EDGE, 1 - _EDGE)
        centre, precision = self.layout.prior()
        variance = c * (1 - c)
        scale = self.temper[:, None] * _weight(self.seen) / variance
        residual, weight = scale * (self.n6 - self.total * c), scale * self.total
        down = (slopes @ residual[..., None])[..., 0] - precision * (theta - centre)
        curve = (slopes * weight[:, None, :]) @ np.swapaxes(slopes, 1, 2)
        curve[:, np.arange(self.layout.size), np.arange(self.layout.size)] += precision
        return self._loss_at(fraction, theta), down, curve

    def dispersion(self, theta: FloatArray) -> FloatArray:
        """Pearson chi2 per degree of freedom of the bins that have counts, (fits,)."""
        c = np.clip(self.fraction(theta), _EDGE, 1 - _EDGE)
        has = self.total > 0
        scatter = 1.0 if self.seen is None or self.seen.scatter is None else self.seen.scatter
        expected = np.where(has, self.total * c * (1 - c) * scatter, 1.0)
        chi2 = np.where(has, (self.n6 - self.total * c) ** 2 / expected, 0.0).sum(axis=1)
        freedom = has.sum(axis=1) - self.layout.size + len(self.layout.corrections)
        return np.where(freedom > 0, chi2 / np.maximum(freedom, 1), 1.0)


def _weight(seen: Observation | None) -> FloatArray | float:
    """Of the bins in the log-likelihood."""
    return 1.0 if seen is None or seen.weight is None else seen.weight
