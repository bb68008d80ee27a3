"""What a SIMS-H5 archive says around its counts: geometry, calibration, header."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers import _files, _hdf5
from napari_liso.readers.calibration import MassCalibration
from napari_liso.readers.phi import header as phi
from napari_liso.units import from_um

__all__ = ["Facts", "Geometry", "read_facts"]

_MODES = {"image_2d": 3, "depth_profile": 4, "mosaic": 4}  # axes of row_shape
_MAX_BLOCKS = 100_000
_MAX_TEXT = 2**24
_POLARITIES = {"+": "positive", "-": "negative"}

Integers = NDArray[np.integer[Any]]


@dataclass(frozen=True, eq=False)
class Geometry:
    """How pixel numbers become places on the image.

    Parameters
    ----------
    mode
        ``image_2d``, ``depth_profile`` or ``mosaic``.
    row_shape
        (frame, y, x), (cycle, frame, y, x) or (tile, frame, y, x).
    tile_xy
        Column and row of each tile, counted from the lower left; None
        unless it is a mosaic.
    """

    mode: str
    row_shape: tuple[int, ...]
    tile_xy: Integers | None = None

    @property
    def row_count(self) -> int:
        """Number of pixels over all frames, cycles and tiles."""
        return int(np.prod(self.row_shape, dtype=object))

    @property
    def tile(self) -> tuple[int, int]:
        """(y, x) pixels of one raster."""
        return self.row_shape[-2], self.row_shape[-1]

    @property
    def grid(self) -> tuple[int, int]:
        """(y, x) tiles side by side."""
        if self.tile_xy is None:
            return 1, 1
        columns, rows = (int(v) + 1 for v in self.tile_xy.max(axis=0))
        return rows, columns

    @property
    def shape(self) -> tuple[int, int, int]:
        """(frame, y, x) of the images."""
        frames = self.row_shape[0]
        if len(self.row_shape) == 4:
            cycles = 1 if self.mode == "mosaic" else self.row_shape[0]
            frames = cycles * self.row_shape[1]
        return frames, self.grid[0] * self.tile[0], self.grid[1] * self.tile[1]

    def voxels(self, pixel: Integers) -> NDArray[np.int64]:
        """Return flat indices into `shape`, row 0 at the top.

        Both the raster and the stage count upward, so the file's row 0 is the
        bottom of the image.
        """
        height, width = self.tile
        place: NDArray[np.int64] = pixel.astype(np.int64)
        row = place // width
        if self.tile_xy is None:
            # Within its raster, row y goes to height - 1 - y.
            place += (height - 1 - 2 * (row % height)) * width
            return place
        x = place - row * width
        block, y = np.divmod(row, height)
        tile, frame = np.divmod(block, self.row_shape[1])
        x += self.tile_xy[tile, 0] * width
        y += self.tile_xy[tile, 1] * height
        _, full_height, full_width = self.shape
        place = (frame * full_height + (full_height - 1 - y)) * full_width + x
        return place


@dataclass(frozen=True, eq=False)
class Facts:
    """All that is known besides the counts.

    Parameters
    ----------
    geometry
        See `Geometry`.
    bin_width
        Picoseconds in a time bin.
    calibration
        The mass calibration to use.
    pixel_size
        (y, x) in m, or None.
    pulses
        Primary pulses per pixel and frame, or None; see `Header.pulses_per_pixel`.
    metadata, warnings
        For the acquisition.
    """

    geometry: Geometry
    bin_width: float
    calibration: MassCalibration
    pixel_size: tuple[float, float] | None
    pulses: int | None
    metadata: dict[str, Any]
    warnings: list[str]


def read_facts(file: h5py.File) -> Facts:
    """Read everything but the counts.

    Raises
    ------
    FormatError
        If it is no SIMS-H5 archive, or geometry or calibration are missing or
        contradict themselves.
    """
    path = file.filename
    if _hdf5.attribute(file, "format") != "tof-sims-sparse-hdf5":
        raise FormatError(path, "is an HDF5 file, but no SIMS-H5 archive")
    warnings: list[str] = []
    version = _hdf5.attribute(file, "format_version")
    if not str(version).startswith("0.1"):
        warnings.append(f"Version {version} of SIMS-H5 is newer than the 0.1 known here.")
    geometry = _read_geometry(file)
    header = _read_header(file, warnings)
    calibration, superseded = _read_calibration(file, header, warnings)
    pixel_size, source = _read_pixel_size(file, header, geometry)
    cube = _hdf5.group(file, "data/mass_csr")
    width = None if cube is None else _hdf5.attribute(cube, "mass_bin_width_ps")
    bin_width = 1.0 if width is None else float(width)  # absent means lossless
    if not 0 < bin_width < 1e6:
        raise FormatError(path, f"declares time bins of {bin_width} ps")
    if _hdf5.group(file, "data/ms2_csr") is not None:
        warnings.append("The file also holds an MS2 channel, which is not read.")
    polarity = _hdf5.attribute(file, "polarity")
    metadata = {
        **header.facts(),
        "polarity": _POLARITIES.get(str(polarity)),
        "acquisition_mode": geometry.mode,
        "frames": geometry.shape[0],
        "frames_in_header": header.text("NoFrames"),
        "origin": "the file's row 0 is the bottom; images are flipped to row 0 = top",
        "pixel_size_source": source,
        "time_bin_ps": bin_width,
        "calibration": calibration.as_metadata(),
        "calibration_superseded": [other.as_metadata() for other in superseded],
        **_sequence(file, geometry, warnings),
    }
    pulses = None
    if geometry.tile_xy is None and not _frames_are_sums(file):
        pulses = metadata.get("pulses_per_pixel_and_frame")
    return Facts(geometry, bin_width, calibration, pixel_size, pulses, metadata, warnings)


def _frames_are_sums(file: h5py.File) -> bool:
    """Tell whether what the archive calls a frame are several that were added up."""
    holder = _hdf5.group(file, "geometry")
    return holder is None or bool(_hdf5.attribute(holder, "frames_summed"))


def _read_geometry(file: h5py.File) -> Geometry:
    path = file.filename
    holder = _hdf5.group(file, "geometry")
    shape = None if holder is None else _hdf5.attribute(holder, "row_shape")
    if holder is None or shape is None:
        raise FormatError(path, "/geometry with its row_shape is missing")
    mode = str(_hdf5.attribute(file, "acquisition_mode"))
    row_shape = tuple(int(n) for n in np.atleast_1d(shape))
    if len(row_shape) != _MODES.get(mode):
        raise FormatError(path, f"row_shape {row_shape} does not fit the mode {mode!r}")
    if min(row_shape) < 1 or np.prod(row_shape, dtype=object) > 2**32:
        raise FormatError(path, f"row_shape {row_shape} is beyond what pixel numbers can count")
    count = _hdf5.attribute(holder, "row_count")
    tiles = None
    if mode == "mosaic":
        positions = _hdf5.dataset(file, "mosaic/tile_index_xy", ndim=2, kinds="ui", max_size=2**20)
        if positions is None or positions.shape != (row_shape[0], 2):
            raise FormatError(path, f"/mosaic/tile_index_xy does not place {row_shape[0]} tiles")
        tiles = positions[...].astype(np.int64)
        if tiles.min() < 0 or len(np.unique(tiles, axis=0)) != len(tiles):
            raise FormatError(path, "/mosaic/tile_index_xy puts tiles on top of each other")
    geometry = Geometry(mode, row_shape, tiles)
    if count is not None and int(count) != geometry.row_count:
        raise FormatError(path, f"row_shape {row_shape} contradicts its row_count {count}")
    _files.check_image_size(path, *geometry.shape[1:])
    return geometry


def _read_header(file: h5py.File, warnings: list[str]) -> phi.Header:
    raw = _hdf5.dataset(file, "raw_header", max_size=_MAX_TEXT)
    if raw is None:
        warnings.append("The file holds no instrument header.")
        return phi.Header()
    try:
        return phi.parse_header(raw[...].astype(np.uint8).tobytes())
    except ValueError as error:
        raise FormatError(file.filename, f"/raw_header: {error}") from error


def _appended_blocks(file: h5py.File) -> list[bytes]:
    """Return the appended ASCII blocks in the order of the measurement's file."""
    base = "raw_provenance/opaque_blocks"
    holder = _hdf5.group(file, base)
    if holder is None:
        return []
    if len(holder) > _MAX_BLOCKS:
        raise FormatError(file.filename, f"/{base} declares {len(holder)} blocks")
    blocks = []
    for name in holder:
        block = _hdf5.dataset(file, f"{base}/{name}", max_size=_MAX_TEXT)
        if block is None or _hdf5.attribute(block, "record_type") != phi.ASCII_INFO_RECORD:
            continue
        order = _hdf5.attribute(block, "seq")
        blocks.append((-1 if order is None else int(order), name, block[...].tobytes()))
    return [payload for _, _, payload in sorted(blocks)]


