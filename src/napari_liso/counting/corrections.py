"""What stands between counted ions and the isotope fraction of the sample."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from napari_liso.counting.measured import Measured

__all__ = ["Corrections"]

_NONE = Measured(0.0)
_UNITY = Measured(1.0)


@dataclass(frozen=True)
class Corrections:
    """The corrections of a pair of isotopes, made in this order.

    Parameters
    ----------
    dead_time
        Whether to correct for dead time where the pulses are known.
    background
        Expected background counts a pixel, all frames together, of tracer and
        other isotope.
    hydride_ratio
        6LiH+ per 6Li+ (equal to 7LiH+ per 7Li+), which is counted as 7Li.
    fractionation
        Factor by which the instrument multiplies the odds tracer/other.

    Raises
    ------
    ValueError
        If a value is out of its range.
    """

    dead_time: bool = True
    background: tuple[Measured, Measured] = (_NONE, _NONE)
    hydride_ratio: Measured = _NONE
    fractionation: Measured = _UNITY

    def __post_init__(self) -> None:
        if not 0 <= self.hydride_ratio.value < 1:
            raise ValueError(
                f"hydride_ratio must be from 0 to below 1, got {self.hydride_ratio.value}"
            )
        if not 0 < self.fractionation.value < np.inf:
            raise ValueError(
                f"fractionation must be a positive factor, got {self.fractionation.value}"
            )
        if any(b.value < 0 for b in self.background):
            raise ValueError("a background cannot be negative counts")

    @property
    def keywords(self) -> dict[str, Any]:
        """Keywords for `isotope_fraction` and its kin, but for the pulses."""
        return {
            "background": self.background,
            "hydride_ratio": self.hydride_ratio,
            "fractionation": self.fractionation,
        }

    def describe(self) -> dict[str, Any]:
        """Return them in JSON-able words."""
        return {
            "dead_time": self.dead_time,
            "background": [b.describe() for b in self.background],
            "hydride_ratio": self.hydride_ratio.describe(),
            "fractionation": self.fractionation.describe(),
        }

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> Corrections:
        """Return the corrections that `describe` wrote."""
        tracer, other = (Measured(**b) for b in record["background"])
        return cls(
            dead_time=bool(record["dead_time"]),
            background=(tracer, other),
            hydride_ratio=Measured(**record["hydride_ratio"]),
            fractionation=Measured(**record["fractionation"]),
        )
