"""Where an image lies: the spatial part of a napari layer, copied and read back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_liso.units import from_um, to_um

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["SPATIAL", "Placement", "has_length_unit", "pixel_size_from_layer", "set_pixel_size"]

AXES = ("y", "x")
SPATIAL = ("scale", "translate", "rotate", "shear", "affine", "units", "axis_labels")


@dataclass(frozen=True)
class Placement:
    """The placement of a (y, x) image, as keyword arguments of a napari layer.

    Attributes
    ----------
    arguments
        ``scale``, ``translate``, ``rotate``, ``shear``, ``affine``, ``units``
        and ``axis_labels``; those that are the identity may be absent.
    """

    arguments: dict[str, Any]

    @classmethod
    def of_pixel_size(cls, pixel_size: tuple[float, float] | None) -> Placement:
        """Place the first pixel at the origin; `pixel_size` (y, x) in m or None if unknown."""
        if pixel_size is None:
            return cls({"scale": (1.0, 1.0), "units": ("pixel", "pixel"), "axis_labels": AXES})
        # rounded where only floating point speaks, so that 0.5 um reads "0.5"
        scale = tuple(float(f"{to_um(v):.12g}") for v in pixel_size)
        return cls({"scale": scale, "units": ("um", "um"), "axis_labels": AXES})

    @classmethod
    def of_layer(cls, layer: Layer) -> Placement:
        """Take the placement of a layer's last two axes."""
        shear = np.asarray(layer.shear, dtype=float)
        if shear.ndim == 2:
            shear = shear[-2:, -2:]
        elif layer.ndim > 2:
            shear = shear[-1:]  # upper triangle, row by row: the last entry is (y, x)
        return cls(
            {
                "scale": tuple(float(v) for v in layer.scale[-2:]),
                "translate": tuple(float(v) for v in layer.translate[-2:]),
                "rotate": np.asarray(layer.rotate, dtype=float)[-2:, -2:],
                "shear": shear,
                "affine": np.asarray(layer.affine.affine_matrix, dtype=float)[-3:, -3:],
                "units": tuple(layer.units[-2:]),
                "axis_labels": AXES if layer.ndim > 2 else tuple(layer.axis_labels),
            }
        )

    def binned(self, factor: int) -> Placement:
        """Return the placement of the same area in pixels `factor` times as wide."""
        if factor == 1:
            return self
        scale = np.asarray(self.arguments["scale"], dtype=float)
        # the centre of the first wide pixel, through rotation and shear
        offset = scale * (factor - 1) / 2
        rotate = np.asarray(self.arguments.get("rotate", np.eye(2)))
        shear = np.eye(2)
        values = np.asarray(self.arguments.get("shear", (0.0,)), dtype=float)
        if values.ndim == 2:
            shear = values
        else:
            shear[0, 1] = values[-1]
        start = np.asarray(self.arguments.get("translate", (0.0, 0.0)), dtype=float)
        moved = {
            "scale": tuple(scale * factor),
            "translate": tuple(start + rotate @ shear @ offset),
        }
        return Placement({**self.arguments, **moved})

    def stacked(self, label: str) -> Placement:
        """Return the placement of a (frame, y, x) stack of such images."""
        arguments = {
            "scale": (1.0, *self.arguments["scale"]),
            "units": ("pixel", *self.arguments["units"]),
            "axis_labels": (label, *self.arguments["axis_labels"]),
        }
        return Placement(arguments)

    def apply(self, layer: Layer) -> None:
        """Move an existing (y, x) layer here."""
        present = Placement.of_layer(layer).arguments
        for name, value in self.arguments.items():
            # each move makes napari lay out and draw the layer anew
            if not _is_same(present[name], value):
                setattr(layer, name, value)


def _is_same(present: Any, value: Any) -> bool:
    """Tell whether a part of a placement is what it is to become."""
    if isinstance(value, tuple):
        return tuple(present) == value
    here, there = np.asarray(present), np.asarray(value)
    return here.shape == there.shape and bool(np.all(here == there))


def has_length_unit(layer: Layer) -> bool:
    """Tell whether the layer's last two axes are measured in a length."""
    return all(unit.is_compatible_with("m") for unit in layer.units[-2:])


def pixel_size_from_layer(layer: Layer) -> tuple[float, float]:
    """Return the (y, x) pixel size of a layer in m, its affine included.

    Raises
    ------
    ValueError
        If the layer's unit is not a length (pixel: the file did not say).
    """
    if not has_length_unit(layer):
        raise ValueError(
            f"the pixel size of '{layer.name}' is not known (its unit is "
            f"{layer.units[-1]}); type it in um under 1 Data"
        )
    metres = np.array([float((1.0 * unit).to("m").magnitude) for unit in layer.units[-2:]])
    origin = np.asarray(layer.data_to_world(np.zeros(layer.ndim)))[-2:]
    sides = []
    for axis in (-2, -1):
        step = np.zeros(layer.ndim)
        step[axis] = 1.0
        corner = np.asarray(layer.data_to_world(step))[-2:]
        side = float(np.linalg.norm((corner - origin) * metres))
        sides.append(float(f"{side:.12g}"))
    return sides[0], sides[1]


def set_pixel_size(layer: Layer, pixel_size_um: float) -> None:
    """Give a layer square pixels of a size in um on its last two axes.

    Raises
    ------
    ValueError
        If the size is not positive.
    """
    if not from_um(pixel_size_um) > 0:
        raise ValueError(f"the pixel size must be a positive number of um, got {pixel_size_um}")
    layer.scale = (*layer.scale[:-2], pixel_size_um, pixel_size_um)
    layer.units = (*layer.units[:-2], "um", "um")
