"""The layers of an isotope ratio in a viewer: found again, updated in place, taken away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_liso.plugin import layers as ly
from napari_liso.plugin.layers import ratio as rl
from napari_liso.plugin.placement import SPATIAL, Placement
from napari_liso.plugin.ratio.work import HueOptions, RatioOptions, RatioResult
from napari_liso.plugin.showing import update

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

__all__ = ["EXTRAS", "RatioLayers", "hue_of", "limits_by_hand", "map_name", "options_of"]

#: Roles of the layers that may accompany the map.
EXTRAS = (rl.HALF_INTERVAL, rl.COUNTS, rl.HUE_INTENSITY)
_ENDINGS = {
    rl.HALF_INTERVAL: "half interval",
    rl.COUNTS: "counts",
    rl.HUE_INTENSITY: "hue-intensity",
}


def map_name(quantity: str, tracer: str, other: str) -> str:
    """Return the name of a map of two isotopes, as of its layer and of axes."""
    return {
        "fraction": f"{tracer} fraction",
        "ratio": f"{tracer}/{other}",
        "delta": f"{tracer}/{other} delta (‰)",
    }[quantity]


class RatioLayers:
    """The layers made of one pair of counts, a set for each quantity.

    The map of a set has the role ``"map"``, those beside it one out of `EXTRAS`.
    """

    def __init__(self, viewer: ViewerModel) -> None:
        self._viewer = viewer
        self._made: dict[tuple[str, str], Layer] = {}  # by quantity and role
        self._shown: dict[tuple[str, str], Any] = {}  # what each layer shows
        self._quantity: str | None = None

    def forget(self) -> None:
        """Let the layers be; another pair is chosen."""
        self._made, self._shown, self._quantity = {}, {}, None

    def put_away(self, tracer: Layer, other: Layer) -> None:
        """Hide what was made of a pair: its colours and scales would lie over the next one's."""
        for layer in self._viewer.layers:
            record = layer.metadata.get(ly.PROVENANCE, {})
            ours = _is_map(layer, None) or ly.role_of(layer) in EXTRAS
            same = list(record.get("sources", ())) == [tracer.name, other.name]
            if ours and same and layer.visible:
                layer.visible = False

    def find(self, tracer: Layer, other: Layer, quantity: str | None = None) -> Layer | None:
        """Return the map of a pair; where `quantity` is None the one in sight, else any."""
        own = self._made.get((quantity or "", "map"))
        if own is not None and own in self._viewer.layers:
            return own
        sources = [tracer.name, other.name]
        found = [
            layer
            for layer in reversed(self._viewer.layers)
            if _is_map(layer, quantity)
            and list(layer.metadata[ly.PROVENANCE].get("sources", ())) == sources
        ]
        found += [
            layer
            for (_, role), layer in self._made.items()
            if role == "map" and quantity is None and layer in self._viewer.layers
        ]
        return next((layer for layer in found if layer.visible), found[0] if found else None)

    def extra(self, role: str, map_layer: Layer | None) -> Layer | None:
        """Return the layer of a role that accompanies a map, or None."""
        if map_layer is None:
            return None
        quantity = options_of(map_layer).quantity
        own = self._made.get((quantity, role))
        if own is not None and own in self._viewer.layers:
            return own
        sources = map_layer.metadata[ly.PROVENANCE].get("sources")
        for layer in reversed(self._viewer.layers):
            record = layer.metadata.get(ly.PROVENANCE, {})
            same = record.get("sources") == sources and record.get("quantity") == quantity
            if same and ly.role_of(layer) == role:
                return layer
        return None

    def notice_gone(self, role: str, quantity: str) -> bool:
        """Tell whether a layer that was made is there no more, and forget it."""
        own = self._made.get((quantity, role))
        if own is None or own in self._viewer.layers:
            return False
        del self._made[quantity, role]
        return True

    def remove(self, role: str, map_layer: Layer | None) -> None:
        """Take an accompanying layer away, if it is one of ours."""
        layer = self.extra(role, map_layer)
        if layer is not None and map_layer is not None:
            self._made.pop((options_of(map_layer).quantity, role), None)
            self._viewer.layers.remove(layer)

    def show(
        self,
        result: RatioResult,
        tracer: Layer,
        other: Layer,
        wanted: Iterable[str],
        facts: dict[str, Any],
        automatic_top: bool = True,
    ) -> Layer:
        """Show the map and the wanted accompanying layers, in place where they are there.

        Parameters
        ----------
        result
            What was worked out.
        tracer, other
            Layers of the counts.
        wanted
            Roles out of `EXTRAS`.
        facts
            More for the provenance.
        automatic_top
            Whether the full brightness of the hues was chosen from the map.

        Returns
        -------
        Layer
            Of the map.
        """
        options = result.options
        quantity = options.quantity
        base = map_name(quantity, ly.channel_of(tracer), ly.channel_of(other))
        common: dict[str, Any] = {
            "placement": ly.Placement.of_layer(tracer),
            "sources": (tracer.name, other.name),
            **options.describe(),
            **facts,
        }
        wanted = set(wanted)
        found = self.find(tracer, other, quantity)
        # on top of what is there: the map, then its colours; below it, what tells of its errors
        if rl.COUNTS in wanted:
            name = self._extra_name(base, rl.COUNTS, tracer)
            data = rl.pair_counts_layer(result.map.counts, name, **common)
            self._put((quantity, rl.COUNTS), data, found, (result.map, facts))
        if rl.HALF_INTERVAL in wanted:
            name = self._extra_name(base, rl.HALF_INTERVAL, tracer)
            data = rl.half_interval_layer(result.map, name, limits=result.limits, **common)
            self._put((quantity, rl.HALF_INTERVAL), data, found, (result.map, facts))
        name = ly.result_name(base, tracer.name)
        make: Callable[..., ly.LayerData] = ly.fraction_layer
        if quantity != "fraction":
            make = rl.ratio_layer
        shown = self._put(
            (quantity, "map"),
            make(result.map, name, limits=result.limits, **common),
            found,
            (result.map, facts),
        )
        if rl.HUE_INTENSITY in wanted and result.picture is not None and result.hue is not None:
            name = self._extra_name(base, rl.HUE_INTENSITY, tracer)
            data = rl.hue_intensity_layer(
                result.picture, result.hue, name, automatic_top=automatic_top, **common
            )
            self._put((quantity, rl.HUE_INTENSITY), data, shown, (result.picture, facts))
        self._bring_into_sight(quantity)
        return shown

    def _extra_name(self, base: str, role: str, tracer: Layer) -> str:
        return ly.result_name(f"{base}, {_ENDINGS[role]}", tracer.name)

    def _put(
        self,
        key: tuple[str, str],
        layer_data: ly.LayerData,
        map_layer: Layer | None,
        shows: tuple[object, dict[str, Any]],
    ) -> Layer:
        """Show a layer where its former version is, whatever the user calls that.

        One that shows the same already is not drawn again.
        """
        data, arguments, _ = layer_data
        former = map_layer if key[1] == "map" else self.extra(key[1], map_layer)
        before = self._shown.get(key)
        if former is None:
            layer = ly.show(self._viewer, layer_data)
        elif before is not None and before[0] == former and _are_same(before[1:], shows):
            layer = former
            Placement({k: v for k, v in arguments.items() if k in SPATIAL}).apply(layer)
        else:
            layer = former
            update(layer, data, arguments)
        self._shown[key] = (layer, *shows)
        self._made[key] = layer
        return layer

    def _bring_into_sight(self, quantity: str) -> None:
        """Show the layers of the quantity that was chosen, hide those of the former one."""
        if quantity != self._quantity:
            for (of, _), layer in self._made.items():
                if layer not in self._viewer.layers:
                    continue
                # napari draws the canvas anew with each, changed or not
                if of == quantity and not layer.visible:
                    layer.visible = True
                elif of != quantity and self._quantity is not None and layer.visible:
                    layer.visible = False
        self._quantity = quantity


