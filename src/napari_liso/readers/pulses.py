"""How many primary-ion pulses a pixel got, worked out from what a file does say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["pulses_from_facts"]

#: Rounding of headers may take so much from one pulse a pixel.
_LEAST = 0.9


def pulses_from_facts(facts: Mapping[str, Any], shape: tuple[int, ...]) -> tuple[int, str] | None:
    """Work out the pulses per pixel and frame, as a proposal to be confirmed.

    Parameters
    ----------
    facts
        Metadata of an acquisition.
    shape
        Of its counts, (channel, frame, y, x).

    Returns
    -------
    tuple or None
        The number and how it comes about in words; None where the file does not
        say enough.
    """
    stated = _number(facts, "pulses_per_pixel_and_frame")
    if stated is not None and stated >= 1:
        return round(stated), f"{stated:g}, as the file's header has them"
    rate, time = _number(facts, "pulse_rate_Hz"), _number(facts, "time_per_frame_s")
    pixels = int(shape[-1]) * int(shape[-2])
    if rate is None or time is None or pixels == 0:
        return None
    each = rate * time / pixels
    if each < _LEAST:  # then these times are not those of these pixels
        return None
    text = f"{rate:,.0f} pulses a second × {time:.4g} s a frame / {pixels:,} pixels = {each:.3g}"
    return max(1, round(each)), text


def _number(facts: Mapping[str, Any], key: str) -> float | None:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < 1e12 else None
