"""Make src/napari_liso/data/copper_grid.npz from the instrument's file.

    python tools/make_copper_sample.py ../shared/data/simsh5/PowerCo-102-Pos-Cu_Grid.h5

The file is in the source distribution of simsh5 0.3.2 on PyPI (tests/fixtures).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

import napari_liso as liso
from napari_liso.readers.windows import observed_windows

TARGET = Path(__file__).resolve().parents[1] / "src" / "napari_liso" / "data" / "copper_grid.npz"

ELECTRON = 0.00054858  # u
# Atomic masses of AME2020, less the electron that the ions lack.
PEAKS = {"63Cu": 62.92959712 - ELECTRON, "65Cu": 64.92778948 - ELECTRON}


def main(source: Path) -> None:
    # Narrow: hydrocarbons of the same nominal mass are on the upper flank.
    windows = observed_windows(*liso.read(source).spectrum(), PEAKS, level=0.2)
    acq = liso.read(source, windows=windows)
    metadata = {
        **acq.metadata,
        "path": source.name,
        "simulated": False,
        "origin_of_data": "Physical Electronics (ULVAC-PHI): simsh5 0.3.2, tests/fixtures/"
        + source.name,
        "licence": "MIT, see LICENSE-copper_grid beside the data",
    }
    np.savez_compressed(
        TARGET,
        counts=np.asarray(acq.counts),
        channels=np.array(acq.channels),
        masses=acq.masses,
        pixel_size=np.array(acq.pixel_size),
        metadata=np.array(json.dumps(metadata)),
    )
    print(f"{TARGET.name}: {TARGET.stat().st_size} bytes")
    for name, (low, high) in windows.items():
        print(f"{name}: {low:.4f} to {high:.4f} u, {acq[name].sum()} counts")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
