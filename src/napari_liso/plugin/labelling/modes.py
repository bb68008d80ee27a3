"""The tools of the mouse: which one is chosen, and what reaches it from napari."""

from __future__ import annotations

from collections.abc import Generator
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.compat import isalive
from qtpy.QtCore import QEvent, QObject, Signal
from qtpy.QtWidgets import QWidget

from napari_liso.plugin.labelling.bench import Bench, Handler, Sketch, Spot
from napari_liso.plugin.labelling.frame import PixelFrame, ScreenFrame, is_flat_view
from napari_liso.plugin.labelling.handlers import (
    DrawHandler,
    EraseHandler,
    MergeHandler,
    MoveHandler,
    RegionHandler,
    SplitHandler,
)
from napari_liso.plugin.labelling.keys import Keys
from napari_liso.plugin.selection import camera_of

if TYPE_CHECKING:
    from napari.layers import Labels

    from napari_liso.plugin.labelling.editor import BoundaryEditor

__all__ = ["MouseTools", "Tool", "tools_of"]


class Tool(StrEnum):
    """What the left button does."""

    SELECT = "select"
    DRAW = "draw"
    ERASE = "erase"
    MOVE = "move"
    MERGE = "merge"
    SPLIT = "split"
    PAINT = "paint"  # napari's own brush on the grains


_HANDLERS: dict[Tool, type[Handler]] = {
    Tool.DRAW: DrawHandler,
    Tool.ERASE: EraseHandler,
    Tool.MOVE: MoveHandler,
    Tool.MERGE: MergeHandler,
    Tool.SPLIT: SplitHandler,
}
#: How far the mouse may move between press and release of a click, in screen pixels.
_TREMOR = 3.0


