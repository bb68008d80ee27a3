"""Binary images of chosen peaks: BIF6 of ION-TOF, BIF of PHI (WinCadence).

All are a short header and one block a peak: a number, three masses, and the
counts of every pixel. Which dialect a file is in is decided by arithmetic: its
size must be exactly what the dialect's header declares. The layouts are from
public readers; the makers publish none.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.isotopes import ion_mass
from napari_liso.readers import _files
from napari_liso.readers._lazy import LazyCounts, as_counts

__all__ = ["NAME", "outline", "read", "recognise"]

NAME = "BIF"

_MAGIC = b"\0\0BIF6"
_MAX_MASS = 1e5
#: Without a magic number, images of fewer pixels a side are more likely something else.
_MIN_SIDE = 2
#: Ions that a peak is named after, where one alone is inside and the interval is no wider (u).
_KNOWN = {
    "1H": 0.5, "6Li": 0.9, "7Li": 0.9, "9Be": 0.5, "10B": 0.1, "11B": 0.1, "12C": 0.1,
    "19F": 0.1, "23Na": 0.1,
}  # fmt: skip
#: Their masses as positive ions, u; a negative one is 0.0011 u heavier.
_MASSES = {name: 9.011634 if name == "9Be" else ion_mass(name) for name in _KNOWN}
_ORDERS = ("lower", "centre", "upper")
_NOT_VERIFIED = (
    "The file does not say which way up its images are: {turned}. Check the map against a known "
    "feature."
)


@dataclass(frozen=True)
class _Dialect:
    """One way to lay the images out, all little-endian.

    Parameters
    ----------
    name
        For people.
    magic
        First bytes, empty where there are none.
    header
        Bytes before the first block.
    number
        Bytes of a block's number.
    pixel
        Bytes of a count.
    flips
        Whether rows and columns are turned round, to have row 0 at the top.
    origin
        The same in words.
    """

    name: str
    magic: bytes
    header: int
    number: int
    pixel: int
    flips: tuple[bool, bool]
    origin: str

    def sizes(self, start: bytes) -> tuple[int, int, int]:
        """Return (images, height, width) from the first bytes of a file."""
        count, width, height = struct.unpack_from("<3H", start, len(self.magic))
        return count, height, width

    def file_size(self, sizes: tuple[int, int, int]) -> int:
        """Return the bytes of a file with such images."""
        count, height, width = sizes
        return self.header + count * self.block(height * width)

    def block(self, pixels: int) -> int:
        """Return the bytes of one image with what stands before it."""
        return self.number + 12 + self.pixel * pixels


_ROWS = "rows turned round, since ION-TOF counts y upward"
_BOTH = "rows and columns turned round, as other readers of PHI files do"
_DIALECTS = (
    _Dialect("BIF6 (ION-TOF)", _MAGIC, 12, 4, 4, (True, False), _ROWS),
    _Dialect("BIF6 (ION-TOF) with a header of 16 bytes", _MAGIC, 16, 4, 4, (True, False), _ROWS),
    _Dialect("BIF (PHI)", b"", 6, 2, 2, (True, True), _BOTH),
)


@dataclass(frozen=True, eq=False)
class _Layout:
    """A file, its dialect and what stands before each image."""

    path: Path
    dialect: _Dialect
    sizes: tuple[int, int, int]
    numbers: NDArray[np.int64]
    intervals: NDArray[np.float64]  # (image, 3) as stored

    def image(self, channel: int, _: int = 0) -> NDArray[Any]:
        """Return one (y, x) image, row 0 = top."""
        _, height, width = self.sizes
        dialect = self.dialect
        offset = dialect.header + channel * dialect.block(height * width) + dialect.number + 12
        values = np.fromfile(self.path, f"<u{dialect.pixel}", height * width, offset=offset)
        if len(values) != height * width:
            raise FormatError(self.path, "was cut short while it was read", offset)
        rows, columns = (slice(None, None, -1 if turned else 1) for turned in dialect.flips)
        return values.reshape(height, width)[rows, columns]


def recognise(path: Path) -> bool:
    """Whether a file is one: by its magic number, or by arithmetic and masses that make sense.

    A file without magic number must have exactly the size that it declares, and
    possible masses before every image.
    """
    start = _files.head(path, 12)
    if start.startswith(_MAGIC):
        return True
    try:
        return any(min(layout.sizes[1:]) >= _MIN_SIDE for layout in _layouts(path, start))
    except FormatError:
        return False


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read the images of all peaks.

    The layouts are those of public readers (12 + n (16 + 4 N) bytes for n images
    of N pixels, or 6 + n (14 + 2 N) for PHI).

    Parameters
    ----------
    path
        The file.
    windows
        Must be None: images have no mass axis.

    Returns
    -------
    Acquisition
        One frame; a channel for each image, named after its mass, ``total`` for
        the total image. The file has neither pixel size nor polarity.

    Raises
    ------
    FormatError
        If the size fits no dialect or several, or the masses are impossible.
    ValueError
        If windows are given.
    """
    if windows is not None:
        raise ValueError("a BIF file holds images of chosen peaks; it has no mass axis")
    layout = _choose(path)
    lower, centre, upper = np.sort(layout.intervals, axis=1).T
    names = _names(layout.numbers, lower, centre, upper)
    dialect = layout.dialect
    metadata = _files.base_metadata(path, NAME) | {
        "dialect": dialect.name,
        "frames": 1,
        "polarity": None,
        "origin": f"{dialect.origin}; the file does not say",
        "pixel_size_source": None,
        "order_of_masses_in_file": _order(layout.intervals),
        "intervals_u": {
            name: None if np.isnan(c) else {"lower": low, "centre": c, "upper": up}
            for name, low, c, up in zip(
                names, lower.tolist(), centre.tolist(), upper.tolist(), strict=True
            )
        },
        "image_ids": dict(zip(names, layout.numbers.tolist(), strict=True)),
    }
    metadata["warnings"].append(_NOT_VERIFIED.format(turned=dialect.origin))
    count, height, width = layout.sizes
    counts = LazyCounts((count, 1, height, width), f"u{dialect.pixel}", layout.image)
    return Acquisition(as_counts(counts), names, centre, None, None, metadata)


