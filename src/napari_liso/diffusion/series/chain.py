"""What the series model is given: layers, stages and positions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.series.plan import Period, PlannedStage, plan_stages

__all__ = ["Chain", "LaidStage"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]

#: An open end is a last layer so many times as long as what is looked at.
_OPEN_END = 1e5


@dataclass(frozen=True, eq=False)
class LaidStage:
    """A stage at the layers of a chain: what no parameter changes.

    Parameters
    ----------
    plan
        Nodes of the stage.
    over_sl
        1 / (s L), (nodes, layers).
    by_inverse_d
        s L^2 over the factor on D: times 1/D it is w, (nodes, layers).
    by_w
        L over the factor on D, (layers,).
    factors
        On k of each face, that of the source first, (layers,).
    """

    plan: PlannedStage
    over_sl: ComplexArray
    by_inverse_d: ComplexArray
    by_w: FloatArray
    factors: FloatArray

    @classmethod
    def of(cls, plan: PlannedStage, thickness: FloatArray) -> LaidStage:
        """Work it out."""
        s, period = plan.s[:, None], plan.period
        factors = np.full(thickness.size, period.boundary)
        factors[0] = period.surface
        by_w = thickness / period.bulk
        return cls(plan, 1.0 / (s * thickness), s * thickness * by_w, by_w, factors)


@dataclass(frozen=True, eq=False)
class Chain:
    """Layers, stages, and where the fraction is wanted.

    Parameters
    ----------
    thickness
        Of each layer from the source on, m; the last may be inf.
    periods
        Stages; what happens before the first with a source is nothing.
    positions
        Distances from the source face, m, ascending.
    order
        Of the rational approximation: 8 (error 2.3e-8) or 14 (7.6e-14); afterwards
        the one used, which many similar stages may lower (`plan_stages`).

    `layer` and `place` are the layer of each position, and where in it (0 to 1);
    `slices` are the positions of each layer that has any; `stages` those that matter.
    """

    thickness: FloatArray
    periods: Sequence[Period]
    positions: FloatArray
    order: int = 8
    layer: IntArray = field(init=False, repr=False)
    place: FloatArray = field(init=False, repr=False)
    slices: tuple[tuple[int, slice], ...] = field(init=False, repr=False)
    stages: tuple[LaidStage, ...] = field(init=False, repr=False)
    is_open: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        thickness = np.array(self.thickness, dtype=float)
        starts = np.concatenate([[0.0], np.cumsum(thickness)[:-1]])
        object.__setattr__(self, "is_open", bool(np.isinf(thickness[-1])))
        if self.is_open:
            reach = float(max(self.positions.max(initial=0.0), starts[-1]))
            thickness[-1] = _OPEN_END * (reach if reach > 0 else 1.0)
        layer = np.searchsorted(starts, self.positions, side="right") - 1
        place = np.clip((self.positions - starts[layer]) / thickness[layer], 0.0, 1.0)
        edges = np.searchsorted(layer, np.arange(thickness.size + 1))
        slices = tuple(
            (i, slice(int(a), int(b))) for i, (a, b) in enumerate(pairwise(edges)) if b > a
        )
        object.__setattr__(self, "thickness", thickness)
        object.__setattr__(self, "layer", layer)
        object.__setattr__(self, "place", place)
        object.__setattr__(self, "slices", slices)
        plan, order = plan_stages(self.periods, self.order)
        stages = tuple(LaidStage.of(stage, thickness) for stage in plan)
        object.__setattr__(self, "stages", stages)
        object.__setattr__(self, "order", order)

    @property
    def layers(self) -> int:
        """Number of layers; as many faces: that of the source, then the boundaries."""
        return int(self.thickness.size)

    @property
    def effective_time(self) -> float:
        """Length of all stages that matter, as the grains of the first stage see it, s."""
        periods = [stage.plan.period for stage in self.stages]
        return float(sum(period.duration * period.bulk for period in periods))

    def at(self, positions: FloatArray) -> Chain:
        """The same layers and stages, looked at elsewhere."""
        thickness = self.thickness.copy()
        if self.is_open:
            thickness[-1] = np.inf
        return Chain(thickness, self.periods, positions, self.order)

    def seen(self, reach: float) -> FloatArray:
        """Thickness of the layers, an open end cut at `reach` from the source, m."""
        if not self.is_open:
            return self.thickness
        before = float(self.thickness[:-1].sum())
        result = self.thickness.copy()
        result[-1] = max(reach - before, 1e-3 * reach)
        return result
