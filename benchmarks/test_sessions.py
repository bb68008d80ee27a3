"""Sessions of 2048 x 2048 pixels and about 3,600 boundaries: saved, loaded, kept from a window.

What a window pays for autosave is `test_an_edit_is_handed_over`; writing is done in a thread.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import napari_liso as liso
from napari_liso.plugin.labelling.unsaved import edit_session
from napari_liso.session import Session
from napari_liso.simulation import voronoi_grains

PIXEL = 0.4e-6
SIDE = 2048


@pytest.fixture(scope="module")
def boundaries() -> liso.Boundaries:
    return liso.find_boundaries(voronoi_grains((SIDE, SIDE), 1250, seed=1), PIXEL)


@pytest.fixture(scope="module")
def session(boundaries: liso.Boundaries) -> Session:
    counts = np.random.default_rng(0).poisson(20, (2, 1, SIDE, SIDE))
    acquisition = liso.Acquisition(counts, ("6Li", "7Li"), np.array([6.015, 7.016]))
    return Session(acquisition, boundaries.drawn, boundaries)


def test_a_session_is_saved(benchmark: Any, session: Session, tmp_path: Path) -> None:
    path = benchmark.pedantic(liso.save, (tmp_path / "a.liso", session), rounds=3)
    benchmark.extra_info["MB"] = round(path.stat().st_size / 1e6, 1)


def test_a_session_is_loaded(benchmark: Any, session: Session, tmp_path: Path) -> None:
    path = liso.save(tmp_path / "a.liso", session)
    assert benchmark.pedantic(liso.load, (path,), rounds=3).boundaries is not None


def test_an_edit_is_handed_over(benchmark: Any, boundaries: liso.Boundaries) -> None:
    benchmark(edit_session, boundaries, "Grain boundaries", "Grains", frozenset(), "map.h5")


def test_an_edit_is_kept(benchmark: Any, boundaries: liso.Boundaries, tmp_path: Path) -> None:
    edit = edit_session(boundaries, "Grain boundaries", "Grains", frozenset(), "map.h5")
    benchmark.pedantic(liso.save, (tmp_path / "edit.liso", edit), rounds=3)
