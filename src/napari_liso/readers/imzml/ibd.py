"""The ``.ibd`` of an imzML pair: found, identified, and checked before it is read."""

from __future__ import annotations

import hashlib
import uuid
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_liso.errors import FormatError
from napari_liso.readers.imzml.terms import MD5, SHA1, UUID, Arrays, Header, Spectra

__all__ = ["check_arrays", "find_ibd", "identify", "stored_bytes", "stored_uuid"]

UUID_BYTES = 16
#: A digest of up to so many bytes takes less than a second or two.
DIGEST_BYTES = 2**28
#: Values that one spectrum may have.
MAX_VALUES = 2**22
#: What all arrays may come to, so that none keeps a computer busy for long: bytes
#: where they are compressed, or so many times the file; and values where each
#: spectrum has m/z values of its own, which compress badly.
_INFLATED_BYTES, _INFLATION = 2**31, 256
_OWN_VALUES, _OWN_DENSITY = 2**27, 4
_DEFLATE_RATIO = 1032  # no deflate stream inflates further


def find_ibd(path: Path) -> Path:
    """Return the ``.ibd`` beside an ``.imzML``, whatever the letter case of its name.

    Raises
    ------
    FormatError
        If there is none, or several that differ in letter case only.
    """
    exact = path.with_suffix(".ibd")
    if exact.is_file():
        return exact
    wanted = exact.name.casefold()
    found = [one for one in path.parent.iterdir() if one.name.casefold() == wanted]
    found = [one for one in found if one.is_file()]
    if len(found) == 1:
        return found[0]
    if found:
        names = " and ".join(sorted(one.name for one in found))
        raise FormatError(path, f"has several files beside it that may hold its spectra: {names}")
    raise FormatError(
        path,
        f"holds no spectra itself, and the file with them, {exact.name}, is not beside it; "
        "put both in one folder",
    )


def stored_uuid(text: str) -> bytes | None:
    """Return the 16 bytes of a UUID as text, or None where it is none."""
    try:
        return uuid.UUID(text.strip()).bytes
    except ValueError:
        return None


def identify(path: Path, ibd: Path, header: Header) -> tuple[dict[str, Any], list[str]]:
    """Make sure that the two files belong together, and that the ``.ibd`` is unchanged.

    Returns
    -------
    facts : dict
        For the metadata.
    warnings : list of str

    Raises
    ------
    FormatError
        If the identifier or a check sum differs.
    """
    size = ibd.stat().st_size
    with open(ibd, "rb") as file:
        start = file.read(UUID_BYTES)
    if len(start) < UUID_BYTES:
        raise FormatError(ibd, f"is truncated: it has {len(start)} bytes", len(start))
    warnings = []
    stated = header.file_terms.get(UUID)
    if stated is None:
        warnings.append(
            "The .imzML states no identifier (UUID): nothing shows that this .ibd belongs to it."
        )
    else:
        expected = stored_uuid(stated.value)
        if expected is None:
            raise FormatError(path, f"states {stated.value[:60]!r} as its UUID, which is none")
        # Programs for Windows may store the first fields in reversed byte order.
        if start not in (expected, uuid.UUID(bytes=expected).bytes_le):
            raise FormatError(
                ibd,
                f"belongs to another .imzML: its identifier is {start.hex()}, that of "
                f"{path.name} is {expected.hex()}. Find the .ibd that was exported with it",
                0,
            )
    facts: dict[str, Any] = {"ibd": str(ibd.absolute()), "ibd_bytes": size, "uuid": start.hex()}
    return facts | _digests(path, ibd, size, header), warnings


def _digests(path: Path, ibd: Path, size: int, header: Header) -> dict[str, Any]:
    """Return the digest of the ``.ibd`` and whether it is the stated one."""
    stated = {
        name: header.file_terms[accession].value.strip().lower()
        for accession, name in ((SHA1, "sha1"), (MD5, "md5"))
        if accession in header.file_terms and header.file_terms[accession].value.strip()
    }
    if size > DIGEST_BYTES:
        reason = f"not compared: the .ibd has more than {DIGEST_BYTES} bytes"
        return {"ibd_checksum": reason if stated else "none stated"}
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in ("sha256", *stated)}
    with open(ibd, "rb") as file:
        while piece := file.read(2**20):
            for digest in digests.values():
                digest.update(piece)
    for name, expected in stated.items():
        if digests[name].hexdigest() != expected:
            raise FormatError(
                ibd,
                f"has been changed or damaged since it was written: its {name.upper()} is "
                f"{digests[name].hexdigest()}, {path.name} states {expected[:64]!r}. Export it "
                "again; if the exporting program is known to write wrong check sums, remove "
                "them from the .imzML",
            )
    checked = " and ".join(f"{name.upper()} as stated" for name in stated) or "none stated"
    return {"ibd_sha256": digests["sha256"].hexdigest(), "ibd_checksum": checked}


