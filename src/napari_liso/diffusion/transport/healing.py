"""Which boundary to fix first: what the resistance of a map loses when boundaries are healed."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.diffusion.results import DiffusionFit, Estimate
from napari_liso.diffusion.transport.draws import CoefficientDraws
from napari_liso.diffusion.transport.network import Direction
from napari_liso.diffusion.transport.prediction import (
    SECTION_NOTE,
    Prepared,
    Progress,
    prepare,
)
from napari_liso.diffusion.transport.propagation import quantile_estimate
from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["Healing", "heal_boundaries"]

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

#: A boundary that gains at least as much as the best in more of the draws than this
#: cannot be told from it.
_TIED = 0.05


@dataclass(frozen=True, eq=False)
class Healing:
    """What the effective resistance loses when boundaries are healed (k = infinity).

    Parameters
    ----------
    direction
        ``"x"`` or ``"y"``.
    candidates
        One row a boundary, index = its id, best first: ``gain``, the share of the
        effective resistance that goes if it alone is healed, with ``gain_lower`` and
        ``gain_upper`` (95 %); ``share``, what its barrier takes of the resistance now
        (never more than the gain, since the flow finds its way back to a healed
        boundary); ``rank_lower`` and ``rank_upper`` (95 %; 1 is the best);
        ``first``, in how many of the draws it is the best; ``brick_layer_gain``, if
        lithium went straight on.
    tied
        Ids that may be the best, the best first: alone if it can be told.
    curve
        Row n: after the first n steps. ``id`` of the boundary healed in step n (0 in the
        first row); effective ``resistance`` in terms of that of row 0 with
        ``resistance_lower`` and ``resistance_upper`` (95 %, this order kept);
        ``diffusivity``, m2/s, with its interval; ``brick_layer``, the resistance if
        lithium went straight on.
    all_healed
        Resistance with no barrier left, in terms of row 0: the curve ends there.
    model_error
        Largest relative difference of the reduced network from all pixels along the
        curve. The curve is corrected by it, the gains are not.
    statement
        In plain words.
    warnings
        In plain words.
    """

    direction: Direction
    candidates: pd.DataFrame
    tied: tuple[int, ...]
    curve: pd.DataFrame
    all_healed: Estimate
    model_error: float
    statement: str
    warnings: tuple[str, ...]


def heal_boundaries(
    source: DiffusionFit | CoefficientDraws,
    boundaries: Boundaries,
    direction: Direction = "x",
    *,
    most: int = 10,
    draws: int = 100,
    seed: int = 0,
    progress: Progress | None = None,
) -> Healing:
    """Heal the boundaries one by one, each time the one that gains most.

    The order is that at the medians of the coefficients (greedy: the best next one, not
    the best set). It need not be that of the gains alone: a healed boundary draws the flow
    to what lies behind it. The effective resistance is L / D_eff of the network of the map, see
    `predict_network`; the gain of a single boundary is exact, not its share.

    Parameters
    ----------
    source
        A fit, or draws of coefficients.
    boundaries
        What was fitted: the result of `find_boundaries`.
    direction
        ``"x"``: from the left edge to the right; ``"y"``: from top to bottom.
    most
        Steps, fewer where there are fewer boundaries.
    draws, seed
        Number of draws from a fit, and what they are drawn with.
    progress
        Called as progress(done from 0 to 1, what is being done); may raise to abort.

    Raises
    ------
    ValueError
        If there is no boundary, if the boundaries are not those of the fit, or if the map
        cannot be crossed.

    Notes
    -----
    A map's network is two-dimensional: in a pellet the lithium also goes around through
    grains above and below. There the gain of a boundary is smaller, and the order of
    boundaries that lie alike may be another.
    """
    report = progress or (lambda done, message: None)
    report(0.0, "Building the network")
    if most < 1:
        raise ValueError(f"most must be at least 1, got {most}")
    made = prepare(source, boundaries, direction, draws, seed)
    if made.network.boundaries == 0:
        raise ValueError("there is no boundary to heal: the map is a single grain")
    order, first = _greedy(made, most, report)
    gains, resistance, shares = _gains(made, report)
    candidates = _candidates(made, first, gains, shares)
    tied = _tied(made, candidates, gains)
    curve, all_healed, error = _curve(made, order, resistance, report)
    report(1.0, "Done")
    return Healing(
        direction=direction,
        candidates=candidates,
        tied=tied,
        curve=curve,
        all_healed=all_healed,
        model_error=error,
        statement=_statement(made, candidates, tied),
        warnings=(SECTION_NOTE, *made.draws.notes),
    )


def _greedy(made: Prepared, most: int, report: Progress) -> tuple[IntArray, FloatArray]:
    """Rows in the order of healing, and the gain of each alone, all at the medians."""
    k, d = made.draws.centre
    k = k.copy()
    order: list[int] = []
    alone = np.empty(0)
    steps = min(most, k.size)
    for step in range(steps):
        report(0.1 + 0.2 * step / steps, "Healing boundaries")
        now, healed = made.reduced.healed_one_by_one(k, d)
        healed[order] = -np.inf
        best = int(np.argmax(healed))
        if step == 0:
            alone = 1.0 - now.conductance / healed
        order.append(best)
        k[best] = np.inf
    return np.array(order), alone


def _gains(made: Prepared, report: Progress) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Gain (boundaries, draws), conductance (draws,), share (boundaries, draws)."""
    k, d = made.draws.permeability, made.draws.diffusivity
    gains, shares, conductance = np.empty(k.shape), np.empty(k.shape), np.empty(d.size)
    for i in range(d.size):
        report(0.3 + 0.5 * i / d.size, "Healing each boundary alone")
        now, healed = made.reduced.healed_one_by_one(k[:, i], float(d[i]))
        gains[:, i] = 1.0 - now.conductance / healed
        shares[:, i], conductance[i] = now.share, now.conductance
    return gains, conductance, shares


