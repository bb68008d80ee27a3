"""What there is to know about each boundary, as columns: for table, filter, colours and CSV."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.microstructure.filtering import Field
from napari_liso.plugin.features import shown_permeabilities
from napari_liso.plugin.from_layers import boundaries_from_layer, fit_from_layer
from napari_liso.plugin.records import OBJECT, role_of
from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = [
    "QUANTITIES",
    "STEPS",
    "BoundaryValues",
    "Quantity",
    "StepsKnown",
    "boundary_values",
    "steps_of",
    "values_of",
]

_DEGREE = np.pi / 180
_LENGTHS = {"um": MICROMETRE, "nm": 1e-9, "mm": 1e-3, "m": 1.0}
_ANGLES = {"deg": _DEGREE, "°": _DEGREE, "rad": 1.0}
_RATES = {"m/s": 1.0, "cm/s": 1e-2, "um/s": MICROMETRE, "nm/s": 1e-9}
_CURVATURES = {"1/um": 1 / MICROMETRE, "1/m": 1.0}
_STATES = ("use", "exclude", "locked")
_VERDICTS = ("resolved", "lower bound", "upper bound", "unresolved")


@dataclass(frozen=True)
class Quantity:
    """A number that boundaries have.

    Parameters
    ----------
    name
        In words.
    unit
        As it is shown, ``""`` for a pure number.
    size
        Of that unit in SI.
    scale
        ``"linear"``; ``"log"``; ``"signed"``, zero in the middle; ``"round"``, a direction
        that comes back to itself after half a turn.
    """

    name: str
    unit: str = ""
    size: float = 1.0
    scale: Literal["linear", "log", "signed", "round"] = "linear"

    @property
    def title(self) -> str:
        """Name and unit."""
        return f"{self.name} ({self.unit})" if self.unit else self.name


#: Numeric columns of `BoundaryValues` that a map can be coloured by.
QUANTITIES: dict[str, Quantity] = {
    "length": Quantity("length", "µm", MICROMETRE),
    "step": Quantity("step of the fraction, first grain − second", scale="signed"),
    "sigma": Quantity("|step| / its error", scale="log"),
    "counts": Quantity("counts beside the boundary", scale="log"),
    "k": Quantity("k", "m/s", scale="log"),
    "misorientation": Quantity("misorientation", "°", _DEGREE),
    "angle": Quantity("direction of the normal", "°", _DEGREE, "round"),
    "spread": Quantity("spread of the normals", "°", _DEGREE),
    "curvature": Quantity("mean curvature", "1/µm", 1 / MICROMETRE),
}


@dataclass(frozen=True, eq=False)
class BoundaryValues:
    """Columns over the boundaries that are not removed, in the order of their ids.

    Parameters
    ----------
    ids
        (row,) whole numbers, ascending.
    columns
        (row,) each, in SI: ``grain_a``, ``grain_b``, ``length``, ``angle`` (of the mean
        normal, anticlockwise from the x axis on the screen, 0 to pi), ``spread``, ``curvature``;
        ``step`` (first grain minus second), ``step_se``, ``sigma``, ``counts`` if they are
        known; ``misorientation`` if it is; ``k`` (the value, or the bound that stands for
        it), ``k_lower``, ``k_upper`` after a fit. Words, None where there are none:
        ``state``, ``notes``, and ``verdict`` after a fit.
    """

    ids: NDArray[np.int64]
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.ids)

    def __contains__(self, name: str) -> bool:
        return name in self.columns

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def row_of(self, label: int) -> int:
        """Return the row of a boundary, -1 if there is none."""
        row = int(np.searchsorted(self.ids, label))
        return row if row < len(self.ids) and self.ids[row] == label else -1

    def fields(self) -> dict[str, Field]:
        """Return the columns as a filter knows them."""
        have = self.columns
        made = {
            "id": Field(self.ids),
            "grain": Field(have["grain_a"], also=[have["grain_b"]]),
            "length": Field(have["length"], _LENGTHS),
            "state": Field(have["state"], choices=_STATES),
        }
        if "step" in have:
            made["step"] = Field(have["step"], error=have["step_se"])
            made["sigma"] = Field(have["sigma"])
            made["counts"] = Field(have["counts"])
        if "k" in have:
            low, high = _ends(have)
            made["k"] = Field(low, _RATES, upper=high)
            made["verdict"] = Field(have["verdict"], choices=_VERDICTS)
        for name, units in (
            ("misorientation", _ANGLES), ("angle", _ANGLES), ("spread", _ANGLES),
            ("curvature", _CURVATURES),
        ):  # fmt: skip
            if name in have:
                made[name] = Field(have[name], units)
        made["notes"] = Field(have["notes"])
        return made


def _ends(have: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Return the ends between which k lies: the value twice, from a bound on, or NaN."""
    k, verdict = have["k"], have["verdict"]
    known = np.isin(verdict, _VERDICTS[:3])
    low = np.where(known, np.where(verdict == "upper bound", 0.0, k), np.nan)
    high = np.where(known, np.where(verdict == "lower bound", np.inf, k), np.nan)
    return low, high


