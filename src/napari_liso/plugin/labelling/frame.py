"""From the viewer's coordinates to the pixels of a layer, to the screen, and back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.plugin.selection import camera_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["Grid", "PixelFrame", "ScreenFrame", "is_flat_view"]


@dataclass(frozen=True, eq=False)
class PixelFrame:
    """The last two axes of a layer in the world.

    Parameters
    ----------
    origin
        World (y, x) of the first pixel's centre.
    matrix
        World (y, x) per pixel, (2, 2): columns are the steps along y and x.
    shape
        (y, x) of the layer's plane.
    """

    origin: NDArray[np.float64]
    matrix: NDArray[np.float64]
    shape: tuple[int, int]

    @classmethod
    def of_layer(cls, layer: Layer, shape: tuple[int, int] | None = None) -> PixelFrame:
        """Return the frame of a layer as it lies now; `shape` if it is not that of its data."""
        zero = np.zeros(layer.ndim)
        origin = np.asarray(layer.data_to_world(zero))[-2:]
        steps = []
        for axis in (-2, -1):
            one = zero.copy()
            one[axis] = 1.0
            steps.append(np.asarray(layer.data_to_world(one))[-2:] - origin)
        plane = tuple(layer.data.shape[-2:]) if shape is None else shape
        return cls(origin, np.stack(steps, axis=1), (int(plane[0]), int(plane[1])))

    def to_pixels(self, world: ArrayLike) -> NDArray[np.float64]:
        """Return (..., 2) pixels (y, x), centres at whole numbers, of world positions (..., 2)."""
        away = np.asarray(world, dtype=np.float64) - self.origin
        return away @ np.linalg.inv(self.matrix).T

    def to_world(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Return world positions (..., 2) of pixels (..., 2)."""
        return np.asarray(pixels, dtype=np.float64) @ self.matrix.T + self.origin

    @property
    def pixel(self) -> tuple[float, float]:
        """World length of a pixel along y and x."""
        side = np.linalg.norm(self.matrix, axis=0)
        return float(side[0]), float(side[1])

    def beyond(self, pixel: ArrayLike) -> float:
        """Return how many pixels a point lies outside the plane, 0 inside."""
        at = np.asarray(pixel, dtype=np.float64)
        over = np.maximum(-0.5 - at, at - (np.array(self.shape) - 0.5))
        return float(max(0.0, over.max()))

    def clipped(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Return points moved onto the plane."""
        return np.clip(np.asarray(pixels, dtype=np.float64), 0.0, np.array(self.shape) - 1.0)


@dataclass(frozen=True, eq=False)
class ScreenFrame:
    """Where world positions are on the canvas.

    Made from one mouse event, and good until the window changes its size: the canvas
    need not be known for it, nor which part of a grid of views it was.
    """

    anchor: NDArray[np.float64]
    signs: NDArray[np.float64]

    @classmethod
    def of_event(cls, viewer: ViewerModel, event: Any) -> ScreenFrame:
        """Return the frame in which a mouse event happened."""
        camera = camera_of(viewer)
        axes = tuple(str(axis) for axis in getattr(camera, "orientation", ("down", "right")))
        signs = np.array([-1.0 if "up" in axes[-2] else 1.0, -1.0 if "left" in axes[-1] else 1.0])
        away = np.asarray(event.position, dtype=float)[-2:] - np.asarray(camera.center)[-2:]
        return cls(np.asarray(event.pos, float)[::-1] - signs * away * camera.zoom, signs)

    def to_screen(self, viewer: ViewerModel, world: ArrayLike) -> NDArray[np.float64]:
        """Return (..., 2) canvas positions (y, x) of world positions, with the camera as is."""
        camera = camera_of(viewer)
        away = np.asarray(world, dtype=np.float64) - np.asarray(camera.center)[-2:]
        return self.anchor + self.signs * away * camera.zoom


def is_flat_view(viewer: ViewerModel) -> bool:
    """Tell whether the viewer shows (y, x) planes, as they lie in the layers."""
    dims = viewer.dims
    return dims.ndisplay == 2 and tuple(dims.displayed) == (dims.ndim - 2, dims.ndim - 1)


@dataclass(frozen=True, eq=False)
class Grid:
    """An image and how it lies in the world; may be used in another thread.

    Parameters
    ----------
    data
        (y, x) or (y, x, colour).
    frame
        Of its pixels.
    """

    data: Any
    frame: PixelFrame

    @classmethod
    def of_image(cls, image: Layer) -> Grid:
        """Return the image of a layer of one plane."""
        height, width = image.data.shape[:2]
        return cls(image.data, PixelFrame.of_layer(image, (int(height), int(width))))

    def on(self, frame: PixelFrame) -> NDArray[np.float32]:
        """Return the image as it lies under the pixels of a frame.

        Parameters
        ----------
        frame
            Of the pixels wanted.

        Returns
        -------
        ndarray
            (y, x) of the frame's shape, grey; NaN where the image does not reach.
        """
        from scipy import ndimage

        data = np.asarray(self.data)
        grey = (data[..., :3].mean(axis=-1) if data.ndim == 3 else data).astype(np.float32)
        back = np.linalg.inv(self.frame.matrix)
        matrix = back @ frame.matrix
        offset = back @ (frame.origin - self.frame.origin)
        same = grey.shape == frame.shape and np.allclose(matrix, np.eye(2), atol=1e-6)
        if same and np.allclose(offset, 0.0, atol=1e-3):
            return grey
        fine = float(np.sqrt(abs(np.linalg.det(matrix))))
        if fine > 1.5:  # several pixels of the image under one of the map
            grey = ndimage.gaussian_filter(np.nan_to_num(grey), fine / 2)
        out: NDArray[np.float32] = ndimage.affine_transform(
            grey, matrix, offset, output_shape=frame.shape, order=1, cval=np.nan
        )
        return out
