"""Edits of a label image of grains: split, merge, erase, redraw, fill, remove.

Every function only looks at the labels and returns the pixels that change, as a
`PixelEdit`; the label image stays as it is. 0 is no grain: a drawn line between
grains, a pore, or the outside. Where an edit makes no sense, ValueError says why.
Locked boundaries are not looked at.
"""

from __future__ import annotations

from napari_liso.microstructure.cleaning import fill_holes, remove_islands
from napari_liso.microstructure.edits import PixelEdit
from napari_liso.microstructure.joining import erase_boundaries, merge_grains
from napari_liso.microstructure.redrawing import redraw_boundary
from napari_liso.microstructure.splitting import split_by_points, split_grain

__all__ = [
    "PixelEdit",
    "erase_boundaries",
    "fill_holes",
    "merge_grains",
    "redraw_boundary",
    "remove_islands",
    "split_by_points",
    "split_grain",
]
