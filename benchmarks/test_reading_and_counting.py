"""Reading and counting; where there is a peer, in the same run."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_liso.counting.fraction import isotope_fraction
from napari_liso.counting.measured import Measured
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


UNSURE = {
    "hydride_ratio": Measured(0.02, 0.002),
    "fractionation": Measured(1.02, 0.01),
    "background": (Measured(0.5, 0.05), Measured(0.5, 0.05)),
}


@pytest.mark.benchmark(group="isotope fraction with intervals")
@pytest.mark.parametrize("size", [512, 4096])
@pytest.mark.parametrize("options", [{}, {**UNSURE, "pulses": 200}], ids=["plain", "corrected"])
def test_fraction(benchmark: Any, size: int, options: dict[str, Any]) -> None:
    rng = np.random.default_rng(0)
    n6, n7 = (rng.poisson(mean, (size, size)).astype(np.uint16) for mean in (10, 30))
    f = benchmark.pedantic(isotope_fraction, (n6, n7), options, rounds=3)
    assert f.value.shape == (size, size)


@pytest.mark.benchmark(group="isotope fraction of 20 frames of 512 x 512")
@pytest.mark.parametrize("pulses", [None, 1, 10])
def test_fraction_of_frames(benchmark: Any, pulses: int | None) -> None:
    rng = np.random.default_rng(0)
    n6, n7 = (
        rng.binomial(pulses or 10, rate, (20, 512, 512)).astype(np.uint16) for rate in (0.1, 0.3)
    )
    f = benchmark.pedantic(isotope_fraction, (n6, n7, pulses), rounds=3)
    assert f.value.shape == (512, 512)


MEMORY = """
import numpy as np
from napari_liso.counting.fraction import isotope_fraction
from napari_liso.counting.measured import Measured
counts = []
for mean in (10, 30):
    one = np.empty((4096, 4096), np.int32)
    for row in one:
        row[:] = np.random.default_rng(0).poisson(mean, 4096)
    counts.append(one)
f = isotope_fraction(*counts, pulses={pulses})
# Not ru_maxrss, which a process inherits from the one that starts it.
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("pulses", [None, 200])
def test_fraction_of_a_large_map_takes_less_than_2_gib(pulses: int | None) -> None:
    """Everything the process holds at its peak, counts and result included."""
    run = subprocess.run(
        [sys.executable, "-c", MEMORY.format(pulses=pulses)],
        capture_output=True,
        text=True,
        check=True,
    )
    peak = int(run.stdout) / 2**20
    print(f"peak {peak:.2f} GiB")
    assert peak < 2
