"""Grains and boundaries in series: exact in space, and in time to the order of CRAM.

Unknown in the Laplace domain is the flux J through every face: a boundary has
rho J = c_left - c_right with its resistance rho = 1/k, a layer answers to the
fluxes of its two faces (`layer_shapes`), and that is a tridiagonal system a
node. Neither 1/k = 0 nor 1/D = 0 is special. The inverse transform is the
rational approximation of the exponential (`cram`), error 2.3e-8 at order 8.

A later stage starts from what the stages before left: sums of shapes of the
nodes of those stages. The resolvent of such a shape is the shape itself over
(s' - r s), r = D'/D, plus an answer of the layers to fluxes, so the state stays
a set of face fluxes a node, and a list of stages stays exact in space.

Fractions count from 0 (background) to 1 (source).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.series.chain import Chain
from napari_liso.diffusion.series.layer_shapes import Shapes, shapes_of
from napari_liso.diffusion.series.plan import PlannedStage
from napari_liso.diffusion.series.stage_parts import Layers, Nodes, Tridiagonal

__all__ = ["Groups", "respond", "respond_with_slopes"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]


@dataclass(frozen=True, eq=False)
class Groups:
    """Which parameter each layer's 1/D and each face's 1/k is.

    Parameters
    ----------
    layer, face
        Number of the parameter; -1 for none.
    parameters
        Their number.
    """

    layer: IntArray
    face: IntArray
    parameters: int

    @property
    def columns(self) -> int:
        """Columns of derivatives: the last, -1, takes what is no parameter."""
        return self.parameters + 1


def respond(chain: Chain, inverse_d: FloatArray, resistance: FloatArray) -> FloatArray:
    """Fraction at the positions of the chain at the end of all stages.

    Parameters
    ----------
    chain
        Geometry and stages.
    inverse_d
        1/D of each layer in the first stage, s/m2, (fits, layers).
    resistance
        1/k of each face in the first stage, s/m, (fits, layers): the source
        face first (0 = fixed fraction), then the boundaries.

    Returns
    -------
    ndarray
        (fits, positions), from 0 (background) to 1 (source).
    """
    result = np.zeros((inverse_d.shape[0], chain.positions.size))
    for nodes in _run(chain, inverse_d, resistance, None):
        falls, rises = _exponentials(chain, nodes.shapes)
        left, right = nodes.shapes.amplitudes(*_fluxes(chain, nodes.s, nodes.flux))
        for layer, places in chain.slices:
            value = left[:, None, :, layer] @ falls[..., places]
            value += right[:, None, :, layer] @ rises[..., places]
            result[:, places] += value[:, 0].real
    return result


def respond_with_slopes(
    chain: Chain, inverse_d: FloatArray, resistance: FloatArray, groups: Groups
) -> tuple[FloatArray, FloatArray]:
    """Fraction, and its derivatives by the parameters in `groups`.

    Parameters
    ----------
    chain, inverse_d, resistance
        As `respond`.
    groups
        The parameters; one that several layers or faces share moves all of them.

    Returns
    -------
    fraction
        (fits, positions).
    slopes
        (fits, positions, parameters).
    """
    fits = inverse_d.shape[0]
    result = np.zeros((fits, chain.positions.size))
    slopes = np.zeros((fits, chain.positions.size, groups.columns))
    for nodes in _run(chain, inverse_d, resistance, groups):
        assert nodes.flux_slope is not None
        falls, rises = _exponentials(chain, nodes.shapes)
        left, right, drift_left, drift_right = _amplitudes_with_slopes(chain, nodes, groups)
        for layer, places in chain.slices:
            down, up = np.swapaxes(falls[..., places], 1, 2), np.swapaxes(rises[..., places], 1, 2)
            value = (down @ left[:, :, layer] + up @ right[:, :, layer]).real
            result[:, places] += value[..., -1]
            slopes[:, places] += value[..., :-1]
            xi = chain.place[places]
            own = xi * (down @ drift_left[:, :, layer, None]).real[..., 0]
            own += (1.0 - xi) * (up @ drift_right[:, :, layer, None]).real[..., 0]
            slopes[:, places, groups.layer[layer]] += own
    return result, slopes[..., : groups.parameters]


def _amplitudes_with_slopes(
    chain: Chain, nodes: Nodes, groups: Groups
) -> tuple[ComplexArray, ComplexArray, ComplexArray, ComplexArray]:
    """Factors of the two exponentials of each layer, and how they move.

    Returns
    -------
    left, right
        (fits, nodes, layers, columns + 1): derivatives, last the factor itself.
    drift_left, drift_right
        (fits, nodes, layers): derivative by the layer's own 1/D that goes with xi
        and with 1 - xi, since the exponents move too.
    """
    assert nodes.flux_slope is not None
    shapes = nodes.shapes
    fluxes = _fluxes(chain, nodes.s, nodes.flux)
    own = shapes.amplitudes(*fluxes)
    moved = shapes.amplitudes(*_fluxes(chain, nodes.s, nodes.flux_slope))
    by_w = shapes.amplitude_slopes(*fluxes)
    by_inverse_d = nodes.s[:, None] * (chain.thickness**2 / nodes.bulk)
    layers = np.arange(chain.layers)
    result = []
    for value, slope, direct in zip(own, moved, by_w, strict=True):
        slope[:, :, layers, groups.layer] += direct * by_inverse_d
        result.append(np.concatenate([slope, value[..., None]], axis=-1))
    drift = by_inverse_d * (-0.5 / shapes.z)
    return result[0], result[1], own[0] * drift, own[1] * drift


def _exponentials(chain: Chain, shapes: Shapes) -> tuple[ComplexArray, ComplexArray]:
    """exp(-z xi) and exp(-z (1 - xi)) at the positions, (fits, nodes, positions)."""
    z = shapes.z[:, :, chain.layer]
    return np.exp(-chain.place * z), np.exp((chain.place - 1.0) * z)


def _fluxes(
    chain: Chain, s: ComplexArray, flux: ComplexArray
) -> tuple[ComplexArray, ComplexArray]:
    """Flux into every layer and out of it, over s L; none leaves the last."""
    scale = 1.0 / (s[:, None] * chain.thickness)
    if flux.ndim == 4:
        scale = scale[..., None]
    out = np.zeros_like(flux)
    out[:, :, :-1] = flux[:, :, 1:] * scale[:, :-1]
    return flux * scale, out


@dataclass(frozen=True, eq=False)
class _Stage:
    """A stage, ready to be solved."""

    plan: PlannedStage
    factors: FloatArray
    rho: FloatArray
    shapes: Shapes
    layers: Layers
    system: Tridiagonal

    @classmethod
    def of(
        cls,
        chain: Chain,
        plan: PlannedStage,
        inverse_d: FloatArray,
        resistance: FloatArray,
        slopes: bool,
    ) -> _Stage:
        """Set up the layers at the nodes and eliminate."""
        period = plan.period
        factors = np.full(chain.layers, period.boundary)
        factors[0] = period.surface
        # w = s L^2 / D
        scaled = inverse_d * (chain.thickness**2 / period.bulk)
        shapes = shapes_of(plan.s[:, None] * scaled[:, None, :])
        layers = Layers.of(chain, shapes, plan.s, period.bulk, slopes)
        rho = resistance / factors
        system = Tridiagonal.of(layers, rho, period.source)
        return cls(plan, factors, rho, shapes, layers, system)

    def solve(self, history: list[Nodes]) -> tuple[ComplexArray, ComplexArray]:
        """Flux that the layers answer to, and the flux that older shapes carry besides."""
        shape = (self.rho.shape[0], self.plan.s.size, self.rho.shape[1])
        right, passing = np.zeros(shape, dtype=complex), np.zeros(shape, dtype=complex)
        for old, how in zip(history, self.plan.carried, strict=True):
            assert old.jump is not None
            passing += how.ratio * how.seen(old.flux)
            right -= how.seen(old.jump)
        if history:
            right -= self.rho[:, None, :] * passing
        if self.plan.period.source:
            right[:, :, 0] += 1.0 / self.plan.s
        else:
            right[:, :, 0] = -passing[:, :, 0]
        return self.system.solve(right), passing

    def solve_slopes(
        self, history: list[Nodes], flux: ComplexArray, passing: ComplexArray, groups: Groups
    ) -> tuple[ComplexArray, ComplexArray]:
        """Derivatives of the flux, and of what the layers answer to the flux as it is."""
        by_layers = self.layers.jump_by_layers(flux, groups.layer, groups.columns)
        right = -by_layers
        passing_slope = np.zeros_like(right)
        for old, how in zip(history, self.plan.carried, strict=True):
            assert old.flux_slope is not None
            assert old.jump_slope is not None
            passing_slope += how.ratio * how.seen(old.flux_slope)
            right -= how.seen(old.jump_slope)
        if history:
            right -= self.rho[:, None, :, None] * passing_slope
        through = (flux + passing) / self.factors
        for face, column in enumerate(groups.face):
            right[:, :, face, column] -= through[:, :, face]
        if not self.plan.period.source:
            right[:, :, 0] = -passing_slope[:, :, 0]
        return self.system.solve(right), by_layers


def _run(
    chain: Chain, inverse_d: FloatArray, resistance: FloatArray, groups: Groups | None
) -> list[Nodes]:
    """Go through the stages; the nodes that are left make up the final state."""
    history: list[Nodes] = []
    for plan in chain.plan:
        stage = _Stage.of(chain, plan, inverse_d, resistance, groups is not None)
        flux, passing = stage.solve(history)
        # What follows needs what the layers answer; at the end nothing follows.
        more = len(history) + 1 < len(chain.plan)
        made = Nodes(plan.s, plan.period.bulk, stage.shapes, flux)
        if more:
            made.jump = stage.layers.jump(flux)
        if groups is not None:
            made.flux_slope, by_layers = stage.solve_slopes(history, flux, passing, groups)
            if more:
                made.jump_slope = stage.layers.jump(made.flux_slope) + by_layers
        for old, how in zip(history, plan.carried, strict=True):
            old.scale(how.onward)
        made.scale(plan.weight)
        history.append(made)
    return history
