"""Images in ION-TOF's ITA files: one compressed leaf of 32-bit counts a peak and scan.

Older files keep them by the number of the peak, newer ones by its serial number;
both keep a sum over all scans beside them. Layout as published by O. Scholder with
pySPM (Apache-2.0).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers import _files
from napari_liso.readers.iontof.block_tree import Block, BlockTree
from napari_liso.readers.iontof.surfacelab_facts import (
    REDUCED,
    MassInterval,
    mass_intervals,
    raster_size,
    stated_scans,
)

__all__ = ["ImageStack", "find_images", "shifts_warning", "sum_warnings"]

_SCANS, _SUMS, _BY_SERIAL = (
    f"{REDUCED}/ImageStackScans",
    f"{REDUCED}/ImageStackScansAdded",
    f"{REDUCED}/Images",
)
_IMAGE = "ImageArray.Long"
_MAX_IMAGES = 2**20


@dataclass(frozen=True, eq=False)
class _Channel:
    """Leaves of one peak: its scans by number, and its sum where there is one."""

    interval: MassInterval
    scans: dict[int, int]
    total: int | None
    pulses_of_total: int | None = None


@dataclass(frozen=True, eq=False)
class ImageStack:
    """Where the images of a file are.

    Parameters
    ----------
    path, size
        The file, and its bytes when it was opened.
    shape
        (y, x).
    intervals
        The peak of each channel.
    leaves
        Byte offsets, shape (channel, frame).
    totals
        Byte offsets of the stored sums, -1 where there is none; they are no channels.
    summed
        Whether the frame is a sum of all scans.
    pulses
        Primary pulses behind each pixel of stored sums, or None.
    warnings
        What is odd about them.
    """

    path: str
    size: int
    shape: tuple[int, int]
    intervals: tuple[MassInterval, ...]
    leaves: NDArray[np.int64]
    totals: NDArray[np.int64]
    summed: bool
    pulses: int | None
    warnings: tuple[str, ...]

    def image(self, channel: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image, row 0 at the top.

        Raises
        ------
        FormatError
            If it is damaged, or the file changed since it was opened.
        """
        with BlockTree(self.path) as tree:
            if tree.size != self.size:
                raise tree.error("changed since it was opened")
            return _decode(tree, int(self.leaves[channel, frame]), self.shape)


def _decode(tree: BlockTree, offset: int, shape: tuple[int, int]) -> NDArray[Any]:
    height, width = shape
    raw = tree.content(tree.block(offset), 4 * height * width)
    # Row 0 of the file is the bottom.
    return np.frombuffer(raw, "<u4").reshape(shape)[::-1]


def find_images(tree: BlockTree) -> ImageStack | None:
    """Return where the images are, or None where there are none.

    Raises
    ------
    FormatError
        If the tree is damaged, a peak lacks a scan, or two images are one.
    """
    channels = _by_number(tree) or _by_serial(tree)
    if not channels:
        return None
    shape = _shape(tree)
    _files.check_image_size(tree.path, *shape)
    warnings: list[str] = []
    with_scans = [channel for channel in channels if channel.scans]
    chosen = with_scans or [channel for channel in channels if channel.total is not None]
    if len(chosen) < len(channels):
        left = ", ".join(c.interval.name for c in channels if c not in chosen)
        warnings.append(f"Left out, since the file has no single scans of them: {left}.")
    if with_scans:
        leaves = _table(tree, chosen, warnings)
    else:
        leaves = np.array([[channel.total] for channel in chosen], np.int64)
    totals = np.array([-1 if c.total is None else c.total for c in chosen], np.int64)
    _check_leaves(tree, np.concatenate([leaves.ravel(), totals[totals >= 0]]), not with_scans)
    pulses = {channel.pulses_of_total for channel in chosen}
    return ImageStack(
        tree.path,
        tree.size,
        shape,
        tuple(channel.interval for channel in chosen),
        leaves,
        totals,
        not with_scans,
        pulses.pop() if len(pulses) == 1 else None,
        tuple(warnings),
    )


def _shape(tree: BlockTree) -> tuple[int, int]:
    for folder in (_SCANS, _SUMS):
        y, x = (tree.integer(f"{folder}/Image.{axis}Size") for axis in "YX")
        if y is not None and x is not None:
            return y, x
    stated = raster_size(tree)
    if stated is None:
        raise tree.error("does not state the size of its images")
    return stated


def _table(tree: BlockTree, channels: list[_Channel], warnings: list[str]) -> NDArray[np.int64]:
    """Return the leaves by (channel, scan); every channel must have the same scans."""
    numbers = sorted(channels[0].scans)
    for channel in channels:
        lacking = set(numbers) ^ set(channel.scans)
        if lacking:
            raise tree.error(
                f"is incomplete: scan {min(lacking)} is not there for all peaks "
                f"({channel.interval.name})"
            )
    stated = stated_scans(tree)
    if numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        raise tree.error(f"is incomplete: of scans {numbers[0]} to {numbers[-1]} some are missing")
    if stated is not None and stated != len(numbers):
        warnings.append(
            f"The measurement may be incomplete: it should have {stated} scans, "
            f"{len(numbers)} are in the file."
        )
    return np.array([[c.scans[n] for n in numbers] for c in channels], np.int64)


