"""First segmentations of simulated grains, judged by the adjusted Rand index."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage
from skimage.measure import label

from napari_liso.microstructure.grains import segment_grains


def rand_index(one: np.ndarray, two: np.ndarray) -> float:
    """Adjusted Rand index of two partitions (Hubert and Arabie 1985)."""
    _, a = np.unique(one, return_inverse=True)
    _, b = np.unique(two, return_inverse=True)
    table = np.zeros((a.max() + 1, b.max() + 1))
    np.add.at(table, (a.ravel(), b.ravel()), 1)

    def pairs(n):
        return (n * (n - 1) / 2).sum()

    both, rows, columns = pairs(table), pairs(table.sum(axis=1)), pairs(table.sum(axis=0))
    chance = rows * columns / pairs(np.array([one.size]))
    return (both - chance) / ((rows + columns) / 2 - chance)


def voronoi(n: int, count: int, seed: int) -> np.ndarray:
    """Voronoi grains of similar size (one Lloyd step), labels from 0."""
    points = np.random.default_rng(seed).random((count, 2)) * n
    y, x = np.mgrid[:n, :n]
    for _ in range(2):
        far = (y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2
        grains = far.argmin(axis=-1)
        points = np.array(ndimage.center_of_mass(np.ones((n, n)), grains, np.arange(count)))
    return grains


def distinct_levels(grains: np.ndarray) -> np.ndarray:
    """A fraction for every grain, neighbours at least 0.1 apart."""
    count = grains.max() + 1
    touch = np.zeros((count, count), dtype=bool)
    for a, b in ((grains[1:], grains[:-1]), (grains[:, 1:], grains[:, :-1])):
        touch[a, b] = touch[b, a] = True
    levels = np.arange(0.1, 0.85, 0.12)
    chosen = np.full(count, np.nan)
    for g in range(count):
        taken = set(chosen[: g + 1][touch[g, : g + 1]])
        chosen[g] = next(v for v in np.roll(levels, 3 * g) if v not in taken)
    return chosen


def counts(fraction: np.ndarray, mean: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    n = rng.poisson(mean, fraction.shape)
    n6 = rng.binomial(n, fraction)
    return n6, n - n6


def micrograph(grains: np.ndarray, noise: float, gaps: float, seed: int) -> np.ndarray:
    """Dark lines along the boundaries, some pieces of them missing, on an uneven ground."""
    rng = np.random.default_rng(seed)
    line = np.zeros(grains.shape)
    line[1:] += grains[1:] != grains[:-1]
    line[:, 1:] += grains[:, 1:] != grains[:, :-1]
    blobs = ndimage.gaussian_filter(rng.random(grains.shape), 3)
    line = (line > 0) & (blobs > np.quantile(blobs, gaps))
    image = -2.5 * ndimage.gaussian_filter(line.astype(float), 1.0)
    return image + rng.normal(0, noise, grains.shape) + np.linspace(0, 0.5, grains.shape[1])


def test_rand_index_of_known_partitions():
    # Published examples (documentation of scikit-learn, adjusted_rand_score).
    assert rand_index(np.array([0, 0, 1, 2]), np.array([0, 0, 1, 1])) == pytest.approx(4 / 7)
    one = np.array([0, 0, 0, 1, 1, 1])
    assert rand_index(one, np.array([0, 0, 1, 1, 2, 2])) == pytest.approx(8 / 33)
    assert rand_index(one, 1 - one) == 1


@pytest.mark.parametrize(("mean", "seed"), [(10, 1), (40, 2)])
def test_flat_grains_from_counts(mean, seed):
    grains = voronoi(128, 20, seed)
    n6, n7 = counts(distinct_levels(grains)[grains], mean, seed)
    found = segment_grains(n6=n6, n7=n7)
    assert rand_index(grains, found) > 0.9
    assert 18 <= found.max() <= 22


def test_grains_with_gradients_from_counts():
    grains = voronoi(128, 20, 3)
    y = np.mgrid[:128, :128][0]
    centre = np.array(ndimage.center_of_mass(np.ones(grains.shape), grains, np.arange(20)))
    slope = np.random.default_rng(3).uniform(-0.003, 0.003, 20)
    fraction = distinct_levels(grains)[grains] + slope[grains] * (y - centre[grains, 0])
    n6, n7 = counts(fraction.clip(0.01, 0.99), 60, 3)
    assert rand_index(grains, segment_grains(n6=n6, n7=n7)) > 0.9


def test_noise_alone_is_one_grain_or_two():
    n6, n7 = counts(np.full((96, 96), 0.3), 40, 5)
    assert segment_grains(n6=n6, n7=n7).max() <= 2


def test_neighbours_of_the_same_fraction_cannot_be_told_apart():
    grains = np.repeat([[0, 1, 2]], 90, axis=0).repeat(30, axis=1)
    n6, n7 = counts(np.array([0.4, 0.1, 0.1])[grains], 50, 6)
    found = segment_grains(n6=n6, n7=n7)
    assert rand_index(grains > 0, found) > 0.95


def test_fraction_image_with_holes():
    grains = voronoi(128, 20, 4)
    image = distinct_levels(grains)[grains]
    rng = np.random.default_rng(4)
    image = image + rng.normal(0, 0.05, image.shape)
    image[rng.random(image.shape) < 0.05] = np.nan
    image[:10, :12] = np.nan
    found = segment_grains(image)
    assert (found > 0).all()
    assert rand_index(grains, found) > 0.9


@pytest.mark.parametrize(("noise", "gaps"), [(0.05, 0.0), (0.2, 0.1), (0.4, 0.0)])
def test_lines_of_a_micrograph(noise, gaps):
    grains = voronoi(160, 25, 7)
    image = micrograph(grains, noise, gaps, 7)
    dark = segment_grains(image, edges="dark")
    assert rand_index(grains, dark) > 0.88
    np.testing.assert_array_equal(segment_grains(-image, edges="bright"), dark)


def test_labels_are_dense_connected_and_not_smaller_than_asked():
    grains = voronoi(96, 12, 8)
    n6, n7 = counts(distinct_levels(grains)[grains], 10, 8)
    found = segment_grains(n6=n6, n7=n7, pixel_size=(2e-6, 1e-6), min_area=400e-12)
    assert found.dtype == np.int32
    assert found.shape == grains.shape
    assert sorted(np.unique(found)) == list(range(1, found.max() + 1))
    assert np.bincount(found.ravel())[1:].min() >= 200
    for g in range(1, found.max() + 1):
        assert ndimage.label(found == g)[1] == 1


def test_a_larger_smallest_grain_gives_fewer_grains_and_keeps_the_large_ones():
    grains = np.zeros((64, 64), dtype=int)
    grains[:, 32:] = 1
    grains[10:18, 10:18] = 2
    n6, n7 = counts(np.array([0.2, 0.5, 0.8])[grains], 80, 9)
    with_it = segment_grains(n6=n6, n7=n7, pixel_size=1e-6, min_area=20e-12)
    without = segment_grains(n6=n6, n7=n7, pixel_size=1e-6, min_area=150e-12)
    assert rand_index(grains, with_it) > 0.95
    assert rand_index(grains == 1, without) > 0.95
    assert without.max() == 2


def test_sensitivity_finds_weaker_boundaries():
    grains = np.repeat([[0, 1]], 64, axis=0).repeat(32, axis=1)
    n6, n7 = counts(np.array([0.300, 0.318])[grains], 40, 11)
    low = segment_grains(n6=n6, n7=n7, sensitivity=0.2).max()
    high = segment_grains(n6=n6, n7=n7, sensitivity=3.0).max()
    assert low == 1
    assert high > low


def test_the_result_is_the_same_every_time_and_the_input_untouched():
    grains = voronoi(64, 6, 10)
    n6, n7 = counts(distinct_levels(grains)[grains], 30, 10)
    before = n6.copy()
    one = segment_grains(n6=n6, n7=n7)
    np.testing.assert_array_equal(segment_grains(n6=n6, n7=n7), one)
    np.testing.assert_array_equal(n6, before)


def test_a_constant_image_is_one_grain():
    for edges in ("steps", "dark", "bright"):
        assert (segment_grains(np.full((20, 20), 3.0), edges=edges) == 1).all()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "either an image"),
        ({"n6": np.ones((9, 9), int)}, "either an image"),
        ({"image": np.ones((9, 9)), "n6": np.ones((9, 9), int)}, "either an image"),
        (
            {"image": np.ones((9, 9)), "n6": np.ones((9, 9), int), "n7": np.ones((9, 9), int)},
            "must show lines",
        ),
        (
            {
                "image": np.ones((9, 8)),
                "n6": np.ones((9, 9), int),
                "n7": np.ones((9, 9), int),
                "edges": "dark",
            },
            r"image has shape \(9, 8\)",
        ),
        ({"n6": np.zeros((9, 9), int), "n7": np.zeros((9, 9), int)}, "all counts are zero"),
        ({"n6": np.ones((9, 9), int), "n7": np.ones((9, 8), int)}, r"n7 \(9, 8\)"),
        ({"n6": np.ones((9, 9)), "n7": np.ones((9, 9), int)}, "n6 must hold whole counts"),
        ({"n6": np.ones((9, 9), int), "n7": -np.ones((9, 9), int)}, "n7 must hold whole counts"),
        ({"image": np.full((9, 9), np.nan)}, "no value"),
        ({"image": np.ones((3, 9, 9))}, r"shape \(3, 9, 9\)"),
        ({"image": np.ones((9, 9)), "min_area": 1e-12}, "pixel size is unknown"),
        ({"image": np.ones((9, 9)), "min_area": -1.0, "pixel_size": 1.0}, "min_area"),
        ({"image": np.ones((9, 9)), "smoothing": 0.0, "pixel_size": 1.0}, "smoothing"),
        ({"image": np.ones((9, 9)), "psf_fwhm": -1e-6, "pixel_size": 1.0}, "psf_fwhm must be 0"),
        ({"image": np.ones((9, 9)), "psf_fwhm": 1e-6}, "pixel size is unknown"),
        ({"image": np.ones((9, 9)), "edges": "grey"}, "'grey'"),
        ({"image": np.ones((9, 9)), "sensitivity": 0.0}, "sensitivity"),
        (
            {"n6": np.ones((9, 9), int), "n7": np.ones((9, 9), int), "edges": "dark"},
            "as an image",
        ),
    ],
)
def test_bad_input(arguments, message):
    with pytest.raises(ValueError, match=message):
        segment_grains(**arguments)


def test_lines_show_what_counts_cannot_and_steps_what_lines_do_not():
    grains = voronoi(80, 8, 12)
    levels = np.where(np.arange(8) % 2, 0.2, 0.5)
    n6, n7 = counts(levels[grains], 30, 12)
    lines = micrograph(grains, 0.2, 0.5, 12)  # half of them are missing
    of_counts = rand_index(grains, segment_grains(n6=n6, n7=n7))
    of_lines = rand_index(grains, segment_grains(lines, edges="dark"))
    both = rand_index(grains, segment_grains(lines, n6=n6, n7=n7, edges="dark"))
    assert both > max(of_counts, of_lines) + 0.02
    assert both > 0.85


def test_strips_of_a_blurred_beam_are_no_grains():
    """Three levels, the middle one beside both others; the beam is four pixels wide."""
    grains = np.repeat([[0, 1, 2]], 90, axis=0).repeat(30, axis=1)
    grains[:, 60:][:45] = 0  # a step from the lowest to the highest, too
    fraction = ndimage.gaussian_filter(np.array([0.1, 0.3, 0.6])[grains], 4 / 2.3548)
    n6, n7 = counts(fraction, 200, 16)
    found = segment_grains(n6=n6, n7=n7, pixel_size=1e-6, psf_fwhm=4e-6)
    # The pieces of 0 and 2 beside 1 are grains of their own.
    assert found.max() == 4
    assert rand_index(label(grains + 1, connectivity=1), found) > 0.95
    assert segment_grains(n6=n6, n7=n7).max() > 4


def test_a_narrow_grain_that_no_blur_explains_is_kept():
    grains = np.repeat([[0, 1, 2]], 80, axis=0).repeat([38, 5, 37], axis=1)
    brighter = np.array([0.2, 0.6, 0.3])[grains]  # above both neighbours
    n6, n7 = counts(brighter, 60, 16)
    found = segment_grains(n6=n6, n7=n7)
    assert found.max() == 3
    assert rand_index(grains, found) > 0.95


@pytest.mark.parametrize(
    ("gaps", "steps"),
    [(0.0, 0.0), (0.0, 0.12), (0.3, 0.12), (0.95, 0.12)],
    ids=["lines without a step", "both", "lines with gaps", "steps without a line"],
)
@pytest.mark.parametrize("edges", ["dark", "bright"])
def test_both_are_hardly_worse_than_the_better_one(gaps, steps, edges):
    grains = voronoi(80, 8, 17)
    levels = 0.3 + steps * (distinct_levels(grains) - 0.3) / 0.12
    n6, n7 = counts(levels[grains].clip(0.05, 0.95), 30, 17)
    lines = micrograph(grains, 0.2, gaps, 17) * (1 if edges == "dark" else -1)
    of_counts = rand_index(grains, segment_grains(n6=n6, n7=n7))
    of_lines = rand_index(grains, segment_grains(lines, edges=edges))
    both = rand_index(grains, segment_grains(lines, n6=n6, n7=n7, edges=edges))
    assert both > max(of_counts, of_lines) - 0.05


def test_with_both_a_border_runs_along_its_line():
    grains = np.repeat([[0, 1]], 64, axis=0).repeat(32, axis=1)
    n6, n7 = counts(np.array([0.3, 0.36])[grains], 5, 13)
    image = np.random.default_rng(13).normal(0, 0.1, grains.shape)
    image[:, 31:33] -= 2
    found = segment_grains(image, n6=n6, n7=n7, edges="dark")
    assert found.max() == 2
    assert (np.abs(np.diff(found, axis=1).nonzero()[1] - 31) <= 1).all()


def test_progress_rises_to_one_and_cancels():
    n6, n7 = counts(voronoi(48, 4, 14) * 0.2 + 0.1, 20, 14)
    seen = []
    segment_grains(n6=n6, n7=n7, progress=lambda done, message: seen.append((done, message)))
    done = [d for d, _ in seen]
    assert done == sorted(done)
    assert done[0] == 0
    assert done[-1] == 1
    assert all(message for _, message in seen)

    def stop(done: float, message: str) -> None:
        if done > 0.1:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        segment_grains(n6=n6, n7=n7, progress=stop)


def test_reference_map_of_flat_grains(shared_data):
    """Of 40 grains 13 can be told apart; where all neighbours differ they are found."""
    with np.load(shared_data / "maps" / "flat_grains.npz") as data:
        grains, truth = data["grains"], data["true_fraction"].astype(float)
        found = segment_grains(n6=data["n6"], n7=data["n7"])
    count = grains.max()
    mean = ndimage.mean(truth, grains, np.arange(count + 1))
    clear = np.arange(count + 1) > 0
    for a, b in ((grains[1:], grains[:-1]), (grains[:, 1:], grains[:, :-1])):
        for one, other in {*zip(a[a != b].tolist(), b[a != b].tolist(), strict=True)}:
            if abs(mean[one] - mean[other]) < 0.03:
                clear[[one, other]] = False
    reached = (clear & (mean > 0.096))[grains]
    assert len(np.unique(grains[reached])) >= 3
    assert rand_index(grains[reached], found[reached]) > 0.9
