"""Maps made by other code, on a finer grid, with known coefficients."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

import napari_liso as liso

MAPS = ("flat_grains", "gradients", "exchange_then_anneal", "blurred_beam")


@dataclass(frozen=True)
class Result:
    fit: liso.DiffusionFit
    truth: NDArray[np.float64]
    diffusivity: float
    median: float | None

    @property
    def inside(self) -> NDArray[np.bool_]:
        table = self.fit.table
        low, high = table["permeability_lower"], table["permeability_upper"]
        return ((low <= self.truth) & (self.truth <= high)).to_numpy()


@cache
def fit_map(path: Path, section: str) -> Result:
    with np.load(path) as data:
        stages = [
            liso.Stage(float(duration), source=bool(source))
            for duration, source in zip(data["stage_duration"], data["stage_source"], strict=True)
        ]
        experiment = liso.Experiment(
            stages,
            source="left",
            source_fraction=float(data["source_fraction"]),
            background_fraction=float(data["background_fraction"]),
        )
        fit = liso.fit_diffusion(
            data["n6"],
            data["n7"],
            data["grains"],
            pixel_size=float(data["pixel_size"]),
            experiment=experiment,
            section=section,
            psf_fwhm=float(data["psf_fwhm"]),
        )
        of_pair = {
            tuple(pair): k
            for pair, k in zip(data["true_pairs"].tolist(), data["true_permeability"], strict=True)
        }
        pairs = fit.table[["grain_a", "grain_b"]].to_numpy().tolist()
        truth = np.array([of_pair.get(tuple(pair), np.nan) for pair in pairs])
        median = float(data["population_median"]) if "population_median" in data else None
        return Result(fit, truth, float(data["true_diffusivity"]), median)


@pytest.fixture
def maps(shared_data: Path) -> Path:
    folder = shared_data / "maps"
    if not folder.is_dir():
        pytest.skip("the reference maps (../shared/data/maps) are not here")
    return folder


def test_intervals_contain_the_truth(maps: Path) -> None:
    results = [fit_map(maps / f"{name}.npz", "columnar") for name in MAPS]
    assert all(np.isfinite(r.truth).all() for r in results)
    inside = np.concatenate([r.inside for r in results])
    assert inside.size > 200
    assert inside.mean() >= 0.88


@pytest.mark.parametrize("name", MAPS)
def test_resolved_permeabilities_are_right(name: str, maps: Path) -> None:
    result = fit_map(maps / f"{name}.npz", "columnar")
    resolved = (result.fit.table["verdict"] == "resolved").to_numpy()
    error = np.abs(np.log(result.fit.table["permeability"] / result.truth))[resolved]
    assert error.size > 5
    assert np.median(error) < 0.25


@pytest.mark.parametrize("name", MAPS)
def test_ends_are_finite_or_an_honest_bound(name: str, maps: Path) -> None:
    table = fit_map(maps / f"{name}.npz", "columnar").fit.table
    low, high = table["permeability_lower"], table["permeability_upper"]
    assert not table.isna().any().any()
    np.testing.assert_array_equal(low == 0, table["verdict"] == "upper_bound")
    np.testing.assert_array_equal(np.isinf(high), table["verdict"] == "lower_bound")


@pytest.mark.parametrize("name", MAPS)
def test_diffusivity(name: str, maps: Path) -> None:
    """Within three standard errors, or a lower bound below the truth."""
    result = fit_map(maps / f"{name}.npz", "columnar")
    found = result.fit.diffusivity
    if found.verdict == "lower_bound":
        assert found.value < result.diffusivity
    else:
        error = np.log(found.upper / found.lower) / (2 * 1.96)
        assert abs(np.log(found.value / result.diffusivity)) < 3 * error


@pytest.mark.parametrize("name", MAPS)
def test_reduced_model_is_good_enough(name: str, maps: Path) -> None:
    fit = fit_map(maps / f"{name}.npz", "columnar").fit
    assert fit.check() < 1e-2
    assert fit.dispersion == pytest.approx(1.0, abs=0.1)


def test_section_of_a_pellet(maps: Path) -> None:
    result = fit_map(maps / "section_of_3d.npz", "bulk")
    assert result.median is not None
    centre = result.fit.population.centre
    error = np.log(centre.upper / centre.lower) / (2 * 1.96)
    assert abs(np.log(centre.value / result.median)) < 3 * error
    # An error bar that says nothing would pass, too.
    assert error < 0.3
    assert not (result.fit.table["verdict"] == "resolved").any()
    assert result.fit.table["information"].max() < 0.3
