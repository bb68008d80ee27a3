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

from napari_liso.diffusion.series.chain import Chain, LaidStage
from napari_liso.diffusion.series.layer_shapes import Shapes, shapes_of
from napari_liso.diffusion.series.stage_parts import Layers, Nodes, Tridiagonal

__all__ = ["Groups", "respond", "respond_with_slopes"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]


#: Layers beyond this many decay lengths underflow in a division.
_THICK = 600.0


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
        both = nodes.shapes.amplitudes(*_fluxes(nodes.stage, nodes.flux))
        factors = np.concatenate(both, axis=1)
        shapes = _exponentials(chain, nodes.shapes)
        for layer, places in chain.slices:
            value = factors[:, None, :, layer] @ shapes[:, :, places]
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
        (fits, parameters, positions).
    """
    fits, last = inverse_d.shape[0], groups.columns
    # below the slopes a row for the fraction itself
    result = np.zeros((fits, last + 1, chain.positions.size))
    for nodes in _run(chain, inverse_d, resistance, groups):
        factors = _factors_with_slopes(nodes, groups)
        shapes = _exponentials(chain, nodes.shapes)
        for layer, places in chain.slices:
            value = (factors[:, layer] @ shapes[:, :, places]).real
            result[:, :, places] += value[:, :-2]
            xi = chain.place[places]
            drift = xi * value[:, -2] + (1.0 - xi) * value[:, -1]
            result[:, groups.layer[layer], places] += drift
    return result[:, last], result[:, : groups.parameters]


def _factors_with_slopes(nodes: Nodes, groups: Groups) -> ComplexArray:
    """Factors of the exponentials of each layer.

    Returns
    -------
    ndarray
        (fits, layers, rows, 2 nodes): a row for each column of derivatives, one for the
        fraction, and two for what moves with the layer's own 1/D because the
        exponents do: one goes with xi, the other with 1 - xi.
    """
    assert nodes.flux_slope is not None
    shapes, by_inverse_d = nodes.shapes, nodes.stage.by_inverse_d
    fluxes = _fluxes(nodes.stage, nodes.flux)
    own = shapes.amplitudes(*fluxes)
    moved = shapes.amplitudes(*_fluxes(nodes.stage, nodes.flux_slope))
    by_w = shapes.amplitude_slopes(*fluxes)
    drift = by_inverse_d * (-0.5 / shapes.z)
    layers, last = np.arange(groups.layer.size), groups.columns
    fits, number = own[0].shape[:2]
    result = np.zeros((fits, layers.size, last + 3, 2 * number), dtype=complex)
    for side in (0, 1):
        half = result[..., side * number : (side + 1) * number]
        half[:, :, :last] = moved[side].transpose(0, 2, 3, 1)
        half[:, layers, groups.layer] += (by_w[side] * by_inverse_d).transpose(0, 2, 1)
        half[:, :, last] = own[side].transpose(0, 2, 1)
        half[:, :, last + 1 + side] = (own[side] * drift).transpose(0, 2, 1)
    return result


def _exponentials(chain: Chain, shapes: Shapes) -> ComplexArray:
    """exp(-z xi), then exp(-z (1 - xi)), at the positions: (fits, 2 nodes, positions)."""
    z = shapes.z[:, :, chain.layer]
    number = z.shape[1]
    result = np.empty((z.shape[0], 2 * number, z.shape[2]), dtype=complex)
    falls, rises = result[:, :number], result[:, number:]
    np.multiply(z, -chain.place, out=falls)
    np.exp(falls, out=falls)
    if shapes.z.real.max() < _THICK:
        # a division takes a fifth of the time of an exponential
        np.divide(shapes.decay[:, :, chain.layer], falls, out=rises)
    else:
        np.exp((chain.place - 1.0) * z, out=rises)
    return result


def _fluxes(stage: LaidStage, flux: ComplexArray) -> tuple[ComplexArray, ComplexArray]:
    """Flux into every layer and out of it, over s L; none leaves the last."""
    scale = stage.over_sl if flux.ndim == 3 else stage.over_sl[..., None]
    out = np.zeros_like(flux)
    np.multiply(flux[:, :, 1:], scale[:, :-1], out=out[:, :, :-1])
    return flux * scale, out


@dataclass(frozen=True, eq=False)
class _Stage:
    """A stage, ready to be solved."""

    laid: LaidStage
    rho: FloatArray
    shapes: Shapes
    layers: Layers
    system: Tridiagonal

    @classmethod
    def of(
        cls, laid: LaidStage, inverse_d: FloatArray, resistance: FloatArray, slopes: bool
    ) -> _Stage:
        """Set up the layers at the nodes and eliminate."""
        shapes = shapes_of(laid.by_inverse_d * inverse_d[:, None, :])
        layers = Layers.of(laid, shapes, slopes)
        rho = resistance / laid.factors
        system = Tridiagonal.of(layers, rho, laid.plan.period.source)
        return cls(laid, rho, shapes, layers, system)

    def solve(self, history: list[Nodes]) -> tuple[ComplexArray, ComplexArray]:
        """Flux that the layers answer to, and the flux that older shapes carry besides."""
        shape = (self.rho.shape[0], self.laid.plan.s.size, self.rho.shape[1])
        right, passing = np.zeros(shape, dtype=complex), np.zeros(shape, dtype=complex)
        for old, how in zip(history, self.laid.plan.carried, strict=True):
            assert old.jump is not None
            passing += how.ratio * how.seen(old.flux)
            right -= how.seen(old.jump)
        if history:
            right -= self.rho[:, None, :] * passing
        if self.laid.plan.period.source:
            right[:, :, 0] += 1.0 / self.laid.plan.s
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
        for old, how in zip(history, self.laid.plan.carried, strict=True):
            assert old.flux_slope is not None
            assert old.jump_slope is not None
            passing_slope += how.ratio * how.seen(old.flux_slope)
            right -= how.seen(old.jump_slope)
        if history:
            right -= self.rho[:, None, :, None] * passing_slope
        through = (flux + passing) / self.laid.factors
        for face, column in enumerate(groups.face):
            right[:, :, face, column] -= through[:, :, face]
        if not self.laid.plan.period.source:
            right[:, :, 0] = -passing_slope[:, :, 0]
        return self.system.solve(right), by_layers


def _run(
    chain: Chain, inverse_d: FloatArray, resistance: FloatArray, groups: Groups | None
) -> list[Nodes]:
    """Go through the stages; the nodes that are left make up the final state."""
    history: list[Nodes] = []
    for laid in chain.stages:
        stage = _Stage.of(laid, inverse_d, resistance, groups is not None)
        flux, passing = stage.solve(history)
        # What follows needs what the layers answer; at the end nothing follows.
        more = len(history) + 1 < len(chain.stages)
        made = Nodes(laid, stage.shapes, flux)
        if more:
            made.jump = stage.layers.jump(flux)
        if groups is not None:
            made.flux_slope, by_layers = stage.solve_slopes(history, flux, passing, groups)
            if more:
                made.jump_slope = stage.layers.jump(made.flux_slope) + by_layers
        for old, how in zip(history, laid.plan.carried, strict=True):
            old.scale(how.onward)
        made.scale(laid.plan.weight)
        history.append(made)
    return history
