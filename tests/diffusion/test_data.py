"""What may not be fitted is refused with a reason, and which pixels are data."""

from __future__ import annotations

from typing import Any

import mosaics
import numpy as np
import pytest
from mosaics import PIXEL

import napari_liso as liso
from napari_liso.diffusion.data import FitInput, check_input

EXPERIMENT = liso.Experiment([liso.Stage(100.0)])


@pytest.fixture
def given() -> dict[str, Any]:
    """Arguments that are fine."""
    return {
        "n6": np.full((12, 30), 5),
        "n7": np.full((12, 30), 20),
        "grains": np.repeat([[1, 2, 3]], 12, axis=0).repeat(10, axis=1),
        "pixel_size": PIXEL,
        "experiment": EXPERIMENT,
    }


def check(given: dict[str, Any], **changes: Any) -> FitInput:
    a = {
        "boundaries": None,
        "section": "columnar",
        "psf_fwhm": 0.0,
        "exclude": None,
        **given,
        **changes,
    }
    return check_input(
        a["n6"],
        a["n7"],
        a["grains"],
        a["pixel_size"],
        a["experiment"],
        a["boundaries"],
        a["section"],
        a["psf_fwhm"],
        a["exclude"],
    )


BAD: dict[str, tuple[dict[str, Any], str]] = {
    "floats": ({"n6": np.full((12, 30), 5.5)}, "n6.*float64.*not counts"),
    "whole floats": ({"n7": np.full((12, 30), 20.0)}, "n7.*not counts"),
    "bool": ({"n7": np.ones((12, 30), dtype=bool)}, "not counts"),
    "negative": ({"n6": np.full((12, 30), -1)}, "n6.*negative"),
    "3-D": ({"n6": np.full((2, 12, 30), 5)}, "sum the frames"),
    "shapes differ": ({"n7": np.full((12, 31), 20)}, r"\(12, 30\).*\(12, 31\)"),
    "grains differ": ({"grains": np.repeat([1, 2], 6)[:, None].repeat(9, 1)}, "grains are"),
    "no counts": (
        {"n6": np.zeros((12, 30), int), "n7": np.zeros((12, 30), int)},
        "all counts are zero",
    ),
    "one grain": ({"grains": np.ones((12, 30), int)}, "two grains"),
    "no grain": ({"grains": np.zeros((12, 30), int)}, "no grain"),
    "float grains": ({"grains": np.ones((12, 30))}, "integer labels"),
    "no pixel size": ({"pixel_size": None}, "pixel size"),
    "negative pixel": ({"pixel_size": -1e-6}, "pixel_size"),
    "section": ({"section": "pellet"}, "'bulk' or 'columnar'"),
    "unknown boundary": ({"boundaries": [1, 7]}, "no boundary 7"),
    "no boundary chosen": ({"boundaries": []}, "no boundary was chosen"),
    "negative blur": ({"psf_fwhm": -1e-6}, "psf_fwhm"),
    "infinite exclude": ({"exclude": np.inf}, "exclude"),
    "exclude too large": ({"exclude": 50 * PIXEL}, "exclude is too large"),
    "mask of another shape": (
        {"experiment": liso.Experiment([liso.Stage(1.0)], source=np.ones((5, 5), bool))},
        "source mask",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_refused(case: str, given: dict[str, Any]) -> None:
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        check(given, **changes)


@pytest.mark.parametrize("case", BAD)
def test_so_does_the_fit(case: str, given: dict[str, Any]) -> None:
    changes, message = BAD[case]
    with pytest.raises(ValueError, match=message):
        liso.fit_diffusion(**{**given, **changes})


def test_pixel_size_must_agree_with_that_of_the_boundaries(given: dict[str, Any]) -> None:
    found = liso.find_boundaries(given["grains"], PIXEL)
    check(given, grains=found, pixel_size=None)
    check(given, grains=found, pixel_size=(PIXEL, PIXEL))
    with pytest.raises(ValueError, match="pixel_size"):
        check(given, grains=found, pixel_size=2 * PIXEL)


def columns(used: np.ndarray) -> list[int]:
    assert (used == used[:1]).all()
    return np.flatnonzero(used[0]).tolist()


@pytest.mark.parametrize(
    ("blur", "exclude", "left_out"),
    [(0.0, None, 1), (0.0, 0.0, 0), (0.0, 2 * PIXEL, 2), (2 * PIXEL, None, 3)],
)
def test_pixels_near_boundaries_are_no_data(
    blur: float, exclude: float | None, left_out: int, given: dict[str, Any]
) -> None:
    """A pixel whose centre is nearer than `exclude`: by default one each side, plus the blur."""
    found = check(given, psf_fwhm=blur, exclude=exclude)
    expected = set(range(30))
    for edge in (10, 20):
        expected -= set(range(edge - left_out, edge + left_out))
    if blur:
        expected -= {0, 1}  # the blur reaches over the source edge
    assert columns(found.used) == sorted(expected)


def test_pixels_without_counts_or_grain_are_no_data(given: dict[str, Any]) -> None:
    n6, n7, grains = given["n6"].copy(), given["n7"].copy(), given["grains"].copy()
    n6[3, 4] = n7[3, 4] = 0
    n6[5, 5] = 0
    grains[8:, 2:6] = 0
    used = check(given, n6=n6, n7=n7, grains=grains).used
    assert not used[3, 4]
    assert used[5, 5]
    assert not used[8:, 2:6].any()


def test_zero_lines_between_grains_are_no_data_but_no_gap(given: dict[str, Any]) -> None:
    grains = given["grains"].copy()
    grains[:, 10] = 0
    found = check(given, grains=grains)
    assert found.ids.tolist() == [1, 2]
    assert not found.used[:, 10].any()


def test_groups(given: dict[str, Any]) -> None:
    """Chosen ones have a k each, the rest share the last parameter; excluded ones share too."""
    alone = check(given)
    assert (alone.group.tolist(), alone.shares) == ([0, 1], False)
    one = check(given, boundaries=[2])
    assert (one.group.tolist(), one.shares) == ([1, 0], True)
    found = liso.find_boundaries(given["grains"], PIXEL).with_state(1, "exclude")
    out = check(given, grains=found)
    assert (out.group.tolist(), out.shares) == ([1, 0], True)
    # Nothing nearest to boundary 1 is data.
    assert columns(out.used) == [*range(15, 19), *range(21, 30)]


def test_removed_boundaries_have_no_parameter(given: dict[str, Any]) -> None:
    found = liso.find_boundaries(given["grains"], PIXEL).with_state(1, "removed")
    with pytest.raises(ValueError, match="no boundary 1"):
        check(given, grains=found, boundaries=[1])


def test_unreached_and_blind_grains_are_noted(given: dict[str, Any]) -> None:
    assert check(given).notes == []
    grains = given["grains"].copy()
    grains[:, 17:19] = 0
    assert any("no path to the source" in note for note in check(given, grains=grains).notes)
    grains = given["grains"].copy()
    grains[4:6, 14:16] = 9
    assert any("(9)" in note for note in check(given, grains=grains).notes)


def test_counts_of_any_integer_type(given: dict[str, Any]) -> None:
    """No overflow where the sum of two uint8 images exceeds 255."""
    small = np.full((12, 30), 200, dtype=np.uint8)
    found = check(given, n6=small, n7=small)
    assert (found.n6 + found.n7).max() == 400
    assert found.used.any()


def test_mosaic_helper_is_what_it_says() -> None:
    mosaic = mosaics.voronoi((40, 44), 6, 1, 0.3)
    assert mosaic.permeability.shape == (len(mosaic.boundaries),)
