"""TIFF stacks that are small on the disk and large, or impossible, in memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hostile import bounded

import napari_liso as liso
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers.arrays import tiff


@pytest.mark.parametrize(
    "options", [{}, {"predictor": True}, {"tile": (64, 64)}, {"byteorder": ">"}]
)
def test_compressed_stacks_are_unpacked_plane_by_plane(
    tmp_path: Path, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.ome.tif"
    large = np.random.default_rng(3).poisson(2.0, (2, 3, 100, 140)).astype(np.uint16)
    metadata = {"axes": "CTYX"}
    tifffile.imwrite(path, large, metadata=metadata, compression="zlib", **options)
    small = liso.read(path)
    monkeypatch.setattr(tiff, "PLAIN_BYTES", 10)
    acq = liso.read(path)
    assert isinstance(acq.counts, LazyCounts)
    assert acq.metadata == small.metadata
    np.testing.assert_array_equal(np.asarray(acq.counts), large)
    np.testing.assert_array_equal(acq[acq.channels[1]], large[1].sum(axis=0))
    acq = liso.read(path)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(liso.FormatError, match="has changed"):
        acq.counts[1, 2]


def test_a_compressed_bomb_takes_no_memory(tmp_path: Path) -> None:
    path = tmp_path / "bomb.tif"
    planes = (np.zeros((4096, 4096), np.uint16) for _ in range(48))
    tifffile.imwrite(
        path, planes, shape=(48, 4096, 4096), dtype=np.uint16, compression="zlib",
        compressionargs={"level": 1},
    )  # fmt: skip
    with bounded(memory=2**29):
        acq = liso.read(path)
        assert acq.counts.shape == (48, 1, 4096, 4096)
        assert not acq.counts[47, 0].any()


@pytest.mark.parametrize("lazy", [False, True])
def test_numbers_whose_sum_does_not_fit(
    tmp_path: Path, lazy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, np.full((4, 5), 2**61, np.uint64), photometric="minisblack")
    if lazy:
        monkeypatch.setattr(tiff, "PLAIN_BYTES", 10)
    with pytest.raises(liso.FormatError, match=r"too large|no count is as large"):
        liso.read(path)
