"""What a layer's metadata says about it: its role, its sources, and how it was made."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from napari_liso import __version__
from napari_liso.counting.corrections import Corrections

if TYPE_CHECKING:
    from napari.layers import Layer

__all__ = [
    "CORRECTIONS",
    "EDITOR",
    "OBJECT",
    "PROVENANCE",
    "channel_of",
    "corrections_of",
    "give_corrections",
    "is_proposal",
    "provenance",
    "result_name",
    "role_of",
]

PROVENANCE = "napari_liso"
OBJECT = "napari_liso_object"
#: Key of ``metadata[OBJECT]`` of a boundaries layer: whatever edits them.
EDITOR = "editor"
#: Corrections of an isotope pair, kept with its counts: every dock and the fit use the same.
CORRECTIONS = "napari_liso_corrections"


def provenance(role: str, sources: Iterable[str] = (), **facts: Any) -> dict[str, Any]:
    """Return the JSON-able record of a layer: what it is, from what, how and when."""
    return {
        "role": role,
        "sources": list(sources),
        "version": __version__,
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        **facts,
    }


def role_of(layer: Layer) -> str:
    """Return what a layer is to us (``"counts"``, ``"grains"``, ...), ``""`` if not ours."""
    return str(layer.metadata.get(PROVENANCE, {}).get("role", ""))


def channel_of(layer: Layer) -> str:
    """Return the name of the peak that a layer shows: its channel, or the layer's name."""
    channel = layer.metadata.get(PROVENANCE, {}).get("channel")
    return str(channel or layer.name.split(" [")[0])


def result_name(base: str, source: str) -> str:
    """Name a result after its source: a source ``"Grains [2]"`` marks it with ``[2]`` too."""
    mark = re.search(r" \[\d+\]$", source)
    return base + (mark.group() if mark else "")


def is_proposal(layer: Layer) -> bool:
    """Tell whether a layer holds grains that were segmented here, not drawn or imported."""
    record = layer.metadata.get(PROVENANCE, {})
    return role_of(layer) == "grains" and bool(record.get("segmented"))


def corrections_of(layer: Layer | None) -> Corrections:
    """Return the corrections kept with a layer of counts; the default ones if none are."""
    record = None if layer is None else layer.metadata.get(CORRECTIONS)
    return Corrections() if record is None else Corrections.from_record(record)


def give_corrections(layer: Layer, corrections: Corrections) -> None:
    """Keep corrections with a layer of counts; whoever follows its metadata is told."""
    layer.metadata = {**layer.metadata, CORRECTIONS: corrections.describe()}
