"""Images of Cameca NanoSIMS instruments (``.im``).

Counts of each mass and frame as the instrument stored them: no dead time, yield
or background is corrected. Of other files that the instrument writes, such as
isotope (spot) files and scans, it is said what they are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.acquisition import Acquisition
from napari_liso.errors import FormatError
from napari_liso.readers import _files, _lazy
from napari_liso.readers._lazy import LazyCounts
from napari_liso.readers._progress import report
from napari_liso.readers.cameca import nanosims_header as header

__all__ = ["NAME", "outline", "read", "recognise"]

NAME = "Cameca NanoSIMS"

#: All masses of one frame; no instrument makes as much.
_MAX_FRAME = 2**29
_BLOCK = 2**25
_SMALL_PLANE = 2**12
#: Two statements of one pixel size agree within this, since the raster is in whole nm.
_SAME = 0.01
#: Share of the time that detectors are dead, above which it is said.
_DEAD = 0.005
_NO_PULSES = (
    "the primary beam of a NanoSIMS is continuous: there are no pulses, and the dead time acts on "
    "the count rate (counts / dwell_time_s)"
)
_NO_POLARITY = (
    "not stated in the file: the sign of E0W is read in opposite ways, so it is kept as stored"
)


@dataclass(frozen=True, eq=False)
class _File:
    """Everything that the header says, and how many whole frames there are."""

    path: Path
    head: header.Head
    image: header.ImageRecord
    species: list[header.Species] | None
    instrument: header.Instrument
    frames: int

    @property
    def dtype(self) -> np.dtype[Any]:
        return np.dtype(f"{self.head.order}u{self.image.bytes_per_pixel}")

    @property
    def plane(self) -> tuple[int, int]:
        return self.image.height, self.image.width

    @property
    def frame_bytes(self) -> int:
        image = self.image
        return image.masses * image.height * image.width * image.bytes_per_pixel

    def fill(self, counts: NDArray[Any]) -> None:
        """Read everything into an array of shape (mass, frame, y, x), in its byte order."""
        if counts[0, 0].nbytes < _SMALL_PLANE:
            counts[...] = self.load(0, self.frames).swapaxes(0, 1)
            return
        # Straight to its place: memory of the size of the file is slow to get a second time.
        with open(self.path, "rb") as stream:
            stream.seek(self.head.size)
            for frame in range(self.frames):
                for mass in range(self.image.masses):
                    plane = counts[mass, frame]
                    if stream.readinto(plane.data) != plane.nbytes:
                        raise FormatError(self.path, "was cut short while it was read")
        if not self.dtype.isnative:
            counts.byteswap(inplace=True)

    def load(self, first: int, frames: int) -> NDArray[Any]:
        """Return frames as (frame, mass, y, x) in the file's byte order."""
        return self._values(first * self.frame_bytes, (frames, self.image.masses, *self.plane))

    def load_plane(self, mass: int, frame: int) -> NDArray[Any]:
        """Return one (y, x) image in the file's byte order."""
        plane = self.frame_bytes // self.image.masses
        return self._values(frame * self.frame_bytes + mass * plane, self.plane)

    def _values(self, offset: int, shape: tuple[int, ...]) -> NDArray[Any]:
        # Not a memory map: that takes the process down when the file is cut meanwhile.
        count = int(np.prod(shape, dtype=object))
        values = np.fromfile(self.path, self.dtype, count, offset=self.head.size + offset)
        if len(values) != count:
            raise FormatError(self.path, "was cut short while it was read", self.head.size)
        return values.reshape(shape)


def recognise(path: Path) -> bool:
    """Whether a file is one of Cameca's, by a header that makes sense in one byte order.

    There is no magic number, so the last record of the header or the date must
    be in its place too.
    """
    head = header.identify(_files.head(path, 128))
    if head is None:
        return False
    if head.acquired is not None:
        return True
    try:
        header.image_record(_files.head(path, head.size), head)
    except ValueError:
        return False
    return True


