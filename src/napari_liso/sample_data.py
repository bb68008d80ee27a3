"""The real measurement that comes with the package."""

from __future__ import annotations

import json
from importlib.resources import files

import numpy as np

from napari_liso.acquisition import Acquisition

__all__ = ["copper_grid"]


def copper_grid() -> Acquisition:
    """Count images of 63Cu and 65Cu on a copper grid, measured by a PHI nanoTOF II.

    No public 6Li/7Li map exists; this is an instrument's own data on which the
    isotope fraction can be tried: 65Cu/(63Cu + 65Cu) is 0.3085 in nature.

    Returns
    -------
    Acquisition
        Channels ``"63Cu"`` and ``"65Cu"``, six frames of 256 x 256 pixels.
        ``metadata["origin_of_data"]`` and ``metadata["licence"]`` say where it
        is from; ``metadata["windows"]`` which masses were counted.
    """
    source = files("napari_liso") / "data" / "copper_grid.npz"
    with source.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
        y, x = archive["pixel_size"]
        return Acquisition(
            counts=archive["counts"],
            channels=tuple(str(name) for name in archive["channels"]),
            masses=archive["masses"],
            pixel_size=(float(y), float(x)),
            metadata=json.loads(str(archive["metadata"])),
        )
