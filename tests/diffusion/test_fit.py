"""`fit_diffusion`: what it returns, its options, and its symmetries."""

from __future__ import annotations

import json

import mosaics
import numpy as np
import pytest
from mosaics import PIXEL, D, Mosaic

import napari_liso as liso
from napari_liso.diffusion.results import TABLE_COLUMNS

COUNTS = 150.0


@pytest.fixture(scope="module")
def mosaic() -> Mosaic:
    return mosaics.voronoi((44, 52), 7, 81, 0.2)


@pytest.fixture(scope="module")
def counts(mosaic: Mosaic) -> tuple[np.ndarray, np.ndarray]:
    return mosaic.measure(COUNTS, 82)


@pytest.fixture(scope="module")
def fit(mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray]) -> liso.DiffusionFit:
    return liso.fit_diffusion(
        *counts, mosaic.boundaries, experiment=mosaic.experiment, section="columnar"
    )


# --- what comes back -------------------------------------------------------------------


def test_table(fit: liso.DiffusionFit, mosaic: Mosaic) -> None:
    table = fit.table
    assert tuple(table.columns) == TABLE_COLUMNS
    assert table.index.tolist() == mosaic.boundaries.table.index.tolist()
    assert table.index.name == "id"
    for column in ("grain_a", "grain_b"):
        np.testing.assert_array_equal(table[column], mosaic.boundaries.table[column])
    numbers = table.drop(columns="verdict").to_numpy(dtype=float)
    assert not np.isnan(numbers).any()
    assert (table["permeability_lower"] < table["permeability"]).all()
    assert (table["permeability"] < table["permeability_upper"]).all()
    assert table["information"].between(0, 1).all()
    np.testing.assert_allclose(table["resistance"], 1 / table["permeability"])
    assert set(table["verdict"]) <= {"resolved", "lower_bound", "upper_bound", "unresolved"}
    resolved = table[table["verdict"] == "resolved"]
    assert len(resolved) >= 3
    assert (resolved["permeability_upper"] <= 4 * resolved["permeability_lower"]).all()
    assert (resolved["information"] >= 0.5).all()


def test_the_truth_is_found(fit: liso.DiffusionFit, mosaic: Mosaic) -> None:
    inside = (fit.table["permeability_lower"] <= mosaic.permeability) & (
        mosaic.permeability <= fit.table["permeability_upper"]
    )
    assert inside.mean() > 0.7
    assert fit.diffusivity.verdict == "resolved"
    sd = np.log(fit.diffusivity.upper / fit.diffusivity.lower) / 3.92
    assert abs(np.log(fit.diffusivity.value / D)) < 3.5 * sd
    assert fit.population.centre.lower < fit.population.centre.value < fit.population.centre.upper


def test_images(
    fit: liso.DiffusionFit, mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray]
) -> None:
    n6, n7 = counts
    shape = mosaic.boundaries.grains.shape
    assert fit.fraction.shape == fit.residual.shape == fit.used.shape == shape
    assert np.nanmin(fit.fraction) > 0.07
    assert np.nanmax(fit.fraction) < 0.96
    total = n6 + n7
    expected = (n6 - total * fit.fraction) / np.sqrt(total * fit.fraction * (1 - fit.fraction))
    np.testing.assert_allclose(fit.residual, expected)
    assert fit.residual[fit.used].std() == pytest.approx(1.0, abs=0.06)
    assert (fit.residual[fit.used] ** 2).mean() == pytest.approx(fit.dispersion, rel=0.03)


def test_the_full_model_agrees(fit: liso.DiffusionFit) -> None:
    assert 0 < fit.check() < 5e-3


def test_steps_are_those_of_the_model(fit: liso.DiffusionFit, mosaic: Mosaic) -> None:
    """Mean of the fraction along both sides of a boundary, a minus b."""
    grains = mosaic.boundaries.grains
    for row in fit.table.itertuples():
        faces = mosaic.boundaries.faces
        mine = faces.boundary == row.Index
        first, second = faces.first[mine], faces.second[mine]
        values = fit.fraction.ravel()
        sign = np.where(grains.ravel()[first] == row.grain_a, 1, -1)
        step = (sign * (values[first] - values[second])).mean()
        assert row.step == pytest.approx(step, abs=0.02)


def test_provenance_can_be_stored(fit: liso.DiffusionFit, mosaic: Mosaic) -> None:
    facts = json.loads(json.dumps(fit.provenance))
    assert facts["section"] == fit.section == "columnar"
    assert facts["pixel_size_m"] == [PIXEL, PIXEL]
    assert facts["pixels_used"] == fit.used.sum()
    assert facts["experiment"]["stages"][0]["duration"] == mosaic.experiment.duration
    assert facts["seed"] == 0


# --- options ---------------------------------------------------------------------------