def read(path: Path, windows: _files.Windows | None = None) -> Acquisition:
    """Read the images of every mass.

    The maker publishes no description; the layout is as the public reader
    ``sims`` and the OpenMIMS project found it.

    Parameters
    ----------
    path
        The file.
    windows
        Must be None: images have no mass axis.

    Returns
    -------
    Acquisition
        Counts of shape (mass, frame, y, x) as stored. Secondary electrons are a
        channel, ``SE``, with a mass of NaN. `pulses` is None, as the beam is
        continuous; ``metadata["dwell_time_s"]`` has the time of a pixel.

    Raises
    ------
    FormatError
        If the file is damaged, holds no image, or one that is no plain raster.
    ValueError
        If windows are given.
    """
    if windows is not None:
        raise ValueError(
            "a NanoSIMS file holds images of chosen peaks; it has no mass axis for windows"
        )
    file = _open(path)
    metadata = _files.base_metadata(path, NAME)
    warnings: list[str] = metadata["warnings"]
    if file.frames < file.image.planes:
        warnings.append(
            f"The file is incomplete: {file.frames} whole frames of {file.image.planes} are "
            "there; those were read."
        )
    names, masses = _names(file, warnings)
    counts, means = _counts(file, names, warnings)
    pixel_size, source = _pixel_size(file, warnings)
    metadata |= _facts(file, names) | {"pixel_size_source": source}
    warnings += _detector_warnings(names, means, metadata)
    return Acquisition(counts, names, masses, pixel_size, None, metadata)


def outline(path: Path) -> Iterator[str]:
    """Yield the header in words, as far as it can be followed.

    Raises
    ------
    FormatError
        Where it cannot be followed further.
    """
    head = header.identify(_files.head(path, 128))
    if head is None:
        return
    order = "little" if head.order == "<" else "big"
    kind = header.FILE_TYPES[head.kind]
    yield f"{kind} (type {head.kind}), version {head.version}, {order}-endian"
    yield f"analysis {head.analysis!r} of {head.acquired}, header of {head.size} bytes"
    raw = _files.head(path, head.size)
    for mark in (b"Poly_list", b"Champs_list", b"Offset_list", b"Anal_param_nano"):
        at = raw.rfind(mark + b"\0")
        if at >= 0:
            yield f"section {mark.decode()} at byte {at}"
    if head.kind not in (header.IMAGE, 29, 39):
        return
    if len(raw) > 412:
        count, species, _ = header.mass_table(raw, head)
        yield f"{count} masses" + ("" if species else ", whose table makes no sense")
        for row in species or ():
            yield (
                f"  {row.label or '(no label)'} at {row.mass:.4f} u, trolley {row.trolley}, "
                f"{row.frame_time:g} s a frame"
            )
    yield f"images: {_record(path, raw, head)}"
    file = _open(path)
    yield f"{file.frames} whole frames of {file.image.planes}"


def _record(path: Path, raw: bytes, head: header.Head) -> header.ImageRecord:
    try:
        return header.image_record(raw, head)
    except ValueError as error:
        raise FormatError(path, str(error), min(len(raw), head.size)) from None


def _open(path: Path) -> _File:
    """Read the header and hold it against the file's size; nothing is allocated before."""
    head = header.identify(_files.head(path, 128))
    if head is None:
        raise FormatError(path, "has no header of a NanoSIMS file", 0)
    if head.kind != header.IMAGE:
        raise FormatError(
            path,
            f"is {header.FILE_TYPES[head.kind]} (type {head.kind}), not a plain image; of "
            "NanoSIMS files only images (type 27) are read",
            4,
        )
    size = path.stat().st_size
    raw = _files.head(path, head.size)
    image = _record(path, raw, head)
    if not head.holds_data or size == head.size:
        raise FormatError(path, "is a header alone, without counts: they are in another file", 16)
    count, species, table_end = header.mass_table(raw, head)
    if count != image.masses or not count:
        raise FormatError(
            path, f"speaks of {count} masses in one place and of {image.masses} in another", 408
        )
    _files.check_image_size(path, image.height, image.width)
    if image.bytes_per_pixel not in (2, 4):
        raise FormatError(
            path, f"has counts of {image.bytes_per_pixel} bytes; 2 and 4 are known", head.size - 84
        )
    found = header.instrument(raw, head, table_end)
    file = _File(path, head, image, species, found, 0)
    if image.planes == 0 or file.frame_bytes > _MAX_FRAME:
        raise FormatError(
            path, f"declares {image.planes} frames of {file.frame_bytes} bytes", head.size - 84
        )
    return _File(path, head, image, species, found, _whole_frames(file, raw, size))