def _check_leaves(tree: BlockTree, offsets: NDArray[np.int64], sums_alone: bool) -> None:
    """Refuse images that are stored nowhere, or two of them at one place."""
    distinct = np.unique(offsets)
    if len(distinct) != len(offsets) // (2 if sums_alone else 1):
        raise tree.error("lists the same image twice")
    for offset in distinct.tolist():
        tree.block(offset)


def _by_number(tree: BlockTree) -> list[_Channel]:
    """Return the peaks of older files, whose images are numbered."""
    intervals = mass_intervals(tree)
    by_number = {interval.number: interval for interval in intervals}
    by_serial = {interval.serial: interval for interval in intervals if interval.serial}
    scans, sums = tree.find(_SCANS), tree.find(_SUMS)
    folders = {
        number: [
            None if folder is None else _image_folder(tree, folder, number)
            for folder in (scans, sums)
        ]
        for number in sorted({*_numbers(tree, scans), *_numbers(tree, sums)})
    }
    channels = []
    for number, (of_scans, of_sum) in folders.items():
        leaves = {} if of_scans is None else _leaves(tree, of_scans)
        total = None if of_sum is None else _leaves(tree, of_sum).get(0)
        if not leaves and total is None:
            continue
        # Images that were added later say by a serial number which peak they are of.
        serials = [
            tree.text("Image.MassIntervalSN", folder)
            for folder in (of_scans, of_sum)
            if folder is not None
        ]
        linked = [by_serial[serial] for serial in serials if serial in by_serial]
        interval = linked[0] if linked else by_number.get(number)
        if interval is None:
            nan = float("nan")
            interval = MassInterval(number, "", f"image {number}", nan, nan, nan)
        pulses = None if of_sum is None else tree.integer("Image.PulsesPerPixel", of_sum)
        channels.append(_Channel(interval, leaves, total, pulses))
    return channels


def _numbers(tree: BlockTree, folder: Block | None) -> list[int]:
    if folder is None or not folder.is_directory:
        return []
    children = tree.children(folder)
    places = children.places("Image")
    if len(places) > _MAX_IMAGES:
        raise tree.error(f"lists {len(places)} peaks", folder.offset)
    return [children.id(int(place)) for place in places]


def _image_folder(tree: BlockTree, folder: Block, number: int) -> Block | None:
    found = tree.find(f"Image[{number}]", folder)
    return found if found is not None and found.is_directory else None


def _leaves(tree: BlockTree, folder: Block) -> dict[int, int]:
    """Return the images in a folder by their number."""
    children = tree.children(folder)
    places = children.places(_IMAGE).tolist()
    found = {children.id(place): children.offset(place) for place in places}
    if len(found) != len(places):
        raise tree.error("has two images with one number", folder.offset)
    return found


def _by_serial(tree: BlockTree) -> list[_Channel]:
    """Return the peaks of newer files, whose images are kept by serial number."""
    folder = tree.find(_BY_SERIAL)
    if folder is None or not folder.is_directory:
        return []
    there = set(tree.children(folder).names)
    channels = []
    for interval in mass_intervals(tree):
        if interval.serial not in there or "/" in interval.serial:
            continue
        of_scans = tree.find(f"{interval.serial}/ScanData/EDROff", folder)
        total = tree.find(f"{interval.serial}/SumImage/EDROff", folder)
        leaves: dict[int, int] = {}
        if of_scans is not None and of_scans.is_directory:
            children = tree.children(of_scans)
            for place in range(len(children)):
                name = children.name(place)
                if not name.isdecimal() or int(name) in leaves:
                    raise tree.error(f"{name!r} is no number of a scan", of_scans.offset)
                leaves[int(name)] = children.offset(place)
        if total is not None and total.is_directory:
            total = None
        if leaves or total is not None:
            channels.append(_Channel(interval, leaves, None if total is None else total.offset))
    return channels


def sum_warnings(tree: BlockTree, stack: ImageStack, counts: NDArray[Any]) -> list[str]:
    """Hold the scans against the sums that the file keeps beside them.

    Parameters
    ----------
    tree
        The open file.
    stack
        Where its images are.
    counts
        (channel, frame, y, x).
    """
    found = []
    for channel, offset in enumerate(stack.totals.tolist()):
        if offset < 0:
            continue
        stored = int(_decode(tree, offset, stack.shape).sum(dtype=np.int64))
        ours = int(counts[channel].sum(dtype=np.int64))
        if stored != ours:
            found.append(
                f"The scans of {stack.intervals[channel].name} add up to {ours} counts, the sum "
                f"that the file keeps to {stored}: scans are missing, or it was edited."
            )
    return found


def shifts_warning(tree: BlockTree) -> list[str]:
    """Say if SurfaceLab moved scans against each other; counts are read unmoved."""
    block = tree.find(f"{_SCANS}/ShiftCoordinates/ImageStack.ShiftCoordinates")
    scans = stated_scans(tree)
    if block is None or block.is_directory or scans is None or scans > _MAX_IMAGES:
        return []
    try:
        shifts = np.frombuffer(tree.content(block, 8 * scans), "<i4")
    except FormatError as error:
        return [f"SurfaceLab's drift correction could not be read: it {error.reason}."]
    if not shifts.any():
        return []
    most = np.abs(shifts.astype(np.int64)).max()
    text = (
        f"SurfaceLab's drift correction, up to {most} pixels between scans, is in the file but "
        "was not applied to the counts."
    )
    return [text]
