"""A ratio map in words."""

from __future__ import annotations

import numpy as np

from napari_liso.plugin.ratio.work import RatioResult

__all__ = ["result_in_words"]


def result_in_words(name: str, result: RatioResult) -> str:
    """Say what a map shows as a whole, what was corrected, and how much of it is empty.

    Parameters
    ----------
    name
        Of the map's layer.
    result
        The map.
    """
    whole, options = result.whole, result.options
    value, low, high = (float(a.item()) for a in (whole.value, whole.lower, whole.upper))
    text = (
        f"'{name}' is ready. Whole map: {_number(value, options.quantity)} "
        f"({100 * options.confidence:g}\u00a0%: {_number(low, options.quantity)} to "
        f"{_number(high, options.quantity)}), {int(whole.counts.item()):,} counts, "
        f"{_corrected(result)}."
    )
    values = result.map.value
    empty = float(np.mean(~np.isfinite(values)))
    if result.edited:
        changed = " and ".join(f"'{one}'" for one in result.edited)
        text += f" The image of {changed} was changed by hand and taken as it is."
    return text + (f" {empty:.1%} of the pixels are empty." if empty else "")


def _corrected(result: RatioResult) -> str:
    """Say what was corrected for."""
    kept = result.corrections
    done = ["dead time"] if result.dead_time_corrected else []
    if any(b.value > 0 for b in kept.background):
        done.append("background")
    if kept.hydride_ratio.value > 0:
        done.append("hydride")
    if kept.fractionation.value != 1:
        done.append("mass fractionation")
    text = f"corrected for {_listed(done)}" if done else ""
    if result.dead_time_corrected:
        return text
    return f"{text}, not for dead time" if text else "not corrected for dead time"


def _listed(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _number(value: float, quantity: str) -> str:
    """Write a value to the digits that are usual for it."""
    if quantity == "fraction":
        return f"{value:.4f}"
    return f"{value:+.1f}\u00a0‰" if quantity == "delta" else f"{value:.5g}"
