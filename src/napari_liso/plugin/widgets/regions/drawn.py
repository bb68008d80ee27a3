"""What the panels of regions and of lines share: following a drawn layer and the counts."""

from __future__ import annotations

from collections.abc import Hashable
from typing import TYPE_CHECKING

from qtpy.compat import isalive

from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.newest import Newest
from napari_liso.plugin.regions.asked import signature_of
from napari_liso.plugin.widgets.parts import Panel

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = ["DrawnPanel"]


class DrawnPanel(Panel):
    """A panel that works out what is drawn in a layer, again whenever layer or counts change.

    A subclass makes `choice` and `newest` and calls `follow`; by `first_choice` it may say
    which new layer to take.

    Attributes
    ----------
    choice
        The layer that is drawn in.
    newest
        Works out what was asked for last.
    """

    choice: LayerChoice
    newest: Newest

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._known: list[Layer] = []
        self._counts: list[Layer] = []
        self._seen: Hashable = None

    def first_choice(self, new: list[Layer]) -> Layer | None:
        """Return which of the new candidates to take where none is chosen: the newest."""
        return new[-1]

    def on_other_counts(self) -> None:
        """Do what has to be done before other counts, or other corrections, are worked out."""

    def refresh(self) -> None:
        """Say why a button cannot be pressed."""

    def follow(self) -> None:
        """Follow the layers of the viewer from now on."""
        context = self.context
        context.layers_changed.connect(self._on_layers)
        context.tracer.changed.connect(self._on_layers)
        context.other.changed.connect(self._on_layers)
        # of any layer: it tells when a name was changed
        context.grains.candidates_changed.connect(self._refill)
        self._on_layers()

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return "" if self.choice.current is not None else "none yet"

    def setVisible(self, visible: bool) -> None:
        """Work out what changed while the step was folded."""
        super().setVisible(visible)
        if visible and hasattr(self, "newest"):
            self.newest.ask()

    def _refill(self) -> None:
        if isalive(self):
            self.choice.refill(list(self.context.viewer.layers))

    def _on_layers(self) -> None:
        """Follow the layers of the viewer, the counts and their corrections."""
        self._refill()
        new = [layer for layer in self.choice.candidates if layer not in self._known]
        self._known = list(self.choice.candidates)
        if self.choice.current is None and new:
            self.choice.choose(self.first_choice(new))
        for layer in self._counts:
            layer.events.data.disconnect(self._on_counts)
        self._counts = list(dict.fromkeys(self.context.counts or ()))
        for layer in self._counts:
            layer.events.data.connect(self._on_counts)
        signature = signature_of(self.context)
        if signature != self._seen:
            self._seen = signature
            self.on_other_counts()
            self.newest.ask()
        self.refresh()

    def _on_counts(self, event: object = None) -> None:
        if isalive(self):
            self._on_layers()