def _candidates(
    made: Prepared, first: FloatArray, gains: FloatArray, shares: FloatArray
) -> pd.DataFrame:
    ranks = np.argsort(np.argsort(-gains, axis=0, kind="stable"), axis=0, kind="stable") + 1
    low, high = np.quantile(gains, (0.025, 0.975), axis=0 + 1)
    best, worst = np.quantile(ranks, (0.025, 0.975), axis=1)
    k, d = made.draws.centre
    network = made.network
    brick = network.crossings / k * network.straight(k, d) / network.length
    table = pd.DataFrame(
        {
            "gain": first,
            "gain_lower": low,
            "gain_upper": high,
            "share": np.median(shares, axis=1),
            "rank_lower": np.floor(best).astype(np.int64),
            "rank_upper": np.ceil(worst).astype(np.int64),
            "first": (ranks == 1).mean(axis=1),
            "brick_layer_gain": brick,
        },
        index=pd.Index(network.ids, name="id"),
    )
    return table.sort_values("gain", ascending=False, kind="stable")


def _tied(made: Prepared, candidates: pd.DataFrame, gains: FloatArray) -> tuple[int, ...]:
    row = np.searchsorted(made.network.ids, candidates.index.to_numpy())
    ahead = (gains >= gains[row[0]]).mean(axis=1)[row]
    return tuple(int(i) for i in candidates.index[ahead > _TIED])


def _curve(
    made: Prepared, order: IntArray, conductance: FloatArray, report: Progress
) -> tuple[pd.DataFrame, Estimate, float]:
    """The curve, what is left at its far end, and the largest error of the shapes.

    Every step is solved on all pixels at the medians: grains that no barrier parts any
    more conduct through constrictions that the shapes do not resolve. The draws are
    corrected by the ratio there.
    """
    draws, network = made.draws, made.network
    k, d = draws.permeability.copy(), draws.diffusivity
    centre, middle_d = draws.centre
    centre = centre.copy()
    straight = network.straight(centre, middle_d)
    rows, errors = [], []
    for step in range(order.size + 1):
        report(0.8 + 0.15 * step / (order.size + 1), "Drawing the curve")
        if step:
            k[order[step - 1]] = np.inf
            centre[order[step - 1]] = np.inf
        full = network.solve_full(centre, middle_d) if step else made.full
        scale = full.conductance / made.reduced.solve(centre, middle_d).conductance
        errors.append(abs(1.0 / scale - 1.0))
        flow = scale * np.array(
            [made.reduced.solve(k[:, i], float(d[i])).conductance for i in range(d.size)]
        )
        left = quantile_estimate(made.scale * conductance / flow, draws.trusted)
        reached = quantile_estimate(network.effective(1.0) * flow, draws.trusted)
        rows.append(
            {
                "id": int(network.ids[order[step - 1]]) if step else 0,
                "resistance": made.full.conductance / full.conductance,
                "resistance_lower": left.lower,
                "resistance_upper": left.upper,
                "diffusivity": network.effective(full.conductance),
                "diffusivity_lower": reached.lower,
                "diffusivity_upper": reached.upper,
                "brick_layer": straight / network.straight(centre, middle_d),
            }
        )
    free = network.solve_full(np.full(k.shape[0], np.inf), 1.0).conductance
    all_healed = quantile_estimate(made.scale * conductance / (free * d), draws.trusted)
    return pd.DataFrame(rows), all_healed, max(errors)


def _statement(made: Prepared, candidates: pd.DataFrame, tied: tuple[int, ...]) -> str:
    best = candidates.iloc[0]
    gain = (
        f"the effective resistance along {made.network.direction} falls by {best['gain']:.1%} "
        f"({best['gain_lower']:.1%} to {best['gain_upper']:.1%})"
    )
    number = int(candidates.index[0])
    if not made.draws.trusted:
        return "The fit gives no verdict: which boundary to fix first cannot be said."
    if len(tied) == 1:
        return f"Fix boundary {number} first: {gain} if it has no resistance any more."
    others = ", ".join(str(i) for i in tied[1:6])
    more = f" and {len(tied) - 6} more" if len(tied) > 6 else ""
    return (
        f"Which boundary to fix first cannot be told: {number} looks best ({gain}), but "
        f"{others}{more} may gain as much."
    )
