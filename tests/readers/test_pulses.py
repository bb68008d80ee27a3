"""Pulses per pixel, worked out from what headers say."""

from __future__ import annotations

from typing import Any

import pytest

from napari_liso.readers.pulses import pulses_from_facts


@pytest.mark.parametrize(
    ("facts", "shape", "number"),
    [
        ({"pulse_rate_Hz": 8000.0, "time_per_frame_s": 8.192}, (1, 6, 64, 64), 16),
        ({"pulse_rate_Hz": 8000.0, "time_per_frame_s": 8.1}, (1, 6, 256, 256), 1),
        # a pulse for every hundredth pixel: not the time of a frame
        ({"pulse_rate_Hz": 8000.0, "time_per_frame_s": 0.1}, (1, 6, 256, 256), None),
        (
            {"pulses_per_pixel_and_frame": 4, "pulse_rate_Hz": 1.0, "time_per_frame_s": 1.0},
            (1, 1, 8, 8),
            4,
        ),
        # what the header says of a scan says nothing of images that are sums of scans or pixels
        ({"shots_per_pixel_and_scan": 3}, (2, 9, 8, 8), None),
        ({"pulse_rate_Hz": 8000.0}, (1, 1, 8, 8), None),
        ({"pulse_rate_Hz": "8 kHz", "time_per_frame_s": 8}, (1, 1, 8, 8), None),
        ({"pulses_per_pixel_and_frame": 0}, (1, 1, 8, 8), None),
        ({"pulses_per_pixel_and_frame": float("nan")}, (1, 1, 8, 8), None),
        ({}, (1, 1, 8, 8), None),
    ],
)
def test_pulses_are_proposed_where_they_can_be_worked_out(
    facts: dict[str, Any], shape: tuple[int, ...], number: int | None
) -> None:
    found = pulses_from_facts(facts, shape)
    assert (None if found is None else found[0]) == number


def test_the_reckoning_is_told() -> None:
    facts = {"pulse_rate_Hz": 8000.0, "time_per_frame_s": 8.192}
    found = pulses_from_facts(facts, (1, 1, 64, 64))
    assert found is not None
    assert found[1] == "8,000 pulses a second × 8.192 s a frame / 4,096 pixels = 16"
