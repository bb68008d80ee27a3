"""How many primary-ion pulses a pixel got, worked out from what a file does say."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["pulses_from_facts"]

#: Where a header says it, but not without doubt.
_STATED = ("pulses_per_pixel_and_frame", "shots_per_pixel_and_scan", "shots_per_pixel")


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
    for key in _STATED:
        shots = _number(facts, key)
        if shots is not None:
            return _at_least_one(shots), f"shots a pixel, as the file's header has them: {shots:g}"
    rate, time = _number(facts, "pulse_rate_Hz"), _number(facts, "time_per_frame_s")
    pixels = int(shape[-1]) * int(shape[-2])
    if rate is None or time is None or pixels == 0:
        return None
    text = (
        f"{rate:,.0f} pulses a second × {time:.4g} s a frame / {pixels:,} pixels "
        f"= {rate * time / pixels:.3g}"
    )
    return _at_least_one(rate * time / pixels), text


def _at_least_one(value: float) -> int:
    return max(1, round(value))


def _number(facts: Mapping[str, Any], key: str) -> float | None:
    value = facts.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if 0 < value < 1e12 else None
