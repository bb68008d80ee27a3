"""Images and a spectrum that tests of ION-TOF's ITA files share."""

from __future__ import annotations

from pathlib import Path

import iontof_tree_writer as w
import numpy as np

CHANNELS, SCANS, HEIGHT, WIDTH = 4, 5, 6, 7
NAMES = ("total", "sum of rest", "6Li+", "7Li+")
SF, K0 = 1000.0, 50.0


def cube(seed: int = 2) -> np.ndarray:
    """Counts with a gradient, so that no flip goes unseen."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    mean = 1 + y + 0.3 * x
    return np.random.default_rng(seed).poisson(mean, (CHANNELS, SCANS, HEIGHT, WIDTH))


def tree(
    path: Path, stack: w.Folder, *more: w.Leaf | w.Folder, peaks: w.Folder | None = None
) -> Path:
    """A file with some images."""
    w.write(
        path,
        [
            w.si_image(HEIGHT, WIDTH),
            w.Folder("filterdata", [w.Folder("TofCorrection", [stack])]),
            w.intervals() if peaks is None else peaks,
            w.settings(SCANS, WIDTH),
            *more,
        ],
    )
    return path


def without_size(stack: w.Folder) -> w.Folder:
    """Leave out what states the size and number of images, as some files do."""
    (reduced,) = stack.content
    assert isinstance(reduced, w.Folder)
    reduced.content = [item for item in reduced.content if isinstance(item, w.Folder)]
    for folder in reduced.content:
        assert isinstance(folder, w.Folder)
        folder.content = [item for item in folder.content if isinstance(item, w.Folder)]
    return stack


def spectrum() -> np.ndarray:
    """Counts by two channels; step 1275 is channel 2550, at 6.25 u."""
    found = np.zeros(2000, int)
    found[1273:1278] = [3, 10, 100, 20, 4]
    found[1347] = 50
    return found
