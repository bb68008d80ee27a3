"""The XML half of an imzML pair: where each spectrum lies, and what the file says.

Written from the public imzML 1.1 and mzML 1.1 schemas. Terms are matched by
accession, never by name: names are misspelt in the wild.

The XML is streamed through expat, so a file of hundreds of megabytes needs only
the memory of the numbers it holds. Expat is used without a tree on top because
it alone tells of entities as they are declared, before one is expanded: files
that declare any are refused. Nothing outside the file is ever opened.
"""

from __future__ import annotations

from array import array
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn
from xml.parsers import expat

import numpy as np

from napari_liso.errors import FormatError
from napari_liso.readers._imzml_terms import (
    ENCODED,
    INTENSITY_ARRAY,
    KNOWN,
    LENGTH,
    NEGATIVE,
    OF_FILE,
    OFFSET,
    PLACE,
    POSITION_X,
    POSITION_Y,
    POSITION_Z,
    POSITIVE,
    TOTAL_CURRENT,
    ArrayKind,
    Arrays,
    Header,
    Spectra,
    Term,
    kind_of,
)  # fmt: skip

__all__ = ["parse_header", "scan_header"]

_CHUNK = 2**18
#: Groups, settings, programs: the real files have a handful.
_MAX_ENTRIES = 10_000
#: One tag or comment; older versions of expat take quadratic time over longer ones.
_MAX_TOKEN = 2**21
_COLUMNS = 11


def parse_header(path: Path) -> Header:
    """Read the XML of an imzML file.

    Parameters
    ----------
    path
        The ``.imzML`` file.

    Raises
    ------
    FormatError
        If it is no well-formed XML, declares entities, or does not say where
        and how each spectrum is stored.
    """
    header, error = scan_header(path)
    if error is not None:
        raise error
    return header


def scan_header(path: Path) -> tuple[Header, FormatError | None]:
    """Return what could be read of the XML, and what stopped the reading, if anything did."""
    parser = _Parser(path)
    try:
        parser.run()
    except _WrongEncoding:
        # Some exporters write ISO-8859-1 names into a file that says UTF-8.
        parser = _Parser(path, "iso-8859-1")
        try:
            parser.run()
        except (FormatError, _WrongEncoding) as error:
            return parser.partial(), _as_format_error(path, error)
    except FormatError as error:
        return parser.partial(), error
    return parser.header, None


class _WrongEncoding(Exception):
    """A byte above 127 that does not fit the declared encoding."""


def _as_format_error(path: Path, error: Exception) -> FormatError:
    return error if isinstance(error, FormatError) else FormatError(path, str(error))


class _LocalNames(dict[str, str]):
    """Names of elements without a namespace prefix."""

    def __missing__(self, tag: str) -> str:
        name = tag.rpartition(":")[2]
        if len(self) < _MAX_ENTRIES:
            self[tag] = name
        return name


