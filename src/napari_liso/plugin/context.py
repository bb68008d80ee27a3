"""What a dock works on: the chosen layers of a viewer, followed as they come and go."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import QObject, Signal

from napari_liso.isotopes import guess_pair
from napari_liso.plugin import layers as ly
from napari_liso.plugin.labelling.editor import BoundaryEditor, editor_of
from napari_liso.plugin.records import corrections_of, give_corrections
from napari_liso.plugin.selection import BoundarySelection, selection_of
from napari_liso.plugin.showing import Colouring, colouring_of

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Image, Layer

    from napari_liso.counting.corrections import Corrections
    from napari_liso.diffusion.results import DiffusionFit
    from napari_liso.microstructure.boundaries import Boundaries

__all__ = ["Context", "LayerChoice"]


def is_countable(layer: Layer) -> bool:
    """Tell whether an image layer may hold counts: ours, or any image of whole numbers."""
    if layer.__class__.__name__ != "Image":
        return False
    role = ly.role_of(layer)
    if role:
        return role in ("counts", "scans")
    return not getattr(layer, "rgb", False) and layer.dtype.kind in "iuf" and layer.ndim >= 2


def is_labels(layer: Layer) -> bool:
    """Tell whether a layer may hold grains."""
    return layer.__class__.__name__ == "Labels" and ly.role_of(layer) != "boundaries"


def is_boundaries(layer: Layer) -> bool:
    """Tell whether a layer shows boundaries made by this plugin."""
    return ly.role_of(layer) == "boundaries" and isinstance(layer.metadata.get(ly.OBJECT), dict)


class LayerChoice(QObject):
    """One chosen layer out of those that fit; keeps its choice while that layer is there."""

    changed = Signal()  # another layer, or none
    candidates_changed = Signal()  # what can be chosen, or a name

    def __init__(self, accepts: Callable[[Layer], bool], parent: QObject) -> None:
        super().__init__(parent)
        self.accepts = accepts
        self.candidates: list[Layer] = []
        self.current: Layer | None = None

    def choose(self, layer: Layer | None) -> None:
        """Choose one of the candidates, or none."""
        if layer is not None and layer not in self.candidates:
            raise ValueError(f"'{layer.name}' cannot be chosen here")
        if layer != self.current:
            self.current = layer
            self.changed.emit()

    def refill(self, layers: list[Layer]) -> None:
        """Take the layers of the viewer; a choice that has gone becomes none."""
        self.candidates = [layer for layer in layers if self.accepts(layer)]
        gone = self.current is not None and self.current not in self.candidates
        if gone:
            self.current = None
        self.candidates_changed.emit()
        if gone:
            self.changed.emit()


class Context(QObject):
    """The layers that the panels of one dock share.

    Attributes
    ----------
    tracer, other
        Counts of the two isotopes.
    grains
        Labels layer of grains.
    boundaries
        Labels layer of boundaries, made by this plugin.
    """

    layers_changed = Signal()
    boundaries_changed = Signal()  # another layer, other boundaries in it, or a new fit
    selection_changed = Signal()
    scale_changed = Signal()  # colours or limits of the log10 k layer
    outdated = Signal()  # grains or boundaries are other ones than those that were fitted

    def __init__(self, viewer: ViewerModel, parent: QObject | None = None) -> None:
        super().__init__(parent)
        self.viewer = viewer
        self.tracer = LayerChoice(is_countable, self)
        self.other = LayerChoice(is_countable, self)
        self.grains = LayerChoice(is_labels, self)
        self.boundaries = LayerChoice(is_boundaries, self)
        self._watched: list[Layer] = []
        self._selection: BoundarySelection | None = None
        self._scale_image: Image | None = None
        self._put_away: list[Layer] = []
        self._edited = False  # since the fit that is shown
        self.boundaries.changed.connect(self._on_boundaries)
        viewer.layers.events.inserted.connect(self._on_layers)
        viewer.layers.events.removed.connect(self._on_layers)
        self._on_layers()

    # --- what the panels ask for --------------------------------------------------------------

    @property
    def counts(self) -> tuple[Layer, Layer] | None:
        """The two counts layers, or None while one is missing."""
        if self.tracer.current is None or self.other.current is None:
            return None
        return self.tracer.current, self.other.current

    @property
    def corrections(self) -> Corrections:
        """Corrections of the chosen isotopes, kept with the tracer's layer."""
        return corrections_of(self.tracer.current)

    def set_corrections(self, corrections: Corrections) -> None:
        """Keep corrections with the tracer's layer and tell every dock (`layers_changed`)."""
        layer = self.tracer.current
        if layer is not None and corrections != corrections_of(layer):
            give_corrections(layer, corrections)

    def current_boundaries(self) -> Boundaries | None:
        """Return the boundaries object of the chosen layer."""
        layer = self.boundaries.current
        return None if layer is None else ly.boundaries_from_layer(layer)

    @property
    def editor(self) -> BoundaryEditor | None:
        """Editor of the chosen boundaries and their grains, shared by all docks."""
        return editor_of(self.viewer, self.boundaries.current)

    def current_fit(self) -> DiffusionFit | None:
        """Return the fit shown by the chosen boundaries layer."""
        layer = self.boundaries.current
        return None if layer is None else ly.fit_from_layer(layer)

    @property
    def selection(self) -> BoundarySelection | None:
        """The selection of the chosen boundaries layer."""
        return self._selection

    def find(self, role: str) -> Layer | None:
        """Return the topmost layer of a role that has a length along with these counts."""
        for layer in reversed(self.viewer.layers):
            if ly.role_of(layer) == role:
                return layer
        return None

    # --- results that no longer hold ----------------------------------------------------------

    def mark_outdated(self, boundaries: Layer | None) -> None:
        """Hide the images of a fit whose grains or boundaries have changed since.

        Parameters
        ----------
        boundaries
            The boundaries layer whose fit no longer holds.
        """
        if boundaries is None:
            return
        for layer in self._images_of(boundaries):
            if layer.visible:
                layer.visible = False
                self._put_away.append(layer)
        self.outdated.emit()

    def mark_current(self, boundaries: Layer) -> None:
        """Show again, after a new fit, what `mark_outdated` hid."""
        for layer in self._images_of(boundaries):
            if layer in self._put_away:
                layer.visible = True
                self._put_away.remove(layer)

    def _images_of(self, boundaries: Layer) -> list[Layer]:
        names = {
            ly.result_name(base, boundaries.name): role
            for role, base in (
                ("permeability", ly.PERMEABILITY),
                ("model", ly.MODEL),
                ("residual", ly.RESIDUAL),
            )
        }
        return [
            x for x in self.viewer.layers if x.name in names and ly.role_of(x) == names[x.name]
        ]

    # --- following the viewer -----------------------------------------------------------------

    def _on_layers(self, event: object = None) -> None:
        if not isalive(self):
            return
        present = list(self.viewer.layers)
        for layer in present:
            if layer not in self._watched:
                layer.events.name.connect(self._on_name)
                layer.events.metadata.connect(self._on_metadata)
                layer.events.units.connect(self._on_placement)
                layer.events.scale.connect(self._on_placement)
                ly.dress(layer)
        for layer in self._watched:
            if layer not in present:
                layer.events.name.disconnect(self._on_name)
                layer.events.metadata.disconnect(self._on_metadata)
                layer.events.units.disconnect(self._on_placement)
                layer.events.scale.disconnect(self._on_placement)
        self._watched = present
        self._refill()

    def _refill(self) -> None:
        for choice in (self.tracer, self.other, self.grains, self.boundaries):
            choice.refill(self._watched)
        self._guess()
        self._follow_scale_image()
        self.layers_changed.emit()

    def _guess(self) -> None:
        """Choose what is unambiguous, where nothing is chosen yet."""
        if self.tracer.current is None and self.other.current is None:
            images = self.tracer.candidates
            pair = guess_pair([ly.channel_of(image) for image in images])
            if pair is not None:
                self.tracer.choose(images[pair[0]])
                self.other.choose(images[pair[1]])
        for choice in (self.grains, self.boundaries):
            if choice.current is None and choice.candidates:
                choice.choose(choice.candidates[-1])

    def _on_name(self, event: object = None) -> None:
        if isalive(self):
            for choice in (self.tracer, self.other, self.grains, self.boundaries):
                choice.candidates_changed.emit()

    def _on_placement(self, event: object = None) -> None:
        if isalive(self):
            self.layers_changed.emit()

    def _on_metadata(self, event: object = None) -> None:
        if not isalive(self):
            return
        before = self.boundaries.current
        self._refill()
        if before is not None and before == self.boundaries.current:
            self._on_boundaries()

    def _on_boundaries(self) -> None:
        layer = self.boundaries.current
        selection = None if layer is None else selection_of(layer)
        if selection is not self._selection:
            if self._selection is not None and isalive(self._selection):
                self._selection.changed.disconnect(self._on_selection)
            self._selection = selection
            if selection is not None:
                selection.changed.connect(self._on_selection)
        if layer is not None and selection is not None:
            last = len(layer.features) - 1
            selection.select(i for i in selection.ids if i <= last)
        self._follow_scale_image()
        self._follow_edits()
        self.boundaries_changed.emit()
        self._on_selection()

    def _follow_edits(self) -> None:
        """Put the images of a fit away while boundaries are other than fitted; undo shows them."""
        layer, editor = self.boundaries.current, self.editor
        fitted = self.current_fit() is not None
        edited = fitted and editor is not None and bool(editor.stale)
        if edited and not self._edited:
            self.mark_outdated(layer)
        elif self._edited and fitted and not edited and layer is not None:
            self.mark_current(layer)
        self._edited = edited

    def _on_selection(self) -> None:
        self._recolour()
        self.selection_changed.emit()

    # --- colours ------------------------------------------------------------------------------

    def _follow_scale_image(self) -> None:
        """Keep boundaries in the colours of the log10 k layer, whose scale is on the canvas."""
        layer = self.boundaries.current
        name = "" if layer is None else ly.result_name(ly.PERMEABILITY, layer.name)
        images = [im for im in self._watched if im.name == name]
        image = images[0] if images and ly.role_of(images[0]) == "permeability" else None
        if image == self._scale_image:
            return
        if self._scale_image is not None:
            self._scale_image.events.colormap.disconnect(self._on_scale)
            self._scale_image.events.contrast_limits.disconnect(self._on_scale)
        self._scale_image = image
        if image is not None:
            image.events.colormap.connect(self._on_scale)
            image.events.contrast_limits.connect(self._on_scale)

    def colouring(self) -> Colouring | None:
        """Return how the boundaries of the chosen layer are coloured, without the selection."""
        layer = self.boundaries.current
        return None if layer is None else colouring_of(layer, self._scale_image)

    def _on_scale(self, event: object = None) -> None:
        if isalive(self):
            self._recolour()
            self.scale_changed.emit()

    def _recolour(self) -> None:
        layer = self.boundaries.current
        if layer is not None and layer in self.viewer.layers:
            ids = () if self._selection is None else self._selection.ids
            ly.recolour_boundaries(layer, ids, self._scale_image)
