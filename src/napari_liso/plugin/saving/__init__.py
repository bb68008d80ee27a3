"""A viewer's layers as a session, and a session as layers.

`session_of_viewer` takes what is in a viewer, which is quick and belongs into the main
thread; `napari_liso.session.save` then writes it in any thread. `layers_of` returns the
layers of a session as napari takes them, and `restore` puts them into a viewer.
"""

from __future__ import annotations

import platform
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.microstructure.boundaries import Boundaries
from napari_liso.plugin import colours
from napari_liso.plugin import layers as ly
from napari_liso.plugin.features import boundary_features
from napari_liso.plugin.frames.choice import chosen_stack
from napari_liso.plugin.records import OBJECT, PROVENANCE, corrections_of, role_of
from napari_liso.plugin.saving.states import KINDS, arguments_of, keywords_of
from napari_liso.plugin.saving.views import docks_of, fit_settings, view_of
from napari_liso.session import SavedLayer, Session
from napari_liso.session.objects import describe

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_liso.plugin.context import Context

__all__ = ["layers_of", "restore", "session_of_viewer"]

LayerData = tuple[Any, dict[str, Any], str]

#: Images of other programs are embedded up to this size, bytes.
_EMBEDDED = 2**31
#: Layers that only a dock sees, and of one moment.
_PASSING = ("sketch",)


# --- viewer to session ------------------------------------------------------------------------


def session_of_viewer(viewer: ViewerModel, context: Context | None = None) -> Session:
    """Return all that a viewer shows, ready to be saved.

    Takes some milliseconds: arrays that nobody changes are shared, labels, shapes and points
    are copied.

    Parameters
    ----------
    viewer
        With its layers.
    context
        What the dock works on; it says which of several maps is meant. None: that of a
        dock that is open, or the layers that were added last.
    """
    if context is None:
        context = next((dock.context for dock in docks_of(viewer)), None)
    saved, left_out = [], []
    labels: dict[str, Any] = {}  # by the name of their layer
    for layer in viewer.layers:
        one = _saved(viewer, layer)
        if one is None:
            left_out.append(layer.name)
        else:
            saved.append(one)
            labels[layer.name] = one.data
    main = _main(viewer, context)
    settings: dict[str, Any] = {"viewer": view_of(viewer), "choice": _choice(context)}
    experiment, fit = fit_settings(viewer, main["counts"])
    if fit is not None:
        settings["fit"] = fit
    boundaries, grains = main["boundaries"], main["grains"]
    return Session(
        acquisition=None if main["counts"] is None else ly.acquisition_from_layer(main["counts"]),
        grains=None if grains is None else _labels_in(labels.get(grains.name)),
        boundaries=None if boundaries is None else ly.boundaries_from_layer(boundaries),
        experiment=experiment,
        corrections=None if main["counts"] is None else corrections_of(main["counts"]),
        fits=_fits(viewer),
        settings=settings,
        provenance={
            "versions": dict(_versions()),
            "left_out": left_out,
        },
        layers=tuple(saved),
    )


@cache  # looking them up takes longer than all the rest
def _versions() -> dict[str, str]:
    return {
        "napari-liso": version("napari-liso"),
        "napari": version("napari"),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }


def _main(viewer: ViewerModel, context: Context | None) -> dict[str, Layer | None]:
    """Return the layers that the session is about."""
    found: dict[str, Layer | None] = {"counts": None, "grains": None, "boundaries": None}
    for layer in viewer.layers:  # the one on top wins
        role = role_of(layer)
        if role in found:
            found[role] = layer
    if context is not None:
        chosen = {
            "counts": context.tracer.current,
            "grains": context.grains.current,
            "boundaries": context.boundaries.current,
        }
        found |= {role: layer for role, layer in chosen.items() if layer is not None}
    return found


def _choice(context: Context | None) -> dict[str, str]:
    """Return the names of the layers that the docks work on."""
    if context is None:
        return {}
    choices = {name: getattr(context, name).current for name in _CHOICES}
    return {name: layer.name for name, layer in choices.items() if layer is not None}


_CHOICES = ("tracer", "other", "grains", "boundaries")


def _fits(viewer: ViewerModel) -> dict[str, Any]:
    fits = {layer.name: ly.fit_from_layer(layer) for layer in viewer.layers}
    return {name: fit for name, fit in fits.items() if fit is not None}


