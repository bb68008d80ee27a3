"""Choosing one region, or all that a layer holds, or the whole map."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from qtpy.compat import isalive
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QWidget

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.regions.pixels import (
    Drawn,
    drawn_on,
    feature_names,
    is_region_layer,
    is_shapes,
    regions_of,
)
from napari_liso.plugin.widgets.parts import LayerBox, wide

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["RegionChoice", "mask_of"]

#: Labels layers of more regions offer all of them together only.
_MOST = 500


def mask_of(drawn: Drawn | None, label: int | None) -> NDArray[np.bool_] | None:
    """Return (y, x), the pixels of a region, of all (None), or None for the whole map."""
    if drawn is None:
        return None
    regions = regions_of(drawn)
    if label is None:
        mask = np.zeros(regions.shape, dtype=bool)
        mask.ravel()[regions.pixel] = True
        return mask
    if label not in regions.labels:
        raise ValueError(f"there is no region {label} any more: choose another")
    return regions.mask(regions.labels.index(label))


class RegionChoice(QWidget):
    """A box of Labels and Shapes layers, and one of the regions in the chosen one."""

    changed = Signal()

    def __init__(self, context: Context, hint: str, tooltip: str) -> None:
        super().__init__()
        self._context = context
        self.choice = LayerChoice(_may_hold_regions, self)
        self.box = LayerBox(self.choice, hint, tooltip)
        self.region = wide(QComboBox())
        self.region.setToolTip("Which of the layer's regions; all of them together")
        self.region.setMinimumContentsLength(6)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.addWidget(self.box, 3)
        row.addWidget(self.region, 2)
        self._labels: list[int | None] = [None]
        self._followed: Layer | None = None
        self.choice.changed.connect(self._on_choice)
        self.region.activated.connect(lambda: self.changed.emit())
        context.layers_changed.connect(self._refill)
        context.grains.candidates_changed.connect(self._refill)
        self._refill()
        self._on_choice()

    @property
    def label(self) -> int | None:
        """Number of the chosen region; None for all."""
        return self._labels[max(0, self.region.currentIndex())]

    @property
    def name(self) -> str:
        """What is chosen, in words."""
        layer = self.choice.current
        if layer is None:
            return "whole map"
        return layer.name if self.label is None else f"{layer.name}, {self.region.currentText()}"

    def drawn(self, counts: Layer) -> Drawn | None:
        """Take what is chosen, placed on a layer of counts, for `mask_of`; None: the whole map."""
        layer = self.choice.current
        return None if layer is None else drawn_on(layer, counts)

    def _refill(self) -> None:
        if isalive(self):
            self.choice.refill(list(self._context.viewer.layers))

    def _on_choice(self) -> None:
        if self._followed is not None:
            for name in _events_of(self._followed):
                getattr(self._followed.events, name).disconnect(self._on_drawn)
        self._followed = self.choice.current
        if self._followed is not None:
            for name in _events_of(self._followed):
                getattr(self._followed.events, name).connect(self._on_drawn)
        self._fill()
        self.changed.emit()

    def _on_drawn(self, event: object = None) -> None:
        if isalive(self):
            self._fill()
            self.changed.emit()

    def _fill(self) -> None:
        layer, before = self.choice.current, self.label
        numbers = [] if layer is None else _numbers(layer)
        names = {} if layer is None else feature_names(layer)
        self._labels = [None, *numbers] if len(numbers) <= _MOST else [None]
        self.region.blockSignals(True)
        self.region.clear()
        self.region.addItem("all of them")
        self.region.addItems([names.get(n, f"region {n}") for n in numbers[:_MOST]])
        self.region.setCurrentIndex(self._labels.index(before) if before in self._labels else 0)
        self.region.blockSignals(False)
        self.region.setVisible(layer is not None)


def _may_hold_regions(layer: Layer) -> bool:
    return is_region_layer(layer) and ly.role_of(layer) != "boundaries"


def _events_of(layer: Layer) -> tuple[str, ...]:
    return ("data",) if is_shapes(layer) else ("paint", "data")


def _numbers(layer: Layer) -> list[int]:
    if is_shapes(layer):
        return list(range(1, len(layer.data) + 1))
    found = np.unique(np.asarray(layer.data))
    return [int(n) for n in found[found > 0]]
