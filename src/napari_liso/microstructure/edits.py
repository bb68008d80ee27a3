"""What an edit of a label image is: pixels and their new labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.microstructure.pieces import Box

__all__ = ["LARGEST_LABEL", "Collector", "PixelEdit", "check_grains", "flat_pixels"]

Labels = NDArray[np.integer[Any]]
Pixels = NDArray[np.int64]

LARGEST_LABEL = int(np.iinfo(np.int32).max)


@dataclass(frozen=True, eq=False)
class PixelEdit:
    """Pixels of a label image that change, and their new labels.

    Parameters
    ----------
    pixels
        Flat indices into the (y, x) label image, sorted, each one once.
    labels
        Their new labels.
    """

    pixels: Pixels
    labels: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.pixels)

    def applied_to(self, grains: Labels) -> Labels:
        """Return a copy of the label image with the edit."""
        edited = np.array(grains, order="C")
        edited.ravel()[self.pixels] = self.labels
        return edited


class Collector:
    """Gathers the pixels of an edit."""

    def __init__(self, labels: Labels) -> None:
        self._labels = labels
        self._pixels: list[Pixels] = []
        self._values: list[NDArray[np.int32]] = []
        self._top: int | None = None

    def __bool__(self) -> bool:
        return bool(self._pixels)

    def put(self, pixels: Pixels, label: int | NDArray[np.integer[Any]]) -> None:
        """Give flat pixels a label; later ones win."""
        self._pixels.append(pixels)
        self._values.append(np.broadcast_to(label, pixels.shape).astype(np.int32))

    def put_window(self, box: Box, mask: NDArray[np.bool_], label: int) -> None:
        """Give the pixels of a mask in a window a label."""
        self.put(flat_pixels(box, mask, self._labels.shape), label)

    def put_parts(self, box: Box, parts: NDArray[np.int32]) -> None:
        """Give parts 2, 3, ... in a window new labels, part -1 the label 0."""
        for part in range(2, int(parts.max()) + 1):
            self.put_window(box, parts == part, self._new_label())
        if (parts < 0).any():
            self.put_window(box, parts < 0, 0)

    def _new_label(self) -> int:
        self._top = int(self._labels.max()) if self._top is None else self._top
        self._top += 1
        kind = self._labels.dtype
        if self._top > min(np.iinfo(kind).max, LARGEST_LABEL):
            raise ValueError(
                f"no label is left for a new grain: {self._top - 1} is the largest that the "
                f"grains layer ({kind}) can hold; number the grains anew or convert it to int32"
            )
        return self._top

    def done(self) -> PixelEdit:
        """Return the edit, without pixels that keep their label."""
        pixels = np.concatenate([*self._pixels, np.zeros(0, dtype=np.int64)])
        values = np.concatenate([*self._values, np.zeros(0, dtype=np.int32)])
        # The last of equal ones is the first in reverse.
        pixels, first = np.unique(pixels[::-1], return_index=True)
        values = values[::-1][first]
        changed = self._labels.ravel()[pixels] != values
        return PixelEdit(pixels[changed], values[changed])


def check_grains(grains: ArrayLike) -> Labels:
    """Return the label image as it is, or raise ValueError."""
    labels = np.ascontiguousarray(grains)
    if labels.ndim != 2 or labels.dtype.kind not in "iu":
        raise ValueError(
            f"grains must be a (y, x) image of integer labels, got {labels.dtype} of shape "
            f"{labels.shape}"
        )
    return labels


def flat_pixels(box: Box, mask: NDArray[np.bool_], shape: tuple[int, ...]) -> Pixels:
    """Flat indices into the image of a mask in a window."""
    y, x = np.nonzero(mask)
    return (y + box[0].start) * shape[1] + x + box[1].start