def test_progress_is_monotone_and_ends_at_one(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray], fit: liso.DiffusionFit
) -> None:
    """... and the same seed gives the same numbers."""
    done: list[float] = []
    messages: set[str] = set()

    def progress(part: float, message: str) -> None:
        done.append(part)
        messages.add(message)

    again = liso.fit_diffusion(
        *counts,
        mosaic.boundaries,
        experiment=mosaic.experiment,
        section="columnar",
        progress=progress,
    )
    assert done[0] == 0.0
    assert done[-1] == 1.0
    assert (np.diff(done) >= 0).all()
    assert len(messages) > 4
    assert all(messages)
    np.testing.assert_array_equal(again.table["permeability"], fit.table["permeability"])
    np.testing.assert_array_equal(again.fraction, fit.fraction)
    assert again.diffusivity == fit.diffusivity


@pytest.mark.parametrize("after", [0.0, 0.15, 0.5, 0.9])
def test_cancelling_stops_it_at_once(
    after: float, mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray]
) -> None:
    class CancelError(Exception):
        pass

    calls = []

    def progress(part: float, message: str) -> None:
        calls.append(part)
        if part >= after:
            raise CancelError

    with pytest.raises(CancelError):
        liso.fit_diffusion(
            *counts, mosaic.boundaries, experiment=mosaic.experiment, progress=progress
        )
    assert max(calls[:-1], default=0.0) <= after <= calls[-1]


def test_chosen_boundaries_have_a_k_each_and_the_rest_share_one(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray]
) -> None:
    found = liso.fit_diffusion(
        *counts,
        mosaic.boundaries,
        experiment=mosaic.experiment,
        section="columnar",
        boundaries=[2, 5],
    )
    k = found.table["permeability"]
    rest = k.drop([2, 5])
    assert rest.nunique() == 1
    assert k.nunique() == 3
    assert len(found.table) == len(mosaic.boundaries)


def test_excluded_boundaries_share_and_their_pixels_are_not_used(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray], fit: liso.DiffusionFit
) -> None:
    found = liso.fit_diffusion(
        *counts,
        mosaic.boundaries.with_state([1, 3], "exclude"),
        experiment=mosaic.experiment,
        section="columnar",
    )
    k = found.table["permeability"]
    assert k[1] == k[3]
    assert k.nunique() == len(k) - 1
    assert not found.used[np.isin(mosaic.boundaries.labels, [1, 3])].any()
    assert found.used.sum() < fit.used.sum()
    assert (fit.used | ~found.used).all()


def test_bulk_section_is_the_default_and_resolves_nothing(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray], fit: liso.DiffusionFit
) -> None:
    found = liso.fit_diffusion(*counts, mosaic.boundaries, experiment=mosaic.experiment)
    assert found.section == "bulk"
    assert not (found.table["verdict"] == "resolved").any()
    assert found.table["information"].max() < 0.3
    assert any("section" in note for note in found.warnings)
    # The same centre, moved by 0.35 +- 0.12 in ln k.
    ours, flat = found.population.centre, fit.population.centre
    assert np.log(ours.value / flat.value) == pytest.approx(-0.35, abs=0.15)
    assert np.log(ours.upper / ours.lower) > np.log(flat.upper / flat.lower)


def test_disagreeing_counts_widen_the_intervals(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray], fit: liso.DiffusionFit
) -> None:
    """Ions that come in bunches of four: a quarter of the information, said aloud."""
    few = mosaic.measure(COUNTS / 4, 83)
    bunched = liso.fit_diffusion(
        4 * few[0], 4 * few[1], mosaic.boundaries, experiment=mosaic.experiment, section="columnar"
    )
    assert bunched.dispersion == pytest.approx(4.0, rel=0.1)
    assert any("scatter" in note for note in bunched.warnings)
    widths = [np.log(f.diffusivity.upper / f.diffusivity.lower) for f in (bunched, fit)]
    assert 1.4 < widths[0] / widths[1] < 3.0


# --- symmetries ------------------------------------------------------------------------


def columns(fit: liso.DiffusionFit) -> np.ndarray:
    names = ["permeability", "permeability_lower", "permeability_upper"]
    with np.errstate(divide="ignore"):
        return np.log(fit.table[names].to_numpy())


@pytest.mark.parametrize("edge", ["right", "top", "bottom"])
def test_source_at_any_edge(edge: str) -> None:
    """The map turned or mirrored, with its source."""
    duration = 1.5 * 10 * PIXEL / 5e-8
    bar = mosaics.bar((10, 10, 8), (5e-8, 1e-7), duration, rows=12)
    n6, n7 = bar.measure(60.0, 84)
    move = {
        "right": lambda a: a[:, ::-1],
        "top": lambda a: a.T,
        "bottom": lambda a: a.T[::-1],
    }[edge]
    found = [
        liso.fit_diffusion(
            *(turn(a) for a in (n6, n7, bar.boundaries.grains)),
            pixel_size=PIXEL,
            experiment=liso.Experiment(bar.experiment.stages, source=side),
            section="columnar",
        )
        for turn, side in ((lambda a: a, "left"), (move, edge))
    ]
    np.testing.assert_allclose(columns(found[0]), columns(found[1]), atol=0.05)
    np.testing.assert_allclose(move(found[0].fraction), found[1].fraction, atol=2e-4)


