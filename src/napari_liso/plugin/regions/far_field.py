"""The fraction far from the source, measured in a region: kept with its counts for the fit."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_liso.counting.measured import Measured

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["FAR_FIELD", "far_field_of", "give_far_field"]

#: In the metadata of the tracer's layer.
FAR_FIELD = "napari_liso_far_field"


def far_field_of(layer: Layer | None) -> Measured | None:
    """Return the background fraction that was measured on a layer of counts, or None."""
    record = None if layer is None else layer.metadata.get(FAR_FIELD)
    return None if record is None else Measured(**record)


def give_far_field(layer: Layer, measured: Measured | None) -> None:
    """Keep a measured background fraction with a layer of counts; None forgets it."""
    kept = {key: value for key, value in layer.metadata.items() if key != FAR_FIELD}
    if measured is not None:
        kept[FAR_FIELD] = measured.describe()
    layer.metadata = kept
