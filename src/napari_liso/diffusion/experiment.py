"""What was done to the sample: stages, source and background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

__all__ = ["NATURAL_FRACTION", "Experiment", "Stage"]

Edge = Literal["left", "right", "top", "bottom"]
EDGES: tuple[Edge, ...] = ("left", "right", "top", "bottom")

#: 6Li/(6Li+7Li) of IRMM-016 (6Li/7Li = 0.082121), the usual natural reference.
NATURAL_FRACTION = 0.0759


@dataclass(frozen=True)
class Stage:
    """One period at one temperature.

    Parameters
    ----------
    duration
        s, positive.
    temperature
        K, positive.
    source
        True while the 6Li source is in contact; False for an anneal without it
        (the source edge is then closed).
    """

    duration: float
    temperature: float = 298.15
    source: bool = True

    def __post_init__(self) -> None:
        if not 0 < self.duration < np.inf:
            raise ValueError(f"duration must be a positive number of s, got {self.duration}")
        if not 0 < self.temperature < np.inf:
            raise ValueError(f"temperature must be positive kelvin, got {self.temperature}")


@dataclass(frozen=True, eq=False)
class Experiment:
    """Stages, source and background of an isotope-exchange experiment.

    Parameters
    ----------
    stages
        In the order in which they happened; at least one with the source.
    source
        Edge of the map that touches the 6Li source, or a bool mask (y, x) of
        the sample's pixels next to it.
    source_fraction
        6Li/(6Li+7Li) of the source.
    background_fraction
        6Li/(6Li+7Li) of the sample before the exchange.
    surface_exchange
        Exchange coefficient of the source face in m/s; None = the face holds
        the source fraction from the first moment.

    Raises
    ------
    ValueError
        If a fraction is outside [0, 1], both are equal, no stage has the
        source, the edge is unknown, or stages differ in temperature (one D and
        one k cannot describe two temperatures).
    """

    stages: Sequence[Stage]
    source: Edge | NDArray[np.bool_] = "left"
    source_fraction: float = 0.95
    background_fraction: float = NATURAL_FRACTION
    surface_exchange: float | None = None

    def __post_init__(self) -> None:
        stages = tuple(self.stages)
        if not any(stage.source for stage in stages):
            raise ValueError("no stage has the source: no 6Li ever entered the sample")
        temperatures = {stage.temperature for stage in stages}
        if len(temperatures) > 1:
            listed = ", ".join(f"{t:g}" for t in sorted(temperatures))
            raise ValueError(
                f"stages at different temperatures ({listed} K) have different D and k; "
                "give stages of one temperature, with durations scaled to it"
            )
        for name in ("source_fraction", "background_fraction"):
            value = getattr(self, name)
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")
        if self.source_fraction == self.background_fraction:
            raise ValueError("source and background have the same fraction: nothing to see")
        if self.surface_exchange is not None and not self.surface_exchange > 0:
            raise ValueError(f"surface_exchange must be positive m/s, got {self.surface_exchange}")
        if isinstance(self.source, str):
            if self.source not in EDGES:
                raise ValueError(f"source edge must be one of {EDGES}, got {self.source!r}")
        elif not np.asarray(self.source).any():
            raise ValueError("the source mask selects no pixel")
        object.__setattr__(self, "stages", stages)

    @property
    def temperature(self) -> float:
        """Temperature of the stages in K."""
        return self.stages[0].temperature

    @property
    def duration(self) -> float:
        """Length of all stages together in s."""
        return float(sum(stage.duration for stage in self.stages))

    def describe(self) -> dict[str, Any]:
        """JSON-able copy for provenance."""
        mask = not isinstance(self.source, str)
        return {
            "stages": [vars(stage).copy() for stage in self.stages],
            "source": f"mask of {int(np.asarray(self.source).sum())} pixels"
            if mask
            else self.source,
            "source_fraction": self.source_fraction,
            "background_fraction": self.background_fraction,
            "surface_exchange": self.surface_exchange,
        }