class _Parser:
    """One pass over the XML. Only the starts of elements matter: each resets what is open."""

    def __init__(self, path: Path, encoding: str | None = None) -> None:
        self.path = path
        self.header = Header(forced_encoding=encoding)
        self._expat = expat.ParserCreate(encoding)
        self._expat.StartElementHandler = self._start
        self._expat.EntityDeclHandler = self._entity
        self._names = _LocalNames()
        self._context = ""
        self._groups: dict[str, dict[str, Term]] = {}
        self._group: dict[str, Term] = {}
        self._file_refs: list[str] = []
        self._spectrum: dict[str, str] | None = None
        self._open: dict[str, str] = {}
        self._refs: list[str] = []
        self._spectrum_refs: list[str] = []
        self._arrays: list[tuple[dict[str, str], list[str], list[str | None]]] = []
        self._kinds: dict[Any, int] = {}
        self._kind_list: list[ArrayKind] = []
        self._rows = array("q")
        self._currents = array("d")

    def run(self) -> None:
        """Parse the whole file."""
        parsed = 0
        with open(self.path, "rb") as file:
            while True:
                chunk = file.read(_CHUNK)
                try:
                    self._expat.Parse(chunk, not chunk)
                except expat.ExpatError as error:
                    self._not_well_formed(error)
                parsed += len(chunk)
                if parsed - max(self._expat.CurrentByteIndex, 0) > _MAX_TOKEN:
                    self._fail("has an XML tag or comment of more than 2 MB: it is damaged")
                if not chunk:
                    break
        self._finish_spectrum()
        self._finish()

    def partial(self) -> Header:
        """Return the header as far as it was read."""
        with suppress(FormatError):  # the reason that stopped the reading is the one to tell
            self._finish()
        return self.header

    def _fail(self, reason: str) -> NoReturn:
        raise FormatError(self.path, reason, max(self._expat.CurrentByteIndex, 0))

    def _not_well_formed(self, error: expat.ExpatError) -> None:
        offset = self._expat.ErrorByteIndex
        if error.code == expat.errors.codes[expat.errors.XML_ERROR_INVALID_TOKEN]:
            with open(self.path, "rb") as file:
                file.seek(offset)
                byte = file.read(1)
            if byte >= b"\x80" and self.header.forced_encoding is None:
                raise _WrongEncoding
        raise FormatError(
            self.path, f"is damaged or truncated: its XML is not well formed ({error})", offset
        ) from None

    def _entity(self, name: str, *_: object) -> None:
        self._fail(f"declares the XML entity {name[:40]!r}; imzML has none, so it is refused")

    # --- before the spectra ---------------------------------------------------

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = self._names[tag]
        if name == "cvParam":
            self._header_term(attributes)
        elif name == "referenceableParamGroupRef":
            self._header_reference(attributes.get("ref", ""))
        elif name == "spectrumList":
            self.header.declared_spectra = _whole(attributes.get("count"))
            self._expat.StartElementHandler = self._start_in_spectra
        else:
            self._enter(name, attributes)

    def _enter(self, name: str, attributes: dict[str, str]) -> None:
        header = self.header
        # Elements inside a group of settings or software leave its context.
        self._context = name
        if name == "referenceableParamGroup":
            identity = attributes.get("id", "")
            if identity in self._groups or len(self._groups) >= _MAX_ENTRIES:
                self._fail(f"defines the parameter group {identity[:40]!r} twice, or too many")
            self._group = self._groups[identity] = {}
        elif name == "scanSettings":
            if len(header.settings) >= _MAX_ENTRIES:
                self._fail(f"has more than {_MAX_ENTRIES} scanSettings")
            header.settings.append([])
        elif name == "software" and len(header.software) < 20:
            program = (attributes.get("id", ""), attributes.get("version", ""))
            header.software.append(" ".join(part for part in program if part)[:100])
        elif name == "run":
            header.acquired = attributes.get("startTimeStamp")

    def _header_term(self, attributes: dict[str, str]) -> None:
        accession = attributes.get("accession", "")
        term = Term(attributes.get("value", ""), attributes.get("unitAccession"))
        if self._context == "processingMethod" and len(self.header.processing) < 20:
            self.header.processing.append(attributes.get("name", accession)[:100])
        if accession not in KNOWN:
            return
        if self._context == "referenceableParamGroup":
            self._note(self._group, accession, term)
        elif self._context == "scanSettings":
            settings = self.header.settings[-1]
            if len(settings) >= _MAX_ENTRIES:
                self._fail("has scanSettings of too many terms")
            settings.append((accession, term))
        elif accession in OF_FILE or accession in (POSITIVE, NEGATIVE):
            self._note(self.header.file_terms, accession, term)

    def _note(self, terms: dict[str, Term], accession: str, term: Term) -> None:
        if terms.setdefault(accession, term) != term:
            self._fail(f"states {accession} twice: {terms[accession].value!r} and {term.value!r}")

    def _header_reference(self, identity: str) -> None:
        if self._context == "scanSettings":
            found = self._groups.get(identity)
            if found is None:
                self._miss(identity)
            else:
                self.header.settings[-1] += found.items()
        elif len(self._file_refs) < _MAX_ENTRIES:
            self._file_refs.append(identity)  # groups come after the description of the file

    def _miss(self, identity: str) -> None:
        if len(self.header.missing_groups) < 20:
            self.header.missing_groups.add(identity[:40])

    # --- spectra --------------------------------------------------------------

    def _start_in_spectra(self, tag: str, attributes: dict[str, str]) -> None:
        # The hot path: some twenty calls a spectrum.
        name = self._names[tag]
        if name == "cvParam":
            accession = attributes.get("accession", "")
            if accession in KNOWN:
                value = attributes.get("value", "")
                if self._open.setdefault(accession, value) != value:
                    self._fail(
                        f"{self._label()} states {accession} twice: "
                        f"{self._open[accession][:40]!r} and {value[:40]!r}"
                    )
                if accession == INTENSITY_ARRAY and self._arrays:
                    self._arrays[-1][2].append(attributes.get("unitAccession"))
        elif name == "referenceableParamGroupRef":
            self._refs.append(attributes.get("ref", ""))
        elif name == "binaryDataArray":
            self._open, self._refs = {}, []
            self._arrays.append((self._open, self._refs, []))
        elif name == "spectrum":
            self._finish_spectrum()
            self._spectrum = self._open = {}
            self._spectrum_refs = self._refs = []
            self._arrays = []
        elif name == "chromatogram":
            self._finish_spectrum()
            self._open, self._refs, self._arrays = {}, [], []

    def _label(self) -> str:
        return f"spectrum {len(self._currents) + 1}"

    def _finish_spectrum(self) -> None:
        terms = self._spectrum
        if terms is None:
            return
        self._spectrum = None
        places: dict[str, tuple[int, ...]] = {}
        for values, refs, units in self._arrays:
            kind = self._kind(values, refs, units)
            role = self._kind_list[kind].role
            if role is None:
                continue
            if role in places:
                self._fail(f"{self._label()} has two {role} arrays")
            offset, length, encoded = (
                values[a] if a in values else self._inherited(refs, a)
                for a in (OFFSET, LENGTH, ENCODED)
            )
            places[role] = (
                self._integer(offset, "external offset"),
                self._integer(length, "external array length"),
                -1 if encoded is None else self._integer(encoded, "external encoded length"),
                kind,
            )
        if len(places) != 2:
            missing = "m/z" if "m/z" not in places else "intensity"
            self._fail(f"{self._label()} has no {missing} array in the .ibd")
        if self._spectrum_refs:
            terms = self._with_groups(terms)
        x = self._integer(terms.get(POSITION_X), "position x")
        y = self._integer(terms.get(POSITION_Y), "position y")
        z = self._integer(terms.get(POSITION_Z, "1"), "position z")
        self._rows.extend((x, y, z, *places["m/z"], *places["intensity"]))
        self._currents.append(_real(terms.get(TOTAL_CURRENT)))
        if POSITIVE in terms:
            self.header.polarities.add("positive")
        if NEGATIVE in terms:
            self.header.polarities.add("negative")

    def _inherited(self, refs: list[str], accession: str) -> str | None:
        """Return a value from the groups that an array refers to."""
        for identity in refs:
            term = self._groups.get(identity, {}).get(accession)
            if term is not None:
                return term.value
        return None

    def _with_groups(self, terms: dict[str, str]) -> dict[str, str]:
        """Add the terms of referenced groups; a spectrum's own win."""
        inherited: dict[str, str] = {}
        for identity in self._spectrum_refs:
            group = self._groups.get(identity)
            if group is None:
                self._miss(identity)
            elif group:
                inherited |= {accession: term.value for accession, term in group.items()}
        return inherited | terms if inherited else terms

    def _kind(self, values: dict[str, str], refs: list[str], units: list[str | None]) -> int:
        """Return the number of the kind of an array."""
        stated = frozenset(values.keys() - PLACE)
        key = (tuple(refs), stated, tuple(units))
        found = self._kinds.get(key)
        if found is None:
            terms = {accession: Term("", None) for accession in stated}
            if units:
                terms[INTENSITY_ARRAY] = Term("", units[0])
            for identity in refs:
                if identity not in self._groups:
                    self._fail(f"an array refers to {identity[:40]!r}, a group that is not there")
                terms |= {a: t for a, t in self._groups[identity].items() if a not in terms}
            try:
                kind = kind_of(terms)
            except ValueError as error:
                self._fail(str(error))
            if kind not in self._kind_list:
                self._kind_list.append(kind)
            found = self._kind_list.index(kind)
            if len(self._kinds) < _MAX_ENTRIES:
                self._kinds[key] = found
        return found

    def _integer(self, text: str | None, what: str) -> int:
        value = _whole(text)
        if value is None:
            said = "nothing" if text is None else repr(text[:40])
            self._fail(f"{self._label()} states {said} as its {what}, not a whole number")
        return value

    # --- the end --------------------------------------------------------------

    def _finish(self) -> None:
        header = self.header
        for identity in self._file_refs:
            for accession, term in self._groups.get(identity, {}).items():
                if accession in OF_FILE:
                    header.file_terms.setdefault(accession, term)
        if not header.polarities:
            everywhere = [header.file_terms, *self._groups.values()]
            for accession, word in ((POSITIVE, "positive"), (NEGATIVE, "negative")):
                if any(accession in terms for terms in everywhere):
                    header.polarities.add(word)
        rows = np.array(self._rows, np.int64).reshape(-1, _COLUMNS)
        columns = np.ascontiguousarray(rows.T)
        header.spectra = Spectra(
            rows[:, :3].copy(),
            Arrays(*columns[3:7]),
            Arrays(*columns[7:11]),
            np.array(self._currents, np.float64)[: len(rows)],
            tuple(self._kind_list),
        )


def _whole(text: str | None) -> int | None:
    """Return a whole number of at most 63 bits, or None where the text is none."""
    if text is None or len(text) > 40 or "_" in text:
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
