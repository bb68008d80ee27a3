"""A microscope image laid over the map by landmarks that are clicked on both."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSlider,
)

from napari_liso.plugin import layers as ly
from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.overlay import overlaid
from napari_liso.plugin.widgets.main import Dock
from napari_liso.plugin.widgets.overlay.landmark_editor import LandmarkEditor
from napari_liso.plugin.widgets.parts import LayerBox, Panel, enable, form

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["OverlayDock", "OverlayPanel"]

_FILTER = "Images (*.png *.tif *.tiff *.jpg *.jpeg *.bmp *.gif);;All files (*)"
_OPEN_TIP = "Open an image file (PNG, TIFF, JPEG, ...) of any size and lay it beside the map"
_BESIDE_TIP = "Put the image to the right of the map and as high, to click on both (undoable)"
_PLACE_TIP = (
    "Lay the image over the map so that the landmarks meet: sets the layer's affine; its pixels "
    "are not changed. Undoable."
)
_BLENDING = {"over the map": "translucent", "added": "additive", "darker of both": "minimum"}
_DRAW_HINT = (
    "Grains seen on the image are drawn into a Labels layer on the map's grid: “Draw them” in "
    "Label boundaries. Pixels of the map stay as they are."
)


#: Opacity of an image that is placed for the first time and was fully opaque.
_SEEN_THROUGH = 0.6


class OverlayPanel(Panel):
    """Choose an image, click landmarks on it and on the map, and place it."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.reference = LayerChoice(self._can_be_reference, self)
        self.image = LayerChoice(self._can_be_image, self)
        self._looked_at: Layer | None = None
        self._make_widgets()
        self._lay_out()
        context.layers_changed.connect(self.refresh)
        self.reference.changed.connect(self._on_choice)
        self.image.changed.connect(self._on_choice)
        self.refresh()

    # --- widgets ------------------------------------------------------------------------------

    def _make_widgets(self) -> None:
        self.reference_box = LayerBox(
            self.reference, "choose a layer", "Layer of the map that the image is laid over"
        )
        self.image_box = LayerBox(
            self.image, "choose or open one", "Image (SEM, laser, EBSD map) to lay over the map"
        )
        self.open_button = QPushButton("Open image …")
        self.open_button.clicked.connect(self.open_image)
        self.beside_button = QPushButton("Put beside map")
        self.beside_button.clicked.connect(self.put_beside)
        self.landmarks = LandmarkEditor(self.context.viewer)
        self.landmarks.changed.connect(self._refresh_buttons)
        self.landmarks.said.connect(self.message.say)
        self.place_button = QPushButton("Place image")
        self.place_button.clicked.connect(self.place)
        self.undo_button = QPushButton("Undo")
        self.undo_button.clicked.connect(self.undo)
        self.redo_button = QPushButton("Redo")
        self.redo_button.clicked.connect(self.redo)
        self.opacity = QSlider(Qt.Orientation.Horizontal)
        self.opacity.setRange(0, 100)
        self.opacity.setToolTip("Opacity of the image, 0 to 100 %")
        self.opacity.valueChanged.connect(self._on_opacity)
        self.blending = QComboBox()
        self.blending.addItems(list(_BLENDING))
        self.blending.setToolTip("How the image is laid over the map (blending of its layer)")
        self.blending.activated.connect(self._on_blending)
        self.hint = QLabel(_DRAW_HINT)
        self.hint.setWordWrap(True)

    def _lay_out(self) -> None:
        rows = form()
        rows.addRow("Map", self.reference_box)
        rows.addRow("Image", self.image_box)
        self.column.addLayout(rows)
        self.column.addLayout(_row(self.open_button, self.beside_button))
        self.column.addWidget(self.landmarks)
        placing = QHBoxLayout()
        placing.addWidget(self.place_button, 2)
        placing.addWidget(self.undo_button, 1)
        placing.addWidget(self.redo_button, 1)
        self.column.addLayout(placing)
        self.column.addWidget(self.message)
        look = form()
        show = QHBoxLayout()
        show.addWidget(self.opacity, 1)
        show.addWidget(self.blending)
        look.addRow("Opacity", show)
        self.column.addLayout(look)
        self.column.addWidget(self.hint)

    # --- layers -------------------------------------------------------------------------------

    def _can_be_reference(self, layer: Layer) -> bool:
        return _is_image(layer) and ly.role_of(layer) not in (overlaid.ROLE, "profile")

    def _can_be_image(self, layer: Layer) -> bool:
        return _is_image(layer) and layer.ndim == 2

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        image = self.image.current
        if image is None:
            return "no image yet"
        return "" if overlaid.record_of(image) else "not placed yet"

    def refresh(self) -> None:
        """Follow the layers of the viewer."""
        if not isalive(self):
            return
        present = list(self.context.viewer.layers)
        self.reference.refill(present)
        self.image.refill(present)
        self._guess()
        self._follow_look()
        self.landmarks.set_layers(self.image.current, self.reference.current)

    def _guess(self) -> None:
        """Choose what is clear, where nothing is chosen yet."""
        if self.image.current is None:
            ours = [x for x in self.image.candidates if ly.role_of(x) == overlaid.ROLE]
            strange = [x for x in self.image.candidates if not ly.role_of(x)]
            ours = ours or (strange if len(strange) == 1 else [])
            if ours and len(self.reference.candidates) > 1:
                self.image.choose(ours[-1])
        if self.reference.current is None:
            image = self.image.current
            tracer = self.context.tracer.current
            maps = [x for x in self.reference.candidates if ly.role_of(x)]
            if tracer is not None and tracer in self.reference.candidates and tracer != image:
                self.reference.choose(tracer)
            elif maps:
                self.reference.choose(maps[-1])

    def _on_choice(self) -> None:
        self.message.say("")
        self.refresh()

    # --- opening ------------------------------------------------------------------------------

    def open_image(self) -> None:
        """Ask for a file and open it beside the map."""
        path, _ = QFileDialog.getOpenFileName(self, "Open a microscope image", "", _FILTER)
        if path:
            self.open_file(path)

    def open_file(self, path: str) -> None:
        """Open an image file with napari's own reader, and lay it beside the map."""
        reference = self.reference.current
        if reference is None:
            self.fail(ValueError("open the map first, then the image that is laid over it"))
            return
        placement = {"units": tuple(reference.units[-2:]), "axis_labels": ("y", "x")}
        try:
            layers = self.context.viewer.open(path, plugin="napari", **placement)
        except Exception as error:  # noqa: BLE001 - readers of images raise anything
            text = " ".join(str(error).split())[:200]
            self.fail(
                ValueError(
                    f"{Path(path).name} cannot be opened as one image. Of a stack, save the plane "
                    f"that is to lie over the map as a file of its own ({text})"
                )
            )
            return
        image = layers[0]
        overlaid.adopt(self.context.viewer, image, reference)
        self.refresh()
        self.image.choose(next(x for x in self.image.candidates if x == image))
        self.put_beside()

    def put_beside(self) -> None:
        """Put the image to the right of the map."""
        image, reference = self.image.current, self.reference.current
        if image is None or reference is None:
            return
        overlaid.adopt(self.context.viewer, image, reference)
        overlaid.place_beside(image, reference)
        self.context.viewer.reset_view()
        self.message.say("Click three or more landmarks on each, in any order.")
        self.refresh()

    # --- placing ------------------------------------------------------------------------------

    def _refresh_buttons(self) -> None:
        image, reference = self.image.current, self.reference.current
        layers = "" if reference is not None else "open the map first"
        enable(self.open_button, layers, _OPEN_TIP)
        if not layers and image is None:
            layers = "open or choose an image"
        if not layers and image == reference:
            layers = "map and image are the same layer"
        enable(self.beside_button, layers, _BESIDE_TIP)
        editor = self.landmarks
        for button, where in ((editor.map_button, "map"), (editor.image_button, "image")):
            enable(button, layers, f"Click landmarks on the {where}: points that you see on both")
        enable(self.place_button, layers or editor.missing, _PLACE_TIP)
        nothing = "" if overlaid.can_undo(image) else "the image has not been moved here"
        enable(self.undo_button, nothing, "Back to where the image was before")
        nothing = "" if overlaid.can_redo(image) else "nothing was undone"
        enable(self.redo_button, nothing, "Place it again where it was before Undo")

    def place(self) -> None:
        """Lay the image over the map by its landmarks."""
        image, reference, fit = self.image.current, self.reference.current, self.landmarks.fit
        if image is None or reference is None or fit is None:
            return
        if image.opacity == 1 and overlaid.record_of(image) is None:
            image.opacity = _SEEN_THROUGH  # else the map beneath would be gone
        overlaid.place(image, reference, fit, self.landmarks.record())
        self.refresh()
        self.message.say("Placed; what is left between the two marks of a pair is the residual.")

    def undo(self) -> None:
        """Take back the last placing."""
        self._step(overlaid.undo, "Undone.")

    def redo(self) -> None:
        """Place again what was taken back."""
        self._step(overlaid.redo, "Placed again.")

    def _step(self, step: Callable[[Layer], None], said: str) -> None:
        if self.image.current is None:
            return
        try:
            step(self.image.current)
        except ValueError as error:
            self.fail(error)
            return
        self.refresh()
        self.message.say(said)

    # --- look ---------------------------------------------------------------------------------

    def _follow_look(self) -> None:
        image, before = self.image.current, self._looked_at
        if image == before:
            return
        for name in ("opacity", "blending"):
            if before is not None:
                getattr(before.events, name).disconnect(self._show_look)
            if image is not None:
                getattr(image.events, name).connect(self._show_look)
        self._looked_at = image
        self._show_look()

    def _show_look(self, event: object = None) -> None:
        image = self.image.current
        if not isalive(self) or image is None:
            return
        self.opacity.blockSignals(True)
        self.opacity.setValue(round(100 * image.opacity))
        self.opacity.blockSignals(False)
        modes = list(_BLENDING.values())
        self.blending.setCurrentIndex(
            modes.index(image.blending) if image.blending in modes else 0
        )

    def _on_opacity(self, percent: int) -> None:
        if self.image.current is not None:
            self.image.current.opacity = percent / 100

    def _on_blending(self, index: int) -> None:
        if self.image.current is not None:
            self.image.current.blending = list(_BLENDING.values())[index]


class OverlayDock(Dock):
    """A microscope image over the map."""

    def __init__(self, napari_viewer: ViewerModel) -> None:
        super().__init__(napari_viewer)
        self.overlay = OverlayPanel(self.context)
        self.add_step("Overlay microscope image", self.overlay)
        self.follow()


def _is_image(layer: Layer) -> bool:
    return layer.__class__.__name__ == "Image" and layer.ndim >= 2


def _row(*widgets: QPushButton) -> QHBoxLayout:
    layout = QHBoxLayout()
    for widget in widgets:
        layout.addWidget(widget, 1)
    return layout
