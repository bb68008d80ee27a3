"""Measurements behind layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_liso.plugin.acquisitions import needs_windows

from .conftest import acquisition_of

AXIS = (np.array([6.0, 7.0]), np.array([3, 5]))


@pytest.mark.parametrize(
    ("shape", "has_spectrum", "chosen", "needs"),
    [
        ((4, 5), True, False, True),
        ((4, 5), False, False, False),
        # images chosen at the instrument, with a spectrum to look at
        ((4, 5), True, True, False),
        ((1, 1), False, False, True),
        ((1, 1), True, True, True),
    ],
)
def test_what_the_mass_windows_are_for(
    shape: tuple[int, int], has_spectrum: bool, chosen: bool, needs: bool
) -> None:
    acquisition = acquisition_of(shape)
    acquisition = replace(
        acquisition,
        metadata={**acquisition.metadata, "images_of_chosen_peaks": chosen},
        spectrum_source=(lambda: AXIS) if has_spectrum else None,
    )
    assert needs_windows(acquisition) == needs
