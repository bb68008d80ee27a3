"""Near-best rational approximation of the exponential on the negative real axis.

exp(z) = Re sum_k residue_k / (z - pole_k) for z <= 0, with an error of about
9.3^-n (Cody, Meinardus & Varga 1969). Built by the Caratheodory-Fejer method:
Trefethen, Weideman & Schmelzer, BIT 46, 653 (2006), figure 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Rational", "rational_exponential"]

ComplexArray = NDArray[np.complex128]

#: Length of the Chebyshev expansion, points on the circle, scale of the map to the axis.
_TERMS, _POINTS, _SCALE = 75, 1024, 9.0


@dataclass(frozen=True, eq=False)
class Rational:
    """Poles in the upper half plane and their residues, those of the lower half included.

    Parameters
    ----------
    poles, residues
        Complex, shape (order / 2,).
    """

    poles: ComplexArray
    residues: ComplexArray

    def shifted(self, by: float) -> Rational:
        """The same approximation with all poles moved along the real axis.

        exp(z) = exp(by) exp(z - by) is as good for z <= 0 and costs a factor
        exp(by) in the error; it keeps two stages from having a pole in common.
        """
        return Rational(self.poles + by, self.residues * np.exp(by))


@cache
def rational_exponential(order: int = 8) -> Rational:
    """Return poles and residues of even order 2 to 14 (errors 1.5e-2 to 8e-14).

    Raises
    ------
    ValueError
        If the order is odd or outside 2 to 14, where double precision ends.
    """
    if order % 2 or not 2 <= order <= 14:
        raise ValueError(f"order must be an even number from 2 to 14, got {order}")
    circle = np.exp(2j * np.pi * np.arange(_POINTS) / _POINTS)
    t = circle.real
    values = np.exp(_SCALE * (t - 1) / (t + 1 + 1e-16))
    chebyshev = np.fft.fft(values).real / _POINTS
    series = np.polyval(chebyshev[_TERMS::-1], circle)
    rows = np.arange(_TERMS)
    reach = rows[:, None] + rows[None, :]
    hankel = np.where(reach < _TERMS, chebyshev[1 + np.minimum(reach, _TERMS - 1)], 0.0)
    left, singular, right = np.linalg.svd(hankel)
    u, v = left[::-1, order], right[order]
    quotient = np.fft.fft(u, _POINTS) / np.fft.fft(v, _POINTS)
    best = series - singular[order] * circle**_TERMS * quotient
    roots = np.roots(v)
    outside = roots[np.abs(roots) > 1]
    numerator = (np.fft.fft(best * np.polyval(np.poly(outside), circle)) / _POINTS).real
    residues = np.array(
        [np.polyval(numerator[order::-1], q) / np.prod(q - outside[outside != q]) for q in outside]
    )
    poles = _SCALE * ((outside - 1) / (outside + 1)) ** 2
    residues = 4 * residues * poles / (outside**2 - 1)
    upper = poles.imag > 0
    sort = np.argsort(poles[upper].imag)
    return Rational(poles[upper][sort], 2 * residues[upper][sort])
