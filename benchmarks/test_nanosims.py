"""NanoSIMS images against the reader ``sims``, in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_liso.readers.cameca import nanosims

IMAGE = Path(__file__).resolve().parents[2] / "shared/data/nanosims/image sun.im"
#: Counts in all images, as both find them.
TOTAL = 689_980_692
needs_image = pytest.mark.skipif(not IMAGE.is_file(), reason="no reference data here")


@needs_image
@pytest.mark.benchmark(group="NanoSIMS, a file opened and every image summed over its frames")
def test_ours(benchmark: Any) -> None:
    def images() -> list[np.ndarray]:
        acq = nanosims.read(IMAGE)
        return [acq[name] for name in acq.channels]

    found = benchmark.pedantic(images, rounds=50, warmup_rounds=3)
    assert sum(image.sum() for image in found) == TOTAL


@needs_image
@pytest.mark.benchmark(group="NanoSIMS, a file opened and every image summed over its frames")
def test_sims(benchmark: Any) -> None:
    sims = pytest.importorskip("sims")

    def images() -> np.ndarray:
        return np.asarray(sims.SIMS(str(IMAGE)).data.sum(dim="frame"))

    found = benchmark.pedantic(images, rounds=50, warmup_rounds=3)
    assert found.sum() == TOTAL
