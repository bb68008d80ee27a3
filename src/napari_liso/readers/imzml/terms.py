"""Terms of imzML by accession, and what its header comes to.

From the public controlled vocabularies: the imaging ontology (IMS) and the
mass-spectrometry ontology (MS) of the Proteomics Standards Initiative.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

UUID, MD5, SHA1 = "IMS:1000080", "IMS:1000090", "IMS:1000091"
CONTINUOUS, PROCESSED = "IMS:1000030", "IMS:1000031"
POSITIVE, NEGATIVE = "MS:1000130", "MS:1000129"
COUNT_X, COUNT_Y = "IMS:1000042", "IMS:1000043"
DIMENSION_X, DIMENSION_Y = "IMS:1000044", "IMS:1000045"
PIXEL_X, PIXEL_Y = "IMS:1000046", "IMS:1000047"
PRIMARY_ION = "IMS:1001201"

POSITION_X, POSITION_Y, POSITION_Z = "IMS:1000050", "IMS:1000051", "IMS:1000052"
TOTAL_CURRENT = "MS:1000285"
OFFSET, LENGTH, ENCODED = "IMS:1000102", "IMS:1000103", "IMS:1000104"
MZ_ARRAY, INTENSITY_ARRAY = "MS:1000514", "MS:1000515"
TYPES = {
    "MS:1000521": "<f4", "MS:1000523": "<f8", "MS:1000519": "<i4", "MS:1000522": "<i8",
    "IMS:1000141": "<i4", "IMS:1000142": "<i8", "IMS:1100000": "<i1", "IMS:1100001": "<i2",
}  # fmt: skip
NO_COMPRESSION, ZLIB = "MS:1000576", "MS:1000574"
OTHER_COMPRESSIONS = {
    "MS:1002312": "MS-Numpress", "MS:1002313": "MS-Numpress", "MS:1002314": "MS-Numpress",
    "MS:1002746": "MS-Numpress and zlib", "MS:1002747": "MS-Numpress and zlib",
    "MS:1002748": "MS-Numpress and zlib", "IMS:1005001": "xz", "IMS:1005002": "lz4",
    "IMS:1005003": "zstd",
}  # fmt: skip

OF_ARRAYS = frozenset(
    {OFFSET, LENGTH, ENCODED, MZ_ARRAY, INTENSITY_ARRAY, NO_COMPRESSION, ZLIB}
    | TYPES.keys() | OTHER_COMPRESSIONS.keys()
)  # fmt: skip
OF_SPECTRA = frozenset({POSITION_X, POSITION_Y, POSITION_Z, TOTAL_CURRENT, POSITIVE, NEGATIVE})
OF_FILE = frozenset({UUID, MD5, SHA1, CONTINUOUS, PROCESSED, PRIMARY_ION})
OF_SETTINGS = frozenset({COUNT_X, COUNT_Y, DIMENSION_X, DIMENSION_Y, PIXEL_X, PIXEL_Y})
KNOWN = OF_ARRAYS | OF_SPECTRA | OF_FILE | OF_SETTINGS
PLACE = frozenset({OFFSET, LENGTH, ENCODED})


class Term(NamedTuple):
    """A value of the controlled vocabulary with the accession of its unit."""

    value: str
    unit: str | None


class ArrayKind(NamedTuple):
    """How an array is stored: numpy dtype, whether zlib-compressed, unit of its values."""

    role: str | None
    dtype: str
    zlib: bool
    unit: str | None


@dataclass(frozen=True, eq=False)
class Arrays:
    """Where one array of every spectrum lies in the ``.ibd``; each of shape (spectrum,).

    Parameters
    ----------
    offset, length, encoded
        First byte, number of values, number of bytes (-1 where not stated).
    kind
        Index into `Spectra.kinds`.
    """

    offset: NDArray[np.int64]
    length: NDArray[np.int64]
    encoded: NDArray[np.int64]
    kind: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Spectra:
    """All spectra in the order of the file.

    Parameters
    ----------
    position
        (spectrum, 3): x, y, z as stated.
    total_current
        As stated; NaN where not.
    """

    position: NDArray[np.int64]
    mz: Arrays
    intensity: Arrays
    total_current: NDArray[np.float64]
    kinds: tuple[ArrayKind, ...]

    def __len__(self) -> int:
        return len(self.position)

    @property
    def share_axis(self) -> bool:
        """Whether all spectra have one and the same, not empty, m/z array."""
        columns = (self.mz.offset, self.mz.length, self.mz.encoded, self.mz.kind)
        return all(bool((c == c[0]).all()) for c in columns) and bool(self.mz.length[0] > 0)


@dataclass(eq=False)
class Header:
    """What the XML says; `settings` has one list of (accession, term) a scanSettings element."""

    file_terms: dict[str, Term] = field(default_factory=dict)
    settings: list[list[tuple[str, Term]]] = field(default_factory=list)
    polarities: set[str] = field(default_factory=set)
    software: list[str] = field(default_factory=list)
    processing: list[str] = field(default_factory=list)
    acquired: str | None = None
    declared_spectra: int | None = None
    missing_groups: set[str] = field(default_factory=set)
    forced_encoding: str | None = None
    spectra: Spectra | None = None


def kind_of(terms: Mapping[str, Term]) -> ArrayKind:
    """Return how an array is stored, from its terms by accession.

    Raises
    ------
    ValueError
        If the terms contradict each other or name what cannot be read.
    """
    named = ((MZ_ARRAY, "m/z"), (INTENSITY_ARRAY, "intensity"))
    roles = [role for accession, role in named if accession in terms]
    if not roles:
        return ArrayKind(None, "", False, None)  # ion mobility and the like
    if len(roles) > 1:
        raise ValueError("has an array that is said to be both m/z and intensity")
    (role,) = roles
    types = {TYPES[accession] for accession in terms if accession in TYPES}
    if len(types) != 1:
        said = ", ".join(sorted(types)) or "none that is known"
        raise ValueError(f"does not say which one number type its {role} values have: {said}")
    packed = [OTHER_COMPRESSIONS[a] for a in terms if a in OTHER_COMPRESSIONS]
    if packed or (ZLIB in terms and NO_COMPRESSION in terms):
        how = packed[0] if packed else "both zlib and uncompressed"
        raise ValueError(
            f"stores its {role} values as {how}, which cannot be read; export it uncompressed "
            "or with zlib"
        )
    unit = terms[INTENSITY_ARRAY].unit if role == "intensity" else None
    return ArrayKind(role, types.pop(), ZLIB in terms, unit)