def test_source_mask_is_the_edge(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray], fit: liso.DiffusionFit
) -> None:
    mask = np.zeros(counts[0].shape, dtype=bool)
    mask[:, 0] = True
    experiment = liso.Experiment(mosaic.experiment.stages, source=mask)
    found = liso.fit_diffusion(
        *counts, mosaic.boundaries, experiment=experiment, section="columnar"
    )
    np.testing.assert_allclose(columns(found), columns(fit), atol=1e-6)


def test_scales(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray], fit: liso.DiffusionFit
) -> None:
    """Pixels a times as large and times b times as long: k goes by a/b, D by a^2/b."""
    a, b = 20.0, 7.0
    duration = mosaic.experiment.duration * b
    found = liso.fit_diffusion(
        *counts,
        mosaic.boundaries.grains,
        pixel_size=a * PIXEL,
        experiment=liso.Experiment([liso.Stage(duration)]),
        section="columnar",
    )
    # Rounding sends the chains elsewhere: ends agree as well as draws determine them.
    np.testing.assert_allclose(columns(found) - np.log(a / b), columns(fit), atol=0.2)
    ratio = found.diffusivity.value / fit.diffusivity.value
    assert ratio == pytest.approx(a**2 / b, rel=0.01)
    np.testing.assert_allclose(found.fraction, fit.fraction, atol=3e-3)


def test_pores_and_zero_lines(
    mosaic: Mosaic, counts: tuple[np.ndarray, np.ndarray], fit: liso.DiffusionFit
) -> None:
    """Grains as a watershed draws them, and a hole: NaN there, k nearly as before."""
    grains = mosaic.boundaries.grains.copy()
    different = np.zeros(grains.shape, dtype=bool)
    different[:, :-1] |= grains[:, :-1] != grains[:, 1:]
    different[:-1] |= grains[:-1] != grains[1:]
    grains[different] = 0
    hole = np.zeros(grains.shape, dtype=bool)
    hole[-3:, -5:] = True
    grains[hole] = 0
    found = liso.fit_diffusion(
        *counts,
        grains,
        pixel_size=PIXEL,
        experiment=mosaic.experiment,
        section="columnar",
    )
    assert np.isnan(found.fraction[hole]).all()
    assert np.isfinite(found.fraction[different & ~hole]).all()
    assert not found.used[different | hole].any()
    pairs = ["grain_a", "grain_b"]
    both = found.table.merge(fit.table, on=pairs, suffixes=("", "_whole"))
    sure = both[(both["verdict"] == "resolved") & (both["verdict_whole"] == "resolved")]
    assert len(sure) >= 3
    change = np.log(sure["permeability"] / sure["permeability_whole"])
    assert change.abs().median() < 0.25


def test_oblong_pixels() -> None:
    """Twice as many columns of half the width: the same sample, the same answer."""
    duration = 1.5 * 10 * PIXEL / 5e-8
    fine = mosaics.bar((20, 20), 5e-8, duration, rows=12, pixel=PIXEL / 2)
    n6, n7 = fine.measure(100.0, 85)
    pooled = [n.reshape(6, 2, 40).sum(axis=1) for n in (n6, n7)]
    square = liso.fit_diffusion(
        n6, n7, fine.boundaries, experiment=fine.experiment, section="columnar", exclude=PIXEL
    )
    oblong = liso.fit_diffusion(
        *pooled,
        fine.boundaries.grains[::2],
        pixel_size=(PIXEL, PIXEL / 2),
        experiment=fine.experiment,
        section="columnar",
        exclude=PIXEL,
    )
    np.testing.assert_allclose(columns(oblong), columns(square), atol=0.02)
    assert oblong.diffusivity.value == pytest.approx(square.diffusivity.value, rel=0.02)


def test_a_boundary_of_one_pixel_does_not_stop_the_fit() -> None:
    grains = np.ones((24, 24), dtype=int)
    grains[:, 12:] = 2
    grains[12, 18] = 3
    k = {(1, 2): 5e-8, (2, 3): 5e-8}
    experiment = liso.Experiment([liso.Stage(150.0)])
    acq = liso.simulate(grains, PIXEL, experiment, D, k, 100.0, seed=86)
    found = liso.fit_diffusion(
        acq["6Li"],
        acq["7Li"],
        grains,
        pixel_size=PIXEL,
        experiment=experiment,
        section="columnar",
    )
    row = found.table.loc[2]
    assert row["verdict"] != "resolved"
    assert any("(3)" in note for note in found.warnings)
    first = found.table.loc[1]
    assert first["permeability_lower"] < 5e-8 < first["permeability_upper"]
