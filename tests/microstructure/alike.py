"""What tests of edits share: simple grains, and boundaries compared to the last bit."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_liso.microstructure.boundaries import Boundaries


def assert_identical(one: Boundaries, two: Boundaries) -> None:
    for name in ("grains", "drawn", "labels"):
        a, b = getattr(one, name), getattr(two, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b)
    for name, a in vars(one.faces).items():
        b = getattr(two.faces, name)
        assert a.dtype == b.dtype
        np.testing.assert_array_equal(a, b, err_msg=name)
    pd.testing.assert_frame_equal(one.table, two.table, check_index_type=True)
    assert one.pixel_size == two.pixel_size


def columns(*widths: int, rows: int = 8) -> np.ndarray:
    """Grains 1, 2, ... side by side."""
    return np.tile(np.repeat(np.arange(1, len(widths) + 1), widths), (rows, 1)).astype(np.int32)