def outline(path: Path) -> Iterator[str]:
    """Yield dialects, sizes and the masses of each image, as far as they can be followed.

    Raises
    ------
    FormatError
        Where they cannot be followed further.
    """
    start, size = _files.head(path, 12), path.stat().st_size
    for dialect in _possible(start):
        count, height, width = dialect.sizes(start)
        yield (
            f"as {dialect.name}: {count} images of {height} x {width} pixels (rows x columns), "
            f"{dialect.file_size((count, height, width))} bytes; the file has {size}"
        )
    layout = _choose(path)
    yield f"dialect: {layout.dialect.name}"
    for number, masses in zip(layout.numbers, layout.intervals, strict=True):
        yield f"image {number}: " + ", ".join(f"{mass:.5g}" for mass in masses)


def _possible(start: bytes) -> list[_Dialect]:
    """Return the dialects that begin like this, those with a magic number alone if it is there."""
    if len(start) < 12:
        return []
    has_magic = start.startswith(_MAGIC)
    return [dialect for dialect in _DIALECTS if bool(dialect.magic) == has_magic]


def _layouts(path: Path, start: bytes) -> list[_Layout]:
    """Return every dialect whose arithmetic is exact and whose masses are possible.

    Raises
    ------
    FormatError
        If the arithmetic of one is exact but its masses are impossible, or it
        declares images that are empty or too large.
    """
    size = path.stat().st_size
    found, reasons = [], []
    for dialect in _possible(start):
        sizes = dialect.sizes(start)
        if dialect.file_size(sizes) != size or not sizes[0]:
            continue
        try:
            _files.check_image_size(path, *sizes[1:])
            found.append(_layout(path, dialect, sizes))
        except FormatError as error:
            reasons.append(error)
    if not found and reasons:
        raise reasons[0]
    return found


