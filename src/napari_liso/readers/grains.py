"""Label images of grains from files."""

from __future__ import annotations

from os import PathLike, fspath
from pathlib import Path
from tokenize import TokenError

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers._files import check_image_size

__all__ = ["read_grains"]

_LARGEST = int(np.iinfo(np.int32).max)


def read_grains(
    path: str | PathLike[str],
) -> tuple[NDArray[np.int32], tuple[float, float] | None]:
    """Read a label image, such as one saved by napari, ImageJ or a segmentation program.

    Parameters
    ----------
    path
        ``.npy``, or any image that `napari_liso.read` reads as a single plane, such as TIFF.

    Returns
    -------
    grains
        int32 (y, x), 0 = no grain.
    pixel_size
        (y, x) in m, None where the file does not say.

    Raises
    ------
    FormatError
        If it is no plane of whole numbers from 0 to 2**31 - 1.
    FileNotFoundError
        If there is no such file.
    """
    from napari_liso.readers import read

    file = Path(fspath(path))
    size: tuple[float, float] | None = None
    with open(file, "rb") as stream:
        is_npy = stream.read(6) == b"\x93NUMPY"
    if is_npy:
        try:
            labels = np.lib.format.open_memmap(file, mode="r")
        except (ValueError, OSError, EOFError, SyntaxError, TokenError) as error:
            raise FormatError(file, f"cannot be read as a numpy array: {error}") from error
    else:
        acquisition = read(file)
        labels, size = acquisition.counts, acquisition.pixel_size
    if labels.ndim < 2 or labels.size != np.prod(labels.shape[-2:]):
        raise FormatError(file, f"holds {labels.shape}, not one plane (y, x) of labels")
    check_image_size(file, *labels.shape[-2:])
    plane = np.asarray(labels).reshape(labels.shape[-2:])
    if plane.dtype.kind not in "iub":
        raise FormatError(file, f"holds {plane.dtype} values, not whole numbers as labels are")
    if plane.size and (plane.min() < 0 or plane.max() > _LARGEST):
        raise FormatError(
            file, f"holds labels from {plane.min()} to {plane.max()}; 0 to {_LARGEST} can be used"
        )
    return plane.astype(np.int32), size
