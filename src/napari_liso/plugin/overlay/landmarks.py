"""Landmarks: pairs of Points layers, one on the map and one on the image laid over it.

Each layer lies exactly as what it marks, so that its points are pixels of the map or
of the image and stay on them however those are moved. The two are found again by
their role and the image's id, whether or not a dock is open.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin.placement import Placement
from napari_liso.plugin.records import PROVENANCE, role_of
from napari_liso.registration import MAX_MATCHED, match_landmarks

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = [
    "NUMBER",
    "ROLE",
    "USED",
    "Pairs",
    "Where",
    "find_landmarks",
    "lie_as",
    "number",
    "numbers",
    "pair_up",
    "physical",
    "plane_shape",
    "used",
    "world",
]

Where = Literal["map", "image"]  #: on which of the two landmarks are

ROLE = "landmarks"
NUMBER = "number"
USED = "used"


def find_landmarks(viewer: ViewerModel, image: Layer, where: Where) -> Any:
    """Return the landmarks of an image on the map or on itself, or None.

    By the image's id, or by its name where layers were saved and opened again.
    """
    own = [
        layer
        for layer in viewer.layers
        if role_of(layer) == ROLE
        and layer.__class__.__name__ == "Points"
        and layer.metadata[PROVENANCE].get("on") == where
    ]
    for key, value in (("image_id", str(image.unique_id)), ("image", image.name)):
        for layer in own:
            if layer.metadata[PROVENANCE].get(key) == value:
                return layer
    return None


def plane_shape(image: Layer) -> tuple[int, int]:
    """Return (height, width) of an image in pixels, colours and leading axes left out."""
    data: Any = image.data
    shape = tuple(data[0].shape if getattr(image, "multiscale", False) else data.shape)
    height, width = shape[image.ndim - 2 : image.ndim]
    return int(height), int(width)


def world(layer: Layer, points: Any) -> NDArray[np.float64]:
    """Return where points of a layer lie in the world, shape (n, 2)."""
    places = [layer.data_to_world(point)[-2:] for point in np.asarray(points, dtype=float)]
    return np.array(places, dtype=float).reshape(-1, 2)


def physical(layer: Layer, points: Any) -> NDArray[np.float64]:
    """Return where points of a layer lie before its `affine`, which the fit replaces."""
    back = np.linalg.inv(np.asarray(layer.affine.affine_matrix, dtype=float)[-3:, -3:])
    placed: NDArray[np.float64] = world(layer, points) @ back[:2, :2].T + back[:2, 2]
    return placed


def lie_as(points: Layer, owner: Layer) -> None:
    """Give landmarks the place of what they mark, where it differs."""
    now = Placement.of_layer(points).arguments
    for name, value in Placement.of_layer(owner).arguments.items():
        same = (
            now[name] == value
            if name in ("units", "axis_labels")
            else np.array_equal(np.asarray(now[name]), np.asarray(value))
        )
        if not same:
            setattr(points, name, value)


def used(points: Layer) -> NDArray[np.bool_]:
    """Return which landmarks take part in the fit."""
    features = getattr(points, "features", {})
    if USED not in features:
        return np.ones(len(points.data), dtype=bool)
    return np.asarray(features[USED]).astype(bool)


def numbers(points: Layer) -> NDArray[np.int_]:
    """Return the numbers that a layer's landmarks show."""
    features = getattr(points, "features", {})
    if NUMBER not in features:
        return np.arange(1, len(points.data) + 1)
    return np.asarray(features[NUMBER]).astype(int)


def number(points: Any, wanted: Any, kept: Any) -> None:
    """Number the landmarks of a layer and note which are used; nothing where that is so."""
    wanted, kept = np.asarray(wanted, dtype=int), np.asarray(kept, dtype=bool)
    now = points.features
    if NUMBER in now and USED in now:
        same = np.array_equal(np.asarray(now[NUMBER]).astype(int), wanted)
        if same and np.array_equal(used(points), kept):
            return
    points.features = {NUMBER: wanted, USED: kept}
    # one that is added is used, whatever was added before
    points.feature_defaults = {NUMBER: len(wanted) + 1, USED: True}


@dataclass(frozen=True)
class Pairs:
    """Which landmark on the map belongs to which on the image.

    Attributes
    ----------
    map, image
        Indices of the partners, in the order of the map's.
    kept
        Whether the user leaves a pair in.
    note
        How they were paired, where that needs saying.
    """

    map: tuple[int, ...]
    image: tuple[int, ...]
    kept: tuple[bool, ...]
    note: str = ""

    def numbers(self, on_map: int, on_image: int) -> tuple[list[int], list[int]]:
        """Return the numbers of all landmarks: a pair has one, and the odd ones follow."""
        of_image = dict(zip(self.image, self.map, strict=True))
        spare = iter(range(on_map, on_map + on_image))
        numbers = [of_image[j] if j in of_image else next(spare) for j in range(on_image)]
        return [i + 1 for i in range(on_map)], [n + 1 for n in numbers]


def pair_up(
    moving: NDArray[np.float64],
    fixed: NDArray[np.float64],
    moving_used: NDArray[np.bool_],
    fixed_used: NDArray[np.bool_],
    *,
    any_order: bool = True,
    mirrored: bool = False,
    affine: bool = False,
) -> Pairs:
    """Pair landmarks: by their arrangement where that is clear, else as they were clicked.

    Those left out of the fit do not take part in the search.

    Parameters
    ----------
    moving, fixed
        (y, x), shape (m, 2) and (n, 2).
    moving_used, fixed_used
        Which are not left out.
    any_order
        False: as they were clicked.
    mirrored
        Whether the image is turned over.
    affine
        Whether the image may be stretched, which can make one triangle any other.
    """
    if not any_order:
        n = min(len(moving), len(fixed))
        return Pairs(tuple(range(n)), tuple(range(n)), tuple(bool(k) for k in fixed_used[:n]))
    on_map, on_image = np.flatnonzero(fixed_used), np.flatnonzero(moving_used)
    note = ""
    if len(on_map) == len(on_image) >= 3:
        order, note = _order(moving[on_image], fixed[on_map], mirrored, affine)
        on_image = on_image[order]
    pairs = [(int(i), int(j), True) for i, j in zip(on_map, on_image, strict=False)]
    out = zip(np.flatnonzero(~fixed_used), np.flatnonzero(~moving_used), strict=False)
    pairs = sorted([*pairs, *((int(i), int(j), False) for i, j in out)])
    if not pairs:
        return Pairs((), (), (), note)
    first, second, kept = zip(*pairs, strict=True)
    return Pairs(first, second, kept, note)


def _order(
    moving: NDArray[np.float64], fixed: NDArray[np.float64], mirrored: bool, affine: bool
) -> tuple[NDArray[np.intp], str]:
    """Return the order of the image's landmarks, and what to say about it."""
    clicked = np.arange(len(moving), dtype=np.intp)
    if affine and len(moving) == 3:
        return clicked, (
            "Paired in the order of the clicks: an affine makes one triangle any other."
        )
    if len(moving) > MAX_MATCHED:
        return clicked, f"Paired in the order of the clicks: there are more than {MAX_MATCHED}."
    try:
        found = match_landmarks(moving, fixed, "affine" if affine else "similarity", mirrored)
    except ValueError:  # degenerate: the fit says how
        return clicked, ""
    if not found.unambiguous:
        return clicked, (
            "Paired in the order of the clicks: their arrangement fits in several ways or in none."
        )
    if np.array_equal(found.order, clicked):
        return clicked, ""
    return found.order, "Paired by their arrangement; they were clicked in another order."
