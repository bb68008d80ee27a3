"""What is in a TIFF, page by page: for bug reports."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tifffile

from napari_liso.readers.arrays.tiff_chain import check_chain

__all__ = ["outline"]

_MAX_PAGES = 200
_MAX_LINE = 200
#: Tags whose values are lists of places in the file, told with the page.
_PLACES = {"StripOffsets", "StripByteCounts", "TileOffsets", "TileByteCounts"}


def outline(path: Path) -> Iterator[str]:
    """Describe a TIFF line by line, as far as a damaged one can be followed.

    Parameters
    ----------
    path
        The file.

    Yields
    ------
    str
        A line for the file, each image in it, each page, and the first page's tags.
    """
    # tifffile raises nearly anything on files that are not what they say.
    try:
        check_chain(path)
        with tifffile.TiffFile(path) as file:
            kind = "BigTIFF" if file.is_bigtiff else "TIFF"
            order = "little" if file.byteorder == "<" else "big"
            names = ", ".join(sorted(file.flags)) or "none"
            yield f"{kind}, {order}-endian, {len(file.pages)} pages, kinds: {names}"
            yield from _images(file)
            for number in range(min(len(file.pages), _MAX_PAGES)):
                yield from _page(file, number)
            if len(file.pages) > _MAX_PAGES:
                yield f"... and {len(file.pages) - _MAX_PAGES} more pages"
    except Exception as error:  # noqa: BLE001
        yield f"damaged: {_short(str(error) or type(error).__name__)}"


def _images(file: tifffile.TiffFile) -> Iterator[str]:
    try:
        for number, series in enumerate(file.series[:20]):
            place = "" if series.dataoffset is None else f", in one piece from {series.dataoffset}"
            yield (
                f"image {number + 1}: {series.dtype} {tuple(series.shape)} {series.axes} "
                f"({series.kind}){place}"
            )
    except Exception as error:  # noqa: BLE001
        yield f"images damaged: {_short(str(error))}"


def _page(file: tifffile.TiffFile, number: int) -> Iterator[str]:
    try:
        page = file.pages[number].aspage()
        compression = getattr(page.compression, "name", page.compression)
        offsets = page.dataoffsets
        yield (
            f"page {number + 1} at byte {page.offset}: {page.dtype} {tuple(page.shape)}, "
            f"{compression}, {len(offsets)} strips or tiles from {min(offsets, default=None)}, "
            f"{sum(page.databytecounts):,} bytes"
        )
        for tag in page.tags if number == 0 else ():
            if tag.name not in _PLACES:
                yield f"  {tag.name} = {_short(tag.value)}"
    except Exception as error:  # noqa: BLE001
        yield f"page {number + 1} damaged: {_short(str(error))}"


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= _MAX_LINE else f"{text[:_MAX_LINE]} ..."
