"""Measurements behind layers: which layers belong to a file, and facts given by hand.

What a file does not say (pixel size, pulses) the user can give. It is then kept
in the acquisition of every layer of that file, with a note of where it is from,
and survives reading the file again with other mass windows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.plugin import layers as ly
from napari_liso.plugin.frames.choice import FRAMES_USED, choice_of, summed_pulses, with_choice
from napari_liso.units import from_um

if TYPE_CHECKING:
    from napari.components import ViewerModel
    from napari.layers import Layer

    from napari_liso.acquisition import Acquisition
    from napari_liso.microstructure.ebsd import EbsdMap

__all__ = [
    "BY_HAND",
    "acquisitions_in",
    "file_name",
    "give_pixel_size",
    "give_pulses",
    "layers_of",
    "needs_windows",
    "paths_of",
    "pulses_behind",
    "same_file",
    "with_facts_of",
]

BY_HAND = "given by hand"


def same_file(one: Acquisition, other: Acquisition) -> bool:
    """Tell whether two acquisitions are of one measurement."""
    if one is other:
        return True
    known = one.metadata.get("path") is not None and other.metadata.get("path") is not None
    return known and bool(paths_of(one) == paths_of(other))


def file_name(acquisition: Acquisition | EbsdMap) -> str:
    """Return what to call the file of a measurement, or the first of several."""
    path = str(acquisition.metadata.get("path", ""))
    name = path.replace("\\", "/").rstrip("/").split("/")[-1] or "this measurement"
    others = len(acquisition.metadata.get("files", ())) - 1
    return name if others < 1 else f"{name} and {others} more"


def needs_windows(acquisition: Acquisition) -> bool:
    """Tell whether windows can be put into a spectrum, or there is nothing to see as an image."""
    chosen = bool(acquisition.metadata.get("images_of_chosen_peaks"))
    has_axis = acquisition.spectrum_source is not None and not chosen
    return has_axis or not ly.has_image(acquisition)


def paths_of(acquisition: Acquisition) -> Any:
    """Return what to read to have the acquisition again: a path, or several."""
    several = [one["path"] for one in acquisition.metadata.get("files", ())]
    return several if len(several) > 1 else acquisition.metadata["path"]


def acquisitions_in(viewer: ViewerModel) -> list[Acquisition]:
    """Return the acquisitions behind the layers, one a file, the one added last at the end."""
    found: list[Acquisition] = []
    for layer in viewer.layers:
        acquisition = ly.acquisition_from_layer(layer)
        if acquisition is not None:
            found = [other for other in found if not same_file(other, acquisition)]
            found.append(acquisition)
    return found


def layers_of(viewer: ViewerModel, acquisition: Acquisition) -> list[Layer]:
    """Return the layers that show an acquisition or another reading of its file."""
    found = []
    for layer in viewer.layers:
        own = ly.acquisition_from_layer(layer)
        if own is not None and same_file(own, acquisition):
            found.append(layer)
    return found


def pulses_behind(layer: Layer) -> NDArray[Any] | None:
    """Return the pulses behind each (y, x) count of a layer, chosen frames summed.

    None if unknown.
    """
    acquisition = ly.acquisition_from_layer(layer)
    if acquisition is None or not ly.has_image(acquisition):
        return None
    return summed_pulses(acquisition)


# --- facts given by hand ----------------------------------------------------------------------


def give_pixel_size(viewer: ViewerModel, acquisition: Acquisition, pixel_size_um: float) -> None:
    """Keep a pixel size given by hand in every layer of a file; the layers stay where they are."""
    size = from_um(pixel_size_um)
    for layer in layers_of(viewer, acquisition):
        own = ly.acquisition_from_layer(layer)
        if own is not None:
            _keep(layer, _with_pixel_size(own, (size, size)))


def give_pulses(viewer: ViewerModel, acquisition: Acquisition, pulses: int) -> None:
    """Keep the pulses per pixel and frame, given by hand, in every layer of a file."""
    for layer in layers_of(viewer, acquisition):
        own = ly.acquisition_from_layer(layer)
        if own is not None:
            _keep(layer, _with_pulses(own, pulses))


def with_facts_of(acquisition: Acquisition, former: Acquisition | None) -> Acquisition:
    """Return an acquisition with what was given by hand for a former reading of the file."""
    if former is None or not same_file(acquisition, former):
        return acquisition
    facts = former.metadata
    if facts.get("pixel_size_source") == BY_HAND and former.pixel_size is not None:
        acquisition = _with_pixel_size(acquisition, former.pixel_size)
    if facts.get("pulses_source") == BY_HAND:
        acquisition = _with_pulses(acquisition, int(facts["pulses_per_pixel_and_frame"]))
    if FRAMES_USED in facts and acquisition.counts.shape[1] == former.counts.shape[1]:
        acquisition = with_choice(acquisition, choice_of(former))
    return acquisition


def _with_pixel_size(acquisition: Acquisition, size: tuple[float, float]) -> Acquisition:
    metadata = {**acquisition.metadata, "pixel_size_source": BY_HAND}
    return _warned_anew(acquisition, replace(acquisition, pixel_size=size, metadata=metadata))


def _with_pulses(acquisition: Acquisition, pulses: int) -> Acquisition:
    if pulses < 1:
        raise ValueError(f"the pulses per pixel and frame must be at least 1, got {pulses}")
    metadata = {
        **acquisition.metadata,
        "pulses_per_pixel_and_frame": int(pulses),
        "pulses_source": BY_HAND,
    }
    array = np.full((1, 1, 1), pulses)
    return _warned_anew(acquisition, replace(acquisition, pulses=array, metadata=metadata))


def _warned_anew(before: Acquisition, now: Acquisition) -> Acquisition:
    """Put the general warnings of what is known now in place of the former ones."""
    from napari_liso.readers.checks import general_warnings

    former = general_warnings(before)
    kept = [w for w in now.metadata.get("warnings", ()) if w not in former]
    return replace(now, metadata={**now.metadata, "warnings": [*kept, *general_warnings(now)]})


def _keep(layer: Layer, acquisition: Acquisition) -> None:
    record = {**layer.metadata[ly.PROVENANCE], "acquisition": acquisition.metadata}
    layer.metadata = {**layer.metadata, ly.PROVENANCE: record, ly.OBJECT: acquisition}