def _are_same(before: tuple[object, Any], now: tuple[object, Any]) -> bool:
    """Tell whether one object is shown, with the same facts."""
    return before[0] is now[0] and before[1] == now[1]


def limits_by_hand(layer: Layer | None) -> tuple[float, float] | None:
    """Return the contrast limits of a map if the user changed them, else None."""
    if layer is None:
        return None
    ours = layer.metadata.get(ly.PROVENANCE, {}).get("contrast_limits")
    low, high = (float(v) for v in layer.contrast_limits)
    return None if ours is not None and np.allclose(ours, (low, high)) else (low, high)


def options_of(layer: Layer) -> RatioOptions:
    """Return the options that a map was made with."""
    record = layer.metadata.get(ly.PROVENANCE, {})
    return RatioOptions.from_record(record)


def hue_of(layer: Layer) -> HueOptions:
    """Return the options that a hue-intensity view was made with, its limits left out."""
    record = layer.metadata.get(ly.PROVENANCE, {}).get("hue", {})
    top = None if record.get("automatic_brightness", True) else record["full_brightness_counts"]
    return HueOptions(None, top, record.get("gamma", 1.0), record.get("hues", "spectrum"))


def _is_map(layer: Layer, quantity: str | None) -> bool:
    record = layer.metadata.get(ly.PROVENANCE, {})
    if record.get("role") not in ("fraction", rl.RATIO):
        return False
    return quantity is None or record.get("quantity", "fraction") == quantity
