"""Columns of the table of boundaries: titles, the text of a cell, and what rows are sorted by."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin.boundary_values import BoundaryValues
from napari_liso.plugin.widgets.parts import interval, scientific
from napari_liso.units import MICROMETRE

__all__ = ["COLUMNS", "Column", "cell_text", "numbers_of", "sort_keys"]

_NONE = "–"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Parameters
    ----------
    title, tooltip
        For its header.
    needs
        Column of `BoundaryValues` without which it is empty.
    words
        Whether it stands on the left.
    """

    title: str
    tooltip: str
    needs: str = ""
    words: bool = False


COLUMNS: dict[str, Column] = {
    "id": Column(
        "id",
        "Number of the boundary: its label in the boundaries layer. Unchecked: excluded; a box "
        "among selected rows is for all of them. A lock: edits leave it alone.",
        words=True,
    ),
    "grains": Column("grains", "The two grains that meet here", words=True),
    "length": Column(
        "length (µm)", "Length along the boundary in µm, not that of its staircase", "length"
    ),
    "step": Column(
        "step ± σ",
        "Fraction beside the boundary in its first grain minus that in the second, with the "
        "standard error; of the counts as they are, one to five pixels away from the boundary",
        "step",
    ),
    "sigma": Column("|step|/σ", "Size of the step in units of its standard error", "step"),
    "counts": Column("counts", "Counts of both isotopes that the step is of", "step"),
    "state": Column(
        "state",
        "use: fitted; exclude: a barrier whose surroundings are not data; locked: used, and "
        "edits leave it alone",
        words=True,
    ),
    "k": Column(
        "k (m/s)",
        "Permeability k in m/s: flux of tracer = k × step of the fraction across it. "
        "Small k holds lithium back. > and < are bounds.",
        "k",
    ),
    "interval": Column("95 % interval", "95 % interval of k in m/s; 0 or ∞ where it is open", "k"),
    "verdict": Column(
        "verdict",
        "resolved: the data decide k within a factor of about two. lower or upper bound: the "
        "data limit k from one side. unresolved: the data do not decide; the population does.",
        "k",
        words=True,
    ),
    "misorientation": Column(
        "misor. (°)", "Misorientation of the two grains' lattices, in degrees", "misorientation"
    ),
    "angle": Column(
        "normal (°)",
        "Direction of the mean normal in degrees, anticlockwise: 0 points along x, 90 along y",
        "angle",
    ),
    "curvature": Column("curv. (1/µm)", "Mean curvature, whatever its sign, in 1/µm", "curvature"),
    "notes": Column("notes", "Your words. Double-click to write.", words=True),
}


def cell_text(values: BoundaryValues, row: int, key: str) -> str:
    """Return what a cell shows.

    Parameters
    ----------
    values
        Of the boundaries.
    row
        Of the values.
    key
        Of the column.
    """
    if key == "id":
        return str(values.ids[row])
    if key == "grains":
        return f"{values['grain_a'][row]} | {values['grain_b'][row]}"
    needs = COLUMNS[key].needs
    if needs and needs not in values:
        return _NONE
    if key == "step":
        return _with_error(float(values["step"][row]), float(values["step_se"][row]))
    if COLUMNS[key].words:
        word = values[key][row]
        return _NONE if word is None else str(word)
    if key in ("k", "interval"):
        return _permeability(values, row, key)
    number = float(values[key][row])
    if not math.isfinite(number):
        return _NONE
    if key == "length":
        return f"{number / MICROMETRE:.2f}"
    if key in ("angle", "misorientation"):
        return f"{math.degrees(number):.1f}"
    if key == "curvature":
        return f"{number * MICROMETRE:.4f}"
    return f"{number:,.0f}" if key == "counts" or number >= 100 else f"{number:.1f}"


def _permeability(values: BoundaryValues, row: int, key: str) -> str:
    verdict = values["verdict"][row]
    if verdict is None:
        return _NONE
    if key == "interval":
        return interval(float(values["k_lower"][row]), float(values["k_upper"][row]))
    sign = {"lower bound": "> ", "upper bound": "< "}.get(verdict, "")
    return sign + scientific(float(values["k"][row]))


def _with_error(value: float, error: float) -> str:
    """Write ``−0.123 ± 0.012``, the error with one figure, or two from 0.010 to 0.019."""
    if not (math.isfinite(value) and math.isfinite(error)):
        return _NONE
    power = math.floor(math.log10(error)) if error > 0 else -3
    second = error / 10.0**power < 1.95 and power >= -2
    digits = min(4, max(2, second - power))
    thin = "\u2009"  # a narrow dock
    return f"{value:.{digits}f}{thin}±{thin}{error:.{digits}f}".replace("-", "−")


def numbers_of(values: BoundaryValues, key: str) -> list[NDArray[np.float64]]:
    """Return the numbers (row,) that the texts of a column are made of."""
    names = {
        "grains": ("grain_a", "grain_b"),
        "step": ("step", "step_se"),
        "interval": ("k_lower", "k_upper"),
    }.get(key, (key,))
    if key == "id":
        return [values.ids.astype(np.float64)]
    if key in COLUMNS and COLUMNS[key].words and key != "grains":
        return []
    return [values[name].astype(np.float64) for name in names if name in values]


def sort_keys(values: BoundaryValues, key: str) -> list[NDArray[Any]]:
    """Return what rows are sorted by, the most important first, (row,) each; NaN comes last."""
    needs = COLUMNS[key].needs
    if needs and needs not in values:
        return []
    if key in ("k", "interval"):
        # what may be as fast as it likes comes last
        k, verdict = values["k"], values["verdict"]
        open_ended = (verdict == "lower bound") & np.isfinite(k)
        known = np.array([word is not None for word in verdict], dtype=bool)
        return [np.where(open_ended, np.inf, np.where(known, k, np.nan))]
    if key in ("state", "verdict", "notes"):
        words = [str(word) if word else "" for word in values[key]]
        rank = np.unique(words, return_inverse=True)[1].astype(np.float64)
        return [np.where(np.array(words) == "", np.nan, rank)] if len(words) else [rank]
    return numbers_of(values, key)[: 2 if key == "grains" else 1]
