"""File > Save: images and labels as OME-TIFF, tables of labels, shapes and points as CSV.

napari hands each layer over as (data, its state, its type). A writer is chosen by the
longest suffix that fits, else the one that takes the fewest types of layers: ``.ome.tif``
is ours, ``.tif``, and ``.csv`` of shapes and points, stay with napari unless ours is
asked for.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso import __version__
from napari_liso.ome_tiff import Channel, write_ome_tiff
from napari_liso.plugin.records import PROVENANCE
from napari_liso.tables import write_table

__all__ = ["write_csv", "write_ome"]

FullLayerData = tuple[Any, dict[str, Any], str]

_STATE = (
    "scale", "translate", "rotate", "shear", "affine", "units", "axis_labels", "contrast_limits",
)  # fmt: skip


def write_ome(path: str, layers: Sequence[FullLayerData]) -> list[str]:
    """Write images and labels as OME-TIFF, with pixel size, names and provenance.

    Layers of one shape, place and kind (counts; real numbers; labels) are channels of
    one file; several kinds make a file each, named after what is in it.

    Raises
    ------
    FileExistsError
        If a file that the dialog has not asked about is there already.
    OSError
        If a layer or a file cannot be written.
    """
    groups: dict[tuple[Any, ...], list[FullLayerData]] = {}
    for layer in layers:
        groups.setdefault(_group(layer), []).append(layer)
    found = list(groups.values())
    targets = _targets(path, (".ome.tif", ".ome.tiff", ".tif", ".tiff"), found)
    with _told():
        return [_write_group(target, group) for target, group in zip(targets, found, strict=True)]


def write_csv(path: str, layers: Sequence[FullLayerData]) -> list[str]:
    """Write the features of labels, shapes and points as CSV, with units and provenance.

    Labels without features get their areas, points also their places.

    Raises
    ------
    FileExistsError
        If a file that the dialog has not asked about is there already.
    OSError
        If a file cannot be written.
    """
    targets = _targets(path, (".csv",), [[layer] for layer in layers])
    for target, (data, state, kind) in zip(targets, layers, strict=True):
        record = {
            "software": f"napari-liso {__version__}",
            "layer": str(state["name"]),
            "layer_type": kind,
            "made": state.get("metadata", {}).get(PROVENANCE) or {},
        }
        with _told():
            table, units = _table(data, state, kind)
            write_table(target, table, _json(record), units)
    return [str(target) for target in targets]


# --- files ------------------------------------------------------------------------------------


@contextmanager
def _told() -> Iterator[None]:
    """Let errors reach the user: napari takes a ValueError for "this writer is none"."""
    try:
        yield
    except ValueError as error:
        raise OSError(str(error)) from error


def _targets(
    path: str, suffixes: Sequence[str], groups: Sequence[Sequence[FullLayerData]]
) -> list[Path]:
    """Return a file for each group: `path` of one, else with the names of the layers."""
    whole = Path(path)
    suffix = next((s for s in suffixes if whole.name.lower().endswith(s)), "")
    stem = whole.name[: len(whole.name) - len(suffix)]
    suffix = whole.name[len(stem) :] or suffixes[0]
    if len(groups) == 1:
        targets = [whole.with_name(stem + suffix)]
    else:
        names = [_safe(" + ".join(str(layer[1]["name"]) for layer in group)) for group in groups]
        twice = [names[: i + 1].count(name) for i, name in enumerate(names)]
        targets = [
            whole.with_name(f"{stem} {name}{f' {n}' if n > 1 else ''}{suffix}")
            for name, n in zip(names, twice, strict=True)
        ]
    # the dialog has asked about `path` alone
    there = [target.name for target in targets if target != whole and target.exists()]
    if there:
        raise FileExistsError(
            f"{', '.join(there)} would be replaced; delete it, or save under another name"
        )
    return targets


def _json(value: Any) -> Any:
    """Return facts as JSON knows them: what is no number there, such as NaN, as words."""
    if isinstance(value, Mapping):
        return {str(key): _json(item) for key, item in value.items()}
    if isinstance(value, np.generic | np.ndarray):
        return _json(value.tolist())
    if isinstance(value, list | tuple | set | frozenset):
        return [_json(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return str(value)
    return value if isinstance(value, str | int | float | bool | None) else str(value)


def _safe(name: str) -> str:
    """Return a name that every file system takes."""
    return re.sub(r"[^\w +.\-()\[\]]", "-", name)[:80].strip(" .") or "layer"


# --- images -----------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Place:
    """Where the last two axes of a layer lie.

    Attributes
    ----------
    linear
        From (y, x) in pixels to the world, shape (2, 2).
    pixel_size
        (y, x) in m, or None where the unit is no length.
    turned
        Whether rows and columns of pixels are not those of the world.
    """

    linear: NDArray[np.float64]
    pixel_size: tuple[float, float] | None
    turned: bool


def _place(state: Mapping[str, Any]) -> _Place:
    shear = np.asarray(state.get("shear", (0.0,)), dtype=float)
    sheared = np.eye(2)
    if shear.ndim == 2:
        sheared = shear[-2:, -2:]
    elif shear.size:
        sheared[0, 1] = shear[-1]  # upper triangle, row by row: the last entry is (y, x)
    rotate = np.asarray(state.get("rotate", np.eye(2)), dtype=float)[-2:, -2:]
    affine = np.asarray(state.get("affine", np.eye(3)), dtype=float)[-3:-1, -3:-1]
    linear = affine @ rotate @ sheared @ np.diag(np.asarray(state["scale"], dtype=float)[-2:])
    sides = np.linalg.norm(linear, axis=0)
    units = state.get("units", ())[-2:]
    size = None
    if units and all(unit.is_compatible_with("m") for unit in units):
        metres = [float((1.0 * unit).to("m").magnitude) for unit in units]
        lengths = np.linalg.norm(linear * np.array(metres)[:, None], axis=0)
        size = (float(f"{lengths[0]:.12g}"), float(f"{lengths[1]:.12g}"))
    straight = np.allclose(linear, np.diag(sides), atol=1e-9 * float(sides.max()))
    return _Place(linear, size, not straight)


def _plain(data: Any, state: Mapping[str, Any]) -> Any:
    """Return the pixels: of a multiscale image, the finest."""
    return data[0] if state.get("multiscale") else data


def _group(layer: FullLayerData) -> tuple[Any, ...]:
    """Return what layers of one file have in common."""
    data, state, kind = layer
    pixels = _plain(data, state)
    place = _place(state)
    sort = "float" if np.dtype(pixels.dtype).kind == "f" else "whole"
    rgb = bool(state.get("rgb"))
    # colours stand alone
    alone = str(state["name"]) if rgb else ""
    translate = tuple(np.round(np.asarray(state["translate"], dtype=float)[-2:], 9))
    return (
        tuple(pixels.shape), kind, sort, alone, place.pixel_size, translate,
        tuple(np.round(place.linear, 12).ravel()),
    )  # fmt: skip


def _write_group(target: Path, group: Sequence[FullLayerData]) -> str:
    """Write layers of one shape and place as the channels of one file."""
    _, state, _ = group[0]
    place = _place(state)
    names = _channel_names(group)
    channels = [
        Channel(name, _plain(data, own), bool(own.get("rgb")))
        for name, (data, own, _) in zip(names, group, strict=True)
    ]
    notes = []
    if place.turned:
        notes.append(
            "The layer is turned, mirrored or sheared on the map. OME-TIFF holds no such "
            "placement: the pixels are written as they are, the matrices as provenance."
        )
    write_ome_tiff(
        target,
        channels,
        place.pixel_size,
        description="\n".join([_describe(group), *notes]),
        provenance=_json(
            {
                "software": f"napari-liso {__version__}",
                "layers": [_record(layer) for layer in group],
            }
        ),
    )
    for note in notes:
        from napari.utils.notifications import show_warning

        show_warning(f"napari-liso: {target.name}: {note}")
    return str(target)


def _channel_names(group: Sequence[FullLayerData]) -> list[str]:
    """Return the names of the peaks, where they tell the layers apart, else of the layers."""
    layers = [str(state["name"]) for _, state, _ in group]
    peaks = [
        str(state.get("metadata", {}).get(PROVENANCE, {}).get("channel") or state["name"])
        for _, state, _ in group
    ]
    return peaks if len(set(peaks)) == len(peaks) else layers


def _describe(group: Sequence[FullLayerData]) -> str:
    """Say in a line what the file holds."""
    lines = []
    for _, state, kind in group:
        record = state.get("metadata", {}).get(PROVENANCE, {})
        role = record.get("role") or kind
        source = ", ".join(record.get("sources", ()))
        lines.append(f"{state['name']}: {role}" + (f" of {source}" if source else ""))
    return "; ".join(lines) + f". Written by napari-liso {__version__}."


def _record(layer: FullLayerData) -> dict[str, Any]:
    """Return what a layer's file keeps of it, JSON-able."""
    _, state, kind = layer
    facts: dict[str, Any] = {"name": str(state["name"]), "type": kind}
    for key in _STATE:
        value = state.get(key)
        if value is None:
            continue
        words = key in ("units", "axis_labels")
        facts[key] = [str(v) for v in value] if words else np.asarray(value, dtype=float).tolist()
    colormap = state.get("colormap")
    if isinstance(colormap, Mapping) and isinstance(colormap.get("name"), str):
        facts["colormap"] = colormap["name"]
    facts["made"] = state.get("metadata", {}).get(PROVENANCE) or {}
    return facts


