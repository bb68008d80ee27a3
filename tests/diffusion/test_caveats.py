"""Warnings, and fits of which nothing may be called resolved."""

from __future__ import annotations

from dataclasses import replace

import mosaics
import numpy as np
import pytest

import napari_liso as liso
from napari_liso.diffusion.caveats import unresolve
from napari_liso.diffusion.results import Estimate


@pytest.fixture(scope="module")
def mosaic() -> mosaics.Mosaic:
    return mosaics.voronoi((44, 52), 9, 8, 0.3)


def fit(mosaic: mosaics.Mosaic, counts: tuple[np.ndarray, np.ndarray], **changes: object):
    experiment = replace(mosaic.experiment, **changes)
    return liso.fit_diffusion(
        *counts, mosaic.boundaries, experiment=experiment, section="columnar"
    )


def test_a_good_fit_has_resolved_boundaries_and_no_doubt(mosaic: mosaics.Mosaic) -> None:
    good = fit(mosaic, mosaic.measure(200.0, 5))
    assert (good.table.verdict == "resolved").any()
    assert not any("no bound" in note.lower() for note in good.warnings)


def test_a_model_that_does_not_fit_resolves_nothing(mosaic: mosaics.Mosaic) -> None:
    """A fraction far above that of the source cannot be reached by any k and D."""
    wrong = fit(mosaic, mosaic.measure(200.0, 5), source_fraction=0.5)
    assert (wrong.table.verdict == "unresolved").all()
    assert wrong.diffusivity.verdict == "unresolved"
    assert any("does not describe" in note for note in wrong.warnings)


def test_nothing_arrived_is_said(mosaic: mosaics.Mosaic) -> None:
    rng = np.random.default_rng(3)
    shape = mosaic.boundaries.grains.shape
    background = mosaic.experiment.background_fraction
    counts = rng.poisson(60 * background, shape), rng.poisson(60 * (1 - background), shape)
    empty = fit(mosaic, counts)
    assert any("No 6Li above the background" in note for note in empty.warnings)
    assert (empty.table.verdict == "unresolved").all()
    assert empty.diffusivity.verdict == "unresolved"


def test_shift_by_the_background_is_that_of_a_second_fit(mosaic: mosaics.Mosaic) -> None:
    counts = mosaic.measure(400.0, 6)
    first = fit(mosaic, counts)
    shifted = fit(
        mosaic, counts, background_fraction=mosaic.experiment.background_fraction + 0.004
    )
    told = 4 * first.provenance["shift_of_ln_k_per_0.001_background"]
    seen = np.log(shifted.table.permeability / first.table.permeability).mean()
    assert told == pytest.approx(seen, abs=0.02, rel=0.4)


def test_values_and_bounds_are_taken_back() -> None:
    for verdict in ("resolved", "lower_bound", "upper_bound", "unresolved"):
        taken = unresolve(Estimate(1.0, 0.5, 1.5, verdict))
        assert taken == Estimate(1.0, 0.5, 1.5, "unresolved")


def test_few_k_of_their_own_are_told_of_the_shared_one(mosaic: mosaics.Mosaic) -> None:
    found = liso.fit_diffusion(
        *mosaic.measure(60.0, 7),
        mosaic.boundaries,
        experiment=mosaic.experiment,
        boundaries=[1],
        section="columnar",
    )
    assert any("share one k" in note for note in found.warnings)
