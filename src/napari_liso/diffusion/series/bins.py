"""From the fraction at points to the fraction of the counts of each bin.

The counts of a bin are those of the 6Li and 7Li ions that come from it and,
with blur, from its surroundings: the two intensities are blurred, not their
ratio. With the total intensity I(x) and the kernel G the fraction of a bin is
int G I c / int G I. I is one number a grain, found from the total counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.special import ndtr

__all__ = ["Bins", "bin_edges", "build_bins"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.intp]

#: Standard deviation of a Gaussian over its full width at half maximum.
_SIGMA = 1 / (2 * np.sqrt(2 * np.log(2)))
#: The blur is followed so many standard deviations far.
_REACH = 5.0
#: Two Gauss points a cell.
_GAUSS = 0.5 / np.sqrt(3)


@dataclass(frozen=True, eq=False)
class Bins:
    """Quadrature from points to bins.

    Parameters
    ----------
    positions
        Of the points, m from the source face, ascending.
    weights
        (bins, positions), each row with sum 1 if all of the bin's counts come from
        the sample.
    layer
        Grain of each point.
    """

    positions: FloatArray
    weights: FloatArray
    layer: IntArray

    def only(self, used: NDArray[np.bool_]) -> Bins:
        """The bins in `used`, and the points that these need."""
        weights = self.weights[used]
        needed = weights.any(axis=0)
        return Bins(self.positions[needed], weights[:, needed], self.layer[needed])

    def intensities(self, total: FloatArray, layers: int) -> FloatArray:
        """Counts a bin of each grain, from total counts (fits, bins): (fits, layers).

        Non-negative least squares with the variance of the counts; a grain without
        bins gets the mean of the others.
        """
        design = self.weights @ (self.layer[:, None] == np.arange(layers))
        result = np.empty((total.shape[0], layers))
        for row, counts in enumerate(total):
            sigma = np.sqrt(np.maximum(counts, 1.0))
            found, _ = nnls(design / sigma[:, None], counts / sigma)
            seen = (design.sum(axis=0) > 1e-6) & (found > 0)
            result[row] = np.where(seen, found, found[seen].mean() if seen.any() else 1.0)
        return result

    def fraction(self, at_points: FloatArray, intensity: FloatArray | None) -> FloatArray:
        """Fraction of the bins, (fits, ..., bins), from that at the points (fits, ..., points)."""
        if intensity is None:
            return (at_points @ self.weights.T) / self.weights.sum(axis=1)
        per_point = intensity[:, self.layer]
        total = per_point @ self.weights.T
        if at_points.ndim == 3:
            per_point, total = per_point[:, None], total[:, None]
        return ((at_points * per_point) @ self.weights.T) / total


def bin_edges(distance: FloatArray) -> FloatArray:
    """Edges of bins from their middles: half-way between them, m.

    Raises
    ------
    ValueError
        If the middles do not ascend, or lie before the source face.
    """
    if distance.ndim != 1 or distance.size < 3:
        raise ValueError("distance must be the middles of three bins or more, in m")
    if not np.isfinite(distance).all() or np.any(np.diff(distance) <= 0):
        raise ValueError("distance must ascend from bin to bin")
    if distance[0] < 0:
        raise ValueError(
            f"the first bin lies {-distance[0]:g} m before the source face: leave out what is "
            "outside the sample, and count distance from the face"
        )
    middle = (distance[1:] + distance[:-1]) / 2
    first = max(0.0, distance[0] - (middle[0] - distance[0]))
    last = distance[-1] + (distance[-1] - middle[-1])
    return np.concatenate([[first], middle, [last]])


def build_bins(
    edges: FloatArray, interfaces: FloatArray, length: float, psf_fwhm: float = 0.0
) -> Bins:
    """Place the points and weigh them.

    Parameters
    ----------
    edges
        Of the bins, m, (bins + 1,).
    interfaces
        Positions of the boundaries, m.
    length
        Of the sample, m; inf for an open end.
    psf_fwhm
        Full width at half maximum of the beam's blur, m.
    """
    sigma = psf_fwhm * _SIGMA
    first = max(0.0, edges[0] - _REACH * sigma)
    last = min(length, edges[-1] + _REACH * sigma)
    cuts = np.concatenate([[first, last], edges, interfaces])
    cuts = np.unique(cuts[(cuts >= first) & (cuts <= last)])
    if sigma > 0:
        parts = np.maximum(np.ceil(np.diff(cuts) / (0.5 * sigma)), 1).astype(int)
        fine = [
            np.linspace(a, b, n + 1)[:-1]
            for a, b, n in zip(cuts[:-1], cuts[1:], parts, strict=True)
        ]
        cuts = np.append(np.concatenate(fine), cuts[-1])
    middle, width = (cuts[1:] + cuts[:-1]) / 2, np.diff(cuts)
    positions = (middle[:, None] + width[:, None] * np.array([-_GAUSS, _GAUSS])).ravel()
    share = np.repeat(width / 2, 2)
    if sigma > 0:
        below = ndtr((edges[:, None] - positions) / sigma)
        weights = np.diff(below, axis=0) * share / np.diff(edges)[:, None]
    else:
        bin_of = np.searchsorted(edges, positions, side="right") - 1
        inside = bin_of == np.arange(edges.size - 1)[:, None]
        weights = inside * share / np.diff(edges)[:, None]
    layer = np.searchsorted(interfaces, positions, side="right")
    return Bins(positions, weights, layer)
