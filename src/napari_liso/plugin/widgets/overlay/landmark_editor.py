"""Landmarks clicked on the map and on an image, their pairs, and the fit that they make."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_liso.plugin import layers as ly
from napari_liso.plugin.layers.landmarks import landmarks_layer
from napari_liso.plugin.overlay import landmarks as lm
from napari_liso.plugin.overlay.overlaid import ROLE, adopt, length_unit, take_unit
from napari_liso.plugin.widgets.overlay.landmark_table import LandmarkTable, Row
from napari_liso.plugin.widgets.parts import MessageLine, enable, form, wide
from napari_liso.registration import Kind, Registration, fit_landmarks

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["LandmarkEditor"]

_KINDS: dict[str, Kind] = {"turn, scale, shift": "similarity", "also stretch, shear": "affine"}
_KIND_TIP = (
    "What may be done to the image. Turn, scale, shift (a similarity): for images taken straight "
    "from above. Also stretch, shear (an affine): for tilted samples, EBSD, or a scan whose axes "
    "differ; needs four pairs or more to show residuals."
)
_MIRRORED_TIP = "Turn the image over, where one of the two is seen as in a mirror"
_ORDER_TIP = (
    "Find the pairs by the arrangement of the landmarks, whatever order they were clicked in; "
    "where it is not clear, the order of the clicks counts. Unticked: always the order of the "
    "clicks."
)
_REMOVE_TIP = "Remove the landmarks of the selected rows from both images"
_MOVED = ("affine", "scale", "translate", "rotate", "shear", "units")


class LandmarkEditor(QWidget):
    """Two buttons to click with, the table of pairs, and what the fit says.

    Attributes
    ----------
    fit
        Of the pairs as they are now, None while there are too few.
    missing
        What a fit lacks, ``""`` if there is one.
    pairs
        Which landmarks belong together.
    """

    changed = Signal()
    said = Signal(str)

    def __init__(self, viewer: ViewerModel) -> None:
        super().__init__()
        self.viewer = viewer
        self.fit: Registration | None = None
        self.missing = ""
        self.pairs = lm.Pairs((), (), ())
        self._image: Layer | None = None
        self._reference: Layer | None = None
        self._followed: list[Layer] = []
        self._updating = False
        self._make_widgets()
        self._lay_out()

    def _make_widgets(self) -> None:
        self.map_button = QPushButton()
        self.map_button.clicked.connect(self.click_on_map)
        self.image_button = QPushButton()
        self.image_button.clicked.connect(self.click_on_image)
        self.table = LandmarkTable()
        self.table.ticked.connect(self._on_ticked)
        self.table.picked.connect(self._on_picked)
        self.remove_button = QPushButton("Remove")
        self.remove_button.clicked.connect(self.remove_pairs)
        self.any_order = QCheckBox("Any order")
        self.any_order.setChecked(True)
        self.any_order.setToolTip(_ORDER_TIP)
        self.mirrored = QCheckBox("Mirrored")
        self.mirrored.setToolTip(_MIRRORED_TIP)
        self.kind_box = wide(QComboBox())
        self.kind_box.addItems(list(_KINDS))
        self.kind_box.setToolTip(_KIND_TIP)
        self.any_order.toggled.connect(self.refresh)
        self.mirrored.toggled.connect(self.refresh)
        self.kind_box.currentIndexChanged.connect(self.refresh)
        self.result = QLabel()
        self.result.setWordWrap(True)
        self.advice = MessageLine()

    def _lay_out(self) -> None:
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        clicks = QHBoxLayout()
        clicks.addWidget(self.map_button, 1)
        clicks.addWidget(self.image_button, 1)
        column.addLayout(clicks)
        column.addWidget(self.table)
        below = QHBoxLayout()
        below.addWidget(self.any_order)
        below.addWidget(self.mirrored)
        below.addStretch(1)
        below.addWidget(self.remove_button)
        column.addLayout(below)
        allowed = form()
        allowed.addRow("Allow", self.kind_box)
        column.addLayout(allowed)
        column.addWidget(self.result)
        column.addWidget(self.advice)

    # --- layers -------------------------------------------------------------------------------

    @property
    def kind(self) -> Kind:
        """What may be done to the image."""
        return _KINDS[self.kind_box.currentText()]

    @property
    def _turned_over(self) -> bool:
        return self.mirrored.isChecked() and self.kind == "similarity"

    def on_map(self) -> Any:
        """Return the Points layer of landmarks on the map, or None."""
        return self._find("map")

    def on_image(self) -> Any:
        """Return the Points layer of landmarks on the image, or None."""
        return self._find("image")

    def _find(self, where: lm.Where) -> Any:
        image = self._image
        return None if image is None else lm.find_landmarks(self.viewer, image, where)

    def set_layers(self, image: Layer | None, reference: Layer | None) -> None:
        """Work on an image over a layer of the map, and follow both and their landmarks."""
        self._image, self._reference = image, reference
        wanted = (reference, image, self.on_map(), self.on_image())
        layers = [layer for layer in wanted if layer is not None]
        if {x.unique_id for x in layers} != {x.unique_id for x in self._followed}:
            for layer in self._followed:
                self._listen(layer, False)
            self._followed = layers
            for layer in layers:
                self._listen(layer, True)
        self._sync()
        self.refresh()

    def _listen(self, layer: Layer, start: bool) -> None:
        emitters = [(getattr(layer.events, name), self._on_moved) for name in _MOVED]
        if ly.role_of(layer) == lm.ROLE:
            emitters.append((layer.events.data, self._on_points))
        for emitter, slot in emitters:
            if start:
                emitter.connect(slot)
            else:
                emitter.disconnect(slot)

    def _on_moved(self, event: object = None) -> None:
        if isalive(self) and not self._updating:
            self._sync()
            self.refresh()

    def _on_points(self, event: object = None) -> None:
        if isalive(self) and not self._updating:
            self.refresh()

    def _sync(self) -> None:
        """Lay the landmarks exactly as what they mark."""
        by_id = {str(x.unique_id): x for x in self.viewer.layers if ly.role_of(x) != lm.ROLE}
        on_image = self.on_image()
        self._updating = True
        for points in (self.on_map(), on_image):
            if points is None:
                continue
            owner = by_id.get(str(points.metadata[ly.PROVENANCE].get("marked_id")))
            if owner is None and points == on_image:
                owner = self._image
            if owner is not None:
                lm.lie_as(points, owner)
        self._updating = False

    # --- landmarks ----------------------------------------------------------------------------

    def click_on_map(self) -> None:
        """Let landmarks on the map be clicked."""
        self._click_on("map")

    def click_on_image(self) -> None:
        """Let landmarks on the image be clicked."""
        self._click_on("image")

    def _click_on(self, where: lm.Where) -> None:
        """Make the landmarks' layers if they are not there, and let one be clicked into."""
        image, reference = self._image, self._reference
        if image is None or reference is None:
            return
        if ly.role_of(image) != ROLE:
            adopt(self.viewer, image, reference)
        take_unit(image, reference)
        both: tuple[tuple[lm.Where, Layer], ...]
        both = (("map", reference), ("image", image))
        for side, marked in both:
            if self._find(side) is None:
                ly.add(self.viewer, landmarks_layer(side, image, marked))
        self.set_layers(image, reference)
        points = self._find(where)
        self.viewer.layers.selection.active = points
        points.mode = "add"
        place = "the map" if where == "map" else f"“{image.name}”"
        self.said.emit(
            f"Click landmarks on {place}. Key 3 selects, to drag one or to delete it; key 2 adds "
            "again."
        )

    def remove_pairs(self) -> None:
        """Remove the landmarks of the selected rows from both images."""
        chosen = set(self.table.chosen())
        self._updating = True
        for points in (self.on_map(), self.on_image()):
            if points is not None:
                numbers = lm.numbers(points)
                points.selected_data = {i for i, n in enumerate(numbers) if n in chosen}
                points.remove_selected()
        self._updating = False
        self.table.clearSelection()
        self.refresh()

    def _on_ticked(self, number: int, kept: bool) -> None:
        self._updating = True
        for points in (self.on_map(), self.on_image()):
            if points is not None:
                numbers, use = lm.numbers(points), lm.used(points)
                use[numbers == number] = kept
                lm.number(points, numbers, use)
        self._updating = False
        self.refresh()

    def _on_picked(self, chosen: tuple[int, ...]) -> None:
        for points in (self.on_map(), self.on_image()):
            if points is not None:
                numbers = lm.numbers(points)
                points.selected_data = {i for i, n in enumerate(numbers) if n in chosen}
        self._refresh_remove()

    def _refresh_remove(self) -> None:
        chosen = "" if self.table.chosen() else "select a row of the table"
        enable(self.remove_button, chosen, _REMOVE_TIP)

    def record(self) -> dict[str, Any]:
        """Return where the landmarks of the fit are, JSON-able."""
        fixed, moving = self.on_map(), self.on_image()
        chosen = [n for n, kept in enumerate(self.pairs.kept) if kept]
        on_map, on_image = (
            [side[n] for n in chosen] for side in (self.pairs.map, self.pairs.image)
        )
        return {
            "map": lm.world(fixed, fixed.data)[on_map].tolist(),
            "image_px": np.asarray(moving.data)[on_image].tolist(),
            "numbers": [i + 1 for i in on_map],
        }

    # --- fit ----------------------------------------------------------------------------------

    def refresh(self, *_: object) -> None:
        """Pair the landmarks and fit them as they are now."""
        fixed, moving = self.on_map(), self.on_image()
        self.fit = None
        self.missing = "click three landmarks or more on the map and on the image"
        self.pairs = lm.Pairs((), (), ())
        if fixed is not None and moving is not None:
            places = lm.physical(moving, moving.data), lm.world(fixed, fixed.data)
            self.pairs = lm.pair_up(
                *places,
                lm.used(moving),
                lm.used(fixed),
                any_order=self.any_order.isChecked(),
                mirrored=self._turned_over,
                affine=self.kind == "affine",
            )
            self._number(fixed, moving)
            counts = int(lm.used(fixed).sum()), int(lm.used(moving).sum())
            if self.any_order.isChecked() and min(counts) >= 3 and counts[0] != counts[1]:
                self.missing = (
                    f"there are {counts[0]} landmarks on the map and {counts[1]} on the image: "
                    "click as many on both, or untick Any order"
                )
            else:
                self._fit(*places)
        self.mirrored.setEnabled(self.kind == "similarity")
        self._show_table(fixed, moving)
        self._show_fit()
        self._refresh_remove()
        self.changed.emit()

    def _number(self, fixed: Any, moving: Any) -> None:
        """Give the two landmarks of a pair the same number, and the same tick."""
        pairs = self.pairs
        on_map, on_image = pairs.numbers(len(fixed.data), len(moving.data))
        kept_map, kept_image = lm.used(fixed), lm.used(moving)
        for i, j, kept in zip(pairs.map, pairs.image, pairs.kept, strict=True):
            kept_map[i] = kept_image[j] = kept
        self._updating = True
        lm.number(fixed, on_map, kept_map)
        lm.number(moving, on_image, kept_image)
        self._updating = False

    def _fit(self, moving: Any, fixed: Any) -> None:
        """Fit the pairs that are left in."""
        chosen = [n for n, kept in enumerate(self.pairs.kept) if kept]
        if len(chosen) < 3:
            return
        i, m = ([side[n] for n in chosen] for side in (self.pairs.image, self.pairs.map))
        try:
            self.fit = fit_landmarks(moving[i], fixed[m], self.kind, self._turned_over)
            self.missing = ""
        except ValueError as problem:
            self.missing = str(problem)

    def _unit(self) -> tuple[float, str]:
        """Return (factor, unit) of distances on the map."""
        if self._reference is None:
            return 1.0, "px"
        unit = length_unit(self._reference)
        return unit.factor, unit.name

    def _show_table(self, fixed: Any, moving: Any) -> None:
        """Show the pairs with their residuals, and who has no partner."""
        factor, name = self._unit()
        fit, rows, nth = self.fit, [], 0
        for i, kept in zip(self.pairs.map, self.pairs.kept, strict=True):
            if fit is None or not kept:
                rows.append(Row(i + 1, kept))
                continue
            residual, without = (float(v[nth]) * factor for v in (fit.residuals, fit.left_out))
            rows.append(Row(i + 1, True, residual, without))
            nth += 1
        on_map, on_image = (0 if x is None else len(x.data) for x in (fixed, moving))
        lonely = [i for i in range(on_map) if i not in self.pairs.map]
        rows += [Row(i + 1, missing="click it on the image") for i in lonely]
        odd = range(on_image - len(self.pairs.image))
        rows += [Row(on_map + n + 1, missing="click it on the map") for n in odd]
        self.table.fill(rows, name, fit is not None and fit.redundancy > 0)
        self.map_button.setText(f"Click on map ({on_map})")
        self.image_button.setText(f"Click on image ({on_image})")

    def _show_fit(self) -> None:
        """Say what the fit does to the image, and what is doubtful."""
        fit = self.fit
        self.result.setVisible(fit is not None)
        said = [self.pairs.note, *(fit.warnings if fit else ())]
        self.advice.say(" ".join(text for text in said if text))
        if fit is None:
            if sum(self.pairs.kept) >= 3:
                # pairs that do not make a fit
                self.advice.warn(f"{self.missing[:1].upper()}{self.missing[1:]}.")
            return
        factor, name = self._unit()
        own = np.abs(np.asarray(cast("Layer", self._image).scale, dtype=float)[-2:])
        side = fit.scale * factor * float(np.sqrt(np.prod(own)))
        rms = "no residual" if fit.redundancy == 0 else f"rms {fit.rms * factor:.3g} {name}"
        turned = f"turned {fit.rotation:.1f}°" + (", mirrored" if fit.mirrored else "")
        stretch = f", stretched {fit.stretch:.3f} : 1" if fit.kind == "affine" else ""
        self.result.setText(
            f"{len(fit.residuals)} pairs, {rms}. Image pixel {side:.4g} {name}, {turned}{stretch}."
        )
