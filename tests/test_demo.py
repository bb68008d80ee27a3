"""The demo's numbers, what it prints of them, and the files it writes."""

from __future__ import annotations

import math
import re
import runpy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from napari_liso import demo
from napari_liso.diffusion.results import Estimate, Population, Verdict

INTERVALS: dict[Verdict, tuple[float, float]] = {
    "resolved": (2e-9, 4e-9),
    "upper_bound": (0.0, 5e-8),
    "lower_bound": (7e-9, np.inf),
    "unresolved": (1e-9, 9e-8),
}


@pytest.fixture(scope="module")
def analysis() -> demo.Analysis:
    return demo.analyse(lambda _: None)


def altered(
    analysis: demo.Analysis,
    verdicts: list[Verdict],
    centre: Estimate | None = None,
    diffusivity: Estimate | None = None,
) -> demo.Analysis:
    """The analysis with these verdicts on its first boundaries, and 3e-9 m/s everywhere."""
    table = analysis.fit.table.iloc[: len(verdicts)].copy()
    table["verdict"] = verdicts
    table["permeability"] = 3e-9
    table["permeability_lower"] = [INTERVALS[v][0] for v in verdicts]
    table["permeability_upper"] = [INTERVALS[v][1] for v in verdicts]
    fit = replace(
        analysis.fit,
        table=table,
        diffusivity=diffusivity or analysis.fit.diffusivity,
        population=Population(
            centre or analysis.fit.population.centre, analysis.fit.population.spread
        ),
    )
    return replace(analysis, fit=fit, truth=analysis.truth[: len(verdicts)])


def line_with(text: str, start: str) -> str:
    (line,) = [x for x in text.splitlines() if x.strip().startswith(start)]
    return line.strip()


def test_copper_is_natural_within_two_standard_errors() -> None:
    copper = demo.measure_copper()
    assert copper.counts > 3000
    assert copper.lower < 0.3085 < copper.upper
    assert copper.lower < copper.value < copper.upper
    by_hand = (copper.value - 0.3085) / math.sqrt(0.3085 * (1 - 0.3085) / copper.counts)
    assert copper.deviations == pytest.approx(by_hand)
    assert abs(by_hand) < 2


def test_the_analysis_finds_the_truth(analysis: demo.Analysis) -> None:
    table = analysis.fit.table
    assert len(table) == len(analysis.boundaries) > 40
    # the truth of each row is that of its pair of grains
    listed = analysis.acquisition.metadata["truth"]["permeability"]
    for row, truth in zip(table.itertuples(), analysis.truth, strict=True):
        pair = {"grain_a": row.grain_a, "grain_b": row.grain_b, "permeability": truth}
        assert pair in listed
    assert analysis.contained.mean() >= 0.85
    assert (table["verdict"] == "resolved").sum() >= 15
    d = analysis.fit.diffusivity
    assert d.lower < 2.6e-12 < d.upper or abs(np.log(d.value / 2.6e-12)) < 0.1


def test_the_report_has_values_units_and_truth(analysis: demo.Analysis) -> None:
    copper = demo.Copper(3600, 0.31, 0.30, 0.32, "PHI nanoTOF II")
    fit = replace(
        analysis.fit,
        diffusivity=Estimate(2.5e-12, 2.4e-12, 2.7e-12, "resolved"),
        population=Population(
            Estimate(1.4e-8, 0.7e-8, 2.8e-8, "resolved"), Estimate(0.5, 0.4, 0.7, "resolved")
        ),
    )
    text = demo.report(copper, replace(analysis, fit=fit))
    text.encode("ascii")  # any terminal can show it
    # (0.31 - 0.3085) / sqrt(0.3085 * 0.6915 / 3600) = 0.195
    assert "0.3100 (95 %: 0.3000 to 0.3200)" in text
    assert "0.2 standard errors above nature's 0.3085" in text
    assert "Simulated, not measured" in text
    d = line_with(text, "D of the grains")
    assert "2.50e-12 m2/s (95 %: 2.40e-12 to 2.70e-12); truth 2.60e-12" in d
    # D_gb only with the delta that was assumed
    assert "1.40e-17 m2/s (95 %: 7.00e-18 to 2.80e-17)" in line_with(text, "apparent D_gb")
    assert line_with(text, "= median k x delta").endswith("assumed delta = 1 nm")
    # science.md, 298 K: 22.9 ohm cm2 at k = 1.4e-8 m/s for H = 1; R falls as 1/k
    resistance = line_with(text, "resistance")
    value, low, high = (float(x) for x in re.findall(r"\d+\.\d", resistance)[:3])
    assert value == pytest.approx(22.9, abs=0.2)
    assert (low, high) == pytest.approx((value / 2, value * 2), rel=0.01)
    assert "298.15 K" in resistance
    assert "0.29/(3.87 A)^3 = 5.00e+27 1/m3" in text


def test_bounds_are_printed_as_bounds(analysis: demo.Analysis) -> None:
    verdicts: list[Verdict] = ["resolved", "upper_bound", "lower_bound", "unresolved"]
    changed = altered(analysis, verdicts)
    text = demo.report(demo.measure_copper(), changed)
    pairs = changed.fit.table[["grain_a", "grain_b"]].itertuples(name=None)
    found = [re.search(rf"^ +{i} +{a}\|{b} .*$", text, re.M) for i, a, b in pairs]
    rows = {v: row.group() for v, row in zip(verdicts, found, strict=True) if row}
    assert re.search(r" 3\.00 +2\.00 to 4\.00 +resolved ", rows["resolved"])
    assert re.search(r"\d +<= 50\.0 +upper bound ", rows["upper_bound"])
    assert re.search(r"\d +>= 7\.00 +lower bound ", rows["lower_bound"])
    assert re.search(r"\d +\? +1\.00 to 90\.0 +not resolved ", rows["unresolved"])
    # the number that hides behind a bound, 3e-9 m/s, appears nowhere else
    assert sum("3.00 " in row for row in rows.values()) == 1


