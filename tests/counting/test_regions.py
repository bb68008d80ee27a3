"""Tables of regions: against plain sums, scipy's binomial intervals and an instrument's file."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

import napari_liso as liso
from napari_liso.counting.corrections import Corrections
from napari_liso.counting.measured import Measured
from napari_liso.counting.regions import REGION_UNITS, Regions, region_table
from napari_liso.tables import write_table

RNG = np.random.default_rng(3)
N6 = RNG.poisson(3.0, (20, 30))
N7 = RNG.poisson(9.0, (20, 30))
LABELS = np.zeros((20, 30), np.uint16)
LABELS[:5, :5], LABELS[5:, 10:], LABELS[8:12, 2:9] = 7, 2, 300


def test_each_row_is_the_sum_of_its_pixels() -> None:
    table = region_table(N6, N7, LABELS, (0.5e-6, 2e-6), names=["b", "a", "c"])
    assert table.index.tolist() == [2, 7, 300]
    assert table["name"].tolist() == ["b", "a", "c"]
    for label, row in table.iterrows():
        inside = label == LABELS
        k, m = int(N6[inside].sum()), int(N7[inside].sum())
        exact = stats.binomtest(k, k + m).proportion_ci(0.95, "exact")
        assert (row.counts_tracer, row.counts_other, row.counts) == (k, m, k + m)
        assert row.fraction == pytest.approx(k / (k + m), rel=1e-12)
        # of many counts the ends are within a ten-thousandth of the interval's half-width
        assert (row.lower, row.upper) == pytest.approx((exact.low, exact.high), abs=1e-5)
        assert row.ratio == pytest.approx(k / m, rel=1e-12)
        assert row.ratio_lower == pytest.approx(exact.low / (1 - exact.low), abs=2e-5)
        assert (row.pixels, row.masked) == (inside.sum(), 0)
        assert row.area == pytest.approx(inside.sum() * 1e-12)


def test_masks_may_overlap() -> None:
    masks = np.zeros((3, 20, 30), bool)
    masks[0, :10], masks[1, 5:15], masks[2, 0, 0] = True, True, True
    table = region_table(N6, N7, masks)
    assert table.index.tolist() == [1, 2, 3]
    assert table["counts_tracer"].tolist() == [N6[m].sum() for m in masks]
    assert table["area"].isna().all()
    assert np.isnan(table.loc[3, "dispersion"])
    assert table.loc[3, "verdict"] == "too few counts"


def test_empty_regions_and_none_at_all() -> None:
    masks = np.zeros((2, 20, 30), bool)
    masks[1, 3, 3] = True
    n6, n7 = np.zeros_like(N6), np.zeros_like(N7)
    table = region_table(n6, n7, masks)
    assert table["pixels"].tolist() == [0, 1]
    assert table["counts"].tolist() == [0, 0]
    assert table[["fraction", "lower", "upper", "ratio"]].isna().all(axis=None)
    none = region_table(N6, N7, np.zeros_like(LABELS))
    assert len(none) == 0
    assert none.columns.tolist() == table.columns.tolist()


def test_saturated_pixels_are_masked_and_dead_time_is_corrected() -> None:
    n6 = np.full((4, 4), 20)
    n7 = np.full((4, 4), 50)
    n7[0, 0] = 95  # of 100 pulses
    labels = np.ones((4, 4), int)
    row = region_table(n6, n7, labels, 1e-6, pulses=np.full((4, 4), 100)).loc[1]
    assert (row.pixels, row.masked, row.counts_tracer) == (16, 1, 15 * 20)
    assert row.area == pytest.approx(16e-12)
    # uncorrected it is 0.4
    assert row.ratio == pytest.approx(np.log(0.8) / np.log(0.5), rel=3e-3)
    off = region_table(
        n6, n7, labels, corrections=Corrections(dead_time=False), pulses=np.full((4, 4), 100)
    ).loc[1]
    assert (off.masked, off.counts_other) == (0, 15 * 50 + 95)


def test_the_background_of_a_region_is_that_of_its_pixels() -> None:
    """100 pixels of 2 and 5 background counts: 200 and 500 are no signal."""
    n6, n7 = np.full((10, 10), 6), np.full((10, 10), 17)
    given = Corrections(background=(Measured(2.0), Measured(5.0)), fractionation=Measured(1.25))
    row = region_table(n6, n7, np.ones((10, 10), int), corrections=given).loc[1]
    assert row.ratio == pytest.approx(4 / 12 / 1.25, rel=1e-9)
    assert row.counts == 2300


def test_intervals_of_regions_cover() -> None:
    """2000 regions of 9 pixels with 3 counts each; Clopper-Pearson covers 95 % or more."""
    rng = np.random.default_rng(8)
    labels = np.kron(np.arange(1, 2001).reshape(40, 50), np.ones((3, 3), int))
    n = rng.poisson(3.0, labels.shape)
    n6 = rng.binomial(n, 0.0759)
    table = region_table(n6, n - n6, labels)
    covered = ((table.lower <= 0.0759) & (table.upper >= 0.0759)).mean()
    assert 0.945 < covered < 0.995


def test_regions_of_another_shape_or_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"regions have shape \(20, 20\)"):
        region_table(N6, N7, LABELS[:, :20])
    with pytest.raises(ValueError, match="labels"):
        region_table(N6, N7, LABELS.astype(float))
    with pytest.raises(ValueError, match="2 names are given for 3"):
        region_table(N6, N7, LABELS, names=["a", "b"])
    with pytest.raises(ValueError, match="pixel_size"):
        region_table(N6, N7, LABELS, 0.0)
    with pytest.raises(ValueError, match="no whole numbers"):
        region_table(N6 + 0.5, N7, LABELS)


def test_masks_of_regions_are_given_back() -> None:
    found = Regions.of(LABELS)
    np.testing.assert_array_equal(found.mask(1), LABELS == 7)
    assert found.names == ("region 2", "region 7", "region 300")


def test_the_instrument_s_file_as_numpy_sums_it(shared_data: Path, tmp_path: Path) -> None:
    """12C15N/12C14N in four quadrants and a disc of ``image sun.im``, read by ``sims``."""
    sims = pytest.importorskip("sims")
    path = shared_data / "nanosims" / "image sun.im"
    if not path.is_file():
        pytest.skip("the NanoSIMS image (../shared/data/nanosims) is not here")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = sims.SIMS(str(path)).data.values.astype(np.int64)
    acq = liso.read(path)
    for name, stack in zip(acq.channels, theirs, strict=True):
        assert int(acq[name].sum()) == int(stack.sum())
    heavy, light = theirs[acq.channels.index("12C15N")], theirs[acq.channels.index("12C14N")]
    y, x = np.indices(heavy.shape[-2:])
    masks = [(y < 128) == top for top in (True, False)]
    masks = [m & ((x < 128) == left) for m in masks for left in (True, False)]
    masks.append((y - 100) ** 2 + (x - 90) ** 2 < 40**2)
    frames = [acq.counts[acq.channels.index(name)] for name in ("12C15N", "12C14N")]
    table = region_table(*frames, np.stack(masks), acq.pixel_size)
    for mask, (_, row) in zip(masks, table.iterrows(), strict=True):
        a, b = heavy[:, mask].sum(), light[:, mask].sum()
        assert (row.counts_tracer, row.counts_other) == (a, b)
        assert row.ratio == pytest.approx(a / b, rel=1e-12)
        assert row.area == pytest.approx(mask.sum() * (7.011e-6 / 256) ** 2)
    # the quadrants are the whole image
    assert table["counts"].iloc[:4].sum() == heavy.sum() + light.sum()
    back = pd.read_csv(
        write_table(tmp_path / "r.csv", table, {"file": path.name}, REGION_UNITS), comment="#"
    )
    np.testing.assert_allclose(back["area_m2"], table["area"])
    np.testing.assert_allclose(back["ratio"], table["ratio"])