def _saved(viewer: ViewerModel, layer: Layer) -> SavedLayer | None:
    """Return a layer as plain data; None if it is of a kind that is not saved."""
    kind = layer.__class__.__name__.lower()
    role = role_of(layer)
    if kind not in KINDS or role in _PASSING or getattr(layer, "multiscale", False):
        return None
    _, state, _ = layer.as_layer_data_tuple()
    arguments = arguments_of(layer, kind, state)
    behind = _behind(layer, role)
    data: Any
    if kind == "labels":
        data = None if _shows_boundaries(behind) else _labels(viewer, layer)
    elif kind == "image":
        shown = layer.data
        size = int(np.prod(shown.shape, dtype=object)) * shown.dtype.itemsize
        made = role == "scans" and isinstance(behind, Acquisition)  # frame by frame, again
        if size > _EMBEDDED and not made:
            return None
        data = _Image(shown, role, behind, str(layer.metadata.get(PROVENANCE, {}).get("channel")))
    elif kind == "shapes":
        data = [np.array(one) for one in cast("Any", layer.data)]
    else:
        data = np.array(layer.data)
    return SavedLayer(kind, data, arguments, behind, role)


def _behind(layer: Layer, role: str) -> Any:
    """Return the object behind a layer, if a session can hold it."""
    behind = layer.metadata.get(OBJECT)
    if role == "boundaries" and isinstance(behind, dict):
        selection = behind.get("selection")
        stale = behind.get("stale")
        return {
            "boundaries": behind["boundaries"],
            "fit": behind.get("fit"),
            "selected": () if selection is None else tuple(selection.ids),
            **({} if stale is None else {"stale": frozenset(stale)}),
        }
    if role == "grains" and isinstance(behind, dict):
        behind = {key: value for key, value in behind.items() if _can_hold(value)}
        return behind or None  # the EBSD map that they are from
    return behind if _can_hold(behind) else None


def _can_hold(value: Any) -> bool:
    """Tell whether a session can hold an object."""
    return isinstance(value, Acquisition) or describe(value) is not None


def _shows_boundaries(behind: Any) -> bool:
    return isinstance(behind, dict) and isinstance(behind.get("boundaries"), Boundaries)


@dataclass(frozen=True, eq=False)
class _Image:
    """Pixels of an image, looked at when they are written: in a thread, since that takes a while.

    Parameters
    ----------
    data
        Of the layer, which nobody changes in place.
    role, behind, channel
        Of the layer.
    """

    data: Any
    role: str
    behind: Any
    channel: str

    def __call__(self) -> Any:
        """Return the pixels, or None where they follow from the counts behind them."""
        return None if self._is_made() else np.asarray(self.data)

    def _is_made(self) -> bool:
        behind = self.behind
        if not isinstance(behind, Acquisition) or self.channel not in behind.channels:
            return False
        if self.role == "scans":
            return True
        if self.role != "counts" or behind.counts.shape[1] != 1:
            return False
        counts, index = behind.counts, behind.channels.index(self.channel)
        return isinstance(counts, np.ndarray) and np.array_equal(counts[index, 0], self.data)


@dataclass(frozen=True, eq=False)
class _Cast:
    """Labels that are written in another type, which takes a while.

    Parameters
    ----------
    labels
        That nobody changes.
    dtype
        Of the layer.
    """

    labels: NDArray[Any]
    dtype: np.dtype[Any]

    def __call__(self) -> NDArray[Any]:
        """Return them in that type."""
        return self.labels.astype(self.dtype)


def _labels(viewer: ViewerModel, layer: Any) -> NDArray[Any] | _Cast:
    """Return the pixels of a Labels layer: those of the boundaries if they are the same."""
    data = np.asarray(layer.data)
    for other in viewer.layers:
        if role_of(other) == "boundaries" and isinstance(other.metadata.get(OBJECT), dict):
            drawn = ly.boundaries_from_layer(other).drawn
            if np.array_equal(drawn, data):
                return drawn if drawn.dtype == data.dtype else _Cast(drawn, data.dtype)
    return np.array(data)


def _labels_in(data: Any) -> NDArray[Any] | None:
    """Return the labels themselves, in whatever type."""
    labels = data.labels if isinstance(data, _Cast) else data
    return labels if isinstance(labels, np.ndarray) else None


# --- session to viewer ------------------------------------------------------------------------