class MouseTools(QObject):
    """The tools on the boundaries of one layer; use `tools_of`, all docks share them.

    While a widget that they `follow` is shown they listen to the viewer's mouse. With
    `Tool.SELECT`, Shift and drag draws a box and Ctrl and drag a lasso; plain clicks
    are those of `napari_liso.plugin.selection.MapPicker`. Any other tool has the left
    button to itself, so that the map does not move under it; holding Space lends it to
    the map.

    Attributes
    ----------
    bench
        Edits, selection and messages.
    tool
        The chosen one.
    screen
        Where the map was on the canvas at the last event of the mouse.
    """

    tool_changed = Signal()
    sketch_changed = Signal()

    def __init__(self, editor: BoundaryEditor) -> None:
        super().__init__(editor)
        self.editor = editor
        self.viewer = editor.viewer
        self.bench = Bench(editor)
        self.tool = Tool.SELECT
        self.screen: ScreenFrame | None = None
        self.native: Any = None
        self._handler: Handler | None = None
        self._region: Handler | None = None
        self._on = False
        self._paused = False
        self._switching = False
        self._seen: list[QObject] = []
        self._zooms: list[Any] = []  # napari's answers to a double click, while we hold it
        self._grains_shown: bool | None = None
        self._watched: Labels | None = None
        claims_all = _always
        self._tool_keys = Keys(
            self.viewer, {"Escape": self.escape, "Space": (self._pause, self._go_on)}, claims_all
        )
        self._path_keys = Keys(
            self.viewer, {"Enter": self.finish, "Backspace": self.back}, claims_all
        )
        editor.changed.connect(self._on_changed)
        self.viewer.layers.selection.events.active.connect(self._on_active)

    # --- on and off ---------------------------------------------------------------------------

    def follow(self, widget: QWidget) -> None:
        """Be switched on whenever this is shown."""
        widget.installEventFilter(self)
        if widget.isVisible():
            self._see(widget, True)

    def leave(self, widget: QWidget) -> None:
        """Follow a widget no longer."""
        widget.removeEventFilter(self)
        self._see(widget, False)

    def eventFilter(self, watched: QObject | None, event: QEvent | None) -> bool:
        """Notice that a followed widget was shown or hidden."""
        if watched is not None and event is not None:
            if event.type() == QEvent.Type.Show:
                self._see(watched, True)
            elif event.type() == QEvent.Type.Hide:
                self._see(watched, False)
        return False

    def _see(self, widget: QObject, shown: bool) -> None:
        seen = [w for w in self._seen if isalive(w) and w is not widget]
        self._seen = [*seen, widget] if shown else seen
        self.switch(bool(self._seen))

    def switch(self, on: bool) -> None:
        """Listen to the viewer's mouse, or stop; stopping puts the tool away."""
        if on == self._on:
            return
        if not on:
            self.choose(Tool.SELECT)
        self._on = on
        pairs = (
            (self.viewer.mouse_drag_callbacks, self.on_mouse),
            (self.viewer.mouse_move_callbacks, self.on_move),
        )
        for callbacks, mine in pairs:
            if on:
                callbacks.insert(0, mine)
            elif mine in callbacks:
                callbacks.remove(mine)
        self._watch_grains()

    # --- the tool -----------------------------------------------------------------------------

    @property
    def hint(self) -> str:
        """How the chosen tool is used."""
        return "" if self._handler is None else self._handler.hint

    @property
    def busy(self) -> bool:
        """Whether something was begun that Enter ends and Esc gives up."""
        return self._handler is not None and self._handler.busy

    def choose(self, tool: Tool) -> None:
        """Take a tool."""
        if tool == self.tool or not (self._on or tool == Tool.SELECT):
            return
        self.cancel()
        before, self.tool = self.tool, tool
        if before == Tool.PAINT:
            self._end_painting()
        kind = _HANDLERS.get(tool)
        self._handler = None if kind is None else kind(self.bench)
        if tool == Tool.PAINT:
            self._begin_painting()
        elif tool != Tool.SELECT:
            self._let_go_of_layer()
        self._paused = False
        self._hold_mouse()
        self.tool_changed.emit()

    def _hold_mouse(self) -> None:
        """Take the left button, the double click and the keys for a tool, or give them back."""
        holds = self._handler is not None
        callbacks = self.viewer.mouse_double_click_callbacks
        if holds and self.on_double_click not in callbacks:
            self._zooms = list(callbacks)
            callbacks[:] = [self.on_double_click]
        elif not holds and self.on_double_click in callbacks:
            # what others have added meanwhile stays
            added = [c for c in callbacks if c != self.on_double_click and c not in self._zooms]
            callbacks[:] = [*self._zooms, *added]
        self._tool_keys.switch(holds)
        self._set_cursor()
        self._changed()

    def _set_cursor(self) -> None:
        style = "standard" if self._handler is None else self._handler.cursor
        if self._busy_elsewhere():
            return  # the brush has a cursor of its own
        self.viewer.cursor.style = style

    def _on_active(self, event: object = None) -> None:
        if isalive(self) and self._handler is not None:
            self._set_cursor()

    def _let_go_of_layer(self) -> None:
        """Let a layer that is being painted or drawn into rest."""
        active = self.viewer.layers.selection.active
        if active is not None and str(active.mode) != "pan_zoom":
            active.mode = "pan_zoom"

    def _pause(self) -> None:
        self._paused = True

    def _go_on(self) -> None:
        self._paused = False

    # --- napari's brush -----------------------------------------------------------------------

    def _begin_painting(self) -> None:
        grains = self.editor.grains
        if grains is None:
            return
        self._grains_shown = bool(grains.visible)
        wanted = "paint" if str(grains.mode) == "pan_zoom" else str(grains.mode)
        self._switching = True
        grains.visible = True
        self.viewer.layers.selection.active = grains
        grains.mode = wanted
        self._switching = False

    def _end_painting(self) -> None:
        grains = self.editor.grains
        if grains is None:
            return
        self._switching = True
        grains.mode = "pan_zoom"
        if self._grains_shown is not None:
            grains.visible = self._grains_shown
            grains.mode = "pan_zoom"  # napari gives a layer the mode back that it was hidden in
        self._grains_shown = None
        self._switching = False

    def _watch_grains(self) -> None:
        """Notice that the brush is taken or put away with napari's own buttons."""
        grains = self.editor.grains if self._on else None
        if grains is self._watched:
            return
        if self._watched is not None:
            self._watched.events.mode.disconnect(self._on_mode)
        self._watched = grains
        if grains is not None:
            grains.events.mode.connect(self._on_mode)

    def _on_mode(self, event: object = None) -> None:
        if not isalive(self) or self._watched is None or self._switching:
            return
        paints = str(self._watched.mode) in ("paint", "erase", "fill", "polygon", "pick")
        if paints and self.tool != Tool.PAINT:
            self.choose(Tool.PAINT)
        elif not paints and self.tool == Tool.PAINT:
            self.choose(Tool.SELECT)

    # --- the mouse ----------------------------------------------------------------------------

    def on_mouse(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        """Follow one press of the mouse to its release (napari's protocol)."""
        handler = self._handler_for(event)
        spot = None if handler is None else self._spot(event)
        if handler is None or spot is None:
            return
        event.handled = mine = handler is self._handler
        if mine and not handler.busy:
            self.bench.said.emit("")  # what was said of the edit before
        camera = camera_of(self.viewer)
        pans, camera.mouse_pan = camera.mouse_pan, False  # the map stays where it is
        try:
            yield from self._stroke(handler, event, spot, mine)
        finally:
            camera.mouse_pan = pans
            self._region = None
            self._changed()

    def _stroke(
        self, handler: Handler, event: Any, first: Spot, mine: bool
    ) -> Generator[None, None, None]:
        """Tell a handler of a press, what is drawn, and the release."""
        start, dragged = np.asarray(event.pos, dtype=float), False
        yield
        while event.type == "mouse_move":
            if mine and handler is not self._handler:
                return  # another tool was taken meanwhile
            here = self._spot(event)
            away = np.abs(np.asarray(event.pos, dtype=float) - start).max()
            if here is not None and (dragged or away > _TREMOR):
                if not dragged:
                    self._region = None if mine else handler
                    handler.press(first)
                dragged = True
                handler.drag(here)
                self._changed()
            yield
        last = self._spot(event)
        if mine and handler is not self._handler:
            return
        if dragged:
            event.handled = True
            handler.release(first if last is None else last)
        elif mine:
            event.handled = True
            handler.click(first)

    def on_move(self, viewer: Any, event: Any) -> None:
        """Follow the mouse while no button is down (napari's protocol)."""
        handler = self._handler
        if handler is None or self._paused or self._busy_elsewhere():
            return
        spot = self._spot(event)
        if spot is not None:
            handler.move(spot)
            self._changed()

    def on_double_click(self, viewer: Any, event: Any) -> None:
        """Take the second click of two quick ones (napari's protocol)."""
        handler = self._handler
        spot = self._spot(event) if event.button == 1 else None
        if handler is not None and spot is not None and not self._busy_elsewhere():
            event.handled = True
            handler.double_click(spot)
            self._changed()

    def _handler_for(self, event: Any) -> Handler | None:
        """Return who takes this press; None: nobody here."""
        if event.button != 1 or event.handled or self._paused or self._busy_elsewhere():
            return None
        if self._handler is not None:
            return self._handler
        modifiers = set(event.modifiers)
        if modifiers == {"Shift"}:
            return RegionHandler(self.bench, lasso=False)
        if modifiers == {"Control"}:
            return RegionHandler(self.bench, lasso=True)
        return None

    def _busy_elsewhere(self) -> bool:
        """Tell whether the mouse means something else to napari now."""
        active = self.viewer.layers.selection.active
        return active is not None and str(active.mode) != "pan_zoom"

    def frame(self) -> PixelFrame:
        """Return how the map lies in the world."""
        return PixelFrame.of_layer(self.editor.layer)

    def _spot(self, event: Any) -> Spot | None:
        """Return where on the map an event is; None where the viewer shows something else."""
        if not is_flat_view(self.viewer) or self.editor.layer not in self.viewer.layers:
            return None
        self.screen = ScreenFrame.of_event(self.viewer, event)
        self.native = getattr(event, "native", None)
        frame = self.frame()
        pixel = frame.to_pixels(np.asarray(event.position, dtype=float)[-2:])
        zoom = float(camera_of(self.viewer).zoom)
        sy, sx = (side * zoom for side in frame.pixel)
        return Spot(frame.clipped(pixel), frame.beyond(pixel) * min(sy, sx), (sy, sx))

    # --- what is under way --------------------------------------------------------------------

    @property
    def sketch(self) -> Sketch:
        """What is to be drawn over the map."""
        handler = self._region or self._handler
        return Sketch() if handler is None else handler.sketch()

    def finish(self) -> None:
        """End what was begun."""
        if self._handler is not None:
            self._handler.finish()
            self._changed()

    def back(self) -> None:
        """Take back the last point."""
        if self._handler is not None:
            self._handler.back()
            self._changed()

    def cancel(self) -> None:
        """Give up what was begun."""
        if self._handler is not None:
            self._handler.cancel()
            self._changed()

    def escape(self) -> None:
        """Give up what was begun; if nothing was, put the tool away."""
        if self.busy:
            self.cancel()
        else:
            self.choose(Tool.SELECT)

    def _on_changed(self, patch: object = None) -> None:
        """Forget marks on boundaries that may be others now; follow another grains layer."""
        self._watch_grains()
        if patch is not None and self._handler is not None and not self._handler.busy:
            self.cancel()

    def _changed(self) -> None:
        self._path_keys.switch(self.busy)
        self.sketch_changed.emit()


def _always(layer: object) -> bool:
    return True


def tools_of(editor: BoundaryEditor) -> MouseTools:
    """Return the mouse tools of an editor, the same ones to every caller."""
    for child in editor.children():
        if isinstance(child, MouseTools):
            return child
    return MouseTools(editor)
