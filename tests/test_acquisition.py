"""Counts with their provenance, held as arrays or made on demand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_liso.acquisition import Acquisition
from napari_liso.readers._lazy import LazyCounts

CUBE = np.random.default_rng(1).poisson(4, (2, 5, 3, 4)).astype(np.uint8)


def acquisition(lazy: bool, known_sums: bool = False) -> Acquisition:
    counts: Any = CUBE
    if lazy:
        sums = CUBE.sum(axis=1) if known_sums else None
        counts = LazyCounts(CUBE.shape, CUBE.dtype, lambda c, f: CUBE[c, f], sums)
    pulses = np.arange(5).reshape(5, 1, 1)
    return Acquisition(counts, ("6Li", "7Li"), np.array([6.0, 7.0]), (1e-6, 2e-6), pulses)


@pytest.mark.parametrize(("lazy", "known"), [(False, False), (True, False), (True, True)])
def test_images_and_sums_are_the_same_however_counts_are_held(lazy: bool, known: bool) -> None:
    acq = acquisition(lazy, known)
    image = acq["7Li"]
    np.testing.assert_array_equal(image, CUBE[1].astype(int).sum(axis=0))
    assert image.dtype == np.int64
    image[:] = 0  # ours to change; the acquisition keeps its own
    assert acq["7Li"].any()
    for frames in (None, slice(1, 4), slice(None, None, 2), slice(-2, None)):
        part = acq.sum(frames)
        assert part.counts.shape == (2, 1, 3, 4)
        chosen = slice(None) if frames is None else frames
        np.testing.assert_array_equal(part.counts[:, 0], CUBE[:, chosen].astype(int).sum(axis=1))
        np.testing.assert_array_equal(part.pulses, np.full((1, 3, 4), np.arange(5)[chosen].sum()))
    assert acq.sum(slice(1, 4)).metadata["frames_summed"] == [1, 4, 1]
    with pytest.raises(ValueError, match="selects none of the 5 frames"):
        acq.sum(slice(5, 9))


def test_only_what_is_looked_at_is_made() -> None:
    made: list[tuple[int, int]] = []

    def image(channel: int, frame: int) -> np.ndarray:
        made.append((channel, frame))
        return np.ones((1000, 1000), np.uint8)

    counts = LazyCounts((2, 300, 1000, 1000), np.uint8, image)
    acq = Acquisition(counts, ("a", "b"), np.array([np.nan, np.nan]))
    assert acq.counts[1, 7].sum() == 10**6
    assert acq.counts[1, 7, :5, :5].shape == (5, 5)
    assert made == [(1, 7)]
    assert acq.sum(slice(0, 2)).counts.sum() == 4 * 10**6
    # Images that were made are not all kept.
    for frame in range(300):
        counts[0, frame]
    assert len(counts._kept) * 10**6 <= 2**26


def test_what_is_returned_can_be_changed_without_harm() -> None:
    counts = acquisition(True).counts
    counts[0, 0][:] = 99
    np.testing.assert_array_equal(counts[0, 0], CUBE[0, 0])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"counts": CUBE[0]}, r"must be \(channel, frame, y, x\)"),
        ({"channels": ("6Li",)}, "1 channel names for 2"),
        ({"channels": ("6Li", "6Li")}, "not unique"),
        ({"masses": np.array([6.0])}, "one entry a channel"),
        ({"pixel_size": (1e-6, 0.0)}, "positive metres"),
        ({"pixel_size": (1e-6, np.inf)}, "positive metres"),
    ],
)
def test_what_does_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(acquisition(False), **change)


def test_names_that_are_not_there() -> None:
    acq = acquisition(False)
    with pytest.raises(KeyError, match="6Li, 7Li"):
        acq["8Li"]
    with pytest.raises(ValueError, match="no spectrum"):
        acq.spectrum()
