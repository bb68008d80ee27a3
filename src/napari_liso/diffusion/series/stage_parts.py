"""The linear algebra of one stage in the Laplace domain."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_liso.diffusion.series.chain import LaidStage
from napari_liso.diffusion.series.layer_shapes import Shapes

__all__ = ["Layers", "Nodes", "Tridiagonal"]

FloatArray = NDArray[np.float64]
ComplexArray = NDArray[np.complex128]
IntArray = NDArray[np.intp]


@dataclass(eq=False)
class Nodes:
    """What the nodes of one stage left: face fluxes with the weights of the inverse.

    `flux` is (fits, nodes, faces), `jump` what its layers answer to it at the faces
    (`Layers.jump`); the slopes have the parameters last.
    """

    stage: LaidStage
    shapes: Shapes
    flux: ComplexArray
    jump: ComplexArray | None = None
    flux_slope: ComplexArray | None = None
    jump_slope: ComplexArray | None = None

    def scale(self, by: ComplexArray) -> None:
        """Multiply what each node left with a number of its own."""
        for name in ("flux", "jump", "flux_slope", "jump_slope"):
            value = getattr(self, name)
            if value is not None:
                setattr(self, name, value * by.reshape(-1, *[1] * (value.ndim - 2)))


@dataclass(frozen=True, eq=False)
class Layers:
    """What layers answer at their faces at the nodes of a stage, all (fits, nodes, layers)."""

    near: ComplexArray
    far: ComplexArray
    near_slope: ComplexArray | None = None
    far_slope: ComplexArray | None = None

    @classmethod
    def of(cls, stage: LaidStage, shapes: Shapes, slopes: bool) -> Layers:
        """Answers of the layers at a stage's nodes, with derivatives by 1/D if asked for."""
        near, far = shapes.near * stage.over_sl, shapes.far * stage.over_sl
        if not slopes:
            return cls(near, far)
        by_near, by_far = shapes.face_slopes()
        return cls(near, far, by_near * stage.by_w, by_far * stage.by_w)

    def jump(self, flux: ComplexArray) -> ComplexArray:
        """Right minus left fraction of every face, from fluxes (fits, nodes, faces[, ...])."""
        near, far = self.near, self.far
        if flux.ndim == 4:
            near, far = near[..., None], far[..., None]
        result = near * flux
        result[:, :, 1:] += near[:, :, :-1] * flux[:, :, 1:] - far[:, :, :-1] * flux[:, :, :-1]
        result[:, :, :-1] -= far[:, :, :-1] * flux[:, :, 1:]
        return result

    def jump_by_layers(self, flux: ComplexArray, group: IntArray, columns: int) -> ComplexArray:
        """Derivative of `jump` by the 1/D of the layers, the fluxes held."""
        assert self.near_slope is not None
        assert self.far_slope is not None
        near, far = self.near_slope, self.far_slope
        result = np.zeros((*flux.shape, columns), dtype=complex)
        at_left = near * flux
        at_left[:, :, :-1] -= far[:, :, :-1] * flux[:, :, 1:]
        at_right = near[:, :, :-1] * flux[:, :, 1:] - far[:, :, :-1] * flux[:, :, :-1]
        for layer, column in enumerate(group):
            result[:, :, layer, column] += at_left[:, :, layer]
            if layer + 1 < group.size:
                result[:, :, layer + 1, column] += at_right[:, :, layer]
        return result


@dataclass(frozen=True, eq=False)
class Tridiagonal:
    """The eliminated system of the face fluxes; arrays (fits, nodes, faces)."""

    lower: ComplexArray
    ratio: ComplexArray
    inverse: ComplexArray

    @classmethod
    def of(cls, layers: Layers, resistance: FloatArray, source: bool) -> Tridiagonal:
        """Eliminate; without source the flux through its face is the right side."""
        diagonal = layers.near + resistance[:, None, :]
        diagonal[:, :, 1:] += layers.near[:, :, :-1]
        lower = upper = -layers.far
        if not source:
            diagonal[:, :, 0] = 1.0
            upper = lower.copy()
            upper[:, :, 0] = 0.0
        inverse, ratio = np.empty_like(diagonal), np.empty_like(diagonal)
        inverse[:, :, 0] = 1.0 / diagonal[:, :, 0]
        ratio[:, :, 0] = upper[:, :, 0] * inverse[:, :, 0]
        for face in range(1, diagonal.shape[2]):
            before = lower[:, :, face - 1]
            inverse[:, :, face] = 1.0 / (diagonal[:, :, face] - before * ratio[:, :, face - 1])
            ratio[:, :, face] = upper[:, :, face] * inverse[:, :, face]
        return cls(lower, ratio, inverse)

    def solve(self, right: ComplexArray) -> ComplexArray:
        """Fluxes for right sides (fits, nodes, faces[, columns])."""
        lower, ratio, inverse = self.lower, self.ratio, self.inverse
        if right.ndim == 4:
            lower, ratio, inverse = lower[..., None], ratio[..., None], inverse[..., None]
        result = np.empty(right.shape, dtype=complex)
        result[:, :, 0] = right[:, :, 0] * inverse[:, :, 0]
        faces = right.shape[2]
        for face in range(1, faces):
            moved = right[:, :, face] - lower[:, :, face - 1] * result[:, :, face - 1]
            result[:, :, face] = moved * inverse[:, :, face]
        for face in range(faces - 2, -1, -1):
            result[:, :, face] -= ratio[:, :, face] * result[:, :, face + 1]
        return result
