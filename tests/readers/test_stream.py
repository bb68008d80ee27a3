"""Counting events from a stream agrees with counting them one by one."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from napari_liso.readers import _stream
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers._stream import TickHistogram, collect
from napari_liso.readers.calibration import MassCalibration

RNG = np.random.default_rng(11)
SHAPE = (3, 4, 5)
N = 4000
# mass = (0.01 t)**2: window edges are easy to work out by hand
SCALE = MassCalibration(0.01, 0.0, "test")
TIME = RNG.integers(200, 320, N)
FRAME = np.sort(RNG.integers(0, SHAPE[0], N))
PIXEL = RNG.integers(0, SHAPE[1] * SHAPE[2], N)


class Source:
    """Events held in memory, handed out in small batches."""

    shape = SHAPE
    calibration = SCALE

    def events(self, frame: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        own = frame == FRAME
        for part in np.array_split(np.flatnonzero(own), 7):
            yield TIME[part].astype(np.uint32), PIXEL[part]


def by_hand(low: float, high: float) -> np.ndarray:
    cube = np.zeros(SHAPE, int)
    for time, frame, pixel in zip(TIME, FRAME, PIXEL, strict=True):
        if low <= (0.01 * time) ** 2 < high:
            cube[frame, pixel // SHAPE[2], pixel % SHAPE[2]] += 1
    return cube


@pytest.mark.parametrize("plain", [True, False])
def test_windows(plain: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not plain:
        monkeypatch.setattr(_stream, "PLAIN_BYTES", 10)
    windows = [(5.95, 6.21), (6.9, 7.1)]
    images = collect(Source(), windows)
    assert isinstance(images.counts, np.ndarray) == plain
    for channel, window in enumerate(windows):
        expected = by_hand(*window)
        np.testing.assert_array_equal(images.counts[channel], expected)
        if isinstance(images.counts, LazyCounts):
            np.testing.assert_array_equal(
                images.counts.frame_sum(channel, range(SHAPE[0])), expected.sum(axis=0)
            )
            np.testing.assert_array_equal(
                images.counts.frame_sum(channel, range(1, 3)), expected[1:3].sum(axis=0)
            )


def test_the_low_edge_is_inside_and_the_high_edge_is_not() -> None:
    edges = (SCALE.mass(250).item(), SCALE.mass(251).item())
    assert collect(Source(), [edges]).counts.sum() == np.count_nonzero(TIME == 250)


def test_everything() -> None:
    images = collect(Source())
    np.testing.assert_array_equal(images.counts[0], by_hand(0, np.inf))
    np.testing.assert_array_equal(images.ticks, np.unique(TIME))
    np.testing.assert_array_equal(images.spectrum, np.unique(TIME, return_counts=True)[1])


@pytest.mark.parametrize("waiting", [10, 2**23])
@pytest.mark.parametrize("top", [50, 5000, 2**26, 2**40])
def test_times_of_any_size(top: int, waiting: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_stream, "_WAITING", waiting)
    monkeypatch.setattr(_stream, "_DENSE_TICKS", 2**24)
    monkeypatch.setattr(_stream, "_PAGE", 2**19)
    histogram = TickHistogram()
    times = RNG.integers(0, top, 6000)
    times[:2000] = times[2000:4000]
    for part in np.array_split(times, 5):
        histogram.add(part)
    histogram.add(times[:0])
    histogram.add(times[:5] % 7)
    times = np.concatenate([times, times[:5] % 7])
    ticks, counts = histogram.result()
    expected, number = np.unique(times, return_counts=True)
    np.testing.assert_array_equal(ticks, expected)
    np.testing.assert_array_equal(counts, number)


@pytest.mark.parametrize("slope", [1e-320, 0.01, 1e300])
@pytest.mark.parametrize("offset", [-1e308, 0.0, 1e308])
def test_windows_and_scales_at_the_end_of_their_range(slope: float, offset: float) -> None:
    scale = MassCalibration(slope, offset, "test")
    for window in ((5e-324, 1e-323), (1e-300, 1e300), (6.0, 7.0)):
        first, end = _stream.tick_range(scale, *window)
        assert first <= end


@pytest.mark.parametrize(("sf", "k0"), [(1e-320, 0.0), (1e-320, 1e308), (1e-5, 1e308)])
def test_scales_that_are_none(sf: float, k0: float) -> None:
    with pytest.raises(ValueError, match="no mass calibration"):
        MassCalibration.from_sf_k0(sf, k0, "test")