def _whole_frames(file: _File, raw: bytes, size: int) -> int:
    """Return how many frames are there in full; refuse sizes that cannot be explained."""
    stored, declared = size - file.head.size, file.image.planes * file.frame_bytes
    if stored == declared:
        return file.image.planes
    text = f"holds {stored} bytes of counts where its header declares {declared}"
    if stored > declared:
        raise FormatError(path=file.path, reason=text, offset=file.head.size + declared)
    frames = stored // file.frame_bytes
    # A file of fewer frames than planned is a measurement that broke off, if all else in the
    # header agrees; a wrong width or height would give a wrong size just as well.
    planned = int.from_bytes(raw[144:148], "little" if file.head.order == "<" else "big")
    found = file.instrument
    known = (found.counting_frame, found.scanning_frame, found.working_frame)
    if frames == 0 or planned != file.image.planes or file.plane not in known:
        raise FormatError(file.path, f"is truncated: {text}", size)
    return frames


def _names(file: _File, warnings: list[str]) -> tuple[tuple[str, ...], NDArray[np.float64]]:
    """Return names that are unique, and masses in u."""
    if file.species is None:
        warnings.append(
            "The mass table of this file could not be made out; masses are called by their number."
        )
        count = file.image.masses
        return tuple(f"mass {number + 1}" for number in range(count)), np.full(count, np.nan)
    names: list[str] = []
    for number, row in enumerate(file.species):
        name = "SE" if row.is_electrons else "".join(row.label.split())
        if not name:
            name = f"m/z {row.mass:.4g}" if row.mass > 0 else f"mass {number + 1}"
        again = names.count(name) or sum(other.startswith(f"{name} (") for other in names)
        names.append(f"{name} ({number + 1})" if again else name)
    return tuple(names), np.array([row.mass for row in file.species])


