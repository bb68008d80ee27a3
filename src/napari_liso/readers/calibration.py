"""From flight time to mass, as instruments write it down."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["MassCalibration"]

#: In sqrt(u) per unit of time, whatever the unit, and in sqrt(u); beyond is damage.
_SLOPES = (1e-15, 1e15)
_MAX_OFFSET = 1e6


@dataclass(frozen=True)
class MassCalibration:
    """Flight time to mass: ``mass = (slope * t + offset)**2``.

    The time is counted in the steps of the file (`ticks`): 1 ps in PHI's files,
    a channel of the time-to-digital converter in ION-TOF's.

    Parameters
    ----------
    slope
        In sqrt(u) per `unit` of time.
    offset
        In sqrt(u).
    source
        Where the coefficients come from, for the provenance.
    ticks_per_unit
        Steps of the file's time in one `unit`.
    unit
        Of the time that the coefficients are for.
    """

    slope: float
    offset: float
    source: str
    ticks_per_unit: float = 1.0
    unit: str = "channel"

    @classmethod
    def from_sf_k0(cls, sf: float, k0: float, source: str) -> MassCalibration:
        """Return ION-TOF's calibration, ``mass = ((channel - K0) / SF)**2``.

        Raises
        ------
        ValueError
            If SF is not positive, or one of the two is no number of a reasonable size.
        """
        if not (math.isfinite(sf) and math.isfinite(k0) and sf > 0):
            raise ValueError(f"SF {sf} and K0 {k0} are no mass calibration")
        found = cls(1.0 / sf, -k0 / sf, source)
        if not found.is_sensible():
            raise ValueError(f"SF {sf} and K0 {k0} are no mass calibration")
        return found

    def is_sensible(self) -> bool:
        """Whether times map to masses one to one and to numbers that masses can be."""
        return _SLOPES[0] < self.slope < _SLOPES[1] and abs(self.offset) < _MAX_OFFSET

    def mass(self, ticks: ArrayLike) -> NDArray[np.float64]:
        """Return the mass in u at a flight time in steps of the file."""
        # In one array: a long measurement has tens of millions of times.
        root = np.array(ticks, dtype=np.float64)
        root /= self.ticks_per_unit
        root *= self.slope
        root += self.offset
        # Times before mass zero have no mass; a square would fold them back in.
        np.maximum(root, 0.0, out=root)
        return np.square(root, out=root)

    def ticks(self, mass: float) -> float:
        """Return the flight time in steps of the file at a mass in u."""
        return (math.sqrt(mass) - self.offset) / self.slope * self.ticks_per_unit

    def as_metadata(self) -> dict[str, Any]:
        """Return the calibration as JSON-able facts."""
        return {
            "model": f"mass = (slope * t + offset)**2, t in {self.unit}",
            "slope": self.slope,
            "offset": self.offset,
            "source": self.source,
        }
