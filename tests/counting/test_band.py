"""Band profiles: against the enumeration of every pixel, and hand-made lines."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

import napari_liso as liso
from napari_liso.counting.band import band_pixels, band_profile
from napari_liso.counting.corrections import Corrections
from napari_liso.counting.measured import Measured

RNG = np.random.default_rng(4)
N6 = RNG.poisson(3.0, (40, 50))
N7 = RNG.poisson(9.0, (40, 50))
UM = 1e-6


def enumerated(
    shape: tuple[int, int],
    path: Sequence[tuple[float, float]],
    width: float,
    size: tuple[float, float],
) -> dict[int, float]:
    """Distance along the path of every pixel whose centre is in the band, one by one."""
    found: dict[int, float] = {}
    last = len(path) - 2
    for i in range(shape[0]):
        for j in range(shape[1]):
            centre = np.array([i * size[0], j * size[1]])
            best, place, before = np.inf, 0.0, 0.0
            for number, (a, b) in enumerate(itertools.pairwise(path)):
                start, end = np.array(a), np.array(b)
                length = float(np.linalg.norm(end - start))
                t = float((centre - start) @ (end - start)) / length
                cut = (number == 0 and t < 0) or (number == last and t > length)
                t = min(max(t, 0.0), length)
                away = float(np.linalg.norm(centre - start - t * (end - start) / length))
                if not cut and away < best - 1e-15:
                    best, place = away, before + t
                before += length
            if best <= width / 2:
                found[i * shape[1] + j] = place
    return found


PATHS = {
    "slanted": [(3.3, 2.1), (31.7, 44.9)],
    "bend": [(5.2, 4.4), (20.3, 30.7), (35.1, 8.8)],
    "hairpin": [(10.3, 5.1), (10.9, 40.2), (14.2, 5.7)],
    "crosses itself": [(5.1, 5.2), (30.3, 40.4), (30.6, 5.3), (6.7, 41.1)],
    "leaves the image": [(-20.3, 10.2), (20.4, 25.3), (20.4, 90.1)],
    "backwards": [(31.7, 44.9), (3.3, 2.1)],
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
@pytest.mark.parametrize("size", [(1.0, 1.0), (0.4, 1.7)], ids=["square", "oblong"])
@pytest.mark.parametrize("width", [2.3, 9.1])
def test_every_pixel_of_the_band_is_counted_once(
    path: list[tuple[float, float]], size: tuple[float, float], width: float
) -> None:
    inside = [(y * size[0], x * size[1]) for y, x in path]
    expected = enumerated((40, 50), inside, width, size)
    pixel, along = band_pixels((40, 50), inside, width, size)
    assert len(expected) > 20
    assert pixel.tolist() == sorted(expected)
    np.testing.assert_allclose(along, [expected[p] for p in pixel], atol=1e-9)


def test_a_long_line_is_handled_in_pieces() -> None:
    path = [(2.2, 1.3), (35.4, 1400.7)]
    expected = enumerated((40, 1500), path, 3.0, (1.0, 1.0))
    pixel, along = band_pixels((40, 1500), path, 3.0, 1.0)
    assert pixel.tolist() == sorted(expected)
    np.testing.assert_allclose(along, [expected[p] for p in pixel], atol=1e-9)


def test_steps_are_sums_of_whole_pixels_with_exact_intervals() -> None:
    size = (0.5 * UM, 0.8 * UM)
    path = [(1.2 * UM, 2.3 * UM), (16.3 * UM, 35.7 * UM)]
    found = band_profile(N6, N7, path, 4 * UM, size, step=1.5 * UM)
    expected = enumerated((40, 50), path, 4 * UM, size)
    length = np.hypot(15.1, 33.4) * UM
    assert found.length == pytest.approx(length)
    assert len(found.distance) == np.ceil(length / (1.5 * UM))
    for step, place in enumerate(found.distance):
        inside = [p for p, s in expected.items() if int(s / (1.5 * UM)) == step]
        k, m = N6.ravel()[inside].sum(), N7.ravel()[inside].sum()
        assert (found.tracer[step], found.other[step]) == (k, m)
        assert found.pixels[step] == len(inside)
        exact = stats.binomtest(int(k), int(k + m)).proportion_ci(0.95, "exact")
        assert found.fraction[step] == pytest.approx(k / (k + m))
        assert (found.lower[step], found.upper[step]) == pytest.approx(
            (exact.low, exact.high), abs=1e-5
        )
        end = min(1.5 * UM * (step + 1), length)
        assert place == pytest.approx((1.5 * UM * step + end) / 2)
    assert found.tracer.sum() == N6.ravel()[list(expected)].sum()


def test_the_profile_of_a_simulated_step() -> None:
    """Two grains of fractions 0.2 and 0.7: the band across them shows both, and the step."""
    grains = np.ones((30, 40), int)
    grains[:, 20:] = 2
    rng = np.random.default_rng(2)
    n = rng.poisson(200, grains.shape)
    n6 = rng.binomial(n, np.where(grains == 1, 0.2, 0.7))
    found = band_profile(n6, n - n6, [(15 * UM, 0), (15 * UM, 39 * UM)], 10 * UM, UM)
    assert found.pixels.tolist() == [10] * 38 + [20]  # both ends of the last step
    truth = np.where(found.distance < 19.6 * UM, 0.2, 0.7)
    assert np.mean((found.lower <= truth) & (truth <= found.upper)) > 0.85
    assert found.fraction[:20].max() < 0.3 < 0.6 < found.fraction[20:].min()


def test_a_band_along_a_row_of_centres_has_as_many_rows_as_it_is_wide() -> None:
    for width, rows in ((1, [10]), (2, [9, 10]), (3, [9, 10, 11]), (4, [8, 9, 10, 11])):
        pixel, along = band_pixels((40, 50), [(10.0, 3.0), (10.0, 7.0)], width, 1.0)
        found = sorted(set((pixel // 50).tolist()))
        assert len(found) == len(rows)
        assert len(pixel) == 5 * len(rows)
        assert 10 in found
        assert sorted(set(along.tolist())) == [0, 1, 2, 3, 4]


def test_a_band_narrower_than_a_pixel_is_what_the_line_crosses() -> None:
    """From the middle of pixel (2, 3) at a slope of one half: its crossings by hand."""
    pixel, _ = band_pixels((10, 12), [(2.0, 3.0), (4.0, 7.0)], 0.0, 1.0)
    # y = 2 + (x - 3) / 2 leaves row 2 at x = 4, row 3 at x = 6
    places = {(int(p) // 12, int(p) % 12) for p in pixel}
    crossed = {(2, 3), (3, 5), (4, 7)}
    for x in np.linspace(3.0, 7.0, 4001):
        y = 2 + (x - 3) / 2
        if abs(x % 1 - 0.5) > 1e-6 and abs(y % 1 - 0.5) > 1e-6:
            crossed.add((round(y), round(x)))
    assert places == crossed
    row = band_pixels((10, 12), [(2.2, 3.0), (2.2, 7.0)], 0.0, (1.0, 1.0))[0]
    assert row.tolist() == [27, 28, 29, 30, 31]


def test_the_whole_image_in_one_band() -> None:
    found = band_profile(N6, N7, [(19.5, -0.5), (19.5, 49.5)], 40.0, 1.0, step=100.0)
    assert (found.tracer.sum(), found.other.sum()) == (N6.sum(), N7.sum())
    assert found.pixels.tolist() == [2000]
    assert found.distance.tolist() == [25.0]


def test_outside_the_image_there_are_no_counts() -> None:
    found = band_profile(N6, N7, [(5.0, 40.0), (5.0, 60.0)], 3.0, 1.0)
    assert found.pixels.tolist() == [3] * 10 + [0] * 10
    assert np.isnan(found.fraction[10:]).all()
    assert np.isfinite(found.fraction[:10]).all()


def test_corrections_and_saturated_pixels() -> None:
    n6, n7 = np.full((3, 6), 20), np.full((3, 6), 50)
    n7[1, 4] = 95
    given = Corrections(fractionation=Measured(2.0))
    path = [(1.0, 0.0), (1.0, 5.0)]
    found = band_profile(
        n6, n7, path, 3.0, 1.0, step=1.0, corrections=given, pulses=np.full((3, 6), 100)
    )
    assert found.pixels.tolist() == [3, 3, 3, 3, 2 + 3]
    odds = np.log(0.8) / np.log(0.5) / 2  # 0.2 if not for the dead time
    np.testing.assert_allclose(found.fraction, odds / (1 + odds), rtol=3e-3)
    off = band_profile(
        n6, n7, path, 3.0, 1.0, corrections=Corrections(dead_time=False),
        pulses=np.full((3, 6), 100),
    )  # fmt: skip
    assert off.fraction[0] == pytest.approx(2 / 7)


def test_the_model_is_averaged_over_the_same_pixels() -> None:
    model = RNG.random(N6.shape)
    model[10, 12] = np.nan
    found = band_profile(N6, N7, [(10.0, 5.0), (10.0, 20.0)], 1.0, 1.0, model=model)
    assert found.model is not None
    assert found.model[3] == pytest.approx(model[10, 8])
    assert np.isnan(found.model[7])
    np.testing.assert_array_equal(found.table()["model"], found.model)
    with pytest.raises(ValueError, match="model has shape"):
        band_profile(N6, N7, [(10, 5), (10, 20)], 1.0, 1.0, model=model[:5])


def test_its_table() -> None:
    found = band_profile(N6, N7, [(10.0, 5.0), (10.0, 20.0)], 3.0, 1.0)
    table = found.table()
    assert table.index.name == "step"
    columns = N6[9:12, 5:21].sum(axis=0)
    assert table["counts_tracer"].tolist() == [*columns[:14], columns[14:].sum()]
    assert "model" not in table


@pytest.mark.parametrize(
    ("path", "width", "options", "reason"),
    [
        ([(90.0, 5.0), (90.0, 20.0)], 3.0, {}, "outside the image"),
        ([(5.0, 5.0), (5.0, 5.0)], 3.0, {}, "two vertices"),
        ([(5.0, 5.0)], 3.0, {}, "two vertices"),
        ([5.0, 5.0], 3.0, {}, "vertices"),
        ([(5.0, np.nan), (5.0, 6.0)], 3.0, {}, "finite"),
        ([(5.0, 5.0), (5.0, 9.0)], -1.0, {}, "width"),
        ([(5.0, 5.0), (5.0, 9.0)], np.inf, {}, "width"),
        ([(5.0, 5.0), (5.0, 9.0)], 3.0, {"step": 0.0}, "step"),
        ([(5.0, 5.0), (5.0, 9.0)], 3.0, {"step": 1e-9}, "too many"),
        ([(5.0, 5.0), (5.0, 9.0)], 3.0, {"pixel_size": (1.0, -1.0)}, "pixel_size"),
        # between two rows that are 8 apart
        ([(4.0, 5.0), (4.0, 9.0)], 2.0, {"pixel_size": (8.0, 1.0)}, "no pixel has its centre"),
    ],
)
def test_what_is_no_band_is_refused(
    path: object, width: float, options: dict[str, object], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        band_profile(N6, N7, path, width, **{"pixel_size": 1.0, **options})  # type: ignore[arg-type]


def test_names_of_the_public_api() -> None:
    assert liso.band_profile is band_profile
    assert callable(liso.region_table)
