"""Mass windows in words: isotope fractions of their counts, and the script that reads them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from napari_liso.isotopes import guess_pair, isotope_of

__all__ = ["fraction_lines", "isotope_pairs", "python_call"]


def isotope_pairs(names: list[str]) -> list[tuple[str, str]]:
    """Return (tracer, other) of every element of which two isotopes are there, lithium first."""
    pairs = []
    left = list(names)
    while (pair := guess_pair(left)) is not None:
        tracer, other = (left[place] for place in pair)
        pairs.append((tracer, other))
        element = (isotope_of(tracer) or ("", 0))[0]
        left = [name for name in left if (isotope_of(name) or ("", 0))[0] != element]
    return pairs


def fraction_lines(sums: Mapping[str, float], are_counts: bool = True) -> list[str]:
    """Return the isotope fraction of every pair with its interval, a line each.

    Parameters
    ----------
    sums
        Counts of each window.
    are_counts
        False: intensities were corrected, so that the interval is that of as
        many counts.
    """
    from napari_liso.counting.fraction import isotope_fraction

    lines = []
    for tracer, other in isotope_pairs(list(sums)):
        first, second = (np.array([[np.rint(sums[name])]], np.int64) for name in (tracer, other))
        if not first.sum() + second.sum() > 0:
            continue
        result = isotope_fraction(first, second)
        value, low, high = (float(a.item()) for a in (result.value, result.lower, result.upper))
        text = f"{tracer}/({tracer}+{other}) = {value:.4f} (95\u00a0%: {low:.4f}–{high:.4f})"
        lines.append(text if are_counts else f"{text}, as if these were counts")
    return lines


def python_call(
    path: Any,
    windows: Mapping[str, tuple[float, float]],
    recalibrate: Mapping[str, float] | None = None,
) -> str:
    """Return the lines of a script that read a file with these windows."""
    paths = path if isinstance(path, str) else [str(one) for one in path]
    lines = ["import napari_liso as liso", "", "acquisition = liso.read(", f"    {paths!r},"]
    if windows:
        lines.append("    windows={")
        lines += [
            f"        {name!r}: ({low!r}, {high!r})," for name, (low, high) in windows.items()
        ]
        lines.append("    },")
    if recalibrate:
        lines.append(f"    recalibrate={dict(recalibrate)!r},")
    return "\n".join([*lines, ")", ""])
