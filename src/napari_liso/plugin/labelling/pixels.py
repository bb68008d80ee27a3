"""The plane of labels in a Labels layer: read it, compare it, write into its history."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from napari.layers import Labels

__all__ = ["changed_box", "make_slice", "plane_of", "write_pixels"]

Box = tuple[slice, slice]


def plane_of(layer: Labels) -> NDArray[Any] | None:
    """Return the (y, x) labels of a layer, a view where possible; None for a stack."""
    data = np.asarray(layer.data)
    if data.ndim < 2 or int(np.prod(data.shape[:-2])) != 1:
        return None
    return data.reshape(data.shape[-2:])


def changed_box(before: NDArray[Any], after: NDArray[Any]) -> Box | None:
    """Return the smallest box outside of which two planes are the same; None if they are.

    Parameters
    ----------
    before, after
        Labels (y, x) of one shape.
    """
    differ = before != after
    rows = np.flatnonzero(differ.any(axis=1))
    if len(rows) == 0:
        return None
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    columns = np.flatnonzero(differ[top:bottom].any(axis=0))
    return slice(top, bottom), slice(int(columns[0]), int(columns[-1]) + 1)


def make_slice(layer: Labels) -> None:
    """Make napari slice a layer that may have been hidden from its first moment.

    Single pixels can only be written into a slice that was made once.
    """
    if not layer.visible:
        layer.visible = True
        layer.refresh()
        layer.visible = False


def write_pixels(layer: Labels, pixels: NDArray[np.int64], labels: NDArray[Any]) -> None:
    """Write labels into a layer as one step of its own undo history.

    Parameters
    ----------
    layer
        Of one plane.
    pixels
        Flat indices into the (y, x) plane.
    labels
        One for each pixel.
    """
    if len(pixels) == 0:
        return
    make_slice(layer)  # a move of the dims empties that of a hidden layer
    shape = layer.data.shape
    rows, columns = np.divmod(pixels, shape[-1])
    leading = tuple(np.zeros_like(rows) for _ in shape[:-2])
    with layer.block_history():
        layer.data_setitem((*leading, rows, columns), labels.astype(layer.data.dtype))
