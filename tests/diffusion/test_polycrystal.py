"""Geometry, stiffness and the full solver of the 2-D polycrystal."""

from __future__ import annotations

import mosaics
import numpy as np
import pytest
from mosaics import PIXEL, D

import napari_liso as liso
from napari_liso.diffusion.polycrystal import build_polycrystal, present_boundaries, solve

NATURAL = 0.0759


def experiment(**changes: object) -> liso.Experiment:
    return liso.Experiment(**{"stages": [liso.Stage(100.0)], **changes})


def test_stiffness_is_a_graph_laplacian() -> None:
    mosaic = mosaics.voronoi((30, 34), 6, 1, 0.3)
    crystal = mosaic.crystal
    closed = crystal.stiffness(mosaic.permeability, D, False).toarray()
    np.testing.assert_allclose(closed, closed.T, atol=1e-30)
    np.testing.assert_allclose(closed.sum(axis=0), 0.0, atol=1e-10 * closed.max())
    off = closed - np.diag(np.diag(closed))
    assert off.max() <= 0
    # The source pulls at its own pixels only, through half a pixel of grain.
    sink = (crystal.stiffness(mosaic.permeability, D, True).toarray() - closed).sum(axis=1)
    expected = np.zeros(mosaic.boundaries.grains.shape)
    expected[:, 0] = D / (PIXEL / 2) * PIXEL
    np.testing.assert_allclose(crystal.to_image(sink), expected, atol=1e-8 * expected.max())


def test_limits_of_the_conductance() -> None:
    crystal = mosaics.bar((5, 5), 1e-8, 1.0).crystal
    np.testing.assert_allclose(crystal.rho, PIXEL)
    np.testing.assert_allclose(crystal.conductance(np.array([1e-12]), D), 1e-12, rtol=1e-6)
    np.testing.assert_allclose(crystal.conductance(np.array([np.inf]), D), D / PIXEL)
    assert crystal.source_conductance(D) == pytest.approx(D / (PIXEL / 2))


def test_lithium_is_conserved_without_the_source() -> None:
    mosaic = mosaics.voronoi((40, 40), 8, 2, 0.3)
    crystal, (first,) = mosaic.crystal, mosaic.experiment.stages
    anneal = liso.Stage(0.7 * first.duration, source=False)
    before = solve(crystal, [first], mosaic.permeability, D, NATURAL, 0.95)
    after = solve(crystal, [first, anneal], mosaic.permeability, D, NATURAL, 0.95)
    assert after.sum() == pytest.approx(before.sum(), abs=1e-6 * before.size)
    assert np.abs(after - before).max() > 0.05
    assert after.std() < before.std()
    # ... and it does come in while the source is there.
    assert before.mean() > NATURAL + 0.1


def test_fractions_stay_between_background_and_source_and_grow() -> None:
    mosaic = mosaics.voronoi((40, 40), 8, 3, 1.0)
    crystal, (stage,) = mosaic.crystal, mosaic.experiment.stages
    previous = np.full(crystal.size, NATURAL)
    for part in (1e-3, 0.1, 1.0, 10.0):
        stages = [liso.Stage(part * stage.duration)]
        values = solve(crystal, stages, mosaic.permeability, D, NATURAL, 0.95)
        assert values.min() > NATURAL - 1e-6
        assert values.max() < 0.95 + 1e-6
        assert (values > previous - 1e-6).all()
        previous = values
    # A depleted source takes out what an enriched one brings in: the problem is linear.
    depleted = solve(crystal, [stage], mosaic.permeability, D, 0.95, NATURAL)
    enriched = solve(crystal, [stage], mosaic.permeability, D, NATURAL, 0.95)
    np.testing.assert_allclose(depleted, 0.95 + NATURAL - enriched, atol=1e-6)


def test_two_stages_of_one_kind_are_one() -> None:
    mosaic = mosaics.voronoi((40, 40), 8, 4, 0.3)
    crystal, (stage,) = mosaic.crystal, mosaic.experiment.stages
    once = solve(crystal, [stage], mosaic.permeability, D, NATURAL, 0.95)
    parts = [liso.Stage(share * stage.duration) for share in (0.2, 0.5, 0.3)]
    again = solve(crystal, parts, mosaic.permeability, D, NATURAL, 0.95)
    np.testing.assert_allclose(again, once, atol=1e-6)


