"""Which objects a session may hold: taken apart into fields, and put together with checks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.counting.corrections import Corrections
from napari_liso.counting.fraction import FractionMap
from napari_liso.counting.measured import Measured
from napari_liso.counting.ratio import RatioMap
from napari_liso.diffusion.experiment import Experiment, Stage
from napari_liso.diffusion.full_model import FullModel
from napari_liso.diffusion.results import TABLE_COLUMNS, DiffusionFit, Estimate, Population
from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.microstructure.crystal import Phase
from napari_liso.microstructure.ebsd import EbsdMap
from napari_liso.microstructure.faces import Faces
from napari_liso.session.sources import (
    EMBEDDED_BYTES,
    CountsFile,
    Finder,
    is_embedded,
    link_of,
    linked_counts,
)

__all__ = ["SavedLayer", "describe", "maker", "no_full_model"]


@dataclass(frozen=True, eq=False)
class SavedLayer:
    """A layer of a viewer as plain data, so that no viewer is needed to read it.

    Parameters
    ----------
    kind
        ``"image"``, ``"labels"``, ``"points"`` or ``"shapes"``.
    data
        Array, or list of arrays for shapes; None where it is made from `behind`. Or a
        function that returns one of these, which is called when it is saved.
    arguments
        Keyword arguments of the layer: name, place, limits, colours, metadata.
    behind
        Object that it shows, such as an `Acquisition` or `Boundaries`, or None.
    role
        What the layer is to this package, such as ``"counts"``; ``""`` if it is not its own.
    """

    kind: str
    data: Any
    arguments: dict[str, Any]
    behind: Any = None
    role: str = ""


def no_full_model() -> NDArray[np.float64]:
    """Stand for the full model of a fit that was saved without it.

    Raises
    ------
    ValueError
        Always, with what to do.
    """
    raise ValueError(
        "this fit was saved without its full model, so it cannot be checked: fit again "
        "(fit_diffusion), then check"
    )


_TYPES: dict[str, type] = {
    one.__name__: one
    for one in (
        Acquisition, Boundaries, Corrections, CountsFile, DiffusionFit, EbsdMap, Estimate,
        Experiment, Faces, FractionMap, FullModel, Measured, Phase, Population, RatioMap,
        SavedLayer, Stage,
    )
}  # fmt: skip
_NAMES = {one: name for name, one in _TYPES.items()}
#: Fields of an acquisition that are written otherwise.
_COUNTS, _SPECTRUM, _LINK = "counts", "spectrum_source", "file"


def describe(value: Any) -> tuple[str, dict[str, Any]] | None:
    """Return the name of an object's type and its fields; None if a session cannot hold it.

    Raises
    ------
    ValueError
        If it is such an object but for its counts, which are nowhere to be had again.
    """
    name = _NAMES.get(type(value))
    if name is None:
        return None
    parts = {one.name: getattr(value, one.name) for one in fields(value)}
    if isinstance(value, Acquisition):
        return name, _acquisition_fields(value, parts)
    if isinstance(value, SavedLayer) and callable(value.data):
        parts["data"] = value.data()
    if isinstance(value, EbsdMap):
        for key in ("phases", "images", "metadata"):
            parts[key] = dict(parts[key])
    if isinstance(value, DiffusionFit):
        kept = isinstance(value.full_fraction, FullModel)
        parts["full_fraction"] = value.full_fraction if kept else None
    return name, parts


def _acquisition_fields(value: Acquisition, parts: dict[str, Any]) -> dict[str, Any]:
    embedded = is_embedded(value)
    link = None
    if not embedded or value.spectrum_source is not None:
        link = link_of(value, sums=not embedded)
    counts = value.counts if embedded else None
    if not embedded and link is None:
        if value.counts.nbytes > EMBEDDED_BYTES:
            raise ValueError(
                f"the counts, {value.counts.nbytes / 1e9:.1f} GB, are from no file that could be "
                "read again and too many for a session: sum frames first (acquisition.sum())"
            )
        counts = np.asarray(value.counts)
    return {
        **parts,
        _COUNTS: None if counts is None else np.asarray(counts),
        _SPECTRUM: value.spectrum_source is not None and link is not None,
        _LINK: link,
    }


def maker(find: Finder) -> Callable[[str, dict[str, Any]], Any]:
    """Return the function that puts objects together.

    Parameters
    ----------
    find
        Where files of measurements are now.
    """

    def make(name: str, parts: dict[str, Any]) -> Any:
        kind = _TYPES[name]
        if kind is Acquisition:
            return _make_acquisition(parts, find)
        known = {one.name for one in fields(kind)}
        required = {
            one.name
            for one in fields(kind)
            if one.default is MISSING and one.default_factory is MISSING
        }
        if not required <= parts.keys() <= known:
            raise ValueError(f"{name} has other parts: {', '.join(parts)}")
        if kind is DiffusionFit:
            _check_fit(parts)
            parts = {**parts, "full_fraction": parts["full_fraction"] or no_full_model}
        made = kind(**parts)
        check = _CHECKS.get(kind)
        if check is not None:
            check(made)
        return made

    return make


def _make_acquisition(parts: dict[str, Any], find: Finder) -> Acquisition:
    link = parts.pop(_LINK)
    has_spectrum = parts.pop(_SPECTRUM)
    if link is not None and not isinstance(link, CountsFile):
        raise ValueError("the file of a measurement is not described")
    if parts[_COUNTS] is None:
        if link is None or link.sums is None:
            raise ValueError("a measurement has no counts")
        parts[_COUNTS] = np.broadcast_to(np.zeros((), link.dtype), link.shape)
    parts["channels"] = tuple(parts["channels"])
    made = Acquisition(**parts, spectrum_source=_no_spectrum if has_spectrum else None)
    if made.pulses is not None:
        np.broadcast_shapes(np.shape(made.pulses), made.counts.shape[1:])
    return made if link is None else linked_counts(made, link, find)


def _no_spectrum() -> Any:
    raise ValueError("the spectrum is in the file of the measurement")


# --- checks -----------------------------------------------------------------------------------


def _require(right: bool, what: str) -> None:
    if not right:
        raise ValueError(what)


def _check_boundaries(made: Boundaries) -> None:
    """Check that images, table and faces are of one map."""
    shape = made.grains.shape
    _require(len(shape) == 2 and made.grains.dtype == np.int32, "grains are no label image")
    _require(
        made.drawn.shape == made.labels.shape == shape
        and made.labels.dtype == np.uint16
        and made.drawn.dtype.kind in "iu",
        "the images of the boundaries do not fit together",
    )
    table = made.table
    _require(isinstance(table, pd.DataFrame) and isinstance(made.faces, Faces), "no boundaries")
    ids = table.index.to_numpy()
    _require(
        ids.dtype.kind in "iu" and table.index.is_unique and (len(ids) == 0 or ids.min() >= 1),
        "the ids of the boundaries are no numbers of their own",
    )
    _require({"grain_a", "grain_b", "length", "state"} <= set(table.columns), "columns missing")
    faces = made.faces
    size = shape[0] * shape[1]
    for one in (faces.first, faces.second):
        _require(len(one) == 0 or (one.min() >= 0 and one.max() < size), "faces beside the map")
    _require(bool(np.isin(faces.boundary, ids).all()), "faces of boundaries that do not exist")
    there = np.zeros(2**16, dtype=bool)
    there[made.labels] = True
    there[0] = False
    _require(bool(np.isin(np.flatnonzero(there), ids).all()), "labels of no boundary")
    y, x = made.pixel_size
    _require(0 < y < np.inf and 0 < x < np.inf, "the pixel size is no length")


def _check_faces(made: Faces) -> None:
    columns = list(vars(made).values())
    same = all(isinstance(c, np.ndarray) and c.ndim == 1 for c in columns)
    _require(same and len({len(c) for c in columns}) == 1, "faces without all their parts")
    for one in (made.first, made.second, made.axis, made.boundary):
        _require(one.dtype.kind in "iu", "faces that are no numbers of pixels")


def _check_ebsd(made: EbsdMap) -> None:
    images = list(made.images.values())
    _require(
        made.phase.dtype.kind in "iu"
        and made.euler.dtype.kind == "f"
        and all(isinstance(one, Phase) for one in made.phases.values())
        and all(np.shape(one) == made.shape for one in images)
        and isinstance(made.metadata, Mapping),
        "the parts of an EBSD map do not fit together",
    )
    y, x = made.pixel_size
    _require(0 < y < np.inf and 0 < x < np.inf, "the step of an EBSD map is no length")


def _check_fit(parts: dict[str, Any]) -> None:
    table, shape = parts["table"], np.shape(parts["fraction"])
    _require(
        isinstance(table, pd.DataFrame) and set(TABLE_COLUMNS) <= set(table.columns),
        "the table of a fit lacks columns",
    )
    images = [parts[key] for key in ("fraction", "residual", "used", "counted")]
    _require(
        len(shape) == 2 and all(np.shape(i) == shape for i in images if i is not None),
        "the images of a fit do not fit together",
    )
    _require(
        isinstance(parts["diffusivity"], Estimate)
        and isinstance(parts["population"], Population)
        and isinstance(parts["full_fraction"], FullModel | None),
        "the numbers of a fit are missing",
    )


def _check_maps(made: Any) -> None:
    shape = np.shape(made.value)
    same = all(np.shape(getattr(made, name)) == shape for name in ("lower", "upper", "counts"))
    _require(same, "the images of a fraction do not fit together")


def _check_link(made: CountsFile) -> None:
    shape = made.shape
    whole = len(shape) == 4 and all(type(n) is int and n >= 0 for n in shape)
    _require(whole and np.dtype(made.dtype).kind in "iuf", "counts of no shape")
    fits = made.sums is None or made.sums.shape == (shape[0], *shape[2:])
    _require(fits, "the sums of counts have another shape")
    texts = [made.sha256, *made.paths, *(one for pair in made.files for one in pair)]
    _require(bool(made.paths) and all(isinstance(t, str) for t in texts), "no path of counts")


def _check_layer(made: SavedLayer) -> None:
    right = made.kind in ("image", "labels", "points", "shapes")
    _require(right and isinstance(made.arguments, dict), "a layer of no known kind")


_CHECKS: dict[type, Callable[[Any], None]] = {
    Boundaries: _check_boundaries,
    EbsdMap: _check_ebsd,
    Faces: _check_faces,
    FractionMap: _check_maps,
    RatioMap: _check_maps,
    CountsFile: _check_link,
    SavedLayer: _check_layer,
}