def _read_calibration(
    file: h5py.File, header: phi.Header, warnings: list[str]
) -> tuple[MassCalibration, list[MassCalibration]]:
    """Return the calibration to use and those that it replaces."""
    others = []
    stored = _hdf5.dataset(file, "calibration/mass/coefficients", kinds="f", max_size=2)
    if stored is not None and stored.size == 2:
        slope, offset = (float(v) for v in stored[...])
        others.append(phi.mass_calibration(slope, offset, "calibration/mass"))
    written = header.calibration()
    if written is not None:
        others.append(written)
    appended = phi.appended_calibration(_appended_blocks(file))
    return phi.choose_calibration(file.filename, appended, others, warnings)


def _read_pixel_size(
    file: h5py.File, header: phi.Header, geometry: Geometry
) -> tuple[tuple[float, float] | None, str | None]:
    """Return (y, x) in m and where it is from; never a guess."""
    height, width = geometry.tile
    spatial = _hdf5.group(file, "calibration/spatial")
    if spatial is not None:
        pitch = _spatial(file, spatial, "pixel_pitch_um")
        if pitch is not None:
            return (from_um(pitch), from_um(pitch)), "calibration/spatial"
        field = _spatial(file, spatial, "field_of_view_um")
        if field is not None and height == width:
            return (from_um(field) / height, from_um(field) / width), "calibration/spatial"
    raster = header.raster_size()
    if raster is not None and (raster[0] != raster[1] or height == width):
        return (raster[0] / height, raster[1] / width), "raster size in the instrument's header"
    return None, None


