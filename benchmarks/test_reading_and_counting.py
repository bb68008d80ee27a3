"""Reading and counting; where there is a peer, in the same run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_liso.counting.fraction import isotope_fraction
from napari_liso.readers.phi import simsh5

ARCHIVE = Path(__file__).resolve().parents[2] / "shared/data/simsh5/PowerCo-102-Pos-Cu_Grid.h5"
WINDOW = (62.5, 63.5)  # wide: the other reader uses the stale calibration
needs_archive = pytest.mark.skipif(not ARCHIVE.is_file(), reason="no reference data here")


@needs_archive
@pytest.mark.benchmark(group="SIMS-H5, one ion image from the file")
def test_ours(benchmark: Any) -> None:
    simsh5.read(ARCHIVE, {"63Cu": WINDOW})  # examined once; counted below is the reading
    acq = benchmark(simsh5.read, ARCHIVE, {"63Cu": WINDOW})
    assert acq["63Cu"].sum() > 1000


@needs_archive
@pytest.mark.benchmark(group="SIMS-H5, one ion image from the file")
def test_the_maker_s(benchmark: Any) -> None:
    maker = pytest.importorskip("simsh5")

    def image() -> np.ndarray:
        with maker.open_archive(ARCHIVE) as archive:
            return maker.ion_image(archive, *WINDOW)

    assert benchmark(image).sum() > 1000


@pytest.mark.benchmark(group="isotope fraction with intervals")
@pytest.mark.parametrize("size", [512, 4096])
def test_fraction(benchmark: Any, size: int) -> None:
    rng = np.random.default_rng(0)
    n6, n7 = (rng.poisson(mean, (size, size)).astype(np.uint16) for mean in (20, 100))
    f = benchmark.pedantic(isotope_fraction, (n6, n7), rounds=3)
    assert f.value.shape == (size, size)
