"""The table of boundaries as CSV."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from napari.components import ViewerModel

from napari_liso.plugin.widgets.main import BoundaryDock

from .boundary_bench import DESCENDING, add_fit, dock_on_three_grains, sort_by
from .conftest import PIXEL


@pytest.fixture
def bench(viewer: ViewerModel, qtbot: Any) -> BoundaryDock:
    return dock_on_three_grains(viewer, qtbot)


def test_csv_has_what_is_shown_with_units_and_its_origin(
    bench: BoundaryDock, viewer: ViewerModel, tmp_path: Path
) -> None:
    add_fit(viewer)
    bench.boundaries.filter.set_filter("id > 1")
    sort_by(bench, "id", DESCENDING)
    said: list[str] = []
    bench.boundaries.buttons.said.connect(said.append)
    bench.boundaries.buttons.save(tmp_path / "b.csv")
    assert said == ["2 rows were written to 'b.csv'."]
    table = pd.read_csv(tmp_path / "b.csv", comment="#", index_col="id")
    assert table.index.tolist() == [3, 2]
    assert table["length_m"].tolist() == pytest.approx([7.5e-6, 6e-6])
    assert table["step"].tolist() == pytest.approx([-0.3, 0.2])
    assert table["k_m_per_s"].tolist() == pytest.approx([1e-6, 1e-7])
    assert table["verdict"].tolist() == ["unresolved", "resolved"]
    assert table["state"].tolist() == ["use", "use"]
    head: dict[str, Any] = {}
    for line in (tmp_path / "b.csv").read_text(encoding="utf-8").splitlines():
        if line.startswith("# "):
            head |= json.loads(line[2:])
    assert head["filter"] == "id > 1"
    assert head["steps_from"] == ["6Li", "7Li"]
    assert head["pixel_size_m"] == [PIXEL, PIXEL]
    assert head["fit"] == {"note": "made by a test"}


def test_a_table_that_cannot_be_written_says_so(bench: BoundaryDock, tmp_path: Path) -> None:
    bench.boundaries.buttons.save(tmp_path / "no such folder" / "b.csv")
    assert bench.boundaries.message.text().startswith("⚠")
