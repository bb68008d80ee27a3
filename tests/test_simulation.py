"""The virtual measurement: statistics of the counts, blur, truth, and bad input."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import pytest
from scipy.stats import chi2

import napari_liso as liso
from napari_liso.diffusion.polycrystal import build_polycrystal, solve
from napari_liso.sample_data import llto_polycrystal
from napari_liso.simulation import voronoi_grains

PIXEL = 0.5e-6
D = 2.6e-12
K = {(1, 2): 2e-8, (2, 3): 6e-8}
EXPERIMENT = liso.Experiment([liso.Stage(300.0)])


@pytest.fixture
def grains() -> np.ndarray:
    labels = np.tile(np.repeat([1, 2, 3], 16), (40, 1))
    labels[:4, -4:] = 0
    return labels


@pytest.fixture
def fraction(grains: np.ndarray) -> np.ndarray:
    found = liso.find_boundaries(grains, PIXEL)
    crystal = build_polycrystal(found, EXPERIMENT)
    k = np.array([K[1, 2], K[2, 3]])
    return crystal.to_image(
        solve(
            crystal,
            EXPERIMENT.stages,
            k,
            D,
            EXPERIMENT.background_fraction,
            EXPERIMENT.source_fraction,
        )
    )


def test_the_module_does_not_hide_the_function() -> None:
    code = (
        "import napari_liso.simulation, napari_liso as liso;"
        "assert callable(liso.simulate), liso.simulate;"
        "from napari_liso import simulate; assert callable(simulate)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)


def test_what_comes_back(grains: np.ndarray) -> None:
    acq = liso.simulate(grains, (PIXEL, 2 * PIXEL), EXPERIMENT, D, K, 20.0)
    assert isinstance(acq, liso.Acquisition)
    assert acq.channels == ("6Li", "7Li")
    assert acq.counts.shape == (2, 1, *grains.shape)
    assert acq.counts.dtype == np.int64
    assert acq.pixel_size == (PIXEL, 2 * PIXEL)
    np.testing.assert_allclose(acq.masses, [6.01512, 7.01600], atol=1e-4)
    assert acq.metadata["counts_are"] == "counts"


def test_counts_are_poisson_about_intensity_times_fraction(
    grains: np.ndarray, fraction: np.ndarray
) -> None:
    intensity = np.linspace(5.0, 60.0, grains.size).reshape(grains.shape)
    inside = grains > 0
    for channel, share in (("6Li", fraction), ("7Li", 1 - fraction)):
        values = []
        for seed in range(20):
            acq = liso.simulate(grains, PIXEL, EXPERIMENT, D, K, intensity, seed=seed)
            assert (acq[channel][~inside] == 0).all()
            values.append(acq[channel][inside])
        counts = np.array(values)
        expected = (intensity * share)[inside]
        pearson = float(((counts - expected) ** 2 / expected).sum())
        low, high = chi2.ppf([1e-3, 1 - 1e-3], counts.size)
        # Poisson counts have a variance a little above that of chi2: some 3 % more width here.
        assert low * 0.99 < pearson < high * 1.01
        mean = (counts.sum(axis=0) - 20 * expected) / np.sqrt(20 * expected)
        assert mean.mean() == pytest.approx(0.0, abs=4 / np.sqrt(mean.size))
        assert counts.sum() == pytest.approx(20 * expected.sum(), rel=0.01)


def test_channels_are_independent(grains: np.ndarray, fraction: np.ndarray) -> None:
    acq = liso.simulate(grains, PIXEL, EXPERIMENT, D, K, 50.0, seed=3)
    inside = grains > 0
    six = (acq["6Li"] - 50 * fraction)[inside]
    seven = (acq["7Li"] - 50 * (1 - fraction))[inside]
    assert abs(np.corrcoef(six, seven)[0, 1]) < 4 / np.sqrt(six.size)


def test_blur_acts_on_both_intensities_and_not_on_the_fraction() -> None:
    """A bright and a dark grain: near the boundary the fraction is that of the bright one."""
    labels = np.tile(np.repeat([1, 2], 30), (60, 1))
    experiment = liso.Experiment([liso.Stage(10.0)])
    intensity = np.where(labels == 1, 1000.0, 100.0)
    fwhm = 4 * PIXEL
    args = (labels, PIXEL, experiment, 1e-9, 1e-12, intensity)
    sharp = liso.simulate(*args, seed=1)
    blurred = liso.simulate(*args, psf_fwhm=fwhm, seed=1)
    # Edge spread of a normal beam, by its own formula (columns x from the boundary).
    from scipy.special import erf

    sigma = 4 / (2 * np.sqrt(2 * np.log(2)))
    x = np.arange(60) - 29.5
    edge = 0.5 * (1 + erf(x / (np.sqrt(2) * sigma)))
    total = (blurred["6Li"] + blurred["7Li"]).mean(axis=0)
    np.testing.assert_allclose(total, 1000 * (1 - edge) + 100 * edge, rtol=0.04)
    c = blurred["6Li"].sum(axis=0) / (blurred["6Li"] + blurred["7Li"]).sum(axis=0)
    high, low = 0.95, 0.0759
    expected = (1000 * high * (1 - edge) + 100 * low * edge) / (1000 * (1 - edge) + 100 * edge)
    np.testing.assert_allclose(c[20:40], expected[20:40], atol=0.02)
    # Blurring the fraction alone would put 0.51 at the boundary.
    assert c[30] > 0.75
    for name in ("6Li", "7Li"):
        assert blurred[name].sum() == pytest.approx(sharp[name].sum(), rel=0.01)


def test_seed(grains: np.ndarray) -> None:
    def run(seed: int) -> np.ndarray:
        return liso.simulate(grains, PIXEL, EXPERIMENT, D, K, 20.0, seed=seed).counts

    np.testing.assert_array_equal(run(1), run(1))
    assert not np.array_equal(run(1), run(2))


def test_counts_do_not_repeat_a_seed_used_elsewhere(
    grains: np.ndarray, fraction: np.ndarray
) -> None:
    """Permeabilities drawn with default_rng(seed) must not be tied to counts of that seed."""
    acq = liso.simulate(grains, PIXEL, EXPERIMENT, D, K, 1e4, seed=5)
    c = np.nan_to_num(fraction)
    expected = 1e4 * np.stack([c, np.where(grains > 0, 1 - c, 0.0)])
    tied = np.random.default_rng(5).poisson(expected)
    inside = np.broadcast_to(grains > 0, tied.shape)
    ours, theirs = (
        ((counts - expected) / np.sqrt(expected + 1e-9))[inside]
        for counts in (acq.counts[:, 0], tied)
    )
    assert abs(np.corrcoef(ours, theirs)[0, 1]) < 4 / np.sqrt(ours.size)


def test_truth_is_kept(grains: np.ndarray) -> None:
    acq = liso.simulate(grains, PIXEL, EXPERIMENT, D, K, 20.0, psf_fwhm=1e-6, seed=9)
    truth = json.loads(json.dumps(acq.metadata))["truth"]
    assert truth["diffusivity"] == D
    assert truth["psf_fwhm"] == 1e-6
    assert truth["seed"] == 9
    assert truth["experiment"]["source_fraction"] == 0.95
    kept = {(r["grain_a"], r["grain_b"]): r["permeability"] for r in truth["permeability"]}
    assert kept == K


def test_one_permeability_for_all(grains: np.ndarray) -> None:
    both = dict.fromkeys(K, 3e-8)
    one = liso.simulate(grains, PIXEL, EXPERIMENT, D, 3e-8, 20.0, seed=4)
    each = liso.simulate(grains, PIXEL, EXPERIMENT, D, both, 20.0, seed=4)
    np.testing.assert_array_equal(one.counts, each.counts)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"permeability": {(1, 2): 1e-8}}, "grains 2 and 3 touch"),
        ({"permeability": 0.0}, "positive"),
        ({"permeability": {**K, (1, 2): np.inf}}, "finite"),
        ({"diffusivity": -1.0}, "diffusivity"),
        ({"psf_fwhm": -1e-6}, "psf_fwhm"),
        ({"counts_per_pixel": 0.0}, "counts_per_pixel"),
        ({"counts_per_pixel": -3.0}, "counts_per_pixel"),
        ({"counts_per_pixel": np.nan}, "counts_per_pixel"),
        ({"pixel_size": None}, "pixel size"),
    ],
)
def test_bad_input_is_refused(changes: dict, message: str, grains: np.ndarray) -> None:
    arguments = {
        "grains": grains,
        "pixel_size": PIXEL,
        "experiment": EXPERIMENT,
        "diffusivity": D,
        "permeability": K,
        "counts_per_pixel": 20.0,
    }
    with pytest.raises(ValueError, match=message):
        liso.simulate(**{**arguments, **changes})


def test_voronoi_grains() -> None:
    grains = voronoi_grains((50, 70), 23, seed=2)
    assert grains.shape == (50, 70)
    assert grains.dtype == np.int32
    np.testing.assert_array_equal(np.unique(grains), np.arange(1, 24))
    np.testing.assert_array_equal(grains, voronoi_grains((50, 70), 23, seed=2))
    sizes = [np.bincount(voronoi_grains((90, 90), 30, 3, n).ravel())[1:].std() for n in (0, 4)]
    assert sizes[1] < sizes[0] / 1.5
    with pytest.raises(ValueError, match="number"):
        voronoi_grains((5, 5), 26)


def test_llto_sample_has_the_published_coefficients() -> None:
    """D = 2.6e-12 m2/s; k = 1.4e-17 m2/s over 1 nm, spread over boundaries; natural background."""
    acq, grains, experiment = llto_polycrystal()
    truth = acq.metadata["truth"]
    assert truth["diffusivity"] == 2.6e-12
    ln_k = np.log([row["permeability"] for row in truth["permeability"]])
    assert ln_k.size > 40
    standard_error = ln_k.std() / np.sqrt(ln_k.size)
    assert abs(ln_k.mean() - np.log(1.4e-17 / 1e-9)) < 3 * standard_error
    assert 0.4 < ln_k.std() < 0.9
    assert experiment.background_fraction == 0.0759
    assert experiment.temperature == pytest.approx(298.15)
    assert acq["6Li"].shape == grains.shape
    assert "imulated" in acq.metadata["note"]
    json.dumps(acq.metadata)
    far = grains == grains[:, -1][grains.shape[0] // 2]
    n6, n7 = acq["6Li"][far].sum(), acq["7Li"][far].sum()
    assert 0.07 < n6 / (n6 + n7) < 0.6


# --- what the instrument does --------------------------------------------------------------


def flat(counts: float, seed: int = 6, **effects: object) -> liso.Acquisition:
    """Nearly at once after the start: natural everywhere but for the first columns."""
    grains = np.ones((60, 80), dtype=np.int32)
    grains[:, 40:] = 2
    brief = liso.Experiment([liso.Stage(1e-3)], background_fraction=0.3)
    return liso.simulate(grains, PIXEL, brief, D, 1e-9, counts, seed=seed, **effects)


def test_dead_time_gives_a_count_to_each_pulse_with_ions() -> None:
    """Mean and variance are those of a binomial of the pulses, 1 - exp(-ions a pulse)."""
    acq = flat(60.0, pulses=50)
    assert acq.pulses.shape == (1, 60, 80)
    assert (acq.pulses == 50).all()
    for channel, ions in (("6Li", 18.0), ("7Li", 42.0)):
        counts = acq[channel][:, 10:]
        hit = 1 - np.exp(-ions / 50)
        error = np.sqrt(50 * hit * (1 - hit) / counts.size)
        assert counts.mean() == pytest.approx(50 * hit, abs=4 * error)
        assert counts.var() == pytest.approx(50 * hit * (1 - hit), rel=0.1)
        assert counts.max() <= 50
    assert acq.metadata["truth"]["corrections"]["pulses_a_pixel"] == 50


def test_hydride_and_fractionation_change_the_ions() -> None:
    """0.3 with 1.4 on the odds is 0.375; a tenth of the 6Li is counted as 7Li on top."""
    acq = flat(40.0, hydride_ratio=0.1, fractionation=1.4)
    for channel, mean in (("6Li", 15.0), ("7Li", 26.5)):
        counts = acq[channel][:, 10:]
        assert counts.mean() == pytest.approx(mean, abs=4 * np.sqrt(mean / counts.size))
    assert acq.pulses is None
    json.dumps(acq.metadata["truth"])


def test_background_is_added_from_a_stream_of_its_own() -> None:
    """... so that the ions of the sample stay those of the same seed."""
    plain = flat(40.0)
    more = np.zeros((60, 80))
    more[30:] = 5.0
    acq = flat(40.0, background=(more, 2.0))
    extra = acq.counts[:, 0] - plain.counts[:, 0]
    assert extra.min() >= 0
    assert (extra[0, :30] == 0).all()
    assert extra[0, 30:].mean() == pytest.approx(5.0, abs=4 * np.sqrt(5 / 2400))
    assert extra[1].mean() == pytest.approx(2.0, abs=4 * np.sqrt(2 / 4800))
    assert plain.metadata["truth"]["corrections"] is None


def test_effects_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="hydride_ratio"):
        flat(40.0, hydride_ratio=-1.0)
    with pytest.raises(ValueError, match="pulses"):
        flat(40.0, pulses=np.ones((3, 3)))
