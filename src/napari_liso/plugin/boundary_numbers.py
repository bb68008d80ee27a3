"""Boundaries numbered anew: removed rows go, and what is kept by id goes along."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from napari_liso.microstructure.update import renumber
from napari_liso.plugin import layers as ly
from napari_liso.plugin.records import OBJECT, PROVENANCE
from napari_liso.plugin.selection import selection_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Labels

    from napari_liso.diffusion.results import DiffusionFit

__all__ = ["can_renumber", "renumber_layer"]


def can_renumber(layer: Labels) -> bool:
    """Tell whether a boundaries layer has removed rows, or ids that are not 1..N."""
    table = ly.boundaries_from_layer(layer).table
    removed = (table["state"] == "removed").any()
    return bool(removed or (len(table) and table.index.max() != len(table)))


def renumber_layer(viewer: ViewerModel, layer: Labels) -> dict[int, int]:
    """Drop the rows of removed boundaries and number the others 1..N in their order.

    States, notes, the fit and the selection go along. A boundary that changed since the fit
    has no permeability afterwards, as before. The history of edits ends here.

    Parameters
    ----------
    viewer
        Whose layer it is.
    layer
        The boundaries layer.

    Returns
    -------
    dict
        New id of each old one that is still there.
    """
    shared = layer.metadata[OBJECT]
    stale = list(shared.get("stale") or ())
    found, ids = renumber(ly.boundaries_from_layer(layer))
    fit = _renumbered(ly.fit_from_layer(layer), stale, ids)
    chosen = [ids[i] for i in selection_of(layer).ids if i in ids]
    record = layer.metadata[PROVENANCE]
    made = ly.boundaries_layer(
        found, ly.Placement.of_layer(layer), layer.name, fit=fit, sources=record["sources"]
    )
    # made as it was; only the numbers are others
    made[1]["metadata"][PROVENANCE] = dict(record)
    selection_of(layer).select(())
    ly.show(viewer, made)
    selection_of(layer).select(chosen)
    return ids


def _renumbered(
    fit: DiffusionFit | None, stale: list[int], ids: dict[int, int]
) -> DiffusionFit | None:
    """Return a fit whose table has the new ids, without the boundaries that have changed."""
    if fit is None:
        return None
    table = fit.table.drop(index=stale, errors="ignore")
    table = table[table.index.isin(list(ids))].rename(index=ids)
    return replace(fit, table=table)
