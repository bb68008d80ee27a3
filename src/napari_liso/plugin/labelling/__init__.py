"""Labelling of grain boundaries in the viewer: edits with undo, mouse tools, keys, autosave."""