def layers_of(session: Session) -> list[LayerData]:
    """Return the layers of a session as napari takes them, bottom first.

    A session that was saved by a script, without layers, gets those that its parts show.
    """
    if not session.layers:
        return _plain_layers(session)
    layers = []
    for saved in session.layers:
        keywords = keywords_of(saved.arguments, saved.kind)
        metadata = dict(keywords.get("metadata", {}))
        record = metadata.get(PROVENANCE)
        if isinstance(record, dict):
            # the colour scales are no part of a layer's arguments
            metadata[PROVENANCE] = {k: v for k, v in record.items() if k != "dressed"}
        behind = saved.behind
        if _shows_boundaries(behind):
            metadata[OBJECT] = _with_selection(behind)
            if "features" not in keywords:  # the boundaries are of later than the layer
                keywords |= _table_and_colours(behind)
        elif behind is not None:
            metadata[OBJECT] = behind
        keywords["metadata"] = metadata
        layers.append((_pixels(saved), keywords, saved.kind))
    _give_fit_settings(session, layers)
    return layers


def _pixels(saved: SavedLayer) -> Any:
    data = saved.data() if callable(saved.data) else saved.data
    if data is not None:
        # labels are painted in place, while the boundaries that share them must stay
        return data.copy() if saved.kind == "labels" else data
    behind = saved.behind
    if isinstance(behind, Acquisition):
        channel = saved.arguments["metadata"][PROVENANCE]["channel"]
        index = behind.channels.index(channel)
        return chosen_stack(behind, index) if saved.role == "scans" else behind[channel]
    if _shows_boundaries(behind):
        return behind["boundaries"].labels.copy()
    raise ValueError(f"the layer '{saved.arguments.get('name')}' has no pixels")


def _with_selection(behind: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a boundaries layer keeps, with a selection that docks can follow."""
    from napari_liso.plugin.selection import BoundarySelection

    selection = BoundarySelection()
    selection.select(behind.get("selected", ()))
    kept = {key: value for key, value in behind.items() if key != "selected"}
    return {**kept, "selection": selection}


def _table_and_colours(behind: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of a boundaries layer that follow from what is behind it."""
    fit, stale = behind.get("fit"), behind.get("stale") or frozenset()
    features = boundary_features(behind["boundaries"], fit, stale)
    log_k = None if fit is None else colours.log_permeability(fit.table, len(features))
    colormap = colours.boundary_colormap(features["state"].to_numpy(), log_k)
    return {"features": features, "colormap": colormap}


def _give_fit_settings(session: Session, layers: list[LayerData]) -> None:
    """Give the counts what the form of the fit fills itself from."""
    settings = session.settings.get("fit")
    name = session.settings.get("choice", {}).get("tracer")
    if not isinstance(settings, dict):
        return
    counts = [one for one in layers if _role_in(one) == "counts"]
    mine = [one for one in counts if one[1].get("name") == name] or counts[:1]
    for _, keywords, _ in mine:
        keywords["metadata"][PROVENANCE] |= settings


def _role_in(layer_data: LayerData) -> str:
    return str(layer_data[1]["metadata"].get(PROVENANCE, {}).get("role", ""))


def _plain_layers(session: Session) -> list[LayerData]:
    """Return layers of the parts of a session."""
    acquisition, boundaries = session.acquisition, session.boundaries
    size = None if boundaries is None else boundaries.pixel_size
    if size is None and acquisition is not None:
        size = acquisition.pixel_size
    placement = ly.Placement.of_pixel_size(size)
    layers = [] if acquisition is None else list(ly.acquisition_layers(acquisition))
    grains = session.grains
    if grains is None and boundaries is not None:
        grains = boundaries.drawn
    if grains is not None:
        layers.append(ly.grains_layer(grains, placement))
    if boundaries is not None:
        fits = [f for f in session.fits.values() if f.fraction.shape == boundaries.labels.shape]
        if fits:
            layers += ly.fit_layers(fits[-1], boundaries, placement)
        else:
            layers.append(ly.boundaries_layer(boundaries, placement))
    return layers


def restore(viewer: ViewerModel, session: Session) -> list[Layer]:
    """Put the layers of a session into a viewer, above those that are there.

    Into an empty viewer, camera and the place in stacks come back, too.

    Returns
    -------
    list of Layer
        Bottom first.
    """
    from napari_liso.plugin.saving.views import finish

    was_empty = not len(viewer.layers)
    layers = [viewer.add_layer(ly.made(one)) for one in layers_of(session)]
    finish(viewer, session, layers, was_empty)
    return layers
