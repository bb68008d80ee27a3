"""ION-TOF's raw events and images, against pySPM on the same files in the same run.

The files are written here in the publicly described layout.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_liso.readers.iontof import tree as iontof_tree

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "readers"))
writer = pytest.importorskip("iontof_tree_writer")

SCANS, SIDE = 2, 256
SF, K0 = 33_000.0, -361.0
#: Our demand: so many times as fast per event as pySPM.
FACTOR = 5
CHANNELS, IMAGE_SCANS = 6, 40

seconds: dict[str, float] = {}


@pytest.fixture(scope="module")
def events(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An ITM file and the number of its ions."""
    path = tmp_path_factory.mktemp("itm") / "events.itm"
    rng = np.random.default_rng(5)
    peaks = SF * np.sqrt(rng.choice([1.008, 6.015, 7.016, 22.99, 38.96, 138.9], 4000)) + K0
    times = np.rint(peaks + rng.normal(0, 20, peaks.size)).astype(np.int64)
    words, frame, *_ = writer.random_scans(5, SCANS, SIDE, SIDE, times, mean=5.0)
    writer.itm(path, words, SIDE, SIDE, leaf=100_000, sf=SF, k0=K0)
    return path, len(frame)


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, int]:
    """An ITA file and the sum of its counts."""
    path = tmp_path_factory.mktemp("ita") / "images.ita"
    rng = np.random.default_rng(6)
    cube = rng.poisson(0.6, (CHANNELS, IMAGE_SCANS, 256, 256)).astype(np.uint32)
    writer.ita(path, cube)
    return path, int(cube.sum(dtype=np.int64))


def quiet(make: Any) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return make()


def keep(benchmark: Any, name: str, number: int) -> None:
    if benchmark.stats is not None:
        seconds[name] = benchmark.stats.stats.min
        benchmark.extra_info["per_second"] = number / seconds[name]


def compared(benchmark: Any, theirs: str, ours: str) -> float:
    """How many times as fast we were; infinite where one of the two was not measured."""
    if not {theirs, ours} <= seconds.keys():
        return float("inf")
    ratio = seconds[theirs] / seconds[ours]
    benchmark.extra_info["ours_times_as_fast"] = ratio
    print(f"{theirs}: ours is {ratio:.1f} times as fast")
    return ratio


@pytest.mark.benchmark(group="ITM, raw events to images and spectrum")
def test_our_events(benchmark: Any, events: tuple[Path, int]) -> None:
    path, number = events
    windows = {"6Li": (5.98, 6.05), "7Li": (6.97, 7.06)}
    acq = benchmark.pedantic(iontof_tree.read, (path, windows), rounds=5, warmup_rounds=1)
    assert acq.spectrum()[1].sum() == number
    keep(benchmark, "our events", number)


@pytest.mark.benchmark(group="ITM, raw events to images and spectrum")
@pytest.mark.parametrize("call", ["get_raw_data", "get_raw_spectrum"])
def test_pyspm_events(benchmark: Any, events: tuple[Path, int], call: str) -> None:
    pyspm = pytest.importorskip("pySPM")
    path, number = events

    def every_scan() -> int:
        file = quiet(lambda: pyspm.ITM(str(path)))
        if call == "get_raw_data":
            scans = (file.get_raw_data(scan) for scan in range(SCANS))
            return sum(len(ions) for pixels in scans for ions in pixels.values())
        return int(file.get_raw_spectrum(FOVcorr=False, deadTimeCorr=False)[1].sum())

    found = benchmark.pedantic(every_scan, rounds=2)
    assert abs(found - number) < 1e-3 * number  # it drops the last pixel of every scan
    keep(benchmark, call, number)
    assert compared(benchmark, call, "our events") >= FACTOR


@pytest.mark.benchmark(group="ITA, all images of 6 peaks x 40 scans x 256 x 256")
def test_our_images(benchmark: Any, images: tuple[Path, int]) -> None:
    path, total = images
    acq = benchmark.pedantic(iontof_tree.read, (path,), rounds=5, warmup_rounds=1)
    assert np.asarray(acq.counts).sum(dtype=np.int64) == total
    keep(benchmark, "our images", CHANNELS * IMAGE_SCANS)


@pytest.mark.benchmark(group="ITA, all images of 6 peaks x 40 scans x 256 x 256")
def test_pyspm_images(benchmark: Any, images: tuple[Path, int]) -> None:
    pyspm = pytest.importorskip("pySPM")
    path, total = images

    def every_image() -> np.ndarray:
        file = quiet(lambda: pyspm.ITA(str(path)))
        return np.array(
            [[file.get_image(c, s) for s in range(IMAGE_SCANS)] for c in range(CHANNELS)]
        )

    assert benchmark.pedantic(every_image, rounds=2).sum() == total
    keep(benchmark, "get_image", CHANNELS * IMAGE_SCANS)
    assert compared(benchmark, "get_image", "our images") >= 1
