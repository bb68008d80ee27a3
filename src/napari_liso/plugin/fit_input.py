"""What a fit is told about the counts beside the counts themselves: their corrections."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from napari_liso.plugin import layers as ly
from napari_liso.plugin.acquisitions import pulses_behind
from napari_liso.plugin.ratio.input import pulses_in_words, why_no_dead_time

if TYPE_CHECKING:
    from napari.layers import Layer

    from napari_liso.counting.corrections import Corrections
    from napari_liso.counting.measured import Measured

__all__ = ["corrections_in_words", "fit_keywords"]


def fit_keywords(tracer: Layer, other: Layer, corrections: Corrections) -> dict[str, Any]:
    """Return the keywords of `fit_diffusion` for the corrections of a pair of counts.

    The pulses are those of all chosen frames together, since the fit takes the sum of
    the frames: the rate of a pixel is taken to be the same in all of them.

    Parameters
    ----------
    tracer, other
        Layers of counts.
    corrections
        Of the pair; dead time only where the pulses are known.
    """
    pulses = None
    if corrections.dead_time and not why_no_dead_time(tracer, other):
        pulses = pulses_behind(tracer)
        if pulses is not None and pulses.shape != tuple(tracer.data.shape[-2:]):
            pulses = None  # the layer was cut out of the measurement
    return {"pulses": pulses, **corrections.keywords}


def corrections_in_words(tracer: Layer, other: Layer, corrections: Corrections) -> tuple[str, str]:
    """Say in one line which corrections a fit of these counts makes, and with which numbers."""
    names, numbers = [], []
    if corrections.dead_time and not why_no_dead_time(tracer, other):
        names.append("dead time")
        numbers.append(f"Dead time: {pulses_in_words(tracer)}.")
    pair = (tracer, other)
    stated = [
        f"{ly.channel_of(layer)} {_number(measured)}"
        for measured, layer in zip(corrections.background, pair, strict=True)
        if measured.value or measured.error
    ]
    if stated:
        names.append("background")
        numbers.append(f"Background, counts a pixel: {', '.join(stated)}.")
    for name, measured, neutral in (
        ("hydride", corrections.hydride_ratio, 0.0),
        ("fractionation", corrections.fractionation, 1.0),
    ):
        if measured.value != neutral or measured.error:
            names.append(name)
            numbers.append(f"{name.capitalize()}: {_number(measured)}.")
    if not names:
        return "Corrections of the counts: none", ""
    return f"Corrections, in the model: {', '.join(names)}", "\n".join(numbers)


def _number(measured: Measured) -> str:
    if measured.error == 0:
        return f"{measured.value:.4g}"
    return f"{measured.value:.4g} ± {measured.error:.2g}"
