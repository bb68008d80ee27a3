"""Fields cut from one large map go back to where they came from."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from napari_liso.acquisition import Acquisition
from napari_liso.fields import STAGE_POSITION, stitch

RNG = np.random.default_rng(8)
PIXEL = (2e-6, 1e-6)
WHOLE = RNG.poisson(3, (2, 3, 30, 40)).astype(np.uint8)
# top, left, height, width: the first two overlap by 5 x 20 pixels, the last leaves a gap
CUTS = [(0, 0, 15, 20), (10, 0, 15, 20), (2, 25, 20, 15)]


def cut(top: int, left: int, height: int, width: int, **metadata: Any) -> Acquisition:
    part = WHOLE[:, :, top : top + height, left : left + width]
    return Acquisition(
        part,
        ("6Li", "7Li"),
        np.array([6.0, 7.0]),
        PIXEL,
        np.full((1, 1, 1), 10),
        {"path": f"{top}-{left}", "polarity": "positive", "warnings": ["same"], **metadata},
    )


FIELDS = [cut(*where) for where in CUTS]
CORNERS = [(top * PIXEL[0], left * PIXEL[1]) for top, left, _, _ in CUTS]


def coverage() -> np.ndarray:
    times = np.zeros((25, 40), int)
    for top, left, height, width in CUTS:
        times[top : top + height, left : left + width] += 1
    return times


def test_every_count_is_where_it_was() -> None:
    whole = stitch(FIELDS, CORNERS)
    assert whole.counts.shape == (2, 3, 25, 40)
    expected = WHOLE[:, :, :25].astype(int) * coverage()
    np.testing.assert_array_equal(np.asarray(whole.counts), expected)
    np.testing.assert_array_equal(whole["7Li"], expected[1].sum(axis=0))
    np.testing.assert_array_equal(whole.pulses, 10 * coverage()[np.newaxis])
    assert whole.pixel_size == PIXEL
    assert whole.metadata["overlap_pixels"] == 100
    assert whole.metadata["uncovered_pixels"] == np.count_nonzero(coverage() == 0)
    assert whole.metadata["polarity"] == "positive"
    assert whole.metadata["warnings"] == ["same"]
    assert whole.metadata["fields"][1]["top_px"] == 10
    assert whole.metadata["placed_to_px"] == pytest.approx(0, abs=1e-9)


def test_only_differences_count_and_parts_of_pixels_are_rounded() -> None:
    moved = [(y - 1.0 + 0.3 * PIXEL[0] * (n == 1), x + 5.0) for n, (y, x) in enumerate(CORNERS)]
    whole = stitch(FIELDS, moved)
    np.testing.assert_array_equal(
        np.asarray(whole.counts), np.asarray(stitch(FIELDS, CORNERS).counts)
    )
    assert whole.metadata["placed_to_px"] == pytest.approx(0.3, abs=1e-6)


@pytest.mark.parametrize("reverse", [(False, False), (True, False), (True, True)])
def test_by_the_stage(reverse: tuple[bool, bool]) -> None:
    """The stage's y grows upward, unless it is reversed; positions are of centres."""
    fields = []
    for top, left, height, width in CUTS:
        down, right = (top + height / 2) * PIXEL[0], (left + width / 2) * PIXEL[1]
        stage = [down if reverse[0] else -down, -right if reverse[1] else right]
        fields.append(cut(top, left, height, width, **{STAGE_POSITION: stage}))
    whole = stitch(fields, reversed_axes=reverse)
    np.testing.assert_array_equal(
        np.asarray(whole.counts), np.asarray(stitch(FIELDS, CORNERS).counts)
    )
    assert whole.metadata["fields_placed_by"] == "stage positions"


def test_other_numbers_of_frames_are_summed() -> None:
    whole = stitch([FIELDS[0], FIELDS[2].sum(slice(0, 2))], [CORNERS[0], CORNERS[2]])
    assert whole.counts.shape[1] == 1
    np.testing.assert_array_equal(whole["6Li"][:15, :20], WHOLE[0, :, :15, :20].sum(axis=0))
    assert whole.pulses is not None
    assert whole.pulses[0, 0, 0] == 30
    assert whole.pulses[0, 5, 30] == 20


def test_overlaps_never_overflow() -> None:
    full = replace(FIELDS[0], counts=np.full((2, 1, 4, 4), 255, np.uint8), pulses=None)
    whole = stitch([full, full], [(0.0, 0.0), (0.0, 0.0)])
    assert whole["6Li"].max() == 510
    assert whole.pulses is None


def test_other_windows_are_told() -> None:
    """Moved with the calibration of the field they are the same, of another width they are not."""
    windows = [{"6Li": [6.00, 6.03]}, {"6Li": [6.01, 6.04]}, {"6Li": [6.00, 6.06]}]
    fields = [
        replace(f, metadata={**f.metadata, "windows": w})
        for f, w in zip(FIELDS, windows, strict=True)
    ]
    (said,) = (w for w in stitch(fields, CORNERS).metadata["warnings"] if "window" in w)
    assert "6Li is 2.00 times as wide in 2-25" in said


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"channels": ("a", "b")}, "same windows"),
        ({"pixel_size": None}, "no pixel size"),
        ({"pixel_size": (2e-6, 1.1e-6)}, "different scale"),
        ({"counts": np.ones((2, 3, 4, 4))}, "no counts"),
    ],
)
def test_what_does_not_fit_together(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        stitch([FIELDS[0], replace(FIELDS[1], **change)], CORNERS[:2])


def test_positions_that_cannot_be() -> None:
    with pytest.raises(ValueError, match="two fields or more"):
        stitch(FIELDS[:1])
    with pytest.raises(ValueError, match="where the stage was"):
        stitch(FIELDS)
    with pytest.raises(ValueError, match="3 corners"):
        stitch(FIELDS[:2], CORNERS)
    with pytest.raises(ValueError, match="positions right"):
        stitch(FIELDS[:2], [(0.0, 0.0), (1.0, 1.0)])
    with pytest.raises(ValueError, match="finite"):
        stitch(FIELDS[:2], [(0.0, 0.0), (np.nan, 1.0)])
