"""Writes small imzML pairs from the published layout; shares nothing with the reader.

Every part that real files get wrong can be written wrong: names of terms, units,
numbers of pixels, encodings, identifiers, check sums.
"""

from __future__ import annotations

import hashlib
import struct
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

Position = tuple[int, ...]
Spectrum = tuple[Sequence[float], Sequence[float]]

IDENTITY = bytes.fromhex("00112233445566778899aabbccddeeff")
#: Number types of the vocabulary: accession, name, code of struct.
TYPES = {
    "float32": ("MS:1000521", "32-bit float", "f"),
    "float64": ("MS:1000523", "64-bit float", "d"),
    "int32": ("MS:1000519", "32-bit integer", "i"),
    "int64": ("MS:1000522", "64-bit integer", "q"),
    "old int32": ("IMS:1000141", "32-bit integer", "i"),
    "old int64": ("IMS:1000142", "64-bit integer", "q"),
}
MICROMETRE, NANOMETRE, MILLIMETRE = "UO:0000017", "UO:0000018", "UO:0000016"


def term(accession: str, name: str, value: object = "", unit: str | None = None) -> str:
    ending = f' unitCvRef="UO" unitAccession="{unit}" unitName="?"' if unit else ""
    reference = accession.partition(":")[0]
    return (
        f'<cvParam cvRef="{reference}" accession="{accession}" name="{name}" '
        f'value="{value}"{ending}/>'
    )


def scan_settings(
    width: int | None,
    height: int | None,
    pixel: tuple[object, object | None] | None = (2.0, 2.0),
    unit: str | None = MICROMETRE,
    dimension: tuple[object, object] | None = None,
    identity: str = "s1",
) -> str:
    """A scanSettings element; `pixel` and `dimension` are (x, y)."""
    terms = [term("IMS:1000400", "bottom up"), term("IMS:1000480", "horizontal line scan")]
    if width is not None and height is not None:
        terms += [
            term("IMS:1000042", "max count of pixels x", width),
            term("IMS:1000043", "max count of pixels y", height),
        ]
    if dimension is not None:
        terms += [
            term("IMS:1000044", "max dimension x", dimension[0], MICROMETRE),
            term("IMS:1000045", "max dimension y", dimension[1], MICROMETRE),
        ]
    if pixel is not None:
        terms.append(term("IMS:1000046", "pixel size (x)", pixel[0], unit))
        if pixel[1] is not None:
            terms.append(term("IMS:1000047", "pixel size y", pixel[1], unit))
    return f'<scanSettings id="{identity}">{"".join(terms)}</scanSettings>'


class _Ibd:
    """Collects arrays."""

    def __init__(self, identity: bytes) -> None:
        self.content = bytearray(identity)

    def add(self, values: Sequence[float], kind: str, compress: bool) -> tuple[int, int, int]:
        """Return (offset, number of values, encoded length)."""
        raw = struct.pack(f"<{len(values)}{TYPES[kind][2]}", *values)
        if compress:
            raw = zlib.compress(raw)
        offset = len(self.content)
        self.content += raw
        return offset, len(values), len(raw)


def write_imzml(
    path: Path,
    spectra: Mapping[Position, Spectrum],
    *,
    continuous: bool = False,
    compress: bool = False,
    mz_type: str = "float64",
    intensity_type: str = "float32",
    settings: Sequence[str] | None = None,
    encoding: str = "ISO-8859-1",
    declared_encoding: str | None = None,
    polarity: str | None = "positive",
    inline: bool = False,
    prefix: str = "",
    misspelt: bool = False,
    identity: bytes = IDENTITY,
    stated_identity: str | None = "{00112233-4455-6677-8899-AABBCCDDEEFF}",
    checksum: str | None = "sha1",
    doctype: str = "",
    intensity_unit: str | None = "MS:1000131",
    total_current: bool = True,
    newline: str = "\r\n",
) -> Path:
    """Write ``path`` and the ``.ibd`` beside it; return `path`.

    Parameters
    ----------
    spectra
        (x, y) or (x, y, z), counted from 1, and (m/z values, intensities).
    continuous
        One m/z array, that of the first spectrum, for all.
    inline
        Terms in every array and spectrum instead of referenced groups.
    prefix
        Of the XML namespace, such as ``"ns0:"``.
    misspelt
        Names of terms garbled, as real exporters do; accessions stay.
    """
    ibd = _Ibd(identity)
    groups = _groups(mz_type, intensity_type, compress, intensity_unit, polarity)
    lines = []
    shared = None
    for number, (position, (mz, intensity)) in enumerate(spectra.items(), 1):
        if shared is None or not continuous:
            shared = ibd.add(mz, mz_type, compress)
        place = ibd.add(intensity, intensity_type, compress)
        total = float(sum(intensity)) if total_current else None
        lines += _spectrum(number, position, shared, place, total, groups, inline)
    path.with_suffix(".ibd").write_bytes(ibd.content)
    if settings is None:
        settings = [scan_settings(max(p[0] for p in spectra), max(p[1] for p in spectra))]
    head = [
        f'<?xml version="1.0" encoding="{declared_encoding or encoding}"?>{doctype}',
        '<mzML xmlns="http://psi.hupo.org/ms/mzml" version="1.1">',
        *_description(continuous, stated_identity, checksum, bytes(ibd.content)),
        *_lists({} if inline else groups, settings),
        f'<spectrumList count="{len(spectra)}">',
    ]
    text = newline.join([*head, *lines, "</spectrumList></run></mzML>"])
    if misspelt:
        text = _misspelt(text)
    if prefix:
        text = text.replace("<", f"<{prefix}").replace(f"<{prefix}/", f"</{prefix}")
        text = text.replace(f"<{prefix}?", "<?").replace(f"<{prefix}!", "<!")
        text = text.replace("xmlns=", f"xmlns:{prefix.rstrip(':')}=")
    path.write_bytes(text.encode(encoding))
    return path


