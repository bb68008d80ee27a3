"""What belongs to a viewer and its docks rather than to a layer: view, chosen layers, forms."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np
from qtpy.compat import isalive

from napari_liso.diffusion.experiment import EDGES, Experiment
from napari_liso.diffusion.full_model import FullModel
from napari_liso.plugin import layers as ly
from napari_liso.plugin.records import PROVENANCE
from napari_liso.plugin.selection import camera_of
from napari_liso.units import from_um

if TYPE_CHECKING:
    from pathlib import Path

    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_liso.plugin.widgets.fit import FitPanel
    from napari_liso.session import Session

__all__ = ["docks_of", "finish", "fit_settings", "path_of", "remember_path", "view_of"]

_paths: WeakKeyDictionary[Any, Path] = WeakKeyDictionary()


def _itself(viewer: Any) -> Any:
    """Return the viewer behind the face that napari shows to plugins."""
    return getattr(viewer, "__wrapped__", viewer)


def remember_path(viewer: ViewerModel, path: Path) -> None:
    """Remember the file in which a viewer's session is; the docks show it."""
    if path_of(viewer) != path:
        _paths[_itself(viewer)] = path
        for dock in docks_of(viewer):
            dock.context.layers_changed.emit()


def path_of(viewer: ViewerModel) -> Path | None:
    """Return the file in which a viewer's session is, or None."""
    return _paths.get(_itself(viewer))


def docks_of(viewer: ViewerModel) -> list[Any]:
    """Return the docks of this package in a viewer's window; none where there is no window."""
    window = getattr(viewer, "window", None)
    if window is None:
        return []
    from napari_liso.plugin.widgets.main import Dock

    try:
        inside = list(window.dock_widgets.values())
    except RuntimeError:  # the window has been closed
        return []
    return [one for one in inside if isinstance(one, Dock) and isalive(one)]


def view_of(viewer: ViewerModel) -> dict[str, Any]:
    """Return camera, place in stacks and the active layer, JSON-able."""
    camera = camera_of(viewer)
    active = viewer.layers.selection.active
    return {
        "camera": {
            "center": [float(v) for v in camera.center],
            "zoom": float(camera.zoom),
            "angles": [float(v) for v in camera.angles],
        },
        "point": [float(v) for v in viewer.dims.point],
        "displayed": int(viewer.dims.ndisplay),
        "active": None if active is None else active.name,
    }


def fit_settings(
    viewer: ViewerModel, counts: Layer | None
) -> tuple[Experiment | None, dict[str, Any] | None]:
    """Return the experiment, and what the form of the fit says.

    From the form where a dock is open; else from the counts, which keep what a form was
    filled from; else from the last fit.
    """
    panel = _fit_panel(viewer)
    if panel is not None:
        # entries that contradict each other are no experiment
        with contextlib.suppress(ValueError):
            typed = panel.form.experiment()
            return typed, {
                "experiment": typed.describe(),
                "section": panel.section.currentData(),
                "psf_fwhm": from_um(panel.psf.value()),
            }
    fits = [ly.fit_from_layer(layer) for layer in viewer.layers]
    models = [fit.full_fraction for fit in fits if fit is not None]
    fitted = [one.experiment for one in models if isinstance(one, FullModel)]
    experiment = fitted[-1] if fitted else None
    record = {} if counts is None else counts.metadata.get(PROVENANCE, {})
    if "experiment" in record:
        kept = {key: record[key] for key in ("experiment", "section", "psf_fwhm")}
        return experiment or _experiment(record["experiment"]), kept
    return experiment, None


def _fit_panel(viewer: ViewerModel) -> FitPanel | None:
    """Return the panel of the fit in a dock that is open."""
    docks = docks_of(viewer)
    if not docks:
        return None
    from napari_liso.plugin.widgets.fit import FitPanel

    panels = [step.panel for dock in docks for step in dock.steps]
    return next((panel for panel in panels if isinstance(panel, FitPanel)), None)


def _experiment(described: Mapping[str, Any]) -> Experiment | None:
    """Return the experiment that `Experiment.describe` told of, if that says all."""
    from napari_liso.diffusion.experiment import Stage

    if described.get("source") not in EDGES:
        return None
    stages = [Stage(**stage) for stage in described["stages"]]
    return Experiment(**{**described, "stages": stages})


def finish(
    viewer: ViewerModel, session: Session, layers: Sequence[Layer], was_empty: bool
) -> None:
    """Do what layers cannot carry, once they are in the viewer.

    Parameters
    ----------
    viewer, session
        Where, and what.
    layers
        Of the session, bottom first.
    was_empty
        Whether nothing else was in the viewer: then the view is restored.
    """
    for layer in layers:
        ly.dress(layer)
    # a name that was taken got a number
    names = [saved.arguments.get("name") for saved in session.layers]
    now = dict(zip(names, layers, strict=False))
    chosen = session.settings.get("choice", {})
    for dock in docks_of(viewer):
        for role, name in chosen.items():
            choice = getattr(dock.context, role, None)
            if choice is not None and now.get(name) in choice.candidates:
                choice.choose(now[name])
    view = session.settings.get("viewer")
    if was_empty and isinstance(view, Mapping):
        _look(viewer, view, now)


def _look(viewer: ViewerModel, view: Mapping[str, Any], layers: Mapping[Any, Layer]) -> None:
    """Restore camera, place in stacks and the active layer, as far as they fit."""
    # the values are those of a file, so anything may be wrong with them
    with contextlib.suppress(KeyError, TypeError, ValueError):
        if view["displayed"] in (2, 3):
            viewer.dims.ndisplay = view["displayed"]
        point = [float(v) for v in view["point"]]
        if len(point) == viewer.dims.ndim and np.isfinite(point).all():
            viewer.dims.point = point
        camera = camera_of(viewer)
        zoom = float(view["camera"]["zoom"])
        center = [float(v) for v in view["camera"]["center"]]
        if np.isfinite(center).all() and 0 < zoom < np.inf:
            camera.center = tuple(center)
            camera.zoom = zoom
            camera.angles = tuple(float(v) for v in view["camera"]["angles"])
    active = layers.get(view.get("active"))
    if active is not None:
        viewer.layers.selection.active = active