def boundary_values(
    boundaries: Boundaries,
    fit: DiffusionFit | None = None,
    stale: frozenset[int] = frozenset(),
    steps: pd.DataFrame | None = None,
) -> BoundaryValues:
    """Return the columns of the boundaries that are not removed.

    Parameters
    ----------
    boundaries
        Of the map.
    fit
        Their fit.
    stale
        Ids that are other boundaries than those that were fitted: they have no k.
    steps
        Result of `napari_liso.microstructure.profiles.boundary_steps`.
    """
    table = boundaries.table
    table = table[(table["state"] != "removed").to_numpy(dtype=bool)]
    if not table.index.is_monotonic_increasing:
        table = table.sort_index()
    ids = table.index.to_numpy(dtype=np.int64)
    columns: dict[str, NDArray[Any]] = {
        "grain_a": table["grain_a"].to_numpy(dtype=np.int64),
        "grain_b": table["grain_b"].to_numpy(dtype=np.int64),
        "length": table["length"].to_numpy(dtype=np.float64),
    }
    if steps is not None:
        columns |= _step_columns(steps, ids)
    columns["state"] = table["state"].to_numpy(dtype=object)
    if fit is not None:
        columns |= _fit_columns(fit, stale, ids)
    columns["angle"] = _direction(table)
    for name, ours in (
        ("misorientation", "misorientation"),
        ("normal_spread", "spread"),
        ("curvature", "curvature"),
    ):
        if name in table.columns:
            columns[ours] = table[name].to_numpy(dtype=np.float64)
    notes = table["notes"] if "notes" in table.columns else pd.Series("", index=table.index)
    columns["notes"] = notes.to_numpy(dtype=object)
    return BoundaryValues(ids, columns)


def _step_columns(steps: pd.DataFrame, ids: NDArray[np.int64]) -> dict[str, NDArray[Any]]:
    mine = steps.reindex(ids)
    step, error = (mine[name].to_numpy(dtype=np.float64) for name in ("step", "step_se"))
    return {
        "step": step,
        "step_se": error,
        "sigma": np.divide(np.abs(step), error, out=np.full(len(ids), np.nan), where=error > 0),
        "counts": (mine["counts_a"] + mine["counts_b"]).to_numpy(dtype=np.float64),
    }


def _fit_columns(
    fit: DiffusionFit, stale: frozenset[int], ids: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    table = fit.table
    if stale:
        table = table.drop(index=list(stale), errors="ignore")
    mine = table.reindex(ids)
    names = ("permeability", "permeability_lower", "permeability_upper")
    k, lower, upper = (mine[name].to_numpy(dtype=np.float64) for name in names)
    verdict = mine["verdict"].to_numpy(dtype=object)
    words = {one.replace(" ", "_"): one for one in _VERDICTS}
    return {
        "k": shown_permeabilities(k, lower, upper, verdict),
        "k_lower": lower,
        "k_upper": upper,
        "verdict": np.array([words.get(v) for v in verdict], dtype=object),
    }


def _direction(table: pd.DataFrame) -> NDArray[np.float64]:
    """Angle of the mean normals in 0..pi, anticlockwise: y of the map points down."""
    y, x = (table[name].to_numpy(dtype=np.float64) for name in ("normal_y", "normal_x"))
    angle = np.mod(np.arctan2(-y, x), np.pi)
    return np.where(np.isclose(angle, np.pi), 0.0, angle)


@dataclass(frozen=True, eq=False)
class StepsKnown:
    """Steps of the fraction across boundaries, kept with the boundaries layer.

    Parameters
    ----------
    table
        Result of `napari_liso.microstructure.profiles.boundary_steps`, of some ids or all.
    boundaries
        Of which they are, but for states and notes.
    sources
        Names of the counts that they are of.
    complete
        Whether they are of these very boundaries; after an edit only those that it left
        alone are kept.
    """

    table: pd.DataFrame
    boundaries: Boundaries
    sources: tuple[str, str]
    complete: bool = True


#: Keys of ``metadata[OBJECT]`` of a boundaries layer.
STEPS = "steps"
_VALUES = "values"


def steps_of(layer: Layer | None) -> StepsKnown | None:
    """Return the steps that are known of the boundaries in a layer."""
    if layer is None or role_of(layer) != "boundaries":
        return None
    known: StepsKnown | None = layer.metadata[OBJECT].get(STEPS)
    boundaries = boundaries_from_layer(layer)
    # copies with other states share their faces
    return known if known is not None and known.boundaries.faces is boundaries.faces else None


def values_of(layer: Layer) -> BoundaryValues:
    """Return the columns of the boundaries in a layer; worked out once for all who ask.

    Raises
    ------
    ValueError
        If the layer holds no boundaries.
    """
    boundaries, fit, steps = boundaries_from_layer(layer), fit_from_layer(layer), steps_of(layer)
    shared = layer.metadata[OBJECT]
    stale = frozenset(shared.get("stale") or ())
    known = shared.get(_VALUES)
    if known is not None:
        (was_boundaries, was_fit, was_steps, was_stale), values = known
        same = was_boundaries is boundaries and was_fit is fit and was_steps is steps
        if same and was_stale == stale:
            made: BoundaryValues = values
            return made
    made = boundary_values(boundaries, fit, stale, None if steps is None else steps.table)
    shared[_VALUES] = ((boundaries, fit, steps, stale), made)
    return made
