"""OME-TIFF: images with their pixel size, channel names and how they were made.

The OME-XML is written here, after the schema of 2016-06, so that what is in the file
does not depend on the version of a library. Pixels are written uncompressed, plane by
plane: any program reads them, and a stack need not fit into memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4
from xml.etree import ElementTree

import numpy as np
import tifffile
from numpy.typing import NDArray

from napari_liso.tables import replace_file
from napari_liso.units import to_um

__all__ = ["NAMESPACE", "Channel", "ome_type", "provenance_in", "write_ome_tiff"]

_SCHEMA = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
#: Of the annotation that holds the provenance as JSON.
NAMESPACE = "napari-liso/provenance"

_TYPES = {
    "uint8": "uint8", "uint16": "uint16", "uint32": "uint32", "int8": "int8", "int16": "int16",
    "int32": "int32", "float32": "float", "float64": "double",
}  # fmt: skip
#: Whole numbers up to here are exact in 64-bit floats.
_EXACT = 2**53
#: Classic TIFF has offsets of 32 bits.
_CLASSIC = 2**32 - 2**25
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


@dataclass(frozen=True, eq=False)
class Channel:
    """An image, or a stack of them, under its name.

    Parameters
    ----------
    name
        Such as ``"6Li"``.
    data
        (y, x), (t, y, x) or (t, z, y, x), or (..., y, x, 3 or 4) of colours. Arrays,
        or what has ``shape``, ``dtype`` and gives a plane when indexed.
    rgb
        Whether the last axis is red, green, blue (and opacity).
    """

    name: str
    data: Any
    rgb: bool = False

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """(t, z, y, x)."""
        shape = tuple(int(n) for n in self.data.shape)
        sides = shape[:-1] if self.rgb else shape
        if not 2 <= len(sides) <= 4 or (self.rgb and shape[-1] not in (3, 4)) or 0 in shape:
            raise ValueError(
                f"'{self.name}' of shape {shape} is no image (y, x), nor a stack (t, y, x) or "
                "(t, z, y, x)"
            )
        t, z, y, x = (1,) * (4 - len(sides)) + sides
        # of one leading axis: times, as scans are
        return (z, 1, y, x) if len(sides) == 3 else (t, z, y, x)

    def planes(self) -> Iterator[NDArray[Any]]:
        """Make the planes one by one, z fastest."""
        leading = len(self.data.shape) - (3 if self.rgb else 2)
        if leading == 0:
            yield np.asarray(self.data)
            return
        for index in np.ndindex(*self.data.shape[:leading]):
            yield np.asarray(self.data[index if leading > 1 else index[0]])


def ome_type(channels: Sequence[Channel]) -> np.dtype[Any]:
    """Return the type of pixels that holds all channels exactly.

    OME knows no 64-bit integers: such counts go into the narrowest unsigned type that
    their largest fits, beyond 32 bits into 64-bit floats.

    Raises
    ------
    ValueError
        If there is none.
    """
    low, high, floats = 0, 0, []
    for channel in channels:
        dtype = np.dtype(channel.data.dtype)
        if dtype.kind == "f":
            floats.append(np.dtype(np.float32) if dtype.itemsize <= 4 else np.dtype(np.float64))
            if dtype.itemsize > 8:
                raise ValueError(f"'{channel.name}' has {dtype} pixels, which OME-TIFF lacks")
        elif dtype.kind not in "biu":
            raise ValueError(f"'{channel.name}' has {dtype} pixels, which OME-TIFF lacks")
        elif dtype.name in _TYPES:
            low, high = min(low, np.iinfo(dtype).min), max(high, np.iinfo(dtype).max)
        elif dtype.kind == "b":
            high = max(high, 255)
        else:
            ends = [(int(p.min()), int(p.max())) for p in channel.planes()]
            low, high = min(low, *(e[0] for e in ends)), max(high, *(e[1] for e in ends))
    if floats:
        widest = max(floats, key=lambda d: d.itemsize)
        whole = max(high, -low)
        return np.dtype(np.float64) if whole > 2**24 else widest
    for name in ("uint8", "uint16", "uint32") if low >= 0 else ("int8", "int16", "int32"):
        if np.iinfo(name).min <= low and high <= np.iinfo(name).max:
            return np.dtype(name)
    if max(high, -low) > _EXACT:
        raise ValueError(f"counts of {high} do not fit any pixel type of OME-TIFF exactly")
    return np.dtype(np.float64)


def write_ome_tiff(
    path: str | Path,
    channels: Sequence[Channel],
    pixel_size: tuple[float, float] | None = None,
    *,
    name: str = "",
    description: str = "",
    provenance: Mapping[str, Any] | None = None,
) -> Path:
    """Write channels of one shape as an OME-TIFF, whole or not at all.

    Values are written as they are, NaN included; see `ome_type` for integers. Frames
    are the times (T) of the file.

    Parameters
    ----------
    path
        Of the file; one that is there is replaced.
    channels
        Of one shape. Colour images stand alone.
    pixel_size
        (y, x) in m; None writes none.
    name
        Of the image; else that of the file.
    description
        For people.
    provenance
        JSON-able facts, written as an annotation; see `provenance_in`.

    Returns
    -------
    Path
        Of the file.

    Raises
    ------
    ValueError
        If shapes differ, there is nothing to write, a type cannot be held, or the
        provenance is not JSON-able.
    OSError
        If the file cannot be written; one that was there is then as before.
    """
    _check(channels, pixel_size)
    dtype = ome_type(channels)
    samples = int(channels[0].data.shape[-1]) if channels[0].rgb else 1
    title = Path(path).name
    xml = _xml(title, name, channels, dtype, samples, pixel_size, description, provenance)
    return replace_file(path, lambda made: _write(made, channels, dtype, samples, xml))


def _write(
    made: Path, channels: Sequence[Channel], dtype: np.dtype[Any], samples: int, xml: bytes
) -> None:
    """Write the planes one by one."""
    first = channels[0]
    count = len(channels) * first.shape[0] * first.shape[1]
    shape = (count, *first.shape[2:], *((samples,) if first.rgb else ()))
    options: dict[str, Any] = {"photometric": "rgb" if first.rgb else "minisblack"}
    if samples == 4:
        options["extrasamples"] = ["unassalpha"]
    planes = (np.ascontiguousarray(p, dtype) for c in channels for p in c.planes())
    large = int(np.prod(shape, dtype=object)) * dtype.itemsize > _CLASSIC
    with tifffile.TiffWriter(made, bigtiff=large) as file:
        file.write(
            planes,
            shape=shape,
            dtype=dtype,
            description=xml,
            metadata=None,
            software=_software(),
            **options,
        )


def provenance_in(path: str | Path) -> dict[str, Any] | None:
    """Return the provenance that `write_ome_tiff` wrote into a file, or None."""
    with tifffile.TiffFile(path) as file:
        text = file.ome_metadata
    if text is None:
        return None
    for note in ElementTree.fromstring(text).iter(f"{{{_SCHEMA}}}CommentAnnotation"):
        value = note.find(f"{{{_SCHEMA}}}Value")
        if note.get("Namespace") == NAMESPACE and value is not None:
            found = json.loads(value.text or "{}")
            return found if isinstance(found, dict) else None
    return None


def _check(channels: Sequence[Channel], pixel_size: tuple[float, float] | None) -> None:
    if not channels:
        raise ValueError("there is no image to write")
    shapes = {channel.shape for channel in channels}
    if len(shapes) > 1:
        raise ValueError(
            "channels of one file must have one shape (t, z, y, x), these have "
            + ", ".join(str(shape) for shape in sorted(shapes))
        )
    if any(channel.rgb for channel in channels) and len(channels) > 1:
        raise ValueError("a colour image is a file of its own")
    if pixel_size is not None and not all(0 < float(v) < np.inf for v in pixel_size):
        raise ValueError(f"pixel_size must be positive metres, got {pixel_size}")


def _software() -> str:
    from napari_liso import __version__

    return f"napari-liso {__version__}"


def _xml(
    file_name: str,
    name: str,
    channels: Sequence[Channel],
    dtype: np.dtype[Any],
    samples: int,
    pixel_size: tuple[float, float] | None,
    description: str,
    provenance: Mapping[str, Any] | None,
) -> bytes:
    """Return the OME-XML, its elements in the order of the schema, in ASCII."""
    ElementTree.register_namespace("", _SCHEMA)
    location = "{http://www.w3.org/2001/XMLSchema-instance}schemaLocation"
    root = ElementTree.Element(
        f"{{{_SCHEMA}}}OME",
        {
            "UUID": f"urn:uuid:{uuid4()}",
            "Creator": _software(),
            location: f"{_SCHEMA} {_SCHEMA}/ome.xsd",
        },
    )

    stem = file_name.removesuffix(Path(file_name).suffix).removesuffix(".ome")
    image = _add(root, "Image", ID="Image:0", Name=name or stem)
    if description:
        _add(image, "Description", description)
    _add_pixels(image, channels, dtype, samples, pixel_size)
    if provenance is not None:
        _add(image, "AnnotationRef", ID="Annotation:0")
        notes = _add(root, "StructuredAnnotations")
        note = _add(notes, "CommentAnnotation", ID="Annotation:0", Namespace=NAMESPACE)
        try:
            facts = json.dumps(dict(provenance), default=_plain, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"the provenance of an image must be JSON-able: {error}") from None
        _add(note, "Value", facts)
    text: bytes = ElementTree.tostring(root, encoding="us-ascii", xml_declaration=True)
    # the schema says so, and readers tell an OME-TIFF by how its description ends
    return text.replace(b"encoding='us-ascii'", b'encoding="UTF-8"', 1)


def _add_pixels(
    image: ElementTree.Element,
    channels: Sequence[Channel],
    dtype: np.dtype[Any],
    samples: int,
    pixel_size: tuple[float, float] | None,
) -> None:
    """Add what the pixels are, and where."""
    t, z, y, x = channels[0].shape
    sizes: dict[str, Any] = {
        "SizeX": x, "SizeY": y, "SizeZ": z, "SizeC": len(channels) * samples, "SizeT": t,
    }  # fmt: skip
    if pixel_size is not None:
        # rounded where only floating point speaks, so that 0.5 um reads "0.5"
        high, wide = (f"{to_um(float(v)):.12g}" for v in pixel_size)
        sizes |= {"PhysicalSizeX": wide, "PhysicalSizeXUnit": "µm"}
        sizes |= {"PhysicalSizeY": high, "PhysicalSizeYUnit": "µm"}
    if samples > 1:
        sizes["Interleaved"] = "true"
    pixels = _add(
        image, "Pixels", ID="Pixels:0", DimensionOrder="XYZTC", Type=_TYPES[dtype.name], **sizes
    )
    for number, channel in enumerate(channels):
        _add(
            pixels,
            "Channel",
            ID=f"Channel:0:{number}",
            Name=channel.name,
            SamplesPerPixel=samples,
        )
    _add(pixels, "TiffData", IFD=0, PlaneCount=len(channels) * t * z)


def _add(
    parent: ElementTree.Element, tag: str, text: str = "", **facts: Any
) -> ElementTree.Element:
    """Add an element of the schema."""
    attributes = {key: _clean(str(value)) for key, value in facts.items()}
    element = ElementTree.SubElement(parent, f"{{{_SCHEMA}}}{tag}", attributes)
    element.text = _clean(text) or None
    return element


def _clean(text: str) -> str:
    """Leave out characters that XML has no way to write."""
    return _NOT_XML.sub("", text)


def _plain(value: object) -> Any:
    """Return numbers and arrays of numpy as JSON knows them."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} is not JSON-able")