def test_pores_hold_nothing_and_conduct_nothing() -> None:
    grains = np.ones((9, 30), dtype=int)
    grains[:, 15:] = 2
    grains[:, 10:13] = 0  # cuts the map: what is right of it never sees the source
    crystal = build_polycrystal(liso.find_boundaries(grains, PIXEL), experiment())
    image = crystal.to_image(
        solve(crystal, [liso.Stage(1000.0)], np.array([1e-7]), D, NATURAL, 0.95)
    )
    np.testing.assert_array_equal(np.isnan(image), grains == 0)
    np.testing.assert_allclose(image[:, 13:], NATURAL, atol=1e-7)
    assert image[:, :10].min() > 0.5


def test_a_grain_in_two_pieces_is_two_cells() -> None:
    grains = np.full((8, 12), 2)
    grains[:, :3] = 1
    grains[:, 9:] = 1
    crystal = build_polycrystal(liso.find_boundaries(grains, PIXEL), experiment())
    assert crystal.cells == 3
    assert sorted(crystal.cell_grain) == [1, 1, 2]
    assert crystal.boundaries == 2
    values = solve(crystal, [liso.Stage(200.0)], np.array([1e-9, 1e-9]), D, NATURAL, 0.95)
    image = crystal.to_image(values)
    assert image[:, 0].mean() > image[:, -1].mean() + 0.2


def test_source_mask_equals_the_edge() -> None:
    mosaic = mosaics.voronoi((24, 30), 6, 5, 0.3)
    mask = np.zeros((24, 30), dtype=bool)
    mask[:, 0] = True
    by_mask = build_polycrystal(mosaic.boundaries, experiment(source=mask))
    by_edge = build_polycrystal(mosaic.boundaries, experiment(source="left"))
    np.testing.assert_array_equal(np.sort(by_mask.source), np.sort(by_edge.source))
    np.testing.assert_allclose(by_mask.source_weight, by_edge.source_weight)
    assert by_mask.source_rho == pytest.approx(by_edge.source_rho)


def test_source_on_a_pore() -> None:
    """A mask inside the map: its pixels' faces toward the pore are the source."""
    grains = np.ones((11, 11), dtype=int)
    grains[4:7, 4:7] = 0
    grains[0] = 2
    mask = np.zeros(grains.shape, dtype=bool)
    mask[3, 4:7] = True
    crystal = build_polycrystal(liso.find_boundaries(grains, PIXEL), experiment(source=mask))
    touched = np.zeros(grains.size, dtype=bool)
    touched[crystal.pixel[crystal.source]] = True
    np.testing.assert_array_equal(touched.reshape(grains.shape), mask)
    assert crystal.source_weight.sum() == pytest.approx(3 * PIXEL)


@pytest.mark.parametrize("edge", ["left", "right", "top", "bottom"])
def test_edge_without_a_grain_is_refused(edge: str) -> None:
    grains = np.zeros((12, 12), dtype=int)
    grains[2:-2, 2:6] = 1
    grains[2:-2, 6:-2] = 2
    with pytest.raises(ValueError, match=f"{edge} edge.*source"):
        build_polycrystal(liso.find_boundaries(grains, PIXEL), experiment(source=edge))


def test_source_mask_of_another_shape_is_refused() -> None:
    found = mosaics.bar((5, 5), 1e-8, 1.0).boundaries
    with pytest.raises(ValueError, match="source mask is"):
        build_polycrystal(found, experiment(source=np.ones((3, 3), dtype=bool)))


def test_removed_boundaries_are_not_in_the_model() -> None:
    found = mosaics.bar((5, 5, 5), 1e-8, 1.0).boundaries
    np.testing.assert_array_equal(present_boundaries(found), [1, 2])
    np.testing.assert_array_equal(present_boundaries(found.with_state(2, "exclude")), [1, 2])
    np.testing.assert_array_equal(present_boundaries(found.with_state(1, "removed")), [2])
