"""Effective diffusivity and conductivity of a mapped microstructure from its coefficients."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.diffusion.conductivity import nernst_einstein
from napari_liso.diffusion.intervals import judge
from napari_liso.diffusion.results import DiffusionFit, Estimate
from napari_liso.diffusion.transport.draws import CoefficientDraws
from napari_liso.diffusion.transport.network import (
    Direction,
    Flow,
    Network,
    build_network,
)
from napari_liso.diffusion.transport.propagation import (
    Quantity,
    as_estimate,
    drawn,
    quantile_estimate,
)
from napari_liso.diffusion.transport.reduced_network import ReducedNetwork, reduce_network
from napari_liso.microstructure.boundaries import Boundaries

__all__ = [
    "SECTION_NOTE",
    "Conduction",
    "NetworkPrediction",
    "Prepared",
    "predict_network",
    "prepare",
]

FloatArray = NDArray[np.float64]
Progress = Callable[[float, str], None]

#: Said with every number that comes from a map's network.
SECTION_NOTE = (
    "This is the network of the map, taken as columnar. In a pellet lithium also goes around "
    "through grains above and below: there the effective diffusivity is higher, and which "
    "boundary matters most may differ."
)
#: D that stands for infinity, in terms of the largest k times the length of the map.
_NO_RESISTANCE = 1e4


@dataclass(frozen=True)
class Conduction:
    """What turns exchange of isotopes into conductivity.

    Parameters
    ----------
    temperature
        K.
    lithium_density
        Of the mobile lithium, 1/m3.
    haven_ratio
        Of the grains.
    haven_ratio_boundary
        Of the boundaries; None: that of the grains (draw by draw the same).
    """

    temperature: Quantity
    lithium_density: Quantity
    haven_ratio: Quantity = 1.0
    haven_ratio_boundary: Quantity | None = None

    def draw(self, number: int, rng: np.random.Generator) -> tuple[FloatArray, ...]:
        """Draws of sigma / D for H = 1, of H of the grains, and of H of the boundaries."""
        t, n, bulk = (
            drawn(as_estimate(getattr(self, name), name), rng.standard_normal(number))
            for name in ("temperature", "lithium_density", "haven_ratio")
        )
        boundary = bulk
        if self.haven_ratio_boundary is not None:
            given = as_estimate(self.haven_ratio_boundary, "haven_ratio_boundary")
            boundary = drawn(given, rng.standard_normal(number))
        return nernst_einstein(1.0, 1.0, 1.0) * n / t, bulk, boundary

    def describe(self) -> dict[str, Any]:
        """Return the intervals of all that was assumed, JSON-able."""
        boundary = self.haven_ratio_boundary
        given = {
            "temperature_K": self.temperature,
            "lithium_density_per_m3": self.lithium_density,
            "haven_ratio": self.haven_ratio,
            "haven_ratio_boundary": self.haven_ratio if boundary is None else boundary,
        }
        found = {name: as_estimate(quantity, name) for name, quantity in given.items()}
        return {name: [e.value, e.lower, e.upper] for name, e in found.items()}


@dataclass(frozen=True, eq=False)
class NetworkPrediction:
    """What the network of a map lets through.

    Parameters
    ----------
    direction
        ``"x"`` or ``"y"``.
    diffusivity
        Effective (tracer), over the length and full width of the map, pores included, m2/s.
    unaided
        The same if no boundary could lean on the population: those that the data leave
        open are at their limits, all at once. Never narrower.
    brick_layer
        Effective diffusivity if lithium went straight on, crossing every boundary on its
        way: never above `diffusivity` but for the grid. Between the two lie the detours.
    conductivity
        S/m; None where nothing was assumed.
    share_of_grains
        Of the effective resistance, 0 to 1. The rest is in the boundaries.
    table
        One row a boundary, index = its id: ``permeability`` (m/s, median), ``share`` of
        the effective resistance with its 95 % interval ``share_lower``, ``share_upper``,
        and ``brick_layer_share``.
    fraction
        Steady fraction between the two edges at the medians, 1 to 0, (y, x).
    model_error
        Relative difference of the reduced network from all pixels at the medians. All
        results are corrected by it.
    assumptions
        JSON-able: what went into the conductivity, number of draws.
    warnings
        In plain words.
    """

    direction: Direction
    diffusivity: Estimate
    unaided: Estimate
    brick_layer: Estimate
    conductivity: Estimate | None
    share_of_grains: Estimate
    table: pd.DataFrame
    fraction: FloatArray
    model_error: float
    assumptions: dict[str, Any]
    warnings: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Prepared:
    """Coefficients and the network they belong to.

    Parameters
    ----------
    draws
        Of the coefficients.
    network, reduced
        All pixels, and the shapes.
    full
        All pixels solved at the medians of the draws.
    scale
        Conductance of all pixels over that of the shapes, there.
    """

    draws: CoefficientDraws
    network: Network
    reduced: ReducedNetwork
    full: Flow
    scale: float

    def flow(self, permeability: FloatArray, diffusivity: float) -> Flow:
        """Solve the shapes, with the conductance of all pixels."""
        found = self.reduced.solve(permeability, diffusivity)
        return replace(found, conductance=found.conductance * self.scale)

    def effective(self, permeability: FloatArray, diffusivity: float) -> float:
        """Effective diffusivity in m2/s; k of 0 and inf and an infinite D allowed."""
        if np.isinf(diffusivity):
            if self.network.joined(np.isinf(permeability)):
                return np.inf
            finite = permeability[np.isfinite(permeability)]
            diffusivity = _NO_RESISTANCE * float(finite.max()) * self.network.length
        return self.network.effective(self.flow(permeability, diffusivity).conductance)

    def interval(
        self,
        values: FloatArray,
        function: Callable[[FloatArray, float], float],
        permeability: FloatArray,
        diffusivity: FloatArray,
        factor: FloatArray | float = 1.0,
        unaided: bool = False,
    ) -> Estimate:
        """Median and 95 % interval.

        Where no population stands behind them (or `unaided`), boundaries that the data
        leave open count at their limits, all at once.

        Parameters
        ----------
        values
            factor * function of every draw.
        function
            Of (k, D), rising with each: so do all flows (Rayleigh's law).
        permeability, diffusivity
            Draws, (boundaries, draws) and (draws,).
        factor
            On the function, one for all or one a draw.
        unaided
            Take the limits even where the population closes the ends.
        """
        draws = self.draws
        below, above = draws.open_below, draws.open_above
        if draws.leaning and not unaided:
            below = above = np.zeros(below.size, dtype=bool)
        result = quantile_estimate(values, draws.trusted)
        low, high = result.lower, result.upper
        if below.any():
            least = np.where(below[:, None], 0.0, permeability)
            low = min(low, _quantile(factor * _each(function, least, diffusivity), 0.025))
        if above.any() or draws.diffusivity_open:
            most = np.where(above[:, None], np.inf, permeability)
            d = np.full(diffusivity.size, np.inf) if draws.diffusivity_open else diffusivity
            high = max(high, _quantile(factor * _each(function, most, d), 0.975))
        verdict = judge(low, high) if draws.trusted else "unresolved"
        return Estimate(result.value, low, high, verdict)


def _each(
    function: Callable[[FloatArray, float], float], permeability: FloatArray, d: FloatArray
) -> FloatArray:
    return np.array([function(permeability[:, i], float(d[i])) for i in range(d.size)])


def _quantile(values: FloatArray, level: float) -> float:
    """Quantile of numbers of which some may be infinite."""
    method: Literal["lower", "higher"] = "lower" if level < 0.5 else "higher"
    return float(np.quantile(values, level, method=method))


def prepare(
    source: DiffusionFit | CoefficientDraws,
    boundaries: Boundaries,
    direction: Direction,
    number: int,
    seed: int,
) -> Prepared:
    """Build the network of a map and check that the coefficients belong to it.

    Raises
    ------
    ValueError
        If the boundaries are not those of the fit, or no way of grains leads from one
        edge to the other.
    """
    draws = source
    if isinstance(draws, DiffusionFit):
        draws = CoefficientDraws.from_fit(draws, number, seed)
    network = build_network(boundaries, direction)
    if not np.array_equal(network.ids, draws.ids):
        raise ValueError(
            f"the coefficients are of {draws.ids.size} boundaries, the map has "
            f"{network.ids.size} others: give the boundaries that were fitted"
        )
    if not network.joined(np.ones(network.boundaries, dtype=bool)):
        raise ValueError(
            f"no way of grains leads from one edge to the other along {direction}: pores "
            "cut the map in two"
        )
    reduced = reduce_network(network)
    full = network.solve_full(*draws.centre)
    scale = full.conductance / reduced.solve(*draws.centre).conductance
    return Prepared(draws, network, reduced, full, scale)


def predict_network(
    source: DiffusionFit | CoefficientDraws,
    boundaries: Boundaries,
    direction: Direction = "x",
    *,
    conduction: Conduction | None = None,
    draws: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> NetworkPrediction:
    """Predict the effective diffusivity of a map from its fitted coefficients.

    The steady flow from one edge of the map to the opposite one, the other two closed,
    on the pixels and with the conductances of the fit. All draws of the coefficients are
    run on the reduced network. A boundary of which the data leave an end open leans on
    the population, as in the fit; where the data do not determine the population either,
    and for D, that end of the result is worked out with the coefficient at its limit
    (k = 0, k or D infinite).

    Parameters
    ----------
    source
        A fit, or draws of coefficients (`CoefficientDraws`).
    boundaries
        What was fitted: the result of `find_boundaries`.
    direction
        ``"x"``: left to right; ``"y"``: top to bottom.
    conduction
        Temperature, lithium density and Haven ratios, for the conductivity.
    draws, seed
        Number of draws from a fit, and what they are drawn with.
    progress
        Called as progress(done from 0 to 1, what is being done); may raise to abort.

    Raises
    ------
    ValueError
        If the boundaries are not those of the fit, or the map cannot be crossed.
    """
    report = progress or (lambda done, message: None)
    report(0.0, "Building the network")
    made = prepare(source, boundaries, direction, draws, seed)
    network, k, d = made.network, made.draws.permeability, made.draws.diffusivity
    flows = []
    for i in range(d.size):
        report(0.2 + 0.5 * i / d.size, "Solving the network")
        flows.append(made.flow(k[:, i], float(d[i])))
    effective = np.array([network.effective(flow.conductance) for flow in flows])
    straight = _each(network.straight, k, d)
    report(0.7, "Finding intervals")
    grains = np.array([flow.share_of_grains for flow in flows])
    found = NetworkPrediction(
        direction=direction,
        diffusivity=made.interval(effective, made.effective, k, d),
        unaided=made.interval(effective, made.effective, k, d, unaided=True),
        brick_layer=made.interval(straight, network.straight, k, d),
        conductivity=None if conduction is None else _conductivity(made, conduction, seed),
        share_of_grains=quantile_estimate(grains, made.draws.trusted),
        table=_shares(made, np.array([flow.share for flow in flows])),
        fraction=network.image(made.full.values),
        model_error=1.0 / made.scale - 1.0,
        assumptions={
            "draws": int(d.size),
            **({} if conduction is None else conduction.describe()),
        },
        warnings=(SECTION_NOTE, *made.draws.notes, *_doubts(made)),
    )
    report(1.0, "Done")
    return found


def _conductivity(made: Prepared, conduction: Conduction, seed: int) -> Estimate:
    """S/m: the network of k/H and D/H, each with its own Haven ratio."""
    k, d = made.draws.permeability, made.draws.diffusivity
    # A stream of its own: the coefficients come from another.
    factor, bulk, boundary = conduction.draw(d.size, np.random.default_rng([seed, 1]))
    k, d = k / boundary, d / bulk
    return made.interval(factor * _each(made.effective, k, d), made.effective, k, d, factor)


def _shares(made: Prepared, shares: FloatArray) -> pd.DataFrame:
    """One row a boundary; shares is (draws, boundaries)."""
    k, d = made.draws.centre
    network = made.network
    low, middle, high = np.quantile(shares, (0.025, 0.5, 0.975), axis=0)
    whole = network.length / network.straight(k, d)
    return pd.DataFrame(
        {
            "permeability": k,
            "share": middle,
            "share_lower": low,
            "share_upper": high,
            "brick_layer_share": network.crossings / k / whole,
        },
        index=pd.Index(network.ids, name="id"),
    )


def _doubts(made: Prepared) -> list[str]:
    """What else a reader must know."""
    draws = made.draws
    found = []
    if draws.diffusivity.size == 1:
        found.append("The coefficients count as exact: the intervals are empty.")
    ends = int((draws.open_below | draws.open_above).sum())
    if ends:
        how = (
            "They lean on the population, which the map determines; `unaided` is without it."
            if draws.leaning
            else "The ends of the effective values allow their limits."
        )
        found.append(f"{ends} of {draws.ids.size} boundaries are only bounded. {how}")
    if not draws.trusted:
        found.append("The fit gives no verdict on any coefficient: none stands here either.")
    return found
