"""Work that was not saved: where it is kept, who keeps it, and how it is opened again.

Every viewer has a folder of its own in the data folder of the user. ``view.liso`` is a
session of all layers, written now and then; ``edit-0.liso`` holds grains and boundaries
and is written after every change. A lock tells whose program is still running.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QLockFile, QStandardPaths

from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.session import SavedLayer, Session, load, summary

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["Place", "Unsaved", "edit_session", "find_unsaved", "unsaved_folder"]

VIEW = "view.liso"
_EDITS = "edit-*.liso"
_LOCK = "lock"
#: Marks of work whose program did not crash, and of such work that was offered.
_IN_ORDER, _SEEN = "closed", "offered"
#: Unsaved work that nobody wanted for so long is taken away, s.
_FORGOTTEN = 30 * 24 * 3600.0


def unsaved_folder() -> Path:
    """Return the folder for unsaved work, in the data folder of the user.

    The variable ``NAPARI_LISO_UNSAVED`` of the environment names another one.
    """
    told = os.environ.get("NAPARI_LISO_UNSAVED")
    if told:
        return Path(told)
    location = QStandardPaths.StandardLocation.GenericDataLocation
    return Path(QStandardPaths.writableLocation(location)) / "napari-liso" / "unsaved"


class Place:
    """The folder of one viewer, locked while its program runs.

    Parameters
    ----------
    path
        Of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = QLockFile(str(path / _LOCK))
        self._lock.setStaleLockTime(0)  # however long it is held: its program counts

    def take(self) -> bool:
        """Lock the folder; False if another program, or another window, has it."""
        return bool(self._lock.tryLock(0))

    def leave(self, in_order: bool = False) -> None:
        """Leave the folder to others; `in_order`: its window was closed, nothing crashed."""
        if in_order:
            self.mark(_IN_ORDER)
        self._lock.unlock()

    def mark(self, name: str) -> None:
        """Put a mark into the folder."""
        with contextlib.suppress(OSError):
            (self.path / name).touch()

    def has(self, name: str) -> bool:
        """Tell whether a mark is there."""
        return (self.path / name).exists()

    def remove(self) -> None:
        """Delete the folder."""
        self.leave()
        shutil.rmtree(self.path, ignore_errors=True)

    def clear(self) -> None:
        """Delete what is saved, and keep the folder."""
        for one in (*self.path.glob(_EDITS), self.path / VIEW):
            with contextlib.suppress(OSError):
                one.unlink()


@dataclass(frozen=True, eq=False)
class Unsaved:
    """Work of a program that ended without saving it.

    Parameters
    ----------
    place
        Locked, so that no other window offers it, too.
    when
        Local time of the last change that was kept.
    boundaries
        How many there are.
    from_file
        Name of the session or measurement, or ``""``.
    crashed
        Whether its program ended without closing its window.
    seen
        Whether it was offered before.
    """

    place: Place = field(repr=False)
    when: datetime
    boundaries: int
    from_file: str = ""
    crashed: bool = True
    seen: bool = False

    @property
    def urgent(self) -> bool:
        """Whether to offer it: what was closed unsaved is offered once, a crash until decided."""
        return self.crashed or not self.seen

    def note_seen(self) -> None:
        """Note that it was offered."""
        self.place.mark(_SEEN)

    @property
    def text(self) -> str:
        """What it is, in one line."""
        today = self.when.date() == datetime.now().date()
        clock = self.when.strftime("%H:%M" if today else "%d %B, %H:%M")
        many = "1 boundary" if self.boundaries == 1 else f"{self.boundaries:,} boundaries"
        return f"{self.from_file or 'map without a file'}, {clock}, {many}"

    @property
    def sentence(self) -> str:
        """What it is and why it is there."""
        why = "napari ended unexpectedly" if self.crashed else "napari was closed"
        return f"Changes that were not saved when {why}: {self.text}."

    def load(self) -> Session:
        """Return it as a session.

        Raises
        ------
        FormatError, OSError
            If its files are damaged.
        """
        view = self.place.path / VIEW
        session = load(view) if view.exists() else Session()
        for path in sorted(self.place.path.glob(_EDITS)):
            session = _merged(session, load(path))
        return session

    def open(self, viewer: ViewerModel) -> list[Layer]:
        """Put it into a viewer; its folder stays until that is saved or `discard` is called.

        Raises
        ------
        FormatError, OSError
            If its files are damaged.
        """
        from napari_liso.plugin.saving import restore

        return restore(viewer, self.load())

    def discard(self) -> None:
        """Delete it."""
        self.place.remove()

    def leave(self) -> None:
        """Let others offer it."""
        self.place.leave()


