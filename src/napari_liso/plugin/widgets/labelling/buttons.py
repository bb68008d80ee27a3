"""What stands on the buttons of Edit, and what it means."""

from __future__ import annotations

from napari_liso.plugin.widgets.labelling.tool_row import Button

__all__ = ["ACTIONS", "TOOLS"]

TOOLS = (
    Button("select", "Select", "Click boundaries to select them; drag moves the map", "S"),
    Button("draw", "Draw", "Draw a boundary through a grain: it splits the grain", "D"),
    Button("erase", "Erase", "Click a boundary: its two grains become one", "W"),
    Button("move", "Move", "Draw a piece of a boundary anew", "G"),
    Button("merge", "Merge", "Click two grains, or drag across several: they become one", "J"),
    Button("split", "Split", "Click points in a grain: it is divided between them", "K"),
    Button("paint", "Paint", "Paint grains with napari's brush; boundaries follow", "T"),
)
ACTIONS = (
    Button("undo", "Undo", "Take back the last edit", "Ctrl+Z"),
    Button("redo", "Redo", "Do again what was taken back", "Ctrl+Shift+Z"),
    Button("previous", "Prev", "Select the boundary before, and move the map to it", "Shift+N"),
    Button("next", "Next", "Select the next boundary, and move the map to it", "N"),
    Button("use", "Accept", "Accept the selected boundaries: they are fitted", "A"),
    Button(
        "exclude",
        "Exclude",
        "Exclude the selected boundaries: barriers still, but what surrounds them is not data",
        "R",
    ),
    Button("lock", "Lock", "Hold the selected boundaries: used, and edits leave them alone", "H"),
)
