"""Edit: the tools of the mouse, undo, states by key, and the image that lines follow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from qtpy.compat import isalive
from qtpy.QtCore import Qt, Signal
from qtpy.QtGui import QHideEvent, QKeySequence, QShortcut, QShowEvent
from qtpy.QtWidgets import (
    QComboBox,
    QDockWidget,
    QHBoxLayout,
    QMainWindow,
    QWidget,
)

from napari_liso.plugin.context import Context, LayerChoice
from napari_liso.plugin.labelling.editor import BoundaryEditor, editor_of
from napari_liso.plugin.labelling.guide import Guide, default_edges, is_guide
from napari_liso.plugin.labelling.handlers import EraseHandler
from napari_liso.plugin.labelling.keys import Keys
from napari_liso.plugin.labelling.modes import MouseTools, Tool, tools_of
from napari_liso.plugin.labelling.navigate import centre_on, next_of
from napari_liso.plugin.records import role_of
from napari_liso.plugin.widgets.fold import Fold
from napari_liso.plugin.widgets.labelling.buttons import ACTIONS, TOOLS
from napari_liso.plugin.widgets.labelling.cleaning import CleanRow
from napari_liso.plugin.widgets.labelling.keys_help import KEYS, KeysHelp
from napari_liso.plugin.widgets.labelling.sketch_view import SketchView
from napari_liso.plugin.widgets.labelling.tool_row import ButtonRow
from napari_liso.plugin.widgets.parts import LayerBox, Panel, form

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.microstructure.boundaries import State

__all__ = ["EditPanel"]

_STATES: dict[str, State] = {"use": "use", "exclude": "exclude", "lock": "locked"}
_DONE = {"use": "accepted", "exclude": "excluded", "lock": "locked"}
_GUIDED = (Tool.DRAW, Tool.MOVE, Tool.SPLIT)
_EDGES = {"steps": "steps", "dark lines": "dark", "bright lines": "bright"}
_GUIDE_TIP = (
    "Image along which a drawn line finds its way between two clicks: a micrograph, or the "
    "isotope fraction"
)
_EDGES_TIP = "What boundaries look like in that image"
_HINTS = {
    Tool.SELECT: "Click a boundary to select it. Shift and drag: a box; Ctrl and drag: a lasso.",
    Tool.PAINT: "Paint with napari's brush: L picks the label under the mouse, M takes a new one.",
}
_NO_BOUNDARIES = "find boundaries, or begin with Draw lines, under Grains"
_NOTHING = f"To edit, {_NO_BOUNDARIES}."


class EditPanel(Panel):
    """Everything that changes the boundaries of the chosen layer, or steps through them.

    Attributes
    ----------
    tool_row, action_row, clean
        The buttons.
    order
        Returns the ids in the order in which next and previous go; the table's.
    """

    status_changed = Signal()

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.order: Callable[[], list[int]] = self._by_number
        self._editor: BoundaryEditor | None = None
        self._tools: MouseTools | None = None
        self._view: SketchView | None = None
        self._guide_chosen = False
        self._shortcuts: list[QShortcut] = []
        self._make_widgets()
        self._lay_out()
        self._doing = self._actions()
        self._keys = Keys(context.viewer, self._bindings(undo=False))
        self._undo_keys = Keys(context.viewer, self._bindings(undo=True), self._claims_undo)
        context.boundaries_changed.connect(self._follow)
        context.selection_changed.connect(self.refresh)
        context.layers_changed.connect(self._refill_guides)
        context.tracer.changed.connect(self._refill_guides)
        self._refill_guides()
        self._say("")
        self._follow()

    def _make_widgets(self) -> None:
        self.tool_row = ButtonRow(TOOLS, tools=True)
        self.tool_row.pressed.connect(self.choose)
        self.action_row = ButtonRow(ACTIONS)
        self.action_row.pressed.connect(self.act)
        self.guide_choice = LayerChoice(is_guide, self)
        self.guide_box = LayerBox(self.guide_choice, "straight lines", _GUIDE_TIP)
        self.guide_box.activated.connect(self._on_guide_chosen)
        self.guide_choice.changed.connect(self._on_guide)
        self.edges_box = QComboBox()
        self.edges_box.addItems(list(_EDGES))
        self.edges_box.setToolTip(_EDGES_TIP)
        self.edges_box.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.edges_box.setMinimumContentsLength(6)
        self.edges_box.currentIndexChanged.connect(self._refresh_guide)
        self.guide = Guide(self)
        self.task = self.guide.task  # stopped when the dock goes
        self.guide.failed.connect(self.message.warn)
        self.guide.changed.connect(self._on_guide_ready)
        self.clean = CleanRow()
        self.clean.said.connect(self._say)
        self.help = Fold("Mouse and keys", "What mouse and keys do on the map", KeysHelp())

    def _lay_out(self) -> None:
        self.column.addWidget(self.tool_row)
        self.column.addWidget(self.action_row)
        # always there, so that what is below does not jump
        self.message.setMinimumHeight(2 * self.message.fontMetrics().lineSpacing() + 2)
        self.message.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.column.addWidget(self.message)
        follow = QHBoxLayout()
        follow.addWidget(self.guide_box, 3)
        follow.addWidget(self.edges_box, 2)
        rows = form()
        rows.addRow("Follow", follow)
        self.column.addLayout(rows)
        self.column.addWidget(self.clean)
        self.column.addWidget(self.help)

    @property
    def status(self) -> str:
        """What is missing, or ``""``."""
        return "" if self._editor is not None else "no boundaries yet"

    @property
    def tools(self) -> MouseTools | None:
        """The tools on the chosen boundaries, None while there are none."""
        return self._tools

    # --- following ----------------------------------------------------------------------------

    def _follow(self) -> None:
        """Work on the boundaries that are chosen now."""
        editor = editor_of(self.context.viewer, self.context.boundaries.current)
        if editor is not self._editor:
            self._let_go()
            self._editor = editor
            if editor is not None:
                self._take(editor)
            self._refresh_guide()
            self._say("")
            self.status_changed.emit()
        self.refresh()

    def _take(self, editor: BoundaryEditor) -> None:
        tools = self._tools = tools_of(editor)
        self.clean.bench = tools.bench
        editor.history_changed.connect(self.refresh)
        editor.refused.connect(self._warn)
        tools.bench.said.connect(self._say)
        tools.bench.warned.connect(self._warn)
        tools.tool_changed.connect(self._on_tool)
        tools.follow(self)
        self._view = SketchView(tools, self)
        self._on_tool()

    def _let_go(self) -> None:
        editor, tools = self._editor, self._tools
        self._editor = self._tools = self.clean.bench = None
        if self._view is not None:
            self._view.close()
            self._view = None
        if tools is not None and isalive(tools):
            tools.leave(self)
            tools.bench.said.disconnect(self._say)
            tools.bench.warned.disconnect(self._warn)
            tools.tool_changed.disconnect(self._on_tool)
        if editor is not None and isalive(editor):
            editor.history_changed.disconnect(self.refresh)
            editor.refused.disconnect(self._warn)

    def refresh(self) -> None:
        """Say why a button cannot be pressed, and what undo would take back."""
        editor = self._editor
        missing = "" if editor is not None else _NO_BOUNDARIES
        for spec in TOOLS:
            self.tool_row.allow(spec.name, missing)
        selection = self.context.selection
        ids = () if selection is None else selection.ids
        some = missing or ("" if ids else "select boundaries first")
        for name in _STATES:
            self.action_row.allow(name, some)
        none = editor is not None and len(editor.boundaries) == 0
        for name in ("previous", "next"):
            self.action_row.allow(name, missing or ("there is none" if none else ""))
        undo, redo = ("", "") if editor is None else (editor.undo_text, editor.redo_text)
        for name, text in (("undo", undo), ("redo", redo)):
            nothing = f"there is nothing to {name}"
            self.action_row.allow(
                name, missing or ("" if text else nothing), f"{name.capitalize()}: {text}"
            )
        self.clean.allow(missing)

    # --- messages -----------------------------------------------------------------------------

    def _say(self, text: str) -> None:
        tools = self._tools
        hint = _NOTHING if tools is None else _HINTS.get(tools.tool) or tools.hint
        self.message.say(text or hint)

    def _warn(self, text: str) -> None:
        self.message.warn(text)

    # --- tools --------------------------------------------------------------------------------

    def choose(self, name: str) -> None:
        """Take a tool."""
        if self._tools is None:
            self._warn(f"Not yet: {_NO_BOUNDARIES}.")
            return
        self._tools.choose(Tool(name))
        self.tool_row.check(self._tools.tool)

    def _on_tool(self) -> None:
        if self._tools is not None:
            self.tool_row.check(self._tools.tool)
            self._say("")
            self._refresh_guide()

    # --- actions ------------------------------------------------------------------------------

    def act(self, name: str) -> None:
        """Do what a button or a key stands for."""
        self._doing[name]()

    def _actions(self) -> dict[str, Callable[[], None]]:
        return {
            "undo": self.undo,
            "redo": self.redo,
            "previous": self.previous,
            "next": self.next,
            "use": self.accept,
            "exclude": self.exclude,
            "lock": self.lock,
            "delete": self.erase_selected,
            **{spec.name: _Choose(self, spec.name) for spec in TOOLS},
        }

    def undo(self) -> None:
        """Take the last edit back, or the last point of a line that is being drawn."""
        if self._tools is not None and self._tools.busy:
            self._tools.back()
        elif self._editor is not None:
            what = self._editor.undo_text
            self._editor.undo()
            self._say(f"Undone: {what}." if what else "There is nothing to undo.")

    def redo(self) -> None:
        """Do again what was taken back."""
        if self._editor is not None:
            what = self._editor.redo_text
            self._editor.redo()
            self._say(f"Done again: {what}." if what else "There is nothing to redo.")

    def next(self) -> None:
        """Select the next boundary, and show it."""
        self._step(1)

    def previous(self) -> None:
        """Select the boundary before, and show it."""
        self._step(-1)

    def _step(self, by: int) -> None:
        layer, selection = self.context.boundaries.current, self.context.selection
        boundaries = self.context.current_boundaries()
        if layer is None or selection is None or boundaries is None:
            return
        label = next_of(self.order(), selection.current, by)
        if label is not None:
            self._say("")
            selection.select([label])
            centre_on(self.context.viewer, layer, boundaries, label)

    def _by_number(self) -> list[int]:
        boundaries = self.context.current_boundaries()
        if boundaries is None:
            return []
        states = boundaries.table["state"]
        return [int(i) for i in states.index[states != "removed"]]

    def accept(self) -> None:
        """Use the selected boundaries."""
        self._set_state("use")

    def exclude(self) -> None:
        """Exclude the selected boundaries."""
        self._set_state("exclude")

    def lock(self) -> None:
        """Lock the selected boundaries."""
        self._set_state("lock")

    def _set_state(self, name: str) -> None:
        selection = self.context.selection
        if self._editor is None or selection is None:
            return
        if not selection.ids:
            self._warn("Select boundaries first: click them on the map.")
            return
        self._editor.set_state(selection.ids, _STATES[name])
        count = len(selection.ids)
        which = f"Boundary {selection.ids[0]}" if count == 1 else f"{count} boundaries"
        self._say(f"{which} {_DONE[name]}.")

    def erase_selected(self) -> None:
        """Erase the selected boundaries: their grains become one."""
        selection = self.context.selection
        if self._tools is not None and selection is not None and selection.ids:
            EraseHandler(self._tools.bench).erase(selection.ids)

    # --- guide --------------------------------------------------------------------------------

    def _refill_guides(self) -> None:
        self.guide_choice.refill(list(self.context.viewer.layers))
        if self.guide_choice.current is None and not self._guide_chosen:
            ours = [x for x in self.guide_choice.candidates if role_of(x) == "fraction"]
            over = [x for x in self.guide_choice.candidates if role_of(x) in ("overlay", "")]
            counts = [x for x in self.guide_choice.candidates if x == self.context.tracer.current]
            if ours or over or counts:
                self.guide_choice.choose((ours or over or counts)[-1])

    def _on_guide_chosen(self, index: int) -> None:
        self._guide_chosen = True

    def _on_guide(self) -> None:
        edges = default_edges(self.guide_choice.current)
        self.edges_box.setCurrentText(next(t for t, e in _EDGES.items() if e == edges))
        self._refresh_guide()

    def _refresh_guide(self, *_: object) -> None:
        """Make the image ready once a tool that follows one is in hand."""
        image: Layer | None = self.guide_choice.current
        self.edges_box.setEnabled(image is not None)
        tools = self._tools
        if tools is None:
            self.guide.set(None, None, "steps")
        elif tools.tool in _GUIDED:
            tools.bench.wire, tools.bench.relief = self.guide.wire, self.guide.relief
            edges = _EDGES[self.edges_box.currentText()]
            self.guide.set(image, self.context.boundaries.current, edges)  # type: ignore[arg-type]

    def _on_guide_ready(self) -> None:
        waits = self.guide_choice.current is not None and not self.guide.ready
        self.guide_box.setToolTip("Getting ready …" if waits else _GUIDE_TIP)

    # --- keys ---------------------------------------------------------------------------------

    def _bindings(self, undo: bool) -> dict[str, Callable[[], None]]:
        return {
            key: self._doing[name]
            for name, keys in KEYS.items()
            for key in keys
            if (name in ("undo", "redo")) == undo
        }

    def _claims_undo(self, layer: Layer) -> bool:
        """Tell whether Ctrl+Z means the editor's; labels of other things keep their own."""
        editor = self._editor
        return editor is not None and layer in (editor.grains, editor.layer)

    def showEvent(self, event: QShowEvent | None) -> None:
        """Bind the keys."""
        super().showEvent(event)
        self._keys.switch(True)
        self._undo_keys.switch(True)
        if not self._shortcuts:
            self._shortcuts = self._make_shortcuts()
        for shortcut in self._shortcuts:
            shortcut.setEnabled(True)

    def hideEvent(self, event: QHideEvent | None) -> None:
        """Give the keys back."""
        super().hideEvent(event)
        self._keys.switch(False)
        self._undo_keys.switch(False)
        for shortcut in self._shortcuts:
            if isalive(shortcut):
                shortcut.setEnabled(False)

    def _make_shortcuts(self) -> list[QShortcut]:
        """Let the keys act in the dock, too: in the table."""
        top: QWidget = self
        while (parent := top.parentWidget()) is not None:
            if isinstance(parent, QDockWidget | QMainWindow):
                break
            top = parent
        made = []
        for name, keys in KEYS.items():
            for key in keys:
                shortcut = QShortcut(QKeySequence(key), top)
                shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
                shortcut.activated.connect(self._doing[name])
                made.append(shortcut)
        return made


class _Choose:
    """Takes a tool of a panel when called."""

    def __init__(self, panel: EditPanel, name: str) -> None:
        self._panel, self._name = panel, name

    def __call__(self) -> None:
        self._panel.choose(self._name)
