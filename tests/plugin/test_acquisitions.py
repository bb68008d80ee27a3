"""Measurements behind layers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from napari_liso.plugin.acquisitions import file_name, needs_windows, paths_of, same_file

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


def test_several_files_of_one_measurement_are_all_read_again() -> None:
    alone = acquisition_of((1, 1))
    alone = replace(alone, metadata={**alone.metadata, "path": "/data/a.txt"})
    files = [{"path": "/data/a.txt", "sha256": ""}, {"path": "/data/b.txt", "sha256": ""}]
    both = replace(alone, metadata={**alone.metadata, "files": files})
    assert paths_of(alone) == "/data/a.txt"
    assert paths_of(both) == ["/data/a.txt", "/data/b.txt"]
    assert same_file(both, replace(both))
    assert not same_file(both, alone)
    assert file_name(both) == "a.txt and 1 more"