def test_bounds_of_the_summary_are_bounds(analysis: demo.Analysis) -> None:
    changed = altered(
        analysis,
        ["resolved"],
        centre=Estimate(1.4e-8, 1.4e-8, np.inf, "lower_bound"),
        diffusivity=Estimate(3.3e-12, 3.3e-12, np.inf, "lower_bound"),
    )
    text = demo.report(demo.measure_copper(), changed)
    assert ">= 3.30e-12 m2/s; truth" in line_with(text, "D of the grains")
    assert ">= 1.40e-08 m/s; truth" in line_with(text, "Median k")
    assert ">= 1.40e-17 m2/s," in line_with(text, "apparent D_gb")
    # the less permeable, the more resistive: the bound turns around
    assert re.search(r"<= 22\.9 ohm cm2", line_with(text, "resistance"))


@pytest.mark.parametrize("verdict", ["unresolved", "upper_bound"])
def test_what_is_open_stays_open(analysis: demo.Analysis, verdict: Verdict) -> None:
    ends = INTERVALS[verdict]
    changed = altered(analysis, ["resolved"], centre=Estimate(3e-9, *ends, verdict))
    text = demo.report(demo.measure_copper(), changed)
    expected = {
        "unresolved": ("not resolved (95 %: 1.00e-09 to 9.00e-08 m/s)", "not resolved"),
        "upper_bound": ("<= 5.00e-08 m/s", ">= "),
    }[verdict]
    assert expected[0] in line_with(text, "Median k")
    assert expected[1] in line_with(text, "resistance")


def test_csv_is_the_fit_s_table(analysis: demo.Analysis, tmp_path: Path) -> None:
    demo.write(analysis, tmp_path)
    path = tmp_path / "boundaries.csv"
    read = pd.read_csv(path, comment="#", index_col="boundary", keep_default_na=False)
    fit = analysis.fit.table
    assert read.index.tolist() == fit.index.tolist()
    for ours, theirs in {
        "grain_a": "grain_a",
        "grain_b": "grain_b",
        "permeability_m_per_s": "permeability",
        "permeability_lower_m_per_s": "permeability_lower",
        "permeability_upper_m_per_s": "permeability_upper",
        "verdict": "verdict",
        "information_0_to_1": "information",
        "step_of_fraction": "step",
        "biot_number": "biot",
        "resistance_s_per_m": "resistance",
    }.items():
        assert read[ours].tolist() == fit[theirs].tolist()
    assert read["true_permeability_m_per_s"].tolist() == analysis.truth.tolist()
    assert read["length_m"].tolist() == analysis.boundaries.table["length"].tolist()
    assert len(read.columns) == 13


def test_csv_says_what_it_is(analysis: demo.Analysis) -> None:
    import napari_liso

    verdicts: list[Verdict] = ["resolved", "upper_bound", "lower_bound", "unresolved"]
    text = demo.boundary_csv(altered(analysis, verdicts))
    header = [x for x in text.splitlines() if x.startswith("#")]
    body = [x for x in text.splitlines() if not x.startswith("#")]
    assert f"# software: napari-liso {napari_liso.__version__}" in header
    assert any("Simulated, not measured" in x for x in header)
    assert any('"duration": 4800.0' in x and x.startswith("# provenance: ") for x in header)
    assert len(body) == 5
    assert [x.split(",")[1] for x in body] == [
        "k_reported", "3.00e-09 m/s", "<= 5.00e-08 m/s", ">= 7.00e-09 m/s", "",
    ]  # fmt: skip


def test_a_failure_leaves_the_old_file(
    analysis: demo.Analysis, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "boundaries.csv").write_text("old")

    def half(path: Path, text: str) -> None:
        path.write_text(text[: len(text) // 2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(demo, "_write_text", half)
    with pytest.raises(OSError, match="No space"):
        demo.write(analysis, tmp_path)
    assert [p.name for p in tmp_path.iterdir()] == ["boundaries.csv"]
    assert (tmp_path / "boundaries.csv").read_text() == "old"


def test_examples_run(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = repository / "examples"
    assert len(list(folder.glob("*.py"))) == 3
    runpy.run_path(str(folder / "copper_fraction.py"), run_name="__main__")
    told = capsys.readouterr().out
    copper = demo.measure_copper()
    assert f"= {copper.value:.4f} ({copper.lower:.4f} to {copper.upper:.4f})" in told
    left = runpy.run_path(str(folder / "count_a_map.py"), run_name="__main__")
    assert left["table"]["counts"].sum() == copper.counts
    assert left["alpha"].value == pytest.approx(1, abs=3 * left["alpha"].error)
    assert left["path"].read_text(encoding="utf-8").startswith('# {"software"')
    capsys.readouterr()
    left = runpy.run_path(str(folder / "fit_a_map.py"), run_name="__main__")
    told = capsys.readouterr().out
    assert abs(np.log(left["fit"].diffusivity.value / 2.6e-12)) < 0.2
    assert "D = 2." in told
    assert "permeability_upper" in told
