"""What is loaded is what was saved."""

from __future__ import annotations

import hashlib
import json
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings

import napari_liso as liso
from napari_liso.microstructure.crystal import Phase
from napari_liso.microstructure.ebsd import EbsdMap
from napari_liso.microstructure.update import find_patch
from napari_liso.session import SavedLayer, Session, summary

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


@pytest.mark.parametrize(
    ("kind", "low", "high", "size"),
    [
        ("<i8", 0, 255, 1), ("<i8", 0, 256, 2), ("<i8", -1, 127, 1), ("<i8", -129, 5, 2),
        (">i4", 0, 65535, 2), ("<u8", 0, 2**32, 8), ("<i8", -(2**31), 2**31 - 1, 4),
        ("<u2", 0, 65535, 2), ("<i8", -(2**63), 2**63 - 1, 8),
    ],
)  # fmt: skip
def test_whole_numbers_take_as_little_room_as_they_need_and_come_back(
    kind: str, low: int, high: int, size: int, tmp_path: Path
) -> None:
    native = np.dtype(kind).newbyteorder("=")
    values = np.random.default_rng(0).integers(low, high, (400, 300), native, endpoint=True)
    values[0, 0], values[-1, -1] = low, high
    session = Session(settings={"c": values.astype(kind), "f": np.asfortranarray(values)})
    path = liso.save(tmp_path / "a.liso", session)
    require_identical(session, liso.load(path))
    with zipfile.ZipFile(path) as archive:
        written = np.load(archive.open("arrays/0.npy"))
    assert written.dtype.itemsize == size
    assert np.array_equal(written, values)


def test_a_file_of_the_first_version_can_be_read(tmp_path: Path) -> None:
    session = full_session()
    path = liso.save(tmp_path / "a.liso", session)
    old = tmp_path / "old.liso"
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(old, "w") as other:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "session.json":
                head = json.loads(content)
                head["version"] = 1
                for record in head["arrays"]:  # none is large enough to be narrower
                    assert record.pop("stored") == record["dtype"]
                content = json.dumps(head).encode()
                digest = hashlib.sha256(content).hexdigest()
                other.comment = b"napari-liso session sha256:" + digest.encode()
            other.writestr(name, content)
    require_identical(session, liso.load(old))


def test_an_ebsd_map_comes_back_identical(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    ebsd = EbsdMap(
        phase=rng.integers(0, 3, (6, 7)).astype(np.int16),
        euler=rng.uniform(0, 3, (6, 7, 3)).astype(np.float32),
        phases={1: Phase("LLTO", "422"), 2: Phase("α quartz", "32", turn=np.pi / 6)},
        pixel_size=(0.4e-6, 0.5e-6),
        images={"BC": rng.uniform(size=(6, 7)).astype(np.float32)},
        metadata={"path": "/nowhere/map.ctf", "warnings": ["a"]},
    )
    layer = SavedLayer(
        "labels", np.ones((6, 7), np.int32), {"name": "G"}, {"ebsd": ebsd}, "grains"
    )
    session = Session(layers=(layer,))
    again = liso.load(liso.save(tmp_path / "a.liso", session))
    require_identical(session, again)