def check_arrays(path: Path, ibd: Path, spectra: Spectra) -> None:
    """Make sure that all arrays lie inside the ``.ibd`` and do not overlap.

    Raises
    ------
    FormatError
        If one is negative, longer than can be read, outside the file or inside
        another; or if m/z values and intensities differ in number.
    """
    size = ibd.stat().st_size
    mz, intensity = spectra.mz, spectra.intensity
    differ = np.flatnonzero(mz.length != intensity.length)
    if len(differ):
        n = int(differ[0])
        raise FormatError(
            path,
            f"spectrum {n + 1} has {mz.length[n]} m/z values, {intensity.length[n]} intensities",
        )
    inflated = 0
    for name, arrays in (("m/z", mz), ("intensity", intensity)):
        inflated += _check_bounds(path, ibd, size, name, arrays, spectra)
    if inflated > max(_INFLATED_BYTES, _INFLATION * size):
        raise FormatError(
            path, f"would inflate from {size} to {inflated} bytes; export it uncompressed"
        )
    values = int(mz.length.sum())
    if not spectra.share_axis and values > max(_OWN_VALUES, _OWN_DENSITY * size):
        raise FormatError(path, f"declares {values} values in {size} bytes; it is refused")
    _check_overlap(path, spectra)


def _check_bounds(
    path: Path, ibd: Path, size: int, name: str, arrays: Arrays, spectra: Spectra
) -> int:
    """Check arrays of one role; return the bytes that compressed ones inflate to."""

    def refuse(wrong: NDArray[np.bool_], reason: str) -> None:
        if wrong.any():
            n = int(np.argmax(wrong))
            raise FormatError(
                path,
                f"spectrum {n + 1}: the {name} array of {arrays.length[n]} values at byte "
                f"{arrays.offset[n]} of the .ibd {reason}",
            )

    widths = np.array([np.dtype(kind.dtype or "V").itemsize for kind in spectra.kinds], np.int64)
    packed = np.array([kind.zlib for kind in spectra.kinds])[arrays.kind]
    refuse((arrays.offset < 0) | (arrays.length < 0), "has a negative place or length")
    refuse(arrays.length > MAX_VALUES, f"has more values than the {MAX_VALUES} that can be read")
    full = arrays.length * widths[arrays.kind]
    refuse(packed & (arrays.encoded < 0), "is compressed but its encoded length is not stated")
    # Some writers leave zero where nothing is encoded.
    wrong = ~packed & (arrays.encoded > 0) & (arrays.encoded != full)
    refuse(wrong, "does not have as many bytes as its values need")
    held = stored_bytes(arrays, spectra)
    refuse(packed & (full > _DEFLATE_RATIO * held + 64), "cannot inflate to so many values")
    beyond = (held > 0) & ((arrays.offset > size) | (held > size - arrays.offset))
    if beyond.any():
        n = int(np.argmax(beyond))
        raise FormatError(
            ibd,
            f"is truncated: the {name} array of spectrum {n + 1} would be {held[n]} bytes at "
            f"{arrays.offset[n]}, but the file has {size}",
            size,
        )
    refuse((held > 0) & (arrays.offset < UUID_BYTES), "lies over the identifier of the .ibd")
    # An m/z array that serves several spectra in a row is inflated once.
    again = np.zeros(len(full), bool)
    again[1:] = np.diff(arrays.offset) == 0
    return int(full[packed & ~again].sum())


def stored_bytes(arrays: Arrays, spectra: Spectra) -> NDArray[np.int64]:
    """Return how many bytes of the ``.ibd`` each array takes."""
    widths = np.array([np.dtype(kind.dtype or "V").itemsize for kind in spectra.kinds], np.int64)
    packed = np.array([kind.zlib for kind in spectra.kinds])[arrays.kind]
    held = np.where(packed, arrays.encoded, arrays.length * widths[arrays.kind])
    return np.where(arrays.length > 0, held, 0)


def _check_overlap(path: Path, spectra: Spectra) -> None:
    """Refuse arrays that share bytes; only an m/z array may serve several spectra."""
    start, stop = [], []
    for arrays in (spectra.mz, spectra.intensity):
        held = stored_bytes(arrays, spectra)
        own = held > 0
        start.append(arrays.offset[own])
        stop.append(arrays.offset[own] + held[own])
    first, number = np.unique(start[0], return_inverse=True)
    last = np.zeros(len(first), np.int64)
    np.maximum.at(last, number.reshape(-1), stop[0])
    all_starts = np.concatenate([first, start[1]])
    all_stops = np.concatenate([last, stop[1]])
    order = np.argsort(all_starts, kind="stable")
    over = np.flatnonzero(all_stops[order][:-1] > all_starts[order][1:])
    if len(over):
        raise FormatError(
            path,
            f"has arrays that overlap in the .ibd, at byte {all_starts[order][over[0] + 1]}: "
            "an offset or a length is damaged",
        )
