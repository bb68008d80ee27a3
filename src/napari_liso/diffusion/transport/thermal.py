"""What a thermal history amounts to at one temperature.

Grains and boundaries have activation energies of their own, so one history has two
effective times: t_eff = integral exp(-(E/k_B)(1/T - 1/T_ref)) dt. The stages of an
`Experiment` are of one temperature; this is how ramps and pauses are scaled to it.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.counting.measured import Measured
from napari_liso.diffusion.intervals import judge
from napari_liso.diffusion.results import Estimate
from napari_liso.diffusion.transport.propagation import NORMAL_95
from napari_liso.units import BOLTZMANN_EV

__all__ = ["effective_time"]

FloatArray = NDArray[np.float64]

#: Gauss-Legendre nodes of a piece in which the exponent changes by at most 1.
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)


def effective_time(
    time: ArrayLike,
    temperature: ArrayLike,
    activation_energy: float | Measured | Estimate,
    reference_temperature: float,
) -> Estimate:
    """Time at one temperature that does what a thermal history did.

    Parameters
    ----------
    time
        Of the corners of the history, s, rising; two equal times are a jump.
    temperature
        There, K; straight in between.
    activation_energy
        E in eV, of the grains or of the boundaries: do both. With an error the interval
        of the result follows from that of E.
    reference_temperature
        K.

    Returns
    -------
    Estimate
        s.

    Raises
    ------
    ValueError
        If the corners are fewer than two, of different number, not rising in time or not
        positive in K, or if the energy is not finite.
    """
    t = np.asarray(time, dtype=np.float64)
    kelvin = np.asarray(temperature, dtype=np.float64)
    if t.ndim != 1 or t.shape != kelvin.shape or t.size < 2:
        raise ValueError("time and temperature must be two lists of the same length, at least 2")
    if not (np.isfinite(t).all() and (np.diff(t) >= 0).all() and t[-1] > t[0]):
        raise ValueError("time must rise from corner to corner (in s)")
    if not ((kelvin > 0) & np.isfinite(kelvin)).all() or not 0 < reference_temperature < np.inf:
        raise ValueError("temperatures must be positive kelvin")
    value, low, high = _energy(activation_energy)
    if not np.isfinite([value, low, high]).all():
        raise ValueError("the activation energy must be a finite number of eV with both ends")

    def at(energy: float) -> float:
        return _integral(t, kelvin, energy, 1.0 / reference_temperature)

    # The integral is convex in E: its largest value is at an end, its least may be between.
    inside = [at(energy) for energy in np.linspace(low, high, 41)] if high > low else []
    middle = at(value)
    found = [middle, *inside]
    return Estimate(middle, min(found), max(found), judge(min(found), max(found)))


def _energy(given: float | Measured | Estimate) -> tuple[float, float, float]:
    if isinstance(given, Estimate):
        return given.value, given.lower, given.upper
    if isinstance(given, Measured):
        half = NORMAL_95 * given.error
        return given.value, given.value - half, given.value + half
    return float(given), float(given), float(given)


def _integral(time: FloatArray, kelvin: FloatArray, energy: float, inverse_ref: float) -> float:
    slope = energy / BOLTZMANN_EV
    total = 0.0
    for start, end, first, last in zip(time[:-1], time[1:], kelvin[:-1], kelvin[1:], strict=True):
        pieces = 1 + int(abs(slope * (1.0 / first - 1.0 / last)))
        # Pieces of equal steps in 1/T, in which the exponent is nearly straight.
        corner = 1.0 / np.linspace(1.0 / first, 1.0 / last, pieces + 1)
        share = np.linspace(0.0, 1.0, pieces + 1)
        if first != last:
            share = (corner - first) / (last - first)
        middle, half = (share[1:] + share[:-1]) / 2, np.diff(share) / 2
        s = middle[:, None] + half[:, None] * _NODES
        rate = np.exp(-slope * (1.0 / (first + s * (last - first)) - inverse_ref))
        total += float((end - start) * (half[:, None] * _WEIGHTS * rate).sum())
    return total
