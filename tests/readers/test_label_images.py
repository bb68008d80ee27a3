"""Label images come back as they were written."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import napari_liso as liso
from napari_liso.errors import FormatError

LABELS = np.random.default_rng(0).integers(0, 300, (6, 9))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.int64])
def test_npy(tmp_path: Path, dtype: type) -> None:
    path = tmp_path / "grains.npy"
    np.save(path, (LABELS % 250).astype(dtype))
    grains, size = liso.read_grains(path)
    np.testing.assert_array_equal(grains, LABELS % 250)
    assert grains.dtype == np.int32
    assert size is None


def test_tiff_with_a_pixel_size(tmp_path: Path) -> None:
    path = tmp_path / "grains.tif"
    tifffile.imwrite(
        path, LABELS.astype(np.uint16), imagej=True, resolution=(4.0, 2.0), metadata={"unit": "um"}
    )
    grains, size = liso.read_grains(path)
    np.testing.assert_array_equal(grains, LABELS)
    assert size == pytest.approx((0.5e-6, 0.25e-6))


def test_what_is_no_label_image(tmp_path: Path) -> None:
    for name, array, message in (
        ("stack", np.ones((2, 3, 4), int), "not one plane"),
        ("floats", np.ones((3, 4)), "float64 values"),
        ("negative", -np.ones((3, 4), int), "labels from -1"),
        ("large", np.full((3, 4), 2**40), "can be used"),
        ("line", np.ones(4, int), "not one plane"),
    ):
        path = tmp_path / f"{name}.npy"
        np.save(path, array)
        with pytest.raises(FormatError, match=message):
            liso.read_grains(path)
    cut = tmp_path / "cut.npy"
    cut.write_bytes((tmp_path / "stack.npy").read_bytes()[:-20])
    with pytest.raises(FormatError, match="numpy array"):
        liso.read_grains(cut)
    objects = tmp_path / "objects.npy"
    np.save(objects, np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(FormatError, match="numpy array"):
        liso.read_grains(objects)
    with pytest.raises(FileNotFoundError):
        liso.read_grains(tmp_path / "none.tif")