def _spatial(file: h5py.File, holder: h5py.Group, name: str) -> float | None:
    """Return a positive scalar that is an attribute or a dataset, else None."""
    value = _hdf5.attribute(holder, name)
    if value is None:
        stored = _hdf5.dataset(file, f"calibration/spatial/{name}", ndim=0, kinds="fiu")
        value = None if stored is None else stored[()]
    if value is None or np.ndim(value) != 0:
        return None
    number = float(value)
    return number if 0 < number < np.inf else None


def _sequence(file: h5py.File, geometry: Geometry, warnings: list[str]) -> dict[str, Any]:
    """Return what frames stand for in depth profiles, and tiles in mosaics."""
    found: dict[str, Any] = {}
    if geometry.mode == "depth_profile":
        found["frames_per_cycle"] = geometry.row_shape[1]
        times = _hdf5.dataset(file, "frames/sputter_time_s", kinds="f", max_size=2**24)
        if times is not None and times.size == geometry.row_shape[0]:
            found["sputter_time_s"] = [float(t) for t in times[...]]
    if geometry.tile_xy is not None:
        rows, columns = geometry.grid
        found["mosaic_tiles"] = [rows, columns]
        absent = rows * columns - len(geometry.tile_xy)
        if absent:
            warnings.append(f"{absent} tiles of the mosaic were not measured; they read zero.")
    return found
