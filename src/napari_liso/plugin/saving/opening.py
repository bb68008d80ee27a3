"""File > Open of a session."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from qtpy.QtCore import QCoreApplication, QObject, QTimer

from napari_liso.errors import FormatError
from napari_liso.plugin.saving import LayerData, layers_of
from napari_liso.plugin.saving.views import finish, remember_path
from napari_liso.session import SUFFIX, Session, is_session, load

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["holds_session", "open_into", "session_layers"]

#: What napari takes as: it was opened, and there is no layer for you to add.
_NOTHING: list[LayerData] = [(None,)]  # type: ignore[list-item]


def holds_session(paths: list[str]) -> bool:
    """Tell whether this is one session: by its suffix, so that a damaged one is told about."""
    return len(paths) == 1 and (paths[0].lower().endswith(SUFFIX) or is_session(Path(paths[0])))


def session_layers(path: Path) -> list[LayerData]:
    """Return the layers of a session; what layers cannot carry follows when they are there.

    Raises
    ------
    FormatError
        If it is damaged, from a newer version, or no session.
    """
    session = load(path)
    layers = _layers(path, session)
    if QCoreApplication.instance() is not None:
        _FollowUp(session, path, len(layers))
    return layers or _NOTHING


def open_into(viewer: ViewerModel, path: Path) -> list[Layer]:
    """Open a session in a viewer, now.

    Raises
    ------
    FormatError, OSError
        As `napari_liso.session.load`; nothing is added then.
    """
    from napari.layers import Layer

    session = load(path)
    ready = [Layer.create(*one) for one in _layers(path, session)]
    was_empty = not len(viewer.layers)
    added = [viewer.add_layer(layer) for layer in ready]
    finish(viewer, session, added, was_empty)
    return added


def _layers(path: Path, session: Session) -> list[LayerData]:
    try:
        return layers_of(session)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise FormatError(path, f"is damaged: its layers do not fit together ({error})") from error


class _FollowUp(QObject):
    """Waits until napari has added the layers that a reader returned."""

    def __init__(self, session: Session, path: Path, count: int) -> None:
        from napari import current_viewer

        super().__init__(QCoreApplication.instance())
        self._viewer = current_viewer()
        self._session, self._path, self._count = session, path, count
        self._there = 0 if self._viewer is None else len(self._viewer.layers)
        QTimer.singleShot(0, self._act)

    def _act(self) -> None:
        viewer = self._viewer
        self.deleteLater()
        if viewer is None or len(viewer.layers) != self._there + self._count:
            return
        was_empty = self._there == 0
        finish(viewer, self._session, list(viewer.layers[self._there :]), was_empty)
        if was_empty:
            remember_path(viewer, self._path)
        missing = self._session.missing
        if missing:
            from napari.utils.notifications import show_warning

            text = "\n".join(missing)
            show_warning(
                f"{self._path.name}: the sums of the counts are here, their frames are not: {text}"
            )
