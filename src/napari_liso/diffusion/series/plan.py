"""Nodes of the inverse Laplace transform, stage by stage: all that no parameter changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.series.cram import rational_exponential

__all__ = ["Carried", "Period", "PlannedStage", "plan_stages"]

ComplexArray = NDArray[np.complex128]

#: Tried shifts of a stage's poles; distance from older ones that is enough, and that is needed.
_SHIFTS, _APART, _LEAST_APART = np.arange(0.0, 1.01, 0.05), 0.1, 1e-6
#: Shapes of early nodes may grow so much before others cancel them, since about 1e-15 of
#: it is lost: as much as an approximation of a lower order does not do better.
_LARGEST_GROWTH = {4: 1e11, 6: 2e9}
_GROWTH = 2e7


@dataclass(frozen=True)
class Period:
    """A stage, and how much faster grains, boundaries and surface are than in the first.

    Parameters
    ----------
    duration
        s.
    source
        Whether the source is in contact; else its face is closed.
    bulk, boundary, surface
        Factors on D, k and the exchange coefficient.
    """

    duration: float
    source: bool = True
    bulk: float = 1.0
    boundary: float = 1.0
    surface: float = 1.0


@dataclass(frozen=True, eq=False)
class Carried:
    """How a stage's nodes see the shapes that an earlier stage left.

    Parameters
    ----------
    ratio
        D of the stage over that of the earlier one.
    own, mirrored
        Half the resolvent at the new nodes of an old shape and of its conjugate,
        (nodes, old nodes).
    onward
        What the stage makes of an old shape, (old nodes,).
    """

    ratio: float
    own: ComplexArray
    mirrored: ComplexArray
    onward: ComplexArray

    def seen(self, values: ComplexArray) -> ComplexArray:
        """Old values (fits, old nodes, ...) as the new nodes have them (fits, nodes, ...)."""
        flat = values.reshape(*values.shape[:2], -1)
        seen: ComplexArray = self.own @ flat + self.mirrored @ flat.conj()
        return seen.reshape(values.shape[0], self.own.shape[0], *values.shape[2:])


@dataclass(frozen=True, eq=False)
class PlannedStage:
    """A stage with its nodes.

    Parameters
    ----------
    period
        The stage.
    s, weight
        Laplace variable and weight of each node, (nodes,): the state at the end is
        Re sum weight (s - A)^-1 of that at the start.
    carried
        Of each stage before.
    """

    period: Period
    s: ComplexArray
    weight: ComplexArray
    carried: tuple[Carried, ...]


def plan_stages(periods: Sequence[Period], order: int = 8) -> tuple[tuple[PlannedStage, ...], int]:
    """Choose the nodes of all stages, so that no two stages share one.

    Parameters
    ----------
    periods
        In the order in which they happened.
    order
        Of the rational approximation.

    Returns
    -------
    stages
        Those that matter: equal ones in a row joined, none before the first source.
    order
        The one used. Six and more stages of equal length at one temperature do not
        keep the digits of order 8: 6 (error 2e-6) or 4 (2e-4) then.

    Raises
    ------
    ValueError
        If no stage has a source, or too many are alike even for order 4.
    """
    joined = _joined(periods)
    if not joined:
        raise ValueError("no stage has the source: no 6Li ever entered the sample")
    for lower in (order, *(o for o in (6, 4) if o < order)):
        planned, growth = _plan(joined, lower)
        if growth <= _LARGEST_GROWTH.get(lower, _GROWTH):
            return planned, lower
    raise ValueError(
        f"{len(joined)} stages of such similar length lose too many digits in the series "
        "model; join stages that differ little in temperature"
    )


def _plan(periods: list[Period], order: int) -> tuple[tuple[PlannedStage, ...], float]:
    """Stages with their nodes, and the largest growth; inf where nodes could not be kept apart."""
    planned: list[PlannedStage] = []
    growth: list[ComplexArray] = []
    for period in periods:
        s, weight, apart = _nodes_of(period, planned, order)
        if apart < _LEAST_APART:
            return tuple(planned), np.inf
        carried = tuple(_carry(s, weight, period, old) for old in planned)
        growth = [g * how.onward for g, how in zip(growth, carried, strict=True)]
        growth.append(np.ones_like(s))
        planned.append(PlannedStage(period, s, weight, carried))
    return tuple(planned), max(float(np.abs(g).max()) for g in growth)


def _joined(periods: Sequence[Period]) -> list[Period]:
    """Stages without effect left out, equal ones in a row as one."""
    result: list[Period] = []
    for period in periods:
        if not result and not period.source:
            continue
        factors = (period.source, period.bulk, period.boundary, period.surface)
        if result:
            last = result[-1]
            if factors == (last.source, last.bulk, last.boundary, last.surface):
                result[-1] = Period(last.duration + period.duration, *factors)
                continue
        result.append(period)
    return result


def _nodes_of(
    period: Period, planned: list[PlannedStage], order: int
) -> tuple[ComplexArray, ComplexArray, float]:
    """Nodes, their weights, and how far the poles are from those of older stages."""
    rational = rational_exponential(order)
    speed = period.duration * period.bulk
    old = [stage.s * (speed / stage.period.bulk) for stage in planned]
    chosen, apart = rational, 0.0 if old else np.inf
    for shift in _SHIFTS if old else ():
        trial = rational.shifted(shift)
        distance = min(float(np.abs(trial.poles[:, None] - poles).min()) for poles in old)
        if distance > apart:
            chosen, apart = trial, distance
        if apart > _APART:
            break
    return chosen.poles / period.duration, -chosen.residues / period.duration, apart


def _carry(s: ComplexArray, weight: ComplexArray, period: Period, old: PlannedStage) -> Carried:
    ratio = period.bulk / old.period.bulk
    own = 0.5 / (s[:, None] - ratio * old.s)
    mirrored = 0.5 / (s[:, None] - ratio * old.s.conj())
    onward = weight[:, None] * own + (weight[:, None] * mirrored).conj()
    return Carried(ratio, own, mirrored, onward.sum(axis=0))
