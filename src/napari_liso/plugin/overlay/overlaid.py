"""An image laid over the map: its `affine`, the record of it, and the way back.

What an image looked like before, and after, is kept in its metadata, so that a dock
that is closed and opened again can still undo.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from napari_liso.plugin.overlay.landmarks import physical, plane_shape, world
from napari_liso.plugin.placement import has_length_unit
from napari_liso.plugin.records import PROVENANCE, provenance, role_of
from napari_liso.registration import Registration

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = [
    "HISTORY",
    "ROLE",
    "adopt",
    "can_redo",
    "can_undo",
    "length_unit",
    "place",
    "place_beside",
    "record_of",
    "redo",
    "take_unit",
    "undo",
]

ROLE = "overlay"
HISTORY = "napari_liso_overlay_history"

#: Between the map and an image beside it, as a share of the map's width.
_GAP = 0.05


@dataclass(frozen=True)
class _Unit:
    """What distances on the map are shown in."""

    name: str
    factor: float  # world units times this


def length_unit(layer: Layer) -> _Unit:
    """Return um, or px where the map's pixel size is unknown."""
    if has_length_unit(layer):
        return _Unit("µm", float((1.0 * layer.units[-1]).to("um").magnitude))
    return _Unit("px", 1.0)


def adopt(viewer: ViewerModel, image: Layer, reference: Layer) -> None:
    """Make an image an overlay of the map, below what is drawn over the map."""
    if not role_of(image):
        image.metadata = {**image.metadata, PROVENANCE: provenance(ROLE, [reference.name])}
    layers = viewer.layers
    lowest = [i for i, old in enumerate(layers) if role_of(old) in ("grains", "boundaries")]
    here = next(i for i, old in enumerate(layers) if old.unique_id == image.unique_id)
    if lowest and here > lowest[0]:
        layers.move(here, lowest[0])


def take_unit(image: Layer, reference: Layer) -> None:
    """Give an image the unit of the map, where it has another; can be undone.

    napari needs one unit for all layers. The image's scale stays the number that it
    is: the affine takes it into account.
    """
    if tuple(image.units[-2:]) != tuple(reference.units[-2:]):
        _move(image, np.asarray(image.affine.affine_matrix), reference, record_of(image))


def place(
    image: Layer,
    reference: Layer,
    fit: Registration,
    landmarks: dict[str, Any],
) -> None:
    """Lay an image over the map by a fit, with the record of it; can be undone.

    Parameters
    ----------
    image
        Its `affine` becomes the matrix of the fit.
    reference
        A layer of the map, whose unit the image takes.
    fit
        From the image's coordinates before its `affine` to the world of the map.
    landmarks
        JSON-able: where they were clicked.
    """
    unit = length_unit(reference)
    facts = {
        "matrix": fit.matrix.tolist(),
        "kind": fit.kind,
        "mirrored": fit.mirrored,
        "residuals": [float(v) * unit.factor for v in fit.residuals],
        "rms": fit.rms * unit.factor,
        "residual_unit": "um" if unit.name == "µm" else "pixel of the map",
        "world_unit": str(reference.units[-1]),
        "landmarks": landmarks,
        "reference": reference.name,
    }
    _move(image, fit.matrix, reference, facts)


def place_beside(image: Layer, reference: Layer) -> None:
    """Put an image to the right of the map and as high, so that both can be clicked on."""
    low, high = _box(world(reference, _corners(reference)))
    own_low, own_high = _box(physical(image, _corners(image)))
    size = float((high - low)[0] / (own_high - own_low)[0])
    matrix = np.diag([size, size, 1.0])
    corner = np.array([low[0], high[1] + _GAP * (high - low)[1]])
    matrix[:2, 2] = corner - size * own_low
    _move(image, matrix, reference, None)


def record_of(image: Layer) -> dict[str, Any] | None:
    """Return the record of how an image was placed by landmarks, or None."""
    found = image.metadata.get(PROVENANCE, {}).get("overlay")
    return found if isinstance(found, dict) else None


def can_undo(image: Layer | None) -> bool:
    """Tell whether an image was moved here before."""
    return image is not None and bool(_history(image)["undo"])


def can_redo(image: Layer | None) -> bool:
    """Tell whether a placing was taken back."""
    return image is not None and bool(_history(image)["redo"])


def undo(image: Layer) -> None:
    """Take back the last placing."""
    _step(image, "undo", "redo")


def redo(image: Layer) -> None:
    """Place again what was taken back."""
    _step(image, "redo", "undo")


# --- history ----------------------------------------------------------------------------------


def _history(image: Layer) -> dict[str, list[dict[str, Any]]]:
    kept = image.metadata.get(HISTORY, {})
    return {key: list(kept.get(key, ())) for key in ("undo", "redo")}


def _state(image: Layer) -> dict[str, Any]:
    return {
        "affine": np.asarray(image.affine.affine_matrix, dtype=float).tolist(),
        "units": [str(unit) for unit in image.units],
        "overlay": record_of(image),
    }


def _step(image: Layer, back: str, forth: str) -> None:
    history = _history(image)
    if not history[back]:
        raise ValueError(f"there is nothing to {back}")
    state = history[back].pop()
    history[forth].append(_state(image))
    _become(image, state, history)


def _move(image: Layer, matrix: ArrayLike, reference: Layer, facts: dict[str, Any] | None) -> None:
    history = _history(image)
    history["undo"].append(_state(image))
    history["redo"] = []
    state = {
        "affine": np.asarray(matrix, dtype=float).tolist(),
        "units": [str(unit) for unit in reference.units[-2:]],
        "overlay": facts,
    }
    _become(image, state, history)


def _become(image: Layer, state: dict[str, Any], history: dict[str, Any]) -> None:
    record = dict(image.metadata.get(PROVENANCE) or provenance(ROLE))
    record.pop("overlay", None)
    if state["overlay"] is not None:
        record["overlay"] = state["overlay"]
        if record.get("role") == ROLE:
            record["sources"] = [state["overlay"]["reference"]]
    image.units = tuple(state["units"])
    image.affine = np.array(state["affine"])
    image.metadata = {**image.metadata, PROVENANCE: record, HISTORY: history}


# --- geometry ---------------------------------------------------------------------------------


def _corners(layer: Layer) -> NDArray[np.float64]:
    """Return the outer corners of a layer's last two axes in its own coordinates, (4, ndim)."""
    height, width = plane_shape(layer)
    corners = np.zeros((4, layer.ndim))
    corners[:, -2:] = -0.5
    corners[[1, 3], -1] += width
    corners[[2, 3], -2] += height
    return corners


def _box(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return points.min(axis=0), points.max(axis=0)
