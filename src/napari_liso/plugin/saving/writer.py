"""File > Save All Layers as a session."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from napari_liso.plugin.saving import session_of_viewer
from napari_liso.plugin.saving.views import remember_path
from napari_liso.session import SUFFIX, save

__all__ = ["write_session"]


def write_session(path: str, layers: Sequence[tuple[Any, dict[str, Any], str]]) -> list[str]:
    """Write the whole viewer as a session; of layers without one, those that are given.

    Raises
    ------
    OSError
        If it cannot be written; a file that was there is then as before.
    """
    from napari import current_viewer
    from napari.components import ViewerModel

    from napari_liso.plugin.layers import made

    viewer = current_viewer()
    names = [str(state.get("name")) for _, state, _ in layers]
    if viewer is not None and sorted(names) == sorted(one.name for one in viewer.layers):
        model: Any = viewer
    else:  # some of them: a session of their own
        model = ViewerModel()
        for one in layers:
            model.add_layer(made(one))
    target = Path(path if path.lower().endswith(SUFFIX) else path + SUFFIX)
    try:
        written = save(target, session_of_viewer(model))
    except ValueError as error:  # napari takes it for "this writer is none"
        raise OSError(str(error)) from error
    if model is viewer:
        remember_path(model, written)
    return [str(written)]
