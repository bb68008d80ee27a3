"""The spectra of an imzML file's XML, gathered into columns of numbers."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Mapping
from typing import NamedTuple, NoReturn

import numpy as np

from napari_liso.readers.imzml.terms import (
    ENCODED,
    INTENSITY_ARRAY,
    KNOWN,
    LENGTH,
    NEGATIVE,
    OFFSET,
    PLACE,
    POSITION_X,
    POSITION_Y,
    POSITION_Z,
    POSITIVE,
    TOTAL_CURRENT,
    ArrayKind,
    Arrays,
    Spectra,
    Term,
    kind_of,
)

__all__ = ["MAX_ENTRIES", "SpectrumTable", "start_handler", "whole"]

#: Groups, settings, programs, kinds of array: real files have a handful.
MAX_ENTRIES = 10_000
#: Arrays of one spectrum; two, or three with ion mobility.
_MAX_ARRAYS = 1000
_COLUMNS = 11

Groups = Mapping[str, Mapping[str, Term]]
Attributes = dict[str, str]


class _OpenArray(NamedTuple):
    """Terms, referenced groups and units of intensity of a binaryDataArray."""

    terms: dict[str, str]
    refs: list[str]
    units: list[str | None]


class SpectrumTable:
    """Columns that grow by one spectrum at a time.

    Parameters
    ----------
    groups
        The file's parameter groups by id, and their terms by accession.
    fail
        Called with the reason where the file cannot be read; does not return.
    """

    def __init__(self, groups: Groups, fail: Callable[[str], NoReturn]) -> None:
        self.polarities: set[str] = set()
        self.missing_groups: set[str] = set()
        self._groups = groups
        self._fail = fail
        self._rows = array("q")
        self._currents = array("d")
        self._kinds: list[ArrayKind] = []
        self._kind_numbers: dict[tuple[object, ...], int] = {}
        self._group_terms: dict[tuple[str, ...], dict[str, str]] = {}

    def result(self) -> Spectra:
        """Return the spectra so far."""
        rows = np.array(self._rows, np.int64).reshape(-1, _COLUMNS)
        columns = np.ascontiguousarray(rows.T)
        return Spectra(
            rows[:, :3].copy(),
            Arrays(*columns[3:7]),
            Arrays(*columns[7:11]),
            np.array(self._currents, np.float64)[: len(rows)],
            tuple(self._kinds),
        )

    def add(self, terms: dict[str, str], refs: list[str], arrays: list[_OpenArray]) -> None:
        """Add a spectrum: its own terms, the groups it refers to, its arrays."""
        places: dict[str, tuple[int, ...]] = {}
        for one in arrays:
            kind = self._kind(one)
            role = self._kinds[kind].role
            if role is None:
                continue
            if role in places:
                self.fail(f"has two {role} arrays")
            places[role] = (*self._place(one), kind)
        if len(places) != 2:
            self.fail(f"has no {'intensity' if 'm/z' in places else 'm/z'} array in the .ibd")
        if refs:
            terms = self._terms_of(refs) | terms
        x = self.integer(terms.get(POSITION_X), "position x")
        y = self.integer(terms.get(POSITION_Y), "position y")
        z = self.integer(terms.get(POSITION_Z, "1"), "position z")
        self._rows.extend((x, y, z, *places["m/z"], *places["intensity"]))
        self._currents.append(_real(terms.get(TOTAL_CURRENT)))
        if POSITIVE in terms:
            self.polarities.add("positive")
        if NEGATIVE in terms:
            self.polarities.add("negative")

    def fail(self, reason: str) -> NoReturn:
        """Refuse the file for what the current spectrum is."""
        self._fail(f"spectrum {len(self._currents) + 1} {reason}")

    def integer(self, text: str | None, what: str) -> int:
        """Return a whole number that the current spectrum must state."""
        value = whole(text)
        if value is None:
            said = "nothing" if text is None else repr(text[:40])
            self.fail(f"states {said} as its {what}, not a whole number")
        return value

    def _place(self, one: _OpenArray) -> tuple[int, int, int]:
        """Return (offset, length, encoded length or -1)."""
        terms = one.terms
        if not (OFFSET in terms and LENGTH in terms and ENCODED in terms) and one.refs:
            terms = self._terms_of(one.refs) | terms
        encoded = -1
        if ENCODED in terms:
            encoded = self.integer(terms[ENCODED], "external encoded length")
            if encoded < 0:
                self.fail(f"states a negative encoded length, {encoded}")
        return (
            self.integer(terms.get(OFFSET), "external offset"),
            self.integer(terms.get(LENGTH), "external array length"),
            encoded,
        )

    def _terms_of(self, refs: list[str]) -> dict[str, str]:
        """Return the terms of referenced groups."""
        key = tuple(refs)
        found = self._group_terms.get(key)
        if found is None:
            found = {}
            for identity in refs:
                if identity in self._groups:
                    found |= {a: term.value for a, term in self._groups[identity].items()}
                elif len(self.missing_groups) < 20:
                    self.missing_groups.add(identity[:40])
            if len(self._group_terms) < MAX_ENTRIES:
                self._group_terms[key] = found
        return found

    def _kind(self, one: _OpenArray) -> int:
        """Return the number of the kind of an array."""
        own = one.terms.keys() - PLACE
        key = (*one.refs, None, *sorted(own), *one.units) if own else tuple(one.refs)
        found = self._kind_numbers.get(key)
        if found is not None:
            return found
        terms = {accession: Term("", None) for accession in own}
        if one.units:
            terms[INTENSITY_ARRAY] = Term("", one.units[0])
        for identity in one.refs:
            if identity not in self._groups:
                self.fail(f"has an array that refers to {identity[:40]!r}, which is not there")
            terms |= {a: t for a, t in self._groups[identity].items() if a not in terms}
        try:
            kind = kind_of(terms)
        except ValueError as error:
            self.fail(str(error))
        if kind not in self._kinds:
            self._kinds.append(kind)
        found = self._kinds.index(kind)
        if len(self._kind_numbers) < MAX_ENTRIES:
            self._kind_numbers[key] = found
        return found


def start_handler(
    table: SpectrumTable, names: Mapping[str, str]
) -> tuple[Callable[[str, Attributes], None], Callable[[], None]]:
    """Return what to call at the start of every element, and at the end of the file.

    A spectrum is complete when the next one begins, so the ends of elements, as
    many again, need not be looked at.
    `names` gives the local name of each element by its full one.
    """
    # Plain variables, as this is called some twenty times a spectrum.
    inside = False
    terms: dict[str, str] = {}
    refs: list[str] = []
    arrays: list[_OpenArray] = []
    open_terms, open_refs = terms, refs

    def finish() -> None:
        nonlocal inside
        if inside:
            inside = False
            table.add(terms, refs, arrays)

    def start(tag: str, attributes: Attributes) -> None:
        nonlocal inside, terms, refs, arrays, open_terms, open_refs
        if tag != "cvParam":
            tag = names[tag]
        if tag == "cvParam":
            accession = attributes.get("accession")
            if accession is None:
                table.fail("has a cvParam without an accession: the file is damaged")
            if accession in KNOWN:
                value = attributes.get("value", "")
                if open_terms.setdefault(accession, value) != value:
                    before = open_terms[accession][:40]
                    table.fail(f"states {accession} twice: {before!r} and {value[:40]!r}")
                if accession == INTENSITY_ARRAY and arrays:
                    arrays[-1].units.append(attributes.get("unitAccession"))
        elif tag == "referenceableParamGroupRef":
            open_refs.append(attributes.get("ref", ""))
            if len(open_refs) > _MAX_ARRAYS:
                table.fail("refers to more groups of parameters than any real one")
        elif tag == "binaryDataArray":
            open_terms, open_refs = {}, []
            arrays.append(_OpenArray(open_terms, open_refs, []))
            if len(arrays) > _MAX_ARRAYS:
                table.fail("has more arrays than any real one")
        elif tag == "spectrum":
            finish()
            inside = True
            terms, refs, arrays = open_terms, open_refs, _ = {}, [], []
        elif tag == "chromatogram":
            finish()
            open_terms, open_refs, arrays = {}, [], []
        elif "accession" in attributes:
            table.fail(f"has an element {tag[:40]!r} where a cvParam belongs: the file is damaged")

    return start, finish


def whole(text: str | None) -> int | None:
    """Return a whole number of at most 63 bits, or None where the text is none."""
    if text is None:
        return None
    if text.isdecimal() and len(text) < 19:
        return int(text)
    if len(text) > 40 or "_" in text:
        return None
    try:
        value = int(text)
    except ValueError:
        try:
            # R writes large offsets as 1e+05.
            real = float(text)
        except ValueError:
            return None
        if not abs(real) < 2**53 or real != int(real):
            return None
        value = int(real)
    return value if -(2**63) <= value < 2**63 else None


def _real(text: str | None) -> float:
    try:
        return float("nan") if text is None else float(text)
    except ValueError:
        return float("nan")
