"""Reading a file again with other mass windows, and showing what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import layers_of, paths_of, with_facts_of
from napari_liso.plugin.showing import update

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_liso.acquisition import Acquisition

__all__ = ["LARGE_FILE", "Reading", "read_file", "read_windows", "show_reading"]

#: Bytes from which on a file is read outside of the main thread.
LARGE_FILE = 100 * 2**20


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read, and its layers, ready to be shown.

    Parameters
    ----------
    acquisition
        The counts.
    layers
        As napari takes them; sums over frames are made, since they may take long.
    """

    acquisition: Acquisition
    layers: list[ly.LayerData]

    def sums(self) -> dict[str, float]:
        """Return the counts of each channel."""
        if not ly.has_image(self.acquisition):
            profile = self.layers[0][0]  # (channel, frame)
            return dict(zip(self.acquisition.channels, profile.sum(axis=1).tolist(), strict=True))
        records = ((data, args["metadata"][ly.PROVENANCE]) for data, args, _ in self.layers)
        return {r["channel"]: data.sum().item() for data, r in records if r["role"] == "counts"}


def read_file(path: Any, report: Callable[[float], None] | None = None) -> Reading:
    """Read a file as a whole; in a thread, it stops where `report` raises."""
    from napari_liso.readers import read

    acquisition = read(path, progress=report)
    return Reading(acquisition, ly.acquisition_layers(acquisition))


def read_windows(
    former: Acquisition,
    windows: Mapping[str, tuple[float, float]],
    recalibrate: Mapping[str, float] | None,
    frames: bool,
    report: Callable[[float], None],
) -> Reading:
    """Read the counts in every window; runs in a thread and stops where `report` raises.

    Parameters
    ----------
    former
        Another reading of the same file, of which what was given by hand is kept.
    windows, recalibrate
        As for `napari_liso.readers.read`.
    frames
        Also as (scan, y, x) stacks.
    report
        Is told the share that is done.
    """
    from napari_liso.readers import read

    read_again = read(paths_of(former), windows, recalibrate, progress=report)
    acquisition = with_facts_of(read_again, former)
    layers = ly.acquisition_layers(acquisition)
    if frames and ly.has_image(acquisition):
        layers += ly.acquisition_layers(acquisition, frames=True)
    return Reading(acquisition, layers)


def show_reading(viewer: ViewerModel, reading: Reading) -> list[Layer]:
    """Show what was read, in place of layers of the same file and channel."""
    acquisition = reading.acquisition
    former = layers_of(viewer, acquisition)
    for layer in former:  # everything together: what the windows were chosen from
        if ly.channel_of(layer) == "total" and "total" not in acquisition.channels:
            layer.visible = False
    shown = []
    for layer_data in reading.layers:
        data, arguments, _ = layer_data
        old = next((layer for layer in former if _is_same(layer, arguments)), None)
        if old is None:
            shown.append(ly.add(viewer, layer_data))
        else:
            update(old, data, arguments)
            shown.append(old)
    return shown


def _is_same(layer: Layer, arguments: dict[str, Any]) -> bool:
    """Tell whether a layer shows the same channel in the same way."""
    new = arguments["metadata"][ly.PROVENANCE]
    old = layer.metadata[ly.PROVENANCE]
    same_role = old["role"] == new["role"]
    return same_role and (new["role"] == "profile" or old["channel"] == new["channel"])
