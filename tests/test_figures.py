"""Lines along boundaries, what may be shown of a fit, and figures that show it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import LineCollection
from matplotlib.image import imread

from napari_liso.diffusion.results import DiffusionFit, Estimate, Population
from napari_liso.figures import boundary_lines, fit_figure, shown_permeability
from napari_liso.microstructure.boundaries import Boundaries, find_boundaries
from napari_liso.simulation import voronoi_grains

PIXEL = 0.5e-6
VERDICTS = ["resolved", "upper_bound", "lower_bound", "unresolved"]


def table_of(boundaries: Boundaries, verdicts: list[str]) -> pd.DataFrame:
    table = boundaries.table[["grain_a", "grain_b"]].copy()
    ends = {
        "resolved": (2e-8, 4e-8),
        "upper_bound": (0.0, 5e-8),
        "lower_bound": (7e-9, np.inf),
        "unresolved": (1e-9, 9e-8),
    }
    table["permeability"] = 3e-8
    table["permeability_lower"] = [ends[v][0] for v in verdicts]
    table["permeability_upper"] = [ends[v][1] for v in verdicts]
    table["verdict"] = verdicts
    return table


@pytest.fixture
def boundaries() -> Boundaries:
    """Four boundaries of five grains, side by side."""
    return find_boundaries(np.repeat([[1, 2, 3, 4, 5]], 30, axis=0).repeat(8, axis=1), PIXEL)


@pytest.fixture
def fit_of(boundaries: Boundaries) -> Callable[[list[str]], DiffusionFit]:
    shape = boundaries.grains.shape
    noise = np.random.default_rng(1).standard_normal(shape)

    def make(verdicts: list[str]) -> DiffusionFit:
        return DiffusionFit(
            table=table_of(boundaries, verdicts),
            diffusivity=Estimate(2.6e-12, 2.4e-12, 2.9e-12, "resolved"),
            population=Population(
                Estimate(3e-8, 2e-8, 4e-8, "resolved"), Estimate(0.8, 0.6, 1.1, "resolved")
            ),
            fraction=np.full(shape, 0.4),
            residual=noise,
            used=np.ones(shape, bool),
            dispersion=1.02,
            section="columnar",
            warnings=[],
            provenance={},
            full_fraction=lambda: np.full(shape, 0.4),
        )

    return make


def test_a_bound_is_shown_as_its_bound(boundaries: Boundaries) -> None:
    shown = shown_permeability(table_of(boundaries, VERDICTS))
    np.testing.assert_array_equal(shown, [3e-8, 5e-8, 7e-9, np.nan])


def test_straight_boundaries_are_straight_lines(boundaries: Boundaries) -> None:
    lines = boundary_lines(boundaries)
    assert sorted(lines) == [1, 2, 3, 4]
    for number, parts in lines.items():
        (line,) = parts
        assert sorted(line[[0, -1], 0]) == pytest.approx([0.0, 30 * PIXEL])
        np.testing.assert_allclose(line[:, 1], number * 8 * PIXEL)


def test_a_staircase_becomes_a_line() -> None:
    y, x = np.indices((60, 60))
    diagonal = find_boundaries(np.where(x > y, 1, 2), PIXEL)
    ((line,),) = boundary_lines(diagonal).values()
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    assert length == pytest.approx(60 * np.sqrt(2) * PIXEL, rel=0.02)  # the staircase: 1.41 times
    assert np.abs(line[:, 0] - line[:, 1]).max() <= 1.01 * PIXEL


def test_an_enclosed_grain_has_a_closed_line() -> None:
    y, x = np.indices((60, 60))
    inside = find_boundaries(np.where(np.hypot(y - 30, x - 30) < 15, 1, 2), PIXEL)
    ((line,),) = boundary_lines(inside).values()
    np.testing.assert_array_equal(line[0], line[-1])
    length = np.hypot(*np.diff(line, axis=0).T).sum()
    assert length == pytest.approx(2 * np.pi * 15 * PIXEL, rel=0.05)


def test_lines_that_meet_in_a_junction_still_do() -> None:
    grains = np.ones((24, 30), np.int32)
    grains[:12, 15:] = 2
    grains[12:, 15:] = 3
    found = boundary_lines(find_boundaries(grains, PIXEL))
    ends = {tuple(np.round(line[i] / PIXEL, 6)) for (line,) in found.values() for i in (0, -1)}
    assert (12.0, 15.0) in ends
    assert ends == {(12.0, 15.0), (0.0, 15.0), (24.0, 15.0), (12.0, 30.0)}


def test_each_line_lies_between_the_pixels_of_its_boundary() -> None:
    grains = voronoi_grains((80, 90), 20, seed=4)
    found = find_boundaries(grains, PIXEL)
    lines = boundary_lines(found)
    assert sorted(lines) == found.table.index.tolist()
    for number, parts in lines.items():
        mine = found.faces.boundary == number
        pixels = np.concatenate([found.faces.first[mine], found.faces.second[mine]])
        centres = np.stack(np.divmod(pixels, 90), axis=1) + 0.5
        for line in parts:
            away = np.linalg.norm(line[:, None] / PIXEL - centres, axis=2).min(axis=1)
            assert away.max() < 1


def test_no_boundary_no_line() -> None:
    assert boundary_lines(find_boundaries(np.ones((4, 5), int), PIXEL)) == {}


@pytest.mark.parametrize("verdicts", [VERDICTS, ["resolved"] * 4, ["unresolved"] * 4])
def test_the_figure_shows_what_the_fit_says(
    boundaries: Boundaries,
    fit_of: Callable[[list[str]], DiffusionFit],
    tmp_path: Path,
    verdicts: list[str],
) -> None:
    fraction = np.linspace(0.1, 0.9, 40)[None, :].repeat(30, axis=0)
    truth = np.array([2.5e-8, 2e-8, 2e-8, 1e-8])
    figure = fit_figure(fraction, boundaries, fit_of(verdicts), truth, "source at left", "A note")
    path = tmp_path / "figure.png"
    figure.savefig(path, dpi=100)
    picture = imread(path)[..., :3]
    height, width = picture.shape[:2]
    for rows in (slice(0, height // 2), slice(height // 2, height)):
        for columns in (slice(0, width // 2), slice(width // 2, width)):
            assert picture[rows, columns].std() > 0.05
    assert any(text.get_text() == "A note" for text in figure.texts)
    fraction_axes, _, k_axes, truth_axes = figure.axes[:4]
    assert "source at left" in fraction_axes.get_title(loc="left")
    assert fraction_axes.texts[0].get_text() == "2 µm"  # a fifth of 20 um is 4, rounded down
    # boundaries that the data leave open get no colour of the scale
    shaded = sum(
        len(c.get_segments())
        for c in k_axes.collections
        if isinstance(c, LineCollection) and c.get_array() is not None
    )
    assert shaded == 4 - verdicts.count("unresolved")
    # a bound is an arrow, not a point
    bounds = verdicts.count("upper_bound") + verdicts.count("lower_bound")
    assert len(truth_axes.texts) == bounds
    labels = [text.get_text() for text in truth_axes.get_legend().get_texts()]
    assert sum(int(label.split("(")[1].rstrip(")")) for label in labels) == 4
