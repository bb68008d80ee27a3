"""The exact likelihood of one boundary on a grid."""

from __future__ import annotations

import mosaics
import numpy as np
import pytest

from napari_liso.diffusion.fit import fit_diffusion
from napari_liso.diffusion.tabulate import Tabulated


def normal(sd_k: float, sd_d: float) -> Tabulated:
    k, d = np.linspace(-8, 8, 81), np.linspace(-4, 4, 81)
    return Tabulated(k, d, -0.5 * (k[:, None] / sd_k) ** 2 - 0.5 * (d[None] / sd_d) ** 2)


def test_draws_have_the_moments_of_the_density() -> None:
    k, d = normal(1.0, 0.5).draw(lambda k, d: 0 * k, 40_000, np.random.default_rng(1))
    assert k.std() == pytest.approx(1.0, rel=0.03)
    assert d.std() == pytest.approx(0.5, rel=0.03)
    assert abs(k.mean()) < 0.03


def test_prior_moves_the_draws() -> None:
    """Two normal densities of equal width meet half way, and narrower."""
    k, _ = normal(1.0, 0.5).draw(
        lambda k, d: -0.5 * (k - 2.0) ** 2, 40_000, np.random.default_rng(2)
    )
    assert k.mean() == pytest.approx(1.0, abs=0.03)
    assert k.std() == pytest.approx(np.sqrt(0.5), rel=0.04)


def test_profile_takes_the_best_of_the_other() -> None:
    table = normal(1.0, 0.5)
    nodes, level = table.profile(0)
    np.testing.assert_allclose(level, -0.5 * nodes**2, atol=1e-12)


def test_one_boundary_claims_no_population() -> None:
    bar = mosaics.bar((15, 15), (2e-8,), 900.0, rows=12)
    n6, n7 = bar.measure(150.0, 8)
    for section in ("columnar", "bulk"):
        fit = fit_diffusion(n6, n7, bar.boundaries, experiment=bar.experiment, section=section)
        assert fit.population.centre.verdict == "unresolved"
        assert fit.population.spread.verdict != "resolved"
        if section == "bulk":
            assert (fit.table.verdict == "unresolved").all()
            assert (fit.table.information < 0.25).all()
        else:
            (row,) = fit.table.itertuples()
            assert row.permeability_lower < 2e-8 < row.permeability_upper
