"""Writes SIMS-H5 archives from dense cubes, after the published specification.

Shares nothing with the reader: cubes are spread out with ``numpy.nonzero`` and
stored as the specification's section 3 to 8 say.
"""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np

HEADER = """SOFH
InstrumentModel: test
SecIonPolarity: -
Mass/Time: 0.4
MassOffset: -1.5
NoFrames: 99
[Hot Cold Stage]
Temperature(C)=-110.0
[PHI LMIG]
Raster Size (um)=40.0
Raster Size Calibration=1.600, 1.550
[Cesium]
Raster Size (um)=1000.0
EOFH
"""


def write_archive(
    path: Path,
    cubes: dict[int, np.ndarray],
    mode: str = "image_2d",
    width_ps: int = 1,
    header: str | None = HEADER,
    coefficients: tuple[float, float] = (0.4, -1.5),
    tile_xy: list[tuple[int, int]] | None = None,
    blocks: list[bytes] = (),
    pitch_um: float | None = None,
    derived: bool = True,
    sputter_time: list[float] | None = None,
    **storage: object,
) -> Path:
    """Write counts by time bin; each cube has the archive's row_shape."""
    bins = sorted(cubes)
    shape = cubes[bins[0]].shape
    pixels = [np.flatnonzero(cubes[b]) for b in bins]
    values = [cubes[b].ravel()[p] for b, p in zip(bins, pixels, strict=True)]
    pixel = np.concatenate(pixels).astype("<u4")
    value = np.concatenate(values)
    with h5py.File(path, "w") as file:
        file.attrs.update(
            format="tof-sims-sparse-hdf5",
            format_version="0.1",
            acquisition_mode=mode,
            polarity="-",
        )
        csr = file.create_group("data/mass_csr")
        csr.attrs["mass_bin_width_ps"] = np.uint32(width_ps)
        csr.create_dataset("mass_bin", data=np.array(bins, "<u4"), **storage)
        index = np.concatenate([[0], np.cumsum([len(p) for p in pixels])])
        csr.create_dataset("indptr", data=index.astype("<u8"), **storage)
        csr.create_dataset("pixel_id", data=pixel, **storage)
        csr.create_dataset("count", data=np.minimum(value, 255).astype("u1"), **storage)
        large = np.flatnonzero(value > 255)
        if len(large):
            csr.create_dataset("count_exceptions/nnz_index", data=large.astype("<u8"))
            csr.create_dataset("count_exceptions/value", data=value[large].astype("<u4"))
        geometry = file.create_group("geometry")
        geometry.attrs["row_shape"] = np.array(shape, "<u8")
        geometry.attrs["row_count"] = np.uint64(np.prod(shape))
        file.create_dataset("calibration/mass/coefficients", data=np.array(coefficients))
        if pitch_um is not None:
            file.create_group("calibration/spatial").attrs["pixel_pitch_um"] = pitch_um
        if header is not None:
            raw = header.replace("\n", "\r\n").encode("latin-1").ljust(2000, b"\0")
            file.create_dataset("raw_header", data=np.frombuffer(raw, "u1"))
        for number, payload in enumerate(blocks):
            block = file.create_dataset(
                f"raw_provenance/opaque_blocks/block_{number:06d}",
                data=np.frombuffer(payload, "u1"),
            )
            block.attrs["record_type"] = np.int64(14)
            block.attrs["seq"] = np.int64(number)
        if tile_xy is not None:
            file.create_dataset("mosaic/tile_index_xy", data=np.array(tile_xy, "<u4"))
        if sputter_time is not None:
            file.create_dataset("frames/sputter_time_s", data=np.array(sputter_time))
        if derived:
            total = sum(c.astype(np.int64) for c in cubes.values())
            image = total.sum(axis=tuple(range(total.ndim - 2)))
            file.create_dataset("derived/total_image", data=image.astype("<u4"))
            file["derived"].attrs["ps_per_bin"] = 128.0
            coarse = [b * width_ps // 128 for b in bins]
            places = sorted(set(coarse))
            sums = [
                sum(int(cubes[b].sum()) for b, c in zip(bins, coarse, strict=True) if c == place)
                for place in places
            ]
            file.create_dataset("derived/spectrum_mass_bin", data=np.array(places, "<u4"))
            file.create_dataset("derived/spectrum_intensity", data=np.array(sums, "<u8"))
    return path