def _layout(path: Path, dialect: _Dialect, sizes: tuple[int, int, int]) -> _Layout:
    """Read what stands before each image, and refuse masses that cannot be."""
    count, height, width = sizes
    block = dialect.block(height * width)
    numbers, intervals = np.empty(count, np.int64), np.empty((count, 3))
    with open(path, "rb") as file:
        for index in range(count):
            offset = dialect.header + index * block
            file.seek(offset)
            raw = file.read(dialect.number + 12)
            if len(raw) < dialect.number + 12:
                raise FormatError(path, "was cut short while it was read", offset)
            numbers[index] = int.from_bytes(raw[: dialect.number], "little")
            intervals[index] = struct.unpack_from("<3f", raw, dialect.number)
            if not _is_possible(int(numbers[index]), intervals[index]):
                text = ", ".join(f"{value:g}" for value in intervals[index])
                raise FormatError(
                    path, f"the masses of image {index + 1} are impossible: {text} u", offset
                )
    # The number 0 without masses is the total image, of which there is one.
    if np.isnan(intervals[:, 0]).sum() > 1:
        raise FormatError(path, "has several total images; one was expected")
    return _Layout(path, dialect, sizes, numbers, intervals)


def _is_possible(number: int, masses: NDArray[np.float64]) -> bool:
    """Whether these are the edges and centre of a mass interval, or none at all for the total."""
    if number == 0 and np.isnan(masses).all():
        return True
    lower, _, upper = np.sort(masses)  # NaN is sorted to the end
    # Damaged bytes tend to give tiny numbers; no ion is lighter than an electron.
    return bool(0 <= lower < upper < _MAX_MASS and masses.max() > 1e-3)


def _choose(path: Path) -> _Layout:
    start = _files.head(path, 12)
    layouts = _layouts(path, start)
    if len(layouts) == 1:
        return layouts[0]
    size = path.stat().st_size
    if layouts:
        names = " and ".join(layout.dialect.name for layout in layouts)
        raise FormatError(path, f"fits {names} equally well; export another format, such as TIFF")
    declared = "; ".join(
        "{} images of {} x {} would be {} bytes as {}".format(
            *(sizes := dialect.sizes(start)), dialect.file_size(sizes), dialect.name
        )
        for dialect in _possible(start)
    )
    raise FormatError(
        path, f"fits no known dialect of BIF with its {size} bytes ({declared}): truncated?", 6
    )


def _names(
    numbers: NDArray[np.int64],
    lower: NDArray[np.float64],
    centre: NDArray[np.float64],
    upper: NDArray[np.float64],
) -> tuple[str, ...]:
    """Return a unique name for each image."""
    names = []
    for low, mass, high in zip(lower, centre, upper, strict=True):
        inside = [ion for ion, known in _MASSES.items() if low <= known <= high]
        if np.isnan(mass):
            names.append("total")
        elif len(inside) == 1 and high - low <= _KNOWN[inside[0]]:
            names.append(inside[0])
        else:
            names.append(f"m/z {mass:.2f}")
    # Where a name is there twice, more digits tell the peaks apart, or else their numbers.
    again = {name for name, often in Counter(names).items() if often > 1}
    names = [
        f"m/z {mass:.4f}" if name in again else name
        for name, mass in zip(names, centre, strict=True)
    ]
    again = {name for name, often in Counter(names).items() if often > 1}
    return tuple(
        f"{name} (image {place + 1}, id {number})" if name in again else name
        for place, (name, number) in enumerate(zip(names, numbers, strict=True))
    )


def _order(intervals: NDArray[np.float64]) -> str | None:
    """Return in which order the file has the three masses."""
    known = intervals[~np.isnan(intervals).any(axis=1)]
    # Equal ones tell no order.
    known = known[(np.diff(np.sort(known, axis=1), axis=1) > 0).all(axis=1)]
    if not len(known):
        return None
    ranks = np.argsort(np.argsort(known, axis=1), axis=1)
    orders = {", ".join(_ORDERS[rank] for rank in row) for row in ranks}
    return orders.pop() if len(orders) == 1 else "differs between images"
