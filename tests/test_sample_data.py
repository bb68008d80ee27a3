"""The shipped measurement is what our reader makes of the instrument's file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.sample_data import copper_grid


def test_copper_of_the_sample_is_natural() -> None:
    acq = copper_grid()
    assert acq.channels == ("63Cu", "65Cu")
    assert acq.counts.shape == (2, 6, 256, 256)
    assert acq.counts.dtype.kind == "u"
    assert acq.pixel_size == pytest.approx((80e-6 / 256,) * 2)
    f = liso.isotope_fraction(acq["65Cu"], acq["63Cu"], bin=256)
    n = int(f.counts[0, 0])
    assert n > 3000
    assert abs(f.value[0, 0] - 0.3085) < 2 * np.sqrt(0.3085 * 0.6915 / n)
    assert f.lower[0, 0] < 0.3085 < f.upper[0, 0]


def test_it_says_where_it_is_from(repository: Path) -> None:
    facts = copper_grid().metadata
    assert "Physical Electronics" in facts["origin_of_data"]
    assert facts["simulated"] is False
    assert "appended block" in facts["calibration"]["source"]
    licence = repository / "src/napari_liso/data/LICENSE-copper_grid"
    assert licence.read_text().startswith("MIT License")
    assert not Path(facts["path"]).is_absolute()


def test_it_equals_what_the_reader_gives(shared_data: Path) -> None:
    source = shared_data / "simsh5" / "PowerCo-102-Pos-Cu_Grid.h5"
    sample = copper_grid()
    windows = {name: tuple(window) for name, window in sample.metadata["windows"].items()}
    acq = liso.read(source, windows=windows)
    np.testing.assert_array_equal(sample.counts, acq.counts)
    np.testing.assert_array_equal(sample.masses, acq.masses)
    assert sample.pixel_size == acq.pixel_size
    assert sample.metadata["sha256"] == acq.metadata["sha256"]
