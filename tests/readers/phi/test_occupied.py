"""Counts held as events behave as the array that they make."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from napari_liso.readers._lazy import as_counts
from napari_liso.readers.phi.occupied import EventCounts, merge_events

RNG = np.random.default_rng(4)
DENSE = RNG.poisson(0.3, (2, 3, 4, 5))


def events() -> EventCounts:
    """The dense cube as single events in disorder."""
    channels = []
    for cube in DENSE:
        voxel = RNG.permutation(np.repeat(np.arange(cube.size), cube.ravel()))
        channels.append(merge_events(voxel, np.ones(len(voxel), np.uint8)))
    return EventCounts(channels, DENSE.shape[1:])


@pytest.mark.parametrize(
    "key",
    [
        0, -1, np.int64(1), slice(None), ..., (0, 1), (0, -1, 2, 3), (slice(None), 1),
        (..., 2), (1, ..., 2), (slice(0, 1), slice(1, None), slice(None, None, 2)),
        (slice(5, 9),), (0, slice(3, 3)), (1, slice(None, None, -1), 0),
    ],
)  # fmt: skip
def test_indexing_as_an_array(key: Any) -> None:
    part = events()[key]
    np.testing.assert_array_equal(part, DENSE[key])
    assert part.shape == DENSE[key].shape


def test_what_an_array_like_needs() -> None:
    counts = events()
    assert counts.shape == DENSE.shape
    assert counts.ndim == 4
    assert len(counts) == 2
    assert counts.size == DENSE.size
    assert counts.dtype == np.uint8
    np.testing.assert_array_equal(np.asarray(counts), DENSE)
    assert np.asarray(counts, dtype=np.float32).dtype == np.float32
    assert isinstance(as_counts(counts), np.ndarray)


def test_a_huge_cube_stays_events() -> None:
    voxel = np.array([7, 2**33])
    shape = (2**14, 2**10, 2**10)
    counts = as_counts(EventCounts([merge_events(voxel, np.array([1, 300]))], shape))
    assert isinstance(counts, EventCounts)
    assert counts.dtype == np.uint16
    assert counts[0, 2**13].max() == 300
    assert counts[0, 2**13, 0, 0] == 300
    assert counts[0, 0].sum() == 1


@pytest.mark.parametrize(
    "key", [2, (0, 3), (0, 0, 4), (0, 0, 0, 0, 0), [0], "a", (..., ...), True]
)
def test_indices_out_of_range_or_of_another_kind(key: Any) -> None:
    with pytest.raises(IndexError):
        events()[key]
