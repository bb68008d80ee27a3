"""What is loaded is what was saved."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

import napari_liso as liso
from napari_liso.microstructure.update import find_patch
from napari_liso.session import Session, summary

from .sessions import full_session, require_identical, sessions


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(sessions())
def test_any_session_comes_back_identical(session: Session) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = liso.save(Path(folder) / "a.liso", session)
        require_identical(session, liso.load(path))


def test_every_part_comes_back_identical(tmp_path: Path) -> None:
    session = full_session()
    assert "removed" in set(session.boundaries.table["state"])
    again = liso.load(liso.save(tmp_path / "a.liso", session))
    require_identical(session, again)
    # what was shared is shared again
    assert again.layers[0].behind is again.acquisition
    assert again.grains is again.boundaries.drawn
    assert again.fits["all"].full_fraction.boundaries is again.boundaries


def test_an_empty_session_comes_back(tmp_path: Path) -> None:
    require_identical(Session(), liso.load(liso.save(tmp_path / "a.liso", Session())))


def test_loaded_boundaries_are_edited_like_those_that_were_saved(tmp_path: Path) -> None:
    session = full_session()
    again = liso.load(liso.save(tmp_path / "a.liso", session))
    drawn = session.grains.copy()
    drawn[20:24, 20:24] = 70
    one = find_patch(session.boundaries, drawn).apply(session.boundaries)
    other = find_patch(again.boundaries, drawn).apply(again.boundaries)
    require_identical(one, other)


def test_a_loaded_fit_can_be_checked(tmp_path: Path) -> None:
    session = full_session()
    again = liso.load(liso.save(tmp_path / "a.liso", session))
    assert again.fits["all"].check() == session.fits["all"].check()


def test_a_fit_without_its_model_says_what_to_do(tmp_path: Path) -> None:
    session = full_session()
    fit = replace(session.fits["all"], full_fraction=lambda: np.zeros((40, 50)))
    again = liso.load(liso.save(tmp_path / "a.liso", Session(fits={"one": fit})))
    with pytest.raises(ValueError, match="fit again"):
        again.fits["one"].check()


def test_columns_of_tables_that_are_yet_to_come_survive(tmp_path: Path) -> None:
    boundaries = full_session().boundaries
    table = boundaries.table.copy()
    table["angle"] = np.linspace(0, 1, len(table), dtype=np.float32)
    table["words"] = pd.Series([f"ß{i}" for i in table.index], index=table.index, dtype="str")
    table["pairs"] = [(1, int(i)) for i in table.index]
    session = Session(boundaries=replace(boundaries, table=table))
    require_identical(session, liso.load(liso.save(tmp_path / "a.liso", session)))


def test_what_a_file_cannot_hold_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.liso"
    path.write_bytes(b"before")
    with pytest.raises(ValueError, match=r"settings\['form'\]\['widget'\] is a object"):
        liso.save(path, Session(settings={"form": {"widget": object()}}))
    assert path.read_bytes() == b"before"


def test_a_summary_is_had_without_the_arrays(tmp_path: Path) -> None:
    session = full_session()
    found = summary(liso.save(tmp_path / "a.liso", session))
    there = (session.boundaries.table["state"] != "removed").sum()
    assert (found["boundaries"], found["fits"], found["layers"]) == (there, 2, 1)
    assert found["software"].startswith("napari-liso ")


def test_counts_take_less_room_than_in_memory(tmp_path: Path) -> None:
    counts = np.random.default_rng(0).poisson(20, (2, 1, 256, 256))
    acquisition = liso.Acquisition(counts, ("6Li", "7Li"), np.array([6.0, 7.0]))
    path = liso.save(tmp_path / "a.liso", Session(acquisition))
    assert path.stat().st_size < counts.nbytes / 4
