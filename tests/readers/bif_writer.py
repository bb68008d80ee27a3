"""Writes BIF6, PHI BIF and BIF3D files from the public layouts, apart from the readers."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

#: (id, centre, lower, upper) in u.
Peak = tuple[int, float, float, float]
NAN = float("nan")
TOTAL: Peak = (0, NAN, NAN, NAN)
ORDERS = {"centre, lower, upper": (0, 1, 2), "lower, centre, upper": (1, 0, 2)}


def bif6(
    peaks: Sequence[Peak],
    images: np.ndarray,
    order: str = "centre, lower, upper",
    extra: bytes = b"",
    sizes: tuple[int, int, int] | None = None,
) -> bytes:
    """Images (peak, y, x) as stored: the first row is the lowest in the world."""
    count, height, width = images.shape
    told = np.array(sizes or (count, width, height), "<u2")
    out = b"\0\0BIF6" + told.tobytes() + extra
    for (number, *masses), image in zip(peaks, images, strict=True):
        out += np.array([number], "<u4").tobytes()
        out += np.array([masses[place] for place in ORDERS[order]], "<f4").tobytes()
        out += image.astype("<u4").tobytes()
    return out


def phi(
    peaks: Sequence[Peak], images: np.ndarray, sizes: tuple[int, int, int] | None = None
) -> bytes:
    """No magic number, two bytes for everything that is whole; lower, centre, upper."""
    count, height, width = images.shape
    out = np.array(sizes or (count, width, height), "<u2").tobytes()
    for (number, centre, lower, upper), image in zip(peaks, images, strict=True):
        out += np.array([number], "<u2").tobytes()
        out += np.array([lower, centre, upper], "<f4").tobytes()
        out += image.astype("<u2").tobytes()
    return out


def bif3d(image: np.ndarray, sizes: tuple[int, int] | None = None, note: bytes = b"") -> bytes:
    """One image of one peak in numbers of 8 bytes."""
    height, width = image.shape
    head = bytes(32) + np.array(sizes or (width, height), "<u4").tobytes()
    return (head + note).ljust(640, b"\0") + image.astype("<f8").tobytes()
