"""The features table of a boundaries layer: what napari shows about each label."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_liso.units import MICROMETRE

if TYPE_CHECKING:
    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["boundary_features", "shown_permeability"]


def shown_permeability(k: float, lower: float, upper: float, verdict: str) -> float:
    """Return the one number that stands for a permeability: its value, or its bound."""
    if verdict == "lower_bound" and lower > 0:
        return lower
    if verdict == "upper_bound" and np.isfinite(upper):
        return upper
    return k


def boundary_features(
    boundaries: Boundaries, fit: DiffusionFit | None = None, stale: frozenset[int] = frozenset()
) -> pd.DataFrame:
    """Return one row per id 0..N; row 0 is the background, as napari's table expects.

    Lengths are in um and permeabilities in m/s, as the column names say. Boundaries in
    `stale` are other ones than those that were fitted: they show no permeability.
    """
    table = boundaries.table
    size = 1 + (int(table.index.max()) if len(table) else 0)
    rows = table.reindex(range(size))
    features = pd.DataFrame({"index": np.arange(size)})
    for column in ("grain_a", "grain_b"):
        # whole numbers beside the background's NaN: napari leaves NaN out of the status bar
        values = [int(v) if np.isfinite(v) else np.nan for v in rows[column]]
        features[column] = np.array(values, dtype=object)
    features["length_um"] = np.round(rows["length"].to_numpy(dtype=float) / MICROMETRE, 4)
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
    return features