# --- tables -----------------------------------------------------------------------------------


def _table(data: Any, state: Mapping[str, Any], kind: str) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the table of a layer and the units of its columns."""
    features = pd.DataFrame(state.get("features", {})).reset_index(drop=True)
    if kind == "labels":
        return _label_table(data, state, features)
    # a column `name` beside an image of the same name would be taken for its peaks
    features = features.rename(columns={"name": "label"})
    numbers = np.arange(1, len(data) + 1)
    if kind == "points":
        places = np.asarray(data, dtype=float)[:, -2:]
        table, units = _places(places, state)
    else:
        middles = np.array([np.mean(np.asarray(v)[:, -2:], axis=0) for v in data]).reshape(-1, 2)
        table, units = _places(middles, state, "middle_")
        table.insert(0, "shape", list(state.get("shape_type", [""] * len(data))))
    for column in features:
        taken = column in table or column == "number"
        table[f"{column}_of_layer" if taken else column] = features[column]
    table.index = pd.Index(numbers, name="number")
    return table, units


def _places(
    points: NDArray[np.float64], state: Mapping[str, Any], prefix: str = ""
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return points (pixels) in the world, in um where that is known."""
    place = _place(state)
    affine = np.asarray(state.get("affine", np.eye(3)), dtype=float)[-3:, -3:]
    start = affine[:2, :2] @ np.asarray(state["translate"], dtype=float)[-2:] + affine[:2, 2]
    world = points @ place.linear.T + start
    unit = "px"
    if place.pixel_size is not None:
        unit = "um"
        world = world * [float((1.0 * u).to("um").magnitude) for u in state["units"][-2:]]
    columns = {f"{prefix}{axis}": world[:, i] for i, axis in enumerate("yx")}
    return pd.DataFrame(columns), dict.fromkeys(columns, unit)


def _label_table(
    data: Any, state: Mapping[str, Any], features: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Return the features of labels by label, the background left out, with their areas."""
    if "index" in features:
        features = features.set_index("index")
    table = features.drop(0, errors="ignore") if len(features.columns) else None
    units: dict[str, str] = {}
    # a boundary's pixels have no area: its length is among the features
    if table is None or state.get("metadata", {}).get(PROVENANCE, {}).get("role") != "boundaries":
        labels, pixels = np.unique(np.asarray(_plain(data, state)), return_counts=True)
        size = pd.Series(pixels, index=labels).drop(0, errors="ignore")
        table = pd.DataFrame(index=size.index) if table is None or table.empty else table
        place = _place(state)
        if not {"pixels", "area", "area_um2"} & set(table.columns):
            table.insert(0, "pixels", size.reindex(table.index, fill_value=0))
            if place.pixel_size is not None:
                side = [float((1.0 * u).to("um").magnitude) for u in state["units"][-2:]]
                one = abs(float(np.linalg.det(place.linear))) * float(np.prod(side))
                table.insert(1, "area", table["pixels"] * float(f"{one:.12g}"))
                units["area"] = "um2"
    table.index.name = "label"
    return table, units
