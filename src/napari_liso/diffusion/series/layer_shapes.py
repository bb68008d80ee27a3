"""One layer in the Laplace domain: its answer to fluxes through its faces.

With z = L sqrt(s/D), a layer of thickness L that takes up unit flux at xi = 0
holds z cosh(z (1 - xi)) / (s L sinh z) (Carslaw & Jaeger 1959, ch. XII). At its
faces this is analytic in w = z^2 = s L^2 (1/D): 1/D = 0 (a flat grain) is a
point like any other. Inside it is a sum of exp(-z xi) and exp(-z (1 - xi)), which
only ever fall, so thick layers do not overflow.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Shapes", "shapes_of"]

ComplexArray = NDArray[np.complex128]

#: Below this |w| a difference comes from its power series.
_SMALL = 1e-2
#: Smallest |w| used: keeps 0/0 out; moves a result by less than 1e-12.
_FLOOR = 1e-12


@dataclass(frozen=True, eq=False)
class Shapes:
    """Functions of z that the answers of layers are made of, any shape.

    Parameters
    ----------
    z, decay
        sqrt(w) and exp(-z).
    scale
        z / (1 - exp(-2 z)).
    near, far
        Answer times s L at the face of the flux, z coth z, and at the other, z / sinh z.
    """

    z: ComplexArray
    decay: ComplexArray
    scale: ComplexArray
    near: ComplexArray
    far: ComplexArray

    def face_slopes(self) -> tuple[ComplexArray, ComplexArray]:
        """Derivatives of `near` and `far` by w."""
        kappa = self._kappa()
        return 0.5 * (1.0 - kappa * self.near), -0.5 * kappa * self.far

    def amplitudes(
        self, into: ComplexArray, out: ComplexArray
    ) -> tuple[ComplexArray, ComplexArray]:
        """Factors of exp(-z xi) and exp(-z (1 - xi)) for fluxes over s L."""
        scale, decay = self.scale, self.decay
        if into.ndim > scale.ndim:
            scale, decay = scale[..., None], decay[..., None]
        return scale * (into - decay * out), scale * (decay * into - out)

    def amplitude_slopes(
        self, into: ComplexArray, out: ComplexArray
    ) -> tuple[ComplexArray, ComplexArray]:
        """Derivatives of `amplitudes` by w, the fluxes held."""
        inverse = 0.5 / self.z
        by_scale = inverse - 0.5 * self._kappa()
        left, right = self.amplitudes(into, out)
        moved = inverse * self.scale * self.decay
        return by_scale * left + moved * out, by_scale * right - moved * into

    def _kappa(self) -> ComplexArray:
        """(z coth z - 1) / w; 1/3 at w = 0."""
        w = self.z * self.z
        small = abs(w) < _SMALL
        if not small.any():
            return (self.near - 1.0) / w
        series = 1 / 3 - w * (1 / 45 - w * (2 / 945 - w * (1 / 4725 - w * 2 / 93555)))
        return np.where(small, series, (self.near - 1.0) / w)


def shapes_of(w: ComplexArray) -> Shapes:
    """Evaluate at w = s L^2 / D, |arg w| < pi."""
    size = abs(w)
    if size.min() < _FLOOR:
        w = np.where(size < _FLOOR, _FLOOR, w)
    z: ComplexArray = np.sqrt(w)
    decay: ComplexArray = np.exp(-z)
    scale: ComplexArray = -z / np.expm1(-2.0 * z)
    return Shapes(z, decay, scale, scale * (1.0 + decay * decay), 2.0 * scale * decay)