def _counts(
    file: _File, names: tuple[str, ...], warnings: list[str]
) -> tuple[NDArray[Any] | LazyCounts, NDArray[np.float64]]:
    """Return counts, plain where they are few, and the mean count of each mass."""
    masses, frames = file.image.masses, file.frames
    shape = (masses, frames, *file.plane)
    dtype = file.dtype.newbyteorder("=")
    if frames * file.frame_bytes <= _lazy.PLAIN_BYTES:
        plain = np.empty(shape, dtype)
        file.fill(plain)
        flat = plain.reshape(masses, frames, -1)
        largest, totals = flat.max(axis=2), flat.sum(axis=(1, 2), dtype=np.int64)
        _count_warnings(names, largest, warnings)
        return plain, totals / (frames * flat.shape[2])
    # One pass in the order of the file; the sums are kept, as they are asked for first.
    sums = np.zeros((masses, *file.plane), np.int64)
    largest = np.zeros((masses, frames), dtype)
    step = max(1, _BLOCK // file.frame_bytes)
    for first in range(0, frames, step):
        report(first / frames)
        block = file.load(first, min(step, frames - first)).astype(dtype, copy=False)
        for images in block:  # twice as fast as a sum over the block
            sums += images
        largest[:, first : first + step] = block.max(axis=(2, 3)).T
    _count_warnings(names, largest, warnings)
    return LazyCounts(shape, dtype, file.load_plane, sums), sums.mean(axis=(1, 2)) / frames


def _count_warnings(names: tuple[str, ...], largest: NDArray[Any], warnings: list[str]) -> None:
    """Warn of counts at the limit and of empty frames; `largest` is (mass, frame)."""
    limit = np.iinfo(largest.dtype).max
    full = [names[mass] for mass in np.flatnonzero(largest.max(axis=1) == limit)]
    if full:
        warnings.append(
            f"{', '.join(full)} reaches {limit}, the largest count that the file can hold: it "
            "may have been more."
        )
    frames = largest.shape[1]
    filled = np.flatnonzero(largest.any(axis=0))
    last = int(filled[-1]) + 1 if len(filled) else frames
    if last < frames:
        warnings.append(
            f"The last {frames - last} of {frames} frames hold no counts at all: the measurement "
            "seems incomplete. Leave them out of means over frames."
        )


def _pixel_size(file: _File, warnings: list[str]) -> tuple[tuple[float, float] | None, str | None]:
    """Return (y, x) in m and where it is from; None where statements contradict each other."""
    image, found = file.image, file.instrument
    if image.raster <= 0:
        return None, None
    pixel = image.raster * 1e-9 / image.width
    square = image.height == image.width
    if found.working_frame is None or found.raster is None:
        if square:
            return (pixel, pixel), "raster in the image record"
        warnings.append(
            "The image is not square and the header does not show its working frame, so its "
            "raster gives no certain pixel size."
        )
        return None, None
    height, width = found.working_frame
    other = found.raster / width
    agree = abs(pixel / other - 1) < _SAME
    if agree and (square or height == width):
        return (pixel, pixel), "raster in the image record, as that of the primary beam"
    warnings.append(
        f"The pixel size is not certain and was left out: the image record gives "
        f"{pixel * 1e9:.4g} nm, the raster of the primary beam {other * 1e9:.4g} nm, for frames "
        f"of {width} x {height} and an image of {image.width} x {image.height} pixels."
    )
    return None, None


def _facts(file: _File, names: tuple[str, ...]) -> dict[str, Any]:
    """Return the header's facts for the metadata, SI, JSON-able."""
    head, image, found = file.head, file.image, file.instrument
    rows = file.species or []
    signs = {row.charge for row in rows if not row.is_electrons}
    polarity = {"+": "positive", "-": "negative"}.get(signs.pop()) if len(signs) == 1 else None
    pixels = image.height * image.width
    dwell = {n: r.frame_time / pixels for n, r in zip(names, rows, strict=False) if r.frame_time}
    if len(found.pixel_times) == 1:
        dwell = dict.fromkeys(names, found.pixel_times[0])
    by_trolley = {n: r.trolley for n, r in zip(names, rows, strict=False)}
    facts: dict[str, Any] = {
        "frames": file.frames,
        "frames_in_header": image.planes,
        "polarity": polarity,
        "polarity_note": None if polarity else _NO_POLARITY,
        "origin": "as stored, row 0 = top, as the reader sims keeps it; the file does not say",
        "primary_beam": "continuous",
        "pulses_note": _NO_PULSES,
        "analysis": head.analysis,
        "acquired": head.acquired,
        "file_version": head.version,
        "byte_order": "little" if head.order == "<" else "big",
        "original_name": image.name or None,
        "labels": [row.label for row in rows] or None,
        "stage_position_as_stored": list(head.position),
        "field_of_view_m": image.raster * 1e-9 if image.raster > 0 else None,
        "dwell_time_s": dwell or None,
        "frame_time_s": {n: r.frame_time for n, r in zip(names, rows, strict=False)} or None,
        "detectors": {
            n: found.detectors[t] for n, t in by_trolley.items() if t in found.detectors
        },
        "dead_time_s": {
            n: found.dead_times[t]
            for n, t in by_trolley.items()
            if t in found.dead_times and found.detectors.get(t) != "FC"
        },
        **found.facts,
    }
    return {
        key: value
        for key, value in facts.items()
        if key == "polarity" or (value is not None and value != {})
    }


def _detector_warnings(
    names: tuple[str, ...], means: NDArray[np.float64], metadata: dict[str, Any]
) -> list[str]:
    """Return what is doubtful about counting: cups that count no ions, and dead time."""
    found = []
    ions = [name for name in names if name != "SE"]
    cups = [name for name in ions if metadata.get("detectors", {}).get(name) == "FC"]
    if cups:
        found.append(
            f"{', '.join(cups)} came from a Faraday cup: a current in counts, whose scatter is "
            "not that of counted ions."
        )
    for name in ions:
        dead_time = metadata.get("dead_time_s", {}).get(name)
        dwell = metadata.get("dwell_time_s", {}).get(name)
        if dead_time is None or not dwell:
            continue
        rate = float(means[names.index(name)]) / dwell
        if rate * dead_time > _DEAD:
            found.append(
                f"The detector of {name} was dead for {rate * dead_time:.1%} of the time "
                f"({dead_time * 1e9:.0f} ns at {rate:.3g} counts/s on average), which is not "
                "corrected."
            )
    return found
