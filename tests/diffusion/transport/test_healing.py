"""Healing of boundaries against solving all pixels again, and what is said of the best one."""

from __future__ import annotations

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.diffusion.transport.draws import CoefficientDraws
from napari_liso.diffusion.transport.healing import heal_boundaries
from napari_liso.diffusion.transport.network import build_network
from napari_liso.simulation import voronoi_grains

D = 2.6e-12
PIXEL = 0.5e-6


def bar(*pieces: int) -> liso.Boundaries:
    labels = np.tile(np.repeat(np.arange(1, len(pieces) + 1), pieces), (3, 1))
    return liso.find_boundaries(labels, PIXEL)


def uncertain(k: np.ndarray, sd: float | np.ndarray, number: int = 100) -> CoefficientDraws:
    rng = np.random.default_rng(3)
    spread = np.broadcast_to(sd, k.shape)[:, None] * rng.standard_normal((k.size, number))
    closed = np.zeros(k.size, dtype=bool)
    ids = np.arange(1, k.size + 1)
    return CoefficientDraws(ids, k[:, None] * np.exp(spread), np.full(number, D), closed, closed)


def test_in_series_each_gains_its_share() -> None:
    k = np.array([2e-8, 5e-9, 4e-8])
    length = 22 * PIXEL
    whole = length / D + (1 / k).sum()
    found = heal_boundaries(CoefficientDraws.exact([1, 2, 3], k, D), bar(6, 8, 4, 4))
    assert found.candidates.index.tolist() == [2, 1, 3]
    np.testing.assert_allclose(found.candidates["gain"], 1 / k[[1, 0, 2]] / whole)
    np.testing.assert_allclose(found.candidates["share"], 1 / k[[1, 0, 2]] / whole)
    np.testing.assert_allclose(found.candidates["brick_layer_gain"], 1 / k[[1, 0, 2]] / whole)
    left = 1 - np.cumsum([0, *(1 / k[[1, 0, 2]])]) / whole
    assert found.curve["id"].tolist() == [0, 2, 1, 3]
    np.testing.assert_allclose(found.curve["resistance"], left)
    np.testing.assert_allclose(found.curve["brick_layer"], left)
    np.testing.assert_allclose(found.curve["diffusivity"], length / whole / left)
    assert found.all_healed.value == pytest.approx(length / D / whole)
    assert found.tied == (2,)
    assert "Fix boundary 2 first" in found.statement


def test_greedy_by_solving_all_pixels_again() -> None:
    boundaries = liso.find_boundaries(voronoi_grains((36, 40), 9, seed=6), PIXEL)
    network = build_network(boundaries)
    k = np.random.default_rng(4).lognormal(np.log(3e-8), 0.9, len(boundaries))
    found = heal_boundaries(CoefficientDraws.exact(network.ids, k, D), boundaries, most=3)
    now, start = k.copy(), network.solve_full(k, D).conductance
    for step in range(1, 4):
        best, most = 0, 0.0
        for b in np.flatnonzero(np.isfinite(now)):
            trial = now.copy()
            trial[b] = np.inf
            reached = network.solve_full(trial, D).conductance
            best, most = (b, reached) if reached > most else (best, most)
            if step == 1:
                gain = found.candidates.loc[network.ids[b], "gain"]
                assert gain == pytest.approx(1 - start / reached, abs=5e-3)
        now[best] = np.inf
        assert found.curve["id"][step] == network.ids[best]
        assert found.curve["resistance"][step] == pytest.approx(start / most)
    assert found.model_error < 0.05
    assert (found.candidates["gain"] >= found.candidates["share"] - 1e-12).all()


def test_alike_boundaries_cannot_be_told_apart() -> None:
    k = np.array([1.0e-8, 1.1e-8, 3e-7])
    found = heal_boundaries(uncertain(k, 0.4), bar(6, 8, 4, 4))
    assert found.tied == (1, 2)
    assert "cannot be told" in found.statement
    ranks = found.candidates.loc[[1, 2], ["rank_lower", "rank_upper"]]
    assert (ranks == [1, 2]).all(axis=None)
    assert found.candidates["first"].sum() == pytest.approx(1.0)
    certain = heal_boundaries(uncertain(k, 0.01), bar(6, 8, 4, 4))
    assert certain.tied == (1,)


@pytest.mark.slow
def test_gain_covers() -> None:
    """The gain of the lesser of two barriers in series, ln k known to 0.3 each."""
    boundaries = bar(4, 4, 4)
    rng = np.random.default_rng(8)
    hits = 0
    for _ in range(60):
        truth = np.array([1e-8, 3e-8]) * np.exp(0.5 * rng.standard_normal(2))
        seen = truth * np.exp(0.3 * rng.standard_normal(2))
        found = heal_boundaries(uncertain(seen, 0.3, 60), boundaries, most=1).candidates.loc[2]
        gain = 1 / truth[1] / (12 * PIXEL / D + (1 / truth).sum())
        hits += found["gain_lower"] <= gain <= found["gain_upper"]
    assert hits >= 50  # of 60; 56 are expected from 60 draws


def test_interval_of_the_curve_and_its_end() -> None:
    k = np.array([1e-8, 2e-8])
    found = heal_boundaries(uncertain(k, 0.3), bar(6, 8, 4), most=2)
    curve = found.curve
    assert curve.loc[0, ["resistance_lower", "resistance_upper"]].tolist() == [1.0, 1.0]
    middle = curve.iloc[1:]
    assert (middle["resistance_lower"] < middle["resistance"]).all()
    assert (middle["resistance"] < middle["resistance_upper"]).all()
    assert found.all_healed.value == pytest.approx(curve["resistance"].iloc[-1], rel=0.05)
    assert curve["diffusivity"].iloc[-1] == pytest.approx(D)


def test_a_detour_is_worth_more_than_its_share() -> None:
    """A wall with one gate: healing one of two walls in parallel takes over the whole flow."""
    labels = np.zeros((6, 12), dtype=int)
    labels[:3, :6], labels[:3, 6:], labels[3:, :6], labels[3:, 6:] = 1, 2, 3, 4
    boundaries = liso.find_boundaries(labels, PIXEL)
    pairs = boundaries.table[["grain_a", "grain_b"]].itertuples(index=False, name=None)
    ids = boundaries.table.index
    k = np.array([1e-10 if pair in {(1, 2), (3, 4)} else 1e-4 for pair in pairs])
    found = heal_boundaries(CoefficientDraws.exact(ids, k, D), boundaries, most=1)
    best = found.candidates.iloc[0]
    assert best["share"] == pytest.approx(0.5, abs=0.01)
    assert best["gain"] > 0.98


def test_refuses() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        heal_boundaries(CoefficientDraws.exact([1], 1e-8, D), bar(4, 4), most=0)
    single = liso.find_boundaries(np.ones((4, 6), dtype=int), PIXEL)
    with pytest.raises(ValueError, match="single grain"):
        heal_boundaries(CoefficientDraws.exact([], 1e-8, D), single)
