"""Reading a file again with other mass windows, and showing what comes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import layers_of
from napari_liso.plugin.showing import update

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_liso.acquisition import Acquisition

__all__ = ["LARGE_FILE", "read_windows", "show_reading"]

#: Bytes from which on a file is read outside of the main thread.
LARGE_FILE = 100 * 2**20


def read_windows(
    path: Any,
    windows: Mapping[str, tuple[float, float]],
    recalibrate: Mapping[str, float] | None,
    report: Callable[[float], None],
) -> Acquisition:
    """Read the counts in every window; runs in a thread and stops where `report` raises."""
    from napari_liso.readers import read

    return read(path, windows, recalibrate, progress=report)


def show_reading(
    viewer: ViewerModel, acquisition: Acquisition, frames: bool = False
) -> list[Layer]:
    """Show the images of an acquisition, in place of those of the same file and channel.

    Parameters
    ----------
    viewer
        Where.
    acquisition
        What was read.
    frames
        Also as (scan, y, x) stacks.
    """
    former = layers_of(viewer, acquisition)
    for layer in former:  # everything together: what the windows were chosen from
        if ly.channel_of(layer) == "total" and "total" not in acquisition.channels:
            layer.visible = False
    made = ly.acquisition_layers(acquisition)
    if frames and ly.has_image(acquisition):
        made += ly.acquisition_layers(acquisition, frames=True)
    shown = []
    for layer_data in made:
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