def find_unsaved(folder: Path | None = None) -> list[Unsaved]:
    """Return the work that other programs left behind, newest first; each is locked by this one.

    Folders without boundaries, and those that nobody wanted for a month, are taken away.
    Work of a program that is still running is passed over.
    """
    folder = unsaved_folder() if folder is None else folder
    found = []
    try:
        places = [Place(one) for one in folder.iterdir() if one.is_dir()]
    except OSError:
        return []
    for place in places:
        if not place.take():
            continue  # its program is running
        unsaved = _look(place)
        if unsaved is None:
            place.remove()
        else:
            found.append(unsaved)
    return sorted(found, key=lambda one: one.when, reverse=True)


def _look(place: Place) -> Unsaved | None:
    """Return what is in a folder; None if there is nothing worth offering."""
    edits = sorted(place.path.glob(_EDITS))
    files = edits or [one for one in [place.path / VIEW] if one.exists()]
    try:
        newest = max(one.stat().st_mtime for one in files)
        about = [summary(one) for one in files]
    except (OSError, ValueError):
        return None  # empty, or a first file that was never finished
    if time.time() - newest > _FORGOTTEN:
        return None
    count = sum(int(one.get("boundaries", 0)) for one in about)
    if count == 0:
        return None
    return Unsaved(
        place,
        datetime.fromtimestamp(newest),
        count,
        str(about[0].get("name") or ""),
        crashed=not place.has(_IN_ORDER),
        seen=place.has(_SEEN),
    )


# --- grains and boundaries on their own ---------------------------------------------------------


def edit_session(
    boundaries: Boundaries, layer: str, grains: str | None, stale: frozenset[int], name: str
) -> Session:
    """Return a session of grains and boundaries alone.

    Parameters
    ----------
    boundaries
        As they are now.
    layer, grains
        Names of the layers that show them.
    stale
        Ids whose results no longer hold.
    name
        Of the file or measurement, for the offer.
    """
    settings = {"layer": layer, "grains_layer": grains, "stale": stale, "name": name}
    return Session(boundaries=boundaries, settings=settings)


def _merged(session: Session, edit: Session) -> Session:
    """Return a session with the grains and boundaries of a later edit."""
    boundaries, settings = edit.boundaries, edit.settings
    if boundaries is None:
        return session
    layers = list(session.layers)
    put_grains = put_lines = False
    for i, saved in enumerate(layers):
        name = saved.arguments.get("name")
        if saved.role == "boundaries" and name == settings.get("layer"):
            behind = saved.behind if isinstance(saved.behind, Mapping) else {"fit": None}
            behind = {**behind, "boundaries": boundaries, "stale": settings.get("stale")}
            layers[i] = replace(saved, behind=behind, arguments=_undressed(saved.arguments))
            put_lines = True
        elif saved.kind == "labels" and name == settings.get("grains_layer"):
            layers[i] = replace(saved, data=boundaries.drawn)
            put_grains = True
    layers += _new_layers(boundaries, settings, not put_grains, not put_lines)
    return replace(session, grains=boundaries.drawn, boundaries=boundaries, layers=tuple(layers))


def _undressed(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a layer without what follows from its boundaries."""
    return {key: value for key, value in arguments.items() if key not in ("features", "colormap")}


def _new_layers(
    boundaries: Boundaries, settings: Mapping[str, Any], grains: bool, lines: bool
) -> list[SavedLayer]:
    """Return layers of grains and boundaries that the view does not have by these names."""
    from napari_liso.plugin import layers as ly

    placement = ly.Placement.of_pixel_size(boundaries.pixel_size)
    made = []
    if grains:
        name = settings.get("grains_layer") or ly.GRAINS
        _, arguments, kind = ly.grains_layer(boundaries.drawn, placement, name)
        made.append(SavedLayer(kind, boundaries.drawn, arguments, None, "grains"))
    if lines:
        name = settings.get("layer") or ly.BOUNDARIES
        _, arguments, kind = ly.boundaries_layer(boundaries, placement, name)
        arguments["metadata"].pop(ly.OBJECT)
        behind = {"boundaries": boundaries, "fit": None, "selected": ()}
        made.append(SavedLayer(kind, None, _undressed(arguments), behind, "boundaries"))
    return made
