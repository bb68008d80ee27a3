"""Tables in files: what is read back by others, and what is left when writing fails."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_liso.tables import replace_file, table_text, write_table

TABLE = pd.DataFrame(
    {
        "name": ["grain # 1", 'a "b", c', "two\n# lines", "µ"],
        "fraction": [0.1 + 0.2, np.nan, 1 / 3, np.inf],
        "area": [1e-12, 2e-12, 3e-12, 4e-12],
        "counts": [2**53 + 1, 0, 1, 2],
    },
    index=pd.Index([1, 2, 5, 9], name="region"),
)


def test_pandas_reads_what_was_written(tmp_path: Path) -> None:
    path = write_table(tmp_path / "a table.csv", TABLE, {"software": 'x "1"\n# y'}, {"area": "m2"})
    back = pd.read_csv(path, comment="#", index_col="region")
    assert list(back.columns) == ["name", "fraction", "area_m2", "counts"]
    assert back["name"].tolist() == TABLE["name"].tolist()
    assert back.index.tolist() == [1, 2, 5, 9]
    assert back["counts"].tolist() == [2**53 + 1, 0, 1, 2]
    np.testing.assert_allclose(back["fraction"], TABLE["fraction"], rtol=1e-15)
    np.testing.assert_allclose(back["area_m2"], TABLE["area"], rtol=1e-15)


def test_every_fact_is_a_line_of_json(tmp_path: Path) -> None:
    facts = {
        "sources": ["6Li", "7Li"],
        "text": "two\nlines # and µ",
        "array": np.arange(3),
        "number": np.float64(0.5),
        "path": Path("map.im"),
        "nested": {"a": None},
    }
    lines = write_table(tmp_path / "t.csv", TABLE, facts).read_bytes().decode("utf-8").split("\n")
    header = [json.loads(line[2:]) for line in lines[: len(facts)]]
    assert all(line.startswith("# ") for line in lines[: len(facts)])
    assert {key: value for one in header for key, value in one.items()} == {
        **facts,
        "array": [0, 1, 2],
        "number": 0.5,
        "path": "map.im",
    }
    assert lines[len(facts)] == '"region","name","fraction","area","counts"'


def test_an_index_without_a_name_is_not_written() -> None:
    assert table_text(pd.DataFrame({"a": [1.5]})) == '"a"\n1.5\n'


@pytest.mark.parametrize(
    ("facts", "units", "reason"),
    [
        ({}, {"length": "m"}, "no column"),
        ({}, {"area": "m²"}, "letters"),
        ({}, {"area": ""}, "letters"),
        ({"a": object()}, {}, "JSON"),
        ({"a": float("nan")}, {}, "JSON"),
    ],
)
def test_what_cannot_be_written_is_refused(
    tmp_path: Path, facts: dict[str, object], units: dict[str, str], reason: str
) -> None:
    with pytest.raises(ValueError, match=reason):
        write_table(tmp_path / "t.csv", TABLE, facts, units)
    assert list(tmp_path.iterdir()) == []


def test_two_columns_of_one_name_are_refused() -> None:
    table = TABLE.assign(area_m2=1.0)
    with pytest.raises(ValueError, match="area_m2"):
        table_text(table, units={"area": "m2"})
    with pytest.raises(ValueError, match="region"):
        table_text(TABLE.assign(region=1))


def test_a_failure_leaves_the_former_file(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_text("former")

    def half(made: Path) -> None:
        made.write_text("half")
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        replace_file(path, half)
    assert path.read_text() == "former"
    assert [p.name for p in tmp_path.iterdir()] == ["t.csv"]


def test_no_folder_no_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_table(tmp_path / "none" / "t.csv", TABLE)
