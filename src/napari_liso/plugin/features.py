"""The features table of a boundaries layer: what napari shows about each label."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["boundary_features", "shown_permeabilities", "shown_permeability"]


def shown_permeability(k: float, lower: float, upper: float, verdict: str) -> float:
    """Return the one number that stands for a permeability: its value, or its bound."""
    if verdict == "lower_bound" and lower > 0:
        return lower
    if verdict == "upper_bound" and np.isfinite(upper):
        return upper
    return k


def shown_permeabilities(
    k: NDArray[Any], lower: NDArray[Any], upper: NDArray[Any], verdict: NDArray[Any]
) -> NDArray[np.float64]:
    """Return `shown_permeability` of many at once, arrays (boundary,)."""
    shown = np.where((verdict == "lower_bound") & (lower > 0), lower, k)
    bounded = (verdict == "upper_bound") & np.isfinite(upper)
    return np.asarray(np.where(bounded, upper, shown), dtype=np.float64)


def boundary_features(
    boundaries: Boundaries, fit: DiffusionFit | None = None, stale: frozenset[int] = frozenset()
) -> pd.DataFrame:
    """Return one row per id 0..N; row 0 is the background, as napari's table expects.

    Lengths are in um, angles in degrees and permeabilities in m/s, as the column names say.
    Boundaries in `stale` are other ones than those that were fitted: they show no
    permeability. A misorientation is there if the boundaries have one, notes if one of
    them has one.
    """
    table = boundaries.table
    size = 1 + (int(table.index.max()) if len(table) else 0)
    rows = table.reindex(range(size))
    there = rows["grain_a"].notna().to_numpy()
    features = pd.DataFrame({"index": np.arange(size)})
    for column in ("grain_a", "grain_b"):
        # whole numbers beside the background's NaN: napari leaves NaN out of the status bar
        values = np.full(size, np.nan, dtype=object)
        values[there] = rows[column].to_numpy()[there].astype(np.int64).tolist()
        features[column] = values
    features["length_um"] = np.round(rows["length"].to_numpy(dtype=float) / MICROMETRE, 4)
    if "misorientation" in rows.columns:
        degrees = np.rad2deg(rows["misorientation"].to_numpy(dtype=float))
        features["misorientation_deg"] = np.round(degrees, 2)
    if fit is not None:
        fitted = fit.table.drop(index=list(stale), errors="ignore").reindex(range(size))
        for ours, theirs in {
            "k_m_per_s": "permeability",
            "k_lower_m_per_s": "permeability_lower",
            "k_upper_m_per_s": "permeability_upper",
        }.items():
            features[ours] = fitted[theirs].to_numpy(dtype=float)
        features["verdict"] = fitted["verdict"].astype(object).to_numpy()
    features["state"] = rows["state"].astype(object).to_numpy()
    if "notes" in rows.columns:
        notes = rows["notes"].to_numpy(dtype=object)
        written = there & (notes != "")
        if written.any():
            # NaN where there is none: napari leaves it out of the status bar
            features["notes"] = np.where(written, notes, np.nan)
    return features