def _groups(
    mz_type: str, intensity_type: str, compress: bool, unit: str | None, polarity: str | None
) -> dict[str, list[str]]:
    """Terms of the arrays and spectra."""
    packing = [("MS:1000576", "no compression"), ("MS:1000574", "zlib compression")][compress]
    common = [term(*packing), term("IMS:1000101", "external data", "true")]
    scan = [term("MS:1000579", "MS1 spectrum")]
    if polarity is not None:
        accession = {"positive": "MS:1000130", "negative": "MS:1000129"}[polarity]
        scan.append(term(accession, f"{polarity} scan"))
    return {
        "mzArray": [
            term("MS:1000514", "m/z array", "", "MS:1000040"),
            term(*TYPES[mz_type][:2]),
            *common,
        ],
        "intArray": [
            term("MS:1000515", "intensity array", "", unit),
            term(*TYPES[intensity_type][:2]),
            *common,
        ],
        "spectrum1": scan,
    }


def _description(
    continuous: bool, identity: str | None, checksum: str | None, content: bytes
) -> list[str]:
    """The parts cvList and fileDescription."""
    storage = ("IMS:1000030", "continuous") if continuous else ("IMS:1000031", "processed")
    terms = [term(*storage)]
    if identity is not None:
        terms.append(term("IMS:1000080", "universally unique identifier", identity))
    if checksum is not None:
        names = {"sha1": ("IMS:1000091", "ibd SHA-1"), "md5": ("IMS:1000090", "ibd MD5")}
        terms.append(term(*names[checksum], hashlib.new(checksum, content).hexdigest().upper()))
    return [
        '<cvList count="1"><cv id="IMS" fullName="Imaging MS" URI="imagingMS.obo"/></cvList>',
        "<fileDescription><fileContent>",
        *terms,
        "</fileContent><contact>",
        term("MS:1000586", "contact name", "M\u00fcller, Gie\u00dfen"),
        "</contact></fileDescription>",
    ]


def _lists(groups: Mapping[str, Sequence[str]], settings: Sequence[str]) -> list[str]:
    """Everything between the description of the file and its spectra."""
    lines = []
    if groups:
        lines = [
            f'<referenceableParamGroupList count="{len(groups)}">',
            *(
                f'<referenceableParamGroup id="{key}">{"".join(terms)}</referenceableParamGroup>'
                for key, terms in groups.items()
            ),
            "</referenceableParamGroupList>",
        ]
    return [
        *lines,
        '<softwareList count="1"><software id="Exporter" version="7.3"/></softwareList>',
        f'<scanSettingsList count="{len(settings)}">',
        *settings,
        "</scanSettingsList>",
        '<instrumentConfigurationList count="1"><instrumentConfiguration id="tof"/>',
        "</instrumentConfigurationList>",
        '<run id="r" startTimeStamp="2024-05-06T07:08:09">',
    ]


def _spectrum(
    number: int,
    position: Position,
    mz: tuple[int, int, int],
    intensity: tuple[int, int, int],
    total: float | None,
    groups: Mapping[str, Sequence[str]],
    inline: bool,
) -> list[str]:
    """A spectrum element; `mz` and `intensity` are (offset, length, encoded length)."""

    def terms_of(group: str) -> str:
        if inline:
            return "".join(groups[group])
        return f'<referenceableParamGroupRef ref="{group}"/>'

    def array(group: str, place: tuple[int, int, int]) -> str:
        return (
            '<binaryDataArray encodedLength="0">'
            + terms_of(group)
            + term("IMS:1000102", "external offset", place[0])
            + term("IMS:1000103", "external array length", place[1])
            + term("IMS:1000104", "external encoded length", place[2])
            + "<binary/></binaryDataArray>"
        )

    axes = zip("012", ("position x", "position y", "position z"), position, strict=False)
    return [
        f'<spectrum id="index={number}" defaultArrayLength="0" index="{number}">',
        terms_of("spectrum1"),
        "" if total is None else term("MS:1000285", "total ion current", total),
        '<scanList count="1"><scan>',
        *(term(f"IMS:100005{axis}", name, value) for axis, name, value in axes),
        '</scan></scanList><binaryDataArrayList count="2">',
        array("mzArray", mz),
        array("intArray", intensity),
        "</binaryDataArrayList></spectrum>",
    ]


def _misspelt(text: str) -> str:
    for right, wrong in (
        ("m/z array", "mz-array"),
        ("intensity array", "intensities"),
        ("pixel size", "pixelsize"),
        ("position", "postion"),
        ("32-bit float", "32-bit integer"),
        ("external offset", "external array length"),
    ):
        text = text.replace(f'name="{right}', f'name="{wrong}')
    return text


def boundaries(spectra: Mapping[Position, Spectrum]) -> list[int]:
    """Byte offsets between the arrays of a plain file of float64 m/z and float32 intensity."""
    edges = [0, 16]
    for mz, intensity in spectra.values():
        edges += [edges[-1] + 8 * len(mz), edges[-1] + 8 * len(mz) + 4 * len(intensity)]
    return edges


def edit(path: Path, *changes: tuple[str, str]) -> Path:
    """Replace text in the XML; each must occur."""
    text = path.read_bytes().decode("latin-1")
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    path.write_bytes(text.encode("latin-1"))
    return path
